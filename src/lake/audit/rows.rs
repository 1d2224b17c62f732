//! Does each video have its rows, once, and does each row have its video?

use std::collections::{BTreeMap, HashMap};

use duckdb::Connection;

use super::census::{COPY_NAME, Census, Column};
use super::report::{Finding, Severity};
use crate::lake::error::LakeError;
use crate::lake::inventory::CatalogFile;
use crate::lake::removal::tables_of_videos;
use crate::lake::session::Lake;
use crate::lake::sql::table_in;
use crate::pose::landmark::LANDMARK_COUNT;

/// Columns that tell rows of a table of frames apart, as far as a table has them.
const KEY_COLUMNS: [&str; 11] = [
    "video_id",
    "path",
    "person",
    "frame",
    "landmark_index",
    "event",
    "side",
    "cycle",
    "model_sha256",
    "output",
    "output_index",
];
/// Tables that are filled at ingest; the rows of all others are computed from them.
pub(super) const INGESTED_TABLES: [&str; 2] = ["landmarks", "metrics"];

/// What a repair has to deal with.
#[derive(Default)]
pub(super) struct Faults {
    pub lost_files: Vec<CatalogFile>,
    /// Ids of videos whose rows are wrong, and of rows without a video.
    pub broken_videos: BTreeMap<String, Option<VideoFacts>>,
}

/// What the lake says of a video.
#[derive(Clone)]
pub(super) struct VideoFacts {
    pub file_name: String,
    pub path: String,
    pub sport: String,
    pub pose_model: String,
    pub first_frame: u64,
    pub frame_count: u64,
    pub range_from: Option<String>,
    pub range_to: Option<String>,
    pub pose_frame_count: u64,
    pub copies: u64,
}

impl Lake {
    /// Compares each video with its rows; gives the number of videos.
    pub(super) fn check_rows(
        &self,
        connection: &Connection,
        census: &Census,
        findings: &mut Vec<Finding>,
        faults: &mut Faults,
    ) -> Result<u64, LakeError> {
        let columns = census.columns.get("videos").map_or(&[][..], Vec::as_slice);
        let videos = videos(connection, columns)?;
        let metrics = metrics_facts(connection)?;
        let landmarks = landmark_facts(connection)?;
        for (id, video) in &videos {
            let none = MetricsFacts::default();
            let mut causes = metrics.get(id).unwrap_or(&none).faults(video);
            let none = LandmarkFacts::default();
            causes.extend(landmarks.get(id).unwrap_or(&none).faults(video));
            if video.copies > 1 {
                causes.push(format!("it has {} rows in videos", video.copies));
            }
            if causes.is_empty() {
                continue;
            }
            findings.push(Finding {
                severity: Severity::Damage,
                subject: format!("{} ({})", video.file_name, short(id)),
                cause: causes.join("; "),
                remedy: format!(
                    "posedata lake check --repair removes it; then {}",
                    video.ingest_command()
                ),
            });
            faults.broken_videos.insert(id.clone(), Some(video.clone()));
        }
        for table in tables_of_videos(connection, COPY_NAME)? {
            for id in videos_of(connection, &table)? {
                if videos.contains_key(&id) {
                    continue;
                }
                findings.push(Finding {
                    severity: Severity::Damage,
                    subject: format!("table {table}"),
                    cause: format!(
                        "it has rows of {}, which is no video of the lake",
                        short(&id)
                    ),
                    remedy: "posedata lake check --repair deletes them".into(),
                });
                faults.broken_videos.insert(id, None);
            }
            // The tables filled at ingest were looked at more closely already.
            if INGESTED_TABLES.contains(&table.as_str()) {
                continue;
            }
            let columns = census.columns.get(&table).map_or(&[][..], Vec::as_slice);
            for id in duplicated(connection, &table, columns)? {
                let video = videos.get(&id);
                findings.push(Finding {
                    severity: Severity::Damage,
                    subject: video
                        .map_or(short(&id), |v| format!("{} ({})", v.file_name, short(&id))),
                    cause: format!("it has the same rows twice in {table}"),
                    remedy: "posedata lake check --repair removes it; then ingest it again".into(),
                });
                faults.broken_videos.insert(id, video.cloned());
            }
        }
        Ok(videos.len() as u64)
    }
}

impl VideoFacts {
    pub(super) fn ingest_command(&self) -> String {
        let path = self.path.replace('\'', "'\\''");
        let mut command = format!("posedata ingest '{path}'");
        if self.sport != "general" {
            command += &format!(" --sport-type {}", self.sport);
        }
        if self.pose_model != "full" {
            command += &format!(" --pose-model {}", self.pose_model);
        }
        if let Some(from) = &self.range_from {
            command += &format!(" --from {from}");
        }
        if let Some(to) = &self.range_to {
            command += &format!(" --to {to}");
        }
        command
    }
}

pub(super) fn short(video_id: &str) -> String {
    video_id.chars().take(8).collect()
}

