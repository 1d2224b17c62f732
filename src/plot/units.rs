//! What a column's name says: its quantity and unit, and whether it is a measurement at all.
//!
//! Names end in their unit throughout posedata (`_deg`, `_px_per_sec`), so that a picture's axes
//! can be labelled without asking.

/// Suffix of a column's name, what it is printed as, and what is measured in it. Longer suffixes
/// stand before those that they end in.
const SUFFIXES: [(&str, &str, &str); 22] = [
    ("_torso_per_sec", "torso lengths/s", "speed"),
    ("_px_per_sec", "px/s", "speed"),
    ("_deg_per_sec", "degrees/s", "angular velocity"),
    ("_m_per_sec2", "m/s²", "acceleration"),
    ("_m_per_sec", "m/s", "speed"),
    ("_frames_per_sec", "frames/s", "frame rate"),
    ("_per_sec", "1/s", "rate"),
    ("_deg", "degrees", "angle"),
    ("_px", "px", "length"),
    ("_torso", "torso lengths", "length"),
    ("_mm", "mm", "length"),
    ("_cm", "cm", "length"),
    ("_m", "m", "length"),
    ("_secs", "s", "time"),
    ("_ms", "ms", "time"),
    ("_hz", "Hz", "frequency"),
    ("_fps", "frames/s", "frame rate"),
    ("_percent", "%", "share"),
    ("_bytes", "bytes", "size"),
    ("_ratio", "", "ratio"),
    ("_visibility", "0 to 1", "visibility"),
    ("_probability", "0 to 1", "probability"),
];

/// Columns that are known by their whole name.
const WHOLE_NAMES: [(&str, &str, &str); 8] = [
    ("x", "fraction of the picture", "position"),
    ("y", "fraction of the picture", "position"),
    ("z", "fraction of the picture", "position"),
    ("visibility", "0 to 1", "visibility"),
    ("presence", "0 to 1", "presence"),
    ("probability", "0 to 1", "probability"),
    ("fps", "frames/s", "frame rate"),
    ("time", "", "time"),
];

/// Columns along which a time series runs, best first.
pub const TIME_COLUMNS: [&str; 7] = [
    "time_secs",
    "from_secs",
    "start_secs",
    "t_secs",
    "frame",
    "frame_start",
    "from_frame",
];

/// Text columns that tell how a frame is, not whose it is: they make no series of their own.
const STATES: [&str; 5] = [
    "quality",
    "facing",
    "peak_landmark",
    "least_visible",
    "flags",
];

/// A column's quantity and unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// The name in words, without the unit.
    pub name: String,
    /// As printed; empty where there is none, or none is known.
    pub unit: &'static str,
    /// What all columns of this unit measure; empty for an unknown column.
    pub kind: &'static str,
}

impl Quantity {
    /// What a column's name says.
    pub fn of(column: &str) -> Self {
        let lower = column.to_ascii_lowercase();
        let quantity = |name: &str, unit, kind| Self {
            name: name.replace('_', " ").trim().to_owned(),
            unit,
            kind,
        };
        if let Some((_, unit, kind)) = WHOLE_NAMES.iter().find(|(name, ..)| *name == lower) {
            return quantity(column, unit, kind);
        }
        let suffix = SUFFIXES
            .iter()
            .find(|(suffix, ..)| lower.len() > suffix.len() && lower.ends_with(suffix));
        let Some((suffix, unit, kind)) = suffix else {
            return quantity(column, "", "");
        };
        let is_word = matches!(*suffix, "_ratio" | "_visibility" | "_probability");
        let stem = if is_word {
            column
        } else {
            &column[..column.len() - suffix.len()]
        };
        let last_word = stem.rsplit('_').next().unwrap_or(stem);
        let kind = match (*kind, last_word.to_ascii_lowercase().as_str()) {
            ("length", "x" | "y" | "z") => "position",
            _ => kind,
        };
        quantity(stem, unit, kind)
    }

    /// An axis title: `speed (px/s)`.
    pub fn title(&self) -> String {
        with_unit(&self.name, self.unit)
    }

    /// Whether two columns belong into one panel.
    pub fn shares_axis_with(&self, other: &Self) -> bool {
        self.unit == other.unit
            && !self.kind.is_empty()
            && (!self.unit.is_empty() || self.kind == other.kind)
    }
}

/// `name (unit)`, or the name alone.
pub fn with_unit(name: &str, unit: &str) -> String {
    match unit {
        "" => name.to_owned(),
        unit => format!("{name} ({unit})"),
    }
}

/// The title of an axis that time runs along.
pub fn x_title(column: &str) -> String {
    let quantity = Quantity::of(column);
    let is_plain_time = matches!(
        column.to_ascii_lowercase().as_str(),
        "time_secs" | "from_secs" | "start_secs" | "t_secs"
    );
    if is_plain_time {
        "time (s)".into()
    } else {
        quantity.title()
    }
}

/// Numbers that say which row it is.
pub fn is_key(column: &str) -> bool {
    let lower = column.to_ascii_lowercase();
    matches!(lower.as_str(), "person" | "index" | "track")
        || lower.ends_with("_index")
        || lower.ends_with("_id")
}

/// Numbers that say where in the video a row is.
pub fn is_time(column: &str) -> bool {
    let lower = column.to_ascii_lowercase();
    TIME_COLUMNS.contains(&lower.as_str())
        || matches!(
            lower.as_str(),
            "to_secs" | "end_secs" | "frame_end" | "to_frame"
        )
}

/// Numbers that say how much a row rests on.
pub fn is_count(column: &str) -> bool {
    let lower = column.to_ascii_lowercase();
    matches!(lower.as_str(), "n" | "count" | "rows" | "frames")
        || lower.ends_with("_frames")
        || lower.ends_with("_count")
        || lower.starts_with("count")
}

pub fn is_state(column: &str) -> bool {
    STATES.contains(&column.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_titles_with_units() {
        let title = |column| Quantity::of(column).title();
        assert_eq!(title("speed_px_per_sec"), "speed (px/s)");
        assert_eq!(
            title("center_speed_torso_per_sec"),
            "center speed (torso lengths/s)"
        );
        assert_eq!(title("left_knee_deg"), "left knee (degrees)");
        assert_eq!(title("shoulder_hip_ratio"), "shoulder hip ratio");
        assert_eq!(title("mean_visibility"), "mean visibility (0 to 1)");
        assert_eq!(title("jump_height_m"), "jump height (m)");
        assert_eq!(title("score"), "score");
        assert_eq!(x_title("time_secs"), "time (s)");
        assert_eq!(x_title("frame"), "frame");
    }

    #[test]
    fn columns_share_an_axis_when_their_unit_is_the_same() {
        let shares = |a, b| Quantity::of(a).shares_axis_with(&Quantity::of(b));
        assert!(shares("left_knee_deg", "trunk_lean_deg"));
        assert!(shares("x_px", "torso_length_px"));
        assert!(!shares("x_px", "speed_px_per_sec"));
        assert!(!shares("shoulder_width_m", "shoulder_width_torso"));
        assert!(!shares("score", "weight"), "nothing is known of either");
        assert!(shares("shoulder_hip_ratio", "aspect_ratio"));
    }
}
