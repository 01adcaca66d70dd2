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
use crate::access::PrincipalName;
use crate::control::{NewAccount, Own, SignIn};
use crate::secret::Secret;

/// Sign in with a password.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "signIn",
    tag = "people",
    security(()),
    responses((status = 200, body = NewToken)),
)]
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

/// End the token that the call comes with.
#[utoipa::path(
    post,
    path = "/logout",
    operation_id = "signOut",
    tag = "people",
    responses((status = 200, body = TokenView)),
)]
pub(super) async fn logout(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Bearer(token): Bearer,
) -> Result<Answer<TokenView>, Rejection> {
    let token = state.control.sign_out(&caller, &token).await?;
    Ok(Answer(views::token(token)))
}

/// All accounts.
#[utoipa::path(
    get,
    path = "/accounts",
    operation_id = "listAccounts",
    tag = "people",
    responses((status = 200, body = Vec<AccountView>)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<Vec<AccountView>>, Rejection> {
    let accounts = state.control.accounts(&caller).await?;
    Ok(Answer(accounts.into_iter().map(views::account).collect()))
}

/// Add an account.
#[utoipa::path(
    post,
    path = "/accounts",
    operation_id = "addAccount",
    tag = "people",
    responses((status = 201, body = SetUp)),
)]
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

/// Keep an account out, and end its sessions.
#[utoipa::path(
    post,
    path = "/accounts/{name}/disable",
    operation_id = "disableAccount",
    tag = "people",
    params(("name" = PrincipalName, Path)),
    responses((status = 200, body = AccountView)),
)]
pub(super) async fn disable(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<Answer<AccountView>, Rejection> {
    let account = state.control.disable_account(&caller, &name, true).await?;
    Ok(Answer(views::account(account)))
}

/// Let an account in again.
#[utoipa::path(
    post,
    path = "/accounts/{name}/enable",
    operation_id = "enableAccount",
    tag = "people",
    params(("name" = PrincipalName, Path)),
    responses((status = 200, body = AccountView)),
)]
pub(super) async fn enable(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
) -> Result<Answer<AccountView>, Rejection> {
    let account = state.control.disable_account(&caller, &name, false).await?;
    Ok(Answer(views::account(account)))
}

/// Replace an account's password by a new code to set it up with.
#[utoipa::path(
    post,
    path = "/accounts/{name}/reset",
    operation_id = "resetAccount",
    tag = "people",
    params(("name" = PrincipalName, Path)),
    responses((status = 200, body = SetUp)),
)]
pub(super) async fn reset(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(Reset { totp }): Json<Reset>,
) -> Result<Answer<SetUp>, Rejection> {
    let (account, code) = state.control.reset_account(&caller, &name, totp).await?;
    Ok(Answer(views::set_up(account, code)))
}

/// Say which groups an account has.
#[utoipa::path(
    put,
    path = "/accounts/{name}/groups",
    operation_id = "setGroups",
    tag = "people",
    params(("name" = PrincipalName, Path)),
    responses((status = 200, body = AccountView)),
)]
pub(super) async fn groups(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(name): Path<String>,
    Json(Groups { groups }): Json<Groups>,
) -> Result<Answer<AccountView>, Rejection> {
    let account = state.control.set_groups(&caller, &name, groups).await?;
    Ok(Answer(views::account(account)))
}

/// Change one's own password.
#[utoipa::path(
    post,
    path = "/account/password",
    operation_id = "changePassword",
    tag = "people",
    responses((status = 200, body = Done)),
)]
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

/// Begin with a second factor.
#[utoipa::path(
    post,
    path = "/account/totp",
    operation_id = "beginTotp",
    tag = "people",
    responses((status = 200, body = TotpBegun)),
)]
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

/// Show that the second factor works.
#[utoipa::path(
    post,
    path = "/account/totp/confirm",
    operation_id = "confirmTotp",
    tag = "people",
    responses((status = 200, body = RecoveryCodes)),
)]
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

/// Do without a second factor from now on.
#[utoipa::path(
    delete,
    path = "/account/totp",
    operation_id = "removeTotp",
    tag = "people",
    responses((status = 200, body = Done)),
)]
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
