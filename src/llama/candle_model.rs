//! Llama out of candle's own operations, with its automatic differentiation: what runs on every
//! device, and what faster kernels are measured against. Texts of a batch are computed one by one.

use candle_core::{D, Device, Tensor, Var};

use super::dropout::Dropout;
use super::generate::NextToken;
use super::{
    Adapter, Batch, LayerWeights, LlamaConfig, LlamaError, LoraConfig, LoraPair, Projection,
    Trainable, Weights,
};

/// A model on a device, in 32 bits.
pub struct CandleModel {
    config: LlamaConfig,
    device: Device,
    /// Shape [vocabulary, hidden].
    embedding: Tensor,
    /// Shape [vocabulary, hidden].
    output: Tensor,
    final_norm: Tensor,
    layers: Vec<Layer>,
}

struct Layer {
    input_norm: Tensor,
    post_attention_norm: Tensor,
    /// In the order of [`Projection::ALL`], shape [out, in].
    projections: Vec<Tensor>,
}

impl Layer {
    fn new(weights: &LayerWeights, device: &Device) -> candle_core::Result<Self> {
        let projections = weights.projections.iter();
        Ok(Self {
            input_norm: Tensor::new(weights.input_norm.as_slice(), device)?,
            post_attention_norm: Tensor::new(weights.post_attention_norm.as_slice(), device)?,
            projections: projections
                .map(|matrix| matrix.to_tensor(device))
                .collect::<candle_core::Result<_>>()?,
        })
    }
}

/// An adapter's matrices on the device.
struct Lora {
    config: LoraConfig,
    /// A and B, laid out as the adapter's pairs.
    pairs: Vec<(Tensor, Tensor)>,
    dropout: Option<Dropout>,
}

/// Whether gradients are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Training { dropout_seed: u64 },
    Inference,
}

impl Lora {
    fn new(
        adapter: &Adapter,
        model: &LlamaConfig,
        device: &Device,
        purpose: Purpose,
    ) -> candle_core::Result<Self> {
        let rank = adapter.config.rank;
        let tensor = |values: &[f32], shape: (usize, usize)| match purpose {
            Purpose::Training { .. } => {
                Var::from_slice(values, shape, device).map(|var| var.as_tensor().clone())
            }
            Purpose::Inference => Tensor::from_slice(values, shape, device),
        };
        let pairs = adapter.pairs.iter().map(|pair| {
            let (output, input) = pair.projection.shape(model);
            Ok((
                tensor(&pair.a, (rank, input))?,
                tensor(&pair.b, (output, rank))?,
            ))
        });
        Ok(Self {
            pairs: pairs.collect::<candle_core::Result<_>>()?,
            dropout: match purpose {
                Purpose::Training { dropout_seed } => {
                    Dropout::new(dropout_seed, adapter.config.dropout)
                }
                Purpose::Inference => None,
            },
            config: adapter.config.clone(),
        })
    }

    /// `scaling B A x` of a linear layer, where the adapter has one there. `x` has the shape
    /// [tokens, in], and its first token stands at `first_place` in the batch.
    fn change(
        &self,
        x: &Tensor,
        layer: usize,
        projection: Projection,
        first_place: usize,
    ) -> candle_core::Result<Option<Tensor>> {
        let Some(index) = self.config.index(layer, projection) else {
            return Ok(None);
        };
        let (a, b) = &self.pairs[index];
        let x = match self.dropout {
            None => x.clone(),
            Some(dropout) => {
                let (tokens, columns) = x.dims2()?;
                let scale = dropout.scale();
                let rows = first_place..first_place + tokens;
                let mask = rows.flat_map(|place| {
                    let row = dropout.row(layer, projection, place);
                    (0..columns).map(move |column| if row.keeps(column) { scale } else { 0.0 })
                });
                x.mul(&Tensor::from_vec(
                    mask.collect::<Vec<f32>>(),
                    (tokens, columns),
                    x.device(),
                )?)?
            }
        };
        let change = x.matmul(&a.t()?)?.matmul(&b.t()?)?;
        change
            .affine(f64::from(self.config.scaling()), 0.0)
            .map(Some)
    }
}

