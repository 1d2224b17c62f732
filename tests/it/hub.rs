//! Weights from the Hugging Face hub: a server of the tests serves a tiny random Llama.

use std::fs;
use std::path::Path;

use posedata::language::bases::{self, Base, BaseFiles};
use posedata::language::{Hub, LanguageError, Needs, Network};
use posedata::llama::{Precision, Weights};
use safetensors::Dtype;

use crate::hub_server::{COMMIT, HubServer};
use crate::language::{empty_store, no_hub};
use crate::support::{command, stderr};
use crate::tiny_llama::TinyLlama;

fn find(folder: &Path, server: &HubServer, needs: Needs) -> Result<Base, LanguageError> {
    let endpoint = Some(server.endpoint.clone());
    let hub = Hub::new(folder.join("hub"), endpoint, Network::Allowed);
    bases::find_with(&empty_store(folder), &hub, "tests/tiny", needs)
}

/// Files that were sent.
fn sent(server: &HubServer) -> Vec<String> {
    let requests = server.requests().into_iter();
    let gets = requests.filter_map(|request| {
        let path = request.strip_prefix("GET /tests/tiny/resolve/main/")?;
        Some(path.to_owned())
    });
    gets.collect()
}

#[test]
fn weights_are_fetched_once_and_only_when_they_are_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = TinyLlama::new();
    let server = HubServer::start(model.files(Dtype::F32));
    find(folder.path(), &server, Needs::Tokenizer).expect("a base");
    assert!(sent(&server).contains(&"tokenizer.json".to_owned()));
    let requests = server.requests();
    let is_of_weights =
        |path: &String| path.contains("safetensors") || path.ends_with("/config.json");
    assert!(!requests.iter().any(is_of_weights), "{requests:?}");
    let base = find(folder.path(), &server, Needs::Weights).expect("a base");
    let snapshot = folder
        .path()
        .join("hub/models--tests--tiny/snapshots")
        .join(COMMIT);
    assert_eq!(base.files, BaseFiles::Folder(snapshot));
    let weights = Weights::open(&base, Precision::F32).expect("weights");
    let (_, embedding) = &model.tensors["model.embed_tokens.weight"];
    assert_eq!(&weights.embedding.to_f32().expect("floats"), embedding);
    assert_eq!(weights.layers.len(), 2);

    let requests = server.requests();
    let again = find(folder.path(), &server, Needs::Weights).expect("a base");
    assert_eq!(again, base);
    assert_eq!(server.requests(), requests, "the cache was not used");
}

#[test]
fn shards_are_fetched_all_and_one_that_is_missing_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HubServer::start(TinyLlama::new().sharded_files(Dtype::BF16));
    let base = find(folder.path(), &server, Needs::Weights).expect("a base");
    Weights::open(&base, Precision::Bf16).expect("weights");
    let shard = "model-00002-of-00002.safetensors";
    fs::remove_file(base.files.path().join(shard)).expect("a shard");
    let before = server.requests().len();
    let base = find(folder.path(), &server, Needs::Weights).expect("a base");
    Weights::open(&base, Precision::Bf16).expect("weights");
    let requests = server.requests().split_off(before);
    assert!(
        requests.iter().any(|request| request.contains(shard)),
        "{requests:?}"
    );
}

#[test]
fn a_repository_of_pickles_is_refused_and_they_are_not_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = TinyLlama::new().files(Dtype::F32);
    files.retain(|(name, _)| !name.ends_with(".safetensors"));
    files.push(("pytorch_model.bin".into(), b"a pickle".to_vec()));
    let server = HubServer::start(files);
    let error = find(folder.path(), &server, Needs::Weights).expect_err("pickles");
    let error = error.to_string();
    assert!(
        error.contains("pickled weights are never loaded"),
        "{error}"
    );
    assert!(!sent(&server).contains(&"pytorch_model.bin".to_owned()));
    find(folder.path(), &server, Needs::Tokenizer).expect("its tokenizer");
}

#[test]
fn an_index_that_leads_out_of_the_repository_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = TinyLlama::new().sharded_files(Dtype::F32);
    for (name, bytes) in &mut files {
        if name.ends_with("index.json") {
            *bytes =
                br#"{"weight_map": {"lm_head.weight": "../../other/model.safetensors"}}"#.to_vec();
        }
    }
    let server = HubServer::start(files);
    let error = find(folder.path(), &server, Needs::Weights).expect_err("a way out");
    assert!(
        error
            .to_string()
            .contains("is no safetensors file of the same folder"),
        "{error}"
    );
}

#[test]
fn without_a_network_a_tokenizer_in_the_cache_is_no_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HubServer::start(TinyLlama::new().files(Dtype::F32));
    find(folder.path(), &server, Needs::Tokenizer).expect("a base");
    let hub = no_hub(folder.path());
    let find = |needs| bases::find_with(&empty_store(folder.path()), &hub, "tests/tiny", needs);
    find(Needs::Tokenizer).expect("from the cache");
    let error = find(Needs::Weights).expect_err("no weights").to_string();
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    assert!(error.contains("(installed: nothing)"), "{error}");
}

#[test]
fn the_environment_says_where_the_hub_is_and_who_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = HubServer::start(TinyLlama::new().files(Dtype::F32));
    let home = folder.path().join("home");
    let run = |offline: &str| {
        let output = command(folder.path())
            .args(["dataset", "build", "--name", "d", "--base", "tests/tiny"])
            .env("HF_HOME", &home)
            .env("HF_ENDPOINT", &server.endpoint)
            .env("HF_TOKEN", "hf_of_the_tests")
            .env("HF_HUB_OFFLINE", offline)
            .env_remove("HF_HUB_CACHE")
            .output();
        stderr(&output.expect("the program starts"))
    };
    let error = run("1");
    assert!(
        error.contains("HF_HUB_OFFLINE forbids the network"),
        "{error}"
    );
    assert!(server.requests().is_empty());
    // There is no lake; the tokenizer comes first.
    let error = run("0");
    assert!(!error.contains("hf_of_the_tests"), "{error}");
    assert!(home.join("hub/models--tests--tiny").is_dir(), "{error}");
    let tokens = server.tokens();
    assert!(tokens.contains(&"Bearer hf_of_the_tests".to_owned()));
}
