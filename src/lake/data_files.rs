//! The lake's data files: where they lie, and all that is done to them once they are written.
//!
//! They lie in a folder, or below a prefix of a bucket. Files are named by their paths below the data
//! folder, as the catalog and the table `files` name them. How a file comes into being is told in
//! `staged`.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use walkdir::WalkDir;

use super::error::LakeError;
use super::location::{CATALOG_NAME, DataBucket, DataPlace, LakePaths, table_folder};
use crate::files::{sync_folder, why_not_written};
use crate::hashing::hash_file;
use crate::store::{Listing, StoreError};

/// Says whose files they are, where the catalog is not beside them.
pub(super) const OWNER_FILE: &str = "posedata-lake.txt";

/// The place of a lake's files.
pub(super) struct DataFiles<'l> {
    paths: &'l LakePaths,
    location: String,
}

/// Something that lies in the data folder.
pub(super) struct Listed {
    /// Below the data folder.
    pub name: String,
    pub byte_size: u64,
    /// No link, no object with a key that cannot be used, and nothing else that only looks like a file.
    pub is_file: bool,
    /// How long ago it was written.
    pub age: Duration,
}

impl<'l> DataFiles<'l> {
    pub fn of(paths: &'l LakePaths) -> Self {
        Self {
            paths,
            location: paths.data_location(),
        }
    }

    /// Where a file lies, as SQL names it.
    pub fn location(&self, name: &str) -> String {
        format!("{}/{name}", self.location)
    }

    /// The same, for messages.
    pub fn shown(&self, name: &str) -> PathBuf {
        self.location(name).into()
    }

    /// A file's name, of its path as the catalog has it: whole, or below the data folder.
    pub fn name(&self, path: &str) -> String {
        let below = path.strip_prefix(&self.location);
        let below = below.and_then(|below| below.strip_prefix('/'));
        below.unwrap_or(path).to_owned()
    }

