//! OpenSim's TRC: one person's world landmarks as markers, in metres.
//!
//! Laid out as Pose2Sim and Sports2D write it, with the marker names of Pose2Sim's BlazePose marker
//! set (`Markers_BlazePose.xml`; landmarks that it leaves out are named likewise), so that its
//! OpenSim set-up files fit. Axes are those of Sports2D, which are OpenSim's for a person who goes
//! to the picture's right: X to the right of the picture, Y up, Z towards the camera; the origin is
//! the middle of the hips in each frame. A missing marker is `nan`: OpenSim 4 refuses rows with
//! empty cells, and times that do not ascend, so that pictures that repeat a time are left out.
//!
//! With a [`TravelScale`] the markers move through the room: the origin lies on the floor at the picture's
//! left edge, in the plane of the hips.
//!
//! `DataRate` is the mean rate while pictures were taken, without the pauses of the recording.

use std::io::{self, Write};
use std::path::Path;

use super::sink::{AscendingTimes, ExportError, FrameSink};
use super::travel::TravelScale;
use crate::files::AtomicFile;
use crate::lake::PersonRow;
use crate::media_time::MediaTime;
use crate::metrics::timing::rate_between_pauses_hz;
use crate::pose::landmark::LANDMARK_COUNT;
use crate::text::without_controls;

/// Names of the markers, by landmark index.
pub const MARKER_NAMES: [&str; LANDMARK_COUNT] = [
    "Nose",
    "LEyeInner",
    "LEye",
    "LEyeOuter",
    "REyeInner",
    "REye",
    "REyeOuter",
    "LEar",
    "REar",
    "LMouth",
    "RMouth",
    "LShoulder",
    "RShoulder",
    "LElbow",
    "RElbow",
    "LWrist",
    "RWrist",
    "LPinky",
    "RPinky",
    "LIndex",
    "RIndex",
    "LThumb",
    "RThumb",
    "LHip",
    "RHip",
    "LKnee",
    "RKnee",
    "LAnkle",
    "RAnkle",
    "LHeel",
    "RHeel",
    "LBigToe",
    "RBigToe",
];

/// What the header says where a single frame has no rate.
const RATE_OF_SINGLE_FRAMES: f64 = 1.0;

pub struct TrcWriter {
    file: AtomicFile,
    ascending: AscendingTimes,
    travel: Option<TravelScale>,
}

impl TrcWriter {
    /// `times_secs` are the times of all frames that will come, `first_frame` is the first one's number;
    /// without `travel`, markers stay around the hips.
    pub fn create(
        path: &Path,
        first_frame: u64,
        times_secs: &[f64],
        travel: Option<TravelScale>,
    ) -> Result<Self, ExportError> {
        let file = AtomicFile::create(path).map_err(|e| ExportError::write(path, e))?;
        let mut writer = Self {
            file,
            ascending: AscendingTimes::default(),
            travel,
        };
        let name = path.file_name().unwrap_or(path.as_os_str());
        // The header has tabs between its fields, and lines.
        let name = name.to_string_lossy();
        let name = without_controls(&name);
        let header = writer.write_header(&name, first_frame, times_secs);
        header.map_err(|e| ExportError::write(path, e))?;
        Ok(writer)
    }

    fn write_header(
        &mut self,
        file_name: &str,
        first_frame: u64,
        times_secs: &[f64],
    ) -> io::Result<()> {
        let out = &mut self.file;
        // The format knows one rate for all frames; the true times are in the column Time.
        let rate = rate_between_pauses_hz(times_secs).map_or(RATE_OF_SINGLE_FRAMES, rounded_rate);
        let frames = AscendingTimes::count(times_secs);
        writeln!(out, "PathFileType\t4\t(X/Y/Z)\t{file_name}")?;
        writeln!(
            out,
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
        )?;
        writeln!(
            out,
            "{rate}\t{rate}\t{frames}\t{LANDMARK_COUNT}\tm\t{rate}\t{first_frame}\t{frames}"
        )?;
        write!(out, "Frame#\tTime")?;
        for marker in MARKER_NAMES {
            write!(out, "\t{marker}\t\t")?;
        }
        write!(out, "\n\t")?;
        for number in 1..=LANDMARK_COUNT {
            write!(out, "\tX{number}\tY{number}\tZ{number}")?;
        }
        writeln!(out)
    }

    fn write_row(
        &mut self,
        frame: u64,
        time: MediaTime,
        person: Option<&PersonRow>,
    ) -> io::Result<()> {
        let out = &mut self.file;
        write!(out, "{frame}\t{}", time.as_secs())?;
        for landmark in 0..LANDMARK_COUNT {
            match person {
                Some(row) => {
                    let [x, y, z] = match &self.travel {
                        Some(travel) => travel.place(&row.pose, landmark),
                        None => opensim_axes(row.pose.world_m[landmark]),
                    };
                    if [x, y, z].iter().any(|value| value.is_nan()) {
                        write!(out, "\tnan\tnan\tnan")?;
                        continue;
                    }
                    write!(out, "\t{x}\t{y}\t{z}")?;
                }
                None => write!(out, "\tnan\tnan\tnan")?,
            }
        }
        writeln!(out)
    }
}

/// The mean rate without the last digits, in which the frames' times were rounded: 30 Hz is not
/// 30.000000000000004 Hz.
pub(super) fn rounded_rate(fps: f64) -> f64 {
    (fps * 1e6).round() / 1e6
}

/// World coordinates (x right, y down, z away from the camera) in OpenSim's axes (x right, y up,
/// z towards the camera). Subtracted from 0, so that 0 stays without a sign.
pub(super) fn opensim_axes([x, y, z]: [f32; 3]) -> [f32; 3] {
    [x, 0.0 - y, 0.0 - z]
}

impl FrameSink for TrcWriter {
    fn push(
        &mut self,
        frame: u64,
        time: MediaTime,
        persons: &[PersonRow],
    ) -> Result<(), ExportError> {
        if !self.ascending.takes(time.as_secs()) {
            return Ok(());
        }
        let written = self.write_row(frame, time, persons.first());
        written.map_err(|e| ExportError::write(self.file.path(), e))
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        let path = self.file.path().to_path_buf();
        let finished = self.file.finish();
        finished.map_err(|e| ExportError::write(&path, e))
    }
}
