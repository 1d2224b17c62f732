//! What is read of a lake while its catalog is held, and the private copy of the catalog.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use duckdb::Connection;

use super::report::{Finding, Severity};
use crate::files::why_not_written;
use crate::lake::catalog::{Access, Catalog, LAKE_NAME};
use crate::lake::error::LakeError;
use crate::lake::inventory::{CatalogFile, catalog_files, recorded_paths, unnamed_files};
use crate::lake::session::Lake;
use crate::lake::sql::is_missing_table;

/// Name under which the private copy of the catalog is attached.
pub(super) const COPY_NAME: &str = "checked";

/// What was read while the catalog was held.
pub(super) struct Census {
    pub state: LakeState,
    pub format_version: i32,
    pub files: Vec<CatalogFile>,
    pub checksums: HashMap<String, Checksum>,
    pub recorded: HashSet<String>,
    pub columns: HashMap<String, Vec<Column>>,
    pub findings: Vec<Finding>,
    pub files_in_work: u64,
}

pub(super) struct Checksum {
    pub blake3: String,
}

/// Changes whenever somebody commits, expires or compacts.
#[derive(PartialEq, Eq)]
pub(super) struct LakeState {
    pub newest_snapshot: u64,
    files: Vec<String>,
}

/// Attached until it goes out of scope.
pub(super) struct Copy<'a> {
    pub connection: &'a Connection,
    folder: tempfile::TempDir,
    /// Where the lake's files lie, as SQL names it.
    data: String,
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        // A copy that cannot be detached ends with the session.
        let _ = self.connection.execute_batch(&Catalog::detach(COPY_NAME));
    }
}

impl Copy<'_> {
    fn catalog(&self) -> Catalog {
        Catalog::at(&self.folder.path().join("catalog"), &self.data)
    }
}

impl Lake {
    pub(super) fn lake_state(&self) -> Result<LakeState, LakeError> {
        self.with_catalog(Access::ReadOnly, |connection| {
            let files = catalog_files(connection, &self.metadata(), self.paths())?;
            lake_state(connection, &files)
        })
    }

    /// Copies the catalog and looks through the lake's folder, while nobody can commit.
    pub(super) fn census(&self) -> Result<(Census, Copy<'_>), LakeError> {
        let connection = self.connection();
        let folder = tempfile::tempdir_in(self.scratch()).map_err(|e| LakeError::Write {
            path: self.scratch().into(),
            reason: why_not_written(&e),
        })?;
        let copy = Copy {
            connection,
            folder,
            data: self.paths().data_location(),
        };
        let source = Catalog::of(self.paths());
        let census = self.with_catalog(Access::Exclusive, |connection| {
            let tables = self.catalog_tables()?;
            (copy.catalog()).copy_from(&source, &tables, connection, COPY_NAME)?;
            let files = catalog_files(connection, &self.metadata(), self.paths())?;
            let unnamed = unnamed_files(connection, self.paths())?;
            let mut findings = Vec::new();
            for orphan in &unnamed.orphans {
                findings.push(Finding {
                    severity: Severity::Leftover,
                    subject: self.below_root(&orphan.path),
                    cause: format!(
                        "a killed process left it behind ({} bytes)",
                        orphan.byte_size
                    ),
                    remedy: "posedata lake vacuum".into(),
                });
            }
            for path in &unnamed.foreign {
                findings.push(Finding {
                    severity: Severity::Note,
                    subject: self.below_root(path),
                    cause: "it is no file of a lake".into(),
                    remedy: "move it elsewhere".into(),
                });
            }
            Ok(Census {
                state: lake_state(connection, &files)?,
                format_version: self.check_format()?,
                checksums: checksums(connection)?,
                recorded: recorded_paths(connection)?,
                columns: columns(connection)?,
                files_in_work: unnamed.in_work,
                files,
                findings,
            })
        })?;
        Ok((census, copy))
    }

    /// Makes the copied catalog a lake over the real files.
    pub(super) fn attach_copy_as_lake(&self, copy: &Copy<'_>) -> Result<(), LakeError> {
        let detach = Catalog::detach(COPY_NAME);
        let attach = copy.catalog().attach(COPY_NAME, Access::ReadOnly, None);
        Ok(copy
            .connection
            .execute_batch(&format!("{detach}; {attach}"))?)
    }

    fn below_root(&self, path: &Path) -> String {
        let root = self.paths().root();
        let below = path.strip_prefix(root).unwrap_or(path);
        below.display().to_string()
    }
}

pub(super) struct Column {
    pub name: String,
    pub data_type: String,
    pub is_nullable: bool,
}

fn lake_state(connection: &Connection, files: &[CatalogFile]) -> Result<LakeState, LakeError> {
    let sql = "SELECT coalesce(max(snapshot_id), 0)::UBIGINT FROM ducklake_snapshots('lake')";
    Ok(LakeState {
        newest_snapshot: connection.query_row(sql, [], |row| row.get(0))?,
        files: files.iter().map(|file| file.path.clone()).collect(),
    })
}

/// The columns of each table.
fn columns(connection: &Connection) -> Result<HashMap<String, Vec<Column>>, LakeError> {
    let sql = format!(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns()
         WHERE database_name = '{LAKE_NAME}' ORDER BY table_name, column_index"
    );
    let mut tables: HashMap<String, Vec<Column>> = HashMap::new();
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let column = Column {
            name: row.get(1)?,
            data_type: row.get(2)?,
            is_nullable: row.get(3)?,
        };
        Ok((row.get::<_, String>(0)?, column))
    })?;
    for row in rows {
        let (table, column) = row?;
        tables.entry(table).or_default().push(column);
    }
    Ok(tables)
}

fn checksums(connection: &Connection) -> Result<HashMap<String, Checksum>, LakeError> {
    let mut statement = match connection.prepare("SELECT path, blake3 FROM files") {
        Err(error) if is_missing_table(&error) => return Ok(HashMap::new()),
        prepared => prepared?,
    };
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            Checksum {
                blake3: row.get(1)?,
            },
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
