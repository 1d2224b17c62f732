//! What goes feature by feature: normalisation, rotary embeddings, activations, each with its
//! derivative.

use rayon::prelude::*;

use super::panels::{LANES, Panels};
use super::vectorised;

/// `e` to the power of `x`, to within two units in the last place, by Cody and Waite's reduction
/// and a polynomial; written so that it becomes vector instructions.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first exact in products with small whole numbers.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting it rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.3);
    let whole = (x * LOG2_E + ROUND) - ROUND;
    let rest = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    // Minimax coefficients of Cephes' expf.
    let mut sum = 1.987_569_1e-4_f32;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        sum = sum * rest + coefficient;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    let power = f32::from_bits(((whole as i32 + 127) << 23) as u32);
    fraction * power
}

/// Calls `work` with the number of each panel and its part of `out`, on all threads.
fn for_each_panel(out: &mut Panels, work: impl Fn(usize, &mut [f32]) + Sync) {
    let size = out.panel_size().max(1);
    let panels = out.values.par_chunks_mut(size).enumerate();
    panels.for_each(|(panel, out)| work(panel, out));
}

/// A row of lanes.
#[inline(always)]
fn lanes(panel: &[f32], feature: usize) -> &[f32; LANES] {
    panel[feature * LANES..]
        .first_chunk()
        .unwrap_or(&[0.0; LANES])
}

/// RMS normalisation (Zhang and Sennrich 2019): each token's features over their root mean square,
/// times `weight`. Gives also the inverse root mean squares, one per lane.
pub fn rms_norm(x: &Panels, weight: &[f32], eps: f32) -> (Panels, Vec<f32>) {
    let mut inverse = vec![0.0; x.count() * LANES];
    let panels = inverse.par_chunks_mut(LANES).enumerate();
    panels.for_each(|(panel, inverse)| inverse_rms_of_panel(x.panel(panel), eps, inverse));
    (rms_norm_with(x, weight, &inverse), inverse)
}

/// As [`rms_norm`], with inverse root mean squares that are known.
pub fn rms_norm_with(x: &Panels, weight: &[f32], inverse: &[f32]) -> Panels {
    Panels::from_fn(x.features, x.tokens, |panel, out| {
        let inverse = &inverse[panel * LANES..][..LANES];
        norm_panel(x.panel(panel), weight, inverse, out);
    })
}

/// Adds the gradient of [`rms_norm`]'s input to `dx`.
pub fn add_rms_norm_gradient(
    dy: &Panels,
    x: &Panels,
    weight: &[f32],
    inverse: &[f32],
    dx: &mut Panels,
) {
    for_each_panel(dx, |panel, dx| {
        let inverse = &inverse[panel * LANES..][..LANES];
        add_norm_gradient_of_panel(dy.panel(panel), x.panel(panel), weight, inverse, dx);
    });
}

