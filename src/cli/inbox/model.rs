//! What the inbox holds and shows, without drawing it: requests, what is asked below, what is said.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::human::clean;
use super::super::requests::duration;
use super::act::{Act, Effect, Shown};
use super::keys::Keyboard;
use crate::access::{PrincipalName, RequestId, TargetName};
use crate::http::types::{RequestView, SessionView, TargetView};

/// How long what has changed stands out.
const FRESH: Duration = Duration::from_secs(10);

/// What is asked below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prompt {
    /// Approve it, for this long if it is to be shorter?
    Approve(Option<Duration>),
    /// For how long?
    Shorten(String),
    /// Why not?
    Deny(String),
}

/// What is said below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Good(String),
    Bad(String),
}

/// Whose earlier sessions, and where.
pub(super) type Whose = (PrincipalName, TargetName);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Who looks.
    pub(super) me: String,
    /// What waits for them, the newest first.
    pub(super) requests: Vec<RequestView>,
    /// What is known of targets.
    pub(super) targets: Vec<TargetView>,
    /// What is asked, and of which request, in which version: what is decided is what was shown.
    pub(super) prompt: Option<(RequestId, u64, Prompt)>,
    pub(super) message: Option<Message>,
    /// Why the requests may be old.
    pub(super) lost: Option<String>,
    /// Whether the keys are explained.
    pub(super) help: bool,
    /// Whether one request has the whole screen.
    pub(super) whole: bool,
    /// Lines of it that were passed.
    pub(super) scroll: u16,
    selected: usize,
    /// When a version of a request was first seen; `None` in what was there at the beginning.
    seen: HashMap<(RequestId, u64), Option<Timestamp>>,
    before: HashMap<Whose, Vec<SessionView>>,
}

impl Inbox {
    /// The inbox of `me`, with what waits at the beginning.
    pub(super) fn new(me: &PrincipalName, requests: Vec<RequestView>) -> Self {
        let seen = requests.iter().map(|it| ((it.id, it.version), None));
        Self {
            me: clean(me.as_str()),
            seen: seen.collect(),
            requests,
            ..Self::default()
        }
    }

    /// The request that the keys are about, and its place.
    pub(super) fn selected(&self) -> Option<(usize, &RequestView)> {
        Some((self.selected, self.requests.get(self.selected)?))
    }

    /// The earlier sessions of the requester on the target, once they are known.
    pub(super) fn before(&self, request: &RequestView) -> Option<&[SessionView]> {
        self.before.get(&whose(request)).map(Vec::as_slice)
    }

    /// Whose earlier sessions are to be looked for.
    pub(super) fn wanted(&self) -> Option<Whose> {
        let (_, request) = self.selected()?;
        let whose = whose(request);
        (!self.before.contains_key(&whose)).then_some(whose)
    }

    /// Earlier sessions came.
    pub(super) fn remembered(&mut self, whose: Whose, sessions: Vec<SessionView>) {
        self.before.insert(whose, sessions);
    }

    /// Whether it came, or changed, a moment ago.
    pub(super) fn is_fresh(&self, request: &RequestView, now: Timestamp) -> bool {
        let seen = self.seen.get(&(request.id, request.version));
        let at = seen.copied().flatten();
        at.is_some_and(|at| now.duration_since(at) < FRESH.try_into().unwrap_or_default())
    }

    /// The requests as they are now. The selection stays with its request; what is asked about one
    /// that has changed is asked no more.
    pub(super) fn arrived(&mut self, requests: Vec<RequestView>, now: Timestamp) {
        let id = self.selected().map(|(_, request)| request.id);
        self.lost = None;
        self.seen
            .retain(|(id, version), _| same(&requests, *id, *version));
        for request in &requests {
            let key = (request.id, request.version);
            self.seen.entry(key).or_insert(Some(now));
        }
        let place = requests.iter().position(|it| Some(it.id) == id);
        if place.is_none() && id.is_some() {
            (self.whole, self.scroll) = (false, 0);
        }
        self.selected = place.unwrap_or(self.selected.min(requests.len().saturating_sub(1)));
        self.requests = requests;
        let asked = self.prompt.as_ref().map(|(id, version, _)| (*id, *version));
        if let Some((id, version)) = asked
            && !same(&self.requests, id, version)
        {
            self.prompt = None;
            self.message = Some(Message::Bad(format!("{id} has changed meanwhile")));
        }
    }

