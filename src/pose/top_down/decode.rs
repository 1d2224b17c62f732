//! Where a top-down model's outputs say that joints are: SimCC and heatmaps.
//!
//! As MMPose 1.3 decodes them (`mmpose/codecs`): SimCC (Li et al., "SimCC: a simple coordinate
//! classification perspective for human pose estimation", ECCV 2022) by the maxima along x and y, of
//! which the smaller is the score; heatmaps by their maximum, which is the score, refined by a
//! quarter of a cell, or by DARK (Zhang et al., "Distribution-aware coordinate representation for
//! human pose estimation", CVPR 2020), on UDP's grid (Huang et al., "The devil is in the details",
//! CVPR 2020) in its form for that.
//!
//! Unlike there, DARK's step is not taken where it leads further than [`MAX_STEP_CELLS`]: no maximum
//! lies so far from the largest cell, and in flat maps it can lead anywhere.

use crate::pose::skeleton::{PixelGrid, Refinement};

/// Side of the Gaussian kernel that heatmaps are blurred with before DARK, in cells
/// (`blur_kernel_size`).
const BLUR_CELLS: usize = 11;
/// What OpenCV takes for a kernel of that size: 0.3 ((size - 1) / 2 - 1) + 0.8.
const BLUR_SIGMA_CELLS: f64 = 2.0;
/// See the module's documentation.
const MAX_STEP_CELLS: f64 = 2.0;
/// Before logarithms of blurred maps: the least, and on UDP's grid least and most.
const STANDARD_FLOOR: f32 = 1e-10;
const UNBIASED_RANGE: [f32; 2] = [1e-3, 50.0];

/// Where a joint is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointReading {
    /// In fractions of the region, from its left edge.
    pub x: f64,
    /// In fractions of the region, from its top edge.
    pub y: f64,
    /// As the model gives it; not above 0 where it says nothing.
    pub score: f64,
}

/// What the model gave is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANumber;

/// A model's outputs for one region.
#[derive(Clone, Copy)]
pub enum JointTensors<'a> {
    /// [joints, columns] and [joints, rows].
    SimCc {
        /// Scores of places along x.
        x: &'a [f32],
        /// Scores of places along y.
        y: &'a [f32],
    },
    /// [joints, rows, columns].
    Heatmap(&'a [f32]),
}

/// How outputs are to be read, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoder {
    /// Places along x and along y: of SimCC, or cells of a heatmap.
    pub places: [usize; 2],
    /// For heatmaps.
    pub refinement: Refinement,
    /// For heatmaps.
    pub grid: PixelGrid,
}

impl Decoder {
    /// The joints, in the model's order.
    ///
    /// # Errors
    /// When something that was given is not a number.
    pub fn read(&self, tensors: JointTensors<'_>) -> Result<Vec<JointReading>, NotANumber> {
        let [columns, rows] = self.places;
        match tensors {
            JointTensors::SimCc { x, y } => {
                let joints = x.chunks_exact(columns).zip(y.chunks_exact(rows));
                joints.map(|(x, y)| simcc(x, y)).collect()
            }
            JointTensors::Heatmap(maps) => {
                let maps = maps.chunks_exact(columns * rows);
                maps.map(|map| self.heatmap(map)).collect()
            }
        }
    }

    fn heatmap(&self, map: &[f32]) -> Result<JointReading, NotANumber> {
        let [columns, rows] = self.places;
        let (index, score) = maximum(map)?;
        let cell = [index % columns, index / columns];
        // A map that says nothing has no maximum to refine.
        let step = match self.refinement {
            _ if score <= 0.0 => [0.0; 2],
            Refinement::None => [0.0; 2],
            Refinement::Quarter => quarter(map, self.places, cell),
            Refinement::Dark => {
                let blurred = logarithms(map, self.places, self.grid);
                match self.grid {
                    PixelGrid::Standard => dark(&blurred, self.places, cell),
                    PixelGrid::Unbiased => dark_unbiased(&blurred, self.places, cell),
                }
            }
        };
        let fraction = |axis: usize, count: usize| {
            let place = cell[axis] as f64 + step[axis];
            match self.grid {
                PixelGrid::Standard => place / count as f64,
                PixelGrid::Unbiased => place / (count - 1) as f64,
            }
        };
        Ok(JointReading {
            x: fraction(0, columns),
            y: fraction(1, rows),
            score: f64::from(score),
        })
    }
}

fn simcc(x: &[f32], y: &[f32]) -> Result<JointReading, NotANumber> {
    let ((column, score_x), (row, score_y)) = (maximum(x)?, maximum(y)?);
    Ok(JointReading {
        x: column as f64 / x.len() as f64,
        y: row as f64 / y.len() as f64,
        score: f64::from(score_x.min(score_y)),
    })
}

/// The first of the largest values, and where it is.
fn maximum(values: &[f32]) -> Result<(usize, f32), NotANumber> {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, value) in values.iter().enumerate() {
        if value.is_nan() {
            return Err(NotANumber);
        }
        if *value > best.1 {
            best = (i, *value);
        }
    }
    best.1.is_finite().then_some(best).ok_or(NotANumber)
}

