//! `posedata dataset`: builds instruction datasets, shows their examples, traces them back.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};

#[cfg(feature = "video")]
use super::clip::ClipArgs;
use super::language_choices;
use crate::cli::output::print_styled;
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::dataset::{
    BuildConfig, BuildReport, Chat, Dataset, DatasetError, Example, Format, Preset, RECIPE_ORIGIN,
    RecipeReport, Split, Trace, Work, Written, build_into, trace,
};
use crate::language::{ChatTokenizer, Needs, bases};
use crate::paths::PathTexts;
use crate::questions::{CallsConfig, build_calls, is_question_folder};
use crate::resources::{DatabaseUse, peak_resident_bytes};

/// Digits of hashes that people are shown.
const HASH_DIGITS: usize = 12;
/// What a program can do that knows videos.
const CLIP_EXAMPLE: &str = match cfg!(feature = "video") {
    true => "\n  posedata dataset trace gait 42 --clip example.mp4",
    false => "",
};

/// Build instruction datasets from the lake, show their examples, trace them back
#[derive(Args)]
#[command(after_help = "Examples:
  posedata dataset build --name gait --recipes queries/instruct --valid 0.1 --seed 7
  posedata dataset build --name numbers --preset numbers --valid 0.1 --test 0.2
  posedata dataset show gait --n 5
  posedata dataset trace gait 0042
  posedata query -e \"select task, split, count(*) from examples where dataset = 'gait' group by all\"")]
pub struct DatasetArgs {
    #[command(subcommand)]
    command: DatasetCommand,
}

#[derive(Subcommand)]
enum DatasetCommand {
    Build(BuildArgs),
    Show(ShowArgs),
    Trace(TraceArgs),
}

/// Where datasets are kept.
#[derive(Args)]
pub struct FolderArgs {
    /// Folder of datasets
    #[arg(
        long,
        visible_alias = "llm_data",
        value_name = "DIR",
        default_value = "llm_training_data",
        value_parser = choices::local_path()
    )]
    llm_data: PathBuf,
}

impl FolderArgs {
    /// The folder of all datasets.
    pub fn folder(&self) -> &Path {
        &self.llm_data
    }

    /// The folder of a dataset.
    pub fn of(&self, name: &str) -> PathBuf {
        self.llm_data.join(name)
    }
}

/// Make chat examples of what recipes (SQL and templates) find in the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata dataset build --name gait --recipes queries/instruct --valid 0.1 --seed 7
  posedata dataset build --name numbers --preset numbers --valid 0.1 --test 0.2
  posedata dataset build --name plain --no-work --questions 1

A recipe is a pair of files, NAME.sql and NAME.jinja; docs/recipes.md says how to write one.
With --recipes queries/ask the examples are questions with the calls of `posedata ask` that they mean.

With --preset numbers only recipes that are answered by numbers are taken, and primitives (copy a
column, compare two, subtract), which are learned first. Up to three questions about a table make one
chat. Whole videos are set apart to test, as many as validate.

