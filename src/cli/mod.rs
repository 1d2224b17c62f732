//! The command line: one file per command, from arguments to a validated configuration to `run`.

// What goes to standard error goes through `logs`, which knows whether people read it.
#![deny(clippy::print_stderr)]

mod analyze;
mod annotate;
mod ask;
mod choices;
mod command_line;
mod dataset;
mod eval;
mod export;
mod ingest;
mod lake;
mod language_model;
mod logs;
mod metrics;
mod models;
mod plot;
mod progress;
mod queries;
mod query;
mod reference;
mod remove;
mod run;
mod signals;
mod synth;
mod tag;
mod terminal;
mod train;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::lake::{LOCK_TIMEOUT, Lake, LakeError, LakePaths};
use crate::models::ModelStore;
use crate::resources::{DatabaseUse, MemoryLimit, Resources};
use crate::sync::Cancellation;
use crate::text::lines;
use signals::Signals;

/// How a command ended. The exit codes are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Success,
    SomeVideosFailed,
    /// `posedata lake check` found the lake damaged.
    DamageFound,
    /// `posedata synth` found fewer examples than wanted.
    FewerExamples,
    /// A signal came, and the work was given up.
    Interrupted,
}

impl ExitStatus {
    fn code(self, signals: &Signals) -> u8 {
        match self {
            Self::Success => 0,
            Self::SomeVideosFailed | Self::DamageFound | Self::FewerExamples => 2,
            Self::Interrupted => signals.exit_code().unwrap_or(INTERRUPTED),
        }
    }
}

/// What shells tell of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// Wrong usage and everything that keeps a command from doing its work.
const FATAL: u8 = 1;

#[derive(Parser)]
#[command(
    name = "posedata",
    version,
    about = "Turns folders of video into a queryable lake of human motion",
    after_help = "Examples:
  posedata ingest public
  posedata query queries/velocity.sql
  posedata query -e \"select sport, count(*) from videos group by all\"

Exit codes:
  0    all good
  1    wrong usage, or the command could not do its work
  2    some videos failed, the others are in the lake; or the lake is damaged; or there are
       fewer synthetic examples than wanted
  129, 130, 143  ended by SIGHUP, by Ctrl-C (SIGINT), by SIGTERM; a second one ends it at once"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

/// Options of all commands.
#[derive(Clone, Args)]
struct GlobalArgs {
    /// Folder of the lake
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "lake",
        env = "POSEDATA_LAKE"
    )]
    lake: PathBuf,
    /// Folder of installed models [default: posedata in the user's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "POSEDATA_MODELS")]
    models: Option<PathBuf>,
    /// Memory that the whole process may use: a fraction of the machine's or the cgroup's (0.4), or
    /// a size (800MiB, 4GiB)
    #[arg(long, global = true, value_name = "LIMIT", default_value = "0.4")]
    memory_limit: MemoryLimit,
    /// How long to wait for other processes that hold the lake's catalog, in seconds
    #[arg(long, global = true, value_name = "SECS", env = "POSEDATA_LOCK_TIMEOUT", default_value_t = LOCK_TIMEOUT.as_secs())]
    lock_timeout: u64,
    /// Print machine-readable JSON to standard output
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but errors and results
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Tell more: where the time goes, what was skipped
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    #[command(flatten)]
    logs: logs::LogArgs,
    #[arg(skip)]
    signals: Signals,
}

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

impl GlobalArgs {
    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    /// The token that the first Ctrl-C or SIGTERM cancels from now on, in place of ending the
    /// program; `note` is told then.
    fn cancellation(&self, note: impl Into<Option<&'static str>>) -> Cancellation {
        self.signals.cancel(note.into())
    }

    fn store(&self) -> anyhow::Result<ModelStore> {
        Ok(ModelStore::new(self.models.clone())?)
    }

    fn lake_paths(&self) -> anyhow::Result<LakePaths> {
        // The database is told absolute paths, so that it does not matter where it runs.
        Ok(LakePaths::new(std::path::absolute(&self.lake)?))
    }

    /// What the whole process may use.
    fn memory_limit_bytes(&self) -> u64 {
        self.memory_limit.bytes(&Resources::detect())
    }

    /// A session whose database gets its part of memory and cores.
    fn open_lake(&self, database: DatabaseUse) -> anyhow::Result<Lake> {
        Ok(self.lake_opener(database)?()?)
    }

    /// What opens such sessions.
    fn lake_opener(
        &self,
        database: DatabaseUse,
    ) -> anyhow::Result<impl Fn() -> Result<Lake, LakeError> + Sync + use<>> {
        let extension = self.store()?.ducklake_extension()?;
        let memory = database.memory_bytes(self.memory_limit_bytes());
        let threads = database.threads(Resources::detect().cores);
        let paths = self.lake_paths()?;
        let lock_timeout = self.lock_timeout();
        Ok(move || {
            let lake = Lake::new(paths.clone(), &extension, memory, threads)?;
            Ok(lake.with_lock_timeout(lock_timeout))
        })
    }

