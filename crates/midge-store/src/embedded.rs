//! The store of one node: SQLite and files in one folder.
//!
//! Decides what lies where in the folder and that one node has it at a time. How each trait is
//! kept is in the files below; the threads that talk to SQLite are `database.rs`.
//!
//! ```text
//! lock            held while a node runs; names its process
//! store.sqlite3   records, queues and keys; write-ahead log beside it
//! artifacts/      a file for each, named by the digits of its digest
//! tmp/            uploads under way; emptied when a node starts
//! ```
//!
//! **Invariant:** what was acknowledged is on disk, synced, before it is acknowledged.

mod artifacts;
mod database;
mod keys;
mod lock;
mod queue;
mod registry;
mod schema;
mod sql;
mod watch;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Store, StoreError, files};
use artifacts::EmbeddedArtifacts;
use database::{Clock, Database};
use keys::EmbeddedKeys;
use queue::EmbeddedQueue;
use registry::EmbeddedRegistry;

pub(crate) use artifacts::{artifact_path, digest_of_name};
pub(crate) use lock::Lock;
pub(crate) use registry::record;
pub(crate) use schema::{open_beside, open_writer};

/// The database in the folder.
pub(crate) const DATABASE_FILE: &str = "store.sqlite3";
/// The folder of artifacts in the folder.
pub(crate) const ARTIFACTS_DIR: &str = "artifacts";
/// The folder of what is not finished.
pub(crate) const TMP_DIR: &str = "tmp";

/// The store that lies in a folder of this machine.
#[derive(Debug)]
pub struct Embedded;

/// Why a folder could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another node has it.
    #[error("the store `{}` is in use by process {process}, stop that first", .dir.display())]
    InUse {
        /// Which folder.
        dir: PathBuf,
        /// The process that has it; `?` if it did not say.
        process: String,
    },
    /// A newer midge wrote it.
    #[error(
        "the store `{}` was written by a newer midge (schema {found}, this one knows up to {known}): \
         start that version again, or restore a backup from before the upgrade",
        .path.display()
    )]
    Newer {
        /// Which database.
        path: PathBuf,
        /// The schema it has.
        found: i64,
        /// The newest schema that this version knows.
        known: i64,
    },
    /// An older midge wrote it, and only a node brings it up to date.
    #[error(
        "the store `{}` was written by an older midge (schema {found}, this one has {known}): \
         start the node once, or use the version that wrote it",
        .path.display()
    )]
    Older {
        /// Which database.
        path: PathBuf,
        /// The schema it has.
        found: i64,
        /// The schema that this version reads.
        known: i64,
    },
    /// There is a database, and it is not a store of midge.
    #[error("`{}` is not a store of midge", .path.display())]
    NotAStore {
        /// Which file.
        path: PathBuf,
    },
    /// There is no store to read.
    #[error("there is no store in `{}`", .dir.display())]
    Missing {
        /// Which folder.
        dir: PathBuf,
    },
    /// The folder or the database did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Embedded {
    /// Opens the store in a folder, which is made, readable by its owner only, if it is not
    /// there. Blocks for as long as that takes. The store closes when its last handle and watch
    /// go, which blocks until the writes under way are on disk.
    ///
    /// # Errors
    ///
    /// Another node has it, a newer midge wrote it, or it did not open.
    pub fn open(dir: &Path) -> Result<Store, OpenError> {
        Self::open_with(dir, Arc::new(crate::now))
    }

    /// As [`Embedded::open`], by the clock of a test.
    pub(crate) fn open_with(dir: &Path, clock: Clock) -> Result<Store, OpenError> {
        make_dir(dir)?;
        let lock = Lock::take(dir)?;
        clear(&dir.join(TMP_DIR)).map_err(StoreError::file("empty", &dir.join(TMP_DIR)))?;
        for inner in [dir.join(TMP_DIR), dir.join(ARTIFACTS_DIR)] {
            make_dir(&inner)?;
        }
        // A folder that was just made must be there after a power failure, and so what is in it.
        for made in dir.parent().into_iter().chain([dir]) {
            files::sync_dir(made).map_err(StoreError::file("sync", made))?;
        }
        let database = Arc::new(Database::open(&dir.join(DATABASE_FILE), clock, lock)?);
        Ok(Store {
            registry: Arc::new(EmbeddedRegistry::new(Arc::clone(&database))),
            artifacts: Arc::new(EmbeddedArtifacts::new(dir, Arc::clone(&database))),
            queue: Arc::new(EmbeddedQueue::new(Arc::clone(&database))),
            keys: Arc::new(EmbeddedKeys::new(database)),
        })
    }
}

/// Makes a folder that only its owner sees, if it is not there. One that is there keeps its mode:
/// who made it decided that.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(StoreError::file("make folder", dir))
}

/// Takes away a folder that may not be there.
fn clear(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests;
