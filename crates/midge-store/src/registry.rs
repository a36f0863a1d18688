//! Records with versions: what is deployed, who may deploy, what was done.
//!
//! Decides what every back end's registry does: one sequence of versions over all records,
//! compare-and-swap on one record at a time, and a watch. There are no transactions over several
//! records, because the distributed back end has none; whoever writes several orders them so
//! that stopping anywhere does no harm. What is in a record is `records.rs`.
//!
//! **Invariant:** a write that was answered with a version is still there after a crash.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Key, Prefix, StoreError};

/// The longest value of a record in bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// The most records that one [`Registry::list`] answers with.
pub const LIST_MAX: usize = 1_000;

/// Where a write stands in the sequence of all writes to the registry, counted from 1.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(u64);

/// A value with its name and the version that it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is called.
    pub key: Key,
    /// What it holds.
    pub value: Bytes,
    /// Which write made it so.
    pub version: Version,
}

/// What a watch sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A record that is there, or is there anew.
    Put(Record),
    /// A record that is no more. It may be one that the watch never showed.
    Deleted {
        /// What it was called.
        key: Key,
        /// Which write took it away.
        version: Version,
    },
    /// All that was there as of this version has been shown; comes once.
    Current(Version),
}

/// What a write wants to find in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No record.
    Absent,
    /// The record as this write left it.
    Version(Version),
    /// Whatever is there.
    Any,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Somebody else wrote it in between: read it again and decide again.
    #[error("the record is {}", found_text(.found))]
    Conflict {
        /// The version that is there, if one is.
        found: Option<Version>,
    },
    /// More than a record holds; nothing but a smaller value helps.
    #[error("the record would have {length_bytes} bytes, the longest has {RECORD_BYTES_MAX}")]
    TooLarge {
        /// How long the value is.
        length_bytes: usize,
    },
    /// The store did not answer, or said no. Whether the record was written is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records by key.
#[async_trait]
pub trait Registry: Send + Sync + fmt::Debug {
    /// The record of this name. Sees every write that was answered before.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError>;

    /// Writes a record if what is there is what the caller expects.
    ///
    /// A caller that gives up waiting does not know whether it was written.
    ///
    /// # Errors
    ///
    /// Something else is there, the value is too large, or the store did not answer.
    async fn put(&self, key: &Key, value: Bytes, expect: Expect) -> Result<Version, PutError>;

    /// Takes a record away if what is there is what the caller expects. That is a write and has
    /// a version; if there was nothing and nothing else was expected, it is the newest one.
    ///
    /// # Errors
    ///
    /// Something else is there, or the store did not answer.
    async fn delete(&self, key: &Key, expect: Expect) -> Result<Version, PutError>;

    /// The records that a prefix covers, in order of their keys, from the one after `after` on:
    /// as many as `limit` and [`LIST_MAX`] allow, and fewer only if there are no more.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn list(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Everything that a prefix covers, then [`Change::Current`], then each change.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn watch(&self, prefix: &Prefix) -> Result<Watch, StoreError>;

    /// The version of the newest write; the default if there was none.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn version(&self) -> Result<Version, StoreError>;
}

/// Changes as they come, from [`Registry::watch`].
#[derive(Debug)]
pub struct Watch(Box<dyn WatchSource>);

/// What a back end puts behind a [`Watch`].
#[async_trait]
pub trait WatchSource: Send + fmt::Debug {
    /// See [`Watch::next`].
    ///
    /// # Errors
    ///
    /// See [`Watch::next`].
    async fn next(&mut self) -> Result<Change, StoreError>;
}

impl Watch {
    /// The watch that a back end's source makes.
    pub fn new(source: impl WatchSource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// Waits for the next change. Versions of one key only grow; who reads slowly may see only
    /// the newest of several changes of a key, so memory does not depend on how slowly.
    ///
    /// Giving up in the middle loses nothing: the next call answers what this one would have.
    ///
    /// # Errors
    ///
    /// The store did not answer, after which one may ask again, or [`StoreError::Lagged`], after
    /// which only a new watch helps.
    pub async fn next(&mut self) -> Result<Change, StoreError> {
        self.0.next().await
    }
}

impl Version {
    /// The version of this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

fn found_text(found: &Option<Version>) -> String {
    match found {
        Some(version) => format!("at version {version} now, and not what was expected"),
        None => "not there".to_owned(),
    }
}
