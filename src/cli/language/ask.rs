//! `posedata ask`: answers questions about the lake. A language model chooses the query, the lake
//! computes the numbers; with `--recipe` the model reads a table and answers by itself.

use std::io::{BufRead, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::language_model::{ModelArgs, tell_other_base};
use crate::asking::{AskError, Asker, Reply, Turn, newest_adapter};
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::dataset::{ANSWER_MARK, AnswerStream, Scene, SceneTable, Span, Written, prompt};
use crate::lake::Lake;
use crate::llama::LoadedModel;
use crate::llama::generate::{Choice, End, Generated};
use crate::query::{ExternalAccess, Session};
use crate::questions::{Answer, Context, Inventory, QuestionFiles, answer};
use crate::resources::DatabaseUse;

/// The recipe of a table is the one whose questions are nearest.
const NEAREST: &str = "nearest";
/// The model is shown no table.
const NO_TABLE: &str = "none";

/// Ask a question about the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata ask \"When is the right knee most bent in demo.mp4?\"
  posedata ask \"How far does the left elbow move between 1 and 2.5 s?\" --video demo.mp4 --show-sql
  posedata ask \"Which of my runners leans forward most?\" --json
  posedata ask                     # several questions in a row; \"and the left one?\" goes on from the last
  posedata ask --call \"extreme joint=right_knee which=smallest video=demo.mp4\"
  posedata ask --recipe nearest --adapter llm_models/gait \"How far does the left knee move?\" --video demo.mp4
  posedata ask --recipe none \"What is a lunge?\" --temperature 0.8 --seed 7

The model chooses one of the queries in queries/ask and its values; the lake computes the answer. No
number comes from the model. What no query fits is refused, and where two are nearly as likely it
asks back. `make demo-ask` trains the adapter that chooses.

With --recipe NAME the model is shown a table of what the lake knows, laid out by that recipe of
`posedata dataset build` (nearest: the one whose questions are nearest; none: no table), and answers
by itself. The table goes to standard error, the answer to standard output. Where the recipe's answers
begin with steps, only what follows them is shown.")]
pub struct AskArgs {
    /// The question; without one, questions are read from standard input, a line each
    #[arg(value_name = "QUESTION", conflicts_with = "call")]
    question: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of an adapter, as `posedata train` and PEFT write them [default: the newest that chooses
    /// queries; with --recipe the base alone]
    #[arg(long, value_name = "DIR", value_parser = choices::local_path())]
    adapter: Option<PathBuf>,
    /// Folder of adapters
    #[arg(
        long,
        visible_alias = "llm_models",
        value_name = "DIR",
        default_value = "llm_models",
        value_parser = choices::local_path()
    )]
    llm_models: PathBuf,
    /// Folder of questions: pairs of NAME.sql and NAME.jinja
    #[arg(long, value_name = "DIR", default_value = "queries/ask", value_parser = choices::local_path())]
    questions: PathBuf,
    /// Run this call in place of a question; needs no model
    #[arg(long, value_name = "CALL")]
    call: Option<String>,
    /// Print the SQL that was run as well
    #[arg(long, conflicts_with = "recipe")]
    show_sql: bool,
    /// Video of the lake that the question is about where it names none: its file name, path or id
    #[arg(long, value_name = "VIDEO")]
    video: Option<String>,
    /// From when on, in seconds [default: the time that the question names, such as "at 1.5 s", or
    /// when the person is first seen]
    #[arg(long, value_name = "SECS", requires_all = ["video", "recipe"])]
    from: Option<f64>,
    /// Until when, in seconds [default: the last time that the question names, a second after the
    /// only one, or when the person is last seen]
    #[arg(long, value_name = "SECS", requires_all = ["video", "recipe"])]
    to: Option<f64>,
    /// Number of the person [default: the video's main person]
    #[arg(long, value_name = "N", requires = "video")]
    person: Option<u16>,
    /// Let the model read a table and answer by itself: the recipe that lays it out, nearest, or none
    #[arg(long, value_name = "NAME", conflicts_with = "call")]
    recipe: Option<String>,
    /// Folder of recipes
    #[arg(
        long,
        value_name = "DIR",
        default_value = "queries/instruct",
        requires = "recipe",
        value_parser = choices::local_path()
    )]
    recipes: PathBuf,
    /// Choose words by chance: below 1 likely ones more often, above 1 less [default: always the
    /// likeliest]
    #[arg(long, value_name = "T", value_parser = temperature, requires = "recipe")]
    temperature: Option<f64>,
    /// Choose only among the likeliest words that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = probability, requires = "temperature")]
    top_p: f64,
    /// Decides about chance
    #[arg(long, value_name = "N", default_value_t = 0, requires = "recipe")]
    seed: u64,
    /// Most tokens of the answer
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), requires = "recipe")]
    max_tokens: u32,
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 10.0 => Ok(value),
        _ => Err(
            "expected a number above 0, at most 10; leave it out for the likeliest words".into(),
        ),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1.0 => Ok(value),
        _ => Err("expected a number above 0, at most 1".into()),
    }
}

