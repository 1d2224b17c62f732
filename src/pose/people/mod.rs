//! Follows several people through a video.
//!
//! Each person has a region, a smoother and landmark runs of their own, as someone who is followed
//! alone. While fewer people are followed than wanted, the detector looks for more every few
//! frames, in the picture with all known people painted over; what it finds is read by the
//! landmark model in the same frame, painted over too, and so on until nobody new is found.
//! Two tracks that have come to follow one body become one. With everybody painted over who is
//! followed already, a detection is someone new, or what a cover left visible; which of the two,
//! the places of the hips and the landmarks tell.
//!
//! Numbers: people get them from 0 on in the order of appearance, from left to right within a
//! frame. Someone doubtful gets one only after being followed for a while, and is then reported for
//! the frames before as well ([`LOOKAHEAD_FRAMES`]; see [`PoseBackend::take_earlier`]). Who is lost keeps the number for a while, and has it back on reappearing near the expected place, in a
//! similar size and in the same colours, unless that could be someone else as well. After two
//! people have been close their looks are compared with those from before, and numbers that were
//! exchanged are set right.
//!
//! With one person wanted, everybody is found in the same way whenever nobody is followed, and one
//! is chosen; that is person 0 from beginning to end.
//!
//! Who was read in a frame may be read in the next ones before it is their turn ([`Landmarkers::read_all`]).
//!
//! Resident: a track per person and [`MAX_LOST`] lost ones at most, a few kilobytes each, with 1.1 KB
//! a frame for who is not certain yet, beside the models (see [`Landmarkers`]). Results do not depend on threads.

mod ahead;
mod appearance;
mod contacts;
mod cover;
mod landmarkers;
mod matching;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::landmarker::RawPose;
use super::model_files::ModelFiles;
use super::model_threads::ModelThreads;
use super::roi::{ImageSize, Region, Roi};
use super::session::PoseModels;
use super::smoothing::Smoother;
use super::stages::{Certainty, DetectorStage};
use super::tracker::{Pick, TrackerConfig, Tracking, person_pose, smoother};
use super::{EarlierPose, PersonPose, PoseBackend, PoseError, PoseTimings};
use crate::image::{Picture, Pixels};
use crate::media_time::MediaTime;
use ahead::Followed;
use appearance::Appearance;
use contacts::{Contacts, Seen, Verdict, hide_each_other};
use landmarkers::Landmarkers;
use matching::{
    Body, MAX_ABSENCE_FRAMES, Place, clear_pairs, distance, is_region_of, is_same_body,
    recovery_cost,
};

/// Among so many people one is chosen who is to be followed alone.
const MAX_CHOICE: usize = 8;
/// So many lost people are remembered, the latest.
const MAX_LOST: usize = 32;
/// Numbers end here: the lake's column takes no more. Nobody new is reported then.
const MAX_PERSON: u16 = i16::MAX as u16;
/// So many times someone found beside others, or unclear, is read again before they count.
const REREADINGS: usize = 3;
/// ...of which the last so many have to be clear for them to be taken for real at once.
const CLEAR_READINGS: u32 = 2;
/// Everybody else needs so much proof: a sure pose (see [`Certainty`]) counts as 1, a clear one of
/// somebody who stands free as [`CLEAR_PROOF`].
const ENOUGH_PROOF: u32 = 20;
const CLEAR_PROOF: u32 = 4;
/// Who appears close to others, while someone is missed, may be half hidden and not look like
/// themselves; so many frames are waited until they can be recognised.
const RECOGNITION_FRAMES: u64 = 60;
/// Who becomes certain is reported for so many frames before, at most: four seconds, twice as long
/// as anybody waits who is not nearly always read badly.
pub const LOOKAHEAD_FRAMES: usize = 120;
/// Who was recognised and is lost again within so many frames is also looked for where, and as, they were
/// before: something else may have passed for them.
const RECOVERY_FRAMES: u64 = 15;
/// Weight of a frame in what someone looks like.
const LOOK_WEIGHT: f32 = 0.1;
/// Weight of a frame in the velocity of someone.
const VELOCITY_WEIGHT: f64 = 0.3;
/// A place that has not been sure for so many frames is better than an older one.
const MAX_SURE_AGE_FRAMES: u64 = 15;

