//! Writing: what makes a file longer.
//!
//! Decides what a write adds: what lies behind the end of the file, holes included.
//! Writing over what is there adds nothing.
//!
//! **Invariant:** length and count are looked at on the thread that writes, right before
//! it does; who writes to the same file at the same time counts too much, never too
//! little.

use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, pwritev2};
use wasmtime_wasi::filesystem;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::{Hindrance, Place, work_in};
use crate::host::quota::{Charge, Quota};

/// Where in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    Offset(u64),
    /// Behind whatever is there at that moment.
    End,
}

impl At {
    /// Where to go on behind so many bytes.
    pub(crate) fn behind(self, bytes: usize) -> Self {
        match self {
            Self::Offset(offset) => Self::Offset(offset.saturating_add(bytes as u64)),
            Self::End => Self::End,
        }
    }
}

/// Writes some of the bytes, at least one of them; says how many.
pub(crate) async fn write(
    place: &Place,
    file: filesystem::File,
    at: At,
    bytes: Bytes,
) -> Result<usize, ErrorCode> {
    if file.perms.write_not_permitted() {
        return Err(ErrorCode::NotPermitted);
    }
    let file = file.file;
    let write = move |quota: Option<&Arc<Quota>>| {
        let _charge = charged(quota, &file, at, bytes.len() as u64)?;
        Ok(write_some(&file, at, &bytes)?)
    };
    work_in(place, || "write to a file".to_owned(), write).await
}

/// Writes all of the bytes.
pub(crate) async fn write_all(
    place: &Place,
    file: filesystem::File,
    mut at: At,
    mut bytes: Bytes,
) -> Result<(), ErrorCode> {
    while !bytes.is_empty() {
        let written = write(place, file.clone(), at, bytes.clone()).await?;
        if written == 0 {
            return Err(ErrorCode::Io);
        }
        at = at.behind(written);
        drop(bytes.split_to(written));
    }
    Ok(())
}

/// Makes a file longer or shorter.
pub(crate) async fn set_size(
    place: &Place,
    file: filesystem::File,
    size_bytes: u64,
) -> Result<(), ErrorCode> {
    if file.perms.write_not_permitted() {
        return Err(ErrorCode::NotPermitted);
    }
    let file: Arc<File> = file.file;
    let set = move |quota: Option<&Arc<Quota>>| {
        let _charge = charged(quota, &file, At::Offset(0), size_bytes)?;
        Ok(file.set_len(size_bytes)?)
    };
    work_in(place, || "make a file longer".to_owned(), set).await?;
    place.note_freed();
    Ok(())
}

/// Counts what is about to be written.
fn charged(
    quota: Option<&Arc<Quota>>,
    file: &File,
    at: At,
    bytes: u64,
) -> Result<Option<Charge>, Hindrance> {
    let Some(quota) = quota else {
        return Ok(None);
    };
    let begun = quota.begun();
    let growth_bytes = growth(file, at, bytes)?;
    Ok(Some(quota.take(growth_bytes, bytes, begun)?))
}

/// By how much the file gets longer.
fn growth(file: &File, at: At, bytes: u64) -> Result<u64, Hindrance> {
    Ok(match at {
        At::End => bytes,
        At::Offset(offset) => {
            let length_bytes = file.metadata()?.len();
            offset.saturating_add(bytes).saturating_sub(length_bytes)
        }
    })
}

fn write_some(file: &File, at: At, bytes: &[u8]) -> std::io::Result<usize> {
    match at {
        At::Offset(offset) => file.write_at(bytes, offset),
        At::End => Ok(pwritev2(
            file,
            &[IoSlice::new(bytes)],
            0,
            ReadWriteFlags::APPEND,
        )?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_behind_the_end_is_growth() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1000).unwrap();
        let check = |at, bytes| growth(&file, at, bytes).ok();
        assert_eq!(check(At::Offset(0), 1000), Some(0));
        assert_eq!(check(At::Offset(900), 300), Some(200));
        assert_eq!(check(At::Offset(5000), 1), Some(4001), "a hole counts");
        assert_eq!(check(At::End, 10), Some(10));
        assert_eq!(check(At::Offset(u64::MAX), 10), Some(u64::MAX - 1000));
    }
}
