//! A random Llama of two layers, as a folder of the hub.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use posedata::language::bases::{Base, BaseFiles};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::language::write_model;

const TEMPLATE: &str = "{% for m in messages %}<s>{{ m.role }}:{{ m.content }}</s>{% endfor %}\
    {% if add_generation_prompt %}<s>assistant:{% endif %}";

pub struct TinyLlama {
    /// `config.json`.
    pub config: Value,
    /// Shapes and elements by the hub's names.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl TinyLlama {
    /// Vocabulary 260 (bytes, two special tokens, a pair, one unused), width 64, 4 heads of 16 elements, 2 of keys and values, MLP 96.
    pub fn new() -> Self {
        Self::of_width(64)
    }

    /// A model of another width; its heads take what the four of them can share.
    pub fn of_width(hidden: usize) -> Self {
        let mut random = StdRng::seed_from_u64(5);
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| {
            let count = shape.iter().product();
            // Norms are near 1, as in models that were trained.
            let middle = if shape.len() == 1 { 1.0 } else { 0.0 };
            let values = (0..count).map(|_| middle + random.random_range(-0.25..0.25));
            tensors.insert(name, (shape.to_vec(), values.collect()));
        };
        add("model.embed_tokens.weight".into(), &[260, hidden]);
        add("lm_head.weight".into(), &[260, hidden]);
        add("model.norm.weight".into(), &[hidden]);
        for layer in 0..2 {
            let mut in_layer = |name: &str, shape: &[usize]| {
                add(format!("model.layers.{layer}.{name}.weight"), shape)
            };
            in_layer("input_layernorm", &[hidden]);
            in_layer("post_attention_layernorm", &[hidden]);
            in_layer("self_attn.q_proj", &[hidden, hidden]);
            in_layer("self_attn.k_proj", &[hidden / 2, hidden]);
            in_layer("self_attn.v_proj", &[hidden / 2, hidden]);
            in_layer("self_attn.o_proj", &[hidden, hidden]);
            in_layer("mlp.gate_proj", &[96, hidden]);
            in_layer("mlp.up_proj", &[96, hidden]);
            in_layer("mlp.down_proj", &[hidden, 96]);
        }
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 260,
            "hidden_size": hidden, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": null,
            "max_position_embeddings": 256, "tie_word_embeddings": false,
            "bos_token_id": 256, "eos_token_id": 257, "torch_dtype": "bfloat16",
        });
        Self { config, tensors }
    }

    /// The tensors as the bytes of a safetensors file.
    pub fn file(&self, dtype: Dtype) -> Vec<u8> {
        file_of(self.tensors.iter(), dtype)
    }

    /// All files of a folder, with the weights in one file.
    pub fn files(&self, dtype: Dtype) -> Vec<(String, Vec<u8>)> {
        let mut files = self.small_files();
        files.push(("model.safetensors".into(), self.file(dtype)));
        files
    }

    /// All files of a folder, with the weights in two files.
    pub fn sharded_files(&self, dtype: Dtype) -> Vec<(String, Vec<u8>)> {
        let shard = |place: usize| format!("model-0000{place}-of-00002.safetensors");
        let in_first = |name: &str| name.contains("layers.0");
        let names = self.tensors.keys();
        let map: BTreeMap<&String, String> = names
            .map(|name| (name, shard(if in_first(name) { 1 } else { 2 })))
            .collect();
        let index = json!({ "metadata": { "total_size": 1.0 }, "weight_map": map });
        let mut files = self.small_files();
        files.push((
            "model.safetensors.index.json".into(),
            index.to_string().into(),
        ));
        for place in [1, 2] {
            let tensors = self.tensors.iter();
            let own = tensors.filter(|(name, _)| in_first(name) == (place == 1));
            files.push((shard(place), file_of(own, dtype)));
        }
        files
    }

    fn small_files(&self) -> Vec<(String, Vec<u8>)> {
        let folder = tempfile::tempdir().expect("a folder");
        write_model(
            folder.path(),
            json!({ "bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE }),
        );
        // llama.cpp reads no tokenizer that never merges.
        let path = folder.path().join("tokenizer.json");
        let mut tokenizer: Value =
            serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        for (token, id) in [("<s>", 256), ("</s>", 257), ("th", 258)] {
            tokenizer["model"]["vocab"][token] = id.into();
        }
        tokenizer["model"]["merges"] = json!([["t", "h"]]);
        fs::write(&path, tokenizer.to_string()).expect("a file");
        let mut files = vec![("config.json".into(), self.config.to_string().into())];
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            let bytes = fs::read(folder.path().join(name)).expect("a file");
            files.push((name.into(), bytes));
        }
        files
    }

    /// Writes the model into a folder.
    pub fn write(&self, folder: &Path, dtype: Dtype) -> Base {
        write_files(folder, self.files(dtype))
    }
}

pub fn write_files(folder: &Path, files: Vec<(String, Vec<u8>)>) -> Base {
    fs::create_dir_all(folder).expect("a folder");
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).expect("a file");
    }
    base_of(folder)
}

pub fn base_of(folder: &Path) -> Base {
    let files = match folder.extension().is_some_and(|ending| ending == "gguf") {
        true => BaseFiles::Gguf(folder.into()),
        false => BaseFiles::Folder(PathBuf::from(folder)),
    };
    let name = folder.display().to_string();
    Base { name, files }
}

fn file_of<'a>(
    tensors: impl Iterator<Item = (&'a String, &'a (Vec<usize>, Vec<f32>))>,
    dtype: Dtype,
) -> Vec<u8> {
    let encoded: Vec<_> = tensors
        .map(|(name, (shape, values))| (name, shape, encode(values, dtype)))
        .collect();
    let views = encoded.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).expect("a tensor");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("a file")
}

/// Elements as a type of safetensors.
pub fn encode(values: &[f32], dtype: Dtype) -> Vec<u8> {
    let bytes = values.iter().map(|value| match dtype {
        Dtype::F32 => value.to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(*value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(*value).to_le_bytes().to_vec(),
        Dtype::I32 => (*value as i32).to_le_bytes().to_vec(),
        other => panic!("no {other} in these tests"),
    });
    bytes.flatten().collect()
}
