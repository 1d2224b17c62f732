//! What programs that start this one rely on: events on standard output, the end with standard
//! input, cores.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use posedata::lake::LakePaths;
use serde_json::Value;

use crate::lake::{clip, fixture, parquet_files};
use crate::signals::long_clip;
use crate::support::{command, posedata, stderr, stdout};

/// Nothing is written beside the lake.
const ROWS_ALONE: [&str; 4] = ["--no-video", "--no-pose-json", "--workers", "1"];

/// The events on standard output, each of which has to be one line of JSON; the last one is the
/// summary, and says how the program ended.
#[track_caller]
fn events(output: &Output) -> Vec<Value> {
    let told = events_of(&stdout(output));
    let summary = told.last().expect("an event");
    assert_eq!(summary["event"], "summary", "{told:#?}");
    let exit_code = summary["exit_code"].as_i64();
    assert_eq!(exit_code, output.status.code().map(i64::from), "{told:#?}");
    let summaries = told.iter().filter(|event| event["event"] == "summary");
    assert_eq!(summaries.count(), 1, "{told:#?}");
    told
}

#[track_caller]
fn events_of(text: &str) -> Vec<Value> {
    let event = |line: &str| -> Value {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let time = event["time"].as_str().expect("a time");
        assert!(time.len() > 19 && time.ends_with('Z'), "{line}");
        assert!(event["event"].is_string(), "{line}");
        event
    };
    text.lines().map(event).collect()
}

/// The events of a video, without progress.
fn of<'e>(events: &'e [Value], video: &str) -> Vec<&'e Value> {
    let is_wanted = |event: &&Value| {
        let path = event["video"].as_str();
        event["event"] != "progress" && path.is_some_and(|path| path.ends_with(video))
    };
    events.iter().filter(is_wanted).collect()
}

fn names(events: &[&Value]) -> Vec<String> {
    let name = |event: &&Value| event["event"].as_str().expect("a name").to_owned();
    events.iter().map(name).collect()
}

fn value(folder: &Path, sql: &str) -> String {
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    let told = stdout(&output);
    told.lines().nth(1).unwrap_or_default().to_owned()
}

fn ingest(folder: &Path, arguments: &[&str]) -> Output {
    let all = [&["ingest", "--events", "json"], arguments, &ROWS_ALONE].concat();
    posedata(folder, &all)
}

#[test]
fn a_good_a_copied_and_a_broken_video_are_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    let copy = folder.path().join("copy.mp4");
    fs::copy(folder.path().join("wall.mp4"), copy).expect("a copy");
    fs::write(folder.path().join("text.mp4"), "this is no video").expect("a file");
    let videos = ["wall.mp4", "copy.mp4", "text.mp4"];
    let output = ingest(folder.path(), &videos);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = events(&output);
    let [started, committed] = of(&told, "wall.mp4")[..] else {
        panic!("{told:#?}");
    };
    let file_bytes = fs::metadata(folder.path().join("wall.mp4")).map(|m| m.len());
    assert_eq!(started["event"], "started");
    assert_eq!(started["file_bytes"], file_bytes.expect("a file"));
    assert_eq!(started["frame_count"], 30);
    assert_eq!(committed["event"], "committed");
    assert_eq!(committed["outcome"], "ingested");
    assert_eq!(committed["frames"], 30);
    assert_eq!(committed["pose_frames"], 0);
    assert!(committed["secs"].as_f64().is_some_and(|secs| secs > 0.0));
    assert!(committed["notes"].is_array());
    let id = value(folder.path(), "select video_id from videos");
    assert_eq!(committed["video_id"], id);
    let [copied] = of(&told, "copy.mp4")[..] else {
        panic!("{told:#?}");
    };
    assert_eq!(copied["event"], "committed");
    assert_eq!(copied["outcome"], "skipped");
    assert_eq!(copied["video_id"], id);
    assert_eq!(copied["frames"], 0);
    let [failed] = of(&told, "text.mp4")[..] else {
        panic!("{told:#?}");
    };
    assert_eq!(failed["event"], "failed");
    assert_eq!(failed["kind"], "broken");
    let error = failed["error"].as_str().expect("a text");
    assert!(error.contains("not a video"), "{error}");
    let summary = told.last().expect("a summary");
    let fields = [
        "ingested",
        "replaced",
        "skipped",
        "failed",
        "cancelled",
        "frames",
    ];
    let counts = fields.map(|name| summary[name].as_u64().expect("a number"));
    assert_eq!(counts, [1, 0, 1, 1, 0, 30]);
    assert!(summary["elapsed_secs"].as_f64().is_some_and(|s| s > 0.0));
    // People are told as ever.
    assert!(
        stderr(&output).contains("1 ingested"),
        "{}",
        stderr(&output)
    );

    let again = ingest(folder.path(), &["wall.mp4", "--force"]);
    let told = events(&again);
    assert_eq!(of(&told, "wall.mp4")[1]["outcome"], "replaced");
    let skipped = ingest(folder.path(), &["wall.mp4"]);
    let told = events(&skipped);
    assert_eq!(names(&of(&told, "wall.mp4")), ["committed"]);
    assert_eq!(of(&told, "wall.mp4")[0]["outcome"], "skipped");
}

