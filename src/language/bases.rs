//! Base models: what `--base NAME_OR_PATH` stands for.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::files::TOKENIZER_FILE;
use super::{ChatTokenizer, Hub, LanguageError, Needs, gguf};
use crate::hashing::add_file;
use crate::models::{ModelStore, NamedBase};

/// What a base model consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseFiles {
    /// One GGUF file with everything.
    Gguf(PathBuf),
    /// A folder with a `tokenizer.json`, as repositories of the Hugging Face hub are laid out.
    Folder(PathBuf),
    /// A `tokenizer.json` alone.
    TokenizerJson(PathBuf),
}

impl BaseFiles {
    /// The one file, or the folder of several.
    pub fn path(&self) -> &Path {
        match self {
            Self::Gguf(path) | Self::Folder(path) | Self::TokenizerJson(path) => path,
        }
    }
}

/// A base model whose files are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// As the user named it.
    pub name: String,
    /// Found on this machine; where they are missing there is no base.
    pub files: BaseFiles,
}

impl Base {
    /// Opens the model's tokenizer.
    ///
    /// # Errors
    /// When its files are wrong.
    pub fn tokenizer(&self) -> Result<ChatTokenizer, LanguageError> {
        ChatTokenizer::open(self.files.path())
    }

    /// What other tools call the model: its repository on the hub where it is a known one, or else
    /// as the user named it.
    pub fn public_name(&self, store: &ModelStore) -> String {
        named(store, &self.name).map_or_else(|| self.name.clone(), |base| base.repository.clone())
    }

