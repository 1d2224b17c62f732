//! Pose models of one's own (`posedata ingest --pose-onnx --skeleton`), by a tiny network that finds squares of
//! six colours: where they are is known in closed form. Squares are drawn over a person, whom the detector
//! finds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use posedata::export::POSE_MODEL_SCHEMA;
use posedata::pose::tflite::onnx::{Attribute, NodeProto, TensorProto, ValueInfo};
use serde_json::Value;

use crate::analysis::{ANY, F32, linear_model, node, value, write_model};
use crate::real_files::set_matrix;
use crate::support::{command, installed, make_clip, stderr, stdout};

/// Runs the program in `folder`; models of one's own are ONNX Runtime's.
fn posedata(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(folder);
    command.env("POSEDATA_PROVIDER", "cpu").args(arguments);
    command.output().expect("the program starts")
}

/// The network's input.
const WIDTH: usize = 192;
const HEIGHT: usize = 256;
/// Standard deviation of its smoothing, in its pixels, and how far that reaches.
const SIGMA: f32 = 5.0;
const REACH: usize = 15;
/// Colours count from here on, of 1; what is left of a square is 0.4.
const THRESHOLD: f32 = 0.6;
/// What makes scores of about 1 of squares that are seen.
const GAIN: f32 = 5.0;
/// Of a square.
const SIDE_PX: u32 = 12;

/// A joint of the network: its name, its landmark if it is one, how much red, green and blue count for
/// it, and FFmpeg's name of the colour that it finds.
struct Joint {
    name: &'static str,
    landmark: Option<&'static str>,
    weights: [f32; 3],
    colour: &'static str,
    /// Left upper corner of the square in the picture, in pixels.
    corner: [u32; 2],
}

/// Seven joints, of which one is no landmark; their order is not that of the landmarks. Red and blue
/// would change places if channels did.
const JOINTS: [Joint; 7] = [
    joint("hip", Some("left_hip"), [-1.0, -1.0, 1.0], "blue", HIPS[0]),
    joint(
        "other hip",
        Some("right_hip"),
        [0.5, 0.5, -1.0],
        "yellow",
        HIPS[1],
    ),
    joint("neck", None, [0.0; 3], "", [0; 2]),
    joint(
        "shoulder",
        Some("left_shoulder"),
        [1.0, -1.0, -1.0],
        "red",
        SHOULDERS[0],
    ),
    joint(
        "other shoulder",
        Some("right_shoulder"),
        [-1.0, 1.0, -1.0],
        "lime",
        SHOULDERS[1],
    ),
    joint("nose", Some("nose"), [0.5, -1.0, 0.5], "magenta", NOSE),
    joint("ankle", Some("left_ankle"), [-1.0, 0.5, 0.5], "cyan", ANKLE),
];

// Where shoulders, hips, nose and ankle are in the clip; the person is left of its middle.
const SHOULDERS: [[u32; 2]; 2] = [[183, 51], [124, 54]];
const HIPS: [[u32; 2]; 2] = [[165, 116], [139, 117]];
const NOSE: [u32; 2] = [148, 34];
const ANKLE: [u32; 2] = [185, 204];

const fn joint(
    name: &'static str,
    landmark: Option<&'static str>,
    weights: [f32; 3],
    colour: &'static str,
    corner: [u32; 2],
) -> Joint {
    Joint {
        name,
        landmark,
        weights,
        colour,
        corner,
    }
}

/// What the network gives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A map with a cell for each so many pixels of the input, down and across.
    Heatmap { strides: [usize; 2] },
    /// SimCC with so many places for each pixel.
    SimCc { split: usize },
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    Attribute::from_ints(name, values.iter().copied())
}

