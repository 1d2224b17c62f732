//! Commits: what comes into the lake or goes out of it, comes and goes in one transaction.
//!
//! Most of what a commit costs is the same however much it brings, and only one can be under way at
//! a time. So videos that are ready together come in one transaction: [`Lake::commit_all`].

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use duckdb::Connection;

use super::catalog::{Access, LAKE_NAME};
use super::checksums::{FileRecord, record_files};
use super::error::{LakeError, database_message};
use super::location::model_file_prefix;
use super::records::{PersonRecord, VideoRecord, person_row, video_row};
use super::remote::is_passing;
use super::session::Lake;
use super::sql::{in_transaction, insert_all, quoted_name, quoted_text};
use super::staged::StagedFile;
use super::writer::StagedVideo;

/// How long a commit waits before it is done again at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is done again after one error after the other that does not tell whether that makes
/// sense.
const MAX_UNEXPLAINED: u32 = 5;
/// Videos of one transaction, at most: others who wait for the lake get their turn after it.
const MAX_VIDEOS_TOGETHER: usize = 64;

/// Tables that hold a video's rows in files of its own; those computed from other rows stand last.
const DATA_TABLES: [&str; 7] = [
    "landmarks",
    "metrics",
    "landmarks_filtered",
    "metrics_filtered",
    "events",
    "cycles",
    "analysis",
];

/// Tables whose rows of a video are in the catalog itself, or in files that videos share.
const RECORD_TABLES: [&str; 2] = ["persons", "videos"];

/// Rows of a video in one table that others take the place of.
struct Replacement {
    table: &'static str,
    /// Only the rows of the model with this SHA-256 go.
    of_model: Option<String>,
    /// The rows that come, if there are any.
    file: Option<StagedFile>,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The lake had no rows of the video.
    Added,
    /// Rows of an earlier ingest of the same video were replaced.
    Replaced,
    /// Another process had committed the same ingest meanwhile; its rows stay.
    AlreadyThere,
}

impl CommitOutcome {
    fn brings_rows(self) -> bool {
        self != Self::AlreadyThere
    }
}

/// Whether to replace rows that are the same ingest already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Rows that were made with the same settings stay.
    IfDifferent,
    /// The new rows are taken, even where they say the same.
    Always,
}

/// A video whose files are finished, and what the lake is to know of it.
pub struct PreparedVideo {
    /// Its row in `videos`.
    pub record: VideoRecord,
    /// Its rows in `persons`.
    pub persons: Vec<PersonRecord>,
    /// Its files.
    pub staged: StagedVideo,
    /// What becomes of rows that the lake has of it.
    pub replace: Replace,
}

/// A commit that failed.
struct Failed {
    error: LakeError,
    /// The lake may have the files all the same.
    is_unclear: bool,
}

impl From<LakeError> for Failed {
    fn from(error: LakeError) -> Self {
        Self {
            error,
            is_unclear: false,
        }
    }
}

impl Lake {
    /// Makes a video's files and its rows, its own and one for each person, part of the lake, in one
    /// transaction.
    ///
    /// # Errors
    /// When the commit fails; then nothing of the video is in the lake and its files are deleted.
    pub fn commit(&self, video: PreparedVideo) -> Result<CommitOutcome, LakeError> {
        let outcome = self.commit_all(vec![video]).pop();
        outcome.expect("as many outcomes as videos")
    }

    /// As [`Self::commit`] for many videos in one transaction; gives what became of each, in their
    /// order. Where that fails each is committed by itself, so that none fails because of another.
    pub fn commit_all(&self, videos: Vec<PreparedVideo>) -> Vec<Result<CommitOutcome, LakeError>> {
        let mut outcomes = Vec::with_capacity(videos.len());
        let mut rest = videos.into_iter().peekable();
        while rest.peek().is_some() {
            let mut ids = HashSet::new();
            let mut together = Vec::new();
            // What is in the same transaction is not compared with each other.
            while together.len() < MAX_VIDEOS_TOGETHER
                && let Some(video) = rest.next_if(|video| ids.insert(video.record.video_id.clone()))
            {
                together.push(video);
            }
            outcomes.extend(self.commit_together(together));
        }
        outcomes
    }

