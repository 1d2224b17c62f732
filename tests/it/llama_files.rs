//! Models and adapters as files: what is read of GGUF files, folders of the hub and PEFT's
//! adapters, what is refused, and what is written.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use posedata::language::bases::{Base, BaseFiles};
use posedata::language::chat::{Message, Role};
use posedata::language::{ChatTokenizer, NextTurn};
use posedata::llama::config::RopeScaling;
use posedata::llama::matrix::Values;
use posedata::llama::{
    Adapter, LlamaConfig, LlamaError, LoraConfig, Matrix, Precision, Projection, Weights, export,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::numpy_random::NumpyRandom;
use crate::support::installed;
use crate::tiny_llama::{TinyLlama, base_of, encode, write_files};

/// A tensor as the goldens tell of it.
#[derive(Deserialize)]
struct Told {
    shape: Vec<usize>,
    sum: f64,
    l2: f64,
    first4: Vec<f32>,
}

/// All tensors of a model by the hub's names, in 32 bits.
fn tensors(weights: &Weights) -> BTreeMap<String, Vec<f32>> {
    let floats = |matrix: &Matrix| matrix.to_f32().expect("floats");
    let mut tensors = BTreeMap::from([
        (
            "model.embed_tokens.weight".to_owned(),
            floats(&weights.embedding),
        ),
        ("model.norm.weight".to_owned(), weights.final_norm.clone()),
    ]);
    if let Some(output) = &weights.output {
        tensors.insert("lm_head.weight".into(), floats(output));
    }
    for (layer, own) in weights.layers.iter().enumerate() {
        let mut add = |name: &str, values: Vec<f32>| {
            tensors.insert(format!("model.layers.{layer}.{name}.weight"), values);
        };
        add("input_layernorm", own.input_norm.clone());
        add("post_attention_layernorm", own.post_attention_norm.clone());
        for projection in Projection::ALL {
            let name = format!("{}.{}", projection.block(), projection.name());
            add(&name, floats(own.projection(projection)));
        }
    }
    tensors
}

fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let differences = found
        .iter()
        .zip(wanted)
        .map(|(one, other)| (one - other).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest <= tolerance, "{what}: {largest} above {tolerance}");
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| largest.max(value.abs()))
}

fn open(base: &Base, precision: Precision) -> Weights {
    Weights::open(base, precision).expect("weights")
}

fn refusal(base: &Base) -> String {
    let error = Weights::open(base, Precision::F32).expect_err("not to be read");
    error.to_string()
}

#[test]
fn a_gguf_file_holds_what_transformers_reads_in_it() {
    let told: BTreeMap<String, Told> =
        serde_json::from_str(include_str!("../goldens/smollm2_weights.json")).expect("goldens");
    assert_eq!(told.len(), 38);
    let path = installed("smollm2");
    let weights = Weights::from_gguf(&path, Precision::Quantised).expect("weights");
    assert_eq!(weights.config.rope_theta, 100_000.0);
    assert_eq!(weights.config.eos_token_ids, [2]);
    assert!(weights.config.is_tied);
    let own = tensors(&weights);
    for (name, told) in &told {
        let values = &own[name];
        assert_eq!(values.len(), told.shape.iter().product::<usize>(), "{name}");
        assert_eq!(values[..4], told.first4, "{name}");
        let (mut sum, mut squares) = (0.0, 0.0);
        for value in values {
            sum += f64::from(*value);
            squares += f64::from(*value).powi(2);
        }
        assert!((sum - told.sum).abs() < 1e-3, "{name}: {sum}");
        assert!((squares.sqrt() - told.l2).abs() < 1e-3, "{name}: {squares}");
    }
}

#[test]
fn floats_of_all_types_and_shards_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = TinyLlama::new();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let one = model.write(&folder.path().join("one"), dtype);
        let shards = write_files(&folder.path().join("two"), model.sharded_files(dtype));
        let weights = open(&one, Precision::F32);
        let own = tensors(&weights);
        assert_eq!(own, tensors(&open(&shards, Precision::F32)));
        assert_eq!(own.len(), model.tensors.len());
        for (name, (_, wanted)) in &model.tensors {
            // What rounding to 11 or 8 bits takes away.
            let share = match dtype {
                Dtype::F32 => 0.0,
                Dtype::F16 => 1.0 / 2048.0,
                _ => 1.0 / 256.0,
            };
            let tolerance = share * largest(wanted);
            assert_close(&own[name], wanted, tolerance, name);
        }
        let config = &weights.config;
        let expected = LlamaConfig {
            vocab_size: 260,
            hidden_size: 64,
            intermediate_size: 96,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 2,
            head_dim: 16,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: None,
            max_positions: 256,
            is_tied: false,
            eos_token_ids: vec![257],
        };
        assert_eq!(*config, expected);
    }
}

