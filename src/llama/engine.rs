//! The model on CPUs: forward and backward passes written out, on kernels of their own. Gradients
//! are computed for the adapter and for what lies between, never for frozen weights.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::dropout::Dropout;
use super::kernels::attention::{Attention, Heads, attend, attention_gradients};
use super::kernels::elementwise::{
    RotationDirection, Rotations, add_rms_norm_gradient, rms_norm, rms_norm_with, swiglu,
    swiglu_gradients,
};
use super::kernels::gemm::{Left, add_outer, add_outer_transposed, add_product, product};
use super::kernels::gemm_bf16;
use super::kernels::loss::{self, CHUNK_TOKENS};
use super::kernels::memory::keep_freed_memory;
use super::kernels::panels::{LANES, Panels};
use super::matrix::Values;
use super::{
    Adapter, Batch, LayerWeights, LlamaConfig, LlamaError, LoraPair, Matrix, Projection, Trainable,
    Weights,
};
use crate::sync::Cancellation;

/// What is kept of a forward pass for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointing {
    /// All that is needed.
    Off,
    /// Each layer's input only; the rest is computed again (Chen et al. 2016). A third more work,
    /// for a tenth of the memory.
    Layers,
}

/// Settings of an [`Engine`].
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Memory against work; it does not change results.
    pub checkpointing: Checkpointing,
}

/// A model that trains on the CPU.
pub struct Engine {
    weights: Arc<Weights>,
    options: EngineOptions,
    frequencies: Vec<f32>,
    cancellation: Cancellation,
}

/// A pass over one batch.
struct Pass<'a> {
    weights: &'a Weights,
    adapter: Option<&'a Adapter>,
    rotations: Rotations,
    texts: Vec<Range<usize>>,
    /// `None`: nothing is dropped.
    dropout: Option<Dropout>,
    cancellation: &'a Cancellation,
}

/// What the backward pass needs of a layer.
struct Saved {
    input: Panels,
    input_inverse_rms: Vec<f32>,
    q: Panels,
    k: Panels,
    v: Panels,
    attention: Attention,
    middle: Panels,
    middle_inverse_rms: Vec<f32>,
    gate: Panels,
    up: Panels,
    /// `A x` of each projection with an adapter.
    low_rank: [Option<Panels>; 7],
}

impl Engine {
    /// An engine over weights that others may read too; nothing is copied.
    pub fn new(weights: Arc<Weights>, options: EngineOptions) -> Self {
        keep_freed_memory();
        Self {
            frequencies: weights.config.rope_frequencies(),
            weights,
            options,
            cancellation: Cancellation::new(),
        }
    }

    /// The same engine, whose passes end with [`LlamaError::Cancelled`] before their next layer when
    /// `cancellation` says so.
    #[must_use]
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.cancellation = cancellation.clone();
        self
    }

    /// The logits that follow each token of a text: shape [tokens][vocabulary].
    ///
    /// # Errors
    /// When a token is unknown.
    pub fn logits(
        &self,
        adapter: Option<&Adapter>,
        ids: &[u32],
    ) -> Result<Vec<Vec<f32>>, LlamaError> {
        let mut batch = Batch::new();
        batch.push(ids, |_| true);
        let pass = self.pass(adapter, &batch, None)?;
        let (mut x, _) = pass.forward(pass.embed(&batch.ids)?, Keep::Nothing)?;
        let config = &self.weights.config;
        (x, _) = rms_norm(&x, &self.weights.final_norm, config.rms_norm_eps);
        let logits = apply(self.weights.output(), &x)?;
        Ok((0..ids.len()).map(|token| logits.token(token)).collect())
    }

    /// Computes a text; `look` is given each layer's keys and values. Gives the last layer's output
    /// for the last token, shape [hidden].
    ///
    /// # Errors
    /// When a token is unknown or the text is too long.
    pub(super) fn fill(
        &self,
        adapter: Option<&Adapter>,
        ids: &[u32],
        mut look: impl FnMut(usize, &Panels, &Panels),
    ) -> Result<Vec<f32>, LlamaError> {
        let mut batch = Batch::new();
        batch.push(ids, |_| false);
        let pass = self.pass(adapter, &batch, None)?;
        let mut x = pass.embed(ids)?;
        for layer in 0..self.weights.layers.len() {
            let saved;
            (x, saved) = pass.layer(layer, x)?;
            look(layer, &saved.k, &saved.v);
        }
        Ok(x.token(ids.len() - 1))
    }

    fn pass<'a>(
        &'a self,
        adapter: Option<&'a Adapter>,
        batch: &Batch,
        dropout: Option<Dropout>,
    ) -> Result<Pass<'a>, LlamaError> {
        let config = &self.weights.config;
        let texts: Vec<Range<usize>> = batch.texts().collect();
        for text in &texts {
            config.check_text(&batch.ids[text.clone()])?;
        }
        let positions: Vec<usize> = texts.iter().flat_map(|text| 0..text.len()).collect();
        Ok(Pass {
            weights: &self.weights,
            adapter,
            rotations: Rotations::new(&self.frequencies, &positions),
            texts,
            dropout,
            cancellation: &self.cancellation,
        })
    }
}

