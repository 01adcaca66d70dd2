//! What changes, as it changes: for those who listen, what the lists would show them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::queries::RequestStatus;
use super::{Control, Error, SessionStatus, random_id};
use crate::access::{
    AccessRequest, Caller, PrincipalName, RequestId, Review, Session, SessionId, TargetName,
};
use crate::store::{Change, StoreError, Visible, Write};

/// Changes that are kept for those who come back, or are slow.
const KEPT: usize = 1024;
/// Who may listen at a time.
const LISTENERS: usize = 256;
/// How often one principal may.
const OF_ONE: usize = 8;

/// A change of one thing, as it is after it.
#[derive(Debug, Clone)]
enum Moved {
    Request(AccessRequest),
    Session(Session),
    Review(Review),
}

/// What a change is of.
#[derive(PartialEq, Eq)]
enum Of {
    Request(RequestId),
    Session(SessionId),
    Review(SessionId),
}

impl Moved {
    fn of(&self) -> (Of, u64) {
        match self {
            Self::Request(it) => (Of::Request(it.id), it.version),
            Self::Session(it) => (Of::Session(it.id), it.version),
            Self::Review(it) => (Of::Review(it.session), it.version),
        }
    }

    fn whose(&self) -> (&PrincipalName, &TargetName) {
        match self {
            Self::Request(it) => (&it.requester, &it.target),
            Self::Session(it) => (&it.principal, &it.target),
            Self::Review(it) => (&it.principal, &it.target),
        }
    }

    /// Whether this is what the lists show.
    fn is_among(&self, visible: &Visible) -> bool {
        let (principal, target) = self.whose();
        *principal == visible.principal || visible.targets.contains(target)
    }
}

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Changes went by that are no longer kept, or nobody knows from where on: the lists have to be
    /// read again. What changes from now on will be heard.
    Reset,
    /// A request is new, or another.
    Request(Box<RequestStatus>),
    /// A session is.
    Session(Box<SessionStatus>),
    /// A review is.
    Review(Box<Review>),
}

/// A place among the changes of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The process: by chance, anew at each start.
    pub process: u64,
    /// How many changes came before.
    pub number: u64,
}

/// The last changes, and who listens.
pub(super) struct Events {
    process: u64,
    last: Mutex<Last>,
    /// How many changes there have been.
    count: watch::Sender<u64>,
    listeners: Arc<Mutex<HashMap<PrincipalName, usize>>>,
}

/// Numbered from 1; the last one is the newest.
#[derive(Default)]
struct Last {
    count: u64,
    moved: VecDeque<Arc<Moved>>,
}

impl Last {
    /// Adds a change, unless a later one of the same is here already: two that are committed one
    /// after the other may arrive the other way round.
    fn add(&mut self, moved: Moved) {
        let (of, version) = moved.of();
        let mut before = self.moved.iter().rev().map(|it| it.of());
        if before.any(|(it, newer)| it == of && newer >= version) {
            return;
        }
        if self.moved.len() == KEPT {
            self.moved.pop_front();
        }
        self.moved.push_back(Arc::new(moved));
        self.count += 1;
    }

    /// The change behind that many others: `None` if there is none yet, `Err` if it is gone.
    fn after(&self, number: u64) -> Result<Option<Arc<Moved>>, ()> {
        let first = self.count - self.moved.len() as u64;
        match number.checked_sub(first).map(usize::try_from) {
            Some(Ok(place)) if number <= self.count => Ok(self.moved.get(place).cloned()),
            _ => Err(()),
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            process: random_id(),
            last: Mutex::default(),
            count: watch::Sender::new(0),
            listeners: Arc::default(),
        }
    }
}

impl Events {
    fn publish(&self, change: &Change) {
        let mut last = self.last.lock();
        let moved = [
            change.request.as_ref().map(|it| Moved::Request(new(it))),
            change.session.as_ref().map(|it| Moved::Session(new(it))),
            change.review.as_ref().map(|it| Moved::Review(new(it))),
        ];
        moved.into_iter().flatten().for_each(|it| last.add(it));
        self.count.send_replace(last.count);
    }

