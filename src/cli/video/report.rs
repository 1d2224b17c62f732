//! `posedata report`: numbers, curves and pictures of movements as one page.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context;
use arrow::array::AsArray;
use clap::Args;

use super::annotate::{FaceArgs, tell_of_faces};
use crate::cli::target::Target;
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::export::Faces;
use crate::export::replay::{self, ReplayError};
use crate::files::write_atomically;
use crate::ingest::Source;
use crate::lake::{Lake, VideoRecord};
use crate::paths::PathTexts;
use crate::query::{ExternalAccess, Query, QueryError, Session};
use crate::report::{self, Group, KeyFrame, MAX_GROUPS, Picture, Report};
use crate::resources::DatabaseUse;
use crate::sync::Cancellation;
use crate::text::{shell_word, shown};

/// Digits of a video's id that tell it from others; the report's list of recordings has as many.
const ID_DIGITS: usize = 8;
/// Width and height of a picture in the report.
const PICTURE_SIZE_PX: [u32; 2] = [360, 480];

/// Write numbers, curves and pictures of movements as one page to hand over
#[derive(Args)]
#[command(after_help = "Examples:
  posedata report --subject anna --output anna.html
  posedata report before.mp4 after.mp4 --output change.html
  posedata report --subject anna --subject ben --output both.html --blur-faces

One HTML file without anything from elsewhere, which prints well on A4. Two VIDEOs, or two
--subject, stand side by side with their differences (the second minus the first); a single one
stands alone, and more VIDEOs than two are one group. `posedata events detect` has to find the
movements before, and `posedata metrics recompute` the filtered angles of the curves.

All numbers are results of the SQL statements that the report lists. Pictures show the person in the
key frames with the skeleton; their videos must still be there (a warning says which are not).")]
pub struct ReportArgs {
    /// Ids, paths, file names or beginnings of them
    #[arg(value_name = "VIDEO", required_unless_present = "subject")]
    videos: Vec<String>,
    /// All videos that show this subject, see `posedata tag`
    #[arg(long, value_name = "NAME", conflicts_with = "videos")]
    subject: Vec<String>,
    /// The page to write, or its address on S3
    #[arg(long, visible_alias = "out", value_name = "FILE.html|s3://BUCKET/KEY")]
    output: PathBuf,
    /// Heading of the page [default: the names of what it shows]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Number of the person whom the report is about [default: each video's main person]
    #[arg(long, value_name = "N")]
    person: Option<u16>,
    /// Leave pictures out; no video is read
    #[arg(long)]
    no_pictures: bool,
    #[command(flatten)]
    faces: FaceArgs,
}

pub fn run(args: ReportArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let target = Target::file(&args.output)?;
    let cancellation = global.cancellation_with_grace(None);
    let Some(report) = read(&args, &cancellation, global)? else {
        return Ok(ExitStatus::Interrupted);
    };
    let pictures = match args.no_pictures {
        true => Vec::new(),
        false => {
            let lake = global.open_lake(DatabaseUse::Replay)?;
            match pictures(&lake, &report, args.faces.faces(), &cancellation)? {
                Some(pictures) => pictures,
                None => return Ok(ExitStatus::Interrupted),
            }
        }
    };
    write_atomically(target.path(), report::page(&report, &pictures).as_bytes())
        .with_context(|| format!("cannot write the report: {}", shown(&args.output)))?;
    target.finish()?;
    if global.json {
        print_result(serde_json::json!({ "written": [args.output.texts()] }))?;
    } else if global.verbosity() > Verbosity::Quiet {
        logs::note(shown(&args.output));
    }
    if !pictures.is_empty() {
        tell_of_faces(args.faces.faces(), global);
    }
    Ok(ExitStatus::Success)
}

/// Asks for all numbers, in a session that has ended when this returns: a process attaches a lake once
/// at a time. `None` when it is cancelled.
fn read(
    args: &ReportArgs,
    cancellation: &Cancellation,
    global: &GlobalArgs,
) -> anyhow::Result<Option<Report>> {
    let lake = global.open_lake(DatabaseUse::Query)?;
    let videos = match args.subject.is_empty() {
        true => lake.find_videos(&args.videos)?,
        false => Vec::new(),
    };
    let session = Session::open(lake, None, ExternalAccess::Denied)?;
    let session = session.interrupted_by(cancellation);
    let groups = match args.subject.is_empty() {
        true => groups_of_videos(videos),
        false => groups_of_subjects(args, &session)?,
    };
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    let title = args.title.clone().unwrap_or_else(|| names.join(" and "));
    match Report::read(&session, title, groups, args.person) {
        Err(_) if cancellation.is_cancelled() => Ok(None),
        report => Ok(Some(report?)),
    }
}

