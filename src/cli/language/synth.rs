//! `posedata synth`: a provider's model writes further examples of a dataset.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::language_choices;
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::dataset::Dataset;
use crate::resources::DatabaseUse;
use crate::synth::cost::Prices;
use crate::synth::limits::Limits;
use crate::synth::provider::{Effort, Parameters, ProviderKind};
use crate::synth::report::{RoundEnd, SynthReport};
use crate::synth::retry::RetryPolicy;
use crate::synth::{
    Access, Estimate, Extension, Mode, SynthConfig, SynthObserver, check_kind, estimate,
};

/// Requests for each wanted example, if nothing else is said.
const REQUESTS_PER_EXAMPLE: usize = 3;
/// Prompts that --dry-run shows.
const SHOWN_PROMPTS: usize = 2;

/// Let a provider's model write further examples, checked against the data
#[derive(Args)]
#[command(after_help = "Examples:
  posedata synth --dataset gait --provider openai --n 200 --dry-run
  posedata synth --dataset gait --provider claude --n 200 --max-cost 2.00
  posedata synth --dataset gait --provider openai --n 200 --batch    # again later to collect
  posedata synth --dataset gait --provider openai --base-url http://localhost:8000/v1 --model mine --n 50

The key is OPENAI_API_KEY or ANTHROPIC_API_KEY, in the environment or in a file .env in the working
folder. --base-url names another server, and so do OPENAI_BASE_URL and ANTHROPIC_BASE_URL where they
stand in the same place as the key. Plain http is for servers on this machine.

A model sees the table of a train example and writes a new question with its answer. An answer
with a number that the facts neither contain nor imply is rejected, as are answers of another form,
length or language, duplicates, and whatever comes near the validation videos. What is accepted joins
the train split. DIR/NAME.synth keeps the journal (every answer that was billed: a run that ended
early goes on from there and pays for nothing twice) and rejected.jsonl (why).

Prices are in models/prices.toml of the sources; --prices FILE gives others.")]
pub struct SynthArgs {
    /// Name of the dataset
    #[arg(long, value_name = "NAME")]
    dataset: String,
    /// Whom to ask
    #[arg(long, value_parser = language_choices::provider())]
    provider: ProviderKind,
    /// Address of another server, for OpenAI's format with the version (https://HOST/v1)
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Model of the provider [default: gpt-6-luna, claude-haiku-5-5]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Accepted examples that the dataset is to have of these settings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// Folder of datasets
    #[arg(
        long,
        visible_alias = "llm_data",
        value_name = "DIR",
        default_value = "llm_training_data",
        value_parser = choices::local_path()
    )]
    llm_data: PathBuf,
    /// Only tell what would be sent, with tokens and cost; needs neither network nor key
    #[arg(long)]
    dry_run: bool,
    /// Never spend more, in US dollars; counts all that earlier runs on this dataset have spent
    #[arg(long, value_name = "USD", value_parser = amount)]
    max_cost: Option<f64>,
    /// Prices of models
    #[arg(long, value_name = "FILE.toml", value_parser = choices::local_path())]
    prices: Option<PathBuf>,
    /// Most different requests [default: three for each example]
    #[arg(long, value_name = "N")]
    max_requests: Option<u32>,
    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// Most requests in a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_minute: Option<u32>,
    /// Most tokens in a minute, answers counted as long as they may be
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tokens_per_minute: Option<u32>,
    /// Most tokens of an answer, the model's thinking included
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(16..))]
    max_answer_tokens: u32,
    /// How freely the model chooses words; current models accept none
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// How much the model thinks; models that do not think accept no effort
    #[arg(long, value_parser = language_choices::effort())]
    effort: Option<Effort>,
    /// How long to wait for an answer
    #[arg(long, value_name = "SECS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// How often to ask for an answer at most
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Leave all requests with the provider, at half the price; run the same command again to collect
    #[arg(long)]
    batch: bool,
    /// Decides about which examples is asked first
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

fn amount(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected an amount in US dollars, such as 2.00".into()),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 2".into()),
    }
}

impl SynthArgs {
    fn config(&self) -> anyhow::Result<SynthConfig> {
        ensure!(
            self.provider != ProviderKind::Anthropic
                || !matches!(self.effort, Some(Effort::Off | Effort::Minimal)),
            "Claude models know the efforts low, medium and high; leave --effort out for the model's own"
        );
        let mode = if self.batch {
            Mode::Batch
        } else {
            Mode::Direct
        };
        let model = self.model.clone();
        let model = model.unwrap_or_else(|| self.provider.default_model().into());
        let prices = Prices::load(self.prices.as_deref())?;
        let wanted = self.n as usize;
        Ok(SynthConfig {
            provider: self.provider,
            price: prices.find(self.provider, &model, mode == Mode::Batch),
            parameters: Parameters {
                model,
                max_answer_tokens: self.max_answer_tokens,
                temperature: self.temperature,
                effort: self.effort,
            },
            wanted,
            max_requests: self
                .max_requests
                .map_or(wanted.saturating_mul(REQUESTS_PER_EXAMPLE), |n| n as usize),
            max_cost_usd: self.max_cost,
            mode,
            concurrency: usize::from(self.concurrency),
            limits: Limits {
                requests_per_minute: self.requests_per_minute,
                tokens_per_minute: self.tokens_per_minute,
            },
            retry: RetryPolicy {
                attempts: self.attempts,
                ..RetryPolicy::default()
            },
            timeout: Duration::from_secs(self.timeout),
            seed: self.seed,
        })
    }
}

