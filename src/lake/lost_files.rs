//! Takes files that are lost out of the catalog.

use std::collections::BTreeMap;

use duckdb::Connection;

use super::error::LakeError;
use super::inventory::CatalogFile;
use super::session::Lake;
use super::sql::{in_transaction, parquet};

/// Files that are named in one statement.
const FILES_OF_STATEMENT: usize = 1000;

impl Lake {
    /// Takes files out of the catalog's tables as if they had never been there, in all snapshots,
    /// in one transaction. Where a file exists, it is moved to the lake's folder `damaged`.
    ///
    /// DuckLake cannot do this itself: it reads a file to delete its rows. Which tables name a file
    /// is laid down in DuckLake's specification (version 1.0, "tables").
    pub(super) fn remove_lost_files(&self, files: &[CatalogFile]) -> Result<(), LakeError> {
        self.with_catalog_database(|connection, database| {
            remove_from_catalog(connection, database, files)
        })?;
        let data_files = self.data_files();
        (files.iter()).try_for_each(|file| data_files.set_aside(&file.path))
    }
}

/// Deletes what the catalog's tables in `database` know of files, in one transaction.
pub(super) fn remove_from_catalog(
    connection: &Connection,
    database: &str,
    files: &[CatalogFile],
) -> Result<(), LakeError> {
    const TABLES: [&str; 5] = [
        "ducklake_file_column_stats",
        "ducklake_file_partition_value",
        "ducklake_file_variant_stats",
        "ducklake_delete_file",
        "ducklake_data_file",
    ];
    let (database_name, schema) = database.split_once('.').unwrap_or((database, "main"));
    let mut ids_of_tables: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for file in files {
        let ids = ids_of_tables.entry(file.table_id).or_default();
        ids.push(file.data_file_id.to_string());
    }
    in_transaction(connection, || {
        for (table_id, ids) in &ids_of_tables {
            let inlined = format!("ducklake_inlined_delete_{table_id}");
            let has_inlined: bool = connection.query_row(
                "SELECT count(*) > 0 FROM duckdb_tables()
                 WHERE database_name = ? AND schema_name = ? AND table_name = ?",
                [database_name, schema, &inlined],
                |row| row.get(0),
            )?;
            // Each statement reads a whole table.
            for ids in ids.chunks(FILES_OF_STATEMENT) {
                let ids = ids.join(", ");
                for table in TABLES {
                    connection.execute_batch(&format!(
                        "DELETE FROM {database}.{table} WHERE data_file_id IN ({ids})"
                    ))?;
                }
                if has_inlined {
                    connection.execute_batch(&format!(
                        "DELETE FROM {database}.{inlined} WHERE file_id IN ({ids})"
                    ))?;
                }
            }
        }
        Ok(())
    })
}

/// Reads every value of a file; gives the number of rows.
pub(super) fn read_whole(connection: &Connection, location: &str) -> Result<u64, LakeError> {
    let sql = format!(
        "SELECT count(*), bit_xor(hash(rows)) FROM {} AS rows",
        parquet(location)
    );
    Ok(connection.query_row(&sql, [], |row| row.get(0))?)
}
