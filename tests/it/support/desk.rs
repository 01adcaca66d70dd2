//! A desk where the test decides.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hallpass::access::{Caller, Principal, PrincipalKind, RequestId};
use hallpass::asking::{Ask, Asked, Declined, Desk, Verdict};
use hallpass::clock::Clock;
use hallpass::secret::Secret;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Knows everybody whose token is `NAME-token`, and takes every request.
pub struct Scripted {
    /// What was asked for, in order.
    pub asked: Mutex<Vec<Ask>>,
    verdict: watch::Sender<Option<Verdict>>,
    clock: Clock,
}

impl Scripted {
    /// Nothing is asked for, nothing is decided.
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            verdict: watch::Sender::new(None),
            clock,
        })
    }

    /// Decides on what was and will be asked for.
    pub fn decide(&self, verdict: Verdict) {
        self.verdict.send_replace(Some(verdict));
    }
}

#[async_trait]
impl Desk for Scripted {
    async fn identify(&self, name: &str, token: &Secret, address: IpAddr) -> Option<Caller> {
        let principal = Principal {
            name: name.parse().ok()?,
            groups: Vec::new(),
            kind: PrincipalKind::Person,
        };
        let caller = Caller {
            address: Some(address),
            ..Caller::new(principal)
        };
        (token.expose() == format!("{name}-token")).then_some(caller)
    }

    async fn ask(&self, _: &Caller, ask: &Ask) -> Result<Asked, Declined> {
        self.asked.lock().push(ask.clone());
        Ok(Asked {
            request: RequestId::from_random(1),
            duration: ask.duration.unwrap_or(Duration::from_secs(3600)),
            reason: ask.reason.clone(),
            again: false,
            approvers: vec!["dana".to_owned(), "@leads".to_owned()],
            link: None,
            lapses_at: self.clock.now() + Duration::from_secs(3600),
        })
    }

    async fn decided(&self, _: RequestId) -> Verdict {
        let mut verdict = self.verdict.subscribe();
        let decided = verdict.wait_for(Option::is_some).await;
        decided.unwrap().clone().unwrap()
    }
}
