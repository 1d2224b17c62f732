//! Fault injection: the program is killed, runs out of disk, meets locks and read-only folders.
//!
//! Whatever happens, the lake stays whole, nothing that was committed is lost, and the next run
//! goes on from there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use posedata::lake::{Execution, LakePaths, Severity};
use posedata::random::SplitMix64;

use crate::lake::{clip, config, ingest, lake_of, open_lake};
use crate::signals::Running;
use crate::support::{command, make_person_clip, posedata, stderr, stdout};

/// Frames of each short clip.
const FRAMES: u64 = 10;

/// Short clips with a person in them.
fn short_clips(folder: &Path) -> PathBuf {
    let videos = folder.join("videos");
    fs::create_dir(&videos).expect("a folder");
    for name in ["single_cam01", "single_cam02", "single_cam03"] {
        make_person_clip(&videos.join(format!("{name}.mp4")), name, 0.0, FRAMES);
    }
    videos
}

/// The ingest of these tests: rows only.
const INGEST: [&str; 4] = ["ingest", "videos", "--no-video", "--no-pose-json"];

fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Ids of the videos in the lake. Asserts that it is whole, and that each video is there once with
/// all its frames, counted past the check.
fn assert_whole_and_list(lake: &LakePaths, context: &str) -> BTreeSet<String> {
    if !lake.exists() {
        return BTreeSet::new();
    }
    let session = open_lake(lake).expect("a session");
    let report = session.check().unwrap_or_else(|e| panic!("{context}: {e}"));
    let worse_than_leftovers = report
        .findings
        .iter()
        .filter(|f| f.severity != Severity::Leftover);
    assert_eq!(worse_than_leftovers.count(), 0, "{context}: {report:#?}");
    let videos = session.find_videos(&[]).expect("videos");
    let ids: BTreeSet<String> = videos.iter().map(|v| v.video_id.clone()).collect();
    assert_eq!(ids.len(), videos.len(), "{context}: a video is there twice");
    let tables = session.info().expect("a lake").tables;
    let rows = |table: &str| tables.iter().find(|t| t.table == table).map(|t| t.rows);
    let poses: u64 = videos.iter().map(|v| v.pose_frame_count).sum();
    assert_eq!(
        rows("metrics"),
        Some(FRAMES * ids.len() as u64),
        "{context}"
    );
    assert_eq!(rows("landmarks"), Some(33 * poses), "{context}");
    ids
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start.
    After(Duration),
    /// As soon as something is seen in the lake's folder that tells how far it is.
    Sight(Sight),
}

#[derive(Clone, Copy, Debug)]
enum Sight {
    TemporaryFile,
    NewFile,
    WriteAheadLog,
}

fn names_below(folder: &Path) -> BTreeSet<String> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.map(|e| e.path().display().to_string()).collect()
}

impl Moment {
    fn choose(random: &mut SplitMix64, whole_run: Duration) -> Self {
        match random.next_u64() % 6 {
            0 => Self::Sight(Sight::TemporaryFile),
            1 => Self::Sight(Sight::NewFile),
            2 => Self::Sight(Sight::WriteAheadLog),
            _ => Self::After(whole_run.mul_f64(random.next_fraction() * 1.1)),
        }
    }