#[test]
fn reports_tell_broken_from_passing_too() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("text.mp4"), "this is no video").expect("a file");
    let output = posedata(folder.path(), &["ingest", "text.mp4", "--json"]);
    let summary: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let failed = &summary["videos"][0]["outcome"]["failed"];
    assert_eq!(failed["kind"], "broken", "{summary:#}");
    assert!(failed["error"].is_string(), "{summary:#}");
}

#[test]
fn a_disk_that_is_full_is_passing() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "red.mp4", "red");
    clip(folder.path(), "blue.mp4", "blue");
    // The lake is made before the disk is full.
    let made = ingest(folder.path(), &["red.mp4"]);
    assert!(made.status.success(), "{}", stderr(&made));
    // A limit on the size of files stands in for the full disk; pipes have none.
    let program = command(folder.path());
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(["ingest", "blue.mp4", "--events", "json"])
        .args(ROWS_ALONE)
        .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = events(&output);
    let failed = of(&told, "blue.mp4").pop().expect("an end");
    assert_eq!(failed["event"], "failed", "{told:#?}");
    assert_eq!(failed["kind"], "passing", "{told:#?}");
}

#[test]
fn a_file_that_may_not_be_read_is_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "wall.mp4", "gray");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("a file");
    let is_readable = File::open(&path).is_ok();
    let output = ingest(folder.path(), &["missing.mp4", "wall.mp4"]);
    let told = events(&output);
    assert_eq!(of(&told, "missing.mp4")[0]["kind"], "broken", "{told:#?}");
    // Root reads everything.
    if !is_readable {
        assert_eq!(of(&told, "wall.mp4")[0]["kind"], "broken", "{told:#?}");
    }
}

#[test]
fn what_ends_a_command_as_a_whole_is_told_before_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("nothing")).expect("a folder");
    let whole = |output: &Output, kind: &str| {
        let told = events(output);
        let [.., failed, summary] = &told[..] else {
            panic!("{told:#?}");
        };
        assert_eq!(failed["event"], "failed", "{told:#?}");
        assert_eq!(failed["video"], Value::Null, "{told:#?}");
        assert_eq!(failed["kind"], kind, "{told:#?}");
        assert_eq!(summary["exit_code"], 1, "{told:#?}");
    };
    whole(&ingest(folder.path(), &["nothing"]), "broken");
    for command in [&["annotate"][..], &["metrics", "recompute"]] {
        let output = posedata(folder.path(), &[command, &["--events", "json"]].concat());
        whole(&output, "broken");
    }
    let lake = fixture(folder.path());
    let held = crate::faults::hold_catalog(&lake);
    clip(folder.path(), "blue.mp4", "blue");
    let output = ingest(folder.path(), &["blue.mp4", "--lock-timeout", "1"]);
    whole(&output, "passing");
    drop(held);
}

#[test]
fn events_and_json_do_not_share_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["ingest", "a.mp4", "--events", "json", "--json"][..],
        &["--json", "ingest", "a.mp4", "--events", "json"],
        &["run", "a.mp4", "--events", "json"],
        &["query", "-e", "select 1", "--events", "json"],
    ] {
        let output = posedata(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains("--events"), "{arguments:?}");
    }
}

