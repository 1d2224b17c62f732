//! All that the page is told of one video.

use serde_json::{Value, json};

use super::columns::{Column, Table, connections, landmark_names};
use super::files::Files;
use super::problem::Problem;
use super::videos::{Video, has_filtered, persons};
use crate::query::Session;

/// All that is known of a video.
///
/// # Errors
/// When the lake cannot be read.
pub fn detail(session: &Session, files: &Files, video: &Video) -> Result<Value, Problem> {
    let has_filtered = has_filtered(session, video)?;
    let subject = match video.subjects.as_slice() {
        [subject] if video.person_count == 1 => Some(subject),
        _ => None,
    };
    let persons = persons(session, video)?;
    let persons = persons.iter().map(|person| {
        let mut person = serde_json::to_value(person).unwrap_or_default();
        person["subject"] = json!(subject);
        person
    });
    let mut detail = video.entry(files);
    detail["persons"] = persons.collect();
    detail["has_filtered"] = has_filtered.into();
    let tables = Table::ALL.into_iter();
    let tables = tables.filter(|table| has_filtered || !table.is_filtered());
    detail["columns"] = tables
        .flat_map(|table| table.columns())
        .map(Column::to_json)
        .collect();
    detail["landmarks"] = json!(landmark_names().as_slice());
    detail["connections"] = json!(connections());
    Ok(detail)
}
