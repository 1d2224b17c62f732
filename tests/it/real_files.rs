//! What cameras, phones and recorders really write: files whose pictures are not simply what the
//! decoder gives. The oracle is FFmpeg's own program, a specification, or the file that the odd one
//! was made from.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use posedata::ingest::{AnnotatedVideo, VideoOutcome, VideoReport};
use posedata::lake::LakePaths;
use posedata::video::{Frame, ReadSummary, VideoError, VideoInfo, VideoReader};

use crate::lake::{config, ingest, open_lake};
use crate::support::{installed, make_clip, posedata, stderr, stdout};

const WIDTH: usize = 432;
const HEIGHT: usize = 240;
const FRAMES: usize = 30;
/// Mean difference per channel that encoding and scaling leave, out of 255. The clips' neighbouring
/// frames differ by more, see `check_pictures`.
const SAME: f64 = 2.5;
const SIMILAR: f64 = 6.0;

/// Everything about a picture that matters here.
struct Read {
    width: usize,
    height: usize,
    bgr: Vec<u8>,
    secs: f64,
    is_corrupt: bool,
}

struct Video {
    info: VideoInfo,
    frames: Vec<Read>,
    summary: ReadSummary,
}

fn try_read(path: &Path) -> Result<Video, VideoError> {
    let mut reader = VideoReader::open(path)?;
    let mut frame = Frame::default();
    let mut frames = Vec::new();
    while reader.read(&mut frame)? {
        let view = frame.view().expect("pixels");
        let (width, height) = (view.width(), view.height());
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let bgr = pixels.flat_map(|(x, y)| view.pixel(x, y)).collect();
        frames.push(Read {
            width,
            height,
            bgr,
            secs: frame.time.as_secs(),
            is_corrupt: frame.is_corrupt,
        });
    }
    Ok(Video {
        info: reader.info().clone(),
        frames,
        summary: reader.summary().clone(),
    })
}

fn read(path: &Path) -> Video {
    try_read(path).unwrap_or_else(|e| panic!("{e}"))
}

fn name(path: &Path) -> &str {
    path.to_str().expect("a name")
}

/// Pictures as FFmpeg's program gives them, turned as it likes, through `filter`.
fn ffmpeg_pictures(path: &Path, before: &[&str], filter: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(before)
        .args([
            "-i",
            name(path),
            "-an",
            "-vf",
            filter,
            "-vsync",
            "passthrough",
        ])
        .args(["-f", "rawvideo", "-pix_fmt", "bgr24", "-"])
        .output()
        .expect("ffmpeg; run `make test`");
    assert!(output.status.success(), "{}", stderr(&output));
    output.stdout
}

fn ffprobe(path: &Path, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", entries, name(path)])
        .output()
        .expect("ffprobe; run `make test`");
    let lines = stdout(&output);
    let lines = lines
        .lines()
        .map(|line| line.trim_end_matches(',').to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "pictures of the same size");
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.len().max(1) as f64
}

/// Checks each frame against the picture of the same number in `expected`.
fn check_pictures(video: &Video, expected: &[u8], tolerance: f64) {
    let [first, ..] = &video.frames[..] else {
        panic!("frames");
    };
    let picture_bytes = first.width * first.height * 3;
    assert_eq!(expected.len(), video.frames.len() * picture_bytes);
    for (n, frame) in video.frames.iter().enumerate() {
        assert_eq!((frame.width, frame.height), (first.width, first.height));
        let right = &expected[n * picture_bytes..(n + 1) * picture_bytes];
        let difference = difference(&frame.bgr, right);
        assert!(
            difference < tolerance,
            "frame {n} differs by {difference:.2}"
        );
        // A frozen or shifted video would not pass.
        if n > 0 {
            let before = &expected[(n - 1) * picture_bytes..n * picture_bytes];
            assert!(
                self::difference(before, right) > tolerance,
                "frame {n} moves"
            );
        }
    }
}

/// A second of the demo video, small, moving sideways; 30 frames a second.
fn plain(folder: &Path) -> PathBuf {
    let path = folder.join("plain.mp4");
    if !path.exists() {
        let frames = FRAMES.to_string();
        // Without tags of colour, FFmpeg's program converts with BT.601 too.
        let scale = format!(
            "scale={WIDTH}:{HEIGHT},scroll=horizontal=0.02,setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
        );
        let demo = installed("demo");
        let input = [
            "-i",
            name(&demo),
            "-an",
            "-frames:v",
            &frames,
            "-vf",
            &scale,
        ];
        let codec = ["-c:v", "libx264", "-crf", "12", "-bf", "2", "-g", "12"];
        make_clip(&path, &[&input[..], &codec].concat());
    }
    path
}

/// Another version of it.
fn made(folder: &Path, file_name: &str, arguments: &[&str]) -> PathBuf {
    let source = plain(folder);
    let path = folder.join(file_name);
    make_clip(&path, &[&["-i", name(&source)], arguments].concat());
    path
}

/// Files of the same container after each other, without new encoding.
fn joined(folder: &Path, parts: &[&Path], file_name: &str) -> PathBuf {
    let list = folder.join("list.txt");
    let lines: Vec<String> = (parts.iter())
        .map(|part| format!("file '{}'\n", part.display()))
        .collect();
    fs::write(&list, lines.concat()).expect("a list");
    let path = folder.join(file_name);
    let input = ["-f", "concat", "-safe", "0", "-i", name(&list)];
    make_clip(&path, &[&input[..], &["-c", "copy"]].concat());
    path
}

/// Ingests with scripted poses: what becomes of one file.
fn report(folder: &Path, video: &Path) -> (VideoReport, LakePaths) {
    let lake = LakePaths::new(folder.join("lake"));
    let mut config = config(vec![video.into()], &lake);
    config.outputs.folder = folder.join("output");
    config.outputs.annotated_video = AnnotatedVideo::On;
    let mut summary = ingest(&config).expect("a summary");
    (summary.videos.remove(0), lake)
}