#[test]
fn annotating_and_recomputing_tell_of_videos_of_the_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    clip(folder.path(), "sea.mp4", "blue");
    let made = ingest(folder.path(), &["wall.mp4", "sea.mp4"]);
    assert!(made.status.success(), "{}", stderr(&made));
    // Another video under the same name is not the one that the lake knows.
    clip(folder.path(), "sea.mp4", "red");
    let output = posedata(folder.path(), &["annotate", "--events", "json"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = events(&output);
    let [started, committed] = of(&told, "wall.mp4")[..] else {
        panic!("{told:#?}");
    };
    assert_eq!(started["frame_count"], 30);
    assert_eq!(committed["outcome"], "written");
    assert_eq!(committed["frames"], 30);
    let written = committed["output"].as_str().expect("a path");
    assert!(folder.path().join(written).is_file(), "{written}");
    let changed = of(&told, "sea.mp4").pop().expect("an end");
    assert_eq!(changed["event"], "failed");
    assert_eq!(changed["kind"], "broken");
    assert_eq!(told.last().expect("a summary")["written"], 1);

    let output = posedata(folder.path(), &["metrics", "recompute", "--events", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = events(&output);
    for name in ["wall.mp4", "sea.mp4"] {
        let of_video = of(&told, name);
        assert_eq!(names(&of_video), ["started", "committed"], "{told:#?}");
        assert_eq!(of_video[1]["outcome"], "computed");
    }
    assert_eq!(told.last().expect("a summary")["computed"], 2);
}

#[test]
fn analyses_tell_of_videos_of_the_lake() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = crate::analysis::made_up(folder.path(), 40);
    crate::analysis::linear_model(&model, crate::analysis::ANY);
    let arguments = ["analyze", "--model", "model.onnx", "--events", "json"];
    let output = posedata(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = events(&output);
    let of_video = of(&told, "a.mp4");
    assert_eq!(names(&of_video), ["started", "committed"], "{told:#?}");
    assert_eq!(of_video[1]["outcome"], "computed");
    assert_eq!(of_video[1]["video_id"], "a".repeat(32));
    assert_eq!(of_video[1]["frames"], 40);
    assert_eq!(told.last().expect("a summary")["computed"], 1);
}

/// The program at work, whose events are read and whose standard input is held.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    told: String,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self {
            stdin: child.stdin.take(),
            out: BufReader::new(child.stdout.take().expect("standard output")),
            child,
            told: String::new(),
        }
    }

    /// Reads until an event of this name about this video.
    fn wait_for(&mut self, name: &str, video: &str) {
        loop {
            let mut line = String::new();
            let read = self.out.read_line(&mut line).expect("a line");
            assert!(read > 0, "no {name} of {video}: {}", self.told);
            self.told.push_str(&line);
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["event"] == name && event["video"] == video {
                return;
            }
        }
    }

    fn send(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// All events, and the exit code.
    fn end(mut self) -> (Vec<Value>, Option<i32>) {
        self.out.read_to_string(&mut self.told).expect("the rest");
        let status = self.child.wait().expect("an end");
        (events_of(&self.told), status.code())
    }
}

/// A short video that is committed, one that is being worked on, and one that nobody came to.
fn at_work(folder: &Path, more: &[&str]) -> Running {
    clip(folder, "a.mp4", "gray");
    long_clip(&folder.join("b.mp4"));
    clip(folder, "c.mp4", "blue");
    let videos = ["ingest", "a.mp4", "b.mp4", "c.mp4", "--events", "json"];
    let mut running = Running::start(folder, &[&videos, more, &ROWS_ALONE].concat());
    running.wait_for("progress", "b.mp4");
    running
}

#[track_caller]
fn assert_given_up(folder: &Path, (told, code): (Vec<Value>, Option<i32>), expected: i32) {
    assert_eq!(code, Some(expected), "{told:#?}");
    assert_eq!(names(&of(&told, "a.mp4")), ["started", "committed"]);
    assert_eq!(names(&of(&told, "b.mp4")), ["started", "cancelled"]);
    assert_eq!(names(&of(&told, "c.mp4")), ["cancelled"]);
    let summary = told.last().expect("an event");
    assert_eq!(summary["event"], "summary", "{told:#?}");
    assert_eq!(summary["exit_code"], expected, "{told:#?}");
    let counts = (&summary["ingested"], &summary["cancelled"]);
    assert_eq!(counts, (&1.into(), &2.into()), "{told:#?}");
    assert_eq!(
        value(folder, "select string_agg(file_name) from videos"),
        "a.mp4"
    );
    let lake = LakePaths::new(folder.join("lake"));
    assert_eq!(parquet_files(&lake).len(), 1, "only a.mp4's metrics");
    let checked = posedata(folder, &["lake", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
}

#[test]
fn the_end_of_standard_input_ends_the_program_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = at_work(folder.path(), &["--exit-on-stdin-close"]);
    drop(running.stdin.take());
    assert_given_up(folder.path(), running.end(), 143);
}

#[test]
fn a_signal_ends_the_events_with_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = at_work(folder.path(), &[]);
    running.send("INT");
    assert_given_up(folder.path(), running.end(), 130);
}

#[test]
fn standard_input_that_stays_open_does_not_keep_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "a.mp4", "gray");
    let arguments = [
        "ingest",
        "a.mp4",
        "--events",
        "json",
        "--exit-on-stdin-close",
    ];
    let mut running = Running::start(folder.path(), &[&arguments[..], &ROWS_ALONE].concat());
    let held = running.stdin.take();
    let (told, code) = running.end();
    assert_eq!(code, Some(0), "{told:#?}");
    assert_eq!(names(&of(&told, "a.mp4")), ["started", "committed"]);
    drop(held);
}

