//! The hinge between the planes: live sessions in memory, one decision for every path.
//!
//! The control plane [opens](Admission::open) and [ends](Admission::end) sessions; the data plane
//! [admits](Admission::admit) connections under them. A [`Permit`] is the only proof of admission,
//! cannot be made elsewhere, and carries its own deadline, which only an extension moves: should the control plane stop working,
//! every session still ends on time, and nothing new is admitted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use jiff::Timestamp;
use pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramSecret, gen_salted_password};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{ConnectionId, Ending, PrincipalName, Session, SessionId, Target, TargetName};
use crate::clock::Clock;
use crate::secret::{Secret, ServerKey, hex};
use crate::telemetry::Metrics;

/// Why an authenticated client is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The session has ended, or was never there.
    #[error("no live session")]
    NoSession,
    /// The target does not open that database.
    #[error("database {0:?} is not part of the target")]
    Database(String),
    /// The target does not open replication connections.
    #[error("replication is not part of the target")]
    Replication,
    /// The session has as many connections as it may have.
    #[error("the session has its {0} connections already")]
    TooManyConnections(u32),
}

impl Denial {
    /// A short name for logs, metrics and the audit.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoSession => "no_session",
            Self::Database(_) => "database",
            Self::Replication => "replication",
            Self::TooManyConnections(_) => "too_many_connections",
        }
    }
}

/// What a client must prove to know: SCRAM's stored form of a session's secret (RFC 5803).
#[derive(Clone)]
pub struct Verifier {
    salt: [u8; 16],
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl Verifier {
    /// In the form that the SCRAM exchange takes.
    pub fn to_scram(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt.to_vec(),
            iterations: SCRAM_ITERATIONS,
            stored_key: self.stored_key.clone(),
            server_key: self.server_key.clone(),
        }
    }
}

/// When a session ends, and how it did. The end only ever moves away, and not once it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// By the wall clock.
    expires_at: Timestamp,
    /// By the monotonic clock.
    deadline: Instant,
    /// Set once it is over.
    ending: Option<Ending>,
}

impl Term {
    fn is_over(&self, now: Timestamp) -> bool {
        self.ending.is_some() || self.deadline <= Instant::now() || self.expires_at <= now
    }
}

/// A session as the data plane sees it.
#[derive(Clone)]
struct LiveSession {
    id: SessionId,
    verifier: Verifier,
    connections: Arc<AtomicU32>,
    term: Arc<watch::Sender<Term>>,
}

impl LiveSession {
    fn end(&self, ending: Ending) {
        self.term.send_modify(|term| term.ending = Some(ending));
    }
}

/// Who a connection belongs to; what `hallpass connections` shows.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Its name.
    pub id: ConnectionId,
    /// The session that it was admitted under.
    pub session: SessionId,
    /// Who holds the session.
    pub principal: PrincipalName,
    /// What it reaches.
    pub target: TargetName,
    /// In which database.
    pub database: String,
    /// Where the client dials from.
    pub peer: SocketAddr,
    /// What the client calls itself (`application_name`).
    pub application_name: String,
    /// When it was admitted.
    pub opened_at: Timestamp,
}

/// What an authenticated client asks to be admitted to.
#[derive(Debug, Clone)]
pub struct Admittee {
    /// The connection to be.
    pub connection: ConnectionInfo,
    /// Whether it is a replication connection.
    pub replication: bool,
}

/// The live sessions and their connections.
pub struct Admission {
    sessions: DashMap<(PrincipalName, TargetName), LiveSession>,
    connections: DashMap<ConnectionId, ConnectionInfo>,
    key: ServerKey,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Admission {
    /// No sessions yet.
    pub fn new(key: ServerKey, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            sessions: DashMap::new(),
            connections: DashMap::new(),
            key,
            clock,
            metrics,
        }
    }

    /// The secret that opens connections under `session`: 160 bits derived from the server's key,
    /// so that nothing has to be stored, and the holder may ask again.
    pub fn secret(&self, session: SessionId) -> Secret {
        let derived = self
            .key
            .derive("session secret", &[session.to_string().as_bytes()]);
        Secret::new(format!("hp_{}", hex(&derived[..20])))
    }

