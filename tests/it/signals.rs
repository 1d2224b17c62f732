//! SIGINT, SIGTERM and SIGHUP: the first one ends a command in order, the second one at once.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::dataset::{endless_recipes, folder_with_lake};
use crate::fake_provider::{Behaviour, FakeProvider};
use crate::lake::{clip, parquet_files};
use crate::support::{command, ends_within, installed, make_clip, posedata, stdout};
use crate::synth::{folder_with_dataset, synth};

/// A minute of video: more than a test waits for.
pub fn long_clip(path: &Path) {
    let source = "testsrc=size=640x480:rate=30:duration=60";
    make_clip(path, &["-f", "lavfi", "-i", source, "-preset", "ultrafast"]);
}

/// Longer than any program here works on after a signal, unless it would do so for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program at work, whose standard error is read.
pub struct Running {
    child: Child,
    told: BufReader<ChildStderr>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let told = BufReader::new(child.stderr.take().expect("standard error"));
        Self { child, told }
    }

    pub fn send(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Reads until a line that begins so.
    fn wait_for(&mut self, beginning: &str) {
        self.wait_for_line(beginning, |line| line.starts_with(beginning));
    }

    /// Reads until a line that has it.
    pub fn wait_for_part(&mut self, part: &str) {
        self.wait_for_line(part, |line| line.contains(part));
    }

    fn wait_for_line(&mut self, wanted: &str, is_it: impl Fn(&str) -> bool) {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = self.told.read_line(&mut line).expect("a line");
            all.push_str(&line);
            assert!(read > 0, "{wanted} was not told: {all}");
            if is_it(&line) {
                return;
            }
        }
    }

    /// The exit code, and what was told before the end.
    pub fn end(self) -> (Option<i32>, String) {
        let Self {
            mut child,
            mut told,
        } = self;
        let id = child.id().to_string();
        let ended = move || {
            let mut rest = String::new();
            told.read_to_string(&mut rest).expect("the rest");
            (child.wait().expect("an end").code(), rest)
        };
        ends_within(PATIENCE, ended, || {
            // It is not to outlive the test.
            let _ = Command::new("kill").args(["-s", "KILL", &id]).status();
        })
    }
}

/// The same command with hang-ups as the system has them, also where whoever started the tests (nohup)
/// ignores them.
fn with_hangups(command: &Command) -> Command {
    let mut with = Command::new("env");
    with.arg("--default-signal=HUP")
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        with.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => with.env(name, value),
            None => with.env_remove(name),
        };
    }
    with
}

/// Processes that work in a folder.
fn processes_in(folder: &Path) -> usize {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let folders = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    folders.filter(|own| own == folder).count()
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_after_sigterm() {
    let folder = folder_with_lake();
    let store = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = store.local_addr().expect("an address");
    let mut export = command(folder.path());
    export
        .args(["export", "csv", "--output", "s3://clips/"])
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
    let export = Running::start(&mut export);
    // It is asked for something, and says nothing.
    let _asked = store.accept().expect("a request");
    let sent = Instant::now();
    export.send("TERM");
    let (code, told) = export.end();
    assert_eq!(code, Some(143), "{told}");
    assert!(sent.elapsed() < Duration::from_secs(10), "{told}");
}

#[test]
fn a_signal_in_the_first_stage_of_run_ends_it_and_begins_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("a folder");
    clip(&folder, "a.mp4", "gray");
    long_clip(&folder.join("b.mp4"));
    let mut run = Running::start(command(&folder).args(["run", "a.mp4", "b.mp4", "--no-video"]));
    run.wait_for("a.mp4: 30 frames");
    run.send("TERM");
    let (code, rest) = run.end();
    assert_eq!(code, Some(143), "{rest}");
    assert!(rest.contains("interrupted"), "{rest}");
    assert!(!rest.contains("posedata dataset build"), "{rest}");
    assert_eq!(processes_in(&folder), 0);
    let videos = posedata(
        &folder,
        &[
            "query",
            "-e",
            "select file_name from videos",
            "--format",
            "csv",
        ],
    );
    assert_eq!(
        stdout(&videos).lines().collect::<Vec<_>>(),
        ["file_name", "a.mp4"]
    );
    let lake = posedata::lake::LakePaths::new(folder.join("lake"));
    assert_eq!(parquet_files(&lake).len(), 1, "only a.mp4's metrics");
}

#[test]
fn a_signal_in_a_later_stage_of_run_ends_it_and_begins_no_other() {
    let folder = folder_with_lake();
    let folder = folder.path().canonicalize().expect("a folder");
    endless_recipes(&folder);
    let demo = installed("demo");
    for (signal, expected) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let mut command = command(&folder);
        command
            .args([
                "run",
                "--no-video",
                "--sport-type",
                "running",
                "--train-llm",
            ])
            .args(["--recipes", "recipes", "--base", "smollm2"])
            .arg(&demo);
        let mut run = Running::start(&mut with_hangups(&command));
        run.wait_for("posedata dataset build");
        run.wait_for("knee: ");
        run.send(signal);
        let (code, rest) = run.end();
        assert_eq!(code, Some(expected), "{rest}");
        assert!(!rest.contains("posedata train"), "{rest}");
        assert_eq!(processes_in(&folder), 0);
        assert!(!folder.join("llm_training_data").exists());
    }
}

#[test]
fn the_second_signal_ends_the_program_at_once() {
    let folder = folder_with_dataset();
    // The answers that the first signal waits for never come.
    let server = FakeProvider::start(Behaviour {
        gate_after: Some(0),
        ..Behaviour::default()
    });
    let arguments = ["--n", "2", "--concurrency", "1"];
    let mut run = Running::start(&mut synth(folder.path(), &server, "claude", &arguments));
    server.wait_for_waiting(1);
    run.send("INT");
    run.wait_for("interrupted");
    run.send("TERM");
    let (code, rest) = run.end();
    assert_eq!(code, Some(143), "{rest}");
}

#[test]
fn a_signal_ends_the_package_manager_that_fetches_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("a folder");
    let python = folder.join("python3");
    fs::write(&python, "#!/bin/sh\nexec sleep 600\n").expect("a program");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("a program");
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").expect("a path")
    );
    let mut command = command(&folder);
    command
        .env("PATH", path)
        .args(["models", "add", "onnxruntime", "--models", "models"]);
    let mut run = Running::start(&mut command);
    run.wait_for("downloading");
    run.send("TERM");
    let (code, rest) = run.end();
    assert_eq!(code, Some(143), "{rest}");
    assert_eq!(processes_in(&folder), 0);
}

#[test]
fn a_hangup_that_is_ignored_by_whoever_starts_the_program_stays_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    long_clip(&folder.path().join("long.mp4"));
    let program = command(folder.path());
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder.path())
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env_remove("POSEDATA_LAKE")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(["ingest", "long.mp4", "--log-format", "json"]);
    let mut run = Running::start(&mut shell);
    run.wait_for("{");
    run.send("HUP");
    run.send("TERM");
    let (code, rest) = run.end();
    assert_eq!(code, Some(143), "{rest}");
}

#[test]
fn a_signal_before_the_work_ends_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    // Reads the question from standard input, which nobody writes.
    let mut child = command(folder.path())
        .args(["query", "-", "--log-format", "json", "--log-level", "debug"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let told = BufReader::new(child.stderr.take().expect("standard error"));
    let mut run = Running { child, told };
    run.wait_for("{");
    let _open = run.child.stdin.take();
    run.send("TERM");
    let (code, rest) = run.end();
    assert_eq!(code, Some(143), "{rest}");
}
