//! What goes wrong on the command line: one sentence, and what to do next.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::access::{RequestId, RequestState, TargetName};
use crate::audit::KeyError;
use crate::config::ConfigErrors;
use crate::http::types::{Problem, RequestView};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("no hallpass server answers at {url}: {cause}")]
    Unreachable { url: String, cause: String },
    #[error("the certificate of {url} is not trusted: {cause}")]
    Untrusted { url: String, cause: String },
    #[error("{url} answers, but not by {}", scheme(url))]
    WrongScheme { url: String },
    #[error("{url} did not answer in time")]
    TimedOut { url: String },
    #[error("what answers at {url} does not speak hallpass's API: {cause}")]
    NotHallpass { url: String, cause: String },
    #[error("no API token is set for {url}")]
    NoToken { url: String },
    #[error("the server at {url} does not accept the token from {source_of_token}")]
    Unauthorized {
        url: String,
        source_of_token: String,
    },
    #[error("{}", .0.detail)]
    Problem(Problem),
    #[error("the connection to {url} broke before it said what became of this")]
    Uncertain { url: String },
    #[error("it changed since you looked: {how}")]
    Changed {
        how: String,
        request: Box<RequestView>,
    },
    #[error("{0}")]
    Usage(String),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {what}", path.display())]
    BadFile { path: PathBuf, what: String },
    #[error("you have no live session for {target}")]
    NoSession {
        target: TargetName,
        pending: Option<RequestId>,
    },
    #[error("{}", verdict(.0))]
    NotApproved(RequestState),
    #[error("psql is not installed, or not in the PATH")]
    NoPsql,
    #[error("the pager {0:?} cannot be run")]
    NoPager(OsString),
    #[error("{0}")]
    NotSignedIn(String),
    #[error("{0}")]
    NoRecord(String),
    #[error("cannot connect to {place}: {why}")]
    NoDatabase { place: String, why: String },
    #[error("the configuration is refused\n{0}")]
    BadConfiguration(ConfigErrors),
    #[error("{0}")]
    Demo(String),
    #[error("the audit log at {place} cannot be read: {source}")]
    Audit { place: String, source: io::Error },
    #[error("there is no audit log at {place}: no file there is a segment")]
    NoAudit { place: String },
    #[error("{0}")]
    AuditKey(KeyError),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl CliError {
    /// What to do next, where there is something to do.
    pub(super) fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::NotHallpass { .. } => {
                "Is it running there? Another address: --url URL or HALLPASS_URL (see `hallpass login --help`).".into()
            }
            Self::Untrusted { .. } => {
                "Name the certificates to trust with --ca FILE or HALLPASS_CA.".into()
            }
            Self::WrongScheme { url } => {
                let (said, other) = match scheme(url) {
                    "https" => ("https", "http"),
                    _ => ("http", "https"),
                };
                format!("Try {}.", url.replacen(said, other, 1))
            }
            Self::NoToken { .. } => "\
Sign in: hallpass login. Or, with a token, put it into a file that only you can read and set
HALLPASS_TOKEN_FILE to its path (or HALLPASS_TOKEN to the token itself)."
                .into(),
            Self::Unauthorized { .. } => "\
It may have ended, or belong to another server. Sign in again: hallpass login."
                .into(),
            Self::Problem(problem) => return advice_on(problem),
            Self::Uncertain { .. } => "\
It was probably done. Look before you do it again: `hallpass requests`, `hallpass token list`,
`hallpass delegate`."
                .into(),
            Self::Changed { request, .. } if request.state == RequestState::Pending => {
                format!("If that is as well: --if-version {}.", request.version)
            }
            Self::NoSession {
                pending: Some(request),
                ..
            } => format!("Your request {request} waits. Who may decide does it with: hallpass approve {request}"),
            Self::NoSession { target, .. } => {
                format!("Ask for one: hallpass request {target} --for 30m --reason \"why\" --wait")
            }
            Self::NoPsql => "\
Install PostgreSQL's client (Debian, Ubuntu: apt install postgresql-client; Fedora: dnf install
postgresql; macOS: brew install libpq), or use `hallpass connect --print` for another client."
                .into(),
            Self::NoPager(_) => "Set PAGER to a command that is installed, or use --no-pager.".into(),
            Self::Audit { .. } | Self::NoAudit { .. } => {
                "Where the log is: --from FOLDER, or --config FILE for the folder that it names.".into()
            }
            _ => return None,
        })
    }

    /// 2 for wrong usage, else 1.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }

    /// Whether the reader of our output has gone (`| head`): nothing to complain about.
    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// For `map_err`: the file system's refusal, with the file.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

