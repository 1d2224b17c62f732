//! Events and cycles from the lake, their queries, the report, and files with moving markers.

use std::fs;
use std::path::Path;

use posedata::lake::{LakePaths, PersonRow, VideoFrame, VideoRecord};
use posedata::metrics::Measurer;
use posedata::pose::landmark::{LANDMARK_COUNT, Landmark};
use posedata::pose::{ImageLandmark, PersonPose};
use posedata::video::MediaTime;
use serde_json::Value;

use crate::poses::{commit_frames, record};
use crate::support::{installed, posedata, stderr, stdout};

const RATE_HZ: f64 = 60.0;
const SIZE_PX: [f64; 2] = [1280.0, 720.0];
const STRIDE_SECS: f64 = 1.1;
const STANCE_SECS: f64 = 0.66;
const FIRST_CONTACT_SECS: f64 = 0.3;
const STEP_PX: f64 = 80.0;
/// Standing, of the walkers below.
const FLIGHT_SECS: f64 = 0.5;
const GRAVITY_PX: f64 = 9.80665 * 240.0 / 0.9;

/// A pose of landmarks in pixels; the world landmarks say the same with 240 px for 0.9 m.
fn pose(points: &[(Landmark, [f64; 2])]) -> PersonPose {
    let hips = points
        .iter()
        .find(|(landmark, _)| *landmark == Landmark::LeftHip);
    let hips = hips.expect("hips").1;
    let mut pose = PersonPose {
        person: 0,
        probability: 1.0,
        landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
        world_m: [[0.0; 3]; LANDMARK_COUNT],
    };
    for (landmark, [x, y]) in points {
        let i = landmark.index();
        pose.landmarks[i] = ImageLandmark {
            x: (x / SIZE_PX[0]) as f32,
            y: (y / SIZE_PX[1]) as f32,
            z: 0.0,
            visibility: 1.0,
            presence: 1.0,
        };
        let meters = |px: f64| (px * 0.9 / 240.0) as f32;
        pose.world_m[i] = [meters(x - hips[0]), meters(y - hips[1]), 0.0];
    }
    pose
}

/// Somebody 430 px tall whose hips are there, and whose heels lie that far ahead of and below them.
fn body(hips: [f64; 2], heels: [[f64; 2]; 2]) -> PersonPose {
    use Landmark::*;
    let [x, y] = hips;
    let mut points = vec![
        (Nose, [x + 10.0, y - 190.0]),
        (LeftShoulder, [x, y - 140.0]),
        (RightShoulder, [x, y - 140.0]),
        (LeftHip, hips),
        (RightHip, hips),
    ];
    let legs = [
        [LeftKnee, LeftAnkle, LeftHeel, LeftFootIndex],
        [RightKnee, RightAnkle, RightHeel, RightFootIndex],
    ];
    for ([knee, ankle, heel, toes], [ahead, down]) in legs.into_iter().zip(heels) {
        let at = [x + ahead, y + down];
        points.extend([
            (knee, [x + ahead / 2.0 + 5.0, y + down / 2.0]),
            (ankle, [at[0] + 5.0, at[1] - 12.0]),
            (heel, at),
            (toes, [at[0] + 55.0, at[1]]),
        ]);
    }
    pose(&points)
}

fn walker(time: f64) -> PersonPose {
    let speed = 2.0 * STEP_PX / STANCE_SECS;
    let heels = [0.0, STRIDE_SECS / 2.0].map(|late| {
        let phase = (time - FIRST_CONTACT_SECS - late).rem_euclid(STRIDE_SECS);
        let swing = ((phase - STANCE_SECS) / (STRIDE_SECS - STANCE_SECS)).max(0.0);
        match phase < STANCE_SECS {
            true => [STEP_PX - speed * phase, 240.0],
            false => {
                let part = swing * std::f64::consts::PI;
                [-STEP_PX * part.cos(), 240.0 - 30.0 * part.sin()]
            }
        }
    });
    body([100.0 + speed * time, 400.0], heels)
}

/// The walker before a camera that lies on its right side by 5 degrees: the floor goes up to the right.
fn tilted_walker(time: f64) -> PersonPose {
    let (sin, cos) = 5.0_f64.to_radians().sin_cos();
    let mut pose = walker(time);
    for point in &mut pose.landmarks {
        let [x, y] = [
            f64::from(point.x) * SIZE_PX[0],
            f64::from(point.y) * SIZE_PX[1],
        ];
        point.x = ((cos * x + sin * y) / SIZE_PX[0]) as f32;
        point.y = ((cos * y - sin * x) / SIZE_PX[1]) as f32;
    }
    for place in &mut pose.world_m {
        let [x, y] = [f64::from(place[0]), f64::from(place[1])];
        (place[0], place[1]) = ((cos * x + sin * y) as f32, (cos * y - sin * x) as f32);
    }
    pose
}

