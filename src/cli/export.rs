//! `posedata export`: videos' rows as files for other programs.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::target::Target;
use super::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::export::{ExportConfig, ExportFormat, POSE_MODEL_SCHEMA, Travel, export_videos};

use crate::movement::FloorAngle;
use crate::resources::DatabaseUse;

/// Write videos' landmarks and metrics as files for other programs
#[derive(Args)]
#[command(after_help = "Examples:
  posedata export csv
  posedata export trc demo.mp4 --output opensim
  posedata export trc walk.mp4 --travel --height-m 1.75
  posedata export openpose demo.mp4
  posedata export pose-json e5960d33 --person 0

A video is named by its id (6 digits of it at least), its path, its file name or a beginning of it;
without names all videos of the lake are exported. Files are named like the video: demo_pose.json, demo.csv,
demo.trc, demo.mot, demo.parquet, demo.c3d, demo_coco.json, and the folder demo_json of openpose; videos that share a name have digits of their id behind it
(demo-e5960d33.csv), and so have names that are shortened because they are too long; files of one of several persons the person's number (demo_person1.trc).
Older files of these names are replaced.

--travel carries the markers of trc along by the hips' way in the picture, with one scale for the
whole video, that of the main person (or --person): right for movement across the picture. The floor, where
feet stand, is at height 0. C3D knows one rate and no times: videos whose
frames are not evenly spaced are refused.")]
pub struct ExportArgs {
    /// What to write
    #[arg(value_parser = choices::export_format(), value_name = "FORMAT")]
    format: ExportFormat,
    /// Ids, paths, file names or beginnings of them [default: all videos]
    #[arg(value_name = "VIDEO")]
    videos: Vec<String>,
    /// Folder of the files, or an s3:// prefix
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX/", default_value = "output")]
    output: PathBuf,
    /// Only the person of this number
    #[arg(long, value_name = "N")]
    person: Option<u16>,
    /// Markers of trc move through the room, as the person moves across the picture
    #[arg(long)]
    travel: bool,
    /// Height in metres of the main person (or --person), for the scale of --travel [default: that of the
    /// world landmarks]
    #[arg(long, value_name = "METRES", value_parser = super::choices::height, requires = "travel")]
    height_m: Option<f64>,
    /// Slope of the floor in the picture for --travel, degrees anticlockwise; auto takes it from where feet
    /// stand
    #[arg(long, value_name = "auto|DEG", default_value = "auto", value_parser = super::choices::floor_angle, allow_negative_numbers = true, requires = "travel")]
    floor_angle: FloorAngle,
    /// Print the JSON Schema of pose-json files and end
    #[arg(long, conflicts_with_all = ["videos", "person"])]
    schema: bool,
}

pub fn run(args: ExportArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    if args.schema {
        anyhow::ensure!(
            args.format == ExportFormat::PoseJson,
            "--schema belongs to pose-json; other formats have none"
        );
        print_result(POSE_MODEL_SCHEMA.trim_end())?;
        return Ok(ExitStatus::Success);
    }
    anyhow::ensure!(
        !args.travel || args.format == ExportFormat::Trc,
        "--travel belongs to trc; markers of other formats stay around the hips"
    );
    let target = Target::folder(&args.output)?;
    let lake = global.open_lake(DatabaseUse::Stream)?;
    let videos = lake.find_videos(&args.videos)?;
    anyhow::ensure!(
        !videos.is_empty(),
        "the lake has no videos; run `posedata ingest` first: {}",
        lake.paths().root().display()
    );
    std::fs::create_dir_all(target.path()).with_context(|| {
        format!(
            "cannot make the output folder, give another --output: {}",
            args.output.display()
        )
    })?;
    let cancellation = global.cancellation_with_grace("interrupted: leaving the file in work");
    let mut failed = false;
    let mut files = export_videos(
        &lake,
        &videos,
        ExportConfig {
            format: args.format,
            person: args.person,
            travel: args.travel.then_some(Travel {
                height_m: args.height_m,
                floor: args.floor_angle,
            }),
        },
        target.path(),
        &cancellation,
        |exported| match exported {
            Ok(files) => {
                for file in files {
                    let shown = target.shown(&file.path);
                    match target.send(&file.path) {
                        Err(error) => {
                            failed = true;
                            super::print_error(&error.into());
                        }
                        Ok(()) if global.verbosity() == Verbosity::Quiet => {}
                        Ok(()) => logs::note(format_args!(
                            "{} frames: {}",
                            file.frame_count,
                            shown.display()
                        )),
                    }
                }
            }
            Err(error) => {
                failed = true;
                super::print_error(&error.into());
            }
        },
    )?;
    for file in &mut files {
        file.path = target.shown(&file.path);
    }
    target.finish()?;
    if global.json {
        print_result(serde_json::to_string_pretty(&files)?)?;
    }
    Ok(match (cancellation.is_cancelled(), failed) {
        (true, _) => ExitStatus::Interrupted,
        (_, true) => ExitStatus::SomeVideosFailed,
        _ => ExitStatus::Success,
    })
}