pub fn run(args: AskArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    if let Some(question) = &args.question {
        ensure!(!question.trim().is_empty(), "the question is empty");
    }
    match (&args.call, &args.recipe, &args.question) {
        (Some(call), ..) => run_call(&args, call, global),
        (_, Some(_), Some(question)) => read_table(&args, question, global),
        (_, Some(_), None) => anyhow::bail!("--recipe needs a question"),
        (_, None, Some(question)) => {
            let (asker, mut turn) = args.asker(global)?;
            let reply = asker.ask(question, &mut turn)?;
            args.tell(question, &reply, global)?;
            Ok(ExitStatus::Success)
        }
        (_, None, None) => several(&args, global),
    }
}

/// Questions line by line, each of which may go on from the one before.
fn several(args: &AskArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let (asker, mut turn) = args.asker(global)?;
    let is_prompted = std::io::stdin().is_terminal() && global.verbosity() > Verbosity::Quiet;
    let mut failed = 0;
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if is_prompted {
            logs::ask("? ")?;
        }
        let Some(line) = lines.next() else {
            break;
        };
        let line = line.context("cannot read the question from standard input")?;
        match line.trim() {
            "" => continue,
            "exit" | "quit" => break,
            question => match asker.ask(question, &mut turn) {
                Ok(reply) => args.tell(question, &reply, global)?,
                // The next question may be a better one.
                Err(
                    error @ (AskError::NoVideo { .. } | AskError::TooLong { .. } | AskError::Empty),
                ) => {
                    failed += 1;
                    logs::tell_error(&error.into());
                }
                Err(error) => return Err(error.into()),
            },
        }
    }
    ensure!(
        failed == 0 || is_prompted,
        "{failed} of the questions could not be asked"
    );
    Ok(ExitStatus::Success)
}

/// Runs a call that the user wrote.
fn run_call(args: &AskArgs, call: &str, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let files = QuestionFiles::load(&args.questions)?;
    let lake = global.open_lake(DatabaseUse::Query)?;
    let video_id = args.video_id(&lake)?;
    let session = Session::open(lake, None, ExternalAccess::Denied)?;
    let inventory = Inventory::of(&session)?;
    let turn = args.turn(&inventory, video_id.as_deref());
    let parsed = files.call(call)?;
    let answer = answer(&files, &session, &inventory, &parsed, &turn.context)?;
    args.tell_answer(call, &answer, global)?;
    Ok(ExitStatus::Success)
}

/// Shows the model a table, and prints what it says.
fn read_table(args: &AskArgs, question: &str, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let table = args.table(question, global)?;
    let is_shown = global.verbosity() > Verbosity::Quiet;
    if let Some(table) = table.as_ref().filter(|_| is_shown && !global.json) {
        logs::note_lines(format_args!(
            "table of the recipe {}, frames {} to {}:\n{}\n",
            table.recipe, table.frame_start, table.frame_end, table.data
        ));
    }
    let model = args.model.load(global)?;
    let generated = args.answer(question, &model, table.as_ref(), global)?;
    let has_work = table.as_ref().is_some_and(|table| table.has_work);
    let written = match has_work {
        true => Written::of(&generated.text),
        false => Written {
            work: None,
            answer: &generated.text,
        },
    };
    // Without the mark nobody knows whether there is an answer among the steps.
    let lacks_mark = has_work && written.work.is_none();
    if lacks_mark && generated.end != End::Interrupted {
        logs::note(format_args!(
            "no answer: the model wrote no line that begins with `{ANSWER_MARK}`, so steps and answer cannot be told apart; this is all that it wrote{}",
            match args.adapter {
                Some(_) => "",
                None => " (a base without an --adapter knows no steps)",
            }
        ));
    }
    if global.json {
        let result = serde_json::json!({
            "question": question,
            "table": table,
            "work": written.work,
            "answer": written.answer,
            "has_answer": !lacks_mark,
            "end": generated.end,
            "tokens": generated.ids.len(),
            "prompt_tokens": generated.prompt_tokens,
            "prefill_secs": generated.prefill_secs,
            "tokens_per_sec": generated.tokens_per_sec(),
        });
        print_result(serde_json::to_string_pretty(&result)?)?;
    } else {
        // Everything else was shown as it came.
        print_result(if lacks_mark { written.answer } else { "" })?;
        if is_shown {
            logs::note(summary(&generated));
        }
    }
    Ok(match generated.end {
        End::Interrupted => ExitStatus::Interrupted,
        End::Stop | End::MaxTokens | End::ContextFull => ExitStatus::Success,
    })
}

impl AskArgs {
    /// The model that chooses queries, with its adapter.
    fn asker(&self, global: &GlobalArgs) -> anyhow::Result<(Asker, Turn)> {
        let adapter = match &self.adapter {
            Some(adapter) => adapter.clone(),
            None => newest_adapter(&self.llm_models)?,
        };
        let lake = global.open_lake(DatabaseUse::Beside)?;
        let video_id = self.video_id(&lake)?;
        let model = self.model.load(global)?;
        tell_other_base(&model, &adapter, global)?;
        let cancellation = global.cancellation(None);
        let asker = Asker::new(model, &adapter, &self.questions, lake, &cancellation)?;
        let turn = self.turn(asker.inventory(), video_id.as_deref());
        Ok((asker, turn))
    }

