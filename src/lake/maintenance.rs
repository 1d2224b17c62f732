//! Looks after the lake: removes videos, merges small files, forgets old snapshots, deletes what
//! nothing needs any more.
//!
//! Everything here is safe to kill at any moment and beside ingests of other processes: rows change
//! in transactions only, and a file is deleted only while the catalog is held and names it nowhere.

use std::collections::HashSet;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use duckdb::{Connection, params};
use serde::Serialize;
use walkdir::WalkDir;

use super::catalog::{Access, delete_rows, in_transaction, quoted, quoted_name, quoted_text};
use super::inventory::{
    CatalogFile, FileKind, METADATA, catalog_files, recorded_paths, scheduled_files, strays,
};
use super::{LAKE_NAME, Lake, LakeError, LakePaths, schema};
use crate::files::{sync_folder, why_not_written};

/// Files are merged until they have this size: the landmarks of one person in 40 minutes of video at
/// 30 frames per second. Merging as much takes some 10 seconds, during which others wait for the
/// catalog.
const TARGET_FILE_SIZE: &str = "32MB";
/// Merged files are stored as [`super::VideoWriter`] stores its own.
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
/// What `posedata remove` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemoveReport {
    pub videos: u64,
    pub tables: Vec<RemovedRows>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedRows {
    pub table: String,
    pub rows: u64,
}

/// What `posedata lake compact` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    pub tables: Vec<CompactedTable>,
    pub checksums_recorded: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompactedTable {
    pub table: String,
    pub files_before: u64,
    pub files_after: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// Which snapshots stay; the newest always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    Newest(NonZeroUsize),
    YoungerThan(Duration),
}

/// What `posedata lake expire` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpireReport {
    pub expired: Vec<u64>,
    pub kept: u64,
    /// Files that no snapshot needs any more, and their bytes; `posedata lake vacuum` deletes them.
    pub unneeded_files: u64,
    pub unneeded_bytes: u64,
}

/// Whether to do it, or to tell what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    Real,
    DryRun,
}

/// What `posedata lake vacuum` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VacuumReport {
    /// Files that no snapshot needs any more.
    pub unneeded_files: u64,
    pub unneeded_bytes: u64,
    /// What killed processes had left behind.
    pub abandoned_files: u64,
    pub abandoned_bytes: u64,
    pub empty_folders: u64,
    /// Files that living processes work on; they stay.
    pub files_in_work: u64,
}

impl Lake {
    /// Gives a lake of an older format everything that the newest has. All writing commands do it
    /// by themselves.
    ///
    /// # Errors
    /// When the lake does not exist or cannot be written.
    pub fn upgrade(&self) -> Result<(), LakeError> {
        self.must_exist()?;
        self.create_or_check()
    }

    /// Takes videos out of all tables, in one transaction. Their files stay for older snapshots.
    ///
    /// # Errors
    /// When the commit fails; then all of them are still there.
    pub fn remove_videos(&self, video_ids: &[String]) -> Result<RemoveReport, LakeError> {
        self.must_exist()?;
        let error = match self.try_remove_videos(video_ids) {
            Err(error @ LakeError::DamagedFile { .. }) => error,
            done => return done,
        };
        // Rows of a file that cannot be read cannot be deleted one by one: the file goes as a whole.
        let lost = self.unreadable_files_of(video_ids)?;
        if lost.is_empty() {
            return Err(error);
        }
        self.strike(&lost)?;
        self.try_remove_videos(video_ids)
    }

    fn try_remove_videos(&self, video_ids: &[String]) -> Result<RemoveReport, LakeError> {
        self.attached(Access::ReadWrite, |connection| {
            let tables = tables_of_videos(connection, LAKE_NAME)?;
            in_transaction(connection, || {
                let mut report = RemoveReport::default();
                for table in &tables {
                    let mut rows = 0;
                    for video_id in video_ids {
                        rows += delete_rows(connection, table, video_id)?;
                    }
                    if table == "videos" {
                        report.videos = rows;
                    }
                    let table = table.clone();
                    report.tables.push(RemovedRows { table, rows });
                }
                Ok(report)
            })
        })
    }

