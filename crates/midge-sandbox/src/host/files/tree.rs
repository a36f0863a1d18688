//! A folder and everything below it: how much it holds, and how to be rid of it.
//!
//! Decides nothing; it walks. Nothing is followed out of the folder, and a tree as
//! deep as a guest could make it costs one descriptor and no stack: the walk goes back
//! up by `..` and looks whether it arrived where it came from.
//!
//! **Invariant:** everything here blocks, so it runs on a file thread.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, Stat, accessat, fstat, openat};
use rustix::fs::{statat, unlinkat};
use rustix::io::Errno;

/// What a name in a folder counts, whatever it names: names take room in their folder and each
/// file an inode, which a quota of bytes alone would let a guest have for nothing.
pub(crate) const ENTRY_BYTES: u64 = 4 << 10;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The bytes of all files below `folder`, and [`ENTRY_BYTES`] for each name.
///
/// A file counts with its length, holes and all: a hole can be filled later, and that is
/// not growth.
///
/// # Errors
///
/// What the system says; or the tree was moved about meanwhile by somebody who is no guest.
pub(crate) fn measure(folder: impl AsFd) -> io::Result<u64> {
    let mut bytes = 0;
    let mut linked = BTreeSet::new();
    walk(folder.as_fd(), &mut |event| {
        if let Event::Name(parent, name, kind) = event {
            bytes += ENTRY_BYTES;
            if kind == FileType::RegularFile {
                bytes += match gone_is_none(statat(parent, name, AtFlags::SYMLINK_NOFOLLOW))? {
                    // A file with several names is there once.
                    Some(stat) if stat.st_nlink > 1 && !linked.insert(identity(&stat)) => 0,
                    Some(stat) => u64::try_from(stat.st_size).unwrap_or(0),
                    None => 0,
                };
            }
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// Removes everything below `folder`, which stays.
///
/// # Errors
///
/// What the system says; what was not reached is left.
pub(crate) fn clear(folder: impl AsFd) -> io::Result<()> {
    walk(folder.as_fd(), &mut |event| {
        let removed = match event {
            Event::Name(_, _, FileType::Directory) => return Ok(()),
            Event::Name(parent, name, _) => unlinkat(parent, name, AtFlags::empty()),
            Event::Left(parent, name) => unlinkat(parent, name, AtFlags::REMOVEDIR),
        };
        gone_is_none(removed).map(drop)
    })
}

/// What a walk comes upon.
enum Event<'a> {
    /// A name in a folder, and what it names.
    Name(BorrowedFd<'a>, &'a CStr, FileType),
    /// A folder is done, and so is everything below it.
    Left(BorrowedFd<'a>, &'a CStr),
}

type Visit<'v> = dyn FnMut(Event<'_>) -> io::Result<()> + 'v;

/// A folder on the way from the root of a walk to where it is.
struct Level {
    /// What it is called in the folder above.
    name: CString,
    /// Device and inode, by which it is known again.
    identity: (u64, u64),
    /// The folders in it that are still to be visited.
    folders: Vec<CString>,
}

fn walk(root: BorrowedFd<'_>, visit: &mut Visit<'_>) -> io::Result<()> {
    let mut here = openat(root, c".", FOLDER, Mode::empty())?;
    let mut levels = vec![Level::read(&here, CString::default(), visit)?];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.folders.pop() {
            let Some(child) = enter(&here, &name)? else {
                continue;
            };
            levels.push(Level::read(&child, name, visit)?);
            here = child;
            continue;
        }
        let name = std::mem::take(&mut level.name);
        levels.pop();
        let Some(above) = levels.last() else {
            break;
        };
        here = openat(&here, c"..", FOLDER, Mode::empty())?;
        if identity(&fstat(&here)?) != above.identity {
            return Err(io::Error::other("a folder was moved during the walk"));
        }
        visit(Event::Left(here.as_fd(), &name))?;
    }
    Ok(())
}

impl Level {
    /// Visits the names in `folder` and keeps those of folders.
    fn read(folder: &OwnedFd, name: CString, visit: &mut Visit<'_>) -> io::Result<Self> {
        let mut folders = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave it to `stat`.
                FileType::Unknown => {
                    match gone_is_none(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))? {
                        Some(stat) => FileType::from_raw_mode(stat.st_mode),
                        None => continue,
                    }
                }
                kind => kind,
            };
            visit(Event::Name(folder.as_fd(), name, kind))?;
            if kind == FileType::Directory {
                folders.push(name.to_owned());
            }
        }
        Ok(Self {
            name,
            identity: identity(&fstat(folder)?),
            folders,
        })
    }
}

/// Opens a folder that a moment ago was there.
fn enter(parent: &OwnedFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    match openat(parent, name, FOLDER, Mode::empty()) {
        Ok(folder) => Ok(Some(folder)),
        // Removed, or something else by now.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        // What we may not write to, no guest of ours may: `lost+found`.
        Err(Errno::ACCESS)
            if accessat(parent, name, Access::WRITE_OK, AtFlags::EACCESS).is_err() =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn gone_is_none<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_counts_lengths_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), [0; 1000]).unwrap();
        fs::create_dir_all(path("b/c")).unwrap();
        fs::write(path("b/c/d"), [0; 500]).unwrap();
        // A hole, a second name, and a link out: 1 MiB, nothing, nothing.
        File::create(path("hole"))
            .unwrap()
            .set_len(1 << 20)
            .unwrap();
        fs::hard_link(path("a"), path("b/a2")).unwrap();
        symlink("/", path("out")).unwrap();
        let names = 7; // a b b/c b/c/d hole b/a2 out
        let bytes = measure(File::open(dir.path()).unwrap()).unwrap();
        assert_eq!(bytes, 1000 + 500 + (1 << 20) + names * ENTRY_BYTES);
    }

    #[test]
    fn a_tree_is_cleared_without_touching_what_its_links_point_at() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("x/y/z")).unwrap();
        fs::write(dir.path().join("x/y/f"), "f").unwrap();
        symlink(outside.path(), dir.path().join("x/out")).unwrap();
        clear(File::open(dir.path()).unwrap()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists());
    }

    /// Deeper than any path may be long, than there are descriptors, and than a recursive walk
    /// has stack.
    #[test]
    fn a_very_deep_tree_is_measured_and_cleared() {
        const DEPTH: u64 = 2_500;
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(dir.path()).unwrap();
        let mut here = openat(&root, c".", FOLDER, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&here, c"d", Mode::RWXU).unwrap();
            here = openat(&here, c"d", FOLDER, Mode::empty()).unwrap();
        }
        // The system walks the whole tree at every removal while its deepest folder is open.
        drop(here);
        assert_eq!(measure(&root).unwrap(), DEPTH * ENTRY_BYTES);
        clear(&root).unwrap();
        assert_eq!(measure(&root).unwrap(), 0);
    }
}
