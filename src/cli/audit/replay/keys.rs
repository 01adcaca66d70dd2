//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Quit,
    Pause,
    Forward,
    Back,
    First,
    Last,
    Faster,
    Slower,
    Idle,
    Down,
    Up,
    Next,
    Previous,
    Help,
    Ask(Prompt),
    Type(char),
    Erase,
    Enter,
    Escape,
}

/// What is asked for below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prompt {
    Search,
    Jump,
}

/// The keys, for people.
pub(super) const HELP: [(&str, &str); 11] = [
    ("space", "pause, go on"),
    ("→ ←", "one step on, one back"),
    ("↑ ↓", "twice as fast, half as fast"),
    ("i", "cut the time in which nothing runs"),
    ("g", "go to a statement (12) or a time (1:30)"),
    ("/", "search in texts and parameters"),
    (
        "n N",
        "next match, match before; n p: steps, without a search",
    ),
    ("Home End", "to the beginning, to the end"),
    ("PgDn PgUp", "more of a long statement"),
    ("?", "these keys"),
    ("q", "quit"),
];

/// What `key` asks for; `typing` if it may be part of a text.
pub(super) fn act(key: KeyEvent, typing: bool) -> Option<Act> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Act::Quit);
    }
    match key.code {
        KeyCode::Enter => Some(Act::Enter),
        KeyCode::Esc => Some(Act::Escape),
        KeyCode::Backspace => Some(Act::Erase),
        KeyCode::Char(c) if typing => Some(Act::Type(c)),
        code => command(code),
    }
}

fn command(code: KeyCode) -> Option<Act> {
    Some(match code {
        KeyCode::Char('q') => Act::Quit,
        KeyCode::Char(' ') => Act::Pause,
        KeyCode::Right => Act::Forward,
        KeyCode::Left | KeyCode::Char('p') => Act::Back,
        KeyCode::Home => Act::First,
        KeyCode::End => Act::Last,
        KeyCode::Up | KeyCode::Char('+') => Act::Faster,
        KeyCode::Down | KeyCode::Char('-') => Act::Slower,
        KeyCode::Char('i') => Act::Idle,
        KeyCode::PageDown => Act::Down,
        KeyCode::PageUp => Act::Up,
        KeyCode::Char('n') => Act::Next,
        KeyCode::Char('N') => Act::Previous,
        KeyCode::Char('?' | 'h') => Act::Help,
        KeyCode::Char('/') => Act::Ask(Prompt::Search),
        KeyCode::Char('g') => Act::Ask(Prompt::Jump),
        _ => return None,
    })
}
