//! The program on the real clips, with the real models.

use std::path::Path;

use crate::support::{command, installed, posedata, stderr, stdout};

fn value(folder: &Path, sql: &str) -> String {
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    stdout(&output)
        .lines()
        .nth(1)
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_demo_video_goes_into_the_lake_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = installed("demo");
    let demo = demo.to_str().expect("a path");
    let output = posedata(
        folder.path(),
        &["ingest", demo, "--sport-type", "Running", "--json"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(summary["videos"][0]["outcome"], "ingested");
    assert_eq!(summary["videos"][0]["frame_count"], 230);

    let sql = "select sport, width_px, height_px, round(fps, 3), frame_count, pose_frame_count, round(duration_secs, 3), pose_model from videos";
    assert_eq!(
        value(folder.path(), sql),
        "running,1768,994,30.0,230,222,7.667,full"
    );
    let sql = "select count(*), count(distinct frame), count(distinct landmark) from landmarks";
    assert_eq!(value(folder.path(), sql), "7326,222,33");
    assert_eq!(
        value(
            folder.path(),
            "select count(*), min(frame), max(frame) from metrics"
        ),
        "230,0,229"
    );
    // The old pipeline's JSON took 2,900 bytes per frame; the lake may take a fifth.
    let sql = "select sum(file_size_bytes) / 230 < 580 from ducklake_table_info('lake')";
    assert_eq!(value(folder.path(), sql), "true");

    let again = posedata(folder.path(), &["ingest", demo, "--sport-type", "running"]);
    assert!(
        stderr(&again).contains("nothing to do"),
        "{}",
        stderr(&again)
    );
    let forced = posedata(
        folder.path(),
        &[
            "ingest",
            demo,
            "--sport-type",
            "running",
            "--force",
            "--no-video",
        ],
    );
    assert!(
        stderr(&forced).contains("1 replaced"),
        "{}",
        stderr(&forced)
    );
    assert_eq!(
        value(folder.path(), "select count(*) from landmarks"),
        "7326"
    );
}

#[test]
fn several_videos_are_ingested_side_by_side_with_the_same_rows_as_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let clips = ["single_cam01", "single_cam02"].map(installed);
    let clips = clips.each_ref().map(|c| c.to_str().expect("a path"));
    let output = posedata(
        folder.path(),
        &["ingest", clips[0], clips[1], "--lake", "both"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    for clip in clips {
        let output = posedata(
            folder.path(),
            &[
                "ingest",
                clip,
                "--lake",
                "alone",
                "--workers",
                "1",
                "--no-video",
            ],
        );
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let rows = |lake: &str| {
        let sql = "select video_id, frame, landmark_index, time_secs, x, y, z, visibility, presence, world_x_m, world_y_m, world_z_m from landmarks order by all";
        let output = posedata(
            folder.path(),
            &["query", "-e", sql, "--format", "csv", "--lake", lake],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let both = rows("both");
    assert_eq!(both.lines().count(), 1 + 2 * 100 * 33);
    assert!(
        both == rows("alone"),
        "rows depend on how many videos are in work"
    );
}

#[test]
fn a_video_without_a_person_is_committed_with_zero_poses() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "wall.mp4", "gray");
    let output = posedata(folder.path(), &["ingest", "wall.mp4"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let sql = "select frame_count, pose_frame_count from videos";
    assert_eq!(value(folder.path(), sql), "30,0");
    assert_eq!(value(folder.path(), "select count(*) from landmarks"), "0");
    let sql = "select count(*), count(mean_visibility), any_value(quality) from metrics";
    assert_eq!(value(folder.path(), sql), "30,0,no_pose");
}

#[test]
fn several_processes_on_one_folder_commit_each_video_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let videos = folder.path().join("videos");
    std::fs::create_dir(&videos).expect("a folder");
    for tint in ["red", "green", "blue", "gray"] {
        crate::lake::clip(&videos, &format!("{tint}.mp4"), tint);
    }
    let start = || {
        let mut command = command(folder.path());
        command
            .args(["ingest", "videos"])
            .stderr(std::process::Stdio::piped());
        command.spawn().expect("the program starts")
    };
    let processes = [start(), start(), start()];
    for process in processes {
        let output = process.wait_with_output().expect("an end");
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let sql = "select count(*), count(distinct video_id) from videos";
    assert_eq!(value(folder.path(), sql), "4,4");
    assert_eq!(value(folder.path(), "select count(*) from metrics"), "120");
    let lake = posedata::lake::LakePaths::new(folder.path().join("lake"));
    assert_eq!(
        crate::lake::parquet_files(&lake).len(),
        4,
        "no file is left over"
    );
}

#[test]
fn without_models_the_error_says_how_to_get_them() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "wall.mp4", "gray");
    let output = command(folder.path())
        .args(["ingest", "wall.mp4", "--models", "no models"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("make setup"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_interrupt_keeps_what_is_finished_and_leaves_no_half_video() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "a.mp4", "gray");
    crate::signals::long_clip(&folder.path().join("b.mp4"));
    let mut child = command(folder.path())
        .args(["ingest", "a.mp4", "b.mp4", "--workers", "1"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The first line on standard error says that a.mp4 is committed.
    let mut told = std::io::BufReader::new(child.stderr.take().expect("standard error"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).expect("a line");
    assert!(line.starts_with("a.mp4: 30 frames"), "{line}");
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill").success());
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut told, &mut rest).expect("the rest");
    let status = child.wait().expect("an end");
    assert_eq!(status.code(), Some(130), "{rest}");
    assert_eq!(
        value(folder.path(), "select string_agg(file_name) from videos"),
        "a.mp4"
    );
    let sql = "select outcome, videos_ingested from runs";
    assert_eq!(value(folder.path(), sql), "interrupted,1");
    let lake = posedata::lake::LakePaths::new(folder.path().join("lake"));
    assert_eq!(
        crate::lake::parquet_files(&lake).len(),
        1,
        "only a.mp4's metrics"
    );
}
