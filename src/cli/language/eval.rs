//! `posedata eval`: asks a model the questions of a dataset, with its adapter and without.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use super::dataset::{FolderArgs, split};
use super::language_model::{ModelArgs, tell_other_base};
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use anyhow::Context as _;

use crate::asking::{CallEvaluation, evaluate_calls};
use crate::dataset::{Dataset, DatasetKind, Split};
use crate::evaluate::{EVAL_FILE, Evaluation, Sample, Whom, evaluate, save};
use crate::files::write_atomically;
use crate::llama::keep_freed_memory;
use crate::query::{ExternalAccess, Session};
use crate::resources::DatabaseUse;

/// Questions of each task, of a dataset of answers.
const DEFAULT_PER_TASK: u32 = 8;
/// What becomes of a dataset of calls, beside the adapter.
const CALLS_FILE: &str = "ask_eval.json";

/// Ask base and adapter the questions of a dataset, and compare
#[derive(Args)]
#[command(after_help = "Examples:
  posedata eval --base smollm2 --adapter llm_models/gait --dataset gait
  posedata eval --adapter llm_models/gait --dataset gait --per-task 50 --json
  posedata eval --adapter llm_models/numbers --dataset numbers --per-task 40 --no-base

Both models answer the same examples greedily, each question by itself with its table. Where the
answer begins with steps, only what follows them is judged; a text without the line that ends them is
wrong. A number is right within half a unit of the last
digit that the example's answer gives; all that are asked for must be there, and no others of their
kind. Lists are compared as sets, other answers word by word. The results go to eval.json and
README.md in the adapter's folder.

Of a dataset of calls (`posedata dataset build --recipes queries/ask`) the adapter alone is asked:
calls with all slots right, right numbers, refusals, confident wrong answers, with 95 % intervals
(ask_eval.json). With --split valid this also chooses how sure it has to be (ask.json); --split test
judges it, once.")]
pub struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of the adapter, as `posedata train` and PEFT write them
    #[arg(long, value_name = "DIR", value_parser = choices::local_path())]
    adapter: PathBuf,
    /// Name of the dataset
    #[arg(long, value_name = "NAME")]
    dataset: String,
    #[command(flatten)]
    folder: FolderArgs,
    /// Most questions of each task [default: 8; all of a dataset of calls]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_task: Option<u32>,
    /// Which examples are asked [default: test where the dataset has such examples, else valid; valid
    /// of a dataset of calls]
    #[arg(long, value_name = "train|valid|test", value_parser = split)]
    split: Option<Split>,
    /// Ask the adapter alone, in half the time
    #[arg(long)]
    no_base: bool,
    /// Decides which examples of a task are asked
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub fn run(args: EvalArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    keep_freed_memory();
    let store = global.store()?;
    let folder = args.folder.of(&args.dataset);
    let dataset = Dataset::open(&folder)?;
    if dataset.manifest.kind == DatasetKind::Calls {
        return run_calls(&args, &dataset, &folder, global);
    }
    let sample = Sample {
        split: args.split.unwrap_or_else(|| judging_split(&dataset)),
        per_task: args.per_task.unwrap_or(DEFAULT_PER_TASK) as usize,
        seed: args.seed,
    };
    // Before the model is loaded: there may be none.
    let questions = sample.of(&dataset)?.len();
    let model = args.model.load(global)?;
    tell_other_base(&model, &args.adapter, global)?;
    let cancellation = global.cancellation("interrupted: leaving this question");
    let progress = progress(questions, global.verbosity());
    let evaluated = evaluate(
        &model,
        &args.adapter,
        &dataset,
        sample,
        match args.no_base {
            true => Whom::Adapter,
            false => Whom::Both,
        },
        &cancellation,
        |done| progress.set_position(done as u64),
    );
    progress.finish_and_clear();
    let Some(evaluation) = evaluated? else {
        return Ok(ExitStatus::Interrupted);
    };
    save(&evaluation, &args.adapter, &store)?;
    if global.json {
        print_result(serde_json::to_string_pretty(&evaluation)?)?;
    } else {
        tell(&evaluation, &args.adapter, global)?;
    }
    Ok(ExitStatus::Success)
}

/// What a dataset of answers is judged by.
fn judging_split(dataset: &Dataset) -> Split {
    match dataset.of_split(Split::Test).is_empty() {
        true => Split::Valid,
        false => Split::Test,
    }
}

/// Judges the calls that an adapter chooses.
fn run_calls(
    args: &EvalArgs,
    dataset: &Dataset,
    folder: &Path,
    global: &GlobalArgs,
) -> anyhow::Result<ExitStatus> {
    let split = args.split.unwrap_or(Split::Valid);
    let model = args.model.load(global)?;
    tell_other_base(&model, &args.adapter, global)?;
    let lake = global.open_lake(DatabaseUse::Beside)?;
    let session = Session::open(lake, None, ExternalAccess::Denied)?;
    let cancellation = global.cancellation("interrupted: leaving this question");
    let progress = progress(dataset.of_split(split).len(), global.verbosity());
    let evaluated = evaluate_calls(
        &model,
        &args.adapter,
        dataset,
        &folder.join("recipes"),
        &session,
        split,
        args.per_task.map_or(usize::MAX, |count| count as usize),
        &cancellation,
        |done| progress.set_position(done as u64),
    );
    progress.finish_and_clear();
    let Some(evaluation) = evaluated? else {
        return Ok(ExitStatus::Interrupted);
    };
    let path = args.adapter.join(CALLS_FILE);
    let text = serde_json::to_string_pretty(&evaluation)?;
    write_atomically(&path, text.as_bytes())
        .with_context(|| format!("cannot write: {}", path.display()))?;
    if global.json {
        print_result(text)?;
    } else {
        tell_calls(&evaluation)?;
    }
    Ok(ExitStatus::Success)
}

fn tell_calls(evaluation: &CallEvaluation) -> anyhow::Result<()> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "question",
            "asked",
            "call right",
            "numbers right",
            "refused",
            "surely wrong",
        ]);
    let all = [("all that are trained".to_owned(), &evaluation.trained)];
    let tasks = evaluation.tasks.iter().map(|(name, scores)| {
        let is_untrained = evaluation.untrained.contains(name);
        let note = if is_untrained { " (not trained)" } else { "" };
        (format!("{name}{note}"), scores)
    });
    for (name, scores) in tasks.chain(all) {
        let share = |[low, high]: [f64; 2]| format!("{:.0}-{:.0} %", 100.0 * low, 100.0 * high);
        table.add_row([
            name,
            scores.asked.to_string(),
            format!("{} ({})", scores.calls_right, share(scores.calls_interval)),
            format!(
                "{} ({})",
                scores.numbers_right,
                share(scores.numbers_interval)
            ),
            scores.refused.to_string(),
            scores.confidently_wrong.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    print_result(table)?;
    print_result(format_args!(
        "intervals of 95 %; asks back below the probability {:.2}; split {}, videos {}",
        evaluation.threshold,
        evaluation.split.name(),
        evaluation.videos.join(", ")
    ))
}

fn progress(questions: usize, verbosity: Verbosity) -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} questions  ETA {eta}")
        .expect("the template is a constant")
        .progress_chars("=> ");
    let target = logs::bar_target(verbosity);
    ProgressBar::with_draw_target(Some(questions as u64), target).with_style(style)
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
        "numeric questions: {} ({}, 95 % interval; split {}, videos {})",
        evaluation.numeric.in_words(),
        evaluation.numeric.interval_in_percent(),
        evaluation.sample.split.name(),
        evaluation.videos.join(", ")
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