/// Someone who is followed.
struct Track {
    /// Which track it is, whatever the number of the person.
    key: u64,
    /// `None` while there is doubt whether, or who, this is.
    person: Option<u16>,
    /// How sure it is that this is a person; see [`ENOUGH_PROOF`].
    proof: u32,
    /// The frame from which on they are followed without a break.
    since: u64,
    smoother: Smoother,
    body: Body,
    /// Where to look for them in the next frame.
    region: Region,
    velocity_px_per_frame: [f64; 2],
    /// Where they were last seen well: poses that are not sure are often torn apart, just before people
    /// are lost.
    place: Place,
    appearance: Appearance,
    pose: RawPose,
    probability: f32,
    /// Whether no other track is on the same body; told in frames in which there is doubt.
    is_apart: bool,
    /// Frames and poses since they are followed, of who has no number yet.
    earlier: VecDeque<(u64, PersonPose)>,
    /// Of who was lost and recognised.
    recovered: Option<Recovered>,
}

/// When someone was recognised, and where and as what they had been lost.
struct Recovered {
    frame: u64,
    place: Place,
    appearance: Appearance,
}

impl Track {
    fn place_now(&self, frame: u64) -> Place {
        Place {
            frame,
            roi: self.body.roi,
            velocity_px_per_frame: self.velocity_px_per_frame,
        }
    }

    /// Remembers the pose in `frame` while there is doubt; afterwards gives what was remembered.
    fn remember(&mut self, frame: u64, size: ImageSize, told: &mut Vec<EarlierPose>) {
        match self.person {
            Some(person) => {
                let poses = self.earlier.drain(..);
                told.extend(poses.map(|(earlier, pose)| EarlierPose {
                    frames_ago: (frame - earlier) as usize,
                    pose: PersonPose { person, ..pose },
                }));
            }
            None => {
                let is_old = |earlier: &u64| frame - earlier >= LOOKAHEAD_FRAMES as u64;
                while self
                    .earlier
                    .front()
                    .is_some_and(|(earlier, _)| is_old(earlier))
                {
                    self.earlier.pop_front();
                }
                if self.is_apart {
                    let pose = person_pose(0, &self.pose, self.probability, size);
                    self.earlier.push_back((frame, pose));
                }
            }
        }
    }

    /// Goes on to `frame`, at `time_secs` on the filters' clock, with a new reading by `landmarkers`,
    /// unless that gives no region to go on from.
    fn go_on(
        &mut self,
        (raw, probability): (RawPose, f32),
        frame: u64,
        time_secs: f64,
        landmarkers: &Landmarkers,
        size: ImageSize,
    ) -> Trace {
        let pose = self.smoother.apply(&raw, time_secs);
        let body = Body::new(&pose);
        self.region = landmarkers.followed(&raw, &pose, size);
        if !body.roi.is_usable() || !self.region.is_usable() {
            return Trace::Lost;
        }
        let moved = [
            body.roi.center_x_px - self.body.roi.center_x_px,
            body.roi.center_y_px - self.body.roi.center_y_px,
        ];
        for (velocity, moved) in self.velocity_px_per_frame.iter_mut().zip(moved) {
            *velocity += VELOCITY_WEIGHT * (moved - *velocity);
        }
        (self.body, self.pose, self.probability) = (body, pose, probability);
        let is_sure = probability >= landmarkers.certainty().sure;
        if is_sure || frame - self.place.frame > MAX_SURE_AGE_FRAMES {
            self.place = self.place_now(frame);
        }
        Trace::Found
    }
}

/// Whether someone who is followed is still where they were expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    Found,
    Lost,
}

/// Someone who was followed.
struct Lost {
    person: u16,
    smoother: Smoother,
    place: Place,
    appearance: Appearance,
    /// Where and as what they were lost before that, if they were not followed for long since.
    before: Option<Recovered>,
}

impl Lost {
    /// When they are recognised.
    fn recovered_in(&self, frame: u64) -> Recovered {
        let (place, appearance) = match &self.before {
            Some(before) => (&before.place, &before.appearance),
            None => (&self.place, &self.appearance),
        };
        Recovered {
            frame,
            place: place.clone(),
            appearance: appearance.clone(),
        }
    }

