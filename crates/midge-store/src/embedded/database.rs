//! The threads that talk to SQLite.
//!
//! One thread writes: it takes the writes that wait, up to a bound, into one transaction, so that
//! under load many share one sync of the disk, and answers each when that is done. Two threads
//! read, each over a connection of its own, and never wait for the writer.
//!
//! **Invariant:** no write is answered before the transaction it is in is on disk.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use midge_model::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::lock::Lock;
use super::schema::{open_reader, open_writer};
use super::sql::{self, doing};
use super::{OpenError, registry, watch::Positions};
use crate::{StoreError, Version};

/// How many operations wait for a thread before callers wait to wait.
const WAITING_MAX: usize = 1_024;
/// How many writes share one transaction.
const GROUP_MAX: usize = 128;
/// Deletions that every watch has seen are forgotten once in so many transactions.
const FORGET_EVERY: u64 = 256;
/// Threads that read: a long list does not hold up a short look.
const READERS: usize = 2;

/// What time it is; tests have their own.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The database of an open store. Dropping it ends its threads, and waits for them.
pub(super) struct Database {
    readers: [Lane<Read>; READERS],
    /// After the readers, because only the last connection to close can clear the log away, and
    /// theirs may not write.
    writer: Lane<Box<dyn Write>>,
    next_reader: AtomicUsize,
    newest: watch::Receiver<Version>,
    positions: Arc<Mutex<Positions>>,
    clock: Clock,
    /// Last, so that the next node gets the store when the threads are done with it.
    _lock: Lock,
}

/// A thread and what it is to do.
struct Lane<Job> {
    /// None only while it ends.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Read = Box<dyn FnOnce(&mut Connection) + Send>;

/// A write on its way through a transaction: first it runs, then it is answered.
trait Write: Send {
    /// Runs within a transaction; what it answers is kept back. The error is the transaction's.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    /// Answers: the transaction is on disk, or what became of it.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Waiting<Work, Answer, Error> {
    work: Option<Work>,
    answer: Option<Result<Answer, Error>>,
    to: oneshot::Sender<Result<Answer, Error>>,
}

impl Database {
    /// Opens the file and starts the threads.
    pub(super) fn open(path: &Path, clock: Clock, lock: Lock) -> Result<Self, OpenError> {
        let writer = open_writer(path)?;
        // Nobody watches yet, so nobody needs to be told of deletions.
        let version = registry::newest(&writer).map_err(doing("read the newest version"))?;
        registry::forget_deletions(&writer, version).map_err(doing("forget deletions"))?;
        let (tell, newest) = watch::channel(version);
        let positions = Arc::default();
        let readers = [reader(path)?, reader(path)?];
        let writer = Lane::start("store-writer", {
            let positions = Arc::clone(&positions);
            move |jobs| write_all(writer, jobs, &tell, &positions)
        })?;
        Ok(Self {
            writer,
            readers,
            next_reader: AtomicUsize::new(0),
            newest,
            positions,
            clock,
            _lock: lock,
        })
    }

    /// Runs a write in a transaction. Whoever gives up waiting does not know what became of it.
    pub(super) async fn write<Answer, Error, Work>(&self, work: Work) -> Result<Answer, Error>
    where
        Answer: Send + 'static,
        Error: From<StoreError> + Send + 'static,
        Work: FnOnce(&Connection) -> Result<Answer, Error> + Send + 'static,
    {
        let (to, answer) = oneshot::channel();
        let waiting = Waiting {
            work: Some(work),
            answer: None,
            to,
        };
        self.writer.send(Box::new(waiting)).await?;
        answer.await.unwrap_or(Err(StoreError::Closed.into()))
    }