    /// The files that the weights are in, with what says how they belong together.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn weight_files(&self) -> Result<Vec<PathBuf>, LanguageError> {
        let folder = match &self.files {
            BaseFiles::Gguf(path) | BaseFiles::TokenizerJson(path) => {
                return Ok(vec![path.clone()]);
            }
            BaseFiles::Folder(folder) => folder,
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
            let path = entry.map_err(|e| unreadable(folder, e))?.path();
            let is_wanted = path.extension().is_some_and(|end| end == "safetensors")
                || path.file_name().is_some_and(|name| name == "config.json");
            if is_wanted {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Bytes of [`Self::weight_files`].
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn file_bytes(&self) -> Result<u64, LanguageError> {
        let bytes = |path: &PathBuf| {
            let metadata = fs::metadata(path).map_err(|e| unreadable(path, e))?;
            Ok(metadata.len())
        };
        self.weight_files()?.iter().map(bytes).sum()
    }

    /// BLAKE3 of [`Self::weight_files`], 64 hex digits.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn blake3(&self) -> Result<String, LanguageError> {
        let mut hasher = blake3::Hasher::new();
        for file in self.weight_files()? {
            add_file(&mut hasher, &file).map_err(|e| unreadable(&file, e))?;
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// Finds a base model: a name of `models/models.toml`, a GGUF file, a model's folder, a
/// `tokenizer.json`, or a repository of the Hugging Face hub. What the hub has is taken from its
/// cache, or fetched, as far as it is needed.
///
/// # Errors
/// When there is nothing of that name, or it is not installed, or cannot be fetched.
pub fn find(store: &ModelStore, name_or_path: &str, needs: Needs) -> Result<Base, LanguageError> {
    find_with(store, &Hub::from_environment(), name_or_path, needs)
}

/// As [`find`], with a hub of one's own.
///
/// # Errors
/// As [`find`].
pub fn find_with(
    store: &ModelStore,
    hub: &Hub,
    name_or_path: &str,
    needs: Needs,
) -> Result<Base, LanguageError> {
    let files = match named(store, name_or_path) {
        Some(base) => files_of_named(store, hub, base, needs)?,
        None => {
            let path = Path::new(name_or_path);
            match files_at(path)? {
                Some(files) => files,
                None if is_repository(name_or_path) => {
                    files_of_repository(store, hub, name_or_path, needs)?
                }
                None => {
                    let known = store.bases().iter().map(|base| base.name.as_str());
                    return Err(LanguageError::UnknownBase {
                        name: name_or_path.into(),
                        known: known.collect::<Vec<_>>().join(", "),
                        installed: installed(store, hub, needs),
                    });
                }
            }
        }
    };
    Ok(Base {
        name: name_or_path.into(),
        files,
    })
}

/// The repository on the Hugging Face hub of a base model; `None` for files of one's own.
pub fn repository(store: &ModelStore, base: &str) -> Option<String> {
    let is_repository = || base.split('/').count() == 2 && !base.starts_with('.');
    match named(store, base) {
        Some(named) => Some(named.repository.clone()),
        None => (is_repository() && !Path::new(base).exists()).then(|| base.to_owned()),
    }
}

fn named<'a>(store: &'a ModelStore, name: &str) -> Option<&'a NamedBase> {
    store.bases().iter().find(|base| base.name == name)
}

fn files_of_named(
    store: &ModelStore,
    hub: &Hub,
    base: &NamedBase,
    needs: Needs,
) -> Result<BaseFiles, LanguageError> {
    if let Some(files) = present(store, hub, base, needs) {
        return Ok(files);
    }
    match &base.asset {
        Some(asset) => Err(LanguageError::NotInstalled {
            name: base.name.clone(),
            asset: asset.clone(),
            installed: installed(store, hub, needs),
        }),
        None => files_of_repository(store, hub, &base.repository, needs),
    }
}

/// The files of a named base, if they are there without a download.
fn present(store: &ModelStore, hub: &Hub, base: &NamedBase, needs: Needs) -> Option<BaseFiles> {
    let asset = base.asset.as_deref();
    let file = asset.and_then(|asset| store.path(asset).ok());
    match file.filter(|file| file.is_file()) {
        Some(file) => Some(BaseFiles::Gguf(file)),
        None => hub.cached(&base.repository, needs).map(BaseFiles::Folder),
    }
}

fn files_of_repository(
    store: &ModelStore,
    hub: &Hub,
    repository: &str,
    needs: Needs,
) -> Result<BaseFiles, LanguageError> {
    let folder = match hub.cached(repository, needs) {
        Some(folder) => folder,
        None => {
            let fetched = hub.fetch(repository, needs);
            fetched.map_err(|reason| LanguageError::Hub {
                repository: repository.into(),
                reason,
                installed: installed(store, hub, needs),
            })?
        }
    };
    Ok(BaseFiles::Folder(folder))
}

/// What is at a path; `None` when nothing is.
fn files_at(path: &Path) -> Result<Option<BaseFiles>, LanguageError> {
    if path.is_dir() {
        if !path.join(TOKENIZER_FILE).is_file() {
            return Err(LanguageError::NoTokenizerInFolder { path: path.into() });
        }
        return Ok(Some(BaseFiles::Folder(path.into())));
    }
    if !path.is_file() {
        return Ok(None);
    }
    if gguf::is_gguf(path) {
        return Ok(Some(BaseFiles::Gguf(path.into())));
    }
    if path.extension().is_some_and(|ending| ending == "json") {
        return Ok(Some(BaseFiles::TokenizerJson(path.into())));
    }
    Err(LanguageError::NotGguf { path: path.into() })
}

/// Whether a name is laid out as `OWNER/NAME`, in the hub's own letters.
fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with(['.', '-']) && part.chars().all(is_letter)
    };
    name.split_once('/')
        .is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// Names of the bases that are there without a download, for error messages.
fn installed(store: &ModelStore, hub: &Hub, needs: Needs) -> String {
    let bases = store.bases().iter();
    let names: Vec<&str> = bases
        .filter(|base| present(store, hub, base, needs).is_some())
        .map(|base| base.name.as_str())
        .collect();
    if names.is_empty() {
        return "nothing".into();
    }
    names.join(", ")
}

fn unreadable(path: &Path, error: io::Error) -> LanguageError {
    LanguageError::Read {
        path: path.into(),
        reason: error.to_string(),
    }
}
