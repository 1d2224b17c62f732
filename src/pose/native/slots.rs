//! Where tensors are in memory.

use std::ops::Range;

use super::kernels::{BLOCK, Map};

/// The memory of a run.
#[derive(Clone, Copy)]
pub struct Spaces {
    /// Of all threads.
    pub shared: *mut f32,
    /// Of the thread that computes.
    pub own: *mut f32,
}

/// A tensor's place in memory.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub side: usize,
    pub channels: usize,
    /// Zeros around the map.
    pub margin: usize,
    /// So many rows are there at a time, a power of two: each takes the place of the one that was made so
    /// many rows before. `None` where all are.
    pub kept_rows: Option<usize>,
    /// Each thread has what it made itself.
    pub is_own: bool,
    /// Floats before it.
    pub offset: usize,
}

impl Slot {
    /// With those of zeros that fill the last block.
    pub fn channels(&self) -> usize {
        self.channels.next_multiple_of(BLOCK)
    }

    /// Floats from row to row.
    pub fn row(&self) -> usize {
        (self.side + 2 * self.margin) * BLOCK
    }

    /// Rows that are in memory, with those of zeros.
    pub fn rows(&self) -> usize {
        self.kept_rows.unwrap_or(self.side + 2 * self.margin)
    }

    fn block(&self) -> usize {
        self.rows() * self.row()
    }

    pub fn floats(&self) -> usize {
        self.channels() / BLOCK * self.block()
    }

    /// Its floats in the memory that it is in.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.floats()
    }

    /// Whether another tensor is in the same memory, at another time.
    pub fn overlaps(&self, other: &Self) -> bool {
        let [a, b] = [self.range(), other.range()];
        self.is_own == other.is_own && a.start < b.end && b.start < a.end
    }

    /// Keeps only so many rows, where there are more.
    pub fn keep(&mut self, rows: usize) {
        if rows < self.rows() {
            self.kept_rows = Some(rows);
        }
    }

    /// Which of the rows in memory is a row of the map; `row` counts from the first one of zeros.
    pub fn place_of(&self, row: usize) -> usize {
        row & self.mask()
    }

    fn mask(&self) -> usize {
        self.kept_rows.map_or(usize::MAX, |rows| rows - 1)
    }

    /// The map, with so many of the zeros before it.
    ///
    /// # Safety
    /// `spaces` hold all tensors of the plan.
    #[inline(always)]
    pub unsafe fn map(&self, spaces: Spaces, zeros_before: usize) -> Map {
        let skip = self.margin - zeros_before;
        let space = match self.is_own {
            true => spaces.own,
            false => spaces.shared,
        };
        Map {
            // SAFETY: the caller's promise; the tensor's memory begins with its margin.
            first: unsafe { space.add(self.offset + skip * BLOCK) },
            row: self.row(),
            block: self.block(),
            channels: self.channels(),
            rows_before: skip,
            mask: self.mask(),
        }
    }
}
