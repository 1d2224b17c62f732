//! Which of a file's pictures are the video: proxies, previews, covers and second cameras lie
//! beside it.

/// What is known of a track of pictures before anything is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Counts all streams of the file from 0, sound and text too.
    pub index: usize,
    pub width: u32,
    pub height: u32,
    pub codec: String,
    /// Enabled (MP4) or marked as the default (Matroska).
    pub is_default: bool,
    /// A cover or thumbnail.
    pub is_still: bool,
    /// The container says that it has one picture: the photo beside a phone's short video.
    pub has_one_picture: bool,
    pub has_decoder: bool,
}

impl Track {
    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// As warnings call it. Where no track is enabled, the container has no such mark.
    fn described(&self, has_marks: bool) -> String {
        let Self {
            index,
            width,
            height,
            codec,
            ..
        } = self;
        let kind = match (self.has_one_picture, self.is_default || !has_marks) {
            (true, _) => ", one picture",
            (false, true) => "",
            (false, false) => ", not enabled",
        };
        format!("track {index} ({codec}, {width}x{height}{kind})")
    }
}

/// The track that is the video: of those that are no stills and can be decoded the enabled or
/// default one, of several the one with the most pixels, of those the first. One with a single
/// picture comes last.
pub fn choose(tracks: &[Track]) -> Option<&Track> {
    let moving = tracks
        .iter()
        .filter(|track| !track.is_still && track.has_decoder && track.pixels() > 0);
    moving.max_by_key(|track| {
        (
            !track.has_one_picture,
            track.is_default,
            track.pixels(),
            std::cmp::Reverse(track.index),
        )
    })
}

/// What to tell of the moving pictures that were left out.
pub fn note_on_others(tracks: &[Track], chosen: usize) -> Option<String> {
    let chosen = tracks.iter().find(|track| track.index == chosen)?;
    let has_marks = tracks.iter().any(|track| track.is_default);
    let others: Vec<String> = tracks
        .iter()
        .filter(|track| track.index != chosen.index && !track.is_still)
        .map(|track| track.described(has_marks))
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "{} is read; left out: {}",
            chosen.described(has_marks),
            others.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(index: usize, width: u32, is_default: bool) -> Track {
        Track {
            index,
            width,
            height: width / 2,
            codec: "h264".into(),
            is_default,
            is_still: false,
            has_one_picture: false,
            has_decoder: true,
        }
    }

    fn chosen(tracks: &[Track]) -> Option<usize> {
        choose(tracks).map(|track| track.index)
    }

    #[test]
    fn the_default_track_comes_first_then_the_largest_and_never_a_cover() {
        let cover = Track {
            is_still: true,
            is_default: true,
            ..track(9, 4000, true)
        };
        let unknown = Track {
            has_decoder: false,
            ..track(8, 8000, true)
        };
        assert_eq!(chosen(&[track(0, 64, false), track(1, 432, true)]), Some(1));
        assert_eq!(
            chosen(&[track(0, 432, true), track(1, 640, false)]),
            Some(0)
        );
        assert_eq!(
            chosen(&[track(0, 64, false), track(2, 432, false)]),
            Some(2)
        );
        assert_eq!(chosen(&[track(1, 64, true), track(2, 64, true)]), Some(1));
        let all = [cover.clone(), unknown, track(1, 64, false)];
        assert_eq!(chosen(&all), Some(1));
        assert_eq!(chosen(&[cover]), None);
        assert_eq!(
            note_on_others(&all, 1).as_deref(),
            Some("track 1 (h264, 64x32, not enabled) is read; left out: track 8 (h264, 8000x4000)")
        );
        assert_eq!(note_on_others(&all[2..], 1), None);
        let photo = Track {
            has_one_picture: true,
            ..track(0, 1440, true)
        };
        let live = [photo.clone(), track(1, 432, false)];
        assert_eq!(chosen(&live), Some(1));
        assert_eq!(
            note_on_others(&live, 1).as_deref(),
            Some(
                "track 1 (h264, 432x216, not enabled) is read; left out: track 0 (h264, 1440x720, one picture)"
            )
        );
        assert_eq!(chosen(&[photo]), Some(0));
        // Containers without marks.
        let two = [track(0, 64, false), track(1, 432, false)];
        assert_eq!(
            note_on_others(&two, 1).as_deref(),
            Some("track 1 (h264, 432x216) is read; left out: track 0 (h264, 64x32)")
        );
    }
}
