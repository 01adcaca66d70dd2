//! What changes, as it changes: server-sent events.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use super::super::auth::{Authenticated, Bearer, Peer};
use super::super::extract::{Query, duration};
use super::super::problem::Rejection;
use super::super::types::{DurationText, EventKind, EventView, StreamEvent};
use super::{ApiState, views};
use crate::access::{Caller, Right};
use crate::control::{Heard, Listener, Mark};
use crate::secret::Secret;

/// How often something is sent, so that everybody on the way knows that it goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is looked whether the listener's token is still good, at least.
const LOOK: Duration = Duration::from_secs(30);
/// Proxies that gather answers let this one through as it comes.
const UNGATHERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listen {
    /// For how long; absent: until either side goes.
    #[serde(rename = "for")]
    #[param(rename = "for", value_type = Option<DurationText>)]
    long: Option<String>,
}

/// Requests, sessions and reviews as they change: those that the lists show you.
///
/// Server-sent events, named `request`, `session`, `review` or `reset`; the data of each is an
/// `EventView`. `reset` comes first, and whenever changes may have been missed: the lists have to be
/// read then. Who sends the last event's id as `Last-Event-ID` gets what came behind it instead. It
/// ends with the token that it was asked for with.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "listenEvents",
    tag = "events",
    params(Listen, ("Last-Event-ID" = Option<String>, Header, description = "The last event that you have")),
    responses((status = 200, body = StreamEvent, content_type = "text/event-stream")),
)]
pub(super) async fn listen(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Bearer(token): Bearer,
    Peer(peer): Peer,
    headers: HeaderMap,
    Query(Listen { long }): Query<Listen>,
) -> Result<
    (
        [(HeaderName, &'static str); 1],
        Sse<impl Stream<Item = Result<Event, Infallible>>>,
    ),
    Rejection,
> {
    let long = long.as_deref().map(duration).transpose()?;
    let listener = state.control.listen(&caller, mark(&headers))?;
    let listening = Listening {
        // What is too far away to be counted never comes.
        until: long.and_then(|long| Instant::now().checked_add(long)),
        state,
        token,
        peer,
        listener,
    };
    let events = unfold(listening, |mut listening| async move {
        let event = listening.next().await?;
        Some((Ok(event), listening))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(([UNGATHERED], Sse::new(events).keep_alive(keep_alive)))
}

struct Listening {
    state: ApiState,
    token: Secret,
    peer: IpAddr,
    listener: Listener,
    until: Option<Instant>,
}

impl Listening {
    /// The next event; `None` if it is over.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let caller = self.caller().await?;
            let heard = self.state.control.hear(&caller, &mut self.listener).await;
            match heard.map_err(Rejection::from).ok()? {
                Some(heard) => return event(heard, self.listener.mark()),
                None => self.wait().await?,
            }
        }
    }

    /// Who listens, if they still may.
    async fn caller(&self) -> Option<Caller> {
        let control = &self.state.control;
        let caller = control.authenticate(&self.token, Some(self.peer)).await;
        let caller = caller.map_err(Rejection::from).ok().flatten();
        caller.filter(|caller| caller.has(Right::Read))
    }

    /// Until there may be something new, or the token has to be looked at; `None` at the end.
    async fn wait(&mut self) -> Option<()> {
        let look = Instant::now() + LOOK;
        let until = self.until;
        tokio::select! {
            biased;
            () = self.state.shutdown.cancelled() => None,
            () = self.listener.stirs() => Some(()),
            () = sleep_until(until.map_or(look, |until| until.min(look))) => {
                until.is_none_or(|until| Instant::now() < until).then_some(())
            }
        }
    }
}

fn event(heard: Heard, mark: Mark) -> Option<Event> {
    let view = view(heard);
    let event = Event::default().id(text(mark)).event(view.what.name());
    event.json_data(view).ok()
}

fn view(heard: Heard) -> EventView {
    match heard {
        Heard::Reset => EventView::about(EventKind::Reset),
        Heard::Request(it) => EventView {
            id: Some(it.request.id.to_string()),
            version: Some(it.request.version),
            request: Some(views::request(*it)),
            ..EventView::about(EventKind::Request)
        },
        Heard::Session(it) => EventView {
            id: Some(it.session.id.to_string()),
            version: Some(it.session.version),
            session: Some(views::session(*it)),
            ..EventView::about(EventKind::Session)
        },
        Heard::Review(it) => EventView {
            id: Some(it.session.to_string()),
            version: Some(it.version),
            review: Some(views::review(*it)),
            ..EventView::about(EventKind::Review)
        },
    }
}

fn text(mark: Mark) -> String {
    format!("{:016x}-{}", mark.process, mark.number)
}

/// The place that somebody comes back to; one that is none is like one that is no longer known.
fn mark(headers: &HeaderMap) -> Option<Mark> {
    let (process, number) = headers
        .get("last-event-id")?
        .to_str()
        .ok()?
        .split_once('-')?;
    Some(Mark {
        process: u64::from_str_radix(process, 16).ok()?,
        number: number.parse().ok()?,
    })
}

#[cfg(test)]
mod tests;