pub fn run(args: SynthArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let config = args.config()?;
    let folder = args.llm_data.join(&args.dataset);
    let dataset = Dataset::open(&folder)?;
    check_kind(&dataset)?;
    if args.dry_run {
        let estimate = estimate(&config, &dataset.examples, SHOWN_PROMPTS)?;
        print_estimate(&estimate, &config, global)?;
        return Ok(ExitStatus::Success);
    }
    let access = Access::find(config.provider, Path::new("."), args.base_url.as_deref())?;
    let extension = Extension::new(dataset, folder, &global.store()?)?;
    let lake = global.open_lake(DatabaseUse::Beside)?;
    let cancellation = global
        .cancellation("interrupted: waiting for what was asked already; Ctrl-C again ends at once");
    let progress = Progress::new(config.wanted, global.verbosity());
    let extended = extension.run(&config, &access, &lake, &cancellation, &progress);
    progress.bar.finish_and_clear();
    let extended = extended?;
    let report = &extended.round.report;
    print_report(report, extended.is_saved, &extended.rejected, global)?;
    Ok(match &report.end {
        RoundEnd::Reached | RoundEnd::BatchPending { .. } => ExitStatus::Success,
        RoundEnd::Interrupted => ExitStatus::Interrupted,
        RoundEnd::OutOfRequests | RoundEnd::MaxCost => ExitStatus::FewerExamples,
        RoundEnd::ProviderFailed { message } => {
            let provider = config.provider.name();
            bail!(
                "{provider} answers no more: {message}; what it answered is kept, and the same command goes on from there"
            );
        }
    })
}

/// A progress bar of accepted examples.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(wanted: usize, verbosity: Verbosity) -> Self {
        let target = logs::bar_target(verbosity);
        let style =
            ProgressStyle::with_template("[{bar:30}] {pos}/{len} accepted  {msg}  ETA {eta}")
                .expect("the template is a constant")
                .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(wanted as u64), target).with_style(style);
        Self { bar }
    }
}

impl SynthObserver for Progress {
    fn progress(&self, accepted: usize, looked_at: usize) {
        self.bar.set_position(accepted as u64);
        self.bar.set_message(format!("{looked_at} answers"));
    }
}

fn print_estimate(
    estimate: &Estimate,
    config: &SynthConfig,
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    if global.json {
        let mut json = serde_json::to_value(estimate)?;
        json["provider"] = serde_json::to_value(config.provider)?;
        let prompts = estimate
            .prompts
            .iter()
            .map(|prompt| serde_json::json!({"system": prompt.system, "user": prompt.user}));
        json["prompts"] = prompts.collect();
        return print_result(serde_json::to_string_pretty(&json)?);
    }
    for (number, prompt) in estimate.prompts.iter().enumerate() {
        if number == 0 {
            print_result(format_args!(
                "--- what the model is told\n{}\n",
                prompt.system
            ))?;
        }
        print_result(format_args!(
            "--- request {}\n{}\n",
            number + 1,
            prompt.user
        ))?;
    }
    let mut table = table();
    table.set_header(["", "if all are accepted", "with all of --max-requests"]);
    let row = |name: &str, values: [String; 2]| {
        let [least, most] = values;
        [name.to_owned(), least, most]
    };
    table.add_row(row("requests", estimate.requests.map(|n| n.to_string())));
    table.add_row(row(
        "input tokens, about",
        estimate.input_tokens.map(|n| n.to_string()),
    ));
    let output = estimate.output_tokens_at_most.map(|n| n.to_string());
    table.add_row(row("output tokens, at most", output));
    let cost = match estimate.cost_usd {
        Some(cost) => cost.map(|usd| format!("{usd:.4} USD")),
        None => ["unknown", "unknown"].map(str::to_owned),
    };
    table.add_row(row("cost, answers as long as they may be", cost));
    print_result(table)?;
    print_result(format_args!("model: {}; nothing was sent", config.origin()))
}

fn print_report(
    report: &SynthReport,
    is_saved: bool,
    rejected: &Path,
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    if global.json {
        return print_result(serde_json::to_string_pretty(report)?);
    }
    let mut table = table();
    table.set_header(["what", "number"]);
    let mut add = |what: &str, number: String| {
        table.add_row([what.to_owned(), number]);
    };
    add("wanted", report.wanted.to_string());
    if report.already_there > 0 {
        add("in the dataset already", report.already_there.to_string());
    }
    let accepted = if is_saved {
        "accepted"
    } else {
        "accepted so far, not yet in the dataset"
    };
    add(accepted, report.accepted.to_string());
    for (reason, count) in &report.rejected {
        add(
            &format!("rejected: {}", reason.replace('_', " ")),
            count.to_string(),
        );
    }
    add("answers from the journal", report.from_journal.to_string());
    add("requests sent", report.sent.to_string());
    add("retries", report.retries.to_string());
    add("input tokens", report.usage.input_tokens.to_string());
    add("output tokens", report.usage.output_tokens.to_string());
    let usd = |cost: Option<f64>| match cost {
        Some(usd) => format!("{usd:.4} USD"),
        None => "unknown: the model has no price".into(),
    };
    add("cost", usd(report.cost_usd));
    add("of this run", usd(report.cost_of_run_usd));
    add(
        "of all runs on this dataset",
        usd(report.cost_of_dataset_usd),
    );
    print_result(table)?;
    print_result(report.end_in_words())?;
    if !report.rejected.is_empty() && global.verbosity() > Verbosity::Quiet {
        logs::note(format_args!("rejected answers: {}", rejected.display()));
    }
    Ok(())
}

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}
