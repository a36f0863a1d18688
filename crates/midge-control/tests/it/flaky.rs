//! A store that fails at a write of one's choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::Digest;
use midge_store::{
    ArtifactInfo, ArtifactWriter, Artifacts, Expect, FinishError, Key, Prefix, PutError, Record,
    Registry, Room, Store, StoreError, Version, Watch,
};

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is not made, and those after it are.
    Once,
    /// It is made, and answered as if it were not.
    Ambiguous,
    /// Neither it nor any after it is made: the node was killed.
    Killed,
}

/// Counts writes down to the one that fails.
#[derive(Debug)]
pub(crate) struct Fuse {
    /// Writes that still succeed; below zero it has blown.
    left: AtomicI64,
    failure: std::sync::Mutex<Failure>,
    /// Artifacts that are being read, the most there were at a time, and all there were.
    reading: AtomicI64,
    pub(crate) reading_most: AtomicI64,
    pub(crate) reads: AtomicI64,
    /// How much room there is said to be, in place of what there is.
    pub(crate) room: std::sync::Mutex<Option<Room>>,
}

/// What becomes of a write.
#[derive(PartialEq, Eq)]
enum Fate {
    Made,
    Lost,
    MadeAndLost,
}

impl Fuse {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(i64::MAX),
            failure: std::sync::Mutex::new(Failure::Once),
            reading: AtomicI64::new(0),
            reading_most: AtomicI64::new(0),
            reads: AtomicI64::new(0),
            room: std::sync::Mutex::new(None),
        })
    }

    /// Lets so many writes pass and then fails.
    pub(crate) fn arm(&self, writes: i64, failure: Failure) {
        *self.failure.lock().unwrap() = failure;
        self.left.store(writes, Ordering::SeqCst);
    }

    /// Lets every write pass; says whether one failed.
    pub(crate) fn disarm(&self) -> bool {
        self.left.swap(i64::MAX, Ordering::SeqCst) < 0
    }

    fn burn(&self) -> Fate {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        match (*self.failure.lock().unwrap(), left) {
            (_, 1..) => Fate::Made,
            (Failure::Once, 0) => Fate::Lost,
            (Failure::Ambiguous, 0) => Fate::MadeAndLost,
            (Failure::Killed, _) => Fate::Lost,
            (_, _) => Fate::Made,
        }
    }
}

/// The same store with a fuse.
pub(crate) fn flaky(store: &Store, fuse: &Arc<Fuse>) -> Store {
    Store {
        registry: Arc::new(FlakyRegistry {
            inner: store.registry.clone(),
            fuse: fuse.clone(),
        }),
        artifacts: Arc::new(FlakyArtifacts {
            inner: store.artifacts.clone(),
            fuse: fuse.clone(),
        }),
        ..store.clone()
    }
}

#[derive(Debug)]
struct FlakyRegistry {
    inner: Arc<dyn Registry>,
    fuse: Arc<Fuse>,
}

#[derive(Debug)]
struct FlakyArtifacts {
    inner: Arc<dyn Artifacts>,
    fuse: Arc<Fuse>,
}

#[derive(Debug)]
struct FlakyWriter {
    inner: Box<dyn ArtifactWriter>,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl Registry for FlakyRegistry {
    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: Bytes, expect: Expect) -> Result<Version, PutError> {
        match self.fuse.burn() {
            Fate::Made => self.inner.put(key, value, expect).await,
            Fate::Lost => Err(StoreError::Closed.into()),
            Fate::MadeAndLost => {
                self.inner.put(key, value, expect).await?;
                Err(StoreError::Closed.into())
            }
        }
    }

    async fn delete(&self, key: &Key, expect: Expect) -> Result<Version, PutError> {
        match self.fuse.burn() {
            Fate::Made => self.inner.delete(key, expect).await,
            Fate::Lost => Err(StoreError::Closed.into()),
            Fate::MadeAndLost => {
                self.inner.delete(key, expect).await?;
                Err(StoreError::Closed.into())
            }
        }
    }

    async fn list(
        &self,
        prefix: &Prefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn watch(&self, prefix: &Prefix) -> Result<Watch, StoreError> {
        self.inner.watch(prefix).await
    }

    async fn version(&self) -> Result<Version, StoreError> {
        self.inner.version().await
    }
}

#[async_trait]
impl Artifacts for FlakyArtifacts {
    async fn create(&self) -> Result<Box<dyn ArtifactWriter>, StoreError> {
        Ok(Box::new(FlakyWriter {
            inner: self.inner.create().await?,
            fuse: self.fuse.clone(),
        }))
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let now = self.fuse.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.fuse.reading_most.fetch_max(now, Ordering::SeqCst);
        self.fuse.reads.fetch_add(1, Ordering::SeqCst);
        // Others get their turn, as with a slow disk.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let found = self.inner.get(digest).await;
        self.fuse.reading.fetch_sub(1, Ordering::SeqCst);
        found
    }

    async fn size(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.inner.size(digest).await
    }

    async fn delete(&self, digest: &Digest) -> Result<bool, StoreError> {
        match self.fuse.burn() {
            Fate::Made => self.inner.delete(digest).await,
            Fate::Lost => Err(StoreError::Closed),
            Fate::MadeAndLost => {
                self.inner.delete(digest).await?;
                Err(StoreError::Closed)
            }
        }
    }

    async fn list(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<ArtifactInfo>, StoreError> {
        self.inner.list(after, limit).await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        let said = *self.fuse.room.lock().unwrap();
        match said {
            Some(room) => Ok(room),
            None => self.inner.room().await,
        }
    }
}

#[async_trait]
impl ArtifactWriter for FlakyWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>, expected: &Digest) -> Result<u64, FinishError> {
        match self.fuse.burn() {
            Fate::Made => self.inner.finish(expected).await,
            Fate::Lost => Err(StoreError::Closed.into()),
            Fate::MadeAndLost => {
                self.inner.finish(expected).await?;
                Err(StoreError::Closed.into())
            }
        }
    }
}
