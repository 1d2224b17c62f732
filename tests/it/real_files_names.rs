//! Names that videos really have (long ones, odd ones), and texts as editors really write them.

use std::fs;
use std::path::{Path, PathBuf};

use posedata::ingest::{AnnotatedVideo, PoseJson};
use posedata::lake::LakePaths;

use crate::lake::{clip, config, ingest};
use crate::support::{make_clip, posedata, stderr, stdout};

/// What Linux's filesystems take (`NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;
/// A name of 250 bytes, as downloaders of videos make them of titles.
fn long_name() -> String {
    "\u{7DF4}".repeat(82) + ".mp4"
}
/// A newline, a tab, and a sequence that makes a terminal's text red.
const ODD_NAME: &str = "wa\nlk\ting\u{1b}[31m.mp4";

/// Ingests clips of these names with all outputs; gives the folder of these.
fn ingested(folder: &Path, names: &[&str]) -> (LakePaths, PathBuf) {
    let videos = folder.join("videos");
    fs::create_dir_all(&videos).expect("a folder");
    let tints = ["red", "green", "blue", "white", "black"];
    for (name, tint) in names.iter().zip(tints) {
        // FFmpeg takes a name apart at some of the characters.
        let plain = clip(folder, "plain.mp4", tint);
        fs::rename(plain, videos.join(name)).expect("a name");
    }
    let lake = LakePaths::new(folder.join("lake"));
    let mut config = config(vec![videos], &lake);
    config.outputs.folder = folder.join("output");
    config.outputs.annotated_video = AnnotatedVideo::On;
    config.outputs.pose_json = PoseJson::On;
    let summary = ingest(&config).expect("an ingest");
    let errors: Vec<_> = summary.videos.iter().map(|video| &video.outcome).collect();
    assert_eq!(summary.videos.len(), names.len(), "{errors:?}");
    (lake, folder.join("output"))
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|n| n.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn runs(folder: &Path, arguments: &[&str]) -> String {
    let output = posedata(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output) + &stderr(&output)
}

#[test]
fn videos_with_long_names_get_all_their_files_under_shorter_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let long = long_name();
    assert_eq!(long.len(), 250);
    let (_, output) = ingested(folder, &[&long]);
    for format in ["csv", "parquet", "trc", "mot", "pose-json"] {
        runs(folder, &["export", format]);
    }
    runs(
        folder,
        &[
            "contact-sheet",
            "\u{7DF4}\u{7DF4}",
            "--columns",
            "1",
            "--rows",
            "1",
        ],
    );
    runs(folder, &["annotate"]);
    let names = names_in(&output);
    for suffix in [
        ".csv",
        ".parquet",
        ".trc",
        ".mot",
        "_pose.json",
        "_sheet.png",
        ".mp4",
    ] {
        let found: Vec<&String> = names.iter().filter(|n| n.ends_with(suffix)).collect();
        assert_eq!(found.len(), 1, "{suffix}: {names:?}");
    }
    // Each has its name once: the annotated video and the pose file were replaced, not added.
    assert_eq!(names.len(), 7, "{names:?}");
    assert!(names.iter().all(|name| name.len() <= MAX_NAME_BYTES));
    let stem = names.iter().find_map(|name| name.strip_suffix(".csv"));
    let stem = stem.expect("a table");
    let (beginning, id) = stem.rsplit_once('-').expect("an id");
    assert!(beginning.chars().all(|c| c == '\u{7DF4}'), "{stem}");
    assert!(
        id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{stem}"
    );
}

#[test]
fn long_names_that_begin_alike_give_different_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["a", "b"].map(|end| "n".repeat(245) + end + ".mp4");
    let (_, output) = ingested(folder.path(), &[&names[0], &names[1]]);
    assert_eq!(names_in(&output).len(), 4);
}

#[test]
fn control_characters_reach_no_header_and_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (_, output) = ingested(folder, &[ODD_NAME]);
    let mut told = String::new();
    for format in ["csv", "trc", "mot", "pose-json"] {
        told += &runs(folder, &["export", format]);
    }
    told += &runs(folder, &["annotate"]);
    told += &runs(folder, &["export", "trc", "wa\nlk"]);
    told += &runs(
        folder,
        &["query", "-e", "select file_name, path from videos"],
    );
    told += &runs(folder, &["lake", "check"]);
    let unknown = posedata(folder, &["export", "csv", "\u{1b}]0;title\u{7}"]);
    assert_eq!(unknown.status.code(), Some(1));
    told += &stderr(&unknown);
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!told.contains(steers), "{told:?}");
    assert!(told.contains(r"wa\nlk\ting\u001b[31m.mp4"), "{told}");
    // The name's newline does not make a line of its own.
    assert!(!told.lines().any(|line| line.starts_with("lk")), "{told}");
    let names = names_in(&output);
    assert!(
        !names.iter().any(|name| name.contains(char::is_control)),
        "{names:?}"
    );
    let trc = names
        .iter()
        .find(|name| name.ends_with(".trc"))
        .expect("markers");
    let trc = fs::read_to_string(output.join(trc)).expect("a text");
    let lines: Vec<&str> = trc.lines().take(2).collect();
    // As OpenSim reads it: PathFileType, a version, (X/Y/Z), a name.
    assert_eq!(lines[0].split('\t').count(), 4, "{:?}", lines[0]);
    assert!(lines[1].starts_with("DataRate\t"), "{:?}", lines[1]);
    // What machines read has the name as it is.
    let json = runs(
        folder,
        &["query", "-e", "select file_name from videos", "--json"],
    );
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(rows[0]["file_name"], ODD_NAME);
    // XML 1.0, section 2.2: no control characters but tab and line ends.
    let sql = "select file_name || frame % 2 as file_name, time_secs, mean_visibility from metrics join videos using (video_id)";
    runs(folder, &["plot", "-e", sql, "--output", "plot.svg"]);
    let svg = fs::read_to_string(folder.join("plot.svg")).expect("a text");
    let is_illegal = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    assert!(!svg.contains(is_illegal));
}

