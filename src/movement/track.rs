//! One person's path through consecutive frames.

use super::events::Side;
use crate::metrics::JOINT_ANGLE_COUNT;
use crate::metrics::geometry::{distance, midpoint};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};

/// A person in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackFrame {
    /// Its number within the video.
    pub frame: u32,
    /// From the video's first frame, real seconds.
    pub time_secs: f64,
    /// By landmark index, pixels right of and below the picture's corner; `None` where not seen.
    pub points_px: [Option<[f64; 2]>; LANDMARK_COUNT],
    /// Heel and toes of the left and of the right foot as they were measured, before any filter; `None` where
    /// they were not seen.
    pub measured_feet_px: [[Option<[f64; 2]>; 2]; 2],
    /// A bit for each landmark that lies between its places in frames around.
    pub interpolated: u64,
    /// In the order of [`crate::metrics::JOINT_ANGLES`].
    pub joint_angles_deg: [Option<f64>; JOINT_ANGLE_COUNT],
}

/// A person's path, without a pause of the recording and without a jump elsewhere in it; times
/// ascend.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// In their order; those that repeat a time are left out.
    pub frames: Vec<TrackFrame>,
}

impl Track {
    /// Of all frames.
    pub fn times_secs(&self) -> Vec<f64> {
        self.frames.iter().map(|frame| frame.time_secs).collect()
    }

    /// The number of the frame whose time is nearest; 0 without frames.
    pub fn frame_at(&self, time_secs: f64) -> u32 {
        let after = (self.frames).partition_point(|frame| frame.time_secs < time_secs);
        let around = [after.saturating_sub(1), after];
        let around = around.into_iter().filter_map(|i| self.frames.get(i));
        let off = |frame: &&TrackFrame| (frame.time_secs - time_secs).abs();
        let nearest = around.min_by(|a, b| off(a).total_cmp(&off(b)));
        nearest.map_or(0, |frame| frame.frame)
    }

    /// The part of the frames around a time in which all these landmarks were measured, 0..1.
    pub fn measured_part(&self, time_secs: f64, landmarks: &[Landmark]) -> f64 {
        /// Seconds before and behind an event that carry it.
        const REACH_SECS: f64 = 0.1;
        let start = (self.frames).partition_point(|f| f.time_secs < time_secs - REACH_SECS);
        let end = (self.frames).partition_point(|f| f.time_secs <= time_secs + REACH_SECS);
        let is_measured = |frame: &&TrackFrame| {
            (landmarks.iter()).all(|l| {
                frame.points_px[l.index()].is_some() && frame.interpolated & (1 << l.index()) == 0
            })
        };
        let around = &self.frames[start.min(end)..end];
        match around.len() {
            0 => 0.0,
            count => around.iter().filter(is_measured).count() as f64 / count as f64,
        }
    }

    /// Thigh and shank of the longer leg of each frame: the median of all frames, pixels.
    pub fn leg_length_px(&self) -> Option<f64> {
        let lengths = self.frames.iter().filter_map(TrackFrame::leg_length_px);
        super::series::median(lengths.collect())
    }
}

impl TrackFrame {
    /// Where a landmark is, if it was seen.
    pub fn at(&self, landmark: Landmark) -> Option<[f64; 2]> {
        self.points_px[landmark.index()]
    }

    /// Thigh and shank of the longer leg, pixels.
    pub fn leg_length_px(&self) -> Option<f64> {
        let sides = Side::ALL.map(|side| {
            let (hip, knee) = (self.at(side.hip())?, self.at(side.knee())?);
            Some(distance(hip, knee) + distance(knee, self.at(side.ankle())?))
        });
        sides.into_iter().flatten().max_by(f64::total_cmp)
    }

    /// The middle of the hips.
    pub fn hips(&self) -> Option<[f64; 2]> {
        let (left, right) = (self.at(Landmark::LeftHip), self.at(Landmark::RightHip));
        // In side view the hip behind is often hidden; both are at nearly the same place then.
        match (left, right) {
            (Some(left), Some(right)) => Some(midpoint(left, right)),
            (one, other) => one.or(other),
        }
    }

    /// The middle of heel and toes of a foot.
    pub fn foot(&self, side: Side) -> Option<[f64; 2]> {
        Some(midpoint(self.at(side.heel())?, self.at(side.toes())?))
    }
}
