//! The REST API, as its client sees it.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CliError;
use super::out::{self, WARN, paint};
use super::settings::Settings;
use crate::access::{PrincipalName, RequestId, SessionId, TargetName, TokenId};
use crate::http::types::{
    AccountView, Approve, Approved, BeginOidc, ChangePassword, CloseReview, ConfigSummary,
    ConfirmTotp, ConnectionView, CreateAccount, CreateToken, Delegate, Delegation, Done,
    ExplainPolicy, Explanation, Extend, FinishOidc, Groups, HoldView, Login, NewToken, NotifyTest,
    OidcBegun, PolicyView, Problem, Reason, RecoveryCodes, RequestView, Reset, ReviewView,
    SessionSecret, SessionView, SetUp, ShowPassword, StatementsQuery, StatementsView,
    SubmitRequest, TargetView, TokenView, TotpBegun, TriedChannel, Whoami,
};
use crate::secret::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server is asked to hold a long poll, in seconds.
const POLL: u64 = 20;
/// Longer than a long poll may take.
const TIMEOUT: Duration = Duration::from_secs(POLL + 15);

/// What ends when either side goes, and not by itself.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);

/// The body of a call that says all by its path.
#[derive(Serialize)]
struct Nothing {}

/// What an attempt to end a sign-in is answered with.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Finished {
    Made(Box<NewToken>),
    NotYet(Done),
}

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

    /// Signs in, with nothing but what `login` says.
    pub(super) async fn login(&self, login: &Login) -> Result<NewToken, CliError> {
        let request = self.http.post(self.address("login")).json(login);
        self.receive(request).await
    }

    /// Begins to sign in with the OpenID provider.
    pub(super) async fn begin_oidc(&self, begin: &BeginOidc) -> Result<OidcBegun, CliError> {
        let request = self.http.post(self.address("login/oidc")).json(begin);
        self.receive(request).await
    }

    /// Ends it; `None` while nobody has agreed on the other device.
    pub(super) async fn finish_oidc(
        &self,
        finish: &FinishOidc,
    ) -> Result<Option<NewToken>, CliError> {
        let request = self.http.post(self.address("login/oidc/finish"));
        let answer: Finished = self.receive(request.json(finish)).await?;
        Ok(match answer {
            Finished::Made(made) => Some(*made),
            Finished::NotYet(_) => None,
        })
    }

    pub(super) async fn logout(&self) -> Result<TokenView, CliError> {
        self.post("logout", &Nothing {}).await
    }

    pub(super) async fn change_password(&self, change: &ChangePassword) -> Result<Done, CliError> {
        self.post("account/password", change).await
    }

    pub(super) async fn begin_totp(&self, show: &ShowPassword) -> Result<TotpBegun, CliError> {
        self.post("account/totp", show).await
    }

    pub(super) async fn confirm_totp(&self, code: &ConfirmTotp) -> Result<RecoveryCodes, CliError> {
        self.post("account/totp/confirm", code).await
    }

    pub(super) async fn remove_totp(&self, show: &ShowPassword) -> Result<Done, CliError> {
        let path = self.address("account/totp");
        self.send(self.http.delete(path).json(show)).await
    }

    pub(super) async fn accounts(&self) -> Result<Vec<AccountView>, CliError> {
        self.get("accounts").await
    }

    pub(super) async fn add_account(&self, new: &CreateAccount) -> Result<SetUp, CliError> {
        self.post("accounts", new).await
    }

    pub(super) async fn disable_account(
        &self,
        name: &PrincipalName,
        disable: bool,
    ) -> Result<AccountView, CliError> {
        let act = if disable { "disable" } else { "enable" };
        self.post(&format!("accounts/{name}/{act}"), &Nothing {})
            .await
    }

    pub(super) async fn reset_account(
        &self,
        name: &PrincipalName,
        reset: &Reset,
    ) -> Result<SetUp, CliError> {
        self.post(&format!("accounts/{name}/reset"), reset).await
    }

    pub(super) async fn set_groups(
        &self,
        name: &PrincipalName,
        groups: &Groups,
    ) -> Result<AccountView, CliError> {
        let path = self.address(&format!("accounts/{name}/groups"));
        self.send(self.http.put(path).json(groups)).await
    }

    /// One's own tokens, or everybody's.
    pub(super) async fn tokens(&self, all: bool) -> Result<Vec<TokenView>, CliError> {
        let owner = if all { "anybody" } else { "me" };
        self.list(&format!("tokens?owner={owner}&limit=500")).await
    }

    pub(super) async fn create_token(&self, asked: &CreateToken) -> Result<NewToken, CliError> {
        self.post("tokens", asked).await
    }

    pub(super) async fn revoke_token(&self, id: TokenId) -> Result<TokenView, CliError> {
        let path = self.address(&format!("tokens/{id}"));
        self.send(self.http.delete(path)).await
    }

    pub(super) async fn whoami(&self) -> Result<Whoami, CliError> {
        self.get("whoami").await
    }

    pub(super) async fn policy(&self) -> Result<PolicyView, CliError> {
        self.get("policy").await
    }

    pub(super) async fn config_summary(&self) -> Result<ConfigSummary, CliError> {
        self.get("config/summary").await
    }

    pub(super) async fn explain(&self, asked: &ExplainPolicy) -> Result<Explanation, CliError> {
        self.post("policy/explain", asked).await
    }

    pub(super) async fn targets(&self) -> Result<Vec<TargetView>, CliError> {
        self.get("targets").await
    }

    pub(super) async fn submit(&self, submission: &SubmitRequest) -> Result<RequestView, CliError> {
        self.post("requests", submission).await
    }

    /// Pending requests, or all.
    pub(super) async fn requests(&self, all: bool) -> Result<Vec<RequestView>, CliError> {
        let state = if all { "all" } else { "pending" };
        self.list(&format!("requests?state={state}&limit=500"))
            .await
    }

    /// A request, once it is no longer pending or the server gets tired of waiting.
    pub(super) async fn poll_request(&self, id: RequestId) -> Result<RequestView, CliError> {
        self.get(&format!("requests/{id}?wait={POLL}s")).await
    }

    pub(super) async fn approve(
        &self,
        id: RequestId,
        body: &Approve,
    ) -> Result<Approved, CliError> {
        self.post(&format!("requests/{id}/approve"), body).await
    }

    pub(super) async fn deny(
        &self,
        id: RequestId,
        reason: &Reason,
    ) -> Result<RequestView, CliError> {
        self.post(&format!("requests/{id}/deny"), reason).await
    }

    /// Tries the channels of notices out.
    pub(super) async fn notify_test(
        &self,
        test: &NotifyTest,
    ) -> Result<Vec<TriedChannel>, CliError> {
        self.post("notify/test", test).await
    }

    pub(super) async fn withdraw(&self, id: RequestId) -> Result<RequestView, CliError> {
        self.post(&format!("requests/{id}/withdraw"), &Nothing {})
            .await
    }

    /// Live sessions, or all.
    pub(super) async fn sessions(&self, all: bool) -> Result<Vec<SessionView>, CliError> {
        let state = if all { "all" } else { "live" };
        self.list(&format!("sessions?state={state}&limit=500"))
            .await
    }

    /// All sessions of somebody for a target, the newest first.
    pub(super) async fn sessions_of(
        &self,
        principal: &PrincipalName,
        target: &TargetName,
    ) -> Result<Vec<SessionView>, CliError> {
        let query = [
            ("state", "all"),
            ("principal", principal.as_str()),
            ("target", target.as_str()),
        ];
        self.send(self.http.get(self.address("sessions")).query(&query))
            .await
    }

    pub(super) async fn revoke(
        &self,
        id: SessionId,
        reason: &Reason,
    ) -> Result<SessionView, CliError> {
        self.post(&format!("sessions/{id}/revoke"), reason).await
    }

    pub(super) async fn extend(
        &self,
        id: SessionId,
        body: &Extend,
    ) -> Result<RequestView, CliError> {
        self.post(&format!("sessions/{id}/extend"), body).await
    }

    pub(super) async fn request(&self, id: RequestId) -> Result<RequestView, CliError> {
        self.get(&format!("requests/{id}")).await
    }

    /// Open reviews, or all.
    pub(super) async fn reviews(&self, all: bool) -> Result<Vec<ReviewView>, CliError> {
        let state = if all { "all" } else { "open" };
        self.list(&format!("reviews?state={state}&limit=500")).await
    }

    pub(super) async fn close_review(
        &self,
        session: SessionId,
        body: &CloseReview,
    ) -> Result<ReviewView, CliError> {
        self.post(&format!("reviews/{session}/close"), body).await
    }

    pub(super) async fn delegations(&self) -> Result<Vec<Delegation>, CliError> {
        self.get("delegations").await
    }

    pub(super) async fn delegate(&self, body: &Delegate) -> Result<Delegation, CliError> {
        self.post("delegations", body).await
    }

    pub(super) async fn end_delegation(&self, to: &PrincipalName) -> Result<Delegation, CliError> {
        let path = self.address(&format!("delegations/{to}"));
        self.send(self.http.delete(path)).await
    }

    pub(super) async fn secret(&self, id: SessionId) -> Result<SessionSecret, CliError> {
        self.post(&format!("sessions/{id}/secret"), &Nothing {})
            .await
    }

    /// The events from behind the one with the id `since`, as they come.
    pub(super) async fn events(&self, since: Option<&str>) -> Result<Response, CliError> {
        let request = self.http.get(self.address("events")).timeout(ENDLESS);
        let request = match since {
            Some(since) => request.header("Last-Event-ID", since),
            None => request,
        };
        self.respond(self.with_token(request)).await
    }

    pub(super) async fn connections(&self) -> Result<Vec<ConnectionView>, CliError> {
        self.get("connections").await
    }

    pub(super) async fn statements(
        &self,
        query: &StatementsQuery,
    ) -> Result<StatementsView, CliError> {
        let address = self.address("audit/statements");
        self.send(self.http.get(address).query(query)).await
    }

    pub(super) async fn holds(&self) -> Result<Vec<HoldView>, CliError> {
        self.get("audit/holds").await
    }

    pub(super) async fn place_hold(
        &self,
        session: SessionId,
        reason: &Reason,
    ) -> Result<HoldView, CliError> {
        let path = self.address(&format!("audit/holds/{session}"));
        self.send(self.http.put(path).json(reason)).await
    }

    pub(super) async fn release_hold(
        &self,
        session: SessionId,
        reason: &Reason,
    ) -> Result<HoldView, CliError> {
        let path = self.address(&format!("audit/holds/{session}"));
        self.send(self.http.delete(path).json(reason)).await
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

fn client(url: &str, ca: Option<&Path>) -> Result<Client, CliError> {
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