#[test]
fn the_remedy_for_what_cannot_be_written_fits_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    ingested(folder, &["red.mp4"]);
    fs::write(folder.join("file"), "").expect("a file");
    let too_long = "n".repeat(300) + ".csv";
    let fails = |arguments: &[&str], words: &str| {
        let output = posedata(folder, arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        let told = stderr(&output);
        assert!(told.contains(words), "{arguments:?}: {told}");
        assert!(!told.contains("disk space"), "{arguments:?}: {told}");
    };
    let query = [
        "query",
        "-e",
        "select 1 as a",
        "--format",
        "csv",
        "--output",
    ];
    let with = |path| [&query[..], &[path]].concat();
    fails(&with(&too_long), "give a shorter name");
    fails(&with("file/rows.csv"), "a file is");
    fails(&["export", "csv", "--output", "file"], "file");
    let sheet = "n".repeat(300) + ".png";
    fails(
        &["contact-sheet", "red", "--output", &sheet],
        "give a shorter name",
    );
    let plot = "n".repeat(300) + ".svg";
    let sql = "select time_secs, mean_visibility from metrics";
    fails(
        &["plot", "-e", sql, "--output", &plot],
        "give a shorter name",
    );
    // A full disk is still called one.
    let full = posedata(
        folder,
        &[
            "query",
            "-e",
            "select 1 as a",
            "--format",
            "csv",
            "--output",
            "/dev/full/a",
        ],
    );
    assert_eq!(full.status.code(), Some(1));
}

#[test]
fn videos_are_found_by_names_without_suffix_and_by_beginnings() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    ingested(
        folder,
        &["demo.mp4", "demonstration.mp4", "Walk fast.mov", "jump"],
    );
    let exported = |video: &str| {
        let output = posedata(folder, &["export", "csv", video, "--json"]);
        match output.status.success() {
            true => {
                let files: serde_json::Value =
                    serde_json::from_str(&stdout(&output)).expect("JSON");
                let path = files[0]["path"].as_str().expect("a path").to_owned();
                Ok(path.trim_start_matches("output/").to_owned())
            }
            false => Err(stderr(&output)),
        }
    };
    for (video, file) in [
        ("demo.mp4", "demo.csv"),
        // A whole name wins over the beginning of a longer one.
        ("demo", "demo.csv"),
        ("demons", "demonstration.csv"),
        ("Walk", "Walk fast.csv"),
        ("walk fast", "Walk fast.csv"),
        ("jump", "jump.csv"),
        ("ju", "jump.csv"),
    ] {
        assert_eq!(exported(video).as_deref(), Ok(file), "{video}");
    }
    let ambiguous = exported("dem").expect_err("two videos");
    assert!(
        ambiguous.contains("demo.mp4") && ambiguous.contains("demonstration.mp4"),
        "{ambiguous}"
    );
    for (video, meant) in [
        ("dmeo.mp4", "did you mean demo.mp4?"),
        ("demo.avi", "did you mean demo.mp4?"),
        ("wlak fast", "did you mean Walk fast.mov?"),
        ("elsewhere/jmup", "did you mean jump?"),
    ] {
        let error = exported(video).expect_err("no video");
        assert!(error.contains(meant), "{video}: {error}");
    }
    let error = exported("zzzzzz").expect_err("no video");
    assert!(!error.contains("did you mean"), "{error}");
    assert!(exported("").is_err());
    // Every command asks the same way.
    runs(folder, &["annotate", "demons"]);
    runs(folder, &["metrics", "recompute", "demons"]);
    runs(folder, &["tag", "demons", "--subject", "anna"]);
    runs(
        folder,
        &["contact-sheet", "jum", "--columns", "1", "--rows", "1"],
    );
    runs(folder, &["remove", "demons"]);
    let rest = runs(
        folder,
        &[
            "query",
            "-e",
            "select count(*) as n from videos",
            "--format",
            "csv",
        ],
    );
    assert_eq!(rest, "n\n3\n");
}

