//! What happens to each video, as JSON on standard output: one object a line, for programs that start
//! this one. `docs/events.md` describes them; fields and events may come to that, none may go.
//!
//! Nobody waits for a reader that has gone: events are no longer written then, and the work goes on.
//! One that does not read is waited for, as any pipe's is.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::analysis::AnalysisError;
use crate::cli::{ExitStatus, GlobalArgs, exit_code, logs};
use crate::ingest::{
    Failure, FailureKind, IngestError, IngestObserver, MemoryError, SourceError, VideoOutcome,
    VideoReport,
};
use crate::lake::{LakeError, UtcTime, VideoRecord};
use crate::pose::PoseError;
use crate::recompute::RecomputeError;
use crate::sync::lock;
use crate::text::one_line;
use crate::video::VideoError;

/// Progress of a video is not told more often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// How long the last event waits for one that is being written, where a signal ends the program.
const LAST_PATIENCE: Duration = Duration::from_millis(200);
const LAST_POLL: Duration = Duration::from_millis(10);

/// Whether a command tells events.
#[derive(Args, Clone, Copy, Debug)]
pub struct EventArgs {
    /// Tell what happens to each video on standard output, for programs: one JSON object a line,
    /// see docs/events.md
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    events: Option<EventFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EventFormat {
    /// JSON Lines, version 1
    Json,
}

/// An event, as it is written.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Started {
        video: &'a str,
        file_bytes: u64,
        frame_count: Option<u64>,
    },
    Progress {
        video: &'a str,
        frames: u64,
        frame_count: Option<u64>,
    },
    Committed {
        video: &'a str,
        #[serde(flatten)]
        committed: &'a Committed,
        secs: f64,
    },
    Failed {
        /// `None`: the command as a whole.
        video: Option<&'a str>,
        kind: FailureKind,
        error: &'a str,
    },
    Cancelled {
        video: &'a str,
    },
    Summary {
        #[serde(flatten)]
        counts: Counts,
        elapsed_secs: f64,
        exit_code: u8,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: Event<'a>,
    time: UtcTime,
}

/// What became of a video that came to a good end.
#[derive(Clone, Debug, Serialize)]
pub struct Committed {
    pub video_id: String,
    pub outcome: Outcome,
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Those that were worked on.
    pub frames: u64,
    pub pose_frames: u64,
    pub notes: Vec<String>,
}

impl Committed {
    /// Of a video of the lake whose frames were all worked on.
    pub fn all_frames(video: &VideoRecord, outcome: Outcome) -> Self {
        Self {
            video_id: video.video_id.clone(),
            outcome,
            output: None,
            frames: video.frame_count,
            pose_frames: video.pose_frame_count,
            notes: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ingested,
    Replaced,
    Skipped,
    /// An annotated video.
    Written,
    /// Rows that come from rows.
    Computed,
}

/// Videos by what became of them, and the frames that were worked on.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Counts {
    ingested: u64,
    replaced: u64,
    skipped: u64,
    written: u64,
    computed: u64,
    failed: u64,
    cancelled: u64,
    frames: u64,
}

impl Counts {
    fn of(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Ingested => &mut self.ingested,
            Outcome::Replaced => &mut self.replaced,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Written => &mut self.written,
            Outcome::Computed => &mut self.computed,
        }
    }
}

/// The events of a command; all of it is silent where they are not wanted.
#[derive(Clone)]
pub struct Events {
    /// `None` where they are not wanted.
    state: Option<Arc<Mutex<State>>>,
}

struct State {
    began: Instant,
    out: Box<dyn Write + Send>,
    is_open: bool,
    /// The last event is told.
    is_ended: bool,
    /// The videos in work, by their numbers.
    videos: BTreeMap<usize, Video>,
    counts: Counts,
}

/// A video in work.
struct Video {
    path: String,
    frame_count: Option<u64>,
    frames: u64,
    began: Instant,
    told: Instant,
}

impl Events {
    /// Events as they are asked for. Before a signal ends the program at once, the last one is told.
    ///
    /// # Errors
    /// When standard output is wanted for something else.
    pub fn start(args: EventArgs, global: &GlobalArgs) -> anyhow::Result<Self> {
        let Some(EventFormat::Json) = args.events else {
            return Ok(Self::silent());
        };
        ensure!(
            !global.json,
            "--json and --events both want standard output; leave one out"
        );
        let events = Self::to(io::stdout());
        let of_signals = events.clone();
        (global.signals).before_exit(move |exit_code| of_signals.give_up(exit_code));
        Ok(events)
    }

    pub fn silent() -> Self {
        Self { state: None }
    }

