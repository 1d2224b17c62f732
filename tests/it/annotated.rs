//! Annotated videos and contact sheets, looked at with FFmpeg's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use posedata::image::Pixels;
use posedata::ingest::{AnnotatedVideo, VideoOutcome};
use posedata::lake::LakePaths;
use posedata::pose::landmark::Landmark;
use posedata::pose::{PersonPose, PoseBackend, PoseError, PoseTimings};
use posedata::sync::Cancellation;
use posedata::video::{Frame, MediaTime, VideoReader};

use crate::lake::{Silent, config, ingest, open_lake};
use crate::support::{ScriptedBackend, for_each_frame, make_clip, posedata, stderr};

/// Ingests a video with scripted poses; gives the annotated one.
fn annotated(folder: &Path, video: &Path) -> PathBuf {
    annotated_as(AnnotatedVideo::On, folder, video)
}

fn annotated_as(kind: AnnotatedVideo, folder: &Path, video: &Path) -> PathBuf {
    let lake = LakePaths::new(folder.join("lake"));
    let mut config = config(vec![video.into()], &lake);
    config.outputs.folder = folder.join("output");
    config.outputs.annotated_video = kind;
    let summary = ingest(&config).expect("an ingest");
    let [report] = &summary.videos[..] else {
        panic!("one video");
    };
    assert!(
        matches!(report.outcome, VideoOutcome::Ingested),
        "{report:?}"
    );
    report.outputs[0].clone()
}

/// What FFmpeg's prober says about a video's stream and frames.
fn probe(path: &Path, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v"])
        .args(["-show_entries", entries, "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe; run `make test`");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        // Frames with further data have lines of their own for it.
        .filter(|line| !line.is_empty())
        .collect()
}

fn times(path: &Path) -> Vec<f64> {
    let times = probe(path, "frame=pts_time");
    times
        .iter()
        .map(|time| time.parse().expect("a time"))
        .collect()
}

fn check_same_times(source: &Path, annotated: &Path) {
    let (source, annotated) = (times(source), times(annotated));
    assert_eq!(annotated.len(), source.len());
    for (annotated, source) in annotated.iter().zip(&source) {
        // The output's clock ticks 90,000 times a second; Matroska's 1,000 times.
        let difference = (annotated - annotated.min(0.0) - (source - source.min(0.0))).abs();
        assert!(difference < 6e-4, "{annotated} for {source}");
    }
}

/// Names of the boxes that a file consists of, in order.
fn boxes(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).expect("a file");
    let mut names = Vec::new();
    let mut at = 0;
    while at + 16 <= bytes.len() {
        let number = |range: std::ops::Range<usize>| {
            bytes[range]
                .iter()
                .fold(0usize, |n, byte| (n << 8) | usize::from(*byte))
        };
        names.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += match number(at..at + 4) {
            1 => number(at + 8..at + 16),
            size => size,
        };
    }
    assert_eq!(at, bytes.len(), "the boxes fill the file");
    names
}

#[test]
fn browsers_and_phones_get_what_they_play() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.mp4");
    let source = "testsrc=size=320x240:rate=30:duration=1";
    make_clip(&clip, &["-f", "lavfi", "-i", source]);
    let annotated = annotated(folder.path(), &clip);
    assert_eq!(annotated, folder.path().join("output/annotated_clip.mp4"));
    let stream = probe(
        &annotated,
        "stream=codec_name,profile,codec_tag_string,width,height,pix_fmt",
    );
    assert_eq!(stream, ["h264,Constrained Baseline,avc1,320,240,yuv420p"]);
    assert_eq!(boxes(&annotated), ["ftyp", "moov", "mdat"]);
    check_same_times(&clip, &annotated);
    let leftovers: Vec<_> = fs::read_dir(folder.path().join("output"))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(leftovers, ["annotated_clip.mp4"]);
}

