//! Values that functions keep, by key in a bucket of a namespace.
//!
//! Decides what every back end's key-value does. Keys are whatever text a guest chooses, unlike
//! those of the registry; who may use which bucket is the grants' business.
//!
//! **Invariant:** each operation is atomic, and one that was answered survives a crash.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::NamespaceName;

use crate::{Expect, StoreError, Version};

/// The longest name of a bucket in bytes.
pub const BUCKET_NAME_BYTES_MAX: usize = 63;
/// The longest key in bytes.
pub const ENTRY_KEY_BYTES_MAX: usize = 512;
/// The longest value in bytes.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
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
    name: String,
}

/// A value and which write made it so. Versions only grow, over all keys and deletions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is kept.
    pub value: Bytes,
    /// Which write it was.
    pub version: Version,
}

/// Why a text is not the name of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bucket `{}` is not 1 to {BUCKET_NAME_BYTES_MAX} of `a`-`z`, `0`-`9`, `-` and `_`",
    .text.escape_debug()
)]
pub struct BucketError {
    text: String,
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
}

impl Bucket {
    /// The bucket of this name in a namespace.
    ///
    /// # Errors
    ///
    /// The name is empty, too long, or has other characters than `a-z`, `0-9`, `-` and `_`.
    pub fn new(namespace: NamespaceName, name: &str) -> Result<Self, BucketError> {
        let is_known = |found: u8| {
            found.is_ascii_lowercase() || found.is_ascii_digit() || b"-_".contains(&found)
        };
        if !(1..=BUCKET_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_known) {
            let text = name.chars().take(80).collect();
            return Err(BucketError { text });
        }
        let name = name.to_owned();
        Ok(Self { namespace, name })
    }

    /// Whose it is.
    pub fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// What it is called there.
    pub fn name(&self) -> &str {
        &self.name
    }
}
