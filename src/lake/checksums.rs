//! Checksums of the lake's files, in the table `files`.

use std::collections::HashSet;

use duckdb::Connection;

use super::catalog::Access;
use super::error::LakeError;
use super::inventory::{CatalogFile, FileKind, catalog_files, recorded_paths};
use super::session::Lake;
use super::sql::{insert_all, owned, parquet, quoted_text, row};
use super::time::UtcTime;

/// A row of the table `files`.
pub(super) struct FileRecord<'a> {
    /// Below the data folder.
    pub path: &'a str,
    pub table: &'a str,
    /// `None` where the file holds rows of several videos.
    pub video_id: Option<&'a str>,
    pub row_count: u64,
    pub byte_size: u64,
    pub blake3: &'a str,
}

/// Adds rows to the table `files` inside the caller's transaction.
pub(super) fn record_files(
    connection: &Connection,
    files: &[FileRecord<'_>],
) -> Result<(), LakeError> {
    let rows = files.iter().map(|file| {
        owned(row! {
            path: file.path,
            table_name: file.table,
            video_id: file.video_id,
            row_count: file.row_count,
            byte_size: file.byte_size,
            blake3: file.blake3,
            recorded_at: UtcTime::now(),
        })
    });
    insert_all(connection, "files", &rows.collect::<Result<Vec<_>, _>>()?)
}

/// Paths that are named in one statement.
const PATHS_OF_STATEMENT: usize = 1000;

impl Lake {
    /// Records checksums of current files that have none, and drops those of files that are gone;
    /// gives the number recorded.
    ///
    /// # Errors
    /// When a file cannot be read or the commit fails.
    pub(super) fn record_checksums(&self) -> Result<u64, LakeError> {
        let missing = self.with_catalog(Access::ReadOnly, |connection| {
            let recorded = recorded_paths(connection)?;
            let files = catalog_files(connection, &self.metadata(), self.paths())?;
            let is_missing = |file: &CatalogFile| {
                file.is_current && file.kind == FileKind::Rows && !recorded.contains(&file.path)
            };
            Ok(files.into_iter().filter(is_missing).collect::<Vec<_>>())
        })?;
        // Hashing takes time; others may commit meanwhile.
        let mut hashed = Vec::new();
        for file in missing {
            let location = self.data_files().location(&file.path);
            match self.data_files().hash(&file.path) {
                Ok((blake3, byte_size)) => {
                    let video_id = only_video(self.connection(), &location)?;
                    hashed.push((file, video_id, blake3, byte_size));
                }
                // Compacted or removed meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    return Err(LakeError::DamagedFile {
                        path: location.into(),
                        reason: e.to_string(),
                    });
                }
            }
        }
        self.transaction(|connection| {
            let current: HashSet<String> =
                catalog_files(connection, &self.metadata(), self.paths())?
                    .into_iter()
                    .filter(|file| file.is_current && file.kind == FileKind::Rows)
                    .map(|file| file.path)
                    .collect();
            let recorded = recorded_paths(connection)?;
            // Each statement reads the whole table.
            let gone: Vec<String> = (recorded.difference(&current))
                .map(|path| quoted_text(path))
                .collect();
            for paths in gone.chunks(PATHS_OF_STATEMENT) {
                let delete = format!("DELETE FROM files WHERE path IN ({})", paths.join(", "));
                connection.execute_batch(&delete)?;
            }
            let still_missing = hashed.iter().filter(|(file, ..)| {
                current.contains(&file.path) && !recorded.contains(&file.path)
            });
            let records: Vec<FileRecord<'_>> = still_missing
                .map(|(file, video_id, blake3, byte_size)| FileRecord {
                    path: &file.path,
                    table: &file.table,
                    video_id: video_id.as_deref(),
                    row_count: file.row_count,
                    byte_size: *byte_size,
                    blake3,
                })
                .collect();
            record_files(connection, &records)?;
            Ok(records.len() as u64)
        })
    }
}

/// The one video whose rows a file holds.
fn only_video(connection: &Connection, location: &str) -> Result<Option<String>, LakeError> {
    let sql = format!(
        "SELECT if(min(video_id) = max(video_id), min(video_id), NULL) FROM {}",
        parquet(location)
    );
    match connection.query_row(&sql, [], |row| row.get(0)) {
        Ok(video_id) => Ok(video_id),
        // A table whose rows belong to no video.
        Err(error) if error.to_string().contains("Binder Error") => Ok(None),
        Err(error) => Err(error.into()),
    }
}
