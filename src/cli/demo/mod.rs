//! `hallpass demo`: a throw-away PostgreSQL, a hallpass in front of it, and the whole story told on
//! the terminal. Everything is stopped and removed at the end, however the end comes.

mod audit;
mod cluster;
mod place;
mod process;
mod server;
mod stage;
mod story;

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::Done;
use super::error::CliError;
use super::out::{self, BOLD, DIM, Spinner, paint};
use super::strings::quoted;
use cluster::Cluster;
use place::{Person, Place};
use server::Server;
use stage::Stage;
use story::Story;

/// See it all work, on a throw-away PostgreSQL.
///
/// Starts a PostgreSQL cluster (initdb must be installed) and a hallpass on free local ports, and
/// shows the way of a session: refused, asked for, approved, used, extended, recorded, expired; how
/// psql asks by itself and waits; how the glass is broken and reviewed. Then both stay up until
/// Ctrl-C. Nothing of it touches other clusters or files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass demo
  hallpass demo --once
  hallpass demo --dir ./demo")]
pub(super) struct DemoArgs {
    /// End after the story: exit code 0 only if every step did what it says.
    #[arg(long)]
    once: bool,
    /// Keep the configuration, the store and the audit in this new folder.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) async fn run(args: DemoArgs) -> Done {
    let place = Place::make(args.dir)?;
    let mut show = Show::default();
    let ended = tokio::select! {
        ended = show.run(&place, args.once) => ended,
        interrupted = interrupted() => interrupted,
    };
    // A command that was running has ended with the losing future; these two end here.
    show.stop().await;
    ended?;
    Ok(show.exit_code())
}

/// Ends when somebody wants the demo to end.
async fn interrupted() -> Result<(), CliError> {
    let caught = |kind| signal(kind).map_err(CliError::file("signals"));
    let mut interrupt = caught(SignalKind::interrupt())?;
    let mut terminate = caught(SignalKind::terminate())?;
    let mut hang_up = caught(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

/// What is running, and how far the story is.
#[derive(Default)]
struct Show {
    cluster: Option<Cluster>,
    server: Option<Server>,
    stage: Stage,
    told: bool,
}

impl Show {
    async fn run(&mut self, place: &Place, once: bool) -> Result<(), CliError> {
        out::print(&paint(BOLD, "hallpass demo"))?;
        let cluster = self.cluster.insert(start_cluster(place).await?);
        {
            let _spinner = Spinner::start("PostgreSQL starts · {elapsed}");
            cluster.prepare(place).await?;
        }
        let server = self.server.insert(Server::start(place)?);
        {
            let _spinner = Spinner::start("hallpass starts · {elapsed}");
            server.ready(place).await?;
        }
        out::print(&paint(DIM, &where_they_are(place)))?;
        tell(place, cluster, &mut self.stage).await?;
        self.told = true;
        if once {
            return Ok(());
        }
        out::print(&invitation(place))?;
        Err(server.gone().await)
    }

    /// Ends what is running: hallpass first, so that it sees its connections end in good order.
    async fn stop(&mut self) {
        let _spinner = Spinner::start("everything stops");
        if let Some(server) = &mut self.server {
            server.stop().await;
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.stop().await;
        }
    }

    /// 0 only if the whole story was told and every step was good; 130, as of a shell, if it was
    /// interrupted.
    fn exit_code(&self) -> u8 {
        match (self.told, self.stage.is_good()) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 130,
        }
    }
}

async fn start_cluster(place: &Place) -> Result<Cluster, CliError> {
    let _spinner = Spinner::start("PostgreSQL is set up · {elapsed}");
    Cluster::start(place).await
}

fn where_they_are(place: &Place) -> String {
    format!(
        "A throw-away PostgreSQL on port {}, a hallpass on port {}.",
        place.ports.postgres, place.ports.proxy
    )
}

/// Tells the story and sums it up.
async fn tell(place: &Place, cluster: &Cluster, stage: &mut Stage) -> Result<(), CliError> {
    let begun = Instant::now();
    let mut story = Story {
        stage,
        place,
        cluster,
    };
    story.tell().await?;
    out::print(&format!("\n{}", stage.sum(begun.elapsed().as_secs())))
}

/// What there is to play with.
fn invitation(place: &Place) -> String {
    let command = |person, arguments: &str| {
        let variables = place.identity(person);
        let variables = variables.map(|(name, value)| format!("{name}={}", quoted(&value)));
        let hallpass = place.hallpass.display().to_string();
        format!("{} {} {arguments}", variables.join(" "), quoted(&hallpass))
    };
    let kept = if place.is_kept() {
        "Ctrl-C stops both; the files stay."
    } else {
        "Ctrl-C stops both and removes everything."
    };
    [
        format!("\n{}", paint(BOLD, "Now you: both stay up")),
        command(Person::Maya, "connect orders-ro"),
        command(Person::Dana, "inbox"),
        format!("metrics  {}", place.ops_url("metrics")),
        format!("audit    {}", place.audit().display()),
        paint(DIM, kept),
    ]
    .join("\n   ")
}
