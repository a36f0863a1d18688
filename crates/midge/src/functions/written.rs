//! One function as its manifest wrote it, and what becomes of it with the flags over it.
//!
//! **Invariant:** the folders of what comes out exist, under their real paths.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use midge_model::{DirGrant, FunctionName, Grants, Limits, LimitsPatch, Route};

use super::{Function, FunctionsError};
use crate::config::Overrides;

/// A function as written, before the flags.
pub(super) struct Written {
    pub(super) name: FunctionName,
    pub(super) component: PathBuf,
    pub(super) routes: Vec<Route>,
    pub(super) limits: LimitsPatch,
    pub(super) grants: Grants,
}

impl Written {
    /// The function that comes of it: flags over manifest, manifest over `base`.
    ///
    /// # Errors
    ///
    /// Limits out of bounds, folders that are not there, grants that undo each other.
    pub(super) fn with(self, typed: &Overrides, base: &Limits) -> Result<Function, FunctionsError> {
        let limits = match typed.limits.or(self.limits).apply(base) {
            Ok(limits) => limits,
            Err(source) => {
                return Err(FunctionsError::Limits {
                    function: self.name,
                    source,
                });
            }
        };
        let mut grants = with_typed(self.grants, &typed.grants);
        for dir in &mut grants.dirs {
            open_folder(dir).map_err(|source| FunctionsError::Folder {
                function: self.name.clone(),
                path: dir.host.clone(),
                source,
            })?;
        }
        // Checked after the paths are real ones: two names may lead into one tree.
        match grants.check() {
            Ok(()) => Ok(Function {
                name: self.name,
                component: self.component,
                routes: self.routes,
                limits,
                grants,
                secrets: BTreeMap::new(),
            }),
            Err(source) => Err(FunctionsError::Grants {
                function: self.name,
                source: Box::new(source),
            }),
        }
    }
}

/// What was typed comes on top. Where there can be only one, a variable of a name or a folder at a
/// path, it goes in place of what was written.
fn with_typed(mut grants: Grants, typed: &Grants) -> Grants {
    grants.env.extend(typed.env.clone());
    grants
        .dirs
        .retain(|dir| typed.dirs.iter().all(|typed| typed.guest != dir.guest));
    grants.dirs.extend(typed.dirs.iter().cloned());
    add(&mut grants.http, &typed.http);
    add(&mut grants.tcp, &typed.tcp);
    add(&mut grants.udp, &typed.udp);
    add(&mut grants.dns, &typed.dns);
    grants.tmp_bytes = typed.tmp_bytes.or(grants.tmp_bytes);
    grants
}

fn add<T: Clone + PartialEq>(written: &mut Vec<T>, typed: &[T]) {
    for grant in typed {
        if !written.contains(grant) {
            written.push(grant.clone());
        }
    }
}

fn open_folder(dir: &mut DirGrant) -> io::Result<()> {
    let real = dir.host.canonicalize()?;
    if !real.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    dir.host = real;
    Ok(())
}
