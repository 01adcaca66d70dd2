//! Statements in the forms that other programs read.

mod csv;
mod json;

pub use csv::Csv;
pub use json::json_line;