/// Jumps from the first second on, every 1.5 s.
fn jumper(time: f64) -> PersonPose {
    let air = (time - 1.0).rem_euclid(1.5);
    let up = match air < FLIGHT_SECS && time >= 1.0 {
        true => GRAVITY_PX / 2.0 * air * (FLIGHT_SECS - air),
        false => 0.0,
    };
    body([600.0, 400.0 - up], [[0.0, 240.0], [0.0, 240.0]])
}

fn commit(folder: &Path, name: &str, id: char, secs: f64, person: fn(f64) -> PersonPose) {
    commit_people(folder, name, id, secs, |time| vec![person(time)]);
}

fn commit_people(
    folder: &Path,
    name: &str,
    id: char,
    secs: f64,
    people: impl Fn(f64) -> Vec<PersonPose>,
) {
    let frame_count = (secs * RATE_HZ) as u64;
    let record = VideoRecord {
        // Landmarks and their visibility are smoothed at ingest.
        config: r#"{"smoothing":"on"}"#.into(),
        width_px: SIZE_PX[0] as u32,
        height_px: SIZE_PX[1] as u32,
        fps: Some(RATE_HZ),
        duration_secs: secs,
        ..record(&id.to_string().repeat(32), name, frame_count)
    };
    let mut measurer = Measurer::new();
    let frames = (0..frame_count).map(move |frame| {
        let time_secs = frame as f64 / RATE_HZ;
        let poses = people(time_secs);
        let metrics = measurer.measure(&poses, time_secs, SIZE_PX);
        let persons = poses.into_iter().zip(metrics);
        VideoFrame {
            frame,
            time: MediaTime::from_secs(time_secs),
            persons: persons
                .map(|(pose, metrics)| PersonRow { pose, metrics })
                .collect(),
        }
    });
    commit_frames(&LakePaths::new(folder.join("lake")), &record, frames);
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = posedata(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output)
}

#[track_caller]
fn json(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--format", "json"]].concat();
    serde_json::from_str(&run(folder, &arguments)).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn a_walkers_steps_are_in_the_lake_and_their_numbers_in_the_queries() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit(folder, "walk.mp4", 'a', 4.5, walker);
    let detected = run(folder, &["events", "detect", "--json", "--height-m", "1.7"]);
    let detected: Value = serde_json::from_str(&detected).expect("JSON");
    let found = &detected["videos"][0]["movement"];
    assert_eq!(found["initial_contacts"], 8, "{found}");
    assert_eq!(found["jumps"], 0);

    let sql = "select event, side, time_secs, frame, method from events where event = 'initial_contact' order by time_secs";
    let events = json(folder, &["query", "-e", sql]);
    for (i, event) in events.iter().enumerate() {
        let time = FIRST_CONTACT_SECS + STRIDE_SECS / 2.0 * i as f64;
        assert!(
            (number(&event["time_secs"]) - time).abs() < 1.0 / RATE_HZ,
            "{event} {time}"
        );
        assert_eq!(event["side"], if i % 2 == 0 { "left" } else { "right" });
        assert_eq!(event["method"], "zeni");
        let frame = number(&event["time_secs"]) * RATE_HZ;
        assert!((number(&event["frame"]) - frame).abs() <= 0.5 + 1e-9);
    }

    let gait = json(folder, &["query", "gait"]);
    assert_eq!(gait.len(), 2, "a row for each side");
    for row in &gait {
        assert_eq!(row["kind"], "walk");
        assert!(
            (number(&row["cadence_steps_per_min"]) - 120.0 / STRIDE_SECS).abs() < 2.0,
            "{row}"
        );
        assert!((number(&row["stance_percent"]) - 60.0).abs() < 3.0, "{row}");
        assert!(
            (number(&row["double_support_percent"]) - 20.0).abs() < 6.0,
            "{row}"
        );
        let speed = number(&row["speed_m_per_sec"]);
        // Heel to ankle, shank, thigh, trunk, and 1.5 times neck to nose, lengthened by 6.3 %.
        let height_px = (13.0 + 108.0 + 120.0 + 140.0 + 1.5 * 51.0) * 1.063;
        let expected = 2.0 * STEP_PX / STANCE_SECS * 1.7 / height_px;
        assert!((speed / expected - 1.0).abs() < 0.05, "{speed} {expected}");
    }
    let symmetry = json(folder, &["query", "cycle_symmetry"]);
    assert!(!symmetry.is_empty());
    for row in symmetry {
        assert!(number(&row["symmetry_index_percent"]).abs() < 5.0, "{row}");
    }
    let curves = |metric: &str| {
        let metric = format!("metric={metric}");
        json(folder, &["query", "cycle_curves", "--param", &metric])
    };
    assert_eq!(curves("knee").len(), 2 * 101);
    // What has no side is there for the strides of both feet.
    let trunk = curves("trunk_segment_deg");
    assert_eq!(trunk.len(), 2 * 101);
    for row in &trunk {
        assert!((number(&row["mean"]) - 90.0).abs() < 0.5, "{row}");
        assert!(
            ["left", "right"].map(Value::from).contains(&row["side"]),
            "{row}"
        );
    }
    let unknown = posedata(
        folder,
        &["query", "cycle_curves", "--param", "metric=knees"],
    );
    assert_eq!(unknown.status.code(), Some(1));

    // Nothing is there twice, and what metrics recompute finds is the same.
    let all = "select * exclude (confidence) from events order by time_secs, side, event";
    let before = run(folder, &["query", "-e", all, "--format", "csv"]);
    run(folder, &["metrics", "recompute", "--height-m", "1.7"]);
    assert_eq!(
        run(folder, &["query", "-e", all, "--format", "csv"]),
        before
    );
    run(folder, &["lake", "check"]);

    run(folder, &["remove", "walk.mp4"]);
    let counts = "select (select count(*) from events) + (select count(*) from cycles) as n";
    assert_eq!(json(folder, &["query", "-e", counts])[0]["n"], 0);
}

