//! `posedata train`: a tiny model learns, is killed, goes on; what is refused; what others read.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use posedata::lake::LakePaths;
use posedata::llama::{Adapter, Checkpointing, LoraConfig, Precision, Projection, Weights};
use posedata::sync::Cancellation;
use posedata::train::checkpoint::CheckpointKind;
use posedata::train::{
    AdamWConfig, Decay, Evaluation, Length, OnExisting, Order, Schedule, Step, TrainConfig,
    TrainObserver, Warmup,
};
use posedata::training::{
    DeviceKind, Export, Plan, Recorded, Trained, TrainingConfig, TrainingObserver,
};
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::lake::make_lake;
use crate::support::{command, posedata, stderr, stdout, store};
use crate::tiny_llama::{TinyLlama, base_of};

/// Questions with answers that follow from them, and a model that knows nothing.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    TinyLlama::new().write(&folder.path().join("base"), Dtype::F32);
    write_data(&folder.path().join("data.jsonl"), "after");
    folder
}

pub fn write_data(path: &Path, word: &str) {
    let line = |i: usize| {
        let (question, answer) = (format!("{word} {i}?"), format!("{}", i + 1));
        json!({"id": format!("q{i}"), "messages": [
            {"role": "user", "content": question}, {"role": "assistant", "content": answer}
        ]})
        .to_string()
            + "\n"
    };
    fs::write(path, (0..40).map(line).collect::<String>()).expect("a file");
}

/// Arguments of a short run with a high learning rate.
pub fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let always = [
        "train",
        "--base",
        "base",
        "--dataset",
        "data.jsonl",
        "--name",
        "tiny",
        "--lr",
        "0.01",
        "--lora-dropout",
        "0.1",
        "--batch-size",
        "8",
        "--precision",
        "f32",
        "--tokens-per-microbatch",
        "100",
    ];
    [&always[..], more].concat()
}

fn train(folder: &Path, more: &[&str]) -> Output {
    posedata(folder, &arguments(more))
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).expect("JSON")
}

fn run_folder(folder: &Path) -> PathBuf {
    folder.join("llm_models/tiny")
}

/// The lines of metrics.jsonl without times.
fn numbers(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run_folder(folder).join("metrics.jsonl")).expect("a file");
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let fields = line.as_object_mut().expect("an object");
        fields.retain(|name, _| !name.ends_with("secs") && !name.ends_with("per_sec"));
        line
    });
    lines.collect()
}

#[test]
fn a_tiny_model_learns_and_its_folder_holds_what_others_read() {
    let folder = workspace();
    let folder = folder.path();
    let output = train(folder, &["--epochs", "16", "--merge", "--json"]);
    let told = json_of(&output);
    let report = &told["report"];
    assert_eq!(report["end"], "finished");
    // A tenth of 40 validates; 36 texts, 8 to a step, are 5 steps an epoch.
    assert_eq!(
        (&report["valid_examples"], &report["steps"]),
        (&json!(4), &json!(80))
    );
    let loss = |name: &str| report[name].as_f64().expect("a loss");
    assert!(
        loss("best_valid_loss") < 0.9 * loss("first_valid_loss"),
        "{report}"
    );
    let run = run_folder(folder);
    for file in [
        "README.md",
        "train_config.json",
        "train_report.json",
        "metrics.jsonl",
        "loss.svg",
        "tokenizer.json",
        "tokenizer_config.json",
        "checkpoints/last/state.safetensors",
        "checkpoints/best/adapter_model.safetensors",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let base = base_of(&folder.join("base"));
    let weights = Weights::open(&base, Precision::F32).expect("a model");
    let adapter = Adapter::load(&run, &weights.config).expect("an adapter");
    assert_eq!(report["parameters"], adapter.parameters());
    assert!(
        adapter
            .pairs
            .iter()
            .all(|pair| pair.b.iter().any(|b| *b != 0.0))
    );
    Weights::open(&base_of(&run.join("merged")), Precision::F32).expect("a merged model");
    let evaluations = numbers(folder);
    let evaluations = evaluations
        .iter()
        .filter(|line| line["kind"] == "evaluation");
    assert_eq!(evaluations.count(), 11);
    let svg = fs::read_to_string(run.join("loss.svg")).expect("a picture");
    assert!(svg.contains("loss (nats per token)") && svg.contains("validation"));
}

fn event_files(run: &Path) -> usize {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("events.")).count()
}

/// A run in the background; `None` when it ended before it had written `lines` of metrics.
fn start_until(folder: &Path, more: &[&str], lines: usize) -> Option<Child> {
    let begun = event_files(&run_folder(folder));
    let mut child = command(folder)
        .args(arguments(more))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let run = run_folder(folder);
    loop {
        // Each process has an event file of its own, begun when older lines that do not count are
        // gone.
        let written = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        if event_files(&run) > begun && written.lines().count() >= lines {
            return Some(child);
        }
        if child.try_wait().expect("a child").is_some() {
            return None;
        }
        std::thread::yield_now();
    }
}

