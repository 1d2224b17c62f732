//! Which inputs of an adapter are dropped in training (Srivastava et al. 2014). It follows from the
//! step's seed and from where an input stands, and from nothing else: neither from threads nor from
//! which implementation asks, and a backward pass need not remember it.

use super::Projection;
use crate::random::{INCREMENT, scramble};

/// What is dropped in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    seed: u64,
    /// Share of the inputs that is dropped, above 0 and below 1.
    rate: f32,
}

/// What is dropped of one token's inputs of one linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutRow {
    key: u64,
    threshold: u32,
}

impl Dropout {
    /// `None` when nothing is dropped.
    pub fn new(seed: u64, rate: f32) -> Option<Self> {
        (rate > 0.0).then_some(Self { seed, rate })
    }

    /// What the inputs that are kept are multiplied with, so that their sum is expected to be as
    /// without dropout.
    pub fn scale(self) -> f32 {
        1.0 / (1.0 - self.rate)
    }

    /// What is dropped of the inputs of a linear layer for the token at `place` in the batch.
    pub fn row(self, layer: usize, projection: Projection, place: usize) -> DropoutRow {
        let linear = (layer * Projection::ALL.len() + projection as usize) as u64;
        DropoutRow {
            key: scramble(scramble(self.seed ^ scramble(linear)) ^ place as u64),
            threshold: (f64::from(self.rate) * f64::from(u32::MAX)) as u32,
        }
    }
}

impl DropoutRow {
    /// Whether the input of a column is kept.
    #[inline]
    pub fn keeps(self, column: usize) -> bool {
        let place = (column as u64).wrapping_mul(INCREMENT);
        (scramble(self.key.wrapping_add(place)) >> 32) as u32 >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_dropped_as_asked_for() {
        for rate in [0.05, 0.1, 0.5, 0.9] {
            let dropout = Dropout::new(7, rate).expect("a rate");
            let kept = (0..200).flat_map(|place| {
                let row = dropout.row(3, Projection::V, place);
                (0..500).map(move |column| row.keeps(column))
            });
            let kept = kept.filter(|is_kept| *is_kept).count() as f32 / 1e5;
            // Three standard deviations of a hundred thousand draws are at most 0.005.
            assert!((kept - (1.0 - rate)).abs() < 0.005, "{rate} {kept}");
        }
        assert_eq!(Dropout::new(7, 0.0), None);
    }

    #[test]
    fn every_part_of_where_an_input_stands_matters() {
        let kept = |seed, layer, projection, place| -> Vec<bool> {
            let dropout = Dropout::new(seed, 0.5).expect("a rate");
            let row = dropout.row(layer, projection, place);
            (0..64).map(|column| row.keeps(column)).collect()
        };
        let one = kept(1, 2, Projection::Q, 3);
        assert_eq!(one, kept(1, 2, Projection::Q, 3));
        for other in [
            kept(2, 2, Projection::Q, 3),
            kept(1, 3, Projection::Q, 3),
            kept(1, 2, Projection::K, 3),
            kept(1, 2, Projection::Q, 4),
        ] {
            assert_ne!(one, other);
        }
    }
}