#[test]
fn uneven_times_odd_sizes_and_turned_pictures_stay_what_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let uneven = folder.path().join("uneven.mp4");
    let select = "select='not(mod(n,3))+eq(mod(n,7),1)'";
    let source = "testsrc=size=96x64:rate=30:duration=2";
    make_clip(
        &uneven,
        &["-f", "lavfi", "-i", source, "-vf", select, "-vsync", "vfr"],
    );
    check_same_times(&uneven, &annotated(folder.path(), &uneven));

    let odd = folder.path().join("odd.mkv");
    let source = "testsrc=size=127x71:rate=25:duration=0.4";
    make_clip(&odd, &["-f", "lavfi", "-i", source, "-c:v", "ffv1"]);
    let of_odd = annotated(folder.path(), &odd);
    assert_eq!(probe(&of_odd, "stream=width,height"), ["128,72"]);
    check_same_times(&odd, &of_odd);

    let stored = folder.path().join("stored.mp4");
    let turned = folder.path().join("turned.mp4");
    let source = "testsrc=size=128x96:rate=10:duration=0.5";
    make_clip(&stored, &["-f", "lavfi", "-i", source]);
    let stored = stored.to_str().expect("a name");
    let rotate = ["-i", stored, "-c", "copy", "-metadata:s:v:0", "rotate=90"];
    make_clip(&turned, &rotate);
    let of_turned = annotated(folder.path(), &turned);
    assert_eq!(probe(&of_turned, "stream=width,height"), ["96,128"]);
}

#[test]
fn landmarks_stand_where_the_lake_has_them_in_the_colour_of_their_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("grey.mp4");
    let source = "color=gray:size=640x480:rate=30:duration=1";
    make_clip(&clip, &["-f", "lavfi", "-i", source]);
    let annotated = annotated(folder.path(), &clip);
    let mut frames = 0;
    for_each_frame(&annotated, |index, _, view| {
        frames += 1;
        let Some(pose) = ScriptedBackend::pose(index as u32) else {
            // Nothing but the panel is drawn on a frame without a pose.
            let [blue, green, red] = view.pixel(320, 240).map(i32::from);
            assert!((blue - green).abs() < 8 && (red - green).abs() < 8);
            return;
        };
        for (landmark, is_left) in [(Landmark::LeftAnkle, true), (Landmark::RightAnkle, false)] {
            let point = pose.landmarks[landmark.index()];
            let x = (f64::from(point.x) * 640.0) as usize;
            let y = (f64::from(point.y) * 480.0) as usize;
            let [blue, _, red] = view.pixel(x, y).map(i32::from);
            assert_eq!(red > blue, is_left, "{landmark:?}: blue {blue}, red {red}");
            assert!(
                (red - blue).abs() > 60,
                "{landmark:?}: blue {blue}, red {red}"
            );
        }
    });
    assert_eq!(frames, 30);
}

#[test]
fn text_is_drawn_at_every_size_and_the_picture_stays_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for size in ["320x240", "240x426", "3840x2160"] {
        let clip = folder.path().join(format!("white {size}.mp4"));
        let source = format!("color=white:size={size}:rate=5:duration=0.4");
        make_clip(
            &clip,
            &["-f", "lavfi", "-i", &source, "-preset", "ultrafast"],
        );
        let annotated = annotated(folder.path(), &clip);
        let mut reader = VideoReader::open(&annotated).expect("a video");
        let mut frame = Frame::default();
        assert!(reader.read(&mut frame).expect("a frame"));
        let view = frame.view().expect("pixels");
        let (width, height) = (view.width(), view.height());
        let row_of = |y: usize| (0..width).map(move |x| (x, y));
        let panel_rows = (0..height).filter(|y| {
            let dark = row_of(*y).filter(|(x, y)| view.pixel(*x, *y)[1] < 120);
            dark.count() > width / 10
        });
        // The panel with its eight lines takes a part of the picture, and never all of it.
        let share = panel_rows.count() as f64 / height as f64;
        assert!((0.1..0.6).contains(&share), "{size}: {share}");
        assert!(view.pixel(width - 2, 2)[1] > 200, "{size}");
    }
}

