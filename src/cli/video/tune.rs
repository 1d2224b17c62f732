//! `posedata models tune`: which provider runs the landmark models fastest here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Subcommand;

use crate::cli::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::ingest;
use crate::models::{ModelStore, RunTimes, Tuning};
use crate::pose::{self, Provider};

#[derive(Subcommand)]
pub enum TuneCommand {
    /// Measure which provider runs the landmark models fastest here, for --provider auto of ingest
    Tune,
    /// Print the milliseconds of a run of a landmark model
    #[command(hide = true)]
    Time { model: String, provider: Provider },
}

impl TuneCommand {
    pub fn run(self, store: &ModelStore, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
        match self {
            Self::Tune => tune(store, global),
            Self::Time { model, provider } => {
                let files = store.pose_files_for(&model, provider)?;
                let time = pose::landmark_run_time(&files, ingest::model_threads(1).alone)?;
                print_result(time.as_secs_f64() * 1e3)?;
                Ok(ExitStatus::Success)
            }
        }
    }
}

/// Measures each provider that is installed, in a process of its own: only one library of ONNX Runtime
/// can be loaded in a process.
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
