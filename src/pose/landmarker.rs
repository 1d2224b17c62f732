//! The landmark model's output: decoding, heatmap refinement, projection into the image.

use std::ops::RangeInclusive;

use super::backend::sigmoid;
use super::landmark::LANDMARK_COUNT;
#[cfg(target_arch = "x86_64")]
use super::native::NativeHeatmaps;
use super::roi::Roi;

/// Side of the landmark model's square input in pixels.
pub const LANDMARK_INPUT_SIDE: usize = 256;
/// Points that the model gives: 33 landmarks, 2 alignment points, 4 that nobody uses.
pub(super) const POINT_COUNT: usize = 39;
/// Values per point: x, y, z, visibility logit, presence logit.
pub(super) const POINT_VALUES: usize = 5;
/// Landmarks plus the two alignment points (centre, scale) behind them.
const USED_POINTS: usize = LANDMARK_COUNT + 2;
/// Side of a heatmap in cells.
pub(super) const HEATMAP_SIDE: usize = 64;
/// The refinement averages over this many cells to each side. MediaPipe's graph file asks for a
/// 7 cell kernel; its Python package drops that option and runs with the calculator's default of
/// 9, and agreeing with that package is what users compare against.
const REFINE_REACH: i64 = 4;
/// Below this peak a heatmap says nothing (`min_confidence_to_refine`).
const MIN_PEAK_CONFIDENCE: f32 = 0.5;

/// The landmark model's raw tensors for one crop.
pub struct LandmarkTensors<'a> {
    /// [39, 5]; x, y, z in pixels of the crop.
    pub points: &'a [f32],
    /// Probability that the crop shows a person.
    pub pose_probability: f32,
    /// Where points are, coarsely.
    pub heatmaps: Heatmaps<'a>,
    /// [39, 3] in metres, in the crop's axes.
    pub world: &'a [f32],
}

