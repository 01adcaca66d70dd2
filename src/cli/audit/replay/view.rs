//! Draws the screen.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::super::frame::{BAR, FAINT, help, passage};
use super::super::super::out::{BAD, DIM, GOOD, WARN, paint};
use super::super::super::spans;
use super::super::show::moments::{acts, marked};
use super::super::show::statement::{begun, ended, one_line};
use super::super::words::{clock, day_and_time, error, took, zone};
use super::keys::{HELP, Prompt};
use super::screen::Screen;
use crate::audit::Outcome;
use crate::audit::replay::{Cue, Moment, Statement};

const KEYS: &str = " space pause  ←→ step  ↑↓ speed  i idle  g go to  / search  ? help  q quit";

/// Draws all of it.
pub(super) fn draw(screen: &Screen<'_>, frame: &mut Frame<'_>) {
    let rows = [
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [title, list, detail, progress, bottom] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(self::title(screen).style(BAR), title);
    let lines = self::list(screen, list);
    frame.render_widget(Paragraph::new(lines), list);
    self::detail(screen, frame, detail);
    self::progress(screen, frame, progress);
    frame.render_widget(self::bottom(screen), bottom);
    if screen.help {
        help(frame, &HELP);
    }
}

fn title(screen: &Screen<'_>) -> Line<'static> {
    let story = screen.story;
    let unknown = || "(unknown)".to_owned();
    let at = story.begins_at();
    Line::raw(format!(
        " {}  {} on {}  {} {}",
        story.session,
        story
            .principal
            .as_ref()
            .map_or_else(unknown, ToString::to_string),
        story
            .target
            .as_ref()
            .map_or_else(unknown, ToString::to_string),
        day_and_time(at),
        zone(at)
    ))
}

/// What has begun, the last at the bottom.
fn list(screen: &Screen<'_>, area: Rect) -> Vec<Line<'static>> {
    let tape = screen.player.tape();
    let begun = tape.begun(screen.player.position());
    let first = begun.saturating_sub(area.height.into());
    let shown = &tape.cues[first..begun];
    let last = shown.len().saturating_sub(1);
    let rows = shown.iter().enumerate().map(|(place, cue)| {
        let row = row(screen, &screen.moments[cue.moment], cue, area.width.into());
        match place == last {
            true => row.patch_style(Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)),
            false => row,
        }
    });
    rows.collect()
}

fn row(screen: &Screen<'_>, moment: &Moment<'_>, cue: &Cue, width: usize) -> Line<'static> {
    let time = paint(DIM, &clock(cue.start));
    let Moment::Statement(statement) = moment else {
        let act = acts(screen.story, moment).swap_remove(0);
        return spans::line(&format!(" {time}  {act}"));
    };
    let mark = marked(screen.story, statement.connection);
    let number = format!("#{}", cue.number.unwrap_or_default());
    let left = spans::line(&format!(
        " {time}  {mark}{} {}",
        paint(DIM, &format!("{number:<4}")),
        one_line(statement)
    ));
    let is_over = cue.end <= screen.player.position();
    let right = spans::line(&verdict(statement, is_over));
    side_by_side(left, right, width)
}

/// What became of a statement, as short as can be.
fn verdict(statement: &Statement, is_over: bool) -> String {
    let Some(end) = statement.end.as_ref().filter(|_| is_over) else {
        let text = if is_over { "? no outcome" } else { "… runs" };
        return paint(WARN, text);
    };
    match end.outcome {
        Outcome::Completed | Outcome::Suspended => {
            format!("{} {}", paint(GOOD, "✓"), took(end.microseconds))
        }
        Outcome::Failed => {
            let code = end.sqlstate.as_deref().unwrap_or_default();
            let code: String = error(code).chars().take(5).collect();
            paint(BAD, &format!("✗ {code}"))
        }
        Outcome::Skipped => paint(DIM, "– skipped"),
        Outcome::Unknown => paint(WARN, "? unknown"),
    }
}

/// Cuts `left` so that `right` has its place at the end of the line.
fn side_by_side(left: Line<'static>, right: Line<'static>, width: usize) -> Line<'static> {
    let room = width.saturating_sub(right.width() + 2);
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for span in left.spans {
        let mut text = String::new();
        for c in span.content.chars() {
            let wide = Span::raw(c.to_string()).width();
            if used + wide > room {
                break;
            }
            used += wide;
            text.push(c);
        }
        spans.push(Span::styled(text, span.style));
    }
    let gap = width.saturating_sub(used + right.width() + 1);
    spans.push(Span::raw(" ".repeat(gap)));
    spans.extend(right.spans);
    spans.push(Span::raw(" "));
    Line::from(spans)
}