    fn commit_together(
        &self,
        mut videos: Vec<PreparedVideo>,
    ) -> Vec<Result<CommitOutcome, LakeError>> {
        match self.try_commit(&mut videos) {
            Ok(outcomes) => {
                let committed = videos.into_iter().zip(outcomes);
                let kept = committed.map(|(video, outcome)| {
                    if outcome.brings_rows() {
                        video.staged.keep();
                    }
                    Ok(outcome)
                });
                kept.collect()
            }
            Err(failed) if failed.is_unclear => {
                let reason = match failed.error {
                    LakeError::Commit { reason } => reason,
                    error => error.to_string(),
                };
                let failed = videos.into_iter().map(|video| {
                    video.staged.keep();
                    let reason = reason.clone();
                    Err(LakeError::Commit { reason })
                });
                failed.collect()
            }
            Err(failed) if videos.len() == 1 => vec![Err(failed.error)],
            // Who has waited in vain for all of them does not wait again for each.
            Err(failed) if for_another(&failed.error).is_some() => {
                let errors = videos
                    .iter()
                    .skip(1)
                    .filter_map(|_| for_another(&failed.error));
                let errors: Vec<_> = errors.collect();
                std::iter::once(failed.error)
                    .chain(errors)
                    .map(Err)
                    .collect()
            }
            Err(failed) => {
                let (videos, error) = (videos.into_iter(), failed.error);
                tracing::info!(target: "posedata::lake", %error, "the videos are committed one by one");
                videos
                    .flat_map(|video| self.commit_together(vec![video]))
                    .collect()
            }
        }
    }

    fn try_commit(&self, videos: &mut [PreparedVideo]) -> Result<Vec<CommitOutcome>, Failed> {
        for video in &mut *videos {
            video.staged.send(self.paths())?;
        }
        let files: Vec<&StagedFile> = videos.iter().flat_map(|v| v.staged.files()).collect();
        let brings_rows = |outcomes: &Vec<CommitOutcome>| {
            outcomes.iter().copied().any(CommitOutcome::brings_rows)
        };
        self.put_files(&files, brings_rows, |connection| {
            add_videos(self, connection, videos)
        })
    }

    /// Makes files and what belongs to them part of the lake, in one transaction; `work` gets the files
    /// in their order.
    ///
    /// # Errors
    /// When the commit fails; then the lake is as it was, and the files are deleted. Where that cannot
    /// be told the files stay: what the catalog names must not be deleted, and what it does not name is
    /// cleared away later.
    pub(super) fn commit_files<R: Clone>(
        &self,
        mut files: Vec<StagedFile>,
        work: impl Fn(&Connection, &[StagedFile]) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        for file in &mut files {
            file.send(self.paths())?;
        }
        let named: Vec<&StagedFile> = files.iter().collect();
        let committed = self.put_files(&named, |_| true, |connection| work(connection, &files));
        if !matches!(
            committed,
            Err(Failed {
                is_unclear: false,
                ..
            })
        ) {
            files.into_iter().for_each(StagedFile::keep);
        }
        committed.map_err(|failed| failed.error)
    }

