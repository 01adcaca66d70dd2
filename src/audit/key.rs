//! Checkpoints are signed with Ed25519 (RFC 8032). Keys are PEM files as `openssl pkey` makes and
//! reads them: PKCS#8 (RFC 5958) for the private, SubjectPublicKeyInfo (RFC 8410) for the public.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::chain::Hash;
use super::durable::sync_name;
use super::folder;
use crate::access::schema::written;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system refuses.
    #[error("the audit key {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("the audit key {}: expected an Ed25519 key in PEM (PKCS#8)", .0.display())]
    Malformed(PathBuf),
    /// There are records, and the key that signed them is gone.
    #[error("the audit key {} is gone, and there are records that it signed: put it back. To go on with another, make it: openssl genpkey -algorithm ed25519 -out {}, chmod 600, and keep the public parts of both", .0.display(), .0.display())]
    Gone(PathBuf),
    /// Others may read it.
    #[error("the audit key {} can be read by others than its owner: chmod 600 it", .0.display())]
    Exposed(PathBuf),
}

/// What signs checkpoints.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// What checks them: the 32 bytes of RFC 8032. Written in base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PublicKey([u8; 32]);

/// The text is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an Ed25519 public key: PEM, or its 32 bytes in base64")]
pub struct InvalidKey;

/// What a checkpoint with sequence `seq`, behind the record with hash `prev`, signs: four lines.
fn statement(seq: u64, prev: &Hash, at: Timestamp) -> String {
    format!("hallpass audit checkpoint 1\n{seq}\n{prev}\n{at}\n")
}

written!(
    PublicKey,
    "^[A-Za-z0-9+/]{43}=$",
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
);

impl SigningKey {
    /// A new random key.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        Self::new(Ed25519KeyPair::generate().expect("the operating system provides randomness"))
    }

    fn new(pair: Ed25519KeyPair) -> Self {
        let bytes = pair.public_key().as_ref().try_into();
        let public = PublicKey(bytes.expect("Ed25519 has public keys of 32 bytes"));
        Self { pair, public }
    }

    /// Reads the key at `path`; makes it (mode 0600) if there is none, and no log that one signed.
    ///
    /// # Errors
    /// If the file cannot be read or made, is not a key, is gone, or can be read by others.
    pub fn load_or_make(path: &Path, folder: &Path) -> Result<Self, KeyError> {
        match fs::metadata(path) {
            Ok(_) => Self::load(path),
            Err(error) if error.kind() == ErrorKind::NotFound && has_log(folder) => {
                Err(KeyError::Gone(path.to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::make(path),
            Err(source) => Err(io_error(path, source)),
        }
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is not a key, or can be read by others.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| io_error(path, source);
        if fs::metadata(path).map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path.to_owned()));
        }
        let pem = Zeroizing::new(fs::read(path).map_err(io)?);
        let malformed = || KeyError::Malformed(path.to_owned());
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| malformed())?;
        let pair = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| malformed())?;
        Ok(Self::new(pair))
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        let io = |source| io_error(path, source);
        let key = Self::generate();
        let der: Pkcs8V1Der<'_> = key.pair.as_der().map_err(|_| io(ErrorKind::Other.into()))?;
        let text = pem("PRIVATE KEY", der.as_ref());
        // Whole or not at all: a key cut by a crash would stop every start.
        let new = path.with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        fs::rename(&new, path).map_err(io)?;
        // A key that a loss of power takes away would stop every start, too.
        sync_name(path).map_err(io)?;
        Ok(key)
    }

    /// The part that everybody may have.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs for the record `seq` all that comes before it: `prev` is the hash of the last.
    pub(super) fn sign(&self, seq: u64, prev: &Hash, at: Timestamp) -> String {
        let signature = self.pair.sign(statement(seq, prev, at).as_bytes());
        STANDARD.encode(signature)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl PublicKey {
    /// Whether `signature` (base64) is what the holder of the private key signed for the
    /// checkpoint `seq`.
    pub fn signed(&self, signature: &str, seq: u64, prev: &Hash, at: Timestamp) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else {
            return false;
        };
        UnparsedPublicKey::new(&signature::ED25519, self.0)
            .verify(statement(seq, prev, at).as_bytes(), &signature)
            .is_ok()
    }

    /// As a PEM file (`BEGIN PUBLIC KEY`).
    pub fn to_pem(self) -> String {
        pem("PUBLIC KEY", &[&SPKI_PREFIX[..], &self.0].concat()).to_string()
    }

    /// From a PEM file, or from its base64.
    ///
    /// # Errors
    /// [`InvalidKey`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if !text.trim_start().starts_with("-----") {
            let bytes = STANDARD.decode(text.trim()).map_err(|_| InvalidKey)?;
            return Ok(Self(bytes.try_into().map_err(|_| InvalidKey)?));
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes());
        let der = der.map_err(|_| InvalidKey)?;
        let bytes = der.as_ref().strip_prefix(&SPKI_PREFIX[..]);
        Ok(Self(
            bytes.and_then(|b| b.try_into().ok()).ok_or(InvalidKey)?,
        ))
    }
}

/// Whether there is a segment in `folder`.
fn has_log(folder: &Path) -> bool {
    folder::segments(folder).is_ok_and(|segments| !segments.is_empty())
}

/// What stands before the 32 bytes in a SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io {
        path: path.to_owned(),
        source,
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let made = SigningKey::load_or_make(&path, dir.path()).unwrap();
        let read = SigningKey::load_or_make(&path, dir.path()).unwrap();
        assert_eq!(made.public(), read.public());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            SigningKey::load_or_make(&path, dir.path()),
            Err(KeyError::Exposed(_))
        ));
    }

    #[test]
    fn a_key_that_is_gone_is_not_replaced_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        fs::write(dir.path().join("00000000000000000001.jsonl"), "").unwrap();
        let gone = SigningKey::load_or_make(&path, dir.path());
        assert!(matches!(gone, Err(KeyError::Gone(_))));
        assert!(!path.exists());
    }

    #[test]
    fn a_key_that_openssl_made_is_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        fs::write(&path, pem).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let key = SigningKey::load(&path).unwrap();
        // RFC 8410, section 10.1.
        let public = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        assert_eq!(key.public().to_string(), public);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.key");
        fs::write(&path, "abc").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            SigningKey::load_or_make(&path, dir.path()),
            Err(KeyError::Malformed(_))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "abc");
    }

    #[test]
    fn a_signature_fits_one_place_one_head_one_time_and_one_key() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let (prev, at) = (Hash::of(b"before"), Timestamp::UNIX_EPOCH);
        let signature = key.sign(7, &prev, at);
        assert!(key.public().signed(&signature, 7, &prev, at));
        assert!(!key.public().signed(&signature, 8, &prev, at));
        assert!(!key.public().signed(&signature, 7, &Hash::NONE, at));
        let later = Timestamp::from_second(1).unwrap();
        assert!(!key.public().signed(&signature, 7, &prev, later));
        assert!(!other.public().signed(&signature, 7, &prev, at));
        assert!(!key.public().signed("", 7, &prev, at));
    }

    #[test]
    fn a_public_key_comes_back_from_pem_and_from_base64() {
        let public = SigningKey::generate().public();
        assert_eq!(PublicKey::parse(&public.to_pem()), Ok(public));
        assert_eq!(PublicKey::parse(&format!(" {public}\n")), Ok(public));
        assert_eq!(PublicKey::parse("abc"), Err(InvalidKey));
    }
}
