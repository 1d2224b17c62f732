//! The picture type that decoding hands to pose estimation: borrowed pixels, nothing else.

/// A borrowed 8-bit, three-channel picture in OpenCV's channel order (blue, green, red).
///
/// Pixel (x, y) starts at byte `y * stride + 3 * x` of `data`.
#[derive(Clone, Copy)]
pub struct BgrView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
}

impl<'a> BgrView<'a> {
    /// Wraps `height` rows of `stride` bytes each; `None` when `data` is too short for that, or a
    /// row too short for `width` pixels, or the picture is empty.
    pub fn new(data: &'a [u8], width: usize, height: usize, stride: usize) -> Option<Self> {
        let row_bytes = width.checked_mul(3)?;
        let last_row = height.checked_sub(1)?;
        let needed = last_row.checked_mul(stride)?.checked_add(row_bytes)?;
        (width > 0 && stride >= row_bytes && data.len() >= needed).then_some(Self {
            data,
            width,
            height,
            stride,
        })
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Byte distance between two rows.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All rows, with what may lie between them; the last row may end with its last pixel.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Blue, green, red of one pixel.
    #[inline]
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = y * self.stride + 3 * x;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }
}