    /// How ill someone who is seen in `frame` fits; `None` where it cannot be them.
    fn cost(&self, (roi, look): &(Roi, Appearance), frame: u64) -> Option<f64> {
        let cost = |place: &Place, appearance: &Appearance| {
            recovery_cost(place, roi, appearance.distance(look)?, frame)
        };
        let before = self.before.as_ref();
        let costs = [
            cost(&self.place, &self.appearance),
            before.and_then(|before| cost(&before.place, &before.appearance)),
        ];
        costs.into_iter().flatten().min_by(f64::total_cmp)
    }
}

/// Someone who has just been found.
struct Newcomer {
    raw: RawPose,
    probability: f32,
    body: Body,
    appearance: Appearance,
    /// Whether the last readings of them were not all clear.
    is_doubtful: bool,
}

/// When and where to look for more people.
struct Search {
    frames_to_wait: u32,
    /// Grows by one from search to search; starts anew when someone was lost.
    pause: u32,
    /// How often has been searched.
    turn: usize,
}

/// A picture whose sides differ by more is also looked at in parts.
const MIN_RATIO_IN_PARTS: f64 = 1.3;
/// Distance of the parts at most, in their sides.
const MAX_PART_STEP: f64 = 0.5;

impl Search {
    fn at_once() -> Self {
        Self {
            frames_to_wait: 0,
            pause: 1,
            turn: 0,
        }
    }

    /// To be asked once in each frame that has room for more people.
    fn is_due(&mut self, detect_every: u32) -> bool {
        if self.frames_to_wait > 0 {
            self.frames_to_wait -= 1;
            return false;
        }
        self.pause = self.pause.min(detect_every);
        self.frames_to_wait = self.pause - 1;
        self.pause += 1;
        true
    }

    /// The squares of the picture to look at in a search that is due: the whole picture, and for
    /// people who are small in it square parts of an oblong one: all at first, then one a time.
    fn views(&mut self, size: ImageSize) -> Vec<Roi> {
        let mut parts = parts(size);
        let turn = self.turn;
        self.turn += 1;
        if turn > 0 && !parts.is_empty() {
            parts = vec![parts[turn % parts.len()]];
        }
        parts.insert(0, Roi::letterbox(size));
        parts
    }
}

/// Overlapping squares that fill an oblong picture.
fn parts(size: ImageSize) -> Vec<Roi> {
    let side_px = size.width.min(size.height);
    let rest_px = size.width.max(size.height) - side_px;
    if rest_px < (MIN_RATIO_IN_PARTS - 1.0) * side_px {
        return Vec::new();
    }
    let steps = (rest_px / (MAX_PART_STEP * side_px)).ceil();
    let part = |step: usize| {
        let along_px = rest_px * step as f64 / steps;
        let is_wide = size.width > size.height;
        let (x_px, y_px) = if is_wide {
            (along_px, 0.0)
        } else {
            (0.0, along_px)
        };
        Roi {
            center_x_px: x_px + side_px / 2.0,
            center_y_px: y_px + side_px / 2.0,
            side_px,
            rotation_rad: 0.0,
        }
    };
    (0..=steps as usize).map(part).collect()
}

/// Whom to follow alone, if anybody; the better detected of equals.
fn picked(newcomers: Vec<Newcomer>, pick: Pick, size: ImageSize) -> Option<Newcomer> {
    let rank = |newcomer: &Newcomer| {
        let roi = &newcomer.body.roi;
        match pick {
            Pick::First | Pick::Longest => 0.0,
            Pick::Largest => -roi.side_px,
            Pick::Central => distance(
                newcomer.body.center_px(),
                [size.width / 2.0, size.height / 2.0],
            ),
        }
    };
    // Whoever is beyond doubt comes first.
    newcomers.into_iter().min_by(|a, b| {
        let by_rank = rank(a).total_cmp(&rank(b));
        a.is_doubtful.cmp(&b.is_doubtful).then(by_rank)
    })
}

