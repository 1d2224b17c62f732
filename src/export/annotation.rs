//! Annotated video: skeletons, boxes and a panel of metrics drawn on each frame.
//!
//! Left is orange, right is blue, the middle is white (colours of Okabe and Ito that colour-blind
//! people tell apart), each over a dark outline, so that they show on any background. A landmark's
//! disc grows with its visibility; one that is less visible than metrics ask for is a thin ring,
//! and its bones are thin. What the model only supposes outside the picture is not drawn: the panel
//! says which parts of the person are cut off.

use std::path::{Path, PathBuf};

use super::faces::{self, LostFaces, Scene};
use super::outputs::Faces;
use crate::lake::PersonRow;
use crate::metrics::{JOINT_ANGLES, MIN_VISIBILITY};
use crate::pose::PersonPose;
use crate::pose::landmark::Landmark;
use crate::sync::Cancellation;
use crate::video::{
    Bgr, Canvas, DrawError, EncodeError, EncodingWork, Frame, MediaTime, VideoEncoder, VideoInfo,
    text_width_px,
};

const LEFT: Bgr = Bgr([0, 159, 230]);
const RIGHT: Bgr = Bgr([233, 180, 86]);
const MIDDLE: Bgr = Bgr([255, 255, 255]);
const OUTLINE: Bgr = Bgr([24, 24, 24]);
const TEXT: Bgr = Bgr([255, 255, 255]);
const DIM_TEXT: Bgr = Bgr([190, 190, 190]);
/// Brightness that stays behind the panel.
const PANEL_LIGHT: f64 = 0.32;

/// Bones as pairs of landmarks (MediaPipe's `POSE_CONNECTIONS`).
pub const BONES: [[Landmark; 2]; 35] = {
    use Landmark::*;
    [
        [Nose, LeftEyeInner],
        [LeftEyeInner, LeftEye],
        [LeftEye, LeftEyeOuter],
        [LeftEyeOuter, LeftEar],
        [Nose, RightEyeInner],
        [RightEyeInner, RightEye],
        [RightEye, RightEyeOuter],
        [RightEyeOuter, RightEar],
        [MouthLeft, MouthRight],
        [LeftShoulder, RightShoulder],
        [LeftShoulder, LeftElbow],
        [LeftElbow, LeftWrist],
        [LeftWrist, LeftPinky],
        [LeftWrist, LeftIndex],
        [LeftWrist, LeftThumb],
        [LeftPinky, LeftIndex],
        [RightShoulder, RightElbow],
        [RightElbow, RightWrist],
        [RightWrist, RightPinky],
        [RightWrist, RightIndex],
        [RightWrist, RightThumb],
        [RightPinky, RightIndex],
        [LeftShoulder, LeftHip],
        [RightShoulder, RightHip],
        [LeftHip, RightHip],
        [LeftHip, LeftKnee],
        [RightHip, RightKnee],
        [LeftKnee, LeftAnkle],
        [RightKnee, RightAnkle],
        [LeftAnkle, LeftHeel],
        [RightAnkle, RightHeel],
        [LeftHeel, LeftFootIndex],
        [RightHeel, RightFootIndex],
        [LeftAnkle, LeftFootIndex],
        [RightAnkle, RightFootIndex],
    ]
};

/// Joints that the panel shows, by the beginning of their columns' names.
const PANEL_JOINTS: [&str; 4] = ["knee", "hip", "elbow", "shoulder"];

/// Why a frame could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AnnotationError {
    /// OpenCV refuses to draw.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The picture cannot be encoded, or the file not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What the panel says of the video as a whole, and how its people are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    sport: String,
    slow_motion_factor: Option<f64>,
    faces: Faces,
}

impl Caption {
    /// `slow_motion_factor` is that of the `videos` table: pictures keep the file's own times, so
    /// that the annotated video plays as the file does, and the panel tells real seconds.
    pub fn new(sport: &str, slow_motion_factor: Option<f64>) -> Self {
        Self {
            sport: sport.into(),
            slow_motion_factor,
            faces: Faces::Shown,
        }
    }

    /// The same with faces as `faces` says.
    #[must_use]
    pub fn with_faces(self, faces: Faces) -> Self {
        Self { faces, ..self }
    }

