//! What goes to standard error: lines for people, or one JSON object for each event.
//!
//! For people (`--log-format text`) commands print lines, progress bars and errors themselves, and
//! events go to standard error only if `--log-level` asks for them. With `--log-format json` all of
//! it becomes events, so that every line on standard error is JSON; only wrong usage, which ends
//! the program before it knows its options, is told in words. `--log-file` takes events in either
//! case.
//!
//! No event holds anything from the environment.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::ProgressDrawTarget;
use tracing::Metadata;
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::output::{Verbosity, styled_error_label};
use crate::text::{lines, one_line};

/// Target of events that say what people have read already.
pub const TOLD: &str = "posedata::told";
/// What DuckDB's messages of several lines hold.
const OF_SEVERAL_LINES: [&str; 2] = ["\nLINE ", "\nPossible solutions:"];
/// All of this program's targets begin so; other crates' events are not ours to pass on.
const OUR_TARGETS: &str = "posedata";
/// How often a progress bar is drawn at most.
const REFRESHES_PER_SEC: u8 = 10;

/// Options about logs.
#[derive(Clone, Args)]
pub struct LogArgs {
    /// Standard error for people, or as JSON: one event a line
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Events to log: with --log-format text none go to standard error unless this is given
    /// [default: info; debug with --verbose, error with --quiet]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Append events to a file as well
    #[arg(long, global = true, value_name = "FILE", value_parser = super::choices::local_path())]
    log_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Who reads standard error; set once, by [`start`].
static READER: OnceLock<Reader> = OnceLock::new();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Lines and progress bars.
    Person,
    /// Lines, with events between them, which progress bars would garble.
    PersonWithEvents,
    Machine,
}

fn reader() -> Reader {
    READER.get().copied().unwrap_or(Reader::Person)
}

/// Where progress bars are drawn: on standard error where it is a terminal and they have it for
/// themselves, otherwise nowhere.
pub fn bar_target(verbosity: Verbosity) -> ProgressDrawTarget {
    let is_shown = verbosity > Verbosity::Quiet
        && reader() == Reader::Person
        && std::io::stderr().is_terminal();
    match is_shown {
        true => ProgressDrawTarget::stderr_with_hz(REFRESHES_PER_SEC),
        false => ProgressDrawTarget::hidden(),
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sets up where events go.
///
/// # Errors
/// When the log file cannot be opened.
pub fn start(args: &LogArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    let level = args.log_level.map_or(
        match verbosity {
            Verbosity::Quiet => LevelFilter::ERROR,
            Verbosity::Normal => LevelFilter::INFO,
            Verbosity::Verbose => LevelFilter::DEBUG,
        },
        LevelFilter::from,
    );
    let reader = match (args.log_format, args.log_level) {
        (LogFormat::Json, _) => Reader::Machine,
        (LogFormat::Text, Some(_)) => Reader::PersonWithEvents,
        (LogFormat::Text, None) => Reader::Person,
    };
    // A second start, as tests of this module may make, leaves the first in force.
    let _ = READER.set(reader);
    let mut layers: Vec<BoxedLayer> = Vec::new();
    match reader {
        Reader::Machine => layers.push(layer(LogFormat::Json, std::io::stderr, ours(level))),
        Reader::PersonWithEvents => {
            let untold = move |m: &Metadata<'_>| is_ours(m, level) && m.target() != TOLD;
            layers.push(layer(LogFormat::Text, std::io::stderr, filter_fn(untold)));
        }
        Reader::Person => {}
    }
    if let Some(path) = &args.log_file {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open the log file: {}", path.display()))?;
        layers.push(layer(args.log_format, Mutex::new(file), ours(level)));
    }
    if layers.is_empty() {
        return Ok(());
    }
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layers))?;
    if reader == Reader::Machine {
        std::panic::set_hook(Box::new(|panic| {
            tracing::error!(target: OUR_TARGETS, %panic, "this is a bug in posedata");
        }));
    }
    Ok(())
}

fn is_ours(metadata: &Metadata<'_>, level: LevelFilter) -> bool {
    *metadata.level() <= level && metadata.target().starts_with(OUR_TARGETS)
}

fn ours(level: LevelFilter) -> FilterFn<impl Fn(&Metadata<'_>) -> bool + Send + Sync> {
    filter_fn(move |metadata| is_ours(metadata, level))
}

fn layer<W, F>(format: LogFormat, writer: W, filter: FilterFn<F>) -> BoxedLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    F: Fn(&Metadata<'_>) -> bool + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        // A log that cannot be written must not garble what else is on standard error.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_filter(filter).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(filter)
            .boxed(),
    }
}

/// Tells people a line about what machines are told by an event of its own.
pub fn tell_people(line: impl std::fmt::Display) {
    tell("", &one_line(&line.to_string()));
}

/// Tells people what is safe for a terminal.
fn tell(label: &str, text: &str) {
    if reader() != Reader::Machine {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(std::io::stderr(), "{label}{text}");
    }
}

/// Tells a line: to people as it is, to machines as an event.
pub fn note(line: impl std::fmt::Display) {
    tell_people(&line);
    tracing::info!(target: TOLD, "{line}");
}

/// Tells a text of several lines, such as a table, in the same way.
pub fn note_lines(text: impl std::fmt::Display) {
    tell("", &lines(&text.to_string()));
    tracing::info!(target: TOLD, "{text}");
}

/// Asks people something; their answer is to follow on the same line.
///
/// # Errors
/// When standard error is closed.
pub fn ask(question: &str) -> std::io::Result<()> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question}")?;
    stderr.flush()
}

/// Tells people of a failure that does not end the program; machines have an event of its own.
pub fn tell_failure(line: &str) {
    tell(&format!("{} ", styled_error_label()), &one_line(line));
}

/// Tells why the program ends.
pub fn tell_error(error: &anyhow::Error) {
    let text = format!("{error:#}");
    // The database shows the line of SQL that it is about below its message.
    let has_lines = OF_SEVERAL_LINES.iter().any(|part| text.contains(part));
    let shown = match has_lines {
        true => lines(&text),
        false => one_line(&text),
    };
    tell(&format!("{} ", styled_error_label()), &shown);
    tracing::error!(target: TOLD, error = format!("{error:#}"), "failed");
}