/// Several people on ONNX Runtime, or one who is chosen from several.
pub struct MultiPersonTracker {
    detector: DetectorStage,
    landmarkers: Landmarkers,
    config: TrackerConfig,
    tracks: Vec<Track>,
    lost: Vec<Lost>,
    contacts: Contacts,
    search: Search,
    next_person: u16,
    next_key: u64,
    /// Number of the frame, from 1.
    frame: u64,
    /// Its time on the smoothing filters' clock.
    filter_secs: f64,
    /// Who became certain in it, in the frames before.
    earlier: Vec<EarlierPose>,
    timings: PoseTimings,
    is_partly_on_cpu: bool,
}

impl MultiPersonTracker {
    /// Loads the models; as many threads as a lone run has may run side by side.
    ///
    /// # Errors
    /// When the runtime or a model is missing or unusable.
    pub fn load(
        files: &ModelFiles,
        threads: impl Into<ModelThreads>,
        config: TrackerConfig,
    ) -> Result<Self, PoseError> {
        let threads = threads.into();
        let models = PoseModels::load(files, threads.clone())?;
        Ok(Self {
            is_partly_on_cpu: models.is_partly_on_cpu(),
            detector: DetectorStage::new(models.detector, config.min_detection_confidence),
            landmarkers: Landmarkers::new(
                models.landmarker,
                files.clone(),
                threads,
                config.min_tracking_confidence,
            ),
            config,
            tracks: Vec::new(),
            lost: Vec::new(),
            contacts: Contacts::default(),
            search: Search::at_once(),
            next_person: 0,
            next_key: 0,
            frame: 0,
            filter_secs: 0.0,
            earlier: Vec::new(),
            timings: PoseTimings::default(),
        })
    }

    fn max_persons(&self) -> usize {
        usize::from(self.config.max_persons.get())
    }

    /// Reads everybody who is followed in the new frame.
    fn follow(&mut self, frame: &mut Pixels<'_>) -> Result<(), PoseError> {
        let size = ImageSize::new(frame.width(), frame.height());
        let followed = self.tracks.iter().map(|track| Followed {
            key: track.key,
            region: track.region,
            smoother: &track.smoother,
        });
        let followed: Vec<Followed<'_>> = followed.collect();
        let readings =
            self.landmarkers
                .read_all(self.frame, frame, &followed, &mut self.timings)?;
        let started = Instant::now();
        for (mut track, reading) in std::mem::take(&mut self.tracks).into_iter().zip(readings) {
            let trace = reading.map_or(Trace::Lost, |reading| {
                track.go_on(
                    reading,
                    self.frame,
                    self.filter_secs,
                    &self.landmarkers,
                    size,
                )
            });
            match trace {
                Trace::Found => self.tracks.push(track),
                Trace::Lost => {
                    let place = track.place.clone();
                    self.lose(track, place);
                }
            }
        }
        self.timings.tracking += started.elapsed();
        Ok(())
    }

    /// Remembers someone who is followed no more, and looks for them from now on.
    fn lose(&mut self, mut track: Track, place: Place) {
        self.contacts.forget(track.key);
        let Some(person) = track.person else {
            return;
        };
        track.smoother.lost();
        let is_new = |recovered: &Recovered| self.frame - recovered.frame < RECOVERY_FRAMES;
        self.lost.push(Lost {
            person,
            smoother: track.smoother,
            place,
            appearance: track.appearance,
            before: track.recovered.filter(is_new),
        });
        if self.lost.len() > MAX_LOST {
            self.lost.remove(0);
        }
        self.search = Search::at_once();
    }

    /// Gives up one of two tracks that follow one body, and sets the numbers of people right who
    /// exchanged them while they were close.
    fn resolve_contacts(&mut self, frame: &mut Pixels<'_>) {
        let tracks = &self.tracks;
        let seen = tracks.iter().map(|track| Seen {
            key: track.key,
            body: &track.body,
            place: track.place_now(self.frame),
            since: track.since,
            is_numbered: track.person.is_some(),
        });
        let seen: Vec<Seen<'_>> = seen.collect();
        let verdicts = self.contacts.update(&seen, |i, j| {
            let look = Appearance::of(&tracks[j].body, frame);
            tracks[i].appearance.distance(&look)
        });
        for verdict in verdicts {
            match verdict {
                Verdict::OneBody { goes, place } => {
                    let gone = self.tracks.extract_if(.., |track| track.key == goes);
                    for track in gone.collect::<Vec<_>>() {
                        self.lose(track, place.clone());
                    }
                }
                Verdict::Exchanged(pair) => self.exchange_numbers(pair),
            }
        }
    }

