//! What a folder really holds: what lies in it, and what was deleted there and is still open.
//!
//! Decides how to count it while guests go on: growth is counted by those who cause it,
//! removals only make the result too high, and what moves files about has to wait.
//!
//! **Invariant:** the result is never too low. A file that a guest deletes while a
//! handle is open takes room that no walk can see; the system lists it under the
//! process that holds it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use crate::host::files::tree;

/// Held while files are moved within a folder; nobody measures it meanwhile.
pub(crate) struct Moving {
    _lock: OwnedFd,
}

/// Held while a folder is measured; nobody moves files in it meanwhile, in any worker.
pub(super) struct Measuring {
    folder: OwnedFd,
}

impl Moving {
    /// `None` while the folder is being measured: try again soon.
    ///
    /// A walk could miss a file that moves from where it has not been to where it has been.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub(crate) fn begin(folder: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let lock = opened(folder)?;
        match flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Some(Self { _lock: lock })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Measuring {
    /// Waits until nothing moves and nobody else measures. The system forgets such a lock with
    /// the process that holds it.
    pub(super) fn begin(folder: BorrowedFd<'_>) -> io::Result<Self> {
        let folder = opened(folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Self { folder })
    }

    /// The bytes that the folder holds, in the files of these other processes too.
    pub(super) fn measure(&self, siblings: &[u64]) -> io::Result<u64> {
        // First what lies there: a file that is deleted in between is then counted twice, and in
        // the other order not at all.
        let lying = tree::measure(&self.folder)?;
        let path = fs::read_link(path_of(self.folder.as_fd()))?;
        let mut deleted = Deleted {
            below: &path,
            known: BTreeSet::new(),
            bytes: 0,
        };
        deleted.add("self")?;
        for process in siblings {
            deleted.add(&process.to_string())?;
        }
        Ok(lying + deleted.bytes)
    }
}

/// An opened folder by a name that leads to it wherever it is moved.
pub(crate) fn path_of(folder: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", folder.as_raw_fd()).into()
}

/// A lock belongs to an opening: each needs its own.
fn opened(folder: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(folder, c".", flags, Mode::empty())?)
}

/// Files without a name, and what they hold.
struct Deleted<'a> {
    below: &'a Path,
    known: BTreeSet<(u64, u64)>,
    bytes: u64,
}

impl Deleted<'_> {
    /// Adds those that a process holds open.
    fn add(&mut self, process: &str) -> io::Result<()> {
        let Some(descriptors) = gone_is_none(fs::read_dir(format!("/proc/{process}/fd")))? else {
            return Ok(());
        };
        for descriptor in descriptors {
            // The process may end, and its descriptors be closed, while they are looked at.
            let Some(descriptor) = gone_is_none(descriptor)? else {
                return Ok(());
            };
            let descriptor = descriptor.path();
            let Some(name) = gone_is_none(fs::read_link(&descriptor))? else {
                continue;
            };
            if !was_below(name.as_os_str(), self.below) {
                continue;
            }
            match gone_is_none(fs::metadata(&descriptor))? {
                Some(file) if file.is_file() && file.nlink() == 0 => self.count(&file),
                _ => {}
            }
        }
        Ok(())
    }

    fn count(&mut self, file: &Metadata) {
        if self.known.insert((file.dev(), file.ino())) {
            self.bytes += file.len();
        }
    }
}

/// How the system writes the name of an open file that has none any more.
fn was_below(name: &OsStr, folder: &Path) -> bool {
    name.as_bytes().ends_with(b" (deleted)") && Path::new(name).starts_with(folder)
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT | Errno::SRCH) => Ok(None),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::host::files::tree::ENTRY_BYTES;

    #[test]
    fn a_file_that_was_deleted_and_is_still_open_takes_room() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let path = dir.path().join("sub/f");
        fs::write(&path, [0; 1000]).unwrap();
        let open = File::open(&path).unwrap();
        let measure = || {
            let measuring = Measuring::begin(folder.as_fd()).unwrap();
            measuring.measure(&[]).unwrap()
        };
        assert_eq!(measure(), 2 * ENTRY_BYTES + 1000);
        fs::remove_file(&path).unwrap();
        assert_eq!(measure(), ENTRY_BYTES + 1000);
        fs::remove_dir(dir.path().join("sub")).unwrap();
        assert_eq!(measure(), 1000);
        drop(open);
        assert_eq!(measure(), 0);
    }

    #[test]
    fn what_another_worker_holds_open_takes_room() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [0; 1000]).unwrap();
        let mut worker = std::process::Command::new("sleep")
            .arg("60")
            .stdin(File::open(&path).unwrap())
            .spawn()
            .unwrap();
        fs::remove_file(&path).unwrap();
        let measuring = Measuring::begin(folder.as_fd()).unwrap();
        let alone = measuring.measure(&[]).unwrap();
        let together = measuring.measure(&[worker.id().into()]).unwrap();
        worker.kill().unwrap();
        worker.wait().unwrap();
        let after = measuring.measure(&[worker.id().into()]).unwrap();
        assert_eq!([alone, together, after], [0, 1000, 0]);
    }

    #[test]
    fn nothing_moves_while_a_folder_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let moving = || Moving::begin(folder.as_fd()).unwrap();
        let (one, two) = (moving(), moving());
        assert!(one.is_some() && two.is_some());
        drop((one, two));
        let measuring = Measuring::begin(folder.as_fd()).unwrap();
        assert!(moving().is_none());
        drop(measuring);
        assert!(moving().is_some());
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let mut deleted = Deleted {
            below: Path::new("/nowhere"),
            known: BTreeSet::new(),
            bytes: 0,
        };
        deleted.add(&u32::MAX.to_string()).unwrap();
        assert_eq!(deleted.bytes, 0);
    }
}
