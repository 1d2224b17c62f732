//! What someone looks like, as far as it helps to tell people apart: the colours of trunk and
//! thighs.
//!
//! Colour histograms with shared bins, compared by the Hellinger distance (Bhattacharyya 1943;
//! Comaniciu, Ramesh, Meer, "Kernel-based object tracking", 2003).

use std::sync::LazyLock;

use super::matching::{Body, distance};
use crate::image::{BgrView, Corners, Pixels};
use crate::pose::landmark::Landmark;

/// Bins of each colour channel.
const LEVELS: usize = 4;
const BINS: usize = LEVELS * LEVELS * LEVELS;
/// Trunk, left thigh and right thigh count as two regions: the thighs share theirs.
const REGIONS: usize = 2;
/// Samples along a limb's line and to each side of it.
const ALONG: usize = 24;
const ACROSS: usize = 9;
/// Half a region's width in trunk lengths. Less than a body's, so that little of what is behind it
/// counts.
const TRUNK_REACH: f64 = 0.2;
const THIGH_REACH: f64 = 0.08;
/// A region of which less than this share lies in the picture says nothing.
const MIN_SHARE_INSIDE: f64 = 0.5;

/// The two nearest levels of each value of a channel, with their shares.
static NEAREST_LEVELS: LazyLock<[[(usize, f32); 2]; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| {
        let step = 256.0 / LEVELS as f32;
        let position = (value as f32 + 0.5) / step - 0.5;
        let lower = position.floor();
        let share = position - lower;
        let last = LEVELS as i32 - 1;
        let level = |level: i32| level.clamp(0, last) as usize;
        [
            (level(lower as i32), 1.0 - share),
            (level(lower as i32 + 1), share),
        ]
    })
});

/// Colour histograms; a region that could not be seen has none.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Appearance {
    regions: [Option<Box<[f32; BINS]>>; REGIONS],
}

impl Appearance {
    /// Looks at a body in a picture.
    pub fn of(body: &Body, frame: &mut Pixels<'_>) -> Self {
        use Landmark::*;
        let at = |landmark| body.landmark_px(landmark);
        let middle = |a: [f64; 2], b: [f64; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
        let shoulders = middle(at(LeftShoulder), at(RightShoulder));
        let hips = middle(at(LeftHip), at(RightHip));
        let trunk_px = distance(shoulders, hips);
        let trunk_line = Line {
            ends: [shoulders, hips],
            reach_px: TRUNK_REACH * trunk_px,
        };
        let thigh_lines = [[LeftHip, LeftKnee], [RightHip, RightKnee]].map(|ends| Line {
            ends: ends.map(at),
            reach_px: THIGH_REACH * trunk_px,
        });
        let lines = [trunk_line].into_iter().chain(thigh_lines);
        let view = frame.show(lines.filter_map(|line| line.corners()));
        let mut trunk = Histogram::default();
        trunk.add_line(view, trunk_line);
        let mut thighs = Histogram::default();
        for line in thigh_lines {
            thighs.add_line(view, line);
        }
        Self {
            regions: [trunk.finish(), thighs.finish()],
        }
    }

    /// Mean Hellinger distance of the regions that both have, 0 (the same colours) to 1 (none in
    /// common); `None` where there is no such region.
    pub fn distance(&self, other: &Self) -> Option<f64> {
        let pairs = self.regions.iter().zip(&other.regions);
        let distances: Vec<f64> = pairs
            .filter_map(|(a, b)| Some(hellinger(a.as_deref()?, b.as_deref()?)))
            .collect();
        (!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64)
    }

    /// Moves towards a newer look by `weight`, 0..1.
    pub fn follow(&mut self, newer: Self, weight: f32) {
        for (region, newer) in self.regions.iter_mut().zip(newer.regions) {
            match (region, newer) {
                (Some(region), Some(newer)) => {
                    for (bin, newer) in region.iter_mut().zip(newer.iter()) {
                        *bin += weight * (newer - *bin);
                    }
                }
                (region @ None, newer) => *region = newer,
                (Some(_), None) => {}
            }
        }
    }
}

fn hellinger(a: &[f32; BINS], b: &[f32; BINS]) -> f64 {
    let pairs = a.iter().zip(b);
    let overlap: f64 = pairs.map(|(a, b)| f64::from(a * b).sqrt()).sum();
    (1.0 - overlap).max(0.0).sqrt()
}

/// A line with its surroundings: `reach_px` to each side.
#[derive(Clone, Copy)]
struct Line {
    ends: [[f64; 2]; 2],
    reach_px: f64,
}

impl Line {
    /// The direction from the first end to the other; NaN for a line without length.
    fn unit(&self) -> [f64; 2] {
        let [a, b] = self.ends;
        let length = distance(a, b);
        [(b[0] - a[0]) / length, (b[1] - a[1]) / length]
    }

