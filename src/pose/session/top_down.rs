//! A top-down model of the user's: whether its inputs and outputs are what its skeleton says.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::{Loaded, load_provider, loaded};
use crate::pose::PoseError;
use crate::pose::model_files::ModelFiles;
use crate::pose::skeleton::{OutputKind, PixelGrid, Refinement, Skeleton};
use crate::pose::top_down::{Decoder, JointReading, JointTensors, NotANumber};

const MODEL: &str = "landmark";
/// What larger inputs would take is no picture's any more.
const MAX_SIDE_PX: i64 = 4_096;
/// In the names of SimCC's outputs, as MMDeploy gives them.
const SIMCC_NAMES: [&str; 2] = ["simcc_x", "simcc_y"];

/// A top-down model, loaded and found to fit its skeleton.
pub struct TopDownModel {
    loaded: Loaded,
    path: PathBuf,
    skeleton: Arc<Skeleton>,
    input: String,
    /// Width and height.
    input_px: [usize; 2],
    /// Of SimCC x and y, or of the heatmaps alone.
    outputs: Vec<String>,
    decoder: Decoder,
}

impl TopDownModel {
    /// Loads the model and checks it against its skeleton, by running it on a black picture too; each
    /// run uses `intra_op_threads` threads.
    ///
    /// # Errors
    /// When the runtime cannot be loaded, the file is no model, or it gives something else than the
    /// skeleton says: the error tells what was expected and what was found.
    pub fn load(
        files: &ModelFiles,
        skeleton: &Arc<Skeleton>,
        intra_op_threads: usize,
    ) -> Result<Self, PoseError> {
        let path = files.landmarker.as_path();
        let environment = load_provider(files)?;
        let unfit = |reason: String| unfit(path, reason);
        let bytes = fs::read(path).map_err(|e| unfit(format!("it cannot be read: {e}")))?;
        let hardware = (files.provider, intra_op_threads);
        // From memory, so that what runs is the file that its hash tells of, and nothing beside it.
        let loaded = loaded(environment, hardware, |builder| {
            builder.commit_from_memory(&bytes)
        })?
        .map_err(|reason| {
            let reason = first_line(&reason);
            unfit(format!(
                "ONNX Runtime does not take it: {reason}; give an ONNX file with its weights inside"
            ))
        })?;
        drop(bytes);
        let session = &loaded.session;
        let (input, input_px) = input_of(session.inputs(), skeleton).map_err(unfit)?;
        let outputs = output_names(session.outputs(), skeleton).map_err(unfit)?;
        let (refinement, grid) = match skeleton.output.kind {
            OutputKind::SimCc => (Refinement::None, PixelGrid::Standard),
            OutputKind::Heatmap { refinement, grid } => (refinement, grid),
        };
        let mut model = Self {
            path: path.into(),
            skeleton: Arc::clone(skeleton),
            input,
            input_px,
            outputs,
            decoder: Decoder {
                places: [0; 2],
                refinement,
                grid,
            },
            loaded,
        };
        model.decoder.places = model.measure_outputs()?;
        Ok(model)
    }

    /// Width and height of the pictures that it takes.
    pub fn input_px(&self) -> [usize; 2] {
        self.input_px
    }

    /// What its joints are.
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// How its outputs are read.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Whether the CPU runs a part of it that the provider does not take.
    pub fn is_partly_on_cpu(&self) -> bool {
        self.loaded.is_partly_on_cpu
    }

    /// The joints in a picture, [3, rows, columns], in the model's order.
    ///
    /// # Errors
    /// When the model fails, or gives what is no number.
    pub fn run(&mut self, tensor: &[f32]) -> Result<Vec<JointReading>, PoseError> {
        let decoder = self.decoder;
        let joints = self.skeleton.joints.len();
        let read = self.infer(tensor, |shapes, values| {
            let [columns, rows] = decoder.places;
            let expected: &[usize] = match values {
                [_, _] => &[columns, rows],
                _ => &[columns * rows],
            };
            let fits = (values.iter().zip(expected)).all(|(v, length)| v.len() == joints * length);
            if !fits {
                return Err(format!("it gives outputs of another shape now: {shapes:?}"));
            }
            let tensors = match values {
                [x, y] => JointTensors::SimCc { x, y },
                [maps] => JointTensors::Heatmap(maps),
                _ => return Err("it gives no output".into()),
            };
            decoder.read(tensors).map_err(|NotANumber| {
                "it gives values that are no numbers; look at mean and std in the skeleton, and whether the model computes in 16 bits".to_owned()
            })
        })?;
        read.map_err(|reason| unfit(&self.path, reason))
    }

