//! Writes the `analysis` table: what custom models make of a video's landmarks.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int16Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use duckdb::params;

use super::catalog::Access;
use super::error::LakeError;
use super::location::{LakePaths, model_file_prefix};
use super::records::VideoRecord;
use super::session::Lake;
use super::staged::StagedFile;
use super::table_file::{Storage, TableFile, key_fields, name_type, one_name, record_batch};

const TABLE: &str = "analysis";
/// Rows of a row group; 3 MB are resident at most.
const ROWS_PER_GROUP: usize = 65_536;

/// Which model looked at how many frames at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisKey {
    pub model_sha256: String,
    /// Frames of a window; 1 for models of single frames.
    pub window_frames: u32,
}

/// A value that a model gave for a person in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnalysisRow {
    pub frame: u64,
    pub time_secs: f64,
    pub person: u16,
    /// Position of the output among the names that the writer was given.
    pub output: usize,
    /// Position of the value in the flattened output.
    pub output_index: usize,
    /// `None` where the model gave no number.
    pub value: Option<f64>,
}

/// Collects a model's rows for one video and writes their file, in memory that does not grow.
pub struct AnalysisWriter {
    paths: LakePaths,
    video: VideoRecord,
    key: AnalysisKey,
    outputs: Vec<String>,
    rows: Vec<AnalysisRow>,
    file: Option<TableFile>,
}

impl AnalysisWriter {
    /// `outputs` are the names of the model's outputs.
    pub fn new(
        paths: &LakePaths,
        video: &VideoRecord,
        key: AnalysisKey,
        outputs: Vec<String>,
    ) -> Self {
        Self {
            paths: paths.clone(),
            video: video.clone(),
            key,
            outputs,
            rows: Vec::new(),
            file: None,
        }
    }

    /// Adds a row; rows are written in the order in which they come.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn push(&mut self, row: AnalysisRow) -> Result<(), LakeError> {
        self.rows.push(row);
        if self.rows.len() < ROWS_PER_GROUP {
            return Ok(());
        }
        self.write_rows()
    }

    /// Writes what is left and closes the file; there is none without rows.
    ///
    /// # Errors
    /// When the disk takes no more. Nothing is left behind then.
    pub fn finish(mut self) -> Result<Option<StagedFile>, LakeError> {
        if !self.rows.is_empty() {
            self.write_rows()?;
        }
        self.file.map(TableFile::finish).transpose()
    }

    fn write_rows(&mut self) -> Result<(), LakeError> {
        let prefix = model_file_prefix(&self.video.video_id, &self.key.model_sha256);
        let path = (self.paths).new_file(TABLE, &self.video.sport, &prefix);
        let too_long = |_| LakeError::TooLong { path: path.clone() };
        let frames = (self.rows.iter())
            .map(|row| i32::try_from(row.frame).map_err(too_long))
            .collect::<Result<Vec<_>, _>>()?;
        let indices = (self.rows.iter())
            .map(|row| i32::try_from(row.output_index))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| LakeError::TooLong { path: path.clone() })?;
        let batch = self.batch(frames, indices);
        self.rows.clear();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(TableFile::create(&path, schema(), storage)?),
        };
        file.write_row_group(batch)
    }

    fn batch(&self, frames: Vec<i32>, indices: Vec<i32>) -> RecordBatch {
        let rows = &self.rows;
        let windows = std::iter::repeat_n(self.key.window_frames as i32, rows.len());
        let outputs = rows.iter().map(|row| self.outputs[row.output].as_str());
        let columns: Vec<ArrayRef> = vec![
            one_name(&self.video.video_id, rows.len()),
            Arc::new(Int16Array::from_iter_values(
                rows.iter().map(|row| row.person as i16),
            )),
            Arc::new(Int32Array::from(frames)),
            Arc::new(Float64Array::from_iter_values(
                rows.iter().map(|row| row.time_secs),
            )),
            one_name(&self.key.model_sha256, rows.len()),
            Arc::new(Int32Array::from_iter_values(windows)),
            Arc::new(StringArray::from_iter_values(outputs)),
            Arc::new(Int32Array::from(indices)),
            Arc::new(rows.iter().map(|row| row.value).collect::<Float64Array>()),
        ];
        record_batch(schema(), columns)
    }
}

fn schema() -> SchemaRef {
    let mut fields = key_fields();
    fields.extend([
        Field::new("model_sha256", name_type(), false),
        Field::new("window_frames", DataType::Int32, false),
        Field::new("output", DataType::Utf8, false),
        Field::new("output_index", DataType::Int32, false),
        Field::new("value", DataType::Float64, true),
    ]);
    Arc::new(Schema::new(fields))
}

/// All but the values repeat from row to row.
fn storage(field: &Field) -> Storage {
    match field.name().as_str() {
        "value" => Storage::ByteStreamSplit,
        "frame" => Storage::Delta,
        _ => Storage::Dictionary,
    }
}

impl Lake {
    /// Whether a video has rows of just this model and window.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn has_analysis(&self, video_id: &str, key: &AnalysisKey) -> Result<bool, LakeError> {
        self.attached(Access::ReadOnly, |connection| {
            let sql = "SELECT count(*) > 0 FROM analysis
                       WHERE video_id = ? AND model_sha256 = ? AND window_frames = ?";
            let values = params![video_id, key.model_sha256, key.window_frames];
            Ok(connection.query_row(sql, values, |row| row.get(0))?)
        })
    }
}