    /// The rectangle of the surroundings; `None` where they are nowhere.
    fn corners(&self) -> Option<Corners> {
        let [a, b] = self.ends;
        let [x, y] = self.unit().map(|part| part * self.reach_px);
        let corners = [
            [a[0] - y, a[1] + x],
            [b[0] - y, b[1] + x],
            [b[0] + y, b[1] - x],
            [a[0] + y, a[1] - x],
        ];
        let is_somewhere = corners.as_flattened().iter().all(|value| !value.is_nan());
        is_somewhere.then_some(corners)
    }
}

struct Histogram {
    bins: Box<[f32; BINS]>,
    asked: usize,
    inside: usize,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            bins: Box::new([0.0; BINS]),
            asked: 0,
            inside: 0,
        }
    }
}

impl Histogram {
    /// Adds the pixels around a line.
    fn add_line(&mut self, frame: BgrView<'_>, line: Line) {
        let (unit, reach_px) = (line.unit(), line.reach_px);
        let [a, b] = line.ends;
        let length = distance(a, b);
        for i in 0..ALONG {
            let along = (i as f64 + 0.5) / ALONG as f64 * length;
            for j in 0..ACROSS {
                let across = ((j as f64 + 0.5) / ACROSS as f64 * 2.0 - 1.0) * reach_px;
                let x = (a[0] + along * unit[0] - across * unit[1]).round();
                let y = (a[1] + along * unit[1] + across * unit[0]).round();
                self.asked += 1;
                // A line without length has no unit: NaN lies outside.
                let is_inside =
                    x >= 0.0 && y >= 0.0 && x < frame.width() as f64 && y < frame.height() as f64;
                if is_inside {
                    self.inside += 1;
                    self.add(frame.pixel(x as usize, y as usize));
                }
            }
        }
    }

    /// A colour counts for the two nearest levels of each channel, by nearness, so that a small
    /// change of light makes a small change.
    fn add(&mut self, colour: [u8; 3]) {
        let levels = colour.map(|value| NEAREST_LEVELS[usize::from(value)]);
        for (blue, blue_share) in levels[0] {
            for (green, green_share) in levels[1] {
                for (red, red_share) in levels[2] {
                    self.bins[(blue * LEVELS + green) * LEVELS + red] +=
                        blue_share * green_share * red_share;
                }
            }
        }
    }

    fn finish(mut self) -> Option<Box<[f32; BINS]>> {
        if self.inside == 0 || (self.inside as f64) < MIN_SHARE_INSIDE * self.asked as f64 {
            return None;
        }
        let total = self.inside as f32;
        self.bins.iter_mut().for_each(|bin| *bin /= total);
        Some(self.bins)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::matching::tests::body_at;
    use super::*;
    use crate::image::PartialPicture;

    /// How someone looks whose surroundings are all of one colour.
    pub fn look(colour: [u8; 3]) -> Appearance {
        let pixels = colour.repeat(400 * 600);
        let frame = BgrView::new(&pixels, 400, 600, 3 * 400).expect("a picture");
        Appearance::of(&body_at(200.0, 300.0), &mut frame.into())
    }

    fn unlike(a: [u8; 3], b: [u8; 3]) -> f64 {
        look(a).distance(&look(b)).expect("both can be seen")
    }

    #[test]
    fn the_same_colours_are_alike_other_colours_are_not_and_light_changes_little() {
        assert!(unlike([40, 90, 200], [40, 90, 200]) < 1e-3);
        assert_eq!(unlike([0, 0, 255], [255, 0, 0]), 1.0);
        // Two grey levels of 64 between two bins' middles move 1/32 of the weight per channel.
        assert!(unlike([96, 96, 96], [98, 98, 98]) < 0.2);
    }

    /// A picture that is black but for the areas that were asked for, with a pixel around them.
    struct Asked<'a> {
        whole: &'a [u8],
        size: [usize; 2],
        bytes: Vec<u8>,
    }

