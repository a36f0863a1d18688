//! Memory that the processes of a node share: a row of numbers, and nothing else.
//!
//! Decides how a file becomes numbers that several processes change at once. What
//! the numbers mean is their owner's: the runtime counts invocations and connections,
//! `host/quota.rs` counts bytes. Who makes the file and seals its size is the binary.
//!
//! **Invariant:** the memory is only ever read and written as atomics of one size, by
//! everybody who maps it; this is the only file that touches it by its address.

use std::fs::File;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// A row of numbers, each 0 until somebody writes it.
#[derive(Debug)]
pub struct SharedPage {
    memory: MmapRaw,
    cells: usize,
}

/// Why a page could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The file is not the size that its cells need.
    #[error("shared page has {found_bytes} bytes, {needed_bytes} are needed")]
    WrongSize {
        /// What the file has.
        found_bytes: u64,
        /// What the cells need.
        needed_bytes: u64,
    },
    /// The system refused.
    #[error("map the shared page")]
    Map {
        /// Why.
        source: std::io::Error,
    },
}

impl SharedPage {
    /// How large the file behind so many cells must be.
    pub fn size_bytes(cells: usize) -> u64 {
        (cells * size_of::<AtomicU64>()) as u64
    }

    /// Maps the cells in `file`, whose size is sealed by whoever made it.
    ///
    /// # Errors
    ///
    /// The file has another size, or cannot be mapped: start the node again.
    pub fn map(file: &File, cells: usize) -> Result<Self, PageError> {
        let needed_bytes = Self::size_bytes(cells);
        let metadata = file
            .metadata()
            .map_err(|source| PageError::Map { source })?;
        if metadata.len() != needed_bytes {
            return Err(PageError::WrongSize {
                found_bytes: metadata.len(),
                needed_bytes,
            });
        }
        let memory = MmapOptions::new()
            .map_raw(file)
            .map_err(|source| PageError::Map { source })?;
        Ok(Self { memory, cells })
    }

    /// Cells that no other process sees.
    ///
    /// # Errors
    ///
    /// The system has no memory to map.
    pub fn private(cells: usize) -> Result<Self, PageError> {
        let bytes = usize::try_from(Self::size_bytes(cells)).unwrap_or(usize::MAX);
        let memory = MmapOptions::new()
            // An empty mapping is an error, an unused one is not.
            .len(bytes.max(1))
            .map_anon()
            .map_err(|source| PageError::Map { source })?;
        Ok(Self {
            memory: memory.into(),
            cells,
        })
    }

    /// The number at `index`.
    #[expect(unsafe_code, reason = "the cells are memory that processes share")]
    pub fn cell(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.cells, "the owner of the page knows its size");
        // SAFETY: the mapping is page-aligned, holds `cells` cells (checked in `map`, sized in
        // `private`), lives as long as `self`, and is only ever accessed as `AtomicU64`, here and
        // in the other processes; its file cannot shrink (sealed by whoever made it).
        unsafe { &*self.memory.as_ptr().cast::<AtomicU64>().add(index) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn who_maps_the_same_file_sees_the_same_numbers() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SharedPage::size_bytes(3)).unwrap();
        let one = SharedPage::map(&file, 3).unwrap();
        let two = SharedPage::map(&file, 3).unwrap();
        one.cell(2).store(u64::MAX, Ordering::Relaxed);
        assert_eq!(two.cell(2).load(Ordering::Relaxed), u64::MAX);
        assert_eq!(two.cell(1).load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_file_of_another_size_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(SharedPage::size_bytes(2)).unwrap();
        assert!(matches!(
            SharedPage::map(&file, 3),
            Err(PageError::WrongSize { .. })
        ));
    }

    #[test]
    fn a_private_page_may_be_empty() {
        assert!(SharedPage::private(0).is_ok());
    }
}
