//! Series of values with gaps: turning points, derivatives, quantiles.

/// A local maximum or minimum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// Position in the series.
    pub index: usize,
    /// Of the parabola through the value and its neighbours.
    pub time_secs: f64,
    /// Of that parabola.
    pub value: f64,
    /// Else it is a minimum.
    pub is_max: bool,
}

/// Stretches in which all values are known.
pub fn runs(values: &[Option<f64>]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, _) in values.iter().enumerate().filter(|(_, v)| v.is_some()) {
        match runs.last_mut() {
            Some(run) if run.end == i => run.end = i + 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

/// Maxima and minima in turn, within each stretch without gaps: between two neighbours the values
/// go at least `min_swing` up or down. The first and the last value of a stretch are none, for what
/// lies beyond is unknown.
pub fn turns(times_secs: &[f64], values: &[Option<f64>], min_swing: f64) -> Vec<Turn> {
    let mut found = Vec::new();
    for run in runs(values) {
        let known: Vec<f64> = values[run.clone()].iter().flatten().copied().collect();
        let times = &times_secs[run.clone()];
        let is_end = |i: usize| i == 0 || i + 1 == known.len();
        let (mut low, mut high) = (0, 0);
        // What is being looked for: unknown at first.
        let mut is_rising: Option<bool> = None;
        for (i, value) in known.iter().enumerate() {
            if *value > known[high] {
                high = i;
            }
            if *value < known[low] {
                low = i;
            }
            let fell = known[high] - value >= min_swing;
            let rose = value - known[low] >= min_swing;
            match is_rising {
                Some(true) | None if fell => {
                    if !is_end(high) {
                        found.push(turn(times, &known, high, run.start, true));
                    }
                    (is_rising, low) = (Some(false), i);
                }
                Some(false) | None if rose => {
                    if !is_end(low) {
                        found.push(turn(times, &known, low, run.start, false));
                    }
                    (is_rising, high) = (Some(true), i);
                }
                _ => {}
            }
        }
    }
    found
}

/// The same without those first ones of a stretch of whose way there not even half of `min_swing` is seen:
/// values tremble as somebody is found, and nobody knows where they came from.
pub fn turns_seen(times_secs: &[f64], values: &[Option<f64>], min_swing: f64) -> Vec<Turn> {
    let mut found = turns(times_secs, values, min_swing);
    for run in runs(values) {
        let Some(place) = found.iter().position(|turn| run.contains(&turn.index)) else {
            continue;
        };
        let turn = &found[place];
        let at = values[turn.index].unwrap_or(turn.value);
        let before = values[run.start..turn.index].iter().flatten();
        let ways = before.map(|value| match turn.is_max {
            true => at - value,
            false => value - at,
        });
        if ways.fold(0.0, f64::max) < min_swing / 2.0 {
            found.remove(place);
        }
    }
    found
}

/// Positions of the turning points before and behind one of `turns`, or the ends of the stretch that
/// it lies in.
pub fn beside(turns: &[Turn], place: usize, stretch: &std::ops::Range<usize>) -> (usize, usize) {
    let before =
        (place.checked_sub(1)).map_or(stretch.start, |i| turns[i].index.max(stretch.start));
    let last = stretch.end - 1;
    let after = (turns.get(place + 1)).map_or(last, |turn| turn.index.min(last));
    (before, after)
}

fn turn(times: &[f64], known: &[f64], index: usize, start: usize, is_max: bool) -> Turn {
    let (time_secs, value) = vertex(
        [times[index - 1], times[index], times[index + 1]],
        [known[index - 1], known[index], known[index + 1]],
    );
    Turn {
        index: start + index,
        time_secs,
        value,
        is_max,
    }
}

/// The vertex of the parabola through three points, of which the middle one is an extremum; that
/// point where they lie on a line.
fn vertex([t0, t1, t2]: [f64; 3], [y0, y1, y2]: [f64; 3]) -> (f64, f64) {
    let (before, after) = ((y1 - y0) / (t1 - t0), (y2 - y1) / (t2 - t1));
    let bend = (after - before) / (t2 - t0);
    if bend == 0.0 || !bend.is_finite() {
        return (t1, y1);
    }
    let slope = (before * (t2 - t1) + after * (t1 - t0)) / (t2 - t0);
    let off = (-slope / (2.0 * bend)).clamp((t0 - t1) / 2.0, (t2 - t1) / 2.0);
    (t1 + off, y1 + slope * off + bend * off * off)
}

/// Central differences; `None` beside gaps and at the ends.
pub fn derivative(times_secs: &[f64], values: &[Option<f64>]) -> Vec<Option<f64>> {
    let count = values.len();
    let at = |i: usize| {
        let (before, after) = (i.checked_sub(1)?, i + 1);
        if after >= count || values[i].is_none() {
            return None;
        }
        let secs = times_secs[after] - times_secs[before];
        (secs > 0.0).then_some((values[after]? - values[before]?) / secs)
    };
    (0..count).map(at).collect()
}

/// Sums of a linear least-squares problem with `N` unknowns.
pub struct LeastSquares<const N: usize> {
    normal: [[f64; N]; N],
    right: [f64; N],
}

impl<const N: usize> Default for LeastSquares<N> {
    fn default() -> Self {
        Self {
            normal: [[0.0; N]; N],
            right: [0.0; N],
        }
    }
}

impl<const N: usize> LeastSquares<N> {
    /// Adds an equation: `factors` times the unknowns is `value`.
    pub fn add(&mut self, factors: [f64; N], value: f64) {
        for (i, factor) in factors.into_iter().enumerate() {
            for (sum, other) in self.normal[i].iter_mut().zip(factors) {
                *sum += factor * other;
            }
            self.right[i] += factor * value;
        }
    }

    /// The unknowns that fit best; `None` where the equations do not determine them.
    pub fn solve(&self) -> Option<[f64; N]> {
        solved(self.normal, self.right)
    }

    /// Variance of a sum of the unknowns with these factors, for values of variance 1.
    pub fn variance_of(&self, factors: [f64; N]) -> Option<f64> {
        let solution = solved(self.normal, factors)?;
        Some((solution.iter().zip(factors)).map(|(a, b)| a * b).sum())
    }
}

/// Gauss's elimination with the largest pivot of each column.
fn solved<const N: usize>(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> Option<[f64; N]> {
    for column in 0..N {
        let size = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..N).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        if matrix[column][column].abs() < 1e-15 {
            return None;
        }
        let (pivot_row, pivot_right) = (matrix[column], right[column]);
        for row in (0..N).filter(|row| *row != column) {
            let factor = matrix[row][column] / pivot_row[column];
            for (value, of_pivot) in matrix[row].iter_mut().zip(pivot_row).skip(column) {
                *value -= factor * of_pivot;
            }
            right[row] -= factor * pivot_right;
        }
    }
    let solution: [f64; N] = std::array::from_fn(|i| right[i] / matrix[i][i]);
    solution
        .iter()
        .all(|value| value.is_finite())
        .then_some(solution)
}

/// The value at a part of the sorted values, 0..1, between the two next to it.
pub fn quantile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let place = part.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let (low, rest) = (place as usize, place.fract());
    let high = (low + 1).min(values.len() - 1);
    Some(values[low] + rest * (values[high] - values[low]))
}

/// The middle value.
pub fn median(values: Vec<f64>) -> Option<f64> {
    quantile(values, 0.5)
}

/// How far the known values spread, without the outermost 5 % at each end.
pub fn spread(values: &[Option<f64>]) -> Option<f64> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    Some(quantile(known.clone(), 0.95)? - quantile(known, 0.05)?)
}

