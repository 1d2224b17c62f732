//! The models and libraries that posedata needs but does not contain: where they come from, where
//! they are kept, whether they are sound.

mod fetch;
mod tuning;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::halves::Half;
use crate::hashing::sha256_of_file;
use crate::lake::Extensions;
use crate::pose::{ModelFiles, Provider, Skeleton};
use crate::text::one_line;
pub use fetch::{Installed, add};
pub use tuning::{RunTimes, Tuning};

/// The manifest that this posedata was built with.
const MANIFEST: &str = include_str!("../../models/models.toml");

/// Environment variable that names another ONNX Runtime library.
const RUNTIME_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Why something cannot be found, fetched or installed.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// The manifest in the program is not valid TOML, or has a key too many or too few.
    #[error("the manifest models/models.toml is wrong: {0}")]
    Manifest(#[from] toml::de::Error),
    /// No asset, group or landmark model has that name.
    #[error("nothing is called '{name}'; `posedata models` lists what there is")]
    Unknown {
        /// As it was given.
        name: String,
    },
    /// It is of use to the half of the program that is not there.
    #[error(
        "{name} is for {half}, which this program was built without; take a program with both halves, or build with `--features {half}`"
    )]
    OtherHalf {
        /// As it was given.
        name: String,
        /// The half that it is for.
        half: Half,
    },
    /// Nothing says where the user's data folder is.
    #[error("neither XDG_DATA_HOME nor HOME is set; give --models FOLDER")]
    NoHome,
    /// A package manager is not there to fetch with.
    #[error("cannot run {program} ({reason}); install it, for example with `make setup`")]
    NoProgram {
        /// `python3` or `npm`.
        program: String,
        /// What the program or the system says.
        reason: String,
    },
    /// The package manager failed: no network, no such version, no room.
    #[error("{program} cannot download {package}: {reason}")]
    Download {
        /// `python3` or `npm`.
        program: String,
        /// Name and version.
        package: String,
        /// What the program or the system says.
        reason: String,
    },
    /// What was fetched is not what the manifest promises, and was thrown away.
    #[error(
        "{file} has the wrong sha256 and was not installed: expected {expected}, got {found}; try again, or report it"
    )]
    WrongHash {
        /// The package, or the file in it.
        file: String,
        /// The manifest's SHA-256, in hexadecimal digits.
        expected: String,
        /// That of what came.
        found: String,
    },
    /// The token was cancelled while a package was fetched.
    #[error("interrupted")]
    Cancelled,
    /// The package is whole, but a file is not in it.
    #[error("{package} does not hold {member}")]
    NoMember {
        /// Its name.
        package: String,
        /// Path within the package.
        member: String,
    },
    /// The package is no archive of its kind.
    #[error("{package} cannot be read ({reason}); try again, or report it")]
    Archive {
        /// Its name.
        package: String,
        /// What the program or the system says.
        reason: String,
    },
    /// A pose model is not what the converter knows.
    #[error("cannot convert {name} to ONNX: {reason}")]
    Convert {
        /// The asset's name.
        name: String,
        /// What the program or the system says.
        reason: String,
    },
    /// The folder of models cannot be written to.
    #[error("cannot write ({reason}): {path}")]
    Write {
        /// The file or folder that was to be made.
        path: PathBuf,
        /// What the program or the system says.
        reason: String,
    },
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Registry {
    Pypi,
    Npm,
}

impl Registry {
    fn name(self) -> &'static str {
        match self {
            Self::Pypi => "PyPI",
            Self::Npm => "npm",
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    registry: Registry,
    version: String,
    sha256: String,
    python_version: Option<String>,
    abi: Option<String>,
    platform: Option<String>,
}

/// What a converted model is for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    Detector,
    Landmarker,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Onnx {
    role: Role,
    file: String,
    sha256: String,
}

/// A file out of a package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asset {
    name: String,
    group: String,
    /// `None`: the lake needs it, which both halves have.
    half: Option<Half>,
    about: String,
    package: String,
    member: String,
    sha256: String,
    /// Of what is looked at each time that it is used, in hexadecimal digits.
    blake3: Option<String>,
    licence: String,
    file: String,
    onnx: Option<Onnx>,
}

impl Asset {
    /// The half of the program that it is for, where this program does not have it.
    fn missing_half(&self) -> Option<Half> {
        self.half.filter(|half| !half.is_built_in())
    }
}