impl Trainable for Engine {
    fn config(&self) -> &LlamaConfig {
        &self.weights.config
    }

    fn accumulate_gradients(
        &mut self,
        adapter: &Adapter,
        batch: &Batch,
        loss_scale: f32,
        dropout_seed: u64,
        gradients: &mut [LoraPair],
    ) -> Result<f64, LlamaError> {
        if batch.targets.is_empty() {
            return Err(LlamaError::NoTargets);
        }
        let dropout = Dropout::new(dropout_seed, adapter.config.dropout);
        let pass = self.pass(Some(adapter), batch, dropout)?;
        let checkpointing = self.options.checkpointing;
        on_the_pool(|| pass.gradients(batch, loss_scale, checkpointing, gradients))
    }

    fn target_nlls(
        &mut self,
        adapter: Option<&Adapter>,
        batch: &Batch,
    ) -> Result<Vec<f32>, LlamaError> {
        if batch.targets.is_empty() {
            return Err(LlamaError::NoTargets);
        }
        let pass = self.pass(adapter, batch, None)?;
        on_the_pool(|| {
            let (x, _) = pass.forward(pass.embed(&batch.ids)?, Keep::Nothing)?;
            pass.nlls(&x, batch)
        })
    }
}

/// Does work on a thread of the pool, where its many small parts need not be handed over and waited
/// for one by one.
pub(super) fn on_the_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// How much of a forward pass stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Nothing,
    Inputs,
    Layers,
}

enum Kept {
    Input(Panels),
    Layer(Box<Saved>),
}

