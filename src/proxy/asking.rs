//! A client that signs in as itself, with an access token, and asks for a session by connecting.
//!
//! It gets AuthenticationOk as soon as it is known: libpq takes notices from then on, and psql
//! prints them as they come. No upstream is dialled before the session is open.

use std::net::SocketAddr;
use std::time::Duration;

use dashmap::DashMap;
use jiff::{SignedDuration, Timestamp};
use pgwire::messages::startup::Authentication;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::authenticate::{self, Identity};
use super::dial::Io;
use super::handshake::Client;
use super::refusal::Refusal;
use super::targets::Claim;
use super::wish::Wish;
use super::{CloseReason, Proxy};
use crate::access::{Caller, PrincipalName, SessionId, TargetName};
use crate::asking::{Ask, Asked, Declined, Verdict};
use crate::pg::Notice;
use crate::secret::Secret;

/// How often a client that waits hears that it still does.
const REMINDER: Duration = Duration::from_secs(60);
/// How long a client may take to take a notice.
const TELLING: Duration = Duration::from_secs(10);
/// Connections of one principal that may wait at a time.
const WAITING: u32 = 8;
/// Bytes of a password message: the longest access token, and some more.
const MAX_TOKEN: usize = 4096;

/// Who asks, for what.
pub(super) struct Asking {
    caller: Caller,
    token: Secret,
    target: TargetName,
    wish: Wish,
}

/// How many connections of each principal wait.
#[derive(Default)]
pub struct Waiting(DashMap<PrincipalName, u32>);

impl Waiting {
    /// A place to wait; none if the principal has as many as they may have.
    fn take(&self, name: &PrincipalName) -> Option<Waits<'_>> {
        let mut count = self.0.entry(name.clone()).or_insert(0);
        *count = (*count < WAITING).then(|| *count + 1)?;
        Some(Waits(self, name.clone()))
    }
}

/// One that waits, until it is dropped.
struct Waits<'a>(&'a Waiting, PrincipalName);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(mut count) = self.0.0.get_mut(&self.1) {
            *count -= 1;
        }
        self.0.0.remove_if(&self.1, |_, count| *count == 0);
    }
}

/// Finds out who the client is by its access token, which it sends under TLS.
///
/// # Errors
/// [`Refusal`]: the same one for a wrong token and for names that lead nowhere.
pub(super) async fn identify<S: Io, D>(
    proxy: &Proxy<D>,
    client: &mut Client<S>,
    claim: &Claim,
    wish: Wish,
    peer: SocketAddr,
) -> Result<Asking, Refusal> {
    if client.tls.is_none() {
        return Err(Refusal::TokenInTheClear);
    }
    authenticate::negotiate_version(client)?;
    let token = token(client).await?;
    let caller = proxy
        .desk
        .identify(&claim.principal, &token, peer.ip())
        .await;
    let unknown = |reason: &str| authenticate::failed(claim, reason);
    let caller = caller.ok_or_else(|| unknown("the access token is wrong"))?;
    client.welcome().await?;
    // A target that there is not is told apart from one that may not be asked for by nobody: the
    // desk has one answer to both.
    let target = claim.target.parse();
    let target = target.map_err(|_| Refusal::Declined(no_target(&claim.target)))?;
    Ok(Asking {
        caller,
        token,
        target,
        wish,
    })
}

async fn token<S: Io>(client: &mut Client<S>) -> Result<Secret, Refusal> {
    let ask = Authentication::CleartextPassword;
    client.stream.queue(&ask).map_err(authenticate::stream)?;
    client.stream.flush().await?;
    let body = authenticate::password_message(client, MAX_TOKEN).await?;
    let text = body.strip_suffix(&[0]).unwrap_or(&body);
    // What is no UTF-8 is no token of ours, and what is no token identifies nobody.
    Ok(Secret::new(String::from_utf8_lossy(text).into_owned()))
}

/// From somebody who asks to an identity with a live session, which may take as long as people
/// take to decide.
///
/// # Errors
/// [`Refusal`] says why there is none.
pub(super) async fn session<S: Io, D>(
    proxy: &Proxy<D>,
    client: &mut Client<S>,
    claim: &Claim,
    asking: Asking,
) -> Result<Identity, Refusal> {
    let Asking {
        caller,
        token,
        target,
        wish,
    } = asking;
    let live = |name| proxy.admission.live_session(&caller.name, name);
    if let Some(session) = live(&target) {
        return identity(proxy, claim, caller, session);
    }
    let place = proxy.waiting.take(&caller.name);
    let _place = place.ok_or_else(|| Refusal::Declined(too_many()))?;
    ask(proxy, client, &caller, &target, wish).await?;
    // The token may have been revoked while they waited.
    let name = caller.name.as_str();
    let known = match caller.address {
        Some(address) => proxy.desk.identify(name, &token, address).await,
        None => None,
    };
    let caller = known
        .ok_or_else(|| authenticate::failed(claim, "the access token was revoked meanwhile"))?;
    let session = live(&target).ok_or_else(|| Refusal::Declined(over_already(&target)))?;
    identity(proxy, claim, caller, session)
}

fn identity<D>(
    proxy: &Proxy<D>,
    claim: &Claim,
    caller: Caller,
    session: SessionId,
) -> Result<Identity, Refusal> {
    let target = proxy.targets.find(&claim.target);
    let target = target.ok_or_else(|| Refusal::Declined(no_target(&claim.target)))?;
    Ok(Identity::new(caller.principal.name, session, target, claim))
}

