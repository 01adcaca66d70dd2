//! Signing in with an OpenID provider, and exchanging a CI provider's token.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::super::auth::{NotForeign, Peer};
use super::super::extract::Json;
use super::super::problem::Rejection;
use super::super::types::{
    BeginOidc, Done, Exchanged, FinishOidc, NewToken, OidcBegun, TokenExchange,
};
use super::{ApiState, views};
use crate::secret::Secret;

/// How long a call waits for somebody on another device.
const WAIT: Duration = Duration::from_secs(25);

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const TOKENS: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
];
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Begin to sign in with the OpenID provider.
#[utoipa::path(
    post,
    path = "/login/oidc",
    operation_id = "beginOidc",
    tag = "people",
    security(()),
    responses((status = 200, body = OidcBegun)),
)]
pub(super) async fn begin(
    State(state): State<ApiState>,
    _: NotForeign,
    Peer(peer): Peer,
    Json(BeginOidc { redirect_uri }): Json<BeginOidc>,
) -> Result<Answer<OidcBegun>, Rejection> {
    state.throttle.check(peer)?;
    state.throttle.wrong(peer);
    let begun = match redirect_uri {
        Some(redirect) => state.control.begin_browser(&redirect, Some(peer)).await?,
        None => state.control.begin_device(Some(peer)).await?,
    };
    Ok(Answer(OidcBegun {
        flow: begun.flow.expose().to_owned(),
        address: begun.address,
        whole_address: begun.whole_address,
        code: begun.code,
        good: humantime::format_duration(begun.good).to_string(),
    }))
}

/// End it: 202 while nobody has agreed on the other device.
#[utoipa::path(
    post,
    path = "/login/oidc/finish",
    operation_id = "finishOidc",
    tag = "people",
    security(()),
    responses((status = 200, body = NewToken), (status = 202, body = Done)),
)]
pub(super) async fn finish(
    State(state): State<ApiState>,
    Peer(peer): Peer,
    Json(finish): Json<FinishOidc>,
) -> Result<Response, Rejection> {
    let flow = Secret::new(finish.flow);
    let control = &state.control;
    let made = match (finish.code, finish.state) {
        (Some(code), Some(given)) => {
            let made = control.finish_browser(&flow, &given, &code, Some(peer));
            Some(state.throttle.guess(peer, made).await?)
        }
        _ => {
            let made = control.finish_device(&flow, WAIT, Some(peer));
            state.throttle.guess(peer, made).await?
        }
    };
    Ok(match made {
        Some(made) => Answer(views::new_token(made)).into_response(),
        None => (StatusCode::ACCEPTED, Answer(Done {})).into_response(),
    })
}

/// Exchange a CI provider's token for one of hallpass (RFC 8693).
#[utoipa::path(
    post,
    path = "/token/exchange",
    operation_id = "exchangeToken",
    tag = "people",
    security(()),
    request_body(content = TokenExchange, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Exchanged)),
)]
pub(super) async fn exchange(
    State(state): State<ApiState>,
    _: NotForeign,
    Peer(peer): Peer,
    form: Result<Form<TokenExchange>, FormRejection>,
) -> Result<Answer<Exchanged>, Rejection> {
    let asked = form.ok().filter(|Form(asked)| {
        asked.grant_type == GRANT && TOKENS.contains(&asked.subject_token_type.as_str())
    });
    let Some(Form(asked)) = asked else {
        return Err(Rejection::invalid(format!(
            "send a form with grant_type={GRANT}, subject_token and subject_token_type={}",
            TOKENS[0]
        )));
    };
    let token = Secret::new(asked.subject_token);
    let made = state.control.exchange(&token, Some(peer));
    let made = state.throttle.guess(peer, made).await?;
    let good = made.token.expires_at.duration_since(made.token.created_at);
    let scope = made.token.scope.as_ref().map(ToString::to_string);
    Ok(Answer(Exchanged {
        access_token: made.secret.expose().to_owned(),
        issued_token_type: ACCESS_TOKEN.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: good.as_secs(),
        scope: scope.unwrap_or_default().replace(',', " "),
    }))
}
