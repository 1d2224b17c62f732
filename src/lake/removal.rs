//! Takes videos out of the lake.

use std::collections::HashSet;
use std::path::Path;

use duckdb::Connection;
use serde::Serialize;

use super::catalog::{Access, LAKE_NAME};
use super::commit::delete_rows;
use super::error::LakeError;
use super::inventory::{CatalogFile, FileKind, catalog_files};
use super::lost_files::read_whole;
use super::schema;
use super::session::Lake;

/// What `posedata remove` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemoveReport {
    /// Videos that were in the lake and are not any more.
    pub videos: u64,
    /// Every table with rows of videos, `videos` last, also where nothing was deleted.
    pub tables: Vec<RemovedRows>,
}

/// How many rows one table has lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedRows {
    /// Its name, without the lake's own.
    pub table: String,
    /// Of all removed videos together.
    pub rows: u64,
}

impl Lake {
    /// Takes videos out of all tables, in one transaction. Their files stay for older snapshots.
    ///
    /// # Errors
    /// When the commit fails; then all of them are still there.
    pub fn remove_videos(&self, video_ids: &[String]) -> Result<RemoveReport, LakeError> {
        self.must_exist()?;
        let error = match self.try_remove_videos(video_ids) {
            Err(error @ LakeError::DamagedFile { .. }) => error,
            done => return done,
        };
        // Rows of a file that cannot be read cannot be deleted one by one: the file goes as a whole.
        let lost = self.unreadable_files_of(video_ids)?;
        if lost.is_empty() {
            return Err(error);
        }
        self.remove_lost_files(&lost)?;
        self.try_remove_videos(video_ids)
    }

    fn try_remove_videos(&self, video_ids: &[String]) -> Result<RemoveReport, LakeError> {
        self.transaction(|connection| {
            let tables = tables_of_videos(connection, LAKE_NAME)?;
            let mut report = RemoveReport::default();
            for table in &tables {
                let mut rows = 0;
                for video_id in video_ids {
                    rows += delete_rows(connection, table, video_id)?;
                }
                if table == "videos" {
                    report.videos = rows;
                }
                let table = table.clone();
                report.tables.push(RemovedRows { table, rows });
            }
            Ok(report)
        })
    }

    /// Current files of these videos alone that cannot be read.
    fn unreadable_files_of(&self, video_ids: &[String]) -> Result<Vec<CatalogFile>, LakeError> {
        self.with_catalog(Access::ReadOnly, |connection| {
            let files = catalog_files(connection, &self.metadata(), self.paths())?;
            let is_theirs = |file: &CatalogFile| {
                let name = Path::new(&file.path).file_name();
                let name = name.unwrap_or_default().to_string_lossy();
                file.is_current
                    && file.kind == FileKind::Rows
                    && video_ids.iter().any(|id| name.starts_with(id.as_str()))
            };
            let is_lost = |file: &CatalogFile| {
                let read = read_whole(connection, &self.data_files().location(&file.path));
                matches!(read, Err(LakeError::DamagedFile { .. }))
            };
            let files = files.into_iter().filter(is_theirs);
            Ok(files.filter(is_lost).collect())
        })
    }
}

/// Names of the tables that hold rows of videos, `videos` last; `files` goes with each of them.
pub(super) fn tables_of_videos(
    connection: &Connection,
    database: &str,
) -> Result<Vec<String>, LakeError> {
    let sql = format!(
        "SELECT table_name FROM duckdb_columns()
         WHERE database_name = '{database}' AND column_name = 'video_id'
             AND table_name NOT IN ('files', 'videos')"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    let with_videos: HashSet<String> = rows.collect::<Result<_, _>>()?;
    // Views have columns too.
    let mut tables = schema::tables(connection, database)?;
    tables.retain(|table| with_videos.contains(table));
    tables.push("videos".into());
    Ok(tables)
}
