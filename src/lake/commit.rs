//! Commits: what comes into the lake or goes out of it, comes and goes in one transaction.

use duckdb::Connection;

use super::catalog::{Access, LAKE_NAME};
use super::checksums::{FileRecord, record_file};
use super::error::{LakeError, database_message};
use super::location::model_file_prefix;
use super::records::{PersonRecord, VideoRecord, insert_persons, insert_video};
use super::session::Lake;
use super::sql::{in_transaction, quoted, quoted_name};
use super::staged::StagedFile;
use super::writer::StagedVideo;

/// Tables that hold a video's rows in files of its own; those computed from other rows stand last.
const DATA_TABLES: [&str; 5] = [
    "landmarks",
    "metrics",
    "landmarks_filtered",
    "metrics_filtered",
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
    Added,
    /// Rows of an earlier ingest of the same video were replaced.
    Replaced,
    /// Another process had committed the same ingest meanwhile; its rows stay.
    AlreadyThere,
}

/// Whether to replace rows that are the same ingest already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    IfDifferent,
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
        self.attached(Access::ReadWrite, |connection| {
            let outcome = in_transaction(connection, || {
                add_video(connection, video, persons, &staged, replace)
            });
            let files = staged.landmarks.into_iter().chain([staged.metrics]);
            if !matches!(outcome, Ok(CommitOutcome::AlreadyThere)) {
                keep_named_files(connection, &outcome, files.collect());
            }
            outcome
        })
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
        self.attached(Access::ReadWrite, |connection| {
            let outcome = in_transaction(connection, || {
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
                for replacement in &replacements {
                    let table = replacement.table;
                    match &replacement.of_model {
                        None => drop(delete_rows(connection, table, video_id)?),
                        Some(model) => delete_model_rows(connection, table, video_id, model)?,
                    }
                    if let Some(file) = &replacement.file {
                        add_file(connection, table, Some(video_id), file)?;
                    }
                }
                Ok(())
            });
            let files = replacements.into_iter().filter_map(|r| r.file);
            keep_named_files(connection, &outcome, files.collect());
            outcome
        })
    }
}

/// Keeps the files of a transaction that was committed, and deletes those of one that was not.
/// Where that cannot be told they stay: what the catalog names must not be deleted, and what it
/// does not name is cleared away later.
pub(super) fn keep_named_files<R>(
    connection: &Connection,
    outcome: &Result<R, LakeError>,
    files: Vec<StagedFile>,
) {
    let may_be_named = |file: &StagedFile| {
        let sql = "SELECT count(*) > 0 FROM files WHERE path = ?";
        let path = file.path_in_data().display().to_string();
        connection
            .query_row(sql, [path], |row| row.get(0))
            .unwrap_or(true)
    };
    for file in files {
        let is_named = match outcome {
            Ok(_) => true,
            Err(LakeError::Commit { .. }) => may_be_named(&file),
            Err(_) => false,
        };
        if is_named {
            file.keep();
        }
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

/// Adds a file to a table; `video_id` is `None` where it holds rows of several videos.
pub(super) fn add_file(
    connection: &Connection,
    table: &str,
    video_id: Option<&str>,
    file: &StagedFile,
) -> Result<(), LakeError> {
    let add = format!(
        "CALL ducklake_add_data_files('{LAKE_NAME}', '{table}', {}, hive_partitioning => true)",
        quoted(file.path())
    );
    // The error names the file, but it is not the lake's yet.
    let added = connection.execute_batch(&add);
    added.map_err(|e| LakeError::Database(database_message(e)))?;
    record_file(
        connection,
        &FileRecord {
            path: &file.path_in_data().display().to_string(),
            table,
            video_id,
            row_count: file.row_count(),
            byte_size: file.byte_size(),
            blake3: file.blake3(),
        },
    )
}

fn add_video(
    connection: &Connection,
    video: &VideoRecord,
    persons: &[PersonRecord],
    staged: &StagedVideo,
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
    let files = [
        ("landmarks", staged.landmarks.as_ref()),
        ("metrics", Some(&staged.metrics)),
    ];
    for (table, file) in files {
        if let Some(file) = file {
            add_file(connection, table, Some(&video.video_id), file)?;
        }
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