    /// Waits for the moment, or until all processes have ended.
    fn wait(self, lake: &LakePaths, before: &BTreeSet<String>, processes: &mut [Child]) {
        let started = Instant::now();
        let has_come = || match self {
            Self::After(time) => started.elapsed() >= time,
            Self::Sight(sight) => {
                names_below(&lake.root())
                    .difference(before)
                    .any(|name| match sight {
                        Sight::TemporaryFile => name.ends_with(".parquet.tmp"),
                        Sight::NewFile => name.ends_with(".parquet"),
                        Sight::WriteAheadLog => name.ends_with(".wal"),
                    })
            }
        };
        let mut is_running = || {
            processes
                .iter_mut()
                .any(|p| p.try_wait().expect("a process").is_none())
        };
        while !has_come() && is_running() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_however_often_ingest_is_killed() {
    const ROUNDS: u64 = 32;
    let folder = tempfile::tempdir().expect("a folder");
    short_clips(folder.path());
    let lake = LakePaths::new(folder.path().join("lake"));
    // How long an undisturbed run takes here, into a lake of its own.
    let started = Instant::now();
    let undisturbed = [&INGEST[..], &["--lake", "undisturbed"]].concat();
    let output = posedata(folder.path(), &undisturbed);
    let whole_run = started.elapsed();
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = LakePaths::new(folder.path().join("undisturbed"));
    let expected = assert_whole_and_list(&expected, "undisturbed");
    assert_eq!(expected.len(), 3);

    let mut random = SplitMix64::new(20_260_101);
    let mut killed_at_work = 0;
    let mut known = BTreeSet::new();
    for round in 0..ROUNDS {
        // Once all is in the lake, only --force makes work.
        let force = known.len() == expected.len() || random.next_u64().is_multiple_of(3);
        let arguments = match force {
            true => [&INGEST[..], &["--force"]].concat(),
            false => INGEST.to_vec(),
        };
        let n_processes = 1 + usize::from(random.next_u64().is_multiple_of(4));
        let moment = Moment::choose(&mut random, whole_run);
        let before = names_below(&lake.root());
        let mut processes: Vec<Child> = (0..n_processes)
            .map(|_| start(folder.path(), &arguments))
            .collect();
        moment.wait(&lake, &before, &mut processes);
        let context = format!("round {round}, {n_processes} processes, force {force}, {moment:?}");
        for process in &mut processes {
            process.kill().expect("SIGKILL");
            let status = process.wait().expect("an end");
            let was_killed = status.signal() == Some(9);
            assert!(was_killed || status.success(), "{context}: {status}");
            killed_at_work += u64::from(was_killed);
        }
        let found = assert_whole_and_list(&lake, &context);
        assert!(
            found.is_superset(&known),
            "{context}: a committed video is lost"
        );
        known = found;
    }
    assert!(
        killed_at_work >= ROUNDS / 2,
        "only {killed_at_work} kills hit"
    );

    let output = posedata(folder.path(), &INGEST);
    assert!(output.status.success(), "{}", stderr(&output));
    let repaired = posedata(folder.path(), &["lake", "check", "--repair"]);
    assert!(repaired.status.success(), "{}", stdout(&repaired));
    let checked = posedata(folder.path(), &["lake", "check", "--json"]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    let report: serde_json::Value = serde_json::from_str(&stdout(&checked)).expect("JSON");
    assert_eq!(report["whole"], true);
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(assert_whole_and_list(&lake, "at the end"), expected);
}

#[test]
fn maintenance_that_is_killed_leaves_the_lake_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = SplitMix64::new(7);
    let tints = ["red", "green", "blue", "white", "black", "gray"];
    let lake = lake_of(folder.path(), &tints);
    let clips: Vec<PathBuf> = tints
        .iter()
        .map(|tint| folder.path().join(format!("{tint}.mp4")))
        .collect();
    let undisturbed = Instant::now();
    assert!(posedata(folder.path(), &["lake", "info"]).status.success());
    // Much longer than a look takes, so that kills fall before, into and behind the work.
    let longest = undisturbed.elapsed().mul_f64(2.0);
    let commands: [&[&str]; 4] = [
        &["lake", "compact"],
        &["lake", "expire", "--keep", "1"],
        &["lake", "vacuum"],
        &["lake", "check", "--repair"],
    ];
    for round in 0..12 {
        if round % 4 == 0 {
            // New files, and rows to delete from merged ones.
            let mut order = config(clips.clone(), &lake);
            order.replace = posedata::lake::Replace::Always;
            ingest(&order).expect("an ingest");
        }
        let arguments = commands[round % commands.len()];
        let mut process = start(folder.path(), arguments);
        thread::sleep(longest.mul_f64(random.next_fraction()));
        process.kill().expect("SIGKILL");
        process.wait().expect("an end");
        let report = open_lake(&lake).and_then(|lake| lake.check());
        let report = report.expect("a check");
        assert!(
            report.whole,
            "{round} {arguments:?}: {:#?}",
            report.findings
        );
        assert_eq!(report.videos, 6, "{round} {arguments:?}");
    }
    for arguments in commands {
        let output = posedata(folder.path(), arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let report = open_lake(&lake).and_then(|lake| lake.check());
    let report = report.expect("a check");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

#[test]
fn maintenance_beside_a_running_ingest_disturbs_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    short_clips(folder.path());
    let lake = LakePaths::new(folder.path().join("lake"));
    let forced = [&INGEST[..], &["--force"]].concat();
    assert!(posedata(folder.path(), &INGEST).status.success());
    let session = open_lake(&lake).expect("a session");
    let mut ingests = 0;
    let mut rounds = 0;
    while ingests < 2 || rounds < 3 {
        let mut process = start(folder.path(), &forced);
        let status = loop {
            session.compact().expect("a report");
            let keep = posedata::lake::Retention::Newest(std::num::NonZeroUsize::MIN);
            session.expire(keep).expect("a report");
            session.vacuum(Execution::Real).expect("a report");
            let report = session.check().expect("a report");
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
            assert_eq!(report.videos, 3);
            rounds += 1;
            if let Some(status) = process.try_wait().expect("a process") {
                break status;
            }
        };
        assert!(status.success(), "{status}");
        ingests += 1;
    }
    assert_eq!(assert_whole_and_list(&lake, "at the end").len(), 3);
}

/// Runs a shell script in a mount namespace of its own, where it may mount; `None` where the system
/// does not let it.
fn with_private_mounts(folder: &Path, script: &str) -> Option<Output> {
    let may_mount = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs none /mnt"])
        .stderr(Stdio::null())
        .status();
    let may_mount = may_mount.is_ok_and(|status| status.success());
    may_mount.then(|| shell(folder, &["unshare", "-rm", "sh", "-c"], script))
}

/// Runs a script that calls the program `$POSEDATA`.
fn shell(folder: &Path, words: &[&str], script: &str) -> Output {
    let program = command(folder);
    Command::new(words[0])
        .args(&words[1..])
        .arg(script)
        .envs(program.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .env("POSEDATA", program.get_program())
        .current_dir(folder)
        .output()
        .expect("a shell")
}

#[test]
fn a_full_disk_costs_the_video_in_work_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    for tint in ["red", "blue"] {
        clip(folder.path(), &format!("{tint}.mp4"), tint);
    }
    fs::create_dir(folder.path().join("lake")).expect("a folder");
    // Less and less room is left, so that files, the commit and the log run out of it in turn.
    let script = r#"
        mount -t tmpfs -o size=6m none lake || exit 99
        ingest() { "$POSEDATA" ingest "$@" --no-video --no-pose-json 2>&1; echo "ended with $?"; }
        ingest red.mp4
        for free in 0 4 12 24 48 96 400; do
            dd if=/dev/zero of=lake/fill bs=1k count=8000 2>/dev/null
            truncate -s "-${free}K" lake/fill
            ingest red.mp4 blue.mp4 --force
            rm lake/fill
            "$POSEDATA" lake check || echo "check failed with $free KiB free"
        done
        ingest red.mp4 blue.mp4 --force
        "$POSEDATA" lake check --repair && "$POSEDATA" lake check
        "$POSEDATA" query -e "select 'rows:', count(*), count(distinct video_id) from metrics" --format csv
    "#;
    // Where nobody may mount, files that may not grow stand in for the disk.
    let limited = r#"
        ingest() { "$POSEDATA" ingest "$@" --no-video --no-pose-json 2>&1; echo "ended with $?"; }
        ingest red.mp4
        for blocks in 0 1 8 64; do
            ( trap '' XFSZ; ulimit -f $blocks; ingest red.mp4 blue.mp4 --force )
            "$POSEDATA" lake check || echo "check failed with $blocks blocks"
        done
        ingest red.mp4 blue.mp4 --force
        "$POSEDATA" lake check --repair && "$POSEDATA" lake check
        "$POSEDATA" query -e "select 'rows:', count(*), count(distinct video_id) from metrics" --format csv
    "#;
    let output = with_private_mounts(folder.path(), script)
        .unwrap_or_else(|| shell(folder.path(), &["sh", "-c"], limited));
    let told = stdout(&output);
    let errors: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("cannot write"))
        .collect();
    assert!(!errors.is_empty(), "{told}");
    assert!(
        errors
            .iter()
            .all(|e| e.contains("free some disk space") || e.contains("no larger file")),
        "{told}"
    );
    assert!(errors.iter().any(|e| e.contains("/lake/")), "{told}");
    let ends: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("ended with "))
        .collect();
    assert_eq!(ends.first(), Some(&"0"), "{told}");
    assert_eq!(ends.last(), Some(&"0"), "there is room again: {told}");
    assert!(
        ends.iter().all(|end| ["0", "1", "2"].contains(end)),
        "{told}"
    );
    assert!(ends.contains(&"2") || ends.contains(&"1"), "{told}");
    assert!(!told.contains("check failed"), "{told}");
    assert!(told.contains("\nrows:,60,2\n"), "{told}");
}

#[test]
fn a_read_only_lake_can_be_queried_and_says_so_when_written() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "red.mp4", "red");
    clip(folder.path(), "blue.mp4", "blue");
    let made = posedata(
        folder.path(),
        &["ingest", "red.mp4", "--no-video", "--no-pose-json"],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let commands = r#"
        "$POSEDATA" query -e "select count(*) as n from metrics" --format csv; echo "query $?"
        "$POSEDATA" lake check; echo "check $?"
        "$POSEDATA" lake info; echo "info $?"
        "$POSEDATA" lake vacuum --dry-run; echo "vacuum $?"
        "$POSEDATA" export red.mp4 --output /dev/null --format csv 2>&1; echo "export $?"
        "$POSEDATA" ask "How far?" --video red.mp4 --recipe nearest 2>&1; echo "ask $?"
        "$POSEDATA" ingest blue.mp4 --no-video --no-pose-json 2>&1; echo "ingest $?"
        "$POSEDATA" remove red.mp4 2>&1; echo "remove $?"
    "#;
    let mounted =
        format!("mount --bind lake lake && mount -o remount,bind,ro lake || exit 99\n{commands}");
    let output = match with_private_mounts(folder.path(), &mounted) {
        Some(output) => output,
        None => {
            // Without mounts: no permission to write. It does not bind root, so root becomes nobody.
            let files = Command::new("chmod")
                .args(["-R", "a-w,a+rX"])
                .arg(folder.path())
                .status();
            assert!(files.expect("chmod").success());
            let is_root = Command::new("id").arg("-u").output().expect("id");
            let words: &[&str] = match stdout(&is_root).trim() {
                "0" => &[
                    "setpriv",
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                    "sh",
                    "-c",
                ],
                _ => &["sh", "-c"],
            };
            let output = shell(folder.path(), words, commands);
            let files = Command::new("chmod")
                .args(["-R", "u+w"])
                .arg(folder.path())
                .status();
            assert!(files.expect("chmod").success());
            output
        }
    };
    let told = stdout(&output);
    assert!(
        told.contains("n\n30\nquery 0\n"),
        "{told}{}",
        stderr(&output)
    );
    for command in ["check", "info", "vacuum"] {
        assert!(told.contains(&format!("{command} 0\n")), "{told}");
    }
    assert!(told.contains("nobody is seen in red.mp4"), "{told}");
    assert!(
        told.contains("ingest 1\n") || told.contains("ingest 2\n"),
        "{told}"
    );
    assert!(told.contains("remove 1\n"), "{told}");
    let errors: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("cannot write"))
        .collect();
    assert_eq!(errors.len(), 2, "{told}");
    assert!(
        errors
            .iter()
            .all(|e| e.contains("another filesystem") && e.contains("/lake")),
        "{told}"
    );
}

