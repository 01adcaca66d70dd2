//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::act::Act;

/// The keys, for people.
pub(super) const HELP: [(&str, &str); 9] = [
    ("↑ ↓ k j", "the request before, the next"),
    ("a", "approve: y yes, n no, s for a shorter time"),
    ("d", "deny: asks for the reason"),
    ("s", "approve for a shorter time"),
    ("enter", "all of the request; once more: the list again"),
    ("PgDn PgUp", "more of it"),
    ("r", "look again now; it looks every second by itself"),
    ("?", "these keys"),
    ("q", "quit"),
];

/// What keys are for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyboard {
    /// Commands.
    Commands,
    /// Yes or no.
    YesOrNo,
    /// Text.
    Text,
}

/// What `key` asks for.
pub(super) fn act(key: KeyEvent, keyboard: Keyboard) -> Option<Act> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Act::Quit);
    }
    match (key.code, keyboard) {
        (KeyCode::Enter, _) => Some(Act::Enter),
        (KeyCode::Esc, _) => Some(Act::Escape),
        (KeyCode::Backspace, _) => Some(Act::Erase),
        (KeyCode::Char(c), Keyboard::Text) => Some(Act::Type(c)),
        (KeyCode::Char(c), Keyboard::YesOrNo) => answer(c),
        (code, _) => command(code),
    }
}

fn answer(c: char) -> Option<Act> {
    Some(match c {
        'y' | 'Y' => Act::Yes,
        's' => Act::Shorten,
        'n' | 'N' | 'q' => Act::Escape,
        _ => return None,
    })
}

fn command(code: KeyCode) -> Option<Act> {
    Some(match code {
        KeyCode::Char('q') => Act::Quit,
        KeyCode::Up | KeyCode::Char('k') => Act::Up,
        KeyCode::Down | KeyCode::Char('j') => Act::Down,
        KeyCode::Home | KeyCode::Char('g') => Act::First,
        KeyCode::End | KeyCode::Char('G') => Act::Last,
        KeyCode::Char('a') => Act::Approve,
        KeyCode::Char('d') => Act::Deny,
        KeyCode::Char('s') => Act::Shorten,
        KeyCode::Char('r') => Act::Refresh,
        KeyCode::Char('?' | 'h') => Act::Help,
        KeyCode::PageDown => Act::ScrollDown,
        KeyCode::PageUp => Act::ScrollUp,
        _ => return None,
    })
}
