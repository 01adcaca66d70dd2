//! A terminal that is taken over: what is typed and signals come as news, and it is given back
//! however that ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::{DefaultTerminal, Frame};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::error::CliError;

/// The exit codes of signals, as shells tell them.
const HANG_UP: u8 = 128 + 1;
const TERMINATED: u8 = 128 + 15;
/// How often it is looked whether it is to end.
const STILL: Duration = Duration::from_millis(250);
/// What may wait to be looked at.
const QUEUE: usize = 64;

/// What comes from the terminal.
#[derive(Debug)]
pub(super) enum Input {
    Key(KeyEvent),
    /// It has another size.
    Resized,
    /// It has gone, or a signal came: end with this code.
    Stop(u8),
}

/// News of a kind, of which the terminal's are some.
pub(super) fn news<N>() -> (mpsc::Sender<N>, mpsc::Receiver<N>) {
    mpsc::channel(QUEUE)
}

/// The terminal, until it is given back.
pub(super) struct Terminal {
    screen: DefaultTerminal,
    stop: Arc<AtomicBool>,
    silent: oneshot::Receiver<()>,
}

impl Terminal {
    /// Takes it over; what comes of it goes to `news`.
    pub(super) fn take<N>(news: &mpsc::Sender<N>) -> Result<Self, CliError>
    where
        N: From<Input> + Send + 'static,
    {
        listen(news)?;
        // Also gives the terminal back when something panics.
        let screen = ratatui::try_init().map_err(CliError::Output)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (reads, silent) = oneshot::channel::<()>();
        let (keys, stopped) = (news.clone(), Arc::clone(&stop));
        // A thread that nobody has to wait for: of a terminal that has gone, reading never ends.
        std::thread::spawn(move || {
            let _reads = reads;
            read_keys(&keys, &stopped);
        });
        Ok(Self {
            screen,
            stop,
            silent,
        })
    }

    /// Draws all of it.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.screen.draw(draw).map(drop)
    }

    /// Gives it back.
    pub(super) async fn give_back(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Until nobody reads what is typed; what comes then is for the shell.
        let _ = tokio::time::timeout(2 * STILL, self.silent).await;
        if self.screen.show_cursor().is_err() {
            // It has gone. Dropping the screen would try again, complain of it on a standard error
            // that has gone, too, and panic over that.
            std::mem::forget(self.screen);
        }
        let _ = ratatui::try_restore();
    }
}

/// Hears the signals that end it.
fn listen<N>(news: &mpsc::Sender<N>) -> Result<(), CliError>
where
    N: From<Input> + Send + 'static,
{
    for (kind, code) in [
        (SignalKind::terminate(), TERMINATED),
        (SignalKind::hangup(), HANG_UP),
    ] {
        let mut signal = signal(kind).map_err(CliError::Output)?;
        let news = news.clone();
        tokio::spawn(async move {
            signal.recv().await;
            let _ = news.send(Input::Stop(code).into()).await;
        });
    }
    Ok(())
}

/// Hands on what is typed, until it is to end.
fn read_keys<N: From<Input>>(news: &mpsc::Sender<N>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let event = match event::poll(STILL) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let heard = match event {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(key),
            Ok(Event::Resize(..)) => Input::Resized,
            Ok(_) => continue,
            // The terminal has gone; the signal that says so may be on its way.
            Err(_) => Input::Stop(HANG_UP),
        };
        let last = matches!(heard, Input::Stop(_));
        if news.blocking_send(heard.into()).is_err() || last {
            return;
        }
    }
}