/// The network: how much of its colour each joint has around each pixel, smoothed. `batch` and the sides
/// may be [`ANY`].
fn write_network(path: &Path, kind: Kind, [batch, height, width]: [i64; 3]) {
    let k = JOINTS.len();
    let weights: Vec<f32> = JOINTS.iter().flat_map(|joint| joint.weights).collect();
    let tap = |i: usize| {
        let off = i as f32 - REACH as f32;
        (-off * off / (2.0 * SIGMA * SIGMA)).exp()
    };
    let total: f32 = (0..=2 * REACH).map(tap).sum();
    let kernel = |gain: f32| -> Vec<f32> {
        let one = (0..=2 * REACH).map(|i| gain * tap(i) / total);
        one.cycle().take(k * (2 * REACH + 1)).collect()
    };
    let size = 2 * REACH + 1;
    let mut initializers = vec![
        TensorProto::f32("colours", &[k, 3, 1, 1], &weights),
        TensorProto::f32("threshold", &[k], &vec![-THRESHOLD; k]),
        TensorProto::f32("across", &[k, 1, 1, size], &kernel(GAIN)),
        TensorProto::f32("along", &[k, 1, size, 1], &kernel(1.0)),
    ];
    let group = || Attribute::from_int("group", k as i64);
    let mut nodes = vec![
        node(
            "Conv",
            &["picture", "colours", "threshold"],
            "excess",
            vec![],
        ),
        node("Relu", &["excess"], "colour", vec![]),
        node(
            "Conv",
            &["colour", "across"],
            "half",
            vec![group(), ints("pads", &[0, REACH, 0, REACH])],
        ),
        node(
            "Conv",
            &["half", "along"],
            "map",
            vec![group(), ints("pads", &[REACH, 0, REACH, 0])],
        ),
    ];
    let joints = k as i64;
    let outputs = match kind {
        Kind::Heatmap { strides } => {
            // The first of each so many pixels, so that a cell lies where it begins.
            nodes.push(node(
                "MaxPool",
                &["map"],
                "heatmaps",
                vec![ints("kernel_shape", &[1, 1]), ints("strides", &strides)],
            ));
            let cells = |side: i64, stride: usize| match side {
                ANY => ANY,
                side => side / stride as i64,
            };
            vec![value(
                "heatmaps",
                F32,
                &[
                    batch,
                    joints,
                    cells(height, strides[0]),
                    cells(width, strides[1]),
                ],
            )]
        }
        Kind::SimCc { split } => {
            initializers.extend([
                TensorProto::i64("rows", &[2]),
                TensorProto::i64("columns", &[3]),
                TensorProto::i64("last", &[3]),
                TensorProto::i64("joined", &[0, 0, -1]),
            ]);
            let mut axis = |pooled: &str, best: &str, name: &str| {
                let keep = || vec![Attribute::from_int("keepdims", 0)];
                nodes.push(node("ReduceMax", &["map", pooled], best, keep()));
                // Each place so many times, one behind the other.
                let (open, many) = (format!("{best} open"), format!("{best} many"));
                nodes.push(node("Unsqueeze", &[best, "last"], &open, vec![]));
                let copies = vec![open.as_str(); split];
                nodes.push(node(
                    "Concat",
                    &copies,
                    &many,
                    vec![Attribute::from_int("axis", 3)],
                ));
                nodes.push(node("Reshape", &[&many, "joined"], name, vec![]));
            };
            axis("rows", "best x", "simcc_x");
            axis("columns", "best y", "simcc_y");
            let places = |side: i64| {
                if side == ANY {
                    ANY
                } else {
                    side * split as i64
                }
            };
            vec![
                value("simcc_x", F32, &[batch, joints, places(width)]),
                value("simcc_y", F32, &[batch, joints, places(height)]),
            ]
        }
    };
    let input = vec![value("picture", F32, &[batch, 3, height, width])];
    write_model(path, input, nodes, initializers, outputs);
}

const FIXED: [i64; 3] = [1, HEIGHT as i64, WIDTH as i64];
const FINE: Kind = Kind::Heatmap { strides: [1, 1] };
const COARSE: Kind = Kind::Heatmap { strides: [4, 4] };
const SIMCC: Kind = Kind::SimCc { split: 2 };

