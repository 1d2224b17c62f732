//! `posedata synth` against a server that speaks both providers' formats and fails on demand.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use posedata::dataset::{
    Dataset, Example, Format, Lineage, Manifest, RECIPE_ORIGIN, Split, VideoRecord,
};
use posedata::language::ChatTokenizer;
use posedata::numbers::numbers;
use posedata::synth::facts::FactSheet;
use posedata::synth::provider::{Parameters, Prompt, ProviderKind};
use posedata::synth::request_key;
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, FakeProvider, Fault, KEY, Seen};
use crate::support::{command, stderr, stdout};

const CHAT_TEMPLATE: &str = "{% for m in messages %}{{ '<s>' + m.role + '\n' + m.content + '</s>' }}{% endfor %}\
     {% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}";
const TRAIN_EXAMPLES: u64 = 12;
const VALID_EXAMPLES: u64 = 3;

/// A table of eight frames, different in each example.
fn example(number: u64, split: Split, video_id: &str) -> Example {
    let first = number * 40;
    let mut data = String::from("frame,time_secs,left_knee_deg,right_knee_deg\n");
    for row in 0..8 {
        let frame = first + row * 2;
        let left = 171.3 - (number * 37 + row * row * 19 + row * 53) as f64 % 967.0 / 10.0;
        let right = 168.9 - (number * 71 + row * row * 23 + row * 31) as f64 % 953.0 / 10.0;
        data += &format!("{frame},{:.2},{left:.1},{right:.1}\n", frame as f64 / 30.0);
    }
    Example {
        id: format!("{number:04}"),
        task: "read_value".into(),
        split,
        origin: RECIPE_ORIGIN.into(),
        prompt_hash: None,
        lineage: Lineage {
            video_id: video_id.into(),
            sport: "run".into(),
            person: 0,
            frame_start: first,
            frame_end: first + 14,
        },
        facts: json!({"fps": 30.0}),
        system: "You read tables of pose data.".into(),
        question: format!("How straight are the knees in table {number}?"),
        data,
        answer: format!("Table {number} tells how straight both of the knees are."),
        prompt_tokens: 500,
        answer_tokens: 50,
    }
}

fn video(video_id: &str, file_name: &str, split: Split) -> VideoRecord {
    VideoRecord {
        video_id: video_id.into(),
        file_name: file_name.into(),
        sport: "run".into(),
        subject: None,
        split,
        pose_model: "full".into(),
        pose_model_sha256: "0".repeat(64),
    }
}

/// A folder with a lake and a dataset called gait.
pub fn folder_with_dataset() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    crate::lake::fixture(folder.path());
    let base = folder.path().join("base");
    fs::create_dir(&base).expect("a folder");
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": CHAT_TEMPLATE});
    crate::language::write_model(&base, config);
    let tokenizer = ChatTokenizer::open(&base).expect("a tokenizer");
    let (train, valid) = ("aaaa11112222", "bbbb11112222");
    let mut examples: Vec<Example> = (0..TRAIN_EXAMPLES)
        .map(|number| example(number, Split::Train, train))
        .collect();
    examples.extend(
        (TRAIN_EXAMPLES..TRAIN_EXAMPLES + VALID_EXAMPLES)
            .map(|number| example(number, Split::Valid, valid)),
    );
    let dataset = Dataset {
        manifest: Manifest {
            name: "gait".into(),
            posedata_version: env!("CARGO_PKG_VERSION").into(),
            format_version: posedata::dataset::FORMAT_VERSION,
            kind: posedata::dataset::DatasetKind::Answers,
            format: Format::Messages,
            lake_snapshot: 1,
            seed: 7,
            valid_fraction: 0.2,
            test_fraction: 0.0,
            preset: None,
            questions_per_table: 1,
            work: posedata::dataset::Work::Written,
            base: base.display().to_string(),
            tokenizer_blake3: tokenizer.blake3(),
            max_tokens: 4096,
            max_examples: 100,
            near_duplicate_threshold: 0.8,
            recipes: Vec::new(),
            videos: vec![
                video(train, "train_01.mp4", Split::Train),
                video(valid, "valid_02.mp4", Split::Valid),
            ],
            synth: Vec::new(),
        },
        examples,
        recipe_files: BTreeMap::new(),
    };
    dataset
        .save(&dataset_folder(folder.path()))
        .expect("a dataset");
    folder
}

