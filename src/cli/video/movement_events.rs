//! `posedata events`: what movements mean.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::filtering::{
    FailedVideo, FilteringArgs, ending, tell_out_of_scale, tell_without_height,
};
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::movement::{DetectConfig, FloorAngle, Gait, GaitMethod, repetitions};
use crate::numbers::counted;
use crate::recompute::{DetectReport, MovementCounts, detect_all};
use crate::resources::DatabaseUse;
use crate::steps::Step;

/// Find steps, jumps and repetitions in movements
#[derive(Args)]
#[command(after_help = "Examples:
  posedata events detect
  posedata events detect squats.mp4 --angle left_knee_deg
  posedata query gait")]
pub struct MovementEventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Subcommand)]
enum EventsCommand {
    Detect(DetectArgs),
}

/// Find contacts of feet, jumps and repetitions, without the video
#[derive(Args)]
#[command(after_help = "Examples:
  posedata events detect
  posedata events detect walk.mp4 --height-m 1.75
  posedata events detect squats.mp4 --angle left_knee_deg
  posedata query gait
  posedata query -e \"select * from events order by time_secs\"

Fills the tables events and cycles; a video's earlier rows there are replaced. Landmarks are
filtered like those of `posedata metrics recompute`, which finds movements too; legs whose left and
right the model exchanged are put right before.

Contacts and toe-offs are told in side view only. Walking is looked at with the method of Zeni and
others (2008), running with those of Milner and Paquette (2015) and Fellin and others (2010);
docs/movement.md says how they are told apart and what all numbers mean.
forward_velocity holds only for who walks over ground in front of a camera that stands still; it is
never chosen unless --method asks for it.

--height-m gives lengths and speeds of strides and the heights of jumps by the hips, as long as the
person moves across the picture. It is the height of one person, and only that person's lengths follow
from it: --height-m 1.75 of the only or main person, --height-m 0=1.75,2=1.62 of several.")]
struct DetectArgs {
    /// Ids (or beginnings of 6 digits), file names or paths of videos; all videos if none is given
    #[arg(value_name = "VIDEO")]
    videos: Vec<String>,
    #[command(flatten)]
    movement: MovementArgs,
    #[command(flatten)]
    filtering: FilteringArgs,
}

/// What movements are looked for.
#[derive(Args)]
pub struct MovementArgs {
    /// How contacts of feet are found [default: by the recording]
    #[arg(long, value_parser = choices::gait_method())]
    method: Option<GaitMethod>,
    /// How the people go [default: by the way their hips go up and down]
    #[arg(long, value_parser = choices::gait())]
    gait: Option<Gait>,
    /// Joint angle whose repetitions are counted [default: the one that moves most]
    #[arg(long, value_name = "COLUMN", value_parser = angle)]
    angle: Option<String>,
    /// Slope of the floor in the picture, degrees anticlockwise; auto takes it from where feet stand
    #[arg(long, value_name = "auto|DEG", default_value = "auto", value_parser = choices::floor_angle, allow_negative_numbers = true)]
    floor_angle: FloorAngle,
}

impl MovementArgs {
    /// What is to be found.
    pub fn config(self) -> DetectConfig {
        DetectConfig {
            gait_method: self.method,
            gait: self.gait,
            angle: self.angle,
            meters_per_px: None,
            floor: self.floor_angle,
        }
    }
}

fn angle(text: &str) -> Result<String, String> {
    let known: Vec<&str> = repetitions::angles().collect();
    match known.contains(&text) {
        true => Ok(text.into()),
        false => Err(format!("expected one of {}", known.join(", "))),
    }
}

/// What became of all videos.
#[derive(Serialize)]
struct Summary {
    videos: Vec<DetectReport>,
    failed: Vec<FailedVideo>,
}

pub fn run(args: MovementEventsArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let EventsCommand::Detect(args) = args.command;
    let config = args.filtering.config(args.movement.config())?;
    let lake = global.open_lake(DatabaseUse::Beside)?;
    let videos = lake.find_videos(&args.videos)?;
    let cancellation = global.cancellation_with_grace(None);
    let mut summary = Summary {
        videos: Vec::new(),
        failed: Vec::new(),
    };
    let tells = !global.json && global.verbosity() > Verbosity::Quiet;
    detect_all(
        &lake,
        &videos,
        &config,
        &cancellation,
        |video, step| match step {
            Step::Begun | Step::Frame => {}
            Step::Done(Ok(report)) => {
                if tells {
                    let found = in_words(&report.movement);
                    logs::note(format_args!("{}: {found}", report.file_name));
                    let without = &report.persons_without_height;
                    tell_without_height(&report.file_name, &report.scales, without);
                    tell_out_of_scale(&report.file_name, &report.movement);
                }
                summary.videos.push(report);
            }
            Step::Done(Err(failure)) => {
                summary
                    .failed
                    .push(FailedVideo::told(video, failure.to_string()));
            }
        },
    );
    if global.json {
        print_result(serde_json::to_string_pretty(&summary)?)?;
    }
    Ok(ending(&summary.failed, &cancellation))
}

/// What was found, for people.
pub fn in_words(found: &MovementCounts) -> String {
    let parts = [
        (found.initial_contacts, "contact"),
        (found.toe_offs, "toe-off"),
        (found.jumps, "jump"),
        (found.repetitions, "repetition"),
    ];
    let parts: Vec<String> = (parts.iter())
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| counted(*count as u64, noun))
        .collect();
    match parts.is_empty() {
        true => "no steps, jumps or repetitions".into(),
        false => parts.join(", "),
    }
}
