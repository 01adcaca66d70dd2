//! The control plane: what people do about access, one use case per file.
//!
//! Whatever *grants* access is committed, then recorded in the audit, and only then opened in
//! [`Admission`]; whatever *ends* it is committed, ended there at once, and then recorded. The
//! store's outbox makes the record certain: it is tried again until the audit has it.

mod asking;
mod configuration;
mod decide;
mod delegate;
mod error;
mod events;
mod expire;
mod explain;
mod gate;
mod grant;
mod holds;
mod notices;
mod once;
mod outbox;
mod people;
mod powers;
mod queries;
mod read_audit;
mod reexamine;
mod review;
mod revoke;
mod secret;
mod seen;
mod slack;
mod submit;
mod ticket;
mod try_channels;
mod window;
mod withdraw;

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod loop_tests;
#[cfg(test)]
mod reload_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::access::{AccessRequest, Caller, RequestId, Session, SessionId, Target, TargetName};
use crate::admission::Admission;
use crate::audit::{Event, Held, PublicKey, Recorder};
use crate::clock::Clock;
use crate::policy::{Context, Decision, Policy, Query};
use crate::secret::random;
use crate::store::{Act, Store};
use crate::telemetry::Metrics;
use crate::tickets::Tickets;

pub use crate::admission::ConnectionInfo;
pub use crate::notify::inert;
pub use crate::notify::slack::Signed as SlackCall;
pub use crate::policy::{Action, Explanation, PolicyFile};
pub use crate::store::{Answer as KeptAnswer, Place, Window};
pub use asking::FrontDesk;
pub use configuration::{Configuration, Live, Reload};
pub use error::Error;
pub use events::{Heard, Listener, Mark};
pub use explain::Question;
pub use notices::Telling;
pub use once::{Once, Repeat};
pub use people::{Begun, Guesses, Identity, Job, Made, MakeToken, NewAccount, Own, SignIn};
pub use queries::{Readiness, RequestStatus, SessionStatus, TargetAccess};
pub use read_audit::{Limits, Page};
pub use secret::Granted;
pub use seen::Seen;
pub use slack::SlackRefusal;
pub use submit::Ask;
pub use try_channels::Tried;
pub use window::Placed;

use events::Events;
use gate::Gate;
use people::{Failures, Flows, Known, within_scope};
use reexamine::Owed;

/// The longest reason of a denial or a revocation, in bytes.
const MAX_REASON: usize = 2_000;

/// How many readings of the audit go on at a time; more wait.
const READERS: usize = 2;

/// What a reload replaces, as a whole.
pub struct Rules {
    /// The targets that there are.
    pub targets: HashMap<TargetName, Target>,
    /// Who may do what with them, and with the audit.
    pub policy: Box<dyn Policy>,
    /// How long a request waits for a decision.
    pub request_lapse: Duration,
    /// Where tickets are looked up.
    pub tickets: Option<Tickets>,
}

impl Rules {
    /// Whether `caller` may do this with the target; if it is not there, nobody may.
    fn allow(
        &self,
        caller: &Caller,
        action: Action,
        target: &TargetName,
        context: Context<'_>,
    ) -> bool {
        self.targets.get(target).is_some_and(|target| {
            let query = Query {
                caller,
                action,
                target: Some(target),
                context,
            };
            self.decide(&query).allowed
        })
    }

    /// What the policy says, within the scope of what the caller came with. Nobody asks the policy
    /// but by this.
    fn decide(&self, query: &Query<'_>) -> Decision {
        match within_scope(query.caller, query.action) {
            true => self.policy.decide(query),
            false => Decision::default(),
        }
    }
}

/// What the control plane is made of.
pub struct Parts {
    /// Durable state.
    pub store: Arc<dyn Store>,
    /// Targets and policy, as of now.
    pub rules: Rules,
    /// Who is who, as of now.
    pub identity: Identity,
    /// The live sessions.
    pub admission: Arc<Admission>,
    /// The audit.
    pub recorder: Recorder,
    /// Time.
    pub clock: Clock,
    /// Where transitions are counted.
    pub metrics: Arc<Metrics>,
    /// How people are told, as of now.
    pub telling: Telling,
    /// What the configuration says, as of now.
    pub configuration: Configuration,
    /// Where the audit is read.
    pub audit_folder: PathBuf,
    /// The public part of what signs it.
    pub audit_key: PublicKey,
}

/// The use cases. [`Control::recover`] comes first, [`Control::run`] goes on beside them.
pub struct Control {
    store: Arc<dyn Store>,
    rules: ArcSwap<Rules>,
    identity: ArcSwap<Identity>,
    /// Everybody, as [`Control::look_around`] saw them last.
    known: ArcSwap<Known>,
    /// What a reload that failed has left to do.
    owed: Mutex<Owed>,
    failures: Failures,
    flows: Flows,
    guesses: Guesses,
    gate: Gate,
    admission: Arc<Admission>,
    recorder: Recorder,
    clock: Clock,
    metrics: Arc<Metrics>,
    telling: watch::Sender<Arc<Telling>>,
    configuration: ArcSwap<Configuration>,
    held: Held,
    audit_folder: PathBuf,
    audit_key: PublicKey,
    /// Who may read the audit now.
    readers: Arc<Semaphore>,
    changes: watch::Sender<u64>,
    events: Events,
    /// Held while acts go from the outbox to the audit, so that each goes once and in order;
    /// the number of the last that went.
    delivery: Mutex<i64>,
}