#[test]
fn weights_are_kept_as_precisely_as_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = TinyLlama::new();
    let base = model.write(folder.path(), Dtype::F32);
    let (_, exact) = &model.tensors["model.layers.1.mlp.down_proj.weight"];
    for (precision, bits, tolerance) in [
        (Precision::F32, 32.0, 0.0),
        (Precision::Bf16, 16.0, 0.25 / 256.0),
        // Half of a 127th of the largest of 32, which is a 16-bit float itself.
        (Precision::Quantised, 8.5, 0.25 / 254.0 + 0.25 / 2048.0),
    ] {
        let weights = open(&base, precision);
        let matrix = weights.layers[1].projection(Projection::Down);
        assert_eq!(matrix.bytes() as f64, exact.len() as f64 * bits / 8.0);
        let values = matrix.to_f32().expect("floats");
        assert_close(&values, exact, tolerance, &format!("{precision:?}"));
    }
    let base = TinyLlama::of_width(48).write(folder.path(), Dtype::F32);
    let error = Weights::open(&base, Precision::Quantised).expect_err("no whole blocks");
    assert!(
        matches!(error, LlamaError::Blocks { columns: 48, .. }),
        "{error}"
    );
    open(&base, Precision::Bf16);
}

#[test]
fn a_tied_model_needs_no_output_and_may_repeat_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = TinyLlama::new();
    model.config["tie_word_embeddings"] = true.into();
    for _ in 0..2 {
        let weights = open(&model.write(folder.path(), Dtype::F32), Precision::F32);
        assert!(weights.output.is_none());
        model.tensors.remove("lm_head.weight");
    }
}

#[test]
fn configurations_of_all_ages_are_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let config_of = |changes: Value| {
        let mut model = TinyLlama::new();
        for (key, value) in changes.as_object().expect("changes") {
            model.config[key] = value.clone();
        }
        open(&model.write(folder.path(), Dtype::F32), Precision::F32).config
    };
    let scaling = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 5e5 });
    let mut older = scaling.clone();
    older["type"] = older["rope_type"].take();
    older.as_object_mut().expect("fields").remove("rope_type");
    let wanted = Some(RopeScaling {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 64,
    });
    assert_eq!(
        config_of(json!({ "rope_scaling": older })).rope_scaling,
        wanted
    );
    let newer = config_of(json!({ "rope_parameters": scaling, "rope_theta": null }));
    assert_eq!((newer.rope_scaling, newer.rope_theta), (wanted, 5e5));
    let plain = json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 7e4 } });
    let plain = config_of(plain);
    assert_eq!((plain.rope_scaling, plain.rope_theta), (None, 7e4));

    let defaults = json!({ "architectures": null, "rms_norm_eps": null, "head_dim": null,
        "max_position_embeddings": null });
    let defaults = config_of(defaults);
    assert_eq!(defaults.rms_norm_eps, 1e-6);
    assert_eq!((defaults.max_positions, defaults.head_dim), (2_048, 16));
    let mistral = json!({ "architectures": ["MistralForCausalLM"], "model_type": "mistral",
        "sliding_window": null });
    config_of(mistral);

    assert_eq!(
        config_of(json!({ "eos_token_id": [1, 257] })).eos_token_ids,
        [1, 257]
    );
    fs::write(
        folder.path().join("generation_config.json"),
        r#"{"eos_token_id": [257, 3]}"#,
    )
    .expect("a file");
    assert_eq!(config_of(json!({})).eos_token_ids, [257, 3]);
}

#[test]
fn configurations_that_compute_otherwise_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (changes, words) in [
        (
            json!({ "architectures": ["Qwen2ForCausalLM"] }),
            "Qwen2ForCausalLM",
        ),
        (json!({ "attention_bias": true }), "attention_bias"),
        (json!({ "mlp_bias": true }), "mlp_bias"),
        (json!({ "hidden_act": "gelu" }), "hidden_act"),
        (
            json!({ "partial_rotary_factor": 0.5 }),
            "partial_rotary_factor",
        ),
        (json!({ "sliding_window": 128 }), "sliding_window"),
        (
            json!({ "quantization_config": { "bits": 4 } }),
            "quantization_config",
        ),
        (
            json!({ "rope_scaling": { "type": "linear", "factor": 2.0 } }),
            "'linear'",
        ),
        (json!({ "rope_scaling": { "rope_type": "yarn" } }), "'yarn'"),
        (
            json!({ "rope_scaling": { "rope_type": "llama3" } }),
            "lacks 'factor'",
        ),
        (json!({ "num_key_value_heads": 3 }), "cannot share 3 heads"),
        (
            json!({ "num_attention_heads": 0 }),
            "the number of heads is 0",
        ),
        (json!({ "head_dim": 15 }), "an even size"),
        (json!({ "hidden_size": "wide" }), "invalid type"),
        (
            json!({ "head_dim": 32 }),
            "the model's configuration asks for [128, 64]",
        ),
        (
            json!({ "num_hidden_layers": 3 }),
            "no tensor 'model.layers.2",
        ),
        (
            json!({ "num_hidden_layers": 1 }),
            "a tensor 'model.layers.1",
        ),
        (json!({ "vocab_size": 300 }), "asks for [300, 64]"),
    ] {
        let mut model = TinyLlama::new();
        for (key, value) in changes.as_object().expect("changes") {
            model.config[key] = value.clone();
        }
        let error = refusal(&model.write(folder.path(), Dtype::F32));
        assert!(error.contains(words), "{changes}: {error}");
    }
}

