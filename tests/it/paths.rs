//! Who may do what, by whichever way they come: the API, the command line, Slack, a page, psql. The
//! table has one answer, and every way must give it; so must `policy explain`.

use hallpass::access::{RequestId, SessionId};
use hallpass::http::types::{Problem, RequestView};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::hallpass::{Setup, token};
use crate::support::login::{Login, said};
use crate::support::process::Process;
use crate::told::workspace::Workspace;

/// Everybody: an engineer, another, a lead who is in security, an administrator, an engineer who
/// owns the target, and somebody in no group.
const PEOPLE: [&str; 6] = ["maya", "noor", "dana", "ada", "olga", "sam"];
const TARGET: &str = "crown-jewels";

/// What is done, and who may: `maya` has asked for it, or holds it.
const TABLE: [(Action, &[&str]); 8] = [
    (Action::Request, &["maya", "noor", "olga"]),
    (Action::BreakGlass, &["olga"]),
    (Action::Approve, &["dana", "olga"]),
    (Action::Deny, &["dana", "olga"]),
    (Action::Extend, &["maya"]),
    (Action::Revoke, &["maya", "dana", "olga"]),
    (Action::ReadAudit, &["dana"]),
    (Action::Administer, &["ada"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Request,
    BreakGlass,
    Approve,
    Deny,
    Extend,
    Revoke,
    ReadAudit,
    Administer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Api,
    CommandLine,
    Slack,
    Page,
    Psql,
}

impl Action {
    /// The ways that lead to it.
    fn ways(self) -> &'static [Way] {
        match self {
            Self::Request => &[Way::Api, Way::CommandLine, Way::Psql],
            Self::Approve | Self::Deny => &[Way::Api, Way::CommandLine, Way::Slack, Way::Page],
            _ => &[Way::Api, Way::CommandLine],
        }
    }

    /// Its name for `policy explain`, and whether the policy alone answers.
    fn explained(self) -> Option<&'static str> {
        match self {
            Self::Request => Some("request"),
            Self::BreakGlass => Some("breakGlass"),
            Self::Approve | Self::Deny => Some("approve"),
            Self::ReadAudit => Some("readAudit"),
            Self::Administer => Some("administer"),
            // Holders may end what is theirs, and nobody else may make it longer, whatever a policy says.
            Self::Extend | Self::Revoke => None,
        }
    }
}

struct World {
    hallpass: Process,
    slack: Workspace,
}

/// What maya has asked for, and what came of it.
struct Subject {
    request: RequestId,
    session: Option<SessionId>,
}

impl World {
    async fn start() -> Self {
        let slack = Workspace::start().await;
        let port = crate::support::postgres::free_port();
        let setup = Setup::in_front_of(port);
        let users: String = PEOPLE
            .iter()
            .map(|name| format!("U{} = {name:?}\n", name.to_uppercase()))
            .collect();
        let section = slack.section(&setup.folder());
        let (before, _) = section.split_once("UMAYA").unwrap();
        let person = |name: &str, group: &str| {
            let hash = hallpass::secret::hex(&hallpass::secret::sha256(token(name).as_bytes()));
            format!(
                "[principals.{name}]\ngroups = [{group:?}]\ntoken_sha256 = {hash:?}\nmfa = true\n"
            )
        };
        let setup = setup
            .section(&format!("{before}{users}"))
            .section(&person("ada", "admins"))
            .section(&person("olga", "oncall"))
            .section(&person("sam", "guests"))
            .target(
                TARGET,
                "orders_admin",
                "databases = [\"orders\"]\nowners = [\"olga\"]",
            );
        Self {
            hallpass: Process::start(setup).await,
            slack,
        }
    }

    /// A request of maya's; with a session, if what is done is done with one.
    async fn subject(&self, action: Action) -> Subject {
        let request = self.call("maya", "/requests", asked(false)).await;
        let request: RequestView = serde_json::from_value(request.unwrap()).unwrap();
        let mut subject = Subject {
            request: request.id,
            session: None,
        };
        if matches!(action, Action::Extend | Action::Revoke) {
            let approve = format!("/requests/{}/approve", request.id);
            let approved = self.call("dana", &approve, json!({})).await.unwrap();
            let session = approved["session"]["id"].as_str().unwrap();
            subject.session = Some(session.parse().unwrap());
        }
        subject
    }

