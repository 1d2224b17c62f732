//! Regions of interest: the rotated square around a person that the detector finds, and the rotated
//! rectangle that a landmark model looks at.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use crate::image::Corners;

/// The square is this much larger than the circle that the two alignment points describe
/// (MediaPipe, `pose_detection_to_roi.pbtxt` and `pose_landmarks_to_roi.pbtxt`: `scale_x: 1.25`).
const ROI_SCALE: f64 = 1.25;

/// Width and height of a picture in pixels, as the geometry needs them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageSize {
    /// In pixels, above 0.
    pub width: f64,
    /// In pixels, above 0.
    pub height: f64,
}

impl ImageSize {
    /// The size of a picture of so many pixels.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width: width as f64,
            height: height as f64,
        }
    }
}

/// A square region of an image, in pixels. It may reach beyond the image.
///
/// `rotation_rad` is 0 for an upright person and grows clockwise on the screen; its range is
/// -pi (included) to pi (excluded).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roi {
    /// From the image's left edge; may lie outside it.
    pub center_x_px: f64,
    /// From the image's top edge; may lie outside it.
    pub center_y_px: f64,
    /// Length of each of the four sides.
    pub side_px: f64,
    /// 0 for an upright person, clockwise on the screen; see above for the range.
    pub rotation_rad: f64,
}

impl Roi {
    /// The region around a person from the two alignment points, each (x, y) in pixels:
    /// `center` between the hips and `scale` on the circle around the whole body.
    pub fn from_alignment_points(center: [f64; 2], scale: [f64; 2]) -> Self {
        let (dx, dy) = (scale[0] - center[0], scale[1] - center[1]);
        Self {
            center_x_px: center[0],
            center_y_px: center[1],
            side_px: 2.0 * dx.hypot(dy) * ROI_SCALE,
            rotation_rad: normalize_radians(FRAC_PI_2 - (-dy).atan2(dx)),
        }
    }

    /// The axis-aligned square around a whole image, as the detector sees it.
    pub fn letterbox(size: ImageSize) -> Self {
        Self {
            center_x_px: size.width / 2.0,
            center_y_px: size.height / 2.0,
            side_px: size.width.max(size.height),
            rotation_rad: 0.0,
        }
    }

    /// Image position in pixels of a point that is given in fractions of the region
    /// (0..1 from its top left corner).
    pub fn project(&self, x: f64, y: f64) -> [f64; 2] {
        let (sin, cos) = self.rotation_rad.sin_cos();
        let (qx, qy) = (x - 0.5, y - 0.5);
        [
            self.center_x_px + self.side_px * (qx * cos - qy * sin),
            self.center_y_px + self.side_px * (qx * sin + qy * cos),
        ]
    }

    /// Turns a vector from the region's axes to the image's; lengths stay.
    pub fn rotate(&self, x: f64, y: f64) -> [f64; 2] {
        let (sin, cos) = self.rotation_rad.sin_cos();
        [x * cos - y * sin, x * sin + y * cos]
    }

    /// Whether a crop can be taken from it at all.
    pub fn is_usable(&self) -> bool {
        self.side_px.is_finite()
            && self.side_px > 0.0
            && self.center_x_px.is_finite()
            && self.center_y_px.is_finite()
    }
}

/// A rectangle of an image, in pixels: what a landmark model sees. It may reach beyond the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// From the image's left edge; may lie outside it.
    pub center_x_px: f64,
    /// From the image's top edge; may lie outside it.
    pub center_y_px: f64,
    /// Along the region's own x axis.
    pub width_px: f64,
    /// Along the region's own y axis.
    pub height_px: f64,
    /// As in [`Roi`].
    pub rotation_rad: f64,
}

impl From<Roi> for Region {
    fn from(roi: Roi) -> Self {
        Self {
            center_x_px: roi.center_x_px,
            center_y_px: roi.center_y_px,
            width_px: roi.side_px,
            height_px: roi.side_px,
            rotation_rad: roi.rotation_rad,
        }
    }
}

impl Region {
    /// The square of its width.
    pub(super) fn square(&self) -> Roi {
        Roi {
            center_x_px: self.center_x_px,
            center_y_px: self.center_y_px,
            side_px: self.width_px,
            rotation_rad: self.rotation_rad,
        }
    }

    /// Image position in pixels of a point that is given in fractions of the region
    /// (0..1 from its top left corner).
    pub fn project(&self, x: f64, y: f64) -> [f64; 2] {
        let (sin, cos) = self.rotation_rad.sin_cos();
        let (qx, qy) = (self.width_px * (x - 0.5), self.height_px * (y - 0.5));
        [
            self.center_x_px + qx * cos - qy * sin,
            self.center_y_px + qx * sin + qy * cos,
        ]
    }

    /// Its corners in the image, in order around it.
    pub fn corners(&self) -> Corners {
        [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]].map(|[x, y]| self.project(x, y))
    }

    /// Whether a crop can be taken from it at all.
    pub fn is_usable(&self) -> bool {
        let is_length = |length: f64| length.is_finite() && length > 0.0;
        is_length(self.width_px)
            && is_length(self.height_px)
            && self.center_x_px.is_finite()
            && self.center_y_px.is_finite()
    }
}

fn normalize_radians(angle: f64) -> f64 {
    angle - TAU * ((angle + PI) / TAU).floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_straight_above_gives_no_rotation_and_a_quarter_turn_is_clockwise() {
        let upright = Roi::from_alignment_points([100.0, 100.0], [100.0, 60.0]);
        assert!(upright.rotation_rad.abs() < 1e-12);
        assert!((upright.side_px - 100.0).abs() < 1e-12);
        let fallen_right = Roi::from_alignment_points([100.0, 100.0], [140.0, 100.0]);
        assert!((fallen_right.rotation_rad - FRAC_PI_2).abs() < 1e-12);
    }

    #[test]
    fn rotation_stays_below_pi() {
        let upside_down = Roi::from_alignment_points([0.0, 0.0], [0.0, 10.0]);
        assert!((upside_down.rotation_rad + PI).abs() < 1e-12);
    }

    #[test]
    fn a_square_region_projects_as_its_roi_and_a_rectangle_by_its_own_sides() {
        let roi = Roi {
            center_x_px: 7.0,
            center_y_px: -3.0,
            side_px: 50.0,
            rotation_rad: 0.7,
        };
        let (square, turned) = (Region::from(roi).project(0.9, 0.2), roi.project(0.9, 0.2));
        for (a, b) in square.into_iter().zip(turned) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
        let upright = Region {
            width_px: 30.0,
            height_px: 40.0,
            rotation_rad: 0.0,
            ..roi.into()
        };
        assert_eq!(upright.project(0.0, 1.0), [-8.0, 17.0]);
        assert!(upright.is_usable());
        assert!(
            !Region {
                width_px: 0.0,
                ..upright
            }
            .is_usable()
        );
    }

    #[test]
    fn the_middle_of_the_region_projects_to_its_centre() {
        let roi = Roi {
            center_x_px: 7.0,
            center_y_px: -3.0,
            side_px: 50.0,
            rotation_rad: 0.7,
        };
        let [x, y] = roi.project(0.5, 0.5);
        assert!((x - 7.0).abs() < 1e-12 && (y + 3.0).abs() < 1e-12);
    }
}
