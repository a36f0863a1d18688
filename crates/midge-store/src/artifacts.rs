//! Stored bytes named by digest: the components that people deployed.
//!
//! Decides what every back end's artifacts do. Who may store how much, and which artifacts are
//! still named by somebody, is for those to decide who keep the records.
//!
//! **Invariant:** bytes that are given out have the digest they were asked for by.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::{Digest, Timestamp};

use crate::StoreError;

/// The most artifacts that one [`Artifacts::list`] answers with.
pub const ARTIFACTS_LIST_MAX: usize = 1_000;

/// One artifact, as a list shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactInfo {
    /// What it is called.
    pub digest: Digest,
    /// How many bytes it has.
    pub size_bytes: u64,
    /// When it was stored last; storing it again counts.
    pub stored_at: Timestamp,
}

/// How much fits in where the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many bytes are free for us.
    pub free_bytes: u64,
    /// How many there are, used or free.
    pub total_bytes: u64,
}

/// Why an upload did not become an artifact; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The bytes that came are not those that were announced.
    #[error("the bytes that came are {found} and not {expected}, send them again")]
    Mismatch {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The store did not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Bytes by digest.
#[async_trait]
pub trait Artifacts: Send + Sync + fmt::Debug {
    /// Begins an upload.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn create(&self) -> Result<Box<dyn ArtifactWriter>, StoreError>;

    /// The whole artifact, read and hashed anew.
    ///
    /// # Errors
    ///
    /// The store did not answer, or [`StoreError::Damaged`]: what is there is something else.
    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError>;

    /// How many bytes it has, if it is there. Does not look at them.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError>;

    /// Takes it away; says whether it was there.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn delete(&self, digest: &Digest) -> Result<bool, StoreError>;

    /// The artifacts in order of their digests, from the one after `after` on: as many as `limit`
    /// and [`ARTIFACTS_LIST_MAX`] allow, and fewer only if there are no more.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn list(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<ArtifactInfo>, StoreError>;

    /// How much room there is for what is kept, uploads under way counted as used.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn room(&self) -> Result<Room, StoreError>;
}

/// An upload under way. Dropped before its end it leaves nothing.
#[async_trait]
pub trait ArtifactWriter: Send + fmt::Debug {
    /// Takes the next bytes. A caller that gives up waiting must begin anew.
    ///
    /// # Errors
    ///
    /// The store did not take them; the upload cannot go on.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;

    /// Makes the bytes that came an artifact, durably, and says how many they are. That it may be
    /// there already is no error.
    ///
    /// # Errors
    ///
    /// The bytes are not those expected, or the store did not take them.
    async fn finish(self: Box<Self>, expected: &Digest) -> Result<u64, FinishError>;
}
