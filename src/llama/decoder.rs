//! Texts token by token: each token's keys and values are kept, so that the next one costs no more
//! than a pass over the weights.

use std::sync::Arc;

use rayon::prelude::*;

use super::engine::{Checkpointing, Engine, EngineOptions, on_the_pool};
use super::kernels::attention::Heads;
use super::kernels::elementwise::exp;
use super::kernels::matvec::{dot, matvec, matvecs};
use super::kernels::vectorised;
use super::{Adapter, LlamaConfig, LlamaError, Matrix, Projection, Weights};
use crate::sync::Cancellation;

/// A text that grows.
pub struct Decoder {
    weights: Arc<Weights>,
    adapter: Option<Adapter>,
    frequencies: Vec<f32>,
    max_tokens: usize,
    position: usize,
    layers: Vec<Cache>,
    cancellation: Cancellation,
}

/// Keys and values of a layer: [head][position][element].
struct Cache {
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

impl Decoder {
    /// A text of up to `max_tokens` tokens.
    ///
    /// # Errors
    /// When the model does not take as many.
    pub fn new(
        weights: Arc<Weights>,
        adapter: Option<&Adapter>,
        max_tokens: usize,
    ) -> Result<Self, LlamaError> {
        let config = &weights.config;
        check_length(config, max_tokens)?;
        let per_head = || {
            let heads = 0..config.num_kv_heads;
            heads
                .map(|_| Vec::with_capacity(max_tokens * config.head_dim))
                .collect()
        };
        let layers = (0..config.num_layers).map(|_| Cache {
            keys: per_head(),
            values: per_head(),
        });
        Ok(Self {
            layers: layers.collect(),
            frequencies: config.rope_frequencies(),
            adapter: adapter.cloned(),
            max_tokens,
            position: 0,
            weights,
            cancellation: Cancellation::new(),
        })
    }

    /// The same text, which ends with [`LlamaError::Cancelled`] when `cancellation` says so.
    #[must_use]
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.cancellation = cancellation.clone();
        self
    }

    /// Tokens that were fed so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Forgets all but the first `tokens` tokens; what follows is fed again.
    pub fn rewind(&mut self, tokens: usize) {
        if tokens >= self.position {
            return;
        }
        let elements = tokens * self.weights.config.head_dim;
        for cache in &mut self.layers {
            for values in cache.keys.iter_mut().chain(&mut cache.values) {
                values.truncate(elements);
            }
        }
        self.position = tokens;
    }

