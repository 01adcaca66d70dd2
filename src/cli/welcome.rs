//! `hallpass` alone: what to do next, as far as that can be known quickly.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::api::Api;
use super::error::CliError;
use super::human::{clean, relative};
use super::out::{BOLD, DIM, WARN, paint};
use super::requests::length;
use super::settings::{self, Settings};
use super::{Done, Global};
use crate::access::RequestState;
use crate::clock::Clock;
use crate::http::types::{RequestView, SessionView, TargetView, Whoami};

/// How long the server may take to say how things stand.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many of each are shown.
const SHOWN: usize = 5;

const ABOUT: &str = "\
hallpass lets you into PostgreSQL for as long as you need it: you ask, somebody approves, every
statement is recorded, and the session ends by itself.";

/// Lines of a page: a command, and what it is for.
const SIGN_IN: [(&str, &str); 3] = [
    (
        "hallpass login --url https://..",
        "sign in at your company's server",
    ),
    ("hallpass demo", "see it work, on this machine alone"),
    ("hallpass serve --config hallpass.toml", "run a server"),
];
const SIGN_IN_AGAIN: [(&str, &str); 2] = [
    ("hallpass login", "sign in"),
    ("hallpass demo", "see it work, on this machine alone"),
];
const NEXT: [(&str, &str); 3] = [
    (
        "hallpass request TARGET --for 30m --reason \"why\" --wait",
        "ask",
    ),
    ("hallpass connect TARGET", "psql, once it is approved"),
    ("hallpass targets", "what there is to ask for"),
];
/// For those who may ask for nothing.
const NEXT_OF_OTHERS: [(&str, &str); 3] = [
    ("hallpass inbox", "decide on what others ask for"),
    ("hallpass sessions", "what is open now"),
    (
        "hallpass policy explain --action request --target TARGET",
        "why you may not ask yourself",
    ),
];

