//! Llama of candle's operations: against what transformers computed with the same weights, against
//! finite differences, and against itself without an adapter.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use candle_core::Device;
use posedata::language::ChatTokenizer;
use posedata::llama::generate::{Choice, End, Limits, NextToken, generate};
use posedata::llama::{
    Adapter, Batch, CandleModel, LayerWeights, LlamaConfig, LlamaError, LoraConfig, LoraPair,
    Matrix, Precision, Projection, Trainable, Weights,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

use crate::numpy_random::NumpyRandom;
use crate::support::installed;

#[derive(Deserialize)]
pub struct Golden {
    pub name: String,
    pub ids: Vec<u32>,
    pub top10_ids: Vec<usize>,
    pub top10_logits: Vec<f32>,
    pub mean_nll: f64,
    pub greedy32_ids: Vec<u32>,
}

pub static GOLDENS: LazyLock<Vec<Golden>> = LazyLock::new(|| {
    let text = include_str!("../goldens/smollm2_forward.json");
    serde_json::from_str(text).expect("goldens")
});

fn smollm2() -> CandleModel {
    let weights = Weights::from_gguf(&installed("smollm2"), Precision::F32).expect("weights");
    CandleModel::new(&weights, &Device::Cpu).expect("a model")
}

/// Checks a model of SmolLM2's weights against transformers.
pub fn check_goldens<M: Trainable>(
    model: &mut M,
    logits: impl Fn(&M, &[u32]) -> Result<Vec<Vec<f32>>, LlamaError>,
) {
    assert_eq!(GOLDENS.len(), 3);
    for golden in GOLDENS.iter() {
        let logits = logits(model, &golden.ids).expect("logits");
        assert_eq!(logits.len(), golden.ids.len());
        let last = logits.last().expect("a row");
        let mut ranked: Vec<usize> = (0..last.len()).collect();
        ranked.sort_by(|a, b| last[*b].total_cmp(&last[*a]));
        assert_eq!(ranked[..10], golden.top10_ids, "{}", golden.name);
        for (id, expected) in golden.top10_ids.iter().zip(&golden.top10_logits) {
            let difference = (last[*id] - expected).abs();
            assert!(difference < 1e-3, "{} {id}: {difference}", golden.name);
        }
        let mut batch = Batch::new();
        batch.push(&golden.ids, |_| true);
        let nlls = model.target_nlls(None, &batch).expect("losses");
        assert_eq!(nlls.len(), golden.ids.len() - 1);
        let mean = sum(&nlls) / nlls.len() as f64;
        assert!((mean - golden.mean_nll).abs() < 1e-4, "{mean}");
    }
}

#[test]
fn smollm2_computes_what_transformers_computes() {
    check_goldens(&mut smollm2(), |model, ids| model.logits(None, ids));
}

#[test]
fn smollm2_writes_what_transformers_writes() {
    const TOKENS: usize = 10;
    let model = smollm2();
    let tokenizer = ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer");
    let golden = &GOLDENS[0];
    let mut decoder = model.decoder(None).expect("a decoder");
    let limits = Limits {
        choice: Choice::Greedy,
        max_tokens: TOKENS,
        max_positions: 8192,
        end_ids: tokenizer.end_ids().expect("end marks"),
    };
    let mut streamed = String::new();
    let generated = generate(
        &mut decoder,
        &tokenizer,
        &golden.ids,
        &limits,
        &mut |text| {
            streamed.push_str(text);
            ControlFlow::Continue(())
        },
    )
    .expect("a text");
    assert_eq!(generated.ids, golden.greedy32_ids[..TOKENS]);
    assert_eq!(generated.end, End::MaxTokens);
    assert_eq!(generated.decoded_tokens, TOKENS - 1);
    assert_eq!(streamed, generated.text);
    let text = tokenizer.decode(&generated.ids).expect("a text");
    assert_eq!(generated.text, text);
}

/// The replay's adapter before its first step.
fn replays_adapter(replay: &Value, model: &LlamaConfig) -> Adapter {
    let told = |key: &str| {
        let text = replay["init_a"][key].as_str().expect("a number");
        text.parse().expect("a number")
    };
    let mut random = NumpyRandom::new(told("state"), told("increment"));
    let config = LoraConfig {
        rank: 8,
        alpha: 16.0,
        dropout: 0.0,
        projections: Projection::ATTENTION.to_vec(),
        uses_rslora: false,
    };
    let mut adapter = Adapter::new(config, model, 0);
    for pair in &mut adapter.pairs {
        let bound = 1.0 / (pair.a.len() as f64 / 8.0).sqrt();
        pair.a.fill_with(|| random.uniform(-bound, bound) as f32);
    }
    adapter
}

#[test]
fn the_replays_first_step_is_pefts() {
    let text = include_str!("../goldens/lora_replay.json");
    let replay: Value = serde_json::from_str(text).expect("goldens");
    let expected = include_bytes!("../goldens/lora_replay_gradients.safetensors");
    let expected = SafeTensors::deserialize(expected).expect("goldens");
    let mut model = smollm2();
    let adapter = replays_adapter(&replay, model.config());
    let chat = &replay["data"][0];
    let ids: Vec<u32> = serde_json::from_value(chat["input_ids"].clone()).expect("ids");
    let labels: Vec<i64> = serde_json::from_value(chat["labels"].clone()).expect("labels");
    let mut batch = Batch::new();
    batch.push(&ids, |place| labels[place] >= 0);
    let mut gradients = Adapter::zeros(&adapter.config, model.config());
    let scale = 1.0 / batch.targets.len() as f32;
    let total = model.accumulate_gradients(&adapter, &batch, scale, 0, &mut gradients);
    let loss = total.expect("a loss") / batch.targets.len() as f64;
    let step = &replay["steps"][0];
    assert!(
        (loss - step["loss"].as_f64().expect("a loss")).abs() < 1e-4,
        "{loss}"
    );
    let squares = gradients
        .iter()
        .flat_map(|pair| pair.a.iter().chain(&pair.b));
    let norm = squares.map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let expected_norm = step["grad_norm"].as_f64().expect("a norm");
    assert!((norm / expected_norm - 1.0).abs() < 1e-3, "{norm}");
    let mut compared = 0;
    for pair in &gradients {
        // A has no gradient while B is zero.
        assert!(pair.a.iter().all(|g| *g == 0.0));
        let part = format!(
            "layers.{}.self_attn.{}.",
            pair.layer,
            pair.projection.name()
        );
        let name = expected
            .names()
            .into_iter()
            .find(|name| name.contains(&part));
        let Some(name) = name else {
            continue;
        };
        let tensor = expected.tensor(name).expect("a tensor");
        let values = tensor
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
        let values: Vec<f32> = values.collect();
        let largest = values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        assert_eq!(values.len(), pair.b.len());
        for (gradient, value) in pair.b.iter().zip(values) {
            assert!(
                (gradient - value).abs() < 1e-3 * largest,
                "{name}: {gradient} {value}"
            );
        }
        compared += 1;
    }
    assert_eq!(compared, 12);
}

fn sum(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum()
}

/// A small model of random weights, with grouped heads.
pub fn tiny_weights(seed: u64) -> Weights {
    let config = LlamaConfig {
        vocab_size: 97,
        hidden_size: 32,
        intermediate_size: 48,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        max_positions: 64,
        is_tied: false,
        eos_token_ids: vec![1],
    };
    let mut random = StdRng::seed_from_u64(seed);
    let mut values = |count: usize, around: f32, spread: f32| -> Vec<f32> {
        let draw = |_| around + random.random_range(-spread..spread);
        (0..count).map(draw).collect()
    };
    let mut matrix = |rows: usize, columns: usize| {
        Matrix::from_f32(rows, columns, values(rows * columns, 0.0, 0.3))
    };
    let (vocab, hidden) = (config.vocab_size, config.hidden_size);
    let layers = (0..config.num_layers).map(|_| LayerWeights {
        input_norm: vec![0.9; hidden],
        post_attention_norm: vec![1.1; hidden],
        projections: Projection::ALL.map(|projection| {
            let (rows, columns) = projection.shape(&config);
            matrix(rows, columns)
        }),
    });
    let layers = layers.collect();
    Weights {
        layers,
        embedding: matrix(vocab, hidden),
        output: Some(matrix(vocab, hidden)),
        final_norm: vec![1.0; hidden],
        config,
    }
}

fn lora(projections: &[Projection], dropout: f32) -> LoraConfig {
    LoraConfig {
        rank: 3,
        alpha: 6.0,
        dropout,
        projections: projections.to_vec(),
        uses_rslora: false,
    }
}

/// An adapter that changes something already.
pub fn random_adapter(config: LoraConfig, model: &LlamaConfig) -> Adapter {
    let mut adapter = Adapter::new(config, model, 5);
    let mut random = StdRng::seed_from_u64(6);
    for pair in &mut adapter.pairs {
        pair.b.fill_with(|| random.random_range(-0.2..0.2));
    }
    adapter
}

fn two_texts() -> Batch {
    let mut batch = Batch::new();
    batch.push(&[5, 17, 40, 8, 96, 2, 30], |place| place >= 3);
    batch.push(&[9, 9, 61, 3, 77], |_| true);
    batch
}

#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f32 = 1e-2;
    let weights = tiny_weights(1);
    let mut model = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    let (batch, seed) = (two_texts(), 11);
    for dropout in [0.0, 0.3] {
        let adapter = random_adapter(lora(&Projection::ALL, dropout), &weights.config);
        let mut gradients = Adapter::zeros(&adapter.config, &weights.config);
        let mut loss_of = |adapter: &Adapter, gradients: &mut [LoraPair]| {
            model
                .accumulate_gradients(adapter, &batch, 0.5, seed, gradients)
                .expect("a loss")
        };
        loss_of(&adapter, &mut gradients);
        let mut unused = gradients.clone();
        for (index, gradient) in gradients.iter().enumerate() {
            for is_a in [true, false] {
                // Along the gradient, the loss grows by the gradient's length.
                let along = if is_a { &gradient.a } else { &gradient.b };
                let length = along.iter().map(|g| g * g).sum::<f32>().sqrt();
                assert!(length > 1e-4, "{index}");
                let mut moved = |sign: f32| {
                    let mut adapter = adapter.clone();
                    let pair = &mut adapter.pairs[index];
                    let values = if is_a { &mut pair.a } else { &mut pair.b };
                    for (value, along) in values.iter_mut().zip(along) {
                        *value += sign * STEP * along / length;
                    }
                    loss_of(&adapter, &mut unused)
                };
                let slope = 0.5 * (moved(1.0) - moved(-1.0)) / f64::from(2.0 * STEP);
                let difference = (slope - f64::from(length)).abs();
                assert!(
                    difference < 0.02 * f64::from(length) + 1e-3,
                    "{index} {is_a} {dropout}: {slope} {length}"
                );
            }
        }
    }
}