fn dataset_folder(folder: &Path) -> PathBuf {
    folder.join("llm_training_data/gait")
}

fn dataset(folder: &Path) -> Dataset {
    Dataset::open(&dataset_folder(folder)).expect("a dataset")
}

fn journal(folder: &Path) -> Vec<Value> {
    let path = folder.join("llm_training_data/gait.synth/journal.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    // A killed process may have left half a line.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn answered_keys(folder: &Path) -> HashSet<String> {
    let records = journal(folder);
    let answered = records
        .iter()
        .filter(|record| record["record"] == "answered");
    answered
        .map(|record| record["key"].as_str().expect("a key").to_owned())
        .collect()
}

/// The command with everything a provider needs; no proxy of this machine comes in between.
pub fn synth(folder: &Path, server: &FakeProvider, provider: &str, arguments: &[&str]) -> Command {
    let mut command = command(folder);
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(variable);
    }
    command
        .env("OPENAI_API_KEY", KEY)
        .env("ANTHROPIC_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.openai_url())
        .env("ANTHROPIC_BASE_URL", server.anthropic_url())
        .args(["synth", "--dataset", "gait", "--provider", provider])
        .args(arguments);
    command
}

fn output(mut command: Command) -> Output {
    command.output().expect("the program starts")
}

fn report(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {}", stderr(output)))
}

fn rejected_count(report: &Value) -> u64 {
    let rejected = report["rejected"].as_object().expect("reasons");
    rejected.values().filter_map(Value::as_u64).sum()
}

/// Asserts that the key is in nothing that the program has written.
fn assert_no_key(folder: &Path, outputs: &[&Output], key: &str) {
    for output in outputs {
        assert!(!stdout(output).contains(key) && !stderr(output).contains(key));
    }
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten() {
        if entry.file_type().is_file() && entry.file_name() != ".env" {
            let bytes = fs::read(entry.path()).expect("a file");
            let is_there = bytes.windows(key.len()).any(|part| part == key.as_bytes());
            assert!(!is_there, "the key is in {}", entry.path().display());
        }
    }
}

/// The journal's key of a request that the server saw.
fn key_of(provider: ProviderKind, seen: &Seen) -> String {
    let parameters = Parameters {
        model: seen.model.clone(),
        max_answer_tokens: seen.max_tokens,
        temperature: None,
        effort: None,
    };
    let addition = "\n\nAnswer by calling the tool";
    let system = seen
        .system
        .split(addition)
        .next()
        .unwrap_or_default()
        .to_owned();
    let user = seen.user.clone();
    request_key(provider, &parameters, &Prompt { system, user })
}

#[test]
fn a_fifth_of_faults_still_ends_with_exactly_what_was_wanted() {
    for (name, provider, origin) in [
        ("openai", ProviderKind::OpenAi, "openai:gpt-6-luna"),
        (
            "claude",
            ProviderKind::Anthropic,
            "anthropic:claude-haiku-5-5",
        ),
    ] {
        let folder = folder_with_dataset();
        let folder = folder.path();
        let before = dataset(folder);
        let server = FakeProvider::start(Behaviour {
            fault_rate: 0.2,
            seed: 3,
            ..Behaviour::default()
        });
        let arguments = ["--n", "25", "--timeout", "1", "--json"];
        let first = output(synth(folder, &server, name, &arguments));
        assert!(first.status.success(), "{}", stderr(&first));
        let told = report(&first);
        assert_eq!(
            (&told["accepted"], &told["end"]["reason"]),
            (&json!(25), &json!("reached"))
        );
        let seen = server.seen();
        assert!(seen.iter().any(|s| s.fault.is_some()), "no fault was met");
        // Every request is accounted for: accepted, or rejected with a reason.
        assert_eq!(
            told["sent"].as_u64(),
            Some(25 + rejected_count(&told)),
            "{told}"
        );
        assert_eq!(
            seen.len() as u64,
            told["sent"].as_u64().expect("a number") + told["retries"].as_u64().expect("a number"),
            "{told}"
        );
        let keys: Vec<String> = seen
            .iter()
            .filter(|s| s.fault.is_none())
            .map(|s| key_of(provider, s))
            .collect();
        let different: HashSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "something was answered twice");

        let after = dataset(folder);
        assert_eq!(after.examples[..before.examples.len()], before.examples);
        let new = &after.examples[before.examples.len()..];
        assert_eq!(new.len(), 25);
        for (example, number) in new.iter().zip(before.examples.len()..) {
            assert_eq!(example.id, format!("{number:04}"));
            assert_eq!(
                (example.split, example.origin.as_str()),
                (Split::Train, origin)
            );
            assert_eq!(example.task, "synth_read_value");
            assert_eq!(example.lineage.video_id, "aaaa11112222");
            assert!(example.prompt_tokens > 100 && example.answer_tokens > 20);
            let hash = example.prompt_hash.as_ref().expect("a hash");
            assert!(answered_keys(folder).contains(hash));
        }
        assert_eq!(after.manifest.synth[0].origin, origin);
        assert_eq!(after.manifest.synth[0].accepted, 25);

        // The same again: nothing is asked, nothing is added.
        let again = output(synth(folder, &server, name, &arguments));
        let told = report(&again);
        assert_eq!(
            (&told["already_there"], &told["accepted"]),
            (&json!(25), &json!(0))
        );
        assert_eq!(server.seen().len(), seen.len());
        assert_eq!(dataset(folder), after);

        // Without the dataset the journal gives the same examples for nothing.
        before.save(&dataset_folder(folder)).expect("a dataset");
        let from_journal = output(synth(folder, &server, name, &arguments));
        let told = report(&from_journal);
        assert_eq!(
            (&told["accepted"], &told["cost_of_run_usd"]),
            (&json!(25), &json!(0.0))
        );
        let not_answered = told["rejected"]["not_answered"].as_u64().unwrap_or(0);
        assert_eq!(told["sent"].as_u64(), Some(not_answered), "{told}");
        assert_eq!(dataset(folder).examples, after.examples);
        assert_no_key(folder, &[&first, &again, &from_journal], KEY);
    }
}

