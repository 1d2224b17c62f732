//! The two formats of pictures: SVG as plotters writes it, PNG with every edge anti-aliased.
//!
//! Both are drawn on a grid that is [`UNITS_PER_PX`] times as fine as the pixels, because plotters'
//! coordinates are whole numbers, and lines rounded to pixels look like stairs.

use std::convert::Infallible;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

use super::PlotError;
use super::text;
use crate::text::is_control;

/// Units of plotters' coordinates to a pixel.
pub const UNITS_PER_PX: i32 = 8;
/// plotters' font size over the em, see its SVG backend.
pub const FONT_SIZE_PER_EM: f64 = 1.24;
/// Distance of the base line from the top of a text, in ems, see plotters' SVG backend.
pub const BASE_LINE_EM: f64 = 0.76;

/// Draws an SVG picture.
///
/// # Errors
/// What `draw` gives.
pub fn svg(
    width_px: u32,
    height_px: u32,
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), PlotError>,
) -> Result<Vec<u8>, PlotError> {
    let units = UNITS_PER_PX as u32;
    let size = (width_px * units, height_px * units);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(drawing_error)?;
    }
    // The fine grid stays inside; outside the picture has its size in pixels. Joints are round, or
    // peaks would be longer than they are.
    let fine = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
    let sized =
        format!("<svg width=\"{width_px}\" height=\"{height_px}\" stroke-linejoin=\"round\"");
    let text = text.replacen(&fine, &sized, 1);
    // XML 1.0 has no place for these, whatever a title holds.
    let is_legal = |c: &char| !is_control(*c) || matches!(c, '\n' | '\t');
    let legal = text
        .chars()
        .filter(|c| is_legal(c) && !matches!(c, '\u{FFFE}' | '\u{FFFF}'));
    Ok(legal.collect::<String>().into_bytes())
}

/// Draws a PNG picture.
///
/// # Errors
/// What `draw` gives.
pub fn png(
    width_px: u32,
    height_px: u32,
    draw: impl FnOnce(&DrawingArea<Raster<'_>, Shift>) -> Result<(), PlotError>,
) -> Result<Vec<u8>, PlotError> {
    let mut pixels = Pixels::new(width_px, height_px);
    {
        let area = Raster(&mut pixels).into_drawing_area();
        draw(&area)?;
        area.present().map_err(drawing_error)?;
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width_px, height_px);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(pixels.rgb.as_flattened()));
    written.map_err(drawing_error)?;
    Ok(bytes)
}

pub fn drawing_error(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}

struct Pixels {
    width: i32,
    height: i32,
    rgb: Vec<[u8; 3]>,
    /// How much of each pixel the shape in work covers; all zero between shapes.
    covered: Vec<f32>,
}

/// Draws into pixels; each shape covers a pixel by the part of it that lies inside.
pub struct Raster<'a>(&'a mut Pixels);

impl Pixels {
    fn new(width_px: u32, height_px: u32) -> Self {
        let count = width_px as usize * height_px as usize;
        Self {
            width: width_px as i32,
            height: height_px as i32,
            rgb: vec![[255; 3]; count],
            covered: vec![0.0; count],
        }
    }

    fn blend(&mut self, x: i32, y: i32, colour: BackendColor, covered: f32) {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return;
        }
        let part = covered.clamp(0.0, 1.0) * colour.alpha as f32;
        let (r, g, b) = colour.rgb;
        let pixel = &mut self.rgb[(y * self.width + x) as usize];
        for (old, new) in pixel.iter_mut().zip([r, g, b]) {
            *old = (f32::from(*old) * (1.0 - part) + f32::from(new) * part).round() as u8;
        }
    }

    /// Draws a line of round ends and joints. Where it meets itself it is no darker.
    fn stroke(&mut self, points: &[(f32, f32)], width: f32, colour: BackendColor) {
        let half = width / 2.0;
        let reach = half + 1.0;
        let mut touched = (self.width, self.height, 0, 0);
        for pair in points.windows(2) {
            let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
            let left = ((ax.min(bx) - reach).floor() as i32).max(0);
            let right = ((ax.max(bx) + reach).ceil() as i32).min(self.width - 1);
            let top = ((ay.min(by) - reach).floor() as i32).max(0);
            let bottom = ((ay.max(by) + reach).ceil() as i32).min(self.height - 1);
            let (dx, dy) = (bx - ax, by - ay);
            let square = dx * dx + dy * dy;
            for y in top..=bottom {
                for x in left..=right {
                    let (px, py) = (x as f32 + 0.5 - ax, y as f32 + 0.5 - ay);
                    let along = if square > 0.0 {
                        ((px * dx + py * dy) / square).clamp(0.0, 1.0)
                    } else {
                        0.0
                    };
                    let distance = (px - along * dx).hypot(py - along * dy);
                    let covered = (half + 0.5 - distance).clamp(0.0, width.min(1.0));
                    let before = &mut self.covered[(y * self.width + x) as usize];
                    *before = before.max(covered);
                }
            }
            touched = (
                touched.0.min(left),
                touched.1.min(top),
                touched.2.max(right),
                touched.3.max(bottom),
            );
        }
        for y in touched.1..=touched.3 {
            for x in touched.0..=touched.2 {
                let index = (y * self.width + x) as usize;
                let covered = std::mem::take(&mut self.covered[index]);
                if covered > 0.0 {
                    self.blend(x, y, colour, covered);
                }
            }
        }
    }
}

