//! Hashes of files and of what texts say: BLAKE3, and SHA-256 where others give that. Parts of texts
//! are hashed with their lengths, so that no two lists of parts are one text.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes that are read and hashed at once.
const PIECE_BYTES: usize = 64 << 10;

/// Adds a part and its length.
pub fn add_part(hasher: &mut blake3::Hasher, part: &str) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part.as_bytes());
}

/// Adds a file's bytes; gives their number. The file is read, not mapped: it may shrink meanwhile, and
/// its disk may fail, which would end the process.
///
/// # Errors
/// When the file cannot be read.
pub fn add_file(hasher: &mut blake3::Hasher, path: &Path) -> io::Result<u64> {
    let before = hasher.count();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.count() - before)
}

/// The hash of a file's bytes, and their number.
///
/// # Errors
/// When the file cannot be read.
pub fn hash_file(path: &Path) -> io::Result<(blake3::Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let bytes = add_file(&mut hasher, path)?;
    Ok((hasher.finalize(), bytes))
}

/// The hash of a file's bytes, unless `is_stopped` says that it is not wanted any more: `None` then.
///
/// # Errors
/// When the file cannot be read.
pub fn hash_file_unless(
    path: &Path,
    is_stopped: impl Fn() -> bool,
) -> io::Result<Option<blake3::Hash>> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    while !is_stopped() {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Some(hasher.finalize())),
            Ok(bytes) => {
                hasher.update(&piece[..bytes]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// SHA-256 of a file's bytes in hex.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(bytes) => hasher.update(&piece[..bytes]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// SHA-256 of bytes in hex.
pub fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first 64 bits, for keys and orders that look random.
pub(crate) fn first_u64(hash: &blake3::Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// 64 bits that a seed and a list of parts give.
pub fn seeded_u64(seed: u64, parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for part in parts {
        add_part(&mut hasher, part);
    }
    first_u64(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_file_s_hash_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).expect("room");
        let hash = hash_file(&path).expect("a file");
        assert_eq!(hash, (blake3::hash(&bytes), 300_000));
        assert!(hash_file(folder.path()).is_err());
        let unhindered = hash_file_unless(&path, || false).expect("a file");
        assert_eq!(unhindered, Some(hash.0));
        assert!(hash_file_unless(folder.path(), || false).is_err());
    }

    #[test]
    fn a_file_that_is_not_wanted_any_more_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 4 * PIECE_BYTES]).expect("room");
        let asked = std::cell::Cell::new(0);
        let is_stopped = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let hash = hash_file_unless(&path, is_stopped).expect("a file");
        assert_eq!((hash, asked.get()), (None, 3));
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_hashed_ends_nothing() {
        const BYTES: u64 = 32 << 20;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let file = File::create(&path).expect("a file");
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    file.set_len(BYTES).expect("a longer file");
                    std::thread::yield_now();
                    file.set_len(0).expect("a shorter file");
                }
            });
            for _ in 0..50 {
                // Whatever was there at the moment has been hashed, or an error says why not.
                if let Ok((_, bytes)) = hash_file(&path) {
                    assert!(bytes <= BYTES);
                }
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn where_a_part_ends_matters() {
        let hash = seeded_u64(7, &["ab", "c"]);
        assert_eq!(hash, seeded_u64(7, &["ab", "c"]));
        assert_ne!(hash, seeded_u64(7, &["a", "bc"]));
        assert_ne!(hash, seeded_u64(8, &["ab", "c"]));
    }
}
