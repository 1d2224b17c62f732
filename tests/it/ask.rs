//! `posedata ask`, with a tiny model of random weights: what it says is nonsense, but what it is
//! shown is not.

use std::fs;
use std::path::Path;

use posedata::llama::{Adapter, LlamaConfig, LoraConfig, Precision, Projection, Weights};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::Dtype;
use serde_json::Value;

use crate::dataset::{folder_with_lake, query, shipped_recipes};
use crate::support::{posedata, stderr, stdout};
use crate::tiny_llama::TinyLlama;

/// Writes a tiny model that takes long texts into the folder `base`, and an adapter of it into the
/// folder `adapter`.
pub fn write_models(folder: &Path, new_b: impl Fn(&mut StdRng) -> f32) -> LlamaConfig {
    let mut model = TinyLlama::new();
    model.config["max_position_embeddings"] = 8192.into();
    let base = model.write(&folder.join("base"), Dtype::F32);
    let shape = Weights::open(&base, Precision::F32)
        .expect("a model")
        .config;
    let config = LoraConfig {
        rank: 4,
        alpha: 8.0,
        dropout: 0.0,
        projections: Projection::ATTENTION.to_vec(),
        uses_rslora: false,
    };
    let mut adapter = Adapter::new(config, &shape, 3);
    let mut random = StdRng::seed_from_u64(4);
    for pair in &mut adapter.pairs {
        pair.b.fill_with(|| new_b(&mut random));
    }
    adapter
        .save(&folder.join("adapter"), "base")
        .expect("an adapter");
    shape
}

fn folder() -> tempfile::TempDir {
    let folder = folder_with_lake();
    write_models(folder.path(), |random| random.random_range(-1.0..1.0));
    folder
}

/// Asks, and gives what the program writes to both channels.
fn ask(folder: &Path, question: &str, more: &[&str]) -> std::process::Output {
    let recipes = shipped_recipes();
    let recipe = match more.contains(&"--recipe") {
        true => &[][..],
        false => &["--recipe", "nearest"],
    };
    let mut arguments = vec!["ask", question, "--base", "./base", "--recipes", &recipes];
    arguments.extend(recipe);
    arguments.extend(["--max-tokens", "12"]);
    arguments.extend(more);
    posedata(folder, &arguments)
}

