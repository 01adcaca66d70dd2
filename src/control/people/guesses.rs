//! Bounds how often one address may guess a token, or a password, whichever way it comes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong tokens that an address may send at once.
const BURST: u32 = 30;
/// How long it takes until one more is allowed.
const REFILL: Duration = Duration::from_secs(1);
/// Addresses that are remembered; beyond, the most forgiven one makes room.
const ADDRESSES: usize = 4096;

/// Counts wrong guesses by address. Nothing is counted while they are right.
#[derive(Default)]
pub struct Guesses {
    /// When all guesses of an address will be forgiven.
    forgiven: Mutex<HashMap<IpAddr, Instant>>,
}

impl Guesses {
    /// How long `peer` must wait before its next guess is looked at; `None`: it need not.
    pub fn wait(&self, peer: IpAddr) -> Option<Duration> {
        let forgiven = *self.forgiven.lock().get(&network(peer))?;
        let debt = forgiven.saturating_duration_since(Instant::now());
        debt.checked_sub(REFILL * (BURST - 1))
            .filter(|wait| !wait.is_zero())
    }

    /// Takes one wrong guess of `peer` back.
    pub fn right(&self, peer: IpAddr) {
        if let Some(until) = self.forgiven.lock().get_mut(&network(peer)) {
            *until = until.checked_sub(REFILL).unwrap_or(*until);
        }
    }

    /// Notes that `peer` guessed wrong.
    pub fn wrong(&self, peer: IpAddr) {
        let now = Instant::now();
        let mut forgiven = self.forgiven.lock();
        if forgiven.len() >= ADDRESSES {
            make_room(&mut forgiven, now);
        }
        let until = forgiven.entry(network(peer)).or_insert(now);
        *until = (*until).max(now) + REFILL;
    }
}

fn make_room(forgiven: &mut HashMap<IpAddr, Instant>, now: Instant) {
    forgiven.retain(|_, until| *until > now);
    if forgiven.len() >= ADDRESSES
        && let Some(soonest) = forgiven
            .iter()
            .min_by_key(|(_, until)| **until)
            .map(|(peer, _)| *peer)
    {
        forgiven.remove(&soonest);
    }
}

/// An IPv6 host has its whole /64 to dial from.
pub(super) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(prefix).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn guesses_are_bounded_and_forgiven_with_time() {
        let guesses = Guesses::default();
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..BURST {
            assert_eq!(guesses.wait(peer), None);
            guesses.wrong(peer);
        }
        assert!(guesses.wait(peer).is_some());
        assert_eq!(guesses.wait("192.0.2.2".parse().unwrap()), None);
        tokio::time::advance(REFILL).await;
        assert_eq!(guesses.wait(peer), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_cannot_hide_in_its_own_network_nor_exhaust_the_memory() {
        let guesses = Guesses::default();
        for host in 0..u32::from(u16::MAX) {
            guesses.wrong(Ipv6Addr::from(u128::from(host)).into());
        }
        assert!(guesses.wait("::1:2:3:4".parse().unwrap()).is_some());
        for host in 0..2 * ADDRESSES as u32 {
            guesses.wrong(std::net::Ipv4Addr::from(host).into());
        }
        assert!(guesses.forgiven.lock().len() <= ADDRESSES);
    }
}
