//! The Hugging Face hub: the cache that all its tools share, and downloads of models into it.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{HFClient, HFError, HFRepositorySync, HFResult};

use super::files::{
    CONFIG_FILE, GENERATION_CONFIG_FILE, INDEX_FILE, TEMPLATE_FILE, TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE, WEIGHTS_FILE, WeightsIndex,
};

/// Set to anything but 0 or nothing, it forbids the network (as in huggingface_hub).
const OFFLINE_VARIABLE: &str = "HF_HUB_OFFLINE";

/// Tries again after a failure; who has no network is to learn so soon.
const MAX_RETRIES: usize = 2;

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// What the cache lacks is fetched.
    Allowed,
    /// The cache alone serves; what it lacks is an error.
    Forbidden,
}

/// What of a model is needed. Weights are large, and counting tokens needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// What counting tokens and laying out chats takes.
    Tokenizer,
    /// The tokenizer, the configuration and the weights.
    Weights,
}

/// Where repositories of models are kept and fetched from.
pub struct Hub {
    cache: PathBuf,
    /// `None`: `HF_ENDPOINT`, or the hub itself.
    endpoint: Option<String>,
    network: Network,
}

impl Hub {
    /// As the environment has it: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`,
    /// `HF_HUB_OFFLINE`.
    pub fn from_environment() -> Self {
        let offline = std::env::var(OFFLINE_VARIABLE).unwrap_or_default();
        let is_offline = !matches!(
            offline.to_lowercase().as_str(),
            "" | "0" | "false" | "no" | "off"
        );
        Self {
            cache: hf_hub::resolve_cache_dir(),
            endpoint: None,
            network: if is_offline {
                Network::Forbidden
            } else {
                Network::Allowed
            },
        }
    }

    /// A cache in `cache`, filled from `endpoint`.
    pub fn new(cache: PathBuf, endpoint: Option<String>, network: Network) -> Self {
        Self {
            cache,
            endpoint,
            network,
        }
    }

    /// The folder of a repository in the cache that has what is needed: the revision `main` where it
    /// is there, or else any.
    pub fn cached(&self, repository: &str, needs: Needs) -> Option<PathBuf> {
        let folder = self
            .cache
            .join(format!("models--{}", repository.replace('/', "--")));
        let snapshots = folder.join("snapshots");
        let main = fs::read_to_string(folder.join("refs/main"));
        let main = main.map(|revision| snapshots.join(revision.trim()));
        let others = fs::read_dir(&snapshots).into_iter().flatten().flatten();
        let mut others: Vec<PathBuf> = others.map(|entry| entry.path()).collect();
        others.sort();
        main.into_iter().chain(others).find(|snapshot| match needs {
            Needs::Tokenizer => snapshot.join(TOKENIZER_FILE).is_file(),
            Needs::Weights => is_whole(snapshot),
        })
    }

    /// Fetches what is needed of a repository into the cache; the folder that it is in then.
    ///
    /// # Errors
    /// A reason for people: the network is forbidden or fails, the hub refuses, or the weights are
    /// not in safetensors files.
    pub(super) fn fetch(&self, repository: &str, needs: Needs) -> Result<PathBuf, String> {
        if self.network == Network::Forbidden {
            return Err(format!("{OFFLINE_VARIABLE} forbids the network"));
        }
        let repository = self.repository(repository).map_err(|e| reason(&e))?;
        let tokenizer = download(&repository, TOKENIZER_FILE)?;
        let tokenizer = tokenizer.ok_or_else(|| format!("it has no {TOKENIZER_FILE}"))?;
        download(&repository, TOKENIZER_CONFIG_FILE)?;
        download(&repository, TEMPLATE_FILE)?;
        if needs == Needs::Weights {
            download_weights(&repository)?;
        }
        Ok(tokenizer.parent().unwrap_or(Path::new("")).into())
    }

    fn repository(&self, repository: &str) -> HFResult<Repository> {
        let mut client = HFClient::builder()
            .cache_dir(&self.cache)
            .retry_max_attempts(MAX_RETRIES);
        if let Some(endpoint) = &self.endpoint {
            client = client.endpoint(endpoint);
        }
        let (owner, name) = hf_hub::split_id(repository);
        Ok(client.build_sync()?.model(owner, name))
    }
}

type Repository = HFRepositorySync<hf_hub::RepoTypeModel>;

/// Fetches the configuration and the weights.
fn download_weights(repository: &Repository) -> Result<(), String> {
    let config = download(repository, CONFIG_FILE)?;
    config.ok_or_else(|| format!("it has no {CONFIG_FILE}"))?;
    download(repository, GENERATION_CONFIG_FILE)?;
    if download(repository, WEIGHTS_FILE)?.is_some() {
        return Ok(());
    }
    let index = download(repository, INDEX_FILE)?.ok_or_else(|| {
        format!(
            "it has no {WEIGHTS_FILE}, and pickled weights are never loaded: reading a pickle can run any program"
        )
    })?;
    for shard in shards(&index)? {
        let shard_path = download(repository, &shard)?;
        shard_path.ok_or_else(|| format!("{INDEX_FILE} names {shard}, which is not there"))?;
    }
    Ok(())
}

/// Whether a folder has all that computing with a model takes.
fn is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    let has_weights = || match has(WEIGHTS_FILE) {
        true => true,
        false => {
            shards(&folder.join(INDEX_FILE)).is_ok_and(|shards| shards.iter().all(|name| has(name)))
        }
    };
    has(TOKENIZER_FILE) && has(CONFIG_FILE) && has_weights()
}

/// The files that an index names.
fn shards(index: &Path) -> Result<Vec<String>, String> {
    let json = fs::read(index).map_err(|e| e.to_string())?;
    WeightsIndex::parse(&json)
        .and_then(|index| index.shards())
        .map_err(|reason| format!("{INDEX_FILE} is wrong: {reason}"))
}

/// Fetches a file; `None`: the repository has none of that name.
fn download(repository: &Repository, name: &str) -> Result<Option<PathBuf>, String> {
    match repository.download_file().filename(name).send() {
        Ok(path) => Ok(Some(path)),
        Err(HFError::EntryNotFound { .. }) => Ok(None),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &HFError) -> String {
    match error {
        HFError::Request { .. } => format!("no network, or no answer: {}", with_sources(error)),
        other => with_sources(other),
    }
}

/// An error with all that lies behind it: only there it says what failed.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