    fn title(&self, index: u64, file_secs: f64) -> String {
        let real_secs = file_secs / self.slow_motion_factor.unwrap_or(1.0);
        let title = format!("frame {index}   {real_secs:.3} s   {}", self.sport);
        match self.slow_motion_factor {
            None => title,
            Some(factor) if factor >= 1.0 => format!("{title}   {} x slower", short(factor)),
            Some(factor) => format!("{title}   {} x faster", short(1.0 / factor)),
        }
    }
}

/// With two decimals at most, and none of them in vain.
fn short(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// An annotated video in the making.
pub struct Annotator {
    encoder: VideoEncoder,
    caption: Caption,
    /// Number and time of the first frame, where that is not the file's own: of a part of a video the
    /// annotated version plays from the beginning all the same, and the panel tells the file's times.
    part_begins_at: Option<(u64, MediaTime)>,
    is_empty: bool,
    lost_faces: LostFaces,
}

impl Annotator {
    /// Starts the annotated version of the video that `info` describes, at `path`.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn create(path: &Path, info: &VideoInfo, caption: Caption) -> Result<Self, EncodeError> {
        Ok(Self {
            encoder: VideoEncoder::create(
                path,
                info.width,
                info.height,
                info.nominal_fps,
                info.frame_colors(),
            )?,
            caption,
            part_begins_at: None,
            is_empty: true,
            lost_faces: LostFaces::new(),
        })
    }

    /// What encodes the frames ([`VideoEncoder::take_work`]).
    pub fn take_work(&mut self) -> Option<EncodingWork> {
        self.encoder.take_work()
    }

    /// Whether the next frame can be added at once.
    pub fn has_room(&mut self) -> bool {
        self.encoder.has_room()
    }

    /// Says that no frame comes any more.
    pub fn close(&mut self) {
        self.encoder.close();
    }

    /// Lets so many frames wait to be encoded ([`VideoEncoder::with_waiting`]).
    #[must_use]
    pub fn with_waiting(self, frames: usize) -> Self {
        Self {
            encoder: self.encoder.with_waiting(frames),
            ..self
        }
    }

    /// Draws on a frame and adds it to the video.
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    pub fn push(&mut self, frame: &mut Frame, scene: Scene<'_>) -> Result<(), AnnotationError> {
        if self.caption.faces == Faces::Blurred {
            self.lost_faces.cover(frame, scene)?;
        }
        draw(frame, scene.persons, &self.caption)?;
        let file_place = (frame.index, frame.time);
        if self.is_empty && frame.index > 0 {
            self.part_begins_at = Some(file_place);
        }
        self.is_empty = false;
        if let Some((index, time)) = self.part_begins_at {
            frame.index -= index;
            frame.time = MediaTime::from_secs(frame.time.as_secs() - time.as_secs());
        }
        let pushed = self.encoder.push(frame);
        (frame.index, frame.time) = file_place;
        Ok(pushed?)
    }

    /// Completes the file and gives it its name, unless it is cancelled before.
    ///
    /// # Errors
    /// When the disk takes no more, or it is cancelled.
    pub fn finish(self, cancellation: &Cancellation) -> Result<PathBuf, EncodeError> {
        self.encoder.finish_unless(cancellation)
    }
}

/// Sizes in pixels that follow from the picture's.
struct Style {
    text_height: f64,
    line_height: f64,
    margin: f64,
    bone: i32,
    outline: i32,
    joint_radius: f64,
}

impl Style {
    fn new(width_px: f64, height_px: f64) -> Self {
        // Equal parts of the picture's shorter side, but never too small to be read.
        let side = width_px.min(height_px);
        let text_height = (side / 56.0).max(7.0);
        let bone = ((side / 240.0).round() as i32).max(1);
        Self {
            text_height,
            line_height: 1.75 * text_height,
            margin: 0.8 * text_height,
            bone,
            outline: bone + (bone.div_euclid(2)).max(1) * 2,
            joint_radius: (side / 170.0).max(2.0),
        }
    }
}

/// Draws everybody in a frame, and the panel.
///
/// # Errors
/// When OpenCV fails.
pub fn draw(frame: &mut Frame, persons: &[PersonRow], caption: &Caption) -> Result<(), DrawError> {
    let title = caption.title(frame.index, frame.time.as_secs());
    let mut canvas = frame.canvas();
    let style = Style::new(canvas.width_px(), canvas.height_px());
    draw_people(&mut canvas, persons, caption.faces, &style)?;
    draw_panel(&mut canvas, &title, persons, &style)
}

