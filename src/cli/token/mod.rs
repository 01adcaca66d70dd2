//! `hallpass token`: API tokens.

mod hash;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::Cell;
use jiff::Timestamp;

use super::human::{cell, clean, relative, table};
use super::out::{BOLD, DIM, GOOD, paint};
use super::requests::duration;
use super::{Done, Global};
use crate::access::{PrincipalName, Scope, TokenId};
use crate::clock::Clock;
use crate::http::types::{CreateToken, NewToken, TokenView};
use crate::secret::Secret;

pub(super) use hash::{digest, generate, write};

/// API tokens: for services such as CI, and for people where nobody can sign in.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass token create --scope read,request --expires 30d
  hallpass token create --for ci-deploy --scope request --expires 90d --note nightly
  hallpass token list
  hallpass token revoke tok-4m0t8z1kqc7e")]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
    NewHash(hash::HashArgs),
}

/// Make an API token; it is shown once.
///
/// Its bearer acts as you, or as a service, and may do what the scope says of what that one may.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass token create --scope read,request --expires 30d --file ~/.config/hallpass/pat
  hallpass token create --for ci-deploy --scope request --expires 90d")]
struct CreateArgs {
    /// The service that its bearer acts as (administrators) [default: you].
    #[arg(long = "for", value_name = "SERVICE")]
    owner: Option<PrincipalName>,
    /// What it lets its bearer do: read, request, approve, audit, administer.
    #[arg(long, value_name = "WHAT,..", default_value = "read,request")]
    scope: Scope,
    /// How long it is good: 12h, 30d.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration)]
    expires: std::time::Duration,
    /// What it is for.
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Write the token into this new file, for its owner's eyes only, instead of printing it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// List your API tokens.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass token list
  hallpass token list --all --output json")]
struct ListArgs {
    /// Everybody's (administrators).
    #[arg(long)]
    all: bool,
}

/// End an API token now.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass token revoke tok-4m0t8z1kqc7e")]
struct RevokeArgs {
    /// The token's id, as `hallpass token list` shows it.
    token: TokenId,
}

pub(super) async fn run(global: &Global, args: TokenArgs) -> Done {
    match args.command {
        TokenCommand::Create(args) => create(global, args).await,
        TokenCommand::List(args) => list(global, &args).await,
        TokenCommand::Revoke(args) => revoke(global, &args).await,
        TokenCommand::NewHash(args) => hash::run(global, &args),
    }
}

async fn create(global: &Global, args: CreateArgs) -> Done {
    let asked = CreateToken {
        owner: args.owner,
        scope: args.scope,
        lifetime: humantime::format_duration(args.expires).to_string(),
        note: args.note,
    };
    let made = global.api()?.create_token(&asked).await?;
    match &args.file {
        Some(path) => {
            write(path, &Secret::new(made.token.as_str()))?;
            global.output().show(&made.known, made_text)?;
        }
        None => global.output().show(&made, new_text)?,
    }
    Ok(0)
}

fn new_text(made: &NewToken) -> String {
    let once = paint(DIM, "# it is not shown again");
    let token = paint(BOLD, &clean(&made.token));
    format!("{}\n{once}\n{token}", made_text(&made.known))
}

fn made_text(known: &TokenView) -> String {
    let scope = known
        .scope
        .as_ref()
        .map_or_else(String::new, |scope| format!(", to {scope}"));
    let ends = relative(Clock::system().now(), known.expires_at);
    format!("{} for {}{scope}, ends {ends}", known.id, known.owner)
}

async fn list(global: &Global, args: &ListArgs) -> Done {
    let tokens = global.api()?.tokens(args.all).await?;
    let now = Clock::system().now();
    global
        .output()
        .show(&tokens, |tokens| list_text(tokens, now))?;
    Ok(0)
}

fn list_text(tokens: &[TokenView], now: Timestamp) -> String {
    let header = ["TOKEN", "WHO", "MAY", "FROM", "ENDS", "USED", "NOTE"];
    let rows = tokens.iter().map(|token| row(token, now)).collect();
    table(&header, rows, "No token was made.")
}

fn row(token: &TokenView, now: Timestamp) -> Vec<Cell> {
    let scope = token
        .scope
        .as_ref()
        .map_or("all".to_owned(), Scope::to_string);
    let ends = match token.revoked_at {
        Some(at) => format!("revoked {}", relative(now, at)),
        None => relative(now, token.expires_at),
    };
    let used = token.last_used_at.map(|at| relative(now, at));
    vec![
        cell(&token.id.to_string()),
        cell(token.owner.as_str()),
        cell(&scope),
        cell(token.origin.name()),
        cell(&ends),
        cell(used.as_deref().unwrap_or("never")),
        cell(&token.note),
    ]
}

async fn revoke(global: &Global, args: &RevokeArgs) -> Done {
    let token = global.api()?.revoke_token(args.token).await?;
    global.output().show(&token, |token| {
        let done = paint(GOOD, "revoked");
        format!("{} of {} is {done}.", token.id, token.owner)
    })?;
    Ok(0)
}

/// What is left of a sign-in for whoever signed in.
pub(super) fn signed_in(known: &TokenView) -> String {
    let factor = if known.mfa {
        " with a second factor"
    } else {
        ""
    };
    let ends = relative(Clock::system().now(), known.expires_at);
    let name = paint(BOLD, known.owner.as_str());
    format!("Signed in as {name}{factor}; that ends {ends}.")
}
