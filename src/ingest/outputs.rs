//! Names of the files that ingest writes beside the lake.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Digits of a video's id that tell apart videos of the same name.
const ID_DIGITS: usize = 8;

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
    pub fn of_video(&self, stem: &OsStr) -> VideoOutputs {
        let named = |prefix: &str, suffix: &str| {
            let mut name = OsString::from(prefix);
            name.push(stem);
            name.push(suffix);
            self.folder.join(name)
        };
        VideoOutputs {
            annotated_video: (self.annotated_video == AnnotatedVideo::On)
                .then(|| named("annotated_", ".mp4")),
            pose_json: (self.pose_json == PoseJson::On).then(|| named("", "_pose.json")),
        }
    }
}

/// A name without suffix under which a video's files do not meet those of another video: the
/// video's own, or, where `others` are called the same, with the beginning of its id.
pub fn unique_stem(path: &Path, video_id: &str, others: &[OsString]) -> OsString {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_owned();
    if !others.contains(&stem) {
        return stem;
    }
    let mut unique = stem;
    unique.push("-");
    unique.push(&video_id[..ID_DIGITS.min(video_id.len())]);
    unique
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
}
