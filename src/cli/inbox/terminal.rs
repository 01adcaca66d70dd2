//! The terminal: keys, answers and the clock come in, what is drawn and asked goes out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};

use super::super::Done;
use super::super::api::Api;
use super::super::error::CliError;
use super::super::requests::{granted_text, words};
use super::super::stream::Stream;
use super::act::Effect;
use super::model::{Inbox, Message, Whose};
use super::{BEFORE, keys, mine, view};
use crate::access::RequestId;
use crate::clock::Clock;
use crate::http::types::{Approve, Reason, RequestView, SessionView};

/// How often the server is asked what waits, if it does not tell by itself.
const POLL: Duration = Duration::from_secs(1);
/// And if it does: what waits for whom changes with the time of day and with the policies, too.
const LOOK: Duration = Duration::from_secs(15);
/// How long until it is asked again to tell.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether it is to end.
const STILL: Duration = Duration::from_millis(250);
/// What may wait to be looked at.
const QUEUE: usize = 64;

/// What comes in.
enum News {
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    Requests(Result<Vec<RequestView>, CliError>),
    Before(Whose, Vec<SessionView>),
    Decided(Message),
    Stop(u8),
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
    let (news, heard) = mpsc::channel(QUEUE);
    let desk = Desk {
        api: Arc::new(api),
        news,
        look: Arc::default(),
        told: Arc::default(),
    };
    desk.listen()?;
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, keys) = (Arc::clone(&stop), desk.news.clone());
    // Also gives the terminal back when something panics.
    let mut terminal = ratatui::try_init().map_err(CliError::Output)?;
    let (reads, silent) = oneshot::channel::<()>();
    // A thread that nobody has to wait for: of a terminal that has gone, reading never ends.
    std::thread::spawn(move || {
        let _reads = reads;
        read_keys(&keys, &stopped);
    });
    let poll = tokio::spawn(desk.clone().poll());
    let listen = tokio::spawn(desk.clone().hear());
    let ended = show(&mut terminal, inbox, &desk, heard).await;
    poll.abort();
    listen.abort();
    stop.store(true, Ordering::Relaxed);
    // Until it reads no more of what is typed; what comes then is for the shell.
    let _ = tokio::time::timeout(2 * STILL, silent).await;
    ratatui::restore();
    ended.map_err(CliError::Output)
}

async fn show(
    terminal: &mut DefaultTerminal,
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
            News::Key(key) => {
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
            News::Resized => {}
            News::Requests(Ok(requests)) => inbox.arrived(mine(requests), clock.now()),
            News::Requests(Err(why)) => inbox.unanswered(told(&why)),
            News::Before(whose, sessions) => inbox.remembered(whose, sessions),
            News::Decided(message) => inbox.message = Some(message),
            News::Stop(code) => return Ok(code),
        }
    }
}

/// Hands on what is typed, until it is to end.
fn read_keys(news: &mpsc::Sender<News>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let event = match event::poll(STILL) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let heard = match event {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => News::Key(key),
            Ok(Event::Resize(..)) => News::Resized,
            Ok(_) => continue,
            // The terminal has gone.
            Err(_) => News::Stop(1),
        };
        let last = matches!(heard, News::Stop(_));
        if news.blocking_send(heard).is_err() || last {
            return;
        }
    }
}

impl Desk {
    /// Hears the signals that end it.
    fn listen(&self) -> Result<(), CliError> {
        for (kind, number) in [(SignalKind::terminate(), 15), (SignalKind::hangup(), 1)] {
            let mut signal = signal(kind).map_err(CliError::Output)?;
            let news = self.news.clone();
            tokio::spawn(async move {
                signal.recv().await;
                let _ = news.send(News::Stop(128 + number)).await;
            });
        }
        Ok(())
    }

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
