//! The steps in which landmarks are stored.
//!
//! A float's last bits are noise that does not compress: kept, they would make up half of the
//! lake. Each value is rounded to a step far below what the model can tell (one grey level more or
//! less on one pixel value in a hundred moves MediaPipe's own landmarks by 0.2 px): at most
//! 0.0075 px on a 4K picture, 0.008 mm in the world, 0.00013 in visibility. Metrics are computed
//! from the rounded landmarks, so that the lake alone suffices to compute them again; they are
//! rounded too, angles by 0.004 degrees at most, all other numbers by 0.012 %.

use crate::pose::PersonPose;

/// Image x and y are multiples of 2^-18 of the picture's side.
const POSITION_STEPS: f32 = 262_144.0;
/// Depth is a multiple of 2^-16 of the picture's width.
const DEPTH_STEPS: f32 = 65_536.0;
/// Visibility and presence are multiples of 2^-12.
const PROBABILITY_STEPS: f32 = 4_096.0;
/// World coordinates are multiples of 2^-16 m.
const WORLD_STEPS_PER_METER: f32 = 65_536.0;

/// Angles are multiples of 2^-7 degrees.
const ANGLE_STEPS_PER_DEG: f32 = 128.0;

/// Rounds an angle in degrees to what the lake stores.
pub(super) fn to_lake_angle(angle_deg: f32) -> f32 {
    round_to(angle_deg, ANGLE_STEPS_PER_DEG)
}

/// Of a float's 23 fractional bits, metrics that are no angles keep 12.
const DROPPED_BITS: u32 = 11;

/// Rounds a number to the 13 significant bits that the lake stores of metrics.
pub(super) fn to_lake_precision(value: f32) -> f32 {
    let bits = value.to_bits();
    // Half a step less a hair, and the hair too where that makes the last kept bit even.
    let half = (1 << (DROPPED_BITS - 1)) - 1 + ((bits >> DROPPED_BITS) & 1);
    let rounded = f32::from_bits(bits.wrapping_add(half) >> DROPPED_BITS << DROPPED_BITS);
    if value.is_finite() { rounded } else { value }
}

/// Rounds a pose to what the lake stores.
pub fn to_lake_resolution(mut pose: PersonPose) -> PersonPose {
    for landmark in &mut pose.landmarks {
        landmark.x = round_to(landmark.x, POSITION_STEPS);
        landmark.y = round_to(landmark.y, POSITION_STEPS);
        landmark.z = round_to(landmark.z, DEPTH_STEPS);
        landmark.visibility = round_to(landmark.visibility, PROBABILITY_STEPS);
        landmark.presence = round_to(landmark.presence, PROBABILITY_STEPS);
    }
    for coordinate in pose.world_m.as_flattened_mut() {
        *coordinate = round_to(*coordinate, WORLD_STEPS_PER_METER);
    }
    pose
}

/// The steps are powers of two, so that the result is exact.
fn round_to(value: f32, steps: f32) -> f32 {
    (value * steps).round_ties_even() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_keep_thirteen_significant_bits() {
        for (value, stored) in [
            (0.0, 0.0),
            (8191.0, 8191.0),
            (16_383.0, 16_384.0),
            // Halfway between two: the even one.
            (16_381.0, 16_380.0),
            (-16_381.9, -16_382.0),
            (f32::MAX, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(to_lake_precision(value), stored, "{value}");
        }
        for i in 1..1000 {
            let value = i as f32 * 0.001_234_5;
            let stored = to_lake_precision(value);
            assert!((stored - value).abs() <= value / 8192.0, "{value} {stored}");
            assert_eq!(to_lake_precision(stored), stored);
        }
        assert!(to_lake_precision(f32::NAN).is_nan());
    }

    #[test]
    fn rounding_moves_by_half_a_step_at_most_and_happens_once() {
        for i in 0..1000 {
            let value = i as f32 * 0.001_234_5 - 0.3;
            let stored = round_to(value, POSITION_STEPS);
            assert!((stored - value).abs() <= 0.5 / POSITION_STEPS + f32::EPSILON);
            assert_eq!(round_to(stored, POSITION_STEPS), stored);
        }
    }
}