#[test]
fn files_that_are_no_whole_model_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let model = TinyLlama::new();
    type Files = Vec<(String, Vec<u8>)>;
    let case = |name: &str, change: &dyn Fn(&mut Files)| {
        let mut files = model.files(Dtype::F32);
        change(&mut files);
        refusal(&write_files(&path(name), files))
    };
    let weights = |files: &mut Vec<(String, Vec<u8>)>, bytes: Vec<u8>| {
        files.retain(|(name, _)| name != "model.safetensors");
        files.push(("model.safetensors".into(), bytes));
    };

    let error = case("pickled", &|files| {
        files.retain(|(name, _)| name != "model.safetensors");
        files.push(("pytorch_model-00001-of-00002.bin".into(), vec![0x80, 2]));
    });
    assert!(
        error.contains("pickled (pytorch_model-00001-of-00002.bin)"),
        "{error}"
    );
    assert!(error.contains("can run any program"), "{error}");
    let error = case("none", &|files| {
        files.retain(|(name, _)| !name.ends_with(".safetensors"))
    });
    assert!(error.contains("no weights here"), "{error}");
    let error = case("no config", &|files| {
        files.retain(|(name, _)| name != "config.json")
    });
    assert!(error.contains("config.json"), "{error}");
    let whole = model.file(Dtype::F32);
    let error = case("cut", &|files| {
        weights(files, whole[..whole.len() - 5].to_vec())
    });
    assert!(error.contains("in place of"), "{error}");
    let error = case("short", &|files| weights(files, whole[..4].to_vec()));
    assert!(error.contains("shorter than a safetensors file"), "{error}");
    let error = case("text", &|files| {
        weights(files, b"this is no model at all".to_vec())
    });
    assert!(error.contains("does not begin"), "{error}");
    let error = case("integers", &|files| weights(files, model.file(Dtype::I32)));
    assert!(error.contains("is of type I32"), "{error}");
    let error = case("biases", &|files| {
        let mut model = TinyLlama::new();
        let name = "model.layers.0.self_attn.q_proj.bias";
        model.tensors.insert(name.into(), (vec![64], vec![0.0; 64]));
        weights(files, model.file(Dtype::F32));
    });
    assert!(
        error.contains("a tensor 'model.layers.0.self_attn.q_proj.bias'"),
        "{error}"
    );

    let mut shards = model.sharded_files(Dtype::F32);
    shards.pop();
    let error = refusal(&write_files(&path("shards"), shards));
    assert!(
        error.contains("model-00002-of-00002.safetensors"),
        "{error}"
    );
    for (index, words) in [
        (
            r#"{"weight_map": {"a": "../model.safetensors"}}"#,
            "of the same folder",
        ),
        (
            r#"{"weight_map": {"a": "weights.bin"}}"#,
            "is no safetensors file",
        ),
        (r#"{"weight_map": {}}"#, "names no files"),
        ("[", "EOF"),
    ] {
        let mut files = model.sharded_files(Dtype::F32);
        files.retain(|(name, _)| !name.contains("safetensors"));
        files.push(("model.safetensors.index.json".into(), index.into()));
        let error = refusal(&write_files(&path("index"), files));
        assert!(error.contains(words), "{error}");
    }

    let tokenizer = path("none").join("tokenizer.json");
    let base = Base {
        name: "a tokenizer".into(),
        files: BaseFiles::TokenizerJson(tokenizer),
    };
    assert!(refusal(&base).contains("no weights here"));
    let gguf = path("cut.gguf");
    let whole = fs::read(installed("smollm2")).expect("a file");
    fs::write(&gguf, &whole[..whole.len() / 2]).expect("a file");
    assert!(refusal(&base_of(&gguf)).contains("cannot read the model"));
}

// Adapters.

fn peft_adapter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/peft_adapter")
}

fn tiny_config() -> LlamaConfig {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(folder.path(), Dtype::F32);
    open(&base, Precision::F32).config
}

#[test]
fn what_peft_has_written_is_read() {
    let adapter = Adapter::load(&peft_adapter(), &tiny_config()).expect("an adapter");
    let expected = LoraConfig {
        rank: 4,
        alpha: 8.0,
        dropout: 0.1,
        projections: vec![Projection::Q, Projection::V, Projection::Down],
        uses_rslora: true,
    };
    assert_eq!(adapter.config, expected);
    assert_eq!(adapter.config.scaling(), 4.0);
    assert_eq!(adapter.pairs.len(), 6);
    // As PyTorch shows them.
    let pair = adapter.pair(0, Projection::Down).expect("a pair");
    assert_eq!(pair.a[..2], [0.002_089_444_3, -0.098_955_52]);
    assert_eq!(pair.b[..2], [0.049_993_344, 0.065_839_61]);
    let sum: f64 = pair.b.iter().copied().map(f64::from).sum();
    assert!((sum - 3.706_196_414_772).abs() < 1e-9);
    let pair = adapter.pair(0, Projection::Q).expect("a pair");
    assert_eq!(pair.b[..2], [-0.015_272_811, -0.062_733_54]);
    let sum: f64 = pair.a.iter().copied().map(f64::from).sum();
    assert!((sum - 1.267_641_320_824).abs() < 1e-9);
}

