//! The folders that a node keeps for its namespaces: `<data root>/<namespace>/`.
//!
//! Decides where a path of a deployed manifest lies. There is no folder on the node that such a
//! manifest could be relative to, so it is relative to this one. Purely lexical: what links lead
//! to is for whoever opens the path.
//!
//! **Invariant:** no relative path leads out of its namespace's folder.

use std::path::{Component, Path, PathBuf};

use crate::NamespaceName;

/// Why a path of a deployed manifest lies nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "host folder `{}` has a `..`, write where it is below the namespace's data folder, such as `./data`",
    .written.display()
)]
pub struct DataPathError {
    written: PathBuf,
}

/// Where the `host` of a deployed manifest lies: below the namespace's data folder, or where it
/// says if it is absolute.
///
/// # Errors
///
/// A relative path with a `..` in it. An absolute one is for the policy to judge.
pub fn data_path(
    root: &Path,
    namespace: &NamespaceName,
    written: &Path,
) -> Result<PathBuf, DataPathError> {
    if written.is_absolute() {
        return Ok(written.to_owned());
    }
    let mut path = data_folder(root, namespace);
    for part in written.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => path.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                let written = written.to_owned();
                return Err(DataPathError { written });
            }
        }
    }
    Ok(path)
}

/// The folder of one namespace.
pub(super) fn data_folder(root: &Path, namespace: &NamespaceName) -> PathBuf {
    root.join(namespace.as_str())
}
