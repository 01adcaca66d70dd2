//! More time, while it is needed.

use super::super::super::error::CliError;
use super::super::place::Person;
use super::Story;

impl Story<'_> {
    /// Maya asks for more time; the policy grants the first half hour by itself.
    pub(super) async fn extended(&mut self) -> Result<(), CliError> {
        self.stage
            .act("Maya needs longer: nobody has to be woken up for that")?;
        let reason = "INC-4312 two refunds left";
        let arguments = ["extend", "orders-ro", "--for", "10m", "--reason", reason];
        let said = self.hallpass(Person::Maya, &arguments).await?;
        let by_policy = said.text.contains("policy first-extension-alone");
        self.stage.check(
            said.code == 0 && by_policy,
            "a policy approved it, and is named for it",
        )
    }
}
