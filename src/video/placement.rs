//! Where a decoded picture goes in the frame: square pixels, upright, at the size of the first.
//!
//! The first picture decides a video's size. Later ones may have another: they are scaled to it. A
//! picture of another shape is fitted in whole, centred between black borders, so that whoever is
//! in it keeps their proportions.

use super::orientation::Orientation;

/// Pixels wider or higher than this are a mistake of whoever wrote the file; the widest in use are
/// below 4:1.
const MAX_PIXEL_ASPECT: f64 = 10.0;
/// No picture is stretched beyond this many pixels; larger ones cannot be scaled.
const MAX_SIDE_PX: f64 = 32_768.0;
/// Shapes that differ by less are the same, rounded to whole pixels or to blocks.
const SHAPE_TOLERANCE: f64 = 0.02;

/// Width and height in pixels.
pub type Size = (u32, u32);

/// A stored picture: its size and how wide its pixels are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredPicture {
    pub size: Size,
    /// Width of a pixel over its height, as numerator and denominator; 0 is unknown.
    pub pixel_aspect: (i32, i32),
    pub orientation: Orientation,
}

impl StoredPicture {
    /// Its size with square pixels, not yet turned. The side along which pixels are long grows, so
    /// that nothing is lost. What is unknown or implausible is square.
    pub fn square_size(&self) -> Size {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let (wide, high) = self.pixel_aspect;
        if wide <= 0 || high <= 0 || wide == high {
            return self.size;
        }
        let aspect = f64::from(wide) / f64::from(high);
        let (new_width, new_height) = if aspect > 1.0 {
            ((width * aspect).round(), height)
        } else {
            (width, (height / aspect).round())
        };
        let is_plausible = (1.0 / MAX_PIXEL_ASPECT..=MAX_PIXEL_ASPECT).contains(&aspect)
            && new_width.max(new_height) <= MAX_SIDE_PX;
        if is_plausible {
            (new_width as u32, new_height as u32)
        } else {
            self.size
        }
    }

    /// Its size on the screen.
    pub fn displayed_size(&self) -> Size {
        self.orientation.turned(self.square_size())
    }
}

/// What is done with a stored picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// First it is scaled to this size, not yet turned.
    pub scaled: Size,
    pub orientation: Orientation,
    /// Then it lies here in the frame, from the top left corner.
    pub offset: Size,
    pub frame: Size,
}

impl Placement {
    /// Puts `picture` into frames of the size `frame`.
    pub fn new(picture: &StoredPicture, frame: Size) -> Self {
        let (width, height) = picture.displayed_size();
        let scale_x = f64::from(frame.0) / f64::from(width.max(1));
        let scale_y = f64::from(frame.1) / f64::from(height.max(1));
        let is_same_shape = (scale_x / scale_y - 1.0).abs() < SHAPE_TOLERANCE;
        let (shown, offset) = if is_same_shape {
            (frame, (0, 0))
        } else {
            let scale = scale_x.min(scale_y);
            let side = |side: u32, limit: u32| {
                let scaled = (f64::from(side) * scale).round() as u32;
                scaled.clamp(1, limit)
            };
            let shown = (side(width, frame.0), side(height, frame.1));
            (shown, ((frame.0 - shown.0) / 2, (frame.1 - shown.1) / 2))
        };
        Self {
            scaled: picture.orientation.turned(shown),
            orientation: picture.orientation,
            offset,
            frame,
        }
    }

    /// Whether there are borders.
    pub fn has_borders(&self) -> bool {
        self.orientation.turned(self.scaled) != self.frame
    }

    /// Whether the scaled picture is the frame, neither turned nor moved.
    pub fn is_in_place(&self) -> bool {
        self.orientation == Orientation::default() && !self.has_borders()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(size: Size, pixel_aspect: (i32, i32), rotation_deg: u16) -> StoredPicture {
        StoredPicture {
            size,
            pixel_aspect,
            orientation: Orientation {
                mirrored: false,
                rotation_deg,
            },
        }
    }

    #[test]
    fn the_side_along_which_pixels_are_long_grows() {
        // The sizes that are known by name: widescreen PAL, HDV, anamorphic, NTSC 4:3 (10:11).
        for (size, aspect, square) in [
            ((720, 576), (64, 45), (1024, 576)),
            ((1440, 1080), (4, 3), (1920, 1080)),
            ((304, 336), (27, 19), (432, 336)),
            ((720, 480), (10, 11), (720, 528)),
            ((640, 480), (1, 1), (640, 480)),
            ((640, 480), (0, 1), (640, 480)),
            ((640, 480), (-4, 3), (640, 480)),
            ((640, 480), (1, 1000), (640, 480)),
            ((640, 480), (40, 1), (640, 480)),
        ] {
            assert_eq!(picture(size, aspect, 0).square_size(), square, "{aspect:?}");
        }
        assert_eq!(
            picture((720, 576), (64, 45), 90).displayed_size(),
            (576, 1024)
        );
    }

    #[test]
    fn later_pictures_fill_the_frame_or_are_fitted_between_borders() {
        let check = |size, rotation_deg, scaled, offset| {
            let placement = Placement::new(&picture(size, (1, 1), rotation_deg), (640, 480));
            assert_eq!(
                (placement.scaled, placement.offset),
                (scaled, offset),
                "{size:?}"
            );
            assert_eq!(placement.has_borders(), offset != (0, 0));
        };
        check((640, 480), 0, (640, 480), (0, 0));
        check((1280, 960), 0, (640, 480), (0, 0));
        check((320, 240), 0, (640, 480), (0, 0));
        // Rounded to whole macroblocks.
        check((640, 488), 0, (640, 480), (0, 0));
        check((480, 640), 90, (480, 640), (0, 0));
        // A phone that was turned while it recorded.
        check((480, 640), 0, (360, 480), (140, 0));
        check((1280, 720), 0, (640, 360), (0, 60));
        check((1280, 720), 90, (480, 270), (185, 0));
    }
}
