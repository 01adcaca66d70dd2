//! Requests, and who decides on them.

use super::super::error::CliError;
use super::again::Patience;
use super::{Api, Nothing, POLL};
use crate::access::{PrincipalName, RequestId};
use crate::http::types::{
    Approve, Approved, Delegate, Delegation, Reason, RequestView, SubmitRequest,
};

impl Api {
    pub(in super::super) async fn submit(
        &self,
        submission: &SubmitRequest,
    ) -> Result<RequestView, CliError> {
        self.create("requests", submission).await
    }

    /// Pending requests, or all.
    pub(in super::super) async fn requests(&self, all: bool) -> Result<Vec<RequestView>, CliError> {
        let state = if all { "all" } else { "pending" };
        self.list(&format!("requests?state={state}&limit=500"))
            .await
    }

    pub(in super::super) async fn request(&self, id: RequestId) -> Result<RequestView, CliError> {
        self.get(&format!("requests/{id}")).await
    }

    /// A request, once it is no longer pending or the server gets tired of waiting. A server that
    /// restarts meanwhile is given time to come back.
    pub(in super::super) async fn poll_request(
        &self,
        id: RequestId,
    ) -> Result<RequestView, CliError> {
        let path = self.address(&format!("requests/{id}?wait={POLL}s"));
        let call = self.with_token(self.http.get(path));
        let response = self.respond_with(call, Patience::LONG).await?;
        self.document(response).await
    }

    /// Approves it, if it is still in the version that was `seen`.
    pub(in super::super) async fn approve(
        &self,
        id: RequestId,
        seen: Option<u64>,
        body: &Approve,
    ) -> Result<Approved, CliError> {
        let path = format!("requests/{id}/approve");
        self.change(&path, seen, body).await
    }

    /// Denies it, if it is still in the version that was `seen`.
    pub(in super::super) async fn deny(
        &self,
        id: RequestId,
        seen: Option<u64>,
        reason: &Reason,
    ) -> Result<RequestView, CliError> {
        let path = format!("requests/{id}/deny");
        self.change(&path, seen, reason).await
    }

    pub(in super::super) async fn withdraw(&self, id: RequestId) -> Result<RequestView, CliError> {
        self.post(&format!("requests/{id}/withdraw"), &Nothing {})
            .await
    }

    pub(in super::super) async fn delegations(&self) -> Result<Vec<Delegation>, CliError> {
        self.get("delegations").await
    }

    pub(in super::super) async fn delegate(&self, body: &Delegate) -> Result<Delegation, CliError> {
        self.create("delegations", body).await
    }

    pub(in super::super) async fn end_delegation(
        &self,
        to: &PrincipalName,
    ) -> Result<Delegation, CliError> {
        let path = self.address(&format!("delegations/{to}"));
        self.send(self.http.delete(path)).await
    }
}