The folder DIR/NAME gets train, valid and test as JSONL and Parquet, README.md (the card, as the Hugging
Face hub reads it), stats.json, dataset.json, examples.parquet (everything, with lineage) and the
recipes as they were used.
Whole videos validate, and all videos of a subject (`posedata tag`) stay together. The same
snapshot of the lake, recipes and seed give the same bytes.")]
struct BuildArgs {
    /// Name of the dataset: letters, digits, - and _
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Folder of recipes
    #[arg(long, value_name = "DIR", default_value = "queries/instruct", value_parser = choices::local_path())]
    recipes: PathBuf,
    #[command(flatten)]
    folder: FolderArgs,
    /// Which of the recipes, with which weights [default: all but primitives]
    #[arg(long, value_parser = language_choices::preset())]
    preset: Option<Preset>,
    /// Most questions about one table, as turns of one chat [default: 1; 3 with --preset numbers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    questions: Option<u32>,
    /// Leave out the steps that recipes put before their answers
    #[arg(long)]
    no_work: bool,
    /// Share of the frames whose videos validate
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1, value_parser = fraction)]
    valid: f64,
    /// Share of the frames whose videos test, neither trained on nor looked at while training
    /// [default: 0; with --preset numbers that of --valid]
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    test: Option<f64>,
    /// Decides everything that is left to chance
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Shape of the training files
    #[arg(long, value_parser = language_choices::dataset_format(), default_value = Format::Messages.name())]
    format: Format,
    /// Most tokens of a chat, answers included; further questions about a table are left out above
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    max_tokens: u32,
    /// Most examples; tasks share them by their weights [default: 10000; 4000 with --preset numbers]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    examples: Option<u64>,
    /// Share of equal facts from which two examples of a task count as the same; above 1 none do
    #[arg(long, value_name = "FRACTION", default_value_t = 0.8)]
    near_duplicates: f64,
    /// Model that is to be trained, whose tokenizer counts: smollm2, tinyllama, a GGUF file, a
    /// model's folder, OWNER/NAME on the Hugging Face hub
    #[arg(long, value_name = "MODEL", default_value = "smollm2")]
    base: String,
    /// The lake as it was at this snapshot [default: the newest in which videos changed]
    #[arg(long, value_name = "VERSION")]
    at: Option<u64>,
}

/// Show examples as a person reads them, with token counts and what the loss will see
#[derive(Args)]
#[command(after_help = "Examples:
  posedata dataset show gait --n 5
  posedata dataset show gait --task range_of_motion --split valid
  posedata dataset show gait --id 0042 --json")]
struct ShowArgs {
    /// Name of the dataset
    #[arg(value_name = "NAME")]
    name: String,
    /// How many chats
    #[arg(long, value_name = "N", default_value_t = 5)]
    n: usize,
    /// Only examples of this recipe
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only examples of this split
    #[arg(long, value_name = "train|valid|test", value_parser = split)]
    split: Option<Split>,
    /// Only this example
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    folder: FolderArgs,
}

/// Show where an example comes from: SQL, snapshot, video, frames, model
#[derive(Args)]
#[command(after_help = format!("Examples:
  posedata dataset trace gait 0042{CLIP_EXAMPLE}

The recipe is run again on the lake's snapshot, to see whether it still gives the same facts."))]
struct TraceArgs {
    /// Name of the dataset
    #[arg(value_name = "NAME")]
    name: String,
    /// Number of the example
    #[arg(value_name = "ID")]
    id: String,
    #[cfg(feature = "video")]
    #[command(flatten)]
    clip: ClipArgs,
    #[command(flatten)]
    folder: FolderArgs,
}

fn fraction(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number from 0 to 1")?;
    match (0.0..1.0).contains(&number) {
        true => Ok(number),
        false => Err("expected a number from 0 to below 1".into()),
    }
}

pub fn split(text: &str) -> Result<Split, String> {
    let found = Split::ALL.into_iter().find(|split| split.name() == text);
    found.ok_or_else(|| "expected train, valid or test".into())
}

pub fn run(args: DatasetArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    match args.command {
        DatasetCommand::Build(args) => run_build(args, global),
        DatasetCommand::Show(args) => run_show(&args, global),
        DatasetCommand::Trace(args) => run_trace(&args, global),
    }
}