#[test]
fn jumps_have_the_height_of_their_flight() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit(folder, "jump.mp4", 'b', 6.5, jumper);
    run(folder, &["events", "detect", "--height-m", "1.7"]);
    let jumps = json(folder, &["query", "jumps"]);
    assert_eq!(jumps.len(), 4, "{jumps:?}");
    for (i, jump) in jumps.iter().enumerate() {
        let take_off = 1.0 + 1.5 * i as f64;
        assert!(
            (number(&jump["take_off_secs"]) - take_off).abs() < 1.0 / RATE_HZ,
            "{jump}"
        );
        assert!(
            (number(&jump["flight_secs"]) - FLIGHT_SECS).abs() < 1.0 / RATE_HZ,
            "{jump}"
        );
        let height_cm = 100.0 * 9.80665 * FLIGHT_SECS * FLIGHT_SECS / 8.0;
        assert!(
            (number(&jump["height_by_flight_cm"]) - height_cm).abs() < 2.5,
            "{jump}"
        );
        assert!(
            (number(&jump["height_by_hips_cm"]) - height_cm).abs() < 5.0,
            "{jump}"
        );
    }
}

/// A walker who goes to the right, and one who comes from there; after the time at which they meet they have each
/// other's number.
fn who_meet(time: f64, is_exchanged: bool) -> Vec<PersonPose> {
    let first = walker(time);
    let mut second = walker(time + 0.2);
    for (point, world) in second.landmarks.iter_mut().zip(&mut second.world_m) {
        point.x = 1.0 - point.x;
        point.y += 0.02;
        world[0] = -world[0];
    }
    second.person = 1;
    let mut both = vec![first, second];
    if is_exchanged && time > MEETING_SECS {
        both.swap(0, 1);
        (both[0].person, both[1].person) = (0, 1);
    }
    both
}

/// When both are in the picture's middle: its half less where they begin, by their speed.
const MEETING_SECS: f64 = 540.0 / (2.0 * STEP_PX / STANCE_SECS) - 0.1;

#[test]
fn no_stride_is_made_of_two_people_who_meet() {
    for (is_exchanged, id) in [(false, 'a'), (true, 'b')] {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        commit_people(folder, "meet.mp4", id, 4.5, |time| {
            who_meet(time, is_exchanged)
        });
        run(folder, &["events", "detect"]);
        let sql = format!(
            "select count(*) filter (start_secs < {MEETING_SECS} and end_secs > {MEETING_SECS}) as across,
                    count(*) filter (kind = 'walk') as strides, count(*) as cycles
             from cycles group by person order by person"
        );
        let rows = json(folder, &["query", "-e", &sql]);
        assert_eq!(rows.len(), 2, "{rows:?}");
        for row in &rows {
            assert_eq!(number(&row["across"]) == 0.0, is_exchanged, "{row}");
            // Two contacts of a foot lie between the beginning, or the end, and the meeting; of the first of all
            // nobody saw where the foot came from.
            let least = if is_exchanged { 1.0 } else { 4.0 };
            assert!(number(&row["strides"]) >= least, "{row}");
            assert_eq!(row["strides"], row["cycles"], "{row}");
        }
    }
}

