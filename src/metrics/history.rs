//! Measures the frames of a video in their order, and remembers of each person what that takes.
//!
//! The state is of fixed size per person, and people who have left the picture are forgotten, so
//! that memory does not grow with a video's length.

use super::flags::{BoneLengths, Pixels, extrapolated, is_swapped};
use super::geometry::{distance, midpoint};
use super::segments::Facing;
use super::timing::FrameClock;
use super::{FrameMetrics, TimedPose, image_px, is_visible};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;

/// Who was not seen for so many frames is forgotten; ten seconds at 30 frames a second.
const FORGET_AFTER_FRAMES: u64 = 300;

/// Measures one video, frame after frame.
#[derive(Default)]
pub struct Measurer {
    /// Number of the next frame.
    frame: u64,
    clock: FrameClock,
    people: Vec<PersonHistory>,
}

/// What is remembered about a person.
struct PersonHistory {
    last: PersonPose,
    last_frame: u64,
    last_secs: f64,
    last_pixels: Pixels,
    /// Pixels of the frame before the last and the time between the two, unless left and right
    /// changed places there.
    earlier: Option<(Pixels, f64)>,
    facing: Option<Facing>,
    bones: BoneLengths,
}

impl Measurer {
    /// For one video, of which no frame has been told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures everybody in the video's next frame, in the order of `poses`. A frame without
    /// anybody has to be told too, with no poses.
    ///
    /// Speeds are backward differences over the true time since the frame directly before. They are
    /// unknown for who was not in it, where no time has passed since, and over a pause
    /// ([`super::timing`]): a displacement in 20 s is no speed.
    pub fn measure(
        &mut self,
        poses: &[PersonPose],
        time_secs: f64,
        image_size_px: [f64; 2],
    ) -> Vec<FrameMetrics> {
        let frame = self.frame;
        self.frame += 1;
        let passage = self.clock.advance(time_secs);
        self.people
            .retain(|person| frame - person.last_frame <= FORGET_AFTER_FRAMES);
        let metrics = poses.iter().map(|pose| {
            let timed = TimedPose {
                pose,
                time_secs,
                image_width_px: image_size_px[0],
                image_height_px: image_size_px[1],
            };
            let known = self.people.iter_mut();
            let known = known.into_iter().find(|p| p.last.person == pose.person);
            match known {
                Some(history) => history.measure(frame, timed, passage.is_step()),
                None => {
                    let (history, metrics) = PersonHistory::start(frame, timed);
                    self.people.push(history);
                    metrics
                }
            }
        });
        metrics.collect()
    }

    /// The times of the frames so far.
    pub fn clock(&self) -> &FrameClock {
        &self.clock
    }
}

impl PersonHistory {
    /// The first sight of a person.
    fn start(frame: u64, now: TimedPose<'_>) -> (Self, FrameMetrics) {
        let mut history = Self {
            last: now.pose.clone(),
            last_frame: frame,
            last_secs: now.time_secs,
            last_pixels: pixels(now),
            earlier: None,
            facing: Facing::of_feet(|landmark| image_px(now, landmark), None),
            bones: BoneLengths::new(),
        };
        let metrics = FrameMetrics {
            bone_length_jump: history.bones.jump(now.pose, |l| is_visible(now.pose, l)),
            ..FrameMetrics::new(now, None, history.facing)
        };
        (history, metrics)
    }

    /// `goes_on` says that time passed since the frame before, and no pause lies between.
    fn measure(&mut self, frame: u64, now: TimedPose<'_>, goes_on: bool) -> FrameMetrics {
        self.facing = Facing::of_feet(|landmark| image_px(now, landmark), self.facing);
        let follows = goes_on && frame == self.last_frame + 1;
        let before = follows.then_some(TimedPose {
            pose: &self.last,
            time_secs: self.last_secs,
            ..now
        });
        let pixels = pixels(now);
        let elapsed_secs = now.time_secs - self.last_secs;
        let swap = if follows {
            self.swap(&pixels, elapsed_secs)
        } else {
            None
        };
        let metrics = FrameMetrics {
            left_right_swap: swap,
            bone_length_jump: self.bones.jump(now.pose, |l| is_visible(now.pose, l)),
            ..FrameMetrics::new(now, before, self.facing)
        };
        self.earlier = (swap == Some(false)).then_some((self.last_pixels, elapsed_secs));
        self.last_pixels = pixels;
        self.last.clone_from(now.pose);
        self.last_frame = frame;
        self.last_secs = now.time_secs;
        metrics
    }

    fn swap(&self, now: &Pixels, elapsed_secs: f64) -> Option<bool> {
        use Landmark::*;
        let middle = |a: Landmark, b: Landmark| midpoint(now[a.index()], now[b.index()]);
        let torso_px = distance(
            middle(LeftShoulder, RightShoulder),
            middle(LeftHip, RightHip),
        );
        let expected = match &self.earlier {
            Some((earlier, secs)) => extrapolated(earlier, &self.last_pixels, elapsed_secs / secs),
            None => self.last_pixels,
        };
        is_swapped(&expected, now, torso_px).filter(|_| torso_px > 0.0)
    }
}

