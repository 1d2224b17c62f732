//! Reads a video's rows back, frame by frame.
//!
//! A video's rows are read in chunks of [`CHUNK_POSES`] poses at most. The catalog is attached for each
//! chunk anew, so that nobody waits for whoever works slowly through a long video; each time it is
//! attached as it was at the snapshot at which the reading began, so that all chunks belong
//! together whatever is committed meanwhile. About 20 MB are resident, whatever the video's length
//! and however many people are in it.

use arrow::array::{
    Array, AsArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    RecordBatch, StringArray,
};
use duckdb::Connection;

use super::catalog::Access;
use super::error::LakeError;
use super::records::{VideoRecord, video_records};
use super::session::Lake;
use super::sql::quoted_text;
use super::writer::PersonRow;
use crate::metrics::segments::{Facing, SEGMENT_ANGLES};
use crate::metrics::{FrameMetrics, JOINT_ANGLES, Quality};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::pose::{ImageLandmark, PersonPose};
use crate::video::MediaTime;

/// Poses that are read at once; fewer where frames have different numbers of them. Landmarks are
/// stored one after the other in stretches of 16,384 poses, so that each chunk reads through the
/// columns of a whole stretch.
const CHUNK_POSES: u64 = 4_096;

/// One frame of a video, as the lake has it.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFrame {
    /// Number of the frame, from 0, in display order.
    pub frame: u64,
    pub time: MediaTime,
    /// Everybody found in the frame, ordered by their number; nobody in a frame without a pose.
    pub persons: Vec<PersonRow>,
}

impl Lake {
    /// Begins to read a video's frames, in their order.
    ///
    /// # Errors
    /// When the lake cannot be read, or has no longer the ingest that `video` tells of.
    pub fn frames(&self, video: &VideoRecord) -> Result<FrameReader, LakeError> {
        let (video, snapshot, most_persons): (_, _, u64) =
            self.attached(Access::ReadOnly, |connection| {
                let condition = format!("video_id = {}", quoted_text(&video.video_id));
                let record = video_records(connection, &condition)?
                    .into_iter()
                    .find(|record| record.config_hash == video.config_hash)
                    .ok_or_else(|| changed(video))?;
                let sql = "SELECT id FROM ducklake_current_snapshot('lake')";
                let snapshot = connection.query_row(sql, [], |row| row.get(0))?;
                let most_persons = format!(
                    "SELECT coalesce(max(persons), 1)::UBIGINT FROM (
                     SELECT count(*) AS persons FROM metrics
                     WHERE video_id = {} AND sport = {} GROUP BY frame
                 )",
                    quoted_text(&record.video_id),
                    quoted_text(&record.sport)
                );
                let most_persons = connection.query_row(&most_persons, [], |row| row.get(0))?;
                Ok((record, snapshot, most_persons))
            })?;
        Ok(FrameReader {
            lake: self.try_clone()?,
            video,
            snapshot,
            chunk_frames: (CHUNK_POSES / most_persons).max(1),
            next_frame: 0,
            chunk: Vec::new().into_iter(),
        })
    }
}

fn changed(video: &VideoRecord) -> LakeError {
    LakeError::VideoChanged {
        video_id: video.video_id.clone(),
    }
}

/// A video's frames in their order; ends with the video's last frame, or behind the first error.
pub struct FrameReader {
    lake: Lake,
    video: VideoRecord,
    snapshot: u64,
    /// Frames that are read at once.
    chunk_frames: u64,
    /// The first frame that has not been read from the lake.
    next_frame: u64,
    chunk: std::vec::IntoIter<VideoFrame>,
}

impl FrameReader {
    /// The video whose frames these are.
    pub fn video(&self) -> &VideoRecord {
        &self.video
    }

