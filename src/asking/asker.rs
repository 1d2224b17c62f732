//! From what somebody types to an answer.

use std::path::Path;
use std::sync::Arc;

use super::AskError;
use super::record::AskRecord;
use crate::lake::Lake;
use crate::language::NextTurn;
use crate::llama::constrained::{Reading, TextGrammar, readings};
use crate::llama::{Adapter, Decoder, LoadedModel};
use crate::query::{ExternalAccess, Session};
use crate::questions::{
    Answer, CANNOT_TELL, Call, Context, Grammar, Inventory, Mentions, Paraphrases, Place,
    QuestionFiles, answer, cannot_tell, prompt_of, refusal,
};
use crate::sync::Cancellation;

/// Longest question, in characters.
const MAX_CHARS: usize = 500;
/// Most tokens of a call.
const MAX_CALL_TOKENS: usize = 512;
/// Why nothing can be told where no reading is sure enough.
const NOTHING_FITS: &str = "none of the questions fits what is asked";
/// Why nothing can be told where something is named that no question takes.
const LEFT_OVER: &str = "no question takes all that is named; frames, shares, parts of a clip and several people at once are not among what can be asked";

impl TextGrammar for Grammar {
    type Place = Place;

    fn start(&self) -> Place {
        Self::start(self)
    }

    fn next(&self, place: &Place) -> Vec<(String, Place)> {
        Self::next(self, place)
    }

    fn may_end(&self, place: &Place) -> bool {
        Self::may_end(self, place)
    }

    fn weight(&self, place: &Place) -> f64 {
        Self::weight(self, place)
    }
}

/// What was asked before, and what a question may leave unsaid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// The call of the question before.
    pub previous: Option<Call>,
    /// The video and person that are meant where none is named.
    pub context: Context,
}

/// An answer, with the readings it was chosen from.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What to say.
    pub answer: Answer,
    /// What the question may mean, the likeliest first; at most two.
    pub readings: Vec<Reading>,
}

/// How a question was understood.
struct Understood {
    mentions: Mentions,
    /// The likeliest first.
    readings: Vec<Reading>,
    /// Whether it names something that no question takes, and no words of it say why.
    is_left_over: bool,
}

impl Understood {
    /// Whether nothing can be told, whatever is meant.
    fn is_refusal(&self) -> bool {
        let is_refusal =
            |reading: &Reading| reading.text.split_whitespace().next() == Some(CANNOT_TELL);
        self.readings.iter().all(is_refusal)
    }

    /// Why nothing can be told, where no reading says it surely enough.
    fn why_refused(&self) -> &'static str {
        match self.is_left_over {
            true => LEFT_OVER,
            false => NOTHING_FITS,
        }
    }
}

/// A model that chooses calls, and a lake to run them in.
pub struct Asker {
    model: LoadedModel,
    adapter: Adapter,
    record: AskRecord,
    files: QuestionFiles,
    paraphrases: Paraphrases,
    session: Session,
    inventory: Inventory,
    cancellation: Cancellation,
}

impl Asker {
    /// Loads an adapter that writes calls, and looks at what the lake has.
    ///
    /// # Errors
    /// When the adapter is made for something else, or the lake or a question's file is broken.
    pub fn new(
        model: LoadedModel,
        adapter: &Path,
        questions: &Path,
        lake: Lake,
        cancellation: &Cancellation,
    ) -> Result<Self, AskError> {
        let record = AskRecord::of_adapter(adapter)?;
        let files = QuestionFiles::load(questions)?;
        let session = Session::open(lake, None, ExternalAccess::Denied)
            .map_err(crate::questions::QuestionError::from)?
            .interrupted_by(cancellation);
        Ok(Self {
            adapter: model.adapter(adapter)?,
            inventory: Inventory::of(&session)?,
            cancellation: cancellation.clone(),
            paraphrases: Paraphrases::of(&files)?,
            model,
            record,
            files,
            session,
        })
    }

