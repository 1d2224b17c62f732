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
//! Resident: one picture of BGR for each thread that looks at a video's frames, of which the system gives memory to what was
//! once looked at, and libswscale's state for each size of a run of tiles ([`MAX_STATES_BYTES`]).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use ffmpeg_the_third::ffi;

use super::bgr::{asks_for_rows_below, part_to_bgr};
use super::ffmpeg::Picture;
use super::placement::Size;
use super::scaler::{PIXEL_BYTES, Planes, Scaler, Target, frame_memory_pixels, row_bytes, to_bgr};
use crate::image::{BgrView, Corners, PartialPicture};
use crate::random::SplitMix64;
use crate::sync::lock;

/// Tiles begin where vector instructions want memory to begin, in rows and in planes of chroma.
const TILE_COLUMNS: usize = 64;
const TILE_ROWS: usize = 16;
/// So many tiles in a row are converted at once at most; each number of them has a state of its own.
const MAX_RUN: usize = 8;
/// All those states: with runs that end at the right edge and others, in the lowest row and others,
/// 94 KB each.
pub const MAX_STATES_BYTES: u64 = 4 * MAX_RUN as u64 * 94_000;
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

/// Where the pixels of one frame after the other are made, for as many as look at once.
#[derive(Default)]
pub struct PixelRooms(Mutex<Vec<PixelRoom>>);

impl PixelRooms {
    /// Gets ready for a frame of which nothing is made yet.
    pub(super) fn begin<'a>(&'a self, decoded: &'a Decoded) -> InWork<'a> {
        let mut room = lock(&self.0).pop().unwrap_or_default();
        room.begin(decoded);
        InWork {
            room,
            rooms: self,
            decoded,
        }
    }

    /// Gives the memory of rooms back that nobody uses.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// Where the pixels of one frame after the other are made.
#[derive(Default)]
struct PixelRoom {
    bytes: Vec<u8>,
    stored: Size,
    /// Which tiles of the current frame are made, row by row.
    made: Vec<bool>,
    scalers: HashMap<Kind, Scaler>,
}

/// What libswscale's state depends on: format, width and height.
type Kind = (i32, Size);

impl PixelRoom {
    fn begin(&mut self, decoded: &Decoded) {
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
    }
}

fn memory_pixels((width, height): Size) -> usize {
    frame_memory_pixels(width, height) as usize
}

/// Columns and rows of tiles; those at the right and lower edge are smaller.
fn tiles((width, height): Size) -> [usize; 2] {
    [
        (width as usize).div_ceil(TILE_COLUMNS),
        (height as usize).div_ceil(TILE_ROWS),
    ]
}

/// A frame that is being looked at.
pub(super) struct InWork<'a> {
    room: PixelRoom,
    /// Which it goes back to.
    rooms: &'a PixelRooms,
    decoded: &'a Decoded,
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        lock(&self.rooms.0).push(std::mem::take(&mut self.room));
    }
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
        let stride = row_bytes(self.room.stored.0);
        BgrView::new(&self.room.bytes, width, height, stride)
            .expect("the room was made for what is stored, of which this is a part")
    }
}

