//! Lays a picture out and draws it: panels under one another that share the x axis, each with its
//! own y axis and unit, and a legend beside them that hides nothing.
//!
//! All sizes follow from the width, so that a picture of twice the width is the same at twice the
//! resolution.

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, DashedPathElement, PathElement, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle,
};

use super::canvas::{BASE_LINE_EM, FONT_SIZE_PER_EM, UNITS_PER_PX, drawing_error};
use super::data::{Look, Panel, PlotData, PlotLine};
use super::ticks::{Axis, Scale};
use super::units::{Quantity, with_unit, x_title};
use super::{PlotError, PlotOptions, text};

/// The palette of Okabe and Ito (2008, "Color Universal Design"; also Wong, Nature Methods 8:441,
/// 2011), which people of every kind of colour vision can tell apart, without its yellow, which is
/// too light for lines on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const INK: RGBColor = RGBColor(38, 38, 38);
const GRID: RGBColor = RGBColor(226, 226, 226);
const PAPER: RGBColor = RGBColor(255, 255, 255);

/// Size of labels in parts of the picture's width.
const EM_PER_WIDTH: f64 = 0.0125;
const MIN_EM_PX: f64 = 9.0;
/// Heights and distances in ems.
const TITLE_EM: f64 = 1.25;
const LINE_HEIGHT: f64 = 1.45;
const MARGIN: f64 = 1.0;
const PANEL_GAP: f64 = 1.3;
const TICK_LENGTH: f64 = 0.4;
const PANEL_HEIGHT: f64 = 13.0;
const LONE_PANEL_HEIGHT: f64 = 27.0;
const MIN_PANEL_HEIGHT: f64 = 4.0;
/// A legend's line sample, and the space around it.
const SAMPLE_WIDTH: f64 = 2.4;
const SAMPLE_GAP: f64 = 0.6;
/// Part of the width that a legend takes at most; longer names are cut.
const MAX_LEGEND_WIDTH: f64 = 0.3;
const STROKE: f64 = 0.12;
const THIN_STROKE: f64 = 0.07;
const MARKER_RADIUS: f64 = 0.2;
/// Points that lie further apart than this in the mean are marked.
const MARKER_DISTANCE: f64 = 0.9;
const DASH: f64 = 0.7;
const DASH_GAP: f64 = 0.35;
/// Room for a labelled value on an axis.
const X_TICK_DISTANCE: f64 = 6.5;
const Y_TICK_DISTANCE: f64 = 2.3;
/// A range of positive values that reaches near zero is shown from zero on.
const ZERO_BASE_FRACTION: f64 = 0.3;

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pen {
    colour: RGBColor,
    stroke: Stroke,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stroke {
    Solid,
    Dashed,
    Thin,
}

#[derive(Clone, Debug, PartialEq)]
struct LegendEntry {
    name: String,
    pen: Pen,
}

struct PanelFigure<'a> {
    panel: &'a Panel,
    pens: Vec<Pen>,
    title: Vec<String>,
    legend: Vec<LegendEntry>,
    axis: Axis,
    top: f64,
    height: f64,
}

/// A picture that is laid out; lengths are in pixels.
pub struct Figure<'a> {
    pub width_px: u32,
    pub height_px: u32,
    em: f64,
    title: Vec<String>,
    x_title: String,
    x_axis: Axis,
    panels: Vec<PanelFigure<'a>>,
    left: f64,
    right: f64,
}

