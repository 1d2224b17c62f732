//! Custom models over landmarks: tiny ONNX models, made here, whose values the tests know.

use std::fs;
use std::path::{Path, PathBuf};

use posedata::lake::LakePaths;
use posedata::pose::PersonPose;
use posedata::pose::tflite::onnx::{
    Attribute, Dimension, GraphProto, IR_VERSION, ModelProto, NodeProto, OPSET_VERSION,
    OperatorSetId, TensorProto, TensorShape, TensorType, ValueInfo, ValueType,
};
use prost::Message;

use crate::lake::fixture;
use crate::poses::{commit_made_up, made_up_frame, record};
use crate::support::{installed, posedata, stderr, stdout};

// Element types of `onnx.proto`.
pub const F32: i32 = 1;
const I32: i32 = 6;
const I64: i32 = 7;
const F64: i32 = 11;

/// A dimension that may have any size.
pub const ANY: i64 = -1;

pub fn value(name: &str, element: i32, shape: &[i64]) -> ValueInfo {
    let dimension = |size: &i64| Dimension {
        value: (*size != ANY).then_some(*size),
    };
    let shape = TensorShape {
        dim: shape.iter().map(dimension).collect(),
    };
    ValueInfo {
        name: name.into(),
        value_type: Some(ValueType {
            tensor: Some(TensorType {
                element,
                shape: Some(shape),
            }),
        }),
    }
}

pub fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<Attribute>) -> NodeProto {
    NodeProto {
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.into()],
        name: format!("{op_type} of {output}"),
        op_type: op_type.into(),
        attribute,
    }
}

pub fn write_model(
    path: &Path,
    input: Vec<ValueInfo>,
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    output: Vec<ValueInfo>,
) {
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "tests".into(),
        graph: Some(GraphProto {
            node,
            name: "graph".into(),
            initializer,
            input,
            output,
        }),
        opset_import: vec![OperatorSetId {
            domain: String::new(),
            version: OPSET_VERSION,
        }],
    };
    fs::write(path, model.encode_to_vec()).expect("a file");
}

/// The weight of an input value for one of three sums.
fn weight(input: usize, sum: usize) -> f32 {
    ((input * 7 + sum * 13) % 11) as f32 / 8.0 - 0.5
}

/// y = flattened landmarks times [`weight`]s; y again as f64; the position of the largest as i64.
pub fn linear_model(path: &Path, rows: i64) {
    let weights: Vec<f32> = (0..132)
        .flat_map(|input| (0..3).map(move |sum| weight(input, sum)))
        .collect();
    write_model(
        path,
        vec![value("landmarks", F32, &[rows, 33, 4])],
        vec![
            node("Flatten", &["landmarks"], "flat", Vec::new()),
            node("MatMul", &["flat", "weights"], "y", Vec::new()),
            node(
                "Cast",
                &["y"],
                "wide",
                vec![Attribute::from_int("to", F64.into())],
            ),
            node(
                "ArgMax",
                &["y"],
                "best",
                vec![
                    Attribute::from_int("axis", 1),
                    Attribute::from_int("keepdims", 0),
                ],
            ),
        ],
        vec![TensorProto::f32("weights", &[132, 3], &weights)],
        vec![
            value("y", F32, &[rows, 3]),
            value("wide", F64, &[rows, 3]),
            value("best", I64, &[rows]),
        ],
    );
}

/// How far landmark 15 has moved along x from the first to the last frame of a window.
fn window_model(path: &Path, frames: i64, weights_for: usize) {
    let mut weights = vec![0.0; weights_for * 132];
    weights[15 * 4] = -1.0;
    weights[(weights_for - 1) * 132 + 15 * 4] = 1.0;
    write_model(
        path,
        vec![value("windows", F32, &[ANY, frames, 33, 4])],
        vec![
            node("Flatten", &["windows"], "flat", Vec::new()),
            node("MatMul", &["flat", "weights"], "moved", Vec::new()),
        ],
        vec![TensorProto::f32(
            "weights",
            &[weights_for * 132, 1],
            &weights,
        )],
        vec![value("moved", F32, &[ANY, 1])],
    );
}

