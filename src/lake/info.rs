//! Tables, files and snapshots of a lake.

use std::path::PathBuf;

use super::catalog::Access;
use super::error::LakeError;
use super::session::{Lake, format_version};
use super::sql::quoted_name;

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
                path: self.paths().root(),
                format_version: format_version(connection)?,
                tables: infos,
                snapshots,
                catalog_bytes: self.catalog_bytes()?,
            })
        })
    }
}
