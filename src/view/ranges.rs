//! Byte ranges: which part of a file a request wants (RFC 9110, 14).

/// The most bytes of one answer to a range; players ask for the rest when they need it, so that no
/// connection is held by one that waits.
pub const MAX_RANGE_BYTES: u64 = 8 << 20;

/// What of a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range was asked for, or one that is not understood.
    Whole,
    /// These bytes, both included.
    Bytes {
        /// Number of the first byte, from 0.
        first: u64,
        /// Number of the last byte.
        last: u64,
    },
    /// The range begins behind the end.
    Unsatisfiable,
}

impl Part {
    /// What a `Range` header wants of a file of `size` bytes. Several ranges get the whole file, as
    /// the specification allows.
    pub fn of(header: Option<&str>, size: u64) -> Self {
        let range = header.and_then(|header| header.trim().strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
            return Self::Whole;
        };
        let (first, last) = (number(first), number(last));
        let (first, last) = match (first, last) {
            (Bound::At(first), Bound::Open) => (first, u64::MAX),
            (Bound::At(first), Bound::At(last)) if first <= last => (first, last),
            // The last so many bytes.
            (Bound::Open, Bound::At(0)) => return Self::Unsatisfiable,
            (Bound::Open, Bound::At(count)) => (size.saturating_sub(count), u64::MAX),
            _ => return Self::Whole,
        };
        if first >= size {
            return Self::Unsatisfiable;
        }
        let last = last
            .min(size - 1)
            .min(first.saturating_add(MAX_RANGE_BYTES - 1));
        Self::Bytes { first, last }
    }
}

enum Bound {
    At(u64),
    Open,
    Nonsense,
}

fn number(text: &str) -> Bound {
    match text.trim() {
        "" => Bound::Open,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_or(Bound::Nonsense, Bound::At)
        }
        _ => Bound::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_specification() {
        let part = |header| Part::of(Some(header), 1000);
        let bytes = |first, last| Part::Bytes { first, last };
        assert_eq!(Part::of(None, 1000), Part::Whole);
        assert_eq!(part("bytes=0-"), bytes(0, 999));
        assert_eq!(part("bytes=0-0"), bytes(0, 0));
        assert_eq!(part("bytes=500-2000"), bytes(500, 999));
        assert_eq!(part("bytes=-100"), bytes(900, 999));
        assert_eq!(part("bytes=-5000"), bytes(0, 999));
        for behind in ["bytes=1000-", "bytes=1000-1001", "bytes=-0"] {
            assert_eq!(part(behind), Part::Unsatisfiable, "{behind}");
        }
        for other in [
            "bytes=5-4",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "bytes=99999999999999999999-",
            "lines=0-1",
            "",
        ] {
            assert_eq!(part(other), Part::Whole, "{other}");
        }
        assert_eq!(Part::of(Some("bytes=0-"), 0), Part::Unsatisfiable);
    }

    #[test]
    fn an_answer_is_bounded() {
        let size = 10 * MAX_RANGE_BYTES;
        let bytes = |first| Part::Bytes {
            first,
            last: first + MAX_RANGE_BYTES - 1,
        };
        assert_eq!(Part::of(Some("bytes=0-"), size), bytes(0));
        assert_eq!(Part::of(Some("bytes=7-"), size), bytes(7));
    }
}
