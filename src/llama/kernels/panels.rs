//! Activations as the kernels have them.

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
