//! Key-value in memory, for a node that has no folder.
//!
//! **Invariant:** whoever uses it cannot tell it from one on disk, but that it is gone with the
//! process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::{BucketName, NamespaceName};

use crate::key_value::{check_entry, check_key, sum};
use crate::{
    BUCKET_BYTES_MAX, BUCKET_ENTRIES_MAX, Bucket, BucketUse, ENTRIES_LIST_MAX, Entry, Expect, Keys,
    SetError, StoreError, Version,
};

/// Values by key that end with the process.
#[derive(Debug, Default)]
pub struct MemoryKeys(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<(NamespaceName, BucketName), Held>,
    /// The version of the last write.
    last: u64,
}

/// What one bucket holds.
#[derive(Debug, Default)]
struct Held {
    entries: BTreeMap<String, Entry>,
    bytes: u64,
}

impl MemoryKeys {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held(&self, bucket: &Bucket) -> Option<&Held> {
        self.buckets.get(&place(bucket))
    }

    fn entry(&self, bucket: &Bucket, key: &str) -> Option<&Entry> {
        self.held(bucket)?.entries.get(key)
    }

    fn write(&mut self, bucket: &Bucket, key: &str, value: Bytes) -> Result<Version, SetError> {
        let held = self.buckets.entry(place(bucket)).or_default();
        let before = held.entries.get(key).map(|found| bytes_of(key, found));
        let version = Version::new(self.last + 1);
        let entry = Entry { value, version };
        let bytes = held.bytes - before.unwrap_or(0) + bytes_of(key, &entry);
        let entries = held.entries.len() as u64 + u64::from(before.is_none());
        if entries > BUCKET_ENTRIES_MAX || bytes > BUCKET_BYTES_MAX {
            return Err(SetError::Full);
        }
        held.entries.insert(key.to_owned(), entry);
        held.bytes = bytes;
        self.last += 1;
        Ok(version)
    }
}

fn place(bucket: &Bucket) -> (NamespaceName, BucketName) {
    (bucket.namespace().clone(), bucket.name().clone())
}

fn bytes_of(key: &str, entry: &Entry) -> u64 {
    (key.len() + entry.value.len()) as u64
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn get(&self, bucket: &Bucket, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(self.lock().entry(bucket, key).cloned())
    }

    async fn swap(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        expect: Expect,
    ) -> Result<Version, SetError> {
        check_entry(key, &value)?;
        let mut state = self.lock();
        let found = state.entry(bucket, key).map(|found| found.version);
        let is_expected = match expect {
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
            Expect::Any => true,
        };
        if !is_expected {
            return Err(SetError::Conflict { found });
        }
        // The caller's bytes may be a small part of a large buffer.
        state.write(bucket, key, Bytes::copy_from_slice(&value))
    }

    async fn delete(&self, bucket: &Bucket, key: &str) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let place = place(bucket);
        let Some(held) = state.buckets.get_mut(&place) else {
            return Ok(false);
        };
        let Some(taken) = held.entries.remove(key) else {
            return Ok(false);
        };
        held.bytes -= bytes_of(key, &taken);
        if held.entries.is_empty() {
            state.buckets.remove(&place);
        }
        Ok(true)
    }

    async fn list(
        &self,
        bucket: &Bucket,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let state = self.lock();
        let Some(held) = state.held(bucket) else {
            return Ok(Vec::new());
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = held.entries.range::<str, _>((from, Bound::Unbounded));
        let keys = keys.map(|(key, _)| key.clone());
        Ok(keys.take(limit.min(ENTRIES_LIST_MAX)).collect())
    }

    async fn increment(&self, bucket: &Bucket, key: &str, by: i64) -> Result<i64, SetError> {
        check_key(key)?;
        let mut state = self.lock();
        let sum = sum(state.entry(bucket, key).map(|found| &*found.value), by)?;
        state.write(bucket, key, Bytes::from(sum.to_string()))?;
        Ok(sum)
    }

    async fn buckets(
        &self,
        namespace: &NamespaceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BucketUse>, StoreError> {
        let state = self.lock();
        let own = state.buckets.iter().filter(|((of, name), held)| {
            let is_after = after.is_none_or(|after| name.as_str() > after);
            of == namespace && is_after && !held.entries.is_empty()
        });
        let uses = own.map(|((_, name), held)| BucketUse {
            name: name.clone(),
            entries: held.entries.len() as u64,
            bytes: held.bytes,
        });
        Ok(uses.take(limit.min(ENTRIES_LIST_MAX)).collect())
    }

    async fn clear(&self, bucket: &Bucket) -> Result<u64, StoreError> {
        let taken = self.lock().buckets.remove(&place(bucket));
        Ok(taken.map_or(0, |held| held.entries.len() as u64))
    }
}
