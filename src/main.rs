//! The entry: parses the command line and hands over.

use std::process::ExitCode;

use clap::Parser;
use hallpass::app;
use hallpass::cli::{self, Cli, ServeArgs};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nobody has installed another provider before");
    let cli = Cli::parse();
    let ended = match cli.serve() {
        Some(args) => serve(args),
        None => client(cli),
    };
    ended.unwrap_or_else(|error| cli::fail(&error))
}

/// Every command but `serve`: each waits for one thing at a time, so one thread will do.
fn client(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(cli::run(cli)))
}

fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let Some(config) = args.load() else {
        return Ok(ExitCode::FAILURE);
    };
    // One more stands by, should the audit's disk hold one up.
    let workers = usize::try_from(config.proxy.workers)?.saturating_add(1);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    let served = runtime.block_on(app::serve(config));
    if served.is_err() {
        // A disk that hangs would be waited for.
        runtime.shutdown_background();
    }
    served?;
    Ok(ExitCode::SUCCESS)
}
