//! How a lake behaves as it grows: commits, questions about one video, check and compaction, with the
//! catalog in a file and in PostgreSQL.
//!
//! Run it with `make bench-scale SIZES="100 1000"`: numbers of videos, for each of which a lake of
//! either kind is made, measured and deleted. The videos' rows are those of a real clip's first
//! frames, under ever new ids. `docs/scale.md` says what came out.

#[allow(dead_code, reason = "a bench needs less of them than the tests do")]
#[path = "../tests/it/servers.rs"]
mod servers;
#[allow(dead_code, reason = "a bench needs less of them than the tests do")]
#[path = "../tests/it/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use posedata::lake::{
    CommitOutcome, Lake, LakeAddress, LakePaths, PersonRecord, PreparedVideo, Replace, VideoFrame,
    VideoRecord, VideoWriter,
};
use serde_json::{Map, Value, json};

use crate::servers::{PG_PASSWORD, Postgres};
use crate::support::{installed, store};

/// Frames of each video; what is measured depends on the number of files, hardly on their size.
const FRAMES: usize = 10;
/// Partitions that the videos are spread over.
const SPORTS: usize = 8;
/// Videos of one transaction while a lake is made.
const TOGETHER: usize = 64;
/// Commits of one video each, and questions, whose median counts.
const REPEATS: usize = 15;
const MEMORY_BYTES: u64 = 2 << 30;
const THREADS: usize = 2;

/// What is measured: its name in a report, its heading, whether its growth is of interest.
const MEASURES: [(&str, &str, bool); 10] = [
    ("commit_ms", "commit ms", true),
    ("together_ms", "of 64 ms", true),
    ("open_ms", "open ms", true),
    ("known_ms", "known ms", true),
    ("query_ms", "query ms", true),
    ("check_secs", "check s", true),
    ("compact_secs", "compact s", true),
    ("compacted_query_ms", "then ms", true),
    ("catalog_mb", "catalog MB", true),
    ("data_mb", "data MB", false),
];

fn main() {
    let arguments: Vec<String> = (std::env::args().skip(1))
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let [name, place, videos] = &arguments[..]
        && name == "one"
    {
        let videos = videos.parse().expect("a number of videos");
        println!("{}", Value::Object(measure(place, videos)));
        return;
    }
    let sizes: Vec<usize> = (arguments.iter())
        .map(|size| size.parse().expect("numbers of videos"))
        .collect();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scale");
    std::fs::create_dir_all(&scratch).expect("a folder");
    report("catalog in a file", &sizes, |videos| {
        let folder = tempfile::tempdir_in(&scratch).expect("a folder");
        of_child(Command::new(this_program()), folder.path(), videos)
    });
    let postgres = Postgres::start_with(true);
    report("catalog in PostgreSQL", &sizes, |videos| {
        let folder = tempfile::tempdir_in(&scratch).expect("a folder");
        let address = format!("{}?schema=videos{videos}", postgres.lake());
        let mut create = Command::new(env!("CARGO_BIN_EXE_posedata"));
        let created = create
            .args(["lake", "create", "-q", &address, "--data-path"])
            .arg(folder.path())
            .env("PGPASSWORD", PG_PASSWORD)
            .stdout(Stdio::null())
            .status()
            .expect("the program starts");
        assert!(created.success(), "run `make remote` first");
        let mut child = Command::new(this_program());
        child.env("PGPASSWORD", PG_PASSWORD);
        let measured = of_child(child, Path::new(&address), videos);
        postgres.sql("lake", &format!("DROP SCHEMA videos{videos} CASCADE"));
        measured
    });
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("a path")
}

