//! The terminal: keys, answers and the clock come in, what is drawn and asked goes out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::super::Done;
use super::super::api::Api;
use super::super::error::CliError;
use super::super::requests::{as_it_is, granted_text, words};
use super::super::stream::Stream;
use super::super::terminal::{Input, Terminal, news};
use super::act::{Effect, Shown};
use super::model::{Inbox, Message, Whose};
use super::{BEFORE, keys, mine, view};
use crate::clock::Clock;
use crate::http::types::{Approve, Reason, RequestView, SessionView};

/// How often the server is asked what waits, if it does not tell by itself.
const POLL: Duration = Duration::from_secs(1);
/// And if it does: what waits for whom changes with the time of day and with the policies, too.
const LOOK: Duration = Duration::from_secs(15);
/// How long until it is asked again to tell.
const AGAIN: Duration = Duration::from_secs(5);

/// What comes in.
enum News {
    Terminal(Input),
    Requests(Result<Vec<RequestView>, CliError>),
    Before(Whose, Vec<SessionView>),
    Decided(Message),
}

impl From<Input> for News {
    fn from(input: Input) -> Self {
        Self::Terminal(input)
    }
}

/// What works beside the screen.
#[derive(Clone)]
struct Desk {
    api: Arc<Api>,
    news: mpsc::Sender<News>,
    look: Arc<Notify>,
    /// The server tells what changes.
    told: Arc<AtomicBool>,
}

/// Shows the inbox until it is quit.
pub(super) async fn run(api: Api) -> Done {
    // What is wrong with the server or the sign-in is told before the terminal is taken over.
    let me = api.whoami().await?.name;
    let mut inbox = Inbox::new(&me, mine(api.requests(false).await?));
    inbox.targets = api.targets().await?;
    let (news, heard) = news();
    let desk = Desk {
        api: Arc::new(api),
        news,
        look: Arc::default(),
        told: Arc::default(),
    };
    let mut terminal = Terminal::take(&desk.news)?;
    let poll = tokio::spawn(desk.clone().poll());
    let hear = tokio::spawn(desk.clone().hear());
    let ended = show(&mut terminal, inbox, &desk, heard).await;
    poll.abort();
    hear.abort();
    terminal.give_back().await;
    ended.map_err(CliError::Output)
}

async fn show(
    terminal: &mut Terminal,
    mut inbox: Inbox,
    desk: &Desk,
    mut heard: mpsc::Receiver<News>,
) -> io::Result<u8> {
    let clock = Clock::system();
    let mut asked: Option<Whose> = None;
    loop {
        let now = clock.now();
        terminal.draw(|frame| view::draw(&inbox, now, frame))?;
        if let Some(whose) = inbox.wanted().filter(|it| asked.as_ref() != Some(it)) {
            asked = Some(whose.clone());
            tokio::spawn(desk.clone().remember(whose));
        }
        let Some(news) = heard.recv().await else {
            return Ok(0);
        };
        match news {
            News::Terminal(Input::Key(key)) => {
                let act = keys::act(key, inbox.keyboard());
                match act.and_then(|act| inbox.act(act)) {
                    None => {}
                    Some(Effect::Quit) => return Ok(0),
                    Some(effect) => {
                        // Sessions from before may have come to their ends.
                        asked = None;
                        desk.take(effect);
                    }
                }
            }
            News::Terminal(Input::Resized) => {}
            News::Terminal(Input::Stop(code)) => return Ok(code),
            News::Requests(Ok(requests)) => inbox.arrived(mine(requests), clock.now()),
            News::Requests(Err(why)) => inbox.unanswered(told(&why)),
            News::Before(whose, sessions) => inbox.remembered(whose, sessions),
            News::Decided(message) => inbox.message = Some(message),
        }
    }
}