    fn listen(&self, caller: &PrincipalName) -> Option<Seat> {
        let mut listeners = self.listeners.lock();
        let all: usize = listeners.values().sum();
        let own = listeners.get(caller).copied().unwrap_or(0);
        if all >= LISTENERS || own >= OF_ONE {
            return None;
        }
        listeners.insert(caller.clone(), own + 1);
        Some(Seat {
            of: caller.clone(),
            listeners: Arc::clone(&self.listeners),
        })
    }
}

/// One of the places that there are for listeners.
struct Seat {
    of: PrincipalName,
    listeners: Arc<Mutex<HashMap<PrincipalName, usize>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut listeners = self.listeners.lock();
        if let Some(own) = listeners.get_mut(&self.of) {
            *own -= 1;
        }
        listeners.retain(|_, own| *own > 0);
    }
}

/// Somebody who listens.
pub struct Listener {
    /// Where they are.
    mark: Mark,
    /// They have to be told that they missed something.
    lost: bool,
    count: watch::Receiver<u64>,
    /// Also tells of what ends a token.
    changes: watch::Receiver<u64>,
    _seat: Seat,
}

impl Listener {
    /// Behind what was heard last.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Returns when there may be something new to hear, or nothing any more.
    pub async fn stirs(&mut self) {
        let (number, lost) = (self.mark.number, self.lost);
        let heard = self.count.wait_for(|count| lost || *count > number);
        tokio::select! {
            _ = heard => {}
            _ = self.changes.changed() => {}
        }
    }
}

impl Control {
    /// Keeps a change, and tells those who listen.
    pub(super) async fn commit(&self, change: &Change) -> Result<(), StoreError> {
        self.store.commit(change).await?;
        self.tell_listeners(change);
        Ok(())
    }

    /// Tells those who listen of a change that is kept.
    pub(super) fn tell_listeners(&self, change: &Change) {
        self.events.publish(change);
    }

    /// Listens to what changes, from behind `since` if that is still known.
    ///
    /// # Errors
    /// [`Error::TooMany`] if too many listen.
    pub fn listen(&self, caller: &Caller, since: Option<Mark>) -> Result<Listener, Error> {
        let events = &self.events;
        let seat = events.listen(&caller.name).ok_or(Error::TooMany)?;
        let number = events.last.lock().count;
        let process = events.process;
        let known = since.filter(|it| it.process == process && it.number <= number);
        Ok(Listener {
            mark: known.unwrap_or(Mark { process, number }),
            lost: known.is_none(),
            count: events.count.subscribe(),
            changes: self.changes(),
            _seat: seat,
        })
    }

    /// The next thing that `caller` is to hear; `None` if there is nothing new. Whether they are
    /// still who they were is for who calls to ask, before.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn hear(
        &self,
        caller: &Caller,
        listener: &mut Listener,
    ) -> Result<Option<Heard>, Error> {
        if std::mem::take(&mut listener.lost) {
            return Ok(Some(Heard::Reset));
        }
        let mut visible = None;
        loop {
            let moved = self.events.last.lock().after(listener.mark.number);
            let Ok(moved) = moved else {
                listener.mark.number = self.events.last.lock().count;
                return Ok(Some(Heard::Reset));
            };
            let Some(moved) = moved else { return Ok(None) };
            if visible.is_none() {
                visible = self.visible(caller, false).await?.visible;
            }
            listener.mark.number += 1;
            if visible.as_ref().is_some_and(|it| moved.is_among(it)) {
                return self.shown(caller, &moved).await.map(Some);
            }
        }
    }

    /// A change as the lists show what it is of.
    async fn shown(&self, caller: &Caller, moved: &Moved) -> Result<Heard, Error> {
        Ok(match moved.clone() {
            Moved::Request(request) => {
                let powers = self.powers(caller).await?;
                Heard::Request(Box::new(RequestStatus {
                    may_decide: self.may_decide(&powers, &request),
                    request,
                    deciders: Vec::new(),
                    at: self.now(),
                }))
            }
            Moved::Session(session) => Heard::Session(Box::new(self.session_status(session))),
            Moved::Review(review) => Heard::Review(Box::new(review)),
        })
    }
}

