//! Writes the `analysis` table: what custom models make of a video's landmarks.

use duckdb::params;

use super::catalog::Access;
use super::columns::{Column, Layout, Storage, batch};
use super::error::LakeError;
use super::location::{LakePaths, model_file_prefix};
use super::records::VideoRecord;
use super::rows::{Key, key_columns, keyed};
use super::session::Lake;
use super::staged::StagedFile;
use super::table_file::TableFile;

const TABLE: &str = "analysis";
/// Rows of a row group; 3 MB are resident at most.
const ROWS_PER_GROUP: usize = 65_536;

/// Which model looked at how many frames at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisKey {
    /// Of the model's file, 64 hex digits.
    pub model_sha256: String,
    /// Frames of a window; 1 for models of single frames.
    pub window_frames: u32,
}

/// A value that a model gave for a person in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnalysisRow {
    /// From 0, in display order; of a window, its last frame.
    pub frame: u64,
    /// Time of `frame` from the video's first one; real seconds where the video is in slow motion.
    pub time_secs: f64,
    /// Number within the video, from 0.
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
        let rows = (self.rows.iter())
            .map(|row| {
                Ok(ValueRow {
                    key: Key {
                        person: row.person as i16,
                        frame: i32::try_from(row.frame).map_err(too_long)?,
                        time_secs: row.time_secs,
                    },
                    output: &self.outputs[row.output],
                    output_index: i32::try_from(row.output_index).map_err(too_long)?,
                    value: row.value,
                })
            })
            .collect::<Result<Vec<_>, LakeError>>()?;
        let columns = columns(&self.video.video_id, &self.key);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(TableFile::create(&path, &Layout::of(&columns))?),
        };
        file.write_row_group(batch(&columns, &rows))?;
        self.rows.clear();
        Ok(())
    }
}

/// A row of the `analysis` table, of one model.
pub(super) struct ValueRow<'a> {
    key: Key,
    output: &'a str,
    output_index: i32,
    value: Option<f64>,
}

keyed!(ValueRow<'_>);

/// The columns of `analysis`; all but the values repeat from row to row.
pub(super) fn columns<'a>(video_id: &str, key: &AnalysisKey) -> Vec<Column<ValueRow<'a>>> {
    let window_frames = key.window_frames as i32;
    let mut columns = key_columns(video_id, Storage::Dictionary);
    columns.extend([
        Column::constant("model_sha256", &key.model_sha256),
        Column::new("window_frames", move |_| window_frames).stored(Storage::Dictionary),
        Column::text("output", |row: &ValueRow<'_>| Some(row.output)).required(),
        Column::new("output_index", |row: &ValueRow<'_>| row.output_index)
            .stored(Storage::Dictionary),
        Column::optional("value", |row: &ValueRow<'_>| row.value),
    ]);
    columns
}

impl Lake {
    /// Whether a video has rows of just this model and window.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn has_analysis(&self, video_id: &str, key: &AnalysisKey) -> Result<bool, LakeError> {
        self.with_catalog(Access::ReadOnly, |connection| {
            let sql = "SELECT count(*) > 0 FROM analysis
                       WHERE video_id = ? AND model_sha256 = ? AND window_frames = ?";
            let values = params![video_id, key.model_sha256, key.window_frames];
            Ok(connection.query_row(sql, values, |row| row.get(0))?)
        })
    }
}
