//! S3's object lock: each segment is put with a date until which nobody may delete or replace it.
//!
//! object_store has no words for the two headers that say so, and a header that is not signed is
//! refused. So the request is taken on its way out, the headers are added, and it is signed again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use object_store::ClientOptions;
use object_store::aws::{
    AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider, Checksum,
};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::clock::Clock;

static MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
static UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
static CHECKSUM: HeaderName = HeaderName::from_static("x-amz-sdk-checksum-algorithm");
static HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// How firmly an object is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Who has a special permission may still delete it.
    Governance,
    /// Nobody may, not even the account's owner.
    Compliance,
}

/// How long nobody may delete or replace what was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// How firmly.
    pub mode: LockMode,
    /// From the moment of the upload on.
    pub retain: Duration,
}

/// An S3 client that puts segments under `lock`.
///
/// # Errors
/// What is wrong with the builder's settings.
pub(super) fn build(
    builder: AmazonS3Builder,
    lock: ObjectLock,
    clock: Clock,
) -> object_store::Result<AmazonS3> {
    // S3 demands a checksum of what it is to keep.
    let builder = builder.with_checksum_algorithm(Checksum::SHA256);
    // Where the credentials come from is the builder's business: ask one that it made.
    let credentials = Arc::clone(builder.clone().build()?.credentials());
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region);
    let connector = LockingConnector(Signer {
        lock,
        clock,
        credentials: Arc::clone(&credentials),
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
    });
    builder
        .with_credentials(credentials)
        .with_http_connector(connector)
        .build()
}

#[derive(Debug, Clone)]
struct Signer {
    lock: ObjectLock,
    clock: Clock,
    credentials: AwsCredentialProvider,
    region: String,
}

#[derive(Debug)]
struct LockingConnector(Signer);

impl HttpConnector for LockingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        let signer = self.0.clone();
        Ok(HttpClient::new(LockingService { client, signer }))
    }
}

#[derive(Debug)]
struct LockingService {
    client: HttpClient,
    signer: Signer,
}

#[async_trait]
impl HttpService for LockingService {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if makes_a_segment(
            request.method(),
            request.uri().path(),
            request.uri().query(),
        ) {
            let signed = self.signer.lock(&mut request).await;
            signed.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        }
        self.client.execute(request).await
    }
}

/// Whether this request makes an object that is to be kept: a part of one does not, nor does what
/// ends an upload in parts, only what begins it.
fn makes_a_segment(method: &Method, path: &str, query: Option<&str>) -> bool {
    let kept = path.ends_with(".jsonl.zst") || path.ends_with(".index.json");
    let asks = |wanted: &str| {
        let pairs = query.unwrap_or_default().split('&');
        pairs
            .into_iter()
            .any(|pair| pair.split('=').next() == Some(wanted))
    };
    kept && match *method {
        Method::PUT => !asks("partNumber"),
        Method::POST => asks("uploads"),
        _ => false,
    }
}

impl Signer {
    async fn lock(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        let mode = match self.lock.mode {
            LockMode::Governance => "GOVERNANCE",
            LockMode::Compliance => "COMPLIANCE",
        };
        let until = until(self.clock.now(), self.lock.retain);
        let headers = request.headers_mut();
        headers.remove(AUTHORIZATION);
        headers.insert(&MODE, HeaderValue::from_static(mode));
        headers.insert(&UNTIL, until);
        // S3 looks for this one, or Content-MD5; the checksum itself is there already.
        headers.insert(&CHECKSUM, HeaderValue::from_static("SHA256"));
        let digest = payload_digest(headers);
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .with_sign_payload(digest.is_some())
            .try_authorize(request, digest.as_deref())
    }
}

/// The date that S3 is told, in whole seconds.
fn until(now: Timestamp, retain: Duration) -> HeaderValue {
    let until = now.saturating_add(retain).unwrap_or(Timestamp::MAX);
    let seconds = Timestamp::from_second(until.as_second()).unwrap_or(until);
    HeaderValue::from_str(&seconds.to_string()).expect("a date is plain ASCII")
}

/// What the first signature says of the payload; `None`: that it is not signed.
fn payload_digest(headers: &HeaderMap) -> Option<Vec<u8>> {
    let digest = headers.get(&HASH)?.to_str().ok()?.as_bytes();
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    digest.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_a_segment_is_locked() {
        let zst = "/bucket/p/00000000000000000001.jsonl.zst";
        let index = "/bucket/p/00000000000000000001.index.json";
        for (method, path, query, locked) in [
            (Method::PUT, zst, None, true),
            (Method::PUT, index, None, true),
            (Method::POST, zst, Some("uploads"), true),
            (Method::POST, zst, Some("uploads="), true),
            (Method::PUT, zst, Some("partNumber=1&uploadId=x"), false),
            (Method::POST, zst, Some("uploadId=x"), false),
            (Method::GET, zst, None, false),
            (Method::PUT, "/bucket/p/HEAD", None, false),
        ] {
            assert_eq!(
                makes_a_segment(&method, path, query),
                locked,
                "{method} {path} {query:?}"
            );
        }
    }

    #[test]
    fn a_year_from_now_is_said_in_whole_seconds() {
        let now: Timestamp = "2026-11-22T09:04:45.747881937Z".parse().unwrap();
        let until = until(now, Duration::from_secs(365 * 24 * 3600));
        assert_eq!(until, "2027-11-22T09:04:45Z");
    }

    #[test]
    fn the_payload_is_signed_as_it_was() {
        let mut headers = HeaderMap::new();
        headers.insert(&HASH, HeaderValue::from_static("00ffa1"));
        assert_eq!(payload_digest(&headers), Some(vec![0, 255, 0xa1]));
        headers.insert(&HASH, HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        assert_eq!(payload_digest(&headers), None);
    }
}
