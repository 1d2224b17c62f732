//! The DuckLake catalog: making it, looking into it, committing a video to it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use duckdb::{Config, Connection, params};
use tempfile::TempDir;

use super::{
    FORMAT_VERSION, LAKE_NAME, LakeError, LakePaths, StagedFile, StagedVideo, database_message,
};

/// How long to wait for another process to let go of the catalog. A commit takes milliseconds, but
/// a long query in another process holds it too.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Everything that makes up an empty lake, in the order of creation.
const SCHEMA: [&str; 8] = [
    include_str!("../../schemas/lake_format.sql"),
    include_str!("../../schemas/videos.sql"),
    include_str!("../../schemas/landmarks.sql"),
    include_str!("../../schemas/metrics.sql"),
    include_str!("../../schemas/landmarks_filtered.sql"),
    include_str!("../../schemas/metrics_filtered.sql"),
    include_str!("../../schemas/frames.sql"),
    include_str!("../../schemas/macros.sql"),
];

/// Tables that hold a video's rows in files of its own; those computed from other rows stand last.
const DATA_TABLES: [&str; 4] = [
    "landmarks",
    "metrics",
    "landmarks_filtered",
    "metrics_filtered",
];

/// What a session may do with the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
}

/// Block size of the catalog in bytes. DuckDB's own 256 KiB would make an empty lake take 5 MB.
const CATALOG_BLOCK_BYTES: u32 = 16_384;

/// A database session that can reach one lake.
pub struct Lake {
    paths: LakePaths,
    connection: Connection,
    scratch: Arc<TempDir>,
}

/// A session that has the lake attached for reading.
pub struct LakeReader {
    // Fields are dropped in this order: what is spilled goes after who spills it.
    pub connection: Connection,
    _scratch: Arc<TempDir>,
}

/// A row of the `videos` table.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoRecord {
    pub video_id: String,
    pub sport: String,
    pub file_name: String,
    pub path: String,
    pub file_bytes: u64,
    pub width_px: u32,
    pub height_px: u32,
    pub rotation_deg: u16,
    pub codec: String,
    pub fps: Option<f64>,
    pub frame_count: u64,
    pub duration_secs: f64,
    pub pose_frame_count: u64,
    pub pose_model: String,
    pub pose_model_sha256: String,
    /// JSON
    pub config: String,
    pub config_hash: String,
}

/// What is known of a video in the lake before it is looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestedVideo {
    pub file_name: String,
    pub config_hash: String,
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

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableInfo {
    pub table: String,
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SnapshotInfo {
    pub version: u64,
    /// UTC
    pub time: String,
    pub changes: String,
}

/// What `posedata lake info` shows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LakeInfo {
    pub path: PathBuf,
    pub format_version: i32,
    pub tables: Vec<TableInfo>,
    pub snapshots: Vec<SnapshotInfo>,
    pub catalog_bytes: u64,
}

impl Lake {
    /// Starts a session with the DuckLake extension from `extension`, or, where that file does not
    /// exist, the one that DuckDB has installed for itself. The lake is not touched yet.
    ///
    /// # Errors
    /// When the extension cannot be loaded.
    pub fn new(
        paths: LakePaths,
        extension: &Path,
        memory_limit_bytes: u64,
        threads: usize,
    ) -> Result<Self, LakeError> {
        let config = Config::default()
            .threads(threads as i64)?
            .max_memory(&format!("{}MiB", (memory_limit_bytes >> 20).max(64)))?
            .enable_autoload_extension(false)?
            // The extension's hash was checked when it was installed; checking its signature takes
            // a fifth of a second at every start.
            .allow_unsigned_extensions()?;
        let connection = Connection::open_in_memory_with_flags(config)?;
        let load = if extension.is_file() {
            format!("LOAD {}", quoted(extension))
        } else {
            "LOAD ducklake".into()
        };
        let scratch = tempfile::tempdir().map_err(|e| LakeError::Write {
            path: std::env::temp_dir(),
            reason: e.to_string(),
        })?;
        let temp_directory = format!("SET temp_directory = {}", quoted(scratch.path()));
        connection.execute_batch(&temp_directory)?;
        connection
            .execute_batch(&load)
            .map_err(|e| LakeError::Extension {
                path: extension.into(),
                reason: first_line(e),
            })?;
        Ok(Self {
            paths,
            connection,
            scratch: Arc::new(scratch),
        })
    }