    /// Runs a read, which sees every write that was answered before it.
    pub(super) async fn read<Answer: Send + 'static>(
        &self,
        step: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<Answer> + Send + 'static,
    ) -> Result<Answer, StoreError> {
        let (to, answer) = oneshot::channel();
        let job: Read = Box::new(move |connection| {
            // Nobody waits any more: that is theirs to know.
            drop(to.send(work(connection)));
        });
        let nth = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        self.readers[nth].send(job).await?;
        let answer = answer.await.map_err(|_| StoreError::Closed)?;
        answer.map_err(doing(step))
    }

    /// The newest version that is on disk, and word of newer ones.
    pub(super) fn newest(&self) -> watch::Receiver<Version> {
        self.newest.clone()
    }

    /// How far the watches are.
    pub(super) fn positions(&self) -> &Arc<Mutex<Positions>> {
        &self.positions
    }

    /// What time it is.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("newest", &*self.newest.borrow())
            .finish_non_exhaustive()
    }
}

impl<Job: Send + 'static> Lane<Job> {
    fn start(
        name: &'static str,
        run: impl FnOnce(mpsc::Receiver<Job>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(waiting))
            .map_err(|error| StoreError::database("start a thread", error))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)
    }
}

impl<Job> Drop for Lane<Job> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

impl<Work, Answer, Error> Write for Waiting<Work, Answer, Error>
where
    Answer: Send,
    Error: From<StoreError> + Send,
    Work: FnOnce(&Connection) -> Result<Answer, Error> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(work) = self.work.take().filter(|_| !self.to.is_closed()) else {
            return Ok(());
        };
        // One write that fails must not take those before it along.
        sql::execute(connection, "SAVEPOINT one", [])?;
        let answer = work(connection);
        if answer.is_err() {
            sql::execute(connection, "ROLLBACK TO one", [])?;
        }
        self.answer = Some(answer);
        sql::execute(connection, "RELEASE one", [])?;
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (committed, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => return,
            // Also to a write that was refused: what it found may have been rolled back.
            (Err(error), _) => Err(error.into()),
        };
        drop(self.to.send(answer));
    }
}

fn reader(path: &Path) -> Result<Lane<Read>, StoreError> {
    let mut connection = open_reader(path)?;
    Lane::start("store-reader", move |mut jobs: mpsc::Receiver<Read>| {
        while let Some(job) = jobs.blocking_recv() {
            job(&mut connection);
        }
    })
}

fn write_all(
    mut connection: Connection,
    mut jobs: mpsc::Receiver<Box<dyn Write>>,
    newest: &watch::Sender<Version>,
    positions: &Mutex<Positions>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    let mut commits_count: u64 = 0;
    while jobs.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        commits_count += 1;
        let forget = commits_count.is_multiple_of(FORGET_EVERY).then(|| {
            // A watch that starts after this begins at the newest version that is told, so it has
            // no use for what is forgotten up to there.
            let told = *newest.borrow();
            let positions = positions.lock().unwrap_or_else(PoisonError::into_inner);
            positions.slowest().unwrap_or(told)
        });
        match commit(&mut connection, &mut group, forget) {
            Ok(version) => {
                // Watches first: who has an answer may ask whether a watch saw it.
                newest.send_if_modified(|known| std::mem::replace(known, version) != version);
                for write in group.drain(..) {
                    write.answer(Ok(()));
                }
            }
            Err(error) => {
                let text = error.to_string();
                for write in group.drain(..) {
                    write.answer(Err(StoreError::database("write", text.clone())));
                }
            }
        }
    }
    // Leaves one file behind, without a log beside it.
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "store closed uncleanly");
    }
}

/// Runs the writes of a group in one transaction; says what the newest version is after it.
fn commit(
    connection: &mut Connection,
    group: &mut [Box<dyn Write>],
    forget: Option<Version>,
) -> rusqlite::Result<Version> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for write in group {
        write.run(&transaction)?;
    }
    if let Some(seen) = forget {
        registry::forget_seen_deletions(&transaction, seen)?;
    }
    let version = registry::newest(&transaction)?;
    transaction.commit()?;
    Ok(version)
}
