//! What every exported file is: something that takes one frame after the other.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::files::why_not_written;
use crate::lake::{LakeError, PersonRow};
use crate::media_time::MediaTime;
use crate::metrics::timing::FrameClock;

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The rows cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The folder cannot be written to, or the disk is full.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The file that was to be made.
        path: PathBuf,
        /// What the system says, and a remedy.
        reason: String,
    },
    /// A person was asked for whom the video does not have.
    #[error("there is no person {person} in the video; it has {known}: {video}")]
    NoSuchPerson {
        /// The number that was asked for.
        person: u16,
        /// The numbers that there are, in words.
        known: String,
        /// Its name in the lake.
        video: String,
    },
    /// C3D has one rate for all frames.
    #[error(
        "the video's frames are not evenly spaced, and C3D knows one rate and no times; `posedata export trc` keeps them: {video}"
    )]
    UnevenFrames {
        /// Its name in the lake.
        video: String,
    },
    /// There is nothing to scale a way by.
    #[error(
        "person {person} is never seen from head to heel, so the scale of its way is unknown; give another --person, or leave --travel out: {video}"
    )]
    UnknownHeight {
        /// The number of the person.
        person: u16,
        /// Its name in the lake.
        video: String,
    },
    /// Markers are in metres, and the video's pose model gives none.
    #[error(
        "the pose model {pose_model} gives no landmarks in metres, which {format} is made of; export csv, openpose or coco-keypoints, or ingest the video with --pose-model: {video}"
    )]
    NoWorldLandmarks {
        /// What estimated the video's poses.
        pose_model: String,
        /// The format's name on the command line.
        format: &'static str,
        /// Its name in the lake.
        video: String,
    },
    /// TRC and MOT are about people, and the video has none.
    #[error(
        "nobody was found in the video, so there are no markers and no angles to write: {video}"
    )]
    NoPose {
        /// Its name in the lake.
        video: String,
    },
    /// It was cancelled; no file is left behind.
    #[error("stopped")]
    Stopped,
}

impl ExportError {
    pub(super) fn write(path: &Path, reason: impl Error + 'static) -> Self {
        Self::Write {
            path: path.into(),
            reason: why_not_written(&reason),
        }
    }
}

/// A file that takes one frame after the other.
pub(super) trait FrameSink {
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

/// Keeps the rows of a table of OpenSim to times that ascend: it refuses others. Of pictures with
/// the same time, or nearly, the first stays, and pictures out of order go.
#[derive(Default)]
pub(super) struct AscendingTimes {
    clock: FrameClock,
    latest_secs: Option<f64>,
}

impl AscendingTimes {
    /// To be asked for each frame in turn.
    pub(super) fn takes(&mut self, time_secs: f64) -> bool {
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
    pub(super) fn count(times_secs: &[f64]) -> u64 {
        let mut ascending = Self::default();
        let taken = times_secs.iter().filter(|time| ascending.takes(**time));
        taken.count() as u64
    }
}
