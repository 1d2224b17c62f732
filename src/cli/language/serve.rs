//! `posedata serve`: models and questions for the tools that speak OpenAI's interface.

use std::path::PathBuf;

use clap::Args;

use super::language_model::{ModelArgs, tell_other_base};
use crate::asking::{Asker, newest_adapter};
use crate::cli::{ExitStatus, GlobalArgs, Verbosity, choices, logs, print_result};
use crate::resources::DatabaseUse;
use crate::secret::Secret;
use crate::serve::{ServeOptions, Served, ServedModel, serve};

/// The variable that holds the key of clients.
const KEY_VARIABLE: &str = "POSEDATA_SERVE_KEY";

/// Serve models and the lake's questions to tools that speak OpenAI's interface
#[derive(Args)]
#[command(after_help = "Examples:
  posedata serve
  posedata serve --adapter llm_models/gait --port 8080
  POSEDATA_SERVE_KEY=secret posedata serve

Clients take http://127.0.0.1:PORT/v1 as their base URL; GET /v1/models lists the models: the base,
each --adapter by its folder's name, and `ask`, which chooses the lake's queries as `posedata ask`
does. With tools of GET /v1/tools in the request, `ask` answers with tool_calls in place of words.

The server listens on this machine alone. With POSEDATA_SERVE_KEY, clients must show that key.")]
pub struct ServeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of an adapter that answers under its folder's name; may be given several times
    #[arg(long, value_name = "DIR", value_parser = choices::local_path())]
    adapter: Vec<PathBuf>,
    /// Folder of the adapter that chooses queries [default: the newest in --llm-models, if there is
    /// one]
    #[arg(long, value_name = "DIR", value_parser = choices::local_path())]
    ask_adapter: Option<PathBuf>,
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
    /// Port to listen on; 0: any that is free
    #[arg(long, value_name = "PORT", default_value_t = 8321)]
    port: u16,
}

pub fn run(args: ServeArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    let cancellation = global.cancellation(None);
    let model = args.model.load(global)?;
    let mut models = vec![ServedModel {
        name: model.base.name.clone(),
        adapter: None,
    }];
    for folder in &args.adapter {
        tell_other_base(&model, folder, global)?;
        let name = folder.file_name().unwrap_or_default();
        models.push(ServedModel {
            name: name.to_string_lossy().into_owned(),
            adapter: Some(model.adapter(folder)?),
        });
    }
    let ask_adapter = match &args.ask_adapter {
        Some(folder) => Some(folder.clone()),
        None => newest_adapter(&args.llm_models).ok(),
    };
    let asker = match ask_adapter {
        Some(folder) => Some(Asker::new(
            model.shared()?,
            &folder,
            &args.questions,
            global.open_lake(DatabaseUse::Beside)?,
            &cancellation,
        )?),
        None => None,
    };
    let is_told = global.verbosity() > Verbosity::Quiet;
    if asker.is_none() && is_told {
        logs::note(
            "hint: there is no model `ask`, because no adapter has learned to choose queries; `make demo-ask` trains one",
        );
    }
    let served = Served {
        model,
        models,
        asker,
        cancellation: cancellation.clone(),
    };
    let key = std::env::var(KEY_VARIABLE).ok();
    let options = ServeOptions {
        port: args.port,
        key: key.filter(|key| !key.is_empty()).map(Secret::new),
    };
    serve(served, options, &cancellation, |address| {
        // Whoever started the server may wait for this line.
        let _ = print_result(format_args!("http://{address}/v1"));
    })?;
    Ok(ExitStatus::Interrupted)
}
