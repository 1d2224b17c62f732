//! `posedata eval`: scripted models whose marks are known beforehand, and the program with a tiny
//! model of random weights.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use posedata::dataset::{AnswerKind, Dataset, Example, Split};
use posedata::evaluate::{EvaluatedModel, Evaluation, EvaluationSetup, Evaluator, Sample};
use posedata::language::{ChatTokenizer, NextTurn};
use posedata::llama::generate::NextToken;
use posedata::llama::{Batch, LlamaError};
use posedata::sync::Cancellation;
use serde_json::{Value, json};

use crate::ask::write_models;
use crate::dataset::{build, folder_with_lake, shipped_recipes};
use crate::support::{installed, posedata, stderr, stdout};

const VALID_OPTIONS: [&str; 6] = ["--valid", "0.3", "--seed", "7", "--examples", "600"];

/// A model that says what a script says for each prompt.
struct Scripted<'a> {
    answers: &'a HashMap<Vec<u32>, Vec<u32>>,
    nll: f32,
}

struct ScriptedText<'a> {
    answers: &'a HashMap<Vec<u32>, Vec<u32>>,
    answer: Option<std::slice::Iter<'a, u32>>,
}

impl NextToken for ScriptedText<'_> {
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, LlamaError> {
        let answers = self.answers;
        let next = self.answer.get_or_insert_with(|| answers[ids].iter());
        let mut logits = vec![0.0; 50_000];
        logits[*next.next().expect("no more is asked for") as usize] = 1.0;
        Ok(logits)
    }
}

impl EvaluatedModel for Scripted<'_> {
    fn start_text(&mut self, _: usize) -> Result<Box<dyn NextToken + '_>, LlamaError> {
        Ok(Box::new(ScriptedText {
            answers: self.answers,
            answer: None,
        }))
    }

    fn target_nlls(&mut self, batch: &Batch) -> Result<Vec<f32>, LlamaError> {
        Ok(vec![self.nll; batch.targets.len()])
    }
}

#[test]
fn whoever_knows_is_right_and_whoever_does_not_is_not() {
    let folder = folder_with_lake();
    build(folder.path(), &VALID_OPTIONS);
    let dataset = Dataset::open(&folder.path().join("llm_training_data/gait")).expect("a dataset");
    let tokenizer = ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer");
    let sample = Sample {
        split: Split::Valid,
        per_task: 4,
        seed: 0,
    };
    let examples = sample.of(&dataset).expect("examples");
    let end_ids = tokenizer.end_ids().expect("end marks");
    let script = |answer: &dyn Fn(&Example) -> String| -> HashMap<Vec<u32>, Vec<u32>> {
        let lines = examples.iter().map(|example| {
            let prompt = tokenizer.render(&example.prompt(), NextTurn::Assistant);
            let prompt = tokenizer.tokens(&prompt.expect("a text")).expect("tokens");
            let mut answer = tokenizer.tokens(&answer(example)).expect("tokens");
            answer.push(end_ids[0]);
            (prompt, answer)
        });
        lines.collect()
    };
    let known = script(&|example| example.answer.clone());
    let ignorant = script(&|_| "Yes.".into());
    let evaluator = Evaluator {
        tokenizer: &tokenizer,
        max_positions: 8192,
        end_ids: end_ids.clone(),
        cancellation: &Cancellation::new(),
    };
    let mut asked = 0;
    let answers = evaluator.ask(
        &dataset,
        &examples,
        Some(&mut Scripted {
            answers: &ignorant,
            nll: 2.0,
        }),
        &mut Scripted {
            answers: &known,
            nll: 0.5,
        },
        &mut |done| asked = done,
    );
    let answers = answers.expect("answers").expect("all of them");
    assert_eq!((asked, answers.len()), (examples.len(), examples.len()));
    for kind in AnswerKind::ALL {
        assert!(
            answers.iter().any(|answered| answered.kind == kind),
            "{kind:?}"
        );
    }
    let setup = EvaluationSetup {
        base: "base".into(),
        adapter: "adapter".into(),
        adapter_blake3: String::new(),
        precision: "f32".into(),
        sample,
        videos: Vec::new(),
    };
    let evaluation = Evaluation::new(setup, "gait", "", 1, answers, 1.0);
    let wrong = evaluation.answers.iter().find(|a| !a.adapter.is_right);
    assert_eq!(wrong, None);
    let all = evaluation.all;
    assert_eq!(
        (all.adapter.right, all.adapter.identical),
        (all.asked, all.asked)
    );
    assert!((all.adapter.mean_f1 - 1.0).abs() < 1e-9);
    assert!((all.adapter.perplexity - 0.5_f64.exp()).abs() < 1e-6);
    let base = all.base.expect("the base was asked");
    assert!((base.loss - 2.0).abs() < 1e-6);
    assert_eq!(base.right, 0);
    assert!(evaluation.numeric.asked > 20, "{:?}", evaluation.numeric);
    assert_eq!(evaluation.numeric.adapter.right, evaluation.numeric.asked);
    let most = evaluation.tasks.values().map(|task| task.asked).max();
    assert_eq!(most, Some(4));
    let sum: usize = evaluation.tasks.values().map(|task| task.asked).sum();
    assert_eq!(sum, all.asked);
}

