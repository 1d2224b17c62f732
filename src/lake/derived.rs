//! Writes the tables that are computed from rows of the lake: filtered landmarks and their metrics.

use arrow::array::RecordBatch;

use super::columns::{Column, Layout, arrays, batch, batch_of};
use super::error::LakeError;
use super::location::LakePaths;
use super::records::VideoRecord;
use super::rows::{Key, MetricsRow, keyed, known, landmark_key_columns, metrics_columns};
use super::staged::StagedFile;
use super::table_file::TableFile;
use super::writer::{CHUNK_ROWS, MIN_ROW_GROUP_ROWS};
use crate::metrics::FrameMetrics;
use crate::pose::landmark::Landmark;

/// What a row of metrics says, of one person or of a frame without anybody.
pub struct MeasuredFrame {
    /// From 0, in display order.
    pub frame: u32,
    /// From the video's first frame; real seconds where the video is in slow motion.
    pub time_secs: f64,
    /// Number within the video, from 0; 0 in a frame without anybody, too.
    pub person: u16,
    /// That the region shows a person, 0..1; `None` where the person was not found here.
    pub pose_probability: Option<f32>,
    /// [`FrameMetrics::NO_POSE`] where there is nobody.
    pub metrics: FrameMetrics,
}

/// A row of `metrics_filtered`.
pub struct FilteredFrame {
    /// What the filtered landmarks say.
    pub measured: MeasuredFrame,
    /// Whether the person was not found here, and all landmarks lie between those of frames around.
    pub is_interpolated: bool,
    /// `None` without a known height.
    pub calibrated: Option<CalibratedFrame>,
}

/// What a known height adds to a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibratedFrame {
    /// As it was given for one person of the video; the same in every row.
    pub height_m: f64,
    /// The same in the whole video, and right only at that person's distance from the camera.
    pub meters_per_px: f64,
    /// Metres right of the picture's left edge and above its lower edge.
    pub center_m: Option<[f64; 2]>,
    /// Of the middle of the hips, in the picture's plane; `None` where it is in pixels, too.
    pub center_speed_m_per_sec: Option<f64>,
    /// Of the fastest landmark, in the picture's plane; `None` where it is in pixels, too.
    pub peak_landmark_speed_m_per_sec: Option<f64>,
}

/// A row of `landmarks_filtered`, for a landmark that the writer is told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilteredLandmark {
    /// From 0, in display order.
    pub frame: u32,
    /// From the video's first frame; real seconds where the video is in slow motion.
    pub time_secs: f64,
    /// Number within the video, from 0.
    pub person: u16,
    /// x, y, z as the `landmarks` table has them; NaN where the pose model gives no depth.
    pub image: [f32; 3],
    /// Metres right of, below and behind the middle of the hips; NaN where the pose model gives none.
    pub world_m: [f32; 3],
    /// Whether the landmark was not visible here and lies between its places in frames around.
    pub is_interpolated: bool,
    /// `None` where the path was too short to be filtered.
    pub cutoff_hz: Option<f32>,
}

