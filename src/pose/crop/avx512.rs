//! Sixteen pixels at once, on processors with AVX-512 and its instructions for bytes (VBMI) and
//! for products of words (VNNI).

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, __mmask64, _MM_HINT_T0, _mm_castpd_si128, _mm_castsi128_pd,
    _mm_loadh_pd, _mm_loadl_epi64, _mm_prefetch, _mm_storeu_si128, _mm256_set_m128i,
    _mm512_add_epi32, _mm512_castsi256_si512, _mm512_castsi512_si128, _mm512_cmple_epu32_mask,
    _mm512_dpwssd_epi32, _mm512_extracti32x4_epi32, _mm512_inserti64x4, _mm512_loadu_epi8,
    _mm512_loadu_epi32, _mm512_maddubs_epi16, _mm512_mask_blend_epi8, _mm512_max_epi32,
    _mm512_min_epi32, _mm512_mullo_epi32, _mm512_or_si512, _mm512_permutex2var_epi8,
    _mm512_permutexvar_epi32, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
    _mm512_slli_epi32, _mm512_srli_epi32, _mm512_storeu_epi32, _mm512_sub_epi32,
    _mm512_unpackhi_epi16, _mm512_unpacklo_epi16,
};
use std::ops::Range;

use super::sampling::{
    Border, Positions, ROUNDING, Raster, SUBPIXEL_BITS, SUBPIXELS, WEIGHT_BITS, Words, inside,
    interpolate, interpolate_row, sample_by,
};
use crate::image::BgrView;
use crate::pose::roi::Region;

/// Pixels that are read at once.
const PIXELS: usize = 16;
/// Of so many pixels one is asked for before it is needed; those between are mostly beside it.
const FETCHED: usize = 2;
/// By so many bits sums are too large, so that what is kept of them is a byte.
const SPARE_BITS: u32 = 16 - WEIGHT_BITS;
/// Which byte of a sum that is.
const KEPT_BYTE: usize = 2;

/// Whether this processor can.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vnni")
}

/// See [`super::sample`], whose results these are.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
pub fn sample(
    image: BgrView<'_>,
    region: &Region,
    raster: Raster,
    border: Border,
    write: impl FnMut(usize, [&[u8]; 3]),
) {
    let Some(words) = Words::of(image) else {
        return sample_by(image, region, raster, border, write, interpolate_row);
    };
    let mut row = Row::default();
    let mut next_row = Row::default();
    let mut is_first = true;
    let read =
        |image: BgrView<'_>, [positions, next]: [&Positions; 2], border, channels: &mut _| {
            if std::mem::take(&mut is_first) {
                next_row.find(image, words, positions, border);
            }
            std::mem::swap(&mut row, &mut next_row);
            next_row.find(image, words, next, border);
            row.read(image, positions, border, channels);
        };
    sample_by(image, region, raster, border, write, read);
}

/// Where a row of positions reads a picture.
#[derive(Default)]
struct Row {
    /// The positions that are read sixteen at once.
    wide: Range<usize>,
    /// Of these.
    taps: Vec<Taps>,
}

/// Where four pixels around each of sixteen positions begin in a picture's bytes, and their
/// weights.
#[derive(Default)]
#[repr(align(64))]
struct Taps {
    places: [u32; PIXELS],
    /// Of the left and the right pixel, twice, in bytes.
    along: [u32; PIXELS],
    /// Of the upper and the lower row, in words.
    across: [u32; PIXELS],
    /// All of it can be read.
    is_there: bool,
}