/// A skeleton for the network, which takes colours of 0..1.
fn skeleton(output: &str, input: &str) -> String {
    let joints = JOINTS.iter().map(|joint| {
        let landmark = joint
            .landmark
            .map_or(String::new(), |l| format!(", landmark = \"{l}\""));
        format!("    {{ name = \"{}\"{landmark} }},\n", joint.name)
    });
    format!(
        "joints = [\n{}]\n[input]\nmean = [0.0, 0.0, 0.0]\nstd = [255.0, 255.0, 255.0]\n{input}\n[output]\n{output}\n",
        joints.collect::<String>()
    )
}

/// FFmpeg's filter that draws the squares, in the frames that `enable` says.
fn squares(enable: &str) -> String {
    let boxes = JOINTS.iter().filter(|joint| !joint.colour.is_empty()).map(|joint| {
        let ([x, y], colour) = (joint.corner, joint.colour);
        format!("drawbox=x={x}:y={y}:w={SIDE_PX}:h={SIDE_PX}:color={colour}:t=fill:enable='{enable}'")
    });
    boxes.collect::<Vec<_>>().join(",")
}

/// Frames of the demo with the squares in them, and lossless.
fn square_clip(path: &Path, frames: u32, enable: &str, after: &str) {
    let demo = installed("demo");
    let demo = demo.to_str().expect("a path");
    // The part around the person, who is to be large enough to be detected in every frame.
    let part = "scale=884:498,crop=500:360:160:0,format=gbrp";
    let filter = format!("{part},{}{after}", squares(enable));
    let frames = frames.to_string();
    let arguments = [
        "-ss",
        "1.0",
        "-i",
        demo,
        "-vf",
        &filter,
        "-frames:v",
        &frames,
    ];
    let codec = ["-c:v", "libx264rgb", "-qp", "0"];
    make_clip(path, &[&arguments[..], &codec].concat());
}

struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn model(&self, kind: Kind) -> &Self {
        write_network(&self.file("squares.onnx"), kind, FIXED);
        self
    }

    fn skeleton(&self, output: &str, input: &str) -> &Self {
        fs::write(self.file("squares.toml"), skeleton(output, input)).expect("a file");
        self
    }

    fn ingest(&self, more: &[&str]) -> Result<Value, String> {
        let model = [
            "ingest",
            "clip.mp4",
            "--pose-onnx",
            "squares.onnx",
            "--skeleton",
            "squares.toml",
        ];
        let plain = ["--no-smoothing", "--json", "--no-video", "--no-pose-json"];
        let output = posedata(self.path(), &[&model[..], &plain, more].concat());
        match output.status.success() {
            true => Ok(serde_json::from_str(&stdout(&output)).expect("JSON")),
            false => Err(stderr(&output)),
        }
    }

    fn rows(&self, sql: &str) -> Vec<Value> {
        let output = posedata(self.path(), &["query", "-e", sql, "--format", "json"]);
        assert!(output.status.success(), "{sql}: {}", stderr(&output));
        serde_json::from_str(&stdout(&output)).expect("JSON")
    }

    fn number(&self, sql: &str) -> f64 {
        let rows = self.rows(sql);
        rows[0]["v"]
            .as_f64()
            .unwrap_or_else(|| panic!("{sql}: {rows:?}"))
    }

    /// How far landmarks are from the middles of their squares at most, in pixels.
    fn largest_error_px(&self) -> f64 {
        let sql = "SELECT landmark, x * width_px AS x, y * height_px AS y, visibility
            FROM landmarks JOIN videos USING (video_id) WHERE x IS NOT NULL";
        let rows = self.rows(sql);
        assert!(!rows.is_empty());
        let errors = rows.iter().map(|row| {
            assert!(row["visibility"].as_f64() >= Some(0.5), "{row}");
            let [x, y] = middle(row["landmark"].as_str().expect("a name"));
            let off = |name: &str, expected: f64| row[name].as_f64().expect("a place") - expected;
            off("x", x).hypot(off("y", y))
        });
        errors.fold(0.0, f64::max)
    }
}

