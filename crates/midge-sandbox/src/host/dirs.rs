//! The folders of a function, opened for a guest under the names it was granted.
//!
//! Decides which folder a grant is: the one that had this path when the function
//! was loaded. The system confines every path of a guest below the folder it was
//! given (no `..`, no symlink out of it); which folders exist at all is the grant's
//! business, and what a guest may do there is `files.rs`.
//!
//! **Invariant:** a folder is opened once, through no symlink, and held. A guest
//! that may write above it can move it away and plant a link in its place; the next
//! invocation still gets the folder that was granted.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use midge_model::{DirGrant, DirMode, Grants, Outcome};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use super::files::{Files, Folder, FolderGrant};
use super::quota::{Quota, Usage, UsageCells, path_of};
use super::tmp::{TmpDir, TmpRoot};
use crate::powers::Lent;

/// The folders of one function.
pub(crate) struct OpenedDirs {
    dirs: Vec<OpenedDir>,
    tmp: Option<Tmp>,
}

struct OpenedDir {
    /// The folder, wherever it is moved.
    held: Arc<OwnedFd>,
    perms: FsPerms,
    folder: Arc<Folder>,
}

/// What instances get that have a private folder.
struct Tmp {
    root: Arc<TmpRoot>,
    limit_bytes: u64,
}

/// A granted folder could not be opened.
#[derive(Debug)]
pub(crate) struct DirError {
    pub(crate) host: PathBuf,
    pub(crate) source: std::io::Error,
}

impl OpenedDirs {
    /// Opens the granted folders. Those with a quota count in `usage`, in their order; without it
    /// each counts for itself, for a node of one worker.
    ///
    /// # Errors
    ///
    /// A folder that is not there, not readable, or whose path leads through a symlink.
    pub(crate) fn open(
        grants: &Grants,
        usage: Option<&UsageCells>,
        tmp: &Arc<TmpRoot>,
    ) -> Result<Self, DirError> {
        let mut with_quota = 0..;
        let opened = grants.dirs.iter().map(|grant| {
            let held = Arc::new(hold(grant)?);
            let quota = grant.quota_bytes.map(|limit_bytes| {
                let nth = with_quota.next().expect("the range has no end");
                let usage = usage.and_then(|usage| usage.nth(nth));
                let usage = usage.unwrap_or_else(Usage::private);
                Arc::new(Quota::new(limit_bytes, usage, Arc::clone(&held)))
            });
            Ok(OpenedDir {
                held,
                perms: match grant.mode {
                    DirMode::ReadOnly => FsPerms::ReadOnly,
                    DirMode::ReadWrite => FsPerms::ReadWrite,
                },
                folder: Arc::new(Folder {
                    grant: FolderGrant::Dir(grant.clone()),
                    quota,
                }),
            })
        });
        let dirs = opened.collect::<Result<_, DirError>>()?;
        if grants.tmp_bytes.is_some() {
            tmp.prepare().map_err(|source| DirError {
                host: tmp.path().to_owned(),
                source,
            })?;
        }
        Ok(Self {
            dirs,
            tmp: grants.tmp_bytes.map(|limit_bytes| Tmp {
                root: Arc::clone(tmp),
                limit_bytes,
            }),
        })
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.tmp.is_none()
    }

    /// Makes the private folder of one invocation, if the function has such a grant.
    ///
    /// # Errors
    ///
    /// The disk or the descriptors are used up: the host's fault.
    pub(crate) async fn tmp(&self) -> Result<Option<TmpDir>, Outcome> {
        let Some(Tmp { root, .. }) = &self.tmp else {
            return Ok(None);
        };
        match root.make().await {
            Ok(tmp) => Ok(Some(tmp)),
            Err(error) => Err(Outcome::Host {
                reason: format!("make a private folder: {error}"),
            }),
        }
    }

    /// Gives the folders to a guest.
    ///
    /// # Errors
    ///
    /// No descriptor is left, or the folder was taken from us since: the host's fault.
    pub(crate) fn lend(
        &self,
        tmp: Option<TmpDir>,
        lent: &Arc<Lent>,
        wasi: &mut WasiCtxBuilder,
    ) -> Result<Files, Outcome> {
        let mut folders = Vec::with_capacity(self.dirs.len());
        for dir in &self.dirs {
            preopen(wasi, &dir.held, &dir.folder, dir.perms)?;
            folders.push(Arc::clone(&dir.folder));
        }
        if let (Some(Tmp { limit_bytes, .. }), Some(made)) = (&self.tmp, &tmp) {
            let held = made.folder();
            let folder = Arc::new(Folder {
                grant: FolderGrant::Tmp,
                quota: Some(Arc::new(Quota::of_empty(*limit_bytes, Arc::clone(held)))),
            });
            preopen(wasi, held, &folder, FsPerms::ReadWrite)?;
            folders.push(folder);
        }
        Ok(Files::new(folders, tmp, Arc::clone(lent)))
    }
}

/// The engine takes a path: that of our descriptor, which leads to the folder wherever it is.
fn preopen(
    wasi: &mut WasiCtxBuilder,
    held: &OwnedFd,
    folder: &Folder,
    perms: FsPerms,
) -> Result<(), Outcome> {
    let opened = wasi.preopened_dir(path_of(held.as_fd()), folder.guest(), perms);
    opened.map(drop).map_err(|error| Outcome::Host {
        reason: format!("open granted folder `{}`: {error:#}", folder.guest()),
    })
}

fn hold(grant: &DirGrant) -> Result<OwnedFd, DirError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The supervisor has made the path real. A symlink in it now was put there since, and a guest
    // with write access above may have been who did it.
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(CWD, &grant.host, flags, Mode::empty(), resolve).map_err(|source| DirError {
        host: grant.host.clone(),
        source: source.into(),
    })
}
