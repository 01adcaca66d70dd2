//! The glass is broken at night, and looked at in the morning.

use super::super::super::error::CliError;
use super::super::place::Person;
use super::Story;

impl Story<'_> {
    /// Lee, on call, gets in without an approval; Dana reviews it.
    pub(super) async fn glass_breaks(&mut self) -> Result<(), CliError> {
        self.stage
            .act("At night, on call, Lee finds nobody to ask")?;
        let session = self.broken().await?;
        let sql = "update refunds set state = 'pending' where state = 'stuck'";
        let ran = self
            .hallpass(Person::Lee, &["connect", "orders-admin", "--", "-c", sql])
            .await?;
        self.stage.check(
            ran.code == 0 && ran.text.contains("UPDATE"),
            "Lee gets in at once, recorded as anybody",
        )?;
        self.hallpass(Person::Lee, &["done", "orders-admin"])
            .await?;
        self.reviewed(&session).await
    }

    async fn broken(&mut self) -> Result<String, CliError> {
        let reason = "INC-4313 nobody gets a refund";
        let arguments = [
            "request",
            "orders-admin",
            "--for",
            "10m",
            "--reason",
            reason,
            "--break-glass",
        ];
        let said = self.hallpass(Person::Lee, &arguments).await?;
        let id = said.id("ses-").filter(|_| said.code == 0);
        id.ok_or_else(|| CliError::Demo("the story ends before a glass that holds".into()))
    }

    async fn reviewed(&mut self, session: &str) -> Result<(), CliError> {
        let open = self.hallpass(Person::Dana, &["review", "list"]).await?;
        self.stage.check(
            open.text.contains(session),
            "it stays open until somebody has looked",
        )?;
        let close = |note| ["review", "close", session, "--note", note];
        let own = self.hallpass(Person::Lee, &close("all is well")).await?;
        self.stage.check(own.code != 0, "and that is never Lee")?;
        let note = "right, and the runbook has it now";
        let closed = self.hallpass(Person::Dana, &close(note)).await?;
        self.stage
            .check(closed.code == 0, "Dana has read it, and closes it")
    }
}
