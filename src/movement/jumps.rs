//! Flights: jumps with both feet off the ground, their time and height.
//!
//! In the air the body follows a parabola. The lower one of the feet's points is looked at; where it
//! rises and falls, a parabola is fitted to the upper part of the way (a least-squares fit), and
//! take-off and landing are about where it meets the ground before and behind. Legs that are drawn up or let
//! down in the air make the feet's parabola wider or narrower than the body's, which the hips tell: of both
//! accelerations, the geometric mean is taken. Contacts are blurred by every filter; so the way that was
//! measured, before the filter, tells both moments in the end ([`super::contacts`]).
//! The height from the flight time is h = g t^2 / 8 (Bosco, Luhtanen, Komi
//! 1983), which holds where the body lands as it took off. The height of the hips, for which a scale
//! has to be known, is their way from the take-off to their highest point.
//!
//! How uncertain a flight time is: in videos of people feet seem to leave the ground, and to touch it, up to
//! a frame beside the moment, as pictures are blurred and landmarks follow late; that is a standard
//! uncertainty of a frame for each of both contacts, beside that of the fit. It is more by the confidence
//! where feet are hardly seen, or do not fly as the hips do. For a moment after somebody was found landmarks
//! may lie anywhere near the body: a contact there is uncertain by the time that is left of it. A flight
//! whose height is as uncertain as it is large has none, neither by its time nor by the hips, whose way
//! begins at the take-off.
//!
//! What rises like a ball is no jump if the scale is wrong: the flight's time and its way in the
//! picture together give pixels per metre, and thereby the person's size. Flights of people
//! below 0.5 m or above 4 m (of a leg length that is not between 0.25 and 2 m) are none: a camera
//! was moved, or a foot lifted slowly. Flights one after the other, each from one foot to the other
//! one, are running, also where the view does not tell its steps.
//!
//! The hips have to fly, too: they fall as fast as all things do, whatever the feet do under them, and so
//! say once more how long the leg is. Where that is not between 0.4 and 1.5 m, somebody stands on a foot
//! that trembles, or straightens up.
//!
//! Confidence: the part of the frames around take-off and landing in which feet were measured,
//! times the smaller one of the feet's and the hips' acceleration by the larger one.

use super::contacts;
use super::cycles::{Cycle, CycleKind};
use super::events::{Event, EventKind, Side};
use super::search::{DetectConfig, Movement};
use super::series::{self, LeastSquares};
use super::track::{Track, TrackFrame};

/// Standard gravity, m/s^2.
pub const GRAVITY_M_PER_SEC2: f64 = 9.80665;
/// What the `method` columns say.
const METHOD: &str = "flight_parabola";
/// The feet rise by at least this, in leg lengths.
const MIN_RISE: f64 = 0.06;
/// Part of the rise above which the way is the body's in flight.
const FITTED_PART: f64 = 0.3;
/// Flights of people last so long, in seconds; the longest is a jump of 1.5 m.
const FLIGHT_SECS: std::ops::RangeInclusive<f64> = 0.12..=1.1;
/// Lengths of a leg, thigh and shank, that a flight may speak for; metres.
const POSSIBLE_LEG_M: std::ops::RangeInclusive<f64> = 0.25..=2.0;
/// The same by the flight of the hips, which nothing but the weight moves.
const POSSIBLE_LEG_BY_HIPS_M: std::ops::RangeInclusive<f64> = 0.4..=1.5;
/// Feet stand so long before and behind a jump at least.
const MIN_STANDING_SECS: f64 = 0.05;
/// So long after somebody was found, or before they are lost, landmarks may be torn apart.
const SETTLING_SECS: f64 = 0.3;
/// Beyond the lowest point they may stand on.
const GROUND_REACH_SECS: f64 = 0.1;
/// A foot that is higher than the other one by this does not stand beside it, in leg lengths.
const MIN_ONE_FOOTED: f64 = 0.12;
/// From one flight of a run to the next one.
const MAX_STANCE_SECS: f64 = 0.5;
/// Lower ones do not make a flight more uncertain.
const MIN_CONFIDENCE: f64 = 0.1;
/// A flight time more uncertain than this part of itself is not told: the height, which goes by its square,
/// is as uncertain as it is large.
const MAX_ERROR_PART: f64 = 0.5;
/// Samples that a parabola is fitted to at least.
const MIN_SAMPLES: usize = 4;