const LONG: [&str; 6] = ["--epochs", "40", "--save-every", "7", "--eval-every", "10"];

#[test]
fn a_run_that_is_killed_and_interrupted_has_the_losses_of_one_that_is_not() {
    let (whole, broken) = (workspace(), workspace());
    let (whole, broken) = (whole.path(), broken.path());
    let report = json_of(&train(whole, &[&LONG[..], &["--json"]].concat()));
    make_lake(&LakePaths::new(broken.join("lake")));

    let resume = [&LONG[..], &["--resume"]].concat();
    let mut kills = 0;
    for lines in [1, 12, 40, 41, 90] {
        let Some(mut child) = start_until(broken, &resume, lines) else {
            continue;
        };
        child.kill().expect("a signal");
        let status = child.wait().expect("an end");
        kills += u32::from(status.signal() == Some(9));
    }
    assert!(kills > 0, "no run was long enough to be killed");
    if let Some(child) = start_until(broken, &resume, 120) {
        let sent = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(stderr(&output).contains("--resume"), "{}", stderr(&output));
        let outcome = query(broken, "select outcome from training_runs");
        assert_eq!(outcome, "outcome\ninterrupted\n");
    }
    let again = json_of(&train(broken, &[&resume[..], &["--json"]].concat()));
    assert_eq!(numbers(broken), numbers(whole));
    for name in [
        "steps",
        "tokens",
        "best_valid_loss",
        "last_train_loss",
        "end",
    ] {
        assert_eq!(again["report"][name], report["report"][name], "{name}");
    }
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let [whole, broken] = [whole, broken].map(|folder| fs::read(run_folder(folder).join(file)));
        assert!(
            whole.expect("a file") == broken.expect("a file"),
            "{file} differs"
        );
    }
    let left = fs::read_dir(run_folder(broken))
        .expect("the folder")
        .flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    let is_rest = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".part");
    assert!(!left.iter().any(is_rest), "{left:?}");
    // One run, however often it was resumed.
    let told = query(
        broken,
        "select name, outcome, steps, best_valid_loss < first_valid_loss as better, error
         from training_runs",
    );
    assert_eq!(
        told,
        "name,outcome,steps,better,error\ntiny,finished,200,true,\n"
    );
    check_tensorboard(&run_folder(broken), &numbers(broken));
}

fn query(folder: &Path, sql: &str) -> String {
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

/// TensorBoard's own reader finds what metrics.jsonl has, each step once, whatever was interrupted.
fn check_tensorboard(run: &Path, numbers: &[Value]) {
    let target = Path::new(env!("CARGO_BIN_EXE_posedata")).ancestors().nth(2);
    let packages = target.expect("a folder").join("interop/tensorboard");
    assert!(
        packages.join("tensorboard").is_dir(),
        "TensorBoard's reader is not installed; run `make test`"
    );
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/read_tensorboard.py"
    );
    let output = Command::new("python3")
        .arg(script)
        .arg(run)
        .env("PYTHONPATH", &packages)
        .output()
        .expect("Python");
    let found = json_of(&output);
    for (tag, kind, field) in [
        ("train/loss", "step", "loss"),
        ("train/learning_rate", "step", "learning_rate"),
        ("train/gradient_norm", "step", "gradient_norm"),
        ("valid/loss", "evaluation", "loss"),
    ] {
        let of_kind = numbers.iter().filter(|line| line["kind"] == kind);
        let wanted: Vec<(u64, f32)> = of_kind
            .map(|line| {
                let value = line[field].as_f64().expect("a number");
                (line["step"].as_u64().expect("a step"), value as f32)
            })
            .collect();
        let found: Vec<(u64, f32)> = serde_json::from_value(found[tag].clone()).expect("scalars");
        assert_eq!(found, wanted, "{tag}");
    }
    let speeds = found["train/tokens_per_s"].as_array().expect("scalars");
    assert_eq!(speeds.len(), 200);
}

