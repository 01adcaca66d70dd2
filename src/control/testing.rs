//! A control plane in a temporary folder, whose store and audit can be made to fail.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{Ask, Configuration, Control, Identity, Parts, Rules, Telling};
use crate::access::{
    AccessRequest, Account, ApiToken, Caller, ConnectionId, Databases, Delegation, Hold, Principal,
    PrincipalKind, PrincipalName, RequestId, RequestState, Review, Session, SessionId, Target,
    Terms, TokenId,
};
use crate::admission::{Admission, Admittee, ConnectionInfo, Permit};
use crate::audit::{Event, Recorder, Settings, SigningKey, reader};
use crate::clock::Clock;
use crate::identity::{Directory, Entry, Passwords, Sealing, hash};
use crate::policy::{Cedar, PolicyFile, PolicySet};
use crate::secret::{Secret, ServerKey};
use crate::store::{
    AccountChange, Accounts, Act, Answer, Answers, Call, Change, Claim, Credentials, Delegations,
    Due, Filter, Letter, NewToken, Notices, Proved, Reviews, Sqlite, Store, StoreError, Tokens,
    Waiting, Window,
};
use crate::telemetry::Metrics;

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

/// The embedded store, but it fails when told so.
pub(crate) struct Faulty {
    store: Sqlite,
    pub(crate) down: AtomicBool,
    /// Only changes fail.
    pub(crate) read_only: AtomicBool,
}

impl Faulty {
    fn open(path: &Path) -> Self {
        Self {
            store: Sqlite::open(path).unwrap(),
            down: AtomicBool::new(false),
            read_only: AtomicBool::new(false),
        }
    }

    fn reads(&self) -> Result<&Sqlite, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        Ok(&self.store)
    }

    fn writes(&self) -> Result<&Sqlite, StoreError> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.reads()
    }
}

#[async_trait]
impl Store for Faulty {
    async fn commit(&self, change: &Change) -> Result<(), StoreError> {
        self.writes()?.commit(change).await
    }

    async fn request(&self, id: RequestId) -> Result<Option<AccessRequest>, StoreError> {
        self.reads()?.request(id).await
    }

    async fn extensions(&self, session: SessionId) -> Result<u32, StoreError> {
        self.reads()?.extensions(session).await
    }

    async fn requests(&self, filter: &Filter) -> Result<Vec<AccessRequest>, StoreError> {
        self.reads()?.requests(filter).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.reads()?.session(id).await
    }

    async fn sessions(&self, filter: &Filter) -> Result<Vec<Session>, StoreError> {
        self.reads()?.sessions(filter).await
    }

    async fn place_hold(&self, hold: &Hold, act: &Act) -> Result<(), StoreError> {
        self.writes()?.place_hold(hold, act).await
    }

    async fn release_hold(&self, session: SessionId, act: &Act) -> Result<(), StoreError> {
        self.writes()?.release_hold(session, act).await
    }

    async fn holds(&self) -> Result<Vec<(Hold, Session)>, StoreError> {
        self.reads()?.holds().await
    }

    async fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        self.reads()?.due(now).await
    }

    async fn outbox(&self) -> Result<Vec<(i64, Act)>, StoreError> {
        self.reads()?.outbox().await
    }

    async fn outbox_done(&self, number: i64) -> Result<(), StoreError> {
        self.writes()?.outbox_done(number).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.reads()?.ping().await
    }
}

#[async_trait]
impl Accounts for Faulty {
    async fn insert_account(
        &self,
        account: &Account,
        credentials: &Credentials,
        act: &Act,
    ) -> Result<(), StoreError> {
        let store = self.writes()?;
        store.insert_account(account, credentials, act).await
    }

    async fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        self.reads()?.account(name).await
    }

    async fn pending_totp(&self, name: &PrincipalName) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads()?.pending_totp(name).await
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.reads()?.accounts().await
    }

    async fn claim_guess(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(Account, Credentials)>, StoreError> {
        self.writes()?.claim_guess(name, now).await
    }

    async fn sign_in(
        &self,
        proved: &Proved,
        password: Option<&str>,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.writes()?.sign_in(proved, password, token, act).await
    }

    async fn vouch(
        &self,
        account: &Account,
        token: &NewToken,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.writes()?.vouch(account, token, act).await
    }

    async fn change_account(
        &self,
        name: &PrincipalName,
        proved: Option<&Proved>,
        change: &AccountChange,
        act: &Act,
    ) -> Result<(), StoreError> {
        let store = self.writes()?;
        store.change_account(name, proved, change, act).await
    }
}

