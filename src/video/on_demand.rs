//! Pictures whose pixels become blue, green, red where somebody looks, and nowhere else.
//!
//! Pose estimation looks at the surroundings of people in most frames, which are a small part of the
//! picture. The decoder's picture waits in planes of 4:2:0, and tiles of it are converted when they
//! are asked for, each once.
//!
//! libswscale converts tiles as it converts whole pictures, and gives the same bits for kinds of
//! pictures that it converts block by block of one chroma sample. Whether it does is its own affair,
//! in each version and on each processor: [`Checked`] tries.
//!
//! Resident: one picture of BGR for each video in work, of which the system gives memory to what was
//! once looked at, and libswscale's state for each width of a run of tiles, at most 16 of them with
//! 100 KB each.

use std::collections::HashMap;

use ffmpeg_the_third::ffi;

use super::converter::{self, PIXEL_BYTES, Planes, Scaler, Target, to_bgr};
use super::ffmpeg::Picture;
use super::placement::Size;
use crate::image::{BgrView, Corners, PartialPicture};
use crate::random::SplitMix64;

/// Tiles begin where vector instructions want memory to begin, in rows and in planes of chroma.
const TILE_COLUMNS: usize = 64;
const TILE_ROWS: usize = 16;
/// So many tiles in a row are converted at once at most; each number of them has a state of its own.
const MAX_RUN: usize = 4;
/// Sampling at a position reads the pixel before it and the one behind; one more for roundings.
const MARGIN_PX: f64 = 2.0;
/// Positions farther away are not computed with: the whole picture is made.
const FAR_PX: f64 = 1e6;

/// A decoded picture that waits for somebody to look.
pub struct Decoded {
    picture: Picture,
    /// What the decoder's memory holds, as libswscale is to see it.
    stored: Size,
    /// The upper left part of it, which is the frame.
    shown: Size,
}

impl Decoded {
    /// The upper left `shown` of a picture whose memory holds `stored`, and which is of a kind that
    /// [`Checked`] has tried.
    pub fn new(picture: Picture, stored: Size, shown: Size) -> Self {
        Self {
            picture,
            stored,
            shown,
        }
    }
}

/// Where the pixels of one frame after the other are made.
#[derive(Default)]
pub struct PixelRoom {
    bytes: Vec<u8>,
    stored: Size,
    /// Which tiles of the current frame are made, row by row.
    made: Vec<bool>,
    scalers: HashMap<Kind, Scaler>,
}

/// What libswscale's state depends on: format, width and height.
type Kind = (i32, Size);

impl PixelRoom {
    /// Gets ready for a frame of which nothing is made yet.
    pub(super) fn begin<'a>(&'a mut self, decoded: &'a Decoded) -> impl PartialPicture + 'a {
        if self.stored != decoded.stored {
            *self = Self {
                bytes: vec![0; PIXEL_BYTES * memory_pixels(decoded.stored)],
                stored: decoded.stored,
                ..Self::default()
            };
        }
        let [columns, rows] = tiles(decoded.stored);
        self.made.clear();
        self.made.resize(columns * rows, false);
        InWork {
            room: self,
            decoded,
        }
    }

    /// Gives its memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn memory_pixels((width, height): Size) -> usize {
    converter::frame_memory_pixels(width, height) as usize
}

/// Columns and rows of tiles; those at the right and lower edge are smaller.
fn tiles((width, height): Size) -> [usize; 2] {
    [
        (width as usize).div_ceil(TILE_COLUMNS),
        (height as usize).div_ceil(TILE_ROWS),
    ]
}

/// A frame that is being looked at.
struct InWork<'a> {
    room: &'a mut PixelRoom,
    decoded: &'a Decoded,
}