fn ingested(folder: &Path, video: &Path) -> (VideoReport, LakePaths) {
    let (report, lake) = report(folder, video);
    assert!(
        matches!(report.outcome, VideoOutcome::Ingested),
        "{report:?}"
    );
    (report, lake)
}

fn values(lake: &LakePaths, sql: &str) -> Vec<String> {
    let lake = open_lake(lake).expect("a lake");
    let reader = lake.into_reader(None).expect("a reader");
    let mut statement = reader.connection.prepare(sql).expect("SQL");
    let rows = statement
        .query_map([], |row| row.get::<_, Option<String>>(0))
        .expect("rows");
    rows.map(|row| row.expect("a row").unwrap_or("NULL".into()))
        .collect()
}

// The picture's size.

#[test]
fn pictures_that_grow_or_shrink_are_scaled_to_the_first_ones_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (small, large) = ("scale=216:120", "scale=432:240");
    let part = |n: usize, scale: &str, from: usize, suffix: &str, codec: &[&str]| {
        let trim = format!(
            "trim=start_frame={from}:end_frame={},setpts=PTS-STARTPTS,{scale}",
            from + 15
        );
        made(
            folder,
            &format!("part{n}.{suffix}"),
            &[&["-an", "-vf", &trim], codec].concat(),
        )
    };
    let vp8 = ["-c:v", "libvpx", "-b:v", "3M"];
    let vp9 = [
        "-c:v",
        "libvpx-vp9",
        "-crf",
        "10",
        "-b:v",
        "0",
        "-deadline",
        "realtime",
    ];
    let h264 = ["-c:v", "libx264", "-crf", "12"];
    let mpeg2 = ["-c:v", "mpeg2video", "-qmin", "1", "-q:v", "1", "-bf", "2"];
    for (first, second, width, height) in [(small, large, 216, 120), (large, small, 432, 240)] {
        for (suffix, codec, containers) in [
            ("ts", &h264[..], &["ts", "mp4", "mkv"][..]),
            ("ts", &mpeg2[..], &["ts", "mkv"][..]),
            ("webm", &vp8[..], &["webm"][..]),
            ("webm", &vp9[..], &["mkv"][..]),
        ] {
            let parts = [
                part(1, first, 0, suffix, codec),
                part(2, second, 15, suffix, codec),
            ];
            for container in containers {
                let path = joined(
                    folder,
                    &[&parts[0], &parts[1]],
                    &format!("joined.{container}"),
                );
                let video = read(&path);
                assert_eq!(video.frames.len(), 30, "{container}");
                assert_eq!((video.info.width, video.info.height), (width, height));
                let changes = &video.summary.size_changes;
                assert_eq!(changes.len(), 1, "{changes:?}");
                assert_eq!(changes[0].frame, 15);
                // What was small has lost its detail.
                let of_parts = [first, second].map(|part| {
                    let scale = format!("{part},scale={width}:{height}");
                    ffmpeg_pictures(&plain(folder), &[], &scale)
                });
                let half = of_parts[0].len() / 2;
                let right = [&of_parts[0][..half], &of_parts[1][half..]].concat();
                check_pictures(&video, &right, SAME);
                assert_eq!(
                    video.summary.corrupt_frames, 0,
                    "{container}: {:?}",
                    video.summary
                );
            }
        }
    }
}

#[test]
fn a_picture_of_another_shape_is_fitted_in_whole_and_the_row_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let h264 = ["-an", "-c:v", "libx264", "-crf", "12", "-frames:v", "10"];
    let lying = made(folder, "lying.ts", &h264);
    let standing = made(
        folder,
        "standing.ts",
        &[&["-vf", "scale=240:432"], &h264[..]].concat(),
    );
    let path = joined(folder, &[&lying, &standing], "turned.mkv");
    let video = read(&path);
    let last = &video.frames[15];
    assert_eq!((last.width, last.height), (WIDTH, HEIGHT));
    // 240:432 in 240 rows leaves 133 columns in the middle.
    let fitted = ffmpeg_pictures(&standing, &[], "scale=133:240,pad=432:240:149:0");
    let picture_bytes = WIDTH * HEIGHT * 3;
    let right = &fitted[5 * picture_bytes..6 * picture_bytes];
    assert!(difference(&last.bgr, right) < SAME);
    let (report, lake) = ingested(folder, &path);
    assert_eq!(
        values(&lake, "SELECT size_changes::VARCHAR FROM videos"),
        [r#"[{"frame":10,"width_px":240,"height_px":432}]"#]
    );
    let told = report.notes.join("\n");
    assert!(
        told.contains("frame 10") && told.contains("240x432"),
        "{told}"
    );
}

// The display matrix.

/// Writes a matrix into the header of the first track: a, b, c, d are 1, 0 or -1.
pub fn set_matrix(path: &Path, [a, b, c, d]: [i32; 4]) {
    let mut bytes = fs::read(path).expect("a file");
    let header = (bytes.windows(4).position(|four| four == b"tkhd")).expect("a track header");
    // Behind the kind: version, flags and times (24 bytes), two reserved, layer, group, volume.
    let at = header + 4 + 40;
    let one = 1 << 16;
    let matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30];
    for (i, value) in matrix.iter().enumerate() {
        bytes[at + 4 * i..at + 4 * i + 4].copy_from_slice(&i32::to_be_bytes(*value));
    }
    fs::write(path, bytes).expect("written");
}

