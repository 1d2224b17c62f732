//! The model card: what an adapter is, what it was trained on, how well it answers, how to use it.
//! The front matter is that of PEFT's cards on the Hugging Face hub.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{Answer, Evaluation};
use crate::dataset::Written;

/// Answers that the card shows.
const SHOWN_ANSWERS: usize = 3;
/// Hex digits of hashes that the card shows.
const HASH_DIGITS: usize = 16;

/// What a card tells.
#[derive(Clone, Debug, Default)]
pub struct Card {
    /// Name of the adapter.
    pub name: String,
    /// As the user named the base model.
    pub base: String,
    /// The base model's repository on the Hugging Face hub, where it has one.
    pub repository: Option<String>,
    /// Settings of the training, the data among them: names and values.
    pub settings: Map<String, Value>,
    /// How the training went: names and values.
    pub training: Map<String, Value>,
    pub evaluation: Option<Evaluation>,
}

impl Card {
    /// The file `README.md`.
    pub fn text(&self) -> String {
        let mut card = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut card);
        card
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        self.write_front_matter(out)?;
        writeln!(
            out,
            "# {}\n\nA low-rank adapter (LoRA) of {} that answers questions about tables of pose data, made by posedata {}.\n",
            self.name,
            self.linked_base(),
            env!("CARGO_PKG_VERSION")
        )?;
        self.write_evaluation(out)?;
        self.write_values(out, "Settings", &self.settings)?;
        self.write_values(out, "Training", &self.training)?;
        self.write_use(out)?;
        self.write_limits(out)
    }

    fn linked_base(&self) -> String {
        match &self.repository {
            Some(repository) => format!("[{repository}](https://huggingface.co/{repository})"),
            None => format!("`{}`", self.base),
        }
    }

    fn write_front_matter(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "---")?;
        if let Some(repository) = &self.repository {
            writeln!(out, "base_model: {repository}")?;
        }
        writeln!(
            out,
            "library_name: peft\npipeline_tag: text-generation\ntags:"
        )?;
        if let Some(repository) = &self.repository {
            writeln!(out, "- base_model:adapter:{repository}")?;
        }
        writeln!(
            out,
            "- lora\n- pose-estimation\n- biomechanics\n- posedata\n---\n"
        )
    }

    fn write_evaluation(&self, out: &mut String) -> std::fmt::Result {
        let Some(evaluation) = &self.evaluation else {
            return writeln!(
                out,
                "## Evaluation\n\nNot yet examined: `posedata eval` asks base and adapter the same questions.\n"
            );
        };
        let Evaluation {
            dataset,
            dataset_blake3,
            lake_snapshot,
            sample,
            videos,
            precision,
            numeric,
            all,
            ..
        } = evaluation;
        writeln!(
            out,
            "## Evaluation\n\n**Numeric questions: {}.** The share is {} (95 %, Wilson). All questions: {}.\n",
            numeric.in_words(),
            numeric.interval_in_percent(),
            all.in_words()
        )?;
        writeln!(
            out,
            "At most {} examples of each task of the {} split of the dataset `{dataset}` (snapshot {lake_snapshot} of the lake, BLAKE3 `{}`), drawn with seed {}, answered greedily (weights in {precision}). Where an answer begins with steps, only what follows them is judged, and without the mark that ends them it is wrong. A number is right within half a unit of the last digit that the known answer gives; all numbers asked for must be there, and no others of their kind. Lists are compared as sets, other answers word by word. F1 is that of the numbers, list entries or words; perplexity is that of the known answers' tokens.\n",
            sample.per_task,
            sample.split.name(),
            dataset_blake3.get(..HASH_DIGITS).unwrap_or(dataset_blake3),
            sample.seed
        )?;
        if !videos.is_empty() {
            let names: Vec<String> = videos.iter().map(|name| one_line(name)).collect();
            writeln!(out, "Videos asked about: {}.\n", names.join(", "))?;
        }
        writeln!(out, "| {} |", Evaluation::COLUMNS.join(" | "))?;
        writeln!(
            out,
            "|---{}|",
            "|---:".repeat(Evaluation::COLUMNS.len() - 1)
        )?;
        for row in evaluation.rows() {
            writeln!(out, "| {} |", row.join(" | "))?;
        }
        writeln!(out)?;
        let mut shown = evaluation.answers.iter().filter(|a| a.adapter.is_right);
        let mut tasks = Vec::new();
        while let Some(answered) = shown.find(|a| !tasks.contains(&&a.task)) {
            tasks.push(&answered.task);
            let said = |answer: &Answer| one_line(Written::of(&answer.text).answer);
            writeln!(
                out,
                "- {}\n  - known: {}\n  - adapter: {}",
                one_line(&answered.question),
                one_line(&answered.known_answer),
                said(&answered.adapter)
            )?;
            if let Some(base) = &answered.base {
                writeln!(out, "  - base: {}", said(base))?;
            }
            if tasks.len() == SHOWN_ANSWERS {
                break;
            }
        }
        if tasks.is_empty() {
            return Ok(());
        }
        writeln!(out)
    }

    fn write_values(
        &self,
        out: &mut String,
        title: &str,
        values: &Map<String, Value>,
    ) -> std::fmt::Result {
        let mut shown = values
            .iter()
            .filter(|(_, value)| !value.is_null())
            .peekable();
        if shown.peek().is_none() {
            return Ok(());
        }
        writeln!(out, "## {title}\n\n| | |\n|---|---|")?;
        for (name, value) in shown {
            let value = match value {
                Value::String(text) => one_line(text),
                value => value.to_string(),
            };
            writeln!(out, "| {} | {value} |", name.replace('_', " "))?;
        }
        writeln!(out)
    }

    fn write_use(&self, out: &mut String) -> std::fmt::Result {
        let (name, base) = (&self.name, &self.base);
        writeln!(
            out,
            "## Use\n\n```sh\nposedata ask --base {base} --adapter {name} \"What is the range of motion of the left knee?\" \\\n    --video clip.mp4 --from 1.0 --to 2.5\n```\n"
        )?;
        let repository = self.repository.as_ref().unwrap_or(base);
        writeln!(
            out,
            "With PEFT:\n\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\nbase = AutoModelForCausalLM.from_pretrained(\"{repository}\")\nmodel = PeftModel.from_pretrained(base, \"{name}\")\ntokenizer = AutoTokenizer.from_pretrained(\"{name}\")\n```\n"
        )
    }

    fn write_limits(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "## Limits\n\n- It reads the tables that posedata lays out, in English; other tables and questions are beyond what it learned.\n- It can misread and miscalculate: whatever matters is to be checked against the table.\n- Poses come from one camera and are estimates; no answer is medical advice.\n- The base model's licence applies to the base model; the dataset shows how the people in its videos move."
        )
    }
}