/// An adapter whose A and B are random.
fn random_adapter(model: &LlamaConfig, projections: &[Projection]) -> Adapter {
    let config = LoraConfig {
        rank: 3,
        alpha: 4.5,
        dropout: 0.05,
        projections: projections.to_vec(),
        uses_rslora: false,
    };
    let mut adapter = Adapter::new(config, model, 11);
    // B as A of another beginning is.
    let mut random = Adapter::new(adapter.config.clone(), model, 12)
        .pairs
        .into_iter()
        .flat_map(|pair| pair.a)
        .cycle();
    for pair in &mut adapter.pairs {
        pair.b.fill_with(|| random.next().expect("numbers"));
    }
    adapter
}

#[test]
fn adapters_are_written_as_peft_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("new/adapter");
    let model = tiny_config();
    for projections in [&Projection::ATTENTION[..], &Projection::ALL] {
        let adapter = random_adapter(&model, projections);
        adapter.save(&out, "owner/model").expect("saved");
        assert_eq!(Adapter::load(&out, &model).expect("an adapter"), adapter);
    }
    let config = fs::read_to_string(out.join("adapter_config.json")).expect("a file");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let expected = json!({
        "alpha_pattern": {}, "base_model_name_or_path": "owner/model", "bias": "none",
        "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
        "lora_alpha": 4.5, "lora_dropout": 0.05, "modules_to_save": null, "peft_type": "LORA",
        "r": 3, "rank_pattern": {},
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "task_type": "CAUSAL_LM", "use_dora": false, "use_rslora": false,
    });
    assert_eq!(config, expected);
    let bytes = fs::read(out.join("adapter_model.safetensors")).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let names: BTreeSet<String> = file.names().into_iter().map(str::to_owned).collect();
    let modules = |layer: usize| {
        [
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
        ]
        .map(|module| format!("base_model.model.model.layers.{layer}.{module}"))
    };
    let expected: BTreeSet<String> = [modules(0), modules(1)]
        .into_iter()
        .flatten()
        .flat_map(|module| ["A", "B"].map(|side| format!("{module}.lora_{side}.weight")))
        .collect();
    assert_eq!(names, expected);
    let view = file.tensor("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight");
    assert_eq!(view.expect("a tensor").shape(), [64, 3]);
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let format = header.metadata().as_ref().expect("metadata").get("format");
    assert_eq!(format.map(String::as_str), Some("pt"));
    let mut left: Vec<_> = fs::read_dir(&out)
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["adapter_config.json", "adapter_model.safetensors"]);
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// PEFT's adapter with changes to its configuration (null deletes) and tensors.
struct Altered {
    folder: tempfile::TempDir,
    model: LlamaConfig,
}

impl Altered {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            model: tiny_config(),
        }
    }

    fn load(
        &self,
        config_changes: Value,
        dtype: Dtype,
        change: impl Fn(&mut Tensors),
    ) -> Result<Adapter, LlamaError> {
        let config = fs::read(peft_adapter().join("adapter_config.json")).expect("a file");
        let mut config: Value = serde_json::from_slice(&config).expect("JSON");
        let fields = config.as_object_mut().expect("fields");
        for (key, value) in config_changes.as_object().expect("changes") {
            match value {
                Value::Null => fields.remove(key),
                value => fields.insert(key.clone(), value.clone()),
            };
        }
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("adapter_config.json"), config.to_string()).expect("a file");
        let bytes = fs::read(peft_adapter().join("adapter_model.safetensors")).expect("a file");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let mut tensors: Tensors = file
            .iter()
            .map(|(name, view)| {
                let words = view.data().chunks_exact(4);
                let values = words.map(|word| f32::from_le_bytes(word.try_into().expect("a word")));
                (name.to_owned(), (view.shape().to_vec(), values.collect()))
            })
            .collect();
        change(&mut tensors);
        let encoded: Vec<_> = tensors
            .iter()
            .map(|(name, (shape, values))| (name, shape, encode(values, dtype)))
            .collect();
        let views = encoded.iter().map(|(name, shape, bytes)| {
            (
                name.as_str(),
                TensorView::new(dtype, shape.to_vec(), bytes).expect("a tensor"),
            )
        });
        let bytes = safetensors::serialize(views, None).expect("a file");
        fs::write(path("adapter_model.safetensors"), bytes).expect("a file");
        Adapter::load(self.folder.path(), &self.model)
    }

    fn refusal(&self, config_changes: Value, change: impl Fn(&mut Tensors)) -> String {
        let loaded = self.load(config_changes, Dtype::F32, change);
        loaded.expect_err("not to be loaded").to_string()
    }
}

