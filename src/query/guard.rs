//! Keeps a query inside the lake.
//!
//! DuckDB's own seal (no external access but the data folder, configuration locked) still lets SQL
//! write into the folders that it may read, attach databases there, and call DuckLake's
//! maintenance. It knows nothing of what extensions bring: `postgres_query` would run in it. So only
//! single SELECT statements pass, and of functions that give tables only those that are known to
//! read no more than the lake.

use duckdb::Connection;

use super::addresses::{refused_in_call, refused_name};
use super::error::{QueryError, sql_error};
use crate::lake::table_macros;

/// DuckLake functions that only read; all others change something.
const READING_DUCKLAKE_FUNCTIONS: [&str; 9] = [
    "ducklake_current_snapshot",
    "ducklake_last_committed_snapshot",
    "ducklake_list_files",
    "ducklake_options",
    "ducklake_snapshots",
    "ducklake_table_changes",
    "ducklake_table_deletions",
    "ducklake_table_info",
    "ducklake_table_insertions",
];
/// Functions that run a text as SQL, which would hide it from this check.
const SQL_RUNNING_FUNCTIONS: [&str; 2] = ["query", "query_table"];

/// Functions that give tables: of nothing, of their arguments, of what the session is, or of files,
/// which DuckDB's own seal confines to the lake's.
const TABLE_FUNCTIONS: [&str; 38] = [
    "generate_series",
    "glob",
    "histogram",
    "histogram_values",
    "icu_calendar_names",
    "json_each",
    "json_tree",
    "parquet_bloom_probe",
    "parquet_file_metadata",
    "parquet_full_metadata",
    "parquet_kv_metadata",
    "parquet_metadata",
    "parquet_scan",
    "parquet_schema",
    "pg_timezone_names",
    "pragma_collations",
    "pragma_database_size",
    "pragma_show",
    "pragma_storage_info",
    "pragma_table_info",
    "pragma_version",
    "range",
    "read_blob",
    "read_csv",
    "read_csv_auto",
    "read_json",
    "read_json_auto",
    "read_json_objects",
    "read_ndjson",
    "read_ndjson_auto",
    "read_ndjson_objects",
    "read_parquet",
    "read_text",
    "repeat",
    "repeat_row",
    "sniff_csv",
    "summary",
    "unnest",
];
/// DuckDB's functions that tell of the session begin so.
const SESSION_PREFIX: &str = "duckdb_";
/// Those of them that could tell keys, or addresses with keys in them.
const TELLING_FUNCTIONS: [&str; 4] = [
    "duckdb_logs",
    "duckdb_logs_parsed",
    "duckdb_log_contexts",
    "duckdb_secrets",
];
/// The catalog's own tables, in a database that may hold other tables beside them, and other lakes in
/// other schemas.
const METADATA_PREFIX: &str = "__ducklake_metadata";
const METADATA_TABLE_PREFIX: &str = "ducklake_";

/// How places of files in buckets begin.
const BUCKET_SCHEME: &str = "s3://";

/// What a sealed session may read.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The schema of the database that has the lake's catalog, if one has.
    catalog_schema: Option<String>,
    has_bucket: bool,
}

impl Scope {
    /// `data` is where the lake's files lie: a folder or an `s3://` prefix.
    pub fn new(catalog_schema: Option<&str>, data: &str) -> Self {
        Self {
            catalog_schema: catalog_schema.map(str::to_owned),
            has_bucket: data.starts_with(BUCKET_SCHEME),
        }
    }
}

/// Takes everything but reading the lake's data away from the session, for good. `data` is where the
/// lake's files lie: a folder or an `s3://` prefix.
pub fn seal(connection: &Connection, data: &str) -> Result<(), QueryError> {
    let folder = format!("{data}/").replace('\'', "''");
    connection
        .execute_batch(&format!(
            "SET allowed_directories = ['{folder}'];
             SET enable_external_access = false;
             SET lock_configuration = true;"
        ))
        .map_err(sql_error)
}

/// Refuses SQL that is not one reading statement, or that reads what is out of scope.
pub fn check(connection: &Connection, sql: &str, scope: &Scope) -> Result<(), QueryError> {
    let statement = without_explain(sql);
    // The parser's function takes a literal only; doubled quotes are all that one needs.
    let literal = statement.replace('\'', "''");
    let tree: String = connection
        .query_row(
            &format!("SELECT json_serialize_sql('{literal}')"),
            [],
            |row| row.get(0),
        )
        .map_err(sql_error)?;
    let tree: serde_json::Value =
        serde_json::from_str(&tree).map_err(|e| QueryError::Sql(e.to_string()))?;
    if tree["error"].as_bool() == Some(true) {
        let message = tree["error_message"].as_str().unwrap_or("unknown error");
        if tree["error_type"] == "not implemented" {
            let message = "only SELECT statements are run (PIVOT needs its values: ON x IN (...))";
            return Err(QueryError::Forbidden(message.into()));
        }
        // A number, but written as a text.
        let position = tree["position"].as_str().and_then(|text| text.parse().ok());
        let skipped = sql.len() - statement.len();
        return Err(QueryError::Sql(with_line(
            sql,
            message,
            position.map(|p: usize| skipped + p),
        )));
    }
    match tree["statements"].as_array().map(Vec::len) {
        Some(1) => {}
        Some(0) | None => return Err(QueryError::Sql("the query is empty".into())),
        Some(_) => {
            let message = "only one statement at a time is run";
            return Err(QueryError::Forbidden(message.into()));
        }
    }
    match forbidden(&tree, &TableMacros::of_lakes(), scope) {
        Some(what) => {
            let message = format!("{what} is not allowed in a sealed session");
            Err(QueryError::Forbidden(message))
        }
        None => Ok(()),
    }
}

