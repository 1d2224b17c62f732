//! Where the videos' files are now, whether they are still the same, and whether browsers play them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use walkdir::WalkDir;

use super::problem::{Kind, Problem};
use crate::ingest::video_id_unless;
use crate::store::Address;
use crate::sync::{Cancellation, lock};
use crate::video::{Container, Content, VideoError, sniff};

/// Folders are not looked through more often than this.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// H.264, AV1 and VP9 by their tags in MP4 and QuickTime files: what all browsers of today play. The
/// tags of HEVC are not among them, as it depends on the machine.
const MP4_CODECS: [&str; 4] = ["avc1", "avc3", "av01", "vp09"];
/// By their names, as Matroska has no tags.
const WEBM_CODECS: [&str; 3] = ["vp8", "vp9", "av1"];

/// What the lake says of a video's file.
#[derive(Clone, Copy, Debug)]
pub struct SourceFacts<'v> {
    /// Where it was, or its address.
    pub path: &'v str,
    /// Without its folder.
    pub file_name: &'v str,
    /// Its size.
    pub file_bytes: u64,
    /// FOURCC or name.
    pub codec: &'v str,
    /// The stored picture is mirrored.
    pub is_mirrored: bool,
    /// Pictures have several sizes.
    pub changes_size: bool,
    /// Pictures are damaged.
    pub has_corrupt_frames: bool,
}

/// What can be shown of a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Browsers play the file itself.
    Source {
        /// Where it lies now.
        path: PathBuf,
        /// For the header of its answers.
        media_type: &'static str,
    },
    /// Browsers do not; a proxy is needed.
    Proxy {
        /// Where it lies now; `None` for a file that has to be fetched.
        path: Option<PathBuf>,
        /// Why.
        reason: String,
    },
    /// There is no file.
    Missing {
        /// Where it was.
        path: String,
    },
    /// The file is another one now.
    Changed {
        /// Where it lies.
        path: PathBuf,
    },
}

const FILE_IS_MISSING: &str = "put the file back, or start `posedata view` with --videos DIR, where DIR is the folder that has it now";
const FILE_IS_CHANGED: &str = "put the old file back, or start `posedata view` with --videos DIR, or ingest the new file: `posedata ingest FILE`";

impl FileState {
    /// As the page gets it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Source { .. } => json!({ "state": "source", "message": null, "remedy": null }),
            Self::Proxy { reason, .. } => {
                json!({ "state": "proxy", "message": reason, "remedy": null })
            }
            Self::Missing { path } => json!({
                "state": "missing",
                "message": format!("the video file is gone: {path}"),
                "remedy": FILE_IS_MISSING,
            }),
            Self::Changed { path } => json!({
                "state": "changed",
                "message": format!("the file has changed since it was ingested: {}", path.display()),
                "remedy": FILE_IS_CHANGED,
            }),
        }
    }

    /// The file on this machine, if there is one that may be shown.
    ///
    /// # Errors
    /// When the file is gone or is another one now.
    pub fn local(&self) -> Result<Option<&Path>, Problem> {
        let refused =
            |kind, message: String, remedy| Err(Problem::new(kind, message).with_remedy(remedy));
        match self {
            Self::Source { path, .. } => Ok(Some(path)),
            Self::Proxy { path, .. } => Ok(path.as_deref()),
            Self::Missing { path } => {
                let message = format!("the video file is gone: {path}");
                refused(Kind::FileMissing, message, FILE_IS_MISSING)
            }
            Self::Changed { path } => {
                let path = path.display();
                let message = format!("the file has changed since it was ingested: {path}");
                refused(Kind::FileChanged, message, FILE_IS_CHANGED)
            }
        }
    }
}

/// A file at one moment: a later one of the same name differs in one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FileMark {
    path: PathBuf,
    bytes: u64,
    modified: (i64, i64),
    inode: u64,
}