/// The current statement in full, and its end when it has come.
fn detail(screen: &Screen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let tape = screen.player.tape();
    let current = screen.player.current().and_then(|it| tape.cues.get(it));
    let (title, lines) = match current {
        None => (String::new(), Vec::new()),
        Some(cue) => told(screen, &screen.moments[cue.moment], cue),
    };
    passage(frame, area, title, &lines, screen.scroll);
}

fn told(screen: &Screen<'_>, moment: &Moment<'_>, cue: &Cue) -> (String, Vec<String>) {
    let Moment::Statement(statement) = moment else {
        return (String::new(), acts(screen.story, moment));
    };
    let ordinal = screen.story.ordinal(statement.connection);
    let number = cue.number.unwrap_or_default();
    let title = format!(
        " #{number} of {}, connection {ordinal} ",
        statements(screen)
    );
    let mut lines = begun(statement, true);
    match cue.end <= screen.player.position() {
        true => lines.extend(ended(statement, true)),
        false => lines.push(format!("  {}", paint(WARN, "… runs"))),
    }
    (title, lines)
}

fn statements(screen: &Screen<'_>) -> usize {
    let cues = screen.player.tape().cues.iter();
    cues.filter(|cue| cue.number.is_some()).count()
}

fn progress(screen: &Screen<'_>, frame: &mut Frame<'_>, area: Rect) {
    let player = &screen.player;
    let (position, length) = (player.position(), player.tape().length);
    let state = match (player.is_over(), player.is_paused()) {
        (true, _) => "■ the end",
        (_, true) => "❚❚ paused",
        _ => "▶ plays",
    };
    let idle = player.cut().map_or_else(String::new, |most| {
        format!("  idle at most {}", humantime::format_duration(most))
    });
    let text = format!(
        " {state} {}x{idle}  {} / {} ",
        player.speed(),
        short(position, length),
        short(length, length)
    );
    let width = u16::try_from(Span::raw(&*text).width()).unwrap_or(u16::MAX);
    let parts = [Constraint::Length(width), Constraint::Fill(1)];
    let [words, bar] = Layout::horizontal(parts).areas(area);
    frame.render_widget(Line::raw(text), words);
    let line = self::bar(position, length, bar.width.saturating_sub(1).into());
    frame.render_widget(line, bar);
}

/// As much of a time as can be read while it runs.
fn short(time: Duration, length: Duration) -> String {
    let text = clock(time);
    let digits = if length < Duration::from_secs(60) {
        2
    } else {
        4
    };
    text[..text.len().saturating_sub(digits)].to_owned()
}

