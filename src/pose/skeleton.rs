//! Skeletons of other pose models: which joints such a model gives, which of BlazePose's landmarks
//! they are, and how the model wants its pictures. A TOML file, read strictly: what is not
//! understood is refused, because a joint in the wrong place gives wrong numbers that look right.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::landmark::{LANDMARK_COUNT, Landmark};
use crate::hashing::sha256_of_bytes;
use crate::text;

/// The trunk: without it nobody can be followed, and no size is known.
const TRUNK: [Landmark; 4] = {
    use Landmark::*;
    [LeftShoulder, RightShoulder, LeftHip, RightHip]
};
/// Of a model's input, in pixels.
const SIDES_PX: std::ops::RangeInclusive<usize> = 32..=4096;
/// What a model sees around a person's box, in sides of the box.
const PADDINGS: std::ops::RangeInclusive<f64> = 1.0..=3.0;
/// Names less alike than this are no misspellings of each other.
const MIN_LIKENESS: f64 = 0.6;

/// Why a skeleton cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SkeletonError {
    /// The file cannot be read.
    #[error("cannot read the skeleton ({reason}): {path}")]
    Read {
        /// The skeleton's file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file says something that is not understood, or leaves something out.
    #[error("the skeleton is wrong: {reason}; mend it: {path}")]
    Wrong {
        /// The skeleton's file.
        path: PathBuf,
        /// What is wrong, and what is right.
        reason: String,
    },
}

/// What a top-down pose model gives, and how it wants its pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Skeleton {
    /// The file's name without its suffix.
    pub name: String,
    /// Of the file, in hexadecimal digits.
    pub sha256: String,
    /// For each joint, in the order of the model's outputs, the landmark that it is; `None` for one
    /// that BlazePose does not have.
    pub joints: Vec<Option<Landmark>>,
    /// How pictures are given to the model.
    pub input: PictureInput,
    /// How joints are read from what it gives.
    pub output: JointOutput,
}

/// How pictures are given to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInput {
    /// Width and height for a model that takes any, in pixels.
    pub size_px: Option<[usize; 2]>,
    /// The order of the planes.
    pub channels: Channels,
    /// Is subtracted from the plane's values of 0..255.
    pub mean: [f64; 3],
    /// What the difference is divided by; above 0.
    pub std: [f64; 3],
    /// Sides of what the model sees, in sides of the person's box; at least 1.
    pub padding: f64,
}

/// How joints are read from what a model gives.
#[derive(Clone, Debug, PartialEq)]
pub struct JointOutput {
    /// What the outputs are.
    pub kind: OutputKind,
    /// A joint whose score is at least this is visible, 0..1 without the ends.
    pub visible_from: f64,
}

/// In which order a model takes colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// What a model's outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Two: scores of places along x and along y for each joint.
    SimCc,
    /// One: a map for each joint.
    Heatmap {
        /// How a place between cells is found.
        refinement: Refinement,
        /// Where the cells lie in the picture.
        grid: PixelGrid,
    },
}

/// How a joint's place is found between the cells of its heatmap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refinement {
    /// It is the cell with the maximum.
    None,
    /// A quarter of a cell towards the larger neighbour.
    #[default]
    Quarter,
    /// The maximum of a Gaussian through the cells around (DARK).
    Dark,
}

