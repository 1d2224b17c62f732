//! Tables, files and snapshots of a lake.

use std::path::PathBuf;

use super::catalog::Access;
use super::error::LakeError;
use super::session::{Lake, format_version};
use super::sql::quoted_name;

/// What a table holds in the newest snapshot.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TableInfo {
    /// Its name, without the lake's own.
    pub table: String,
    /// All that a query sees, also those that the catalog itself holds.
    pub rows: u64,
    /// Parquet files alone; 0 where the catalog itself holds the rows.
    pub files: u64,
    /// Of these files together.
    pub bytes: u64,
}

/// A state of the lake that can still be read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SnapshotInfo {
    /// What `posedata query --at` takes; later snapshots have greater ones.
    pub version: u64,
    /// UTC
    pub time: String,
    /// What the commit did: DuckLake's map of kinds of changes to tables, as text.
    pub changes: String,
}

/// What estimated the poses of videos.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PoseModelInfo {
    /// `lite`, `full` or `heavy`, or the name of a file of the user's.
    pub pose_model: String,
    /// What the joints of a model of the user's are; `None` for BlazePose's.
    pub skeleton: Option<String>,
    /// Of the model's file, in hexadecimal digits.
    pub sha256: String,
    /// Whose rows are of it.
    pub videos: u64,
}

/// What `posedata lake info` shows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LakeInfo {
    /// The lake's folder, or the address of its database.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub path: PathBuf,
    /// Of this lake; an older one may lack tables and columns.
    pub format_version: i32,
    /// Ordered by name; views are not among them.
    pub tables: Vec<TableInfo>,
    /// Of all videos, the one of most videos first.
    pub pose_models: Vec<PoseModelInfo>,
    /// Those that have not been expired, the oldest first.
    pub snapshots: Vec<SnapshotInfo>,
    /// Of the catalog's file, or of its tables in the database with their indexes.
    pub catalog_bytes: u64,
}

impl Lake {
    /// Tables, files and snapshots.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn info(&self) -> Result<LakeInfo, LakeError> {
        self.with_catalog(Access::ReadOnly, |connection| {
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
                "SELECT pose_model, json_extract_string(config, '$.skeleton.name') AS skeleton,
                     pose_model_sha256, count(*) AS videos
                 FROM videos GROUP BY ALL ORDER BY videos DESC, pose_model, skeleton, pose_model_sha256",
            )?;
            let pose_models = statement
                .query_map([], |row| {
                    Ok(PoseModelInfo {
                        pose_model: row.get(0)?,
                        skeleton: row.get(1)?,
                        sha256: row.get(2)?,
                        videos: row.get(3)?,
                    })
                })?
                .collect::<Result<Vec<_>, _>>()?;
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
                pose_models,
                snapshots,
                catalog_bytes: self.catalog_bytes()?,
            })
        })
    }
}
