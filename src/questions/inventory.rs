//! What the lake has that a question may name: videos and subjects.

use std::collections::HashMap;

use super::QuestionError;
use crate::dataset::row_values;
use crate::query::{Query, Session};

/// Digits of an id that tell videos of one file name apart.
const ID_DIGITS: usize = 8;
/// Names that are told in place of one that is not there.
const MAX_NEAR: usize = 3;

/// A video that a question may name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownVideo {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// How calls name it: the file's name, with _ in place of white space, and with the beginning of
    /// the id where several videos have that name.
    pub label: String,
    /// How answers name it: as the file is called, with the beginning of the id where several videos
    /// have that name.
    pub name: String,
    /// Sport or activity of the video, from its ingest.
    pub sport: String,
    /// Tag of the person filmed.
    pub subject: Option<String>,
    /// From the first frame to the end of the last.
    pub duration_secs: f64,
    /// Time of the first frame: above 0 where a later part of the file was ingested.
    pub first_secs: f64,
    /// Whom questions are about that name nobody; `None` where nobody was found.
    pub main_person: Option<i64>,
    /// Frames with a pose.
    pub pose_frames: u64,
}

impl KnownVideo {
    /// Time at which the last frame ends.
    pub fn end_secs(&self) -> f64 {
        self.first_secs + self.duration_secs
    }
}

/// All videos and subjects of a lake.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// In the order of their labels.
    pub videos: Vec<KnownVideo>,
    /// Tags, in order, each once.
    pub subjects: Vec<String>,
}

impl Inventory {
    /// Asks the lake.
    ///
    /// # Errors
    /// When the lake cannot be read, or is of a format without subjects.
    pub fn of(session: &Session) -> Result<Self, QuestionError> {
        let sql = "SELECT v.video_id, v.file_name, v.sport, s.subject, v.duration_secs,
                coalesce(v.main_person, (
                    SELECT min(person) FROM metrics AS m
                    WHERE m.video_id = v.video_id AND m.quality <> 'no_pose'
                ))::BIGINT AS main_person,
                v.pose_frame_count, coalesce(f.first_secs, 0)
             FROM videos AS v LEFT JOIN subjects AS s USING (video_id)
             LEFT JOIN (
                SELECT video_id, min(time_secs) AS first_secs FROM metrics GROUP BY video_id
             ) AS f USING (video_id)
             ORDER BY v.file_name, v.video_id";
        let query = Query::new(sql.into(), Vec::new());
        let rows = session.read(&query, |_, batches| {
            let rows = batches.flat_map(|batch| {
                let rows = (0..batch.num_rows()).map(|row| row_values(&batch, row));
                rows.collect::<Vec<_>>()
            });
            Ok::<_, QuestionError>(rows.collect::<Vec<_>>())
        })?;
        let videos = rows.into_iter().map(|row| KnownVideo {
            video_id: row[0].to_string(),
            label: joined(&row[1].to_string()),
            name: row[1].to_string(),
            sport: row[2].to_string(),
            subject: row[3].as_str().map(str::to_owned),
            duration_secs: f64::try_from(row[4].clone()).unwrap_or_default(),
            main_person: i64::try_from(row[5].clone()).ok(),
            pose_frames: u64::try_from(row[6].clone()).unwrap_or_default(),
            first_secs: f64::try_from(row[7].clone()).unwrap_or_default(),
        });
        Ok(Self::new(videos.collect()))
    }

    /// Tells videos of one name apart, and collects subjects.
    pub fn new(mut videos: Vec<KnownVideo>) -> Self {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for video in &videos {
            *counts.entry(video.label.clone()).or_default() += 1;
        }
        for video in &mut videos {
            if counts[&video.label] > 1 {
                let id: String = video.video_id.chars().take(ID_DIGITS).collect();
                video.label = format!("{}#{id}", video.label);
                video.name = format!("{}#{id}", video.name);
            }
        }
        let subjects = videos.iter().filter_map(|video| video.subject.clone());
        let mut subjects: Vec<String> = subjects.collect();
        subjects.sort();
        subjects.dedup();
        Self { videos, subjects }
    }

    /// The video that a call or an answer names; capitals may differ where that leaves only one.
    pub fn video(&self, name: &str) -> Option<&KnownVideo> {
        let mut exact = self.videos.iter();
        exact
            .find(|video| video.label == name || video.name == name)
            .or_else(|| only(&self.videos, |video| is_alike(&video.label, name)))
    }

    /// The video of an id.
    pub fn video_of_id(&self, video_id: &str) -> Option<&KnownVideo> {
        self.videos.iter().find(|video| video.video_id == video_id)
    }

    /// The names of the videos that are nearest to one that is not there, in words.
    pub fn names_near(&self, name: &str) -> String {
        let likeness = |video: &KnownVideo| {
            strsim::normalized_damerau_levenshtein(&video.name.to_lowercase(), &name.to_lowercase())
        };
        let mut near: Vec<(f64, &str)> = self
            .videos
            .iter()
            .map(|video| (likeness(video), video.name.as_str()))
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near: Vec<&str> = near.iter().take(MAX_NEAR).map(|(_, name)| *name).collect();
        match near.is_empty() {
            true => "none, the lake is empty".into(),
            false => near.join(", "),
        }
    }

    /// How calls write a subject: with _ in place of white space.
    pub fn subject_label(subject: &str) -> String {
        joined(subject)
    }

    /// The subject that a call means; capitals may differ where that leaves only one.
    pub fn subject(&self, label: &str) -> Option<&str> {
        let mut exact = self.subjects.iter();
        exact
            .find(|subject| Self::subject_label(subject) == label)
            .or_else(|| {
                only(&self.subjects, |subject| {
                    is_alike(&Self::subject_label(subject), label)
                })
            })
            .map(String::as_str)
    }
}

/// With _ in place of white space.
fn joined(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join("_")
}

fn is_alike(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// The only item that is meant; `None` where there are several.
fn only<T>(items: &[T], is_meant: impl Fn(&T) -> bool) -> Option<&T> {
    let mut meant = items.iter().filter(|item| is_meant(item));
    meant.next().filter(|_| meant.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_capitals_unless_that_leaves_several() {
        let video = |file: &str, subject: &str| KnownVideo {
            label: joined(file),
            name: file.into(),
            subject: Some(subject.into()),
            ..KnownVideo::default()
        };
        let inventory = Inventory::new(vec![
            video("Jörg Läuft.mp4", "Jörg Öz"),
            video("run.mp4", "ben"),
            video("Run.mp4", "Ben"),
        ]);
        let found = |name: &str| inventory.video(name).map(|video| video.name.as_str());
        for (name, expected) in [
            ("Jörg_Läuft.mp4", Some("Jörg Läuft.mp4")),
            ("Jörg Läuft.mp4", Some("Jörg Läuft.mp4")),
            ("JÖRG_LÄUFT.MP4", Some("Jörg Läuft.mp4")),
            ("Run.mp4", Some("Run.mp4")),
            ("RUN.mp4", None),
        ] {
            assert_eq!(found(name), expected, "{name}");
        }
        for (name, expected) in [
            ("jörg_öz", Some("Jörg Öz")),
            ("ben", Some("ben")),
            ("BEN", None),
        ] {
            assert_eq!(inventory.subject(name), expected, "{name}");
        }
    }
}
