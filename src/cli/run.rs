//! `posedata run`: all stages in turn, each of which is a command of its own, in this process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{fs, io};

use anyhow::bail;
use clap::Args;

use super::language::FolderArgs;
use super::video::{RangeArgs, SlowMotionArgs};
use super::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_error};
use crate::dataset::Dataset;
use crate::evaluate::{hash_adapter, read_evaluation};
use crate::resources::reset_peak_resident;
use crate::store::Address;
use crate::text::shown;

/// From videos to a model in one command: ingest, dataset build, synth, train, eval
#[derive(Args)]
#[command(after_help = "Examples:
  posedata run public
  posedata run public --name gait --sport-type running --use-claude --max-cost 2.00
  posedata run public --name gait --train-llm --base smollm2 --epochs 3

Runs `posedata ingest`, `posedata dataset build`, with --use-openai or --use-claude `posedata synth`,
and with --train-llm `posedata train` and `posedata eval`; tells each command before it runs. What is
done already is not done again: videos that are in the lake are skipped, nothing is paid for twice,
and training goes on from its last checkpoint, unless the dataset has changed.")]
pub struct RunArgs {
    /// Video files, folders that are searched for videos with all below them, s3:// prefixes, https://
    /// addresses
    #[arg(required = true, value_name = "FILE|DIR|ADDRESS")]
    inputs: Vec<PathBuf>,
    /// Sport or activity that the videos show
    #[arg(
        long,
        alias = "sport",
        visible_alias = "sport_type",
        value_name = "NAME"
    )]
    sport_type: Option<String>,
    #[command(flatten)]
    slow_motion: SlowMotionArgs,
    #[command(flatten)]
    range: RangeArgs,
    /// Folder of annotated videos and pose files, or an s3:// prefix
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX/")]
    output: Option<PathBuf>,
    /// Write no annotated videos
    #[arg(long, visible_alias = "no_video")]
    no_video: bool,
    /// Make faces in annotated videos unrecognizable: of the people who are found, and of nobody else
    #[arg(long, conflicts_with = "no_video")]
    blur_faces: bool,
    /// Fetch models that are needed and not installed, without asking
    #[arg(short, long)]
    yes: bool,
    /// Name of the dataset
    #[arg(long, value_name = "NAME", default_value = "dataset")]
    name: String,
    /// Folder of recipes
    #[arg(long, value_name = "DIR", value_parser = choices::local_path())]
    recipes: Option<PathBuf>,
    #[command(flatten)]
    folder: FolderArgs,
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
    /// Train a language model on the dataset, and examine it
    #[arg(long, visible_alias = "train_llm")]
    train_llm: bool,
    /// Base model: smollm2, tinyllama, a GGUF file, a model's folder, OWNER/NAME on the Hugging
    /// Face hub
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,
    /// Folder of trained models
    #[arg(
        long,
        visible_alias = "llm_models",
        value_name = "DIR",
        default_value = "llm_models",
        value_parser = choices::local_path()
    )]
    llm_models: PathBuf,
    /// How often the model sees each example
    #[arg(long, value_name = "N", requires = "train_llm")]
    epochs: Option<u32>,
    /// Most steps of the training
    #[arg(long, value_name = "N", requires = "train_llm")]
    max_steps: Option<u64>,
}

/// Makes a command of a command line of this program without its name.
pub type ParseStage = dyn Fn(&[OsString], &GlobalArgs) -> anyhow::Result<StageCommand>;
/// A stage's command, ready to run.
pub type StageCommand = Box<dyn FnOnce() -> anyhow::Result<ExitStatus>>;

/// `parse` makes a command of a command line of this program.
pub fn run(args: RunArgs, global: &GlobalArgs, parse: &ParseStage) -> anyhow::Result<ExitStatus> {
    refuse_missing(&args.inputs)?;
    let stages = stages(&args);
    // What a stage would refuse is refused before the first one works.
    for stage in &stages {
        drop(parse(&stage.arguments(&args), global)?);
    }
    let mut ended = ExitStatus::Success;
    for stage in stages {
        // A signal that came when a stage had nothing left to give up ends the others.
        if !global.signals.exit() {
            return Ok(ExitStatus::Interrupted);
        }
        // What a stage has to do may depend on what the stages before it did.
        let Some(switch) = stage.switch(&args)? else {
            continue;
        };
        let mut arguments = stage.arguments(&args);
        arguments.extend(switch);
        match run_stage(&arguments, global, parse) {
            Ok(ExitStatus::Interrupted) => return Ok(ExitStatus::Interrupted),
            Ok(ExitStatus::Success) => {}
            // Some videos failed; the others make a dataset all the same.
            Ok(incomplete) => ended = incomplete,
            Err(error) if global.signals.exit_code().is_some() => return Err(error),
            Err(error) => {
                print_error(&error);
                bail!("a stage failed; mend what it says and run the same command again");
            }
        }
    }
    Ok(ended)
}

