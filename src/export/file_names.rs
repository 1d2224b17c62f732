//! Names of a video's files.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::files::MAX_NAME_BYTES;
use crate::text;

/// Digits of a video's id that tell apart videos of the same name.
const ID_DIGITS: usize = 8;
/// The longest addition to a stem: `_person65535.parquet`. `annotated_` and `.mp4` are shorter.
const LONGEST_ADDITION_BYTES: usize = 20;
const MAX_STEM_BYTES: usize = MAX_NAME_BYTES - LONGEST_ADDITION_BYTES;

/// A name without suffix under which a video's files do not meet those of another video: the
/// video's own; with the beginning of its id where it `is_taken` by others, where the name is
/// shortened to leave room for what files are called besides, and where control characters in it
/// are replaced.
pub fn unique_stem(path: &Path, video_id: &str, is_taken: impl FnOnce(&OsStr) -> bool) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    let name = stem.to_string_lossy();
    let clean = text::without_controls(&name);
    let id = &video_id[..ID_DIGITS.min(video_id.len())];
    let short = text::beginning(&clean, MAX_STEM_BYTES);
    let is_own_name = short == name;
    if is_own_name && !is_taken(stem) {
        return short.into();
    }
    let room = MAX_STEM_BYTES - id.len() - "-".len();
    format!("{}-{id}", text::beginning(&clean, room))
}

/// Stems that several of the paths share.
pub fn shared_stems<'p>(paths: impl Iterator<Item = &'p Path>) -> HashSet<OsString> {
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
        assert_eq!(shared, HashSet::from([OsString::from("jump")]));
        let is_shared = |stem: &OsStr| shared.contains(stem);
        let id = "0123456789abcdef";
        assert_eq!(unique_stem(paths[0], id, is_shared), "jump-01234567");
        assert_eq!(unique_stem(paths[2], id, is_shared), "run");
    }

    #[test]
    fn long_and_odd_names_give_files_that_fit_and_differ() {
        let id = "0123456789abcdef";
        let long = "練".repeat(82) + ".mp4";
        let stem = unique_stem(Path::new(&long), id, |_| false);
        assert!(
            stem.starts_with("練練") && stem.ends_with("練-01234567"),
            "{stem}"
        );
        for name in [
            format!("annotated_{stem}.mp4"),
            format!("{stem}_pose.json"),
            format!("{stem}_person65535.parquet"),
        ] {
            assert!(name.len() <= MAX_NAME_BYTES, "{name:?}");
        }
        // The longest name that leaves room stays as it is.
        let fits = "n".repeat(MAX_STEM_BYTES);
        assert_eq!(
            unique_stem(Path::new(&format!("{fits}.mp4")), id, |_| false),
            fits
        );
        let unique = unique_stem(Path::new(&format!("{fits}.mp4")), id, |stem| *stem == *fits);
        assert_eq!(unique.len(), MAX_STEM_BYTES);
        assert!(unique.ends_with("n-01234567"));
        // Two names that differ in what is replaced give two files.
        let odd = |name: &str, id: &str| unique_stem(Path::new(name), id, |_| false);
        assert_eq!(odd("a\nb.mp4", id), "a_b-01234567");
        assert_ne!(odd("a\nb.mp4", id), odd("a\tb.mp4", "fedcba9876543210"));
        assert_eq!(odd("a_b.mp4", id), "a_b");
    }
}
