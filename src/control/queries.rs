//! What people may see: their own, and what they may decide on. The rest is not there.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::access::{
    AccessRequest, Caller, PrincipalName, RequestId, RequestState, Session, SessionId, Target,
    TargetName,
};
use crate::admission::ConnectionInfo;
use crate::audit::Unavailable;
use crate::policy::Action;
use crate::store::{Filter, Visible, Window};

use super::window::{LIST, ajar, page};
use super::{Control, Error, Page};

/// How long the store may take to show that it answers.
const PING: Duration = Duration::from_secs(1);

/// A target as one principal sees it.
#[derive(Debug, Clone)]
pub struct TargetAccess {
    /// The target.
    pub target: Target,
    /// Whether the principal may request it.
    pub may_request: bool,
    /// Whether the principal may approve requests for it.
    pub may_approve: bool,
}

/// A request as one principal sees it.
#[derive(Debug, Clone)]
pub struct RequestStatus {
    /// The request.
    pub request: AccessRequest,
    /// Whether the principal may decide it.
    pub may_decide: bool,
    /// Who may, of all whom hallpass knows; left out of lists.
    pub deciders: Vec<PrincipalName>,
    /// When it was so.
    pub at: Timestamp,
}

/// A session, and what runs under it.
#[derive(Debug, Clone)]
pub struct SessionStatus {
    /// The session.
    pub session: Session,
    /// Connections open under it now.
    pub connections: usize,
}

/// Whether the parts that everything needs are in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Records are being made; or why not.
    pub audit: Result<(), Unavailable>,
    /// The store answers.
    pub store: bool,
}

impl Control {
    /// The targets that `caller` may request or approve, by name.
    pub fn targets(&self, caller: &Caller) -> Vec<TargetAccess> {
        let rules = self.rules.load();
        let access = |target: &Target| TargetAccess {
            may_request: self.may(caller, Action::Request, &target.name),
            may_approve: self.may(caller, Action::Approve, &target.name),
            target: target.clone(),
        };
        let mut targets: Vec<_> = rules
            .targets
            .values()
            .map(access)
            .filter(|access| access.may_request || access.may_approve)
            .collect();
        targets.sort_by(|a, b| a.target.name.cmp(&b.target.name));
        targets
    }

    /// What a request opens, for whoever may see the request: also by others' powers.
    pub fn target_of(&self, request: &AccessRequest) -> Option<Target> {
        self.rules.load().targets.get(&request.target).cloned()
    }

    /// The request, if `caller` may see it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if not, or if it is not there.
    pub async fn request(&self, caller: &Caller, id: RequestId) -> Result<RequestStatus, Error> {
        let request = self.visible_request(caller, id).await?;
        let powers = self.powers(caller).await?;
        Ok(self.full_status(self.may_decide(&powers, &request), request))
    }

    /// The request as soon as it is no longer pending, or as it stands after `wait`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the caller may not see it, or if it is not there.
    pub async fn decided_request(
        &self,
        caller: &Caller,
        id: RequestId,
        wait: Duration,
    ) -> Result<RequestStatus, Error> {
        let deadline = tokio::time::Instant::now() + wait;
        let mut changes = self.changes();
        loop {
            // Marked as seen before the look, so that no change falls between the two.
            changes.borrow_and_update();
            let status = self.request(caller, id).await?;
            if status.request.state != RequestState::Pending {
                return Ok(status);
            }
            let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
            if changed.is_err() {
                return Ok(status);
            }
        }
    }

