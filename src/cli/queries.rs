//! `posedata queries`: the queries, recipes, schemas and skeletons that are inside the program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::files::write_atomically;
use crate::query::parameters;
use crate::shipped::{self, ShippedFile, ShippedKind};

/// List, show and copy the queries, recipes, schemas and skeletons that come with posedata
#[derive(Args)]
#[command(after_help = "Examples:
  posedata queries                       # what there is, and which question it answers
  posedata queries show velocity         # the SQL itself
  posedata queries copy velocity         # as queries/velocity.sql, to change it
  posedata queries copy skeletons        # joints of other pose models, as skeletons/*.toml
  posedata queries copy                  # everything

`posedata query` and `posedata dataset build` take a file of yours at such a path before the one
that is inside the program.")]
pub struct QueriesArgs {
    #[command(subcommand)]
    command: Option<QueriesCommand>,
}

#[derive(Subcommand)]
enum QueriesCommand {
    /// List everything (the default)
    List,
    /// Print a file: a path as `list` shows it, or a query's name
    Show {
        /// Path as `list` shows it, or a query's name
        name: PathBuf,
    },
    /// Copy files into folders queries/, schemas/ and skeletons/, to read and change them
    Copy {
        /// Paths as `list` shows them, or queries' names [default: everything]
        names: Vec<PathBuf>,
        /// Folder in which queries/, schemas/ and skeletons/ are made
        #[arg(long, value_name = "DIR", default_value = ".", value_parser = choices::local_path())]
        to: PathBuf,
        /// Replace files that are there and differ
        #[arg(long)]
        force: bool,
    },
}

pub fn run(args: QueriesArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    match args.command.unwrap_or(QueriesCommand::List) {
        QueriesCommand::List => list(global)?,
        QueriesCommand::Show { name } => print_result(find(&name)?.text.trim_end())?,
        QueriesCommand::Copy { names, to, force } => {
            let copied = copy(&chosen(&names)?, &to, force)?;
            if global.verbosity() > Verbosity::Quiet {
                for path in &copied {
                    logs::note(path.display());
                }
                if copied.is_empty() {
                    logs::note("all of them are there already");
                }
            }
        }
    }
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Listed {
    path: &'static str,
    kind: ShippedKind,
    about: &'static str,
    parameters: Vec<ListedParameter>,
}

#[derive(Serialize)]
struct ListedParameter {
    name: String,
    default: Option<String>,
    meaning: String,
}

fn listed(file: &ShippedFile) -> Listed {
    let declared = parameters(file.text).into_iter();
    let parameters = declared.map(|parameter| ListedParameter {
        name: parameter.name,
        default: parameter.default,
        meaning: parameter.meaning,
    });
    Listed {
        path: file.path,
        kind: file.kind(),
        about: file.about(),
        parameters: parameters.collect(),
    }
}

fn list(global: &GlobalArgs) -> anyhow::Result<()> {
    let files = shipped::files().iter().map(listed);
    if global.json {
        return print_result(serde_json::to_string_pretty(&files.collect::<Vec<_>>())?);
    }
    let headings = [
        (ShippedKind::Query, "queries, for `posedata query FILE`:"),
        (
            ShippedKind::Recipe,
            "recipes, for `posedata dataset build`:",
        ),
        (ShippedKind::Question, "questions, for `posedata ask`:"),
        (
            ShippedKind::Schema,
            "schemas of the lake and of exported files:",
        ),
        (
            ShippedKind::Skeleton,
            "skeletons of other pose models, for `posedata ingest --skeleton NAME`:",
        ),
    ];
    let mut lines = Vec::new();
    for (kind, heading) in headings {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(heading.to_owned());
        for file in shipped::files().iter().filter(|file| file.kind() == kind) {
            let file = listed(file);
            // A recipe is listed by its SQL; its template goes with it.
            if !file.about.is_empty() || kind == ShippedKind::Schema {
                lines.push(
                    format!("  {:<42} {}", file.path, file.about)
                        .trim_end()
                        .into(),
                );
            }
            for parameter in file.parameters {
                let default = parameter.default.map_or(String::new(), |d| format!("={d}"));
                let meaning = match parameter.meaning.as_str() {
                    "" => String::new(),
                    meaning => format!("  {meaning}"),
                };
                lines.push(format!("    --param {}{default}{meaning}", parameter.name));
            }
        }
    }
    print_result(lines.join("\n"))
}

fn find(name: &Path) -> anyhow::Result<&'static ShippedFile> {
    match shipped::find(name) {
        Some(file) => Ok(file),
        None => bail!(
            "no shipped file is called that; `posedata queries` lists them: {}",
            name.display()
        ),
    }
}

fn chosen(names: &[PathBuf]) -> anyhow::Result<Vec<&'static ShippedFile>> {
    if names.is_empty() {
        return Ok(shipped::files().iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let in_folder = shipped::folder(name);
        if in_folder.is_empty() {
            chosen.push(find(name)?);
        } else {
            chosen.extend(in_folder);
        }
    }
    Ok(chosen)
}

/// Writes the files; gives the paths of those that were not there. Nothing is written when a file
/// of the user's own is in the way.
fn copy(files: &[&ShippedFile], to: &Path, force: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for file in files {
        let path = file.path_in(to);
        match fs::read(&path) {
            Ok(bytes) if bytes == file.text.as_bytes() => {}
            Ok(_) => {
                ensure!(
                    force,
                    "the file is there and differs; move it away or give --force: {}",
                    path.display()
                );
                missing.push((path, file.text));
            }
            Err(_) => missing.push((path, file.text)),
        }
    }
    for (path, text) in &missing {
        write_atomically(path, text.as_bytes())
            .with_context(|| format!("cannot write: {}", path.display()))?;
    }
    Ok(missing.into_iter().map(|(path, _)| path).collect())
}