    /// The questions that can be asked.
    pub fn files(&self) -> &QuestionFiles {
        &self.files
    }

    /// The base that chooses.
    pub fn model(&self) -> &LoadedModel {
        &self.model
    }

    /// What can be named.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Answers a question, and says in `turn` what the next one may go on from.
    ///
    /// # Errors
    /// When the question is empty or too long, names a video that is not there, or a file is broken.
    pub fn ask(&self, question: &str, turn: &mut Turn) -> Result<Reply, AskError> {
        let understood = self.understood(question, turn.previous.as_ref(), None)?;
        let Some(best) = understood.readings.first() else {
            return Ok(Reply {
                answer: refusal("Nothing that can be asked fits."),
                readings: understood.readings,
            });
        };
        let mut call = self.files.call(&best.text)?;
        let open = self.open_point(&understood.mentions, &mut call, &turn.context);
        let is_open = open.is_some();
        let mut found = match open {
            Some(asked_back) => asked_back,
            None if best.probability < self.record.threshold && understood.is_refusal() => {
                refusal(cannot_tell(&self.files, understood.why_refused()))
            }
            None if best.probability < self.record.threshold => asks_back(&understood.readings),
            None => answer(
                &self.files,
                &self.session,
                &self.inventory,
                &call,
                &turn.context,
            )?,
        };
        if call.question == CANNOT_TELL && understood.is_left_over {
            found.answer = cannot_tell(&self.files, understood.why_refused());
        }
        found.probability = Some(best.probability);
        if found.video.is_some() {
            turn.context.video.clone_from(&found.video);
        }
        // What only lacks a video or a side is asked again with its name alone.
        let is_understood = found.call.is_some() || is_open;
        if is_understood && call.question != CANNOT_TELL {
            turn.previous = Some(call);
        }
        Ok(Reply {
            answer: found,
            readings: understood.readings,
        })
    }

    /// What has to be asked back before a call can be run: one side is as good as the other, or one
    /// video as another. The video that is spoken of anyway is taken.
    fn open_point(
        &self,
        mentions: &Mentions,
        call: &mut Call,
        context: &Context,
    ) -> Option<Answer> {
        let question = self.files.find(&call.question)?;
        if let Some(other) = mentions.other_side(question, call) {
            return Some(asks_for_side(call, &other));
        }
        let labels = mentions.namesakes(call)?;
        let spoken_of = context.video.as_deref();
        let spoken_of = spoken_of.and_then(|name| self.inventory.video(name));
        match spoken_of.filter(|video| labels.contains(&video.label)) {
            Some(video) if !question.has("other_video") => {
                for (_, label) in call.slots.iter_mut().filter(|(name, _)| name == "video") {
                    label.clone_from(&video.label);
                }
                None
            }
            _ => {
                call.slots.retain(|(name, _)| name != "video");
                Some(asks_for_video(call, labels))
            }
        }
    }

