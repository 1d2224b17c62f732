//! What files the catalog names, and what else lies in the lake's folder.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use duckdb::Connection;

use super::catalog::{METADATA, NEW_CATALOG_LOCK, NEW_CATALOG_PREFIX};
use super::data_files::DataFiles;
use super::error::LakeError;
use super::location::LakePaths;
use super::sql::is_missing_table;
use super::staged::Abandoned;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Rows,
    /// Positions of rows of another file that were deleted.
    Deletions,
}

/// A file that the catalog names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CatalogFile {
    /// Below the data folder.
    pub path: String,
    pub table: String,
    pub table_id: i64,
    pub kind: FileKind,
    /// The file of rows; that of deletions belongs to it.
    pub data_file_id: i64,
    pub row_count: u64,
    pub byte_size: u64,
    /// Whether the newest snapshot needs it.
    pub is_current: bool,
}

/// The files that the catalog's snapshots need, as its tables in `database` name them.
pub(super) fn catalog_files(
    connection: &Connection,
    database: &str,
    paths: &LakePaths,
) -> Result<Vec<CatalogFile>, LakeError> {
    let sql = format!(
        "WITH folders AS (
             SELECT t.table_id, arg_max(t.table_name, t.begin_snapshot) AS table_name,
                 arg_max(s.path || t.path, t.begin_snapshot) AS folder
             FROM {database}.ducklake_table AS t JOIN {database}.ducklake_schema AS s USING (schema_id)
             GROUP BY t.table_id
         ),
         named AS (
             SELECT table_id, data_file_id, path, path_is_relative, record_count AS row_count,
                 file_size_bytes, end_snapshot, true AS is_rows
             FROM {database}.ducklake_data_file
             UNION ALL
             SELECT table_id, data_file_id, path, path_is_relative, delete_count,
                 file_size_bytes, end_snapshot, false
             FROM {database}.ducklake_delete_file
         )
         SELECT if(path_is_relative, folder || path, path), table_name, table_id, is_rows,
             data_file_id, row_count, file_size_bytes, end_snapshot IS NULL
         FROM named JOIN folders USING (table_id)
         ORDER BY ALL"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let path: String = row.get(0)?;
        let is_rows: bool = row.get(3)?;
        Ok(CatalogFile {
            path: DataFiles::of(paths).name(&path),
            table: row.get(1)?,
            table_id: row.get(2)?,
            kind: match is_rows {
                true => FileKind::Rows,
                false => FileKind::Deletions,
            },
            data_file_id: row.get(4)?,
            row_count: row.get(5)?,
            byte_size: row.get(6)?,
            is_current: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Files that no snapshot needs any more, but that are not deleted yet; below the data folder.
pub(super) fn scheduled_files(
    connection: &Connection,
    paths: &LakePaths,
) -> Result<Vec<String>, LakeError> {
    let sql = format!("SELECT path FROM {METADATA}.ducklake_files_scheduled_for_deletion");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let data_files = DataFiles::of(paths);
    rows.map(|path| Ok(data_files.name(&path?))).collect()
}

/// The paths in the table `files`; none in a lake of a format without it.
pub(super) fn recorded_paths(connection: &Connection) -> Result<HashSet<String>, LakeError> {
    let mut statement = match connection.prepare("SELECT path FROM files") {
        Err(error) if is_missing_table(&error) => return Ok(HashSet::new()),
        prepared => prepared?,
    };
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What lies in the lake's folder without being named by the catalog.
#[derive(Default)]
pub(super) struct UnnamedFiles {
    /// Left behind by processes that were killed.
    pub orphans: Vec<Orphan>,
    /// Files that living processes work on.
    pub in_work: u64,
    /// No file of a lake at all.
    pub foreign: Vec<PathBuf>,
}

pub(super) struct Orphan {
    pub path: PathBuf,
    pub byte_size: u64,
    abandoned: Abandoned,
    kind: OrphanKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OrphanKind {
    File,
    /// The folder around the lock file.
    NewCatalog,
}

impl Orphan {
    pub fn delete(self) -> std::io::Result<()> {
        match self.kind {
            OrphanKind::File => self.abandoned.delete(),
            OrphanKind::NewCatalog => fs::remove_dir_all(&self.path),
        }
    }
}

/// Looks through the lake's folder. The lake must be attached: while it is, nobody can commit, and
/// a file that the catalog does not name and nobody holds belongs to nobody.
pub(super) fn unnamed_files(
    connection: &Connection,
    paths: &LakePaths,
) -> Result<UnnamedFiles, LakeError> {
    let mut known: HashSet<String> = scheduled_files(connection, paths)?.into_iter().collect();
    let named = catalog_files(connection, METADATA, paths)?;
    known.extend(named.into_iter().map(|file| file.path));
    let mut unnamed = UnnamedFiles::default();
    for listed in DataFiles::of(paths).list() {
        if known.contains(&listed.name) {
            continue;
        }
        let is_of_lakes =
            listed.name.ends_with(".parquet") || listed.name.ends_with(".parquet.tmp");
        if !is_of_lakes || !listed.is_file {
            unnamed.foreign.push(listed.path);
            continue;
        }
        unnamed.add(&listed.path, &listed.path, OrphanKind::File);
    }
    let root = fs::read_dir(paths.root()).into_iter().flatten().flatten();
    for entry in root {
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(NEW_CATALOG_PREFIX.as_bytes())
        {
            let lock = entry.path().join(NEW_CATALOG_LOCK);
            unnamed.add(&entry.path(), &lock, OrphanKind::NewCatalog);
        }
    }
    Ok(unnamed)
}

impl UnnamedFiles {
    fn add(&mut self, path: &Path, lock: &Path, kind: OrphanKind) {
        let byte_size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        match Abandoned::claim(lock) {
            Some(abandoned) => self.orphans.push(Orphan {
                path: path.into(),
                byte_size,
                abandoned,
                kind,
            }),
            None => self.in_work += 1,
        }
    }
}
