//! `posedata plot`: a query's result as a picture.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::query::SourceArgs;
use super::target::Target;
use super::{ExitStatus, GlobalArgs, Verbosity, logs, print_result};
use crate::files::names_folder;
use crate::numbers::counted;
use crate::plot::{
    self, DEFAULT_WIDTH_PX, MAX_LINES, PictureFormat, PlotOptions, PlotSummary, SIZE_RANGE_PX,
};
use crate::text::shown;

/// Draw a query's result as time series
#[derive(Args)]
#[command(after_help = "Examples:
  posedata plot queries/velocity.sql --output velocity.svg
  posedata plot queries/velocity.sql --param landmark=left_wrist --y speed_px_per_sec --output v.png
  posedata plot -e \"select time_secs, landmark, y from landmarks where landmark like '%_heel'\" --output heels.png

Without --x, time runs along time_secs, frame or a date. Without --y, all measured columns are
drawn, those of one unit in one panel; counts and keys are left out. Without --series, each
combination of the text columns' values (landmark, file) and of persons is a line. Units come from
the columns' names: _deg, _px, _m, _secs, _px_per_sec. NULL breaks a line, and so do missing frames
where the query gives frame.")]
pub struct PlotArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The picture, whose suffix, .svg or .png, is its format; or a folder that is there already,
    /// which gets an .svg named like the query; or the address of either on S3
    #[arg(long, visible_alias = "out", value_name = "FILE|DIR|s3://BUCKET/KEY")]
    output: PathBuf,
    /// Column along the x axis
    #[arg(long, value_name = "COLUMN")]
    x: Option<String>,
    /// Columns to draw, again and again or with commas between
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    y: Vec<String>,
    /// Columns whose values tell lines apart
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    series: Vec<String>,
    /// Title [default: what all rows have in common]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Width in pixels; letters and lines grow with it
    #[arg(long, value_name = "PX", default_value_t = DEFAULT_WIDTH_PX, value_parser = size_px)]
    width: u32,
    /// Height in pixels [default: what the panels need]
    #[arg(long, value_name = "PX", value_parser = size_px)]
    height: Option<u32>,
}

fn size_px(text: &str) -> Result<u32, String> {
    let size: u32 = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if SIZE_RANGE_PX.contains(&size) {
        Ok(size)
    } else {
        let (least, most) = (SIZE_RANGE_PX.start(), SIZE_RANGE_PX.end());
        Err(format!("not between {least} and {most}"))
    }
}

pub fn run(args: PlotArgs, global: &GlobalArgs) -> anyhow::Result<ExitStatus> {
    // Nothing is computed for a picture that cannot be written.
    let named = match names_folder(&args.output) {
        true => args.output.join(format!("{}.svg", args.source.name())),
        false => args.output,
    };
    let target = Target::file(&named)?;
    let output = target.path().to_path_buf();
    PictureFormat::of(&output)?;
    let query = args.source.query(global)?;
    let options = PlotOptions {
        x: args.x,
        y: args.y,
        series: args.series,
        title: args.title,
        width_px: args.width,
        height_px: args.height,
    };
    let started = Instant::now();
    let cancellation = global.cancellation_with_grace(None);
    let session = args.source.open(&cancellation, global)?;
    let result = plot::plot(&session, &query, &options, &output);
    if cancellation.is_cancelled() {
        return Ok(ExitStatus::Interrupted);
    }
    let summary = result?;
    target.finish()?;
    let output = named;
    tracing::info!(
        target: "posedata::plot",
        rows = summary.rows,
        lines = summary.lines,
        secs = started.elapsed().as_secs_f64(),
        path = %shown(&output),
        "plotted"
    );
    if global.json {
        print_result(serde_json::to_string_pretty(&summary)?)?;
    }
    if global.verbosity() > Verbosity::Quiet {
        let rows = counted(summary.rows, "row");
        let lines = counted(summary.lines as u64, "line");
        logs::note(format_args!("{rows}, {lines}: {}", shown(&output)));
        for note in notes(&summary) {
            logs::note(format_args!("note: {note}"));
        }
    }
    Ok(ExitStatus::Success)
}

/// What the picture does not show.
fn notes(summary: &PlotSummary) -> Vec<String> {
    let mut notes = Vec::new();
    if summary.hidden_lines > 0 {
        let hidden = summary.hidden_lines;
        notes.push(format!(
            "a panel shows {MAX_LINES} lines at most; {hidden} more are left out; choose with --y, or in the query"
        ));
    }
    if summary.rows_without_x > 0 {
        let rows = summary.rows_without_x;
        notes.push(format!(
            "{rows} rows have no value on the x axis and are left out"
        ));
    }
    if summary.has_same_x_twice {
        notes.push(
            "some lines have several values at one x; give the column that tells them apart with --series".into(),
        );
    }
    notes
}
