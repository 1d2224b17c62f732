//! `posedata dataset trace --clip`: an example's frames, cut out of its video.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use crate::cli::{GlobalArgs, print_result};
use crate::dataset::Trace;
use crate::ingest::check_source;
use crate::video::cut_clip;

/// Where the clip goes.
#[derive(Args)]
pub struct ClipArgs {
    /// Cut the example's frames out of the video into this file
    #[arg(long, value_name = "FILE.mp4")]
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
        let video = (trace.video.as_ref())
            .context("the video is no longer in the lake; ingest it again to cut a clip")?;
        let path = Path::new(&video.path);
        check_source(&video.record, path)?;
        let lineage = &trace.example.lineage;
        cut_clip(path, lineage.frame_start..=lineage.frame_end, clip)?;
        match global.json {
            true => Ok(()),
            false => print_result(format_args!("clip:       {}", clip.display())),
        }
    }
}
