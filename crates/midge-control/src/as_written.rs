//! What callers see of a revision: folders as they wrote them.
//!
//! A relative folder is kept with the place on this machine that it means. Nobody outside has a
//! use for that place, and what is shown can be deployed again, here or on another node.
//!
//! **Invariant:** no folder below the data root is shown with the data root in front.

use std::path::{Path, PathBuf};

use midge_model::Revision;

use crate::config::ControlConfig;

impl ControlConfig {
    /// The same revision, with its folders below the data root relative to it.
    pub(crate) fn as_written(&self, revision: &Revision) -> Revision {
        let mut revision = revision.clone();
        let folder = self.data_root.join(revision.namespace.as_str());
        for dir in &mut revision.grants.dirs {
            if let Ok(written) = dir.host.strip_prefix(&folder) {
                dir.host = or_itself(written);
            }
        }
        revision
    }
}

/// The folder itself has a name, too.
fn or_itself(written: &Path) -> PathBuf {
    match written.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => written.to_owned(),
    }
}
