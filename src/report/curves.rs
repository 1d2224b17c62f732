//! Mean curves with their standard deviation, as SVG that stands in the page itself.

use std::fmt::Write as _;

use super::content::Table;

const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 34.0;

/// What a joint's angle can be: a band beyond is none of a body.
const ANGLES_DEG: [f64; 2] = [0.0, 180.0];
/// From one point of a curve to the next.
const STEP_PERCENT: f64 = 1.0;

/// A side's curve of one group.
struct Curve {
    side: String,
    points: Vec<Point>,
}

/// A place on a curve.
#[derive(Clone, Copy)]
struct Point {
    percent: f64,
    mean: f64,
    /// Where there are several cycles.
    sd: Option<f64>,
    /// How many have an angle here.
    cycles: f64,
}

impl Point {
    /// Lower and upper end of the band.
    fn band(self) -> Option<[f64; 2]> {
        let [least, most] = ANGLES_DEG;
        let sd = self.sd?;
        Some([(self.mean - sd).max(least), (self.mean + sd).min(most)])
    }
}

impl Curve {
    /// The pieces of the same cycles: a mean of other cycles is another curve, and a line from one to the
    /// next would be a movement that nobody made.
    fn pieces(&self) -> impl Iterator<Item = &[Point]> {
        self.points
            .chunk_by(|a, b| a.cycles == b.cycles && b.percent - a.percent < 1.5 * STEP_PERCENT)
    }

    /// How many cycles there are along it.
    fn count(&self) -> String {
        let counts = self.points.iter().map(|point| point.cycles);
        let least = counts.clone().fold(f64::INFINITY, f64::min);
        let most = counts.fold(0.0, f64::max);
        match least < most {
            true => format!("{least} to {most}"),
            false => most.to_string(),
        }
    }
}

/// The charts of a movement and a joint: one for each group, with the same axes.
pub struct Panel {
    /// What repeats.
    pub kind: String,
    /// Whose angle it is.
    pub joint: String,
    /// An SVG for each group that has curves, with the group's number from 1.
    pub charts: Vec<(usize, String)>,
}

/// All charts of a table of curves, in its order.
pub fn panels(table: &Table) -> Vec<Panel> {
    let mut keys: Vec<(String, String)> = Vec::new();
    for row in 0..table.rows.len() {
        let key = (table.text(row, "kind"), table.text(row, "joint"));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.into_iter()
        .map(|(kind, joint)| panel(table, kind, joint))
        .collect()
}

fn panel(table: &Table, kind: String, joint: String) -> Panel {
    let mut groups: Vec<(usize, Vec<Curve>)> = Vec::new();
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for row in 0..table.rows.len() {
        if table.text(row, "kind") != kind || table.text(row, "joint") != joint {
            continue;
        }
        let number = |name: &str| table.number(row, name);
        let (Some(group), Some(percent), Some(mean)) = (
            number("group_number"),
            number("percent"),
            number("mean_deg"),
        ) else {
            continue;
        };
        let point = Point {
            percent,
            mean,
            sd: number("sd_deg"),
            cycles: number("cycles").unwrap_or_default(),
        };
        let [lower, upper] = point.band().unwrap_or([mean; 2]);
        (low, high) = (low.min(lower), high.max(upper));
        let side = table.text(row, "side");
        let group = group as usize;
        if groups.last().is_none_or(|(last, _)| *last != group) {
            groups.push((group, Vec::new()));
        }
        let Some((_, curves)) = groups.last_mut() else {
            continue;
        };
        if curves.last().is_none_or(|curve| curve.side != side) {
            curves.push(Curve {
                side,
                points: Vec::new(),
            });
        }
        if let Some(curve) = curves.last_mut() {
            curve.points.push(point);
        }
    }
    let step = tick_step(high - low);
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    let charts = (groups.iter())
        .map(|(group, curves)| (*group, chart(curves, low, high, step)))
        .collect();
    Panel {
        kind,
        joint,
        charts,
    }
}

/// Between the lines of the angle's axis: about four of them.
fn tick_step(range: f64) -> f64 {
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0];
    steps
        .into_iter()
        .find(|step| range / step <= 5.0)
        .unwrap_or(60.0)
}

fn chart(curves: &[Curve], low: f64, high: f64, step: f64) -> String {
    let x = |percent: f64| LEFT + (WIDTH - LEFT - RIGHT) * percent / 100.0;
    let y = |deg: f64| TOP + (HEIGHT - TOP - BOTTOM) * (high - deg) / (high - low).max(1e-9);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">"
    );
    let ticks = ((high - low) / step).round() as usize;
    for tick in 0..=ticks {
        let deg = low + tick as f64 * step;
        let (at, end) = (y(deg), WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{deg}</text>",
            LEFT - 4.0,
            at + 3.5
        );
    }
    for percent in [0, 25, 50, 75, 100] {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percent}</text>",
            x(f64::from(percent)),
            HEIGHT - BOTTOM + 13.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">% of the cycle</text>",
        x(50.0),
        HEIGHT - BOTTOM + 26.0
    );
    let pieces = || {
        curves
            .iter()
            .flat_map(|curve| curve.pieces().map(move |piece| (&curve.side, piece)))
    };
    for (side, piece) in pieces() {
        let band = piece
            .iter()
            .filter_map(|point| Some((x(point.percent), point.band()?)));
        let band: Vec<(f64, [f64; 2])> = band.collect();
        if band.len() > 1 {
            let upper = band.iter().map(|(x, [_, upper])| (*x, y(*upper)));
            let lower = band.iter().rev().map(|(x, [lower, _])| (*x, y(*lower)));
            let _ = write!(
                svg,
                "<polygon class=\"band {side}\" points=\"{}\"/>",
                points(upper.chain(lower))
            );
        }
    }
    for (side, piece) in pieces() {
        let line = piece.iter().map(|point| (x(point.percent), y(point.mean)));
        let _ = write!(
            svg,
            "<polyline class=\"mean {side}\" points=\"{}\"/>",
            points(line)
        );
    }
    svg += "</svg>";
    let legend: Vec<String> = (curves.iter())
        .map(|curve| {
            format!(
                "<span class=\"key {0}\">{0}</span> (n = {1})",
                curve.side,
                curve.count()
            )
        })
        .collect();
    format!("{svg}<p class=\"legend\">{}</p>", legend.join(" &nbsp; "))
}

fn points(points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_break_where_a_cycle_ends_or_nothing_is_known_and_bands_are_angles() {
        let point = |percent, cycles| Point {
            percent,
            mean: 170.0,
            sd: Some(20.0),
            cycles,
        };
        let curve = Curve {
            side: "left".into(),
            points: vec![
                point(0.0, 3.0),
                point(1.0, 3.0),
                point(2.0, 2.0),
                point(5.0, 2.0),
            ],
        };
        let lengths: Vec<usize> = curve.pieces().map(<[Point]>::len).collect();
        assert_eq!(lengths, [2, 1, 1]);
        assert_eq!(curve.count(), "2 to 3");
        assert_eq!(point(0.0, 3.0).band(), Some([150.0, 180.0]));
        let alone = Point {
            sd: None,
            ..point(0.0, 1.0)
        };
        assert_eq!(alone.band(), None);
        let whole = Curve {
            side: "left".into(),
            points: vec![point(0.0, 3.0)],
        };
        assert_eq!(whole.count(), "3");
    }
}
