//! How long `posedata dataset build` takes on a lake of two million frames.
//!
//! The lake is made once, by repeating the rows of real clips under new video ids, and kept in the
//! target folder; run it with `make bench-dataset`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use common::{attach, execute};
use duckdb::Connection;
use posedata::models::ModelStore;
use serde_json::Value;

const VIDEOS: u64 = 100;
const FRAMES_PER_VIDEO: u64 = 20_000;
/// More than the 50,000 that are wanted, because repeated rows make many equal examples.
const EXAMPLES: u64 = 60_000;
const WANTED_SECS: f64 = 60.0;
/// Clips whose rows are repeated, each with a sport.
const CLIPS: [(&str, &str); 4] = [
    ("demo", "running"),
    ("single_cam01", "balance"),
    ("single_cam03", "balance"),
    ("multi_cam01", "general"),
];

fn main() {
    let folder = std::env::var_os("POSEDATA_MODELS").map(PathBuf::from);
    let store = ModelStore::new(folder).expect("a folder for models");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dataset");
    let lake = scratch.join("lake");
    if !scratch.join("ready").exists() {
        let started = Instant::now();
        make_lake(&store, &scratch, &lake);
        fs::write(scratch.join("ready"), "").expect("room on the disk");
        println!(
            "made the lake in {:.0} s\n",
            started.elapsed().as_secs_f64()
        );
    }
    let started = Instant::now();
    let (report, peak_bytes) = build(&scratch, &lake);
    let secs = started.elapsed().as_secs_f64();
    println!(
        "{:<24} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "recipe", "rows", "kept", "SQL s", "words s", "rows/s"
    );
    for recipe in report["recipes"].as_array().expect("recipes") {
        let number = |name: &str| recipe[name].as_f64().expect("a number");
        let busy_secs = number("sql_secs") + number("words_secs");
        println!(
            "{:<24} {:>8} {:>8} {:>9.2} {:>9.2} {:>9.0}",
            recipe["task"].as_str().expect("a name"),
            number("rows"),
            number("kept"),
            number("sql_secs"),
            number("words_secs"),
            number("rows") / busy_secs
        );
    }
    let examples = report["train"].as_u64().unwrap_or(0) + report["valid"].as_u64().unwrap_or(0);
    println!(
        "\n{} frames, {examples} examples",
        VIDEOS * FRAMES_PER_VIDEO
    );
    println!("from start to exit      {secs:>9.1} s (wanted: at most {WANTED_SECS})");
    println!(
        "peak memory             {:>9.0} MB",
        peak_bytes as f64 / 1e6
    );
}

/// Runs the program; gives its report and the most memory that it had.
fn build(scratch: &Path, lake: &Path) -> (Value, u64) {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/instruct");
    let output = Command::new(env!("CARGO_BIN_EXE_posedata"))
        .args([
            "dataset", "build", "--name", "bench", "--json", "--seed", "7",
        ])
        .args(["--examples", &EXAMPLES.to_string()])
        .arg("--recipes")
        .arg(&recipes)
        .arg("--lake")
        .arg(lake)
        .current_dir(scratch)
        .output()
        .expect("the program starts");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    });
    let peak = report["peak_memory_bytes"].as_u64().unwrap_or(0);
    (report["report"].clone(), peak)
}

/// Ingests the clips, and makes long videos of their rows.
fn make_lake(store: &ModelStore, scratch: &Path, lake: &Path) {
    if scratch.exists() {
        fs::remove_dir_all(scratch).expect("an old lake goes");
    }
    fs::create_dir_all(scratch).expect("a folder");
    for (clip, sport) in CLIPS {
        let path = store.path(clip).expect("the manifest names it");
        assert!(path.is_file(), "run `make clips` first");
        let status = Command::new(env!("CARGO_BIN_EXE_posedata"))
            .arg("ingest")
            .arg(&path)
            .args([
                "--no-video",
                "--no-pose-json",
                "-q",
                "--sport-type",
                sport,
                "--lake",
            ])
            .arg(lake)
            .status()
            .expect("the program starts");
        assert!(status.success());
    }
    let connection = attach(store, lake);
    for number in 0..VIDEOS {
        repeat(&connection, number);
    }
    // The clips themselves would be a few frames more.
    let clips = "video_id NOT LIKE 'repeated%'";
    for table in ["landmarks", "metrics", "persons", "videos"] {
        execute(&connection, &format!("DELETE FROM {table} WHERE {clips}"));
    }
}

/// Adds a video in which one of the clips is seen again and again.
fn repeat(connection: &Connection, number: u64) {
    let source = format!(
        "(SELECT video_id, frame_count, duration_secs FROM videos
          WHERE video_id NOT LIKE 'repeated%' ORDER BY video_id
          LIMIT 1 OFFSET {})",
        number % CLIPS.len() as u64
    );
    let id = format!("repeated{number:024x}");
    let rows = |table: &str, order: &str| {
        format!(
            "INSERT INTO {table}
             SELECT t.* REPLACE (
                 '{id}' AS video_id,
                 (t.frame + s.frame_count * r.nth)::INTEGER AS frame,
                 t.time_secs + s.duration_secs * r.nth AS time_secs
             )
             FROM {table} AS t
             JOIN {source} AS s ON s.video_id = t.video_id
             CROSS JOIN (SELECT unnest(range(0, 1000)) AS nth) AS r
             WHERE t.frame + s.frame_count * r.nth < {FRAMES_PER_VIDEO}
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
             SELECT p.* REPLACE ('{id}' AS video_id, {FRAMES_PER_VIDEO} - 1 AS last_frame)
             FROM persons AS p JOIN {source} AS s USING (video_id)"
        ),
    );
    execute(
        connection,
        &format!(
            "INSERT INTO videos
             SELECT v.* REPLACE (
                 '{id}' AS video_id, '{id}.mp4' AS file_name,
                 {FRAMES_PER_VIDEO} AS frame_count, {FRAMES_PER_VIDEO} AS pose_frame_count
             )
             FROM videos AS v JOIN {source} AS s USING (video_id)"
        ),
    );
    execute(connection, "COMMIT");
}