fn px(units: i32) -> f32 {
    units as f32 / UNITS_PER_PX as f32
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let units = UNITS_PER_PX as u32;
        (self.0.width as u32 * units, self.0.height as u32 * units)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        let part = 1.0 / (UNITS_PER_PX * UNITS_PER_PX) as f32;
        let (x, y) = (
            point.0.div_euclid(UNITS_PER_PX),
            point.1.div_euclid(UNITS_PER_PX),
        );
        self.0.blend(x, y, color, part);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let points: Vec<(f32, f32)> = path.into_iter().map(|(x, y)| (px(x), px(y))).collect();
        let width = px(style.stroke_width() as i32);
        self.0.stroke(&points, width, style.color());
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let ((left, top), (right, bottom)) = (upper_left, bottom_right);
        if !fill {
            let corners = [
                (left, top),
                (right, top),
                (right, bottom),
                (left, bottom),
                (left, top),
            ];
            return self.draw_path(corners, style);
        }
        let part = |low: i32, high: i32, pixel: i32| {
            (px(high).min(pixel as f32 + 1.0) - px(low).max(pixel as f32)).max(0.0)
        };
        for y in px(top).floor() as i32..px(bottom).ceil() as i32 {
            for x in px(left).floor() as i32..px(right).ceil() as i32 {
                let covered = part(left, right, x) * part(top, bottom, y);
                self.0.blend(x, y, style.color(), covered);
            }
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        _fill: bool,
    ) -> Drawn {
        // A point drawn with a thick round pen is a disc; nothing here draws mere outlines.
        let point = (px(center.0), px(center.1));
        self.0
            .stroke(&[point, point], 2.0 * px(radius as i32), style.color());
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Drawn {
        let em = style.size() / FONT_SIZE_PER_EM / f64::from(UNITS_PER_PX);
        let width = text::width(text, em);
        let anchor = style.anchor();
        let along = match anchor.h_pos {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        // As plotters' SVG backend has it; a text's x-height is half an em.
        let down = em
            * match anchor.v_pos {
                VPos::Top => BASE_LINE_EM,
                VPos::Center => 0.25,
                VPos::Bottom => -0.25,
            };
        let (x, y) = (f64::from(px(pos.0)), f64::from(px(pos.1)));
        let is_upwards = matches!(style.transform(), FontTransform::Rotate270);
        let (start_x, start_y) = if is_upwards {
            (x + down, y - along)
        } else {
            (x + along, y + down)
        };
        let (start_x, start_y) = (start_x.round() as i32, start_y.round() as i32);
        let colour = style.color();
        text::draw(text, em, |dx, dy, covered| {
            let (x, y) = if is_upwards {
                (start_x + dy, start_y - 1 - dx)
            } else {
                (start_x + dx, start_y + dy)
            };
            self.0.blend(x, y, colour, covered);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use plotters::element::{Circle, PathElement};
    use plotters::style::{Color, RGBColor};

    use super::*;

    /// The picture's ink: the sum over pixels of how dark each is, 0 to 1.
    fn ink(draw: impl FnOnce(&DrawingArea<Raster<'_>, Shift>)) -> f64 {
        let bytes = png(40, 40, |area| {
            draw(area);
            Ok(())
        })
        .expect("a picture");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .expect("a PNG file");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut pixels).expect("pixels");
        pixels
            .chunks(3)
            .map(|p| 1.0 - f64::from(p[0]) / 255.0)
            .sum()
    }

    #[test]
    fn shapes_cover_the_area_that_they_have() {
        let black = RGBColor(0, 0, 0).filled();
        let disc = ink(|area| {
            area.draw(&Circle::new((163, 157), 64, black))
                .expect("a disc")
        });
        // Radius 8 px.
        assert!(
            (disc / (std::f64::consts::PI * 64.0) - 1.0).abs() < 0.02,
            "{disc}"
        );
        let pen = Color::stroke_width(&RGBColor(0, 0, 0), 16);
        let line = ink(|area| {
            let path = PathElement::new(vec![(43, 51), (203, 171), (43, 51)], pen);
            area.draw(&path).expect("a line");
        });
        // 25 px long, 2 px wide, round ends; drawn over twice it covers no more.
        assert!(
            (line / (50.0 + std::f64::consts::PI) - 1.0).abs() < 0.03,
            "{line}"
        );
    }
}