    fn lock_timeout(&self) -> Duration {
        Duration::from_secs(self.lock_timeout)
    }
}

#[derive(Subcommand)]
enum Command {
    Ingest(ingest::IngestArgs),
    Query(query::QueryArgs),
    Queries(queries::QueriesArgs),
    Annotate(annotate::AnnotateArgs),
    ContactSheet(annotate::ContactSheetArgs),
    Plot(plot::PlotArgs),
    Export(export::ExportArgs),
    Analyze(analyze::AnalyzeArgs),
    Dataset(dataset::DatasetArgs),
    Run(run::RunArgs),
    Ask(ask::AskArgs),
    Eval(eval::EvalArgs),
    Synth(synth::SynthArgs),
    Tag(tag::TagArgs),
    Train(train::TrainArgs),
    Models(models::ModelsArgs),
    Lake(lake::LakeArgs),
    Metrics(metrics::MetricsArgs),
    Remove(remove::RemoveArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  posedata completions bash > ~/.local/share/bash-completion/completions/posedata"
    )]
    Completions {
        shell: clap_complete::Shell,
    },
    /// Write man pages, one for each command
    #[command(hide = true)]
    Man {
        /// Folder that gets them
        folder: PathBuf,
    },
    #[command(hide = true)]
    Reference(reference::ReferenceArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((Cli::from_arg_matches(&matches)?, name))
    });
    let (cli, command) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are asked for and go to standard output.
            let is_wrong_usage = error.use_stderr();
            let _ = error.print();
            return if is_wrong_usage {
                ExitCode::from(FATAL)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let signals = cli.global.signals.clone();
    let ended = logs::start(&cli.global.logs, cli.global.verbosity())
        .and_then(|()| signals.listen().context("cannot wait for signals"))
        .and_then(|()| run(cli, &command));
    let exit_code = match ended {
        Ok(status) => status.code(&signals),
        Err(error) => {
            print_error(&error);
            signals.exit_code().unwrap_or(FATAL)
        }
    };
    ExitCode::from(exit_code)
}

fn run(cli: Cli, command: &str) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    let version = env!("CARGO_PKG_VERSION");
    tracing::debug!(target: "posedata", command, version, "command started");
    let signals = cli.global.signals.clone();
    let status = run_command(cli)?;
    let secs = started.elapsed().as_secs_f64();
    let exit_code = status.code(&signals);
    tracing::info!(target: "posedata", command, secs, exit_code, "command finished");
    Ok(status)
}

fn run_command(cli: Cli) -> anyhow::Result<ExitStatus> {
    let global = cli.global;
    match cli.command {
        Command::Ingest(args) => ingest::run(args, &global),
        Command::Query(args) => query::run(args, &global),
        Command::Queries(args) => queries::run(args, &global),
        Command::Annotate(args) => annotate::run(args, &global),
        Command::ContactSheet(args) => annotate::run_contact_sheet(args, &global),
        Command::Plot(args) => plot::run(args, &global),
        Command::Export(args) => export::run(args, &global),
        Command::Analyze(args) => analyze::run(args, &global),
        Command::Dataset(args) => dataset::run(args, &global),
        Command::Run(args) => run::run(args, &global),
        Command::Ask(args) => ask::run(args, &global),
        Command::Eval(args) => eval::run(args, &global),
        Command::Synth(args) => synth::run(args, &global),
        Command::Tag(args) => tag::run(args, &global),
        Command::Train(args) => train::run(args, &global),
        Command::Models(args) => models::run(args, &global),
        Command::Lake(args) => lake::run(args, &global),
        Command::Metrics(args) => metrics::run(args, &global),
        Command::Remove(args) => remove::run(args, &global),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "posedata", &mut script);
            print_result(String::from_utf8_lossy(&script).trim_end())?;
            Ok(ExitStatus::Success)
        }
        Command::Man { folder } => {
            clap_mangen::generate_to(Cli::command(), &folder)
                .with_context(|| format!("cannot write man pages: {}", folder.display()))?;
            Ok(ExitStatus::Success)
        }
        Command::Reference(args) => reference::run(&args, Cli::command()),
    }
}

/// Tells people or machines of an error, with the chain of its causes.
fn print_error(error: &anyhow::Error) {
    logs::tell_error(error);
}

/// `error:`, in red where colours are welcome.
fn styled_error_label() -> &'static str {
    let wants_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wants_colour && std::io::stderr().is_terminal() {
        "\x1b[1;31merror:\x1b[0m"
    } else {
        "error:"
    }
}

/// Prints a result and a line's end to standard output. Whoever closed it has seen enough.
fn print_result(result: impl std::fmt::Display) -> anyhow::Result<()> {
    // Names in it are other people's.
    print_styled(&lines(&result.to_string()))
}

/// The same for text with colours of its own.
fn print_styled(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