    /// No answer came.
    pub(super) fn unanswered(&mut self, why: String) {
        self.lost = Some(why);
    }

    /// What keys are for.
    pub(super) fn keyboard(&self) -> Keyboard {
        match self.prompt {
            None => Keyboard::Commands,
            Some((_, _, Prompt::Approve(_))) => Keyboard::YesOrNo,
            Some(_) => Keyboard::Text,
        }
    }

    /// Does what a key asks for; what it cannot do itself, it returns.
    pub(super) fn act(&mut self, act: Act) -> Option<Effect> {
        self.message = None;
        match act {
            Act::Quit => return Some(Effect::Quit),
            _ if self.prompt.is_some() => return self.answered(act),
            Act::Refresh => {
                self.before.clear();
                return Some(Effect::Refresh);
            }
            Act::Up => self.select(self.selected.saturating_sub(1)),
            Act::Down => self.select(self.selected.saturating_add(1)),
            Act::First => self.select(0),
            Act::Last => self.select(usize::MAX),
            Act::Approve => self.ask(Prompt::Approve(None)),
            Act::Deny => self.ask(Prompt::Deny(String::new())),
            Act::Shorten => self.ask(Prompt::Shorten(String::new())),
            Act::Help => self.help = !self.help,
            Act::Enter => (self.whole, self.scroll) = (!self.whole && !self.requests.is_empty(), 0),
            Act::Escape => (self.help, self.whole, self.scroll) = (false, false, 0),
            Act::ScrollDown => self.scroll = self.scroll.saturating_add(5),
            Act::ScrollUp => self.scroll = self.scroll.saturating_sub(5),
            Act::Yes | Act::Type(_) | Act::Erase => {}
        }
        None
    }

    fn select(&mut self, place: usize) {
        self.selected = place.min(self.requests.len().saturating_sub(1));
        self.scroll = 0;
    }

    fn ask(&mut self, prompt: Prompt) {
        if let Some((_, request)) = self.selected() {
            self.prompt = Some((request.id, request.version, prompt));
        }
    }

    fn answered(&mut self, act: Act) -> Option<Effect> {
        let (id, version, mut prompt) = self.prompt.take()?;
        let shown = Shown { id, version };
        match (&mut prompt, act) {
            (_, Act::Escape) => return None,
            (Prompt::Approve(shorter), Act::Yes) => return Some(Effect::Approve(shown, *shorter)),
            (Prompt::Approve(_), Act::Shorten) => prompt = Prompt::Shorten(String::new()),
            (Prompt::Shorten(text) | Prompt::Deny(text), Act::Type(c)) => text.push(c),
            (Prompt::Shorten(text) | Prompt::Deny(text), Act::Erase) => drop(text.pop()),
            (Prompt::Deny(text), Act::Enter) if !text.trim().is_empty() => {
                return Some(Effect::Deny(shown, text.trim().to_owned()));
            }
            (Prompt::Deny(_), Act::Enter) => self.complain("the requester has to read why"),
            (Prompt::Shorten(text), Act::Enter) => match self.shorter(id, text) {
                Ok(shorter) => prompt = Prompt::Approve(Some(shorter)),
                Err(why) => self.complain(&why),
            },
            _ => {}
        }
        self.prompt = Some((id, version, prompt));
        None
    }

    /// What was typed, if it is shorter than what was asked for.
    fn shorter(&self, id: RequestId, text: &str) -> Result<Duration, String> {
        let shorter = duration(text.trim())?;
        let request = self.requests.iter().find(|it| it.id == id);
        let asked = request.map_or("", |it| &it.duration);
        match duration(asked) {
            Ok(most) if shorter > most => Err(format!("at most {asked}")),
            _ => Ok(shorter),
        }
    }

