//! A training run's losses over its steps.

use super::data::{Look, Panel, PlotData, PlotLine};
use super::thin::Line;
use super::ticks::Scale;
use super::units::Quantity;
use super::{DEFAULT_WIDTH_PX, PictureFormat, PlotError, PlotOptions, picture};

/// Losses of a run: steps with nats per token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Losses {
    /// One value for each optimiser's step that was logged, by step; drawn smoothed.
    pub train: Vec<(u64, f64)>,
    /// One value for each evaluation, by step; drawn as it is.
    pub valid: Vec<(u64, f64)>,
}

/// How much of a smoothed loss is what came before, per step, where there are many steps.
const MOST_SMOOTHING: f64 = 0.95;
/// The part of a run that a smoothed loss looks back on.
const SMOOTHED_SHARE: f64 = 0.05;

/// Draws a run's losses as SVG: those of single steps, pale; their running mean; those of the valid
/// split as points.
///
/// # Errors
/// When there are none, or the picture cannot be drawn.
pub fn losses_svg(losses: &Losses, title: &str) -> Result<Vec<u8>, PlotError> {
    let column = Quantity {
        name: "loss".into(),
        unit: "nats per token",
        kind: "loss",
    };
    let line = |series: &str, look, points: &[(u64, f64)]| {
        let mut line = Line::new(DEFAULT_WIDTH_PX);
        for (step, loss) in points {
            line.push(*step as f64, Some(*loss), None);
        }
        PlotLine {
            series: series.into(),
            column: column.clone(),
            pieces: line.finish().0,
            look,
        }
    };
    let lines = [
        line("training, single steps", Look::Pale, &losses.train),
        line(
            "training, running mean",
            Look::Plain,
            &smoothed(&losses.train),
        ),
        line("validation", Look::Dots, &losses.valid),
    ];
    let lines: Vec<PlotLine> = lines
        .into_iter()
        .filter(|line| !line.pieces.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(PlotError::Empty);
    }
    let data = PlotData {
        panels: vec![Panel {
            columns: vec![column.clone()],
            lines,
            hidden_lines: 0,
        }],
        x_column: "step".into(),
        x_scale: Scale::Decimal,
        subject: title.into(),
        rows: (losses.train.len() + losses.valid.len()) as u64,
        rows_without_x: 0,
        same_x: false,
    };
    let (bytes, ..) = picture(&data, &PlotOptions::default(), PictureFormat::Svg)?;
    Ok(bytes)
}

/// The exponentially weighted mean of what came so far, each of the first values with the weight
/// that it has among them (as Adam corrects its means).
fn smoothed(losses: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let looks_back = (SMOOTHED_SHARE * losses.len() as f64).max(1.0);
    let kept = (1.0 - 1.0 / looks_back).min(MOST_SMOOTHING);
    let (mut sum, mut weight) = (0.0, 0.0);
    let means = losses.iter().map(|(step, loss)| {
        sum = kept * sum + loss;
        weight = kept * weight + 1.0;
        (*step, sum / weight)
    });
    means.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_mean_keeps_a_constant_and_ends_below_a_falling_lines_start() {
        let constant: Vec<(u64, f64)> = (1..=500).map(|step| (step, 2.0)).collect();
        assert!(
            smoothed(&constant)
                .iter()
                .all(|(_, mean)| (mean - 2.0).abs() < 1e-9)
        );
        let falling: Vec<(u64, f64)> = (1..=500).map(|step| (step, 1000.0 - step as f64)).collect();
        let means = smoothed(&falling);
        assert_eq!(means[0], (1, 999.0));
        // 19 steps behind: the mean age of what is kept.
        assert!((means[499].1 - 519.0).abs() < 1.0, "{:?}", means[499]);
        assert_eq!(smoothed(&falling[..4]), falling[..4]);
    }

    #[test]
    fn the_picture_has_labels_with_units_and_a_legend() {
        let losses = Losses {
            train: (1..=40).map(|step| (step, 3.0 / step as f64)).collect(),
            valid: vec![(0, 3.1), (20, 1.0), (40, 0.9)],
        };
        let svg = losses_svg(&losses, "gait").expect("a picture");
        let svg = String::from_utf8(svg).expect("text");
        for text in [
            "loss (nats per token)",
            "step",
            "gait",
            "validation",
            "running mean",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        // Each evaluation is a point.
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(losses_svg(&Losses::default(), "nothing").is_err());
    }
}