/// Measures a lake in a process of its own, as a command would use it.
fn of_child(mut child: Command, place: &Path, videos: usize) -> Map<String, Value> {
    let child = child.arg("one").arg(place).arg(videos.to_string());
    let output = child.stderr(Stdio::inherit()).output().expect("it starts");
    assert!(output.status.success(), "it fails");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Prints a table of what was measured at each size, and how each measure grows from size to size:
/// the exponent e where it is proportional to the number of videos to the power of e.
fn report(title: &str, sizes: &[usize], measure: impl Fn(usize) -> Map<String, Value>) {
    println!("\n{title}");
    let heads: String = (MEASURES.iter())
        .map(|(_, head, _)| format!(" {head:>10}"))
        .collect();
    println!("{:>9}{heads} {:>10}", "videos", "made in s");
    let mut all: Vec<(usize, Map<String, Value>)> = Vec::new();
    for videos in sizes {
        let measured = measure(*videos);
        let value = |name: &str| measured[name].as_f64().expect("a number");
        let cells: String = (MEASURES.iter())
            .map(|(name, ..)| format!(" {:>10.1}", value(name)))
            .collect();
        println!("{videos:>9}{cells} {:>10.0}", value("make_secs"));
        all.push((*videos, measured));
    }
    for pair in all.windows(2) {
        let ((fewer, before), (more, after)) = (&pair[0], &pair[1]);
        let cells: String = (MEASURES.iter())
            .map(|(name, _, is_of_interest)| {
                let value = |of: &Map<String, Value>| of[*name].as_f64().expect("a number");
                let growth = (value(after) / value(before)).ln();
                match is_of_interest {
                    true => format!(" {:>10.2}", growth / (*more as f64 / *fewer as f64).ln()),
                    false => format!(" {:>10}", ""),
                }
            })
            .collect();
        println!("{:>9}{cells}", format!("e {more}"));
    }
}

/// Makes a lake of so many videos at a place (a folder, or the address of an empty lake), and measures.
fn measure(place: &str, videos: usize) -> Map<String, Value> {
    let source = Source::read();
    let lake = open(place);
    lake.create_or_check().expect("a lake");
    let started = Instant::now();
    let mut made = 0;
    // What is measured below adds the rest.
    while made + TOGETHER + REPEATS < videos {
        let count = TOGETHER.min(videos - made - TOGETHER - REPEATS);
        source.commit(&lake, made, count);
        made += count;
    }
    let make_secs = started.elapsed().as_secs_f64();
    let commits: Vec<f64> = (0..REPEATS)
        .map(|repeat| source.commit(&lake, made + repeat, 1))
        .collect();
    made += REPEATS;
    let together_secs = source.commit(&lake, made, TOGETHER);
    made += TOGETHER;

    let open_secs = median((0..REPEATS).map(|_| secs(|| open(place).create_or_check()).1));
    let (known, known_secs) = secs(|| lake.ingested());
    assert_eq!(known.len(), made, "each video once");
    let query = || median((0..REPEATS).map(|nth| query_secs(place, nth * made / REPEATS)));
    let query_ms = 1e3 * query();
    let info = lake.info().expect("a lake");
    let (checked, check_secs) = secs(|| lake.check());
    assert!(checked.whole, "{:?}", checked.findings);
    let (_, compact_secs) = secs(|| lake.compact());
    let measured = json!({
        "make_secs": make_secs,
        "commit_ms": 1e3 * median(commits.into_iter()),
        "together_ms": 1e3 * together_secs,
        "open_ms": 1e3 * open_secs,
        "known_ms": 1e3 * known_secs,
        "query_ms": query_ms,
        "check_secs": check_secs,
        "compact_secs": compact_secs,
        "compacted_query_ms": 1e3 * query(),
        "catalog_mb": info.catalog_bytes as f64 / 1e6,
        "data_mb": checked.bytes as f64 / 1e6,
    });
    match measured {
        Value::Object(measured) => measured,
        _ => unreachable!("it is an object"),
    }
}

fn open(place: &str) -> Lake {
    let extension = store().ducklake_extension().expect("the manifest names it");
    let address = LakeAddress::parse(place).expect("an address");
    let paths = LakePaths::find(&address, &extension).expect("a lake");
    paths.prepare().expect("a folder");
    Lake::new(paths, &extension, MEMORY_BYTES, THREADS).expect("a session")
}

/// Time of a question about one video, from an open session to its answer.
fn query_secs(place: &str, number: usize) -> f64 {
    let lake = open(place);
    let started = Instant::now();
    let reader = lake.into_reader(None).expect("a reader");
    let sql =
        "SELECT count(*), avg(x) FROM landmarks WHERE video_id = ? AND landmark = 'left_knee'";
    let (rows, _): (u64, f64) = (reader.connection)
        .query_row(sql, [video_id(number)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("an answer");
    let elapsed_secs = started.elapsed().as_secs_f64();
    assert_eq!(rows, FRAMES as u64);
    elapsed_secs
}

fn secs<R, E: std::fmt::Debug>(work: impl FnOnce() -> Result<R, E>) -> (R, f64) {
    let started = Instant::now();
    let done = work().expect("it works");
    (done, started.elapsed().as_secs_f64())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn video_id(number: usize) -> String {
    blake3::hash(&number.to_le_bytes()).to_hex()[..32].to_owned()
}

/// What is repeated.
struct Source {
    record: VideoRecord,
    person: PersonRecord,
    frames: Vec<VideoFrame>,
}

impl Source {
    /// The first frames of a real clip in which somebody is seen, out of a lake of it alone.
    fn read() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("lake");
        let status = Command::new(env!("CARGO_BIN_EXE_posedata"))
            .args(["ingest", "--no-video", "--no-pose-json", "-q", "--lake"])
            .arg(&place)
            .arg(installed("single_cam01"))
            .current_dir(folder.path())
            .status()
            .expect("the program starts");
        assert!(status.success());
        let lake = open(&place.display().to_string());
        let mut videos = lake.find_videos(&[]).expect("a lake");
        let mut record = videos.pop().expect("a video");
        let frames = lake.frames(&record).expect("frames");
        let frames: Vec<VideoFrame> = (frames.map(|frame| frame.expect("a frame")))
            .filter(|frame| !frame.persons.is_empty())
            .take(FRAMES)
            .enumerate()
            .map(|(number, frame)| VideoFrame {
                frame: number as u64,
                ..frame
            })
            .collect();
        let last = frames.last().expect("frames");
        let person = PersonRecord {
            person: last.persons[0].pose.person,
            is_main: true,
            first_frame: 0,
            last_frame: last.frame,
            frame_count: FRAMES as u64,
            first_time_secs: frames[0].time.as_secs(),
            last_time_secs: last.time.as_secs(),
            mean_probability: 0.9,
            mean_visibility: 0.9,
            mean_center: [0.5, 0.5],
            mean_extent: [0.2, 0.6],
        };
        record.frame_count = FRAMES as u64;
        record.pose_frame_count = FRAMES as u64;
        record.duration_secs = last.time.as_secs();
        Self {
            record,
            person,
            frames,
        }
    }

    /// Commits videos of new ids in one transaction; gives the time that the commit took.
    fn commit(&self, lake: &Lake, first: usize, count: usize) -> f64 {
        let prepared = (first..first + count)
            .map(|number| self.prepare(lake.paths(), number))
            .collect();
        let started = Instant::now();
        for outcome in lake.commit_all(prepared) {
            assert_eq!(outcome.expect("a commit"), CommitOutcome::Added);
        }
        started.elapsed().as_secs_f64()
    }

    fn prepare(&self, paths: &LakePaths, number: usize) -> PreparedVideo {
        let video_id = video_id(number);
        let sport = format!("sport{}", number % SPORTS);
        let mut writer = VideoWriter::create(paths, &sport, &video_id).expect("files");
        for frame in &self.frames {
            let persons = frame.persons.clone();
            writer
                .push(frame.frame, frame.time, persons)
                .expect("room on the disk");
        }
        PreparedVideo {
            staged: writer.finish().expect("room on the disk"),
            record: VideoRecord {
                video_id,
                sport,
                file_name: format!("clip{number:06}.mp4"),
                path: format!("/videos/clip{number:06}.mp4"),
                ..self.record.clone()
            },
            persons: vec![self.person.clone()],
            replace: Replace::IfDifferent,
        }
    }
}