/// Draws everybody in a frame, without the panel.
///
/// # Errors
/// When OpenCV fails.
pub fn draw_skeletons(
    frame: &mut Frame,
    persons: &[PersonRow],
    faces: Faces,
) -> Result<(), DrawError> {
    let mut canvas = frame.canvas();
    let style = Style::new(canvas.width_px(), canvas.height_px());
    draw_people(&mut canvas, persons, faces, &style)
}

fn draw_people(
    canvas: &mut Canvas<'_>,
    persons: &[PersonRow],
    faces: Faces,
    style: &Style,
) -> Result<(), DrawError> {
    if faces == Faces::Blurred {
        // Before anything is drawn, so that skeletons stay sharp.
        for row in persons {
            faces::blur(canvas, &row.pose, 1.0)?;
        }
    }
    for row in persons {
        draw_person(canvas, &row.pose, style)?;
    }
    Ok(())
}

fn draw_person(canvas: &mut Canvas<'_>, pose: &PersonPose, style: &Style) -> Result<(), DrawError> {
    let (width, height) = (canvas.width_px(), canvas.height_px());
    let position = |landmark: Landmark| {
        let point = &pose.landmarks[landmark.index()];
        [f64::from(point.x) * width, f64::from(point.y) * height]
    };
    let visibility = |landmark: Landmark| pose.landmarks[landmark.index()].visibility;
    draw_box(canvas, pose, style)?;
    let is_inside = |landmark: Landmark| is_in_picture(pose, landmark);
    let bones = BONES.iter().filter_map(|[a, b]| {
        let (a, b) = (*a, *b);
        let is_visible = visibility(a) >= MIN_VISIBILITY && visibility(b) >= MIN_VISIBILITY;
        // A bone that is seen may leave the picture; one that is supposed must not lead there.
        let is_drawn = match is_visible {
            true => is_inside(a) || is_inside(b),
            false => is_inside(a) && is_inside(b),
        };
        is_drawn.then(|| (position(a), position(b), bone_color(a, b), is_visible))
    });
    let bones: Vec<_> = bones.collect();
    // All outlines first, so that none cuts through another bone.
    for &(from, to, _, is_visible) in &bones {
        if is_visible {
            canvas.line(from, to, OUTLINE, style.outline)?;
        }
    }
    for (from, to, color, is_visible) in bones {
        let thickness = if is_visible { style.bone } else { 1 };
        canvas.line(from, to, color, thickness)?;
    }
    for landmark in Landmark::ALL.into_iter().filter(|l| is_inside(*l)) {
        let (center, color) = (position(landmark), landmark_color(landmark));
        let visibility = visibility(landmark);
        if visibility >= MIN_VISIBILITY {
            let radius = style.joint_radius * (0.4 + 0.6 * f64::from(visibility));
            canvas.disc(center, radius + 1.0, OUTLINE)?;
            canvas.disc(center, radius, color)?;
        } else {
            canvas.ring(center, 0.6 * style.joint_radius, color, 1)?;
        }
    }
    Ok(())
}

fn is_in_picture(pose: &PersonPose, landmark: Landmark) -> bool {
    let point = &pose.landmarks[landmark.index()];
    (0.0..=1.0).contains(&point.x) && (0.0..=1.0).contains(&point.y)
}

