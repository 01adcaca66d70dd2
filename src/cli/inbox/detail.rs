//! A request in words: all that helps to decide on it.

use std::time::Duration;

use jiff::Timestamp;

use super::super::human::{clean, clock_time, relative, short};
use super::super::out::{BAD, BOLD, DIM, WARN, paint};
use super::super::requests::{approval_text, length, stage};
use crate::access::{RequestKind, SessionState};
use crate::http::types::{RequestView, SessionView, TargetView};

/// Lines in the command line's colours, everything from others made inert. `before` is what the
/// requester did on the target, once that is known.
pub(super) fn lines(
    request: &RequestView,
    target: Option<&TargetView>,
    before: Option<&[SessionView]>,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = vec![headline(request, target)];
    for (name, value) in facts(request, target, now) {
        lines.push(format!("{} {value}", paint(DIM, &format!("{name:<9}"))));
    }
    lines.extend(earlier(request, before, now));
    lines
}

/// Who asks for what.
fn headline(request: &RequestView, target: Option<&TargetView>) -> String {
    let who = paint(BOLD, &clean(request.requester.as_str()));
    let what = paint(BOLD, &clean(request.target.as_str()));
    let place = target.map_or_else(String::new, place);
    let verb = match request.kind {
        RequestKind::Extension => "wants to keep",
        _ => "asks for",
    };
    format!("{who} {verb} {what}{place} for {}", length(request))
}

fn place(target: &TargetView) -> String {
    let environment = clean(&target.environment);
    let rights = if target.read_only { ", read only" } else { "" };
    match &*environment {
        "" => String::new(),
        "production" => format!(" ({}{rights})", paint(WARN, &environment)),
        _ => format!(" ({environment}{rights})"),
    }
}

fn facts(
    request: &RequestView,
    target: Option<&TargetView>,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let at = |at: Timestamp| format!("{} ({})", clock_time(now, at), relative(now, at));
    let mut facts = vec![("Why", clean(&request.reason))];
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("Ticket", request.ticket.as_deref().map(clean));
    let about = target.map(|it| clean(&it.description));
    add("Target", about.filter(|it| !it.is_empty()));
    add("Extends", request.extends.map(|it| it.to_string()));
    add("Starts", request.starts_at.map(at));
    add("Asked", Some(at(request.created_at)));
    add("Stage", stage_text(request));
    for approval in &request.approvals {
        add("Approved", Some(clean(&approval_text(approval, now))));
    }
    let stage = request.stage.as_ref();
    add("Escalates", stage.and_then(|it| it.escalates_at).map(at));
    add("Lapses", Some(at(request.lapses_at)));
    facts
}

fn stage_text(request: &RequestView) -> Option<String> {
    let named = &request.stage.as_ref()?.approvers;
    let whom = match named.is_empty() {
        true => String::new(),
        false => format!(", by {}", clean(&named.join(", "))),
    };
    Some(format!("{}{whom}", stage(request)))
}

/// What the requester did on the target before.
fn earlier(request: &RequestView, before: Option<&[SessionView]>, now: Timestamp) -> Vec<String> {
    let (who, what) = (
        clean(request.requester.as_str()),
        clean(request.target.as_str()),
    );
    let title = |text: &str| vec![String::new(), paint(DIM, text)];
    match before {
        None => title("Looking for earlier sessions .."),
        Some([]) => title(&format!("{who} was never on {what} before")),
        Some(sessions) => {
            let mut lines = title(&format!("{who} on {what} before"));
            lines.extend(sessions.iter().map(|session| past(session, now)));
            lines
        }
    }
}

fn past(session: &SessionView, now: Timestamp) -> String {
    let end = match session.state {
        SessionState::Revoked { at, .. } => at,
        _ => session.expires_at,
    };
    let seconds = end.duration_since(session.starts_at).as_secs();
    let lasted = short(Duration::from_secs(seconds.try_into().unwrap_or(0)));
    let when = relative(now, session.starts_at);
    let reason = clean(&session.reason);
    format!("  {when:<11} {lasted:<7} {}  {reason}", ended(session))
}

/// How a session ended.
fn ended(session: &SessionView) -> String {
    match &session.state {
        SessionState::Revoked { by, .. } if *by == session.principal => paint(DIM, "done   "),
        SessionState::Revoked { by, reason, .. } => {
            let why = match clean(reason) {
                it if it.is_empty() => String::new(),
                it => format!(" ({it})"),
            };
            paint(BAD, &format!("revoked by {}{why}", clean(by.as_str())))
        }
        other => paint(DIM, &format!("{:<7}", other.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, plain, request, session, target};
    use super::*;

    fn told(request: &RequestView, before: Option<&[SessionView]>) -> String {
        plain(&lines(request, Some(&target("orders-ro")), before, at(600)).join("\n"))
    }

    #[test]
    fn all_that_helps_to_decide_is_there() {
        let text = told(&request(1), Some(&[]));
        for part in [
            "maya asks for orders-ro (production, read only) for 30m",
            "Why       INC-1 stuck refunds",
            "Ticket    INC-1",
            "Stage     2/2, by owners",
            "Approved  5m ago by lee (stage 1)",
            "(in 50m)",
            "maya was never on orders-ro before",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn earlier_sessions_tell_how_they_ended() {
        let done = session("maya", SessionState::Expired { at: at(60) });
        let stopped = session(
            "maya",
            SessionState::Revoked {
                by: "dana".parse().unwrap(),
                at: at(30),
                reason: "wrong\x1b[2J table".into(),
            },
        );
        let text = told(&request(1), Some(&[done, stopped]));
        assert!(text.contains("expired  INC-0 \u{fffd}[2J before"), "{text}");
        assert!(
            text.contains("30s     revoked by dana (wrong\u{fffd}[2J table)"),
            "{text}"
        );
        assert!(told(&request(1), None).contains("Looking"));
    }
}
