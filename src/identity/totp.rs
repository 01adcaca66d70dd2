//! The second factor: codes by time (RFC 6238), as every authenticator app makes them.

use jiff::Timestamp;
use totp_rs::Builder;

use crate::secret::{Secret, random};

/// Bytes of a secret; what RFC 4226 recommends.
const SECRET: usize = 20;

/// A secret is not one.
#[derive(Debug, thiserror::Error)]
#[error("the second factor's secret cannot be used")]
pub struct TotpError;

/// One account's second factor.
pub struct Totp(totp_rs::Totp);

impl Totp {
    /// A new one for the account `name`.
    pub fn generate(name: &str) -> Self {
        let secret = random::<SECRET>();
        Self::from_secret(name, &secret).expect("20 bytes are long enough")
    }

    /// The one with this secret.
    ///
    /// # Errors
    /// If the secret is too short.
    pub fn from_secret(name: &str, secret: &[u8]) -> Result<Self, TotpError> {
        Builder::new()
            .with_secret(secret.to_vec())
            .with_account_name(name.to_owned())
            .with_issuer(Some("hallpass".to_owned()))
            .build()
            .map(Self)
            .map_err(|_| TotpError)
    }

    /// The secret's bytes, to be sealed and kept.
    pub fn secret(&self) -> &[u8] {
        self.0.secret()
    }

    /// The `otpauth://` address that apps take, with the secret in it.
    pub fn address(&self) -> Secret {
        let address = self.0.to_url();
        Secret::new(address.expect("the names in it are checked when it is made"))
    }

    /// The step of time (30 s each, since 1970) that `code` is of, if it is of now or of a step
    /// beside it. A code is good once: whoever asks keeps the step and takes none up to it again.
    pub fn check(&self, code: &str, now: Timestamp) -> Option<u64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let second = u64::try_from(now.as_second()).ok()?;
        self.0.check(&digits, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard_and_of_their_time() {
        // RFC 6238, appendix B: at 59 s the 8 digits are 94287082.
        let totp = Totp::from_secret("maya", b"12345678901234567890").unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(totp.check("287 082", at(59)), Some(1));
        assert_eq!(totp.check("287082", at(89)), Some(1), "a step late");
        assert_eq!(totp.check("287082", at(121)), None);
        assert_eq!(totp.check("287083", at(59)), None);
        assert_eq!(totp.check("", at(59)), None);
    }

    #[test]
    fn an_app_is_told_all_that_it_needs() {
        let totp = Totp::generate("maya@example.com");
        let address = totp.address();
        let address = address.expose();
        assert!(
            address.starts_with("otpauth://totp/hallpass:maya"),
            "{address}"
        );
        assert!(address.contains("issuer=hallpass"), "{address}");
        assert_eq!(totp.secret().len(), SECRET);
    }
}
