//! The random numbers that goldens were made with: PCG64 as NumPy has it (O'Neill 2014, PCG;
//! XSL-RR over 128 bits).

pub struct NumpyRandom {
    state: u128,
    increment: u128,
}

impl NumpyRandom {
    /// A generator in a state that NumPy has told.
    pub fn new(state: u128, increment: u128) -> Self {
        Self { state, increment }
    }

    fn next(&mut self) -> u64 {
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// A number from `low` to below `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * unit
    }
}
