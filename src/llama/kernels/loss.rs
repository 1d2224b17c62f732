//! The cross-entropy of a language model together with its projection to the vocabulary. Logits
//! exist only where a token is to be predicted, and for some of these at a time.

use rayon::prelude::*;

use super::elementwise::exp;
use super::panels::{LANES, Panels};
use super::vectorised;

/// Tokens whose logits are there at a time.
pub const CHUNK_TOKENS: usize = 4 * LANES;

/// Rows of the vocabulary that one task looks at.
const ROWS_PER_TASK: usize = 2048;

/// The negative log-likelihood (nats) of each token's target; `logits` has the shape [vocabulary,
/// tokens].
pub fn nlls(logits: &Panels, targets: &[u32]) -> Vec<f32> {
    let log_sums = log_sums(logits);
    let target_logits = targets
        .iter()
        .enumerate()
        .map(|(token, target)| logits.values[logits.index(*target as usize, token)]);
    let pairs = log_sums.iter().zip(target_logits);
    pairs.map(|(log_sum, logit)| log_sum - logit).collect()
}

/// As [`nlls`]; logits become the gradients of `scale` times the sum of all likelihoods.
pub fn nlls_and_gradients(logits: &mut Panels, targets: &[u32], scale: f32) -> Vec<f32> {
    let log_sums = log_sums(logits);
    let mut nlls = Vec::with_capacity(targets.len());
    for (token, target) in targets.iter().enumerate() {
        nlls.push(log_sums[token] - logits.values[logits.index(*target as usize, token)]);
    }
    let size = logits.panel_size();
    let tokens = logits.tokens;
    logits
        .values
        .par_chunks_mut(size)
        .enumerate()
        .for_each(|(panel, values)| {
            let scales: [f32; LANES] = std::array::from_fn(|lane| {
                if panel * LANES + lane < tokens {
                    scale
                } else {
                    0.0
                }
            });
            let log_sums: &[f32] = &log_sums[panel * LANES..][..LANES];
            let rows = values.par_chunks_mut(ROWS_PER_TASK * LANES);
            rows.for_each(|rows| scaled_probabilities(rows, log_sums, &scales));
        });
    for (token, target) in targets.iter().enumerate() {
        let index = logits.index(*target as usize, token);
        logits.values[index] -= scale;
    }
    nlls
}

/// For each lane the logarithm of the sum of its logits' exponentials.
fn log_sums(logits: &Panels) -> Vec<f32> {
    let panels = logits.values.par_chunks(logits.panel_size());
    let sums = panels.flat_map_iter(|panel| {
        let blocks: Vec<([f32; LANES], [f32; LANES])> = panel
            .par_chunks(ROWS_PER_TASK * LANES)
            .map(maxima_and_sums)
            .collect();
        (0..LANES).map(move |lane| {
            let maxima = blocks.iter().map(|(maxima, _)| maxima[lane]);
            let maximum = maxima.fold(f32::NEG_INFINITY, f32::max);
            let sums = blocks.iter().map(|(maxima, sums)| {
                f64::from(sums[lane]) * f64::from(maxima[lane] - maximum).exp()
            });
            (f64::from(maximum) + sums.sum::<f64>().ln()) as f32
        })
    });
    sums.collect()
}

vectorised! {
    /// Of each lane the largest logit, and the sum of exponentials relative to it.
    fn maxima_and_sums(rows: &[f32]) -> ([f32; LANES], [f32; LANES]) {
        let mut maxima = [f32::NEG_INFINITY; LANES];
        for row in rows.chunks_exact(LANES) {
            for (maximum, logit) in maxima.iter_mut().zip(row) {
                *maximum = maximum.max(*logit);
            }
        }
        let mut sums = [0.0_f32; LANES];
        for row in rows.chunks_exact(LANES) {
            for lane in 0..LANES {
                sums[lane] += exp(row[lane] - maxima[lane]);
            }
        }
        (maxima, sums)
    }

    fn scaled_probabilities(rows: &mut [f32], log_sums: &[f32], scales: &[f32; LANES]) {
        for row in rows.chunks_exact_mut(LANES) {
            for lane in 0..LANES {
                row[lane] = exp(row[lane] - log_sums[lane]) * scales[lane];
            }
        }
    }
}
