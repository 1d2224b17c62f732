//! Writes the tables that are computed from rows of the lake: filtered landmarks and their metrics.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    RecordBatch,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::error::LakeError;
use super::location::LakePaths;
use super::records::VideoRecord;
use super::staged::StagedFile;
use super::table_file::{
    TableFile, key_fields, name_type, names, one_name, record_batch, storage_by_type,
};
use super::writer::{
    CHUNK_ROWS, MIN_ROW_GROUP_ROWS, MetricsRow, landmarks_storage, metrics_batch, metrics_columns,
    metrics_fields, metrics_schema,
};
use crate::metrics::FrameMetrics;
use crate::pose::landmark::Landmark;

/// What a row of metrics says, of one person or of a frame without anybody.
pub struct MeasuredFrame {
    pub frame: u32,
    pub time_secs: f64,
    pub person: u16,
    pub pose_probability: Option<f32>,
    pub metrics: FrameMetrics,
}

/// A row of `metrics_filtered`.
pub struct FilteredFrame {
    pub measured: MeasuredFrame,
    pub is_interpolated: bool,
    /// `None` without a known height.
    pub calibrated: Option<CalibratedFrame>,
}

/// What a known height adds to a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibratedFrame {
    pub height_m: f64,
    pub meters_per_px: f64,
    /// Metres right of the picture's left edge and above its lower edge.
    pub center_m: Option<[f64; 2]>,
    pub center_speed_m_per_sec: Option<f64>,
    pub peak_landmark_speed_m_per_sec: Option<f64>,
}

/// A row of `landmarks_filtered`, for a landmark that the writer is told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilteredLandmark {
    pub frame: u32,
    pub time_secs: f64,
    pub person: u16,
    /// x, y, z as the `landmarks` table has them.
    pub image: [f32; 3],
    pub world_m: [f32; 3],
    pub is_interpolated: bool,
    /// `None` where the path was too short to be filtered.
    pub cutoff_hz: Option<f32>,
}

/// Writes files of one video; each is deleted again unless it is committed.
pub struct DerivedWriter<'a> {
    pub paths: &'a LakePaths,
    pub video: &'a VideoRecord,
}

impl DerivedWriter<'_> {
    /// Writes the rows of `metrics`, ordered by frame and person.
    ///
    /// # Errors
    /// When the disk takes no more, or `rows` gives an error.
    pub fn metrics(
        &self,
        rows: impl Iterator<Item = Result<MeasuredFrame, LakeError>>,
    ) -> Result<Option<StagedFile>, LakeError> {
        self.in_chunks("metrics", metrics_schema(), rows, |rows| {
            let rows: Vec<MetricsRow> = rows.into_iter().map(MetricsRow::from).collect();
            metrics_batch(&self.video.video_id, &rows)
        })
    }

    /// Writes the rows of `metrics_filtered`, ordered by frame and person.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn metrics_filtered(
        &self,
        rows: impl Iterator<Item = FilteredFrame>,
        cutoff_hz: f64,
    ) -> Result<Option<StagedFile>, LakeError> {
        let schema = filtered_metrics_schema();
        self.in_chunks("metrics_filtered", schema, rows.map(Ok), |rows| {
            filtered_metrics_batch(&self.video.video_id, rows, cutoff_hz as f32)
        })
    }

    /// Writes the rows of `landmarks_filtered`: `rows` gives those of a landmark, ordered by frame
    /// and person.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn landmarks_filtered(
        &self,
        rows: impl Fn(Landmark) -> Vec<FilteredLandmark>,
    ) -> Result<Option<StagedFile>, LakeError> {
        let mut file = None;
        let mut group = Vec::new();
        for landmark in Landmark::ALL {
            group.extend(rows(landmark).into_iter().map(|row| (landmark, row)));
            let is_last = landmark == Landmark::ALL[Landmark::ALL.len() - 1];
            if group.len() >= MIN_ROW_GROUP_ROWS || (is_last && !group.is_empty()) {
                let batch = filtered_landmarks_batch(&self.video.video_id, &group);
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(TableFile::create(
                        &self.new_file("landmarks_filtered"),
                        filtered_landmarks_schema(),
                        landmarks_storage,
                    )?),
                };
                file.write_row_group(batch)?;
                group.clear();
            }
        }
        file.map(TableFile::finish).transpose()
    }

    fn new_file(&self, table: &str) -> std::path::PathBuf {
        let VideoRecord {
            sport, video_id, ..
        } = self.video;
        self.paths.new_file(table, sport, video_id)
    }

    /// Writes row groups of as many rows as ingest does; `None` when there are no rows.
    fn in_chunks<R>(
        &self,
        table: &str,
        schema: SchemaRef,
        mut rows: impl Iterator<Item = Result<R, LakeError>>,
        batch: impl Fn(Vec<R>) -> RecordBatch,
    ) -> Result<Option<StagedFile>, LakeError> {
        let mut file = None;
        loop {
            let chunk = rows.by_ref().take(CHUNK_ROWS);
            let chunk: Vec<R> = chunk.collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                return file.map(TableFile::finish).transpose();
            }
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(TableFile::create(
                    &self.new_file(table),
                    schema.clone(),
                    storage_by_type,
                )?),
            };
            file.write_row_group(batch(chunk))?;
        }
    }
}