    /// Runs the model and hands the shapes and values of the outputs to `read`.
    fn infer<R>(
        &mut self,
        tensor: &[f32],
        read: impl FnOnce(&[Vec<i64>], &[&[f32]]) -> R,
    ) -> Result<R, PoseError> {
        let error = |reason: String| PoseError::Inference {
            model: MODEL,
            reason: first_line(&reason),
        };
        let [width, height] = self.input_px;
        let input = TensorRef::from_array_view(([1, 3, height, width], tensor))
            .map_err(|e| error(e.to_string()))?;
        let inputs = ort::inputs![self.input.as_str() => input];
        let session = &mut self.loaded.session;
        let outputs = session.run(inputs).map_err(|e| error(e.to_string()))?;
        let (mut shapes, mut values) = (Vec::new(), Vec::new());
        for name in &self.outputs {
            let output = outputs.get(name.as_str());
            let output = output.ok_or_else(|| error(format!("it has no output {name}")))?;
            let (shape, numbers) = output
                .try_extract_tensor::<f32>()
                .map_err(|e| error(e.to_string()))?;
            shapes.push(shape.to_vec());
            values.push(numbers);
        }
        Ok(read(&shapes, &values))
    }

    /// Places along x and y, found by a run on a black picture.
    fn measure_outputs(&mut self) -> Result<[usize; 2], PoseError> {
        let [width, height] = self.input_px;
        let black = vec![0.0; 3 * width * height];
        let shapes = self.infer(&black, |shapes, _| shapes.to_vec())?;
        let joints = self.skeleton.joints.len() as i64;
        let reason = match shapes.as_slice() {
            [x, y] => match (x.as_slice(), y.as_slice()) {
                (&[1, kx, places_x], &[1, ky, places_y]) if kx == joints && ky == joints => {
                    // Both have the same number of places for a pixel.
                    if places_x > 0 && places_x * height as i64 == places_y * width as i64 {
                        return Ok([places_x as usize, places_y as usize]);
                    }
                    format!(
                        "{places_x} places along x and {places_y} along y do not share one scale with its input of {width}x{height} px"
                    )
                }
                _ => {
                    self.wrong_shapes(&shapes, "[1, K, places along x] and [1, K, places along y]")
                }
            },
            [maps] => match maps.as_slice() {
                &[1, k, rows, columns] if k == joints && rows > 1 && columns > 1 => {
                    let (width, height) = (width as i64, height as i64);
                    // Less than a cell may be rounded off.
                    if (columns * height - rows * width).abs() < width.max(height) {
                        return Ok([columns as usize, rows as usize]);
                    }
                    format!(
                        "its maps of {rows} rows and {columns} columns do not share one scale with its input of {width}x{height} px"
                    )
                }
                _ => self.wrong_shapes(&shapes, "[1, K, rows, columns]"),
            },
            _ => "it gives no output".into(),
        };
        Err(unfit(&self.path, reason))
    }

    fn wrong_shapes(&self, shapes: &[Vec<i64>], expected: &str) -> String {
        let found: Vec<String> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
        let Skeleton { name, joints, .. } = self.skeleton();
        format!(
            "its outputs are {}, expected {expected} with K = {}, the number of joints of the skeleton {name}; give the skeleton that it was trained with",
            found.join(" and "),
            joints.len()
        )
    }
}

