//! Sessions: attaching the lake, waiting for it, making it, bringing it up to date.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use duckdb::Connection;

use super::address::LakeAddress;
use super::catalog::{
    Access, Catalog, CatalogLock, LAKE_NAME, NEW_CATALOG_LOCK, NEW_CATALOG_PREFIX, is_lock_conflict,
};
use super::connection::SessionConnection;
use super::data_files::DataFiles;
use super::database::{Database, DatabaseSettings, Databases, data_path_of};
use super::error::{LakeError, WRITE_REFUSALS, database_message, first_line};
use super::extension::Extensions;
use super::location::{DataPlace, LakePaths};
use super::remote::{LakeLock, RemoteCatalog};
use super::schema::{self, FORMAT_VERSION};
use super::sql::{OpenTransaction, is_missing_table};
use crate::files::{sync_folder, why_not_written, with_remedy};
use crate::scratch::Scratch;
use crate::sync::Cancellation;

/// How long to wait for another process to let go of the catalog, unless told otherwise. A commit
/// takes milliseconds, but a long query in another process holds it too.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// A database session that can reach one lake.
pub struct Lake {
    paths: LakePaths,
    settings: DatabaseSettings,
    databases: Databases,
    lock_timeout: Duration,
    cancellation: Cancellation,
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
    /// Has the lake attached as [`LAKE_NAME`], and may still do anything.
    pub connection: SessionConnection,
    /// The lake's format, at most [`FORMAT_VERSION`]; an older one may lack tables and columns.
    pub format_version: i32,
    _scratch: Arc<Scratch>,
}

impl LakeReader {
    /// Has all statements that are run until it goes out of scope read one snapshot, and what the
    /// catalog has of a table read once: else DuckDB looks when a statement is prepared, and again
    /// when it is run. It must not be called while there is one.
    ///
    /// # Errors
    /// When the database gives no transaction.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, LakeError> {
        let begun = OpenTransaction::begin(&self.connection).or_else(|_| {
            // An interrupt may have hit the end of the one before.
            let _ = self.connection.execute_batch("ROLLBACK");
            OpenTransaction::begin(&self.connection)
        });
        Ok(Snapshot(begun?))
    }

    /// Another connection to the same database, which has the lake attached too.
    ///
    /// # Errors
    /// When the database gives no further connection.
    pub fn try_clone(&self) -> Result<Self, LakeError> {
        let connection = SessionConnection::from(self.connection.try_clone()?);
        connection.execute_batch(&format!("USE {LAKE_NAME}"))?;
        Ok(Self {
            connection,
            format_version: self.format_version,
            _scratch: Arc::clone(&self._scratch),
        })
    }
}

/// A state of the lake that a session reads, until it goes out of scope.
#[expect(dead_code, reason = "it only has to end")]
pub struct Snapshot<'r>(OpenTransaction<'r>);

impl LakePaths {
    /// The parts of the lake at an address; a database is asked where the files lie. `extensions`
    /// as for [`Lake::new`].
    ///
    /// # Errors
    /// When the database cannot be reached or has no lake.
    pub fn find(
        address: &LakeAddress,
        extensions: impl Into<Extensions>,
    ) -> Result<Self, LakeError> {
        let address = match address {
            LakeAddress::Folder(root) => return Ok(Self::new(root)),
            LakeAddress::Postgres(address) => address,
        };
        match data_path_of(address, &extensions.into())? {
            Some(data_path) => {
                let paths = Self::of_database(address.clone(), &data_path)?;
                // In a bucket, whoever writes looks.
                if let DataPlace::Folder(_) = paths.data_place() {
                    DataFiles::of(&paths).must_be_there()?;
                }
                Ok(paths)
            }
            None => Err(LakeError::MissingInDatabase {
                address: address.to_string(),
            }),
        }
    }
}

impl Lake {
    /// Starts a session with DuckDB's extensions: their files, or the path of DuckLake's, which has
    /// to be signed. A lake in a folder is not touched yet; a lake's database is reached.
    ///
    /// # Errors
    /// When an extension cannot be loaded, the database cannot be reached, or the lake's place is one
    /// whose rows would be misread.
    pub fn new(
        paths: LakePaths,
        extensions: impl Into<Extensions>,
        memory_limit_bytes: u64,
        threads: usize,
    ) -> Result<Self, LakeError> {
        paths.must_be_unmistakable()?;
        let settings = DatabaseSettings {
            extensions: extensions.into(),
            memory_limit_bytes,
            threads,
        };
        Ok(Self {
            databases: Databases::of(Database::open(&paths, &settings)?),
            settings,
            paths,
            lock_timeout: LOCK_TIMEOUT,
            cancellation: Cancellation::new(),
        })
    }

