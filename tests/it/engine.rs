//! The CPU engine: against what transformers and PEFT computed with the same weights, against the
//! model of candle's operations, and against itself in other ways of doing the same.

use std::sync::{Arc, LazyLock};

use candle_core::Device;
use posedata::llama::{
    Adapter, Batch, CandleModel, Checkpointing, Decoder, Engine, EngineOptions, LlamaConfig,
    LoraConfig, LoraPair, Precision, Projection, Trainable, Weights,
};
use posedata::train::adamw::{AdamW, AdamWConfig, norm};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::candle_model::{GOLDENS, check_goldens, random_adapter, tiny_weights};
use crate::numpy_random::NumpyRandom;
use crate::support::installed;

fn smollm2(precision: Precision) -> Arc<Weights> {
    let weights = Weights::from_gguf(&installed("smollm2"), precision);
    Arc::new(weights.expect("weights"))
}

fn engine(weights: &Arc<Weights>) -> Engine {
    let options = EngineOptions {
        checkpointing: Checkpointing::Off,
    };
    Engine::new(Arc::clone(weights), options)
}

fn mean(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
    sum / values.len() as f64
}

fn likeliest(logits: &[f32]) -> u32 {
    let ids = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    ids.expect("a vocabulary") as u32
}

#[test]
fn smollm2_computes_what_transformers_computes() {
    let mut engine = engine(&smollm2(Precision::F32));
    check_goldens(&mut engine, |engine, ids| engine.logits(None, ids));
}

#[test]
fn smollm2_writes_what_transformers_writes() {
    for precision in [Precision::F32, Precision::Quantised] {
        let weights = smollm2(precision);
        for golden in GOLDENS.iter() {
            let mut decoder =
                Decoder::new(Arc::clone(&weights), None, golden.ids.len() + 32).expect("a decoder");
            let mut written = Vec::new();
            let mut logits = decoder.feed(&golden.ids).expect("logits");
            while written.len() < 32 {
                written.push(likeliest(&logits));
                logits = decoder.feed(&written[written.len() - 1..]).expect("logits");
            }
            assert_eq!(
                written, golden.greedy32_ids,
                "{} {precision:?}",
                golden.name
            );
        }
    }
}

/// A recorded training with PEFT.
#[derive(Deserialize)]
struct Replay {
    init_a: InitialA,
    data: Vec<Row>,
    steps: Vec<Step>,
    final_eval_losses: Vec<f64>,
}

#[derive(Deserialize)]
struct InitialA {
    state: String,
    increment: String,
}

#[derive(Deserialize)]
struct Row {
    input_ids: Vec<u32>,
    labels: Vec<i64>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    grad_norm: f64,
}

static REPLAY: LazyLock<Replay> = LazyLock::new(|| {
    let text = include_str!("../goldens/lora_replay.json");
    serde_json::from_str(text).expect("goldens")
});

fn batch_of(row: &Row) -> Batch {
    let mut batch = Batch::new();
    batch.push(&row.input_ids, |place| row.labels[place] >= 0);
    batch
}

/// The adapter that the replay begins with.
fn first_adapter(model: &LlamaConfig) -> Adapter {
    let config = LoraConfig {
        rank: 8,
        alpha: 16.0,
        dropout: 0.0,
        projections: Projection::ATTENTION.to_vec(),
        uses_rslora: false,
    };
    let number = |text: &str| text.parse().expect("a number");
    let mut random = NumpyRandom::new(
        number(&REPLAY.init_a.state),
        number(&REPLAY.init_a.increment),
    );
    let mut pairs = Adapter::zeros(&config, model);
    for pair in &mut pairs {
        let (_, input) = pair.projection.shape(model);
        let bound = 1.0 / (input as f64).sqrt();
        pair.a.fill_with(|| random.uniform(-bound, bound) as f32);
    }
    Adapter { config, pairs }
}