    /// Current files of these videos alone that cannot be read.
    fn unreadable_files_of(&self, video_ids: &[String]) -> Result<Vec<CatalogFile>, LakeError> {
        self.attached(Access::ReadOnly, |connection| {
            let files = catalog_files(connection, METADATA, self.paths())?;
            let is_theirs = |file: &CatalogFile| {
                let name = Path::new(&file.path).file_name();
                let name = name.unwrap_or_default().to_string_lossy();
                file.is_current
                    && file.kind == FileKind::Rows
                    && video_ids.iter().any(|id| name.starts_with(id.as_str()))
            };
            let is_lost =
                |file: &CatalogFile| read_whole(connection, &self.data_file(file)).is_err();
            let files = files.into_iter().filter(is_theirs);
            Ok(files.filter(is_lost).collect())
        })
    }

    /// Where a file of the catalog lies.
    pub(super) fn data_file(&self, file: &CatalogFile) -> PathBuf {
        self.paths().data().join(&file.path)
    }

    /// Takes files out of the catalog's tables as if they had never been there, in all snapshots,
    /// in one transaction. Where a file exists, it is moved to the lake's folder `damaged`.
    ///
    /// DuckLake cannot do this itself: it reads a file to delete its rows. Which tables name a file
    /// is laid down in DuckLake's specification (version 1.0, "tables").
    pub(super) fn strike(&self, files: &[CatalogFile]) -> Result<(), LakeError> {
        self.with_catalog_database(|connection, database| {
            strike_from(connection, database, files)
        })?;
        for file in files {
            let path = self.data_file(file);
            let aside = self.paths().root().join("damaged").join(&file.path);
            let moved = aside
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::rename(&path, &aside));
            match moved {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    let reason = why_not_written(&e);
                    return Err(LakeError::Write { path, reason });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Merges small files of each table and partition, and rewrites files with many deleted rows.
    /// Others get at the catalog after each merged file.
    ///
    /// # Errors
    /// When the disk is full or a file is damaged; what was merged before stays merged.
    pub fn compact(&self) -> Result<CompactReport, LakeError> {
        self.must_exist()?;
        let before = self.table_sizes()?;
        self.attached(Access::ReadWrite, |connection| {
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
            self.rewrite_files(table, &rewrite)?;
            let merge = format!(
                "FROM ducklake_merge_adjacent_files('{LAKE_NAME}', {}, max_compacted_files => 1)",
                quoted_text(table)
            );
            while self.rewrite_files(table, &merge)? > 0 {}
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
    fn rewrite_files(&self, table: &str, sql: &str) -> Result<u64, LakeError> {
        self.attached(Access::ReadWrite, |connection| {
            let folder = self.paths().data().join("main").join(table);
            let before = file_names(&folder);
            in_transaction(connection, || {
                let sum = format!("SELECT coalesce(sum(files_created), 0)::UBIGINT FROM ({sql})");
                let created: u64 = connection.query_row(&sum, [], |row| row.get(0))?;
                // Nobody else can write with the catalog held, so new files are DuckLake's.
                for path in file_names(&folder).difference(&before) {
                    sync(path).map_err(|e| LakeError::Write {
                        path: path.clone(),
                        reason: why_not_written(&e),
                    })?;
                }
                Ok(created)
            })
        })
    }

    /// Table, files and bytes of the newest snapshot.
    fn table_sizes(&self) -> Result<Vec<(String, u64, u64)>, LakeError> {
        self.attached(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(
                "SELECT table_name, file_count, file_size_bytes FROM ducklake_table_info('lake')
                 ORDER BY table_name",
            )?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Records checksums of current files that have none, and drops those of files that are gone;
    /// gives the number recorded.
    ///
    /// # Errors
    /// When a file cannot be read or the commit fails.
    pub(super) fn record_checksums(&self) -> Result<u64, LakeError> {
        let missing = self.attached(Access::ReadOnly, |connection| {
            let recorded = recorded_paths(connection)?;
            let files = catalog_files(connection, METADATA, self.paths())?;
            let is_missing = |file: &CatalogFile| {
                file.is_current && file.kind == FileKind::Rows && !recorded.contains(&file.path)
            };
            Ok(files.into_iter().filter(is_missing).collect::<Vec<_>>())
        })?;
        // Hashing takes time; others may commit meanwhile.
        let mut hashed = Vec::new();
        for file in missing {
            let path = self.data_file(&file);
            match hash_file(&path) {
                Ok((blake3, byte_size)) => {
                    let video_id = only_video(self.connection(), &path)?;
                    hashed.push((file, video_id, blake3, byte_size));
                }
                // Compacted or removed meanwhile.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    let reason = e.to_string();
                    return Err(LakeError::DamagedFile { path, reason });
                }
            }
        }
        self.attached(Access::ReadWrite, |connection| {
            let current: HashSet<String> = catalog_files(connection, METADATA, self.paths())?
                .into_iter()
                .filter(|file| file.is_current && file.kind == FileKind::Rows)
                .map(|file| file.path)
                .collect();
            let recorded = recorded_paths(connection)?;
            let mut gone = recorded.difference(&current).peekable();
            hashed.retain(|(file, ..)| {
                current.contains(&file.path) && !recorded.contains(&file.path)
            });
            if hashed.is_empty() && gone.peek().is_none() {
                return Ok(0);
            }
            in_transaction(connection, || {
                for path in gone {
                    connection.execute("DELETE FROM files WHERE path = ?", [path])?;
                }
                for (file, video_id, blake3, byte_size) in &hashed {
                    connection.execute(
                        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, now()::TIMESTAMP)",
                        params![
                            file.path,
                            file.table,
                            video_id,
                            file.row_count,
                            byte_size,
                            blake3,
                        ],
                    )?;
                }
                Ok(hashed.len() as u64)
            })
        })
    }

    /// Forgets snapshots. Files that only those need stay until [`Lake::vacuum`].
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn expire(&self, retention: Retention) -> Result<ExpireReport, LakeError> {
        self.must_exist()?;
        self.attached(Access::ReadWrite, |connection| {
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
            let (unneeded_files, unneeded_bytes) = self.scheduled(connection)?;
            Ok(ExpireReport {
                expired,
                kept: connection.query_row(&count, [], |row| row.get(0))?,
                unneeded_files,
                unneeded_bytes,
            })
        })
    }

    /// Number and bytes of the files that no snapshot needs any more.
    fn scheduled(&self, connection: &Connection) -> Result<(u64, u64), LakeError> {
        let data = self.paths().data();
        let sizes = scheduled_files(connection, self.paths())?
            .into_iter()
            // Whoever was killed while deleting has left names of files that are gone.
            .filter_map(|path| fs::metadata(data.join(path)).ok())
            .map(|metadata| metadata.len());
        Ok(sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size)))
    }

    /// Deletes files that no snapshot needs, what killed processes left behind, and empty folders.
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn vacuum(&self, execution: Execution) -> Result<VacuumReport, LakeError> {
        self.must_exist()?;
        // Nobody else reads or writes while the catalog is held for writing.
        self.attached(Access::ReadWrite, |connection| {
            let (unneeded_files, unneeded_bytes) = self.scheduled(connection)?;
            let strays = strays(connection, self.paths())?;
            let mut report = VacuumReport {
                unneeded_files,
                unneeded_bytes,
                files_in_work: strays.in_work,
                ..VacuumReport::default()
            };
            if execution == Execution::Real {
                connection.execute_batch(&format!(
                    "CALL ducklake_cleanup_old_files('{LAKE_NAME}', cleanup_all => true)"
                ))?;
            }
            for stray in strays.abandoned {
                report.abandoned_files += 1;
                report.abandoned_bytes += stray.byte_size;
                if execution == Execution::Real {
                    let path = stray.path.clone();
                    stray.delete().map_err(|e| LakeError::Write {
                        path,
                        reason: why_not_written(&e),
                    })?;
                }
            }
            if execution == Execution::Real {
                report.empty_folders = delete_empty_folders(self.paths());
            }
            Ok(report)
        })
    }

    pub(super) fn must_exist(&self) -> Result<(), LakeError> {
        match self.paths().exists() {
            true => Ok(()),
            false => Err(LakeError::Missing {
                path: self.paths().root().into(),
            }),
        }
    }
}

/// Names of the tables that hold rows of videos, `videos` last; `files` goes with each of them.
pub(super) fn tables_of_videos(
    connection: &Connection,
    database: &str,
) -> Result<Vec<String>, LakeError> {
    let sql = format!(
        "SELECT table_name FROM duckdb_columns()
         WHERE database_name = '{database}' AND column_name = 'video_id'
             AND table_name NOT IN ('files', 'videos')"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    let with_videos: HashSet<String> = rows.collect::<Result<_, _>>()?;
    // Views have columns too.
    let mut tables = schema::tables(connection, database)?;
    tables.retain(|table| with_videos.contains(table));
    tables.push("videos".into());
    Ok(tables)
}

/// Deletes what the catalog's tables in `database` know of files, in one transaction.
pub(super) fn strike_from(
    connection: &Connection,
    database: &str,
    files: &[CatalogFile],
) -> Result<(), LakeError> {
    const TABLES: [&str; 5] = [
        "ducklake_file_column_stats",
        "ducklake_file_partition_value",
        "ducklake_file_variant_stats",
        "ducklake_delete_file",
        "ducklake_data_file",
    ];
    in_transaction(connection, || {
        for file in files {
            for table in TABLES {
                let sql = format!("DELETE FROM {database}.{table} WHERE data_file_id = ?");
                connection.execute(&sql, [file.data_file_id])?;
            }
            let inlined = format!("ducklake_inlined_delete_{}", file.table_id);
            let exists: bool = connection.query_row(
                "SELECT count(*) > 0 FROM duckdb_tables() WHERE database_name = ? AND table_name = ?",
                [database, &inlined],
                |row| row.get(0),
            )?;
            if exists {
                let sql = format!("DELETE FROM {database}.{inlined} WHERE file_id = ?");
                connection.execute(&sql, [file.data_file_id])?;
            }
        }
        Ok(())
    })
}

/// Reads every value of a file; gives the number of rows.
pub(super) fn read_whole(connection: &Connection, path: &Path) -> Result<u64, LakeError> {
    let sql = format!(
        "SELECT count(*), bit_xor(hash(rows)) FROM {} AS rows",
        parquet(path)
    );
    Ok(connection.query_row(&sql, [], |row| row.get(0))?)
}

/// The one video whose rows a file holds.
fn only_video(connection: &Connection, path: &Path) -> Result<Option<String>, LakeError> {
    let sql = format!(
        "SELECT if(min(video_id) = max(video_id), min(video_id), NULL) FROM {}",
        parquet(path)
    );
    match connection.query_row(&sql, [], |row| row.get(0)) {
        Ok(video_id) => Ok(video_id),
        // A table whose rows belong to no video.
        Err(error) if error.to_string().contains("Binder Error") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn parquet(path: &Path) -> String {
    format!("read_parquet({}, hive_partitioning = false)", quoted(path))
}

/// BLAKE3 in hex, and bytes.
pub(super) fn hash_file(path: &Path) -> std::io::Result<(String, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    let bytes = hasher.count();
    Ok((hasher.finalize().to_hex().to_string(), bytes))
}

fn file_names(folder: &Path) -> HashSet<PathBuf> {
    let entries = WalkDir::new(folder).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.map(walkdir::DirEntry::into_path).collect()
}

fn sync(path: &Path) -> std::io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all()?,
        // A living ingest renamed or gave up its own file.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    path.parent().map_or(Ok(()), sync_folder)
}

/// Deletes folders below the data folder that hold nothing; gives their number.
fn delete_empty_folders(paths: &LakePaths) -> u64 {
    let folders = WalkDir::new(paths.data())
        .min_depth(1)
        .contents_first(true)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_dir());
    // Only an empty folder can be deleted so.
    folders
        .filter(|entry| fs::remove_dir(entry.path()).is_ok())
        .count() as u64
}

/// A table's name as SQL has it.
pub(super) fn table_in(database: &str, table: &str) -> String {
    format!("{database}.main.{}", quoted_name(table))
}