impl From<MeasuredFrame> for MetricsRow {
    fn from(frame: MeasuredFrame) -> Self {
        Self {
            // The lake numbered the frame with 32 bits and a sign before.
            frame: frame.frame as i32,
            time_secs: frame.time_secs,
            person: frame.person,
            pose_probability: frame.pose_probability,
            metrics: frame.metrics,
        }
    }
}

type CalibratedColumn = (&'static str, fn(&CalibratedFrame) -> Option<f64>);

const CALIBRATED_COLUMNS: [CalibratedColumn; 6] = [
    ("height_m", |frame| Some(frame.height_m)),
    ("meters_per_px", |frame| Some(frame.meters_per_px)),
    ("center_x_m", |frame| frame.center_m.map(|[x, _]| x)),
    ("center_y_m", |frame| frame.center_m.map(|[_, y]| y)),
    ("center_speed_m_per_sec", |frame| {
        frame.center_speed_m_per_sec
    }),
    ("peak_landmark_speed_m_per_sec", |frame| {
        frame.peak_landmark_speed_m_per_sec
    }),
];

fn filtered_metrics_schema() -> SchemaRef {
    let mut fields = metrics_fields();
    fields.push(Field::new("cutoff_hz", DataType::Float32, false));
    fields.push(Field::new("interpolated", DataType::Boolean, false));
    fields.extend(CALIBRATED_COLUMNS.map(|(name, _)| Field::new(name, DataType::Float32, true)));
    Arc::new(Schema::new(fields))
}

fn filtered_metrics_batch(video_id: &str, rows: Vec<FilteredFrame>, cutoff_hz: f32) -> RecordBatch {
    let cutoffs = Float32Array::from_iter_values(std::iter::repeat_n(cutoff_hz, rows.len()));
    let interpolated: BooleanArray = rows.iter().map(|row| Some(row.is_interpolated)).collect();
    let calibrated = CALIBRATED_COLUMNS.map(|(_, value)| -> ArrayRef {
        let values: Float32Array = rows
            .iter()
            .map(|row| value(row.calibrated.as_ref()?).map(|v| v as f32))
            .collect();
        Arc::new(values)
    });
    let rows: Vec<MetricsRow> = rows.into_iter().map(|row| row.measured.into()).collect();
    let mut columns = metrics_columns(video_id, &rows);
    columns.push(Arc::new(cutoffs));
    columns.push(Arc::new(interpolated));
    columns.extend(calibrated);
    record_batch(filtered_metrics_schema(), columns)
}

fn filtered_landmarks_schema() -> SchemaRef {
    let mut fields = key_fields();
    fields.push(Field::new("landmark", name_type(), false));
    fields.push(Field::new("landmark_index", DataType::Int8, false));
    let floats = ["x", "y", "z", "world_x_m", "world_y_m", "world_z_m"];
    fields.extend(floats.map(|name| Field::new(name, DataType::Float32, false)));
    fields.push(Field::new("interpolated", DataType::Boolean, false));
    fields.push(Field::new("cutoff_hz", DataType::Float32, true));
    Arc::new(Schema::new(fields))
}

fn filtered_landmarks_batch(video_id: &str, rows: &[(Landmark, FilteredLandmark)]) -> RecordBatch {
    let index = |landmark: Landmark| landmark.index() as i8;
    let floats = |value: &dyn Fn(&FilteredLandmark) -> f32| -> ArrayRef {
        let values = rows.iter().map(|(_, row)| value(row));
        Arc::new(Float32Array::from_iter_values(values))
    };
    let cutoffs: Float32Array = rows.iter().map(|(_, row)| row.cutoff_hz).collect();
    let interpolated: BooleanArray = (rows.iter())
        .map(|(_, row)| Some(row.is_interpolated))
        .collect();
    let mut columns: Vec<ArrayRef> = vec![
        one_name(video_id, rows.len()),
        Arc::new(Int16Array::from_iter_values(
            rows.iter().map(|(_, row)| row.person as i16),
        )),
        Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|(_, row)| row.frame as i32),
        )),
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|(_, row)| row.time_secs),
        )),
        names(
            rows.iter().map(|(landmark, _)| Some(index(*landmark))),
            &Landmark::ALL.map(Landmark::name),
        ),
        Arc::new(Int8Array::from_iter_values(
            rows.iter().map(|(landmark, _)| index(*landmark)),
        )),
    ];
    columns.extend((0..3).map(|axis| floats(&|row| row.image[axis])));
    columns.extend((0..3).map(|axis| floats(&|row| row.world_m[axis])));
    columns.push(Arc::new(interpolated));
    columns.push(Arc::new(cutoffs));
    record_batch(filtered_landmarks_schema(), columns)
}
