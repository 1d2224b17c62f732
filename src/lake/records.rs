//! What the lake knows of videos: the tables `videos` and `persons`.

use std::collections::HashMap;
use std::ops::Range;

use duckdb::Connection;

use super::catalog::Access;
use super::error::LakeError;
use super::session::Lake;
use super::sources::{VideoSource, sources};
use super::sql::{OwnedRow, newer_column, owned, quoted_text, row};
use super::time::UtcTime;
use crate::media_time::MediaRange;
use crate::metrics::Quality;
use crate::pose::FilterClock;

/// A row of the `videos` table; its columns' comments are in `schemas/videos.sql`.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoRecord {
    /// First 32 hex digits of the BLAKE3 hash of the file's bytes, wherever it lies.
    pub video_id: String,
    /// As `--sport-type` says; the partition of the video's rows.
    pub sport: String,
    /// Without its folder.
    pub file_name: String,
    /// Absolute path, or the address, from which it was ingested.
    pub path: String,
    /// Size of the file as it was ingested.
    pub file_bytes: u64,
    /// Of the first picture as displayed: with square pixels, after rotation.
    pub width_px: u32,
    /// Of the first picture as displayed; later ones are scaled to its size.
    pub height_px: u32,
    /// Clockwise turn from the stored to the displayed picture: 0, 90, 180 or 270.
    pub rotation_deg: u16,
    /// The video stream's tag (FOURCC).
    pub codec: String,
    /// Mean rate by the true timestamps, without pauses; `None` where no time passes.
    pub fps: Option<f64>,
    /// Frames with rows, with or without a pose.
    pub frame_count: u64,
    /// Number in the file of the first frame with rows; above 0 for a part of a video.
    pub first_frame: u64,
    /// Where the part with rows begins, as `--from` takes it; `None`: with the first frame.
    pub range_from: Option<String>,
    /// Where it ends, as `--to` takes it; `None`: with the last frame.
    pub range_to: Option<String>,
    /// From the first frame with rows to the end of the last.
    pub duration_secs: f64,
    /// Frames with at least one pose.
    pub pose_frame_count: u64,
    /// `lite`, `full` or `heavy`.
    pub pose_model: String,
    /// Of the landmark model's source file, not of what it was converted to.
    pub pose_model_sha256: String,
    /// JSON
    pub config: String,
    /// BLAKE3 of `config`, 32 hex digits; an ingest with the same one has nothing to do.
    pub config_hash: String,
    /// How the pictures are stored, and how many of them are damaged.
    pub picture: PictureRecord,
    /// How many times slower the file plays than things happened; `None` where its times are real.
    pub slow_motion_factor: Option<f64>,
    /// Rate at which the pictures were taken, as the camera or the user says.
    pub capture_fps: Option<f64>,
    /// What the store that has the video calls this content; `None` for a video on a disk.
    pub source_etag: Option<String>,
    /// What the pose models ran on; `None` where it was not written down.
    pub provider: Option<String>,
}

/// What a row of the `videos` table says of the stored pictures. What is `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PictureRecord {
    /// Of the first picture as it is stored, before pixels are made square and turned.
    pub coded_width_px: Option<u32>,
    /// Of the first picture as it is stored, before pixels are made square and turned.
    pub coded_height_px: Option<u32>,
    /// Whether stored pictures are mirrored, left to right, before they are turned for display.
    pub mirrored: Option<bool>,
    /// Transfer characteristics by FFmpeg's name; `smpte2084` and `arib-std-b67` are HDR.
    pub color_transfer: Option<String>,
    /// JSON
    pub size_changes: Option<String>,
    /// Frames reported as damaged, and pictures that could not be decoded at all.
    pub corrupt_frame_count: u64,
}

/// What is known of a video in the lake before it is looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestedVideo {
    /// Without its folder; other videos may have the same.
    pub file_name: String,
    /// Tells whether another ingest would make the same rows; 32 hex digits.
    pub config_hash: String,
    /// A path, or an address.
    pub path: String,
    /// What the store that has the video called its content; `None` for a video on a disk.
    pub source_etag: Option<String>,
    /// Further places where stores have the same content.
    pub other_sources: Vec<VideoSource>,
}

