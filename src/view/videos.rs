//! The videos of the lake, as the page lists them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::files::{FileState, Files, SourceFacts};
use super::problem::Problem;
use super::rows::rows;
use crate::media_time::MediaRange;
use crate::query::Session;
use crate::sync::lock;

const SNAPSHOT: &str = "SELECT id AS snapshot FROM ducklake_current_snapshot('lake')";

/// All videos with what other tables say of them. Rows without a pose count for everybody.
const VIDEOS: &str = "
WITH tagged AS (
    SELECT video_id, list(DISTINCT subject ORDER BY subject) AS subjects FROM subjects GROUP BY video_id
), counted AS (
    SELECT video_id, count(*) AS person_count FROM persons GROUP BY video_id
), judged AS (
    SELECT
        m.video_id,
        count(*) FILTER (m.quality = 'good') AS good,
        count(*) FILTER (m.quality = 'partial') AS partial,
        count(*) FILTER (m.quality = 'poor') AS poor,
        count(*) FILTER (m.quality = 'no_pose') AS no_pose
    FROM metrics AS m
    JOIN videos AS v ON v.video_id = m.video_id AND v.sport = m.sport
    WHERE m.person = v.main_person OR m.quality = 'no_pose'
    GROUP BY m.video_id
)
SELECT
    v.* EXCLUDE (ingested_at, config, size_changes),
    strftime(v.ingested_at, '%Y-%m-%dT%H:%M:%SZ') AS ingested_at,
    v.size_changes IS NOT NULL AS changes_size,
    coalesce(t.subjects, []) AS subjects,
    coalesce(c.person_count, 0) AS person_count,
    coalesce(j.good, 0) AS good,
    coalesce(j.partial, 0) AS partial,
    coalesce(j.poor, 0) AS poor,
    coalesce(j.no_pose, 0) AS no_pose
FROM videos AS v
LEFT JOIN tagged AS t ON t.video_id = v.video_id
LEFT JOIN counted AS c ON c.video_id = v.video_id
LEFT JOIN judged AS j ON j.video_id = v.video_id
ORDER BY v.file_name, v.video_id";

const PERSONS: &str = "-- param id text
SELECT * EXCLUDE (video_id, sport) FROM persons WHERE video_id = $id ORDER BY person";

const HAS_FILTERED: &str = "-- param id text
-- param sport text
SELECT EXISTS (SELECT 1 FROM metrics_filtered WHERE video_id = $id AND sport = $sport) AS has_filtered";

const COUNTS: &str = "
SELECT
    (SELECT count(*) FROM videos) AS videos,
    (SELECT coalesce(sum(frame_count), 0)::BIGINT FROM videos) AS frames,
    (SELECT coalesce(sum(pose_frame_count), 0)::BIGINT FROM videos) AS poses,
    (SELECT count(*) FROM persons) AS persons,
    (SELECT count(*) FROM datasets) AS datasets,
    (SELECT count(*) FROM examples) AS examples";

/// A video as the lake has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Video {
    /// First 32 hex digits of the file's hash.
    pub video_id: String,
    /// Partition of its rows.
    pub sport: String,
    /// Without its folder.
    pub file_name: String,
    /// Where it lay when it was ingested, or its address.
    pub path: String,
    /// Of the file that was ingested.
    pub file_bytes: u64,
    width_px: u32,
    height_px: u32,
    /// FOURCC or the codec's name.
    pub codec: String,
    fps: Option<f64>,
    /// Frames with rows.
    frame_count: u64,
    first_frame: Option<u64>,
    range_from: Option<String>,
    range_to: Option<String>,
    duration_secs: f64,
    pose_frame_count: u64,
    /// Changes with every ingest that makes other rows.
    pub config_hash: String,
    ingested_at: String,
    /// Who is meant where nobody is named; `None` where nobody was found.
    pub main_person: Option<u16>,
    mirrored: Option<bool>,
    changes_size: bool,
    corrupt_frame_count: Option<u64>,
    /// How many times slower the file plays than things happened.
    pub slow_motion_factor: Option<f64>,
    capture_fps: Option<f64>,
    /// Who is filmed, as far as the user told.
    pub subjects: Vec<String>,
    /// People who were told apart.
    pub person_count: u64,
    good: u64,
    partial: u64,
    poor: u64,
    no_pose: u64,
}

