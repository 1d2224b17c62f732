//! Filters the landmarks of videos in the lake and measures them again; no video is decoded.
//!
//! A zero-phase filter needs a path from its beginning to its end, so a video's poses are in memory
//! as a whole: about 1.1 KB per person and frame, 120 MB for an hour of one person at 30 frames a
//! second; three times as much while movements are looked for. Videos are taken one after the other.
//!
//! A landmark that is less visible than 0.5 counts as not seen, like one in a frame without the
//! person: its guessed position would spread over the frames around. Where a person is suddenly
//! somewhere else (see [`is_jump`]), and where the recording was paused ([`crate::metrics::timing`]),
//! all of its paths end and begin anew. Measured landmarks stay in the lake as they are.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use crate::lake::{
    CalibratedFrame, DerivedWriter, FilteredFrame, FilteredLandmark, Lake, LakeError,
    MeasuredFrame, PersonMovement, VideoRecord, to_lake_resolution,
};
use crate::metrics::calibration::HeightEstimate;
use crate::metrics::filter::{FilterConfig, FilterError, PathFilter, PieceOutcome};
use crate::metrics::geometry::{distance, midpoint};
use crate::metrics::{FrameMetrics, MIN_VISIBILITY, Measurer, is_jump};
use crate::movement::{
    self, CycleKind, DetectConfig, EventKind, Side, Track, TrackFrame, crossings, series, swaps,
};
use crate::pose::landmark::{LANDMARK_COUNT, Landmark};
use crate::pose::{FilterClock, ImageLandmark, PersonPose};
use crate::steps::Step;
use crate::sync::Cancellation;

/// How to filter and scale.
#[derive(Clone, Debug, PartialEq)]
pub struct RecomputeConfig {
    /// Its cut-off is the same for all videos and stretches.
    pub filter: FilterConfig,
    /// Of people who have none, everything stays in pixels.
    pub heights: Vec<KnownHeight>,
    /// What movements are looked for; each person's scale is that of `heights`.
    pub movement: DetectConfig,
}

/// A person whose height is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KnownHeight {
    /// The video's main person if it is not said.
    pub person: Option<u16>,
    /// Standing, from the ground to the top of the head; above 0.
    pub height_m: f64,
}

/// What was computed for a video.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecomputeReport {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// For people.
    pub file_name: String,
    /// All frames of the video, with and without a pose.
    pub frame_count: u64,
    /// All who are anywhere in the video, whether their landmarks are filtered or not.
    pub person_count: usize,
    /// Rows of `landmarks_filtered`.
    pub landmark_count: u64,
    /// Those of them that fill gaps.
    pub interpolated_count: u64,
    /// Those of them whose path was too short, or whose stretch too slow, to be filtered.
    pub unfiltered_count: u64,
    /// Measured landmarks that were not visible enough and lie in no short gap.
    pub left_out_count: u64,
    /// Where somebody was suddenly somewhere else, so that paths end and begin anew.
    pub jump_count: u64,
    /// What lies between the pauses of the recording, each filtered at its own rate.
    pub stretches: Vec<FilteredStretch>,
    /// Height of the first person whose height was given.
    pub height_px: Option<f64>,
    /// Metres of a picture's pixel where that person moves; `None` where no height was given.
    pub meters_per_px: Option<f64>,
    /// Of everybody whose height was given, by person.
    pub scales: Vec<PersonScale>,
    /// Who has no scale while others have one: their lengths are NULL.
    pub persons_without_height: Vec<u16>,
    /// Whether `metrics` was written by an older version and has been brought up to date.
    pub metrics_renewed: bool,
    /// What was found of the movement.
    pub movement: MovementCounts,
}

/// How far a picture's pixels reach where a person moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PersonScale {
    /// Number of the person within the video.
    pub person: u16,
    /// As it was given.
    pub height_m: f64,
    /// In the picture.
    pub height_px: f64,
    /// The one by the other.
    pub meters_per_px: f64,
}

/// How much was found of a video's movements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MovementCounts {
    /// Contacts of a foot while walking or running.
    pub initial_contacts: usize,
    /// Where a foot leaves the ground while walking or running.
    pub toe_offs: usize,
    /// With both feet off the ground.
    pub jumps: usize,
    /// Of an angle.
    pub repetitions: usize,
    /// Of walking and running, from contact to contact of a foot.
    pub strides: usize,
    /// Of these, the ones without a length because the person is nearer or farther there than where the scale
    /// is right, or comes nearer or goes away.
    pub strides_out_of_scale: usize,
    /// Rows of `cycles`.
    pub cycles: usize,
}

/// Frames that were taken without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FilteredStretch {
    /// Its number in the file, from 0.
    pub first_frame: usize,
    /// Included.
    pub last_frame: usize,
    /// `None` for a single frame, or when no time passes.
    pub rate_hz: Option<f64>,
    /// Whether it is long and fast enough for the filter.
    pub is_filtered: bool,
}