#[test]
fn standard_input_that_has_ended_lets_nothing_begin() {
    let folder = tempfile::tempdir().expect("a folder");
    long_clip(&folder.path().join("b.mp4"));
    let output = command(folder.path())
        .args([
            "ingest",
            "b.mp4",
            "--events",
            "json",
            "--exit-on-stdin-close",
        ])
        .args(ROWS_ALONE)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    let lake = LakePaths::new(folder.path().join("lake"));
    assert_eq!(parquet_files(&lake).len(), 0);
    let asked = command(folder.path())
        .args(["query", "-", "--exit-on-stdin-close"])
        .stdin(Stdio::piped())
        .output()
        .expect("the program starts");
    let code = asked.status.code();
    assert!(code == Some(1) || code == Some(143), "{}", stderr(&asked));
}

#[test]
fn work_that_cannot_end_is_ended_when_standard_input_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = fixture(folder.path());
    clip(folder.path(), "blue.mp4", "blue");
    let held = crate::faults::hold_catalog(&lake);
    let mut child = command(folder.path())
        .args(["ingest", "blue.mp4", "--exit-on-stdin-close"])
        .args(["--events", "json", "--log-format", "json"])
        .args(ROWS_ALONE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdin = child.stdin.take();
    let mut errors = BufReader::new(child.stderr.take().expect("standard error"));
    let mut line = String::new();
    while !line.contains("another process holds the lake") {
        line.clear();
        assert!(errors.read_line(&mut line).expect("a line") > 0);
    }
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    drop(held);
    assert_eq!(output.status.code(), Some(143));
    let told = events(&output);
    assert_eq!(told.last().expect("a summary")["ingested"], 0);
    let checked = posedata(folder.path(), &["lake", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
}

/// How far a process has read a file that it has open; 0 where it has not.
fn read_position(process: &str, file: &Path) -> u64 {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
    let mut descriptors = descriptors.into_iter().flatten().flatten();
    let position = descriptors.find_map(|descriptor| {
        let is_it = fs::read_link(descriptor.path()).is_ok_and(|to| to == file);
        let name = descriptor
            .file_name()
            .into_string()
            .ok()
            .filter(|_| is_it)?;
        let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{name}")).ok()?;
        let position = info.lines().find_map(|line| line.strip_prefix("pos:"))?;
        position.trim().parse().ok()
    });
    position.unwrap_or(0)
}

#[test]
fn a_signal_ends_the_hashing_of_a_file_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("endless.mp4");
    // Nothing but a hole, which takes an hour to be read.
    let file = File::create(&path).expect("a file");
    file.set_len(8 << 40).expect("a file with a hole");
    let mut child = command(folder.path())
        .args(["ingest", "endless.mp4", "--events", "json"])
        .args(["--log-format", "json"])
        .args(ROWS_ALONE)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It is in the middle of the file; to see what it is, a container's beginning is enough.
    let id = child.id().to_string();
    while read_position(&id, &path) < 64 << 20 {
        assert_eq!(child.try_wait().expect("a process"), None);
        std::thread::yield_now();
    }
    let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
    assert!(sent.expect("kill").success());
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(143));
    let told = events(&output);
    assert_eq!(names(&of(&told, "endless.mp4")), ["cancelled"]);
}

