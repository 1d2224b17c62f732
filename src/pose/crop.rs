//! Cuts a rotated square, or rectangle, out of a picture and makes a model's input tensor of it.
//!
//! Sampling is bilinear at positions rounded to 1/32 pixel, in integers, with 8-bit results. The
//! models were trained and shipped behind that rounding and react to it: exact bilinear sampling
//! moves a detection by several pixels.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod sampling;

use std::sync::LazyLock;

use self::sampling::{Raster, interpolate_row, sample_by};
use super::roi::{Region, Roi};
use super::skeleton::{Channels, PictureInput, PixelGrid};
use crate::image::BgrView;
pub use sampling::{Border, InputScale};

/// What a processor reads pictures with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    /// Every processor can.
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// Those of this processor, the best ones last.
    fn all() -> Vec<Self> {
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(avx2::is_there().then_some(Self::Avx2));
            all.extend(avx512::is_there().then_some(Self::Avx512));
        }
        all
    }

    fn best() -> Self {
        static BEST: LazyLock<Instructions> =
            LazyLock::new(|| *Instructions::all().last().expect("one at least"));
        *BEST
    }
}

/// Samples the region's pixels and hands each row to `write` as its number and its red, green and
/// blue values.
fn sample(
    image: BgrView<'_>,
    region: &Region,
    raster: Raster,
    border: Border,
    write: impl FnMut(usize, [&[u8]; 3]),
) {
    sample_with(Instructions::best(), image, region, raster, border, write);
}

fn sample_with(
    instructions: Instructions,
    image: BgrView<'_>,
    region: &Region,
    raster: Raster,
    border: Border,
    write: impl FnMut(usize, [&[u8]; 3]),
) {
    match instructions {
        Instructions::Scalar => {
            sample_by(image, region, raster, border, write, interpolate_row);
        }
        // SAFETY: the processor has these instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { avx2::sample(image, region, raster, border, write) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { avx512::sample(image, region, raster, border, write) },
    }
}

/// What a model looks at: [3, side, side] of red, green and blue.
#[derive(Clone, Copy)]
pub enum ModelInput<'a> {
    /// As the model wants it.
    Values(&'a [f32]),
    /// Levels of 8 bits, and how the model wants them.
    Levels(&'a [u8], InputScale),
}

impl<'a> ModelInput<'a> {
    /// Values, or levels.
    pub fn count(self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Levels(levels, _) => levels.len(),
        }
    }

    /// As the model wants it; in `room`, where it is not there yet.
    pub fn values<'r>(self, room: &'r mut Vec<f32>) -> &'r [f32]
    where
        'a: 'r,
    {
        match self {
            Self::Values(values) => values,
            Self::Levels(levels, scale) => {
                room.resize(levels.len(), 0.0);
                scale.apply(levels, room);
                room
            }
        }
    }
}

impl<'a> From<&'a [f32]> for ModelInput<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::Values(values)
    }
}

/// Fills `levels`, laid out [3, size, size] in red, green, blue planes.
///
/// # Panics
/// When `levels` does not hold 3 * size * size values.
pub fn crop_to_levels(
    image: BgrView<'_>,
    roi: &Roi,
    size: usize,
    border: Border,
    levels: &mut [u8],
) {
    assert_eq!(levels.len(), 3 * size * size, "a picture of another size");
    let (region, raster) = (Region::from(*roi), Raster::square(size));
    sample(image, &region, raster, border, |row, channels| {
        for (plane, values) in levels.chunks_exact_mut(size * size).zip(channels) {
            plane[row * size..(row + 1) * size].copy_from_slice(values);
        }
    });
}

/// The same, scaled.
///
/// # Panics
/// When `tensor` does not hold 3 * size * size values.
pub fn crop_to_tensor(
    image: BgrView<'_>,
    roi: &Roi,
    size: usize,
    border: Border,
    scale: InputScale,
    tensor: &mut [f32],
) {
    assert_eq!(tensor.len(), 3 * size * size, "tensor of another size");
    let (region, raster) = (Region::from(*roi), Raster::square(size));
    sample(image, &region, raster, border, |row, channels| {
        for (plane, values) in tensor.chunks_exact_mut(size * size).zip(channels) {
            scale.apply(values, &mut plane[row * size..(row + 1) * size]);
        }
    });
}