    fn read_chunk(&mut self) -> Result<(), LakeError> {
        let frames =
            self.next_frame..(self.next_frame + self.chunk_frames).min(self.video.frame_count);
        let condition = format!(
            "video_id = {} AND sport = {} AND frame BETWEEN {} AND {}",
            quoted_text(&self.video.video_id),
            quoted_text(&self.video.sport),
            frames.start,
            frames.end - 1
        );
        let read = |connection: &Connection| -> Result<_, LakeError> {
            let query = |sql: String| -> Result<Vec<RecordBatch>, LakeError> {
                let mut statement = connection.prepare(&sql)?;
                let batches = statement.query_arrow([])?.collect();
                Ok(batches)
            };
            // All columns, because lakes of other versions may have fewer or more.
            let metrics = query(format!(
                "SELECT * FROM metrics WHERE {condition} ORDER BY frame, person"
            ))?;
            let landmarks = query(format!(
                "SELECT frame, person, landmark_index, x, y, z, visibility, presence,
                     world_x_m, world_y_m, world_z_m
                 FROM landmarks WHERE {condition}"
            ))?;
            Ok((metrics, landmarks))
        };
        let (metrics, landmarks) = self
            .lake
            .attached_at(Access::ReadOnly, Some(self.snapshot), read)
            .map_err(|error| match error {
                LakeError::NoSnapshot { .. } => changed(&self.video),
                other => other,
            })?;
        let mut chunk = Chunk::new(frames.clone());
        let filled = (metrics
            .iter()
            .try_for_each(|batch| chunk.add_metrics(batch)))
        .and_then(|()| {
            landmarks
                .iter()
                .try_for_each(|batch| chunk.add_landmarks(batch))
        })
        .and_then(|()| chunk.finish());
        let filled = filled.map_err(|reason| LakeError::Damaged {
            video: self.video.file_name.clone(),
            reason,
        })?;
        self.chunk = filled.into_iter();
        self.next_frame = frames.end;
        Ok(())
    }
}

impl Iterator for FrameReader {
    type Item = Result<VideoFrame, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.len() == 0
            && self.next_frame < self.video.frame_count
            && let Err(error) = self.read_chunk()
        {
            self.next_frame = self.video.frame_count;
            return Some(Err(error));
        }
        self.chunk.next().map(Ok)
    }
}

/// Frames that are being put together from rows; errors are reasons.
struct Chunk {
    first_frame: u64,
    frames: Vec<PartialFrame>,
}

#[derive(Clone, Default)]
struct PartialFrame {
    /// Seconds; `None` until the frame's first row of metrics has come.
    time_secs: Option<f64>,
    persons: Vec<PartialPerson>,
}

#[derive(Clone)]
struct PartialPerson {
    pose: PersonPose,
    metrics: FrameMetrics,
    /// A bit for each landmark that has come.
    landmarks_seen: u64,
}

const ALL_LANDMARKS_SEEN: u64 = (1 << LANDMARK_COUNT) - 1;

impl Chunk {
    fn new(frames: std::ops::Range<u64>) -> Self {
        Self {
            first_frame: frames.start,
            frames: vec![PartialFrame::default(); (frames.end - frames.start) as usize],
        }
    }

    fn frame(&mut self, frame: i32) -> Result<&mut PartialFrame, String> {
        u64::try_from(frame)
            .ok()
            .and_then(|frame| frame.checked_sub(self.first_frame))
            .and_then(|offset| self.frames.get_mut(offset as usize))
            .ok_or_else(|| format!("frame {frame} was not asked for"))
    }

