//! Writes one video's rows as Parquet files, in memory that does not grow with the video.
//!
//! Rows are collected for [`CHUNK_FRAMES`] frames, then sorted by landmark and frame and written;
//! about 25 MB are resident. In a full chunk each landmark is a row group of its own, so that a
//! query for one joint reads 1/33 of the file; short videos share row groups between landmarks,
//! because a row group's footer would outweigh its rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int8Type, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::resolution::{to_lake_angle, to_lake_precision};
use super::staged::{StagedFile, TemporaryFile};
use super::{LakeError, LakePaths};
use crate::files::why_not_written;
use crate::media_time::MediaTime;
use crate::metrics::segments::{Facing, SEGMENT_ANGLES};
use crate::metrics::{FrameMetrics, JOINT_ANGLES, Quality};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::pose::{ImageLandmark, PersonPose};

/// Frames that are collected before rows are written.
pub(super) const CHUNK_FRAMES: usize = 16_384;
/// Row groups are filled with whole landmarks up to this many rows.
pub(super) const MIN_ROW_GROUP_ROWS: usize = 8_192;
/// On the demo video level 9 takes 3 % off what level 3 leaves, level 19 another 4 % for many times
/// the time.
const ZSTD_LEVEL: i32 = 9;

/// One person in one frame, as the lake stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonRow {
    pub pose: PersonPose,
    pub metrics: FrameMetrics,
}

/// A pose with the frame it was seen in.
struct PoseRow {
    frame: i32,
    time_secs: f64,
    pose: PersonPose,
}

/// A row of the `metrics` table.
pub(super) struct MetricsRow {
    pub(super) frame: i32,
    pub(super) time_secs: f64,
    pub(super) person: u16,
    pub(super) pose_probability: Option<f32>,
    pub(super) metrics: FrameMetrics,
}

/// A video's finished files, not yet in the catalog.
pub struct StagedVideo {
    /// `None` when nobody was found in the whole video.
    pub landmarks: Option<StagedFile>,
    pub metrics: StagedFile,
    /// Bytes of both files.
    pub byte_size: u64,
}

/// Collects a video's rows and writes its two files.
pub struct VideoWriter {
    video_id: String,
    landmarks_path: PathBuf,
    landmarks: Option<TableFile>,
    metrics: TableFile,
    poses: Vec<PoseRow>,
    measurements: Vec<MetricsRow>,
    frames_in_chunk: usize,
}

impl VideoWriter {
    /// Starts the files of one ingest in the lake's partition for `sport`.
    ///
    /// # Errors
    /// When the folder or a file cannot be made.
    pub fn create(paths: &LakePaths, sport: &str, video_id: &str) -> Result<Self, LakeError> {
        let path = |table: &str| paths.new_file(table, sport, video_id);
        let metrics = TableFile::create(&path("metrics"), metrics_schema(), storage_by_type)?;
        Ok(Self {
            video_id: video_id.into(),
            landmarks_path: path("landmarks"),
            landmarks: None,
            metrics,
            poses: Vec::new(),
            measurements: Vec::new(),
            frames_in_chunk: 0,
        })
    }

