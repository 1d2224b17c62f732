//! `posedata ingest`: videos into the lake.

use std::fs;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use super::analyze;
use super::command_line::without_secrets;
use super::consent::{Consent, provide_for_ingest};
use super::events::{Both, EventArgs, Events};
use super::progress::Progress;
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::export::{AnnotatedVideo, Faces, Outputs, PoseJson};
use crate::hashing::sha256_of_file;
use crate::ingest::{
    self, Backends, IngestConfig, IngestSummary, MemoryPlan, RowConfig, SlowMotion, StageTimes,
    VideoOutcome,
};
use crate::lake::{Lake, Replace, RunRecord};
use crate::media_time::{MediaPosition, MediaRange};
use crate::models::ModelStore;
use crate::numbers::human_bytes;
use crate::pose::{
    DEFAULT_DETECT_EVERY, FilterClock, ModelFiles, Pick, Provider, Skeleton, Smoothing,
    TopDownModel, TrackerConfig, Tracking, load_provider,
};
use crate::resources::{DatabaseUse, Resources};
use crate::scratch::Scratch;
use crate::shipped::{self, ShippedFile};
use crate::store::Address;

/// Estimate poses in videos and put landmarks and metrics into the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata ingest public
  posedata ingest clip.mov other/ --sport-type running --pose-model heavy --lake ~/lake

A video whose rows are in the lake already, made with the same settings, is skipped.
Other settings replace its rows. Each video is committed as a whole or not at all.

Slow motion: phones with Android store 120 frames a second as 30, so that everything looks four
times slower. With --slow-motion or --capture-fps all times, speeds and rates in the lake are in real
seconds, and so is --cutoff of `metrics recompute`. `auto` goes by the tag com.android.capture.fps;
Apple's cameras store real times, so there is nothing to do unless an editor has slowed the video
down. Annotated videos play as their files do.

A part: with --from and --to only that part of each video is ingested; frames and times in the lake and
in exports stay those of the file. A video has one set of rows, so another part replaces it.
  posedata ingest race.mp4 --from 1:20 --to 1:32.5
  posedata ingest race.mp4 --from 2400f --to 2775f

Another pose model: --pose-onnx takes a top-down model (RTMPose, ViTPose), and --skeleton says what its
joints are. What it does not give, depth and metres among it, is NULL; docs/pose-models.md has the rest.
  posedata ingest clip.mov --pose-onnx rtmpose-m-halpe26.onnx --skeleton halpe26

