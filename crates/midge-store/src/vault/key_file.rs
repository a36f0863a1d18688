//! The file that a node's keys lie in.
//!
//! A key a line in hexadecimal digits, newest first, after a line that says what it is: something
//! that a person can read, copy and put back.
//!
//! **Invariant:** the file is replaced as a whole and readable by its owner only.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{VAULT_KEYS_MAX, VaultError, VaultKey};
use crate::files;
use crate::hex;

const HEADING: &str =
    "# The keys that seal this node's secrets, newest first. Keep a copy apart from backups.";
/// The longest key file in bytes.
const FILE_BYTES_MAX: u64 = 16 << 10;
/// The bits by which others than the owner may read or write.
const OTHERS: u32 = 0o077;

/// Where keys are kept.
pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self { path }
    }

    /// The keys in it, newest first; none if there is no file.
    pub(super) fn load(&self) -> Result<Vec<VaultKey>, VaultError> {
        let metadata = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            found => found.map_err(self.doing("read key file"))?,
        };
        if metadata.permissions().mode() & OTHERS != 0 {
            let path = self.path.clone();
            return Err(VaultError::Exposed { path });
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(self.bad());
        }
        let text = fs::read_to_string(&self.path).map_err(self.doing("read key file"))?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Option<Vec<_>> = lines.map(VaultKey::from_hex).collect();
        keys.filter(|keys| (1..=VAULT_KEYS_MAX).contains(&keys.len()))
            .ok_or_else(|| self.bad())
    }

    /// Replaces what is in it, durably and at once.
    pub(super) fn save(&self, keys: &[VaultKey]) -> Result<(), VaultError> {
        let mut text = format!("{HEADING}\n");
        for key in keys {
            text.push_str(&hex::encode(&key.bytes));
            text.push('\n');
        }
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let replace = || {
            // Temporary files are 0600 from the start.
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            files::sync_dir(dir)
        };
        replace().map_err(self.doing("write key file"))
    }

    fn doing(&self, doing: &'static str) -> impl FnOnce(io::Error) -> VaultError {
        let path = self.path.clone();
        move |source| VaultError::File {
            doing,
            path,
            source,
        }
    }

    fn bad(&self) -> VaultError {
        let path = self.path.clone();
        VaultError::BadFile { path }
    }
}
