//! What a run needs to go on where it was: adapter, optimiser, position, what was best so far.
//!
//! The folder `checkpoints` holds the newest state in `last` and the best adapter, as PEFT reads it,
//! in `best`. It is written beside the one that is there and takes its place in one step, so that both always belong
//! together, whenever the process is killed.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::adamw::AdamW;
use crate::files::{
    is_temporary, persist_folder, sync_folder, temporary_folder_beside, why_not_written,
};
use crate::llama::{Adapter, LlamaConfig, LoraConfig, LoraPair};

pub(super) const CHECKPOINTS_FOLDER: &str = "checkpoints";
const LAST_FOLDER: &str = "last";
const BEST_FOLDER: &str = "best";
const STATE_FILE: &str = "state.json";
const TENSORS_FILE: &str = "state.safetensors";
const ADAPTER: &str = "adapter";
const MEANS: &str = "means";
const SQUARES: &str = "squares";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All steps were done.
    Finished,
    /// Evaluations became no better.
    StoppedEarly,
    /// The time limit was reached.
    OutOfTime,
    /// A signal or the caller ended it.
    Interrupted,
}

impl End {
    /// As reports and the lake have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::StoppedEarly => "stopped_early",
            Self::OutOfTime => "out_of_time",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Where a run stands after a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Epoch of the next text, from 0.
    pub epoch: u64,
    /// Place of the next text in that epoch's order.
    pub index: usize,
    /// Tokens that were learned from so far, repeated ones counted again.
    pub tokens: u64,
    /// Time spent so far, the parts before it was resumed included.
    pub elapsed_secs: f64,
    /// Of that, time in steps.
    pub step_secs: f64,
    /// Time of the newest evaluation.
    #[serde(default)]
    pub evaluation_secs: f64,
    /// The newest step after which the run was looked at: evaluated where there is a valid split,
    /// and saved.
    pub milestone: Option<u64>,
    /// Mean loss on the valid split, in nats per target, before the first step.
    pub first_valid_loss: Option<f64>,
    /// The newest.
    pub last_valid_loss: Option<f64>,
    /// `None` before the first evaluation.
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub evaluations_since_best: u32,
    /// Mean loss of the first and of the newest step, in nats per target.
    pub first_train_loss: Option<f64>,
    /// The newest.
    pub last_train_loss: Option<f64>,
    /// Why the run is over, if it is.
    pub end: Option<End>,
}

/// The best evaluation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done before it.
    pub step: u64,
    /// In nats per target.
    pub loss: f64,
}

/// A run's whole state.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Step, place in the data, losses.
    pub position: Position,
    /// The trained parameters.
    pub adapter: Adapter,
    /// Their means of gradients.
    pub optimiser: AdamW,
}

/// What a saved checkpoint is beside the newest state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointKind {
    /// Its adapter has the lowest validation loss so far.
    Best,
    /// Only the newest state; the best adapter stays as it is.
    Latest,
}

impl Checkpoint {
    /// Writes the state into the run's folder; `base` is what other tools call the base model.
    ///
    /// # Errors
    /// When the disk does not take it; the checkpoint that was there is there still.
    pub fn save(&self, run: &Path, base: &str, kind: CheckpointKind) -> Result<(), TrainError> {
        let checkpoints = run.join(CHECKPOINTS_FOLDER);
        self.write(&checkpoints, base, kind)
            .map_err(|e| TrainError::Write {
                path: checkpoints,
                reason: why_not_written(&e),
            })
    }

    fn write(&self, checkpoints: &Path, base: &str, kind: CheckpointKind) -> io::Result<()> {
        let new = temporary_folder_beside(checkpoints)?;
        let last = new.path().join(LAST_FOLDER);
        fs::create_dir(&last)?;
        let pairs = [
            (ADAPTER, &self.adapter.pairs[..]),
            (MEANS, &self.optimiser.means),
            (SQUARES, &self.optimiser.squares),
        ];
        write_pairs(&last.join(TENSORS_FILE), &pairs)?;
        let mut state = File::create(last.join(STATE_FILE))?;
        let position = serde_json::to_vec_pretty(&self.position)?;
        state.write_all(&position)?;
        state.sync_all()?;
        sync_folder(&last)?;
        let best = new.path().join(BEST_FOLDER);
        let best_before = checkpoints.join(BEST_FOLDER);
        match kind {
            CheckpointKind::Best => self.adapter.save(&best, base).map_err(io::Error::other)?,
            CheckpointKind::Latest if best_before.exists() => link_files(&best_before, &best)?,
            CheckpointKind::Latest => {}
        }
        if best.exists() {
            sync_folder(&best)?;
        }
        persist_folder(new, checkpoints)
    }