--events json tells programs of every video while it is worked on; docs/events.md has the events.
Whoever starts posedata from a program may want --exit-on-stdin-close and --cores too.")]
pub struct IngestArgs {
    /// Video files, folders that are searched for videos with all below them, s3:// prefixes, https://
    /// addresses
    #[arg(required = true, value_name = "FILE|DIR|ADDRESS")]
    inputs: Vec<PathBuf>,
    /// Sport or activity that the videos show; partitions the lake
    #[arg(long, alias = "sport", value_name = "NAME", default_value = "general", value_parser = sport_name)]
    sport_type: String,
    /// Landmark model: faster or more accurate
    #[arg(long, value_enum, default_value_t = PoseModel::Full, conflicts_with = "pose_onnx")]
    pose_model: PoseModel,
    /// Landmark model of your own instead: a top-down model with SimCC or heatmaps (RTMPose, ViTPose)
    #[arg(long, value_name = "FILE.onnx", requires = "skeleton", value_parser = choices::local_path())]
    pose_onnx: Option<PathBuf>,
    /// What the joints of --pose-onnx are: halpe26, coco17, vitpose17, or a file of yours (`posedata
    /// queries copy skeletons` gives these to change)
    #[arg(long, value_name = "NAME|FILE.toml", requires = "pose_onnx", value_parser = choices::local_path())]
    skeleton: Option<PathBuf>,
    /// What runs the models; auto is what `posedata models tune` has found to be the fastest here
    #[arg(long, value_enum, default_value_t = ProviderChoice::Auto, env = "POSEDATA_PROVIDER")]
    provider: ProviderChoice,
    /// Detections below this score (0 to 1) do not count
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability)]
    min_detection_confidence: f64,
    /// A person is followed while the pose probability (0 to 1) is above this
    #[arg(long, value_name = "P", default_value_t = 0.5, value_parser = probability)]
    min_tracking_confidence: f64,
    /// Keep landmarks as the model gives them, frame by frame
    #[arg(long)]
    no_smoothing: bool,
    /// What smoothing goes by, see docs/accuracy.md
    #[arg(long, value_enum, default_value_t = Clock::Mediapipe)]
    filter_clock: Clock,
    /// People that are followed at once at most
    #[arg(long, value_name = "N", default_value = "1", value_parser = max_persons)]
    max_persons: NonZeroU16,
    /// Who is followed, where one person is and several are in the picture; of several who are
    /// followed, the main person
    #[arg(long, value_enum, default_value_t = PersonPick::First)]
    pick: PersonPick,
    /// Frames between two looks for more people, with --max-persons of 2 and more
    #[arg(long, value_name = "FRAMES", default_value_t = DEFAULT_DETECT_EVERY, value_parser = choices::count::<NonZeroU16>)]
    detect_every: NonZeroU16,
    #[command(flatten)]
    slow_motion: SlowMotionArgs,
    #[command(flatten)]
    range: RangeArgs,
    /// Folder of annotated videos and pose files, or an s3:// prefix
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX/", default_value = "output")]
    output: PathBuf,
    /// Write no annotated videos
    #[arg(long)]
    no_video: bool,
    /// Make faces in annotated videos unrecognizable: of the people who are found (--max-persons), from a
    /// second before to a second after they are there, and of nobody else;
    /// videos that the lake has already are skipped, annotate --blur-faces is for them
    #[arg(long, conflicts_with = "no_video")]
    blur_faces: bool,
    /// Write no pose files (JSON)
    #[arg(long)]
    no_pose_json: bool,
    /// Videos at once [default: as many as cores and memory allow]
    #[arg(long, value_name = "N", value_parser = choices::count::<NonZeroUsize>)]
    workers: Option<NonZeroUsize>,
    /// Frames that are decoded before they are handed on
    #[arg(long, value_name = "N", default_value = "1", value_parser = choices::count::<NonZeroUsize>)]
    batch_size: NonZeroUsize,
    /// Ingest again what is in the lake already
    #[arg(long)]
    force: bool,
    /// Fetch models that are needed and not installed, without asking
    #[arg(short, long)]
    yes: bool,
    /// Write a report of the run as JSON: videos, errors, seconds per stage, settings, machine
    #[arg(long, value_name = "FILE.json", value_parser = choices::local_path())]
    report: Option<PathBuf>,
    /// Model of your own that is run over the landmarks, see `posedata analyze --help`
    #[arg(long, value_name = "FILE.onnx", value_parser = choices::local_path())]
    analysis_model: Option<PathBuf>,
    /// Frames of a window, for analysis models that take any number
    #[arg(long, value_name = "N", requires = "analysis_model", value_parser = choices::count::<NonZeroUsize>)]
    analysis_window: Option<NonZeroUsize>,
    #[command(flatten)]
    events: EventArgs,
}

/// The part of each video that is ingested.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RangeArgs {
    /// Ingest each video from here on: seconds of the file (12.5), 1:02.5, or a frame (300f)
    #[arg(long, value_name = "TIME|FRAMEf")]
    from: Option<MediaPosition>,
    /// Ingest each video up to here, without the frame at this place
    #[arg(long, value_name = "TIME|FRAMEf")]
    to: Option<MediaPosition>,
}

impl RangeArgs {
    fn range(self) -> anyhow::Result<MediaRange> {
        let range = MediaRange {
            from: self.from,
            to: self.to,
        };
        let from = self.from.map_or("0".into(), |from| from.to_string());
        if let Some(to) = self.to {
            ensure!(
                !range.is_empty(),
                "nothing is between --from {from} and --to {to}; give a later --to"
            );
        }
        Ok(range.simplified())
    }

    /// The arguments again, for a command that is run with them.
    pub fn words(self) -> Vec<String> {
        let word = |name: &str, place: Option<MediaPosition>| {
            place.map(|place| [name.to_owned(), place.to_string()])
        };
        let words = [word("--from", self.from), word("--to", self.to)];
        words.into_iter().flatten().flatten().collect()
    }
}

/// What time the smoothing filters go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clock {
    /// 1/30 s a frame whatever the rate, as MediaPipe does
    Mediapipe,
    /// The frames' true times: for videos of more or less than 30 frames/s
    Video,
}

impl From<Clock> for FilterClock {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::Mediapipe => Self::MediaPipe,
            Clock::Video => Self::Video,
        }
    }
}

