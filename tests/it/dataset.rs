//! Instruction datasets, built by the program from real clips.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Shared, command, copy_folder, installed, posedata, stderr, stdout};
use posedata::video::{Frame, VideoReader};

const CLIPS: [&str; 3] = ["demo", "single_cam01", "multi_cam01"];

/// A lake of three real clips, ingested once for all tests.
fn lake_of_clips() -> PathBuf {
    static LAKE: Shared<()> = Shared::new();
    LAKE.once((), |folder| {
        for (clip, sport) in CLIPS.into_iter().zip(["running", "balance", "general"]) {
            let path = installed(clip);
            let path = path.to_str().expect("a plain path");
            let arguments = ["ingest", path, "--no-video", "--sport-type", sport, "-q"];
            let output = posedata(folder, &arguments);
            assert!(output.status.success(), "{}", stderr(&output));
        }
        folder.join("lake")
    })
}

/// A folder of one's own with a copy of that lake.
pub fn folder_with_lake() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy_folder(&lake_of_clips(), &folder.path().join("lake"));
    folder
}

/// The same with a dataset of 200 examples, `gait`.
fn folder_with_dataset() -> tempfile::TempDir {
    static DATASET: Shared<()> = Shared::new();
    let made = DATASET.once((), |folder| {
        copy_folder(&lake_of_clips(), &folder.join("lake"));
        build(folder, &["--examples", "200"]);
        folder.into()
    });
    let folder = tempfile::tempdir().expect("a folder");
    copy_folder(&made, folder.path());
    folder
}

pub fn shipped_recipes() -> String {
    format!("{}/queries/instruct", env!("CARGO_MANIFEST_DIR"))
}

/// Builds `gait` and gives the report.
#[track_caller]
pub fn build(folder: &Path, more: &[&str]) -> Value {
    let recipes = shipped_recipes();
    let mut arguments = vec!["dataset", "build", "--name", "gait", "--json"];
    if !more.contains(&"--recipes") {
        arguments.extend(["--recipes", &recipes]);
    }
    arguments.extend(more);
    let output = posedata(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

#[track_caller]
pub fn query(folder: &Path, sql: &str) -> Vec<Value> {
    let output = posedata(folder, &["query", "--json", "-e", sql]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    rows.as_array().expect("rows").clone()
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let walk = walkdir::WalkDir::new(folder).into_iter();
    let files = walk
        .map(|entry| entry.expect("an entry"))
        .filter(|e| e.file_type().is_file());
    files
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).expect("a name").into();
            (name, fs::read(entry.path()).expect("bytes"))
        })
        .collect()
}

#[test]
fn every_shipped_recipe_finds_something_in_real_clips() {
    let folder = folder_with_lake();
    let report = build(folder.path(), &["--valid", "0.1", "--seed", "7"]);
    let recipes = report["report"]["recipes"].as_array().expect("recipes");
    assert!(recipes.len() >= 10, "{} recipes", recipes.len());
    for recipe in recipes {
        assert!(recipe["kept"].as_u64() > Some(0), "{recipe}");
        let count = |name: &str| recipe[name].as_u64().expect("a count");
        let parts = [
            "over_token_budget",
            "duplicates",
            "near_duplicates",
            "not_sampled",
            "kept",
        ];
        let sum: u64 = parts.map(count).iter().sum();
        assert_eq!(sum, count("rows"), "{recipe}");
    }
    let dataset = folder.path().join("llm_training_data/gait");
    let lines = |name: &str| {
        let text = fs::read_to_string(dataset.join(name)).expect("a file");
        text.lines().count() as u64
    };
    assert_eq!(report["report"]["train"], lines("train.jsonl"));
    assert_eq!(report["report"]["valid"], lines("valid.jsonl"));
    assert!(lines("valid.jsonl") > 0);

    let stats = fs::read_to_string(dataset.join("stats.json")).expect("a file");
    let stats: Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["by_split"]["train"], report["report"]["train"]);
    let tasks = stats["by_task"].as_object().expect("tasks");
    assert_eq!(tasks.len(), recipes.len());
    let histogram = stats["tokens"]["histogram"].as_array().expect("bins");
    let in_bins: u64 = histogram
        .iter()
        .filter_map(|bin| bin["examples"].as_u64())
        .sum();
    assert_eq!(stats["examples"], in_bins);
    let card = fs::read_to_string(dataset.join("README.md")).expect("a card");
    assert_eq!(
        front_matter(&card),
        [("train", "train"), ("validation", "valid")]
    );
    for recipe in recipes {
        let task = recipe["task"].as_str().expect("a name");
        assert!(
            card.contains(&format!("### {task} ")),
            "no example of {task} in the card"
        );
    }
}