    /// The requests that `caller` may see, the newest first; only pending ones if so asked.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn requests(
        &self,
        caller: &Caller,
        pending_only: bool,
    ) -> Result<Vec<RequestStatus>, Error> {
        let window = Window::default();
        let page = self.requests_within(caller, pending_only, &window).await?;
        Ok(page.items)
    }

    /// A part of them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn requests_within(
        &self,
        caller: &Caller,
        pending_only: bool,
        window: &Window,
    ) -> Result<Page<RequestStatus>, Error> {
        let mut filter = self.visible(caller, pending_only).await?;
        filter.window = ajar(window);
        let requests = self.store.requests(&filter).await?;
        let powers = self.powers(caller).await?;
        let status = |request| RequestStatus {
            may_decide: self.may_decide(&powers, &request),
            request,
            deciders: Vec::new(),
            at: self.now(),
        };
        Ok(page(requests.into_iter().map(status).collect(), window))
    }

    /// The session, if `caller` may see it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if not, or if it is not there.
    pub async fn session(&self, caller: &Caller, id: SessionId) -> Result<SessionStatus, Error> {
        let session = self.visible_session(caller, id).await?;
        Ok(self.session_status(session))
    }

    /// The sessions that `caller` may see, the newest first; only live ones if so asked.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sessions(
        &self,
        caller: &Caller,
        live_only: bool,
    ) -> Result<Vec<SessionStatus>, Error> {
        let window = Window::default();
        let page = self.sessions_within(caller, live_only, (None, None), &window);
        Ok(page.await?.items)
    }

    /// A part of them; only of this holder and for this target, where they are given.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sessions_within(
        &self,
        caller: &Caller,
        live_only: bool,
        (principal, target): (Option<PrincipalName>, Option<TargetName>),
        window: &Window,
    ) -> Result<Page<SessionStatus>, Error> {
        let filter = Filter {
            principal,
            target,
            window: ajar(window),
            ..self.visible(caller, live_only).await?
        };
        let sessions = self.store.sessions(&filter).await?;
        let mut counts: HashMap<SessionId, usize> = HashMap::new();
        for connection in self.admission.connections() {
            *counts.entry(connection.session).or_default() += 1;
        }
        let status = |session: Session| SessionStatus {
            connections: counts.get(&session.id).copied().unwrap_or(0),
            session,
        };
        Ok(page(sessions.into_iter().map(status).collect(), window))
    }

    /// The open connections that `caller` may see, the oldest first.
    pub fn connections(&self, caller: &Caller) -> Vec<ConnectionInfo> {
        let mut connections = self.admission.connections();
        connections.retain(|connection| {
            connection.principal == caller.name
                || self.may(caller, Action::View, &connection.target)
        });
        connections.sort_by_key(|connection| (connection.opened_at, connection.id));
        connections
    }

    /// Whether the parts that everything needs are in order.
    pub async fn readiness(&self) -> Readiness {
        let ping = tokio::time::timeout(PING, self.store.ping()).await;
        Readiness {
            audit: self.recorder.health(),
            store: matches!(ping, Ok(Ok(()))),
        }
    }

    pub(super) fn full_status(&self, may_decide: bool, request: AccessRequest) -> RequestStatus {
        RequestStatus {
            deciders: self.deciders(&request),
            request,
            may_decide,
            at: self.now(),
        }
    }

    pub(super) fn session_status(&self, session: Session) -> SessionStatus {
        let connections = self.admission.connections();
        let of_session = |info: &&ConnectionInfo| info.session == session.id;
        SessionStatus {
            connections: connections.iter().filter(of_session).count(),
            session,
        }
    }

    /// What `caller` may see: their own, and that of targets that they may see all of.
    pub(super) async fn visible(&self, caller: &Caller, open_only: bool) -> Result<Filter, Error> {
        let powers = self.powers(caller).await?;
        let rules = self.rules.load();
        let seen = |target: &&TargetName| self.any_may(&powers, Action::View, target);
        Ok(Filter {
            open_only,
            visible: Some(Visible {
                principal: caller.name.clone(),
                targets: rules.targets.keys().filter(seen).cloned().collect(),
            }),
            window: Window {
                after: None,
                limit: Some(LIST),
            },
            ..Filter::default()
        })
    }
}
