//! Writes one video's rows as Parquet files, in memory that does not grow with the video.
//!
//! Rows are collected until they are [`CHUNK_ROWS`] poses or frames without one, then sorted by
//! landmark and frame and written; [`MAX_BUFFERED_BYTES`] are resident at most, however many people
//! there are. In a full chunk each landmark is a row group of its own, so that a query for one joint
//! reads 1/33 of the file; short videos share row groups between landmarks, because a row group's
//! footer would outweigh its rows.

use std::path::PathBuf;

use arrow::array::RecordBatch;

use super::columns::{Layout, batch};
use super::error::LakeError;
use super::location::LakePaths;
use super::rows::{
    KEY_COLUMN_COUNT, Key, LandmarkRow, MetricsRow, PersonRow, landmarks_columns, metrics_columns,
};
use super::staged::StagedFile;
use super::table_file::TableFile;
use crate::media_time::MediaTime;
use crate::metrics::FrameMetrics;
use crate::pose::PersonPose;
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};

/// Rows of `metrics` that are collected before they and their landmarks are written.
pub(super) const CHUNK_ROWS: usize = 16_384;
/// Bytes of an Arrow batch and of what the Parquet writer makes of it, for each row of `metrics`:
/// two times the 66 columns of `metrics`, or two times two landmarks of 46 bytes and more.
const ENCODED_ROW_BYTES: usize = 600;
/// The most that a [`VideoWriter`] keeps in memory: a chunk of rows, and what is made of it.
pub const MAX_BUFFERED_BYTES: u64 =
    (CHUNK_ROWS * (size_of::<PoseRow>() + size_of::<MetricsRow>() + ENCODED_ROW_BYTES)) as u64;
/// Row groups are filled with whole landmarks up to this many rows.
pub(super) const MIN_ROW_GROUP_ROWS: usize = 8_192;

/// A pose with the frame it was seen in.
struct PoseRow {
    key: Key,
    pose: PersonPose,
}

impl PoseRow {
    fn landmark(&self, landmark: Landmark) -> LandmarkRow {
        let index = landmark.index();
        LandmarkRow {
            key: self.key,
            landmark_index: index as i8,
            image: self.pose.landmarks[index],
            world_m: self.pose.world_m[index],
        }
    }
}

/// A video's finished files, not yet in the catalog.
pub struct StagedVideo {
    /// `None` when nobody was found in the whole video.
    pub landmarks: Option<StagedFile>,
    /// Has rows for all frames, also those without a pose.
    pub metrics: StagedFile,
    /// Bytes of both files.
    pub byte_size: u64,
}

impl StagedVideo {
    pub(super) fn files(&self) -> impl Iterator<Item = &StagedFile> {
        self.landmarks.iter().chain([&self.metrics])
    }

    /// Puts the files where the lake's files lie, if that is in a bucket. A commit does it as well, but
    /// with others waiting.
    ///
    /// # Errors
    /// When the store takes them not.
    pub fn send(&mut self, paths: &LakePaths) -> Result<(), LakeError> {
        let files = self.landmarks.iter_mut().chain([&mut self.metrics]);
        files.into_iter().try_for_each(|file| file.send(paths))
    }

    /// The catalog knows the files now.
    pub(super) fn keep(self) {
        self.landmarks.into_iter().for_each(StagedFile::keep);
        self.metrics.keep();
    }
}

/// Collects a video's rows and writes its two files.
pub struct VideoWriter {
    video_id: String,
    landmarks_path: PathBuf,
    landmarks: Option<TableFile>,
    metrics: TableFile,
    poses: Vec<PoseRow>,
    measurements: Vec<MetricsRow>,
}

impl VideoWriter {
    /// Starts the files of one ingest in the lake's partition for `sport`.
    ///
    /// # Errors
    /// When the folder or a file cannot be made.
    pub fn create(paths: &LakePaths, sport: &str, video_id: &str) -> Result<Self, LakeError> {
        let path = |table: &str| paths.new_file(table, sport, video_id);
        let metrics = TableFile::create(&path("metrics"), &Layout::of(&metrics_columns(video_id)))?;
        Ok(Self {
            video_id: video_id.into(),
            landmarks_path: path("landmarks"),
            landmarks: None,
            metrics,
            poses: Vec::new(),
            measurements: Vec::new(),
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
        // A frame's rows stay together.
        if self.measurements.len() + persons.len().max(1) > CHUNK_ROWS {
            self.write_chunk()?;
        }
        self.measurements
            .extend(metrics_rows(frame, time_secs, &persons));
        self.poses.extend(persons.into_iter().map(|row| PoseRow {
            key: key(row.pose.person, frame, time_secs),
            pose: row.pose,
        }));
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
        if !self.measurements.is_empty() {
            let rows = batch(&metrics_columns(&self.video_id), &self.measurements);
            self.measurements.clear();
            self.metrics.write_row_group(rows)?;
        }
        if self.poses.is_empty() {
            return Ok(());
        }
        let columns = landmarks_columns(&self.video_id);
        let file = match &mut self.landmarks {
            Some(file) => file,
            none => none.insert(TableFile::create(
                &self.landmarks_path,
                &Layout::of(&columns),
            )?),
        };
        let landmarks_per_group = MIN_ROW_GROUP_ROWS.div_ceil(self.poses.len());
        for landmarks in Landmark::ALL.chunks(landmarks_per_group.min(LANDMARK_COUNT)) {
            let poses = &self.poses;
            let rows: Vec<LandmarkRow> = (landmarks.iter())
                .flat_map(|landmark| poses.iter().map(|pose| pose.landmark(*landmark)))
                .collect();
            file.write_row_group(batch(&columns, &rows))?;
        }
        self.poses.clear();
        Ok(())
    }
}

/// A frame's rows: one for each person, or one that says that nobody was found.
fn metrics_rows(frame: i32, time_secs: f64, persons: &[PersonRow]) -> Vec<MetricsRow> {
    let row = |person, pose_probability, metrics| MetricsRow {
        key: key(person, frame, time_secs),
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
    Ok(batch(&metrics_columns("")[KEY_COLUMN_COUNT..], &rows))
}

fn key(person: u16, frame: i32, time_secs: f64) -> Key {
    Key {
        // There are fewer people in a picture than half of what the number could tell apart.
        person: person as i16,
        frame,
        time_secs,
    }
}
