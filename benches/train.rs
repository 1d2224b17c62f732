//! How fast adapters train and texts are written, beside PEFT where there is one.
//!
//! `make bench-train` prints tokens per second and peak memory; `make bench-train PEFT=1` also runs
//! PEFT on the same weights and tokens, in turn with posedata, and prints the ratios. Each
//! configuration runs in a process of its own, so that its peak memory is its own.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use posedata::language::bases;
use posedata::llama::{
    Adapter, Batch, Checkpointing, Decoder, Engine, EngineOptions, LoraConfig, Precision,
    Projection, Trainable, Weights, export, keep_freed_memory,
};
use posedata::models::ModelStore;
use posedata::resources::peak_resident_bytes;
use posedata::train::adamw::{AdamW, AdamWConfig};
use serde_json::{Value, json};

/// The Python that has torch, transformers and peft.
const PEFT_PYTHON: &str = "POSEDATA_PEFT_PYTHON";
const BASE: &str = "smollm2";
const RANK: usize = 8;
const ALPHA: f32 = 16.0;
const WARMUP_STEPS: usize = 1;
const STEPS: usize = 5;
/// Runs of each program, in turn; the best of each counts.
const ROUNDS: usize = 2;
/// Texts by tokens of each.
const SHAPES: [(usize, usize); 3] = [(1, 256), (4, 256), (4, 512)];
const WRITTEN_TOKENS: usize = 64;
const PROMPT_TOKENS: usize = 256;

/// How much of each text is in the loss.
#[derive(Clone, Copy, PartialEq)]
enum Share {
    All,
    Quarter,
}

impl Share {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Quarter => "a quarter",
        }
    }

    fn is_in_loss(self, place: usize, length: usize) -> bool {
        match self {
            Self::All => true,
            Self::Quarter => place >= length - length / 4,
        }
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--one") {
        let report =
            measure(&serde_json::from_str(&arguments[place + 1]).expect("a configuration"));
        println!("{report}");
        return;
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("train");
    fs::create_dir_all(&scratch).expect("a folder");
    let peft = env::var_os(PEFT_PYTHON).map(|python| Peft::new(python.into(), &scratch));
    for share in [Share::All, Share::Quarter] {
        println!(
            "\n{} of the tokens in the loss, rank {RANK}, q k v o: tokens/s (peak MB)",
            share.name()
        );
        let mut header = format!(
            "{:<8}{:>16}{:>16}{:>16}",
            "shape", "f32", "bf16", "quantised"
        );
        if peft.is_some() {
            header += &format!(
                "{:>16}{:>16}{:>16}   ratios",
                "PEFT f32", "PEFT medium", "PEFT bf16"
            );
        }
        println!("{header}");
        for (texts, length) in SHAPES {
            if share == Share::Quarter && texts * length > 1024 {
                continue;
            }
            let own = ["f32", "bf16", "quantised"];
            let others = ["f32", "medium", "bf16"];
            let mut best = [(0.0, 0.0); 6];
            for _ in 0..ROUNDS {
                for (place, precision) in own.iter().enumerate() {
                    let found = train_in_process(precision, texts, length, share);
                    best[place] = better(best[place], found);
                }
                if let Some(peft) = &peft {
                    for (place, mode) in others.iter().enumerate() {
                        let found = peft.train(mode, texts, length, share);
                        best[3 + place] = better(best[3 + place], found);
                    }
                }
            }
            let shown = best.iter().take(if peft.is_some() { 6 } else { 3 });
            let cells: String = shown
                .map(|(speed, bytes)| format!("{:>16}", format!("{speed:.0} ({:.0})", bytes / 1e6)))
                .collect();
            print!("{:<8}{cells}", format!("{texts}x{length}"));
            if peft.is_some() {
                let ratio = |own: usize, other: usize| best[own].0 / best[3 + other].0;
                print!(
                    "   f32 {:.2} of f32, {:.2} of medium; bf16 {:.2} of bf16; memory {:.2}",
                    ratio(0, 0),
                    ratio(0, 1),
                    ratio(1, 2),
                    best[0].1 / best[3].1,
                );
            }
            println!();
        }
    }
    println!(
        "\nwriting with one text at a time: tokens/s of {PROMPT_TOKENS} read, of {WRITTEN_TOKENS} written"
    );
    let own = ["f32", "bf16", "quantised"].map(|precision| {
        let configuration = json!({ "task": "write", "precision": precision });
        (precision, Writing::of(&in_process(&configuration)))
    });
    let others = peft.map(|peft| ["f32", "bf16"].map(|mode| peft.write(mode)));
    for (place, (precision, writing)) in own.iter().enumerate() {
        print!("{precision:<10}{writing}");
        if let Some(others) = &others {
            // Quantised weights stand beside those of 32 bits.
            let other = &others[place % 2];
            print!(
                "   transformers {other}, {:.2}",
                writing.written / other.written
            );
        }
        println!();
    }
}