#[test]
fn texts_of_a_batch_do_not_see_each_other() {
    let weights = tiny_weights(2);
    let mut model = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    let adapter = random_adapter(lora(&Projection::ATTENTION, 0.0), &weights.config);
    let both = two_texts();
    let mut single = both.texts().map(|text| {
        let mut batch = Batch::new();
        batch.push(&both.ids[text.clone()], |place| {
            both.targets.contains(&(text.start + place))
        });
        batch
    });
    let (first, second) = (
        single.next().expect("a text"),
        single.next().expect("a text"),
    );
    let mut nlls = |batch: &Batch| model.target_nlls(Some(&adapter), batch).expect("losses");
    assert_eq!(nlls(&both), [nlls(&first), nlls(&second)].concat());
    let mut gradients = |batches: &[&Batch]| {
        let mut gradients = Adapter::zeros(&adapter.config, &weights.config);
        for batch in batches {
            model
                .accumulate_gradients(&adapter, batch, 1.0, 0, &mut gradients)
                .expect("a loss");
        }
        gradients
    };
    assert_eq!(gradients(&[&both]), gradients(&[&first, &second]));
}

#[test]
fn an_adapter_without_b_changes_nothing() {
    let weights = tiny_weights(3);
    let model = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    let config = lora(&Projection::ALL, 0.1);
    let new = Adapter::new(config.clone(), &weights.config, 7);
    let ids = [4, 8, 15, 16, 23, 42];
    let base = model.logits(None, &ids).expect("logits");
    assert_eq!(model.logits(Some(&new), &ids).expect("logits"), base);
    let trained = random_adapter(config, &weights.config);
    assert_ne!(model.logits(Some(&trained), &ids).expect("logits"), base);
}