    fn to(out: impl Write + Send + 'static) -> Self {
        let state = State {
            began: Instant::now(),
            out: Box::new(out),
            is_open: true,
            is_ended: false,
            videos: BTreeMap::new(),
            counts: Counts::default(),
        };
        Self {
            state: Some(Arc::new(Mutex::new(state))),
        }
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        self.state.as_deref().map(lock)
    }

    /// A video's turn has come. `frame_count` is what its container suggests.
    pub fn started(&self, video: usize, path: &Path, file_bytes: u64, frame_count: Option<u64>) {
        let Some(mut state) = self.state() else {
            return;
        };
        let path = path.to_string_lossy().into_owned();
        state.tell(Event::Started {
            video: &path,
            file_bytes,
            frame_count,
        });
        let now = Instant::now();
        let started = Video {
            path,
            frame_count,
            frames: 0,
            began: now,
            told: now,
        };
        state.videos.insert(video, started);
    }

    /// Another frame of a video is done.
    pub fn frame_done(&self, video: usize) {
        if let Some(mut state) = self.state() {
            state.frame_done(video, Instant::now());
        }
    }

    pub fn committed(&self, video: usize, path: &Path, committed: &Committed) {
        let Some(mut state) = self.state() else {
            return;
        };
        let in_work = state.videos.remove(&video);
        *state.counts.of(committed.outcome) += 1;
        state.counts.frames += committed.frames;
        state.tell(Event::Committed {
            video: &path.to_string_lossy(),
            committed,
            secs: in_work.map_or(0.0, |video| video.began.elapsed().as_secs_f64()),
        });
    }

    pub fn failed(&self, video: usize, path: &Path, kind: FailureKind, error: &str) {
        let Some(mut state) = self.state() else {
            return;
        };
        state.videos.remove(&video);
        state.counts.failed += 1;
        state.tell(Event::Failed {
            video: Some(&path.to_string_lossy()),
            kind,
            error,
        });
    }

    pub fn cancelled(&self, video: usize, path: &Path) {
        let Some(mut state) = self.state() else {
            return;
        };
        state.videos.remove(&video);
        state.cancelled(&path.to_string_lossy());
    }

    /// Of videos that are worked on in turn, those from number `first` on were given up.
    pub fn cancelled_from<'p>(&self, first: usize, paths: impl Iterator<Item = &'p Path>) {
        for (video, path) in paths.enumerate().skip(first) {
            self.cancelled(video, path);
        }
    }

    /// Tells how the command ended, with the last event; nothing is told after it.
    pub fn finish(&self, ended: &anyhow::Result<ExitStatus>, global: &GlobalArgs) {
        let Some(mut state) = self.state() else {
            return;
        };
        if let Err(error) = ended {
            state.tell(Event::Failed {
                video: None,
                kind: kind_of(error),
                error: &format!("{error:#}"),
            });
        }
        state.end(exit_code(ended, &global.signals));
    }

    /// Tells the end where the command does not come to it. An event that is being written is waited
    /// for, but not a reader that does not read.
    fn give_up(&self, exit_code: u8) {
        let Some(state) = &self.state else {
            return;
        };
        let began = Instant::now();
        let mut state = loop {
            match state.try_lock() {
                Ok(state) => break state,
                Err(TryLockError::Poisoned(state)) => break state.into_inner(),
                Err(TryLockError::WouldBlock) if began.elapsed() < LAST_PATIENCE => {
                    std::thread::sleep(LAST_POLL);
                }
                Err(TryLockError::WouldBlock) => return,
            }
        };
        state.end(exit_code);
    }
}

impl State {
    fn frame_done(&mut self, video: usize, now: Instant) {
        let Some(in_work) = self.videos.get_mut(&video) else {
            return;
        };
        in_work.frames += 1;
        if now.saturating_duration_since(in_work.told) < PROGRESS_EVERY {
            return;
        }
        in_work.told = now;
        let (path, frames) = (in_work.path.clone(), in_work.frames);
        let frame_count = in_work.frame_count;
        self.tell(Event::Progress {
            video: &path,
            frames,
            frame_count,
        });
    }

    fn cancelled(&mut self, video: &str) {
        self.counts.cancelled += 1;
        self.tell(Event::Cancelled { video });
    }

    fn end(&mut self, exit_code: u8) {
        if self.is_ended {
            return;
        }
        for (_, video) in std::mem::take(&mut self.videos) {
            self.cancelled(&video.path);
        }
        self.tell(Event::Summary {
            counts: self.counts,
            elapsed_secs: self.began.elapsed().as_secs_f64(),
            exit_code,
        });
        self.is_ended = true;
    }

