//! Drawing on a frame: lines, discs, boxes, text, all in pixels.

use opencv::core::{Mat, MatTrait, MatTraitConst, MatTraitManual, Point, Rect, Scalar, Size};
use opencv::imgproc;

use super::Frame;

/// Positions are handed on in sixteenths of a pixel.
const SHIFT: i32 = 4;
const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;

/// A colour in OpenCV's order: blue, green, red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bgr(pub [u8; 3]);

impl Bgr {
    fn scalar(self) -> Scalar {
        let [b, g, r] = self.0.map(f64::from);
        Scalar::new(b, g, r, 0.0)
    }
}

/// Why something could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("drawing failed: {0}")]
pub struct DrawError(String);

impl From<opencv::Error> for DrawError {
    fn from(error: opencv::Error) -> Self {
        Self(error.message)
    }
}

impl From<image::ImageError> for DrawError {
    fn from(error: image::ImageError) -> Self {
        Self(error.to_string())
    }
}

/// A frame that is drawn on. What lies outside the picture is cut off.
pub struct Canvas<'a> {
    picture: &'a mut Mat,
}

impl Frame {
    /// Gives the frame to draw on.
    pub fn canvas(&mut self) -> Canvas<'_> {
        Canvas {
            picture: &mut self.picture,
        }
    }
}

