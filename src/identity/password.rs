//! Passwords: argon2id, a few at a time, and off the threads that serve everybody.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::secret::{Secret, hex, random};

/// Characters that a password has at least.
const SHORTEST: usize = 12;
/// Bytes that it has at most.
const LONGEST: usize = 256;
/// Hashes that are computed at a time; each takes 19 MiB and some 20 ms of a processor.
const AT_A_TIME: usize = 4;

/// Why a password is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It could be tried out.
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    /// Nobody types that.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// It is the first that anybody would try.
    #[error("a password is not one character again and again, nor the account's name")]
    Plain,
}

/// Whether `password` may be the password of the account `name`.
///
/// # Errors
/// [`Unfit`] says why not.
pub fn fit(password: &Secret, name: &str) -> Result<(), Unfit> {
    let text = password.expose();
    let mut characters = text.chars();
    let first = characters.next();
    if text.len() > LONGEST {
        Err(Unfit::Long)
    } else if text.chars().count() < SHORTEST {
        Err(Unfit::Short)
    } else if characters.all(|c| Some(c) == first) || text.eq_ignore_ascii_case(name) {
        Err(Unfit::Plain)
    } else {
        Ok(())
    }
}

/// Hashes passwords and checks them. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// The hash of nothing that anybody knows.
    nobodys: Arc<str>,
}

impl Passwords {
    /// Ready to be used; takes the time of one hash.
    pub fn new() -> Self {
        let nobodys = derive(hex(&random::<16>()).as_bytes());
        Self {
            slots: Arc::new(Semaphore::new(AT_A_TIME)),
            nobodys: nobodys.into(),
        }
    }

    /// The hash of a password, as a PHC string with a salt of its own.
    pub async fn hash(&self, password: Secret) -> String {
        self.apart(move || derive(password.expose().as_bytes()))
            .await
    }

    /// Whether the password is the one that was hashed. Takes as long if there is no hash: then it
    /// is not.
    pub async fn check(&self, password: Secret, hash: Option<String>) -> bool {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.to_string());
        let right = self.apart(move || verify(password.expose(), &hash)).await;
        known && right
    }

    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _slot = self.slots.acquire().await.expect("it is never closed");
        tokio::task::spawn_blocking(work)
            .await
            .expect("hashing does not panic")
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// OWASP's first choice: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn derive(password: &[u8]) -> String {
    argon2()
        .hash_password_with_salt(password, &random::<16>())
        .expect("a salt of 16 bytes and a short password are taken")
        .to_string()
}

fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        tracing::error!("a password's hash in the store cannot be read");
        return false;
    };
    argon2().verify_password(password.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nothing_else() {
        let passwords = Passwords::new();
        let secret = || Secret::new("correct horse battery");
        let (one, other) = (
            passwords.hash(secret()).await,
            passwords.hash(secret()).await,
        );
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, other, "each has its own salt");
        assert!(passwords.check(secret(), Some(one.clone())).await);
        let wrong = Secret::new("correct horse batterz");
        assert!(!passwords.check(wrong, Some(one)).await);
        assert!(!passwords.check(secret(), None).await);
        assert!(!passwords.check(secret(), Some("plain".into())).await);
    }

    #[test]
    fn what_would_be_guessed_is_refused() {
        let fit = |text: &str| fit(&Secret::new(text), "maya@example.com");
        assert_eq!(fit("correct horse"), Ok(()));
        assert_eq!(fit("päßwörter!!"), Err(Unfit::Short));
        assert_eq!(fit("aaaaaaaaaaaaaaaa"), Err(Unfit::Plain));
        assert_eq!(fit("Maya@Example.com"), Err(Unfit::Plain));
        assert_eq!(fit(&"ab".repeat(200)), Err(Unfit::Long));
    }
}