impl InWork<'_> {
    /// Makes the tiles that an area touches.
    fn make(&mut self, corners: &Corners) {
        let [width, height] = self.size();
        let last_row = (height - 1) / TILE_ROWS;
        let column = |x: f64| x.clamp(0.0, (width - 1) as f64) as usize / TILE_COLUMNS;
        let columns = |row: usize| {
            let top = (row > 0).then_some((row * TILE_ROWS) as f64);
            let bottom = (row < last_row).then_some(((row + 1) * TILE_ROWS) as f64);
            match span(corners, top, bottom) {
                Some([left, right]) => column(left)..column(right) + 1,
                None => 0..0,
            }
        };
        let format = self.decoded.picture.raw().format;
        let mut next = columns(0);
        for row in 0..=last_row {
            let now = next;
            next = match row < last_row {
                true => columns(row + 1),
                false => 0..0,
            };
            if now.is_empty() || !asks_for_rows_below(format) {
                self.fetch(row + 1, next.clone());
            }
            self.make_row(row, now);
        }
    }

    /// Makes what is missing of tiles in a row.
    fn make_row(&mut self, row: usize, columns: Range<usize>) {
        let mut column = columns.start;
        while column < columns.end {
            let longest = column..columns.end.min(column + MAX_RUN);
            let is_made = |column: &usize| self.room.made[self.place(*column, row)];
            let end = longest.clone().find(is_made).unwrap_or(longest.end);
            if end > column {
                self.convert(row, column, end);
            }
            column = end.max(column + 1);
        }
    }

    /// Asks the processor for what is missing of tiles in a row before it is needed. The decoder has
    /// left the picture a while ago, and the processor does not foresee which parts come next.
    fn fetch(&self, row: usize, columns: Range<usize>) {
        #[cfg(target_arch = "x86_64")]
        for column in columns.filter(|column| !self.room.made[self.place(*column, row)]) {
            let planes = Planes::of(&self.decoded.picture);
            planes.fetch(TILE_COLUMNS * column, TILE_ROWS * row, TILE_ROWS);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (row, columns);
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
        let stride = row_bytes(width);
        let scaler = (self.room.scalers)
            .entry((planes.format, size))
            .or_insert_with(Scaler::empty);
        // SAFETY: the tiles lie in the stored picture, whose planes of chroma have half its columns
        // and rows, and in the room, which has memory for it and what is written behind it.
        let converted = unsafe {
            let first = self
                .room
                .bytes
                .as_mut_ptr()
                .add(y * stride + PIXEL_BYTES * x);
            let target = Target {
                first,
                stride_bytes: stride as i32,
            };
            part_to_bgr(scaler, planes.moved(x, y), size, target)
        };
        converted.expect("libswscale has converted a picture of this kind when the video began");
        for column in from..to {
            let place = self.place(column, row);
            self.room.made[place] = true;
        }
    }
}

