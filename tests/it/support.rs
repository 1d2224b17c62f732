//! What the tests share: installed models, clips, a scripted pose backend, the program itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use posedata::image::{BgrView, Pixels};
use posedata::media_time::MediaTime;
use posedata::models::ModelStore;
use posedata::pose::landmark::LANDMARK_COUNT;
use posedata::pose::{
    ImageLandmark, PersonPose, PoseBackend, PoseError, PoseModels, PoseTimings, PoseTracker,
    Provider, TrackerConfig,
};
use posedata::video::{Frame, VideoReader};

/// The store that `make test` has filled.
pub fn store() -> ModelStore {
    let folder = std::env::var_os("POSEDATA_MODELS").map(PathBuf::from);
    ModelStore::new(folder).expect("a folder for models")
}

/// An installed file: a clip, a model or a library.
pub fn installed(name: &str) -> PathBuf {
    let path = store().path(name).expect("a name of models.toml");
    assert!(path.is_file(), "{name} is not installed; run `make test`");
    path
}

pub fn models(landmarker: &str) -> PoseModels {
    let files = store().pose_files(landmarker).expect("a landmark model");
    PoseModels::load(&files, 1).expect("models; run `make test`")
}

pub fn tracker(config: TrackerConfig) -> PoseTracker {
    PoseTracker::new(models("full"), config)
}

/// Calls `work` with each frame of a video.
pub fn for_each_frame(path: &Path, work: impl FnMut(u64, f64, BgrView<'_>)) {
    for_first_frames(path, usize::MAX, work);
}

/// Calls `work` with each of so many frames that a video begins with.
pub fn for_first_frames(path: &Path, n_frames: usize, mut work: impl FnMut(u64, f64, BgrView<'_>)) {
    let mut reader = VideoReader::open(path).expect("a video");
    let mut frame = Frame::default();
    for _ in 0..n_frames {
        if !reader.read(&mut frame).expect("a whole video") {
            break;
        }
        let view = frame.view().expect("pixels");
        work(frame.index, frame.time.as_secs(), view);
    }
}

/// A person who stands still but for a wrist that moves along x, without any model.
pub struct ScriptedBackend {
    frame: u32,
}

impl ScriptedBackend {
    pub fn new() -> Self {
        Self { frame: 0 }
    }

    /// The pose of a frame; every tenth frame has none.
    pub fn pose(frame: u32) -> Option<PersonPose> {
        if frame % 10 == 9 {
            return None;
        }
        let offset = frame as f32 / 1024.0;
        let landmark = |i: usize| ImageLandmark {
            x: 0.25 + i as f32 / 128.0 + if i == 15 { offset } else { 0.0 },
            y: 0.5 - i as f32 / 128.0,
            z: 0.0,
            visibility: 1.0,
            presence: 1.0,
        };
        Some(PersonPose {
            person: 0,
            probability: 0.75,
            landmarks: std::array::from_fn(landmark),
            world_m: std::array::from_fn::<_, LANDMARK_COUNT, _>(|i| {
                [i as f32 / 64.0, (i * i) as f32 / 2048.0, 0.0]
            }),
        })
    }
}

impl PoseBackend for ScriptedBackend {
    fn start_video(&mut self) {
        self.frame = 0;
    }

    fn estimate(
        &mut self,
        _frame: Pixels<'_>,
        _time: MediaTime,
    ) -> Result<Vec<PersonPose>, PoseError> {
        let pose = Self::pose(self.frame);
        self.frame += 1;
        Ok(pose.into_iter().collect())
    }

    fn timings(&self) -> PoseTimings {
        PoseTimings::default()
    }
}

/// The result of work that a defect would let wait for ever: that fails the test, after
/// `give_up` was called.
#[track_caller]
pub fn ends_within<R: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> R + Send + 'static,
    give_up: impl FnOnce(),
) -> R {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    is_done.recv_timeout(patience).unwrap_or_else(|_| {
        give_up();
        panic!("it panicked, or waits for ever");
    })
}

/// Runs the program in `folder` with a lake there.
pub fn posedata(folder: &Path, arguments: &[&str]) -> Output {
    command(folder)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// The program, ready to be given arguments.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posedata"));
    command
        .current_dir(folder)
        .env("POSEDATA_MODELS", store().folder())
        // Whatever was measured to be the fastest on this machine.
        .env("POSEDATA_PROVIDER", Provider::usual().name())
        .env_remove("POSEDATA_LAKE");
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes a short and small clip with a person in it: `frames` frames of an installed clip, from
/// `start_secs` on.
pub fn make_person_clip(path: &Path, name: &str, start_secs: f64, frames: u64) {
    let source = installed(name);
    let (start, frames) = (format!("{start_secs:.2}"), frames.to_string());
    let source = source.to_str().expect("a path");
    make_clip(
        path,
        &[
            "-ss",
            &start,
            "-i",
            source,
            "-vf",
            "scale=180:-2",
            "-frames:v",
            &frames,
        ],
    );
}

/// Makes a short video with FFmpeg's test picture. What the same arguments have made before, for
/// whichever test, is copied.
pub fn make_clip(path: &Path, ffmpeg_arguments: &[&str]) {
    // Other tests do not know what lies in a test's own folder.
    let own_folders = std::env::temp_dir().display().to_string();
    if ffmpeg_arguments.iter().any(|a| a.contains(&own_folders)) {
        return run_ffmpeg(path, ffmpeg_arguments);
    }
    // The name's ending decides about the container.
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let arguments = ffmpeg_arguments.iter().map(|a| (*a).to_owned());
    let key = std::iter::once(ending.into_owned()).chain(arguments);
    let made = CLIPS.once(key.collect(), |folder| {
        let made = folder.join(path.file_name().expect("a name"));
        run_ffmpeg(&made, ffmpeg_arguments);
        made
    });
    fs::copy(made, path).expect("a copy");
}

fn run_ffmpeg(path: &Path, arguments: &[&str]) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments)
        .arg(path)
        .output()
        .expect("ffmpeg; run `make test`");
    assert!(output.status.success(), "{}", stderr(&output));
}

static CLIPS: Shared<Vec<String>> = Shared::new();

/// What tests need alike: made once, by whoever comes first, in a folder that goes with the process.
/// Nobody may change it; tests take copies.
pub struct Shared<K> {
    made: Mutex<BTreeMap<K, Arc<OnceLock<PathBuf>>>>,
}

impl<K: Ord> Shared<K> {
    pub const fn new() -> Self {
        Self {
            made: Mutex::new(BTreeMap::new()),
        }
    }

    /// What `make`, given a folder of its own, has made for `key`; others wait for it. Where it
    /// panics the next one tries again.
    pub fn once(&self, key: K, make: impl FnOnce(&Path) -> PathBuf) -> PathBuf {
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(made.entry(key).or_default())
        };
        let path = cell.get_or_init(|| {
            let folder = tempfile::tempdir_in(shared_folder()).expect("a folder");
            make(&folder.keep())
        });
        path.clone()
    }
}

/// Holds what tests share until the process ends.
fn shared_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    extern "C" fn remove() {
        if let Some(folder) = FOLDER.get() {
            let _ = fs::remove_dir_all(folder);
        }
    }
    FOLDER.get_or_init(|| {
        // SAFETY: the function takes nothing, and does not unwind.
        unsafe { libc::atexit(remove) };
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix("shared-by-tests-").tempdir();
        folder.expect("a folder").keep()
    })
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}