/// A file that is not there is a slip of whoever typed it: later stages would go on with what the lake
/// has of other videos.
fn refuse_missing(inputs: &[PathBuf]) -> anyhow::Result<()> {
    for input in inputs {
        let is_missing =
            fs::symlink_metadata(input).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        if Address::of_path(input)?.is_none() && is_missing {
            bail!(
                "no such file or folder, so nothing was begun; check its name: {}",
                shown(input)
            );
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Stage {
    Ingest,
    Build,
    Synth { provider: &'static str },
    Train,
    Eval,
}

fn stages(args: &RunArgs) -> Vec<Stage> {
    let mut stages = vec![Stage::Ingest, Stage::Build];
    let providers = [("openai", args.use_openai), ("claude", args.use_claude)];
    let used = providers.into_iter().filter(|(_, is_used)| *is_used);
    stages.extend(used.map(|(provider, _)| Stage::Synth { provider }));
    if args.train_llm {
        stages.extend([Stage::Train, Stage::Eval]);
    }
    stages
}

impl Stage {
    /// Arguments of the stage's command.
    fn arguments(self, args: &RunArgs) -> Vec<OsString> {
        match self {
            Self::Ingest => ingest(args),
            Self::Build => build(args),
            Self::Synth { provider } => synth(args, provider),
            Self::Train => train(args),
            Self::Eval => eval(args),
        }
    }

    /// One more argument, if what earlier runs left asks for it; `None` when they left nothing to
    /// do.
    fn switch(self, args: &RunArgs) -> anyhow::Result<Option<Option<OsString>>> {
        match self {
            Self::Ingest | Self::Build | Self::Synth { .. } => Ok(Some(None)),
            Self::Train => Ok(Some(on_existing(args)?.map(OsString::from))),
            Self::Eval => Ok((!is_evaluated(args)?).then_some(None)),
        }
    }
}

fn ingest(args: &RunArgs) -> Vec<OsString> {
    let mut stage = command(&["ingest"]);
    option(&mut stage, "--sport-type", args.sport_type.as_ref());
    stage.extend(args.slow_motion.words().into_iter().map(OsString::from));
    stage.extend(args.range.words().into_iter().map(OsString::from));
    option(&mut stage, "--output", args.output.as_ref());
    if args.no_video {
        stage.push("--no-video".into());
    }
    if args.blur_faces {
        stage.push("--blur-faces".into());
    }
    if args.yes {
        stage.push("--yes".into());
    }
    // A file's name may begin with a dash.
    stage.push("--".into());
    stage.extend(args.inputs.iter().map(OsString::from));
    stage
}

fn build(args: &RunArgs) -> Vec<OsString> {
    let mut stage = command(&["dataset", "build", "--name", &args.name]);
    option(&mut stage, "--recipes", args.recipes.as_ref());
    option(&mut stage, "--llm-data", Some(args.folder.folder()));
    option(&mut stage, "--base", args.base.as_ref());
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
    option(&mut stage, "--llm-data", Some(args.folder.folder()));
    option(
        &mut stage,
        "--max-cost",
        args.max_cost.map(|usd| usd.to_string()),
    );
    option(&mut stage, "--seed", args.seed.map(|n| n.to_string()));
    stage
}

fn train(args: &RunArgs) -> Vec<OsString> {
    let mut stage = command(&["train", "--dataset", &args.name, "--name", &args.name]);
    models_and_data(&mut stage, args);
    stage.extend(["--llm-models".into(), OsString::from(&args.llm_models)]);
    option(&mut stage, "--epochs", args.epochs.map(|n| n.to_string()));
    let max_steps = args.max_steps.map(|n| n.to_string());
    option(&mut stage, "--max-steps", max_steps);
    option(&mut stage, "--seed", args.seed.map(|n| n.to_string()));
    stage
}

fn eval(args: &RunArgs) -> Vec<OsString> {
    let mut stage = command(&["eval", "--dataset", &args.name]);
    stage.extend(["--adapter".into(), args.adapter().into()]);
    models_and_data(&mut stage, args);
    stage
}

/// A training on the same data is resumed; one on other data is replaced, as the dataset was.
fn on_existing(args: &RunArgs) -> anyhow::Result<Option<&'static str>> {
    let config = args.adapter().join("train_config.json");
    let Ok(config) = fs::read_to_string(&config) else {
        return Ok(None);
    };
    let data = Dataset::open(&args.folder.of(&args.name))?.content_blake3();
    Ok(Some(match config.contains(&data) {
        true => "--resume",
        false => "--overwrite",
    }))
}

/// Whether this adapter has been asked these questions.
fn is_evaluated(args: &RunArgs) -> anyhow::Result<bool> {
    let adapter = args.adapter();
    let Some(known) = read_evaluation(&adapter)? else {
        return Ok(false);
    };
    let data = Dataset::open(&args.folder.of(&args.name))?.content_blake3();
    Ok(known.dataset_blake3 == data && known.adapter_blake3 == hash_adapter(&adapter)?)
}

fn models_and_data(stage: &mut Vec<OsString>, args: &RunArgs) {
    option(stage, "--base", args.base.as_ref());
    option(stage, "--llm-data", Some(args.folder.folder()));
}

impl RunArgs {
    /// Folder of the adapter that is trained.
    fn adapter(&self) -> PathBuf {
        self.llm_models.join(&self.name)
    }
}

fn command(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn option(stage: &mut Vec<OsString>, name: &str, value: Option<impl Into<OsString>>) {
    if let Some(value) = value {
        stage.extend([name.into(), value.into()]);
    }
}

/// Runs a command of this program, after it has told it.
fn run_stage(
    arguments: &[OsString],
    global: &GlobalArgs,
    parse: &ParseStage,
) -> anyhow::Result<ExitStatus> {
    if global.verbosity() > Verbosity::Quiet {
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        logs::note(format_args!("posedata {}", words.join(" ")));
    }
    let command = parse(arguments, global)?;
    reset_peak_resident();
    command()
}
