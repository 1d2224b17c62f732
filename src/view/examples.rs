//! Examples of datasets that speak of a video.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::problem::Problem;
use super::rows::rows;
use super::videos::Video;
use crate::query::Session;

/// Examples of one answer.
pub const MAX_EXAMPLES: u64 = 200;

/// An example, as the lake has it.
#[derive(Deserialize, Serialize)]
struct Example {
    example_id: String,
    dataset: String,
    task: String,
    split: String,
    origin: String,
    person: u16,
    frame_start: u64,
    frame_end: u64,
    facts: Value,
    system: String,
    question: String,
    data: String,
    answer: String,
    prompt_tokens: u64,
    answer_tokens: u64,
    #[serde(default)]
    trace: String,
}

impl Example {
    /// With facts as JSON, and the command that tells more.
    fn finished(mut self) -> Self {
        if let Value::String(text) = &self.facts
            && let Ok(facts) = serde_json::from_str(text)
        {
            self.facts = facts;
        }
        self.trace = format!(
            "posedata dataset trace {} {}",
            word(&self.dataset),
            self.example_id
        );
        self
    }
}

/// A name as a shell takes it for one word.
fn word(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.into(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    }
}

/// The examples of a video, of one dataset or of all.
///
/// # Errors
/// When the lake cannot be read.
pub fn examples(
    session: &Session,
    video: &Video,
    dataset: Option<&str>,
    offset: u64,
    limit: u64,
) -> Result<Value, Problem> {
    const DATASETS: &str = "-- param id text
SELECT dataset, count(*) AS examples FROM examples WHERE video_id = $id GROUP BY dataset ORDER BY dataset";
    const EXAMPLES: &str = "-- param id text
-- param dataset text
-- param skipped integer
-- param most integer
SELECT * EXCLUDE (video_id, sport, prompt_hash) FROM examples
WHERE video_id = $id AND ($dataset = '' OR dataset = $dataset)
ORDER BY dataset, example_id LIMIT $most OFFSET $skipped";
    #[derive(Deserialize, Serialize)]
    struct Dataset {
        dataset: String,
        examples: u64,
    }
    let id = video.video_id.as_str();
    let datasets: Vec<Dataset> = rows(session, DATASETS, &[("id", id)])?;
    let of_dataset = datasets
        .iter()
        .filter(|found| dataset.is_none_or(|wanted| found.dataset == wanted));
    let total: u64 = of_dataset.map(|found| found.examples).sum();
    let (skipped, most) = (offset.to_string(), limit.to_string());
    let params = [
        ("id", id),
        ("dataset", dataset.unwrap_or_default()),
        ("skipped", &skipped),
        ("most", &most),
    ];
    let examples: Vec<Example> = rows(session, EXAMPLES, &params)?;
    let examples: Vec<Example> = examples.into_iter().map(Example::finished).collect();
    Ok(json!({ "datasets": datasets, "total": total, "examples": examples }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_word_for_a_shell() {
        assert_eq!(word("gait-1.2"), "gait-1.2");
        assert_eq!(word("my set"), "'my set'");
        assert_eq!(word("it's; rm -rf"), r"'it'\''s; rm -rf'");
        assert_eq!(word(""), "''");
    }
}
