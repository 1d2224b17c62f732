//! Custom models over landmarks: runs an ONNX model over a video's rows and puts what it gives
//! into the lake's `analysis` table.
//!
//! A model has one input, f32, of shape [n, 33, 4] (frames) or [n, t, 33, 4] (windows of t frames
//! that follow one another): x, y, z and visibility of the 33 landmarks, as the `landmarks` table
//! holds them. Each output is f32, f64 or i64 with n as its first dimension. Windows move by one
//! frame; one with a frame in which the person was not found, or with a pause of the recording
//! ([`crate::metrics::timing`]), is left out, and what a window gives belongs to its last frame.
//!
//! Resident are a batch of at most [`BATCH_BYTES`] (or a single window, or the model's own fixed
//! batch, where those are larger), a window per person, and the writer's row group: nothing grows
//! with a video's length.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};

use crate::hashing::sha256_of_file;
use crate::lake::{AnalysisKey, AnalysisRow, AnalysisWriter, Lake, LakeError, VideoRecord};
use crate::metrics::timing::FrameClock;
use crate::pose::landmark::LANDMARK_COUNT;
use crate::pose::{PersonPose, PoseError, load_runtime};
use crate::steps::Step;
use crate::sync::Cancellation;

/// x, y, z, visibility.
const VALUES_PER_LANDMARK: usize = 4;
const VALUES_PER_FRAME: usize = LANDMARK_COUNT * VALUES_PER_LANDMARK;
/// A model gets this much at once, if its windows are smaller.
const BATCH_BYTES: usize = 4 << 20;
/// More would not make small models faster.
const MAX_BATCH_ROWS: usize = 1_024;
/// A model that wants more than this at once is refused rather than given all memory.
const MAX_INPUT_BYTES: usize = 256 << 20;

const EXPECTED_INPUT: &str = "one f32 input of shape [n, 33, 4] or [n, t, 33, 4]";

/// What can go wrong with a custom model.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// ONNX Runtime is not installed, or cannot be loaded.
    #[error(transparent)]
    Runtime(#[from] PoseError),
    /// The lake's rows cannot be read, or the results not be committed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// ONNX Runtime does not take the file.
    #[error("cannot load the analysis model ({reason}); give an ONNX file: {path}")]
    Load {
        /// The model's file.
        path: PathBuf,
        /// The first line of what it says.
        reason: String,
    },
    /// The model looks at something else than landmarks.
    #[error(
        "the analysis model's input does not fit: expected {EXPECTED_INPUT}, got {got}; export the model with such an input: {path}"
    )]
    Input {
        /// The model's file.
        path: PathBuf,
        /// Its inputs with types and shapes.
        got: String,
    },
    /// An output is no number, or has not a row for each row of the input.
    #[error(
        "the analysis model's output does not fit: expected f32, f64 or i64 of shape [n, ...] with the input's n{n}, got {got}; export the model with such outputs: {path}",
        n = .rows.map_or(String::new(), |n| format!(" = {n}"))
    )]
    Output {
        /// The model's file.
        path: PathBuf,
        /// The input's n where the model was run; `None` where its type was refused before.
        rows: Option<usize>,
        /// The output's name, type and shape.
        got: String,
    },
    /// The model leaves the length of windows open, and none was given.
    #[error(
        "the analysis model takes windows of any number of frames; give one with --analysis-window: {path}"
    )]
    WindowNeeded {
        /// The model's file.
        path: PathBuf,
    },
    /// A window was given, and the model has a length of its own or looks at single frames.
    #[error(
        "the analysis model takes {takes}, not windows of {asked} frames; leave --analysis-window out: {path}"
    )]
    WrongWindow {
        /// The model's file.
        path: PathBuf,
        /// What it takes instead, in words.
        takes: String,
        /// The length that was given.
        asked: usize,
    },
    /// The model's own batch or window is beyond all sense.
    #[error(
        "the analysis model wants {bytes} bytes of landmarks at once, the limit is {MAX_INPUT_BYTES}; use smaller batches or windows: {path}"
    )]
    TooLarge {
        /// The model's file.
        path: PathBuf,
        /// What one run would take.
        bytes: usize,
    },
    /// ONNX Runtime gave up on a batch.
    #[error("the analysis model failed ({reason}): {path}")]
    Run {
        /// The model's file.
        path: PathBuf,
        /// The first line of what it says.
        reason: String,
    },
    /// The video's pose model does not give what analysis models look at.
    #[error(
        "the pose model {pose_model} gives no depth, and not all of the 33 landmarks, which analysis models look at; ingest the video with --pose-model: {video}"
    )]
    UnknownLandmarks {
        /// What estimated the video's poses.
        pose_model: String,
        /// Its name in the lake.
        video: String,
    },
    /// It was cancelled; the video in work is as it was before.
    #[error("stopped")]
    Stopped,
}

