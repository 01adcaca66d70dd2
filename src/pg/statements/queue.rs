//! The replies that the upstream owes, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Definition, Portal};

/// A statement that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) statement: u64,
    pub(super) started: Instant,
}

impl Running {
    pub(super) fn new(statement: u64, started: Instant) -> Self {
        Self { statement, started }
    }
}

/// What a request should produce.
#[derive(Debug)]
pub(super) enum Expected {
    /// `ParseComplete`
    Parse(Arc<Definition>),
    /// `BindComplete`
    Bind(Arc<Portal>),
    /// `RowDescription` or `NoData`
    Describe,
    /// `CloseComplete`
    CloseStatement(Bytes),
    /// `CloseComplete`
    ClosePortal(Bytes),
    /// `CommandComplete`, `EmptyQueryResponse` or `PortalSuspended`
    Execute(Running),
    /// Any number of results, then `ReadyForQuery`
    Simple(Running),
    /// `FunctionCallResponse`, then `ReadyForQuery`
    FunctionCall(Running),
    /// `ReadyForQuery`
    Sync,
    /// Nothing; marks where the client's CopyData ended.
    CopyEnd,
}

/// What is owed.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Expected>);

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, expected: Expected) {
        self.0.push_back(expected);
    }

    pub(super) fn pop(&mut self) -> Option<Expected> {
        let popped = self.0.pop_front();
        if self.0.is_empty() {
            // A long pipeline must not leave its room behind for ever.
            self.0.shrink_to(64);
        }
        popped
    }

    pub(super) fn pop_if(&mut self, is: impl FnOnce(&Expected) -> bool) -> Option<Expected> {
        self.front().is_some_and(is).then(|| self.pop()).flatten()
    }

    /// What the next reply belongs to.
    pub(super) fn front(&mut self) -> Option<&Expected> {
        while matches!(self.0.front(), Some(Expected::CopyEnd)) {
            self.0.pop_front();
        }
        self.0.front()
    }

    /// The upstream has begun to take CopyData for the first entry, and ignores every Sync that it
    /// reads before the client's CopyDone. Returns whether that CopyDone is still to come.
    pub(super) fn begin_copy_in(&mut self) -> bool {
        let end = self
            .0
            .iter()
            .position(|expected| matches!(expected, Expected::CopyEnd));
        let copied = end.unwrap_or(self.0.len());
        let mut at = 0;
        self.0.retain(|expected| {
            let ignored = at < copied && matches!(expected, Expected::Sync);
            let marker = Some(at) == end;
            at += 1;
            !ignored && !marker
        });
        end.is_none()
    }
}
