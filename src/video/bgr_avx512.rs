//! From planes of 4:2:0 to blue, green, red, 64 pixels at once, on processors with AVX-512.
//!
//! The results are those of libswscale on x86, to the bit, since OpenCV's frames come from there
//! and landmarks react to single levels. What libswscale does is its own affair, in each version
//! and on each processor: [`BgrKernel::of`] tries all pairs of luma and chroma, and
//! [`super::on_demand::Checked`] each size.

use std::arch::x86_64::{
    __m512i, __mmask32, __mmask64, _MM_HINT_T0, _mm_prefetch, _mm256_maskz_loadu_epi8,
    _mm512_add_epi16, _mm512_and_si512, _mm512_cvtepu8_epi16, _mm512_loadu_epi8,
    _mm512_mask_permutexvar_epi8, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_mulhi_epi16, _mm512_packus_epi16, _mm512_permutex2var_epi8, _mm512_set1_epi16,
    _mm512_slli_epi16, _mm512_srli_epi16, _mm512_sub_epi16,
};
use std::sync::LazyLock;

use ffmpeg_the_third::ffi;

use super::ffmpeg::Picture;
use super::placement::Size;
use super::scaler::{PIXEL_BYTES, Planes, Scaler, Target, to_bgr};

/// Pixels that are converted at once.
const PIXELS: usize = 64;
/// Blue, green and red, and registers of all of them.
const COLOURS: usize = PIXEL_BYTES;
/// What is needed so many rows later is asked for meanwhile. The decoder has left the picture a
/// while ago, so that most of it has to be brought from memory.
const ROWS_AHEAD: usize = 16;
/// Bits that values are moved to the left before they are multiplied, of which products keep the
/// upper half.
const HEADROOM_BITS: u32 = 3;
/// Kinds of luma and of each chroma.
const VALUES: usize = 256;

/// Converts pictures of one range of values.
///
/// Weights are those of ITU-R BT.601 in 1/65536, as libswscale has them, and rounded as it does it.
#[derive(Clone, Copy)]
pub struct BgrKernel {
    /// Of black, in 1/8.
    luma_offset: i16,
    luma: i16,
    blue_of_blue: i16,
    green_of_blue: i16,
    green_of_red: i16,
    red_of_red: i16,
}

impl BgrKernel {
    /// `None` for other formats than planes of 4:2:0 with 8 bits, on processors without the
    /// instructions, and where libswscale's results are others.
    pub fn of(format: i32) -> Option<Self> {
        static LIMITED: LazyLock<Option<BgrKernel>> = LazyLock::new(|| {
            let kernel = BgrKernel::new(false);
            kernel.is_that_of(ffi::AVPixelFormat::YUV420P)
        });
        static FULL: LazyLock<Option<BgrKernel>> = LazyLock::new(|| {
            let kernel = BgrKernel::new(true);
            kernel.is_that_of(ffi::AVPixelFormat::YUVJ420P)
        });
        match ffi::AVPixelFormat(format) {
            ffi::AVPixelFormat::YUV420P => *LIMITED,
            ffi::AVPixelFormat::YUVJ420P => *FULL,
            _ => None,
        }
    }

    fn new(is_full_range: bool) -> Self {
        const RED_OF_RED: i64 = 104_597;
        const BLUE_OF_BLUE: i64 = 132_201;
        const GREEN_OF_BLUE: i64 = -25_675;
        const GREEN_OF_RED: i64 = -53_279;
        /// Weights of 16 bits in 1/8192.
        const fn rounded(weight: i64) -> i16 {
            ((weight * (1 << 13) + (1 << 15)) >> 16) as i16
        }
        let of_chroma = |weight: i64| match is_full_range {
            true => rounded(weight * 224 / 255),
            false => rounded(weight),
        };
        let (black, luma) = match is_full_range {
            true => (0, 1 << 16),
            false => (16, (1 << 16) * 255 / 219),
        };
        Self {
            luma_offset: black << HEADROOM_BITS,
            luma: rounded(luma),
            blue_of_blue: of_chroma(BLUE_OF_BLUE),
            green_of_blue: of_chroma(GREEN_OF_BLUE),
            green_of_red: of_chroma(GREEN_OF_RED),
            red_of_red: of_chroma(RED_OF_RED),
        }
    }

