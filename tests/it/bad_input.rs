//! Bad input: an error that names the file, the others go on, nothing is half-written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use posedata::ingest::{IngestSummary, VideoOutcome};
use posedata::lake::LakePaths;

use crate::lake::{CLIP_FRAMES, clip, config, ingest, open_lake, parquet_files};
use crate::support::{command, make_clip, posedata, stderr, stdout};

fn error_of(summary: &IngestSummary, name: &str) -> String {
    let report = summary.videos.iter().find(|v| v.path.ends_with(name));
    let report = report.unwrap_or_else(|| panic!("{name} is not in the report"));
    match &report.outcome {
        VideoOutcome::Failed { error, .. } => error.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

fn cut(path: &Path, percent: u64) {
    let file = fs::OpenOptions::new()
        .write(true)
        .open(path)
        .expect("a file");
    let length = file.metadata().expect("a length").len();
    file.set_len(length * percent / 100)
        .expect("a shorter file");
}

#[test]
fn programs_with_the_suffix_of_videos_are_passed_over_unless_they_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let project = folder.join("project");
    fs::create_dir(&project).expect("a folder");
    let test_picture = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=30:duration=1",
    ];
    make_clip(&project.join("camera.ts"), &test_picture);
    let code = "import { pose } from './pose.mjs';\n".repeat(200);
    for name in ["app.ts", "module.mts"] {
        fs::write(project.join(name), &code).expect("a file");
    }
    let output = posedata(folder, &["ingest", "project"]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("1 video: 1 ingested") && !told.contains("app.ts"),
        "{told}"
    );
    let output = posedata(folder, &["ingest", "project/app.ts"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("not a video") && told.contains("app.ts"),
        "{told}"
    );
}

#[test]
fn names_that_are_no_utf_8_are_told_in_every_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let videos = folder.join("videos");
    fs::create_dir(&videos).expect("a folder");
    let name = OsStr::from_bytes(b"caf\xe9.mp4");
    fs::write(videos.join(name), "no video").expect("a file");
    let output = posedata(folder, &["list", "videos", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("caf\u{fffd}.mp4"),
        "{}",
        stdout(&output)
    );
    let report = ["ingest", "videos", "--json", "--report", "report.json"];
    let output = (command(folder).args(report))
        .arg("--output")
        .arg(OsStr::from_bytes(b"out\xff"))
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let written = fs::read_to_string(folder.join("report.json")).expect("a report");
    for text in [stdout(&output), written] {
        assert!(text.contains("videos/caf\u{fffd}.mp4"), "{text}");
    }
    let errors = posedata(folder, &["query", "-e", "SELECT errors FROM runs"]);
    assert!(stdout(&errors).contains("caf"), "{}", stdout(&errors));
}

#[test]
fn each_bad_file_is_named_and_the_good_ones_are_ingested() {
    let folder = tempfile::tempdir().expect("a folder");
    let videos = folder.path().join("videos");
    fs::create_dir(&videos).expect("a folder");
    clip(&videos, "good one.mp4", "red");
    clip(&videos, "it's \"quoted\" é 人.mp4", "green");
    fs::write(videos.join("text.mp4"), "this is no video").expect("a file");
    fs::write(videos.join("empty.mov"), "").expect("a file");
    fs::create_dir(videos.join("folder.mp4")).expect("a folder");
    let fifo = videos.join("pipe.mp4");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .expect("mkfifo")
            .success()
    );
    let tone = ["-f", "lavfi", "-i", "sine=duration=1"];
    make_clip(&videos.join("sound only.mp4"), &tone);
    let test_picture = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=30:duration=2",
    ];
    let index_first = [&test_picture[..], &["-movflags", "+faststart"]].concat();
    make_clip(&videos.join("cut.mp4"), &index_first);
    cut(&videos.join("cut.mp4"), 60);
    make_clip(&videos.join("cut.mkv"), &test_picture);
    cut(&videos.join("cut.mkv"), 60);
    make_clip(&videos.join("index lost.mp4"), &test_picture);
    cut(&videos.join("index lost.mp4"), 60);

    let lake = LakePaths::new(folder.path().join("lake"));
    let mut config = config(vec![videos.clone(), "/nowhere/at all.mp4".into()], &lake);
    config.rows.sport = "mixed".into();
    let summary = ingest(&config).expect("a summary");

    assert_eq!(summary.count(|o| matches!(o, VideoOutcome::Ingested)), 2);
    let check = |name: &str, expected: &str| {
        let error = error_of(&summary, name);
        assert!(error.contains(expected), "{name}: {error}");
        assert!(error.ends_with(name), "the path comes last: {error}");
    };
    check("text.mp4", "not a video");
    check("empty.mov", "empty");
    check("folder.mp4", "a folder");
    check("pipe.mp4", "a named pipe");
    check("sound only.mp4", "no video stream");
    check("cut.mp4", "of about 60 frames");
    check("cut.mkv", "cut off");
    check("index lost.mp4", "cut off");
    check("at all.mp4", "No such file");
    let info = open_lake(&lake)
        .and_then(|lake| lake.info())
        .expect("a lake");
    let metrics = info
        .tables
        .iter()
        .find(|t| t.table == "metrics")
        .expect("a table");
    assert_eq!(metrics.rows, 2 * CLIP_FRAMES);
    assert_eq!(
        parquet_files(&lake).len(),
        4,
        "no file of a failed video is left"
    );
}