    fn complain(&mut self, why: &str) {
        self.message = Some(Message::Bad(why.to_owned()));
    }
}

fn whose(request: &RequestView) -> Whose {
    (request.requester.clone(), request.target.clone())
}

fn same(requests: &[RequestView], id: RequestId, version: u64) -> bool {
    let it = |it: &RequestView| it.id == id && it.version == version;
    requests.iter().any(it)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, inbox, request};
    use super::*;
    use crate::access::RequestId;

    fn id(number: u64) -> RequestId {
        RequestId::from_random(number)
    }

    fn shown(number: u64) -> Shown {
        let (id, version) = (id(number), 1);
        Shown { id, version }
    }

    fn typed(inbox: &mut Inbox, text: &str) -> Option<Effect> {
        for c in text.chars() {
            inbox.act(Act::Type(c));
        }
        inbox.act(Act::Enter)
    }

    #[test]
    fn approving_takes_two_keys_and_no_takes_it_back() {
        let mut inbox = inbox(2);
        assert_eq!(inbox.act(Act::Yes), None, "nothing is asked yet");
        assert_eq!(inbox.act(Act::Approve), None);
        assert_eq!(inbox.keyboard(), Keyboard::YesOrNo);
        assert_eq!(inbox.act(Act::Escape), None);
        assert_eq!(inbox.act(Act::Yes), None);
        inbox.act(Act::Down);
        inbox.act(Act::Approve);
        assert_eq!(inbox.act(Act::Yes), Some(Effect::Approve(shown(1), None)));
    }

    #[test]
    fn a_shorter_time_is_asked_for_and_a_longer_one_refused() {
        let mut inbox = inbox(1);
        inbox.act(Act::Approve);
        inbox.act(Act::Shorten);
        assert_eq!(typed(&mut inbox, "2h"), None);
        assert_eq!(inbox.message, Some(Message::Bad("at most 30m".into())));
        (0..2).for_each(|_| drop(inbox.act(Act::Erase)));
        assert_eq!(typed(&mut inbox, "10m"), None);
        let ten = Some(Duration::from_secs(600));
        assert_eq!(inbox.act(Act::Yes), Some(Effect::Approve(shown(1), ten)));
    }

    #[test]
    fn a_denial_needs_a_reason_and_keys_are_letters_in_it() {
        let mut inbox = inbox(1);
        inbox.act(Act::Deny);
        assert_eq!(inbox.keyboard(), Keyboard::Text);
        assert_eq!(typed(&mut inbox, " "), None);
        let denied = typed(&mut inbox, "use the replica");
        let reason = "use the replica".to_owned();
        assert_eq!(denied, Some(Effect::Deny(shown(1), reason)));
    }

    #[test]
    fn what_is_decided_is_what_was_shown() {
        let mut inbox = inbox(2);
        inbox.act(Act::Approve);
        let changed = RequestView {
            version: 2,
            ..request(2)
        };
        inbox.arrived(vec![changed, request(1)], at(5));
        assert_eq!(inbox.act(Act::Yes), None, "it changed while it was asked");
        assert_eq!(inbox.prompt, None);
    }

    #[test]
    fn the_selection_stays_with_its_request_and_what_is_new_stands_out() {
        let mut inbox = inbox(2);
        assert_eq!(inbox.selected().unwrap().1.id, id(2));
        inbox.arrived(vec![request(3), request(2), request(1)], at(5));
        let (place, selected) = inbox.selected().unwrap();
        assert_eq!((place, selected.id), (1, id(2)));
        assert!(inbox.is_fresh(&request(3), at(6)) && !inbox.is_fresh(&request(2), at(6)));
        assert!(!inbox.is_fresh(&request(3), at(60)));
        inbox.arrived(vec![request(1)], at(7));
        assert_eq!(inbox.selected().unwrap().1.id, id(1));
        inbox.arrived(vec![], at(8));
        assert!(inbox.selected().is_none());
        assert_eq!(inbox.act(Act::Approve), None);
        assert_eq!(inbox.prompt, None);
    }
}