    /// Reads the newest state of a run; `None` when nothing has been saved yet.
    ///
    /// # Errors
    /// When it is damaged, or of another adapter.
    pub fn load(
        run: &Path,
        lora: &LoraConfig,
        model: &LlamaConfig,
        adamw: super::AdamWConfig,
    ) -> Result<Option<Self>, TrainError> {
        let last = run.join(CHECKPOINTS_FOLDER).join(LAST_FOLDER);
        let Some(position) = Position::load(run)? else {
            return Ok(None);
        };
        let path = last.join(TENSORS_FILE);
        let read = |parts| read_pairs(&path, parts, &Adapter::zeros(lora, model));
        let damaged = |reason| TrainError::Damaged {
            path: path.clone(),
            reason,
        };
        let read = read(&[ADAPTER, MEANS, SQUARES]).map_err(damaged)?;
        let Ok([pairs, means, squares]) = <[_; 3]>::try_from(read) else {
            return Err(damaged("parts are missing".into()));
        };
        Ok(Some(Self {
            adapter: Adapter {
                config: lora.clone(),
                pairs,
            },
            optimiser: AdamW {
                config: adamw,
                steps: position.step,
                means,
                squares,
            },
            position,
        }))
    }
}

impl Position {
    /// Where a run's newest checkpoint stands; `None` when nothing has been saved yet.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn load(run: &Path) -> Result<Option<Self>, TrainError> {
        let path = run.join(CHECKPOINTS_FOLDER).join(LAST_FOLDER);
        let path = path.join(STATE_FILE);
        let damaged = |reason: String| TrainError::Damaged {
            path: path.clone(),
            reason,
        };
        match fs::read(&path) {
            Ok(bytes) => {
                let position = serde_json::from_slice(&bytes);
                Ok(Some(position.map_err(|e| damaged(e.to_string()))?))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(damaged(e.to_string())),
        }
    }
}

/// Gives the files of a folder to a new one too.
fn link_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let file = to.join(entry.file_name());
        // Not every filesystem has links.
        if fs::hard_link(entry.path(), &file).is_err() {
            fs::copy(entry.path(), &file)?;
            File::open(&file)?.sync_all()?;
        }
    }
    Ok(())
}

/// The best adapter of a run so far; `None` when no evaluation has been saved.
///
/// # Errors
/// When it is damaged.
pub(super) fn best_adapter(run: &Path, model: &LlamaConfig) -> Result<Option<Adapter>, TrainError> {
    let best = run.join(CHECKPOINTS_FOLDER).join(BEST_FOLDER);
    match best.exists() {
        true => Ok(Some(Adapter::load(&best, model)?)),
        false => Ok(None),
    }
}

