//! Parts of videos: the frames that the whole video gives, wherever decoding begins, and what becomes
//! of them in the lake.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use posedata::media_time::{MediaPosition, MediaRange};
use posedata::video::{Frame, VideoError, VideoReader};

use crate::support::{installed, make_clip, posedata, stderr, stdout};

/// A frame's number and time, and a hash of its pixels.
type Seen = (u64, f64, blake3::Hash);

fn read(path: &Path, range: MediaRange) -> Result<Vec<Seen>, VideoError> {
    let mut reader = VideoReader::open(path)?.with_range(range);
    let mut frame = Frame::default();
    let mut seen = Vec::new();
    while reader.read(&mut frame)? {
        let view = frame.view().expect("pixels");
        seen.push((frame.index, frame.time.as_secs(), blake3::hash(view.data())));
    }
    Ok(seen)
}

fn range(from: &str, to: &str) -> MediaRange {
    let place = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a place"));
    MediaRange {
        from: place(from),
        to: place(to),
    }
}

/// Eight seconds of a picture that moves, as codecs and containers have it.
fn clips(folder: &Path) -> Vec<PathBuf> {
    let source = "testsrc2=size=96x64:rate=25:duration=8";
    let x264 = |extra: &'static [&'static str]| [&["-c:v", "libx264", "-g", "12"], extra].concat();
    let kinds: [(&str, Vec<&str>); 9] = [
        ("reordered.mp4", x264(&["-bf", "3"])),
        (
            "open.mp4",
            x264(&["-bf", "3", "-x264-params", "open-gop=1"]),
        ),
        (
            "refreshed.mp4",
            x264(&["-bf", "0", "-x264-params", "intra-refresh=1"]),
        ),
        ("reordered.mkv", x264(&["-bf", "3"])),
        ("reordered.ts", x264(&["-bf", "3"])),
        ("late.mp4", x264(&["-bf", "3", "-output_ts_offset", "3.2"])),
        (
            "h265.mp4",
            vec![
                "-c:v",
                "libx265",
                "-x265-params",
                "keyint=12:open-gop=1:log-level=none",
            ],
        ),
        (
            "vp9.webm",
            vec![
                "-c:v",
                "libvpx-vp9",
                "-g",
                "12",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
            ],
        ),
        ("pictures.avi", vec!["-c:v", "mjpeg"]),
    ];
    let make = |(name, arguments): (&str, Vec<&str>)| {
        let path = folder.join(name);
        make_clip(
            &path,
            &[&["-f", "lavfi", "-i", source], &arguments[..]].concat(),
        );
        path
    };
    kinds.into_iter().map(make).collect()
}

#[test]
fn a_part_has_the_frames_that_the_whole_video_has_there() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in clips(folder.path()) {
        let name = path.display();
        let whole = read(&path, MediaRange::WHOLE).expect("a video");
        assert_eq!(whole.len(), 200, "{name}");
        for (from, to) in [
            ("", "2"),
            ("0.5", "1.5"),
            ("3", "3.44"),
            ("5.3", ""),
            ("97f", "131f"),
            ("199f", ""),
            ("4.8", "140f"),
        ] {
            let range = range(from, to);
            let is_in = |(index, secs, _): &&Seen| {
                let is_past = |place: Option<MediaPosition>| {
                    place.map(|place| match place {
                        MediaPosition::Secs(wanted) => *secs > wanted - 1e-6,
                        MediaPosition::Frame(wanted) => *index >= wanted,
                    })
                };
                is_past(range.from).unwrap_or(true) && !is_past(range.to).unwrap_or(false)
            };
            let expected: Vec<Seen> = whole.iter().filter(is_in).copied().collect();
            assert!(!expected.is_empty());
            let part = read(&path, range).expect("a part");
            assert!(part == expected, "{name}: --from '{from}' --to '{to}'");
        }
    }
}

#[test]
fn a_part_without_frames_is_an_error_that_says_where_the_video_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = &clips(folder.path())[0];
    let error = |from: &str, to: &str| {
        let error = read(path, range(from, to)).expect_err("no frames");
        error.to_string()
    };
    let late = error("9", "");
    assert!(
        late.contains("--from 9") && late.contains("199f, at 7.960 s"),
        "{late}"
    );
    assert!(error("200f", "").contains("--from 200f"));
    let empty = error("4", "100f");
    assert!(
        empty.contains("--from 4") && empty.contains("--to 100f"),
        "{empty}"
    );
    assert!(error("1.001", "1.03").contains("--to 1.03"));
}