/// Parts of the body that are outside the picture with all their landmarks, in few words; `None`
/// where there are none.
fn cut_off(pose: &PersonPose) -> Option<String> {
    use Landmark::*;
    let is_known = |l: &&Landmark| pose.landmarks[l.index()].is_known();
    let is_out = |landmarks: &[Landmark]| {
        let mut known = landmarks.iter().filter(is_known).peekable();
        known.peek().is_some() && known.all(|l| !is_in_picture(pose, *l))
    };
    let sides = |name: &str, plural: &str, left: &[Landmark], right: &[Landmark]| match (
        is_out(left),
        is_out(right),
    ) {
        (true, true) => Some(plural.to_owned()),
        (true, false) => Some(format!("left {name}")),
        (false, true) => Some(format!("right {name}")),
        (false, false) => None,
    };
    let hands = [
        [LeftWrist, LeftPinky, LeftIndex, LeftThumb],
        [RightWrist, RightPinky, RightIndex, RightThumb],
    ];
    let feet = [
        [LeftAnkle, LeftHeel, LeftFootIndex],
        [RightAnkle, RightHeel, RightFootIndex],
    ];
    let head = [
        Nose, LeftEye, RightEye, LeftEar, RightEar, MouthLeft, MouthRight,
    ];
    let parts = [
        is_out(&head).then(|| "head".to_owned()),
        sides("shoulder", "shoulders", &[LeftShoulder], &[RightShoulder]),
        sides("elbow", "elbows", &[LeftElbow], &[RightElbow]),
        sides("hand", "hands", &hands[0], &hands[1]),
        sides("hip", "hips", &[LeftHip], &[RightHip]),
        sides("knee", "knees", &[LeftKnee], &[RightKnee]),
        sides("foot", "feet", &feet[0], &feet[1]),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    // What people say of several parts.
    let words = parts
        .join(", ")
        .replace("elbows, hands", "arms")
        .replace("knees, feet", "legs");
    (!words.is_empty()).then_some(words)
}

/// The box around the visible landmarks, with the person's number.
fn draw_box(canvas: &mut Canvas<'_>, pose: &PersonPose, style: &Style) -> Result<(), DrawError> {
    let (width, height) = (canvas.width_px(), canvas.height_px());
    let visible = pose
        .landmarks
        .iter()
        .filter(|landmark| landmark.visibility >= MIN_VISIBILITY)
        .map(|landmark| {
            [
                f64::from(landmark.x) * width,
                f64::from(landmark.y) * height,
            ]
        });
    let Some([left, top, right, bottom]) = visible.fold(None, |edges, [x, y]| {
        let [left, top, right, bottom] = edges.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    }) else {
        return Ok(());
    };
    let margin = 2.5 * style.joint_radius;
    let clip = |value: f64, limit: f64| value.clamp(1.0, (limit - 2.0).max(1.0));
    let top_left = [clip(left - margin, width), clip(top - margin, height)];
    let bottom_right = [clip(right + margin, width), clip(bottom + margin, height)];
    canvas.rectangle(top_left, bottom_right, OUTLINE, style.outline)?;
    canvas.rectangle(top_left, bottom_right, MIDDLE, style.bone)?;
    let label = format!("person {}", pose.person);
    let label_width = text_width_px(&label, style.text_height)? + style.margin;
    // Above the box if there is room, else inside it.
    let label_top = if top_left[1] >= style.line_height {
        top_left[1] - style.line_height
    } else {
        top_left[1]
    };
    let label_left = top_left[0].min((width - label_width).max(0.0));
    canvas.shade(
        [label_left, label_top],
        [label_width, style.line_height],
        PANEL_LIGHT,
    )?;
    let baseline = label_top + (style.line_height + style.text_height) / 2.0;
    canvas.text(
        [label_left + style.margin / 2.0, baseline],
        &label,
        style.text_height,
        TEXT,
    )
}

fn landmark_color(landmark: Landmark) -> Bgr {
    let name = landmark.name();
    if name.contains("left") {
        LEFT
    } else if name.contains("right") {
        RIGHT
    } else {
        MIDDLE
    }
}

fn bone_color(a: Landmark, b: Landmark) -> Bgr {
    let (a, b) = (landmark_color(a), landmark_color(b));
    if a == b || b == MIDDLE {
        a
    } else if a == MIDDLE {
        b
    } else {
        MIDDLE
    }
}

/// A line of the panel: cells with their colours, laid out in columns.
type PanelLine = Vec<(String, Bgr)>;

fn draw_panel(
    canvas: &mut Canvas<'_>,
    title: &str,
    persons: &[PersonRow],
    style: &Style,
) -> Result<(), DrawError> {
    let room = ((canvas.height_px() - 2.0 * style.margin) / style.line_height) as usize;
    let mut lines = Vec::new();
    for person in persons {
        let of_person = person_lines(person);
        // Further people have skeleton and box, and lines where these cover little of the picture.
        if lines.is_empty() || lines.len() + of_person.len() < room / 3 {
            lines.extend(of_person);
        }
    }
    if persons.is_empty() {
        lines.push(vec![("no pose".into(), DIM_TEXT)]);
    }
    lines.truncate(room.saturating_sub(1));
    let mut columns: Vec<f64> = Vec::new();
    for line in lines.iter().filter(|line| line.len() > 1) {
        columns.resize(columns.len().max(line.len()), 0.0);
        for ((text, _), width) in line.iter().zip(&mut columns) {
            let needed = text_width_px(text, style.text_height)? + style.text_height;
            *width = width.max(needed);
        }
    }
    let mut width = text_width_px(title, style.text_height)?.max(columns.iter().sum::<f64>());
    // Lines of one cell go across the columns.
    for line in lines.iter().filter(|line| line.len() == 1) {
        width = width.max(text_width_px(&line[0].0, style.text_height)?);
    }
    let width = width + 2.0 * style.margin;
    let height = (lines.len() + 1) as f64 * style.line_height + style.margin;
    canvas.shade([0.0, 0.0], [width, height], PANEL_LIGHT)?;
    let baseline = |row: usize| row as f64 * style.line_height + style.margin + style.text_height;
    let x = style.margin;
    canvas.text([x, baseline(0)], title, style.text_height, TEXT)?;
    for (row, line) in lines.iter().enumerate() {
        let mut x = x;
        for (column, (text, color)) in line.iter().enumerate() {
            canvas.text([x, baseline(row + 1)], text, style.text_height, *color)?;
            x += columns.get(column).copied().unwrap_or_default();
        }
    }
    Ok(())
}

fn person_lines(person: &PersonRow) -> Vec<PanelLine> {
    let metrics = &person.metrics;
    let number = |value: Option<f64>, decimals: usize| match value {
        Some(value) => format!("{value:.decimals$}"),
        None => "-".into(),
    };
    let header = format!("person {} ({})", person.pose.person, metrics.quality.name());
    let mut lines = vec![vec![(header, TEXT)]];
    if let Some(parts) = cut_off(&person.pose) {
        lines.push(vec![(format!("cut off: {parts}"), DIM_TEXT)]);
    }
    for joint in PANEL_JOINTS {
        let angle = |side: &str| {
            let column = format!("{side}_{joint}_deg");
            let position = JOINT_ANGLES.iter().position(|angle| angle.column == column);
            position.and_then(|i| metrics.joint_angles_deg[i])
        };
        lines.push(vec![
            (joint.into(), DIM_TEXT),
            (format!("L {}", number(angle("left"), 0)), LEFT),
            (format!("R {}", number(angle("right"), 0)), RIGHT),
            ("deg".into(), DIM_TEXT),
        ]);
    }
    let single = |name: &str, value: Option<f64>, unit: &str| {
        vec![
            (name.to_owned(), DIM_TEXT),
            (number(value, 0), TEXT),
            (unit.to_owned(), DIM_TEXT),
        ]
    };
    lines.push(single("trunk lean", metrics.trunk_lean_deg, "deg"));
    lines.push(single("hip speed", metrics.center_speed_px_per_sec, "px/s"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::ImageLandmark;

    /// Somebody whose landmarks lie at these heights of the picture.
    fn person(y: impl Fn(Landmark) -> f32) -> PersonPose {
        PersonPose {
            person: 0,
            probability: 1.0,
            landmarks: Landmark::ALL.map(|landmark| ImageLandmark {
                x: 0.5,
                y: y(landmark),
                z: 0.0,
                visibility: 1.0,
                presence: 1.0,
            }),
            world_m: [[0.0; 3]; crate::pose::landmark::LANDMARK_COUNT],
        }
    }

    #[test]
    fn parts_outside_the_picture_are_named_in_few_words() {
        use Landmark::*;
        let whole = person(|_| 0.5);
        assert_eq!(cut_off(&whole), None);
        let is_leg = |l: Landmark| {
            let name = l.name();
            ["knee", "ankle", "heel", "foot"]
                .iter()
                .any(|part| name.contains(part))
        };
        let from_the_hips_up = person(|l| if is_leg(l) { 1.2 } else { 0.5 });
        assert_eq!(cut_off(&from_the_hips_up).as_deref(), Some("legs"));
        let is_left_foot = |l: Landmark| matches!(l, LeftAnkle | LeftHeel | LeftFootIndex);
        let one_foot = person(|l| if is_left_foot(l) { 1.001 } else { 1.0 });
        assert_eq!(cut_off(&one_foot).as_deref(), Some("left foot"));
        // A heel alone is not a foot.
        let heel = person(|l| if l == LeftHeel { 1.1 } else { 0.5 });
        assert_eq!(cut_off(&heel), None);
        let nothing = person(|_| -0.1);
        let all = "head, shoulders, arms, hips, legs";
        assert_eq!(cut_off(&nothing).as_deref(), Some(all));
    }
}
