//! A column over the frames of a video, thinned to what a screen can show.
//!
//! Frames are put into as many equal stretches as there are pixels; a stretch keeps its lowest and
//! its highest value, so that no peak gets lost, and where values are missing.

/// A thinned curve: frames in ascending order, each with its value, or without where the line is
/// broken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Numbers of frames.
    pub frames: Vec<u64>,
    /// As many values; `None` breaks the line.
    pub values: Vec<Option<f32>>,
}

/// Whether a stretch of so many frames is thinned for so many points.
pub fn is_thinned(frame_count: usize, points: usize) -> bool {
    frame_count > 2 * points
}

/// Thins the values of the frames from `first_frame` on; those that are not finite are missing.
/// `points` is at least 1.
pub fn thin(first_frame: u64, values: &[f32], points: usize) -> Curve {
    let mut curve = Curve::default();
    if !is_thinned(values.len(), points) {
        for index in 0..values.len() {
            curve.push(first_frame, values, index);
        }
        return curve;
    }
    for stretch in 0..points {
        // Without a product that could be too large.
        let bound =
            |stretch: usize| (stretch as u128 * values.len() as u128 / points as u128) as usize;
        curve.push_stretch(first_frame, values, bound(stretch)..bound(stretch + 1));
    }
    curve
}

impl Curve {
    fn push(&mut self, first_frame: u64, values: &[f32], index: usize) {
        let value = values.get(index).copied().filter(|value| value.is_finite());
        self.frames.push(first_frame + index as u64);
        self.values.push(value);
    }

    fn push_stretch(&mut self, first_frame: u64, values: &[f32], stretch: std::ops::Range<usize>) {
        let is_there = |index: &usize| values[*index].is_finite();
        let there = || stretch.clone().filter(is_there);
        let by_value = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
        let (lowest, highest) = (there().min_by(by_value), there().max_by(by_value));
        let first_gap = stretch.clone().find(|index| !is_there(index));
        // Without a value, one break says it.
        let last_gap = stretch.clone().rfind(|index| !is_there(index));
        let last_gap = last_gap.filter(|_| lowest.is_some());
        let mut kept: Vec<usize> = [lowest, highest, first_gap, last_gap]
            .into_iter()
            .flatten()
            .collect();
        kept.sort_unstable();
        kept.dedup();
        for index in kept {
            self.push(first_frame, values, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_frames_are_all_kept() {
        let curve = thin(10, &[1.0, f32::NAN, 3.0], 2);
        assert_eq!(curve.frames, [10, 11, 12]);
        assert_eq!(curve.values, [Some(1.0), None, Some(3.0)]);
        assert_eq!(thin(0, &[], 5), Curve::default());
    }

    #[test]
    fn peaks_and_gaps_outlive_the_thinning() {
        let mut values: Vec<f32> = (0..216_000).map(|i| (i as f32 / 500.0).sin()).collect();
        values[100_003] = 50.0;
        values[100_004] = -50.0;
        values[150_000..160_000].fill(f32::NAN);
        values[200_001] = f32::NAN;
        let curve = thin(7, &values, 1000);
        assert!(curve.frames.len() <= 4 * 1000, "{}", curve.frames.len());
        assert!(curve.frames.windows(2).all(|pair| pair[0] < pair[1]));
        let at = |frame: usize| {
            let place = curve.frames.binary_search(&(frame as u64 + 7));
            place.ok().map(|place| curve.values[place])
        };
        assert_eq!(at(100_003), Some(Some(50.0)));
        assert_eq!(at(100_004), Some(Some(-50.0)));
        assert_eq!(at(200_001), Some(None));
        let in_gap = (curve.frames.iter().zip(&curve.values))
            .filter(|(frame, _)| (150_007..160_007).contains(*frame));
        let in_gap: Vec<_> = in_gap.collect();
        assert!(in_gap.len() > 40, "{}", in_gap.len());
        assert!(in_gap.iter().all(|(_, value)| value.is_none()));
        // Every value is that of its frame.
        for (frame, value) in curve.frames.iter().zip(&curve.values) {
            let source = values[(frame - 7) as usize];
            assert_eq!(value.is_none(), source.is_nan());
            assert!(value.is_none_or(|value| value == source));
        }
    }
}
