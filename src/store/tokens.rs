//! API tokens, as rows.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{Act, Sqlite, StoreError, Window, accounts, queries, rows};
use crate::access::{Account, ApiToken, PrincipalName, TokenId, TokenOrigin};

/// How long a token is listed that is good no longer.
const LISTED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What is known of it.
    pub token: ApiToken,
    /// The SHA-256 of the token itself.
    pub sha256: [u8; 32],
}

/// API tokens.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a new token.
    async fn insert_token(&self, token: &NewToken, act: &Act) -> Result<(), StoreError>;

    /// The token with this hash, good or not, and its owner's account, if there is one.
    async fn token_by_hash(
        &self,
        sha256: [u8; 32],
    ) -> Result<Option<(ApiToken, Option<Account>)>, StoreError>;

    /// The token with this id.
    async fn token(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError>;

    /// The tokens of `owner`, or everybody's, the newest first, without those that ended long ago.
    async fn tokens(
        &self,
        owner: Option<&PrincipalName>,
        window: &Window,
    ) -> Result<Vec<ApiToken>, StoreError>;

    /// Notes that a token was used.
    async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError>;

    /// Ends a token.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none that is not revoked yet.
    async fn revoke_token(&self, id: TokenId, act: &Act) -> Result<(), StoreError>;
}

#[async_trait]
impl Tokens for Sqlite {
    async fn insert_token(&self, token: &NewToken, act: &Act) -> Result<(), StoreError> {
        let (token, act) = (token.clone(), act.clone());
        self.write(move |transaction| {
            insert(transaction, &token)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn token_by_hash(
        &self,
        sha256: [u8; 32],
    ) -> Result<Option<(ApiToken, Option<Account>)>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_token WHERE sha256 = ?1");
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let Some(token) = statement.query_row([sha256], token).optional()? else {
                return Ok(None);
            };
            let owner = accounts::named(connection, token.owner.as_str())?;
            Ok(Some((token, owner)))
        })
        .await
    }

    async fn token(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_token WHERE id = ?1");
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row([id.to_string()], token).optional()?)
        })
        .await
    }

    async fn tokens(
        &self,
        owner: Option<&PrincipalName>,
        window: &Window,
    ) -> Result<Vec<ApiToken>, StoreError> {
        let (owner, window) = (owner.map(|it| it.as_str().to_owned()), window.clone());
        let behind = queries::behind("api_token", "created_at", "id");
        let sql = format!(
            "SELECT {COLUMNS} FROM api_token WHERE (:owner IS NULL OR owner = :owner) AND {behind}
             ORDER BY created_at DESC, rowid DESC LIMIT :limit"
        );
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":owner": owner,
                ":limit": window.limit.map_or(-1, i64::from),
                ":at": window.after.as_ref().map(|place| place.at),
                ":id": window.after.as_ref().map(|place| place.id.as_str()),
            };
            let tokens = statement.query_map(parameters, token)?;
            Ok(tokens.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        self.call(move |connection| {
            let sql = "UPDATE api_token SET last_used_at = ?2 WHERE id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            statement.execute((id.to_string(), at.as_microsecond()))?;
            Ok(())
        })
        .await
    }

    async fn revoke_token(&self, id: TokenId, act: &Act) -> Result<(), StoreError> {
        let act = act.clone();
        self.write(move |transaction| {
            let sql = "UPDATE api_token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            let revoked = transaction
                .prepare_cached(sql)?
                .execute((id.to_string(), act.at.as_microsecond()))?;
            if revoked != 1 {
                return Err(StoreError::Missing);
            }
            rows::insert_act(transaction, &act)
        })
        .await
    }
}

/// The columns of a token, in the order that [`token`] reads them.
const COLUMNS: &str = "id, owner, made_by, origin, note, scope, mfa, created_at, expires_at, \
     last_used_at, revoked_at";

fn token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let scope: Option<String> = row.get(5)?;
    Ok(ApiToken {
        id: rows::parsed(row, 0)?,
        owner: rows::parsed(row, 1)?,
        made_by: rows::parsed(row, 2)?,
        origin: rows::named(row, 3, TokenOrigin::ALL, TokenOrigin::name)?,
        note: row.get(4)?,
        scope: match scope {
            Some(_) => Some(rows::parsed(row, 5)?),
            None => None,
        },
        mfa: row.get(6)?,
        created_at: rows::time(row, 7)?,
        expires_at: rows::time(row, 8)?,
        last_used_at: rows::time_if_any(row, 9)?,
        revoked_at: rows::time_if_any(row, 10)?,
    })
}

/// Keeps a new token, and forgets those that ended long ago.
pub(super) fn insert(connection: &Connection, new: &NewToken) -> Result<(), StoreError> {
    let NewToken { token, sha256 } = new;
    forget(connection, token.created_at)?;
    let sql = "INSERT INTO api_token
            (id, sha256, owner, made_by, origin, note, scope, mfa, created_at, expires_at)
         VALUES (:id, :sha256, :owner, :by, :origin, :note, :scope, :mfa, :created, :expires)";
    connection.prepare_cached(sql)?.execute(named_params! {
        ":id": token.id.to_string(),
        ":sha256": sha256,
        ":owner": token.owner.as_str(),
        ":by": token.made_by.as_str(),
        ":origin": token.origin.name(),
        ":note": token.note,
        ":scope": token.scope.as_ref().map(ToString::to_string),
        ":mfa": token.mfa,
        ":created": token.created_at.as_microsecond(),
        ":expires": token.expires_at.as_microsecond(),
    })?;
    Ok(())
}

fn forget(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let Ok(before) = now.checked_sub(LISTED) else {
        return Ok(());
    };
    let sql = "DELETE FROM api_token WHERE expires_at < ?1";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute([before.as_microsecond()]).map(drop)
}

/// Ends all tokens of `owner`.
pub(super) fn revoke_all(
    connection: &Connection,
    owner: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE api_token SET revoked_at = ?2 WHERE owner = ?1 AND revoked_at IS NULL";
    connection
        .execute(sql, (owner, now.as_microsecond()))
        .map(drop)
}

/// Ends the tokens that `owner` got for the password.
pub(super) fn revoke_logins(
    connection: &Connection,
    owner: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE api_token SET revoked_at = ?2
         WHERE owner = ?1 AND origin = 'password' AND revoked_at IS NULL";
    connection
        .execute(sql, (owner, now.as_microsecond()))
        .map(drop)
}