#[test]
fn a_run_that_is_there_is_neither_replaced_nor_mixed_with_another() {
    let folder = workspace();
    let folder = folder.path();
    let few = ["--max-steps", "2", "--quiet"];
    let with = |more: &[&str]| train(folder, &[&few[..], more].concat());
    assert!(with(&[]).status.success());
    let kept = numbers(folder);
    let refused = |output: Output, reason: &str| {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        assert_eq!(numbers(folder), kept);
    };
    refused(with(&[]), "finished after 2 steps");
    refused(
        with(&["--resume", "--seed", "1"]),
        "seed was 0, now it is 1",
    );
    write_data(&folder.join("data.jsonl"), "before");
    refused(with(&["--resume"]), "data_blake3 was");
    write_data(&folder.join("data.jsonl"), "after");
    // What only decides about speed may change; a finished run stays as it is.
    assert!(with(&["--resume", "--checkpointing"]).status.success());
    assert_eq!(numbers(folder), kept);
    assert!(with(&["--overwrite", "--seed", "1"]).status.success());
    assert_ne!(numbers(folder), kept);
}

#[test]
fn the_defaults_are_the_settings_that_learn_best() {
    let folder = workspace();
    let folder = folder.path();
    let arguments = ["train", "--base", "base", "--dataset", "data.jsonl"];
    let more = ["--name", "tiny", "--max-steps", "1"];
    let output = posedata(folder, &[&arguments[..], &more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let config = fs::read_to_string(run_folder(folder).join("train_config.json")).expect("a file");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let settings = &config["settings"];
    assert_eq!(settings["precision"], "bf16", "{settings}");
    let adapter = fs::read_to_string(run_folder(folder).join("adapter_config.json"));
    let adapter: Value = serde_json::from_str(&adapter.expect("a file")).expect("JSON");
    let modules = adapter["target_modules"].as_array().expect("a list");
    assert_eq!(modules.len(), 7, "{adapter}");
    assert_eq!(settings["lr"], 0.002, "{settings}");
    assert_eq!(settings["batch_size"], 2, "{settings}");
}

#[test]
fn a_run_that_ended_at_a_limit_goes_on_with_a_larger_one() {
    let folder = workspace();
    let folder = folder.path();
    let report = |more: &[&str]| {
        let told = json_of(&train(folder, &[more, &["--json"]].concat()));
        let report = &told["report"];
        (report["end"].clone(), report["steps"].clone())
    };
    // No step fits into so little time, nor into the same time again.
    let short = ["--max-steps", "2", "--time-limit", "0.0000001"];
    assert_eq!(report(&short), (json!("out_of_time"), json!(0)));
    let again = [&short[..], &["--resume"]].concat();
    assert_eq!(report(&again), (json!("out_of_time"), json!(0)));
    let longer = ["--max-steps", "2", "--time-limit", "60", "--resume"];
    assert_eq!(report(&longer), (json!("finished"), json!(2)));
    let more_steps = ["--max-steps", "5", "--resume"];
    assert_eq!(report(&more_steps), (json!("finished"), json!(5)));
    let config = fs::read_to_string(run_folder(folder).join("train_config.json")).expect("a file");
    assert!(config.contains("\"max_steps\": 5"), "{config}");
    let steps = numbers(folder);
    let steps: Vec<u64> = steps
        .iter()
        .filter(|line| line.get("gradient_norm").is_some())
        .filter_map(|line| line["step"].as_u64())
        .collect();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    // Fewer steps than there are cannot be asked for.
    let fewer = train(folder, &["--max-steps", "3", "--resume"]);
    assert_eq!(fewer.status.code(), Some(1));
    assert!(stderr(&fewer).contains("max_steps was 5, now it is 3"));
}

#[test]
fn losses_that_are_no_numbers_end_the_run_and_are_recorded() {
    let folder = workspace();
    let folder = folder.path();
    make_lake(&LakePaths::new(folder.join("lake")));
    let output = posedata(
        folder,
        &[
            "train",
            "--base",
            "base",
            "--dataset",
            "data.jsonl",
            "--lr",
            "1e30",
            "--warmup",
            "0",
            "--eval-every",
            "50",
            "--name",
            "tiny",
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("of step 2 is") && told.contains("look at examples q"),
        "{told}"
    );
    assert!(
        run_folder(folder)
            .join("checkpoints/last/state.json")
            .is_file()
    );
    let rows = query(
        folder,
        "select outcome, steps, contains(error, 'step 2') as named from training_runs",
    );
    assert_eq!(rows, "outcome,steps,named\nfailed,,true\n");
}

#[test]
fn what_cannot_be_trained_is_told_before_anything_is_written() {
    let folder = workspace();
    let folder = folder.path();
    let fails = |more: &[&str], reasons: &[&str]| {
        let output = train(folder, more);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        for reason in reasons {
            assert!(stderr(&output).contains(reason), "{}", stderr(&output));
        }
        assert!(!run_folder(folder).exists());
    };
    fails(&["--device", "cuda"], &["--features cuda", "--device cpu"]);
    fails(
        &["--memory-limit", "100MiB"],
        &["training needs about", "the memory limit is 100.00 MiB"],
    );
    fails(
        &["--max-tokens", "5"],
        &["40 examples are longer than 5 tokens"],
    );
    fails(&["--max-tokens", "1000"], &["256 tokens at most"]);
    let output = posedata(folder, &["train", "--dataset", "nothing", "--name", "tiny"]);
    assert!(stderr(&output).contains("there is no dataset 'nothing'"));
    let silent = r#"{"id": "mute", "messages": [{"role": "user", "content": "a"}]}"#;
    fs::write(folder.join("data.jsonl"), silent).expect("a file");
    fails(&[], &["example mute cannot be learned", "no answer"]);
}

/// Calls the training off when it has evaluated after its last step.
struct CallOff {
    after_step: u64,
    token: Cancellation,
}

impl TrainObserver for CallOff {
    fn started(&self, _: u64, _: u64) {}

    fn step_done(&self, _: &Step) {}

    fn evaluated(&self, evaluation: &Evaluation, _: CheckpointKind) {
        if evaluation.step == self.after_step {
            self.token.cancel();
        }
    }

    fn saved(&self, _: u64) {}
}

impl TrainingObserver for CallOff {
    fn recorded(&self, _: &Recorded) {}
}

/// Two steps over the workspace, whose results are to be merged in both forms.
fn two_steps(folder: &Path, on_existing: OnExisting) -> TrainingConfig {
    let path = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    TrainingConfig {
        base: path("base"),
        dataset: Some(path("data.jsonl")),
        name: Some("tiny".into()),
        llm_data: folder.join("data"),
        llm_models: folder.join("llm_models"),
        on_existing,
        exports: vec![Export::Safetensors, Export::Gguf],
        valid_share: 0.1,
        max_tokens: None,
        learning_rate: Some(0.01),
        train: TrainConfig {
            lora: LoraConfig {
                rank: 2,
                alpha: 4.0,
                dropout: 0.0,
                projections: vec![Projection::Q],
                uses_rslora: false,
            },
            adamw: AdamWConfig::default(),
            schedule: Schedule {
                peak: 0.01,
                warmup: Warmup::Steps(0),
                decay: Decay::Cosine,
            },
            length: Length {
                max_steps: Some(2),
                ..Length::default()
            },
            batch_texts: 8,
            accumulation: 1,
            batch_tokens: 100,
            max_gradient_norm: None,
            order: Order::Shuffled,
            seed: 1,
            eval_every: None,
            eval_texts: None,
            save_every: None,
            patience: None,
        },
        precision: Precision::F32,
        device: DeviceKind::Cpu,
        checkpointing: Checkpointing::Off,
    }
}

#[test]
fn a_training_that_is_called_off_before_its_models_are_merged_merges_them_when_it_is_resumed() {
    let folder = workspace();
    let folder = folder.path();
    let run = |on_existing, after_step| -> Trained {
        let token = Cancellation::new();
        let observer = CallOff {
            after_step,
            token: token.clone(),
        };
        let plan = Plan::new(two_steps(folder, on_existing), &store()).expect("a plan");
        let training = plan.open(4 << 30).expect("a training");
        let trained = training.run(&store(), None, &token, &observer);
        trained.expect("a training")
    };
    let names = |trained: &Trained| -> Vec<String> {
        let names = trained.outputs.iter().filter_map(|path| path.file_name());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    };
    let called_off = run(OnExisting::Refuse, 2);
    assert_eq!(called_off.report.steps, 2);
    assert!(called_off.is_interrupted);
    assert_eq!(names(&called_off), ["adapter_model.safetensors"]);
    let left = fs::read_dir(run_folder(folder))
        .expect("a folder")
        .flatten();
    for entry in left {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_of_merge = name.contains("merged") || name.contains("gguf");
        assert!(!is_of_merge, "{name}");
    }
    let resumed = run(OnExisting::Resume, u64::MAX);
    assert!(!resumed.is_interrupted);
    assert_eq!(
        names(&resumed),
        ["adapter_model.safetensors", "merged", "tiny.gguf"]
    );
    Weights::open(&base_of(&resumed.outputs[1]), Precision::F32).expect("a merged model");
}

#[test]
fn examples_that_are_too_long_are_left_out_and_named() {
    let folder = workspace();
    let folder = folder.path();
    let path = folder.join("data.jsonl");
    let long = json!({"id": "long", "prompt": "a".repeat(300), "completion": "b"});
    let data = fs::read_to_string(&path).expect("a file");
    fs::write(&path, format!("{data}{long}\n")).expect("a file");
    let output = train(folder, &["--max-steps", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("1 example is longer") && told.contains("left out: long"),
        "{told}"
    );
    assert!(told.contains("there is no lake here"), "{told}");
    assert!(
        stdout(&output).contains("validation loss:"),
        "{}",
        stdout(&output)
    );
}
