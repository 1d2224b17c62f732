//! Where decoding may begin for a part of a video, so that its frames are those that the whole video
//! gives.
//!
//! Pictures are counted by their times, which the container has for all of them; nothing is decoded
//! for that. Decoding begins at a key picture, and at the one before the nearest: where pictures
//! around a key picture refer to what is before it, the decoder has seen that as well.

use crate::media_time::MediaPosition;

/// A picture as it lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTime {
    /// When it is displayed; `None` where the container does not say.
    pub ticks: Option<i64>,
    /// When it is decoded.
    pub decoding_ticks: Option<i64>,
    /// Whether it can be decoded without others.
    pub is_key: bool,
    /// Whether it is only there for others' sake.
    pub is_hidden: bool,
}

/// A key picture, and how many pictures are before others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The decoding time to seek.
    pub decoding_ticks: i64,
    /// When the key picture is displayed.
    key_ticks: i64,
    /// Times of display, ascending: a picture's place is its number.
    ticks: Vec<i64>,
}

impl Entry {
    /// The number of the key picture.
    pub fn number(&self) -> u64 {
        self.ticks.partition_point(|ticks| *ticks < self.key_ticks) as u64
    }

    /// The number of the first frame that the decoder gives, which is displayed at this time; `None`
    /// where it ought to have given another one before.
    pub fn first_number(&self, ticks: i64) -> Option<u64> {
        let number = self.ticks.binary_search(&ticks).ok();
        let number = number.filter(|_| ticks <= self.key_ticks);
        number.map(|number| number as u64)
    }
}

/// Looks for the entry to the part that begins at `from`, through pictures in the order of the file.
///
/// `None` where decoding has to begin with the first picture: the part begins soon, or pictures have no
/// times of their own.
pub fn entry(
    mut pictures: impl Iterator<Item = StoredTime>,
    from: MediaPosition,
    start_ticks: i64,
    tick_secs: f64,
) -> Option<Entry> {
    let mut ticks = Vec::new();
    // Times of display and of decoding.
    let mut keys: Vec<(i64, i64)> = Vec::new();
    let is_before = |ticks: i64, number: usize| match from {
        MediaPosition::Secs(secs) => (ticks.saturating_sub(start_ticks)) as f64 * tick_secs < secs,
        MediaPosition::Frame(frame) => (number as u64) < frame,
    };
    let mut keys_behind = 0;
    // Pictures behind a key picture may be displayed before it, but not before the key picture that
    // came before.
    while keys_behind < 2 {
        let Some(picture) = pictures.next() else {
            break;
        };
        if picture.is_hidden {
            continue;
        }
        let displayed = picture.ticks?;
        if picture.is_key {
            keys_behind += usize::from(!is_before(displayed, ticks.len()));
            keys.push((displayed, picture.decoding_ticks?));
        }
        ticks.push(displayed);
    }
    ticks.sort_unstable();
    if ticks.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let number = |displayed: i64| ticks.partition_point(|other| *other < displayed);
    keys.retain(|(displayed, _)| is_before(*displayed, number(*displayed)));
    keys.sort_unstable();
    let before_last = keys.len().checked_sub(2)?;
    // Nothing is gained by a way in at the beginning.
    let (key_ticks, decoding_ticks) = *keys.get(before_last).filter(|_| before_last > 0)?;
    Some(Entry {
        decoding_ticks,
        key_ticks,
        ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of ten pictures: key, then each third one before the two between, as H.264 has them.
    fn pictures(groups: i64) -> Vec<StoredTime> {
        let order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8];
        (0..groups)
            .flat_map(|group| {
                order
                    .iter()
                    .enumerate()
                    .map(move |(place, shown)| StoredTime {
                        ticks: Some(100 * (10 * group + shown) + 200),
                        decoding_ticks: Some(100 * (10 * group + place as i64)),
                        is_key: place == 0,
                        is_hidden: false,
                    })
            })
            .collect()
    }

    fn entry_of(pictures: Vec<StoredTime>, from: MediaPosition) -> Option<Entry> {
        entry(pictures.into_iter(), from, 200, 1e-3)
    }

    #[test]
    fn decoding_begins_two_key_pictures_before_the_part() {
        for from in [MediaPosition::Frame(45), MediaPosition::Secs(4.5)] {
            let entry = entry_of(pictures(9), from).expect("an entry");
            assert_eq!(entry.decoding_ticks, 3000, "{from}");
            assert_eq!(entry.number(), 30);
            assert_eq!(entry.first_number(3200), Some(30));
            assert_eq!(entry.first_number(3100), Some(29));
            assert_eq!(entry.first_number(3101), None);
            // The key picture is missing.
            assert_eq!(entry.first_number(3300), None);
        }
        // The part begins with a key picture.
        let entry = entry_of(pictures(9), MediaPosition::Frame(50)).expect("an entry");
        assert_eq!(entry.decoding_ticks, 3000);
    }

    #[test]
    fn nothing_behind_the_part_is_looked_at() {
        let mut seen = 0;
        let counted = pictures(1000).into_iter().inspect(|_| seen += 1);
        assert!(entry(counted, MediaPosition::Frame(45), 200, 1e-3).is_some());
        assert!(seen < 70, "{seen}");
    }

    #[test]
    fn an_early_part_and_pictures_without_times_have_no_entry() {
        assert_eq!(entry_of(pictures(9), MediaPosition::Frame(15)), None);
        assert_eq!(entry_of(pictures(1), MediaPosition::Secs(0.5)), None);
        let mut timeless = pictures(9);
        timeless[12].ticks = None;
        assert_eq!(entry_of(timeless, MediaPosition::Frame(45)), None);
        let mut twice = pictures(9);
        twice[12].ticks = twice[13].ticks;
        assert_eq!(entry_of(twice, MediaPosition::Frame(45)), None);
    }

    #[test]
    fn hidden_pictures_have_no_number() {
        let mut hidden = pictures(9);
        for picture in &mut hidden[..3] {
            picture.is_hidden = true;
        }
        let entry = entry_of(hidden, MediaPosition::Frame(45)).expect("an entry");
        // 0, 3 and 1 are hidden, and frame 45 is picture 48.
        assert_eq!(entry.decoding_ticks, 3000);
        assert_eq!(entry.first_number(3200), Some(27));
    }
}
