//! Sessions: attaching the lake, waiting for it, making it, bringing it up to date.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use duckdb::{Config, Connection};
use tempfile::TempDir;

use super::catalog::{
    Access, Catalog, CatalogLock, LAKE_NAME, NEW_CATALOG_LOCK, NEW_CATALOG_PREFIX, is_lock_conflict,
};
use super::data_files::DataFiles;
use super::error::{LakeError, WRITE_REFUSALS, first_line};
use super::location::LakePaths;
use super::schema::{self, FORMAT_VERSION};
use super::sql::quoted;
use crate::files::{sync_folder, why_not_written, with_remedy};

/// How long to wait for another process to let go of the catalog, unless told otherwise. A commit
/// takes milliseconds, but a long query in another process holds it too.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// A database session that can reach one lake.
pub struct Lake {
    paths: LakePaths,
    connection: Connection,
    scratch: Arc<TempDir>,
    lock_timeout: Duration,
}

/// Lets go of the lake when it goes out of scope. What is committed is committed, whether the catalog
/// can be let go of or not; the next attachment tries again and tells.
struct Attachment<'l> {
    lake: &'l Lake,
}

impl Drop for Attachment<'_> {
    fn drop(&mut self) {
        let _ = self.lake.detach();
    }
}

/// A session that has the lake attached for reading.
pub struct LakeReader {
    // Fields are dropped in this order: what is spilled goes after who spills it.
    pub connection: Connection,
    /// The lake's format, at most [`FORMAT_VERSION`]; an older one may lack tables and columns.
    pub format_version: i32,
    _scratch: Arc<TempDir>,
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

    pub(super) fn data_files(&self) -> DataFiles<'_> {
        DataFiles::of(&self.paths)
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

    /// Gives a lake of an older format everything that the newest has. All writing commands do it
    /// by themselves.
    ///
    /// # Errors
    /// When the lake does not exist or cannot be written.
    pub fn upgrade(&self) -> Result<(), LakeError> {
        self.must_exist()?;
        self.create_or_check()
    }

    pub(super) fn must_exist(&self) -> Result<(), LakeError> {
        match self.paths().exists() {
            true => Ok(()),
            false => Err(LakeError::Missing {
                path: self.paths().root().into(),
            }),
        }
    }

    /// Attaches the lake read-only for good and hands the session over: to queries, which seal it.
    ///
    /// # Errors
    /// When the lake, or its snapshot `version`, does not exist or cannot be read.
    pub fn into_reader(self, version: Option<u64>) -> Result<LakeReader, LakeError> {
        let _lock = CatalogLock::acquire()?;
        let attachment = self.attach(Access::ReadOnly, version)?;
        let format_version = self.check_format()?;
        std::mem::forget(attachment);
        Ok(LakeReader {
            connection: self.connection,
            format_version,
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
        let _lock = CatalogLock::acquire()?;
        let _attachment = self.attach(access, version)?;
        match access {
            Access::ReadWrite => self.bring_up_to_date()?,
            Access::ReadOnly => drop(self.check_format()?),
        }
        work(&self.connection)
    }

    /// Runs `work` with the catalog attached as the plain database that it is, for writing; `work`
    /// is told its name.
    pub(super) fn with_catalog_database<R>(
        &self,
        work: impl FnOnce(&Connection, &str) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        let _lock = CatalogLock::acquire()?;
        self.detach()?;
        let attach = Catalog::of(&self.paths).attach_database(LAKE_NAME);
        self.attach_waiting(&attach, None)?;
        let _attachment = Attachment { lake: self };
        work(&self.connection, LAKE_NAME)
    }

    fn detach(&self) -> duckdb::Result<()> {
        self.connection.execute_batch(&Catalog::detach(LAKE_NAME))
    }

    /// Attaches, waiting while another process holds the catalog.
    fn attach(&self, access: Access, version: Option<u64>) -> Result<Attachment<'_>, LakeError> {
        let catalog = Catalog::of(&self.paths);
        if access == Access::ReadOnly {
            self.must_exist()?;
        }
        self.detach()?;
        if access == Access::ReadWrite && catalog.is_not_made_yet() {
            self.make_catalog()?;
        }
        self.attach_waiting(&catalog.attach(LAKE_NAME, access, version), version)?;
        Ok(Attachment { lake: self })
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

    /// Makes the catalog under another name and then gives it its own, so that a catalog is whole
    /// from its first moment, whenever its maker is killed.
    fn make_catalog(&self) -> Result<(), LakeError> {
        let root = self.paths.root();
        let catalog = Catalog::of(&self.paths);
        let write_error = |e: std::io::Error| LakeError::Write {
            path: catalog.path().into(),
            reason: why_not_written(&e),
        };
        let folder = tempfile::Builder::new()
            .prefix(NEW_CATALOG_PREFIX)
            .tempdir_in(root)
            .map_err(write_error)?;
        // Tells whoever cleans up that the folder's maker lives.
        let lock = fs::File::create(folder.path().join(NEW_CATALOG_LOCK)).map_err(write_error)?;
        lock.lock().map_err(write_error)?;
        let new = Catalog::at(&folder.path().join("catalog"), &self.paths.data());
        self.connection
            .execute_batch(&new.create(LAKE_NAME))
            .map_err(|e| self.attach_error(e, None))?;
        let filled = schema::create(&self.connection);
        let detached = self.detach();
        filled?;
        detached?;
        fs::File::open(new.path())
            .and_then(|file| file.sync_all())
            .map_err(write_error)?;
        let named = match fs::hard_link(new.path(), catalog.path()) {
            // An empty file is what a killed process left of a catalog; nobody needs it.
            Err(_) if catalog.is_not_made_yet() => fs::rename(new.path(), catalog.path()),
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

/// The format of the attached lake.
pub(super) fn format_version(connection: &Connection) -> duckdb::Result<i32> {
    connection.query_row("SELECT max(format_version) FROM lake_format", [], |row| {
        row.get(0)
    })
}
