//! The page of `posedata view` in a real browser: `tests/browser/view_page.py` drives Chromium.
//!
//! These tests take longest; by their name they begin early, so that others run beside them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::support::{command, make_clip, make_person_clip, posedata, stderr, stdout};

/// Bars of black and white, 32 pixels wide, that say the frame's number in binary, the lowest bit on
/// the left. FFmpeg computes each pixel's value anew, so there is one for each bar first.
fn bars(rate: &str) -> String {
    let bits = "geq=lum='16+219*mod(floor(N/pow(2,X)),2)':cb=128:cr=128";
    format!("nullsrc=s=10x2:r={rate},{bits},scale=320:240:flags=neighbor")
}

/// Every frame is shown for another time, and there are pauses.
const VARIABLE_TIMES: &str = "settb=1/90000,setpts='90000*(N/30+0.012*sin(N*2.1)+0.1*floor(N/40))'";
/// Markup that would change the page's title if it became part of the page.
const HOSTILE_NAME: &str = "<img src=x onerror=\"document.title='broken'\">.mp4";

#[test]
fn the_overlay_belongs_to_the_picture_that_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    make_variable_clip(&folder.path().join("variable.mp4"), 120);
    make_bars(&folder.path().join("ntsc.mp4"), "60000/1001", 54, H264);
    make_bars(&folder.path().join("fast.mp4"), "240", 120, H264);
    // Without a table of samples: the player alone gives its pictures.
    let fragments = ["-movflags", "frag_keyframe+empty_moov"];
    make_bars(
        &folder.path().join("fragmented.mp4"),
        "30",
        60,
        &[H264, &fragments].concat(),
    );
    make_turned_clip(&folder.path().join("turned.mp4"));
    make_bars(
        &folder.path().join("copied.avi"),
        "60000/1001",
        60,
        &["-c:v", "mjpeg", "-q:v", "3"],
    );
    ingest(
        folder.path(),
        &[
            "variable.mp4",
            "ntsc.mp4",
            "copied.avi",
            "fragmented.mp4",
            "turned.mp4",
        ],
    );
    ingest(folder.path(), &["fast.mp4", "--slow-motion", "8"]);
    // The part begins and ends between key pictures, and a pause is in it.
    make_variable_clip(&folder.path().join("part.mp4"), 170);
    ingest(
        folder.path(),
        &["part.mp4", "--from", "63f", "--to", "131f"],
    );
    make_bars(
        &folder.path().join("copied_part.avi"),
        "30",
        150,
        &["-c:v", "mjpeg", "-q:v", "3"],
    );
    ingest(
        folder.path(),
        &["copied_part.avi", "--from", "2", "--to", "4"],
    );
    drive(folder.path(), "frames");
}

#[test]
fn the_page_shows_compares_queries_and_hands_out() {
    let folder = tempfile::tempdir().expect("a folder");
    make_variable_clip(&folder.path().join("variable.mp4"), 90);
    make_bars(&folder.path().join("ntsc.mp4"), "60000/1001", 54, H264);
    make_bars(&folder.path().join(HOSTILE_NAME), "30", 12, H264);
    make_person_clip(&folder.path().join("person.mp4"), "single_cam01", 0.0, 90);
    ingest(
        folder.path(),
        &["variable.mp4", "ntsc.mp4", HOSTILE_NAME, "person.mp4"],
    );
    let filtered = posedata(folder.path(), &["metrics", "recompute"]);
    assert!(filtered.status.success(), "{}", stderr(&filtered));
    drive(folder.path(), "page");
}

/// With pictures that are stored in another order than they are shown in.
const H264: &[&str] = &[
    "-c:v", "libx264", "-bf", "3", "-g", "50", "-pix_fmt", "yuv420p",
];

fn make_bars(path: &Path, rate: &str, frames: u32, codec: &[&str]) {
    let source = bars(rate);
    let frames = frames.to_string();
    let input = ["-f", "lavfi", "-i", &source, "-frames:v", &frames];
    make_clip(path, &[&input, codec].concat());
}

/// Of many colours, in a file that says nothing of them, and shown turned by its display matrix.
fn make_turned_clip(path: &Path) {
    let upright = path.with_file_name("upright.mp4");
    let input = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=30", "-t", "1"];
    make_clip(&upright, &[&input, H264].concat());
    let upright = upright.to_str().expect("a path that is text");
    let turned = ["-i", upright, "-c", "copy", "-metadata:s:v", "rotate=90"];
    make_clip(path, &turned);
}

fn make_variable_clip(path: &Path, frames: u32) {
    let source = format!("{},{VARIABLE_TIMES}", bars("30"));
    let frames = frames.to_string();
    let input = ["-f", "lavfi", "-i", &source, "-frames:v", &frames];
    let times = [
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1/90000",
        "-video_track_timescale",
        "90000",
    ];
    make_clip(path, &[&input, &times, H264].concat());
}

fn ingest(folder: &Path, arguments: &[&str]) {
    let output = posedata(folder, &[&["ingest", "--no-video"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Has a part of the page tested in a browser.
fn drive(folder: &Path, part: &str) {
    let target = Path::new(env!("CARGO_BIN_EXE_posedata")).ancestors().nth(2);
    let packages = target.expect("a folder").join("interop/browser");
    assert!(
        packages.join("playwright").is_dir(),
        "what drives the browser is not installed; run `make test`"
    );
    let viewer = Viewer::start(folder);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/view_page.py");
    let output = Command::new("python3")
        .args([script, &viewer.url, part])
        .env("PYTHONPATH", &packages)
        .output()
        .expect("Python");
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    // Shown with --nocapture: which checks there were.
    print!("{}", stdout(&output));
}

/// A viewer of the folder's lake; ends with the test.
struct Viewer {
    process: Child,
    url: String,
}

impl Viewer {
    fn start(folder: &Path) -> Self {
        let mut process = command(folder)
            .args(["view", "--no-open", "--port", "0"])
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("standard output");
        BufReader::new(stdout).read_line(&mut url).expect("a line");
        let url = url.trim_end().to_owned();
        Self { process, url }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        // It may have ended by itself; then the test has failed already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
