//! libswscale: from a decoder's planes to blue, green, red, in memory as it wants to have it.

use std::ptr::null_mut;

use ffmpeg_the_third::ffi;
use opencv::core::{Mat, MatTrait, MatTraitConst};

use super::ffmpeg::Picture;
use super::placement::Size;

/// Bytes of a pixel: blue, green, red.
pub const PIXEL_BYTES: usize = 3;

/// Rows of a frame's memory that are never shown.
pub const SPARE_ROWS: u64 = 1;

/// Pixels from one row of a frame to the next.
pub fn row_pixels(width: u32) -> u64 {
    /// Three bytes each: rows begin at multiples of 32 bytes.
    const STEP: u64 = 32;
    u64::from(width).next_multiple_of(STEP)
}

/// Bytes from one row of a frame to the next.
pub fn row_bytes(width: u32) -> usize {
    PIXEL_BYTES * row_pixels(width) as usize
}

/// Pixels that a frame's memory holds, with those that are never shown.
pub fn frame_memory_pixels(width: u32, height: u32) -> u64 {
    row_pixels(width) * (u64::from(height) + SPARE_ROWS)
}

/// libswscale's state, and what it was made for: format, size before and after. It is used again
/// while the pictures stay the same.
pub struct Scaler {
    state: *mut ffi::SwsContext,
    made_for: Option<(i32, Size, Size)>,
}

// SAFETY: the state is owned, and used by one thread at a time.
unsafe impl Send for Scaler {}

impl Scaler {
    pub fn empty() -> Self {
        Self {
            state: null_mut(),
            made_for: None,
        }
    }

    /// The state for such pictures.
    fn made_for(
        &mut self,
        format: i32,
        from: Size,
        to: Size,
    ) -> Result<*mut ffi::SwsContext, String> {
        let wanted = Some((format, from, to));
        if self.made_for != wanted || self.state.is_null() {
            let ((from_width, from_height), (to_width, to_height)) = (sides(from)?, sides(to)?);
            self.made_for = wanted;
            // SAFETY: the state was made by libswscale, which frees it, or is null.
            self.state = unsafe {
                ffi::sws_getCachedContext(
                    self.state,
                    from_width,
                    from_height,
                    ffi::AVPixelFormat(format),
                    to_width,
                    to_height,
                    ffi::AVPixelFormat::BGR24,
                    ffi::SWS_BICUBIC,
                    null_mut(),
                    null_mut(),
                    std::ptr::null(),
                )
            };
        }
        match self.state.is_null() {
            true => Err("its pixel format cannot be converted".into()),
            false => Ok(self.state),
        }
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: it was made by libswscale, or is null.
        unsafe { ffi::sws_freeContext(self.state) };
    }
}

/// A picture's planes as they are or from some pixel on, and the bytes from row to row of each.
#[derive(Clone, Copy)]
pub struct Planes {
    pub format: i32,
    first: [*const u8; 4],
    stride_bytes: [i32; 4],
}

impl Planes {
    pub fn of(picture: &Picture) -> Self {
        let raw = picture.raw();
        Self {
            format: raw.format,
            first: std::array::from_fn(|plane| raw.data[plane].cast_const()),
            stride_bytes: std::array::from_fn(|plane| raw.linesize[plane]),
        }
    }

    /// Asks the processor for the beginning of so many rows of a picture of 4:2:0, from the pixel
    /// in column `x` and row `y` on: for 64 bytes of each where rows begin as vector instructions
    /// want it.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn fetch(&self, x: usize, y: usize, rows: usize) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for (plane, shift) in [(0, 0), (1, 1), (2, 1)] {
            for row in y >> shift..(y + rows) >> shift {
                let offset = row * self.stride_bytes[plane] as usize + (x >> shift);
                let at = self.first[plane].wrapping_add(offset);
                // SAFETY: a hint, which all these processors have; addresses where nothing is are
                // ignored.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
            }
        }
    }

    /// The same from the pixel in column `x` and row `y` on, both even.
    ///
    /// # Safety
    /// The picture is of 4:2:0 in three planes of bytes with strides above 0, and has such a pixel.
    pub unsafe fn moved(self, x: usize, y: usize) -> Self {
        // SAFETY: as the caller says.
        let [luma, blue, red] = unsafe { self.places(x, y) };
        Self {
            first: [luma, blue, red, std::ptr::null()],
            ..self
        }
    }

    /// Where the pixel in column `x` and row `y`, both even, has its luma and its chroma of blue
    /// and red.
    ///
    /// # Safety
    /// As [`Self::moved`].
    pub unsafe fn places(&self, x: usize, y: usize) -> [*const u8; 3] {
        [(0, x, y), (1, x / 2, y / 2), (2, x / 2, y / 2)].map(|(plane, x, y)| {
            let offset = y * self.stride_bytes[plane] as usize + x;
            // SAFETY: the caller says that the picture has it.
            unsafe { self.first[plane].add(offset) }
        })
    }

    /// From one row of luma to the next.
    #[cfg(target_arch = "x86_64")]
    pub fn luma_stride_bytes(&self) -> usize {
        self.stride_bytes[0] as usize
    }
}

/// Memory that pixels of BGR are written to: the first one's place, and bytes from row to row.
pub struct Target {
    pub first: *mut u8,
    pub stride_bytes: i32,
}

impl Target {
    pub fn of_picture(bgr: &Picture) -> Self {
        let raw = bgr.raw();
        Self {
            first: raw.data[0],
            stride_bytes: raw.linesize[0],
        }
    }

    pub fn of_frame(frame: &mut Mat) -> Result<Self, String> {
        let stride_bytes = frame.step1(0).map_err(|e| e.message)?;
        Ok(Self {
            first: frame.data_mut(),
            stride_bytes: i32::try_from(stride_bytes).map_err(|_| "it is too large".to_owned())?,
        })
    }
}

/// Converts the upper left `from` of a picture to `to` pixels of BGR.
///
/// Coefficients are those of BT.601, whatever the picture's own are; the encoder of annotated
/// videos goes the same way back.
///
/// # Errors
/// The reason, when libswscale cannot.
///
/// # Safety
/// The source has `from` pixels, in its memory at least, and the target memory for `to`, with as
/// much behind it as [`frame_memory_pixels`] counts, or as FFmpeg gives its own pictures.
pub unsafe fn to_bgr(
    scaler: &mut Scaler,
    source: Planes,
    from: Size,
    to: Size,
    target: Target,
) -> Result<(), String> {
    let state = scaler.made_for(source.format, from, to)?;
    let (from, to) = (sides(from)?, sides(to)?);
    let (planes, strides) = (
        [target.first, null_mut(), null_mut(), null_mut()],
        [target.stride_bytes, 0, 0, 0],
    );
    // SAFETY: as the caller says; the state was made for both.
    let rows = unsafe {
        ffi::sws_scale(
            state,
            source.first.as_ptr(),
            source.stride_bytes.as_ptr(),
            0,
            from.1,
            planes.as_ptr(),
            strides.as_ptr(),
        )
    };
    if rows == to.1 {
        Ok(())
    } else {
        Err("its pixels cannot be converted".into())
    }
}

/// Width and height as the libraries count them.
pub fn sides((width, height): Size) -> Result<(i32, i32), String> {
    let side = |side: u32| i32::try_from(side).map_err(|_| "it is too large".to_owned());
    Ok((side(width)?, side(height)?))
}
