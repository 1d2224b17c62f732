//! How the learning rate rises and falls over a run.

use std::f64::consts::PI;
use std::str::FromStr;

use serde::Serialize;

use crate::names;

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Half a wave of the cosine, down to zero (Loshchilov and Hutter 2017, SGDR, without restarts)
    #[default]
    Cosine,
    /// A straight line down to zero
    Linear,
    /// No decay
    Constant,
}

impl Decay {
    /// In the order in which help lists them.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::Linear, Self::Constant];

    /// The name on the command line, and in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Linear => "linear",
            Self::Constant => "constant",
        }
    }
}

impl FromStr for Decay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        names::find(&Self::ALL, Self::name, text)
    }
}

/// How long the learning rate rises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Warmup {
    /// Of all steps, 0 to below 1.
    Share(f64),
    /// So many, however long the run is.
    Steps(u64),
}

impl Warmup {
    /// Steps of the warm-up in a run of `total_steps`.
    pub fn steps(self, total_steps: u64) -> u64 {
        match self {
            Self::Share(share) => (share * total_steps as f64).round() as u64,
            Self::Steps(steps) => steps,
        }
    }
}

impl FromStr for Warmup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(steps) = text.parse::<u64>() {
            return Ok(Self::Steps(steps));
        }
        match text.parse::<f64>() {
            Ok(share) if (0.0..1.0).contains(&share) => Ok(Self::Share(share)),
            _ => Err(
                "expected a share of the steps, such as 0.05, or their number, such as 20".into(),
            ),
        }
    }
}

/// The learning rate over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest learning rate: that of the first step after the warm-up.
    pub peak: f64,
    /// How the rate gets there.
    pub warmup: Warmup,
    /// How it goes down from there.
    pub decay: Decay,
}

impl Schedule {
    /// The learning rate of a step. `position` counts the steps done so far, of `total_steps`; in a
    /// run that ends by the clock it runs ahead of them.
    ///
    /// The warm-up's first step is not at zero, which would change nothing, and the first step after
    /// it is at the peak; from there on it is what transformers has
    /// (`get_cosine_schedule_with_warmup`, `get_linear_schedule_with_warmup`).
    pub fn learning_rate(&self, position: f64, total_steps: u64) -> f64 {
        let warmup = self.warmup.steps(total_steps) as f64;
        if position < warmup {
            return self.peak * (position + 1.0).min(warmup) / (warmup + 1.0);
        }
        let rest = (total_steps as f64 - warmup).max(1.0);
        let progress = ((position - warmup) / rest).clamp(0.0, 1.0);
        self.peak
            * match self.decay {
                Decay::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
                Decay::Linear => 1.0 - progress,
                Decay::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup: Warmup) -> Vec<f64> {
        let schedule = Schedule {
            peak: 0.8,
            warmup,
            decay,
        };
        let rates = (0..=8).map(|step| schedule.learning_rate(f64::from(step), 8));
        rates.collect()
    }

    fn assert_near(found: &[f64], wanted: &[f64]) {
        let is_near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(is_near && found.len() == wanted.len(), "{found:?}");
    }

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_as_it_is_told() {
        // 3 steps of warm-up are quarters of the peak, and 5 steps of decay follow.
        let rise = [0.2, 0.4, 0.6];
        let linear = [0.8, 0.64, 0.48, 0.32, 0.16, 0.0];
        let steps = Warmup::Steps(3);
        assert_near(&rates(Decay::Linear, steps), &[&rise[..], &linear].concat());
        let constant = [0.8; 6];
        let all = [&rise[..], &constant].concat();
        assert_near(&rates(Decay::Constant, steps), &all);
        // Cosines of multiples of 36 degrees are those of the golden ratio.
        let golden = (1.0 + 5f64.sqrt()) / 2.0;
        let cosine = [
            0.8,
            0.4 * (1.0 + golden / 2.0),
            0.4 * (1.0 + (golden - 1.0) / 2.0),
            0.4 * (1.0 - (golden - 1.0) / 2.0),
            0.4 * (1.0 - golden / 2.0),
            0.0,
        ];
        let share = Warmup::Share(0.375);
        assert_near(&rates(Decay::Cosine, share), &[&rise[..], &cosine].concat());
    }

    #[test]
    fn a_warm_up_is_a_share_or_a_number_of_steps() {
        assert_eq!("0.05".parse(), Ok(Warmup::Share(0.05)));
        assert_eq!("20".parse(), Ok(Warmup::Steps(20)));
        assert_eq!("0".parse(), Ok(Warmup::Steps(0)));
        for wrong in ["1.5", "-1", "nan", "half", ""] {
            assert!(wrong.parse::<Warmup>().is_err(), "{wrong}");
        }
        assert_eq!(Warmup::Share(0.05).steps(30), 2);
    }
}
