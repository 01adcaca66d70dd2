//! A table that is printed row by row, before its length is known: its columns are as wide as they
//! were said to be, and a row is one line.

use std::borrow::Cow;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::highlight;
use super::human::clean;
use super::out::{DIM, paint};

/// Between two columns.
const GAP: &str = "  ";
/// What a column that takes the rest has at least.
const LEAST_REST: usize = 20;

/// A column: its heading, and how many columns of the terminal it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    heading: &'static str,
    /// `None`: what the others leave.
    width: Option<usize>,
    right: bool,
}

impl Column {
    pub(super) const fn text(heading: &'static str, width: usize) -> Self {
        Self {
            heading,
            width: Some(width),
            right: false,
        }
    }

    /// Numbers stand at the right.
    pub(super) const fn number(heading: &'static str, width: usize) -> Self {
        Self {
            heading,
            width: Some(width),
            right: true,
        }
    }

    /// The column that takes what the others leave.
    pub(super) const fn rest(heading: &'static str) -> Self {
        Self {
            heading,
            width: None,
            right: false,
        }
    }
}

/// What stands in a row; all of it may be from others.
#[derive(Debug, Clone)]
pub(super) enum Field<'a> {
    Text(Style, Cow<'a, str>),
    Sql(&'a str),
}

impl<'a> Field<'a> {
    pub(super) fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(Style::new(), text.into())
    }

    fn shown(&self, width: Option<usize>) -> String {
        match self {
            Self::Sql(sql) => highlight::line(sql, width),
            Self::Text(style, text) => {
                let text = highlight::cut(&clean(text), width);
                if *style == Style::new() || text.is_empty() {
                    text
                } else {
                    paint(*style, &text)
                }
            }
        }
    }
}

/// The columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// What a column that takes the rest has; `None`: nothing is cut.
    rest: Option<usize>,
}

impl Columns {
    /// Columns for a terminal of `width`; without one, as in a pipe, nothing is cut.
    pub(super) fn new(columns: Vec<Column>, width: Option<usize>) -> Self {
        let fixed: usize = columns.iter().filter_map(|column| column.width).sum();
        let gaps = GAP.len() * columns.len().saturating_sub(1);
        let rest = width.map(|width| width.saturating_sub(fixed + gaps).max(LEAST_REST));
        Self { columns, rest }
    }

    /// The line above the rows.
    pub(super) fn heading(&self) -> String {
        let names: Vec<Field<'_>> = self
            .columns
            .iter()
            .map(|column| Field::Text(DIM, column.heading.into()))
            .collect();
        self.row(&names)
    }

    /// One row, a field for each column.
    pub(super) fn row(&self, fields: &[Field<'_>]) -> String {
        let cells: Vec<String> = self
            .columns
            .iter()
            .zip(fields)
            .map(|(column, field)| self.cell(*column, field))
            .collect();
        cells.join(GAP).trim_end().to_owned()
    }

    fn cell(&self, column: Column, field: &Field<'_>) -> String {
        // Cut only where there is a terminal: a pipe gets all.
        let width = self.rest.map(|rest| column.width.unwrap_or(rest));
        let text = field.shown(width);
        let wanted = column.width.or(self.rest).unwrap_or(0);
        let padding = " ".repeat(wanted.saturating_sub(seen(&text)));
        if column.right {
            padding + &text
        } else {
            text + &padding
        }
    }
}

/// How many columns of a terminal painted `text` takes.
fn seen(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::GOOD;

    fn table(width: Option<usize>) -> Columns {
        let columns = vec![
            Column::text("WHO", 6),
            Column::number("ROWS", 5),
            Column::rest("STATEMENT"),
        ];
        Columns::new(columns, width)
    }

    fn row(table: &Columns, who: &str, rows: &str, sql: &str) -> String {
        let fields = [
            Field::Text(GOOD, who.into()),
            Field::plain(rows),
            Field::Sql(sql),
        ];
        anstream::adapter::strip_str(&table.row(&fields)).to_string()
    }

    #[test]
    fn rows_stand_under_their_headings() {
        let table = table(Some(40));
        let heading = anstream::adapter::strip_str(&table.heading()).to_string();
        assert_eq!(heading, "WHO      ROWS  STATEMENT");
        assert_eq!(
            row(&table, "maya", "12", "select 1"),
            "maya       12  select 1"
        );
        assert_eq!(row(&table, "日本", "1", "a"), "日本        1  a");
    }

    #[test]
    fn a_row_is_one_line_of_the_terminals_width() {
        let table = table(Some(40));
        let long = row(
            &table,
            "maya@example.com",
            "1234567",
            &"select\n".repeat(20),
        );
        assert_eq!(long, "maya@…  1234…  select select select sel…");
        assert_eq!(seen(&long), 40);
    }

    #[test]
    fn a_pipe_gets_all() {
        let text = row(&table(None), "maya@example.com", "1", &"x ".repeat(100));
        assert!(text.starts_with("maya@example.com      1  x x"), "{text}");
        assert!(text.len() > 200);
    }

    #[test]
    fn fields_from_others_are_inert() {
        let text = row(&table(None), "a\x1b[2J\nb", "", "'\x1b[2J'");
        assert_eq!(text, "a\u{fffd}[2J b         '\u{fffd}[2J'");
    }
}
