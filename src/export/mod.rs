//! What leaves the lake, or goes beside it: annotated videos and files for other programs (pose
//! JSON, CSV, Parquet, OpenSim's TRC for markers and MOT for angles, C3D, OpenPose's and COCO's JSON).
//!
//! Times are in real seconds, as in the lake. A pause of the recording is a step in the column of
//! times; nothing is filled in.
//!
//! Everything is streamed, frame by frame, into files that appear whole or not at all. Nothing here
//! knows how the lake stores its rows.

#[cfg(feature = "video")]
pub mod annotation;
mod body25;
mod c3d;
#[cfg(feature = "video")]
mod closeup;
mod coco;
#[cfg(feature = "video")]
pub mod faces;
mod file_names;
mod mot;
mod outputs;
mod pose_json;
#[cfg(feature = "video")]
pub mod replay;
mod sink;
mod travel;
mod trc;
mod wide;

use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use file_names::{shared_stems, unique_stem};
pub use outputs::{AnnotatedVideo, Faces, Outputs, PoseJson, VideoOutputs};
pub use pose_json::{POSE_MODEL_SCHEMA, PoseJsonWriter};
pub use sink::ExportError;
pub use travel::Travel;

use crate::lake::{Lake, PersonRow, VideoRecord};
use crate::names;
use crate::sync::Cancellation;
use body25::Body25Writer;
use c3d::C3dWriter;
use coco::CocoWriter;
use mot::MotWriter;
use sink::FrameSink;
use travel::TravelScales;
use trc::TrcWriter;
use wide::{CsvWriter, ParquetWriter};

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A list with one object per frame and person: points and metrics
    PoseJson,
    /// A table with one row per frame and person: metrics and landmarks
    Csv,
    /// OpenSim markers: world landmarks in metres, a file per person
    Trc,
    /// OpenSim motion: joint and segment angles in degrees, a file per person
    Mot,
    /// The table of csv as Parquet
    Parquet,
    /// C3D markers: world landmarks in millimetres, a file per person
    C3d,
    /// OpenPose's BODY_25 model: a folder with a JSON file per frame
    OpenPose,
    /// COCO's 17 keypoints, a JSON file per video
    CocoKeypoints,
}

/// What to write of which videos.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExportConfig {
    /// What to write.
    pub format: ExportFormat,
    /// Only the person of this number.
    pub person: Option<u16>,
    /// Markers of TRC move through the room; else they stay around the hips.
    pub travel: Option<Travel>,
}

