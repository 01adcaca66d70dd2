//! demo
use super::Done;
use clap::Args;

/// See it all work, on a throw-away PostgreSQL.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass demo")]
pub struct DemoArgs {
    /// End after the story.
    #[arg(long)]
    once: bool,
    /// Keep there.
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
}
pub(super) async fn run(args: DemoArgs) -> Done {
    let _ = (args.once, args.dir);
    Ok(0)
}
