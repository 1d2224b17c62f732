//! Commits: what comes into the lake or goes out of it, comes and goes in one transaction.

use std::time::{Duration, Instant};

use duckdb::Connection;

use super::catalog::{Access, LAKE_NAME};
use super::checksums::{FileRecord, record_file};
use super::error::{LakeError, database_message};
use super::location::model_file_prefix;
use super::records::{PersonRecord, VideoRecord, insert_persons, insert_video};
use super::remote::is_passing;
use super::session::Lake;
use super::sql::{in_transaction, quoted_name, quoted_text};
use super::staged::StagedFile;
use super::writer::StagedVideo;

/// How long a commit waits before it is done again at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often it is done again after an error that does not tell whether that makes sense.
const MAX_UNEXPLAINED: u32 = 5;

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

/// Whether to replace rows that are the same ingest already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Rows that were made with the same settings stay.
    IfDifferent,
    /// The new rows are taken, even where they say the same.
    Always,
}

impl Lake {
    /// Makes a video's files and its rows, its own and one for each of `persons`, part of the lake, in
    /// one transaction.
    ///
    /// # Errors
    /// When the commit fails; then nothing of the video is in the lake and its files are deleted.
    pub fn commit(
        &self,
        video: &VideoRecord,
        persons: &[PersonRecord],
        staged: StagedVideo,
        replace: Replace,
    ) -> Result<CommitOutcome, LakeError> {
        let has_landmarks = staged.landmarks.is_some();
        let files = staged.landmarks.into_iter().chain([staged.metrics]);
        let are_ours = |outcome: &CommitOutcome| *outcome != CommitOutcome::AlreadyThere;
        self.commit_files(files.collect(), are_ours, |connection, files| {
            let tables = match has_landmarks {
                true => &["landmarks", "metrics"][..],
                false => &["metrics"],
            };
            let files = tables.iter().copied().zip(files);
            add_video(self, connection, video, persons, files, replace)
        })
    }

    /// Makes files and what belongs to them part of the lake, in one transaction.
    ///
    /// A lake in a database may be out of reach for a while, or another process may have committed in
    /// between; then it is done again, until the session's patience ends. Whether an attempt whose end
    /// is not known was committed is looked up before.
    ///
    /// `work` gets the files in their order; `are_kept` tells of what it gave whether they are the
    /// lake's now. All others are deleted.
    ///
    /// # Errors
    /// When the commit fails; then the lake is as it was. Where that cannot be told the files stay:
    /// what the catalog names must not be deleted, and what it does not name is cleared away later.
    pub(super) fn commit_files<R: Clone>(
        &self,
        mut files: Vec<StagedFile>,
        are_kept: impl Fn(&R) -> bool,
        work: impl Fn(&Connection, &[StagedFile]) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        for file in &mut files {
            file.send(self.paths())?;
        }
        let mut unclear: Option<R> = None;
        let committed = self.again_while_passing(|| {
            self.attached(Access::ReadWrite, |connection| {
                if let Some(value) = &unclear
                    && is_named(connection, &self.metadata(), &files)?
                {
                    return Ok(value.clone());
                }
                let mut given = None;
                let outcome = in_transaction(connection, || {
                    let value = work(connection, &files)?;
                    given = Some(value.clone());
                    Ok(value)
                });
                if matches!(outcome, Err(LakeError::Commit { .. })) {
                    unclear = given;
                }
                outcome
            })
        });
        let are_kept = match &committed {
            Ok(value) => are_kept(value),
            Err(_) => {
                unclear.is_some_and(|value| are_kept(&value))
                    && self
                        .attached(Access::ReadOnly, |connection| {
                            is_named(connection, &self.metadata(), &files)
                        })
                        .unwrap_or(true)
            }
        };
        if are_kept {
            files.into_iter().for_each(StagedFile::keep);
        }
        committed
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
            self.attached(Access::ReadWrite, |connection| {
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
            unexplained += u32::from(outlook(&error) == Outlook::Unknown);
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
        self.commit_files(
            files,
            |()| true,
            |connection, files| {
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
                    if let Some(file) = place.and_then(|place| files.get(place)) {
                        self.add_file(connection, table, Some(video_id), file)?;
                    }
                }
                Ok(())
            },
        )
    }

    /// Adds a file to a table; `video_id` is `None` where it holds rows of several videos.
    pub(super) fn add_file(
        &self,
        connection: &Connection,
        table: &str,
        video_id: Option<&str>,
        file: &StagedFile,
    ) -> Result<(), LakeError> {
        let name = file.name();
        let add = format!(
            "CALL ducklake_add_data_files('{LAKE_NAME}', '{table}', {}, hive_partitioning => true)",
            quoted_text(&self.data_files().location(&name))
        );
        // The error names the file, but it is not the lake's yet.
        let added = connection.execute_batch(&add);
        added.map_err(|e| LakeError::Database(database_message(e)))?;
        record_file(
            connection,
            &FileRecord {
                path: &name,
                table,
                video_id,
                row_count: file.row_count(),
                byte_size: file.byte_size(),
                blake3: file.blake3(),
            },
        )
    }
}

/// Whether any snapshot has one of the files: all came in one transaction. Another process may have
/// replaced their rows since.
fn is_named(
    connection: &Connection,
    metadata: &str,
    files: &[StagedFile],
) -> Result<bool, LakeError> {
    let sql =
        format!("SELECT count(*) > 0 FROM {metadata}.ducklake_data_file WHERE ends_with(path, ?)");
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

fn add_video<'f>(
    lake: &Lake,
    connection: &Connection,
    video: &VideoRecord,
    persons: &[PersonRecord],
    files: impl Iterator<Item = (&'static str, &'f StagedFile)>,
    replace: Replace,
) -> Result<CommitOutcome, LakeError> {
    let mut statement = connection.prepare("SELECT config_hash FROM videos WHERE video_id = ?")?;
    let known_hashes = statement
        .query_map([&video.video_id], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    if replace == Replace::IfDifferent && known_hashes.contains(&video.config_hash) {
        return Ok(CommitOutcome::AlreadyThere);
    }
    if !known_hashes.is_empty() {
        for table in DATA_TABLES.into_iter().chain(RECORD_TABLES) {
            delete_rows(connection, table, &video.video_id)?;
        }
    }
    for (table, file) in files {
        lake.add_file(connection, table, Some(&video.video_id), file)?;
    }
    let main_person = persons.iter().find(|person| person.is_main);
    let main_person = main_person.map(|person| person.person);
    insert_video(connection, video, main_person)?;
    insert_persons(connection, &video.video_id, &video.sport, persons)?;
    Ok(if known_hashes.is_empty() {
        CommitOutcome::Added
    } else {
        CommitOutcome::Replaced
    })
}