/// Checks the front matter of a card, key by key, and gives the splits that it names, each with the
/// name of its files.
#[track_caller]
fn front_matter(card: &str) -> Vec<(&str, &str)> {
    let text = card.strip_prefix("---\n").expect("front matter");
    let (text, _) = text.split_once("\n---\n").expect("its end");
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with([' ', '-']))
        .map(|line| line.split_once(':').expect("a key").0)
        .collect();
    let wanted = [
        "pretty_name",
        "license",
        "language",
        "task_categories",
        "size_categories",
        "tags",
        "configs",
    ];
    assert_eq!(keys, wanted);
    assert!(text.contains("language:\n- \"en\"\n"), "{text}");
    let (_, files) = text
        .split_once("configs:\n- config_name: default\n  data_files:\n")
        .expect("files");
    let files = files.split("  - split: ").skip(1);
    files
        .map(|file| {
            let (split, path) = file.trim_end().split_once("\n    path: ").expect("a path");
            (split, path.strip_suffix(".parquet").expect("an extension"))
        })
        .collect()
}

#[test]
fn a_split_without_examples_is_not_in_the_cards_front_matter() {
    let folder = folder_with_lake();
    let report = build(folder.path(), &["--valid", "0", "--examples", "20"]);
    assert_eq!(report["report"]["valid"], 0);
    let card = folder.path().join("llm_training_data/gait/README.md");
    let card = fs::read_to_string(card).expect("a card");
    assert_eq!(front_matter(&card), [("train", "train")]);
}

#[test]
fn whole_videos_validate_and_subjects_stay_together() {
    let folder = folder_with_lake();
    let tag = ["tag", "demo.mp4", "multi_cam01.mp4", "--subject", "anna"];
    let tagged = posedata(folder.path(), &tag);
    assert!(tagged.status.success(), "{}", stderr(&tagged));
    for seed in ["1", "2", "3", "4"] {
        build(
            folder.path(),
            &["--valid", "0.3", "--seed", seed, "--examples", "300"],
        );
        let divided = "SELECT video_id FROM examples GROUP BY ALL HAVING count(DISTINCT split) > 1";
        assert_eq!(query(folder.path(), divided), Vec::<Value>::new());
        let of_anna = "SELECT DISTINCT split FROM examples JOIN subjects USING (video_id)";
        assert_eq!(query(folder.path(), of_anna).len(), 1, "seed {seed}");
        let splits = query(folder.path(), "SELECT DISTINCT split FROM examples");
        assert_eq!(splits.len(), 2, "seed {seed}");
    }
}

#[test]
fn the_same_lake_and_seed_give_the_same_bytes() {
    let folder = folder_with_lake();
    let dataset = folder.path().join("llm_training_data/gait");
    build(folder.path(), &["--seed", "7", "--examples", "400"]);
    let first = files(&dataset);
    // The lake has a newer snapshot now, in which nothing of the videos has changed.
    build(folder.path(), &["--seed", "7", "--examples", "400"]);
    let second = files(&dataset);
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &first {
        assert_eq!(bytes, &second[name], "{}", name.display());
    }
    build(folder.path(), &["--seed", "8", "--examples", "400"]);
    assert_ne!(
        first[Path::new("train.jsonl")],
        files(&dataset)[Path::new("train.jsonl")]
    );
    let rows = query(folder.path(), "SELECT dataset, seed FROM datasets");
    assert_eq!(rows, [serde_json::json!({ "dataset": "gait", "seed": 8 })]);
}