/// Fills `tensor`, laid out [3, rows, columns], with what a skeleton's model is to see of a region;
/// what lies outside the picture is black.
///
/// # Panics
/// When `tensor` does not hold 3 * rows * columns values.
pub(super) fn region_to_tensor(
    image: BgrView<'_>,
    region: &Region,
    [columns, rows]: [usize; 2],
    grid: PixelGrid,
    input: &PictureInput,
    tensor: &mut [f32],
) {
    assert_eq!(tensor.len(), 3 * rows * columns, "tensor of another size");
    let raster = Raster {
        columns,
        rows,
        grid,
    };
    // Of 256 values each, so that a pixel costs a look.
    let tables: [[f32; 256]; 3] = std::array::from_fn(|plane| {
        std::array::from_fn(|value| ((value as f64 - input.mean[plane]) / input.std[plane]) as f32)
    });
    sample(
        image,
        region,
        raster,
        Border::Zero,
        |row, [red, green, blue]| {
            let ordered = match input.channels {
                Channels::Rgb => [red, green, blue],
                Channels::Bgr => [blue, green, red],
            };
            let planes = tensor.chunks_exact_mut(rows * columns);
            for ((plane, values), table) in planes.zip(ordered).zip(&tables) {
                let line = &mut plane[row * columns..(row + 1) * columns];
                for (out, value) in line.iter_mut().zip(values) {
                    *out = table[usize::from(*value)];
                }
            }
        },
    );
}

/// The sampled 8-bit values themselves, interleaved [size, size, 3] in red, green, blue.
pub fn crop_to_rgb(image: BgrView<'_>, roi: &Roi, size: usize, border: Border) -> Vec<u8> {
    let mut rgb = vec![0; 3 * size * size];
    let (region, raster) = (Region::from(*roi), Raster::square(size));
    sample(image, &region, raster, border, |row, channels| {
        let line = &mut rgb[3 * row * size..3 * (row + 1) * size];
        for (channel, values) in channels.into_iter().enumerate() {
            for (out, value) in line.iter_mut().skip(channel).step_by(3).zip(values) {
                *out = *value;
            }
        }
    });
    rgb
}

#[cfg(test)]
mod tests {
    use super::sampling::{SUBPIXELS, mix, to_subpixels};
    use super::*;

    fn roi(center: f64, side: f64) -> Roi {
        Roi {
            center_x_px: center,
            center_y_px: center,
            side_px: side,
            rotation_rad: 0.0,
        }
    }

    #[test]
    fn pixels_are_mixed_as_the_rule_says() {
        let (upper, lower) = (
            [0, 10, 255, 255, 20, 254, 9, 9],
            [7, 255, 255, 3, 255, 255, 9, 9],
        );
        for a in 0..SUBPIXELS {
            for b in 0..SUBPIXELS {
                let expected: [u8; 3] = std::array::from_fn(|c| {
                    let [p, q, r, s] =
                        [upper[c], upper[c + 3], lower[c], lower[c + 3]].map(u64::from);
                    let sum = (32 - b) * ((32 - a) * p + a * q) + b * ((32 - a) * r + a * s);
                    ((sum + 512) >> 10) as u8
                });
                assert_eq!(mix(&upper, &lower, a, b), expected, "{a}, {b}");
            }
        }
    }

    /// Pictures of noise in all sorts of sizes, one of them with room between its rows, and
    /// regions inside them, across every border, far outside, turned and tiny.
    #[test]
    fn rows_that_are_read_at_once_are_those_read_pixel_by_pixel() {
        let mut random = crate::random::SplitMix64::new(5);
        let mut compared = 0;
        let kinds = Instructions::all();
        for (width, height, gap) in [(1, 1, 0), (2, 3, 0), (3, 2, 0), (7, 5, 2), (64, 48, 0)] {
            let stride = 3 * width + gap;
            let data: Vec<u8> = (0..height * stride)
                .map(|_| (random.next_fraction() * 256.0) as u8)
                .collect();
            let image = BgrView::new(&data, width, height, stride).expect("a picture");
            for _ in 0..200 {
                let mut within = |low: f64, high: f64| low + (high - low) * random.next_fraction();
                let side = 3.0 * width.max(height) as f64;
                let region = Region {
                    center_x_px: within(-0.5, 1.5) * width as f64,
                    center_y_px: within(-0.5, 1.5) * height as f64,
                    width_px: within(0.0, side),
                    height_px: within(0.0, side),
                    rotation_rad: within(-4.0, 4.0),
                };
                let raster = Raster {
                    columns: 53,
                    rows: 9,
                    grid: PixelGrid::Standard,
                };
                for border in [Border::Zero, Border::Replicate] {
                    let mut expected = Vec::new();
                    let one_by_one = |row, [red, green, blue]: [&[u8]; 3]| {
                        expected.push((row, [red.to_vec(), green.to_vec(), blue.to_vec()]));
                    };
                    sample_by(image, &region, raster, border, one_by_one, interpolate_row);
                    let mut compare = |instructions| {
                        let mut rows = expected.iter();
                        sample_with(
                            instructions,
                            image,
                            &region,
                            raster,
                            border,
                            |row, values| {
                                let (number, expected) = rows.next().expect("a row");
                                let expected = expected.each_ref().map(Vec::as_slice);
                                assert_eq!((*number, expected), (row, values), "{instructions:?}");
                                compared += values[0].len();
                            },
                        );
                        assert!(rows.next().is_none());
                    };
                    kinds.iter().for_each(|kind| compare(*kind));
                }
            }
        }
        assert_eq!(compared, kinds.len() * 5 * 200 * 2 * 53 * 9);
    }