vectorised! {
    fn inverse_rms_of_panel(x: &[f32], eps: f32, inverse: &mut [f32]) {
        let mut sums = [0.0_f32; LANES];
        for row in x.chunks_exact(LANES) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += x * x;
            }
        }
        let features = (x.len() / LANES) as f32;
        for (inverse, sum) in inverse.iter_mut().zip(sums) {
            *inverse = 1.0 / (sum / features + eps).sqrt();
        }
    }

    fn norm_panel(x: &[f32], weight: &[f32], inverse: &[f32], out: &mut [f32]) {
        for (feature, out) in out.chunks_exact_mut(LANES).enumerate() {
            let weight = weight[feature];
            for ((out, x), inverse) in out.iter_mut().zip(lanes(x, feature)).zip(inverse) {
                *out = x * inverse * weight;
            }
        }
    }

    fn add_norm_gradient_of_panel(
        dy: &[f32],
        x: &[f32],
        weight: &[f32],
        inverse: &[f32],
        dx: &mut [f32],
    ) {
        let mut dots = [0.0_f32; LANES];
        for (feature, weight) in weight.iter().enumerate() {
            let (dy, x) = (lanes(dy, feature), lanes(x, feature));
            for ((dot, dy), x) in dots.iter_mut().zip(dy).zip(x) {
                *dot += dy * x * weight;
            }
        }
        for (dot, inverse) in dots.iter_mut().zip(inverse) {
            *dot *= inverse * inverse * inverse / weight.len() as f32;
        }
        let mut inverses = [0.0_f32; LANES];
        inverses.copy_from_slice(inverse);
        for (feature, dx) in dx.chunks_exact_mut(LANES).enumerate() {
            let weight = weight[feature];
            let (dy, x) = (lanes(dy, feature), lanes(x, feature));
            for lane in 0..LANES {
                dx[lane] += dy[lane] * weight * inverses[lane] - x[lane] * dots[lane];
            }
        }
    }

    /// Turns the two halves of a head by angles of these cosines and sines.
    fn turn_head(first: &mut [f32], second: &mut [f32], cos: &[f32], sin: &[f32]) {
        let pairs = first.iter_mut().zip(second).zip(cos.iter().zip(sin));
        for ((first, second), (cos, sin)) in pairs {
            let (a, b) = (*first, *second);
            *first = a * cos - b * sin;
            *second = b * cos + a * sin;
        }
    }

    fn swiglu_panel(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate * up / (1.0 + exp(-gate));
        }
    }

    fn swiglu_gradients_of_panel(dy: &[f32], gate: &mut [f32], up: &mut [f32]) {
        for ((gate, up), dy) in gate.iter_mut().zip(up.iter_mut()).zip(dy) {
            let sigmoid = 1.0 / (1.0 + exp(-*gate));
            let silu = *gate * sigmoid;
            let slope = sigmoid + silu * (1.0 - sigmoid);
            (*gate, *up) = (dy * *up * slope, dy * silu);
        }
    }
}

/// Cosines and sines of the angles by which positions turn each pair of a head's elements; both of
/// shape [head_dim / 2, tokens].
pub struct Rotations {
    cos: Panels,
    sin: Panels,
    sin_back: Panels,
}

/// Which way rotary embeddings rotate: forward, or by the inverse rotation, for gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationDirection {
    Forward,
    Inverse,
}

impl Rotations {
    /// For tokens at `positions`; `frequencies` are in radians per position.
    pub fn new(frequencies: &[f32], positions: &[usize]) -> Self {
        let mut cos = Panels::zeros(frequencies.len(), positions.len());
        let mut sin = cos.clone();
        let mut sin_back = cos.clone();
        for (token, position) in positions.iter().enumerate() {
            for (pair, frequency) in frequencies.iter().enumerate() {
                let (sine, cosine) = (*position as f32 * frequency).sin_cos();
                let index = cos.index(pair, token);
                cos.values[index] = cosine;
                sin.values[index] = sine;
                sin_back.values[index] = -sine;
            }
        }
        Self { cos, sin, sin_back }
    }

    /// Turns all heads of queries or keys (Su et al. 2021): element `i` of a head together with
    /// element `i + head_dim / 2`.
    pub fn apply(&self, x: &mut Panels, turn: RotationDirection) {
        let half = self.cos.panel_size();
        let sin = match turn {
            RotationDirection::Forward => &self.sin,
            RotationDirection::Inverse => &self.sin_back,
        };
        for_each_panel(x, |panel, x| {
            for head in x.chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                turn_head(first, second, self.cos.panel(panel), sin.panel(panel));
            }
        });
    }
}

/// SwiGLU (Shazeer 2020): `silu(gate) up`, with `silu(x) = x / (1 + e^-x)`.
pub fn swiglu(gate: &Panels, up: &Panels) -> Panels {
    Panels::from_fn(gate.features, gate.tokens, |panel, out| {
        swiglu_panel(gate.panel(panel), up.panel(panel), out);
    })
}

/// The gradients of [`swiglu`]'s inputs, in their places.
pub fn swiglu_gradients(dy: &Panels, gate: &mut Panels, up: &mut Panels) {
    let size = gate.panel_size().max(1);
    let ups = up.values.par_chunks_mut(size);
    let pairs = gate.values.par_chunks_mut(size).zip(ups).enumerate();
    pairs.for_each(|(panel, (gate, up))| swiglu_gradients_of_panel(dy.panel(panel), gate, up));
}