    /// The bucket that has the files, if one has.
    pub fn bucket(&self) -> Option<&'l DataBucket> {
        match self.paths.data_place() {
            DataPlace::Folder(_) => None,
            DataPlace::Bucket(bucket) => Some(bucket),
        }
    }

    fn folder(&self) -> &Path {
        Path::new(&self.location)
    }

    /// A file's size; fails with `NotFound` where there is none.
    pub fn byte_size(&self, name: &str) -> io::Result<u64> {
        match self.bucket() {
            None => Ok(fs::metadata(self.folder().join(name))?.len()),
            Some(bucket) => match bucket.bucket.look(&bucket.key(name)) {
                Ok(Some(object)) => Ok(object.byte_size),
                Ok(None) => Err(io::ErrorKind::NotFound.into()),
                Err(error) => Err(io::Error::other(error)),
            },
        }
    }

    /// A file's BLAKE3 hash in hex, and its bytes; fails with `NotFound` where there is none.
    pub fn hash(&self, name: &str) -> io::Result<(String, u64)> {
        match self.bucket() {
            None => {
                let (hash, byte_size) = hash_file(&self.folder().join(name))?;
                Ok((hash.to_hex().to_string(), byte_size))
            }
            Some(bucket) => bucket
                .bucket
                .hash(&bucket.key(name))
                .map_err(|error| match error {
                    StoreError::Missing { .. } => io::ErrorKind::NotFound.into(),
                    other => io::Error::other(other),
                }),
        }
    }

    /// Everything but folders, ordered by name. What cannot be looked into is left out: it is found
    /// missing, if it is missed.
    ///
    /// # Errors
    /// When a bucket's server cannot be reached or refuses.
    pub fn list(&self) -> Result<Vec<Listed>, LakeError> {
        self.list_below("")
    }

    fn list_below(&self, folder: &str) -> Result<Vec<Listed>, LakeError> {
        let age = |modified: SystemTime| modified.elapsed().unwrap_or_default();
        match self.bucket() {
            None => {
                let below = self.folder().join(folder);
                let entries = WalkDir::new(below).sort_by_file_name().into_iter();
                let entries = entries
                    .flatten()
                    .filter(|entry| !entry.file_type().is_dir());
                let listed = entries.map(|entry| {
                    let metadata = fs::metadata(entry.path()).ok();
                    let modified = metadata.as_ref().and_then(|m| m.modified().ok());
                    Listed {
                        name: self.name(&entry.path().display().to_string()),
                        byte_size: metadata.map_or(0, |m| m.len()),
                        is_file: entry.file_type().is_file(),
                        age: modified.map_or(Duration::ZERO, age),
                    }
                });
                Ok(listed.collect())
            }
            Some(bucket) => {
                let prefix = bucket.key("");
                let below = match folder {
                    "" => prefix.clone(),
                    folder => format!("{prefix}{folder}/"),
                };
                let Listing { objects, unusable } = bucket.bucket.list(&below)?;
                let name = |key: &str| key.strip_prefix(&prefix).unwrap_or(key).to_owned();
                let objects = objects.into_iter().map(|object| Listed {
                    name: name(&object.key),
                    byte_size: object.byte_size,
                    is_file: true,
                    age: age(object.modified),
                });
                // Nobody here has put them there.
                let unusable = unusable.into_iter().map(|object| Listed {
                    name: name(&object.key),
                    byte_size: object.byte_size,
                    is_file: false,
                    age: Duration::ZERO,
                });
                Ok(objects.chain(unusable).collect())
            }
        }
    }

    /// Makes sure that this is the place which the lake's maker took, and not an empty one that only
    /// has its name: a folder that is not mounted on this machine, a bucket of another store.
    ///
    /// # Errors
    /// When it is not, or cannot be looked into.
    pub fn must_be_there(&self) -> Result<(), LakeError> {
        let is_there = match self.bucket() {
            None => self.folder().join(OWNER_FILE).exists(),
            Some(bucket) => bucket.bucket.look(&bucket.key(OWNER_FILE))?.is_some(),
        };
        match is_there {
            true => Ok(()),
            false => Err(LakeError::FilesElsewhere {
                missing: self.shown(OWNER_FILE),
            }),
        }
    }

    /// The place around this one that a lake has already, if one has: it would take what lies here for
    /// files that nobody needs.
    fn place_around(&self) -> Result<Option<String>, LakeError> {
        let Some(bucket) = self.bucket() else {
            let around = self.folder().ancestors().skip(1);
            let mut taken = around.filter(|folder| {
                folder.join(OWNER_FILE).exists() || folder.join(CATALOG_NAME).exists()
            });
            return Ok(taken.next().map(|folder| folder.display().to_string()));
        };
        let prefix = bucket.key("");
        let ends = prefix.trim_end_matches('/').match_indices('/');
        let around = std::iter::once("").chain(ends.map(|(end, _)| &prefix[..=end]));
        for outer in around.filter(|outer| *outer != prefix) {
            if (bucket.bucket.look(&format!("{outer}{OWNER_FILE}"))?).is_some() {
                return Ok(Some(bucket.bucket.address(outer)));
            }
        }
        Ok(None)
    }

    /// Takes the place for one lake, which `owner` names: no other can be made there, or below it.
    ///
    /// # Errors
    /// When files lie there that are not this lake's, or it is inside another lake's place.
    pub fn claim(&self, owner: &str) -> Result<(), LakeError> {
        let taken = |reason: &str| LakeError::NotCreated {
            place: self.location.clone(),
            reason: reason.into(),
        };
        let write_error = |e: io::Error| LakeError::Write {
            path: self.shown(OWNER_FILE),
            reason: why_not_written(&e),
        };
        if let Some(around) = self.place_around()? {
            return Err(taken(&format!(
                "it is inside the place of another lake, {around}; give a place of its own"
            )));
        }
        if self.bucket().is_none() {
            fs::create_dir_all(self.folder()).map_err(write_error)?;
        }
        if self.list()?.iter().any(|listed| listed.name != OWNER_FILE) {
            return Err(taken("files lie there already; give a place of its own"));
        }
        let others = "it belongs to another lake; give a place of its own";
        let text = format!("files of the lake {owner}\n");
        let Some(bucket) = self.bucket() else {
            let path = self.folder().join(OWNER_FILE);
            return match fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)
            {
                Ok(mut file) => file.write_all(text.as_bytes()).map_err(write_error),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    match fs::read_to_string(&path).is_ok_and(|found| found == text) {
                        true => Ok(()),
                        false => Err(taken(others)),
                    }
                }
                Err(e) => Err(write_error(e)),
            };
        };
        let mut file = tempfile::NamedTempFile::new().map_err(write_error)?;
        file.write_all(text.as_bytes()).map_err(write_error)?;
        let hash = blake3::hash(text.as_bytes()).to_hex();
        match bucket
            .bucket
            .create(&bucket.key(OWNER_FILE), file.path(), &hash)
        {
            Err(StoreError::Exists { .. }) => Err(taken(others)),
            done => Ok(done?),
        }
    }

    /// The names of all files of a table; none where they are in a bucket, which needs no syncing.
    pub fn to_sync(&self, table: &str) -> Result<HashSet<String>, LakeError> {
        if self.bucket().is_some() {
            return Ok(HashSet::new());
        }
        let listed = self.list_below(&table_folder(table))?.into_iter();
        let files = listed.filter(|listed| listed.is_file);
        Ok(files.map(|listed| listed.name).collect())
    }

    /// Makes a file that DuckLake wrote safe on the disk.
    pub fn sync(&self, name: &str) -> Result<(), LakeError> {
        let path = self.folder().join(name);
        let synced = match File::open(&path) {
            Ok(file) => file
                .sync_all()
                .and_then(|()| path.parent().map_or(Ok(()), sync_folder)),
            // A living ingest renamed or gave up its own file.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        };
        synced.map_err(|e| LakeError::Write {
            path,
            reason: why_not_written(&e),
        })
    }

    /// Moves a file out of the data folder, if there is one.
    pub fn set_aside(&self, name: &str) -> Result<(), LakeError> {
        let aside = format!("{}/{name}", self.paths.damaged_location());
        if let Some(bucket) = self.bucket() {
            let prefix = format!("s3://{}/", bucket.address.bucket);
            let key = aside.strip_prefix(&prefix).unwrap_or(&aside);
            return Ok(bucket.bucket.rename(&bucket.key(name), key)?);
        }
        let (path, aside) = (self.folder().join(name), PathBuf::from(aside));
        let moved = aside
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::rename(&path, &aside));
        match moved {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let reason = why_not_written(&e);
                Err(LakeError::Write { path, reason })
            }
            _ => Ok(()),
        }
    }

    /// Deletes folders that hold nothing; gives their number. Buckets have no folders.
    pub fn remove_empty_folders(&self) -> u64 {
        if self.bucket().is_some() {
            return 0;
        }
        let folders = WalkDir::new(self.folder())
            .min_depth(1)
            .contents_first(true)
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_dir());
        // Only an empty folder can be deleted so.
        folders
            .filter(|entry| fs::remove_dir(entry.path()).is_ok())
            .count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::PostgresAddress;

    fn paths(folder: &Path) -> LakePaths {
        let address = PostgresAddress::parse("postgres://db/lake").expect("an address");
        LakePaths::of_database(address, &folder.display().to_string()).expect("paths")
    }

    #[test]
    fn a_place_has_one_lake_and_none_inside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let outer = paths(&folder.path().join("data"));
        let outer = DataFiles::of(&outer);
        outer.claim("one").expect("it is free");
        outer.claim("one").expect("it is this lake's own");
        let inner = paths(&folder.path().join("data/more/inner"));
        let refused = DataFiles::of(&inner).claim("two").expect_err("it is taken");
        assert!(refused.to_string().contains("inside"), "{refused}");
        let beside = paths(&folder.path().join("data2"));
        DataFiles::of(&beside).claim("two").expect("it is free");
        let embedded = folder.path().join("embedded");
        fs::create_dir(&embedded).expect("a folder");
        fs::write(embedded.join(CATALOG_NAME), "").expect("a file");
        let inner = paths(&embedded.join("data/inner"));
        assert!(DataFiles::of(&inner).claim("three").is_err());
    }

    #[test]
    fn a_folder_that_is_not_mounted_is_not_the_lake_s_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = paths(&folder.path().join("data"));
        let files = DataFiles::of(&paths);
        assert!(files.must_be_there().is_err());
        files.claim("one").expect("it is free");
        files.must_be_there().expect("it is there");
        fs::remove_dir_all(folder.path().join("data")).expect("a folder");
        let error = files.must_be_there().expect_err("it is gone").to_string();
        assert!(error.contains("mounted"), "{error}");
    }
}