fn bar(position: Duration, length: Duration, width: usize) -> Line<'static> {
    let ratio = match length.is_zero() {
        true => 1.0,
        false => position.as_secs_f64() / length.as_secs_f64(),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "it is a number of columns"
    )]
    let full = ((ratio.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    Line::from(vec![
        Span::styled("━".repeat(full), Color::Cyan),
        Span::styled("─".repeat(width - full), FAINT),
    ])
}

fn bottom(screen: &Screen<'_>) -> Line<'static> {
    match (&screen.typing, &screen.message) {
        (Some((Prompt::Search, text)), _) => Line::raw(format!("/{text}▏")),
        (Some((Prompt::Jump, text)), _) => {
            Line::raw(format!("Go to a statement (12) or a time (1:30): {text}▏"))
        }
        (None, Some(message)) => Line::styled(format!(" {message}"), Color::Yellow),
        (None, None) => Line::styled(KEYS, FAINT),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::keys;
    use super::*;
    use crate::audit::replay::{Player, Story, Tape, testing};

    fn screen(story: &Story) -> Screen<'_> {
        let tape = Tape::of(&Tape::moments(story));
        Screen::new(story, Player::new(tape, Duration::ZERO))
    }

    fn press(screen: &mut Screen<'_>, code: KeyCode) -> bool {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        let act = keys::act(key, screen.typing.is_some()).unwrap();
        screen.act(act, Duration::ZERO)
    }

    fn typed(screen: &mut Screen<'_>, text: &str) {
        for c in text.chars() {
            press(screen, KeyCode::Char(c));
        }
        press(screen, KeyCode::Enter);
    }

    fn drawn(screen: &Screen<'_>, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(screen, frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn what_has_run_is_listed_and_what_runs_is_shown_in_full() {
        let story = testing::story();
        let mut screen = screen(&story);
        screen.player.tick(Duration::from_millis(1500));
        let text = drawn(&screen, 80, 24);
        for expected in [
            "maya on orders-admin",
            "#1   select 1",
            "✓ 250 ms",
            "▶ plays 1x",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
        assert!(!text.contains("update"), "it has not begun:\n{text}");
        screen.player.tick(Duration::from_millis(2500));
        let text = drawn(&screen, 80, 24);
        for expected in [
            "… runs",
            "#2 of 3, connection 2",
            "set note = $1",
            "$1 = 'it''s'",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn keys_pause_step_search_and_jump() {
        let story = testing::story();
        let mut screen = screen(&story);
        press(&mut screen, KeyCode::Char(' '));
        assert!(drawn(&screen, 80, 24).contains("❚❚ paused"));
        press(&mut screen, KeyCode::Char('/'));
        typed(&mut screen, "hostile");
        let text = drawn(&screen, 80, 24);
        assert!(
            text.contains("#3 of 3") && text.contains("42P01 (undefined table)"),
            "{text}"
        );
        press(&mut screen, KeyCode::Char('g'));
        typed(&mut screen, "1");
        assert!(drawn(&screen, 80, 24).contains("#1 of 3"));
        press(&mut screen, KeyCode::Char('g'));
        typed(&mut screen, "99");
        assert!(drawn(&screen, 80, 24).contains("there is no such statement"));
        press(&mut screen, KeyCode::Up);
        assert!(drawn(&screen, 80, 24).contains(" 2x "));
        press(&mut screen, KeyCode::Char('i'));
        assert!(drawn(&screen, 80, 24).contains("idle at most 2s"));
        press(&mut screen, KeyCode::Char('?'));
        assert!(drawn(&screen, 80, 24).contains("twice as fast"));
        press(&mut screen, KeyCode::Esc);
        assert!(!drawn(&screen, 80, 24).contains("twice as fast"));
        assert!(!press(&mut screen, KeyCode::Char('q')));
    }

    #[test]
    fn nothing_from_the_record_steers_the_terminal() {
        let story = testing::story();
        let mut screen = screen(&story);
        press(&mut screen, KeyCode::End);
        let text = drawn(&screen, 200, 40);
        assert!(text.contains("from \u{fffd}[2Jhostile\u{fffd}"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn it_is_drawn_at_any_size() {
        let story = testing::story();
        let mut screen = screen(&story);
        press(&mut screen, KeyCode::End);
        for (width, height) in [(1, 1), (10, 3), (40, 10), (80, 24), (300, 100)] {
            drawn(&screen, width, height);
            press(&mut screen, KeyCode::Char('?'));
            drawn(&screen, width, height);
        }
    }
}