impl FileMark {
    fn of(path: &Path, metadata: &Metadata) -> Self {
        Self {
            path: path.into(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// Looks after the videos' files.
pub struct Files {
    folders: Vec<PathBuf>,
    found: Mutex<FoundFiles>,
    /// What files are by their first bytes.
    contents: Mutex<HashMap<FileMark, Option<Container>>>,
    /// Ids of files that were read as a whole.
    hashed: Mutex<HashMap<FileMark, String>>,
}

/// Files below the folders, by their size, which nearly always tells them apart.
#[derive(Default)]
struct FoundFiles {
    looked: Option<Instant>,
    by_bytes: BTreeMap<u64, Vec<PathBuf>>,
}

impl Files {
    /// `folders` are looked through for files that are not where they were.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            found: Mutex::default(),
            contents: Mutex::default(),
            hashed: Mutex::default(),
        }
    }

    /// What is known of a video's file without reading all of it.
    pub fn look(&self, video_id: &str, facts: &SourceFacts<'_>) -> FileState {
        match Address::of_path(Path::new(facts.path)) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let reason = format!(
                    "the file lies elsewhere and is fetched first: {}",
                    facts.path
                );
                return FileState::Proxy { path: None, reason };
            }
            Err(_) => {
                return FileState::Missing {
                    path: facts.path.into(),
                };
            }
        }
        let at_home = Path::new(facts.path);
        let fits = |path: &Path| {
            let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
            let mark = FileMark::of(path, &metadata);
            let is_other = lock(&self.hashed)
                .get(&mark)
                .is_some_and(|id| id != video_id);
            (mark.bytes == facts.file_bytes && !is_other).then_some(mark)
        };
        let moved = || {
            let candidates = self.of_size(facts.file_bytes);
            let same_name = |path: &PathBuf| path.file_name() == Some(facts.file_name.as_ref());
            let (named, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(same_name);
            named.iter().chain(&others).find_map(|path| fits(path))
        };
        match fits(at_home).or_else(moved) {
            Some(mark) => self.playable(mark, facts),
            None if at_home.is_file() => FileState::Changed {
                path: at_home.into(),
            },
            None => FileState::Missing {
                path: facts.path.into(),
            },
        }
    }

    /// Reads a file as a whole, once, and tells whether it is the video's; where it is not, it is not
    /// taken for it again.
    ///
    /// # Errors
    /// When it cannot be read, or it is cancelled.
    pub fn is_same(
        &self,
        path: &Path,
        video_id: &str,
        cancellation: &Cancellation,
    ) -> Result<bool, VideoError> {
        let metadata = fs::metadata(path).map_err(|e| VideoError::unreadable(path, &e))?;
        let mark = FileMark::of(path, &metadata);
        if let Some(id) = lock(&self.hashed).get(&mark) {
            return Ok(id == video_id);
        }
        let id = video_id_unless(path, cancellation)?;
        let is_same = id == video_id;
        lock(&self.hashed).insert(mark, id);
        Ok(is_same)
    }

    fn playable(&self, mark: FileMark, facts: &SourceFacts<'_>) -> FileState {
        let known = lock(&self.contents).get(&mark).copied();
        let container = known.unwrap_or_else(|| {
            let container = match sniff(&mark.path) {
                Ok(Content::Video(container)) => Some(container),
                Ok(Content::Playlist(_) | Content::Unknown) | Err(_) => None,
            };
            lock(&self.contents).insert(mark.clone(), container);
            container
        });
        match playable(container, facts) {
            Ok(media_type) => FileState::Source {
                path: mark.path,
                media_type,
            },
            Err(reason) => FileState::Proxy {
                path: Some(mark.path),
                reason,
            },
        }
    }

    fn of_size(&self, bytes: u64) -> Vec<PathBuf> {
        let mut found = lock(&self.found);
        let is_new = found
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK_AGAIN);
        if !is_new {
            found.by_bytes = files_below(&self.folders);
            found.looked = Some(Instant::now());
        }
        found.by_bytes.get(&bytes).cloned().unwrap_or_default()
    }
}

