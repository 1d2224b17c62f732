//! The memory budget, and rows that do not depend on how the work is divided.

use std::path::Path;

use crate::support::{installed, make_clip, posedata, stderr, stdout};

fn summary(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = posedata(folder, &[&["ingest", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// All landmarks of a lake as text.
fn landmarks(folder: &Path, lake: &str) -> String {
    let sql = "from landmarks order by all";
    let output = posedata(
        folder,
        &["query", "-e", sql, "--format", "csv", "--lake", lake],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// The first second of a real clip.
fn short_clip(path: &Path, clip: &str, size: &str) {
    let source = installed(clip);
    let source = source.to_str().expect("a path");
    let scale = format!("scale={size}");
    make_clip(
        path,
        &[
            "-i",
            source,
            "-frames:v",
            "12",
            "-vf",
            &scale,
            "-an",
            "-preset",
            "ultrafast",
        ],
    );
}

#[test]
fn landmarks_are_the_same_to_the_bit_however_the_work_is_divided() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, clip) in [("a.mp4", "single_cam01"), ("b.mp4", "single_cam02")] {
        short_clip(&folder.path().join(name), clip, "540:960");
    }
    let inputs = ["a.mp4", "b.mp4"];
    let ways: [(&str, &[&str]); 5] = [
        ("one", &["--workers", "1"]),
        ("two", &["--workers", "2", "--no-video"]),
        ("four", &["--workers", "4", "--batch-size", "3"]),
        (
            "batches",
            &["--workers", "1", "--batch-size", "64", "--no-video"],
        ),
        ("tight", &["--memory-limit", "420MiB"]),
    ];
    for (lake, options) in ways {
        summary(
            folder.path(),
            &[&inputs[..], options, &["--lake", lake]].concat(),
        );
    }
    let expected = landmarks(folder.path(), "one");
    assert!(expected.lines().count() > 33 * 20, "people were found");
    for (lake, _) in &ways[1..] {
        assert!(landmarks(folder.path(), lake) == expected, "{lake}");
    }
}

#[test]
fn a_4k_video_stays_inside_a_small_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    short_clip(&folder.path().join("4k.mp4"), "single_cam01", "2160:3840");
    let summary = summary(folder.path(), &["4k.mp4", "--memory-limit", "737MiB"]);
    let bytes = |name: &str| summary[name].as_u64().expect("bytes");
    assert_eq!(bytes("memory_budget_bytes"), 737 << 20);
    assert!(
        bytes("peak_memory_bytes") <= bytes("memory_budget_bytes"),
        "{summary:#}"
    );
    assert_eq!(summary["videos"][0]["frame_count"], 12);
}

#[test]
fn a_budget_that_is_too_small_says_how_much_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("8k.mp4");
    let source = "color=gray:size=7680x4320:rate=5:duration=0.4";
    make_clip(
        &clip,
        &["-f", "lavfi", "-i", source, "-preset", "ultrafast"],
    );
    let output = posedata(
        folder.path(),
        &["ingest", "8k.mp4", "--memory-limit", "600MiB"],
    );
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(
        message
            .contains("not one frame of 7680x4320 pixels fits into the memory budget of 600 MiB"),
        "{message}"
    );
    let needed: u64 = message
        .split_once("of 600 MiB: ")
        .and_then(|(_, rest)| rest.split_once(" MiB are needed"))
        .and_then(|(number, _)| number.parse().ok())
        .expect("a number of MiB");
    // With what the message asks for it goes, and stays inside.
    let limit = format!("{needed}MiB");
    let enough = summary(folder.path(), &["8k.mp4", "--memory-limit", &limit]);
    let peak = enough["peak_memory_bytes"].as_u64().expect("bytes");
    assert!(peak <= needed << 20, "{peak} bytes of {needed} MiB");

    let output = posedata(
        folder.path(),
        &["ingest", "8k.mp4", "--memory-limit", "100MiB"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("raise --memory-limit"),
        "{}",
        stderr(&output)
    );
}