/// All landmarks, also the hidden ones.
fn pixels(timed: TimedPose<'_>) -> Pixels {
    std::array::from_fn(|i| {
        let landmark = &timed.pose.landmarks[i];
        [
            f64::from(landmark.x) * timed.image_width_px,
            f64::from(landmark.y) * timed.image_height_px,
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::ImageLandmark;
    use crate::pose::landmark::LANDMARK_COUNT;

    const SIZE_PX: [f64; 2] = [200.0, 100.0];

    /// Landmarks in a row, feet pointing left; `person` shifts all to the right.
    fn pose(person: u16) -> PersonPose {
        PersonPose {
            person,
            probability: 1.0,
            landmarks: std::array::from_fn(|i| ImageLandmark {
                x: 0.9 - 0.01 * i as f32 + f32::from(person),
                y: 0.01 * i as f32,
                z: 0.0,
                visibility: 1.0,
                presence: 1.0,
            }),
            world_m: std::array::from_fn::<_, LANDMARK_COUNT, _>(|i| [0.1 * i as f32, 0.0, 0.0]),
        }
    }

    #[test]
    fn people_are_measured_against_themselves_and_only_from_frame_to_frame() {
        let mut measurer = Measurer::new();
        let mut speeds = |people: &[u16], frame: u32| {
            let poses: Vec<PersonPose> = people.iter().map(|person| pose(*person)).collect();
            let metrics = measurer.measure(&poses, f64::from(frame) / 30.0, SIZE_PX);
            let speeds = metrics.iter().map(|m| m.center_speed_px_per_sec);
            speeds.collect::<Vec<_>>()
        };
        assert_eq!(speeds(&[0, 1], 0), [None, None]);
        assert_eq!(speeds(&[0, 1], 1), [Some(0.0), Some(0.0)]);
        assert_eq!(speeds(&[1], 2), [Some(0.0)]);
        assert_eq!(speeds(&[0, 1], 3), [None, Some(0.0)]);
        assert_eq!(speeds(&[], 4), []);
        assert_eq!(speeds(&[1, 0], 5), [None, None]);
    }

    #[test]
    fn there_is_no_speed_over_a_pause_nor_where_no_time_passes() {
        let mut measurer = Measurer::new();
        let steps = std::iter::repeat_n(1.0 / 30.0, 9).chain([
            20.0,
            1.0 / 30.0,
            0.0,
            -1.0 / 30.0,
            2.0 / 30.0,
        ]);
        let mut time_secs = 0.0;
        let mut has_speed = |step: f64| {
            time_secs += step;
            let metrics = measurer.measure(&[pose(0)], time_secs, SIZE_PX);
            let speeds = [
                metrics[0].center_speed_px_per_sec,
                metrics[0].peak_landmark_speed_px_per_sec,
            ];
            assert_eq!(speeds[0].is_some(), speeds[1].is_some());
            assert_eq!(metrics[0].left_right_swap.is_some(), speeds[0].is_some());
            speeds[0].is_some()
        };
        assert!(!has_speed(0.0));
        let found: Vec<bool> = steps.map(&mut has_speed).collect();
        let expected = [[true; 9].as_slice(), &[false, true, false, false, true]].concat();
        assert_eq!(found, expected);
        let rate_hz = measurer.clock().rate_hz().expect("a rate");
        assert!((rate_hz - 30.0).abs() < 1e-6, "{rate_hz}");
    }

    #[test]
    fn the_facing_is_remembered_while_the_feet_are_hidden() {
        let mut measurer = Measurer::new();
        let seen = measurer.measure(&[pose(0)], 0.0, SIZE_PX);
        assert_eq!(seen[0].facing, Some(Facing::Left));
        let mut hidden = pose(0);
        for landmark in [Landmark::LeftHeel, Landmark::RightHeel] {
            hidden.landmarks[landmark.index()].visibility = 0.0;
        }
        let metrics = measurer.measure(std::slice::from_ref(&hidden), 0.1, SIZE_PX);
        assert_eq!(metrics[0].facing, Some(Facing::Left));
        let metrics = Measurer::new().measure(&[hidden], 0.0, SIZE_PX);
        assert_eq!(metrics[0].facing, None);
        assert!(metrics[0].segment_angles_deg.iter().all(Option::is_none));
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let mut measurer = Measurer::new();
        for frame in 0..2000u16 {
            measurer.measure(&[pose(frame)], f64::from(frame), SIZE_PX);
            assert!(measurer.people.len() as u64 <= FORGET_AFTER_FRAMES + 1);
        }
    }
}