impl Control {
    /// Puts the parts together; nothing runs yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        let configured = parts.identity.directory.principals().cloned();
        let known: Known = configured.map(|it| (it.name.clone(), it)).collect();
        Arc::new(Self {
            store: parts.store,
            rules: ArcSwap::from_pointee(parts.rules),
            identity: ArcSwap::from_pointee(parts.identity),
            known: ArcSwap::from_pointee(known),
            owed: Mutex::default(),
            failures: Failures::default(),
            flows: Flows::default(),
            guesses: Guesses::default(),
            gate: Gate::new(Arc::clone(&parts.admission)),
            admission: parts.admission,
            recorder: parts.recorder,
            clock: parts.clock,
            metrics: parts.metrics,
            telling: watch::Sender::new(Arc::new(parts.telling)),
            configuration: ArcSwap::from_pointee(parts.configuration),
            held: Held::default(),
            audit_folder: parts.audit_folder,
            audit_key: parts.audit_key,
            readers: Arc::new(Semaphore::new(READERS)),
            changes: watch::Sender::new(0),
            events: Events::default(),
            delivery: Mutex::new(0),
        })
    }

    #[cfg(test)]
    fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// How often who guessed wrong.
    pub fn guesses(&self) -> &Guesses {
        &self.guesses
    }

    /// Counts transitions: changes whenever a request or a session did.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Wall time in the resolution of the store, so that what is answered is what is kept.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    /// What links to pages begin with, if the configuration says it: without a slash at its end.
    pub fn link_base(&self) -> Option<String> {
        let base = self.telling.borrow().link_base.clone();
        (!base.is_empty()).then_some(base)
    }

    /// Wall time, as it is kept.
    pub fn time(&self) -> Timestamp {
        self.now()
    }

    /// How people are told, as of now.
    fn telling(&self) -> Arc<Telling> {
        self.telling.borrow().clone()
    }

    /// The request, if `caller` may see it.
    async fn visible_request(
        &self,
        caller: &Caller,
        seen: impl Into<Seen<RequestId>>,
    ) -> Result<AccessRequest, Error> {
        let seen = seen.into();
        let request = self.store.request(seen.id).await?;
        let powers = self.powers(caller).await?;
        let request = request
            .filter(|request| {
                request.requester == caller.name
                    || self.any_may(&powers, Action::View, &request.target)
            })
            .ok_or(Error::NotFound("request"))?;
        seen.check(request.version)?;
        Ok(request)
    }

    /// The session, if `caller` may see it.
    async fn visible_session(
        &self,
        caller: &Caller,
        seen: impl Into<Seen<SessionId>>,
    ) -> Result<Session, Error> {
        let seen = seen.into();
        let session = self.store.session(seen.id).await?;
        let session = session
            .filter(|session| self.sees(caller, session))
            .ok_or(Error::NotFound("session"))?;
        seen.check(session.version)?;
        Ok(session)
    }

    fn sees(&self, caller: &Caller, session: &Session) -> bool {
        session.principal == caller.name || self.may(caller, Action::View, &session.target)
    }

    /// Whether `caller` may do this with the target, going by who they are alone.
    fn may(&self, caller: &Caller, action: Action, target: &TargetName) -> bool {
        let context = Context::at(self.clock.now());
        self.rules.load().allow(caller, action, target, context)
    }

    /// Whether `caller` may do this with hallpass as a whole.
    fn may_overall(&self, caller: &Caller, action: Action) -> bool {
        let query = Query {
            caller,
            action,
            target: None,
            context: Context::at(self.clock.now()),
        };
        self.rules.load().decide(&query).allowed
    }

    fn count(&self, request: &AccessRequest) {
        let (target, state) = (request.target.as_str(), request.state.name());
        self.metrics.access_request(target, state);
        tracing::info!(request_id = %request.id, target, principal = %request.requester, state, "access request");
    }
}

/// Runs `work` to its end even if the caller is dropped (a client that hangs up): an end that is
/// committed must also be carried out.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or(Err(Error::Interrupted))
}

fn act(at: Timestamp, event: Event) -> Act {
    Act { at, event }
}

fn random_id() -> u64 {
    u64::from_be_bytes(random())
}

/// A reason as it is kept: trimmed, of bounded length, without control characters, because it is
/// shown in terminals and in PostgreSQL's error messages.
fn reason(text: &str) -> Result<&str, Error> {
    let text = text.trim();
    if text.len() > MAX_REASON {
        let problem = format!("a reason has at most {MAX_REASON} bytes");
        return Err(Error::Invalid(problem));
    }
    match text.chars().find(|&c| c.is_control() && c != '\n') {
        Some(c) => Err(Error::Invalid(format!("{c:?} is not allowed in a reason"))),
        None => Ok(text),
    }
}