/// Height of a jump by its flight time.
pub fn height_of_flight_m(flight_secs: f64) -> f64 {
    GRAVITY_M_PER_SEC2 * flight_secs * flight_secs / 8.0
}

/// Finds jumps outside of `running` (stretches of seconds, whose flights are steps).
pub fn detect(track: &Track, config: &DetectConfig, running: &[(f64, f64)]) -> Movement {
    let mut movement = Movement::default();
    let Some(leg_px) = track.leg_length_px().filter(|length| *length > 0.0) else {
        return movement;
    };
    let times = track.times_secs();
    let hips: Vec<Option<f64>> = (track.frames.iter()).map(|f| Some(-f.hips()?[1])).collect();
    let measured: Vec<Option<f64>> = (track.frames.iter())
        .map(|frame| Some(-measured_lowest(frame)? / leg_px))
        .collect();
    let flights: Vec<Flight> = flights(track, &times, leg_px)
        .into_iter()
        .filter_map(|flight| flight.with_hips(&times, &hips, leg_px))
        .map(|flight| flight.with_contacts(&times, &measured, &hips, leg_px))
        .filter(|flight| FLIGHT_SECS.contains(&flight.secs()))
        .collect();
    let heights_px = Side::ALL.map(|side| -> Vec<Option<f64>> {
        (track.frames.iter().map(|frame| lowest_of(frame, side))).collect()
    });
    let left_lower = |time_secs: f64| {
        let [left, right] = &heights_px;
        let at = |values| series::value_at(&times, values, time_secs);
        Some((at(left)? - at(right)?) / leg_px)
    };
    let feet: Vec<_> = (flights.iter())
        .map(|flight| {
            Some([
                foot(left_lower(flight.start)?)?,
                foot(left_lower(flight.end)?)?,
            ])
        })
        .collect();
    for (i, flight) in flights.iter().enumerate() {
        let is_in = |(from, to): &(f64, f64)| flight.start < *to && flight.end > *from;
        if running.iter().any(is_in) || is_step(&flights, &feet, i) {
            continue;
        }
        let confidence = Some(confidence(track, flight));
        let flight_error_secs = flight_error_secs(track, flight, confidence);
        let is_known = |error_secs: f64| error_secs < MAX_ERROR_PART * flight.secs();
        let flight_secs = flight_error_secs
            .is_none_or(is_known)
            .then(|| flight.secs());
        let height_flight_m = flight_secs.map(height_of_flight_m);
        let event = |kind, time_secs, value: Option<f64>, unit| Event {
            kind,
            side: None,
            frame: track.frame_at(time_secs),
            time_secs,
            method: METHOD,
            confidence,
            value,
            unit: value.map(|_| unit),
        };
        movement.events.extend([
            event(EventKind::TakeOff, flight.start, flight_secs, "s"),
            event(EventKind::Landing, flight.end, height_flight_m, "m"),
        ]);
        let height_hips_m = || {
            flight_secs?;
            let from = series::value_at(&times, &hips, flight.start)?;
            let inside = (times.iter().zip(&hips))
                .filter(|(time, _)| (flight.start..=flight.end).contains(time));
            let highest = inside
                .filter_map(|(_, hips)| *hips)
                .max_by(f64::total_cmp)?;
            Some((highest - from) * config.meters_per_px?)
        };
        let frames = [track.frame_at(flight.start), track.frame_at(flight.end)];
        let secs = [flight.start, flight.end];
        movement.cycles.push(Cycle {
            confidence,
            flight_secs,
            flight_error_secs,
            height_flight_m,
            height_hips_m: height_hips_m(),
            ..Cycle::new(CycleKind::Jump, None, METHOD, frames, secs)
        });
    }
    movement
}

