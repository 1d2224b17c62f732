//! Finds videos in the lake and reads their rows back, frame by frame.
//!
//! A video's rows are read in chunks of [`CHUNK_FRAMES`] frames. The catalog is attached for each
//! chunk anew, so that nobody waits for whoever works slowly through a long video; each time it is
//! attached as it was at the snapshot at which the reading began, so that all chunks belong
//! together whatever is committed meanwhile. About 20 MB are resident, whatever the video's length.

use std::fs;
use std::path::Path;

use arrow::array::{
    Array, AsArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    RecordBatch, StringArray,
};
use duckdb::Connection;

use super::catalog::{Access, quoted_text};
use super::{Lake, LakeError, PersonRow, PictureRecord, VideoRecord};
use crate::media_time::MediaTime;
use crate::metrics::segments::{Facing, SEGMENT_ANGLES};
use crate::metrics::{FrameMetrics, JOINT_ANGLES, Quality};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::pose::{ImageLandmark, PersonPose};

/// Frames that are read at once. Landmarks are stored one after the other in stretches of 16,384
/// frames, so that each chunk reads through the columns of a whole stretch.
const CHUNK_FRAMES: u64 = 4_096;
/// A shorter beginning of an id is more likely a file name.
const MIN_ID_PREFIX_DIGITS: usize = 6;
/// A name that is suggested shares at least this much with what was typed: two letters in five may
/// be wrong.
const MIN_LIKENESS: f64 = 0.6;
/// Shorter parts are in many names.
const MIN_PART_CHARS: usize = 3;
/// Error messages name at most this many videos.
const MAX_LISTED_VIDEOS: usize = 20;

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
    /// The videos that `selectors` name, in their order and each once; all videos, ordered by file
    /// name, where there are no selectors.
    ///
    /// A selector is a video's id or a beginning of it of at least 6 digits, the path under which
    /// it was ingested, its file name with or without the suffix, or a beginning of that name which
    /// no other video's name has.
    ///
    /// # Errors
    /// When the lake cannot be read, a selector names no video, or several.
    pub fn find_videos(&self, selectors: &[String]) -> Result<Vec<VideoRecord>, LakeError> {
        let videos = self.attached(Access::ReadOnly, |connection| {
            video_records(connection, "true")
        })?;
        if selectors.is_empty() {
            return Ok(videos);
        }
        let mut found: Vec<VideoRecord> = Vec::new();
        for selector in selectors {
            let video = select(&videos, selector)?;
            if found.iter().all(|known| known.video_id != video.video_id) {
                found.push(video.clone());
            }
        }
        Ok(found)
    }

    /// The numbers of all persons that were found in a video, ascending.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn persons(&self, video: &VideoRecord) -> Result<Vec<u16>, LakeError> {
        let sql = format!(
            "SELECT DISTINCT person FROM metrics
             WHERE video_id = {} AND sport = {} AND quality <> '{}' ORDER BY person",
            quoted_text(&video.video_id),
            quoted_text(&video.sport),
            Quality::NoPose.name()
        );
        self.attached(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(&sql)?;
            let persons = statement.query_map([], |row| row.get(0))?;
            Ok(persons.collect::<Result<_, _>>()?)
        })
    }

    /// The person whom exports and plots show unless told otherwise; `None` where nobody was found,
    /// or the video was ingested before people were told apart.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn main_person(&self, video: &VideoRecord) -> Result<Option<u16>, LakeError> {
        let sql = "SELECT max(main_person) FROM videos WHERE video_id = ?";
        // Only an up-to-date lake has the column.
        self.attached(Access::ReadWrite, |connection| {
            Ok(connection.query_row(sql, [&video.video_id], |row| row.get(0))?)
        })
    }

    /// The times of a video's frames, in their order.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn times_secs(&self, video: &VideoRecord) -> Result<Vec<f64>, LakeError> {
        let sql = format!(
            "SELECT any_value(time_secs) FROM metrics
             WHERE video_id = {} AND sport = {} GROUP BY frame ORDER BY frame",
            quoted_text(&video.video_id),
            quoted_text(&video.sport),
        );
        self.attached(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(&sql)?;
            let times = statement.query_map([], |row| row.get(0))?;
            Ok(times.collect::<Result<_, _>>()?)
        })
    }

    /// Begins to read a video's frames, in their order.
    ///
    /// # Errors
    /// When the lake cannot be read, or has no longer the ingest that `video` tells of.
    pub fn frames(&self, video: &VideoRecord) -> Result<FrameReader, LakeError> {
        let (video, snapshot) = self.attached(Access::ReadOnly, |connection| {
            let condition = format!("video_id = {}", quoted_text(&video.video_id));
            let record = video_records(connection, &condition)?
                .into_iter()
                .find(|record| record.config_hash == video.config_hash)
                .ok_or_else(|| changed(video))?;
            let sql = "SELECT id FROM ducklake_current_snapshot('lake')";
            Ok((record, connection.query_row(sql, [], |row| row.get(0))?))
        })?;
        Ok(FrameReader {
            lake: self.try_clone()?,
            video,
            snapshot,
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

/// All columns of the videos that fulfil a condition, ordered by file name.
fn video_records(connection: &Connection, condition: &str) -> Result<Vec<VideoRecord>, LakeError> {
    let newer = newer_columns(connection)?;
    let sql = format!(
        "SELECT video_id, sport, file_name, path, file_bytes, width_px, height_px, rotation_deg,
             codec, fps, frame_count, duration_secs, pose_frame_count, pose_model,
             pose_model_sha256, config, config_hash, {newer}
         FROM videos WHERE {condition} ORDER BY file_name, video_id"
    );
    let mut statement = connection.prepare(&sql)?;
    let records = statement.query_map([], |row| {
        Ok(VideoRecord {
            video_id: row.get(0)?,
            sport: row.get(1)?,
            file_name: row.get(2)?,
            path: row.get(3)?,
            file_bytes: row.get(4)?,
            width_px: row.get(5)?,
            height_px: row.get(6)?,
            rotation_deg: row.get(7)?,
            codec: row.get(8)?,
            fps: row.get(9)?,
            frame_count: row.get(10)?,
            duration_secs: row.get(11)?,
            pose_frame_count: row.get(12)?,
            pose_model: row.get(13)?,
            pose_model_sha256: row.get(14)?,
            config: row.get(15)?,
            config_hash: row.get(16)?,
            picture: PictureRecord {
                coded_width_px: row.get(17)?,
                coded_height_px: row.get(18)?,
                mirrored: row.get(19)?,
                color_transfer: row.get(20)?,
                size_changes: row.get(21)?,
                corrupt_frame_count: row.get::<_, Option<u64>>(22)?.unwrap_or(0),
            },
            slow_motion_factor: row.get(23)?,
            capture_fps: row.get(24)?,
        })
    })?;
    Ok(records.collect::<Result<_, _>>()?)
}

/// Columns of `videos` that format 5 added, with their types.
const NEWER_COLUMNS: [(&str, &str); 8] = [
    ("coded_width_px", "INTEGER"),
    ("coded_height_px", "INTEGER"),
    ("mirrored", "BOOLEAN"),
    ("color_transfer", "VARCHAR"),
    ("size_changes", "VARCHAR"),
    ("corrupt_frame_count", "BIGINT"),
    ("slow_motion_factor", "DOUBLE"),
    ("capture_fps", "DOUBLE"),
];

/// Those columns for a SELECT; NULL in a lake of an older format that is only read.
fn newer_columns(connection: &Connection) -> Result<String, LakeError> {
    let sql = "SELECT column_name FROM information_schema.columns
         WHERE table_catalog = current_database() AND table_name = 'videos'";
    let mut statement = connection.prepare(sql)?;
    let there = statement.query_map([], |row| row.get::<_, String>(0))?;
    let there = there.collect::<Result<Vec<_>, _>>()?;
    let columns = NEWER_COLUMNS.map(|(name, kind)| match there.iter().any(|n| n == name) {
        true => name.to_owned(),
        false => format!("NULL::{kind}"),
    });
    Ok(columns.join(", "))
}

/// The one video that a selector names. Ids come first, then paths, then file names, then parts of
/// them: whoever is exact is understood exactly.
fn select<'v>(videos: &'v [VideoRecord], selector: &str) -> Result<&'v VideoRecord, LakeError> {
    let path = Path::new(selector);
    let path = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let path = path.map_or_else(|_| selector.into(), |path| path.display().to_string());
    let id = selector.to_ascii_lowercase();
    let is_id_prefix =
        id.len() >= MIN_ID_PREFIX_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lower = selector.to_lowercase();
    // Nothing begins every name.
    let is_beginning =
        |name: &str, beginning: &str| !beginning.is_empty() && name.starts_with(beginning);
    let meanings: [&dyn Fn(&VideoRecord) -> bool; 8] = [
        &|video| video.video_id == id,
        &|video| video.path == path,
        &|video| video.file_name == selector,
        &|video| is_id_prefix && video.video_id.starts_with(&id),
        &|video| stem(&video.file_name) == selector,
        &|video| is_beginning(&video.file_name, selector),
        &|video| stem(&video.file_name).to_lowercase() == lower,
        &|video| is_beginning(&video.file_name.to_lowercase(), &lower),
    ];
    for is_meant in meanings {
        let candidates: Vec<&VideoRecord> = videos.iter().filter(|video| is_meant(video)).collect();
        match candidates.as_slice() {
            [] => {}
            [video] => return Ok(video),
            several => {
                return Err(LakeError::AmbiguousVideo {
                    selector: selector.into(),
                    candidates: listed(several, |video| {
                        format!("{} ({}, {})", video.file_name, video.video_id, video.path)
                    }),
                });
            }
        }
    }
    let known: Vec<&VideoRecord> = videos.iter().collect();
    let suggestion = nearest(videos, &lower);
    Err(LakeError::UnknownVideo {
        selector: selector.into(),
        suggestion: suggestion.map_or_else(String::new, |name| format!("; did you mean {name}?")),
        known: listed(&known, |video| video.file_name.clone()),
    })
}

/// A file name without its suffix.
fn stem(file_name: &str) -> &str {
    match file_name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file_name,
    }
}