/// Holds the catalog as a session of another process does.
pub fn hold_catalog(lake: &LakePaths) -> duckdb::Connection {
    let connection = duckdb::Connection::open_in_memory().expect("a database");
    connection
        .execute_batch(&format!("ATTACH '{}' AS held", lake.catalog().display()))
        .expect("nobody else holds it");
    connection
}

#[test]
fn a_catalog_that_another_process_holds_is_waited_for_but_not_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = crate::lake::fixture(folder.path());
    clip(folder.path(), "blue.mp4", "blue");
    let arguments = ["ingest", "blue.mp4", "--no-video", "--no-pose-json"];
    let held = hold_catalog(&lake);
    let impatient = posedata(
        folder.path(),
        &[&arguments[..], &["--lock-timeout", "1"]].concat(),
    );
    let told = stderr(&impatient);
    assert_eq!(impatient.status.code(), Some(1), "{told}");
    assert!(told.contains("in use by another process for 1 s"), "{told}");
    assert!(told.contains("lake/catalog.ducklake"), "{told}");

    let mut patient = start(folder.path(), &arguments);
    let mut reader = start(folder.path(), &["query", "-e", "from videos"]);
    thread::sleep(Duration::from_secs(3));
    let ended = [&mut patient, &mut reader].map(|p| p.try_wait().expect("a process"));
    assert_eq!(ended, [None, None], "both wait");
    drop(held);
    assert!(patient.wait().expect("an end").success());
    assert!(reader.wait().expect("an end").success());
    let report = open_lake(&lake).and_then(|lake| lake.check());
    assert_eq!(report.expect("a check").videos, 2);
}