#[test]
fn a_reader_of_events_that_goes_costs_no_video() {
    let folder = tempfile::tempdir().expect("a folder");
    for tint in ["red", "green", "blue"] {
        clip(folder.path(), &format!("{tint}.mp4"), tint);
    }
    let videos = ["ingest", "red.mp4", "green.mp4", "blue.mp4"];
    let events = ["--events", "json"];
    let mut running = Running::start(folder.path(), &[&videos[..], &events, &ROWS_ALONE].concat());
    running.wait_for("started", "red.mp4");
    let Running { mut child, out, .. } = running;
    drop(out);
    let status = child.wait().expect("an end");
    assert_eq!(status.code(), Some(0));
    let count = value(folder.path(), "select count(*) from videos");
    assert_eq!(count, "3");
}

/// Threads of a process.
fn thread_count(child: &Child) -> usize {
    let tasks = format!("/proc/{}/task", child.id());
    fs::read_dir(tasks).expect("a process").count()
}

/// How nice each thread of a process is to others.
fn niceness(child: &Child) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("a process");
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let nice = stats.map(|stat| {
        // Behind the thread's name, which may hold anything, it is the seventeenth.
        let (_, numbers) = stat.rsplit_once(") ").expect("a name");
        let nice = numbers.split(' ').nth(16).expect("as many numbers");
        nice.parse().expect("a number")
    });
    nice.collect()
}

/// Where some stages gave way to every other program, a busy machine brought all of them to a stand.
#[test]
fn no_stage_of_an_ingest_gives_way_to_other_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    long_clip(&folder.path().join("b.mp4"));
    let arguments = ["ingest", "b.mp4", "--events", "json", "--no-pose-json"];
    let mut running = Running::start(folder.path(), &arguments);
    running.wait_for("progress", "b.mp4");
    let niceness = niceness(&running.child);
    running.send("TERM");
    assert_eq!(running.end().1, Some(143));
    // Decoding, estimating, drawing, encoding, writing.
    assert!(niceness.len() >= 5, "{niceness:?}");
    assert!(
        niceness.iter().all(|nice| *nice == niceness[0]),
        "{niceness:?}"
    );
}

#[test]
fn fewer_cores_are_fewer_threads_and_the_same_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = std::thread::available_parallelism().expect("cores").get();
    long_clip(&folder.path().join("b.mp4"));
    let threads = |cores: usize| {
        let cores = cores.to_string();
        let arguments = ["ingest", "b.mp4", "--events", "json", "--cores", &cores];
        let mut running = Running::start(folder.path(), &[&arguments[..], &ROWS_ALONE].concat());
        running.wait_for("progress", "b.mp4");
        let count = thread_count(&running.child);
        running.send("TERM");
        assert_eq!(running.end().1, Some(143));
        count
    };
    if there > 1 {
        let (one, two) = (threads(1), threads(2));
        // Decoder and models have a thread more each.
        assert!(one < two, "{one} threads with 1 core, {two} with 2");
    }
    clip(folder.path(), "a.mp4", "gray");
    let lakes: [(&str, &[&str]); 2] = [("one", &["--cores", "1"]), ("all", &[])];
    for (lake, more) in lakes {
        let output = ingest(folder.path(), &[&["a.mp4", "--lake", lake], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let of_lake = |lake: &str, sql: &str| {
        let arguments = ["query", "-e", sql, "--format", "csv", "--lake", lake];
        stdout(&posedata(folder.path(), &arguments))
    };
    assert_eq!(of_lake("one", "select cores from runs"), "cores\n1\n");
    let rows = "from metrics order by all";
    assert!(of_lake("one", rows).lines().count() > 30);
    assert!(
        of_lake("one", rows) == of_lake("all", rows),
        "rows depend on cores"
    );
}

#[test]
fn more_cores_than_there_are_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = std::thread::available_parallelism().expect("cores").get();
    let too_many = (there + 1).to_string();
    let output = posedata(folder.path(), &["models", "--cores", &too_many]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("--cores"), "{told}");
    assert!(told.contains(&format!("at most {there}")), "{told}");
    let output = command(folder.path())
        .env("POSEDATA_CORES", &too_many)
        .arg("models")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let all = posedata(folder.path(), &["models", "--cores", &there.to_string()]);
    assert!(all.status.success(), "{}", stderr(&all));
}