#[test]
fn all_eight_display_matrices_are_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let stored = ffmpeg_pictures(&plain(folder), &[], "null");
    let stored = &stored[..WIDTH * HEIGHT * 3];
    for (matrix, rotation_deg, is_mirrored) in [
        ([1, 0, 0, 1], 0, false),
        ([0, 1, -1, 0], 90, false),
        ([-1, 0, 0, -1], 180, false),
        ([0, -1, 1, 0], 270, false),
        ([-1, 0, 0, 1], 0, true),
        ([1, 0, 0, -1], 180, true),
        ([0, 1, 1, 0], 270, true),
        ([0, -1, -1, 0], 90, true),
    ] {
        let path = made(folder, "matrix.mp4", &["-c", "copy", "-an"]);
        set_matrix(&path, matrix);
        let video = read(&path);
        let info = &video.info;
        assert_eq!(
            (info.rotation_deg, info.is_mirrored),
            (rotation_deg, is_mirrored)
        );
        // ISO/IEC 14496-12, 6.2.2: (p, q) is displayed at (a p + c q, b p + d q), moved into view.
        let [a, b, c, d] = matrix;
        let place = |p: usize, q: usize| {
            let (p, q) = (p as i32, q as i32);
            let (x, y) = (a * p + c * q, b * p + d * q);
            let (right, bottom) = (WIDTH as i32 - 1, HEIGHT as i32 - 1);
            let left = (a * right).min(0) + (c * bottom).min(0);
            let top = (b * right).min(0) + (d * bottom).min(0);
            ((x - left) as usize, (y - top) as usize)
        };
        let shown = &video.frames[0];
        let mut right = vec![0; shown.bgr.len()];
        for q in 0..HEIGHT {
            for p in 0..WIDTH {
                let (x, y) = place(p, q);
                let (from, to) = ((q * WIDTH + p) * 3, (y * shown.width + x) * 3);
                right[to..to + 3].copy_from_slice(&stored[from..from + 3]);
            }
        }
        let difference = difference(&shown.bgr, &right);
        assert!(difference < SAME, "{matrix:?}: {difference}");
    }
    let path = folder.join("matrix.mp4");
    let (_, lake) = ingested(folder, &path);
    let sql = "SELECT concat_ws(' ', width_px, height_px, rotation_deg, mirrored) FROM videos";
    assert_eq!(values(&lake, sql), ["240 432 90 true"]);
}

// The shape of pixels.

#[test]
fn pixels_that_are_not_square_are_made_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    // 304:336 and the like: half the columns are gone, and the file says that pixels are wide.
    let wide = [
        "-an",
        "-vf",
        "scale=216:240,setsar=2/1",
        "-c:v",
        "libx264",
        "-crf",
        "8",
    ];
    let high = [
        "-an",
        "-vf",
        "scale=432:120,setsar=1/2",
        "-c:v",
        "libx264",
        "-crf",
        "8",
    ];
    let right = ffmpeg_pictures(&plain(folder), &[], "scale=216:240,scale=432:240");
    for (file_name, arguments, coded, filter) in [
        (
            "stream and container.mp4",
            &wide[..],
            (216, 240),
            "scale=432:240",
        ),
        ("stream alone.ts", &wide, (216, 240), "scale=432:240"),
        ("container.mkv", &wide, (216, 240), "scale=432:240"),
        ("high.mp4", &high, (432, 120), "scale=432:240"),
    ] {
        let path = made(folder, file_name, arguments);
        let video = read(&path);
        let info = &video.info;
        assert_eq!((info.width, info.height), (432, 240), "{file_name}");
        assert_eq!((info.coded_width, info.coded_height), coded);
        check_pictures(&video, &ffmpeg_pictures(&path, &[], filter), SAME);
        if coded.0 == 216 {
            check_pictures(&video, &right, SIMILAR);
        }
        let (report, lake) = ingested(folder, &path);
        let sql = format!(
            "SELECT concat_ws(' ', width_px, height_px, coded_width_px, coded_height_px) FROM videos WHERE file_name = '{file_name}'"
        );
        assert_eq!(
            values(&lake, &sql),
            [format!("432 240 {} {}", coded.0, coded.1)]
        );
        let shown = ffprobe(
            &report.outputs[0],
            "stream=width,height,sample_aspect_ratio",
        );
        assert!(
            shown[0].starts_with("432,240,N/A") || shown[0] == "432,240,1:1",
            "{shown:?}"
        );
    }
    // Turned: the long side of the pixels is turned with them.
    let turned = made(folder, "turned.mp4", &wide);
    set_matrix(&turned, [0, 1, -1, 0]);
    let video = read(&turned);
    assert_eq!((video.info.width, video.info.height), (240, 432));
    let right = ffmpeg_pictures(&turned, &["-noautorotate"], "scale=432:240,transpose=clock");
    check_pictures(&video, &right, SAME);
    // Nobody has pixels forty times as wide as high.
    let absurd = ["-an", "-vf", "setsar=40/1", "-c:v", "libx264"];
    let video = read(&made(folder, "absurd.mp4", &absurd));
    assert_eq!((video.info.width, video.info.height), (432, 240));
}

#[test]
fn the_shape_of_pixels_may_change_on_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let part = |file_name: &str, frames: &str, filter: &str| {
        let filter = format!("{frames},setpts=PTS-STARTPTS,{filter}");
        made(
            folder,
            file_name,
            &["-an", "-vf", &filter, "-c:v", "libx264", "-crf", "8"],
        )
    };
    let square = part("square.ts", "trim=end_frame=15", "setsar=1/1");
    let wide = part("wide.ts", "trim=start_frame=15", "scale=216:240,setsar=2/1");
    let video = read(&joined(folder, &[&square, &wide], "both.ts"));
    assert_eq!(video.frames.len(), 30);
    check_pictures(
        &video,
        &ffmpeg_pictures(&plain(folder), &[], "null"),
        SIMILAR,
    );
}

// Which track.

