//! How a lake behaves as it grows: commits, questions about one video, check and compaction, with the
//! catalog in a file and in PostgreSQL; and how many videos a second a lake takes from several
//! processes.
//!
//! Run it with `make bench-scale SIZES="100 1000"`: numbers of videos, for each of which a lake of
//! either kind is made, measured and deleted. The videos' rows are those of a real clip's first
//! frames, under ever new ids. `CATALOGS=file` and `CATALOGS=postgres` measure one kind alone.
//! `docs/scale.md` says what came out.

#[allow(dead_code, reason = "a bench needs less of them than the tests do")]
#[path = "../tests/it/servers.rs"]
mod servers;
#[allow(dead_code, reason = "a bench needs less of them than the tests do")]
#[path = "../tests/it/support.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
/// Processes that write at once.
const WRITERS: [usize; 3] = [1, 2, 4];
/// Transactions of each, and videos of each of these.
const OF_WRITER: [(usize, usize); 2] = [(60, 1), (20, 8)];
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
    let number = |text: &String| text.parse().expect("a number");
    match &arguments[..] {
        [name, place, videos] if name == "one" => {
            println!("{}", Value::Object(measure(place, number(videos))));
        }
        [name, place, first, transactions, together] if name == "writer" => {
            let [first, transactions, together] = [first, transactions, together].map(number);
            write(place, first, transactions, together);
        }
        sizes => report_all(&sizes.iter().map(number).collect::<Vec<usize>>()),
    }
}

fn report_all(sizes: &[usize]) {
    let wanted = std::env::var("CATALOGS").unwrap_or_default();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scale");
    std::fs::create_dir_all(&scratch).expect("a folder");
    let folder = || tempfile::tempdir_in(&scratch).expect("a folder");
    let program = || Command::new(std::env::current_exe().expect("a path"));
    if wanted != "postgres" {
        report("catalog in a file", sizes, |videos| {
            let folder = folder();
            of_child(program(), folder.path(), videos)
        });
        let folder = folder();
        open(&folder.path().display().to_string())
            .create_or_check()
            .expect("a lake");
        report_writers(program, folder.path());
    }
    if wanted == "file" {
        return;
    }
    let postgres = Postgres::start_with(true);
    let program = || {
        let mut program = program();
        program.env("PGPASSWORD", PG_PASSWORD);
        program
    };
    let create = |schema: &str, data: &Path| {
        let address = format!("{}?schema={schema}", postgres.lake());
        let created = Command::new(env!("CARGO_BIN_EXE_posedata"))
            .args(["lake", "create", "-q", &address, "--data-path"])
            .arg(data)
            .env("PGPASSWORD", PG_PASSWORD)
            .stdout(Stdio::null())
            .status()
            .expect("the program starts");
        assert!(created.success(), "run `make remote` first");
        PathBuf::from(address)
    };
    report("catalog in PostgreSQL", sizes, |videos| {
        let folder = folder();
        let schema = format!("videos{videos}");
        let address = create(&schema, folder.path());
        let measured = of_child(program(), &address, videos);
        postgres.sql("lake", &format!("DROP SCHEMA {schema} CASCADE"));
        measured
    });
    let folder = folder();
    report_writers(program, &create("writers", folder.path()));
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

/// Prints how many videos a second a lake, which is there, takes from so many processes, whose files are
/// written.
fn report_writers(program: impl Fn() -> Command, place: &Path) {
    println!(
        "\n{:>9} {:>20} {:>20}",
        "writers", "one each, videos/s", "8 each, videos/s"
    );
    let mut first = 0;
    for writers in WRITERS {
        let rates: String = (OF_WRITER.into_iter())
            .map(|(transactions, together)| {
                let children: Vec<Child> = (0..writers)
                    .map(|_| {
                        let mut child = program();
                        child.arg("writer").arg(place);
                        child.args([first, transactions, together].map(|n| n.to_string()));
                        first += transactions * together;
                        child.stdin(Stdio::piped()).stdout(Stdio::piped());
                        child.spawn().expect("it starts")
                    })
                    .collect();
                let videos = (writers * transactions * together) as f64;
                format!(" {:>20.1}", videos / secs_of_writers(children))
            })
            .collect();
        println!("{writers:>9}{rates}");
    }
}

/// Lets processes that are ready write, and waits for the last.
fn secs_of_writers(mut children: Vec<Child>) -> f64 {
    let mut answers: Vec<_> = (children.iter_mut())
        .map(|child| BufReader::new(child.stdout.take().expect("a pipe")).lines())
        .collect();
    let ready = |line: Option<std::io::Result<String>>| line.expect("a line").expect("text");
    for answer in &mut answers {
        assert_eq!(ready(answer.next()), READY);
    }
    let started = Instant::now();
    for child in &mut children {
        let stdin = child.stdin.as_mut().expect("a pipe");
        writeln!(stdin).expect("it waits");
    }
    for child in &mut children {
        assert!(child.wait().expect("it ends").success());
    }
    started.elapsed().as_secs_f64()
}

/// What a writer says when its files are written.
const READY: &str = "ready";

/// Writes the files of so many transactions, waits for a line, and commits one after the other.
fn write(place: &str, first: usize, transactions: usize, together: usize) {
    let source = Source::read();
    let lake = open(place);
    lake.create_or_check().expect("a lake");
    let prepared: Vec<Vec<PreparedVideo>> = (0..transactions)
        .map(|nth| {
            let numbers = first + nth * together..first + (nth + 1) * together;
            let videos = numbers.map(|number| source.prepare(lake.paths(), number));
            videos.collect()
        })
        .collect();
    println!("{READY}");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    for videos in prepared {
        for outcome in lake.commit_all(videos) {
            assert_eq!(outcome.expect("a commit"), CommitOutcome::Added);
        }
    }
    // What takes time at the end of a process is not measured.
    std::process::exit(0);
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
    let extensions = store().lake_extensions().expect("the manifest names it");
    let address = LakeAddress::parse(place).expect("an address");
    let paths = LakePaths::find(&address, &extensions).expect("a lake");
    paths.prepare().expect("a folder");
    Lake::new(paths, &extensions, MEMORY_BYTES, THREADS).expect("a session")
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
