//! How close `posedata ingest` comes to what decoding and the landmark model alone would take.
//!
//! Everything is measured in one run on one machine and printed as ratios; run it with
//! `make bench`. The roofline is (decode alone + landmark model alone, in CPU seconds) / cores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use posedata::models::ModelStore;
use posedata::pose::crop::{Border, InputScale, crop_to_tensor};
use posedata::pose::roi::{ImageSize, Roi};
use posedata::pose::{LANDMARK_INPUT_SIDE, PoseModels};
use posedata::resources::Resources;
use posedata::video::{Frame, VideoReader};
use serde_json::Value;

/// Bytes per frame of the JSON that the replaced pipeline wrote.
const OLD_BYTES_PER_FRAME: f64 = 2_900.0;
const RUNS: usize = 5;
/// Nothing is written beside the lake.
const ROWS_ALONE: [&str; 2] = ["--no-video", "--no-pose-json"];

fn main() {
    let folder = std::env::var_os("POSEDATA_MODELS").map(PathBuf::from);
    let store = ModelStore::new(folder).expect("a folder for models");
    let demo = store.path("demo").expect("the manifest names it");
    assert!(demo.is_file(), "run `make clips` first");
    let scratch = tempfile::tempdir().expect("a folder");
    let cores = Resources::detect().cores;
    println!("{cores} cores; medians of {RUNS} runs\n");

    let (decode_cpu_secs, frames) = median_by_secs(|| {
        let started = cpu_secs();
        let frames = decode(&demo);
        (cpu_secs() - started, frames)
    });
    let files = store.pose_files("full").expect("the model's files");
    let mut models = PoseModels::load(&files, 1).expect("models; run `make setup`");
    let tensor = first_crop(&demo);
    let (model_cpu_secs, _) = median_by_secs(|| {
        let started = cpu_secs();
        for _ in 0..frames {
            models
                .landmarker
                .run(&tensor, |_| ())
                .expect("the model runs");
        }
        (cpu_secs() - started, ())
    });
    let roofline_secs = (decode_cpu_secs + model_cpu_secs) / cores as f64;
    row("decode alone", decode_cpu_secs, "CPU s");
    row("landmark model alone", model_cpu_secs, "CPU s");
    row("roofline", roofline_secs, "s");

    let lake = scratch.path().join("lake");
    let (ingest_secs, summary) = median_by_secs(|| ingest(&lake, &[&demo], &ROWS_ALONE));
    row("posedata ingest, from start to exit", ingest_secs, "s");
    row("  frames per second", frames as f64 / ingest_secs, "");
    ratio("roofline / ingest", roofline_secs / ingest_secs, ">= 0.85");
    let secs = summary["elapsed_secs"].as_f64().unwrap_or(f64::NAN);
    row("  of which the run itself", secs, "s");
    let stages = summary["videos"][0]["stages"].as_object().expect("stages");
    for (stage, secs) in stages {
        row(
            &format!("  {}", stage.trim_end_matches("_secs")),
            secs.as_f64().unwrap_or(f64::NAN),
            "s",
        );
    }
    let lake_bytes = summary["videos"][0]["lake_bytes"]
        .as_f64()
        .unwrap_or(f64::NAN);
    row("lake bytes per frame", lake_bytes / frames as f64, "B");
    ratio(
        "old JSON / lake",
        OLD_BYTES_PER_FRAME * frames as f64 / lake_bytes,
        ">= 5",
    );

    println!();
    let (with_video_secs, with_video) = median_by_secs(|| ingest(&lake, &[&demo], &[]));
    let (annotate_secs, ()) = median_by_secs(|| annotate(&lake));
    row(
        "ingest with annotated video and pose file",
        with_video_secs,
        "s",
    );
    row("decode, draw, encode alone (annotate)", annotate_secs, "s");
    ratio(
        "what annotating adds / what it takes alone",
        (with_video_secs - ingest_secs) / annotate_secs,
        "<= 1.15",
    );
    row(
        "cores busy, one video with its annotated one",
        with_video["cpu_secs"].as_f64().unwrap_or(f64::NAN) / with_video_secs,
        &format!("of {cores}"),
    );

    println!();
    let long = scratch.path().join("long.mp4");
    repeat(&demo, 10, &long);
    let memory = |summary: &Value| summary["peak_memory_bytes"].as_f64().unwrap_or(f64::NAN) / 1e6;
    let (_, long_summary) = ingest(&lake, &[&long], &ROWS_ALONE);
    row("peak memory", memory(&summary), "MB, < 700");
    row(
        "peak memory, ten times as long a video",
        memory(&long_summary),
        "MB",
    );
    ratio(
        "long / short",
        memory(&long_summary) / memory(&summary),
        "0.9 to 1.1",
    );

    println!();
    let copies: Vec<PathBuf> = (0..2)
        .map(|i| copy_with_tag(&demo, i, scratch.path()))
        .collect();
    let copies: Vec<&Path> = copies.iter().map(PathBuf::as_path).collect();
    let single_core = |videos: &[&Path]| median_by_secs(|| ingest_on_one_core(&lake, videos)).0;
    let (both_secs, _) = median_by_secs(|| {
        let options = [&ROWS_ALONE[..], &["--workers", "2"]].concat();
        ingest(&lake, &copies, &options)
    });
    let one_core_secs = single_core(&copies);
    row("two videos, two workers", both_secs, "s");
    row("two videos, one worker on one core", one_core_secs, "s");
    ratio(
        "one worker / two workers",
        one_core_secs / both_secs,
        ">= 1.8",
    );
}

