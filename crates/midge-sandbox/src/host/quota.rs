//! How much a folder may hold, over all workers of the node.
//!
//! Decides whether a guest's file may grow, by a count that every growth is added to
//! before it happens and that nothing is ever taken off: what a removal frees is known
//! only to the file system. When the count reaches the limit the folder is measured and
//! the count corrected. Where counts stand is `quota/usage.rs`, measuring is
//! `quota/measure.rs`, what counts as growth is `files/`.
//!
//! **Invariant:** the count is never less than what guests have put into the folder, so
//! no race between workers lets them pass the limit together.

mod measure;
mod usage;

use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep_until};

use self::measure::Lock;
pub(crate) use self::measure::path_of;
pub(crate) use self::usage::Usage;
pub use self::usage::{UsageCells, UsagePage};
use super::files::on_file_thread;
use super::files::tree::ENTRY_BYTES;

/// The shortest time between two measurements of a folder by one worker. A small folder is measured
/// in microseconds, and whoever rewrites a file in one that is nearly full waits for this each time.
const PAUSE_MIN: Duration = Duration::from_millis(2);

/// How much longer than a measurement the pause behind it is, so that a guest which fills and
/// empties a large folder keeps a file thread busy for a tenth of the time at most.
const PAUSE_FACTOR: u32 = 9;

/// How soon somebody else's lock is looked at again.
const LOCK_POLL: Duration = Duration::from_millis(2);

/// How long a full folder in which no guest has freed anything is taken to be full. Others may
/// make room there too: whoever owns it.
const FULL_FOR: Duration = Duration::from_secs(1);

/// A folder's limit and its count.
pub(crate) struct Quota {
    limit_bytes: u64,
    usage: Usage,
    /// The folder itself, wherever it is moved.
    folder: Arc<OwnedFd>,
    last: Arc<Mutex<Last>>,
    /// Who in this worker changes names in the folder.
    turn: Arc<Mutex<()>>,
}

/// The last measurement by this worker.
#[derive(Default)]
struct Last {
    ended: Option<Instant>,
    took: Duration,
    /// How often something had been freed when it began.
    freed: u64,
    failed: bool,
}

/// There is no room for so many bytes as far as the count knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) bytes: u64,
}

/// Held while names in a folder move or go.
pub(crate) struct Changing {
    quota: Arc<Quota>,
    _lock: Lock,
    _turn: OwnedMutexGuard<()>,
}

impl Changing {
    /// Writes down a file that is about to be deleted, because it may be open; false if too many are.
    pub(crate) fn remember(&self, file: &Metadata) -> bool {
        measure::remember(&self.quota.usage, file)
    }
}

/// Growth that was counted; held until it has happened.
pub(crate) struct Charge {
    quota: Arc<Quota>,
    /// What it may turn out to be: all of a write, if somebody empties the file before it.
    at_most_bytes: u64,
    /// How many measurements had begun.
    begun: u64,
}

impl Drop for Charge {
    /// A measurement that began in between may have taken the growth for counted and not have
    /// found it: it is counted once more. Too much is corrected by the next one.
    fn drop(&mut self) {
        let usage = &self.quota.usage;
        if usage.begun().load(Ordering::SeqCst) != self.begun {
            usage.used().fetch_add(self.at_most_bytes, Ordering::SeqCst);
        }
    }
}