/// Why a video was not recomputed; its earlier rows are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RecomputeError {
    /// Rows cannot be read or committed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The cut-off is too high for every stretch.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The person whose height was given is not in the video.
    #[error("the video has no person {person}, whose height was given; it has {known}")]
    UnknownPerson {
        /// The number that was asked for.
        person: u16,
        /// The numbers that there are, in words.
        known: String,
    },
    /// The person is in the video, but never as a whole.
    #[error(
        "person {person} is never seen from head to heel, so its height in pixels is unknown; leave its --height-m out, or give that of another person"
    )]
    UnknownHeight {
        /// The number of who was to be the scale.
        person: u16,
    },
    /// Two heights were given for one person.
    #[error(
        "person {person}, the main one, has two heights; give --height-m METRES or --height-m {person}=METRES, not both"
    )]
    TwoHeights {
        /// The number of whose they are.
        person: u16,
    },
}

/// Recomputes videos, one after the other, and tells of each. A video is committed whole; after a
/// cancellation the next one is not begun. Frames are not told of: filters want all at once.
pub fn recompute_all(
    lake: &Lake,
    videos: &[VideoRecord],
    config: &RecomputeConfig,
    cancellation: &Cancellation,
    tell: impl FnMut(&VideoRecord, Step<Result<RecomputeReport, RecomputeError>>),
) {
    each(videos, cancellation, tell, |video| {
        recompute(lake, video, config)
    });
}

fn each<R>(
    videos: &[VideoRecord],
    cancellation: &Cancellation,
    mut tell: impl FnMut(&VideoRecord, Step<R>),
    work: impl Fn(&VideoRecord) -> R,
) {
    for video in videos {
        if cancellation.is_cancelled() {
            return;
        }
        tell(video, Step::Begun);
        tell(video, Step::Done(work(video)));
    }
}

/// Computes `landmarks_filtered` and `metrics_filtered` of a video anew and commits both; earlier
/// rows of the video in these tables are replaced.
///
/// # Errors
/// When the cut-off fits no stretch's frame rate, the height cannot be told, or the lake cannot be
/// read or written. The lake is as it was then.
pub fn recompute(
    lake: &Lake,
    video: &VideoRecord,
    config: &RecomputeConfig,
) -> Result<RecomputeReport, RecomputeError> {
    let mut poses = VideoPoses::read(lake, video)?;
    let mut report = RecomputeReport {
        video_id: video.video_id.clone(),
        file_name: video.file_name.clone(),
        frame_count: poses.times_secs.len() as u64,
        person_count: poses.people.len(),
        landmark_count: 0,
        interpolated_count: 0,
        unfiltered_count: 0,
        left_out_count: 0,
        jump_count: 0,
        stretches: Vec::new(),
        height_px: None,
        meters_per_px: None,
        scales: Vec::new(),
        persons_without_height: Vec::new(),
        metrics_renewed: poses.is_outdated,
        movement: MovementCounts::default(),
    };
    let filter = PathFilter::new(config.filter, &poses.times_secs)?;
    report.stretches = (filter.stretches().iter())
        .map(|stretch| FilteredStretch {
            first_frame: poses.number(stretch.frames.start),
            last_frame: poses.number(stretch.frames.end - 1),
            rate_hz: stretch.rate_hz,
            is_filtered: filter.takes(stretch),
        })
        .collect();
    // Movements are found in legs that were put right before they are filtered; the filtered tables
    // keep what the model said.
    let straightened = poses.as_seen(video);
    for path in poses.people.values_mut() {
        let counts = path.filter(&filter);
        report.landmark_count += counts.landmark;
        report.interpolated_count += counts.interpolated;
        report.unfiltered_count += counts.unfiltered;
        report.left_out_count += counts.left_out;
        report.jump_count += path.jumps.len() as u64;
    }
    let scales = poses.known_scales(lake, video, &config.heights)?;
    report.scales = scales.list();
    report.persons_without_height = scales.without(&poses);
    report.height_px = report.scales.first().map(|scale| scale.height_px);
    report.meters_per_px = report.scales.first().map(|scale| scale.meters_per_px);

    let writer = DerivedWriter {
        paths: lake.paths(),
        video,
    };
    let cutoff_hz = config.filter.cutoff_hz;
    let landmarks = writer.landmarks_filtered(|landmark| poses.rows(landmark, cutoff_hz))?;
    let mut measurer = Measurer::new();
    let frames = 0..poses.times_secs.len();
    let rows = frames.flat_map(|frame| poses.measure(frame, &mut measurer, &scales));
    let metrics = writer.metrics_filtered(rows, cutoff_hz)?;
    let (found, out_of_scale) =
        find_movements(&poses, straightened, &filter, &config.movement, &scales);
    report.movement = counts(&found, out_of_scale);
    let mut files = vec![
        ("landmarks_filtered", landmarks),
        ("metrics_filtered", metrics),
        ("events", writer.events(&found)?),
        ("cycles", writer.cycles(&found)?),
    ];
    if poses.is_outdated {
        files.push(("metrics", writer.metrics(renewed_rows(lake, video)?)?));
    }
    lake.commit_derived(&video.video_id, &video.config_hash, files)?;
    Ok(report)
}

