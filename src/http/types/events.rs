//! What changes, as it is told while it does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RequestView, ReviewView, SessionView};

/// A server-sent event, as `GET /api/v1/events` sends it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// What to send as `Last-Event-ID` to hear what comes behind it.
    pub id: String,
    /// What it is about.
    pub event: EventKind,
    /// An `EventView`, as JSON.
    #[schema(content_media_type = "application/json")]
    pub data: String,
}

/// The data of an event of `GET /api/v1/events`: one thing as it is after a change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// What it is about; also the event's name.
    pub what: EventKind,
    /// The request, or the session; of a review its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version that it has now. An older one never comes after a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The request, as the list of requests shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestView>,
    /// The session, as the list of sessions shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionView>,
    /// The review, as the list of reviews shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewView>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Changes may have been missed: read the lists again. What comes from now on will be told.
    Reset,
    /// A request.
    Request,
    /// A session.
    Session,
    /// A review of a broken glass.
    Review,
}

impl EventKind {
    /// Its name, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Request => "request",
            Self::Session => "session",
            Self::Review => "review",
        }
    }
}

impl EventView {
    /// An event that says nothing yet of what it is about.
    pub(in super::super) fn about(what: EventKind) -> Self {
        Self {
            what,
            id: None,
            version: None,
            request: None,
            session: None,
            review: None,
        }
    }
}
