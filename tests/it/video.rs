//! Decoding against what ffprobe says of the same files.

use std::path::{Path, PathBuf};
use std::process::Command;

use posedata::pose::crop::{Border, crop_to_rgb};
use posedata::pose::roi::{ImageSize, Region, Roi};
use posedata::random::SplitMix64;
use posedata::video::{Conversion, Frame, PixelRooms, VideoReader};

use crate::real_files::set_matrix;
use crate::support::{for_each_frame, installed, make_clip};

/// Presentation times of all frames from the first on, as FFmpeg sees them.
fn ffprobe_times(path: &Path) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "frame=best_effort_timestamp_time"])
        .arg(path)
        .output()
        .expect("ffprobe; run `make test`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let times: Vec<f64> = text
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect();
    times.iter().map(|time| time - times[0]).collect()
}

fn check_times(path: &Path) {
    let mut ours = Vec::new();
    for_each_frame(path, |_, time_secs, _| ours.push(time_secs));
    let expected = ffprobe_times(path);
    assert_eq!(ours.len(), expected.len(), "{}", path.display());
    for (frame, (ours, expected)) in ours.iter().zip(&expected).enumerate() {
        // Containers round to their own clock; Matroska's ticks are milliseconds.
        assert!(
            (ours - expected).abs() < 0.0011,
            "{}: frame {frame} at {ours} s, ffprobe says {expected} s",
            path.display()
        );
    }
}

fn test_picture(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=128x72:rate=30:duration=1",
    ];
    make_clip(&path, &[&source, arguments].concat());
    path
}

#[test]
fn timestamps_are_the_containers_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    check_times(&installed("demo"));
    check_times(&installed("single_cam01"));
    check_times(&test_picture(
        folder,
        "constant.mp4",
        &["-c:v", "libx264", "-bf", "2"],
    ));
    check_times(&test_picture(
        folder,
        "late start.mkv",
        &["-output_ts_offset", "2.5"],
    ));
    check_times(&test_picture(folder, "vp8.webm", &["-c:v", "libvpx"]));
    check_times(&test_picture(folder, "motion.avi", &["-c:v", "mjpeg"]));
}

#[test]
fn a_variable_frame_rate_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let uneven = [
        "-vf",
        "select='not(mod(n,3))+eq(mod(n,7),1)'",
        "-vsync",
        "vfr",
    ];
    for (name, codec) in [
        ("no reordering.mp4", ["-c:v", "libx264", "-bf", "0"]),
        ("reordered.mp4", ["-c:v", "libx264", "-bf", "3"]),
        ("reordered.mkv", ["-c:v", "libx264", "-bf", "3"]),
    ] {
        check_times(&test_picture(
            folder.path(),
            name,
            &[&uneven[..], &codec].concat(),
        ));
    }
}

/// A clip whose stored picture is red at the left and blue at the right, turned clockwise.
fn two_coloured(path: &Path, rotation_deg: u16) {
    let graph = "color=red:size=64x96:rate=10:duration=0.5[l];color=blue:size=64x96:rate=10:duration=0.5[r];[l][r]hstack";
    make_clip(path, &["-filter_complex", graph]);
    // FFmpeg's versions do not agree on which way its option `rotate` turns, so the matrix of
    // ISO/IEC 14496-12, 6.2.2, is written here.
    set_matrix(
        path,
        match rotation_deg {
            90 => [0, 1, -1, 0],
            180 => [-1, 0, 0, -1],
            _ => [0, -1, 1, 0],
        },
    );
}

#[test]
fn rotation_is_honoured() {
    let folder = tempfile::tempdir().expect("a folder");
    // Turned clockwise, the left edge comes to the top.
    for (rotation, width, height, red_at) in [
        (90, 96, 128, (48, 10)),
        (180, 128, 96, (118, 48)),
        (270, 96, 128, (48, 118)),
    ] {
        let path = folder.path().join(format!("{rotation}.mp4"));
        two_coloured(&path, rotation);
        let mut reader = VideoReader::open(&path).expect("a video");
        let info = reader.info().clone();
        assert_eq!((info.width, info.height), (width, height), "{rotation}");
        assert_eq!(info.rotation_deg, rotation);
        let mut frame = Frame::default();
        assert!(reader.read(&mut frame).expect("a frame"));
        let view = frame.view().expect("pixels");
        assert_eq!(
            (view.width(), view.height()),
            (width as usize, height as usize)
        );
        let [blue, _, red] = view.pixel(red_at.0, red_at.1);
        assert!(red > 200 && blue < 60, "{rotation}: red {red}, blue {blue}");
    }
}

#[test]
fn odd_sizes_and_single_frames_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = folder.path().join("odd.mkv");
    let source = "testsrc=size=127x71:rate=30:duration=0.2";
    make_clip(&odd, &["-f", "lavfi", "-i", source, "-c:v", "ffv1"]);
    for_each_frame(&odd, |_, _, view| {
        assert_eq!((view.width(), view.height()), (127, 71))
    });
    let single = test_picture(folder.path(), "single.mp4", &["-frames:v", "1"]);
    let mut count = 0;
    for_each_frame(&single, |index, time_secs, _| {
        assert_eq!((index, time_secs), (0, 0.0));
        count += 1;
    });
    assert_eq!(count, 1);
}

