//! Llama models under evaluation.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{
    EvaluateError, EvaluatedModel, Evaluation, EvaluationSetup, Evaluator, Sample, folder,
};
use crate::dataset::{Dataset, Example};
use crate::llama::generate::NextToken;
use crate::llama::{
    Adapter, Batch, Checkpointing, Decoder, Engine, EngineOptions, LlamaError, LoadedModel,
    Trainable, Weights,
};
use crate::sync::Cancellation;

/// Nothing is computed backwards here.
const ENGINE_OPTIONS: EngineOptions = EngineOptions {
    checkpointing: Checkpointing::Off,
};

/// A base model with an adapter, or alone.
struct LlamaModel<'a> {
    weights: Arc<Weights>,
    adapter: Option<&'a Adapter>,
    engine: Engine,
    cancellation: &'a Cancellation,
}

impl<'a> LlamaModel<'a> {
    fn new(
        model: &LoadedModel,
        adapter: Option<&'a Adapter>,
        cancellation: &'a Cancellation,
    ) -> Self {
        let engine = Engine::new(Arc::clone(&model.weights), ENGINE_OPTIONS);
        Self {
            weights: Arc::clone(&model.weights),
            adapter,
            engine: engine.cancelled_by(cancellation),
            cancellation,
        }
    }
}

impl EvaluatedModel for LlamaModel<'_> {
    fn start_text(&mut self, max_tokens: usize) -> Result<Box<dyn NextToken + '_>, LlamaError> {
        let decoder = Decoder::new(Arc::clone(&self.weights), self.adapter, max_tokens)?;
        Ok(Box::new(decoder.cancelled_by(self.cancellation)))
    }

    fn target_nlls(&mut self, batch: &Batch) -> Result<Vec<f32>, LlamaError> {
        self.engine.target_nlls(self.adapter, batch)
    }
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The base model and the adapter.
    Both,
    /// The adapter alone, in half the time.
    Adapter,
}

/// Names of the videos that examples are about, in the order of the names.
fn videos_of(dataset: &Dataset, examples: &[&Example]) -> Vec<String> {
    let ids: BTreeSet<&str> = examples
        .iter()
        .map(|example| example.lineage.video_id.as_str())
        .collect();
    let videos = dataset.manifest.videos.iter();
    let asked = videos.filter(|video| ids.contains(video.video_id.as_str()));
    let mut names: Vec<String> = asked.map(|video| video.file_name.clone()).collect();
    names.sort();
    names
}

/// Asks the adapter that lies in `adapter_folder`, and its base model if `whom` says so, the
/// examples of a sample. `done` is told how many have been answered; `None` when it was cancelled.
///
/// # Errors
/// When the adapter does not fit the model, a prompt is longer than the model takes, or the
/// computation fails.
pub fn evaluate(
    model: &LoadedModel,
    adapter_folder: &Path,
    dataset: &Dataset,
    sample: Sample,
    whom: Whom,
    cancellation: &Cancellation,
    mut done: impl FnMut(usize),
) -> Result<Option<Evaluation>, EvaluateError> {
    let started = Instant::now();
    let examples = sample.of(dataset)?;
    let adapter = model.adapter(adapter_folder)?;
    let evaluator = Evaluator {
        tokenizer: &model.tokenizer,
        max_positions: model.weights.config.max_positions,
        end_ids: model.end_ids.clone(),
        cancellation,
    };
    let mut base = match whom {
        Whom::Both => Some(LlamaModel::new(model, None, cancellation)),
        Whom::Adapter => None,
    };
    let answers = evaluator.ask(
        dataset,
        &examples,
        base.as_mut().map(|base| base as &mut dyn EvaluatedModel),
        &mut LlamaModel::new(model, Some(&adapter), cancellation),
        &mut done,
    )?;
    let Some(answers) = answers else {
        return Ok(None);
    };
    let setup = EvaluationSetup {
        base: model.base.name.clone(),
        adapter: adapter_folder.display().to_string(),
        adapter_blake3: folder::hash_adapter(adapter_folder)?,
        precision: model.precision.name().into(),
        sample,
        videos: videos_of(dataset, &examples),
    };
    Ok(Some(Evaluation::new(
        setup,
        &dataset.manifest.name,
        &dataset.content_blake3(),
        dataset.manifest.lake_snapshot,
        answers,
        started.elapsed().as_secs_f64(),
    )))
}