/// The first line of a query's result, without its header.
fn value(folder: &Path, sql: &str) -> String {
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    stdout(&output)
        .lines()
        .skip(1)
        .collect::<Vec<_>>()
        .join("\n")
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = posedata(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stderr(&output)
}

#[test]
fn a_part_in_the_lake_keeps_the_files_frames_and_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::copy(installed("single_cam01"), folder.join("run.mp4")).expect("a copy");
    let ingest = |more: &[&str]| succeeds(folder, &[&["ingest", "run.mp4"], more].concat());
    ingest(&["--from", "30f", "--to", "60f"]);
    let facts = "select any_value(first_frame), any_value(range_from), any_value(range_to),
        any_value(frame_count), min(frame), max(frame), count(*), abs(any_value(duration_secs)
            - (max(time_secs) - min(time_secs)) - 1 / any_value(fps)) < 1e-3
        from videos join metrics using (video_id)";
    assert_eq!(value(folder, facts), "30,30f,60f,30,30,59,30,true");
    let times = value(folder, "select min(time_secs), max(time_secs) from metrics");
    succeeds(folder, &["lake", "check"]);

    // The same part is there; in other words it is another order, with the same rows.
    assert!(ingest(&["--from", "30f", "--to", "60f"]).contains("nothing to do"));
    let (from, to) = times.split_once(',').expect("two times");
    let to = (to.parse::<f64>().expect("a time") + 1e-3).to_string();
    assert!(ingest(&["--from", from, "--to", &to]).contains("1 replaced"));
    assert_eq!(
        value(folder, "select min(frame), max(frame) from metrics"),
        "30,59"
    );

    // What is made of the rows again.
    let csv = folder.join("csv");
    succeeds(folder, &["export", "csv", "--output", "csv"]);
    let table = fs::read_to_string(csv.join("run.csv")).expect("a table");
    let first = table.lines().nth(1).expect("a row");
    assert!(first.starts_with("30,"), "{first}");
    assert_eq!(table.lines().count(), 1 + 30);
    frames_of_other_programs_are_the_files(folder);
    fs::remove_file(folder.join("output/annotated_run.mp4")).expect("an annotated video");
    succeeds(folder, &["annotate"]);
    let annotated = read(&folder.join("output/annotated_run.mp4"), MediaRange::WHOLE);
    let annotated = annotated.expect("a video");
    assert_eq!((annotated.len(), annotated[0].1), (30, 0.0));
    succeeds(
        folder,
        &["contact-sheet", "run.mp4", "--output", "sheet.jpg"],
    );
    succeeds(folder, &["metrics", "recompute", "--cutoff", "6"]);
    let filtered = "select min(frame), max(frame), count(*) from metrics_filtered";
    assert_eq!(value(folder, filtered), "30,59,30");
    let elsewhere = "select (select count(*) from events where frame not between 30 and 59)
        + (select count(*) from cycles where start_frame < 30 or end_frame > 59)";
    assert_eq!(value(folder, elsewhere), "0");

    // The whole video replaces its part.
    assert!(ingest(&[]).contains("1 replaced"));
    let facts =
        "select first_frame, range_from is null and range_to is null, frame_count from videos";
    assert_eq!(value(folder, facts), "0,true,100");
}

/// Of a part with the frames 30 to 59.
fn frames_of_other_programs_are_the_files(folder: &Path) {
    for format in ["trc", "c3d", "openpose", "coco-keypoints"] {
        succeeds(folder, &["export", format, "--output", "other"]);
    }
    let file = |name: &str| fs::read(folder.join("other").join(name)).expect("a file");
    let trc = String::from_utf8(file("run.trc")).expect("a text");
    assert!(trc.lines().any(|line| line.starts_with("30\t")), "{trc}");
    // Frames count from 1 there; the numbers of the first and of the last one.
    assert_eq!(file("run.c3d")[6..10], [31, 0, 60, 0]);
    let people = fs::read_dir(folder.join("other/run_json")).expect("a folder");
    let mut people: Vec<_> = people.flatten().map(|entry| entry.file_name()).collect();
    people.sort();
    assert_eq!(people[0], "run_000000000030_keypoints.json");

    let coco: serde_json::Value = serde_json::from_slice(&file("run_coco.json")).expect("JSON");
    let all = |list: &str, name: &str| -> BTreeSet<u64> {
        let list = coco[list].as_array().expect("a list");
        list.iter().filter_map(|one| one[name].as_u64()).collect()
    };
    assert_eq!(all("images", "id"), (30..60).collect());
    assert_eq!(all("images", "frame"), (30..60).collect());
    assert!(all("annotations", "image_id").is_subset(&all("images", "id")));
    assert!(!all("annotations", "image_id").is_empty());
}

#[test]
fn a_part_does_not_depend_on_how_it_is_worked_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let clips = ["single_cam01", "single_cam02"].map(installed);
    let clips = clips.each_ref().map(|clip| clip.to_str().expect("a path"));
    let part = [
        "--from",
        "1.2",
        "--to",
        "1.9",
        "--no-video",
        "--no-pose-json",
    ];
    let rows = |lake: &str, more: &[&str]| {
        let order = [
            &["ingest", clips[0], clips[1], "--lake", lake],
            &part[..],
            more,
        ]
        .concat();
        succeeds(folder, &order);
        let sql = "select * exclude (sport) from landmarks order by all";
        let query = ["query", "-e", sql, "--format", "csv", "--lake", lake];
        let output = posedata(folder, &query);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let two = rows("two", &["--workers", "2"]);
    assert!(two.lines().count() > 33, "{two}");
    assert!(two == rows("one", &["--workers", "1", "--batch-size", "7"]));
}

#[test]
fn wrong_parts_are_refused_before_any_work_or_told_of_the_video() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    crate::lake::clip(folder, "wall.mp4", "gray");
    let refused = |arguments: &[&str], status: i32, words: &str| {
        let output = posedata(folder, &[&["ingest", "wall.mp4"], arguments].concat());
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(words), "{arguments:?}: {told}");
    };
    refused(
        &["--from", "2", "--to", "1"],
        1,
        "nothing is between --from 2 and --to 1",
    );
    refused(&["--from", "5f", "--to", "5f"], 1, "--to 5f");
    refused(&["--to", "0"], 1, "--to 0");
    refused(&["--from", "1:75"], 1, "1:02.5");
    refused(&["--from", "2"], 2, "29f, at 0.967 s");
    let told = succeeds(
        folder,
        &["ingest", "wall.mp4", "--from", "0.5", "--to", "3"],
    );
    assert!(told.contains("ends before --to 3"), "{told}");
    assert_eq!(
        value(folder, "select first_frame, frame_count from videos"),
        "15,15"
    );
}