#[test]
fn adapters_of_other_tools_are_read_in_all_ways_that_peft_reads_them() {
    let altered = Altered::new();
    let exact = Adapter::load(&peft_adapter(), &altered.model).expect("an adapter");
    let unchanged = |_: &mut Tensors| {};
    for targets in [
        json!("(.*\\.)?(q_proj|v_proj|down_proj)"),
        json!("model\\.layers\\.\\d+\\.(self_attn\\.[qv]_proj|mlp\\.down_proj)"),
        json!(["self_attn.q_proj", "mlp.down_proj", "v_proj"]),
    ] {
        let loaded = altered.load(json!({ "target_modules": targets }), Dtype::F32, unchanged);
        assert_eq!(loaded.expect("an adapter"), exact, "{targets}");
    }
    let loaded = altered.load(json!({}), Dtype::F32, |tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| (name.replace(".weight", ".default.weight"), tensor))
            .collect();
    });
    assert_eq!(loaded.expect("an adapter"), exact);
    for dtype in [Dtype::F16, Dtype::BF16] {
        let loaded = altered
            .load(json!({}), dtype, unchanged)
            .expect("an adapter");
        for (loaded, exact) in loaded.pairs.iter().zip(&exact.pairs) {
            assert_close(&loaded.b, &exact.b, 1e-3, "B");
            assert_ne!(loaded.b, exact.b);
        }
    }
    // The least that a configuration may say.
    let least = json!({ "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "down_proj"] });
    fs::write(
        altered.folder.path().join("adapter_config.json"),
        least.to_string(),
    )
    .expect("a file");
    let loaded = Adapter::load(altered.folder.path(), &altered.model).expect("an adapter");
    assert_eq!(loaded.config.scaling(), 2.0);
}

#[test]
fn settings_that_would_be_guessed_or_are_not_known_are_refused() {
    let altered = Altered::new();
    for (changes, words) in [
        (json!({ "peft_type": null }), "peft_type is nothing"),
        (json!({ "peft_type": "IA3" }), "peft_type is IA3"),
        (json!({ "r": null }), "r is missing"),
        (json!({ "lora_alpha": null }), "lora_alpha is missing"),
        (
            json!({ "target_modules": null }),
            "target_modules is missing",
        ),
        (json!({ "r": 0 }), "out of range"),
        (json!({ "r": 4_000_000_000_000_u64 }), "out of range"),
        (json!({ "lora_dropout": 1.0 }), "out of range"),
        (json!({ "rank_pattern": { "q_proj": 2 } }), "rank_pattern"),
        (json!({ "alpha_pattern": { "q_proj": 2 } }), "alpha_pattern"),
        (json!({ "use_dora": true }), "use_dora"),
        (json!({ "lora_bias": true }), "lora_bias"),
        (json!({ "fan_in_fan_out": true }), "fan_in_fan_out"),
        (json!({ "bias": "lora_only" }), "bias is 'lora_only'"),
        (json!({ "modules_to_save": ["lm_head"] }), "modules_to_save"),
        (json!({ "layers_to_transform": [0] }), "layers_to_transform"),
        (
            json!({ "layer_replication": [[0, 2]] }),
            "layer_replication",
        ),
        (json!({ "init_lora_weights": "pissa" }), "init_lora_weights"),
        (json!({ "target_modules": [] }), "no linear layer"),
        (json!({ "target_modules": ["q_proj", "wq"] }), "'wq'"),
        (
            json!({ "target_modules": ["q_proj", "lm_head"] }),
            "'lm_head'",
        ),
        (json!({ "target_modules": ".*" }), "'lm_head'"),
        (json!({ "target_modules": "q_proj" }), "no linear layer"),
        (json!({ "target_modules": "(?=x)q" }), "cannot be told"),
        (
            json!({ "target_modules": ["model.layers.0.self_attn.q_proj"] }),
            "in layer 1",
        ),
        // Tensors without a target, and targets without tensors.
        (
            json!({ "target_modules": ["q_proj", "v_proj"] }),
            "belongs to no layer",
        ),
        (
            json!({ "target_modules": ["q_proj", "k_proj", "v_proj", "down_proj"] }),
            "k_proj.lora_A.weight' is missing",
        ),
        (json!({ "target_modules": "all-linear" }), "is missing"),
        (json!({ "r": 8 }), "has the shape [4, 64]"),
    ] {
        let error = altered.refusal(changes.clone(), |_| {});
        assert!(error.contains(words), "{changes}: {error}");
    }
}

#[test]
fn tensors_that_are_not_exactly_the_adapters_are_refused() {
    let altered = Altered::new();
    let name = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
    let refusal = |change: &dyn Fn(&mut Tensors)| altered.refusal(json!({}), change);
    let error = refusal(&|tensors| {
        tensors.remove(name);
    });
    assert!(error.contains(&format!("'{name}' is missing")), "{error}");
    // Without PEFT's wrapper: PEFT would warn and compute as the base does.
    let error = refusal(&|tensors| {
        let tensor = tensors.remove(name).expect("a tensor");
        tensors.insert(name.replace("base_model.model.", ""), tensor);
    });
    assert!(error.contains("is missing"), "{error}");
    let error = refusal(&|tensors| {
        let tensor = tensors[name].clone();
        tensors.insert(name.replace("v_proj", "o_proj"), tensor);
    });
    assert!(error.contains("belongs to no layer"), "{error}");
    let error = refusal(&|tensors| {
        let tensor = tensors[name].clone();
        tensors.insert(name.replace(".weight", ".default.weight"), tensor);
    });
    assert!(error.contains("is there twice"), "{error}");
    let error = refusal(&|tensors| {
        let (shape, _) = tensors.get_mut(name).expect("a tensor");
        shape.reverse();
    });
    assert!(error.contains("has the shape [4, 32]"), "{error}");
    let error = refusal(&|tensors| {
        let (_, values) = tensors.get_mut(name).expect("a tensor");
        values[3] = f32::NAN;
    });
    assert!(error.contains("no finite numbers"), "{error}");
    let error = altered
        .load(json!({}), Dtype::I32, |_| {})
        .expect_err("integers");
    assert!(error.to_string().contains("is of type I32"), "{error}");

    let path = |name: &str| altered.folder.path().join(name);
    let load = || {
        Adapter::load(altered.folder.path(), &altered.model)
            .expect_err("broken")
            .to_string()
    };
    fs::write(path("adapter_model.safetensors"), b"damaged").expect("a file");
    assert!(load().ends_with("adapter_model.safetensors"));
    fs::remove_file(path("adapter_model.safetensors")).expect("a file");
    assert!(load().contains("the file is not there"));
    fs::write(path("adapter_model.bin"), b"a pickle").expect("a file");
    assert!(load().contains("pickled (adapter_model.bin)"));
    fs::write(path("adapter_config.json"), b"{").expect("a file");
    assert!(load().ends_with("adapter_config.json"));
}

/// The adapter that the recorded replay begins with, as NumPy made it.
#[test]
fn the_replays_first_adapter_can_be_made_again() {
    let replay: Value =
        serde_json::from_str(include_str!("../goldens/lora_replay.json")).expect("goldens");
    let told = |key: &str| replay["init_a"][key].as_str().expect("a text").to_owned();
    let number = |key: &str| told(key).parse().expect("a number");
    let mut random = NumpyRandom::new(number("state"), number("increment"));
    let mut hasher = Sha256::new();
    for _layer_and_projection in 0..30 * 4 {
        let bound = 1.0 / 576_f64.sqrt();
        for _ in 0..8 * 576 {
            let value = random.uniform(-bound, bound) as f32;
            hasher.update(value.to_le_bytes());
        }
    }
    let hash: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hash, told("sha256"));
}

