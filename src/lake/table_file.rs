//! Parquet files of one table's rows, and how their columns are stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int8Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int8Type, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::error::LakeError;
use super::staged::{StagedFile, TemporaryFile};
use crate::files::why_not_written;

/// On the demo video level 9 takes 3 % off what level 3 leaves, level 19 another 4 % for many times
/// the time.
const ZSTD_LEVEL: i32 = 9;

/// A Parquet file of one table's rows, written under a temporary name.
///
/// Batches have the schema given at the start, with the names and types of the table's columns but
/// `sport`, which is in the path. It ends as a [`StagedFile`], to be given to a commit.
pub struct TableFile {
    pub(super) path: PathBuf,
    writer: ArrowWriter<TemporaryFile>,
    row_count: u64,
}

impl TableFile {
    /// Starts a file; `storage` says how each column is stored, [`storage_by_type`] if in doubt.
    /// `path` comes from [`LakePaths::new_file`].
    ///
    /// # Errors
    /// When the folder or the file cannot be made.
    pub fn create(
        path: &Path,
        schema: SchemaRef,
        storage: fn(&Field) -> Storage,
    ) -> Result<Self, LakeError> {
        let properties = properties(&schema, storage);
        let file = TemporaryFile::create(path).map_err(|e| write_error(path, &e))?;
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            // Plain Parquet types say it all; the embedded Arrow schema costs a kilobyte.
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema, options)
            .map_err(|e| write_error(path, &e))?;
        Ok(Self {
            path: path.into(),
            writer,
            row_count: 0,
        })
    }

    /// Writes a batch as a row group of its own.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn write_row_group(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        self.row_count += batch.num_rows() as u64;
        let written = self.writer.write(&batch).and_then(|()| self.writer.flush());
        written.map_err(|e| write_error(&self.path, &e))
    }

    /// Closes the file; it is safe on the disk, under its name, when this returns.
    ///
    /// # Errors
    /// When the disk takes no more. Nothing is left behind then.
    pub fn finish(self) -> Result<StagedFile, LakeError> {
        let Self {
            path,
            writer,
            row_count,
        } = self;
        let file = writer.into_inner().map_err(|e| write_error(&path, &e))?;
        file.finish(row_count).map_err(|e| write_error(&path, &e))
    }
}

fn write_error(path: &Path, reason: &(dyn std::error::Error + 'static)) -> LakeError {
    LakeError::Write {
        path: path.into(),
        reason: why_not_written(reason),
    }
}

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Names and other values that repeat.
    Dictionary,
    /// Integers that grow steadily.
    Delta,
    /// Floating-point numbers: bytes of equal rank side by side. On the demo video, compressed, half
    /// the size of dictionaries with plain values behind them.
    ByteStreamSplit,
}

/// What suits most columns of a type.
pub fn storage_by_type(field: &Field) -> Storage {
    match field.data_type() {
        DataType::Float32 | DataType::Float64 => Storage::ByteStreamSplit,
        DataType::Int32 => Storage::Delta,
        _ => Storage::Dictionary,
    }
}

fn properties(schema: &Schema, storage: impl Fn(&Field) -> Storage) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("posedata ", env!("CARGO_PKG_VERSION")).into())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        // One page a column and row group: the row group is the unit of skipping.
        .set_data_page_size_limit(usize::MAX)
        .set_data_page_row_count_limit(usize::MAX);
    for field in schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        builder = match storage(field) {
            Storage::Dictionary => builder.set_column_dictionary_enabled(column, true),
            Storage::Delta => builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
            Storage::ByteStreamSplit => builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT),
        };
    }
    builder.build()
}

pub(super) fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

pub(super) fn key_fields() -> Vec<Field> {
    vec![
        Field::new("video_id", name_type(), false),
        Field::new("person", DataType::Int16, false),
        Field::new("frame", DataType::Int32, false),
        Field::new("time_secs", DataType::Float64, false),
    ]
}

/// `rows` times the same name.
pub(super) fn one_name(name: &str, rows: usize) -> ArrayRef {
    names(std::iter::repeat_n(Some(0), rows), &[name])
}

/// Dictionary-encoded names from their positions in `values`.
pub(super) fn names(keys: impl Iterator<Item = Option<i8>>, values: &[&str]) -> ArrayRef {
    let keys: Int8Array = keys.collect();
    let values = Arc::new(StringArray::from(values.to_vec()));
    Arc::new(DictionaryArray::<Int8Type>::new(keys, values))
}

pub(super) fn record_batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema, columns).expect("columns are built beside their schema")
}
