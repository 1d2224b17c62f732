//! Eight pixels at once, on processors with AVX2.

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_castpd_si128, _mm_castsi128_pd, _mm_loadh_pd,
    _mm_loadl_epi64, _mm_prefetch, _mm_storeh_pd, _mm_storel_epi64, _mm256_add_epi32,
    _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epi32, _mm256_min_epi32, _mm256_min_epu32,
    _mm256_movemask_epi8, _mm256_mullo_epi32, _mm256_or_si256, _mm256_packs_epi32,
    _mm256_packus_epi16, _mm256_permutevar8x32_epi32, _mm256_set_m128i, _mm256_set1_epi32,
    _mm256_setr_epi8, _mm256_setr_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_shuffle_epi32, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256,
    _mm256_sub_epi32, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};
use std::ops::Range;

use super::sampling::{
    Border, Positions, ROUNDING, Raster, SUBPIXEL_BITS, SUBPIXELS, WEIGHT_BITS, Words, inside,
    interpolate, sample_by,
};
use crate::image::BgrView;
use crate::pose::roi::Region;

/// Pixels that are read at once.
const PIXELS: usize = 8;
/// Of so many pixels one is asked for before it is needed; those between are mostly beside it.
const FETCHED: usize = 2;

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
    let wide = match Extent::of(image) {
        Some(extent) => {
            fetch(image, extent, next);
            let wide = chunks_inside(image, positions, border);
            let [xs, ys] = [xs, ys].map(|values| values[wide.clone()].as_chunks().0);
            let positions = xs.iter().zip(ys);
            let [blue, green, red] = [&mut *blue, green, red]
                .map(|values| values[wide.clone()].as_chunks_mut().0.iter_mut());
            for ((xs, ys), ((blue, green), red)) in positions.zip(blue.zip(green).zip(red)) {
                let colours = [blue, green, red];
                if let Err(colours) = interpolate_eight(image, extent, [xs, ys], colours) {
                    one_by_one(image, [xs, ys], border, colours);
                }
            }
            wide
        }
        None => 0..0,
    };
    for i in (0..wide.start).chain(wide.end..xs.len()) {
        [blue[i], green[i], red[i]] = interpolate(image, [xs[i], ys[i]], border);
    }
}

/// The same where eight at once are not possible.
#[cold]
#[inline(never)]
fn one_by_one(
    image: BgrView<'_>,
    [xs, ys]: [&[i32; PIXELS]; 2],
    border: Border,
    [blue, green, red]: [&mut [u8; PIXELS]; 3],
) {
    for pixel in 0..PIXELS {
        let position = [xs[pixel], ys[pixel]];
        [blue[pixel], green[pixel], red[pixel]] = interpolate(image, position, border);
    }
}

/// The positions that can be read eight at once.
fn chunks_inside(image: BgrView<'_>, positions: &Positions, border: Border) -> Range<usize> {
    let inside = inside(image, positions, border);
    let chunks = inside.len() / PIXELS;
    inside.start..inside.start + chunks * PIXELS
}

/// Numbers of a picture, in all lanes.
#[derive(Clone, Copy)]
struct Extent {
    /// The last position along each side, in 1/32 pixel.
    last: [__m256i; 2],
    /// The last pixel that another one follows.
    last_of_two: [__m256i; 2],
    stride: __m256i,
    /// The last place that a row and a word follow.
    last_place: __m256i,
}

impl Extent {
    /// `None` for pictures that cannot be read so.
    #[target_feature(enable = "avx2")]
    fn of(image: BgrView<'_>) -> Option<Self> {
        let Words {
            last_px: [x, y],
            last_place,
        } = Words::of(image)?;
        let of_sides = |[x, y]: [i32; 2]| [_mm256_set1_epi32(x), _mm256_set1_epi32(y)];
        Some(Self {
            last: of_sides([x << SUBPIXEL_BITS, y << SUBPIXEL_BITS]),
            last_of_two: of_sides([x - 1, y - 1]),
            stride: _mm256_set1_epi32(image.stride() as i32),
            last_place: _mm256_set1_epi32(last_place),
        })
    }
}