    impl PartialPicture for Asked<'_> {
        fn size(&self) -> [usize; 2] {
            self.size
        }

        fn show(&mut self, areas: &mut dyn Iterator<Item = Corners>) -> BgrView<'_> {
            let [width, height] = self.size;
            for [corner, next, _, last] in areas {
                let is_along = |point: [f64; 2], end: [f64; 2]| {
                    let side = [end[0] - corner[0], end[1] - corner[1]];
                    let way = [point[0] - corner[0], point[1] - corner[1]];
                    let length = side[0].hypot(side[1]);
                    let along = (way[0] * side[0] + way[1] * side[1]) / length;
                    (-1.0..=length + 1.0).contains(&along)
                };
                for (place, pixel) in self.bytes.chunks_exact_mut(3).enumerate() {
                    let point = [(place % width) as f64, (place / width) as f64];
                    if is_along(point, next) && is_along(point, last) {
                        pixel.copy_from_slice(&self.whole[3 * place..3 * place + 3]);
                    }
                }
            }
            BgrView::new(&self.bytes, width, height, 3 * width).expect("a picture")
        }
    }

    #[test]
    fn all_pixels_that_count_were_asked_for() {
        let mut random = crate::random::SplitMix64::new(3);
        let size = [400, 600];
        let whole: Vec<u8> = (0..3 * 400 * 600)
            .map(|_| 100 + (random.next_fraction() * 156.0) as u8)
            .collect();
        for center in [[200.0, 300.0], [20.0, 310.0], [200.0, 590.0]] {
            let body = body_at(center[0], center[1]);
            let view = BgrView::new(&whole, 400, 600, 3 * 400).expect("a picture");
            let expected = Appearance::of(&body, &mut view.into());
            assert_ne!(expected, Appearance::default());
            let asked = Asked {
                whole: &whole,
                size,
                bytes: vec![0; whole.len()],
            };
            assert_eq!(Appearance::of(&body, &mut Pixels::partial(asked)), expected);
        }
    }

    #[test]
    fn what_is_not_in_the_picture_tells_nothing() {
        let pixels = [9; 3 * 50 * 50];
        let frame = BgrView::new(&pixels, 50, 50, 150).expect("a picture");
        let outside = Appearance::of(&body_at(500.0, 300.0), &mut frame.into());
        assert_eq!(outside, Appearance::default());
        assert_eq!(outside.distance(&look([9, 9, 9])), None);
    }

    #[test]
    fn a_look_is_followed_by_the_weight_and_begins_where_there_was_none() {
        let (red, blue) = (look([0, 0, 255]), look([255, 0, 0]));
        let mut seen = Appearance::default();
        seen.follow(red.clone(), 0.25);
        assert_eq!(seen, red);
        seen.follow(blue.clone(), 0.25);
        // Three quarters of one colour and a quarter of the other: sqrt(1 - sqrt(share)).
        let to_red = seen.distance(&red).expect("seen");
        let to_blue = seen.distance(&blue).expect("seen");
        assert!(
            (to_red - (1.0 - 0.75f64.sqrt()).sqrt()).abs() < 1e-6,
            "{to_red}"
        );
        assert!(
            (to_blue - (1.0 - 0.25f64.sqrt()).sqrt()).abs() < 1e-6,
            "{to_blue}"
        );
    }
}
