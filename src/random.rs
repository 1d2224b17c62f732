//! Numbers that look random and are the same on every machine: SplitMix64 (Steele, Lea, Flood, "Fast
//! Splittable Pseudorandom Number Generators", 2014; Vigna's constants).
//!
//! Datasets and trainings depend on these numbers bit by bit.

/// What the generator adds to its state for each number: the golden ratio in 64 bits.
pub const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number that looks random and depends on all bits of `value`.
#[inline]
pub fn scramble(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(INCREMENT);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The sequence that belongs to a seed, the same on every machine and in every version.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Different in each process.
    pub fn of_process() -> Self {
        use std::hash::{BuildHasher, Hasher};
        let state = std::collections::hash_map::RandomState::new();
        Self::new(state.build_hasher().finish())
    }

    /// The next number of the sequence; all values of 64 bits are equally likely.
    pub fn next_u64(&mut self) -> u64 {
        let number = scramble(self.state);
        self.state = self.state.wrapping_add(INCREMENT);
        number
    }

    /// From 0 to below 1.
    pub fn next_fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_reference() {
        // Vigna's splitmix64.c with the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let numbers: [u64; 5] = std::array::from_fn(|_| random.next_u64());
        let reference = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(numbers, reference);
    }
}
