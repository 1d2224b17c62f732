//! Adapters as PEFT keeps them: `adapter_config.json` and `adapter_model.safetensors`. What PEFT
//! itself would read without a word and compute wrongly from (no alpha, tensors that belong to no
//! layer, layers without tensors) is refused here.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::super::parts::module_name;
use super::super::{Adapter, LlamaConfig, LlamaError, LoraConfig, LoraPair, Projection};
use super::tensors::{Floats, read_all, write_tensors};
use super::write_error;
use crate::files::write_atomically;

const CONFIG_FILE: &str = "adapter_config.json";
/// The adapter's weights, as PEFT names the file.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
const PICKLE_FILE: &str = "adapter_model.bin";

/// Where PEFT's wrapper has the model that it wraps.
const WRAPPER: &str = "base_model.model.";

/// Modules that are no linear layers of Llama's layers, and that adapters may name all the same.
const OTHER_MODULES: [&str; 3] = ["lm_head", "model.embed_tokens", "model.norm"];

/// Settings of PEFT that change what is computed, and that are only known unset: as null, false
/// or empty.
const UNKNOWN_SETTINGS: [&str; 20] = [
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "exclude_modules",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "layers_pattern",
    "layers_to_transform",
    "lora_bias",
    "megatron_config",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
];

/// Ways to begin that leave the base model's weights as they are; the others change them.
const INITIALISATIONS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// `adapter_config.json` as it is written.
#[derive(Serialize)]
struct WrittenConfig<'a> {
    alpha_pattern: HashMap<String, f32>,
    base_model_name_or_path: &'a str,
    bias: &'a str,
    fan_in_fan_out: bool,
    inference_mode: bool,
    init_lora_weights: bool,
    #[serde(serialize_with = "whole_where_it_is")]
    lora_alpha: f32,
    lora_dropout: f32,
    modules_to_save: Option<Vec<String>>,
    peft_type: &'a str,
    r: usize,
    rank_pattern: HashMap<String, usize>,
    target_modules: Vec<&'a str>,
    task_type: &'a str,
    use_dora: bool,
    use_rslora: bool,
}

/// Writes 16 and not 16.0, as PEFT does.
fn whole_where_it_is<S: Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    match number.fract() == 0.0 {
        true => serializer.serialize_i64(*number as i64),
        false => serializer.serialize_f32(*number),
    }
}

/// What counts of `adapter_config.json`, as it is read.
#[derive(Deserialize)]
struct ReadConfig {
    peft_type: Option<String>,
    r: Option<usize>,
    lora_alpha: Option<f32>,
    lora_dropout: Option<f32>,
    bias: Option<String>,
    use_rslora: Option<bool>,
    init_lora_weights: Option<Value>,
    target_modules: Option<TargetModules>,
    #[serde(flatten)]
    others: HashMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TargetModules {
    /// A regular expression for whole names of modules, or `all-linear`.
    Pattern(String),
    /// Names of modules, or their last parts.
    Names(Vec<String>),
}

impl Adapter {
    /// Writes the adapter into a folder, which is made if need be: `adapter_config.json` and
    /// `adapter_model.safetensors`, each whole or not at all.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn save(&self, folder: &Path, base_model_name: &str) -> Result<(), LlamaError> {
        let LoraConfig { rank, .. } = self.config;
        let tensors = self.pairs.iter().flat_map(|pair| {
            let input = pair.a.len() / rank;
            let output = pair.b.len() / rank;
            [
                (tensor_name(pair, Side::A), vec![rank, input]),
                (tensor_name(pair, Side::B), vec![output, rank]),
            ]
        });
        let tensors: Vec<_> = tensors.collect();
        let values = |place: usize| {
            let pair = &self.pairs[place / 2];
            Ok(match place % 2 {
                0 => pair.a.clone(),
                _ => pair.b.clone(),
            })
        };
        let path = folder.join(WEIGHTS_FILE);
        write_tensors(&path, Floats::F32, &tensors, values, &|| false)?;
        let projections = self.config.projections.iter();
        let config = WrittenConfig {
            alpha_pattern: HashMap::new(),
            base_model_name_or_path: base_model_name,
            bias: "none",
            fan_in_fan_out: false,
            inference_mode: true,
            init_lora_weights: true,
            lora_alpha: self.config.alpha,
            lora_dropout: self.config.dropout,
            modules_to_save: None,
            peft_type: "LORA",
            r: rank,
            rank_pattern: HashMap::new(),
            target_modules: projections.map(|own| own.name()).collect(),
            task_type: "CAUSAL_LM",
            use_dora: false,
            use_rslora: self.config.uses_rslora,
        };
        let path = folder.join(CONFIG_FILE);
        let mut json = serde_json::to_vec_pretty(&config).map_err(|e| write_error(&path, e))?;
        json.push(b'\n');
        write_atomically(&path, &json).map_err(|e| write_error(&path, e))
    }

