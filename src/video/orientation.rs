//! How a stored picture is turned and mirrored to be displayed: ISO/IEC 14496-12, 6.2.2.

use opencv::core::{self, Mat};

/// Angles that differ from a multiple of 90 degrees by more than this are worth telling of.
const ANGLE_TOLERANCE_DEG: f64 = 1.0;

/// One of the eight ways to lay a picture on the screen: first mirrored (left and right change
/// places), then turned clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orientation {
    pub mirrored: bool,
    /// Clockwise: 0, 90, 180 or 270.
    pub rotation_deg: u16,
}

/// What a display matrix comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatrixMeaning {
    /// The nearest of the eight.
    pub orientation: Orientation,
    /// The angle that the matrix states, where it is no multiple of 90 degrees.
    pub uneven_angle_deg: Option<f64>,
}

impl Orientation {
    /// Reads a matrix {a, b, u, c, d, v, x, y, w}: a stored point (p, q) is displayed at
    /// (a p + c q + x, b p + d q + y), y pointing down. Scaling and shifting do not matter here. A
    /// matrix that maps the picture onto a line says nothing.
    pub fn of_matrix(matrix: &[i32; 9]) -> MatrixMeaning {
        let [a, b, c, d] = [matrix[0], matrix[1], matrix[3], matrix[4]].map(f64::from);
        let determinant = a * d - b * c;
        if determinant == 0.0 {
            return MatrixMeaning {
                orientation: Self::default(),
                uneven_angle_deg: None,
            };
        }
        let mirrored = determinant < 0.0;
        // Where the axis from left to right is displayed, before it was mirrored.
        let (x, y) = if mirrored { (-a, -b) } else { (a, b) };
        let angle_deg = y.atan2(x).to_degrees();
        let quarters = (angle_deg / 90.0).round();
        let is_uneven = (angle_deg - 90.0 * quarters).abs() > ANGLE_TOLERANCE_DEG;
        MatrixMeaning {
            orientation: Self {
                mirrored,
                rotation_deg: (quarters as i32 * 90).rem_euclid(360) as u16,
            },
            uneven_angle_deg: is_uneven.then_some(angle_deg),
        }
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.rotation_deg % 180 == 90
    }

    /// (width, height) as displayed of a picture that is stored so, or the other way round.
    pub fn turned(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.swaps_sides() {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Lays a stored picture as it is displayed.
    pub(super) fn apply(self, stored: &Mat, displayed: &mut Mat) -> opencv::Result<()> {
        /// Codes of `flip`: around the horizontal axis, or the vertical one.
        const UPSIDE_DOWN: i32 = 0;
        const LEFT_TO_RIGHT: i32 = 1;
        match (self.mirrored, self.rotation_deg) {
            (false, 90) => core::rotate(stored, displayed, core::ROTATE_90_CLOCKWISE),
            (false, 180) => core::rotate(stored, displayed, core::ROTATE_180),
            (false, 270) => core::rotate(stored, displayed, core::ROTATE_90_COUNTERCLOCKWISE),
            (true, 180) => core::flip(stored, displayed, UPSIDE_DOWN),
            (true, 270) => core::transpose(stored, displayed),
            (true, 90) => {
                let mut turned = Mat::default();
                core::transpose(stored, &mut turned)?;
                core::rotate(&turned, displayed, core::ROTATE_180)
            }
            (true, _) => core::flip(stored, displayed, LEFT_TO_RIGHT),
            (false, _) => opencv::core::MatTraitConst::copy_to(stored, displayed),
        }
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::{MatTraitConst, MatTraitConstManual};

    use super::*;

    const ONE: i32 = 1 << 16;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> [i32; 9] {
        [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]
    }

    /// Where the specification's formula puts the pixels of a 3x2 picture, moved into view.
    fn by_formula([a, b, _, c, d, ..]: [i32; 9]) -> Vec<Vec<u8>> {
        let (a, b, c, d) = (a / ONE, b / ONE, c / ONE, d / ONE);
        let placed: Vec<(i32, i32, u8)> = (0..6)
            .map(|i| {
                let (p, q) = (i % 3, i / 3);
                (a * p + c * q, b * p + d * q, i as u8)
            })
            .collect();
        let left = placed.iter().map(|p| p.0).min().expect("points");
        let top = placed.iter().map(|p| p.1).min().expect("points");
        let width = placed.iter().map(|p| p.0 - left).max().expect("points") + 1;
        let height = placed.iter().map(|p| p.1 - top).max().expect("points") + 1;
        let mut rows = vec![vec![0; width as usize]; height as usize];
        for (x, y, value) in placed {
            rows[(y - top) as usize][(x - left) as usize] = value;
        }
        rows
    }

    #[test]
    fn all_eight_matrices_are_applied_as_the_specification_says() {
        let stored = Mat::from_slice_2d(&[[0u8, 1, 2], [3, 4, 5]]).expect("a picture");
        for (a, b, c, d) in [
            (1, 0, 0, 1),
            (0, 1, -1, 0),
            (-1, 0, 0, -1),
            (0, -1, 1, 0),
            (-1, 0, 0, 1),
            (1, 0, 0, -1),
            (0, 1, 1, 0),
            (0, -1, -1, 0),
        ] {
            let matrix = matrix(a, b, c, d);
            let meaning = Orientation::of_matrix(&matrix);
            assert_eq!(meaning.uneven_angle_deg, None);
            let mut displayed = Mat::default();
            meaning
                .orientation
                .apply(&stored, &mut displayed)
                .expect("a picture");
            let rows: Vec<Vec<u8>> = (0..displayed.rows())
                .map(|row| displayed.at_row::<u8>(row).expect("a row").to_vec())
                .collect();
            assert_eq!(rows, by_formula(matrix), "{a} {b} {c} {d}");
            assert_eq!(
                meaning.orientation.turned((3, 2)),
                (displayed.cols() as u32, displayed.rows() as u32)
            );
            let size = displayed.size().expect("a size");
            assert_eq!(size.width * size.height, 6);
        }
    }

    #[test]
    fn angles_between_go_to_the_nearest_and_are_told_and_nonsense_means_nothing() {
        let turned = |deg: f64| {
            let (sin, cos) = deg.to_radians().sin_cos();
            let fixed = |v: f64| (v * f64::from(ONE)).round() as i32;
            let matrix = [
                fixed(cos),
                fixed(sin),
                0,
                fixed(-sin),
                fixed(cos),
                0,
                0,
                0,
                1 << 30,
            ];
            Orientation::of_matrix(&matrix)
        };
        assert_eq!(turned(90.4).orientation.rotation_deg, 90);
        assert_eq!(turned(90.4).uneven_angle_deg, None);
        assert_eq!(turned(-20.0).orientation.rotation_deg, 0);
        let told = turned(-20.0).uneven_angle_deg.expect("an angle");
        assert!((told + 20.0).abs() < 0.01, "{told}");
        assert_eq!(turned(250.0).orientation.rotation_deg, 270);
        for nonsense in [[0; 9], matrix(1, 0, 1, 0)] {
            let meaning = Orientation::of_matrix(&nonsense);
            assert_eq!(meaning.orientation, Orientation::default());
        }
    }
}
