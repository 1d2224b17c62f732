//! A dataset on the disk: a folder that is replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::card::{CARD_FILE, card};
use super::example::id_numbers;
use super::format::{write_jsonl, write_parquet};
use super::recipe::{self, AnswerKind};
use super::{
    DatasetError, Example, FORMAT_VERSION, Lineage, Manifest, RECIPE_ORIGIN, Split, Stats,
};
use crate::files::{persist_folder, sync_folder, temporary_folder_beside, why_not_written};
use crate::lake::{DatasetRecord, ExampleRow, Lake, example_batch};

/// The file that makes a folder a dataset.
pub const DATASET_FILE: &str = "dataset.json";
const EXAMPLES_FILE: &str = "examples.parquet";
const RECIPES_FOLDER: &str = "recipes";
const ROWS_PER_BATCH: usize = 8_192;

/// A dataset, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// How it was made, and of what.
    pub manifest: Manifest,
    /// In the order of their ids.
    pub examples: Vec<Example>,
    /// The recipes' files as they were used: names and texts.
    pub recipe_files: BTreeMap<String, String>,
}

impl Dataset {
    /// Reads a dataset from its folder.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn open(folder: &Path) -> Result<Self, DatasetError> {
        let manifest = match fs::read(folder.join(DATASET_FILE)) {
            Ok(manifest) => manifest,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(DatasetError::NoDataset {
                    path: folder.into(),
                });
            }
            Err(e) => return Err(unreadable(folder, &e)),
        };
        let damaged = |file: &str, reason: &dyn std::fmt::Display| DatasetError::Damaged {
            path: folder.join(file),
            reason: reason.to_string(),
        };
        let manifest: serde_json::Value =
            serde_json::from_slice(&manifest).map_err(|e| damaged(DATASET_FILE, &e))?;
        let version = manifest["format_version"].as_u64();
        if let Some(found) = version.filter(|found| *found > u64::from(FORMAT_VERSION)) {
            return Err(DatasetError::Newer {
                path: folder.into(),
                found,
                known: FORMAT_VERSION,
            });
        }
        let manifest: Manifest =
            serde_json::from_value(manifest).map_err(|e| damaged(DATASET_FILE, &e))?;
        let examples = read_examples(&folder.join(EXAMPLES_FILE))
            .map_err(|reason| damaged(EXAMPLES_FILE, &reason))?;
        let mut recipe_files = BTreeMap::new();
        let recipes = folder.join(RECIPES_FOLDER);
        for entry in fs::read_dir(&recipes).map_err(|e| unreadable(&recipes, &e))? {
            let path = entry.map_err(|e| unreadable(&recipes, &e))?.path();
            let text = fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
            let name = path.file_name().unwrap_or_default();
            recipe_files.insert(name.to_string_lossy().into_owned(), text);
        }
        Ok(Self {
            manifest,
            examples,
            recipe_files,
        })
    }

    /// Writes the dataset's folder beside the one that is there, and then puts it in its place in
    /// one step.
    ///
    /// # Errors
    /// When the disk takes no more, or the folder holds something else than a dataset; then it is
    /// as it was.
    pub fn save(&self, folder: &Path) -> Result<(), DatasetError> {
        let write_error = |e: io::Error| DatasetError::Write {
            path: folder.into(),
            reason: why_not_written(&e),
        };
        check_replaceable(folder)?;
        let new = temporary_folder_beside(folder).map_err(write_error)?;
        self.write_files(new.path()).map_err(write_error)?;
        persist_folder(new, folder).map_err(write_error)
    }

    /// Puts the dataset into the lake's tables `datasets` and `examples`.
    ///
    /// # Errors
    /// When the lake cannot be written.
    pub fn register(&self, lake: &Lake, folder: &Path) -> Result<(), DatasetError> {
        let count = |wanted: &dyn Fn(&Example) -> bool| {
            self.examples
                .iter()
                .filter(|example| wanted(example))
                .count() as u64
        };
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
        let record = DatasetRecord {
            dataset: self.manifest.name.clone(),
            folder: folder.display().to_string(),
            lake_snapshot: self.manifest.lake_snapshot,
            seed: self.manifest.seed,
            base: self.manifest.base.clone(),
            max_tokens: self.manifest.max_tokens,
            train_count: count(&|example| example.split == Split::Train),
            valid_count: count(&|example| example.split == Split::Valid),
            synthetic_count: count(&|example| example.origin != RECIPE_ORIGIN),
            content_blake3: self.content_blake3(),
            manifest: json(&self.manifest),
        };
        if lake.dataset_content(&record.dataset)?.as_ref() == Some(&record.content_blake3) {
            return Ok(());
        }
        lake.register_dataset(&record, self.examples.iter().map(example_row))?;
        Ok(())
    }

    /// BLAKE3 of all examples, 64 hex digits.
    pub fn content_blake3(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for example in &self.examples {
            hasher.update(json(example).as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Examples of one split, in their order.
    pub fn of_split(&self, split: Split) -> Vec<&Example> {
        let examples = self.examples.iter();
        examples.filter(|example| example.split == split).collect()
    }

    /// The example of an id, whose leading zeros may be missing.
    ///
    /// # Errors
    /// [`DatasetError::NoSuchExample`].
    pub fn find(&self, id: &str) -> Result<&Example, DatasetError> {
        let wanted = id_numbers(id);
        let is_wanted = |example: &&Example| {
            example.id == id || (wanted.is_some() && id_numbers(&example.id) == wanted)
        };
        let found = self.examples.iter().find(is_wanted);
        found.ok_or_else(|| {
            let last = self.examples.last();
            DatasetError::NoSuchExample {
                id: id.into(),
                last: last.map_or("none", Example::chat_id).into(),
            }
        })
    }

    /// All questions of an example's chat.
    pub fn chat_of(&self, example: &Example) -> Vec<&Example> {
        let of_chat = self.examples.iter();
        let of_chat = of_chat.filter(|other| other.chat_id() == example.chat_id());
        of_chat.collect()
    }

    /// The examples of the first `count` chats, of one task or split where that is asked for.
    ///
    /// # Errors
    /// When there is no such task.
    pub fn select(
        &self,
        task: Option<&str>,
        split: Option<Split>,
        count: usize,
    ) -> Result<Vec<&Example>, DatasetError> {
        let tasks: BTreeSet<&str> = self.examples.iter().map(|e| e.task.as_str()).collect();
        if let Some(task) = task.filter(|task| !tasks.contains(task)) {
            return Err(DatasetError::NoSuchTask {
                task: task.into(),
                known: tasks.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        let wanted = self.examples.iter().filter(|example| {
            task.is_none_or(|task| example.task == task)
                && split.is_none_or(|split| example.split == split)
        });
        let wanted: Vec<&Example> = wanted.collect();
        let chats = wanted.chunk_by(|one, next| one.chat_id() == next.chat_id());
        Ok(chats.take(count).flatten().copied().collect())
    }

    /// What the answers of an example's recipe are judged by, if the recipe says so.
    pub fn answer_kind(&self, example: &Example) -> Option<AnswerKind> {
        let sql = self.recipe_files.get(&format!("{}.sql", example.recipe()));
        recipe::answer_kind(sql?)
    }

    fn write_files(&self, folder: &Path) -> io::Result<()> {
        let stats = Stats::of(&self.examples);
        // Whatever version was read, this one is written.
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            ..self.manifest.clone()
        };
        let manifest = serde_json::to_string_pretty(&manifest).map_err(io::Error::other)?;
        let statistics = serde_json::to_string_pretty(&stats).map_err(io::Error::other)?;
        write_whole(&folder.join(DATASET_FILE), |out| {
            writeln!(out, "{manifest}")
        })?;
        write_whole(&folder.join("stats.json"), |out| {
            writeln!(out, "{statistics}")
        })?;
        let card = card(&self.manifest, &self.examples, &stats);
        write_whole(&folder.join(CARD_FILE), |out| {
            out.write_all(card.as_bytes())
        })?;
        write_examples(&folder.join(EXAMPLES_FILE), &self.examples)?;
        let format = self.manifest.format;
        for split in Split::ALL {
            let examples = self.of_split(split);
            // Datasets that are judged by their valid split have no other.
            if split == Split::Test && examples.is_empty() {
                continue;
            }
            let path = |extension: &str| folder.join(format!("{}.{extension}", split.name()));
            write_whole(&path("jsonl"), |out| write_jsonl(format, &examples, out))?;
            write_whole(&path("parquet"), |out| {
                write_parquet(format, &examples, out).map_err(io::Error::other)
            })?;
        }
        let recipes = folder.join(RECIPES_FOLDER);
        fs::create_dir(&recipes)?;
        for (name, text) in &self.recipe_files {
            write_whole(&recipes.join(name), |out| out.write_all(text.as_bytes()))?;
        }
        sync_folder(&recipes)?;
        sync_folder(folder)
    }
}

/// A folder that holds something else than a dataset is not replaced.
fn check_replaceable(folder: &Path) -> Result<(), DatasetError> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unreadable(folder, &e)),
    };
    if folder.join(DATASET_FILE).exists() || entries.next().is_none() {
        return Ok(());
    }
    Err(DatasetError::NotADataset {
        path: folder.into(),
    })
}

fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn unreadable(path: &Path, error: &io::Error) -> DatasetError {
    DatasetError::Unreadable {
        path: path.into(),
        reason: error.to_string(),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain structs with text keys")
}

fn example_row(example: &Example) -> ExampleRow<'_> {
    ExampleRow {
        example_id: &example.id,
        task: &example.task,
        split: example.split.name(),
        origin: &example.origin,
        prompt_hash: example.prompt_hash.as_deref(),
        video_id: &example.lineage.video_id,
        person: example.lineage.person,
        frame_start: example.lineage.frame_start,
        frame_end: example.lineage.frame_end,
        sport: &example.lineage.sport,
        facts: example.facts.to_string(),
        system: &example.system,
        question: &example.question,
        data: &example.data,
        answer: &example.answer,
        prompt_tokens: example.prompt_tokens,
        answer_tokens: example.answer_tokens,
    }
}

fn write_examples(path: &Path, examples: &[Example]) -> io::Result<()> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("posedata ", env!("CARGO_PKG_VERSION")).into())
        .build();
    let schema = example_batch(&[]).schema();
    write_whole(path, |out| {
        let mut writer = ArrowWriter::try_new(out, schema, Some(properties))?;
        for chunk in examples.chunks(ROWS_PER_BATCH) {
            let rows: Vec<ExampleRow<'_>> = chunk.iter().map(example_row).collect();
            writer.write(&example_batch(&rows))?;
        }
        writer.close()?;
        Ok(())
    })
}

