//! A worker's end: what its guests want of their buckets is asked for and waited for.
//!
//! **Invariant:** nobody waits for ever: when the other end is gone, every call fails.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use midge_sandbox::{Bucket, Expected, KeyValues, KvFault, Swapped, Value};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::wire::{Answer, Ask, Told, What, frame, receive};

/// Questions that wait to be written. Beyond that guests wait to ask.
const WAITING_MAX: usize = 64;

/// Asks the supervisor's process.
#[derive(Debug)]
pub(crate) struct Asking {
    frames: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
}

/// Whom to tell, by what the question was called; `None` once no answer will come.
type Askers = Option<HashMap<u64, oneshot::Sender<(Answer, Bytes)>>>;

/// Who waits for which answer.
#[derive(Debug)]
struct Waiting(Mutex<Askers>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Askers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asked is gone, or has its answer: nobody waits for it any more.
struct Asked<'a>(&'a Waiting, u64);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut *self.0.lock() {
            waiting.remove(&self.1);
        }
    }
}

impl Asking {
    /// Asks through this socket, on the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// The socket cannot be waited for.
    pub(crate) fn start(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (read, write) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let (frames, written) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Waiting(Mutex::new(Some(HashMap::new()))));
        tokio::spawn(pass_on(read, Arc::clone(&waiting)));
        tokio::spawn(write_all(write, written));
        Ok(Self {
            frames,
            waiting,
            next: AtomicU64::new(0),
        })
    }

    async fn ask(
        &self,
        bucket: &Bucket,
        what: What,
        body: Bytes,
    ) -> Result<(Answer, Bytes), KvFault> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        match &mut *self.waiting.lock() {
            Some(waiting) => drop(waiting.insert(id, tell)),
            None => return Err(gone()),
        }
        let _asked = Asked(&self.waiting, id);
        let ask = Ask {
            id,
            namespace: bucket.namespace.clone(),
            bucket: bucket.name.clone(),
            what,
        };
        let sent = self.frames.send(frame(&ask, &body)).await;
        sent.map_err(|_| gone())?;
        match told.await.map_err(|_| gone())? {
            (Answer::Failed(words), _) => Err(KvFault(words)),
            answer => Ok(answer),
        }
    }

    /// The same without a value.
    async fn ask_for(&self, bucket: &Bucket, what: What) -> Result<Answer, KvFault> {
        let (answer, _) = self.ask(bucket, what, Bytes::new()).await?;
        Ok(answer)
    }
}

/// Tells those who wait, until the other end is gone.
async fn pass_on(mut from: OwnedReadHalf, waiting: Arc<Waiting>) {
    loop {
        match receive::<Told>(&mut from).await {
            Ok(Some((told, body))) => {
                let who = match &mut *waiting.lock() {
                    Some(waiting) => waiting.remove(&told.id),
                    None => None,
                };
                // Without anybody who waits its guest has ended.
                if let Some(who) = who {
                    drop(who.send((told.answer, body)));
                }
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "values cannot be read from the supervisor");
                break;
            }
        }
    }
    *waiting.lock() = None;
}

async fn write_all(mut to: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    use tokio::io::AsyncWriteExt as _;
    while let Some(frame) = frames.recv().await {
        if let Err(error) = to.write_all(&frame).await {
            // Whoever waits is told by the end of what is read.
            return tracing::debug!(%error, "values cannot be asked for");
        }
    }
}

fn gone() -> KvFault {
    KvFault("the node's store does not answer, try again later".to_owned())
}

fn odd() -> KvFault {
    KvFault("the node's store gave another answer than was asked for".to_owned())
}

#[async_trait]
impl KeyValues for Asking {
    async fn get(&self, bucket: &Bucket, key: &str) -> Result<Option<Value>, KvFault> {
        let key = key.to_owned();
        match self.ask(bucket, What::Get { key }, Bytes::new()).await? {
            (Answer::Value { version }, bytes) => Ok(Some(Value { bytes, version })),
            (Answer::Nothing, _) => Ok(None),
            _ => Err(odd()),
        }
    }

    async fn exists(&self, bucket: &Bucket, key: &str) -> Result<bool, KvFault> {
        let key = key.to_owned();
        match self.ask_for(bucket, What::Exists { key }).await? {
            Answer::Is(is) => Ok(is),
            _ => Err(odd()),
        }
    }

    async fn set(&self, bucket: &Bucket, key: &str, value: Bytes) -> Result<(), KvFault> {
        let key = key.to_owned();
        match self.ask(bucket, What::Set { key }, value).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(odd()),
        }
    }

    async fn swap(
        &self,
        bucket: &Bucket,
        key: &str,
        value: Bytes,
        expected: Expected,
    ) -> Result<Swapped, KvFault> {
        let key = key.to_owned();
        let expected = match expected {
            Expected::Absent => None,
            Expected::Version(version) => Some(version),
        };
        match self
            .ask(bucket, What::Swap { key, expected }, value)
            .await?
        {
            (Answer::Done, _) => Ok(Swapped::Done),
            (Answer::Not { found }, _) => Ok(Swapped::Not(
                found.map_or(Expected::Absent, Expected::Version),
            )),
            _ => Err(odd()),
        }
    }

    async fn delete(&self, bucket: &Bucket, key: &str) -> Result<(), KvFault> {
        let key = key.to_owned();
        match self.ask_for(bucket, What::Delete { key }).await? {
            Answer::Done => Ok(()),
            _ => Err(odd()),
        }
    }

    async fn list(
        &self,
        bucket: &Bucket,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvFault> {
        let after = after.map(str::to_owned);
        match self.ask_for(bucket, What::List { after, limit }).await? {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(odd()),
        }
    }

    async fn increment(&self, bucket: &Bucket, key: &str, by: i64) -> Result<i64, KvFault> {
        let key = key.to_owned();
        match self.ask_for(bucket, What::Increment { key, by }).await? {
            Answer::Number(sum) => Ok(sum),
            _ => Err(odd()),
        }
    }
}