/// What was found in a video, without changing its filtered rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectReport {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// For people.
    pub file_name: String,
    /// What was found.
    pub movement: MovementCounts,
    /// Metres of a picture's pixel where the first person moves whose height was given; `None` where none
    /// was.
    pub meters_per_px: Option<f64>,
    /// Of everybody whose height was given, by person.
    pub scales: Vec<PersonScale>,
    /// Who has no scale while others have one: their lengths are NULL.
    pub persons_without_height: Vec<u16>,
}

/// Finds movements in videos, one after the other, and tells of each; otherwise as
/// [`recompute_all`].
pub fn detect_all(
    lake: &Lake,
    videos: &[VideoRecord],
    config: &RecomputeConfig,
    cancellation: &Cancellation,
    tell: impl FnMut(&VideoRecord, Step<Result<DetectReport, RecomputeError>>),
) {
    each(videos, cancellation, tell, |video| {
        detect(lake, video, config)
    });
}

/// Finds the movements of a video anew and commits `events` and `cycles`; earlier rows of the video
/// in these tables are replaced.
///
/// # Errors
/// As [`recompute`].
pub fn detect(
    lake: &Lake,
    video: &VideoRecord,
    config: &RecomputeConfig,
) -> Result<DetectReport, RecomputeError> {
    let poses = VideoPoses::read(lake, video)?;
    let filter = PathFilter::new(config.filter, &poses.times_secs)?;
    let scales = poses.known_scales(lake, video, &config.heights)?;
    let straightened = poses.as_seen(video);
    let (found, out_of_scale) =
        find_movements(&poses, straightened, &filter, &config.movement, &scales);
    let writer = DerivedWriter {
        paths: lake.paths(),
        video,
    };
    let files = vec![
        ("events", writer.events(&found)?),
        ("cycles", writer.cycles(&found)?),
    ];
    lake.commit_derived(&video.video_id, &video.config_hash, files)?;
    Ok(DetectReport {
        video_id: video.video_id.clone(),
        file_name: video.file_name.clone(),
        movement: counts(&found, out_of_scale),
        meters_per_px: scales.list().first().map(|scale| scale.meters_per_px),
        scales: scales.list(),
        persons_without_height: scales.without(&poses),
    })
}

fn counts(found: &[PersonMovement], strides_out_of_scale: usize) -> MovementCounts {
    let events = |kind: EventKind| {
        let events = found.iter().flat_map(|person| &person.events);
        events.filter(|event| event.kind == kind).count()
    };
    let cycles = |kind: CycleKind| {
        let cycles = found.iter().flat_map(|person| &person.cycles);
        cycles.filter(|(cycle, _)| cycle.kind == kind).count()
    };
    MovementCounts {
        initial_contacts: events(EventKind::InitialContact),
        toe_offs: events(EventKind::ToeOff),
        jumps: events(EventKind::TakeOff),
        repetitions: cycles(CycleKind::Repetition),
        strides: cycles(CycleKind::Walk) + cycles(CycleKind::Run),
        strides_out_of_scale,
        cycles: found.iter().map(|person| person.cycles.len()).sum(),
    }
}

/// Looks for movements in every stretch of everybody's path; how many strides have no length as no scale
/// holds there is told, too.
fn find_movements(
    poses: &VideoPoses,
    straightened: BTreeMap<u16, PersonPath>,
    filter: &PathFilter<'_>,
    config: &DetectConfig,
    scales: &Scales,
) -> (Vec<PersonMovement>, usize) {
    let mut found = Vec::new();
    let mut strides_out_of_scale = 0;
    for (person, mut path) in straightened {
        let config = DetectConfig {
            meters_per_px: scales.of(person).map(Scale::meters_per_px),
            ..config.clone()
        };
        let measured_feet_px = path.feet_px(poses);
        path.filter(filter);
        let mut movement = PersonMovement {
            person,
            events: Vec::new(),
            cycles: Vec::new(),
        };
        let stretches = path.stretches(filter).into_iter();
        let tracks: Vec<Track> = stretches
            .map(|frames| path.track(poses, frames, &measured_feet_px))
            .collect();
        for part in movement::detect(&tracks, &config) {
            strides_out_of_scale += part.strides_out_of_scale;
            movement.events.extend(part.events);
            let cycles = part.cycles.into_iter();
            (movement.cycles).extend(cycles.map(|cycle| (cycle, part.floor_angle_deg)));
        }
        if !movement.events.is_empty() {
            found.push(movement);
        }
    }
    (found, strides_out_of_scale)
}

/// The rows of `metrics`, measured anew.
fn renewed_rows(
    lake: &Lake,
    video: &VideoRecord,
) -> Result<impl Iterator<Item = Result<MeasuredFrame, LakeError>>, LakeError> {
    let image_size_px = [f64::from(video.width_px), f64::from(video.height_px)];
    let mut measurer = Measurer::new();
    let rows = lake.frames(video)?.map(move |frame| {
        let frame = frame?;
        let time_secs = frame.time.as_secs();
        let poses: Vec<PersonPose> = frame.persons.into_iter().map(|row| row.pose).collect();
        let metrics = measurer.measure(&poses, time_secs, image_size_px);
        let people = poses
            .iter()
            .map(|pose| (pose.person, Some(pose.probability)));
        Ok(measured_rows(
            frame.frame as usize,
            time_secs,
            people,
            metrics,
        ))
    });
    Ok(rows.flat_map(|rows: Result<_, LakeError>| match rows {
        Ok(rows) => rows.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }))
}