impl Pass<'_> {
    fn config(&self) -> &LlamaConfig {
        &self.weights.config
    }

    fn heads(&self) -> Heads {
        let config = self.config();
        Heads {
            queries: config.num_heads,
            keys: config.num_kv_heads,
            head_dim: config.head_dim,
        }
    }

    /// Forwards and backwards; gives the summed loss.
    fn gradients(
        &self,
        batch: &Batch,
        loss_scale: f32,
        checkpointing: Checkpointing,
        gradients: &mut [LoraPair],
    ) -> Result<f64, LlamaError> {
        let keep = match checkpointing {
            Checkpointing::Off => Keep::Layers,
            Checkpointing::Layers => Keep::Inputs,
        };
        let (x, mut kept) = self.forward(self.embed(&batch.ids)?, keep)?;
        let (sum, mut dx) = self.loss_and_gradient(&x, batch, loss_scale)?;
        drop(x);
        for layer in (0..self.weights.layers.len()).rev() {
            let saved = match kept.pop() {
                Some(Kept::Layer(saved)) => *saved,
                Some(Kept::Input(input)) => self.layer(layer, input)?.1,
                None => break,
            };
            dx = self.layer_gradients(layer, saved, dx, gradients)?;
        }
        Ok(sum)
    }

    fn embed(&self, ids: &[u32]) -> Result<Panels, LlamaError> {
        let hidden = self.config().hidden_size;
        let mut x = Panels::zeros(hidden, ids.len());
        let mut row = vec![0.0; hidden];
        for (token, id) in ids.iter().enumerate() {
            self.weights.embedding.read_rows(*id as usize, &mut row)?;
            x.set_token(token, &row);
        }
        Ok(x)
    }

    fn forward(&self, mut x: Panels, keep: Keep) -> Result<(Panels, Vec<Kept>), LlamaError> {
        let mut kept = Vec::new();
        for layer in 0..self.weights.layers.len() {
            if keep == Keep::Inputs {
                kept.push(Kept::Input(x.clone()));
            }
            let (next, saved) = self.layer(layer, x)?;
            if keep == Keep::Layers {
                kept.push(Kept::Layer(Box::new(saved)));
            }
            x = next;
        }
        Ok((x, kept))
    }

    /// One layer forwards.
    fn layer(&self, layer: usize, input: Panels) -> Result<(Panels, Saved), LlamaError> {
        if self.cancellation.is_cancelled() {
            return Err(LlamaError::Cancelled);
        }
        let config = self.config();
        let weights = &self.weights.layers[layer];
        let linear = |projection, x: &Panels| self.linear(layer, projection, x);
        let mut low_rank: [Option<Panels>; 7] = Default::default();
        let mut keep = |projection: Projection, (out, part): (Panels, Option<Panels>)| {
            low_rank[projection as usize] = part;
            out
        };
        let (normed, input_inverse_rms) =
            rms_norm(&input, &weights.input_norm, config.rms_norm_eps);
        // Side by side, for no thread to wait while another does what cannot be divided.
        let (q, (k, v)) = rayon::join(
            || linear(Projection::Q, &normed),
            || {
                rayon::join(
                    || linear(Projection::K, &normed),
                    || linear(Projection::V, &normed),
                )
            },
        );
        drop(normed);
        let mut q = keep(Projection::Q, q?);
        let mut k = keep(Projection::K, k?);
        let v = keep(Projection::V, v?);
        self.rotations.apply(&mut q, RotationDirection::Forward);
        self.rotations.apply(&mut k, RotationDirection::Forward);
        let attention = attend(&q, &k, &v, &self.texts, self.heads());
        let mut middle = keep(Projection::O, linear(Projection::O, &attention.out)?);
        add(&mut middle, &input);
        let (normed, middle_inverse_rms) =
            rms_norm(&middle, &weights.post_attention_norm, config.rms_norm_eps);
        let (gate, up) = rayon::join(
            || linear(Projection::Gate, &normed),
            || linear(Projection::Up, &normed),
        );
        drop(normed);
        let gate = keep(Projection::Gate, gate?);
        let up = keep(Projection::Up, up?);
        let out = linear(Projection::Down, &swiglu(&gate, &up))?;
        let mut out = keep(Projection::Down, out);
        add(&mut out, &middle);
        let saved = Saved {
            input,
            input_inverse_rms,
            q,
            k,
            v,
            attention,
            middle,
            middle_inverse_rms,
            gate,
            up,
            low_rank,
        };
        Ok((out, saved))
    }

    /// `W x + scaling B A x` and `A x`.
    fn linear(
        &self,
        layer: usize,
        projection: Projection,
        x: &Panels,
    ) -> Result<(Panels, Option<Panels>), LlamaError> {
        let matrix = self.weights.layers[layer].projection(projection);
        let Some((adapter, pair)) = self.pair(layer, projection) else {
            return Ok((apply(matrix, x)?, None));
        };
        let rank = adapter.config.rank;
        let (out, (low_rank, scaled)) = rayon::join(
            || apply(matrix, x),
            || {
                let left = Left::plain(&pair.a, rank, matrix.columns);
                let low_rank = product(left, &self.dropped(layer, projection, x));
                let scaled = scaled(&low_rank, adapter.config.scaling());
                (low_rank, scaled)
            },
        );
        let mut out = out?;
        add_product(Left::plain(&pair.b, matrix.rows, rank), &scaled, &mut out);
        Ok((out, Some(low_rank)))
    }

    fn pair(&self, layer: usize, projection: Projection) -> Option<(&Adapter, &LoraPair)> {
        let adapter = self.adapter?;
        Some((adapter, adapter.pair(layer, projection)?))
    }

    /// The input of an adapter after dropout.
    fn dropped<'x>(&self, layer: usize, projection: Projection, x: &'x Panels) -> Cow<'x, Panels> {
        match self.dropout {
            Some(dropout) => {
                let mut x = x.clone();
                drop_some(&mut x, dropout, layer, projection);
                Cow::Owned(x)
            }
            None => Cow::Borrowed(x),
        }
    }

    /// Adds the derivatives of a linear layer: of the adapter to `gradients`, of the input to the
    /// sum `dx`, which is begun where there is none yet. `x` is needed where there is an adapter.
    #[expect(clippy::too_many_arguments)]
    fn linear_gradients(
        &self,
        layer: usize,
        projection: Projection,
        dy: &Panels,
        x: &Panels,
        low_rank: Option<&Panels>,
        dx: Option<Panels>,
        gradients: &mut [LoraPair],
    ) -> Result<Panels, LlamaError> {
        let matrix = self.weights.layers[layer].projection(projection);
        let (dx, d_low_rank) = rayon::join(
            || apply_transposed(matrix, dy, dx),
            || self.adapter_gradients(layer, projection, dy, x, low_rank, gradients),
        );
        let mut dx = dx?;
        if let Some((d_low_rank, (adapter, pair))) = d_low_rank.zip(self.pair(layer, projection)) {
            let left = Left::transposed(&pair.a, matrix.columns, adapter.config.rank);
            match self.dropout {
                None => add_product(left, &d_low_rank, &mut dx),
                Some(_) => {
                    let through = product(left, &d_low_rank);
                    add(&mut dx, &self.dropped(layer, projection, &through));
                }
            }
        }
        Ok(dx)
    }

    /// Adds the derivatives of a linear layer's adapter, where it has one, and gives that of `A x`.
    fn adapter_gradients(
        &self,
        layer: usize,
        projection: Projection,
        dy: &Panels,
        x: &Panels,
        low_rank: Option<&Panels>,
        gradients: &mut [LoraPair],
    ) -> Option<Panels> {
        let (adapter, pair) = self.pair(layer, projection)?;
        let gradient = &mut gradients[adapter.index(layer, projection)?];
        let scaling = adapter.config.scaling();
        add_outer(dy, low_rank?, scaling, &mut gradient.b);
        let left = Left::transposed(&pair.b, adapter.config.rank, dy.features);
        let d_low_rank = scaled(&product(left, dy), scaling);
        let x = self.dropped(layer, projection, x);
        add_outer_transposed(&x, &d_low_rank, 1.0, &mut gradient.a);
        Some(d_low_rank)
    }

    /// One layer backwards: from the gradient of its output to that of its input.
    fn layer_gradients(
        &self,
        layer: usize,
        saved: Saved,
        mut dx: Panels,
        gradients: &mut [LoraPair],
    ) -> Result<Panels, LlamaError> {
        if self.cancellation.is_cancelled() {
            return Err(LlamaError::Cancelled);
        }
        let weights: &LayerWeights = &self.weights.layers[layer];
        let Saved {
            input,
            input_inverse_rms,
            q,
            k,
            v,
            attention,
            middle,
            middle_inverse_rms,
            mut gate,
            mut up,
            low_rank,
        } = saved;
        let low_rank = |projection: Projection| low_rank[projection as usize].as_ref();
        let mut linear_gradients =
            |projection: Projection, dy: &Panels, x: &Panels, dx: Option<Panels>| {
                let low_rank = low_rank(projection);
                self.linear_gradients(layer, projection, dy, x, low_rank, dx, gradients)
            };
        let has_pair = |projection: Projection| self.pair(layer, projection).is_some();

        let activation = match has_pair(Projection::Down) {
            true => swiglu(&gate, &up),
            false => Panels::default(),
        };
        let d_activation = linear_gradients(Projection::Down, &dx, &activation, None)?;
        drop(activation);
        swiglu_gradients(&d_activation, &mut gate, &mut up);
        drop(d_activation);
        let normed = match has_pair(Projection::Gate) || has_pair(Projection::Up) {
            true => rms_norm_with(&middle, &weights.post_attention_norm, &middle_inverse_rms),
            false => Panels::default(),
        };
        let d_normed = linear_gradients(Projection::Gate, &gate, &normed, None)?;
        let d_normed = linear_gradients(Projection::Up, &up, &normed, Some(d_normed))?;
        drop((gate, up, normed));
        let weight = &weights.post_attention_norm;
        add_rms_norm_gradient(&d_normed, &middle, weight, &middle_inverse_rms, &mut dx);
        drop(d_normed);

        let d_attention = linear_gradients(Projection::O, &dx, &attention.out, None)?;
        let heads = self.heads();
        let (mut dq, mut dk, dv) =
            attention_gradients(&d_attention, &attention, &q, &k, &v, &self.texts, heads);
        self.rotations.apply(&mut dq, RotationDirection::Inverse);
        self.rotations.apply(&mut dk, RotationDirection::Inverse);
        let normed = rms_norm_with(&input, &weights.input_norm, &input_inverse_rms);
        let inputs = [
            (Projection::Q, &dq),
            (Projection::K, &dk),
            (Projection::V, &dv),
        ];
        if layer == 0 {
            // Nothing lies before it that is trained.
            for (projection, dy) in inputs {
                let low_rank = low_rank(projection);
                self.adapter_gradients(layer, projection, dy, &normed, low_rank, gradients);
            }
            return Ok(dx);
        }
        let mut d_normed = None;
        for (projection, dy) in inputs {
            d_normed = Some(linear_gradients(projection, dy, &normed, d_normed)?);
        }
        if let Some(d_normed) = d_normed {
            let weight = &weights.input_norm;
            add_rms_norm_gradient(&d_normed, &input, weight, &input_inverse_rms, &mut dx);
        }
        Ok(dx)
    }

    /// The places whose next tokens are predicted, and these tokens, in parts.
    fn chunks<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = (&'b [usize], Vec<u32>)> {
        batch.targets.chunks(CHUNK_TOKENS).map(|targets| {
            let ids = targets.iter().map(|target| batch.ids[*target]).collect();
            (targets, ids)
        })
    }

    /// The normalised activations before each target, and what their gradient needs.
    fn before(&self, x: &Panels, targets: &[usize]) -> (Panels, Panels, Vec<f32>) {
        let chosen = Panels::from_fn(x.features, targets.len(), |panel, out| {
            let targets = &targets[panel * LANES..];
            for (lane, target) in targets.iter().take(LANES).enumerate() {
                let start = x.index(0, target - 1);
                let lanes = out[lane..].iter_mut().step_by(LANES);
                for (out, x) in lanes.zip(x.values[start..].iter().step_by(LANES)) {
                    *out = *x;
                }
            }
        });
        let eps = self.config().rms_norm_eps;
        let (normed, inverse) = rms_norm(&chosen, &self.weights.final_norm, eps);
        (chosen, normed, inverse)
    }

    /// The summed loss, and `loss_scale` times its gradient at the last layer's output.
    fn loss_and_gradient(
        &self,
        x: &Panels,
        batch: &Batch,
        loss_scale: f32,
    ) -> Result<(f64, Panels), LlamaError> {
        let mut dx = Panels::zeros(x.features, x.tokens);
        let mut sum = 0.0;
        let output = self.weights.output();
        for (targets, ids) in self.chunks(batch) {
            let (chosen, normed, inverse) = self.before(x, targets);
            let mut logits = apply(output, &normed)?;
            let nlls = loss::nlls_and_gradients(&mut logits, &ids, loss_scale);
            sum += nlls.iter().map(|nll| f64::from(*nll)).sum::<f64>();
            let d_normed = apply_transposed(output, &logits, None)?;
            let mut d_chosen = Panels::zeros(x.features, targets.len());
            let weight = &self.weights.final_norm;
            add_rms_norm_gradient(&d_normed, &chosen, weight, &inverse, &mut d_chosen);
            for (place, target) in targets.iter().enumerate() {
                dx.set_token(target - 1, &d_chosen.token(place));
            }
        }
        Ok((sum, dx))
    }

    fn nlls(&self, x: &Panels, batch: &Batch) -> Result<Vec<f32>, LlamaError> {
        let mut nlls = Vec::with_capacity(batch.targets.len());
        let output = self.weights.output();
        for (targets, ids) in self.chunks(batch) {
            let (_, normed, _) = self.before(x, targets);
            let logits = apply(output, &normed)?;
            nlls.extend(loss::nlls(&logits, &ids));
        }
        Ok(nlls)
    }
}

