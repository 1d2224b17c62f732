//! `posedata train`: fine-tunes a language model on a dataset, with a low-rank adapter.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use candle_core::Device;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::language_model::PrecisionArg;
use super::model_card::{TRAIN_REPORT_FILE, write_card};
use super::progress::bar_target;
use super::{
    Ending, GlobalArgs, INTERRUPTED, Verbosity, choices, handle_interrupts, human_bytes, logs,
    print_result,
};
use crate::dataset::check_name;
use crate::files::write_atomically;
use crate::lake::{TrainingRecord, TrainingResult, UtcTime, run_id};
use crate::language::bases::{self, Base, BaseFiles};
use crate::language::{ChatTokenizer, Needs};
use crate::llama::{
    Adapter, Checkpointing, Composed, Engine, EngineOptions, LlamaConfig, LoraConfig, Projection,
    Trainable, Weights, export, keep_freed_memory, weights_bytes,
};
use crate::models::ModelStore;
use crate::resources::{Resources, peak_resident_bytes};
use crate::train::checkpoint::{Checkpoint, Standing};
use crate::train::folder::RunConfig;
use crate::train::{
    AdamWConfig, Chats, DataSource, Decay, End, Evaluation, Length, MemoryEstimate, OnExisting,
    Order, Run, RunFolder, Schedule, Settings, Start, Step, TrainConfig, TrainData, TrainObserver,
    TrainReport, Warmup, data, train,
};

/// Share of the memory limit for the lake's database, which is opened when training is over.
const LAKE_MEMORY_SHARE: f64 = 0.2;
/// Texts that are longer are left out if nothing else is said.
const DEFAULT_MAX_TOKENS: usize = 2048;
/// Ids of examples that are named when they are left out.
const NAMED_EXAMPLES: usize = 5;
const SECS_PER_MINUTE: f64 = 60.0;

// The defaults are the settings with which smollm2 learned most in the short runs that were compared
// (by the loss on a validation video): many small steps with a high rate, all linear layers, weights
// in 16 bits. These take half the memory everywhere, and are multiplied faster where the processor
// has the instructions; where it has not they are widened as they are read.
const DEFAULT_BATCH_SIZE: u32 = 2;
const DEFAULT_LEARNING_RATE: f64 = 2e-3;
/// Width of the model for which that rate was found.
const TUNED_HIDDEN: f64 = 576.0;
/// The best rate of adapters falls with the width of Llama models to this power (Schulman et al.,
/// "LoRA Without Regret", 2025).
const RATE_WIDTH_EXPONENT: f64 = 0.78;

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
        default_value = "llm_training_data"
    )]
    llm_data: PathBuf,
    /// Folder of adapters
    #[arg(
        long,
        visible_alias = "llm_models",
        value_name = "DIR",
        default_value = "llm_models"
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
    #[arg(long, value_parser = choices::decay(), default_value = Decay::Cosine.name(), help_heading = "Optimiser")]
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
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu, help_heading = "Speed and memory")]
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

/// Where a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DeviceKind {
    Cpu,
    /// An NVIDIA GPU
    Cuda,
    /// An Apple GPU
    Metal,
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

