//! `posedata metrics`: what is computed from landmarks in the lake.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::events::{Committed, EventArgs, Events, Outcome};
use super::filtering::{
    FailedVideo, FilteringArgs, ending, tell_out_of_scale, tell_without_height,
};
use super::movement_events::{self, MovementArgs};
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::ingest::Failure as _;
use crate::numbers::counted;
use crate::recompute::{FilteredStretch, RecomputeReport, recompute_all};
use crate::resources::DatabaseUse;
use crate::steps::Step;

/// Compute metrics from landmarks in the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata metrics recompute
  posedata metrics recompute demo.mp4 --cutoff 8 --height-m 1.82")]
pub struct MetricsArgs {
    #[command(subcommand)]
    command: MetricsCommand,
}

#[derive(Subcommand)]
enum MetricsCommand {
    Recompute(RecomputeArgs),
}

/// Filter landmarks and measure them again, without the video
#[derive(Args)]
#[command(after_help = "Examples:
  posedata metrics recompute
  posedata metrics recompute demo.mp4 --cutoff 8 --height-m 1.82
  posedata query -e \"select frame, left_knee_deg from metrics_filtered\"

Fills the tables landmarks_filtered and metrics_filtered; a video's earlier rows there are
replaced, its measured landmarks stay as they are. The filter is the Butterworth low-pass of
Pose2Sim and Sports2D: order 4 over both passes, without delay. As there, --cutoff is not
corrected for the second pass: it is where the amplitude is halved (-6 dB); -3 dB is at about
0.8 of it. 3 to 6 Hz suit walking, 6 to 15 Hz running.

A video is filtered stretch by stretch where the recording was paused, each at its own frame rate;
nothing is filled in over a pause. A stretch of 9 frames or fewer, or one whose frame rate is not above
twice the cut-off, stays as it is, and is told. A pause is a step between two frames of more than
0.1 s that is longer than five times the steps around it (their median).

--height-m adds speeds and positions in metres, as long as the person moves across the picture. It is the
height of one person, and only that person's metres follow from it: --height-m 1.82 of the only or main
person, --height-m 0=1.82,2=1.70 of several.

Movements are found anew too, as `posedata events detect` finds them: tables events and cycles.

--events json tells programs of every video when it is done; docs/events.md has the events.")]
struct RecomputeArgs {
    /// Ids (or beginnings of 6 digits), file names or paths of videos; all videos if none is given
    #[arg(value_name = "VIDEO")]
    videos: Vec<String>,
    #[command(flatten)]
    filtering: FilteringArgs,
    #[command(flatten)]
    movement: MovementArgs,
    #[command(flatten)]
    events: EventArgs,
}

/// What became of all videos.
#[derive(Serialize)]
struct Summary {
    cutoff_hz: f64,
    max_gap_frames: usize,
    height_m: Option<f64>,
    videos: Vec<RecomputeReport>,
    failed: Vec<FailedVideo>,
}

pub fn run(args: MetricsArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    match args.command {
        MetricsCommand::Recompute(args) => {
            let events = Events::start(args.events, global)?;
            let ended = run_recompute(args, &events, global);
            events.finish(&ended, global);
            ended
        }
    }
}