/// Runs a command that is to work.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = posedata(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stderr(&output)
}

/// Rows of a query as lists of numbers; NULL is NaN.
fn rows(folder: &Path, sql: &str) -> Vec<Vec<f64>> {
    let output = posedata(folder, &["query", "-e", sql, "--format", "csv"]);
    assert!(output.status.success(), "{sql}: {}", stderr(&output));
    let cell = |cell: &str| match cell {
        "" => f64::NAN,
        number => number.parse().expect("a number"),
    };
    let text = stdout(&output);
    text.lines()
        .skip(1)
        .map(|line| line.split(',').map(cell).collect())
        .collect()
}

/// A lake with one video of made-up frames, and a model's path beside it.
pub fn made_up(folder: &Path, frames: u64) -> PathBuf {
    let paths = LakePaths::new(folder.join("lake"));
    commit_made_up(&paths, &record(&"a".repeat(32), "a.mp4", frames));
    folder.join("model.onnx")
}

fn sums(pose: &PersonPose) -> [f64; 3] {
    let landmarks = pose.landmarks.iter();
    let values: Vec<f32> = landmarks
        .flat_map(|l| [l.x, l.y, l.z, l.visibility])
        .collect();
    [0, 1, 2].map(|sum| {
        let products = values.iter().enumerate();
        products
            .map(|(i, value)| f64::from(*value) * f64::from(weight(i, sum)))
            .sum()
    })
}

#[test]
fn a_linear_model_gives_the_sums_that_arithmetic_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = made_up(folder.path(), 40);
    linear_model(&model, ANY);
    let told = run(folder.path(), &["analyze", "--model", "model.onnx"]);
    let expected: Vec<(u64, u16, [f64; 3])> = (0..40)
        .map(made_up_frame)
        .flat_map(|frame| {
            let number = frame.frame;
            let persons = frame.persons.into_iter();
            persons.map(move |row| (number, row.pose.person, sums(&row.pose)))
        })
        .collect();
    let inputs = expected.len();
    assert_eq!(
        told,
        format!("a.mp4: analysed {inputs} frames, {} values\n", inputs * 7)
    );
    for output in ["y", "wide"] {
        let found = rows(
            folder.path(),
            &format!(
                "select frame, person, output_index, value, time_secs, window_frames
                 from analysis where output = '{output}' order by frame, person, output_index"
            ),
        );
        assert_eq!(found.len(), inputs * 3);
        for (found, (frame, person, sums)) in found.chunks(3).zip(&expected) {
            for (i, row) in found.iter().enumerate() {
                assert_eq!(row[..3], [*frame as f64, f64::from(*person), i as f64]);
                assert!((row[3] - sums[i]).abs() < 1e-4, "{} is {}", row[3], sums[i]);
                assert_eq!(row[4], *frame as f64 / 30.0);
                assert_eq!(row[5], 1.0);
            }
        }
    }
    let best = rows(
        folder.path(),
        "select value from analysis where output = 'best' order by frame, person",
    );
    for (best, (_, _, sums)) in best.iter().zip(&expected) {
        let largest = sums.iter().copied().fold(f64::MIN, f64::max);
        assert!(largest - sums[best[0] as usize] < 1e-4);
    }
}

#[test]
fn a_model_with_batches_of_its_own_gives_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    made_up(folder.path(), 40);
    for (name, rows) in [("any.onnx", ANY), ("four.onnx", 4)] {
        linear_model(&folder.path().join(name), rows);
        run(folder.path(), &["analyze", "--model", name]);
    }
    let difference = "select count(*), count(distinct model_sha256), max(spread) from (
        select any_value(model_sha256) as model_sha256, max(value) - min(value) as spread, count(*) as models
        from analysis group by frame, person, output, output_index) where models = 2";
    // 44 people in 40 frames, 7 values each; all of them from both models.
    let found = rows(folder.path(), difference);
    let people: usize = (0..40)
        .map(|frame| made_up_frame(frame).persons.len())
        .sum();
    assert_eq!(found[0][0], (people * 7) as f64);
    assert!(found[0][2] < 1e-4, "{}", found[0][2]);
}