    /// Takes rows of the `metrics` table, ordered by frame and person.
    fn add_metrics(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let frames: &Int32Array = column(batch, "frame")?;
        let persons: &Int16Array = column(batch, "person")?;
        let times: &Float64Array = column(batch, "time_secs")?;
        let qualities: &StringArray = column(batch, "quality")?;
        let probabilities: &Float32Array = column(batch, "pose_probability")?;
        let peaks: &StringArray = column(batch, "peak_landmark")?;
        // Lakes of the first version have none of these.
        let facings = column::<StringArray>(batch, "facing").ok();
        let swaps = column::<BooleanArray>(batch, "left_right_swap").ok();
        let jumps = column::<BooleanArray>(batch, "bone_length_jump").ok();
        let mut floats = Vec::new();
        for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(values) = values.as_primitive_opt::<arrow::datatypes::Float32Type>() {
                floats.push((field.name().clone(), values.clone()));
            }
        }
        for row in 0..batch.num_rows() {
            let number = frames.value(row);
            let frame = self.frame(number)?;
            frame.time_secs = Some(times.value(row));
            let quality = Quality::ALL
                .into_iter()
                .find(|quality| quality.name() == qualities.value(row))
                .ok_or_else(|| format!("quality {} is unknown", qualities.value(row)))?;
            if quality == Quality::NoPose {
                continue;
            }
            let person = u16::try_from(persons.value(row))
                .map_err(|_| format!("frame {number} has a person below 0"))?;
            if frame.persons.iter().any(|p| p.pose.person == person) {
                return Err(format!("frame {number} has person {person} twice"));
            }
            let mut metrics = FrameMetrics {
                quality,
                ..FrameMetrics::NO_POSE
            };
            for (name, values) in &floats {
                let value = values.is_valid(row).then(|| f64::from(values.value(row)));
                // Columns that are unknown here belong to another version of the tables.
                set_metric(&mut metrics, name, value);
            }
            metrics.peak_landmark = peaks
                .is_valid(row)
                .then(|| peaks.value(row))
                .and_then(|name| Landmark::ALL.into_iter().find(|l| l.name() == name));
            metrics.facing = facings
                .filter(|facings| facings.is_valid(row))
                .and_then(|facings| {
                    Facing::ALL
                        .into_iter()
                        .find(|f| f.name() == facings.value(row))
                });
            let flag = |flags: Option<&BooleanArray>| {
                flags
                    .filter(|flags| flags.is_valid(row))
                    .map(|flags| flags.value(row))
            };
            metrics.left_right_swap = flag(swaps);
            metrics.bone_length_jump = flag(jumps);
            frame.persons.push(PartialPerson {
                pose: PersonPose {
                    person,
                    probability: probabilities.value(row),
                    landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
                    world_m: [[0.0; 3]; LANDMARK_COUNT],
                },
                metrics,
                landmarks_seen: 0,
            });
        }
        Ok(())
    }

    /// Takes rows of the `landmarks` table in any order, when all metrics are there.
    fn add_landmarks(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let frames: &Int32Array = column(batch, "frame")?;
        let persons: &Int16Array = column(batch, "person")?;
        let indices: &Int8Array = column(batch, "landmark_index")?;
        let float = |name: &str| column::<Float32Array>(batch, name);
        let [x, y, z] = [float("x")?, float("y")?, float("z")?];
        let [visibility, presence] = [float("visibility")?, float("presence")?];
        let world = [
            float("world_x_m")?,
            float("world_y_m")?,
            float("world_z_m")?,
        ];
        for row in 0..batch.num_rows() {
            let (number, person) = (frames.value(row), persons.value(row));
            let index = indices.value(row);
            let frame = self.frame(number)?;
            let entry = frame
                .persons
                .iter_mut()
                .find(|p| i32::from(p.pose.person) == i32::from(person))
                .ok_or_else(|| {
                    format!("frame {number} has landmarks of person {person} and no metrics")
                })?;
            let index = usize::try_from(index)
                .ok()
                .filter(|index| *index < LANDMARK_COUNT)
                .ok_or_else(|| format!("frame {number} has a landmark {index}"))?;
            if entry.landmarks_seen & (1 << index) != 0 {
                return Err(format!("frame {number} has landmark {index} twice"));
            }
            entry.landmarks_seen |= 1 << index;
            entry.pose.landmarks[index] = ImageLandmark {
                x: x.value(row),
                y: y.value(row),
                z: z.value(row),
                visibility: visibility.value(row),
                presence: presence.value(row),
            };
            entry.pose.world_m[index] = world.map(|axis| axis.value(row));
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<VideoFrame>, String> {
        let frames = (self.first_frame..).zip(self.frames);
        frames
            .map(|(number, frame)| {
                let time_secs = frame
                    .time_secs
                    .ok_or_else(|| format!("frame {number} is missing"))?;
                let is_whole = |p: &PartialPerson| p.landmarks_seen == ALL_LANDMARKS_SEEN;
                if !frame.persons.iter().all(is_whole) {
                    return Err(format!("frame {number} lacks landmarks"));
                }
                let persons = frame.persons.into_iter();
                Ok(VideoFrame {
                    frame: number,
                    time: MediaTime::from_secs(time_secs),
                    persons: persons
                        .map(|person| PersonRow {
                            pose: person.pose,
                            metrics: person.metrics,
                        })
                        .collect(),
                })
            })
            .collect()
    }
}

fn column<'b, A: Array + 'static>(batch: &'b RecordBatch, name: &str) -> Result<&'b A, String> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_any().downcast_ref())
        .ok_or_else(|| format!("column {name} is missing or has another type"))
}

