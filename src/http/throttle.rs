//! Refuses callers who have guessed too often.

use std::net::IpAddr;
use std::sync::Arc;

use super::problem::Rejection;
use crate::control::{Control, Error};

/// Goes by the guesses that the control plane counts, whichever way they come.
#[derive(Clone)]
pub(super) struct Throttle(pub(super) Arc<Control>);

impl Throttle {
    /// Refuses what a peer sends who must wait.
    pub(super) fn check(&self, peer: IpAddr) -> Result<(), Rejection> {
        let wait = self.0.guesses().wait(peer);
        wait.map_or(Ok(()), |wait| Err(Rejection::throttled(wait)))
    }

    /// Notes that `peer` sent a wrong token.
    pub(super) fn wrong(&self, peer: IpAddr) {
        self.0.guesses().wrong(peer);
    }

    /// Runs `guess`, which counts before it is looked at: any number at once are as many guesses.
    pub(super) async fn guess<T>(
        &self,
        peer: IpAddr,
        guess: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Rejection> {
        self.check(peer)?;
        self.wrong(peer);
        let result = guess.await;
        if !matches!(result, Err(Error::SignIn)) {
            self.0.guesses().right(peer);
        }
        Ok(result?)
    }
}
