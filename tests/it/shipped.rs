//! The program where nothing lies beside it: shipped queries and recipes, models that are missing.

use std::fs;

use crate::dataset::folder_with_lake;
use crate::lake::{clip, fixture};
use crate::support::{command, posedata, stderr, stdout};

const VELOCITY: &str = include_str!("../../queries/velocity.sql");

#[test]
fn a_shipped_query_runs_where_no_such_file_is() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let run = |name: &str| {
        let output = posedata(folder.path(), &["query", name, "--format", "csv"]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        stdout(&output)
    };
    let rows = run("queries/velocity.sql");
    assert!(rows.lines().count() > 1, "{rows}");
    assert_eq!(run("velocity"), rows);
    // A file of the user's own at that path wins.
    fs::create_dir(folder.path().join("queries")).expect("a folder");
    fs::write(
        folder.path().join("queries/velocity.sql"),
        "select 42 as mine",
    )
    .expect("a file");
    assert_eq!(run("queries/velocity.sql"), "mine\n42\n");
    let unknown = posedata(folder.path(), &["query", "queries/speed.sql"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("posedata queries"),
        "{}",
        stderr(&unknown)
    );
}

#[test]
fn shipped_recipes_make_a_dataset_where_no_such_folder_is() {
    let folder = folder_with_lake();
    let build = |name: &str| {
        let arguments = ["dataset", "build", "--name", name, "--examples", "40"];
        let output = posedata(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let examples = folder.path().join("llm_training_data").join(name);
        fs::read(examples.join("train.jsonl")).expect("examples")
    };
    let shipped = build("shipped");
    assert!(!shipped.is_empty());
    let copied = posedata(folder.path(), &["queries", "copy", "queries/instruct"]);
    assert!(copied.status.success(), "{}", stderr(&copied));
    assert!(
        folder
            .path()
            .join("queries/instruct/_shared.jinja")
            .is_file()
    );
    assert_eq!(build("copied"), shipped);
}

#[test]
fn copying_replaces_nothing_of_the_users_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &[&str]| posedata(folder.path(), arguments);
    let all = run(&["queries", "copy", "--to", "mine"]);
    assert!(all.status.success(), "{}", stderr(&all));
    let velocity = folder.path().join("mine/queries/velocity.sql");
    assert_eq!(fs::read_to_string(&velocity).expect("a copy"), VELOCITY);
    assert!(folder.path().join("mine/schemas/videos.sql").is_file());
    fs::write(&velocity, "select 1").expect("a change");
    fs::remove_file(folder.path().join("mine/queries/videos.sql")).expect("a file less");
    let again = run(&["queries", "copy", "--to", "mine"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("velocity.sql"),
        "{}",
        stderr(&again)
    );
    assert_eq!(fs::read_to_string(&velocity).expect("mine"), "select 1");
    assert!(!folder.path().join("mine/queries/videos.sql").exists());
    let forced = run(&["queries", "copy", "velocity", "--to", "mine", "--force"]);
    assert!(forced.status.success(), "{}", stderr(&forced));
    assert_eq!(fs::read_to_string(&velocity).expect("a copy"), VELOCITY);
}

#[test]
fn queries_are_listed_with_their_questions_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = posedata(folder.path(), &["queries"]);
    let text = stdout(&listed);
    assert!(text.contains("queries/velocity.sql"), "{text}");
    assert!(text.contains("How fast does a landmark move"), "{text}");
    assert!(text.contains("--param landmark=left_hip"), "{text}");
    assert!(text.contains("queries/instruct/read_value.sql"), "{text}");
    assert!(text.contains("schemas/videos.sql"), "{text}");
    let json = posedata(folder.path(), &["queries", "--json"]);
    let files: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert!(files.as_array().is_some_and(|files| files.len() > 40));
    let shown = posedata(folder.path(), &["queries", "show", "velocity"]);
    assert_eq!(stdout(&shown), VELOCITY);
    let unknown = posedata(folder.path(), &["queries", "show", "speed"]);
    assert_eq!(unknown.status.code(), Some(1));
}

/// Standard input is no terminal here, so nobody can be asked.
#[test]
fn ingest_without_models_names_them_and_how_to_fetch_them() {
    let folder = tempfile::tempdir().expect("a folder");
    clip(folder.path(), "wall.mp4", "gray");
    let output = command(folder.path())
        .env("POSEDATA_MODELS", folder.path().join("empty"))
        .args(["ingest", "wall.mp4"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    let command = "posedata models add detector full onnxruntime ducklake";
    assert!(told.contains(command) && told.contains("--yes"), "{told}");
    assert!(!folder.path().join("lake").exists());
}

#[test]
fn man_pages_and_completions_tell_of_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("man1")).expect("a folder");
    let man = posedata(folder.path(), &["man", "man1"]);
    assert!(man.status.success(), "{}", stderr(&man));
    let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name));
    assert!(page("posedata.1").expect("a page").contains("posedata"));
    let ingest = page("posedata-ingest.1").expect("a page");
    assert!(ingest.contains("pose\\-model"), "{ingest}");
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&posedata(folder.path(), &["completions", shell]));
        assert!(script.contains("contact-sheet"), "{shell}");
    }
}