#[test]
fn outputs_are_flattened_row_by_row_and_nan_is_null() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = made_up(folder.path(), 5);
    write_model(
        &model,
        vec![value("x", F32, &[ANY, 33, 4])],
        vec![node("Sqrt", &["x"], "root", Vec::new())],
        Vec::new(),
        vec![value("root", F32, &[ANY, 33, 4])],
    );
    run(folder.path(), &["analyze", "--model", "model.onnx"]);
    let found = rows(
        folder.path(),
        "select value, output_index from analysis where frame = 4 order by output_index",
    );
    let pose = made_up_frame(4).persons.remove(0).pose;
    let values = (pose.landmarks.iter()).flat_map(|l| [l.x, l.y, l.z, l.visibility]);
    let values: Vec<f32> = values.collect();
    assert_eq!(found.len(), values.len());
    let mut nulls = 0;
    for ((found, value), index) in found.iter().zip(values).zip(0_u32..) {
        assert_eq!(found[1], f64::from(index));
        if value < 0.0 {
            assert!(found[0].is_nan());
            nulls += 1;
        } else {
            assert!((found[0] - f64::from(value).sqrt()).abs() < 1e-6);
        }
    }
    assert!(nulls > 5, "{nulls} of 33 depths are negative");
}

#[test]
fn windows_end_at_their_frame_and_do_not_span_gaps() {
    let folder = tempfile::tempdir().expect("a folder");
    // Landmark 15 moves by 1/1024 from frame to frame; frames 9, 19 and 29 have no pose.
    fixture(folder.path());
    let expected: Vec<Vec<f64>> = (0..30)
        .filter(|frame| frame % 10 >= 2 && frame % 10 != 9)
        .map(|frame| vec![f64::from(frame), 2.0 / 1024.0, 3.0])
        .collect();
    let sql = "select frame, value, window_frames from analysis order by frame";
    window_model(&folder.path().join("fixed.onnx"), 3, 3);
    run(
        folder.path(),
        &["analyze", "--model", "fixed.onnx", "red.mp4"],
    );
    assert_eq!(rows(folder.path(), sql), expected);

    // A window of one frame moves nothing; the same model can be run with another window again.
    let model = folder.path().join("any.onnx");
    write_model(
        &model,
        vec![value("windows", F32, &[ANY, ANY, 33, 4])],
        vec![node(
            "ReduceMax",
            &["windows"],
            "max",
            vec![Attribute::from_ints("axes", [1, 2, 3])],
        )],
        Vec::new(),
        vec![value("max", F32, &[ANY, 1, 1, 1])],
    );
    // ReduceMax has its axes as an attribute up to operator set 17.
    let mut any: ModelProto =
        ModelProto::decode(fs::read(&model).expect("a file").as_slice()).expect("a model");
    any.opset_import[0].version = 17;
    fs::write(&model, any.encode_to_vec()).expect("a file");
    for window in [1, 2, 9] {
        let window_text = window.to_string();
        run(
            folder.path(),
            &["analyze", "--model", "any.onnx", "--window", &window_text],
        );
        let sql = format!(
            "select count(*), count(distinct window_frames) from analysis where window_frames = {window} and output = 'max'"
        );
        let in_each_stretch = 9 - window + 1;
        assert_eq!(
            rows(folder.path(), &sql),
            [[f64::from(3 * in_each_stretch), 1.0]]
        );
    }
    let sql = "select count(distinct window_frames) from analysis where output = 'max'";
    assert_eq!(
        rows(folder.path(), sql),
        [[1.0]],
        "the rows of the last run alone"
    );
}

