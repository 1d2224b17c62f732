//! Installed models: found, checked, and refused when they are not what they should be.

use std::fs;

use posedata::models::AssetState;

use crate::support::{command, installed, stderr, stdout, store};

#[test]
fn what_make_setup_installs_is_good() {
    for name in ["detector", "full", "onnxruntime", "ducklake", "smollm2"] {
        let status = store().status();
        let asset = status.iter().find(|a| a.name == name).expect("an asset");
        assert_eq!(asset.state, AssetState::Good, "{name}; run `make setup`");
    }
}

#[test]
fn a_changed_file_is_called_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = folder.path().join("models");
    fs::create_dir(&models).expect("a folder");
    let library = installed("ducklake");
    let copy = models.join(library.file_name().expect("a name"));
    fs::write(&copy, "not the extension").expect("a file");
    let output = command(folder.path())
        .env("POSEDATA_MODELS", &models)
        .args(["models", "--json"])
        .output()
        .expect("the program starts");
    let listed: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let state = |name: &str| {
        let assets = listed.as_array().expect("a list").iter();
        let asset = assets
            .clone()
            .find(|a| a["name"] == name)
            .expect("an asset");
        asset["state"].clone()
    };
    assert_eq!(state("ducklake"), "wrong_hash");
    assert_eq!(state("full"), "missing");
    let query = command(folder.path())
        .env("POSEDATA_MODELS", &models)
        .args(["query", "-e", "select 1"])
        .output()
        .expect("the program starts");
    assert_eq!(query.status.code(), Some(1));
    assert!(
        stderr(&query).contains("posedata models add ducklake"),
        "{}",
        stderr(&query)
    );
}

#[test]
fn a_library_that_is_no_onnx_runtime_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::clip(folder.path(), "wall.mp4", "gray");
    fs::write(folder.path().join("text.so"), "no library").expect("a file");
    // The C library's mathematics is a library, but another one.
    for library in ["text.so", "/lib/x86_64-linux-gnu/libm.so.6", "missing.so"] {
        let output = command(folder.path())
            .env("ORT_DYLIB_PATH", library)
            .args(["ingest", "wall.mp4", "--provider", "cpu"])
            .output()
            .expect("the program starts");
        assert_eq!(
            output.status.code(),
            Some(1),
            "{library}: {}",
            stderr(&output)
        );
        let told = stderr(&output);
        assert!(
            told.contains("make setup") && told.contains(library),
            "{library}: {told}"
        );
    }
}

/// A `python3` on the path that acts as pip does, and leaves a wheel with other content.
#[test]
fn a_download_with_the_wrong_hash_installs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("python3");
    let script = "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\n\
                  echo 'other bytes' > \"$dest/ducklake.whl\"\n";
    fs::write(&program, script).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("permissions");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let models = folder.path().join("models");
    let output = command(folder.path())
        .env("POSEDATA_MODELS", &models)
        .env("PATH", path)
        .args(["models", "add", "ducklake"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.contains("wrong sha256") && told.contains("duckdb-extension-ducklake"),
        "{told}"
    );
    assert_eq!(fs::read_dir(&models).expect("the folder").count(), 0);
}

#[test]
fn unknown_names_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = crate::support::posedata(folder.path(), &["models", "add", "enormous"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("enormous"), "{}", stderr(&output));
}
