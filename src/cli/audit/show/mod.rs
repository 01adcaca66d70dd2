//! `hallpass audit show`.

mod head;
pub(super) mod moments;
pub(super) mod statement;

use clap::Args;

use super::super::error::CliError;
use super::super::pager::{Pages, Paging};
use super::super::{Done, Global};
use super::Where;
use super::which::Which;
use crate::audit::replay::Story;

/// Tell one session as a story.
///
/// Who asked and why, who approved, where its connections came from, every statement with its
/// parameters and what became of it, and how it ended. What belongs to it and is not in the log is
/// said, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit show ses-4m0t8z1kqc7e
  hallpass audit show 4m0t                          # the beginning of its name is enough
  hallpass audit show --last --principal maya
  hallpass audit show --last --no-statements
  hallpass audit show 4m0t --from s3://audit/prod --output json")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// Leave the statements out
    #[arg(long, conflicts_with = "statements")]
    no_statements: bool,
    /// Show what was run and nothing else
    #[arg(long)]
    statements: bool,
    /// Cut nothing: long texts and values whole, and texts that were only prepared
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    from: Where,
}

pub(super) fn run(global: &Global, args: &ShowArgs) -> Done {
    let archive = args.from.archive()?;
    let mut story = args.which.story(&archive)?;
    if !global.output().is_human() {
        if args.no_statements {
            story.statements.clear();
        }
        global.output().show(&story, |_| String::new())?;
        return Ok(0);
    }
    let mut pages = Pages::open(&args.paging)?;
    let done = tell(&story, args, &mut |text| pages.print(text)).map(|()| 0);
    pages.close(done)
}

type Print<'a> = &'a mut dyn FnMut(&str) -> Result<(), CliError>;

fn tell(story: &Story, args: &ShowArgs, print: Print<'_>) -> Result<(), CliError> {
    if !args.statements {
        print(&head::text(story))?;
    }
    let shown = moments::Shown {
        acts: !args.statements,
        statements: !args.no_statements,
        full: args.full,
    };
    moments::tell(story, shown, print)?;
    match &story.missing[..] {
        [] => Ok(()),
        _ => print(&head::missing(story)),
    }
}
