//! What is looked for in a movement, and what is found.

use std::str::FromStr;

use super::calibration::FloorAngle;
use super::cycles::Cycle;
use super::events::Event;
use crate::names;

/// How contacts are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaitMethod {
    /// Heel and toes before and behind the pelvis
    Zeni,
    /// Vertical velocity of the feet
    OConnor,
    /// Forward velocity of the feet: only over ground, in front of a camera that stands still
    ForwardVelocity,
    /// Vertical velocity of the pelvis and the knee's extension, for running
    Running,
}

impl GaitMethod {
    /// In the order in which help and errors list them.
    pub const ALL: [Self; 4] = [
        Self::Zeni,
        Self::OConnor,
        Self::ForwardVelocity,
        Self::Running,
    ];

    /// The name on the command line and in the lake's `method` column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zeni => "zeni",
            Self::OConnor => "oconnor",
            Self::ForwardVelocity => "forward_velocity",
            Self::Running => "milner_fellin",
        }
    }
}

impl FromStr for GaitMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

/// How somebody goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gait {
    /// One foot at least is always on the ground
    Walking,
    /// With flights between the steps
    Running,
}

impl Gait {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Walking, Self::Running];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Walking => "walking",
            Self::Running => "running",
        }
    }
}

impl FromStr for Gait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

/// What is to be found, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectConfig {
    /// `None` chooses by what the recording allows.
    pub gait_method: Option<GaitMethod>,
    /// `None` tells walking from running by the way the hips go up and down.
    pub gait: Option<Gait>,
    /// Column of the joint angle whose repetitions are counted; `None` takes the one that moves most.
    pub angle: Option<String>,
    /// `None` leaves lengths and speeds open; heights of jumps come from their time then.
    pub meters_per_px: Option<f64>,
    /// How the floor lies in the picture.
    pub floor: FloorAngle,
}

/// What was found in a track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movement {
    /// In the order of their times.
    pub events: Vec<Event>,
    /// In the order of their beginnings.
    pub cycles: Vec<Cycle>,
    /// `None` where the feet are seen too rarely for it.
    pub floor_angle_deg: Option<f64>,
    /// Strides over ground whose lengths stay open because the person is nearer to the camera there, or
    /// farther away, than where the scale is right.
    pub strides_out_of_scale: usize,
}
