//! The REST API's documents, shared by the server and the CLI.
//!
//! Times are RFC 3339; durations are text like `30m` or `1h 30m`.

mod configuration;
mod events;
mod people;
mod text;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use crate::access::Delegation;
use crate::access::{
    Approval, ConnectionId, Grantor, PrincipalName, RequestId, RequestKind, RequestState,
    ReviewState, Scope, SessionId, SessionState, TargetName,
};
use crate::audit::search::Found;
use crate::audit::{Head, PublicKey, Record};
use crate::control::{Action, PolicyFile};

/// The answer to `POST /api/v1/policy/explain`.
pub use crate::control::Explanation;

pub use configuration::*;
pub use events::*;
pub use people::*;
pub use text::{AddressText, DurationText};

/// `GET /api/v1/whoami`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// Who the token belongs to.
    pub name: PrincipalName,
    /// Their groups.
    pub groups: Vec<String>,
    /// Whether they showed a second factor.
    #[serde(default)]
    pub mfa: bool,
    /// What the token lets its bearer do of what they may; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

/// An item of `GET /api/v1/targets`: a target that the caller may request or approve.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// Its name.
    pub name: TargetName,
    /// What it is.
    pub description: String,
    /// Its databases; `["*"]` for all.
    pub databases: Vec<String>,
    /// The database of a client that names none.
    pub default_database: String,
    /// The longest session.
    pub max_duration: String,
    /// Where it belongs: `production`, `staging`, ...
    #[serde(default)]
    pub environment: String,
    /// Whether its role is said to only read.
    #[serde(default)]
    pub read_only: bool,
    /// Whether the caller may request it.
    pub may_request: bool,
    /// Whether the caller may approve requests for it.
    pub may_approve: bool,
}

/// `POST /api/v1/requests`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// What is asked for.
    pub target: TargetName,
    /// For how long.
    #[schema(value_type = DurationText)]
    pub duration: String,
    /// Why.
    #[schema(min_length = 1, example = "INC-4312 stuck refunds")]
    pub reason: String,
    /// When the session is to begin, if not at its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// At once, approved by nobody and reviewed afterwards.
    #[serde(default, skip_serializing_if = "is_false")]
    pub break_glass: bool,
}

/// `POST /api/v1/sessions/{id}/extend`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// How much longer.
    #[schema(value_type = DurationText)]
    pub duration: String,
    /// Why.
    #[schema(min_length = 1, example = "INC-4312 stuck refunds")]
    pub reason: String,
}

/// The stage of an approval that a request is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    /// Its number, from 1.
    pub number: u32,
    /// How many stages there are.
    pub of: u32,
    /// How many have approved in it.
    pub given: u32,
    /// How many have to.
    pub needed: u32,
    /// Whom it names, as principals and `@groups`, with those to whom it has escalated; empty:
    /// anybody whom the policy lets.
    pub approvers: Vec<String>,
    /// When it escalates, if that is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalates_at: Option<Timestamp>,
}

/// An access request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// Its name.
    pub id: RequestId,
    /// Who asks.
    pub requester: PrincipalName,
    /// For what.
    pub target: TargetName,
    /// What it asks for: `session`, `extension` or `break_glass`.
    #[serde(default)]
    pub kind: RequestKind,
    /// The session that it would extend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<SessionId>,
    /// For how long; or how much longer.
    pub duration: String,
    /// Why.
    pub reason: String,
    /// The ticket that the reason names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When the session is to begin, if not at its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it lapses if nobody decides.
    pub lapses_at: Timestamp,
    /// Where it stands.
    #[serde(flatten)]
    pub state: RequestState,
    /// The stage that it is in, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageView>,
    /// Who has approved, in order.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// Who may approve it now, of all whom hallpass knows; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deciders: Vec<PrincipalName>,
    /// Whether the caller may decide it.
    pub may_decide: bool,
    /// Grows by one with each change.
    #[serde(default)]
    pub version: u64,
}

/// `POST /api/v1/requests/{id}/approve`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// For how long, if shorter than asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationText>)]
    pub duration: Option<String>,
}