#[test]
fn dropout_depends_on_its_seed_alone() {
    let weights = tiny_weights(4);
    let mut model = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    let adapter = random_adapter(lora(&Projection::ALL, 0.3), &weights.config);
    let mut loss = |seed: u64| {
        let mut gradients = Adapter::zeros(&adapter.config, &weights.config);
        model
            .accumulate_gradients(&adapter, &two_texts(), 1.0, seed, &mut gradients)
            .expect("a loss")
    };
    assert_eq!(loss(1), loss(1));
    assert_ne!(loss(1), loss(2));
}

#[test]
fn what_the_model_cannot_take_is_an_error() {
    let weights = tiny_weights(5);
    let mut model = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    let error = model.logits(None, &[97]).expect_err("no such token");
    assert!(
        matches!(
            error,
            LlamaError::UnknownToken {
                id: 97,
                vocab_size: 97
            }
        ),
        "{error}"
    );
    let error = model.logits(None, &[1; 65]).expect_err("too long");
    assert!(
        matches!(error, LlamaError::TooLong { tokens: 65, .. }),
        "{error}"
    );
    let mut nothing = Batch::new();
    nothing.push(&[1, 2, 3], |_| false);
    let error = model.target_nlls(None, &nothing).expect_err("no targets");
    assert!(matches!(error, LlamaError::NoTargets), "{error}");
}

