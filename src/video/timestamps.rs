//! Presentation times straight from the container, for the frames whose times OpenCV loses.
//!
//! OpenCV 4.6 gives time 0 for the last frames of a stream with reordered pictures. MP4 and
//! Matroska state every frame's time in their index or packet headers; those are read here without
//! decoding anything.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::container::Container;

/// How far a time that OpenCV gave may be from the container's, in seconds; both are rounded to
/// the container's clock, and Matroska's ticks are milliseconds.
const TOLERANCE_SECS: f64 = 0.0015;

/// Presentation times of all pictures of a file's first video track, ascending, in seconds.
pub struct ContainerTimes {
    secs: Vec<f64>,
}

impl ContainerTimes {
    /// Reads them; `None` for containers that are not known here, or files that do not parse.
    pub fn read(path: &Path, container: Container) -> Option<Self> {
        let mut secs = match container {
            Container::IsoMedia => iso_media_times(path),
            Container::Matroska => matroska_times(path),
            _ => None,
        }?;
        secs.sort_by(f64::total_cmp);
        Some(Self { secs })
    }

    /// The time of frame `frame`, in seconds from the first shown frame, when frame `known_frame`
    /// is known to be at `known_secs`.
    ///
    /// An edit list may hide pictures before the first shown frame, so the list is shifted until
    /// the known time fits.
    pub fn time_of(&self, frame: usize, known_frame: usize, known_secs: f64) -> Option<f64> {
        let hidden = (0..self.secs.len().checked_sub(frame)?).find(|first| {
            let secs = self.secs[first + known_frame] - self.secs[*first];
            (secs - known_secs).abs() < TOLERANCE_SECS
        })?;
        Some(self.secs[hidden + frame] - self.secs[hidden])
    }
}

fn iso_media_times(path: &Path) -> Option<Vec<f64>> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mp4 = re_mp4::Mp4::read(BufReader::new(file), length).ok()?;
    let is_video = |track: &&re_mp4::Track| track.kind == Some(re_mp4::TrackKind::Video);
    let track = mp4.tracks().values().find(is_video)?;
    let secs =
        |sample: &re_mp4::Sample| sample.composition_timestamp as f64 / (sample.timescale as f64);
    Some(track.samples.iter().map(secs).collect())
}

fn matroska_times(path: &Path) -> Option<Vec<f64>> {
    let file = BufReader::new(File::open(path).ok()?);
    let mut matroska = matroska_demuxer::MatroskaFile::open(file).ok()?;
    let tick_secs = matroska.info().timestamp_scale().get() as f64 / 1e9;
    let is_video = |track: &&matroska_demuxer::TrackEntry| {
        track.track_type() == matroska_demuxer::TrackType::Video
    };
    let track = matroska
        .tracks()
        .iter()
        .find(is_video)?
        .track_number()
        .get();
    let mut packet = matroska_demuxer::Frame::default();
    let mut secs = Vec::new();
    while matroska.next_frame(&mut packet).ok()? {
        if packet.track == track && !packet.is_invisible {
            secs.push(packet.timestamp as f64 * tick_secs);
        }
    }
    Some(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_pictures_before_the_first_frame_are_skipped() {
        let times = ContainerTimes {
            secs: vec![0.0, 0.1, 0.2, 0.25, 0.4, 0.6],
        };
        // The first shown picture is the one at 0.1: 0.0, 0.1, 0.15, 0.3, 0.5.
        assert_eq!(
            times.time_of(3, 2, 0.15).map(|t| (t * 1e6).round()),
            Some(300_000.0)
        );
        assert_eq!(times.time_of(9, 2, 0.15), None);
    }
}
