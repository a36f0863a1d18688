//! The page of counters that the workers of a node share.
//!
//! Decides how many invocations of a function run on the whole node, so that a
//! limit of 1 means one and not one per worker. Each worker has a row of its own
//! and writes only there; the supervisor clears the row of a worker that died.
//! Which function has which column is the supervisor's to say; functions come and
//! go, and the table stays as it is: memory that nobody wrote costs nothing.
//!
//! **Invariant:** a limit is never exceeded: a worker counts itself in before it
//! looks at the others, and steps back if the sum is too high.

use std::fs::File;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use midge_sandbox::PageError as CounterError;
use midge_sandbox::SharedPage;

/// The columns of a node's table: the most functions that it serves at a time.
pub const FUNCTIONS_MAX: usize = 65_536;

/// The column behind those of the functions, for connections.
const CONNECTIONS: usize = FUNCTIONS_MAX;

/// Cells of a row. Connections have a cache line of their own, so that no two workers write to
/// the same one.
const ROW_CELLS: usize = FUNCTIONS_MAX + 8;

/// A table of counters: one row per worker, one column per function and one for connections.
#[derive(Clone)]
pub struct Counters {
    page: Rc<SharedPage>,
    workers: usize,
}

impl Counters {
    /// How large the file behind a table must be.
    pub fn size_bytes(workers: usize) -> u64 {
        SharedPage::size_bytes(workers * ROW_CELLS)
    }

    /// Maps the table in `file`, which the workers of the node share.
    ///
    /// # Errors
    ///
    /// The file has another size, or cannot be mapped: start the node again.
    pub fn map(file: &File, workers: usize) -> Result<Self, CounterError> {
        Ok(Self {
            page: Rc::new(SharedPage::map(file, workers * ROW_CELLS)?),
            workers,
        })
    }

    /// A table that nobody else sees, for a node of one worker.
    ///
    /// # Errors
    ///
    /// The system has no memory to map.
    pub fn private() -> Result<Self, CounterError> {
        Ok(Self {
            page: Rc::new(SharedPage::private(ROW_CELLS)?),
            workers: 1,
        })
    }

    /// Forgets what a worker that died was running and holding.
    pub fn clear(&self, worker: usize) {
        for column in 0..=CONNECTIONS {
            let cell = self.cell(worker, column);
            // What is 0 already may be memory that was never written, and stays so.
            if cell.load(Ordering::SeqCst) != 0 {
                cell.store(0, Ordering::SeqCst);
            }
        }
    }

    /// The column in which `worker` and its siblings tell how many connections they hold.
    pub fn connections(&self, worker: usize) -> Connections {
        Connections {
            counters: self.clone(),
            worker,
        }
    }

    /// Counts one more invocation of `function` on `worker`, unless the node already
    /// runs `limit` of them.
    pub(crate) fn take(&self, worker: usize, function: usize, limit: u32) -> bool {
        let mine = self.cell(worker, function);
        mine.fetch_add(1, Ordering::SeqCst);
        if self.running(function) <= u64::from(limit) {
            return true;
        }
        // Two workers that meet at the last slot may both step back; both try again soon.
        mine.fetch_sub(1, Ordering::SeqCst);
        false
    }

    /// Counts one invocation less.
    pub(crate) fn give_back(&self, worker: usize, function: usize) {
        self.cell(worker, function).fetch_sub(1, Ordering::SeqCst);
    }

    /// How many invocations of `function` the whole node runs.
    pub(crate) fn running(&self, function: usize) -> u64 {
        (0..self.workers)
            .map(|worker| self.cell(worker, function).load(Ordering::SeqCst))
            .sum()
    }

    fn cell(&self, worker: usize, column: usize) -> &AtomicU64 {
        assert!(
            worker < self.workers && column <= CONNECTIONS,
            "the supervisor numbers both"
        );
        self.page.cell(worker * ROW_CELLS + column)
    }
}

/// How many connections the workers of a node hold, as one of them sees it.
#[derive(Clone)]
pub struct Connections {
    counters: Counters,
    worker: usize,
}

impl Connections {
    /// Tells the siblings how many this worker holds.
    pub fn tell(&self, connections: u32) {
        self.cell_of(self.worker)
            .store(connections.into(), Ordering::Relaxed);
    }

    /// The fewest that any sibling holds; `None` when there is no sibling.
    pub fn fewest_elsewhere(&self) -> Option<u32> {
        let fewest = (0..self.counters.workers)
            .filter(|&worker| worker != self.worker)
            .map(|worker| self.cell_of(worker).load(Ordering::Relaxed))
            .min();
        fewest.map(|connections| u32::try_from(connections).unwrap_or(u32::MAX))
    }

    fn cell_of(&self, worker: usize) -> &AtomicU64 {
        self.counters.cell(worker, CONNECTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared_file(workers: usize) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(Counters::size_bytes(workers)).unwrap();
        file
    }

    #[test]
    fn a_limit_holds_over_all_workers() {
        let file = shared_file(2);
        let one = Counters::map(&file, 2).unwrap();
        let two = Counters::map(&file, 2).unwrap();
        assert!(one.take(0, 1, 2));
        assert!(two.take(1, 1, 2));
        assert!(!one.take(0, 1, 2));
        assert!(two.take(1, 2, 2), "another function is not affected");
        two.give_back(1, 1);
        assert!(one.take(0, 1, 2));
    }

    #[test]
    fn a_dead_worker_frees_its_slots() {
        let file = shared_file(2);
        let counters = Counters::map(&file, 2).unwrap();
        assert!(counters.take(1, 0, 1));
        assert!(!counters.take(0, 0, 1));
        counters.clear(1);
        assert!(counters.take(0, 0, 1));
    }

    #[test]
    fn a_worker_sees_what_its_siblings_hold() {
        let file = shared_file(3);
        let workers: Vec<_> = (0..3)
            .map(|worker| Counters::map(&file, 3).unwrap().connections(worker))
            .collect();
        workers[0].tell(9);
        workers[1].tell(4);
        workers[2].tell(6);
        assert_eq!(workers[0].fewest_elsewhere(), Some(4));
        assert_eq!(workers[1].fewest_elsewhere(), Some(6));
        let alone = Counters::private().unwrap().connections(0);
        assert_eq!(alone.fewest_elsewhere(), None);
    }

    #[test]
    fn threads_never_exceed_the_limit_together() {
        const LIMIT: u32 = 3;
        let file = shared_file(4);
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (file, inside) = (&file, &inside);
                scope.spawn(move || {
                    let counters = Counters::map(file, 4).unwrap();
                    for _ in 0..10_000 {
                        if counters.take(worker, 0, LIMIT) {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(now <= LIMIT, "{now} are inside");
                            inside.fetch_sub(1, Ordering::SeqCst);
                            counters.give_back(worker, 0);
                        }
                    }
                });
            }
        });
        assert_eq!(Counters::map(&file, 4).unwrap().running(0), 0);
    }
}
