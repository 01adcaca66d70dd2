//! hallpass as people run it: a process of its own, to be signalled, killed and started again.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::hallpass::{Hallpass, Setup};
use super::postgres::free_port;
use super::wait;

/// A `hallpass serve` that runs. Dropping it kills it.
pub struct Process {
    child: Child,
    config: PathBuf,
    log: PathBuf,
    hallpass: Hallpass,
}

impl Process {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready in time; with its log.
    pub async fn start(setup: Setup) -> Self {
        let mut ports = [free_port(), free_port(), free_port()];
        while ports[0] == ports[1] || ports[1] == ports[2] || ports[0] == ports[2] {
            ports = [free_port(), free_port(), free_port()];
        }
        let config = setup.write(ports);
        let log = setup.folder().join("hallpass.log");
        let child = serve(&config, &log);
        let hallpass =
            setup.into_hallpass(ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))));
        let mut process = Self {
            child,
            config,
            log,
            hallpass,
        };
        process.wait_until_ready().await;
        process
    }

    /// hallpass's command line, to be run by the test itself. It is the one that was built with the
    /// tests, unless `HALLPASS_TEST_BINARY` names another: a release build, say.
    pub fn command() -> Command {
        let built = env!("CARGO_BIN_EXE_hallpass").into();
        let binary = std::env::var_os("HALLPASS_TEST_BINARY").unwrap_or(built);
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HALLPASS_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids fit");
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits until it is gone.
    ///
    /// # Panics
    /// If it is not within `limit`.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < limit, "still there:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it as an operator would, and waits until it is gone.
    ///
    /// # Panics
    /// If it fails, or takes too long.
    pub async fn exit_in_order(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.exit(Duration::from_secs(40)).await;
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// `kill -9`: no chance to tidy up.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after it ended, with the same configuration and data.
    pub async fn start_again(&mut self) {
        assert!(self.child.try_wait().unwrap().is_some(), "it still runs");
        self.child = serve(&self.config, &self.log);
        self.wait_until_ready().await;
    }

    /// What it wrote to standard error and output.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn wait_until_ready(&mut self) {
        let limit = Duration::from_secs(30);
        let started = std::time::Instant::now();
        loop {
            let gone = self.child.try_wait().unwrap();
            assert!(
                gone.is_none() && started.elapsed() < limit,
                "not ready: {}",
                self.log()
            );
            if self.hallpass.is_ready().await {
                return;
            }
            tokio::time::sleep(wait::INTERVAL).await;
        }
    }
}

fn serve(config: &Path, log: &Path) -> Child {
    let log: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    Process::command()
        .arg("serve")
        .arg("--config")
        .arg(config)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Deref for Process {
    type Target = Hallpass;

    fn deref(&self) -> &Hallpass {
        &self.hallpass
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
