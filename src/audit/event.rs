//! The facts that are recorded. Field names and `type` tags are the format on disk: add, never
//! rename, and raise [`VERSION`] when an old reader would misread a new record.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::chain::{Hash, Head};
use super::key::PublicKey;
use super::origin::Origin;
use super::outcome::{CommandResult, Copy, Outcome, StatementKind};
use super::text::{Parameter, Text};
use crate::access::{
    AccountKind, Approval, ConnectionId, PrincipalName, RequestId, RequestKind, Scope, SessionId,
    TargetName, TokenId, TokenOrigin,
};

/// The version of the record format, `v` in each record.
pub const VERSION: u32 = 1;

/// One line of a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format's version, [`VERSION`].
    pub v: u32,
    /// Its place: 1 for the first record ever, then without a gap.
    pub seq: u64,
    /// The SHA-256 of the line before; of the first record ever: zeros.
    pub prev: Hash,
    /// When the fact was observed.
    pub at: Timestamp,
    /// The fact.
    #[serde(flatten)]
    pub event: Event,
}

/// Records that were deleted, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The sequence of the first.
    pub first: u64,
    /// The last, and its hash: what the record behind the gap has as `prev`.
    pub last: Head,
}

/// A file of the configuration, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConfigurationFile {
    /// Where it is.
    pub file: String,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// hallpass started; what follows is its doing.
    Started {
        /// hallpass's own version.
        version: String,
        /// What the configuration was read from that is in force.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<ConfigurationFile>,
    },
    /// hallpass ended in good order.
    Stopped,
    /// Another configuration is in force from here on.
    ConfigurationChanged {
        /// Who made it so: hallpass, which read its files again.
        by: PrincipalName,
        /// What it was read from.
        files: Vec<ConfigurationFile>,
        /// What is different, by key: `+ targets.billing`. Never a secret; empty where nothing but
        /// secrets or certificates can be.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        changes: Vec<String>,
        /// How many more changes there are.
        #[serde(skip_serializing_if = "is_zero", default)]
        more: u64,
    },
    /// The last segment ended in a piece of a record, which is set aside in a file of its own.
    SegmentTorn {
        /// The file that has the piece.
        file: String,
        /// How many bytes it has.
        bytes: u64,
        /// Their SHA-256, in hexadecimal.
        sha256: String,
    },
    /// Records could not be written from `at` on until this one was; nothing was forwarded that
    /// had none.
    RecordingFailed {
        /// What the system said.
        error: String,
    },

    /// The first record of a segment.
    SegmentOpened {
        /// The sequence of the first record of the segment before it; absent in the first ever.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        previous: Option<u64>,
        /// The key whose checkpoints follow.
        key: PublicKey,
    },
    /// All that comes before is signed.
    Checkpoint {
        /// The key.
        key: PublicKey,
        /// The Ed25519 signature, in base64, over four lines, each with its line end: `hallpass
        /// audit checkpoint 1`, the record's `seq`, its `prev`, its `at`.
        signature: String,
    },
    /// Segments are about to be deleted, as the retention asks.
    SegmentsDeleted {
        /// How many now.
        segments: u64,
        /// Why: `age` or `size`.
        reason: String,
        /// Every gap that the log has then, from the oldest kept record on, and the one before it.
        gaps: Vec<Gap>,
    },
    /// Somebody reads the audit through the API, or wanted to.
    AuditRead {
        /// Who.
        by: PrincipalName,
        /// What they asked for: the URL's path and query behind `/api/v1/audit/`.
        query: String,
        /// They may not, and got nothing.
        #[serde(skip_serializing_if = "is_false", default)]
        refused: bool,
    },
    /// The records of a session are not to be deleted.
    HoldPlaced {
        /// The session.
        session: SessionId,
        /// Who says so.
        by: PrincipalName,
        /// Why.
        reason: String,
    },
    /// A hold ends.
    HoldReleased {
        /// The session.
        session: SessionId,
        /// Who says so.
        by: PrincipalName,
        /// Why.
        reason: String,
    },

    /// Somebody submitted an access request.
    RequestSubmitted {
        /// The request.
        request: RequestId,
        /// Who asks.
        principal: PrincipalName,
        /// For what.
        target: TargetName,
        /// For how long, in seconds.
        seconds: u64,
        /// Why.
        reason: String,
        /// What is asked for, if not a session.
        #[serde(skip_serializing_if = "RequestKind::is_session", default)]
        kind: RequestKind,
        /// The session that would be extended.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        extends: Option<SessionId>,
        /// When the session is to begin, if not at its approval.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        starts_at: Option<Timestamp>,
        /// The ticket that the reason names.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        ticket: Option<String>,
    },
    /// Somebody approved a request, which takes more approvals.
    RequestStageApproved {
        /// The request.
        request: RequestId,
        /// Who asks.
        principal: PrincipalName,
        /// For what.
        target: TargetName,
        /// The approver.
        by: PrincipalName,
        /// Whose powers they had, if not their own.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        on_behalf_of: Option<PrincipalName>,
        /// The stage, from 1.
        stage: u32,
        /// For how long at most, in seconds, if they shortened it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        seconds: Option<u64>,
    },
    /// Nobody decided in a stage of a request for so long that others may.
    RequestEscalated {
        /// The request.
        request: RequestId,
        /// Who asks.
        principal: PrincipalName,
        /// For what.
        target: TargetName,
        /// The stage, from 1.
        stage: u32,
        /// Who may decide now, too: principals and `@groups`.
        to: Vec<String>,
    },
    /// A request was granted and became a session, or made one longer.
    RequestApproved {
        /// The request.
        request: RequestId,
        /// The last who approved; absent if a policy granted it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<PrincipalName>,
        /// All who approved, in order; absent if a policy granted it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        approvals: Vec<Approval>,
        /// The policies that granted it, if nobody approved it.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        policies: Vec<String>,
        /// What was asked for, if not a session.
        #[serde(skip_serializing_if = "RequestKind::is_session", default)]
        kind: RequestKind,
        /// When the session begins, if that is still to come.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        starts_at: Option<Timestamp>,
        /// The session.
        session: SessionId,
        /// Who holds it.
        principal: PrincipalName,
        /// What it opens.
        target: TargetName,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A request was refused.
    RequestDenied {
        /// The request.
        request: RequestId,
        /// The approver.
        by: PrincipalName,
        /// Whose powers they had, if not their own.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        on_behalf_of: Option<PrincipalName>,
        /// Why.
        reason: String,
    },
    /// The requester took the request back.
    RequestWithdrawn {
        /// The request.
        request: RequestId,
        /// The requester.
        by: PrincipalName,
    },
    /// Nobody decided in time.
    RequestLapsed {
        /// The request.
        request: RequestId,
    },
    /// The start of a session has come.
    SessionStarted {
        /// The session.
        session: SessionId,
        /// Who holds it.
        principal: PrincipalName,
        /// What it opens.
        target: TargetName,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A session that nobody had approved was looked at afterwards.
    ReviewClosed {
        /// The session.
        session: SessionId,
        /// Who held it.
        principal: PrincipalName,
        /// What it opened.
        target: TargetName,
        /// Who looked at it.
        by: PrincipalName,
        /// Whose powers they had, if not their own.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        on_behalf_of: Option<PrincipalName>,
        /// What they found.
        note: String,
    },
    /// Somebody lets another decide by their powers.
    DelegationMade {
        /// Whose powers.
        from: PrincipalName,
        /// Who has them, too.
        to: PrincipalName,
        /// Until when.
        until: Timestamp,
    },
    /// A delegation was ended before its time.
    DelegationEnded {
        /// Whose powers.
        from: PrincipalName,
        /// Who had them, too.
        to: PrincipalName,
    },
    /// A person, or hallpass itself, ended a session early.
    SessionRevoked {
        /// The session.
        session: SessionId,
        /// Who holds it.
        principal: PrincipalName,
        /// What it opened.
        target: TargetName,
        /// Who ended it.
        by: PrincipalName,
        /// Why, if they said.
        reason: String,
    },
    /// Time ended a session.
    SessionExpired {
        /// The session.
        session: SessionId,
        /// Who held it.
        principal: PrincipalName,
        /// What it opened.
        target: TargetName,
    },
    /// The holder fetched the session's secret.
    SecretRead {
        /// The session.
        session: SessionId,
        /// Who.
        by: PrincipalName,
    },

    /// Somebody signed in and was given an API token.
    SignedIn {
        /// Who.
        principal: PrincipalName,
        /// The token.
        token: TokenId,
        /// How: `password`, `oidc` or `workload`.
        how: TokenOrigin,
        /// Whether they showed a second factor.
        mfa: bool,
        /// That was a recovery code, which is used up.
        #[serde(skip_serializing_if = "is_false", default)]
        recovery: bool,
        /// Where they called from.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        peer: Option<String>,
    },
    /// Somebody did not get in.
    SignInFailed {
        /// The account that they named; absent if there is none such: people type passwords where
        /// names belong.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        principal: Option<PrincipalName>,
        /// How they tried: `password`, `oidc` or `workload`.
        how: TokenOrigin,
        /// Why, for the reader of the audit; they were told less.
        reason: String,
        /// Where they called from.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        peer: Option<String>,
    },
    /// More did not get in from one address than are recorded each for itself.
    SignInsFailed {
        /// The address; `others`, if there are too many to be told apart.
        peer: String,
        /// How many, since the last record of one.
        count: u64,
    },
    /// An account was added.
    AccountAdded {
        /// Whose.
        principal: PrincipalName,
        /// Who added it.
        by: PrincipalName,
        /// How its holder proves who they are.
        kind: AccountKind,
        /// Its groups.
        groups: Vec<String>,
    },
    /// An account was changed.
    AccountChanged {
        /// Whose.
        principal: PrincipalName,
        /// Who changed it.
        by: PrincipalName,
        /// What: `password`, `reset`, `totp_on`, `totp_off`, `disabled`, `enabled`, `groups` or `released`.
        change: String,
        /// Its groups since then, if it was those.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        groups: Option<Vec<String>>,
    },
    /// An API token was made.
    TokenCreated {
        /// The token.
        token: TokenId,
        /// Whom its bearer acts as.
        principal: PrincipalName,
        /// Who made it.
        by: PrincipalName,
        /// What it lets its bearer do; absent: all that the principal may.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        scope: Option<Scope>,
        /// When it ends.
        expires_at: Timestamp,
        /// What it is for.
        note: String,
    },
    /// An API token was ended early.
    TokenRevoked {
        /// The token.
        token: TokenId,
        /// Whom its bearer acted as.
        principal: PrincipalName,
        /// Who ended it.
        by: PrincipalName,
    },

    /// A client was turned away. Names are as it gave them: claims, not facts.
    ConnectionDenied {
        /// The connection that was not to be.
        connection: ConnectionId,
        /// Where the client dialled from.
        peer: String,
        /// The `user` that it gave: its first 128 bytes.
        user: Text,
        /// The `database` that it gave: its first 128 bytes.
        database: Text,
        /// Why, for the reader of the audit; the client was told less.
        reason: String,
    },
    /// More clients of one address were turned away than are recorded each for itself.
    ConnectionsDenied {
        /// The address.
        peer: String,
        /// How many, since the last record of one.
        count: u64,
    },
    /// A client was admitted. Recorded before the upstream is dialled.
    ConnectionOpened {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Where the client dialled from.
        peer: String,
        /// What it calls itself.
        application_name: Text,
        /// Startup parameters that are passed on to the upstream: names and values.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        startup: Vec<(Text, Text)>,
        /// The TLS version and cipher towards the client; absent without TLS.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tls: Option<String>,
    },
    /// The upstream accepted the connection.
    ConnectionEstablished {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// The upstream's process id, to be joined with PostgreSQL's own log.
        upstream_pid: i32,
        /// The role at the upstream.
        role: String,
    },
    /// Cancels were not enough: hallpass had the server end the backend, by
    /// `pg_terminate_backend`.
    BackendTerminated {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Its process id.
        upstream_pid: i32,
    },
    /// The upstream's backend was told to end, by every means there is, and did not in time.
    BackendLeft {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Its process id.
        upstream_pid: i32,
    },
    /// An admitted connection ended.
    ConnectionClosed {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Why.
        reason: String,
        /// Statements recorded under it.
        statements: u64,
        /// Bytes that the client sent and the upstream was given.
        bytes_in: u64,
        /// Bytes that the upstream sent and the client was given.
        bytes_out: u64,
    },
    /// The client of a connection asked to cancel its running statement.
    CancelRequested {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Where the CancelRequest came from.
        peer: String,
    },

    /// A statement was prepared (`Parse`) that is not executed in the same breath.
    StatementPrepared {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Its number within the connection, from 1.
        statement: u64,
        /// The prepared statement's name, if it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<Text>,
        /// With the text: the OIDs of its parameters' types as the client's Parse fixes them, 0 where
        /// it leaves one to the server; absent if it leaves all.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        types: Vec<u32>,
        /// The text, unless it is in parts.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sql: Option<Text>,
        /// How many [`Event::StatementPart`] records hold the message, if it is not here.
        #[serde(skip_serializing_if = "is_zero", default)]
        parts: u64,
    },
    /// Parameters were bound (`Bind`) that are not executed in the same breath.
    PortalBound {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Its number within the connection.
        statement: u64,
        /// The prepared statement's name, if it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<Text>,
        /// The portal's name, if it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        portal: Option<Text>,
        /// With the text: the OIDs of its parameters' types as the client's Parse fixes them, 0 where
        /// it leaves one to the server; absent if it leaves all.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        types: Vec<u32>,
        /// The text, as it was last prepared under that name; absent where it is recorded elsewhere.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sql: Option<Text>,
        /// The number of the [`Event::StatementPrepared`] that holds the text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        prepared: Option<u64>,
        /// The parameters, unless they are in parts.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        parameters: Vec<Parameter>,
        /// How many [`Event::StatementPart`] records hold the message, if it is not here.
        #[serde(skip_serializing_if = "is_zero", default)]
        parts: u64,
    },
    /// A statement is about to be given to the upstream.
    StatementStarted {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// Its number within the connection.
        statement: u64,
        /// How it is run.
        kind: StatementKind,
        /// The prepared statement's name, if it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<Text>,
        /// The portal's name, if it has one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        portal: Option<Text>,
        /// With the text: the OIDs of its parameters' types as the client's Parse fixes them, 0 where
        /// it leaves one to the server; absent if it leaves all.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        types: Vec<u32>,
        /// The text; of an `Execute`, as it was last prepared under that name. Absent where it is
        /// in `prepared`, in `bound` or in parts, or where the name was defined in SQL.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sql: Option<Text>,
        /// The number of the record ([`Event::StatementPrepared`]) that holds the text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        prepared: Option<u64>,
        /// The number of the record ([`Event::PortalBound`], or the [`Event::StatementStarted`]
        /// of an earlier slice of the same portal) that holds the parameters, and the text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bound: Option<u64>,
        /// The parameters, unless `bound` has them.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        parameters: Vec<Parameter>,
        /// The function's OID, of a function call.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        function: Option<u32>,
        /// How many [`Event::StatementPart`] records hold the message, if it is not here.
        #[serde(skip_serializing_if = "is_zero", default)]
        parts: u64,
    },
    /// A piece of a message too long for one record. The parts of a `statement`, in order, are the
    /// message's body as it was sent, or, where its values may not be recorded as they are, its
    /// parameters; the record that names it follows the last.
    StatementPart {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// The statement's number within the connection.
        statement: u64,
        /// The frontend message that this is a piece of (`Query`, `Parse`, `Bind`, `FunctionCall`).
        message: String,
        /// From 1.
        part: u64,
        /// The bytes; absent where the values among them may not be recorded as they are.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        data: Option<Text>,
        /// How many bytes they are, where they are absent.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bytes: Option<u64>,
        /// The parameters that end in this piece, where the bytes are absent.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        parameters: Vec<Parameter>,
        /// On the last part: the SHA-256 of all parts together, in hexadecimal.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sha256: Option<String>,
        /// In its place where parameters are hashed: its own keyed hash, in hexadecimal.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        hmac: Option<String>,
    },
    /// Results of a simple query so far, when there are too many for one record.
    StatementResults {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// The statement's number within the connection.
        statement: u64,
        /// The results since the last such record.
        results: Vec<CommandResult>,
        /// What was copied since then.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        copies: Vec<Copy>,
    },
    /// A commit failed after its statements had completed (a deferred constraint, for one).
    CommitFailed {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// The last statement that had completed.
        statement: u64,
        /// PostgreSQL's five-character code.
        sqlstate: String,
    },
    /// What became of a statement: of every number that was prepared, bound or started, once.
    StatementFinished {
        /// Whose.
        #[serde(flatten)]
        origin: Arc<Origin>,
        /// The statement's number within the connection.
        statement: u64,
        /// How it ended.
        outcome: Outcome,
        /// What each command in it did.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        results: Vec<CommandResult>,
        /// PostgreSQL's five-character code, of a failure.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sqlstate: Option<String>,
        /// Rows that were sent to the client.
        rows: u64,
        /// Bytes that answered the statement.
        bytes: u64,
        /// Bytes that were copied, and their hash.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        copies: Vec<Copy>,
        /// From the record of its start to its end.
        microseconds: u64,
    },
}

fn is_false(it: &bool) -> bool {
    !*it
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
