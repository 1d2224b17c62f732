//! Rows of the lake as values of this program, and results of anybody's SQL as JSON.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Kind, Problem};
use crate::query::{Format, Query, QueryError, Session};

/// Integers beyond it are not exact in JavaScript.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// A decimal number with no more digits comes out of a 64-bit float as it went in.
const MAX_SAFE_DIGITS: usize = 15;
/// What a value takes in memory beside its text, as a rule of thumb.
const VALUE_BYTES: usize = 32;

/// Reads rows by the names of their columns. `params` are values of parameters that the SQL's header
/// declares.
///
/// # Errors
/// When the SQL is wrong, or a row is not of that shape.
pub fn rows<T: DeserializeOwned>(
    session: &Session,
    sql: &str,
    params: &[(&str, &str)],
) -> Result<Vec<T>, Problem> {
    let mut bytes = Vec::new();
    session.read_as::<_, QueryError>(&query(sql, params), Format::Json, |_, batches| {
        let mut writer = arrow::json::ArrayWriter::new(&mut bytes);
        let unwritable = |e: arrow::error::ArrowError| QueryError::Unwritable(e.to_string());
        for batch in batches {
            writer.write(&batch).map_err(unwritable)?;
        }
        writer.finish().map_err(unwritable)
    })?;
    // Without a row nothing is written.
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let unexpected = |e: serde_json::Error| {
        Problem::new(
            Kind::Failed,
            format!("the lake has rows of another shape ({e})"),
        )
    };
    serde_json::from_slice(&bytes).map_err(unexpected)
}

/// A query with the values of its parameters.
pub fn query(sql: &str, params: &[(&str, &str)]) -> Query {
    let params = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Query::new(sql.to_owned(), params.collect())
}

/// The column of a batch by its number, as 64-bit floats or integers whatever its own type is.
pub fn column(batch: &RecordBatch, index: usize) -> Result<&ArrayRef, Problem> {
    let missing = || Problem::new(Kind::Failed, "the lake gave fewer columns than asked for");
    batch.columns().get(index).ok_or_else(missing)
}

/// A result as JSON, as far as it was read.
#[derive(Debug, Default)]
pub struct JsonRows {
    /// One list a row.
    pub rows: Vec<Vec<Value>>,
    /// There were more than these.
    pub is_cut: bool,
    bytes: usize,
}

impl JsonRows {
    /// Adds rows until there are `most_rows`, or about `most_bytes`; `false` when there is no room
    /// for more.
    ///
    /// # Errors
    /// When a value cannot be shown.
    pub fn push(
        &mut self,
        batch: &RecordBatch,
        most_rows: usize,
        most_bytes: usize,
    ) -> Result<bool, QueryError> {
        let shown = |e: arrow::error::ArrowError| QueryError::Unwritable(e.to_string());
        let options = FormatOptions::default();
        let columns = batch.columns().iter().map(|column| {
            let formatter = ArrayFormatter::try_new(column, &options).map_err(shown)?;
            Ok::<_, QueryError>((column, formatter))
        });
        let columns = columns.collect::<Result<Vec<_>, QueryError>>()?;
        for row in 0..batch.num_rows() {
            if self.rows.len() >= most_rows || self.bytes >= most_bytes {
                self.is_cut = true;
                return Ok(false);
            }
            let values = columns.iter().map(|(column, formatter)| {
                if let Some(value) = json_value(column, row) {
                    return Ok(value);
                }
                let text = formatter.value(row).try_to_string().map_err(shown)?;
                let number = decimal(column.data_type(), &text);
                Ok(number.unwrap_or(Value::String(text)))
            });
            let values = values.collect::<Result<Vec<_>, QueryError>>()?;
            self.bytes += values.iter().map(byte_size).sum::<usize>();
            self.rows.push(values);
        }
        Ok(true)
    }
}

fn byte_size(value: &Value) -> usize {
    let text_bytes = match value {
        Value::String(text) => text.len(),
        _ => 0,
    };
    VALUE_BYTES + text_bytes
}

/// Whether JavaScript has numbers for a column.
pub fn is_number(data_type: &DataType) -> bool {
    let is_float = matches!(data_type, DataType::Float32 | DataType::Float64);
    data_type.is_integer() || is_float || is_decimal(data_type)
}

/// Names and types of a result's columns.
pub fn columns_of(schema: &Schema) -> Vec<Value> {
    let columns = schema.fields().iter().map(|field| {
        serde_json::json!({
            "name": field.name(),
            "type": field.data_type().to_string(),
            "is_number": is_number(field.data_type()),
        })
    });
    columns.collect()
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _)
    )
}