#[test]
fn pictures_go_to_output_under_its_old_name_too_and_into_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    ingested(folder, &["red.mp4"]);
    fs::create_dir(folder.join("pictures")).expect("a folder");
    fs::write(
        folder.join("speed.sql"),
        "select time_secs, mean_visibility from metrics",
    )
    .expect("a file");
    for (arguments, file) in [
        (&["contact-sheet", "red", "--output", "a.png"][..], "a.png"),
        (&["contact-sheet", "red", "--out", "b.jpg"], "b.jpg"),
        (
            &["contact-sheet", "red", "--output", "pictures"],
            "pictures/red_sheet.png",
        ),
        (
            &["contact-sheet", "red", "--output", "new/"],
            "new/red_sheet.png",
        ),
        (&["contact-sheet", "red"], "output/red_sheet.png"),
        (&["plot", "speed.sql", "--output", "c.svg"], "c.svg"),
        (&["plot", "speed.sql", "--out", "d.png"], "d.png"),
        (
            &["plot", "speed.sql", "--output", "pictures"],
            "pictures/speed.svg",
        ),
        (&["query", "speed.sql", "--output", "e.txt"], "e.txt"),
        (
            &["query", "speed.sql", "--out", "f.csv", "--format", "csv"],
            "f.csv",
        ),
    ] {
        runs(folder, arguments);
        assert!(folder.join(file).is_file(), "{arguments:?}");
    }
    let wrong = posedata(folder, &["contact-sheet", "red", "--output", "nowhere"]);
    assert!(
        stderr(&wrong).contains(".png or .jpg"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn byte_order_marks_and_line_ends_change_no_query() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    ingested(folder, &["red.mp4"]);
    let sql = "-- param name text = nose : which\nselect count(*) as n, $name as l\nfrom landmarks where landmark = $name\n";
    let wanted = "n,l\n27,nose\n";
    let utf16: Vec<u8> = [0xFEFF]
        .into_iter()
        .chain(sql.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes) in [
        ("plain.sql", sql.as_bytes().to_vec()),
        ("mark.sql", format!("\u{feff}{sql}").into_bytes()),
        ("crlf.sql", sql.replace('\n', "\r\n").into_bytes()),
        (
            "both.sql",
            format!("\u{feff}{}", sql.replace('\n', "\r\n")).into_bytes(),
        ),
    ] {
        fs::write(folder.join(name), bytes).expect("a file");
        assert_eq!(
            runs(folder, &["query", name, "--format", "csv"]),
            wanted,
            "{name}"
        );
    }
    fs::write(folder.join("utf16.sql"), utf16).expect("a file");
    let output = posedata(folder, &["query", "utf16.sql"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("UTF-16; save it as UTF-8"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn names_of_datasets_leave_room_for_what_is_named_after_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "n".repeat(240);
    let output = posedata(folder.path(), &["dataset", "build", "--name", &name]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("100 at most"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nothing_is_drawn_where_hidden_landmarks_are_supposed() {
    use posedata::export::annotation::{Caption, draw};
    use posedata::lake::PersonRow;
    use posedata::metrics::Measurer;
    use posedata::pose::landmark::Landmark;
    use posedata::video::{Frame, VideoReader};

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("black.mp4");
    make_clip(
        &path,
        &[
            "-f",
            "lavfi",
            "-i",
            "color=black:size=320x240:rate=30:duration=0.1",
        ],
    );
    let mut reader = VideoReader::open(&path).expect("a video");
    let mut frame = Frame::default();
    assert!(reader.read(&mut frame).expect("a frame"));
    // CheckpointKind so that the picture ends at the knees, whose hidden ankles are supposed far below
    // and to the right.
    let mut pose = crate::support::ScriptedBackend::pose(0).expect("a pose");
    for landmark in Landmark::ALL {
        let point = &mut pose.landmarks[landmark.index()];
        (point.x, point.y) = (0.5, 0.6);
        let name = landmark.name();
        if ["ankle", "heel", "foot"]
            .iter()
            .any(|part| name.contains(part))
        {
            (point.x, point.y, point.visibility) = (1.4, 1.5, 0.05);
        }
    }
    let measured = Measurer::new().measure(std::slice::from_ref(&pose), 0.0, [320.0, 240.0]);
    let row = PersonRow {
        pose,
        metrics: measured.into_iter().next().expect("metrics"),
    };
    draw(&mut frame, &[row], &Caption::new("walk", None)).expect("a picture");
    let view = frame.view().expect("pixels");
    // The lower right corner, where a line from the knees to the ankles would run.
    let mut bright = 0;
    for y in 200..240 {
        for x in 230..320 {
            bright += usize::from(view.pixel(x, y).iter().any(|value| *value > 60));
        }
    }
    assert_eq!(bright, 0);
}