/// One or two videos stand for themselves; more are one group.
fn groups_of_videos(videos: Vec<VideoRecord>) -> Vec<Group> {
    if videos.len() > MAX_GROUPS {
        return vec![Group {
            name: format!("{} recordings", videos.len()),
            video_ids: videos.into_iter().map(|video| video.video_id).collect(),
        }];
    }
    let names = told_apart(&videos);
    let group = |(video, name): (VideoRecord, String)| Group {
        name,
        video_ids: vec![video.video_id],
    };
    videos.into_iter().zip(names).map(group).collect()
}

/// Names of videos; those of the same name have digits of their id behind it.
fn told_apart(videos: &[VideoRecord]) -> Vec<String> {
    let is_shared = |name: &str| {
        videos
            .iter()
            .filter(|video| video.file_name == name)
            .count()
            > 1
    };
    let name = |video: &VideoRecord| match is_shared(&video.file_name) {
        true => {
            let id: String = video.video_id.chars().take(ID_DIGITS).collect();
            format!("{} ({id})", video.file_name)
        }
        false => video.file_name.clone(),
    };
    videos.iter().map(name).collect()
}

fn groups_of_subjects(args: &ReportArgs, session: &Session) -> anyhow::Result<Vec<Group>> {
    anyhow::ensure!(
        args.subject.len() <= MAX_GROUPS,
        "a report compares two subjects at most; give --subject once or twice"
    );
    let group = |name: &String| {
        let sql = "SELECT video_id FROM subjects WHERE subject = $subject ORDER BY video_id";
        let query = Query::new(sql.into(), vec![("subject".into(), name.clone())]);
        let video_ids = session.read(&query, |_, batches| {
            let ids = batches.flat_map(|batch| {
                let ids = batch.column(0).as_string::<i32>();
                let ids: Vec<String> = ids.iter().flatten().map(str::to_owned).collect();
                ids
            });
            Ok::<Vec<String>, QueryError>(ids.collect())
        })?;
        anyhow::ensure!(
            !video_ids.is_empty(),
            "no video shows {name}; `posedata tag VIDEO --subject {}` says whom a video shows",
            shell_word(name)
        );
        let name = name.clone();
        Ok(Group { name, video_ids })
    };
    args.subject.iter().map(group).collect()
}

/// A video's name, and its pictures.
type VideoPictures = (String, Vec<Picture>);

/// Pictures by video; a video that is gone is told and left out. `None` when it is cancelled.
fn pictures(
    lake: &Lake,
    report: &Report,
    faces: Faces,
    cancellation: &Cancellation,
) -> anyhow::Result<Option<Vec<VideoPictures>>> {
    let mut of_videos: Vec<(String, Vec<KeyFrame>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for key_frame in report.key_frames() {
        let video_id = key_frame.video_id.clone();
        let place = *places.entry(video_id.clone()).or_insert(of_videos.len());
        if place == of_videos.len() {
            of_videos.push((video_id, Vec::new()));
        }
        of_videos[place].1.push(key_frame);
    }
    let mut found = Vec::new();
    for (video_id, key_frames) in of_videos {
        let Some(source) = Source::find(lake, &[video_id])?.pop() else {
            continue;
        };
        let local = match source.local(cancellation) {
            Ok(local) => local,
            Err(error) => {
                let name = &source.video.file_name;
                logs::note(format_args!("no pictures of {name}: {error}"));
                continue;
            }
        };
        let rows = lake.frames(&source.video)?;
        let person = key_frames.first().map_or(0, |key_frame| key_frame.person);
        let frames: Vec<u64> = key_frames.iter().map(|key_frame| key_frame.frame).collect();
        let jpegs = replay::pictures(
            local.path(),
            rows,
            (person, &frames),
            PICTURE_SIZE_PX,
            faces,
            cancellation,
        );
        let jpegs = match jpegs {
            Err(ReplayError::Stopped) => return Ok(None),
            Err(error @ ReplayError::Lake(_)) => return Err(error.into()),
            Err(error) => {
                let name = &source.video.file_name;
                logs::note(format_args!("no pictures of {name}: {error}"));
                continue;
            }
            Ok(jpegs) => jpegs,
        };
        let captions = key_frames.into_iter().map(|key_frame| key_frame.caption);
        let pictures = (captions.zip(jpegs))
            .map(|(caption, jpeg)| Picture { caption, jpeg })
            .collect();
        found.push((source.video, pictures));
    }
    let (videos, pictures): (Vec<VideoRecord>, Vec<_>) = found.into_iter().unzip();
    Ok(Some(
        told_apart(&videos).into_iter().zip(pictures).collect(),
    ))
}
