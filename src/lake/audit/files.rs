//! Is each file that the catalog names there, and as the catalog says?

use duckdb::Connection;

use super::census::{Census, Column};
use super::report::{Finding, Severity};
use super::rows::INGESTED_TABLES;
use crate::lake::error::{LakeError, database_message, first_line, is_out_of_reach};
use crate::lake::inventory::{CatalogFile, FileKind};
use crate::lake::lost_files::read_whole;
use crate::lake::session::Lake;
use crate::lake::sql::{parquet, quoted_text};

/// Columns that DuckLake adds to files that it has merged.
const INTERNAL_PREFIX: &str = "_ducklake_internal";

impl Lake {
    /// What is wrong with a file; `None` where nothing is.
    ///
    /// # Errors
    /// When the store that has it cannot be reached: that says nothing of the file.
    pub(super) fn check_file(
        &self,
        connection: &Connection,
        file: &CatalogFile,
        census: &Census,
    ) -> Result<Option<String>, LakeError> {
        match self.look_at_file(connection, file, census) {
            Ok(()) => Ok(None),
            Err(cause) if self.is_remote() && is_out_of_reach(&cause) => {
                Err(LakeError::Unreachable {
                    address: self.data_files().location(&file.path),
                    reason: cause,
                })
            }
            Err(cause) => Ok(Some(cause)),
        }
    }

    fn look_at_file(
        &self,
        connection: &Connection,
        file: &CatalogFile,
        census: &Census,
    ) -> Result<(), String> {
        let data_files = self.data_files();
        let location = data_files.location(&file.path);
        let byte_size = data_files
            .byte_size(&file.path)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => "the file is missing".to_owned(),
                _ => format!("the file cannot be read: {e}"),
            })?;
        if byte_size != file.byte_size {
            return Err(format!(
                "the file has {} bytes, the catalog says {}",
                byte_size, file.byte_size
            ));
        }
        if let Some(checksum) = census.checksums.get(&file.path) {
            let (blake3, _) = (data_files.hash(&file.path))
                .map_err(|e| format!("the file cannot be read: {e}"))?;
            if blake3 != checksum.blake3 {
                return Err("its bytes have changed: the checksum differs".into());
            }
        }
        let unreadable = |e: &dyn std::fmt::Display| {
            let reason = e.to_string();
            format!(
                "it is no readable Parquet file: {}",
                reason.lines().next().unwrap_or_default()
            )
        };
        let footer = format!(
            "SELECT sum(num_rows)::UBIGINT FROM parquet_file_metadata({})",
            quoted_text(&location)
        );
        let in_footer: u64 = connection
            .query_row(&footer, [], |row| row.get(0))
            .map_err(|e| unreadable(&first_line(e)))?;
        // Only the newest snapshot's rows are worth the time that reading them takes.
        let read = match file.is_current {
            true => read_whole(connection, &location).map_err(|e| unreadable(&e))?,
            false => in_footer,
        };
        if in_footer != file.row_count || read != file.row_count {
            return Err(format!(
                "the catalog says {} rows, the file's footer {in_footer}, reading gives {read}",
                file.row_count
            ));
        }
        if file.kind == FileKind::Rows && file.is_current {
            let table = census
                .columns
                .get(&file.table)
                .map_or(&[][..], Vec::as_slice);
            check_columns(connection, &location, table)?;
        }
        Ok(())
    }

    pub(super) fn lost_file_finding(&self, file: &CatalogFile, cause: String) -> Finding {
        let is_ingested = INGESTED_TABLES.contains(&file.table.as_str());
        Finding {
            severity: Severity::Damage,
            subject: format!("data/{}", file.path),
            cause: match file.is_current {
                true => cause,
                false => format!("{cause} (only older snapshots need it)"),
            },
            remedy: match (file.is_current, is_ingested) {
                (true, true) => {
                    "posedata lake check --repair takes it out; then ingest its videos again"
                }
                (true, false) => {
                    "posedata lake check --repair takes it out; then compute its rows again"
                }
                (false, _) => "posedata lake check --repair takes it out",
            }
            .into(),
        }
    }
}

fn check_columns(connection: &Connection, location: &str, table: &[Column]) -> Result<(), String> {
    let describe = format!("DESCRIBE SELECT * FROM {}", parquet(location));
    let columns = || -> Result<Vec<(String, String)>, duckdb::Error> {
        let mut statement = connection.prepare(&describe)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let in_file = columns().map_err(database_message)?;
    for (name, data_type) in &in_file {
        if name.starts_with(INTERNAL_PREFIX) {
            continue;
        }
        match table.iter().find(|column| column.name == *name) {
            Some(column) if column.data_type == *data_type => {}
            Some(column) => {
                return Err(format!(
                    "its column {name} is {data_type}, the table's is {}",
                    column.data_type
                ));
            }
            None => return Err(format!("its column {name} is not in the table")),
        }
    }
    // The partition's value is in the path.
    let partition: Vec<String> = location
        .split('/')
        .filter_map(|folder| folder.split_once('=').map(|(name, _)| name.to_owned()))
        .collect();
    let has = |column: &Column| {
        partition.contains(&column.name) || in_file.iter().any(|(name, _)| *name == column.name)
    };
    match table
        .iter()
        .find(|column| !column.is_nullable && !has(column))
    {
        Some(column) => Err(format!("its column {} is missing", column.name)),
        None => Ok(()),
    }
}
