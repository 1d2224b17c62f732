//! Low-rank adapters: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models. A linear
//! layer computes `W x + scaling B A x`; only A and B are trained.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::LlamaConfig;

/// A linear layer of a decoder layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Projection {
    /// Queries of the attention.
    Q,
    /// Keys of the attention.
    K,
    /// Values of the attention.
    V,
    /// The attention's output, back to the hidden size.
    O,
    /// The half of the feed-forward part that goes through SiLU.
    Gate,
    /// The half that is multiplied with it.
    Up,
    /// The feed-forward part's output, back to the hidden size.
    Down,
}

impl Projection {
    /// In the order in which a layer computes them.
    pub const ALL: [Self; 7] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];
    /// Those of the attention: what LoRA's paper (Hu et al. 2021) adapts.
    pub const ATTENTION: [Self; 4] = [Self::Q, Self::K, Self::V, Self::O];

    /// As `target_modules` of PEFT has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The part of a layer that it belongs to: `self_attn` or `mlp`.
    pub fn block(self) -> &'static str {
        match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }

    /// Widths of its output and its input.
    pub fn shape(self, config: &LlamaConfig) -> (usize, usize) {
        match self {
            Self::Q => (config.query_size(), config.hidden_size),
            Self::K | Self::V => (config.kv_size(), config.hidden_size),
            Self::O => (config.hidden_size, config.query_size()),
            Self::Gate | Self::Up => (config.intermediate_size, config.hidden_size),
            Self::Down => (config.hidden_size, config.intermediate_size),
        }
    }
}

/// Settings of an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rows of A and columns of B; at least 1.
    pub rank: usize,
    /// The output's scale, before it is divided by the rank or its root.
    pub alpha: f32,
    /// Share of the adapter's inputs that is dropped in training, 0 to below 1.
    pub dropout: f32,
    /// In the order of [`Projection::ALL`], each once.
    pub projections: Vec<Projection>,
    /// Scale by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, rsLoRA).
    pub uses_rslora: bool,
}

impl LoraConfig {
    /// What the adapter's output is multiplied with.
    pub fn scaling(&self) -> f32 {
        match self.uses_rslora {
            true => self.alpha / (self.rank as f32).sqrt(),
            false => self.alpha / self.rank as f32,
        }
    }

    /// Where the pair of a linear layer is among an adapter's pairs, if it has one there.
    pub fn index(&self, layer: usize, projection: Projection) -> Option<usize> {
        let place = self.projections.iter().position(|own| *own == projection)?;
        Some(layer * self.projections.len() + place)
    }
}

/// A and B of one linear layer (or their gradients). Rows of B are in the order of the hub's
/// weights, for rotary embeddings that turn halves of heads.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraPair {
    /// Of the decoder, from 0.
    pub layer: usize,
    /// Which linear layer of it.
    pub projection: Projection,
    /// Shape [rank, in], row-major.
    pub a: Vec<f32>,
    /// Shape [out, rank], row-major.
    pub b: Vec<f32>,
}

/// An adapter: a pair for each projection of its configuration in each layer, by layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// What every pair has in common.
    pub config: LoraConfig,
    /// Found by [`LoraConfig::index`].
    pub pairs: Vec<LoraPair>,
}

impl Adapter {
    /// A new adapter, which changes nothing yet: A uniform within 1 / sqrt(in), as PEFT begins (He
    /// et al. 2015 with a = sqrt(5)), B zero.
    pub fn new(config: LoraConfig, model: &LlamaConfig, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pairs = Self::zeros(&config, model);
        for pair in &mut pairs {
            let (_, input) = pair.projection.shape(model);
            let bound = 1.0 / (input as f32).sqrt();
            pair.a.fill_with(|| random.random_range(-bound..bound));
        }
        Self { config, pairs }
    }

    /// Pairs of zeros, such as gradients begin with.
    pub fn zeros(config: &LoraConfig, model: &LlamaConfig) -> Vec<LoraPair> {
        let projections = &config.projections;
        (0..model.num_layers)
            .flat_map(|layer| {
                projections
                    .iter()
                    .map(move |projection| (layer, *projection))
            })
            .map(|(layer, projection)| {
                let (output, input) = projection.shape(model);
                LoraPair {
                    layer,
                    projection,
                    a: vec![0.0; config.rank * input],
                    b: vec![0.0; output * config.rank],
                }
            })
            .collect()
    }

    /// The pair of a linear layer, if the adapter has one there.
    pub fn pair(&self, layer: usize, projection: Projection) -> Option<&LoraPair> {
        self.index(layer, projection)
            .map(|index| &self.pairs[index])
    }

    /// Where the pair of a linear layer is among the pairs.
    pub fn index(&self, layer: usize, projection: Projection) -> Option<usize> {
        self.config.index(layer, projection)
    }

    /// Numbers that are trained.
    pub fn parameters(&self) -> usize {
        let pairs = self.pairs.iter();
        pairs.map(|pair| pair.a.len() + pair.b.len()).sum()
    }
}
