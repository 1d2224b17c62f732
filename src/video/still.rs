//! One frame as the file of a picture.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, Rect, Size};
use opencv::imgproc;

use super::{DrawError, Frame};

/// Of 100; at this one, nobody sees the loss.
const JPEG_QUALITY: u8 = 95;

/// A file format of still pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// Without loss.
    Png,
    /// Smaller, with loss.
    Jpeg,
}

/// A part of a frame, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePart {
    /// Of the part's left edge.
    pub left: u32,
    /// Of the part's upper edge.
    pub top: u32,
    /// Above 0.
    pub width: u32,
    /// Above 0.
    pub height: u32,
}

impl Frame {
    /// A part of the frame, scaled to that width and height in pixels.
    ///
    /// # Errors
    /// When the part does not lie in the frame, or cannot be scaled.
    pub fn part(&self, part: FramePart, size_px: [u32; 2]) -> Result<Self, DrawError> {
        let area = [part.left, part.top, part.width, part.height].map(|px| px as i32);
        let area = Rect::new(area[0], area[1], area[2], area[3]);
        let [width, height] = size_px.map(|px| px as i32);
        let mut picture = Mat::default();
        imgproc::resize(
            &Mat::roi(&self.picture, area)?,
            &mut picture,
            Size::new(width, height),
            0.0,
            0.0,
            imgproc::INTER_AREA,
        )?;
        Ok(Self {
            index: self.index,
            time: self.time,
            is_corrupt: self.is_corrupt,
            picture,
            ..Self::default()
        })
    }

    /// The frame as the bytes of a picture's file, made smaller until it is at most `max_width_px`
    /// wide.
    ///
    /// # Errors
    /// When it cannot be scaled or encoded, or the frame was never read.
    pub fn encoded(
        &self,
        max_width_px: Option<u32>,
        format: ImageFormat,
    ) -> Result<Vec<u8>, DrawError> {
        let (width, height) = (self.picture.cols(), self.picture.rows());
        let max_width = max_width_px.and_then(|px| i32::try_from(px).ok());
        match max_width.filter(|max| *max < width) {
            None => encode(&self.picture, format),
            Some(max_width) => {
                let ratio = f64::from(max_width) / f64::from(width);
                let scaled_height = (f64::from(height) * ratio).round().max(1.0) as i32;
                let mut scaled = Mat::default();
                imgproc::resize(
                    &self.picture,
                    &mut scaled,
                    Size::new(max_width, scaled_height),
                    0.0,
                    0.0,
                    imgproc::INTER_AREA,
                )?;
                encode(&scaled, format)
            }
        }
    }
}

/// A picture as the bytes of a file.
pub(super) fn encode(picture: &Mat, format: ImageFormat) -> Result<Vec<u8>, DrawError> {
    let mut rgb = Mat::default();
    imgproc::cvt_color_def(picture, &mut rgb, imgproc::COLOR_BGR2RGB)?;
    let (width_px, height_px) = (rgb.cols() as u32, rgb.rows() as u32);
    let pixels = rgb.data_bytes()?;
    let color = ExtendedColorType::Rgb8;
    let mut bytes = Vec::new();
    match format {
        ImageFormat::Png => {
            PngEncoder::new(&mut bytes).write_image(pixels, width_px, height_px, color)
        }
        ImageFormat::Jpeg => JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .write_image(pixels, width_px, height_px, color),
    }?;
    Ok(bytes)
}