#[test]
fn unreadable_files_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = clip(folder.path(), "secret.mp4", "red");
    fs::set_permissions(&clip, fs::Permissions::from_mode(0o000)).expect("permissions");
    if fs::File::open(&clip).is_ok() {
        // The superuser reads everything; a file that vanishes between the look into the folder
        // and the reading fails the same way.
        fs::remove_file(&clip).expect("a removal");
        std::os::unix::fs::symlink("gone.mp4", &clip).expect("a link");
    }
    let lake = LakePaths::new(folder.path().join("lake"));
    let summary = ingest(&config(vec![clip], &lake)).expect("a summary");
    let error = error_of(&summary, "secret.mp4");
    assert!(error.contains("cannot read the file"), "{error}");
}

#[test]
fn a_full_disk_fails_the_video_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    clip(folder.path(), "red.mp4", "red");
    // The lake is made before the disk is full.
    let made = posedata(folder.path(), &["ingest", "red.mp4"]);
    assert!(made.status.success(), "{}", stderr(&made));
    clip(folder.path(), "blue.mp4", "blue");
    // A limit on the size of files stands in for the full disk: writes fail in the same place.
    let program = command(folder.path());
    let output = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 0; exec \"$@\" 2>&1")
        .args([
            "sh",
            program.get_program().to_str().expect("a path"),
            "ingest",
            "blue.mp4",
        ])
        .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("cannot write"), "{told}");
    let paths = LakePaths::new(lake);
    let files = parquet_files(&paths);
    assert!(
        files
            .iter()
            .all(|f| f.extension().is_some_and(|e| e == "parquet")),
        "{files:?}"
    );
    let again = posedata(folder.path(), &["ingest", "blue.mp4"]);
    assert!(again.status.success(), "{}", stderr(&again));
}

#[test]
fn exit_codes_are_as_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = |arguments: &[&str]| posedata(folder.path(), arguments).status.code();
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["ingest"]), Some(1), "no input");
    assert_eq!(code(&["ingest", "x.mp4", "--pose-model", "huge"]), Some(1));
    assert_eq!(
        code(&["ingest", "x.mp4", "--min-detection-confidence", "2"]),
        Some(1)
    );
    assert_eq!(code(&["ingest", "x.mp4", "--sport-type", "../up"]), Some(1));
    assert_eq!(code(&["ingest", "missing.mp4"]), Some(2));
    fs::create_dir(folder.path().join("nothing")).expect("a folder");
    assert_eq!(
        code(&["ingest", "nothing"]),
        Some(1),
        "no video in the folder"
    );
    assert_eq!(code(&["completions", "bash"]), Some(0));
}

#[test]
fn an_address_is_never_taken_for_a_folder_s_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["ingest", "a.mp4", "--output", "gs://clips/drawn/"][..],
        &["ingest", "a.mp4", "--output", "https://example.org/drawn/"],
        &["ingest", "a.mp4", "--report", "s3://clips/report.json"],
        &["ingest", "a.mp4", "--analysis-model", "s3://clips/m.onnx"],
        &["ingest", "a.mp4", "--lake", "s3://clips/lake"],
        &["ingest", "a.mp4", "--lake", "gs://clips/lake"],
        &["annotate", "--output", "gs://clips/drawn/"],
        &["export", "csv", "--output", "file:///tmp/exported"],
        &["query", "-e", "SELECT 1", "--output", "gs://clips/one.csv"],
        &["plot", "-e", "SELECT 1", "--output", "gs://clips/one.svg"],
        &["lake", "info", "--log-file", "s3://clips/log"],
        &["queries", "copy", "--to", "s3://clips/"],
        &[
            "dataset",
            "build",
            "--name",
            "x",
            "--llm-data",
            "s3://clips/",
        ],
        &["train", "--llm-models", "s3://clips/", "--dataset", "x"],
        &["models", "path", "demo", "--models", "s3://clips/"],
    ] {
        let output = posedata(folder.path(), arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        let says_what_to_give = ["a path", "a folder", "s3://BUCKET"];
        let is_told = says_what_to_give.iter().any(|words| told.contains(words));
        assert!(is_told, "{arguments:?}: {told}");
        let made = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(made, 0, "{arguments:?} made something");
    }
}