/// At what rate the pictures were really taken.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SlowMotionArgs {
    /// How many times slower the videos play than things happened (below 1: a time lapse, which
    /// plays faster), or `auto`: as the camera's tag says
    #[arg(long, value_name = "FACTOR|auto", value_parser = slow_motion, conflicts_with = "capture_fps")]
    slow_motion: Option<SlowMotion>,
    /// Frames per second at which the pictures were taken, whatever the videos play at
    #[arg(long, value_name = "N", value_parser = capture_fps)]
    capture_fps: Option<f64>,
}

impl SlowMotionArgs {
    fn config(self) -> SlowMotion {
        let by_rate = self.capture_fps.map(SlowMotion::CaptureFps);
        self.slow_motion.or(by_rate).unwrap_or_default()
    }

    /// The arguments again, for a command that is run with them.
    pub fn words(self) -> Vec<String> {
        match self.config() {
            SlowMotion::Auto => vec!["--slow-motion".into(), "auto".into()],
            SlowMotion::Factor(factor) => vec!["--slow-motion".into(), factor.to_string()],
            SlowMotion::CaptureFps(fps) => vec!["--capture-fps".into(), fps.to_string()],
            SlowMotion::Off | SlowMotion::TaggedCaptureFps(_) => Vec::new(),
        }
    }
}

fn slow_motion(text: &str) -> Result<SlowMotion, String> {
    if text == "auto" {
        return Ok(SlowMotion::Auto);
    }
    match text.parse::<f64>() {
        Ok(factor) if ingest::FACTORS.contains(&factor) => Ok(SlowMotion::Factor(factor)),
        _ => Err(format!(
            "expected auto or a factor between {} and {}, such as 4 for 120 frames/s stored as 30",
            ingest::FACTORS.start(),
            ingest::FACTORS.end()
        )),
    }
}

/// Fastest camera whose videos are looked at; beyond are pictures of bullets.
const MAX_CAPTURE_FPS: f64 = 1e5;

fn capture_fps(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(fps) if fps > 0.0 && fps <= MAX_CAPTURE_FPS => Ok(fps),
        _ => Err(format!(
            "expected frames per second above 0, up to {MAX_CAPTURE_FPS}, such as 120"
        )),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PoseModel {
    /// Fastest (complexity 0)
    Lite,
    /// Complexity 1
    Full,
    /// Most accurate (complexity 2)
    Heavy,
}

impl PoseModel {
    fn name(self) -> &'static str {
        match self {
            Self::Lite => "lite",
            Self::Full => "full",
            Self::Heavy => "heavy",
        }
    }
}

/// The landmark model that was chosen.
struct ChosenModel {
    files: ModelFiles,
    sha256: String,
}

impl IngestArgs {
    fn tracker(&self) -> TrackerConfig {
        TrackerConfig {
            min_detection_confidence: self.min_detection_confidence,
            min_tracking_confidence: self.min_tracking_confidence,
            smoothing: match self.no_smoothing {
                true => Smoothing::Off,
                false => Smoothing::On,
            },
            filter_clock: self.filter_clock.into(),
            tracking: Tracking::Video,
            max_persons: self.max_persons,
            pick: self.pick.into(),
            detect_every: self.detect_every,
        }
    }

    fn outputs(&self, folder: PathBuf) -> Outputs {
        Outputs {
            folder,
            annotated_video: match (self.no_video, self.blur_faces) {
                (true, _) => AnnotatedVideo::Off,
                (false, true) => AnnotatedVideo::Blurred,
                (false, false) => AnnotatedVideo::On,
            },
            pose_json: match self.no_pose_json {
                true => PoseJson::Off,
                false => PoseJson::On,
            },
        }
    }

    /// Looks the landmark model up, or loads one of the user's once, so that one that does not fit is told
    /// of before the first video.
    fn chosen_model(&self, store: &ModelStore, global: &GlobalArgs) -> anyhow::Result<ChosenModel> {
        let consent = match self.yes {
            true => Consent::Given,
            false => Consent::Ask,
        };
        let (Some(path), Some(name)) = (&self.pose_onnx, &self.skeleton) else {
            let name = self.pose_model.name();
            provide_for_ingest(store, Some(name), consent, global)?;
            let provider = self.provider.provider(|| store.fastest_provider(name));
            let files = store.pose_files_for(name, provider)?;
            if !matches!(provider, Provider::Native | Provider::Cpu) {
                // The first library of ONNX Runtime that is loaded stays, and has to know the provider.
                load_provider(&files)?;
            }
            let sha256 = store.sha256(name)?.into();
            return Ok(ChosenModel { files, sha256 });
        };
        let skeleton = Arc::new(skeleton_called(name)?);
        let sha256 = sha256_of_file(path)
            .with_context(|| format!("cannot read the pose model: {}", path.display()))?;
        provide_for_ingest(store, None, consent, global)?;
        // Nobody has measured the user's model.
        let provider = self.provider.provider(Provider::default);
        ensure!(
            provider != Provider::Native,
            "native code is only for BlazePose's models; give --provider cpu: {}",
            path.display()
        );
        let files = store.pose_files_of(path, Arc::clone(&skeleton), provider)?;
        drop(TopDownModel::load(&files, &skeleton, 1)?);
        Ok(ChosenModel { files, sha256 })
    }
}

