//! SQL of whoever looks: in the sealed session, with limits.

use std::io::{self, Write};
use std::time::Instant;

use arrow::array::RecordBatch;
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::{Kind, Problem};
use super::rows::{JsonRows, columns_of};
use crate::query::{Format, Query, QueryError, Session, parameters};
use crate::shipped::{self, ShippedKind};

/// Rows of one result on the page.
pub const MAX_ROWS: usize = 10_000;
/// Bytes of one result on the page, about.
pub const MAX_BYTES: usize = 16 << 20;
/// Bytes of a result as CSV.
pub const MAX_CSV_BYTES: u64 = 64 << 20;

/// What the page sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    sql: String,
    #[serde(default)]
    params: std::collections::BTreeMap<String, Value>,
    limit: Option<usize>,
}

impl Question {
    fn query(&self) -> Result<Query, Problem> {
        let params = self.params.iter().map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    return Err(Problem::bad(
                        "values of params are texts, numbers, true or false",
                    ));
                }
            };
            Ok((name.clone(), text))
        });
        Ok(Query::new(
            self.sql.clone(),
            params.collect::<Result<_, _>>()?,
        ))
    }
}

/// The result's first rows.
///
/// # Errors
/// When the SQL is wrong or not allowed.
pub fn answer(session: &Session, question: &Question) -> Result<Value, Problem> {
    let started = Instant::now();
    let limit = question.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS);
    // One more tells whether there are more.
    let query = session.cut(question.query()?, limit as u64 + 1);
    let (columns, rows) =
        session.read_as::<_, Problem>(&query, Format::Csv, |schema, batches| {
            let mut rows = JsonRows::default();
            for batch in batches {
                if !rows.push(&batch, limit, MAX_BYTES)? {
                    break;
                }
            }
            Ok((columns_of(schema), rows))
        })?;
    Ok(json!({
        "columns": columns,
        "row_count": rows.rows.len(),
        "is_cut": rows.is_cut,
        "rows": rows.rows,
        "secs": started.elapsed().as_secs_f64(),
    }))
}

/// The result as CSV.
///
/// # Errors
/// When the SQL is wrong or not allowed, or the result too large.
pub fn csv(session: &Session, question: &Question) -> Result<Vec<u8>, Problem> {
    let query = question.query()?;
    let query = match question.limit {
        Some(limit) => session.cut(query, limit as u64),
        None => query,
    };
    csv_of(session, &query)
}

/// Writes a query's result as CSV, as `posedata query` does.
///
/// # Errors
/// When the SQL is wrong or not allowed, or the result too large.
pub fn csv_of(session: &Session, query: &Query) -> Result<Vec<u8>, Problem> {
    let mut out = Bounded::default();
    let written = session.read_as::<_, QueryError>(query, Format::Csv, |schema, batches| {
        let unwritable = |e: arrow::error::ArrowError| QueryError::Unwritable(e.to_string());
        let mut writer = arrow::csv::WriterBuilder::new().build(&mut out);
        // An empty result has a header too.
        let header = RecordBatch::new_empty(std::sync::Arc::new(schema.clone()));
        writer.write(&header).map_err(unwritable)?;
        for batch in batches {
            writer.write(&batch).map_err(unwritable)?;
        }
        Ok(())
    });
    if out.is_full {
        let message = format!("the table has more than {} MiB", MAX_CSV_BYTES >> 20);
        return Err(Problem::new(Kind::TooLarge, message).with_remedy(
            "ask for less, or write it with `posedata query --format csv --output FILE`",
        ));
    }
    written?;
    Ok(out.bytes)
}

/// Takes as many bytes as an answer may have.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > MAX_CSV_BYTES {
            self.is_full = true;
            return Err(io::Error::other("the answer is full"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The queries that come with the program.
pub fn shipped_queries() -> Value {
    let queries = shipped::files().iter();
    let queries = queries.filter(|file| file.kind() == ShippedKind::Query);
    let queries = queries.map(|file| {
        let params = parameters(file.text).into_iter().map(|parameter| {
            json!({
                "name": parameter.name,
                "is_needed": parameter.default.is_none(),
                "default": parameter.default,
                "meaning": parameter.meaning,
            })
        });
        json!({
            "name": file.stem(),
            "title": file.about(),
            "sql": file.text,
            "params": params.collect::<Vec<_>>(),
        })
    });
    json!({ "queries": queries.collect::<Vec<_>>() })
}
