//! What the server has and what its policies say.

use super::super::error::CliError;
use super::Api;
use crate::http::types::{
    ConfigSummary, ExplainPolicy, Explanation, NotifyTest, PolicyView, TargetView, TriedChannel,
};

impl Api {
    pub(in super::super) async fn targets(&self) -> Result<Vec<TargetView>, CliError> {
        self.get("targets").await
    }

    pub(in super::super) async fn policy(&self) -> Result<PolicyView, CliError> {
        self.get("policy").await
    }

    pub(in super::super) async fn config_summary(&self) -> Result<ConfigSummary, CliError> {
        self.get("config/summary").await
    }

    pub(in super::super) async fn explain(
        &self,
        asked: &ExplainPolicy,
    ) -> Result<Explanation, CliError> {
        self.post("policy/explain", asked).await
    }

    /// Tries the channels of notices out.
    pub(in super::super) async fn notify_test(
        &self,
        test: &NotifyTest,
    ) -> Result<Vec<TriedChannel>, CliError> {
        self.post("notify/test", test).await
    }
}
