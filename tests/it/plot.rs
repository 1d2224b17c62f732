//! Pictures of query results: what is in them, where it is, and what cannot be drawn.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::lake::fixture;
use crate::support::{posedata, stderr, stdout};

/// The first colours of the palette, as an SVG file and as pixels say them.
const COLOURS: [(&str, [u8; 3]); 3] = [
    ("#0072B2", [0, 114, 178]),
    ("#D55E00", [213, 94, 0]),
    ("#009E73", [0, 158, 115]),
];
const GRID: &str = "#E2E2E2";
/// Coordinates in SVG files are eighths of pixels.
const UNITS_PER_PX: f64 = 8.0;

fn plot(folder: &Path, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["plot"].iter().chain(arguments).copied().collect();
    posedata(folder, &arguments)
}

/// Draws a statement's result as SVG and reads the picture.
fn drawn(folder: &Path, sql: &str, more: &[&str]) -> Svg {
    let arguments: Vec<&str> = ["-e", sql, "--out", "p.svg"]
        .iter()
        .chain(more)
        .copied()
        .collect();
    let output = plot(folder, &arguments);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    assert_eq!(stdout(&output), "");
    Svg::read(&folder.join("p.svg"))
}

/// The elements of a picture.
struct Svg {
    text: String,
}

/// A text and where it stands, in pixels.
struct Label {
    x: f64,
    y: f64,
    text: String,
}

impl Svg {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a picture");
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
        Self { text }
    }

    fn elements<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let start = format!("<{name} ");
        self.text.split('<').filter_map(move |part| {
            let start = &start[1..];
            part.strip_prefix(start)
        })
    }

    /// Lines of a colour with more than two points or, as the grid's, with two.
    fn lines(&self, colour: &str) -> Vec<Vec<(f64, f64)>> {
        let of_colour = self
            .elements("polyline")
            .filter(|e| attribute(e, "stroke") == colour);
        let points = of_colour.map(|element| {
            let pairs = attribute(element, "points").split_whitespace();
            let pairs = pairs.map(|pair| pair.split_once(',').expect("x and y"));
            pairs.map(|(x, y)| (px(x), px(y))).collect()
        });
        points.collect()
    }

    /// Lines of a colour that show data: a legend's sample has two points and lies beside.
    fn series(&self, colour: &str) -> Vec<Vec<(f64, f64)>> {
        self.lines(colour)
            .into_iter()
            .filter(|line| line.len() > 2)
            .collect()
    }

    fn labels(&self) -> Vec<Label> {
        let label = |element: &str| Label {
            x: px(attribute(element, "x")),
            y: px(attribute(element, "y")),
            text: element.split_once('>').expect("an end").1.trim().to_owned(),
        };
        self.elements("text").map(label).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.labels().into_iter().map(|label| label.text).collect()
    }

    /// Where values lie, told from the labels of the axes and the lines of the grid: functions from
    /// a value to pixels along x and y of a picture of one panel.
    fn scales(&self) -> (impl Fn(f64) -> f64, impl Fn(f64) -> f64) {
        let numbers: Vec<(f64, f64, f64)> = self
            .labels()
            .iter()
            .filter_map(|l| Some((l.text.replace('−', "-").parse().ok()?, l.x, l.y)))
            .collect();
        let grid = self.lines(GRID);
        let vertical = |line: &&Vec<(f64, f64)>| line[0].0 == line[1].0;
        let mut columns: Vec<f64> = grid.iter().filter(vertical).map(|line| line[0].0).collect();
        let mut rows: Vec<f64> = grid
            .iter()
            .filter(|l| !vertical(l))
            .map(|line| line[0].1)
            .collect();
        columns.sort_by(f64::total_cmp);
        rows.sort_by(|a, b| b.total_cmp(a));
        // Labels below the grid belong to x, those beside it to y.
        let left = columns[0];
        let mut x_values: Vec<f64> = numbers
            .iter()
            .filter(|n| n.1 >= left)
            .map(|n| n.0)
            .collect();
        let mut y_values: Vec<f64> = numbers.iter().filter(|n| n.1 < left).map(|n| n.0).collect();
        x_values.sort_by(f64::total_cmp);
        y_values.sort_by(f64::total_cmp);
        assert_eq!(
            (x_values.len(), y_values.len()),
            (columns.len(), rows.len()),
            "each tick has a label"
        );
        (scale(&x_values, &columns), scale(&y_values, &rows))
    }
}