    /// Reads an adapter for a model, whole or not at all.
    ///
    /// # Errors
    /// When files are missing or damaged, when settings that decide about what is computed are
    /// missing or unknown, or when the tensors are not exactly those of the settings.
    pub fn load(folder: &Path, model: &LlamaConfig) -> Result<Self, LlamaError> {
        let at = |file: &str| {
            let path = folder.join(file);
            move |reason: String| LlamaError::Adapter { path, reason }
        };
        let config = read(folder, CONFIG_FILE)?;
        let config: ReadConfig =
            serde_json::from_slice(&config).map_err(|e| at(CONFIG_FILE)(e.to_string()))?;
        let config = config.checked(model).map_err(at(CONFIG_FILE))?;
        let tensors = read(folder, WEIGHTS_FILE)?;
        let tensors = read_all(&tensors).map_err(at(WEIGHTS_FILE))?;
        let pairs = pairs(&config, model, tensors).map_err(at(WEIGHTS_FILE))?;
        Ok(Self { config, pairs })
    }
}

/// The base model that an adapter's folder says it was made for.
pub fn base_of_adapter(folder: &Path) -> Option<String> {
    let config: BaseName = serde_json::from_slice(&read(folder, CONFIG_FILE).ok()?).ok()?;
    config
        .base_model_name_or_path
        .filter(|name| !name.is_empty())
}

#[derive(Deserialize)]
struct BaseName {
    base_model_name_or_path: Option<String>,
}

