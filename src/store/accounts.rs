//! Accounts and what proves that somebody is one's holder, as rows.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::tokens::{self, NewToken};
use super::{Act, Sqlite, StoreError, rows};
use crate::access::{Account, AccountKind, PrincipalName, lock};

/// What an account's holder has to show. Nothing here is a secret in the clear.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The password's argon2id hash, as a PHC string.
    pub password: Option<String>,
    /// The password is one that somebody else knows: good until then, to set another.
    pub setup_until: Option<Timestamp>,
    /// The second factor's secret, sealed.
    pub totp: Option<Vec<u8>>,
    /// One that its holder has yet to confirm, sealed.
    pub totp_pending: Option<Vec<u8>>,
    /// The recovery codes that are left, by their hashes.
    pub recovery: Vec<[u8; 32]>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<credentials>")
    }
}

/// The second factor that somebody showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// A code, of this step of time.
    Totp(u64),
    /// A recovery code, by its hash.
    Recovery([u8; 32]),
}

/// Somebody proved that an account is theirs.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The account.
    pub account: PrincipalName,
    /// When.
    pub at: Timestamp,
    /// The hash of the password that they showed: it must be the account's still.
    pub password: String,
    /// The second factor that they showed: it must not have been shown before.
    pub factor: Option<Factor>,
}

/// What becomes of an account.
#[derive(Debug, Clone)]
pub enum AccountChange {
    /// Its holder has this password now, by its hash, and nobody else knows it.
    Password(String),
    /// Somebody else gave it a password; its tokens are revoked.
    Reset {
        /// The password's hash.
        password: String,
        /// Until when it is good.
        until: Timestamp,
        /// Whether the second factor goes, too.
        totp: bool,
    },
    /// Its holder is about to have this second factor, sealed.
    TotpPending(Vec<u8>),
    /// The holder showed a code of the pending one, of this step; these recovery codes go with it.
    TotpConfirmed {
        /// The step of time of the code.
        step: u64,
        /// The recovery codes, by their hashes.
        recovery: Vec<[u8; 32]>,
    },
    /// Its holder has no second factor any more.
    TotpRemoved,
    /// It may do nothing from then on, or everything again.
    Disabled(Option<Timestamp>),
    /// It is in these groups.
    Groups(Vec<String>),
    /// Nobody's: of those whom a provider calls so, the next to sign in has it. Its tokens are
    /// revoked, and it is in no group.
    Released,
}

