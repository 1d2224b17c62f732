//! One line's samples, thinned while they come in.
//!
//! Samples are put into bins along x that are narrower than a pixel; a bin keeps its first, lowest,
//! highest and last sample, so that no peak gets lost however long the series is. Fewer samples
//! than [`SAMPLES_PER_PIXEL`] to a pixel are all kept as they are.
//!
//! Resident: at most [`MAX_BINS_PER_PIXEL`] bins per pixel of the picture's width, 120 bytes each.

/// Up to this many samples to a pixel there is nothing to thin.
const SAMPLES_PER_PIXEL: usize = 4;
/// When a line has this many bins per pixel, they are merged.
const MAX_BINS_PER_PIXEL: usize = 8;
/// A step from frame to frame that is so many times the usual one is a pause of the recording, as in
/// `metrics::timing`.
const PAUSE_STEPS: f64 = 5.0;

/// A sample. `frame` is the video's frame number, where the query gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub x: f64,
    pub y: f64,
    pub frame: Option<i64>,
}

/// Neighbouring samples.
#[derive(Clone, Copy, Debug)]
struct Bin {
    first: Sample,
    lowest: Sample,
    highest: Sample,
    last: Sample,
}

impl Bin {
    fn of(sample: Sample) -> Self {
        Self {
            first: sample,
            lowest: sample,
            highest: sample,
            last: sample,
        }
    }

    /// Adds what follows.
    fn append(&mut self, next: &Self) {
        if next.lowest.y < self.lowest.y {
            self.lowest = next.lowest;
        }
        if next.highest.y > self.highest.y {
            self.highest = next.highest;
        }
        self.last = next.last;
    }

    fn is_one_sample(&self) -> bool {
        self.first == self.last && self.lowest == self.highest
    }

    /// The kept samples in the order of x, each once.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> + use<> {
        let (early, late) = if self.lowest.x <= self.highest.x {
            (self.lowest, self.highest)
        } else {
            (self.highest, self.lowest)
        };
        let mut points: Vec<(f64, f64)> = [self.first, early, late, self.last]
            .map(|s| (s.x, s.y))
            .into();
        points.dedup();
        points.into_iter()
    }
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Samples(Bin),
    /// The line is broken here.
    Gap(f64),
}

impl Item {
    fn x(&self) -> f64 {
        match self {
            Self::Samples(bin) => bin.first.x,
            Self::Gap(x) => *x,
        }
    }
}

/// What lies between two neighbours on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameX {
    Never,
    /// Two samples have the same x, so something else tells them apart.
    Found,
}

/// A line that is still being read.
#[derive(Debug)]
pub struct Line {
    items: Vec<Item>,
    width_px: usize,
    /// The usual difference of neighbouring frame numbers; a larger one is a gap.
    frame_step: Option<i64>,
    /// How far x usually goes from frame to frame; much more is a pause of the recording.
    x_per_frame: Option<f64>,
    same_x: SameX,
}

impl Line {
    /// A line of a picture that is `width_px` pixels wide.
    pub fn new(width_px: u32) -> Self {
        Self {
            items: Vec::new(),
            width_px: (width_px as usize).max(1),
            frame_step: None,
            x_per_frame: None,
            same_x: SameX::Never,
        }
    }

    /// Adds a sample; without a finite value the line is broken there. Samples may come in any
    /// order.
    pub fn push(&mut self, x: f64, y: Option<f64>, frame: Option<i64>) {
        self.items.push(match y.filter(|y| y.is_finite()) {
            Some(y) => Item::Samples(Bin::of(Sample { x, y, frame })),
            None => Item::Gap(x),
        });
        if self.items.len() > MAX_BINS_PER_PIXEL * self.width_px {
            self.put_in_order();
            self.thin();
        }
    }

    /// The line's pieces: runs of points without a gap, in the order of x.
    pub fn finish(mut self) -> (Vec<Vec<(f64, f64)>>, SameX) {
        self.put_in_order();
        if self.items.len() > SAMPLES_PER_PIXEL * self.width_px {
            self.thin();
        }
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut before: Option<Bin> = None;
        for item in &self.items {
            let Item::Samples(bin) = item else {
                before = None;
                continue;
            };
            match (pieces.last_mut(), before) {
                (Some(piece), Some(before)) if !self.is_gap(&before, bin) => {
                    piece.extend(bin.points());
                }
                _ => pieces.push(bin.points().collect()),
            }
            before = Some(*bin);
        }
        (pieces, self.same_x)
    }

    /// Sorts by x and learns how frames follow one another, from samples that are still single.
    fn put_in_order(&mut self) {
        self.items.sort_by(|a, b| a.x().total_cmp(&b.x()));
        let mut x_per_frame = Vec::new();
        for pair in self.items.windows(2) {
            let [Item::Samples(a), Item::Samples(b)] = pair else {
                continue;
            };
            if !a.is_one_sample() || !b.is_one_sample() {
                continue;
            }
            if a.last.x == b.first.x {
                self.same_x = SameX::Found;
            }
            if let (Some(from), Some(to)) = (a.last.frame, b.first.frame)
                && to > from
            {
                let step = to - from;
                self.frame_step = Some(self.frame_step.map_or(step, |known| known.min(step)));
                x_per_frame.push((b.first.x - a.last.x) / step as f64);
            }
        }
        if self.x_per_frame.is_none() && !x_per_frame.is_empty() {
            let middle = x_per_frame.len() / 2;
            let (_, median, _) = x_per_frame.select_nth_unstable_by(middle, f64::total_cmp);
            self.x_per_frame = Some(*median);
        }
    }

