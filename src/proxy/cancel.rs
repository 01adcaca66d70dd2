//! CancelRequests: a client knows the upstream's process id and a secret of ours; the upstream's
//! secret stays here (manual section 55.2.9).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::dial::Dial;
use super::targets::ProxyTarget;
use super::{Proxy, upstream};
use crate::audit::{Event, Origin};
use crate::pg::startup::CancelKey;
use crate::secret::{self, constant_time_eq};

/// Wrong secrets that one connection's process id may be tried with per [`WINDOW`]. Enough for
/// chance, and 2^32 secrets take 13 years.
const GUESSES: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// The connections that a CancelRequest can name, by the upstream's process id: two upstreams may
/// use the same one.
#[derive(Default)]
pub struct Cancels(DashMap<i32, Vec<Arc<Cancellable>>>);

/// A connection whose statement can be cancelled.
pub(super) struct Cancellable {
    /// Ours, as the client was told it.
    secret: Bytes,
    /// The upstream's.
    upstream: CancelKey,
    target: Arc<ProxyTarget>,
    origin: Arc<Origin>,
    guesses: Mutex<(Instant, u32)>,
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
            guesses: Mutex::new((Instant::now(), 0)),
        });
        self.0
            .entry(entry.upstream.process_id)
            .or_default()
            .push(Arc::clone(&entry));
        Registration {
            cancels: self,
            entry,
        }
    }

    fn find(&self, key: &CancelKey) -> Result<Arc<Cancellable>, Ignored> {
        let named = self.0.get(&key.process_id).ok_or(Ignored::Unknown)?;
        let mut found = Err(Ignored::Unknown);
        for entry in named.iter() {
            match entry.try_secret(&key.secret) {
                Ok(true) => found = Ok(Arc::clone(entry)),
                Ok(false) => {}
                Err(ignored) if found.is_err() => found = Err(ignored),
                Err(_) => {}
            }
        }
        found
    }
}

impl Cancellable {
    fn try_secret(&self, secret: &[u8]) -> Result<bool, Ignored> {
        let mut guesses = self.guesses.lock();
        let now = Instant::now();
        if now.saturating_duration_since(guesses.0) >= WINDOW {
            *guesses = (now, 0);
        }
        if guesses.1 >= GUESSES {
            return Err(Ignored::Limited);
        }
        let right = constant_time_eq(&self.secret, secret);
        if !right {
            guesses.1 += 1;
        }
        Ok(right)
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
        if let Some(mut named) = self.cancels.0.get_mut(&process_id) {
            named.retain(|entry| !Arc::ptr_eq(entry, &self.entry));
        }
        self.cancels
            .0
            .remove_if(&process_id, |_, named| named.is_empty());
    }
}

/// Acts on a CancelRequest: records it, then passes it on. Its sender gets no answer, ever, and
/// may have gone already.
pub(super) async fn cancel<D: Dial>(proxy: &Proxy<D>, key: &CancelKey, peer: SocketAddr) {
    let outcome = match proxy.cancels.find(key) {
        Ok(entry) => forward(proxy, &entry, peer).await,
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
