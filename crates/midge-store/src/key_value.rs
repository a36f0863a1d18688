//! Values that functions keep, by key in a bucket of a namespace.
//!
//! Decides what every back end's key-value does. Keys are whatever text a guest chooses, unlike
//! those of the registry; who may use which bucket is the grants' business.
//!
//! **Invariant:** each operation is atomic, and one that was answered survives a crash.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::{
    BucketName, BucketNameError, ENTRY_BYTES_MAX, ENTRY_KEY_BYTES_MAX, NamespaceName,
};

use crate::{Expect, StoreError, Version};

/// The most entries of one bucket.
pub const BUCKET_ENTRIES_MAX: u64 = 1_000_000;
/// The most bytes of one bucket, keys and values together.
pub const BUCKET_BYTES_MAX: u64 = 1 << 30;
/// The most keys that one [`Keys::list`] answers with.
pub const ENTRIES_LIST_MAX: usize = 1_000;

/// Where values are kept: a name within a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    namespace: NamespaceName,
    name: BucketName,
}

/// A value and which write made it so. Versions only grow, over all keys and deletions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is kept.
    pub value: Bytes,
    /// Which write it was.
    pub version: Version,
}

/// Why a value was not kept.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The entry is not what the caller expects: read it again and decide again.
    #[error("the entry was changed in between")]
    Conflict {
        /// The version that is there, if one is.
        found: Option<Version>,
    },
    /// The key is empty or too long.
    #[error("the key has {length_bytes} bytes, write 1 to {ENTRY_KEY_BYTES_MAX}")]
    BadKey {
        /// How long it is.
        length_bytes: usize,
    },
    /// The value is too long.
    #[error("the value has {length_bytes} bytes, the longest has {ENTRY_BYTES_MAX}")]
    TooLarge {
        /// How long it is.
        length_bytes: usize,
    },
    /// The bucket holds as much as it may.
    #[error(
        "the bucket is full, the most is {BUCKET_ENTRIES_MAX} entries and {BUCKET_BYTES_MAX} bytes"
    )]
    Full,
    /// There is a value, and it is not a whole number in decimal digits.
    #[error("the value is not a whole number and cannot be incremented")]
    NotANumber,
    /// The number would not fit into 64 bits.
    #[error("the number would not fit into 64 bits")]
    Overflow,
    /// The store did not answer. Whether the value was kept is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A bucket that holds something, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUse {
    /// What it is called in its namespace.
    pub name: BucketName,
    /// How many entries it has.
    pub entries: u64,
    /// The bytes of their keys and values.
    pub bytes: u64,
}

/// Values by key.
#[async_trait]
pub trait Keys: Send + Sync + fmt::Debug {
    /// The value of a key. Sees every write that was answered before.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn get(&self, bucket: &Bucket, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Keeps a value.
    ///
    /// # Errors
    ///
    /// The key or the value is out of bounds, the bucket is full, or the store did not answer.
    async fn set(&self, bucket: &Bucket, key: &str, value: Bytes) -> Result<Version, SetError> {
        self.swap(bucket, key, value, Expect::Any).await
    }

    /// Keeps a value if what is there is what the caller expects.
    ///
    /// # Errors
    ///
    /// As [`Keys::set`], or [`SetError::Conflict`].
    async fn swap(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<Version, SetError>;

    /// Forgets a key; says whether it was there.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn delete(&self, bucket: &Bucket, key: &str) -> Result<bool, StoreError>;

    /// The keys in order, from the one after `after` on: as many as `limit` and
    /// [`ENTRIES_LIST_MAX`] allow, and fewer only if there are no more.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn list(
        &self,
        bucket: &Bucket,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError>;

    /// Adds to a number kept in decimal digits, which starts at 0, and answers the sum.
    ///
    /// # Errors
    ///
    /// As [`Keys::set`], or there is something else than a number, or it would not fit.
    async fn increment(&self, bucket: &Bucket, key: &str, by: i64) -> Result<i64, SetError>;

    /// The buckets of a namespace that hold something, in order, from the one after `after` on: as
    /// many as `limit` and [`ENTRIES_LIST_MAX`] allow, and fewer only if there are no more.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn buckets(
        &self,
        namespace: &NamespaceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BucketUse>, StoreError>;

    /// Forgets everything in a bucket; says how many entries. Not atomic: what is written meanwhile
    /// may stay or not.
    ///
    /// # Errors
    ///
    /// The store did not answer; some of it may be gone. Clearing again is safe.
    async fn clear(&self, bucket: &Bucket) -> Result<u64, StoreError>;
}

/// Refuses keys and values out of bounds.
pub(crate) fn check_entry(key: &str, value: &[u8]) -> Result<(), SetError> {
    check_key(key)?;
    if value.len() <= ENTRY_BYTES_MAX {
        return Ok(());
    }
    let length_bytes = value.len();
    Err(SetError::TooLarge { length_bytes })
}

/// Refuses keys out of bounds.
pub(crate) fn check_key(key: &str) -> Result<(), SetError> {
    if (1..=ENTRY_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    let length_bytes = key.len();
    Err(SetError::BadKey { length_bytes })
}

/// What a number that is kept becomes.
pub(crate) fn sum(kept: Option<&[u8]>, by: i64) -> Result<i64, SetError> {
    let number = |value: &[u8]| str::from_utf8(value).ok()?.parse::<i64>().ok();
    let number = kept.map_or(Some(0), number);
    let number = number.ok_or(SetError::NotANumber)?;
    number.checked_add(by).ok_or(SetError::Overflow)
}

impl Bucket {
    /// The bucket of this name in a namespace.
    ///
    /// # Errors
    ///
    /// The text is no name of a bucket.
    pub fn new(namespace: NamespaceName, name: &str) -> Result<Self, BucketNameError> {
        Ok(Self::of(namespace, name.parse()?))
    }

    /// The bucket of this name in a namespace.
    pub fn of(namespace: NamespaceName, name: BucketName) -> Self {
        Self { namespace, name }
    }

    /// Whose it is.
    pub fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// What it is called there.
    pub fn name(&self) -> &BucketName {
        &self.name
    }
}