/// Files the request, and waits until it is granted.
async fn ask<S: Io, D>(
    proxy: &Proxy<D>,
    client: &mut Client<S>,
    caller: &Caller,
    target: &TargetName,
    wish: Wish,
) -> Result<(), Refusal> {
    let ask = Ask {
        target: target.clone(),
        reason: wish
            .reason
            .ok_or_else(|| Refusal::Declined(no_reason(target)))?,
        duration: wish.duration,
    };
    let asked = proxy
        .desk
        .ask(caller, &ask)
        .await
        .map_err(Refusal::Declined)?;
    if !wish.wait {
        // It may have been granted by a policy, at once.
        return match proxy.admission.live_session(&caller.name, target) {
            Some(_) => Ok(()),
            None => Err(Refusal::Declined(not_yet(&asked))),
        };
    }
    tell(client, &filed(&asked, target, proxy.clock.now())).await?;
    let verdict = tokio::select! {
        biased;
        verdict = proxy.desk.decided(asked.request) => verdict,
        gone = wait(client, &asked, || proxy.clock.now()) => return Err(gone),
    };
    match verdict {
        Verdict::Granted { by, expires_at } => tell(client, &granted(&by, expires_at)).await,
        Verdict::Refused(declined) => Err(Refusal::Declined(declined)),
    }
}

/// Keeps the client company until it goes away.
async fn wait<S: Io>(
    client: &mut Client<S>,
    asked: &Asked,
    now: impl Fn() -> Timestamp,
) -> Refusal {
    let began = Instant::now();
    let mut reminder = tokio::time::interval_at(began + REMINDER, REMINDER);
    reminder.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let said = tokio::select! {
            byte = client.stream.peek() => Some(byte),
            _ = reminder.tick() => None,
        };
        match said {
            None => {
                if let Err(gone) = tell(client, &still_waiting(asked, began.elapsed(), now())).await
                {
                    return gone;
                }
            }
            Some(Ok(b'X')) => return Refusal::Ended(CloseReason::ClientTerminated),
            Some(Ok(_)) => return Refusal::Protocol("a message before ReadyForQuery"),
            Some(Err(error)) => return error.into(),
        }
    }
}

/// A client that does not take a notice in time is gone.
async fn tell<S: Io>(client: &mut Client<S>, notice: &Notice) -> Result<(), Refusal> {
    client.stream.queue_bytes(&notice.encode());
    match timeout(TELLING, client.stream.flush()).await {
        Ok(told) => Ok(told?),
        Err(_) => Err(Refusal::Timeout),
    }
}

fn filed(asked: &Asked, target: &TargetName, now: Timestamp) -> Notice {
    let duration = humantime::format_duration(asked.duration);
    let verb = if asked.again { "is already" } else { "was" };
    let who = match &asked.approvers[..] {
        [] => "Whoever may approve it".to_owned(),
        names => names.join(", "),
    };
    let approve = format!("hallpass approve {}", asked.request);
    Notice {
        message: format!(
            "hallpass: access to {target} for {duration} {verb} requested: {}, waiting for approval",
            asked.request
        ),
        detail: Some(format!(
            "Reason: {}. Can approve: {who}. It lapses in {}.",
            asked.reason,
            until(asked.lapses_at, now)
        )),
        hint: Some(match &asked.link {
            Some(link) => format!("They decide at {link} or with: {approve}"),
            None => format!("They decide with: {approve}"),
        }),
    }
}

fn still_waiting(asked: &Asked, waited: Duration, now: Timestamp) -> Notice {
    let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
    let left = until(asked.lapses_at, now);
    Notice {
        message: format!(
            "hallpass: {} is waiting for approval since {waited}; it lapses in {left}",
            asked.request
        ),
        detail: None,
        hint: None,
    }
}

fn granted(by: &str, expires_at: Timestamp) -> Notice {
    Notice {
        message: format!("hallpass: approved by {by}; the session ends at {expires_at:.0}"),
        detail: None,
        hint: None,
    }
}

/// The time until `then`, in whole minutes where there are some.
fn until(then: Timestamp, now: Timestamp) -> humantime::FormattedDuration {
    let left = then.duration_since(now).max(SignedDuration::ZERO);
    let seconds = left.unsigned_abs().as_secs();
    let rounded = if seconds < 60 {
        seconds
    } else {
        seconds.div_ceil(60) * 60
    };
    humantime::format_duration(Duration::from_secs(rounded))
}

fn not_yet(asked: &Asked) -> Declined {
    Declined {
        message: format!(
            "hallpass: {} is waiting for approval, and hallpass.wait is off",
            asked.request
        ),
        hint: Some("Connect again when it is approved.".to_owned()),
    }
}

fn no_reason(target: &TargetName) -> Declined {
    Declined {
        message: format!(
            "hallpass: you have no session for {target}, and gave no reason to ask for one"
        ),
        hint: Some(super::refusal::how_to_ask(target.as_str())),
    }
}

fn no_target(target: &str) -> Declined {
    Declined {
        message: format!("hallpass: there is no target {target:?} that you may request"),
        hint: Some("hallpass targets lists them. Name one as user=NAME~TARGET.".to_owned()),
    }
}

fn too_many() -> Declined {
    Declined {
        message: format!("hallpass: {WAITING} connections of yours are waiting already"),
        hint: None,
    }
}

fn over_already(target: &TargetName) -> Declined {
    Declined {
        message: format!("hallpass: the session for {target} has ended already"),
        hint: None,
    }
}
