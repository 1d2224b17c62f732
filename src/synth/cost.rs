//! Prices, estimates, and a budget that is never overdrawn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::provider::{Prompt, ProviderKind, Usage};

/// The prices that this posedata was built with.
const PRICES: &str = include_str!("../../models/prices.toml");
/// Bytes of English and of tables per token, roughly; estimates only, limits use [`most_tokens`].
const BYTES_PER_TOKEN: f64 = 3.0;
/// What the schema and the way it is asked for take in addition, at most.
const SCHEMA_TOKENS: u64 = 900;
const TOKENS_PER_PRICE: f64 = 1e6;

/// Why prices are not known.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The system refuses to read the file.
    #[error("cannot read the prices ({reason}): {path}")]
    Unreadable {
        /// The file that was given.
        path: PathBuf,
        /// What the system or the TOML reader says.
        reason: String,
    },
    /// The file is no TOML, or has a price that makes no sense.
    #[error("the prices are wrong ({reason}); models/prices.toml shows their form: {path}")]
    Malformed {
        /// The file that was given.
        path: PathBuf,
        /// What the system or the TOML reader says.
        reason: String,
    },
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For what is sent.
    pub input: f64,
    /// For what is written, thinking included.
    pub output: f64,
}

impl Price {
    /// Of an answer, or of all answers of a round.
    pub fn cost_usd(&self, usage: Usage) -> f64 {
        (usage.input_tokens as f64 * self.input + usage.output_tokens as f64 * self.output)
            / TOKENS_PER_PRICE
    }

