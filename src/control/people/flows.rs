//! Sign-ins with a provider that have begun and not ended, each known by a secret of whoever began.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::identity::{Browser, OidcError, Vouched};
use crate::secret::{Secret, hex, random, sha256};

/// How long a sign-in may take.
const LONGEST: Duration = Duration::from_secs(900);
/// Sign-ins that may have begun and not ended.
const FLOWS: usize = 200;

/// What the provider says of somebody on another device, once they have agreed there.
pub(super) type Awaited = JoinHandle<Result<Vouched, OidcError>>;

/// A sign-in that has begun.
pub(super) enum Flow {
    /// In a browser.
    Browser(Box<Browser>),
    /// On another device; `None` while somebody waits for it, or did.
    Device(Arc<tokio::sync::Mutex<Option<Awaited>>>),
}

/// Sign-ins that have begun.
#[derive(Default)]
pub(in super::super) struct Flows(Mutex<HashMap<[u8; 32], (Instant, Flow)>>);

impl Flows {
    /// Keeps one, and gives the secret by which it is known. `None` if there are too many.
    pub(super) fn keep(&self, flow: Flow) -> Option<Secret> {
        let mut flows = self.0.lock();
        let now = Instant::now();
        flows.retain(|_, (until, _)| now < *until);
        if flows.len() >= FLOWS {
            return None;
        }
        let secret = Secret::new(hex(&random::<32>()));
        flows.insert(key(&secret), (now + LONGEST, flow));
        Some(secret)
    }

    /// Takes one of a browser, which ends it whatever comes of it.
    pub(super) fn take_browser(&self, secret: &Secret) -> Option<Box<Browser>> {
        let mut flows = self.0.lock();
        let key = key(secret);
        match flows.get(&key) {
            Some((until, Flow::Browser(_))) if Instant::now() < *until => {}
            _ => return None,
        }
        match flows.remove(&key) {
            Some((_, Flow::Browser(begun))) => Some(begun),
            _ => None,
        }
    }

    /// One on another device.
    pub(super) fn device(
        &self,
        secret: &Secret,
    ) -> Option<Arc<tokio::sync::Mutex<Option<Awaited>>>> {
        let flows = self.0.lock();
        match flows.get(&key(secret)) {
            Some((until, Flow::Device(awaited))) if Instant::now() < *until => {
                Some(Arc::clone(awaited))
            }
            _ => None,
        }
    }

    pub(super) fn forget(&self, secret: &Secret) {
        self.0.lock().remove(&key(secret));
    }
}

/// Secrets are looked up by their hash, so that the time it takes tells nothing of them.
fn key(secret: &Secret) -> [u8; 32] {
    sha256(secret.expose().as_bytes())
}
