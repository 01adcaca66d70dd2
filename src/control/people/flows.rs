//! Sign-ins with a provider that have begun and not ended, each known by a secret of whoever began.
//!
//! Anybody may begin one, so places are bounded, of one address and in all, and taken before anything
//! is done for it. Nobody is turned away: whoever holds the most loses their oldest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::guesses::network;
use crate::identity::{Browser, OidcError, Vouched};
use crate::secret::{Secret, constant_time_eq, hex, random, sha256};

/// How long a sign-in may take.
const LONGEST: Duration = Duration::from_secs(900);
/// Sign-ins that may have begun and not ended.
const FLOWS: usize = 200;
/// Those of one address.
const OF_ADDRESS: usize = 10;

/// What the provider says of somebody on another device, once they have agreed there. Nobody asks
/// it any more when this is dropped.
pub(super) type Awaited = AbortOnDropHandle<Result<Vouched, OidcError>>;

/// A sign-in on another device; `None` once it has ended.
pub(super) type Device = Arc<tokio::sync::Mutex<Option<Awaited>>>;

/// A sign-in that has begun.
pub(super) enum Flow {
    /// The provider is being asked.
    Beginning,
    /// In a browser.
    Browser(Box<Browser>),
    /// On another device.
    Device(Device),
}

struct Begun {
    at: Instant,
    from: IpAddr,
    flow: Flow,
}

impl Begun {
    fn goes_on(&self) -> bool {
        self.at.elapsed() < LONGEST
    }
}

/// Sign-ins that have begun.
#[derive(Default)]
pub(in super::super) struct Flows(Mutex<HashMap<[u8; 32], Begun>>);

/// A place for a sign-in; free again if it is dropped.
pub(super) struct Place<'a> {
    flows: &'a Flows,
    secret: Secret,
}

impl Flows {
    /// Takes a place for a sign-in that somebody begins at `address`.
    pub(super) fn place(&self, address: Option<IpAddr>) -> Place<'_> {
        let from = network(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let secret = Secret::new(hex(&random::<32>()));
        let mut flows = self.0.lock();
        flows.retain(|_, begun| begun.goes_on());
        make_room(&mut flows, from);
        let begun = Begun {
            at: Instant::now(),
            from,
            flow: Flow::Beginning,
        };
        flows.insert(key(&secret), begun);
        Place {
            flows: self,
            secret,
        }
    }

    /// Takes one of a browser that came back with this `state`, which ends it whatever comes of it.
    /// With another it goes on: anybody can send a browser back.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn take_browser(
        &self,
        secret: &Secret,
        state: &str,
    ) -> Result<Box<Browser>, &'static str> {
        let mut flows = self.0.lock();
        let begun = match flows.entry(key(secret)) {
            Entry::Occupied(begun) if begun.get().goes_on() => begun,
            _ => return Err("it was not begun"),
        };
        match &begun.get().flow {
            Flow::Browser(browser) if !same(&browser.state, state) => Err("the state differs"),
            Flow::Browser(_) => match begun.remove().flow {
                Flow::Browser(browser) => Ok(browser),
                _ => Err("it was not begun"),
            },
            _ => Err("it was not begun"),
        }
    }

    /// One on another device.
    pub(super) fn device(&self, secret: &Secret) -> Option<Device> {
        let flows = self.0.lock();
        match flows.get(&key(secret)) {
            Some(begun) if begun.goes_on() => match &begun.flow {
                Flow::Device(device) => Some(Arc::clone(device)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn forget(&self, secret: &Secret) {
        self.0.lock().remove(&key(secret));
    }
}

impl Place<'_> {
    /// Keeps what has begun, and gives the secret by which it is known. `None` if others have taken
    /// the place meanwhile; then `begin` is not called.
    pub(super) fn keep(self, begin: impl FnOnce() -> Flow) -> Option<Secret> {
        let mut flows = self.flows.0.lock();
        let begun = flows.get_mut(&key(&self.secret))?;
        begun.flow = begin();
        Some(self.secret.clone())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut flows = self.flows.0.lock();
        let key = key(&self.secret);
        let unused = |begun: &Begun| matches!(begun.flow, Flow::Beginning);
        if flows.get(&key).is_some_and(unused) {
            flows.remove(&key);
        }
    }
}

/// Ends the oldest sign-in of an address that has as many as it may have, or, if there are too
/// many in all, of the one that has the most.
fn make_room(flows: &mut HashMap<[u8; 32], Begun>, from: IpAddr) {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for begun in flows.values() {
        *counts.entry(begun.from).or_default() += 1;
    }
    let greedy = match counts.get(&from) {
        Some(count) if *count >= OF_ADDRESS => Some(from),
        _ if flows.len() < FLOWS => None,
        _ => greediest(flows, &counts),
    };
    let theirs = flows.iter().filter(|(_, it)| Some(it.from) == greedy);
    let oldest = theirs.min_by_key(|(_, it)| it.at).map(|(key, _)| *key);
    oldest.map(|key| flows.remove(&key));
}

/// The network with the most sign-ins; of several, the one in the neighbourhood with the most, then
/// the one that began the newest: those who have waited longest are the least likely to crowd.
fn greediest(flows: &HashMap<[u8; 32], Begun>, counts: &HashMap<IpAddr, usize>) -> Option<IpAddr> {
    let mut around: HashMap<IpAddr, usize> = HashMap::new();
    for begun in flows.values() {
        *around.entry(neighbourhood(begun.from)).or_default() += 1;
    }
    let rank = |begun: &&Begun| {
        let near = around.get(&neighbourhood(begun.from));
        (counts.get(&begun.from), near, begun.at)
    };
    flows.values().max_by_key(rank).map(|begun| begun.from)
}

/// What is often one owner's: a /24 of IPv4, a /48 of IPv6.
fn neighbourhood(network: IpAddr) -> IpAddr {
    match network {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & !0xFF).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 80 << 80).into(),
    }
}

