//! The terminal: keys, answers and the clock come in, what is drawn and asked goes out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::super::Done;
use super::super::api::Api;
use super::super::error::CliError;
use super::super::requests::{granted_text, words};
use super::super::terminal::{Input, Terminal, news};
use super::act::Effect;
use super::model::{Inbox, Message, Whose};
use super::{BEFORE, keys, mine, view};
use crate::access::RequestId;
use crate::clock::Clock;
use crate::http::types::{Approve, Reason, RequestView, SessionView};

/// How often the server is asked what waits.
const POLL: Duration = Duration::from_secs(1);

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
    };
    let mut terminal = Terminal::take(&desk.news)?;
    let poll = tokio::spawn(desk.clone().poll());
    let ended = show(&mut terminal, inbox, &desk, heard).await;
    poll.abort();
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
    /// Asks every second, or at once when told to, what waits.
    async fn poll(self) {
        loop {
            // Whichever comes first.
            let _ = tokio::time::timeout(POLL, self.look.notified()).await;
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
                Effect::Approve(id, shorter) => Some(desk.approve(id, shorter).await),
                Effect::Deny(id, reason) => Some(desk.deny(id, reason).await),
            };
            if let Some(message) = message {
                let _ = desk.news.send(News::Decided(message)).await;
            }
            desk.look.notify_one();
        });
    }

    async fn approve(&self, id: RequestId, shorter: Option<Duration>) -> Message {
        let body = Approve {
            duration: shorter.map(words),
        };
        match self.api.approve(id, &body).await {
            Ok(approved) => {
                let text = granted_text(&approved, Clock::system().now());
                Message::Good(anstream::adapter::strip_str(&text).to_string())
            }
            Err(why) => Message::Bad(told(&why)),
        }
    }

    async fn deny(&self, id: RequestId, reason: String) -> Message {
        match self.api.deny(id, &Reason { reason }).await {
            Ok(denied) => Message::Good(format!(
                "Denied: {} does not get {}.",
                denied.requester, denied.target
            )),
            Err(why) => Message::Bad(told(&why)),
        }
    }

    /// Looks for earlier sessions; if that fails, there is nothing to show.
    async fn remember(self, whose: Whose) {
        let sessions = self.api.sessions_of(&whose.0, &whose.1).await;
        if let Ok(mut sessions) = sessions {
            sessions.truncate(BEFORE);
            let _ = self.news.send(News::Before(whose, sessions)).await;
        }
    }
}

/// What went wrong, in a line.
fn told(error: &CliError) -> String {
    error.to_string()
}
