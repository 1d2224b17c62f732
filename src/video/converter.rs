//! From a decoder's pictures to frames: blue, green, red, square pixels, upright.

use ffmpeg_the_third::{Frame, ffi};
use opencv::core::{CV_8UC3, Mat, MatTraitConst, Rect, Scalar};

use super::ffmpeg::{Picture, PictureFacts};
use super::placement::{Placement, Size};
use super::tone::{self, ToneMapper};

/// Converts the pictures of one video. Keeps one picture in each of the forms that it goes through.
pub struct Converter {
    threads: usize,
    scaler: Scaler,
    bgr: Picture,
    tone_mapper: Option<ToneMapper>,
    upright: Mat,
}

/// libswscale's state; it is used again while the pictures stay the same.
struct Scaler(*mut ffi::SwsContext);

// SAFETY: the state is owned, and used by one thread at a time.
unsafe impl Send for Scaler {}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: it was made by libswscale, or is null.
        unsafe { ffi::sws_freeContext(self.0) };
    }
}

impl Converter {
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            scaler: Scaler(std::ptr::null_mut()),
            bgr: Picture::empty(),
            tone_mapper: None,
            upright: Mat::default(),
        }
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
        if tone::is_high_dynamic_range(facts.colors) {
            let mapped =
                ToneMapper::map(&mut self.tone_mapper, picture, facts.colors, self.threads)
                    .map_err(|e| format!("high dynamic range cannot be brought down: {e}"))?;
            to_bgr(
                &mut self.scaler,
                mapped,
                size,
                placement.scaled,
                &mut self.bgr,
            )?;
        } else if is_plain && holds(picture, facts.coded) {
            // Chroma at the lower and right edge is interpolated with what the codec stores beyond.
            to_bgr(
                &mut self.scaler,
                picture,
                facts.coded,
                facts.coded,
                &mut self.bgr,
            )?;
        } else {
            to_bgr(
                &mut self.scaler,
                picture,
                size,
                placement.scaled,
                &mut self.bgr,
            )?;
        }
        // SAFETY: `lay` reads it, and it goes at the end of this function.
        let stored = unsafe { as_mat(&self.bgr, placement.scaled)? };
        lay(&stored, placement, &mut self.upright, frame).map_err(|e| e.message)
    }
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
fn to_bgr(
    scaler: &mut Scaler,
    picture: &Picture,
    from: Size,
    to: Size,
    bgr: &mut Picture,
) -> Result<(), String> {
    let source = picture.raw();
    let side = |side: u32| i32::try_from(side).map_err(|_| "it is too large".to_owned());
    let (from, to) = ((side(from.0)?, side(from.1)?), (side(to.0)?, side(to.1)?));
    make_bgr(&mut bgr.frame, to)?;
    let target = bgr.raw();
    // SAFETY: the source holds `from` (its own size, or what `holds` has checked), the target was
    // made for `to`, and the state belongs to both formats or is null.
    let rows = unsafe {
        scaler.0 = ffi::sws_getCachedContext(
            scaler.0,
            from.0,
            from.1,
            ffi::AVPixelFormat(source.format),
            to.0,
            to.1,
            ffi::AVPixelFormat::BGR24,
            ffi::SWS_BICUBIC,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null(),
        );
        if scaler.0.is_null() {
            return Err("its pixel format cannot be converted".into());
        }
        ffi::sws_scale(
            scaler.0,
            source.data.as_ptr().cast(),
            source.linesize.as_ptr(),
            0,
            from.1,
            target.data.as_ptr(),
            target.linesize.as_ptr(),
        )
    };
    if rows == to.1 {
        Ok(())
    } else {
        Err("its pixels cannot be converted".into())
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
