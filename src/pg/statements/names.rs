//! What names stand for at the upstream, as far as it has confirmed it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes of names and texts, or of parameters, that one connection may keep. What does not fit is
/// recorded at once and forgotten: its name still leads to the record.
const BUDGET: usize = 1024 * 1024;
/// What an entry costs beside what it holds.
const OVERHEAD: usize = 128;

/// The bytes of one kind that one connection keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// Some of a budget; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// Room for `bytes`, if there is.
    pub(super) fn lease(&self, bytes: usize) -> Option<Lease> {
        let bytes = bytes.saturating_add(OVERHEAD);
        let held = self.0.load(Ordering::Relaxed);
        if held.saturating_add(bytes) > BUDGET {
            return None;
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Some(Lease {
            budget: self.clone(),
            bytes,
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A change that the upstream has not confirmed yet.
#[derive(Debug)]
struct Pending<D> {
    group: u64,
    /// What the name will stand for; `None`: nothing that is known.
    value: Option<Arc<D>>,
}

#[derive(Debug)]
struct Entry<D> {
    confirmed: Option<Arc<D>>,
    pending: VecDeque<Pending<D>>,
}

impl<D> Default for Entry<D> {
    fn default() -> Self {
        Self {
            confirmed: None,
            pending: VecDeque::new(),
        }
    }
}

/// Names of one kind (prepared statements, or portals). The empty name is the unnamed one.
#[derive(Debug)]
pub(super) struct Names<D> {
    unnamed: Entry<D>,
    named: HashMap<Bytes, Entry<D>>,
}

impl<D> Default for Names<D> {
    fn default() -> Self {
        Self {
            unnamed: Entry::default(),
            named: HashMap::new(),
        }
    }
}

impl<D> Names<D> {
    /// What `name` stands for, for a message of `group`: a change of the same group counts, as
    /// either both are run or neither is. One of an earlier group that is not confirmed yet leaves
    /// it in doubt, and in doubt the answer is `None`.
    pub(super) fn resolve(&self, name: &Bytes, group: u64) -> Option<Arc<D>> {
        let entry = self.entry(name)?;
        match entry.pending.back() {
            Some(pending) if pending.group == group => pending.value.clone(),
            Some(_) => None,
            None => entry.confirmed.clone(),
        }
    }

    /// Notes a change that `group` asks for. What a name outside ASCII stands for is never known:
    /// the server converts it from the client's encoding, which may change.
    pub(super) fn propose(&mut self, name: &Bytes, group: u64, value: Option<Arc<D>>) {
        let value = value.filter(|_| name.is_ascii());
        let entry = if name.is_empty() {
            &mut self.unnamed
        } else {
            self.named.entry(name.clone()).or_default()
        };
        entry.pending.push_back(Pending { group, value });
    }

    /// The upstream confirmed the oldest change of `name`.
    pub(super) fn confirm(&mut self, name: &Bytes) {
        if let Some(entry) = self.entry_mut(name)
            && let Some(pending) = entry.pending.pop_front()
        {
            entry.confirmed = pending.value;
        }
        self.tidy(name);
    }

    /// The upstream did not make the oldest change of `name`.
    pub(super) fn reject(&mut self, name: &Bytes) {
        if let Some(entry) = self.entry_mut(name) {
            entry.pending.pop_front();
        }
        self.tidy(name);
    }

    /// The unnamed one is gone, whatever becomes of changes under way.
    pub(super) fn forget_unnamed(&mut self) {
        self.unnamed.confirmed = None;
    }

    /// Nothing is known of any name any more, nor of what is on its way: SQL may change them.
    /// The unnamed one is out of SQL's reach.
    pub(super) fn forget_named(&mut self) {
        self.named.retain(|_, entry| {
            entry.confirmed = None;
            for pending in &mut entry.pending {
                pending.value = None;
            }
            !entry.pending.is_empty()
        });
        self.named.shrink_to(64);
    }

    /// Nothing that was confirmed is there any more.
    pub(super) fn forget_confirmed(&mut self) {
        self.unnamed.confirmed = None;
        self.named.retain(|_, entry| {
            entry.confirmed = None;
            !entry.pending.is_empty()
        });
    }

    /// Whether any name is known.
    pub(super) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    fn entry(&self, name: &Bytes) -> Option<&Entry<D>> {
        if name.is_empty() {
            Some(&self.unnamed)
        } else {
            self.named.get(name)
        }
    }

    fn entry_mut(&mut self, name: &Bytes) -> Option<&mut Entry<D>> {
        if name.is_empty() {
            Some(&mut self.unnamed)
        } else {
            self.named.get_mut(name)
        }
    }

    fn tidy(&mut self, name: &Bytes) {
        let empty = |entry: &Entry<D>| entry.confirmed.is_none() && entry.pending.is_empty();
        if !name.is_empty() && self.named.get(name).is_some_and(empty) {
            self.named.remove(name);
        }
    }
}
