//! Where values are, as the sandbox knows it.
//!
//! Decides nothing: it is what a process has to offer, so that its guests can keep values.
//!
//! **Invariant:** each call is atomic, and what was answered is kept.

use std::fmt;

use bytes::Bytes;
use midge_model::{BucketName, NamespaceName};
use wasmtime_wasi::async_trait;

/// Where values are kept: a name within a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Whose it is: that of the function.
    pub namespace: NamespaceName,
    /// What it is called there.
    pub name: BucketName,
}

/// A value, and which write made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What is kept.
    pub bytes: Bytes,
    /// Which write it was; no two writes of a key ever had the same.
    pub version: u64,
}

/// What has to be there for a swap to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// What this write left.
    Version(u64),
}

/// What became of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swapped {
    /// It happened.
    Done,
    /// It did not: something else is there.
    Not(Expected),
}

/// Why a call failed, in a sentence for the author of the guest: it says nothing of the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KvFault(pub String);

/// Where guests keep values.
///
/// # Errors
///
/// Every call fails with a sentence that the guest is told.
#[async_trait]
pub trait KeyValues: fmt::Debug + Send + Sync {
    /// The value of a key. Sees every write that was answered before.
    async fn get(&self, bucket: &Bucket, key: &str) -> Result<Option<Value>, KvFault>;

    /// Whether a key has a value.
    async fn exists(&self, bucket: &Bucket, key: &str) -> Result<bool, KvFault>;

    /// Keeps a value.
    async fn set(&self, bucket: &Bucket, key: &str, value: Bytes) -> Result<(), KvFault>;

    /// Keeps a value if what is there is what the caller expects.
    async fn swap(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        expected: Expected,
    ) -> Result<Swapped, KvFault>;

    /// Forgets a key; one that is not there is no error.
    async fn delete(&self, bucket: &Bucket, key: &str) -> Result<(), KvFault>;

    /// The keys in order, from the one after `after` on: as many as `limit`, and fewer only if there
    /// are no more.
    async fn list(
        &self,
        bucket: &Bucket,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvFault>;

    /// Adds to a number kept in decimal digits, which starts at 0, and answers the sum.
    async fn increment(&self, bucket: &Bucket, key: &str, by: i64) -> Result<i64, KvFault>;
}