impl PartialPicture for InWork<'_> {
    fn size(&self) -> [usize; 2] {
        let (width, height) = self.decoded.shown;
        [width as usize, height as usize]
    }

    fn show(&mut self, areas: &mut dyn Iterator<Item = Corners>) -> BgrView<'_> {
        for corners in areas {
            self.make(&corners);
        }
        let [width, height] = self.size();
        let stride = converter::row_bytes(self.room.stored.0);
        BgrView::new(&self.room.bytes, width, height, stride)
            .expect("the room was made for what is stored, of which this is a part")
    }
}

impl InWork<'_> {
    /// Makes the tiles that an area touches.
    fn make(&mut self, corners: &Corners) {
        let [width, height] = self.size();
        let last_row = (height - 1) / TILE_ROWS;
        for row in 0..=last_row {
            let top = (row > 0).then_some((row * TILE_ROWS) as f64);
            let bottom = (row < last_row).then_some(((row + 1) * TILE_ROWS) as f64);
            let Some([left, right]) = span(corners, top, bottom) else {
                continue;
            };
            let column = |x: f64| x.clamp(0.0, (width - 1) as f64) as usize / TILE_COLUMNS;
            let (mut column, end) = (column(left), column(right) + 1);
            while column < end {
                let is_made = |column: &usize| self.room.made[self.place(*column, row)];
                let run_end = (column..end.min(column + MAX_RUN)).find(is_made);
                let run_end = run_end.unwrap_or(end.min(column + MAX_RUN));
                if run_end > column {
                    self.convert(row, column, run_end);
                }
                column = run_end.max(column + 1);
            }
        }
    }

    fn place(&self, column: usize, row: usize) -> usize {
        row * tiles(self.decoded.stored)[0] + column
    }

    /// Converts tiles of a row, from one column to before another.
    fn convert(&mut self, row: usize, from: usize, to: usize) {
        let (width, height) = self.decoded.stored;
        let (x, y) = (TILE_COLUMNS * from, TILE_ROWS * row);
        let size = (
            (width as usize).min(TILE_COLUMNS * to) - x,
            (height as usize).min(y + TILE_ROWS) - y,
        );
        let size = (size.0 as u32, size.1 as u32);
        let planes = Planes::of(&self.decoded.picture);
        let stride = converter::row_bytes(width);
        // SAFETY: the tiles lie in the stored picture, whose planes of chroma have half its columns
        // and rows, and in the room, which has memory for it.
        let (planes, target) = unsafe {
            let first = self
                .room
                .bytes
                .as_mut_ptr()
                .add(y * stride + PIXEL_BYTES * x);
            let target = Target {
                first,
                stride_bytes: stride as i32,
            };
            (planes.moved(x, y), target)
        };
        let scaler = (self.room.scalers)
            .entry((planes.format, size))
            .or_insert_with(Scaler::empty);
        to_bgr(scaler, planes, size, size, target)
            .expect("libswscale has converted a picture of this kind when the video began");
        for column in from..to {
            let place = self.place(column, row);
            self.room.made[place] = true;
        }
    }
}