/// Reads a video in both ways and compares crops of many regions, each made by itself, and whole
/// pictures. Gives how many frames waited for somebody to look, and how many there are.
fn compare_conversions(path: &Path) -> [usize; 2] {
    let open = || VideoReader::open(path).expect("a video");
    let mut on_demand = open().with_conversion(Conversion::OnDemand);
    let mut random = SplitMix64::new(15);
    let rooms = PixelRooms::default();
    let mut waiting = Frame::default();
    let [mut n_waited, mut n_frames] = [0; 2];
    for_each_frame(path, |index, _, whole| {
        assert!(on_demand.read(&mut waiting).expect("a whole video"));
        assert_eq!(waiting.index, index);
        n_waited += usize::from(waiting.view().is_none());
        n_frames += 1;
        let (width, height) = (whole.width() as f64, whole.height() as f64);
        for _ in 0..12 {
            let mut within = |low: f64, high: f64| low + (high - low) * random.next_fraction();
            let roi = Roi {
                center_x_px: within(-0.3, 1.3) * width,
                center_y_px: within(-0.3, 1.3) * height,
                side_px: within(0.02, 0.8) * width.max(height),
                rotation_rad: within(-3.0, 3.0),
            };
            for border in [Border::Zero, Border::Replicate] {
                // Black where nothing was made.
                let rooms = PixelRooms::default();
                let mut pixels = waiting.pixels(&rooms).expect("pixels");
                let view = pixels.show([Region::from(roi).corners()]);
                let crop = |view| crop_to_rgb(view, &roi, 64, border);
                assert!(crop(view) == crop(whole), "frame {index}: {roi:?}");
            }
        }
        let everything = Region::from(Roi::letterbox(ImageSize { width, height })).corners();
        let mut pixels = waiting.pixels(&rooms).expect("pixels");
        assert_eq!(
            [pixels.width(), pixels.height()],
            [whole.width(), whole.height()]
        );
        let view = pixels.show([everything]);
        assert!(view.rows().eq(whole.rows()), "frame {index}");
    });
    assert!(!on_demand.read(&mut waiting).expect("a whole video"));
    [n_waited, n_frames]
}

#[test]
fn parts_of_pictures_have_the_bits_of_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let clip = |name: &str, size: &str, codec: &[&str]| {
        let path = folder.join(name);
        let source = format!("testsrc2=size={size}:rate=10:duration=0.4,noise=alls=40");
        make_clip(&path, &[&["-f", "lavfi", "-i", &source], codec].concat());
        path
    };
    let h264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"];
    let mjpeg = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"];
    let ffv1 = |format| ["-c:v", "ffv1", "-pix_fmt", format];
    let oblong = [&ffv1("yuv420p")[..], &["-aspect", "2:1"]].concat();
    // The decoder stores whole blocks: 368x208.
    let plain = clip("plain.mp4", "354x202", &h264);
    let on_demand = [
        &plain,
        &clip("full.avi", "354x202", &mjpeg),
        &clip("narrow.mkv", "131x98", &ffv1("yuv420p")),
        &clip("tiny.mkv", "5x2", &ffv1("yuv420p")),
    ];
    for path in on_demand {
        let waited = if cfg!(target_arch = "x86_64") { 4 } else { 0 };
        assert_eq!(compare_conversions(path), [waited, 4], "{}", path.display());
    }
    let as_wholes = [
        clip("ten_bits.mkv", "130x98", &ffv1("yuv420p10le")),
        clip("fine.mkv", "130x98", &ffv1("yuv444p")),
        clip("oblong.mkv", "130x98", &oblong),
    ];
    for path in &as_wholes {
        assert_eq!(compare_conversions(path), [0, 4], "{}", path.display());
    }
    // It depends on the decoder how much of such pictures it stores.
    let odd = clip("odd.mkv", "131x97", &ffv1("yuv420p"));
    assert_eq!(compare_conversions(&odd)[1], 4);
    for matrix in [[0, 1, -1, 0], [-1, 0, 0, 1]] {
        set_matrix(&plain, matrix);
        assert_eq!(compare_conversions(&plain), [0, 4], "{matrix:?}");
    }
}

#[test]
fn pictures_wait_or_are_converted_as_their_size_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut stream = Vec::new();
    for (name, size) in [
        ("a.ts", "354x202"),
        ("b.ts", "180x300"),
        ("c.ts", "354x202"),
    ] {
        let path = folder.join(name);
        let source = format!("testsrc2=size={size}:rate=10:duration=0.5");
        let codec = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0"];
        make_clip(
            &path,
            &[&["-f", "lavfi", "-i", &source], &codec[..]].concat(),
        );
        stream.extend(std::fs::read(&path).expect("a stream"));
    }
    let path = folder.join("changing.ts");
    std::fs::write(&path, stream).expect("a file");
    let waited = if cfg!(target_arch = "x86_64") { 10 } else { 0 };
    assert_eq!(compare_conversions(&path), [waited, 15]);
}