fn run_recompute(
    args: RecomputeArgs,
    events: &Events,
    global: &GlobalArgs,
) -> anyhow::Result<ExitStatus> {
    let config = args.filtering.config(args.movement.config())?;
    let lake = global.open_lake(DatabaseUse::Beside)?;
    let videos = lake.find_videos(&args.videos)?;
    let cancellation = global.cancellation_with_grace(None);
    let mut summary = Summary {
        cutoff_hz: args.filtering.cutoff,
        max_gap_frames: args.filtering.max_gap,
        height_m: args.filtering.height_m(),
        videos: Vec::new(),
        failed: Vec::new(),
    };
    let tells = !global.json && global.verbosity() > Verbosity::Quiet;
    let mut done = 0;
    recompute_all(&lake, &videos, &config, &cancellation, |video, step| {
        let path = Path::new(&video.path);
        match step {
            Step::Begun => events.started(done, path, video.file_bytes, Some(video.frame_count)),
            Step::Frame => events.frame_done(done),
            Step::Done(Ok(report)) => {
                let committed = Committed::all_frames(video, Outcome::Computed);
                events.committed(done, path, &committed);
                done += 1;
                if tells {
                    logs::note(format_args!("{}: {}", report.file_name, in_words(&report)));
                    let without = &report.persons_without_height;
                    tell_without_height(&report.file_name, &report.scales, without);
                    tell_out_of_scale(&report.file_name, &report.movement);
                }
                summary.videos.push(report);
            }
            Step::Done(Err(failure)) => {
                let error = failure.to_string();
                events.failed(done, path, failure.kind(), &error);
                done += 1;
                summary.failed.push(FailedVideo::told(video, error));
            }
        }
    });
    events.cancelled_from(done, videos.iter().map(|video| Path::new(&video.path)));
    if global.json {
        print_result(serde_json::to_string_pretty(&summary)?)?;
    } else if tells {
        let frames: u64 = summary.videos.iter().map(|video| video.frame_count).sum();
        logs::note(format_args!(
            "{}: {} filtered at {} Hz, {} failed; {frames} frames",
            counted(videos.len() as u64, "video"),
            summary.videos.len(),
            args.filtering.cutoff,
            summary.failed.len(),
        ));
    }
    Ok(ending(&summary.failed, &cancellation))
}

fn in_words(report: &RecomputeReport) -> String {
    let mut words = format!(
        "{} frames, {}, {} landmarks, {} of them interpolated",
        report.frame_count,
        match report.person_count {
            1 => "1 person".into(),
            n => format!("{n} people"),
        },
        report.landmark_count,
        report.interpolated_count,
    );
    if report.unfiltered_count > 0 {
        words += &format!(
            ", {} unfiltered (on paths of 9 frames or fewer, or of a rate too low for the cut-off)",
            report.unfiltered_count
        );
    }
    if report.left_out_count > 0 {
        words += &format!(", {} hidden ones left out", report.left_out_count);
    }
    if report.jump_count > 0 {
        words += &format!(", {} not bridged", counted(report.jump_count, "jump"));
    }
    if let pauses @ 1.. = report.stretches.len().saturating_sub(1) {
        words += &format!(", {} not bridged", counted(pauses as u64, "pause"));
        let unfiltered = report.stretches.iter().filter(|s| !s.is_filtered);
        let unfiltered: Vec<String> = unfiltered.map(in_words_stretch).collect();
        if !unfiltered.is_empty() {
            words += &format!(
                "; too short or too slow to filter: {}",
                unfiltered.join(", ")
            );
        }
    }
    for scale in &report.scales {
        let who = match report.person_count {
            1 => String::new(),
            _ => format!("person {} ", scale.person),
        };
        let (height_px, mm_per_px) = (scale.height_px, scale.meters_per_px * 1e3);
        words += &format!("; {who}{height_px:.0} px tall, {mm_per_px:.2} mm/px");
    }
    if report.movement.cycles + report.movement.initial_contacts > 0 {
        words += &format!("; {}", movement_events::in_words(&report.movement));
    }
    if report.metrics_renewed {
        words += "; metrics of an older version renewed";
    }
    words
}

fn in_words_stretch(stretch: &FilteredStretch) -> String {
    let frames = match stretch.last_frame - stretch.first_frame {
        0 => format!("frame {}", stretch.first_frame),
        _ => format!("frames {} to {}", stretch.first_frame, stretch.last_frame),
    };
    match stretch.rate_hz {
        Some(rate_hz) => format!("{frames} ({rate_hz:.2} Hz)"),
        None => frames,
    }
}
