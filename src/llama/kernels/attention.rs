//! Causal attention with grouped queries, text by text. Scores are not kept: they are computed
//! again for the gradients from each query's log-sum-exp (Dao et al. 2022, FlashAttention).

use std::ops::Range;

use rayon::prelude::*;

use super::elementwise::exp;
use super::gemm::{Left, Output, multiply_panel};
use super::panels::{LANES, Panels};
use super::vectorised;

/// The heads of an attention layer.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub queries: usize,
    pub keys: usize,
    pub head_dim: usize,
}

impl Heads {
    /// The head of keys and values that serves a head of queries.
    pub fn keys_of(self, head: usize) -> usize {
        head / (self.queries / self.keys)
    }

    /// What scores are multiplied with.
    pub fn scale(self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

/// One head of one text as panels of its own, so that the text begins at a panel's first lane;
/// lanes beyond its end are zero.
fn of_head(x: &Panels, head: usize, head_dim: usize, text: &Range<usize>) -> Panels {
    let mut out = Panels::zeros(head_dim, text.len());
    copy_lanes(x, head * head_dim, text.start, &mut out);
    out
}

/// Copies the tokens from `first_token` on of the features from `first_feature` on.
fn copy_lanes(x: &Panels, first_feature: usize, first_token: usize, out: &mut Panels) {
    let mut token = 0;
    while token < out.tokens {
        // As far as neither side's panel ends.
        let from = (first_token + token) % LANES;
        let to = token % LANES;
        let width = (LANES - from).min(LANES - to).min(out.tokens - token);
        for feature in 0..out.features {
            let source = x.index(first_feature + feature, first_token + token);
            let target = out.index(feature, token);
            out.values[target..target + width].copy_from_slice(&x.values[source..source + width]);
        }
        token += width;
    }
}

/// What was computed of one text: of the features from a number on.
struct Part<'a> {
    first_feature: usize,
    text: &'a Range<usize>,
    values: &'a Panels,
}

/// The sum of parts that overlap or do not.
fn sum_of_parts(features: usize, tokens: usize, parts: &[Part<'_>]) -> Panels {
    Panels::from_fn(features, tokens, |panel, out| {
        for part in parts {
            part.add_to(panel, out);
        }
    })
}

impl Part<'_> {
    /// Adds what lies in a panel of the whole.
    fn add_to(&self, panel: usize, out: &mut [f32]) {
        let lanes = panel * LANES..(panel + 1) * LANES;
        let mut token = self.text.start.max(lanes.start);
        let end = self.text.end.min(lanes.end);
        while token < end {
            // As far as neither side's panel ends.
            let from = token - self.text.start;
            let width = (LANES - from % LANES).min(end - token);
            for feature in 0..self.values.features {
                let source = self.values.index(feature, from);
                let target = (self.first_feature + feature) * LANES + token - lanes.start;
                let values = &self.values.values[source..source + width];
                for (out, value) in out[target..target + width].iter_mut().zip(values) {
                    *out += value;
                }
            }
            token += width;
        }
    }
}

/// What attention gives.
pub struct Attention {
    /// Shape [queries x head_dim, tokens].
    pub out: Panels,
    /// Of each head and token the logarithm of the sum of its scores' exponentials:
    /// [head][token].
    pub log_sums: Vec<f32>,
}

/// Scores of a panel of queries against all keys up to the last of them: [key][lane], scaled;
/// keys that come after a query count as minus infinity.
fn scores(keys: &Panels, queries: &Panels, panel: usize, scale: f32, out: &mut [f32]) {
    let head_dim = keys.features;
    for (block, out) in out.chunks_exact_mut(LANES * LANES).enumerate() {
        let left = Left::strided(keys.panel(block), LANES, head_dim, 1, LANES);
        multiply_panel(left, queries.panel(panel), out, Output::Replace);
    }
    scale_and_mask(out, scale);
}

vectorised! {
    fn scale_and_mask(scores: &mut [f32], scale: f32) {
        let diagonal = scores.len() - LANES * LANES;
        for score in &mut scores[..diagonal] {
            *score *= scale;
        }
        for (key, scores) in scores[diagonal..].chunks_exact_mut(LANES).enumerate() {
            for (query, score) in scores.iter_mut().enumerate() {
                *score = if key > query {
                    f32::NEG_INFINITY
                } else {
                    *score * scale
                };
            }
        }
    }

    /// Makes scores probabilities; gives each query's log-sum-exp.
    fn softmax(scores: &mut [f32]) -> [f32; LANES] {
        let mut maxima = [f32::NEG_INFINITY; LANES];
        for row in scores.chunks_exact(LANES) {
            for (maximum, score) in maxima.iter_mut().zip(row) {
                *maximum = maximum.max(*score);
            }
        }
        let mut sums = [0.0_f32; LANES];
        for row in scores.chunks_exact_mut(LANES) {
            for lane in 0..LANES {
                row[lane] = exp_or_zero(row[lane] - maxima[lane]);
                sums[lane] += row[lane];
            }
        }
        let inverse = sums.map(|sum| 1.0 / sum);
        for row in scores.chunks_exact_mut(LANES) {
            for (probability, inverse) in row.iter_mut().zip(&inverse) {
                *probability *= inverse;
            }
        }
        std::array::from_fn(|lane| maxima[lane] + sums[lane].ln())
    }

    /// Makes scores probabilities and gradients of probabilities gradients of scores. `dots` are
    /// the products of each query's output with its gradient.
    fn score_gradients(
        scores: &mut [f32],
        gradients: &mut [f32],
        log_sums: &[f32; LANES],
        dots: &[f32; LANES],
        scale: f32,
    ) {
        let rows = scores.chunks_exact_mut(LANES);
        for (scores, gradients) in rows.zip(gradients.chunks_exact_mut(LANES)) {
            for lane in 0..LANES {
                let probability = exp_or_zero(scores[lane] - log_sums[lane]);
                scores[lane] = probability;
                gradients[lane] = probability * (gradients[lane] - dots[lane]) * scale;
            }
        }
    }
}

/// The exponential, with nothing left of what is masked.
#[inline(always)]
fn exp_or_zero(x: f32) -> f32 {
    if x < -80.0 { 0.0 } else { exp(x) }
}

/// A product of values, [head_dim, keys] in panels of keys, with probabilities, [key][lane].
fn weigh(values: &Panels, probabilities: &[f32], out: &mut [f32]) {
    for (block, probabilities) in probabilities.chunks_exact(LANES * LANES).enumerate() {
        let left = Left::strided(values.panel(block), values.features, LANES, LANES, 1);
        let output = match block {
            0 => Output::Replace,
            _ => Output::Add,
        };
        multiply_panel(left, probabilities, out, output);
    }
}

/// Attention of each text to itself: `softmax(q k / sqrt(head_dim)) v`, each token with those up to
/// itself. `q` has the shape [queries x head_dim, tokens], `k` and `v` [keys x head_dim, tokens].
pub fn attend(
    q: &Panels,
    k: &Panels,
    v: &Panels,
    texts: &[Range<usize>],
    heads: Heads,
) -> Attention {
    let head_dim = heads.head_dim;
    let work: Vec<(usize, &Range<usize>)> = (0..heads.queries)
        .flat_map(|head| texts.iter().map(move |text| (head, text)))
        .collect();
    let done: Vec<(Panels, Vec<f32>)> = work
        .par_iter()
        .map(|(head, text)| {
            let queries = of_head(q, *head, head_dim, text);
            let keys = of_head(k, heads.keys_of(*head), head_dim, text);
            let values = of_head(v, heads.keys_of(*head), head_dim, text);
            let mut out = Panels::zeros(head_dim, text.len());
            let mut log_sums = Vec::with_capacity(text.len().next_multiple_of(LANES));
            let mut probabilities = vec![0.0; queries.count() * LANES * LANES];
            for panel in 0..queries.count() {
                let probabilities = &mut probabilities[..(panel + 1) * LANES * LANES];
                scores(&keys, &queries, panel, heads.scale(), probabilities);
                log_sums.extend(softmax(probabilities));
                let size = out.panel_size();
                weigh(
                    &values,
                    probabilities,
                    &mut out.values[panel * size..][..size],
                );
            }
            log_sums.truncate(text.len());
            (out, log_sums)
        })
        .collect();
    let mut parts = Vec::with_capacity(work.len());
    let mut log_sums = vec![0.0; heads.queries * q.tokens];
    for ((head, text), (values, sums)) in work.iter().zip(&done) {
        log_sums[head * q.tokens..][text.start..text.end].copy_from_slice(sums);
        parts.push(Part {
            first_feature: head * head_dim,
            text,
            values,
        });
    }
    let out = sum_of_parts(heads.queries * head_dim, q.tokens, &parts);
    Attention { out, log_sums }
}

/// The gradients of [`attend`]'s inputs, from that of its output.
pub fn attention_gradients(
    d_out: &Panels,
    attention: &Attention,
    q: &Panels,
    k: &Panels,
    v: &Panels,
    texts: &[Range<usize>],
    heads: Heads,
) -> (Panels, Panels, Panels) {
    let head_dim = heads.head_dim;
    let work: Vec<(usize, &Range<usize>)> = (0..heads.queries)
        .flat_map(|head| texts.iter().map(move |text| (head, text)))
        .collect();
    let done: Vec<[Panels; 3]> = work
        .par_iter()
        .map(|(head, text)| {
            let log_sums = &attention.log_sums[head * q.tokens..][text.start..text.end];
            head_gradients(
                &of_head(d_out, *head, head_dim, text),
                &of_head(&attention.out, *head, head_dim, text),
                log_sums,
                &of_head(q, *head, head_dim, text),
                &of_head(k, heads.keys_of(*head), head_dim, text),
                &of_head(v, heads.keys_of(*head), head_dim, text),
                heads.scale(),
            )
        })
        .collect();
    let sum = |of: &Panels, which: usize, head_of: &dyn Fn(usize) -> usize| {
        let parts = work.iter().zip(&done).map(|((head, text), done)| Part {
            first_feature: head_of(*head) * head_dim,
            text,
            values: &done[which],
        });
        sum_of_parts(of.features, of.tokens, &parts.collect::<Vec<_>>())
    };
    let keys_of = |head| heads.keys_of(head);
    (
        sum(q, 0, &|head| head),
        sum(k, 1, &keys_of),
        sum(v, 2, &keys_of),
    )
}

fn head_gradients(
    d_out: &Panels,
    out: &Panels,
    log_sums: &[f32],
    queries: &Panels,
    keys: &Panels,
    values: &Panels,
    scale: f32,
) -> [Panels; 3] {
    let head_dim = queries.features;
    let block = LANES * LANES;
    let mut dq = Panels::zeros(head_dim, queries.tokens);
    // Keys as features, and the elements of a head as tokens.
    let mut dk = Panels::zeros(queries.count() * LANES, head_dim);
    let mut dv = dk.clone();
    let query_rows = queries.transposed();
    let d_out_rows = d_out.transposed();
    let mut probabilities = vec![0.0; queries.count() * block];
    let mut d_scores = vec![0.0; queries.count() * block];
    for panel in 0..queries.count() {
        let probabilities = &mut probabilities[..(panel + 1) * block];
        let d_scores = &mut d_scores[..(panel + 1) * block];
        scores(keys, queries, panel, scale, probabilities);
        for (key_panel, d_scores) in d_scores.chunks_exact_mut(block).enumerate() {
            let left = Left::strided(values.panel(key_panel), LANES, head_dim, 1, LANES);
            multiply_panel(left, d_out.panel(panel), d_scores, Output::Replace);
        }
        let mut of_lanes = [f32::INFINITY; LANES];
        for (lane, log_sum) in of_lanes.iter_mut().zip(&log_sums[panel * LANES..]) {
            *lane = *log_sum;
        }
        let mut dots = [0.0_f32; LANES];
        let outs = out.panel(panel).chunks_exact(LANES);
        for (out, d_out) in outs.zip(d_out.panel(panel).chunks_exact(LANES)) {
            for lane in 0..LANES {
                dots[lane] += out[lane] * d_out[lane];
            }
        }
        score_gradients(probabilities, d_scores, &of_lanes, &dots, scale);
        let size = dq.panel_size();
        weigh(keys, d_scores, &mut dq.values[panel * size..][..size]);
        add_rows(probabilities, &d_out_rows, panel, &mut dv);
        add_rows(d_scores, &query_rows, panel, &mut dk);
    }
    [dq, of_tokens(&dk, keys.tokens), of_tokens(&dv, keys.tokens)]
}

/// `out[key] += sum over lanes of weights[key][lane] rows[lane]`, with the rows of one panel of
/// tokens.
fn add_rows(weights: &[f32], rows: &Panels, panel: usize, out: &mut Panels) {
    let left = Left::plain(weights, weights.len() / LANES, LANES);
    let size = out.panel_size();
    for (elements, out) in out.values.chunks_exact_mut(size).enumerate() {
        let rows = &rows.panel(elements)[panel * LANES * LANES..][..LANES * LANES];
        multiply_panel(left, rows, &mut out[..weights.len()], Output::Add);
    }
}

/// Gradients by keys as those of a head's tokens.
fn of_tokens(by_keys: &Panels, tokens: usize) -> Panels {
    let out = by_keys.transposed();
    // The head's elements were filled up to whole panels.
    let mut cut = Panels::zeros(by_keys.tokens, tokens);
    let (from, to) = (out.panel_size(), cut.panel_size());
    for (panel, out) in out.values.chunks_exact(from).enumerate().take(cut.count()) {
        cut.values[panel * to..][..to].copy_from_slice(&out[..to]);
    }
    cut
}
