//! A bounds-checked reader for FlatBuffers, without generated code.
//!
//! Layout: <https://flatbuffers.dev/internals/>. Everything is little-endian; a table starts with
//! a signed offset back to its vtable, which holds one 16-bit field offset per slot.

/// The file ends, or points, where it must not.
#[derive(Debug, thiserror::Error)]
#[error("the file is cut off or corrupt near byte {at}")]
pub struct Corrupt {
    pub at: usize,
}

type Result<T> = std::result::Result<T, Corrupt>;

fn bytes<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N]> {
    at.checked_add(N)
        .and_then(|end| data.get(at..end))
        .and_then(|slice| slice.try_into().ok())
        .ok_or(Corrupt { at })
}

fn u16_at(data: &[u8], at: usize) -> Result<u16> {
    bytes(data, at).map(u16::from_le_bytes)
}

fn u32_at(data: &[u8], at: usize) -> Result<u32> {
    bytes(data, at).map(u32::from_le_bytes)
}

/// Follows the forward offset stored at `at`.
fn follow(data: &[u8], at: usize) -> Result<usize> {
    at.checked_add(u32_at(data, at)? as usize)
        .filter(|target| *target < data.len())
        .ok_or(Corrupt { at })
}

#[derive(Clone, Copy)]
pub struct Table<'a> {
    data: &'a [u8],
    at: usize,
    vtable_at: usize,
}

impl<'a> Table<'a> {
    pub fn root(data: &'a [u8]) -> Result<Self> {
        Self::at(data, follow(data, 0)?)
    }

    fn at(data: &'a [u8], at: usize) -> Result<Self> {
        let back = i32::from_le_bytes(bytes(data, at)?);
        let vtable_at = (at as i64) - i64::from(back);
        let vtable_at = usize::try_from(vtable_at).map_err(|_| Corrupt { at })?;
        Ok(Self {
            data,
            at,
            vtable_at,
        })
    }

    /// Where a field's value is stored, if it is.
    fn field(&self, slot: usize) -> Result<Option<usize>> {
        let vtable_bytes = usize::from(u16_at(self.data, self.vtable_at)?);
        let entry = 4 + 2 * slot;
        if entry + 2 > vtable_bytes {
            return Ok(None);
        }
        let offset = usize::from(u16_at(self.data, self.vtable_at + entry)?);
        Ok((offset != 0).then_some(self.at + offset))
    }

    pub fn u8(&self, slot: usize, default: u8) -> Result<u8> {
        match self.field(slot)? {
            Some(at) => Ok(bytes::<1>(self.data, at)?[0]),
            None => Ok(default),
        }
    }

    pub fn u32(&self, slot: usize, default: u32) -> Result<u32> {
        match self.field(slot)? {
            Some(at) => u32_at(self.data, at),
            None => Ok(default),
        }
    }

    pub fn i32(&self, slot: usize, default: i32) -> Result<i32> {
        match self.field(slot)? {
            Some(at) => bytes(self.data, at).map(i32::from_le_bytes),
            None => Ok(default),
        }
    }

    pub fn table(&self, slot: usize) -> Result<Option<Table<'a>>> {
        self.field(slot)?
            .map(|at| Table::at(self.data, follow(self.data, at)?))
            .transpose()
    }

    /// The elements of a vector of `N`-byte scalars; an absent vector is empty.
    fn scalars<const N: usize>(&self, slot: usize) -> Result<&'a [[u8; N]]> {
        let Some(at) = self.field(slot)? else {
            return Ok(&[]);
        };
        let start = follow(self.data, at)?;
        let byte_count = (u32_at(self.data, start)? as usize)
            .checked_mul(N)
            .ok_or(Corrupt { at: start })?;
        let content = (start + 4)
            .checked_add(byte_count)
            .and_then(|end| self.data.get(start + 4..end))
            .ok_or(Corrupt { at: start })?;
        Ok(content.as_chunks::<N>().0)
    }

    pub fn u8_vec(&self, slot: usize) -> Result<&'a [u8]> {
        Ok(self.scalars::<1>(slot)?.as_flattened())
    }

    pub fn u16_vec(&self, slot: usize) -> Result<Vec<u16>> {
        let scalars = self.scalars(slot)?;
        Ok(scalars.iter().map(|b| u16::from_le_bytes(*b)).collect())
    }

    pub fn i32_vec(&self, slot: usize) -> Result<Vec<i32>> {
        let scalars = self.scalars(slot)?;
        Ok(scalars.iter().map(|b| i32::from_le_bytes(*b)).collect())
    }

    pub fn table_vec(&self, slot: usize) -> Result<Vec<Table<'a>>> {
        let Some(at) = self.field(slot)? else {
            return Ok(Vec::new());
        };
        let start = follow(self.data, at)?;
        let count = self.scalars::<4>(slot)?.len();
        (0..count)
            .map(|i| Table::at(self.data, follow(self.data, start + 4 + 4 * i)?))
            .collect()
    }

    pub fn string(&self, slot: usize) -> Result<String> {
        Ok(String::from_utf8_lossy(self.u8_vec(slot)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_off_files_are_errors_and_not_panics() {
        for length in 0..12 {
            let data = vec![0xff; length];
            assert!(Table::root(&data).and_then(|t| t.u8(0, 0)).is_err());
        }
    }
}
