//! API tokens.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::auth::Authenticated;
use super::super::extract::{Json, Query, duration};
use super::super::once::KeyText;
use super::super::paging::{CursorText, Paged, window};
use super::super::problem::Rejection;
use super::super::types::{CreateToken, NewToken, TokenView};
use super::{ApiState, views};
use crate::access::TokenId;
use crate::control::{Error, MakeToken};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct List {
    #[serde(default)]
    #[param(inline)]
    owner: Owner,
    /// How many at most; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Where the page before ended.
    #[param(value_type = Option<CursorText>)]
    cursor: Option<String>,
}

#[derive(Deserialize, Default, PartialEq, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Owner {
    #[default]
    Me,
    Anybody,
}

/// One's own API tokens, or everybody's.
#[utoipa::path(
    get,
    path = "/tokens",
    operation_id = "listTokens",
    tag = "tokens",
    params(List),
    responses((status = 200, body = Vec<TokenView>, headers(("Link" = String, description = "The next page, if there is one: rel=\"next\"")))),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    Query(list): Query<List>,
) -> Result<Paged<TokenView>, Rejection> {
    let all = list.owner == Owner::Anybody;
    let window = window(list.limit, list.cursor.as_deref())?;
    let page = state.control.tokens_within(&caller, all, &window);
    Ok(Paged::of(page.await?, &uri, views::token))
}

/// Make an API token.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "makeToken",
    tag = "tokens",
    params(("Idempotency-Key" = Option<KeyText>, Header)),
    responses((status = 201, body = NewToken)),
)]
pub(super) async fn make(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Json(asked): Json<CreateToken>,
) -> Result<(StatusCode, Answer<NewToken>), Rejection> {
    let asked = MakeToken {
        owner: asked.owner,
        scope: asked.scope,
        lifetime: duration(&asked.lifetime)?,
        note: asked.note,
    };
    let made = state.control.make_token(&caller, asked).await?;
    Ok((StatusCode::CREATED, Answer(views::new_token(made))))
}

/// End an API token.
#[utoipa::path(
    delete,
    path = "/tokens/{id}",
    operation_id = "revokeToken",
    tag = "tokens",
    params(("id" = TokenId, Path)),
    responses((status = 200, body = TokenView)),
)]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Answer<TokenView>, Rejection> {
    let id = id.parse().map_err(|_| Error::NotFound("token"))?;
    let token = state.control.revoke_token(&caller, id).await?;
    Ok(Answer(views::token(token)))
}