impl From<ExportFormat> for ExportConfig {
    /// Everybody, as the lake has them.
    fn from(format: ExportFormat) -> Self {
        Self {
            format,
            person: None,
            travel: None,
        }
    }
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

impl ExportFormat {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 8] = [
        Self::PoseJson,
        Self::Csv,
        Self::Trc,
        Self::Mot,
        Self::Parquet,
        Self::C3d,
        Self::OpenPose,
        Self::CocoKeypoints,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PoseJson => "pose-json",
            Self::Csv => "csv",
            Self::Trc => "trc",
            Self::Mot => "mot",
            Self::Parquet => "parquet",
            Self::C3d => "c3d",
            Self::OpenPose => "openpose",
            Self::CocoKeypoints => "coco-keypoints",
        }
    }

    /// What follows the stem in a file's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::PoseJson => "_pose.json",
            Self::Csv => ".csv",
            Self::Trc => ".trc",
            Self::Mot => ".mot",
            Self::Parquet => ".parquet",
            Self::C3d => ".c3d",
            // The name of such folders in Pose2Sim.
            Self::OpenPose => "_json",
            Self::CocoKeypoints => "_coco.json",
        }
    }

    /// Whether the file holds landmarks in metres and nothing else.
    fn is_of_world_landmarks(self) -> bool {
        match self {
            Self::Trc | Self::C3d => true,
            Self::PoseJson
            | Self::Csv
            | Self::Mot
            | Self::Parquet
            | Self::OpenPose
            | Self::CocoKeypoints => false,
        }
    }

    fn persons_per_file(self) -> PersonsPerFile {
        match self {
            Self::PoseJson | Self::Csv | Self::Parquet | Self::OpenPose | Self::CocoKeypoints => {
                PersonsPerFile::All
            }
            Self::Trc | Self::Mot | Self::C3d => PersonsPerFile::One,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PersonsPerFile {
    All,
    One,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExportedFile {
    /// Where it lies now, under its final name.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub path: PathBuf,
    /// Of the video whose rows it has.
    pub video_id: String,
    /// The one person whom the file is about; everybody where there is none.
    pub person: Option<u16>,
    /// Frames of the video that it covers; TRC and MOT leave out pictures that repeat a time.
    pub frame_count: u64,
}

/// Exports videos, each with [`export_video`]; `done` is told of each. Names are unique among all
/// videos of the lake, so that one export never replaces another video's files. After a cancellation
/// nothing more is done.
///
/// # Errors
/// When the lake's videos cannot be listed.
pub fn export_videos(
    lake: &Lake,
    videos: &[VideoRecord],
    config: ExportConfig,
    folder: &Path,
    cancellation: &Cancellation,
    mut done: impl FnMut(Result<&[ExportedFile], ExportError>),
) -> Result<Vec<ExportedFile>, ExportError> {
    let all = lake.find_videos(&[])?;
    let shared = shared_stems(all.iter().map(|video| Path::new(&video.file_name)));
    let mut files = Vec::new();
    for video in videos {
        let stem = unique_stem(Path::new(&video.file_name), &video.video_id, |stem| {
            shared.contains(stem)
        });
        match export_video(lake, video, config, folder, &stem, cancellation) {
            Ok(exported) => {
                done(Ok(&exported));
                files.extend(exported);
            }
            Err(ExportError::Stopped) => break,
            Err(error) => done(Err(error)),
        }
    }
    Ok(files)
}

/// Writes a video's file, or, for formats that hold one person, the file of each person. Files are
/// named `stem`, with `_person<N>` behind it where they hold one of several persons.
///
/// # Errors
/// When the lake cannot be read, `person` is not in the video, nobody is and the format holds
/// markers or angles, its pose model gives no landmarks in metres and the format holds those, the folder cannot be written to, or it is cancelled. No file is left
/// behind then.
pub fn export_video(
    lake: &Lake,
    video: &VideoRecord,
    config: ExportConfig,
    folder: &Path,
    stem: &str,
    cancellation: &Cancellation,
) -> Result<Vec<ExportedFile>, ExportError> {
    let format = config.format;
    if format.is_of_world_landmarks() && video.skeleton().is_some() {
        return Err(ExportError::NoWorldLandmarks {
            pose_model: video.pose_model.clone(),
            format: format.name(),
            video: video.file_name.clone(),
        });
    }
    let persons = lake.persons(video)?;
    let export = VideoExport::prepare(lake, video, config)?;
    let mut sinks = Vec::new();
    for person in persons_of_files(&persons, config, video)? {
        let name = match person {
            Some(person) if persons.len() > 1 => format!("{stem}_person{person}"),
            _ => stem.to_owned(),
        };
        let path = folder.join(format!("{name}{}", format.suffix()));
        let sink = export.begin_file(&path, &name, person)?;
        sinks.push((person, path, sink));
    }
    let mut frame_count = 0;
    for frame in lake.frames(video)? {
        if cancellation.is_cancelled() {
            return Err(ExportError::Stopped);
        }
        let frame = frame?;
        for (person, _, sink) in &mut sinks {
            let shown: &[PersonRow] = match person {
                None => &frame.persons,
                Some(person) => (frame.persons.iter())
                    .find(|row| row.pose.person == *person)
                    .map_or(&[], std::slice::from_ref),
            };
            sink.push(frame.frame, frame.time, shown)?;
        }
        frame_count += 1;
    }
    let mut files = Vec::new();
    for (person, path, sink) in sinks {
        sink.finish()?;
        files.push(ExportedFile {
            path,
            video_id: video.video_id.clone(),
            person,
            frame_count,
        });
    }
    Ok(files)
}

/// Whom each of a video's files is about; one file about everybody where it is nobody.
fn persons_of_files(
    persons: &[u16],
    config: ExportConfig,
    video: &VideoRecord,
) -> Result<Vec<Option<u16>>, ExportError> {
    match (config.person, config.format.persons_per_file()) {
        (Some(person), _) if persons.contains(&person) => Ok(vec![Some(person)]),
        (Some(person), _) => Err(ExportError::NoSuchPerson {
            person,
            known: known_persons(persons),
            video: video.file_name.clone(),
        }),
        (None, PersonsPerFile::All) => Ok(vec![None]),
        (None, PersonsPerFile::One) if persons.is_empty() => Err(ExportError::NoPose {
            video: video.file_name.clone(),
        }),
        (None, PersonsPerFile::One) => Ok(persons.iter().copied().map(Some).collect()),
    }
}

/// What the files of one video have in common.
struct VideoExport<'a> {
    video: &'a VideoRecord,
    format: ExportFormat,
    /// Of all frames, for formats that are laid out by them.
    times_secs: Vec<f64>,
    /// For markers that move through the room.
    scales: Option<TravelScales>,
}

impl<'a> VideoExport<'a> {
    fn prepare(
        lake: &Lake,
        video: &'a VideoRecord,
        config: ExportConfig,
    ) -> Result<Self, ExportError> {
        let ExportConfig { format, person, .. } = config;
        let times_secs = match format {
            ExportFormat::Trc
            | ExportFormat::Mot
            | ExportFormat::C3d
            | ExportFormat::CocoKeypoints => lake.times_secs(video)?,
            ExportFormat::PoseJson
            | ExportFormat::Csv
            | ExportFormat::Parquet
            | ExportFormat::OpenPose => Vec::new(),
        };
        let scales = match config.travel.filter(|_| format == ExportFormat::Trc) {
            Some(travel) => {
                let person = match person {
                    Some(person) => person,
                    None => lake.main_person(video)?.unwrap_or(0),
                };
                Some(TravelScales::measure(lake, video, person, travel)?)
            }
            None => None,
        };
        Ok(Self {
            video,
            format,
            times_secs,
            scales,
        })
    }

    /// Begins the file called `name`, without its suffix, at `path`.
    fn begin_file(
        &self,
        path: &Path,
        name: &str,
        person: Option<u16>,
    ) -> Result<Box<dyn FrameSink>, ExportError> {
        let Self {
            video, times_secs, ..
        } = self;
        // The number that frames without this person, or without anybody, are written for.
        let absent_person = person.unwrap_or(0);
        let travel = (self.scales.as_ref()).map(|scales| scales.of(absent_person));
        let image_size_px = [f64::from(video.width_px), f64::from(video.height_px)];
        Ok(match self.format {
            ExportFormat::PoseJson => {
                Box::new(PoseJsonWriter::create(path)?.with_absent_person(absent_person))
            }
            ExportFormat::Csv => Box::new(CsvWriter::create(path, absent_person)?),
            ExportFormat::Parquet => Box::new(ParquetWriter::create(path, video, absent_person)?),
            ExportFormat::Trc => Box::new(TrcWriter::create(
                path,
                video.first_frame,
                times_secs,
                travel,
            )?),
            ExportFormat::Mot => Box::new(MotWriter::create(path, times_secs)?),
            ExportFormat::C3d => Box::new(C3dWriter::create(path, video, times_secs)?),
            ExportFormat::OpenPose => Box::new(Body25Writer::create(path, name, image_size_px)?),
            ExportFormat::CocoKeypoints => {
                Box::new(CocoWriter::create(path, name, video, times_secs)?)
            }
        })
    }
}

fn known_persons(persons: &[u16]) -> String {
    match persons {
        [] => "nobody".into(),
        persons => {
            let numbers: Vec<String> = persons.iter().map(u16::to_string).collect();
            numbers.join(", ")
        }
    }
}