#[test]
fn windows_of_several_people_stay_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = made_up(folder.path(), 30);
    window_model(&model, 2, 2);
    run(folder.path(), &["analyze", "--model", "model.onnx"]);
    let pose = |frame: u64, person: u16| {
        let persons = made_up_frame(frame).persons.into_iter();
        persons
            .map(|row| row.pose)
            .find(|pose| pose.person == person)
    };
    let mut expected = Vec::new();
    for frame in 1..30 {
        for person in [0, 2] {
            if let (Some(before), Some(now)) = (pose(frame - 1, person), pose(frame, person)) {
                let moved = now.landmarks[15].x - before.landmarks[15].x;
                expected.push(vec![frame as f64, f64::from(person), f64::from(moved)]);
            }
        }
    }
    let sql = "select frame, person, value from analysis order by frame, person";
    assert_eq!(rows(folder.path(), sql), expected);
}

#[test]
fn long_videos_go_through_in_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = made_up(folder.path(), 9_000);
    linear_model(&model, ANY);
    run(folder.path(), &["analyze", "--model", "model.onnx"]);
    let sql = "select count(*), count(distinct frame), sum(value) filter (output = 'y' and output_index = 1) from analysis";
    let expected: Vec<f64> = (0..9_000)
        .flat_map(|frame| made_up_frame(frame).persons)
        .map(|row| sums(&row.pose)[1])
        .collect();
    let frames = (0..9_000).filter(|frame| !made_up_frame(*frame).persons.is_empty());
    let found = &rows(folder.path(), sql)[0];
    assert_eq!(found[0], (expected.len() * 7) as f64);
    assert_eq!(found[1], frames.count() as f64);
    let sum: f64 = expected.iter().sum();
    assert!(
        (found[2] - sum).abs() < 1e-2 * sum.abs().max(1.0),
        "{} is {sum}",
        found[2]
    );
}

#[test]
fn several_models_stand_side_by_side_and_each_replaces_its_own_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths::new(folder.path().join("lake"));
    commit_made_up(&paths, &record(&"a".repeat(32), "a.mp4", 10));
    commit_made_up(&paths, &record(&"b".repeat(32), "b.mp4", 10));
    window_model(&folder.path().join("pairs.onnx"), 2, 2);
    linear_model(&folder.path().join("linear.onnx"), ANY);
    for model in ["pairs.onnx", "linear.onnx"] {
        run(folder.path(), &["analyze", "--model", model]);
    }
    let counts = "select count(*) filter (output = 'moved'), count(*) filter (output <> 'moved'),
        count(distinct model_sha256) from analysis where video_id[1] = ";
    let count = |video: &str| rows(folder.path(), &format!("{counts}'{video}'"));
    let before = count("a");
    assert!(before[0][0] > 0.0 && before[0][1] > 0.0);
    assert_eq!(before[0][2], 2.0);
    assert_eq!(count("b"), before);
    run(
        folder.path(),
        &["analyze", "--model", "linear.onnx", "a.mp4"],
    );
    assert_eq!(count("a"), before);
    assert_eq!(count("b"), before);

    // An ingest with other settings takes what was made of the older rows with it.
    let mut other = record(&"a".repeat(32), "a.mp4", 5);
    other.config_hash = "1".repeat(32);
    commit_made_up(&paths, &other);
    assert_eq!(count("a"), [[0.0, 0.0, 0.0]]);
    assert_eq!(count("b"), before);
}