/// What a model looks at to give one row of each output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Frame,
    /// So many frames that follow one another.
    Window(usize),
}

impl Layout {
    fn frames(self) -> usize {
        match self {
            Self::Frame => 1,
            Self::Window(frames) => frames,
        }
    }
}

/// A custom model, loaded and found to fit.
pub struct AnalysisModel {
    session: Session,
    path: PathBuf,
    key: AnalysisKey,
    input: String,
    layout: Layout,
    /// Rows that the model wants at once; any number where there is none.
    fixed_rows: Option<usize>,
    outputs: Vec<String>,
}

/// What became of a video.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AnalysisReport {
    /// Identity of the video, as in the lake.
    pub video_id: String,
    /// For people.
    pub file_name: String,
    /// Identity of the model: rows of the same one are replaced.
    pub model_sha256: String,
    /// Frames, or windows, that the model was run on.
    pub inputs: u64,
    /// Rows that went into the lake.
    pub values: u64,
}

impl AnalysisModel {
    /// Loads a model and checks its inputs and outputs, by running it on zeros too.
    ///
    /// `runtime` is the library of ONNX Runtime. `window_frames` says how long windows are, for
    /// models that take any; the model runs on `threads` threads.
    ///
    /// # Errors
    /// When the runtime or the model cannot be loaded, or the model does not fit; the error says
    /// what was expected and what was found.
    pub fn load(
        runtime: &Path,
        path: &Path,
        window_frames: Option<usize>,
        threads: usize,
    ) -> Result<Self, AnalysisError> {
        let load_error = |reason: &dyn Display| AnalysisError::Load {
            path: path.into(),
            reason: first_line(reason),
        };
        let model_sha256 = sha256_of_file(path).map_err(|e| load_error(&e))?;
        let environment = load_runtime(runtime)?;
        let session = Session::builder(environment)
            .map_err(|e| load_error(&e))?
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(|e| load_error(&e))?
            .with_intra_threads(threads)
            .map_err(|e| load_error(&e))?
            .with_intra_op_spinning(false)
            .map_err(|e| load_error(&e))?
            .commit_from_file(path)
            .map_err(|e| load_error(&e))?;
        let (input, fixed_rows, layout) = input_of(session.inputs(), window_frames, path)?;
        for output in session.outputs() {
            check_output_type(output, path)?;
        }
        let outputs = session.outputs().iter();
        let mut model = Self {
            path: path.into(),
            key: AnalysisKey {
                model_sha256,
                window_frames: layout.frames() as u32,
            },
            input,
            layout,
            fixed_rows,
            outputs: outputs.map(|output| output.name().to_owned()).collect(),
            session,
        };
        let bytes = model.row_values() * fixed_rows.unwrap_or(1) * size_of::<f32>();
        if bytes > MAX_INPUT_BYTES {
            return Err(AnalysisError::TooLarge {
                path: path.into(),
                bytes,
            });
        }
        // Two rows, so that an output without the input's n is found out.
        let rows = fixed_rows.unwrap_or(2);
        model.run(
            &vec![0.0; rows * model.row_values()],
            rows,
            |_, _, _| Ok(()),
        )?;
        Ok(model)
    }