#[test]
fn the_lake_knows_the_examples_and_stays_whole() {
    let folder = folder_with_lake();
    let report = build(folder.path(), &["--examples", "200"]);
    let rows = query(
        folder.path(),
        "SELECT count(*) AS n, count(DISTINCT example_id) AS ids,
             bool_and(frame_start <= frame_end) AS ordered,
             count(*) FILTER (v.video_id IS NULL) AS lost
         FROM examples LEFT JOIN videos AS v USING (video_id) WHERE dataset = 'gait'",
    );
    let total = report["report"]["train"].as_u64().expect("a count")
        + report["report"]["valid"].as_u64().expect("a count");
    assert_eq!(
        rows,
        [serde_json::json!({ "n": total, "ids": total, "ordered": true, "lost": 0 })]
    );
    let check = posedata(folder.path(), &["lake", "check"]);
    assert!(
        check.status.success(),
        "{}{}",
        stdout(&check),
        stderr(&check)
    );

    // What is removed from the lake is removed from its examples too.
    let removed = posedata(folder.path(), &["remove", "demo.mp4"]);
    assert!(removed.status.success(), "{}", stderr(&removed));
    assert!(
        stderr(&removed).contains("the dataset gait still have examples"),
        "{}",
        stderr(&removed)
    );
    let left = query(
        folder.path(),
        "SELECT DISTINCT sport FROM examples ORDER BY sport",
    );
    assert_eq!(
        left,
        [
            serde_json::json!({"sport": "balance"}),
            serde_json::json!({"sport": "general"})
        ]
    );
    let check = posedata(folder.path(), &["lake", "check"]);
    assert!(
        check.status.success(),
        "{}{}",
        stdout(&check),
        stderr(&check)
    );

    // When it comes back, so do they, though the dataset is the one that the lake knows already.
    let demo = installed("demo");
    let demo = demo.to_str().expect("a plain path");
    let arguments = [
        "ingest",
        demo,
        "--no-video",
        "--sport-type",
        "running",
        "-q",
    ];
    assert!(posedata(folder.path(), &arguments).status.success());
    let again = build(folder.path(), &["--examples", "200"]);
    assert_eq!(again["report"]["train"], report["report"]["train"]);
    let all = query(folder.path(), "SELECT count(*) AS n FROM examples");
    assert_eq!(all, [serde_json::json!({ "n": total })]);
}