// Merged models.

/// What the merged model is to be, computed the slow way.
fn expected(base: &BTreeMap<String, Vec<f32>>, adapter: &Adapter) -> BTreeMap<String, Vec<f32>> {
    let rank = adapter.config.rank;
    let mut merged = base.clone();
    for pair in &adapter.pairs {
        let (block, name) = (pair.projection.block(), pair.projection.name());
        let name = format!("model.layers.{}.{block}.{name}.weight", pair.layer);
        let values = merged.get_mut(&name).expect("a tensor");
        let columns = pair.a.len() / rank;
        for (place, value) in values.iter_mut().enumerate() {
            let (row, column) = (place / columns, place % columns);
            let products = (0..rank).map(|r| {
                f64::from(pair.b[row * rank + r]) * f64::from(pair.a[r * columns + column])
            });
            let step = f64::from(adapter.config.scaling()) * products.sum::<f64>();
            *value = (f64::from(*value) + step) as f32;
        }
    }
    merged
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_merged_folder_is_base_plus_adapter() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(&folder.path().join("base"), Dtype::F32);
    fs::write(base.files.path().join("generation_config.json"), "{}\n").expect("a file");
    let weights = open(&base, Precision::F32);
    let plain = tensors(&weights);
    let adapter = random_adapter(&weights.config, &[Projection::K, Projection::Up]);
    let wanted = expected(&plain, &adapter);
    let out = folder.path().join("merged");
    let check = |shards: usize| {
        let merged = open(&base_of(&out), Precision::F32);
        assert_eq!(merged.config, weights.config);
        for (name, values) in tensors(&merged) {
            assert_close(&values, &wanted[&name], 1e-6, &name);
            let is_changed = ["k_proj", "up_proj"].iter().any(|own| name.contains(own));
            assert_eq!(values != plain[&name], is_changed, "{name}");
        }
        let files = names_in(&out);
        let count = files
            .iter()
            .filter(|name| name.ends_with(".safetensors"))
            .count();
        assert_eq!(count, shards, "{files:?}");
        for name in [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ] {
            assert!(files.iter().any(|own| own == name), "{files:?}");
        }
        assert_eq!(names_in(folder.path()), ["base", "merged"]);
    };
    export::merged_safetensors(&base, &weights, &adapter, &out, &|| false).expect("merged");
    check(1);
    // Replaced as a whole.
    export::sharded_safetensors(&base, &weights, &adapter, &out, 100_000, &|| false)
        .expect("merged");
    check(4);
    export::merged_safetensors(&base, &weights, &adapter, &out, &|| false).expect("merged");
    check(1);
    let config = fs::read_to_string(out.join("config.json")).expect("a file");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["torch_dtype"], "float32");

    let before = fs::read(base.files.path().join("model.safetensors")).expect("a file");
    for place in [base.files.path(), folder.path()] {
        let error = export::merged_safetensors(&base, &weights, &adapter, place, &|| false);
        let error = error.expect_err("the base's place").to_string();
        assert!(error.contains("the base model is here"), "{error}");
    }
    let after = fs::read(base.files.path().join("model.safetensors")).expect("a file");
    assert!(before == after);

    let strange = folder.path().join("strange");
    fs::create_dir(&strange).expect("a folder");
    fs::write(strange.join("notes.txt"), "mine").expect("a file");
    let error = export::merged_safetensors(&base, &weights, &adapter, &strange, &|| false);
    let error = error.expect_err("not a model's folder").to_string();
    assert!(error.contains("something else than a model"), "{error}");
    assert_eq!(names_in(&strange), ["notes.txt"]);
}

