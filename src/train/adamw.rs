//! AdamW: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2, computed
//! in the order of PyTorch's `torch.optim.AdamW`.

use serde::Serialize;

use crate::llama::LoraPair;

/// Settings that stay the same over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AdamWConfig {
    /// How much of the mean of the gradients is kept in each step.
    pub beta1: f32,
    /// How much of the mean of the squared gradients is kept in each step.
    pub beta2: f32,
    /// Keeps the division from being one by zero.
    pub epsilon: f32,
    /// Share of each parameter that goes in each step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    /// PyTorch's, but without weight decay.
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The optimiser with its state: means of gradients and of squared gradients, laid out as the
/// adapter's pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// The same for all parameters.
    pub config: AdamWConfig,
    /// Updates so far.
    pub steps: u64,
    pub(super) means: Vec<LoraPair>,
    pub(super) squares: Vec<LoraPair>,
}

impl AdamW {
    /// `zeros` is laid out as the parameters are.
    pub fn new(config: AdamWConfig, zeros: Vec<LoraPair>) -> Self {
        Self {
            config,
            steps: 0,
            means: zeros.clone(),
            squares: zeros,
        }
    }

    /// Updates the parameters. With t updates so far, this one included, for each parameter p with
    /// its gradient g:
    ///
    /// ```text
    /// p = p (1 - learning_rate weight_decay)
    /// m = beta1 m + (1 - beta1) g
    /// v = beta2 v + (1 - beta2) g²
    /// p = p - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
    /// ```
    pub fn update(
        &mut self,
        parameters: &mut [LoraPair],
        gradients: &[LoraPair],
        learning_rate: f64,
    ) {
        self.steps += 1;
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.config;
        let power = |beta: f32| 1.0 - f64::from(beta).powf(self.steps as f64);
        let kept = (1.0 - learning_rate * weight_decay) as f32;
        let step_size = (learning_rate / power(beta1)) as f32;
        let root_of_correction = power(beta2).sqrt() as f32;
        let states = self.means.iter_mut().zip(&mut self.squares);
        let pairs = parameters.iter_mut().zip(gradients).zip(states);
        for ((parameters, gradients), (means, squares)) in pairs {
            for (parameters, gradients, means, squares) in [
                (
                    &mut parameters.a,
                    &gradients.a,
                    &mut means.a,
                    &mut squares.a,
                ),
                (
                    &mut parameters.b,
                    &gradients.b,
                    &mut means.b,
                    &mut squares.b,
                ),
            ] {
                let states = means.iter_mut().zip(squares);
                for ((p, g), (m, v)) in parameters.iter_mut().zip(gradients).zip(states) {
                    *m += (1.0 - beta1) * (g - *m);
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    *p = *p * kept - step_size * *m / (v.sqrt() / root_of_correction + epsilon);
                }
            }
        }
    }
}

/// The length of all gradients as one vector (L2).
pub fn norm(gradients: &[LoraPair]) -> f64 {
    let squares = |values: &[f32]| -> f64 {
        let squares = values.iter().map(|value| f64::from(*value).powi(2));
        squares.sum()
    };
    let pairs = gradients.iter();
    let sum: f64 = pairs.map(|pair| squares(&pair.a) + squares(&pair.b)).sum();
    sum.sqrt()
}

/// Multiplies all gradients.
pub fn scale(gradients: &mut [LoraPair], factor: f32) {
    for pair in gradients {
        for value in pair.a.iter_mut().chain(&mut pair.b) {
            *value *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llama::Projection;

    fn pair(a: [f32; 2], b: f32) -> Vec<LoraPair> {
        vec![LoraPair {
            layer: 0,
            projection: Projection::Q,
            a: a.into(),
            b: vec![b],
        }]
    }

    #[test]
    fn the_first_update_goes_by_the_learning_rate_against_the_gradients_sign() {
        // After one update m / (1 - beta1) is the gradient and v / (1 - beta2) its square.
        let mut parameters = pair([1.0, -2.0], 0.5);
        let mut optimiser = AdamW::new(AdamWConfig::default(), pair([0.0; 2], 0.0));
        optimiser.update(&mut parameters, &pair([3.0, -0.01], 0.0), 0.1);
        let found = [parameters[0].a[0], parameters[0].a[1], parameters[0].b[0]];
        for (found, wanted) in found.iter().zip([0.9, -1.9, 0.5]) {
            assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
        }
    }

    /// The formula of the documentation in 64 bits, written without regard to rounding or order.
    #[test]
    fn updates_are_those_of_the_formula() {
        let config = AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        };
        let mut parameters = pair([0.3, -0.7], 1.1);
        let mut optimiser = AdamW::new(config, pair([0.0; 2], 0.0));
        let (mut p, mut m, mut v) = ([0.3, -0.7, 1.1f64], [0.0; 3], [0.0; 3]);
        for t in 1..=50 {
            let g: [f64; 3] = std::array::from_fn(|i| (0.7 * f64::from(t) + i as f64).sin() * 0.2);
            let rate = 0.01 * (1.0 - f64::from(t) / 60.0);
            for i in 0..3 {
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                let unbiased = (
                    m[i] / (1.0 - 0.9f64.powi(t)),
                    v[i] / (1.0 - 0.999f64.powi(t)),
                );
                p[i] = p[i] * (1.0 - rate * 0.1) - rate * unbiased.0 / (unbiased.1.sqrt() + 1e-8);
            }
            let gradients = pair([g[0] as f32, g[1] as f32], g[2] as f32);
            optimiser.update(&mut parameters, &gradients, rate);
        }
        let found = [parameters[0].a[0], parameters[0].a[1], parameters[0].b[0]];
        for (found, wanted) in found.iter().zip(p) {
            assert!(
                (f64::from(*found) - wanted).abs() < 2e-6,
                "{found} {wanted}"
            );
        }
    }

    #[test]
    fn the_norm_is_that_of_one_vector() {
        let mut gradients = pair([2.0, -3.0], 6.0);
        assert_eq!(norm(&gradients), 7.0);
        scale(&mut gradients, 0.5);
        assert_eq!(norm(&gradients), 3.5);
    }
}
