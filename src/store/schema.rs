//! The schema of the embedded store, as numbered migrations. Never edit one that was released.

use rusqlite::Connection;

use super::StoreError;

/// Marks the file as hallpass's own (`PRAGMA application_id`): "hpas".
const APPLICATION_ID: i32 = 0x6870_6173;

/// Migration n takes the schema from version n to n + 1 (`PRAGMA user_version`).
///
/// Times are microseconds since 1970; `state` is the state's name, `detail` its JSON.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE access_request (
        id          TEXT PRIMARY KEY,
        requester   TEXT NOT NULL,
        target      TEXT NOT NULL,
        duration_us INTEGER NOT NULL,
        reason      TEXT NOT NULL,
        created_at  INTEGER NOT NULL,
        lapses_at   INTEGER NOT NULL,
        state       TEXT NOT NULL,
        detail      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX access_request_created ON access_request (created_at);
    CREATE INDEX access_request_pending ON access_request (lapses_at) WHERE state = 'pending';

    CREATE TABLE session (
        id          TEXT PRIMARY KEY,
        request     TEXT NOT NULL UNIQUE REFERENCES access_request (id),
        principal   TEXT NOT NULL,
        target      TEXT NOT NULL,
        reason      TEXT NOT NULL,
        approved_by TEXT NOT NULL,
        starts_at   INTEGER NOT NULL,
        expires_at  INTEGER NOT NULL,
        state       TEXT NOT NULL,
        detail      TEXT NOT NULL
    ) STRICT;
    CREATE INDEX session_started ON session (starts_at);
    CREATE INDEX session_live ON session (expires_at) WHERE state IN ('scheduled', 'active');
    CREATE UNIQUE INDEX session_one_live ON session (principal, target)
        WHERE state IN ('scheduled', 'active');

    CREATE TABLE audit_outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at     INTEGER NOT NULL,
        event  TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE audit_hold (
        session   TEXT PRIMARY KEY REFERENCES session (id),
        placed_by TEXT NOT NULL,
        placed_at INTEGER NOT NULL,
        reason    TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE account (
        name         TEXT PRIMARY KEY COLLATE NOCASE,
        kind         TEXT NOT NULL,
        groups       TEXT NOT NULL,
        email        TEXT,
        subject      TEXT,
        created_at   INTEGER NOT NULL,
        seen_at      INTEGER,
        disabled_at  INTEGER,
        password     TEXT,
        setup_until  INTEGER,
        totp         BLOB,
        totp_pending BLOB,
        totp_step    INTEGER,
        failures     INTEGER NOT NULL DEFAULT 0,
        locked_until INTEGER
    ) STRICT;

    CREATE TABLE recovery_code (
        account TEXT NOT NULL COLLATE NOCASE REFERENCES account (name),
        sha256  BLOB NOT NULL,
        PRIMARY KEY (account, sha256)
    ) STRICT;

    CREATE TABLE api_token (
        id           TEXT PRIMARY KEY,
        sha256       BLOB NOT NULL UNIQUE,
        owner        TEXT NOT NULL COLLATE NOCASE,
        made_by      TEXT NOT NULL,
        origin       TEXT NOT NULL,
        note         TEXT NOT NULL,
        scope        TEXT,
        mfa          INTEGER NOT NULL,
        created_at   INTEGER NOT NULL,
        expires_at   INTEGER NOT NULL,
        last_used_at INTEGER,
        revoked_at   INTEGER
    ) STRICT;
    CREATE INDEX api_token_owner ON api_token (owner);
",
    "
    CREATE TABLE notice_channel (
        name TEXT PRIMARY KEY
    ) STRICT;

    CREATE TABLE notice_outbox (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        id        TEXT NOT NULL,
        channel   TEXT NOT NULL,
        recipient TEXT NOT NULL,
        request   TEXT NOT NULL,
        at        INTEGER NOT NULL,
        event     TEXT NOT NULL,
        attempts  INTEGER NOT NULL DEFAULT 0,
        next_at   INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX notice_outbox_order ON notice_outbox (channel, request, recipient, number);

    CREATE TABLE notice_place (
        channel TEXT NOT NULL,
        request TEXT NOT NULL,
        place   TEXT NOT NULL,
        PRIMARY KEY (channel, request)
    ) STRICT;
",
    "
    ALTER TABLE access_request ADD COLUMN kind TEXT NOT NULL DEFAULT 'session';
    ALTER TABLE access_request ADD COLUMN extends TEXT;
    ALTER TABLE access_request ADD COLUMN ticket TEXT;
    ALTER TABLE access_request ADD COLUMN starts_at INTEGER;
    ALTER TABLE access_request ADD COLUMN circumstances TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE access_request ADD COLUMN chain TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE access_request ADD COLUMN escalates_at INTEGER;
    ALTER TABLE access_request ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE session ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX access_request_escalates ON access_request (escalates_at)
        WHERE escalates_at IS NOT NULL;
    CREATE INDEX access_request_waiting ON access_request (requester) WHERE state = 'pending';
    CREATE INDEX access_request_extends ON access_request (extends) WHERE extends IS NOT NULL;
    CREATE INDEX session_scheduled ON session (starts_at) WHERE state = 'scheduled';

    CREATE TABLE review (
        session   TEXT PRIMARY KEY REFERENCES session (id),
        request   TEXT NOT NULL REFERENCES access_request (id),
        principal TEXT NOT NULL,
        target    TEXT NOT NULL,
        reason    TEXT NOT NULL,
        opened_at INTEGER NOT NULL,
        state     TEXT NOT NULL,
        detail    TEXT NOT NULL,
        version   INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX review_open ON review (opened_at) WHERE state = 'open';

    CREATE TABLE delegation (
        from_whom TEXT NOT NULL,
        to_whom   TEXT NOT NULL,
        since     INTEGER NOT NULL,
        until     INTEGER NOT NULL,
        mfa       INTEGER NOT NULL,
        PRIMARY KEY (from_whom, to_whom)
    ) STRICT;
    CREATE INDEX delegation_to ON delegation (to_whom);
",
    "
    CREATE TABLE kept_answer (
        key         BLOB PRIMARY KEY,
        body_sha256 BLOB NOT NULL,
        at          INTEGER NOT NULL,
        status      INTEGER,
        location    TEXT,
        body        BLOB
    ) STRICT;
    CREATE INDEX kept_answer_at ON kept_answer (at);
",
    "
    DROP INDEX session_one_live;
    CREATE UNIQUE INDEX session_one_active ON session (principal, target) WHERE state = 'active';
    CREATE INDEX session_of_holder ON session (principal, target)
        WHERE state IN ('scheduled', 'active');
",
];

/// What stands between this file and its use.
pub(super) enum Refusal {
    /// In words.
    Problem(String),
    /// By the engine.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

/// Brings the schema up to date, in one transaction that also proves that nobody else writes.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Refusal> {
    let behaviour = rusqlite::TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behaviour)?;
    let version = version(&transaction)?;
    let Some(missing) = MIGRATIONS.get(version..) else {
        return Err(Refusal::Problem(format!(
            "was written by a newer hallpass (schema {version}, this one knows {}); run that version",
            MIGRATIONS.len()
        )));
    };
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(transaction.commit()?)
}

/// The version of an existing schema; 0 if the file is empty.
fn version(connection: &Connection) -> Result<usize, Refusal> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if tables > 0 && id != APPLICATION_ID {
        let problem = "is an SQLite database, but not a hallpass store".to_owned();
        return Err(Refusal::Problem(problem));
    }
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version)
        .map_err(|_| Refusal::Problem(format!("has the impossible schema {version}")))
}

/// Fails if the file's pages do not hang together.
pub(super) fn check(connection: &Connection) -> Result<(), Refusal> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    Err(Refusal::Problem(format!(
        "is damaged ({answer}); restore it from a backup"
    )))
}

impl Refusal {
    /// As the store's error for the file at `path`.
    pub(super) fn at(self, path: &std::path::Path) -> StoreError {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseCorrupt, NotADatabase};
        let problem = match self {
            Self::Problem(problem) => problem,
            Self::Engine(error) => match error.sqlite_error_code() {
                Some(DatabaseBusy) => "is in use by another process".to_owned(),
                Some(NotADatabase) => "is not an SQLite database".to_owned(),
                Some(DatabaseCorrupt) => {
                    format!("is damaged ({error}); restore it from a backup")
                }
                _ => return StoreError::Engine(error),
            },
        };
        StoreError::Refused {
            path: path.to_owned(),
            problem,
        }
    }
}
