//! Draws the inbox.

use jiff::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table, TableState};

use super::super::frame::{BAR, FAINT, help, passage};
use super::super::human::{clean, clock_time, inert, relative};
use super::super::requests::{length, stage, words};
use super::keys::HELP;
use super::model::{Inbox, Message, Prompt};
use super::{detail, target};
use crate::http::types::RequestView;

const KEYS: &str = " a approve  d deny  s shorter  ↑↓ choose  enter all  r refresh  ? help  q quit";
const HEADER: [&str; 7] = ["", "WHO", "TARGET", "FOR", "WHY", "STAGE", "LAPSES"];

/// Draws all of it, as it is at `now`.
pub(super) fn draw(inbox: &Inbox, now: Timestamp, frame: &mut Frame<'_>) {
    let list = u16::try_from(inbox.requests.len()).unwrap_or(u16::MAX);
    let rows = [
        Constraint::Length(1),
        match inbox.whole {
            true => Constraint::Length(0),
            // The list takes what it needs, and at most two fifths.
            false => Constraint::Length(list.saturating_add(2).min(frame.area().height * 2 / 5)),
        },
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [title, list, detail, bottom] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(self::title(inbox, now).style(BAR), title);
    self::list(inbox, now, frame, list);
    self::detail(inbox, now, frame, detail);
    frame.render_widget(self::bottom(inbox), bottom);
    if inbox.help {
        help(frame, &HELP);
    }
}

fn title(inbox: &Inbox, now: Timestamp) -> Line<'static> {
    let count = match inbox.requests.len() {
        0 => "nothing waits for you".to_owned(),
        1 => "1 request waits for you".to_owned(),
        count => format!("{count} requests wait for you"),
    };
    let lost = inbox.lost.as_ref();
    let lost = lost.map_or_else(String::new, |why| format!("  NO ANSWER: {}", clean(why)));
    let time = clock_time(now, now);
    Line::raw(format!(" {}  {count}  {time}{lost}", inbox.me))
}

fn list(inbox: &Inbox, now: Timestamp, frame: &mut Frame<'_>, area: Rect) {
    let rows = inbox
        .requests
        .iter()
        .map(|request| row(inbox, request, now));
    let widths = [
        Constraint::Length(1),
        Constraint::Max(16),
        Constraint::Max(20),
        Constraint::Max(14),
        Constraint::Fill(1),
        Constraint::Length(5),
        Constraint::Length(10),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(HEADER).style(FAINT))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(inbox.selected().map(|(place, _)| place));
    frame.render_stateful_widget(table, area, &mut state);
}

fn row(inbox: &Inbox, request: &RequestView, now: Timestamp) -> Row<'static> {
    let fresh = inbox.is_fresh(request, now);
    let mark = if fresh { "●" } else { "" };
    let row = Row::new([
        mark.to_owned(),
        clean(request.requester.as_str()),
        clean(request.target.as_str()),
        length(request),
        clean(&request.reason),
        stage(request),
        relative(now, request.lapses_at),
    ]);
    match fresh {
        true => row.style(Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD)),
        false => row,
    }
}

fn detail(inbox: &Inbox, now: Timestamp, frame: &mut Frame<'_>, area: Rect) {
    let Some((_, request)) = inbox.selected() else {
        let text = "\n Nothing waits for you. What comes shows up here by itself.";
        return frame.render_widget(Paragraph::new(text).style(FAINT), area);
    };
    let target = target(&inbox.targets, request);
    let lines = detail::lines(request, target, inbox.before(request), now);
    let lines: Vec<String> = lines.iter().map(|line| format!(" {line}")).collect();
    passage(
        frame,
        area,
        format!(" {} ", request.id),
        &lines,
        inbox.scroll,
    );
}

fn bottom(inbox: &Inbox) -> Line<'static> {
    let said = inbox.message.as_ref().map(said);
    let Some((id, _, prompt)) = &inbox.prompt else {
        return said.unwrap_or_else(|| Line::styled(KEYS, FAINT));
    };
    let request = inbox.requests.iter().find(|request| request.id == *id);
    let mut line = Line::raw(format!(" {}", question(prompt, request)));
    if let Some(said) = said {
        line.extend(said);
    }
    line
}

fn said(message: &Message) -> Line<'static> {
    match message {
        Message::Good(text) => Line::styled(format!(" {}", clean(text)), Color::Green),
        Message::Bad(text) => Line::styled(format!("  {}", clean(text)), Color::Red),
    }
}

fn question(prompt: &Prompt, request: Option<&RequestView>) -> String {
    let whose = request.map_or_else(String::new, |it| {
        format!("{}'s {}", it.requester, it.target)
    });
    let asked = request.map_or("", |it| &it.duration);
    let typed = |text: &str| text.chars().map(inert).collect::<String>();
    match prompt {
        Prompt::Approve(shorter) => {
            let long = shorter.map_or_else(|| asked.to_owned(), words);
            format!("Approve {whose} for {long}?  y yes  n no  s for a shorter time")
        }
        Prompt::Shorten(text) => {
            format!("For how long, at most {asked} (10m)? {}▏", typed(text))
        }
        Prompt::Deny(text) => format!("Deny {whose}: why? {}▏", typed(text)),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::act::Act;
    use super::super::testing::{at, inbox, request, session, target};
    use super::*;
    use crate::access::SessionState;

    fn drawn(inbox: &Inbox, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let drawn = terminal.draw(|frame| draw(inbox, at(600), frame));
        drawn.unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_list_and_the_chosen_request_are_shown() {
        let mut inbox = inbox(2);
        inbox.targets = vec![target("orders-ro")];
        let whose = inbox.wanted().unwrap();
        let past = session("maya", SessionState::Expired { at: at(60) });
        inbox.remembered(whose, vec![past]);
        let text = drawn(&inbox, 100, 30);
        for part in [
            "dana  2 requests wait for you",
            "INC-2 stuck refunds",
            "in 50m",
            "maya asks for orders-ro (production, read only) for 30m",
            "maya on orders-ro before",
            "a approve",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\x1b'), "what others wrote is inert");
    }

    #[test]
    fn what_is_asked_names_whom_it_is_about() {
        let mut inbox = inbox(1);
        inbox.act(Act::Approve);
        assert!(drawn(&inbox, 100, 20).contains("Approve maya's orders-ro for 30m?  y yes"));
        inbox.act(Act::Escape);
        inbox.act(Act::Deny);
        inbox.act(Act::Type('x'));
        assert!(drawn(&inbox, 100, 20).contains("Deny maya's orders-ro: why? x▏"));
    }

    #[test]
    fn what_is_new_is_marked_and_an_answer_that_stays_away_is_told() {
        let mut inbox = inbox(0);
        assert!(drawn(&inbox, 80, 10).contains("Nothing waits for you."));
        inbox.arrived(vec![request(1)], at(599));
        assert!(drawn(&inbox, 80, 20).contains('●'));
        inbox.unanswered("connection refused".into());
        assert!(drawn(&inbox, 80, 20).contains("NO ANSWER: connection refused"));
    }

    #[test]
    fn it_is_drawn_at_any_size() {
        let mut inbox = inbox(40);
        inbox.act(Act::Last);
        for (width, height) in [(1, 1), (10, 3), (40, 10), (300, 100)] {
            drawn(&inbox, width, height);
            inbox.act(Act::Help);
            inbox.act(Act::Enter);
            drawn(&inbox, width, height);
        }
    }
}