/// `W x`.
fn apply(matrix: &Matrix, x: &Panels) -> Result<Panels, LlamaError> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    if let Values::Bf16(values) = &matrix.values {
        let left = Left::plain(values, rows, columns);
        if gemm_bf16::multiplies(left) {
            return Ok(gemm_bf16::product(left, x));
        }
    }
    Ok(product(Left::plain(&dense(matrix)?, rows, columns), x))
}

/// `sum + Wᵀ y`, or `Wᵀ y` where there is no sum yet.
fn apply_transposed(
    matrix: &Matrix,
    y: &Panels,
    sum: Option<Panels>,
) -> Result<Panels, LlamaError> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    if let Values::Bf16(values) = &matrix.values {
        let left = Left::transposed(values, columns, rows);
        if gemm_bf16::multiplies(left) {
            return Ok(match sum {
                Some(mut sum) => {
                    gemm_bf16::add_product(left, y, &mut sum);
                    sum
                }
                None => gemm_bf16::product(left, y),
            });
        }
    }
    let dense = dense(matrix)?;
    let left = Left::transposed(&dense, columns, rows);
    Ok(match sum {
        Some(mut sum) => {
            add_product(left, y, &mut sum);
            sum
        }
        None => product(left, y),
    })
}

/// A matrix in 32 bits: as it is, or made so for this one use.
fn dense(matrix: &Matrix) -> Result<Cow<'_, [f32]>, LlamaError> {
    /// Rows that a task converts.
    const ROWS: usize = 64;
    if let Values::F32(values) = &matrix.values {
        return Ok(Cow::Borrowed(values));
    }
    let mut values = vec![0.0; matrix.rows * matrix.columns];
    values
        .par_chunks_mut(ROWS * matrix.columns)
        .enumerate()
        .try_for_each(|(part, values)| matrix.read_rows(part * ROWS, values))?;
    Ok(Cow::Owned(values))
}

fn add(x: &mut Panels, y: &Panels) {
    let parts = x.values.par_chunks_mut(1 << 15);
    parts.zip(y.values.par_chunks(1 << 15)).for_each(|(x, y)| {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    });
}

fn scaled(x: &Panels, factor: f32) -> Panels {
    let mut x = x.clone();
    for value in &mut x.values {
        *value *= factor;
    }
    x
}

/// Drops some numbers and raises the others, so that sums stay what they are on average.
fn drop_some(x: &mut Panels, dropout: Dropout, layer: usize, projection: Projection) {
    let (features, tokens) = (x.features, x.tokens);
    let panels = x.values.par_chunks_mut((features * LANES).max(1));
    panels.enumerate().for_each(|(panel, values)| {
        for lane in 0..LANES.min(tokens - panel * LANES) {
            let row = dropout.row(layer, projection, panel * LANES + lane);
            let lanes = values[lane..].iter_mut().step_by(LANES);
            for (feature, value) in lanes.enumerate() {
                *value *= match row.keeps(feature) {
                    true => dropout.scale(),
                    false => 0.0,
                };
            }
        }
    });
}
