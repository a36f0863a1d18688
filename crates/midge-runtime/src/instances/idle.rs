//! Instances that wait for their next invocation.
//!
//! Decides how many wait, for how long, and which has to go first. They stand in the order in which
//! they came; a revision gets its own back, the latest first, so that those it does not need grow
//! old. Their slots are counted as free by `instances.rs`, which takes them back when somebody
//! else needs them.
//!
//! **Invariant:** an instance goes to requests of the revision it was made for, as it was loaded
//! then, and to no other.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// The most that wait for one revision in a worker. A function that needs more at a time makes them
/// anew.
pub(crate) const IDLE_PER_REVISION_MAX: usize = 64;

/// The most that wait in a worker; above, the one that has waited longest goes.
pub(crate) const IDLE_PER_WORKER_MAX: usize = 256;

/// What waits in one worker; of `C`s, each of which has its own.
pub(crate) struct Idle<T, C> {
    /// By their numbers, which are given in the order in which they came.
    all: BTreeMap<u64, Waiting<T, C>>,
    number: u64,
    slots: u32,
}

/// The numbers of those that wait for one revision, the latest at the end.
#[derive(Default)]
pub(crate) struct Own(VecDeque<u64>);

/// One that waits.
pub(crate) struct Waiting<T, C> {
    pub(crate) instance: T,
    pub(crate) of: Rc<C>,
    until: Instant,
}

/// Whose instances can wait.
pub(crate) trait Owner {
    /// Runs with those of its own that wait.
    fn with_own<R>(&self, look: impl FnOnce(&mut Own) -> R) -> R;

    /// Slots of the pool that one of its instances takes.
    fn slots_of_one(&self) -> u32;
}

impl<T, C> Default for Idle<T, C> {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            number: 0,
            slots: 0,
        }
    }
}

impl<T, C: Owner> Idle<T, C> {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Slots of the pool that those who wait take.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Lets one wait. Gives it back if there are enough of its revision; else says until when it
    /// waits.
    pub(crate) fn put(
        &mut self,
        of: &Rc<C>,
        instance: T,
        now: Instant,
        at_most: Duration,
    ) -> Result<Instant, T> {
        if of.with_own(|own| own.0.len()) >= IDLE_PER_REVISION_MAX {
            return Err(instance);
        }
        self.number += 1;
        let until = now + at_most;
        let waits = Waiting {
            instance,
            of: Rc::clone(of),
            until,
        };
        self.all.insert(self.number, waits);
        self.slots += of.slots_of_one();
        of.with_own(|own| own.0.push_back(self.number));
        Ok(until)
    }

    /// The one of this revision that came last, unless its time is up.
    pub(crate) fn take(&mut self, of: &C, now: Instant) -> Option<Waiting<T, C>> {
        let number = of.with_own(|own| own.0.back().copied())?;
        if self.all.get(&number)?.until <= now {
            return None;
        }
        self.remove(number)
    }

    /// The one that has waited longest, of all or of those that are meant.
    pub(crate) fn oldest(&mut self, is_meant: impl Fn(&C) -> bool) -> Option<Waiting<T, C>> {
        let mut all = self.all.iter();
        let (&number, _) = all.find(|(_, waits)| is_meant(&waits.of))?;
        self.remove(number)
    }

    /// The one that has waited longest, if there are more than may wait.
    pub(crate) fn too_many(&mut self) -> Option<Waiting<T, C>> {
        let is_over = self.all.len() > IDLE_PER_WORKER_MAX;
        is_over.then(|| self.oldest(|_| true)).flatten()
    }

    /// One of which the time is up.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Waiting<T, C>> {
        let mut all = self.all.iter();
        let (&number, _) = all.find(|(_, waits)| waits.until <= now)?;
        self.remove(number)
    }

    /// When the next one's time is up.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.all.values().map(|waits| waits.until).min()
    }

    fn remove(&mut self, number: u64) -> Option<Waiting<T, C>> {
        let waits = self.all.remove(&number)?;
        self.slots -= waits.of.slots_of_one();
        waits.of.with_own(|own| match own.0.back() {
            Some(&last) if last == number => drop(own.0.pop_back()),
            _ => own.0.retain(|&other| other != number),
        });
        Some(waits)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Default)]
    struct Revision(RefCell<Own>);

    impl Owner for Revision {
        fn with_own<R>(&self, look: impl FnOnce(&mut Own) -> R) -> R {
            look(&mut self.0.borrow_mut())
        }

        fn slots_of_one(&self) -> u32 {
            2
        }
    }

    const WAIT: Duration = Duration::from_secs(30);

    fn check(taken: Option<Waiting<u32, Revision>>) -> Option<u32> {
        taken.map(|waits| waits.instance)
    }

    #[tokio::test]
    async fn a_revision_gets_its_latest_and_the_oldest_go_first() {
        let mut idle = Idle::default();
        let (one, two) = (Rc::<Revision>::default(), Rc::<Revision>::default());
        let now = Instant::now();
        for (instance, of) in [(1, &one), (2, &two), (3, &one), (4, &one)] {
            idle.put(of, instance, now, WAIT).unwrap();
        }
        assert_eq!(idle.slots(), 8);
        assert_eq!(check(idle.take(&one, now)), Some(4));
        assert_eq!(check(idle.oldest(|_| true)), Some(1));
        assert_eq!(check(idle.oldest(|of| std::ptr::eq(of, &*one))), Some(3));
        assert_eq!(check(idle.take(&one, now)), None);
        assert_eq!(check(idle.take(&two, now)), Some(2));
        assert_eq!(idle.slots(), 0);
    }

    #[tokio::test]
    async fn whose_time_is_up_answers_nobody() {
        let mut idle = Idle::default();
        let one = Rc::<Revision>::default();
        let now = Instant::now();
        assert_eq!(idle.put(&one, 1, now, WAIT), Ok(now + WAIT));
        idle.put(&one, 2, now + WAIT, WAIT).unwrap();
        assert_eq!(idle.expires(), Some(now + WAIT));
        assert_eq!(check(idle.expired(now)), None);
        assert_eq!(check(idle.expired(now + WAIT)), Some(1));
        assert_eq!(check(idle.take(&one, now + 2 * WAIT)), None);
        assert_eq!(check(idle.expired(now + 2 * WAIT)), Some(2));
        assert_eq!(idle.expires(), None);
    }

    #[tokio::test]
    async fn as_many_wait_as_may() {
        let mut idle = Idle::default();
        let now = Instant::now();
        let revisions: Vec<_> = (0..5).map(|_| Rc::<Revision>::default()).collect();
        for revision in &revisions {
            for instance in 0..IDLE_PER_REVISION_MAX {
                idle.put(revision, instance, now, WAIT).unwrap();
                drop(idle.too_many());
            }
            assert_eq!(idle.put(revision, 7, now, WAIT), Err(7));
        }
        assert_eq!(idle.len(), IDLE_PER_WORKER_MAX);
        assert_eq!(
            revisions[0].with_own(|own| own.0.len()),
            0,
            "longest unused"
        );
    }
}
