//! People who come close to each other: two tracks on one body become one, and numbers that two
//! people exchanged are set right. Pure bookkeeping over what is seen in each frame.

use super::matching::{Body, Place, box_iou, is_same_body};

/// Two tracks that follow one body for so many frames are one.
const MERGE_FRAMES: u32 = 5;
/// People whose boxes overlap more than this hide parts of each other.
const CONTACT_IOU: f64 = 0.1;
/// People who have been apart for so many frames are looked at anew.
const APART_FRAMES: u32 = 5;
/// Exchanged numbers have to fit better by this, as the sum of two differences in appearance; of
/// two tracks on one body one has to fit better by half of it. Two people in clothes of different
/// colours differ by four times as much.
const EXCHANGE_MARGIN: f64 = 0.25;

/// A track in a frame.
pub struct Seen<'a> {
    /// Which track it is; keys grow from track to track.
    pub key: u64,
    pub body: &'a Body,
    pub place: Place,
    /// The frame from which on it has not been broken.
    pub since: u64,
    /// Whether there is no doubt that this is a person.
    pub is_numbered: bool,
}

/// What is to be done about two tracks.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The track `goes` follows a body that another one follows; its own was last at `place`.
    OneBody { goes: u64, place: Place },
    /// Each of the two people looks like the other did.
    Exchanged([u64; 2]),
}

/// Two people who hide parts of each other, or did a moment ago.
struct Contact {
    tracks: [u64; 2],
    /// Where both were before they came to look like one body.
    before: [Place; 2],
    same_body_frames: u32,
    apart_frames: u32,
}

/// All pairs of people who are close.
#[derive(Default)]
pub struct Contacts {
    contacts: Vec<Contact>,
}

impl Contacts {
    pub fn clear(&mut self) {
        self.contacts.clear();
    }

    /// The track is no more.
    pub fn forget(&mut self, key: u64) {
        self.contacts.retain(|c| !c.tracks.contains(&key));
    }

    /// Whether somebody is close to the track.
    pub fn involve(&self, key: u64) -> bool {
        self.contacts.iter().any(|c| c.tracks.contains(&key))
    }

