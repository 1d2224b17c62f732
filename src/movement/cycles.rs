//! Stretches of a movement that repeat.

use super::events::Side;

/// What repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CycleKind {
    /// A stride of walking: from a foot's contact to its next one.
    Walk,
    /// A stride of running.
    Run,
    /// From take-off to landing.
    Jump,
    /// A repetition of an angle: out of its value at rest and back.
    Repetition,
}

impl CycleKind {
    /// All, as the lake knows them.
    pub const ALL: [Self; 4] = [Self::Walk, Self::Run, Self::Jump, Self::Repetition];

    /// The value in the lake's `kind` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::Run => "run",
            Self::Jump => "jump",
            Self::Repetition => "repetition",
        }
    }
}

/// A stretch that repeats, with what can be told of it; all else is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cycle {
    /// What repeats.
    pub kind: CycleKind,
    /// Of a stride, the foot; of a repetition, the angle's side.
    pub side: Option<Side>,
    /// How its events were found; of a repetition, the angle's column.
    pub method: &'static str,
    /// Nearest to the beginning.
    pub start_frame: u32,
    /// Nearest to the end.
    pub end_frame: u32,
    /// Interpolated between frames.
    pub start_secs: f64,
    /// Interpolated between frames.
    pub end_secs: f64,
    /// The smallest of its events' confidences.
    pub confidence: Option<f64>,
    /// From the other foot's contact to this foot's contact at the cycle's end.
    pub step_secs: Option<f64>,
    /// The foot is on the ground.
    pub stance_secs: Option<f64>,
    /// The foot is off the ground.
    pub swing_secs: Option<f64>,
    /// Both feet are on the ground; walking.
    pub double_support_secs: Option<f64>,
    /// No foot is on the ground; running and jumps.
    pub flight_secs: Option<f64>,
    /// Standard uncertainty of a jump's flight time.
    pub flight_error_secs: Option<f64>,
    /// Way of the hips over ground, in the picture's plane.
    pub stride_length_m: Option<f64>,
    /// That way by the cycle's time.
    pub speed_m_per_sec: Option<f64>,
    /// Of a jump, from its flight time.
    pub height_flight_m: Option<f64>,
    /// Of a jump, from the way of the hips and the scale.
    pub height_hips_m: Option<f64>,
    /// Smallest angle; of a repetition that rests at a small one, the larger one of those before and behind.
    pub lowest_deg: Option<f64>,
    /// Largest angle; of a repetition that rests at a large one, the smaller one of those before and behind.
    pub highest_deg: Option<f64>,
    /// While the angle gets smaller, but for what is held.
    pub lowering_secs: Option<f64>,
    /// Within a tenth of the way of the turn.
    pub hold_secs: Option<f64>,
    /// While the angle gets larger, but for what is held.
    pub raising_secs: Option<f64>,
}

impl Cycle {
    /// A cycle of which nothing more is known.
    pub(super) fn new(
        kind: CycleKind,
        side: Option<Side>,
        method: &'static str,
        frames: [u32; 2],
        secs: [f64; 2],
    ) -> Self {
        Self {
            kind,
            side,
            method,
            start_frame: frames[0],
            end_frame: frames[1],
            start_secs: secs[0],
            end_secs: secs[1],
            confidence: None,
            step_secs: None,
            stance_secs: None,
            swing_secs: None,
            double_support_secs: None,
            flight_secs: None,
            flight_error_secs: None,
            stride_length_m: None,
            speed_m_per_sec: None,
            height_flight_m: None,
            height_hips_m: None,
            lowest_deg: None,
            highest_deg: None,
            lowering_secs: None,
            hold_secs: None,
            raising_secs: None,
        }
    }

    /// Its length.
    pub fn duration_secs(&self) -> f64 {
        self.end_secs - self.start_secs
    }
}