impl Quota {
    /// The quota of a folder that may hold anything already.
    pub(crate) fn new(limit_bytes: u64, usage: Usage, folder: Arc<OwnedFd>) -> Self {
        Self {
            limit_bytes,
            usage,
            folder,
            last: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The quota of a folder that was just made.
    pub(crate) fn of_empty(limit_bytes: u64, folder: Arc<OwnedFd>) -> Self {
        let quota = Self::new(limit_bytes, Usage::private(), folder);
        quota.usage.measured().store(1, Ordering::Relaxed);
        quota
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// How many measurements have begun; asked before growth is looked at.
    pub(crate) fn begun(&self) -> u64 {
        self.usage.begun().load(Ordering::SeqCst)
    }

    /// Counts growth that is about to happen, and that is `at_most_bytes` if everything changes
    /// since measurement number `begun`.
    ///
    /// # Errors
    ///
    /// The count would pass the limit: [`Quota::make_room`] finds out whether that is true.
    pub(crate) fn take(
        self: &Arc<Self>,
        bytes: u64,
        at_most_bytes: u64,
        begun: u64,
    ) -> Result<Charge, NoRoom> {
        let more = |used: u64| {
            used.checked_add(bytes)
                .filter(|sum| *sum <= self.limit_bytes)
        };
        let is_known = self.usage.measured().load(Ordering::SeqCst) > 0;
        let used = self.usage.used();
        let taken = bytes == 0
            || is_known
                && used
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
                    .is_ok();
        if !taken {
            return Err(NoRoom { bytes });
        }
        Ok(Charge {
            quota: Arc::clone(self),
            at_most_bytes,
            begun,
        })
    }

    /// Counts a name that is about to be made.
    ///
    /// # Errors
    ///
    /// As [`Quota::take`].
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Charge, NoRoom> {
        self.take(ENTRY_BYTES, ENTRY_BYTES, self.begun())
    }

    /// Notes that a guest did something that may have made room.
    pub(crate) fn note_freed(&self) {
        self.usage.freed().fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until names in the folder may move or go: nobody else does that, and nobody measures,
    /// in any worker. A walk could miss a file that moves from where it has not been to where it has
    /// been, and what is deleted must be what was written down.
    pub(crate) async fn change_names(self: &Arc<Self>) -> io::Result<Changing> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        loop {
            let quota = Arc::clone(self);
            let attempt = move || Lock::attempt(quota.folder.as_fd());
            if let Some(lock) = on_file_thread(attempt).await? {
                return Ok(Changing {
                    quota: Arc::clone(self),
                    _lock: lock,
                    _turn: turn,
                });
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    }

    /// Forgets files that were deleted and are not open any more.
    pub(crate) async fn forget_deleted(self: &Arc<Self>) -> io::Result<()> {
        let quota = Arc::clone(self);
        on_file_thread(move || {
            let lock = Lock::wait(quota.folder.as_fd())?;
            lock.deleted_bytes(&quota.usage);
            Ok(())
        })
        .await
    }

    /// Whether so many bytes find room after all; measures the folder if that may tell more
    /// than the count, and waits for it.
    pub(crate) async fn make_room(self: &Arc<Self>, bytes: u64) -> bool {
        if bytes > self.limit_bytes {
            return false;
        }
        let last = Arc::clone(&self.last).lock_owned().await;
        // Somebody may have measured while we waited for our turn.
        if self.fits(bytes) {
            return true;
        }
        if let Some(ended) = last.ended {
            let nothing_freed = self.usage.freed().load(Ordering::SeqCst) == last.freed;
            if nothing_freed && ended.elapsed() < FULL_FOR {
                return false;
            }
            sleep_until(ended + PAUSE_MIN.max(last.took * PAUSE_FACTOR)).await;
        }
        let quota = Arc::clone(self);
        // Not ended with the guest that waits for it: the next one would begin another.
        let mut last = last;
        let measured = tokio::task::spawn_blocking(move || quota.measure(&mut last, bytes));
        measured.await.is_ok() && self.fits(bytes)
    }

    /// Corrects the count. Blocks.
    fn measure(&self, last: &mut Last, bytes: u64) {
        let began = Instant::now();
        last.freed = self.usage.freed().load(Ordering::SeqCst);
        let result = self.measured(bytes);
        last.took = began.elapsed();
        last.ended = Some(Instant::now());
        if let Err(error) = &result
            && !last.failed
        {
            // Whatever is wrong with the folder, a count that is too high is safe.
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "folder with a quota cannot be measured");
        }
        last.failed = result.is_err();
    }

    fn measured(&self, bytes: u64) -> io::Result<()> {
        let lock = Lock::wait(self.folder.as_fd())?;
        // Another worker may have measured while we waited for it.
        if self.fits(bytes) {
            return Ok(());
        }
        // In this order: whoever has counted and not grown yet must see that we began.
        let before = self.usage.used().load(Ordering::SeqCst);
        self.usage.begun().fetch_add(1, Ordering::SeqCst);
        let measured_bytes = lock.measure(&self.usage)?;
        self.correct(before, measured_bytes);
        Ok(())
    }

    /// What was counted since `before` may be in what was measured or not: it is added. Only who
    /// measures ever lowers the count, and nobody does that at the same time.
    fn correct(&self, before: u64, measured_bytes: u64) {
        let difference = measured_bytes.wrapping_sub(before);
        self.usage.used().fetch_add(difference, Ordering::SeqCst);
        self.usage.measured().fetch_add(1, Ordering::SeqCst);
    }

    fn fits(&self, bytes: u64) -> bool {
        let used = self.usage.used().load(Ordering::SeqCst);
        self.usage.measured().load(Ordering::SeqCst) > 0
            && used.saturating_add(bytes) <= self.limit_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn quota(dir: &tempfile::TempDir, limit_bytes: u64) -> Arc<Quota> {
        let folder = Arc::new(OwnedFd::from(fs::File::open(dir.path()).unwrap()));
        Arc::new(Quota::new(limit_bytes, Usage::private(), folder))
    }

    fn fits(quota: &Arc<Quota>, bytes: u64) -> bool {
        quota.take(bytes, bytes, quota.begun()).is_ok()
    }

    #[tokio::test]
    async fn what_lay_there_before_counts() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), [0; 1000]).unwrap();
        let quota = quota(&dir, 10_000);
        assert!(!fits(&quota, 1), "not measured yet");
        assert!(quota.make_room(1).await);
        assert!(fits(&quota, 4_904)); // 10,000 - 1,000 - 4,096
        assert!(!fits(&quota, 1));
        assert!(fits(&quota, 0), "no growth is always possible");
    }

    #[tokio::test]
    async fn room_that_was_made_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), [0; 1000]).unwrap();
        let quota = quota(&dir, 5_500);
        assert!(!quota.make_room(1_000).await);
        fs::remove_file(dir.path().join("f")).unwrap();
        assert!(
            !quota.make_room(1_000).await,
            "nobody said that something changed"
        );
        quota.note_freed();
        assert!(quota.make_room(1_000).await);
        assert!(fits(&quota, 5_500));
    }

    #[tokio::test]
    async fn more_than_the_limit_is_refused_without_looking() {
        let dir = tempfile::tempdir().unwrap();
        let quota = quota(&dir, 5_500);
        assert!(!quota.make_room(5_501).await);
        assert_eq!(quota.usage.measured().load(Ordering::SeqCst), 0);
    }

    #[test]
    fn growth_during_a_measurement_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let quota = quota(&dir, 1_000);
        quota.correct(0, 900);
        let before = quota.usage.used().load(Ordering::SeqCst);
        assert!(fits(&quota, 50));
        quota.correct(before, 100);
        assert!(fits(&quota, 850));
        assert!(!fits(&quota, 1));
    }

    #[tokio::test]
    async fn what_had_not_happened_when_a_measurement_began_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let quota = quota(&dir, 1_000);
        assert!(quota.make_room(1).await);
        // All of a file of 600 bytes is about to be written over: no growth, as it looks.
        let charge = quota.take(0, 600, quota.begun()).ok().unwrap();
        let waiting = quota.take(400, 400, quota.begun()).ok().unwrap();
        // Somebody empties the file, and somebody needs more than there is.
        quota.note_freed();
        assert!(quota.make_room(900).await);
        drop((charge, waiting));
        assert!(
            !fits(&quota, 1),
            "both are counted although neither was there"
        );
    }
}