    fn tell(&mut self, event: Event<'_>) {
        if !self.is_open || self.is_ended {
            return;
        }
        let time = UtcTime::now();
        let json = serde_json::to_string(&Line { event, time }).expect("plain texts and numbers");
        // What ends a line by anybody's idea of lines, or steers a terminal, means the same escaped.
        let line = format!("{}\n", one_line(&json));
        let written = (self.out.write_all(line.as_bytes())).and_then(|()| self.out.flush());
        if let Err(error) = written {
            self.is_open = false;
            if error.kind() != ErrorKind::BrokenPipe {
                logs::note(format_args!(
                    "note: events cannot be written any more, the work goes on: {error}"
                ));
            }
        }
    }
}

/// What kind of failure ended a command, where an error in its chain knows; passing otherwise, for
/// nothing else says that a video is broken.
fn kind_of(error: &anyhow::Error) -> FailureKind {
    fn kind<E: Failure + std::error::Error + 'static>(
        error: &(dyn std::error::Error + 'static),
    ) -> Option<FailureKind> {
        error.downcast_ref::<E>().map(Failure::kind)
    }
    let known = error.chain().find_map(|error| {
        kind::<IngestError>(error)
            .or_else(|| kind::<SourceError>(error))
            .or_else(|| kind::<AnalysisError>(error))
            .or_else(|| kind::<RecomputeError>(error))
            .or_else(|| kind::<LakeError>(error))
            .or_else(|| kind::<VideoError>(error))
            .or_else(|| kind::<MemoryError>(error))
            .or_else(|| kind::<PoseError>(error))
    });
    known.unwrap_or(FailureKind::Passing)
}

impl Failure for RecomputeError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Lake(error) => error.kind(),
            Self::Filter(_)
            | Self::UnknownPerson { .. }
            | Self::UnknownHeight { .. }
            | Self::TwoHeights { .. } => FailureKind::Broken,
        }
    }
}

impl IngestObserver for Events {
    fn planned(&self, _bytes: u64) {}

    fn video_started(
        &self,
        video: usize,
        path: &Path,
        file_bytes: u64,
        frame_count_hint: Option<u64>,
    ) {
        self.started(video, path, file_bytes, frame_count_hint);
    }

    fn frame_done(&self, video: usize) {
        Self::frame_done(self, video);
    }

    fn video_finished(&self, video: usize, report: &VideoReport) {
        let path = &report.path;
        let outcome = match &report.outcome {
            VideoOutcome::Ingested => Outcome::Ingested,
            VideoOutcome::Replaced => Outcome::Replaced,
            VideoOutcome::Skipped => Outcome::Skipped,
            VideoOutcome::Failed { kind, error } => return self.failed(video, path, *kind, error),
            VideoOutcome::Cancelled => return self.cancelled(video, path),
        };
        let committed = Committed {
            video_id: report.video_id.clone().unwrap_or_default(),
            outcome,
            output: None,
            frames: report.frame_count,
            pose_frames: report.pose_frame_count,
            notes: report.notes.clone(),
        };
        self.committed(video, path, &committed);
    }
}

/// Tells two observers.
pub struct Both<'a>(pub &'a dyn IngestObserver, pub &'a dyn IngestObserver);

