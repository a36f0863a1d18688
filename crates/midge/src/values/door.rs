//! The supervisor's end: workers ask here, and the store answers.
//!
//! On a thread of its own, so that nothing that guests keep holds up the supervisor's watch over its
//! workers, nor its administration. What a worker says is not trusted: it gets to the buckets that
//! some function which is served was granted, and to no others.
//!
//! **Invariant:** a worker has so many questions under way and no more; what it asks beyond waits in
//! its own socket.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use midge_model::{BucketName, NamespaceName};
use midge_store::{Bucket, Entry, Expect, Keys, SetError, StoreError, Version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use super::wire::{Answer, Ask, Told, What, frame, receive};
use crate::cmd::fault::chain;
use crate::supervisor::Roster;

/// Questions of one worker that are being answered. Each may hold a value of a mebibyte.
const AT_ONCE_MAX: usize = 64;

/// Workers that wait to be listened to: all that a node may have, started at once.
const WORKERS_WAITING_MAX: usize = 1_024;

/// Buckets of which it is remembered whether they were granted, until functions change.
const REMEMBERED_MAX: usize = 4_096;

/// A store that fails is told of once in so much time, however often guests ask it.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Where workers ask for values.
#[derive(Debug, Clone)]
pub(crate) struct ValuesDoor(mpsc::Sender<UnixStream>);

impl ValuesDoor {
    /// Opens it over a store. With a roster, workers get to the buckets that it says are granted;
    /// without one to all.
    ///
    /// # Errors
    ///
    /// The system gave no thread.
    pub(crate) fn open(keys: Arc<dyn Keys>, roster: Option<Arc<Roster>>) -> io::Result<Self> {
        let (sockets, taken) = mpsc::channel(WORKERS_WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let work = move || LocalSet::new().block_on(&runtime, serve(keys, roster, taken));
        thread::Builder::new()
            .name("values".to_owned())
            .spawn(work)?;
        Ok(Self(sockets))
    }

    /// The end of a new conversation, for one worker.
    ///
    /// # Errors
    ///
    /// There are no descriptors left, or the thread is gone.
    pub(crate) fn connect(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let taken = self.0.try_send(ours);
        taken.map_err(|_| io::Error::other("the thread for values takes no more workers"))?;
        Ok(theirs)
    }
}

/// Answers all workers, until the door is dropped.
async fn serve(
    keys: Arc<dyn Keys>,
    roster: Option<Arc<Roster>>,
    mut sockets: mpsc::Receiver<UnixStream>,
) {
    let keeper = Rc::new(Keeper {
        keys,
        roster,
        granted: RefCell::default(),
        told: Cell::new(None),
    });
    while let Some(socket) = sockets.recv().await {
        let keeper = Rc::clone(&keeper);
        spawn_local(async move {
            if let Err(error) = keeper.talk(socket).await {
                tracing::warn!(%error, "a worker that asks for values speaks nonsense");
            }
        });
    }
}

/// What all conversations have in common.
struct Keeper {
    keys: Arc<dyn Keys>,
    roster: Option<Arc<Roster>>,
    granted: RefCell<Granted>,
    /// When it was last said that the store fails.
    told: Cell<Option<Instant>>,
}

/// Which buckets are granted, as of an order of the roster.
#[derive(Default)]
struct Granted {
    order: u64,
    buckets: HashMap<(NamespaceName, BucketName), bool>,
}

impl Keeper {
    /// Answers one worker until it hangs up.
    async fn talk(self: Rc<Self>, socket: UnixStream) -> io::Result<()> {
        let (mut from, to) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let room = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let (answers, answered) = mpsc::channel(AT_ONCE_MAX);
        spawn_local(write_all(to, answered));
        while let Some((ask, body)) = receive::<Ask>(&mut from).await? {
            let place = Arc::clone(&room).acquire_owned().await;
            let place = place.expect("nobody closes it");
            let (keeper, answers) = (Rc::clone(&self), answers.clone());
            spawn_local(async move {
                let id = ask.id;
                let (answer, value) = keeper.answer(ask, body).await;
                // Who does not read any more is gone.
                drop(answers.send(frame(&Told { id, answer }, &value)).await);
                drop(place);
            });
        }
        Ok(())
    }

    async fn answer(&self, ask: Ask, body: Bytes) -> (Answer, Bytes) {
        if !self.is_granted(&ask.namespace, &ask.bucket) {
            let words = "no function is granted this bucket any more".to_owned();
            return (Answer::Failed(words), Bytes::new());
        }
        let bucket = Bucket::of(ask.namespace, ask.bucket);
        match self.call(&bucket, ask.what, body).await {
            Ok((answer, value)) => (answer, value),
            Err(fault) => (Answer::Failed(self.in_words(fault)), Bytes::new()),
        }
    }

    async fn call(
        &self,
        bucket: &Bucket,
        what: What,
        body: Bytes,
    ) -> Result<(Answer, Bytes), SetError> {
        let keys = &*self.keys;
        let answer = match what {
            What::Get { key } => match keys.get(bucket, &key).await? {
                Some(Entry { value, version }) => {
                    let version = version.get();
                    return Ok((Answer::Value { version }, value));
                }
                None => Answer::Nothing,
            },
            What::Exists { key } => Answer::Is(keys.get(bucket, &key).await?.is_some()),
            What::Set { key } => {
                keys.set(bucket, &key, body).await?;
                Answer::Done
            }
            What::Swap { key, expected } => {
                let expect = expected.map_or(Expect::Absent, |version| {
                    Expect::Version(Version::new(version))
                });
                match keys.swap(bucket, &key, body, expect).await {
                    Ok(_) => Answer::Done,
                    Err(SetError::Conflict { found }) => Answer::Not {
                        found: found.map(Version::get),
                    },
                    Err(error) => return Err(error),
                }
            }
            What::Delete { key } => {
                keys.delete(bucket, &key).await?;
                Answer::Done
            }
            What::List { after, limit } => {
                Answer::Keys(keys.list(bucket, after.as_deref(), limit).await?)
            }
            What::Increment { key, by } => Answer::Number(keys.increment(bucket, &key, by).await?),
        };
        Ok((answer, Bytes::new()))
    }

    /// Whether some function that is served was granted the bucket.
    fn is_granted(&self, namespace: &NamespaceName, bucket: &BucketName) -> bool {
        let Some(roster) = &self.roster else {
            return true;
        };
        let mut granted = self.granted.borrow_mut();
        let order = roster.last_order();
        if granted.order != order || granted.buckets.len() >= REMEMBERED_MAX {
            *granted = Granted {
                order,
                buckets: HashMap::new(),
            };
        }
        let which = (namespace.clone(), bucket.clone());
        let is_granted = || roster.grants_bucket(namespace, bucket);
        *granted.buckets.entry(which).or_insert_with(is_granted)
    }

    /// What a guest is told. How the store failed is for the operator.
    fn in_words(&self, error: SetError) -> String {
        let SetError::Store(error) = error else {
            return error.to_string();
        };
        self.tell(&error);
        "the node's store does not answer, try again later".to_owned()
    }

    fn tell(&self, error: &StoreError) {
        let now = Instant::now();
        let is_due = |told: Instant| now.duration_since(told) >= TOLD_EVERY;
        if self.told.get().is_none_or(is_due) {
            self.told.set(Some(now));
            let reason = chain(error);
            tracing::warn!(reason, "values of functions cannot be read or kept");
        }
    }
}

async fn write_all(mut to: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if let Err(error) = to.write_all(&frame).await {
            return tracing::debug!(%error, "a worker that asked for values is gone");
        }
    }
}
