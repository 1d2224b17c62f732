//! How close `posedata ingest` comes to what decoding and the landmark model alone would take.
//!
//! Everything is measured in one run on one machine and printed as ratios; run it with
//! `make bench`. What is compared is measured in turn, since machines are faster and slower for minutes, and
//! the turn with the median ratio is printed. The roofline is (decode alone + landmark model alone, in CPU seconds) / cores, with
//! what drawing and encoding alone take where annotated videos are written. The models run on what
//! `POSEDATA_PROVIDER` says, in the roofline as in ingest.
//!
//! Arguments choose parts ([`PARTS`]); without any, all are measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use posedata::models::ModelStore;
use posedata::pose::crop::{Border, InputScale, ModelInput, crop_to_levels};
use posedata::pose::roi::{ImageSize, Roi};
use posedata::pose::{LANDMARK_INPUT_SIDE, LandmarkModel, Provider};
use posedata::resources::Resources;
use posedata::video::{Frame, VideoReader};
use serde_json::Value;

/// Bytes per frame of the JSON that the replaced pipeline wrote.
const OLD_BYTES_PER_FRAME: f64 = 2_900.0;
const RUNS: usize = 3;
/// Nothing is written beside the lake.
const ROWS_ALONE: [&str; 2] = ["--no-video", "--no-pose-json"];
/// The demo video so many times makes three quarters of a minute.
const REPETITIONS: usize = 6;
/// Of several people side by side; as long.
const PEOPLE_FRAMES: &str = "1350";
/// Runs of a landmark model that are measured.
const MODEL_RUNS: u32 = 200;

/// What can be measured by itself.
const PARTS: [&str; 7] = ["full", "start", "large", "lite", "heavy", "people", "rest"];

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    // Cargo says what it is run as.
    let chosen: Vec<&str> = (chosen.iter().map(String::as_str))
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let Some(unknown) = chosen.iter().find(|part| !PARTS.contains(part)) {
        eprintln!("there is no part {unknown}; there are {}", PARTS.join(", "));
        std::process::exit(2);
    }
    let is_chosen = |part: &str| chosen.is_empty() || chosen.contains(&part);
    let folder = std::env::var_os("POSEDATA_MODELS").map(PathBuf::from);
    let store = ModelStore::new(folder).expect("a folder for models");
    let demo = store.path("demo").expect("the manifest names it");
    assert!(demo.is_file(), "run `make clips` first");
    let scratch = tempfile::tempdir().expect("a folder");
    let bench = Bench::new(store, scratch.path());
    println!("{} cores; medians of {RUNS} runs\n", bench.cores);

    let [long, large] = ["long.mp4", "large.mp4"].map(|name| scratch.path().join(name));
    repeat(&demo, REPETITIONS, "null", &long);
    if is_chosen("full") {
        bench.one_video("the demo video six times over, full", &long, "full");
    }
    if is_chosen("start") {
        bench.ingest(&[&demo], &ROWS_ALONE);
        println!("\nstart");
        bench.start("--version", &["--version"], "<= 0.03");
        bench.start("select 1", &["query", "-e", "select 1"], "<= 0.1");
    }
    if is_chosen("large") {
        repeat(&demo, REPETITIONS, "scale=1920:1080", &large);
        bench.one_video("the same in 1080p, full", &large, "full");
    }
    for model in ["lite", "heavy"]
        .into_iter()
        .filter(|model| is_chosen(model))
    {
        let is_there = bench.store.installed_landmarkers().contains(&model);
        if is_there {
            bench.one_video(
                &format!("the demo video six times over, {model}"),
                &long,
                model,
            );
        } else {
            println!("\n{model} is not installed: run `make models` to measure it");
        }
    }
    if is_chosen("people") {
        let clips = ["single_cam01", "single_cam02", "single_cam03"];
        let clips = clips.map(|name| bench.installed(name));
        for persons in [2, 3] {
            let together = scratch.path().join(format!("{persons} people.mp4"));
            side_by_side(&clips[..persons], &together);
            bench.several_people(&together, persons);
        }
    }
    if is_chosen("rest") {
        bench.lake_and_memory(&demo, &long);
        bench.several_videos(&demo);
    }
}

/// What all measurements have in common.
struct Bench {
    store: ModelStore,
    scratch: PathBuf,
    lake: PathBuf,
    cores: usize,
}

/// A whole process's time, and what it says.
#[derive(Clone)]
struct Run {
    secs: f64,
    cpu_secs: f64,
    summary: Value,
}

