//! How fast the page of `posedata view` is in a real browser.
//!
//! The lake holds the demo video, and an hour at 60 frames a second of its rows again and again. It is
//! made once and kept in the target folder; `benches/view.py` measures. Run it with `make bench-view`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{attach, execute};
use duckdb::Connection;
use posedata::models::ModelStore;

const FRAMES: u64 = 216_000;
/// A video that no file belongs to.
const VIDEO_ID: &str = "00000000000000000000000000000000";

fn main() {
    let folder = std::env::var_os("POSEDATA_MODELS").map(PathBuf::from);
    let store = ModelStore::new(folder).expect("a folder for models");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("view");
    let lake = scratch.join("lake");
    if !scratch.join("ready").exists() {
        make_lake(&store, &scratch, &lake);
        fs::write(scratch.join("ready"), "").expect("room on the disk");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/view.py");
    let status = Command::new("python3")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_posedata"))
        .arg(&lake)
        .status()
        .expect("Python");
    assert!(status.success());
}

fn make_lake(store: &ModelStore, scratch: &Path, lake: &Path) {
    if scratch.exists() {
        fs::remove_dir_all(scratch).expect("an old lake goes");
    }
    fs::create_dir_all(scratch).expect("a folder");
    let clip = store.path("demo").expect("the manifest names it");
    assert!(clip.is_file(), "run `make clips` first");
    let status = Command::new(env!("CARGO_BIN_EXE_posedata"))
        .arg("ingest")
        .arg(&clip)
        .args(["--no-video", "--no-pose-json", "-q", "--lake"])
        .arg(lake)
        .status()
        .expect("the program starts");
    assert!(status.success());
    repeat(&attach(store, lake));
}

/// Adds a video in which the demo is seen again and again.
fn repeat(connection: &Connection) {
    let rows = |table: &str, order: &str| {
        format!(
            "INSERT INTO {table}
             SELECT t.* REPLACE (
                 '{VIDEO_ID}' AS video_id,
                 (t.frame + v.frame_count * r.nth)::INTEGER AS frame,
                 (t.frame + v.frame_count * r.nth) / 60.0 AS time_secs
             )
             FROM {table} AS t
             JOIN videos AS v USING (video_id)
             CROSS JOIN (SELECT unnest(range(0, 10000)) AS nth) AS r
             WHERE t.frame + v.frame_count * r.nth < {FRAMES}
             ORDER BY {order}"
        )
    };
    execute(connection, "BEGIN");
    execute(connection, &rows("landmarks", "landmark_index, frame"));
    execute(connection, &rows("metrics", "frame"));
    execute(
        connection,
        &format!(
            "INSERT INTO persons
             SELECT * REPLACE ('{VIDEO_ID}' AS video_id, {FRAMES} - 1 AS last_frame)
             FROM persons"
        ),
    );
    execute(
        connection,
        &format!(
            "INSERT INTO videos
             SELECT * REPLACE (
                 '{VIDEO_ID}' AS video_id, 'hour.mp4' AS file_name, '/nowhere/hour.mp4' AS path,
                 {FRAMES} AS frame_count, {FRAMES} AS pose_frame_count, {FRAMES} / 60.0 AS duration_secs
             )
             FROM videos"
        ),
    );
    execute(connection, "COMMIT");
}
