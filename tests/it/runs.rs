//! The history of runs in the lake, and the report file of a run.

use std::fs;
use std::path::Path;

use posedata::lake::LakePaths;
use serde_json::Value;

use crate::lake::{clip, parquet_files};
use crate::poses::with_catalog;
use crate::support::{command, posedata, stderr, stdout};

fn rows(folder: &Path, sql: &str) -> Vec<Value> {
    let output = posedata(folder, &["query", "-e", sql, "--format", "jsonl"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    let row = |line: &str| serde_json::from_str(line).expect("JSON");
    stdout(&output).lines().map(row).collect()
}

fn snapshots(folder: &Path) -> Vec<Value> {
    rows(folder, "select snapshot_id from ducklake_snapshots('lake')")
}

#[test]
fn a_run_leaves_a_row_and_a_report_with_the_same_facts() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    fs::write(folder.path().join("text.mp4"), "no video").expect("a file");
    let arguments = [
        "ingest", "wall.mp4", "text.mp4", "--sport", "climbing", "--report", "run.json",
    ];
    let output = posedata(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let runs = rows(
        folder.path(),
        "select * replace (started_at::varchar as started_at) from runs",
    );
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!(run["command"], "ingest");
    let line = run["command_line"].as_str().expect("a text");
    assert!(line.ends_with(&arguments.join(" ")), "{line}");
    assert_eq!(run["outcome"], "some_failed");
    let counts = [
        "videos_ingested",
        "videos_replaced",
        "videos_skipped",
        "videos_failed",
        "frames",
    ];
    assert_eq!(
        counts.map(|name| run[name].as_u64()),
        [1, 0, 0, 1, 30].map(Some)
    );
    let cores = std::thread::available_parallelism().expect("cores").get() as u64;
    assert_eq!(run["cores"], cores);
    let meminfo = fs::read_to_string("/proc/meminfo").expect("memory");
    let total_kib: u64 = meminfo
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("KiB");
    assert!(
        run["memory_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0 && bytes <= total_kib * 1024)
    );
    let peak = run["peak_memory_bytes"].as_u64().expect("a peak");
    assert!(peak > 10 << 20 && peak < total_kib * 1024, "{peak}");
    let elapsed = run["elapsed_secs"].as_f64().expect("seconds");
    let stages: Value = serde_json::from_str(run["stages"].as_str().expect("JSON")).expect("JSON");
    let decode = stages["decode_secs"].as_f64().expect("seconds");
    assert!(0.0 < decode && decode < elapsed, "{decode} of {elapsed}");
    let errors: Value = serde_json::from_str(run["errors"].as_str().expect("JSON")).expect("JSON");
    assert_eq!(errors[0]["path"], "text.mp4");
    assert!(
        errors[0]["message"]
            .as_str()
            .is_some_and(|m| m.contains("not a video")),
        "{errors}"
    );
    let sport = rows(
        folder.path(),
        "select config->>'$.rows.sport' as sport from runs",
    );
    assert_eq!(sport[0]["sport"], "climbing");
    let age = rows(
        folder.path(),
        "select epoch(now()::timestamp - started_at) as secs from runs",
    );
    let age = age[0]["secs"].as_f64().expect("seconds");
    assert!((0.0..600.0).contains(&age), "started {age} s ago");

    let report: Value =
        serde_json::from_slice(&fs::read(folder.path().join("run.json")).expect("a report"))
            .expect("JSON");
    for field in counts.iter().chain(&[
        "run_id",
        "command_line",
        "outcome",
        "posedata_version",
        "elapsed_secs",
    ]) {
        assert_eq!(report[*field], run[*field], "{field}");
    }
    assert_eq!(report["host"]["cpu"], run["cpu"]);
    assert_eq!(report["stages"], stages);
    assert_eq!(report["videos"][0]["frame_count"], 30);
    assert_eq!(report["errors"], errors);
    let started = report["started_at"].as_str().expect("a time");
    let in_lake = run["started_at"]
        .as_str()
        .expect("a time")
        .replace(' ', "T");
    assert!(
        started.starts_with(&in_lake[..19]) && started.ends_with('Z'),
        "{started} {in_lake}"
    );
}

#[test]
fn a_run_that_finds_nothing_to_do_leaves_the_lake_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    assert!(
        posedata(folder.path(), &["ingest", "wall.mp4"])
            .status
            .success()
    );
    let lake = posedata::lake::LakePaths::new(folder.path().join("lake"));
    // The row is in the catalog; a file for it would be one more to look after.
    assert_eq!(parquet_files(&lake).len(), 1);
    let before = snapshots(folder.path());
    let again = posedata(
        folder.path(),
        &["ingest", "wall.mp4", "--report", "again.json"],
    );
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(snapshots(folder.path()), before);
    assert_eq!(rows(folder.path(), "from runs").len(), 1);
    let report =
        fs::read_to_string(folder.path().join("again.json")).expect("a report all the same");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (&report["outcome"], &report["videos_skipped"]),
        (&"ok".into(), &1.into())
    );

    let forced = posedata(folder.path(), &["ingest", "wall.mp4", "--force"]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    let runs = rows(
        folder.path(),
        "select run_id, videos_replaced from runs order by run_id",
    );
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[1]["videos_replaced"], 1);
}

#[test]
fn models_that_cannot_be_loaded_are_in_the_history_of_a_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    assert!(
        posedata(folder.path(), &["ingest", "wall.mp4"])
            .status
            .success()
    );
    clip(folder.path(), "sky.mp4", "blue");
    let output = command(folder.path())
        .env("ORT_DYLIB_PATH", "missing.so")
        .args(["ingest", "sky.mp4", "--report", "run.json"])
        .args(["--provider", "cpu"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let runs = rows(
        folder.path(),
        "select errors from runs where outcome = 'failed'",
    );
    assert_eq!(runs.len(), 1);
    assert!(
        runs[0]["errors"]
            .as_str()
            .is_some_and(|e| e.contains("missing.so")),
        "{runs:?}"
    );
    let report = fs::read_to_string(folder.path().join("run.json")).expect("a report");
    assert!(report.contains("\"outcome\": \"failed\""), "{report}");
}

#[test]
fn a_history_that_takes_no_row_fails_no_ingest() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    assert!(
        posedata(folder.path(), &["ingest", "wall.mp4"])
            .status
            .success()
    );
    let lake = LakePaths::new(folder.path().join("lake"));
    with_catalog(&lake, "ALTER TABLE lake.runs RENAME COLUMN stages TO steps");
    clip(folder.path(), "sky.mp4", "blue");
    let output = posedata(folder.path(), &["ingest", "sky.mp4"]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("note: the run is not in the lake's history"),
        "{told}"
    );
    let count = rows(folder.path(), "select count(*) as n from videos");
    assert_eq!(count[0]["n"], 2);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_work() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    for report in [".", "no/such/folder.json"] {
        let output = posedata(folder.path(), &["ingest", "wall.mp4", "--report", report]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("the report file"),
            "{}",
            stderr(&output)
        );
        assert!(!folder.path().join("lake").exists());
    }
}