    fn exchange_numbers(&mut self, pair: [u64; 2]) {
        let index = |key: u64| self.tracks.iter().position(|track| track.key == key);
        let [Some(a), Some(b)] = pair.map(index) else {
            return;
        };
        if let Ok([a, b]) = self.tracks.get_disjoint_mut([a, b]) {
            std::mem::swap(&mut a.person, &mut b.person);
            std::mem::swap(&mut a.appearance, &mut b.appearance);
        }
    }

    /// Looks for people who are not followed yet, in these squares of the picture.
    fn search(&mut self, frame: &mut Pixels<'_>, views: &[Roi]) -> Result<(), PoseError> {
        let wanted = match self.max_persons() {
            1 => MAX_CHOICE,
            several => several,
        };
        let mut known: Vec<Body> = self.tracks.iter().map(|t| t.body.clone()).collect();
        // A shape that passes for a person may lie over people; it is not painted over.
        let certain = self.tracks.iter().filter(|track| track.person.is_some());
        let mut covered: Vec<Body> = certain.map(|track| track.body.clone()).collect();
        let mut newcomers: Vec<Newcomer> = Vec::new();
        for view in views {
            while known.len() < wanted {
                let Some(newcomer) = self.find_newcomer(frame, view, &known, &covered)? else {
                    break;
                };
                known.push(newcomer.body.clone());
                covered.push(newcomer.body.clone());
                newcomers.push(newcomer);
            }
        }
        let started = Instant::now();
        let size = ImageSize::new(frame.width(), frame.height());
        if self.max_persons() == 1 {
            newcomers = picked(newcomers, self.config.pick, size)
                .into_iter()
                .collect();
        }
        self.admit(newcomers, size);
        self.timings.tracking += started.elapsed();
        Ok(())
    }

    /// Someone who is not `known` yet, if there is anybody. One at a time: with the next one
    /// painted over the detector sees the others better.
    fn find_newcomer(
        &mut self,
        frame: &mut Pixels<'_>,
        view: &Roi,
        known: &[Body],
        covered: &[Body],
    ) -> Result<Option<Newcomer>, PoseError> {
        let regions: Vec<Roi> = self.detector.run(
            frame,
            view,
            &mut self.timings,
            |tensor| {
                for body in covered {
                    cover::cover(tensor, body, view);
                }
            },
            |detections| {
                detections
                    .map(|detection| detection.roi())
                    .filter(Roi::is_usable)
                    .filter(|roi| !known.iter().any(|body| is_region_of(roi, body)))
                    .collect()
            },
        )?;
        for roi in regions {
            let newcomer = self.read_newcomer(frame, roi, known)?;
            if newcomer.is_some() {
                return Ok(newcomer);
            }
        }
        Ok(None)
    }

    /// Reads a detected region; `None` where it shows nobody, or one of the `known` bodies.
    ///
    /// Between two people there is often something that passes for a third. Read again from where
    /// the reading before says the body is, as tracking would, such a shape slides onto one of them
    /// or fades, and a real body stays.
    fn read_newcomer(
        &mut self,
        frame: &mut Pixels<'_>,
        roi: Roi,
        known: &[Body],
    ) -> Result<Option<Newcomer>, PoseError> {
        let Certainty { clear, .. } = self.landmarkers.certainty();
        let size = ImageSize::new(frame.width(), frame.height());
        let mut region: Option<Region> = None;
        let mut newcomer: Option<Newcomer> = None;
        let mut clear_readings = 0;
        for _ in 0..=REREADINGS {
            let (landmarkers, timings) = (&mut self.landmarkers, &mut self.timings);
            let reading = match &region {
                None => landmarkers.read_detected(frame, &roi, timings)?,
                Some(region) if region.is_usable() => landmarkers.read(frame, region, timings)?,
                Some(_) => None,
            };
            let Some((raw, probability)) = reading else {
                return Ok(None);
            };
            let body = Body::new(&raw);
            if !body.roi.is_usable() || known.iter().any(|known| is_same_body(&body, known)) {
                return Ok(None);
            }
            region = Some(self.landmarkers.followed(&raw, &raw, size));
            let is_clear = probability >= clear;
            clear_readings = if is_clear { clear_readings + 1 } else { 0 };
            // A clear reading counts, however it goes on: with somebody who is followed alone it is
            // the first as well.
            let has_clear = |newcomer: &Newcomer| newcomer.probability >= clear;
            if !newcomer.as_ref().is_some_and(has_clear) {
                newcomer = Some(Newcomer {
                    raw,
                    probability,
                    appearance: Appearance::of(&body, frame),
                    body,
                    is_doubtful: true,
                });
            }
            let is_alone = known.is_empty() && is_clear;
            if let Some(newcomer) = &mut newcomer {
                newcomer.is_doubtful = !is_alone && clear_readings < CLEAR_READINGS;
            }
            if is_alone {
                // As with someone who is followed alone.
                break;
            }
        }
        Ok(newcomer)
    }

