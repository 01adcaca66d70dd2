//! Statements in the forms that other programs read.

mod clients;
mod columns;
mod csv;
mod json;
pub mod ocsf;
mod parquet;

pub use clients::Clients;
pub use csv::Csv;
pub use json::json_line;
pub use parquet::Parquet;
