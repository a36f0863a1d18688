//! The folders of deployed functions, made when a function is first loaded.
//!
//! Decides which are made: those below the node's data folder. Others are the operator's to make,
//! as it was the operator's policy that granted them.
//!
//! **Invariant:** no link below the data folder is followed: a guest may write there, and could
//! lead the next function out.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use midge_model::Revision;
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

/// Only the node's user has anything to do there.
const DIR_MODE: Mode = Mode::RWXU;

/// Why a folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("`{}`", path.display())]
pub(super) struct FolderError {
    path: PathBuf,
    source: io::Error,
}

/// Makes the folders that a revision was granted below `root`, as far as they are not there.
///
/// # Errors
///
/// The folder that cannot be made; the function cannot run without it.
pub(super) fn make(root: &Path, revision: &Revision) -> Result<(), FolderError> {
    for dir in &revision.grants.dirs {
        if let Ok(below) = dir.host.strip_prefix(root) {
            make_below(root, below).map_err(|source| FolderError {
                path: dir.host.clone(),
                source,
            })?;
        }
    }
    Ok(())
}

fn make_below(root: &Path, below: &Path) -> io::Result<()> {
    std::fs::create_dir_all(root)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here: OwnedFd = openat(CWD, root, flags, Mode::empty())?;
    for component in below.components() {
        let Component::Normal(name) = component else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match mkdirat(&here, name, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        here = openat(&here, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_and_may_be_there_already() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("data");
        let below = Path::new("default/shop/orders");
        make_below(&root, below).unwrap();
        make_below(&root, below).unwrap();
        assert!(root.join(below).is_dir());
    }

    #[test]
    fn a_link_that_leads_out_is_not_followed() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(root.path().join("default")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("default/link")).unwrap();
        make_below(root.path(), Path::new("default/link/made")).unwrap_err();
        assert!(!outside.path().join("made").exists());
    }
}
