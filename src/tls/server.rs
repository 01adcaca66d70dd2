//! The certificate that clients are shown, reloadable without a restart.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig};

use super::{TlsError, read};

/// PostgreSQL's name in TLS' protocol negotiation, for direct TLS (manual section 55.2.10).
const ALPN: &[u8] = b"postgresql";
/// A self-signed certificate is made anew when less than this is left of it.
const RENEW: i64 = 30 * 24 * 3600;
/// And lasts this long.
const LASTS: i64 = 398 * 24 * 3600;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

/// A certificate as it is shown to clients.
pub struct Identity {
    /// For PostgreSQL's clients; offers `postgresql` by ALPN.
    pub postgresql: Arc<ServerConfig>,
    /// For the API; offers HTTP by ALPN.
    pub http: Arc<ServerConfig>,
    /// SCRAM bound to this certificate (RFC 5929, `tls-server-end-point`), where its signature
    /// algorithm allows that.
    pub scram: ScramServerAuth,
    /// The chain in PEM.
    pub chain: String,
    /// When the certificate ends.
    pub expires_at: Timestamp,
    content: (Vec<u8>, Vec<u8>),
}

/// The identity in force. Connections keep the one that they began with.
pub struct ServerTls {
    files: ServerFiles,
    identity: ArcSwap<Identity>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] that names the file.
    pub fn load(files: ServerFiles) -> Result<Self, TlsError> {
        let identity = Identity::load(&files)?;
        Ok(Self {
            files,
            identity: ArcSwap::from_pointee(identity),
        })
    }

    /// As [`ServerTls::load`], making a self-signed certificate for `host` first if there is none,
    /// or if it is about to end.
    ///
    /// # Errors
    /// [`TlsError`] that names the file.
    pub fn self_signed(files: ServerFiles, host: &str, now: Timestamp) -> Result<Self, TlsError> {
        let lasting = files.certificate.exists()
            && Identity::load(&files)?.expires_at.as_second() > now.as_second() + RENEW;
        if !lasting {
            make_self_signed(&files, host, now)?;
        }
        Self::load(files)
    }

    /// The identity for a connection that begins now.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Reads the files again. `true` if they changed and the new identity is in force.
    ///
    /// # Errors
    /// [`TlsError`]: the old identity stays in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let content = (read(&self.files.certificate)?, read(&self.files.key)?);
        if content == self.identity.load().content {
            return Ok(false);
        }
        let identity = Identity::from_content(&self.files, content)?;
        self.identity.store(Arc::new(identity));
        Ok(true)
    }
}

impl Identity {
    fn load(files: &ServerFiles) -> Result<Self, TlsError> {
        let content = (read(&files.certificate)?, read(&files.key)?);
        Self::from_content(files, content)
    }

    fn from_content(files: &ServerFiles, content: (Vec<u8>, Vec<u8>)) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&content.0)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::content(&files.certificate, error))?;
        let leaf = chain
            .first()
            .ok_or_else(|| TlsError::content(&files.certificate, "no certificate in it"))?;
        let key = PrivateKeyDer::from_pem_slice(&content.1)
            .map_err(|error| TlsError::content(&files.key, error))?;
        let expires_at =
            expiry(leaf).map_err(|what| TlsError::content(&files.certificate, what))?;
        let config = |alpn: &[&[u8]]| -> Result<Arc<ServerConfig>, TlsError> {
            let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(chain.clone(), key.clone_key())?;
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            Ok(Arc::new(config))
        };
        let mut scram = ScramServerAuth::new();
        if let Err(error) = scram.configure_certificate(&content.0) {
            tracing::warn!(%error, "clients cannot bind SCRAM to this certificate");
        }
        let mut postgresql = config(&[ALPN])?;
        // PostgreSQL's clients do not resume, and a ticket written to one that has gone already
        // would fail the handshake that its CancelRequest came with.
        if let Some(config) = Arc::get_mut(&mut postgresql) {
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        Ok(Self {
            postgresql,
            http: config(&[b"h2", b"http/1.1"])?,
            scram,
            chain: String::from_utf8_lossy(&content.0).into_owned(),
            expires_at,
            content,
        })
    }

    /// Whether a client that negotiated `alpn` may speak PostgreSQL directly.
    pub fn is_postgresql(alpn: Option<&[u8]>) -> bool {
        alpn == Some(ALPN)
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Result<Timestamp, String> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).map_err(|e| e.to_string())
}

fn make_self_signed(files: &ServerFiles, host: &str, now: Timestamp) -> Result<(), TlsError> {
    let mut names = vec![host.to_owned()];
    for name in ["localhost", "127.0.0.1", "::1"] {
        if name != host {
            names.push(name.to_owned());
        }
    }
    let mut params = rcgen::CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "hallpass, self-signed");
    let day = |seconds: i64| {
        let date = Timestamp::from_second(now.as_second() + seconds)
            .unwrap_or(Timestamp::MAX)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        rcgen::date_time_ymd(date.year().into(), month, day)
    };
    params.not_before = day(-24 * 3600);
    params.not_after = day(LASTS);
    let key = rcgen::KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
    write(&files.certificate, certificate.pem().as_bytes(), 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let error = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    // A new file rather than the old one's permissions.
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(error(source)),
        _ => {}
    }
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(content))
        .map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &tempfile::TempDir) -> ServerFiles {
        ServerFiles {
            certificate: dir.path().join("server.crt"),
            key: dir.path().join("server.key"),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_renewed_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = ServerTls::self_signed(files(&dir), "db.example.com", now()).unwrap();
        let again = ServerTls::self_signed(files(&dir), "db.example.com", now()).unwrap();
        assert_eq!(first.identity().chain, again.identity().chain);
        let late = Timestamp::from_second(first.identity().expires_at.as_second() - 1).unwrap();
        let renewed = ServerTls::self_signed(files(&dir), "db.example.com", late).unwrap();
        assert_ne!(first.identity().chain, renewed.identity().chain);
    }

    #[test]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        ServerTls::self_signed(files(&dir), "localhost", now()).unwrap();
        let mode = std::fs::metadata(files(&dir).key)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_new_certificate_is_refused_and_the_old_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let tls = ServerTls::self_signed(files(&dir), "localhost", now()).unwrap();
        let before = tls.identity().chain.clone();
        assert!(!tls.reload().unwrap(), "nothing changed");
        std::fs::write(files(&dir).certificate, "half a file").unwrap();
        assert!(tls.reload().is_err());
        assert_eq!(tls.identity().chain, before);
        make_self_signed(&files(&dir), "localhost", now()).unwrap();
        assert!(tls.reload().unwrap());
        assert_ne!(tls.identity().chain, before);
    }

    #[test]
    fn a_self_signed_certificate_can_be_bound_to() {
        let dir = tempfile::tempdir().unwrap();
        let tls = ServerTls::self_signed(files(&dir), "localhost", now()).unwrap();
        assert!(tls.identity().scram.supports_channel_binding());
    }
}
