//! TOML text -> raw types. A key that cannot be read is reported, left out, and the rest is tried
//! again: one mistake does not hide the next.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::error::suggest;
use super::raw::RawConfig;
use super::removed;

/// Something in the text that is not what it should be.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) span: Range<usize>,
    /// Dotted; empty for what is not TOML at all.
    pub(super) key: String,
    pub(super) message: String,
}

/// The raw configuration in `text`, and what had to be left out of it.
pub(super) fn read(text: &str) -> (RawConfig, Vec<Misfit>) {
    let (mut document, syntax) = DeTable::parse_recoverable(text);
    let mut misfits: Vec<Misfit> = syntax.iter().map(not_toml).collect();
    if !misfits.is_empty() {
        // What follows a syntax error is guesswork; more errors from it would only mislead.
        return (RawConfig::default(), misfits);
    }
    loop {
        let error = match RawConfig::deserialize(Deserializer::from(document.clone())) {
            Ok(raw) => return (raw, misfits),
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        let taken = take(document.get_mut(), &span);
        let stuck = taken.is_none();
        misfits.push(misfit(&error, span, &taken.unwrap_or_default()));
        if stuck {
            return (RawConfig::default(), misfits);
        }
    }
}

fn not_toml(error: &Error) -> Misfit {
    Misfit {
        span: error.span().unwrap_or_default(),
        key: String::new(),
        message: format!("not TOML: {}", error.message()),
    }
}

/// Takes out the key that an error at `span` is about; its dotted path.
fn take(table: &mut DeTable<'_>, span: &Range<usize>) -> Option<Vec<String>> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        if key.span() == *span {
            found = Some((key.clone(), None));
            break;
        }
        let deeper = match value.get_mut() {
            DeValue::Table(inner) => take(inner, span),
            _ => None,
        };
        if deeper.is_some() || concerns(value, span) {
            found = Some((key.clone(), deeper));
            break;
        }
    }
    let (key, deeper) = found?;
    let mut path = vec![key.get_ref().to_string()];
    match deeper {
        Some(rest) => path.extend(rest),
        None => drop(table.remove(key.get_ref().as_ref())),
    }
    Some(path)
}

/// Whether an error at `span` is about this value, or about an item of it.
fn concerns(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> bool {
    let own = value.span();
    let within = own.start <= span.start && span.end <= own.end;
    own == *span || (within && value.get_ref().is_array())
}

/// Serde's words in ours. They may quote the value, which may be a secret: only its kind is kept.
fn misfit(error: &Error, span: Range<usize>, path: &[String]) -> Misfit {
    let message = error.message();
    let (section, key) = match path {
        [sections @ .., key] => (sections.join("."), key.as_str()),
        [] => (String::new(), ""),
    };
    let message = if message.starts_with("unknown field") {
        unknown_key(message, &section, key)
    } else if matches!(key, "password" | "token" | "signing_secret" | "secrets") {
        "must be { file = \"..\" } or { env = \"..\" }: the secret itself never stands here"
            .to_owned()
    } else {
        wrong_kind(message)
    };
    Misfit {
        span,
        key: path.join("."),
        message,
    }
}

fn unknown_key(message: &str, section: &str, key: &str) -> String {
    if let Some(advice) = removed::advice(section, key) {
        return format!("is no longer a key: {advice}");
    }
    let expected = message.split_once("expected").map_or("", |(_, list)| list);
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let place = match section {
        "" => "at the top".to_owned(),
        section => format!("in [{section}]"),
    };
    format!("unknown key `{key}` {place}; {}", suggest(key, &known))
}

fn wrong_kind(message: &str) -> String {
    let found = message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.split([' ', ',']).next());
    let expected = message.rsplit_once(", expected ").map(|(_, kind)| kind);
    match (found, expected) {
        (Some(found), Some(expected)) => {
            format!("is {}, must be {}", kind(found), kind(expected))
        }
        _ => "has the wrong kind of value".to_owned(),
    }
}

/// Serde's names of kinds in TOML's words.
fn kind(name: &str) -> &str {
    match name {
        "string" | "a string" => "a string",
        "integer" | "i64" => "a whole number",
        "floating" => "a number with a fraction",
        "boolean" | "a boolean" => "true or false",
        "sequence" | "a sequence" => "a list",
        "map" | "a map" => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfits(text: &str) -> Vec<(String, String)> {
        let misfits = read(text).1;
        misfits.into_iter().map(|m| (m.key, m.message)).collect()
    }

    #[test]
    fn every_misfit_is_reported_and_the_rest_is_kept() {
        let text = "[proxy]\nlisen = []\ntls = 3\nlisten = [\"a\", 7]\n[targets.a]\nuser = \"u\"\npassword = \"hunter2, expected x\"\n";
        let (raw, found) = read(text);
        let keys: Vec<&str> = found.iter().map(|m| m.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "proxy.lisen",
                "proxy.listen",
                "proxy.tls",
                "targets.a.password"
            ]
        );
        assert_eq!(
            found[0].message,
            "unknown key `lisen` in [proxy]; did you mean `listen`?"
        );
        assert_eq!(found[2].message, "is a whole number, must be a string");
        assert_eq!(
            found[3].message,
            "must be { file = \"..\" } or { env = \"..\" }: the secret itself never stands here"
        );
        let target = raw.targets.values().next().unwrap();
        assert_eq!(target.user.as_ref().unwrap().get_ref(), "u");
    }

    #[test]
    fn a_misfit_never_quotes_a_value() {
        for text in [
            "[targets.a]\npassword = \"hunter2\"",
            "[targets.a]\npassword = [\"hunter2\"]",
            "[targets.a]\npassword = { file = { a = \"hunter2\" } }",
            "[targets.a]\npassword = \"hunter2",
        ] {
            let found = misfits(text);
            assert!(!found.is_empty(), "{text}");
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn an_unknown_table_or_a_value_for_a_table_is_reported() {
        assert_eq!(
            misfits("[proxi]\nlisten = []")[0].1,
            "unknown key `proxi` at the top; did you mean `proxy`?"
        );
        assert_eq!(
            misfits("proxy = 1")[0],
            (
                "proxy".to_owned(),
                "is a whole number, must be a table".to_owned()
            )
        );
        assert_eq!(misfits("[targets]\na = 1")[0].0, "targets.a");
    }
}
