//! `posedata train`: fine-tunes a language model on a dataset, with a low-rank adapter.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::language_choices;
use super::language_model::PrecisionArg;
use crate::asking::AskRecord;
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::dataset::{Dataset, DatasetKind};
use crate::llama::{Checkpointing, LoraConfig, Projection, keep_freed_memory};
use crate::paths::PathTexts;
use crate::resources::{DatabaseUse, peak_resident_bytes};
use crate::text::{shell_word, shown};
use crate::train::checkpoint::CheckpointKind;
use crate::train::{
    AdamWConfig, DataSource, Decay, End, Evaluation, Length, OnExisting, Order, Schedule, Step,
    TrainConfig, TrainObserver, Warmup,
};
use crate::training::{
    DeviceKind, Export, OpenLake, Plan, Recorded, Trained, TrainingConfig, TrainingObserver,
};

/// Ids of examples that are named when they are left out.
const NAMED_EXAMPLES: usize = 5;

// The defaults are the settings with which smollm2 learned most in the short runs that were compared
// (by the loss on a validation video): many small steps with a high rate, all linear layers, weights
// in 16 bits. These take half the memory everywhere, and are multiplied faster where the processor
// has the instructions; where it has not they are widened as they are read.
const DEFAULT_BATCH_SIZE: u32 = 2;
const SECS_PER_MINUTE: f64 = 60.0;

/// Fine-tune a language model on a dataset: a low-rank adapter (LoRA) for its weights
#[derive(Args)]
#[command(after_help = "Examples:
  posedata train --base smollm2 --dataset gait
  posedata train --base tinyllama --checkpointing
  posedata train --base ./my-llama --dataset data.jsonl --lora-r 8 --lora-alpha 16 --target-modules attention --merge --resume

A dataset is one of `posedata dataset build`, its folder, or a file of JSON Lines whose lines hold
messages (role, content), conversations (from, value), instruction, input and output, or prompt and
completion. A file valid.jsonl beside it validates. The model learns what the assistant says, and
nothing else; examples of more than --max-tokens are left out.

