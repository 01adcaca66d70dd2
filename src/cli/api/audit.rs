//! The audit, read by the server, and what is kept of it.

use super::super::error::CliError;
use super::Api;
use crate::access::SessionId;
use crate::http::types::{HoldView, Reason, StatementsQuery, StatementsView};

impl Api {
    pub(in super::super) async fn statements(
        &self,
        query: &StatementsQuery,
    ) -> Result<StatementsView, CliError> {
        let address = self.address("audit/statements");
        self.send(self.http.get(address).query(query)).await
    }

    pub(in super::super) async fn holds(&self) -> Result<Vec<HoldView>, CliError> {
        self.get("audit/holds").await
    }

    pub(in super::super) async fn place_hold(
        &self,
        session: SessionId,
        reason: &Reason,
    ) -> Result<HoldView, CliError> {
        let path = self.address(&format!("audit/holds/{session}"));
        self.send(self.http.put(path).json(reason)).await
    }

    pub(in super::super) async fn release_hold(
        &self,
        session: SessionId,
        reason: &Reason,
    ) -> Result<HoldView, CliError> {
        let path = self.address(&format!("audit/holds/{session}"));
        self.send(self.http.delete(path).json(reason)).await
    }
}