    /// Tries all pairs of a luma and of what it is added to.
    fn is_that_of(self, format: ffi::AVPixelFormat) -> Option<Self> {
        if !is_there() {
            return None;
        }
        let side = 2 * VALUES as u32;
        let size = (side, side);
        let picture = pairs(format)?;
        let planes = Planes::of(&picture);
        let stride = COLOURS * side as usize;
        let [mut expected, mut made] = [(); 2].map(|()| vec![0; stride * (side as usize + 1)]);
        let [theirs, ours] = [&mut expected, &mut made].map(|bytes| Target {
            first: bytes.as_mut_ptr(),
            stride_bytes: stride as i32,
        });
        // SAFETY: the picture has that size, both targets have a row more, and the instructions
        // are there.
        unsafe {
            to_bgr(&mut Scaler::empty(), planes, size, size, theirs).ok()?;
            self.convert(planes, size, ours);
        }
        let count = stride * side as usize;
        (expected[..count] == made[..count]).then_some(self)
    }

    /// Converts so many pixels, in an even number of rows.
    ///
    /// # Safety
    /// The planes are of the format that the kernel is of, and have so many pixels; so has the
    /// target.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub unsafe fn convert(self, planes: Planes, (width, height): Size, target: Target) {
        let (width, height) = (width as usize, height as usize);
        let stride = target.stride_bytes as usize;
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(PIXELS) {
                let pixels = PIXELS.min(width - x);
                let to = target.first.wrapping_add(y * stride + COLOURS * x);
                planes.fetch(x, y + ROWS_AHEAD, 2);
                fetch(to.wrapping_add(ROWS_AHEAD * stride), stride);
                // SAFETY: two rows of so many pixels are in the planes and in the target.
                unsafe {
                    let [luma, blue, red] = planes.places(x, y);
                    let chroma = self.chroma([blue, red], pixels);
                    self.row(luma, chroma, pixels, to);
                    let below = luma.add(planes.luma_stride_bytes());
                    self.row(below, chroma, pixels, to.add(stride));
                }
            }
        }
    }

    /// What chroma adds to blue, green and red of each two pixels.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    #[inline]
    unsafe fn chroma(self, [blue, red]: [*const u8; 2], pixels: usize) -> [__m512i; COLOURS] {
        let count = pixels.div_ceil(2);
        // SAFETY: as many values are there.
        let [blue, red] = unsafe { [chroma_values(blue, count), chroma_values(red, count)] };
        [
            weighted(blue, self.blue_of_blue),
            _mm512_add_epi16(
                weighted(blue, self.green_of_blue),
                weighted(red, self.green_of_red),
            ),
            weighted(red, self.red_of_red),
        ]
    }

    /// Pixels beside each other; no more is read or written.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    #[inline]
    unsafe fn row(self, luma: *const u8, chroma: [__m512i; COLOURS], pixels: usize, to: *mut u8) {
        let there = (u64::MAX >> (PIXELS - pixels)) as __mmask64;
        // SAFETY: as many values are there as are read.
        let luma = unsafe { _mm512_maskz_loadu_epi8(there, luma.cast()) };
        // Of each two pixels, which have their chroma in common, the left and the right one.
        let luma = [
            self.luma(_mm512_and_si512(luma, _mm512_set1_epi16(0xff))),
            self.luma(_mm512_srli_epi16::<8>(luma)),
        ];
        let blue = both(luma, chroma[0]);
        let green = both(luma, chroma[1]);
        let red = both(luma, chroma[2]);
        for (register, order) in ORDERS.iter().enumerate() {
            let bytes = (COLOURS * pixels).saturating_sub(PIXELS * register);
            if bytes == 0 {
                break;
            }
            let there = u64::MAX >> (PIXELS - bytes.min(PIXELS));
            // SAFETY: orders are 64 bytes, and no more is written than there are pixels.
            unsafe {
                let of_both = _mm512_loadu_epi8(order.blue_green.as_ptr());
                let of_red = _mm512_loadu_epi8(order.red.as_ptr());
                let values = _mm512_permutex2var_epi8(blue, of_both, green);
                let values = _mm512_mask_permutexvar_epi8(values, order.is_red, of_red, red);
                _mm512_mask_storeu_epi8(to.add(PIXELS * register).cast(), there, values);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn luma(self, values: __m512i) -> __m512i {
        let values = _mm512_slli_epi16::<HEADROOM_BITS>(values);
        let values = _mm512_sub_epi16(values, _mm512_set1_epi16(self.luma_offset));
        weighted(values, self.luma)
    }
}

/// So many values of one plane, grey being 0.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
unsafe fn chroma_values(from: *const u8, count: usize) -> __m512i {
    const GREY: i16 = 128 << HEADROOM_BITS;
    let there = (u32::MAX >> (PIXELS / 2 - count)) as __mmask32;
    // SAFETY: the caller says that they are there.
    let values = unsafe { _mm256_maskz_loadu_epi8(there, from.cast()) };
    let values = _mm512_slli_epi16::<HEADROOM_BITS>(_mm512_cvtepu8_epi16(values));
    _mm512_sub_epi16(values, _mm512_set1_epi16(GREY))
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn weighted(values: __m512i, weight: i16) -> __m512i {
    _mm512_mulhi_epi16(values, _mm512_set1_epi16(weight))
}

/// A colour's levels, of sixteen pixels after sixteen: of the left one of each two, then of the
/// right ones.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn both([left, right]: [__m512i; 2], chroma: __m512i) -> __m512i {
    let (left, right) = (
        _mm512_add_epi16(left, chroma),
        _mm512_add_epi16(right, chroma),
    );
    _mm512_packus_epi16(left, right)
}

/// Asks the processor for where two rows of pixels go.
#[inline]
fn fetch(to: *const u8, stride_bytes: usize) {
    for row in 0..2 {
        for register in 0..COLOURS {
            let at = to.wrapping_add(row * stride_bytes + PIXELS * register);
            // SAFETY: a hint; addresses where nothing is are ignored.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
        }
    }
}

/// Whether this processor has the instructions.
fn is_there() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
}

/// Where the bytes of a register of pixels come from.
struct Order {
    /// Of a register of blue, and of one of green behind it.
    blue_green: [i8; PIXELS],
    red: [i8; PIXELS],
    is_red: __mmask64,
}

/// Of registers as [`both`] gives them.
static ORDERS: [Order; COLOURS] = {
    const ORDER: Order = Order {
        blue_green: [0; PIXELS],
        red: [0; PIXELS],
        is_red: 0,
    };
    let mut orders = [ORDER; COLOURS];
    let mut byte = 0;
    while byte < COLOURS * PIXELS {
        let (pixel, colour) = (byte / COLOURS, byte % COLOURS);
        let from = pixel / 16 * 16 + pixel % 2 * 8 + pixel % 16 / 2;
        let order = &mut orders[byte / PIXELS];
        let at = byte % PIXELS;
        match colour {
            0 => order.blue_green[at] = from as i8,
            1 => order.blue_green[at] = (PIXELS + from) as i8,
            _ => {
                order.red[at] = from as i8;
                order.is_red |= 1 << at;
            }
        }
        byte += 1;
    }
    orders
};

/// A picture in which every chroma of blue meets every one of red, and each of both every luma.
fn pairs(format: ffi::AVPixelFormat) -> Option<Picture> {
    let mut picture = Picture::empty();
    // SAFETY: the picture is empty and owned. FFmpeg gives it buffers for its size, all rows of
    // which are written.
    unsafe {
        let raw = picture.frame.as_mut_ptr();
        (*raw).format = format.0;
        ((*raw).width, (*raw).height) = (2 * VALUES as i32, 2 * VALUES as i32);
        if ffi::av_frame_get_buffer(raw, 0) < 0 {
            return None;
        }
        let at = |plane: usize, x: usize, y: usize| {
            (*raw).data[plane].add(y * (*raw).linesize[plane] as usize + x)
        };
        for y in 0..VALUES {
            for x in 0..VALUES {
                *at(1, x, y) = x as u8;
                *at(2, x, y) = y as u8;
                // Over 256 rows and columns, each sum of both is every number.
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let luma = x + y + 64 * (2 * dy + dx);
                    *at(0, 2 * x + dx, 2 * y + dy) = luma as u8;
                }
            }
        }
    }
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_libswscale() {
        for format in [ffi::AVPixelFormat::YUV420P, ffi::AVPixelFormat::YUVJ420P] {
            assert_eq!(BgrKernel::of(format.0).is_some(), is_there(), "{format:?}");
        }
        assert!(BgrKernel::of(ffi::AVPixelFormat::NV12.0).is_none());
    }

    #[test]
    fn bytes_of_a_register_come_from_pixel_by_pixel() {
        let mut seen = Vec::new();
        for order in &ORDERS {
            for byte in 0..PIXELS {
                seen.push(match order.is_red >> byte & 1 {
                    1 => 128 + order.red[byte] as i32,
                    _ => i32::from(order.blue_green[byte] as u8),
                });
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..192).collect::<Vec<_>>());
    }
}