/// From where to where an area reaches between two rows, with what sampling reads around it; `None`
/// stands for the picture's edge, which is read for everything beyond it.
fn span(corners: &Corners, top: Option<f64>, bottom: Option<f64>) -> Option<[f64; 2]> {
    let is_near = |value: &f64| value.abs() < FAR_PX;
    if !corners.as_flattened().iter().all(is_near) {
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
    let stride = row_bytes(width);
    let mut whole = vec![0; PIXEL_BYTES * memory_pixels((width, height))];
    let target = Target {
        first: whole.as_mut_ptr(),
        stride_bytes: stride as i32,
    };
    let size = (width, height);
    let planes = Planes::of(&picture);
    // SAFETY: the picture has that size, and `whole` memory for it.
    let converted = unsafe { to_bgr(&mut Scaler::empty(), planes, size, size, target) };
    if converted.is_err() {
        return false;
    }
    let decoded = Decoded::new(picture, size, size);
    let rooms = PixelRooms::default();
    let mut in_tiles = rooms.begin(&decoded);
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

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::*;

    const SIZES: [Size; 7] = [
        (1, 2),
        (8, 2),
        (63, 34),
        (64, 16),
        (131, 98),
        (321, 46),
        (1776, 130),
    ];

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn tiles_have_the_bits_of_the_whole_at_every_edge() {
        for format in [ffi::AVPixelFormat::YUV420P, ffi::AVPixelFormat::YUVJ420P] {
            for size in SIZES {
                let picture = noise(format.0, size).expect("a picture");
                assert!(
                    Checked::default().may_be_partial(&picture, size),
                    "{size:?}"
                );
            }
        }
    }

    #[test]
    fn kinds_that_are_not_converted_block_by_block_are_made_whole() {
        for (format, size) in [
            (ffi::AVPixelFormat::YUV420P, (64, 33)),
            (ffi::AVPixelFormat::YUV420P10LE, (64, 32)),
            (ffi::AVPixelFormat::NV12, (64, 32)),
            (ffi::AVPixelFormat::YUV444P, (64, 32)),
        ] {
            let picture = noise(format.0, size).expect("a picture");
            let may = Checked::default().may_be_partial(&picture, size);
            assert!(!may, "{format:?} {size:?}");
        }
    }

    /// Rectangles inside the picture, across every border, far outside, turned, tiny and huge, at
    /// whose positions sampling finds all its pixels made; and no more is made than needs to be.
    #[test]
    fn what_sampling_reads_of_an_area_is_made() {
        let mut random = SplitMix64::new(8);
        let (stored, shown) = ((400, 272), (387, 263));
        let format = ffi::AVPixelFormat::YUV420P.0;
        let decoded = Decoded::new(noise(format, stored).expect("a picture"), stored, shown);
        let everything = PixelRooms::default();
        let mut whole = everything.begin(&decoded);
        let whole = whole.show(&mut once([[f64::NAN; 2]; 4]));
        let rooms = PixelRooms::default();
        let mut was_partial = 0;
        for _ in 0..400 {
            drop(rooms.begin(&decoded));
            // Whatever was made before is spoilt.
            for (i, byte) in lock(&rooms.0)[0].bytes.iter_mut().enumerate() {
                *byte = if i % 2 == 0 { 0x5a } else { 0xa5 };
            }
            let mut within = |low: f64, high: f64| low + (high - low) * random.next_fraction();
            let center = [within(-250.0, 650.0), within(-200.0, 470.0)];
            let side = within(0.0, 20.0) * within(0.0, 20.0);
            let sides = [side, side * within(0.2, 1.0)];
            let (sin, cos) = within(-4.0, 4.0).sin_cos();
            let at = |u: f64, v: f64| {
                let (x, y) = (u * sides[0], v * sides[1]);
                [center[0] + x * cos - y * sin, center[1] + x * sin + y * cos]
            };
            let corners = [at(-0.5, -0.5), at(0.5, -0.5), at(0.5, 0.5), at(-0.5, 0.5)];
            let mut picture = rooms.begin(&decoded);
            let view = picture.show(&mut once(corners));
            const STEPS: usize = 60;
            for i in 0..=STEPS {
                for j in 0..=STEPS {
                    let part = |step: usize| step as f64 / STEPS as f64 - 0.5;
                    let [x, y] = at(part(i), part(j)).map(|value| (value * 32.0).round() / 32.0);
                    for (x, y) in [(x, y), (x + 1.0, y), (x, y + 1.0), (x + 1.0, y + 1.0)] {
                        let x = x.floor().clamp(0.0, 386.0) as usize;
                        let y = y.floor().clamp(0.0, 262.0) as usize;
                        assert_eq!(view.pixel(x, y), whole.pixel(x, y), "{x}, {y}: {corners:?}");
                    }
                }
            }
            drop(picture);
            let room = &lock(&rooms.0)[0];
            let made = room.made.iter().filter(|made| **made).count();
            assert!(made > 0);
            was_partial += usize::from(made < room.made.len() / 2);
        }
        assert!(was_partial > 100, "{was_partial}");
    }

    #[test]
    fn tiles_that_are_made_are_not_made_again_until_the_next_frame() {
        let size = (640, 64);
        let format = ffi::AVPixelFormat::YUV420P.0;
        let decoded = Decoded::new(noise(format, size).expect("a picture"), size, size);
        let rooms = PixelRooms::default();
        let area =
            |left: f64, right: f64| [[left, 20.0], [right, 20.0], [right, 28.0], [left, 28.0]];
        let made = |room: &PixelRoom| -> Vec<usize> {
            let made = room.made.iter().enumerate();
            made.filter_map(|(place, made)| made.then_some(place))
                .collect()
        };
        let spoilt = [1, 2, 3];
        let mut picture = rooms.begin(&decoded);
        picture.show(&mut once(area(200.0, 250.0)));
        assert_eq!(made(&picture.room), [13]);
        // Column 200 of row 20.
        let at = 20 * row_bytes(640) + 3 * 200;
        picture.room.bytes[at..at + 3].copy_from_slice(&spoilt);
        let view = picture.show(&mut once(area(10.0, 600.0)));
        assert_eq!(view.pixel(200, 20), spoilt);
        assert_eq!(made(&picture.room), (10..20).collect::<Vec<_>>());
        drop(picture);
        let mut next = rooms.begin(&decoded);
        let view = next.show(&mut once(area(200.0, 250.0)));
        assert_ne!(view.pixel(200, 20), spoilt);
    }
}