/// What turns the heads of a text's tokens: cosines and sines, shape [tokens, head_dim / 2].
struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// Turns halves of heads against each other; `x` has the shape [heads, tokens, head_dim].
    fn apply(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let half = x.dim(D::Minus1)? / 2;
        let (first, second) = (
            x.narrow(D::Minus1, 0, half)?,
            x.narrow(D::Minus1, half, half)?,
        );
        let turned = [
            (first.broadcast_mul(&self.cos)? - second.broadcast_mul(&self.sin)?)?,
            (second.broadcast_mul(&self.cos)? + first.broadcast_mul(&self.sin)?)?,
        ];
        Tensor::cat(&turned, D::Minus1)
    }
}

impl CandleModel {
    /// Puts a model's weights on a device.
    ///
    /// # Errors
    /// When the device has no room, or blocks of the weights are of an unknown kind.
    pub fn new(weights: &Weights, device: &Device) -> Result<Self, LlamaError> {
        let embedding = weights.embedding.to_tensor(device)?;
        let output = match &weights.output {
            Some(output) => output.to_tensor(device)?,
            None => embedding.clone(),
        };
        let layers = weights.layers.iter();
        Ok(Self {
            config: weights.config.clone(),
            device: device.clone(),
            embedding,
            output,
            final_norm: Tensor::new(weights.final_norm.as_slice(), device)?,
            layers: layers
                .map(|layer| Layer::new(layer, device))
                .collect::<candle_core::Result<_>>()?,
        })
    }

    /// The logits after each token of a text; a row for each token, as wide as the vocabulary.
    ///
    /// # Errors
    /// When the text is too long or holds a token that the model does not know.
    pub fn logits(
        &self,
        adapter: Option<&Adapter>,
        ids: &[u32],
    ) -> Result<Vec<Vec<f32>>, LlamaError> {
        let lora = self.lora(adapter)?;
        let hidden = self.hidden(ids, lora.as_ref(), 0)?;
        Ok(self.to_logits(&hidden)?.to_vec2()?)
    }

