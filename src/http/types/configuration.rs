//! The configuration in force.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::{PrincipalKind, PrincipalName, RequestKind, SessionId, TargetName};
pub use crate::audit::ConfigurationFile;

/// `GET /api/v1/config/summary`: what the configuration in force says, for administrators.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConfigSummary {
    /// Since when it is in force.
    pub since: Timestamp,
    /// What it was read from.
    pub files: Vec<ConfigurationFile>,
    /// Values by key, without secrets; policies by id.
    pub facts: BTreeMap<String, String>,
    /// The sessions that are live under it.
    pub sessions: Vec<LiveSession>,
}

/// A live session, and what a policy is asked about it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveSession {
    /// Its name.
    pub id: SessionId,
    /// Whose it is.
    pub principal: PrincipalName,
    /// A person or a service.
    pub principal_kind: PrincipalKind,
    /// Their groups.
    pub groups: Vec<String>,
    /// What for.
    pub target: TargetName,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What was asked for.
    pub kind: RequestKind,
    /// Whether they showed a second factor when they asked.
    pub mfa: bool,
    /// From where they asked, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::AddressText>)]
    pub address: Option<IpAddr>,
    /// When they asked.
    pub asked_at: Timestamp,
    /// When it was to begin, if not at its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Why.
    pub reason: String,
    /// The ticket that the reason names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}