/// Pixels of a known height.
#[derive(Clone, Copy)]
struct Scale {
    height_m: f64,
    height_px: f64,
}

impl Scale {
    fn meters_per_px(self) -> f64 {
        self.height_m / self.height_px
    }
}

/// The scales of people whose height is known.
#[derive(Default)]
struct Scales(BTreeMap<u16, Scale>);

impl Scales {
    fn of(&self, person: u16) -> Option<Scale> {
        self.0.get(&person).copied()
    }

    fn list(&self) -> Vec<PersonScale> {
        let scales = self.0.iter();
        scales
            .map(|(person, scale)| PersonScale {
                person: *person,
                height_m: scale.height_m,
                height_px: scale.height_px,
                meters_per_px: scale.meters_per_px(),
            })
            .collect()
    }

    /// Who has none while others have one.
    fn without(&self, poses: &VideoPoses) -> Vec<u16> {
        let people = poses.people.keys().copied();
        people
            .filter(|person| !self.0.is_empty() && !self.0.contains_key(person))
            .collect()
    }
}

/// A video's poses, in memory.
struct VideoPoses {
    image_size_px: [f64; 2],
    /// Number in the file of the first frame; all others are counted from it.
    first_number: usize,
    times_secs: Vec<f64>,
    people: BTreeMap<u16, PersonPath>,
    /// `metrics` lacks what this version measures.
    is_outdated: bool,
}

/// One person from the first frame in which it was found to the last.
#[derive(Clone)]
struct PersonPath {
    /// Counted from the video's first frame in the lake.
    first_frame: usize,
    frames: Vec<PathFrame>,
    /// Positions in `frames` at which the person is suddenly somewhere else.
    jumps: Vec<usize>,
}

/// A person in a frame; filtering overwrites the pose. Visibility becomes 1 for landmarks that
/// have a filtered position and 0 for all others.
#[derive(Clone)]
struct PathFrame {
    pose: PersonPose,
    /// What is known of the measured pose; `None` where the person was not found.
    measured: Option<MeasuredPose>,
    /// A bit for each landmark that is interpolated.
    interpolated: u64,
    /// A bit for each landmark whose path was too short or too slow to be filtered.
    unfiltered: u64,
}

#[derive(Clone, Copy)]
struct MeasuredPose {
    mean_visibility: Option<f64>,
    left_right_swap: Option<bool>,
    bone_length_jump: Option<bool>,
}

impl PathFrame {
    fn empty(person: u16) -> Self {
        Self {
            pose: PersonPose {
                person,
                probability: 0.0,
                landmarks: [ImageLandmark::default(); LANDMARK_COUNT],
                world_m: [[0.0; 3]; LANDMARK_COUNT],
            },
            measured: None,
            interpolated: 0,
            unfiltered: 0,
        }
    }

    fn has_position(&self, landmark: usize) -> bool {
        self.pose.landmarks[landmark].visibility >= MIN_VISIBILITY
    }

    fn has_any_position(&self) -> bool {
        (0..LANDMARK_COUNT).any(|landmark| self.has_position(landmark))
    }
}

impl VideoPoses {
    fn read(lake: &Lake, video: &VideoRecord) -> Result<Self, LakeError> {
        let image_size_px = [f64::from(video.width_px), f64::from(video.height_px)];
        let mut poses = Self {
            image_size_px,
            first_number: video.first_frame as usize,
            times_secs: Vec::new(),
            people: BTreeMap::new(),
            is_outdated: false,
        };
        let mut measurer = Measurer::new();
        for frame in lake.frames(video)? {
            let frame = frame?;
            let number = poses.times_secs.len();
            let time_secs = frame.time.as_secs();
            poses.times_secs.push(time_secs);
            let (found, stored): (Vec<_>, Vec<_>) = (frame.persons.into_iter())
                .map(|row| (row.pose, row.metrics))
                .unzip();
            let measured = measurer.measure(&found, time_secs, image_size_px);
            poses.is_outdated |= (stored.iter().zip(&measured)).any(|(old, new)| {
                (old.facing, old.left_right_swap) != (new.facing, new.left_right_swap)
            });
            for (pose, metrics) in found.iter().zip(&measured) {
                let path = poses.people.entry(pose.person).or_insert(PersonPath {
                    first_frame: number,
                    frames: Vec::new(),
                    jumps: Vec::new(),
                });
                if let Some(last) = path.frames.len().checked_sub(1) {
                    let elapsed_secs = time_secs - poses.times_secs[path.first_frame + last];
                    let before = &path.frames[last].pose;
                    if is_jump(before, pose, elapsed_secs, image_size_px) {
                        path.jumps.push(number - path.first_frame);
                    }
                }
                while path.first_frame + path.frames.len() < number {
                    path.frames.push(PathFrame::empty(pose.person));
                }
                path.frames.push(PathFrame {
                    pose: pose.clone(),
                    measured: Some(MeasuredPose {
                        mean_visibility: metrics.mean_visibility,
                        left_right_swap: metrics.left_right_swap,
                        bone_length_jump: metrics.bone_length_jump,
                    }),
                    interpolated: 0,
                    unfiltered: 0,
                });
            }
        }
        Ok(poses)
    }