fn run_build(args: BuildArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    if is_question_folder(&args.recipes)? {
        return run_build_calls(args, global);
    }
    ensure!(
        args.near_duplicates > 0.0,
        "--near-duplicates is a number above 0, not {}",
        args.near_duplicates
    );
    let tokenizer = bases::find(&global.store()?, &args.base, Needs::Tokenizer)?.tokenizer()?;
    let test_fraction = args.test.unwrap_or(match args.preset {
        Some(Preset::Numbers) => args.valid,
        None => 0.0,
    });
    ensure!(
        args.valid + test_fraction < 1.0,
        "--valid and --test together leave nothing to train on: {} and {test_fraction}",
        args.valid
    );
    let config = BuildConfig {
        name: args.name.clone(),
        recipes: args.recipes,
        preset: args.preset,
        questions_per_table: (args.questions)
            .unwrap_or_else(|| Preset::questions_per_table(args.preset)),
        work: match args.no_work {
            true => Work::LeftOut,
            false => Work::Written,
        },
        valid_fraction: args.valid,
        test_fraction,
        seed: args.seed,
        max_tokens: args.max_tokens,
        max_examples: args
            .examples
            .unwrap_or_else(|| Preset::examples(args.preset)),
        near_duplicate_threshold: args.near_duplicates,
        format: args.format,
        lake_snapshot: args.at,
        base: args.base,
        tokenizer_blake3: tokenizer.blake3(),
    };
    let is_quiet = global.verbosity() == Verbosity::Quiet || global.json;
    let cancellation = global.cancellation(None);
    config.check_memory(global.memory_limit_bytes())?;
    let folder = args.folder.of(&args.name);
    let open_lake = global.lake_opener(global.lake_paths()?, DatabaseUse::Facts)?;
    let tell = |recipe: &RecipeReport| {
        if !is_quiet {
            logs::note(recipe_line(recipe));
        }
    };
    let built = build_into(
        &folder,
        &open_lake,
        &config,
        &tokenizer,
        &cancellation,
        tell,
    );
    let (dataset, report) = match built {
        Err(DatasetError::Stopped) => return Ok(ExitStatus::Interrupted),
        built => built?,
    };
    if global.json {
        let result = serde_json::json!({
            "folder": folder.texts(),
            "report": report,
            "peak_memory_bytes": peak_resident_bytes(),
        });
        print_result(serde_json::to_string_pretty(&result)?)?;
    } else if !is_quiet {
        tell_built(&dataset, &report, &folder)?;
    }
    Ok(ExitStatus::Success)
}

/// Questions in place of recipes: examples that teach which call a question means.
fn run_build_calls(args: BuildArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let started = std::time::Instant::now();
    for (option, is_given) in [
        ("--preset", args.preset.is_some()),
        ("--questions", args.questions.is_some()),
        ("--no-work", args.no_work),
        ("--test", args.test.is_some()),
    ] {
        ensure!(
            !is_given,
            "{option} is for recipes, and {} holds questions of `posedata ask`; their test split is as large as --valid says",
            args.recipes.display()
        );
    }
    let tokenizer = bases::find(&global.store()?, &args.base, Needs::Tokenizer)?.tokenizer()?;
    let config = CallsConfig {
        name: args.name.clone(),
        questions: args.recipes,
        valid_fraction: args.valid,
        seed: args.seed,
        max_examples: args.examples.unwrap_or_else(|| Preset::examples(None)),
        max_tokens: args.max_tokens,
        format: args.format,
        lake_snapshot: args.at,
        base: args.base,
        tokenizer_blake3: tokenizer.blake3(),
    };
    let lake = global.open_lake(DatabaseUse::Facts)?;
    let dataset = build_calls(&lake, &config, &tokenizer)?;
    let folder = args.folder.of(&args.name);
    dataset.save(&folder)?;
    drop(lake);
    dataset.register(&global.open_lake(DatabaseUse::Facts)?, &folder)?;
    let count = |split: Split| dataset.of_split(split).len();
    let counts = Split::ALL.map(count);
    if global.json {
        let result = serde_json::json!({
            "folder": folder.texts(),
            "report": {
                "lake_snapshot": dataset.manifest.lake_snapshot,
                "recipes": dataset.manifest.recipes,
                "train": counts[0],
                "valid": counts[1],
                "test": counts[2],
                "elapsed_secs": started.elapsed().as_secs_f64(),
            },
        });
        print_result(serde_json::to_string_pretty(&result)?)?;
    } else if global.verbosity() > Verbosity::Quiet {
        print_result(format_args!(
            "{} questions with their calls to train, {} to validate, {} to test, from snapshot {} of the lake, in {:.1} s: {}",
            counts[0],
            counts[1],
            counts[2],
            dataset.manifest.lake_snapshot,
            started.elapsed().as_secs_f64(),
            folder.display()
        ))?;
        if counts[1] == 0 || counts[2] == 0 {
            logs::note(
                "hint: nothing validates or tests, because there are fewer than three videos or subjects; ingest more, or say with `posedata tag` who is who",
            );
        }
    }
    Ok(ExitStatus::Success)
}