/// Losses and norms of gradients of the replay's steps, and the losses at its end.
fn replayed(precision: Precision) -> (Vec<(f64, f64)>, Vec<f64>) {
    let weights = smollm2(precision);
    let mut engine = engine(&weights);
    let mut adapter = first_adapter(&weights.config);
    let zeros = || Adapter::zeros(&adapter.config, &weights.config);
    let zero_gradients = zeros();
    let config = AdamWConfig {
        weight_decay: 0.0,
        ..AdamWConfig::default()
    };
    let mut optimizer = AdamW::new(config, zeros());
    let steps = (0..REPLAY.steps.len()).map(|step| {
        let batch = batch_of(&REPLAY.data[step % REPLAY.data.len()]);
        let targets = batch.targets.len();
        let mut gradients = zero_gradients.clone();
        let sum = engine
            .accumulate_gradients(&adapter, &batch, 1.0 / targets as f32, 0, &mut gradients)
            .expect("a loss");
        if step == 0 && precision == Precision::F32 {
            check_first_gradients(&gradients);
        }
        let gradient_norm = norm(&gradients);
        optimizer.update(&mut adapter.pairs, &gradients, 1e-3);
        (sum / targets as f64, gradient_norm)
    });
    let steps = steps.collect();
    let ends = REPLAY.data.iter().map(|row| {
        let nlls = engine.target_nlls(Some(&adapter), &batch_of(row));
        mean(&nlls.expect("losses"))
    });
    (steps, ends.collect())
}

fn check_first_gradients(gradients: &[LoraPair]) {
    let bytes = include_bytes!("../goldens/lora_replay_gradients.safetensors");
    let golden = SafeTensors::deserialize(bytes).expect("gradients");
    let mut compared = 0;
    for pair in gradients {
        let (block, name) = (pair.projection.block(), pair.projection.name());
        let tail = format!("layers.{}.{block}.{name}.lora_B.weight", pair.layer);
        let Some((_, tensor)) = golden.iter().find(|(name, _)| name.ends_with(&tail)) else {
            continue;
        };
        let numbers = tensor.data().as_chunks::<4>().0.iter();
        let expected: Vec<f32> = numbers.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        assert_eq!(expected.len(), pair.b.len());
        assert!(distance(&pair.b, &expected) < 1e-3, "{tail}");
        compared += 1;
    }
    assert_eq!(compared, 3 * 4);
    assert!(
        gradients
            .iter()
            .all(|pair| pair.a.iter().all(|g| *g == 0.0))
    );
}

