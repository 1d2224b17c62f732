//! `posedata run`: all stages in turn, each of which is a command of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use clap::Args;

use super::{Ending, GlobalArgs, Verbosity, handle_interrupts, logs};

/// From videos to a dataset in one command: ingest, dataset build, synth
#[derive(Args)]
#[command(after_help = "Examples:
  posedata run public
  posedata run public --name gait --sport-type running --use-claude --max-cost 2.00

Runs `posedata ingest`, `posedata dataset build` and, with --use-openai or --use-claude,
`posedata synth`, and tells each command before it runs. What is done already is not done again:
videos that are in the lake are skipped, and nothing is paid for twice.")]
pub struct RunArgs {
    /// Video files, and folders that are searched for videos with all below them
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    /// Sport or activity that the videos show
    #[arg(
        long,
        alias = "sport",
        visible_alias = "sport_type",
        value_name = "NAME"
    )]
    sport_type: Option<String>,
    /// Folder of annotated videos and pose files
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Write no annotated videos
    #[arg(long, visible_alias = "no_video")]
    no_video: bool,
    /// Name of the dataset
    #[arg(long, value_name = "NAME", default_value = "dataset")]
    name: String,
    /// Folder of recipes
    #[arg(long, value_name = "DIR")]
    recipes: Option<PathBuf>,
    /// Folder of datasets
    #[arg(long, visible_alias = "llm_data", value_name = "DIR")]
    llm_data: Option<PathBuf>,
    /// Share of the frames whose videos validate
    #[arg(long, value_name = "FRACTION")]
    valid: Option<f64>,
    /// Decides everything that is left to chance
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Let a model of OpenAI write further examples (needs OPENAI_API_KEY)
    #[arg(long, visible_alias = "use_openai")]
    use_openai: bool,
    /// Let a Claude model write further examples (needs ANTHROPIC_API_KEY)
    #[arg(long, visible_alias = "use_claude")]
    use_claude: bool,
    /// Further examples from each provider
    #[arg(long, value_name = "N", default_value_t = 200)]
    synth_n: u32,
    /// Never spend more with each provider, in US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<f64>,
}

pub fn run(args: RunArgs, global: &GlobalArgs) -> anyhow::Result<Ending> {
    // Ctrl-C reaches the stage at work too, which ends in its own way.
    handle_interrupts(|| ())?;
    let mut ending = Ending::AllGood;
    for stage in stages(&args) {
        match run_stage(stage, global)? {
            Some(0) => {}
            // Some videos failed; the others make a dataset all the same.
            Some(2) => ending = Ending::SomeVideosFailed,
            Some(130) => return Ok(Ending::Interrupted),
            _ => anyhow::bail!("a stage failed; mend what it says and run the same command again"),
        }
    }
    Ok(ending)
}

/// Arguments of each stage's command.
fn stages(args: &RunArgs) -> Vec<Vec<OsString>> {
    let mut stages = vec![ingest(args), build(args)];
    let providers = [("openai", args.use_openai), ("claude", args.use_claude)];
    for (provider, _) in providers.into_iter().filter(|(_, is_used)| *is_used) {
        stages.push(synth(args, provider));
    }
    stages
}

fn ingest(args: &RunArgs) -> Vec<OsString> {
    let mut stage = command(&["ingest"]);
    option(&mut stage, "--sport-type", args.sport_type.as_ref());
    option(&mut stage, "--output", args.output.as_ref());
    if args.no_video {
        stage.push("--no-video".into());
    }
    // A file's name may begin with a dash.
    stage.push("--".into());
    stage.extend(args.inputs.iter().map(OsString::from));
    stage
}

fn build(args: &RunArgs) -> Vec<OsString> {
    let mut stage = command(&["dataset", "build", "--name", &args.name]);
    option(&mut stage, "--recipes", args.recipes.as_ref());
    option(&mut stage, "--llm-data", args.llm_data.as_ref());
    option(&mut stage, "--valid", args.valid.map(|f| f.to_string()));
    option(&mut stage, "--seed", args.seed.map(|n| n.to_string()));
    stage
}

fn synth(args: &RunArgs, provider: &str) -> Vec<OsString> {
    let n = args.synth_n.to_string();
    let words = [
        "synth",
        "--dataset",
        &args.name,
        "--provider",
        provider,
        "--n",
        &n,
    ];
    let mut stage = command(&words);
    option(&mut stage, "--llm-data", args.llm_data.as_ref());
    option(
        &mut stage,
        "--max-cost",
        args.max_cost.map(|usd| usd.to_string()),
    );
    option(&mut stage, "--seed", args.seed.map(|n| n.to_string()));
    stage
}

fn command(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn option(stage: &mut Vec<OsString>, name: &str, value: Option<impl Into<OsString>>) {
    if let Some(value) = value {
        stage.extend([name.into(), value.into()]);
    }
}

/// Runs this program with other arguments; gives its exit code.
fn run_stage(stage: Vec<OsString>, global: &GlobalArgs) -> anyhow::Result<Option<i32>> {
    if global.verbosity() > Verbosity::Quiet {
        let words: Vec<_> = stage.iter().map(|word| word.to_string_lossy()).collect();
        logs::note(format_args!("posedata {}", words.join(" ")));
    }
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let status = Command::new(&program)
        .args(global.arguments())
        .args(stage)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(status.code())
}
