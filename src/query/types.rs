//! Which of DuckDB's types each format holds whole, and what is done about the others.
//!
//! Results come as Arrow, which has no type for some of DuckDB's (an offset beside a time, integers
//! of 128 bits), and some of Arrow's types have no counterpart in a format. A column that would
//! lose something is asked for as DuckDB's own text instead where the format is made of text, and
//! refused, with a cast that helps, where it is not.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal256Array, RecordBatch, make_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, i256,
};
use duckdb::core::{LogicalTypeHandle, LogicalTypeId};

use super::format::Format;

/// Digits of the longest 128-bit integers, with and without sign.
const HUGEINT_DIGITS: u8 = 39;
/// The most that a decimal number of 128 bits is declared to have, in Arrow and in Parquet files
/// that others read.
const MAX_DECIMAL_DIGITS: u8 = 38;
/// Arrow's writers of text know years up to 262,000 or so, DuckDB dates beyond, and infinity.
const MAX_DAYS: i64 = 95_000_000;
const SECS_PER_DAY: i64 = 86_400;

/// How a column gets into a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// As Arrow has it.
    Whole,
    /// As DuckDB's text.
    AsText,
    Refused,
}

/// How a column of a type gets into a format without losing anything.
pub fn passage(kind: &LogicalTypeHandle, format: Format) -> Passage {
    use LogicalTypeId as Id;
    let id = kind.id();
    let is_nested = kind.num_children() > 0 || id == Id::Unsupported;
    // Arrow gets these without an offset, as packed bits, as negative numbers beyond 2^127, with
    // more nanoseconds than it can count, or not at all.
    let is_lossy = |id: Id| {
        matches!(
            id,
            Id::TimeTZ
                | Id::Bit
                | Id::Bignum
                | Id::Variant
                | Id::Geometry
                | Id::Union
                | Id::Interval
                | Id::UHugeint
                | Id::Any
                | Id::Invalid
                | Id::StringLiteral
                | Id::IntegerLiteral
                | Id::Unsupported
        )
    };
    // Bytes have no usual text but DuckDB's; 24:00:00 is a time in DuckDB, not in Arrow.
    let is_odd_as_text = |id: Id| matches!(id, Id::Blob | Id::Time | Id::TimeNs);
    let needs_text = match format {
        Format::Parquet | Format::Arrow if any(kind, &|kind| is_lossy(kind.id())) => {
            return Passage::Refused;
        }
        Format::Parquet | Format::Arrow => false,
        // Numbers of 128 bits without a sign are widened below; within lists they are not.
        _ if id == Id::UHugeint => false,
        Format::Table | Format::Csv => is_nested || is_lossy(id) || is_odd_as_text(id),
        Format::Json | Format::Jsonl => any(kind, &|kind| {
            let id = kind.id();
            // Keys of JSON's objects are texts.
            let has_other_keys = id == Id::Map && kind.child(0).id() != Id::Varchar;
            is_lossy(id) || is_odd_as_text(id) || has_other_keys
        }),
    };
    if needs_text {
        Passage::AsText
    } else {
        Passage::Whole
    }
}

/// Whether a type, or one within it, fulfils a condition.
fn any(kind: &LogicalTypeHandle, condition: &dyn Fn(&LogicalTypeHandle) -> bool) -> bool {
    condition(kind) || (0..kind.num_children()).any(|i| any(&kind.child(i), condition))
}

/// Why a column cannot be written, and what can be done in the query.
pub fn refusal(name: &str, kind: &LogicalTypeHandle, format: Format) -> String {
    let column = quoted_name(name);
    let kind = type_name(kind.id());
    let cast = match kind {
        "INTERVAL" => format!("epoch({column}) gives seconds, {column}::VARCHAR a text"),
        "UHUGEINT" | "BIGNUM" => {
            format!("{column}::DECIMAL(38, 0) gives up to 38 digits, {column}::VARCHAR a text")
        }
        _ => format!("{column}::VARCHAR gives a text"),
    };
    format!(
        "{} cannot hold the column {column}, which is of the type {kind}; cast it in the query: {cast}",
        format.title()
    )
}