    /// Lets connections in under `session` from now to its end. `false` if that has passed.
    ///
    /// Derives SCRAM's keys, which takes about a millisecond of CPU on purpose (RFC 5802): done
    /// here, a login costs the same whether its session exists or not.
    pub fn open(&self, session: &Session) -> bool {
        self.open_with(session, self.derive_verifier(session))
    }

    /// The same, with keys that [`Admission::derive_verifier`] has derived.
    pub fn open_with(&self, session: &Session, verifier: Verifier) -> bool {
        let Some(deadline) = self.clock.deadline(session.expires_at) else {
            return false;
        };
        let live = LiveSession {
            id: session.id,
            verifier,
            connections: Arc::default(),
            term: Arc::new(watch::Sender::new(Term {
                expires_at: session.expires_at,
                deadline,
                ending: None,
            })),
        };
        let holder = (session.principal.clone(), session.target.clone());
        if let Some(replaced) = self.sessions.insert(holder, live) {
            // The store allows one live session per holder, so the older one is over.
            replaced.end(Ending::Expired);
        }
        self.count_sessions();
        true
    }

    /// Moves the end of a session that is open and not over; its connections go on to the new
    /// one. `false` if it is not, or its end is not later than it was.
    pub fn extend(&self, session: &Session) -> bool {
        let holder = (session.principal.clone(), session.target.clone());
        let now = self.clock.now();
        // Holding its entry, so that nobody ends it meanwhile.
        let Some(live) = self.sessions.get_mut(&holder) else {
            return false;
        };
        let Some(deadline) = self.clock.deadline(session.expires_at) else {
            return false;
        };
        live.id == session.id
            && live.term.send_if_modified(|term| {
                let later = session.expires_at > term.expires_at;
                if term.is_over(now) || !later {
                    return false;
                }
                // By as much as it was extended, however the wall clock was set meanwhile.
                let more = session.expires_at.duration_since(term.expires_at);
                term.deadline = deadline.min(term.deadline + more.unsigned_abs());
                term.expires_at = session.expires_at;
                true
            })
    }

    /// Ends a session: its connections close, and no more are admitted once this returns.
    /// `false` if it was not live.
    pub fn end(
        &self,
        principal: &PrincipalName,
        target: &TargetName,
        session: SessionId,
        ending: Ending,
    ) -> bool {
        let holder = (principal.clone(), target.clone());
        let removed = self
            .sessions
            .remove_if(&holder, |_, live| live.id == session);
        if let Some((_, live)) = &removed {
            live.end(ending);
        }
        self.count_sessions();
        removed.is_some()
    }

    /// Ends every session whose time has come by the wall clock or the monotonic one; called
    /// every second or so, it covers what a deadline misses: a machine that was suspended.
    pub fn expire_due(&self) {
        let now = self.clock.now();
        self.sessions.retain(|_, live| {
            let due = live.term.borrow().is_over(now);
            if due {
                live.end(Ending::Expired);
            }
            !due
        });
        self.count_sessions();
    }

    /// What a client that claims to be `principal` under a session for `target` must prove, and
    /// that session. Without one there is a verifier that nothing matches, the same each time.
    pub fn challenge(&self, principal: &str, target: &str) -> (Verifier, Option<SessionId>) {
        let live = principal
            .parse()
            .ok()
            .zip(target.parse().ok())
            .and_then(|holder| self.sessions.get(&holder).map(|live| live.clone()));
        // Both are made, whichever is used, so that the time taken tells nothing.
        let mock = self.mock_verifier(principal, target);
        match live {
            Some(live) => (live.verifier, Some(live.id)),
            None => (mock, None),
        }
    }

    /// The session that `principal` has for `target` now.
    pub fn live_session(
        &self,
        principal: &PrincipalName,
        target: &TargetName,
    ) -> Option<SessionId> {
        let holder = (principal.clone(), target.clone());
        self.sessions.get(&holder).map(|live| live.id)
    }

