//! What the lake knows of instruction datasets and of whom its videos show.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use duckdb::{Connection, params};

use super::catalog::Access;
use super::columns::{Column, Layout, Storage, batch};
use super::error::LakeError;
use super::session::Lake;
use super::sql::{insert, is_missing_table, row};
use super::staged::StagedFile;
use super::table_file::TableFile;
use super::time::UtcTime;

const TABLE: &str = "examples";
const PARTITION: &str = "dataset";
/// Rows of a row group; some 20 MB are resident at most.
const ROWS_PER_GROUP: usize = 8_192;
/// Tables that say what was done with the lake, but nothing of what is in videos.
const BOOKKEEPING_TABLES: [&str; 5] = ["runs", "files", "datasets", "examples", "training_runs"];

/// A row of the table `datasets`; its columns' comments say what the values mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetRecord {
    /// The dataset's name; registering another one under it replaces this one.
    pub dataset: String,
    /// Absolute path of the dataset's files.
    pub folder: String,
    /// The snapshot that the facts were read from.
    pub lake_snapshot: u64,
    /// Of every choice that was left to chance.
    pub seed: u64,
    /// Name of the base model whose tokenizer counted tokens.
    pub base: String,
    /// The most that an example may have, answer included.
    pub max_tokens: u32,
    /// Examples to train on, synthetic ones included.
    pub train_count: u64,
    /// Examples of the validation videos.
    pub valid_count: u64,
    /// Examples of both splits whose words a language model wrote.
    pub synthetic_count: u64,
    /// Of all examples, 64 hex digits; the same hash is the same dataset.
    pub content_blake3: String,
    /// JSON
    pub manifest: String,
}

/// A row of the table `examples`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleRow<'a> {
    /// Number within the dataset, padded with zeros.
    pub example_id: &'a str,
    /// Name of the recipe that chose the facts.
    pub task: &'a str,
    /// `train` or `valid`; all examples of a video have the same.
    pub split: &'a str,
    /// Who wrote the words: `recipe`, or provider and model (`openai:MODEL`).
    pub origin: &'a str,
    /// BLAKE3 of what the provider was asked; `None` for examples of recipes.
    pub prompt_hash: Option<&'a str>,
    /// As in the table `videos`.
    pub video_id: &'a str,
    /// Number within the video, from 0.
    pub person: u16,
    /// The first frame that the example speaks of, from 0.
    pub frame_start: u64,
    /// The last frame that it speaks of, included.
    pub frame_end: u64,
    /// The video's, by which its own rows are partitioned.
    pub sport: &'a str,
    /// JSON
    pub facts: String,
    /// What the model is told of its part.
    pub system: &'a str,
    /// Without its data.
    pub question: &'a str,
    /// What the question comes with, as a compact table.
    pub data: &'a str,
    /// What the model is to learn to say, without an end mark.
    pub answer: &'a str,
    /// Of all that stands before the answer, for the dataset's base model.
    pub prompt_tokens: u32,
    /// Of the answer with its end mark, for the same model.
    pub answer_tokens: u32,
}

