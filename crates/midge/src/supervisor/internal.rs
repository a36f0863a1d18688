//! The node's own door: a socket in its store that its workers accept from.
//!
//! Requests that do not come from outside (`midge invoke`) take it, and from there on the same way
//! as all others.
//!
//! **Invariant:** only the node's user can reach it: the folder it lies in is closed to others.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The folder in the store.
const FOLDER: &str = "run";

/// The socket in the folder.
const SOCKET: &str = "invoke.sock";

/// Only the owner enters.
const DIR_MODE: u32 = 0o700;

/// The node's own door, as who knocks knows it.
#[derive(Debug)]
pub(crate) struct InternalDoor {
    /// Kept open: the path leads through it.
    _folder: File,
    path: PathBuf,
}

impl InternalDoor {
    /// Opens it in a store, in place of one that a node before left there.
    ///
    /// # Errors
    ///
    /// The folder or the socket cannot be made.
    pub(crate) fn open(store: &Path) -> io::Result<(Self, UnixListener)> {
        let folder = store.join(FOLDER);
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&folder)?;
        let opened = File::open(&folder)?;
        // The name of a socket has 107 bytes at most, a store's path may have more.
        let path = format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd());
        let path = PathBuf::from(path);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        let door = Self {
            _folder: opened,
            path,
        };
        Ok((door, listener))
    }

    /// Where this process finds it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for InternalDoor {
    fn drop(&mut self) {
        // What is left behind is replaced at the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_store_may_lie_deep_and_its_last_node_may_have_been_killed() {
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join("d".repeat(120));
        let (door, listener) = InternalDoor::open(&store).unwrap();
        drop(listener);
        std::mem::forget(door);
        let (door, _listener) = InternalDoor::open(&store).unwrap();
        UnixStream::connect(door.path()).unwrap();
    }
}