    /// A frame's number in the file.
    fn number(&self, frame: usize) -> usize {
        self.first_number + frame
    }

    fn pixels(&self, pose: &PersonPose, landmark: Landmark) -> Option<[f64; 2]> {
        let point = &pose.landmarks[landmark.index()];
        let [width, height] = self.image_size_px;
        (point.visibility >= MIN_VISIBILITY)
            .then(|| [f64::from(point.x) * width, f64::from(point.y) * height])
    }

    fn known_scales(
        &self,
        lake: &Lake,
        video: &VideoRecord,
        heights: &[KnownHeight],
    ) -> Result<Scales, RecomputeError> {
        let mut scales = Scales::default();
        // Where nobody was found, there is nothing to scale.
        let heights = heights.iter().filter(|_| !self.people.is_empty());
        for known in heights {
            let person = match known.person {
                Some(person) => person,
                None => lake.main_person(video)?.unwrap_or(0),
            };
            let scale = self.scale(person, known.height_m)?;
            if scales.0.insert(person, scale).is_some() {
                return Err(RecomputeError::TwoHeights { person });
            }
        }
        Ok(scales)
    }

    /// The measured paths as movements are looked for in them: with landmarks that are seen from the moment
    /// on in which they are, and with legs changed back where the model exchanged left and right.
    fn as_seen(&self, video: &VideoRecord) -> BTreeMap<u16, PersonPath> {
        let mut people = self.people.clone();
        for path in people.values_mut() {
            if let Some(clock) = video.visibility_clock() {
                path.see_at_once(clock, &self.times_secs);
            }
            let borders = path.jumps.iter().copied();
            let starts = [0].into_iter().chain(borders.clone());
            let ends = borders.chain([path.frames.len()]);
            for (start, end) in starts.zip(ends).collect::<Vec<_>>() {
                path.put_legs_right(start..end, self);
            }
        }
        self.part_who_crosses(&mut people);
        people
    }

    /// Ends paths where two people pass each other and may have exchanged their numbers.
    fn part_who_crosses(&self, people: &mut BTreeMap<u16, PersonPath>) {
        let numbers: Vec<u16> = people.keys().copied().collect();
        let trunks: BTreeMap<u16, Vec<Option<Trunk>>> = (people.iter())
            .map(|(person, path)| (*person, path.trunks(self)))
            .collect();
        for (place, one) in numbers.iter().enumerate() {
            for other in &numbers[place + 1..] {
                let starts = [one, other].map(|person| self.people[person].first_frame);
                let ends = [one, other].map(|person| end_of(&self.people[person]));
                let shared = starts[0].max(starts[1])..ends[0].min(ends[1]);
                if shared.is_empty() {
                    continue;
                }
                let trunks = [(one, starts[0]), (other, starts[1])].map(|(person, start)| {
                    &trunks[person][shared.start - start..shared.end - start]
                });
                let lengths = trunks.map(|trunks| {
                    series::median(
                        trunks
                            .iter()
                            .flatten()
                            .map(|trunk| trunk.length_px)
                            .collect(),
                    )
                });
                let [Some(first_px), Some(second_px)] = lengths else {
                    continue;
                };
                let hips = trunks.map(|trunks| -> Vec<_> {
                    trunks
                        .iter()
                        .map(|trunk| Some(trunk.as_ref()?.hips_px))
                        .collect()
                });
                let breaks = crossings::breaks(
                    &self.times_secs[shared.clone()],
                    [&hips[0], &hips[1]],
                    first_px.max(second_px),
                );
                for (person, start) in [(one, starts[0]), (other, starts[1])] {
                    let path = people.get_mut(person).expect("one of its keys");
                    let jumps = breaks.iter().map(|frame| shared.start + frame - start);
                    path.jumps.extend(jumps.filter(|frame| *frame > 0));
                    path.jumps.sort_unstable();
                    path.jumps.dedup();
                }
            }
        }
    }

    fn scale(&self, person: u16, height_m: f64) -> Result<Scale, RecomputeError> {
        let path = self.people.get(&person).ok_or_else(|| {
            let known: Vec<String> = self.people.keys().map(u16::to_string).collect();
            RecomputeError::UnknownPerson {
                person,
                known: known.join(", "),
            }
        })?;
        let mut estimate = HeightEstimate::default();
        for frame in &path.frames {
            estimate.add(|landmark| self.pixels(&frame.pose, landmark));
        }
        let height_px = estimate
            .height_px()
            .ok_or(RecomputeError::UnknownHeight { person })?;
        Ok(Scale {
            height_m,
            height_px,
        })
    }