impl Lake {
    /// The newest snapshot in which something of the videos changed: the tables that only keep
    /// books of runs, datasets and training do not count.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn data_snapshot(&self) -> Result<u64, LakeError> {
        let tables = BOOKKEEPING_TABLES
            .map(|table| format!("'{table}'"))
            .join(", ");
        let sql = format!(
            "WITH bookkeeping AS (
                 SELECT list(table_id::VARCHAR) AS ids FROM ducklake_table_info('lake')
                 WHERE table_name IN ({tables})
             )
             SELECT coalesce(
                 max(snapshot_id) FILTER (
                     NOT list_has_all(coalesce(ids, []), flatten(map_values(changes)))
                 ),
                 max(snapshot_id)
             )::UBIGINT
             FROM ducklake_snapshots('lake'), bookkeeping"
        );
        self.with_catalog(Access::ReadOnly, |connection| {
            Ok(connection.query_row(&sql, [], |row| row.get(0))?)
        })
    }

    /// Puts a dataset into the tables `datasets` and `examples`, in place of the one of the same
    /// name, in one transaction.
    ///
    /// # Errors
    /// When the disk takes no more or the commit fails; then the lake is as it was.
    pub fn register_dataset<'a>(
        &self,
        dataset: &DatasetRecord,
        examples: impl Iterator<Item = ExampleRow<'a>>,
    ) -> Result<(), LakeError> {
        self.create_or_check()?;
        let staged = self.stage_examples(&dataset.dataset, examples)?;
        let files = staged.into_iter().collect();
        self.commit_files(files, |connection, files| {
            forget_dataset(connection, &dataset.dataset)?;
            self.add_files(connection, TABLE, files.iter().map(|file| (None, file)))?;
            insert_dataset(connection, dataset)
        })
    }

    fn stage_examples<'a>(
        &self,
        dataset: &str,
        mut examples: impl Iterator<Item = ExampleRow<'a>>,
    ) -> Result<Option<StagedFile>, LakeError> {
        let mut file: Option<TableFile> = None;
        loop {
            let rows: Vec<ExampleRow<'_>> = examples.by_ref().take(ROWS_PER_GROUP).collect();
            if rows.is_empty() {
                return file.map(TableFile::finish).transpose();
            }
            let file = match &mut file {
                Some(file) => file,
                none => {
                    let path = self.paths().new_file_in(TABLE, PARTITION, dataset, dataset);
                    none.insert(TableFile::create(&path, &Layout::of(&example_columns()))?)
                }
            };
            file.write_row_group(example_batch(&rows))?;
        }
    }

    /// The hash of a registered dataset's examples, `None` where the lake knows no such dataset, or
    /// not all of its examples: those of removed videos are gone.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn dataset_content(&self, dataset: &str) -> Result<Option<String>, LakeError> {
        let sql = "SELECT max(content_blake3) FROM datasets AS d WHERE dataset = ?
                   AND train_count + valid_count
                       = (SELECT count(*) FROM examples AS e WHERE e.dataset = d.dataset)";
        let found = self.with_catalog(Access::ReadOnly, |connection| {
            match connection.query_row(sql, [dataset], |row| row.get(0)) {
                // Lakes from before there were datasets have none.
                Err(error) if is_missing_table(&error) => Ok(None),
                found => Ok(found?),
            }
        });
        match found {
            Err(LakeError::Missing { .. }) => Ok(None),
            found => found,
        }
    }

    /// Names and folders of the registered datasets that have examples of these videos.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub fn datasets_of(&self, video_ids: &[String]) -> Result<BTreeMap<String, String>, LakeError> {
        let sql = "SELECT DISTINCT d.dataset, d.folder FROM datasets AS d
                   JOIN examples AS e ON e.dataset = d.dataset WHERE e.video_id = ?";
        self.with_catalog(Access::ReadOnly, |connection| {
            let mut statement = match connection.prepare(sql) {
                Err(error) if is_missing_table(&error) => {
                    return Ok(BTreeMap::new());
                }
                prepared => prepared?,
            };
            let mut datasets = BTreeMap::new();
            for video_id in video_ids {
                let rows = statement.query_map([video_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
                datasets.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(datasets)
        })
    }

    /// Says whom videos show, or, without a subject, that nothing is known of that.
    ///
    /// # Errors
    /// When the commit fails; then nothing has changed.
    pub fn tag_subject(
        &self,
        video_ids: &[String],
        subject: Option<&str>,
    ) -> Result<(), LakeError> {
        self.transaction(|connection| {
            for video_id in video_ids {
                connection.execute("DELETE FROM subjects WHERE video_id = ?", [video_id])?;
                if let Some(subject) = subject {
                    insert(
                        connection,
                        "subjects",
                        row! { video_id: video_id, subject: subject },
                    )?;
                }
            }
            Ok(())
        })
    }
}

fn forget_dataset(connection: &Connection, dataset: &str) -> Result<(), LakeError> {
    connection.execute("DELETE FROM examples WHERE dataset = ?", [dataset])?;
    connection.execute("DELETE FROM datasets WHERE dataset = ?", [dataset])?;
    connection.execute(
        "DELETE FROM files WHERE table_name = ? AND contains(path, ?)",
        params![TABLE, format!("/{PARTITION}={dataset}/")],
    )?;
    Ok(())
}

fn insert_dataset(connection: &Connection, dataset: &DatasetRecord) -> Result<(), LakeError> {
    insert(
        connection,
        "datasets",
        row! {
            dataset: dataset.dataset,
            folder: dataset.folder,
            built_at: UtcTime::now(),
            posedata_version: env!("CARGO_PKG_VERSION"),
            lake_snapshot: dataset.lake_snapshot,
            seed: dataset.seed,
            base: dataset.base,
            max_tokens: dataset.max_tokens,
            train_count: dataset.train_count,
            valid_count: dataset.valid_count,
            synthetic_count: dataset.synthetic_count,
            content_blake3: dataset.content_blake3,
            manifest: dataset.manifest,
        },
    )
}

/// The columns of the table `examples` but `dataset`, which is in the path of the lake's files.
pub fn example_batch(rows: &[ExampleRow<'_>]) -> RecordBatch {
    batch(&example_columns(), rows)
}

/// The columns of the files of `examples`.
pub(super) fn example_columns<'a>() -> Vec<Column<ExampleRow<'a>>> {
    macro_rules! text {
        ($name:ident) => {
            Column::text(stringify!($name), |row: &ExampleRow<'_>| Some(row.$name)).required()
        };
    }
    // The lake numbers frames with 32 bits and a sign, and tokens are far fewer.
    macro_rules! number {
        ($name:ident) => {
            Column::new(stringify!($name), |row: &ExampleRow<'_>| row.$name as i32)
                .stored(Storage::Dictionary)
        };
    }
    vec![
        text!(example_id),
        text!(task),
        text!(split),
        text!(origin),
        Column::text("prompt_hash", |row: &ExampleRow<'_>| row.prompt_hash),
        text!(video_id),
        Column::new("person", |row: &ExampleRow<'_>| row.person as i16),
        number!(frame_start),
        number!(frame_end),
        text!(sport),
        Column::text("facts", |row: &ExampleRow<'_>| Some(row.facts.as_str())).required(),
        text!(system),
        text!(question),
        text!(data),
        text!(answer),
        number!(prompt_tokens),
        number!(answer_tokens),
    ]
}
