//! The forms that statements are printed in.

use jiff::tz::TimeZone;

use super::super::columns::Columns;
use super::super::error::CliError;
use super::super::out::{self, Format};
use super::row;
use crate::audit::export::{Csv, json_line};
use crate::audit::search::Found;

/// How what is found is printed.
#[derive(Debug)]
pub(super) enum Form {
    Rows(Columns, TimeZone),
    Whole(TimeZone),
    Json,
    Csv,
}

impl Form {
    /// For the output that was asked for; `whole`: of people's, all of it.
    pub(super) fn new(format: Format, whole: bool) -> Self {
        let zone = TimeZone::system();
        match format {
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
            Format::Human if whole => Self::Whole(zone),
            Format::Human => Self::Rows(row::columns(out::width()), zone),
        }
    }

    /// What comes first.
    pub(super) fn heading(&self) -> Option<String> {
        match self {
            Self::Rows(columns, _) => Some(columns.heading()),
            Self::Csv => Some(Csv.heading() + "\r"),
            Self::Whole(_) | Self::Json => None,
        }
    }

    /// What was found.
    pub(super) fn text(&self, found: &Found) -> Result<String, CliError> {
        let json =
            |line: serde_json::Result<String>| line.map_err(|error| CliError::Output(error.into()));
        Ok(match (self, found) {
            (Self::Rows(columns, zone), _) => row::row(columns, zone, found),
            // An empty line is between two.
            (Self::Whole(zone), _) => row::whole(zone, found) + " ",
            (Self::Csv, Found::Statement(statement)) => Csv.line(statement) + "\r",
            (Self::Json, Found::Statement(statement)) => json(json_line(statement))?,
            (Self::Csv | Self::Json, Found::Event(record)) => json(json_line(record))?,
        })
    }
}