#[test]
fn wrong_numbers_and_broken_answers_are_counted_by_reason() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    for (fault, reason) in [
        (Fault::WrongNumber, "unsupported_number"),
        (Fault::Truncated, "truncated"),
        (Fault::Refusal, "refused"),
        (Fault::Prose, "malformed"),
    ] {
        let server = FakeProvider::start(Behaviour {
            always: Some(fault),
            ..Behaviour::default()
        });
        let _ = fs::remove_dir_all(folder.join("llm_training_data/gait.synth"));
        let run = output(synth(folder, &server, "claude", &["--n", "4", "--json"]));
        assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
        let told = report(&run);
        assert_eq!(told["end"]["reason"], "out_of_requests");
        assert_eq!(told["rejected"], json!({reason: 12}), "{fault:?}");
        assert_eq!(told["accepted"], 0);
        // Final answers are billed, and asked for once.
        assert_eq!(server.seen().len(), 12, "{fault:?}");
        let rejected = folder.join("llm_training_data/gait.synth/rejected.jsonl");
        let rejected = fs::read_to_string(rejected).expect("rejected answers");
        assert_eq!(rejected.lines().count(), 12);
        if fault == Fault::WrongNumber {
            let line: Value =
                serde_json::from_str(rejected.lines().next().expect("a line")).expect("JSON");
            let number = &line["numbers"][0];
            assert!(
                number["number"].is_string() && number["sentence"].is_string(),
                "{line}"
            );
            assert!(line["reply"]["content"]["answer"].is_string(), "{line}");
        }
    }
}

#[test]
fn a_killed_run_goes_on_and_asks_nothing_twice() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour {
        gate_after: Some(6),
        ..Behaviour::default()
    });
    let arguments = ["--n", "15", "--concurrency", "2", "--json"];
    let mut run = synth(folder, &server, "openai", &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    server.wait_for_answers(6);
    run.kill().expect("a running process");
    run.wait().expect("an end");
    let journaled = answered_keys(folder);
    assert!(journaled.len() >= 4, "{}", journaled.len());
    assert_eq!(
        dataset(folder).examples.len() as u64,
        TRAIN_EXAMPLES + VALID_EXAMPLES
    );
    let asked_before = server.seen().len();

    server.open_gate();
    let resumed = output(synth(folder, &server, "openai", &arguments));
    let told = report(&resumed);
    assert_eq!(
        (&told["accepted"], &told["end"]["reason"]),
        (&json!(15), &json!("reached"))
    );
    assert!(
        told["from_journal"].as_u64() >= Some(journaled.len() as u64),
        "{told}"
    );
    // What the killed process waited for may still be noted after its end.
    let in_flight = 2;
    let later = &server.seen()[asked_before..];
    let again = later
        .iter()
        .filter(|s| journaled.contains(&key_of(ProviderKind::OpenAi, s)));
    assert_eq!(again.count(), 0);
    let sent = told["sent"].as_u64().expect("a number") as usize;
    assert!(later.len() <= sent + in_flight, "{} requests", later.len());
}

