//! A store in one file, and back.
//!
//! The file is a tar archive that people can open: `midge-backup.json`, then `store.sqlite3`, then
//! `artifacts/<digits>` for each artifact that the records in that database name. Making one is
//! `make.rs`, and `restore.rs` is the way back.
//!
//! **Invariant:** the file never holds the key that opens the secrets in it: only what is listed
//! above is put in, and the key file is not.

mod make;
mod restore;

use std::path::PathBuf;

use midge_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{OpenError, StoreError};

pub use make::backup;
pub use restore::restore;

/// The archive's first file.
const ABOUT_FILE: &str = "midge-backup.json";
/// How the archive is laid out; another layout gets another number.
const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// How many records.
    pub records: u64,
    /// How many artifacts.
    pub artifacts: u64,
    /// How many bytes the file has.
    pub file_bytes: u64,
}

/// The archive's own account of itself.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u32,
    made_at: Timestamp,
    records: u64,
    artifacts: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something of that name.
    #[error("`{}` is there already, give another name", .file.display())]
    Exists {
        /// Which file.
        file: PathBuf,
    },
    /// An artifact that records name is not in the store, or not whole.
    #[error("the store is not sound, run `midge store check`: {problem}")]
    Unsound {
        /// What is wrong.
        problem: String,
    },
    /// The store did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store or the file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a backup was not restored; what was in the folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store.
    #[error("there is a store in `{}` already, move it away or give another folder", .dir.display())]
    Exists {
        /// Which folder.
        dir: PathBuf,
    },
    /// The file is not a backup, or not a whole one.
    #[error("`{}` is not a whole backup: {problem}", .file.display())]
    BadFile {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The folder did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder or the file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