    /// The filtered positions of a landmark, ordered by frame and person.
    fn rows(&self, landmark: Landmark, cutoff_hz: f64) -> Vec<FilteredLandmark> {
        let index = landmark.index();
        let bit = 1 << index;
        let mut rows: Vec<FilteredLandmark> = Vec::new();
        for (person, path) in &self.people {
            for (offset, frame) in path.frames.iter().enumerate() {
                if !frame.has_position(index) {
                    continue;
                }
                let number = path.first_frame + offset;
                let image = &frame.pose.landmarks[index];
                rows.push(FilteredLandmark {
                    frame: self.number(number) as u32,
                    time_secs: self.times_secs[number],
                    person: *person,
                    image: [image.x, image.y, image.z],
                    world_m: frame.pose.world_m[index],
                    is_interpolated: frame.interpolated & bit != 0,
                    cutoff_hz: (frame.unfiltered & bit == 0).then_some(cutoff_hz as f32),
                });
            }
        }
        rows.sort_by_key(|row| (row.frame, row.person));
        rows
    }

    /// A frame's rows of `metrics_filtered`; frames have to come in their order.
    fn measure(
        &self,
        frame: usize,
        measurer: &mut Measurer,
        scales: &Scales,
    ) -> Vec<FilteredFrame> {
        let in_frame = || {
            self.people
                .values()
                .filter_map(move |path| path.frames.get(frame.checked_sub(path.first_frame)?))
                .filter(|path_frame| path_frame.has_any_position())
        };
        let poses: Vec<PersonPose> = in_frame().map(|person| person.pose.clone()).collect();
        let time_secs = self.times_secs[frame];
        let mut metrics = measurer.measure(&poses, time_secs, self.image_size_px);
        for (metrics, person) in metrics.iter_mut().zip(in_frame()) {
            let measured = person.measured;
            metrics.mean_visibility = measured.and_then(|m| m.mean_visibility);
            metrics.left_right_swap = measured.and_then(|m| m.left_right_swap);
            metrics.bone_length_jump = measured.and_then(|m| m.bone_length_jump);
        }
        let probability = |person: &PathFrame| {
            let is_measured = person.measured.is_some();
            is_measured.then_some(person.pose.probability)
        };
        let people = in_frame().map(|person| (person.pose.person, probability(person)));
        let rows = measured_rows(self.number(frame), time_secs, people, metrics);
        let mut is_interpolated: Vec<bool> =
            in_frame().map(|person| person.measured.is_none()).collect();
        is_interpolated.resize(rows.len(), false);
        let calibrated = |index: usize, metrics: &FrameMetrics| {
            let pose = poses.get(index);
            let scale = pose.and_then(|pose| scales.of(pose.person));
            scale.map(|scale| self.calibrate(pose, metrics, scale))
        };
        let rows = rows.into_iter().zip(is_interpolated).enumerate();
        rows.map(|(index, (measured, is_interpolated))| FilteredFrame {
            calibrated: calibrated(index, &measured.metrics),
            measured,
            is_interpolated,
        })
        .collect()
    }

    fn calibrate(
        &self,
        pose: Option<&PersonPose>,
        metrics: &FrameMetrics,
        scale: Scale,
    ) -> CalibratedFrame {
        let meters_per_px = scale.meters_per_px();
        let meters = |px: f64| px * meters_per_px;
        let hip = |landmark| self.pixels(pose?, landmark);
        let center_m = hip(Landmark::LeftHip)
            .zip(hip(Landmark::RightHip))
            .map(|(left, right)| {
                let [x, y] = midpoint(left, right);
                [meters(x), meters(self.image_size_px[1] - y)]
            });
        CalibratedFrame {
            height_m: scale.height_m,
            meters_per_px,
            center_m,
            center_speed_m_per_sec: metrics.center_speed_px_per_sec.map(meters),
            peak_landmark_speed_m_per_sec: metrics.peak_landmark_speed_px_per_sec.map(meters),
        }
    }
}

/// A frame's rows: one for each person, or one that says that nobody is there.
fn measured_rows(
    frame: usize,
    time_secs: f64,
    people: impl Iterator<Item = (u16, Option<f32>)>,
    metrics: Vec<FrameMetrics>,
) -> Vec<MeasuredFrame> {
    let row = |person, pose_probability, metrics| MeasuredFrame {
        frame: frame as u32,
        time_secs,
        person,
        pose_probability,
        metrics,
    };
    if metrics.is_empty() {
        return vec![row(0, None, FrameMetrics::NO_POSE)];
    }
    let people = people.zip(metrics);
    people
        .map(|((person, probability), metrics)| row(person, probability, metrics))
        .collect()
}

/// How many landmarks of a path came to what, see [`RecomputeReport`].
#[derive(Default)]
struct PathCounts {
    landmark: u64,
    interpolated: u64,
    unfiltered: u64,
    left_out: u64,
}

/// Where somebody is, and how large.
struct Trunk {
    hips_px: [f64; 2],
    length_px: f64,
}

/// The frame behind a path's last one.
fn end_of(path: &PersonPath) -> usize {
    path.first_frame + path.frames.len()
}

