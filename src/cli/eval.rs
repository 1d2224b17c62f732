//! `posedata eval`: asks a model the questions of a dataset, with its adapter and without.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::dataset::{FolderArgs, split};
use super::language_model::{LoadedModel, ModelArgs};
use super::model_card::write_card;
use super::progress::bar_target;
use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::dataset::{Dataset, Split};
use crate::evaluate::{EvaluateError, Evaluation, Exam, Sample, Setting, Subject, examine};
use crate::files::write_atomically;
use crate::llama::generate::NextToken;
use crate::llama::{
    Adapter, Batch, Checkpointing, Decoder, Engine, EngineOptions, LlamaError, Trainable, Weights,
    keep_freed_memory,
};

/// Nothing is computed backwards here.
const ENGINE_OPTIONS: EngineOptions = EngineOptions {
    checkpointing: Checkpointing::Off,
};

/// The file in an adapter's folder that keeps its latest evaluation.
pub const EVAL_FILE: &str = "eval.json";

/// Ask base and adapter the questions of a dataset, and compare
#[derive(Args)]
#[command(after_help = "Examples:
  posedata eval --base smollm2 --adapter llm_models/gait --dataset gait
  posedata eval --adapter llm_models/gait --dataset gait --per-task 50 --json

Both models answer the same examples greedily. A number is right within half a unit of the last
digit that the example's answer gives; all that are asked for must be there, and no others of their
kind. Lists are compared as sets, other answers word by word. The results go to eval.json and
README.md in the adapter's folder.")]
pub struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of the adapter, as `posedata train` and PEFT write them
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Name of the dataset
    #[arg(long, value_name = "NAME")]
    dataset: String,
    #[command(flatten)]
    folder: FolderArgs,
    /// Most questions of each task
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    per_task: u32,
    /// Which examples are asked
    #[arg(long, value_name = "train|valid", default_value = "valid", value_parser = split)]
    split: Split,
    /// Decides which examples of a task are asked
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub fn run(args: EvalArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    keep_freed_memory();
    let dataset = Dataset::open(&args.folder.of(&args.dataset))?;
    let sample = Sample {
        split: args.split,
        per_task: args.per_task as usize,
        seed: args.seed,
    };
    let examples = sample.of(&dataset);
    ensure!(
        !examples.is_empty(),
        EvaluateError::NothingToAsk {
            split: sample.split.name()
        }
    );
    let model = args.model.load(global)?;
    let adapter = model.adapter(&args.adapter, global)?;
    let cancellation = global.cancellation("interrupted: finishing this question");
    let exam = Exam {
        tokenizer: &model.tokenizer,
        max_positions: model.weights.config.max_positions,
        end_ids: model.end_ids.clone(),
    };
    let progress = progress(examples.len(), global.verbosity());
    let started = Instant::now();
    let answers = examine(
        &exam,
        &dataset,
        &examples,
        &mut Examined::new(&model, None),
        &mut Examined::new(&model, Some(&adapter)),
        &mut |done| {
            progress.set_position(done as u64);
            match cancellation.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
    );
    progress.finish_and_clear();
    let Some(answers) = answers? else {
        return Ok(ExitStatus::Interrupted);
    };
    let setting = Setting {
        base: args.model.base().into(),
        adapter: args.adapter.display().to_string(),
        adapter_blake3: adapter_blake3(&args.adapter)?,
        precision: args.model.precision_name().into(),
        sample,
    };
    let evaluation = Evaluation::new(
        setting,
        &dataset.manifest.name,
        &dataset.content_blake3(),
        dataset.manifest.lake_snapshot,
        answers,
        started.elapsed().as_secs_f64(),
    );
    save(&evaluation, &args.adapter, global)?;
    if global.json {
        print_result(serde_json::to_string_pretty(&evaluation)?)?;
    } else {
        tell(&evaluation, &args.adapter, global)?;
    }
    Ok(ExitStatus::Success)
}

/// BLAKE3 of an adapter's weights, 64 hex digits.
pub fn adapter_blake3(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("adapter_model.safetensors");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// A model under examination.
struct Examined<'a> {
    weights: Arc<Weights>,
    adapter: Option<&'a Adapter>,
    engine: Engine,
}

impl<'a> Examined<'a> {
    fn new(model: &LoadedModel, adapter: Option<&'a Adapter>) -> Self {
        Self {
            weights: Arc::clone(&model.weights),
            adapter,
            engine: Engine::new(Arc::clone(&model.weights), ENGINE_OPTIONS),
        }
    }
}

impl Subject for Examined<'_> {
    fn begin(&mut self, max_tokens: usize) -> Result<Box<dyn NextToken + '_>, LlamaError> {
        let decoder = Decoder::new(Arc::clone(&self.weights), self.adapter, max_tokens)?;
        Ok(Box::new(decoder))
    }

    fn target_nlls(&mut self, batch: &Batch) -> Result<Vec<f32>, LlamaError> {
        self.engine.target_nlls(self.adapter, batch)
    }
}

fn progress(questions: usize, verbosity: Verbosity) -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} questions  ETA {eta}")
        .expect("the template is a constant")
        .progress_chars("=> ");
    ProgressBar::with_draw_target(Some(questions as u64), bar_target(verbosity)).with_style(style)
}

fn save(evaluation: &Evaluation, adapter: &Path, global: &GlobalArgs) -> anyhow::Result<()> {
    let path = adapter.join(EVAL_FILE);
    let mut json = serde_json::to_vec_pretty(evaluation)?;
    json.push(b'\n');
    write_atomically(&path, &json)
        .with_context(|| format!("cannot write the evaluation: {}", path.display()))?;
    write_card(adapter, &evaluation.base, &global.store()?)
}

fn tell(evaluation: &Evaluation, adapter: &Path, global: &GlobalArgs) -> anyhow::Result<()> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(Evaluation::COLUMNS);
    for row in evaluation.rows() {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_result(table)?;
    print_result(format_args!(
        "numeric questions: {}",
        evaluation.numeric.in_words()
    ))?;
    if global.verbosity() > Verbosity::Quiet {
        logs::note(format_args!(
            "{} questions in {:.0} s: {}",
            evaluation.all.asked,
            evaluation.elapsed_secs,
            adapter.join(EVAL_FILE).display()
        ));
    }
    Ok(())
}
