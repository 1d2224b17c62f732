//! Several people in one picture, with the real models. Clips are cut together from the installed
//! ones; those with several people show two, and a third one far behind.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use posedata::image::{BgrView, Picture, Pixels};
use posedata::media_time::MediaTime;
use posedata::pose::{
    HeldBack, MultiPersonTracker, PersonPose, Pick, PoseBackend, PoseTracker, TrackerConfig,
    Tracking,
};

use crate::support::{
    for_each_frame, for_first_frames, installed, make_clip, models, posedata, stderr, stdout,
    store, tracker,
};

fn config(max_persons: u16) -> TrackerConfig {
    TrackerConfig {
        max_persons: NonZeroU16::new(max_persons).expect("not zero"),
        ..TrackerConfig::default()
    }
}

fn people_tracker(config: TrackerConfig, threads: usize) -> MultiPersonTracker {
    let files = store().pose_files("full").expect("a landmark model");
    MultiPersonTracker::load(&files, threads, config).expect("models; run `make test`")
}

/// Everybody in each frame.
type People = Vec<Vec<PersonPose>>;

fn run(backend: &mut dyn PoseBackend, clip: &Path) -> People {
    run_first(backend, clip, usize::MAX)
}

/// As [`run`], with a video's first frames alone.
fn run_first(backend: &mut dyn PoseBackend, clip: &Path, n_frames: usize) -> People {
    backend.start_video();
    let mut people = Vec::new();
    let mut held = HeldBack::new(backend.lookahead_frames());
    for_first_frames(clip, n_frames, |frame, secs, view| {
        let poses = backend
            .estimate(view.into(), MediaTime::from_secs(secs))
            .expect("models run");
        let ready = held.push(frame, poses, backend.take_earlier());
        people.extend(ready.map(|(_, poses)| poses));
    });
    people.extend(std::iter::from_fn(|| held.pop()).map(|(_, poses)| poses));
    people
}

/// A frame's pixels, for several threads.
struct Copied {
    bytes: Vec<u8>,
    size: [usize; 2],
    /// How often others than who estimates looked.
    looks: Arc<AtomicUsize>,
}

impl Picture for Copied {
    fn look(&self) -> Pixels<'_> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.view().into()
    }
}

impl Copied {
    fn view(&self) -> BgrView<'_> {
        let [width, height] = self.size;
        BgrView::new(&self.bytes, width, height, 3 * width).expect("all rows")
    }
}

/// Frames with their times.
fn copies(clip: &Path, n_frames: usize) -> (Vec<(f64, Arc<Copied>)>, Arc<AtomicUsize>) {
    let looks = Arc::new(AtomicUsize::new(0));
    let mut copies = Vec::new();
    for_first_frames(clip, n_frames, |_, secs, view| {
        let copied = Copied {
            bytes: view.rows().flatten().copied().collect(),
            size: [view.width(), view.height()],
            looks: Arc::clone(&looks),
        };
        copies.push((secs, Arc::new(copied)));
    });
    (copies, looks)
}

/// As [`run_first`], telling of up to `ahead` frames before they are estimated.
fn run_announced(
    backend: &mut dyn PoseBackend,
    frames: &[(f64, Arc<Copied>)],
    ahead: usize,
) -> People {
    backend.start_video();
    let mut people = Vec::new();
    let mut held = HeldBack::new(backend.lookahead_frames());
    let mut announced = 0;
    for (number, (secs, picture)) in frames.iter().enumerate() {
        for (secs, picture) in &frames[announced..frames.len().min(number + ahead)] {
            let picture: Arc<Copied> = Arc::clone(picture);
            backend.announce(picture, MediaTime::from_secs(*secs));
            announced += 1;
        }
        let poses = backend
            .estimate(picture.view().into(), MediaTime::from_secs(*secs))
            .expect("models run");
        let ready = held.push(number as u64, poses, backend.take_earlier());
        people.extend(ready.map(|(_, poses)| poses));
    }
    people.extend(std::iter::from_fn(|| held.pop()).map(|(_, poses)| poses));
    people
}

/// As [`run`], without what is known of earlier frames later.
fn run_at_once(backend: &mut dyn PoseBackend, clip: &Path) -> People {
    backend.start_video();
    let mut people = Vec::new();
    for_each_frame(clip, |_, secs, view| {
        people.push(
            backend
                .estimate(view.into(), MediaTime::from_secs(secs))
                .expect("models run"),
        );
    });
    people
}

fn follow(clip: &Path, max_persons: u16) -> People {
    run(&mut people_tracker(config(max_persons), 2), clip)
}