    /// The same session, which waits for others only until `cancellation` says so.
    #[must_use]
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.cancellation = cancellation.clone();
        self
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
            settings: self.settings.clone(),
            databases: Databases::of(self.database().try_clone()?),
            lock_timeout: self.lock_timeout,
            cancellation: self.cancellation.clone(),
        })
    }

    /// Where the lake of this session lies.
    pub fn paths(&self) -> &LakePaths {
        &self.paths
    }

    pub(super) fn data_files(&self) -> DataFiles<'_> {
        DataFiles::of(&self.paths)
    }

    pub(super) fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    pub(super) fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// The schema with the catalog's own tables while the lake is attached, as SQL names it.
    pub(super) fn metadata(&self) -> String {
        Catalog::of(&self.paths).metadata()
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.database().connection
    }

    /// The catalog as this session reaches it.
    fn catalog(&self) -> Catalog {
        let catalog = Catalog::of(&self.paths);
        match self.remote() {
            Some(remote) => catalog.reached_with(&remote.connection_settings()),
            None => catalog,
        }
    }

    fn database(&self) -> &Database {
        self.databases.newest()
    }

    fn remote(&self) -> Option<&RemoteCatalog> {
        self.database().remote.as_ref()
    }

    /// Begins with another database where DuckDB has given this one up: every work on the lake does
    /// that first, so that it may be tried again after such an end.
    fn revive(&self) -> Result<(), LakeError> {
        if self.is_remote() && self.database().is_given_up() {
            tracing::info!(target: "posedata::lake", "DuckDB gave its database up; another one is opened");
            let given_up = self.remote().cloned();
            (self.databases).add(Database::open(&self.paths, &self.settings)?);
            if let (Some(remote), Some(given_up)) = (self.remote(), given_up) {
                remote.end_connections_of(&given_up);
            }
        }
        Ok(())
    }

    /// A folder that goes with the session.
    pub(super) fn scratch(&self) -> &Path {
        self.database().scratch.path()
    }

    /// Fills the catalog where that has not happened yet, and checks the one that is there.
    ///
    /// # Errors
    /// When the catalog is no lake's, or that of a newer version.
    pub fn create_or_check(&self) -> Result<(), LakeError> {
        // For writing in any case, because whoever began to fill it may have been killed.
        self.again_while_passing(|| self.with_catalog(Access::ReadWrite, |_| Ok(())))
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
                path: self.paths().root(),
            }),
        }
    }

    /// Attaches the lake read-only for good and hands the session over: to queries, which seal it.
    ///
    /// # Errors
    /// When the lake, or its snapshot `version`, does not exist or cannot be read.
    pub fn into_reader(self, version: Option<u64>) -> Result<LakeReader, LakeError> {
        let _lock = CatalogLock::acquire()?;
        let format_version = match self.remote() {
            None => {
                let attachment = self.attach(Access::ReadOnly, version)?;
                let format_version = self.check_format_at(version)?;
                std::mem::forget(attachment);
                format_version
            }
            Some(remote) => {
                // Whoever only reads is not to reach the database by another way than the lake.
                remote.detach(self.connection());
                self.attach_remote(remote, Access::ReadOnly, version)?;
                self.check_format_at(version)?
            }
        };
        let database = self.databases.into_newest();
        if let Some(remote) = database.remote {
            remote.leave(&database.connection)?;
        }
        Ok(LakeReader {
            connection: database.connection,
            format_version,
            _scratch: database.scratch,
        })
    }

    /// Runs `work` with the lake's catalog attached and in use, and detaches it whatever happens.
    pub(super) fn with_catalog<R>(
        &self,
        access: Access,
        work: impl FnOnce(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        self.with_catalog_at(access, None, work)
    }

    /// The same for the lake as it was at snapshot `version`, which can only be read.
    ///
    /// With [`Access::ReadOnly`] all that `work` reads is of one snapshot; only with the other kinds
    /// of access nobody else commits meanwhile.
    pub(super) fn with_catalog_at<R>(
        &self,
        access: Access,
        version: Option<u64>,
        work: impl FnOnce(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        let _lock = CatalogLock::acquire()?;
        self.revive()?;
        let Some(remote) = self.remote() else {
            let _attachment = self.attach(access, version)?;
            let _snapshot = match access {
                Access::ReadOnly => Some(OpenTransaction::begin(self.connection())?),
                Access::ReadWrite | Access::Exclusive => None,
            };
            match access {
                Access::ReadWrite => self.bring_up_to_date()?,
                Access::ReadOnly | Access::Exclusive => drop(self.check_format_at(version)?),
            }
            return work(self.connection());
        };
        let done = self.with_remote(remote, access, version, work);
        // Nobody is to wait for a lock that was left; who comes next tries again, and tells.
        let _ = self.revive();
        done
    }

    /// Does the work on a lake in a database, alone where it is to be written.
    fn with_remote<R>(
        &self,
        remote: &RemoteCatalog,
        access: Access,
        version: Option<u64>,
        work: impl FnOnce(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        let _held = match access {
            Access::ReadOnly => None,
            Access::Exclusive | Access::ReadWrite => Some(self.lock_remote(remote)?),
        };
        let is_new = self.attach_remote(remote, access, version)?;
        let done = self.work_on_remote(remote, access, version, is_new, work);
        // A connection that failed is not used again; an old snapshot is in nobody's way.
        if done.is_err() || version.is_some() {
            remote.detach(self.connection());
        } else {
            remote.rest(self.connection());
        }
        done
    }

    /// Does the work where the catalog is attached; what is seen to first when `is_new` is seen to once.
    fn work_on_remote<R>(
        &self,
        remote: &RemoteCatalog,
        access: Access,
        version: Option<u64>,
        is_new: bool,
        work: impl FnOnce(&Connection) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        if is_new && access != Access::ReadOnly {
            self.data_files().must_be_there()?;
        }
        match access {
            Access::ReadWrite => {
                if is_new {
                    self.bring_up_to_date()?;
                    remote.add_index(self.connection())?;
                }
                work(self.connection())
            }
            Access::Exclusive => {
                self.check_format()?;
                work(self.connection())
            }
            Access::ReadOnly => {
                let _snapshot = OpenTransaction::begin(self.connection())?;
                self.check_format_at(version)?;
                work(self.connection())
            }
        }
    }

    fn lock_remote(&self, remote: &RemoteCatalog) -> Result<LakeLock, LakeError> {
        let locked = remote.lock(self.lock_timeout, &self.cancellation);
        if let Err(LakeError::Database(_)) = &locked {
            remote.reconnect(self.connection());
        }
        locked
    }

    fn attach_remote(
        &self,
        remote: &RemoteCatalog,
        access: Access,
        version: Option<u64>,
    ) -> Result<bool, LakeError> {
        let catalog = self.catalog();
        let attached = remote.attach(self.connection(), &catalog, access, version);
        attached.map_err(|e| self.attach_error(e, version))
    }

    /// Runs `work` with the catalog attached as the plain database that it is, for writing; `work`
    /// is told how its schema is called.
    pub(super) fn with_catalog_database<R>(
        &self,
        work: impl FnOnce(&Connection, &str) -> Result<R, LakeError>,
    ) -> Result<R, LakeError> {
        let _lock = CatalogLock::acquire()?;
        self.revive()?;
        let catalog = self.catalog();
        let _held = match self.remote() {
            Some(remote) => {
                self.data_files().must_be_there()?;
                let held = self.lock_remote(remote)?;
                remote.detach(self.connection());
                Some(held)
            }
            None => None,
        };
        self.detach()?;
        self.attach_waiting(&catalog.attach_database(LAKE_NAME), None)?;
        let _attachment = Attachment { lake: self };
        work(self.connection(), &catalog.schema_in(LAKE_NAME))
    }

    /// Bytes of the catalog.
    pub(super) fn catalog_bytes(&self) -> Result<u64, LakeError> {
        match self.remote() {
            Some(remote) => remote.byte_size(),
            None => Ok(fs::metadata(self.paths.catalog()).map_or(0, |metadata| metadata.len())),
        }
    }

    /// Names of the catalog's tables where it is in a database.
    pub(super) fn catalog_tables(&self) -> Result<Vec<String>, LakeError> {
        self.remote().map_or(Ok(Vec::new()), RemoteCatalog::tables)
    }

    /// Whether others can use the catalog while this session does.
    pub(super) fn is_remote(&self) -> bool {
        self.remote().is_some()
    }

    /// Makes an empty lake. One that is there already, with its files at the same place, is left as it
    /// is; gives whether it was made.
    ///
    /// # Errors
    /// When other files lie at its place, or the lake is there with its files elsewhere.
    pub fn create(&self) -> Result<bool, LakeError> {
        if !self.is_remote() {
            self.paths.prepare()?;
            let is_new = !self.paths.exists();
            self.create_or_check()?;
            return Ok(is_new);
        }
        let is_new = self.again_while_passing(|| self.create_remote())?;
        // A maker may have been killed before the tables were there.
        self.create_or_check()?;
        Ok(is_new)
    }

    /// Makes the catalog in its database and fills it, unless it is there; gives whether it was not.
    fn create_remote(&self) -> Result<bool, LakeError> {
        let _lock = CatalogLock::acquire()?;
        self.revive()?;
        let Some(remote) = self.remote() else {
            return Ok(false);
        };
        let _held = self.lock_remote(remote)?;
        let wanted = self.paths.data_location();
        match remote.data_path()? {
            Some(found) if found.trim_end_matches('/') == wanted => return Ok(false),
            Some(found) => {
                return Err(LakeError::NotCreated {
                    place: self.paths.address().to_string(),
                    reason: format!("a lake is there already, with its files at {found}"),
                });
            }
            None => {
                self.paths.must_be_plain()?;
                self.data_files().claim(&self.paths.address().to_string())?;
            }
        }
        let create = self.catalog().create(LAKE_NAME);
        let created = self.connection().execute_batch(&create);
        let filled = created
            .map_err(|e| self.attach_error(e, None))
            .and_then(|()| schema::create(self.connection()));
        remote.detach(self.connection());
        filled.map(|()| true)
    }

    fn detach(&self) -> duckdb::Result<()> {
        self.connection().execute_batch(&Catalog::detach(LAKE_NAME))
    }

    /// Attaches, waiting while another process holds the catalog.
    fn attach(&self, access: Access, version: Option<u64>) -> Result<Attachment<'_>, LakeError> {
        let catalog = Catalog::of(&self.paths);
        if access != Access::ReadWrite {
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
            let error = match self.connection().execute_batch(sql) {
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
            if self.cancellation.is_cancelled() {
                return Err(LakeError::Cancelled);
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
        let path = self.paths.catalog();
        let write_error = |e: std::io::Error| LakeError::Write {
            path: path.clone(),
            reason: why_not_written(&e),
        };
        let folder = tempfile::Builder::new()
            .prefix(NEW_CATALOG_PREFIX)
            .tempdir_in(&root)
            .map_err(write_error)?;
        // Tells whoever cleans up that the folder's maker lives.
        let lock = fs::File::create(folder.path().join(NEW_CATALOG_LOCK)).map_err(write_error)?;
        lock.lock().map_err(write_error)?;
        let new_path = folder.path().join("catalog");
        let new = Catalog::at(&new_path, &self.paths.data_location());
        self.connection()
            .execute_batch(&new.create(LAKE_NAME))
            .map_err(|e| self.attach_error(e, None))?;
        let filled = schema::create(self.connection());
        let detached = self.detach();
        filled?;
        detached?;
        fs::File::open(&new_path)
            .and_then(|file| file.sync_all())
            .map_err(write_error)?;
        let named = match fs::hard_link(&new_path, &path) {
            // An empty file is what a killed process left of a catalog; nobody needs it.
            Err(_) if catalog.is_not_made_yet() => fs::rename(&new_path, &path),
            // Another process was faster; its catalog is as good.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            named => named,
        };
        named.and_then(|()| sync_folder(&root)).map_err(write_error)
    }

    fn attach_error(&self, error: duckdb::Error, version: Option<u64>) -> LakeError {
        let path = self.paths.root();
        match version {
            // The catalog counts snapshots with a sign.
            Some(version)
                if error.to_string().contains("snapshot") || i64::try_from(version).is_err() =>
            {
                LakeError::NoSnapshot { path, version }
            }
            _ => {
                let reason = match self.is_remote() {
                    true => database_message(error),
                    false => first_line(error),
                };
                // That there is a lake was seen when the session began.
                if self.is_remote() {
                    return LakeError::Database(reason);
                }
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
        self.check_format_at(None)
    }

    /// The same where the lake is attached as it was at snapshot `version`.
    fn check_format_at(&self, version: Option<u64>) -> Result<i32, LakeError> {
        self.judge_format(format_version(self.connection()), version)
    }

    fn judge_format(
        &self,
        found: duckdb::Result<i32>,
        version: Option<u64>,
    ) -> Result<i32, LakeError> {
        let path = self.paths.root();
        let found = found.map_err(|e| match version {
            Some(version) if is_missing_table(&e) => LakeError::EmptySnapshot {
                path: path.clone(),
                version,
            },
            _ if self.is_remote() => LakeError::Database(first_line(e)),
            _ => LakeError::NotALake {
                path: path.clone(),
                reason: first_line(e),
            },
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
        let found = format_version(self.connection());
        // Listing the tables takes longer than what is asked nearly always.
        if found.as_ref().is_err_and(is_missing_table)
            && schema::tables(self.connection(), LAKE_NAME)?.is_empty()
        {
            return schema::create(self.connection());
        }
        if self.judge_format(found, None)? == FORMAT_VERSION {
            return Ok(());
        }
        let scratch = tempfile::tempdir_in(self.scratch()).map_err(|e| LakeError::Write {
            path: self.scratch().into(),
            reason: why_not_written(&e),
        })?;
        schema::upgrade(self.connection(), scratch.path())
    }
}

/// The format of the attached lake.
pub(super) fn format_version(connection: &Connection) -> duckdb::Result<i32> {
    connection.query_row("SELECT max(format_version) FROM lake_format", [], |row| {
        row.get(0)
    })
}
