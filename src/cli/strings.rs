//! `hallpass connect --print`: connection strings ready to paste.

use std::path::Path;

use super::out::{BOLD, WARN, paint};
use crate::http::types::SessionSecret;

/// All of them, with headings. `ca` is where the proxy's certificate was written; `ends` says when
/// they stop working.
pub(super) fn ready_to_paste(secret: &SessionSecret, ca: Option<&Path>, ends: &str) -> String {
    let ca = ca.map(|path| path.display().to_string());
    let ca = ca.as_deref();
    let part = |name: &str, text: String| format!("{}\n{text}\n", paint(BOLD, name));
    let warning =
        format!("These hold the session's secret: whoever has them is you until it ends, {ends}.");
    [
        part("psql", format!("psql {}", quoted(&uri(secret, ca)))),
        part("Environment (psql, pg_dump, libpq)", exports(secret, ca)),
        part("JDBC (DBeaver, DataGrip)", jdbc(secret, ca)),
        part("Python (psycopg)", psycopg(secret, ca)),
        paint(WARN, &warning),
    ]
    .join("\n")
}

fn uri(secret: &SessionSecret, ca: Option<&str>) -> String {
    let SessionSecret {
        user,
        password,
        host,
        port,
        database,
        ..
    } = secret;
    format!(
        "postgresql://{}:{}@{}:{port}/{}?{}",
        percent(user),
        percent(password),
        bracketed(host),
        percent(database),
        tls(secret, ca)
    )
}

fn jdbc(secret: &SessionSecret, ca: Option<&str>) -> String {
    format!(
        "jdbc:postgresql://{}:{}/{}?user={}&password={}&{}",
        bracketed(&secret.host),
        secret.port,
        percent(&secret.database),
        percent(&secret.user),
        percent(&secret.password),
        tls(secret, ca)
    )
}

fn tls(secret: &SessionSecret, ca: Option<&str>) -> String {
    let mode = format!("sslmode={}", secret.sslmode);
    match ca {
        // In a query, a slash needs no escape.
        Some(path) => format!("{mode}&sslrootcert={}", percent(path).replace("%2F", "/")),
        None => mode,
    }
}

/// libpq's parameters by name, with the variable that stands for each.
fn parameters(
    secret: &SessionSecret,
    ca: Option<&str>,
) -> Vec<(&'static str, &'static str, String)> {
    let mut all = vec![
        ("host", "PGHOST", secret.host.clone()),
        ("port", "PGPORT", secret.port.to_string()),
        ("user", "PGUSER", secret.user.clone()),
        ("password", "PGPASSWORD", secret.password.clone()),
        ("dbname", "PGDATABASE", secret.database.clone()),
        ("sslmode", "PGSSLMODE", secret.sslmode.clone()),
    ];
    all.extend(ca.map(|path| ("sslrootcert", "PGSSLROOTCERT", path.to_owned())));
    all
}

fn exports(secret: &SessionSecret, ca: Option<&str>) -> String {
    let lines: Vec<String> = parameters(secret, ca)
        .into_iter()
        .map(|(_, variable, value)| format!("export {variable}={}", quoted(&value)))
        .collect();
    lines.join("\n")
}

fn psycopg(secret: &SessionSecret, ca: Option<&str>) -> String {
    let arguments: Vec<String> = parameters(secret, ca)
        .into_iter()
        // A JSON string is a Python string too.
        .map(|(name, _, value)| format!("    {name}={},", serde_json::Value::from(value)))
        .collect();
    format!("psycopg.connect(\n{}\n)", arguments.join("\n"))
}

/// Quoted for a shell, if it needs to be, by the quotes that are easier to read.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    // In double quotes these still mean something.
    let active = |c: char| "\"$`\\!".contains(c);
    if text.contains('\'') && !text.contains(active) {
        return format!("\"{text}\"");
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Percent-encoded for any part of a URI.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// An IPv6 address needs brackets where a port follows.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SessionSecret {
        SessionSecret {
            session: crate::access::SessionId::from_random(1),
            host: "localhost".into(),
            port: 6432,
            user: "maya@example.com~orders-ro".into(),
            database: "it's orders".into(),
            password: "p/w+1=".into(),
            sslmode: "verify-full".into(),
            ca_certificate: None,
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn uris_escape_what_would_end_a_part() {
        assert_eq!(
            uri(&secret(), Some("/home/maya/my ca.crt")),
            "postgresql://maya%40example.com~orders-ro:p%2Fw%2B1%3D@localhost:6432/it%27s%20orders\
             ?sslmode=verify-full&sslrootcert=/home/maya/my%20ca.crt"
        );
        assert_eq!(
            jdbc(&secret(), None),
            "jdbc:postgresql://localhost:6432/it%27s%20orders?user=maya%40example.com~orders-ro\
             &password=p%2Fw%2B1%3D&sslmode=verify-full"
        );
    }

    #[test]
    fn shells_and_python_read_the_same_values() {
        assert!(exports(&secret(), None).contains(r#"export PGDATABASE="it's orders""#));
        assert!(psycopg(&secret(), None).contains(r#"    dbname="it's orders","#));
        assert_eq!(quoted("plain-1.2"), "plain-1.2");
        assert_eq!(quoted("select 1"), "'select 1'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }

    #[test]
    fn the_whole_says_that_it_holds_a_secret_and_until_when() {
        let text = ready_to_paste(&secret(), None, "in 28m, at 14:03");
        assert!(text.contains("secret") && text.contains("in 28m, at 14:03"));
        for word in ["psql", "JDBC", "psycopg"] {
            assert!(text.contains(word), "{word}");
        }
    }
}
