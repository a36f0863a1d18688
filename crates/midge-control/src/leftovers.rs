//! What a namespace of before left in its folder of the data root.
//!
//! Decides that a new namespace does not come to it: functions of the new one could be granted the
//! folders of the old one. Taking files away is for the operator, who knows whose they are.
//!
//! **Invariant:** nothing below the data root is written or removed here, and no link is followed.

use std::fs;
use std::io;
use std::path::Path;

use midge_api::ErrorCode;
use midge_model::NamespaceName;

use crate::control::Control;
use crate::error::ControlError;

impl Control {
    /// Refuses a namespace whose folder holds something already.
    ///
    /// # Errors
    ///
    /// It does, or cannot be looked at.
    pub(crate) async fn no_leftovers(&self, name: &NamespaceName) -> Result<(), ControlError> {
        let dir = self.config.data_root.join(name.as_str());
        let looked_at = dir.clone();
        let looked = tokio::task::spawn_blocking(move || is_free(&looked_at));
        let is_free = looked.await.map_err(ControlError::internal)?;
        if is_free.map_err(ControlError::internal)? {
            return Ok(());
        }
        let message = format!("data of an earlier namespace `{name}` is still on the node");
        let hint = format!(
            "move `{}` away on the node, or empty it, and make the namespace then",
            dir.display()
        );
        Err(ControlError::new(ErrorCode::Conflict, message).with_hint(hint))
    }
}

/// Whether there is nothing, or an empty folder.
fn is_free(dir: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => Ok(fs::read_dir(dir)?.next().is_none()),
        Ok(_) => Ok(false),
    }
}