    /// Does `work`, which adds `files`, in one transaction.
    ///
    /// A lake in a database may be out of reach for a while, or another process may have committed in
    /// between; then it is done again, until the session's patience ends. Whether an attempt whose end
    /// is not known was committed is looked up before, if what `work` gave `brings_files`.
    fn put_files<R: Clone>(
        &self,
        files: &[&StagedFile],
        brings_files: impl Fn(&R) -> bool,
        work: impl Fn(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, Failed> {
        let mut unclear: Option<R> = None;
        let committed = self.again_while_passing(|| {
            self.with_catalog(Access::ReadWrite, |connection| {
                if let Some(value) = &unclear
                    && is_named(connection, &self.metadata(), files)?
                {
                    return Ok(value.clone());
                }
                let mut given = None;
                let outcome = in_transaction(connection, || {
                    let value = work(connection)?;
                    given = Some(value.clone());
                    Ok(value)
                });
                if matches!(outcome, Err(LakeError::Commit { .. })) {
                    unclear = given;
                }
                outcome
            })
        });
        committed.map_err(|error| Failed {
            error,
            is_unclear: unclear.is_some_and(|value| brings_files(&value))
                && self
                    .with_catalog(Access::ReadOnly, |connection| {
                        is_named(connection, &self.metadata(), files)
                    })
                    .unwrap_or(true),
        })
    }

    /// Does all of `work` in one transaction, or nothing of it; again as [`Self::commit_files`] does.
    ///
    /// # Errors
    /// When the commit fails; then the lake is as it was.
    pub(super) fn transaction<R>(
        &self,
        work: impl Fn(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        self.again_while_passing(|| {
            self.with_catalog(Access::ReadWrite, |connection| {
                in_transaction(connection, || work(connection))
            })
        })
    }

    /// Does something again that failed only because the lake's database was out of reach for a
    /// while, or because another process was faster. Lakes in folders have a single try: nobody else
    /// can commit while they are in use.
    pub(super) fn again_while_passing<R>(
        &self,
        mut attempt: impl FnMut() -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut unexplained = 0;
        loop {
            let error = match attempt() {
                Err(error) if self.is_remote() => error,
                done => return done,
            };
            let has_patience = match outlook(&error) {
                Outlook::Passing => started.elapsed() <= self.lock_timeout(),
                Outlook::Unknown => unexplained < MAX_UNEXPLAINED,
                Outlook::Lasting => false,
            };
            if !has_patience || !self.cancellation().sleep(pause) {
                return Err(error);
            }
            // What lasts is told each time; a way that is lost again and again is told as such, too.
            unexplained = match outlook(&error) {
                Outlook::Unknown => unexplained + 1,
                _ => 0,
            };
            tracing::info!(target: "posedata::lake", %error, "the commit is tried again");
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Puts rows that were computed from a video's rows into the lake, in one transaction: each
    /// table's earlier rows of the video go, the new file (if there are rows) comes.
    ///
    /// `config_hash` is that of the ingest whose rows were read.
    ///
    /// # Errors
    /// When the video was removed or ingested with other settings since, or the commit fails; then
    /// the lake is as it was, and the files are deleted.
    pub fn commit_derived(
        &self,
        video_id: &str,
        config_hash: &str,
        files: Vec<(&'static str, Option<StagedFile>)>,
    ) -> Result<(), LakeError> {
        let replacements = files
            .into_iter()
            .map(|(table, file)| Replacement {
                table,
                of_model: None,
                file,
            })
            .collect();
        self.replace_rows(video_id, config_hash, replacements)
    }

    /// Puts a model's rows for a video into the lake in place of those that it had, in one
    /// transaction; rows of other models stay.
    ///
    /// # Errors
    /// As [`Lake::commit_derived`].
    pub fn commit_analysis(
        &self,
        video: &VideoRecord,
        model_sha256: &str,
        file: Option<StagedFile>,
    ) -> Result<(), LakeError> {
        let replacement = Replacement {
            table: "analysis",
            of_model: Some(model_sha256.into()),
            file,
        };
        self.replace_rows(&video.video_id, &video.config_hash, vec![replacement])
    }

    fn replace_rows(
        &self,
        video_id: &str,
        config_hash: &str,
        replacements: Vec<Replacement>,
    ) -> Result<(), LakeError> {
        let mut files = Vec::new();
        let mut places = Vec::new();
        for Replacement {
            table,
            of_model,
            file,
        } in replacements
        {
            let place = file.map(|file| {
                files.push(file);
                files.len() - 1
            });
            places.push((table, of_model, place));
        }
        self.commit_files(files, |connection, files| {
            let is_there: bool = connection.query_row(
                "SELECT count(*) > 0 FROM videos WHERE video_id = ? AND config_hash = ?",
                [video_id, config_hash],
                |row| row.get(0),
            )?;
            if !is_there {
                return Err(LakeError::VideoChanged {
                    video_id: video_id.into(),
                });
            }
            for (table, of_model, place) in &places {
                match of_model {
                    None => drop(delete_rows(connection, table, video_id)?),
                    Some(model) => delete_model_rows(connection, table, video_id, model)?,
                }
                let file = place.and_then(|place| files.get(place));
                self.add_files(connection, table, file.map(|file| (Some(video_id), file)))?;
            }
            Ok(())
        })
    }

    /// Adds files to a table, each with the video whose rows it holds; `None` where it holds rows of
    /// several.
    pub(super) fn add_files<'f>(
        &self,
        connection: &Connection,
        table: &str,
        files: impl IntoIterator<Item = (Option<&'f str>, &'f StagedFile)>,
    ) -> Result<(), LakeError> {
        let named: Vec<_> = (files.into_iter())
            .map(|(video_id, file)| (file.name(), video_id, file))
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let locations: Vec<String> = (named.iter())
            .map(|(name, ..)| quoted_text(&self.data_files().location(name)))
            .collect();
        let add = format!(
            "CALL ducklake_add_data_files('{LAKE_NAME}', '{table}', [{}], hive_partitioning => true)",
            locations.join(", ")
        );
        // The error names the file, but it is not the lake's yet.
        let added = connection.execute_batch(&add);
        added.map_err(|e| LakeError::Database(database_message(e)))?;
        let records: Vec<FileRecord<'_>> = (named.iter())
            .map(|(name, video_id, file)| FileRecord {
                path: name,
                table,
                video_id: *video_id,
                row_count: file.row_count(),
                byte_size: file.byte_size(),
                blake3: file.blake3(),
            })
            .collect();
        record_files(connection, &records)
    }
}

/// Whether any snapshot has, or had, one of the files: all came in one transaction. Another process may
/// have replaced their rows since, or merged the files.
fn is_named(
    connection: &Connection,
    metadata: &str,
    files: &[&StagedFile],
) -> Result<bool, LakeError> {
    let sql = format!(
        "SELECT count(*) > 0 FROM (
             SELECT path FROM {metadata}.ducklake_data_file
             UNION ALL
             SELECT path FROM {metadata}.ducklake_files_scheduled_for_deletion
         ) WHERE ends_with(path, ?)"
    );
    for file in files {
        let file_name = file.path().file_name().unwrap_or_default();
        let file_name = file_name.to_string_lossy().into_owned();
        if connection.query_row(&sql, [file_name], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is to be expected of doing again what ended so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// It was the way to the database, or somebody else who was faster.
    Passing,
    /// The database failed, and what it says does not tell why: of what follows a lost connection
    /// there are many words.
    Unknown,
    Lasting,
}

/// The same error for another video, where it says nothing of a single one.
fn for_another(error: &LakeError) -> Option<LakeError> {
    match error {
        LakeError::Cancelled => Some(LakeError::Cancelled),
        LakeError::Locked { path, waited_secs } => Some(LakeError::Locked {
            path: path.clone(),
            waited_secs: *waited_secs,
        }),
        LakeError::Unreachable { address, reason } => Some(LakeError::Unreachable {
            address: address.clone(),
            reason: reason.clone(),
        }),
        LakeError::FilesElsewhere { missing } => Some(LakeError::FilesElsewhere {
            missing: missing.clone(),
        }),
        LakeError::Database(message) if is_passing(message) => {
            Some(LakeError::Database(message.clone()))
        }
        _ => None,
    }
}

fn outlook(error: &LakeError) -> Outlook {
    match error {
        LakeError::Commit { .. } | LakeError::Unreachable { .. } => Outlook::Passing,
        LakeError::Database(message) if is_passing(message) => Outlook::Passing,
        LakeError::Database(_) => Outlook::Unknown,
        _ => Outlook::Lasting,
    }
}

/// Deletes a video's rows from a table, and what is known of the files that held them; gives the
/// number of rows.
pub(super) fn delete_rows(
    connection: &Connection,
    table: &str,
    video_id: &str,
) -> Result<u64, LakeError> {
    let delete = format!("DELETE FROM {} WHERE video_id = ?", quoted_name(table));
    let rows = connection.execute(&delete, [video_id])?;
    connection.execute(
        "DELETE FROM files WHERE table_name = ? AND video_id = ?",
        [table, video_id],
    )?;
    Ok(rows as u64)
}

/// Deletes a video's rows that one model gave, and what is known of the file that held them alone.
fn delete_model_rows(
    connection: &Connection,
    table: &str,
    video_id: &str,
    model_sha256: &str,
) -> Result<(), LakeError> {
    let delete = format!(
        "DELETE FROM {} WHERE video_id = ? AND model_sha256 = ?",
        quoted_name(table)
    );
    connection.execute(&delete, [video_id, model_sha256])?;
    connection.execute(
        "DELETE FROM files WHERE table_name = ? AND video_id = ? AND contains(path, ?)",
        [table, video_id, &model_file_prefix(video_id, model_sha256)],
    )?;
    Ok(())
}

fn add_videos(
    lake: &Lake,
    connection: &Connection,
    videos: &[PreparedVideo],
) -> Result<Vec<CommitOutcome>, LakeError> {
    let known_hashes = known_hashes(connection, videos)?;
    let mut outcomes = Vec::with_capacity(videos.len());
    let mut new = Vec::with_capacity(videos.len());
    for video in videos {
        let record = &video.record;
        let known = known_hashes.get(&record.video_id);
        let is_there = known.is_some_and(|hashes| hashes.contains(&record.config_hash));
        let outcome = match known {
            Some(_) if is_there && video.replace == Replace::IfDifferent => {
                CommitOutcome::AlreadyThere
            }
            Some(_) => CommitOutcome::Replaced,
            None => CommitOutcome::Added,
        };
        if outcome == CommitOutcome::Replaced {
            for table in DATA_TABLES.into_iter().chain(RECORD_TABLES) {
                delete_rows(connection, table, &record.video_id)?;
            }
        }
        if outcome.brings_rows() {
            new.push(video);
        }
        outcomes.push(outcome);
    }
    let landmarks = new.iter().filter_map(|video| {
        let file = video.staged.landmarks.as_ref()?;
        Some((Some(video.record.video_id.as_str()), file))
    });
    lake.add_files(connection, "landmarks", landmarks)?;
    let metrics = new
        .iter()
        .map(|video| (Some(video.record.video_id.as_str()), &video.staged.metrics));
    lake.add_files(connection, "metrics", metrics)?;
    let rows = new.iter().map(|video| {
        let main_person = video.persons.iter().find(|person| person.is_main);
        video_row(&video.record, main_person.map(|person| person.person))
    });
    insert_all(connection, "videos", &rows.collect::<Result<Vec<_>, _>>()?)?;
    let rows = new.iter().flat_map(|video| {
        let persons = video.persons.iter();
        persons.map(|person| person_row(&video.record, person))
    });
    insert_all(connection, "persons", &rows.collect::<Result<Vec<_>, _>>()?)?;
    Ok(outcomes)
}

/// The hashes of the ingests that the lake has of videos, by their ids.
fn known_hashes(
    connection: &Connection,
    videos: &[PreparedVideo],
) -> Result<HashMap<String, Vec<String>>, LakeError> {
    // One look for all of them: DuckLake reads what its catalog has of the table each time.
    let sql = format!(
        "SELECT video_id, config_hash FROM videos WHERE video_id IN ({})",
        vec!["?"; videos.len()].join(", ")
    );
    let ids = videos.iter().map(|video| &video.record.video_id);
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(duckdb::params_from_iter(ids), |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut known: HashMap<String, Vec<String>> = HashMap::new();
    for row in rows {
        let (video_id, config_hash) = row?;
        known.entry(video_id).or_default().push(config_hash);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_lake_is_told_of_each_video_and_what_is_wrong_with_one_is_not() {
        let locked = LakeError::Locked {
            path: "lake".into(),
            waited_secs: 120,
        };
        let told = for_another(&locked).map(|error| error.to_string());
        assert_eq!(told, Some(locked.to_string()));
        let gone = LakeError::Database("server closed the connection unexpectedly".into());
        assert!(for_another(&gone).is_some());
        let wrong = LakeError::Database("contains an invalid partition value".into());
        assert!(for_another(&wrong).is_none());
        let rows = LakeError::TooLong { path: "a".into() };
        assert!(for_another(&rows).is_none());
    }
}