/// Asks for the pixels of a row before they are needed. Rows of a turned region go through as
/// many of the picture's, so that the processor does not see what comes next.
#[target_feature(enable = "avx2")]
#[inline]
fn fetch(image: BgrView<'_>, extent: Extent, Positions { xs, ys }: &Positions) {
    let (first, stride) = (image.data().as_ptr(), image.stride());
    for (xs, ys) in xs.as_chunks().0.iter().zip(ys.as_chunks().0) {
        let places = numbers(Taps::at([xs, ys], extent).places);
        for place in places.iter().step_by(FETCHED) {
            let at = first.wrapping_add(*place as usize);
            // A hint: addresses where nothing is are ignored.
            _mm_prefetch::<_MM_HINT_T0>(at.cast());
            _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(stride).cast());
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn numbers(register: __m256i) -> [u32; PIXELS] {
    let mut numbers = [0; PIXELS];
    // SAFETY: writes as many numbers as there are.
    unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), register) };
    numbers
}

/// Where four pixels around each of eight positions begin in a picture's bytes, and how far the
/// positions are from the first, in 1/32 of the way to the next: 0 to 32.
struct Taps {
    places: __m256i,
    fractions: [__m256i; 2],
}

impl Taps {
    /// Positions outside the picture are those on its edge.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn at(positions: [&[i32; PIXELS]; 2], extent: Extent) -> Self {
        let along = |side: usize| {
            // SAFETY: reads as many numbers as there are.
            let position = unsafe { _mm256_loadu_si256(positions[side].as_ptr().cast()) };
            let position = _mm256_max_epi32(position, _mm256_setzero_si256());
            let position = _mm256_min_epi32(position, extent.last[side]);
            let pixel = _mm256_srli_epi32::<{ SUBPIXEL_BITS as i32 }>(position);
            let pixel = _mm256_min_epi32(pixel, extent.last_of_two[side]);
            let start = _mm256_slli_epi32::<{ SUBPIXEL_BITS as i32 }>(pixel);
            (pixel, _mm256_sub_epi32(position, start))
        };
        let ((column, x_fraction), (row, y_fraction)) = (along(0), along(1));
        let along_row = _mm256_add_epi32(column, _mm256_add_epi32(column, column));
        let to_row = _mm256_mullo_epi32(row, extent.stride);
        Self {
            places: _mm256_add_epi32(along_row, to_row),
            fractions: [x_fraction, y_fraction],
        }
    }
}

/// Blue, green and red of eight positions in 1/32 pixel. Gives the latter back, and reads
/// nothing, where that would be beyond the picture's last byte.
#[target_feature(enable = "avx2")]
#[inline]
fn interpolate_eight<'c>(
    image: BgrView<'_>,
    extent: Extent,
    positions: [&[i32; PIXELS]; 2],
    colours: [&'c mut [u8; PIXELS]; 3],
) -> Result<(), [&'c mut [u8; PIXELS]; 3]> {
    let (data, stride) = (image.data(), image.stride());
    let Taps {
        places,
        fractions: [a, b],
    } = Taps::at(positions, extent);
    let within = _mm256_cmpeq_epi32(_mm256_min_epu32(places, extent.last_place), places);
    if _mm256_movemask_epi8(within) != -1 {
        return Err(colours);
    }
    let places = numbers(places);
    // Words of two pixels for each, so ordered that results stand in their order.
    let words = |below: usize, [p, q, r, s]: [usize; 4]| {
        // SAFETY: all places are followed by a row and a word, as was looked at.
        let at = |pixel: usize| unsafe { data.as_ptr().add(places[pixel] as usize + below) };
        unsafe { _mm256_set_m128i(two_words(at(r), at(s)), two_words(at(p), at(q))) }
    };
    let rest = |fraction: __m256i| _mm256_sub_epi32(_mm256_set1_epi32(SUBPIXELS as i32), fraction);
    // Two weights of 8 bits each for whoever is left and right, of 16 bits above and below.
    let along = _mm256_or_si256(rest(a), _mm256_slli_epi32::<8>(a));
    let across = _mm256_or_si256(rest(b), _mm256_slli_epi32::<16>(b));
    let (pixels, others) = ([0, 1, 4, 5], [2, 3, 6, 7]);
    let first = mix(
        [words(0, pixels), words(stride, pixels)],
        four_times::<0>(along),
        [
            _mm256_shuffle_epi32::<0b00_00_00_00>(across),
            _mm256_shuffle_epi32::<0b01_01_01_01>(across),
        ],
    );
    let second = mix(
        [words(0, others), words(stride, others)],
        four_times::<8>(along),
        [
            _mm256_shuffle_epi32::<0b10_10_10_10>(across),
            _mm256_shuffle_epi32::<0b11_11_11_11>(across),
        ],
    );
    // Four pixels in each half of the register, then their channels, then eight values of each.
    let by_channel = _mm256_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10,
        14, 3, 7, 11, 15,
    );
    let channels = _mm256_shuffle_epi8(_mm256_packus_epi16(first, second), by_channel);
    let channels = _mm256_permutevar8x32_epi32(channels, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    let two = _mm256_castsi256_si128(channels);
    let third = _mm256_extracti128_si256::<1>(channels);
    let [blue, green, red] = colours.map(|values| values.as_mut_ptr());
    // SAFETY: each is eight bytes.
    unsafe {
        _mm_storel_epi64(blue.cast(), two);
        _mm_storeh_pd(green.cast(), _mm_castsi128_pd(two));
        _mm_storel_epi64(red.cast(), third);
    }
    Ok(())
}

