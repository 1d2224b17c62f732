//! Times of frames.

/// A time on a video's own clock, from its first frame on.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct MediaTime {
    secs: f64,
}

impl MediaTime {
    /// `secs` count from the first frame.
    pub const fn from_secs(secs: f64) -> Self {
        Self { secs }
    }

    /// Counted from the first frame.
    pub const fn as_secs(self) -> f64 {
        self.secs
    }
}