/// What a video's parts take alone, in CPU seconds.
struct Alone {
    decode_cpu_secs: f64,
    models_cpu_secs: f64,
    /// Drawing and encoding, where that is done.
    drawing_cpu_secs: f64,
}

/// An ingest, and its parts alone right after it.
struct Turn {
    ingest: Run,
    alone: Alone,
}

impl Bench {
    fn new(store: ModelStore, scratch: &Path) -> Self {
        Self {
            store,
            scratch: scratch.into(),
            lake: scratch.join("lake"),
            cores: Resources::detect().cores,
        }
    }

    fn installed(&self, name: &str) -> PathBuf {
        let path = self.store.path(name).expect("the manifest names it");
        assert!(path.is_file(), "run `make clips` first");
        path
    }

    fn start(&self, name: &str, arguments: &[&str], wanted: &str) {
        let run = median(|| {
            let mut command = self.posedata();
            command.args(arguments).env("POSEDATA_LAKE", &self.lake);
            timed(&mut command)
        });
        row(name, run.secs, &format!("s, {wanted}"));
        row("  CPU", run.cpu_secs, "s");
    }

    fn posedata(&self) -> Command {
        Command::new(env!("CARGO_BIN_EXE_posedata"))
    }

    /// Ingests into a fresh lake.
    fn ingest(&self, videos: &[&Path], options: &[&str]) -> Run {
        self.ingest_by(self.posedata(), videos, options)
    }

    fn ingest_by(&self, mut command: Command, videos: &[&Path], options: &[&str]) -> Run {
        // There is none the first time.
        let _ = fs::remove_dir_all(&self.lake);
        command
            .args(["ingest", "--json", "--quiet", "--lake"])
            .arg(&self.lake);
        command.arg("--output").arg(self.scratch.join("output"));
        command.args(options).args(videos);
        timed(&mut command)
    }

    /// CPU seconds of a run of a landmark model on the provider that ingest used.
    fn model_cpu_secs(&self, model: &str, summary: &Value, picture: &[u8]) -> f64 {
        let scale = InputScale {
            divisor: 255.0,
            offset: 0.0,
        };
        let picture = ModelInput::Levels(picture, scale);
        let provider = summary["provider"].as_str().expect("a provider");
        let provider: Provider = provider.parse().expect("a provider");
        let files = self.store.pose_files_for(model, provider);
        let mut model = LandmarkModel::load(&files.expect("the model's files"), 1)
            .expect("models; run `make setup`");
        let started = cpu_secs();
        for _ in 0..MODEL_RUNS {
            model.run(picture, |_| ()).expect("the model runs");
        }
        (cpu_secs() - started) / f64::from(MODEL_RUNS)
    }

    /// Without drawing.
    fn alone(&self, video: &Path, model: &str, landmark_runs: f64, summary: &Value) -> Alone {
        let started = cpu_secs();
        decode(video);
        let decode_cpu_secs = cpu_secs() - started;
        let run_cpu_secs = self.model_cpu_secs(model, summary, &first_crop(video));
        Alone {
            decode_cpu_secs,
            models_cpu_secs: run_cpu_secs * landmark_runs,
            drawing_cpu_secs: 0.0,
        }
    }

    /// What the parts alone take where they are perfectly spread over all cores.
    fn roofline(&self, alone: &Alone) -> f64 {
        let cpu_secs = alone.decode_cpu_secs + alone.models_cpu_secs + alone.drawing_cpu_secs;
        cpu_secs / self.cores as f64
    }

    fn ratio(&self, turn: &Turn) -> f64 {
        self.roofline(&turn.alone) / turn.ingest.secs
    }

    /// The turn with the median ratio.
    fn median_turn(&self, turn: impl FnMut() -> Turn) -> Turn {
        let mut turns: Vec<Turn> = std::iter::repeat_with(turn).take(RUNS).collect();
        turns.sort_by(|a, b| self.ratio(a).total_cmp(&self.ratio(b)));
        turns.swap_remove(RUNS / 2)
    }

    fn compare(&self, turn: &Turn) {
        ratio("  roofline / ingest", self.ratio(turn), ">= 0.85");
        self.busy(&turn.ingest);
    }

    fn busy(&self, run: &Run) {
        let share = run.cpu_secs / run.secs / self.cores as f64;
        ratio("  of both cores busy", share, ">= 0.92");
    }

