//! psql asks by itself, waits, and goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::super::super::error::CliError;
use super::super::place::{DATABASE, Person};
use super::super::process::Group;
use super::Story;

/// Where psql says why it asks, and for how long.
const OPTIONS: &str = "-c hallpass.reason=INC-4312 -c hallpass.for=10m";
const PAID: &str = "update refunds set state = 'paid' where id = 11";

impl Story<'_> {
    /// Maya's psql files the request and waits; Dana looks at it and approves; psql goes on.
    pub(super) async fn psql_asks(&mut self) -> Result<(), CliError> {
        self.stage
            .act("Psql asks by itself: it waits where it would connect")?;
        let mut psql = self.psql_that_asks()?;
        let waits = psql.heard("HINT:").await;
        self.stage.output(&waits)?;
        self.stage.check(
            waits.contains("waiting for approval")
                && !self.cluster.has_seen(self.place, "orders_admin"),
            "it waits, and PostgreSQL has seen nothing of it",
        )?;
        let request = self.seen().await?;
        self.grant(&request).await?;
        let approved = Instant::now();
        let said = psql.output().await;
        self.stage.remark("and Maya's psql goes on:")?;
        self.stage.output(&said.text)?;
        let at_once = approved.elapsed() < Duration::from_secs(2);
        self.stage.check(
            said.code == 0 && said.text.contains("UPDATE 1") && at_once,
            "the same psql, without another word",
        )?;
        self.hallpass(Person::Maya, &["done", "orders-admin"])
            .await?;
        Ok(())
    }

    /// Starts a psql that asks, with its token as the password.
    fn psql_that_asks(&self) -> Result<Group, CliError> {
        let port = self.place.ports.proxy.to_string();
        let user = format!("{}~orders-admin", Person::Maya.name());
        let who = format!("host=localhost port={port} user={user} dbname={DATABASE}");
        self.stage.command(
            "maya",
            &format!("export PGPASSWORD=$(cat maya.token) PGOPTIONS='{OPTIONS}'"),
        )?;
        self.stage.command(
            "maya",
            &format!("psql '{who} sslmode=verify-full' -c \"{PAID}\""),
        )?;
        // One pipe for both, so that what it says stays in its order.
        let mut psql = self.client("sh");
        psql.args(["-c", "exec psql \"$@\" 2>&1", "psql", &who, "-c", PAID])
            .env("PGPASSWORD", self.token(Person::Maya)?)
            .env("PGOPTIONS", OPTIONS)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.place.certificate());
        Group::piped(&mut psql)
    }

    fn token(&self, person: Person) -> Result<String, CliError> {
        let path = self.place.token_file(person);
        let text = std::fs::read_to_string(&path).map_err(CliError::file(path))?;
        Ok(text.trim().to_owned())
    }

    /// The request, once Dana sees it.
    async fn seen(&mut self) -> Result<String, CliError> {
        let list = self.hallpass(Person::Dana, &["inbox"]).await?;
        let id = list.id("req-").filter(|_| list.code == 0);
        self.stage
            .check(id.is_some(), "Dana sees it as any other request")?;
        id.ok_or_else(|| CliError::Demo("the story ends without a request".into()))
    }
}
