//! Options whose values are choices of datasets, providers and trainings, as in `choices`.

use clap::builder::{PossibleValue, TypedValueParser};

use crate::cli::choices::one_of;
use crate::dataset::{Format as DatasetFormat, Preset};
use crate::synth::provider::{Effort, ProviderKind};
use crate::train::Decay;
use crate::training::DeviceKind;

pub fn dataset_format() -> impl TypedValueParser<Value = DatasetFormat> {
    one_of(DatasetFormat::ALL.map(|format| {
        PossibleValue::new(format.name()).help(match format {
            DatasetFormat::Messages => "A list of messages with role and content (OpenAI, TRL)",
            DatasetFormat::Alpaca => "Instruction, input, output (Stanford Alpaca)",
            DatasetFormat::Sharegpt => "A list of conversations with from and value (ShareGPT)",
            DatasetFormat::PromptCompletion => {
                "Prompt and completion, each a list of messages (TRL)"
            }
        })
    }))
}

pub fn preset() -> impl TypedValueParser<Value = Preset> {
    one_of(Preset::ALL.map(|preset| {
        PossibleValue::new(preset.name()).help(match preset {
            Preset::Numbers => {
                "Recipes that are answered by numbers, and the primitives that they are made of"
            }
        })
    }))
}

pub fn provider() -> impl TypedValueParser<Value = ProviderKind> {
    one_of(ProviderKind::ALL.map(|provider| {
        match provider {
            ProviderKind::OpenAi => PossibleValue::new("openai")
                .help("OpenAI, or a server that speaks its chat completions (OPENAI_BASE_URL)"),
            ProviderKind::Anthropic => PossibleValue::new("claude")
                .alias("anthropic")
                .help("Anthropic (ANTHROPIC_BASE_URL)"),
        }
    }))
}

pub fn effort() -> impl TypedValueParser<Value = Effort> {
    one_of(Effort::ALL.map(|effort| PossibleValue::new(effort.name())))
}

pub fn decay() -> impl TypedValueParser<Value = Decay> {
    one_of(Decay::ALL.map(|decay| {
        PossibleValue::new(decay.name()).help(match decay {
            Decay::Cosine => {
                "Half a wave of the cosine, down to zero (Loshchilov and Hutter 2017, SGDR, without restarts)"
            }
            Decay::Linear => "A straight line down to zero",
            Decay::Constant => "No decay",
        })
    }))
}

pub fn device() -> impl TypedValueParser<Value = DeviceKind> {
    one_of(DeviceKind::ALL.map(|device| {
        let value = PossibleValue::new(device.name());
        match device {
            DeviceKind::Cpu => value,
            DeviceKind::Cuda => value.help("An NVIDIA GPU"),
            DeviceKind::Metal => value.help("An Apple GPU"),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::choices::tests::check;

    #[test]
    fn every_name_is_read_back() {
        check(&DatasetFormat::ALL, DatasetFormat::name);
        check(&Preset::ALL, Preset::name);
        check(&ProviderKind::ALL, ProviderKind::name);
        check(&Effort::ALL, Effort::name);
        check(&Decay::ALL, Decay::name);
        for name in ["claude", "anthropic"] {
            assert_eq!(name.parse(), Ok(ProviderKind::Anthropic));
        }
    }
}
