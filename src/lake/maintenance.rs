//! Looks after the lake: merges small files, forgets old snapshots, deletes what nothing needs any
//! more.
//!
//! Everything here is safe to kill at any moment and beside ingests of other processes: rows change
//! in transactions only, and a file is deleted only while the catalog is held and names it nowhere.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use duckdb::Connection;
use serde::Serialize;

use super::catalog::{Access, LAKE_NAME};
use super::error::LakeError;
use super::inventory::{min_age_to_delete, scheduled_files, unnamed_files};
use super::session::Lake;
use super::sql::{in_transaction, quoted_text};

/// Files are merged until they have this size: the landmarks of one person in 40 minutes of video at
/// 30 frames per second. Merging as much takes some 10 seconds, during which others wait for the
/// catalog.
const TARGET_FILE_SIZE: &str = "32MB";
/// Merged files are stored as those of an ingest.
const PARQUET_OPTIONS: [(&str, &str); 4] = [
    ("parquet_compression", "zstd"),
    ("parquet_compression_level", "9"),
    ("parquet_version", "2"),
    ("target_file_size", TARGET_FILE_SIZE),
];
/// Rows of a row group in merged files: a query for one joint skips the others' row groups.
const LANDMARK_ROW_GROUP_ROWS: u32 = 16_384;
/// A file with a greater share of deleted rows than this is written anew without them.
const REWRITE_THRESHOLD: f64 = 0.1;

/// What `posedata lake compact` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// Every table of the lake, also where there was nothing to do.
    pub tables: Vec<CompactedTable>,
    /// Files whose hashes were not in the table `files` before.
    pub checksums_recorded: u64,
}

/// The files that the newest snapshot needed of a table, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactedTable {
    /// Its name, without the lake's own.
    pub table: String,
    /// Parquet files when the command began.
    pub files_before: u64,
    /// Parquet files when it ended; others may have committed meanwhile.
    pub files_after: u64,
    /// Of `files_before` together.
    pub bytes_before: u64,
    /// Of `files_after` together; the old files stay on the disk for older snapshots.
    pub bytes_after: u64,
}

/// Which snapshots stay; the newest always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// As many as this, counted from the newest.
    Newest(NonZeroUsize),
    /// Those that were committed less than this long ago.
    YoungerThan(Duration),
}

/// What `posedata lake expire` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpireReport {
    /// Versions of the snapshots that are gone, ascending.
    pub expired: Vec<u64>,
    /// How many snapshots are left.
    pub kept: u64,
    /// Files that no snapshot needs any more, and their bytes; `posedata lake vacuum` deletes them.
    pub unneeded_files: u64,
    /// Of `unneeded_files` together.
    pub unneeded_bytes: u64,
}

/// Whether to do it, or to tell what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It is done.
    Real,
    /// Nothing is changed; the report says what would be.
    DryRun,
}

/// What `posedata lake vacuum` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VacuumReport {
    /// Files that no snapshot needs any more.
    pub unneeded_files: u64,
    /// Of `unneeded_files` together.
    pub unneeded_bytes: u64,
    /// What killed processes had left behind.
    pub abandoned_files: u64,
    /// Of `abandoned_files` together.
    pub abandoned_bytes: u64,
    /// Folders that were deleted; 0 when nothing was to be changed, and for files in a bucket.
    pub empty_folders: u64,
    /// Files that living processes work on; they stay.
    pub files_in_work: u64,
}

impl Lake {
    /// Merges small files of each table and partition, and rewrites files with many deleted rows.
    /// Others get at the catalog after each merged file.
    ///
    /// # Errors
    /// When the disk is full or a file is damaged; what was merged before stays merged.
    pub fn compact(&self) -> Result<CompactReport, LakeError> {
        self.must_exist()?;
        let before = self.table_sizes()?;
        self.with_catalog(Access::ReadWrite, |connection| {
            let set = |option: &str, value: &str, more: &str| {
                connection.execute_batch(&format!(
                    "CALL ducklake_set_option('{LAKE_NAME}', '{option}', {}{more})",
                    quoted_text(value)
                ))
            };
            for (option, value) in PARQUET_OPTIONS {
                set(option, value, "")?;
            }
            let rows = LANDMARK_ROW_GROUP_ROWS.to_string();
            set(
                "parquet_row_group_size",
                &rows,
                ", table_name => 'landmarks'",
            )?;
            Ok(())
        })?;
        for (table, _, _) in before.iter().filter(|(_, files, _)| *files > 0) {
            let rewrite = format!(
                "FROM ducklake_rewrite_data_files('{LAKE_NAME}', {}, delete_threshold => {REWRITE_THRESHOLD})",
                quoted_text(table)
            );
            let mut known = None;
            self.rewrite_files(table, &rewrite, &mut known)?;
            let merge = format!(
                "FROM ducklake_merge_adjacent_files('{LAKE_NAME}', {}, max_compacted_files => 1)",
                quoted_text(table)
            );
            while self.rewrite_files(table, &merge, &mut known)? > 0 {}
        }
        let checksums_recorded = self.record_checksums()?;
        let after = self.table_sizes()?;
        let tables = before
            .into_iter()
            .map(|(table, files_before, bytes_before)| {
                let now = after.iter().find(|(name, ..)| *name == table);
                let (files_after, bytes_after) =
                    now.map_or((0, 0), |(_, files, bytes)| (*files, *bytes));
                CompactedTable {
                    table,
                    files_before,
                    files_after,
                    bytes_before,
                    bytes_after,
                }
            });
        Ok(CompactReport {
            tables: tables.collect(),
            checksums_recorded,
        })
    }