impl<'a> Figure<'a> {
    /// # Errors
    /// When the picture is too small for its labels.
    pub fn new(data: &'a PlotData, options: &PlotOptions) -> Result<Self, PlotError> {
        let width = f64::from(options.width_px);
        let em = (width * EM_PER_WIDTH).max(MIN_EM_PX);
        let title = options.title.as_deref().unwrap_or(&data.subject);
        let title = text::wrap(title, TITLE_EM * em, width - 2.0 * MARGIN * em, 2);
        let mut legends: Vec<Vec<LegendEntry>> = Vec::new();
        let pens: Vec<Vec<Pen>> = data.panels.iter().map(pens).collect();
        let mut above: &[LegendEntry] = &[];
        let all: Vec<Vec<LegendEntry>> = data
            .panels
            .iter()
            .zip(&pens)
            .map(|(panel, pens)| legend(panel, pens))
            .collect();
        for legend in &all {
            // What the panel above says is not said again.
            let is_known = legend.as_slice() == above;
            above = legend;
            legends.push(if is_known { Vec::new() } else { legend.clone() });
        }

        // Heights.
        let line = LINE_HEIGHT * em;
        let head = MARGIN * em + title.len() as f64 * TITLE_EM * line;
        let foot = (TICK_LENGTH + 0.3) * em + 2.0 * line + 0.5 * MARGIN * em;
        let count = data.panels.len() as f64;
        let gaps = (count - 1.0) * PANEL_GAP * em;
        let needed =
            |legend: &Vec<LegendEntry>| (legend.len() as f64 * line).max(MIN_PANEL_HEIGHT * em);
        let wanted = if data.panels.len() == 1 {
            LONE_PANEL_HEIGHT
        } else {
            PANEL_HEIGHT
        } * em;
        let default_height = || {
            let panels = legends.iter().map(|legend| needed(legend).max(wanted));
            head + panels.sum::<f64>() + gaps + foot
        };
        let height_px = options
            .height_px
            .unwrap_or_else(|| default_height().ceil() as u32);
        let spare =
            f64::from(height_px) - head - gaps - foot - legends.iter().map(needed).sum::<f64>();
        if spare < 0.0 {
            return Err(PlotError::TooLow {
                panels: data.panels.len(),
                needed_px: (f64::from(height_px) - spare).ceil() as u32,
            });
        }
        // All panels are alike, but for those that need more for their legend.
        let heights = share(spare, &legends.iter().map(needed).collect::<Vec<_>>());

        let mut top = head;
        let mut panels = Vec::new();
        for ((panel, height), (pens, legend)) in data
            .panels
            .iter()
            .zip(heights)
            .zip(pens.into_iter().zip(legends))
        {
            panels.push(PanelFigure {
                axis: y_axis(panel, height / (Y_TICK_DISTANCE * em)),
                title: y_title(panel, em, height),
                panel,
                pens,
                legend,
                top,
                height,
            });
            top += height + PANEL_GAP * em;
        }

        // Widths.
        let label_width = |panel: &PanelFigure<'_>| {
            let widths = panel
                .axis
                .ticks
                .iter()
                .map(|(_, label)| text::width(label, em));
            widths.fold(0.0, f64::max)
        };
        let labels = panels.iter().map(label_width).fold(0.0, f64::max);
        let title_lines = panels
            .iter()
            .map(|panel| panel.title.len())
            .max()
            .unwrap_or(1);
        let left =
            (0.6 * MARGIN + TICK_LENGTH + 0.9) * em + labels + title_lines as f64 * 1.25 * em;
        let names = panels.iter().flat_map(|panel| &panel.legend);
        let longest = names
            .map(|entry| text::width(&entry.name, em))
            .fold(0.0, f64::max);
        let legend_width = if longest > 0.0 {
            (longest + (SAMPLE_WIDTH + 2.0 * SAMPLE_GAP) * em).min(MAX_LEGEND_WIDTH * width)
        } else {
            0.0
        };
        let right = width - legend_width - 1.5 * MARGIN * em;
        let least = 2.0 * X_TICK_DISTANCE * em;
        if right - left < least {
            return Err(PlotError::TooNarrow {
                needed_px: (width + left + least - right).ceil() as u32,
            });
        }
        Ok(Self {
            width_px: options.width_px,
            height_px,
            em,
            title,
            x_title: match data.x_scale {
                Scale::Calendar => with_unit(&data.x_column.replace('_', " "), "UTC"),
                Scale::Decimal | Scale::Degrees => x_title(&data.x_column),
            },
            x_axis: x_axis(data, (right - left) / (X_TICK_DISTANCE * em)),
            panels,
            left,
            right,
        })
    }

    /// Draws the picture.
    ///
    /// # Errors
    /// When the backend fails.
    pub fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Result<(), PlotError> {
        area.fill(&PAPER).map_err(drawing_error)?;
        let paper = Paper { area, em: self.em };
        let line = LINE_HEIGHT * self.em;
        let middle = f64::from(self.width_px) / 2.0;
        for (i, title) in self.title.iter().enumerate() {
            let base = MARGIN * self.em + (i as f64 * line + 0.9 * self.em) * TITLE_EM;
            paper.text(title, TITLE_EM, (middle, base), HPos::Center)?;
        }
        for panel in &self.panels {
            self.draw_panel(&paper, panel)?;
        }
        let Some(last) = self.panels.last() else {
            return Ok(());
        };
        let bottom = last.top + last.height;
        let base = bottom + (TICK_LENGTH + 0.3) * self.em + 0.8 * line;
        for (value, label) in &self.x_axis.ticks {
            // A date at the right end would stick out of the picture.
            let half = text::width(label, self.em) / 2.0;
            let x = self
                .x(*value)
                .min(f64::from(self.width_px) - half - 0.2 * self.em);
            paper.text(label, 1.0, (x, base), HPos::Center)?;
        }
        let middle = (self.left + self.right) / 2.0;
        paper.text(&self.x_title, 1.0, (middle, base + line), HPos::Center)
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.x_axis.fraction(value) * (self.right - self.left)
    }

    fn draw_panel<DB: DrawingBackend>(
        &self,
        paper: &Paper<'_, DB>,
        panel: &PanelFigure<'_>,
    ) -> Result<(), PlotError> {
        let em = self.em;
        let (left, right, top) = (self.left, self.right, panel.top);
        let bottom = top + panel.height;
        let y = |value: f64| bottom - panel.axis.fraction(value) * panel.height;
        for (value, label) in &panel.axis.ticks {
            let y = y(*value);
            paper.line(&[(left, y), (right, y)], GRID, THIN_STROKE)?;
            paper.line(&[(left - TICK_LENGTH * em, y), (left, y)], INK, THIN_STROKE)?;
            // Figures are three quarters of an em high.
            let at = (left - (TICK_LENGTH + 0.35) * em, y + 0.36 * em);
            paper.text(label, 1.0, at, HPos::Right)?;
        }
        for (value, _) in &self.x_axis.ticks {
            let x = self.x(*value);
            paper.line(&[(x, top), (x, bottom)], GRID, THIN_STROKE)?;
            paper.line(
                &[(x, bottom), (x, bottom + TICK_LENGTH * em)],
                INK,
                THIN_STROKE,
            )?;
        }
        for (line, pen) in panel.panel.lines.iter().zip(&panel.pens) {
            let place = |(x, value): &(f64, f64)| (self.x(*x), y(*value));
            self.draw_line(paper, line, *pen, place)?;
        }
        paper.line(
            &[(left, top), (left, bottom), (right, bottom)],
            INK,
            THIN_STROKE,
        )?;
        let first = 0.6 * MARGIN * em + em;
        for (i, title) in panel.title.iter().enumerate() {
            let base = first + i as f64 * 1.25 * em;
            paper.upward_text(title, (base, (top + bottom) / 2.0))?;
        }
        let x = right + SAMPLE_GAP * em;
        for (i, entry) in panel.legend.iter().enumerate() {
            let y = top + (i as f64 + 0.5) * LINE_HEIGHT * em;
            let sample = [(x, y), (x + SAMPLE_WIDTH * em, y)];
            paper.stroke(&sample, entry.pen, 1.5 * STROKE)?;
            let start = x + (SAMPLE_WIDTH + SAMPLE_GAP) * em;
            let room = f64::from(self.width_px) - start - 0.3 * MARGIN * em;
            let name = text::fit(&entry.name, em, room);
            paper.text(&name, 1.0, (start, y + 0.36 * em), HPos::Left)?;
        }
        Ok(())
    }

    fn draw_line<DB: DrawingBackend>(
        &self,
        paper: &Paper<'_, DB>,
        line: &PlotLine,
        pen: Pen,
        place: impl Fn(&(f64, f64)) -> (f64, f64),
    ) -> Result<(), PlotError> {
        let count = line.points().count();
        let first_and_last = line
            .pieces
            .first()
            .and_then(|p| p.first())
            .zip(line.pieces.last().and_then(|p| p.last()));
        let length = first_and_last.map_or(0.0, |(first, last)| place(last).0 - place(first).0);
        let is_sparse = length > MARKER_DISTANCE * self.em * count as f64;
        let is_marked = match line.look {
            Look::Usual => is_sparse,
            Look::Plain | Look::Pale => false,
            Look::Dots => true,
        };
        for piece in &line.pieces {
            let points: Vec<(f64, f64)> = piece.iter().map(&place).collect();
            if points.len() > 1 {
                paper.stroke(&points, pen, STROKE)?;
            }
            // A point between two gaps would not be seen otherwise.
            if is_marked || points.len() == 1 {
                for point in points {
                    paper.dot(point, pen.colour)?;
                }
            }
        }
        Ok(())
    }
}