impl Video {
    /// Real seconds times this are the file's.
    pub fn file_secs_per_real_sec(&self) -> f64 {
        self.slow_motion_factor.unwrap_or(1.0)
    }

    /// Numbers in the file of the frames with rows: of all, or of a part.
    pub fn frames(&self) -> Range<u64> {
        let first = self.first_frame.unwrap_or(0);
        first..first + self.frame_count
    }

    /// How many frames have rows.
    pub fn n_frames(&self) -> usize {
        usize::try_from(self.frame_count).unwrap_or(usize::MAX)
    }

    /// The place of a frame among those with rows.
    pub fn index_of(&self, frame: i64) -> Option<usize> {
        let frame = u64::try_from(frame).ok()?;
        let is_there = self.frames().contains(&frame);
        usize::try_from(frame.checked_sub(self.frames().start)?)
            .ok()
            .filter(|_| is_there)
    }

    /// Whether only a part of the video has rows.
    pub fn is_part(&self) -> bool {
        self.range_from.is_some() || self.range_to.is_some()
    }

    /// What has rows, as it is read out of the file again.
    pub fn range(&self) -> MediaRange {
        match self.is_part() {
            true => MediaRange::of_frames(self.frames()),
            // More frames than are known are to be noticed.
            false => MediaRange::WHOLE,
        }
    }

    /// What is said of frames that have no rows.
    pub fn no_such_frame(&self) -> Problem {
        let Range { start, end } = self.frames();
        let last = end.saturating_sub(1);
        Problem::missing(match self.is_part() {
            true => format!("the lake has frames {start} to {last} of this video"),
            false => format!("the video's last frame is {last}"),
        })
    }

    /// Names this state of the video's rows.
    pub fn rows_key(&self) -> String {
        format!(
            "{}-{}-{}",
            self.video_id, self.config_hash, self.ingested_at
        )
    }

    fn source_facts(&self) -> SourceFacts<'_> {
        SourceFacts {
            path: &self.path,
            file_name: &self.file_name,
            file_bytes: self.file_bytes,
            codec: &self.codec,
            is_mirrored: self.mirrored == Some(true),
            changes_size: self.changes_size,
            has_corrupt_frames: self.corrupt_frame_count.is_some_and(|count| count > 0),
        }
    }

    /// What is known of the video's file without reading all of it.
    pub fn file(&self, files: &Files) -> FileState {
        files.look(&self.video_id, &self.source_facts())
    }

    /// As the page's list has it.
    pub fn entry(&self, files: &Files) -> Value {
        let share = match self.frame_count {
            0 => None,
            frames => Some(self.pose_frame_count as f64 / frames as f64),
        };
        json!({
            "video_id": self.video_id,
            "file_name": self.file_name,
            "path": self.path,
            "sport": self.sport,
            "subjects": self.subjects,
            "person_count": self.person_count,
            "main_person": self.main_person,
            "duration_secs": self.duration_secs,
            "frame_count": self.frame_count,
            "first_frame": self.frames().start,
            "is_part": self.is_part(),
            "pose_frame_count": self.pose_frame_count,
            "fps": self.fps,
            "capture_fps": self.capture_fps,
            "slow_motion_factor": self.slow_motion_factor,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "codec": self.codec,
            "file_bytes": self.file_bytes,
            "pose_share": share,
            "quality": {
                "good": self.good, "partial": self.partial, "poor": self.poor, "no_pose": self.no_pose,
            },
            "ingested_at": self.ingested_at,
            "file": self.file(files).to_json(),
        })
    }
}

