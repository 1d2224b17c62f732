//! Finds the videos in what the user named: files as they are, folders and prefixes of buckets with all
//! below them.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::store::{self, Address, FoundFiles, RemoteFile, S3Address, S3Settings, StoreError};
use crate::sync::Cancellation;
use crate::text::one_line;
use crate::video::{Content, VideoError, sniff};

/// Suffixes by which people call something a video: in a folder, a file so named that is no video
/// is reported rather than passed over. Suffixes that other files have as well are not among them:
/// .ts and .mts are TypeScript or Qt's translations as often as MPEG transport streams, .asf are
/// skeletons of motion capture (Acclaim). There the content decides.
const VIDEO_SUFFIXES: [&str; 26] = [
    "264", "265", "3g2", "3gp", "avc", "avi", "divx", "dv", "f4v", "flv", "h264", "h265", "hevc",
    "ivf", "m2ts", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg", "mpg", "mxf", "ogv", "webm", "wmv",
];
/// Suffixes of sound and still pictures that share a video container's first bytes.
const OTHER_SUFFIXES: [&str; 15] = [
    "aac", "avif", "heic", "heif", "m4a", "m4b", "mka", "mks", "mp3", "oga", "ogg", "opus", "spx",
    "weba", "wma",
];

/// What a video's file is called, as the lake calls it: in a web address names are encoded.
pub fn file_name(path: &Path) -> PathBuf {
    match Address::of_path(path) {
        Ok(Some(address @ Address::Web(_))) => address.file_name().into_owned().into(),
        _ => path.into(),
    }
}

/// Something to ingest, or to report.
#[derive(Debug)]
pub enum Candidate {
    Video(PathBuf),
    /// It lies elsewhere, and is fetched when it is its turn. The path is its address.
    Remote(PathBuf, RemoteFile),
    /// It cannot be looked at.
    Broken(PathBuf, VideoError),
    /// What has it cannot be reached, or has nothing there. The path is the address.
    Unreachable(PathBuf, StoreError),
}

impl Candidate {
    /// What there is one of: a file, however it was named. Addresses may differ in what is not shown.
    fn identity(&self) -> OsString {
        match self {
            Self::Remote(
                _,
                RemoteFile {
                    address: Address::Web(url),
                    ..
                },
            ) => url.as_str().into(),
            other => {
                let path = other.path();
                fs::canonicalize(path)
                    .unwrap_or_else(|_| path.into())
                    .into()
            }
        }
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Video(path)
            | Self::Remote(path, _)
            | Self::Broken(path, _)
            | Self::Unreachable(path, _) => path,
        }
    }

    /// The file's size, where it is known without reading it.
    pub fn byte_size(&self) -> Option<u64> {
        match self {
            Self::Video(path) | Self::Broken(path, _) => {
                fs::metadata(path).ok().map(|metadata| metadata.len())
            }
            Self::Remote(_, file) => file.byte_size,
            Self::Unreachable(..) => None,
        }
    }
}

/// All candidates, in the order given and by name within a folder, each file once.
///
/// Folders are searched with everything below them, hidden entries excepted. In a folder a file
/// counts as a video by its content, or by a video's suffix; a file that was named itself always
/// counts. Below a prefix of a bucket, whose files cannot be looked into, the suffix decides. The
/// folder `outputs`, where annotated videos are, is only searched when it was named. Once it is
/// cancelled, no more are looked for.
pub fn plan(inputs: &[PathBuf], outputs: &Path, cancellation: &Cancellation) -> Vec<Candidate> {
    let candidates = plan_by_input(inputs, outputs, cancellation).into_iter();
    candidates.map(|(_, candidate)| candidate).collect()
}

/// The same, each with the number of the input by which it was found.
pub fn plan_by_input(
    inputs: &[PathBuf],
    outputs: &Path,
    cancellation: &Cancellation,
) -> Vec<(usize, Candidate)> {
    let outputs = fs::canonicalize(outputs).ok();
    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        let found = candidates_of(input, outputs.as_deref(), cancellation).into_iter();
        let new = found.filter(|candidate| seen.insert(candidate.identity()));
        candidates.extend(new.map(|candidate| (number, candidate)));
    }
    candidates
}