/// `POST /api/v1/requests/{id}/deny`, `POST /api/v1/sessions/{id}/revoke`, and `PUT` and `DELETE
/// /api/v1/audit/holds/{session}`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why. Required for all but a revocation.
    #[serde(default)]
    pub reason: String,
}

/// The answer to an approval.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Approved {
    /// The request as it stands now.
    pub request: RequestView,
    /// The session that it became, or made longer; absent while more have to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionView>,
}

/// `POST /api/v1/notify/test`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTest {
    /// The only channel to try; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// An item of the answer to `POST /api/v1/notify/test`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TriedChannel {
    /// The channel: `slack`, `email`, or a webhook's name.
    pub channel: String,
    /// To whom, where it has recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Whether it got there.
    pub delivered: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long that took, in milliseconds.
    pub milliseconds: u64,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its name.
    pub id: SessionId,
    /// The request that it came from.
    pub request: RequestId,
    /// Who holds it.
    pub principal: PrincipalName,
    /// What it opens.
    pub target: TargetName,
    /// Why it was asked for.
    pub reason: String,
    /// Who granted it: `dana`, `dana, lee`, `policy staging-alone`.
    pub approved_by: Grantor,
    /// When it began, or begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where it stands.
    #[serde(flatten)]
    pub state: SessionState,
    /// Connections open under it now.
    pub connections: usize,
    /// Grows by one with each change.
    #[serde(default)]
    pub version: u64,
}

/// A review: what is left of a broken glass until somebody else has looked at it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReviewView {
    /// The session that was taken without anybody's approval.
    pub session: SessionId,
    /// The request that it came from.
    pub request: RequestId,
    /// Who took it.
    pub principal: PrincipalName,
    /// What it opened.
    pub target: TargetName,
    /// Why they said they did.
    pub reason: String,
    /// When.
    pub opened_at: Timestamp,
    /// Where it stands.
    #[serde(flatten)]
    pub state: ReviewState,
}

/// `POST /api/v1/reviews/{session}/close`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseReview {
    /// What was found.
    #[schema(min_length = 1, example = "as it should be")]
    pub note: String,
}

/// `POST /api/v1/delegations`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// Who may decide by the caller's powers.
    pub to: PrincipalName,
    /// Until when.
    pub until: Timestamp,
}

/// `POST /api/v1/sessions/{id}/secret`: all that a client needs to connect.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionSecret {
    /// The session.
    pub session: SessionId,
    /// The proxy's host, as clients reach it.
    pub host: String,
    /// The proxy's port.
    pub port: u16,
    /// PostgreSQL's `user`: `principal~target`.
    pub user: String,
    /// The target's default database.
    pub database: String,
    /// The session's secret, PostgreSQL's `password`.
    pub password: String,
    /// libpq's `sslmode` that fits the proxy: `verify-full` or, with TLS off, `disable`.
    pub sslmode: String,
    /// The certificates to trust, in PEM, where the proxy's is not from a public authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<String>,
    /// When the session ends.
    pub expires_at: Timestamp,
}

/// An item of `GET /api/v1/connections`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConnectionView {
    /// Its name.
    pub id: ConnectionId,
    /// Its session.
    pub session: SessionId,
    /// Who holds the session.
    pub principal: PrincipalName,
    /// What it reaches.
    pub target: TargetName,
    /// In which database.
    pub database: String,
    /// Where the client dials from.
    pub peer: String,
    /// What the client calls itself.
    pub application_name: String,
    /// When it was admitted.
    pub opened_at: Timestamp,
}

/// An item of `GET /api/v1/audit/holds`: a session whose records are not to be deleted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    /// The session, over or not.
    pub session: SessionId,
    /// Who holds, or held, the session.
    pub principal: PrincipalName,
    /// What it opened.
    pub target: TargetName,
    /// The auditor who wants its records kept.
    pub held_by: PrincipalName,
    /// Since when.
    pub held_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// The query of `GET /api/v1/audit/statements`: all that is given has to hold. Lists are separated
