//! From the outbox of notices to people: who is told what, and when it is tried again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::{AccessRequest, PrincipalName, RequestKind, SessionId};
use crate::audit::Event;
use crate::clock;
use crate::notify::{Channel, Delivery, Failure, Kind, Notice, Slack};
use crate::store::{Act, Letter};

use super::{Control, Error};

mod recipients;
#[cfg(test)]
mod tests;

/// The waits between two tries grow up to this.
const LONGEST: Duration = Duration::from_secs(3600);
/// After this a notice is of no use to anybody.
const GIVE_UP: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a channel is idle at most before it looks again: a clock that was set, a store that
/// failed.
const LOOK: Duration = Duration::from_secs(10);
/// How long one delivery may take, whatever it waits for.
const DELIVERY: Duration = Duration::from_secs(60);

/// How people are told.
#[derive(Default)]
pub struct Telling {
    /// The ways to reach them.
    pub channels: Vec<Arc<dyn Channel>>,
    /// The one among them that also brings back what people decide.
    pub slack: Option<Arc<Slack>>,
    /// What links begin with, without a slash at its end.
    pub link_base: String,
    /// Addresses that get all mail.
    pub recipients: Vec<String>,
    /// Who decides in Slack: names by Slack's user ids.
    pub slack_users: HashMap<String, PrincipalName>,
}

impl Control {
    /// From now on the store keeps what these channels are to tell.
    pub(super) async fn recover_channels(&self) -> Result<(), Error> {
        let telling = self.telling();
        let channels = telling.channels.iter();
        let names: Vec<String> = channels.map(|it| it.name().to_owned()).collect();
        let dropped = self.store.set_channels(&names).await?;
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "notices for channels that are no longer configured"
            );
        }
        Ok(())
    }

    /// Delivers what people are to be told, each channel by itself, until `shutdown`. What is under
    /// way then, or when the channels are replaced, is delivered again later.
    pub async fn tell(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tellings = self.telling.subscribe();
        while !shutdown.is_cancelled() {
            let telling = tellings.borrow_and_update().clone();
            let replaced = shutdown.child_token();
            let mut channels = JoinSet::new();
            for channel in &telling.channels {
                let (control, channel) = (Arc::clone(&self), Arc::clone(channel));
                let replaced = replaced.clone();
                channels.spawn(async move { control.serve(&*channel, &replaced).await });
            }
            // The sender is here: it cannot have gone.
            let _ = shutdown.run_until_cancelled(tellings.changed()).await;
            replaced.cancel();
            while channels.join_next().await.is_some() {}
        }
    }

    /// Tells people by these from now on, by no others.
    ///
    /// # Errors
    /// If the store fails: then those that are new keep nothing yet.
    pub(super) async fn replace_telling(&self, new: Telling) -> Result<(), Error> {
        let old = self.telling();
        if let (Some(new), Some(old)) = (&new.slack, &old.slack) {
            new.verifier().remember(old.verifier());
        }
        self.telling.send_replace(Arc::new(new));
        self.recover_channels().await
    }

    async fn serve(&self, channel: &dyn Channel, shutdown: &CancellationToken) {
        let mut changes = self.changes();
        let mut answers = true;
        let mut failing = false;
        loop {
            changes.borrow_and_update();
            let round = self.tell_round(channel, &mut answers);
            let Some(round) = shutdown.run_until_cancelled(round).await else {
                return;
            };
            report(&round, &mut failing);
            let wait = tokio::time::sleep(round.unwrap_or(LOOK));
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = wait => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// Delivers what is due by one channel; how long until the next look. `answers` says whether
    /// somebody answered there the last time.
    pub(super) async fn tell_round(
        &self,
        channel: &dyn Channel,
        answers: &mut bool,
    ) -> Result<Duration, Error> {
        let name = channel.name();
        'round: loop {
            let letters = self.store.letters(name, self.now()).await?;
            if letters.is_empty() {
                break;
            }
            for letter in letters {
                let before = *answers;
                *answers = self.carry(channel, &letter).await?;
                if !*answers {
                    break 'round;
                }
                if !before {
                    self.store.hurry(name, self.now()).await?;
                }
            }
        }
        let (waiting, now) = (self.store.waiting(name).await?, self.now());
        let age = waiting.oldest.and_then(|oldest| clock::until(oldest, now));
        self.metrics.notices(name).oldest(age.unwrap_or_default());
        let next = waiting
            .next
            .map(|at| clock::until(now, at).unwrap_or_default());
        Ok(next.map_or(LOOK, |next| next.min(LOOK)))
    }

    /// Takes one letter a step further; whether anybody answers there.
    async fn carry(&self, channel: &dyn Channel, letter: &Letter) -> Result<bool, Error> {
        let number = letter.number;
        let Some(notice) = self.notice(letter).await? else {
            self.store.letter_dropped(number).await?;
            return Ok(true);
        };
        if channel.has_recipients() && letter.recipient.is_empty() {
            let recipients = self.recipients(&notice).await?;
            self.store.address_letter(number, &recipients).await?;
            return Ok(true);
        }
        let delivery = Delivery {
            notice: &notice,
            recipient: &letter.recipient,
            place: letter.place.as_deref(),
        };
        match within(DELIVERY, channel.deliver(delivery)).await {
            Ok(place) => {
                self.metrics.notices(channel.name()).delivered();
                self.store.letter_done(number, place.as_deref()).await?;
                Ok(true)
            }
            Err(failure) => self.put_off(channel, letter, &notice, &failure).await,
        }
    }

    async fn put_off(
        &self,
        channel: &dyn Channel,
        letter: &Letter,
        notice: &Notice,
        failure: &Failure,
    ) -> Result<bool, Error> {
        let (now, name) = (self.now(), channel.name());
        let (kind, attempts) = (notice.kind.name(), letter.attempts + 1);
        let unreachable = matches!(failure, Failure::Unreachable(_));
        let late = clock::until(letter.act.at, now).is_some_and(|age| age >= GIVE_UP);
        if late || matches!(failure, Failure::Gone(_)) {
            self.metrics.notices(name).given_up();
            tracing::error!(channel = name, kind, request_id = %notice.request, attempts, %failure, "a notice is given up");
            self.store.letter_dropped(letter.number).await?;
            return Ok(!unreachable);
        }
        self.metrics.notices(name).failed();
        let wait = patience(attempts, failure);
        tracing::warn!(channel = name, kind, request_id = %notice.request, attempts, again_in = ?wait, %failure, "a notice did not get there");
        let until = now + wait;
        self.store
            .put_off(letter.number, until, unreachable)
            .await?;
        Ok(!unreachable)
    }

    /// What a letter says; `None` if people are not told of such things.
    async fn notice(&self, letter: &Letter) -> Result<Option<Notice>, Error> {
        let Some(told) = told(&letter.act) else {
            return Ok(None);
        };
        let request = self.store.request(letter.request).await?;
        let request = request.filter(|request| concerns_others(&letter.act.event, request));
        Ok(request.map(|request| self.write(letter, told, request)))
    }

    fn write(&self, letter: &Letter, told: Told, request: AccessRequest) -> Notice {
        let granted = told
            .expires_at
            .and_then(|end| clock::until(letter.act.at, end));
        Notice {
            id: letter.id.clone(),
            at: letter.act.at,
            kind: told.kind,
            request: request.id,
            session: told.session,
            link: self.link(&format!("requests/{}", request.id)),
            who: request.requester,
            target: request.target,
            duration: granted.unwrap_or(request.duration),
            why: request.reason,
            by: told.by,
            because: told.because,
            expires_at: told.expires_at,
        }
    }

    pub(super) fn link(&self, path: &str) -> String {
        format!("{}/{path}", self.telling().link_base)
    }
}

