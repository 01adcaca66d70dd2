//! The startup parameter `options`: command-line arguments for the server (manual, "libpq: options"
//! and "Server Configuration: Settings via the Command Line"), split as `pg_split_opts` splits
//! them, at white space that has no backslash before it.

use bytes::{BufMut, Bytes, BytesMut};

use super::startup::Startup;

/// A setting by its name, in small letters and without the prefix, and its value.
pub type Setting = (String, Vec<u8>);

/// Takes the settings whose names begin with `prefix` out of a startup message, wherever they
/// stand: in `options` (`-c name=value`, `--name=value`) or as parameters of their own.
///
/// What else is in `options` stays, byte for byte in meaning, and goes on to the server.
pub fn take(startup: &mut Startup, prefix: &str) -> Vec<Setting> {
    let mut taken = Vec::new();
    let mut kept = Vec::with_capacity(startup.parameters.len());
    for (name, value) in std::mem::take(&mut startup.parameters) {
        if let Some(name) = ours(&name, prefix) {
            taken.push((name, value.to_vec()));
        } else if &name[..] == b"options" {
            let rest = take_from(&value, prefix, &mut taken);
            if !rest.is_empty() {
                kept.push((name, rest));
            }
        } else {
            kept.push((name, value));
        }
    }
    startup.parameters = kept;
    taken
}

fn take_from(options: &Bytes, prefix: &str, taken: &mut Vec<Setting>) -> Bytes {
    let before = taken.len();
    let mut rest = Vec::new();
    let mut arguments = split(options).into_iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == b"-c" || argument == b"--" {
            let Some(setting) = arguments.next() else {
                rest.push(argument);
                break;
            };
            match setting_of(&setting, prefix) {
                Some(setting) => taken.push(setting),
                None => rest.extend([argument, setting]),
            }
            continue;
        }
        let inline = argument
            .strip_prefix(b"-c")
            .or_else(|| argument.strip_prefix(b"--"));
        match inline.and_then(|setting| setting_of(setting, prefix)) {
            Some(setting) => taken.push(setting),
            None => rest.push(argument),
        }
    }
    match taken.len() == before {
        true => options.clone(),
        false => join(&rest),
    }
}

/// The arguments, without the backslashes that protect white space in them.
fn split(options: &[u8]) -> Vec<Vec<u8>> {
    let mut arguments = Vec::new();
    let mut current: Option<Vec<u8>> = None;
    let mut bytes = options.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => current.get_or_insert_default().extend(bytes.next()),
            byte if is_space(byte) => arguments.extend(current.take()),
            byte => current.get_or_insert_default().push(byte),
        }
    }
    arguments.extend(current);
    arguments
}

fn join(arguments: &[Vec<u8>]) -> Bytes {
    let mut options = BytesMut::new();
    for argument in arguments {
        if !options.is_empty() {
            options.put_u8(b' ');
        }
        for &byte in argument {
            if byte == b'\\' || is_space(byte) {
                options.put_u8(b'\\');
            }
            options.put_u8(byte);
        }
    }
    options.freeze()
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn setting_of(text: &[u8], prefix: &str) -> Option<Setting> {
    let equals = memchr::memchr(b'=', text)?;
    let (name, value) = text.split_at(equals);
    Some((ours(name, prefix)?, value.get(1..)?.to_vec()))
}

/// The name without the prefix, if it has it. As in PostgreSQL, the case of names does not matter
/// and `-` stands for `_`.
fn ours(name: &[u8], prefix: &str) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.strip_prefix(prefix).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn startup(parameters: &[(&str, &str)]) -> Startup {
        let owned = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Startup {
            minor: 0,
            parameters: parameters
                .iter()
                .map(|(name, value)| (owned(name), owned(value)))
                .collect(),
        }
    }

    fn taken(options: &str) -> (Vec<(String, String)>, Option<String>) {
        let mut startup = startup(&[("user", "maya"), ("options", options)]);
        let taken = take(&mut startup, "hallpass.");
        let rest = startup.parameter("options");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let taken = taken.into_iter().map(|(name, value)| (name, text(&value)));
        (taken.collect(), rest.map(|rest| text(rest)))
    }

    #[test]
    fn settings_are_found_however_they_are_written() {
        let reason = |value: &str| vec![("reason".to_owned(), value.to_owned())];
        for (options, value) in [
            ("-c hallpass.reason=INC-1", "INC-1"),
            ("-challpass.reason=INC-1", "INC-1"),
            ("--hallpass.reason=INC-1", "INC-1"),
            ("-c HALLPASS.Reason=a=b", "a=b"),
            (r"-c hallpass.reason=orders\ are\ late", "orders are late"),
            (r"  -c   hallpass.reason=a\\b  ", r"a\b"),
        ] {
            assert_eq!(taken(options), (reason(value), None), "{options}");
        }
        let mut direct = startup(&[("hallpass.reason", "INC-1"), ("user", "maya")]);
        assert_eq!(
            take(&mut direct, "hallpass."),
            [("reason".to_owned(), b"INC-1".to_vec())]
        );
        assert_eq!(direct, startup(&[("user", "maya")]));
    }

    #[test]
    fn the_rest_goes_on() {
        let (settings, rest) =
            taken(r"-c geqo=off -c hallpass.for=1h -c search_path=a\ b --work-mem=4MB -e");
        assert_eq!(settings, [("for".to_owned(), "1h".to_owned())]);
        assert_eq!(
            rest.unwrap(),
            r"-c geqo=off -c search_path=a\ b --work-mem=4MB -e"
        );
        for untouched in [
            "-c  geqo=off",
            "-c",
            "-c hallpass",
            "-c xhallpass.for=1h",
            r"\",
        ] {
            assert_eq!(
                taken(untouched),
                (vec![], Some(untouched.to_owned())),
                "{untouched}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_comes_apart_the_same(
            arguments in prop::collection::vec(prop::collection::vec(1_u8.., 1..6), 0..6)
        ) {
            prop_assert_eq!(split(&join(&arguments)), arguments);
        }
    }
}