#[test]
fn an_answer_without_the_mark_behind_its_steps_is_wrong() {
    let folder = folder_with_lake();
    build(folder.path(), &VALID_OPTIONS);
    let dataset = Dataset::open(&folder.path().join("llm_training_data/gait")).expect("a dataset");
    let tokenizer = ChatTokenizer::open(&installed("smollm2")).expect("a tokenizer");
    let sample = Sample {
        split: Split::Valid,
        per_task: 3,
        seed: 0,
    };
    let examples = sample.of(&dataset).expect("examples");
    let with_steps = examples.iter().filter(|e| e.has_work()).count();
    assert!(with_steps > 10 && with_steps < examples.len());
    let right = |answer: &dyn Fn(&Example) -> String| -> (usize, usize) {
        let end_ids = tokenizer.end_ids().expect("end marks");
        let lines = examples.iter().map(|example| {
            let prompt = tokenizer.render(&example.prompt(), NextTurn::Assistant);
            let prompt = tokenizer.tokens(&prompt.expect("a text")).expect("tokens");
            let mut ids = tokenizer.tokens(&answer(example)).expect("tokens");
            ids.push(end_ids[0]);
            (prompt, ids)
        });
        let answers: HashMap<Vec<u32>, Vec<u32>> = lines.collect();
        let evaluator = Evaluator {
            tokenizer: &tokenizer,
            max_positions: 8192,
            end_ids: end_ids.clone(),
            cancellation: &Cancellation::new(),
        };
        let mut model = Scripted {
            answers: &answers,
            nll: 1.0,
        };
        let answered = evaluator.ask(&dataset, &examples, None, &mut model, &mut |_| {});
        let answered = answered.expect("answers").expect("all of them");
        assert!(answered.iter().all(|a| a.base.is_none()));
        let is_with_steps = |id: &str| examples.iter().any(|e| e.id == id && e.has_work());
        let (with, without): (Vec<_>, Vec<_>) = answered.iter().partition(|a| is_with_steps(&a.id));
        let right = |answers: &[&posedata::evaluate::Answered]| {
            answers.iter().filter(|a| a.adapter.is_right).count()
        };
        (right(&with), right(&without))
    };
    let without = examples.len() - with_steps;
    assert_eq!(
        right(&|example| example.answer.clone()),
        (with_steps, without)
    );
    // The right words alone, the right steps without an answer, and steps that are cut off.
    assert_eq!(right(&|example| example.reply().into()), (0, without));
    let steps = |example: &Example| {
        let end = example
            .answer
            .find("Answer:")
            .unwrap_or(example.answer.len());
        example.answer[..end].to_owned()
    };
    assert_eq!(right(&steps), (0, without));
    // Other steps before the right answer are as good.
    let other = |example: &Example| match example.has_work() {
        true => format!("So.\nAnswer: {}", example.reply()),
        false => example.answer.clone(),
    };
    assert_eq!(right(&other), (with_steps, without));
}

fn eval(folder: &Path, more: &[&str]) -> std::process::Output {
    let arguments = [
        "eval",
        "--base",
        "./base",
        "--adapter",
        "adapter",
        "--dataset",
        "gait",
    ];
    posedata(folder, &[&arguments, more].concat())
}