/// What is exchanged where a model takes a leg for the other one.
const LEG_LANDMARKS: [[Landmark; 2]; swaps::POINTS_PER_LEG] = {
    use Landmark::*;
    [
        [LeftKnee, RightKnee],
        [LeftAnkle, RightAnkle],
        [LeftHeel, RightHeel],
        [LeftFootIndex, RightFootIndex],
    ]
};

/// Frames around one in which the model has to say that a landmark is seen.
const SEEN_FRAMES: usize = 5;

impl PersonPath {
    /// Lets landmarks be seen that the model sees. A low pass lies on visibility (MediaPipe's), which
    /// follows slowly: somebody who is found while all of a foot is seen has it after ten frames only. What
    /// the model said of each frame is told from two neighbours; a landmark counts as seen, too, where the
    /// median of [`SEEN_FRAMES`] frames around says so.
    fn see_at_once(&mut self, clock: FilterClock, times_secs: &[f64]) {
        let time_secs = |i: usize| times_secs[self.first_frame + i];
        let is_measured = |frame: &PathFrame| frame.measured.is_some();
        let measured = (0..self.frames.len()).filter(|i| is_measured(&self.frames[*i]));
        let measured: Vec<usize> = measured.collect();
        for landmark in 0..LANDMARK_COUNT {
            let told = |i: usize| f64::from(self.frames[i].pose.landmarks[landmark].visibility);
            let mut newest: Vec<Option<f64>> = vec![None; self.frames.len()];
            for (place, i) in measured.iter().copied().enumerate() {
                let before = place.checked_sub(1).map(|before| measured[before]);
                newest[i] = Some(before.map_or(told(i), |before| {
                    let elapsed_secs = time_secs(i) - time_secs(before);
                    clock.newest_visibility(told(before), told(i), elapsed_secs)
                }));
            }
            for i in &measured {
                let first = i.saturating_sub(SEEN_FRAMES / 2);
                let end = (i + SEEN_FRAMES / 2 + 1).min(newest.len());
                let around = newest[first..end].iter().flatten().copied();
                let seen = series::median(around.collect()).unwrap_or(0.0) as f32;
                let visibility = &mut self.frames[*i].pose.landmarks[landmark].visibility;
                if seen >= MIN_VISIBILITY && *visibility < MIN_VISIBILITY {
                    *visibility = seen;
                }
            }
        }
    }

    /// Where the trunk is in each frame, hidden or not; `None` without a pose.
    fn trunks(&self, poses: &VideoPoses) -> Vec<Option<Trunk>> {
        use Landmark::{LeftHip, LeftShoulder, RightHip, RightShoulder};
        let [width, height] = poses.image_size_px;
        let trunk = |frame: &PathFrame| {
            frame.measured?;
            let at = |landmark: Landmark| {
                let point = &frame.pose.landmarks[landmark.index()];
                [f64::from(point.x) * width, f64::from(point.y) * height]
            };
            let hips_px = midpoint(at(LeftHip), at(RightHip));
            let length_px = distance(hips_px, midpoint(at(LeftShoulder), at(RightShoulder)));
            // NaN where a pose model does not give them.
            (length_px > 0.0).then_some(Trunk { hips_px, length_px })
        };
        self.frames.iter().map(trunk).collect()
    }

    /// Heel and toes of both feet in each frame.
    fn feet_px(&self, poses: &VideoPoses) -> Vec<[[Option<[f64; 2]>; 2]; 2]> {
        let at = |frame: &PathFrame, landmark| poses.pixels(&frame.pose, landmark);
        let feet = Side::ALL.map(|side| [side.heel(), side.toes()]);
        let frames = self.frames.iter();
        frames
            .map(|frame| feet.map(|foot| foot.map(|landmark| at(frame, landmark))))
            .collect()
    }

    /// Changes exchanged legs back, within frames in which the person does not jump elsewhere.
    fn put_legs_right(&mut self, frames: Range<usize>, poses: &VideoPoses) {
        let pixels = |frame: &PathFrame, landmark| poses.pixels(&frame.pose, landmark);
        let legs: Vec<swaps::Legs> = (self.frames[frames.clone()].iter())
            .map(|frame| [0, 1].map(|side| LEG_LANDMARKS.map(|pair| pixels(frame, pair[side]))))
            .collect();
        let Some(leg_px) = self.track(poses, frames.clone(), &[]).leg_length_px() else {
            return;
        };
        if legs.is_empty() {
            return;
        }
        let times_secs = |i: usize| poses.times_secs[self.first_frame + i];
        let secs = times_secs(frames.end - 1) - times_secs(frames.start);
        let frame_secs = secs / (legs.len() - 1).max(1) as f64;
        let exchanged = swaps::exchanged(&legs, leg_px, frame_secs);
        for (frame, is_exchanged) in self.frames[frames].iter_mut().zip(exchanged) {
            for [left, right] in LEG_LANDMARKS.into_iter().filter(|_| is_exchanged) {
                let (left, right) = (left.index(), right.index());
                frame.pose.landmarks.swap(left, right);
                frame.pose.world_m.swap(left, right);
            }
        }
    }

