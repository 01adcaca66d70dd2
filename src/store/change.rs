//! Changes: values and the acts that they come from, kept together or not at all.

use rusqlite::{Connection, Transaction};

use super::{Act, MAX_PENDING, StoreError, queries, reviews, rows};
use crate::access::{AccessRequest, RequestKind, RequestState, Review, Session, SessionState};

/// A value to be kept.
#[derive(Debug, Clone)]
pub enum Write<T> {
    /// It is new.
    New(T),
    /// It takes the place of itself in the version before.
    Changed(T),
}

/// What is kept together with its acts, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A request.
    pub request: Option<Write<AccessRequest>>,
    /// A session.
    pub session: Option<Write<Session>>,
    /// A review.
    pub review: Option<Write<Review>>,
    /// What was done, in order.
    pub acts: Vec<Act>,
}

impl Change {
    /// A new request.
    pub fn submits(request: AccessRequest, act: Act) -> Self {
        Self {
            request: Some(Write::New(request)),
            acts: vec![act],
            ..Self::default()
        }
    }

    /// A request that moves.
    pub fn moves(request: AccessRequest, act: Act) -> Self {
        Self {
            request: Some(Write::Changed(request)),
            acts: vec![act],
            ..Self::default()
        }
    }

    /// A session that moves.
    pub fn moves_session(session: Session, act: Act) -> Self {
        Self {
            session: Some(Write::Changed(session)),
            acts: vec![act],
            ..Self::default()
        }
    }
}

/// Writes all of a change.
pub(super) fn write(transaction: &Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    match &change.request {
        Some(Write::New(request)) => submit(transaction, request)?,
        Some(Write::Changed(request)) => move_request(transaction, request)?,
        None => {}
    }
    match &change.session {
        Some(Write::New(session)) => grant(transaction, session, is_urgent(change))?,
        Some(Write::Changed(session)) => move_session(transaction, session)?,
        None => {}
    }
    match &change.review {
        Some(Write::New(review)) => reviews::insert(transaction, review)?,
        Some(Write::Changed(review)) => reviews::update(transaction, review)?,
        None => {}
    }
    let mut acts = change.acts.iter();
    acts.try_for_each(|act| rows::insert_act(transaction, act))
}

/// Keeps a new request, unless too many of its requester's wait.
fn submit(connection: &Connection, request: &AccessRequest) -> Result<(), StoreError> {
    let waits = request.state == RequestState::Pending;
    if waits && queries::pending_of(connection, &request.requester)? >= MAX_PENDING {
        return Err(StoreError::TooManyPending(request.requester.clone()));
    }
    rows::insert_request(connection, request)
}

fn move_request(connection: &Connection, request: &AccessRequest) -> Result<(), StoreError> {
    if rows::update_request(connection, request)? {
        return Ok(());
    }
    let now = queries::request(connection, request.id)?;
    Err(conflict(now.map(|now| now.state.name())))
}

fn move_session(connection: &Connection, session: &Session) -> Result<(), StoreError> {
    if session.state == SessionState::Active {
        alone(queries::ahead(connection, session)?)?;
    }
    if rows::update_session(connection, session)? {
        return Ok(());
    }
    let now = queries::session(connection, session.id)?;
    Err(conflict(now.map(|now| now.state.name())))
}

/// What to say of a value that is not in the version that a change starts from.
pub(super) fn conflict(now: Option<&'static str>) -> StoreError {
    now.map_or(StoreError::Missing, |state| {
        StoreError::Conflict(state.to_owned())
    })
}

/// Keeps a new session, unless its holder has one for the target that it cannot be beside.
fn grant(connection: &Connection, session: &Session, urgent: bool) -> Result<(), StoreError> {
    // Of those that are active the unique index says the same; the look before gives the better error.
    alone(queries::beside(connection, session, urgent)?)?;
    rows::insert_session(connection, session)
}

/// What is planned is no obstacle in an emergency; it waits until that is over.
fn is_urgent(change: &Change) -> bool {
    let (Some(Write::New(request)) | Some(Write::Changed(request))) = &change.request else {
        return false;
    };
    request.kind == RequestKind::BreakGlass
}

fn alone(other: Option<Session>) -> Result<(), StoreError> {
    other.map_or(Ok(()), |live| Err(StoreError::LiveSession(Box::new(live))))
}