#[test]
fn the_enabled_track_is_read_and_never_a_cover() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let right = ffmpeg_pictures(&plain(folder), &[], "null");
    let preview = [
        "-filter_complex",
        "[0:v]scale=64:36,setpts=PTS+0.5/TB[preview]",
        "-map",
        "[preview]",
        "-map",
        "0:v",
        "-c:v:0",
        "libx264",
        "-c:v:1",
        "copy",
        "-disposition:v:0",
        "0",
        "-disposition:v:1",
        "default",
    ];
    let (report, _) = ingested(folder, &made(folder, "preview first.mov", &preview));
    assert!(
        report
            .notes
            .iter()
            .any(|w| w.contains("track 0 (h264, 64x36, not enabled)")),
        "{report:?}"
    );
    let cover = made(
        folder,
        "cover.jpg",
        &["-frames:v", "1", "-vf", "scale=1280:720"],
    );
    let covered = folder.join("covered.mp4");
    let plain_path = plain(folder);
    let inputs = ["-i", name(&cover), "-i", name(&plain_path)];
    let maps = [
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v:0",
        "attached_pic",
    ];
    make_clip(&covered, &[&inputs[..], &maps].concat());
    for path in [folder.join("preview first.mov"), covered.clone()] {
        let video = read(&path);
        check_pictures(&video, &right, 0.5);
        for (n, frame) in video.frames.iter().enumerate() {
            assert!(
                (frame.secs - n as f64 / 30.0).abs() < 1e-4,
                "{n}: {}",
                frame.secs
            );
        }
    }
    // A phone's photo beside its short video, both enabled.
    let photo = made(
        folder,
        "photo.mp4",
        &["-an", "-frames:v", "1", "-vf", "scale=1280:720"],
    );
    for (file_name, inputs) in [
        ("before.mp4", [&photo, &plain_path]),
        ("behind.mov", [&plain_path, &photo]),
    ] {
        let live = folder.join(file_name);
        let inputs = ["-i", name(inputs[0]), "-i", name(inputs[1])];
        let maps = ["-map", "0:v", "-map", "1:v", "-c", "copy"];
        let enabled = ["-disposition:v:0", "default", "-disposition:v:1", "default"];
        make_clip(&live, &[&inputs[..], &maps, &enabled].concat());
        let video = read(&live);
        check_pictures(&video, &right, 0.5);
        let told = video.info.warnings.join("\n");
        assert!(told.contains("1280x720, one picture"), "{told}");
    }
    // A cover beside sound is no video.
    let song = folder.join("song.mp4");
    let inputs = ["-i", name(&cover), "-f", "lavfi", "-i", "sine=duration=1"];
    let maps = [
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "copy",
        "-disposition:v:0",
        "attached_pic",
    ];
    make_clip(&song, &[&inputs[..], &maps].concat());
    assert!(matches!(
        try_read(&song),
        Err(VideoError::NoVideoStream { .. })
    ));
}

// Colours.

const TO_HDR: &str = "setparams=colorspace=smpte170m:color_primaries=bt709:color_trc=bt709:range=tv,zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt2020:t=TRANSFER:m=bt2020nc:r=tv:npl=100,format=yuv420p10le";

#[test]
fn high_dynamic_range_is_brought_down_to_what_it_was_made_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let sdr = read(&made(folder, "sdr.mkv", &["-an", "-c:v", "ffv1"]));
    for transfer in ["arib-std-b67", "smpte2084"] {
        let filter = TO_HDR.replace("TRANSFER", transfer);
        let tags =
            format!("colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none");
        let arguments = [
            "-an",
            "-vf",
            &filter,
            "-c:v",
            "libx265",
            "-crf",
            "8",
            "-x265-params",
            &tags,
        ];
        let path = made(folder, &format!("{transfer}.mp4"), &arguments);
        let video = read(&path);
        assert!(video.info.is_tone_mapped);
        for (n, (frame, right)) in video.frames.iter().zip(&sdr.frames).enumerate() {
            let difference = difference(&frame.bgr, &right.bgr);
            // Only what is nearly white is compressed.
            assert!(difference < 12.0, "{transfer} {n}: {difference}");
        }
        // Undone, the picture is far from it.
        let undone = ffmpeg_pictures(&path, &[], "null");
        assert!(difference(&undone[..sdr.frames[0].bgr.len()], &sdr.frames[0].bgr) > 20.0);
        let (report, lake) = ingested(folder, &path);
        let sql = format!("SELECT color_transfer FROM videos WHERE file_name = '{transfer}.mp4'");
        assert_eq!(values(&lake, &sql), [transfer]);
        let told = ffprobe(
            &report.outputs[0],
            "stream=color_range,color_space,color_transfer,color_primaries",
        );
        assert_eq!(told, ["tv,bt709,bt709,bt709"]);
    }
}

#[test]
fn ten_bits_without_high_dynamic_range_stay_as_they_are_and_outputs_say_their_colours() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let codec = [
        "-an",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p10le",
        "-crf",
        "8",
    ];
    let path = made(folder, "ten bits.mp4", &codec);
    let video = read(&path);
    assert!(!video.info.is_tone_mapped);
    check_pictures(&video, &ffmpeg_pictures(&path, &[], "null"), 1.0);
    for (space, expected) in [
        ("bt709", "tv,bt709,bt709,bt709"),
        ("smpte170m", "tv,smpte170m,smpte170m,smpte170m"),
    ] {
        let tags = [
            "-colorspace",
            space,
            "-color_trc",
            space,
            "-color_primaries",
            space,
        ];
        let arguments = [&["-an", "-c:v", "libx264"], &tags[..]].concat();
        let (report, _) = ingested(folder, &made(folder, &format!("{space}.mp4"), &arguments));
        let entries = "stream=color_range,color_space,color_transfer,color_primaries";
        assert_eq!(ffprobe(&report.outputs[0], entries), [expected]);
    }
}

// Damage.

