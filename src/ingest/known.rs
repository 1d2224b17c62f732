//! What the lake had of videos when the run began: found by their ids, by where they came from and by
//! their names, in a time that does not grow with the lake.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::lake::IngestedVideo;

/// The videos of a lake.
#[derive(Default)]
pub(super) struct KnownVideos {
    by_id: HashMap<String, IngestedVideo>,
    /// What stores had at addresses: their marks of contents, and the videos' ids.
    by_address: HashMap<String, Vec<(String, String)>>,
    /// How many videos are called so, without a suffix.
    stems: HashMap<OsString, usize>,
}

impl KnownVideos {
    /// Of videos by their ids.
    pub fn of(by_id: HashMap<String, IngestedVideo>) -> Self {
        let mut by_address: HashMap<String, Vec<(String, String)>> = HashMap::new();
        let mut stems: HashMap<OsString, usize> = HashMap::new();
        for (id, video) in &by_id {
            let own = video.source_etag.iter().map(|etag| (&video.path, etag));
            let others =
                (video.other_sources.iter()).map(|other| (&other.path, &other.source_etag));
            for (path, etag) in own.chain(others) {
                let marks = by_address.entry(path.clone()).or_default();
                marks.push((etag.clone(), id.clone()));
            }
            if let Some(stem) = stem(video) {
                *stems.entry(stem.to_owned()).or_default() += 1;
            }
        }
        Self {
            by_id,
            by_address,
            stems,
        }
    }

    pub fn get(&self, video_id: &str) -> Option<&IngestedVideo> {
        self.by_id.get(video_id)
    }

    /// The video, and its id, that was fetched from `address` when the store called its content `etag`.
    pub fn fetched_from(&self, address: &Path, etag: &str) -> Option<(&str, &IngestedVideo)> {
        let marks = self.by_address.get(address.to_str()?)?;
        let (_, id) = marks.iter().find(|(mark, _)| mark == etag)?;
        let (id, video) = self.by_id.get_key_value(id)?;
        Some((id, video))
    }

    /// Whether another video than `video_id` is called `name`, whatever its suffix.
    pub fn has_other_called(&self, name: &OsStr, video_id: &str) -> bool {
        let own = self.get(video_id).and_then(stem);
        let own_count = usize::from(own == Some(name));
        self.stems.get(name).is_some_and(|count| *count > own_count)
    }
}

fn stem(video: &IngestedVideo) -> Option<&OsStr> {
    Path::new(&video.file_name).file_stem()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::VideoSource;

    fn known(videos: &[(&str, &str, &str, Option<&str>)]) -> KnownVideos {
        let videos = videos.iter().map(|(id, file_name, path, etag)| {
            let video = IngestedVideo {
                file_name: (*file_name).into(),
                config_hash: String::new(),
                path: (*path).into(),
                source_etag: etag.map(str::to_owned),
                other_sources: Vec::new(),
            };
            ((*id).to_owned(), video)
        });
        KnownVideos::of(videos.collect())
    }

    #[test]
    fn a_video_of_a_store_is_known_by_its_address_and_its_content() {
        let known = known(&[
            ("a", "run.mp4", "s3://clips/run.mp4", Some("1")),
            ("b", "run.mp4", "s3://clips/run.mp4", Some("2")),
            ("c", "jump.mp4", "/clips/jump.mp4", None),
        ]);
        let found = |address: &str, etag: &str| {
            let found = known.fetched_from(Path::new(address), etag);
            found.map(|(id, _)| id.to_owned())
        };
        assert_eq!(found("s3://clips/run.mp4", "2").as_deref(), Some("b"));
        assert_eq!(found("s3://clips/run.mp4", "3"), None);
        assert_eq!(found("s3://clips/walk.mp4", "1"), None);
        assert_eq!(found("/clips/jump.mp4", ""), None);
    }

    #[test]
    fn a_copy_of_a_video_is_known_by_its_own_address() {
        let copy = VideoSource {
            path: "s3://clips/copy.mp4".into(),
            source_etag: "2".into(),
        };
        let video = IngestedVideo {
            file_name: "run.mp4".into(),
            config_hash: String::new(),
            path: "s3://clips/run.mp4".into(),
            source_etag: Some("1".into()),
            other_sources: vec![copy],
        };
        let known = KnownVideos::of([("a".to_owned(), video)].into());
        let found = |address: &str, etag: &str| {
            let found = known.fetched_from(Path::new(address), etag);
            found.map(|(id, _)| id.to_owned())
        };
        assert_eq!(found("s3://clips/run.mp4", "1").as_deref(), Some("a"));
        assert_eq!(found("s3://clips/copy.mp4", "2").as_deref(), Some("a"));
        assert_eq!(found("s3://clips/copy.mp4", "1"), None);
    }

    #[test]
    fn a_name_is_taken_by_other_videos_only() {
        let known = known(&[
            ("a", "run.mp4", "/1/run.mp4", None),
            ("b", "jump.mp4", "/1/jump.mp4", None),
            ("c", "jump.mov", "/2/jump.mov", None),
        ]);
        let is_taken = |name: &str, id: &str| known.has_other_called(OsStr::new(name), id);
        assert!(!is_taken("run", "a"));
        assert!(is_taken("run", "new"));
        assert!(is_taken("jump", "b"));
        assert!(!is_taken("walk", "new"));
    }
}
