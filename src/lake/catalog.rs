//! The DuckLake catalog: making it, looking into it, committing a video to it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::files::{sync_folder, why_not_written, with_remedy};
use duckdb::{Config, Connection, params};
use tempfile::TempDir;

use super::analysis::model_file_prefix;
use super::persons::{PersonRecord, insert_persons};
use super::schema;
use super::{
    FORMAT_VERSION, LAKE_NAME, LakeError, LakePaths, StagedFile, StagedVideo, database_message,
};

/// How long to wait for another process to let go of the catalog, unless told otherwise. A commit
/// takes milliseconds, but a long query in another process holds it too.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Everything that makes up an empty lake, in the order of creation.
pub(super) const SCHEMA: [&str; 16] = [
    include_str!("../../schemas/lake_format.sql"),
    include_str!("../../schemas/videos.sql"),
    include_str!("../../schemas/persons.sql"),
    include_str!("../../schemas/files.sql"),
    include_str!("../../schemas/landmarks.sql"),
    include_str!("../../schemas/metrics.sql"),
    include_str!("../../schemas/landmarks_filtered.sql"),
    include_str!("../../schemas/metrics_filtered.sql"),
    include_str!("../../schemas/analysis.sql"),
    include_str!("../../schemas/frames.sql"),
    include_str!("../../schemas/macros.sql"),
    include_str!("../../schemas/runs.sql"),
    include_str!("../../schemas/subjects.sql"),
    include_str!("../../schemas/datasets.sql"),
    include_str!("../../schemas/examples.sql"),
    include_str!("../../schemas/training_runs.sql"),
];

/// Tables that hold a video's rows in files of its own; those computed from other rows stand last.
const DATA_TABLES: [&str; 5] = [
    "landmarks",
    "metrics",
    "landmarks_filtered",
    "metrics_filtered",
    "analysis",
];

/// Rows of a video in one table that others take the place of.
struct Replacement {
    table: &'static str,
    /// Only the rows of the model with this SHA-256 go.
    of_model: Option<String>,
    /// The rows that come, if there are any.
    file: Option<StagedFile>,
}

/// Tables whose rows of a video are in the catalog itself, or in files that videos share.
const RECORD_TABLES: [&str; 2] = ["persons", "videos"];

/// What a session may do with the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    ReadWrite,
}

/// What the system says where nothing may be written.
pub(super) const WRITE_REFUSALS: [&str; 4] = [
    "Permission denied",
    "Read-only file system",
    "No space left on device",
    "File too large",
];

/// Beginning of the name of the folder in which a new catalog is made; it is inside the lake, so
/// that the catalog can be given its name in one step.
pub(super) const NEW_CATALOG_PREFIX: &str = "catalog.ducklake.new-";
/// The file in that folder that its maker holds a lock on.
pub(super) const NEW_CATALOG_LOCK: &str = "lock";

/// Block size of the catalog in bytes. DuckDB's own 256 KiB would make an empty lake take 5 MB.
pub(super) const CATALOG_BLOCK_BYTES: u32 = 16_384;

/// A database session that can reach one lake.
pub struct Lake {
    paths: LakePaths,
    connection: Connection,
    scratch: Arc<TempDir>,
    lock_timeout: Duration,
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
    pub picture: PictureRecord,
    /// How many times slower the file plays than things happened; `None` where its times are real.
    pub slow_motion_factor: Option<f64>,
    /// Rate at which the pictures were taken, as the camera or the user says.
    pub capture_fps: Option<f64>,
}

