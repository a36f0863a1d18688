//! The pages of memory that the workers of a node share.
//!
//! Makes the files behind them; what stands on them is the runtime's `Counters` and the
//! sandbox's `UsagePage`.
//!
//! **Invariant:** their size never changes, so nobody who mapped one can be stopped
//! by a mapping that lost its ground.

use std::fs::File;
use std::io;

use midge_runtime::Counters;
use midge_sandbox::UsagePage;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::protocol::FOLDERS_MAX;

/// A file in memory with room for every worker's count of every function.
///
/// # Errors
///
/// The system has no memory or no descriptors left.
pub(crate) fn counters(workers: usize) -> io::Result<File> {
    sealed("midge-counters", Counters::size_bytes(workers))
}

/// A file in memory with room for the counts of as many folders as may have a quota.
///
/// # Errors
///
/// The system has no memory or no descriptors left.
pub(crate) fn usage(workers: usize) -> io::Result<File> {
    sealed("midge-usage", UsagePage::size_bytes(workers, FOLDERS_MAX))
}

fn sealed(name: &str, bytes: u64) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(memfd_create(name, flags)?);
    file.set_len(bytes)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}
