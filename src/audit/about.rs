//! Whom and what a record is about.

use super::{Event, Origin};
use crate::access::{PrincipalName, SessionId, TargetName};

/// Whom and what a record is about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct About<'a> {
    /// The session.
    pub session: Option<SessionId>,
    /// The principals: who holds or asks, who acts.
    pub principals: [Option<&'a PrincipalName>; 2],
    /// The target.
    pub target: Option<&'a TargetName>,
}

impl Event {
    /// Whom and what it is about.
    pub fn about(&self) -> About<'_> {
        if let Some(origin) = self.origin() {
            return About {
                session: Some(origin.session),
                principals: [Some(&origin.principal), None],
                target: Some(&origin.target),
            };
        }
        match self {
            Self::RequestSubmitted {
                principal, target, ..
            }
            | Self::RequestEscalated {
                principal, target, ..
            } => About {
                session: None,
                principals: [Some(principal), None],
                target: Some(target),
            },
            Self::RequestApproved {
                by,
                session,
                principal,
                target,
                ..
            } => About {
                session: Some(*session),
                principals: [Some(principal), by.as_ref()],
                target: Some(target),
            },
            Self::RequestStageApproved {
                principal,
                target,
                by,
                ..
            } => About {
                session: None,
                principals: [Some(principal), Some(by)],
                target: Some(target),
            },
            Self::SessionRevoked {
                session,
                principal,
                target,
                by,
                ..
            }
            | Self::ReviewClosed {
                session,
                principal,
                target,
                by,
                ..
            } => About {
                session: Some(*session),
                principals: [Some(principal), Some(by)],
                target: Some(target),
            },
            Self::SessionExpired {
                session,
                principal,
                target,
            }
            | Self::SessionStarted {
                session,
                principal,
                target,
                ..
            } => About {
                session: Some(*session),
                principals: [Some(principal), None],
                target: Some(target),
            },
            Self::SecretRead { session, by }
            | Self::HoldPlaced { session, by, .. }
            | Self::HoldReleased { session, by, .. } => About {
                session: Some(*session),
                principals: [Some(by), None],
                target: None,
            },
            Self::RequestDenied { by, .. }
            | Self::RequestWithdrawn { by, .. }
            | Self::ConfigurationChanged { by, .. }
            | Self::AuditRead { by, .. } => About {
                session: None,
                principals: [Some(by), None],
                target: None,
            },
            Self::SignInFailed { principal, .. } => About {
                principals: [principal.as_ref(), None],
                ..About::default()
            },
            Self::SignedIn { principal, .. } => About {
                principals: [Some(principal), None],
                ..About::default()
            },
            Self::AccountAdded { principal, by, .. }
            | Self::AccountChanged { principal, by, .. }
            | Self::TokenCreated { principal, by, .. }
            | Self::TokenRevoked { principal, by, .. } => About {
                principals: [Some(principal), Some(by)],
                ..About::default()
            },
            Self::DelegationMade { from, to, .. } | Self::DelegationEnded { from, to } => About {
                session: None,
                principals: [Some(from), Some(to)],
                target: None,
            },
            _ => About::default(),
        }
    }

    /// Whether it is about the log alone: where a segment begins, what is signed.
    pub fn is_of_the_log(&self) -> bool {
        matches!(self, Self::SegmentOpened { .. } | Self::Checkpoint { .. })
    }

    /// Whether it is about one statement of a connection.
    pub fn is_of_a_statement(&self) -> bool {
        matches!(
            self,
            Self::StatementPrepared { .. }
                | Self::PortalBound { .. }
                | Self::StatementStarted { .. }
                | Self::StatementPart { .. }
                | Self::StatementResults { .. }
                | Self::CommitFailed { .. }
                | Self::StatementFinished { .. }
        )
    }

    /// Whose connection it belongs to.
    pub fn origin(&self) -> Option<&Origin> {
        Some(match self {
            Self::ConnectionOpened { origin, .. }
            | Self::ConnectionEstablished { origin, .. }
            | Self::BackendTerminated { origin, .. }
            | Self::BackendLeft { origin, .. }
            | Self::ConnectionClosed { origin, .. }
            | Self::CancelRequested { origin, .. }
            | Self::StatementPrepared { origin, .. }
            | Self::PortalBound { origin, .. }
            | Self::StatementStarted { origin, .. }
            | Self::StatementPart { origin, .. }
            | Self::StatementResults { origin, .. }
            | Self::CommitFailed { origin, .. }
            | Self::StatementFinished { origin, .. } => origin,
            _ => return None,
        })
    }
}