/// A person of a video, as the `persons` table has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Person {
    /// Number within the video.
    pub person: u16,
    is_main: bool,
    /// The first frame in which the person is seen.
    pub first_frame: u64,
    /// The last frame in which the person is seen.
    pub last_frame: u64,
    frame_count: u64,
    first_time_secs: f64,
    last_time_secs: f64,
    mean_probability: f64,
    mean_visibility: f64,
    mean_center_x: f64,
    mean_center_y: f64,
    mean_width: f64,
    mean_height: f64,
}

/// The videos of one snapshot.
#[derive(Clone)]
pub struct Listing {
    /// Version of the lake.
    pub snapshot: u64,
    videos: Arc<BTreeMap<String, Arc<Video>>>,
    order: Arc<Vec<String>>,
}

impl Listing {
    /// A video by its whole id.
    pub fn get(&self, id: &str) -> Option<Arc<Video>> {
        self.videos.get(id).cloned()
    }

    /// The first by file name.
    pub fn first(&self) -> Option<Arc<Video>> {
        self.order.first().and_then(|id| self.get(id))
    }

    /// All videos, ordered by file name.
    pub fn to_json(&self, files: &Files) -> Value {
        let videos = self.order.iter().filter_map(|id| self.videos.get(id));
        let videos: Vec<Value> = videos.map(|video| video.entry(files)).collect();
        json!({ "snapshot": self.snapshot, "videos": videos })
    }
}

/// Remembers the videos of the newest snapshot that was seen.
#[derive(Default)]
pub struct Videos {
    newest: Mutex<Option<Listing>>,
    /// Held by the one that reads the list: whoever else wants it waits for that.
    reading: Mutex<()>,
}

impl Videos {
    /// The videos as they are now.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn list(&self, session: &Session) -> Result<Listing, Problem> {
        #[derive(Deserialize)]
        struct Snapshot {
            snapshot: u64,
        }
        let found: Vec<Snapshot> = rows(session, SNAPSHOT, &[])?;
        let snapshot = found.first().map_or(0, |row| row.snapshot);
        if let Some(known) = self.at(snapshot) {
            return Ok(known);
        }
        let _reading = lock(&self.reading);
        if let Some(known) = self.at(snapshot) {
            return Ok(known);
        }
        let videos: Vec<Video> = rows(session, VIDEOS, &[])?;
        let order = videos.iter().map(|video| video.video_id.clone()).collect();
        let videos = videos
            .into_iter()
            .map(|video| (video.video_id.clone(), Arc::new(video)));
        let listing = Listing {
            snapshot,
            videos: Arc::new(videos.collect()),
            order: Arc::new(order),
        };
        *lock(&self.newest) = Some(listing.clone());
        Ok(listing)
    }

    fn at(&self, snapshot: u64) -> Option<Listing> {
        let newest = lock(&self.newest);
        newest
            .as_ref()
            .filter(|known| known.snapshot == snapshot)
            .cloned()
    }

    /// A video of the newest snapshot that was seen, without a look at the lake.
    pub fn known(&self, id: &str) -> Option<Arc<Video>> {
        lock(&self.newest)
            .as_ref()
            .and_then(|listing| listing.get(id))
    }
}

/// Numbers of rows.
///
/// # Errors
/// When the lake cannot be read.
pub fn counts(session: &Session) -> Result<Value, Problem> {
    let mut counts: Vec<Value> = rows(session, COUNTS, &[])?;
    Ok(counts.pop().unwrap_or(Value::Null))
}

/// Who is in a video.
///
/// # Errors
/// When the lake cannot be read.
pub fn persons(session: &Session, video: &Video) -> Result<Vec<Person>, Problem> {
    rows(session, PERSONS, &[("id", &video.video_id)])
}

/// Whether a video has filtered rows.
///
/// # Errors
/// When the lake cannot be read.
pub fn has_filtered(session: &Session, video: &Video) -> Result<bool, Problem> {
    #[derive(Deserialize)]
    struct Found {
        has_filtered: bool,
    }
    let params = [("id", video.video_id.as_str()), ("sport", &video.sport)];
    let found: Vec<Found> = rows(session, HAS_FILTERED, &params)?;
    Ok(found.iter().any(|row| row.has_filtered))
}