/// Where a packet of the first video track lies: (position, size).
fn packet(path: &Path, number: usize) -> (usize, usize) {
    let packets = ffprobe(path, "packet=pos,size");
    let mut numbers = packets[number]
        .split(',')
        .map(|n| n.parse().expect("a number"));
    let (size, position) = (
        numbers.next().expect("a size"),
        numbers.next().expect("a place"),
    );
    (position, size)
}

fn flip(path: &Path, range: std::ops::Range<usize>) {
    let mut bytes = fs::read(path).expect("a file");
    for byte in &mut bytes[range] {
        *byte ^= 0x5a;
    }
    fs::write(path, bytes).expect("written");
}

#[test]
fn damaged_frames_keep_their_time_and_get_no_pose() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let path = made(
        folder,
        "damaged.mp4",
        &["-an", "-c:v", "libx264", "-bf", "0", "-crf", "12"],
    );
    let (position, size) = packet(&path, 12);
    flip(&path, position + size / 3..position + size / 3 + 40);
    let video = read(&path);
    let damaged: Vec<usize> = (0..FRAMES)
        .filter(|n| video.frames[*n].is_corrupt)
        .collect();
    assert_eq!(damaged, [12]);
    let (report, lake) = ingested(folder, &path);
    assert_eq!((report.frame_count, report.corrupt_frame_count), (30, 1));
    let sql = "SELECT corrupt_frame_count::VARCHAR FROM videos";
    assert_eq!(values(&lake, sql), ["1"]);
    let sql = "SELECT concat_ws(' ', frame, round(time_secs, 4), coalesce(mean_visibility::VARCHAR, 'nobody')) FROM metrics WHERE frame = 12";
    assert_eq!(values(&lake, sql), ["12 0.4 nobody"]);
    let sql = "SELECT count(*)::VARCHAR FROM landmarks WHERE frame = 12";
    assert_eq!(values(&lake, sql), ["0"]);
    // What cannot be decoded at all is counted, and has no row.
    let path = made(
        folder,
        "lost.mp4",
        &["-an", "-c:v", "libx264", "-bf", "0", "-crf", "12"],
    );
    let (position, size) = packet(&path, 12);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[position + 4..position + size].fill(0);
    fs::write(&path, bytes).expect("written");
    let (report, _) = ingested(folder, &path);
    assert_eq!((report.frame_count, report.corrupt_frame_count), (29, 1));
    assert!(
        report
            .notes
            .iter()
            .any(|w| w.contains("could not be decoded")),
        "{report:?}"
    );
}

#[test]
fn whole_frames_are_not_called_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let open = "open-gop=1:keyint=10:bframes=3";
    let h264 = ["-an", "-c:v", "libx264", "-x264-params", open];
    let whole = [
        plain(folder),
        made(folder, "a.ts", &h264),
        made(
            folder,
            "a.m2ts",
            &["-an", "-c:v", "mpeg2video", "-bf", "2", "-f", "mpegts"],
        ),
        made(
            folder,
            "a.mkv",
            &["-an", "-c:v", "libx265", "-x265-params", "log-level=none"],
        ),
        made(
            folder,
            "a.webm",
            &["-an", "-c:v", "libvpx-vp9", "-deadline", "realtime"],
        ),
        made(folder, "a.avi", &["-an", "-c:v", "mpeg4", "-bf", "2"]),
        made(folder, "a.wmv", &["-an", "-c:v", "wmv2"]),
        made(folder, "a.flv", &["-an", "-c:v", "flv"]),
    ];
    for path in &whole {
        let video = read(path);
        assert_eq!(
            video.summary.corrupt_frames,
            0,
            "{}: {:?}",
            path.display(),
            video.summary
        );
        assert_eq!(video.frames.len(), FRAMES, "{}", path.display());
        assert!(
            video.summary.warnings.is_empty(),
            "{}: {:?}",
            path.display(),
            video.summary
        );
    }
    // A recording that was cut out of a longer one begins with frames that nobody can decode.
    let bytes = fs::read(&whole[1]).expect("a file");
    let middle = folder.join("middle.ts");
    fs::write(&middle, &bytes[bytes.len() / 188 / 3 * 188..]).expect("written");
    let video = read(&middle);
    assert!(
        (10..FRAMES).contains(&video.frames.len()),
        "{}",
        video.frames.len()
    );
    assert_eq!(video.summary.corrupt_frames, 0, "{:?}", video.summary);
}

// Times.

#[test]
fn a_time_that_comes_twice_is_kept_and_nothing_moves_in_no_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let even = made(folder, "even.mp4", &["-an", "-c:v", "libx264", "-bf", "0"]);
    let twice = folder.join("twice.mkv");
    let times = "setts=ts='round(if(gte(N,15),N-1,N)*1000/30)'";
    make_clip(&twice, &["-i", name(&even), "-c", "copy", "-bsf:v", times]);
    let probed = ffprobe(&twice, "packet=pts_time");
    assert_eq!(probed[14], probed[15], "the clip is what it should be");
    let video = read(&twice);
    for (n, (frame, probed)) in video.frames.iter().zip(&probed).enumerate() {
        let right: f64 = probed.parse().expect("a time");
        assert!(
            (frame.secs - right).abs() < 1e-6,
            "{n}: {} {right}",
            frame.secs
        );
    }
    let (_, lake) = ingested(folder, &twice);
    let sql = "SELECT concat_ws(' ', frame, center_speed_px_per_sec IS NULL) FROM metrics WHERE frame IN (13, 15, 16) ORDER BY frame";
    assert_eq!(values(&lake, sql), ["13 false", "15 true", "16 false"]);
    let sql = "SELECT frame::VARCHAR FROM landmark_speed('left_wrist') WHERE NOT isfinite(speed_px_per_sec) OR speed_px_per_sec < 0";
    assert!(values(&lake, sql).is_empty());
}