impl Row {
    /// Finds the places, and asks the processor for what is there. Rows of a turned region go
    /// through as many of the picture's, so that it does not see what comes next.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
    #[inline]
    fn find(&mut self, image: BgrView<'_>, words: Words, positions: &Positions, border: Border) {
        let inside = inside(image, positions, border);
        let count = inside.len() / PIXELS * PIXELS;
        self.wide = inside.start..inside.start + count;
        let xs = positions.xs[self.wide.clone()].as_chunks::<PIXELS>().0;
        let ys = positions.ys[self.wide.clone()].as_chunks::<PIXELS>().0;
        let (first, stride) = (image.data().as_ptr(), image.stride());
        self.taps.resize_with(xs.len(), Taps::default);
        for (taps, positions) in self.taps.iter_mut().zip(xs.iter().zip(ys)) {
            taps.find(positions, words, stride);
            for place in taps.places.iter().step_by(FETCHED) {
                let at = first.wrapping_add(*place as usize);
                // A hint: addresses where nothing is are ignored.
                _mm_prefetch::<_MM_HINT_T0>(at.cast());
                _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(stride).cast());
            }
        }
    }

    /// Reads the picture into red, green and blue.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
    #[inline]
    fn read(
        &self,
        image: BgrView<'_>,
        Positions { xs, ys }: &Positions,
        border: Border,
        [red, green, blue]: &mut [Vec<u8>; 3],
    ) {
        let mut one_by_one = |pixels: Range<usize>| {
            for i in pixels {
                [blue[i], green[i], red[i]] = interpolate(image, [xs[i], ys[i]], border);
            }
        };
        one_by_one(0..self.wide.start);
        one_by_one(self.wide.end..xs.len());
        for (i, taps) in self.taps.iter().enumerate() {
            let first = self.wide.start + PIXELS * i;
            let pixels = first..first + PIXELS;
            if taps.is_there {
                let colours = taps.interpolate(image);
                store(_mm512_castsi512_si128(colours), &mut blue[pixels.clone()]);
                store(
                    _mm512_extracti32x4_epi32::<1>(colours),
                    &mut green[pixels.clone()],
                );
                store(_mm512_extracti32x4_epi32::<2>(colours), &mut red[pixels]);
            } else {
                for i in pixels {
                    [blue[i], green[i], red[i]] = interpolate(image, [xs[i], ys[i]], border);
                }
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(register: __m128i, values: &mut [u8]) {
    assert_eq!(values.len(), PIXELS);
    // SAFETY: writes as many as there are.
    unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), register) };
}

impl Taps {
    /// Positions outside the picture are those on its edge.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
    #[inline]
    fn find(&mut self, (xs, ys): (&[i32; PIXELS], &[i32; PIXELS]), words: Words, stride: usize) {
        let (column, a) = pixel_and_fraction(xs, words.last_px[0]);
        let (row, b) = pixel_and_fraction(ys, words.last_px[1]);
        let along_row = _mm512_add_epi32(column, _mm512_add_epi32(column, column));
        let to_row = _mm512_mullo_epi32(row, _mm512_set1_epi32(stride as i32));
        let places = _mm512_add_epi32(along_row, to_row);
        let last_place = _mm512_set1_epi32(words.last_place);
        let all = _mm512_set1_epi32(SUBPIXELS as i32);
        let along = _mm512_or_si512(_mm512_sub_epi32(all, a), _mm512_slli_epi32::<8>(a));
        let along = _mm512_or_si512(along, _mm512_slli_epi32::<16>(along));
        let across = _mm512_or_si512(_mm512_sub_epi32(all, b), _mm512_slli_epi32::<16>(b));
        let across = _mm512_slli_epi32::<SPARE_BITS>(across);
        self.is_there = _mm512_cmple_epu32_mask(places, last_place) == u16::MAX;
        // SAFETY: all are sixteen numbers.
        unsafe {
            _mm512_storeu_epi32(self.places.as_mut_ptr().cast(), places);
            _mm512_storeu_epi32(self.along.as_mut_ptr().cast(), along);
            _mm512_storeu_epi32(self.across.as_mut_ptr().cast(), across);
        }
    }

    /// Sixteen values of blue, of green and of red, one colour after the other.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
    #[inline]
    fn interpolate(&self, image: BgrView<'_>) -> __m512i {
        let first = image.data().as_ptr();
        let below = first.wrapping_add(image.stride());
        let (low, high) = self.places.split_at(PIXELS / 2);
        // SAFETY: all places are followed by a row and a word; the others are sixteen numbers.
        let (upper, lower, along, across) = unsafe {
            (
                [eight_words(first, low), eight_words(first, high)],
                [eight_words(below, low), eight_words(below, high)],
                _mm512_loadu_epi32(self.along.as_ptr().cast()),
                _mm512_loadu_epi32(self.across.as_ptr().cast()),
            )
        };
        // Of each eight pixels, those with even numbers and those with odd ones.
        let [a, b] = mix([upper[0], lower[0]], along, across, &OF_LOWER_HALF);
        let [c, d] = mix([upper[1], lower[1]], along, across, &OF_UPPER_HALF);
        // SAFETY: 64 bytes.
        let order = unsafe { _mm512_loadu_epi8(BY_COLOUR.as_ptr()) };
        let low = _mm512_permutex2var_epi8(a, order, b);
        let high = _mm512_permutex2var_epi8(c, order, d);
        _mm512_mask_blend_epi8(OF_HIGH, low, high)
    }
}

/// The last pixel that another one follows, at each position or before it, and how far the
/// position is from it, in 1/32 of the way to the next: 0 to 32.
#[target_feature(enable = "avx512f")]
#[inline]
fn pixel_and_fraction(positions: &[i32; PIXELS], last_px: i32) -> (__m512i, __m512i) {
    const BITS: u32 = SUBPIXEL_BITS;
    // SAFETY: reads as many numbers as there are.
    let position = unsafe { _mm512_loadu_epi32(positions.as_ptr()) };
    let position = _mm512_max_epi32(position, _mm512_setzero_si512());
    let position = _mm512_min_epi32(position, _mm512_set1_epi32(last_px << BITS));
    let pixel = _mm512_srli_epi32::<BITS>(position);
    let pixel = _mm512_min_epi32(pixel, _mm512_set1_epi32(last_px - 1));
    let start = _mm512_slli_epi32::<BITS>(pixel);
    (pixel, _mm512_sub_epi32(position, start))
}

