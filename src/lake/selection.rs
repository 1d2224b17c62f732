//! Finds videos by what people call them.

use std::fs;
use std::path::Path;

use super::catalog::Access;
use super::error::LakeError;
use super::records::{VideoRecord, video_records};
use super::session::Lake;

/// A shorter beginning of an id is more likely a file name.
const MIN_ID_PREFIX_DIGITS: usize = 6;
/// A name that is suggested shares at least this much with what was typed: two letters in five may
/// be wrong.
const MIN_LIKENESS: f64 = 0.6;
/// Shorter parts are in many names.
const MIN_PART_CHARS: usize = 3;
/// Error messages name at most this many videos.
const MAX_LISTED_VIDEOS: usize = 20;

impl Lake {
    /// The videos that `selectors` name, in their order and each once; all videos, ordered by file
    /// name, where there are no selectors.
    ///
    /// A selector is a video's id or a beginning of it of at least 6 digits, the path under which
    /// it was ingested, its file name with or without the suffix, or a beginning of that name which
    /// no other video's name has.
    ///
    /// # Errors
    /// When the lake cannot be read, a selector names no video, or several.
    pub fn find_videos(&self, selectors: &[String]) -> Result<Vec<VideoRecord>, LakeError> {
        let videos = self.with_catalog(Access::ReadOnly, |connection| {
            video_records(connection, "true")
        })?;
        if selectors.is_empty() {
            return Ok(videos);
        }
        let mut found: Vec<VideoRecord> = Vec::new();
        for selector in selectors {
            let video = select(&videos, selector)?;
            if found.iter().all(|known| known.video_id != video.video_id) {
                found.push(video.clone());
            }
        }
        Ok(found)
    }
}

/// The one video that a selector names. Ids come first, then paths, then file names, then parts of
/// them: whoever is exact is understood exactly.
fn select<'v>(videos: &'v [VideoRecord], selector: &str) -> Result<&'v VideoRecord, LakeError> {
    let path = Path::new(selector);
    let path = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let path = path.map_or_else(|_| selector.into(), |path| path.display().to_string());
    let id = selector.to_ascii_lowercase();
    let is_id_prefix =
        id.len() >= MIN_ID_PREFIX_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lower = selector.to_lowercase();
    // Nothing begins every name.
    let is_beginning =
        |name: &str, beginning: &str| !beginning.is_empty() && name.starts_with(beginning);
    let meanings: [&dyn Fn(&VideoRecord) -> bool; 8] = [
        &|video| video.video_id == id,
        &|video| video.path == path,
        &|video| video.file_name == selector,
        &|video| is_id_prefix && video.video_id.starts_with(&id),
        &|video| stem(&video.file_name) == selector,
        &|video| is_beginning(&video.file_name, selector),
        &|video| stem(&video.file_name).to_lowercase() == lower,
        &|video| is_beginning(&video.file_name.to_lowercase(), &lower),
    ];
    for is_meant in meanings {
        let candidates: Vec<&VideoRecord> = videos.iter().filter(|video| is_meant(video)).collect();
        match candidates.as_slice() {
            [] => {}
            [video] => return Ok(video),
            several => {
                return Err(LakeError::AmbiguousVideo {
                    selector: selector.into(),
                    candidates: listed(several, |video| {
                        format!("{} ({}, {})", video.file_name, video.video_id, video.path)
                    }),
                });
            }
        }
    }
    let known: Vec<&VideoRecord> = videos.iter().collect();
    let suggestion = nearest(videos, &lower);
    Err(LakeError::UnknownVideo {
        selector: selector.into(),
        suggestion: suggestion.map_or_else(String::new, |name| format!("; did you mean {name}?")),
        known: listed(&known, |video| video.file_name.clone()),
    })
}

/// A file name without its suffix.
fn stem(file_name: &str) -> &str {
    match file_name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file_name,
    }
}

/// The file name that a mistyped one may have meant: nearly the same, with or without its suffix,
/// or holding it.
fn nearest<'v>(videos: &'v [VideoRecord], lower: &str) -> Option<&'v str> {
    // The last part of a path is what a video is called.
    let wanted = lower.rsplit('/').next().unwrap_or(lower);
    let likeness = |video: &VideoRecord| {
        let name = video.file_name.to_lowercase();
        // Suffixes make all names alike.
        let similar = |wanted: &str| strsim::normalized_damerau_levenshtein(stem(&name), wanted);
        let alike = similar(wanted).max(similar(stem(wanted)));
        let holds = wanted.chars().count() >= MIN_PART_CHARS && name.contains(wanted);
        match holds {
            true => alike.max(MIN_LIKENESS),
            false => alike,
        }
    };
    let nearest = videos.iter().map(|video| (likeness(video), video));
    let nearest = nearest.max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .map(|(_, video)| video.file_name.as_str())
}

fn listed(videos: &[&VideoRecord], name: impl Fn(&VideoRecord) -> String) -> String {
    let mut names: Vec<String> = videos
        .iter()
        .take(MAX_LISTED_VIDEOS)
        .map(|video| name(video))
        .collect();
    match videos.len() {
        0 => names.push("(the lake has no videos)".into()),
        n if n > MAX_LISTED_VIDEOS => names.push(format!("and {} more", n - MAX_LISTED_VIDEOS)),
        _ => {}
    }
    names.join(", ")
}