    fn is_gap(&self, before: &Bin, after: &Bin) -> bool {
        match (before.last.frame, after.first.frame, self.frame_step) {
            (Some(from), Some(to), Some(step)) => {
                let usual = (self.x_per_frame).map(|x| x * (to - from) as f64);
                let goes_far = |usual: f64| after.first.x - before.last.x > PAUSE_STEPS * usual;
                to - from > step || usual.is_some_and(goes_far)
            }
            _ => false,
        }
    }

    /// Merges what falls into one column of the picture. Gaps within a column cannot be seen and
    /// go; those at its ends stay.
    fn thin(&mut self) {
        let (Some(first), Some(last)) = (self.items.first(), self.items.last()) else {
            return;
        };
        let (low, range) = (first.x(), last.x() - first.x());
        let columns = self.width_px as f64;
        let column_of = |x: f64| match range > 0.0 {
            true => ((x - low) / range * columns).floor().min(columns - 1.0) as usize,
            false => 0,
        };
        let mut thinned: Vec<Item> = Vec::with_capacity(3 * self.width_px);
        let mut rest = self.items.as_slice();
        while let Some(start) = rest.first() {
            let column = column_of(start.x());
            let count = rest
                .iter()
                .take_while(|i| column_of(i.x()) == column)
                .count();
            let (here, later) = rest.split_at(count);
            rest = later;
            let mut merged: Option<Bin> = None;
            for item in here {
                match (item, &mut merged) {
                    (Item::Samples(bin), Some(merged)) => merged.append(bin),
                    (Item::Samples(bin), none) => *none = Some(*bin),
                    (Item::Gap(_), _) => {}
                }
            }
            let gap = |item: Option<&Item>| match item {
                Some(Item::Gap(x)) => Some(Item::Gap(*x)),
                _ => None,
            };
            thinned.extend(gap(here.first()));
            if let Some(bin) = merged {
                thinned.push(Item::Samples(bin));
                thinned.extend(gap(here.last()));
            }
        }
        self.items = thinned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(width_px: u32, samples: impl IntoIterator<Item = (f64, Option<f64>)>) -> Line {
        let mut line = Line::new(width_px);
        for (x, y) in samples {
            line.push(x, y, None);
        }
        line
    }

    #[test]
    fn null_breaks_the_line_and_order_does_not_matter() {
        let samples = [
            (3.0, Some(4.0)),
            (0.0, Some(1.0)),
            (2.0, None),
            (1.0, Some(2.0)),
        ];
        let (pieces, _) = line(100, samples).finish();
        assert_eq!(pieces, [vec![(0.0, 1.0), (1.0, 2.0)], vec![(3.0, 4.0)]]);
    }

    #[test]
    fn a_jump_of_the_frame_number_breaks_the_line() {
        let mut line = Line::new(100);
        // The first step is the long one.
        for frame in [0, 6, 7, 8, 20, 21] {
            line.push(frame as f64 / 30.0, Some(1.0), Some(frame));
        }
        let lengths: Vec<usize> = line.finish().0.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 3, 2]);
    }

    #[test]
    fn every_fifth_frame_is_a_line_too() {
        let mut line = Line::new(100);
        for frame in (0..50).step_by(5) {
            line.push(frame as f64, Some(1.0), Some(frame));
        }
        assert_eq!(line.finish().0.len(), 1);
    }

    #[test]
    fn a_million_samples_stay_few_and_keep_their_peaks() {
        let peak = 654_321;
        let value = |i: u32| if i == peak { 50.0 } else { f64::from(i % 7) };
        let mut line = Line::new(500);
        let mut most = 0;
        for i in 0..1_000_000u32 {
            line.push(f64::from(i), Some(value(i)), Some(i64::from(i)));
            most = most.max(line.items.len());
        }
        assert!(most <= MAX_BINS_PER_PIXEL * 500 + 1, "{most} bins");
        let (pieces, same_x) = line.finish();
        assert_eq!((pieces.len(), same_x), (1, SameX::Never));
        let points = &pieces[0];
        assert!(points.len() <= 4 * 3 * 500, "{} points", points.len());
        assert!(points.contains(&(f64::from(peak), 50.0)));
        assert_eq!(points[0], (0.0, 0.0));
        assert_eq!(points[points.len() - 1].0, 999_999.0);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn no_line_leads_over_a_pause_of_the_recording() {
        let mut line = Line::new(100);
        for frame in 0..60 {
            let pause_secs = if frame < 30 { 0.0 } else { 20.0 };
            // One frame is late, as busy recorders have it.
            let late_secs = if frame == 10 { 0.02 } else { 0.0 };
            let time_secs = frame as f64 / 30.0 + pause_secs + late_secs;
            line.push(time_secs, Some(1.0), Some(frame));
        }
        let (pieces, _) = line.finish();
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [30, 30]);
    }

    #[test]
    fn a_long_gap_survives_thinning() {
        let samples = (0..100_000).map(|i| {
            let is_gap = (40_000..60_000).contains(&i);
            (f64::from(i), (!is_gap).then_some(1.0))
        });
        let (pieces, _) = line(200, samples).finish();
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0][pieces[0].len() - 1].0, 39_999.0);
        assert_eq!(pieces[1][0].0, 60_000.0);
    }

    #[test]
    fn the_same_x_twice_is_noticed() {
        assert_eq!(
            line(9, [(1.0, Some(1.0)), (1.0, Some(2.0))]).finish().1,
            SameX::Found
        );
    }
}