/// The frames in which each person is seen, by number.
fn frames(people: &People) -> Vec<Vec<usize>> {
    let mut frames: Vec<Vec<usize>> = Vec::new();
    for (frame, persons) in people.iter().enumerate() {
        for pose in persons {
            let person = usize::from(pose.person);
            frames.resize(frames.len().max(person + 1), Vec::new());
            frames[person].push(frame);
        }
    }
    frames
}

/// Frames that somebody may have to be followed before they are numbered and reported, when the
/// first readings of them are not all clear: enough proof is five clear frames.
const PROOF_FRAMES: usize = 5;

/// The middle of a person's hips in a frame, as fractions of the picture.
fn hips(people: &People, frame: usize, person: u16) -> [f32; 2] {
    let pose = people[frame].iter().find(|pose| pose.person == person);
    let [left, right] = [23, 24].map(|i| pose.expect("the person").landmarks[i]);
    [(left.x + right.x) / 2.0, (left.y + right.y) / 2.0]
}

/// Cuts clips together with FFmpeg: the inputs are repeated endlessly and have 30 frames a second
/// and sides of half of their pixels before `filter` gets them as [a], [b], [c].
fn cut(folder: &Path, inputs: &[&str], filter: &str, frames: usize) -> PathBuf {
    let mut arguments: Vec<String> = Vec::new();
    let mut chain = String::new();
    for (i, (input, name)) in inputs.iter().zip(["a", "b", "c"]).enumerate() {
        let path = installed(input).display().to_string();
        arguments.extend(["-stream_loop".into(), "-1".into(), "-i".into(), path]);
        chain += &format!("[{i}:v]fps=30,scale=iw/2:ih/2[{name}];");
    }
    chain += filter;
    arguments.extend(["-filter_complex".into(), chain]);
    arguments.extend(["-frames:v".into(), frames.to_string()]);
    arguments.extend(["-c:v", "libx264", "-preset", "ultrafast", "-crf", "18"].map(str::to_owned));
    let path = folder.join("cut.mp4");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    make_clip(&path, &arguments);
    path
}

#[test]
fn two_people_side_by_side_are_followed_as_each_would_be_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = ["single_cam01", "single_cam02"];
    let clip = cut(folder.path(), &inputs, "[a][b]hstack", 50);
    let together = follow(&clip, 2);
    let frames = frames(&together);
    assert_eq!(frames.len(), 2, "left is 0, right is 1");
    for frames in &frames {
        assert!(frames[0] <= PROOF_FRAMES, "{frames:?}");
        assert_eq!(*frames, Vec::from_iter(frames[0]..50));
    }

    // The same pixels, each half a picture of its own.
    let mut alone = [0, 1].map(|_| tracker(TrackerConfig::default()));
    let mut distances_px = Vec::new();
    let mut frame = 0;
    for_each_frame(&clip, |_, secs, view| {
        let half = view.width() / 2;
        for (side, tracker) in alone.iter_mut().enumerate() {
            let data = &view.data()[3 * half * side..];
            let view = BgrView::new(data, half, view.height(), view.stride()).expect("half");
            let expected = tracker
                .estimate(view.into(), MediaTime::from_secs(secs))
                .expect("models run");
            let expected = &expected.first().expect("a person").landmarks;
            let mut persons = together[frame].iter();
            let Some(found) = persons.find(|pose| usize::from(pose.person) == side) else {
                continue;
            };
            for (found, expected) in found.landmarks.iter().zip(expected) {
                let expected_x = (expected.x + side as f32) / 2.0;
                let dx = (found.x - expected_x) * (2 * half) as f32;
                let dy = (found.y - expected.y) * view.height() as f32;
                distances_px.push(dx.hypot(dy));
            }
        }
        frame += 1;
    });
    distances_px.sort_by(f32::total_cmp);
    let quantile = |q: f32| distances_px[((distances_px.len() - 1) as f32 * q) as usize];
    println!("median {} px, p95 {} px", quantile(0.5), quantile(0.95));
    assert!(quantile(0.5) < 1.0, "median {} px", quantile(0.5));
    // Both begin with other regions, and rounding alone makes limbs in motion differ by some pixels: it
    // is 6.4 px with ONNX Runtime's code and 9.0 px with our own. Somebody else is hundreds away.
    assert!(quantile(0.95) < 15.0, "p95 {} px", quantile(0.95));
}