#[test]
fn a_wrong_key_is_asked_about_once_and_never_shown() {
    let wrong = "sk-wrong-0a1b2c3d4e5f6789-donotshow";
    let folder = folder_with_dataset();
    let folder = folder.path();
    for (provider, variable) in [
        ("openai", "OPENAI_API_KEY"),
        ("claude", "ANTHROPIC_API_KEY"),
    ] {
        let server = FakeProvider::start(Behaviour {
            echoes_key: true,
            ..Behaviour::default()
        });
        let mut command = synth(
            folder,
            &server,
            provider,
            &["--n", "5", "--concurrency", "1", "-v"],
        );
        command.env(variable, wrong).args(["--log-level", "trace"]);
        let run = output(command);
        assert_eq!(run.status.code(), Some(1));
        let text = stderr(&run);
        assert!(text.contains("401") && text.contains("***"), "{text}");
        assert_eq!(server.refused_logins(), 1, "a wrong key was tried again");
        assert_no_key(folder, &[&run], wrong);
    }
}

#[test]
fn errors_that_will_stay_are_not_retried() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let broke = FakeProvider::start(Behaviour {
        always: Some(Fault::OutOfCredits),
        ..Behaviour::default()
    });
    for provider in ["openai", "claude"] {
        let before = broke.seen().len();
        let run = output(synth(
            folder,
            &broke,
            provider,
            &["--n", "5", "--concurrency", "1"],
        ));
        assert_eq!(run.status.code(), Some(1));
        assert_eq!(broke.seen().len() - before, 1, "{provider}");
    }
    let server = FakeProvider::start(Behaviour::default());
    let run = output(synth(
        folder,
        &server,
        "openai",
        &[
            "--n",
            "5",
            "--model",
            "gpt-5-imagined",
            "--concurrency",
            "1",
        ],
    ));
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("model_not_found"), "{}", stderr(&run));
    // The model does not take a temperature: each request is declined, and after five it is enough.
    let arguments = [
        "--n",
        "20",
        "--temperature",
        "0.5",
        "--concurrency",
        "1",
        "--json",
    ];
    let run = output(synth(folder, &server, "openai", &arguments));
    assert_eq!(run.status.code(), Some(1));
    let told = report(&run);
    assert_eq!((&told["sent"], &told["retries"]), (&json!(5), &json!(0)));
    assert!(stderr(&run).contains("temperature"), "{}", stderr(&run));
}

#[test]
fn max_cost_is_a_hard_stop() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour::default());
    let prices = folder.join("prices.toml");
    fs::write(
        &prices,
        "[openai]\nbatch = 0.5\n[openai.models]\n\"gpt-6-luna\" = { input = 20, output = 100 }\n",
    )
    .expect("a file");
    let arguments = [
        "--n",
        "30",
        "--max-cost",
        "0.5",
        "--prices",
        "prices.toml",
        "--max-answer-tokens",
        "500",
        "--json",
    ];
    let run = output(synth(folder, &server, "openai", &arguments));
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    let told = report(&run);
    assert_eq!(told["end"]["reason"], "max_cost");
    let cost = told["cost_usd"].as_f64().expect("a cost");
    // It stops only when the next request could be too much: 500 tokens of an answer are 0.05 USD,
    // a prompt of at most 5000 bytes is 0.1 USD.
    assert!(cost <= 0.5 && cost > 0.3, "{told}");
    let accepted = told["accepted"].as_u64().expect("a number");
    assert!((1..30).contains(&accepted), "{told}");
    let asked = server.seen().len();
    // What was spent is remembered: the same limit allows nothing more.
    let again = output(synth(folder, &server, "openai", &arguments));
    assert_eq!(report(&again)["end"]["reason"], "max_cost");
    assert_eq!(server.seen().len(), asked);

    let unknown = [
        "--n",
        "5",
        "--max-cost",
        "1",
        "--model",
        "gpt-6-sol",
        "--prices",
        "prices.toml",
    ];
    let run = output(synth(folder, &server, "openai", &unknown));
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("--prices"), "{}", stderr(&run));
    assert_eq!(server.seen().len(), asked);
}