/// A language model that has a name of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedBase {
    /// As `--base` takes it: `smollm2`.
    pub name: String,
    /// What installs it; `None` when only the hub has it.
    pub asset: Option<String>,
    /// Its repository on the Hugging Face hub.
    pub repository: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    packages: std::collections::BTreeMap<String, Package>,
    assets: Vec<Asset>,
    bases: Vec<NamedBase>,
}

/// Whether an installed file is what the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssetState {
    /// The file is there, with the manifest's SHA-256.
    Good,
    /// There is a file of that name with other content.
    WrongHash,
    /// There is no such file.
    Missing,
}

/// One line of `posedata models`.
#[derive(Clone, Debug, Serialize)]
pub struct AssetStatus {
    /// As `posedata models add` and `path` take it.
    pub name: String,
    /// What installs it together with others.
    pub group: String,
    /// One line for people: what it is for.
    pub about: String,
    /// Registry, package and version.
    pub source: String,
    /// SPDX expression of the terms under which it comes.
    pub licence: String,
    /// Of the file as it is fetched, in hexadecimal digits; pose models are converted after that.
    pub sha256: String,
    /// Found by hashing the file just now.
    pub state: AssetState,
    /// Where it is, or would be, installed.
    #[serde(serialize_with = "crate::paths::as_text")]
    pub path: PathBuf,
}

/// The folder of installed models, and the manifest of what can be in it.
pub struct ModelStore {
    folder: PathBuf,
    manifest: Manifest,
}

impl ModelStore {
    /// A store in `folder`, or in the user's data folder.
    ///
    /// # Errors
    /// When no folder is given and the environment names none.
    pub fn new(folder: Option<PathBuf>) -> Result<Self, ModelsError> {
        let folder = match folder {
            Some(folder) => folder,
            None => default_folder()?,
        };
        Ok(Self {
            folder,
            manifest: toml::from_str(MANIFEST)?,
        })
    }

    /// Where everything is installed; it need not exist yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where an asset is, or would be, installed.
    ///
    /// # Errors
    /// When nothing has that name.
    pub fn path(&self, name: &str) -> Result<PathBuf, ModelsError> {
        Ok(self.folder.join(&self.asset(name)?.file))
    }

    /// SHA-256 of an asset as the manifest gives it.
    ///
    /// # Errors
    /// When nothing has that name.
    pub fn sha256(&self, name: &str) -> Result<&str, ModelsError> {
        Ok(&self.asset(name)?.sha256)
    }

    /// The DuckLake extension.
    ///
    /// # Errors
    /// When the manifest lacks it.
    pub fn ducklake_extension(&self) -> Result<PathBuf, ModelsError> {
        self.path("ducklake")
    }

    /// The extensions of DuckDB that lakes need, of which the manifest knows every byte.
    ///
    /// # Errors
    /// When the manifest lacks DuckLake's.
    pub fn lake_extensions(&self) -> Result<Extensions, ModelsError> {
        let extensions = Extensions::at(self.ducklake_extension()?);
        let assets = self.manifest.assets.iter();
        Ok(
            assets.fold(extensions, |extensions, asset| match &asset.blake3 {
                Some(blake3) => extensions.with_known(&asset.name, blake3),
                None => extensions,
            }),
        )
    }

    /// The library of ONNX Runtime.
    ///
    /// # Errors
    /// When the manifest lacks it.
    pub fn onnx_runtime(&self) -> Result<PathBuf, ModelsError> {
        match std::env::var_os(RUNTIME_VARIABLE) {
            Some(path) => Ok(PathBuf::from(path)),
            None => self.path("onnxruntime"),
        }
    }

    /// The library of ONNX Runtime that a provider is in.
    ///
    /// # Errors
    /// When the manifest lacks it.
    pub fn runtime_of(&self, provider: Provider) -> Result<PathBuf, ModelsError> {
        match provider {
            Provider::OpenVino if std::env::var_os(RUNTIME_VARIABLE).is_none() => {
                self.path("openvino-runtime")
            }
            Provider::Native | Provider::Cpu | Provider::OpenVino | Provider::Cuda => {
                self.onnx_runtime()
            }
        }
    }

    /// The language models that have names of their own.
    pub fn bases(&self) -> &[NamedBase] {
        &self.manifest.bases
    }