/// All flights that people can make, in the order of their times.
fn flights(track: &Track, times: &[f64], leg_px: f64) -> Vec<Flight> {
    let up: Vec<Option<f64>> = (track.frames.iter())
        .map(|f| Some(-lowest(f)? / leg_px))
        .collect();
    let turns = series::turns(times, &up, MIN_RISE);
    let runs = series::runs(&up);
    let tops = turns.iter().enumerate().filter(|(_, turn)| turn.is_max);
    let flights = tops.filter_map(|(i, top)| {
        let run = runs.iter().find(|run| run.contains(&top.index))?;
        // Between the lowest points around, or the ends of what is seen.
        let (before, after) = series::beside(&turns, i, run);
        flight(
            &times[run.clone()],
            &up[run.clone()],
            Around {
                before: before - run.start,
                top: top.index - run.start,
                after: after - run.start,
            },
        )
    });
    flights
        .filter(|flight| FLIGHT_SECS.contains(&flight.secs()))
        .filter(|flight| POSSIBLE_LEG_M.contains(&leg_of_fall_m(flight.fall)))
        .collect()
}

fn confidence(track: &Track, flight: &Flight) -> f64 {
    let feet = [
        Side::Left.heel(),
        Side::Right.heel(),
        Side::Left.toes(),
        Side::Right.toes(),
    ];
    let measured = [flight.start, flight.end].map(|time| track.measured_part(time, &feet));
    measured[0].min(measured[1]) * flight.agreement
}

/// The one foot that carries, if the left one is so much lower than the other, in leg lengths.
fn foot(left_lower: f64) -> Option<Side> {
    let side = match left_lower > 0.0 {
        true => Side::Left,
        false => Side::Right,
    };
    (left_lower.abs() >= MIN_ONE_FOOTED).then_some(side)
}

/// Whether a flight is one of several from foot to foot: running, seen from where its steps are not told.
fn is_step(flights: &[Flight], feet: &[Option<[Side; 2]>], place: usize) -> bool {
    let goes_on = |first: usize, next: usize| {
        let (Some([from, to]), Some([then_from, then_to])) = (feet[first], feet[next]) else {
            return false;
        };
        let stands_secs = flights[next].start - flights[first].end;
        to != from && then_from == to && then_to != then_from && stands_secs <= MAX_STANCE_SECS
    };
    (place > 0 && goes_on(place - 1, place))
        || (place + 1 < flights.len() && goes_on(place, place + 1))
}

/// The lowest of heels and toes in the picture, pixels from its top; `None` unless a point of each
/// foot is seen.
fn lowest(frame: &TrackFrame) -> Option<f64> {
    let [left, right] = Side::ALL.map(|side| lowest_of(frame, side));
    Some(left?.max(right?))
}

/// The same of one foot.
fn lowest_of(frame: &TrackFrame, side: Side) -> Option<f64> {
    let points = [frame.at(side.heel()), frame.at(side.toes())];
    let heights = points.into_iter().flatten().map(|[_, y]| y);
    heights.max_by(f64::total_cmp)
}

/// The lowest of heels and toes as they were measured, where they were.
fn measured_lowest(frame: &TrackFrame) -> Option<f64> {
    let lowest_of = |points: &[Option<[f64; 2]>; 2]| {
        let heights = points.iter().flatten().map(|[_, y]| *y);
        heights.max_by(f64::total_cmp)
    };
    let [left, right] = &frame.measured_feet_px;
    Some(lowest_of(left)?.max(lowest_of(right)?))
}

