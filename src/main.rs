//! The entry: parses the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use hallpass::cli::{self, Cli, Command};
use tokio::runtime::Builder;

fn main() -> anyhow::Result<ExitCode> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nobody has installed another provider before");
    let cli = Cli::parse();
    match &cli.command {
        Some(Command::Serve(args)) => {
            let _ = &args.config;
            Ok(ExitCode::FAILURE)
        }
        _ => {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(cli::run(cli)))
        }
    }
}