fn files_below(folders: &[PathBuf]) -> BTreeMap<u64, Vec<PathBuf>> {
    let mut by_bytes: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for folder in folders {
        let entries = WalkDir::new(folder).sort_by_file_name().into_iter();
        for entry in entries.filter_map(Result::ok) {
            let metadata = fs::metadata(entry.path()).ok();
            if let Some(metadata) = metadata.filter(Metadata::is_file) {
                by_bytes
                    .entry(metadata.len())
                    .or_default()
                    .push(entry.into_path());
            }
        }
    }
    by_bytes
}

/// The media type of a file that browsers play frame by frame, or why they do not.
fn playable(container: Option<Container>, facts: &SourceFacts<'_>) -> Result<&'static str, String> {
    let codec = facts.codec.to_ascii_lowercase();
    let media_type = match container {
        Some(Container::IsoMedia) if MP4_CODECS.contains(&codec.as_str()) => "video/mp4",
        Some(Container::Matroska) if WEBM_CODECS.contains(&codec.as_str()) => "video/webm",
        Some(container) => {
            let container = container.name();
            return Err(format!(
                "browsers do not all play {container} with {}",
                facts.codec
            ));
        }
        None => return Err("browsers do not play files of this kind".into()),
    };
    let reason = match facts {
        _ if facts.is_mirrored => "the picture is stored mirrored, which browsers do not undo",
        _ if facts.changes_size => "the picture's size changes, which browsers show otherwise",
        _ if facts.has_corrupt_frames => "frames are damaged, of which browsers leave some out",
        _ => return Ok(media_type),
    };
    Err(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: SourceFacts<'_> = SourceFacts {
        path: "/nowhere/a.mp4",
        file_name: "a.mp4",
        file_bytes: 4,
        codec: "avc1",
        is_mirrored: false,
        changes_size: false,
        has_corrupt_frames: false,
    };

    #[test]
    fn files_that_browsers_play_are_told_from_others() {
        use Container::{Avi, IsoMedia, Matroska};
        let with = |codec: &'static str| SourceFacts { codec, ..FACTS };
        assert_eq!(playable(Some(IsoMedia), &FACTS), Ok("video/mp4"));
        assert_eq!(playable(Some(Matroska), &with("vp9")), Ok("video/webm"));
        assert!(playable(Some(Matroska), &with("h264")).is_err());
        assert!(playable(Some(IsoMedia), &with("hvc1")).is_err());
        assert!(playable(Some(IsoMedia), &with("apch")).is_err());
        assert!(playable(Some(Avi), &FACTS).is_err());
        assert!(playable(None, &FACTS).is_err());
        let mirrored = SourceFacts {
            is_mirrored: true,
            ..FACTS
        };
        assert!(playable(Some(IsoMedia), &mirrored).is_err());
    }

    #[test]
    fn a_file_that_moved_is_found_and_one_that_changed_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.mp4");
        let home = path.to_str().expect("a text");
        let id = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..32].to_owned();
        let (video_id, facts) = (
            id(b"abcd"),
            SourceFacts {
                path: home,
                ..FACTS
            },
        );
        let files = Files::new(vec![folder.path().join("moved")]);
        let look = |files: &Files| files.look(&video_id, &facts).to_json()["state"].clone();
        assert_eq!(look(&files), "missing");
        fs::write(&path, b"abc").expect("room");
        assert_eq!(look(&files), "changed");
        fs::write(&path, b"abcd").expect("room");
        assert_eq!(look(&files), "proxy", "no video by its content");
        let is_same = |path: &Path| files.is_same(path, &video_id, &Cancellation::new());
        assert!(is_same(&path).expect("a file"));
        // The same size, another content.
        fs::write(&path, b"abce").expect("room");
        assert!(!is_same(&path).expect("a file"));
        assert_eq!(look(&files), "changed");
        let moved = folder.path().join("moved");
        fs::create_dir(&moved).expect("room");
        fs::write(moved.join("other name.mp4"), b"abcd").expect("room");
        let files = Files::new(vec![moved]);
        assert_eq!(look(&files), "proxy");
    }
}
