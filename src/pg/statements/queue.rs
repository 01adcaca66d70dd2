//! The replies that the upstream owes, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Copied, Definition, Portal};

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
    /// `ReadyForQuery`, unless the upstream reads it while it takes CopyData: then nothing
    Sync,
    /// Nothing; the client's CopyData ended here, and this is what it was.
    CopyEnd(Copied),
}

/// What is owed.
#[derive(Debug, Default)]
pub(super) struct Queue {
    expected: VecDeque<Expected>,
    copy_ends: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// How many replies that is: the ends of CopyData are answered by none.
    pub(super) fn replies(&self) -> usize {
        self.expected.len() - self.copy_ends
    }

    pub(super) fn push(&mut self, expected: Expected) {
        if let Expected::CopyEnd(_) = &expected {
            // A second end says nothing, and neither does one with nothing before it.
            if matches!(self.expected.back(), None | Some(Expected::CopyEnd(_))) {
                return;
            }
            self.copy_ends += 1;
        }
        self.expected.push_back(expected);
    }

    pub(super) fn pop(&mut self) -> Option<Expected> {
        let popped = self.expected.pop_front();
        self.copy_ends -= usize::from(matches!(popped, Some(Expected::CopyEnd(_))));
        if self.expected.is_empty() {
            // A long pipeline must not leave its room behind for ever.
            self.expected.shrink_to(64);
        }
        popped
    }

    pub(super) fn pop_if(&mut self, is: impl FnOnce(&Expected) -> bool) -> Option<Expected> {
        self.front().is_some_and(is).then(|| self.pop()).flatten()
    }

    /// What the next reply belongs to. The end of a COPY stands behind its statement until that is
    /// answered; one at the front has none, and the upstream ignores it.
    pub(super) fn front(&mut self) -> Option<&Expected> {
        while matches!(self.expected.front(), Some(Expected::CopyEnd(_))) {
            self.pop();
        }
        self.expected.front()
    }

    /// Whether only `Sync`s are left.
    pub(super) fn only_syncs(&self) -> bool {
        let is_sync = |it: &Expected| matches!(it, Expected::Sync | Expected::CopyEnd(_));
        self.expected.iter().all(is_sync)
    }

    /// The first statement's COPY is over: takes what the client sent for it, if it is all there.
    /// `Sync`s before its end were ignored, if it ended well.
    pub(super) fn end_copy_in(&mut self, well: bool) -> Option<Copied> {
        self.front();
        let end = self
            .expected
            .iter()
            .skip(1)
            .position(|it| !matches!(it, Expected::Sync))?
            + 1;
        let Some(Expected::CopyEnd(copied)) = self.expected.get(end) else {
            return None;
        };
        let copied = *copied;
        self.copy_ends -= 1;
        if well {
            self.expected.drain(1..=end);
        } else {
            self.expected.remove(end);
        }
        Some(copied)
    }
}
