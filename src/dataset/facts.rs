//! Rows of a recipe's SQL as values that templates and JSON understand.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Schema, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use minijinja::Value;
use minijinja::value::ValueKind;

use super::recipe::Recipe;
use super::{DatasetError, Lineage};

/// Columns that say which frames a row speaks of.
pub const LINEAGE_COLUMNS: [&str; 4] = ["video_id", "person", "frame_start", "frame_end"];

/// A list of structs: further questions about the row's table. Their fields stand in for the row's
/// columns of the same names.
pub const MORE_QUESTIONS: &str = "more_questions";

/// A row of a recipe's SQL.
#[derive(Clone, Debug)]
pub struct FactRow {
    pub video_id: String,
    pub person: u16,
    pub frame_start: u64,
    pub frame_end: u64,
    /// All other columns, in their order.
    pub facts: Vec<(String, Value)>,
}

impl FactRow {
    pub fn lineage(&self, sport: &str) -> Lineage {
        Lineage {
            video_id: self.video_id.clone(),
            sport: sport.into(),
            person: self.person,
            frame_start: self.frame_start,
            frame_end: self.frame_end,
        }
    }

    /// Which frames of whom.
    pub fn key(&self) -> (&str, u16, u64, u64) {
        (
            &self.video_id,
            self.person,
            self.frame_start,
            self.frame_end,
        )
    }

    /// What a template sees of each of at most `most` questions: all columns, the recipe's
    /// parameters, the video; of a further question its own fields in their place.
    ///
    /// # Errors
    /// When `more_questions` is something else than a list of structs whose fields are columns.
    pub fn contexts(
        &self,
        recipe: &Recipe,
        params: &Value,
        video: &Value,
        most: usize,
    ) -> Result<Vec<Value>, DatasetError> {
        let mut contexts = vec![self.context(&[], params, video)];
        for further in self.further_questions(recipe)?.into_iter().take(most - 1) {
            contexts.push(self.context(&further, params, video));
        }
        Ok(contexts)
    }

    fn context(&self, further: &[(String, Value)], params: &Value, video: &Value) -> Value {
        let lineage = [
            ("video_id", Value::from(self.video_id.as_str())),
            ("person", self.person.into()),
            ("frame_start", self.frame_start.into()),
            ("frame_end", self.frame_end.into()),
            ("params", params.clone()),
            ("video", video.clone()),
        ];
        // Of equal names the last one counts.
        let facts =
            (self.facts.iter().chain(further)).map(|(name, value)| (name.as_str(), value.clone()));
        Value::from_pairs(facts.chain(lineage))
    }

    /// The fields of each further question.
    fn further_questions(
        &self,
        recipe: &Recipe,
    ) -> Result<Vec<Vec<(String, Value)>>, DatasetError> {
        let mut columns = self.facts.iter();
        let Some((_, list)) = columns.find(|(name, _)| name == MORE_QUESTIONS) else {
            return Ok(Vec::new());
        };
        let wrong = |reason: &str| recipe.sql_error(&format!("column '{MORE_QUESTIONS}' {reason}"));
        if list.is_none() {
            return Ok(Vec::new());
        }
        let not_structs = || wrong("is no list of structs");
        if list.kind() != ValueKind::Seq {
            return Err(not_structs());
        }
        let mut questions = Vec::new();
        for question in list.try_iter().map_err(|_| not_structs())? {
            if question.kind() != ValueKind::Map {
                return Err(not_structs());
            }
            let mut fields = Vec::new();
            for name in question.try_iter().map_err(|_| not_structs())? {
                let value = question.get_item(&name).map_err(|_| not_structs())?;
                let name = name.to_string();
                if !self.facts.iter().any(|(column, _)| *column == name) {
                    return Err(wrong(&format!(
                        "has a field '{name}', which is no column of the row"
                    )));
                }
                fields.push((name, value));
            }
            questions.push(fields);
        }
        Ok(questions)
    }

    /// The facts as JSON.
    pub fn json(&self) -> serde_json::Value {
        let facts = self.facts.iter().map(|(name, value)| {
            let value = serde_json::to_value(value).unwrap_or(serde_json::Value::Null);
            (name.clone(), value)
        });
        serde_json::Value::Object(facts.collect())
    }
}

/// Names of all columns, of which those of the lineage must be there.
///
/// # Errors
/// When one of them is not.
pub fn columns(recipe: &Recipe, schema: &Schema) -> Result<Vec<String>, DatasetError> {
    let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let missing = LINEAGE_COLUMNS
        .iter()
        .find(|column| !names.iter().any(|name| name == *column));
    match missing {
        None => Ok(names),
        Some(column) => Err(recipe.sql_error(&format!(
            "the SQL returns no column '{column}', which says where a row comes from; it returns {}",
            names.join(", ")
        ))),
    }
}