/// The means of four pixels each, of which there are words of an upper and a lower row, by weights
/// of 8 bits for whoever is left and right, and of 16 bits for the rows of pixels with even and with
/// odd numbers.
#[target_feature(enable = "avx2")]
#[inline]
fn mix([upper, lower]: [__m256i; 2], along: __m256i, [even, odd]: [__m256i; 2]) -> __m256i {
    let upper = _mm256_maddubs_epi16(beside_each_other(upper), along);
    let lower = _mm256_maddubs_epi16(beside_each_other(lower), along);
    // Of two pixels each: a sum of all four for every channel.
    _mm256_packs_epi32(
        mean(_mm256_unpacklo_epi16(upper, lower), even),
        mean(_mm256_unpackhi_epi16(upper, lower), odd),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn mean(rows: __m256i, weights: __m256i) -> __m256i {
    let sum = _mm256_madd_epi16(rows, weights);
    let rounding = _mm256_set1_epi32(ROUNDING as i32);
    _mm256_srli_epi32::<{ WEIGHT_BITS as i32 }>(_mm256_add_epi32(sum, rounding))
}

/// # Safety
/// Eight bytes can be read from each.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn two_words(low: *const u8, high: *const u8) -> __m128i {
    // SAFETY: as the caller says.
    unsafe {
        let low = _mm_castsi128_pd(_mm_loadl_epi64(low.cast()));
        _mm_castpd_si128(_mm_loadh_pd(low, high.cast()))
    }
}

/// Two pixels' channels in turn, left and right beside each other; in each of four words.
#[target_feature(enable = "avx2")]
#[inline]
fn beside_each_other(words: __m256i) -> __m256i {
    let order = _mm256_setr_epi8(
        0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9, 12, 10, 13, -1, -1, 0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9,
        12, 10, 13, -1, -1,
    );
    _mm256_shuffle_epi8(words, order)
}

/// The lower 16 bits of two numbers, four times each, the first of which begins at that byte; in
/// each half of the register.
#[target_feature(enable = "avx2")]
#[inline]
fn four_times<const BYTE: i8>(numbers: __m256i) -> __m256i {
    let [a, b, c, d] = const { [BYTE, BYTE + 1, BYTE + 4, BYTE + 5] };
    let order = _mm256_setr_epi8(
        a, b, a, b, a, b, a, b, c, d, c, d, c, d, c, d, a, b, a, b, a, b, a, b, c, d, c, d, c, d,
        c, d,
    );
    _mm256_shuffle_epi8(numbers, order)
}
