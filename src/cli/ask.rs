//! `posedata ask`: puts a question to a language model, with a table out of the lake.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use super::language_model::{ModelArgs, tell_other_base};
use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::dataset::{Scene, SceneTable, Span, prompt};
use crate::llama::LoadedModel;
use crate::llama::generate::{Choice, End, Generated};
use crate::resources::DatabaseUse;

/// Ask a model a question, with a table out of the lake
#[derive(Args)]
#[command(after_help = "Examples:
  posedata ask --base smollm2 --adapter llm_models/gait \"How far does the left knee move?\" --video demo.mp4
  posedata ask --adapter llm_models/gait \"When is the right elbow largest?\" --video demo.mp4 --from 1.0 --to 2.5
  posedata ask \"What is a lunge?\" --temperature 0.8 --seed 7

With --video, the model is shown a table of what the lake knows of those frames, laid out by the
recipe of `posedata dataset build` whose questions are nearest, or by --recipe. The table goes to
standard error, the answer to standard output.")]
pub struct AskArgs {
    /// The question
    #[arg(value_name = "QUESTION")]
    question: String,
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of an adapter, as `posedata train` and PEFT write them [default: the base alone]
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Video of the lake that the question is about: its file name, path or id
    #[arg(long, value_name = "VIDEO")]
    video: Option<String>,
    /// From when on, in seconds [default: the time that the question names, such as "at 1.5 s", or
    /// when the person is first seen]
    #[arg(long, value_name = "SECS", requires = "video")]
    from: Option<f64>,
    /// Until when, in seconds [default: the last time that the question names, a second after the
    /// only one, or when the person is last seen]
    #[arg(long, value_name = "SECS", requires = "video")]
    to: Option<f64>,
    /// Number of the person [default: the video's main person]
    #[arg(long, value_name = "N", requires = "video")]
    person: Option<u16>,
    /// Recipe that lays the table out [default: the one whose questions are nearest]
    #[arg(long, value_name = "NAME", requires = "video")]
    recipe: Option<String>,
    /// Folder of recipes
    #[arg(long, value_name = "DIR", default_value = "queries/instruct")]
    recipes: PathBuf,
    /// Choose words by chance: below 1 likely ones more often, above 1 less [default: always the
    /// likeliest]
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// Choose only among the likeliest words that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = probability, requires = "temperature")]
    top_p: f64,
    /// Decides about chance
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Most tokens of the answer
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
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
    ensure!(!args.question.trim().is_empty(), "the question is empty");
    let table = args.table(global)?;
    let is_shown = global.verbosity() > Verbosity::Quiet;
    if let Some(table) = table.as_ref().filter(|_| is_shown && !global.json) {
        logs::note_lines(format_args!(
            "table of the recipe {}, frames {} to {}:\n{}\n",
            table.recipe, table.frame_start, table.frame_end, table.data
        ));
    }
    let model = args.model.load(global)?;
    let generated = args.answer(&model, table.as_ref(), global)?;
    if global.json {
        let result = serde_json::json!({
            "question": args.question,
            "table": table,
            "answer": generated.text,
            "end": generated.end,
            "tokens": generated.ids.len(),
            "prompt_tokens": generated.prompt_tokens,
            "prefill_secs": generated.prefill_secs,
            "tokens_per_sec": generated.tokens_per_sec(),
        });
        print_result(serde_json::to_string_pretty(&result)?)?;
    } else {
        print_result("")?;
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
    /// What the lake knows of the video, as the model is shown it.
    fn table(&self, global: &GlobalArgs) -> anyhow::Result<Option<SceneTable>> {
        let Some(video) = &self.video else {
            return Ok(None);
        };
        let lake = global.open_lake(DatabaseUse::Beside)?;
        let span = match (self.from, self.to) {
            (None, None) => Span::AsAsked,
            (from, to) => Span::Secs { from, to },
        };
        let scene = Scene::find(&lake, video, self.person, span)?;
        let recipe = self.recipe.as_deref();
        Ok(Some(scene.table(
            &lake,
            &self.recipes,
            &self.question,
            recipe,
        )?))
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
        let messages = prompt(system, &self.question, data);
        let cancellation = global.cancellation(None);
        let mut stdout = std::io::stdout().lock();
        let is_streamed = !global.json;
        let generated = model.answer(
            adapter.as_ref(),
            &messages,
            self.choice(),
            self.max_tokens as usize,
            &cancellation,
            &mut |piece| {
                let is_read = !is_streamed
                    || write!(stdout, "{piece}")
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
