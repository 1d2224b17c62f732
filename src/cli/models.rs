//! `posedata models`: what is installed; install more.

use anyhow::ensure;
use clap::{Args, Subcommand};

#[cfg(feature = "video")]
use super::video::TuneCommand;
use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result, terminal};
use crate::models::{self, AssetState, AssetStatus, Installed, ModelStore};
use crate::text::wrapped;

/// Lines are no longer where the terminal is wider, or there is none.
const LIST_WIDTH: usize = 100;

/// What there is more for videos.
const VIDEO_EXAMPLES: &str = match cfg!(feature = "video") {
    true => {
        "
  posedata models add heavy        # one more model
  posedata models path demo        # where a file is
  posedata models add openvino     # another way to run the models, which some processors like better
  posedata models tune             # which way is faster here, for --provider auto"
    }
    false => "",
};

/// List, install and check models, libraries and test clips
#[derive(Args)]
#[command(after_help = format!("Examples:
  posedata models                  # what there is, and whether it is installed
  posedata models list ducklake    # from where, under which licence, with which sha256
  posedata models add base         # what posedata needs{VIDEO_EXAMPLES}"))]
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
        /// Names as the list has them, or groups
        #[arg(required = true)]
        names: Vec<String>,
        /// Install again what is there already
        #[arg(long)]
        force: bool,
    },
    /// Print where something is installed
    Path {
        /// Name as the list has it
        name: String,
    },
    #[cfg(feature = "video")]
    #[command(flatten)]
    Tune(TuneCommand),
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
        ModelsCommand::Tune(command) => command.run(&store, global),
    }
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
