//! Plays a story on the terminal, at the times of its keys.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::super::Done;
use super::super::super::error::CliError;
use super::super::super::terminal::{Input, Terminal, news};
use super::screen::Screen;
use super::{keys, view};
use crate::audit::replay::{Player, Story};

/// How often the clock on the screen moves.
const FRAME: Duration = Duration::from_millis(50);

/// Plays `story` until it is quit.
pub(super) async fn run(story: &Story, player: impl FnOnce(&Story, Duration) -> Player) -> Done {
    let began = Instant::now();
    let screen = Screen::new(story, player(story, began.elapsed()));
    let (news, heard) = news();
    let mut terminal = Terminal::take(&news)?;
    let ended = play(&mut terminal, screen, heard, began).await;
    terminal.give_back().await;
    ended.map_err(CliError::Output)
}

async fn play(
    terminal: &mut Terminal,
    mut screen: Screen<'_>,
    mut heard: mpsc::Receiver<Input>,
    began: Instant,
) -> io::Result<u8> {
    loop {
        screen.player.tick(began.elapsed());
        terminal.draw(|frame| view::draw(&screen, frame))?;
        let input = match screen.player.is_paused() {
            true => heard.recv().await,
            false => match tokio::time::timeout(FRAME, heard.recv()).await {
                Ok(input) => input,
                Err(_) => continue,
            },
        };
        match input {
            Some(Input::Key(key)) => {
                let act = keys::act(key, screen.typing.is_some());
                if act.is_some_and(|act| !screen.act(act, began.elapsed())) {
                    return Ok(0);
                }
            }
            Some(Input::Resized) => {}
            Some(Input::Stop(code)) => return Ok(code),
            None => return Ok(0),
        }
    }
}