/// The middle of a square in the clip: places are those of pixels' middles, which have whole numbers.
fn middle(landmark: &str) -> [f64; 2] {
    let mut joints = JOINTS.iter();
    let joint = joints
        .find(|joint| joint.landmark == Some(landmark))
        .expect("a joint");
    joint
        .corner
        .map(|corner| f64::from(corner) + f64::from(SIDE_PX - 1) / 2.0)
}

#[test]
fn each_kind_of_output_finds_the_squares_where_they_are() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 4, "1", "");
    for (kind, output, limit_px) in [
        (FINE, "kind = \"heatmap\"\nrefinement = \"none\"", 1.2),
        (
            FINE,
            "kind = \"heatmap\"\nrefinement = \"dark\"\npixel_grid = \"unbiased\"",
            0.6,
        ),
        (COARSE, "kind = \"heatmap\"", 2.5),
        (COARSE, "kind = \"heatmap\"\nrefinement = \"dark\"", 0.6),
        (SIMCC, "kind = \"simcc\"", 1.2),
    ] {
        setup.model(kind).skeleton(output, "");
        let summary = setup.ingest(&[]).expect("an ingest");
        assert_eq!(summary["videos"][0]["pose_frame_count"], 4, "{output}");
        let error_px = setup.largest_error_px();
        assert!(error_px < limit_px, "{kind:?} {output}: {error_px} px");
    }
}

#[test]
fn turned_and_upright_videos_are_read_alike() {
    let setup = Setup::new();
    // Stored with the head to the left, and turned clockwise by the matrix.
    square_clip(&setup.file("clip.mp4"), 2, "1", ",transpose=cclock");
    set_matrix(&setup.file("clip.mp4"), [0, 1, -1, 0]);
    setup.model(SIMCC).skeleton("kind = \"simcc\"", "");
    setup.ingest(&[]).expect("an ingest");
    let turned = setup.rows("SELECT rotation_deg, width_px > height_px AS is_wide FROM videos");
    assert_eq!(turned[0]["rotation_deg"], 90);
    assert_eq!(turned[0]["is_wide"], true);
    let error_px = setup.largest_error_px();
    assert!(error_px < 1.2, "{error_px} px");
}

#[test]
fn what_the_model_does_not_give_is_null_and_what_follows_from_it() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 4, "1", "");
    setup.model(SIMCC).skeleton("kind = \"simcc\"", "");
    setup.ingest(&[]).expect("an ingest");
    let counts = setup.rows(
        "SELECT count(*) AS rows, count(x) AS x, count(y) AS y, count(visibility) AS visibility, count(z) AS z,
             count(presence) AS presence, count(world_x_m) + count(world_y_m) + count(world_z_m) AS world
         FROM landmarks",
    );
    let expected = [
        ("rows", 4 * 33),
        ("x", 4 * 6),
        ("y", 4 * 6),
        ("visibility", 4 * 6),
        ("z", 0),
        ("presence", 0),
        ("world", 0),
    ];
    for (column, count) in expected {
        assert_eq!(counts[0][column], count, "{column}");
    }
    // Metres and angles between landmarks in metres cannot be told, and no more can what needs knees.
    let unknown = setup.rows(
        "SELECT count(shoulder_width_m) + count(left_hip_deg) + count(left_knee_deg) + count(trunk_lean_deg)
             + count(facing) + count(left_right_swap) FILTER (left_right_swap) + count(bone_length_jump) AS v
         FROM metrics",
    );
    assert_eq!(unknown[0]["v"], 0);
    // The trunk in the picture follows from the squares.
    let between = |a: &str, b: &str| {
        let (a, b) = (middle(a), middle(b));
        [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
    };
    let shoulders = between("left_shoulder", "right_shoulder");
    let hips = between("left_hip", "right_hip");
    let torso_px = (shoulders[0] - hips[0]).hypot(shoulders[1] - hips[1]);
    let found_px = setup.number("SELECT avg(torso_length_px) AS v FROM metrics");
    assert!((found_px - torso_px).abs() < 1.5, "{found_px} {torso_px}");
    // Knees are missing, so that the pose is whole in no frame.
    assert_eq!(
        setup.rows("SELECT DISTINCT quality AS v FROM metrics"),
        [serde_json::json!({"v": "partial"})]
    );
    let visibility = setup.rows(
        "SELECT abs(p.mean_visibility - (SELECT avg(visibility) FROM landmarks)) < 1e-3
             AND abs((SELECT avg(mean_visibility) FROM metrics) - p.mean_visibility) < 1e-3 AS v
         FROM persons AS p",
    );
    assert_eq!(visibility[0]["v"], true);
}