/// The one on the right becomes certain after a while only.
#[test]
fn people_are_reported_from_the_first_frame_in_which_they_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = ["single_cam01", "single_cam02"];
    let clip = cut(folder.path(), &inputs, "[a][b]hstack", 40);
    let mut tracker = people_tracker(config(4), 2);
    let at_once = run_at_once(&mut tracker, &clip);
    let people = run(&mut tracker, &clip);
    let [late, early] = [&at_once, &people].map(frames);
    assert_eq!(late.len(), early.len(), "the same people");
    assert!(
        late.iter().any(|frames| frames[0] > 0),
        "nobody is doubtful: {late:?}"
    );
    for frames in &early {
        assert_eq!(*frames, Vec::from_iter(0..40));
    }
    // What was reported at once stays as it is.
    for (before, now) in at_once.iter().zip(&people) {
        assert!(before.iter().all(|pose| now.contains(pose)));
        assert!(now.is_sorted_by_key(|pose| pose.person));
    }
}

#[test]
fn fewer_people_than_there_are_can_be_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let inputs = ["single_cam01", "single_cam03", "single_cam04"];
    let scaled =
        "[a]scale=540:960[a1];[b]scale=540:960[b1];[c]scale=540:960[c1];[a1][b1][c1]hstack=3";
    let clip = cut(folder.path(), &inputs, scaled, 20);
    for (max_persons, expected) in [(2, 2), (3, 3), (5, 3)] {
        let frames = frames(&follow(&clip, max_persons));
        let all: Vec<usize> = (0..20).collect();
        assert_eq!(frames, vec![all; expected], "{max_persons}");
    }
}

#[test]
fn who_is_hidden_for_a_second_keeps_the_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let black = "[b]drawbox=t=fill:c=black:enable='between(n,20,50)'[b1];[a][b1]hstack";
    let clip = cut(folder.path(), &["single_cam01", "single_cam02"], black, 80);
    let people = follow(&clip, 2);
    let frames = frames(&people);
    assert_eq!(frames.len(), 2, "two people");
    assert_eq!(frames[0].len(), 80);
    // Whoever is looked for is found again at the latest after the longest pause.
    let again = frames[1].iter().find(|frame| **frame > 50);
    let again = *again.expect("found again");
    assert!(again <= 51 + 15, "{again}");
    let first = frames[1][0];
    assert!(first <= PROOF_FRAMES, "{first}");
    let expected: Vec<usize> = (first..20).chain(again..80).collect();
    assert_eq!(frames[1], expected);
}

#[test]
fn someone_else_in_the_same_place_gets_a_new_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let filter = "[b]drawbox=t=fill:c=black:enable='between(n,20,50)'[b1];\
        [c]crop=274:550:270:360,scale=540:960[c1];\
        [b1][c1]overlay=enable='gt(n,50)'[b2];[a][b2]hstack";
    let inputs = ["single_cam01", "single_cam02", "multi_cam01"];
    let clip = cut(folder.path(), &inputs, filter, 80);
    let frames = frames(&follow(&clip, 2));
    assert_eq!(frames.len(), 3, "three people");
    assert_eq!(frames[0].len(), 80);
    let first = frames[1][0];
    assert!(first <= PROOF_FRAMES, "{first}");
    assert_eq!(frames[1], Vec::from_iter(first..20));
    assert!(frames[2][0] > 50);
    assert_eq!(frames[2].last(), Some(&79));
}

#[test]
fn people_who_cross_keep_their_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    // A woman is pushed through the picture, in front of a man whom she hides for a second.
    let filter = "[a]pad=1000:960:230:0[a1];[b]crop=210:550:300:360,scale=270:707[b1];\
        [a1][b1]overlay=x='12*n':y=240";
    let clip = cut(folder.path(), &["single_cam01", "multi_cam01"], filter, 75);
    let people = follow(&clip, 2);
    let frames = frames(&people);
    assert_eq!(frames.len(), 2, "two people: {frames:?}");
    let first = people.iter().position(|persons| persons.len() == 2);
    let first = first.expect("both are seen");
    assert!(first < 10, "{first}");
    assert_eq!(people[74].len(), 2, "both are seen in the end");
    // The man stays where he is; she starts on his left and ends on his right.
    let woman = u16::from(hips(&people, first, 1)[0] < hips(&people, first, 0)[0]);
    let man = 1 - woman;
    assert!(hips(&people, 74, woman)[0] > hips(&people, 74, man)[0]);
    let hidden = frames[usize::from(man)]
        .windows(2)
        .any(|f| f[1] > f[0] + 10);
    assert!(hidden, "the man was not hidden: {frames:?}");
    assert!(frames[usize::from(woman)].len() > 70);
}