impl IngestObserver for Both<'_> {
    fn planned(&self, bytes: u64) {
        self.0.planned(bytes);
        self.1.planned(bytes);
    }

    fn video_started(
        &self,
        video: usize,
        path: &Path,
        file_bytes: u64,
        frame_count_hint: Option<u64>,
    ) {
        (self.0).video_started(video, path, file_bytes, frame_count_hint);
        (self.1).video_started(video, path, file_bytes, frame_count_hint);
    }

    fn frame_done(&self, video: usize) {
        self.0.frame_done(video);
        self.1.frame_done(video);
    }

    fn video_finished(&self, video: usize, report: &VideoReport) {
        self.0.video_finished(video, report);
        self.1.video_finished(video, report);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Keeps what is written, until it is closed.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<(Vec<u8>, Option<ErrorKind>)>>);

    impl Kept {
        fn close(&self, error: ErrorKind) {
            lock(&self.0).1 = Some(error);
        }

        fn events(&self) -> Vec<Value> {
            let text = String::from_utf8(lock(&self.0).0.clone()).expect("UTF-8");
            assert!(text.is_empty() || text.ends_with('\n'), "{text}");
            let event = |line: &str| serde_json::from_str(line).expect("JSON");
            text.lines().map(event).collect()
        }

        fn names(&self) -> Vec<String> {
            let name = |event: &Value| event["event"].as_str().expect("a name").to_owned();
            self.events().iter().map(name).collect()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut kept = lock(&self.0);
            let error = kept.1;
            match error {
                Some(error) => Err(error.into()),
                None => kept.0.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn kept() -> (Kept, Events) {
        let kept = Kept::default();
        (kept.clone(), Events::to(kept))
    }

    fn committed(outcome: Outcome) -> Committed {
        Committed {
            video_id: "0123".into(),
            outcome,
            output: None,
            frames: 30,
            pose_frames: 20,
            notes: vec!["note: it is old".into()],
        }
    }

    #[test]
    fn a_video_is_told_of_from_its_start_to_its_commit() {
        let (kept, events) = kept();
        let path = Path::new("a.mp4");
        events.started(0, path, 1_000, Some(30));
        events.committed(0, path, &committed(Outcome::Ingested));
        let told = kept.events();
        let mut start = told[0].clone();
        let time = start["time"].take();
        let time = time.as_str().expect("a time");
        assert!(time.contains('T') && time.ends_with('Z'), "{time}");
        let expected = serde_json::json!({
            "event": "started", "video": "a.mp4", "file_bytes": 1000, "frame_count": 30, "time": null,
        });
        assert_eq!(start, expected);
        let mut end = told[1].clone();
        assert!(end["secs"].take().as_f64().is_some_and(|secs| secs >= 0.0));
        end["time"].take();
        let expected = serde_json::json!({
            "event": "committed", "video": "a.mp4", "video_id": "0123", "outcome": "ingested",
            "frames": 30, "pose_frames": 20, "secs": null, "notes": ["note: it is old"], "time": null,
        });
        assert_eq!(end, expected);
    }

    #[test]
    fn progress_is_told_once_a_second() {
        let (kept, events) = kept();
        events.started(0, Path::new("a.mp4"), 1_000, None);
        let mut state = events.state().expect("events are wanted");
        let began = state.videos[&0].told;
        for tenths in 1..=35 {
            state.frame_done(0, began + Duration::from_millis(100 * tenths));
            state.frame_done(1, began);
        }
        drop(state);
        let frames: Vec<Value> = kept.events()[1..]
            .iter()
            .map(|event| event["frames"].clone())
            .collect();
        assert_eq!(frames, [10, 20, 30]);
    }

    #[test]
    fn the_summary_counts_and_comes_last() {
        let (kept, events) = kept();
        let path = Path::new("a.mp4");
        for outcome in [Outcome::Ingested, Outcome::Skipped, Outcome::Skipped] {
            events.committed(0, path, &committed(outcome));
        }
        events.failed(0, path, FailureKind::Broken, "not a video");
        events.started(1, path, 0, None);
        events.give_up(143);
        events.give_up(130);
        events.cancelled(2, path);
        assert_eq!(
            kept.names(),
            [
                "committed",
                "committed",
                "committed",
                "failed",
                "started",
                "cancelled",
                "summary"
            ]
        );
        let told = kept.events();
        assert_eq!(told[3]["kind"], "broken");
        let summary = &told[6];
        let counts = [
            "ingested", "replaced", "skipped", "written", "computed", "failed",
        ];
        let counts = counts.map(|name| summary[name].as_u64().expect("a number"));
        assert_eq!(counts, [1, 0, 2, 0, 0, 1]);
        assert_eq!(
            (&summary["cancelled"], &summary["frames"]),
            (&1.into(), &90.into())
        );
        assert_eq!(summary["exit_code"], 143);
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_does_not_read() {
        let (kept, events) = kept();
        let held = events.state();
        events.give_up(143);
        drop(held);
        assert!(kept.events().is_empty());
    }

    #[test]
    fn a_reader_that_has_gone_disturbs_nobody() {
        let (kept, events) = kept();
        let path = Path::new("a.mp4");
        events.started(0, path, 0, None);
        kept.close(ErrorKind::BrokenPipe);
        events.committed(0, path, &committed(Outcome::Ingested));
        events.give_up(0);
        assert_eq!(kept.names(), ["started"]);
    }

    #[test]
    fn names_cannot_end_a_line() {
        let (kept, events) = kept();
        let name = "a\n\u{2028}\u{1b}[31m\u{202e}\"b.mp4";
        events.cancelled(0, Path::new(name));
        let text = String::from_utf8(lock(&kept.0).0.clone()).expect("UTF-8");
        assert!(text.is_ascii(), "{text}");
        assert_eq!(kept.events()[0]["video"], name);
    }

    #[test]
    fn what_ends_a_command_is_told_by_the_error_beneath_all_words() {
        let missing = LakeError::Missing { path: "x".into() };
        let error = anyhow::Error::from(IngestError::from(missing)).context("in vain");
        assert_eq!(kind_of(&error), FailureKind::Broken);
        let locked = LakeError::Locked {
            path: "x".into(),
            waited_secs: 9,
        };
        assert_eq!(kind_of(&locked.into()), FailureKind::Passing);
        assert_eq!(kind_of(&anyhow::anyhow!("odd")), FailureKind::Passing);
    }
}
