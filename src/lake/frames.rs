//! Reads a video's rows back, frame by frame.
//!
//! A video's rows are read in chunks of [`CHUNK_POSES`] poses at most. The catalog is attached for each
//! chunk anew, so that nobody waits for whoever works slowly through a long video; each time it is
//! attached as it was at the snapshot at which the reading began, so that all chunks belong
//! together whatever is committed meanwhile. About 20 MB are resident, whatever the video's length
//! and however many people are in it.

use arrow::array::RecordBatch;
use duckdb::Connection;

use super::catalog::Access;
use super::columns::Reader;
use super::error::LakeError;
use super::records::{VideoRecord, video_records};
use super::rows::{LandmarkRow, MetricsRow, PersonRow, landmarks_columns, metrics_columns};
use super::session::Lake;
use super::sql::quoted_text;
use crate::media_time::MediaTime;
use crate::metrics::{FrameMetrics, Quality};
use crate::pose::landmark::LANDMARK_COUNT;
use crate::pose::{ImageLandmark, PersonPose};

/// Poses that are read at once; fewer where frames have different numbers of them. Landmarks are
/// stored one after the other in stretches of 16,384 poses, so that each chunk reads through the
/// columns of a whole stretch.
const CHUNK_POSES: u64 = 4_096;

/// One frame of a video, as the lake has it.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFrame {
    /// Number of the frame in the file, from 0, in display order.
    pub frame: u64,
    /// From the video's first frame; real time where the video is in slow motion.
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
            self.with_catalog(Access::ReadOnly, |connection| {
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
        let first_frame = video.first_frame;
        Ok(FrameReader {
            lake: self.try_clone()?,
            video,
            snapshot,
            chunk_frames: (CHUNK_POSES / most_persons).max(1),
            next_frame: first_frame,
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
    /// The same from a frame on, which counts from 0.
    #[must_use]
    pub fn starting_at(mut self, frame: u64) -> Self {
        let frames = self.video.frames();
        self.next_frame = frame.clamp(frames.start, frames.end);
        self.chunk = Vec::new().into_iter();
        self
    }

    /// The video whose frames these are.
    pub fn video(&self) -> &VideoRecord {
        &self.video
    }

    fn read_chunk(&mut self) -> Result<(), LakeError> {
        let end = (self.next_frame + self.chunk_frames).min(self.video.frames().end);
        let frames = self.next_frame..end;
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
                "SELECT * EXCLUDE (video_id, sport, landmark) FROM landmarks WHERE {condition}"
            ))?;
            Ok((metrics, landmarks))
        };
        let (metrics, landmarks) = self
            .lake
            .with_catalog_at(Access::ReadOnly, Some(self.snapshot), read)
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
            && self.next_frame < self.video.frames().end
            && let Err(error) = self.read_chunk()
        {
            self.next_frame = self.video.frames().end;
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
        let columns = metrics_columns("");
        let reader = Reader::new(&columns, batch)?;
        for index in 0..batch.num_rows() {
            let mut row = MetricsRow::default();
            reader.read(index, &mut row)?;
            let number = row.key.frame;
            let frame = self.frame(number)?;
            frame.time_secs = Some(row.key.time_secs);
            if row.metrics.quality == Quality::NoPose {
                continue;
            }
            let person = u16::try_from(row.key.person)
                .map_err(|_| format!("frame {number} has a person below 0"))?;
            if frame.persons.iter().any(|p| p.pose.person == person) {
                return Err(format!("frame {number} has person {person} twice"));
            }
            frame.persons.push(PartialPerson {
                pose: PersonPose {
                    person,
                    probability: row.pose_probability.unwrap_or_default(),
                    landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
                    world_m: [[0.0; 3]; LANDMARK_COUNT],
                },
                metrics: row.metrics,
                landmarks_seen: 0,
            });
        }
        Ok(())
    }

    /// Takes rows of the `landmarks` table in any order, when all metrics are there.
    fn add_landmarks(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let columns = landmarks_columns("");
        let reader = Reader::new(&columns, batch)?;
        for index in 0..batch.num_rows() {
            let mut row = LandmarkRow::default();
            reader.read(index, &mut row)?;
            let (number, person) = (row.key.frame, row.key.person);
            let frame = self.frame(number)?;
            let entry = frame
                .persons
                .iter_mut()
                .find(|p| i32::from(p.pose.person) == i32::from(person))
                .ok_or_else(|| {
                    format!("frame {number} has landmarks of person {person} and no metrics")
                })?;
            let index = usize::try_from(row.landmark_index)
                .ok()
                .filter(|index| *index < LANDMARK_COUNT)
                .ok_or_else(|| format!("frame {number} has a landmark {}", row.landmark_index))?;
            if entry.landmarks_seen & (1 << index) != 0 {
                return Err(format!("frame {number} has landmark {index} twice"));
            }
            entry.landmarks_seen |= 1 << index;
            entry.pose.landmarks[index] = row.image;
            entry.pose.world_m[index] = row.world_m;
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