/// Jumps 0.15 s after he is found. The low pass on visibility begins with a frame in which the model hardly sees
/// the legs, and follows slowly although it sees them from then on.
fn early_jumper(time: f64) -> PersonPose {
    let mut pose = jumper(time + 0.85);
    let frame = (time * RATE_HZ).round();
    let seen = 0.75 - 0.7 * 0.9_f64.powf(frame);
    for landmark in Landmark::ALL {
        let name = landmark.name();
        if ["knee", "ankle", "heel", "foot"]
            .iter()
            .any(|part| name.contains(part))
        {
            pose.landmarks[landmark.index()].visibility = seen as f32;
        }
    }
    pose
}

#[test]
fn somebody_who_jumps_as_soon_as_they_are_found_has_jumped() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit(folder, "early.mp4", 'a', 3.0, early_jumper);
    run(folder, &["events", "detect"]);
    let hidden =
        "select count(*) as n from landmarks where landmark = 'left_heel' and visibility < 0.5";
    assert_eq!(
        json(folder, &["query", "-e", hidden])[0]["n"],
        10,
        "as at 0.15 s"
    );
    let jumps = json(folder, &["query", "jumps"]);
    assert_eq!(jumps.len(), 2, "{jumps:?}");
    // The first one's take-off lies in the 0.3 s in which landmarks may lie anywhere near the body.
    let uncertain = [(0.15, 10.0..25.0), (1.65, 1.0..6.0)];
    for (jump, (take_off, most_cm)) in jumps.iter().zip(uncertain) {
        let off = number(&jump["take_off_secs"]) - take_off;
        assert!(off.abs() < 1.0 / RATE_HZ, "{jump}");
        let height_cm = number(&jump["height_by_flight_cm"]);
        let uncertain_cm = number(&jump["uncertain_by_cm"]);
        assert!((height_cm - 30.6).abs() < uncertain_cm, "{jump}");
        assert!(most_cm.contains(&uncertain_cm), "{jump}");
    }
}

/// The jumper, and 400 px to the right somebody half as tall in the picture who jumps as high in pixels.
fn two_jumpers(time: f64) -> Vec<PersonPose> {
    let tall = jumper(time);
    let mut far = tall.clone();
    far.person = 1;
    for point in &mut far.landmarks {
        point.x = (point.x - 0.4) / 2.0 + 0.7;
        point.y = (point.y - 0.5) / 2.0 + 0.5;
    }
    vec![tall, far]
}