/// A merge, given what it is to ask whether it is stopped.
type Merge<'a> = dyn Fn(&dyn Fn() -> bool) -> Result<(), LlamaError> + 'a;

/// Stops a merge at its first look at whether it is stopped, at a later one, and so on until it is
/// done. Each time it ends there with what was at its place before, and nothing beside it.
fn check_stops(merge: &Merge<'_>, folder: &Path, tensor_count: usize, is_older: &dyn Fn() -> bool) {
    let before = names_in(folder);
    let looks = Cell::new(0_usize);
    let mut last = 1;
    loop {
        looks.set(0);
        let merged = merge(&|| {
            looks.set(looks.get() + 1);
            looks.get() == last
        });
        assert_eq!(names_in(folder), before);
        match merged {
            Ok(()) => break,
            Err(LlamaError::Cancelled) => {
                assert_eq!(looks.get(), last);
                assert!(is_older(), "after {last} looks");
            }
            Err(error) => panic!("{error}"),
        }
        // Most of what makes up a GGUF file are single numbers.
        last += 1 + last / 40;
    }
    assert!(!is_older());
    assert!(looks.get() >= tensor_count, "{}", looks.get());
}

#[test]
fn a_merge_that_is_stopped_leaves_what_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(&folder.path().join("base"), Dtype::F32);
    let weights = open(&base, Precision::F32);
    let count = tensors(&weights).len();
    let adapter = random_adapter(&weights.config, &Projection::ALL);
    let (out, file) = (folder.path().join("merged"), folder.path().join("a.gguf"));
    fs::create_dir(&out).expect("a folder");
    for name in ["config.json", "older"] {
        fs::write(out.join(name), "{}").expect("a file");
    }
    fs::write(&file, "older").expect("a file");
    check_stops(
        &|is_stopped| {
            export::sharded_safetensors(&base, &weights, &adapter, &out, 100_000, is_stopped)
        },
        folder.path(),
        count,
        &|| out.join("older").is_file(),
    );
    check_stops(
        &|is_stopped| export::merged_gguf(&base, &weights, &adapter, &file, is_stopped),
        folder.path(),
        count,
        &|| fs::read(&file).is_ok_and(|bytes| bytes == b"older"),
    );
    let wanted = expected(&tensors(&weights), &adapter);
    for place in [&out, &file] {
        for (name, values) in tensors(&open(&base_of(place), Precision::F32)) {
            let tolerance = largest(&wanted[&name]) / 2048.0;
            assert_close(&values, &wanted[&name], tolerance, &name);
        }
    }
}

#[test]
fn an_adapter_that_changes_nothing_merges_into_the_base_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(&folder.path().join("base"), Dtype::BF16);
    let adapter_config = random_adapter(&tiny_config(), &Projection::ALL).config;
    for precision in [Precision::F32, Precision::Bf16] {
        let weights = open(&base, precision);
        let adapter = Adapter::new(adapter_config.clone(), &weights.config, 3);
        let out = folder.path().join("merged");
        export::merged_safetensors(&base, &weights, &adapter, &out, &|| false).expect("merged");
        let merged = open(&base_of(&out), Precision::F32);
        assert_eq!(tensors(&merged), tensors(&weights));
        let bytes = fs::metadata(out.join("model.safetensors"))
            .expect("a file")
            .len();
        let elements: usize = tensors(&weights).values().map(Vec::len).sum();
        let wanted = if precision == Precision::F32 { 4 } else { 2 };
        assert_eq!(bytes / elements as u64, wanted);
    }
}

#[test]
fn an_adapter_of_another_model_does_not_merge() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(&folder.path().join("base"), Dtype::F32);
    let weights = open(&base, Precision::F32);
    let other = TinyLlama::of_width(32).write(&folder.path().join("other"), Dtype::F32);
    let other = open(&other, Precision::F32).config;
    let adapter = random_adapter(&other, &[Projection::Q]);
    let out = folder.path().join("merged");
    let error = export::merged_safetensors(&base, &weights, &adapter, &out, &|| false);
    assert!(matches!(error, Err(LlamaError::Shape { .. })), "{error:?}");
    assert!(!out.exists());
    let file = folder.path().join("merged.gguf");
    let error = export::merged_gguf(&base, &weights, &adapter, &file, &|| false);
    assert!(matches!(error, Err(LlamaError::Shape { .. })), "{error:?}");
    assert_eq!(names_in(folder.path()), ["base", "other"]);
}

