//! Host folders, opened for a guest under the names it was granted.
//!
//! Decides which folder a grant is: the one that had this path when the function
//! was loaded. The engine confines every path of a guest below the folder it was
//! given (no `..`, no symlink out of it); which folders exist at all is the grant's
//! business.
//!
//! **Invariant:** a folder is opened once, through no symlink, and held. A guest
//! that may write above it can move it away and plant a link in its place; the next
//! invocation still gets the folder that was granted.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use midge_model::{DirGrant, DirMode, Outcome};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// The folders of one function.
pub(crate) struct OpenedDirs(Vec<OpenedDir>);

struct OpenedDir {
    /// Holds the folder, wherever it is moved.
    _held: OwnedFd,
    /// The held folder by a name that cannot be moved.
    path: String,
    grant: DirGrant,
    perms: FsPerms,
}

/// A granted folder could not be opened.
#[derive(Debug)]
pub(crate) struct DirError {
    pub(crate) host: PathBuf,
    pub(crate) source: std::io::Error,
}

impl OpenedDirs {
    /// Opens the granted folders.
    ///
    /// # Errors
    ///
    /// A folder that is not there, not readable, or whose path leads through a symlink.
    pub(crate) fn open(grants: &[DirGrant]) -> Result<Self, DirError> {
        let opened = grants.iter().map(|grant| {
            let held = hold(grant)?;
            Ok(OpenedDir {
                path: format!("/proc/self/fd/{}", held.as_raw_fd()),
                perms: match grant.mode {
                    DirMode::ReadOnly => FsPerms::ReadOnly,
                    DirMode::ReadWrite => FsPerms::ReadWrite,
                },
                grant: grant.clone(),
                _held: held,
            })
        });
        opened.collect::<Result<_, _>>().map(Self)
    }

    /// Gives the folders to a guest.
    ///
    /// # Errors
    ///
    /// No descriptor is left, or the folder was taken from us since: the host's fault.
    pub(crate) fn preopen(&self, wasi: &mut WasiCtxBuilder) -> Result<(), Outcome> {
        for dir in &self.0 {
            wasi.preopened_dir(&dir.path, &dir.grant.guest, dir.perms)
                .map_err(|error| Outcome::Host {
                    reason: format!("open granted folder `{}`: {error:#}", dir.grant),
                })?;
        }
        Ok(())
    }
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