    /// What tells the model's rows in the lake from those of other models.
    pub fn key(&self) -> &AnalysisKey {
        &self.key
    }

    /// Values of one row of the input.
    fn row_values(&self) -> usize {
        self.layout.frames() * VALUES_PER_FRAME
    }

    /// Rows that are given to the model together.
    fn batch_rows(&self) -> usize {
        let fitting = BATCH_BYTES / (self.row_values() * size_of::<f32>());
        self.fixed_rows.unwrap_or(fitting.clamp(1, MAX_BATCH_ROWS))
    }

    /// Runs the model on `rows` rows and hands each output to `take`: its position, the values of
    /// one row, and all values.
    fn run(
        &mut self,
        values: &[f32],
        rows: usize,
        mut take: impl FnMut(usize, usize, &[f64]) -> Result<(), AnalysisError>,
    ) -> Result<(), AnalysisError> {
        let path = self.path.clone();
        let run_error = |reason: &dyn Display| AnalysisError::Run {
            path: path.clone(),
            reason: first_line(reason),
        };
        let mut shape = vec![rows];
        if let Layout::Window(frames) = self.layout {
            shape.push(frames);
        }
        shape.extend([LANDMARK_COUNT, VALUES_PER_LANDMARK]);
        let input = TensorRef::from_array_view((shape, values)).map_err(|e| run_error(&e))?;
        let inputs = ort::inputs![self.input.as_str() => input];
        let outputs = self.session.run(inputs).map_err(|e| run_error(&e))?;
        for (position, name) in self.outputs.iter().enumerate() {
            let output = outputs
                .get(name.as_str())
                .ok_or_else(|| run_error(&format_args!("it gave no output {name}")))?;
            let (shape, numbers) = numbers(output).map_err(|e| run_error(&e))?;
            if shape.first() != Some(&(rows as i64)) {
                return Err(AnalysisError::Output {
                    path,
                    rows: Some(rows),
                    got: format!("{name} of shape {}", shape_text(&shape)),
                });
            }
            take(position, numbers.len() / rows, &numbers)?;
        }
        Ok(())
    }
}

/// Finds out how the model wants its input.
fn input_of(
    inputs: &[Outlet],
    window_frames: Option<usize>,
    path: &Path,
) -> Result<(String, Option<usize>, Layout), AnalysisError> {
    let does_not_fit = || AnalysisError::Input {
        path: path.into(),
        got: match inputs {
            [] => "no input".into(),
            inputs => inputs.iter().map(described).collect::<Vec<_>>().join(", "),
        },
    };
    let [input] = inputs else {
        return Err(does_not_fit());
    };
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return Err(does_not_fit());
    };
    let is = |dimension: i64, size: usize| dimension < 0 || dimension == size as i64;
    let fixed = |dimension: i64| usize::try_from(dimension).ok();
    let (rows, layout, landmarks, values) = match **shape {
        [rows, landmarks, values] => (rows, None, landmarks, values),
        [rows, frames, landmarks, values] => (rows, Some(frames), landmarks, values),
        _ => return Err(does_not_fit()),
    };
    let is_empty = |dimension: i64| dimension == 0;
    if *ty != TensorElementType::Float32
        || !is(landmarks, LANDMARK_COUNT)
        || !is(values, VALUES_PER_LANDMARK)
        || is_empty(rows)
        || layout.is_some_and(is_empty)
    {
        return Err(does_not_fit());
    }
    let wrong_window = |takes: String, asked: usize| AnalysisError::WrongWindow {
        path: path.into(),
        takes,
        asked,
    };
    let layout = match (layout.map(fixed), window_frames) {
        (None, None) => Layout::Frame,
        (None, Some(asked)) => return Err(wrong_window("single frames".into(), asked)),
        (Some(None), None) => return Err(AnalysisError::WindowNeeded { path: path.into() }),
        (Some(None), Some(asked)) => Layout::Window(asked),
        (Some(Some(frames)), Some(asked)) if asked != frames => {
            return Err(wrong_window(format!("windows of {frames} frames"), asked));
        }
        (Some(Some(frames)), _) => Layout::Window(frames),
    };
    Ok((input.name().to_owned(), fixed(rows), layout))
}