fn same_texts(one: &ChatTokenizer, other: &ChatTokenizer) {
    let chat = [
        Message::new(Role::User, "Knee 142.7°, hip  -3?"),
        Message::new(Role::Assistant, "Yes."),
    ];
    let text = one.render(&chat, NextTurn::None).expect("a text");
    assert_eq!(other.render(&chat, NextTurn::None).expect("a text"), text);
    let encoded = one.encode(&chat).expect("tokens");
    assert_eq!(other.encode(&chat).expect("tokens"), encoded);
    assert_eq!(other.decode(&encoded.ids).expect("a text"), text);
}

#[test]
fn a_merged_gguf_file_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = TinyLlama::new();
    model.config["rope_theta"] = json!(500_000.0);
    model.config["rope_scaling"] = json!({ "rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 });
    let base = model.write(&folder.path().join("base"), Dtype::F32);
    let weights = open(&base, Precision::F32);
    let adapter = random_adapter(&weights.config, &Projection::ATTENTION);
    let wanted = expected(&tensors(&weights), &adapter);
    let file = folder.path().join("out/merged.gguf");
    export::merged_gguf(&base, &weights, &adapter, &file, &|| false).expect("merged");
    assert_eq!(names_in(file.parent().expect("a folder")), ["merged.gguf"]);
    let gguf = base_of(&file);
    let merged = open(&gguf, Precision::F32);
    assert_eq!(merged.config, weights.config);
    for (name, values) in tensors(&merged) {
        // 16-bit floats have 11 bits.
        let tolerance = largest(&wanted[&name]) / 2048.0;
        assert_close(&values, &wanted[&name], tolerance, &name);
    }
    let tokenizer = base.tokenizer().expect("a tokenizer");
    same_texts(&tokenizer, &gguf.tokenizer().expect("a tokenizer"));

    // And from the GGUF file as a folder.
    let out = folder.path().join("again");
    let nothing = Adapter::new(adapter.config.clone(), &merged.config, 1);
    export::merged_safetensors(&gguf, &merged, &nothing, &out, &|| false).expect("merged");
    let again = base_of(&out);
    let read = open(&again, Precision::F32);
    assert_eq!(read.config, weights.config);
    assert_eq!(tensors(&read), tensors(&merged));
    same_texts(&tokenizer, &again.tokenizer().expect("a tokenizer"));
    let config = fs::read_to_string(out.join("tokenizer_config.json")).expect("a file");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["eos_token"], "</s>");
}

#[test]
fn quantised_matrices_that_the_adapter_leaves_alone_stay_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(&folder.path().join("base"), Dtype::F32);
    let weights = open(&base, Precision::Quantised);
    let adapter = random_adapter(&weights.config, &[Projection::Q]);
    let wanted = expected(&tensors(&weights), &adapter);
    let file = folder.path().join("merged.gguf");
    export::merged_gguf(&base, &weights, &adapter, &file, &|| false).expect("merged");
    let merged = open(&base_of(&file), Precision::Quantised);
    for (before, after) in weights.layers.iter().zip(&merged.layers) {
        for projection in Projection::ALL {
            let bytes = |layer: &posedata::llama::LayerWeights| match &layer
                .projection(projection)
                .values
            {
                Values::Quantised { bytes, .. } => bytes.clone(),
                other => panic!("not quantised: {other:?}"),
            };
            assert_eq!(bytes(before) == bytes(after), projection != Projection::Q);
        }
    }
    for (name, values) in tensors(&merged) {
        assert_close(&values, &wanted[&name], 0.01, &name);
    }
}

#[test]
fn tokenizers_that_gguf_files_cannot_hold_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = TinyLlama::new().write(&folder.path().join("base"), Dtype::F32);
    let weights = open(&base, Precision::F32);
    let adapter = random_adapter(&weights.config, &[Projection::Q]);
    let path = base.files.path().join("tokenizer.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    let file = folder.path().join("merged.gguf");
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut tokenizer = whole.clone();
        change(&mut tokenizer);
        fs::write(&path, tokenizer.to_string()).expect("a file");
        let error = export::merged_gguf(&base, &weights, &adapter, &file, &|| false);
        error.expect_err("not to be written").to_string()
    };
    let error = refusal(&|tokenizer| tokenizer["model"]["byte_fallback"] = true.into());
    assert!(error.contains("SentencePiece"), "{error}");
    let error = refusal(&|tokenizer| tokenizer["normalizer"] = json!({ "type": "NFC" }));
    assert!(error.contains("normalised"), "{error}");
    let error = refusal(&|tokenizer| tokenizer["pre_tokenizer"] = json!({ "type": "Whitespace" }));
    assert!(error.contains("how texts are split"), "{error}");
    // An added token that the vocabulary lacks is given the vocabulary's length as its number.
    let error = refusal(&|tokenizer| {
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut();
        vocabulary.expect("a vocabulary").remove("</s>");
    });
    assert!(error.contains("both token 258"), "{error}");
    let error = refusal(&|tokenizer| tokenizer["model"]["merges"] = json!([]));
    assert!(error.contains("merges"), "{error}");
    fs::write(&path, whole.to_string()).expect("a file");
    let mut smaller = weights.clone();
    smaller.config.vocab_size = 258;
    let error =
        export::merged_gguf(&base, &smaller, &adapter, &file, &|| false).expect_err("too many");
    assert!(error.to_string().contains("token 258 is beyond"), "{error}");
    assert!(!file.exists());
}