/// by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatementsQuery {
    /// Text in SQL or parameters; in any case, unless it has a capital letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `text` is a regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<bool>,
    /// Where `text` is looked for: `both` (default), `sql` or `parameters`.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    #[param(pattern = "^(both|sql|parameters)$")]
    pub scope: Option<String>,
    /// Who ran them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(pattern = "^[A-Za-z0-9._+@-]{1,63}(,[A-Za-z0-9._+@-]{1,63})*$")]
    pub principal: Option<String>,
    /// What they reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(pattern = "^[a-z0-9-]{1,63}(,[a-z0-9-]{1,63})*$")]
    pub target: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Begun then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Begun before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The code of their failure, or its beginning and a star: `42P01`, `42*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(pattern = r"^([0-9A-Z]{5}|[0-9A-Z]{1,4}\*)$")]
    pub sqlstate: Option<String>,
    /// What they did: `UPDATE`, `CREATE TABLE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// A table that they name: `orders`, `public.orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// How they ended: `completed`, `failed`, `skipped`, `suspended`, `unknown`, `running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(
        pattern = "^(completed|failed|skipped|suspended|unknown|running)(,(completed|failed|skipped|suspended|unknown|running))*$"
    )]
    pub outcome: Option<String>,
    /// They took longer: `5s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<DurationText>)]
    pub longer: Option<String>,
    /// They returned at least so many rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_from: Option<u64>,
    /// They returned at most so many rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_to: Option<u64>,
    /// Records that are not of statements: `none` (default), `also` or `only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(pattern = "^(none|also|only)$")]
    pub events: Option<String>,
    /// The oldest first, not the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_first: Option<bool>,
    /// At most so many: 100 by default, 1000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u64>,
}

/// `GET /api/v1/audit/statements`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementsView {
    /// What was found, as `hallpass audit search --output json` prints it.
    #[schema(value_type = Vec<Object>)]
    pub found: Vec<Found>,
    /// Whether there is more than the limit, or than one answer holds (16 MiB).
    pub more: bool,
}

/// `GET /api/v1/audit/sessions/{id}`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionRecords {
    /// The records about the session, as they stand in the log.
    #[schema(value_type = Vec<Object>)]
    pub records: Vec<Record>,
    /// Whether there are more: ask for those behind the last one's `seq`.
    pub more: bool,
}

/// `GET /api/v1/audit/head`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// The last record's sequence and hash.
    #[serde(flatten)]
    pub head: Head,
    /// The key that signs the log, in base64.
    pub key: PublicKey,
}

/// `GET /api/v1/policy`: the policies in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Their files, as they are written.
    pub files: Vec<PolicyFile>,
}

/// `POST /api/v1/policy/explain`: may somebody do something, and why?
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPolicy {
    /// What: `request`, `approve`, ..
    pub action: Action,
    /// With which target; none for `readAudit` and `administer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
    /// Who; the caller if absent. Others only for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalName>,
    /// As if they were in these groups. Only for administrators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// As if they had, or had not, proved it with a second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<bool>,
    /// As if they called from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AddressText>)]
    pub address: Option<IpAddr>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationText>)]
    pub duration: Option<String>,
    /// How long the session would be altogether, if more of it is asked for; as long as `duration`
    /// if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DurationText>)]
    pub total: Option<String>,
    /// When; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket that the reason names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Whose request, session or review it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<PrincipalName>,
    /// Which stage of the approval, from 1.
    #[serde(
        default,
        deserialize_with = "text::whole",
        skip_serializing_if = "Option::is_none"
    )]
    pub stage: Option<u32>,
    /// How often the session has been extended.
    #[serde(
        default,
        deserialize_with = "text::whole",
        skip_serializing_if = "Option::is_none"
    )]
    pub extensions: Option<u32>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The code of the problem that a call by the same `Idempotency-Key` was begun and may still go on.
pub const KEY_IN_USE: &str = "key_in_use";
/// The code of the problem that it was done, and its answer, a secret, is not given again.
pub const KEY_USED: &str = "key_used";

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A short name of the kind of error, stable: `not_found`, `conflict`, `forbidden`, ...
    pub code: String,
    /// What went wrong with this call.
    pub detail: String,
}
