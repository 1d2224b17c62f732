//! Rows of the tables that ingest fills, `landmarks` and `metrics`, and their columns.

use super::columns::{Column, Storage};
use super::resolution::{to_lake_angle, to_lake_precision};
use crate::metrics::segments::{Facing, SEGMENT_ANGLES};
use crate::metrics::{FrameMetrics, JOINT_ANGLES, Quality};
use crate::pose::landmark::Landmark;
use crate::pose::{ImageLandmark, PersonPose};

/// One person in one frame, as the lake stores it.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonRow {
    /// In the steps that the lake's columns hold: rounded before it is measured.
    pub pose: PersonPose,
    /// Of the rounded pose and, for speeds, of the frames before.
    pub metrics: FrameMetrics,
}

/// Who is meant, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Key {
    pub person: i16,
    pub frame: i32,
    pub time_secs: f64,
}

/// A row of a person in a frame.
pub(super) trait Keyed {
    fn key(&self) -> &Key;
    fn key_mut(&mut self) -> &mut Key;
}

macro_rules! keyed {
    ($($row:ty),*) => {$(
        impl crate::lake::rows::Keyed for $row {
            fn key(&self) -> &crate::lake::rows::Key {
                &self.key
            }

            fn key_mut(&mut self) -> &mut crate::lake::rows::Key {
                &mut self.key
            }
        }
    )*};
}
pub(super) use keyed;

keyed!(MetricsRow, LandmarkRow);

/// A row of the `metrics` table.
#[derive(Clone, Debug)]
pub(super) struct MetricsRow {
    pub key: Key,
    pub pose_probability: Option<f32>,
    pub metrics: FrameMetrics,
}

impl Default for MetricsRow {
    fn default() -> Self {
        Self {
            key: Key::default(),
            pose_probability: None,
            metrics: FrameMetrics::NO_POSE,
        }
    }
}

/// A row of the `landmarks` table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LandmarkRow {
    pub key: Key,
    pub landmark_index: i8,
    pub image: ImageLandmark,
    pub world_m: [f32; 3],
}

/// The columns with which the tables of persons in frames begin.
pub(super) fn key_columns<R: Keyed>(video_id: &str, times: Storage) -> Vec<Column<R>> {
    vec![
        Column::constant("video_id", video_id),
        Column::new("person", |row: &R| row.key().person)
            .read_by(|row, person| row.key_mut().person = person.unwrap_or_default()),
        Column::new("frame", |row: &R| row.key().frame)
            .read_by(|row, frame| row.key_mut().frame = frame.unwrap_or_default()),
        Column::new("time_secs", |row: &R| row.key().time_secs)
            .stored(times)
            .read_by(|row, time_secs| row.key_mut().time_secs = time_secs.unwrap_or_default()),
    ]
}

/// The columns that say which landmark a row is about.
pub(super) fn landmark_key_columns<R: Keyed + 'static>(
    video_id: &str,
    index: fn(&R) -> i8,
) -> Vec<Column<R>> {
    let names = Landmark::ALL.map(Landmark::name).to_vec();
    // Times repeat for each landmark of a row group.
    let mut columns = key_columns(video_id, Storage::Dictionary);
    columns.extend([
        Column::name("landmark", names, move |row| {
            usize::try_from(index(row)).ok()
        })
        .required(),
        Column::new("landmark_index", index),
    ]);
    columns
}

/// NaN is what the pose model does not give, and NULL in the lake.
pub(super) fn known(value: f32) -> Option<f32> {
    (!value.is_nan()).then_some(value)
}

/// The columns of `landmarks`.
pub(super) fn landmarks_columns(video_id: &str) -> Vec<Column<LandmarkRow>> {
    let mut columns = landmark_key_columns(video_id, |row: &LandmarkRow| row.landmark_index);
    if let Some(index) = columns.pop() {
        columns.push(index.read_by(|row, index| row.landmark_index = index.unwrap_or(-1)));
    }
    macro_rules! number {
        ($name:literal, $($place:tt)+) => {
            Column::optional($name, |row: &LandmarkRow| known(row.$($place)+))
                .read_by(|row, value| row.$($place)+ = value.unwrap_or(f32::NAN))
        };
    }
    columns.extend([
        number!("x", image.x),
        number!("y", image.y),
        number!("z", image.z),
        number!("visibility", image.visibility),
        number!("presence", image.presence),
        number!("world_x_m", world_m[0]),
        number!("world_y_m", world_m[1]),
        number!("world_z_m", world_m[2]),
    ]);
    columns
}

