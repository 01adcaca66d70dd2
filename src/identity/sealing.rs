//! Keeps secrets that have to be read again: AES-256-GCM under a key of the server's.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::secret::ServerKey;

/// What was sealed does not open: it was changed, or sealed for something else or by another key.
#[derive(Debug, thiserror::Error)]
#[error(
    "a sealed secret cannot be opened: the server's key is another one, or the store was changed"
)]
pub struct Broken;

/// Seals secrets, each for one owner.
pub struct Sealing(RandomizedNonceKey);

impl Sealing {
    /// With the key that the server's own key yields.
    pub fn derive(key: &ServerKey) -> Self {
        let bytes = key.derive("sealing", &[]);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes);
        Self(key.expect("AES-256 takes keys of 32 bytes"))
    }

    /// `secret`, readable only with the key and only as `owner`'s.
    pub fn seal(&self, owner: &str, secret: &[u8]) -> Vec<u8> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut sealed)
            .expect("short texts can be sealed");
        [nonce.as_ref(), sealed.as_slice()].concat()
    }

    /// What was sealed for `owner`.
    ///
    /// # Errors
    /// [`Broken`] if that is not what this is.
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, Broken> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Broken)?;
        let mut text = rest.to_vec();
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text);
        opened.map(|text| text.to_vec()).map_err(|_| Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_alone() {
        let key = ServerKey::from_bytes([1; 32]);
        let sealing = Sealing::derive(&key);
        let sealed = sealing.seal("maya", b"a secret");
        assert!(!sealed.windows(8).any(|it| it == b"a secret"));
        assert_ne!(sealed, sealing.seal("maya", b"a secret"));
        assert_eq!(sealing.open("maya", &sealed).unwrap(), b"a secret");
        assert!(sealing.open("dana", &sealed).is_err());
        let other = Sealing::derive(&ServerKey::from_bytes([2; 32]));
        assert!(other.open("maya", &sealed).is_err());
        let mut changed = sealed.clone();
        changed[NONCE_LEN] ^= 1;
        assert!(sealing.open("maya", &changed).is_err());
        assert!(sealing.open("maya", &sealed[..4]).is_err());
    }
}
