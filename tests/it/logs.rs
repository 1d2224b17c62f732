//! Standard error: lines for people, or JSON throughout.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::lake::{clip, fixture};
use crate::support::{command, posedata, stderr, stdout};

/// The events on standard error, each of which has to be one line of JSON.
fn events(output: &Output) -> Vec<Value> {
    events_of(&stderr(output))
}

fn events_of(text: &str) -> Vec<Value> {
    let event = |line: &str| -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event[field].is_string(), "{field} is missing: {line}");
        }
        event
    };
    text.lines().map(event).collect()
}

fn event<'a>(events: &'a [Value], message: &str) -> &'a Value {
    let found = events.iter().find(|event| event["message"] == message);
    found.unwrap_or_else(|| panic!("no event '{message}': {events:#?}"))
}

fn ingest(folder: &Path, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["ingest"].iter().chain(arguments).copied().collect();
    posedata(folder, &arguments)
}

#[test]
fn a_good_run_in_json_tells_each_video_with_its_stages() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    let output = ingest(
        folder.path(),
        &["wall.mp4", "--log-format", "json", "--json"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let told = events(&output);
    let started = event(&told, "ingest started");
    assert_eq!(started["workers"].as_u64().map(|n| n > 0), Some(true));
    assert!(
        started["config"]
            .as_str()
            .expect("JSON")
            .contains("\"pose_model\":\"full\"")
    );
    assert_eq!(event(&told, "video started")["path"], "wall.mp4");
    let finished = event(&told, "video finished");
    assert_eq!(finished["frames"], 30);
    assert_eq!(finished["level"], "INFO");
    for stage in [
        "decode_secs",
        "landmark_model_secs",
        "write_secs",
        "commit_secs",
    ] {
        assert!(
            finished[stage].as_f64().is_some_and(|secs| secs >= 0.0),
            "{stage}: {finished}"
        );
    }
    assert!(finished["decode_secs"].as_f64().expect("seconds") > 0.0);
    let ended = event(&told, "ingest finished");
    assert_eq!(
        (&ended["ingested"], &ended["frames"]),
        (&1.into(), &30.into())
    );
    // Standard output still has data only.
    let summary: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(summary["videos"][0]["frame_count"], 30);

    let again = ingest(folder.path(), &["wall.mp4", "--log-format", "json"]);
    assert_eq!(event(&events(&again), "video skipped")["path"], "wall.mp4");
    let quiet = ingest(
        folder.path(),
        &["wall.mp4", "--log-format", "json", "--quiet"],
    );
    assert_eq!(stderr(&quiet), "");
}

#[test]
fn a_bad_video_in_json_is_an_event_of_level_error() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    fs::write(folder.path().join("text.mp4"), "no video").expect("a file");
    let output = ingest(
        folder.path(),
        &["wall.mp4", "text.mp4", "--log-format", "json"],
    );
    assert_eq!(output.status.code(), Some(2));
    let told = events(&output);
    let failed = event(&told, "video failed");
    assert_eq!(
        (&failed["level"], &failed["path"]),
        (&"ERROR".into(), &"text.mp4".into())
    );
    assert!(
        failed["error"]
            .as_str()
            .expect("a text")
            .contains("not a video"),
        "{failed}"
    );
    assert_eq!(event(&told, "ingest finished")["failed"], 1);
}

#[test]
fn a_fatal_error_in_json_is_the_last_event() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["query", "-e", "select 1"][..],
        &["ingest", "."],
        &["lake", "info"],
        &["plot", "-e", "select 1", "--out", "p.gif"],
        &["models", "path", "enormous"],
    ] {
        let arguments = [arguments, &["--log-format", "json"]].concat();
        let output = posedata(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = events(&output);
        let last = told.last().expect("an event");
        assert_eq!(last["level"], "ERROR", "{arguments:?}");
        assert!(
            last["error"].as_str().is_some_and(|e| !e.is_empty()),
            "{last}"
        );
    }
}

#[test]
fn queries_tell_their_rows_and_time() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let query = [
        "query",
        "-e",
        "from metrics",
        "--format",
        "csv",
        "--log-format",
        "json",
    ];
    let output = posedata(folder.path(), &query);
    let told = events(&output);
    let finished = event(&told, "query finished");
    assert_eq!(finished["rows"], 30);
    assert!(finished["secs"].as_f64().expect("seconds") > 0.0);
    assert_eq!(stdout(&output).lines().count(), 31);
}

#[test]
fn for_people_nothing_changes_and_a_file_takes_the_events() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    fs::write(folder.path().join("text.mp4"), "no video").expect("a file");
    let videos = ["wall.mp4", "text.mp4", "--workers", "1"];
    let output = ingest(
        folder.path(),
        &[&videos[..], &["--log-file", "run.log"]].concat(),
    );
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "wall.mp4: 30 frames, 0 with a pose");
    assert!(
        lines[1].starts_with("error: ") && lines[1].ends_with(": text.mp4"),
        "{told}"
    );
    assert!(
        lines[2].starts_with("2 videos: 1 ingested, 1 failed; 30 frames in "),
        "{told}"
    );
    assert!(lines[3].starts_with("memory: "), "{told}");
    assert_eq!(lines.len(), 4, "{told}");
    let log = fs::read_to_string(folder.path().join("run.log")).expect("a log");
    for part in [
        "INFO",
        "ERROR",
        "video finished",
        "video failed",
        "frames=30",
        "text.mp4",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains('\x1b'), "a file has no colours");

    // Events between the lines for those who ask; nothing is told twice.
    let output = ingest(
        folder.path(),
        &[&videos[..], &["--log-level", "debug"]].concat(),
    );
    let told = stderr(&output);
    assert!(told.contains("video skipped"), "{told}");
    assert_eq!(told.matches("not a video").count(), 1, "{told}");
}

#[test]
fn a_log_file_in_json_is_appended_to() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let query = [
        "query",
        "-e",
        "select 1",
        "--log-file",
        "run.jsonl",
        "--log-format",
        "json",
        "-q",
    ];
    for arguments in [&query[..], &query[..query.len() - 1]] {
        assert!(posedata(folder.path(), arguments).status.success());
    }
    let log = fs::read_to_string(folder.path().join("run.jsonl")).expect("a log");
    // The quiet one logs errors only, and there was none.
    let told = events_of(&log);
    assert_eq!(
        told.iter()
            .filter(|e| e["message"] == "query finished")
            .count(),
        1
    );
    let nowhere = [
        "query",
        "-e",
        "select 1",
        "--log-file",
        "no/such/folder.log",
    ];
    let output = posedata(folder.path(), &nowhere);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot open the log file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nothing_from_the_environment_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    let output = command(folder.path())
        .env("OPENAI_API_KEY", "sk-s3cret")
        .env("ANTHROPIC_API_KEY", "sk-s3cret")
        .args([
            "ingest",
            "wall.mp4",
            "--log-format",
            "json",
            "--log-level",
            "trace",
        ])
        .args(["--report", "run.json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(events(&output).len() > 3);
    let report = fs::read_to_string(folder.path().join("run.json")).expect("a report");
    let runs = posedata(
        folder.path(),
        &["query", "-e", "from runs", "--format", "jsonl"],
    );
    for text in [stderr(&output), report, stdout(&runs)] {
        assert!(!text.is_empty() && !text.contains("s3cret"), "{text}");
    }
}
