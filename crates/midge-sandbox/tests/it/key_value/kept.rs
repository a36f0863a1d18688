//! A place for values that does what a test wants: keeps them, fails, or never answers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use midge_sandbox::{Bucket, Expected, KeyValues, KvFault, Swapped, Value};
use wasmtime_wasi::async_trait;

/// Values in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    buckets: Mutex<BTreeMap<String, BTreeMap<String, Value>>>,
    writes: Mutex<u64>,
    /// How many calls were made.
    pub(crate) calls: AtomicUsize,
    /// Whether calls fail.
    fails: bool,
    /// Whether calls are never answered.
    hangs: bool,
}

impl Kept {
    /// One whose calls fail.
    pub(crate) fn failing() -> Self {
        Self {
            fails: true,
            ..Self::default()
        }
    }

    /// One whose calls are never answered.
    pub(crate) fn hanging() -> Self {
        Self {
            hangs: true,
            ..Self::default()
        }
    }

    async fn call<T>(
        &self,
        on: impl FnOnce(&mut BTreeMap<String, Value>) -> T,
        bucket: &Bucket,
    ) -> Result<T, KvFault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        // What is kept elsewhere is never there at once.
        tokio::task::yield_now().await;
        if self.fails {
            return Err(KvFault("the store is on fire".to_owned()));
        }
        let name = format!("{}/{}", bucket.namespace, bucket.name);
        let mut buckets = self.buckets.lock().unwrap();
        Ok(on(buckets.entry(name).or_default()))
    }

    fn next(&self) -> u64 {
        let mut writes = self.writes.lock().unwrap();
        *writes += 1;
        *writes
    }
}

#[async_trait]
impl KeyValues for Kept {
    async fn get(&self, bucket: &Bucket, key: &str) -> Result<Option<Value>, KvFault> {
        self.call(|held| held.get(key).cloned(), bucket).await
    }

    async fn exists(&self, bucket: &Bucket, key: &str) -> Result<bool, KvFault> {
        self.call(|held| held.contains_key(key), bucket).await
    }

    async fn set(&self, bucket: &Bucket, key: &str, bytes: Bytes) -> Result<(), KvFault> {
        let version = self.next();
        let value = Value { bytes, version };
        self.call(|held| drop(held.insert(key.to_owned(), value)), bucket)
            .await
    }

    async fn swap(
        &self,
        bucket: &Bucket,
        key: &str,
        bytes: Bytes,
        expected: Expected,
    ) -> Result<Swapped, KvFault> {
        let version = self.next();
        let swap = |held: &mut BTreeMap<String, Value>| {
            let found = held.get(key);
            let found = found.map_or(Expected::Absent, |found| Expected::Version(found.version));
            if found != expected {
                return Swapped::Not(found);
            }
            held.insert(key.to_owned(), Value { bytes, version });
            Swapped::Done
        };
        self.call(swap, bucket).await
    }

    async fn delete(&self, bucket: &Bucket, key: &str) -> Result<(), KvFault> {
        self.call(|held| drop(held.remove(key)), bucket).await
    }

    async fn list(
        &self,
        bucket: &Bucket,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvFault> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let list = |held: &mut BTreeMap<String, Value>| {
            let keys = held.range::<str, _>((from, Bound::Unbounded));
            keys.take(limit).map(|(key, _)| key.clone()).collect()
        };
        self.call(list, bucket).await
    }

    async fn increment(&self, bucket: &Bucket, key: &str, by: i64) -> Result<i64, KvFault> {
        let version = self.next();
        let add = |held: &mut BTreeMap<String, Value>| {
            let before = held.get(key).map(|found| found.bytes.clone());
            let before = before.unwrap_or_else(|| Bytes::from_static(b"0"));
            let number: Option<i64> = str::from_utf8(&before).ok()?.parse().ok();
            let sum = number?.checked_add(by)?;
            let bytes = Bytes::from(sum.to_string());
            held.insert(key.to_owned(), Value { bytes, version });
            Some(sum)
        };
        let sum = self.call(add, bucket).await?;
        sum.ok_or_else(|| KvFault("the value is not a whole number".to_owned()))
    }
}