fn type_name(id: LogicalTypeId) -> &'static str {
    use LogicalTypeId as Id;
    match id {
        Id::Interval => "INTERVAL",
        Id::UHugeint => "UHUGEINT",
        Id::Bignum => "BIGNUM",
        Id::TimeTZ => "TIME WITH TIME ZONE",
        Id::Bit => "BIT",
        Id::Union => "UNION",
        Id::Variant => "VARIANT",
        Id::Geometry => "GEOMETRY",
        Id::List => "LIST, with values of a type that has no counterpart there",
        Id::Struct => "STRUCT, with values of a type that has no counterpart there",
        Id::Map => "MAP, with values of a type that has no counterpart there",
        Id::Array => "ARRAY, with values of a type that has no counterpart there",
        _ => "that has no counterpart there",
    }
}

fn quoted_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && name.chars().all(is_plain) && !name.starts_with(char::is_numeric) {
        name.into()
    } else {
        quoted(name)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The query with some of its columns as DuckDB's texts.
pub fn with_texts(sql: &str, names: &[&str], passages: &[Passage]) -> String {
    let columns = names
        .iter()
        .zip(passages)
        .enumerate()
        .map(|(i, (name, passage))| {
            let position = i + 1;
            match passage {
                Passage::AsText => format!("CAST(#{position} AS VARCHAR) AS {}", quoted(name)),
                Passage::Whole | Passage::Refused => format!("#{position} AS {}", quoted(name)),
            }
        });
    let columns: Vec<String> = columns.collect();
    format!(
        "SELECT {} FROM (\n{}\n)",
        columns.join(", "),
        without_end(sql)
    )
}

/// The query's first rows.
pub fn with_limit(sql: &str, most_rows: u64) -> String {
    format!("SELECT * FROM (\n{}\n) LIMIT {most_rows}", without_end(sql))
}

/// The statement without the semicolon, and the comments of whole lines, behind it.
fn without_end(sql: &str) -> &str {
    let mut rest = sql.trim_end();
    loop {
        let last_line = rest.rsplit('\n').next().unwrap_or_default();
        if last_line.trim_start().starts_with("--") {
            rest = rest[..rest.len() - last_line.len()].trim_end();
        } else if let Some(before) = rest.strip_suffix(';') {
            rest = before.trim_end();
        } else {
            return rest;
        }
    }
}

/// How batches are changed so that a format's writer writes every value as it is.
pub struct Adaptation {
    format: Format,
    schema: SchemaRef,
    unsigned: Vec<bool>,
}

impl Adaptation {
    /// For columns of these Arrow and DuckDB types.
    pub fn new(schema: &Schema, kinds: &[LogicalTypeHandle], format: Format) -> Self {
        let fields = schema.fields().iter().zip(kinds).map(|(field, kind)| {
            let is_hugeint = any(kind, &|kind| {
                matches!(kind.id(), LogicalTypeId::Hugeint | LogicalTypeId::UHugeint)
            });
            let wanted = wanted_type(field.data_type(), is_hugeint, format);
            Arc::new(Field::new(field.name(), wanted, field.is_nullable()))
        });
        Self {
            format,
            schema: Arc::new(Schema::new(fields.collect::<Fields>())),
            unsigned: kinds
                .iter()
                .map(|kind| kind.id() == LogicalTypeId::UHugeint)
                .collect(),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The same rows, in types that the format's writer takes.
    ///
    /// # Errors
    /// When a value is too long or too large for the format; the message names its column.
    pub fn adapt(&self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let columns = batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .zip(&self.unsigned);
        let columns = columns
            .map(|((column, field), is_unsigned)| self.adapt_column(column, field, *is_unsigned));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| e.to_string())
    }

    fn adapt_column(
        &self,
        column: &ArrayRef,
        field: &FieldRef,
        is_unsigned: bool,
    ) -> Result<ArrayRef, String> {
        let name = quoted_name(field.name());
        match self.format {
            Format::Parquet | Format::Arrow if !decimals_fit(column.as_ref()) => {
                let title = self.format.title();
                return Err(format!(
                    "the column {name} has numbers of more than {MAX_DECIMAL_DIGITS} digits, which {title} cannot hold; cast it in the query: {name}::VARCHAR gives a text, {name}::DOUBLE about 16 digits"
                ));
            }
            Format::Parquet | Format::Arrow => {}
            _ if !times_fit(column.as_ref()) => {
                return Err(format!(
                    "the column {name} has a date that {} cannot hold, such as infinity; cast it in the query: {name}::VARCHAR gives a text",
                    self.format.title()
                ));
            }
            _ => {}
        }
        if is_unsigned && !self.format.is_binary() {
            return widen_unsigned(column).map_err(|e| e.to_string());
        }
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        // What does not fit is an error, not NULL.
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        cast_with_options(column, field.data_type(), &options)
            .map_err(|e| format!("the column {name} cannot be written: {e}"))
    }
}

/// The Arrow type in which a format's writer writes all of a column.
fn wanted_type(kind: &DataType, is_hugeint: bool, format: Format) -> DataType {
    let within = |field: &FieldRef| -> FieldRef {
        let wanted = wanted_type(field.data_type(), is_hugeint, format);
        Arc::new(field.as_ref().clone().with_data_type(wanted))
    };
    match (kind, format) {
        // Arrow declares 38 digits, and cuts off what goes beyond them when it writes text.
        (DataType::Decimal128(MAX_DECIMAL_DIGITS, 0), Format::Table | Format::Csv)
        | (DataType::Decimal128(MAX_DECIMAL_DIGITS, 0), Format::Json | Format::Jsonl)
            if is_hugeint =>
        {
            DataType::Decimal256(HUGEINT_DIGITS, 0)
        }
        // Parquet knows no seconds; readers would find plain numbers.
        (DataType::Timestamp(TimeUnit::Second, zone), Format::Parquet) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        (DataType::List(field), _) => DataType::List(within(field)),
        (DataType::LargeList(field), _) => DataType::LargeList(within(field)),
        (DataType::FixedSizeList(field, size), _) => DataType::FixedSizeList(within(field), *size),
        (DataType::Struct(fields), _) => DataType::Struct(fields.iter().map(within).collect()),
        (DataType::Map(field, is_sorted), _) => DataType::Map(within(field), *is_sorted),
        (other, _) => other.clone(),
    }
}

/// Numbers of 128 bits without a sign come in the bits of numbers with one.
fn widen_unsigned(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    let numbers = column.as_primitive::<arrow::datatypes::Decimal128Type>();
    let wide: Decimal256Array = numbers
        .iter()
        .map(|number| number.map(|n| i256::from_parts(n as u128, 0)))
        .collect();
    Ok(Arc::new(wide.with_precision_and_scale(HUGEINT_DIGITS, 0)?))
}

/// Whether all decimal numbers have as many digits as their type declares.
fn decimals_fit(array: &dyn Array) -> bool {
    if let DataType::Decimal128(precision, _) = array.data_type() {
        let numbers = array.as_primitive::<arrow::datatypes::Decimal128Type>();
        return numbers.validate_decimal_precision(*precision).is_ok();
    }
    within_all(array, &decimals_fit)
}

/// Whether all dates and times of day are among those that are written as text.
fn times_fit(array: &dyn Array) -> bool {
    let fits = |value: i64, per_sec: i64| {
        // Infinity, which DuckDB has in all units.
        let is_infinite = value == i64::MAX || value == -i64::MAX;
        !is_infinite && (value / per_sec / SECS_PER_DAY).abs() <= MAX_DAYS
    };
    match array.data_type() {
        DataType::Date32 => (array.as_primitive::<Date32Type>().iter().flatten())
            .all(|days| i64::from(days).abs() <= MAX_DAYS),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().iter())
                .flatten()
                .all(|value| fits(value, 1)),
            TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().iter())
                .flatten()
                .all(|value| fits(value, 1_000)),
            TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().iter())
                .flatten()
                .all(|value| fits(value, 1_000_000)),
            TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().iter())
                .flatten()
                .all(|value| fits(value, 1_000_000_000)),
        },
        _ => within_all(array, &times_fit),
    }
}

fn within_all(array: &dyn Array, is_fit: &dyn Fn(&dyn Array) -> bool) -> bool {
    if !array.data_type().is_nested() {
        return true;
    }
    let data = array.to_data();
    let mut children = data.child_data().iter();
    children.all(|child| is_fit(make_array(child.clone()).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_statement_is_found_behind_comments() {
        for sql in [
            "select 1",
            "select 1 ;\n",
            "select 1;\n-- why\n  -- how\n",
            "select 1\n-- why;\n;",
        ] {
            assert_eq!(without_end(sql), "select 1", "{sql}");
        }
        assert_eq!(without_end("select ';'"), "select ';'");
    }

    #[test]
    fn columns_keep_their_names_whatever_these_are() {
        let sql = with_texts("from t", &["a", "b\"c"], &[Passage::Whole, Passage::AsText]);
        assert_eq!(
            sql,
            "SELECT #1 AS \"a\", CAST(#2 AS VARCHAR) AS \"b\"\"c\" FROM (\nfrom t\n)"
        );
        assert_eq!(quoted_name("time_secs"), "time_secs");
        assert_eq!(quoted_name("count(*)"), "\"count(*)\"");
    }
}