#[test]
fn a_person_who_is_gone_is_looked_for_again() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 9, "lt(n,3)+gt(n,5)", "");
    setup.model(SIMCC).skeleton("kind = \"simcc\"", "");
    setup.ingest(&[]).expect("an ingest");
    let frames = setup.rows(
        "SELECT string_agg(frame::VARCHAR, ' ' ORDER BY frame) AS v FROM metrics WHERE quality <> 'no_pose'",
    );
    assert_eq!(frames[0]["v"], "0 1 2 6 7 8");
    assert!(setup.largest_error_px() < 1.2);
    // Several people are told apart by the same model, and the one there is counts from the first frame on.
    setup.ingest(&["--max-persons", "2"]).expect("an ingest");
    let people = setup.rows("SELECT DISTINCT person || ' ' || quality AS v FROM metrics");
    let is_there = people.iter().any(|row| row["v"] == "0 partial");
    assert!(is_there, "{people:?}");
    assert!(setup.largest_error_px() < 1.2);
}

#[test]
fn another_file_or_skeleton_is_another_ingest() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 2, "1", "");
    setup.model(SIMCC).skeleton("kind = \"simcc\"", "");
    let outcome = || setup.ingest(&[]).expect("an ingest")["videos"][0]["outcome"].clone();
    assert_eq!(outcome(), "ingested");
    assert_eq!(outcome(), "skipped");
    setup.skeleton("kind = \"simcc\"\nvisible_from = 0.4", "");
    assert_eq!(outcome(), "replaced");
    assert_eq!(outcome(), "skipped");
    setup.model(Kind::SimCc { split: 3 });
    assert_eq!(outcome(), "replaced");
    let known = setup.rows(
        "SELECT pose_model, length(pose_model_sha256) AS digits, config->>'$.skeleton.name' AS skeleton,
             length(config->>'$.skeleton.sha256') AS skeleton_digits FROM videos",
    );
    assert_eq!(
        known[0],
        serde_json::json!({"pose_model": "squares", "digits": 64, "skeleton": "squares", "skeleton_digits": 64})
    );
    let info = posedata(setup.path(), &["lake", "info", "--json"]);
    let info: Value = serde_json::from_str(&stdout(&info)).expect("JSON");
    assert_eq!(info["pose_models"][0]["pose_model"], "squares");
    assert_eq!(info["pose_models"][0]["skeleton"], "squares");
    assert_eq!(info["pose_models"][0]["videos"], 1);
    // BlazePose again, which gives everything.
    let output = posedata(
        setup.path(),
        &["ingest", "clip.mp4", "--no-video", "--no-pose-json"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let unknown =
        setup.number("SELECT count(*) FILTER (world_x_m IS NULL OR x IS NULL) AS v FROM landmarks");
    assert_eq!(unknown, 0.0);
}

#[test]
fn models_that_do_not_fit_are_refused_before_the_first_video() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 1, "1", "");
    setup.model(SIMCC).skeleton("kind = \"simcc\"", "");
    let refused = |reason: &str| {
        let error = setup.ingest(&[]).expect_err("a model that does not fit");
        assert!(error.contains(reason), "expected {reason}: {error}");
        assert!(error.contains("squares.onnx"), "{error}");
        assert!(!setup.file("lake").exists(), "{reason}");
    };
    let model = setup.file("squares.onnx");

    // Another kind of output.
    setup.skeleton("kind = \"heatmap\"", "");
    refused("says that it gives one output of f32");
    setup.model(FINE).skeleton("kind = \"simcc\"", "");
    refused("says that it gives two outputs of f32");

    // Maps that are not those of the picture that goes in: rows and columns exchanged, or another input's.
    setup.model(Kind::Heatmap { strides: [4, 1] });
    setup.skeleton("kind = \"heatmap\"", "");
    refused("of 64 rows and 192 columns do not share one scale with its input of 192x256 px");

    // Another number of joints.
    setup.model(SIMCC);
    let joints = skeleton("kind = \"simcc\"", "").replace("    { name = \"neck\" },\n", "");
    fs::write(setup.file("squares.toml"), joints).expect("a file");
    refused("K = 6, the number of joints of the skeleton squares");

    // A size that is open, one that is another, one that fits.
    setup.skeleton("kind = \"simcc\"", "");
    write_network(&model, SIMCC, [ANY, ANY, ANY]);
    refused("give width_px and height_px");
    setup
        .model(SIMCC)
        .skeleton("kind = \"simcc\"", "width_px = 96\nheight_px = 128");
    refused("it takes 192x256 px, the skeleton squares says 96x128");
    write_network(&model, SIMCC, [2, HEIGHT as i64, WIDTH as i64]);
    setup.skeleton("kind = \"simcc\"", "");
    refused("for one picture");

    // No pictures of f32, planes first.
    linear_model(&model, 1);
    refused("expected one input of f32 and shape [1, 3, height, width]");
    /// Half-precision numbers in `onnx.proto`.
    const F16: i32 = 10;
    let size = [1, 3, HEIGHT as i64, WIDTH as i64];
    let same = |element: i32| {
        let nodes = vec![node("Identity", &["picture"], "maps", vec![])];
        let (input, output) = (
            value("picture", element, &size),
            value("maps", element, &size),
        );
        write_model(&model, vec![input], nodes, vec![], vec![output]);
    };
    same(F16);
    refused("keep_io_types=True");
    // Three maps for seven joints.
    same(F32);
    setup.skeleton("kind = \"heatmap\"", "");
    refused("its outputs are [1, 3, 256, 192]");

    fs::write(&model, "no model").expect("a file");
    refused("ONNX Runtime does not take it");
    fs::remove_file(&model).expect("a file");
    refused("cannot read the pose model");
}

