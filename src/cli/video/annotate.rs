//! `posedata annotate` and `posedata contact-sheet`: pictures of what the lake has, without models.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::events::{Committed, EventArgs, Events, Outcome};
use crate::cli::target::Target;
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::export::Faces;
use crate::export::replay::{self, ReplayError, SheetLayout};
use crate::files::{names_folder, write_atomically};
use crate::ingest::{Failure, Source, annotate_all};
use crate::paths::PathTexts;
use crate::resources::DatabaseUse;
use crate::steps::Step;
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
path is given).

--blur-faces covers the faces of people whom the lake has in a frame, from a second before they are found
to a second after they are lost. Others in the picture are shown as they are: look before you hand it over.

--events json tells programs of every video while it is worked on; docs/events.md has the events.")]
pub struct AnnotateArgs {
    /// Video files, or names, beginnings of names, or ids of videos in the lake
    #[arg(value_name = "VIDEO")]
    videos: Vec<String>,
    /// Folder of annotated videos, or an s3:// prefix
    #[arg(long, value_name = "DIR|s3://BUCKET/PREFIX/", default_value = DEFAULT_FOLDER)]
    output: PathBuf,
    #[command(flatten)]
    faces: FaceArgs,
    #[command(flatten)]
    events: EventArgs,
}

/// Whether faces can be recognized in pictures.
#[derive(Args)]
pub struct FaceArgs {
    /// Make faces unrecognizable: of the people whom the lake has in a frame, a second before or a second
    /// after it, and of nobody else
    #[arg(long)]
    blur_faces: bool,
}

/// Tells whose faces are not covered.
pub fn tell_of_faces(faces: Faces, global: &GlobalArgs) {
    if faces == Faces::Blurred && global.verbosity() > Verbosity::Quiet {
        logs::note(
            "note: covered are the faces of people whom the lake has, from a second before they are found to a second after they are lost; anybody else's is shown: look before you hand it over",
        );
    }
}

impl FaceArgs {
    /// What the option says.
    pub fn faces(&self) -> Faces {
        match self.blur_faces {
            true => Faces::Blurred,
            false => Faces::Shown,
        }
    }
}

/// Show evenly spaced frames of a video, annotated, in one picture
#[derive(Args)]
#[command(after_help = "Example:
  posedata contact-sheet demo.mp4 --columns 4 --rows 3 --output sheet.png")]
pub struct ContactSheetArgs {
    /// Video file, or name, beginning of a name, or id of a video in the lake
    #[arg(value_name = "VIDEO")]
    video: String,
    /// Picture to write (.png or .jpg), or a folder that is there already, which gets NAME_sheet.png; or
    /// the address of either on S3
    #[arg(
        long,
        visible_alias = "out",
        value_name = "FILE|DIR|s3://BUCKET/KEY",
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
    #[command(flatten)]
    faces: FaceArgs,
}

pub fn run(args: AnnotateArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let events = Events::start(args.events, global)?;
    let ended = run_telling(args, &events, global);
    events.finish(&ended, global);
    ended
}

fn run_telling(
    args: AnnotateArgs,
    events: &Events,
    global: &GlobalArgs,
) -> anyhow::Result<ExitStatus> {
    let target = Target::folder(&args.output)?;
    let lake = global.open_lake(DatabaseUse::Replay)?;
    let sources = Source::find(&lake, &args.videos)?;
    let cancellation = global.cancellation_with_grace("interrupted: leaving the video in work");
    let (mut written, mut failed) = (Vec::new(), 0);
    let mut done = 0;
    annotate_all(
        &lake,
        &sources,
        target.path(),
        args.faces.faces(),
        &cancellation,
        |Source { video, path, .. }, step| match step.and_then(|output| {
            target.send(&output)?;
            Ok(output)
        }) {
            Step::Begun => events.started(done, path, video.file_bytes, Some(video.frame_count)),
            Step::Frame => events.frame_done(done),
            Step::Done(Ok(output)) => {
                let output = target.shown(&output);
                let committed = Committed {
                    output: Some(output.to_string_lossy().into_owned()),
                    ..Committed::all_frames(video, Outcome::Written)
                };
                events.committed(done, path, &committed);
                done += 1;
                if global.verbosity() > Verbosity::Quiet {
                    let frames = video.frame_count;
                    logs::note(format_args!("{frames} frames: {}", shown(&output)));
                }
                written.push(output);
            }
            Step::Done(Err(error)) => {
                events.failed(done, path, error.kind(), &error.to_string());
                done += 1;
                failed += 1;
                crate::cli::print_error(&error.into());
            }
        },
    );
    events.cancelled_from(done, sources.iter().map(|source| source.path.as_path()));
    if cancellation.is_cancelled() {
        return Ok(ExitStatus::Interrupted);
    }
    if !written.is_empty() {
        tell_of_faces(args.faces.faces(), global);
    }
    if global.json {
        print_result(serde_json::to_string_pretty(&serde_json::json!({
            "written": written.texts(),
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
    let Some(source) = Source::find(&lake, &[args.video])?.pop() else {
        anyhow::bail!("the lake holds no such video");
    };
    let is_folder = args.output == Path::new(DEFAULT_FOLDER) || names_folder(&args.output);
    let out = match is_folder {
        true => args.output.join(format!("{}_sheet.png", source.stem)),
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
    let target = Target::file(&out)?;
    let cancellation = global.cancellation_with_grace(None);
    let local = source.local(&cancellation)?;
    let layout = SheetLayout {
        columns: args.columns,
        rows: args.rows,
        width_px: args.width,
        faces: args.faces.faces(),
    };
    let rows = lake.frames(&source.video)?;
    let bytes = match replay::contact_sheet(local.path(), rows, layout, format, &cancellation) {
        Err(ReplayError::Stopped) => return Ok(ExitStatus::Interrupted),
        other => other?,
    };
    write_atomically(target.path(), &bytes)
        .with_context(|| format!("cannot write the picture: {}", shown(&out)))?;
    target.finish()?;
    if global.json {
        print_result(serde_json::json!({ "written": [out.texts()] }))?;
    } else if global.verbosity() > Verbosity::Quiet {
        logs::note(shown(&out));
    }
    tell_of_faces(layout.faces, global);
    Ok(ExitStatus::Success)
}