fn candidates_of(
    input: &Path,
    outputs: Option<&Path>,
    cancellation: &Cancellation,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    match Address::of_path(input) {
        Ok(None) => {}
        Ok(Some(address)) => return search_store(&address, cancellation),
        Err(error) => {
            // What is wrong with the address may be a password in it.
            let shown = store::without_secrets(&input.to_string_lossy());
            return vec![Candidate::Unreachable(shown.into(), error)];
        }
    }
    match fs::metadata(input) {
        Ok(metadata) if metadata.is_dir() => {
            search(input, outputs, cancellation, &mut candidates);
        }
        Ok(_) => candidates.push(Candidate::Video(input.into())),
        Err(error) => candidates.push(unreadable(input.into(), &error)),
    }
    candidates
}

fn search_store(address: &Address, cancellation: &Cancellation) -> Vec<Candidate> {
    let found = S3Settings::detect();
    let found = found.and_then(|settings| store::find(address, &settings, cancellation));
    let FoundFiles { files, refused } = match found {
        Ok(found) => found,
        // No more are looked for.
        Err(StoreError::Cancelled) => return Vec::new(),
        Err(error) => {
            let path = address.to_string().into();
            return vec![Candidate::Unreachable(path, error)];
        }
    };
    let candidates = files.into_iter().filter_map(|file| {
        let path = PathBuf::from(file.address.to_string());
        let is_hidden = file.address.file_name().starts_with('.');
        let is_named = file.address == *address;
        (is_named || !is_hidden && has_suffix(&path, &VIDEO_SUFFIXES))
            .then_some(Candidate::Remote(path, file))
    });
    let is_video = |address: &S3Address| has_suffix(Path::new(&address.key), &VIDEO_SUFFIXES);
    let refused = (refused.into_iter()).filter(|(address, _)| is_video(address));
    let refused = refused.map(|(address, error)| {
        let path = one_line(&address.to_string()).into_owned();
        Candidate::Unreachable(path.into(), error)
    });
    candidates.chain(refused).collect()
}

fn unreadable(path: PathBuf, error: &std::io::Error) -> Candidate {
    let error = VideoError::unreadable(&path, error);
    Candidate::Broken(path, error)
}

fn search(
    folder: &Path,
    outputs: Option<&Path>,
    cancellation: &Cancellation,
    candidates: &mut Vec<Candidate>,
) {
    let is_hidden = |entry: &DirEntry| {
        let is_outputs = entry.file_type().is_dir()
            && fs::canonicalize(entry.path()).is_ok_and(|path| Some(&*path) == outputs);
        is_outputs || entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let entries = WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry));
    for entry in entries.take_while(|_| !cancellation.is_cancelled()) {
        match entry {
            Ok(entry) => candidates.extend(candidate(&entry)),
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_path_buf();
                // What the system did not say is a link that leads back to a folder around it.
                let kind = error
                    .io_error()
                    .map_or(ErrorKind::InvalidInput, |e| e.kind());
                candidates.push(unreadable(path, &std::io::Error::new(kind, error)));
            }
        }
    }
}

fn candidate(entry: &DirEntry) -> Option<Candidate> {
    let path = entry.path();
    let is_named_video = has_suffix(path, &VIDEO_SUFFIXES);
    if entry.file_type().is_dir() {
        // What lies in it is found on its own; the folder itself is not what its name says.
        let path = path.to_path_buf();
        let what = "a folder";
        let error = VideoError::NotAFile {
            path: path.clone(),
            what,
        };
        return (is_named_video && entry.depth() > 0).then_some(Candidate::Broken(path, error));
    }
    let is_video = is_named_video
        || entry.file_type().is_file()
            && !has_suffix(path, &OTHER_SUFFIXES)
            // What cannot be read and is not named a video is not known to be one.
            && sniff(path).is_ok_and(|content| matches!(content, Content::Video(_)));
    is_video.then(|| Candidate::Video(path.into()))
}