/// A row of the `persons` table; its columns' comments are in `schemas/persons.sql`.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonRecord {
    /// Number within the video, from 0, in the order of appearance.
    pub person: u16,
    /// At most one of a video's persons is.
    pub is_main: bool,
    /// The first frame in which the person is seen, from 0.
    pub first_frame: u64,
    /// The last frame in which the person is seen, included.
    pub last_frame: u64,
    /// Frames in which the person is seen; those between, when the person was lost, do not count.
    pub frame_count: u64,
    /// Time of `first_frame` from the video's first one; real seconds in slow motion.
    pub first_time_secs: f64,
    /// Time of `last_frame`, likewise.
    pub last_time_secs: f64,
    /// That the tracked region shows a person, 0..1; over the frames in which the person is seen.
    pub mean_probability: f64,
    /// Of the 33 landmarks, 0..1; over the frames in which the person is seen.
    pub mean_visibility: f64,
    /// Fractions of the picture's width and height.
    pub mean_center: [f64; 2],
    /// Width and height of the box around the landmarks, fractions of the picture's.
    pub mean_extent: [f64; 2],
}

impl VideoRecord {
    /// Whether only a part of the video has rows.
    pub fn is_part(&self) -> bool {
        self.range_from.is_some() || self.range_to.is_some()
    }

    /// What the joints of the pose model are; `None` for BlazePose, which gives all landmarks.
    pub fn skeleton(&self) -> Option<String> {
        let config: serde_json::Value = serde_json::from_str(&self.config).ok()?;
        Some(config.get("skeleton")?.get("name")?.as_str()?.to_owned())
    }

    /// What the low pass on visibility went by; `None` where landmarks were not smoothed.
    pub fn visibility_clock(&self) -> Option<FilterClock> {
        let config: serde_json::Value = serde_json::from_str(&self.config).ok()?;
        (config.get("smoothing")?.as_str()? == "on").then(|| match config.get("filter_clock") {
            Some(clock) if clock.as_str() == Some("video") => FilterClock::Video,
            _ => FilterClock::MediaPipe,
        })
    }

    /// Numbers in the file of the frames with rows.
    pub fn frames(&self) -> Range<u64> {
        self.first_frame..self.first_frame + self.frame_count
    }

    /// What has rows, as it is read out of the file again.
    pub fn range(&self) -> MediaRange {
        match self.is_part() {
            true => MediaRange::of_frames(self.frames()),
            // More frames than are known are to be noticed.
            false => MediaRange::WHOLE,
        }
    }
}