    /// The price where it is so many times lower or higher.
    pub fn times(&self, factor: f64) -> Self {
        Self {
            input: self.input * factor,
            output: self.output * factor,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderPrices {
    batch: f64,
    models: BTreeMap<String, Price>,
}

/// A file of prices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    openai: Option<ProviderPrices>,
    anthropic: Option<ProviderPrices>,
}

impl Prices {
    /// The user's prices, or those that posedata comes with.
    ///
    /// # Errors
    /// When the file cannot be read or has another form.
    pub fn load(path: Option<&Path>) -> Result<Self, PriceError> {
        let (text, path) = match path {
            Some(path) => {
                let text = crate::text::read_text(path).map_err(|e| PriceError::Unreadable {
                    path: path.into(),
                    reason: e.to_string(),
                })?;
                (text, path.to_owned())
            }
            None => (PRICES.to_owned(), PathBuf::from("models/prices.toml")),
        };
        let prices: Self = toml::from_str(&text).map_err(|e| PriceError::Malformed {
            path: path.clone(),
            reason: e.message().to_owned(),
        })?;
        if prices.are_amounts() {
            Ok(prices)
        } else {
            let reason = "prices and factors are 0 or more".to_owned();
            Err(PriceError::Malformed { path, reason })
        }
    }

    fn are_amounts(&self) -> bool {
        let is_amount = |amount: f64| amount.is_finite() && amount >= 0.0;
        let providers = [&self.openai, &self.anthropic];
        providers.into_iter().flatten().all(|provider| {
            let mut models = provider.models.values();
            is_amount(provider.batch) && models.all(|p| is_amount(p.input) && is_amount(p.output))
        })
    }

    /// What a model costs, at once or in a batch.
    pub fn find(&self, provider: ProviderKind, model: &str, is_batch: bool) -> Option<Price> {
        let provider = match provider {
            ProviderKind::OpenAi => self.openai.as_ref(),
            ProviderKind::Anthropic => self.anthropic.as_ref(),
        }?;
        let is_dated_version = |name: &String| {
            let version = model
                .strip_prefix(name.as_str())
                .and_then(|v| v.strip_prefix('-'));
            version
                .is_some_and(|v| v.len() >= 8 && v.chars().all(|c| c.is_ascii_digit() || c == '-'))
        };
        let dated = || {
            let mut models = provider.models.iter();
            models
                .find(|(name, _)| is_dated_version(name))
                .map(|(_, price)| price)
        };
        let price = provider.models.get(model).or_else(dated)?;
        Some(price.times(if is_batch { provider.batch } else { 1.0 }))
    }
}

/// Tokens that a prompt will probably take.
pub(super) fn likely_tokens(prompt: &Prompt) -> u64 {
    let bytes = (prompt.system.len() + prompt.user.len()) as f64;
    (bytes / BYTES_PER_TOKEN).ceil() as u64 + SCHEMA_TOKENS / 3
}

/// Tokens that a prompt takes at most: no tokenizer in use makes more than one of a byte.
pub(super) fn most_tokens(prompt: &Prompt) -> u64 {
    (prompt.system.len() + prompt.user.len()) as u64 + SCHEMA_TOKENS
}

/// Money that may be spent: what is in flight counts as much as it can cost at most.
#[derive(Debug)]
pub(super) struct Budget {
    limit_usd: Option<f64>,
    spent_usd: f64,
    reserved_usd: f64,
}

impl Budget {
    /// What is left of a limit after `spent_usd`, which may be more; without one everything fits.
    pub fn new(limit_usd: Option<f64>, spent_usd: f64) -> Self {
        Self {
            limit_usd,
            spent_usd,
            reserved_usd: 0.0,
        }
    }

    /// Sets an amount aside if it fits.
    pub fn reserve(&mut self, usd: f64) -> bool {
        let fits = self
            .limit_usd
            .is_none_or(|limit| self.spent_usd + self.reserved_usd + usd <= limit);
        if fits {
            self.reserved_usd += usd;
        }
        fits
    }

    /// What was set aside has become a cost.
    pub fn charge(&mut self, reserved_usd: f64, spent_usd: f64) {
        self.reserved_usd = (self.reserved_usd - reserved_usd).max(0.0);
        self.spent_usd += spent_usd;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_models_have_prices_that_stand_for_dated_versions() {
        let prices = Prices::load(None).expect("prices");
        for provider in [ProviderKind::OpenAi, ProviderKind::Anthropic] {
            let price = prices.find(provider, provider.default_model(), false);
            assert!(price.is_some(), "{provider:?}");
        }
        let price = |model, is_batch| prices.find(ProviderKind::OpenAi, model, is_batch);
        assert_eq!(
            price("gpt-5-mini-2025-08-07", false),
            price("gpt-5-mini", false)
        );
        assert_eq!(price("gpt-5-mini-large", false), None);
        assert_eq!(price("gpt-5", false), None);
        let halved = price("gpt-5-mini", true).expect("a price");
        assert_eq!((halved.input, halved.output), (0.125, 1.0));
    }

    #[test]
    fn a_file_of_the_user_replaces_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.toml");
        let write = |text: &str| std::fs::write(&path, text).expect("a file");
        write("[openai]\nbatch = 1\n[openai.models]\nmine = { input = 1, output = 2 }\n");
        let prices = Prices::load(Some(&path)).expect("prices");
        let price = prices
            .find(ProviderKind::OpenAi, "mine", false)
            .expect("a price");
        let usage = Usage {
            input_tokens: 500_000,
            output_tokens: 250_000,
        };
        assert_eq!(price.cost_usd(usage), 1.0);
        assert!(
            prices
                .find(ProviderKind::Anthropic, "claude-haiku-5-5", false)
                .is_none()
        );
        for wrong in [
            "[openai]\nbatch = -1\n[openai.models]\n",
            "openai = 3",
            "[mistral]\nbatch = 1\n",
        ] {
            write(wrong);
            assert!(Prices::load(Some(&path)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_budget_counts_what_is_in_flight() {
        let mut budget = Budget::new(Some(1.0), 0.0);
        assert!(budget.reserve(0.4) && budget.reserve(0.4));
        assert!(!budget.reserve(0.4));
        budget.charge(0.4, 0.1);
        assert!(budget.reserve(0.4));
        budget.charge(0.4, 0.4);
        budget.charge(0.4, 0.4);
        assert!((budget.spent_usd - 0.9).abs() < 1e-12);
        assert!(!budget.reserve(0.2) && budget.reserve(0.05));
        let mut overdrawn = Budget::new(Some(1.0), 1.5);
        assert!(!overdrawn.reserve(0.1));
        assert!(Budget::new(None, 1.5).reserve(0.1));
    }
}