#[test]
fn what_the_lake_has_gives_the_same_video_again_and_a_contact_sheet() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.mp4");
    let source = "testsrc=size=320x240:rate=30:duration=1";
    make_clip(&clip, &["-f", "lavfi", "-i", source]);
    let first = annotated(folder.path(), &clip);
    let again = posedata(
        folder.path(),
        &["annotate", "clip.mp4", "--output", "again"],
    );
    assert!(again.status.success(), "{}", stderr(&again));
    let bytes = |path: &Path| fs::read(path).expect("a video");
    let again = folder.path().join("again/annotated_clip.mp4");
    assert!(bytes(&first) == bytes(&again), "the same bytes");

    let sheet = posedata(
        folder.path(),
        &[
            "contact-sheet",
            "clip.mp4",
            "--columns",
            "3",
            "--rows",
            "2",
            "--width",
            "960",
        ],
    );
    assert!(sheet.status.success(), "{}", stderr(&sheet));
    let picture = folder.path().join("output/clip_sheet.png");
    // Three times 320 and two times 240 pixels with gaps of four.
    assert_eq!(probe(&picture, "stream=width,height"), ["976,492"]);

    // A file that has moved is found by its content, one that has changed is refused.
    let moved = folder.path().join("elsewhere.mp4");
    fs::rename(&clip, &moved).expect("a move");
    let gone = posedata(folder.path(), &["annotate", "clip.mp4"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(
        stderr(&gone).contains("the video file is gone"),
        "{}",
        stderr(&gone)
    );
    let found = posedata(
        folder.path(),
        &["annotate", "elsewhere.mp4", "--output", "moved"],
    );
    assert!(found.status.success(), "{}", stderr(&found));
    make_clip(
        &clip,
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=320x240:rate=30:duration=1.5",
        ],
    );
    let unknown = posedata(folder.path(), &["annotate", "clip.mp4"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("not in the lake"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn faces_are_covered_at_ingest_as_they_are_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.mp4");
    let source = "testsrc=size=320x240:rate=30:duration=0.5";
    make_clip(&clip, &["-f", "lavfi", "-i", source]);
    let covered = annotated_as(AnnotatedVideo::Blurred, folder.path(), &clip);
    let annotate = |arguments: &[&str], output: &str| {
        let arguments = [&["annotate", "clip.mp4", "--output", output], arguments].concat();
        let annotated = posedata(folder.path(), &arguments);
        assert!(annotated.status.success(), "{}", stderr(&annotated));
        fs::read(folder.path().join(output).join("annotated_clip.mp4")).expect("a video")
    };
    let covered = fs::read(covered).expect("a video");
    assert!(
        covered == annotate(&["--blur-faces"], "covered"),
        "the same"
    );
    assert!(covered != annotate(&[], "shown"), "another one");
    let nothing = ["ingest", "clip.mp4", "--blur-faces", "--no-video"];
    let nothing = posedata(folder.path(), &nothing);
    assert_eq!(nothing.status.code(), Some(1), "{}", stderr(&nothing));
}

/// Finds nobody in the first ten frames.
struct Late {
    backend: ScriptedBackend,
    frames_to_wait: u32,
}

impl PoseBackend for Late {
    fn start_video(&mut self) {
        self.backend.start_video();
        self.frames_to_wait = 10;
    }

    fn estimate(
        &mut self,
        frame: Pixels<'_>,
        time: MediaTime,
    ) -> Result<Vec<PersonPose>, PoseError> {
        let found = self.backend.estimate(frame, time)?;
        let is_early = self.frames_to_wait > 0;
        self.frames_to_wait = self.frames_to_wait.saturating_sub(1);
        Ok(if is_early { Vec::new() } else { found })
    }

    fn timings(&self) -> PoseTimings {
        self.backend.timings()
    }
}

#[test]
fn a_face_is_covered_before_its_person_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.mp4");
    // A chessboard, of which coarse squares leave nothing.
    let source = "color=black:size=320x240:rate=30:duration=1,\
                  geq=lum='255*mod(floor(X/4)+floor(Y/4),2)':cb=128:cr=128";
    make_clip(&clip, &["-f", "lavfi", "-i", source]);
    let lake = LakePaths::new(folder.path().join("lake"));
    let mut config = config(vec![clip], &lake);
    config.outputs.folder = folder.path().join("ingested");
    config.outputs.annotated_video = AnnotatedVideo::Blurred;
    let late = || Late {
        backend: ScriptedBackend::new(),
        frames_to_wait: 10,
    };
    let backends = |_| Ok(Box::new(late()) as Box<dyn PoseBackend>);
    let open = || open_lake(&config.lake);
    let summary = posedata::ingest::run(&config, &backends, &open, &Silent, &Cancellation::new());
    summary.expect("an ingest");
    for (output, arguments) in [("covered", &["--blur-faces"][..]), ("shown", &[])] {
        let arguments = [&["annotate", "clip.mp4", "--output", output], arguments].concat();
        let annotated = posedata(folder.path(), &arguments);
        assert!(annotated.status.success(), "{}", stderr(&annotated));
        let is_told = stderr(&annotated).contains("look before you hand it over");
        assert_eq!(is_told, output == "covered", "{}", stderr(&annotated));
    }
    // Pixels around the nose that are not as they are where faces are shown.
    let nose = ScriptedBackend::pose(10).expect("a pose").landmarks[Landmark::Nose.index()];
    let [x, y] = [(nose.x * 320.0) as usize, (nose.y * 240.0) as usize];
    let around = |output: &str| {
        let path = folder.path().join(output).join("annotated_clip.mp4");
        let mut frames = Vec::new();
        for_each_frame(&path, |_, _, view| {
            let places = (y - 12..y + 12).flat_map(|y| (x - 12..x + 12).map(move |x| (x, y)));
            frames.push(places.map(|(x, y)| view.pixel(x, y)).collect::<Vec<_>>());
        });
        frames
    };
    let [ingested, covered, shown] = ["ingested", "covered", "shown"].map(around);
    assert_eq!(ingested.len(), 30);
    assert!(ingested == covered, "the same at ingest as later");
    for (frame, (covered, shown)) in covered.iter().zip(&shown).enumerate() {
        let off = |a: &[u8; 3], b: &[u8; 3]| (0..3).any(|i| a[i].abs_diff(b[i]) > 40);
        let changed = covered.iter().zip(shown).filter(|(a, b)| off(a, b)).count();
        assert!(changed > 20, "frame {frame}: {changed} pixels");
    }
}

#[test]
fn whoever_ingested_without_outputs_is_told_how_to_get_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = folder.path().join("clip.mp4");
    let source = "testsrc=size=96x64:rate=10:duration=0.5";
    make_clip(&clip, &["-f", "lavfi", "-i", source]);
    let without = ["ingest", "clip.mp4", "--no-video", "--no-pose-json"];
    assert!(posedata(folder.path(), &without).status.success());
    let again = posedata(folder.path(), &["ingest", "clip.mp4"]);
    assert!(again.status.success());
    for command in ["annotate clip.mp4", "export pose-json clip.mp4"] {
        assert!(stderr(&again).contains(command), "{}", stderr(&again));
        let words: Vec<&str> = command.split(' ').collect();
        let written = posedata(folder.path(), &words);
        assert!(written.status.success(), "{}", stderr(&written));
    }
    let elsewhere = ["ingest", "clip.mp4", "--blur-faces", "--output", "other"];
    let elsewhere = posedata(folder.path(), &elsewhere);
    let hint = "annotate --blur-faces clip.mp4";
    assert!(stderr(&elsewhere).contains(hint), "{}", stderr(&elsewhere));
    let silent = posedata(folder.path(), &["ingest", "clip.mp4"]);
    assert!(!stderr(&silent).contains("hint"), "{}", stderr(&silent));
}

#[test]
fn a_video_that_fails_leaves_no_annotated_one_and_no_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole.mp4");
    let source = "testsrc=size=320x240:rate=30:duration=2";
    let front = ["-movflags", "+faststart"];
    make_clip(
        &whole,
        &[&["-f", "lavfi", "-i", source][..], &front].concat(),
    );
    let bytes = fs::read(&whole).expect("a video");
    let cut = folder.path().join("cut.mp4");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("a file");
    fs::remove_file(&whole).expect("one video is left");
    let output = posedata(folder.path(), &["ingest", "cut.mp4"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let leftovers = fs::read_dir(folder.path().join("output")).map_or(0, Iterator::count);
    assert_eq!(leftovers, 0);

    // An output folder that cannot be made keeps the video out of the lake: nothing is half done.
    fs::write(folder.path().join("file"), "in the way").expect("a file");
    make_clip(&whole, &["-f", "lavfi", "-i", source]);
    let output = posedata(
        folder.path(),
        &["ingest", "whole.mp4", "--output", "file/out"],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("file/out/"), "{}", stderr(&output));
    let lake = open_lake(&LakePaths::new(folder.path().join("lake"))).expect("a session");
    assert_eq!(lake.find_videos(&[]).expect("a lake").len(), 0);
}

#[test]
fn videos_of_one_name_do_not_overwrite_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, tint) in [("a", "red"), ("b", "blue")] {
        let sub = folder.path().join(name);
        fs::create_dir(&sub).expect("a folder");
        let source = format!("color={tint}:size=64x48:rate=10:duration=0.5");
        make_clip(&sub.join("clip.mp4"), &["-f", "lavfi", "-i", &source]);
    }
    let output = posedata(folder.path(), &["ingest", ".", "--no-pose-json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let names = || {
        let entries = fs::read_dir(folder.path().join("output")).expect("a folder");
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names().len(), 2, "{:?}", names());
    // The outputs of the first run are no videos of the second.
    let again = posedata(folder.path(), &["ingest", ".", "--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(summary["videos"].as_array().map(Vec::len), Some(2));
}