/// What is known.
#[derive(Debug, Serialize)]
struct Standing {
    /// The server's address, if somebody said where it is.
    server: Option<String>,
    /// How things stand there, if it answered.
    #[serde(flatten)]
    there: Option<There>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// How things stand at the server.
#[derive(Debug, Serialize)]
struct There {
    whoami: Whoami,
    /// The caller's own live sessions.
    sessions: Vec<SessionView>,
    /// Requests that the caller may decide.
    waiting: Vec<RequestView>,
    /// The caller's own pending requests.
    asked: Vec<RequestView>,
    /// What the caller may ask for.
    targets: Vec<TargetView>,
}

pub(super) async fn run(global: &Global) -> Done {
    let standing = standing(global).await;
    let now = Clock::system().now();
    global.output().show(&standing, |it| text(it, now))?;
    Ok(0)
}

/// Never fails: what cannot be known is said.
async fn standing(global: &Global) -> Standing {
    let mut standing = Standing {
        server: None,
        there: None,
        problem: None,
    };
    let settings = match settings::gather(global) {
        Ok(settings) => settings,
        Err(error) => {
            standing.problem = Some(error.to_string());
            return standing;
        }
    };
    if settings.token.is_none() {
        standing.server = settings::is_configured(global).then_some(settings.url);
        return standing;
    }
    standing.server = Some(settings.url.clone());
    let url = settings.url.clone();
    let late = |_| Err(CliError::TimedOut { url });
    match tokio::time::timeout(PATIENCE, there(settings))
        .await
        .unwrap_or_else(late)
    {
        Ok(there) => standing.there = Some(there),
        Err(error) => standing.problem = Some(error.to_string()),
    }
    standing
}

async fn there(settings: Settings) -> Result<There, CliError> {
    let api = Api::new(settings)?.impatient();
    let (whoami, sessions, requests, targets) = tokio::try_join!(
        api.whoami(),
        api.sessions(false),
        api.requests(false),
        api.targets()
    )?;
    let mut there = There {
        sessions,
        waiting: requests.clone(),
        asked: requests,
        targets,
        whoami,
    };
    let me = &there.whoami.name;
    there.sessions.retain(|it| it.principal == *me);
    there.waiting.retain(|it| it.may_decide);
    there
        .asked
        .retain(|it| it.requester == *me && it.state == RequestState::Pending);
    there.targets.retain(|it| it.may_request);
    Ok(there)
}

fn text(standing: &Standing, now: Timestamp) -> String {
    let end = paint(DIM, "Everything else: hallpass --help");
    let mut parts = match (&standing.there, &standing.server) {
        (Some(there), server) => signed_in(there, server.as_deref().unwrap_or_default(), now),
        (None, None) => vec![ABOUT.to_owned(), page("Where to begin", &SIGN_IN)],
        (None, Some(server)) => {
            let whom = match &standing.problem {
                None => format!("You are not signed in at {}.", clean(server)),
                Some(_) => format!("Your server is {}.", clean(server)),
            };
            vec![ABOUT.to_owned(), whom, page("Next", &SIGN_IN_AGAIN)]
        }
    };
    if let Some(problem) = &standing.problem {
        let told: Vec<String> = problem.lines().map(clean).collect();
        parts.insert(1, paint(WARN, &told.join("\n")));
    }
    parts.push(end);
    parts.join("\n\n")
}

fn signed_in(there: &There, server: &str, now: Timestamp) -> Vec<String> {
    let groups = match there.whoami.groups.is_empty() {
        true => "in no group".to_owned(),
        false => format!("in {}", clean(&there.whoami.groups.join(", "))),
    };
    let name = paint(BOLD, &clean(there.whoami.name.as_str()));
    let mut parts = vec![format!("You are {name}, {groups}, at {}.", clean(server))];
    let sessions = there.sessions.iter().map(|it| {
        let (target, ends) = (clean(it.target.as_str()), relative(now, it.expires_at));
        (format!("hallpass connect {target}"), format!("ends {ends}"))
    });
    parts.extend(section("You have", &sessions.collect::<Vec<_>>()));
    let asked = there.asked.iter().map(|it| {
        let what = format!(
            "{} for {}, lapses {}",
            it.target,
            length(it),
            relative(now, it.lapses_at)
        );
        (format!("hallpass show {}", it.id), clean(&what))
    });
    parts.extend(section("You wait for", &asked.collect::<Vec<_>>()));
    let waiting = there.waiting.iter().map(|it| {
        let what = format!("{} asks for {}: {}", it.requester, it.target, it.reason);
        (format!("hallpass approve {}", it.id), clean(&what))
    });
    let waiting = section(
        "Waits for you: hallpass inbox",
        &waiting.collect::<Vec<_>>(),
    );
    parts.extend(waiting);
    let next: &[_] = if there.targets.is_empty() {
        &NEXT_OF_OTHERS
    } else {
        &NEXT
    };
    parts.push(page("Next", next));
    parts
}

/// The first few of what there is, if there is anything.
fn section(title: &str, rows: &[(String, String)]) -> Option<String> {
    let more = rows.len().saturating_sub(SHOWN);
    let shown: Vec<(&str, &str)> = rows
        .iter()
        .take(SHOWN)
        .map(|(command, what)| (&**command, &**what))
        .collect();
    let rest = match more {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    (!shown.is_empty()).then(|| format!("{}{rest}", page(title, &shown)))
}

fn page(title: &str, rows: &[(&str, &str)]) -> String {
    let width = rows
        .iter()
        .map(|(command, _)| command.chars().count())
        .max();
    let width = width.unwrap_or_default();
    let row = |(command, what): &(&str, &str)| format!("  {command:<width$}  {}", paint(DIM, what));
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("{}\n{}", paint(BOLD, title), rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(standing: &Standing) -> String {
        let text = text(standing, Timestamp::UNIX_EPOCH);
        anstream::adapter::strip_str(&text).to_string()
    }

    fn nowhere() -> Standing {
        Standing {
            server: None,
            there: None,
            problem: None,
        }
    }

    fn there(json: serde_json::Value) -> Vec<RequestView> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_newcomer_is_told_to_sign_in() {
        let text = shown(&nowhere());
        assert!(text.contains("hallpass login --url"), "{text}");
        assert!(text.contains("hallpass demo"), "{text}");
    }

    #[test]
    fn a_server_that_does_not_answer_is_named_with_its_problem() {
        let text = shown(&Standing {
            server: Some("https://hallpass.example.com".into()),
            problem: Some("no answer\x1b[2J".into()),
            ..nowhere()
        });
        assert!(text.contains("no answer\u{fffd}[2J"), "{text}");
        assert!(
            text.contains("Your server is https://hallpass.example.com."),
            "{text}"
        );
    }

    #[test]
    fn who_is_signed_in_sees_what_waits_and_what_they_have() {
        let request = |id: &str| {
            serde_json::json!({
                "id": id, "requester": "noor", "target": "orders-ro", "duration": "30m",
                "reason": "INC-1\u{202e}", "created_at": "1970-01-01T00:00:00Z",
                "lapses_at": "1970-01-01T01:00:00Z", "state": "pending", "may_decide": true,
            })
        };
        let requests = ["req-4m0t8z1kqc7e"; 7].map(request);
        let there = There {
            whoami: Whoami {
                name: "dana".parse().unwrap(),
                groups: vec!["leads".into()],
                mfa: false,
                scope: None,
            },
            sessions: Vec::new(),
            waiting: there(requests.into()),
            asked: Vec::new(),
            targets: Vec::new(),
        };
        let text = shown(&Standing {
            server: Some("https://x".into()),
            there: Some(there),
            ..nowhere()
        });
        for part in [
            "You are dana, in leads, at https://x.",
            "Waits for you: hallpass inbox",
            "hallpass approve req-4m0t8z1kqc7e  noor asks for orders-ro: INC-1\u{fffd}",
            "and 2 more",
            "why you may not ask yourself",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("You have"), "{text}");
    }
}