/// Standard uncertainty of a flight's time: that of both contacts, and that of the fit.
fn flight_error_secs(track: &Track, flight: &Flight, confidence: Option<f64>) -> Option<f64> {
    let around = (track.frames.iter())
        .map(|frame| frame.time_secs)
        .filter(|time| (flight.start - 0.1..=flight.end + 0.1).contains(time));
    let times: Vec<f64> = around.collect();
    let frame_secs = (times.last()? - times.first()?) / (times.len() - 1).max(1) as f64;
    let found_secs = track.frames.first()?.time_secs;
    let unsettled_secs = |contact_secs: f64| (found_secs + SETTLING_SECS - contact_secs).max(0.0);
    let contact = |secs: f64| frame_secs.hypot(unsettled_secs(secs));
    let contacts_secs = contact(flight.start).hypot(contact(flight.end));
    let contacts_secs = contacts_secs / confidence?.max(MIN_CONFIDENCE);
    Some(contacts_secs.hypot(flight.deviation_secs))
}

struct Flight {
    start: f64,
    end: f64,
    /// Time and height of the highest point, in leg lengths.
    top: [f64; 2],
    /// Heights of the ground before and behind, in leg lengths.
    grounds: [f64; 2],
    /// First and last time that the parabola is fitted to.
    fitted: [f64; 2],
    /// Half of the acceleration downwards, in leg lengths per square second.
    fall: f64,
    /// The smaller one of the feet's and the hips' acceleration by the larger one.
    agreement: f64,
    /// Standard deviation of the flight's time by the fit to what was measured, or of the guess without one.
    deviation_secs: f64,
}

impl Flight {
    fn secs(&self) -> f64 {
        self.end - self.start
    }

    /// The flight by feet and hips together; `None` where the hips do not fly.
    fn with_hips(self, times: &[f64], hips_px: &[Option<f64>], leg_px: f64) -> Option<Self> {
        let [from, to] = self.fitted;
        let known = times.iter().zip(hips_px);
        let known = known.filter(|(time, _)| (from..=to).contains(time));
        let known = known.filter_map(|(time, up)| Some((time - self.top[0], (*up)? / leg_px)));
        let [_, _, bend] = parabola(known)?;
        if bend >= 0.0 || !POSSIBLE_LEG_BY_HIPS_M.contains(&leg_of_fall_m(-bend)) {
            return None;
        }
        let fall = (self.fall * -bend).sqrt();
        let secs = self
            .grounds
            .map(|ground| ((self.top[1] - ground) / fall).sqrt());
        Some(Self {
            start: self.top[0] - secs[0],
            end: self.top[0] + secs[1],
            agreement: self.fall.min(-bend) / self.fall.max(-bend),
            fall,
            ..self
        })
    }

    /// With the contacts that the measured heights tell; as it is where too little was measured.
    fn with_contacts(
        self,
        times: &[f64],
        measured: &[Option<f64>],
        hips_px: &[Option<f64>],
        leg_px: f64,
    ) -> Self {
        let hips: Vec<Option<f64>> = hips_px.iter().map(|up| Some((*up)? / leg_px)).collect();
        match contacts::find(times, measured, &hips, [self.start, self.end]) {
            Some(found) => Self {
                start: found.take_off_secs,
                end: found.landing_secs,
                deviation_secs: found.deviation_secs,
                ..self
            },
            None => self,
        }
    }
}

/// How long a leg is that falls as fast as all things do: `fall` is half of the acceleration, in leg lengths
/// per square second.
fn leg_of_fall_m(fall: f64) -> f64 {
    GRAVITY_M_PER_SEC2 / (2.0 * fall)
}

/// Positions of a highest point and of the lowest ones before and behind.
struct Around {
    before: usize,
    top: usize,
    after: usize,
}

