//! SQL from the record, in colours and inert.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

use super::human::inert;
use super::out::{DIM, paint};
use crate::sql::{Kind, Token, is_keyword, tokens};

const KEYWORD: Style = AnsiColor::Blue.on_default().bold();
const STRING: Style = AnsiColor::Green.on_default();
const NUMBER: Style = AnsiColor::Yellow.on_default();
const PARAMETER: Style = AnsiColor::Magenta.on_default();
const PLAIN: Style = Style::new();

/// Where a line ended that matters: behind a comment that ran to it.
const LINE_END: &str = " ⏎ ";

/// All of `sql`, in its lines.
pub(super) fn lines(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() * 2);
    for token in tokens(sql) {
        let style = style(&token);
        // A pager takes each line for itself, and so must its colours.
        for (place, line) in token.text.split('\n').enumerate() {
            if place > 0 {
                text.push('\n');
            }
            push(&mut text, style, &shown(line));
        }
    }
    text
}

/// A line's characters, with tabs as spaces and without a carriage return at its end.
fn shown(line: &str) -> String {
    let line = line.strip_suffix('\r').unwrap_or(line);
    line.replace('\t', "    ").chars().map(inert).collect()
}

/// `sql` in one line, cut with an ellipsis to `width` columns if there is a width.
pub(super) fn line(sql: &str, width: Option<usize>) -> String {
    let mut line = Line::new(width.unwrap_or(usize::MAX));
    let mut comment = false;
    for token in tokens(sql.trim()) {
        if token.kind == Kind::Whitespace {
            line.push(PLAIN, if comment { LINE_END } else { " " });
        } else {
            line.push(style(&token), &joined(token.text));
        }
        comment = token.text.starts_with("--");
        if line.is_full() {
            break;
        }
    }
    line.text()
}

/// The text of a token in one line.
fn joined(text: &str) -> String {
    text.chars()
        .map(|c| {
            if matches!(c, '\n' | '\r' | '\t') {
                ' '
            } else {
                inert(c)
            }
        })
        .collect()
}

fn style(token: &Token<'_>) -> Style {
    match token.kind {
        Kind::Word if is_keyword(token.text) => KEYWORD,
        Kind::String => STRING,
        Kind::Number => NUMBER,
        Kind::Parameter => PARAMETER,
        Kind::Comment => DIM,
        _ => PLAIN,
    }
}

fn push(text: &mut String, style: Style, piece: &str) {
    if style == PLAIN || piece.is_empty() {
        text.push_str(piece);
    } else {
        text.push_str(&paint(style, piece));
    }
}

/// A line that takes no more than its width.
struct Line {
    pieces: Vec<(Style, String)>,
    /// How many columns are free; `None` once something did not fit.
    left: Option<usize>,
}

impl Line {
    fn new(width: usize) -> Self {
        Self {
            pieces: Vec::new(),
            left: Some(width),
        }
    }

    fn is_full(&self) -> bool {
        self.left.is_none()
    }

    fn push(&mut self, style: Style, text: &str) {
        let Some(left) = self.left else {
            return;
        };
        let end = fitting(text, left);
        let used: usize = text[..end].chars().map(columns).sum();
        self.left = (end == text.len()).then(|| left - used);
        self.pieces.push((style, text[..end].to_owned()));
        if self.left.is_none() {
            self.make_room(left - used);
        }
    }

    /// Takes characters from the end until there is a column for the ellipsis.
    fn make_room(&mut self, mut free: usize) {
        while free == 0 {
            let Some((_, last)) = self.pieces.last_mut() else {
                return;
            };
            match last.pop() {
                Some(c) => free += columns(c),
                None => drop(self.pieces.pop()),
            }
        }
        self.pieces.push((PLAIN, "…".to_owned()));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (style, piece) in &self.pieces {
            push(&mut text, *style, piece);
        }
        text
    }
}

/// How many bytes of `text` fit into `width` columns.
fn fitting(text: &str, width: usize) -> usize {
    let mut used = 0;
    text.char_indices()
        .find(|(_, c)| {
            used += columns(*c);
            used > width
        })
        .map_or(text.len(), |(at, _)| at)
}

/// How many columns of a terminal a character takes.
pub(super) fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Text that is no SQL, cut in the same way.
pub(super) fn cut(text: &str, width: Option<usize>) -> String {
    let mut line = Line::new(width.unwrap_or(usize::MAX));
    line.push(PLAIN, text);
    line.text()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn each_kind_of_token_has_its_colour() {
        let text = lines("select 'a', 42, $1 -- why");
        let expected = [
            paint(KEYWORD, "select"),
            " ".into(),
            paint(STRING, "'a'"),
            ", ".into(),
            paint(NUMBER, "42"),
            ", ".into(),
            paint(PARAMETER, "$1"),
            " ".into(),
            paint(DIM, "-- why"),
        ];
        assert_eq!(text, expected.concat());
        assert_eq!(lines("names"), "names");
    }

    #[test]
    fn each_line_carries_its_own_colour() {
        let text = lines("'a\r\nb'\n\tc");
        let expected = [
            paint(STRING, "'a"),
            "\n".into(),
            paint(STRING, "b'"),
            "\n    c".into(),
        ];
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn nothing_in_sql_steers_the_terminal() {
        let hostile = "select '\x1b[2J\u{9b}1m', \"\x07\" -- \u{202e}\rx\n\x1b]0;t\x07\u{feff}";
        for text in [lines(hostile), line(hostile, None)] {
            let plain = plain(&text);
            assert!(
                plain.chars().all(|c| c == '\n' || inert(c) == c),
                "{plain:?}"
            );
            assert!(plain.contains("'\u{fffd}[2J\u{fffd}1m'"), "{plain:?}");
        }
    }

    #[test]
    fn one_line_shows_where_a_comment_ended() {
        let text = line("  select 1 -- one\n  from a\n\twhere 'x\ny'", None);
        assert_eq!(plain(&text), "select 1 -- one ⏎ from a where 'x y'");
    }

    #[test]
    fn a_line_is_cut_by_what_is_seen() {
        let cut = |sql: &str, width| plain(&line(sql, Some(width)));
        assert_eq!(cut("select 1", 8), "select 1");
        assert_eq!(cut("select 12", 8), "select …");
        assert_eq!(cut("select '日本語'", 12), "select '日…");
        assert_eq!(cut("select '日本語'", 15), "select '日本語'");
        assert_eq!(cut("select e\u{301}e\u{301}e", 9), "select e\u{301}…");
        assert_eq!(cut("select", 1), "…");
        assert_eq!(super::cut("maya@example.com", Some(8)), "maya@ex…");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(sql in any::<String>(), width in 1usize..30) {
            let text = plain(&line(&sql, Some(width)));
            let wide: usize = text.chars().map(columns).sum();
            prop_assert!(wide <= width, "{text:?}");
        }
    }
}