#[test]
fn a_model_that_takes_any_size_gets_that_of_its_skeleton() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 2, "1", "");
    write_network(&setup.file("squares.onnx"), SIMCC, [ANY, ANY, ANY]);
    setup.skeleton("kind = \"simcc\"", "width_px = 288\nheight_px = 384");
    setup.ingest(&[]).expect("an ingest");
    let error_px = setup.largest_error_px();
    assert!(error_px < 1.0, "{error_px} px");
}

#[test]
fn a_model_that_gives_no_numbers_ends_the_ingest() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 1, "1", "");
    let size = [1, 3, HEIGHT as i64, WIDTH as i64];
    // The logarithm of what is below 0 is no number; a black picture has none.
    let nodes: Vec<NodeProto> = vec![
        node("Neg", &["picture"], "negative", vec![]),
        node("Log", &["negative"], "logarithm", vec![]),
        node(
            "Concat",
            &["logarithm", "logarithm", "picture"],
            "many",
            vec![Attribute::from_int("axis", 1)],
        ),
        node("Slice", &["many", "first", "end", "axes"], "maps", vec![]),
    ];
    let constants = vec![
        TensorProto::i64("first", &[0]),
        TensorProto::i64("end", &[JOINTS.len() as i64]),
        TensorProto::i64("axes", &[1]),
    ];
    let input: Vec<ValueInfo> = vec![value("picture", F32, &size)];
    let maps = [1, JOINTS.len() as i64, HEIGHT as i64, WIDTH as i64];
    write_model(
        &setup.file("squares.onnx"),
        input,
        nodes,
        constants,
        vec![value("maps", F32, &maps)],
    );
    setup.skeleton("kind = \"heatmap\"", "");
    let error = setup.ingest(&[]).expect_err("no numbers");
    assert!(error.contains("values that are no numbers"), "{error}");
    assert!(error.contains("squares.onnx"), "{error}");
}

