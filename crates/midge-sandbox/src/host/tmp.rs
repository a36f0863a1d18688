//! Private folders that end with their instance.
//!
//! Decides where they lie: in one folder per process, which the process keeps locked for
//! as long as it lives, so that whoever starts later can tell what nobody needs any more.
//! How much fits in one is `quota.rs`; what a guest does there is `files/`. Only a process
//! that has a function with such a grant makes anything.
//!
//! **Invariant:** no instance finds anything in its folder, and nobody but the node's
//! user can look into it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::unlinkat;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, open, openat};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::files::{on_file_thread, tree};

/// How the folders of processes are called, and nothing else beside them should be.
const PREFIX: &str = "midge-tmp-";

/// How often a folder is made anew that somebody took for a left one: it is locked a moment after
/// it is made.
const TRIES: u32 = 16;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Where the folders of this process's instances are made.
pub(crate) struct TmpRoot {
    tmp_dir: PathBuf,
    made: OnceLock<Arc<Root>>,
}

/// The folder of one process.
struct Root {
    parent: OwnedFd,
    name: String,
    folder: OwnedFd,
    /// How many instances had one.
    instances: AtomicU64,
}

/// The folder of one instance; removed when this is dropped.
pub(crate) struct TmpDir {
    folder: Arc<OwnedFd>,
    name: CString,
    root: Arc<Root>,
}

impl TmpRoot {
    pub(crate) fn new(tmp_dir: PathBuf) -> Self {
        Self {
            tmp_dir,
            made: OnceLock::new(),
        }
    }

    /// Makes the folder of this process, and begins to remove those of processes that are gone.
    ///
    /// # Errors
    ///
    /// `tmp_dir` is not there or cannot be written.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        if self.made.get().is_some() {
            return Ok(());
        }
        let root = Root::make(&self.tmp_dir)?;
        // Nobody else prepares: one thread loads functions.
        drop(self.made.set(Arc::new(root)));
        let tmp_dir = self.tmp_dir.clone();
        // What was left may be much, and this process is not serving yet.
        std::thread::Builder::new()
            .name("sweep".to_owned())
            .spawn(move || sweep(&tmp_dir))?;
        Ok(())
    }

    /// Where they are made.
    pub(crate) fn path(&self) -> &Path {
        &self.tmp_dir
    }

    /// Makes an empty folder.
    pub(crate) async fn make(&self) -> io::Result<TmpDir> {
        let root = self
            .made
            .get()
            .expect("prepared when the function was loaded");
        let root = Arc::clone(root);
        on_file_thread(move || {
            let number = root.instances.fetch_add(1, Ordering::Relaxed);
            let name = CString::new(number.to_string()).expect("a number has no zero byte");
            mkdirat(&root.folder, &*name, Mode::RWXU)?;
            let folder = openat(&root.folder, &*name, FOLDER, Mode::empty())?;
            Ok(TmpDir {
                folder: Arc::new(folder),
                name,
                root,
            })
        })
        .await
    }
}

impl TmpDir {
    pub(crate) fn folder(&self) -> &Arc<OwnedFd> {
        &self.folder
    }
}

impl Drop for TmpDir {
    fn drop(&mut self) {
        let (folder, root) = (Arc::clone(&self.folder), Arc::clone(&self.root));
        let name = std::mem::take(&mut self.name);
        let remove = move || {
            let removed = tree::clear(folder.as_fd())
                .and_then(|()| Ok(unlinkat(&root.folder, &*name, AtFlags::REMOVEDIR)?));
            if let Err(error) = removed {
                // It is tried again when the next process starts.
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "private folder left behind");
            }
        };
        match Handle::try_current() {
            // Waiting for it would be the worker's time.
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

impl Root {
    /// A new folder in `tmp_dir`, locked until this process ends.
    fn make(tmp_dir: &Path) -> io::Result<Self> {
        let parent = open(tmp_dir, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
        for number in 0..TRIES {
            let name = format!("{PREFIX}{}-{number}", std::process::id());
            match mkdirat(&parent, &*name, Mode::RWXU) {
                // Left by a process with the same number, or by ourselves.
                Err(Errno::EXIST) => continue,
                made => made?,
            }
            let folder = match openat(&parent, &*name, FOLDER, Mode::empty()) {
                // Swept already.
                Err(Errno::NOENT) => continue,
                opened => opened?,
            };
            if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
                // Being swept.
                continue;
            }
            // Had it been swept before it was locked, it would have no name.
            if fstat(&folder)?.st_nlink > 0 {
                return Ok(Self {
                    parent,
                    name,
                    folder,
                    instances: AtomicU64::new(0),
                });
            }
        }
        Err(io::Error::other("no name for a private folder is free"))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // What does not work now is done by the next sweep.
        drop(tree::clear(&self.folder));
        unlinkat(&self.parent, &*self.name, AtFlags::REMOVEDIR).unwrap_or_default();
    }
}

/// Removes what processes left that are gone.
fn sweep(tmp_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(tmp_dir) else {
        return;
    };
    let left = entries.flatten().filter(|entry| {
        entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
    });
    for entry in left {
        if let Err(error) = remove_if_left(&entry.path()) {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "private folder of an earlier process not removed");
        }
    }
}

fn remove_if_left(path: &Path) -> io::Result<()> {
    let folder = open(path, FOLDER, Mode::empty())?;
    // Where everybody may write, somebody may have put a folder with such a name.
    if fstat(&folder)?.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(()),
        locked => locked?,
    }
    tree::clear(&folder)?;
    std::fs::remove_dir(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::host::quota::path_of;

    fn names(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[tokio::test]
    async fn a_folder_is_private_empty_and_gone_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let root = TmpRoot::new(dir.path().to_owned());
        root.prepare().unwrap();
        let tmp = root.make().await.unwrap();
        let path = fs::read_link(path_of(tmp.folder().as_fd())).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        assert_eq!(names(&path), 0);
        fs::create_dir_all(path.join("x/y")).unwrap();
        fs::write(path.join("x/y/z"), "z").unwrap();
        drop(tmp);
        while path.exists() {
            tokio::task::yield_now().await;
        }
        let next = root.make().await.unwrap();
        assert_eq!(names(&path_of(next.folder().as_fd())), 0);
    }

    #[test]
    fn what_a_process_left_that_is_gone_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            fs::create_dir_all(dir.path().join(name).join("7/sub")).unwrap();
            dir.path().join(name)
        };
        let (left, other) = (make("midge-tmp-left-0"), make("other"));
        let held = make("midge-tmp-held-0");
        let lock = fs::File::open(&held).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("midge-tmp-link")).unwrap();
        sweep(dir.path());
        assert!(!left.exists());
        assert!(held.join("7/sub").exists() && other.join("7/sub").exists());
    }
}
