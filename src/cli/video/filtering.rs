//! What the commands that filter landmarks share: their options, and what they say of videos that
//! failed.

use clap::Args;
use serde::Serialize;

use crate::cli::{ExitStatus, choices, print_error};
use crate::lake::VideoRecord;
use crate::metrics::filter::FilterConfig;
use crate::movement::DetectConfig;
use crate::recompute::{KnownHeight, RecomputeConfig};
use crate::sync::Cancellation;

/// How landmarks are filtered, and how tall somebody is.
#[derive(Args)]
pub struct FilteringArgs {
    /// Cut-off frequency of the low-pass filter
    #[arg(long, value_name = "HZ", default_value_t = 6.0, value_parser = choices::positive)]
    pub cutoff: f64,
    /// Gaps of more frames than this are left open; shorter ones are filled with straight lines
    #[arg(long, value_name = "FRAMES", default_value_t = 10)]
    pub max_gap: usize,
    /// Height of a person, in metres
    #[arg(long, value_name = "METRES", value_parser = choices::height)]
    pub height_m: Option<f64>,
    /// Number of the person whose height that is [default: each video's main person]
    #[arg(long, value_name = "N", requires = "height_m")]
    person: Option<u16>,
}

impl FilteringArgs {
    /// What is to be computed.
    pub fn config(&self, movement: DetectConfig) -> RecomputeConfig {
        RecomputeConfig {
            filter: FilterConfig {
                cutoff_hz: self.cutoff,
                max_gap_frames: self.max_gap,
            },
            height: self.height_m.map(|height_m| KnownHeight {
                person: self.person,
                height_m,
            }),
            movement,
        }
    }
}

/// A video of which nothing was computed.
#[derive(Serialize)]
pub struct FailedVideo {
    video_id: String,
    file_name: String,
    error: String,
}

impl FailedVideo {
    /// Tells of it on standard error as well.
    pub fn told(video: &VideoRecord, error: String) -> Self {
        print_error(&anyhow::anyhow!("{}: {error}", video.file_name));
        Self {
            video_id: video.video_id.clone(),
            file_name: video.file_name.clone(),
            error,
        }
    }
}

/// How such a command ends.
pub fn ending(failed: &[FailedVideo], cancellation: &Cancellation) -> ExitStatus {
    if cancellation.is_cancelled() {
        ExitStatus::Interrupted
    } else if failed.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::SomeVideosFailed
    }
}