/// Times by which `path` differs from frames at an even rate.
fn check_even(path: &Path, rate_hz: f64, tolerance_secs: f64) {
    let video = read(path);
    assert_eq!(video.frames.len(), FRAMES);
    for (n, frame) in video.frames.iter().enumerate() {
        let right = n as f64 / rate_hz;
        let off = (frame.secs - right).abs();
        assert!(
            off < tolerance_secs,
            "{}: frame {n} at {} for {right}",
            path.display(),
            frame.secs
        );
    }
    for pair in video.frames.windows(2) {
        let step = (pair[1].secs - pair[0].secs) * rate_hz;
        assert!(
            (step - 1.0).abs() < 0.01,
            "{}: a step of {step}",
            path.display()
        );
    }
}

#[test]
fn clocks_of_milliseconds_do_not_falsify_fast_videos() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (rate, rate_hz) in [
        ("60", 60.0),
        ("60000/1001", 60_000.0 / 1001.0),
        ("100", 100.0),
        ("120", 120.0),
        ("240", 240.0),
        ("480", 480.0),
    ] {
        let rated = folder.join("rated.mp4");
        let source = plain(folder);
        let codec = [
            "-an",
            "-vsync",
            "passthrough",
            "-c:v",
            "libx264",
            "-bf",
            "2",
        ];
        make_clip(
            &rated,
            &[&["-r", rate, "-i", name(&source)], &codec[..]].concat(),
        );
        check_even(&rated, rate_hz, 1e-4);
        for container in ["mkv", "flv"] {
            let path = folder.join(format!("rated.{container}"));
            make_clip(&path, &["-i", name(&rated), "-c", "copy"]);
            check_even(&path, rate_hz, 1.1e-3);
        }
    }
}

#[test]
fn uneven_times_of_a_fast_video_are_left_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let even = made(folder, "even.mp4", &["-an", "-c:v", "libx264", "-bf", "0"]);
    let uneven = folder.join("uneven.mkv");
    // Around 120 a second, as a phone has it.
    let times = "setts=ts='N*25/3+mod(N*N*7,5)'";
    make_clip(&uneven, &["-i", name(&even), "-c", "copy", "-bsf:v", times]);
    let probed = ffprobe(&uneven, "packet=pts_time");
    let start: f64 = probed[0].parse().expect("a time");
    for (frame, probed) in read(&uneven).frames.iter().zip(&probed) {
        let right = probed.parse::<f64>().expect("a time") - start;
        assert!((frame.secs - right).abs() < 1e-6, "{} {right}", frame.secs);
    }
}

#[test]
fn edit_lists_are_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let trimmed = folder.join("trimmed.mp4");
    let source = plain(folder);
    // Not at a key frame: what comes before is decoded, and hidden by an edit list.
    make_clip(
        &trimmed,
        &["-ss", "0.5", "-i", name(&source), "-c", "copy", "-an"],
    );
    let late = folder.join("late.mp4");
    make_clip(
        &late,
        &[
            "-itsoffset",
            "1.5",
            "-i",
            name(&source),
            "-c",
            "copy",
            "-an",
        ],
    );
    for path in [&trimmed, &late] {
        let probed = ffprobe(path, "frame=best_effort_timestamp_time");
        let video = read(path);
        assert_eq!(video.frames.len(), probed.len());
        let start: f64 = probed[0].parse().expect("a time");
        for (frame, probed) in video.frames.iter().zip(&probed) {
            let right = probed.parse::<f64>().expect("a time") - start;
            assert!((frame.secs - right).abs() < 1e-5, "{} {right}", frame.secs);
        }
    }
    assert!(read(&trimmed).frames.len() < FRAMES);
}

#[test]
fn times_begin_with_the_first_picture_also_where_reordering_delays_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for b_frames in ["1", "2", "4"] {
        let codec = ["-an", "-c:v", "libx264", "-bf", b_frames];
        check_even(&made(folder, "reordered.avi", &codec), 30.0, 1e-4);
    }
}

#[test]
fn a_track_that_begins_late_is_not_called_short() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("late.mkv");
    let source = plain(folder.path());
    let copy = ["-c", "copy", "-an"];
    let late = ["-itsoffset", "2.5", "-i", name(&source)];
    make_clip(&path, &[&late[..], &copy].concat());
    let video = read(&path);
    assert_eq!(video.frames.len(), FRAMES);
    assert!(video.summary.warnings.is_empty(), "{:?}", video.summary);
}

#[test]
fn a_stream_that_was_joined_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let part = fs::read(made(folder, "part.ts", &["-an", "-c:v", "libx264"])).expect("a file");
    let path = folder.join("twice.ts");
    fs::write(&path, [&part[..], &part].concat()).expect("written");
    let video = read(&path);
    assert_eq!(video.frames.len(), 2 * FRAMES);
    for (n, frame) in video.frames.iter().enumerate() {
        assert!(
            (frame.secs - n as f64 / 30.0).abs() < 1e-3,
            "{n}: {}",
            frame.secs
        );
    }
}

// Whole files and cut ones.

fn append(path: &Path, bytes: &[u8]) {
    let mut all = fs::read(path).expect("a file");
    all.extend_from_slice(bytes);
    fs::write(path, all).expect("written");
}

fn cut(path: &Path, part: f64) {
    let bytes = fs::read(path).expect("a file");
    fs::write(path, &bytes[..(bytes.len() as f64 * part) as usize]).expect("written");
}