#[test]
fn models_that_do_not_fit_are_refused_with_what_was_expected_and_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = made_up(folder.path(), 5);
    let error = |arguments: &[&str]| {
        let arguments = [&["analyze", "--model", "model.onnx"], arguments].concat();
        let output = posedata(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output)
    };
    let identity = |input: ValueInfo, output: ValueInfo| {
        let nodes = vec![node("Identity", &[&input.name], &output.name, Vec::new())];
        write_model(&model, vec![input], nodes, Vec::new(), vec![output]);
    };
    let check = |arguments: &[&str], expected: &str| {
        let message = error(arguments);
        assert!(message.contains(expected), "{message}");
        assert!(message.ends_with("model.onnx\n"), "{message}");
    };
    check(&[], "cannot load the analysis model (No such file");
    fs::write(&model, "no model").expect("a file");
    check(&[], "cannot load the analysis model (");

    let expected = "expected one f32 input of shape [n, 33, 4] or [n, t, 33, 4], got ";
    for (element, shape, got) in [
        (F32, &[ANY, 33, 3][..], "x: f32 [?, 33, 3]"),
        (F32, &[ANY, 132], "x: f32 [?, 132]"),
        (F64, &[1, 33, 4], "x: f64 [1, 33, 4]"),
    ] {
        identity(value("x", element, shape), value("y", element, shape));
        check(&[], &format!("{expected}{got};"));
    }
    write_model(
        &model,
        vec![
            value("x", F32, &[ANY, 33, 4]),
            value("height", F32, &[ANY, 1]),
        ],
        vec![node("Identity", &["x"], "y", Vec::new())],
        Vec::new(),
        vec![value("y", F32, &[ANY, 33, 4])],
    );
    check(&[], "got x: f32 [?, 33, 4], height: f32 [?, 1];");

    let cast = |element: i32| {
        let to = vec![Attribute::from_int("to", element.into())];
        write_model(
            &model,
            vec![value("x", F32, &[ANY, 33, 4])],
            vec![node("Cast", &["x"], "y", to)],
            Vec::new(),
            vec![value("y", element, &[ANY, 33, 4])],
        );
    };
    cast(I32);
    check(
        &[],
        "expected f32, f64 or i64 of shape [n, ...] with the input's n, got y: i32 [?, 33, 4];",
    );

    // One value for the whole batch.
    write_model(
        &model,
        vec![value("x", F32, &[ANY, 33, 4])],
        vec![node(
            "ReduceMean",
            &["x"],
            "mean",
            vec![Attribute::from_int("keepdims", 1)],
        )],
        Vec::new(),
        vec![value("mean", F32, &[1, 1, 1])],
    );
    check(&[], "with the input's n = 2, got mean of shape [1, 1, 1];");

    linear_model(&model, ANY);
    check(
        &["--window", "5"],
        "takes single frames, not windows of 5 frames",
    );
    window_model(&model, 3, 3);
    check(
        &["--window", "5"],
        "takes windows of 3 frames, not windows of 5 frames",
    );
    window_model(&model, ANY, 3);
    check(
        &[],
        "takes windows of any number of frames; give one with --analysis-window",
    );
    // The weights are for windows of three frames.
    check(&["--window", "2"], "the analysis model failed (");
    check(
        &["--window", "10000000"],
        "wants 5280000000 bytes of landmarks at once",
    );
}

#[test]
fn ingest_runs_the_model_over_each_video_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let clip = installed("single_cam01");
    let clip = clip.to_str().expect("a path");
    let model = folder.path().join("model.onnx");
    linear_model(&model, ANY);
    let ingest = [
        "ingest",
        clip,
        "--analysis-model",
        "model.onnx",
        "--no-video",
        "--no-pose-json",
    ];
    let told = run(folder.path(), &ingest);
    assert!(told.contains("analysed 100 frames, 700 values"), "{told}");
    // Against the landmarks in the lake.
    let difference = "select max(abs(value - expected)), count(*) from analysis join (
        select frame, sum(x * (((landmark_index::INTEGER * 4 + 0) * 7 + 13) % 11 / 8 - 0.5)
            + y * (((landmark_index::INTEGER * 4 + 1) * 7 + 13) % 11 / 8 - 0.5)
            + z * (((landmark_index::INTEGER * 4 + 2) * 7 + 13) % 11 / 8 - 0.5)
            + visibility * (((landmark_index::INTEGER * 4 + 3) * 7 + 13) % 11 / 8 - 0.5)) as expected
        from landmarks group by frame) using (frame) where output = 'y' and output_index = 1";
    let found = rows(folder.path(), difference);
    assert!(found[0][0] < 1e-4, "{}", found[0][0]);
    assert_eq!(found[0][1], 100.0);

    let told = run(folder.path(), &ingest);
    assert!(!told.contains("analysed"), "{told}");
    // A model that does not fit is told of before anything is ingested.
    fs::write(&model, "no model").expect("a file");
    let output = posedata(folder.path(), &[&ingest[..], &["--lake", "new"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot load the analysis model"));
    assert!(!folder.path().join("new").exists());
}
