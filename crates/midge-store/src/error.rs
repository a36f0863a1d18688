//! What can go wrong with any operation of a store, whichever back end it is.
//!
//! Errors that only one operation has are beside that operation.
//!
//! **Invariant:** no back end's own types show, so that callers cannot depend on one.

use std::io;
use std::path::{Path, PathBuf};

use midge_model::Digest;

use crate::Key;

/// An error of a back end, whose type is nobody's business.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store was shut while the operation waited.
    #[error("the store is closed")]
    Closed,
    /// The database refused.
    #[error("{doing} in the store's database")]
    Database {
        /// Which step it was.
        doing: &'static str,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{doing} `{}`", .path.display())]
    File {
        /// Which step it was.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An artifact's bytes are not those that it is named by.
    #[error("artifact {expected} is damaged: its file holds {found}, deploy the component again")]
    Damaged {
        /// The digest it is named by.
        expected: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// A record that is there and cannot be read.
    #[error("record `{key}` is not what this version of midge writes")]
    Unreadable {
        /// Which record.
        key: Key,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A watch so far behind that changes it did not see are forgotten; it must start again.
    #[error("the watch fell too far behind, start it again")]
    Lagged,
}

impl StoreError {
    pub(crate) fn database(doing: &'static str, source: impl Into<Cause>) -> Self {
        Self::Database {
            doing,
            source: source.into(),
        }
    }

    /// For `map_err`: the step and the file that an I/O error belongs to.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}