impl Desk {
    /// Has the server tell what changes, for as long as it does.
    async fn hear(self) {
        loop {
            if let Ok(mut stream) = Stream::open(&self.api, None).await {
                while let Ok(Some(_)) = stream.next().await {
                    self.told.store(true, Ordering::Relaxed);
                    self.look.notify_one();
                }
            }
            self.told.store(false, Ordering::Relaxed);
            self.look.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Asks now and then, or at once when there is something new, what waits.
    async fn poll(self) {
        loop {
            let pause = match self.told.load(Ordering::Relaxed) {
                true => LOOK,
                false => POLL,
            };
            // Whichever comes first.
            let _ = tokio::time::timeout(pause, self.look.notified()).await;
            let requests = self.api.requests(false).await;
            if self.news.send(News::Requests(requests)).await.is_err() {
                return;
            }
        }
    }

    /// Does what a key asked for, beside the screen.
    fn take(&self, effect: Effect) {
        let desk = self.clone();
        tokio::spawn(async move {
            let message = match effect {
                Effect::Quit | Effect::Refresh => None,
                Effect::Approve(shown, shorter) => Some(desk.approve(shown, shorter).await),
                Effect::Deny(shown, reason) => Some(desk.deny(shown, reason).await),
            };
            if let Some(message) = message {
                let _ = desk.news.send(News::Decided(message)).await;
            }
            desk.look.notify_one();
        });
    }

    async fn approve(&self, shown: Shown, shorter: Option<Duration>) -> Message {
        let body = Approve {
            duration: shorter.map(words),
        };
        match self.api.approve(shown.id, Some(shown.version), &body).await {
            Ok(approved) => {
                let text = granted_text(&approved, Clock::system().now());
                Message::Good(anstream::adapter::strip_str(&text).to_string())
            }
            Err(why) => self.refused(why, shown).await,
        }
    }

    async fn deny(&self, shown: Shown, reason: String) -> Message {
        let (reason, seen) = (Reason { reason }, Some(shown.version));
        match self.api.deny(shown.id, seen, &reason).await {
            Ok(denied) => Message::Good(format!(
                "Denied: {} does not get {}.",
                denied.requester, denied.target
            )),
            Err(why) => self.refused(why, shown).await,
        }
    }

    /// Why it was not done; it comes anew with the next look.
    async fn refused(&self, why: CliError, shown: Shown) -> Message {
        let why = as_it_is(why, &self.api, shown.id).await;
        Message::Bad(told(&why))
    }

    /// Looks for earlier sessions; if that fails, there is nothing to show.
    async fn remember(self, whose: Whose) {
        let sessions = self.api.sessions_of(&whose.0, &whose.1, BEFORE).await;
        if let Ok(sessions) = sessions {
            let _ = self.news.send(News::Before(whose, sessions)).await;
        }
    }
}

/// What went wrong, in a line.
fn told(error: &CliError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};

    use super::super::super::api::testing::{api, stand_in};
    use super::super::testing::request;
    use super::*;
    use crate::access::{PrincipalName, RequestState};

    #[tokio::test]
    async fn what_changed_since_it_was_shown_is_not_decided_and_it_is_told_how() {
        let mut other = request(1);
        let dana: PrincipalName = "dana".parse().unwrap();
        other.version = 2;
        other.state = RequestState::Denied {
            by: dana,
            on_behalf_of: None,
            at: other.created_at,
            reason: "use the replica".into(),
        };
        let (id, now) = (other.id, serde_json::to_string(&other).unwrap());
        let decide = |headers: HeaderMap| async move {
            assert_eq!(headers["if-match"], "\"1\"");
            let body = r#"{"status": 412, "code": "changed", "detail": "it is in version 2 now"}"#;
            (StatusCode::PRECONDITION_FAILED, body)
        };
        let router = Router::new()
            .route(&format!("/api/v1/requests/{id}/approve"), post(decide))
            .route(&format!("/api/v1/requests/{id}/deny"), post(decide))
            .route(&format!("/api/v1/requests/{id}"), get(|| async { now }));
        let desk = Desk {
            api: Arc::new(api(&stand_in(router).await)),
            news: news().0,
            look: Arc::default(),
            told: Arc::default(),
        };
        let shown = Shown { id, version: 1 };
        let approved = desk.approve(shown, None).await;
        for said in [approved, desk.deny(shown, "no".into()).await] {
            let Message::Bad(text) = said else {
                panic!("{said:?}");
            };
            assert!(
                text.starts_with("it changed since you looked: it is denied"),
                "{text}"
            );
            assert!(text.contains("by dana: use the replica"), "{text}");
        }
    }
}