    /// Frames between pauses of the recording and jumps of the person.
    fn stretches(&self, filter: &PathFilter<'_>) -> Vec<Range<usize>> {
        let filter = filter.over(self.first_frame..self.first_frame + self.frames.len());
        let mut starts: Vec<usize> = (filter.stretches().iter())
            .map(|stretch| stretch.frames.start)
            .chain(self.jumps.iter().copied())
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().copied().skip(1).chain([self.frames.len()]);
        starts
            .iter()
            .copied()
            .zip(ends)
            .map(|(start, end)| start..end)
            .collect()
    }

    /// Frames of the path, as movements are looked for in them. Of pictures with the same time the
    /// first counts. `measured_feet_px` are those of all frames of the path, or none.
    fn track(
        &self,
        poses: &VideoPoses,
        frames: Range<usize>,
        measured_feet_px: &[[[Option<[f64; 2]>; 2]; 2]],
    ) -> Track {
        let mut measurer = Measurer::new();
        let mut latest_secs = f64::NEG_INFINITY;
        let frames = frames.filter_map(|i| {
            let frame = &self.frames[i];
            let number = self.first_frame + i;
            let time_secs = poses.times_secs[number];
            if time_secs <= latest_secs {
                return None;
            }
            latest_secs = time_secs;
            let pose = std::slice::from_ref(&frame.pose);
            let metrics = measurer.measure(pose, time_secs, poses.image_size_px);
            Some(TrackFrame {
                frame: poses.number(number) as u32,
                time_secs,
                points_px: Landmark::ALL.map(|landmark| poses.pixels(&frame.pose, landmark)),
                measured_feet_px: measured_feet_px.get(i).copied().unwrap_or_default(),
                interpolated: frame.interpolated,
                joint_angles_deg: metrics[0].joint_angles_deg,
            })
        });
        Track {
            frames: frames.collect(),
        }
    }

    fn filter(&mut self, filter: &PathFilter<'_>) -> PathCounts {
        let mut counts = PathCounts::default();
        let filter = filter.over(self.first_frame..self.first_frame + self.frames.len());
        // One buffer for all landmarks: a path's three image and three world coordinates.
        let mut values = vec![0.0; self.frames.len()];
        let mut is_seen = vec![false; self.frames.len()];
        for landmark in 0..LANDMARK_COUNT {
            for (is_seen, frame) in is_seen.iter_mut().zip(&self.frames) {
                *is_seen = frame.has_position(landmark);
            }
            let pieces = filter.pieces(&is_seen, &self.jumps);
            for channel in 0..6 {
                for (value, frame) in values.iter_mut().zip(&self.frames) {
                    *value = f64::from(coordinate(&frame.pose, landmark, channel));
                }
                for piece in &pieces {
                    let outcome = filter.apply(piece.clone(), &is_seen, &mut values);
                    if outcome == PieceOutcome::Unfiltered {
                        for frame in &mut self.frames[piece.clone()] {
                            frame.unfiltered |= 1 << landmark;
                        }
                    }
                    for i in piece.clone() {
                        let filtered = values[i] as f32;
                        set_coordinate(&mut self.frames[i].pose, landmark, channel, filtered);
                    }
                }
            }
            self.mark(landmark, &pieces, &is_seen, &mut counts);
        }
        for frame in &mut self.frames {
            frame.pose = to_lake_resolution(frame.pose.clone());
        }
        counts
    }

    /// Notes which positions there are now, and where they come from.
    fn mark(
        &mut self,
        landmark: usize,
        pieces: &[Range<usize>],
        is_seen: &[bool],
        counts: &mut PathCounts,
    ) {
        let is_measured = |frame: &PathFrame| {
            // What the pose model does not give is not hidden.
            frame.measured.is_some() && frame.pose.landmarks[landmark].is_known()
        };
        let measured = self
            .frames
            .iter()
            .filter(|frame| is_measured(frame))
            .count() as u64;
        for frame in &mut self.frames {
            frame.pose.landmarks[landmark].visibility = 0.0;
        }
        let mut kept = 0;
        for i in pieces.iter().cloned().flatten() {
            let frame = &mut self.frames[i];
            frame.pose.landmarks[landmark].visibility = 1.0;
            counts.landmark += 1;
            kept += u64::from(is_measured(frame));
            counts.unfiltered += u64::from(frame.unfiltered & (1 << landmark) != 0);
            if !is_seen[i] {
                frame.interpolated |= 1 << landmark;
                counts.interpolated += 1;
            }
        }
        counts.left_out += measured - kept;
    }
}

/// Image x, y, z, then world x, y, z.
fn coordinate(pose: &PersonPose, landmark: usize, channel: usize) -> f32 {
    let image = &pose.landmarks[landmark];
    match channel {
        0 => image.x,
        1 => image.y,
        2 => image.z,
        _ => pose.world_m[landmark][channel - 3],
    }
}

fn set_coordinate(pose: &mut PersonPose, landmark: usize, channel: usize, value: f32) {
    let image = &mut pose.landmarks[landmark];
    match channel {
        0 => image.x = value,
        1 => image.y = value,
        2 => image.z = value,
        _ => pose.world_m[landmark][channel - 3] = value,
    }
}
