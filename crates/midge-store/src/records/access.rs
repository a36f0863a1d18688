//! Reading and writing records as types.
//!
//! The only place that turns a record's bytes into a type and back. A record that does not read is
//! an error and never a missing record, because what follows from "missing" is often a deletion.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Expect, Key, LIST_MAX, Prefix, PutError, Record, Registry, StoreError, Version};

/// How many records [`list_all`] reads at a time.
pub const LIST_ALL_PAGE: usize = LIST_MAX;

/// A type that is kept in the registry.
pub trait Kept: Serialize + DeserializeOwned + Send + Sync {
    /// The first token of its keys.
    const KIND: &'static str;
}

/// A value and which write made it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What was written.
    pub value: T,
    /// Which write it was.
    pub version: Version,
}

/// The record of this name as a type.
///
/// # Errors
///
/// The store did not answer, or the record does not read.
pub async fn read<T: Kept>(
    registry: &dyn Registry,
    key: &Key,
) -> Result<Option<Versioned<T>>, StoreError> {
    let record = registry.get(key).await?;
    record.as_ref().map(decode).transpose()
}

/// Writes a record if what is there is what the caller expects.
///
/// # Errors
///
/// As [`Registry::put`].
pub async fn write<T: Kept>(
    registry: &dyn Registry,
    key: &Key,
    value: &T,
    expect: Expect,
) -> Result<Version, PutError> {
    debug_assert_eq!(key.tokens().next(), Some(T::KIND), "record of another kind");
    let json = serde_json::to_vec(value).map_err(|source| StoreError::Unreadable {
        key: key.clone(),
        source,
    })?;
    registry.put(key, Bytes::from(json), expect).await
}

/// Takes a record away if what is there is what the caller expects.
///
/// # Errors
///
/// As [`Registry::delete`].
pub async fn remove(
    registry: &dyn Registry,
    key: &Key,
    expect: Expect,
) -> Result<Version, PutError> {
    registry.delete(key, expect).await
}

/// One page of the records that a prefix covers, with their keys; see [`Registry::list`].
///
/// # Errors
///
/// The store did not answer, or one of the records does not read.
pub async fn list_of<T: Kept>(
    registry: &dyn Registry,
    prefix: &Prefix,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(Key, Versioned<T>)>, StoreError> {
    let records = registry.list(prefix, after, limit).await?;
    let read = |record: Record| Ok((record.key.clone(), decode(&record)?));
    records.into_iter().map(read).collect()
}

/// All records that a prefix covers, with their keys. They are not of one moment: pages are read
/// one after the other.
///
/// # Errors
///
/// As [`list_of`].
pub async fn list_all<T: Kept>(
    registry: &dyn Registry,
    prefix: &Prefix,
) -> Result<Vec<(Key, Versioned<T>)>, StoreError> {
    let mut all: Vec<(Key, Versioned<T>)> = Vec::new();
    loop {
        let after = all.last().map(|(key, _)| key);
        let page = list_of(registry, prefix, after, LIST_ALL_PAGE).await?;
        let is_last = page.len() < LIST_ALL_PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// A record as a type.
///
/// # Errors
///
/// It does not read: a newer midge or a foreign hand wrote it.
pub fn decode<T: Kept>(record: &Record) -> Result<Versioned<T>, StoreError> {
    let value = serde_json::from_slice(&record.value).map_err(|source| StoreError::Unreadable {
        key: record.key.clone(),
        source,
    })?;
    let version = record.version;
    Ok(Versioned { value, version })
}