#[track_caller]
fn eval_json(folder: &Path, more: &[&str]) -> Value {
    let output = eval(folder, &[&["--json", "--per-task", "1"], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

#[test]
fn an_adapter_that_changes_nothing_is_as_good_as_its_base() {
    let folder = folder_with_lake();
    write_models(folder.path(), |_| 0.0);
    build(folder.path(), &VALID_OPTIONS);
    let evaluation = eval_json(folder.path(), &[]);
    assert_eq!(evaluation["all"]["base"], evaluation["all"]["adapter"]);
    let answers = evaluation["answers"].as_array().expect("answers");
    assert!(answers.len() > 10);
    for answer in answers {
        assert_eq!(answer["base"], answer["adapter"]);
    }
    // The file says the same, and the card of a foreign adapter is left alone.
    let adapter = folder.path().join("adapter");
    let file = fs::read(adapter.join("eval.json")).expect("a file");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    assert_eq!(file, evaluation);
    assert!(!adapter.join("README.md").exists());

    // Without the base the adapter's answers are the same.
    let alone = eval_json(folder.path(), &["--no-base"]);
    assert_eq!(alone["all"]["adapter"], evaluation["all"]["adapter"]);
    assert!(alone["all"]["base"].is_null(), "{}", alone["all"]);
    // Shares have intervals, and the videos that were asked about have names.
    assert_eq!(evaluation["split"], "valid");
    let interval = &evaluation["all"]["adapter"]["right_interval"];
    assert!(interval[0].as_f64() < interval[1].as_f64(), "{interval}");
    let videos = evaluation["videos"].as_array().expect("names");
    assert!(!videos.is_empty() && videos.len() < 3, "{videos:?}");
    build(
        folder.path(),
        &[&VALID_OPTIONS[..], &["--test", "0.3"]].concat(),
    );
    let tested = eval_json(folder.path(), &["--no-base"]);
    assert_eq!(tested["split"], "test");
    assert_ne!(tested["videos"], evaluation["videos"]);
    build(folder.path(), &VALID_OPTIONS);

    // The seed decides who is asked, and the loss is no chance.
    let asked = |evaluation: &Value| -> Vec<Value> {
        let answers = evaluation["answers"].as_array().expect("answers");
        answers.iter().map(|answer| answer["id"].clone()).collect()
    };
    let again = eval_json(folder.path(), &[]);
    assert_eq!(again["answers"], evaluation["answers"]);
    let other = eval_json(folder.path(), &["--seed", "1"]);
    assert_ne!(asked(&other), asked(&evaluation));

    // A run's own card tells the results.
    let config = json!({ "settings": { "lora_r": 4 }, "about": { "dataset": "gait" } });
    fs::write(adapter.join("train_config.json"), config.to_string()).expect("a file");
    let output = eval(folder.path(), &["--per-task", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("numeric questions: "),
        "{}",
        stdout(&output)
    );
    let card = fs::read_to_string(adapter.join("README.md")).expect("a card");
    assert!(card.starts_with("---\nlibrary_name: peft\n"), "{card}");
    for part in [
        "| lora r | 4 |",
        "| range_of_motion | 1 |",
        "**Numeric questions: ",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
}

#[test]
fn one_command_goes_from_videos_to_a_model_and_does_nothing_twice() {
    let folder = folder_with_lake();
    write_models(folder.path(), |_| 0.0);
    fs::create_dir(folder.path().join("few")).expect("a folder");
    for file in [
        "_shared.jinja",
        "range_of_motion.sql",
        "range_of_motion.jinja",
    ] {
        let shipped = Path::new(&shipped_recipes()).join(file);
        fs::copy(shipped, folder.path().join("few").join(file)).expect("a copy");
    }
    let demo = installed("demo");
    let demo = demo.to_str().expect("a plain path");
    let run = |seed: &str| {
        let data = [
            "run",
            demo,
            "--no-video",
            "--name",
            "gait",
            "--sport-type",
            "running",
        ];
        let recipes = ["--recipes", "few", "--valid", "0.3", "--seed", seed];
        let model = ["--train-llm", "--base", "./base", "--max-steps", "2"];
        let output = posedata(folder.path(), &[&data[..], &recipes, &model].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let told = run("7");
    for stage in ["ingest", "dataset build", "train", "eval"] {
        assert!(told.contains(&format!("posedata {stage} ")), "{told}");
    }
    let adapter = folder.path().join("llm_models/gait");
    assert!(adapter.join("adapter_model.safetensors").is_file());
    let card = fs::read_to_string(adapter.join("README.md")).expect("a card");
    assert!(card.contains("**Numeric questions: "), "{card}");
    let evaluation = fs::read(adapter.join("eval.json")).expect("a file");

    let told = run("7");
    assert!(told.contains("--resume"), "{told}");
    assert!(!told.contains("posedata eval"), "{told}");
    let again = fs::read(adapter.join("eval.json")).expect("a file");
    assert_eq!(again, evaluation);

    // Other data make another model.
    let told = run("8");
    assert!(told.contains("--overwrite"), "{told}");
    assert!(told.contains("posedata eval"), "{told}");
}

#[test]
fn what_cannot_be_examined_is_an_error_that_helps() {
    let folder = folder_with_lake();
    write_models(folder.path(), |_| 0.0);
    let error = |more: &[&str]| {
        let output = eval(folder.path(), more);
        assert!(!output.status.success());
        stderr(&output)
    };
    assert!(error(&[]).contains("posedata dataset build"));
    build(folder.path(), &["--valid", "0", "--examples", "50"]);
    let text = error(&[]);
    assert!(text.contains("no examples in its valid split"), "{text}");
}
