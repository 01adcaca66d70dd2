//! Parquet, compressed with zstd: a row each statement, in groups of bounded size.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;

use super::super::statement::Statement;
use super::columns::{COLUMNS, Column, Kind, Value};

/// Rows of a group at most, and bytes of texts, about.
const ROWS: usize = 50_000;
const BYTES: usize = 64 << 20;

/// Writes a Parquet file.
pub struct Parquet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Cells>,
    rows: usize,
    bytes: usize,
}

/// The values of a column that are not written yet, and of each row whether it has one.
#[derive(Default)]
struct Cells {
    present: Vec<i16>,
    numbers: Vec<i64>,
    texts: Vec<ByteArray>,
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(&schema()).map_err(failed)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("hallpass ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties));
        Ok(Self {
            file: file.map_err(failed)?,
            columns: COLUMNS.iter().map(|_| Cells::default()).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a statement.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, statement: &Statement) -> io::Result<()> {
        for (column, cells) in COLUMNS.iter().zip(&mut self.columns) {
            self.bytes += cells.push((column.value)(statement));
        }
        self.rows += 1;
        match self.rows >= ROWS || self.bytes >= BYTES {
            true => self.write_group(),
            false => Ok(()),
        }
    }

    /// Ends the file, and gives back what it was written to.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.file.into_inner().map_err(failed)
    }

    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.file.next_row_group().map_err(failed)?;
        for (column, cells) in COLUMNS.iter().zip(&mut self.columns) {
            let Some(writer) = group.next_column().map_err(failed)? else {
                break;
            };
            std::mem::take(cells)
                .write(column, writer)
                .map_err(failed)?;
        }
        group.close().map_err(failed)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Cells {
    /// Returns how many bytes it holds now in addition.
    fn push(&mut self, value: Value<'_>) -> usize {
        self.present.push(i16::from(value != Value::None));
        match value {
            Value::None => 0,
            Value::Number(n) => self.number(i64::try_from(n).unwrap_or(i64::MAX)),
            Value::Time(at) => self.number(at.as_microsecond()),
            Value::Text(text) => {
                let bytes = text.len();
                self.texts.push(text.into_owned().into_bytes().into());
                bytes
            }
        }
    }

    fn number(&mut self, n: i64) -> usize {
        self.numbers.push(n);
        size_of::<i64>()
    }

    fn write(
        self,
        column: &Column,
        mut writer: SerializedColumnWriter<'_>,
    ) -> Result<(), ParquetError> {
        let present = (!column.required).then_some(&self.present[..]);
        match column.kind {
            Kind::Number | Kind::Time => {
                let typed = writer.typed::<Int64Type>();
                typed.write_batch(&self.numbers, present, None)?;
            }
            Kind::Text | Kind::Json => {
                let typed = writer.typed::<ByteArrayType>();
                typed.write_batch(&self.texts, present, None)?;
            }
        }
        writer.close()
    }
}

/// The schema, in Parquet's own language.
fn schema() -> String {
    let fields = COLUMNS.iter().map(|column| {
        let repetition = if column.required {
            "REQUIRED"
        } else {
            "OPTIONAL"
        };
        let (kind, meaning) = match column.kind {
            Kind::Number => ("INT64", "INTEGER(64,true)"),
            Kind::Time => ("INT64", "TIMESTAMP(MICROS,true)"),
            Kind::Text => ("BYTE_ARRAY", "UTF8"),
            Kind::Json => ("BYTE_ARRAY", "JSON"),
        };
        format!("  {repetition} {kind} {} ({meaning});\n", column.name)
    });
    format!("message statement {{\n{}}}", fields.collect::<String>())
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