/// The peak of the learning rate for a model of so many hidden units; narrower models than the one
/// it was found for get no higher one.
fn default_learning_rate(hidden: usize) -> f64 {
    let factor = (TUNED_HIDDEN / hidden.max(1) as f64).powf(RATE_WIDTH_EXPONENT);
    // A round number is easier to give again.
    let rate = DEFAULT_LEARNING_RATE * factor.min(1.0);
    (rate * 1e5).round() / 1e5
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
    fn config(&self, shape: &LlamaConfig) -> TrainConfig {
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
                peak: self
                    .lr
                    .unwrap_or_else(|| default_learning_rate(shape.hidden_size)),
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

    fn checkpointing(&self) -> Checkpointing {
        match self.checkpointing {
            true => Checkpointing::Layers,
            false => Checkpointing::Off,
        }
    }

    fn on_existing(&self) -> OnExisting {
        match (self.resume, self.overwrite) {
            (true, _) => OnExisting::Resume,
            (_, true) => OnExisting::Overwrite,
            _ => OnExisting::Refuse,
        }
    }

    /// What only decides about speed, memory and names.
    fn about(&self, base: &Base, source: &DataSource, started: &Started) -> Settings {
        let (dataset_snapshot, dataset_blake3) = match source {
            DataSource::Dataset {
                lake_snapshot,
                content_blake3,
                ..
            } => (Some(lake_snapshot), Some(content_blake3)),
            DataSource::Files { .. } => (None, None),
        };
        let about = json!({
            "run_id": started.run_id,
            "started_at": started.at,
            "base": base.name,
            "dataset": source.path(),
            "dataset_snapshot": dataset_snapshot,
            "dataset_blake3": dataset_blake3,
            "tokens_per_microbatch": self.tokens_per_microbatch,
            "checkpointing": self.checkpointing,
            "time_limit_minutes": self.time_limit,
            "save_every": self.save_every,
        });
        about.as_object().cloned().unwrap_or_default()
    }
}

/// Which run this is; one that is gone on with stays the same.
struct Started {
    run_id: String,
    /// RFC 3339.
    at: String,
}

impl Started {
    fn of(folder: &RunFolder) -> Self {
        let text = |name: &str| {
            let value = folder.resumed()?.about.get(name)?;
            value.as_str().map(str::to_owned)
        };
        let now = UtcTime::now();
        Self {
            run_id: text("run_id").unwrap_or_else(|| run_id(now)),
            at: text("started_at").unwrap_or_else(|| now.to_string()),
        }
    }
}

/// All that a run is made of, validated, before anything large is read.
struct Plan {
    base: Base,
    /// What other tools call the base: its repository on the hub, or its path.
    base_model_name: String,
    shape: LlamaConfig,
    source: DataSource,
    data: TrainData,
    config: TrainConfig,
    settings: Settings,
    name: String,
    device: Device,
}

pub fn run(args: TrainArgs, global: &GlobalArgs) -> anyhow::Result<Ending> {
    keep_freed_memory();
    let plan = plan(&args, global)?;
    tell_left_out(&plan.data, global);
    check_memory(&args, &plan, global.memory_limit_bytes())?;
    let folder = args.llm_models.join(&plan.name);
    let folder = RunFolder::open(&folder, &plan.settings, args.on_existing())?;
    let started = Started::of(&folder);
    handle_interrupts(|| {
        logs::note(
            "interrupted: saving a checkpoint after the batch in work; Ctrl-C again ends at once",
        );
    })?;
    let weights = Arc::new(Weights::open(&plan.base, args.precision.precision())?);
    let mut model = open_model(&weights, &args, &plan.device)?;
    folder.begin(&RunConfig {
        posedata_version: env!("CARGO_PKG_VERSION").into(),
        settings: plan.settings.clone(),
        about: args.about(&plan.base, &plan.source, &started),
    })?;
    let trained = train_in(model.as_mut(), &plan, &folder, global);
    drop(model);
    let record = |report: Option<&TrainReport>, error: Option<String>| {
        record(&plan, folder.path(), &started, report, error, global);
    };
    let (report, adapter) = match trained {
        Ok(trained) => trained,
        Err(error) => {
            record(None, Some(error.to_string()));
            return Err(error.into());
        }
    };
    if report.end == End::Interrupted {
        record(Some(&report), None);
        print_report(&report, &plan, folder.path(), &[], global)?;
        return Ok(Ending::Interrupted);
    }
    let outputs = write_outputs(
        &adapter,
        &report,
        &weights,
        &plan,
        folder.path(),
        &args,
        global,
    )?;
    record(Some(&report), None);
    print_report(&report, &plan, folder.path(), &outputs, global)?;
    Ok(Ending::AllGood)
}

/// The name of the one dataset in a folder of datasets.
fn only_dataset(llm_data: &Path) -> anyhow::Result<String> {
    let mut names = data::names(llm_data)?;
    match names.as_slice() {
        [_] => Ok(names.remove(0)),
        [] => bail!(
            "there is no dataset in {}; make one with `posedata dataset build --name NAME`, or give --dataset FILE.jsonl",
            llm_data.display()
        ),
        _ => bail!(
            "there are several datasets in {}; choose one with --dataset: {}",
            llm_data.display(),
            names.join(", ")
        ),
    }
}

fn plan(args: &TrainArgs, global: &GlobalArgs) -> anyhow::Result<Plan> {
    let device = open_device(args.device)?;
    let store = global.store()?;
    // The data is looked at first: weights may have to be fetched.
    let dataset = match &args.dataset {
        Some(dataset) => dataset.clone(),
        None => only_dataset(&args.llm_data)?,
    };
    let chats = data::open(&dataset, &args.llm_data, args.valid_share, args.seed)?;
    let name = args.name.clone().unwrap_or_else(|| chats.source.name());
    check_name(&name).context("give a --name for the adapter")?;
    let base = bases::find(&store, &args.base, Needs::Weights)?;
    let shape = Weights::config(&base)?;
    let max_tokens = match args.max_tokens {
        Some(wanted) => {
            ensure!(
                wanted as usize <= shape.max_positions,
                "the model takes {} tokens at most; lower --max-tokens",
                shape.max_positions
            );
            wanted as usize
        }
        None => DEFAULT_MAX_TOKENS.min(shape.max_positions),
    };
    let tokenizer = base.tokenizer()?;
    let data = TrainData::encode(&chats, &tokenizer, max_tokens)?;
    let config = args.config(&shape);
    let settings = settings(args, &config, &base, &tokenizer, &data)?;
    let Chats { source, .. } = chats;
    Ok(Plan {
        base_model_name: base_model_name(&base, &store),
        base,
        shape,
        source,
        data,
        config,
        settings,
        name,
        device,
    })
}

/// What must be the same for a run to go on.
fn settings(
    args: &TrainArgs,
    config: &TrainConfig,
    base: &Base,
    tokenizer: &ChatTokenizer,
    data: &TrainData,
) -> anyhow::Result<Settings> {
    let mut settings = config.settings();
    let more = json!({
        "precision": args.precision.name(),
        "device": args.device.to_possible_value().map(|v| v.get_name().to_owned()),
        "base_blake3": blake3_of(base)?,
        "tokenizer_blake3": tokenizer.blake3(),
        "data_blake3": data.blake3(),
    });
    settings.extend(more.as_object().cloned().unwrap_or_default());
    Ok(settings)
}

/// The files that a base model's weights are in, with what says how they belong together.
fn weight_files(base: &Base) -> anyhow::Result<Vec<PathBuf>> {
    let folder = match &base.files {
        BaseFiles::Gguf(path) | BaseFiles::TokenizerJson(path) => return Ok(vec![path.clone()]),
        BaseFiles::Folder(folder) => folder,
    };
    let unreadable = || format!("cannot read: {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let is_wanted = path.extension().is_some_and(|end| end == "safetensors")
            || path.file_name().is_some_and(|name| name == "config.json");
        if is_wanted {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn blake3_of(base: &Base) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    for file in weight_files(base)? {
        crate::hashing::add_file(&mut hasher, &file)
            .with_context(|| format!("cannot read: {}", file.display()))?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn open_device(kind: DeviceKind) -> anyhow::Result<Device> {
    let needs_feature = |is_built_in: bool, feature: &str| {
        ensure!(
            is_built_in,
            "this posedata is built without {feature}; build it with `cargo build --release --features {feature}`, or take --device cpu"
        );
        Ok(())
    };
    match kind {
        DeviceKind::Cpu => Ok(Device::Cpu),
        DeviceKind::Cuda => {
            needs_feature(cfg!(feature = "cuda"), "cuda")?;
            Device::new_cuda(0).context("cannot open the GPU")
        }
        DeviceKind::Metal => {
            needs_feature(cfg!(feature = "metal"), "metal")?;
            Device::new_metal(0).context("cannot open the GPU")
        }
    }
}

/// The model that trains on a device: our own kernels on CPUs, candle's elsewhere.
fn open_model(
    weights: &Arc<Weights>,
    args: &TrainArgs,
    device: &Device,
) -> anyhow::Result<Box<dyn Trainable>> {
    if device.is_cpu() {
        let checkpointing = args.checkpointing();
        let options = EngineOptions { checkpointing };
        return Ok(Box::new(Engine::new(Arc::clone(weights), options)));
    }
    Ok(Box::new(Composed::new(weights, device)?))
}

fn tell_left_out(data: &TrainData, global: &GlobalArgs) {
    let count = data.too_long.len();
    if count == 0 || global.verbosity() == Verbosity::Quiet {
        return;
    }
    let ids: Vec<&str> = data
        .too_long
        .iter()
        .take(NAMED_EXAMPLES)
        .map(String::as_str)
        .collect();
    let more = match count - ids.len() {
        0 => "",
        _ => ", …",
    };
    let what = match count {
        1 => "1 example is longer than --max-tokens allows, and is left out",
        _ => &format!("{count} examples are longer than --max-tokens allows, and are left out"),
    };
    logs::note(format_args!("{what}: {}{more}", ids.join(", ")));
}

/// Tokens of the largest batch that can come up.
fn largest_batch(args: &TrainArgs, data: &TrainData, tokens_per_microbatch: usize) -> usize {
    let longest = data.longest();
    let of_texts = longest * args.batch_size as usize;
    tokens_per_microbatch.min(of_texts).max(longest)
}

/// Refuses a run that does not fit into the memory limit, and says what would.
fn check_memory(args: &TrainArgs, plan: &Plan, limit_bytes: u64) -> anyhow::Result<()> {
    if args.device != DeviceKind::Cpu {
        // The GPU has a memory of its own, and says itself when it is full.
        return Ok(());
    }
    let mut file_bytes = 0;
    for file in weight_files(&plan.base)? {
        file_bytes += fs::metadata(&file)?.len();
    }
    let largest = largest_batch(args, &plan.data, plan.config.batch_tokens);
    let smallest = largest_batch(args, &plan.data, 1);
    let estimate = |precision: PrecisionArg, checkpointing, tokens| {
        let weights = weights_bytes(&plan.shape, precision.precision(), file_bytes);
        MemoryEstimate::new(
            &plan.shape,
            &plan.config.lora,
            weights,
            checkpointing,
            tokens,
        )
    };
    let as_asked = estimate(args.precision, args.checkpointing(), largest);
    let total = as_asked.total_bytes();
    if total <= limit_bytes {
        return Ok(());
    }
    let layers = Checkpointing::Layers;
    let smaller = format!("--tokens-per-microbatch {smallest}");
    let remedies = [
        ("--checkpointing".into(), args.precision, layers, largest),
        (
            smaller.clone(),
            args.precision,
            args.checkpointing(),
            smallest,
        ),
        (
            format!("--checkpointing {smaller}"),
            args.precision,
            layers,
            smallest,
        ),
        (
            format!("--precision bf16 --checkpointing {smaller}"),
            PrecisionArg::Bf16,
            layers,
            smallest,
        ),
        (
            format!("--precision quantised --checkpointing {smaller}"),
            PrecisionArg::Quantised,
            layers,
            smallest,
        ),
    ];
    let fitting = remedies
        .into_iter()
        .find_map(|(words, precision, how, tokens)| {
            let needed = estimate(precision, how, tokens).total_bytes();
            (needed <= limit_bytes).then(|| format!("{words} would need {}", human_bytes(needed)))
        });
    let remedy = match fitting {
        Some(remedy) => format!("{remedy}; or raise --memory-limit"),
        None => "lower --max-tokens, take a smaller base, or raise --memory-limit".into(),
    };
    bail!(
        "training needs about {}, and the memory limit is {} (weights {}, results of {} tokens {}, adapter and optimiser {}); {remedy}",
        human_bytes(total),
        human_bytes(limit_bytes),
        human_bytes(as_asked.weights_bytes),
        as_asked.batch_tokens,
        human_bytes(as_asked.activation_bytes),
        human_bytes(as_asked.adapter_bytes),
    )
}

fn train_in(
    model: &mut dyn Trainable,
    plan: &Plan,
    folder: &RunFolder,
    global: &GlobalArgs,
) -> Result<(TrainReport, Adapter), crate::train::TrainError> {
    let config = &plan.config;
    let shape = model.config().clone();
    let saved = match folder.resumed() {
        Some(_) => Checkpoint::load(folder.path(), &config.lora, &shape, config.adamw)?,
        None => None,
    };
    let start = match saved {
        Some(state) => Start::Resumed(Box::new(state)),
        None => Start::New(Adapter::new(config.lora.clone(), &shape, config.seed)),
    };
    let progress = Progress::new(global);
    let run = Run {
        base: &plan.base_model_name,
        config,
        data: &plan.data,
        folder: folder.path(),
        title: &plan.name,
        observer: &progress,
        stop: &INTERRUPTED,
    };
    let trained = train(model, &run, start);
    progress.bar.finish_and_clear();
    trained
}

/// Writes what others read: the adapter, the tokenizer, merged models, the card. Gives the paths.
fn write_outputs(
    adapter: &Adapter,
    report: &TrainReport,
    weights: &Weights,
    plan: &Plan,
    folder: &Path,
    args: &TrainArgs,
    global: &GlobalArgs,
) -> anyhow::Result<Vec<PathBuf>> {
    let store = global.store()?;
    adapter.save(folder, &plan.base_model_name)?;
    export::tokenizer_files(&plan.base, folder)?;
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    let path = folder.join(TRAIN_REPORT_FILE);
    write_atomically(&path, &bytes)
        .with_context(|| format!("cannot write how training went: {}", path.display()))?;
    write_card(folder, &plan.base.name, &store)?;
    let mut outputs = vec![folder.join("adapter_model.safetensors")];
    if args.merge {
        let merged = folder.join("merged");
        export::merged_safetensors(&plan.base, weights, adapter, &merged)?;
        outputs.push(merged);
    }
    if args.gguf {
        let file = folder.join(format!("{}.gguf", plan.name));
        export::merged_gguf(&plan.base, weights, adapter, &file)?;
        outputs.push(file);
    }
    Ok(outputs)
}

fn base_model_name(base: &Base, store: &ModelStore) -> String {
    let named = store.bases().iter().find(|named| named.name == base.name);
    named.map_or_else(|| base.name.clone(), |named| named.repository.clone())
}

/// Puts the run into the lake's table `training_runs`. A run without a lake is in its files alone,
/// and one that is over does not fail because the lake cannot be written.
fn record(
    plan: &Plan,
    folder: &Path,
    started: &Started,
    report: Option<&TrainReport>,
    error: Option<String>,
    global: &GlobalArgs,
) {
    let record = training_record(plan, folder, started, report, error);
    let is_there = global.lake_paths().is_ok_and(|paths| paths.exists());
    let is_quiet = global.verbosity() == Verbosity::Quiet || global.json;
    if !is_there {
        if !is_quiet {
            logs::note("there is no lake here, so the run is in its folder only");
        }
        return;
    }
    let lake = global.open_lake(LAKE_MEMORY_SHARE, Resources::detect().cores);
    let recorded = lake.and_then(|lake| Ok(lake.record_training(&record)?));
    if let Err(error) = recorded {
        logs::note(format_args!(
            "the run is in its folder, but not in the lake: {error:#}"
        ));
    }
}

fn training_record(
    plan: &Plan,
    folder: &Path,
    started: &Started,
    report: Option<&TrainReport>,
    error: Option<String>,
) -> TrainingRecord {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    let dataset_snapshot = match &plan.source {
        DataSource::Dataset { lake_snapshot, .. } => Some(*lake_snapshot),
        DataSource::Files { .. } => None,
    };
    let dataset = match &plan.source {
        DataSource::Dataset { name, .. } => name.clone(),
        DataSource::Files { train, .. } => train.display().to_string(),
    };
    let settings = &plan.settings;
    let data_blake3 = settings.get("data_blake3").and_then(|value| value.as_str());
    TrainingRecord {
        run_id: started.run_id.clone(),
        name: plan.name.clone(),
        started_at: started.at.clone(),
        outcome: report.map_or("failed", |report| report.end.name()).into(),
        error,
        base: plan.base.name.clone(),
        dataset,
        dataset_snapshot,
        data_blake3: data_blake3.unwrap_or_default().into(),
        settings: serde_json::Value::from(settings.clone()).to_string(),
        train_examples: plan.data.train.len() as u64,
        valid_examples: plan.data.valid.len() as u64,
        result: report.map(|report| TrainingResult {
            parameters: report.parameters as u64,
            steps: report.steps,
            epochs: report.epochs,
            tokens: report.tokens,
            first_train_loss: report.first_train_loss,
            last_train_loss: report.last_train_loss,
            first_valid_loss: report.first_valid_loss,
            last_valid_loss: report.last_valid_loss,
            best_valid_loss: report.best_valid_loss,
            best_step: report.best_step,
            training_secs: report.elapsed_secs,
            tokens_per_sec: report.tokens_per_sec,
        }),
        peak_memory_bytes: peak_resident_bytes(),
        folder: absolute.display().to_string(),
    }
}

fn print_report(
    report: &TrainReport,
    plan: &Plan,
    folder: &Path,
    outputs: &[PathBuf],
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    if global.json {
        let mut result = json!({
            "name": plan.name,
            "folder": folder,
            "outputs": outputs,
            "left_out": plan.data.too_long,
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
    for output in outputs {
        print_result(output.display())?;
    }
    if global.verbosity() > Verbosity::Quiet {
        tell_next(report, plan, folder);
    }
    Ok(())
}

fn tell_next(report: &TrainReport, plan: &Plan, folder: &Path) {
    if report.end == End::Interrupted {
        logs::note("hint: the same command with --resume goes on from here");
        return;
    }
    if report.valid_examples == 0 {
        logs::note("hint: nothing validated; give a valid.jsonl beside the data, or --valid-share");
    }
    logs::note(format_args!(
        "hint: ask it with `posedata ask --base {} --adapter {} \"…\"`",
        plan.base.name,
        folder.display()
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
        let bar = ProgressBar::with_draw_target(None, bar_target(verbosity)).with_style(style);
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
        // Steps of earlier sittings do not count for the speed of this one.
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

    fn evaluated(&self, evaluation: &Evaluation, standing: Standing) {
        let Evaluation {
            step,
            loss,
            perplexity,
            secs,
            ..
        } = *evaluation;
        let is_best = standing == Standing::Best;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_models_learn_at_lower_rates_by_default() {
        assert_eq!(default_learning_rate(64), 2e-3);
        assert_eq!(default_learning_rate(576), 2e-3);
        // tinyllama: 2e-3 * (576 / 2048)^0.78
        assert_eq!(default_learning_rate(2048), 7.4e-4);
        assert!(default_learning_rate(4096) > 1e-4);
    }

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