#[test]
fn a_height_is_that_of_one_person_and_nobody_elses() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit_people(folder, "two.mp4", 'a', 6.5, two_jumpers);
    let by_hips = |arguments: &[&str]| -> (Vec<Option<f64>>, String) {
        let arguments = [&["events", "detect"], arguments].concat();
        let detected = posedata(folder, &arguments);
        assert!(detected.status.success(), "{}", stderr(&detected));
        let sql = "select person, avg(height_hips_m) as m from cycles where kind = 'jump' group by person order by person";
        let rows = json(folder, &["query", "-e", sql]);
        assert_eq!(rows.len(), 2, "{rows:?}");
        let heights = rows.iter().map(|row| row["m"].as_f64()).collect();
        (heights, stderr(&detected))
    };
    let (heights, told) = by_hips(&["--height-m", "1.7", "--person", "0"]);
    let tall = heights[0].expect("a height");
    assert_eq!(heights[1], None);
    assert!(
        told.contains("person 1 stay empty") && told.contains("--height-m 1=METRES"),
        "{told}"
    );
    // Half as many pixels tall, and half as many high: as high in metres, with their own height.
    let (heights, told) = by_hips(&["--height-m", "0=1.7,1=1.7"]);
    assert!((heights[0].expect("a height") - tall).abs() < 1e-6);
    assert!(
        (heights[1].expect("a height") - tall).abs() < 0.02 * tall,
        "{heights:?}"
    );
    assert!(!told.contains("stay empty"), "{told}");
    let (heights, _) = by_hips(&["--height-m", "0=1.7", "--height-m", "1=0.85"]);
    assert!(
        (heights[1].expect("a height") - tall / 2.0).abs() < 0.02 * tall,
        "{heights:?}"
    );

    run(folder, &["metrics", "recompute", "--height-m", "1=1.7"]);
    let sql = "select person, count(meters_per_px) as n, count(*) as frames from metrics_filtered group by person order by person";
    let rows = json(folder, &["query", "-e", sql]);
    assert_eq!(
        (&rows[0]["n"], &rows[1]["n"]),
        (&Value::from(0), &rows[1]["frames"]),
        "{rows:?}"
    );

    for (arguments, words, code) in [
        (
            &["--height-m", "1.7,1.8"][..],
            "two heights for the main person",
            1,
        ),
        (
            &["--height-m", "1=1.7,1=1.8"],
            "two heights for person 1",
            1,
        ),
        (
            &["--height-m", "1.7,0=1.8"],
            "person 0, the main one, has two heights",
            2,
        ),
        (&["--height-m", "5=1.7"], "no person 5", 2),
        (
            &["--height-m", "0=1.7", "--person", "1"],
            "none is given without a person",
            1,
        ),
        (&["--height-m", "0=17"], "expected metres", 1),
        (&["--height-m", "anna=1.7"], "number of a person", 1),
    ] {
        let refused = posedata(folder, &[&["events", "detect"], arguments].concat());
        assert!(
            stderr(&refused).contains(words),
            "{arguments:?}: {}",
            stderr(&refused)
        );
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn the_report_shows_the_numbers_of_the_queries_and_the_sql_that_gave_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit(folder, "before <b>.mp4", 'a', 4.5, walker);
    commit(folder, "after.mp4", 'b', 6.5, jumper);
    run(folder, &["metrics", "recompute"]);
    let compared = [
        "report",
        "before <b>.mp4",
        "after.mp4",
        "--output",
        "r.html",
        "--no-pictures",
    ];
    run(folder, &compared);
    let page = fs::read_to_string(folder.join("r.html")).expect("a page");
    assert!(!page.contains("<b>.mp4"), "names are text, not markup");
    assert!(page.contains("before &lt;b&gt;.mp4"));
    for elsewhere in ["<script", "<link", "src=\"http", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    let sql = "select round(120 / avg(end_secs - start_secs), 1) as cadence from cycles where kind = 'walk' and side = 'left'";
    let stride = "select round(avg(end_secs - start_secs), 2) as v from cycles where kind = 'walk' and side = 'left'";
    let stride = number(&json(folder, &["query", "-e", stride])[0]["v"]);
    assert!(
        page.contains(&format!("<td class=\"number\">{stride:.2} &plusmn; ")),
        "{stride}"
    );
    assert!(number(&json(folder, &["query", "-e", sql])[0]["cadence"]) > 100.0);
    // Each statement runs as it stands there, and gives what the page shows.
    let statements: Vec<String> = (page.split("<summary>").skip(1))
        .map(|part| {
            let text = part.split("<pre>").nth(1).expect("a statement");
            let text = text.split("</pre>").next().expect("its end");
            let text = text.replace("&lt;", "<").replace("&gt;", ">");
            text.replace("&quot;", "\"").replace("&amp;", "&")
        })
        .collect();
    assert_eq!(statements.len(), 6);
    let results: Vec<Vec<Value>> = (statements.iter())
        .map(|sql| json(folder, &["query", "-e", sql]))
        .collect();
    assert_eq!(results[0].len(), 2, "recordings");
    let numbers = &results[2];
    assert!(numbers.len() > 8, "{numbers:?}");
    let cadence = (numbers.iter()).find(|row| row["quantity"] == "Cadence (steps/min)");
    let cadence = &cadence.expect("a cadence")["mean1"];
    let gait = &json(folder, &["query", "gait"])[0];
    assert_eq!(cadence, &gait["cadence_steps_per_min"], "{gait}");
    for row in numbers.iter().filter(|row| row["sd1"].is_number()) {
        let decimals = number(&row["decimals"]) as usize;
        let [mean, sd] = ["mean1", "sd1"].map(|name| format!("{:.decimals$}", number(&row[name])));
        let shown = format!("<td class=\"number\">{mean} &plusmn; {sd}</td>");
        assert!(page.contains(&shown), "{shown}");
    }
    assert!(
        page.matches("<svg ").count() >= 6,
        "curves of hip, knee and ankle of two movements"
    );
    assert!(
        page.contains("none were found"),
        "one has no such curves, and stands beside the other all the same"
    );

    run(folder, &["tag", "after.mp4", "--subject", "anna"]);
    run(
        folder,
        &[
            "report",
            "--subject",
            "anna",
            "--output",
            "anna.html",
            "--no-pictures",
        ],
    );
    let page = fs::read_to_string(folder.join("anna.html")).expect("a page");
    assert!(page.contains("<h1>anna</h1>") && page.contains("Height by flight time (cm)"));
    let nobody = ["report", "after.mp4", "--person", "7", "--output", "n.html"];
    let nobody = posedata(folder, &nobody);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        stderr(&nobody).contains("has no person 7 (it has 0)"),
        "{}",
        stderr(&nobody)
    );
    assert!(!folder.join("n.html").exists());

    // Two recordings of one name are told apart.
    commit(folder, "after.mp4", 'c', 1.0, jumper);
    let same = [
        "report",
        &"b".repeat(32),
        &"c".repeat(32),
        "--output",
        "s.html",
        "--no-pictures",
    ];
    run(folder, &same);
    let page = fs::read_to_string(folder.join("s.html")).expect("a page");
    assert!(page.contains("<b>after.mp4 (bbbbbbbb)</b> and <b>after.mp4 (cccccccc)</b>"));

    let unknown = posedata(
        folder,
        &["report", "--subject", "ben", "--output", "b.html"],
    );
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("posedata tag"),
        "{}",
        stderr(&unknown)
    );
}

