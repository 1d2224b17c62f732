//! How the floor lies in the picture.
//!
//! A camera that is not level shows a floor that slopes. As in Sports2D, the floor's line is the one
//! through the places where feet stand still (toes slower than a limit), and its angle turns the
//! picture level. The line says where the floor is in the plane in which the person moves, and only
//! there: who walks towards the camera comes down the picture without any slope, so that a line is
//! taken only where feet stood far apart across the picture.

use super::events::Side;
use super::series;
use super::track::Track;

/// How the floor's slope in the picture is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum FloorAngle {
    /// From where feet stand; level where that does not tell it.
    #[default]
    Auto,
    /// As given: degrees anticlockwise from the picture's horizontal to the floor, seen to the right.
    Degrees(f64),
}

/// Feet slower than this stand, in leg lengths per second.
const MAX_STANDING_SPEED: f64 = 0.35;
/// Places of standing feet are this far apart across the picture at least, in leg lengths.
const MIN_EXTENT: f64 = 1.5;
/// Places that a line is fitted to at least.
const MIN_PLACES: usize = 10;
/// A camera that is turned more than this was turned on purpose, degrees.
const MAX_AUTO_DEG: f64 = 15.0;

/// A line in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloorLine {
    /// Degrees anticlockwise from the picture's horizontal, seen to the right.
    pub angle_deg: f64,
    /// Where it meets the picture's left edge, pixels below the top.
    pub y_at_left_px: f64,
}

/// How the floor lies, as far as `floor` and the places where feet stand tell it: the line through them, or
/// the slope that is given; a floor whose slope they do not tell is taken for level. `None` where no foot
/// stands.
pub fn floor_line(track: &Track, floor: FloorAngle) -> Option<FloorLine> {
    let leg_px = track.leg_length_px()?;
    let places = standing_places(track, leg_px);
    if places.len() < MIN_PLACES {
        return None;
    }
    let angle_deg = match floor {
        FloorAngle::Degrees(degrees) => degrees,
        FloorAngle::Auto => slope_deg(&places, leg_px).unwrap_or(0.0),
    };
    // y points down.
    let slope = -angle_deg.to_radians().tan();
    let heights = places.iter().map(|[x, y]| y - slope * x);
    Some(FloorLine {
        angle_deg,
        y_at_left_px: series::median(heights.collect())?,
    })
}

/// Where toes are while they hardly move, pixels.
fn standing_places(track: &Track, leg_px: f64) -> Vec<[f64; 2]> {
    let times = track.times_secs();
    let mut places: Vec<[f64; 2]> = Vec::new();
    for side in Side::ALL {
        let coordinate = |axis: usize| -> Vec<Option<f64>> {
            (track.frames.iter())
                .map(|f| Some(f.at(side.toes())?[axis]))
                .collect()
        };
        let (x, y) = (coordinate(0), coordinate(1));
        let (dx, dy) = (
            series::derivative(&times, &x),
            series::derivative(&times, &y),
        );
        for i in 0..times.len() {
            if let (Some(x), Some(y), Some(dx), Some(dy)) = (x[i], y[i], dx[i], dy[i])
                && dx.hypot(dy) < MAX_STANDING_SPEED * leg_px
            {
                places.push([x, y]);
            }
        }
    }
    places
}

/// How the line through places slopes, degrees anticlockwise; `None` where they do not tell it. A median of
/// slopes between places (Theil and Sen), which single wrong places do not turn.
fn slope_deg(places: &[[f64; 2]], leg_px: f64) -> Option<f64> {
    let extent = |part: f64| series::quantile(places.iter().map(|[x, _]| *x).collect(), part);
    let width = extent(0.95)? - extent(0.05)?;
    if places.len() < MIN_PLACES || width < MIN_EXTENT * leg_px {
        return None;
    }
    // Of a long video, evenly spaced places suffice.
    let step = places.len().div_ceil(400);
    let places: Vec<[f64; 2]> = places.iter().copied().step_by(step).collect();
    let mut slopes = Vec::new();
    for (i, [x0, y0]) in places.iter().enumerate() {
        for [x1, y1] in &places[i + 1..] {
            if (x1 - x0).abs() > leg_px / 2.0 {
                slopes.push((y1 - y0) / (x1 - x0));
            }
        }
    }
    let angle_deg = (-series::median(slopes)?).atan().to_degrees();
    (angle_deg.abs() <= MAX_AUTO_DEG).then_some(angle_deg)
}

/// The track with a level floor, and the floor's angle in the picture where it is known.
pub fn level(track: &Track, floor: FloorAngle) -> (Track, Option<f64>) {
    let angle_deg = match floor {
        FloorAngle::Degrees(degrees) => Some(degrees),
        FloorAngle::Auto => (track.leg_length_px())
            .and_then(|leg_px| slope_deg(&standing_places(track, leg_px), leg_px)),
    };
    let mut level = track.clone();
    if let Some(degrees) = angle_deg.filter(|degrees| *degrees != 0.0) {
        // y points down, so that anticlockwise in the picture is clockwise in these coordinates.
        let (sin, cos) = degrees.to_radians().sin_cos();
        for frame in &mut level.frames {
            let feet = frame.measured_feet_px.as_flattened_mut().iter_mut();
            for point in frame.points_px.iter_mut().chain(feet).flatten() {
                let [x, y] = *point;
                *point = [cos * x - sin * y, sin * x + cos * y];
            }
        }
    }
    (level, angle_deg)
}
