//! The HTTP client by which providers are asked.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Certificate, Client, Request};

use super::OidcError;

/// How long a provider may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes.
const LONGEST: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
    #[error(transparent)]
    Malformed(#[from] openidconnect::http::Error),
    #[error("the answer is longer than {LONGEST} bytes")]
    Long,
}

/// Asks a provider, and nobody whom it names: redirects are not followed.
#[derive(Clone)]
pub(super) struct Http(Client);

impl Http {
    /// Trusts these certificates (PEM), or the system's.
    pub(super) fn new(ca: Option<&[u8]>) -> Result<Self, OidcError> {
        let failed = |error: reqwest::Error| OidcError::Provider(super::chain(&error));
        let mut builder = Client::builder()
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = ca {
            let certificates = Certificate::from_pem_bundle(pem).map_err(failed)?;
            builder = builder.tls_certs_only(certificates);
        }
        builder.build().map(Self).map_err(failed)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unanswered> {
        let request = Request::try_from(request)?;
        let mut response = self.0.execute(request).await?;
        let mut answer = openidconnect::http::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            if body.len() + piece.len() > LONGEST {
                return Err(Unanswered::Long);
            }
            body.extend_from_slice(&piece);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Unanswered;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Unanswered>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