/// The straight line through the first and the last tick, on which the others lie.
fn scale(values: &[f64], places: &[f64]) -> impl Fn(f64) -> f64 + use<> {
    let last = values.len() - 1;
    assert!(last > 0, "an axis has several ticks");
    let (v0, v1, p0, p1) = (values[0], values[last], places[0], places[last]);
    let at = move |value: f64| p0 + (value - v0) / (v1 - v0) * (p1 - p0);
    for (value, place) in values.iter().zip(places) {
        assert!(
            (at(*value) - place).abs() < 0.3,
            "the tick {value} is at {place}"
        );
    }
    at
}

fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let start = format!("{name}=\"");
    let at = element.find(&format!(" {start}")).map(|at| at + 1);
    let at = at
        .or_else(|| element.starts_with(&start).then_some(0))
        .expect("an attribute");
    let value = &element[at + start.len()..];
    &value[..value.find('"').expect("a quote")]
}

fn px(units: &str) -> f64 {
    units.parse::<f64>().expect("a number") / UNITS_PER_PX
}

#[test]
fn every_point_stands_where_the_axes_say() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select i as time_secs, 3 * i - 7 as speed_px_per_sec from range(11) t(i) order by i";
    let svg = drawn(folder.path(), sql, &["--title", "Straight & <steady>"]);
    let texts = svg.texts();
    for text in ["time (s)", "speed (px/s)", "Straight &amp; &lt;steady&gt;"] {
        assert!(
            texts.iter().any(|t| t == text),
            "{text} is not in {texts:?}"
        );
    }
    let lines = svg.series(COLOURS[0].0);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].len(), 11);
    let (x, y) = svg.scales();
    for (i, point) in lines[0].iter().enumerate() {
        let i = i as f64;
        let expected = (x(i), y(3.0 * i - 7.0));
        // Half a unit for the point, and as much for each tick.
        assert!(
            (point.0 - expected.0).abs() < 0.3,
            "{point:?} is not {expected:?}"
        );
        assert!(
            (point.1 - expected.1).abs() < 0.3,
            "{point:?} is not {expected:?}"
        );
    }
}

#[test]
fn a_measured_series_of_the_lake_is_drawn_from_frame_to_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/queries/velocity.sql");
    let arguments = [
        shipped,
        "--param",
        "landmark=left_wrist",
        "--y",
        "x_px",
        "--out",
        "p.svg",
    ];
    let output = plot(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "27 rows, 1 line: p.svg\n");
    let svg = Svg::read(&folder.path().join("p.svg"));
    // Frames 9, 19 and 29 have no pose: the line has three pieces.
    let pieces = svg.series(COLOURS[0].0);
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [9, 9, 9]);
    assert!(
        svg.texts().contains(&"x (px)".to_owned()),
        "{:?}",
        svg.texts()
    );
    assert!(
        svg.texts().contains(&"red.mp4, left_wrist".to_owned()),
        "{:?}",
        svg.texts()
    );
    // The scripted wrist moves 1/16 px a frame from 23.5 px on; the query rounds to tenths.
    let (x, y) = svg.scales();
    for (frame, point) in (0..9).zip(&pieces[0]) {
        let value = ((23.5 + f64::from(frame) / 16.0) * 10.0).round() / 10.0;
        assert!(
            (point.0 - x(f64::from(frame) / 30.0)).abs() < 1.0,
            "{point:?}"
        );
        assert!(
            (point.1 - y(value)).abs() < 0.5,
            "{point:?} is not {}",
            y(value)
        );
    }
}