The folder DIR/NAME gets the adapter as PEFT reads it (of the best evaluation, or of the last step
where nothing validates), train_config.json, metrics.jsonl, loss.svg, event files for TensorBoard and
checkpoints. Ctrl-C saves a checkpoint; the same command with --resume goes on from the newest one, to
the same losses as without the interruption, unless there is a --time-limit. With a larger --epochs,
--max-steps, --patience or --time-limit it goes on beyond its end, on the schedule of the longer run.")]
pub struct TrainArgs {
    /// Model to train: smollm2, tinyllama, a GGUF file, a model's folder, OWNER/NAME on the Hugging
    /// Face hub
    #[arg(long, value_name = "MODEL", default_value = "smollm2")]
    base: String,
    /// Name or folder of a dataset, or a .jsonl file [default: the only dataset that there is]
    #[arg(long, value_name = "NAME|DIR|FILE")]
    dataset: Option<String>,
    /// Name of the adapter: letters, digits, - and _ [default: the dataset's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder of datasets
    #[arg(
        long,
        visible_alias = "llm_data",
        value_name = "DIR",
        default_value = "llm_training_data",
        value_parser = choices::local_path()
    )]
    llm_data: PathBuf,
    /// Folder of adapters
    #[arg(
        long,
        visible_alias = "llm_models",
        value_name = "DIR",
        default_value = "llm_models",
        value_parser = choices::local_path()
    )]
    llm_models: PathBuf,
    /// Go on with the run that is there, from its newest checkpoint; where there is none, begin
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the run that is there
    #[arg(long)]
    overwrite: bool,
    /// Write the model with the adapter merged into it as well, as transformers reads it
    #[arg(long)]
    merge: bool,
    /// Write the model with the adapter merged into it as a GGUF file as well
    #[arg(long)]
    gguf: bool,
    /// Share of a file's examples that validates where no valid.jsonl lies beside it
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1, value_parser = share)]
    valid_share: f64,
    /// Most tokens of an example [default: 2048, or as many as the model takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    max_tokens: Option<u32>,

    /// How often everything is learned [default: 3, or as often as --max-steps asks for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    epochs: Option<u64>,
    /// Most steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    max_steps: Option<u64>,
    /// End in this time, evaluations included; the schedule is hurried as need be
    #[arg(long, value_name = "MINUTES", value_parser = above_zero, help_heading = "Length")]
    time_limit: Option<f64>,
    /// End when so many evaluations in a row are no better than the best
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Length")]
    patience: Option<u32>,
    /// Steps between evaluations on the valid split [default: a tenth of all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    eval_every: Option<u64>,
    /// Most examples of the valid split that an evaluation looks at, drawn by the seed
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Length")]
    eval_examples: u32,
    /// Steps between checkpoints; each evaluation makes one too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    save_every: Option<u64>,

    /// Peak of the learning rate [default: 0.002 for smollm2, less for wider models: 0.00074 for
    /// tinyllama]
    #[arg(long, value_name = "RATE", value_parser = above_zero, help_heading = "Optimiser")]
    lr: Option<f64>,
    /// What the learning rate does after the warm-up
    #[arg(long, value_parser = language_choices::decay(), default_value = Decay::Cosine.name(), help_heading = "Optimiser")]
    schedule: Decay,
    /// How long the learning rate rises: a share of all steps (0.05), or their number (20)
    #[arg(
        long,
        value_name = "SHARE|N",
        default_value = "0.05",
        help_heading = "Optimiser"
    )]
    warmup: Warmup,
    /// Share of each parameter that goes in each step, times the learning rate
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = zero_or_more, help_heading = "Optimiser")]
    weight_decay: f64,
    /// Longer gradients are shortened to this length; 0: none are
    #[arg(long, value_name = "NORM", default_value_t = 1.0, value_parser = zero_or_more, help_heading = "Optimiser")]
    max_gradient_norm: f64,
    /// Examples of a batch
    #[arg(long, value_name = "N", default_value_t = DEFAULT_BATCH_SIZE, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Optimiser")]
    batch_size: u32,
    /// Batches of a step
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Optimiser")]
    gradient_accumulation: u32,
    /// Decides everything that is left to chance
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = "Optimiser"
    )]
    seed: u64,

    /// Rank of the adapter
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Adapter")]
    lora_r: u32,
    /// The adapter's output is multiplied by alpha / r
    #[arg(long, value_name = "ALPHA", default_value_t = 32.0, value_parser = above_zero, help_heading = "Adapter")]
    lora_alpha: f64,
    /// Share of the adapter's inputs that is dropped in training
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Adapter")]
    lora_dropout: f64,
    /// Linear layers that get an adapter: attention, all-linear, or a list such as q_proj,v_proj
    #[arg(long, value_name = "MODULES", default_value = "all-linear", value_parser = target_modules, help_heading = "Adapter")]
    target_modules: TargetModules,
    /// Multiply by alpha / sqrt(r) instead (rsLoRA)
    #[arg(long, help_heading = "Adapter")]
    rslora: bool,

    /// Where to compute
    #[arg(long, value_parser = language_choices::device(), default_value = DeviceKind::Cpu.name(), help_heading = "Speed and memory")]
    device: DeviceKind,
    /// How the frozen weights are kept in memory, and in what --merge writes; quantised is how a
    /// GGUF file has them
    #[arg(long, value_enum, default_value_t = PrecisionArg::Bf16, help_heading = "Speed and memory")]
    precision: PrecisionArg,
    /// Most tokens that go through the model at once; a longer example goes alone
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Speed and memory")]
    tokens_per_microbatch: u32,
    /// Keep only the input of each layer for the backward pass and compute the rest again: a third
    /// more work for a fraction of the memory
    #[arg(long, help_heading = "Speed and memory")]
    checkpointing: bool,
}

/// In the order of [`Projection::ALL`], each once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TargetModules(Vec<Projection>);

fn target_modules(text: &str) -> Result<TargetModules, String> {
    let find = |word: &str| {
        let named = |own: &Projection| own.name() == word || own.name() == format!("{word}_proj");
        Projection::ALL.into_iter().find(named)
    };
    let mut found = match text {
        "attention" => Projection::ATTENTION.to_vec(),
        "all-linear" => Projection::ALL.to_vec(),
        list => {
            let words = list.split(',').map(|word| find(word.trim()));
            words.collect::<Option<Vec<_>>>().ok_or_else(|| {
                let known = Projection::ALL.map(Projection::name).join(", ");
                format!("expected attention, all-linear, or some of {known}")
            })?
        }
    };
    found.sort_unstable();
    found.dedup();
    Ok(TargetModules(found))
}

fn number(text: &str, is_good: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let good = number.filter(|number| number.is_finite() && is_good(*number));
    good.ok_or_else(|| format!("expected a number {expected}"))
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |n| (0.0..1.0).contains(&n), "from 0 to below 1")
}

fn above_zero(text: &str) -> Result<f64, String> {
    number(text, |n| n > 0.0, "above 0")
}

fn zero_or_more(text: &str) -> Result<f64, String> {
    number(text, |n| n >= 0.0, "that is 0 or more")
}