#[test]
fn skeletons_are_found_by_name_and_refused_when_they_are_wrong() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 1, "1", "");
    setup.model(SIMCC);
    let ingest = |skeleton: &str| {
        let model = [
            "ingest",
            "clip.mp4",
            "--pose-onnx",
            "squares.onnx",
            "--skeleton",
            skeleton,
        ];
        stderr(&posedata(setup.path(), &model))
    };
    // Found, and another model's.
    assert!(ingest("halpe26").contains("K = 26, the number of joints of the skeleton halpe26"));
    assert!(ingest("coco17").contains("skeleton coco17"));
    assert!(ingest("vitpose17.toml").contains("skeleton vitpose17"));
    let unknown = ingest("halpe25");
    assert!(
        unknown.contains("give one of coco17, halpe26, vitpose17"),
        "{unknown}"
    );
    let wrong = skeleton("kind = \"simcc\"", "").replace("left_ankle", "left_ancle");
    fs::write(setup.file("wrong.toml"), wrong).expect("a file");
    let wrong = ingest("wrong.toml");
    assert!(
        wrong.contains("did you mean left_ankle?") && wrong.contains("wrong.toml"),
        "{wrong}"
    );
    let alone = posedata(
        setup.path(),
        &["ingest", "clip.mp4", "--pose-onnx", "squares.onnx"],
    );
    assert!(stderr(&alone).contains("--skeleton"), "{}", stderr(&alone));
    let alone_with_skeleton = [
        "ingest",
        "clip.mp4",
        "--pose-onnx",
        "squares.onnx",
        "--skeleton",
        "coco17",
    ];
    let both = [
        "ingest",
        "clip.mp4",
        "--pose-model",
        "heavy",
        "--pose-onnx",
        "squares.onnx",
        "--skeleton",
        "coco17",
    ];
    assert!(!posedata(setup.path(), &both).status.success());
    let native = [&alone_with_skeleton[..], &["--provider", "native"]].concat();
    let native = stderr(&posedata(setup.path(), &native));
    assert!(
        native.contains("--provider cpu") && native.contains("squares.onnx"),
        "{native}"
    );

    let copied = posedata(setup.path(), &["queries", "copy", "skeletons"]);
    assert!(copied.status.success(), "{}", stderr(&copied));
    assert!(setup.file("skeletons/halpe26.toml").is_file());
    assert!(ingest("skeletons/halpe26.toml").contains("skeleton halpe26"));
}