/// Where the cells of a heatmap, and the pixels of the model's input, lie in the region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelGrid {
    /// The first at the region's edge, the last a cell before the other edge.
    #[default]
    Standard,
    /// The first and the last at the edges (UDP).
    Unbiased,
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    joints: Vec<FileJoint>,
    #[serde(default)]
    input: FileInput,
    output: FileOutput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJoint {
    name: String,
    landmark: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileInput {
    width_px: Option<usize>,
    height_px: Option<usize>,
    channels: Channels,
    mean: [f64; 3],
    std: [f64; 3],
    padding: f64,
}

impl Default for FileInput {
    /// ImageNet's mean and standard deviation, which MMPose's models are trained with
    /// (`data_preprocessor`), and the padding of its `GetBBoxCenterScale`.
    fn default() -> Self {
        Self {
            width_px: None,
            height_px: None,
            channels: Channels::Rgb,
            mean: [123.675, 116.28, 103.53],
            std: [58.395, 57.12, 57.375],
            padding: 1.25,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOutput {
    kind: FileKind,
    refinement: Option<Refinement>,
    pixel_grid: Option<PixelGrid>,
    #[serde(default = "default_visible_from")]
    visible_from: f64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FileKind {
    SimCc,
    Heatmap,
}

/// From this score on MMPose's programs draw a joint (`kpt_thr`).
fn default_visible_from() -> f64 {
    0.3
}

/// What of a skeleton shapes a video's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkeletonIdentity {
    /// See [`Skeleton::name`].
    pub name: String,
    /// See [`Skeleton::sha256`].
    pub sha256: String,
}

impl Skeleton {
    /// Reads a skeleton's file.
    ///
    /// # Errors
    /// When it cannot be read, or is no skeleton that a person can be followed with.
    pub fn read(path: &Path) -> Result<Self, SkeletonError> {
        let text = text::read_text(path).map_err(|e| SkeletonError::Read {
            path: path.into(),
            reason: e.to_string(),
        })?;
        Self::parse(&text, path)
    }

    /// The same for a text that is, or would be, at `path`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, SkeletonError> {
        let wrong = |reason: String| SkeletonError::Wrong {
            path: path.into(),
            reason,
        };
        let file: File = toml::from_str(text).map_err(|e| wrong(on_its_line(text, &e)))?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        Ok(Self {
            name: stem.to_string_lossy().into_owned(),
            sha256: sha256_of_bytes(text.as_bytes()),
            joints: landmarks(&file.joints).map_err(wrong)?,
            input: file.input.checked().map_err(wrong)?,
            output: file.output.checked().map_err(wrong)?,
        })
    }

    /// What of it shapes a video's rows.
    pub fn identity(&self) -> SkeletonIdentity {
        SkeletonIdentity {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// The position of a landmark among the joints; `None` where the model does not give it.
    pub fn joint_of(&self, landmark: Landmark) -> Option<usize> {
        (self.joints.iter()).position(|joint| *joint == Some(landmark))
    }
}

/// What TOML's reader says, and of which line, without the picture of it that takes several lines.
fn on_its_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        ),
        None => error.message().to_owned(),
    }
}

/// The landmark of each joint.
fn landmarks(joints: &[FileJoint]) -> Result<Vec<Option<Landmark>>, String> {
    let mut found: Vec<Option<Landmark>> = Vec::new();
    for (i, joint) in joints.iter().enumerate() {
        if joints[..i].iter().any(|other| other.name == joint.name) {
            return Err(format!(
                "the joint {} stands there twice; give each joint a name of its own",
                joint.name
            ));
        }
        let landmark = (joint.landmark.as_deref()).map(|name| landmark_called(name, &joint.name));
        let landmark = landmark.transpose()?;
        if let Some(landmark) = landmark.filter(|landmark| found.contains(&Some(*landmark))) {
            return Err(format!(
                "two joints are the landmark {}; leave it out of one",
                landmark.name()
            ));
        }
        found.push(landmark);
    }
    for landmark in TRUNK {
        if !found.contains(&Some(landmark)) {
            return Err(format!(
                "no joint is the landmark {}; shoulders and hips are needed to follow a person",
                landmark.name()
            ));
        }
    }
    Ok(found)
}

fn landmark_called(name: &str, joint: &str) -> Result<Landmark, String> {
    let mut all = Landmark::ALL.into_iter();
    all.find(|landmark| landmark.name() == name).ok_or_else(|| {
        let likeness = |l: &Landmark| strsim::normalized_damerau_levenshtein(l.name(), name);
        let nearest = (Landmark::ALL.into_iter())
            .map(|landmark| (likeness(&landmark), landmark))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness >= MIN_LIKENESS);
        let hint = match nearest {
            Some((_, landmark)) => format!("did you mean {}?", landmark.name()),
            None => "`posedata queries show schemas/landmarks.sql` tells of them; leave `landmark` out of a joint that is none".into(),
        };
        format!("the joint {joint} is said to be the landmark {name}, which is none of the {LANDMARK_COUNT}; {hint}")
    })
}

impl FileInput {
    fn checked(self) -> Result<PictureInput, String> {
        let size_px = match (self.width_px, self.height_px) {
            (Some(width), Some(height)) => Some([width, height]),
            (None, None) => None,
            _ => return Err("width_px and height_px go together; give both or none".into()),
        };
        let sides = size_px.iter().flatten();
        if let Some(side) = sides.into_iter().find(|side| !SIDES_PX.contains(side)) {
            let (least, most) = (SIDES_PX.start(), SIDES_PX.end());
            return Err(format!("an input of {side} px; expected {least} to {most}"));
        }
        if !self.mean.iter().all(|value| value.is_finite()) {
            return Err("mean is not three numbers".into());
        }
        if !self
            .std
            .iter()
            .all(|value| value.is_finite() && *value > 0.0)
        {
            return Err("std is not three numbers above 0".into());
        }
        if !PADDINGS.contains(&self.padding) {
            let (least, most) = (PADDINGS.start(), PADDINGS.end());
            return Err(format!(
                "a padding of {}; expected {least} to {most}",
                self.padding
            ));
        }
        Ok(PictureInput {
            size_px,
            channels: self.channels,
            mean: self.mean,
            std: self.std,
            padding: self.padding,
        })
    }
}

impl FileOutput {
    fn checked(self) -> Result<JointOutput, String> {
        // Written so that a NaN is refused, too.
        if !(self.visible_from > 0.0 && self.visible_from < 1.0) {
            return Err(format!(
                "visible_from is {}; expected a score between 0 and 1",
                self.visible_from
            ));
        }
        let kind = match self.kind {
            FileKind::SimCc => {
                if self.refinement.is_some() || self.pixel_grid.is_some() {
                    return Err(
                        "refinement and pixel_grid are of heatmaps; leave them out for simcc"
                            .into(),
                    );
                }
                OutputKind::SimCc
            }
            FileKind::Heatmap => OutputKind::Heatmap {
                refinement: self.refinement.unwrap_or_default(),
                grid: self.pixel_grid.unwrap_or_default(),
            },
        };
        Ok(JointOutput {
            kind,
            visible_from: self.visible_from,
        })
    }
}

impl JointOutput {
    /// A score as posedata's visibility, 0..1: the score itself, stretched on both sides of
    /// [`Self::visible_from`] so that this becomes 0.5, from which on posedata measures with a
    /// landmark.
    pub fn visibility(&self, score: f64) -> f64 {
        let limit = self.visible_from;
        let score = score.clamp(0.0, 1.0);
        if score < limit {
            0.5 * score / limit
        } else {
            0.5 + 0.5 * (score - limit) / (1.0 - limit)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A SimCC skeleton of the trunk and of more joints: names, and landmarks if they are any.
    #[cfg(feature = "video")]
    pub fn trunk_skeleton(more: &[(&str, Option<&str>)]) -> Skeleton {
        let joint = |(name, landmark): &(&str, Option<&str>)| {
            let landmark = landmark.map_or(String::new(), |l| format!(", landmark = \"{l}\""));
            format!(", {{ name = \"{name}\"{landmark} }}")
        };
        let more: String = more.iter().map(joint).collect();
        parsed(&format!("{TRUNK_JOINTS}{more}"), SIMCC).expect("a skeleton")
    }

    const TRUNK_JOINTS: &str = r#"
        { name = "a", landmark = "left_shoulder" }, { name = "b", landmark = "right_shoulder" },
        { name = "c", landmark = "left_hip" }, { name = "d", landmark = "right_hip" }"#;

    fn parsed(joints: &str, rest: &str) -> Result<Skeleton, String> {
        let text = format!("joints = [{joints}]\n{rest}");
        Skeleton::parse(&text, Path::new("folder/mine.toml")).map_err(|e| e.to_string())
    }

    fn refusal(joints: &str, rest: &str) -> String {
        parsed(joints, rest).expect_err("a wrong skeleton")
    }

    const SIMCC: &str = "[output]\nkind = \"simcc\"";

    #[test]
    fn the_least_that_a_skeleton_says_is_its_trunk_and_its_kind() {
        let skeleton = parsed(TRUNK_JOINTS, SIMCC).expect("a skeleton");
        assert_eq!(skeleton.name, "mine");
        assert_eq!(skeleton.sha256.len(), 64);
        assert_eq!(skeleton.joint_of(Landmark::LeftHip), Some(2));
        assert_eq!(skeleton.joint_of(Landmark::Nose), None);
        assert_eq!(skeleton.input.padding, 1.25);
        assert_eq!(skeleton.output.kind, OutputKind::SimCc);
        let another = parsed(&format!("{TRUNK_JOINTS}, {{ name = \"e\" }}"), SIMCC);
        assert_ne!(another.expect("a skeleton").sha256, skeleton.sha256);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let more = |joint: &str| format!("{TRUNK_JOINTS}, {joint}");
        for (joints, rest, reason) in [
            (
                more(r#"{ name = "e", landmark = "left_kne" }"#),
                SIMCC.to_owned(),
                "did you mean left_knee?",
            ),
            (
                more(r#"{ name = "e", landmark = "tail" }"#),
                SIMCC.to_owned(),
                "none of the 33",
            ),
            (
                more(r#"{ name = "a" }"#),
                SIMCC.to_owned(),
                "the joint a stands there twice",
            ),
            (
                more(r#"{ name = "e", landmark = "left_hip" }"#),
                SIMCC.to_owned(),
                "two joints are the landmark left_hip",
            ),
            (
                more(r#"{ name = "e", landmrk = "nose" }"#),
                SIMCC.to_owned(),
                "unknown field",
            ),
            (
                r#"{ name = "a", landmark = "left_hip" }"#.to_owned(),
                SIMCC.to_owned(),
                "no joint is the landmark left_shoulder",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                String::new(),
                "missing field `output`",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\nsplit = 2"),
                "unknown field",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\nrefinement = \"dark\""),
                "of heatmaps",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\nvisible_from = 1.0"),
                "visible_from is 1",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\nvisible_from = nan"),
                "visible_from is NaN",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                "[output]\nkind = \"points\"".to_owned(),
                "unknown variant",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\n[input]\nwidth_px = 192"),
                "go together",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\n[input]\nwidth_px = 0\nheight_px = 9"),
                "expected 32 to 4096",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\n[input]\nstd = [1.0, 0.0, 1.0]"),
                "std is not",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\n[input]\nmean = [1.0, inf, 1.0]"),
                "mean is not",
            ),
            (
                TRUNK_JOINTS.to_owned(),
                format!("{SIMCC}\n[input]\npadding = 0.5"),
                "a padding of 0.5",
            ),
        ] {
            let error = refusal(&joints, &rest);
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("mine.toml"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let misspelt = refusal(TRUNK_JOINTS, &format!("{SIMCC}\nrefinment = \"none\""));
        let lines =
            TRUNK_JOINTS.lines().count()..=TRUNK_JOINTS.lines().count() + SIMCC.lines().count() + 2;
        let told = lines.map(|line| format!("line {line}: unknown field `refinment`"));
        assert!(
            told.into_iter().any(|told| misspelt.contains(&told)),
            "{misspelt}"
        );
    }

    #[test]
    fn a_score_at_the_limit_is_half_visible_and_the_ends_stay() {
        let output = parsed(TRUNK_JOINTS, SIMCC).expect("a skeleton").output;
        for (score, visibility) in [
            (-1.0, 0.0),
            (0.0, 0.0),
            (0.15, 0.25),
            (0.3, 0.5),
            (0.65, 0.75),
            (1.0, 1.0),
            (1.1, 1.0),
        ] {
            let found = output.visibility(score);
            assert!((found - visibility).abs() < 1e-12, "{score}: {found}");
        }
    }

    #[test]
    fn shipped_skeletons_are_right() {
        let skeletons = crate::shipped::folder(Path::new("skeletons"));
        assert_eq!(skeletons.len(), 3);
        for file in skeletons {
            let skeleton = Skeleton::parse(file.text, Path::new(file.path)).expect("a skeleton");
            let known = skeleton.joints.iter().flatten().count();
            let expected = match skeleton.name.as_str() {
                "halpe26" => (26, 21),
                _ => (17, 17),
            };
            assert_eq!((skeleton.joints.len(), known), expected, "{}", file.path);
        }
    }
}
