//! `hallpass audit replay`.

mod against;
mod keys;
mod plain;
mod screen;
mod terminal;
mod view;

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;

use super::super::{Done, Global};
use super::Where;
use super::which::Which;
use crate::audit::replay::{Player, Story, Tape};

/// Play one session back as it ran.
///
/// On a terminal it can be paused, stepped through, searched and sped up: `?` shows the keys.
/// Without a terminal, or with --plain, lines come with the time between them. With --against, its
/// statements are run again on another database, and what differs from the record is told: exit
/// code 1 then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit replay ses-4m0t8z1kqc7e
  hallpass audit replay --last --principal maya --speed 8 --max-idle 2s
  hallpass audit replay 4m0t --plain --no-wait | grep -i 'delete from'
  PGPASSWORD=.. hallpass audit replay 4m0t --against postgres://dba@clone.example.com/orders")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// How fast: 1 is as it ran, from 0.25 to 64
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = speed)]
    speed: f64,
    /// Cut stretches in which nothing runs to this
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_idle: Option<Duration>,
    /// Print lines, also on a terminal
    #[arg(long)]
    plain: bool,
    /// Print all lines at once
    #[arg(long)]
    no_wait: bool,
    /// Cut nothing: long texts and values whole
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    against: against::AgainstArgs,
    #[command(flatten)]
    from: Where,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number")?;
    match (0.25..=64.0).contains(&speed) {
        true => Ok(speed),
        false => Err("from 0.25 to 64".to_owned()),
    }
}

pub(super) async fn run(global: &Global, args: ReplayArgs) -> Done {
    let archive = args.from.archive()?;
    let story = args.which.story(&archive)?;
    if args.against.is_asked_for() {
        return against::run(global, &args, &story).await;
    }
    let terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if args.plain || args.no_wait || !terminal || !global.output().is_human() {
        return plain::run(global, &args, &story).await;
    }
    terminal::run(&story, |story, now| player(&args, story, now)).await
}

fn player(args: &ReplayArgs, story: &Story, now: Duration) -> Player {
    let tape = Tape::of(&Tape::moments(story));
    let player = Player::new(tape, now).at_speed(args.speed);
    match args.max_idle {
        Some(most) => player.cut_to(most),
        None => player,
    }
}
