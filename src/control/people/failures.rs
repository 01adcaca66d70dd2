//! Keeps guesses from filling the audit: of one address so many in a while are recorded each for
//! itself, and the rest as a number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::access::{PrincipalName, TokenOrigin};
use crate::audit::Event;

/// Failures of one address that are recorded each for itself, per [`WINDOW`].
const EACH: u64 = 20;
const WINDOW: SignedDuration = SignedDuration::from_secs(10);

/// Counts failures by address.
#[derive(Default)]
pub(in super::super) struct Failures(Mutex<HashMap<IpAddr, Window>>);

struct Window {
    since: Timestamp,
    count: u64,
}

impl Failures {
    /// Counts one; whether it is recorded for itself.
    pub(super) fn count(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let mut windows = self.0.lock();
        let window = windows.entry(known(address)).or_insert(Window {
            since: now,
            count: 0,
        });
        window.count += 1;
        window.count <= EACH
    }

    /// For each address whose while is over, how many there were beyond those.
    pub(in super::super) fn over(&self, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        self.0.lock().retain(|address, window| {
            let over = now.duration_since(window.since).abs() >= WINDOW;
            if over && window.count > EACH {
                events.push(Event::SignInsFailed {
                    peer: address.to_string(),
                    count: window.count - EACH,
                });
            }
            !over
        });
        events
    }
}

/// Calls that came by no socket share one.
fn known(address: Option<IpAddr>) -> IpAddr {
    address.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
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
}
