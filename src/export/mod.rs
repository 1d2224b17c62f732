//! What leaves the lake, or goes beside it: annotated videos and files for other programs (pose
//! JSON, CSV, Parquet, and OpenSim's TRC for markers and MOT for angles).
//!
//! Times are in real seconds, as in the lake. A pause of the recording is a step in the column of
//! times; nothing is filled in.
//!
//! Everything is streamed, frame by frame, into files that appear whole or not at all. Nothing here
//! knows how the lake stores its rows.

pub mod annotation;
mod mot;
mod pose_json;
pub mod replay;
mod trc;
mod wide;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use pose_json::{POSE_MODEL_SCHEMA, PoseJsonWriter};
pub use trc::MARKER_NAMES;

use crate::files::why_not_written;
use crate::lake::{Lake, LakeError, PersonRow, VideoRecord};
use crate::metrics::timing::FrameClock;
use crate::names;
use crate::video::MediaTime;
use mot::MotWriter;
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
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

impl ExportFormat {
    pub const ALL: [Self; 5] = [
        Self::PoseJson,
        Self::Csv,
        Self::Trc,
        Self::Mot,
        Self::Parquet,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::PoseJson => "pose-json",
            Self::Csv => "csv",
            Self::Trc => "trc",
            Self::Mot => "mot",
            Self::Parquet => "parquet",
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
        }
    }

    fn persons_per_file(self) -> PersonsPerFile {
        match self {
            Self::PoseJson | Self::Csv | Self::Parquet => PersonsPerFile::All,
            Self::Trc | Self::Mot => PersonsPerFile::One,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PersonsPerFile {
    All,
    One,
}

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("cannot write ({reason}): {path}")]
    Write { path: PathBuf, reason: String },
    #[error("there is no person {person} in the video; it has {known}: {video}")]
    NoSuchPerson {
        person: u16,
        known: String,
        video: String,
    },
    #[error(
        "nobody was found in the video, so there are no markers and no angles to write: {video}"
    )]
    NoPose { video: String },
    #[error("stopped")]
    Stopped,
}

impl ExportError {
    fn write(path: &Path, reason: impl Error + 'static) -> Self {
        Self::Write {
            path: path.into(),
            reason: why_not_written(&reason),
        }
    }
}

/// A file that takes one frame after the other.
trait FrameSink {
    /// Adds a frame: everybody in it whom the file is about, or nobody.
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError>;

    /// Gives the file its name.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExportedFile {
    pub path: PathBuf,
    pub video_id: String,
    /// The one person whom the file is about; everybody where there is none.
    pub person: Option<u16>,
    pub frame_count: u64,
}

/// Writes a video's file, or, for formats that hold one person, the file of each person. Files are
/// named `stem`, with `_person<N>` behind it where they hold one of several persons.
///
/// # Errors
/// When the lake cannot be read, `person` is not in the video, nobody is and the format holds
/// markers or angles, the folder cannot be written to, or `is_stopped` says so. No file is left
/// behind then.
pub fn export_video(
    lake: &Lake,
    video: &VideoRecord,
    format: ExportFormat,
    person: Option<u16>,
    folder: &Path,
    stem: &str,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<ExportedFile>, ExportError> {
    let persons = lake.persons(video)?;
    let file_persons: Vec<Option<u16>> = match (person, format.persons_per_file()) {
        (Some(person), _) if persons.contains(&person) => vec![Some(person)],
        (Some(person), _) => {
            return Err(ExportError::NoSuchPerson {
                person,
                known: known_persons(&persons),
                video: video.file_name.clone(),
            });
        }
        (None, PersonsPerFile::All) => vec![None],
        (None, PersonsPerFile::One) if persons.is_empty() => {
            return Err(ExportError::NoPose {
                video: video.file_name.clone(),
            });
        }
        (None, PersonsPerFile::One) => persons.iter().copied().map(Some).collect(),
    };
    let times_secs = match format {
        ExportFormat::Trc | ExportFormat::Mot => lake.times_secs(video)?,
        ExportFormat::PoseJson | ExportFormat::Csv | ExportFormat::Parquet => Vec::new(),
    };
    let mut sinks = Vec::new();
    for person in file_persons {
        let name = match person {
            Some(person) if persons.len() > 1 => format!("{stem}_person{person}"),
            _ => stem.to_owned(),
        };
        let path = folder.join(name + format.suffix());
        sinks.push((
            person,
            path.clone(),
            open(format, &path, video, &times_secs, person)?,
        ));
    }
    let mut frame_count = 0;
    for frame in lake.frames(video)? {
        if is_stopped() {
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

/// Keeps the rows of a table of OpenSim to times that ascend: it refuses others. Of pictures with
/// the same time, or nearly, the first stays, and pictures out of order go.
#[derive(Default)]
struct AscendingTimes {
    clock: FrameClock,
    latest_secs: Option<f64>,
}

impl AscendingTimes {
    /// To be asked for each frame in turn.
    fn takes(&mut self, time_secs: f64) -> bool {
        let passage = self.clock.advance(time_secs);
        let ascends = self
            .latest_secs
            .is_none_or(|latest| time_secs > latest && !passage.is_repeat);
        if ascends {
            self.latest_secs = Some(time_secs);
        }
        ascends
    }

    /// How many of a video's frames are taken.
    fn count(times_secs: &[f64]) -> u64 {
        let mut ascending = Self::default();
        let taken = times_secs.iter().filter(|time| ascending.takes(**time));
        taken.count() as u64
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

fn open(
    format: ExportFormat,
    path: &Path,
    video: &VideoRecord,
    times_secs: &[f64],
    person: Option<u16>,
) -> Result<Box<dyn FrameSink>, ExportError> {
    // The number that frames without this person, or without anybody, are written for.
    let absent_person = person.unwrap_or(0);
    Ok(match format {
        ExportFormat::PoseJson => {
            Box::new(PoseJsonWriter::create(path)?.with_absent_person(absent_person))
        }
        ExportFormat::Csv => Box::new(CsvWriter::create(path, absent_person)?),
        ExportFormat::Parquet => Box::new(ParquetWriter::create(path, video, absent_person)?),
        ExportFormat::Trc => Box::new(TrcWriter::create(path, times_secs)?),
        ExportFormat::Mot => Box::new(MotWriter::create(path, times_secs)?),
    })
}
