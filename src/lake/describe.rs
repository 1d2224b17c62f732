//! What the lake's tables hold, as the schemas say it: for the documents, without a lake.

use duckdb::Connection;

use super::error::LakeError;
use super::schema::{SCHEMA, Statement, classify, split};

/// A table or view of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// As SQL calls it, without the lake's own name.
    pub name: String,
    /// What `COMMENT ON` says of it: what a row is, and who writes it.
    pub comment: String,
    /// The column whose values are folders of the table's files.
    pub partition: Option<String>,
    /// Empty for views, whose columns are those of tables.
    pub columns: Vec<ColumnDescription>,
}

/// A column of a table, as its schema declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDescription {
    /// As SQL calls it, with its unit.
    pub name: String,
    /// DuckDB's name of the type, such as `DOUBLE`.
    pub data_type: String,
    /// Whether a value may be missing; the comment says when.
    pub is_nullable: bool,
    /// What `COMMENT ON` says of it: meaning, unit and range.
    pub comment: String,
}

/// Describes all tables and views, in the order of their creation.
///
/// # Errors
/// When the schemas are no SQL.
pub fn describe_tables() -> Result<Vec<TableDescription>, LakeError> {
    let connection = Connection::open_in_memory()?;
    let schema = SCHEMA.concat();
    let mut names = Vec::new();
    let mut partitions = Vec::new();
    for sql in split(&schema) {
        match classify(sql)? {
            // Only DuckLake knows these.
            Statement::Partition(table) => partitions.push((table, partition_column(sql))),
            Statement::Sort => {}
            Statement::CreateTable(table) => {
                connection.execute_batch(sql)?;
                names.push(table);
            }
            Statement::Create | Statement::Comment => connection.execute_batch(sql)?,
        }
    }
    let mut tables = Vec::new();
    for name in names {
        let partition = partitions.iter().find(|(table, _)| *table == name);
        let partition = partition.and_then(|(_, column)| column.clone());
        tables.push(TableDescription {
            partition,
            ..describe(&connection, name)?
        });
    }
    let mut views = connection.prepare(
        "SELECT view_name, coalesce(comment, '') FROM duckdb_views() WHERE NOT internal ORDER BY view_oid",
    )?;
    let views = views.query_map([], |row| {
        Ok(TableDescription {
            name: row.get(0)?,
            comment: row.get(1)?,
            partition: None,
            columns: Vec::new(),
        })
    })?;
    for view in views {
        tables.push(view?);
    }
    Ok(tables)
}

fn describe(connection: &Connection, table: &str) -> Result<TableDescription, LakeError> {
    let comment = connection.query_row(
        "SELECT coalesce(comment, '') FROM duckdb_tables() WHERE table_name = ?",
        [table],
        |row| row.get(0),
    )?;
    let mut columns = connection.prepare(
        "SELECT column_name, data_type, is_nullable, coalesce(comment, '')
         FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
    )?;
    let columns = columns.query_map([table], |row| {
        Ok(ColumnDescription {
            name: row.get(0)?,
            data_type: row.get(1)?,
            is_nullable: row.get(2)?,
            comment: row.get(3)?,
        })
    })?;
    Ok(TableDescription {
        name: table.into(),
        comment,
        partition: None,
        columns: columns.collect::<Result<_, _>>()?,
    })
}

/// The column in the brackets of `SET PARTITIONED BY (column)`.
fn partition_column(sql: &str) -> Option<String> {
    let (_, rest) = sql.rsplit_once('(')?;
    Some(rest.split_once(')')?.0.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_the_lake_has_a_comment() {
        let tables = describe_tables().expect("schemas");
        let schema = SCHEMA.concat();
        let created = schema.matches("\nCREATE TABLE ").count();
        let views = schema.matches("\nCREATE VIEW ").count();
        assert_eq!(tables.len(), created + views);
        for table in &tables {
            assert!(!table.comment.is_empty(), "{}", table.name);
            for column in &table.columns {
                assert!(!column.comment.is_empty(), "{}.{}", table.name, column.name);
            }
        }
    }

    #[test]
    fn partitions_are_those_of_the_schemas() {
        let tables = describe_tables().expect("schemas");
        let partition = |name: &str| {
            let table = tables.iter().find(|table| table.name == name);
            table.expect("a table").partition.clone()
        };
        assert_eq!(partition("landmarks").as_deref(), Some("sport"));
        assert_eq!(partition("examples").as_deref(), Some("dataset"));
        assert_eq!(partition("videos"), None);
    }
}