/// The file name that a mistyped one may have meant: nearly the same, with or without its suffix,
/// or holding it.
fn nearest<'v>(videos: &'v [VideoRecord], lower: &str) -> Option<&'v str> {
    // The last part of a path is what a video is called.
    let wanted = lower.rsplit('/').next().unwrap_or(lower);
    let likeness = |video: &VideoRecord| {
        let name = video.file_name.to_lowercase();
        // Suffixes make all names alike.
        let similar = |wanted: &str| strsim::normalized_damerau_levenshtein(stem(&name), wanted);
        let alike = similar(wanted).max(similar(stem(wanted)));
        let holds = wanted.chars().count() >= MIN_PART_CHARS && name.contains(wanted);
        match holds {
            true => alike.max(MIN_LIKENESS),
            false => alike,
        }
    };
    let nearest = videos.iter().map(|video| (likeness(video), video));
    let nearest = nearest.max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .map(|(_, video)| video.file_name.as_str())
}

fn listed(videos: &[&VideoRecord], name: impl Fn(&VideoRecord) -> String) -> String {
    let mut names: Vec<String> = videos
        .iter()
        .take(MAX_LISTED_VIDEOS)
        .map(|video| name(video))
        .collect();
    match videos.len() {
        0 => names.push("(the lake has no videos)".into()),
        n if n > MAX_LISTED_VIDEOS => names.push(format!("and {} more", n - MAX_LISTED_VIDEOS)),
        _ => {}
    }
    names.join(", ")
}

/// A video's frames in their order; ends with the video's last frame, or behind the first error.
pub struct FrameReader {
    lake: Lake,
    video: VideoRecord,
    snapshot: u64,
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
        let frames = self.next_frame..(self.next_frame + CHUNK_FRAMES).min(self.video.frame_count);
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