#[test]
fn what_stands_behind_the_pictures_does_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let copy = ["-c", "copy", "-an"];
    let fragments = ["-c", "copy", "-an", "-movflags", "frag_keyframe+empty_moov"];
    for (n, behind) in [
        b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394*6A\r\n".repeat(20),
        vec![0; 4096],
        vec![0xff; 4096],
        b"\xff\xff\xff\xfegps private data".to_vec(),
        b"\0\0\0\x01mine\0\0".to_vec(),
    ]
    .iter()
    .enumerate()
    {
        for (kind, arguments) in [("plain", &copy[..]), ("fragments", &fragments)] {
            let path = made(folder, &format!("{kind} {n}.mp4"), arguments);
            append(&path, behind);
            assert_eq!(read(&path).frames.len(), FRAMES, "{kind} {n}");
        }
    }
    // An AVI that went through a pipe does not know its length.
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", name(&plain(folder)), "-an"])
        .args(["-c:v", "mjpeg", "-f", "avi", "-"])
        .output()
        .expect("ffmpeg");
    let piped = folder.join("piped.avi");
    fs::write(&piped, &output.stdout).expect("written");
    assert_eq!(read(&piped).frames.len(), FRAMES);
    let mut unset = output.stdout;
    unset[4..8].fill(0xff);
    fs::write(&piped, &unset).expect("written");
    assert_eq!(read(&piped).frames.len(), FRAMES);
}

#[test]
fn files_that_end_within_their_pictures_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let index_first = ["-c", "copy", "-an", "-movflags", "+faststart"];
    let fragments = ["-c", "copy", "-an", "-movflags", "frag_keyframe+empty_moov"];
    for (file_name, arguments) in [
        ("cut.mp4", &index_first[..]),
        ("fragments.mp4", &fragments),
        ("cut.mkv", &["-c", "copy", "-an"]),
        ("cut.avi", &["-an", "-c:v", "mjpeg"]),
    ] {
        let path = made(folder, file_name, arguments);
        cut(&path, 0.7);
        let result = try_read(&path);
        assert!(
            matches!(
                &result,
                Err(VideoError::Truncated {
                    frames_read: 1..,
                    ..
                })
            ),
            "{file_name}: {:?}",
            result.err()
        );
    }
}

#[test]
fn a_recording_without_its_index_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path(), "died.mp4", &["-c", "copy", "-an"]);
    cut(&path, 0.9);
    let result = try_read(&path);
    assert!(
        matches!(&result, Err(VideoError::NoIndex { .. })),
        "{:?}",
        result.err()
    );
    // An index without pictures is something else.
    let song = folder.path().join("song.m4a");
    make_clip(&song, &["-f", "lavfi", "-i", "sine=duration=1"]);
    assert!(matches!(
        try_read(&song),
        Err(VideoError::NoVideoStream { .. })
    ));
}

// Recognition.

#[test]
fn bare_streams_are_found_by_content_and_told_their_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let videos = folder.join("videos");
    fs::create_dir(&videos).expect("a folder");
    let h264 = ["-an", "-c:v", "libx264", "-f", "h264"];
    let with_rate = ["-an", "-r", "25", "-c:v", "libx264", "-f", "h264"];
    let h265 = [
        "-an",
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=none",
        "-f",
        "hevc",
    ];
    fs::rename(made(folder, "h264", &h264), videos.join("stream.bin")).expect("moved");
    fs::rename(made(folder, "rated", &with_rate), videos.join("rated.264")).expect("moved");
    fs::rename(made(folder, "hevc", &h265), videos.join("phone")).expect("moved");
    let lake = LakePaths::new(folder.join("lake"));
    let summary = ingest(&config(vec![videos.clone()], &lake)).expect("a summary");
    assert_eq!(
        summary.count(|o| matches!(o, VideoOutcome::Ingested)),
        3,
        "{summary:?}"
    );
    let rated = read(&videos.join("rated.264"));
    assert!(
        (rated.frames[1].secs - 0.04).abs() < 1e-9,
        "{}",
        rated.frames[1].secs
    );
    let told = rated.info.warnings.join("\n");
    assert!(told.contains("25 frames/s are assumed"), "{told}");
}

#[test]
fn a_stream_that_states_no_rate_is_read_at_thirty_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("camera.264");
    // MPEG-4 and OpenH264 encoders apart, FFmpeg has no H.264 encoder without a rate; this
    // program's own writes none.
    let (report, _) = ingested(folder.path(), &plain(folder.path()));
    let annotated = &report.outputs[0];
    let convert = [
        "-i",
        name(annotated),
        "-c",
        "copy",
        "-bsf:v",
        "h264_mp4toannexb",
    ];
    make_clip(&path, &[&convert[..], &["-f", "h264"]].concat());
    let video = read(&path);
    assert_eq!(video.frames.len(), FRAMES);
    assert!((video.frames[29].secs - 29.0 / 30.0).abs() < 1e-9);
    let told = video.info.warnings.join("\n");
    assert!(
        told.contains("30 frames/s are assumed") && told.contains("no rate"),
        "{told}"
    );
}

#[test]
fn every_bare_stream_tells_the_rate_that_is_assumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let jpegs = ["-an", "-c:v", "mjpeg", "-q:v", "3", "-f", "mjpeg"];
    let mpeg4 = ["-an", "-c:v", "mpeg4", "-q:v", "3", "-f", "m4v"];
    let h264 = ["-an", "-c:v", "libx264", "-f", "h264"];
    let described = made(folder, "described.264", &h264);
    // A description that is longer than what recognition looks at.
    let description = [
        &b"\0\0\0\x01\x06\x05"[..],
        &[0xff; 19],
        &[0x9b],
        &[b'A'; 5000],
        &[0x80],
    ];
    let stream = fs::read(&described).expect("a file");
    fs::write(&described, [description.concat(), stream].concat()).expect("written");
    for path in [
        made(folder, "camera.mjpeg", &jpegs),
        made(folder, "part 2.m4v", &mpeg4),
        described,
    ] {
        let video = read(&path);
        assert_eq!(video.frames.len(), FRAMES, "{}", path.display());
        let told = video.info.warnings.join("\n");
        assert!(told.contains("30 frames/s are assumed"), "{told}");
        for (n, frame) in video.frames.iter().enumerate() {
            assert!(
                (frame.secs - n as f64 / 30.0).abs() < 1e-9,
                "{}",
                frame.secs
            );
        }
    }
}