/// Writes files of one video; each is deleted again unless it is committed.
pub struct DerivedWriter<'a> {
    /// The lake whose data folder gets the files.
    pub paths: &'a LakePaths,
    /// Whose rows they are; its sport is the files' partition.
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
        let columns = metrics_columns(&self.video.video_id);
        self.in_chunks("metrics", &Layout::of(&columns), rows, |rows| {
            let rows: Vec<MetricsRow> = rows.into_iter().map(MetricsRow::from).collect();
            batch(&columns, &rows)
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
        let measured = metrics_columns(&self.video.video_id);
        let filtered = filtering_columns(cutoff_hz as f32);
        let layout = Layout::of(&measured).followed_by(&Layout::of(&filtered));
        let schema = layout.schema.clone();
        self.in_chunks("metrics_filtered", &layout, rows.map(Ok), |rows| {
            let (metrics, more): (Vec<MetricsRow>, Vec<Filtering>) = (rows.into_iter())
                .map(|row| {
                    let more = Filtering {
                        is_interpolated: row.is_interpolated,
                        calibrated: row.calibrated,
                    };
                    (row.measured.into(), more)
                })
                .unzip();
            let columns = [arrays(&measured, &metrics), arrays(&filtered, &more)];
            batch_of(schema.clone(), columns.concat())
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
        let columns = filtered_landmarks_columns(&self.video.video_id);
        let mut file = None;
        let mut group = Vec::new();
        for landmark in Landmark::ALL {
            group.extend((rows(landmark).into_iter()).map(|row| FilteredLandmarkRow {
                key: key(row.frame, row.person, row.time_secs),
                landmark_index: landmark.index() as i8,
                filtered: row,
            }));
            let is_last = landmark == Landmark::ALL[Landmark::ALL.len() - 1];
            if group.len() >= MIN_ROW_GROUP_ROWS || (is_last && !group.is_empty()) {
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(TableFile::create(
                        &self.new_file("landmarks_filtered"),
                        &Layout::of(&columns),
                    )?),
                };
                file.write_row_group(batch(&columns, &group))?;
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
    pub(super) fn in_chunks<R>(
        &self,
        table: &str,
        layout: &Layout,
        mut rows: impl Iterator<Item = Result<R, LakeError>>,
        to_batch: impl Fn(Vec<R>) -> RecordBatch,
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
                none => none.insert(TableFile::create(&self.new_file(table), layout)?),
            };
            file.write_row_group(to_batch(chunk))?;
        }
    }
}

impl From<MeasuredFrame> for MetricsRow {
    fn from(frame: MeasuredFrame) -> Self {
        Self {
            key: key(frame.frame, frame.person, frame.time_secs),
            pose_probability: frame.pose_probability,
            metrics: frame.metrics,
        }
    }
}

fn key(frame: u32, person: u16, time_secs: f64) -> Key {
    Key {
        // The lake numbered both with a sign before.
        person: person as i16,
        frame: frame as i32,
        time_secs,
    }
}

/// What a row of `metrics_filtered` has beyond one of `metrics`.
pub(super) struct Filtering {
    is_interpolated: bool,
    calibrated: Option<CalibratedFrame>,
}

/// The columns of `metrics_filtered` behind those of `metrics`.
pub(super) fn filtering_columns(cutoff_hz: f32) -> Vec<Column<Filtering>> {
    let calibrated = |name, get: fn(&CalibratedFrame) -> Option<f64>| {
        Column::optional(name, move |row: &Filtering| {
            Some(get(row.calibrated.as_ref()?)? as f32)
        })
    };
    vec![
        Column::new("cutoff_hz", move |_: &Filtering| cutoff_hz),
        Column::new("interpolated", |row: &Filtering| row.is_interpolated),
        calibrated("height_m", |frame| Some(frame.height_m)),
        calibrated("meters_per_px", |frame| Some(frame.meters_per_px)),
        calibrated("center_x_m", |frame| frame.center_m.map(|[x, _]| x)),
        calibrated("center_y_m", |frame| frame.center_m.map(|[_, y]| y)),
        calibrated("center_speed_m_per_sec", |frame| {
            frame.center_speed_m_per_sec
        }),
        calibrated("peak_landmark_speed_m_per_sec", |frame| {
            frame.peak_landmark_speed_m_per_sec
        }),
    ]
}

/// A row of `landmarks_filtered`.
pub(super) struct FilteredLandmarkRow {
    key: Key,
    landmark_index: i8,
    filtered: FilteredLandmark,
}

keyed!(FilteredLandmarkRow);

/// The columns of `landmarks_filtered`.
pub(super) fn filtered_landmarks_columns(video_id: &str) -> Vec<Column<FilteredLandmarkRow>> {
    type Row = FilteredLandmarkRow;
    let mut columns = landmark_key_columns(video_id, |row: &Row| row.landmark_index);
    columns.extend([
        Column::new("x", |row: &Row| row.filtered.image[0]),
        Column::new("y", |row: &Row| row.filtered.image[1]),
        Column::optional("z", |row: &Row| known(row.filtered.image[2])),
        Column::optional("world_x_m", |row: &Row| known(row.filtered.world_m[0])),
        Column::optional("world_y_m", |row: &Row| known(row.filtered.world_m[1])),
        Column::optional("world_z_m", |row: &Row| known(row.filtered.world_m[2])),
        Column::new("interpolated", |row: &Row| row.filtered.is_interpolated),
        Column::optional("cutoff_hz", |row: &Row| row.filtered.cutoff_hz),
    ]);
    columns
}
