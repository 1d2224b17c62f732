//! The dataset card: what a dataset holds and where it comes from, for people. The front matter is
//! that of dataset cards on the Hugging Face hub, which loads the files that it names.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::recipe::DEFAULT_LANGUAGE;
use super::stats::Bin;
use super::{ANSWER_MARK, Chat, Example, Manifest, RECIPE_ORIGIN, Split, Stats, Work};
use crate::text::one_line;

/// Width of the longest bar of the histogram, in characters.
const BAR_WIDTH: u64 = 40;
/// Hex digits of hashes that the card shows.
const HASH_DIGITS: usize = 16;

/// The file of a dataset's folder that holds the card, by the name that the hub knows.
pub const CARD_FILE: &str = "README.md";

/// Classes of size as the hub names them: the least number of examples, the name.
const SIZE_CATEGORIES: [(u64, &str); 6] = [
    (0, "n<1K"),
    (1_000, "1K<n<10K"),
    (10_000, "10K<n<100K"),
    (100_000, "100K<n<1M"),
    (1_000_000, "1M<n<10M"),
    (10_000_000, "10M<n<100M"),
];

/// What the hub calls the splits, by ours.
const HUB_SPLITS: [(Split, &str); 3] = [
    (Split::Train, "train"),
    (Split::Valid, "validation"),
    (Split::Test, "test"),
];

/// The file `README.md`.
pub fn card(manifest: &Manifest, examples: &[Example], stats: &Stats) -> String {
    let mut card = String::new();
    // Writing to a string cannot fail.
    let _ = write_card(&mut card, manifest, examples, stats);
    card
}

fn write_card(
    out: &mut String,
    manifest: &Manifest,
    examples: &[Example],
    stats: &Stats,
) -> std::fmt::Result {
    write_front_matter(out, manifest, stats)?;
    writeln!(out, "# {}\n", manifest.name)?;
    writeln!(
        out,
        "Questions about human motion with the data that answers them: {} examples ({} to train, {} to\nvalidate{}) from {} videos, made by posedata {}.\n",
        stats.examples,
        stats.by_split["train"],
        stats.by_split["valid"],
        match stats.by_split.get(Split::Test.name()) {
            Some(tests) => format!(", {tests} to test"),
            None => String::new(),
        },
        manifest.videos.len(),
        manifest.posedata_version,
    )?;
    write_chats(out, manifest, examples, stats)?;
    writeln!(out, "## Examples in numbers\n")?;
    write_counts(out, "task", &stats.by_task)?;
    write_counts(out, "sport", &stats.by_sport)?;
    writeln!(out, "| origin | examples |\n|---|---:|")?;
    for (origin, count) in &stats.by_origin {
        writeln!(out, "| {origin} | {count} |")?;
    }
    writeln!(out)?;
    write_tokens(out, manifest, stats)?;
    write_sources(out, manifest, stats)?;
    write_limits(out, manifest, stats)?;
    write_examples(out, examples)
}

/// What a line holds beside a question and its answer.
fn write_chats(
    out: &mut String,
    manifest: &Manifest,
    examples: &[Example],
    stats: &Stats,
) -> std::fmt::Result {
    if stats.chats < stats.examples {
        writeln!(
            out,
            "Up to {} questions are asked about one table, as turns of one chat: there are {} chats.\n",
            manifest.questions_per_table, stats.chats
        )?;
    }
    if manifest.work == Work::Written && examples.iter().any(Example::has_work) {
        writeln!(
            out,
            "Answers that need steps begin with them; a line that begins with `{ANSWER_MARK}` ends the steps, and what\nfollows it is the answer.\n"
        )?;
    }
    let primitives = manifest.recipes.iter().filter(|recipe| recipe.is_primitive);
    let primitives: Vec<&str> = primitives.map(|recipe| recipe.task.as_str()).collect();
    if !primitives.is_empty() {
        writeln!(
            out,
            "Training begins with primitives ({}), which are in no other split.\n",
            primitives.join(", ")
        )?;
    }
    Ok(())
}

