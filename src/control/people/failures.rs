//! Keeps guesses from filling the audit: so many of one network in a while, and of all together, are
//! recorded each for itself, and the rest as a number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::guesses::network;
use crate::access::{PrincipalName, TokenOrigin};
use crate::audit::Event;

/// Failures of one network that are recorded each for itself, per [`WINDOW`].
const EACH: u64 = 20;
/// Those of all networks.
const ALL: u64 = 200;
/// Networks that are told apart, per [`WINDOW`]. Each may come to one record.
const NETWORKS: usize = 100;
const WINDOW: SignedDuration = SignedDuration::from_secs(10);
/// Whose number is told where networks are not told apart.
const OTHERS: &str = "others";

/// Counts failures by network.
#[derive(Default)]
pub(in super::super) struct Failures(Mutex<Option<Window>>);

/// A while, and the failures in it.
struct Window {
    since: Timestamp,
    /// Those of all that were recorded each for itself.
    recorded: u64,
    networks: HashMap<IpAddr, Count>,
    /// Those of networks for which there was no place, which are not recorded.
    others: u64,
}

#[derive(Default)]
struct Count {
    all: u64,
    recorded: u64,
}

impl Failures {
    /// Counts one; whether it is recorded for itself.
    pub(super) fn count(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let mut window = self.0.lock();
        let window = window.get_or_insert_with(|| Window::new(now));
        window.count(known(address))
    }

    /// Once the while is over: for each network how many there were that were not recorded.
    pub(in super::super) fn over(&self, now: Timestamp) -> Vec<Event> {
        let mut window = self.0.lock();
        let is_over = |it: &mut Window| now.duration_since(it.since).abs() >= WINDOW;
        window.take_if(is_over).map_or_else(Vec::new, Window::told)
    }
}

impl Window {
    fn new(since: Timestamp) -> Self {
        Self {
            since,
            recorded: 0,
            networks: HashMap::new(),
            others: 0,
        }
    }

    fn count(&mut self, network: IpAddr) -> bool {
        if self.networks.len() >= NETWORKS && !self.networks.contains_key(&network) {
            self.others += 1;
            return false;
        }
        let theirs = self.networks.entry(network).or_default();
        theirs.all += 1;
        let is_recorded = theirs.recorded < EACH && self.recorded < ALL;
        theirs.recorded += u64::from(is_recorded);
        self.recorded += u64::from(is_recorded);
        is_recorded
    }

    fn told(self) -> Vec<Event> {
        let networks = self.networks.into_iter();
        let numbers = networks.map(|(network, it)| (network.to_string(), it.all - it.recorded));
        numbers
            .chain([(OTHERS.to_owned(), self.others)])
            .filter(|(_, count)| *count > 0)
            .map(|(peer, count)| Event::SignInsFailed { peer, count })
            .collect()
    }
}

/// Calls that came by no socket share one.
fn known(address: Option<IpAddr>) -> IpAddr {
    network(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))
}

/// Why somebody did not get in; for the audit, never for them.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) principal: Option<PrincipalName>,
    pub(super) how: TokenOrigin,
    pub(super) reason: &'static str,
}

impl Failure {
    pub(super) fn event(self, address: Option<IpAddr>) -> Event {
        Event::SignInFailed {
            principal: self.principal,
            how: self.how,
            reason: self.reason.to_owned(),
            peer: address.map(|it| it.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_one_address_are_recorded_each_for_itself() {
        let failures = Failures::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        assert!((0..EACH).all(|_| failures.count(Some(one), at(0))));
        assert!(!failures.count(Some(one), at(1)));
        assert!(!failures.count(Some(one), at(1)));
        assert!(failures.count(Some(other), at(1)));
        assert_eq!(failures.over(at(5)), []);
        let told = failures.over(at(12));
        let expected = Event::SignInsFailed {
            peer: one.to_string(),
            count: 2,
        };
        assert_eq!(told, [expected]);
        assert!(failures.count(Some(one), at(12)));
    }

    #[test]
    fn strangers_with_many_addresses_cannot_fill_the_audit() {
        let failures = Failures::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let host = |n: u128| Some(IpAddr::from(std::net::Ipv6Addr::from(n)));
        // One host has a whole /64.
        let recorded = (0..1000)
            .filter(|n| failures.count(host(*n), at(0)))
            .count();
        assert_eq!(recorded as u64, EACH);
        let recorded = (1..5000).filter(|n| failures.count(host(n << 64), at(0)));
        assert!(recorded.count() as u64 <= ALL - EACH);
        let window = failures.0.lock().as_ref().unwrap().networks.len();
        assert_eq!(window, NETWORKS);
        let told = failures.over(at(10));
        assert!(told.len() <= NETWORKS + 1, "{}", told.len());
        let counts = told.iter().map(|event| match event {
            Event::SignInsFailed { count, .. } => *count,
            other => panic!("{other:?}"),
        });
        let one_by_one = EACH + (NETWORKS as u64 - 1);
        assert_eq!(counts.sum::<u64>() + one_by_one, 5999, "each is counted");
    }
}