    /// Follows newcomers from now on.
    fn admit(&mut self, newcomers: Vec<Newcomer>, size: ImageSize) {
        let seen: Vec<(Roi, Appearance)> = newcomers
            .iter()
            .map(|newcomer| (newcomer.body.roi, newcomer.appearance.clone()))
            .collect();
        let recognised = self.recognise(&seen);
        // A part of somebody who is followed may pass for a whole person, but not for long.
        let followed = self.tracks.len();
        for (newcomer, lost) in newcomers.into_iter().zip(recognised) {
            let mut others = self.tracks[..followed].iter();
            let is_close = others.any(|track| hide_each_other(&newcomer.body, &track.body));
            let recovered = lost.as_ref().map(|lost| lost.recovered_in(self.frame));
            let (person, mut smoother, appearance) = match lost {
                Some(lost) => (Some(lost.person), lost.smoother, lost.appearance),
                None => (None, smoother(&self.config), newcomer.appearance),
            };
            let pose = smoother.apply(&newcomer.raw, self.filter_secs);
            let body = Body::new(&pose);
            let region = self.landmarkers.followed(&newcomer.raw, &pose, size);
            if !body.roi.is_usable() || !region.is_usable() {
                continue;
            }
            self.tracks.push(Track {
                region,
                key: self.next_key,
                person,
                proof: match newcomer.is_doubtful || is_close {
                    true => 0,
                    false => ENOUGH_PROOF,
                },
                since: self.frame,
                smoother,
                velocity_px_per_frame: [0.0; 2],
                place: Place {
                    frame: self.frame,
                    roi: body.roi,
                    velocity_px_per_frame: [0.0; 2],
                },
                body,
                appearance,
                pose,
                probability: newcomer.probability,
                is_apart: true,
                earlier: VecDeque::new(),
                recovered,
            });
            self.next_key += 1;
        }
    }

    /// Gives numbers to those who have none yet: their own to those who are recognised, new ones,
    /// from left to right, to those who are proven and could not be anybody else.
    fn number(&mut self, frame: &mut Pixels<'_>) {
        let tracks = self.tracks.iter().enumerate();
        let unnumbered = tracks.filter(|(_, track)| track.person.is_none());
        let mut unnumbered: Vec<usize> = unnumbered.map(|(i, _)| i).collect();
        if unnumbered.is_empty() {
            return;
        }
        let Certainty { clear, sure } = self.landmarkers.certainty();
        let x_px = |i: usize| self.tracks[i].body.roi.center_x_px;
        unnumbered.sort_by(|a, b| x_px(*a).total_cmp(&x_px(*b)));
        let look = |i: &usize| {
            let body = &self.tracks[*i].body;
            (body.roi, Appearance::of(body, frame))
        };
        let seen: Vec<(Roi, Appearance)> = unnumbered.iter().map(look).collect();
        let recognised = self.recognise(&seen);
        for ((i, lost), (_, look)) in unnumbered.into_iter().zip(recognised).zip(seen) {
            let body = &self.tracks[i].body;
            let is_like = |like: fn(&Body, &Body) -> bool| {
                let mut others = self.tracks.iter().enumerate();
                others.any(|(other, track)| other != i && like(body, &track.body))
            };
            let (is_close, is_somebody_else) = (is_like(hide_each_other), is_like(is_same_body));
            let track = &mut self.tracks[i];
            track.is_apart = !is_somebody_else;
            if let Some(lost) = lost {
                track.recovered = Some(lost.recovered_in(self.frame));
                track.person = Some(lost.person);
                track.appearance = lost.appearance;
                continue;
            }
            if is_somebody_else {
                continue;
            }
            track.proof += match track.probability {
                probability if probability >= clear && !is_close => CLEAR_PROOF,
                probability if probability >= sure => 1,
                _ => 0,
            };
            let may_be_lost_one =
                is_close && !self.lost.is_empty() && self.frame - track.since < RECOGNITION_FRAMES;
            if track.proof > ENOUGH_PROOF && !may_be_lost_one && self.next_person <= MAX_PERSON {
                track.person = Some(self.next_person);
                track.appearance = look;
                self.next_person += 1;
            }
        }
    }