    /// The id of the video of `--video`; a session that is open already would lose the lake by it.
    fn video_id(&self, lake: &Lake) -> anyhow::Result<Option<String>> {
        let Some(selector) = &self.video else {
            return Ok(None);
        };
        let videos = lake.find_videos(std::slice::from_ref(selector))?;
        Ok(videos.into_iter().next().map(|video| video.video_id))
    }

    /// What a question may leave unsaid.
    fn turn(&self, inventory: &Inventory, video_id: Option<&str>) -> Turn {
        let video = video_id.and_then(|id| inventory.video_of_id(id));
        Turn {
            previous: None,
            context: Context {
                video: video.map(|video| video.label.clone()),
                person: self.person.map(i64::from),
            },
        }
    }

    /// Prints an answer, and how the question was understood.
    fn tell(&self, question: &str, reply: &Reply, global: &GlobalArgs) -> anyhow::Result<()> {
        self.tell_answer(question, &reply.answer, global)?;
        let Some(best) = reply.readings.first() else {
            return Ok(());
        };
        if global.verbosity() > Verbosity::Quiet && !global.json {
            logs::note(format_args!(
                "understood as: {} (probability {:.2})",
                best.text, best.probability
            ));
        }
        Ok(())
    }

    fn tell_answer(
        &self,
        question: &str,
        answer: &Answer,
        global: &GlobalArgs,
    ) -> anyhow::Result<()> {
        if global.json {
            let mut result = serde_json::to_value(answer)?;
            result["question"] = question.into();
            return print_result(serde_json::to_string_pretty(&result)?);
        }
        print_result(&answer.answer)?;
        if let Some(sql) = answer.sql.as_ref().filter(|_| self.show_sql) {
            // The phrases of a question say nothing of what was computed.
            let lines = sql.lines().filter(|line| !line.starts_with("-- words"));
            let shown: Vec<&str> = lines.collect();
            print_result(format_args!("\n{}", shown.join("\n")))?;
        }
        Ok(())
    }

    /// What the lake knows of the video, as the model is shown it.
    fn table(&self, question: &str, global: &GlobalArgs) -> anyhow::Result<Option<SceneTable>> {
        let recipe = self.recipe.as_deref();
        let Some(video) = self.video.as_ref().filter(|_| recipe != Some(NO_TABLE)) else {
            return Ok(None);
        };
        let lake = global.open_lake(DatabaseUse::Beside)?;
        let span = match (self.from, self.to) {
            (None, None) => Span::AsAsked,
            (from, to) => Span::Secs { from, to },
        };
        let scene = Scene::find(&lake, video, self.person, span)?;
        let recipe = recipe.filter(|name| *name != NEAREST);
        Ok(Some(scene.table(&lake, &self.recipes, question, recipe)?))
    }

    fn choice(&self) -> Choice {
        match self.temperature {
            None => Choice::Greedy,
            Some(temperature) => Choice::Chance {
                temperature,
                top_p: self.top_p,
                seed: self.seed,
            },
        }
    }

    fn answer(
        &self,
        question: &str,
        model: &LoadedModel,
        table: Option<&SceneTable>,
        global: &GlobalArgs,
    ) -> anyhow::Result<Generated> {
        let adapter = match &self.adapter {
            Some(folder) => {
                tell_other_base(model, folder, global)?;
                Some(model.adapter(folder)?)
            }
            None => None,
        };
        let (system, data) = table.map_or(("", ""), |table| (&table.system, &table.data));
        let messages = prompt(system, question, data);
        let cancellation = global.cancellation(None);
        let mut stdout = std::io::stdout().lock();
        let is_streamed = !global.json;
        let has_work = table.is_some_and(|table| table.has_work);
        let mut after_work = AnswerStream::default();
        let generated = model.answer(
            adapter.as_ref(),
            &messages,
            self.choice(),
            self.max_tokens as usize,
            &cancellation,
            &mut |piece| {
                let shown = match has_work {
                    true => after_work.push(piece),
                    false => piece,
                };
                let is_read = !is_streamed
                    || write!(stdout, "{shown}")
                        .and_then(|()| stdout.flush())
                        .is_ok();
                // Whoever closed it has seen enough.
                match is_read {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            },
        );
        Ok(generated?)
    }
}

fn summary(generated: &Generated) -> String {
    let end = match generated.end {
        End::Stop => "",
        End::MaxTokens => ", cut off by --max-tokens",
        End::ContextFull => ", cut off because the model takes no longer texts",
        End::Interrupted => ", interrupted",
    };
    format!(
        "{} tokens, {:.1} tokens/s, {:.2} s for the prompt's {}{end}",
        generated.ids.len(),
        generated.tokens_per_sec(),
        generated.prefill_secs,
        generated.prompt_tokens
    )
}
