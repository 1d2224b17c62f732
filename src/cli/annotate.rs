//! `posedata annotate` and `posedata contact-sheet`: pictures of what the lake has, without models.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::export::replay::{self, ReplayError, SheetLayout};
use crate::files::write_atomically;
use crate::ingest::{AnnotatedVideo, Outputs, PoseJson, shared_stems, unique_stem, video_id};
use crate::lake::{Lake, VideoRecord};
use crate::resources::DatabaseUse;
use crate::text::shown;
use crate::video::ImageFormat;

/// Where files go if nothing else is said; made where it is not there.
const DEFAULT_FOLDER: &str = "output";

/// Draw skeletons and metrics on videos that are in the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata annotate demo.mp4
  posedata annotate --output ~/annotated

A VIDEO is a file, or a video of the lake by its name, a beginning of it, or its id; without any,
all videos of the lake are annotated. No model runs: what is drawn comes from the lake, the
pictures from the video file, which must still exist (a file that has moved is found when its new
path is given).")]
pub struct AnnotateArgs {
    /// Video files, or names, beginnings of names, or ids of videos in the lake
    #[arg(value_name = "VIDEO")]
    videos: Vec<String>,
    /// Folder of annotated videos
    #[arg(long, value_name = "DIR", default_value = DEFAULT_FOLDER)]
    output: PathBuf,
}

/// Show evenly spaced frames of a video, annotated, in one picture
#[derive(Args)]
#[command(after_help = "Example:
  posedata contact-sheet demo.mp4 --columns 4 --rows 3 --output sheet.png")]
pub struct ContactSheetArgs {
    /// Video file, or name, beginning of a name, or id of a video in the lake
    #[arg(value_name = "VIDEO")]
    video: String,
    /// Picture to write (.png or .jpg), or a folder that is there already, which gets NAME_sheet.png
    #[arg(
        long,
        visible_alias = "out",
        value_name = "FILE|DIR",
        default_value = DEFAULT_FOLDER
    )]
    output: PathBuf,
    /// Frames side by side
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    columns: u32,
    /// Frames one below the other
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    rows: u32,
    /// Width of the whole picture in pixels
    #[arg(long, value_name = "PX", default_value_t = 1920, value_parser = clap::value_parser!(u32).range(64..=16384))]
    width: u32,
}

pub fn run(args: AnnotateArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let lake = global.open_lake(DatabaseUse::Replay)?;
    let sources = sources(&lake, &args.videos)?;
    let all = lake.find_videos(&[])?;
    let shared = shared_stems(all.iter().map(|video| Path::new(&video.file_name)));
    let outputs = Outputs {
        folder: args.output,
        annotated_video: AnnotatedVideo::On,
        pose_json: PoseJson::Off,
    };
    let cancellation = global.cancellation("interrupted: leaving the video in work");
    let (mut written, mut failed) = (Vec::new(), 0);
    for (video, path) in sources {
        let stem = unique_stem(Path::new(&video.file_name), &video.video_id, &shared);
        let Some(output) = outputs.of_video(&stem).annotated_video else {
            continue;
        };
        let annotated = check_source(&video, &path).and_then(|()| {
            replay::annotate(&path, lake.frames(&video)?, &output, &cancellation)
                .map_err(anyhow::Error::from)
        });
        match annotated {
            Ok(()) => {
                if global.verbosity() > Verbosity::Quiet {
                    logs::note(format_args!(
                        "{} frames: {}",
                        video.frame_count,
                        shown(&output)
                    ));
                }
                written.push(output);
            }
            Err(_) if cancellation.is_cancelled() => return Ok(ExitStatus::Interrupted),
            Err(error) => {
                super::print_error(&error);
                failed += 1;
            }
        }
    }
    if global.json {
        print_result(serde_json::to_string_pretty(&serde_json::json!({
            "written": written,
            "failed": failed,
        }))?)?;
    }
    Ok(match failed {
        0 => ExitStatus::Success,
        _ => ExitStatus::SomeVideosFailed,
    })
}

pub fn run_contact_sheet(
    args: ContactSheetArgs,
    global: &GlobalArgs,
) -> anyhow::Result<ExitStatus> {
    let lake = global.open_lake(DatabaseUse::Replay)?;
    let Some((video, path)) = sources(&lake, &[args.video])?.pop() else {
        anyhow::bail!("the lake holds no such video");
    };
    let all = lake.find_videos(&[])?;
    let shared = shared_stems(all.iter().map(|video| Path::new(&video.file_name)));
    let stem = unique_stem(Path::new(&video.file_name), &video.video_id, &shared);
    let is_folder = args.output == Path::new(DEFAULT_FOLDER) || names_folder(&args.output);
    let out = match is_folder {
        true => args.output.join(format!("{stem}_sheet.png")),
        false => args.output,
    };
    let suffix = out.extension().unwrap_or_default().to_ascii_lowercase();
    let format = match suffix.to_str() {
        Some("png") => ImageFormat::Png,
        Some("jpg" | "jpeg") => ImageFormat::Jpeg,
        _ => anyhow::bail!(
            "a contact sheet is a .png or .jpg file; change the suffix, or give a folder that is there: {}",
            shown(&out)
        ),
    };
    check_source(&video, &path)?;
    let layout = SheetLayout {
        columns: args.columns,
        rows: args.rows,
        width_px: args.width,
    };
    let cancellation = global.cancellation(None);
    let rows = lake.frames(&video)?;
    let bytes = match replay::contact_sheet(&path, rows, layout, format, &cancellation) {
        Err(ReplayError::Stopped) => return Ok(ExitStatus::Interrupted),
        other => other?,
    };
    write_atomically(&out, &bytes)
        .with_context(|| format!("cannot write the picture: {}", shown(&out)))?;
    if global.json {
        print_result(serde_json::json!({ "written": [out] }))?;
    } else if global.verbosity() > Verbosity::Quiet {
        logs::note(shown(&out));
    }
    Ok(ExitStatus::Success)
}

/// Whether a path is that of a folder: one that is there, or one that ends as only folders do.
pub(super) fn names_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// The videos that were asked for, each with the file that holds its pictures.
fn sources(lake: &Lake, selectors: &[String]) -> anyhow::Result<Vec<(VideoRecord, PathBuf)>> {
    if selectors.is_empty() {
        let videos = lake.find_videos(&[])?.into_iter();
        return Ok(videos
            .map(|video| {
                let path = PathBuf::from(&video.path);
                (video, path)
            })
            .collect());
    }
    let mut sources = Vec::new();
    for selector in selectors {
        let path = Path::new(selector);
        // A file is known by its content, wherever it lies now.
        let known_as = if path.is_file() {
            video_id(path)?
        } else {
            selector.clone()
        };
        let found = lake.find_videos(&[known_as]);
        let found = match path.is_file() {
            true => found.with_context(|| {
                format!("{selector} is not in the lake; run `posedata ingest {selector}` first")
            })?,
            false => found?,
        };
        for video in found {
            let source = if path.is_file() {
                path.to_path_buf()
            } else {
                PathBuf::from(&video.path)
            };
            sources.push((video, source));
        }
    }
    Ok(sources)
}

/// The rows of one video on the pictures of another would be worse than nothing.
pub(super) fn check_source(video: &VideoRecord, path: &Path) -> anyhow::Result<()> {
    ensure!(
        path.is_file(),
        "the video file is gone; give the path where it lies now: {}",
        path.display()
    );
    ensure!(
        video_id(path)? == video.video_id,
        "the file has changed since it was ingested; ingest it again: {}",
        path.display()
    );
    Ok(())
}
