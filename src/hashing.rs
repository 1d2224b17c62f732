//! Hashes of what texts say: BLAKE3, with the length of each part, so that no two lists of parts are
//! one text.

/// Adds a part and its length.
pub fn add_part(hasher: &mut blake3::Hasher, part: &str) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part.as_bytes());
}

/// The first 64 bits, for keys and orders that look random.
pub fn first_u64(hash: &blake3::Hash) -> u64 {
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
    use super::*;

    #[test]
    fn where_a_part_ends_matters() {
        let hash = seeded_u64(7, &["ab", "c"]);
        assert_eq!(hash, seeded_u64(7, &["ab", "c"]));
        assert_ne!(hash, seeded_u64(7, &["a", "bc"]));
        assert_ne!(hash, seeded_u64(8, &["ab", "c"]));
    }
}
