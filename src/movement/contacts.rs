//! When both feet leave the ground and touch it again, between frames.
//!
//! A low pass rounds off the moment in which a foot leaves the ground, so that it is looked for in what was
//! measured: the height of the lowest point of both feet stays on the ground until the take-off, goes along
//! a parabola, and is on the ground again from the landing on. Take-off and landing are those for which
//! such a curve is nearest to the heights (least squares). They lie between frames: at 30 pictures a second
//! a flight has few frames, but all of them take part.
//!
//! Feet are no balls. What they do beside the parabola is in the curve as far as the noise allows, each with
//! a prior deviation in parts of the rise (ridges):
//! - legs are drawn up or spread in the air: a term of fourth order ([`LEGS_PART`]). The hips fly as well,
//!   and know nothing of it: their way in the air is a parabola with the same rise.
//! - the heel goes up before the take-off, and feet sink onto their soles after the landing: the lowest point
//!   goes on so for [`ROLL_SECS`] ([`ROLL_PART`]).

use super::series::LeastSquares;

/// Seconds before and behind a flight in which feet are looked at on the ground.
const GROUND_SECS: [f64; 2] = [0.13, 0.2];
/// First guesses are wrong by this much at most.
pub(super) const REACH_SECS: f64 = 0.07;
/// Places that are tried on either side, and how often the search is made finer.
const STEPS: usize = 9;
const ROUNDS: usize = 5;
/// No flight is shorter.
const MIN_FLIGHT_SECS: f64 = 0.08;
/// What legs do in the air, in parts of the rise: standard deviation.
const LEGS_PART: f64 = 0.3;
/// By how much feet roll on the ground, in parts of the rise: standard deviation.
const ROLL_PART: f64 = 0.2;
/// In this time what is left of it gets smaller by e.
const ROLL_SECS: f64 = 0.05;
/// The part of the first guess, in its middle, in which the hips fly for certain.
const HIPS_PART: f64 = 0.8;
/// Heights are not measured better than this, in leg lengths.
const MIN_DEVIATION: f64 = 0.004;
/// Samples on the ground, on each side, and in the air.
const MIN_GROUND_SAMPLES: usize = 2;
const MIN_AIR_SAMPLES: usize = 4;

/// Moments of a flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Contacts {
    pub take_off_secs: f64,
    pub landing_secs: f64,
    /// Standard deviation of the time between them, by how well the curve fits.
    pub deviation_secs: f64,
}

/// What the curve is made of, see [`parts`].
const PARTS: usize = 8;
/// The place of the rise among the parts.
const RISE: usize = 2;

/// Heights at their times.
struct Samples {
    feet: Vec<(f64, f64)>,
    hips: Vec<(f64, f64)>,
}

/// A curve and how far it is from the heights.
#[derive(Clone, Copy)]
struct Fit {
    secs: [f64; 2],
    height: [f64; PARTS],
    squares: f64,
}