/// `load_dataset` reads all configurations of a folder as one kind of file, so there is only that of
/// Parquet. A split without examples is left out: `datasets` refuses files without rows.
fn write_front_matter(out: &mut String, manifest: &Manifest, stats: &Stats) -> std::fmt::Result {
    // Any text of JSON is one of YAML.
    let name = serde_json::Value::from(manifest.name.as_str());
    let mut classes = SIZE_CATEGORIES.iter().rev();
    let class = classes.find(|(least, _)| stats.examples >= *least);
    let size = class.map_or(SIZE_CATEGORIES[0].1, |(_, name)| *name);
    let is_synthetic = stats.by_origin.keys().any(|origin| origin != RECIPE_ORIGIN);
    let written = manifest.recipes.iter().filter(|r| r.funnel.kept > 0);
    let mut languages: BTreeSet<&str> = written.map(|r| r.language.as_str()).collect();
    if is_synthetic {
        // Answers of providers in other languages are rejected.
        languages.insert(DEFAULT_LANGUAGE);
    }
    writeln!(out, "---\npretty_name: {name}\nlicense: unknown")?;
    if !languages.is_empty() {
        writeln!(out, "language:")?;
    }
    for language in languages {
        // Quoted, because YAML takes the Norwegian `no` for a truth value.
        writeln!(out, "- \"{language}\"")?;
    }
    writeln!(
        out,
        "task_categories:\n- table-question-answering\n- text-generation\nsize_categories:\n- {size}\ntags:\n- pose-estimation\n- biomechanics\n- posedata"
    )?;
    if is_synthetic {
        writeln!(out, "- synthetic")?;
    }
    let splits = HUB_SPLITS
        .iter()
        .filter(|(split, _)| stats.by_split.get(split.name()).is_some_and(|n| *n > 0));
    for (index, (split, hub_name)) in splits.enumerate() {
        if index == 0 {
            writeln!(out, "configs:\n- config_name: default\n  data_files:")?;
        }
        let file = format!("{}.parquet", split.name());
        writeln!(out, "  - split: {hub_name}\n    path: {file}")?;
    }
    writeln!(out, "---\n")
}

fn write_counts(
    out: &mut String,
    what: &str,
    counts: &std::collections::BTreeMap<String, std::collections::BTreeMap<&'static str, u64>>,
) -> std::fmt::Result {
    let has_tests = counts
        .values()
        .any(|splits| splits.contains_key(Split::Test.name()));
    let shown = match has_tests {
        true => &Split::ALL[..],
        false => &[Split::Train, Split::Valid][..],
    };
    let names: Vec<&str> = shown.iter().map(|split| split.name()).collect();
    writeln!(
        out,
        "| {what} | {} |\n|---{}|",
        names.join(" | "),
        "|---:".repeat(names.len())
    )?;
    for (name, splits) in counts {
        let count = |split: &Split| splits.get(split.name()).copied().unwrap_or(0);
        let counts: Vec<String> = shown.iter().map(|s| count(s).to_string()).collect();
        writeln!(out, "| {name} | {} |", counts.join(" | "))?;
    }
    writeln!(out)
}

fn write_tokens(out: &mut String, manifest: &Manifest, stats: &Stats) -> std::fmt::Result {
    let tokens = &stats.tokens;
    writeln!(out, "## Tokens\n")?;
    writeln!(
        out,
        "Counted with the tokenizer and chat template of {} (BLAKE3 {}): {} tokens, {} of them in\nanswers, which alone the loss sees. A chat has {:.0} on average, {} in the median, {} at the\n95th percentile, {} at most ({} were allowed).\n",
        manifest.base,
        short(&manifest.tokenizer_blake3),
        tokens.total,
        tokens.in_answers,
        tokens.mean,
        tokens.median,
        tokens.p95,
        tokens.max,
        manifest.max_tokens,
    )?;
    let most = tokens.histogram.iter().map(|bin| bin.examples).max();
    let most = most.unwrap_or(0).max(1);
    writeln!(out, "```text\n     tokens     chats")?;
    for Bin {
        from,
        to,
        examples: chats,
    } in &tokens.histogram
    {
        let bar = "#".repeat((chats * BAR_WIDTH).div_ceil(most) as usize);
        writeln!(
            out,
            "{}",
            format!("{from:5}-{:<5} {chats:8} {bar}", to - 1).trim_end()
        )?;
    }
    writeln!(out, "```\n")
}