/// Shares out `spare` so that the smallest heights grow first.
fn share(mut spare: f64, needed: &[f64]) -> Vec<f64> {
    let mut heights = needed.to_vec();
    let mut order: Vec<usize> = (0..needed.len()).collect();
    order.sort_by(|a, b| needed[*a].total_cmp(&needed[*b]));
    for (i, index) in order.iter().enumerate() {
        // Lifts all that are as low as this one to the next one's height, as far as there is room.
        let level = heights[*index];
        let next = order.get(i + 1).map_or(f64::INFINITY, |next| needed[*next]);
        let lift = ((next - level) * (i + 1) as f64).min(spare);
        for lower in &order[..=i] {
            heights[*lower] += lift / (i + 1) as f64;
        }
        spare -= lift;
    }
    heights
}

/// One colour for each line; the right side's lines are dashed where the left side's are there too.
fn pens(panel: &Panel) -> Vec<Pen> {
    let pen = |colour: usize, stroke| Pen {
        colour: COLOURS[colour % COLOURS.len()],
        stroke,
    };
    if panel.lines.iter().any(|line| line.look != Look::Usual) {
        return pens_by_look(panel);
    }
    let parts: Vec<(Option<Side>, String)> = panel.lines.iter().map(side_and_rest).collect();
    let mut things: Vec<&String> = Vec::new();
    for (_, rest) in &parts {
        if !things.contains(&rest) {
            things.push(rest);
        }
    }
    let sides = |thing: &String| -> Vec<Option<Side>> {
        let same = parts.iter().filter(|(_, rest)| rest == thing);
        same.map(|(side, _)| *side).collect()
    };
    let is_pair = |thing: &String| {
        let sides = sides(thing);
        sides.len() == 2 && sides.contains(&Some(Side::Left)) && sides.contains(&Some(Side::Right))
    };
    let is_paired = things.len() <= COLOURS.len()
        && things.iter().any(|thing| is_pair(thing))
        && things
            .iter()
            .all(|thing| is_pair(thing) || sides(thing).len() == 1);
    if is_paired {
        let pen_of = |(side, rest): &(Option<Side>, String)| {
            let colour = things.iter().position(|thing| *thing == rest).unwrap_or(0);
            match side {
                Some(Side::Right) if is_pair(rest) => pen(colour, Stroke::Dashed),
                _ => pen(colour, Stroke::Solid),
            }
        };
        return parts.iter().map(pen_of).collect();
    }
    // Two columns of several series: a colour for each series, as in the other panels.
    let mut series: Vec<&str> = Vec::new();
    let mut columns: Vec<&Quantity> = Vec::new();
    for line in &panel.lines {
        if !series.contains(&line.series.as_str()) {
            series.push(&line.series);
        }
        if !columns.contains(&&line.column) {
            columns.push(&line.column);
        }
    }
    if columns.len() == 2 && (2..=COLOURS.len()).contains(&series.len()) {
        let pen_of = |line: &PlotLine| {
            let colour = series.iter().position(|name| *name == line.series);
            let stroke = if line.column == *columns[0] {
                Stroke::Solid
            } else {
                Stroke::Dashed
            };
            pen(colour.unwrap_or(0), stroke)
        };
        return panel.lines.iter().map(pen_of).collect();
    }
    let stroke = |i: usize| {
        if i < COLOURS.len() {
            Stroke::Solid
        } else {
            Stroke::Dashed
        }
    };
    (0..panel.lines.len()).map(|i| pen(i, stroke(i))).collect()
}