/// The rows of a batch.
///
/// # Errors
/// When a lineage column holds NULL or is of another type.
pub fn rows(recipe: &Recipe, batch: &RecordBatch) -> Result<Vec<FactRow>, DatasetError> {
    let schema = batch.schema();
    let lineage = |row: usize, column: &str| -> Result<Value, DatasetError> {
        let array = batch
            .column_by_name(column)
            .filter(|array| !array.is_null(row));
        let value = array.map(|array| value(array.as_ref(), row));
        value.ok_or_else(|| recipe.sql_error(&format!("column '{column}' is NULL in a row")))
    };
    let number = |row: usize, column: &str| -> Result<u64, DatasetError> {
        u64::try_from(lineage(row, column)?).map_err(|_| {
            recipe.sql_error(&format!("column '{column}' is not a whole number from 0"))
        })
    };
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let person = number(row, "person")?;
        let facts = schema.fields().iter().zip(batch.columns());
        let facts = facts.filter(|(field, _)| !LINEAGE_COLUMNS.contains(&field.name().as_str()));
        rows.push(FactRow {
            video_id: lineage(row, "video_id")?.to_string(),
            person: u16::try_from(person)
                .map_err(|_| recipe.sql_error("column 'person' is above 65535"))?,
            frame_start: number(row, "frame_start")?,
            frame_end: number(row, "frame_end")?,
            facts: facts
                .map(|(field, array)| (field.name().clone(), value(array.as_ref(), row)))
                .collect(),
        });
    }
    Ok(rows)
}

/// The cells of a row.
pub fn values(batch: &RecordBatch, row: usize) -> Vec<Value> {
    let columns = batch.columns().iter();
    columns.map(|array| value(array.as_ref(), row)).collect()
}

/// One cell. Types that neither JSON nor templates have become text.
fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::from(());
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            // The shortest text of the 32-bit number, not the digits that 64 bits would add.
            value
                .to_string()
                .parse::<f64>()
                .unwrap_or(f64::from(value))
                .into()
        }
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Decimal128(_, scale) => decimal(array, row, *scale),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref()),
        DataType::FixedSizeList(_, _) => list(array.as_fixed_size_list().value(row).as_ref()),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let cells = fields.iter().zip(columns);
            Value::from_pairs(
                cells.map(|(field, cells)| (field.name().clone(), value(cells.as_ref(), row))),
            )
        }
        _ => text(array, row),
    }
}

/// DuckDB's literals like 0.5 and sums of large integers are decimals.
fn decimal(array: &dyn Array, row: usize, scale: i8) -> Value {
    let unscaled = array.as_primitive::<Decimal128Type>().value(row);
    match i64::try_from(unscaled) {
        Ok(whole) if scale == 0 => whole.into(),
        _ => text(array, row)
            .to_string()
            .parse::<f64>()
            .map_or_else(|_| text(array, row), Value::from),
    }
}

fn list(cells: &dyn Array) -> Value {
    Value::from_iter((0..cells.len()).map(|index| value(cells, index)))
}

fn text(array: &dyn Array, row: usize) -> Value {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default());
    formatter.map_or_else(
        |_| Value::from(()),
        |formatter| formatter.value(row).to_string().into(),
    )
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;
    use crate::dataset::recipe::load;

    fn recipe() -> Recipe {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("knee.sql", "-- Reads.\nSELECT 1");
        write(
            "knee.jinja",
            "{% block user %}?{% endblock %}{% block assistant %}!{% endblock %}",
        );
        load(folder.path()).expect("a recipe").0.remove(0)
    }

    fn row(more: Value) -> FactRow {
        FactRow {
            video_id: "ab".into(),
            person: 1,
            frame_start: 2,
            frame_end: 3,
            facts: vec![
                ("which".into(), "largest".into()),
                ("knee_deg".into(), 98.into()),
                (MORE_QUESTIONS.into(), more),
            ],
        }
    }

    #[test]
    fn fields_of_further_questions_stand_in_for_columns() {
        let more = Value::from(vec![
            context!(which => "smallest"),
            context!(knee_deg => 4),
            context!(which => "mean"),
        ]);
        let (none, recipe) = (Value::from(()), recipe());
        let contexts = row(more)
            .contexts(&recipe, &none, &none, 3)
            .expect("contexts");
        let seen: Vec<String> = contexts
            .iter()
            .map(|context| {
                let of = |name: &str| context.get_attr(name).expect("a value");
                format!("{} {} {}", of("which"), of("knee_deg"), of("person"))
            })
            .collect();
        assert_eq!(seen, ["largest 98 1", "smallest 98 1", "largest 4 1"]);
        let without = row(none.clone()).contexts(&recipe, &none, &none, 3);
        assert_eq!(without.expect("one context").len(), 1);
    }

    #[test]
    fn what_cannot_be_a_question_is_told() {
        let (none, recipe) = (Value::from(()), recipe());
        let other_column = Value::from(vec![context!(hip_deg => 1)]);
        let numbers = Value::from(vec![1, 2]);
        for (more, part) in [
            (other_column, "'hip_deg'"),
            (numbers, "list of structs"),
            ("smallest".into(), "list of structs"),
            (context!(which => 1), "list of structs"),
        ] {
            let error = row(more)
                .contexts(&recipe, &none, &none, 2)
                .expect_err("no question");
            let error = error.to_string();
            assert!(
                error.contains(part) && error.contains("knee.sql"),
                "{error}"
            );
        }
    }
}