fn write_sources(out: &mut String, manifest: &Manifest, stats: &Stats) -> std::fmt::Result {
    writeln!(out, "## Where it comes from\n")?;
    writeln!(
        out,
        "Facts are rows of the lake's snapshot {}, chosen with seed {}; the same snapshot, recipes and seed\ngive the same bytes. Every number in a prompt or an answer of a recipe was computed by its SQL.\n",
        manifest.lake_snapshot, manifest.seed
    )?;
    writeln!(
        out,
        "| recipe | what | weight | SQL | template | rows | too long | equal | nearly equal | not drawn | kept |"
    )?;
    writeln!(out, "|---|---|---:|---|---|---:|---:|---:|---:|---:|---:|")?;
    for recipe in &manifest.recipes {
        let funnel = &recipe.funnel;
        writeln!(
            out,
            "| {} | {} | {} | `{}` | `{}` | {} | {} | {} | {} | {} | {} |",
            recipe.task,
            recipe.about,
            recipe.weight,
            short(&recipe.sql_blake3),
            short(&recipe.template_blake3),
            funnel.rows,
            funnel.over_token_budget,
            funnel.duplicates,
            funnel.near_duplicates,
            funnel.not_sampled,
            funnel.kept,
        )?;
    }
    writeln!(
        out,
        "\nHashes are BLAKE3, their first {HASH_DIGITS} digits; the files themselves are in `recipes/`. Two examples of a task\ncount as nearly equal when {} of their facts or more are the same.\n",
        manifest.near_duplicate_threshold
    )?;
    writeln!(
        out,
        "| video | sport | subject | split | pose model |\n|---|---|---|---|---|"
    )?;
    for video in &manifest.videos {
        writeln!(
            out,
            "| {} (`{}`) | {} | {} | {} | {} (`{}`) |",
            one_line(&video.file_name).replace('|', "\\|"),
            short(&video.video_id),
            video.sport,
            video.subject.as_deref().unwrap_or("-"),
            video.split.name(),
            video.pose_model,
            short(&video.pose_model_sha256),
        )?;
    }
    writeln!(
        out,
        "\nA video is in one split only, and so are all videos of a subject. {} videos train, {} validate{}.\n",
        stats.videos["train"],
        stats.videos["valid"],
        match stats.videos.get(Split::Test.name()) {
            Some(videos) => format!(", {videos} test"),
            None => String::new(),
        }
    )?;
    for round in &manifest.synth {
        writeln!(
            out,
            "- `{}` wrote {} examples; {} of its answers were rejected.",
            round.origin,
            round.accepted,
            round.rejected.values().sum::<u64>()
        )?;
    }
    if !manifest.synth.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

fn write_limits(out: &mut String, manifest: &Manifest, stats: &Stats) -> std::fmt::Result {
    writeln!(out, "## Licence and limits\n")?;
    writeln!(
        out,
        "- posedata puts no licence on this dataset: it shows how the people in the videos move, and what may be\n  done with it is for them and for the owners of the videos to say. It names video files."
    )?;
    writeln!(
        out,
        "- Poses come from BlazePose (Apache-2.0), one camera, without calibration unless the recipe says otherwise:\n  angles and speeds are estimates, and no examples here are medical advice."
    )?;
    if stats.by_origin.keys().any(|origin| origin != RECIPE_ORIGIN) {
        writeln!(
            out,
            "- Examples of another origin than `{RECIPE_ORIGIN}` were written by a provider's model; its terms of use apply to\n  them. Their numbers were checked against the facts, their judgement was not."
        )?;
    }
    if stats.videos["valid"] == 0 && manifest.valid_fraction > 0.0 {
        writeln!(
            out,
            "- There is no validation split: all videos show the same subject, or there is only one."
        )?;
    }
    writeln!(out)
}

/// One example of each task.
fn write_examples(out: &mut String, examples: &[Example]) -> std::fmt::Result {
    writeln!(out, "## An example of each task\n")?;
    let mut seen = std::collections::BTreeMap::new();
    for chat in Chat::of_all(examples) {
        seen.entry(&chat.first().task).or_insert(chat);
    }
    for (task, chat) in seen {
        writeln!(out, "### {task} ({})\n\n```text", chat.id())?;
        for message in chat.messages() {
            writeln!(out, "{}: {}", message.role.name(), message.content)?;
        }
        writeln!(out, "```\n")?;
    }
    Ok(())
}

fn short(hash: &str) -> String {
    hash.chars().take(HASH_DIGITS).collect()
}
