//! What administrators do about accounts.

use clap::Args;
use comfy_table::Cell;
use jiff::Timestamp;

use super::super::human::{cell, clean, relative, state, table};
use super::super::out::{BOLD, DIM, GOOD, paint};
use super::super::{Done, Global};
use crate::access::PrincipalName;
use crate::clock::Clock;
use crate::http::types::{AccountView, CreateAccount, Groups, Reset, SetUp};

/// Add an account.
///
/// A person gets a setup code, shown once: give it to them by a way that nobody else reads. With it
/// they sign in within 72 hours and choose a password. A service has tokens instead.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass user add maya --group engineers --email maya@example.com
  hallpass user add ci-deploy --service --group deployers")]
pub(super) struct AddArgs {
    /// The account's name: letters, digits and . _ - + @.
    name: PrincipalName,
    /// A group that it belongs to; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Where its holder is written to.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// It is a service: it has no password, but tokens (`hallpass token create --for NAME`).
    #[arg(long)]
    service: bool,
}

/// List everybody who has an account.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass user list
  hallpass user list --output json")]
pub(super) struct ListArgs {}

/// Put an account into these groups and no others.
///
/// Sessions that its holder could not ask for as a member of these end at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass user groups maya engineers on-call
  hallpass user groups maya")]
pub(super) struct GroupsArgs {
    /// The account.
    name: PrincipalName,
    /// All its groups from now on.
    groups: Vec<String>,
}

/// Keep somebody out at once: tokens and sessions end.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass user disable maya")]
pub(super) struct DisableArgs {
    /// The account.
    name: PrincipalName,
}

/// Let somebody in again who was disabled.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass user enable maya")]
pub(super) struct EnableArgs {
    /// The account.
    name: PrincipalName,
}

/// Give somebody who forgot their password a new setup code, shown once.
///
/// Their password is void from then on, their tokens are revoked and their sessions end. It also ends
/// a lock after too many guesses. Of somebody whom an OpenID provider vouches for it lets go of the
/// name, which is then the next one's whom the provider calls so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass user reset maya
  hallpass user reset maya --totp")]
pub(super) struct ResetArgs {
    /// The account.
    name: PrincipalName,
    /// They also lost their second factor and its recovery codes: take it away.
    #[arg(long)]
    totp: bool,
}

pub(super) async fn add(global: &Global, args: AddArgs) -> Done {
    let new = CreateAccount {
        name: args.name,
        groups: args.groups,
        email: args.email,
        service: args.service,
    };
    let added = global.api()?.add_account(&new).await?;
    global
        .output()
        .show(&added, |added| set_up("added", added))?;
    Ok(0)
}

pub(super) async fn list(global: &Global) -> Done {
    let accounts = global.api()?.accounts().await?;
    let now = Clock::system().now();
    global
        .output()
        .show(&accounts, |them| list_text(them, now))?;
    Ok(0)
}

pub(super) async fn groups(global: &Global, args: GroupsArgs) -> Done {
    let groups = Groups {
        groups: args.groups,
    };
    let account = global.api()?.set_groups(&args.name, &groups).await?;
    global.output().show(&account, |account| {
        let name = paint(BOLD, account.name.as_str());
        format!("{name} is {} now.", membership(account))
    })?;
    Ok(0)
}

pub(super) async fn disable(global: &Global, args: &DisableArgs) -> Done {
    let account = global.api()?.disable_account(&args.name, true).await?;
    global.output().show(&account, |account| {
        let done = paint(GOOD, "disabled");
        format!("{} is {done}: tokens and sessions ended.", account.name)
    })?;
    Ok(0)
}

pub(super) async fn enable(global: &Global, args: &EnableArgs) -> Done {
    let account = global.api()?.disable_account(&args.name, false).await?;
    global.output().show(&account, |account| {
        format!("{} is {}.", account.name, paint(GOOD, "enabled"))
    })?;
    Ok(0)
}

pub(super) async fn reset(global: &Global, args: &ResetArgs) -> Done {
    let reset = Reset { totp: args.totp };
    let done = global.api()?.reset_account(&args.name, &reset).await?;
    global.output().show(&done, |done| set_up("reset", done))?;
    Ok(0)
}

fn set_up(what: &str, done: &SetUp) -> String {
    let account = &done.account;
    let name = paint(BOLD, account.name.as_str());
    let told = format!("{name} is {}, {}.", paint(GOOD, what), membership(account));
    let Some(code) = &done.setup_code else {
        let name = &account.name;
        if account.kind.is_person() {
            return format!("{told}\nThe next whom the provider calls {name} has the name.");
        }
        return format!("{told}\nA token for it: hallpass token create --for {name}");
    };
    let once = "# for its owner, good for 72 hours; it is not shown again";
    let next = format!(
        "They sign in with it: hallpass login --name {}",
        account.name
    );
    format!(
        "{told}\n{}\n{}\n{next}",
        paint(DIM, once),
        paint(BOLD, &clean(code))
    )
}

fn membership(account: &AccountView) -> String {
    match account.groups.is_empty() {
        true => "in no group".to_owned(),
        false => format!("in {}", clean(&account.groups.join(", "))),
    }
}

fn list_text(accounts: &[AccountView], now: Timestamp) -> String {
    let header = [
        "WHO",
        "KIND",
        "STATE",
        "GROUPS",
        "2ND FACTOR",
        "SEEN",
        "EMAIL",
    ];
    let rows = accounts.iter().map(|account| row(account, now)).collect();
    table(&header, rows, "Nobody has an account.")
}

fn row(account: &AccountView, now: Timestamp) -> Vec<Cell> {
    let seen = account.seen_at.map(|at| relative(now, at));
    vec![
        cell(account.name.as_str()),
        cell(account.kind.name()),
        state(standing(account, now)),
        cell(&account.groups.join(", ")),
        cell(if account.totp { "yes" } else { "no" }),
        cell(seen.as_deref().unwrap_or("never")),
        cell(account.email.as_deref().unwrap_or_default()),
    ]
}

fn standing(account: &AccountView, now: Timestamp) -> &'static str {
    if account.disabled_at.is_some() {
        "disabled"
    } else if account.locked_until.is_some_and(|until| now < until) {
        "locked"
    } else {
        "active"
    }
}
