//! Adapters and merged models beside each other: whichever way an adapter is applied, the same is
//! computed. `make test-interop` names a folder, in which all files then stay for PEFT,
//! transformers and llama.cpp (`tests/interop/read_adapters.py`); SmolLM2 is taken then too.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use posedata::language::NextTurn;
use posedata::language::bases::Base;
use posedata::language::chat::{Message, Role};
use posedata::llama::{
    Adapter, Checkpointing, Decoder, Engine, EngineOptions, LoraConfig, Precision, Projection,
    Weights, export,
};
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::support::installed;
use crate::tiny_llama::{TinyLlama, base_of};

/// Names the folder in which the files stay.
const FOLDER_VARIABLE: &str = "POSEDATA_PEFT_FILES";

const OPTIONS: EngineOptions = EngineOptions {
    checkpointing: Checkpointing::Off,
};

/// Tokens that are written greedily.
const ANSWER_TOKENS: usize = 8;

fn chat() -> Vec<Message> {
    vec![
        Message::new(
            Role::User,
            "The knee angle is   142.7 degrees at 3.5 s. Is the leg straight?",
        ),
        Message::new(Role::Assistant, "No, it is bent by 37.3 degrees."),
    ]
}

/// The logits after the last token, and the mean negative log-likelihood of all but the first.
fn compute(weights: &Arc<Weights>, adapter: Option<&Adapter>, ids: &[u32]) -> (Vec<f32>, f64) {
    let engine = Engine::new(Arc::clone(weights), OPTIONS);
    let logits = engine.logits(adapter, ids).expect("logits");
    let nlls = logits.iter().zip(&ids[1..]).map(|(logits, next)| {
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let exponentials = logits.iter().map(|logit| f64::from(logit - largest).exp());
        exponentials.sum::<f64>().ln() - f64::from(logits[*next as usize] - largest)
    });
    let mean = nlls.sum::<f64>() / (ids.len() - 1) as f64;
    (logits[ids.len() - 1].clone(), mean)
}

/// The most likely tokens after a text.
fn write_greedily(weights: &Arc<Weights>, ids: &[u32]) -> Vec<u32> {
    let room = ids.len() + ANSWER_TOKENS;
    let mut decoder = Decoder::new(Arc::clone(weights), None, room).expect("a decoder");
    let mut next = ids.to_vec();
    (0..ANSWER_TOKENS)
        .map(|_| {
            let logits = decoder.feed(&next).expect("logits");
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            let best = best.expect("a vocabulary") as u32;
            next = vec![best];
            best
        })
        .collect()
}

fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32) {
    let differences = found
        .iter()
        .zip(wanted)
        .map(|(one, other)| (one - other).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest < tolerance, "{largest}");
}

/// Writes the adapter, the merged folder and the merged GGUF file, and what they compute.
fn write_and_compare(base: &Base, config: LoraConfig, folder: &Path) {
    let path = |name: &str| folder.join(name);
    let tokenizer = base.tokenizer().expect("a tokenizer");
    let encoded = tokenizer.encode(&chat()).expect("tokens");
    let weights = Arc::new(Weights::open(base, Precision::F32).expect("weights"));
    let mut adapter = Adapter::new(config, &weights.config, 1);
    let other = Adapter::new(adapter.config.clone(), &weights.config, 2);
    let mut random = other.pairs.into_iter().flat_map(|pair| pair.a).cycle();
    for pair in &mut adapter.pairs {
        pair.b.fill_with(|| random.next().expect("numbers"));
    }
    let ids = &encoded.ids;
    let (plain, plain_nll) = compute(&weights, None, ids);
    let (adapted, adapted_nll) = compute(&weights, Some(&adapter), ids);
    assert!(
        (plain_nll - adapted_nll).abs() > 0.01,
        "the adapter does nothing"
    );

    adapter.save(&path("adapter"), &base.name).expect("saved");
    let read = Adapter::load(&path("adapter"), &weights.config).expect("an adapter");
    assert_eq!(read, adapter);
    export::merged_safetensors(base, &weights, &adapter, &path("merged"), &|| false)
        .expect("merged");
    let merged = Weights::open(&base_of(&path("merged")), Precision::F32).expect("weights");
    let (merged, merged_nll) = compute(&Arc::new(merged), None, ids);
    assert_close(&merged, &adapted, 1e-3);
    assert!((merged_nll - adapted_nll).abs() < 1e-4);
    export::merged_gguf(base, &weights, &adapter, &path("merged.gguf"), &|| false).expect("merged");
    let gguf = base_of(&path("merged.gguf"));
    let gguf = Arc::new(Weights::open(&gguf, Precision::F32).expect("weights"));
    let (in_gguf, gguf_nll) = compute(&gguf, None, ids);
    // Its weights are 16-bit floats.
    assert!(
        (gguf_nll - adapted_nll).abs() < 0.01,
        "{gguf_nll}, {adapted_nll}"
    );

    let text = tokenizer.decode(ids).expect("a text");
    let prompt = tokenizer.render(&chat()[..1], NextTurn::Assistant);
    let prompt = prompt.expect("a text");
    let prompt_ids = tokenizer.tokens(&prompt).expect("tokens");
    let numbers: Value = json!({
        "base": std::path::absolute(base.files.path()).expect("a path"),
        "messages": chat(),
        "text": text,
        "ids": ids,
        "base_logits": plain, "base_nll": plain_nll,
        "adapter_logits": adapted, "adapter_nll": adapted_nll,
        "gguf_logits": in_gguf,
        "prompt": prompt,
        "gguf_answer": write_greedily(&gguf, &prompt_ids),
    });
    fs::write(path("numbers.json"), numbers.to_string()).expect("a file");
}

#[test]
fn an_adapter_computes_the_same_however_it_is_applied() {
    let temporary = tempfile::tempdir().expect("a folder");
    let stays = std::env::var_os(FOLDER_VARIABLE);
    let folder = stays
        .as_ref()
        .map_or(temporary.path(), |folder| Path::new(folder));
    let config = |projections: &[Projection], alpha, uses_rslora| LoraConfig {
        rank: 4,
        alpha,
        dropout: 0.1,
        projections: projections.to_vec(),
        uses_rslora,
    };
    let tiny = folder.join("tiny");
    let base = TinyLlama::new().write(&tiny.join("base"), Dtype::BF16);
    write_and_compare(&base, config(&Projection::ALL, 64.0, true), &tiny);
    if stays.is_some() {
        let base = base_of(&installed("smollm2"));
        let own = folder.join("smollm2");
        fs::create_dir_all(&own).expect("a folder");
        write_and_compare(&base, config(&Projection::ATTENTION, 8.0, false), &own);
    }
}