/// From where to where an area reaches between two rows, with what sampling reads around it; `None`
/// stands for the picture's edge, which is read for everything beyond it.
fn span(corners: &Corners, top: Option<f64>, bottom: Option<f64>) -> Option<[f64; 2]> {
    let is_far = |value: &f64| !(value.abs() < FAR_PX);
    if corners.as_flattened().iter().any(is_far) {
        return Some([0.0, FAR_PX]);
    }
    let bounds = [
        top.map(|top| top - MARGIN_PX),
        bottom.map(|bottom| bottom + MARGIN_PX),
    ];
    let is_between =
        |y: f64| bounds[0].is_none_or(|top| y >= top) && bounds[1].is_none_or(|bottom| y <= bottom);
    let [mut left, mut right] = [f64::INFINITY, f64::NEG_INFINITY];
    let mut include = |x: f64| {
        left = left.min(x - MARGIN_PX);
        right = right.max(x + MARGIN_PX);
    };
    for (i, a) in corners.iter().enumerate() {
        let b = corners[(i + 1) % corners.len()];
        if is_between(a[1]) {
            include(a[0]);
        }
        for bound in bounds.into_iter().flatten() {
            if (a[1] < bound) != (b[1] < bound) {
                include(a[0] + (bound - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
            }
        }
    }
    (left <= right).then_some([left, right])
}

/// Which kind of pictures was tried last, and whether their tiles are those of the whole.
#[derive(Default)]
pub struct Checked(Option<(Kind, bool)>);

impl Checked {
    /// Whether pictures like this one, of which `stored` is seen, may be converted in tiles. A new
    /// kind is tried: takes a tenth of a millisecond.
    pub fn may_be_partial(&mut self, picture: &Picture, stored: Size) -> bool {
        let raw = picture.raw();
        let formats = [ffi::AVPixelFormat::YUV420P, ffi::AVPixelFormat::YUVJ420P];
        // Rows of an odd number end with half a sample of chroma, and are converted otherwise.
        let is_plain = formats.iter().any(|format| format.0 == raw.format)
            && stored.0 > 0
            && stored.1 > 0
            && stored.1.is_multiple_of(2)
            && (0..3).all(|plane| !raw.data[plane].is_null() && raw.linesize[plane] > 0);
        if !is_plain {
            return false;
        }
        let kind = (raw.format, stored);
        match self.0 {
            Some((known, may)) if known == kind => may,
            _ => {
                let may = is_same_in_tiles(raw.format, stored);
                self.0 = Some((kind, may));
                may
            }
        }
    }
}

/// Whether tiles of a picture have the bits of the whole: tried with noise, as wide as the pictures
/// are, and with tiles of all heights that they have.
fn is_same_in_tiles(format: i32, (width, height): Size) -> bool {
    let whole_tiles = 2 * TILE_ROWS as u32;
    let height = height.min(whole_tiles + height % TILE_ROWS as u32);
    let Some(picture) = noise(format, (width, height)) else {
        return false;
    };
    let stride = converter::row_bytes(width);
    let mut whole = vec![0; PIXEL_BYTES * memory_pixels((width, height))];
    let target = Target {
        first: whole.as_mut_ptr(),
        stride_bytes: stride as i32,
    };
    let size = (width, height);
    let planes = Planes::of(&picture);
    if to_bgr(&mut Scaler::empty(), planes, size, size, target).is_err() {
        return false;
    }
    let decoded = Decoded::new(picture, size, size);
    let mut room = PixelRoom::default();
    let mut in_tiles = room.begin(&decoded);
    // From the lower right: what is written beyond a tile would spoil those that are there.
    let [columns, rows] = tiles(size);
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let [x, y] = [
                (TILE_COLUMNS * column) as f64 + MARGIN_PX,
                (TILE_ROWS * row) as f64 + MARGIN_PX,
            ];
            in_tiles.show(&mut std::iter::once([[x, y]; 4]));
        }
    }
    let view = in_tiles.show(&mut std::iter::empty());
    let whole = BgrView::new(&whole, width as usize, height as usize, stride);
    whole.is_some_and(|whole| view.rows().eq(whole.rows()))
}

/// A picture of the planes of 4:2:0 in which all values occur.
fn noise(format: i32, (width, height): Size) -> Option<Picture> {
    let (width, height) = (i32::try_from(width).ok()?, i32::try_from(height).ok()?);
    let mut picture = Picture::empty();
    // SAFETY: the picture is empty and owned. FFmpeg gives it buffers, all of whose bytes are written.
    unsafe {
        let raw = picture.frame.as_mut_ptr();
        (*raw).format = format;
        (*raw).width = width;
        (*raw).height = height;
        if ffi::av_frame_get_buffer(raw, 0) < 0 {
            return None;
        }
        let mut random = SplitMix64::new(420);
        for buffer in (*raw).buf.iter().map_while(|buffer| buffer.as_ref()) {
            for eight in std::slice::from_raw_parts_mut(buffer.data, buffer.size).chunks_mut(8) {
                let values = random.next_u64().to_le_bytes();
                eight.copy_from_slice(&values[..eight.len()]);
            }
        }
    }
    Some(picture)
}