/// A map of 64 x 64 logits for each point.
pub enum Heatmaps<'a> {
    /// [39, 64, 64]
    Whole(&'a [f32]),
    /// Computed where they are looked at.
    #[cfg(target_arch = "x86_64")]
    Native(NativeHeatmaps<'a>),
}

impl Heatmaps<'_> {
    /// Hands over row, column and logit of each cell of a part of a point's map, row by row.
    ///
    /// # Panics
    /// When the part is not within the map.
    pub fn read(
        &self,
        point: usize,
        rows: RangeInclusive<usize>,
        columns: RangeInclusive<usize>,
        mut take: impl FnMut(usize, usize, f32),
    ) {
        match self {
            Self::Whole(maps) => {
                let cells = HEATMAP_SIDE * HEATMAP_SIDE;
                let map = &maps[point * cells..][..cells];
                for row in rows {
                    for column in columns.clone() {
                        take(row, column, map[row * HEATMAP_SIDE + column]);
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Native(maps) => maps.read(point, rows, columns, take),
        }
    }
}

/// A point in pixels of the image; z has the scale of x and grows away from the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImagePoint {
    /// From the left edge; may lie outside the image.
    pub x_px: f64,
    /// From the top edge; may lie outside the image.
    pub y_px: f64,
    /// 0 near the hips.
    pub z_px: f64,
    /// Probability that the point is in the picture and not hidden, 0..1.
    pub visibility: f64,
    /// Probability that the point is inside the picture, 0..1.
    pub presence: f64,
}

/// What one crop says, before smoothing.
#[derive(Clone, Debug, PartialEq)]
pub struct RawPose {
    /// In BlazePose's order, in pixels of the whole image.
    pub landmarks: [ImagePoint; LANDMARK_COUNT],
    /// Metres from the middle of the hips; x right, y down, z away from the camera.
    pub world_m: [[f64; 3]; LANDMARK_COUNT],
    /// The alignment points: centre and scale of the body.
    pub alignment: [ImagePoint; 2],
}

impl RawPose {
    /// Decodes, refines and projects a crop's tensors; `roi` is where the crop was taken.
    pub fn from_tensors(tensors: &LandmarkTensors<'_>, roi: &Roi) -> Self {
        let side = LANDMARK_INPUT_SIDE as f64;
        let project = |i: usize| {
            let values = &tensors.points[i * POINT_VALUES..][..POINT_VALUES];
            let value = |k: usize| f64::from(values[k]);
            let [x, y] = refine(&tensors.heatmaps, i, [value(0) / side, value(1) / side]);
            let [x_px, y_px] = roi.project(x, y);
            ImagePoint {
                x_px,
                y_px,
                z_px: roi.side_px * value(2) / side,
                visibility: sigmoid(value(3)),
                presence: sigmoid(value(4)),
            }
        };
        let points: [ImagePoint; USED_POINTS] = std::array::from_fn(project);
        let world_m = std::array::from_fn(|i| {
            let value = |k: usize| f64::from(tensors.world[3 * i + k]);
            let [x, y] = roi.rotate(value(0), value(1));
            [x, y, value(2)]
        });
        Self {
            landmarks: std::array::from_fn(|i| points[i]),
            world_m,
            alignment: [points[LANDMARK_COUNT], points[LANDMARK_COUNT + 1]],
        }
    }
}

/// Moves a point, in fractions of the crop, to the centre of mass of its heatmap's surroundings.
///
/// A point outside it, or a heatmap without a clear peak, leaves the point where it is.
fn refine(heatmaps: &Heatmaps<'_>, number: usize, point: [f64; 2]) -> [f64; 2] {
    let side = HEATMAP_SIDE as i64;
    let column = (point[0] * side as f64).trunc() as i64;
    let row = (point[1] * side as f64).trunc() as i64;
    if !(0..side).contains(&column) || !(0..side).contains(&row) {
        return point;
    }
    let window = |center: i64| {
        (center - REFINE_REACH).max(0) as usize..=(center + REFINE_REACH).min(side - 1) as usize
    };
    let (mut peak, mut total, mut sum_x, mut sum_y) = (0.0f32, 0.0f64, 0.0f64, 0.0f64);
    heatmaps.read(number, window(row), window(column), |row, column, logit| {
        let confidence = 1.0 / (1.0 + (-logit).exp());
        peak = peak.max(confidence);
        let confidence = f64::from(confidence);
        total += confidence;
        sum_x += confidence * column as f64;
        sum_y += confidence * row as f64;
    });
    if peak >= MIN_PEAK_CONFIDENCE && total > 0.0 {
        [sum_x / total / side as f64, sum_y / total / side as f64]
    } else {
        point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refined(heatmap: &[f32], point: [f64; 2]) -> [f64; 2] {
        refine(&Heatmaps::Whole(heatmap), 0, point)
    }

    fn heatmap_with_peak(row: usize, column: usize, logit: f32) -> Vec<f32> {
        let mut heatmap = vec![-50.0; HEATMAP_SIDE * HEATMAP_SIDE];
        heatmap[row * HEATMAP_SIDE + column] = logit;
        heatmap
    }

    #[test]
    fn a_clear_peak_pulls_the_point_to_its_cell() {
        let [x, y] = refined(&heatmap_with_peak(20, 30, 8.0), [31.5 / 64.0, 18.2 / 64.0]);
        assert!((x - 30.0 / 64.0).abs() < 1e-9 && (y - 20.0 / 64.0).abs() < 1e-9);
    }

    #[test]
    fn a_weak_peak_and_a_point_outside_change_nothing() {
        let point = [31.5 / 64.0, 18.2 / 64.0];
        assert_eq!(refined(&heatmap_with_peak(20, 30, -0.1), point), point);
        let outside = [1.01, 0.2];
        assert_eq!(refined(&heatmap_with_peak(12, 63, 9.0), outside), outside);
    }
}