    /// For each of those who are `seen` in this frame who they are, if they were lost and are
    /// clearly found again. The found are taken from the lost.
    fn recognise(&mut self, seen: &[(Roi, Appearance)]) -> Vec<Option<Lost>> {
        if self.max_persons() == 1 {
            // Whoever is followed alone is person 0, as without a choice.
            return seen.iter().map(|_| self.lost.pop()).collect();
        }
        let frame = self.frame;
        self.lost
            .retain(|lost| frame - lost.place.frame <= MAX_ABSENCE_FRAMES);
        let costs_of = |seen: &(Roi, Appearance)| {
            let costs = self.lost.iter().map(|lost| lost.cost(seen, frame));
            costs.collect()
        };
        let costs: Vec<Vec<Option<f64>>> = seen.iter().map(costs_of).collect();
        let matches = clear_pairs(&costs);
        let mut lost: Vec<Option<Lost>> = self.lost.drain(..).map(Some).collect();
        let recognised = matches
            .into_iter()
            .map(|found| lost[found?].take())
            .collect();
        self.lost.extend(lost.into_iter().flatten());
        recognised
    }

    /// Learns what everybody who stands free looks like.
    fn learn_looks(&mut self, frame: &mut Pixels<'_>) {
        for track in &mut self.tracks {
            if !self.contacts.involve(track.key) {
                let look = Appearance::of(&track.body, frame);
                track.appearance.follow(look, LOOK_WEIGHT);
            }
        }
    }

    /// Forgets everybody, as between two videos.
    fn forget(&mut self) {
        self.tracks.clear();
        self.lost.clear();
        self.earlier.clear();
        self.contacts.clear();
        self.search = Search::at_once();
        self.next_person = 0;
    }
}

impl PoseBackend for MultiPersonTracker {
    fn start_video(&mut self) {
        self.forget();
        self.landmarkers.clear();
        self.frame = 0;
    }

    fn estimate(
        &mut self,
        mut frame: Pixels<'_>,
        time: MediaTime,
    ) -> Result<Vec<PersonPose>, PoseError> {
        let frame = &mut frame;
        self.frame += 1;
        self.filter_secs = self.config.filter_clock.secs(self.frame, time);
        if self.config.tracking == Tracking::Static {
            self.forget();
        }
        self.follow(frame)?;
        let started = Instant::now();
        self.resolve_contacts(frame);
        self.timings.tracking += started.elapsed();
        let detect_every = u32::from(self.config.detect_every.get());
        let is_room = self.tracks.len() < self.max_persons();
        let size = ImageSize::new(frame.width(), frame.height());
        if is_room && self.search.is_due(detect_every) {
            let views = self.search.views(size);
            self.search(frame, &views)?;
        } else if self.tracks.is_empty() {
            // As with one person: while nobody is followed, every frame is searched.
            self.search(frame, &[Roi::letterbox(size)])?;
        }
        let started = Instant::now();
        self.number(frame);
        self.learn_looks(frame);
        self.earlier.clear();
        for track in &mut self.tracks {
            track.remember(self.frame, size, &mut self.earlier);
        }
        let reported = self.tracks.iter().filter_map(|track| {
            let person = track.person?;
            Some(person_pose(person, &track.pose, track.probability, size))
        });
        let mut poses: Vec<PersonPose> = reported.collect();
        poses.sort_by_key(|pose| pose.person);
        self.timings.tracking += started.elapsed();
        self.landmarkers.finish(self.frame);
        Ok(poses)
    }