/// The length of the difference over that of what was expected.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let length = |values: &mut dyn Iterator<Item = f32>| -> f64 {
        values
            .map(|value| f64::from(value).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let difference = length(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / length(&mut expected.iter().copied())
}

#[test]
fn a_recorded_training_with_peft_is_repeated() {
    let (steps, ends) = replayed(Precision::F32);
    assert_eq!(steps.len(), 20);
    for (step, ((loss, gradient_norm), recorded)) in steps.iter().zip(&REPLAY.steps).enumerate() {
        assert!((loss - recorded.loss).abs() < 1e-3, "{step}: {loss}");
        let ratio = gradient_norm / recorded.grad_norm;
        assert!((ratio - 1.0).abs() < 1e-3, "{step}: {gradient_norm}");
    }
    assert_eq!(ends.len(), 8);
    for (row, (end, recorded)) in ends.iter().zip(&REPLAY.final_eval_losses).enumerate() {
        assert!((end - recorded).abs() < 1e-3, "{row}: {end}");
    }
}

#[test]
fn weights_of_16_bits_train_nearly_alike() {
    let (steps, ends) = replayed(Precision::Bf16);
    let pairs = steps.iter().map(|(loss, _)| loss);
    let recorded = REPLAY.steps.iter().map(|step| &step.loss);
    let pairs = pairs
        .zip(recorded)
        .chain(ends.iter().zip(&REPLAY.final_eval_losses));
    for (loss, recorded) in pairs {
        assert!((loss / recorded - 1.0).abs() < 0.02, "{loss} {recorded}");
    }
}

fn lora(projections: &[Projection], dropout: f32) -> LoraConfig {
    LoraConfig {
        rank: 3,
        alpha: 6.0,
        dropout,
        projections: projections.to_vec(),
        uses_rslora: true,
    }
}

/// Texts whose ends lie within panels of tokens and on their edges.
fn texts(vocab_size: usize) -> Batch {
    let mut random = StdRng::seed_from_u64(3);
    let mut batch = Batch::new();
    for length in [1, 31, 2, 33, 64, 5] {
        let ids: Vec<u32> = (0..length)
            .map(|_| random.random_range(0..vocab_size as u32))
            .collect();
        batch.push(&ids, |place| place % 3 != 1);
    }
    batch
}

fn gradients_of(
    model: &mut dyn Trainable,
    adapter: &Adapter,
    batch: &Batch,
) -> (f64, Vec<LoraPair>) {
    let mut gradients = Adapter::zeros(&adapter.config, model.config());
    let sum = model.accumulate_gradients(adapter, batch, 0.25, 11, &mut gradients);
    (sum.expect("a loss"), gradients)
}

#[test]
fn gradients_are_those_of_candles_operations() {
    let weights = Arc::new(tiny_weights(1));
    let batch = texts(weights.config.vocab_size);
    let mut reference = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    for (projections, dropout) in [
        (&Projection::ALL[..], 0.0),
        (&Projection::ALL[..], 0.3),
        (&Projection::ATTENTION[..], 0.0),
        (&[Projection::V, Projection::Down][..], 0.2),
    ] {
        let adapter = random_adapter(lora(projections, dropout), &weights.config);
        let (expected_sum, expected) = gradients_of(&mut reference, &adapter, &batch);
        let (sum, gradients) = gradients_of(&mut engine(&weights), &adapter, &batch);
        assert!(
            (sum - expected_sum).abs() < 1e-4 * expected_sum,
            "{sum} {expected_sum}"
        );
        for (found, expected) in gradients.iter().zip(&expected) {
            let place = (found.layer, found.projection, dropout);
            assert!(distance(&found.a, &expected.a) < 1e-4, "{place:?}");
            assert!(distance(&found.b, &expected.b) < 1e-4, "{place:?}");
        }
        let options = EngineOptions {
            checkpointing: Checkpointing::Layers,
        };
        let mut checkpointed = Engine::new(Arc::clone(&weights), options);
        let again = gradients_of(&mut checkpointed, &adapter, &batch);
        assert_eq!(again, (sum, gradients));
    }
}

#[test]
fn texts_of_a_batch_do_not_see_each_other() {
    let weights = Arc::new(tiny_weights(2));
    let mut engine = engine(&weights);
    let adapter = random_adapter(lora(&Projection::ALL, 0.0), &weights.config);
    let batch = texts(weights.config.vocab_size);
    let together = engine.target_nlls(Some(&adapter), &batch).expect("losses");
    let mut alone = Vec::new();
    for text in batch.texts() {
        let mut single = Batch::new();
        single.push(&batch.ids[text.clone()], |place| {
            batch.targets.contains(&(text.start + place))
        });
        if !single.targets.is_empty() {
            alone.extend(engine.target_nlls(Some(&adapter), &single).expect("losses"));
        }
    }
    assert_eq!(together.len(), alone.len());
    assert!(distance(&together, &alone) < 1e-6);
}

#[test]
fn an_adapter_without_b_changes_nothing() {
    let weights = Arc::new(tiny_weights(3));
    let engine = engine(&weights);
    let config = lora(&Projection::ALL, 0.1);
    let new = Adapter::new(config.clone(), &weights.config, 7);
    let ids = [4, 8, 15, 16, 23, 42];
    let base = engine.logits(None, &ids).expect("logits");
    assert_eq!(engine.logits(Some(&new), &ids).expect("logits"), base);
    let trained = random_adapter(config, &weights.config);
    assert_ne!(engine.logits(Some(&trained), &ids).expect("logits"), base);
}

#[test]
fn a_text_written_token_by_token_is_the_same_text() {
    let weights = Arc::new(tiny_weights(4));
    let engine = engine(&weights);
    let adapter = random_adapter(lora(&Projection::ALL, 0.0), &weights.config);
    let ids: Vec<u32> = (0..40).map(|place| place * 37 % 97).collect();
    let expected = engine.logits(Some(&adapter), &ids).expect("logits");
    for at_once in [1, 2, 33] {
        let weights = Arc::clone(&weights);
        let mut decoder = Decoder::new(weights, Some(&adapter), ids.len()).expect("a decoder");
        let mut place = at_once;
        let mut logits = decoder.feed(&ids[..at_once]).expect("logits");
        loop {
            assert!(
                distance(&logits, &expected[place - 1]) < 1e-5,
                "{at_once} {place}"
            );
            assert_eq!(decoder.position(), place);
            if place == ids.len() {
                break;
            }
            logits = decoder.feed(&ids[place..=place]).expect("logits");
            place += 1;
        }
        let error = decoder.feed(&[1]).expect_err("too long").to_string();
        assert!(error.contains("41"), "{error}");
    }
}