fn check_output_type(output: &Outlet, path: &Path) -> Result<(), AnalysisError> {
    use TensorElementType::{Float32, Float64, Int64};
    match output.dtype() {
        ValueType::Tensor { ty, .. } if [Float32, Float64, Int64].contains(ty) => Ok(()),
        _ => Err(AnalysisError::Output {
            path: path.into(),
            rows: None,
            got: described(output),
        }),
    }
}

/// An input or output as errors show it, such as `x: f32 [n, 33, 3]`.
fn described(outlet: &Outlet) -> String {
    let name = outlet.name();
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => format!("{name}: {ty} {}", shape_text(shape)),
        other => format!("{name}: {other}"),
    }
}

fn shape_text(shape: &[i64]) -> String {
    let dimensions: Vec<String> = (shape.iter())
        .map(|dimension| match dimension {
            ..0 => "?".into(),
            size => size.to_string(),
        })
        .collect();
    format!("[{}]", dimensions.join(", "))
}

/// An output's shape and its values, whatever their type.
fn numbers(output: &DynValue) -> ort::Result<(Vec<i64>, Vec<f64>)> {
    if let Ok((shape, values)) = output.try_extract_tensor::<f32>() {
        return Ok((
            shape.to_vec(),
            values.iter().map(|v| f64::from(*v)).collect(),
        ));
    }
    if let Ok((shape, values)) = output.try_extract_tensor::<i64>() {
        return Ok((shape.to_vec(), values.iter().map(|v| *v as f64).collect()));
    }
    let (shape, values) = output.try_extract_tensor::<f64>()?;
    Ok((shape.to_vec(), values.to_vec()))
}

fn first_line(reason: &dyn Display) -> String {
    let reason = reason.to_string();
    reason.lines().next().unwrap_or_default().to_owned()
}

/// Runs a model over videos, one after the other, and tells of each. What fails is left out, and
/// after a cancellation nothing more is done.
pub fn analyze_all(
    lake: &Lake,
    videos: &[VideoRecord],
    model: &mut AnalysisModel,
    cancellation: &Cancellation,
    mut tell: impl FnMut(&VideoRecord, Step<Result<&AnalysisReport, AnalysisError>>),
) -> Vec<AnalysisReport> {
    let mut reports = Vec::new();
    for video in videos {
        if cancellation.is_cancelled() {
            break;
        }
        tell(video, Step::Begun);
        let on_frame = || tell(video, Step::Frame);
        match analyze(lake, video, model, cancellation, on_frame) {
            Ok(report) => {
                tell(video, Step::Done(Ok(&report)));
                reports.push(report);
            }
            Err(AnalysisError::Stopped) => break,
            Err(error) => tell(video, Step::Done(Err(error))),
        }
    }
    reports
}

/// Runs a model over a video's landmarks, and calls `on_frame` for each frame; its rows take the place
/// of those that the model had for the video.
///
/// # Errors
/// When the lake cannot be read or written to, the video was replaced meanwhile, the model fails,
/// or it is cancelled. The lake is as it was then.
pub fn analyze(
    lake: &Lake,
    video: &VideoRecord,
    model: &mut AnalysisModel,
    cancellation: &Cancellation,
    mut on_frame: impl FnMut(),
) -> Result<AnalysisReport, AnalysisError> {
    if video.skeleton().is_some() {
        return Err(AnalysisError::UnknownLandmarks {
            pose_model: video.pose_model.clone(),
            video: video.file_name.clone(),
        });
    }
    let key = model.key.clone();
    let writer = AnalysisWriter::new(lake.paths(), video, key.clone(), model.outputs.clone());
    let mut analysis = Analysis {
        batch_rows: model.batch_rows(),
        model,
        writer,
        windows: HashMap::new(),
        values: Vec::new(),
        rows: Vec::new(),
        report: AnalysisReport {
            video_id: video.video_id.clone(),
            file_name: video.file_name.clone(),
            model_sha256: key.model_sha256.clone(),
            inputs: 0,
            values: 0,
        },
    };
    let mut clock = FrameClock::default();
    for frame in lake.frames(video)? {
        if cancellation.is_cancelled() {
            return Err(AnalysisError::Stopped);
        }
        let frame = frame?;
        if clock.advance(frame.time.as_secs()).is_pause {
            // No window reaches over a pause of the recording.
            analysis.windows.clear();
        }
        for person in &frame.persons {
            analysis.push(frame.frame, frame.time.as_secs(), &person.pose)?;
        }
        on_frame();
    }
    analysis.run_batch()?;
    let file = analysis.writer.finish()?;
    lake.commit_analysis(video, &key.model_sha256, file)?;
    Ok(analysis.report)
}

