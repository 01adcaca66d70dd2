//! Text in the command line's colours, as ratatui has it.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// A line with what [`anstyle`] has put into it. What came from records was made inert before, so
/// each escape is one of ours.
pub(super) fn line(text: &str) -> Line<'static> {
    let mut spans = Vec::new();
    let mut style = Style::new();
    let mut pieces = text.split("\x1b[");
    push(&mut spans, style, pieces.next().unwrap_or_default());
    for piece in pieces {
        let (codes, text) = piece.split_once('m').unwrap_or(("", piece));
        for code in codes.split(';') {
            style = apply(style, code.parse().unwrap_or(0));
        }
        push(&mut spans, style, text);
    }
    Line::from(spans)
}

fn push(spans: &mut Vec<Span<'static>>, style: Style, text: &str) {
    if !text.is_empty() {
        spans.push(Span::styled(text.to_owned(), style));
    }
}

fn apply(style: Style, code: u8) -> Style {
    match code {
        0 => Style::new(),
        1 => style.add_modifier(Modifier::BOLD),
        2 => style.add_modifier(Modifier::DIM),
        30..=37 => style.fg(Color::Indexed(code - 30)),
        90..=97 => style.fg(Color::Indexed(code - 90 + 8)),
        _ => style,
    }
}

#[cfg(test)]
mod tests {
    use super::super::out::{BAD, paint};
    use super::*;

    #[test]
    fn colours_come_over_and_nothing_else_does() {
        let line = line(&format!("a {} b", paint(BAD, "bad")));
        let texts: Vec<&str> = line.spans.iter().map(|span| &*span.content).collect();
        assert_eq!(texts, ["a ", "bad", " b"]);
        let bad = Style::new().add_modifier(Modifier::BOLD);
        assert_eq!(line.spans[1].style, bad.fg(Color::Indexed(1)));
        assert_eq!(line.spans[2].style, Style::new());
    }
}