#[test]
fn a_signal_ends_the_wait_for_a_catalog_that_another_process_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = crate::lake::fixture(folder.path());
    clip(folder.path(), "blue.mp4", "blue");
    let held = hold_catalog(&lake);
    // Who does not ask the token waits for half a minute, and says so.
    let waits = ["--lock-timeout", "30", "--log-format", "json"];
    for arguments in [
        &["ingest", "blue.mp4", "--no-video", "--no-pose-json"][..],
        &["report", "red.mp4", "--output", "r.html", "--no-pictures"],
        &["query", "-e", "from videos"],
    ] {
        let mut command = command(folder.path());
        let mut run = Running::start(command.args(arguments).args(waits));
        run.wait_for_part("another process holds the lake");
        run.send("TERM");
        let (code, rest) = run.end();
        assert_eq!(code, Some(143), "{arguments:?} {rest}");
        assert!(!rest.contains("in use by"), "{arguments:?} {rest}");
    }
    drop(held);
    let session = open_lake(&lake).expect("a session");
    assert_eq!(session.check().expect("a check").videos, 1);
}

#[test]
fn damaged_files_are_found_mended_and_ingested_again() {
    let folder = tempfile::tempdir().expect("a folder");
    short_clips(folder.path());
    let lake = LakePaths::new(folder.path().join("lake"));
    assert!(posedata(folder.path(), &INGEST).status.success());
    let before = assert_whole_and_list(&lake, "fresh");
    let files = crate::lake::parquet_files(&lake);
    assert_eq!(files.len(), 6);
    // Landmarks of one video are changed, those of the next cut off, the last one's metrics deleted.
    let mut bytes = fs::read(&files[0]).expect("a file");
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 16] {
        *byte ^= 0x55;
    }
    fs::write(&files[0], &bytes).expect("room");
    let cut = fs::OpenOptions::new().write(true).open(&files[1]);
    cut.expect("a file").set_len(1_000).expect("a shorter file");
    fs::remove_file(&files[5]).expect("a file");

    let checked = posedata(folder.path(), &["lake", "check"]);
    let told = stdout(&checked);
    assert_eq!(checked.status.code(), Some(2), "{told}");
    for file in [&files[0], &files[1], &files[5]] {
        let name = file.file_name().expect("a name").to_str().expect("a name");
        assert!(told.contains(name), "{name} is not named: {told}");
    }
    for cause in ["the checksum differs", "has 1000 bytes", "is missing"] {
        assert!(told.contains(cause), "{told}");
    }
    let repaired = posedata(folder.path(), &["lake", "check", "--repair"]);
    assert_eq!(repaired.status.code(), Some(0), "{}", stdout(&repaired));
    assert!(
        stdout(&repaired).contains("posedata ingest '"),
        "{}",
        stdout(&repaired)
    );
    assert!(assert_whole_and_list(&lake, "repaired").is_subset(&before));
    let again = posedata(folder.path(), &INGEST);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(assert_whole_and_list(&lake, "at the end"), before);
    assert_eq!(
        posedata(folder.path(), &["lake", "check"]).status.code(),
        Some(0)
    );
}
