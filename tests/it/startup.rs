//! What the program loads before it knows what it is to do.

use std::process::Command;

use crate::support::{command, posedata, stderr, stdout};

/// FFmpeg and what it needs come to 160 libraries, OpenCV's codecs of stills to 120 more.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn what_only_videos_need_is_not_loaded_at_the_start() {
    let output = Command::new(env!("CARGO_BIN_EXE_posedata"))
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()
        .expect("the program starts");
    let loaded = stdout(&output);
    assert!(loaded.contains("libduckdb.so"), "{loaded}");
    for library in [
        "libavformat",
        "libavcodec",
        "libavutil",
        "libavfilter",
        "libswscale",
        "imgcodecs",
    ] {
        assert!(!loaded.contains(library), "{loaded}");
    }
    let count = loaded.lines().count();
    assert!(count < 40, "{count} libraries: {loaded}");
}

#[test]
fn a_provider_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "wall.mp4", "gray");
    let output = posedata(folder.path(), &["ingest", "wall.mp4", "--provider", "cuda"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("cuda") && told.contains("ORT_DYLIB_PATH") && told.contains("--provider cpu"),
        "{told}"
    );
    assert!(!folder.path().join("lake/catalog.ducklake").exists());
}

/// ONNX Runtime would, from version 1.29 on, and keep what it sends in the user's folder until then.
#[test]
fn nobody_is_told_that_the_program_was_used() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "wall.mp4", "gray");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("a folder");
    let output = command(folder.path())
        .args(["ingest", "wall.mp4", "--no-video"])
        .env("HOME", &home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("ORT_DISABLE_TELEMETRY")
        // It keeps quiet on machines that test programs.
        .env_remove("CI")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let left: Vec<_> = walkdir::WalkDir::new(&home)
        .min_depth(1)
        .into_iter()
        .map(|entry| entry.expect("readable").into_path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
