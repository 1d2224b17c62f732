//! Is each file that the catalog names there, and as the catalog says?
//!
//! DuckDB is asked about many files at once, because most of what a question costs is the same for one;
//! only where something is wrong with one of them it is asked about each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use duckdb::Connection;
use duckdb::types::FromSql;

use super::census::{Census, Column};
use super::report::{Finding, Severity};
use super::rows::INGESTED_TABLES;
use crate::lake::data_files::DataFiles;
use crate::lake::error::{LakeError, database_message, first_line, is_out_of_reach};
use crate::lake::inventory::{CatalogFile, FileKind};
use crate::lake::lost_files::read_whole;
use crate::lake::session::Lake;
use crate::lake::sql::{parquet, quoted_text};
use crate::resources::cores;
use crate::sync::lock;

/// Files that DuckDB is asked about at once, at most.
const FILES_TOGETHER: usize = 200;
/// And their bytes, so that a single damaged one costs little.
const BYTES_TOGETHER: u64 = 256 << 20;

/// Columns that DuckLake adds to files that it has merged.
const INTERNAL_PREFIX: &str = "_ducklake_internal";

impl Lake {
    /// What is wrong with each file of the census, in their order; `None` where nothing is.
    ///
    /// # Errors
    /// When the store that has them cannot be reached: that says nothing of a file.
    pub(super) fn check_files(
        &self,
        connection: &Connection,
        census: &Census,
    ) -> Result<Vec<Option<String>>, LakeError> {
        let mut causes = self.check_all_bytes(census)?;
        let mut known_layouts = HashSet::new();
        for together in groups(&census.files, &causes) {
            let files: Vec<&CatalogFile> = together.iter().map(|nth| &census.files[*nth]).collect();
            if matches!(
                self.are_as_told(connection, &files, census, &mut known_layouts),
                Ok(true)
            ) {
                continue;
            }
            for nth in together {
                let file = &census.files[nth];
                let looked = self.look_at_contents(connection, file, census);
                causes[nth] = self.judge(file, looked)?;
            }
        }
        Ok(causes)
    }

