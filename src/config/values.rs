//! Text of the file -> values. Each error says what is wrong and what is right.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::suggest;

/// The longest duration that means anything here; more is a mistake, and could overflow a date.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);
/// The longest that anything is kept, other than for good.
const MAX_KEPT: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
/// PostgreSQL's own limit for names, `NAMEDATALEN - 1`.
const MAX_NAME: usize = 63;

/// What a value is read into, or what is wrong with it.
pub(super) type Parsed<T> = Result<T, String>;

/// `10s`, `5m`, `1h 30m`; zero is allowed.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let duration = any_duration(text)?;
    if duration > MAX_DURATION {
        return Err(format!("`{text}` is too long: at most 366 days"));
    }
    Ok(duration)
}

fn any_duration(text: &str) -> Parsed<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("duration `{text}` has no unit: write {text}s"));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration: write 10s, 5m or 1h 30m"))
}

/// A duration above zero.
pub(super) fn positive_duration(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        duration => Ok(duration),
    }
}

/// A duration above zero, of years if need be: how long something is kept.
pub(super) fn long_duration(text: &str) -> Parsed<Duration> {
    match any_duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        duration if duration > MAX_KEPT => {
            Err(format!("`{text}` is too long: leave it out to keep all"))
        }
        duration => Ok(duration),
    }
}

/// `64MiB`, `100kB`, `4096B`: bytes.
pub(super) fn size(text: &str) -> Parsed<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("B", 1),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_start();
    if unit.is_empty() && !digits.is_empty() {
        return Err(format!("size `{text}` has no unit: write {text}B or 64MiB"));
    }
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    digits
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a size: write 64MiB or 1GiB"))
}

/// An address to listen on; port 0 lets the system choose.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        let example = match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => {
                format!("127.0.0.1:{port}, 0.0.0.0:{port} or [::1]:{port}")
            }
            _ => "127.0.0.1:6432 or [::1]:6432".to_owned(),
        };
        format!("`{text}` is not an IP address and port: write {example}")
    })
}

/// A port to dial.
pub(super) fn port(number: &i64) -> Parsed<u16> {
    u16::try_from(*number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{number} is not a port: 1 to 65535"))
}

/// A number from 1 on.
pub(super) fn count(number: &i64) -> Parsed<u32> {
    u32::try_from(*number)
        .ok()
        .filter(|count| *count != 0)
        .ok_or_else(|| format!("{number} is not allowed: 1 to {}", u32::MAX))
}

/// One of a few words.
pub(super) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl FnOnce(&str) -> Parsed<T> {
    move |text| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        choices
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| format!("`{text}` is unknown; {}", suggest(text, &words)))
    }
}

/// A host: an IP address or a DNS name.
pub(super) fn host(text: &str) -> Parsed<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if text.is_empty() || text.len() > 253 || !text.chars().all(allowed) {
        return Err(format!("`{text}` is not a host name or an IP address"));
    }
    if text.contains(':') && text.parse::<std::net::IpAddr>().is_err() {
        return Err(format!(
            "`{text}` is not a host name or an IP address: the port has a key of its own"
        ));
    }
    Ok(text.to_owned())
}

/// A name as PostgreSQL takes it: of a role or a database.
pub(super) fn identifier(text: &str) -> Parsed<String> {
    if text.is_empty() || text.len() > MAX_NAME {
        return Err(format!("`{text}` is not a name: 1 to {MAX_NAME} bytes"));
    }
    if text.contains('\0') {
        return Err("a name cannot contain a zero byte".to_owned());
    }
    Ok(text.to_owned())
}

/// Any text that is not empty.
pub(super) fn text(text: &str) -> Parsed<String> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}

/// An e-mail address.
pub(super) fn email(text: &str) -> Parsed<String> {
    text.parse::<lettre::Address>()
        .map(|address| address.to_string())
        .map_err(|_| format!("`{text}` is not an e-mail address: write dana@example.com"))
}

/// A word for policies to go by: letters, digits and `-`, `_`, `.`, `:`, `/`.
pub(super) fn word(text: &str) -> Parsed<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(allowed) {
        return Err(format!(
            "`{text}` is not a word: 1 to {MAX_NAME} letters, digits and - _ . : /"
        ));
    }
    Ok(text.to_owned())
}

/// 64 hexadecimal digits. What is wrong is not quoted: somebody may have put the token there.
pub(super) fn sha256(text: &str) -> Parsed<[u8; 32]> {
    let wrong = || {
        "is not 64 hexadecimal digits: write the token's SHA-256, which `hallpass token new-hash` prints"
            .to_owned()
    };
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits: [u8; 64] = digits
        .ok_or_else(wrong)?
        .try_into()
        .map_err(|_: Vec<u8>| wrong())?;
    Ok(std::array::from_fn(|i| {
        digits[2 * i] << 4 | digits[2 * i + 1]
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T: std::fmt::Debug>(parsed: Parsed<T>) -> String {
        parsed.unwrap_err()
    }

    #[test]
    fn a_duration_needs_a_unit_and_a_bound() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(
            wrong(duration("10")),
            "duration `10` has no unit: write 10s"
        );
        assert!(wrong(duration("soon")).contains("write 10s"));
        assert!(wrong(duration("900y")).contains("366 days"));
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn what_is_kept_may_be_kept_for_years() {
        let days = |text| long_duration(text).map(|it| it.as_secs() / 86400);
        assert_eq!(days("90d"), Ok(90));
        assert_eq!(days("10y"), Ok(3652));
        for bad in ["0s", "200y", "90", "always"] {
            assert!(long_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_needs_a_unit_and_must_fit() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("10 kB"), Ok(10_000));
        assert!(wrong(size("64")).contains("has no unit"));
        for bad in ["", "MiB", "64 miles", "-1MiB", "99999999999999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        assert!(address("[::1]:0").is_ok());
        assert!(wrong(address("localhost:6432")).contains("127.0.0.1:6432"));
        assert!(address("127.0.0.1").is_err());
    }

    #[test]
    fn a_host_is_not_a_url_or_a_host_with_a_port() {
        assert!(host("db-1.example.com").is_ok());
        assert!(host("fe80::1").is_ok());
        for bad in ["", "postgres://db", "db:5432", "a b", "db\n"] {
            assert!(host(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hash_that_is_not_one_is_not_quoted() {
        assert_eq!(sha256(&"0f".repeat(32)), Ok([0x0f; 32]));
        for bad in ["hpt_secret".to_owned(), "0".repeat(63), "g".repeat(64)] {
            assert!(!wrong(sha256(&bad)).contains(&bad));
        }
    }
}
