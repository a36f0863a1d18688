//! Host folders, opened for a guest under the names it was granted.
//!
//! The engine confines every path below the folder it was given (no `..`, no
//! symlink out of it); which folders exist at all is the grant's business.

use midge_model::{DirGrant, DirMode, Outcome};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// Opens the granted folders in `wasi`.
///
/// # Errors
///
/// A folder that is not there or not readable: the operator's fault, so the
/// invocation ends as a host fault that names the folder.
pub(crate) fn open(wasi: &mut WasiCtxBuilder, grants: &[DirGrant]) -> Result<(), Outcome> {
    for grant in grants {
        let perms = match grant.mode {
            DirMode::ReadOnly => FsPerms::ReadOnly,
            DirMode::ReadWrite => FsPerms::ReadWrite,
        };
        wasi.preopened_dir(&grant.host, &grant.guest, perms)
            .map_err(|error| Outcome::Host {
                reason: format!("open granted folder `{}`: {error:#}", grant.host.display()),
            })?;
    }
    Ok(())
}
