//! Reading the audit, for auditors.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::auth::Authenticated;
use super::super::extract::{Query, duration};
use super::super::problem::Rejection;
use super::super::types::{AuditHead, SessionRecords, StatementsQuery, StatementsView};
use super::{ApiState, sessions};
use crate::access::SessionId;
use crate::audit::Outcome;
use crate::audit::search::{self, Ending, Events, RowCount, Scope, TextFilter};
use crate::control::Limits;

/// What is given if nothing is said.
const LIMIT: u64 = 100;
/// What is given at most.
const MAX_LIMIT: u64 = 1000;

/// Search the audit.
#[utoipa::path(
    get,
    path = "/audit/statements",
    operation_id = "searchStatements",
    tag = "audit",
    params(StatementsQuery),
    responses((status = 200, body = StatementsView)),
)]
pub(super) async fn statements(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    Query(query): Query<StatementsQuery>,
) -> Result<Answer<StatementsView>, Rejection> {
    let limits = Limits {
        oldest_first: query.oldest_first.unwrap_or(false),
        limit: limit(query.limit)?,
    };
    let (asked, query) = (asked(&uri), wanted(&query)?);
    let page = state.control.search_audit(&caller, &asked, query, limits);
    let page = page.await?;
    Ok(Answer(StatementsView {
        found: page.items,
        more: page.more,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Behind {
    /// The `seq` behind which they begin.
    #[serde(default)]
    #[param(default = 0)]
    after: u64,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

/// The records about a session.
#[utoipa::path(
    get,
    path = "/audit/sessions/{session}",
    operation_id = "sessionRecords",
    tag = "audit",
    params(Behind, ("session" = SessionId, Path)),
    responses((status = 200, body = SessionRecords)),
)]
pub(super) async fn session(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
    Path(id): Path<String>,
    Query(Behind { after, limit: many }): Query<Behind>,
) -> Result<Answer<SessionRecords>, Rejection> {
    let (from, limit) = ((sessions::parse(&id)?, int64(after)?), limit(many)?);
    let asked = asked(&uri);
    let page = state.control.session_records(&caller, &asked, from, limit);
    let page = page.await?;
    Ok(Answer(SessionRecords {
        records: page.items,
        more: page.more,
    }))
}

/// The last record's sequence and hash, and the key that signs.
#[utoipa::path(
    get,
    path = "/audit/head",
    operation_id = "auditHead",
    tag = "audit",
    responses((status = 200, body = AuditHead)),
)]
pub(super) async fn head(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    uri: Uri,
) -> Result<Answer<AuditHead>, Rejection> {
    let (head, key) = state.control.audit_head(&caller, &asked(&uri)).await?;
    Ok(Answer(AuditHead { head, key }))
}

/// What is asked, for the record: path and query behind `audit/`.
fn asked(uri: &Uri) -> String {
    let whole = uri.path_and_query().map_or("", |it| it.as_str());
    let behind = whole.split_once("/audit/").map_or(whole, |(_, it)| it);
    behind.to_owned()
}

/// A number within what the document calls `int64`.
fn int64(number: u64) -> Result<u64, Rejection> {
    match i64::try_from(number) {
        Ok(_) => Ok(number),
        Err(_) => Err(Rejection::invalid(format!("{number} is too large"))),
    }
}

fn limit(asked: Option<u64>) -> Result<usize, Rejection> {
    match asked.unwrap_or(LIMIT) {
        limit @ 1..=MAX_LIMIT => usize::try_from(limit)
            .map_err(|_| Rejection::invalid("the limit is too large for this machine")),
        _ => Err(Rejection::invalid(format!(
            "the limit is from 1 to {MAX_LIMIT}"
        ))),
    }
}

/// The query as the search takes it.
fn wanted(query: &StatementsQuery) -> Result<search::Query, Rejection> {
    Ok(search::Query {
        principals: list("principal", query.principal.as_deref())?,
        targets: list("target", query.target.as_deref())?,
        session: query.session,
        connection: query.connection,
        database: query.database.clone(),
        since: query.since,
        until: query.until,
        sqlstate: parsed("sqlstate", query.sqlstate.as_deref())?,
        tag: query.tag.clone(),
        table: parsed("table", query.table.as_deref())?,
        outcomes: outcomes(query.outcome.as_deref())?,
        text: text(query)?,
        longer: query.longer.as_deref().map(duration).transpose()?,
        rows: rows(query)?,
        events: one_of(
            "events",
            query.events.as_deref(),
            &[
                ("none", Events::None),
                ("also", Events::Also),
                ("only", Events::Only),
            ],
        )?,
    })
}

fn text(query: &StatementsQuery) -> Result<Option<TextFilter>, Rejection> {
    let scopes = [
        ("both", Scope::Both),
        ("sql", Scope::Sql),
        ("parameters", Scope::Parameters),
    ];
    let scope = one_of("in", query.scope.as_deref(), &scopes)?;
    let Some(text) = &query.text else {
        return Ok(None);
    };
    let filter = match query.regex.unwrap_or(false) {
        true => TextFilter::pattern(text, scope),
        false => TextFilter::literal(text, scope),
    };
    let invalid = |error| Rejection::unprocessable(format!("text: {error}"));
    filter.map(Some).map_err(invalid)
}

fn rows(query: &StatementsQuery) -> Result<Option<RowCount>, Rejection> {
    let from = query.rows_from.map(int64).transpose()?;
    let to = query.rows_to.map(int64).transpose()?;
    let is_asked = from.is_some() || to.is_some();
    Ok(is_asked.then(|| RowCount {
        from: from.unwrap_or(0),
        to: to.unwrap_or(u64::MAX),
    }))
}

fn outcomes(text: Option<&str>) -> Result<Vec<Ending>, Rejection> {
    const ENDINGS: [(&str, Ending); 6] = [
        ("completed", Ending::As(Outcome::Completed)),
        ("failed", Ending::As(Outcome::Failed)),
        ("skipped", Ending::As(Outcome::Skipped)),
        ("suspended", Ending::As(Outcome::Suspended)),
        ("unknown", Ending::As(Outcome::Unknown)),
        ("running", Ending::None),
    ];
    let names = text.into_iter().flat_map(|text| text.split(','));
    names.map(|name| word("outcome", name, &ENDINGS)).collect()
}

fn one_of<T: Copy>(key: &str, text: Option<&str>, words: &[(&str, T)]) -> Result<T, Rejection> {
    word(key, text.unwrap_or(words[0].0), words)
}

fn word<T: Copy>(key: &str, text: &str, words: &[(&str, T)]) -> Result<T, Rejection> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Rejection::invalid(format!("{key}: {text:?} is none of {}", words.join(", ")))
    })
}

fn list<T: std::str::FromStr<Err: std::fmt::Display>>(
    key: &str,
    text: Option<&str>,
) -> Result<Vec<T>, Rejection> {
    let items = text.into_iter().flat_map(|text| text.split(','));
    items.map(|item| parse(key, item)).collect()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    key: &str,
    text: Option<&str>,
) -> Result<Option<T>, Rejection> {
    text.map(|text| parse(key, text)).transpose()
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    key: &str,
    text: &str,
) -> Result<T, Rejection> {
    let invalid = |error| Rejection::unprocessable(format!("{key}: {error}"));
    text.parse().map_err(invalid)
}
