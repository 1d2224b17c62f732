//! Keeps a query inside the lake.
//!
//! DuckDB's own seal (no external access but the data folder, configuration locked) still lets SQL
//! write into the folders that it may read, attach databases there, and call DuckLake's
//! maintenance. So only single SELECT statements pass, and only without those functions.

use std::path::Path;

use duckdb::Connection;

use super::error::{QueryError, sql_error};

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

/// Takes everything but reading the lake's data away from the session, for good.
pub fn seal(connection: &Connection, data: &Path) -> Result<(), QueryError> {
    let folder = format!("{}/", data.display()).replace('\'', "''");
    connection
        .execute_batch(&format!(
            "SET allowed_directories = ['{folder}'];
             SET enable_external_access = false;
             SET lock_configuration = true;"
        ))
        .map_err(sql_error)
}

/// Refuses SQL that is not one reading statement.
pub fn check(connection: &Connection, sql: &str) -> Result<(), QueryError> {
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
    match forbidden_function(&tree) {
        Some(name) => {
            let message = format!("the function {name} is not allowed in a sealed session");
            Err(QueryError::Forbidden(message))
        }
        None => Ok(()),
    }
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

fn forbidden_function(tree: &serde_json::Value) -> Option<&str> {
    let children: Box<dyn Iterator<Item = &serde_json::Value>> = match tree {
        serde_json::Value::Object(fields) => {
            if let Some(name) = fields.get("function_name").and_then(|name| name.as_str()) {
                let lower = name.to_ascii_lowercase();
                let changes_lake = lower.starts_with("ducklake_")
                    && !READING_DUCKLAKE_FUNCTIONS.contains(&lower.as_str());
                if changes_lake || SQL_RUNNING_FUNCTIONS.contains(&lower.as_str()) {
                    return Some(name);
                }
            }
            Box::new(fields.values())
        }
        serde_json::Value::Array(items) => Box::new(items.iter()),
        _ => return None,
    };
    children.into_iter().find_map(forbidden_function)
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
    fn explain_is_looked_through() {
        assert_eq!(
            without_explain("-- why\n EXPLAIN analyze SELECT 1"),
            "SELECT 1"
        );
        assert_eq!(without_explain("explained"), "explained");
        assert_eq!(without_explain("SELECT 'é'"), "SELECT 'é'");
    }
}