fn videos(
    connection: &Connection,
    columns: &[Column],
) -> Result<BTreeMap<String, VideoFacts>, LakeError> {
    // A lake of an older format has whole videos only.
    let part = match columns.iter().any(|column| column.name == "first_frame") {
        true => "coalesce(max(first_frame), 0), any_value(range_from), any_value(range_to)",
        false => "0::BIGINT, NULL::VARCHAR, NULL::VARCHAR",
    };
    let mut statement = connection.prepare(&format!(
        "SELECT video_id, any_value(file_name), any_value(path), any_value(sport),
             any_value(pose_model), max(frame_count), max(pose_frame_count), count(*), {part}
         FROM videos GROUP BY video_id",
    ))?;
    let rows = statement.query_map([], |row| {
        let facts = VideoFacts {
            file_name: row.get(1)?,
            path: row.get(2)?,
            sport: row.get(3)?,
            pose_model: row.get(4)?,
            frame_count: row.get(5)?,
            pose_frame_count: row.get(6)?,
            copies: row.get(7)?,
            first_frame: row.get(8)?,
            range_from: row.get(9)?,
            range_to: row.get(10)?,
        };
        Ok((row.get(0)?, facts))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What the table `metrics` has of a video.
#[derive(Default)]
struct MetricsFacts {
    frames: u64,
    first_frame: i64,
    last_frame: i64,
    pose_frames: u64,
    /// Rows beyond one per person and frame.
    surplus_rows: u64,
}

fn metrics_facts(connection: &Connection) -> Result<HashMap<String, MetricsFacts>, LakeError> {
    let mut statement = connection.prepare(
        "WITH per_frame AS (
             SELECT video_id, frame, count(*) - count(DISTINCT person) AS surplus,
                 bool_or(quality <> 'no_pose') AS has_pose
             FROM metrics GROUP BY video_id, frame
         )
         SELECT video_id, count(*), min(frame), max(frame), count(*) FILTER (has_pose),
             sum(surplus)::UBIGINT
         FROM per_frame GROUP BY video_id",
    )?;
    let rows = statement.query_map([], |row| {
        let facts = MetricsFacts {
            frames: row.get(1)?,
            first_frame: row.get(2)?,
            last_frame: row.get(3)?,
            pose_frames: row.get(4)?,
            surplus_rows: row.get(5)?,
        };
        Ok((row.get(0)?, facts))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl MetricsFacts {
    fn faults(&self, video: &VideoFacts) -> Vec<String> {
        let mut causes = Vec::new();
        if self.frames != video.frame_count {
            causes.push(format!(
                "metrics has {} of its {} frames",
                self.frames, video.frame_count
            ));
        } else if self.frames > 0 {
            let first = video.first_frame as i64;
            let last = first + self.frames as i64 - 1;
            if (self.first_frame, self.last_frame) != (first, last) {
                causes.push(format!(
                    "metrics has frames {} to {}, not {first} to {last}",
                    self.first_frame, self.last_frame
                ));
            }
        }
        if self.pose_frames != video.pose_frame_count && self.frames == video.frame_count {
            causes.push(format!(
                "metrics has {} frames with a pose, videos says {}",
                self.pose_frames, video.pose_frame_count
            ));
        }
        if self.surplus_rows > 0 {
            causes.push(format!("metrics has {} rows twice", self.surplus_rows));
        }
        causes
    }
}

/// What the table `landmarks` has of a video.
#[derive(Default)]
struct LandmarkFacts {
    pose_frames: u64,
    /// Persons in frames that do not have each landmark once.
    incomplete_poses: u64,
}

fn landmark_facts(connection: &Connection) -> Result<HashMap<String, LandmarkFacts>, LakeError> {
    let all_landmarks = (1_u64 << LANDMARK_COUNT) - 1;
    let mut statement = connection.prepare(&format!(
        "WITH per_pose AS (
             SELECT video_id, frame, person, count(*) AS landmarks,
                 bit_or(1::BIGINT << landmark_index::INTEGER) AS which
             FROM landmarks GROUP BY video_id, frame, person
         ),
         per_frame AS (
             SELECT video_id, frame,
                 count(*) FILTER (landmarks <> {LANDMARK_COUNT} OR which <> {all_landmarks}) AS incomplete
             FROM per_pose GROUP BY video_id, frame
         )
         SELECT video_id, count(*), sum(incomplete)::UBIGINT FROM per_frame GROUP BY video_id"
    ))?;
    let rows = statement.query_map([], |row| {
        let facts = LandmarkFacts {
            pose_frames: row.get(1)?,
            incomplete_poses: row.get(2)?,
        };
        Ok((row.get(0)?, facts))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl LandmarkFacts {
    fn faults(&self, video: &VideoFacts) -> Vec<String> {
        let mut causes = Vec::new();
        if self.pose_frames != video.pose_frame_count {
            causes.push(format!(
                "landmarks has {} of its {} frames with a pose",
                self.pose_frames, video.pose_frame_count
            ));
        }
        if self.incomplete_poses > 0 {
            causes.push(format!(
                "{} of its poses do not have each of the {LANDMARK_COUNT} landmarks once",
                self.incomplete_poses
            ));
        }
        causes
    }
}

/// Ids of the videos that a table has rows of.
fn videos_of(connection: &Connection, table: &str) -> Result<Vec<String>, LakeError> {
    let sql = format!(
        "SELECT DISTINCT video_id FROM {} WHERE video_id IS NOT NULL ORDER BY ALL",
        table_in(COPY_NAME, table)
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ids of the videos that a table of frames has the same row of more than once.
fn duplicated(
    connection: &Connection,
    table: &str,
    columns: &[Column],
) -> Result<Vec<String>, LakeError> {
    let has = |name: &&str| columns.iter().any(|column| column.name == **name);
    let keys: Vec<&str> = KEY_COLUMNS.into_iter().filter(|name| has(name)).collect();
    if !keys.contains(&"frame") {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT DISTINCT video_id FROM (
             SELECT video_id FROM {} GROUP BY {} HAVING count(*) > 1
         ) ORDER BY ALL",
        table_in(COPY_NAME, table),
        keys.join(", ")
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