/// One colour for each line, of which pale lines have a lighter shade of the next one's.
fn pens_by_look(panel: &Panel) -> Vec<Pen> {
    let mut colours = COLOURS.into_iter().cycle().peekable();
    let mut pens = Vec::new();
    for line in &panel.lines {
        let next = colours.peek().copied().unwrap_or(INK);
        pens.push(match line.look {
            Look::Pale => Pen {
                colour: lighter(next),
                stroke: Stroke::Thin,
            },
            Look::Usual | Look::Plain | Look::Dots => {
                colours.next();
                Pen {
                    colour: next,
                    stroke: Stroke::Solid,
                }
            }
        });
    }
    pens
}

fn lighter(colour: RGBColor) -> RGBColor {
    let lighter = |part: u8| 255 - ((255 - u16::from(part)) * 2 / 5) as u8;
    RGBColor(lighter(colour.0), lighter(colour.1), lighter(colour.2))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// A line's side of the body, and its name without it.
fn side_and_rest(line: &PlotLine) -> (Option<Side>, String) {
    let mut side = None;
    let mut rest = Vec::new();
    for word in full_name(line).split([' ', '_']) {
        match word {
            "left" if side.is_none() => side = Some(Side::Left),
            "right" if side.is_none() => side = Some(Side::Right),
            other => rest.push(other.to_owned()),
        }
    }
    (side, rest.join(" "))
}

fn full_name(line: &PlotLine) -> String {
    format!("{} {}", line.series, line.column.name)
}

/// Names for lines; a lone line is named by the y axis.
fn legend(panel: &Panel, pens: &[Pen]) -> Vec<LegendEntry> {
    let is_lone = panel.lines.len() == 1 && panel.lines[0].series.is_empty();
    if is_lone {
        return Vec::new();
    }
    let has_columns = panel
        .lines
        .iter()
        .any(|line| line.column != panel.lines[0].column);
    let name = |line: &PlotLine| match (line.series.is_empty(), has_columns) {
        (false, true) => format!("{}, {}", line.series, line.column.name),
        (false, false) => line.series.clone(),
        (true, _) => line.column.name.clone(),
    };
    let entries = panel.lines.iter().zip(pens);
    let entries = entries.map(|(line, pen)| LegendEntry {
        name: name(line),
        pen: *pen,
    });
    entries.collect()
}

/// The y axis' title in one line, or two where one is too long.
fn y_title(panel: &Panel, em: f64, height: f64) -> Vec<String> {
    let first = &panel.lines[0].column;
    let title = if panel.lines.iter().all(|line| line.column == *first) {
        first.title()
    } else {
        let mut kinds: Vec<&str> = Vec::new();
        for line in &panel.lines {
            if !kinds.contains(&line.column.kind) {
                kinds.push(line.column.kind);
            }
        }
        with_unit(&kinds.join(", "), first.unit)
    };
    if text::width(&title, em) <= height {
        return vec![title];
    }
    match title.split_once(" (") {
        Some((name, unit)) => {
            let lines = [name.to_owned(), format!("({unit}")];
            lines.map(|line| text::fit(&line, em, height)).into()
        }
        None => vec![text::fit(&title, em, height)],
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    })
}

