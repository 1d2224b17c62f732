//! What an empty lake consists of, and how an older lake is brought up to date.
//!
//! Nobody writes migrations for what can be told from the schemas themselves: a lake of an older
//! format gets the tables and columns that it lacks, and views, functions and comments are made
//! anew, all in one transaction; columns that take NULL today do so there, too. Columns that come
//! later must therefore take NULL.

use std::path::Path;

use duckdb::{Connection, params};

use super::catalog::LAKE_NAME;
use super::error::LakeError;
use super::sql::{in_transaction, insert, quoted_name, quoted_text, row};

/// Version of the tables in `schemas/`; grows with every change of them.
pub const FORMAT_VERSION: i32 = 11;

/// Version of what ingest writes into its tables; grows when a video has to be ingested again to
/// have the rows that the newest posedata gives it.
pub const ROWS_VERSION: i32 = 3;

/// Everything that makes up an empty lake, in the order of creation.
pub(super) const SCHEMA: [&str; 19] = [
    include_str!("../../schemas/lake_format.sql"),
    include_str!("../../schemas/videos.sql"),
    include_str!("../../schemas/sources.sql"),
    include_str!("../../schemas/persons.sql"),
    include_str!("../../schemas/files.sql"),
    include_str!("../../schemas/landmarks.sql"),
    include_str!("../../schemas/metrics.sql"),
    include_str!("../../schemas/landmarks_filtered.sql"),
    include_str!("../../schemas/metrics_filtered.sql"),
    include_str!("../../schemas/events.sql"),
    include_str!("../../schemas/cycles.sql"),
    include_str!("../../schemas/analysis.sql"),
    include_str!("../../schemas/frames.sql"),
    include_str!("../../schemas/macros.sql"),
    include_str!("../../schemas/runs.sql"),
    include_str!("../../schemas/subjects.sql"),
    include_str!("../../schemas/datasets.sql"),
    include_str!("../../schemas/examples.sql"),
    include_str!("../../schemas/training_runs.sql"),
];

/// Name of the empty lake that an older one is compared with.
const WANTED_NAME: &str = "wanted";

/// Checksums that one transaction may record.
const MAX_INLINED_CHECKSUMS: u32 = 1_000_000;

