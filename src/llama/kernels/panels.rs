//! Activations as the kernels have them.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Tokens side by side in a panel.
pub const LANES: usize = 32;

/// Activations of some tokens, shape [features, tokens], as panels of [`LANES`] tokens:
/// [panel][feature][lane]. Vectors run along tokens, whatever is computed. Lanes beyond the last
/// token hold finite numbers that nobody reads; gradients are zero there.
#[derive(Clone, Debug, Default)]
pub struct Panels {
    pub features: usize,
    pub tokens: usize,
    pub values: Vec<f32>,
}

impl Panels {
    pub fn zeros(features: usize, tokens: usize) -> Self {
        Self {
            features,
            tokens,
            values: vec![0.0; tokens.div_ceil(LANES) * features * LANES],
        }
    }

    /// Panels that `fill` makes: it is given each panel's number and its zeros, on all threads.
    pub fn from_fn(
        features: usize,
        tokens: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let values = filled_in_parts(tokens.div_ceil(LANES), features * LANES, fill);
        Self {
            features,
            tokens,
            values,
        }
    }

    /// Number of panels.
    pub fn count(&self) -> usize {
        self.tokens.div_ceil(LANES)
    }

    /// Numbers in a panel.
    pub fn panel_size(&self) -> usize {
        self.features * LANES
    }

    /// A panel, [feature][lane].
    pub fn panel(&self, panel: usize) -> &[f32] {
        &self.values[panel * self.panel_size()..][..self.panel_size()]
    }

    /// Where a number is.
    pub fn index(&self, feature: usize, token: usize) -> usize {
        (token / LANES * self.features + feature) * LANES + token % LANES
    }

    /// Sets a token's features.
    pub fn set_token(&mut self, token: usize, features: &[f32]) {
        let start = self.index(0, token);
        let lanes = self.values[start..].iter_mut().step_by(LANES);
        for (out, value) in lanes.zip(features) {
            *out = *value;
        }
    }

    /// A token's features.
    pub fn token(&self, token: usize) -> Vec<f32> {
        let start = self.index(0, token);
        let lanes = self.values[start..].iter().step_by(LANES);
        lanes.take(self.features).copied().collect()
    }

    /// Features as tokens and tokens as features; these are filled up with zeros to whole panels.
    pub fn transposed(&self) -> Self {
        let mut out = Self::zeros(self.count() * LANES, self.features);
        let size = out.panel_size();
        for (panel, out) in out.values.chunks_exact_mut(size.max(1)).enumerate() {
            let width = LANES.min(self.features - panel * LANES);
            for (token, out) in out.chunks_exact_mut(LANES).enumerate() {
                let start = self.index(panel * LANES, token);
                let lanes = self.values[start..].iter().step_by(LANES);
                for (out, value) in out[..width].iter_mut().zip(lanes) {
                    *out = *value;
                }
            }
        }
        out
    }
}

/// As many parts of `size` values each; `fill` is given each part's number and its zeros, on all
/// threads. One thread alone would take as long for the zeros of a large vector as two for a small
/// product.
pub(super) fn filled_in_parts<T: Copy + Default + Send>(
    parts: usize,
    size: usize,
    fill: impl Fn(usize, &mut [T]) + Sync,
) -> Vec<T> {
    let length = parts * size;
    let mut values = Vec::with_capacity(length);
    let spare = &mut values.spare_capacity_mut()[..length];
    let spare = spare.par_chunks_mut(size.max(1)).enumerate();
    spare.for_each(|(part, spare)| {
        spare.fill(MaybeUninit::new(T::default()));
        // SAFETY: it was filled just now.
        fill(part, unsafe { spare.assume_init_mut() });
    });
    // SAFETY: so were all parts, which together are as long.
    unsafe { values.set_len(length) };
    values
}