    /// Rows alone and with everything.
    fn one_video(&self, title: &str, video: &Path, model: &str) {
        println!("\n{title}");
        let options = [&ROWS_ALONE[..], &["--pose-model", model]].concat();
        let frames = |run: &Run| {
            let frames = run.summary["videos"][0]["frame_count"].as_f64();
            frames.expect("frames")
        };
        let rows = self.median_turn(|| {
            let ingest = self.ingest(&[video], &options);
            let alone = self.alone(video, model, frames(&ingest), &ingest.summary);
            Turn { ingest, alone }
        });
        row("decode alone", rows.alone.decode_cpu_secs, "CPU s");
        row("landmark model alone", rows.alone.models_cpu_secs, "CPU s");
        row("roofline", self.roofline(&rows.alone), "s");
        row("ingest, rows alone, start to exit", rows.ingest.secs, "s");
        let frames_per_second = frames(&rows.ingest) / rows.ingest.secs;
        row("  frames per second", frames_per_second, "");
        row("  CPU", rows.ingest.cpu_secs, "s");
        self.compare(&rows);
        self.stages(&rows.ingest.summary);

        let all = self.median_turn(|| {
            let ingest = self.ingest(&[video], &["--pose-model", model]);
            let again = self.annotate();
            let mut alone = self.alone(video, model, frames(&ingest), &ingest.summary);
            alone.drawing_cpu_secs = (again.cpu_secs - alone.decode_cpu_secs).max(0.0);
            Turn { ingest, alone }
        });
        row("draw and encode alone", all.alone.drawing_cpu_secs, "CPU s");
        row("roofline", self.roofline(&all.alone), "s");
        row(
            "ingest with annotated video, pose file",
            all.ingest.secs,
            "s",
        );
        row("  CPU", all.ingest.cpu_secs, "s");
        self.compare(&all);
        let one_core = median(|| self.ingest_on_one_core(&[video], &options));
        row("rows alone on one core", one_core.secs, "s");
    }

    fn stages(&self, summary: &Value) {
        let secs = summary["elapsed_secs"].as_f64().unwrap_or(f64::NAN);
        row("  of which the run itself", secs, "s");
        let stages = summary["videos"][0]["stages"].as_object();
        for (stage, secs) in stages.expect("stages") {
            let name = format!("    {}", stage.trim_end_matches("_secs"));
            row(&name, secs.as_f64().unwrap_or(f64::NAN), "s");
        }
    }

    fn several_people(&self, video: &Path, persons: usize) {
        println!("\n{persons} people side by side, rows alone, full");
        let count = persons.to_string();
        let options = [&ROWS_ALONE[..], &["--max-persons", &count]].concat();
        let turn = self.median_turn(|| {
            let ingest = self.ingest(&[video], &options);
            let poses = self.value("select count(*) from metrics where quality <> 'no_pose'");
            let alone = self.alone(video, "full", poses, &ingest.summary);
            Turn { ingest, alone }
        });
        row("decode and models alone", self.roofline(&turn.alone), "s");
        row("ingest", turn.ingest.secs, "s");
        self.compare(&turn);
    }

    fn lake_and_memory(&self, demo: &Path, long: &Path) {
        println!("\nlake and memory, rows alone, full");
        let long = self.ingest(&[long], &ROWS_ALONE).summary;
        let short = self.ingest(&[demo], &ROWS_ALONE).summary;
        let video = &short["videos"][0];
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let bytes_per_frame = number(&video["lake_bytes"]) / number(&video["frame_count"]);
        row("lake bytes per frame", bytes_per_frame, "B");
        ratio(
            "old JSON / lake",
            OLD_BYTES_PER_FRAME / bytes_per_frame,
            ">= 5",
        );
        let megabytes = |summary: &Value| number(&summary["peak_memory_bytes"]) / 1e6;
        row("peak memory", megabytes(&short), "MB, < 700");
        row("  six times as long", megabytes(&long), "MB");
        ratio(
            "  long / short",
            megabytes(&long) / megabytes(&short),
            "0.9 to 1.1",
        );
    }

    fn several_videos(&self, demo: &Path) {
        println!("\ntwo videos, rows alone, full");
        let copies: Vec<PathBuf> = (0..2)
            .map(|i| copy_with_tag(demo, i, &self.scratch))
            .collect();
        let copies: Vec<&Path> = copies.iter().map(PathBuf::as_path).collect();
        let options = [&ROWS_ALONE[..], &["--workers", "2"]].concat();
        let both = median(|| self.ingest(&copies, &options));
        let one_core = median(|| self.ingest_on_one_core(&copies, &ROWS_ALONE));
        row("two workers", both.secs, "s");
        row("one worker on one core", one_core.secs, "s");
        ratio(
            "one worker / two workers",
            one_core.secs / both.secs,
            ">= 1.8",
        );
    }