    async fn call(&self, who: &str, path: &str, body: Value) -> Result<Value, Problem> {
        self.hallpass.call(who, Method::POST, path, body).await
    }

    async fn get(&self, who: &str, path: &str) -> Result<Value, Problem> {
        self.hallpass.call(who, Method::GET, path, ()).await
    }

    /// Takes back what is left of a subject, and of what `who` may have got.
    async fn clean(&self, who: &str, subject: &Subject) {
        let mut left = vec![("maya", subject.request)];
        let own = self.get(who, "/requests").await.unwrap();
        let own: Vec<RequestView> = serde_json::from_value(own).unwrap();
        left.extend(
            own.iter()
                .filter(|it| it.requester.as_str() == who)
                .map(|it| (who, it.id)),
        );
        for (requester, request) in left {
            _ = self
                .call(
                    requester,
                    &format!("/requests/{request}/withdraw"),
                    json!({}),
                )
                .await;
        }
        for person in [who, "maya"] {
            for session in self
                .get(person, "/sessions")
                .await
                .unwrap()
                .as_array()
                .unwrap()
            {
                if session["principal"] == person {
                    let path = format!("/sessions/{}/revoke", session["id"].as_str().unwrap());
                    _ = self.call(person, &path, json!({})).await;
                }
            }
        }
    }

    /// Whether it was done.
    async fn attempt(&self, way: Way, who: &str, action: Action, subject: &Subject) -> bool {
        match way {
            Way::Api => self.by_api(who, action, subject).await,
            Way::CommandLine => self.by_command_line(who, action, subject).await,
            Way::Slack => self.by_slack(who, action, subject).await,
            Way::Page => self.by_page(who, action, subject).await,
            Way::Psql => self.by_psql(who).await,
        }
    }

    async fn by_api(&self, who: &str, action: Action, subject: &Subject) -> bool {
        let request = format!("/requests/{}", subject.request);
        let session = subject.session.map(|it| format!("/sessions/{it}"));
        let session = session.unwrap_or_default();
        let why = json!({ "reason": "because" });
        let answer = match action {
            Action::Request => self.call(who, "/requests", asked(false)).await,
            Action::BreakGlass => self.call(who, "/requests", asked(true)).await,
            Action::Approve => {
                self.call(who, &format!("{request}/approve"), json!({}))
                    .await
            }
            Action::Deny => self.call(who, &format!("{request}/deny"), why).await,
            Action::Extend => {
                let more = json!({ "duration": "5m", "reason": "because" });
                self.call(who, &format!("{session}/extend"), more).await
            }
            Action::Revoke => self.call(who, &format!("{session}/revoke"), why).await,
            Action::ReadAudit => self.get(who, "/audit/head").await,
            Action::Administer => self.get(who, "/accounts").await,
        };
        answer.is_ok()
    }

    async fn by_command_line(&self, who: &str, action: Action, subject: &Subject) -> bool {
        let request = subject.request.to_string();
        let session = subject
            .session
            .map_or_else(String::new, |it| it.to_string());
        let ask = ["request", TARGET, "--for", "10m", "--reason", "because"];
        let line: Vec<&str> = match action {
            Action::Request => ask.to_vec(),
            Action::BreakGlass => [&ask[..], &["--break-glass"]].concat(),
            Action::Approve => vec!["approve", &request],
            Action::Deny => vec!["deny", &request, "--reason", "because"],
            Action::Extend => vec!["extend", &session, "--for", "5m", "--reason", "because"],
            Action::Revoke => vec!["revoke", &session, "--reason", "because"],
            Action::ReadAudit => vec!["audit", "holds"],
            Action::Administer => vec!["user", "list"],
        };
        let mut command = Process::command();
        command
            .args(line)
            .env("HOME", self.hallpass.folder())
            .env("HALLPASS_URL", format!("http://{}", self.hallpass.api))
            .env("HALLPASS_TOKEN", token(who));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        output.await.unwrap().status.success()
    }