#[test]
fn examples_are_shown_as_the_model_sees_them() {
    let folder = folder_with_dataset();
    let shown = posedata(folder.path(), &["dataset", "show", "gait", "--n", "3"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    let shown = stdout(&shown);
    assert_eq!(shown.matches("--- 00").count(), 3, "{shown}");
    assert_eq!(
        shown.matches("<|im_start|>assistant\n[[").count(),
        3,
        "{shown}"
    );
    assert_eq!(shown.matches("<|im_end|>]]").count(), 3, "{shown}");
    let json = posedata(
        folder.path(),
        &["dataset", "show", "gait", "--id", "7", "--json"],
    );
    let json: Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!(json[0]["id"], "0007");
    assert!(json[0]["answer_tokens"].as_u64() > Some(0));
    let missing = posedata(folder.path(), &["dataset", "show", "gait", "--id", "9999"]);
    assert!(
        stderr(&missing).contains("no example 9999; the last one is 0200"),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn every_kind_of_example_leads_back_to_its_frames() {
    let folder = folder_with_dataset();
    let one_of_each = query(
        folder.path(),
        "SELECT task, min(example_id) AS id, arg_min(frame_start, example_id) AS first,
             arg_min(frame_end, example_id) AS last FROM examples GROUP BY task ORDER BY task",
    );
    assert!(one_of_each.len() >= 10);
    for example in &one_of_each {
        let id = example["id"].as_str().expect("an id");
        let traced = posedata(folder.path(), &["dataset", "trace", "gait", id, "--json"]);
        assert!(traced.status.success(), "{}", stderr(&traced));
        let trace: Value = serde_json::from_str(&stdout(&traced)).expect("JSON");
        assert_eq!(trace["same_facts"], true, "{trace:#}");
        assert_eq!(trace["video"]["pose_model"], "full");
        assert!(
            trace["recipe"]["sql"]
                .as_str()
                .expect("SQL")
                .contains("SELECT")
        );
    }
    let example = &one_of_each[0];
    let id = example["id"].as_str().expect("an id");
    let traced = posedata(
        folder.path(),
        &["dataset", "trace", "gait", id, "--clip", "cut.mp4"],
    );
    assert!(traced.status.success(), "{}", stderr(&traced));
    assert!(
        stdout(&traced).contains("run again:  the same facts"),
        "{}",
        stdout(&traced)
    );
    let mut reader = VideoReader::open(&folder.path().join("cut.mp4")).expect("a clip");
    let mut frame = Frame::default();
    let mut frames = 0;
    while reader.read(&mut frame).expect("a whole clip") {
        frames += 1;
    }
    let number = |name: &str| example[name].as_u64().expect("a number");
    assert_eq!(frames, number("last") - number("first") + 1);
}

#[test]
fn budgets_and_thresholds_are_kept() {
    let folder = folder_with_lake();
    let report = build(folder.path(), &["--max-tokens", "160", "--examples", "500"]);
    let recipes = report["report"]["recipes"]
        .as_array()
        .expect("recipes")
        .clone();
    let sum = |name: &str| -> u64 {
        recipes
            .iter()
            .filter_map(|recipe| recipe[name].as_u64())
            .sum()
    };
    assert!(sum("over_token_budget") > 0);
    let longest = query(
        folder.path(),
        "SELECT max(prompt_tokens + answer_tokens) AS longest FROM examples",
    );
    assert!(longest[0]["longest"].as_u64() <= Some(160), "{longest:?}");
    let all = build(
        folder.path(),
        &["--near-duplicates", "1.5", "--examples", "500"],
    );
    let recipes = all["report"]["recipes"].as_array().expect("recipes");
    assert!(recipes.iter().all(|recipe| recipe["near_duplicates"] == 0));
}

#[test]
fn what_does_not_fit_into_memory_is_refused_before_it_begins() {
    let folder = folder_with_lake();
    let recipes = shipped_recipes();
    let arguments = [
        "dataset",
        "build",
        "--name",
        "gait",
        "--recipes",
        &recipes,
        "--examples",
        "60000",
        "--memory-limit",
        "500MiB",
    ];
    let output = posedata(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("lower --examples"),
        "{}",
        stderr(&output)
    );
    let report = build(
        folder.path(),
        &["--examples", "5000", "--memory-limit", "500MiB"],
    );
    assert!(
        report["peak_memory_bytes"].as_u64() <= Some(500 << 20),
        "{report}"
    );
}

const GOOD_SQL: &str = "-- Asks something.
SELECT w.video_id, w.person, w.frame_start, w.frame_end,
    round(m.left_knee_deg::DOUBLE, 1) AS knee
FROM windows AS w
JOIN metrics AS m ON m.video_id = w.video_id AND m.person = w.person AND m.frame = w.frame_start
WHERE m.left_knee_deg IS NOT NULL";
const GOOD_TEMPLATE: &str = "{% block data %}knee
{{ knee }}{% endblock %}
{% block user_1 %}How far is the knee bent?{% endblock %}
{% block assistant %}{{ knee }} deg.{% endblock %}";

fn recipe_folder(folder: &Path, sql: &str, template: &str) {
    let recipes = folder.join("recipes");
    fs::create_dir_all(&recipes).expect("a folder");
    fs::write(recipes.join("knee.sql"), sql).expect("a file");
    fs::write(recipes.join("knee.jinja"), template).expect("a file");
}

#[test]
fn a_recipe_of_ones_own_needs_two_files() {
    let folder = folder_with_lake();
    recipe_folder(folder.path(), GOOD_SQL, GOOD_TEMPLATE);
    let report = build(
        folder.path(),
        &["--recipes", "recipes", "--format", "alpaca", "--valid", "0"],
    );
    assert_eq!(report["report"]["recipes"][0]["task"], "knee");
    let train = folder.path().join("llm_training_data/gait/train.jsonl");
    let train = fs::read_to_string(train).expect("a file");
    let example: Value = serde_json::from_str(train.lines().next().expect("a line")).expect("JSON");
    assert_eq!(example["instruction"], "How far is the knee bent?");
    let knee = example["input"]
        .as_str()
        .expect("a text")
        .lines()
        .last()
        .expect("a line")
        .to_owned();
    assert_eq!(example["output"], format!("{knee} deg."));
}

/// Recipes in the folder `recipes`: after `knee` comes one that never ends.
pub fn endless_recipes(folder: &Path) {
    recipe_folder(folder, GOOD_SQL, GOOD_TEMPLATE);
    let endless = GOOD_SQL.replace(
        "WHERE",
        "WHERE (SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b, range(1000000) AS c) > 0 AND",
    );
    let recipes = folder.join("recipes");
    fs::write(recipes.join("later.sql"), endless).expect("a file");
    fs::write(recipes.join("later.jinja"), GOOD_TEMPLATE).expect("a file");
}

#[test]
fn an_interrupt_ends_a_build_and_leaves_nothing() {
    let folder = folder_with_lake();
    endless_recipes(folder.path());
    let mut child = command(folder.path())
        .args(["dataset", "build", "--name", "gait", "--recipes", "recipes"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let told = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
    let first = std::io::BufRead::lines(told).next();
    let first = first.expect("a line").expect("text");
    assert!(first.starts_with("knee: "), "{first}");
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill").success());
    assert_eq!(child.wait().expect("an end").code(), Some(130));
    assert!(!folder.path().join("llm_training_data").exists());
}

#[test]
fn broken_recipes_are_named_with_file_line_and_column() {
    let sql = |from: &str, to: &str| (GOOD_SQL.replace(from, to), GOOD_TEMPLATE.to_owned());
    let template = |from: &str, to: &str| (GOOD_SQL.to_owned(), GOOD_TEMPLATE.replace(from, to));
    let cases = [
        (
            sql("m.left_knee_deg::DOUBLE", "m.left_elbow_degrees::DOUBLE"),
            "line 3",
            "left_elbow_degrees",
            "knee.sql",
        ),
        (
            sql("JOIN metrics", "JOYN metrics"),
            "line 5",
            "JOYN",
            "knee.sql",
        ),
        (
            sql("w.frame_start, ", ""),
            "line 1",
            "no column 'frame_start'",
            "knee.sql",
        ),
        (
            sql("w.person,", "NULL AS person,"),
            "line 1",
            "'person' is NULL",
            "knee.sql",
        ),
        (
            sql("w.video_id, w.person", "'x' AS video_id, w.person"),
            "line 1",
            "no video of the lake",
            "knee.sql",
        ),
        (
            sql(
                "SELECT w.video_id",
                "COPY videos TO 'x.csv'; SELECT w.video_id",
            ),
            "line 1",
            "SELECT",
            "knee.sql",
        ),
        (
            sql("-- Asks something.", "-- Asks.\n-- recipe rows = all"),
            "line 2",
            "rows is a whole number",
            "knee.sql",
        ),
        (
            template("{{ knee }} deg.", "{{ elbow }} deg."),
            "line 4",
            "no column 'elbow'",
            "knee.jinja",
        ),
        (
            template("{{ knee }} deg.", "{{ knee.angle }} deg."),
            "line 4",
            "undefined",
            "knee.jinja",
        ),
        (
            template("{% block user_1 %}", "{% block user_1 "),
            "line 3",
            "syntax error",
            "knee.jinja",
        ),
        (
            template("user_1", "question"),
            "line 1",
            "no block user_1",
            "knee.jinja",
        ),
        (
            template("{{ knee }} deg.", ""),
            "line 1",
            "empty",
            "knee.jinja",
        ),
    ];
    let folder = folder_with_lake();
    for ((sql, template), line, reason, file) in cases {
        recipe_folder(folder.path(), &sql, &template);
        let arguments = ["dataset", "build", "--name", "gait", "--recipes", "recipes"];
        let output = posedata(folder.path(), &arguments);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        for expected in [line, reason, file] {
            assert!(told.contains(expected), "no {expected} in: {told}");
        }
        assert!(!folder.path().join("llm_training_data").exists());
    }
}

#[test]
fn what_is_no_dataset_is_left_alone() {
    let folder = folder_with_lake();
    let other = folder.path().join("llm_training_data/gait");
    fs::create_dir_all(&other).expect("a folder");
    fs::write(other.join("thesis.txt"), "years of work").expect("a file");
    let recipes = shipped_recipes();
    let arguments = [
        "dataset",
        "build",
        "--name",
        "gait",
        "--recipes",
        &recipes,
        "--examples",
        "50",
    ];
    let output = posedata(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("something else than a dataset"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        files(folder.path().join("llm_training_data").as_path()).len(),
        1
    );

    let shown = posedata(folder.path(), &["dataset", "show", "sprint"]);
    assert!(
        stderr(&shown).contains("posedata dataset build"),
        "{}",
        stderr(&shown)
    );
    let bad = posedata(
        folder.path(),
        &[
            "dataset",
            "build",
            "--name",
            "../gait",
            "--recipes",
            &recipes,
        ],
    );
    assert!(stderr(&bad).contains("letters, digits"), "{}", stderr(&bad));
}

#[test]
fn a_dataset_that_was_cut_off_or_tampered_with_is_refused() {
    let folder = folder_with_dataset();
    let examples = folder
        .path()
        .join("llm_training_data/gait/examples.parquet");
    let bytes = fs::read(&examples).expect("bytes");
    fs::write(&examples, &bytes[..bytes.len() / 2]).expect("room");
    let shown = posedata(folder.path(), &["dataset", "show", "gait"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(
        stderr(&shown).contains("the dataset is damaged"),
        "{}",
        stderr(&shown)
    );
}

#[test]
fn datasets_of_older_formats_are_read_and_of_newer_ones_refused() {
    let folder = folder_with_dataset();
    let file = folder.path().join("llm_training_data/gait/dataset.json");
    let text = fs::read_to_string(&file).expect("a manifest");
    let mut manifest: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(manifest["format_version"], 4);
    // The first format told neither its version nor the recipes' languages, and knew no presets.
    let fields = manifest.as_object_mut().expect("an object");
    for later in [
        "format_version",
        "test_fraction",
        "preset",
        "questions_per_table",
        "work",
    ] {
        assert!(fields.remove(later).is_some(), "{later}");
    }
    for recipe in fields["recipes"].as_array_mut().expect("recipes") {
        recipe
            .as_object_mut()
            .expect("an object")
            .remove("language");
    }
    fs::write(&file, manifest.to_string()).expect("room");
    let shown = posedata(folder.path(), &["dataset", "show", "gait"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    manifest["format_version"] = 5.into();
    fs::write(&file, manifest.to_string()).expect("room");
    let shown = posedata(folder.path(), &["dataset", "show", "gait"]);
    assert_eq!(shown.status.code(), Some(1));
    let told = stderr(&shown);
    assert!(
        told.contains("format 5") && told.contains("newer posedata"),
        "{told}"
    );
}

#[test]
fn paraphrases_vary_and_prompts_do_not_hold_their_answers() {
    let folder = folder_with_lake();
    build(folder.path(), &["--examples", "1000"]);
    let rows = query(
        folder.path(),
        "SELECT task, count(DISTINCT question) AS questions, count(*) AS n,
             count(*) FILTER (contains(data || question, answer)) AS leaks
         FROM examples GROUP BY task HAVING n >= 20",
    );
    assert!(rows.len() >= 5);
    for row in rows {
        assert!(row["questions"].as_u64() >= Some(4), "{row}");
        assert_eq!(row["leaks"], 0, "{row}");
    }
}

#[test]
fn formats_hold_the_same_examples() {
    let folder = folder_with_lake();
    let mut ids = BTreeSet::new();
    for format in ["messages", "alpaca", "sharegpt", "prompt-completion"] {
        build(folder.path(), &["--examples", "60", "--format", format]);
        let dataset = folder.path().join("llm_training_data/gait");
        let schema = format!(
            "{}/schemas/dataset_{}.schema.json",
            env!("CARGO_MANIFEST_DIR"),
            format.replace('-', "_")
        );
        let schema = fs::read_to_string(schema).expect("a schema");
        let schema: Value = serde_json::from_str(&schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let mut of_format = Vec::new();
        for split in ["train", "valid"] {
            let text = fs::read_to_string(dataset.join(format!("{split}.jsonl"))).expect("a file");
            for line in text.lines() {
                let example: Value = serde_json::from_str(line).expect("JSON");
                assert!(validator.is_valid(&example), "{line}");
                of_format.push(example["id"].as_str().expect("an id").to_owned());
            }
        }
        ids.insert(of_format);
    }
    assert_eq!(
        ids.len(),
        1,
        "formats have other examples, or another order"
    );
}

#[test]
fn the_old_name_of_the_folder_works_too() {
    let folder = folder_with_lake();
    let recipes = shipped_recipes();
    let output = command(folder.path())
        .args([
            "dataset",
            "build",
            "--name",
            "g",
            "--recipes",
            &recipes,
            "--examples",
            "20",
        ])
        .args(["--llm_data", "elsewhere", "-q"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(folder.path().join("elsewhere/g/README.md").exists());
}

#[test]
fn lakes_from_before_there_were_datasets_make_some_too() {
    let folder = tempfile::tempdir().expect("a folder");
    crate::maintenance::format_1_lake(folder.path());
    recipe_folder(folder.path(), GOOD_SQL, GOOD_TEMPLATE);
    let report = build(folder.path(), &["--recipes", "recipes"]);
    assert_eq!(report["report"]["train"], 20);
    let rows = query(folder.path(), "SELECT count(*) AS n FROM examples");
    assert_eq!(rows, [serde_json::json!({ "n": 20 })]);
    // The next one reads a lake of the newest format.
    let again = build(folder.path(), &["--recipes", "recipes", "--seed", "3"]);
    assert_eq!(again["report"]["train"], 20);
}

#[test]
fn run_goes_from_videos_to_a_dataset_and_says_which_stage_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let videos = folder.path().join("public");
    fs::create_dir(&videos).expect("a folder");
    fs::copy(installed("single_cam01"), videos.join("a.mp4")).expect("a copy");
    let recipes = shipped_recipes();
    let run = |more: &[&str]| {
        command(folder.path())
            .args([
                "run",
                "public",
                "--no_video",
                "--name",
                "gait",
                "--sport-type",
                "balance",
            ])
            .args(["--recipes", &recipes])
            .args(more)
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_BASE_URL")
            .output()
            .expect("the program starts")
    };
    let output = run(&["publik"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("nothing was begun") && told.contains("publik"),
        "{told}"
    );
    assert!(
        !told.contains("posedata ingest") && !folder.path().join("lake").exists(),
        "{told}"
    );

    let output = run(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("posedata ingest"),
        "{}",
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("examples to train"),
        "{}",
        stdout(&output)
    );
    assert!(
        folder
            .path()
            .join("llm_training_data/gait/train.jsonl")
            .exists()
    );

    let without_key = run(&["--use-openai"]);
    assert_eq!(without_key.status.code(), Some(1));
    let told = stderr(&without_key);
    assert!(
        told.contains("OPENAI_API_KEY") && told.contains("a stage failed"),
        "{told}"
    );
}
