//! The page of memory that the workers of a node share.
//!
//! Makes the file behind it; what stands on it is the runtime's `Counters`.
//!
//! **Invariant:** its size never changes, so nobody who mapped it can be
//! stopped by a mapping that lost its ground.

use std::fs::File;
use std::io;

use midge_runtime::Counters;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A file in memory with room for every worker's count of every function.
///
/// # Errors
///
/// The system has no memory or no descriptors left.
pub(crate) fn make(workers: usize, functions: usize) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(memfd_create("midge-counters", flags)?);
    file.set_len(Counters::size_bytes(workers, functions))?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}
