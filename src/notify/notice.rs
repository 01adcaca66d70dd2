//! What a notification says.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::text::{inert, one_line};
use crate::access::{PrincipalName, RequestId, SessionId, TargetName};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Somebody asks.
    Submitted,
    /// Nobody decided for so long that others are asked too.
    Escalated,
    /// Those of one stage have approved: it is up to those of the next.
    NextStage,
    /// A request was granted.
    Approved,
    /// A request was refused.
    Denied,
    /// The requester took it back.
    Withdrawn,
    /// Nobody decided in time.
    Lapsed,
    /// A session goes on for longer.
    Extended,
    /// Somebody opened a session without waiting for anybody.
    BreakGlass,
    /// A person ended a session.
    Revoked,
    /// Time ended a session.
    Expired,
    /// Nothing: somebody tries the channels out.
    Test,
}

impl Kind {
    /// The name that machines know it by; webhooks' `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "request.submitted",
            Self::Escalated => "request.escalated",
            Self::NextStage => "request.next_stage",
            Self::Approved => "request.approved",
            Self::Denied => "request.denied",
            Self::Withdrawn => "request.withdrawn",
            Self::Lapsed => "request.lapsed",
            Self::Extended => "session.extended",
            Self::BreakGlass => "session.break_glass",
            Self::Revoked => "session.revoked",
            Self::Expired => "session.expired",
            Self::Test => "test",
        }
    }

    /// Whether somebody is asked to decide.
    pub fn asks(self) -> bool {
        matches!(self, Self::Submitted | Self::NextStage | Self::Escalated)
    }

    /// Whether nothing more will happen to the request or its session.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Withdrawn | Self::Lapsed | Self::Revoked | Self::Expired
        )
    }
}

/// One thing that happened, as people are told of it: who, what, how long, why, and where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same however often it is sent, and no other's.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// The request that it is about.
    pub request: RequestId,
    /// The session, if there is one.
    pub session: Option<SessionId>,
    /// Who asked.
    pub who: PrincipalName,
    /// For what.
    pub target: TargetName,
    /// For how long.
    pub duration: Duration,
    /// Why they asked.
    pub why: String,
    /// Who did it: a principal, or the policy that decided by itself.
    pub by: Option<String>,
    /// Why they denied or ended it, if they said.
    pub because: Option<String>,
    /// When the session ends.
    pub expires_at: Option<Timestamp>,
    /// Where one decides, or reads more.
    pub link: String,
}

impl Notice {
    /// A notice that says nothing but that it arrived.
    pub fn test(id: String, at: Timestamp, who: PrincipalName, link: String) -> Self {
        Self {
            id,
            at,
            kind: Kind::Test,
            request: RequestId::from_random(0),
            session: None,
            who,
            target: "test".parse().expect("is a target's name"),
            duration: Duration::ZERO,
            why: "to see that notifications arrive".into(),
            by: None,
            because: None,
            expires_at: None,
            link,
        }
    }

    /// What happened, in one line, of names only: nothing in it was written by hand.
    pub fn headline(&self) -> String {
        let (who, target, length) = (&self.who, &self.target, self.length());
        let by = one_line(self.by.as_deref().unwrap_or("hallpass"));
        match self.kind {
            Kind::Submitted => format!("{who} asks for {target} for {length}"),
            Kind::Escalated => format!("{who} still waits for {target}: nobody has decided"),
            Kind::NextStage => format!("{who} waits for {target}: {by} approved, others have to"),
            Kind::Approved => format!("{by} approved {target} for {who}"),
            Kind::Denied => format!("{by} denied {target} to {who}"),
            Kind::Withdrawn => format!("{who} no longer asks for {target}"),
            Kind::Lapsed => format!("Nobody decided in time whether {who} gets {target}"),
            Kind::Extended => format!("{who}'s session for {target} was extended"),
            Kind::BreakGlass => format!("BREAK-GLASS: {who} opened {target} without approval"),
            Kind::Revoked => format!("{by} ended {who}'s session for {target}"),
            Kind::Expired => format!("{who}'s session for {target} is over"),
            Kind::Test => format!("{who} tests hallpass's notifications"),
        }
    }

