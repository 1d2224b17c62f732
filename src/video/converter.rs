//! From a decoder's pictures to frames: blue, green, red, square pixels, upright.

use std::ptr::null_mut;

use ffmpeg_the_third::{Frame, ffi};
use opencv::core::{self, CV_8UC3, Mat, MatTrait, MatTraitConst, Rect, Scalar};

use super::ffmpeg::{Picture, PictureFacts};
use super::on_demand::Checked;
use super::placement::{Placement, Size};
use super::tone::{self, ToneMapper};

/// Converts the pictures of one video. Keeps one picture in each of the forms that it goes through.
pub struct Converter {
    threads: usize,
    scaler: Scaler,
    bgr: Picture,
    tone_mapper: Option<ToneMapper>,
    upright: Mat,
    checked: Checked,
}

/// libswscale's state, and what it was made for: format, size before and after. It is used again
/// while the pictures stay the same.
pub(super) struct Scaler {
    state: *mut ffi::SwsContext,
    made_for: Option<(i32, Size, Size)>,
}

// SAFETY: the state is owned, and used by one thread at a time.
unsafe impl Send for Scaler {}

impl Scaler {
    pub(super) fn empty() -> Self {
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

impl Converter {
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            scaler: Scaler::empty(),
            bgr: Picture::empty(),
            tone_mapper: None,
            upright: Mat::default(),
            checked: Checked::default(),
        }
    }

    /// What of a picture's memory is to be seen where a part of the picture is converted; `None`
    /// where only the whole can be, since it is scaled, turned, or of another kind.
    pub fn stored_if_partial(
        &mut self,
        picture: &Picture,
        facts: &PictureFacts,
        placement: &Placement,
    ) -> Option<Size> {
        let size = (facts.width, facts.height);
        let is_in_place = placement.scaled == size && placement.is_in_place();
        if !is_in_place || tone::is_high_dynamic_range(facts.colors) {
            return None;
        }
        let stored = match holds(picture, facts.coded) {
            true => facts.coded,
            false => size,
        };
        (self.checked.may_be_partial(picture, stored)).then_some(stored)
    }

    /// Makes a frame of a picture.
    ///
    /// # Errors
    /// The reason, when the picture is of a kind that cannot be converted.
    pub fn convert(
        &mut self,
        picture: &Picture,
        facts: &PictureFacts,
        placement: &Placement,
        frame: &mut Mat,
    ) -> Result<(), String> {
        let size = (facts.width, facts.height);
        let is_plain = placement.scaled == size;
        let (source, from, to) = if tone::is_high_dynamic_range(facts.colors) {
            let mapped =
                ToneMapper::map(&mut self.tone_mapper, picture, facts.colors, self.threads)
                    .map_err(|e| format!("high dynamic range cannot be brought down: {e}"))?;
            (mapped, size, placement.scaled)
        } else if is_plain && holds(picture, facts.coded) {
            // Chroma at the lower and right edge is interpolated with what the codec stores beyond.
            (picture, facts.coded, facts.coded)
        } else {
            (picture, size, placement.scaled)
        };
        if placement.is_in_place() {
            make_room(frame, to, placement.frame).map_err(|e| e.message)?;
            let target = Target::of_frame(frame)?;
            return to_bgr(&mut self.scaler, Planes::of(source), from, to, target);
        }
        make_bgr(&mut self.bgr.frame, sides(to)?)?;
        let target = Target::of_picture(&self.bgr);
        to_bgr(&mut self.scaler, Planes::of(source), from, to, target)?;
        // SAFETY: `lay` reads it, and it goes at the end of this function.
        let stored = unsafe { as_mat(&self.bgr, placement.scaled)? };
        lay(&stored, placement, &mut self.upright, frame).map_err(|e| e.message)
    }
}

/// A picture's planes as they are or from some pixel on, and the bytes from row to row of each.
#[derive(Clone, Copy)]
pub(super) struct Planes {
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

