//! CSV as RFC 4180 has it, for spreadsheets, too: no cell of it is a formula.

use std::borrow::Cow;

use super::super::statement::Statement;
use super::columns::{COLUMNS, Value};

/// Makes lines of CSV.
#[derive(Debug, Clone, Copy, Default)]
pub struct Csv;

impl Csv {
    /// The line with the names of the columns, without its end (`\r\n`).
    pub fn heading(self) -> String {
        line(&COLUMNS.map(|column| column.name.into()))
    }

    /// A statement's line, without its end. Within it, texts may have line ends, in quotes.
    pub fn line(self, statement: &Statement) -> String {
        line(&COLUMNS.map(|column| cell((column.value)(statement))))
    }
}

fn cell(value: Value<'_>) -> Cow<'_, str> {
    match value {
        Value::None => "".into(),
        Value::Number(n) => n.to_string().into(),
        Value::Time(at) => at.to_string().into(),
        Value::Text(text) => text,
    }
}

fn line(cells: &[Cow<'_, str>]) -> String {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    let cells = cells.iter().map(|cell| guarded(cell));
    // Neither can fail: it goes to memory, and is one record.
    let written = writer.write_record(cells.map(|cell| cell.into_owned().into_bytes()));
    let line = written.ok().and_then(|()| writer.into_inner().ok());
    let line = String::from_utf8(line.unwrap_or_default()).unwrap_or_default();
    line.strip_suffix('\n').unwrap_or(&line).to_owned()
}

/// With an apostrophe before what a spreadsheet would take for a formula.
fn guarded(cell: &str) -> Cow<'_, str> {
    match cell.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => format!("'{cell}").into(),
        _ => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::join::Joiner;
    use super::super::super::testing::{finished, origin, records, started};
    use super::*;

    fn cells(sql: &str) -> Vec<String> {
        let origin = origin(1, 1);
        let mut joiner = Joiner::default();
        for record in records(vec![started(&origin, 1, sql), finished(&origin, 1, 7)]) {
            joiner.take(&record);
        }
        let statement = joiner.finish().next().unwrap();
        let text = format!("{}\r\n{}\r\n", Csv.heading(), Csv.line(&statement));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), COLUMNS.len());
        let record = reader.records().next().unwrap().unwrap();
        record.iter().map(str::to_owned).collect()
    }

    #[test]
    fn cells_come_back_whatever_is_in_them() {
        let sql = "select 'a,\"b\"'\r\n, 2;";
        let cells = cells(sql);
        assert_eq!((&*cells[16], &*cells[11]), (sql, "7"));
        assert_eq!(cells[1], "2026-11-22T09:00:01Z");
        assert_eq!(cells[8], "simple");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\r"] {
            let sql = format!("{start}cmd|'/C calc'!A0");
            assert_eq!(cells(&sql)[16], format!("'{sql}"));
        }
        assert_eq!(cells("select -1")[16], "select -1");
    }
}
