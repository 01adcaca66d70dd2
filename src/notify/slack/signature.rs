//! Whether a call came from Slack, and for the first time.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::Sha256;

use crate::secret::{Secret, constant_time_eq, hex};

/// How far the signature's time may be from ours, in seconds.
const WINDOW: i64 = 300;
/// The signatures' version.
const VERSION: &str = "v0";

/// A call as it came.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `X-Slack-Request-Timestamp`.
    pub timestamp: &'a str,
    /// `X-Slack-Signature`.
    pub signature: &'a str,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

/// Why a call is not taken for Slack's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It is not signed with the secret that Slack and hallpass share.
    #[error("the signature is not Slack's")]
    Forged,
    /// It is older than five minutes, or from the future.
    #[error("the signature is more than 5 minutes off: is the clock right?")]
    Stale,
    /// It was here before.
    #[error("this call was made before")]
    Replayed,
}

/// Verifies signatures, and remembers them for as long as they are good.
pub struct Verifier {
    secret: Secret,
    /// Signatures that were used, with the second after which they are no good.
    used: Mutex<HashMap<[u8; 32], i64>>,
}

impl Verifier {
    /// For calls that are signed with this secret.
    pub fn new(secret: Secret) -> Self {
        let used = Mutex::default();
        Self { secret, used }
    }

    /// Remembers the signatures that `older` does, too: a new secret may be the old one.
    pub fn remember(&self, older: &Self) {
        let used = older.used.lock().clone();
        self.used.lock().extend(used);
    }

    /// Takes a call, once.
    ///
    /// # Errors
    /// [`Unsigned`] if it is not from Slack, not from now, or not new. Who does not have the
    /// secret never learns more than that.
    pub fn verify(&self, signed: &Signed<'_>, now: Timestamp) -> Result<(), Unsigned> {
        let mac = self.mac(signed.timestamp, signed.body);
        let expected = format!("{VERSION}={}", hex(&mac));
        if !constant_time_eq(expected.as_bytes(), signed.signature.as_bytes()) {
            return Err(Unsigned::Forged);
        }
        let made: i64 = signed.timestamp.parse().map_err(|_| Unsigned::Forged)?;
        let now = now.as_second();
        if made.abs_diff(now) > WINDOW.unsigned_abs() {
            return Err(Unsigned::Stale);
        }
        let mut used = self.used.lock();
        used.retain(|_, until| *until >= now);
        match used.insert(mac, made + WINDOW) {
            Some(_) => Err(Unsigned::Replayed),
            None => Ok(()),
        }
    }

    fn mac(&self, timestamp: &str, body: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose().as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(format!("{VERSION}:{timestamp}:").as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's own documentation.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: i64 = 1_531_420_618;
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn verify(verifier: &Verifier, signed: &Signed<'_>, now: i64) -> Result<(), Unsigned> {
        verifier.verify(signed, Timestamp::from_second(now).unwrap())
    }

    fn verifier() -> Verifier {
        Verifier::new(Secret::new(SECRET))
    }

    const SIGNED: Signed<'static> = Signed {
        timestamp: "1531420618",
        signature: SIGNATURE,
        body: BODY,
    };

    #[test]
    fn slacks_own_example_is_taken_once() {
        let verifier = verifier();
        assert_eq!(verify(&verifier, &SIGNED, AT + 1), Ok(()));
        for later in [2, 100, WINDOW] {
            let again = verify(&verifier, &SIGNED, AT + later);
            assert_eq!(again, Err(Unsigned::Replayed));
        }
        assert_eq!(
            verify(&verifier, &SIGNED, AT + WINDOW + 1),
            Err(Unsigned::Stale)
        );
    }

    #[test]
    fn a_call_from_long_ago_or_from_the_future_is_refused() {
        for off in [-WINDOW - 1, WINDOW + 1, 1_000_000] {
            let verdict = verify(&verifier(), &SIGNED, AT + off);
            assert_eq!(verdict, Err(Unsigned::Stale), "{off}");
        }
        for off in [-WINDOW, WINDOW] {
            assert_eq!(verify(&verifier(), &SIGNED, AT + off), Ok(()), "{off}");
        }
    }

    #[test]
    fn what_was_changed_or_signed_by_others_is_forged() {
        let other = Verifier::new(Secret::new("another"));
        assert_eq!(verify(&other, &SIGNED, AT), Err(Unsigned::Forged));
        let mut body = BODY.to_vec();
        body[7] ^= 1;
        let changed = [
            Signed {
                body: &body,
                ..SIGNED
            },
            Signed {
                timestamp: "1531420619",
                ..SIGNED
            },
            Signed {
                timestamp: "",
                ..SIGNED
            },
            Signed {
                signature: "",
                ..SIGNED
            },
            Signed {
                signature: &SIGNATURE[3..],
                ..SIGNED
            },
            Signed {
                signature: &SIGNATURE[..SIGNATURE.len() - 1],
                ..SIGNED
            },
        ];
        for signed in changed {
            let verdict = verify(&verifier(), &signed, AT);
            assert_eq!(verdict, Err(Unsigned::Forged), "{signed:?}");
        }
    }
}