/// A quarter of a cell towards the larger of the neighbours, along each axis (`refine_keypoints`).
/// Beside the map's edges, and one cell further at its left and upper ones, the maximum stays.
fn quarter(map: &[f32], [columns, rows]: [usize; 2], [x, y]: [usize; 2]) -> [f64; 2] {
    let at = |x: usize, y: usize| map[y * columns + x];
    let towards = |before: f32, after: f32| match after.total_cmp(&before) {
        std::cmp::Ordering::Less => -0.25,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => 0.25,
    };
    let mut step = [0.0; 2];
    if x > 1 && x + 1 < columns && y > 0 {
        step[0] = towards(at(x - 1, y), at(x + 1, y));
    }
    if y > 1 && y + 1 < rows && x > 0 {
        step[1] = towards(at(x, y - 1), at(x, y + 1));
    }
    step
}

/// The map, blurred, as high as before, and the logarithm of it.
fn logarithms(map: &[f32], [columns, rows]: [usize; 2], grid: PixelGrid) -> Vec<f32> {
    let reach = (BLUR_CELLS / 2) as isize;
    let weight = |i: isize| (-(i * i) as f64 / (2.0 * BLUR_SIGMA_CELLS.powi(2))).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let kernel: Vec<f32> = (-reach..=reach)
        .map(|i| (weight(i) / total) as f32)
        .collect();
    // Beyond the map everything is 0.
    let along = |values: &[f32], count: usize, stride: usize, start: usize, at: usize| -> f32 {
        let taps = kernel.iter().enumerate().filter_map(|(tap, weight)| {
            let place = (at + tap).checked_sub(BLUR_CELLS / 2)?;
            (place < count).then(|| weight * values[start + place * stride])
        });
        taps.sum()
    };
    let mut half = vec![0.0; map.len()];
    let mut blurred = vec![0.0; map.len()];
    for y in 0..rows {
        for x in 0..columns {
            half[y * columns + x] = along(map, columns, 1, y * columns, x);
        }
    }
    for y in 0..rows {
        for x in 0..columns {
            blurred[y * columns + x] = along(&half, rows, columns, x, y);
        }
    }
    let highest = |values: &[f32]| values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = highest(map) / highest(&blurred);
    for value in &mut blurred {
        let scaled = *value * scale;
        *value = match grid {
            PixelGrid::Standard => scaled.max(STANDARD_FLOOR),
            PixelGrid::Unbiased => scaled.clamp(UNBIASED_RANGE[0], UNBIASED_RANGE[1]),
        }
        .ln();
    }
    blurred
}

/// Newton's step to the maximum, by differences over two cells (`refine_keypoints_dark`).
fn dark(map: &[f32], [columns, rows]: [usize; 2], [x, y]: [usize; 2]) -> [f64; 2] {
    if x < 2 || y < 2 || x + 2 >= columns || y + 2 >= rows {
        return [0.0; 2];
    }
    let at = |dx: isize, dy: isize| {
        let (x, y) = (x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
        f64::from(map[y * columns + x])
    };
    let slope = [0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))];
    let bend_x = 0.25 * (at(2, 0) - 2.0 * at(0, 0) + at(-2, 0));
    let bend_y = 0.25 * (at(0, 2) - 2.0 * at(0, 0) + at(0, -2));
    let twist = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1));
    newton(slope, [bend_x, twist, bend_y])
}

/// The same by differences over one cell, in a map that goes on at its edges
/// (`refine_keypoints_dark_udp`).
fn dark_unbiased(map: &[f32], [columns, rows]: [usize; 2], [x, y]: [usize; 2]) -> [f64; 2] {
    let at = |dx: isize, dy: isize| {
        let near = |place: usize, step: isize, count: usize| {
            (place as isize + step).clamp(0, count as isize - 1) as usize
        };
        f64::from(map[near(y, dy, rows) * columns + near(x, dx, columns)])
    };
    let here = at(0, 0);
    let slope = [0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))];
    let bend_x = at(1, 0) - 2.0 * here + at(-1, 0);
    let bend_y = at(0, 1) - 2.0 * here + at(0, -1);
    let sides = at(1, 0) + at(0, 1) + at(-1, 0) + at(0, -1);
    let twist = 0.5 * (at(1, 1) - sides + 2.0 * here + at(-1, -1));
    // The published code adds the smallest step of a float so that it can divide.
    let eps = f64::from(f32::EPSILON);
    newton(slope, [bend_x + eps, twist, bend_y + eps])
}

