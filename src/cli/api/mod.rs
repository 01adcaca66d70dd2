//! The REST API, as its client sees it: how calls are sent; the calls themselves are by noun.

mod audit;
mod client;
mod people;
mod requests;
mod server;
mod sessions;

use std::error::Error;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CliError;
use super::settings::Settings;
use crate::http::types::Problem;
use crate::secret::Secret;
use client::client;

/// How long the server is asked to hold a long poll, in seconds.
const POLL: u64 = 20;

/// The body of a call that says all by its path.
#[derive(Serialize)]
struct Nothing {}

/// A server, and the principal that a token stands for.
pub(super) struct Api {
    http: Client,
    url: String,
    token: Option<Secret>,
    source_of_token: String,
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
        })
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

    /// The answer, if it is a success.
    async fn respond(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refused(response).await),
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

    fn not_hallpass(&self, cause: &str) -> CliError {
        CliError::NotHallpass {
            url: self.url.clone(),
            cause: cause.to_owned(),
        }
    }

    /// Why no answer came.
    fn failed(&self, error: &reqwest::Error) -> CliError {
        let (url, cause) = (self.url.clone(), innermost(error));
        if cause.contains("certificate") {
            CliError::Untrusted { url, cause }
        } else if error.is_timeout() {
            CliError::TimedOut { url }
        } else {
            CliError::Unreachable { url, cause }
        }
    }
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::header::AUTHORIZATION;
    use axum::response::IntoResponse;
    use axum::routing::get;

    use super::*;
    use crate::http::types::Whoami;

    fn api(url: &str) -> Api {
        // The provider of the whole process: another test may have been first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Api::new(Settings {
            url: url.into(),
            token: Some((Secret::new("hpt_test"), "HALLPASS_TOKEN".into())),
            ca: None,
        })
        .unwrap()
    }

    async fn stand_in(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    async fn whoami_against(router: Router) -> Result<Whoami, CliError> {
        api(&stand_in(router).await).whoami().await
    }

    #[tokio::test]
    async fn the_token_goes_into_the_header_and_the_document_comes_back() {
        let router = Router::new().route(
            "/api/v1/whoami",
            get(|headers: HeaderMap| async move {
                assert_eq!(headers[AUTHORIZATION], "Bearer hpt_test");
                r#"{"name": "maya", "groups": ["engineers"], "added_later": 1}"#
            }),
        );
        let whoami = whoami_against(router).await.unwrap();
        assert_eq!(whoami.name.as_str(), "maya");
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_problems_words() {
        let router = Router::new().fallback(|| async {
            let body = r#"{"status": 409, "code": "conflict", "detail": "already denied"}"#;
            (StatusCode::CONFLICT, body).into_response()
        });
        let error = whoami_against(router).await.unwrap_err();
        assert_eq!(error.to_string(), "already denied");
    }

    #[tokio::test]
    async fn an_unknown_token_is_told_by_where_it_came_from() {
        let router = Router::new().fallback(|| async { StatusCode::UNAUTHORIZED });
        let error = whoami_against(router).await.unwrap_err();
        assert!(error.to_string().contains("HALLPASS_TOKEN"), "{error}");
        assert!(!format!("{error:?} {error}").contains("hpt_test"));
    }

    #[tokio::test]
    async fn some_other_server_is_not_taken_for_hallpass() {
        for status in [StatusCode::OK, StatusCode::BAD_GATEWAY, StatusCode::FOUND] {
            let router = Router::new().fallback(move || async move { (status, "<html>") });
            let error = whoami_against(router).await.unwrap_err();
            assert!(matches!(error, CliError::NotHallpass { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn when_nothing_answers_the_address_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = api(&url).whoami().await.unwrap_err();
        assert!(matches!(error, CliError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains(&url), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