fn same(state: &Secret, given: &str) -> bool {
    constant_time_eq(state.expose().as_bytes(), given.as_bytes())
}

/// Secrets are looked up by their hash, so that the time it takes tells nothing of them.
fn key(secret: &Secret) -> [u8; 32] {
    sha256(secret.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u16) -> Option<IpAddr> {
        Some(Ipv4Addr::from(0xC633_0000 + u32::from(last)).into())
    }

    fn device() -> Flow {
        let task = tokio::spawn(std::future::pending());
        let awaited = AbortOnDropHandle::new(task);
        Flow::Device(Arc::new(tokio::sync::Mutex::new(Some(awaited))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_who_begins_many_only_loses_their_own() {
        let flows = Flows::default();
        let honest = flows.place(address(1)).keep(device).unwrap();
        let mut first = None;
        for _ in 0..3 * FLOWS {
            tokio::time::advance(Duration::from_millis(1)).await;
            let secret = flows.place(address(2)).keep(device).unwrap();
            first.get_or_insert(secret);
        }
        assert!(flows.device(&honest).is_some());
        assert!(flows.device(&first.unwrap()).is_none());
        assert_eq!(flows.0.lock().len(), 1 + OF_ADDRESS);
        // From many addresses, too: who has the most makes room.
        for stranger in 3..100 {
            for _ in 0..OF_ADDRESS {
                tokio::time::advance(Duration::from_millis(1)).await;
                flows.place(address(stranger)).keep(device).unwrap();
            }
        }
        assert!(flows.device(&honest).is_some());
        assert_eq!(flows.0.lock().len(), FLOWS);
    }

    #[tokio::test(start_paused = true)]
    async fn among_addresses_with_one_each_the_crowd_makes_room() {
        let flows = Flows::default();
        let honest = flows.place(address(1)).keep(device).unwrap();
        for stranger in 0..3 * FLOWS as u128 {
            tokio::time::advance(Duration::from_millis(1)).await;
            // Each from a /64 of its own, of one /48.
            let from = Ipv6Addr::from((0x2001_0db8_u128 << 96) | (stranger << 64));
            flows.place(Some(from.into())).keep(device).unwrap();
        }
        assert!(flows.device(&honest).is_some());
        assert_eq!(flows.0.lock().len(), FLOWS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_before_anything_begins_and_free_again_if_nothing_does() {
        let flows = Flows::default();
        let place = flows.place(address(1));
        for _ in 0..OF_ADDRESS {
            tokio::time::advance(Duration::from_millis(1)).await;
            flows.place(address(1)).keep(device).unwrap();
        }
        let kept = place.keep(|| unreachable!("nobody asks the provider for it"));
        assert!(kept.is_none());
        let before = flows.0.lock().len();
        drop(flows.place(address(2)));
        assert_eq!(flows.0.lock().len(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_the_provider_for_a_sign_in_that_made_room() {
        let flows = Flows::default();
        let secret = flows.place(address(1)).keep(device).unwrap();
        let device = flows.device(&secret).unwrap();
        let poller = device.lock().await.as_ref().unwrap().abort_handle();
        drop(device);
        flows.forget(&secret);
        tokio::task::yield_now().await;
        assert!(poller.is_finished());
    }
}
