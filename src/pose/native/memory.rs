//! Floats that begin with a cache line.

/// A list of floats whose registers never lie in two cache lines.
pub struct Memory(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; Memory::LINE_FLOATS]);

impl Memory {
    const LINE_FLOATS: usize = 16;

    /// So many zeros, or a few more.
    pub fn zeros(floats: usize) -> Self {
        let lines = floats.div_ceil(Self::LINE_FLOATS);
        Self(vec![Line([0.0; Self::LINE_FLOATS]); lines])
    }

    /// These floats, with zeros behind them.
    pub fn of(floats: &[f32]) -> Self {
        let mut memory = Self::zeros(floats.len());
        for (line, floats) in memory.0.iter_mut().zip(floats.chunks(Self::LINE_FLOATS)) {
            line.0[..floats.len()].copy_from_slice(floats);
        }
        memory
    }

    /// These bits of floats of 16 bits, with zeros behind them.
    pub fn of_halves(halves: &[u16]) -> Self {
        let pairs = halves.chunks(2).map(|pair| {
            let low = u32::from(pair[0]);
            let high = pair.get(1).copied().map_or(0, u32::from);
            f32::from_bits(low | high << 16)
        });
        Self::of(&pairs.collect::<Vec<f32>>())
    }

    pub fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}