fn recipe_line(recipe: &RecipeReport) -> String {
    format!(
        "{}: {} rows from {} windows, {:.0} rows/s (SQL {:.2} s, words and tokens {:.2} s)",
        recipe.task,
        recipe.funnel.rows,
        recipe.windows,
        recipe.rows_per_sec(),
        recipe.sql_secs,
        recipe.words_secs
    )
}

fn tell_built(dataset: &Dataset, report: &BuildReport, folder: &Path) -> anyhow::Result<()> {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "recipe",
            "rows",
            "too long",
            "equal",
            "nearly equal",
            "not drawn",
            "kept",
            "questions",
        ]);
    for recipe in &report.recipes {
        let funnel = &recipe.funnel;
        let counts = [
            funnel.rows,
            funnel.over_token_budget,
            funnel.duplicates,
            funnel.near_duplicates,
            funnel.not_sampled,
            funnel.kept,
            funnel.examples,
        ];
        let counts = counts.map(|count| count.to_string());
        table.add_row(std::iter::once(recipe.task.clone()).chain(counts));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    print_result(table)?;
    print_result(format_args!(
        "{} examples to train, {} to validate{}, from snapshot {} of the lake, in {:.1} s: {}",
        report.train,
        report.valid,
        match report.test {
            0 => String::new(),
            test => format!(", {test} to test"),
        },
        report.lake_snapshot,
        report.elapsed_secs,
        folder.display()
    ))?;
    if report.valid == 0 && dataset.manifest.valid_fraction > 0.0 {
        logs::note(
            "hint: nothing validates, because there is only one video or subject; ingest more, or say with `posedata tag` who is who",
        );
    }
    if report.test == 0 && dataset.manifest.test_fraction > 0.0 {
        logs::note(
            "hint: nothing tests, because there are fewer than three videos or subjects; ingest more, or say with `posedata tag` who is who",
        );
    }
    Ok(())
}

fn run_show(args: &ShowArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let dataset = Dataset::open(&args.folder.of(&args.name))?;
    let examples: Vec<&Example> = match &args.id {
        Some(id) => vec![dataset.find(id)?],
        None => dataset.select(args.task.as_deref(), args.split, args.n)?,
    };
    if global.json {
        print_result(serde_json::to_string_pretty(&examples)?)?;
        return Ok(ExitStatus::Success);
    }
    let base = &dataset.manifest.base;
    let tokenizer = bases::find(&global.store()?, base, Needs::Tokenizer)?.tokenizer()?;
    let marks = match std::io::stdout().is_terminal() {
        true => ("\x1b[32m", "\x1b[0m"),
        false => ("[[", "]]"),
    };
    let examples = match &args.id {
        Some(_) => examples
            .into_iter()
            .flat_map(|e| dataset.chat_of(e))
            .collect(),
        None => examples,
    };
    for (index, chat) in Chat::of_all(examples).iter().enumerate() {
        if index > 0 {
            print_result("")?;
        }
        print_result(heading(&dataset, chat))?;
        print_styled(as_the_model_sees(&tokenizer, chat, marks)?.trim_end())?;
    }
    let how = match std::io::stdout().is_terminal() {
        true => "in green",
        false => "between [[ and ]]",
    };
    if global.verbosity() > Verbosity::Quiet {
        logs::note(format_args!(
            "the loss sees what stands {how}; tokens are those of {base}"
        ));
    }
    Ok(ExitStatus::Success)
}

fn heading(dataset: &Dataset, chat: &Chat<'_>) -> String {
    let example = chat.first();
    let video = dataset.manifest.videos.iter();
    let video = video
        .clone()
        .find(|video| video.video_id == example.lineage.video_id);
    let origin = match example.origin.as_str() {
        RECIPE_ORIGIN => String::new(),
        origin => format!(", written by {origin}"),
    };
    format!(
        "--- {} {} ({}{origin}): {}, person {}, frames {} to {}; {} tokens, {} in the loss",
        example.id,
        example.task,
        example.split.name(),
        video.map_or(example.lineage.video_id.as_str(), |video| &video.file_name),
        example.lineage.person,
        example.lineage.frame_start,
        example.lineage.frame_end,
        chat.tokens(),
        chat.questions()
            .iter()
            .map(|e| e.answer_tokens)
            .sum::<u32>(),
    )
}