    /// Starts the generation of a text. Each step computes the whole text anew.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn decoder(&self, adapter: Option<&Adapter>) -> Result<CandleDecoder<'_>, LlamaError> {
        Ok(CandleDecoder {
            model: self,
            lora: self.lora(adapter)?,
            ids: Vec::new(),
        })
    }

    fn lora(&self, adapter: Option<&Adapter>) -> Result<Option<Lora>, LlamaError> {
        let lora = adapter
            .map(|adapter| Lora::new(adapter, &self.config, &self.device, Purpose::Inference));
        Ok(lora.transpose()?)
    }

    /// What the output projection is given for each token of a text, shape [tokens, hidden].
    fn hidden(
        &self,
        ids: &[u32],
        lora: Option<&Lora>,
        first_place: usize,
    ) -> Result<Tensor, LlamaError> {
        self.config.check_text(ids)?;
        let rotation = self.rotation(ids.len())?;
        let mask = self.causal_mask(ids.len())?;
        let ids = Tensor::new(ids, &self.device)?;
        let mut x = self.embedding.index_select(&ids, 0)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let linear = |x: &Tensor, projection: Projection| -> candle_core::Result<Tensor> {
                let y = x.matmul(&layer.projections[projection as usize].t()?)?;
                let change = lora.map(|lora| lora.change(x, index, projection, first_place));
                match change.transpose()?.flatten() {
                    Some(change) => y + change,
                    None => Ok(y),
                }
            };
            let normed = self.rms_norm(&x, &layer.input_norm)?;
            let attended = self.attention(
                &linear(&normed, Projection::Q)?,
                &linear(&normed, Projection::K)?,
                &linear(&normed, Projection::V)?,
                &rotation,
                &mask,
            )?;
            x = (x + linear(&attended, Projection::O)?)?;
            let normed = self.rms_norm(&x, &layer.post_attention_norm)?;
            let gate = linear(&normed, Projection::Gate)?.silu()?;
            let gated = (gate * linear(&normed, Projection::Up)?)?;
            x = (x + linear(&gated, Projection::Down)?)?;
        }
        Ok(self.rms_norm(&x, &self.final_norm)?)
    }

    fn rotation(&self, tokens: usize) -> candle_core::Result<Rotation> {
        let frequencies = self.config.rope_frequencies();
        let table = |of: fn(f32) -> f32| {
            let angles = (0..tokens).flat_map(|position| {
                let turn = move |frequency: &f32| of(position as f32 * frequency);
                frequencies.iter().map(turn)
            });
            let values: Vec<f32> = angles.collect();
            Tensor::from_vec(values, (tokens, frequencies.len()), &self.device)
        };
        Ok(Rotation {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
        })
    }

    /// What is added to scores: nothing where a token may look, minus infinity at later tokens.
    fn causal_mask(&self, tokens: usize) -> candle_core::Result<Tensor> {
        let cells = (0..tokens).flat_map(|row| {
            (0..tokens).map(move |column| match column <= row {
                true => 0.0,
                false => f32::NEG_INFINITY,
            })
        });
        Tensor::from_vec(cells.collect::<Vec<f32>>(), (tokens, tokens), &self.device)
    }

    /// Zhang and Sennrich 2019, Root Mean Square Layer Normalization.
    fn rms_norm(&self, x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
        let scale = (mean_square + f64::from(self.config.rms_norm_eps))?.sqrt()?;
        x.broadcast_div(&scale)?.broadcast_mul(weight)
    }

    /// Grouped-query attention (Ainslie et al. 2023). Queries have the shape [tokens, query_size],
    /// keys and values [tokens, kv_size].
    fn attention(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        rotation: &Rotation,
        mask: &Tensor,
    ) -> candle_core::Result<Tensor> {
        let config = &self.config;
        let tokens = q.dim(0)?;
        let (kv_heads, group) = (config.num_kv_heads, config.num_heads / config.num_kv_heads);
        let heads = |x: &Tensor, count: usize| {
            x.reshape((tokens, count, config.head_dim))?
                .transpose(0, 1)?
                .contiguous()
        };
        // Heads of queries that share a head of keys lie one after another: they become its rows.
        let rows = (kv_heads, group * tokens, config.head_dim);
        let q = rotation
            .apply(&heads(q, config.num_heads)?)?
            .reshape(rows)?;
        let k = rotation.apply(&heads(k, kv_heads)?)?;
        let v = heads(v, kv_heads)?;
        let scale = 1.0 / (config.head_dim as f64).sqrt();
        let scores = q.matmul(&k.transpose(1, 2)?)?.affine(scale, 0.0)?;
        let scores = scores
            .reshape((kv_heads, group, tokens, tokens))?
            .broadcast_add(mask)?;
        let weights = softmax(&scores)?.reshape((kv_heads, group * tokens, tokens))?;
        weights
            .matmul(&v)?
            .reshape((config.num_heads, tokens, config.head_dim))?
            .transpose(0, 1)?
            .reshape((tokens, config.query_size()))
    }

    fn to_logits(&self, hidden: &Tensor) -> candle_core::Result<Tensor> {
        hidden.matmul(&self.output.t()?)
    }

    /// Calls `work` with the negative log-likelihoods of each text's targets, shape [targets].
    fn for_each_text(
        &self,
        batch: &Batch,
        lora: Option<&Lora>,
        mut work: impl FnMut(Tensor) -> Result<(), LlamaError>,
    ) -> Result<(), LlamaError> {
        if batch.targets.is_empty() {
            return Err(LlamaError::NoTargets);
        }
        for text in batch.texts() {
            let ids = &batch.ids[text.clone()];
            let targets = batch.targets.iter().filter(|place| text.contains(place));
            let targets: Vec<usize> = targets.map(|place| place - text.start).collect();
            if targets.is_empty() {
                continue;
            }
            let hidden = self.hidden(ids, lora, text.start)?;
            // Each token is predicted by what stands before it.
            let before: Vec<u32> = targets.iter().map(|place| *place as u32 - 1).collect();
            let wanted: Vec<u32> = targets.iter().map(|place| ids[*place]).collect();
            let hidden = hidden.index_select(&Tensor::new(before, &self.device)?, 0)?;
            let wanted = Tensor::new(wanted, &self.device)?.unsqueeze(1)?;
            work(negative_log_likelihood(&self.to_logits(&hidden)?, &wanted)?)?;
        }
        Ok(())
    }
}