fn has_suffix(path: &Path, suffixes: &[&str]) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|suffix| suffixes.contains(&suffix.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(inputs: &[PathBuf], outputs: &Path) -> Vec<Candidate> {
        super::plan(inputs, outputs, &Cancellation::new())
    }

    fn names(candidates: &[Candidate]) -> Vec<String> {
        let name = |c: &Candidate| {
            c.path()
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
        };
        candidates.iter().filter_map(name).collect()
    }

    #[test]
    fn videos_are_found_by_content_and_by_suffix_and_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("a file");
        };
        write("a clip.MP4", b"no video, but called one");
        write("notes.txt", b"nothing to see");
        write("app.ts", b"import { pose } from './pose';\n");
        write("module.mts", b"export const pose = 1;\n");
        write("strings_de.ts", b"<?xml version=\"1.0\"?><!DOCTYPE TS>");
        write("subject.asf", b"# a skeleton\n:version 1.10\n");
        write("empty.ts", b"");
        write(
            "camera.mts",
            &[&[0; 4][..], &[0x47; 188]].concat().repeat(4),
        );
        write("no suffix", b"\0\0\0\x20ftypisom");
        write("sound.m4a", b"\0\0\0\x20ftypM4A ");
        write(".hidden.mp4", b"\0\0\0\x20ftypisom");
        fs::create_dir(folder.path().join("x.mp4")).expect("a folder");
        let twice = [folder.path().to_path_buf(), folder.path().join("no suffix")];
        assert_eq!(
            names(&plan(&twice, Path::new("/nowhere"))),
            ["a clip.MP4", "camera.mts", "no suffix", "x.mp4"]
        );
    }

    #[test]
    fn outputs_of_earlier_runs_are_no_input_unless_they_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let outputs = folder.path().join("output");
        fs::create_dir(&outputs).expect("a folder");
        for path in [folder.path().join("a.mp4"), outputs.join("annotated_a.mp4")] {
            fs::write(path, b"\0\0\0\x20ftypisom").expect("a file");
        }
        let all = [folder.path().to_path_buf()];
        assert_eq!(names(&plan(&all, &outputs)), ["a.mp4"]);
        let named = [outputs.clone()];
        assert_eq!(names(&plan(&named, &outputs)), ["annotated_a.mp4"]);
    }

    #[test]
    fn addresses_that_look_alike_are_files_of_their_own() {
        let web = |address: &str| {
            let found = Address::parse(address).expect("an address");
            let file = RemoteFile {
                address: found.expect("none of a path"),
                byte_size: None,
                etag: None,
            };
            Candidate::Remote(file.address.to_string().into(), file)
        };
        let (one, two) = (
            web("https://example.org/get?id=1"),
            web("https://example.org/get?id=2"),
        );
        assert_eq!(one.path(), two.path());
        assert_ne!(one.identity(), two.identity());
        assert_eq!(
            one.identity(),
            web("https://example.org/get?id=1").identity()
        );
    }

    #[test]
    fn files_are_called_as_the_lake_calls_them() {
        for (path, name) in [
            ("https://example.org/a%20b%2Fc.mp4", "a b_c.mp4"),
            ("s3://clips/a%20b.mp4", "s3://clips/a%20b.mp4"),
            ("/d/a%20b.mp4", "/d/a%20b.mp4"),
        ] {
            assert_eq!(file_name(Path::new(path)), Path::new(name));
        }
    }

    #[test]
    fn what_does_not_exist_is_reported() {
        let candidates = plan(&["/nowhere/at all.mp4".into()], Path::new("output"));
        let [Candidate::Broken(_, error)] = &candidates[..] else {
            panic!("{}", candidates.len());
        };
        assert!(error.to_string().contains("check its name"), "{error}");
        assert_eq!(candidates[0].byte_size(), None);
    }

    #[test]
    fn nothing_is_looked_for_once_it_is_not_wanted() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.mp4"), b"\0\0\0\x20ftypisom").expect("a file");
        let cancelled = Cancellation::new();
        cancelled.cancel();
        let all = [folder.path().to_path_buf()];
        assert_eq!(super::plan(&all, Path::new("output"), &cancelled).len(), 0);
    }
}
