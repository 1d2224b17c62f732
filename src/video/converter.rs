//! From a decoder's pictures to frames: blue, green, red, square pixels, upright.

use ffmpeg_the_third::{Frame, ffi};
use opencv::core::{self, CV_8UC3, Mat, MatTrait, MatTraitConst, Rect, Scalar};

use super::bgr::part_to_bgr;
use super::ffmpeg::{Picture, PictureFacts};
use super::on_demand::Checked;
use super::placement::{Placement, Size};
use super::scaler::{Planes, SPARE_ROWS, Scaler, Target, row_pixels, sides, to_bgr};
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
            let planes = Planes::of(source);
            let is_like_parts = from == to && self.checked.may_be_partial(source, from);
            // SAFETY: the source has its own size, or what `holds` has checked, and the frame has
            // just got room.
            return unsafe {
                match is_like_parts {
                    true => part_to_bgr(&mut self.scaler, planes, from, target),
                    false => to_bgr(&mut self.scaler, planes, from, to, target),
                }
            };
        }
        make_bgr(&mut self.bgr.frame, sides(to)?)?;
        let target = Target::of_picture(&self.bgr);
        // SAFETY: as above; FFmpeg has just given the target memory.
        unsafe { to_bgr(&mut self.scaler, Planes::of(source), from, to, target)? };
        // SAFETY: `lay` reads it, and it goes at the end of this function.
        let stored = unsafe { as_mat(&self.bgr, placement.scaled)? };
        lay(&stored, placement, &mut self.upright, frame).map_err(|e| e.message)
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