/// Text for a table's cell or a list.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::super::{Answered, EvaluationSetup, Sample};
    use super::*;
    use crate::dataset::{AnswerKind, Split};

    fn answer(text: &str, is_right: bool) -> Answer {
        Answer {
            text: text.into(),
            is_right,
            f1: f64::from(u8::from(is_right)),
            is_identical: is_right,
            nll: 4.0,
        }
    }

    fn evaluation() -> Evaluation {
        let answered = |id: &str, base_is_right: bool| Answered {
            id: id.into(),
            task: "read_value".into(),
            kind: AnswerKind::Number,
            question: "How large?".into(),
            known_answer: "12 deg.".into(),
            known_tokens: 4,
            base: Some(answer("A | B", base_is_right)),
            adapter: answer("12\ndeg.", true),
        };
        let answers = vec![
            answered("1", true),
            answered("2", false),
            answered("3", false),
        ];
        let setting = EvaluationSetup {
            base: "smollm2".into(),
            adapter: "gait".into(),
            adapter_blake3: "cd34".into(),
            precision: "f32".into(),
            sample: Sample {
                split: Split::Valid,
                per_task: 3,
                seed: 0,
            },
            videos: vec!["demo.mp4".into()],
        };
        Evaluation::new(setting, "gait", "0123456789abcdef0123", 7, answers, 1.0)
    }

    #[test]
    fn cards_tell_what_is_known() {
        let settings = serde_json::json!({ "lora_r": 8, "max_steps": null, "note": "a | b" });
        let card = Card {
            name: "gait".into(),
            base: "smollm2".into(),
            repository: Some("HuggingFaceTB/SmolLM2-135M-Instruct".into()),
            settings: settings.as_object().expect("an object").clone(),
            evaluation: Some(evaluation()),
            ..Card::default()
        };
        let text = card.text();
        assert!(text.starts_with(
            "---\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\nlibrary_name: peft\n"
        ));
        for part in [
            "**Numeric questions: 3 of 3 right with the adapter, 1 of 3 without, 3.0 times as many.**",
            "| read_value | 3 | 1 | 3 | 44-100 % | 0.33 | 1.00 | 2.72 | 2.72 |\n",
            "Videos asked about: demo.mp4.",
            "BLAKE3 `0123456789abcdef`",
            "| lora r | 8 |\n| note | a \\| b |\n",
            "  - adapter: 12 deg.\n  - base: A \\| B\n",
            "- base_model:adapter:HuggingFaceTB/SmolLM2-135M-Instruct\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("max steps"));
    }

    #[test]
    fn a_card_without_an_evaluation_says_so() {
        let card = Card {
            name: "gait".into(),
            base: "./my-llama".into(),
            ..Card::default()
        };
        let text = card.text();
        assert!(text.contains("Not yet examined"));
        assert!(!text.contains("base_model:"));
        assert!(text.contains("from_pretrained(\"./my-llama\")"));
    }
}