/// A little-endian number of a C3D file.
fn float(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[test]
fn other_programs_get_the_points_that_the_lake_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit(folder, "walk.mp4", 'a', 1.0, walker);
    for format in ["c3d", "openpose", "coco-keypoints"] {
        run(folder, &["export", format]);
    }
    let sql = "select frame, landmark, x * 1280 as x, y * 720 as y, world_x_m::double as wx, world_y_m::double as wy from landmarks where landmark in ('left_heel', 'nose') order by frame, landmark";
    let rows = json(folder, &["query", "-e", sql]);
    let row = |frame: usize, name: &str| {
        let found = rows
            .iter()
            .find(|row| row["frame"] == frame && row["landmark"] == name);
        found.expect("a landmark").clone()
    };
    let close = |a: f64, b: f64| (a - b).abs() < 1e-3;

    let text = fs::read_to_string(folder.join("output/walk_json/walk_000000000007_keypoints.json"));
    let frame: Value = serde_json::from_str(&text.expect("a frame")).expect("JSON");
    let points = frame["people"][0]["pose_keypoints_2d"]
        .as_array()
        .expect("points");
    assert_eq!(points.len(), 75);
    // BODY_25: 0 is the nose, 21 the left heel.
    for (place, name) in [(0, "nose"), (21, "left_heel")] {
        let wanted = row(7, name);
        assert!(
            close(number(&points[3 * place]), number(&wanted["x"])),
            "{name}"
        );
        assert!(
            close(number(&points[3 * place + 1]), number(&wanted["y"])),
            "{name}"
        );
    }
    assert_eq!(
        fs::read_dir(folder.join("output/walk_json"))
            .expect("files")
            .count(),
        60
    );

    let text = fs::read_to_string(folder.join("output/walk_coco.json")).expect("a file");
    let coco: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(coco["images"].as_array().expect("images").len(), 60);
    assert_eq!(coco["annotations"][7]["image_id"], 7);
    assert!(close(
        number(&coco["annotations"][7]["keypoints"][0]),
        number(&row(7, "nose")["x"])
    ));

    let bytes = fs::read(folder.join("output/walk.c3d")).expect("a file");
    assert_eq!(bytes.len() % 512, 0);
    assert_eq!(&bytes[..2], &[2, 0x50]);
    assert_eq!(u16::from_le_bytes([bytes[2], bytes[3]]), 33);
    assert_eq!(u16::from_le_bytes([bytes[8], bytes[9]]), 60);
    assert_eq!(float(&bytes, 20), 60.0);
    let data = (usize::from(u16::from_le_bytes([bytes[16], bytes[17]])) - 1) * 512;
    let heel = data + (7 * 33 + Landmark::LeftHeel.index()) * 16;
    let wanted = row(7, "left_heel");
    assert!(close(
        f64::from(float(&bytes, heel)),
        1000.0 * number(&wanted["wx"])
    ));
    assert!(close(
        f64::from(float(&bytes, heel + 4)),
        -1000.0 * number(&wanted["wy"])
    ));
}

/// Frame, time and coordinates of each row of a TRC file.
fn trc_rows(text: &str) -> Vec<Vec<f64>> {
    (text.lines().skip(5).filter(|line| !line.is_empty()))
        .map(|line| {
            line.split('\t')
                .map(|cell| cell.parse().expect("a number"))
                .collect()
        })
        .collect()
}

/// A grown-up, and a child half as tall 400 px to the right, whose world landmarks are those of a grown-up,
/// as a model gives them.
fn grown_up_and_child(time: f64) -> Vec<PersonPose> {
    let grown_up = body([300.0 + 20.0 * time, 400.0], [[0.0, 240.0]; 2]);
    let mut child = grown_up.clone();
    child.person = 1;
    for point in &mut child.landmarks {
        let px = [
            f64::from(point.x) * SIZE_PX[0],
            f64::from(point.y) * SIZE_PX[1],
        ];
        let [x, y] = [700.0 + px[0] / 2.0, 320.0 + px[1] / 2.0];
        (point.x, point.y) = ((x / SIZE_PX[0]) as f32, (y / SIZE_PX[1]) as f32);
    }
    vec![grown_up, child]
}