#[async_trait]
impl Answers for Faulty {
    async fn claim_call(&self, call: &Call) -> Result<Claim, StoreError> {
        self.writes()?.claim_call(call).await
    }

    async fn answer_call(&self, key: [u8; 32], answer: &Answer) -> Result<(), StoreError> {
        self.writes()?.answer_call(key, answer).await
    }

    async fn forget_call(&self, key: [u8; 32]) -> Result<(), StoreError> {
        self.writes()?.forget_call(key).await
    }
}

#[async_trait]
impl Tokens for Faulty {
    async fn insert_token(&self, token: &NewToken, act: &Act) -> Result<(), StoreError> {
        self.writes()?.insert_token(token, act).await
    }

    async fn token_by_hash(
        &self,
        sha256: [u8; 32],
    ) -> Result<Option<(ApiToken, Option<Account>)>, StoreError> {
        self.reads()?.token_by_hash(sha256).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        self.reads()?.token(id).await
    }

    async fn tokens(
        &self,
        owner: Option<&PrincipalName>,
        window: &Window,
    ) -> Result<Vec<ApiToken>, StoreError> {
        self.reads()?.tokens(owner, window).await
    }

    async fn token_used(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        self.writes()?.token_used(id, at).await
    }

    async fn revoke_token(&self, id: TokenId, act: &Act) -> Result<(), StoreError> {
        self.writes()?.revoke_token(id, act).await
    }
}

#[async_trait]
impl Notices for Faulty {
    async fn set_channels(&self, names: &[String]) -> Result<usize, StoreError> {
        self.writes()?.set_channels(names).await
    }

    async fn letters(&self, channel: &str, now: Timestamp) -> Result<Vec<Letter>, StoreError> {
        self.reads()?.letters(channel, now).await
    }

    async fn address_letter(&self, letter: i64, recipients: &[String]) -> Result<(), StoreError> {
        self.writes()?.address_letter(letter, recipients).await
    }

    async fn letter_done(&self, letter: i64, place: Option<&str>) -> Result<(), StoreError> {
        self.writes()?.letter_done(letter, place).await
    }

    async fn letter_dropped(&self, letter: i64) -> Result<(), StoreError> {
        self.writes()?.letter_dropped(letter).await
    }

    async fn put_off(&self, letter: i64, until: Timestamp, all: bool) -> Result<(), StoreError> {
        self.writes()?.put_off(letter, until, all).await
    }

    async fn hurry(&self, channel: &str, now: Timestamp) -> Result<(), StoreError> {
        self.writes()?.hurry(channel, now).await
    }

    async fn waiting(&self, channel: &str) -> Result<Waiting, StoreError> {
        self.reads()?.waiting(channel).await
    }
}

#[async_trait]
impl Reviews for Faulty {
    async fn review(&self, session: SessionId) -> Result<Option<Review>, StoreError> {
        self.reads()?.review(session).await
    }

    async fn reviews(&self, filter: &Filter) -> Result<Vec<Review>, StoreError> {
        self.reads()?.reviews(filter).await
    }
}

#[async_trait]
impl Delegations for Faulty {
    async fn delegate(&self, delegation: &Delegation, act: &Act) -> Result<(), StoreError> {
        self.writes()?.delegate(delegation, act).await
    }

    async fn end_delegation(
        &self,
        from: &PrincipalName,
        to: &PrincipalName,
        act: &Act,
    ) -> Result<(), StoreError> {
        self.writes()?.end_delegation(from, to, act).await
    }

    async fn delegations(
        &self,
        principal: &PrincipalName,
        now: Timestamp,
    ) -> Result<Vec<Delegation>, StoreError> {
        self.reads()?.delegations(principal, now).await
    }
}