/// How many of the columns of `metrics` say only of whom and when a row is.
pub(super) const KEY_COLUMN_COUNT: usize = 4;

/// The columns of `metrics`.
pub(super) fn metrics_columns(video_id: &str) -> Vec<Column<MetricsRow>> {
    /// A measure that has the name of its column.
    macro_rules! measure {
        ($name:ident) => {
            number(
                stringify!($name),
                |metrics| metrics.$name,
                |metrics, value| metrics.$name = value,
            )
        };
    }
    macro_rules! flag {
        ($name:ident) => {
            Column::optional(stringify!($name), |row: &MetricsRow| row.metrics.$name)
                .read_by(|row: &mut MetricsRow, value| row.metrics.$name = value)
        };
    }
    let mut columns = key_columns(video_id, Storage::ByteStreamSplit);
    columns.extend([
        named("quality", &Quality::ALL, Quality::name, |row| {
            Some(row.metrics.quality)
        })
        .required()
        .read_text_by(|row, name| {
            let quality = Quality::ALL.into_iter().find(|q| Some(q.name()) == name);
            let unknown = || format!("quality {} is unknown", name.unwrap_or("NULL"));
            row.metrics.quality = quality.ok_or_else(unknown)?;
            Ok(())
        }),
        Column::optional("pose_probability", |row: &MetricsRow| {
            Some(to_lake_precision(row.pose_probability?))
        })
        .read_by(|row, probability| row.pose_probability = probability),
        measure!(mean_visibility),
        measure!(shoulder_width_m),
        measure!(hip_width_m),
        measure!(shoulder_hip_ratio),
        measure!(torso_length_px),
        measure!(shoulder_width_torso),
        measure!(hip_width_torso),
        measure!(shoulder_hip_ratio_image),
    ]);
    columns.extend(JOINT_ANGLES.iter().enumerate().map(|(i, joint)| {
        number(
            joint.column,
            move |metrics| metrics.joint_angles_deg[i],
            move |metrics, value| metrics.joint_angles_deg[i] = value,
        )
    }));
    columns.extend([
        measure!(trunk_lean_deg),
        measure!(center_speed_px_per_sec),
        measure!(center_speed_torso_per_sec),
        measure!(peak_landmark_speed_px_per_sec),
        measure!(peak_landmark_speed_torso_per_sec),
        named("peak_landmark", &Landmark::ALL, Landmark::name, |row| {
            row.metrics.peak_landmark
        })
        .read_text_by(|row, name| {
            row.metrics.peak_landmark = Landmark::ALL.into_iter().find(|l| Some(l.name()) == name);
            Ok(())
        }),
        named("facing", &Facing::ALL, Facing::name, |row| {
            row.metrics.facing
        })
        .read_text_by(|row, name| {
            row.metrics.facing = Facing::ALL.into_iter().find(|f| Some(f.name()) == name);
            Ok(())
        }),
    ]);
    columns.extend(SEGMENT_ANGLES.iter().enumerate().map(|(i, angle)| {
        number(
            angle.column,
            move |metrics| metrics.segment_angles_deg[i],
            move |metrics, value| metrics.segment_angles_deg[i] = value,
        )
    }));
    columns.extend([flag!(left_right_swap), flag!(bone_length_jump)]);
    columns
}

/// A column of a number, which the lake stores in steps.
fn number(
    name: &'static str,
    get: impl Fn(&FrameMetrics) -> Option<f64> + 'static,
    set: impl Fn(&mut FrameMetrics, Option<f64>) + 'static,
) -> Column<MetricsRow> {
    let stored = match name.ends_with("_deg") {
        true => to_lake_angle,
        false => to_lake_precision,
    };
    Column::optional(name, move |row: &MetricsRow| {
        Some(stored(get(&row.metrics)? as f32))
    })
    .read_by(move |row, value: Option<f32>| set(&mut row.metrics, value.map(f64::from)))
}

/// A column of names of one of `all`.
fn named<T: Copy + PartialEq + 'static>(
    column: &'static str,
    all: &'static [T],
    name: fn(T) -> &'static str,
    get: fn(&MetricsRow) -> Option<T>,
) -> Column<MetricsRow> {
    let names = all.iter().map(|one| name(*one)).collect();
    Column::name(column, names, move |row| {
        let value = get(row)?;
        all.iter().position(|one| *one == value)
    })
}
