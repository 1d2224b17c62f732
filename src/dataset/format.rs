//! The shapes in which training tools expect examples, as JSON Lines and as Parquet.
//!
//! Each shape is a list of columns. Both kinds of files are written from it, so that they hold the
//! same; keys and columns stand in its order.

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::{Chat, Example};
use crate::language::chat::{Message, Role};
use crate::names;

/// Rows of a Parquet row group: some 10 MB before compression.
const ROWS_PER_GROUP: usize = 4_096;

/// How an example is laid out for training tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A list of messages with role and content (OpenAI, TRL)
    #[default]
    Messages,
    /// Instruction, input, output (Stanford Alpaca)
    Alpaca,
    /// A list of conversations with from and value (ShareGPT)
    Sharegpt,
    /// Prompt and completion, each a list of messages (TRL)
    PromptCompletion,
}

/// What a column holds, and how it follows from a chat.
#[derive(Clone, Copy)]
enum Column {
    Text(for<'a> fn(&Chat<'a>) -> &'a str),
    Turns(fn(&Chat<'_>) -> Vec<Message>),
}

/// Under which keys a turn says who speaks, and what.
#[derive(Clone, Copy)]
struct TurnKeys {
    who: &'static str,
    words: &'static str,
}

/// A column with its name.
type NamedColumn = (&'static str, Column);

const ID: NamedColumn = ("id", Column::Text(|chat| &chat.first().id));
const TASK: NamedColumn = ("task", Column::Text(|chat| &chat.first().task));

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

impl Format {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 4] = [
        Self::Messages,
        Self::Alpaca,
        Self::Sharegpt,
        Self::PromptCompletion,
    ];

    /// The name on the command line, and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Alpaca => "alpaca",
            Self::Sharegpt => "sharegpt",
            Self::PromptCompletion => "prompt-completion",
        }
    }

    /// The JSON Schema of one line.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Messages => include_str!("../../schemas/dataset_messages.schema.json"),
            Self::Alpaca => include_str!("../../schemas/dataset_alpaca.schema.json"),
            Self::Sharegpt => include_str!("../../schemas/dataset_sharegpt.schema.json"),
            Self::PromptCompletion => {
                include_str!("../../schemas/dataset_prompt_completion.schema.json")
            }
        }
    }

    /// What each line holds: a chat, or a question with its data where there is room for one
    /// answer only.
    fn chats<'a>(self, examples: &[&'a Example]) -> Vec<Chat<'a>> {
        let examples = examples.iter().copied();
        match self {
            Self::Messages | Self::Sharegpt => Chat::of_all(examples),
            Self::Alpaca | Self::PromptCompletion => examples.map(Chat::alone).collect(),
        }
    }

    /// A chat as one line holds it.
    pub fn record(self, chat: Chat<'_>) -> Record<'_> {
        Record { format: self, chat }
    }

    fn columns(self) -> &'static [NamedColumn] {
        match self {
            Self::Messages => &[
                ID,
                TASK,
                ("messages", Column::Turns(|chat| chat.messages())),
            ],
            Self::Alpaca => &[
                ID,
                TASK,
                ("system", Column::Text(|chat| &chat.first().system)),
                ("instruction", Column::Text(|chat| &chat.first().question)),
                ("input", Column::Text(|chat| &chat.first().data)),
                ("output", Column::Text(|chat| &chat.first().answer)),
            ],
            Self::Sharegpt => &[
                ID,
                TASK,
                ("conversations", Column::Turns(|chat| chat.messages())),
            ],
            Self::PromptCompletion => &[
                ID,
                TASK,
                ("prompt", Column::Turns(|chat| chat.first().prompt())),
                ("completion", Column::Turns(completion)),
            ],
        }
    }

    /// ShareGPT has keys of its own. Who speaks has the usual names there too: TRL renames the
    /// keys and leaves the names to the model's chat template.
    fn turn_keys(self) -> TurnKeys {
        match self {
            Self::Sharegpt => TurnKeys {
                who: "from",
                words: "value",
            },
            Self::Messages | Self::Alpaca | Self::PromptCompletion => TurnKeys {
                who: "role",
                words: "content",
            },
        }
    }
}

fn completion(chat: &Chat<'_>) -> Vec<Message> {
    vec![Message::new(Role::Assistant, &chat.first().answer)]
}

/// A chat in a format; serialises as one object, with its keys always in the same order.
pub struct Record<'a> {
    format: Format,
    chat: Chat<'a>,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = self.format.columns();
        let mut map = serializer.serialize_map(Some(columns.len()))?;
        for (name, column) in columns {
            match column {
                Column::Text(text) => map.serialize_entry(name, text(&self.chat))?,
                Column::Turns(turns) => {
                    let keys = self.format.turn_keys();
                    let messages = turns(&self.chat).into_iter();
                    let turns: Vec<Turn> = messages.map(|message| Turn { keys, message }).collect();
                    map.serialize_entry(name, &turns)?;
                }
            }
        }
        map.end()
    }
}