/// Deletes what a killed process left of a checkpoint that it was writing. Nobody else may be
/// working on the run.
///
/// # Errors
/// When the folder cannot be read or the rest cannot be deleted.
pub(super) fn remove_leftovers(run: &Path) -> io::Result<()> {
    for entry in fs::read_dir(run)? {
        let entry = entry?;
        if is_temporary(&entry.file_name().to_string_lossy(), CHECKPOINTS_FOLDER) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The matrices of a pair with their names in files.
fn matrices<'a>(part: &str, pair: &'a LoraPair) -> [(String, &'a [f32]); 2] {
    let name = |matrix: &str| {
        let projection = pair.projection.name();
        format!("{part}.layers.{}.{projection}.{matrix}", pair.layer)
    };
    [(name("a"), &pair.a), (name("b"), &pair.b)]
}

/// Numbers as files have them, without a copy of all of them at once.
struct Numbers<'a> {
    values: &'a [f32],
    shape: [usize; 1],
}

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = self.values.iter().flat_map(|value| value.to_le_bytes());
        bytes.collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

fn write_pairs(path: &Path, parts: &[(&str, &[LoraPair])]) -> io::Result<()> {
    let pairs = parts
        .iter()
        .flat_map(|(part, pairs)| pairs.iter().map(move |pair| matrices(part, pair)));
    let tensors = pairs.flatten().map(|(name, values)| {
        let shape = [values.len()];
        (name, Numbers { values, shape })
    });
    safetensors::serialize_to_file(tensors, None, path).map_err(io::Error::other)?;
    File::open(path)?.sync_all()
}

/// Reads parts of a file, each laid out as `layout` is.
fn read_pairs(
    path: &Path,
    parts: &[&str],
    layout: &[LoraPair],
) -> Result<Vec<Vec<LoraPair>>, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    let numbers = |name: &str, count: usize| -> Result<Vec<f32>, String> {
        let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != [count] {
            return Err(format!("{name} is not {count} floats"));
        }
        let numbers = tensor.data().as_chunks().0.iter();
        Ok(numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect())
    };
    let read_pair = |part: &str, like: &LoraPair| -> Result<LoraPair, String> {
        let [a, b] = matrices(part, like).map(|(name, values)| numbers(&name, values.len()));
        Ok(LoraPair {
            a: a?,
            b: b?,
            ..*like
        })
    };
    let parts = parts.iter().map(|part| {
        let pairs = layout.iter().map(|like| read_pair(part, like));
        pairs.collect()
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::run::tests::{lora, shape};
    use crate::train::{AdamWConfig, End};

    fn checkpoint(step: u64) -> Checkpoint {
        let adapter = |seed| Adapter::new(lora(), &shape(), seed);
        Checkpoint {
            position: Position {
                step,
                epoch: 2,
                index: 7,
                elapsed_secs: 0.1 + step as f64 / 3.0,
                best: Some(Best {
                    step: 1,
                    loss: 1.0 / 3.0,
                }),
                end: Some(End::Finished),
                ..Position::default()
            },
            optimiser: AdamW {
                config: AdamWConfig::default(),
                steps: step,
                means: adapter(100 + step).pairs,
                squares: adapter(200 + step).pairs,
            },
            adapter: adapter(step),
        }
    }

    fn load(run: &Path) -> Option<Checkpoint> {
        Checkpoint::load(run, &lora(), &shape(), AdamWConfig::default()).expect("a checkpoint")
    }

    #[test]
    fn a_checkpoint_comes_back_bit_by_bit_and_the_best_adapter_stays() {
        let run = tempfile::tempdir().expect("a folder");
        let run = run.path();
        assert_eq!(load(run), None);
        let best = |run| best_adapter(run, &shape()).expect("an adapter");
        checkpoint(1)
            .save(run, "base", CheckpointKind::Latest)
            .expect("saved");
        assert_eq!(best(run), None);
        for (step, kind) in [(2, CheckpointKind::Best), (3, CheckpointKind::Latest)] {
            checkpoint(step).save(run, "base", kind).expect("saved");
            assert_eq!(load(run), Some(checkpoint(step)));
            assert_eq!(best(run), Some(checkpoint(2).adapter));
        }
        let names = fs::read_dir(run).expect("the folder");
        assert_eq!(names.count(), 1, "nothing is left of older ones");
    }

    #[test]
    fn whatever_is_left_of_a_killed_writer_changes_nothing_and_goes() {
        let run = tempfile::tempdir().expect("a folder");
        let run = run.path();
        checkpoint(1)
            .save(run, "base", CheckpointKind::Best)
            .expect("saved");
        // A checkpoint is files in a temporary folder until it is whole: any prefix of the writing.
        let half = temporary_folder_beside(&run.join(CHECKPOINTS_FOLDER)).expect("a folder");
        let half = half.keep();
        assert_eq!(load(run), Some(checkpoint(1)));
        fs::create_dir(half.join(LAST_FOLDER)).expect("a folder");
        fs::write(half.join(LAST_FOLDER).join(TENSORS_FILE), b"half").expect("a file");
        assert_eq!(load(run), Some(checkpoint(1)));
        remove_leftovers(run).expect("cleared");
        assert!(!half.exists());
        checkpoint(2)
            .save(run, "base", CheckpointKind::Latest)
            .expect("saved");
        assert_eq!(load(run), Some(checkpoint(2)));
    }

    #[test]
    fn damage_is_told_and_never_loaded() {
        let run = tempfile::tempdir().expect("a folder");
        let run = run.path();
        checkpoint(1)
            .save(run, "base", CheckpointKind::Best)
            .expect("saved");
        let last = run.join(CHECKPOINTS_FOLDER).join(LAST_FOLDER);
        let bytes = fs::read(last.join(TENSORS_FILE)).expect("a file");
        fs::write(last.join(TENSORS_FILE), &bytes[..bytes.len() - 4]).expect("a file");
        let error = Checkpoint::load(run, &lora(), &shape(), AdamWConfig::default());
        let error = error.expect_err("damage").to_string();
        assert!(
            error.contains("damaged") && error.contains(TENSORS_FILE),
            "{error}"
        );
    }
}
