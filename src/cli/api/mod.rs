//! The REST API, as its client sees it: how calls are sent; the calls themselves are by noun.

mod again;
mod audit;
mod client;
mod people;
mod requests;
mod server;
mod sessions;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use std::error::Error;

use reqwest::header::{HeaderMap, IF_MATCH, LINK};
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CliError;
use super::settings::Settings;
use crate::http::types::Problem;
use crate::secret::Secret;
use again::{Failed, KEY, Patience, Tries};
use client::client;

/// How long the server is asked to hold a long poll, in seconds.
const POLL: u64 = 20;

/// What rustls says of an answer that is no TLS.
const NO_TLS: &str = "InvalidContentType";
/// What hyper says of an answer that is no HTTP, as one in TLS is none.
const NO_HTTP: &str = "invalid HTTP version";

/// The body of a call that says all by its path.
#[derive(Serialize)]
struct Nothing {}

/// A server, and the principal that a token stands for.
pub(super) struct Api {
    http: Client,
    url: String,
    token: Option<Secret>,
    source_of_token: String,
    patience: Patience,
}

impl Api {
    /// A client for the server of `settings`. Nothing is sent yet.
    pub(super) fn new(settings: Settings) -> Result<Self, CliError> {
        match settings.token {
            None => Err(CliError::NoToken { url: settings.url }),
            Some(_) => Self::for_anybody(settings),
        }
    }

    /// A client that may have no token: for signing in.
    pub(super) fn for_anybody(settings: Settings) -> Result<Self, CliError> {
        let Settings { url, token, ca } = settings;
        let http = client(&url, ca.as_deref())?;
        let (token, source_of_token) = token.unzip();
        Ok(Self {
            http,
            url,
            token,
            source_of_token: source_of_token.unwrap_or_default(),
            patience: Patience::SOME,
        })
    }

    /// The same, but nothing is sent again: for who asks every second, or does not wait.
    pub(super) fn impatient(mut self) -> Self {
        self.patience = Patience::NONE;
        self
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.send(self.http.get(self.address(path))).await
    }

    /// All pages of a list.
    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CliError> {
        let mut items = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.take() {
            let response = self.respond(self.with_token(self.http.get(self.address(&path))));
            let response = response.await?;
            next = next_page(response.headers());
            items.append(&mut self.document::<Vec<T>>(response).await?);
        }
        Ok(items)
    }

    async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.send(self.http.post(self.address(path)).json(body))
            .await
    }

    /// What creates something, once: the server knows by the key what it had before.
    async fn create<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        let call = self.http.post(self.address(path)).json(body);
        self.send(call.header(KEY, key())).await
    }

    /// What changes something, if it is still as it was `seen`.
    async fn change<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        seen: Option<u64>,
        body: &B,
    ) -> Result<T, CliError> {
        let call = self.http.post(self.address(path)).json(body);
        match seen {
            Some(version) => {
                self.send(call.header(IF_MATCH, format!("\"{version}\"")))
                    .await
            }
            None => self.send(call).await,
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.url)
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        self.receive(self.with_token(request)).await
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn receive<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let response = self.respond(request).await?;
        self.document(response).await
    }

    /// The answer, if it is a success. What may be sent again, is.
    async fn respond(&self, request: RequestBuilder) -> Result<Response, CliError> {
        self.respond_with(request, self.patience).await
    }

    async fn respond_with(
        &self,
        request: RequestBuilder,
        patience: Patience,
    ) -> Result<Response, CliError> {
        let request = request.build().map_err(|error| self.failed(&error))?;
        let mut tries = Tries::of(&request, patience);
        loop {
            let copy = request.try_clone().expect("no body of ours is a stream");
            let failed = match self.attempt(copy).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            match tries.after(&failed) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(tries.verdict(failed, &self.url)),
            }
        }
    }

    async fn attempt(&self, request: Request) -> Result<Response, Failed> {
        let answer = self.http.execute(request).await;
        let response = answer.map_err(|error| Failed {
            error: self.failed(&error),
            status: None,
            unsent: error.is_connect(),
        })?;
        let status = response.status();
        match status.is_success() {
            true => Ok(response),
            false => Err(Failed {
                error: self.refused(response).await,
                status: Some(status),
                unsent: false,
            }),
        }
    }

    async fn document<T: DeserializeOwned>(&self, response: Response) -> Result<T, CliError> {
        let body = response
            .bytes()
            .await
            .map_err(|error| self.failed(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.not_hallpass(&error.to_string()))
    }

    /// What an answer other than 2xx says.
    async fn refused(&self, response: Response) -> CliError {
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let problem = serde_json::from_slice::<Problem>(&body);
        let told = |problem: &Problem| problem.code != "unauthenticated";
        if status == StatusCode::UNAUTHORIZED && !problem.as_ref().is_ok_and(told) {
            return CliError::Unauthorized {
                url: self.url.clone(),
                source_of_token: self.source_of_token.clone(),
            };
        }
        match problem {
            Ok(problem) => CliError::Problem(Problem {
                detail: super::human::clean(&problem.detail),
                ..problem
            }),
            Err(_) => self.not_hallpass(&format!("it answered {status}")),
        }
    }

    /// Nothing came for too long.
    pub(super) fn silent(&self) -> CliError {
        CliError::TimedOut {
            url: self.url.clone(),
        }
    }

    pub(super) fn not_hallpass(&self, cause: &str) -> CliError {
        CliError::NotHallpass {
            url: self.url.clone(),
            cause: cause.to_owned(),
        }
    }

    /// Why no answer came.
    pub(super) fn failed(&self, error: &reqwest::Error) -> CliError {
        let (url, cause) = (self.url.clone(), innermost(error));
        if cause.contains("certificate") {
            CliError::Untrusted { url, cause }
        } else if cause.contains(NO_TLS) || cause.contains(NO_HTTP) {
            CliError::WrongScheme { url }
        } else if error.is_timeout() {
            CliError::TimedOut { url }
        } else {
            CliError::Unreachable { url, cause }
        }
    }
}

/// A key that no other call has.
fn key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The path behind `/api/v1/` of the page that an answer links to.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (address, relation) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = relation.contains("rel=\"next\"");
    let path = address.strip_prefix("/api/v1/").filter(|_| is_next)?;
    Some(path.to_owned())
}

/// The cause at the bottom: the layers above it say the same with more words.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
