//! What a model's files say of its shape.

use super::LlamaError;

/// Llama 3's stretching of rotary embeddings for long texts (`rope_scaling` of type `llama3`).
#[derive(Clone, Debug, PartialEq)]
pub struct RopeScaling {
    /// How many times longer texts may be than in the first training.
    pub factor: f32,
    /// Waves longer than the old context over this are slowed down by `factor`.
    pub low_freq_factor: f32,
    /// Waves shorter than the old context over this stay as they are; between both they blend.
    pub high_freq_factor: f32,
    /// Context of the first training, in tokens.
    pub original_max_positions: usize,
}

/// The shape of a Llama model.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// Tokens that there are.
    pub vocab_size: usize,
    /// Numbers that a token is between layers.
    pub hidden_size: usize,
    /// Numbers within the feed-forward part.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Heads of queries.
    pub num_heads: usize,
    /// Heads of keys and values; each serves `num_heads / num_kv_heads` heads of queries.
    pub num_kv_heads: usize,
    /// Numbers of a head; often, but not always, `hidden_size / num_heads`.
    pub head_dim: usize,
    /// Added to the mean square before its root is taken.
    pub rms_norm_eps: f32,
    /// Base of the wavelengths of rotary embeddings: 10,000, or more for long texts.
    pub rope_theta: f32,
    /// `None`: positions are turned by the plain wavelengths.
    pub rope_scaling: Option<RopeScaling>,
    /// Longest text in tokens.
    pub max_positions: usize,
    /// Whether the embedding is the output projection too.
    pub is_tied: bool,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
}

impl LlamaConfig {
    /// Whether the model takes a text.
    ///
    /// # Errors
    /// When it is too long, or has a token that is none of the vocabulary.
    pub fn check_text(&self, ids: &[u32]) -> Result<(), LlamaError> {
        if ids.len() > self.max_positions {
            return Err(LlamaError::TooLong {
                tokens: ids.len(),
                max_positions: self.max_positions,
            });
        }
        match ids.iter().find(|id| **id as usize >= self.vocab_size) {
            Some(id) => Err(LlamaError::UnknownToken {
                id: *id,
                vocab_size: self.vocab_size,
            }),
            None => Ok(()),
        }
    }

    /// Width of all heads of queries together.
    pub fn query_size(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all heads of keys (or values) together.
    pub fn kv_size(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// The angle, in radians per position, by which each pair of a head's elements is turned; shape
    /// [head_dim / 2]. Su et al. 2021, RoFormer; with Llama 3's scaling where the model has it.
    pub fn rope_frequencies(&self) -> Vec<f32> {
        let half = self.head_dim / 2;
        let plain = (0..half).map(|i| {
            let exponent = 2.0 * i as f64 / self.head_dim as f64;
            f64::from(self.rope_theta).powf(-exponent)
        });
        let scaled = plain.map(|frequency| match &self.rope_scaling {
            None => frequency,
            Some(scaling) => scaling.of(frequency),
        });
        scaled.map(|frequency| frequency as f32).collect()
    }
}

impl RopeScaling {
    fn of(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
        let context = self.original_max_positions as f64;
        let (low, high) = (
            f64::from(self.low_freq_factor),
            f64::from(self.high_freq_factor),
        );
        let slow = frequency / f64::from(self.factor);
        if wavelength < context / high {
            frequency
        } else if wavelength > context / low {
            slow
        } else {
            let share = (context / wavelength - low) / (high - low);
            (1.0 - share) * slow + share * frequency
        }
    }
}