/// What a row of the `videos` table says of the stored pictures. What is `None` is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PictureRecord {
    pub coded_width_px: Option<u32>,
    pub coded_height_px: Option<u32>,
    pub mirrored: Option<bool>,
    pub color_transfer: Option<String>,
    /// JSON
    pub size_changes: Option<String>,
    pub corrupt_frame_count: u64,
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
            // Extensions have to be signed by DuckDB's makers, as is the database's own rule.
            .enable_autoload_extension(false)?;
        let connection = Connection::open_in_memory_with_flags(config)?;
        let load = if extension.is_file() {
            format!("LOAD {}", quoted(extension))
        } else {
            "LOAD ducklake".into()
        };
        let scratch = tempfile::tempdir().map_err(|e| LakeError::Write {
            path: std::env::temp_dir(),
            reason: why_not_written(&e),
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
            lock_timeout: LOCK_TIMEOUT,
        })
    }

    /// The same session with another patience for catalogs that other processes hold.
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
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
            lock_timeout: self.lock_timeout,
        })
    }

    pub fn paths(&self) -> &LakePaths {
        &self.paths
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A folder that goes with the session.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
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

    /// Makes a video's files and its rows, its own and one for each of `persons`, part of the lake, in one transaction.
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
                settle(connection, &outcome, files.collect());
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
            settle(connection, &outcome, files.collect());
            outcome
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
        let _in_use = catalog_in_use();
        self.attach(access, version)?;
        let result = match access {
            Access::ReadWrite => self.bring_up_to_date(),
            Access::ReadOnly => self.check_format().map(drop),
        }
        .and_then(|()| work(&self.connection));
        // What is committed is committed, whether the catalog can be let go of or not; the next
        // attachment tries again and tells.
        let _ = self.detach();
        result
    }

    fn detach(&self) -> duckdb::Result<()> {
        self.connection.execute_batch(&format!(
            "USE memory; DETACH DATABASE IF EXISTS {LAKE_NAME}"
        ))
    }

    /// Attaches, waiting while another process holds the catalog.
    fn attach(&self, access: Access, version: Option<u64>) -> Result<(), LakeError> {
        let catalog = self.paths.catalog();
        if access == Access::ReadOnly && !catalog.exists() {
            return Err(LakeError::Missing {
                path: self.paths.root().into(),
            });
        }
        self.detach()?;
        if access == Access::ReadWrite && is_not_made_yet(&catalog) {
            self.make_catalog()?;
        }
        let mode = match access {
            Access::ReadOnly => ", READ_ONLY",
            Access::ReadWrite => "",
        };
        let at = version.map_or(String::new(), |v| format!(", SNAPSHOT_VERSION {v}"));
        let sql = self.attach_sql(&catalog, &format!("{mode}{at}"));
        self.attach_waiting(&sql, version)
    }

    fn attach_waiting(&self, sql: &str, version: Option<u64>) -> Result<(), LakeError> {
        let started = Instant::now();
        let mut is_told = false;
        loop {
            let error = match self.connection.execute_batch(sql) {
                Ok(()) => {
                    if is_told {
                        let waited_secs = started.elapsed().as_secs_f64();
                        tracing::info!(target: "posedata::lake", waited_secs, "the lake is free again");
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let message = error.to_string();
            if !is_lock_conflict(&message) {
                return Err(self.attach_error(error, version));
            }
            if started.elapsed() > self.lock_timeout {
                return Err(LakeError::Locked {
                    path: self.paths.catalog(),
                    waited_secs: started.elapsed().as_secs(),
                });
            }
            if !is_told {
                tracing::info!(
                    target: "posedata::lake",
                    path = %self.paths.catalog().display(),
                    "waiting: another process holds the lake"
                );
                is_told = true;
            }
            thread::sleep(LOCK_RETRY);
        }
    }

    /// Runs `work` with the catalog attached as the plain database that it is, for writing; `work`
    /// is told its name.
    pub(super) fn with_catalog_database<R>(
        &self,
        work: impl FnOnce(&Connection, &str) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        let _in_use = catalog_in_use();
        self.detach()?;
        let source = quoted(&self.paths.catalog());
        self.attach_waiting(&format!("ATTACH {source} AS {LAKE_NAME}"), None)?;
        let result = work(&self.connection, LAKE_NAME);
        let _ = self.detach();
        result
    }

    fn attach_sql(&self, catalog: &Path, options: &str) -> String {
        let source = quoted_text(&format!("ducklake:{}", catalog.display()));
        let data = quoted(&self.paths.data());
        // The data path in the catalog is the one of the lake's first day; lakes may be moved.
        format!(
            "ATTACH {source} AS {LAKE_NAME} (DATA_PATH {data}, OVERRIDE_DATA_PATH true{options}); USE {LAKE_NAME}"
        )
    }

    /// Makes the catalog under another name and then gives it its own, so that a catalog is whole
    /// from its first moment, whenever its maker is killed.
    fn make_catalog(&self) -> Result<(), LakeError> {
        let root = self.paths.root();
        let catalog = self.paths.catalog();
        let write_error = |e: std::io::Error| LakeError::Write {
            path: catalog.clone(),
            reason: why_not_written(&e),
        };
        let folder = tempfile::Builder::new()
            .prefix(NEW_CATALOG_PREFIX)
            .tempdir_in(root)
            .map_err(write_error)?;
        // Tells whoever cleans up that the folder's maker lives.
        let lock = fs::File::create(folder.path().join(NEW_CATALOG_LOCK)).map_err(write_error)?;
        lock.lock().map_err(write_error)?;
        let new = folder.path().join("catalog");
        let options = format!(", META_BLOCK_SIZE {CATALOG_BLOCK_BYTES}");
        self.connection
            .execute_batch(&self.attach_sql(&new, &options))
            .map_err(|e| self.attach_error(e, None))?;
        let filled = schema::create(&self.connection);
        let detached = self.detach();
        filled?;
        detached?;
        fs::File::open(&new)
            .and_then(|file| file.sync_all())
            .map_err(write_error)?;
        let named = match fs::hard_link(&new, &catalog) {
            // An empty file is what a killed process left of a catalog; nobody needs it.
            Err(_) if is_not_made_yet(&catalog) => fs::rename(&new, &catalog),
            // Another process was faster; its catalog is as good.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            named => named,
        };
        named.and_then(|()| sync_folder(root)).map_err(write_error)
    }

    fn attach_error(&self, error: duckdb::Error, version: Option<u64>) -> LakeError {
        let path = self.paths.root().to_path_buf();
        match version {
            Some(version) if error.to_string().contains("snapshot") => {
                LakeError::NoSnapshot { path, version }
            }
            _ => {
                let reason = first_line(error);
                let is_refused = WRITE_REFUSALS.iter().any(|text| reason.contains(text));
                match is_refused {
                    true => LakeError::Write {
                        path,
                        reason: with_remedy(&reason),
                    },
                    false => LakeError::NotALake { path, reason },
                }
            }
        }
    }

    /// The lake's format, which must not be newer than what is known here.
    pub(super) fn check_format(&self) -> Result<i32, LakeError> {
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
        Ok(found)
    }

    /// Fills a catalog that another program has made, and upgrades one of an older format.
    fn bring_up_to_date(&self) -> Result<(), LakeError> {
        if schema::tables(&self.connection, LAKE_NAME)?.is_empty() {
            return schema::create(&self.connection);
        }
        if self.check_format()? == FORMAT_VERSION {
            return Ok(());
        }
        let scratch = tempfile::tempdir_in(self.scratch.path()).map_err(|e| LakeError::Write {
            path: self.scratch.path().into(),
            reason: why_not_written(&e),
        })?;
        schema::upgrade(&self.connection, scratch.path())
    }
}

/// Whether there is no catalog, or nothing but the empty file that a killed process left of one.
fn is_not_made_yet(catalog: &Path) -> bool {
    match fs::metadata(catalog) {
        Ok(metadata) => metadata.is_file() && metadata.len() == 0,
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

fn format_version(connection: &Connection) -> duckdb::Result<i32> {
    connection.query_row("SELECT max(format_version) FROM lake_format", [], |row| {
        row.get(0)
    })
}

/// Commits what `work` did, or takes it back when it failed.
pub(super) fn in_transaction<R>(
    connection: &Connection,
    work: impl FnOnce() -> Result<R, LakeError>,
) -> Result<R, LakeError> {
    connection.execute_batch("BEGIN")?;
    match work() {
        Ok(value) => match connection.execute_batch("COMMIT") {
            Ok(()) => Ok(value),
            Err(error) => Err(LakeError::Commit {
                reason: with_remedy(&database_message(error)),
            }),
        },
        Err(error) => {
            // The first error is the one to tell; a failed rollback has nothing to add.
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Keeps the files of a transaction that was committed, and deletes those of one that was not.
/// Where that cannot be told they stay: what the catalog names must not be deleted, and what it
/// does not name is cleared away later.
pub(super) fn settle<R>(
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
    connection.execute(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, now()::TIMESTAMP)",
        params![
            file.path_in_data().display().to_string(),
            table,
            video_id,
            file.row_count(),
            file.byte_size(),
            file.blake3(),
        ],
    )?;
    Ok(())
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
    let picture = &video.picture;
    connection.execute(
        "INSERT INTO videos (
            video_id, sport, file_name, path, file_bytes, width_px, height_px, rotation_deg, codec,
            fps, frame_count, duration_secs, pose_frame_count, pose_model, pose_model_sha256,
            config, config_hash, posedata_version, ingested_at, main_person,
            coded_width_px, coded_height_px, mirrored, color_transfer, size_changes,
            corrupt_frame_count, slow_motion_factor, capture_fps
        ) VALUES (
            ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, now()::TIMESTAMP, ?,
            ?, ?, ?, ?, ?, ?, ?, ?
        )",
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
            main_person,
            picture.coded_width_px,
            picture.coded_height_px,
            picture.mirrored,
            picture.color_transfer,
            picture.size_changes,
            picture.corrupt_frame_count,
            video.slow_motion_factor,
            video.capture_fps,
        ],
    )?;
    insert_persons(connection, &video.video_id, &video.sport, persons)?;
    Ok(if known_hashes.is_empty() {
        CommitOutcome::Added
    } else {
        CommitOutcome::Replaced
    })
}

/// File locks keep processes apart, but not the sessions of one process.
fn catalog_in_use() -> MutexGuard<'static, ()> {
    static IN_USE: Mutex<()> = Mutex::new(());
    crate::sync::lock(&IN_USE)
}

/// A lake of an older format lacks the table.
pub(super) fn is_missing_table(error: &duckdb::Error) -> bool {
    let message = error.to_string();
    message.contains("Catalog Error") && message.contains("does not exist")
}

/// Another process holds the catalog's file.
fn is_lock_conflict(message: &str) -> bool {
    message.contains("Could not set lock")
}

/// DuckDB appends stack traces and help texts to some messages.
pub(super) fn first_line(error: duckdb::Error) -> String {
    let message = database_message(error);
    message.lines().next().unwrap_or_default().to_owned()
}

pub(super) fn quoted(path: &Path) -> String {
    quoted_text(&path.display().to_string())
}

pub(super) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
