//! The catalog: where it lies, the SQL that attaches it, and who may do so.
//!
//! Two locks keep the users of a catalog in a file apart: DuckDB's own on the file, between processes,
//! for which a session waits, and [`CatalogLock`], between the sessions of one process, which the
//! first does not keep apart. A catalog in a database has a lock of its own, see `remote`.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use duckdb::Connection;

use super::address::LakeAddress;
use super::error::LakeError;
use super::location::LakePaths;
use super::sql::{quoted, quoted_name, quoted_text};

/// Name under which the lake is attached.
pub const LAKE_NAME: &str = "lake";

/// The database with the catalog's own tables, while the lake is attached.
const METADATA: &str = "__ducklake_metadata_lake";

/// The session's secret that leads to the database of a lake's catalog.
pub(super) const CATALOG_SECRET: &str = "posedata_catalog";

/// Beginning of the name of the folder in which a new catalog is made; it is inside the lake, so
/// that the catalog can be given its name in one step.
pub(super) const NEW_CATALOG_PREFIX: &str = "catalog.ducklake.new-";
/// The file in that folder that its maker holds a lock on.
pub(super) const NEW_CATALOG_LOCK: &str = "lock";

/// Block size of the catalog in bytes. DuckDB's own 256 KiB would make an empty lake take 5 MB.
const BLOCK_BYTES: u32 = 16_384;

/// What a session may do with the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadOnly,
    /// Reading while nobody can commit.
    Exclusive,
    ReadWrite,
}

/// A catalog, or the place for one.
#[derive(Clone, Debug)]
pub(super) struct Catalog {
    place: Place,
    /// Where the files lie, as SQL names it.
    data: String,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    /// A schema of the database that the secret [`CATALOG_SECRET`] leads to.
    Database {
        schema: String,
        /// Of the connections to it, as libpq has them.
        settings: String,
    },
}

impl Catalog {
    pub fn of(paths: &LakePaths) -> Self {
        let place = match paths.address() {
            LakeAddress::Folder(_) => Place::File(paths.catalog()),
            LakeAddress::Postgres(address) => Place::Database {
                schema: address.schema.clone(),
                settings: String::new(),
            },
        };
        let data = paths.data_location();
        Self { place, data }
    }

    /// The same, reached by connections with settings of libpq's; nothing else for a file.
    pub fn reached_with(mut self, connection_settings: &str) -> Self {
        if let Place::Database { settings, .. } = &mut self.place {
            *settings = connection_settings.into();
        }
        self
    }

    /// A catalog file elsewhere over the files at `data`.
    pub fn at(path: &Path, data: &str) -> Self {
        Self {
            place: Place::File(path.into()),
            data: data.into(),
        }
    }

    /// Whether there is no catalog, or nothing but the empty file that a killed process left of one.
    pub fn is_not_made_yet(&self) -> bool {
        let Place::File(path) = &self.place else {
            return false;
        };
        match fs::metadata(path) {
            Ok(metadata) => metadata.is_file() && metadata.len() == 0,
            Err(e) => e.kind() == ErrorKind::NotFound,
        }
    }

    /// The schema that has the catalog's own tables while the lake is attached, as SQL names it.
    pub fn metadata(&self) -> String {
        match &self.place {
            Place::File(_) => METADATA.into(),
            Place::Database { schema, .. } => format!("{METADATA}.{schema}"),
        }
    }

    /// Attaches the lake as it is, or as it was at snapshot `version`.
    pub fn attach(&self, name: &str, access: Access, version: Option<u64>) -> String {
        let mode = match access {
            Access::ReadOnly | Access::Exclusive => ", READ_ONLY",
            Access::ReadWrite => "",
        };
        let at = version.map_or(String::new(), |v| format!(", SNAPSHOT_VERSION {v}"));
        self.attach_with(name, &format!("{mode}{at}"))
    }

    /// Makes the catalog, without a table yet, and attaches it.
    pub fn create(&self, name: &str) -> String {
        match &self.place {
            Place::File(_) => self.attach_with(name, &format!(", META_BLOCK_SIZE {BLOCK_BYTES}")),
            Place::Database { .. } => self.attach_with(name, ""),
        }
    }