fn advice_on(problem: &Problem) -> Option<String> {
    let advice = match &*problem.code {
        "not_found" => return Some(where_to_look(&problem.detail)),
        "provider_unavailable" => {
            "Accounts with a password are not affected: hallpass login --name NAME."
        }
        "sign_in_failed" => {
            "After a few guesses nobody gets in for a while. Who forgot their password asks an administrator for `hallpass user reset NAME`."
        }
        "audit_unavailable" => {
            "Nothing is granted while it cannot be recorded; whoever runs the server must look at its log."
        }
        _ => return None,
    };
    Some(advice.into())
}

/// What lists that of which there is none such.
fn where_to_look(detail: &str) -> String {
    let lists = [
        ("target", "hallpass targets"),
        ("request", "hallpass requests --all"),
        ("review", "hallpass review list --all"),
        ("session", "hallpass sessions --all"),
        ("token", "hallpass token list"),
        ("delegation", "hallpass delegate"),
    ];
    let known = lists.iter().find(|(noun, _)| detail.contains(noun));
    let list = known.map_or_else(String::new, |(_, list)| format!(": `{list}`"));
    format!("It may be mistyped, or not yours to see{list}.")
}

fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

fn verdict(state: &RequestState) -> String {
    match state {
        RequestState::Denied { by, reason, .. } => {
            format!("denied by {by}: {}", super::human::clean(reason))
        }
        RequestState::Withdrawn { .. } => "the request was withdrawn".into(),
        RequestState::Lapsed { .. } => "the request lapsed: nobody decided in time".into(),
        other => format!("the request is {}", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str) -> CliError {
        CliError::Problem(Problem {
            status: 404,
            code: code.into(),
            detail: "no such request".into(),
        })
    }

    #[test]
    fn a_problem_is_told_in_the_servers_words() {
        assert_eq!(problem("not_found").to_string(), "no such request");
        let advice = problem("not_found").advice().unwrap();
        assert!(advice.contains("`hallpass requests --all`"), "{advice}");
        assert_eq!(problem("conflict").advice(), None);
    }

    #[test]
    fn the_other_scheme_is_advised() {
        for (url, other) in [
            ("http://h:1", "Try https://h:1."),
            ("https://h:1", "Try http://h:1."),
        ] {
            let error = CliError::WrongScheme { url: url.into() };
            assert_eq!(error.advice().as_deref(), Some(other));
        }
    }

    #[test]
    fn a_missing_token_says_which_server_and_how_to_set_it() {
        let error = CliError::NoToken {
            url: "http://127.0.0.1:8432".into(),
        };
        assert!(error.to_string().contains("http://127.0.0.1:8432"));
        assert!(error.advice().unwrap().contains("HALLPASS_TOKEN_FILE"));
    }

    #[test]
    fn without_a_session_one_is_told_to_ask_or_to_wait() {
        let target: TargetName = "orders-ro".parse().unwrap();
        let none = CliError::NoSession {
            target: target.clone(),
            pending: None,
        };
        assert!(
            none.advice()
                .unwrap()
                .contains("hallpass request orders-ro")
        );
        let pending = CliError::NoSession {
            target,
            pending: Some(RequestId::from_random(1)),
        };
        assert!(pending.advice().unwrap().contains("req-"));
    }

    #[test]
    fn only_a_closed_pipe_is_silent() {
        let closed = CliError::Output(io::ErrorKind::BrokenPipe.into());
        let full = CliError::Output(io::ErrorKind::StorageFull.into());
        assert!(closed.is_closed_pipe() && !full.is_closed_pipe());
    }
}