    /// What there is to know, by label, but for the reasons.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        if self.kind == Kind::Test {
            return vec![("Who", self.who.to_string())];
        }
        let mut facts = vec![
            ("Who", self.who.to_string()),
            ("Target", self.target.to_string()),
            ("For", self.length()),
            ("Request", self.request.to_string()),
        ];
        let until = self.expires_at.map(moment);
        facts.extend(until.map(|until| ("Until", until)));
        facts
    }

    /// Why, in the words of who asked and of who decided: hostile text, made inert.
    pub(super) fn reasons(&self) -> Vec<(String, String)> {
        let mut reasons = vec![(format!("{} says why", self.who), inert(&self.why))];
        if let Some(because) = self.because.as_deref().filter(|it| !it.is_empty()) {
            let by = one_line(self.by.as_deref().unwrap_or("hallpass"));
            reasons.push((format!("{by} says why"), inert(because)));
        }
        reasons
    }

    fn length(&self) -> String {
        humantime::format_duration(self.duration).to_string()
    }

    /// As machines get it.
    pub(super) fn document(&self) -> Document<'_> {
        Document {
            kind: self.kind.name(),
            timestamp: self.at,
            data: Data {
                request: self.request,
                session: self.session,
                principal: &self.who,
                target: &self.target,
                seconds: self.duration.as_secs(),
                reason: &self.why,
                by: self.by.as_deref(),
                because: self.because.as_deref(),
                expires_at: self.expires_at,
                link: &self.link,
            },
        }
    }
}

/// A moment as people read it: by the minute, in UTC, which readers share.
fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// The body that webhooks get.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    request: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    principal: &'a PrincipalName,
    target: &'a TargetName,
    seconds: u64,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    link: &'a str,
}

#[cfg(test)]
pub(super) fn example(kind: Kind) -> Notice {
    let at = "2026-11-22T09:00:00Z".parse().unwrap();
    Notice {
        id: "msg_1".into(),
        at,
        kind,
        request: RequestId::from_random(7),
        session: None,
        who: "maya".parse().unwrap(),
        target: "orders-ro".parse().unwrap(),
        duration: Duration::from_secs(1800),
        why: "<!channel> <b>INC-4312</b> *stuck* \u{202e}refunds".into(),
        by: (!kind.asks()).then(|| "dana".into()),
        because: (kind == Kind::Denied).then(|| "not <i>now</i>\nask lee".into()),
        expires_at: (kind == Kind::Approved).then(|| "2026-11-22T09:30:00Z".parse().unwrap()),
        link: "https://hallpass.example.com/requests/req-700000000000".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_headline_says_who_and_what_and_nothing_that_somebody_wrote() {
        for (kind, expected) in [
            (Kind::Submitted, "maya asks for orders-ro for 30m"),
            (Kind::Approved, "dana approved orders-ro for maya"),
            (Kind::Denied, "dana denied orders-ro to maya"),
            (
                Kind::BreakGlass,
                "BREAK-GLASS: maya opened orders-ro without approval",
            ),
            (Kind::Revoked, "dana ended maya's session for orders-ro"),
        ] {
            assert_eq!(example(kind).headline(), expected);
        }
    }

    #[test]
    fn machines_get_the_reason_as_it_was_written() {
        let notice = example(Kind::Denied);
        let document = serde_json::to_value(notice.document()).unwrap();
        assert_eq!(document["type"], "request.denied");
        assert_eq!(document["timestamp"], "2026-11-22T09:00:00Z");
        assert_eq!(document["data"]["reason"], notice.why);
        assert_eq!(document["data"]["by"], "dana");
        assert_eq!(document["data"]["seconds"], 1800);
        assert_eq!(document["data"].get("expires_at"), None);
    }
}