    /// Takes note of a frame. `seen` keeps its order from frame to frame; `unlike(i, j)` is how much
    /// the body of `seen[j]` differs from what `seen[i]` looked like when standing free, 0..1, if
    /// that can be told.
    pub fn update(
        &mut self,
        seen: &[Seen<'_>],
        mut unlike: impl FnMut(usize, usize) -> Option<f64>,
    ) -> Vec<Verdict> {
        for (i, a) in seen.iter().enumerate() {
            for b in &seen[i + 1..] {
                self.note(a, b);
            }
        }
        let mut verdicts = Vec::new();
        let both = |contact: &Contact| {
            let index = |key: u64| seen.iter().position(|track| track.key == key);
            index(contact.tracks[0]).zip(index(contact.tracks[1]))
        };
        let is_one = |contact: &Contact| contact.same_body_frames >= MERGE_FRAMES;
        while let Some(one) = self.contacts.iter().position(is_one) {
            let contact = self.contacts.remove(one);
            if let Some((a, b)) = both(&contact) {
                let goes = usize::from(second_goes(&seen[a], &seen[b], unlike(a, a), unlike(b, a)));
                let key = contact.tracks[goes];
                self.forget(key);
                let [first, second] = contact.before;
                let place = if goes == 0 { first } else { second };
                verdicts.push(Verdict::OneBody { goes: key, place });
            }
        }
        self.contacts.retain(|contact| {
            let has_parted = contact.apart_frames >= APART_FRAMES;
            if let Some((a, b)) = both(contact).filter(|_| has_parted) {
                let sum = |x: Option<f64>, y: Option<f64>| Some(x? + y?);
                let as_numbered = sum(unlike(a, a), unlike(b, b));
                let exchanged = sum(unlike(a, b), unlike(b, a));
                let margin = as_numbered.zip(exchanged).map(|(is, other)| is - other);
                if margin.is_some_and(|margin| margin > EXCHANGE_MARGIN) {
                    verdicts.push(Verdict::Exchanged(contact.tracks));
                }
            }
            !has_parted
        });
        verdicts
    }

    fn note(&mut self, a: &Seen<'_>, b: &Seen<'_>) {
        let are_one = is_same_body(a.body, b.body);
        let are_close = are_one || hide_each_other(a.body, b.body);
        let tracks = [a.key, b.key];
        let places = [a.place.clone(), b.place.clone()];
        let known = self.contacts.iter().position(|c| c.tracks == tracks);
        let contact = match known {
            Some(index) => &mut self.contacts[index],
            None if are_close => self.contacts.push_mut(Contact {
                tracks,
                before: places.clone(),
                same_body_frames: 0,
                apart_frames: 0,
            }),
            None => return,
        };
        if are_one {
            contact.same_body_frames += 1;
        } else {
            contact.same_body_frames = 0;
            contact.before = places;
        }
        contact.apart_frames = if are_close {
            0
        } else {
            contact.apart_frames + 1
        };
    }
}

/// Whether one of the two may hide parts of the other.
pub fn hide_each_other(a: &Body, b: &Body) -> bool {
    box_iou(a, b) > CONTACT_IOU
}

/// Which of two tracks on one body goes: whoever is in doubt, then whoever the body does not look
/// like, and where that cannot be told, whoever has not been followed as long.
fn second_goes(
    first: &Seen<'_>,
    second: &Seen<'_>,
    first_unlike: Option<f64>,
    second_unlike: Option<f64>,
) -> bool {
    if first.is_numbered != second.is_numbered {
        return first.is_numbered;
    }
    match first_unlike.zip(second_unlike) {
        Some((first, second)) if (first - second).abs() > EXCHANGE_MARGIN / 2.0 => second > first,
        _ => (second.since, second.key) > (first.since, first.key),
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::body_at;
    use super::*;

    /// Two people on a line: the first stays at 1000 px, the second is at `x_px`.
    fn update(
        contacts: &mut Contacts,
        frame: u64,
        x_px: f64,
        unlike: [[f64; 2]; 2],
    ) -> Vec<Verdict> {
        let bodies = [body_at(1000.0, 500.0), body_at(x_px, 500.0)];
        let seen = [0, 1].map(|i| Seen {
            key: i as u64,
            body: &bodies[i],
            place: Place {
                frame,
                roi: bodies[i].roi,
                velocity_px_per_frame: [0.0; 2],
            },
            since: i as u64,
            is_numbered: true,
        });
        contacts.update(&seen, |i, j| Some(unlike[i][j]))
    }

    const ALIKE: [[f64; 2]; 2] = [[0.1; 2]; 2];

    #[test]
    fn people_who_pass_at_a_distance_are_no_contact() {
        let mut contacts = Contacts::default();
        for frame in 0..20 {
            assert_eq!(update(&mut contacts, frame, 2000.0, ALIKE), []);
            assert!(!contacts.involve(0) && !contacts.involve(1));
        }
    }

    #[test]
    fn of_two_tracks_that_stay_on_one_body_the_older_stays() {
        let mut contacts = Contacts::default();
        assert_eq!(update(&mut contacts, 0, 1080.0, ALIKE), []);
        for frame in 1..MERGE_FRAMES.into() {
            assert_eq!(update(&mut contacts, frame, 1001.0, ALIKE), []);
        }
        let verdicts = update(&mut contacts, MERGE_FRAMES.into(), 1001.0, ALIKE);
        let [Verdict::OneBody { goes: 1, place }] = &verdicts[..] else {
            panic!("{verdicts:?}");
        };
        // The younger person was last seen on their own before the two became one.
        assert_eq!((place.frame, place.roi.center_x_px), (0, 1080.0));
        assert!(!contacts.involve(0));
    }

    #[test]
    fn a_body_that_looks_like_the_younger_one_stays_theirs() {
        let mut contacts = Contacts::default();
        let like_second = [[0.6, 0.6], [0.1, 0.1]];
        let verdicts: Vec<Verdict> = (0..MERGE_FRAMES.into())
            .flat_map(|frame| update(&mut contacts, frame, 1001.0, like_second))
            .collect();
        let [Verdict::OneBody { goes: 0, .. }] = &verdicts[..] else {
            panic!("{verdicts:?}");
        };
    }

    #[test]
    fn people_who_cross_for_a_moment_both_stay() {
        let mut contacts = Contacts::default();
        for frame in 0..30 {
            // 40 px a frame past each other: the trunks coincide for less than five frames.
            let x_px = 400.0 + 40.0 * frame as f64;
            assert_eq!(
                update(&mut contacts, frame, x_px, [[0.1, 0.6], [0.6, 0.1]]),
                []
            );
        }
    }

    #[test]
    fn numbers_are_exchanged_once_after_parting_and_only_on_clear_evidence() {
        for (own, other, expected) in [(0.6, 0.1, true), (0.1, 0.6, false), (0.3, 0.2, false)] {
            let mut contacts = Contacts::default();
            let unlike = [[own, other], [other, own]];
            let mut verdicts = update(&mut contacts, 0, 1080.0, unlike);
            assert!(contacts.involve(0) && contacts.involve(1));
            for frame in 1..20 {
                verdicts.extend(update(&mut contacts, frame, 2000.0, unlike));
            }
            let exchanged = Verdict::Exchanged([0, 1]);
            assert_eq!(verdicts, Vec::from_iter(expected.then_some(exchanged)));
            assert!(!contacts.involve(0));
        }
    }
}
