//! Signing in, accounts, and what proves that one is somebody's.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::auth::{Authenticated, Bearer, Peer};
use super::super::extract::Json;
use super::super::problem::Rejection;
use super::super::types::{
    AccountView, ChangePassword, ConfirmTotp, CreateAccount, Done, Groups, Login, NewToken,
    RecoveryCodes, Reset, SetUp, ShowPassword, TokenView, TotpBegun,
};
use super::{ApiState, views};
use crate::control::{NewAccount, Own, SignIn};
use crate::secret::Secret;

/// `POST login`
pub(super) async fn login(
    State(state): State<ApiState>,
    Peer(peer): Peer,
    Json(login): Json<Login>,
) -> Result<Answer<NewToken>, Rejection> {
    let asked = SignIn {
        name: login.name,
        password: Secret::new(login.password),
        code: login.code.filter(|code| !code.trim().is_empty()),
        new_password: login.new_password.map(Secret::new),
    };
    let made = state.control.sign_in(asked, Some(peer));
    let made = state.throttle.guess(peer, made).await?;
    Ok(Answer(views::new_token(made)))
}

/// `POST logout`
pub(super) async fn logout(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Bearer(token): Bearer,
) -> Result<Answer<TokenView>, Rejection> {
    let token = state.control.sign_out(&caller, &token).await?;
    Ok(Answer(views::token(token)))
}

/// `GET accounts`
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<Vec<AccountView>>, Rejection> {
    let accounts = state.control.accounts(&caller).await?;
    Ok(Answer(accounts.into_iter().map(views::account).collect()))
}

/// `POST accounts`
pub(super) async fn add(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(new): Json<CreateAccount>,
) -> Result<(StatusCode, Answer<SetUp>), Rejection> {
    let new = NewAccount {
        name: new.name,
        groups: new.groups,
        email: new.email,
        service: new.service,
    };
    let (account, code) = state.control.add_account(&caller, new).await?;
    let answer = views::set_up(account, code);
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// `POST accounts/{name}/disable`
pub(super) async fn disable(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<Answer<AccountView>, Rejection> {
    let account = state.control.disable_account(&caller, &name, true).await?;
    Ok(Answer(views::account(account)))
}

/// `POST accounts/{name}/enable`
pub(super) async fn enable(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<Answer<AccountView>, Rejection> {
    let account = state.control.disable_account(&caller, &name, false).await?;
    Ok(Answer(views::account(account)))
}

/// `POST accounts/{name}/reset`
pub(super) async fn reset(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(Reset { totp }): Json<Reset>,
) -> Result<Answer<SetUp>, Rejection> {
    let (account, code) = state.control.reset_account(&caller, &name, totp).await?;
    Ok(Answer(views::set_up(account, Some(code))))
}

/// `PUT accounts/{name}/groups`
pub(super) async fn groups(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(Groups { groups }): Json<Groups>,
) -> Result<Answer<AccountView>, Rejection> {
    let account = state.control.set_groups(&caller, &name, groups).await?;
    Ok(Answer(views::account(account)))
}

/// `POST account/password`
pub(super) async fn password(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Peer(peer): Peer,
    Json(change): Json<ChangePassword>,
) -> Result<Answer<Done>, Rejection> {
    let new = Secret::new(change.new_password);
    let own = own(change.password, change.code);
    let changed = state.control.change_password(&caller, own, new);
    state.throttle.guess(peer, changed).await?;
    Ok(Answer(Done {}))
}

/// `POST account/totp`
pub(super) async fn begin_totp(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Peer(peer): Peer,
    Json(show): Json<ShowPassword>,
) -> Result<Answer<TotpBegun>, Rejection> {
    let own = own(show.password, show.code);
    let totp = state.control.begin_totp(&caller, own);
    let totp = state.throttle.guess(peer, totp).await?;
    let address = totp.address().expose().to_owned();
    Ok(Answer(TotpBegun { address }))
}

/// `POST account/totp/confirm`
pub(super) async fn confirm_totp(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(ConfirmTotp { code }): Json<ConfirmTotp>,
) -> Result<Answer<RecoveryCodes>, Rejection> {
    let codes = state.control.confirm_totp(&caller, &code).await?;
    let codes = codes.iter().map(|code| code.expose().to_owned());
    Ok(Answer(RecoveryCodes {
        recovery_codes: codes.collect(),
    }))
}

/// `DELETE account/totp`
pub(super) async fn remove_totp(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Peer(peer): Peer,
    Json(show): Json<ShowPassword>,
) -> Result<Answer<Done>, Rejection> {
    let own = own(show.password, show.code);
    let removed = state.control.remove_totp(&caller, own);
    state.throttle.guess(peer, removed).await?;
    Ok(Answer(Done {}))
}

fn own(password: String, code: Option<String>) -> Own {
    Own {
        password: Secret::new(password),
        code: code.filter(|code| !code.trim().is_empty()),
    }
}
