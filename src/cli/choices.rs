//! Options whose values are the library's choices: their names, and what --help says of each.

use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::dataset::Format as DatasetFormat;
use crate::export::ExportFormat;
use crate::query::Format as QueryFormat;
use crate::synth::provider::{Effort, ProviderKind};
use crate::train::Decay;
use crate::training::DeviceKind;

/// Takes one of `values`, which are names of `T`.
fn one_of<T>(values: impl IntoIterator<Item = PossibleValue>) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(values).try_map(|name| T::from_str(&name))
}

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

pub fn export_format() -> impl TypedValueParser<Value = ExportFormat> {
    one_of(ExportFormat::ALL.map(|format| {
        PossibleValue::new(format.name()).help(match format {
            ExportFormat::PoseJson => {
                "A list with one object per frame and person: points and metrics"
            }
            ExportFormat::Csv => "A table with one row per frame and person: metrics and landmarks",
            ExportFormat::Trc => "OpenSim markers: world landmarks in metres, a file per person",
            ExportFormat::Mot => {
                "OpenSim motion: joint and segment angles in degrees, a file per person"
            }
            ExportFormat::Parquet => "The table of csv as Parquet",
        })
    }))
}

pub fn query_format() -> impl TypedValueParser<Value = QueryFormat> {
    one_of(QueryFormat::ALL.map(|format| {
        let value = PossibleValue::new(format.name());
        match format {
            QueryFormat::Table => value.help("Aligned columns for people"),
            QueryFormat::Json => value.help("One array of objects"),
            QueryFormat::Jsonl => value.help("One object a line"),
            QueryFormat::Arrow => value.help("A stream of Arrow's IPC format (suffix .arrows)"),
            QueryFormat::Csv | QueryFormat::Parquet => value,
        }
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
    use std::fmt::Debug;

    use super::*;

    fn check<T>(choices: &[T], name: fn(T) -> &'static str)
    where
        T: Copy + Debug + PartialEq + FromStr<Err = String>,
    {
        for choice in choices {
            assert_eq!(name(*choice).parse(), Ok(*choice));
        }
        let error = "nonsense".parse::<T>().expect_err("no such name");
        assert!(error.contains(name(choices[0])), "{error}");
    }

    #[test]
    fn every_name_is_read_back() {
        check(&DatasetFormat::ALL, DatasetFormat::name);
        check(&ExportFormat::ALL, ExportFormat::name);
        check(&QueryFormat::ALL, QueryFormat::name);
        check(&ProviderKind::ALL, ProviderKind::name);
        check(&Effort::ALL, Effort::name);
        check(&Decay::ALL, Decay::name);
        for name in ["claude", "anthropic"] {
            assert_eq!(name.parse(), Ok(ProviderKind::Anthropic));
        }
    }
}
