//! Access requests, and where they may stand.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Chain, Grantor, PrincipalName, RequestId, SessionId, TargetName};

/// Somebody asks for a target, a duration, and gives a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// Its name.
    pub id: RequestId,
    /// What it asks for.
    pub kind: RequestKind,
    /// The session that it would extend, if it is an extension.
    pub extends: Option<SessionId>,
    /// Who asks.
    pub requester: PrincipalName,
    /// For what.
    pub target: TargetName,
    /// For how long, from the start on; or how much longer.
    pub duration: Duration,
    /// Why.
    pub reason: String,
    /// The ticket that the reason names, if the target wants one.
    pub ticket: Option<String>,
    /// When the session is to begin, if not at its approval.
    pub starts_at: Option<Timestamp>,
    /// What was known of how they asked.
    pub circumstances: Circumstances,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When it lapses if nobody decides.
    pub lapses_at: Timestamp,
    /// Who has to approve, and who has.
    pub chain: Chain,
    /// Where it stands.
    pub state: RequestState,
    /// Grows by one with each change; 1 at first.
    pub version: u64,
}

/// What a request asks for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A session.
    #[default]
    Session,
    /// More time in one.
    Extension,
    /// A session at once, reviewed afterwards.
    BreakGlass,
}

impl RequestKind {
    /// Its name, as the store, the audit and the API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Extension => "extension",
            Self::BreakGlass => "break_glass",
        }
    }

    /// Whether it is the usual one.
    pub fn is_session(&self) -> bool {
        *self == Self::Session
    }
}

/// What was known of how somebody asked: the policy is asked again with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Circumstances {
    /// Whether they had proved who they are with a second factor.
    pub mfa: bool,
    /// Where they called from, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// How often the session had been extended, of what asks for more of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<u32>,
    /// How long the session was without it, of what asks for more of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Duration>,
}

/// Where a request stands. Everything but `Pending` is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RequestState {
    /// Not all who have to have decided yet.
    Pending,
    /// Granted.
    Approved {
        /// By whom.
        by: Grantor,
        /// When.
        at: Timestamp,
        /// The session that it became, or made longer.
        session: SessionId,
    },
    /// Refused.
    Denied {
        /// By whom.
        by: PrincipalName,
        /// Whose powers they had, if not their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<PrincipalName>,
        /// When.
        at: Timestamp,
        /// Why. Named apart from the request's own reason, beside which the API shows it.
        #[serde(rename = "denial_reason")]
        reason: String,
    },
    /// Taken back by the requester.
    Withdrawn {
        /// When.
        at: Timestamp,
    },
    /// Nobody decided in time.
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

impl RequestState {
    /// The state's name, as the store and the API write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Lapsed { .. } => "lapsed",
        }
    }
}

impl AccessRequest {
    /// For how long it would be granted now: as asked for, or the shortest that an approver said.
    pub fn granted_duration(&self) -> Duration {
        let approvals = self.chain.approvals.iter();
        let said = approvals.filter_map(|approval| approval.seconds);
        said.map(Duration::from_secs)
            .fold(self.duration, Duration::min)
    }

    /// The same for `duration` at most.
    #[must_use]
    pub fn shortened(&self, duration: Duration) -> Self {
        Self {
            duration: self.duration.min(duration),
            ..self.clone()
        }
    }

    /// How long its session would be altogether, if it were granted now.
    pub fn total_duration(&self) -> Duration {
        let before = self.circumstances.before.unwrap_or_default();
        before.saturating_add(self.granted_duration())
    }

    /// Those whose approvals make it granted; `None` while some are missing.
    pub fn approved_by(&self) -> Option<Grantor> {
        let people = self.chain.approvals.iter().map(|it| it.by.clone());
        self.chain
            .is_full()
            .then(|| Grantor::People(people.collect()))
    }
}