/// Tokens per second of reading a prompt and of writing.
struct Writing {
    read: f64,
    written: f64,
}

impl Writing {
    fn of(report: &Value) -> Self {
        let number = |name: &str| report[name].as_f64().expect("a number");
        Self {
            read: number("read"),
            written: number("written"),
        }
    }
}

impl fmt::Display for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.0}{:>8.1}", self.read, self.written)
    }
}

fn better(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    match other.0 > one.0 {
        true => other,
        false => one,
    }
}

fn in_process(configuration: &Value) -> Value {
    let output = Command::new(env::current_exe().expect("a program"))
        .args(["--one", &configuration.to_string()])
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn train_in_process(precision: &str, texts: usize, length: usize, share: Share) -> (f64, f64) {
    let report = in_process(&json!({
        "task": "train", "precision": precision, "texts": texts, "length": length,
        "all": share == Share::All,
    }));
    let number = |name: &str| report[name].as_f64().expect("a number");
    (number("tokens_per_sec"), number("peak_bytes"))
}

fn measure(configuration: &Value) -> Value {
    keep_freed_memory();
    let precision = match configuration["precision"].as_str() {
        Some("bf16") => Precision::Bf16,
        Some("quantised") => Precision::Quantised,
        _ => Precision::F32,
    };
    let weights = Arc::new(Weights::open(&base(), precision).expect("weights"));
    let number = |name: &str| configuration[name].as_u64().expect("a number") as usize;
    if configuration["task"] == "write" {
        return write(&weights);
    }
    let share = match configuration["all"].as_bool() {
        Some(true) => Share::All,
        _ => Share::Quarter,
    };
    let lora = LoraConfig {
        rank: RANK,
        alpha: ALPHA,
        dropout: 0.0,
        projections: Projection::ATTENTION.to_vec(),
        uses_rslora: false,
    };
    let mut adapter = Adapter::new(lora.clone(), &weights.config, 1);
    let zeros = Adapter::zeros(&lora, &weights.config);
    let mut optimizer = AdamW::new(AdamWConfig::default(), zeros.clone());
    let options = EngineOptions {
        checkpointing: Checkpointing::Off,
    };
    let mut engine = Engine::new(Arc::clone(&weights), options);
    let (texts, length) = (number("texts"), number("length"));
    let mut durations = Vec::new();
    for step in 0..WARMUP_STEPS + STEPS {
        let mut batch = Batch::new();
        for text in 0..texts {
            let ids = ids(step * texts + text, length);
            batch.push(&ids, |place| share.is_in_loss(place, length));
        }
        let started = Instant::now();
        let mut gradients = zeros.clone();
        let scale = 1.0 / batch.targets.len() as f32;
        engine
            .accumulate_gradients(&adapter, &batch, scale, 0, &mut gradients)
            .expect("a loss");
        optimizer.update(&mut adapter.pairs, &gradients, 1e-3);
        if step >= WARMUP_STEPS {
            durations.push(started.elapsed().as_secs_f64());
        }
    }
    json!({
        "tokens_per_sec": (texts * length) as f64 / median(&mut durations),
        "peak_bytes": peak_resident_bytes(),
    })
}

fn write(weights: &Arc<Weights>) -> Value {
    let tokens = PROMPT_TOKENS + WRITTEN_TOKENS;
    let ids = ids(0, tokens);
    let (prompt, rest) = ids.split_at(PROMPT_TOKENS);
    let mut decoder = Decoder::new(Arc::clone(weights), None, tokens).expect("a decoder");
    let started = Instant::now();
    decoder.feed(prompt).expect("logits");
    let read_secs = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for id in rest {
        decoder.feed(std::slice::from_ref(id)).expect("logits");
    }
    json!({
        "read": PROMPT_TOKENS as f64 / read_secs,
        "written": WRITTEN_TOKENS as f64 / started.elapsed().as_secs_f64(),
    })
}

/// A text of tokens that are spread over the vocabulary.
fn ids(text: usize, length: usize) -> Vec<u32> {
    let place = |place: usize| ((text * 7919 + place * 104_729) % 49_000) as u32;
    (0..length).map(place).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

fn base() -> bases::Base {
    let folder = env::var_os("POSEDATA_MODELS").map(PathBuf::from);
    let store = ModelStore::new(folder).expect("a folder for models");
    bases::find(&store, BASE, posedata::language::Needs::Weights).expect("a base model")
}

/// PEFT on the same weights, as a folder of safetensors.
struct Peft {
    python: PathBuf,
    scratch: PathBuf,
}

impl Peft {
    fn new(python: PathBuf, scratch: &Path) -> Self {
        let model = scratch.join("base");
        if !model.join("config.json").exists() {
            let base = base();
            let weights = Weights::open(&base, Precision::F32).expect("weights");
            let lora = LoraConfig {
                rank: 1,
                alpha: 1.0,
                dropout: 0.0,
                projections: vec![Projection::Q],
                uses_rslora: false,
            };
            let unchanged = Adapter::new(lora, &weights.config, 1);
            export::merged_safetensors(&base, &weights, &unchanged, &model, &|| false)
                .expect("a model");
        }
        Self {
            python,
            scratch: scratch.into(),
        }
    }

    /// Tokens per second and the most bytes in memory.
    fn train(&self, mode: &str, texts: usize, length: usize, share: Share) -> (f64, f64) {
        let rows = (0..(WARMUP_STEPS + STEPS) * texts).map(|text| {
            let ids = ids(text, length);
            let labels = ids.iter().enumerate().map(|(place, id)| {
                if share.is_in_loss(place, length) {
                    i64::from(*id)
                } else {
                    -100
                }
            });
            let labels: Vec<i64> = labels.collect();
            json!({ "input_ids": ids, "labels": labels })
        });
        let rows: Vec<Value> = rows.collect();
        let report = self.run(
            &rows,
            &[
                "--mode",
                mode,
                "--batch",
                &texts.to_string(),
                "--warmup",
                &WARMUP_STEPS.to_string(),
                "--steps",
                &STEPS.to_string(),
            ],
        );
        let number = |name: &str| report[name].as_f64().expect("a number");
        (number("tokens_per_sec"), number("peak_rss_bytes"))
    }

    fn write(&self, mode: &str) -> Writing {
        let rows = [json!({ "input_ids": ids(0, PROMPT_TOKENS + WRITTEN_TOKENS) })];
        let count = WRITTEN_TOKENS.to_string();
        Writing::of(&self.run(&rows, &["--mode", mode, "--write", &count]))
    }

    fn run(&self, rows: &[Value], arguments: &[&str]) -> Value {
        let data = self.scratch.join("rows.json");
        fs::write(&data, Value::from(rows).to_string()).expect("room on the disk");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/peft_lora.py");
        let output = Command::new(&self.python)
            .arg(script)
            .arg("--model")
            .arg(self.scratch.join("base"))
            .arg("--data")
            .arg(data)
            .args(arguments)
            .output()
            .expect("Python starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}