impl TrainArgs {
    fn config(self) -> TrainingConfig {
        let exports = [(Export::Safetensors, self.merge), (Export::Gguf, self.gguf)];
        let exports = exports.into_iter().filter(|(_, is_wanted)| *is_wanted);
        TrainingConfig {
            train: self.train_config(),
            base: self.base,
            dataset: self.dataset,
            name: self.name,
            llm_data: self.llm_data,
            llm_models: self.llm_models,
            on_existing: match (self.resume, self.overwrite) {
                (true, _) => OnExisting::Resume,
                (_, true) => OnExisting::Overwrite,
                _ => OnExisting::Refuse,
            },
            exports: exports.map(|(format, _)| format).collect(),
            valid_share: self.valid_share,
            max_tokens: self.max_tokens.map(|tokens| tokens as usize),
            learning_rate: self.lr,
            precision: self.precision.precision(),
            device: self.device,
            checkpointing: match self.checkpointing {
                true => Checkpointing::Layers,
                false => Checkpointing::Off,
            },
        }
    }

    fn train_config(&self) -> TrainConfig {
        TrainConfig {
            lora: LoraConfig {
                rank: self.lora_r as usize,
                alpha: self.lora_alpha as f32,
                dropout: self.lora_dropout as f32,
                projections: self.target_modules.0.clone(),
                uses_rslora: self.rslora,
            },
            adamw: AdamWConfig {
                weight_decay: self.weight_decay,
                ..AdamWConfig::default()
            },
            schedule: Schedule {
                peak: self.lr.unwrap_or_default(),
                warmup: self.warmup,
                decay: self.schedule,
            },
            length: Length {
                epochs: self.epochs,
                max_steps: self.max_steps,
                time_limit_secs: self.time_limit.map(|minutes| minutes * SECS_PER_MINUTE),
            },
            batch_texts: self.batch_size as usize,
            accumulation: self.gradient_accumulation as usize,
            batch_tokens: self.tokens_per_microbatch as usize,
            max_gradient_norm: Some(self.max_gradient_norm).filter(|norm| *norm > 0.0),
            order: Order::Shuffled,
            seed: self.seed,
            eval_every: self.eval_every,
            eval_texts: Some(self.eval_examples as usize),
            save_every: self.save_every,
            patience: self.patience,
        }
    }
}

pub fn run(args: TrainArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    keep_freed_memory();
    let store = global.store()?;
    let plan = Plan::new(args.config(), &store)?;
    tell_left_out(plan.left_out(), global);
    let record = match plan.source() {
        DataSource::Dataset {
            kind: DatasetKind::Calls,
            folder,
            ..
        } => Some(AskRecord::of_dataset(&Dataset::open(folder)?)),
        _ => None,
    };
    let training = plan.open(global.memory_limit_bytes())?;
    let open_lake = global.lake_opener(global.lake_paths()?, DatabaseUse::Beside)?;
    let lake: Option<&OpenLake<'_>> = match global.lake_paths()?.exists() {
        true => Some(&open_lake),
        false => None,
    };
    let cancellation =
        global.cancellation("interrupted: saving a checkpoint; Ctrl-C again ends at once");
    let progress = Progress::new(global);
    let trained = training.run(&store, lake, &cancellation, &progress);
    progress.bar.finish_and_clear();
    let trained = trained?;
    if let Some(record) = record.filter(|_| !trained.is_interrupted) {
        record.save(&trained.folder)?;
    }
    print_report(&trained, global)?;
    Ok(match trained.is_interrupted {
        true => ExitStatus::Interrupted,
        false => ExitStatus::Success,
    })
}

fn tell_left_out(ids: &[String], global: &GlobalArgs) {
    if ids.is_empty() || global.verbosity() == Verbosity::Quiet {
        return;
    }
    let named = ids[..ids.len().min(NAMED_EXAMPLES)].join(", ");
    let more = if ids.len() > NAMED_EXAMPLES {
        ", …"
    } else {
        ""
    };
    let what = match ids.len() {
        1 => "1 example is longer than --max-tokens allows, and is left out",
        count => &format!("{count} examples are longer than --max-tokens allows, and are left out"),
    };
    logs::note(format_args!("{what}: {named}{more}"));
}

