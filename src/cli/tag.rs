//! `posedata tag`: says whom videos show.

use clap::{ArgGroup, Args};

use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};

use crate::resources::DatabaseUse;

/// Say whom videos show, so that no one is both trained and validated on
#[derive(Args)]
#[command(group = ArgGroup::new("tag").required(true).args(["subject", "no_subject"]))]
#[command(after_help = "Examples:
  posedata tag single_cam01.mp4 single_cam02.mp4 --subject anna
  posedata tag demo.mp4 --no-subject
  posedata query -e \"select file_name, subject from videos left join subjects using (video_id)\"")]
pub struct TagArgs {
    /// Videos: ids, file names, beginnings of them, or paths
    #[arg(required = true, value_name = "VIDEO")]
    videos: Vec<String>,
    /// Any text that stands for the person or group filmed
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Forget whom the videos show
    #[arg(long)]
    no_subject: bool,
}

pub fn run(args: TagArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let subject = args.subject.as_deref().map(str::trim);
    anyhow::ensure!(
        subject.is_none_or(|subject| !subject.is_empty()),
        "--subject is empty; give any text, or --no-subject"
    );
    let lake = global.open_lake(DatabaseUse::Catalog)?;
    let videos = lake.find_videos(&args.videos)?;
    let ids: Vec<String> = videos.iter().map(|video| video.video_id.clone()).collect();
    lake.tag_subject(&ids, subject)?;
    if global.json {
        print_result(serde_json::json!({ "video_ids": ids, "subject": subject }))?;
    } else if global.verbosity() > Verbosity::Quiet {
        let shown = subject.unwrap_or("nobody in particular");
        for video in videos {
            logs::note(format_args!("{} shows {shown}", video.file_name));
        }
    }
    Ok(ExitStatus::Success)
}