/// Prices that make a request cost some cents.
fn write_prices(folder: &Path) {
    let model = "\"gpt-6-luna\" = { input = 20, output = 100 }";
    let text = format!("[openai]\nbatch = 0.5\n[openai.models]\n{model}\n");
    fs::write(folder.join("prices.toml"), text).expect("a file");
}

#[test]
fn a_resumed_run_counts_all_that_was_spent_before_it_sends_anything() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    write_prices(folder);
    let server = FakeProvider::start(Behaviour::default());
    let arguments = ["--n", "10", "--concurrency", "1", "--prices", "prices.toml"];
    let arguments = [&arguments[..], &["--json"]].concat();
    let as_built = dataset(folder);
    let first = report(&output(synth(folder, &server, "openai", &arguments)));
    assert_eq!(first["accepted"], 10, "{first}");
    let spent = first["cost_usd"].as_f64().expect("a cost");
    // What a crash can leave: nothing is in the dataset yet, and the first answer is not journaled.
    as_built.save(&dataset_folder(folder)).expect("a dataset");
    let lost = key_of(ProviderKind::OpenAi, &server.seen()[0]);
    let records = journal(folder);
    let of_lost = |kind: &str| {
        let is_it = |record: &&Value| record["record"] == kind && record["key"] == lost.as_str();
        records.iter().find(is_it).expect("a record")
    };
    let cost = of_lost("answered")["cost_usd"].as_f64().expect("a cost");
    let most = of_lost("asked")["cost_at_most_usd"].as_f64();
    let most = most.expect("a cost");
    let path = folder.join("llm_training_data/gait.synth/journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains(&lost)).collect();
    fs::write(&path, kept.join("\n") + "\n").expect("a journal");

    // Enough for the request that is missing, had the others not been paid for already.
    let limit = spent - cost + most / 2.0;
    assert!(limit > most, "{limit} {most}");
    let limit = limit.to_string();
    let asked = server.seen().len();
    let limited = [&arguments[..], &["--max-cost", &limit]].concat();
    let run = output(synth(folder, &server, "openai", &limited));
    assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
    let told = report(&run);
    assert_eq!(told["end"]["reason"], "max_cost", "{told}");
    assert_eq!((&told["sent"], server.seen().len()), (&json!(0), asked));
    let all_runs = told["cost_of_dataset_usd"].as_f64().expect("a cost");
    assert!((all_runs - (spent - cost)).abs() < 1e-9, "{told}");
    // Answers behind the one that is missing are paid for, and serve.
    assert_eq!(told["accepted"], 9, "{told}");
    // Money that was spent with other settings is spent as well.
    let others = [&limited[..], &["--max-answer-tokens", "2001"]].concat();
    let told = report(&output(synth(folder, &server, "openai", &others)));
    assert_eq!(told["end"]["reason"], "max_cost", "{told}");
    assert_eq!(server.seen().len(), asked);
}

#[test]
fn what_a_killed_run_had_under_way_counts_as_spent() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    write_prices(folder);
    let server = FakeProvider::start(Behaviour {
        gate_after: Some(0),
        ..Behaviour::default()
    });
    let arguments = ["--n", "4", "--concurrency", "2", "--prices", "prices.toml"];
    let arguments = [&arguments[..], &["--json"]].concat();
    let mut run = synth(folder, &server, "openai", &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    server.wait_for_waiting(2);
    run.kill().expect("a running process");
    run.wait().expect("an end");
    server.open_gate();
    server.wait_for_answers(2);
    let under_way: Vec<f64> = journal(folder)
        .iter()
        .filter(|record| record["record"] == "asked")
        .filter_map(|record| record["cost_at_most_usd"].as_f64())
        .collect();
    assert_eq!(under_way.len(), 2);
    let asked = server.seen().len();
    let spent: f64 = under_way.iter().sum();
    let with_limit = |limit: f64| {
        let limit = limit.to_string();
        let limited = [&arguments[..], &["--max-cost", &limit]].concat();
        report(&output(synth(folder, &server, "openai", &limited)))
    };
    let told = with_limit(spent * 1.2);
    assert_eq!(told["end"]["reason"], "max_cost", "{told}");
    assert_eq!((&told["sent"], server.seen().len()), (&json!(0), asked));
    let told = with_limit(spent * 4.0);
    assert_eq!(told["end"]["reason"], "reached", "{told}");
    assert!(told["cost_usd"].as_f64() > Some(spent), "{told}");
}

