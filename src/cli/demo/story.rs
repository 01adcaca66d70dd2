//! The story itself: each act runs real commands, shows what they say, and checks it.

mod asking;
mod glass;
mod longer;

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::super::error::CliError;
use super::super::out::{self, Spinner};
use super::super::strings::quoted;
use super::audit;
use super::cluster::Cluster;
use super::place::{DATABASE, Person, Place};
use super::process::{Group, Said};
use super::stage::Stage;

const STUCK: &str = "\
select r.id, c.name, r.amount from refunds r join customers c on c.id = r.customer \
where r.state = 'stuck' order by r.id limit 3";

const BACKENDS: &str = "\
select pid, usename, state, query from pg_stat_activity where usename = 'orders_admin'";

/// How much later than its session a connection may end.
const TOLERANCE: Duration = Duration::from_secs(2);

/// The story and all that it needs.
pub(super) struct Story<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) place: &'a Place,
    pub(super) cluster: &'a Cluster,
}

impl Story<'_> {
    /// Tells it from beginning to end.
    pub(super) async fn tell(&mut self) -> Result<(), CliError> {
        self.refused().await?;
        let request = self
            .asked("orders-ro", "15m", "INC-4312 stuck refunds")
            .await?;
        let session = self.approved(&request).await?;
        self.used().await?;
        self.cancelled().await?;
        self.copied().await?;
        self.extended().await?;
        self.recorded(&session).await?;
        self.psql_asks().await?;
        self.glass_breaks().await?;
        self.expired().await
    }

    async fn refused(&mut self) -> Result<(), CliError> {
        self.stage.act("Nobody gets in without a session")?;
        let port = self.place.ports.proxy.to_string();
        let arguments = [
            "-h",
            "localhost",
            "-p",
            &port,
            "-U",
            "maya~orders-ro",
            DATABASE,
        ];
        self.stage
            .command("maya", &format!("psql {}", arguments.join(" ")))?;
        let mut psql = self.client("psql");
        psql.args(arguments)
            .env("PGPASSWORD", "guess")
            .env("PGSSLMODE", "require");
        let said = self.run(&mut psql).await?;
        let refused = said.code != 0 && said.text.contains("FATAL:");
        let unseen = !self.cluster.has_seen(self.place, "orders_ro");
        self.stage.check(
            refused && unseen,
            "refused; PostgreSQL has seen nothing of it",
        )
    }

    async fn asked(
        &mut self,
        target: &str,
        duration: &str,
        reason: &str,
    ) -> Result<String, CliError> {
        self.stage
            .act("Maya asks, with a reason, for a limited time")?;
        let request = self.submit(target, duration, reason).await?;
        let own = self.hallpass(Person::Maya, &["approve", &request]).await?;
        self.stage
            .check(own.code != 0, "nobody approves their own request")?;
        Ok(request)
    }

    async fn submit(
        &mut self,
        target: &str,
        duration: &str,
        reason: &str,
    ) -> Result<String, CliError> {
        let arguments = ["request", target, "--for", duration, "--reason", reason];
        let said = self.hallpass(Person::Maya, &arguments).await?;
        let id = said.id("req-").filter(|_| said.code == 0);
        self.stage.check(id.is_some(), "the request is waiting")?;
        id.ok_or_else(|| CliError::Demo("the story ends without a request".into()))
    }

    async fn approved(&mut self, request: &str) -> Result<String, CliError> {
        self.stage.act("Dana, who may, approves")?;
        let waiting = self.hallpass(Person::Dana, &["inbox"]).await?;
        self.stage
            .check(waiting.text.contains(request), "she sees who asks, and why")?;
        self.grant(request).await
    }

    async fn grant(&mut self, request: &str) -> Result<String, CliError> {
        let said = self.hallpass(Person::Dana, &["approve", request]).await?;
        let id = said.id("ses-").filter(|_| said.code == 0);
        self.stage.check(id.is_some(), "the session is open")?;
        id.ok_or_else(|| CliError::Demo("the story ends without a session".into()))
    }

    async fn used(&mut self) -> Result<(), CliError> {
        self.stage.act("Plain psql works")?;
        let rows = self.connect("orders-ro", STUCK).await?;
        self.stage.check(
            rows.code == 0 && rows.text.contains("(3 rows)"),
            "a query answers",
        )?;
        let failed = self
            .connect("orders-ro", "update refunds set state = 'paid'")
            .await?;
        self.stage.check(
            failed.code == 1 && failed.text.contains("permission denied for table refunds"),
            "an error is PostgreSQL's own",
        )
    }

    async fn cancelled(&mut self) -> Result<(), CliError> {
        let sql = "select pg_sleep(30)";
        let group = self.start("orders-ro", sql)?;
        self.until_running("orders_ro").await?;
        group.handle().send(Signal::SIGINT);
        let said = group.output().await;
        self.stage.output(&format!("^C{}", said.text))?;
        let cancelled = "canceling statement due to user request";
        self.stage.check(
            said.code == 1 && said.text.contains(cancelled),
            "Ctrl-C cancels the statement, on the server too",
        )
    }

    async fn copied(&mut self) -> Result<(), CliError> {
        let copy = "\\copy refunds to refunds.csv csv";
        let said = self.connect("orders-ro", copy).await?;
        let path = self.place.scratch.join("refunds.csv");
        let lines = fs::read_to_string(path).map_or(0, |text| text.lines().count());
        self.stage.command("maya", "wc -l < refunds.csv")?;
        self.stage.output(&lines.to_string())?;
        self.stage.check(
            said.code == 0 && lines > 0 && said.text.contains(&format!("COPY {lines}")),
            "\\copy brings every row",
        )
    }

    async fn recorded(&mut self, session: &str) -> Result<(), CliError> {
        self.stage.act("The audit has all of it")?;
        let folder = self.place.audit();
        self.stage
            .remark(&format!("session {session}, from {}", folder.display()))?;
        let statements = audit::statements(&folder, session).await?;
        self.stage.output(&audit::text(&statements))?;
        let ends: Vec<&str> = statements.iter().map(audit::Statement::end).collect();
        let texts = statements.iter().map(|s| s.sql.as_str());
        self.stage.check(
            ends == ["completed", "42501", "57014", "completed"]
                && texts
                    .zip(["select", "update", "select", "COPY"])
                    .all(|(s, w)| s.starts_with(w)),
            "four statements, each with its text and its end",
        )
    }

    async fn expired(&mut self) -> Result<(), CliError> {
        self.stage
            .act("A session ends by itself, also in the middle of a query")?;
        let request = self
            .submit("orders-admin", "8s", "INC-4312 retry by hand")
            .await?;
        self.grant(&request).await?;
        let granted = Instant::now();
        let group = self.start("orders-admin", "select pg_sleep(60)")?;
        self.until_running("orders_admin").await?;
        self.show_backends(&self.cluster.ask(self.place, BACKENDS).await?)?;
        let said = {
            let _spinner = Spinner::start("the session has 8 seconds · {elapsed}");
            group.output().await
        };
        let took = granted.elapsed();
        self.stage.remark("8 seconds are over. Maya's psql says:")?;
        self.stage.output(&said.text)?;
        let in_time = took < Duration::from_secs(8) + TOLERANCE;
        self.stage.check(
            said.code == 2 && said.text.contains("FATAL:") && in_time,
            "the connection was closed, with the reason",
        )?;
        self.nothing_left().await
    }

    /// The server's own view, within a second of the end.
    async fn nothing_left(&mut self) -> Result<(), CliError> {
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut backends = self.cluster.ask(self.place, BACKENDS).await?;
        while !backends.contains("(0 rows)") && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
            backends = self.cluster.ask(self.place, BACKENDS).await?;
        }
        self.show_backends(&backends)?;
        self.stage.check(
            backends.contains("(0 rows)"),
            "the query is gone from the server",
        )
    }

    fn show_backends(&self, rows: &str) -> Result<(), CliError> {
        self.stage
            .command("postgres", &format!("psql -c {}", quoted(BACKENDS)))?;
        self.stage.output(rows)
    }

    /// Until a `pg_sleep` of `role` runs, as PostgreSQL sees it.
    async fn until_running(&self, role: &str) -> Result<(), CliError> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && !self.cluster.running(self.place, role).await? {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs `sql` by `hallpass connect`, as Maya.
    async fn connect(&mut self, target: &str, sql: &str) -> Result<Said, CliError> {
        self.hallpass(Person::Maya, &["connect", target, "--", "-c", sql])
            .await
    }

    /// Shows `hallpass connect` with `sql` and starts it.
    fn start(&self, target: &str, sql: &str) -> Result<Group, CliError> {
        let arguments = ["connect", target, "--", "-c", sql];
        self.show(Person::Maya, &arguments)?;
        Group::piped(&mut self.speaking_as(Person::Maya, &arguments))
    }

    /// Shows a command of `person`, runs it, shows what it says.
    async fn hallpass(&mut self, person: Person, arguments: &[&str]) -> Result<Said, CliError> {
        self.show(person, arguments)?;
        self.run(&mut self.speaking_as(person, arguments)).await
    }

    fn show(&self, person: Person, arguments: &[&str]) -> Result<(), CliError> {
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        self.stage
            .command(person.name(), &format!("hallpass {}", words.join(" ")))
    }

    async fn run(&self, command: &mut Command) -> Result<Said, CliError> {
        let said = {
            let _spinner = Spinner::start("");
            Group::piped(command)?.output().await
        };
        self.stage.output(&said.text)?;
        Ok(said)
    }

    fn speaking_as(&self, person: Person, arguments: &[&str]) -> Command {
        let mut command = self.client(&self.place.hallpass);
        command.args(arguments).envs(self.place.identity(person));
        if out::has_colour() {
            command.env("CLICOLOR_FORCE", "1");
        }
        command
    }

    /// A command that finds psql, also where it is not in the PATH.
    fn client(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([self.cluster.programs.clone()]);
        let mut command = self.place.command(program);
        // A folder with a colon in its name cannot be in a PATH at all.
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
    }
}