/// The value at a time, on the straight line between its neighbours.
pub fn value_at(times_secs: &[f64], values: &[Option<f64>], time_secs: f64) -> Option<f64> {
    let after = times_secs.partition_point(|time| *time < time_secs);
    if let Some(time) = times_secs.get(after)
        && *time == time_secs
    {
        return values[after];
    }
    let before = after.checked_sub(1)?;
    let (t0, t1) = (times_secs[before], *times_secs.get(after)?);
    let (y0, y1) = (values[before]?, values[after]?);
    Some(y0 + (y1 - y0) * (time_secs - t0) / (t1 - t0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_points_of_a_sine_are_its_own() {
        let times: Vec<f64> = (0..300).map(|i| f64::from(i) / 60.0).collect();
        let values: Vec<Option<f64>> = (times.iter())
            .map(|t| Some((std::f64::consts::TAU * t).sin()))
            .collect();
        let turns = turns(&times, &values, 0.5);
        assert_eq!(turns.len(), 10);
        for (i, turn) in turns.iter().enumerate() {
            let expected = 0.25 + 0.5 * i as f64;
            assert!((turn.time_secs - expected).abs() < 1e-4, "{turn:?}");
            assert_eq!(turn.is_max, i % 2 == 0);
            assert!((turn.value.abs() - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn a_gap_hides_what_lies_beside_it() {
        let times: Vec<f64> = (0..9).map(f64::from).collect();
        let values = [0.0, 1.0, 0.0, f64::NAN, 3.0, 0.0, 2.0, 0.0, 5.0];
        let values: Vec<Option<f64>> =
            (values.iter().map(|v| (!v.is_nan()).then_some(*v))).collect();
        let found: Vec<(usize, bool)> = (turns(&times, &values, 0.5).iter())
            .map(|turn| (turn.index, turn.is_max))
            .collect();
        assert_eq!(found, [(1, true), (5, false), (6, true), (7, false)]);
    }

    #[test]
    fn small_swings_do_not_count() {
        let times: Vec<f64> = (0..8).map(f64::from).collect();
        let values = [0.0, 2.0, 1.8, 2.1, 0.0, 0.2, 0.1, 2.0].map(Some);
        let turns = turns(&times, &values, 1.0);
        let found: Vec<usize> = turns.iter().map(|turn| turn.index).collect();
        assert_eq!(found, [3, 4]);
    }

    #[test]
    fn a_first_turn_is_seen_where_the_way_to_it_is() {
        let times: Vec<f64> = (0..7).map(f64::from).collect();
        let first = |values: [f64; 7]| {
            let turns = turns_seen(&times, &values.map(Some), 1.0);
            turns.first().map(|turn| (turn.index, turn.is_max))
        };
        assert_eq!(first([0.0, 2.0, 0.5, 0.0, 2.0, 3.0, 0.0]), Some((1, true)));
        // Half of a tremble, and then down: nobody saw it come up.
        assert_eq!(first([1.6, 2.0, 0.5, 0.0, 2.0, 3.0, 0.0]), Some((3, false)));
        assert_eq!(first([0.4, 0.0, 2.0, 3.0, 1.0, 0.0, 3.0]), Some((3, true)));
    }
}
