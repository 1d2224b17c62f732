//! Positions of a region's pixels in a picture, and the colours there, pixel by pixel.

use std::ops::Range;

use super::super::roi::Region;
use super::super::skeleton::PixelGrid;
use crate::image::BgrView;

/// What lies outside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Black (the detector's letterbox bars).
    Zero,
    /// The nearest pixel of the picture (the landmark model).
    Replicate,
}

/// How a model wants its 8-bit input: `value / divisor + offset`.
#[derive(Clone, Copy, Debug)]
pub struct InputScale {
    /// Above 0: 127.5 for a range of two, 255 for a range of one.
    pub divisor: f32,
    /// What a black pixel becomes.
    pub offset: f32,
}

impl InputScale {
    /// Scales levels; there are as many of both.
    pub fn apply(self, levels: &[u8], scaled: &mut [f32]) {
        for (out, level) in scaled.iter_mut().zip(levels) {
            *out = f32::from(*level) / self.divisor + self.offset;
        }
    }
}

pub const SUBPIXEL_BITS: u32 = 5;
pub const SUBPIXELS: u64 = 1 << SUBPIXEL_BITS;
pub const SUBPIXEL_MASK: i32 = (1 << SUBPIXEL_BITS) - 1;
/// Weights of the four taps sum to 32 * 32.
pub const WEIGHT_BITS: u32 = 2 * SUBPIXEL_BITS;
pub const ROUNDING: u64 = 1 << (WEIGHT_BITS - 1);
/// Two pixels, and two bytes that make them a machine word.
pub const TAP_BYTES: usize = 8;

/// The pixels that are sampled of a region.
#[derive(Clone, Copy)]
pub struct Raster {
    pub columns: usize,
    pub rows: usize,
    pub grid: PixelGrid,
}

impl Raster {
    pub fn square(size: usize) -> Self {
        Self {
            columns: size,
            rows: size,
            grid: PixelGrid::Standard,
        }
    }

    /// Where the pixel `i` of `count` lies on a side of that length, from its middle.
    fn offset(self, i: usize, count: usize, side_px: f64) -> f64 {
        let steps = match self.grid {
            PixelGrid::Standard => count,
            PixelGrid::Unbiased => count - 1,
        };
        (i as f64 / steps as f64 - 0.5) * side_px
    }
}

/// Positions of a row's pixels in 1/32 pixel: from the left, from the top.
#[derive(Clone)]
pub struct Positions {
    pub xs: Vec<i32>,
    pub ys: Vec<i32>,
}

/// How far words of two pixels each can be read from a picture at once.
#[derive(Clone, Copy)]
pub struct Words {
    /// The last pixel along each side.
    pub last_px: [i32; 2],
    /// The last place that a row and a word follow.
    pub last_place: i32,
}

impl Words {
    /// `None` for pictures without two pixels in both directions, and those in which 32 bits do
    /// not tell all places.
    pub fn of(image: BgrView<'_>) -> Option<Self> {
        let last_place = image.data().len().checked_sub(image.stride() + TAP_BYTES)?;
        let sides = [image.width(), image.height()].map(|side| side as i32);
        let is_readable = |side: i32| (2..1 << (31 - SUBPIXEL_BITS)).contains(&side);
        sides.into_iter().all(is_readable).then_some(Self {
            last_px: sides.map(|side| side - 1),
            last_place: i32::try_from(last_place).ok()?,
        })
    }
}

/// The positions that are read as they are: beside a picture's edge pixels there are more of the
/// same; what is black begins within a position's reach.
pub fn inside(
    image: BgrView<'_>,
    Positions { xs, ys }: &Positions,
    border: Border,
) -> Range<usize> {
    match border {
        Border::Replicate => 0..xs.len(),
        Border::Zero => {
            let (last_x, last_y) = (image.width() as i32 - 1, image.height() as i32 - 1);
            let is_inside = |i: &usize| {
                let (x, y) = (xs[*i] >> SUBPIXEL_BITS, ys[*i] >> SUBPIXEL_BITS);
                x >= 0 && y >= 0 && x < last_x && y < last_y
            };
            // The positions lie on a line, so that those inside follow one another.
            let first = (0..xs.len()).find(is_inside).unwrap_or(xs.len());
            first..(first..xs.len()).rfind(is_inside).map_or(first, |i| i + 1)
        }
    }
}