impl Trainable for CandleModel {
    fn config(&self) -> &LlamaConfig {
        &self.config
    }

    fn accumulate_gradients(
        &mut self,
        adapter: &Adapter,
        batch: &Batch,
        loss_scale: f32,
        dropout_seed: u64,
        gradients: &mut [LoraPair],
    ) -> Result<f64, LlamaError> {
        let purpose = Purpose::Training { dropout_seed };
        let lora = Lora::new(adapter, &self.config, &self.device, purpose)?;
        let mut total = 0.0;
        self.for_each_text(batch, Some(&lora), |nlls| {
            total += sum(&nlls.to_vec1()?);
            let loss = nlls.sum_all()?.affine(f64::from(loss_scale), 0.0)?;
            let store = loss.backward()?;
            for (pair, (a, b)) in gradients.iter_mut().zip(&lora.pairs) {
                for (sums, var) in [(&mut pair.a, a), (&mut pair.b, b)] {
                    let Some(gradient) = store.get(var) else {
                        continue;
                    };
                    let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
                    for (sum, value) in sums.iter_mut().zip(gradient) {
                        *sum += value;
                    }
                }
            }
            Ok(())
        })?;
        Ok(total)
    }

    fn target_nlls(
        &mut self,
        adapter: Option<&Adapter>,
        batch: &Batch,
    ) -> Result<Vec<f32>, LlamaError> {
        let lora = self.lora(adapter)?;
        let mut all = Vec::with_capacity(batch.targets.len());
        self.for_each_text(batch, lora.as_ref(), |nlls| {
            all.extend(nlls.to_vec1::<f32>()?);
            Ok(())
        })?;
        Ok(all)
    }
}

/// A text that a [`CandleModel`] model generates.
pub struct CandleDecoder<'a> {
    model: &'a CandleModel,
    lora: Option<Lora>,
    ids: Vec<u32>,
}

impl NextToken for CandleDecoder<'_> {
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        self.ids.extend_from_slice(ids);
        let hidden = self.model.hidden(&self.ids, self.lora.as_ref(), 0)?;
        let last = hidden.narrow(0, self.ids.len() - 1, 1)?;
        Ok(self.model.to_logits(&last)?.flatten_all()?.to_vec1()?)
    }
}

/// Over the last dimension. The largest element is taken off, which changes nothing but that
/// exponentials stay finite; so it has no gradient.
fn softmax(x: &Tensor) -> candle_core::Result<Tensor> {
    let largest = x.max_keepdim(D::Minus1)?.detach();
    let exponentials = x.broadcast_sub(&largest)?.exp()?;
    exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)
}

/// In nats, of one token for each row of logits; `wanted` has the shape [rows, 1].
fn negative_log_likelihood(logits: &Tensor, wanted: &Tensor) -> candle_core::Result<Tensor> {
    let largest = logits.max_keepdim(D::Minus1)?.detach();
    let shifted = logits.broadcast_sub(&largest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    (log_sum - shifted.gather(wanted, D::Minus1)?)?.squeeze(D::Minus1)
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum()
}
