//! What decoding hands to pose estimation: borrowed pixels, or a picture whose pixels are made where
//! somebody looks.

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

    /// The pixels of each row, from the upper one on.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self { data, width, .. } = *self;
        data.chunks(self.stride)
            .take(self.height)
            .map(move |row| &row[..3 * width])
    }

    /// Blue, green, red of one pixel.
    #[inline]
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = y * self.stride + 3 * x;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }
}

/// The four corners of a rectangle, in order around it: x, y in pixels from the picture's upper left
/// corner, turned or not, inside the picture or not.
pub type Corners = [[f64; 2]; 4];

/// A picture that is not there as a whole: pixels are made where they are asked for.
pub trait PartialPicture {
    /// Pixels of a row, and rows.
    fn size(&self) -> [usize; 2];

    /// Makes what is missing of these areas; see [`Pixels::show`].
    fn show(&mut self, areas: &mut dyn Iterator<Item = Corners>) -> BgrView<'_>;
}

/// A picture that several threads may look at, each at pixels of its own.
pub trait Picture: Send + Sync {
    /// Its pixels. Those that somebody else has made are not among them.
    fn look(&self) -> Pixels<'_>;
}

/// The pixels of a frame, which whoever reads them asks for.
pub struct Pixels<'a>(Source<'a>);

enum Source<'a> {
    Whole(BgrView<'a>),
    Partial(Box<dyn PartialPicture + 'a>),
}

impl<'a> From<BgrView<'a>> for Pixels<'a> {
    /// All pixels are there.
    fn from(view: BgrView<'a>) -> Self {
        Self(Source::Whole(view))
    }
}

impl<'a> Pixels<'a> {
    /// Those that `picture` makes.
    pub fn partial(picture: impl PartialPicture + 'a) -> Self {
        Self(Source::Partial(Box::new(picture)))
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.size()[0]
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.size()[1]
    }

    fn size(&self) -> [usize; 2] {
        match &self.0 {
            Source::Whole(view) => [view.width(), view.height()],
            Source::Partial(picture) => picture.size(),
        }
    }

    /// The picture, of which those pixels may be read that bilinear sampling at positions in these
    /// areas looks at; for positions outside the picture, also the pixels of its edge that are
    /// nearest. All others are undefined, though some number or other.
    pub fn show(&mut self, areas: impl IntoIterator<Item = Corners>) -> BgrView<'_> {
        match &mut self.0 {
            Source::Whole(view) => *view,
            Source::Partial(picture) => picture.show(&mut areas.into_iter()),
        }
    }
}