    /// Adds a frame: everybody found in it, or nobody.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: Vec<PersonRow>,
    ) -> Result<(), LakeError> {
        let frame = i32::try_from(frame).map_err(|_| LakeError::TooLong {
            path: self.metrics.path.clone(),
        })?;
        let time_secs = time.as_secs();
        self.measurements
            .extend(metrics_rows(frame, time_secs, &persons));
        self.poses.extend(persons.into_iter().map(|row| PoseRow {
            frame,
            time_secs,
            pose: row.pose,
        }));
        self.frames_in_chunk += 1;
        if self.frames_in_chunk == CHUNK_FRAMES {
            self.write_chunk()?;
        }
        Ok(())
    }

    /// Writes what is left and closes the files; they are safe on the disk when this returns.
    ///
    /// # Errors
    /// When the disk takes no more. Nothing is left behind then.
    pub fn finish(mut self) -> Result<StagedVideo, LakeError> {
        self.write_chunk()?;
        let metrics = self.metrics.finish()?;
        let landmarks = self.landmarks.map(TableFile::finish).transpose()?;
        Ok(StagedVideo {
            byte_size: metrics.byte_size() + landmarks.as_ref().map_or(0, StagedFile::byte_size),
            landmarks,
            metrics,
        })
    }

    fn write_chunk(&mut self) -> Result<(), LakeError> {
        self.frames_in_chunk = 0;
        if !self.measurements.is_empty() {
            let batch = metrics_batch(&self.video_id, &self.measurements);
            self.measurements.clear();
            self.metrics.write_row_group(batch)?;
        }
        if self.poses.is_empty() {
            return Ok(());
        }
        let file = match &mut self.landmarks {
            Some(file) => file,
            none => none.insert(TableFile::create(
                &self.landmarks_path,
                landmarks_schema(),
                landmarks_storage,
            )?),
        };
        let landmarks_per_group = MIN_ROW_GROUP_ROWS.div_ceil(self.poses.len());
        for landmarks in Landmark::ALL.chunks(landmarks_per_group.min(LANDMARK_COUNT)) {
            file.write_row_group(landmarks_batch(&self.video_id, landmarks, &self.poses))?;
        }
        self.poses.clear();
        Ok(())
    }
}