    /// Asks the processor for the beginning of so many rows of a picture of 4:2:0, from the pixel in
    /// column `x` and row `y` on: for 64 bytes of each where rows begin as vector instructions want it.
    #[cfg(target_arch = "x86_64")]
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
        let moved = |plane: usize, x: usize, y: usize| {
            let offset = y * self.stride_bytes[plane] as usize + x;
            // SAFETY: the caller says that the picture has it.
            unsafe { self.first[plane].add(offset) }
        };
        let [luma, blue, red] = [
            moved(0, x, y),
            moved(1, x / 2, y / 2),
            moved(2, x / 2, y / 2),
        ];
        Self {
            first: [luma, blue, red, std::ptr::null()],
            ..self
        }
    }
}

/// Memory that pixels of BGR are written to: the first one's place, and bytes from row to row.
pub(super) struct Target {
    pub first: *mut u8,
    pub stride_bytes: i32,
}

/// Bytes of a pixel: blue, green, red.
pub(super) const PIXEL_BYTES: usize = 3;

impl Target {
    fn of_picture(bgr: &Picture) -> Self {
        let raw = bgr.raw();
        Self {
            first: raw.data[0],
            stride_bytes: raw.linesize[0],
        }
    }

    fn of_frame(frame: &mut Mat) -> Result<Self, String> {
        let stride_bytes = frame.step1(0).map_err(|e| e.message)?;
        Ok(Self {
            first: frame.data_mut(),
            stride_bytes: i32::try_from(stride_bytes).map_err(|_| "it is too large".to_owned())?,
        })
    }
}

/// Gives `frame` memory for `stored` pixels, of which it shows the upper left `shown`, unless it has
/// that already. Rows begin where vector instructions want it; a row more takes what they write
/// beyond the last pixel.
fn make_room(frame: &mut Mat, stored: Size, shown: Size) -> opencv::Result<()> {
    let columns = row_pixels(stored.0) as i32;
    let rows = stored.1 as i32 + SPARE_ROWS as i32;
    let (shown_columns, shown_rows) = (shown.0 as i32, shown.1 as i32);
    let (mut whole, mut offset) = (core::Size::default(), core::Point::default());
    if frame.typ() == CV_8UC3 && !frame.empty() {
        frame.locate_roi(&mut whole, &mut offset)?;
    }
    let has_room = whole == core::Size::new(columns, rows)
        && frame.size()? == core::Size::new(shown_columns, shown_rows)
        && offset == core::Point::default();
    if !has_room {
        // SAFETY: whoever asks for room fills what is shown before anybody reads it.
        *frame = unsafe { Mat::new_rows_cols(rows, columns, CV_8UC3)? };
        frame.adjust_roi(0, shown_rows - rows, 0, shown_columns - columns)?;
    }
    Ok(())
}

/// Rows of a frame's memory that are never shown.
const SPARE_ROWS: u64 = 1;

/// Pixels from one row of a frame to the next.
fn row_pixels(width: u32) -> u64 {
    /// Three bytes each: rows begin at multiples of 32 bytes.
    const STEP: u64 = 32;
    u64::from(width).next_multiple_of(STEP)
}

/// Bytes from one row of a frame to the next.
pub(super) fn row_bytes(width: u32) -> usize {
    PIXEL_BYTES * row_pixels(width) as usize
}

/// Pixels that a frame's memory holds, with those that are never shown.
pub fn frame_memory_pixels(width: u32, height: u32) -> u64 {
    row_pixels(width) * (u64::from(height) + SPARE_ROWS)
}

/// Turns and mirrors a stored picture, and puts it in its place in the frame.
fn lay(
    stored: &Mat,
    placement: &Placement,
    upright: &mut Mat,
    frame: &mut Mat,
) -> opencv::Result<()> {
    let orientation = placement.orientation;
    if !placement.has_borders() {
        return orientation.apply(stored, frame);
    }
    orientation.apply(stored, upright)?;
    let (width, height) = (placement.frame.0 as i32, placement.frame.1 as i32);
    *frame = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(0.0))?;
    let area = Rect::new(
        placement.offset.0 as i32,
        placement.offset.1 as i32,
        upright.cols(),
        upright.rows(),
    );
    let mut part = Mat::roi_mut(frame, area)?;
    upright.copy_to(&mut part)
}