#[test]
fn everything_that_reads_the_lake_knows_what_is_missing() {
    let setup = Setup::new();
    square_clip(&setup.file("clip.mp4"), 14, "1", "");
    setup.model(SIMCC).skeleton("kind = \"simcc\"", "");
    setup.ingest(&[]).expect("an ingest");
    let run = |arguments: &[&str]| posedata(setup.path(), arguments);
    let succeeds = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        stdout(&output)
    };
    let read = |name: &str| fs::read_to_string(setup.file(name)).expect(name);

    // Filtered rows have what there is.
    succeeds(&["metrics", "recompute"]);
    let filtered = setup.rows(
        "SELECT count(*) AS rows, count(x) AS x, count(z) + count(world_x_m) AS unknown FROM landmarks_filtered",
    );
    assert_eq!(
        filtered[0],
        serde_json::json!({"rows": 14 * 6, "x": 14 * 6, "unknown": 0})
    );
    let known = setup.rows(
        "SELECT count(torso_length_px) AS torso, count(shoulder_width_m) + count(left_hip_deg) AS unknown
         FROM metrics_filtered",
    );
    assert_eq!(known[0], serde_json::json!({"torso": 14, "unknown": 0}));
    assert_eq!(setup.number("SELECT count(*) AS v FROM events"), 0.0);

    // Markers in metres are refused, with the formats that can be had.
    for format in ["trc", "c3d"] {
        let output = run(&["export", format]);
        assert!(!output.status.success());
        let error = stderr(&output);
        assert!(
            error.contains("gives no landmarks in metres") && error.contains("openpose"),
            "{error}"
        );
    }
    for format in [
        "csv",
        "mot",
        "openpose",
        "coco-keypoints",
        "pose-json",
        "parquet",
    ] {
        succeeds(&["export", format, "--output", "out"]);
    }
    let csv = read("out/clip.csv");
    let mut lines = csv.lines();
    let heads: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let cells: Vec<&str> = lines.next().expect("a row").split(',').collect();
    let cell = |name: &str| cells[heads.iter().position(|head| *head == name).expect(name)];
    assert_eq!(
        [
            cell("left_hip_z"),
            cell("left_knee_x"),
            cell("left_hip_world_x_m")
        ],
        ["", "", ""]
    );
    assert!(cell("left_hip_x").parse::<f64>().is_ok());

    let coco: Value = serde_json::from_str(&read("out/clip_coco.json")).expect("JSON");
    let annotation = &coco["annotations"][0];
    assert_eq!(annotation["num_keypoints"], 6);
    // The left eye is not there, the nose is.
    let keypoints = annotation["keypoints"].as_array().expect("keypoints");
    assert_eq!(keypoints[3..6], [0, 0, 0].map(Value::from));
    assert_eq!(keypoints[2], 2);
    // The person looks at the camera.
    let left = annotation["bbox"][0].as_f64().expect("a number");
    assert!((left - middle("right_shoulder")[0]).abs() < 1.5, "{left}");

    let frame = "out/clip_json/clip_000000000000_keypoints.json";
    let openpose: Value = serde_json::from_str(&read(frame)).expect("JSON");
    let points = openpose["people"][0]["pose_keypoints_2d"]
        .as_array()
        .expect("points");
    // The right knee (10) is not there; the neck (1) is between the shoulders.
    assert_eq!(points[30..33], [0.0, 0.0, 0.0].map(Value::from));
    let neck = points[3].as_f64().expect("a number");
    let shoulders = [middle("left_shoulder"), middle("right_shoulder")];
    assert!(
        (neck - (shoulders[0][0] + shoulders[1][0]) / 2.0).abs() < 1.5,
        "{neck}"
    );

    let pose: Value = serde_json::from_str(&read("out/clip_pose.json")).expect("JSON");
    let schema: Value = serde_json::from_str(POSE_MODEL_SCHEMA).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&pose), "{pose}");
    assert_eq!(pose[0]["points"][25]["x"], Value::Null);
    assert_eq!(pose[0]["points"][23]["z"], Value::Null);

    // An analysis model would see what is not there.
    linear_model(&setup.file("linear.onnx"), ANY);
    let analysed = run(&["analyze", "--model", "linear.onnx"]);
    assert!(!analysed.status.success());
    assert!(
        stderr(&analysed).contains("gives no depth"),
        "{}",
        stderr(&analysed)
    );

    // Pictures, faces, tables, checks.
    succeeds(&[
        "annotate",
        "clip.mp4",
        "--blur-faces",
        "--output",
        "pictures",
    ]);
    succeeds(&["lake", "check"]);
    for query in [
        "quality",
        "joint_angles",
        "segment_angles",
        "velocity",
        "range_of_motion",
        "filtering",
    ] {
        succeeds(&["query", query]);
    }
}