fn new<T: Clone>(write: &Write<T>) -> T {
    match write {
        Write::New(value) | Write::Changed(value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{World, caller};
    use super::*;
    use crate::store::Store;

    async fn all(world: &World, who: &str, listener: &mut Listener) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(it) = world.control.hear(&caller(who), listener).await.unwrap() {
            heard.push(match it {
                Heard::Reset => "reset".to_owned(),
                Heard::Request(it) => format!(
                    "request {} {}{}",
                    it.request.state.name(),
                    it.request.version,
                    if it.may_decide { " to decide" } else { "" }
                ),
                Heard::Session(it) => format!("session {}", it.session.state.name()),
                Heard::Review(it) => format!("review {}", it.state.name()),
            });
        }
        heard
    }

    #[tokio::test]
    async fn each_hears_what_their_lists_show() {
        let world = World::new();
        let who = ["maya", "dana", "noor", "omar", "sam"];
        let mut listeners = who.map(|who| world.control.listen(&caller(who), None).unwrap());
        let session = world.session().await;
        let (maya, noor, dana) = (caller("maya"), caller("noor"), caller("dana"));
        let ended = world.control.revoke(&maya, session.id, "done");
        ended.await.unwrap();
        let broken = world.break_glass("noor").await;
        let ended = world.control.revoke(&noor, broken, "done");
        ended.await.unwrap();
        let closed = world.control.close_review(&dana, broken, "fine").await;
        closed.unwrap();
        let noors = [
            "request approved 1",
            "session active",
            "review open",
            "session revoked",
            "review closed",
        ];
        let expected: [Vec<&str>; 5] = [
            vec![
                "request pending 1",
                "request approved 2",
                "session active",
                "session revoked",
            ],
            [
                &[
                    "request pending 1 to decide",
                    "request approved 2",
                    "session active",
                    "session revoked",
                ][..],
                &noors,
            ]
            .concat(),
            noors.to_vec(),
            vec![],
            vec![],
        ];
        for ((who, listener), expected) in who.into_iter().zip(&mut listeners).zip(expected) {
            let heard = all(&world, who, listener).await;
            assert_eq!(heard[0], "reset", "{who}");
            // What waited when it was heard may be decided by now.
            let heard: Vec<_> = heard[1..].to_vec();
            assert_eq!(heard, expected, "{who}");
        }
    }

    #[tokio::test]
    async fn who_comes_back_hears_what_they_missed_and_who_is_too_late_is_told() {
        let world = World::new();
        let maya = caller("maya");
        let mut first = world.control.listen(&maya, None).unwrap();
        assert_eq!(all(&world, "maya", &mut first).await, ["reset"]);
        let mark = first.mark();
        let request = world.submit("maya").await;
        let mut again = world.control.listen(&maya, Some(mark)).unwrap();
        assert_eq!(all(&world, "maya", &mut again).await, ["request pending 1"]);

        let kept = world.store.request(request).await.unwrap().unwrap();
        for version in 2..KEPT as u64 + 3 {
            let moved = AccessRequest {
                version,
                ..kept.clone()
            };
            world.control.events.last.lock().add(Moved::Request(moved));
        }
        let mut late = world.control.listen(&maya, Some(mark)).unwrap();
        assert_eq!(all(&world, "maya", &mut late).await, ["reset"]);

        for stranger in [
            Mark { process: 1, ..mark },
            Mark {
                number: 1_000_000,
                ..mark
            },
        ] {
            let mut listener = world.control.listen(&maya, Some(stranger)).unwrap();
            assert_eq!(all(&world, "maya", &mut listener).await, ["reset"]);
        }
    }

    #[tokio::test]
    async fn nobody_hears_an_older_version_after_a_newer_one() {
        let world = World::new();
        let request = world.submit("maya").await;
        let kept = world.store.request(request).await.unwrap().unwrap();
        let version = |version| {
            let moved = AccessRequest {
                version,
                ..kept.clone()
            };
            Moved::Request(moved)
        };
        let mut last = Last::default();
        [1, 3, 2, 3]
            .map(version)
            .into_iter()
            .for_each(|it| last.add(it));
        let versions: Vec<u64> = last.moved.iter().map(|it| it.of().1).collect();
        assert_eq!(versions, [1, 3]);
    }

    #[tokio::test]
    async fn only_so_many_listen() {
        let world = World::new();
        let maya = caller("maya");
        let seats: Vec<_> = (0..OF_ONE)
            .map(|_| world.control.listen(&maya, None).unwrap())
            .collect();
        assert!(world.control.listen(&maya, None).is_err());
        assert!(world.control.listen(&caller("dana"), None).is_ok());
        drop(seats);
        assert!(world.control.listen(&maya, None).is_ok());
    }
}