/// Finds take-off and landing near first guesses. `times_secs` ascend; `feet_up` and `hips_up` are heights above
/// some level in leg lengths, of the same length. `None` where too little is seen before, in or behind the
/// flight.
pub(super) fn find(
    times_secs: &[f64],
    feet_up: &[Option<f64>],
    hips_up: &[Option<f64>],
    guess: [f64; 2],
) -> Option<Contacts> {
    let between = |up: &[Option<f64>], from: f64, to: f64| -> Vec<(f64, f64)> {
        let known = times_secs.iter().zip(up);
        let known = known.filter(|(time, _)| (from..=to).contains(*time));
        known
            .filter_map(|(time, up)| Some((*time, (*up)?)))
            .collect()
    };
    let [take_off, landing] = guess;
    let margin = (landing - take_off) * (1.0 - HIPS_PART) / 2.0;
    let samples = Samples {
        feet: between(feet_up, take_off - GROUND_SECS[0], landing + GROUND_SECS[1]),
        hips: between(hips_up, take_off + margin, landing - margin),
    };
    let count =
        |is_in: &dyn Fn(f64) -> bool| samples.feet.iter().filter(|(t, _)| is_in(*t)).count();
    if count(&|time| time < take_off) < MIN_GROUND_SAMPLES
        || count(&|time| time > landing) < MIN_GROUND_SAMPLES
        || count(&|time| (take_off..=landing).contains(&time)) < MIN_AIR_SAMPLES
    {
        return None;
    }
    // A plain parabola first: how far that is from the heights says how much they can be trusted.
    let plain = nearest(guess, guess, &|secs| samples.fit(secs, PLAIN))?;
    let weights = |fit: &Fit| {
        let part = samples.deviation(fit) / plain.height[RISE];
        [part / LEGS_PART, part / ROLL_PART]
    };
    let ridges = weights(&plain);
    let best = nearest(guess, plain.secs, &|secs| samples.fit(secs, ridges)).unwrap_or(plain);
    Some(Contacts {
        take_off_secs: best.secs[0],
        landing_secs: best.secs[1],
        deviation_secs: samples.deviation(&best) * samples.flight_error(&best, ridges)?,
    })
}

/// Weights that let a foot be a ball.
const PLAIN: [f64; 2] = [1e4; 2];

/// The best take-off and landing around a place near the guess: a grid that gets finer.
fn nearest(guess: [f64; 2], place: [f64; 2], fit: &dyn Fn([f64; 2]) -> Option<Fit>) -> Option<Fit> {
    let mut best: Option<Fit> = None;
    let mut reach = REACH_SECS;
    for _ in 0..ROUNDS {
        let center = best.map_or(place, |fit| fit.secs);
        let step = 2.0 * reach / (STEPS - 1) as f64;
        let at = |side: usize, place: usize| center[side] - reach + step * place as f64;
        for place in 0..STEPS * STEPS {
            let secs = [at(0, place / STEPS), at(1, place % STEPS)];
            let is_near = (0..2).all(|side| (secs[side] - guess[side]).abs() <= REACH_SECS + 1e-9);
            if !is_near || secs[1] - secs[0] < MIN_FLIGHT_SECS {
                continue;
            }
            if let Some(found) = fit(secs)
                && best.is_none_or(|best| found.squares < best.squares)
            {
                best = Some(found);
            }
        }
        reach = 1.5 * step;
    }
    best
}

/// The parts of the feet's height at a time: grounds before and behind, rise, what legs do, rolling before
/// and behind; the hips' two are 0.
fn feet_parts(time: f64, [take_off, landing]: [f64; 2]) -> [f64; PARTS] {
    let part = ((time - take_off) / (landing - take_off)).clamp(0.0, 1.0);
    let air = 4.0 * part * (1.0 - part);
    let fading = |secs: f64| (-secs.max(0.0) / ROLL_SECS).exp();
    let rolls = [
        (1.0 - part) * fading(take_off - time),
        part * fading(time - landing),
    ];
    [
        1.0 - part,
        part,
        air,
        air * air,
        rolls[0],
        rolls[1],
        0.0,
        0.0,
    ]
}

/// The same of the hips' height in the air: the rise, and where the hips are at take-off and landing.
fn hips_parts(time: f64, [take_off, landing]: [f64; 2]) -> [f64; PARTS] {
    let part = (time - take_off) / (landing - take_off);
    let air = 4.0 * part * (1.0 - part);
    [0.0, 0.0, air, 0.0, 0.0, 0.0, 1.0 - part, part]
}

fn height(parts: &[f64; PARTS], height: &[f64; PARTS]) -> f64 {
    parts
        .iter()
        .zip(height)
        .map(|(part, height)| part * height)
        .sum()
}

/// The ridges' equations: each part and its weight.
fn ridges([legs, roll]: [f64; 2]) -> [(usize, f64); 3] {
    [(3, legs), (4, roll), (5, roll)]
}