fn print_report(trained: &Trained, global: &GlobalArgs) -> anyhow::Result<()> {
    let report = &trained.report;
    if global.json {
        let mut result = json!({
            "name": trained.name,
            "folder": trained.folder.texts(),
            "outputs": trained.outputs.texts(),
            "left_out": trained.left_out,
            "peak_memory_bytes": peak_resident_bytes(),
        });
        result["report"] = serde_json::to_value(report)?;
        return print_result(serde_json::to_string_pretty(&result)?);
    }
    let end = match report.end {
        End::Finished => "finished",
        End::StoppedEarly => "stopped early, because evaluations became no better,",
        End::OutOfTime => "ended by the time limit",
        End::Interrupted => "interrupted",
    };
    print_result(format_args!(
        "{end} after {} of {} steps ({:.2} epochs, {} tokens) in {:.0} s, {:.0} tokens/s",
        report.steps,
        report.total_steps,
        report.epochs,
        report.tokens,
        report.elapsed_secs,
        report.tokens_per_sec
    ))?;
    if let (Some(first), Some(last)) = (report.first_train_loss, report.last_train_loss) {
        print_result(format_args!(
            "training loss: {first:.4} at first, {last:.4} at last"
        ))?;
    }
    if let (Some(first), Some(best), Some(step)) = (
        report.first_valid_loss,
        report.best_valid_loss,
        report.best_step,
    ) {
        print_result(format_args!(
            "validation loss: {first:.4} without the adapter, {best:.4} at best, after step {step}"
        ))?;
    }
    for output in &trained.outputs {
        print_result(output.display())?;
    }
    if global.verbosity() > Verbosity::Quiet {
        tell_next(trained);
    }
    Ok(())
}

fn tell_next(trained: &Trained) {
    if trained.is_interrupted {
        logs::note("hint: the same command with --resume goes on from here");
        return;
    }
    if trained.report.valid_examples == 0 {
        logs::note("hint: nothing validated; give a valid.jsonl beside the data, or --valid-share");
    }
    logs::note(format_args!(
        "hint: ask it with `posedata ask --base {} --adapter {} \"…\"`",
        shell_word(&trained.base),
        shell_word(&shown(&trained.folder))
    ));
}

/// A progress bar of steps, or lines where there is no terminal.
struct Progress {
    bar: ProgressBar,
    /// Whether people are told of evaluations.
    tells: bool,
}

impl Progress {
    fn new(global: &GlobalArgs) -> Self {
        let verbosity = global.verbosity();
        let style = ProgressStyle::with_template("[{bar:30}] step {pos}/{len}  {msg}  ETA {eta}")
            .expect("the template is a constant")
            .progress_chars("=> ");
        let bar =
            ProgressBar::with_draw_target(None, logs::bar_target(verbosity)).with_style(style);
        Self {
            bar,
            tells: verbosity > Verbosity::Quiet && !global.json,
        }
    }

    fn say(&self, line: &str) {
        if self.tells {
            self.bar.suspend(|| logs::tell_people(line));
        }
    }
}

impl TrainObserver for Progress {
    fn started(&self, done: u64, total: u64) {
        tracing::info!(target: "posedata::train", done, total, "training started");
        self.bar.set_length(total);
        self.bar.set_position(done);
        // Steps before it was resumed do not count for the speed of this one.
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(200));
        if done > 0 {
            self.say(&format!("going on after step {done} of {total}"));
        }
    }

    fn step_done(&self, step: &Step) {
        let Step {
            step,
            loss,
            learning_rate,
            gradient_norm,
            tokens_per_sec,
            ..
        } = *step;
        tracing::info!(
            target: "posedata::train",
            step,
            loss,
            learning_rate,
            gradient_norm,
            tokens_per_sec,
            "step done"
        );
        self.bar.set_position(step);
        self.bar
            .set_message(format!("loss {loss:.4}  {tokens_per_sec:.0} tokens/s"));
    }

    fn evaluated(&self, evaluation: &Evaluation, kind: CheckpointKind) {
        let Evaluation {
            step,
            loss,
            perplexity,
            secs,
            ..
        } = *evaluation;
        let is_best = kind == CheckpointKind::Best;
        tracing::info!(
            target: "posedata::train",
            step,
            loss,
            perplexity,
            secs,
            is_best,
            "evaluated"
        );
        let best = if is_best { ", the best so far" } else { "" };
        self.say(&format!(
            "step {step}: validation loss {loss:.4}, perplexity {perplexity:.3}{best}"
        ));
    }

    fn saved(&self, step: u64) {
        tracing::debug!(target: "posedata::train", step, "checkpoint saved");
    }
}

impl TrainingObserver for Progress {
    fn recorded(&self, recorded: &Recorded) {
        self.bar.finish_and_clear();
        match recorded {
            Recorded::InLake => {}
            Recorded::NoLake if !self.tells => {}
            Recorded::NoLake => {
                logs::note("there is no lake here, so the run is in its folder only")
            }
            Recorded::Failed(error) => logs::note(format_args!(
                "the run is in its folder, but not in the lake: {error:#}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_peft_names_them_or_in_short() {
        let found = |text| target_modules(text).map(|modules| modules.0);
        assert_eq!(found("attention"), Ok(Projection::ATTENTION.to_vec()));
        assert_eq!(found("all-linear"), Ok(Projection::ALL.to_vec()));
        let wanted = vec![Projection::Q, Projection::V, Projection::Down];
        assert_eq!(found("down_proj, v,q_proj,v_proj"), Ok(wanted));
        assert!(found("q_proj,head").is_err());
    }
}