#[test]
fn playlists_and_scripts_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let video = plain(folder);
    let hls = folder.join("live.m3u8");
    fs::write(&hls, "#EXTM3U\n#EXTINF:1,\nhttp://192.0.2.1/a.ts\n").expect("written");
    let dash = folder.join("live.mp4");
    fs::write(
        &dash,
        "<?xml version=\"1.0\"?><MPD><BaseURL>http://192.0.2.1/</BaseURL></MPD>",
    )
    .expect("written");
    for path in [&hls, &dash] {
        let Err(error) = try_read(path) else {
            panic!("{} is no video", path.display());
        };
        assert!(matches!(error, VideoError::Playlist { .. }), "{error}");
        assert!(error.to_string().ends_with(name(path)), "{error}");
    }
    let (report, _) = report(folder, &hls);
    assert!(
        matches!(report.outcome, VideoOutcome::Failed { .. }),
        "{report:?}"
    );
    // Other texts by which FFmpeg opens other files.
    let script = folder.join("script.mp4");
    fs::write(
        &script,
        format!("ffconcat version 1.0\nfile {}\n", video.display()),
    )
    .expect("written");
    let session = folder.join("session.mp4");
    fs::write(&session, "v=0\no=- 0 0 IN IP4 192.0.2.1\ns=x\nc=IN IP4 192.0.2.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n").expect("written");
    for path in [&script, &session] {
        let result = try_read(path);
        assert!(
            matches!(result, Err(VideoError::NotAVideo { .. })),
            "{:?}",
            result.err()
        );
    }
}

#[test]
fn names_are_never_taken_for_anything_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let video = plain(folder);
    let not_unicode = std::ffi::OsStr::from_bytes(b"caf\xe9 \xff.mp4").to_owned();
    for file_name in [
        "concat:a|b.mp4",
        "http:x.mp4",
        "%03d.mp4",
        "-i.mp4",
        "subfile,,start,0,:x.mp4",
    ]
    .map(std::ffi::OsString::from)
    .into_iter()
    .chain([not_unicode])
    {
        let path = folder.join(&file_name);
        fs::copy(&video, &path).expect("a copy");
        assert_eq!(read(&path).frames.len(), FRAMES, "{file_name:?}");
    }
}

#[test]
fn broken_bytes_neither_crash_nor_hang() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let files = [
        made(folder, "a.mp4", &["-c", "copy", "-an"]),
        made(folder, "a.mkv", &["-c", "copy", "-an"]),
        made(folder, "a.ts", &["-c", "copy", "-an"]),
        made(folder, "a.avi", &["-an", "-c:v", "mpeg4"]),
        made(
            folder,
            "a.webm",
            &["-an", "-c:v", "libvpx", "-deadline", "realtime"],
        ),
    ];
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for path in &files {
        let whole = fs::read(path).expect("a file");
        for round in 0..12 {
            let mut bytes = whole.clone();
            for _ in 0..=round * 4 {
                // Half of the damage is done to headers.
                let within = if random(2) == 0 {
                    600.min(whole.len())
                } else {
                    whole.len()
                };
                bytes[random(within)] = random(256) as u8;
            }
            let broken = path.with_extension("broken");
            fs::write(&broken, &bytes).expect("written");
            if let Ok(video) = try_read(&broken) {
                assert!(video.frames.iter().all(|frame| frame.secs.is_finite()));
            }
        }
    }
}

// The whole way, with real poses.

#[test]
fn poses_of_odd_files_are_those_of_the_plain_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let demo = installed("demo");
    let cut = ["-ss", "1", "-i", name(&demo), "-an", "-frames:v", "30"];
    let source = folder.join("source.mkv");
    make_clip(
        &source,
        &[&cut[..], &["-vf", "scale=864:486", "-c:v", "ffv1"]].concat(),
    );
    let make = |file_name: &str, arguments: &[&str]| {
        let path = folder.join(file_name);
        make_clip(&path, &[&["-i", name(&source)], arguments].concat());
        path
    };
    let hlg = TO_HDR.replace("TRANSFER", "arib-std-b67");
    let tags = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:log-level=none";
    make("control.mp4", &["-c:v", "libx264", "-crf", "10"]);
    make(
        "wide.mp4",
        &[
            "-vf",
            "scale=648:486,setsar=4/3",
            "-c:v",
            "libx264",
            "-crf",
            "10",
        ],
    );
    make(
        "hlg.mp4",
        &[
            "-vf",
            &hlg,
            "-c:v",
            "libx265",
            "-crf",
            "10",
            "-x265-params",
            tags,
        ],
    );
    let mirrored = make(
        "mirrored.mp4",
        &["-vf", "hflip", "-c:v", "libx264", "-crf", "10"],
    );
    set_matrix(&mirrored, [-1, 0, 0, 1]);
    let arguments = [
        "ingest",
        "control.mp4",
        "wide.mp4",
        "hlg.mp4",
        "mirrored.mp4",
        "--no-video",
    ];
    let output = posedata(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let sql = "
        SELECT odd.file_name, median(sqrt(((a.x - b.x) * 864) ** 2 + ((a.y - b.y) * 486) ** 2)) AS px
        FROM landmarks AS a JOIN videos AS odd USING (video_id)
        JOIN (FROM landmarks JOIN videos USING (video_id) WHERE file_name = 'control.mp4') AS b
            ON a.frame = b.frame AND a.landmark = b.landmark
        WHERE odd.file_name <> 'control.mp4' AND least(a.visibility, b.visibility) > 0.5
        GROUP BY ALL ORDER BY ALL";
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = stdout(&output);
    assert_eq!(rows.lines().count(), 4, "{rows}");
    for row in rows.lines().skip(1) {
        let (_, px) = row.rsplit_once(',').expect("two columns");
        let px: f64 = px.parse().expect("a number");
        assert!(px < 3.0, "{rows}");
    }
}