    /// Goes on with `ids`; the logits that follow the last of them, shape [vocabulary].
    ///
    /// # Errors
    /// When a token is unknown, none is given, or the text becomes too long.
    pub fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        self.weights.config.check_text(ids)?;
        on_the_pool(|| self.feed_checked(ids))
    }

    fn feed_checked(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        let tokens = self.position + ids.len();
        if tokens > self.max_tokens {
            return Err(LlamaError::TooLong {
                tokens,
                max_positions: self.max_tokens,
            });
        }
        let hidden = match (self.position, ids) {
            (_, []) => return Err(LlamaError::NoTargets),
            (0, [_, _, ..]) => self.prefill(ids)?,
            _ => {
                let mut hidden = Vec::new();
                for id in ids {
                    hidden = self.step(*id)?;
                }
                hidden
            }
        };
        let eps = self.weights.config.rms_norm_eps;
        let normed = rms_norm(&hidden, &self.weights.final_norm, eps);
        Ok(matvec(self.weights.output(), &normed)?)
    }

    /// The first tokens of a text all at once; gives the last layer's output for the last of them.
    fn prefill(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        let options = EngineOptions {
            checkpointing: Checkpointing::Off,
        };
        let engine =
            Engine::new(Arc::clone(&self.weights), options).cancelled_by(&self.cancellation);
        let head_dim = self.weights.config.head_dim;
        let layers = &mut self.layers;
        let hidden = engine.fill(self.adapter.as_ref(), ids, |layer, keys, values| {
            for token in 0..ids.len() {
                let (keys, values) = (keys.token(token), values.token(token));
                layers[layer].push(&keys, &values, head_dim);
            }
        })?;
        self.position = ids.len();
        Ok(hidden)
    }

    /// The next token; gives the last layer's output.
    fn step(&mut self, id: u32) -> Result<Vec<f32>, LlamaError> {
        if self.cancellation.is_cancelled() {
            return Err(LlamaError::Cancelled);
        }
        let weights = Arc::clone(&self.weights);
        let config = &weights.config;
        let mut x = vec![0.0; config.hidden_size];
        weights.embedding.read_rows(id as usize, &mut x)?;
        let heads = Heads {
            queries: config.num_heads,
            keys: config.num_kv_heads,
            head_dim: config.head_dim,
        };
        for (number, layer) in weights.layers.iter().enumerate() {
            let linears = |projections: &[Projection], x: &[f32]| {
                self.linears(&weights, number, projections, x)
            };
            let normed = rms_norm(&x, &layer.input_norm, config.rms_norm_eps);
            let mut outs = linears(&[Projection::Q, Projection::K, Projection::V], &normed)?;
            let v = outs.pop().unwrap_or_default();
            let mut k = outs.pop().unwrap_or_default();
            let mut q = outs.pop().unwrap_or_default();
            self.turn(&mut q);
            self.turn(&mut k);
            self.layers[number].push(&k, &v, config.head_dim);
            let attended = self.layers[number].attend(&q, heads);
            let linears = |projections: &[Projection], x: &[f32]| {
                self.linears(&weights, number, projections, x)
            };
            for out in linears(&[Projection::O], &attended)? {
                add(&mut x, &out);
            }
            let normed = rms_norm(&x, &layer.post_attention_norm, config.rms_norm_eps);
            let outs = linears(&[Projection::Gate, Projection::Up], &normed)?;
            let activation = swiglu(&outs[0], &outs[1]);
            for out in linears(&[Projection::Down], &activation)? {
                add(&mut x, &out);
            }
        }
        self.position += 1;
        Ok(x)
    }

    /// `W x + scaling B A x` of some projections of a layer.
    fn linears(
        &self,
        weights: &Weights,
        layer: usize,
        projections: &[Projection],
        x: &[f32],
    ) -> Result<Vec<Vec<f32>>, LlamaError> {
        let matrices = projections
            .iter()
            .map(|p| weights.layers[layer].projection(*p));
        let matrices: Vec<&Matrix> = matrices.collect();
        let mut outs: Vec<Vec<f32>> = matrices.iter().map(|m| vec![0.0; m.rows]).collect();
        let mut work: Vec<_> = matrices.into_iter().zip(&mut outs).collect();
        matvecs(&mut work, x)?;
        if let Some(adapter) = &self.adapter {
            for (projection, out) in projections.iter().zip(&mut outs) {
                if let Some(pair) = adapter.pair(layer, *projection) {
                    let (rank, scaling) = (adapter.config.rank, adapter.config.scaling());
                    let rows = pair.a.chunks_exact(x.len());
                    let low: Vec<f32> = rows.map(|row| dot(row, x)).collect();
                    for (out, row) in out.iter_mut().zip(pair.b.chunks_exact(rank)) {
                        *out += scaling * dot(row, &low);
                    }
                }
            }
        }
        Ok(outs)
    }

    /// Rotary embeddings at the position that is next.
    fn turn(&self, heads: &mut [f32]) {
        let half = self.frequencies.len();
        for head in heads.chunks_exact_mut(2 * half) {
            let (first, second) = head.split_at_mut(half);
            for ((a, b), frequency) in first.iter_mut().zip(second).zip(&self.frequencies) {
                let (sin, cos) = (self.position as f32 * frequency).sin_cos();
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

fn check_length(config: &LlamaConfig, tokens: usize) -> Result<(), LlamaError> {
    match tokens > config.max_positions {
        true => Err(LlamaError::TooLong {
            tokens,
            max_positions: config.max_positions,
        }),
        false => Ok(()),
    }
}

impl Cache {
    /// Adds a position: all heads' keys and values, one head after another.
    fn push(&mut self, keys: &[f32], values: &[f32], head_dim: usize) {
        for (cache, new) in self.keys.iter_mut().zip(keys.chunks_exact(head_dim)) {
            cache.extend_from_slice(new);
        }
        for (cache, new) in self.values.iter_mut().zip(values.chunks_exact(head_dim)) {
            cache.extend_from_slice(new);
        }
    }

    /// Attention of the last position to all.
    fn attend(&self, q: &[f32], heads: Heads) -> Vec<f32> {
        let head_dim = heads.head_dim;
        let mut out = vec![0.0; q.len()];
        out.par_chunks_mut(head_dim)
            .zip(q.par_chunks(head_dim))
            .enumerate()
            .with_min_len(4)
            .for_each(|(head, (out, q))| {
                let head = heads.keys_of(head);
                attend_head(&self.keys[head], &self.values[head], q, heads.scale(), out);
            });
        out
    }
}

vectorised! {
    fn swiglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
        let pairs = gate.iter().zip(up);
        pairs.map(|(gate, up)| gate * up / (1.0 + exp(-gate))).collect()
    }

    /// Attention of one query to all positions; `out` begins with zeros.
    fn attend_head(keys: &[f32], values: &[f32], q: &[f32], scale: f32, out: &mut [f32]) {
        let keys = keys.chunks_exact(q.len());
        let mut weights: Vec<f32> = keys.map(|key| dot(key, q) * scale).collect();
        let maximum = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for weight in &mut weights {
            *weight = exp(*weight - maximum);
            sum += *weight;
        }
        for (weight, value) in weights.iter().zip(values.chunks_exact(q.len())) {
            let weight = weight / sum;
            for (out, value) in out.iter_mut().zip(value) {
                *out += weight * value;
            }
        }
    }
}

fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mean_square = dot(x, x) / x.len() as f32;
    let inverse = 1.0 / (mean_square + eps).sqrt();
    let pairs = x.iter().zip(weight);
    pairs.map(|(x, weight)| x * inverse * weight).collect()
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