impl Lake {
    /// The ingested videos by their ids.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn ingested(&self) -> Result<HashMap<String, IngestedVideo>, LakeError> {
        self.again_while_passing(|| self.with_catalog(Access::ReadOnly, ingested_videos))
    }

    /// As [`Lake::create_or_check`], and then [`Lake::ingested`]; a catalog in a file is attached once
    /// for both, which takes longer than the look.
    ///
    /// # Errors
    /// As those two.
    pub fn create_or_list(&self) -> Result<HashMap<String, IngestedVideo>, LakeError> {
        if !self.is_remote() {
            return self.with_catalog(Access::ReadWrite, ingested_videos);
        }
        // Nobody else is to wait while many rows come over the network.
        self.create_or_check()?;
        self.ingested()
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
        self.with_catalog(Access::ReadOnly, |connection| {
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
        let sql = "SELECT * FROM videos WHERE video_id = ?";
        self.with_catalog(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(sql)?;
            let rows =
                statement.query_map([&video.video_id], |row| newer_column(row, "main_person"))?;
            let persons = rows.collect::<Result<Vec<Option<u16>>, _>>()?;
            Ok(persons.into_iter().flatten().next())
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
        self.with_catalog(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(&sql)?;
            let times = statement.query_map([], |row| row.get(0))?;
            Ok(times.collect::<Result<_, _>>()?)
        })
    }
}

/// The videos that fulfil a condition, ordered by file name. Of a lake of an older format, columns
/// that it lacks are not known.
pub(super) fn video_records(
    connection: &Connection,
    condition: &str,
) -> Result<Vec<VideoRecord>, LakeError> {
    let sql = format!("SELECT * FROM videos WHERE {condition} ORDER BY file_name, video_id");
    let mut statement = connection.prepare(&sql)?;
    let records = statement.query_map([], |row| {
        Ok(VideoRecord {
            video_id: row.get("video_id")?,
            sport: row.get("sport")?,
            file_name: row.get("file_name")?,
            path: row.get("path")?,
            file_bytes: row.get("file_bytes")?,
            width_px: row.get("width_px")?,
            height_px: row.get("height_px")?,
            rotation_deg: row.get("rotation_deg")?,
            codec: row.get("codec")?,
            fps: row.get("fps")?,
            frame_count: row.get("frame_count")?,
            first_frame: newer_column(row, "first_frame")?.unwrap_or(0),
            range_from: newer_column(row, "range_from")?,
            range_to: newer_column(row, "range_to")?,
            duration_secs: row.get("duration_secs")?,
            pose_frame_count: row.get("pose_frame_count")?,
            pose_model: row.get("pose_model")?,
            pose_model_sha256: row.get("pose_model_sha256")?,
            config: row.get("config")?,
            config_hash: row.get("config_hash")?,
            picture: PictureRecord {
                coded_width_px: newer_column(row, "coded_width_px")?,
                coded_height_px: newer_column(row, "coded_height_px")?,
                mirrored: newer_column(row, "mirrored")?,
                color_transfer: newer_column(row, "color_transfer")?,
                size_changes: newer_column(row, "size_changes")?,
                corrupt_frame_count: newer_column(row, "corrupt_frame_count")?.unwrap_or(0),
            },
            slow_motion_factor: newer_column(row, "slow_motion_factor")?,
            capture_fps: newer_column(row, "capture_fps")?,
            source_etag: newer_column(row, "source_etag")?,
            provider: newer_column(row, "provider")?,
        })
    })?;
    Ok(records.collect::<Result<_, _>>()?)
}

fn ingested_videos(connection: &Connection) -> Result<HashMap<String, IngestedVideo>, LakeError> {
    // Those that are there, because a lake of an older format has fewer; not all, because a catalog in a
    // database sends them for every video whenever an ingest begins.
    let mut statement = connection.prepare(
        "SELECT COLUMNS('^(video_id|file_name|config_hash|path|source_etag)$') FROM videos",
    )?;
    let mut sources = sources(connection)?;
    let rows = statement.query_map([], |row| {
        let video_id: String = row.get("video_id")?;
        let video = IngestedVideo {
            other_sources: sources.remove(&video_id).unwrap_or_default(),
            file_name: row.get("file_name")?,
            config_hash: row.get("config_hash")?,
            path: row.get("path")?,
            source_etag: newer_column(row, "source_etag")?,
        };
        Ok((video_id, video))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A video's row of the table `videos`.
pub(super) fn video_row(
    video: &VideoRecord,
    main_person: Option<u16>,
) -> Result<OwnedRow, LakeError> {
    let picture = &video.picture;
    owned(row! {
        video_id: video.video_id,
        sport: video.sport,
        file_name: video.file_name,
        path: video.path,
        file_bytes: video.file_bytes,
        width_px: video.width_px,
        height_px: video.height_px,
        rotation_deg: video.rotation_deg,
        codec: video.codec,
        fps: video.fps,
        frame_count: video.frame_count,
        duration_secs: video.duration_secs,
        pose_frame_count: video.pose_frame_count,
        pose_model: video.pose_model,
        pose_model_sha256: video.pose_model_sha256,
        config: video.config,
        config_hash: video.config_hash,
        posedata_version: env!("CARGO_PKG_VERSION"),
        ingested_at: UtcTime::now(),
        main_person: main_person,
        coded_width_px: picture.coded_width_px,
        coded_height_px: picture.coded_height_px,
        mirrored: picture.mirrored,
        color_transfer: picture.color_transfer,
        size_changes: picture.size_changes,
        corrupt_frame_count: picture.corrupt_frame_count,
        slow_motion_factor: video.slow_motion_factor,
        capture_fps: video.capture_fps,
        source_etag: video.source_etag,
        first_frame: video.first_frame,
        range_from: video.range_from,
        range_to: video.range_to,
        provider: video.provider,
    })
}

/// A person's row of the table `persons`.
pub(super) fn person_row(
    video: &VideoRecord,
    person: &PersonRecord,
) -> Result<OwnedRow, LakeError> {
    owned(row! {
        video_id: video.video_id,
        person: person.person,
        is_main: person.is_main,
        first_frame: person.first_frame,
        last_frame: person.last_frame,
        frame_count: person.frame_count,
        first_time_secs: person.first_time_secs,
        last_time_secs: person.last_time_secs,
        mean_probability: person.mean_probability,
        mean_visibility: person.mean_visibility,
        mean_center_x: person.mean_center[0],
        mean_center_y: person.mean_center[1],
        mean_width: person.mean_extent[0],
        mean_height: person.mean_extent[1],
        sport: video.sport,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::checksums::{FileRecord, record_files};
    use crate::lake::describe::describe_tables;
    use crate::lake::schema::{SCHEMA, Statement, classify, split};
    use crate::lake::sql::insert_all;

    #[test]
    fn records_fill_every_column_of_their_tables() {
        let connection = Connection::open_in_memory().expect("a database");
        let schema = SCHEMA.concat();
        for sql in split(&schema) {
            if matches!(classify(sql), Ok(Statement::CreateTable(_))) {
                connection.execute_batch(sql).expect("valid SQL");
            }
        }
        let video = VideoRecord {
            video_id: "v".into(),
            sport: "run".into(),
            file_name: "a.mp4".into(),
            path: "/videos/a.mp4".into(),
            file_bytes: 1,
            width_px: 2,
            height_px: 3,
            rotation_deg: 90,
            codec: "h264".into(),
            fps: Some(30.0),
            frame_count: 4,
            first_frame: 28,
            range_from: Some("29f".into()),
            range_to: Some("30".into()),
            duration_secs: 5.0,
            pose_frame_count: 6,
            pose_model: "full".into(),
            pose_model_sha256: "7".into(),
            config: "{}".into(),
            config_hash: "8".into(),
            picture: PictureRecord {
                coded_width_px: Some(9),
                coded_height_px: Some(10),
                mirrored: Some(true),
                color_transfer: Some("bt709".into()),
                size_changes: Some("[]".into()),
                corrupt_frame_count: 11,
            },
            slow_motion_factor: Some(8.0),
            capture_fps: Some(240.0),
            source_etag: Some("27".into()),
            provider: Some("31".into()),
        };
        let person = PersonRecord {
            person: 12,
            is_main: true,
            first_frame: 13,
            last_frame: 14,
            frame_count: 15,
            first_time_secs: 16.0,
            last_time_secs: 17.0,
            mean_probability: 0.18,
            mean_visibility: 0.19,
            mean_center: [0.2, 0.21],
            mean_extent: [0.22, 0.23],
        };
        let file = FileRecord {
            path: "main/metrics/a.parquet",
            table: "metrics",
            video_id: Some("v"),
            row_count: 24,
            byte_size: 25,
            blake3: "26",
        };
        let row = video_row(&video, Some(12)).expect("a row");
        insert_all(&connection, "videos", &[row]).expect("a row");
        let row = person_row(&video, &person).expect("a row");
        insert_all(&connection, "persons", &[row]).expect("a row");
        record_files(&connection, &[file]).expect("a row");
        let tables = describe_tables().expect("schemas");
        for name in ["videos", "persons", "files"] {
            let table = tables.iter().find(|table| table.name == name);
            for column in &table.expect("a table").columns {
                let sql = format!("SELECT count({}) FROM {name}", column.name);
                let filled: u64 = connection
                    .query_row(&sql, [], |row| row.get(0))
                    .expect("a number");
                assert_eq!(filled, 1, "{name}.{}", column.name);
            }
        }
        let read = video_records(&connection, "true").expect("rows");
        assert_eq!(read, [video]);
    }
}
