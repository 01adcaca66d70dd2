//! What the terminal shows, without drawing it: the player, what is typed, what is said.

use std::time::Duration;

use super::keys::{Act, Prompt};
use crate::audit::replay::{Goal, Moment, Player, Story, Tape};

/// What is on the screen.
pub(super) struct Screen<'a> {
    pub(super) story: &'a Story,
    /// What the cues of the player's tape are.
    pub(super) moments: Vec<Moment<'a>>,
    pub(super) player: Player,
    /// What is being typed, and for what.
    pub(super) typing: Option<(Prompt, String)>,
    /// Whether the keys are explained.
    pub(super) help: bool,
    /// What became of the last key, if that has to be said.
    pub(super) message: Option<String>,
    /// Lines of the statement in full that were passed.
    pub(super) scroll: u16,
}

impl<'a> Screen<'a> {
    pub(super) fn new(story: &'a Story, player: Player) -> Self {
        Self {
            story,
            moments: Tape::moments(story),
            player,
            typing: None,
            help: false,
            message: None,
            scroll: 0,
        }
    }

    /// Does what a key asks for. False if that is to end.
    pub(super) fn act(&mut self, act: Act, now: Duration) -> bool {
        self.message = None;
        let before = self.player.current();
        match act {
            Act::Quit => return false,
            Act::Pause => self.player.pause(now),
            Act::Forward => self.player.forward(),
            Act::Back => self.player.back(),
            Act::First => self.player.first(),
            Act::Last => self.player.last(),
            Act::Faster => self.player.faster(now),
            Act::Slower => self.player.slower(now),
            Act::Idle => self.player.toggle_cut(now),
            Act::Down => self.scroll = self.scroll.saturating_add(5),
            Act::Up => self.scroll = self.scroll.saturating_sub(5),
            Act::Next | Act::Previous => self.again(act),
            Act::Help => self.help = !self.help,
            Act::Ask(prompt) => self.typing = Some((prompt, String::new())),
            Act::Type(_) | Act::Erase | Act::Enter | Act::Escape => self.typed(act, now),
        }
        if self.player.current() != before {
            self.scroll = 0;
        }
        true
    }

    /// The next match of a search; without one, the next statement.
    fn again(&mut self, act: Act) {
        if self.player.search().is_empty() {
            match act {
                Act::Next => self.player.forward(),
                _ => self.player.back(),
            }
            return;
        }
        let found = match act {
            Act::Next => self.player.find_next(),
            _ => self.player.find_previous(),
        };
        self.tell_unless(found);
    }

    fn typed(&mut self, act: Act, now: Duration) {
        let Some((prompt, mut text)) = self.typing.take() else {
            self.help = false;
            return;
        };
        match act {
            Act::Type(c) => text.push(c),
            Act::Erase => drop(text.pop()),
            Act::Enter => return self.answered(prompt, &text, now),
            _ => return,
        }
        self.typing = Some((prompt, text));
    }

    fn answered(&mut self, prompt: Prompt, text: &str, now: Duration) {
        match prompt {
            Prompt::Search => {
                let found = self.player.find(text);
                self.tell_unless(found || text.is_empty());
            }
            Prompt::Jump => match Goal::parse(text) {
                Some(goal) if self.player.jump(goal, now) => {}
                Some(_) => self.message = Some("there is no such statement".to_owned()),
                None => self.message = Some("a number (12) or a time (1:30, 90s)".to_owned()),
            },
        }
    }

    fn tell_unless(&mut self, found: bool) {
        if !found {
            self.message = Some(format!("nothing has {:?}", self.player.search()));
        }
    }
}
