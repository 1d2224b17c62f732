//! What `posedata models tune` found out: how long each provider takes for a run of each landmark
//! model on this machine. Kept beside the models.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ModelStore, ModelsError};
use crate::files::{why_not_written, write_atomically};
use crate::pose::Provider;
use crate::resources::HostFacts;

/// Name of the file beside the models.
const FILE: &str = "tuning.json";
/// What is not faster by more than this was not measured to be faster.
const WORTH_IT: f64 = 0.95;

/// Milliseconds of a run, by provider.
pub type RunTimes = BTreeMap<Provider, f64>;

/// Measurements, and the machine that they hold for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// Name of the processor.
    pub cpu: String,
    /// Cores that could be used.
    pub cores: usize,
    /// By the landmark models' names.
    pub run_ms: BTreeMap<String, RunTimes>,
}

impl Tuning {
    /// Measurements on this machine.
    pub fn here(run_ms: BTreeMap<String, RunTimes>) -> Self {
        let HostFacts { cpu, cores, .. } = HostFacts::detect();
        Self { cpu, cores, run_ms }
    }

    /// The fastest provider for a model: the usual one, unless another is clearly faster.
    pub fn fastest(&self, model: &str) -> Provider {
        let usual = Provider::usual();
        // Versions of posedata that did not know the usual one have measured others alone.
        let times = self.run_ms.get(model);
        let Some((times, usual_ms)) = times.and_then(|times| Some((times, times.get(&usual)?)))
        else {
            return usual;
        };
        let faster = times.iter().filter(|(_, ms)| **ms < WORTH_IT * usual_ms);
        let fastest = faster.min_by(|a, b| a.1.total_cmp(b.1));
        fastest.map_or(usual, |(provider, _)| *provider)
    }

    fn is_of_this_machine(&self) -> bool {
        let here = HostFacts::detect();
        (&self.cpu, self.cores) == (&here.cpu, here.cores)
    }
}

impl ModelStore {
    /// Where measurements are kept.
    pub fn tuning_file(&self) -> PathBuf {
        self.folder().join(FILE)
    }

    /// Keeps measurements.
    ///
    /// # Errors
    /// When the folder of models takes no file.
    pub fn keep_tuning(&self, tuning: &Tuning) -> Result<(), ModelsError> {
        let path = self.tuning_file();
        let mut json = serde_json::to_vec_pretty(tuning).expect("names and numbers");
        json.push(b'\n');
        write_atomically(&path, &json).map_err(|e| ModelsError::Write {
            path,
            reason: why_not_written(&e),
        })
    }

    /// The provider that was measured to be the fastest for a model on this machine and is still
    /// there; the usual one where nothing was measured.
    pub fn fastest_provider(&self, model: &str) -> Provider {
        let text = fs::read_to_string(self.tuning_file()).unwrap_or_default();
        // What somebody else has written there tells nothing.
        let tuning = serde_json::from_str::<Tuning>(&text).ok();
        let tuning = tuning.filter(Tuning::is_of_this_machine);
        let fastest = tuning.map(|tuning| tuning.fastest(model));
        fastest
            .filter(|provider| self.runtime_of(*provider).is_ok_and(|file| file.is_file()))
            .unwrap_or_else(Provider::usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(usual_ms: f64, openvino_ms: f64) -> Tuning {
        let times = [
            (Provider::usual(), usual_ms),
            (Provider::OpenVino, openvino_ms),
        ];
        Tuning::here([("full".into(), RunTimes::from(times))].into())
    }

    #[test]
    fn another_provider_has_to_be_clearly_faster() {
        assert_eq!(tuning(10.0, 9.0).fastest("full"), Provider::OpenVino);
        assert_eq!(tuning(10.0, 9.8).fastest("full"), Provider::usual());
        assert_eq!(tuning(10.0, 9.0).fastest("heavy"), Provider::usual());
        let others = RunTimes::from([(Provider::OpenVino, 9.0)]);
        let without_usual = Tuning::here([("full".into(), others)].into());
        assert_eq!(without_usual.fastest("full"), Provider::usual());
    }

    // The other half has no other provider.
    #[cfg(feature = "video")]
    #[test]
    fn measurements_count_on_their_machine_and_while_the_provider_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ModelStore::new(Some(folder.path().into())).expect("a store");
        assert_eq!(store.fastest_provider("full"), Provider::usual());
        store.keep_tuning(&tuning(10.0, 5.0)).expect("a file");
        assert_eq!(
            store.fastest_provider("full"),
            Provider::usual(),
            "not installed"
        );
        let library = store.path("openvino-runtime").expect("an asset");
        write_atomically(&library, b"a library").expect("a file");
        assert_eq!(store.fastest_provider("full"), Provider::OpenVino);
        let elsewhere = Tuning {
            cpu: "another processor".into(),
            ..tuning(10.0, 5.0)
        };
        store.keep_tuning(&elsewhere).expect("a file");
        assert_eq!(store.fastest_provider("full"), Provider::usual());
        fs::write(store.tuning_file(), "{}").expect("a file");
        assert_eq!(store.fastest_provider("full"), Provider::usual());
    }
}
