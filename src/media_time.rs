//! Times of frames, and parts of videos.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Serialize;

/// Times that differ by less are the same: they come from whole ticks, by arithmetic that rounds.
const SAME_TIME_SECS: f64 = 1e-6;

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

/// When the frames of a stretch of a video are shown: of all of it, or of a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameTimes {
    /// Number of the stretch's first frame.
    pub first_frame: u64,
    /// A time for each frame.
    pub times: Vec<MediaTime>,
}

/// A place in a video. As text: `12.5`, `1:02.5` or `1:02:03` (seconds, minutes, hours), or `300f`
/// (a frame's number, from 0).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaPosition {
    /// On the file's own clock, 0 or more.
    Secs(f64),
    /// Counts from 0, in order of display.
    Frame(u64),
}

impl MediaPosition {
    /// Whether a frame is at this place, or behind it.
    pub fn is_reached(self, frame: u64, time: MediaTime) -> bool {
        match self {
            Self::Secs(secs) => time.as_secs() > secs - SAME_TIME_SECS,
            Self::Frame(wanted) => frame >= wanted,
        }
    }
}

impl fmt::Display for MediaPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secs(secs) => write!(f, "{secs}"),
            Self::Frame(frame) => write!(f, "{frame}f"),
        }
    }
}

/// What is no place in a video.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected seconds (12.5), minutes and seconds (1:02.5), hours too (1:02:03), or a frame (300f)"
)]
pub struct PositionError;

impl FromStr for MediaPosition {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if let Some(frame) = text.strip_suffix('f') {
            let frame = Some(frame).filter(|frame| is_number(frame));
            let frame = frame.and_then(|frame| frame.parse().ok());
            return frame.map(Self::Frame).ok_or(PositionError);
        }
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() > 3 || !parts.iter().all(|part| is_number(part)) {
            return Err(PositionError);
        }
        let mut secs = 0.0;
        for (place, part) in parts.iter().enumerate() {
            // Only the last part has decimals, and only the first one may be 60 and more.
            let is_last = place + 1 == parts.len();
            let value: f64 = part.parse().map_err(|_| PositionError)?;
            if !is_last && part.contains('.') || place > 0 && value >= 60.0 {
                return Err(PositionError);
            }
            secs = secs * 60.0 + value;
        }
        match secs.is_finite() {
            true => Ok(Self::Secs(secs)),
            false => Err(PositionError),
        }
    }
}

/// A part of a video: from the first frame that has reached `from` to the one before the first that
/// has reached `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MediaRange {
    /// `None`: from the first frame on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<MediaPosition>,
    /// Not included; `None`: to the last frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<MediaPosition>,
}

impl MediaRange {
    /// The whole video.
    pub const WHOLE: Self = Self {
        from: None,
        to: None,
    };

    /// These frames of it.
    pub fn of_frames(frames: Range<u64>) -> Self {
        Self {
            from: Some(MediaPosition::Frame(frames.start)),
            to: Some(MediaPosition::Frame(frames.end)),
        }
    }

    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        *self == Self::WHOLE
    }

    /// The same part, in one way of saying it.
    pub fn simplified(self) -> Self {
        let is_start = |from: &MediaPosition| {
            matches!(from, MediaPosition::Frame(0)) || *from == MediaPosition::Secs(0.0)
        };
        Self {
            from: self.from.filter(|from| !is_start(from)),
            to: self.to,
        }
    }

    /// Whether no frame of any video can be in it. Where a time is on one side and a frame on the
    /// other, only the video tells.
    pub fn is_empty(&self) -> bool {
        match (self.from, self.to) {
            (_, Some(MediaPosition::Frame(0))) => true,
            (_, Some(MediaPosition::Secs(to))) if to <= 0.0 => true,
            (Some(MediaPosition::Secs(from)), Some(MediaPosition::Secs(to))) => to <= from,
            (Some(MediaPosition::Frame(from)), Some(MediaPosition::Frame(to))) => to <= from,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Option<MediaPosition> {
        text.parse().ok()
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        for (text, secs) in [
            ("0", 0.0),
            ("12.5", 12.5),
            (".5", 0.5),
            ("90", 90.0),
            ("1:02.5", 62.5),
            ("90:00", 5400.0),
            ("1:02:03", 3723.0),
        ] {
            assert_eq!(position(text), Some(MediaPosition::Secs(secs)), "{text}");
        }
        assert_eq!(position("300f"), Some(MediaPosition::Frame(300)));
        for text in [
            "", "x", "-1", "+1", "1e3", "inf", "nan", "1:60", "1:02:75", "1.5:00", "1:2:3:4", "f",
            "1.5f", "-3f", "3F", "1 f", ":", "1:", "12,5",
        ] {
            assert_eq!(position(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_is_written_so_that_it_is_read_again() {
        for text in ["12.5", "0.1", "7", "300f"] {
            assert_eq!(position(text).map(|p| p.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_frame_at_the_very_time_has_reached_it() {
        let at = |secs| MediaTime::from_secs(secs);
        let from = MediaPosition::Secs(2.5);
        assert!(from.is_reached(0, at(75.0 * (1.0 / 30.0))));
        assert!(from.is_reached(0, at(2.499_999_999_9)) && from.is_reached(0, at(3.0)));
        assert!(!from.is_reached(75, at(2.466)));
        let frame = MediaPosition::Frame(3);
        assert!(frame.is_reached(3, at(0.0)) && !frame.is_reached(2, at(9.0)));
    }

    #[test]
    fn parts_without_any_frame_are_known() {
        let range = |from: &str, to: &str| MediaRange {
            from: position(from),
            to: position(to),
        };
        for (from, to) in [("2", "2"), ("2", "1"), ("5f", "5f"), ("", "0"), ("", "0f")] {
            assert!(range(from, to).is_empty(), "{from} {to}");
        }
        for (from, to) in [("1", "2"), ("5f", "6f"), ("9", "1f"), ("", "1"), ("3", "")] {
            assert!(!range(from, to).is_empty(), "{from} {to}");
        }
        assert!(range("0", "").simplified().is_whole());
        assert_eq!(range("0f", "3").simplified(), range("", "3"));
    }
}
