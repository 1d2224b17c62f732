//! `posedata dataset trace --clip`: an example's frames, cut out of its video.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;

use crate::cli::target::Target;
use crate::cli::{GlobalArgs, print_result};
use crate::dataset::Trace;
use crate::ingest::Source;
use crate::resources::DatabaseUse;
use crate::video::cut_clip;

/// Where the clip goes.
#[derive(Args)]
pub struct ClipArgs {
    /// Cut the example's frames out of the video into this file, or one on S3
    #[arg(long, value_name = "FILE.mp4|s3://BUCKET/KEY")]
    clip: Option<PathBuf>,
}

impl ClipArgs {
    /// Cuts the clip, if one is wanted, and tells where it is.
    ///
    /// # Errors
    /// When the lake has lost the video, or its file is not the one that was ingested, or the clip
    /// cannot be made.
    pub fn cut(&self, trace: &Trace<'_>, global: &GlobalArgs) -> anyhow::Result<()> {
        let Some(clip) = &self.clip else {
            return Ok(());
        };
        let extension = clip.extension().unwrap_or_default();
        ensure!(
            extension.eq_ignore_ascii_case("mp4"),
            "a clip is an .mp4 file; change the suffix: {}",
            clip.display()
        );
        let lineage = &trace.example.lineage;
        let source = match trace.video {
            Some(_) => {
                let lake = global.open_lake(DatabaseUse::Replay)?;
                Source::find(&lake, std::slice::from_ref(&lineage.video_id))?.pop()
            }
            None => None,
        };
        let source =
            source.context("the video is no longer in the lake; ingest it again to cut a clip")?;
        let target = Target::file(clip)?;
        let local = source.local(&global.cancellation_with_grace(None))?;
        let frames = lineage.frame_start..=lineage.frame_end;
        cut_clip(local.path(), frames, target.path())?;
        target.finish()?;
        match global.json {
            true => Ok(()),
            false => print_result(format_args!("clip:       {}", clip.display())),
        }
    }
}
