//! Somebody asks by connecting: the request they have for the target, or a new one, and what
//! becomes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::access::{
    AccessRequest, Caller, PrincipalName, RequestId, RequestState, Right, SessionId, TargetName,
};
use crate::asking::{Ask, Asked, Declined, Desk, Verdict};
use crate::secret::Secret;

use super::{Control, Error, RequestStatus, Rules, submit};

/// What is asked for if nothing is said.
const USUAL: Duration = Duration::from_secs(3600);

/// The control plane as the data plane sees it.
pub struct FrontDesk(pub Arc<Control>);

#[async_trait]
impl Desk for FrontDesk {
    async fn identify(&self, name: &str, token: &Secret, address: IpAddr) -> Option<Caller> {
        let guesses = self.0.guesses();
        // In the same words as a wrong one: who must wait learns nothing of what they guess.
        if guesses.wait(address).is_some() {
            tracing::info!(peer = %address, "an access token is not looked at after too many wrong ones");
            return None;
        }
        // Counted before it is looked at: any number at once are as many guesses.
        guesses.wrong(address);
        let caller = self.0.authenticate(token, Some(address)).await;
        let caller = caller.inspect_err(|error| tracing::warn!(%error, "reading a token"));
        if !matches!(caller, Ok(None)) {
            guesses.right(address);
        }
        caller
            .ok()
            .flatten()
            .filter(|caller| caller.name.as_str() == name && caller.has(Right::Request))
    }

    async fn ask(&self, caller: &Caller, ask: &Ask) -> Result<Asked, Declined> {
        self.0.ask(caller, ask).await.map_err(|error| Declined {
            message: format!("hallpass: {error}"),
            hint: None,
        })
    }

    async fn decided(&self, request: RequestId) -> Verdict {
        self.0.verdict(request).await
    }
}

impl Control {
    /// Files a request, or finds the pending one that the caller has for the target: who connects
    /// again, for whatever reason, goes on waiting for the same decision.
    ///
    /// # Errors
    /// As [`Control::submit`].
    pub async fn ask(self: &Arc<Self>, caller: &Caller, ask: &Ask) -> Result<Asked, Error> {
        let pending = self.requests(caller, true).await?;
        let own = |it: &RequestStatus| {
            it.request.kind.is_session()
                && it.request.starts_at.is_none()
                && it.request.requester == caller.name
                && it.request.target == ask.target
        };
        let before = pending.into_iter().find(own);
        let again = before.is_some();
        let status = match before {
            Some(status) => status,
            None => {
                let usual = || self.rules.load().usual(&ask.target);
                let duration = ask.duration.unwrap_or_else(usual);
                let ask = submit::Ask::new(ask.target.clone(), duration, ask.reason.clone());
                self.submit(caller, ask).await?
            }
        };
        let request = status.request;
        Ok(Asked {
            approvers: names(self.deciders(&request)),
            link: self.page(&request),
            request: request.id,
            duration: request.duration,
            reason: request.reason,
            again,
            lapses_at: request.lapses_at,
        })
    }

    /// Where the request can be looked at and decided, if the configuration says where we are.
    fn page(&self, request: &AccessRequest) -> Option<String> {
        let base = self.link_base()?;
        Some(format!("{base}/requests/{}", request.id))
    }

    /// Returns when the request is decided and, if it was granted, its session is open.
    pub async fn verdict(&self, id: RequestId) -> Verdict {
        let declined = |message: String| {
            Verdict::Refused(Declined {
                message,
                hint: None,
            })
        };
        let mut changes = self.changes();
        let request = loop {
            changes.borrow_and_update();
            // Only what it has become: many may wait, and all of them look when anything changes.
            match self.store.request(id).await {
                Ok(Some(request)) if request.state != RequestState::Pending => break request,
                Ok(Some(_)) => {}
                Ok(None) => return declined(format!("hallpass: there is no request {id}")),
                Err(error) => return declined(format!("hallpass: {}", Error::from(error))),
            }
            if changes.changed().await.is_err() {
                return declined("hallpass: it is shutting down".into());
            }
        };
        match request.state {
            RequestState::Approved { by, session, .. } => match self.opened(session).await {
                Some(expires_at) => Verdict::Granted {
                    by: by.to_string(),
                    expires_at,
                },
                None => declined("hallpass: it was approved, but the session has ended".into()),
            },
            RequestState::Denied { by, reason, .. } => {
                declined(format!("hallpass: {by} denied {id}: {reason}"))
            }
            RequestState::Withdrawn { .. } => declined(format!("hallpass: {id} was withdrawn")),
            RequestState::Lapsed { .. } | RequestState::Pending => {
                declined(format!("hallpass: {id} lapsed: nobody decided in time"))
            }
        }
    }

    /// When the session ends, as soon as clients are let in under it; `None` if it is over.
    async fn opened(&self, id: SessionId) -> Option<Timestamp> {
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            let session = self.store.session(id).await.ok().flatten()?;
            if session.state.is_final() || session.expires_at <= self.clock.now() {
                return None;
            }
            let live = self
                .admission
                .live_session(&session.principal, &session.target);
            if live == Some(id) {
                return Some(session.expires_at);
            }
            changes.changed().await.ok()?;
        }
    }
}

impl Rules {
    /// How long a session for the target is, if nothing is said.
    fn usual(&self, target: &TargetName) -> Duration {
        let target = self.targets.get(target);
        target.map_or(USUAL, |target| target.max_duration.min(USUAL))
    }
}

fn names(principals: Vec<PrincipalName>) -> Vec<String> {
    principals.into_iter().map(String::from).collect()
}
