//! Messages that wait until somebody has dealt with them.
//!
//! Decides what every back end's queues do: at-least-once delivery by lease, delays,
//! de-duplication within a window, dead letters. What a message says and when to try again is
//! for those to decide who push and lease.
//!
//! **Invariant:** a message that was pushed is delivered again and again until it is acked, purged
//! or a dead letter; never to two at once as long as leases are kept.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use midge_model::Timestamp;

use crate::{Key, StoreError};

/// The longest body of a message in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The longest name for de-duplication in bytes.
pub const DEDUP_BYTES_MAX: usize = 256;
/// How long a message's name keeps others of that name out.
pub const DEDUP_WINDOW: Duration = Duration::from_secs(120);
/// The most messages that wait in one queue, those leased included.
pub const QUEUE_MESSAGES_MAX: u64 = 1_000_000;
/// The most dead letters of one queue; the oldest make room.
pub const DEAD_MAX: u64 = 10_000;
/// The most messages leased, listed or requeued at once.
pub const LEASE_MESSAGES_MAX: usize = 256;
/// The longest delay and the longest lease.
pub const DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The most deliveries of one message.
pub const ATTEMPTS_MAX: u32 = 1_000;

/// What is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub body: Bytes,
    /// A name: within [`DEDUP_WINDOW`] a second message of this name in this queue is dropped.
    pub dedup: Option<String>,
    /// How long it waits before its first delivery; [`DELAY_MAX`] at most.
    pub delay: Duration,
    /// After how many deliveries it is a dead letter: 1 to [`ATTEMPTS_MAX`].
    pub attempts_max: u32,
}

/// Which message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The message that waits now.
    pub id: MessageId,
    /// Whether it is an earlier one of the same name.
    pub duplicate: bool,
}

/// A message that somebody has for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// What ends or extends the lease.
    pub lease: Lease,
    /// What it says.
    pub body: Bytes,
    /// Which delivery this is, counted from 1.
    pub attempt: u32,
    /// After how many it is a dead letter.
    pub attempts_max: u32,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// Until when nobody else gets it.
    pub until: Timestamp,
}

/// The right to say what becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// In which queue.
    pub queue: Key,
    /// Of which message.
    pub id: MessageId,
    /// Which delivery of it: leases that ran out are known by this.
    pub attempt: u32,
}

/// A message that was delivered as often as it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Which message.
    pub id: MessageId,
    /// What it says.
    pub body: Bytes,
    /// How often it was delivered.
    pub attempts: u32,
    /// When it was pushed.
    pub pushed_at: Timestamp,
    /// When it was given up.
    pub dead_at: Timestamp,
}

/// How many messages a queue has, by what they wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// For somebody to lease them.
    pub ready: u64,
    /// For their time.
    pub delayed: u64,
    /// For the end of their lease.
    pub leased: u64,
    /// For a human.
    pub dead: u64,
}

/// What a message that was handed back waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nacked {
    /// Its next delivery.
    Again,
    /// A human: this was its last delivery.
    Dead,
}

/// Why a message was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Longer than a message is; nothing but a smaller one helps.
    #[error("the message would have {length_bytes} bytes, the longest has {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// How long the body is.
        length_bytes: usize,
    },
    /// The name for de-duplication is too long or empty.
    #[error("the message's name has {length_bytes} bytes, write 1 to {DEDUP_BYTES_MAX}")]
    BadName {
        /// How long it is.
        length_bytes: usize,
    },
    /// No delivery, or too many.
    #[error("the message asks for {attempts_max} deliveries, write 1 to {ATTEMPTS_MAX}")]
    BadAttempts {
        /// What was asked for.
        attempts_max: u32,
    },
    /// The queue has as many messages as it may; try again when some are done.
    #[error("queue `{queue}` is full with {QUEUE_MESSAGES_MAX} messages")]
    Full {
        /// Which queue.
        queue: Key,
    },
    /// The store did not answer. Whether the message was taken in is not known, so push it
    /// again under the same name.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lease did not count.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// It ran out and somebody else has the message, or the message is gone: undo what can be.
    #[error("the lease on message {id} of queue `{queue}` ran out")]
    Lost {
        /// In which queue.
        queue: Key,
        /// Of which message.
        id: MessageId,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Queues by name. A queue is there as soon as somebody pushes to it.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    /// Takes a message in, durably.
    ///
    /// # Errors
    ///
    /// The message is out of bounds, the queue is full, or the store did not answer.
    async fn push(&self, queue: &Key, message: Message) -> Result<Pushed, PushError>;

    /// Leases the messages that waited longest, `max` and [`LEASE_MESSAGES_MAX`] at most, for a
    /// time. Answers at once, with none if none is ready.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn lease(
        &self,
        queue: &Key,
        max: usize,
        time: Duration,
    ) -> Result<Vec<Leased>, StoreError>;

    /// The message is dealt with and goes.
    ///
    /// # Errors
    ///
    /// The lease ran out, or the store did not answer.
    async fn ack(&self, lease: &Lease) -> Result<(), LeaseError>;

    /// The message is not dealt with and is delivered again after `delay`, or is a dead letter.
    ///
    /// # Errors
    ///
    /// The lease ran out, or the store did not answer.
    async fn nack(&self, lease: &Lease, delay: Duration) -> Result<Nacked, LeaseError>;

    /// The lease runs out `time` from now; says when that is.
    ///
    /// # Errors
    ///
    /// It ran out already, or the store did not answer.
    async fn extend(&self, lease: &Lease, time: Duration) -> Result<Timestamp, LeaseError>;

    /// The dead letters in the order they were pushed, from the one after `after` on:
    /// as many as `limit` and [`LEASE_MESSAGES_MAX`] allow, and fewer only if there are no more.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn dead(
        &self,
        queue: &Key,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// A dead letter is delivered again, as often as a new message; says whether it was there.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn requeue(&self, queue: &Key, id: MessageId) -> Result<bool, StoreError>;

    /// Takes everything out of a queue, dead letters too; says how many there were.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn purge(&self, queue: &Key) -> Result<u64, StoreError>;

    /// How many messages there are.
    ///
    /// # Errors
    ///
    /// The store did not answer.
    async fn depth(&self, queue: &Key) -> Result<Depth, StoreError>;
}

impl Message {
    /// A message that is delivered at once, up to `attempts_max` times, and has no name.
    pub fn new(body: impl Into<Bytes>, attempts_max: u32) -> Self {
        Self {
            body: body.into(),
            dedup: None,
            delay: Duration::ZERO,
            attempts_max,
        }
    }

    /// Whether it is within its bounds.
    pub(crate) fn check(&self) -> Result<(), PushError> {
        if self.body.len() > MESSAGE_BYTES_MAX {
            let length_bytes = self.body.len();
            return Err(PushError::TooLarge { length_bytes });
        }
        if let Some(name) = &self.dedup
            && !(1..=DEDUP_BYTES_MAX).contains(&name.len())
        {
            let length_bytes = name.len();
            return Err(PushError::BadName { length_bytes });
        }
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts_max) {
            let attempts_max = self.attempts_max;
            return Err(PushError::BadAttempts { attempts_max });
        }
        Ok(())
    }
}

impl MessageId {
    /// The id of this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
