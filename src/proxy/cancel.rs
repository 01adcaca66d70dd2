//! CancelRequests: a client knows the upstream's process id and a secret of ours; the upstream's
//! secret stays here (manual section 55.2.9).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::time::Instant;

use super::dial::Dial;
use super::targets::ProxyTarget;
use super::{Proxy, upstream};
use crate::audit::{Event, Origin};
use crate::pg::startup::CancelKey;
use crate::secret::{self, constant_time_eq};

/// Wrong secrets of 4 bytes that one address may try per [`WINDOW`]: 2^32 of them take 13 years.
/// Longer secrets cannot be guessed.
const GUESSES: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);
/// Addresses that are remembered before the old ones are dropped.
const MAX_GUESSERS: usize = 10_000;

/// The connections that a CancelRequest can name, by the upstream's process id: two upstreams may
/// use the same one.
#[derive(Default)]
pub struct Cancels {
    by_process: DashMap<i32, Vec<Arc<Cancellable>>>,
    guesses: DashMap<IpAddr, (Instant, u32)>,
}

/// A connection whose statement can be cancelled.
pub(super) struct Cancellable {
    /// Ours, as the client was told it.
    secret: Bytes,
    /// The upstream's.
    upstream: CancelKey,
    target: Arc<ProxyTarget>,
    origin: Arc<Origin>,
    /// A cancel is on its way: another one would say nothing new.
    under_way: AtomicBool,
}

/// Keeps a connection cancellable while it lives.
pub(super) struct Registration<'a> {
    cancels: &'a Cancels,
    entry: Arc<Cancellable>,
}

/// Why a CancelRequest is not acted on. The sender learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignored {
    Unknown,
    Limited,
}

impl Cancels {
    /// Makes a connection cancellable by a new secret: 32 bytes, or the 4 that protocol 3.0 has.
    pub(super) fn register(
        &self,
        upstream: CancelKey,
        target: Arc<ProxyTarget>,
        origin: Arc<Origin>,
        long: bool,
    ) -> Registration<'_> {
        let random: [u8; 32] = secret::random();
        let secret = Bytes::copy_from_slice(if long { &random } else { &random[..4] });
        let entry = Arc::new(Cancellable {
            secret,
            upstream,
            target,
            origin,
            under_way: AtomicBool::new(false),
        });
        self.by_process
            .entry(entry.upstream.process_id)
            .or_default()
            .push(Arc::clone(&entry));
        Registration {
            cancels: self,
            entry,
        }
    }

    fn find(&self, key: &CancelKey, from: IpAddr) -> Result<Arc<Cancellable>, Ignored> {
        if key.secret.len() <= 4 && self.has_guessed_enough(from) {
            return Err(Ignored::Limited);
        }
        let named = self.by_process.get(&key.process_id);
        let found = named.and_then(|named| {
            let right = |entry: &&Arc<Cancellable>| constant_time_eq(&entry.secret, &key.secret);
            named.iter().find(right).cloned()
        });
        found.ok_or_else(|| {
            self.guessed(from);
            Ignored::Unknown
        })
    }

    fn has_guessed_enough(&self, from: IpAddr) -> bool {
        let now = Instant::now();
        self.guesses
            .remove_if(&from, |_, (since, _)| now.duration_since(*since) >= WINDOW);
        self.guesses
            .get(&from)
            .is_some_and(|guesses| guesses.1 >= GUESSES)
    }

    fn guessed(&self, from: IpAddr) {
        let now = Instant::now();
        if self.guesses.len() >= MAX_GUESSERS {
            self.guesses
                .retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        self.guesses.entry(from).or_insert((now, 0)).1 += 1;
    }
}

impl Registration<'_> {
    /// What the client is told.
    pub(super) fn key(&self) -> CancelKey {
        CancelKey {
            process_id: self.entry.upstream.process_id,
            secret: self.entry.secret.clone(),
        }
    }

    /// What the upstream wants to hear.
    pub(super) fn upstream_key(&self) -> &CancelKey {
        &self.entry.upstream
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let process_id = self.entry.upstream.process_id;
        if let Some(mut named) = self.cancels.by_process.get_mut(&process_id) {
            named.retain(|entry| !Arc::ptr_eq(entry, &self.entry));
        }
        self.cancels
            .by_process
            .remove_if(&process_id, |_, named| named.is_empty());
    }
}

/// Acts on a CancelRequest: records it, then passes it on. Its sender gets no answer, ever, and
/// may have gone already.
pub(super) async fn cancel<D: Dial>(proxy: &Proxy<D>, key: &CancelKey, peer: SocketAddr) {
    let outcome = match proxy.cancels.find(key, peer.ip()) {
        Ok(entry) if entry.under_way.swap(true, Ordering::AcqRel) => "under_way",
        Ok(entry) => {
            let outcome = forward(proxy, &entry, peer).await;
            entry.under_way.store(false, Ordering::Release);
            outcome
        }
        Err(Ignored::Unknown) => "unknown",
        Err(Ignored::Limited) => "limited",
    };
    proxy.metrics.cancel(outcome);
}

async fn forward<D: Dial>(proxy: &Proxy<D>, entry: &Cancellable, peer: SocketAddr) -> &'static str {
    let event = Event::CancelRequested {
        origin: Arc::clone(&entry.origin),
        peer: peer.to_string(),
    };
    if proxy.recorder.record(&event).await.is_err() {
        return "failed";
    }
    let endpoint = &entry.target.endpoint;
    let timeout = proxy.settings.connect_timeout;
    match upstream::cancel(&proxy.dialer, endpoint, &entry.upstream, timeout).await {
        Ok(()) => "forwarded",
        Err(error) => {
            tracing::warn!(target = %entry.target.target.name, %error, "forwarding a cancel");
            "failed"
        }
    }
}