fn read(folder: &Path, file: &str) -> Result<Vec<u8>, LlamaError> {
    let path = folder.join(file);
    fs::read(&path).map_err(|e| {
        let reason = match e.kind() {
            std::io::ErrorKind::NotFound if folder.join(PICKLE_FILE).is_file() => {
                return LlamaError::Pickled {
                    path: folder.into(),
                    file: PICKLE_FILE.into(),
                };
            }
            std::io::ErrorKind::NotFound => {
                "the file is not there; give a folder that `posedata train` or PEFT has written"
                    .into()
            }
            _ => e.to_string(),
        };
        LlamaError::Adapter { path, reason }
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    A,
    B,
}

fn tensor_name(pair: &LoraPair, side: Side) -> String {
    let module = module_name(pair.layer, pair.projection);
    let side = match side {
        Side::A => "lora_A",
        Side::B => "lora_B",
    };
    format!("{WRAPPER}{module}.{side}.weight")
}

impl ReadConfig {
    fn checked(self, model: &LlamaConfig) -> Result<LoraConfig, String> {
        if self.peft_type.as_deref() != Some("LORA") {
            let found = self.peft_type.as_deref().unwrap_or("nothing");
            return Err(format!("peft_type is {found}, and only LORA is known"));
        }
        if let Some(bias) = self.bias.filter(|bias| bias != "none") {
            return Err(format!(
                "bias is '{bias}', and adapters that train biases are not known"
            ));
        }
        let unknown = UNKNOWN_SETTINGS
            .iter()
            .filter_map(|key| Some((key, self.others.get(*key)?)))
            .find(|(_, value)| !is_unset(value));
        if let Some((key, value)) = unknown {
            return Err(format!("{key} is {value}, which posedata does not know"));
        }
        match &self.init_lora_weights {
            None | Some(Value::Bool(_)) => {}
            Some(Value::String(way)) if INITIALISATIONS.contains(&way.as_str()) => {}
            Some(way) => {
                return Err(format!(
                    "init_lora_weights is {way}, which may have changed the base model's weights"
                ));
            }
        }
        // PEFT has defaults for these, which are not what an adapter was trained with.
        let missing =
            |key: &str| format!("{key} is missing, and the adapter's output depends on it");
        let rank = self.r.ok_or_else(|| missing("r"))?;
        let alpha = self.lora_alpha.ok_or_else(|| missing("lora_alpha"))?;
        let targets = self
            .target_modules
            .ok_or_else(|| missing("target_modules"))?;
        let dropout = self.lora_dropout.unwrap_or(0.0);
        // No wider than what it is to be narrower than.
        let widest = model.hidden_size.max(model.intermediate_size);
        if rank == 0 || rank > widest || !alpha.is_finite() || !(0.0..1.0).contains(&dropout) {
            return Err(format!(
                "r {rank}, lora_alpha {alpha} or lora_dropout {dropout} is out of range"
            ));
        }
        Ok(LoraConfig {
            rank,
            alpha,
            dropout,
            projections: targets.projections(model)?,
            uses_rslora: self.use_rslora.unwrap_or(false),
        })
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

impl TargetModules {
    /// The projections that are named, in the order of [`Projection::ALL`].
    fn projections(&self, model: &LlamaConfig) -> Result<Vec<Projection>, String> {
        let is_named: Box<dyn Fn(&str) -> bool> = match self {
            Self::Pattern(all) if all == "all-linear" => return Ok(Projection::ALL.to_vec()),
            Self::Pattern(pattern) => {
                let whole = Regex::new(&format!("^(?:{pattern})$")).map_err(|e| {
                    format!("target_modules is a regular expression that cannot be told: {e}")
                })?;
                Box::new(move |module| whole.is_match(module))
            }
            Self::Names(names) => {
                let belongs = |name: &str, module: &str| {
                    let rest = module.strip_suffix(name);
                    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                };
                let stranger = names.iter().find(|name| {
                    let mut layers = 0..model.num_layers;
                    !layers.any(|layer| {
                        let mut modules = Projection::ALL
                            .map(|own| module_name(layer, own))
                            .into_iter();
                        modules.any(|module| belongs(name, &module))
                    })
                });
                if let Some(name) = stranger {
                    return Err(format!(
                        "target_modules has '{name}', which is no linear layer of the model's layers"
                    ));
                }
                Box::new(move |module| names.iter().any(|name| belongs(name, module)))
            }
        };
        if let Some(module) = OTHER_MODULES.iter().find(|module| is_named(module)) {
            return Err(format!(
                "target_modules has '{module}', and adapters of it are not known"
            ));
        }
        let named_in = |layer: usize| -> Vec<Projection> {
            let projections = Projection::ALL.into_iter();
            projections
                .filter(|own| is_named(&module_name(layer, *own)))
                .collect()
        };
        let projections = named_in(0);
        let other = (1..model.num_layers).find(|layer| named_in(*layer) != projections);
        if let Some(layer) = other {
            return Err(format!(
                "target_modules has other layers in layer {layer} than in layer 0, which posedata does not know"
            ));
        }
        match projections.is_empty() {
            true => Err("target_modules has no linear layer of the model's layers".into()),
            false => Ok(projections),
        }
    }
}

/// The pairs that the settings ask for, out of a file's tensors: all of them, and no others.
fn pairs(
    config: &LoraConfig,
    model: &LlamaConfig,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
) -> Result<Vec<LoraPair>, String> {
    let mut stored = HashMap::new();
    for (name, shape, values) in tensors {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(format!("'{name}' has elements that are no finite numbers"));
        }
        // PEFT's own name for an adapter that was not given one.
        let plain = name.replace(".default.weight", ".weight");
        if stored.insert(plain.clone(), (shape, values)).is_some() {
            return Err(format!("'{plain}' is there twice"));
        }
    }
    let mut pairs = Adapter::zeros(config, model);
    for pair in &mut pairs {
        let (output, input) = pair.projection.shape(model);
        for (side, wanted) in [
            (Side::A, [config.rank, input]),
            (Side::B, [output, config.rank]),
        ] {
            let name = tensor_name(pair, side);
            let (shape, values) = stored
                .remove(&name)
                .ok_or_else(|| format!("'{name}' is missing"))?;
            if shape != wanted {
                return Err(format!(
                    "'{name}' has the shape {shape:?}, and the base model asks for {wanted:?}; was the adapter made for another one?"
                ));
            }
            match side {
                Side::A => pair.a = values,
                Side::B => pair.b = values,
            }
        }
    }
    match stored.keys().min() {
        Some(name) => Err(format!(
            "'{name}' belongs to no layer that adapter_config.json names"
        )),
        None => Ok(pairs),
    }
}