/// What people are told of an act, beside what the request says.
struct Told {
    kind: Kind,
    session: Option<SessionId>,
    by: Option<String>,
    because: Option<String>,
    expires_at: Option<Timestamp>,
}

fn told(act: &Act) -> Option<Told> {
    let plain = |kind| Told {
        kind,
        session: None,
        by: None,
        because: None,
        expires_at: None,
    };
    Some(match &act.event {
        // Nobody is to decide on a broken glass; that it was, its approval tells.
        Event::RequestSubmitted {
            kind: RequestKind::BreakGlass,
            ..
        } => return None,
        Event::RequestSubmitted { .. } => plain(Kind::Submitted),
        Event::RequestEscalated { .. } => plain(Kind::Escalated),
        Event::RequestStageApproved { by, .. } => Told {
            by: Some(by.to_string()),
            ..plain(Kind::NextStage)
        },
        Event::RequestApproved {
            by,
            policies,
            kind,
            session,
            expires_at,
            ..
        } => Told {
            session: Some(*session),
            by: Some(match by {
                Some(by) => by.to_string(),
                None => format!("policy {}", policies.join(", ")),
            }),
            expires_at: Some(*expires_at),
            ..plain(match kind {
                RequestKind::Session => Kind::Approved,
                RequestKind::Extension => Kind::Extended,
                RequestKind::BreakGlass => Kind::BreakGlass,
            })
        },
        Event::RequestDenied { by, reason, .. } => Told {
            by: Some(by.to_string()),
            because: Some(reason.clone()),
            ..plain(Kind::Denied)
        },
        Event::RequestWithdrawn { by, .. } => Told {
            by: Some(by.to_string()),
            ..plain(Kind::Withdrawn)
        },
        Event::RequestLapsed { .. } => plain(Kind::Lapsed),
        Event::SessionRevoked {
            session,
            by,
            reason,
            ..
        } => Told {
            session: Some(*session),
            by: Some(by.to_string()),
            because: Some(reason.clone()),
            ..plain(Kind::Revoked)
        },
        Event::SessionExpired { session, .. } => Told {
            session: Some(*session),
            ..plain(Kind::Expired)
        },
        _ => return None,
    })
}

/// Whether an act is anybody's business: of the approvals in a stage, only that which filled it.
fn concerns_others(event: &Event, request: &AccessRequest) -> bool {
    match event {
        Event::RequestStageApproved { by, stage, .. } => request.chain.was_filled_by(by, *stage),
        _ => true,
    }
}

/// How long to wait after so many failures: longer each time, never twice the same.
fn patience(attempts: u32, failure: &Failure) -> Duration {
    let nth = usize::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
    let wait = ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(LONGEST)
        .without_max_times()
        .with_jitter()
        .build()
        .nth(nth)
        .unwrap_or(LONGEST)
        .min(LONGEST);
    match failure {
        Failure::Refused {
            retry_after: Some(asked),
            ..
        } => wait.max(*asked).min(LONGEST),
        _ => wait,
    }
}

/// A delivery, or what there is to say of one that takes too long.
pub(super) async fn within(
    limit: Duration,
    delivery: impl Future<Output = Result<Option<String>, Failure>>,
) -> Result<Option<String>, Failure> {
    let late = || Failure::Unreachable(format!("no answer within {}s", limit.as_secs()));
    tokio::time::timeout(limit, delivery)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// Says once that the store fails here; [`Control::run`] says more.
fn report(round: &Result<Duration, Error>, failing: &mut bool) {
    if let Err(error) = round
        && !*failing
    {
        tracing::warn!(%error, "notices wait");
    }
    *failing = round.is_err();
}