impl Canvas<'_> {
    /// Of the upright frame, in which all positions are.
    pub fn width_px(&self) -> f64 {
        f64::from(self.picture.cols())
    }

    /// Of the upright frame; y grows downwards from 0 at its upper edge.
    pub fn height_px(&self) -> f64 {
        f64::from(self.picture.rows())
    }

    /// A straight line between two points (x, y).
    pub fn line(
        &mut self,
        from: [f64; 2],
        to: [f64; 2],
        color: Bgr,
        thickness_px: i32,
    ) -> Result<(), DrawError> {
        if let (Some(from), Some(to)) = (self.fixed_point(from), self.fixed_point(to)) {
            imgproc::line(
                self.picture,
                from,
                to,
                color.scalar(),
                thickness_px,
                imgproc::LINE_AA,
                SHIFT,
            )?;
        }
        Ok(())
    }

    /// A filled circle.
    pub fn disc(&mut self, center: [f64; 2], radius_px: f64, color: Bgr) -> Result<(), DrawError> {
        self.ring(center, radius_px, color, imgproc::FILLED)
    }

    /// The outline of a circle.
    pub fn ring(
        &mut self,
        center: [f64; 2],
        radius_px: f64,
        color: Bgr,
        thickness_px: i32,
    ) -> Result<(), DrawError> {
        if let Some(center) = self.fixed_point(center) {
            imgproc::circle(
                self.picture,
                center,
                (radius_px * f64::from(1 << SHIFT)).round() as i32,
                color.scalar(),
                thickness_px,
                imgproc::LINE_AA,
                SHIFT,
            )?;
        }
        Ok(())
    }

    /// The outline of an upright box from its top left to its bottom right corner.
    pub fn rectangle(
        &mut self,
        top_left: [f64; 2],
        bottom_right: [f64; 2],
        color: Bgr,
        thickness_px: i32,
    ) -> Result<(), DrawError> {
        let corners = (self.fixed_point(top_left), self.fixed_point(bottom_right));
        if let (Some(top_left), Some(bottom_right)) = corners {
            imgproc::rectangle_points(
                self.picture,
                top_left,
                bottom_right,
                color.scalar(),
                thickness_px,
                imgproc::LINE_AA,
                SHIFT,
            )?;
        }
        Ok(())
    }

    /// Darkens an upright box: `light` (0..1) of its brightness stays.
    pub fn shade(
        &mut self,
        top_left: [f64; 2],
        size: [f64; 2],
        light: f64,
    ) -> Result<(), DrawError> {
        let (columns, rows) = (self.picture.cols(), self.picture.rows());
        let clip = |value: f64, limit: i32| value.clamp(0.0, f64::from(limit)).round() as i32;
        let (left, top) = (clip(top_left[0], columns), clip(top_left[1], rows));
        let right = clip(top_left[0] + size[0], columns);
        let bottom = clip(top_left[1] + size[1], rows);
        let area = Rect::new(left, top, right - left, bottom - top);
        if area.width <= 0 || area.height <= 0 {
            return Ok(());
        }
        let mut part = Mat::roi_mut(self.picture, area)?;
        let table: [u8; 256] = std::array::from_fn(|value| (value as f64 * light).round() as u8);
        for row in 0..area.height {
            let pixels = part.at_row_mut::<opencv::core::Vec3b>(row)?;
            for pixel in pixels {
                pixel.0 = pixel.0.map(|value| table[usize::from(value)]);
            }
        }
        Ok(())
    }

    /// Makes a disc unrecognizable: each of its squares of `square_px` gets its mean colour.
    pub fn pixelate(
        &mut self,
        center: [f64; 2],
        radius_px: f64,
        square_px: i32,
    ) -> Result<(), DrawError> {
        let (columns, rows) = (self.picture.cols(), self.picture.rows());
        let clip = |value: f64, limit: i32| value.clamp(0.0, f64::from(limit)) as i32;
        let [left, right] = [-radius_px, radius_px].map(|r| clip(center[0] + r, columns));
        let [top, bottom] = [-radius_px, radius_px].map(|r| clip(center[1] + r, rows));
        let square_px = square_px.max(1);
        for y in (top..bottom).step_by(square_px as usize) {
            for x in (left..right).step_by(square_px as usize) {
                let middle = f64::from(square_px) / 2.0;
                let off = [
                    f64::from(x) + middle - center[0],
                    f64::from(y) + middle - center[1],
                ];
                if off[0].hypot(off[1]) > radius_px {
                    continue;
                }
                let (width, height) = (square_px.min(columns - x), square_px.min(rows - y));
                let area = Rect::new(x, y, width, height);
                let mut square = Mat::roi_mut(self.picture, area)?;
                let mean = opencv::core::mean_def(&square)?;
                square.set_to_def(&mean)?;
            }
        }
        Ok(())
    }

    /// Writes ASCII text in capitals of `height_px`; `baseline` is its lower left corner.
    pub fn text(
        &mut self,
        baseline: [f64; 2],
        text: &str,
        height_px: f64,
        color: Bgr,
    ) -> Result<(), DrawError> {
        let [x, y] = baseline.map(|v| v.round() as i32);
        imgproc::put_text(
            self.picture,
            text,
            Point::new(x, y),
            FONT,
            font_scale(height_px),
            color.scalar(),
            font_thickness(height_px),
            imgproc::LINE_AA,
            false,
        )?;
        Ok(())
    }

    fn fixed_point(&self, [x, y]: [f64; 2]) -> Option<Point> {
        // Far outside the picture positions would leave the range of what can be drawn.
        let limit = 4.0 * (self.width_px() + self.height_px());
        let is_drawable = x.abs() < limit && y.abs() < limit;
        is_drawable.then(|| {
            let fixed = |v: f64| (v * f64::from(1 << SHIFT)).round() as i32;
            Point::new(fixed(x), fixed(y))
        })
    }
}

/// Width of a text whose capitals are `height_px` high.
///
/// # Errors
/// When the font fails.
pub fn text_width_px(text: &str, height_px: f64) -> Result<f64, DrawError> {
    let mut baseline = 0;
    let size: Size = imgproc::get_text_size(
        text,
        FONT,
        font_scale(height_px),
        font_thickness(height_px),
        &mut baseline,
    )?;
    Ok(f64::from(size.width))
}

/// Capitals of the Hershey font are 21 units high.
fn font_scale(height_px: f64) -> f64 {
    height_px / 21.0
}

/// Strokes of a seventh of the height read well; below one pixel they vanish.
fn font_thickness(height_px: f64) -> i32 {
    ((height_px / 7.0).round() as i32).max(1)
}
