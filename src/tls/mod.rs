//! TLS by rustls: towards clients, and towards upstreams.
//!
//! Every configuration names its crypto provider (aws-lc-rs) itself: nothing here depends on what
//! another library installed for the process.

mod server;
mod stream;
mod upstream;

use std::path::PathBuf;

pub use server::{Identity, ServerFiles, ServerTls};
pub use stream::{MaybeTls, Rewound};
pub use upstream::{UpstreamTls, Verification, certificate_hash};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// rustls refuses the combination.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// A self-signed certificate cannot be made.
    #[error("making a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

impl TlsError {
    fn content(path: &std::path::Path, what: impl std::fmt::Display) -> Self {
        Self::Content {
            path: path.to_owned(),
            what: format!("{what}"),
        }
    }
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}
