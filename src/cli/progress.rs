//! Progress bars on the terminal: one for each video in work, one for all.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Verbosity, styled_error_label};
use crate::ingest::{IngestObserver, VideoOutcome, VideoReport};

/// How often a bar is drawn at most.
const REFRESHES_PER_SEC: u8 = 10;

pub struct Progress {
    verbosity: Verbosity,
    bars: MultiProgress,
    total: ProgressBar,
    videos: Mutex<HashMap<usize, ProgressBar>>,
}

impl Progress {
    /// Bars are drawn only where standard error is a terminal.
    pub fn new(verbosity: Verbosity) -> Self {
        let is_shown = verbosity > Verbosity::Quiet && std::io::stderr().is_terminal();
        let target = if is_shown {
            ProgressDrawTarget::stderr_with_hz(REFRESHES_PER_SEC)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        let total = bars.add(ProgressBar::no_length().with_style(style(
            "{wide_bar} {pos}/{len} frames  {per_sec}  ETA {eta}  {msg}",
        )));
        Self {
            verbosity,
            bars,
            total,
            videos: Mutex::default(),
        }
    }

    /// Clears the bars away.
    pub fn finish(&self) {
        self.total.finish_and_clear();
    }

    fn say(&self, line: &str) {
        // Between bars a line has to be printed by whoever draws them.
        self.bars.suspend(|| eprintln!("{line}"));
    }

    fn videos(&self) -> std::sync::MutexGuard<'_, HashMap<usize, ProgressBar>> {
        self.videos
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .progress_chars("=> ")
}

impl IngestObserver for Progress {
    fn planned(&self, videos: usize) {
        self.total.set_message(format!("{videos} videos"));
        self.total.enable_steady_tick(Duration::from_millis(200));
    }

    fn video_started(&self, video: usize, path: &Path, frame_count_hint: Option<u64>) {
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy();
        let bar = ProgressBar::new(frame_count_hint.unwrap_or(0))
            .with_style(style("{msg} {wide_bar} {pos}/{len}  {per_sec}  ETA {eta}"))
            .with_message(name.into_owned());
        let bar = self.bars.insert_before(&self.total, bar);
        self.total.inc_length(frame_count_hint.unwrap_or(0));
        self.videos().insert(video, bar);
    }

    fn frame_done(&self, video: usize) {
        if let Some(bar) = self.videos().get(&video) {
            bar.inc(1);
        }
        self.total.inc(1);
    }

    fn video_finished(&self, video: usize, report: &VideoReport) {
        if let Some(bar) = self.videos().remove(&video) {
            bar.finish_and_clear();
        }
        let path = report.path.display();
        match &report.outcome {
            VideoOutcome::Failed { error } => {
                self.say(&format!("{} {error}", styled_error_label()));
            }
            _ if self.verbosity == Verbosity::Quiet => {}
            VideoOutcome::Ingested | VideoOutcome::Replaced => self.say(&format!(
                "{path}: {} frames, {} with a pose",
                report.frame_count, report.pose_frame_count
            )),
            VideoOutcome::Skipped if self.verbosity == Verbosity::Verbose => {
                self.say(&format!("{path}: in the lake already"));
            }
            VideoOutcome::Skipped | VideoOutcome::Cancelled => {}
        }
    }
}