    /// The form is sent also by those whose page has none.
    async fn by_page(&self, who: &str, action: Action, subject: &Subject) -> bool {
        let page = format!("http://{}/requests/{}", self.hallpass.api, subject.request);
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.build().unwrap();
        let cookie = format!("__Host-hallpass={}", token(who));
        let shown = http
            .get(&page)
            .header("cookie", &cookie)
            .send()
            .await
            .unwrap();
        let shown = shown.text().await.unwrap();
        let hidden = |name: &str| {
            let (_, rest) = shown.split_once(&format!("name=\"{name}\" value=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let form = [
            ("mark", hidden("mark").unwrap_or_default()),
            ("version", hidden("version").unwrap_or("1".to_owned())),
            ("reason", "because".to_owned()),
        ];
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let act = if action == Action::Approve {
            "approve"
        } else {
            "deny"
        };
        let sent = http
            .post(format!("{page}/{act}"))
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
            .body(form);
        sent.send().await.unwrap().status() == 303
    }

    /// Slack always answers 200; what came of it shows in the request.
    async fn by_slack(&self, who: &str, action: Action, subject: &Subject) -> bool {
        let user = format!("U{}", who.to_uppercase());
        let button = if action == Action::Approve {
            "approve"
        } else {
            "deny"
        };
        let seen = self.slack.calls().len();
        let clicked = self
            .slack
            .click(&self.hallpass, &user, button, subject.request)
            .await;
        assert_eq!(clicked.0, 200);
        if button == "deny" {
            // The dialogue opens for whom may, and a whisper tells the others.
            let look = || async {
                let calls = self.slack.calls();
                let told = ["views.open", "chat.postEphemeral"];
                calls
                    .into_iter()
                    .skip(seen)
                    .find(|(method, _)| told.contains(&&**method))
            };
            let (method, opened) =
                crate::support::wait::until_some("an answer", crate::told::SOON, look).await;
            if method == "views.open" {
                self.slack
                    .submit(&self.hallpass, &user, &opened, "because")
                    .await;
            }
        }
        let path = format!("/requests/{}", subject.request);
        let state = self.get("maya", &path).await.unwrap();
        state["state"] != "pending"
    }

    /// Asks by connecting; what was filed tells.
    async fn by_psql(&self, who: &str) -> bool {
        let login = Login {
            host: "localhost".to_owned(),
            port: self.hallpass.proxy.port(),
            user: format!("{who}~{TARGET}"),
            password: token(who),
            database: "orders".to_owned(),
            sslmode: "verify-full".to_owned(),
            ca: Some(self.hallpass.folder().join("data/server.crt")),
        };
        let mut psql = login.psql();
        psql.args(["-c", "select 1"]).env(
            "PGOPTIONS",
            "-c hallpass.reason=because -c hallpass.for=10m -c hallpass.wait=off",
        );
        let output = tokio::task::spawn_blocking(move || psql.output().unwrap());
        let told = said(&output.await.unwrap());
        assert!(told.contains("FATAL"), "{told}");
        told.contains("is waiting for approval")
    }

    async fn explained(&self, who: &str, action: &str) -> bool {
        let mut question = json!({ "action": action, "principal": who, "mfa": true });
        if !matches!(action, "readAudit" | "administer") {
            question["target"] = json!(TARGET);
            question["duration"] = json!("10m");
        }
        if action == "approve" {
            question["requester"] = json!("maya");
        }
        let answer = self.call("ada", "/policy/explain", question).await;
        answer.unwrap()["allowed"] == true
    }
}

fn asked(break_glass: bool) -> Value {
    let mut asked = json!({ "target": TARGET, "duration": "10m", "reason": "because" });
    if break_glass {
        asked["break_glass"] = json!(true);
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_gives_the_same_answer() {
    let world = World::start().await;
    let mut wrong = Vec::new();
    for (action, may) in TABLE {
        for who in PEOPLE {
            let expected = may.contains(&who);
            if let Some(name) = action.explained()
                && world.explained(who, name).await != expected
            {
                wrong.push(format!("{who} {action:?} by policy explain"));
            }
            for way in action.ways() {
                let subject = match (action, who) {
                    // Nobody has two.
                    (Action::Request | Action::BreakGlass, "maya") => None,
                    _ => Some(world.subject(action).await),
                };
                let none = Subject {
                    request: RequestId::from_random(1),
                    session: None,
                };
                let subject = subject.unwrap_or(none);
                if world.attempt(*way, who, action, &subject).await != expected {
                    wrong.push(format!("{who} {action:?} by {way:?}"));
                }
                world.clean(who, &subject).await;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "not as in the table:\n{}",
        wrong.join("\n")
    );
}
