//! The demo's own hallpass: this program, started as anybody would.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::super::token;
use super::cluster::failed;
use super::place::{DATABASE, Person, Place, write_secret};
use super::process::Group;

const START: Duration = Duration::from_secs(15);

/// A running `hallpass serve`; dropping it ends it.
pub(super) struct Server {
    server: Group,
    log: PathBuf,
}

impl Server {
    /// Writes the configuration into `place` and starts a server on it.
    pub(super) fn start(place: &Place) -> Result<Self, CliError> {
        let config = configure(place)?;
        let log = place.home.join("hallpass.log");
        let file = File::create(&log).map_err(CliError::file(&log))?;
        let errors = file.try_clone().map_err(CliError::file(&log))?;
        let mut command = place.command(&place.hallpass);
        command.arg("serve").arg("--config").arg(config);
        let server = Group::spawn(command.stdout(file).stderr(errors))?;
        Ok(Self { server, log })
    }

    /// Ends only if the server does, and says why.
    pub(super) async fn gone(&mut self) -> CliError {
        self.server.wait().await;
        self.failed("hallpass has ended")
    }

    /// Lets it drain and ends it.
    pub(super) async fn stop(&mut self) {
        self.server
            .stop(Signal::SIGTERM, Duration::from_secs(6))
            .await;
    }

    /// Waits until it is ready for clients.
    pub(super) async fn ready(&mut self, place: &Place) -> Result<(), CliError> {
        let http = reqwest::Client::builder().no_proxy().build();
        let http = http.map_err(|error| CliError::Demo(error.to_string()))?;
        let deadline = Instant::now() + START;
        loop {
            let answer = http.get(place.ops_url("readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if self.server.ended().is_some() || Instant::now() > deadline {
                return Err(self.failed("hallpass does not start"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn failed(&self, what: &str) -> CliError {
        failed(what, &fs::read_to_string(&self.log).unwrap_or_default())
    }
}

/// Writes the configuration, and the secrets that it names, each for its owner's eyes only.
fn configure(place: &Place) -> Result<PathBuf, CliError> {
    let secret = |name: &str, secret| write_secret(&place.home.join(name), secret);
    secret("orders-ro.password", &place.passwords.orders_ro)?;
    secret("orders-admin.password", &place.passwords.orders_admin)?;
    let mut people = Vec::new();
    for person in Person::ALL {
        let token = token::generate();
        write_secret(&place.token_file(person), &token)?;
        people.push(principal(person, &token::digest(&token)));
    }
    let path = place.home.join("hallpass.toml");
    let text = configuration(place, &people.join("\n"));
    fs::write(&path, text).map_err(CliError::file(&path))?;
    Ok(path)
}

fn configuration(place: &Place, people: &str) -> String {
    let ports = &place.ports;
    let server = format!(
        r#"# Written by `hallpass demo`.
data_dir = "."

[proxy]
listen = ["127.0.0.1:{}"]
drain_grace = "1s"

[api]
listen = "127.0.0.1:{}"

[ops]
listen = "127.0.0.1:{}"
"#,
        ports.proxy, ports.api, ports.ops
    );
    let ro = target(
        "orders-ro",
        "orders_ro",
        "Orders, read only",
        ports.postgres,
    );
    let admin = target(
        "orders-admin",
        "orders_admin",
        "Orders, read and write",
        ports.postgres,
    );
    [&*server, people, &ro, &admin].join("\n")
}

/// Tokens count as two factors here: nobody has a telephone in a demo, and breaking the glass takes
/// two.
fn principal(person: Person, token_sha256: &str) -> String {
    let (name, groups) = (person.name(), person.groups());
    format!(
        r#"[principals.{name}]
groups = {groups:?}
mfa = true
token_sha256 = "{token_sha256}"
"#
    )
}

fn target(name: &str, role: &str, description: &str, port: u16) -> String {
    let read_only = role.ends_with("_ro");
    format!(
        r#"[targets.{name}]
description = "{description}"
host = "127.0.0.1"
port = {port}
user = "{role}"
password = {{ file = "{name}.password" }}
tls = "off"
databases = ["{DATABASE}"]
read_only = {read_only}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_generated_configuration_is_accepted_without_a_warning() {
        let place = Place::make(None).unwrap();
        let config = Config::load(&configure(&place).unwrap()).unwrap();
        assert_eq!(config.warnings, []);
        assert_eq!(config.targets.len(), 2);
        assert_eq!(config.audit.folder, place.audit());
    }
}
