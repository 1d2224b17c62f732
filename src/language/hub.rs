//! The Hugging Face hub as far as tokenizers go: the cache that all its tools share, and downloads
//! into it.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{HFClient, HFError, HFRepositorySync, HFResult};

use super::tokenizer::{TEMPLATE_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE};

/// Set to anything but 0 or nothing, it forbids the network (as in huggingface_hub).
const OFFLINE_VARIABLE: &str = "HF_HUB_OFFLINE";

/// Tries again after a failure; who has no network is to learn so soon.
const MAX_RETRIES: usize = 2;

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Allowed,
    Forbidden,
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

    /// The folder of a repository's tokenizer in the cache: the revision `main` where it is there,
    /// or else any.
    pub fn cached(&self, repository: &str) -> Option<PathBuf> {
        let folder = self
            .cache
            .join(format!("models--{}", repository.replace('/', "--")));
        let snapshots = folder.join("snapshots");
        let main = fs::read_to_string(folder.join("refs/main"));
        let main = main.map(|revision| snapshots.join(revision.trim()));
        let others = fs::read_dir(&snapshots).into_iter().flatten().flatten();
        let mut others: Vec<PathBuf> = others.map(|entry| entry.path()).collect();
        others.sort();
        main.into_iter()
            .chain(others)
            .find(|snapshot| snapshot.join(TOKENIZER_FILE).is_file())
    }

    /// Fetches a repository's tokenizer into the cache; the folder that it is in then.
    ///
    /// # Errors
    /// A reason for people: the network is forbidden or fails, or the hub refuses.
    pub(super) fn fetch(&self, repository: &str) -> Result<PathBuf, String> {
        if self.network == Network::Forbidden {
            return Err(format!("{OFFLINE_VARIABLE} forbids the network"));
        }
        self.download(repository).map_err(|e| match e {
            HFError::Request { .. } => format!("no network, or no answer: {}", with_sources(&e)),
            other => with_sources(&other),
        })
    }

    fn download(&self, repository: &str) -> HFResult<PathBuf> {
        let mut client = HFClient::builder()
            .cache_dir(&self.cache)
            .retry_max_attempts(MAX_RETRIES);
        if let Some(endpoint) = &self.endpoint {
            client = client.endpoint(endpoint);
        }
        let (owner, name) = hf_hub::split_id(repository);
        let repository = client.build_sync()?.model(owner, name);
        let tokenizer = download_file(&repository, TOKENIZER_FILE)?;
        for optional in [TOKENIZER_CONFIG_FILE, TEMPLATE_FILE] {
            match download_file(&repository, optional) {
                Ok(_) | Err(HFError::EntryNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tokenizer.parent().unwrap_or(Path::new("")).into())
    }
}

fn download_file(
    repository: &HFRepositorySync<hf_hub::RepoTypeModel>,
    name: &str,
) -> HFResult<PathBuf> {
    repository.download_file().filename(name).send()
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