#[test]
fn a_file_in_the_working_folder_cannot_have_the_key_sent_elsewhere() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour::default());
    let url = server.openai_url();
    let write = |text: &str| fs::write(folder.join(".env"), text).expect("a file");
    let nothing_was_sent = |run: &Output, reason: &str| {
        assert_eq!(run.status.code(), Some(1), "{}", stdout(run));
        assert!(stderr(run).contains(reason), "{}", stderr(run));
        assert_eq!((server.seen().len(), server.refused_logins()), (0, 0));
    };
    // The key is the user's, the address is of whoever wrote the file.
    write(&format!("OPENAI_BASE_URL={url}\n"));
    let mut command = synth(folder, &server, "openai", &["--n", "3"]);
    command.env_remove("OPENAI_BASE_URL");
    let reason = format!("confirm the address with --base-url {url}");
    nothing_was_sent(&output(command), &reason);
    // The other way round.
    write(&format!("OPENAI_API_KEY={KEY}\n"));
    let mut command = synth(folder, &server, "openai", &["--n", "3"]);
    command.env_remove("OPENAI_API_KEY");
    nothing_was_sent(&output(command), "set both in the same place");
    // Plain http to another machine; the address is one that nobody has (RFC 5737).
    let elsewhere = ["--n", "3", "--base-url", "http://192.0.2.1/v1"];
    let run = output(synth(folder, &server, "openai", &elsewhere));
    nothing_was_sent(&run, "plain http");
    // An address that the user confirms.
    write(&format!("OPENAI_BASE_URL={url}\n"));
    let confirmed = ["--n", "3", "--json", "--base-url", &url];
    let mut command = synth(folder, &server, "openai", &confirmed);
    command.env_remove("OPENAI_BASE_URL");
    let run = output(command);
    assert_eq!(report(&run)["accepted"], 3, "{}", stderr(&run));
}

#[test]
fn ctrl_c_keeps_what_was_answered() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour {
        gate_after: Some(3),
        ..Behaviour::default()
    });
    let arguments = ["--n", "10", "--concurrency", "2", "--json"];
    let mut run: Child = synth(folder, &server, "claude", &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    server.wait_for_waiting(2);
    let interrupt = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(interrupt.expect("kill").success());
    // The program says that it has heard; only then its requests are answered.
    let mut told = BufReader::new(run.stderr.take().expect("standard error"));
    let mut line = String::new();
    told.read_line(&mut line).expect("a line");
    assert!(line.contains("interrupted"), "{line}");
    server.open_gate();
    let run = run.wait_with_output().expect("an end");
    assert_eq!(run.status.code(), Some(130), "{line}");
    assert_eq!(report(&run)["end"]["reason"], "interrupted");
    // What was answered before, and what was in flight.
    let asked = server.seen().len();
    assert!((5..=6).contains(&asked), "{asked}");
    assert_eq!(answered_keys(folder).len(), asked);
    let resumed = output(synth(folder, &server, "claude", &arguments));
    let told = report(&resumed);
    assert_eq!(
        (&told["accepted"], &told["from_journal"]),
        (&json!(10), &json!(asked)),
        "{told}"
    );
    assert_eq!(
        server.seen().len() - asked,
        told["sent"].as_u64().expect("a number") as usize
    );
}

#[test]
fn a_dry_run_needs_neither_network_nor_key() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let run = |arguments: &[&str]| {
        let mut command = command(folder);
        command
            .env_remove("OPENAI_API_KEY")
            .env("OPENAI_BASE_URL", "http://127.0.0.1:9")
            .args([
                "synth",
                "--dataset",
                "gait",
                "--provider",
                "openai",
                "--n",
                "10",
                "--dry-run",
            ])
            .args(arguments);
        output(command)
    };
    let people = stdout(&run(&[]));
    for part in [
        "left_knee_deg",
        "nothing was sent",
        "USD",
        "--- request 1",
        "read_value",
    ] {
        assert!(people.contains(part), "{part}: {people}");
    }
    let machines = report(&run(&["--json"]));
    assert_eq!(machines["requests"], json!([10, 30]));
    assert!(machines["cost_usd"][0].as_f64() > Some(0.0), "{machines}");
    let unpriced = report(&run(&["--json", "--model", "mine"]));
    assert_eq!(unpriced["cost_usd"], Value::Null);
    assert!(!folder.join("llm_training_data/gait.synth").exists());
}