/// Samples the region's pixels and hands each row to `write` as its number and its red, green and
/// blue values, a row of positions being read by `interpolate`, which also learns of the row
/// after it. Where it is called from decides for which instructions it is compiled.
#[inline(always)]
pub fn sample_by(
    image: BgrView<'_>,
    region: &Region,
    raster: Raster,
    border: Border,
    mut write: impl FnMut(usize, [&[u8]; 3]),
    mut interpolate: impl FnMut(BgrView<'_>, [&Positions; 2], Border, &mut [Vec<u8>; 3]),
) {
    let (sin, cos) = region.rotation_rad.sin_cos();
    let Raster { columns, rows, .. } = raster;
    let offsets = || (0..columns).map(|column| raster.offset(column, columns, region.width_px));
    let x_offsets: Vec<f64> = offsets().map(|offset| offset * cos).collect();
    let y_offsets: Vec<f64> = offsets().map(|offset| offset * sin).collect();
    // Short loops over whole rows: the compiler makes vector instructions of these two and of
    // whatever `write` does.
    let locate = |row: usize, Positions { xs, ys }: &mut Positions| {
        let v = raster.offset(row, rows, region.height_px);
        let start = [region.center_x_px - v * sin, region.center_y_px + v * cos];
        for (x, offset) in xs.iter_mut().zip(&x_offsets) {
            *x = to_subpixels(start[0] + offset);
        }
        for (y, offset) in ys.iter_mut().zip(&y_offsets) {
            *y = to_subpixels(start[1] + offset);
        }
    };
    let mut next = Positions {
        xs: vec![0; columns],
        ys: vec![0; columns],
    };
    let mut positions = next.clone();
    let mut channels = [vec![0; columns], vec![0; columns], vec![0; columns]];
    locate(0, &mut next);
    for row in 0..rows {
        std::mem::swap(&mut positions, &mut next);
        locate(row + 1, &mut next);
        interpolate(image, [&positions, &next], border, &mut channels);
        write(row, [&channels[0], &channels[1], &channels[2]]);
    }
}

/// Reads the picture at a row of positions, into red, green and blue.
pub fn interpolate_row(
    image: BgrView<'_>,
    [Positions { xs, ys }, _]: [&Positions; 2],
    border: Border,
    [red, green, blue]: &mut [Vec<u8>; 3],
) {
    let values = red.iter_mut().zip(green).zip(blue);
    for ((x, y), ((red, green), blue)) in xs.iter().zip(ys).zip(values) {
        [*blue, *green, *red] = interpolate(image, [*x, *y], border);
    }
}

/// Blue, green and red at a position in 1/32 pixel.
#[inline]
pub fn interpolate(image: BgrView<'_>, [qx, qy]: [i32; 2], border: Border) -> [u8; 3] {
    let (ix, iy) = (qx >> SUBPIXEL_BITS, qy >> SUBPIXEL_BITS);
    let (a, b) = ((qx & SUBPIXEL_MASK) as u64, (qy & SUBPIXEL_MASK) as u64);
    let (width, height) = (image.width() as i32, image.height() as i32);
    if ix >= 0 && iy >= 0 && ix + 1 < width && iy + 1 < height {
        let top = iy as usize * image.stride() + 3 * ix as usize;
        // Two pixels of each row; at the picture's very end the word does not fit.
        let word = |at: usize| {
            image
                .data()
                .get(at..at + TAP_BYTES)?
                .as_array::<TAP_BYTES>()
        };
        if let Some((upper, lower)) = word(top).zip(word(top + image.stride())) {
            return mix(upper, lower, a, b);
        }
    }
    let tap = |x: i32, y: i32| match border {
        Border::Zero if x < 0 || y < 0 || x >= width || y >= height => [0; 3],
        _ => image.pixel(
            x.clamp(0, width - 1) as usize,
            y.clamp(0, height - 1) as usize,
        ),
    };
    let pair = |y: i32| {
        let ([b0, g0, r0], [b1, g1, r1]) = (tap(ix, y), tap(ix + 1, y));
        [b0, g0, r0, b1, g1, r1, 0, 0]
    };
    mix(&pair(iy), &pair(iy + 1), a, b)
}

/// The weighted mean of four neighbouring pixels, of which the first six bytes of an upper and a
/// lower row hold two each, for fractions `a`/32 to the right and `b`/32 downwards.
///
/// The three channels are mixed at once, as three fields of one 64-bit number: a weighted sum
/// takes 18 bits at most.
#[inline]
pub fn mix(upper: &[u8; TAP_BYTES], lower: &[u8; TAP_BYTES], a: u64, b: u64) -> [u8; 3] {
    const FIELD_BITS: u32 = 21;
    const ONES: u64 = 1 | 1 << FIELD_BITS | 1 << (2 * FIELD_BITS);
    let fields = |x: u8, y: u8, z: u8| {
        u64::from(x) | u64::from(y) << FIELD_BITS | u64::from(z) << (2 * FIELD_BITS)
    };
    let along = |row: &[u8; TAP_BYTES]| {
        let [b0, g0, r0, b1, g1, r1, ..] = *row;
        (SUBPIXELS - a) * fields(b0, g0, r0) + a * fields(b1, g1, r1)
    };
    let sum = (SUBPIXELS - b) * along(upper) + b * along(lower) + ROUNDING * ONES;
    let mean = |field: u32| (sum >> (field * FIELD_BITS + WEIGHT_BITS)) as u8;
    [mean(0), mean(1), mean(2)]
}

/// Position in 1/32 pixel, rounded half to even; far outside it saturates well inside `i32`.
///
/// Adding 1.5 * 2^52 leaves no bits for a fraction, so the addition itself rounds, as IEEE 754
/// says, half to even; the integer then stands in the low bits. The standard library's rounding is
/// a function call on processors as old as the compiler has to assume.
#[inline]
pub fn to_subpixels(position_px: f64) -> i32 {
    const LIMIT: f64 = (1 << 30) as f64;
    const NO_FRACTION: f64 = 6_755_399_441_055_744.0;
    let position = (position_px * SUBPIXELS as f64).clamp(-LIMIT, LIMIT);
    (position + NO_FRACTION).to_bits() as i32
}