    /// Runs one of DuckLake's functions that write files anew; gives the number of files written.
    /// `known` are the table's files as they were seen last: there may be too many to look twice.
    fn rewrite_files(
        &self,
        table: &str,
        sql: &str,
        known: &mut Option<HashSet<String>>,
    ) -> Result<u64, LakeError> {
        self.with_catalog(Access::ReadWrite, |connection| {
            let data_files = self.data_files();
            let before = match known.take() {
                Some(before) => before,
                None => data_files.to_sync(table)?,
            };
            in_transaction(connection, || {
                let sum = format!("SELECT coalesce(sum(files_created), 0)::UBIGINT FROM ({sql})");
                let created: u64 = connection.query_row(&sum, [], |row| row.get(0))?;
                // Files that an ingest has added meanwhile are safe already.
                let after = data_files.to_sync(table)?;
                for name in after.difference(&before) {
                    data_files.sync(name)?;
                }
                *known = Some(after);
                Ok(created)
            })
        })
    }

    /// Table, files and bytes of the newest snapshot.
    fn table_sizes(&self) -> Result<Vec<(String, u64, u64)>, LakeError> {
        self.with_catalog(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(
                "SELECT table_name, file_count, file_size_bytes FROM ducklake_table_info('lake')
                 ORDER BY table_name",
            )?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Forgets snapshots. Files that only those need stay until [`Lake::vacuum`].
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn expire(&self, retention: Retention) -> Result<ExpireReport, LakeError> {
        self.must_exist()?;
        self.with_catalog(Access::ReadWrite, |connection| {
            let condition = match retention {
                Retention::Newest(count) => format!("rank > {count}"),
                Retention::YoungerThan(age) => {
                    format!("rank > 1 AND snapshot_time::TIMESTAMP < now()::TIMESTAMP - to_seconds({})", age.as_secs())
                }
            };
            let sql = format!(
                "SELECT snapshot_id FROM (
                     SELECT snapshot_id, snapshot_time, row_number() OVER (ORDER BY snapshot_id DESC) AS rank
                     FROM ducklake_snapshots('{LAKE_NAME}')
                 ) WHERE {condition} ORDER BY snapshot_id"
            );
            let mut statement = connection.prepare(&sql)?;
            let expired: Vec<u64> = statement
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            if !expired.is_empty() {
                connection.execute_batch(&format!(
                    "CALL ducklake_expire_snapshots('{LAKE_NAME}', versions => {expired:?})"
                ))?;
            }
            let count = format!("SELECT count(*) FROM ducklake_snapshots('{LAKE_NAME}')");
            let (unneeded_files, unneeded_bytes) = self.scheduled(connection, Duration::ZERO)?;
            Ok(ExpireReport {
                expired,
                kept: connection.query_row(&count, [], |row| row.get(0))?,
                unneeded_files,
                unneeded_bytes,
            })
        })
    }

    /// Number and bytes of the files that no snapshot needs any more.
    fn scheduled(
        &self,
        connection: &Connection,
        min_age: Duration,
    ) -> Result<(u64, u64), LakeError> {
        let data_files = self.data_files();
        let sizes = scheduled_files(connection, self.paths(), min_age)?
            .into_iter()
            // Whoever was killed while deleting has left names of files that are gone.
            .filter_map(|name| data_files.byte_size(&name).ok());
        Ok(sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size)))
    }

    /// Deletes files that no snapshot needs, what killed processes left behind, and empty folders.
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn vacuum(&self, execution: Execution) -> Result<VacuumReport, LakeError> {
        self.must_exist()?;
        // Nobody else writes while the catalog is held, and nobody reads while it is for writing.
        let access = match execution {
            Execution::Real => Access::ReadWrite,
            Execution::DryRun => Access::Exclusive,
        };
        self.with_catalog(access, |connection| {
            let min_age = min_age_to_delete(self.paths());
            let (all_unneeded_files, _) = self.scheduled(connection, Duration::ZERO)?;
            let (unneeded_files, unneeded_bytes) = self.scheduled(connection, min_age)?;
            let unnamed = unnamed_files(connection, self.paths())?;
            let mut report = VacuumReport {
                unneeded_files,
                unneeded_bytes,
                files_in_work: unnamed.in_work + (all_unneeded_files - unneeded_files),
                ..VacuumReport::default()
            };
            if execution == Execution::Real {
                let min_age = min_age_to_delete(self.paths()).as_secs();
                let which = match min_age {
                    0 => "cleanup_all => true".into(),
                    secs => format!("older_than => now() - to_seconds({secs})"),
                };
                connection.execute_batch(&format!(
                    "CALL ducklake_cleanup_old_files('{LAKE_NAME}', {which})"
                ))?;
            }
            for orphan in unnamed.orphans {
                report.abandoned_files += 1;
                report.abandoned_bytes += orphan.byte_size;
                if execution == Execution::Real {
                    orphan.delete()?;
                }
            }
            if execution == Execution::Real {
                report.empty_folders = self.data_files().remove_empty_folders();
            }
            Ok(report)
        })
    }
}
