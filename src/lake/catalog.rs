//! The catalog: where it lies, the SQL that attaches it, and who may do so.
//!
//! Two locks keep its users apart: DuckDB's own on the file, between processes, for which a session
//! waits, and [`CatalogLock`], between the sessions of one process, which the first does not keep
//! apart.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::error::LakeError;
use super::location::LakePaths;
use super::sql::{quoted, quoted_text};

/// Name under which the lake is attached.
pub const LAKE_NAME: &str = "lake";

/// The catalog's own tables, while the lake is attached.
pub(super) const METADATA: &str = "__ducklake_metadata_lake";

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
    ReadWrite,
}

/// A catalog, or the place for one.
#[derive(Clone, Debug)]
pub(super) struct Catalog {
    path: PathBuf,
    data: PathBuf,
}

impl Catalog {
    pub fn of(paths: &LakePaths) -> Self {
        Self::at(&paths.catalog(), &paths.data())
    }

    /// A catalog elsewhere over the files in the folder `data`.
    pub fn at(path: &Path, data: &Path) -> Self {
        Self {
            path: path.into(),
            data: data.into(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no catalog, or nothing but the empty file that a killed process left of one.
    pub fn is_not_made_yet(&self) -> bool {
        match fs::metadata(&self.path) {
            Ok(metadata) => metadata.is_file() && metadata.len() == 0,
            Err(e) => e.kind() == ErrorKind::NotFound,
        }
    }

    pub fn byte_size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Attaches the lake as it is, or as it was at snapshot `version`.
    pub fn attach(&self, name: &str, access: Access, version: Option<u64>) -> String {
        let mode = match access {
            Access::ReadOnly => ", READ_ONLY",
            Access::ReadWrite => "",
        };
        let at = version.map_or(String::new(), |v| format!(", SNAPSHOT_VERSION {v}"));
        self.attach_with(name, &format!("{mode}{at}"))
    }

    /// Makes the catalog, without a table yet, and attaches it.
    pub fn create(&self, name: &str) -> String {
        self.attach_with(name, &format!(", META_BLOCK_SIZE {BLOCK_BYTES}"))
    }

    fn attach_with(&self, name: &str, options: &str) -> String {
        let source = quoted_text(&format!("ducklake:{}", self.path.display()));
        let data = quoted(&self.data);
        // The data path in the catalog is the one of the lake's first day; lakes may be moved.
        format!(
            "ATTACH {source} AS {name} (DATA_PATH {data}, OVERRIDE_DATA_PATH true{options}); USE {name}"
        )
    }

    /// Attaches the catalog as the plain database that it is.
    pub fn attach_database(&self, name: &str) -> String {
        format!("ATTACH {} AS {name}", quoted(&self.path))
    }

    /// Copies the plain database `source` to this catalog's place.
    pub fn copy_from(&self, source: &str, name: &str) -> String {
        format!(
            "ATTACH {} AS {name} (BLOCK_SIZE {BLOCK_BYTES});
             COPY FROM DATABASE {source} TO {name}",
            quoted(&self.path)
        )
    }

    /// Lets go of a catalog, if one is attached by that name.
    pub fn detach(name: &str) -> String {
        format!("USE memory; DETACH DATABASE IF EXISTS {name}")
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
        let lock = CatalogLock::acquire().expect("nobody holds it in this thread");
        assert!(matches!(CatalogLock::acquire(), Err(LakeError::Nested)));
        drop(lock);
        assert!(CatalogLock::acquire().is_ok());
        let panicked = std::thread::spawn(|| {
            let _lock = CatalogLock::acquire();
            panic!("with the catalog");
        });
        assert!(panicked.join().is_err());
        assert!(CatalogLock::acquire().is_ok(), "it outlives a panic");
    }
}