    /// Decides whether an authenticated client is let in; the only source of a [`Permit`].
    ///
    /// # Errors
    /// [`Denial`] says why not.
    pub fn admit(self: &Arc<Self>, admittee: Admittee, target: &Target) -> Result<Permit, Denial> {
        let Admittee {
            connection,
            replication,
        } = admittee;
        let holder = (connection.principal.clone(), connection.target.clone());
        let live = self
            .sessions
            .get(&holder)
            .map(|live| live.clone())
            .filter(|live| live.id == connection.session && target.name == connection.target)
            .ok_or(Denial::NoSession)?;
        // From here on an end reaches this receiver; what came before is seen below.
        let term = live.term.subscribe();
        if term.borrow().is_over(self.clock.now()) {
            return Err(Denial::NoSession);
        }
        if !target.databases.allow(&connection.database) {
            return Err(Denial::Database(connection.database));
        }
        if replication && !target.replication {
            return Err(Denial::Replication);
        }
        live.connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < target.max_connections).then_some(open + 1)
            })
            .map_err(|_| Denial::TooManyConnections(target.max_connections))?;
        self.connections.insert(connection.id, connection.clone());
        self.metrics.connection_opened(connection.target.as_str());
        Ok(Permit {
            connection,
            count: live.connections,
            term,
            admission: Arc::clone(self),
        })
    }

    /// The connections that are open now.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.connections.iter().map(|info| info.clone()).collect()
    }

    /// How many sessions are live now.
    pub fn live_sessions(&self) -> usize {
        self.sessions.len()
    }

    fn count_sessions(&self) {
        self.metrics.sessions_live(self.sessions.len());
    }

    /// Stable per name, so that a salt that changes does not tell who has a session.
    fn salt(&self, principal: &str, target: &str) -> [u8; 16] {
        let derived = self
            .key
            .derive("scram salt", &[principal.as_bytes(), target.as_bytes()]);
        std::array::from_fn(|i| derived[i])
    }

    /// What a client under `session` must prove to know.
    pub fn derive_verifier(&self, session: &Session) -> Verifier {
        let salt = self.salt(session.principal.as_str(), session.target.as_str());
        let secret = self.secret(session.id);
        let salted = gen_salted_password(secret.expose(), &salt, SCRAM_ITERATIONS);
        match ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, SCRAM_ITERATIONS) {
            ScramSecret::Verifier {
                stored_key,
                server_key,
                ..
            } => Verifier {
                salt,
                stored_key,
                server_key,
            },
            ScramSecret::SaltedPassword { .. } => unreachable!("asked for a verifier"),
        }
    }

    fn mock_verifier(&self, principal: &str, target: &str) -> Verifier {
        let parts = [principal.as_bytes(), target.as_bytes()];
        Verifier {
            salt: self.salt(principal, target),
            stored_key: self.key.derive("mock stored key", &parts).to_vec(),
            server_key: self.key.derive("mock server key", &parts).to_vec(),
        }
    }
}

/// Proof that a connection was admitted. Made by [`Admission::admit`] alone; dropping it gives the
/// session's slot back.
pub struct Permit {
    connection: ConnectionInfo,
    count: Arc<AtomicU32>,
    term: watch::Receiver<Term>,
    admission: Arc<Admission>,
}

impl Permit {
    /// The connection that was admitted.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// When the session ends, by the wall clock, for people.
    pub fn expires_at(&self) -> Timestamp {
        self.term.borrow().expires_at
    }

    /// When the session ends, by the monotonic clock, for timers.
    pub fn deadline(&self) -> Instant {
        self.term.borrow().deadline
    }

    /// Returns when the session has ended, and says how. Safe to drop and call again.
    pub async fn ended(&self) -> Ending {
        let mut term = self.term.clone();
        loop {
            let (ending, deadline) = {
                let term = term.borrow_and_update();
                (term.ending.clone(), term.deadline)
            };
            if let Some(ending) = ending {
                return ending;
            }
            tokio::select! {
                biased;
                changed = term.changed() => if changed.is_err() {
                    // The session was dropped without a word: treat it as over.
                    return Ending::Expired;
                },
                () = tokio::time::sleep_until(deadline) => return Ending::Expired,
            }
        }
    }

    /// Returns when the session ends later than at `known`. Safe to drop and call again.
    pub async fn extended(&self, known: Instant) {
        let mut term = self.term.clone();
        let later = term.wait_for(|term| term.deadline > known).await.is_ok();
        if !later {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.admission.connections.remove(&self.connection.id);
        self.admission
            .metrics
            .connection_closed(self.connection.target.as_str());
    }
}
