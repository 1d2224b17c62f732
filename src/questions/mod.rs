//! Questions as files: what `posedata ask` can answer. A question is a pair of files, `NAME.sql` with
//! typed parameters in its header and `NAME.jinja` with paraphrases and the answer's words.
//!
//! A [`Call`] names a question and the values of its parameters. Which calls are possible for what
//! somebody asked says the [`Grammar`]; [`answer`] runs a call in a sealed session and fills the
//! answer in. Whoever chooses among the calls is not known here; no number comes from them but those
//! of the question.

mod answer;
mod body;
mod call;
mod error;
mod examples;
mod file;
mod grammar;
mod inventory;
mod mentions;
mod nearest;
mod noise;
mod phrases;
mod question;
mod tokens;
mod words;

pub use answer::{Answer, Context, NamedValue, answer, cannot_tell, refusal};
pub use call::Call;
pub use error::QuestionError;
pub use examples::{CALL_SYSTEM, CallsConfig, build_calls, is_question_folder, prompt_of};
pub use file::QuestionFiles;
pub use grammar::{Grammar, Place};
pub use inventory::{Inventory, KnownVideo};
pub use mentions::Mentions;
pub use nearest::Paraphrases;
pub use question::{CANNOT_TELL, Question};
