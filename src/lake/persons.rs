//! The `persons` table: one row per video and person, committed with the video.

use duckdb::{Connection, params};

use super::LakeError;

/// A row of the `persons` table; its columns' comments are in `schemas/persons.sql`.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonRecord {
    pub person: u16,
    /// At most one of a video's persons is.
    pub is_main: bool,
    pub first_frame: u64,
    pub last_frame: u64,
    pub frame_count: u64,
    pub first_time_secs: f64,
    pub last_time_secs: f64,
    pub mean_probability: f64,
    pub mean_visibility: f64,
    /// Fractions of the picture's width and height.
    pub mean_center: [f64; 2],
    /// Width and height of the box around the landmarks, fractions of the picture's.
    pub mean_extent: [f64; 2],
}

/// Adds a video's persons inside the caller's transaction.
pub(super) fn insert_persons(
    connection: &Connection,
    video_id: &str,
    sport: &str,
    persons: &[PersonRecord],
) -> Result<(), LakeError> {
    let mut statement = connection.prepare(
        "INSERT INTO persons (
            video_id, person, is_main, first_frame, last_frame, frame_count, first_time_secs,
            last_time_secs, mean_probability, mean_visibility, mean_center_x, mean_center_y,
            mean_width, mean_height, sport
        ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for person in persons {
        statement.execute(params![
            video_id,
            person.person,
            person.is_main,
            person.first_frame,
            person.last_frame,
            person.frame_count,
            person.first_time_secs,
            person.last_time_secs,
            person.mean_probability,
            person.mean_visibility,
            person.mean_center[0],
            person.mean_center[1],
            person.mean_extent[0],
            person.mean_extent[1],
            sport,
        ])?;
    }
    Ok(())
}
