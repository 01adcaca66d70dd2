//! Somebody asks.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::access::{
    AccessRequest, Caller, Circumstances, Grantor, RequestId, RequestKind, Review, Session,
    SessionId, Submission, Target, TargetName, Wanted,
};
use crate::audit::Event;
use crate::policy::{Action, Context};
use crate::store::{Change, Write};

use super::grant::approved;
use super::{Control, Error, RequestStatus, Seen, act, random_id, reason, to_the_end};

/// Durations that somebody is told of who asked for one that is too long.
pub(super) const SHORTER: [u64; 7] = [8 * 3600, 4 * 3600, 2 * 3600, 3600, 1800, 900, 300];

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The target.
    pub target: TargetName,
    /// For how long.
    pub duration: Duration,
    /// Why.
    pub reason: String,
    /// When the session is to begin; `None`: at its approval.
    pub starts_at: Option<Timestamp>,
    /// At once, and reviewed afterwards.
    pub break_glass: bool,
}

impl Ask {
    /// A session for `target`, from its approval on.
    pub fn new(target: TargetName, duration: Duration, reason: impl Into<String>) -> Self {
        Self {
            target,
            duration,
            reason: reason.into(),
            starts_at: None,
            break_glass: false,
        }
    }
}

impl Control {
    /// Submits a request of `caller`. If a policy grants it without anybody's approval, or the
    /// glass is broken, its session is recorded and open when this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Forbidden`] if the caller may not ask for that,
    /// [`Error::Invalid`] if duration, start, reason or the ticket are out of bounds,
    /// [`Error::Tracker`] if the ticket cannot be looked at, [`Error::Conflict`] if too many
    /// requests of theirs wait, or if it would be granted but they have a live session for the
    /// target.
    pub async fn submit(
        self: &Arc<Self>,
        caller: &Caller,
        ask: Ask,
    ) -> Result<RequestStatus, Error> {
        let why = reason(&ask.reason)?;
        let rules = self.rules.load_full();
        let target = rules.targets.get(&ask.target).ok_or_else(unknown)?;
        let wanted = match (ask.break_glass, ask.starts_at) {
            (true, Some(_)) => {
                let problem = "the glass is broken now, not later".to_owned();
                return Err(Error::Invalid(problem));
            }
            (true, None) => Wanted::BreakGlass,
            (false, starts_at) => Wanted::Session { starts_at },
        };
        let knows = self.knows(caller, target, ask.duration, why);
        let request = self.request_of(caller, wanted, target, ask.duration, why);
        let request = request.map_err(|error| if knows { error } else { unknown() })?;
        let by = match self.admissible(caller, &request) {
            Some(by) => by,
            None if knows => return Err(self.refusal(caller, &request, target)),
            None => return Err(unknown()),
        };
        let by = match target.terms.check_ticket {
            true => self.check_ticket(caller, &request, &rules).await?,
            false => by,
        };
        let request = self.keep(request, by, None).await?;
        Ok(self.full_status(false, request))
    }

    /// Asks for `duration` more in a session of `caller`'s. If a policy grants it without
    /// anybody's approval, the session is longer when this returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Forbidden`] if it is not theirs or they may not ask,
    /// [`Error::Invalid`] if duration, reason or the ticket are out of bounds, [`Error::Tracker`] if
    /// the ticket cannot be looked at, [`Error::Conflict`] if it is not open.
    pub async fn extend(
        self: &Arc<Self>,
        caller: &Caller,
        session: impl Into<Seen<SessionId>>,
        duration: Duration,
        why: &str,
    ) -> Result<RequestStatus, Error> {
        let why = reason(why)?;
        let session = self.visible_session(caller, session).await?;
        if session.principal != caller.name {
            let problem = "only its holder can have a session extended".to_owned();
            return Err(Error::Forbidden(problem));
        }
        let rules = self.rules.load_full();
        let target = rules.targets.get(&session.target);
        let target = target
            .ok_or_else(|| Error::Conflict(format!("{} is no longer a target", session.target)))?;
        let wanted = Wanted::Extension(&session);
        let request = self.request_of(caller, wanted, target, duration, why)?;
        let request = self.extending(request, &session).await?;
        let by = self.admissible(caller, &request).ok_or_else(|| {
            Error::Forbidden(format!("you may not have {} for longer", target.name))
        })?;
        // What nobody approved, nobody prolongs unasked.
        let first = self.store.request(session.request).await?;
        let broken = first.is_none_or(|it| it.kind == RequestKind::BreakGlass);
        let by = match target.terms.check_ticket {
            true => self.check_ticket(caller, &request, &rules).await?,
            false => by,
        };
        let by = by.filter(|_| !broken);
        let request = self.keep(request, by, Some(session)).await?;
        Ok(self.full_status(false, request))
    }

    /// The request, with what is to be known of the session that it extends, as it is now.
    pub(super) async fn extending(
        &self,
        mut request: AccessRequest,
        session: &Session,
    ) -> Result<AccessRequest, Error> {
        request.circumstances.extensions = Some(self.store.extensions(session.id).await?);
        request.circumstances.before = Some(session.length());
        Ok(request)
    }