    /// Another session over the same lake that shares this one's memory and threads, for another
    /// thread or a longer reading.
    ///
    /// # Errors
    /// When the database gives no further connection.
    pub fn try_clone(&self) -> Result<Self, LakeError> {
        Ok(Self {
            paths: self.paths.clone(),
            connection: self.connection.try_clone()?,
            scratch: Arc::clone(&self.scratch),
        })
    }

    pub fn paths(&self) -> &LakePaths {
        &self.paths
    }

    /// Fills the catalog where that has not happened yet, and checks the one that is there.
    ///
    /// # Errors
    /// When the catalog is no lake's, or that of a newer version.
    pub fn create_or_check(&self) -> Result<(), LakeError> {
        // For writing in any case, because whoever began to fill it may have been killed.
        self.attached(Access::ReadWrite, |_| Ok(()))
    }

    /// The ingested videos by their ids.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn ingested(&self) -> Result<HashMap<String, IngestedVideo>, LakeError> {
        self.attached(Access::ReadOnly, |connection| {
            let mut statement =
                connection.prepare("SELECT video_id, file_name, config_hash FROM videos")?;
            let rows = statement.query_map([], |row| {
                let video = IngestedVideo {
                    file_name: row.get(1)?,
                    config_hash: row.get(2)?,
                };
                Ok((row.get(0)?, video))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Makes a video's files and its row part of the lake, in one transaction.
    ///
    /// # Errors
    /// When the commit fails; then nothing of the video is in the lake and its files are deleted.
    pub fn commit(
        &self,
        video: &VideoRecord,
        staged: StagedVideo,
        replace: Replace,
    ) -> Result<CommitOutcome, LakeError> {
        self.attached(Access::ReadWrite, |connection| {
            let outcome = in_transaction(connection, || {
                add_video(connection, video, &staged, replace)
            })?;
            // From here on the catalog names the files, whatever else may fail.
            if outcome != CommitOutcome::AlreadyThere {
                staged.metrics.keep();
                if let Some(landmarks) = staged.landmarks {
                    landmarks.keep();
                }
            }
            Ok(outcome)
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
        self.attached(Access::ReadWrite, |connection| {
            in_transaction(connection, || {
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
                for (table, file) in &files {
                    delete_rows(connection, table, video_id)?;
                    if let Some(file) = file {
                        add_file(connection, table, file)?;
                    }
                }
                Ok(())
            })?;
            // From here on the catalog names the files.
            for file in files.into_iter().filter_map(|(_, file)| file) {
                file.keep();
            }
            Ok(())
        })
    }

    /// Tables, files and snapshots.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn info(&self) -> Result<LakeInfo, LakeError> {
        self.attached(Access::ReadOnly, |connection| {
            let mut statement = connection.prepare(
                "SELECT table_name, file_count, file_size_bytes FROM ducklake_table_info('lake')
                 ORDER BY table_name",
            )?;
            let tables = statement
                .query_map([], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let mut infos = Vec::new();
            for (table, files, bytes) in tables {
                let count = format!("SELECT count(*) FROM {}", quoted_name(&table));
                let rows = connection.query_row(&count, [], |row| row.get(0))?;
                infos.push(TableInfo {
                    table,
                    rows,
                    files,
                    bytes,
                });
            }
            let mut statement = connection.prepare(
                "SELECT snapshot_id, strftime(snapshot_time::TIMESTAMP, '%Y-%m-%d %H:%M:%S'), changes::VARCHAR
                 FROM ducklake_snapshots('lake') ORDER BY snapshot_id",
            )?;
            let snapshots = statement
                .query_map([], |row| {
                    Ok(SnapshotInfo {
                        version: row.get(0)?,
                        time: row.get(1)?,
                        changes: row.get(2)?,
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(LakeInfo {
                path: self.paths.root().into(),
                format_version: format_version(connection)?,
                tables: infos,
                snapshots,
                catalog_bytes: fs::metadata(self.paths.catalog()).map_or(0, |m| m.len()),
            })
        })
    }

    /// Attaches the lake read-only for good and hands the session over: to queries, which seal it.
    ///
    /// # Errors
    /// When the lake, or its snapshot `version`, does not exist or cannot be read.
    pub fn into_reader(self, version: Option<u64>) -> Result<LakeReader, LakeError> {
        self.attach(Access::ReadOnly, version)?;
        self.check_format()?;
        Ok(LakeReader {
            connection: self.connection,
            _scratch: self.scratch,
        })
    }

    /// Runs `work` with the lake attached and in use, and detaches it whatever happens.
    pub(super) fn attached<R>(
        &self,
        access: Access,
        work: impl FnOnce(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        self.attached_at(access, None, work)
    }

    /// The same for the lake as it was at snapshot `version`, which can only be read.
    pub(super) fn attached_at<R>(
        &self,
        access: Access,
        version: Option<u64>,
        work: impl FnOnce(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        // File locks keep processes apart, but not the sessions of one process.
        static IN_USE: Mutex<()> = Mutex::new(());
        let _in_use = IN_USE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        self.attach(access, version)?;
        let result = match access {
            Access::ReadWrite => self.create_missing_tables(),
            Access::ReadOnly => self.check_format(),
        }
        .and_then(|()| work(&self.connection));
        let detached = self
            .connection
            .execute_batch(&format!("USE memory; DETACH {LAKE_NAME}"));
        let value = result?;
        detached?;
        Ok(value)
    }

    /// Attaches, waiting while another process holds the catalog.
    fn attach(&self, access: Access, version: Option<u64>) -> Result<(), LakeError> {
        let catalog = self.paths.catalog();
        if access == Access::ReadOnly && !catalog.exists() {
            return Err(LakeError::Missing {
                path: self.paths.root().into(),
            });
        }
        let source = quoted_text(&format!("ducklake:{}", catalog.display()));
        let data = quoted(&self.paths.data());
        let mode = match access {
            Access::ReadOnly => ", READ_ONLY".into(),
            // A catalog keeps the block size that it was made with.
            Access::ReadWrite if catalog.exists() => String::new(),
            Access::ReadWrite => format!(", META_BLOCK_SIZE {CATALOG_BLOCK_BYTES}"),
        };
        let at = version.map_or(String::new(), |v| format!(", SNAPSHOT_VERSION {v}"));
        // The data path in the catalog is the one of the lake's first day; lakes may be moved.
        let sql = format!(
            "ATTACH {source} AS {LAKE_NAME} (DATA_PATH {data}, OVERRIDE_DATA_PATH true{mode}{at}); USE {LAKE_NAME}"
        );
        let started = Instant::now();
        loop {
            let error = match self.connection.execute_batch(&sql) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let message = error.to_string();
            if !is_lock_conflict(&message) {
                return Err(self.attach_error(error, version));
            }
            if started.elapsed() > LOCK_PATIENCE {
                return Err(LakeError::Locked {
                    path: catalog,
                    waited_secs: started.elapsed().as_secs(),
                });
            }
            thread::sleep(LOCK_RETRY);
        }
    }

    fn attach_error(&self, error: duckdb::Error, version: Option<u64>) -> LakeError {
        let path = self.paths.root().to_path_buf();
        match version {
            Some(version) if error.to_string().contains("snapshot") => {
                LakeError::NoSnapshot { path, version }
            }
            _ => LakeError::NotALake {
                path,
                reason: first_line(error),
            },
        }
    }

    fn check_format(&self) -> Result<(), LakeError> {
        let path = self.paths.root().to_path_buf();
        let found = format_version(&self.connection).map_err(|e| LakeError::NotALake {
            path: path.clone(),
            reason: first_line(e),
        })?;
        if found > FORMAT_VERSION {
            return Err(LakeError::Newer {
                path,
                found,
                known: FORMAT_VERSION,
            });
        }
        Ok(())
    }

    /// Fills a catalog that has just come into being.
    fn create_missing_tables(&self) -> Result<(), LakeError> {
        let tables: u64 = self.connection.query_row(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake'",
            [],
            |row| row.get(0),
        )?;
        if tables > 0 {
            return self.check_format();
        }
        let result = self
            .connection
            .execute_batch("BEGIN")
            .and_then(|()| self.connection.execute_batch(&SCHEMA.concat()))
            .and_then(|()| {
                self.connection.execute(
                    "INSERT INTO lake_format VALUES (?, ?)",
                    params![FORMAT_VERSION, env!("CARGO_PKG_VERSION")],
                )
            })
            .and_then(|_| self.connection.execute_batch("COMMIT"));
        if result.is_err() {
            // The first error is the one to tell; a failed rollback has nothing to add.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        Ok(result?)
    }
}

fn format_version(connection: &Connection) -> duckdb::Result<i32> {
    connection.query_row("SELECT max(format_version) FROM lake_format", [], |row| {
        row.get(0)
    })
}

/// Commits what `work` did, or takes it back when it failed.
fn in_transaction<R>(
    connection: &Connection,
    work: impl FnOnce() -> Result<R, LakeError>,
) -> Result<R, LakeError> {
    connection.execute_batch("BEGIN")?;
    let result = work();
    let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = connection.execute_batch(end);
    let value = result?;
    ended?;
    Ok(value)
}

fn delete_rows(connection: &Connection, table: &str, video_id: &str) -> Result<(), LakeError> {
    let delete = format!("DELETE FROM {table} WHERE video_id = ?");
    connection.execute(&delete, [video_id])?;
    Ok(())
}

fn add_file(connection: &Connection, table: &str, file: &StagedFile) -> Result<(), LakeError> {
    Ok(connection.execute_batch(&format!(
        "CALL ducklake_add_data_files('{LAKE_NAME}', '{table}', {}, hive_partitioning => true)",
        quoted(file.path())
    ))?)
}

fn add_video(
    connection: &Connection,
    video: &VideoRecord,
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
        for table in DATA_TABLES.into_iter().chain(["videos"]) {
            delete_rows(connection, table, &video.video_id)?;
        }
    }
    let files = [
        ("landmarks", staged.landmarks.as_ref()),
        ("metrics", Some(&staged.metrics)),
    ];
    for (table, file) in files {
        if let Some(file) = file {
            add_file(connection, table, file)?;
        }
    }
    connection.execute(
        "INSERT INTO videos VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, now()::TIMESTAMP)",
        params![
            video.video_id,
            video.sport,
            video.file_name,
            video.path,
            video.file_bytes,
            video.width_px,
            video.height_px,
            video.rotation_deg,
            video.codec,
            video.fps,
            video.frame_count,
            video.duration_secs,
            video.pose_frame_count,
            video.pose_model,
            video.pose_model_sha256,
            video.config,
            video.config_hash,
            env!("CARGO_PKG_VERSION"),
        ],
    )?;
    Ok(if known_hashes.is_empty() {
        CommitOutcome::Added
    } else {
        CommitOutcome::Replaced
    })
}

/// Another process holds the catalog's file.
fn is_lock_conflict(message: &str) -> bool {
    message.contains("Could not set lock")
}

/// DuckDB appends stack traces and help texts to some messages.
fn first_line(error: duckdb::Error) -> String {
    let message = database_message(error);
    message.lines().next().unwrap_or_default().to_owned()
}

fn quoted(path: &Path) -> String {
    quoted_text(&path.display().to_string())
}

pub(super) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
