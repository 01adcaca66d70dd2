//! Time ends things: the part that runs beside the others.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::access::{AccessRequest, Ending, Session, SessionState};
use crate::audit::Event;
use crate::store::{Change, Filter, StoreError};

use super::{Control, Error, act};

/// The longest that the outbox waits for another try, and a clock that was set for a look at it.
const PATROL: Duration = Duration::from_secs(1);

impl Control {
    /// Brings the state of before a restart back: knows what is held, gives the audit what it is
    /// owed, notes what time has ended meanwhile, and opens the sessions that are live. Call it before clients
    /// are let in.
    ///
    /// # Errors
    /// If the store or the audit fails; then hallpass should not start.
    pub async fn recover(&self) -> Result<(), Error> {
        self.look_around().await?;
        self.recover_holds().await?;
        self.recover_channels().await?;
        self.count_reviews().await;
        self.patrol().await?;
        let live = Filter {
            open_only: true,
            ..Filter::default()
        };
        // The configuration, or what there is in the store, may be another than before.
        for session in self.store.sessions(&live).await? {
            match self.holds_rightly(&session, None).await? {
                Ok(()) => self.gate.open(&session),
                Err(why) => _ = self.end_unpermitted(session, &why).await?,
            }
        }
        self.changed();
        Ok(())
    }

    /// Ends what time has ended, as it comes due, and tries the outbox again, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut changes = self.changes();
        let mut failing = false;
        while !shutdown.is_cancelled() {
            changes.borrow_and_update();
            self.admission.expire_due();
            let result = self.patrol().await;
            report(&result, &mut failing);
            if result.is_err() {
                // What this very round changed must not start the next one at once.
                changes.borrow_and_update();
            }
            let wait = tokio::time::sleep(result.unwrap_or(PATROL));
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = wait => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// One round: what is due, then the outbox. How long until the next is needed.
    pub(super) async fn patrol(&self) -> Result<Duration, Error> {
        let now = self.now();
        let due = self.store.due(now).await?;
        for session in due.sessions {
            self.expire_session(session).await?;
        }
        for request in due.requests {
            self.lapse(request).await?;
        }
        for request in due.escalations {
            self.escalate(request).await?;
        }
        for session in due.starts {
            self.start(session).await?;
        }
        self.gate.forget(now);
        self.note_failures(now).await;
        self.deliver().await?;
        let next = due.next.and_then(|at| crate::clock::until(self.now(), at));
        Ok(next.map_or(PATROL, |next| next.min(PATROL)))
    }

    /// Notes that a session is over. Its connections have their own deadline; this makes sure.
    pub(super) async fn expire_session(&self, old: Session) -> Result<(), Error> {
        let now = self.now();
        let Some(new) = old.clone().expire(now) else {
            return Ok(());
        };
        let change = Change::moves_session(new.clone(), act(now, ended(&new)));
        let result = self.commit(&change).await;
        // Whoever was faster may have extended it.
        if !matches!(result, Err(StoreError::Conflict(_))) {
            self.gate.end(&old, Ending::Expired);
        }
        if !unless_faster(result)? {
            return Ok(());
        }
        tracing::info!(session_id = %new.id, target = %new.target, principal = %new.principal, "session expired");
        self.changed();
        Ok(())
    }

    pub(super) async fn lapse(&self, old: AccessRequest) -> Result<(), Error> {
        let now = self.now();
        let Some(new) = old.lapse(now) else {
            return Ok(());
        };
        let lapsed = Event::RequestLapsed { request: new.id };
        let change = Change::moves(new.clone(), act(now, lapsed));
        if unless_faster(self.commit(&change).await)? {
            self.count(&new);
            self.changed();
        }
        Ok(())
    }

    /// Notes that others may decide, too.
    async fn escalate(&self, old: AccessRequest) -> Result<(), Error> {
        let now = self.now();
        let Some(new) = old.escalate(now) else {
            return Ok(());
        };
        let Some((stage, to)) = new.chain.current() else {
            return Ok(());
        };
        let escalated = Event::RequestEscalated {
            request: new.id,
            principal: new.requester.clone(),
            target: new.target.clone(),
            stage,
            to: to.escalate_to.clone(),
        };
        let change = Change::moves(new.clone(), act(now, escalated));
        if unless_faster(self.commit(&change).await)? {
            tracing::info!(request_id = %new.id, target = %new.target, stage, "access request escalates");
            self.changed();
        }
        Ok(())
    }

    /// Begins a session whose start has come, unless its holder may no longer have it. It opens
    /// when that is recorded.
    async fn start(&self, old: Session) -> Result<(), Error> {
        let now = self.now();
        if let Err(why) = self.holds_rightly(&old, Some(now)).await? {
            self.end_unpermitted(old, &why).await?;
            return Ok(());
        }
        let Some(new) = old.start(now) else {
            return Ok(());
        };
        let started = Event::SessionStarted {
            session: new.id,
            principal: new.principal.clone(),
            target: new.target.clone(),
            expires_at: new.expires_at,
        };
        let change = Change::moves_session(new.clone(), act(now, started));
        let result = self.commit(&change).await;
        if let Err(StoreError::LiveSession(_)) = result {
            // The glass was broken meanwhile: this one begins when that is over.
            return Ok(());
        }
        if unless_faster(result)? {
            tracing::info!(session_id = %new.id, target = %new.target, principal = %new.principal, "session starts");
            self.changed();
        }
        Ok(())
    }

    /// After an act that opens nothing: tells who waits, and gives it to the audit. Should that
    /// fail, the act stands, and [`Control::run`] goes on trying.
    pub(super) async fn follow_up(&self) {
        self.changed();
        if let Err(error) = self.deliver().await {
            tracing::warn!(%error, "an act is kept for the audit, which cannot take it now");
        }
    }
}

/// The fact that a session ended, as its state tells.
pub(super) fn ended(session: &Session) -> Event {
    let principal = session.principal.clone();
    let target = session.target.clone();
    match &session.state {
        SessionState::Revoked { by, reason, .. } => Event::SessionRevoked {
            session: session.id,
            principal,
            target,
            by: by.clone(),
            reason: reason.clone(),
        },
        _ => Event::SessionExpired {
            session: session.id,
            principal,
            target,
        },
    }
}

/// Whether the change was made; that somebody else made another before is no error.
pub(super) fn unless_faster(result: Result<(), StoreError>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Says once that it fails, and once that it no longer does.
fn report(result: &Result<Duration, Error>, failing: &mut bool) {
    match result {
        Err(error) if !*failing => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "the control plane cannot keep its state");
        }
        Ok(_) if *failing => tracing::info!("the control plane keeps its state again"),
        _ => {}
    }
    *failing = result.is_err();
}