/// Whom and when a row of the input is about.
#[derive(Clone, Copy)]
struct InputRow {
    frame: u64,
    time_secs: f64,
    person: u16,
}

/// The latest frames of a person that follow one another, without a pause of the recording.
#[derive(Default)]
struct Window {
    last_frame: Option<u64>,
    frames: VecDeque<[f32; VALUES_PER_FRAME]>,
}

struct Analysis<'a> {
    model: &'a mut AnalysisModel,
    writer: AnalysisWriter,
    batch_rows: usize,
    windows: HashMap<u16, Window>,
    /// The batch that is being filled.
    values: Vec<f32>,
    rows: Vec<InputRow>,
    report: AnalysisReport,
}

impl Analysis<'_> {
    fn push(&mut self, frame: u64, time_secs: f64, pose: &PersonPose) -> Result<(), AnalysisError> {
        let values = landmark_values(pose);
        match self.model.layout {
            Layout::Frame => self.values.extend(values),
            Layout::Window(length) => {
                let window = self.windows.entry(pose.person).or_default();
                if window.last_frame.is_none_or(|last| last + 1 != frame) {
                    window.frames.clear();
                }
                window.last_frame = Some(frame);
                if window.frames.len() == length {
                    window.frames.pop_front();
                }
                window.frames.push_back(values);
                if window.frames.len() < length {
                    return Ok(());
                }
                self.values.extend(window.frames.iter().flatten());
            }
        }
        self.rows.push(InputRow {
            frame,
            time_secs,
            person: pose.person,
        });
        if self.rows.len() == self.batch_rows {
            self.run_batch()?;
        }
        Ok(())
    }

    /// Runs the model on the rows that have come, and hands on what it gives.
    fn run_batch(&mut self) -> Result<(), AnalysisError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        // A model with a batch size of its own gets zeros behind the last rows.
        let given_rows = self.model.fixed_rows.unwrap_or(self.rows.len());
        self.values
            .resize(given_rows * self.model.row_values(), 0.0);
        let (rows, writer, report) = (&self.rows, &mut self.writer, &mut self.report);
        self.model
            .run(&self.values, given_rows, |output, row_values, numbers| {
                if row_values == 0 {
                    return Ok(());
                }
                for (input, numbers) in rows.iter().zip(numbers.chunks(row_values)) {
                    for (output_index, value) in numbers.iter().enumerate() {
                        writer.push(AnalysisRow {
                            frame: input.frame,
                            time_secs: input.time_secs,
                            person: input.person,
                            output,
                            output_index,
                            value: (!value.is_nan()).then_some(*value),
                        })?;
                        report.values += 1;
                    }
                }
                Ok(())
            })?;
        self.report.inputs += self.rows.len() as u64;
        self.rows.clear();
        self.values.clear();
        Ok(())
    }
}

/// A frame as models get it: x, y, z, visibility of each landmark.
fn landmark_values(pose: &PersonPose) -> [f32; VALUES_PER_FRAME] {
    let mut values = [0.0; VALUES_PER_FRAME];
    for (values, landmark) in values.chunks_mut(VALUES_PER_LANDMARK).zip(&pose.landmarks) {
        values.copy_from_slice(&[landmark.x, landmark.y, landmark.z, landmark.visibility]);
    }
    values
}
