//! What a training is asked for, and all that it is made of.

use std::path::PathBuf;

use super::device::DeviceKind;
use crate::lake::{Lake, LakeError};
use crate::language::bases::Base;
use crate::llama::{Checkpointing, LlamaConfig, Precision};
use crate::train::{DataSource, OnExisting, Settings, TrainConfig, TrainData};

/// What a training is asked for.
#[derive(Clone, Debug)]
pub struct TrainingConfig {
    /// A model's name, file, folder, or repository on the Hugging Face hub.
    pub base: String,
    /// A dataset's name or folder, or a `.jsonl` file; `None`: the only dataset in `llm_data`.
    pub dataset: Option<String>,
    /// Name of the adapter; `None`: the dataset's.
    pub name: Option<String>,
    /// Folder of datasets.
    pub llm_data: PathBuf,
    /// Folder of adapters.
    pub llm_models: PathBuf,
    /// What is to become of a run of that name.
    pub on_existing: OnExisting,
    /// What is written beside the adapter.
    pub exports: Vec<Export>,
    /// Share of a file's examples that validates where no `valid.jsonl` lies beside it.
    pub valid_share: f64,
    /// Most tokens of an example; `None`: 2048, or as many as the model takes.
    pub max_tokens: Option<usize>,
    /// Peak of the learning rate; `None`: by the model's width.
    pub learning_rate: Option<f64>,
    /// All further settings; the peak of its schedule is filled in.
    pub train: TrainConfig,
    /// How the base's frozen weights are kept.
    pub precision: Precision,
    /// Where the model runs.
    pub device: DeviceKind,
    /// Memory against work; it does not change results.
    pub checkpointing: Checkpointing,
}

/// A model with the adapter merged into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// A folder as transformers reads it.
    Safetensors,
    /// One file as llama.cpp reads it.
    Gguf,
}

/// Opens the lake, for a record of the training.
pub type OpenLake<'a> = dyn Fn() -> Result<Lake, LakeError> + 'a;

/// All that a training is made of, before anything large is read.
pub struct Plan {
    pub(super) config: TrainingConfig,
    pub(super) base: Base,
    /// What other tools call the base.
    pub(super) base_model_name: String,
    pub(super) model: LlamaConfig,
    pub(super) source: DataSource,
    pub(super) data: TrainData,
    /// What must be the same for the run to be resumed.
    pub(super) settings: Settings,
    pub(super) name: String,
    pub(super) device: candle_core::Device,
}