/// A Parquet file of one table's rows, written under a temporary name.
///
/// Batches have the schema given at the start, with the names and types of the table's columns but
/// `sport`, which is in the path. It ends as a [`StagedFile`], to be given to a commit.
pub struct TableFile {
    path: PathBuf,
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

fn landmarks_schema() -> SchemaRef {
    let mut fields = key_fields();
    fields.push(Field::new("landmark", name_type(), false));
    fields.push(Field::new("landmark_index", DataType::Int8, false));
    let floats = [
        "x",
        "y",
        "z",
        "visibility",
        "presence",
        "world_x_m",
        "world_y_m",
        "world_z_m",
    ];
    fields.extend(floats.map(|name| Field::new(name, DataType::Float32, false)));
    Arc::new(Schema::new(fields))
}

/// For tables with a row per landmark: times repeat for each landmark of a row group.
pub(super) fn landmarks_storage(field: &Field) -> Storage {
    match field.data_type() {
        DataType::Float64 => Storage::Dictionary,
        _ => storage_by_type(field),
    }
}

pub(super) fn metrics_schema() -> SchemaRef {
    Arc::new(Schema::new(metrics_fields()))
}

pub(super) fn metrics_fields() -> Vec<Field> {
    let mut fields = key_fields();
    fields.push(Field::new("quality", name_type(), false));
    let float = |name: &str| Field::new(name, DataType::Float32, true);
    fields.extend(FLOATS_BEFORE_ANGLES.map(|(name, _)| float(name)));
    fields.extend(JOINT_ANGLES.iter().map(|joint| float(joint.column)));
    fields.extend(FLOATS_BEHIND_ANGLES.map(|(name, _)| float(name)));
    fields.push(Field::new("peak_landmark", name_type(), true));
    fields.push(Field::new("facing", name_type(), true));
    fields.extend(SEGMENT_ANGLES.iter().map(|angle| float(angle.column)));
    fields.extend(FLAGS.map(|(name, _)| Field::new(name, DataType::Boolean, true)));
    fields
}

type FloatColumn = (&'static str, fn(&MetricsRow) -> Option<f64>);

/// Columns of the `metrics` table in its order, before and behind the joint angles.
const FLOATS_BEFORE_ANGLES: [FloatColumn; 9] = [
    ("pose_probability", |row| {
        row.pose_probability.map(f64::from)
    }),
    ("mean_visibility", |row| row.metrics.mean_visibility),
    ("shoulder_width_m", |row| row.metrics.shoulder_width_m),
    ("hip_width_m", |row| row.metrics.hip_width_m),
    ("shoulder_hip_ratio", |row| row.metrics.shoulder_hip_ratio),
    ("torso_length_px", |row| row.metrics.torso_length_px),
    ("shoulder_width_torso", |row| {
        row.metrics.shoulder_width_torso
    }),
    ("hip_width_torso", |row| row.metrics.hip_width_torso),
    ("shoulder_hip_ratio_image", |row| {
        row.metrics.shoulder_hip_ratio_image
    }),
];
const FLOATS_BEHIND_ANGLES: [FloatColumn; 5] = [
    ("trunk_lean_deg", |row| row.metrics.trunk_lean_deg),
    ("center_speed_px_per_sec", |row| {
        row.metrics.center_speed_px_per_sec
    }),
    ("center_speed_torso_per_sec", |row| {
        row.metrics.center_speed_torso_per_sec
    }),
    ("peak_landmark_speed_px_per_sec", |row| {
        row.metrics.peak_landmark_speed_px_per_sec
    }),
    ("peak_landmark_speed_torso_per_sec", |row| {
        row.metrics.peak_landmark_speed_torso_per_sec
    }),
];

type FlagColumn = (&'static str, fn(&MetricsRow) -> Option<bool>);

const FLAGS: [FlagColumn; 2] = [
    ("left_right_swap", |row| row.metrics.left_right_swap),
    ("bone_length_jump", |row| row.metrics.bone_length_jump),
];

/// Name of an angle's column; the lake stores angles in steps.
fn is_angle(column: &str) -> bool {
    column.ends_with("_deg")
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

fn landmarks_batch(video_id: &str, landmarks: &[Landmark], poses: &[PoseRow]) -> RecordBatch {
    let rows = landmarks.len() * poses.len();
    let all = || {
        landmarks
            .iter()
            .flat_map(|landmark| poses.iter().map(|row| (*landmark, row)))
    };
    let image = |value: fn(&ImageLandmark) -> f32| -> ArrayRef {
        let values = all().map(|(landmark, row)| value(&row.pose.landmarks[landmark.index()]));
        Arc::new(Float32Array::from_iter_values(values))
    };
    let world = |axis: usize| -> ArrayRef {
        let values = all().map(|(landmark, row)| row.pose.world_m[landmark.index()][axis]);
        Arc::new(Float32Array::from_iter_values(values))
    };
    let all_names = Landmark::ALL.map(Landmark::name);
    let index = |landmark: Landmark| landmark.index() as i8;
    let columns: Vec<ArrayRef> = vec![
        one_name(video_id, rows),
        Arc::new(Int16Array::from_iter_values(
            all().map(|(_, row)| row.pose.person as i16),
        )),
        Arc::new(Int32Array::from_iter_values(
            all().map(|(_, row)| row.frame),
        )),
        Arc::new(Float64Array::from_iter_values(
            all().map(|(_, row)| row.time_secs),
        )),
        names(all().map(|(landmark, _)| Some(index(landmark))), &all_names),
        Arc::new(Int8Array::from_iter_values(all().map(|(l, _)| index(l)))),
        image(|l| l.x),
        image(|l| l.y),
        image(|l| l.z),
        image(|l| l.visibility),
        image(|l| l.presence),
        world(0),
        world(1),
        world(2),
    ];
    record_batch(landmarks_schema(), columns)
}

/// A frame's rows: one for each person, or one that says that nobody was found.
fn metrics_rows(frame: i32, time_secs: f64, persons: &[PersonRow]) -> Vec<MetricsRow> {
    let row = |person, pose_probability, metrics| MetricsRow {
        frame,
        time_secs,
        person,
        pose_probability,
        metrics,
    };
    if persons.is_empty() {
        return vec![row(0, None, FrameMetrics::NO_POSE)];
    }
    let rows = persons.iter().map(|PersonRow { pose, metrics }| {
        row(pose.person, Some(pose.probability), metrics.clone())
    });
    rows.collect()
}

/// The rows that the `metrics` table has for frames, with all of its columns but the keys (video,
/// person, frame, time, sport): one row for each person, or one of quality `no_pose` for a frame
/// without persons.
///
/// # Errors
/// When the table cannot hold a frame's number.
pub fn metrics_of_frames<'r>(
    frames: impl IntoIterator<Item = (u64, MediaTime, &'r [PersonRow])>,
) -> Result<RecordBatch, LakeError> {
    let mut rows = Vec::new();
    for (frame, time, persons) in frames {
        let frame = i32::try_from(frame).map_err(|_| LakeError::TooLong {
            path: format!("frame {frame}").into(),
        })?;
        rows.extend(metrics_rows(frame, time.as_secs(), persons));
    }
    let batch = metrics_batch("", &rows);
    let measures: Vec<usize> = (key_fields().len()..batch.num_columns()).collect();
    Ok(batch
        .project(&measures)
        .expect("columns that the batch has"))
}

pub(super) fn metrics_batch(video_id: &str, rows: &[MetricsRow]) -> RecordBatch {
    record_batch(metrics_schema(), metrics_columns(video_id, rows))
}

/// Columns of [`metrics_fields`].
pub(super) fn metrics_columns(video_id: &str, rows: &[MetricsRow]) -> Vec<ArrayRef> {
    let floats = |name: &str, value: &dyn Fn(&MetricsRow) -> Option<f64>| -> ArrayRef {
        let stored = if is_angle(name) {
            to_lake_angle
        } else {
            to_lake_precision
        };
        let values: Float32Array = rows
            .iter()
            .map(|row| value(row).map(|v| stored(v as f32)))
            .collect();
        Arc::new(values)
    };
    let quality = |row: &MetricsRow| {
        Quality::ALL
            .iter()
            .position(|q| *q == row.metrics.quality)
            .map(|position| position as i8)
    };
    let mut columns: Vec<ArrayRef> = vec![
        one_name(video_id, rows.len()),
        Arc::new(Int16Array::from_iter_values(
            rows.iter().map(|row| row.person as i16),
        )),
        Arc::new(Int32Array::from_iter_values(
            rows.iter().map(|row| row.frame),
        )),
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|row| row.time_secs),
        )),
        names(rows.iter().map(quality), &Quality::ALL.map(Quality::name)),
    ];
    columns.extend(FLOATS_BEFORE_ANGLES.map(|(name, value)| floats(name, &value)));
    columns.extend(JOINT_ANGLES.iter().enumerate().map(|(i, joint)| {
        floats(joint.column, &|row: &MetricsRow| {
            row.metrics.joint_angles_deg[i]
        })
    }));
    columns.extend(FLOATS_BEHIND_ANGLES.map(|(name, value)| floats(name, &value)));
    let peak = |row: &MetricsRow| {
        row.metrics
            .peak_landmark
            .map(|landmark| landmark.index() as i8)
    };
    columns.push(names(
        rows.iter().map(peak),
        &Landmark::ALL.map(Landmark::name),
    ));
    let facing = |row: &MetricsRow| {
        let facing = row.metrics.facing?;
        let position = Facing::ALL.iter().position(|f| *f == facing);
        position.map(|position| position as i8)
    };
    columns.push(names(
        rows.iter().map(facing),
        &Facing::ALL.map(Facing::name),
    ));
    columns.extend(SEGMENT_ANGLES.iter().enumerate().map(|(i, angle)| {
        floats(angle.column, &|row: &MetricsRow| {
            row.metrics.segment_angles_deg[i]
        })
    }));
    columns.extend(FLAGS.map(|(_, value)| -> ArrayRef {
        let values: BooleanArray = rows.iter().map(value).collect();
        Arc::new(values)
    }));
    columns
}
