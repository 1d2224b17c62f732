//! Names of the files that are written beside the lake.

use std::path::PathBuf;

/// Whether a video with skeletons and metrics drawn on it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnnotatedVideo {
    /// `annotated_STEM.mp4`, encoded while the video is decoded.
    On,
    /// The same with faces that nobody recognizes.
    Blurred,
    /// No picture is drawn or encoded.
    Off,
}

/// Whether faces can be recognized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faces {
    /// As they are.
    #[default]
    Shown,
    /// Covered by coarse squares, of everybody whom the lake has in the frame.
    Blurred,
}

/// Whether a file with all poses as JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoseJson {
    /// `STEM_pose.json`, as the JSON Schema [`POSE_MODEL_SCHEMA`](super::POSE_MODEL_SCHEMA) says.
    On,
    /// The lake alone has the poses.
    Off,
}

/// What is written beside the lake, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// Made where it is not there.
    pub folder: PathBuf,
    /// Whether there will be a video with skeletons.
    pub annotated_video: AnnotatedVideo,
    /// Whether there will be a file of poses.
    pub pose_json: PoseJson,
}

/// The files of one video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoOutputs {
    /// `None` where it is not wanted.
    pub annotated_video: Option<PathBuf>,
    /// How people are shown in it.
    pub faces: Faces,
    /// `None` where it is not wanted.
    pub pose_json: Option<PathBuf>,
}

impl VideoOutputs {
    /// Those that are wanted, the video first.
    pub fn paths(&self) -> Vec<PathBuf> {
        let paths = [&self.annotated_video, &self.pose_json];
        paths.into_iter().flatten().cloned().collect()
    }
}

impl Outputs {
    /// The files of a video whose name without folder and suffix is `stem`.
    pub fn of_video(&self, stem: &str) -> VideoOutputs {
        VideoOutputs {
            annotated_video: (self.annotated_video != AnnotatedVideo::Off)
                .then(|| self.annotated_video_of(stem)),
            faces: match self.annotated_video {
                AnnotatedVideo::Blurred => Faces::Blurred,
                AnnotatedVideo::On | AnnotatedVideo::Off => Faces::Shown,
            },
            pose_json: (self.pose_json == PoseJson::On)
                .then(|| self.folder.join(format!("{stem}_pose.json"))),
        }
    }

    /// Where the annotated video of this stem lies, whether it is wanted or not.
    pub fn annotated_video_of(&self, stem: &str) -> PathBuf {
        self.folder.join(format!("annotated_{stem}.mp4"))
    }
}
