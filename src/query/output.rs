//! Writes a result as a table, CSV, JSON, Parquet or Arrow.

use std::collections::HashSet;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::batches::Batches;
use super::error::QueryError;
use super::format::Format;
use super::table::{self, Fit, FittedTable};
use super::types::Adaptation;
use crate::files::{AtomicFile, why_not_written};

/// Where a result goes.
pub enum Destination {
    /// Printed as it comes, or as a table that may be fitted to a terminal.
    Stdout(Extent),
    /// Written under another name and renamed when it is whole.
    File(PathBuf),
}

/// How much of a result is printed as a table; other formats always hold all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every row and column, with all digits.
    All,
    /// The first and last rows and the columns that fit.
    Fit(Fit),
}

/// Writes all batches; gives the number of rows.
///
/// Rows are written as they come, but for the table, whose columns are as wide as their widest
/// cell; one that is fitted to a terminal holds only what it shows.
pub(super) fn write(
    batches: &mut Batches<'_>,
    adaptation: &Adaptation,
    format: Format,
    destination: &Destination,
) -> Result<u64, QueryError> {
    check_names(adaptation, format)?;
    let mut adapted = Adapted::new(batches, adaptation);
    match destination {
        Destination::Stdout(extent) => {
            let stdout = io::stdout();
            if format.is_binary() && stdout.is_terminal() {
                return Err(QueryError::Write {
                    path: "the terminal".into(),
                    reason: format!("{} is binary; give --output FILE", format.title()),
                });
            }
            let mut out = BufWriter::new(stdout);
            let written = write_to(&mut adapted, format, *extent, &mut out);
            match written.and_then(|()| Ok(out.flush()?)) {
                // Whoever read the output has seen enough.
                Err(Failure::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => {}
                result => result.map_err(|e| e.at(Path::new("standard output")))?,
            }
            adapted.end()
        }
        Destination::File(path) => {
            let failed = |e: io::Error| Failure::Io(e).at(path);
            // It has its name only when all rows are in it.
            let mut file = AtomicFile::create(path).map_err(failed)?;
            write_to(&mut adapted, format, Extent::All, &mut file).map_err(|e| e.at(path))?;
            let rows = adapted.end()?;
            file.finish().map_err(failed)?;
            Ok(rows)
        }
    }
}

/// Columns of one name cannot be told apart where rows are objects, and readers of Parquet take one of
/// them or refuse the file.
fn check_names(adaptation: &Adaptation, format: Format) -> Result<(), QueryError> {
    if !matches!(format, Format::Json | Format::Jsonl | Format::Parquet) {
        return Ok(());
    }
    let mut names = HashSet::new();
    let fields = adaptation.schema().fields().iter();
    match fields
        .map(|field| field.name())
        .find(|name| !names.insert(*name))
    {
        Some(name) => Err(QueryError::Unwritable(format!(
            "two columns of the result are called '{name}', and {} has one of each name; tell them apart with AS",
            format.title()
        ))),
        None => Ok(()),
    }
}

/// The rows in the types that the format's writer takes, until there are no more, or a problem.
pub(super) struct Adapted<'a, 's> {
    batches: &'a mut Batches<'s>,
    adaptation: &'a Adaptation,
    rows: u64,
    problem: Option<String>,
}

impl<'a, 's> Adapted<'a, 's> {
    pub(super) fn new(batches: &'a mut Batches<'s>, adaptation: &'a Adaptation) -> Self {
        Self {
            batches,
            adaptation,
            rows: 0,
            problem: None,
        }
    }

    /// The number of rows, if they came to their end.
    pub(super) fn end(self) -> Result<u64, QueryError> {
        match self.problem {
            Some(problem) => Err(QueryError::Unwritable(problem)),
            None => self.batches.end().map(|()| self.rows),
        }
    }
}

impl Iterator for Adapted<'_, '_> {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        if self.problem.is_some() {
            return None;
        }
        let batch = self.batches.next()?;
        match self.adaptation.adapt(&batch) {
            Ok(batch) => {
                self.rows += batch.num_rows() as u64;
                Some(batch)
            }
            Err(problem) => {
                self.problem = Some(problem);
                None
            }
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
                Self::Io(e) => why_not_written(&e),
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
        Self::Other(why_not_written(&error))
    }
}

fn write_to<W: Write + Send>(
    batches: &mut Adapted<'_, '_>,
    format: Format,
    extent: Extent,
    out: &mut W,
) -> Result<(), Failure> {
    let schema = batches.adaptation.schema().clone();
    match (format, extent) {
        (Format::Table, Extent::Fit(fit)) => {
            let mut table = FittedTable::new(&schema, fit);
            for batch in &mut *batches {
                table.push(&batch)?;
            }
            if batches.problem.is_none() && !batches.batches.has_failed() {
                write!(out, "{}", table.finish())?;
            }
        }
        (Format::Table, Extent::All) => {
            let all: Vec<RecordBatch> = batches.by_ref().collect();
            if batches.problem.is_none() && !batches.batches.has_failed() {
                writeln!(out, "{}", table::whole(&schema, &all)?)?;
            }
        }
        (Format::Csv, _) => {
            let mut writer = arrow::csv::WriterBuilder::new().build(&mut *out);
            // An empty result has a header too.
            writer.write(&RecordBatch::new_empty(schema))?;
            for batch in batches {
                writer.write(&batch)?;
            }
        }
        (Format::Json, _) => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::JsonArray>(&mut *out);
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.finish()?;
            drop(writer);
            writeln!(out)?;
        }
        (Format::Jsonl, _) => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::LineDelimited>(&mut *out);
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        (Format::Arrow, _) => {
            let mut writer = StreamWriter::try_new(&mut *out, &schema)?;
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        (Format::Parquet, _) => {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .build();
            let mut writer = ArrowWriter::try_new(&mut *out, schema, Some(properties))?;
            for batch in batches {
                writer.write(&batch)?;
            }
            writer.close()?;
        }
    }
    out.flush()?;
    Ok(())
}