/// # Safety
/// Eight bytes can be read from each of eight places on.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn eight_words(first: *const u8, places: &[u32]) -> __m512i {
    // SAFETY: as the caller says.
    unsafe {
        let low = four_words(first, places);
        let high = four_words(first, &places[4..]);
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    }
}

/// # Safety
/// As [`eight_words`], of four places.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn four_words(first: *const u8, places: &[u32]) -> __m256i {
    // SAFETY: as the caller says.
    unsafe { _mm256_set_m128i(two_words(first, &places[2..]), two_words(first, places)) }
}

/// # Safety
/// As [`eight_words`], of two places.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn two_words(first: *const u8, places: &[u32]) -> __m128i {
    // SAFETY: as the caller says.
    unsafe {
        let low = _mm_castsi128_pd(_mm_loadl_epi64(first.add(places[0] as usize).cast()));
        _mm_castpd_si128(_mm_loadh_pd(low, first.add(places[1] as usize).cast()))
    }
}

/// Which of sixteen numbers weigh eight pixels.
struct Half {
    along: [i32; PIXELS],
    /// Of pixels with even numbers, and of those with odd ones.
    across: [[i32; PIXELS]; 2],
}

static OF_LOWER_HALF: Half = Half::from(0);
static OF_UPPER_HALF: Half = Half::from(8);

impl Half {
    const fn from(first: i32) -> Self {
        let mut half = Self {
            along: [0; PIXELS],
            across: [[0; PIXELS]; 2],
        };
        let mut i = 0;
        while i < PIXELS {
            half.along[i] = first + i as i32 / 2;
            let even = first + i as i32 / 4 * 2;
            half.across[0][i] = even;
            half.across[1][i] = even + 1;
            i += 1;
        }
        half
    }
}

/// Four sums for each of eight pixels, of its colours and of nothing: of those with even numbers,
/// and of those with odd ones. The mean is a byte of it.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn mix([upper, lower]: [__m512i; 2], along: __m512i, across: __m512i, half: &Half) -> [__m512i; 2] {
    let along = chosen(along, &half.along);
    let upper = _mm512_maddubs_epi16(beside_each_other(upper), along);
    let lower = _mm512_maddubs_epi16(beside_each_other(lower), along);
    let rounding = _mm512_set1_epi32((ROUNDING << SPARE_BITS) as i32);
    let [even, odd] = &half.across;
    let (rows_of_even, rows_of_odd) = (
        _mm512_unpacklo_epi16(upper, lower),
        _mm512_unpackhi_epi16(upper, lower),
    );
    [
        _mm512_dpwssd_epi32(rounding, rows_of_even, chosen(across, even)),
        _mm512_dpwssd_epi32(rounding, rows_of_odd, chosen(across, odd)),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn chosen(numbers: __m512i, places: &[i32; PIXELS]) -> __m512i {
    // SAFETY: reads as many numbers as there are.
    let places = unsafe { _mm512_loadu_epi32(places.as_ptr()) };
    _mm512_permutexvar_epi32(places, numbers)
}

/// Two pixels' channels in turn, left and right beside each other; in each of eight words.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn beside_each_other(words: __m512i) -> __m512i {
    static ORDER: [i8; 64] = {
        const OF_TWO: [i8; 16] = [0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9, 12, 10, 13, -1, -1];
        let mut order = [0; 64];
        let mut i = 0;
        while i < order.len() {
            order[i] = OF_TWO[i % OF_TWO.len()];
            i += 1;
        }
        order
    };
    // SAFETY: 64 bytes.
    let order = unsafe { _mm512_loadu_epi8(ORDER.as_ptr()) };
    _mm512_shuffle_epi8(words, order)
}

/// Where the bytes of colours are in sums of pixels with even numbers, and of those with odd ones
/// behind them.
static BY_COLOUR: [i8; 64] = {
    let mut order = [0; 64];
    let mut i = 0;
    while i < 3 * PIXELS {
        let (colour, pixel) = (i / PIXELS, i % 8);
        let sum = pixel / 2 * 4 + colour;
        order[i] = (pixel % 2 * 64 + 4 * sum + KEPT_BYTE) as i8;
        i += 1;
    }
    order
};

/// Of sixteen pixels, the upper eight; of each colour.
const OF_HIGH: __mmask64 = 0xff00_ff00_ff00;