    #[test]
    fn positions_round_half_to_even() {
        for i in -1000..1000 {
            let position = f64::from(i) / 128.0 + 0.3;
            let expected = (position * 32.0).round_ties_even() as i32;
            assert_eq!(to_subpixels(position), expected, "{position}");
            let half = (f64::from(i) + 0.5) / 32.0;
            assert_eq!(
                to_subpixels(half),
                (half * 32.0).round_ties_even() as i32,
                "{half}"
            );
        }
        assert_eq!(to_subpixels(f64::INFINITY), 1 << 30);
    }

    #[test]
    fn an_unscaled_crop_returns_the_pixels_themselves_in_rgb() {
        let data: Vec<u8> = (0..4 * 4 * 3).map(|i| i as u8 * 5).collect();
        let image = BgrView::new(&data, 4, 4, 12).expect("a picture");
        let rgb = crop_to_rgb(image, &roi(2.0, 4.0), 4, Border::Replicate);
        let swapped: Vec<u8> = data.chunks(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        assert_eq!(rgb, swapped);
    }

    #[test]
    fn outside_is_black_or_the_edge() {
        let data = vec![200; 2 * 2 * 3];
        let image = BgrView::new(&data, 2, 2, 6).expect("a picture");
        let zero = crop_to_rgb(image, &roi(1.0, 8.0), 8, Border::Zero);
        let edge = crop_to_rgb(image, &roi(1.0, 8.0), 8, Border::Replicate);
        assert_eq!(zero[0], 0);
        assert!(edge.iter().all(|v| *v == 200));
    }

    /// The plane of one colour of a picture whose pixels are all of the colour `bgr`.
    fn seen(bgr: [u8; 3], channels: Channels, plane: usize) -> f32 {
        let data = bgr.repeat(8 * 8);
        let image = BgrView::new(&data, 8, 8, 24).expect("a picture");
        let input = PictureInput {
            size_px: None,
            channels,
            mean: [10.0, 20.0, 30.0],
            std: [1.0, 2.0, 4.0],
            padding: 1.25,
        };
        let mut tensor = vec![f32::NAN; 3 * 4 * 2];
        let region = roi(4.0, 4.0).into();
        region_to_tensor(
            image,
            &region,
            [2, 4],
            PixelGrid::Standard,
            &input,
            &mut tensor,
        );
        tensor[plane * 8]
    }

    #[test]
    fn planes_are_in_the_order_that_a_model_wants_each_with_its_own_scale() {
        let bgr = [90, 60, 30];
        let planes = |channels| [0, 1, 2].map(|plane| seen(bgr, channels, plane));
        assert_eq!(planes(Channels::Rgb), [20.0, 20.0, 15.0]);
        assert_eq!(planes(Channels::Bgr), [80.0, 20.0, 0.0]);
    }

    #[test]
    fn a_rectangle_is_sampled_by_its_own_sides_and_is_black_outside_the_picture() {
        // Red is ten times the column, green ten times the row.
        let data: Vec<u8> = (0..8 * 8)
            .flat_map(|i| [0, 10 * (i / 8) as u8, 10 * (i % 8) as u8])
            .collect();
        let image = BgrView::new(&data, 8, 8, 24).expect("a picture");
        let input = PictureInput {
            size_px: None,
            channels: Channels::Rgb,
            mean: [0.0; 3],
            std: [1.0; 3],
            padding: 1.0,
        };
        let region = Region {
            center_x_px: 3.0,
            center_y_px: 4.0,
            width_px: 4.0,
            height_px: 16.0,
            rotation_rad: 0.0,
        };
        let planes = |grid| {
            let mut tensor = vec![f32::NAN; 3 * 2 * 4];
            region_to_tensor(image, &region, [2, 4], grid, &input, &mut tensor);
            [tensor[..8].to_vec(), tensor[8..16].to_vec()]
        };
        // Columns 1 and 3, rows -4, 0, 4 and 8.
        let [red, green] = planes(PixelGrid::Standard);
        assert_eq!(red, [0.0, 0.0, 10.0, 30.0, 10.0, 30.0, 0.0, 0.0]);
        assert_eq!(green, [0.0, 0.0, 0.0, 0.0, 40.0, 40.0, 0.0, 0.0]);
        // Columns 1 and 5, rows -4, 4/3, 20/3 and 12; rows between two are mixed.
        let [red, green] = planes(PixelGrid::Unbiased);
        assert_eq!(red, [0.0, 0.0, 10.0, 50.0, 10.0, 50.0, 0.0, 0.0]);
        assert_eq!(green, [0.0, 0.0, 13.0, 13.0, 67.0, 67.0, 0.0, 0.0]);
    }

    #[test]
    fn a_single_pixel_picture_can_be_cropped() {
        let image = BgrView::new(&[1, 2, 3], 1, 1, 3).expect("a picture");
        let rgb = crop_to_rgb(image, &roi(0.0, 5.0), 4, Border::Replicate);
        assert!(rgb.chunks(3).all(|p| p == [3, 2, 1]));
    }
}