    fn announce(&mut self, picture: Arc<dyn Picture>, time: MediaTime) {
        // Only who is followed from frame to frame can be read ahead, beside others.
        if self.config.tracking == Tracking::Video && self.max_persons() > 1 {
            let number = self.frame + 1 + self.landmarkers.announced() as u64;
            let filter_secs = self.config.filter_clock.secs(number, time);
            self.landmarkers.announce(number, picture, filter_secs);
        }
    }

    fn forget_announced(&mut self) {
        self.landmarkers.clear();
    }

    fn skip(&mut self) {
        self.frame += 1;
        self.earlier.clear();
    }

    fn lookahead_frames(&self) -> usize {
        match self.config.tracking {
            Tracking::Video => LOOKAHEAD_FRAMES,
            Tracking::Static => 0,
        }
    }

    fn take_earlier(&mut self) -> Vec<EarlierPose> {
        std::mem::take(&mut self.earlier)
    }

    fn is_partly_on_cpu(&self) -> bool {
        self.is_partly_on_cpu
    }

    fn timings(&self) -> PoseTimings {
        self.timings
    }
}

#[cfg(test)]
mod tests {
    use super::appearance::tests::look;
    use super::matching::tests::body_at;
    use super::*;

    /// The first frames of 40 in which a search is due.
    fn searches(search: &mut Search, detect_every: u32) -> Vec<u32> {
        (0..40).filter(|_| search.is_due(detect_every)).collect()
    }

    #[test]
    fn an_oblong_picture_is_also_looked_at_in_parts() {
        let xs = |width, height| -> Vec<f64> {
            let parts = parts(ImageSize { width, height });
            parts.iter().map(|part| part.center_x_px).collect()
        };
        assert!(xs(1200.0, 1000.0).is_empty());
        assert_eq!(xs(1600.0, 800.0), [400.0, 800.0, 1200.0]);
        assert_eq!(xs(800.0, 1600.0), [400.0; 3]);
        let mut search = Search::at_once();
        let size = ImageSize::new(1600, 800);
        assert_eq!(search.views(size).len(), 4, "all at first");
        let mut part = || search.views(size)[1].center_x_px;
        assert_eq!(
            [part(), part(), part(), part()],
            [800.0, 1200.0, 400.0, 800.0]
        );
    }

    #[test]
    fn searches_become_rarer_until_they_come_every_so_many_frames() {
        let mut search = Search::at_once();
        assert_eq!(searches(&mut search, 8), [0, 1, 3, 6, 10, 15, 21, 28, 36]);
        assert_eq!(searches(&mut Search::at_once(), 1).len(), 40);
    }

    #[test]
    fn who_was_recognised_for_a_moment_is_still_who_they_were() {
        let (red, green) = ([40, 40, 200], [40, 200, 40]);
        let place = |frame: u64, x_px: f64| Place {
            frame,
            roi: body_at(x_px, 500.0).roi,
            velocity_px_per_frame: [0.0; 2],
        };
        let lost = |before: Option<Recovered>| Lost {
            person: 0,
            smoother: smoother(&TrackerConfig::default()),
            // Where something green was taken for them.
            place: place(24, 2500.0),
            appearance: look(green),
            before,
        };
        let them = (body_at(510.0, 500.0).roi, look(red));
        let the_other = (body_at(2510.0, 500.0).roi, look(green));
        let before = || Recovered {
            frame: 20,
            place: place(10, 500.0),
            appearance: look(red),
        };
        assert_eq!(lost(None).cost(&them, 28), None);
        assert!(lost(Some(before())).cost(&them, 28).is_some());
        // What they were taken for last counts as well: it may have been them.
        let cost = lost(None).cost(&the_other, 28);
        assert!(cost.is_some());
        assert_eq!(lost(Some(before())).cost(&the_other, 28), cost);
        // And if they are taken for something else again, the first place is not forgotten.
        let again = lost(Some(before())).recovered_in(28);
        assert_eq!((again.frame, again.place.frame), (28, 10));
    }
}
