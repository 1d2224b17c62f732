//! What a model is asked: another question and answer about the data of an example.

use super::provider::Prompt;
use crate::dataset::Example;

/// Marks around the data, so that nothing in it is read as an instruction.
pub const DATA_BEGIN: &str = "<data>";
/// As [`DATA_BEGIN`].
pub const DATA_END: &str = "</data>";

const SYSTEM: &str = "You write training examples for a small language model that answers questions about \
human motion measured from video. You are given one table of measurements and an example of a question \
with its answer. You write one new question about the same table, and its answer.

Rules:
- Every number in the question and in the answer is in the data, or is computed from it: a minimum, \
maximum, mean, median or range of a column, a difference between left and right, or from first to last. \
Use no other number: no typical values, no thresholds, no norms of your own.
- Copy numbers with the decimals that the data has, and give each its unit.
- Call columns by their names in words (left knee, not left_knee_deg). Name the column that a number belongs to in \
the same sentence.
- State only what the data shows. Guess no cause, no injury, no skill. If the data cannot tell, the answer says so.
- Write plain English, one to five sentences for the answer. No lists, no headings, no remarks about these rules.
- The question must make sense to someone who sees only the question and the data.";

/// Ways to ask, so that one table gives several different examples.
const ANGLES: [&str; 8] = [
    "Ask for one value at one moment.",
    "Ask for the highest or lowest value of a column, and when it occurs.",
    "Ask for a comparison of two columns, or of the left and the right side.",
    "Ask how a value changes from the beginning to the end.",
    "Ask for a summary of what the table shows; answer in two or three sentences.",
    "Ask as a coach would who wants to know what stands out.",
    "Ask something that these columns cannot tell, and explain in the answer what is missing.",
    "Ask whether a statement about the data is true; answer with the numbers that decide it.",
];

/// The prompt for the `round`-th new question about an example (from 0); no two rounds ask the same.
/// `first` chooses the way of asking that the rounds begin with.
pub(super) fn prompt_for(example: &Example, first: u64, round: usize) -> Prompt {
    let first = (first % ANGLES.len() as u64) as usize;
    let angle = ANGLES[(first + round) % ANGLES.len()];
    let facts = if example.data.is_empty() {
        example.facts.to_string()
    } else {
        example.data.clone()
    };
    let repetition = match round / ANGLES.len() {
        0 => String::new(),
        n => format!(
            "\nThis is request {} of this kind about this table: choose values and words that are not the obvious ones.",
            n + 1
        ),
    };
    let context = if example.system.is_empty() {
        String::new()
    } else {
        format!("What the small model is told: {}\n\n", example.system)
    };
    let user = format!(
        "{context}Sport: {}. The example below is of the task \"{}\".\n\n{DATA_BEGIN}\n{}\n{DATA_END}\n\n\
         Example question: {}\nExample answer: {}\n\n{angle}{repetition}",
        example.lineage.sport,
        example.task,
        facts.trim_end(),
        example.question,
        example.reply(),
    );
    Prompt {
        system: SYSTEM.to_owned(),
        user,
    }
}