/// The folder of skeletons inside the program.
const SKELETONS: &str = "skeletons";

/// A skeleton in a file, or one that is inside the program.
fn skeleton_called(name: &Path) -> anyhow::Result<Skeleton> {
    if name.is_file() {
        return Ok(Skeleton::read(name)?);
    }
    let shipped = shipped::folder(Path::new(SKELETONS));
    let is_called = |file: &&&ShippedFile| {
        [file.stem(), file.name(), file.path]
            .map(Path::new)
            .contains(&name)
    };
    match shipped.iter().find(is_called) {
        Some(file) => Ok(Skeleton::parse(file.text, Path::new(file.path))?),
        None => {
            let names: Vec<&str> = shipped.iter().map(|file| file.stem()).collect();
            bail!(
                "there is no such skeleton; give one of {}, or a TOML file: {}",
                names.join(", "),
                name.display()
            )
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProviderChoice {
    /// The fastest that is installed, as far as was measured; otherwise native, or cpu
    Auto,
    /// posedata's own code, for processors with AVX2
    Native,
    /// ONNX Runtime's own code
    Cpu,
    /// OpenVINO on the CPU (`posedata models add openvino`)
    Openvino,
    /// CUDA, with an ONNX Runtime of your own in ORT_DYLIB_PATH
    Cuda,
}

impl ProviderChoice {
    /// `fastest` is what is known to be the fastest for a model.
    fn provider(self, fastest: impl FnOnce() -> Provider) -> Provider {
        match self {
            Self::Auto => fastest(),
            Self::Native => Provider::Native,
            Self::Cpu => Provider::Cpu,
            Self::Openvino => Provider::OpenVino,
            Self::Cuda => Provider::Cuda,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PersonPick {
    /// Of one: who is detected best. Of several: who appears first (the leftmost of those)
    First,
    /// The largest in the picture
    Largest,
    /// The nearest to the picture's middle
    Central,
    /// Of several: who is seen in most frames
    Longest,
}

impl From<PersonPick> for Pick {
    fn from(pick: PersonPick) -> Self {
        match pick {
            PersonPick::First => Self::First,
            PersonPick::Largest => Self::Largest,
            PersonPick::Central => Self::Central,
            PersonPick::Longest => Self::Longest,
        }
    }
}

/// More people than this in one picture are too small for the detector.
const MAX_PERSONS: u16 = 16;

fn max_persons(text: &str) -> Result<NonZeroU16, String> {
    let persons: Option<NonZeroU16> = text.parse().ok();
    persons
        .filter(|persons| persons.get() <= MAX_PERSONS)
        .ok_or(format!("not between 1 and {MAX_PERSONS}"))
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err("not between 0 and 1".into())
    }
}

/// The name becomes a folder and a value in queries.
fn sport_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.len() <= 64 && text.chars().all(is_plain) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("use up to 64 letters from a to z, digits, - and _".into())
    }
}

pub fn run(args: IngestArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let events = Events::start(args.events, global)?;
    let ended = run_telling(args, &events, global);
    events.finish(&ended, global);
    ended
}

fn run_telling(
    args: IngestArgs,
    events: &Events,
    global: &GlobalArgs,
) -> anyhow::Result<ExitStatus> {
    if let Some(path) = &args.report {
        check_report_file(path)?;
    }
    ensure!(
        args.pick != PersonPick::Longest || args.max_persons > NonZeroU16::MIN,
        "--pick longest compares people who are all followed; raise --max-persons, or pick first, largest or central"
    );
    let range = args.range.range()?;
    let store = global.store()?;
    let ChosenModel { files, sha256 } = args.chosen_model(&store, global)?;
    let provider = files.provider;
    let tracker = args.tracker();
    // Before the first video, so that a model that does not fit is told of at once.
    let analysis_model = (args.analysis_model.as_deref())
        .map(|path| analyze::load(path, args.analysis_window, global))
        .transpose()?;
    let cores = Resources::detect().cores;
    let memory_limit_bytes = global.memory_limit_bytes();
    let model_file_bytes = fs::metadata(&files.landmarker).map_or(0, |metadata| metadata.len());
    let (model_name, skeleton) = (files.landmarker_name.clone(), files.skeleton.clone());
    let backends = Backends { files, tracker };
    let worker_bytes = ingest::worker_bytes(
        model_file_bytes,
        backends.sessions(cores),
        args.max_persons.get(),
    );
    // What goes to a bucket is written in a folder for temporary files first, which goes with it.
    let scratch = Scratch::make()?;
    let (output_folder, send_outputs_to) = match Address::of_path(&args.output)? {
        None => (args.output.clone(), None),
        Some(Address::S3(address)) => (scratch.path().into(), Some(address)),
        Some(Address::Web(_)) => bail!(
            "files cannot be written to a web address; give --output a folder or s3://BUCKET/PREFIX/"
        ),
    };
    let config = IngestConfig {
        outputs: args.outputs(output_folder),
        inputs: args.inputs,
        lake: global.lake_paths()?,
        rows: RowConfig::new(
            args.sport_type,
            model_name,
            sha256,
            store.sha256("detector")?.into(),
            &tracker,
        )
        .with_skeleton(skeleton.map(|skeleton| skeleton.identity()))
        .with_slow_motion(args.slow_motion.config())
        .with_range(range),
        send_outputs_to,
        memory: MemoryPlan::new(
            memory_limit_bytes,
            args.workers.map_or(cores, NonZeroUsize::get),
            worker_bytes,
        )?,
        batch_size: args.batch_size,
        cores,
        provider,
        replace: if args.force {
            Replace::Always
        } else {
            Replace::IfDifferent
        },
    };
    let extensions = store.lake_extensions()?;
    let open_lake = || {
        let memory = ingest::database_bytes(memory_limit_bytes);
        let threads = DatabaseUse::Commit.threads(cores);
        let lake = Lake::new(config.lake.clone(), &extensions, memory, threads)?;
        let lake = lake.with_lock_timeout(global.lock_timeout());
        Ok(lake.cancelled_by(&global.signals.cancellation()))
    };
    let faces = match args.blur_faces {
        true => Faces::Blurred,
        false => Faces::Shown,
    };
    let progress = Progress::new(global.verbosity(), faces);
    let cancellation = global
        .cancellation_with_grace("interrupted: leaving the videos in work; again to end at once");
    log_start(&config);
    let ingested = ingest::run_recorded(
        &config,
        &|threads| backends.load(threads),
        &open_lake,
        &Both(&progress, events),
        &cancellation,
        without_secrets(std::env::args_os()),
    );
    progress.finish();
    if let Some(error) = &ingested.not_recorded {
        logs::note(format_args!(
            "note: the run is not in the lake's history (runs): {error}"
        ));
    }
    if let Some(path) = &args.report {
        ingested
            .write_report(path, &config.lake.root())
            .with_context(|| format!("cannot write the report: {}", path.display()))?;
    }
    let summary = ingested.summary?;
    tell_of_open_faces(&summary, faces, args.max_persons, global);
    log_end(&ingested.run);
    report(&summary, global).context("cannot print the summary")?;
    if cancellation.is_cancelled() {
        return Ok(ExitStatus::Interrupted);
    }
    let failed = summary.count(|outcome| matches!(outcome, VideoOutcome::Failed { .. }));
    let analysed = match analysis_model {
        Some(mut model) => {
            let lake = open_lake()?;
            let videos = summary.without_analysis(&lake, &model)?;
            analyze::run_all(&lake, &videos, &mut model, &cancellation, events, global).0
        }
        None => ExitStatus::Success,
    };
    Ok(match failed {
        0 => analysed,
        _ if analysed == ExitStatus::Interrupted => analysed,
        _ => ExitStatus::SomeVideosFailed,
    })
}

/// Tells whose faces the annotated videos show.
fn tell_of_open_faces(
    summary: &IngestSummary,
    faces: Faces,
    max_persons: NonZeroU16,
    global: &GlobalArgs,
) {
    let is_new =
        |outcome: &VideoOutcome| matches!(outcome, VideoOutcome::Ingested | VideoOutcome::Replaced);
    if summary.count(is_new) == 0 {
        return;
    }
    super::annotate::tell_of_faces(faces, global);
    if faces == Faces::Blurred
        && max_persons == NonZeroU16::MIN
        && global.verbosity() > Verbosity::Quiet
    {
        logs::note(
            "note: one person of each video is followed, and only that one's face is covered; give --max-persons where there are more",
        );
    }
}

/// Refuses a report file that could not be written when the work is done.
fn check_report_file(path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let shown = path.display();
    ensure!(!path.is_dir(), "the report file is a folder: {shown}");
    ensure!(
        folder.is_dir(),
        "there is no folder for the report file; make it: {shown}"
    );
    Ok(())
}

fn log_start(config: &IngestConfig) {
    tracing::info!(
        target: "posedata::ingest",
        inputs = ?config.shown_inputs(),
        lake = %config.lake.root().display(),
        workers = config.memory.workers,
        memory_limit_bytes = config.memory.limit_bytes,
        config = %serde_json::json!(config.rows),
        "ingest started"
    );
}

fn log_end(run: &RunRecord) {
    tracing::info!(
        target: "posedata::ingest",
        run_id = run.run_id,
        outcome = run.outcome.name(),
        ingested = run.videos_ingested,
        replaced = run.videos_replaced,
        skipped = run.videos_skipped,
        failed = run.videos_failed,
        frames = run.frames,
        secs = run.elapsed_secs,
        peak_memory_bytes = run.peak_memory_bytes,
        stages = %run.stages,
        "ingest finished"
    );
}

fn report(summary: &IngestSummary, global: &GlobalArgs) -> anyhow::Result<()> {
    if global.json {
        print_result(serde_json::to_string_pretty(summary)?)?;
    }
    if global.verbosity() == Verbosity::Quiet {
        return Ok(());
    }
    let count = |wanted: fn(&VideoOutcome) -> bool| summary.count(wanted);
    let counts = [
        (count(|o| matches!(o, VideoOutcome::Ingested)), "ingested"),
        (count(|o| matches!(o, VideoOutcome::Replaced)), "replaced"),
        (
            count(|o| matches!(o, VideoOutcome::Skipped)),
            "in the lake already",
        ),
        (
            count(|o| matches!(o, VideoOutcome::Failed { .. })),
            "failed",
        ),
        (
            count(|o| matches!(o, VideoOutcome::Cancelled)),
            "not finished",
        ),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    let videos = match summary.videos.len() {
        1 => "1 video".into(),
        n => format!("{n} videos"),
    };
    let frames = summary.frame_count();
    let secs = summary.elapsed_secs;
    let work = if frames == 0 {
        format!("nothing to do ({secs:.1} s)")
    } else {
        let rate = frames as f64 / secs;
        let by = match summary.provider {
            Provider::Native | Provider::Cpu => String::new(),
            other if summary.is_partly_on_cpu => format!(", by {other}, a part by cpu"),
            other => format!(", by {other}"),
        };
        format!("{frames} frames in {secs:.1} s ({rate:.0} frames/s{by})")
    };
    logs::tell_people(format_args!("{videos}: {}; {work}", counts.join(", ")));
    if frames > 0
        && let Some(peak_bytes) = summary.peak_memory_bytes
    {
        let stages = summary.stages();
        logs::tell_people(format_args!(
            "memory: {} at most of a budget of {}; stages waited {:.1} s for memory, {:.1} s for frames, {:.1} s for video",
            human_bytes(peak_bytes),
            human_bytes(summary.memory_budget_bytes),
            stages.wait_for_memory_secs,
            stages.wait_for_frames_secs,
            stages.wait_for_video_secs,
        ));
    }
    if global.verbosity() == Verbosity::Verbose {
        print_stages(&summary.stages());
    }
    Ok(())
}

fn print_stages(stages: &StageTimes) {
    let rows = [
        ("hash", stages.hash_secs),
        ("decode", stages.decode_secs),
        ("detector", stages.detector_secs),
        ("crop", stages.crop_secs),
        ("landmark model", stages.landmark_model_secs),
        ("tracking", stages.tracking_secs),
        ("metrics", stages.metrics_secs),
        ("draw and encode", stages.annotate_secs),
        ("write", stages.write_secs),
        ("commit", stages.commit_secs),
        ("wait for memory", stages.wait_for_memory_secs),
        ("wait for frames", stages.wait_for_frames_secs),
        ("wait for video", stages.wait_for_video_secs),
    ];
    logs::tell_people("seconds per stage (stages overlap):");
    for (name, secs) in rows {
        logs::tell_people(format_args!("  {name:<18} {secs:>9.3}"));
    }
}