#[test]
fn the_key_may_be_in_a_file_or_missing_for_a_server_of_ones_own() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour::default());
    let url = server.anthropic_url();
    fs::write(
        folder.join(".env"),
        format!("ANTHROPIC_API_KEY=\"{KEY}\"\nANTHROPIC_BASE_URL={url}\n"),
    )
    .expect("a file");
    let mut command = synth(folder, &server, "claude", &["--n", "3", "--json"]);
    command
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("ANTHROPIC_BASE_URL");
    let run = output(command);
    assert_eq!(report(&run)["accepted"], 3, "{}", stderr(&run));
    assert_no_key(folder, &[&run], KEY);
    // No key and no address: nothing is sent, and the error says what to do.
    let mut command = synth(folder, &server, "openai", &["--n", "3"]);
    command
        .env_remove("OPENAI_API_KEY")
        .env_remove("OPENAI_BASE_URL");
    let run = output(command);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        stderr(&run).contains("OPENAI_API_KEY is not set"),
        "{}",
        stderr(&run)
    );
    // No key but an address: it is asked without one, and this server minds.
    let mut command = synth(folder, &server, "openai", &["--n", "3"]);
    command.env_remove("OPENAI_API_KEY");
    let run = output(command);
    assert!(
        stderr(&run).contains("You didn't provide an API key"),
        "{}",
        stderr(&run)
    );
}

#[test]
fn batches_are_submitted_collected_and_mended() {
    for (name, provider) in [
        ("openai", ProviderKind::OpenAi),
        ("claude", ProviderKind::Anthropic),
    ] {
        let folder = folder_with_dataset();
        let folder = folder.path();
        let server = FakeProvider::start(Behaviour {
            polls_before_done: 1,
            failing_items: vec![1, 2],
            ..Behaviour::default()
        });
        let arguments = ["--n", "8", "--batch", "--json"];
        let next = || {
            let run = output(synth(folder, &server, name, &arguments));
            assert!(run.status.success(), "{}", stderr(&run));
            report(&run)
        };
        let told = next();
        assert_eq!(told["end"]["reason"], "batch_pending", "{told}");
        assert_eq!(told["end"]["batches"][0]["requests"], 8);
        assert_eq!(server.batches().len(), 1);
        let told = next();
        assert_eq!(told["end"]["batches"][0]["status"], "in_progress");
        assert_eq!(
            server.batches().len(),
            1,
            "a batch that is worked on is not sent again"
        );
        let mut told = next();
        let mut runs = 3;
        while told["end"]["reason"] != "reached" {
            told = next();
            runs += 1;
            assert!(runs < 15, "{told}");
        }
        assert_eq!(
            dataset(folder).examples.len() as u64,
            TRAIN_EXAMPLES + VALID_EXAMPLES + 8
        );
        assert_eq!(server.seen().len(), 0, "{provider:?} was asked directly");
        let batches = server.batches();
        let failed: HashSet<&String> = batches[0].iter().skip(1).take(2).collect();
        let sent_again: HashSet<&String> = batches[1]
            .iter()
            .filter(|id| batches[0].contains(id))
            .collect();
        assert_eq!(sent_again, failed, "only what failed is sent again");
        let told = next();
        assert_eq!(
            (&told["already_there"], &told["accepted"]),
            (&json!(8), &json!(0))
        );
        assert_eq!(server.batches().len(), batches.len());
    }
}

#[test]
fn a_batch_that_a_crash_hid_is_found_again() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour::default());
    let arguments = ["--n", "4", "--batch", "--json"];
    let first = output(synth(folder, &server, "openai", &arguments));
    assert_eq!(
        report(&first)["end"]["reason"],
        "batch_pending",
        "{}",
        stderr(&first)
    );
    // The crash: the note of the provider's receipt is lost.
    let path = folder.join("llm_training_data/gait.synth/journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("batch_submitted"))
        .collect();
    assert!(kept.len() + 1 == text.lines().count());
    fs::write(&path, kept.join("\n") + "\n").expect("a journal");
    let second = output(synth(folder, &server, "openai", &arguments));
    assert_eq!(
        report(&second)["end"]["reason"],
        "reached",
        "{}",
        stderr(&second)
    );
    assert_eq!(server.batches().len(), 1);
}

