//! Several frames in one picture.

use opencv::core::{CV_8UC3, Mat, MatTraitConst, Rect, Scalar, Size};
use opencv::imgproc;

use super::still::{ImageFormat, encode};
use super::{DrawError, Frame, VideoInfo};

/// Between frames, in pixels.
const GAP_PX: i32 = 4;
/// Behind them: a light grey.
const BACKGROUND: f64 = 235.0;

/// A grid of equally large frames, row by row.
pub struct ContactSheet {
    picture: Mat,
    columns: u64,
    tile: Size,
}

impl ContactSheet {
    /// An empty sheet for `count` frames of the video that `info` describes.
    ///
    /// # Errors
    /// When the picture is too large.
    pub fn new(
        info: &VideoInfo,
        columns: u32,
        count: u64,
        tile_width_px: u32,
    ) -> Result<Self, DrawError> {
        let ratio = f64::from(info.height) / f64::from(info.width.max(1));
        let tile_height = (f64::from(tile_width_px) * ratio).round().max(1.0) as i32;
        let tile = Size::new(tile_width_px as i32, tile_height);
        let columns = u64::from(columns).clamp(1, count.max(1));
        let rows = count.div_ceil(columns).max(1);
        let side = |tiles: u64, side: i32| tiles as i32 * (side + GAP_PX) + GAP_PX;
        let picture = Mat::new_rows_cols_with_default(
            side(rows, tile.height),
            side(columns, tile.width),
            CV_8UC3,
            Scalar::all(BACKGROUND),
        )?;
        Ok(Self {
            picture,
            columns,
            tile,
        })
    }

    /// The frame at the size that it has on the sheet.
    ///
    /// # Errors
    /// When it cannot be scaled.
    pub fn tile(&self, frame: &Frame) -> Result<Frame, DrawError> {
        let mut tile = Frame {
            index: frame.index,
            time: frame.time,
            is_corrupt: frame.is_corrupt,
            ..Frame::default()
        };
        imgproc::resize(
            &frame.picture,
            &mut tile.picture,
            self.tile,
            0.0,
            0.0,
            imgproc::INTER_AREA,
        )?;
        Ok(tile)
    }

    /// Puts a tile at a place, counted from 0 row by row.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn place(&mut self, place: u64, tile: &Frame) -> Result<(), DrawError> {
        let (column, row) = ((place % self.columns) as i32, (place / self.columns) as i32);
        let area = Rect::new(
            GAP_PX + column * (self.tile.width + GAP_PX),
            GAP_PX + row * (self.tile.height + GAP_PX),
            self.tile.width,
            self.tile.height,
        );
        let mut part = Mat::roi_mut(&mut self.picture, area)?;
        Ok(tile.picture.copy_to(&mut part)?)
    }

    /// The whole picture as the bytes of a file.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn encode(&self, format: ImageFormat) -> Result<Vec<u8>, DrawError> {
        encode(&self.picture, format)
    }
}