#[test]
fn people_who_travel_share_one_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit_people(folder, "two.mp4", 'a', 1.0, grown_up_and_child);
    let tall_m = |arguments: &[&str], person: usize| {
        let arguments = [&["export", "trc", "--travel"], arguments].concat();
        run(folder, &arguments);
        let file = folder.join(format!("output/two_person{person}.trc"));
        let rows = trc_rows(&fs::read_to_string(file).expect("a file"));
        let up = |landmark: Landmark| rows[10][2 + 3 * landmark.index() + 1];
        let right = rows[10][2 + 3 * Landmark::LeftHip.index()];
        (
            up(Landmark::Nose) - up(Landmark::LeftHeel),
            right,
            up(Landmark::LeftHeel),
        )
    };
    let main = [["--height-m", "1.8"].as_slice(), &[]];
    for arguments in main {
        let (grown_up, left, floor) = tall_m(arguments, 0);
        let (child, right, child_floor) = tall_m(arguments, 1);
        assert!((child / grown_up - 0.5).abs() < 0.01, "{child} {grown_up}");
        // 1/1280 of the picture's width is as far for both; both stand on one floor.
        let px = (right - left) / (700.0 + 150.0 - 300.0);
        assert!(
            (px * 430.0 / grown_up - 1.0).abs() < 0.02,
            "{px} {grown_up}"
        );
        assert!(
            floor.abs() < 0.01 && child_floor.abs() < 0.01,
            "{floor} {child_floor}"
        );
    }
    // Whose height is said is the scale.
    let (child, ..) = tall_m(&["--height-m", "0.9", "--person", "1"], 1);
    let (again, ..) = tall_m(&["--height-m", "1.8"], 1);
    assert!((child - again).abs() < 0.01, "{child} {again}");
}

#[test]
fn markers_that_travel_stand_still_where_the_foot_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    commit(folder, "walk.mp4", 'a', 2.0, walker);
    run(folder, &["export", "trc", "--travel", "--height-m", "1.7"]);
    let text = fs::read_to_string(folder.join("output/walk.trc")).expect("a file");
    let heel = 2 + 3 * Landmark::LeftHeel.index();
    let rows = trc_rows(&text);
    let at = |time: f64| rows.iter().find(|row| row[1] >= time).expect("a row")[heel];
    let (early, late) = (at(FIRST_CONTACT_SECS + 0.1), at(FIRST_CONTACT_SECS + 0.5));
    assert!((early - late).abs() < 0.02, "{early} {late}");
    let next = at(FIRST_CONTACT_SECS + STRIDE_SECS + 0.1);
    assert!(next - late > 0.5, "{next} {late}");
    // In the room the floor is level and at 0, also before a camera that is not.
    commit(folder, "tilted.mp4", 'b', 4.0, tilted_walker);
    for (arguments, is_level) in [
        (&[][..], true),
        (&["--floor-angle", "5"], true),
        (&["--floor-angle", "0"], false),
    ] {
        let arguments = [&["export", "trc", "tilted.mp4", "--travel"], arguments].concat();
        run(folder, &arguments);
        let text = fs::read_to_string(folder.join("output/tilted.trc")).expect("a file");
        let rows = trc_rows(&text);
        let stands = [0.1, 0.5, STRIDE_SECS + 0.1, STRIDE_SECS + 0.5];
        let highest = (stands.iter())
            .map(|secs| {
                let mut rows = rows.iter();
                let row = rows.find(|row| row[1] >= FIRST_CONTACT_SECS + secs);
                row.expect("a row")[heel + 1].abs()
            })
            .fold(0.0, f64::max);
        assert_eq!(highest < 0.02, is_level, "{arguments:?}: {highest}");
    }
    let refused = posedata(folder, &["export", "csv", "--travel"]);
    assert_eq!(refused.status.code(), Some(1));
}

/// Frames of the demo video (Pose2Sim's, from Sports2D) in which, by looking at them, the feet of the
/// man who does jumping jacks have just left the roof, and touch it again.
const LABELLED_JUMPS: [[f64; 2]; 4] = [[12.0, 20.0], [29.0, 38.0], [47.0, 56.0], [64.0, 72.0]];
/// Frames in which, by looking at them, a heel of the woman who walks past first touches the grass.
const LABELLED_CONTACTS: [(f64, &str); 5] = [
    (79.0, "left"),
    (98.0, "right"),
    (116.0, "left"),
    (135.0, "right"),
    (152.0, "left"),
];
/// And in which her toes leave it.
const LABELLED_TOE_OFFS: [(f64, &str); 4] = [
    (86.0, "right"),
    (105.0, "left"),
    (123.0, "right"),
    (141.0, "left"),
];

/// Between these frames he hops as he turns, so low that one rounding more or less decides whether it is
/// told.
const HOP_FRAMES: std::ops::RangeInclusive<f64> = 86.0..=98.0;

