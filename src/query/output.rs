//! Writes a result as a table, CSV, JSON or Parquet.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Destination, QueryError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    Csv,
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    Parquet,
}

/// Writes all batches; gives the number of rows.
///
/// Rows are written as they come, but for the table, whose columns are as wide as their widest
/// cell.
pub fn write(
    batches: duckdb::Arrow<'_>,
    format: Format,
    destination: &Destination,
) -> Result<u64, QueryError> {
    let schema = batches.get_schema();
    match destination {
        Destination::Stdout => {
            let stdout = io::stdout();
            if format == Format::Parquet && stdout.is_terminal() {
                return Err(QueryError::Write {
                    path: "the terminal".into(),
                    reason: "Parquet is binary; give --out FILE".into(),
                });
            }
            match write_to(batches, &schema, format, BufWriter::new(stdout)) {
                // Whoever read the output has seen enough.
                Err(Failure::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(0),
                result => result.map_err(|e| e.at(Path::new("standard output"))),
            }
        }
        Destination::File(path) => {
            let failed = |e: io::Error| Failure::Io(e).at(path);
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
            let file = file.map_err(failed)?;
            let writer = BufWriter::new(file.as_file().try_clone().map_err(failed)?);
            let rows = write_to(batches, &schema, format, writer).map_err(|e| e.at(path))?;
            file.as_file().sync_all().map_err(failed)?;
            crate::files::persist(file, path).map_err(failed)?;
            Ok(rows)
        }
    }
}

/// A failure before it is known where the output was to go.
enum Failure {
    Io(io::Error),
    Other(String),
}

impl Failure {
    fn at(self, path: &Path) -> QueryError {
        QueryError::Write {
            path: path.into(),
            reason: match self {
                Self::Io(e) => e.to_string(),
                Self::Other(reason) => reason,
            },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        match error {
            arrow::error::ArrowError::IoError(_, e) => Self::Io(e),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<parquet::errors::ParquetError> for Failure {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Other(error.to_string())
    }
}

fn write_to<W: Write + Send>(
    batches: duckdb::Arrow<'_>,
    schema: &SchemaRef,
    format: Format,
    mut out: W,
) -> Result<u64, Failure> {
    let mut rows = 0;
    let batches = batches.inspect(|batch| rows += batch.num_rows() as u64);
    match format {
        Format::Table => {
            let batches: Vec<RecordBatch> = batches.collect();
            writeln!(out, "{}", table(schema, &batches)?)?;
        }
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new().build(&mut out);
            // An empty result has a header too.
            writer.write(&RecordBatch::new_empty(schema.clone()))?;
            for batch in batches {
                writer.write(&batch)?;
            }
        }
        Format::Json => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::JsonArray>(&mut out);
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.finish()?;
            drop(writer);
            writeln!(out)?;
        }
        Format::Jsonl => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::LineDelimited>(&mut out);
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            let mut writer = ArrowWriter::try_new(&mut out, schema.clone(), Some(properties))?;
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.close()?;
        }
    }
    out.flush()?;
    Ok(rows)
}

fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Table, Failure> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(schema.fields().iter().map(|field| field.name()));
    for (column, field) in table.column_iter_mut().zip(schema.fields()) {
        if is_number(field.data_type()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let options = FormatOptions::default().with_null("NULL");
    for batch in batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let cells = formatters.iter().zip(schema.fields());
            table.add_row(cells.map(|(formatter, field)| {
                let value = formatter.value(row).to_string();
                let cell = Cell::new(value);
                match is_number(field.data_type()) {
                    true => cell.set_alignment(CellAlignment::Right),
                    false => cell,
                }
            }));
        }
    }
    Ok(table)
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}