/// Accounts.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Keeps a new account. Tokens of whoever had the name before are revoked.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken, in whatever case.
    async fn insert_account(
        &self,
        account: &Account,
        credentials: &Credentials,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// The account of this name, in whatever case.
    async fn account(&self, name: &str) -> Result<Option<Account>, StoreError>;

    /// The second factor that an account's holder has yet to confirm, sealed.
    async fn pending_totp(&self, name: &PrincipalName) -> Result<Option<Vec<u8>>, StoreError>;

    /// All of them, by name.
    async fn accounts(&self) -> Result<Vec<Account>, StoreError>;

    /// Counts a guess at an account's credentials *before* it is looked at, so that no number of
    /// guesses at once gets around the lock; a right one makes it good again. `None` if there is
    /// no such account. The account tells whether it was locked already; then nothing is counted.
    async fn claim_guess(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(Account, Credentials)>, StoreError>;

    /// Keeps a token that was given for a proof, and, if it is one, a new password by its hash.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the proof is one no longer: the password was changed, the
    /// second factor used, the account disabled.
    async fn sign_in(
        &self,
        proved: &Proved,
        password: Option<&str>,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError>;

    /// Keeps a token for somebody for whom a provider vouches, and what it said of them. Tokens of
    /// whoever had the name before, if their account is new, are revoked.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is somebody else's, or disabled.
    async fn vouch(&self, account: &Account, token: &NewToken, act: &Act)
    -> Result<(), StoreError>;

    /// Changes an account, after its holder proved that it is theirs, if that is needed.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none; [`StoreError::Conflict`] as [`Accounts::sign_in`].
    async fn change_account(
        &self,
        name: &PrincipalName,
        proved: Option<&Proved>,
        change: &AccountChange,
        act: &Act,
    ) -> Result<(), StoreError>;
}

#[async_trait]
impl Accounts for Sqlite {
    async fn insert_account(
        &self,
        account: &Account,
        credentials: &Credentials,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (account, credentials, act) = (account.clone(), credentials.clone(), act.clone());
        self.write(move |transaction| {
            insert(transaction, &account, &credentials)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let name = name.to_owned();
        self.call(move |connection| Ok(named(connection, &name)?))
            .await
    }

    async fn pending_totp(&self, name: &PrincipalName) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.clone();
        self.call(move |connection| {
            let sql = "SELECT totp_pending FROM account WHERE name = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_row([name.as_str()], |row| row.get(0));
            Ok(found.optional()?.flatten())
        })
        .await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM account ORDER BY name");
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let accounts = statement.query_map([], account)?;
            Ok(accounts.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn claim_guess(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(Account, Credentials)>, StoreError> {
        let name = name.to_owned();
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let claimed = claim(&transaction, &name, now)?;
            transaction.commit()?;
            Ok(claimed)
        })
        .await
    }

    async fn sign_in(
        &self,
        proved: &Proved,
        password: Option<&str>,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (proved, token, act) = (proved.clone(), token.clone(), act.clone());
        let password = password.map(str::to_owned);
        self.write(move |transaction| {
            redeem(transaction, &proved)?;
            if let Some(password) = password {
                apply(
                    transaction,
                    &proved.account,
                    &AccountChange::Password(password),
                    act.at,
                )?;
            }
            tokens::insert(transaction, &token)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn vouch(
        &self,
        account: &Account,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (account, token, act) = (account.clone(), token.clone(), act.clone());
        self.write(move |transaction| {
            vouched(transaction, &account)?;
            tokens::insert(transaction, &token)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }

    async fn change_account(
        &self,
        name: &PrincipalName,
        proved: Option<&Proved>,
        change: &AccountChange,
        act: &Act,
    ) -> Result<(), StoreError> {
        let (name, proved, change) = (name.clone(), proved.cloned(), change.clone());
        let act = act.clone();
        self.write(move |transaction| {
            if let Some(proved) = &proved {
                redeem(transaction, proved)?;
            }
            apply(transaction, &name, &change, act.at)?;
            rows::insert_act(transaction, &act)
        })
        .await
    }
}

/// The columns of an account, in the order that [`account`] reads them.
const COLUMNS: &str = "name, kind, groups, email, subject, created_at, seen_at, disabled_at, \
     totp IS NOT NULL, locked_until";

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        name: rows::parsed(row, 0)?,
        kind: rows::named(row, 1, AccountKind::ALL, AccountKind::name)?,
        groups: rows::from_json(row, 2)?,
        email: row.get(3)?,
        subject: row.get(4)?,
        created_at: rows::time(row, 5)?,
        seen_at: rows::time_if_any(row, 6)?,
        disabled_at: rows::time_if_any(row, 7)?,
        totp: row.get(8)?,
        locked_until: rows::time_if_any(row, 9)?,
    })
}

pub(super) fn named(connection: &Connection, name: &str) -> rusqlite::Result<Option<Account>> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE name = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([name], account)
        .optional()
}

fn insert(
    connection: &Connection,
    account: &Account,
    credentials: &Credentials,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO account (name, kind, groups, email, subject, created_at, seen_at,
            password, setup_until)
         VALUES (:name, :kind, :groups, :email, :subject, :created, :seen, :password, :setup)
         ON CONFLICT DO NOTHING";
    let inserted = connection.prepare_cached(sql)?.execute(named_params! {
        ":name": account.name.as_str(),
        ":kind": account.kind.name(),
        ":groups": rows::to_json(&account.groups)?,
        ":email": account.email,
        ":subject": account.subject,
        ":created": account.created_at.as_microsecond(),
        ":seen": account.seen_at.map(Timestamp::as_microsecond),
        ":password": credentials.password,
        ":setup": credentials.setup_until.map(Timestamp::as_microsecond),
    })?;
    one(inserted, || StoreError::Conflict("taken".to_owned()))?;
    let name = account.name.as_str();
    Ok(tokens::revoke_all(connection, name, account.created_at)?)
}

fn claim(
    connection: &Connection,
    name: &str,
    now: Timestamp,
) -> Result<Option<(Account, Credentials)>, StoreError> {
    let Some(account) = named(connection, name)? else {
        return Ok(None);
    };
    let sql = "SELECT password, setup_until, totp, totp_pending, failures FROM account
         WHERE name = ?1";
    let (credentials, failures) = connection.prepare_cached(sql)?.query_row([name], |row| {
        let credentials = Credentials {
            password: row.get(0)?,
            setup_until: rows::time_if_any(row, 1)?,
            totp: row.get(2)?,
            totp_pending: row.get(3)?,
            recovery: Vec::new(),
        };
        Ok((credentials, row.get::<_, u32>(4)?))
    })?;
    let credentials = Credentials {
        recovery: recovery_codes(connection, name)?,
        ..credentials
    };
    let guessable = account.kind == AccountKind::Local;
    if guessable && account.locked_until.is_none_or(|until| until <= now) {
        let failures = failures.saturating_add(1);
        let until = lock(failures).and_then(|it| now.checked_add(it).ok());
        connection
            .prepare_cached("UPDATE account SET failures = ?2, locked_until = ?3 WHERE name = ?1")?
            .execute((name, failures, until.map(Timestamp::as_microsecond)))?;
    }
    Ok(Some((account, credentials)))
}

/// Takes a proof, once, and makes the guess good that it began with.
fn redeem(connection: &Connection, proved: &Proved) -> Result<(), StoreError> {
    let (step, code) = match proved.factor {
        Some(Factor::Totp(step)) => (Some(step.cast_signed()), None),
        Some(Factor::Recovery(code)) => (None, Some(code)),
        None => (None, None),
    };
    let sql = "UPDATE account SET failures = 0, locked_until = NULL, seen_at = :at,
            totp_step = coalesce(:step, totp_step)
         WHERE name = :name AND disabled_at IS NULL AND password = :password
           AND (:step IS NULL OR totp_step IS NULL OR totp_step < :step)";
    let changed = connection.prepare_cached(sql)?.execute(named_params! {
        ":name": proved.account.as_str(),
        ":at": proved.at.as_microsecond(),
        ":password": proved.password,
        ":step": step,
    })?;
    let no_longer = || StoreError::Conflict("no longer as it was when it was shown".to_owned());
    one(changed, no_longer)?;
    let Some(code) = code else { return Ok(()) };
    let sql = "DELETE FROM recovery_code WHERE account = ?1 AND sha256 = ?2";
    let deleted = connection
        .prepare_cached(sql)?
        .execute((proved.account.as_str(), code))?;
    one(deleted, no_longer)
}

fn vouched(connection: &Connection, account: &Account) -> Result<(), StoreError> {
    if named(connection, account.name.as_str())?.is_none() {
        return insert(connection, account, &Credentials::default());
    }
    let sql = "UPDATE account
            SET groups = :groups, email = :email, seen_at = :seen, subject = :subject
         WHERE name = :name AND kind = :kind AND disabled_at IS NULL
           AND (subject IS NULL OR subject = :subject)";
    let changed = connection.prepare_cached(sql)?.execute(named_params! {
        ":name": account.name.as_str(),
        ":kind": account.kind.name(),
        ":groups": rows::to_json(&account.groups)?,
        ":email": account.email,
        ":subject": account.subject,
        ":seen": account.seen_at.map(Timestamp::as_microsecond),
    })?;
    one(changed, || {
        StoreError::Conflict("somebody else's, or disabled".to_owned())
    })
}

fn apply(
    connection: &Connection,
    account: &PrincipalName,
    change: &AccountChange,
    at: Timestamp,
) -> Result<(), StoreError> {
    let name = account.as_str();
    let changed = match change {
        AccountChange::Password(hash) => {
            tokens::revoke_logins(connection, name, at)?;
            connection.execute(
                "UPDATE account SET password = ?2, setup_until = NULL WHERE name = ?1",
                (name, hash),
            )
        }
        AccountChange::Reset {
            password,
            until,
            totp,
        } => return reset(connection, name, password, (at, *until), *totp),
        AccountChange::TotpPending(sealed) => connection.execute(
            "UPDATE account SET totp_pending = ?2 WHERE name = ?1",
            (name, sealed),
        ),
        AccountChange::TotpConfirmed { step, recovery } => {
            return confirm(connection, name, *step, recovery);
        }
        AccountChange::TotpRemoved => remove_totp(connection, name),
        AccountChange::Disabled(since) => connection.execute(
            "UPDATE account SET disabled_at = ?2 WHERE name = ?1 AND (disabled_at IS NULL) = (?2 IS NOT NULL)",
            (name, since.map(Timestamp::as_microsecond)),
        ),
        AccountChange::Groups(groups) => connection.execute(
            "UPDATE account SET groups = ?2 WHERE name = ?1",
            (name, rows::to_json(groups)?),
        ),
        AccountChange::Released => {
            tokens::revoke_all(connection, name, at)?;
            connection.execute(
                "UPDATE account SET subject = NULL, groups = '[]', email = NULL
                 WHERE name = ?1 AND kind = 'oidc'",
                [name],
            )
        }
    };
    one(changed?, || StoreError::Missing)
}

fn reset(
    connection: &Connection,
    name: &str,
    password: &str,
    (now, until): (Timestamp, Timestamp),
    totp: bool,
) -> Result<(), StoreError> {
    if totp {
        remove_totp(connection, name)?;
    }
    let sql =
        "UPDATE account SET password = ?2, setup_until = ?3, failures = 0, locked_until = NULL
         WHERE name = ?1 AND kind = 'local'";
    let changed = connection.execute(sql, (name, password, until.as_microsecond()))?;
    tokens::revoke_all(connection, name, now)?;
    one(changed, || StoreError::Missing)
}

fn confirm(
    connection: &Connection,
    name: &str,
    step: u64,
    recovery: &[[u8; 32]],
) -> Result<(), StoreError> {
    let sql = "UPDATE account SET totp = totp_pending, totp_pending = NULL, totp_step = ?2
         WHERE name = ?1 AND totp_pending IS NOT NULL";
    let changed = connection.execute(sql, (name, step.cast_signed()))?;
    one(changed, || StoreError::Missing)?;
    clear_recovery(connection, name)?;
    let sql = "INSERT INTO recovery_code (account, sha256) VALUES (?1, ?2)";
    for code in recovery {
        connection.prepare_cached(sql)?.execute((name, code))?;
    }
    Ok(())
}

fn remove_totp(connection: &Connection, name: &str) -> rusqlite::Result<usize> {
    clear_recovery(connection, name)?;
    let sql = "UPDATE account SET totp = NULL, totp_pending = NULL WHERE name = ?1";
    connection.execute(sql, [name])
}

fn recovery_codes(connection: &Connection, name: &str) -> rusqlite::Result<Vec<[u8; 32]>> {
    let sql = "SELECT sha256 FROM recovery_code WHERE account = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let codes = statement.query_map([name], |row| row.get(0))?;
    codes.collect()
}

fn clear_recovery(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    let sql = "DELETE FROM recovery_code WHERE account = ?1";
    connection.execute(sql, [name]).map(drop)
}

fn one(changed: usize, otherwise: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
    match changed {
        1 => Ok(()),
        _ => Err(otherwise()),
    }
}