/// Whether a picture's memory holds rows and columns up to `size`.
fn holds(picture: &Picture, size: Size) -> bool {
    let frame = picture.raw();
    if size == (frame.width as u32, frame.height as u32) {
        return true;
    }
    let (Ok(width), Ok(height)) = (i32::try_from(size.0), i32::try_from(size.1)) else {
        return false;
    };
    // SAFETY: a decoded picture has the format that it says, and buffers behind all of its planes.
    unsafe {
        let format = ffi::AVPixelFormat(frame.format);
        let Some(description) = ffi::av_pix_fmt_desc_get(format).as_ref() else {
            return false;
        };
        (0..4).all(|plane| {
            let data = frame.data[plane as usize];
            if data.is_null() {
                return true;
            }
            let row_bytes = ffi::av_image_get_linesize(format, width, plane);
            let stride = frame.linesize[plane as usize];
            let is_chroma = plane == 1 || plane == 2;
            let shift = if is_chroma {
                i32::from(description.log2_chroma_h)
            } else {
                0
            };
            let rows = (height + (1 << shift) - 1) >> shift;
            let buffer = ffi::av_frame_get_plane_buffer(picture.frame.as_ptr().cast_mut(), plane);
            let Some(buffer) = buffer.as_ref() else {
                return false;
            };
            if row_bytes < 0 || stride < row_bytes || rows < 1 {
                return false;
            }
            let needed = stride as usize * (rows as usize - 1) + row_bytes as usize;
            data as usize + needed <= buffer.data as usize + buffer.size
        })
    }
}

/// Converts the upper left `from` of a picture to `to` pixels of BGR.
///
/// Coefficients are those of BT.601, whatever the picture's own are; the encoder of annotated
/// videos goes the same way back.
pub(super) fn to_bgr(
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
    // SAFETY: the source holds `from` (its own size, what `holds` has checked, or a part), the target
    // was made for `to`, and the state for both.
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
fn sides((width, height): Size) -> Result<(i32, i32), String> {
    let side = |side: u32| i32::try_from(side).map_err(|_| "it is too large".to_owned());
    Ok((side(width)?, side(height)?))
}

/// Gives `frame` memory for a BGR picture, unless it has it already.
fn make_bgr(frame: &mut Frame, (width, height): (i32, i32)) -> Result<(), String> {
    /// What vector instructions want rows to begin at a multiple of.
    const ALIGNMENT_BYTES: i32 = 32;
    // SAFETY: the frame is owned; it is emptied before it gets other memory.
    let made = unsafe {
        let raw = frame.as_mut_ptr();
        if (*raw).width == width && (*raw).height == height && !(*raw).data[0].is_null() {
            return Ok(());
        }
        ffi::av_frame_unref(raw);
        (*raw).format = ffi::AVPixelFormat::BGR24.0;
        (*raw).width = width;
        (*raw).height = height;
        ffi::av_frame_get_buffer(raw, ALIGNMENT_BYTES)
    };
    if made < 0 {
        return Err(format!("no memory for {width}x{height} pixels"));
    }
    Ok(())
}

/// The upper left `size` of a BGR picture, without a copy.
///
/// # Safety
/// The picture must neither change nor go while the matrix is there, and nobody may write to it.
unsafe fn as_mat(bgr: &Picture, size: Size) -> Result<Mat, String> {
    let frame = bgr.raw();
    let (columns, rows) = (size.0 as i32, size.1 as i32);
    if columns > frame.width || rows > frame.height || columns < 1 || rows < 1 {
        return Err("it has no pixels".into());
    }
    let stride = frame.linesize[0] as usize;
    // SAFETY: the picture has at least so many rows of at least so many pixels of three bytes.
    let mat = unsafe {
        Mat::new_rows_cols_with_data_unsafe(rows, columns, CV_8UC3, frame.data[0].cast(), stride)
    };
    mat.map_err(|e| e.message)
}