    /// The files that pose estimation with a landmark model needs.
    ///
    /// # Errors
    /// When nothing has that name, or it is no landmark model.
    pub fn pose_files(&self, landmarker: &str) -> Result<ModelFiles, ModelsError> {
        self.pose_files_for(landmarker, Provider::usual())
    }

    /// The same for a provider, which may need a runtime of its own.
    ///
    /// # Errors
    /// As [`Self::pose_files`].
    pub fn pose_files_for(
        &self,
        landmarker: &str,
        provider: Provider,
    ) -> Result<ModelFiles, ModelsError> {
        Ok(ModelFiles {
            runtime: self.runtime_of(provider)?,
            provider,
            detector: self.converted("detector", Role::Detector)?,
            landmarker: self.converted(landmarker, Role::Landmarker)?,
            landmarker_name: landmarker.into(),
            skeleton: None,
        })
    }

    /// The files that pose estimation with a top-down model of the user's needs: its landmarks are
    /// what the skeleton says.
    ///
    /// # Errors
    /// When the manifest lacks the detector.
    pub fn pose_files_of(
        &self,
        model: &Path,
        skeleton: Arc<Skeleton>,
        provider: Provider,
    ) -> Result<ModelFiles, ModelsError> {
        let stem = model.file_stem().unwrap_or(model.as_os_str());
        Ok(ModelFiles {
            runtime: self.runtime_of(provider)?,
            provider,
            detector: self.converted("detector", Role::Detector)?,
            landmarker: model.into(),
            landmarker_name: one_line(&stem.to_string_lossy()).into_owned(),
            skeleton: Some(skeleton),
        })
    }

    /// The ONNX file of a pose model.
    fn converted(&self, name: &str, role: Role) -> Result<PathBuf, ModelsError> {
        let onnx = self.asset(name)?.onnx.as_ref().filter(|o| o.role == role);
        onnx.map(|onnx| self.folder.join(&onnx.file))
            .ok_or_else(|| ModelsError::Unknown { name: name.into() })
    }

    /// Names of the landmark models that are installed.
    pub fn installed_landmarkers(&self) -> Vec<&str> {
        let assets = self.manifest.assets.iter();
        assets
            .filter(|asset| {
                let onnx = asset.onnx.as_ref().filter(|o| o.role == Role::Landmarker);
                onnx.is_some_and(|onnx| self.folder.join(&onnx.file).is_file())
            })
            .map(|asset| asset.name.as_str())
            .collect()
    }

    /// The names of what pose estimation with a landmark model (`None` for one of the user's) and the
    /// lake need, but is not there. Only looks whether the files exist: this is asked at every start.
    ///
    /// # Errors
    /// When nothing has the landmark model's name.
    pub fn missing_for_ingest(&self, landmarker: Option<&str>) -> Result<Vec<String>, ModelsError> {
        let mut missing = Vec::new();
        let names = ["detector"].into_iter().chain(landmarker);
        for name in names.chain(["onnxruntime", "ducklake"]) {
            let asset = self.asset(name)?;
            let file = match &asset.onnx {
                Some(onnx) => self.folder.join(&onnx.file),
                None if name == "onnxruntime" => self.onnx_runtime()?,
                None => self.folder.join(&asset.file),
            };
            // The user's own library is the user's to find.
            let is_own = name == "onnxruntime" && std::env::var_os(RUNTIME_VARIABLE).is_some();
            if !is_own && !file.is_file() {
                missing.push(name.to_owned());
            }
        }
        Ok(missing)
    }

    /// Every asset that is of use to this program, with its state; reads and hashes what is
    /// installed, on all cores.
    pub fn status(&self) -> Vec<AssetStatus> {
        let assets = self.manifest.assets.par_iter();
        let useful = assets.filter(|asset| asset.missing_half().is_none());
        useful.map(|asset| self.asset_status(asset)).collect()
    }

    fn asset_status(&self, asset: &Asset) -> AssetStatus {
        let version = self.manifest.packages.get(&asset.package);
        let source = match version {
            Some(package) => {
                let registry = package.registry.name();
                format!("{registry} {} {}", asset.package, package.version)
            }
            None => asset.package.clone(),
        };
        AssetStatus {
            name: asset.name.clone(),
            group: asset.group.clone(),
            about: asset.about.clone(),
            source,
            licence: asset.licence.clone(),
            sha256: asset.sha256.clone(),
            state: self.state(asset),
            path: self.folder.join(&asset.file),
        }
    }

