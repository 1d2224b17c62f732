//! The extensions of DuckDB that lakes need, and how they are loaded.
//!
//! DuckDB loads only what its makers have signed, and reads a whole file to know: over a tenth of a
//! second for DuckLake, in a portable SHA-256. A file that has the BLAKE3 that somebody vouches for
//! needs no signature, and its hash is had in a tenth of that. So a database is opened such that it
//! takes unsigned files, is given the files that are known, and is closed to unsigned ones for good
//! before anybody else gets to it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use duckdb::{Config, Connection};

use super::error::{LakeError, first_line};
use super::sql::quoted;
use crate::hashing::hash_file;

const DUCKLAKE: &str = "ducklake";

/// What one of DuckDB's extensions is called in the file system.
const ENDING: &str = "duckdb_extension";

/// Where DuckDB's extensions lie, and which bytes of them need no signature.
#[derive(Clone, Debug)]
pub struct Extensions {
    /// DuckLake's file; the others lie beside it. Where a file is not there, the extension is taken
    /// that DuckDB has installed for itself.
    ducklake: PathBuf,
    /// BLAKE3 in hex, by the extension's name.
    known: BTreeMap<String, String>,
}

impl Extensions {
    /// DuckLake's file and those beside it; all have to be signed.
    pub fn at(ducklake: impl Into<PathBuf>) -> Self {
        Self {
            ducklake: ducklake.into(),
            known: BTreeMap::new(),
        }
    }

    /// Vouches for a file of an extension by its BLAKE3 in hex.
    #[must_use]
    pub fn with_known(mut self, name: &str, blake3: &str) -> Self {
        self.known.insert(name.into(), blake3.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        match name {
            DUCKLAKE => self.ducklake.clone(),
            _ => self.ducklake.with_file_name(format!("{name}.{ENDING}")),
        }
    }

    /// Whether a file is one that somebody vouches for.
    fn is_known(&self, name: &str, path: &Path) -> bool {
        let known = self.known.get(name);
        known.is_some_and(|known| {
            hash_file(path).is_ok_and(|(found, _)| found.to_hex().as_str() == known)
        })
    }
}

impl From<&PathBuf> for Extensions {
    fn from(ducklake: &PathBuf) -> Self {
        Self::at(ducklake)
    }
}

impl From<&Extensions> for Extensions {
    fn from(extensions: &Extensions) -> Self {
        extensions.clone()
    }
}

/// Loads extensions into a database that was just opened, which it closes to unsigned ones.
pub(super) struct ExtensionLoader<'d> {
    connection: &'d Connection,
    extensions: &'d Extensions,
    /// Whether the database still takes unsigned files.
    is_open: Cell<bool>,
}

impl<'d> ExtensionLoader<'d> {
    /// The settings of a database that a loader is for.
    pub fn prepare(config: Config) -> duckdb::Result<Config> {
        config
            .enable_autoload_extension(false)?
            .allow_unsigned_extensions()
    }

    pub fn new(connection: &'d Connection, extensions: &'d Extensions) -> Self {
        Self {
            connection,
            extensions,
            is_open: Cell::new(true),
        }
    }

    /// # Errors
    /// When it is not there, not signed and not known, or of another version of DuckDB.
    pub fn load_ducklake(&self) -> Result<(), LakeError> {
        self.load(DUCKLAKE).map_err(|e| LakeError::Extension {
            path: self.extensions.path(DUCKLAKE),
            reason: first_line(e),
        })
    }

    /// One of those that lie beside DuckLake's.
    ///
    /// # Errors
    /// As for DuckLake's.
    pub fn load_remote(&self, name: &'static str) -> Result<(), LakeError> {
        self.load(name).map_err(|e| LakeError::RemoteExtension {
            name,
            path: self.extensions.path(name),
            reason: first_line(e),
        })
    }

    /// From now on the database takes signed extensions only; nothing takes that back.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn close(&self) -> duckdb::Result<()> {
        if self.is_open.replace(false) {
            (self.connection).execute_batch("SET allow_unsigned_extensions = false")?;
        }
        Ok(())
    }

    fn load(&self, name: &str) -> duckdb::Result<()> {
        let path = self.extensions.path(name);
        let is_there = path.is_file();
        if !(is_there && self.is_open.get() && self.extensions.is_known(name, &path)) {
            self.close()?;
        }
        let what = match is_there {
            true => quoted(&path),
            false => name.into(),
        };
        self.connection.execute_batch(&format!("LOAD {what}"))
    }
}