    /// What is wrong with the files' bytes, whatever is in them.
    fn check_all_bytes(&self, census: &Census) -> Result<Vec<Option<String>>, LakeError> {
        let data_files = self.data_files();
        let is_remote = self.is_remote();
        let (next, is_lost) = (AtomicUsize::new(0), AtomicBool::new(false));
        let found: Mutex<HashMap<usize, String>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..cores() {
                scope.spawn(|| {
                    while !is_lost.load(Ordering::Relaxed) {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = census.files.get(nth) else {
                            break;
                        };
                        if let Err(cause) = look_at_bytes(&data_files, file, census) {
                            // Without the store nothing more is learned.
                            let is_over = is_remote && is_out_of_reach(&cause);
                            is_lost.fetch_or(is_over, Ordering::Relaxed);
                            lock(&found).insert(nth, cause);
                        }
                    }
                });
            }
        });
        let mut found = std::mem::take(&mut *lock(&found));
        let causes = census.files.iter().enumerate().map(|(nth, file)| {
            let looked = found.remove(&nth).map_or(Ok(()), Err);
            self.judge(file, looked)
        });
        causes.collect()
    }

    fn judge(
        &self,
        file: &CatalogFile,
        looked: Result<(), String>,
    ) -> Result<Option<String>, LakeError> {
        match looked {
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

    /// Whether nothing is wrong with the contents of any of these files of one table. Where something
    /// is, or that cannot be told, each has to be looked at by itself.
    ///
    /// `known_layouts` are those of files whose columns were found to be their table's.
    fn are_as_told(
        &self,
        connection: &Connection,
        files: &[&CatalogFile],
        census: &Census,
        known_layouts: &mut HashSet<(String, String, Vec<String>)>,
    ) -> duckdb::Result<bool> {
        let data_files = self.data_files();
        let location = |file: &&CatalogFile| data_files.location(&file.path);
        let locations: Vec<String> = files.iter().map(location).collect();
        let in_footers: HashMap<String, u64> = by_file(
            connection,
            &format!(
                "SELECT file_name, sum(num_rows)::UBIGINT FROM parquet_file_metadata({})
                 GROUP BY file_name",
                list_of(&locations)
            ),
        )?;
        let has_rows = |rows: &HashMap<String, u64>, file: &CatalogFile, location: &String| {
            rows.get(location).copied().unwrap_or(0) == file.row_count
        };
        let mut all = files.iter().zip(&locations);
        if !all.all(|(file, location)| has_rows(&in_footers, file, location)) {
            return Ok(false);
        }
        let current = files.iter().zip(&locations);
        let current: Vec<_> = current.filter(|(file, _)| file.is_current).collect();
        if current.is_empty() {
            return Ok(true);
        }
        let locations: Vec<&String> = current.iter().map(|(_, location)| *location).collect();
        let layouts: HashMap<String, String> = by_file(
            connection,
            &format!(
                "SELECT file_name, string_agg(concat_ws(' ', name, type, type_length,
                     repetition_type, num_children, converted_type, scale, precision,
                     logical_type::VARCHAR), ', ')
                 FROM parquet_schema({}) GROUP BY file_name",
                list_of(&locations)
            ),
        )?;
        // Of files with different columns DuckDB would read those of the first.
        let mut by_layout: BTreeMap<&String, Vec<(&CatalogFile, &String)>> = BTreeMap::new();
        for (file, location) in current {
            let Some(layout) = layouts.get(location) else {
                return Ok(false);
            };
            by_layout.entry(layout).or_default().push((*file, location));
        }
        for (layout, files) in by_layout {
            let locations: Vec<&String> = files.iter().map(|(_, location)| *location).collect();
            let read: HashMap<String, u64> = by_file(
                connection,
                &format!(
                    "SELECT file_of_rows, count(*)::UBIGINT, bit_xor(hash(rows))
                     FROM read_parquet({}, hive_partitioning = false, filename = 'file_of_rows') AS rows
                     GROUP BY file_of_rows",
                    list_of(&locations)
                ),
            )?;
            for (file, location) in files {
                if !has_rows(&read, file, location) {
                    return Ok(false);
                }
                let key = (file.table.clone(), layout.clone(), partitions_of(location));
                if file.kind == FileKind::Rows && !known_layouts.contains(&key) {
                    let columns = census.columns.get(&file.table);
                    let columns = columns.map_or(&[][..], Vec::as_slice);
                    if check_columns(connection, location, columns).is_err() {
                        return Ok(false);
                    }
                    known_layouts.insert(key);
                }
            }
        }
        Ok(true)
    }

    fn look_at_contents(
        &self,
        connection: &Connection,
        file: &CatalogFile,
        census: &Census,
    ) -> Result<(), String> {
        let location = self.data_files().location(&file.path);
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

/// Whether a file is there with the bytes that it had.
fn look_at_bytes(
    data_files: &DataFiles<'_>,
    file: &CatalogFile,
    census: &Census,
) -> Result<(), String> {
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
        let (blake3, _) =
            (data_files.hash(&file.path)).map_err(|e| format!("the file cannot be read: {e}"))?;
        if blake3 != checksum.blake3 {
            return Err("its bytes have changed: the checksum differs".into());
        }
    }
    Ok(())
}

/// Numbers of files of one table each, of those about which nothing is known yet.
fn groups(files: &[CatalogFile], causes: &[Option<String>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut open: HashMap<&str, (usize, u64)> = HashMap::new();
    for (nth, file) in files.iter().enumerate() {
        if causes[nth].is_some() {
            continue;
        }
        match open.get_mut(file.table.as_str()) {
            Some((group, bytes))
                if groups[*group].len() < FILES_TOGETHER
                    && *bytes + file.byte_size <= BYTES_TOGETHER =>
            {
                groups[*group].push(nth);
                *bytes += file.byte_size;
            }
            _ => {
                open.insert(&file.table, (groups.len(), file.byte_size));
                groups.push(vec![nth]);
            }
        }
    }
    groups
}

/// What a query says of files: their locations, and one value each.
fn by_file<T: FromSql>(connection: &Connection, sql: &str) -> duckdb::Result<HashMap<String, T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn list_of<T: AsRef<str>>(locations: &[T]) -> String {
    let quoted: Vec<String> = (locations.iter())
        .map(|location| quoted_text(location.as_ref()))
        .collect();
    format!("[{}]", quoted.join(", "))
}

/// Names of the columns whose values are in a file's path.
fn partitions_of(location: &str) -> Vec<String> {
    let folders = location.split('/');
    folders
        .filter_map(|folder| folder.split_once('=').map(|(name, _)| name.to_owned()))
        .collect()
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
    let partition = partitions_of(location);
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
