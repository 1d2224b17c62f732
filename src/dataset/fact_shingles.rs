//! Recipe rows as sets, for telling near-duplicates among examples by their facts.

use crate::random::scramble;
use crate::similarity::hash_text;

/// The values of a recipe's row, each with its name; where in a list a value stands does not
/// count, nor do frame numbers and times.
///
/// Texts at the top (which joint, which kind of question) are part of every member, so that only
/// answers to the same question are alike.
pub fn fact_shingles(facts: &serde_json::Value) -> Vec<u64> {
    let mut salt = 0;
    if let serde_json::Value::Object(fields) = facts {
        for (name, value) in fields {
            if let serde_json::Value::String(text) = value {
                salt = scramble(salt ^ hash_text(name) ^ hash_text(text).rotate_left(1));
            }
        }
    }
    let mut shingles = Vec::new();
    add_values(facts, salt, &mut shingles);
    shingles
}

fn add_values(value: &serde_json::Value, path: u64, shingles: &mut Vec<u64>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if !is_position(name) {
                    add_values(value, scramble(path ^ hash_text(name)), shingles);
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                add_values(item, path, shingles);
            }
        }
        other => shingles.push(scramble(path ^ hash_text(&other.to_string()))),
    }
}

/// Whether a column says where in a video something is, not what is there.
fn is_position(name: &str) -> bool {
    name == "pick"
        || name.starts_with("frame")
        || name.ends_with("frame")
        || name.ends_with("time_secs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::SimilarityIndex;
    use serde_json::json;

    #[test]
    fn other_questions_about_the_same_numbers_are_not_alike() {
        let facts = |joint: &str, frame: u64| {
            json!({"joint": joint, "frame_of_max": frame, "rows": [
                {"frame": frame, "time_secs": frame as f64 / 30.0, "knee_deg": 142.0, "hip_deg": 171.5},
                {"frame": frame + 1, "time_secs": 0.0, "knee_deg": 143.0, "hip_deg": 171.0},
            ]})
        };
        let mut index = SimilarityIndex::new(0.8);
        assert_eq!(
            index.insert_unless_similar(&fact_shingles(&facts("knee", 1))),
            None
        );
        assert_eq!(
            index.insert_unless_similar(&fact_shingles(&facts("hip", 1))),
            None
        );
        // The same again later in the video.
        assert_eq!(
            index.insert_unless_similar(&fact_shingles(&facts("knee", 90))),
            Some(0)
        );
    }
}