/// - hessian⁻¹ slope, where that is a small step; the hessian is [xx, xy, yy].
fn newton(slope: [f64; 2], [xx, xy, yy]: [f64; 3]) -> [f64; 2] {
    let determinant = xx * yy - xy * xy;
    let step = [
        (xy * slope[1] - yy * slope[0]) / determinant,
        (xy * slope[0] - xx * slope[1]) / determinant,
    ];
    // Written so that a NaN is no step.
    match step[0].hypot(step[1]) <= MAX_STEP_CELLS {
        true => step,
        false => [0.0; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 48;
    const ROWS: usize = 64;

    /// A Gaussian of two cells, as models are trained to give.
    fn gaussian(center: [f64; 2]) -> Vec<f32> {
        let value = |i: usize| {
            let (x, y) = ((i % COLUMNS) as f64, (i / COLUMNS) as f64);
            let squares = (x - center[0]).powi(2) + (y - center[1]).powi(2);
            (0.9 * (-squares / 8.0).exp()) as f32
        };
        (0..COLUMNS * ROWS).map(value).collect()
    }

    fn read(map: &[f32], refinement: Refinement, grid: PixelGrid) -> JointReading {
        let decoder = Decoder {
            places: [COLUMNS, ROWS],
            refinement,
            grid,
        };
        decoder.read(JointTensors::Heatmap(map)).expect("numbers")[0]
    }

    #[test]
    fn simcc_is_where_both_maxima_are_and_as_sure_as_the_smaller() {
        let (mut x, mut y) = (vec![0.0; 2 * 8], vec![0.1; 2 * 6]);
        (x[3], y[5], x[8], y[6 + 2]) = (0.9, 0.7, 0.4, 0.8);
        let decoder = Decoder {
            places: [8, 6],
            refinement: Refinement::None,
            grid: PixelGrid::Standard,
        };
        let joints = decoder.read(JointTensors::SimCc { x: &x, y: &y });
        let joints = joints.expect("numbers");
        let expected = [(3.0 / 8.0, 5.0 / 6.0, 0.7), (0.0, 2.0 / 6.0, 0.4)];
        assert_eq!(joints.len(), 2);
        for (joint, (x, y, score)) in joints.iter().zip(expected) {
            assert_eq!((joint.x, joint.y), (x, y));
            assert!((joint.score - score).abs() < 1e-6);
        }
    }

    #[test]
    fn dark_finds_a_gaussians_middle_between_cells() {
        for center in [[20.3, 30.4], [7.5, 50.8], [40.0, 11.1]] {
            let map = gaussian(center);
            for (grid, columns, rows) in [
                (PixelGrid::Standard, 48.0, 64.0),
                (PixelGrid::Unbiased, 47.0, 63.0),
            ] {
                let found = read(&map, Refinement::Dark, grid);
                let off = [found.x * columns - center[0], found.y * rows - center[1]];
                assert!(off.iter().all(|off| off.abs() < 0.02), "{center:?} {off:?}");
            }
        }
    }

    #[test]
    fn a_quarter_goes_towards_the_larger_neighbour() {
        let found = read(
            &gaussian([20.3, 29.8]),
            Refinement::Quarter,
            PixelGrid::Standard,
        );
        assert_eq!((found.x * 48.0, found.y * 64.0), (20.25, 29.75));
        let found = read(
            &gaussian([20.0, 30.0]),
            Refinement::Quarter,
            PixelGrid::Standard,
        );
        assert_eq!((found.x * 48.0, found.y * 64.0), (20.0, 30.0));
        let found = read(
            &gaussian([20.3, 29.8]),
            Refinement::None,
            PixelGrid::Unbiased,
        );
        assert_eq!((found.x * 47.0, found.y * 63.0), (20.0, 30.0));
    }

    #[test]
    fn nothing_is_refined_at_the_edges_nor_in_a_map_that_says_nothing() {
        let corner = gaussian([47.0, 63.0]);
        for refinement in [Refinement::Quarter, Refinement::Dark] {
            let found = read(&corner, refinement, PixelGrid::Standard);
            assert_eq!((found.x * 48.0, found.y * 64.0), (47.0, 63.0));
            let empty = read(&[0.0; COLUMNS * ROWS], refinement, PixelGrid::Unbiased);
            assert_eq!((empty.x, empty.y, empty.score), (0.0, 0.0, 0.0));
        }
        // Of a plateau Newton's step would lead anywhere.
        let flat = read(
            &[0.5; COLUMNS * ROWS],
            Refinement::Dark,
            PixelGrid::Unbiased,
        );
        assert!(flat.x.abs() < 0.05 && flat.y.abs() < 0.05, "{flat:?}");
    }

    #[test]
    fn what_is_not_a_number_is_told() {
        let mut map = gaussian([20.0, 30.0]);
        map[5] = f32::NAN;
        let decoder = Decoder {
            places: [COLUMNS, ROWS],
            refinement: Refinement::None,
            grid: PixelGrid::Standard,
        };
        assert_eq!(decoder.read(JointTensors::Heatmap(&map)), Err(NotANumber));
        let infinite = vec![f32::INFINITY; COLUMNS * ROWS];
        assert_eq!(
            decoder.read(JointTensors::Heatmap(&infinite)),
            Err(NotANumber)
        );
    }
}