    fn state(&self, asset: &Asset) -> AssetState {
        let mut files = vec![(&asset.file, &asset.sha256)];
        files.extend(asset.onnx.iter().map(|onnx| (&onnx.file, &onnx.sha256)));
        for (file, sha256) in files {
            match sha256_of_file(&self.folder.join(file)) {
                Ok(found) if found == *sha256 => {}
                Ok(_) => return AssetState::WrongHash,
                Err(_) => return AssetState::Missing,
            }
        }
        AssetState::Good
    }

    fn asset(&self, name: &str) -> Result<&Asset, ModelsError> {
        let mut assets = self.manifest.assets.iter();
        let asset = assets.find(|asset| asset.name == name);
        let asset = asset.ok_or_else(|| ModelsError::Unknown { name: name.into() })?;
        match asset.missing_half() {
            None => Ok(asset),
            Some(half) => Err(ModelsError::OtherHalf {
                name: name.into(),
                half,
            }),
        }
    }

    /// The assets that a name or the name of a group stands for, as far as they are of use to this
    /// program.
    fn select(&self, name: &str) -> Result<Vec<&Asset>, ModelsError> {
        let assets = self.manifest.assets.iter();
        let (useful, useless): (Vec<&Asset>, Vec<&Asset>) = assets
            .filter(|asset| asset.name == name || asset.group == name)
            .partition(|asset| asset.missing_half().is_none());
        match useless.first().and_then(|asset| asset.missing_half()) {
            Some(half) if useful.is_empty() => Err(ModelsError::OtherHalf {
                name: name.into(),
                half,
            }),
            _ if useful.is_empty() => Err(ModelsError::Unknown { name: name.into() }),
            _ => Ok(useful),
        }
    }
}

fn default_folder() -> Result<PathBuf, ModelsError> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from).filter(|path| path.is_absolute())
    };
    variable("XDG_DATA_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("posedata"))
        .ok_or(ModelsError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_names_a_package_of_the_manifest() {
        let store = ModelStore::new(Some("nowhere".into())).expect("a manifest");
        for asset in &store.manifest.assets {
            assert!(
                store.manifest.packages.contains_key(&asset.package),
                "{}",
                asset.name
            );
            assert_eq!(asset.sha256.len(), 64, "{}", asset.name);
        }
    }

    #[test]
    fn every_base_that_names_an_asset_has_one() {
        let store = ModelStore::new(Some("nowhere".into())).expect("a manifest");
        assert!(!store.bases().is_empty());
        for base in store.bases() {
            assert!(base.repository.contains('/'), "{}", base.name);
            if let Some(name) = &base.asset {
                let mut assets = store.manifest.assets.iter();
                let asset = assets.find(|asset| asset.name == *name).expect("an asset");
                assert_eq!(asset.half, Some(Half::Language));
            }
        }
    }

    #[test]
    fn what_only_videos_need_is_not_there_without_them() {
        let store = ModelStore::new(Some("nowhere".into())).expect("a manifest");
        let names = |assets: &[AssetStatus]| -> Vec<String> {
            assets.iter().map(|asset| asset.name.clone()).collect()
        };
        let listed = names(&store.status());
        for (name, half) in [
            ("full", Some(Half::Video)),
            ("onnxruntime", Some(Half::Video)),
            ("demo", Some(Half::Video)),
            ("smollm2", Some(Half::Language)),
            ("ducklake", None),
            ("httpfs", None),
        ] {
            let is_useful = half.is_none_or(Half::is_built_in);
            assert_eq!(listed.iter().any(|own| own == name), is_useful, "{name}");
            assert_eq!(store.path(name).is_ok(), is_useful, "{name}");
            assert_eq!(store.select(name).is_ok(), is_useful, "{name}");
            if let (false, Some(half), Err(error)) = (is_useful, half, store.select(name)) {
                assert!(error.to_string().contains(half.name()), "{error}");
            }
        }
        let base = store.select("base").expect("a group");
        assert!(base.iter().all(|asset| listed.contains(&asset.name)));
        assert!(store.select("nothing").is_err());
    }

    #[test]
    fn nothing_is_installed_in_an_empty_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ModelStore::new(Some(folder.path().into())).expect("a store");
        assert!(
            store
                .status()
                .iter()
                .all(|s| s.state == AssetState::Missing)
        );
    }
}