impl Samples {
    /// All samples with their parts of the curve.
    fn parts(&self, secs: [f64; 2]) -> impl Iterator<Item = ([f64; PARTS], f64)> {
        let feet = self
            .feet
            .iter()
            .map(move |(time, up)| (feet_parts(*time, secs), *up));
        let hips = self
            .hips
            .iter()
            .map(move |(time, up)| (hips_parts(*time, secs), *up));
        feet.chain(hips)
    }

    /// The curve with these contacts that is nearest to the samples.
    fn fit(&self, secs: [f64; 2], weights: [f64; 2]) -> Option<Fit> {
        let mut sums = LeastSquares::<PARTS>::default();
        for (parts, up) in self.parts(secs) {
            sums.add(parts, up);
        }
        for (place, weight) in ridges(weights) {
            let mut factors = [0.0; PARTS];
            factors[place] = weight;
            sums.add(factors, 0.0);
        }
        if self.hips.len() < 3 {
            // Nothing tells where they are.
            for place in [6, 7] {
                let mut factors = [0.0; PARTS];
                factors[place] = 1.0;
                sums.add(factors, 0.0);
            }
        }
        let found = sums.solve()?;
        // The feet go up at the take-off.
        if found[RISE] <= 0.0 {
            return None;
        }
        let off = self
            .parts(secs)
            .map(|(parts, up)| (up - height(&parts, &found)).powi(2));
        let of_ridges = ridges(weights).map(|(place, weight)| (weight * found[place]).powi(2));
        Some(Fit {
            secs,
            height: found,
            squares: off.sum::<f64>() + of_ridges.iter().sum::<f64>(),
        })
    }

    /// How far heights are from a curve: standard deviation, in leg lengths.
    fn deviation(&self, fit: &Fit) -> f64 {
        let free = (self.feet.len() + self.hips.len()).saturating_sub(7).max(1) as f64;
        (fit.squares / free).sqrt().max(MIN_DEVIATION)
    }

    /// Standard deviation of the time between the contacts by that of a height: from the inverse of the
    /// normal equations of all unknowns, around the best curve.
    fn flight_error(&self, best: &Fit, weights: [f64; 2]) -> Option<f64> {
        const STEP_SECS: f64 = 1e-3;
        let mut sums = LeastSquares::<{ PARTS + 2 }>::default();
        let with_slopes = |slopes: [f64; 2], parts: [f64; PARTS]| {
            std::array::from_fn(|i| if i < 2 { slopes[i] } else { parts[i - 2] })
        };
        let [take_off, landing] = best.secs;
        let moved = |by: f64| [[take_off + by, landing], [take_off, landing + by]];
        let mut add = |parts_of: fn(f64, [f64; 2]) -> [f64; PARTS], time: f64| {
            let value = |secs| height(&parts_of(time, secs), &best.height);
            let (back, forth) = (moved(-STEP_SECS), moved(STEP_SECS));
            let slope = |side: usize| (value(forth[side]) - value(back[side])) / (2.0 * STEP_SECS);
            let parts = parts_of(time, best.secs);
            sums.add(with_slopes([slope(0), slope(1)], parts), 0.0);
        };
        self.feet
            .iter()
            .for_each(|(time, _)| add(feet_parts, *time));
        self.hips
            .iter()
            .for_each(|(time, _)| add(hips_parts, *time));
        for (place, weight) in ridges(weights).into_iter().chain([(6, 1e-6), (7, 1e-6)]) {
            let mut factors = [0.0; PARTS];
            factors[place] = weight;
            sums.add(with_slopes([0.0; 2], factors), 0.0);
        }
        let variance = sums.variance_of(std::array::from_fn(|i| match i {
            0 => -1.0,
            1 => 1.0,
            _ => 0.0,
        }))?;
        (variance >= 0.0).then(|| variance.sqrt())
    }
}
