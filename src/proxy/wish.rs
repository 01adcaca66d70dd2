//! What a client says about its session in its startup message: `-c hallpass.reason=..`.

use std::time::Duration;

use crate::pg::options::{self, Setting};
use crate::pg::startup::Startup;

/// Before the name of each setting.
const PREFIX: &str = "hallpass.";
/// The settings that there are.
const KNOWN: &str = "hallpass.reason, hallpass.for and hallpass.wait";

/// What a client asks for by connecting. That it says anything of the kind means that it signs in
/// as itself, with an access token, and not with a session's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Why it wants in, if it has no session.
    pub(super) reason: Option<String>,
    /// For how long.
    pub(super) duration: Option<Duration>,
    /// Whether it waits until somebody has decided.
    pub(super) wait: bool,
}

impl Wish {
    /// Takes the wish out of a startup message: the upstream never sees it.
    ///
    /// # Errors
    /// What is wrong with it, in words for the client.
    pub(super) fn take(startup: &mut Startup) -> Result<Option<Self>, String> {
        let settings = options::take(startup, PREFIX);
        if settings.is_empty() {
            return Ok(None);
        }
        let mut wish = Self {
            reason: None,
            duration: None,
            wait: true,
        };
        for setting in settings {
            wish.set(setting)?;
        }
        Ok(Some(wish))
    }

    fn set(&mut self, (name, value): Setting) -> Result<(), String> {
        let value =
            String::from_utf8(value).map_err(|_| format!("{PREFIX}{name} is not valid UTF-8"))?;
        match name.as_str() {
            "reason" => self.reason = Some(value).filter(|it| !it.trim().is_empty()),
            "for" => self.duration = Some(duration(&value)?),
            "wait" => self.wait = is_on(&value)?,
            _ => return Err(format!("there is no setting {PREFIX}{name}, only {KNOWN}")),
        }
        Ok(())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("hallpass.for {text:?}: {error}; write it like 30m or 1h30m"))
}

/// As PostgreSQL reads a boolean.
fn is_on(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(format!("hallpass.wait is on or off, not {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(options: &str) -> Result<Option<Wish>, String> {
        let parameters = vec![("options".into(), options.to_owned().into())];
        Wish::take(&mut Startup {
            minor: 0,
            parameters,
        })
    }

    #[test]
    fn a_wish_has_a_reason_and_a_duration() {
        let full = wish("-c hallpass.reason=INC-4312 -c hallpass.for=30m -c hallpass.wait=off");
        let expected = Wish {
            reason: Some("INC-4312".into()),
            duration: Some(Duration::from_secs(1800)),
            wait: false,
        };
        assert_eq!(full, Ok(Some(expected)));
        assert_eq!(wish("-c geqo=off"), Ok(None));
        assert_eq!(wish("-c hallpass.reason=").unwrap().unwrap().reason, None);
    }

    #[test]
    fn a_wish_that_makes_no_sense_is_refused_in_words() {
        for (options, says) in [
            ("-c hallpass.reasn=x", "no setting hallpass.reasn"),
            ("-c hallpass.for=soon", "write it like 30m"),
            ("-c hallpass.wait=maybe", "on or off"),
        ] {
            let error = wish(options).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