/// What a statement of the schemas does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statement<'a> {
    CreateTable(&'a str),
    /// Where new files of the table go; only for a table that is new itself.
    Partition(&'a str),
    Sort,
    /// A view or a function.
    Create,
    Comment,
}

/// Fills an empty catalog.
pub(super) fn create(connection: &Connection) -> Result<(), LakeError> {
    in_transaction(connection, || {
        connection.execute_batch(&SCHEMA.concat())?;
        insert(
            connection,
            "lake_format",
            row! {
                format_version: FORMAT_VERSION,
                posedata_version: env!("CARGO_PKG_VERSION"),
            },
        )
    })?;
    set_options(connection)
}

/// What DuckLake keeps in the catalog instead of in files.
///
/// In tables of files nothing: a delete of few rows would be kept there too, and a file whose rows
/// were all deleted so would be read for ever. In `files` everything.
fn set_options(connection: &Connection) -> Result<(), LakeError> {
    let set = |table: &str, rows: u32| {
        connection.execute_batch(&format!(
            "CALL ducklake_set_option('{LAKE_NAME}', 'data_inlining_row_limit', {rows}, table_name => {})",
            quoted_text(table)
        ))
    };
    in_transaction(connection, || {
        for sql in split(&SCHEMA.concat()) {
            if let Statement::Partition(table) = classify(sql)? {
                set(table, 0)?;
            }
        }
        Ok(set("files", MAX_INLINED_CHECKSUMS)?)
    })
}

/// Gives a lake of an older format all that it lacks; `scratch` is an empty folder.
pub(super) fn upgrade(connection: &Connection, scratch: &Path) -> Result<(), LakeError> {
    let (columns, loosened) = with_wanted(connection, scratch, || {
        Ok((missing_columns(connection)?, loosened_columns(connection)?))
    })?;
    let tables = tables(connection, LAKE_NAME)?;
    let is_new = |table: &str| !tables.iter().any(|known| known == table);
    let schema = SCHEMA.concat();
    let statements: Vec<_> = split(&schema)
        .into_iter()
        .map(|sql| classify(sql).map(|statement| (statement, sql)))
        .collect::<Result<_, _>>()?;
    in_transaction(connection, || {
        for (statement, sql) in &statements {
            if matches!(statement, Statement::CreateTable(table) if is_new(table)) {
                connection.execute_batch(sql)?;
            }
        }
        for (table, column, data_type) in &columns {
            connection.execute_batch(&format!(
                "ALTER TABLE {} ADD COLUMN {} {data_type}",
                quoted_name(table),
                quoted_name(column)
            ))?;
        }
        for (table, column) in &loosened {
            connection.execute_batch(&format!(
                "ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                quoted_name(table),
                quoted_name(column)
            ))?;
        }
        for (statement, sql) in &statements {
            match statement {
                Statement::CreateTable(_) => {}
                Statement::Partition(table) => {
                    if is_new(table) {
                        connection.execute_batch(sql)?;
                    }
                }
                Statement::Create => {
                    connection.execute_batch(&sql.replacen("CREATE", "CREATE OR REPLACE", 1))?;
                }
                Statement::Sort | Statement::Comment => connection.execute_batch(sql)?,
            }
        }
        connection.execute(
            "UPDATE lake_format SET format_version = ?, posedata_version = ?",
            params![FORMAT_VERSION, env!("CARGO_PKG_VERSION")],
        )?;
        Ok(())
    })?;
    set_options(connection)
}

/// Runs `work` with an empty lake of today's format attached beside the one in use.
fn with_wanted<R>(
    connection: &Connection,
    scratch: &Path,
    work: impl FnOnce() -> Result<R, LakeError>,
) -> Result<R, LakeError> {
    let source = quoted_text(&format!("ducklake:{}/wanted.ducklake", scratch.display()));
    let data = quoted_text(&scratch.join("data").display().to_string());
    connection.execute_batch(&format!(
        "ATTACH {source} AS {WANTED_NAME} (DATA_PATH {data}); USE {WANTED_NAME}"
    ))?;
    // One by one, the statements would take many times as long.
    let filled = in_transaction(connection, || {
        Ok(connection.execute_batch(&SCHEMA.concat())?)
    });
    let result = filled.and_then(|()| work());
    connection.execute_batch(&format!("USE {LAKE_NAME}; DETACH {WANTED_NAME}"))?;
    result
}

/// Columns (table, name, type) that tables of the lake lack.
fn missing_columns(connection: &Connection) -> Result<Vec<(String, String, String)>, LakeError> {
    let sql = format!(
        "SELECT wanted.table_name, wanted.column_name, wanted.data_type
         FROM (FROM duckdb_columns() WHERE database_name = '{WANTED_NAME}') AS wanted
         ANTI JOIN (FROM duckdb_columns() WHERE database_name = '{LAKE_NAME}') AS known
             ON known.table_name = wanted.table_name AND known.column_name = wanted.column_name
         WHERE wanted.table_name IN (
             SELECT table_name FROM duckdb_tables() WHERE database_name = '{LAKE_NAME}'
         )
         ORDER BY wanted.table_name, wanted.column_index"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Columns (table, name) of the lake that do not take NULL, and do so today.
fn loosened_columns(connection: &Connection) -> Result<Vec<(String, String)>, LakeError> {
    let sql = format!(
        "SELECT known.table_name, known.column_name
         FROM (FROM duckdb_columns() WHERE database_name = '{LAKE_NAME}') AS known
         JOIN (FROM duckdb_columns() WHERE database_name = '{WANTED_NAME}') AS wanted
             ON known.table_name = wanted.table_name AND known.column_name = wanted.column_name
         WHERE wanted.is_nullable AND NOT known.is_nullable AND known.table_name IN (
             SELECT table_name FROM duckdb_tables() WHERE database_name = '{LAKE_NAME}'
         )
         ORDER BY known.table_name, known.column_index"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Names of the tables of the lake attached as `database`.
pub(super) fn tables(connection: &Connection, database: &str) -> Result<Vec<String>, LakeError> {
    let sql = format!(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = '{database}' ORDER BY ALL"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Single statements, without the semicolons between them. Comments stay with what follows them.
pub(super) fn split(sql: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut in_text = false;
    let mut in_comment = false;
    let mut before = '\n';
    for (position, c) in sql.char_indices() {
        match c {
            '\n' => in_comment = false,
            _ if in_comment => {}
            // A doubled quote ends the text and begins it again.
            '\'' => in_text = !in_text,
            '-' if before == '-' && !in_text => in_comment = true,
            ';' if !in_text => {
                statements.push(&sql[start..position]);
                start = position + 1;
            }
            _ => {}
        }
        before = c;
    }
    statements
}

/// Names of the functions of every lake that give tables.
pub fn table_macros() -> Vec<String> {
    let schema = SCHEMA.concat();
    let macros = split(&schema).into_iter().filter_map(|sql| {
        let (_, definition) = sql.split_once("CREATE MACRO ")?;
        let (head, _) = definition.split_once(" AS TABLE")?;
        // A function that gives a value may stand before one that gives a table.
        let (name, arguments) = head.split_once('(')?;
        (!arguments.contains(" AS\n")).then(|| name.trim().to_ascii_lowercase())
    });
    macros.collect()
}

pub(super) fn classify(sql: &str) -> Result<Statement<'_>, LakeError> {
    let is_code = |line: &&str| !line.trim_start().starts_with("--");
    let words = sql
        .lines()
        .filter(is_code)
        .flat_map(str::split_whitespace)
        .take(5);
    let words: Vec<&str> = words.collect();
    match words[..] {
        ["CREATE", "TABLE", table, ..] => Ok(Statement::CreateTable(table)),
        ["CREATE", "VIEW" | "MACRO", ..] => Ok(Statement::Create),
        ["ALTER", "TABLE", table, "SET", "PARTITIONED"] => Ok(Statement::Partition(table)),
        ["ALTER", "TABLE", _, "SET", "SORTED"] => Ok(Statement::Sort),
        ["COMMENT", "ON", ..] => Ok(Statement::Comment),
        _ => Err(LakeError::Database(format!(
            "a schema has a statement that an older lake cannot be given: {}",
            words.join(" ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_outside_texts_and_comments() {
        let sql =
            "-- it's; a comment\nCREATE TABLE a (b INT);\nCOMMENT ON TABLE a IS 'x; it''s -- y';";
        let statements = split(sql);
        assert_eq!(statements.len(), 2);
        assert!(statements[0].ends_with("(b INT)"));
        assert!(statements[1].ends_with("'x; it''s -- y'"));
    }

    #[test]
    fn every_statement_of_the_schemas_is_understood_and_none_is_lost() {
        let schema = SCHEMA.concat();
        let statements = split(&schema);
        for sql in &statements {
            classify(sql).expect("a known kind of statement");
        }
        let tables = statements
            .iter()
            .filter(|sql| matches!(classify(sql), Ok(Statement::CreateTable(_))));
        assert_eq!(tables.count(), schema.matches("\nCREATE TABLE ").count());
        let last = schema.trim_end().rfind(';').expect("a semicolon");
        assert_eq!(last + 1, schema.trim_end().len(), "the last one ends too");
    }

    #[test]
    fn a_statement_of_another_kind_is_refused() {
        assert!(classify("DROP TABLE videos").is_err());
    }
}