    /// The call that a question means, one of the question file `only` where it can be one; `None`
    /// where that is not sure enough.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn call(
        &self,
        question: &str,
        turn: &Turn,
        only: Option<&str>,
    ) -> Result<Option<Call>, AskError> {
        let understood = self.understood(question, turn.previous.as_ref(), only)?;
        let best = understood.readings.first();
        let Some(best) = best.filter(|best| best.probability >= self.record.threshold) else {
            return Ok(None);
        };
        let mut call = self.files.call(&best.text)?;
        if self
            .open_point(&understood.mentions, &mut call, &turn.context)
            .is_some()
        {
            return Ok(None);
        }
        // Whoever runs the call knows nothing of the questions before.
        let has_video = self.files.find(&call.question);
        let has_video = has_video.is_some_and(|question| question.has("video"));
        let spoken_of = turn.context.video.as_deref();
        let spoken_of = spoken_of.and_then(|name| self.inventory.video(name));
        if let Some(video) = spoken_of.filter(|_| has_video && call.value("video").is_none()) {
            call.slots.push(("video".into(), video.label.clone()));
        }
        Ok(Some(call))
    }

    /// Runs a call that somebody wrote.
    ///
    /// # Errors
    /// When it is none, or a file is broken.
    pub fn run(&self, call: &str, context: &Context) -> Result<Answer, AskError> {
        let call = self.files.call(call)?;
        Ok(answer(
            &self.files,
            &self.session,
            &self.inventory,
            &call,
            context,
        )?)
    }

    /// What a question names, and what it may mean, the likeliest first.
    fn understood(
        &self,
        question: &str,
        previous: Option<&Call>,
        only: Option<&str>,
    ) -> Result<Understood, AskError> {
        let question = question.split_whitespace().collect::<Vec<_>>().join(" ");
        let chars = question.chars().count();
        if question.is_empty() {
            return Err(AskError::Empty);
        }
        if chars > MAX_CHARS {
            return Err(AskError::TooLong {
                chars,
                most: MAX_CHARS,
            });
        }
        let mentions = Mentions::of(&question, previous, &self.inventory);
        if let Some(name) = mentions.unknown_videos.first() {
            return Err(AskError::NoVideo {
                near: self.inventory.names_near(name),
                name: name.clone(),
            });
        }
        let grammar = Grammar::new(&self.files, &mentions);
        let is_left_over = mentions.names_what_no_question_takes() && !grammar.is_refused();
        let grammar = match only {
            Some(name) => grammar.of_question(name),
            None => self
                .paraphrases
                .with_unseen(grammar, &question, &self.record.questions),
        };
        let readings = choose(
            &self.model,
            &self.adapter,
            &grammar,
            &question,
            previous,
            &self.cancellation,
        )?;
        Ok(Understood {
            mentions,
            readings,
            is_left_over,
        })
    }
}

/// The likeliest calls of a grammar for a question.
pub(super) fn choose(
    model: &LoadedModel,
    adapter: &Adapter,
    grammar: &Grammar,
    question: &str,
    previous: Option<&Call>,
    cancellation: &Cancellation,
) -> Result<Vec<Reading>, AskError> {
    let tokenizer = &model.tokenizer;
    let text = tokenizer
        .render(&prompt_of(previous, question), NextTurn::Assistant)
        .map_err(crate::llama::constrained::ConstrainedError::from)?;
    let prompt = tokenizer
        .tokens(&text)
        .map_err(crate::llama::constrained::ConstrainedError::from)?;
    let most = model
        .weights
        .config
        .max_positions
        .min(prompt.len() + MAX_CALL_TOKENS);
    let decoder = Decoder::new(Arc::clone(&model.weights), Some(adapter), most)?;
    let mut decoder = decoder.cancelled_by(cancellation);
    Ok(readings(
        &mut decoder,
        tokenizer,
        &prompt,
        &model.end_ids,
        grammar,
    )?)
}

/// One side is as good as the other: both, to choose from.
fn asks_for_side(call: &Call, other: &Call) -> Answer {
    refusal(format!(
        "Which side is meant, the left or the right? Is it one of these?\n  {call}\n  {other}\nSay the side, or give the line itself with --call."
    ))
}

/// One video is as good as another: all of them, to choose from.
fn asks_for_video(call: &Call, labels: &[String]) -> Answer {
    let lines: Vec<String> = labels
        .iter()
        .map(|label| format!("  {call} video={label}"))
        .collect();
    refusal(format!(
        "Which of these videos is meant?\n{}\nName one, or give the line itself with --call.",
        lines.join("\n")
    ))
}

/// Not sure enough: the two likeliest readings, to choose from.
fn asks_back(readings: &[Reading]) -> Answer {
    let lines: Vec<String> = readings
        .iter()
        .map(|reading| format!("  {}  ({:.0} %)", reading.text, 100.0 * reading.probability))
        .collect();
    refusal(format!(
        "It is not clear enough what is asked. Is it one of these?\n{}\nSay it in other words, or give the line itself with --call.",
        lines.join("\n")
    ))
}