fn unfit(path: &Path, reason: String) -> PoseError {
    PoseError::UnfitModel {
        path: path.into(),
        reason,
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.trim_end_matches('.').to_owned()
}

/// The input's name, and the width and height of the pictures that it takes.
fn input_of(inputs: &[Outlet], skeleton: &Skeleton) -> Result<(String, [usize; 2]), String> {
    const EXPECTED: &str = "expected one input of f32 and shape [1, 3, height, width]";
    let found = || inputs.iter().map(described).collect::<Vec<_>>().join(", ");
    let wrong = || format!("{EXPECTED}, got {}", found());
    let [input] = inputs else {
        return Err(wrong());
    };
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return Err(wrong());
    };
    let &[batch, planes, height, width] = &**shape else {
        return Err(wrong());
    };
    if *ty != TensorElementType::Float32 {
        return Err(format!(
            "{}; convert it so that inputs and outputs stay f32 (onnxconverter-common: keep_io_types=True)",
            wrong()
        ));
    }
    let is_open = |dimension: i64| dimension < 0;
    if !(is_open(batch) || batch == 1) || !(is_open(planes) || planes == 3) {
        return Err(format!(
            "{}; export it for one picture, planes first",
            wrong()
        ));
    }
    let own = match (is_open(width), is_open(height)) {
        (false, false) if width > 1 && height > 1 && width.max(height) <= MAX_SIDE_PX => {
            Some([width as usize, height as usize])
        }
        (false, false) => return Err(wrong()),
        _ => None,
    };
    let size = match (own, skeleton.input.size_px) {
        (Some(own), Some(asked)) if own != asked => {
            return Err(format!(
                "it takes {}x{} px, the skeleton {} says {}x{}; leave width_px and height_px out there",
                own[0], own[1], skeleton.name, asked[0], asked[1]
            ));
        }
        (Some(own), _) => own,
        (None, Some([asked_width, asked_height])) => {
            let fits = |open: i64, asked: usize| is_open(open) || open == asked as i64;
            if !fits(width, asked_width) || !fits(height, asked_height) {
                return Err(format!(
                    "{}; the skeleton {} says {asked_width}x{asked_height} px",
                    wrong(),
                    skeleton.name
                ));
            }
            [asked_width, asked_height]
        }
        (None, None) => {
            return Err(format!(
                "it takes pictures of any size; give width_px and height_px of its training in the skeleton {} (`posedata queries copy skeletons/halpe26.toml` gives one to change)",
                skeleton.name
            ));
        }
    };
    Ok((input.name().to_owned(), size))
}

/// The outputs that are read: SimCC x and y, or the heatmaps.
fn output_names(outputs: &[Outlet], skeleton: &Skeleton) -> Result<Vec<String>, String> {
    let found = || outputs.iter().map(described).collect::<Vec<_>>().join(", ");
    // A model need not tell the shapes of what it gives; the run on a black picture does.
    let may_have_rank = |output: &Outlet, rank: usize| match output.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            *ty == TensorElementType::Float32 && (shape.is_empty() || shape.len() == rank)
        }
        _ => false,
    };
    let name = |output: &Outlet| output.name().to_owned();
    let expected = match (skeleton.output.kind, outputs) {
        (OutputKind::SimCc, [x, y]) if may_have_rank(x, 3) && may_have_rank(y, 3) => {
            let names = [name(x), name(y)];
            // Those who name them may have them in the other order.
            let is_turned = names[0].contains(SIMCC_NAMES[1]) && names[1].contains(SIMCC_NAMES[0]);
            let mut names = Vec::from(names);
            if is_turned {
                names.reverse();
            }
            return Ok(names);
        }
        (OutputKind::Heatmap { .. }, [maps]) if may_have_rank(maps, 4) => {
            return Ok(vec![name(maps)]);
        }
        (OutputKind::SimCc, _) => {
            "two outputs of f32, [1, K, places along x] and [1, K, places along y] (kind = \"simcc\")"
        }
        (OutputKind::Heatmap { .. }, _) => {
            "one output of f32, [1, K, rows, columns] (kind = \"heatmap\")"
        }
    };
    Err(format!(
        "the skeleton {} says that it gives {expected}, but it gives {}; give the skeleton that it was trained with",
        skeleton.name,
        found()
    ))
}

/// An input or output as people write it: `input f32[?, 3, 256, 192]`.
fn described(outlet: &Outlet) -> String {
    let name = outlet.name();
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let sides = shape.iter().map(|side| match side {
                0.. => side.to_string(),
                _ => "?".into(),
            });
            let sides: Vec<String> = sides.collect();
            format!("{name} {ty}[{}]", sides.join(", "))
        }
        other => format!("{name} {other}"),
    }
}
