//! One node at a time.
//!
//! A lock of the operating system on a file, which ends with the process however that ends; the
//! file's text only says whom to look for.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process;
use std::thread;
use std::time::Duration;

use super::OpenError;
use crate::StoreError;

/// Waits for the lock this often ...
const TRIES: u32 = 10;
/// ... and this long each time: a process that was just killed may have a child that has not
/// let go of its files yet.
const PAUSE: Duration = Duration::from_millis(20);
/// The most that is read of who has the lock.
const TEXT_BYTES_MAX: u64 = 32;

/// The right to a store, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::file("open", &path))?;
        for _ in 1..TRIES {
            if file.try_lock().is_ok() {
                break;
            }
            thread::sleep(PAUSE);
        }
        // Locking again what this file has locked already is no error.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(dir, &file)),
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::file("lock", &path)(source).into());
            }
        }
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", process::id())
        };
        write().map_err(StoreError::file("write", &path))?;
        Ok(Self { _file: file })
    }
}

fn in_use(dir: &Path, file: &File) -> OpenError {
    let mut text = String::new();
    // Who has it may be about to write; that it is in use is what matters.
    drop(file.take(TEXT_BYTES_MAX).read_to_string(&mut text));
    let is_number = !text.is_empty() && text.bytes().all(|found| found.is_ascii_digit());
    OpenError::InUse {
        dir: dir.to_owned(),
        process: if is_number { text } else { "?".to_owned() },
    }
}
