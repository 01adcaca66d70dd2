//! The terminal: taken over, listened to, and given back however it ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::super::super::Done;
use super::super::super::error::CliError;
use super::screen::Screen;
use super::{keys, view};
use crate::audit::replay::{Player, Story};

/// How often the clock on the screen moves.
const FRAME: Duration = Duration::from_millis(50);
/// How often it is looked whether it is to end.
const STILL: Duration = Duration::from_millis(250);

/// Plays `story` until it is quit.
pub(super) async fn run(
    story: Story,
    player: impl FnOnce(&Story, Duration) -> Player + Send + 'static,
) -> Done {
    let listen = |kind| signal(kind).map_err(CliError::Output);
    let mut term = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // Keys are waited for in a thread of its own, so that signals are heard.
    let mut shown = tokio::task::spawn_blocking(move || show(&story, player, &stopped));
    let code = tokio::select! {
        ended = &mut shown => return finished(ended).map(|()| 0),
        code = signalled(&mut term, &mut hangup) => code,
    };
    stop.store(true, Ordering::Relaxed);
    finished(shown.await).map(|()| code)
}

/// The exit code of a signal that came, as shells tell it.
async fn signalled(term: &mut Signal, hangup: &mut Signal) -> u8 {
    tokio::select! {
        _ = term.recv() => 128 + 15,
        _ = hangup.recv() => 128 + 1,
    }
}

fn finished(ended: Result<io::Result<()>, tokio::task::JoinError>) -> Result<(), CliError> {
    match ended {
        Ok(result) => result.map_err(CliError::Output),
        Err(panic) => Err(CliError::Output(io::Error::other(panic))),
    }
}

fn show(
    story: &Story,
    player: impl FnOnce(&Story, Duration) -> Player,
    stop: &AtomicBool,
) -> io::Result<()> {
    // Also gives the terminal back when something panics.
    let mut terminal = ratatui::try_init()?;
    let shown = play(&mut terminal, story, player, stop);
    ratatui::restore();
    shown
}

fn play(
    terminal: &mut DefaultTerminal,
    story: &Story,
    player: impl FnOnce(&Story, Duration) -> Player,
    stop: &AtomicBool,
) -> io::Result<()> {
    let began = Instant::now();
    let mut screen = Screen::new(story, player(story, began.elapsed()));
    while !stop.load(Ordering::Relaxed) {
        screen.player.tick(began.elapsed());
        terminal.draw(|frame| view::draw(&screen, frame))?;
        let wait = if screen.player.is_paused() {
            STILL
        } else {
            FRAME
        };
        if event::poll(wait)? && !heard(&mut screen, &event::read()?, began.elapsed()) {
            break;
        }
    }
    Ok(())
}

/// Does what a key asks for. False if that is to end.
fn heard(screen: &mut Screen<'_>, event: &Event, now: Duration) -> bool {
    let Event::Key(key) = event else {
        return true;
    };
    if key.kind == KeyEventKind::Release {
        return true;
    }
    match keys::act(*key, screen.typing.is_some()) {
        Some(act) => screen.act(act, now),
        None => true,
    }
}