#[track_caller]
fn ask_json(folder: &Path, question: &str, more: &[&str]) -> Value {
    let output = ask(folder, question, &[more, &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

#[test]
fn the_table_is_what_the_lake_holds_of_those_frames() {
    let folder = folder();
    let scene = ["--video", "demo.mp4", "--from", "1.0", "--to", "2.5"];
    let question = "How far does my left knee move between 1.0 s and 2.5 s?";
    let answer = ask_json(folder.path(), question, &scene);
    let table = &answer["table"];
    assert_eq!(table["recipe"], "range_of_motion");
    assert_eq!(
        (&table["frame_start"], &table["frame_end"]),
        (&30.into(), &75.into())
    );
    let mut lines = table["data"].as_str().expect("a table").lines();
    assert_eq!(lines.next(), Some("time_secs,left_knee_deg"));
    let lines: Vec<&str> = lines.collect();
    assert!(
        lines.len() > 3 && lines[0].starts_with("1.00,"),
        "{lines:?}"
    );
    for line in lines {
        let (secs, angle) = line.split_once(',').expect("two cells");
        let sql = format!(
            "SELECT round(left_knee_deg)::INTEGER AS angle FROM metrics
             JOIN videos USING (video_id)
             WHERE file_name = 'demo.mp4' AND person = 0 AND round(time_secs, 2) = {secs}"
        );
        let rows = query(folder.path(), &sql);
        assert_eq!(rows[0]["angle"].to_string(), angle, "{line}");
    }
}

#[test]
fn where_the_steps_do_not_end_there_is_no_answer() {
    let folder = folder();
    // A model of random weights writes no steps, and no line that ends them.
    let scene = ["--video", "demo.mp4", "--from", "1.0", "--to", "2.5"];
    let question = "How far does my left knee move between 1.0 s and 2.5 s?";
    let answer = ask_json(folder.path(), question, &scene);
    assert_eq!(answer["table"]["has_work"], true);
    assert_eq!(answer["has_answer"], false);
    assert!(answer["work"].is_null());
    let output = ask(folder.path(), question, &scene);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no line that begins with `Answer:`"),
        "{}",
        stderr(&output)
    );
    // It is shown all the same, and moves no cursor.
    let text = answer["answer"].as_str().expect("a text");
    assert_eq!(
        stdout(&output).trim_end(),
        posedata::text::lines(text).trim_end()
    );
    let value = "What is the left knee angle at 1.50 s?";
    let answer = ask_json(
        folder.path(),
        value,
        &["--video", "demo.mp4", "--recipe", "read_value"],
    );
    assert_eq!(
        (&answer["table"]["has_work"], &answer["has_answer"]),
        (&false.into(), &true.into())
    );
}

#[test]
fn the_question_chooses_the_table() {
    let folder = folder();
    let scene = ["--video", "single_cam01.mp4"];
    for (question, recipe, shown) in [
        (
            "Which landmarks can I not rely on?",
            "unreliable_landmarks",
            "landmark,visibility",
        ),
        (
            "Describe the posture.",
            "describe_posture",
            "trunk_lean_deg",
        ),
        (
            "What was the largest right elbow angle?",
            "largest_or_smallest",
            "right_elbow_deg",
        ),
        (
            "How fast do the hips move on average?",
            "speed_over_window",
            "center_speed_torso_per_sec",
        ),
    ] {
        let table = &ask_json(folder.path(), question, &scene)["table"];
        assert_eq!(table["recipe"], recipe, "{question}");
        let data = table["data"].as_str().expect("a table");
        assert!(data.contains(shown), "{data}");
    }
    // The left knee is seen too rarely for its range to be told; another table shows it all the same.
    let demo = ["--video", "demo.mp4"];
    let question = "What is the range of motion of the left knee?";
    let table = &ask_json(folder.path(), question, &demo)["table"];
    let data = table["data"].as_str().expect("a table");
    assert!(data.contains("left_knee_deg"), "{data}");
    let chosen = [&scene[..], &["--recipe", "summarise_clip"]].concat();
    let table = &ask_json(folder.path(), "Well?", &chosen)["table"];
    assert_eq!(table["recipe"], "summarise_clip");
}

#[test]
fn a_time_that_the_question_names_has_a_row() {
    let folder = folder();
    let video = ["--video", "demo.mp4"];
    for question in [
        "What is the left knee angle at 1.50 s?",
        "What is the left knee angle at 6.80 s?",
    ] {
        let table = &ask_json(folder.path(), question, &video)["table"];
        // Not the recipe whose tables lack what it asks for.
        assert_eq!(table["recipe"], "read_value", "{question}");
        let data = table["data"].as_str().expect("a table");
        let (header, lines) = data.split_once('\n').expect("rows");
        assert!(header.contains("left_knee_deg"), "{data}");
        let mut times = lines.lines().filter_map(|line| line.split(',').next());
        assert!(times.any(|secs| question.contains(secs)), "{data}");
    }
}

#[test]
fn the_answer_goes_to_standard_output_and_the_rest_elsewhere() {
    let folder = folder();
    let question = "What is the range of motion of the left knee?";
    let video = ["--video", "demo.mp4", "--from", "1.5", "--to", "2.5"];
    let output = ask(folder.path(), question, &video);
    assert!(output.status.success(), "{}", stderr(&output));
    let answer = ask_json(folder.path(), question, &video);
    // What a model of random weights says may hold what a terminal would obey.
    let text = posedata::text::lines(answer["answer"].as_str().expect("a text"));
    let text = format!("{text}\n");
    assert_eq!(stdout(&output), text);
    assert!(stderr(&output).contains("time_secs,left_knee_deg\n"));
    assert!(stderr(&output).contains("tokens/s"));
    let quiet = ask(
        folder.path(),
        question,
        &[&video[..], &["--quiet"]].concat(),
    );
    // That this base writes no answer behind its steps is told to whoever wants quiet, too.
    let told = stderr(&quiet);
    assert_eq!(stdout(&quiet), text);
    assert!(
        told.starts_with("no answer: ") && told.lines().count() == 1,
        "{told}"
    );
}

#[test]
fn adapters_precision_and_chance_decide_about_the_answer() {
    let folder = folder();
    let answer = |more: &[&str]| ask_json(folder.path(), "Well?", more)["answer"].clone();
    let base = answer(&[]);
    assert_eq!(base, answer(&[]));
    assert_ne!(base, answer(&["--adapter", "adapter"]));
    // An adapter that may be of another model of the same shape is taken, and told of.
    let told = || stderr(&ask(folder.path(), "Well?", &["--adapter", "adapter"]));
    assert!(!told().contains("was made for"));
    let config = folder.path().join("adapter/adapter_config.json");
    let text = fs::read_to_string(&config).expect("a file");
    fs::write(&config, text.replace("\"base\"", "\"./other\"")).expect("a file");
    let told = told();
    assert!(
        told.contains("hint: the adapter was made for ./other"),
        "{told}"
    );
    for precision in ["bf16", "quantised"] {
        let output = ask(folder.path(), "Well?", &["--precision", precision]);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let warm = |seed: &str| answer(&["--temperature", "2", "--top-p", "0.9", "--seed", seed]);
    assert_eq!(warm("1"), warm("1"));
    assert_ne!(warm("1"), warm("2"));
}

#[test]
fn what_cannot_be_asked_is_an_error_that_helps() {
    let folder = folder();
    let narrow = TinyLlama::of_width(32);
    narrow.write(&folder.path().join("narrow"), Dtype::F32);
    let video = ["--video", "demo.mp4"];
    for (more, words) in [
        (
            &["--video", "dmeo.mp4"][..],
            "no video in the lake is dmeo.mp4; did you mean demo.mp4?",
        ),
        (
            &[&video[..], &["--from", "60"]].concat(),
            "change --from and --to",
        ),
        (
            &[&video[..], &["--from", "2", "--to", "1"]].concat(),
            "change --from and --to",
        ),
        (
            &[&video[..], &["--person", "7"]].concat(),
            "person 7 is not in demo.mp4; there are 0",
        ),
        (
            &[&video[..], &["--recipe", "reading"]].concat(),
            "read_value",
        ),
        (&["--from", "1"], "--video"),
        (&["--adapter", "base"], "adapter_config.json"),
        (
            &["--adapter", "adapter", "--base", "./narrow"],
            "does not fit the base model './narrow'",
        ),
        (
            &["--base", "./nothing"],
            "there is no model called './nothing'",
        ),
        (
            &["--memory-limit", "1000B"],
            "take --precision bf16 or quantised",
        ),
        (&["--temperature", "0"], "a number above 0"),
    ] {
        let mut arguments = vec!["ask", "How far does the left knee move?"];
        let recipes = shipped_recipes();
        arguments.extend(["--recipes", &recipes]);
        if !more.contains(&"--recipe") {
            arguments.extend(["--recipe", "nearest"]);
        }
        if !more.contains(&"--base") {
            arguments.extend(["--base", "./base"]);
        }
        arguments.extend(more);
        let output = posedata(folder.path(), &arguments);
        assert!(!output.status.success(), "{more:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}
