//! Whether a training fits into the memory limit, and what would make it fit.

use super::device::DeviceKind;
use super::error::{MemoryShortage, TrainingError};
use super::plan::Plan;
use crate::llama::{Checkpointing, Precision, weights_bytes};
use crate::numbers::human_bytes;
use crate::train::{MemoryEstimate, TrainData};

/// What decides about a training's memory.
#[derive(Clone, Copy)]
struct Choice {
    precision: Precision,
    checkpointing: Checkpointing,
    /// Of the largest batch.
    tokens: usize,
}

/// Refuses a training that does not fit into the memory limit, and says what would.
pub(super) fn check(plan: &Plan, limit_bytes: u64) -> Result<(), TrainingError> {
    if plan.config.device != DeviceKind::Cpu {
        // The GPU has a memory of its own, and says itself when it is full.
        return Ok(());
    }
    let config = &plan.config;
    let file_bytes = plan.base.file_bytes()?;
    let estimate = |choice: Choice| {
        let weights = weights_bytes(&plan.model, choice.precision, file_bytes);
        let lora = &config.train.lora;
        MemoryEstimate::new(
            &plan.model,
            lora,
            weights,
            choice.checkpointing,
            choice.tokens,
        )
    };
    let batch_texts = config.train.batch_texts;
    let asked = Choice {
        precision: config.precision,
        checkpointing: config.checkpointing,
        tokens: largest_batch(&plan.data, batch_texts, config.train.batch_tokens),
    };
    let as_asked = estimate(asked);
    let needed_bytes = as_asked.total_bytes();
    if needed_bytes <= limit_bytes {
        return Ok(());
    }
    let smallest = largest_batch(&plan.data, batch_texts, 1);
    let fitting = remedies(asked, smallest)
        .into_iter()
        .find_map(|(options, choice)| {
            let needed = estimate(choice).total_bytes();
            (needed <= limit_bytes).then(|| format!("{options} would need {}", human_bytes(needed)))
        });
    let shortage = MemoryShortage {
        needed: human_bytes(needed_bytes),
        limit: human_bytes(limit_bytes),
        weights: human_bytes(as_asked.weights_bytes),
        tokens: as_asked.batch_tokens,
        activations: human_bytes(as_asked.activation_bytes),
        adapter: human_bytes(as_asked.adapter_bytes),
        remedy: match fitting {
            Some(remedy) => format!("{remedy}; or raise --memory-limit"),
            None => "lower --max-tokens, take a smaller base, or raise --memory-limit".into(),
        },
    };
    Err(Box::new(shortage).into())
}

/// Options that save memory, those that cost least first.
fn remedies(asked: Choice, smallest_batch: usize) -> [(String, Choice); 5] {
    let checkpointing = Choice {
        checkpointing: Checkpointing::Layers,
        ..asked
    };
    let small = |choice: Choice| Choice {
        tokens: smallest_batch,
        ..choice
    };
    let precision = |precision: Precision| Choice {
        precision,
        ..small(checkpointing)
    };
    let batch = format!("--tokens-per-microbatch {smallest_batch}");
    [
        ("--checkpointing".into(), checkpointing),
        (batch.clone(), small(asked)),
        (format!("--checkpointing {batch}"), small(checkpointing)),
        (
            format!("--precision bf16 --checkpointing {batch}"),
            precision(Precision::Bf16),
        ),
        (
            format!("--precision quantised --checkpointing {batch}"),
            precision(Precision::Quantised),
        ),
    ]
}

/// Tokens of the largest batch that can come up.
fn largest_batch(data: &TrainData, batch_texts: usize, batch_tokens: usize) -> usize {
    let longest = data.longest();
    batch_tokens.min(longest * batch_texts).max(longest)
}