fn y_axis(panel: &Panel, ticks: f64) -> Axis {
    let (low, high) = range(
        panel
            .lines
            .iter()
            .flat_map(PlotLine::points)
            .map(|(_, y)| y),
    );
    let low = if low > 0.0 && low < ZERO_BASE_FRACTION * high {
        0.0
    } else {
        low
    };
    let is_angle = panel.lines[0].column.unit == "degrees";
    let scale = if is_angle {
        Scale::Degrees
    } else {
        Scale::Decimal
    };
    Axis::new(low, high, 0.05, ticks as usize, scale)
}

fn x_axis(data: &PlotData, ticks: f64) -> Axis {
    let points = data
        .panels
        .iter()
        .flat_map(|panel| &panel.lines)
        .flat_map(PlotLine::points);
    let (low, high) = range(points.map(|(x, _)| x));
    Axis::new(low, high, 0.015, ticks as usize, data.x_scale)
}

/// Draws on plotters' fine grid what is given in pixels and ems.
struct Paper<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    em: f64,
}

fn units(px: f64) -> i32 {
    (px * f64::from(UNITS_PER_PX)).round() as i32
}

fn place((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}

impl<DB: DrawingBackend> Paper<'_, DB> {
    fn style(&self, colour: RGBColor, width_em: f64) -> ShapeStyle {
        let width = units(width_em * self.em).max(1) as u32;
        colour.stroke_width(width)
    }

    fn line(
        &self,
        points: &[(f64, f64)],
        colour: RGBColor,
        width_em: f64,
    ) -> Result<(), PlotError> {
        let points: Vec<(i32, i32)> = points.iter().copied().map(place).collect();
        let path = PathElement::new(points, self.style(colour, width_em));
        self.area.draw(&path).map_err(drawing_error)
    }

    fn stroke(&self, points: &[(f64, f64)], pen: Pen, width_em: f64) -> Result<(), PlotError> {
        match pen.stroke {
            Stroke::Solid => self.line(points, pen.colour, width_em),
            Stroke::Thin => self.line(points, pen.colour, width_em * THIN_STROKE / STROKE),
            Stroke::Dashed => {
                let points: Vec<(i32, i32)> = points.iter().copied().map(place).collect();
                let [dash, gap] = [DASH, DASH_GAP].map(|length| units(length * self.em));
                let style = self.style(pen.colour, width_em);
                let path = DashedPathElement::new(points, dash, gap, style);
                self.area.draw(&path).map_err(drawing_error)
            }
        }
    }

    fn dot(&self, point: (f64, f64), colour: RGBColor) -> Result<(), PlotError> {
        let radius = units(MARKER_RADIUS * self.em);
        let dot = Circle::new(place(point), radius, colour.filled());
        self.area.draw(&dot).map_err(drawing_error)
    }

    /// Text of `size_em` ems with its base line at `at`.
    fn text(
        &self,
        text: &str,
        size_em: f64,
        at: (f64, f64),
        anchor: HPos,
    ) -> Result<(), PlotError> {
        let em = size_em * self.em;
        let top = (at.0, at.1 - BASE_LINE_EM * em);
        self.put_text(text, em, top, anchor, FontTransform::None)
    }

    /// Text that is read from below, around `at` on its base line.
    fn upward_text(&self, text: &str, at: (f64, f64)) -> Result<(), PlotError> {
        let top = (at.0 - BASE_LINE_EM * self.em, at.1);
        self.put_text(text, self.em, top, HPos::Center, FontTransform::Rotate270)
    }

    fn put_text(
        &self,
        text: &str,
        em: f64,
        at: (f64, f64),
        anchor: HPos,
        transform: FontTransform,
    ) -> Result<(), PlotError> {
        let size = em * FONT_SIZE_PER_EM * f64::from(UNITS_PER_PX);
        let font =
            FontDesc::new(FontFamily::SansSerif, size, FontStyle::Normal).transform(transform);
        let style = TextStyle::from(font)
            .color(&INK)
            .pos(Pos::new(anchor, VPos::Top));
        self.area
            .draw(&Text::new(text.to_owned(), place(at), style))
            .map_err(drawing_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(columns: &[&str], series: &[&str]) -> Panel {
        let columns: Vec<Quantity> = columns.iter().map(|c| Quantity::of(c)).collect();
        let lines = columns.iter().flat_map(|column| {
            series.iter().map(|series| PlotLine {
                series: (*series).into(),
                column: column.clone(),
                pieces: vec![vec![(0.0, 0.0), (1.0, 10.0)]],
                look: Look::Usual,
            })
        });
        Panel {
            lines: lines.collect(),
            columns,
            hidden_lines: 0,
        }
    }

    #[test]
    fn left_and_right_share_a_colour_and_differ_in_stroke() {
        let pens = pens(&panel(
            &["left_knee_deg", "right_knee_deg", "trunk_lean_deg"],
            &[""],
        ));
        assert_eq!(pens[0].colour, pens[1].colour);
        assert_eq!(
            [pens[0].stroke, pens[1].stroke],
            [Stroke::Solid, Stroke::Dashed]
        );
        assert_ne!(pens[0].colour, pens[2].colour);
    }

    #[test]
    fn no_two_lines_of_a_panel_look_alike() {
        let many: Vec<String> = (0..super::super::MAX_LINES)
            .map(|i| format!("joint {i}"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for panel in [
            panel(&["speed_px_per_sec"], &many),
            panel(
                &["left_knee_deg", "right_knee_deg"],
                &["a.mp4", "b.mp4", "c.mp4"],
            ),
            panel(&["left_knee_deg", "knee_deg", "right_knee_deg"], &[""]),
            panel(&["x_px", "y_px"], &many[..6]),
            panel(&["angle_deg"], &["left_hip", "right_hip", "nose"]),
        ] {
            let pens = pens(&panel);
            for (i, pen) in pens.iter().enumerate() {
                assert!(!pens[..i].contains(pen), "line {i} of {:?}", panel.lines);
            }
        }
    }

    #[test]
    fn the_axis_says_what_all_its_lines_are() {
        let title = |panel: &Panel| y_title(panel, 10.0, 1000.0).join("|");
        assert_eq!(
            title(&panel(&["speed_px_per_sec"], &["a", "b"])),
            "speed (px/s)"
        );
        assert_eq!(
            title(&panel(&["left_knee_deg", "right_knee_deg"], &[""])),
            "angle (degrees)"
        );
        let narrow = y_title(
            &panel(&["peak_landmark_speed_torso_per_sec"], &[""]),
            10.0,
            150.0,
        );
        assert_eq!(narrow, ["peak landmark speed", "(torso lengths/s)"]);
    }

    #[test]
    fn panels_are_alike_but_for_long_legends() {
        assert_eq!(share(60.0, &[10.0, 10.0, 40.0]), [40.0, 40.0, 40.0]);
        assert_eq!(share(10.0, &[10.0, 10.0, 40.0]), [15.0, 15.0, 40.0]);
        assert_eq!(share(0.0, &[10.0]), [10.0]);
    }
}
