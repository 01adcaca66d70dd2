//! A control plane in a temporary folder, whose store and audit can be made to fail.

mod faulty;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{Ask, Configuration, Control, Identity, Parts, Rules, Telling};
use crate::access::{
    Caller, ConnectionId, Databases, Principal, PrincipalKind, RequestId, RequestState, Session,
    SessionId, Target, Terms,
};
use crate::admission::{Admission, Admittee, ConnectionInfo, Permit};
use crate::audit::{Event, Recorder, Settings, SigningKey, reader};
use crate::clock::Clock;
use crate::identity::{Directory, Entry, Passwords, Sealing, hash};
use crate::policy::{Cedar, PolicyFile, PolicySet};
use crate::secret::{Secret, ServerKey};
use crate::telemetry::Metrics;

pub(crate) use faulty::Faulty;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// maya and noor may request `orders-ro` and `billing`; dana and lee approve the first, omar the
/// second; iris reads the audit; sam may do nothing. The glass of `orders-ro` may be broken by those
/// who request it; an extension of up to ten minutes is granted by the policy `extend-a-little`.
pub(crate) struct World {
    pub(crate) control: Arc<Control>,
    pub(crate) store: Arc<Faulty>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    recorder: Recorder,
    writer: JoinHandle<()>,
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start(dir, Clock::manual(at(1_000_000)))
    }

    pub(crate) fn start(dir: TempDir, clock: Clock) -> Self {
        Self::start_with(dir, clock, Telling::default())
    }

    /// One that tells people, too.
    pub(crate) fn telling(telling: Telling) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_with(dir, Clock::manual(at(1_000_000)), telling)
    }

    fn start_with(dir: TempDir, clock: Clock, telling: Telling) -> Self {
        let metrics = Arc::new(Metrics::new());
        let key = ServerKey::from_bytes([7; 32]);
        let admission = Arc::new(Admission::new(key, clock.clone(), Arc::clone(&metrics)));
        let store = Arc::new(Faulty::open(&dir.path().join("hallpass.db")));
        let settings = Settings {
            // A file per write, so that the folder's absence is felt at once.
            segment_bytes: 1,
            timeout: Duration::from_secs(20),
            ..Settings::new(dir.path().join("audit"), SigningKey::generate())
        };
        let (recorder, writer) =
            Recorder::start(&settings, clock.clone(), Arc::clone(&metrics)).unwrap();
        let control = Control::new(Parts {
            store: store.clone(),
            rules: rules(),
            identity: identity(&ServerKey::from_bytes([7; 32])),
            admission: Arc::clone(&admission),
            recorder: recorder.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            telling,
            configuration: Configuration::default(),
            audit_folder: settings.folder.clone(),
            audit_key: settings.key.public(),
        });
        Self {
            control,
            store,
            admission,
            metrics,
            clock,
            recorder,
            writer,
            dir,
        }
    }

    /// Ends this one without ceremony and starts another on the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            control,
            store,
            clock,
            recorder,
            writer,
            dir,
            ..
        } = self;
        drop((control, recorder));
        drop(store);
        writer.await.unwrap();
        Self::start(dir, clock)
    }

    pub(crate) fn pass(&self, time: Duration) {
        let now = self.clock.now();
        self.clock.set(now + time);
    }

    /// Takes the audit's folder away, or puts it back.
    pub(crate) fn break_audit(&self, broken: bool) {
        let (good, away) = (self.path("audit"), self.path("audit.away"));
        let (from, to) = if broken { (good, away) } else { (away, good) };
        std::fs::rename(from, to).unwrap();
    }

    pub(crate) fn audit_folder(&self) -> PathBuf {
        self.path("audit")
    }

    /// What the control plane had recorded.
    pub(crate) fn audit(&self) -> Vec<Event> {
        reader::records(&self.path("audit"))
            .unwrap()
            .map(|record| record.unwrap().event)
            .filter(|event| !matches!(event, Event::RecordingFailed { .. }))
            .filter(|event| !event.is_of_the_log())
            .collect()
    }

    /// The `type` of each audit event.
    pub(crate) fn audit_types(&self) -> Vec<String> {
        let name = |event| {
            serde_json::to_value(event).unwrap()["type"]
                .as_str()
                .unwrap()
                .into()
        };
        self.audit().into_iter().map(name).collect()
    }

    /// A connection under `session`.
    pub(crate) fn connect(&self, session: &Session) -> Permit {
        let connection = ConnectionInfo {
            id: ConnectionId::from_random(1),
            session: session.id,
            principal: session.principal.clone(),
            target: session.target.clone(),
            database: "orders".into(),
            peer: ([192, 0, 2, 1], 50_000).into(),
            application_name: "psql".into(),
            opened_at: self.clock.now(),
        };
        let admittee = Admittee {
            connection,
            replication: false,
        };
        let target = target(session.target.as_str());
        self.admission.admit(admittee, &target).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn submit(&self, who: &str) -> RequestId {
        self.submit_for(who, "orders-ro", HOUR).await
    }

    pub(crate) async fn submit_for(&self, who: &str, target: &str, length: Duration) -> RequestId {
        let ask = Ask::new(target.parse().unwrap(), length, "INC-1");
        let status = self.control.submit(&caller(who), ask).await;
        status.unwrap().request.id
    }

    /// A session for `orders-ro` that nobody approved.
    pub(crate) async fn break_glass(&self, who: &str) -> SessionId {
        let ask = Ask {
            break_glass: true,
            ..Ask::new("orders-ro".parse().unwrap(), HOUR, "all is down")
        };
        let status = self.control.submit(&caller(who), ask).await.unwrap();
        match status.request.state {
            RequestState::Approved { session, .. } => session,
            state => panic!("it is {}", state.name()),
        }
    }

    /// A session of maya for `orders-ro`, approved by dana.
    pub(crate) async fn session(&self) -> Session {
        let request = self.submit("maya").await;
        let approved = self.control.approve(&caller("dana"), request, None).await;
        approved.unwrap().1.unwrap().session
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn caller(name: &str) -> Caller {
    let group = match name {
        "maya" | "noor" => "engineers",
        "dana" | "lee" => "leads",
        "iris" => "security",
        "ada" => "admins",
        _ => "others",
    };
    Caller::new(Principal {
        name: name.parse().unwrap(),
        groups: vec![group.into()],
        kind: PrincipalKind::Person,
    })
}

/// The token of `name`, whom the configuration knows.
pub(crate) fn token(name: &str) -> Secret {
    Secret::new(format!("token-of-{name}"))
}

/// All but ada, who administers, are as in [`World`]; nobody has an account yet.
pub(crate) fn identity(key: &ServerKey) -> Identity {
    let names = ["ada", "maya", "noor", "dana", "lee", "omar", "sam", "iris"];
    let entry = |name| Entry {
        principal: caller(name).principal,
        email: Some(format!("{name}@example.com")),
        token_sha256: hash(&token(name)),
        mfa: false,
    };
    Identity {
        directory: Directory::new(names.map(entry)),
        passwords: Passwords::new(),
        sealing: Arc::new(Sealing::derive(key)),
        login_lifetime: 12 * HOUR,
        oidc: None,
        jobs: Vec::new(),
    }
}

/// Less than the built-in set: who owns a target decides on it, and nobody else.
const POLICIES: &str = r#"
@id("engineers-request")
permit (
  principal in Group::"engineers",
  action in [Action::"request", Action::"extend"],
  resource
);
@id("glass")
permit (
  principal in Group::"engineers",
  action == Action::"breakGlass",
  resource == Target::"orders-ro"
);
@id("extend-a-little")
permit (
  principal in Group::"engineers",
  action == Action::"extendAlone",
  resource
) when {
  context has duration && context.duration <= duration("10m") &&
  context has extensions && context.extensions < 2
};
@id("staging-alone")
permit (
  principal in Group::"engineers",
  action == Action::"approveAlone",
  resource
) when { context has reason && context.reason like "staging*" };
@id("owners-decide")
permit (
  principal,
  action in [Action::"view", Action::"approve", Action::"revoke", Action::"review"],
  resource
) when { principal in resource.owners };
@id("security-reads-the-audit")
permit (principal in Group::"security", action == Action::"readAudit", resource);
@id("admins-administer")
permit (principal in Group::"admins", action == Action::"administer", resource);
"#;

pub(crate) fn rules() -> Rules {
    rules_of(POLICIES)
}

/// The usual policies, and this one.
pub(crate) fn rules_and(policy: &str) -> Rules {
    rules_of(&format!("{POLICIES}\n{policy}"))
}

/// The usual targets under other policies.
pub(crate) fn rules_of(policies: &str) -> Rules {
    let file = PolicyFile {
        name: "world.cedar".into(),
        text: policies.into(),
    };
    let set = PolicySet::check(vec![file]).unwrap();
    let targets = ["orders-ro", "billing"].map(target);
    let policy = Cedar::new(set, &targets, TimeZone::UTC);
    Rules {
        policy: Box::new(policy),
        targets: targets.map(|it| (it.name.clone(), it)).into(),
        request_lapse: HOUR,
        tickets: None,
    }
}

pub(crate) fn target(name: &str) -> Target {
    Target {
        name: name.parse().unwrap(),
        description: "Orders, read only".into(),
        databases: Databases::Only(vec!["orders".into()]),
        default_database: "orders".into(),
        max_duration: 8 * HOUR,
        max_connections: 100,
        idle_timeout: None,
        replication: false,
        terms: Terms::default(),
        owners: match name {
            "billing" => vec!["omar".into()],
            _ => vec!["@leads".into()],
        },
        environment: "production".into(),
        read_only: false,
        labels: Vec::new(),
    }
}