    fn request_of(
        &self,
        caller: &Caller,
        wanted: Wanted<'_>,
        target: &Target,
        duration: Duration,
        why: &str,
    ) -> Result<AccessRequest, Error> {
        let submission = Submission {
            requester: caller.name.clone(),
            wanted,
            duration,
            reason: why.to_owned(),
            circumstances: Circumstances {
                mfa: caller.mfa,
                address: caller.address,
                ..Circumstances::default()
            },
        };
        let id = RequestId::from_random(random_id());
        let lapse = self.rules.load().request_lapse;
        Ok(AccessRequest::submit(
            id,
            submission,
            target,
            lapse,
            self.now(),
        )?)
    }

    /// Whether `caller` may know that the target is there.
    fn knows(&self, caller: &Caller, target: &Target, duration: Duration, why: &str) -> bool {
        let context = Context {
            duration: Some(duration),
            total: Some(duration),
            reason: Some(why),
            ..Context::at(self.now())
        };
        let rules = self.rules.load();
        let with = |action| rules.allow(caller, action, &target.name, context);
        let without = |action| self.may(caller, action, &target.name);
        [Action::Request, Action::BreakGlass, Action::View]
            .into_iter()
            .any(|action| with(action) || without(action))
    }

    /// Whether the policy lets `caller` submit the request, and then the policies, if any, that
    /// grant it at once.
    pub(super) fn admissible(
        &self,
        caller: &Caller,
        request: &AccessRequest,
    ) -> Option<Option<Grantor>> {
        let (ask, alone) = match request.kind {
            RequestKind::Session => (Action::Request, Action::ApproveAlone),
            RequestKind::Extension => (Action::Extend, Action::ExtendAlone),
            RequestKind::BreakGlass => (Action::BreakGlass, Action::BreakGlass),
        };
        self.always_permits(caller, ask, request)?;
        let policies = self.always_permits(caller, alone, request);
        Some(policies.map(Grantor::Policy))
    }

    /// The policies that let `caller` do this, when they ask and when it begins.
    pub(super) fn always_permits(
        &self,
        caller: &Caller,
        action: Action,
        request: &AccessRequest,
    ) -> Option<Vec<String>> {
        if let Some(start) = request.starts_at {
            self.judge(caller, action, request, start)?;
        }
        let policies = self.judge(caller, action, request, request.created_at)?;
        // A policy without a name is called by what it lets.
        let named = !policies.is_empty();
        Some(if named {
            policies
        } else {
            vec![format!("{action:?}")]
        })
    }

    /// Why the policy refuses, and what it would grant.
    fn refusal(&self, caller: &Caller, request: &AccessRequest, target: &Target) -> Error {
        let asked = humantime::format_duration(request.duration);
        let name = &target.name;
        if request.kind == RequestKind::BreakGlass {
            let problem = format!("you may not break the glass for {name}; request it instead");
            return Error::Forbidden(problem);
        }
        let shorter = SHORTER.map(Duration::from_secs).into_iter();
        let shorter = shorter
            .filter(|it| *it < request.duration)
            .find(|&duration| {
                let shorter = AccessRequest {
                    duration,
                    ..request.clone()
                };
                self.always_permits(caller, Action::Request, &shorter)
                    .is_some()
            });
        Error::Forbidden(match shorter {
            Some(shorter) => {
                let shorter = humantime::format_duration(shorter);
                format!("you may not request {name} for {asked}; for {shorter} you may")
            }
            None => format!("you may not request {name}"),
        })
    }

    /// Keeps a request that is submitted; granted if it is so `by` a policy, for `session` if it
    /// extends one.
    async fn keep(
        self: &Arc<Self>,
        request: AccessRequest,
        by: Option<Grantor>,
        session: Option<Session>,
    ) -> Result<AccessRequest, Error> {
        let submitted = act(request.created_at, submitted(&request));
        let Some(by) = by else {
            let change = Change::submits(request.clone(), submitted);
            let control = Arc::clone(self);
            to_the_end(async move { control.wait_for_approval(change).await }).await?;
            self.count(&request);
            return Ok(request);
        };
        let now = request.created_at;
        let (request, session) = match session {
            Some(session) => {
                let longest = self.longest(&session.target);
                let (request, session) = request.extend(by, session, longest, now)?;
                (request, Write::Changed(session))
            }
            None => {
                let id = SessionId::from_random(random_id());
                let (request, session) = request.grant(by, id, now)?;
                (request, Write::New(session))
            }
        };
        let granted = act(now, approved(&request, session_of(&session)));
        let review = match (&session, request.kind) {
            (Write::New(session), RequestKind::BreakGlass) => {
                Some(Write::New(Review::open(session)))
            }
            _ => None,
        };
        let change = Change {
            request: Some(Write::New(request.clone())),
            session: Some(session),
            review,
            acts: vec![submitted, granted],
        };
        let control = Arc::clone(self);
        to_the_end(async move { control.open(change).await }).await?;
        Ok(request)
    }

    async fn wait_for_approval(&self, change: Change) -> Result<(), Error> {
        self.commit(&change).await?;
        self.follow_up().await;
        Ok(())
    }
}

/// What a change has of a session.
pub(super) fn session_of(session: &Write<Session>) -> &Session {
    match session {
        Write::New(session) | Write::Changed(session) => session,
    }
}

fn unknown() -> Error {
    Error::NotFound("target that you may request")
}

fn submitted(request: &AccessRequest) -> Event {
    Event::RequestSubmitted {
        request: request.id,
        principal: request.requester.clone(),
        target: request.target.clone(),
        seconds: request.duration.as_secs(),
        reason: request.reason.clone(),
        kind: request.kind,
        extends: request.extends,
        starts_at: request.starts_at,
        ticket: request.ticket.clone(),
    }
}