fn flight(
    times: &[f64],
    up: &[Option<f64>],
    Around { before, top, after }: Around,
) -> Option<Flight> {
    let value = |i: usize| up[i].unwrap_or_default();
    // The foot's height while it stands, not the deepest tremble; a jump that the video shows from
    // its middle on, or to its middle, has no ground on one side.
    let standing = |standing: Vec<usize>| {
        let places = [*standing.iter().min()?, *standing.iter().max()?];
        let secs = times[places[1]] - times[places[0]];
        let heights = standing.iter().map(|i| value(*i)).collect();
        series::median(heights).filter(|_| secs >= MIN_STANDING_SECS)
    };
    let ground = |places: std::ops::Range<usize>| {
        let lowest = places.clone().map(value).fold(f64::INFINITY, f64::min);
        let limit = lowest + FITTED_PART / 2.0 * (value(top) - lowest);
        standing(places.filter(|i| value(*i) <= limit).collect())
    };
    // Somebody who has just been found, or is about to be lost, may seem to be lower for a moment: then it is
    // where the feet stand next to the flight. `places` lead away from the top.
    let ground_beside = |places: Vec<usize>| {
        let by_height = |a: &&usize, b: &&usize| value(**a).total_cmp(&value(**b));
        let lowest_secs = times[*places.iter().min_by(by_height)?];
        let ends_secs = [*times.first()?, *times.last()?];
        if (ends_secs.iter()).all(|end| (end - lowest_secs).abs() > SETTLING_SECS) {
            return None;
        }
        let rises = |pair: &[usize]| value(pair[1]) > value(pair[0]);
        let low = places.windows(2).position(rises)?;
        let level = value(places[low]);
        let reach = FITTED_PART * (value(top) - level);
        let is_level = |place: &&usize| (value(**place) - level).abs() <= reach;
        let back = places[..low].iter().rev().take_while(is_level);
        let forth = places[low..].iter().take_while(is_level);
        standing(back.chain(forth).copied().collect())
    };
    let first = times.partition_point(|time| *time < times[before] - GROUND_REACH_SECS);
    let last = times.partition_point(|time| *time <= times[after] + GROUND_REACH_SECS);
    let (ground_before, ground_after) = match (ground(first..top), ground(top..last)) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(after)) => (ground_beside((first..=top).rev().collect())?, after),
        (Some(before), None) => (before, ground_beside((top..last).collect())?),
        (None, None) => return None,
    };
    let base = ground_before.max(ground_after);
    let limit = base + FITTED_PART * (value(top) - base);
    let start = (first..=top).rev().find(|i| value(*i) < limit)? + 1;
    let end = (top..last).find(|i| value(*i) < limit)?;
    if end - start < MIN_SAMPLES {
        return None;
    }
    let samples = (start..end).map(|i| (times[i] - times[top], value(i)));
    let [c, b, a] = parabola(samples)?;
    if a >= 0.0 {
        return None;
    }
    // The vertex.
    let top_secs = -b / (2.0 * a);
    let highest = c + b * top_secs / 2.0;
    let grounds = [ground_before, ground_after];
    let secs = grounds.map(|ground| ((highest - ground) / -a).sqrt());
    if secs.iter().any(|secs| secs.is_nan()) {
        return None;
    }
    let top_secs = times[top] + top_secs;
    Some(Flight {
        start: top_secs - secs[0],
        end: top_secs + secs[1],
        top: [top_secs, highest],
        grounds,
        fitted: [times[start], times[end - 1]],
        fall: -a,
        agreement: 1.0,
        deviation_secs: contacts::REACH_SECS,
    })
}

/// Coefficients of the parabola c + b t + a t^2 nearest to points; `None` where they lie on fewer
/// than three times.
fn parabola(points: impl Iterator<Item = (f64, f64)>) -> Option<[f64; 3]> {
    let mut sums = LeastSquares::<3>::default();
    for (t, y) in points {
        sums.add([1.0, t, t * t], y);
    }
    sums.solve()
}
