//! DuckDB's databases of a session: with the extensions that a lake needs, and in place of one that
//! DuckDB has given up.
//!
//! DuckDB refuses all further work in a database where a transaction could be neither committed nor
//! taken back. That happens where the server of a lake's catalog ends a connection at the wrong
//! moment, and says nothing of the lake.

use std::cell::OnceCell;
use std::sync::Arc;

use duckdb::{Config, Connection};

use super::address::{LakeAddress, PostgresAddress};
use super::connection::SessionConnection;
use super::error::LakeError;
use super::extension::{ExtensionLoader, Extensions};
use super::location::{DataPlace, LakePaths};
use super::remote::{RemoteCatalog, is_given_up, reach_bucket};
use super::sql::quoted;
use crate::files::why_not_written;
use crate::scratch::Scratch;
use crate::store::S3Settings;

/// Enough for a session that only asks where a lake's files lie.
const SMALL_MEMORY_BYTES: u64 = 64 << 20;

/// How a session's database is opened.
#[derive(Clone)]
pub(super) struct DatabaseSettings {
    pub extensions: Extensions,
    pub memory_limit_bytes: u64,
    pub threads: usize,
}

/// An open database that can reach one lake.
pub(super) struct Database {
    pub connection: SessionConnection,
    /// `None` where the lake's catalog is a file.
    pub remote: Option<RemoteCatalog>,
    // Goes after who spills into it.
    pub scratch: Arc<Scratch>,
}

impl Database {
    /// # Errors
    /// When an extension cannot be loaded, or the lake's database cannot be reached.
    pub fn open(paths: &LakePaths, settings: &DatabaseSettings) -> Result<Self, LakeError> {
        let config = config(settings.memory_limit_bytes, settings.threads)?;
        let connection = SessionConnection::from(Connection::open_in_memory_with_flags(config)?);
        let loader = ExtensionLoader::new(&connection, &settings.extensions);
        let scratch = Scratch::make().map_err(|e| LakeError::Write {
            path: Scratch::place(),
            reason: why_not_written(&e),
        })?;
        let temp_directory = format!("SET temp_directory = {}", quoted(scratch.path()));
        connection.execute_batch(&temp_directory)?;
        loader.load_ducklake()?;
        let remote = match paths.address() {
            LakeAddress::Folder(_) => None,
            LakeAddress::Postgres(address) => {
                loader.load_remote("postgres_scanner")?;
                if let DataPlace::Bucket(bucket) = paths.data_place() {
                    let settings = S3Settings::detect()?;
                    loader.load_remote("httpfs")?;
                    if settings.keys.is_none() && !settings.is_anonymous {
                        loader.load_remote("aws")?;
                    }
                    reach_bucket(&connection, &bucket.address.bucket, &settings)?;
                }
                // Whoever was overtaken looks again instead of committing on top.
                connection.execute_batch("SET ducklake_max_retry_count = 0")?;
                Some(RemoteCatalog::connect(&connection, address)?)
            }
        };
        loader.close()?;
        Ok(Self {
            connection,
            remote,
            scratch: Arc::new(scratch),
        })
    }

    /// Another connection to the same database.
    ///
    /// # Errors
    /// When the database gives none.
    pub fn try_clone(&self) -> Result<Self, LakeError> {
        Ok(Self {
            connection: self.connection.try_clone()?.into(),
            remote: self.remote.clone(),
            scratch: Arc::clone(&self.scratch),
        })
    }

    /// Whether DuckDB refuses all further work in it.
    pub fn is_given_up(&self) -> bool {
        let answer = self.connection.execute_batch("SELECT 1");
        answer.is_err_and(|error| is_given_up(&error.to_string()))
    }
}

/// A session's database, and those that took its place. Earlier ones stay as they are, for whoever
/// may still refer to them, and until the process ends.
pub(super) struct Databases {
    /// `None` once it was taken out.
    first: Option<Database>,
    later: OnceCell<Box<Databases>>,
}

impl Databases {
    pub fn of(first: Database) -> Self {
        Self {
            first: Some(first),
            later: OnceCell::new(),
        }
    }

    /// The one that is to be used.
    pub fn newest(&self) -> &Database {
        (self.last().first.as_ref()).expect("whoever takes it out has no Databases any more")
    }

    /// Puts another one in the place of the newest.
    pub fn add(&self, database: Database) {
        // The last one has none after it.
        let _ = self.last().later.set(Box::new(Self::of(database)));
    }

    fn last(&self) -> &Self {
        let mut last = self;
        while let Some(later) = last.later.get() {
            last = later;
        }
        last
    }

    /// Takes the newest out.
    pub fn into_newest(mut self) -> Database {
        if let Some(later) = self.later.take() {
            std::mem::forget(self.first.take());
            return later.into_newest();
        }
        (self.first.take()).expect("whoever takes it out has no Databases any more")
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        if self.later.get().is_some() {
            std::mem::forget(self.first.take());
        }
    }
}

/// Where the files of the lake at an address lie; `None` where its database has no lake.
///
/// # Errors
/// When the database cannot be reached.
pub(super) fn data_path_of(
    address: &PostgresAddress,
    extensions: &Extensions,
) -> Result<Option<String>, LakeError> {
    let connection = Connection::open_in_memory_with_flags(config(SMALL_MEMORY_BYTES, 1)?)?;
    let connection = SessionConnection::from(connection);
    let loader = ExtensionLoader::new(&connection, extensions);
    loader.load_remote("postgres_scanner")?;
    loader.close()?;
    RemoteCatalog::data_path_at(&connection, address)
}

/// The settings of a database that an [`ExtensionLoader`] is for.
fn config(memory_limit_bytes: u64, threads: usize) -> duckdb::Result<Config> {
    let config = Config::default()
        .threads(threads as i64)?
        .max_memory(&format!("{}MiB", (memory_limit_bytes >> 20).max(64)))?;
    ExtensionLoader::prepare(config)
}