fn row(name: &str, value: f64, unit: &str) {
    println!("{name:<42} {value:>10.3} {unit}");
}

fn ratio(name: &str, value: f64, wanted: &str) {
    println!("{name:<42} {value:>10.2} (wanted {wanted})");
}

/// The run with the median time.
fn median_by_secs<T>(mut run: impl FnMut() -> (f64, T)) -> (f64, T) {
    let mut runs: Vec<(f64, T)> = (0..RUNS).map(|_| run()).collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs.swap_remove(RUNS / 2)
}

/// CPU time of this process so far, of all its threads.
fn cpu_secs() -> f64 {
    // User and system time are the 14th and 15th fields.
    cpu_fields(11)
}

/// CPU time of the processes that this one has started and that have ended.
fn children_cpu_secs() -> f64 {
    cpu_fields(13)
}

/// Two times behind the program's name in this process's statistics.
fn cpu_fields(skip: usize) -> f64 {
    const TICKS_PER_SEC: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // The program's name, in parentheses, may hold spaces.
    let fields = stat.rsplit_once(')').expect("a name").1;
    let ticks = fields.split_whitespace().skip(skip).take(2);
    ticks
        .map(|t| t.parse::<f64>().expect("a number"))
        .sum::<f64>()
        / TICKS_PER_SEC
}

fn decode(video: &Path) -> u64 {
    let mut reader = VideoReader::open(video).expect("a video");
    let mut frame = Frame::default();
    let mut frames = 0;
    while reader.read(&mut frame).expect("a frame") {
        frames += 1;
    }
    frames
}

fn first_crop(video: &Path) -> Vec<f32> {
    let mut reader = VideoReader::open(video).expect("a video");
    let mut frame = Frame::default();
    reader.read(&mut frame).expect("a frame");
    let view = frame.view().expect("pixels");
    let roi = Roi::letterbox(ImageSize::new(view.width(), view.height()));
    let side = LANDMARK_INPUT_SIDE;
    let mut tensor = vec![0.0; 3 * side * side];
    let scale = InputScale {
        divisor: 255.0,
        offset: 0.0,
    };
    crop_to_tensor(view, &roi, side, Border::Replicate, scale, &mut tensor);
    tensor
}

/// Ingests into a fresh lake; gives the whole process's seconds and its summary.
fn ingest(lake: &Path, videos: &[&Path], options: &[&str]) -> (f64, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posedata"));
    timed(&mut command, lake, videos, options)
}

fn ingest_on_one_core(lake: &Path, videos: &[&Path]) -> (f64, Value) {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", env!("CARGO_BIN_EXE_posedata")]);
    let options = [&ROWS_ALONE[..], &["--workers", "1"]].concat();
    timed(&mut command, lake, videos, &options)
}

fn timed(command: &mut Command, lake: &Path, videos: &[&Path], options: &[&str]) -> (f64, Value) {
    // There is none the first time.
    let _ = fs::remove_dir_all(lake);
    command
        .args(["ingest", "--json", "--quiet", "--lake"])
        .arg(lake);
    command.arg("--output").arg(lake.with_file_name("output"));
    command.args(options).args(videos);
    let (started, children) = (Instant::now(), children_cpu_secs());
    let output = command.output().expect("the program starts");
    let secs = started.elapsed().as_secs_f64();
    let cpu_secs = children_cpu_secs() - children;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    summary["cpu_secs"] = cpu_secs.into();
    (secs, summary)
}

/// Draws and encodes again what the lake has; gives the whole process's seconds.
fn annotate(lake: &Path) -> (f64, ()) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posedata"));
    command.args(["annotate", "--quiet", "--lake"]).arg(lake);
    command.arg("--output").arg(lake.with_file_name("output"));
    let started = Instant::now();
    let status = command.status().expect("the program starts");
    assert!(status.success());
    (started.elapsed().as_secs_f64(), ())
}

fn ffmpeg(arguments: &[&str], output: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments)
        .arg(output)
        .status()
        .expect("ffmpeg; run `make test-packages`");
    assert!(status.success());
}

/// The same packets several times over.
fn repeat(video: &Path, times: usize, output: &Path) {
    let loops = (times - 1).to_string();
    let video = video.to_str().expect("a path");
    ffmpeg(
        &["-stream_loop", &loops, "-i", video, "-c", "copy", "-an"],
        output,
    );
}

/// The same packets in a file of other bytes, so that it is another video.
fn copy_with_tag(video: &Path, tag: usize, folder: &Path) -> PathBuf {
    let output = folder.join(format!("copy{tag}.mp4"));
    let title = format!("title=copy {tag}");
    let video = video.to_str().expect("a path");
    ffmpeg(&["-i", video, "-c", "copy", "-metadata", &title], &output);
    output
}
