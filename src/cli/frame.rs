//! What screens that take over the terminal have in common.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::spans;

/// The line at the top.
pub(super) const BAR: Style = Style::new().add_modifier(Modifier::REVERSED);
/// What is not what one looks for.
pub(super) const FAINT: Style = Style::new().add_modifier(Modifier::DIM);

/// Columns of the keys' explanation.
const WIDTH: u16 = 70;

/// A text in the command line's colours below a line with its title, from its line `scroll` on.
pub(super) fn passage(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    lines: &[String],
    scroll: u16,
) {
    let lines: Vec<Line<'_>> = lines.iter().map(|line| spans::line(line)).collect();
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(FAINT)
        .title(Span::styled(title, FAINT));
    let text = Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .scroll((scroll, 0))
        .block(block);
    frame.render_widget(text, area);
}

/// Explains the keys, above everything else.
pub(super) fn help(frame: &mut Frame<'_>, keys: &[(&str, &str)]) {
    let all = frame.area();
    let height = u16::try_from(keys.len() + 2).unwrap_or(u16::MAX);
    let area = all.centered(
        Constraint::Length(WIDTH.min(all.width)),
        Constraint::Length(height.min(all.height)),
    );
    let line = |&(key, does): &(&str, &str)| {
        let key = Span::styled(format!(" {key:<11}"), Modifier::BOLD);
        Line::from(vec![key, Span::raw(does.to_owned())])
    };
    let lines: Vec<Line<'_>> = keys.iter().map(line).collect();
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" Keys ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
