//! Names of the files that are written beside the lake.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::files::MAX_NAME_BYTES;
use crate::text;

/// Digits of a video's id that tell apart videos of the same name.
const ID_DIGITS: usize = 8;
/// The longest addition to a stem: `_person65535.parquet`. `annotated_` and `.mp4` are shorter.
const LONGEST_ADDITION_BYTES: usize = 20;
const MAX_STEM_BYTES: usize = MAX_NAME_BYTES - LONGEST_ADDITION_BYTES;

/// Whether a video with skeletons and metrics drawn on it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotatedVideo {
    On,
    Off,
}

/// Whether a file with all poses as JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoseJson {
    On,
    Off,
}

/// What is written beside the lake, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    pub folder: PathBuf,
    pub annotated_video: AnnotatedVideo,
    pub pose_json: PoseJson,
}

/// The files of one video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoOutputs {
    pub annotated_video: Option<PathBuf>,
    pub pose_json: Option<PathBuf>,
}

impl VideoOutputs {
    pub fn paths(&self) -> Vec<PathBuf> {
        let paths = [&self.annotated_video, &self.pose_json];
        paths.into_iter().flatten().cloned().collect()
    }
}

impl Outputs {
    /// The files of a video whose name without folder and suffix is `stem`.
    pub fn of_video(&self, stem: &str) -> VideoOutputs {
        let named =
            |prefix: &str, suffix: &str| self.folder.join(format!("{prefix}{stem}{suffix}"));
        VideoOutputs {
            annotated_video: (self.annotated_video == AnnotatedVideo::On)
                .then(|| named("annotated_", ".mp4")),
            pose_json: (self.pose_json == PoseJson::On).then(|| named("", "_pose.json")),
        }
    }
}

/// A name without suffix under which a video's files do not meet those of another video: the
/// video's own; with the beginning of its id where `others` are called the same, where the name is
/// shortened to leave room for what files are called besides, and where control characters in it
/// are replaced.
pub fn unique_stem(path: &Path, video_id: &str, others: &[OsString]) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    let name = stem.to_string_lossy();
    let clean = text::without_controls(&name);
    let id = &video_id[..ID_DIGITS.min(video_id.len())];
    let short = text::beginning(&clean, MAX_STEM_BYTES);
    let is_own_name = short == name;
    if is_own_name && !others.iter().any(|other| other == stem) {
        return short.into();
    }
    let room = MAX_STEM_BYTES - id.len() - "-".len();
    format!("{}-{id}", text::beginning(&clean, room))
}

/// Stems that several of the paths share.
pub fn shared_stems<'p>(paths: impl Iterator<Item = &'p Path>) -> Vec<OsString> {
    let mut counts: HashMap<&OsStr, usize> = HashMap::new();
    for stem in paths.filter_map(Path::file_stem) {
        *counts.entry(stem).or_default() += 1;
    }
    let shared = counts.into_iter().filter(|(_, count)| *count > 1);
    shared.map(|(stem, _)| stem.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_of_one_name_get_files_of_their_own() {
        let paths = ["a/jump.mp4", "b/jump.mov", "b/run.mp4"].map(Path::new);
        let shared = shared_stems(paths.into_iter());
        assert_eq!(shared, ["jump"]);
        let id = "0123456789abcdef";
        assert_eq!(unique_stem(paths[0], id, &shared), "jump-01234567");
        assert_eq!(unique_stem(paths[2], id, &shared), "run");
    }

    #[test]
    fn long_and_odd_names_give_files_that_fit_and_differ() {
        let id = "0123456789abcdef";
        let long = "練".repeat(82) + ".mp4";
        let stem = unique_stem(Path::new(&long), id, &[]);
        assert!(
            stem.starts_with("練練") && stem.ends_with("練-01234567"),
            "{stem}"
        );
        let outputs = Outputs {
            folder: "output".into(),
            annotated_video: AnnotatedVideo::On,
            pose_json: PoseJson::On,
        };
        for path in outputs.of_video(&stem).paths() {
            let name = path.file_name().expect("a name");
            assert!(name.len() <= MAX_NAME_BYTES, "{name:?}");
        }
        assert!(format!("{stem}_person65535.parquet").len() <= MAX_NAME_BYTES);
        // The longest name that leaves room stays as it is.
        let fits = "n".repeat(MAX_STEM_BYTES);
        assert_eq!(
            unique_stem(Path::new(&format!("{fits}.mp4")), id, &[]),
            fits
        );
        let shared = [OsString::from(&fits)];
        let unique = unique_stem(Path::new(&format!("{fits}.mp4")), id, &shared);
        assert_eq!(unique.len(), MAX_STEM_BYTES);
        assert!(unique.ends_with("n-01234567"));
        // Two names that differ in what is replaced give two files.
        let odd = |name: &str, id: &str| unique_stem(Path::new(name), id, &[]);
        assert_eq!(odd("a\nb.mp4", id), "a_b-01234567");
        assert_ne!(odd("a\nb.mp4", id), odd("a\tb.mp4", "fedcba9876543210"));
        assert_eq!(odd("a_b.mp4", id), "a_b");
    }
}