    fn ingest_on_one_core(&self, videos: &[&Path], options: &[&str]) -> Run {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", env!("CARGO_BIN_EXE_posedata")]);
        let options = [options, &["--workers", "1"]].concat();
        self.ingest_by(command, videos, &options)
    }

    /// Draws and encodes again what the lake has.
    fn annotate(&self) -> Run {
        let mut command = self.posedata();
        command
            .args(["annotate", "--quiet", "--lake"])
            .arg(&self.lake);
        command.arg("--output").arg(self.scratch.join("output"));
        timed(&mut command)
    }

    fn value(&self, sql: &str) -> f64 {
        let mut command = self.posedata();
        command.args(["query", "--format", "csv", "-e", sql, "--lake"]);
        let output = command
            .arg(&self.lake)
            .output()
            .expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let value = text.lines().nth(1).and_then(|line| line.parse().ok());
        value.expect("a number")
    }
}

/// Runs a program to its end; its standard output is its summary where that is JSON.
fn timed(command: &mut Command) -> Run {
    let (started, children) = (Instant::now(), children_cpu_secs());
    let output = command.output().expect("the program starts");
    let secs = started.elapsed().as_secs_f64();
    let cpu_secs = children_cpu_secs() - children;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Run {
        secs,
        cpu_secs,
        summary: serde_json::from_slice(&output.stdout).unwrap_or_default(),
    }
}

fn row(name: &str, value: f64, unit: &str) {
    println!("{name:<42} {value:>10.3} {unit}");
}

fn ratio(name: &str, value: f64, wanted: &str) {
    println!("{name:<42} {value:>10.2} (wanted {wanted})");
}

/// The run with the median time.
fn median(mut run: impl FnMut() -> Run) -> Run {
    let mut runs: Vec<Run> = (0..RUNS).map(|_| run()).collect();
    runs.sort_by(|a, b| a.secs.total_cmp(&b.secs));
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

fn decode(video: &Path) {
    let mut reader = VideoReader::open(video).expect("a video");
    let mut frame = Frame::default();
    while reader.read(&mut frame).expect("a frame") {}
}

/// What the landmark model is to see, in levels.
fn first_crop(video: &Path) -> Vec<u8> {
    let mut reader = VideoReader::open(video).expect("a video");
    let mut frame = Frame::default();
    reader.read(&mut frame).expect("a frame");
    let view = frame.view().expect("pixels");
    let roi = Roi::letterbox(ImageSize::new(view.width(), view.height()));
    let side = LANDMARK_INPUT_SIDE;
    let mut levels = vec![0; 3 * side * side];
    crop_to_levels(view, &roi, side, Border::Replicate, &mut levels);
    levels
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

/// The same pictures several times over, as H.264.
fn repeat(video: &Path, times: usize, filter: &str, output: &Path) {
    let loops = (times - 1).to_string();
    let video = video.to_str().expect("a path");
    let input = ["-stream_loop", &loops, "-i", video, "-an"];
    let encoding = ["-c:v", "libx264", "-preset", "veryfast"];
    ffmpeg(&[&input[..], &["-vf", filter], &encoding].concat(), output);
}

/// Clips beside each other, each at half its width and height.
fn side_by_side(clips: &[PathBuf], output: &Path) {
    let mut arguments: Vec<String> = Vec::new();
    let (mut scaled, mut joined) = (String::new(), String::new());
    for (i, clip) in clips.iter().enumerate() {
        // The clips are short.
        arguments.extend(["-stream_loop", "-1", "-i"].map(String::from));
        arguments.push(clip.display().to_string());
        scaled += &format!("[{i}:v]fps=30,scale=540:960[p{i}];");
        joined += &format!("[p{i}]");
    }
    let filter = format!("{scaled}{joined}hstack=inputs={}", clips.len());
    arguments.extend(["-filter_complex".into(), filter, "-an".into()]);
    let encoding = [
        "-frames:v",
        PEOPLE_FRAMES,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
    ];
    arguments.extend(encoding.map(String::from));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ffmpeg(&arguments, output);
}

/// The same packets in a file of other bytes, so that it is another video.
fn copy_with_tag(video: &Path, tag: usize, folder: &Path) -> PathBuf {
    let output = folder.join(format!("copy{tag}.mp4"));
    let title = format!("title=copy {tag}");
    let video = video.to_str().expect("a path");
    ffmpeg(&["-i", video, "-c", "copy", "-metadata", &title], &output);
    output
}
