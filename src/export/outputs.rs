//! Names of the files that are written beside the lake.

use std::path::PathBuf;

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
        VideoOutputs {
            annotated_video: (self.annotated_video == AnnotatedVideo::On)
                .then(|| self.annotated_video_of(stem)),
            pose_json: (self.pose_json == PoseJson::On)
                .then(|| self.folder.join(format!("{stem}_pose.json"))),
        }
    }

    /// The annotated video of such a name.
    pub fn annotated_video_of(&self, stem: &str) -> PathBuf {
        self.folder.join(format!("annotated_{stem}.mp4"))
    }
}
