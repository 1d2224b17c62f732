//! Whether a failure is the video's own, or may be gone the next time.

use std::io::ErrorKind;

use serde::Serialize;

use super::memory::MemoryError;
use super::panics::PanicError;
use super::slow_motion::SlowMotionError;
use crate::analysis::AnalysisError;
use crate::export::ExportError;
use crate::export::annotation::AnnotationError;
use crate::export::replay::ReplayError;
use crate::lake::LakeError;
use crate::pose::PoseError;
use crate::store::StoreError;
use crate::video::{EncodeError, VideoError};

/// What is to be expected of doing the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The same: it is the video itself, or what was asked for.
    Broken,
    /// Perhaps better: it was the disk, the lake, the memory, the machine, this program.
    Passing,
}

/// An error of which it is known what kind of failure it is.
pub trait Failure {
    /// An error that only carries another one answers as that does.
    fn kind(&self) -> FailureKind;
}

impl Failure for VideoError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Unreadable { kind, .. } => kind_of_reading(*kind),
            Self::MissingLibrary { .. } | Self::Stopped => FailureKind::Passing,
            Self::Empty { .. }
            | Self::NotAFile { .. }
            | Self::NotAVideo { .. }
            | Self::NoVideoStream { .. }
            | Self::NoIndex { .. }
            | Self::Truncated { .. }
            | Self::NoFrames { .. }
            | Self::Playlist { .. }
            | Self::StartsBehindEnd { .. }
            | Self::EmptyPart { .. }
            | Self::Decode { .. } => FailureKind::Broken,
        }
    }
}

/// A file that is not there, or may not be read, will not be there the next time; a disk or a network
/// that failed may be back.
fn kind_of_reading(kind: ErrorKind) -> FailureKind {
    match kind {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput => FailureKind::Broken,
        _ => FailureKind::Passing,
    }
}

impl Failure for LakeError {
    fn kind(&self) -> FailureKind {
        match self {
            // What was asked for, or the video's own rows.
            Self::Missing { .. }
            | Self::MissingInDatabase { .. }
            | Self::WrongAddress { .. }
            | Self::NotALake { .. }
            | Self::TooLong { .. }
            | Self::DamagedFile { .. }
            | Self::Damaged { .. }
            | Self::NoSnapshot { .. }
            | Self::EmptySnapshot { .. }
            | Self::UnknownVideo { .. }
            | Self::AmbiguousVideo { .. } => FailureKind::Broken,
            Self::Store(error) => error.kind(),
            _ => FailureKind::Passing,
        }
    }
}

impl Failure for StoreError {
    fn kind(&self) -> FailureKind {
        match self.is_passing() {
            true => FailureKind::Passing,
            false => FailureKind::Broken,
        }
    }
}

impl Failure for SlowMotionError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Video(error) => error.kind(),
            Self::Factor { .. } => FailureKind::Broken,
        }
    }
}

impl Failure for ExportError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Lake(error) => error.kind(),
            Self::NoSuchPerson { .. }
            | Self::NoPose { .. }
            | Self::UnevenFrames { .. }
            | Self::NoWorldLandmarks { .. }
            | Self::UnknownHeight { .. } => FailureKind::Broken,
            Self::Write { .. } | Self::Stopped => FailureKind::Passing,
        }
    }
}

impl Failure for ReplayError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Video(error) => error.kind(),
            Self::Lake(error) => error.kind(),
            Self::Annotation(error) => error.kind(),
            Self::Encode(error) => error.kind(),
            Self::OtherFrames { .. } => FailureKind::Broken,
            Self::Stopped => FailureKind::Passing,
        }
    }
}

impl Failure for AnalysisError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Lake(error) => error.kind(),
            Self::Runtime(error) => error.kind(),
            // The model does not suit.
            Self::Load { .. }
            | Self::Input { .. }
            | Self::Output { .. }
            | Self::WindowNeeded { .. }
            | Self::WrongWindow { .. }
            | Self::TooLarge { .. }
            | Self::UnknownLandmarks { .. } => FailureKind::Broken,
            Self::Run { .. } | Self::Stopped => FailureKind::Passing,
        }
    }
}

impl Failure for PoseError {
    fn kind(&self) -> FailureKind {
        match self {
            // A file of the user's.
            Self::UnfitModel { .. } => FailureKind::Broken,
            // Models and their runtime are installed with the program.
            Self::Runtime { .. }
            | Self::MissingModel { .. }
            | Self::Model { .. }
            | Self::Provider { .. }
            | Self::Inference { .. } => FailureKind::Passing,
        }
    }
}

/// Failures of the machine and of this program.
macro_rules! passing {
    ($($error:ty),*) => {
        $(impl Failure for $error {
            fn kind(&self) -> FailureKind {
                FailureKind::Passing
            }
        })*
    };
}

passing!(
    // More memory may be free, or given, the next time.
    MemoryError,
    PanicError,
    AnnotationError,
    EncodeError
);

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_broken_and_a_disk_that_fails_is_passing() {
        let kind = |error: io::Error| VideoError::unreadable(Path::new("x.mp4"), &error).kind();
        assert_eq!(kind(ErrorKind::NotFound.into()), FailureKind::Broken);
        assert_eq!(kind(ErrorKind::TimedOut.into()), FailureKind::Passing);
        let of_system = io::Error::from_raw_os_error;
        assert_eq!(kind(of_system(libc::EACCES)), FailureKind::Broken);
        assert_eq!(kind(of_system(libc::EIO)), FailureKind::Passing);
        assert_eq!(kind(of_system(libc::EMFILE)), FailureKind::Passing);
        assert_eq!(kind(of_system(libc::ESTALE)), FailureKind::Passing);
    }

    #[test]
    fn what_the_error_is_about_decides_and_not_what_it_passed_through() {
        let path = || Path::new("x").to_path_buf();
        let empty = VideoError::Empty { path: path() };
        assert_eq!(ReplayError::from(empty).kind(), FailureKind::Broken);
        let locked = LakeError::Locked {
            path: path(),
            waited_secs: 1,
        };
        assert_eq!(ExportError::from(locked).kind(), FailureKind::Passing);
        let too_long = LakeError::TooLong { path: path() };
        assert_eq!(AnalysisError::from(too_long).kind(), FailureKind::Broken);
        let full = LakeError::Write {
            path: path(),
            reason: "No space left on device".into(),
        };
        assert_eq!(full.kind(), FailureKind::Passing);
    }
}
