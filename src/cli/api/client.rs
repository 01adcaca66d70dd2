//! The HTTP client: whom it trusts, and how long it waits.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder};

use super::super::error::CliError;
use super::super::out::{self, WARN, paint};
use super::{POLL, innermost};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than a long poll may take.
const TIMEOUT: Duration = Duration::from_secs(POLL + 15);

/// A client for the server at `url`, which is trusted by `ca` or by public authorities.
pub(super) fn client(url: &str, ca: Option<&Path>) -> Result<Client, CliError> {
    let mut builder = ClientBuilder::new()
        .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // A token is for the server that it was given for, and for no other.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = ca {
        builder = builder.tls_certs_only(certificates(path)?);
    }
    if is_local(url) {
        builder = builder.no_proxy();
    } else if url.starts_with("http://") {
        let warning = paint(WARN, "warning:");
        out::note(&format!(
            "{warning} {url} is not encrypted; whoever listens gets your token"
        ));
    }
    builder.build().map_err(|error| CliError::Unreachable {
        url: url.to_owned(),
        cause: innermost(&error),
    })
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, CliError> {
    let bad = |what: String| CliError::BadFile {
        path: path.to_owned(),
        what,
    };
    let pem = fs::read(path).map_err(CliError::file(path))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| bad(innermost(&error)))?;
    if certificates.is_empty() {
        return Err(bad("there is no certificate (PEM) in it".into()));
    }
    Ok(certificates)
}

/// Whether the server is on this machine.
fn is_local(url: &str) -> bool {
    let host = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for url in [
            "http://localhost:1",
            "http://127.0.0.1:8432",
            "https://[::1]:1",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in ["https://hallpass.example.com", "http://10.0.0.1"] {
            assert!(!is_local(url), "{url}");
        }
    }
}
