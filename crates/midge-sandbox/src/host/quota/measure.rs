//! What a folder really holds: what lies in it, and what was deleted there and is still open.
//!
//! Decides how to count it while guests go on: growth is counted by those who cause it,
//! and what moves files about, or deletes them, has to wait.
//!
//! **Invariant:** the result is never too low. A file that a guest deletes while a
//! handle is open takes room that no walk can see; it is written down before it is
//! deleted, and found again among what the workers hold open. It is known by what it is
//! and not by its name, which can be longer than the system tells.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, Metadata};
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use super::Usage;
use crate::host::files::tree;

/// Held while names in a folder move or go, or while it is measured: by one at a time, in all
/// workers. The system forgets such a lock with the process that holds it.
pub(super) struct Lock {
    folder: OwnedFd,
}

impl Lock {
    /// Waits for it.
    pub(super) fn wait(folder: BorrowedFd<'_>) -> io::Result<Self> {
        let folder = opened(folder)?;
        flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Self { folder })
    }

    /// `None` while another has it.
    pub(super) fn attempt(folder: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let folder = opened(folder)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { folder })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes that the folder holds.
    pub(super) fn measure(&self, usage: &Usage) -> io::Result<u64> {
        Ok(tree::measure(&self.folder)? + self.deleted_bytes(usage))
    }

    /// The bytes of what was deleted and is open, in whichever worker; what is not open any more is
    /// forgotten.
    pub(super) fn deleted_bytes(&self, usage: &Usage) -> u64 {
        let known: BTreeSet<_> = usage
            .deleted()
            .map(|cell| cell.load(Ordering::SeqCst))
            .filter(|identity| *identity != 0)
            .collect();
        if known.is_empty() {
            return 0;
        }
        let (mut open, mut bytes) = (BTreeSet::new(), 0);
        let own = std::iter::once("self".to_owned());
        let siblings = usage
            .siblings()
            .into_iter()
            .map(|process| process.to_string());
        for file in own
            .chain(siblings)
            .flat_map(|process| deleted_files(&process))
        {
            let identity = identity(&file);
            if known.contains(&identity) && open.insert(identity) {
                bytes += file.len();
            }
        }
        for cell in usage.deleted() {
            let identity = cell.load(Ordering::SeqCst);
            if identity != 0 && !open.contains(&identity) {
                cell.store(0, Ordering::SeqCst);
            }
        }
        bytes
    }
}

/// Writes down a file that is about to be deleted; false if there is no room for that.
pub(super) fn remember(usage: &Usage, file: &Metadata) -> bool {
    let identity = identity(file);
    let mut cells = usage.deleted();
    cells.any(|cell| {
        let before = cell.compare_exchange(0, identity, Ordering::SeqCst, Ordering::SeqCst);
        before.is_ok() || before == Err(identity)
    })
}

/// What a file is known by, whatever it is called. Its time of birth tells it from an earlier one
/// with the same number, where the file system keeps that.
fn identity(file: &Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    (file.dev(), file.ino(), file.created().ok()).hash(&mut hasher);
    // 0 stands for none.
    hasher.finish().max(1)
}

/// The files without a name that a process holds open. What cannot be looked at is no worker's.
fn deleted_files(process: &str) -> impl Iterator<Item = Metadata> + use<> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
    let descriptors = descriptors.into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| fs::metadata(descriptor.path()).ok())
        .filter(|file| file.is_file() && file.nlink() == 0)
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::host::files::tree::ENTRY_BYTES;
    use crate::host::quota::UsagePage;

    /// Deletes a file the way guests do.
    fn delete(usage: &Usage, path: &std::path::Path) {
        assert!(remember(usage, &fs::metadata(path).unwrap()));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_was_deleted_and_is_still_open_takes_room() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let path = dir.path().join("sub/f");
        fs::write(&path, [0; 1000]).unwrap();
        let open = File::open(&path).unwrap();
        let usage = Usage::private();
        let measure = || {
            let lock = Lock::wait(folder.as_fd()).unwrap();
            lock.measure(&usage).unwrap()
        };
        assert_eq!(measure(), 2 * ENTRY_BYTES + 1000);
        delete(&usage, &path);
        assert_eq!(measure(), ENTRY_BYTES + 1000);
        fs::remove_dir(dir.path().join("sub")).unwrap();
        assert_eq!(measure(), 1000);
        drop(open);
        assert_eq!(measure(), 0);
        let forgotten = |cell: &std::sync::atomic::AtomicU64| cell.load(Ordering::SeqCst) == 0;
        assert!(usage.deleted().all(forgotten));
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
        let file = tempfile::tempfile().unwrap();
        file.set_len(UsagePage::size_bytes(2, 1)).unwrap();
        let page = UsagePage::map(&file, 2, 1).unwrap();
        page.set_worker(1, worker.id());
        let usage = page.cells([0]).nth(0).unwrap();
        delete(&usage, &path);
        let lock = Lock::wait(folder.as_fd()).unwrap();
        let while_open = lock.measure(&usage).unwrap();
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert_eq!([while_open, lock.measure(&usage).unwrap()], [1000, 0]);
    }

    /// A name of more than a page is an error where descriptors are looked at by their names.
    #[test]
    fn a_file_that_lies_deep_is_found_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let mut here = opened(folder.as_fd()).unwrap();
        for _ in 0..20 {
            let name = "d".repeat(250);
            rustix::fs::mkdirat(&here, &*name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            here = openat(&here, &*name, flags, Mode::empty()).unwrap();
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let deep = File::from(openat(&here, "f", flags, Mode::RUSR).unwrap());
        deep.set_len(1000).unwrap();
        let usage = Usage::private();
        assert!(remember(&usage, &deep.metadata().unwrap()));
        rustix::fs::unlinkat(&here, "f", rustix::fs::AtFlags::empty()).unwrap();
        let lock = Lock::wait(folder.as_fd()).unwrap();
        assert_eq!(lock.measure(&usage).unwrap(), 20 * ENTRY_BYTES + 1000);
        drop(here);
        tree::clear(&folder).unwrap();
    }

    #[test]
    fn one_at_a_time_has_a_folder_to_itself() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let attempt = || Lock::attempt(folder.as_fd()).unwrap();
        let lock = Lock::wait(folder.as_fd()).unwrap();
        assert!(attempt().is_none());
        drop(lock);
        assert!(attempt().is_some());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let usage = Usage::private();
        let dir = tempfile::tempdir().unwrap();
        let remembered = (0..)
            .take_while(|number: &u32| {
                let path = dir.path().join(number.to_string());
                fs::write(&path, "").unwrap();
                let file = fs::metadata(&path).unwrap();
                remember(&usage, &file) && remember(&usage, &file)
            })
            .count();
        assert_eq!(remembered, usage.deleted().count());
    }
}