fn read_examples(path: &Path) -> Result<Vec<Example>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(ROWS_PER_BATCH).build())
        .map_err(|e| e.to_string())?;
    let mut examples = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        for field in example_batch(&[]).schema().fields() {
            let name = field.name();
            if batch.column_by_name(name).is_none() {
                return Err(format!("it has no column {name}"));
            }
        }
        for row in 0..batch.num_rows() {
            examples.push(read_example(&batch, row).ok_or("a column has the wrong type")?);
        }
    }
    Ok(examples)
}

fn read_example(batch: &arrow::array::RecordBatch, row: usize) -> Option<Example> {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Int16Type, Int32Type};
    let text = |name: &str| -> Option<String> {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        (!column.is_null(row)).then(|| column.value(row).to_owned())
    };
    let integer = |name: &str| -> Option<i32> {
        let column = batch.column_by_name(name)?;
        Some(column.as_primitive_opt::<Int32Type>()?.value(row))
    };
    let person = batch
        .column_by_name("person")?
        .as_primitive_opt::<Int16Type>()?;
    let split = text("split")?;
    Some(Example {
        id: text("example_id")?,
        task: text("task")?,
        split: Split::ALL.into_iter().find(|known| known.name() == split)?,
        origin: text("origin")?,
        prompt_hash: text("prompt_hash"),
        lineage: Lineage {
            video_id: text("video_id")?,
            sport: text("sport")?,
            person: person.value(row) as u16,
            frame_start: u64::try_from(integer("frame_start")?).ok()?,
            frame_end: u64::try_from(integer("frame_end")?).ok()?,
        },
        facts: serde_json::from_str(&text("facts")?).ok()?,
        system: text("system")?,
        question: text("question")?,
        data: text("data")?,
        answer: text("answer")?,
        prompt_tokens: u32::try_from(integer("prompt_tokens")?).ok()?,
        answer_tokens: u32::try_from(integer("answer_tokens")?).ok()?,
    })
}