struct Turn {
    keys: TurnKeys,
    message: Message,
}

impl Serialize for Turn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.keys.who, self.message.role.name())?;
        map.serialize_entry(self.keys.words, &self.message.content)?;
        map.end()
    }
}

/// Writes examples as JSON Lines; nothing at all when there are none.
///
/// # Errors
/// When `out` takes no more.
pub fn write_jsonl(format: Format, examples: &[&Example], out: &mut impl Write) -> io::Result<()> {
    for chat in format.chats(examples) {
        serde_json::to_writer(&mut *out, &format.record(chat))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes examples as Parquet: the columns of [`write_jsonl`], also when there are no examples.
///
/// # Errors
/// When `out` takes no more.
pub fn write_parquet(
    format: Format,
    examples: &[&Example],
    out: impl Write + Send,
) -> Result<(), ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("posedata ", env!("CARGO_PKG_VERSION")).into())
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .build();
    // Plain Parquet types say it all.
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let schema = Arc::new(arrow_schema(format));
    let mut writer = ArrowWriter::try_new_with_options(out, Arc::clone(&schema), options)?;
    for rows in format.chats(examples).chunks(ROWS_PER_GROUP) {
        let columns = format.columns().iter();
        let arrays = columns.map(|(_, column)| array(format, *column, rows));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect())?;
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(())
}

