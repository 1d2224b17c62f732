//! What files the catalog names, and what else lies in the lake's folder.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use duckdb::Connection;

use super::address::LakeAddress;
use super::catalog::{Catalog, NEW_CATALOG_LOCK, NEW_CATALOG_PREFIX};
use super::data_files::{DataFiles, OWNER_FILE};
use super::error::LakeError;
use super::location::{DataBucket, DataPlace, LakePaths};
use super::sql::is_missing_table;
use super::staged::Abandoned;
use crate::files::why_not_written;

/// Files of a lake in a database that nobody needs stay for a day.
const MIN_SHARED_AGE: Duration = Duration::from_secs(24 * 60 * 60);

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
    let data_files = DataFiles::of(paths);
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let path: String = row.get(0)?;
        let is_rows: bool = row.get(3)?;
        Ok(CatalogFile {
            path: data_files.name(&path),
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

/// Files that no snapshot needs any more since at least `min_age`, but that are not deleted yet;
/// below the data folder.
pub(super) fn scheduled_files(
    connection: &Connection,
    paths: &LakePaths,
    min_age: Duration,
) -> Result<Vec<String>, LakeError> {
    let metadata = Catalog::of(paths).metadata();
    let sql = format!(
        "SELECT path FROM {metadata}.ducklake_files_scheduled_for_deletion
         WHERE schedule_start::TIMESTAMPTZ <= now() - to_seconds({})",
        min_age.as_secs()
    );
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
    place: OrphanPlace,
}

enum OrphanPlace {
    File(Abandoned),
    /// The folder around the lock file.
    NewCatalog(Abandoned),
    /// In the bucket of the lake's files.
    Object {
        bucket: Arc<DataBucket>,
        key: String,
    },
}

impl Orphan {
    pub fn delete(self) -> Result<(), LakeError> {
        let deleted = match self.place {
            OrphanPlace::File(abandoned) => abandoned.delete(),
            OrphanPlace::NewCatalog(_held) => fs::remove_dir_all(&self.path),
            OrphanPlace::Object { bucket, key } => return Ok(bucket.bucket.delete(&key)?),
        };
        deleted.map_err(|e| LakeError::Write {
            reason: why_not_written(&e),
            path: self.path,
        })
    }
}

/// How old a file must be that nobody needs before it is deleted. Other machines read a lake in a
/// database while it is worked on, and the locks by which one tells whether a file's writer lives
/// hold for one machine only.
pub(super) fn min_age_to_delete(paths: &LakePaths) -> Duration {
    match paths.address() {
        LakeAddress::Folder(_) => Duration::ZERO,
        LakeAddress::Postgres(_) => MIN_SHARED_AGE,
    }
}

/// Looks through the lake's files. The lake must be attached so that nobody can commit: a file that
/// the catalog does not name and nobody holds belongs to nobody.
pub(super) fn unnamed_files(
    connection: &Connection,
    paths: &LakePaths,
) -> Result<UnnamedFiles, LakeError> {
    let scheduled = scheduled_files(connection, paths, Duration::ZERO)?;
    let mut known: HashSet<String> = scheduled.into_iter().collect();
    let named = catalog_files(connection, &Catalog::of(paths).metadata(), paths)?;
    known.extend(named.into_iter().map(|file| file.path));
    let min_age = min_age_to_delete(paths);
    let data_files = DataFiles::of(paths);
    let mut unnamed = UnnamedFiles::default();
    for listed in data_files.list()? {
        if known.contains(&listed.name) || listed.name == OWNER_FILE {
            continue;
        }
        let path = data_files.shown(&listed.name);
        let is_of_lakes =
            listed.name.ends_with(".parquet") || listed.name.ends_with(".parquet.tmp");
        if !is_of_lakes || !listed.is_file {
            unnamed.foreign.push(path);
            continue;
        }
        let place = match paths.data_place() {
            DataPlace::Folder(_) => Abandoned::claim(&path).map(OrphanPlace::File),
            DataPlace::Bucket(bucket) => Some(OrphanPlace::Object {
                bucket: Arc::clone(bucket),
                key: bucket.key(&listed.name),
            }),
        };
        match place.filter(|_| listed.age >= min_age) {
            Some(place) => unnamed.orphans.push(Orphan {
                path,
                byte_size: listed.byte_size,
                place,
            }),
            None => unnamed.in_work += 1,
        }
    }
    let LakeAddress::Folder(root) = paths.address() else {
        return Ok(unnamed);
    };
    let root = fs::read_dir(root).into_iter().flatten().flatten();
    for entry in root {
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(NEW_CATALOG_PREFIX.as_bytes())
        {
            let path = entry.path();
            match Abandoned::claim(&path.join(NEW_CATALOG_LOCK)) {
                Some(abandoned) => unnamed.orphans.push(Orphan {
                    byte_size: fs::metadata(&path).map_or(0, |metadata| metadata.len()),
                    path,
                    place: OrphanPlace::NewCatalog(abandoned),
                }),
                None => unnamed.in_work += 1,
            }
        }
    }
    Ok(unnamed)
}