#[test]
fn people_who_stand_close_are_told_apart_and_nobody_is_invented() {
    // From left to right, x of the hips in frame 10: in the first clip somebody who watches from
    // behind, a man and a woman in front of him; in the second a woman and the man.
    let clips: [(&str, &[f32]); 2] = [
        ("multi_cam01", &[0.06, 0.39, 0.70]),
        ("multi_cam02", &[0.16, 0.50]),
    ];
    for (clip, xs) in clips {
        let people = follow(&installed(clip), 4);
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(frames(&people), vec![all; xs.len()], "{clip}");
        for (person, x) in xs.iter().enumerate() {
            let [found_x, _] = hips(&people, 10, person as u16);
            assert!((found_x - x).abs() < 0.04, "{clip}, {person}: {found_x}");
        }
    }
}

#[test]
fn with_one_person_in_the_picture_the_poses_are_those_of_one_who_is_followed_alone() {
    for clip in ["single_cam02", "single_cam03"] {
        let clip = installed(clip);
        let alone = run(&mut tracker(TrackerConfig::default()), &clip);
        assert!(follow(&clip, 4) == alone, "{}", clip.display());
    }
}

#[test]
fn threads_do_not_change_poses() {
    let clip = installed("multi_cam03");
    // Long enough for a second look for people.
    let run = |tracker: &mut MultiPersonTracker| run_first(tracker, &clip, 40);
    let one = run(&mut people_tracker(config(3), 1));
    assert_eq!(one.len(), 40);
    let mut three = people_tracker(config(3), 3);
    assert!(run(&mut three) == one);
    assert!(run(&mut three) == one, "the video before is forgotten");
}

#[test]
fn who_is_read_ahead_is_who_would_have_been_read() {
    for (clip, max_persons) in [("multi_cam03", 3), ("multi_cam01", 2)] {
        let (frames, looks) = copies(&installed(clip), 60);
        let expected = run_first(
            &mut people_tracker(config(max_persons), 1),
            &installed(clip),
            60,
        );
        for (threads, ahead) in [(2, 8), (3, 2), (3, 1)] {
            let mut tracker = people_tracker(config(max_persons), threads);
            looks.store(0, Ordering::Relaxed);
            let found = run_announced(&mut tracker, &frames, ahead);
            assert!(
                found == expected,
                "{clip}: {threads} threads, {ahead} ahead"
            );
            assert!(looks.load(Ordering::Relaxed) > 0, "{clip}: nobody helped");
        }
    }
}

#[test]
fn pictures_are_let_go_of_when_a_video_is_given_up() {
    let (frames, _) = copies(&installed("multi_cam03"), 12);
    let mut tracker = people_tracker(config(3), 2);
    run_announced(&mut tracker, &frames[..4], 1);
    tracker.start_video();
    for (secs, picture) in &frames {
        let picture: Arc<Copied> = Arc::clone(picture);
        tracker.announce(picture, MediaTime::from_secs(*secs));
    }
    for (secs, picture) in &frames[..4] {
        let time = MediaTime::from_secs(*secs);
        tracker
            .estimate(picture.view().into(), time)
            .expect("models run");
    }
    tracker.forget_announced();
    // A helper may be in the middle of one.
    drop(tracker);
    assert!(
        frames
            .iter()
            .all(|(_, picture)| Arc::strong_count(picture) == 1)
    );
}

/// A picture that nobody survives.
struct Bad;

impl Picture for Bad {
    fn look(&self) -> Pixels<'_> {
        panic!("a bad picture");
    }
}

#[test]
fn a_panic_of_a_helper_is_not_waited_for() {
    let (frames, _) = copies(&installed("multi_cam03"), 30);
    let mut tracker = people_tracker(config(3), 2);
    tracker.start_video();
    let run = AssertUnwindSafe(|| {
        for (secs, picture) in &frames {
            let time = MediaTime::from_secs(*secs);
            tracker.announce(Arc::new(Bad), time);
            tracker
                .estimate(picture.view().into(), time)
                .expect("models run");
        }
    });
    let panic = catch_unwind(run).expect_err("somebody has looked at a bad picture");
    assert_eq!(panic.downcast_ref(), Some(&"a bad picture"));
}

#[test]
fn one_of_several_is_followed_as_picked() {
    // Middle of the hips in the first frame: the man's at (0.39, 0.38), the woman's, who is nearer
    // to the camera, at (0.71, 0.70).
    let clip = installed("multi_cam01");
    for (pick, x) in [(Pick::Largest, 0.70), (Pick::Central, 0.39)] {
        let config = TrackerConfig { pick, ..config(1) };
        let people = run(&mut people_tracker(config, 1), &clip);
        assert_eq!(frames(&people), [Vec::from_iter(0..100)]);
        let [found_x, _] = hips(&people, 0, 0);
        assert!((found_x - x).abs() < 0.03, "{pick:?}: {found_x}");
    }
}

