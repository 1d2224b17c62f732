//! One wide table per video, as CSV or Parquet: a row per frame and person, with all metrics and
//! all landmarks as columns.
//!
//! A frame without a pose has one row in which all but quality is NULL. At most
//! [`FRAMES_PER_BATCH`] frames are resident, and a row group of Parquet.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch, UInt16Array};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::sink::{ExportError, FrameSink};
use crate::files::AtomicFile;
use crate::lake::{PersonRow, VideoFrame, VideoRecord, metrics_of_frames};
use crate::media_time::MediaTime;
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;

const FRAMES_PER_BATCH: usize = 256;
/// Rows of a Parquet row group: some 10 MB before compression.
const ROWS_PER_GROUP: usize = 8_192;

/// A value of a landmark: its name behind the landmark's, and how to get it from a pose.
type LandmarkValue = (&'static str, fn(&PersonPose, usize) -> f32);

/// In the order of the columns of each landmark.
const LANDMARK_VALUES: [LandmarkValue; 8] = [
    ("x", |pose, i| pose.landmarks[i].x),
    ("y", |pose, i| pose.landmarks[i].y),
    ("z", |pose, i| pose.landmarks[i].z),
    ("visibility", |pose, i| pose.landmarks[i].visibility),
    ("presence", |pose, i| pose.landmarks[i].presence),
    ("world_x_m", |pose, i| pose.world_m[i][0]),
    ("world_y_m", |pose, i| pose.world_m[i][1]),
    ("world_z_m", |pose, i| pose.world_m[i][2]),
];

/// The table's rows for some frames. Frames without persons are written for `absent_person`.
fn rows(frames: &[VideoFrame], absent_person: u16) -> Result<RecordBatch, ExportError> {
    let metrics = metrics_of_frames(
        (frames.iter()).map(|frame| (frame.frame, frame.time, frame.persons.as_slice())),
    )?;
    // One entry for each row of the metrics.
    let entries: Vec<(&VideoFrame, Option<&PersonPose>)> = frames
        .iter()
        .flat_map(|frame| {
            let nobody = frame.persons.is_empty().then_some((frame, None));
            let persons = frame.persons.iter().map(|row| &row.pose);
            persons.map(move |pose| (frame, Some(pose))).chain(nobody)
        })
        .collect();
    let numbers = entries.iter().map(|(frame, _)| frame.frame as i32);
    let times = entries.iter().map(|(frame, _)| frame.time.as_secs());
    let persons = entries
        .iter()
        .map(|(_, pose)| pose.map_or(absent_person, |pose| pose.person));
    let mut fields = vec![
        Field::new("frame", DataType::Int32, false),
        Field::new("time_secs", DataType::Float64, false),
        Field::new("person", DataType::UInt16, false),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(numbers)),
        Arc::new(Float64Array::from_iter_values(times)),
        Arc::new(UInt16Array::from_iter_values(persons)),
    ];
    fields.extend((metrics.schema().fields().iter()).map(|field| field.as_ref().clone()));
    columns.extend(metrics.columns().iter().cloned());
    for landmark in Landmark::ALL {
        for (name, value) in LANDMARK_VALUES {
            let name = format!("{}_{name}", landmark.name());
            fields.push(Field::new(name, DataType::Float32, true));
            let values: Float32Array = entries
                .iter()
                .map(|(_, pose)| Some(value((*pose)?, landmark.index())))
                // What the pose model does not give.
                .map(|value| value.filter(|value| !value.is_nan()))
                .collect();
            columns.push(Arc::new(values));
        }
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    Ok(batch.expect("a column of entries for each field"))
}

/// Frames that wait to be written together.
struct Waiting {
    frames: Vec<VideoFrame>,
    absent_person: u16,
}

impl Waiting {
    fn new(absent_person: u16) -> Self {
        Self {
            frames: Vec::new(),
            absent_person,
        }
    }

    /// Adds a frame; gives rows to be written when there are enough.
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<Option<RecordBatch>, ExportError> {
        self.frames.push(VideoFrame {
            frame,
            time,
            persons: persons.to_vec(),
        });
        if self.frames.len() < FRAMES_PER_BATCH {
            return Ok(None);
        }
        self.take().map(Some)
    }

    fn take(&mut self) -> Result<RecordBatch, ExportError> {
        let batch = rows(&self.frames, self.absent_person)?;
        self.frames.clear();
        Ok(batch)
    }
}

pub struct CsvWriter {
    writer: csv::Writer<AtomicFile>,
    path: std::path::PathBuf,
    waiting: Waiting,
}

impl CsvWriter {
    pub fn create(path: &Path, absent_person: u16) -> Result<Self, ExportError> {
        let file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        Ok(Self {
            writer: csv::WriterBuilder::new().build(file),
            path: path.into(),
            waiting: Waiting::new(absent_person),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ExportError> {
        let written = self.writer.write(batch);
        written.map_err(|e| ExportError::write(&self.path, e))
    }
}

impl FrameSink for CsvWriter {
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        match self.waiting.push(frame, time, persons)? {
            Some(batch) => self.write(&batch),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        let batch = self.waiting.take()?;
        self.write(&batch)?;
        let file = self.writer.into_inner();
        file.finish().map_err(|e| ExportError::write(&self.path, e))
    }
}

pub struct ParquetWriter {
    writer: ArrowWriter<AtomicFile>,
    path: std::path::PathBuf,
    waiting: Waiting,
}

impl ParquetWriter {
    pub fn create(
        path: &Path,
        video: &VideoRecord,
        absent_person: u16,
    ) -> Result<Self, ExportError> {
        let file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        let about = [
            ("video_id", video.video_id.clone()),
            ("file_name", video.file_name.clone()),
            ("sport", video.sport.clone()),
            ("width_px", video.width_px.to_string()),
            ("height_px", video.height_px.to_string()),
            ("pose_model", video.pose_model.clone()),
        ];
        let about = about.map(|(key, value)| KeyValue::new(format!("posedata.{key}"), value));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("posedata ", env!("CARGO_PKG_VERSION")).into())
            .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
            .set_key_value_metadata(Some(about.into()))
            .build();
        // Plain Parquet types say it all.
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let schema = rows(&[], absent_person)?.schema();
        let writer = ArrowWriter::try_new_with_options(file, schema, options);
        Ok(Self {
            writer: writer.map_err(|e| ExportError::write(path, e))?,
            path: path.into(),
            waiting: Waiting::new(absent_person),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ExportError> {
        let written = self.writer.write(batch);
        written.map_err(|e| ExportError::write(&self.path, e))
    }
}

impl FrameSink for ParquetWriter {
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        match self.waiting.push(frame, time, persons)? {
            Some(batch) => self.write(&batch),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        let batch = self.waiting.take()?;
        self.write(&batch)?;
        let file = self.writer.into_inner();
        let file = file.map_err(|e| ExportError::write(&self.path, e))?;
        file.finish().map_err(|e| ExportError::write(&self.path, e))
    }
}