#[test]
fn null_breaks_a_line_and_is_not_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select i as time_secs, case when i <> 5 then 10 end as length_m from range(12) t(i)";
    let svg = drawn(folder.path(), sql, &[]);
    let pieces = svg.series(COLOURS[0].0);
    assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [5, 6]);
    let (_, y) = svg.scales();
    assert!(
        pieces
            .iter()
            .flatten()
            .all(|point| (point.1 - y(10.0)).abs() < 0.3)
    );
}

#[test]
fn series_have_colours_and_names_and_units_have_panels() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql =
        "select i / 10 as time_secs, name as landmark, i * k as x_px, i + k as speed_px_per_sec
               from range(20) t(i), (values ('nose', 1), ('left_hip', 2), ('mouth', 3)) n(name, k)
               order by i, k";
    let svg = drawn(folder.path(), sql, &[]);
    for (colour, _) in COLOURS {
        let lines = svg.series(colour);
        assert_eq!(
            lines.iter().map(Vec::len).collect::<Vec<_>>(),
            [20, 20],
            "{colour}"
        );
    }
    let texts = svg.texts();
    let count = |text: &str| texts.iter().filter(|t| *t == text).count();
    assert_eq!(
        [count("nose"), count("left_hip"), count("mouth")],
        [1; 3],
        "one legend for both panels"
    );
    assert_eq!(
        [count("x (px)"), count("speed (px/s)"), count("time (s)")],
        [1; 3]
    );
    // The legend lies beside the panels.
    let grid = svg.lines(GRID);
    let right = grid
        .iter()
        .flatten()
        .map(|point| point.0)
        .fold(0.0, f64::max);
    let nose = svg
        .labels()
        .into_iter()
        .find(|l| l.text == "nose")
        .expect("a name");
    assert!(nose.x > right && nose.y > 0.0, "{} {right}", nose.x);
    let chosen = drawn(
        folder.path(),
        sql,
        &["--y", "x_px", "--series", "landmark", "--title", ""],
    );
    assert!(!chosen.texts().contains(&"speed (px/s)".to_owned()));
}

#[test]
fn a_million_rows_are_thinned_and_their_peak_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select i / 1e3 as time_secs, case when i = 654321 then 100.0 else sin(i / 1e4) end as height_m from range(1000000) t(i)";
    let svg = drawn(folder.path(), sql, &["--width", "600"]);
    let lines = svg.series(COLOURS[0].0);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() < 8 * 600, "{} points", lines[0].len());
    let (x, y) = svg.scales();
    let peak = lines[0]
        .iter()
        .copied()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .expect("points");
    assert!(
        (peak.0 - x(654.321)).abs() < 0.3 && (peak.1 - y(100.0)).abs() < 0.3,
        "{peak:?}"
    );
    let lowest = lines[0].iter().map(|point| point.1).fold(0.0, f64::max);
    assert!((lowest - y(-1.0)).abs() < 0.3, "{lowest}");
}

#[test]
fn a_png_has_the_size_and_the_colours() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select i as time_secs, k as series_name, i * n as height_m
               from range(9) t(i), (values ('a', 1), ('b', -2), ('c', 0)) s(k, n)";
    let size = ["--width", "640", "--height", "400"];
    let arguments = [&["-e", sql, "--out", "p.PNG"][..], &size].concat();
    let output = plot(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let file = fs::File::open(folder.path().join("p.PNG")).expect("a picture");
    let mut reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .expect("a PNG file");
    assert_eq!((reader.info().width, reader.info().height), (640, 400));
    assert_eq!(
        reader.output_color_type(),
        (png::ColorType::Rgb, png::BitDepth::Eight)
    );
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut pixels).expect("whole");
    let colours: HashSet<[u8; 3]> = pixels.chunks(3).map(|p| [p[0], p[1], p[2]]).collect();
    for (name, colour) in COLOURS {
        assert!(colours.contains(&colour), "{name} is missing");
    }
    let white = pixels.chunks(3).filter(|p| **p == [255; 3]).count();
    assert!(white > 640 * 400 / 2, "the picture is on white");
    let dark = pixels
        .chunks(3)
        .filter(|p| p.iter().all(|v| *v < 110))
        .count();
    assert!(dark > 300, "letters and axes are there: {dark} dark pixels");
}

