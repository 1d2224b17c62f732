//! Four pixels at once, on processors with AVX2.

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_and_si128, _mm_cvtsi128_si32, _mm_extract_epi32,
    _mm_or_si128, _mm_prefetch, _mm_set_epi8, _mm_set_epi32, _mm_set1_epi32, _mm_shuffle_epi8,
    _mm_slli_epi32, _mm_sub_epi32, _mm_unpacklo_epi64, _mm256_add_epi32, _mm256_castsi128_si256,
    _mm256_castsi256_si128, _mm256_cvtepu32_epi64, _mm256_extracti128_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_packs_epi32, _mm256_packus_epi16, _mm256_permutevar8x32_epi32,
    _mm256_set_epi64x, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setr_epi32, _mm256_shuffle_epi8,
    _mm256_srli_epi32, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

use super::sampling::{
    Border, Positions, ROUNDING, Raster, SUBPIXEL_BITS, SUBPIXEL_MASK, SUBPIXELS, TAP_BYTES,
    WEIGHT_BITS, interpolate, sample_by,
};
use crate::image::BgrView;
use crate::pose::roi::Region;

/// Pixels that are read at once.
const PIXELS: usize = 4;

/// Whether this processor can.
pub fn is_there() -> bool {
    is_x86_feature_detected!("avx2")
}

/// See [`super::sample`], whose results these are.
#[target_feature(enable = "avx2")]
pub fn sample(
    image: BgrView<'_>,
    region: &Region,
    raster: Raster,
    border: Border,
    write: impl FnMut(usize, [&[u8]; 3]),
) {
    sample_by(
        image,
        region,
        raster,
        border,
        write,
        |image, positions, border, channels| {
            interpolate_row(image, positions, border, channels);
        },
    );
}

/// See [`super::sampling::interpolate_row`].
#[target_feature(enable = "avx2")]
fn interpolate_row(
    image: BgrView<'_>,
    [positions, next]: [&Positions; 2],
    border: Border,
    [red, green, blue]: &mut [Vec<u8>; 3],
) {
    let Positions { xs, ys } = positions;
    fetch(image, next);
    // The positions lie on a line, so that those well inside follow one another.
    let (last_x, last_y) = (image.width() as i32 - 2, image.height() as i32 - 1);
    // Three pixels to the right of the first there are, so that a word is read whole.
    let is_inside = |i: &usize| {
        let (x, y) = (xs[*i] >> SUBPIXEL_BITS, ys[*i] >> SUBPIXEL_BITS);
        x >= 0 && y >= 0 && x < last_x && y < last_y
    };
    let first = (0..xs.len()).find(is_inside).unwrap_or(xs.len());
    let last = (first..xs.len()).rfind(is_inside).map_or(first, |i| i + 1);
    let wide = first..first + (last - first) / PIXELS * PIXELS;
    for i in (0..wide.start).chain(wide.end..xs.len()) {
        [blue[i], green[i], red[i]] = interpolate(image, [xs[i], ys[i]], border);
    }
    for i in wide.step_by(PIXELS) {
        let at = i..i + PIXELS;
        let positions = [&xs[at.clone()], &ys[at.clone()]]
            .map(|values| std::array::from_fn(|pixel| values[pixel]));
        let colours = interpolate_four(image, positions);
        for (channel, values) in [&mut *blue, green, red].into_iter().zip(colours) {
            channel[at.clone()].copy_from_slice(&values);
        }
    }
}

/// Asks for the pixels of a row before they are needed. Rows of a turned region go through as many of
/// the picture's, so that the processor does not see what comes next.
#[target_feature(enable = "avx2")]
fn fetch(image: BgrView<'_>, Positions { xs, ys }: &Positions) {
    let (first, stride) = (image.data().as_ptr(), image.stride() as isize);
    for (x, y) in xs.iter().zip(ys) {
        let [x, y] = [x, y].map(|value| (value >> SUBPIXEL_BITS) as isize);
        let at = first.wrapping_offset(y.wrapping_mul(stride).wrapping_add(3 * x));
        // A hint: addresses where nothing is are ignored.
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
        _mm_prefetch::<_MM_HINT_T0>(at.wrapping_offset(stride).cast());
    }
}