#[test]
fn unrelated_pictures_number_their_people_from_left_to_right() {
    let clip = installed("multi_cam02");
    let config = TrackerConfig {
        tracking: Tracking::Static,
        ..config(2)
    };
    let people = run(&mut people_tracker(config, 1), &clip);
    for frame in 0..people.len() {
        if people[frame].len() == 2 {
            assert!(
                hips(&people, frame, 0)[0] < hips(&people, frame, 1)[0],
                "{frame}"
            );
        }
    }
    let both = people.iter().filter(|persons| persons.len() == 2);
    let both = both.count();
    println!("both in {both} of 100 pictures");
    assert!(both > 60, "{both}");
}

fn value(folder: &Path, sql: &str) -> String {
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    let text = stdout(&output);
    text.lines().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_lake_knows_the_people_of_a_video_and_who_is_the_main_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = installed("multi_cam02");
    let clip = clip.to_str().expect("a path");
    let ingest = |arguments: &[&str]| {
        let ingest = ["ingest", clip, "--no-video", "--no-pose-json"];
        let output = posedata(folder.path(), &[&ingest, arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let told = ingest(&["--max-persons", "3", "--pick", "central"]);
    assert!(
        told.contains("100 frames, 100 with a pose, 2 people"),
        "{told}"
    );
    let persons = "select person, is_main, first_frame, last_frame, frame_count, mean_probability > 0.9, mean_height between 0.3 and 0.6 from persons order by person";
    assert_eq!(
        value(folder.path(), persons),
        "0,false,0,99,100,true,true 1,true,0,99,100,true,true"
    );
    let videos = "select pose_frame_count, main_person, config->>'pick', config->>'$.people.max_persons' from videos";
    assert_eq!(value(folder.path(), videos), "100,1,central,3");
    // The table says what the rows say.
    let differences = "select max(abs(x - mean_center_x)), max(abs(y - mean_center_y)), max(abs(v - mean_visibility)) from (select person, avg(x) filter (landmark in ('left_hip', 'right_hip')) as x, avg(y) filter (landmark in ('left_hip', 'right_hip')) as y, avg(visibility) as v from landmarks group by person) join persons using (person)";
    for difference in value(folder.path(), differences).split(',') {
        let difference: f64 = difference.parse().expect("a number");
        assert!(difference < 1e-6, "{difference}");
    }
    // Both people move in every frame but the first.
    let speeds = "select count(center_speed_px_per_sec) from metrics group by person";
    assert_eq!(value(folder.path(), speeds), "99 99");

    let told = ingest(&["--max-persons", "3", "--pick", "central"]);
    assert!(told.contains("nothing to do"), "{told}");
    let told = ingest(&["--max-persons", "3", "--pick", "longest"]);
    assert!(told.contains("1 replaced"), "{told}");
    assert_eq!(value(folder.path(), "select main_person from videos"), "0");
    ingest(&[]);
    let persons = "select person, is_main, frame_count from persons";
    assert_eq!(value(folder.path(), persons), "0,true,100");
    assert_eq!(value(folder.path(), "select main_person from videos"), "0");
}

#[test]
fn a_video_without_people_has_no_main_person() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "wall.mp4", "gray");
    let arguments = ["ingest", "wall.mp4", "--max-persons", "2"];
    let output = posedata(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let sql = "select main_person is null, (select count(*) from persons) from videos";
    assert_eq!(value(folder.path(), sql), "true,0");
    let sql = "select count(*), max(person), any_value(quality) from metrics";
    assert_eq!(value(folder.path(), sql), "30,0,no_pose");
}

#[test]
fn wrong_numbers_of_people_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, told) in [
        (&["--pick", "longest"][..], "raise --max-persons"),
        (&["--max-persons", "0"], "not between 1 and 16"),
        (&["--max-persons", "17"], "not between 1 and 16"),
        (&["--detect-every", "0"], "--detect-every"),
    ] {
        let output = posedata(folder.path(), &[&["ingest", "x.mp4"], arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
}

#[test]
fn the_tracker_for_one_person_stays_what_mediapipe_does() {
    // Of the two detections in the first frame the one with the better score is the woman's.
    let clip = installed("multi_cam01");
    let mut tracker = PoseTracker::new(models("full"), TrackerConfig::default());
    let people = run(&mut tracker, &clip);
    let [x, _] = hips(&people, 0, 0);
    assert!((x - 0.71).abs() < 0.03, "{x}");
}