/// Answers of recipes are true by construction, and wrong for the table of another example.
#[test]
fn answers_of_recipes_pass_for_their_own_tables_and_not_for_others() {
    let folder = crate::dataset::folder_with_lake();
    crate::dataset::build(folder.path(), &["--examples", "1500", "--seed", "7"]);
    let examples = dataset(folder.path()).examples;
    // What a model would have to find out itself is hidden.
    let is_supported = |about: &Example, answer: &str| {
        let source = Example {
            answer: String::new(),
            ..about.clone()
        };
        FactSheet::of(&source).unsupported(answer).is_empty()
    };
    let mut by_task: BTreeMap<&str, Vec<&Example>> = BTreeMap::new();
    for example in &examples {
        by_task.entry(&example.task).or_default().push(example);
    }
    let own = examples
        .iter()
        .filter(|e| is_supported(e, e.reply()))
        .count();
    let own_share = own as f64 / examples.len() as f64;
    assert!(own_share >= 0.99, "{own_share} of true answers pass");
    let (mut foreign, mut passed) = (0_u32, Vec::new());
    for pair in by_task.values().flat_map(|examples| examples.windows(2)) {
        let answer = pair[0].reply();
        if numbers(answer).is_empty() || answer == pair[1].reply() {
            continue;
        }
        foreign += 1;
        if is_supported(pair[1], answer) {
            passed.push(format!("{}\n{answer}", pair[1].data));
        }
    }
    assert!(foreign > 1000, "{foreign}");
    let passed_share = passed.len() as f64 / f64::from(foreign);
    assert!(
        passed_share <= 0.03,
        "{passed_share} of wrong answers pass: {passed:#?}"
    );
}

#[test]
fn a_dataset_that_has_grown_uses_the_answers_it_has_paid_for() {
    let folder = folder_with_dataset();
    let folder = folder.path();
    let server = FakeProvider::start(Behaviour::default());
    let before = dataset(folder);
    let first = output(synth(folder, &server, "openai", &["--n", "8", "--json"]));
    assert_eq!(report(&first)["accepted"], 8, "{}", stderr(&first));
    let asked = server.seen().len();
    // Built again with one example more: all that was asked is asked about again, or comes later.
    let mut grown = before;
    let number = TRAIN_EXAMPLES + VALID_EXAMPLES;
    grown
        .examples
        .push(example(number, Split::Train, "aaaa11112222"));
    grown.save(&dataset_folder(folder)).expect("a dataset");
    let again = output(synth(folder, &server, "openai", &["--n", "8", "--json"]));
    let told = report(&again);
    assert_eq!(told["accepted"], 8, "{told}");
    assert!(server.seen().len() <= asked + 1, "{told}");
}

/// The official libraries talk to the server, so that a client which suits it suits the providers.
#[test]
fn the_server_is_one_that_the_official_libraries_understand() {
    let target = Path::new(env!("CARGO_BIN_EXE_posedata"))
        .ancestors()
        .nth(2)
        .expect("a folder");
    let libraries = target.join("interop/sdks");
    assert!(
        libraries.join("openai").is_dir(),
        "the libraries are not installed; run `make test`"
    );
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/provider_sdks.py"
    );
    let server = |always, echoes_key| {
        FakeProvider::start(Behaviour {
            always,
            echoes_key,
            failing_items: vec![1, 2],
            ..Behaviour::default()
        })
    };
    let mut command = Command::new("python3");
    command
        .arg(script)
        .args(["--key", KEY])
        .env("PYTHONPATH", &libraries);
    for variable in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(variable);
    }
    for (name, fault) in [
        ("good", None),
        ("limited", Some(Fault::TooManyRequests)),
        ("overloaded", Some(Fault::Overloaded)),
        ("failing", Some(Fault::ServerError)),
        ("broke", Some(Fault::OutOfCredits)),
        ("truncating", Some(Fault::Truncated)),
        ("refusing", Some(Fault::Refusal)),
        ("dropping", Some(Fault::Dropped)),
        ("hanging", Some(Fault::Hang)),
    ] {
        command.args([&format!("--{name}"), &server(fault, false).anthropic_url()]);
    }
    let run = output(command);
    assert!(run.status.success(), "{}{}", stdout(&run), stderr(&run));
    assert!(stdout(&run).contains("openai") && stdout(&run).contains("anthropic"));
}
