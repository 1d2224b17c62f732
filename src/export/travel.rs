//! Markers that move through the room: world landmarks carried along by the hips' way in the picture.
//!
//! World landmarks stay around the hips; where the hips go is seen in the picture only, in pixels. One
//! scale for the whole video turns those into metres: the person's height over its height in pixels
//! (see [`crate::metrics::calibration`]). The height is given, or that of the world landmarks
//! themselves, which are those of a body of usual size. All people of a video share the scale of one of
//! them, so that they are in one room; each one's world landmarks are scaled to its height in the picture,
//! so that body and way fit each other.
//!
//! The floor is where feet stand ([`crate::movement::calibration`]): it is level and at height 0 in the
//! room, however it slopes in the picture. Where no foot stands still, the picture's lower edge is 0.
//!
//! The way is right across the picture at the person's usual distance. Who comes nearer grows in the
//! picture, and the way to the camera is not in it: the depth of the hips stays 0.

use std::collections::BTreeMap;

use super::sink::ExportError;
use crate::lake::{Lake, VideoRecord};
use crate::metrics::calibration::HeightEstimate;
use crate::metrics::geometry::midpoint;
use crate::metrics::{JOINT_ANGLE_COUNT, MIN_VISIBILITY};
use crate::movement::calibration::{FloorLine, floor_line};
use crate::movement::{FloorAngle, Track, TrackFrame};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;

/// Markers that move through the room.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Travel {
    /// Of the person who is the scale, in metres; `None` takes that of the world landmarks.
    pub height_m: Option<f64>,
    /// How the floor slopes in the picture.
    pub floor: FloorAngle,
}

/// How far a picture's pixels and bodies' metres reach in the room of a video.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TravelScales {
    image_size_px: [f64; 2],
    meters_per_px: f64,
    floor: Floor,
    /// Metres of the room by metres of the world landmarks, by person.
    bodies: BTreeMap<u16, f64>,
    /// The same of who is the scale.
    usual_body: f64,
}

/// How far a picture's pixels and one body's metres reach in the room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TravelScale {
    image_size_px: [f64; 2],
    meters_per_px: f64,
    floor: Floor,
    /// Metres of the room by metres of the world landmarks.
    body: f64,
}

/// How the floor lies before the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Floor {
    /// Sine and cosine of its slope, anticlockwise as seen.
    slope: [f64; 2],
    /// Metres above the picture's lower left corner, at its left edge.
    height_m: f64,
}

impl Floor {
    /// A place right of and above the picture's lower left corner, in metres along and above the floor.
    fn level(self, [right, up]: [f64; 2]) -> [f64; 2] {
        let ([sin, cos], up) = (self.slope, up - self.height_m);
        [cos * right + sin * up, cos * up - sin * right]
    }
}

/// What is known of how tall somebody is.
#[derive(Default)]
struct Heights {
    in_picture: HeightEstimate,
    in_world: HeightEstimate,
}

impl Heights {
    /// Pixels, and metres of the world landmarks.
    fn known(&self) -> Option<[f64; 2]> {
        Some([self.in_picture.height_px()?, self.in_world.height_px()?])
    }
}

impl TravelScales {
    /// Measured over all frames of everybody; `person` is the scale, whose height `travel` may say.
    pub(super) fn measure(
        lake: &Lake,
        video: &VideoRecord,
        person: u16,
        travel: Travel,
    ) -> Result<Self, ExportError> {
        let image_size_px = [f64::from(video.width_px), f64::from(video.height_px)];
        let mut heights: BTreeMap<u16, Heights> = BTreeMap::new();
        let mut track = Track { frames: Vec::new() };
        for frame in lake.frames(video)? {
            let frame = frame?;
            let time_secs = frame.time.as_secs();
            let is_later = (track.frames.last()).is_none_or(|last| time_secs > last.time_secs);
            for row in &frame.persons {
                let pose = &row.pose;
                if pose.person == person && is_later {
                    track.frames.push(TrackFrame {
                        frame: frame.frame as u32,
                        time_secs,
                        points_px: Landmark::ALL.map(|landmark| {
                            visible(pose, landmark).map(|_| pixels(pose, landmark, image_size_px))
                        }),
                        measured_feet_px: Default::default(),
                        interpolated: 0,
                        joint_angles_deg: [None; JOINT_ANGLE_COUNT],
                    });
                }
                let heights = heights.entry(pose.person).or_default();
                heights.in_picture.add(|landmark| {
                    visible(pose, landmark).map(|_| pixels(pose, landmark, image_size_px))
                });
                heights.in_world.add(|landmark| {
                    let [x, y, _] = visible(pose, landmark)?;
                    Some([f64::from(x), f64::from(y)])
                });
            }
        }
        let known = |person| heights.get(&person).and_then(Heights::known);
        let [height_px, world_m] = known(person).ok_or_else(|| ExportError::UnknownHeight {
            person,
            video: video.file_name.clone(),
        })?;
        let height_m = travel.height_m.unwrap_or(world_m);
        let meters_per_px = height_m / height_px;
        let body = |[height_px, world_m]: [f64; 2]| meters_per_px * height_px / world_m;
        let given_deg = match travel.floor {
            FloorAngle::Auto => 0.0,
            FloorAngle::Degrees(degrees) => degrees,
        };
        let line = floor_line(&track, travel.floor);
        let line = line.unwrap_or(FloorLine {
            angle_deg: given_deg,
            y_at_left_px: image_size_px[1],
        });
        let floor = Floor {
            slope: line.angle_deg.to_radians().sin_cos().into(),
            height_m: (image_size_px[1] - line.y_at_left_px) * meters_per_px,
        };
        let bodies = heights.iter();
        let bodies = bodies.filter_map(|(person, heights)| Some((*person, body(heights.known()?))));
        Ok(Self {
            image_size_px,
            meters_per_px,
            floor,
            bodies: bodies.collect(),
            usual_body: body([height_px, world_m]),
        })
    }

    /// The scale of a person's body; who is never seen from head to heel is taken to be like the one who
    /// is the scale.
    pub(super) fn of(&self, person: u16) -> TravelScale {
        TravelScale {
            image_size_px: self.image_size_px,
            meters_per_px: self.meters_per_px,
            floor: self.floor,
            body: self.bodies.get(&person).copied().unwrap_or(self.usual_body),
        }
    }
}

impl TravelScale {
    /// A landmark's place in the room: metres along the floor from the picture's left edge, above the floor,
    /// and towards the camera from the middle of the hips.
    pub(super) fn place(&self, pose: &PersonPose, landmark: usize) -> [f32; 3] {
        let [hips_x, hips_y] = midpoint(
            pixels(pose, Landmark::LeftHip, self.image_size_px),
            pixels(pose, Landmark::RightHip, self.image_size_px),
        );
        let [x, y, z] = pose.world_m[landmark].map(|value| f64::from(value) * self.body);
        let right = hips_x * self.meters_per_px + x;
        let up = (self.image_size_px[1] - hips_y) * self.meters_per_px - y;
        let [right, up] = self.floor.level([right, up]);
        [right as f32, up as f32, 0.0 - z as f32]
    }
}

fn visible(pose: &PersonPose, landmark: Landmark) -> Option<[f32; 3]> {
    let index = landmark.index();
    (pose.landmarks[index].visibility >= MIN_VISIBILITY).then_some(pose.world_m[index])
}

fn pixels(pose: &PersonPose, landmark: Landmark, [width, height]: [f64; 2]) -> [f64; 2] {
    let point = &pose.landmarks[landmark.index()];
    [f64::from(point.x) * width, f64::from(point.y) * height]
}