/// Sets the value that a column of the `metrics` table holds; `false` for columns that hold none
/// of [`FrameMetrics`]' numbers.
pub(super) fn set_metric(metrics: &mut FrameMetrics, column: &str, value: Option<f64>) -> bool {
    let joint = JOINT_ANGLES.iter().position(|joint| joint.column == column);
    let segment = SEGMENT_ANGLES
        .iter()
        .position(|angle| angle.column == column);
    if let Some(segment) = segment {
        metrics.segment_angles_deg[segment] = value;
        return true;
    }
    let target = match (joint, column) {
        (Some(joint), _) => &mut metrics.joint_angles_deg[joint],
        (_, "mean_visibility") => &mut metrics.mean_visibility,
        (_, "shoulder_width_m") => &mut metrics.shoulder_width_m,
        (_, "hip_width_m") => &mut metrics.hip_width_m,
        (_, "shoulder_hip_ratio") => &mut metrics.shoulder_hip_ratio,
        (_, "torso_length_px") => &mut metrics.torso_length_px,
        (_, "shoulder_width_torso") => &mut metrics.shoulder_width_torso,
        (_, "hip_width_torso") => &mut metrics.hip_width_torso,
        (_, "shoulder_hip_ratio_image") => &mut metrics.shoulder_hip_ratio_image,
        (_, "trunk_lean_deg") => &mut metrics.trunk_lean_deg,
        (_, "center_speed_px_per_sec") => &mut metrics.center_speed_px_per_sec,
        (_, "center_speed_torso_per_sec") => &mut metrics.center_speed_torso_per_sec,
        (_, "peak_landmark_speed_px_per_sec") => &mut metrics.peak_landmark_speed_px_per_sec,
        (_, "peak_landmark_speed_torso_per_sec") => &mut metrics.peak_landmark_speed_torso_per_sec,
        _ => return false,
    };
    *target = value;
    true
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Float32Type};

    use super::*;
    use crate::lake::metrics_of_frames;

    #[test]
    fn every_number_of_the_metrics_table_is_read_back_into_its_place() {
        let written = |metrics: &FrameMetrics| {
            let row = PersonRow {
                pose: PersonPose {
                    person: 0,
                    probability: 1.0,
                    landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
                    world_m: [[0.0; 3]; LANDMARK_COUNT],
                },
                metrics: metrics.clone(),
            };
            let frame = (0, MediaTime::default(), std::slice::from_ref(&row));
            metrics_of_frames([frame]).expect("a row")
        };
        let empty = written(&FrameMetrics::NO_POSE);
        let mut metrics = FrameMetrics::NO_POSE;
        let mut expected = Vec::new();
        for (i, field) in empty.schema().fields().iter().enumerate() {
            if *field.data_type() == DataType::Float32 && field.name() != "pose_probability" {
                let is_known = set_metric(&mut metrics, field.name(), Some(i as f64));
                assert!(is_known, "set_metric does not know {}", field.name());
                expected.push((field.name().clone(), i as f32));
            }
        }
        let batch = written(&metrics);
        for (name, value) in expected {
            let column = batch.column_by_name(&name).expect("the column");
            assert_eq!(
                column.as_primitive::<Float32Type>().value(0),
                value,
                "{name}"
            );
        }
    }
}