/// The labelled jumps are in the lake, and no other one but that hop: afterwards he stands on the edge while
/// his feet tremble. Where he is `just_found` in the first one, his landmarks tremble by as much as he jumps:
/// it may be missing, or told with what it is worth.
#[track_caller]
fn check_jumps(folder: &Path, just_found: bool) {
    let mut jumps = json(folder, &["query", "jumps"]);
    jumps.retain(|jump| !HOP_FRAMES.contains(&(number(&jump["take_off_secs"]) * 30.0)));
    let mut labels = &LABELLED_JUMPS[..];
    if just_found && jumps.len() + 1 == labels.len() {
        labels = &labels[1..];
    }
    assert_eq!(jumps.len(), labels.len(), "{jumps:?}");
    for (jump, [take_off, landing]) in jumps.iter().zip(labels) {
        let is_uncertain = just_found && *take_off == LABELLED_JUMPS[0][0];
        let most_frames = if is_uncertain { 4.0 } else { 2.0 };
        let off = |name: &str, frame: f64| (number(&jump[name]) * 30.0 - frame).abs();
        assert!(off("take_off_secs", *take_off) < most_frames, "{jump}");
        assert!(off("landing_secs", *landing) < most_frames, "{jump}");
        // As uncertain as it is said to be, or not told at all.
        if is_uncertain && !jump["not_told"].is_null() {
            let heights = [&jump["height_by_flight_cm"], &jump["height_by_hips_cm"]];
            assert_eq!(heights, [&Value::Null; 2], "{jump}");
            let why = jump["not_told"].as_str();
            assert!(why.is_some_and(|why| why.contains("just found")), "{jump}");
            continue;
        }
        assert!(jump["not_told"].is_null(), "{jump}");
        let labelled_secs = (landing - take_off) / 30.0;
        let labelled_cm = 100.0 * 9.80665 * labelled_secs * labelled_secs / 8.0;
        let height_off = number(&jump["height_by_flight_cm"]) - labelled_cm;
        let uncertain_cm = number(&jump["uncertain_by_cm"]);
        assert!(height_off.abs() < uncertain_cm, "{jump}");
    }
}

#[test]
fn jumps_of_the_demo_video_are_found_where_one_person_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let demo = installed("demo");
    let demo = demo.to_str().expect("a path");
    run(folder, &["ingest", demo, "--no-video"]);
    run(folder, &["events", "detect", "--height-m", "1.75"]);
    check_jumps(folder, true);
}

#[test]
fn steps_and_jumps_of_the_demo_video_are_those_that_people_see() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let demo = installed("demo");
    let demo = demo.to_str().expect("a path");
    run(
        folder,
        &["ingest", demo, "--no-video", "--max-persons", "3"],
    );
    run(folder, &["events", "detect"]);
    check_jumps(folder, false);

    let sql = "select person, event, side, time_secs * 30 as frame from events
               where event in ('initial_contact', 'toe_off') order by time_secs";
    let steps = json(folder, &["query", "-e", sql]);
    let (first, side) = LABELLED_CONTACTS[0];
    let is_first =
        |step: &&Value| step["side"] == side && (number(&step["frame"]) - first).abs() <= 3.0;
    let walker = &steps.iter().find(is_first).expect("the walker")["person"];
    let of = |event: &str| -> Vec<&Value> {
        let within = |step: &&Value| (75.0..156.0).contains(&number(&step["frame"]));
        let is_hers = |step: &&Value| step["event"] == event && step["person"] == *walker;
        steps.iter().filter(is_hers).filter(within).collect()
    };
    // Toes are farthest behind the hips a little before they leave the ground.
    for (event, labels, most_frames) in [
        ("initial_contact", &LABELLED_CONTACTS[..], 1.5),
        ("toe_off", &LABELLED_TOE_OFFS, 3.0),
    ] {
        for (frame, side) in labels {
            let is_near = |step: &&&Value| {
                step["side"] == *side && (number(&step["frame"]) - frame).abs() <= most_frames
            };
            let found = of(event).iter().filter(is_near).count();
            assert_eq!(
                found, 1,
                "{event} of the {side} foot at frame {frame}: {steps:?}"
            );
        }
    }
    assert_eq!(
        of("initial_contact").len(),
        LABELLED_CONTACTS.len(),
        "{steps:?}"
    );
    // Whose feet stand makes no steps.
    assert!(
        steps.iter().all(|step| step["person"] == *walker),
        "{steps:?}"
    );
    let strides = json(folder, &["query", "gait"]);
    assert_eq!(strides.len(), 2, "{strides:?}");
    for row in &strides {
        let off = number(&row["stride_secs"]) - 1.22;
        assert!(off.abs() < 0.05, "{row}");
    }
    // His arms go up in two jumping jacks, and before he jumps down; whoever runs away bends no knee for
    // exercise.
    let arms = json(folder, &["query", "repetitions"]);
    let is_shoulder = |row: &Value| {
        row["angle"]
            .as_str()
            .is_some_and(|a| a.ends_with("shoulder_deg"))
    };
    assert!(!arms.is_empty() && arms.iter().all(is_shoulder), "{arms:?}");
}