/// Blue, green and red of four positions in 1/32 pixel, all of them inside the picture with the three
/// pixels to the right of theirs, and the row below.
#[target_feature(enable = "avx2")]
fn interpolate_four(image: BgrView<'_>, [xs, ys]: [[i32; PIXELS]; 2]) -> [[u8; PIXELS]; 3] {
    let stride = image.stride();
    let word = |at: usize| {
        let bytes = image.data()[at..at + TAP_BYTES].first_chunk();
        i64::from_le_bytes(*bytes.expect("as many bytes"))
    };
    let mut words = [[0; PIXELS]; 2];
    for pixel in 0..PIXELS {
        let [x, y] = [xs[pixel], ys[pixel]].map(|value| (value >> SUBPIXEL_BITS) as usize);
        let top = y * stride + 3 * x;
        [words[0][pixel], words[1][pixel]] = [word(top), word(top + stride)];
    }
    let [a, b] = [xs, ys].map(|[p, q, r, s]| {
        _mm_and_si128(_mm_set_epi32(s, r, q, p), _mm_set1_epi32(SUBPIXEL_MASK))
    });
    // Two weights of 8 bits each for whoever is left and right, of 16 bits above and below.
    let weights = |fraction: __m128i, shifted: __m128i| {
        _mm_or_si128(
            _mm_sub_epi32(_mm_set1_epi32(SUBPIXELS as i32), fraction),
            shifted,
        )
    };
    let along = four_times(weights(a, _mm_slli_epi32::<8>(a)));
    let across = _mm256_castsi128_si256(weights(b, _mm_slli_epi32::<16>(b)));
    let [upper, lower] = words.map(|[p, q, r, s]| {
        let beside = beside_each_other(_mm256_set_epi64x(s, r, q, p));
        _mm256_maddubs_epi16(beside, along)
    });
    // Of two pixels each: a sum of all four for every channel.
    let mean = |rows: __m256i, weights: __m256i| {
        let sum = _mm256_madd_epi16(rows, weights);
        let rounding = _mm256_set1_epi32(ROUNDING as i32);
        _mm256_srli_epi32::<{ WEIGHT_BITS as i32 }>(_mm256_add_epi32(sum, rounding))
    };
    let even = _mm256_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2);
    let odd = _mm256_setr_epi32(1, 1, 1, 1, 3, 3, 3, 3);
    let first = mean(
        _mm256_unpacklo_epi16(upper, lower),
        _mm256_permutevar8x32_epi32(across, even),
    );
    let second = mean(
        _mm256_unpackhi_epi16(upper, lower),
        _mm256_permutevar8x32_epi32(across, odd),
    );
    let wide = _mm256_packs_epi32(first, second);
    let narrow = _mm256_packus_epi16(wide, wide);
    let pixels = _mm_unpacklo_epi64(
        _mm256_castsi256_si128(narrow),
        _mm256_extracti128_si256::<1>(narrow),
    );
    let by_channel = _mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    let channels = _mm_shuffle_epi8(pixels, by_channel);
    [
        _mm_cvtsi128_si32(channels),
        _mm_extract_epi32::<1>(channels),
        _mm_extract_epi32::<2>(channels),
    ]
    .map(i32::to_le_bytes)
}

/// Two pixels' channels in turn, left and right beside each other; in each of four words.
#[target_feature(enable = "avx2")]
fn beside_each_other(words: __m256i) -> __m256i {
    let order = _mm256_setr_epi8(
        0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9, 12, 10, 13, -1, -1, 0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9,
        12, 10, 13, -1, -1,
    );
    _mm256_shuffle_epi8(words, order)
}

/// The lower 16 bits of each number, four times.
#[target_feature(enable = "avx2")]
fn four_times(numbers: __m128i) -> __m256i {
    let order = _mm256_setr_epi8(
        0, 1, 0, 1, 0, 1, 0, 1, 8, 9, 8, 9, 8, 9, 8, 9, 0, 1, 0, 1, 0, 1, 0, 1, 8, 9, 8, 9, 8, 9,
        8, 9,
    );
    _mm256_shuffle_epi8(_mm256_cvtepu32_epi64(numbers), order)
}