fn arrow_schema(format: Format) -> Schema {
    let fields = format.columns().iter().map(|(name, column)| {
        let data_type = match column {
            Column::Text(_) => DataType::Utf8,
            Column::Turns(_) => DataType::List(turn_field(format)),
        };
        Field::new(*name, data_type, false)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// An entry of a list of turns, named as the Parquet format wants it.
fn turn_field(format: Format) -> Arc<Field> {
    let data_type = DataType::Struct(turn_fields(format));
    Arc::new(Field::new("element", data_type, false))
}

fn turn_fields(format: Format) -> Fields {
    let keys = format.turn_keys();
    let fields = [keys.who, keys.words].map(|key| Field::new(key, DataType::Utf8, false));
    Fields::from_iter(fields)
}

fn array(format: Format, column: Column, rows: &[Chat<'_>]) -> ArrayRef {
    match column {
        Column::Text(text) => {
            let texts = rows.iter().map(text);
            Arc::new(StringArray::from_iter_values(texts))
        }
        Column::Turns(turns) => {
            let turns: Vec<Vec<Message>> = rows.iter().map(turns).collect();
            let messages: Vec<&Message> = turns.iter().flatten().collect();
            let who = messages.iter().map(|message| message.role.name());
            let who = StringArray::from_iter_values(who);
            let words = messages.iter().map(|message| &message.content);
            let words = StringArray::from_iter_values(words);
            let entries: Vec<ArrayRef> = vec![Arc::new(who), Arc::new(words)];
            let entries = StructArray::new(turn_fields(format), entries, None);
            let offsets = OffsetBuffer::from_lengths(turns.iter().map(Vec::len));
            Arc::new(ListArray::new(
                turn_field(format),
                offsets,
                Arc::new(entries),
                None,
            ))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use arrow::array::{Array, AsArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use serde_json::{Value, json};

    use super::*;
    use crate::dataset::{Lineage, RECIPE_ORIGIN, Split};

    fn example(number: usize) -> Example {
        Example {
            id: format!("{number:05}"),
            task: "range_of_motion".into(),
            split: Split::Train,
            origin: RECIPE_ORIGIN.into(),
            prompt_hash: None,
            lineage: Lineage {
                video_id: "ab12".into(),
                sport: "running".into(),
                person: 0,
                frame_start: 10,
                frame_end: 40,
            },
            facts: json!({ "left_knee_deg": 98.25 }),
            // Every third one has nothing to say or show.
            system: if number.is_multiple_of(3) {
                ""
            } else {
                "You read \"pose data\"."
            }
            .into(),
            question: format!("How far does the left knee move in clip {number}?\u{2028}"),
            data: if number % 3 == 1 {
                ""
            } else {
                "frame | knee °\n10 | 98.25\n"
            }
            .into(),
            answer: "80.5 deg. 角度\\".into(),
            prompt_tokens: 40,
            answer_tokens: 8,
        }
    }

    pub fn examples(count: usize) -> Vec<Example> {
        (0..count).map(example).collect()
    }

    fn jsonl(format: Format, examples: &[Example]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let examples: Vec<&Example> = examples.iter().collect();
        write_jsonl(format, &examples, &mut bytes).expect("lines");
        bytes
    }

    fn lines(format: Format, examples: &[Example]) -> Vec<Value> {
        let bytes = jsonl(format, examples);
        let text = std::str::from_utf8(&bytes).expect("UTF-8");
        let lines = text.split_terminator('\n');
        lines
            .map(|line| serde_json::from_str(line).expect("an object"))
            .collect()
    }

    fn parquet(format: Format, examples: &[Example]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let examples: Vec<&Example> = examples.iter().collect();
        write_parquet(format, &examples, &mut bytes).expect("a file");
        bytes
    }

    /// Rows of a Parquet file as objects, and the names of its columns.
    fn read_parquet(bytes: &[u8]) -> (Vec<String>, Vec<Value>) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
        let names = reader.schema().fields().iter().map(|f| f.name().clone());
        let names = names.collect();
        let mut rows = Vec::new();
        for batch in reader.build().expect("a reader") {
            let batch = batch.expect("rows");
            for row in 0..batch.num_rows() {
                let mut object = serde_json::Map::new();
                for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                    object.insert(field.name().clone(), value(column, row));
                }
                rows.push(Value::Object(object));
            }
        }
        (names, rows)
    }

    fn value(column: &ArrayRef, row: usize) -> Value {
        assert!(column.is_valid(row));
        match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().value(row).into(),
            DataType::List(_) => {
                let entries = column.as_list::<i32>().value(row);
                (0..entries.len()).map(|i| value(&entries, i)).collect()
            }
            DataType::Struct(fields) => {
                let columns = column.as_struct().columns().iter();
                let pairs = fields.iter().zip(columns);
                pairs
                    .map(|(field, column)| (field.name().clone(), value(column, row)))
                    .collect()
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_line_is_as_its_schema_says() {
        for format in Format::ALL {
            let schema = serde_json::from_str(format.schema()).expect("JSON");
            jsonschema::meta::validate(&schema).expect("a schema");
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let lines = lines(format, &examples(9));
            assert_eq!(lines.len(), 9);
            for line in &lines {
                if let Err(error) = validator.validate(line) {
                    panic!("{format:?}: {error} at {}", error.instance_path());
                }
                // The schema leaves nothing away, and nothing open.
                for key in line.as_object().expect("an object").keys() {
                    let mut less = line.clone();
                    less.as_object_mut().expect("an object").remove(key);
                    assert!(!validator.is_valid(&less), "{format:?} without {key}");
                }
                let mut more = line.clone();
                more["surprise"] = true.into();
                assert!(!validator.is_valid(&more), "{format:?}");
            }
        }
    }

    #[test]
    fn keys_stand_in_the_order_of_the_columns() {
        let of = |format| {
            let bytes = jsonl(format, &[example(1)]);
            String::from_utf8(bytes).expect("UTF-8")
        };
        assert_eq!(
            of(Format::Messages),
            "{\"id\":\"00001\",\"task\":\"range_of_motion\",\"messages\":[\
             {\"role\":\"system\",\"content\":\"You read \\\"pose data\\\".\"},\
             {\"role\":\"user\",\"content\":\"How far does the left knee move in clip 1?\u{2028}\"},\
             {\"role\":\"assistant\",\"content\":\"80.5 deg. 角度\\\\\"}]}\n"
        );
        assert!(of(Format::Alpaca).starts_with(
            "{\"id\":\"00001\",\"task\":\"range_of_motion\",\"system\":\"You read \\\"pose data\\\".\",\"instruction\":\"How far"
        ));
        assert!(
            of(Format::Sharegpt).contains("\"conversations\":[{\"from\":\"system\",\"value\":")
        );
        assert!(of(Format::PromptCompletion).ends_with(
            "\"completion\":[{\"role\":\"assistant\",\"content\":\"80.5 deg. 角度\\\\\"}]}\n"
        ));
    }

    #[test]
    fn a_prompt_without_system_and_data_is_the_question_alone() {
        let mut bare = example(1);
        bare.system.clear();
        let line = &lines(Format::PromptCompletion, &[bare.clone()])[0];
        let prompt = json!([{ "role": "user", "content": bare.question }]);
        assert_eq!(line["prompt"], prompt);
    }

    #[test]
    fn parquet_holds_what_the_lines_hold() {
        // More rows than a row group has.
        let examples = examples(ROWS_PER_GROUP + 7);
        for format in Format::ALL {
            let (names, rows) = read_parquet(&parquet(format, &examples));
            let lines = lines(format, &examples);
            assert_eq!(rows, lines, "{format:?}");
            let expected: Vec<&str> = format.columns().iter().map(|(name, _)| *name).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn without_examples_there_are_no_lines_but_columns() {
        for format in Format::ALL {
            assert_eq!(jsonl(format, &[]), b"");
            let (names, rows) = read_parquet(&parquet(format, &[]));
            assert_eq!(names.len(), format.columns().len());
            assert!(rows.is_empty());
        }
    }

    #[test]
    fn the_same_examples_give_the_same_bytes() {
        for format in Format::ALL {
            let bytes = || (jsonl(format, &examples(50)), parquet(format, &examples(50)));
            assert_eq!(bytes(), bytes());
        }
    }
}
