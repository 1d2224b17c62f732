//! `posedata remove`: takes videos out of the lake.

use clap::Args;
use serde::Serialize;

use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::lake::RemoveReport;

use crate::resources::DatabaseUse;

/// Take videos out of the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata remove demo.mp4
  posedata remove e5960d33 clips/jump.mov

The rows go from all tables in one transaction; the video files themselves are not touched.
`posedata query --at` still finds the rows in older snapshots. To delete them for good:
  posedata lake expire --keep 1 && posedata lake vacuum")]
pub struct RemoveArgs {
    /// Videos: ids, file names, beginnings of them, or paths
    #[arg(required = true, value_name = "VIDEO")]
    videos: Vec<String>,
}

#[derive(Serialize)]
struct Removed {
    video_id: String,
    file_name: String,
    path: String,
}

pub fn run(args: RemoveArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let lake = global.open_lake(DatabaseUse::Catalog)?;
    let videos = lake.find_videos(&args.videos)?;
    let ids: Vec<String> = videos.iter().map(|video| video.video_id.clone()).collect();
    // A damaged file of examples must not keep videos in the lake.
    let datasets = lake.datasets_of(&ids).unwrap_or_default();
    let report = lake.remove_videos(&ids)?;
    let videos: Vec<Removed> = videos
        .into_iter()
        .map(|video| Removed {
            video_id: video.video_id,
            file_name: video.file_name,
            path: video.path,
        })
        .collect();
    if global.json {
        let result = serde_json::json!({
            "videos": videos,
            "tables": report.tables,
            "datasets": datasets,
        });
        print_result(serde_json::to_string_pretty(&result)?)?;
    } else if global.verbosity() > Verbosity::Quiet {
        tell(&videos, &report)?;
        for (name, folder) in datasets {
            logs::note(format_args!(
                "hint: the files of the dataset {name} still have examples of it; build it again, or delete them: {folder}"
            ));
        }
    }
    Ok(ExitStatus::Success)
}

fn tell(videos: &[Removed], report: &RemoveReport) -> anyhow::Result<()> {
    for video in videos {
        print_result(format_args!("removed {}: {}", video.file_name, video.path))?;
    }
    let tables = report.tables.iter().filter(|table| table.rows > 0);
    let rows: Vec<String> = tables
        .map(|table| format!("{} of {}", table.rows, table.table))
        .collect();
    print_result(format_args!("rows deleted: {}", rows.join(", ")))?;
    print_result(
        "older snapshots still have them; `posedata lake expire --keep 1 && posedata lake vacuum` deletes them for good",
    )
}