/// A decimal number, such as a sum of integers, as one of JSON's; `None` where digits would be lost.
fn decimal(data_type: &DataType, text: &str) -> Option<Value> {
    let is_exact = text.bytes().filter(u8::is_ascii_digit).count() <= MAX_SAFE_DIGITS;
    let number = (is_decimal(data_type) && is_exact).then(|| serde_json::from_str(text).ok());
    number.flatten().map(Value::Number)
}

/// A value in JSON's own types; `None` for what only has a text.
fn json_value(column: &ArrayRef, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return Some(Value::Null);
    }
    let signed = |value: i64| (value.unsigned_abs() <= MAX_SAFE_INTEGER).then(|| value.into());
    let unsigned = |value: u64| (value <= MAX_SAFE_INTEGER).then(|| value.into());
    match column.data_type() {
        DataType::Boolean => Some(column.as_boolean().value(row).into()),
        DataType::Int8 => signed(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => signed(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => signed(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => signed(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => unsigned(column.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => unsigned(column.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => unsigned(column.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => unsigned(column.as_primitive::<UInt64Type>().value(row)),
        // The shortest digits that mean the value, not those of its neighbour in 64 bits.
        DataType::Float32 => {
            serde_json::from_str(&column.as_primitive::<Float32Type>().value(row).to_string()).ok()
        }
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            serde_json::Number::from_f64(value).map(Value::Number)
        }
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int64Array,
        StringArray,
    };
    use arrow::datatypes::i256;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_what_they_are() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "n",
                Arc::new(Int64Array::from(vec![Some(7), None, Some(i64::MAX)])),
            ),
            (
                "f",
                Arc::new(Float32Array::from(vec![0.1, f32::NAN, f32::INFINITY])),
            ),
            (
                "d",
                Arc::new(Float64Array::from(vec![0.1, 1e300, f64::NAN])),
            ),
            ("b", Arc::new(BooleanArray::from(vec![true, false, true]))),
            ("t", Arc::new(StringArray::from(vec!["<script>", "", "é"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let mut rows = JsonRows::default();
        assert!(rows.push(&batch, 10, 10_000).expect("rows"));
        assert_eq!(
            rows.rows,
            [
                vec![
                    json!(7),
                    json!(0.1),
                    json!(0.1),
                    json!(true),
                    json!("<script>")
                ],
                vec![
                    json!(null),
                    json!("NaN"),
                    json!(1e300),
                    json!(false),
                    json!("")
                ],
                vec![
                    json!("9223372036854775807"),
                    json!("inf"),
                    json!("NaN"),
                    json!(true),
                    json!("é")
                ],
            ]
        );
        assert!(!rows.is_cut);
    }

    #[test]
    fn sums_and_decimals_are_numbers_as_long_as_no_digit_is_lost() {
        let sums = [Some(-12), None, Some(10_i128.pow(20))].map(|sum| sum.map(i256::from_i128));
        let sums = Decimal256Array::from(sums.to_vec());
        let shares = Decimal128Array::from(vec![1234, -5, 0]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "sum",
                Arc::new(sums.with_precision_and_scale(39, 0).expect("a type")),
            ),
            (
                "share",
                Arc::new(shares.with_precision_and_scale(9, 3).expect("a type")),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let mut rows = JsonRows::default();
        assert!(rows.push(&batch, 10, 10_000).expect("rows"));
        assert_eq!(
            rows.rows,
            [
                vec![json!(-12), json!(1.234)],
                vec![json!(null), json!(-0.005)],
                vec![json!("100000000000000000000"), json!(0.0)],
            ]
        );
        let schema = batch.schema();
        assert!(schema.fields().iter().all(|f| is_number(f.data_type())));
    }

    #[test]
    fn rows_and_bytes_are_bounded() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1000); 50]));
        let batch = RecordBatch::try_from_iter([("t", texts)]).expect("a column");
        let mut rows = JsonRows::default();
        assert!(!rows.push(&batch, 7, usize::MAX).expect("rows"));
        assert_eq!((rows.rows.len(), rows.is_cut), (7, true));
        let mut bytes = JsonRows::default();
        assert!(!bytes.push(&batch, usize::MAX, 10_000).expect("rows"));
        assert_eq!((bytes.rows.len(), bytes.is_cut), (10, true));
    }
}
