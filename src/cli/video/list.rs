//! `posedata list`: what ingest would take.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{ExitStatus, GlobalArgs, print_error, print_result};
use crate::ingest::{Found, find};
use crate::numbers::human_bytes;

/// List the videos that ingest would take, without reading them
#[derive(Args)]
#[command(after_help = "Examples:
  posedata list ~/clips
  posedata list s3://clips/2026/ --json

For programs that hand videos out to several machines. With --json an array of objects with path,
bytes (null where a server does not say, or there is no such file), frames (as the file states; null
where it does not, or without --frames) and input: the number, from 0, of the argument by which it was
found. Of a web address path leaves out what stands behind its question mark. A file that is no video,
though it is called one, is listed: ingest reports it.")]
pub struct ListArgs {
    /// Video files, folders, s3:// prefixes, https:// addresses
    #[arg(required = true, value_name = "FILE|DIR|ADDRESS")]
    inputs: Vec<PathBuf>,
    /// Folder of annotated videos, which is not searched
    #[arg(long, value_name = "DIR", default_value = "output")]
    output: PathBuf,
    /// Open the files on a disk to tell how many frames they state, where there are at most N videos
    #[arg(long, value_name = "N", default_value_t = 0)]
    frames: usize,
}

pub fn run(args: ListArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let (found, errors) = find(&args.inputs, &args.output, args.frames)?;
    if global.json {
        print_result(serde_json::to_string_pretty(&found)?)?;
    } else {
        for Found { path, bytes, .. } in &found {
            let size = bytes.map_or("?".into(), human_bytes);
            print_result(format_args!("{size:>9}  {}", path.display()))?;
        }
    }
    let is_whole = errors.is_empty();
    for error in errors {
        print_error(&error.into());
    }
    Ok(match is_whole {
        true => ExitStatus::Success,
        false => ExitStatus::SomeVideosFailed,
    })
}