/// A model that says one thing, whatever it is asked.
struct Scripted {
    script: Vec<u32>,
    fed: usize,
}

impl NextToken for Scripted {
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        assert!(!ids.is_empty());
        let mut logits = vec![0.0; 50_000];
        logits[self.script[self.fed] as usize] = 1.0;
        self.fed += 1;
        Ok(logits)
    }
}

#[test]
fn characters_of_several_tokens_come_out_whole() {
    let tokenizer = ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer");
    let text = "角度 142.7° 🏃🏽‍♀️ é ok";
    let mut script = tokenizer.tokens(text).expect("tokens");
    assert!(
        script.len() > text.chars().count(),
        "no character has several tokens"
    );
    let end_ids = tokenizer.end_ids().expect("end marks");
    script.push(end_ids[0]);
    let mut limits = Limits {
        choice: Choice::Greedy,
        max_tokens: 100,
        max_positions: 8192,
        end_ids,
    };
    let run = |limits: &Limits| {
        let mut pieces = Vec::new();
        let mut model = Scripted {
            script: script.clone(),
            fed: 0,
        };
        let generated = generate(&mut model, &tokenizer, &[1], limits, &mut |piece| {
            pieces.push(piece.to_owned());
            ControlFlow::Continue(())
        });
        (pieces, generated.expect("a text"))
    };
    let (pieces, generated) = run(&limits);
    assert_eq!(generated.end, End::Stop);
    assert_eq!(generated.text, text);
    assert_eq!(pieces.concat(), text);
    assert!(
        pieces
            .iter()
            .all(|piece| !piece.contains(char::REPLACEMENT_CHARACTER))
    );
    // Cut within a character, the text says so.
    limits.max_tokens = 1;
    let (pieces, generated) = run(&limits);
    assert_eq!(generated.end, End::MaxTokens);
    assert_eq!(pieces.concat(), generated.text);
    // The context is full.
    limits.max_tokens = 100;
    limits.max_positions = 4;
    let (_, generated) = run(&limits);
    assert_eq!((generated.end, generated.ids.len()), (End::ContextFull, 3));
}

#[test]
fn chance_follows_the_seed() {
    let weights = tiny_weights(6);
    let model = CandleModel::new(&weights, &Device::Cpu).expect("a model");
    let tokenizer = ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer");
    let ids = |seed: u64, temperature: f64, top_p: f64| {
        let limits = Limits {
            choice: Choice::Chance {
                temperature,
                top_p,
                seed,
            },
            max_tokens: 20,
            max_positions: 64,
            end_ids: Vec::new(),
        };
        let mut decoder = model.decoder(None).expect("a decoder");
        let ignore = &mut |_: &str| ControlFlow::Continue(());
        let generated = generate(&mut decoder, &tokenizer, &[3], &limits, ignore);
        generated.expect("a text").ids
    };
    assert_eq!(ids(1, 1.0, 1.0), ids(1, 1.0, 1.0));
    assert_ne!(ids(1, 1.0, 1.0), ids(2, 1.0, 1.0));
    // Nearly cold, and with nothing but the likeliest token: chance has no say.
    assert_eq!(ids(1, 1e-3, 1.0), ids(2, 1e-3, 1.0));
    assert_eq!(ids(1, 1.0, 1e-6), ids(2, 1.0, 1e-6));
}