#[test]
fn shipped_queries_with_a_time_axis_need_no_options_and_others_are_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let mut drawn = 0;
    for entry in fs::read_dir(&shipped).expect("queries").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        // The folder beside the queries holds recipes of datasets.
        if path.is_dir() {
            continue;
        }
        let sql = fs::read_to_string(&path).expect("a query");
        let path = path.to_str().expect("a name");
        let out = format!("{name}.svg");
        let output = plot(folder.path(), &[path, "--out", &out]);
        let has_time = sql.contains("AS time_secs") || sql.contains("AS from_secs");
        // Of cycles, which this lake does not have, the axis is the part of the cycle.
        if has_time && !sql.contains("cycles") {
            assert!(output.status.success(), "{name}: {}", stderr(&output));
            let svg = Svg::read(&folder.path().join(&out));
            let texts = svg.texts();
            assert!(texts.contains(&"time (s)".to_owned()), "{name}: {texts:?}");
            drawn += 1;
        } else {
            assert_eq!(output.status.code(), Some(1), "{name}");
            let told = stderr(&output);
            // What `posedata metrics recompute` has not filled yet is empty.
            assert!(
                told.contains("--x") || told.contains("no rows"),
                "{name}: {told}"
            );
            assert!(!folder.path().join(&out).exists(), "{name}");
        }
    }
    assert!(drawn >= 2, "only {drawn} queries are time series");
}

#[test]
fn what_cannot_be_drawn_is_told_with_its_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let error = |arguments: &[&str]| {
        let output = plot(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = stderr(&output);
        assert!(told.starts_with("error: "), "{arguments:?}: {told}");
        told
    };
    let sql = "select time_secs, quality, mean_visibility from metrics";
    let told = error(&["-e", sql, "--out", "p.pdf"]);
    assert!(
        told.contains(".svg or .png") && told.contains("p.pdf"),
        "{told}"
    );
    let told = error(&["-e", sql, "--out", "p.svg", "--y", "quality"]);
    assert!(
        told.contains("quality is Utf8") && told.contains("time_secs, quality, mean_visibility"),
        "{told}"
    );
    let told = error(&["-e", sql, "--out", "p.svg", "--x", "tiem_secs"]);
    assert!(
        told.contains("no column tiem_secs") && told.contains("time_secs"),
        "{told}"
    );
    let empty = format!("{sql} where frame < 0");
    assert!(error(&["-e", &empty, "--out", "p.svg"]).contains("no rows"));
    let all_null = format!("{sql} where quality = 'no_pose'");
    assert!(error(&["-e", &all_null, "--out", "p.svg"]).contains("NULL"));
    let low = [
        "-e",
        "select * from metrics",
        "--out",
        "p.svg",
        "--height",
        "200",
    ];
    assert!(error(&low).contains("a height of at least"));
    let seal = error(&["-e", "drop table videos", "--out", "p.svg"]);
    assert!(seal.contains("SELECT"), "{seal}");
    assert!(!folder.path().join("p.svg").exists());
}

#[test]
fn lines_that_are_left_out_are_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    fixture(folder.path());
    let sql = "select time_secs, landmark, y from landmarks where landmark_index < 20";
    let output = plot(folder.path(), &["-e", sql, "--out", "p.png"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("8 more are left out"),
        "{}",
        stderr(&output)
    );
    let sql = "select time_secs, y from landmarks where landmark_index < 2";
    let output = plot(folder.path(), &["-e", sql, "--out", "p.png", "--json"]);
    assert!(stderr(&output).contains("--series"), "{}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(summary["lines"], 1);
    assert_eq!(summary["rows"], 54);
}
