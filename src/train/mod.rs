//! Training of low-rank adapters: from chats to an adapter, in steps that can be watched, stopped
//! and resumed.
//!
//! `data` makes tokens and batches, `schedule` and `adamw` say how a step changes the adapter, `run`
//! does the steps, `checkpoint` keeps what they lead to, `log` and `tensorboard` tell of them,
//! `folder` is where all of it lies, `memory` says beforehand what it takes.
//!
//! Nothing here knows what a model computes: [`run::train`] is given a [`Trainable`].
//!
//! [`Trainable`]: crate::llama::Trainable

pub mod adamw;
pub mod checkpoint;
pub mod data;
mod error;
pub mod folder;
mod log;
mod memory;
mod run;
mod schedule;
mod tensorboard;

use serde::Serialize;

use crate::llama::LoraConfig;

pub use adamw::AdamWConfig;
pub use checkpoint::End;
pub use data::{Chats, DataSource, Order, TrainData};
pub use error::TrainError;
pub use folder::{OnExisting, RunFolder, Settings};
pub use log::{Evaluation, Step};
pub use memory::MemoryEstimate;
pub use run::{Run, Start, TrainObserver, TrainReport, train};
pub use schedule::{Decay, Schedule, Warmup};

/// Epochs of a run that is not told how long it is to be.
const DEFAULT_EPOCHS: u64 = 3;

/// How long a run is: what comes first ends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Length {
    /// How often everything is learned; `None`: three times, or as often as `max_steps` asks
    /// for.
    pub epochs: Option<u64>,
    /// `None`: as many as the epochs have.
    pub max_steps: Option<u64>,
    /// The schedule is hurried so that the run ends in this time, the parts before it was resumed included.
    pub time_limit_secs: Option<f64>,
}

impl Length {
    /// Steps of a run without a time limit.
    pub fn total_steps(&self, steps_per_epoch: u64) -> u64 {
        let of_epochs = |epochs: u64| epochs.saturating_mul(steps_per_epoch);
        match (self.epochs, self.max_steps) {
            (Some(epochs), Some(max_steps)) => of_epochs(epochs).min(max_steps),
            (Some(epochs), None) => of_epochs(epochs),
            (None, Some(max_steps)) => max_steps,
            (None, None) => of_epochs(DEFAULT_EPOCHS),
        }
    }
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// Rank, scale and projections of the adapter.
    pub lora: LoraConfig,
    /// The optimiser's constants.
    pub adamw: AdamWConfig,
    /// The learning rate, step by step.
    pub schedule: Schedule,
    /// When the run is over.
    pub length: Length,
    /// Texts of a batch, which is cut further where it has more than `batch_tokens`.
    pub batch_texts: usize,
    /// Batches whose gradients make one step.
    pub accumulation: usize,
    /// Most tokens that go through the model at once; a longer text goes alone.
    pub batch_tokens: usize,
    /// Longer gradients are shortened to this length (L2 of all of them).
    pub max_gradient_norm: Option<f64>,
    /// In which order texts are learned.
    pub order: Order,
    /// Decides the adapter's beginning, dropout, and the order of texts.
    pub seed: u64,
    /// Steps between evaluations; `None`: a tenth of all.
    pub eval_every: Option<u64>,
    /// Most texts of the valid split that an evaluation looks at; `None`: all.
    pub eval_texts: Option<usize>,
    /// Steps between checkpoints, which each evaluation makes too.
    pub save_every: Option<u64>,
    /// The run ends when so many evaluations in a row are no better than the best.
    pub patience: Option<u32>,
}

impl TrainConfig {
    /// Texts of a step.
    pub fn step_texts(&self) -> usize {
        self.batch_texts * self.accumulation
    }

    /// Steps of an epoch of `texts`; the last one may have fewer texts than the others.
    pub fn steps_per_epoch(&self, texts: usize) -> u64 {
        texts.div_ceil(self.step_texts()) as u64
    }

    /// Steps of the whole run, if nothing ends it early.
    pub fn total_steps(&self, texts: usize) -> u64 {
        self.length.total_steps(self.steps_per_epoch(texts))
    }

    /// What decides about a run's numbers, under the names of the command's options. Missing are
    /// settings that only change in which order sums are made.
    pub fn settings(&self) -> Settings {
        let lora = &self.lora;
        let modules: Vec<&str> = lora.projections.iter().map(|p| p.name()).collect();
        let json = serde_json::json!({
            "lora_r": lora.rank,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "target_modules": modules.join(","),
            "rslora": lora.uses_rslora,
            "lr": self.schedule.peak,
            "schedule": self.schedule.decay,
            "warmup": self.schedule.warmup,
            "weight_decay": self.adamw.weight_decay,
            "epochs": self.length.epochs,
            "max_steps": self.length.max_steps,
            "batch_size": self.batch_texts,
            "gradient_accumulation": self.accumulation,
            "max_gradient_norm": self.max_gradient_norm,
            "order": self.order,
            "seed": self.seed,
            "eval_every": self.eval_every,
            "eval_examples": self.eval_texts,
            "patience": self.patience,
        });
        json.as_object().cloned().unwrap_or_default()
    }
}