/// Names of the functions of lakes that give tables.
struct TableMacros(Vec<String>);

impl TableMacros {
    fn of_lakes() -> Self {
        Self(table_macros())
    }

    fn contain(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

/// What of a parsed statement is not allowed, in words.
fn forbidden(tree: &serde_json::Value, macros: &TableMacros, scope: &Scope) -> Option<String> {
    let children: Box<dyn Iterator<Item = &serde_json::Value>> = match tree {
        serde_json::Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
            let refused = match text("type") {
                Some("TABLE_FUNCTION") => {
                    let name = fields
                        .get("function")
                        .and_then(|f| f["function_name"].as_str());
                    // What has no name here is some other expression, and none of these functions.
                    let name = name.unwrap_or("this table function");
                    (!is_allowed_table_function(&name.to_ascii_lowercase(), macros)).then_some(name)
                }
                _ => None,
            };
            let refused = refused.or_else(|| text("function_name").filter(|name| changes(name)));
            if let Some(name) = refused {
                return Some(format!("the function {name}"));
            }
            let place = [text("catalog_name"), text("schema_name")].map(Option::unwrap_or_default);
            if let Some(table) = text("table_name")
                && !is_of_catalog(place, table, scope.catalog_schema.as_deref())
            {
                return Some(format!("the table {table} beside the catalog's own"));
            }
            if scope.has_bucket {
                let call = match text("type") {
                    Some("TABLE_FUNCTION") => fields.get("function"),
                    _ => None,
                };
                let refused = call.and_then(refused_in_call).or_else(|| {
                    let [catalog, schema] = place;
                    refused_name([catalog, schema, text("table_name")?])
                });
                if refused.is_some() {
                    return refused;
                }
            }
            Box::new(fields.values())
        }
        serde_json::Value::Array(items) => Box::new(items.iter()),
        _ => return None,
    };
    children
        .into_iter()
        .find_map(|child| forbidden(child, macros, scope))
}

/// Whether a table is none of the database with the catalog, or one of the catalog's own. `place` is
/// what is named before the table: catalog and schema, of which the first may be left out.
fn is_of_catalog(place: [&str; 2], table: &str, schema: Option<&str>) -> bool {
    let [catalog, named] = place.map(str::to_ascii_lowercase);
    let is_own = table
        .to_ascii_lowercase()
        .starts_with(METADATA_TABLE_PREFIX);
    let (is_whole, is_short) = (
        catalog.starts_with(METADATA_PREFIX),
        named.starts_with(METADATA_PREFIX),
    );
    match schema {
        _ if !is_whole && !is_short => true,
        None => is_own,
        // Without a schema, it is the database that chooses one.
        Some(schema) => is_own && is_whole && named == schema,
    }
}

fn is_allowed_table_function(name: &str, macros: &TableMacros) -> bool {
    TABLE_FUNCTIONS.contains(&name)
        || READING_DUCKLAKE_FUNCTIONS.contains(&name)
        || (name.starts_with(SESSION_PREFIX) && !TELLING_FUNCTIONS.contains(&name))
        || macros.contain(name)
}

/// Whether a function changes something, or runs a text as SQL.
fn changes(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let changes_lake =
        name.starts_with("ducklake_") && !READING_DUCKLAKE_FUNCTIONS.contains(&&*name);
    changes_lake || SQL_RUNNING_FUNCTIONS.contains(&&*name)
}

/// The message with the line that it is about, as the database itself tells of other errors.
fn with_line(sql: &str, message: &str, position: Option<usize>) -> String {
    let Some(before) = position.and_then(|position| sql.get(..position)) else {
        return message.into();
    };
    let number = before.matches('\n').count() + 1;
    let line = sql.lines().nth(number - 1).unwrap_or_default();
    format!("{message}\n\nLINE {number}: {line}")
}

/// The statement behind EXPLAIN or EXPLAIN ANALYZE, which run nothing but what they explain.
fn without_explain(sql: &str) -> &str {
    let mut rest = skip_comments(sql);
    for keyword in ["explain", "analyze"] {
        let Some(head) = rest.get(..keyword.len()) else {
            return rest;
        };
        let next = rest[keyword.len()..].chars().next();
        if head.eq_ignore_ascii_case(keyword) && next.is_some_and(char::is_whitespace) {
            rest = skip_comments(&rest[keyword.len()..]);
        }
    }
    rest
}

fn skip_comments(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    while let Some(comment) = rest.strip_prefix("--") {
        rest = comment
            .split_once('\n')
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_catalog_s_database_only_the_lake_s_own_tables_are_seen() {
        let is_of = |place, table| is_of_catalog(place, table, Some("gym"));
        let database = "__ducklake_metadata_lake";
        assert!(is_of(["", ""], "videos") && is_of(["lake", "main"], "private"));
        assert!(is_of([database, "gym"], "ducklake_snapshot"));
        assert!(!is_of([database, "gym"], "private"));
        assert!(!is_of([database, "other"], "ducklake_snapshot"));
        assert!(!is_of([database, "information_schema"], "ducklake_tables"));
        assert!(!is_of(["", database], "ducklake_snapshot"));
        assert!(!is_of(["", "__DUCKLAKE_METADATA_lake"], "private"));
        let of_file = |place, table| is_of_catalog(place, table, None);
        assert!(of_file(["", database], "ducklake_snapshot"));
        assert!(!of_file([database, "main"], "private"));
    }

    #[test]
    fn explain_is_looked_through() {
        assert_eq!(
            without_explain("-- why\n EXPLAIN analyze SELECT 1"),
            "SELECT 1"
        );
        assert_eq!(without_explain("explained"), "explained");
        assert_eq!(without_explain("SELECT 'é'"), "SELECT 'é'");
    }
}
