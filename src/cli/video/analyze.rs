//! `posedata analyze`: custom models over landmarks.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;

use super::events::{Committed, EventArgs, Events, Outcome};
use crate::analysis::{AnalysisModel, AnalysisReport, analyze_all};
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::ingest::Failure;
use crate::lake::{Lake, VideoRecord};
use crate::resources::{DatabaseUse, cores};
use crate::steps::Step;
use crate::sync::Cancellation;

/// Run a model of your own over landmarks and put what it gives into the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata analyze --model gait.onnx
  posedata analyze --model gait.onnx demo.mp4 --window 30
  posedata query -e \"select frame, value from analysis where output = 'phase' order by frame\"

The model has one f32 input of shape [n, 33, 4] (x, y, z and visibility of the 33 landmarks, as the
table landmarks has them) or [n, t, 33, 4] (windows of t frames), and outputs of shape [n, ...].
Each value becomes a row of the table analysis, beside the frame (a window's last one). Frames
without a pose, and windows with one, are left out. Rows that the same model had before are
replaced; those of other models stay.

--events json tells programs of every video while it is worked on; docs/events.md has the events.")]
pub struct AnalyzeArgs {
    /// ONNX file
    #[arg(long, alias = "analysis-model", value_name = "FILE.onnx", value_parser = choices::local_path())]
    model: PathBuf,
    /// Frames of a window, for models that take any number
    #[arg(long, alias = "analysis-window", value_name = "N", value_parser = choices::count::<NonZeroUsize>)]
    window: Option<NonZeroUsize>,
    /// Ids, paths, file names or beginnings of them [default: all videos]
    #[arg(value_name = "VIDEO")]
    videos: Vec<String>,
    #[command(flatten)]
    events: EventArgs,
}

pub fn run(args: AnalyzeArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let events = Events::start(args.events, global)?;
    let ended = run_telling(args, &events, global);
    events.finish(&ended, global);
    ended
}

fn run_telling(
    args: AnalyzeArgs,
    events: &Events,
    global: &GlobalArgs,
) -> anyhow::Result<ExitStatus> {
    let mut model = load(&args.model, args.window, global)?;
    let lake = global.open_lake(DatabaseUse::Stream)?;
    let videos = lake.find_videos(&args.videos)?;
    anyhow::ensure!(
        !videos.is_empty(),
        "the lake has no videos; run `posedata ingest` first: {}",
        lake.paths().root().display()
    );
    let cancellation = global.cancellation_with_grace("interrupted: leaving the video in work");
    let (status, reports) = run_all(&lake, &videos, &mut model, &cancellation, events, global);
    if global.json {
        print_result(serde_json::to_string_pretty(&reports)?)?;
    }
    Ok(status)
}

/// Loads a model that the user gave.
pub fn load(
    model: &Path,
    window: Option<NonZeroUsize>,
    global: &GlobalArgs,
) -> anyhow::Result<AnalysisModel> {
    let runtime = global.store()?.onnx_runtime()?;
    let window = window.map(NonZeroUsize::get);
    Ok(AnalysisModel::load(&runtime, model, window, cores())?)
}

/// Runs a model over videos and tells of each.
pub fn run_all(
    lake: &Lake,
    videos: &[VideoRecord],
    model: &mut AnalysisModel,
    cancellation: &Cancellation,
    events: &Events,
    global: &GlobalArgs,
) -> (ExitStatus, Vec<AnalysisReport>) {
    let mut failed = false;
    let mut done = 0;
    let reports = analyze_all(lake, videos, model, cancellation, |video, step| {
        let path = Path::new(&video.path);
        match step {
            Step::Begun => events.started(done, path, video.file_bytes, Some(video.frame_count)),
            Step::Frame => events.frame_done(done),
            Step::Done(Ok(AnalysisReport { inputs, values, .. })) => {
                let committed = Committed::all_frames(video, Outcome::Computed);
                events.committed(done, path, &committed);
                done += 1;
                if global.verbosity() > Verbosity::Quiet {
                    logs::note(format_args!(
                        "{}: analysed {inputs} frames, {values} values",
                        video.file_name
                    ));
                }
            }
            Step::Done(Err(error)) => {
                failed = true;
                events.failed(done, path, error.kind(), &error.to_string());
                done += 1;
                let told = format!("cannot analyse {}", video.file_name);
                crate::cli::print_error(&anyhow::Error::from(error).context(told));
            }
        }
    });
    events.cancelled_from(done, videos.iter().map(|video| Path::new(&video.path)));
    let status = match (cancellation.is_cancelled(), failed) {
        (true, _) => ExitStatus::Interrupted,
        (_, true) => ExitStatus::SomeVideosFailed,
        _ => ExitStatus::Success,
    };
    (status, reports)
}
