//! The command line: one file per command, from arguments to a validated configuration to `run`.
//!
//! The folders `video` and `language` have the commands of the features of the same names; without
//! one, whoever asks for its commands is told so (`absent`).

// What goes to standard error goes through `logs`, which knows whether people read it.
#![deny(clippy::print_stderr)]
// Half of the commands leaves some of what all of them share unused.
#![cfg_attr(not(all(feature = "video", feature = "language")), allow(dead_code))]

mod absent;
mod choices;
mod export;
mod global;
mod help;
mod lake;
#[cfg(feature = "language")]
mod language;
mod logs;
mod models;
mod output;
mod plot;
mod queries;
mod query;
mod reference;
mod remove;
#[cfg(all(feature = "video", feature = "language"))]
mod run;
mod signals;
mod tag;
mod target;
mod terminal;
#[cfg(feature = "video")]
mod video;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// How a lake begins, in a program that can begin one.
const INGEST_EXAMPLE: &str = match cfg!(feature = "video") {
    true => "\n  posedata ingest public",
    false => "",
};

use global::{ExitStatus, FATAL, GlobalArgs, exit_code};
use logs::tell_error as print_error;
use output::{Verbosity, print_result};

use crate::halves::{Half, VERSION};

#[derive(Parser)]
#[command(
    name = "posedata",
    version,
    long_version = VERSION.as_str(),
    about = "Turns folders of video into a queryable lake of human motion",
    after_help = format!("Examples:{INGEST_EXAMPLE}
  posedata query queries/velocity.sql
  posedata query -e \"select sport, count(*) from videos group by all\"

Exit codes:
  0    all good
  1    wrong usage, or the command could not do its work
  2    some videos failed, the others are in the lake; or the lake is damaged; or there are
       fewer synthetic examples than wanted
  129, 130, 143  ended by SIGHUP, by Ctrl-C (SIGINT), by SIGTERM or --exit-on-stdin-close;
       a second signal ends it at once")
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Subcommand)]
enum Command {
    #[cfg(feature = "video")]
    #[command(flatten)]
    Video(video::Command),
    Query(query::QueryArgs),
    Queries(queries::QueriesArgs),
    Plot(plot::PlotArgs),
    Export(export::ExportArgs),
    #[cfg(feature = "language")]
    #[command(flatten)]
    Language(language::Command),
    #[cfg(all(feature = "video", feature = "language"))]
    Run(run::RunArgs),
    Tag(tag::TagArgs),
    Lake(lake::LakeArgs),
    Remove(remove::RemoveArgs),
    Models(models::ModelsArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  posedata completions bash > ~/.local/share/bash-completion/completions/posedata"
    )]
    Completions {
        /// Shell that is to complete commands and options
        shell: clap_complete::Shell,
    },
    /// Write man pages, one for each command
    #[command(hide = true)]
    Man {
        /// Folder that gets them
        #[arg(value_parser = choices::local_path())]
        folder: PathBuf,
    },
    #[command(hide = true)]
    Reference(reference::ReferenceArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let program = help::with_flowing_texts(Cli::command());
    let parsed = program.try_get_matches().and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((Cli::from_arg_matches(&matches)?, name))
    });
    let (cli, command) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            if let Some(reason) = absent::reason(&error, Half::is_built_in) {
                print_error(&anyhow::Error::msg(reason));
                return ExitCode::from(FATAL);
            }
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
        // SAFETY: the first thread is the one that waits for signals.
        .and_then(|()| unsafe { cli.global.limit_cores() })
        .and_then(|()| signals.listen().context("cannot wait for signals"))
        .and_then(|()| match cli.global.exit_on_stdin_close {
            true => {
                (signals.listen_to_stdin()).context("cannot wait for the end of standard input")
            }
            false => Ok(()),
        })
        .and_then(|()| run(cli, &command));
    if let Err(error) = &ended {
        print_error(error);
    }
    ExitCode::from(exit_code(&ended, &signals))
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

/// A command line of this program without its name, ready to run with the options of all commands.
#[cfg(all(feature = "video", feature = "language"))]
fn parsed(
    arguments: &[std::ffi::OsString],
    global: &GlobalArgs,
) -> anyhow::Result<run::StageCommand> {
    let program = std::ffi::OsString::from("posedata");
    let words = std::iter::once(&program).chain(arguments);
    let matches = Cli::command().try_get_matches_from(words);
    let parsed = matches.and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((Cli::from_arg_matches(&matches)?, name))
    });
    let (mut cli, name) = parsed.map_err(|error| {
        // The rest is about a command that the user has not given.
        let text = error.to_string();
        let reason = text.split("\n\n").next().unwrap_or_default();
        anyhow::anyhow!("{}", reason.trim_start_matches("error: "))
    })?;
    cli.global = global.clone();
    Ok(Box::new(move || run(cli, &name)))
}

fn run_command(cli: Cli) -> anyhow::Result<ExitStatus> {
    let global = cli.global;
    match cli.command {
        #[cfg(feature = "video")]
        Command::Video(command) => command.run(&global),
        Command::Query(args) => query::run(args, &global),
        Command::Queries(args) => queries::run(args, &global),
        Command::Plot(args) => plot::run(args, &global),
        Command::Export(args) => export::run(args, &global),
        #[cfg(feature = "language")]
        Command::Language(command) => command.run(&global),
        #[cfg(all(feature = "video", feature = "language"))]
        Command::Run(args) => run::run(args, &global, &parsed),
        Command::Tag(args) => tag::run(args, &global),
        Command::Lake(args) => lake::run(args, &global),
        Command::Remove(args) => remove::run(args, &global),
        Command::Models(args) => models::run(args, &global),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(words: &str) -> bool {
        let words = std::iter::once("posedata").chain(words.split_whitespace());
        Cli::try_parse_from(words).is_ok()
    }

    #[cfg(all(feature = "video", feature = "language"))]
    #[test]
    fn commands_over_videos_tell_events_and_others_do_not() {
        for command in [
            "ingest a.mp4",
            "annotate",
            "analyze --model a.onnx",
            "metrics recompute",
        ] {
            assert!(is_right(&format!("{command} --events json")), "{command}");
            assert!(!is_right(&format!("{command} --events xml")), "{command}");
            assert!(!is_right(&format!("{command} --events json --json")));
        }
        for command in [
            "query -e x",
            "run a.mp4",
            "contact-sheet a.mp4",
            "lake info",
        ] {
            assert!(is_right(command), "{command}");
            assert!(!is_right(&format!("{command} --events json")), "{command}");
        }
    }

    #[test]
    fn every_command_and_argument_says_what_it_is() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                let (command, id) = (command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{command}: {id}");
            }
            for command in command.get_subcommands().filter(|c| !c.is_hide_set()) {
                assert!(command.get_about().is_some(), "{}", command.get_name());
                check(command);
            }
        }
        let mut program = Cli::command();
        program.build();
        check(&program);
    }

    #[test]
    fn cores_are_a_number_above_0() {
        assert!(is_right("--cores 1 lake info"));
        assert!(is_right("lake info --cores 1 --exit-on-stdin-close"));
        assert!(!is_right("lake info --cores 0"));
        assert!(!is_right("lake info --cores some"));
    }
}