/// The chat as the base model's template lays it out, with marks around what the loss sees.
fn as_the_model_sees(
    tokenizer: &ChatTokenizer,
    chat: &Chat<'_>,
    (open, close): (&str, &str),
) -> anyhow::Result<String> {
    let chat = tokenizer.encode(&chat.messages())?;
    let mut text = String::new();
    let tokens: Vec<(u32, bool)> = chat.ids.into_iter().zip(chat.in_loss).collect();
    for run in tokens.chunk_by(|a, b| a.1 == b.1) {
        let ids: Vec<u32> = run.iter().map(|(id, _)| *id).collect();
        let part = tokenizer.decode(&ids)?;
        match run[0].1 {
            true => text.extend([open, &part, close]),
            false => text.push_str(&part),
        }
    }
    Ok(text)
}

fn run_trace(args: &TraceArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let folder = args.folder.of(&args.name);
    let dataset = Dataset::open(&folder)?;
    let example = dataset.find(&args.id)?;
    let lake = global.open_lake(DatabaseUse::Facts)?;
    let trace = trace(&lake, &dataset, &folder, example)?;
    // A process attaches a lake once at a time.
    drop(lake);
    if global.json {
        print_result(serde_json::to_string_pretty(&trace)?)?;
    } else {
        tell_trace(&dataset, &trace)?;
    }
    #[cfg(feature = "video")]
    args.clip.cut(&trace, global)?;
    Ok(ExitStatus::Success)
}

fn tell_trace(dataset: &Dataset, trace: &Trace<'_>) -> anyhow::Result<()> {
    let example = trace.example;
    let lineage = &example.lineage;
    let short = |hash: &str| hash.chars().take(HASH_DIGITS).collect::<String>();
    print_result(heading(dataset, &Chat::alone(example)))?;
    print_result(format_args!("question:   {}", example.question))?;
    print_result(format_args!("answer:     {}", example.reply()))?;
    if let Some(work) = Written::of(&example.answer).work {
        print_result(format_args!("steps:\n{work}"))?;
    }
    match &trace.video {
        Some(video) => {
            print_result(format_args!("video:      {}", video.path))?;
            print_result(format_args!("video id:   {}", lineage.video_id))?;
            print_result(format_args!(
                "pose model: {} (sha256 {}...)",
                video.pose_model,
                short(&video.pose_model_sha256)
            ))?;
        }
        None => print_result(format_args!(
            "video:      {} (no longer in the lake)",
            lineage.video_id
        ))?,
    }
    print_result(format_args!(
        "frames:     {} to {} of person {}",
        lineage.frame_start, lineage.frame_end, lineage.person
    ))?;
    print_result(format_args!("snapshot:   {}", trace.lake_snapshot))?;
    if let Some(hash) = &example.prompt_hash {
        print_result(format_args!(
            "words:      {} (prompt {}...)",
            example.origin,
            short(hash)
        ))?;
    }
    if let Some(recipe) = &trace.recipe {
        print_result(format_args!(
            "recipe:     {} (SQL {}..., template {}...)",
            example.recipe(),
            short(recipe.sql_blake3),
            short(recipe.template_blake3)
        ))?;
        let again = match (trace.same_facts, &trace.not_tried) {
            (Some(true), _) => "the same facts".to_owned(),
            (Some(false), _) => "OTHER facts: the lake's rows of then are not those of now".into(),
            (None, reason) => format!("could not be tried: {}", reason.as_deref().unwrap_or("?")),
        };
        print_result(format_args!("run again:  {again}"))?;
        print_result("facts:")?;
        print_result(serde_json::to_string_pretty(&example.facts)?)?;
        print_result("SQL:")?;
        print_result(recipe.sql.trim_end())?;
    }
    Ok(())
}