    fn attach_with(&self, name: &str, options: &str) -> String {
        let data = quoted_text(&self.data);
        let (source, place) = match &self.place {
            Place::File(path) => (format!("ducklake:{}", path.display()), String::new()),
            Place::Database { schema, settings } => (
                format!("ducklake:postgres:{settings}"),
                format!(
                    "META_SECRET {}, METADATA_SCHEMA {}, ",
                    quoted_text(CATALOG_SECRET),
                    quoted_text(schema)
                ),
            ),
        };
        let source = quoted_text(&source);
        // The data path in the catalog is the one of the lake's first day; lakes may be moved.
        format!(
            "ATTACH {source} AS {name} ({place}DATA_PATH {data}, OVERRIDE_DATA_PATH true{options}); USE {name}"
        )
    }

    /// Attaches the catalog as the plain database that it is.
    pub fn attach_database(&self, name: &str) -> String {
        match &self.place {
            Place::File(path) => format!("ATTACH {} AS {name}", quoted(path)),
            Place::Database { settings, .. } => format!(
                "ATTACH {} AS {name} (TYPE postgres, SECRET {CATALOG_SECRET})",
                quoted_text(settings)
            ),
        }
    }

    /// How the plain database's schema with the catalog's own tables is called, where it is attached
    /// as `name`.
    pub fn schema_in(&self, name: &str) -> String {
        match &self.place {
            Place::File(_) => name.into(),
            Place::Database { schema, .. } => format!("{name}.{schema}"),
        }
    }

    /// Lets go of a catalog, if one is attached by that name.
    pub fn detach(name: &str) -> String {
        format!("USE memory; DETACH DATABASE IF EXISTS {name}")
    }

    /// Makes this catalog's file, attached as `name`, a copy of the attached catalog `source`, whose
    /// tables are needed where it is in a database.
    ///
    /// # Errors
    /// When the disk takes no more, or the source cannot be read.
    pub fn copy_from(
        &self,
        source: &Self,
        tables: &[String],
        connection: &Connection,
        name: &str,
    ) -> duckdb::Result<()> {
        let Place::File(path) = &self.place else {
            return Err(duckdb::Error::InvalidQuery);
        };
        connection.execute_batch(&format!(
            "ATTACH {} AS {name} (BLOCK_SIZE {BLOCK_BYTES})",
            quoted(path)
        ))?;
        let Place::Database { schema, .. } = &source.place else {
            return connection.execute_batch(&format!("COPY FROM DATABASE {METADATA} TO {name}"));
        };
        // A database's indexes cannot be copied, and other tables may lie beside the catalog's.
        for table in tables {
            let table = quoted_name(table);
            connection.execute_batch(&format!(
                "CREATE TABLE {name}.main.{table} AS FROM {METADATA}.{schema}.{table}"
            ))?;
        }
        Ok(())
    }
}

/// Whether another process holds the catalog's file.
pub(super) fn is_lock_conflict(message: &str) -> bool {
    message.contains("Could not set lock")
}

/// Held by the one session of this process that has a catalog attached.
pub(super) struct CatalogLock {
    _in_use: MutexGuard<'static, ()>,
}

thread_local! {
    static IS_HELD: Cell<bool> = const { Cell::new(false) };
}

impl CatalogLock {
    /// Waits until no other thread holds the lock.
    ///
    /// # Errors
    /// When this thread itself holds it, for it would wait for ever.
    pub fn acquire() -> Result<Self, LakeError> {
        static IN_USE: Mutex<()> = Mutex::new(());
        if IS_HELD.get() {
            return Err(LakeError::Nested);
        }
        let in_use = crate::sync::lock(&IN_USE);
        IS_HELD.set(true);
        Ok(Self { _in_use: in_use })
    }
}

impl Drop for CatalogLock {
    fn drop(&mut self) {
        IS_HELD.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_asks_for_the_catalog_while_it_has_it_is_told_so() {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _lock = CatalogLock::acquire().expect("nobody holds it in this thread");
            tell.send(matches!(CatalogLock::acquire(), Err(LakeError::Nested)))
        });
        // Else it waits for itself.
        let is_told = told.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(is_told, Ok(true));
        assert!(CatalogLock::acquire().is_ok());
        let panicked = std::thread::spawn(|| {
            let _lock = CatalogLock::acquire();
            panic!("with the catalog");
        });
        assert!(panicked.join().is_err());
        assert!(CatalogLock::acquire().is_ok(), "it outlives a panic");
    }
}
