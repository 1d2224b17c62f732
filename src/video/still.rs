//! One frame as the file of a picture.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use opencv::core::{Mat, MatTraitConst, MatTraitConstManual, Size};
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

impl Frame {
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
