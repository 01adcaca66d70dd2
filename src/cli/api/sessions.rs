//! Sessions, their connections and their reviews, and what changes of them.

use std::time::Duration;

use reqwest::Response;

use super::super::error::CliError;
use super::{Api, Nothing};
use crate::access::{PrincipalName, SessionId, TargetName};
use crate::http::types::{
    CloseReview, ConnectionView, Extend, Reason, RequestView, ReviewView, SessionSecret,
    SessionView,
};

/// What ends when either side goes, and not by itself.
const ENDLESS: Duration = Duration::from_secs(365 * 24 * 3600);

impl Api {
    /// Live sessions, or all.
    pub(in super::super) async fn sessions(&self, all: bool) -> Result<Vec<SessionView>, CliError> {
        let state = if all { "all" } else { "live" };
        self.list(&format!("sessions?state={state}&limit=500"))
            .await
    }

    /// The last sessions of somebody for a target, the newest first: `most`, of 500 at most.
    pub(in super::super) async fn sessions_of(
        &self,
        principal: &PrincipalName,
        target: &TargetName,
        most: usize,
    ) -> Result<Vec<SessionView>, CliError> {
        let query = [
            ("state", "all"),
            ("limit", &most.to_string()),
            ("principal", principal.as_str()),
            ("target", target.as_str()),
        ];
        self.send(self.http.get(self.address("sessions")).query(&query))
            .await
    }

    pub(in super::super) async fn revoke(
        &self,
        id: SessionId,
        reason: &Reason,
    ) -> Result<SessionView, CliError> {
        self.post(&format!("sessions/{id}/revoke"), reason).await
    }

    pub(in super::super) async fn extend(
        &self,
        id: SessionId,
        body: &Extend,
    ) -> Result<RequestView, CliError> {
        self.create(&format!("sessions/{id}/extend"), body).await
    }

    pub(in super::super) async fn secret(&self, id: SessionId) -> Result<SessionSecret, CliError> {
        self.post(&format!("sessions/{id}/secret"), &Nothing {})
            .await
    }

    pub(in super::super) async fn connections(&self) -> Result<Vec<ConnectionView>, CliError> {
        self.get("connections").await
    }

    /// The events from behind the one with the id `since`, as they come.
    pub(in super::super) async fn events(&self, since: Option<&str>) -> Result<Response, CliError> {
        let request = self.http.get(self.address("events")).timeout(ENDLESS);
        let request = match since {
            Some(since) => request.header("Last-Event-ID", since),
            None => request,
        };
        self.respond(self.with_token(request)).await
    }

    /// Open reviews, or all.
    pub(in super::super) async fn reviews(&self, all: bool) -> Result<Vec<ReviewView>, CliError> {
        let state = if all { "all" } else { "open" };
        self.list(&format!("reviews?state={state}&limit=500")).await
    }

    pub(in super::super) async fn close_review(
        &self,
        session: SessionId,
        body: &CloseReview,
    ) -> Result<ReviewView, CliError> {
        self.post(&format!("reviews/{session}/close"), body).await
    }
}
