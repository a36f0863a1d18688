//! Where a folder's count stands: on a page that the node's workers share, or here.
//!
//! Decides the layout of the page. Which folder has which number is the supervisor's to say, the
//! same for every worker; what the counts mean is `quota.rs`.
//!
//! **Invariant:** functions that were granted the same host folder count in the same
//! cells, in whichever worker they run.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::HANDLES_MAX;
use crate::page::{PageError, SharedPage};

/// Numbers per folder: what is used, how often something was freed, how often a measurement began and
/// how often one ended.
const NUMBERS: usize = 4;

/// Files that guests deleted while others had them open, per folder. No instance holds more open.
const DELETED_MAX: usize = HANDLES_MAX;

/// Cells per folder.
const CELLS: usize = NUMBERS + DELETED_MAX;

/// The counts of every folder on the node that has a quota.
#[derive(Debug, Clone)]
pub struct UsagePage {
    page: Arc<SharedPage>,
    workers: usize,
    folders: usize,
}

/// Where one function counts: a folder of the page for each of its grants that has a quota, in
/// the order of its grants.
#[derive(Debug, Clone)]
pub struct UsageCells {
    page: UsagePage,
    folders: Vec<usize>,
}

/// A process has one page, so the folders tell.
impl PartialEq for UsageCells {
    fn eq(&self, other: &Self) -> bool {
        self.folders == other.folders
    }
}

impl UsagePage {
    /// How large the file behind a page must be.
    pub fn size_bytes(workers: usize, folders: usize) -> u64 {
        SharedPage::size_bytes(cells(workers, folders))
    }

    /// Maps the page in `file`, which the workers of the node share.
    ///
    /// # Errors
    ///
    /// The file has another size, or cannot be mapped: start the node again.
    pub fn map(file: &File, workers: usize, folders: usize) -> Result<Self, PageError> {
        Ok(Self {
            page: Arc::new(SharedPage::map(file, cells(workers, folders))?),
            workers,
            folders,
        })
    }

    /// Says which process `worker` is, so that the others find the files it holds open.
    pub fn join(&self, worker: usize) {
        self.set_worker(worker, std::process::id());
    }

    /// Forgets the count at this number, which is given to another folder from now on. Whoever
    /// uses that one measures it first.
    ///
    /// # Panics
    ///
    /// The number is beyond the page.
    pub fn forget(&self, folder: usize) {
        assert!(folder < self.folders, "the supervisor numbers folders");
        let page = self.clone();
        let usage = Usage::Shared { page, folder };
        // First of all, so that nobody trusts a count that is half forgotten.
        usage.measured().store(0, Ordering::SeqCst);
        for number in 0..CELLS {
            let cell = usage.cell(number);
            // What is 0 already may be memory that was never written, and stays so.
            if cell.load(Ordering::SeqCst) != 0 {
                cell.store(0, Ordering::SeqCst);
            }
        }
    }

    pub(super) fn set_worker(&self, worker: usize, process: u32) {
        assert!(worker < self.workers, "the supervisor numbers workers");
        self.page
            .cell(worker)
            .store(process.into(), Ordering::Relaxed);
    }

    /// The cells of these folders, one for each grant with a quota, in the order of the grants.
    ///
    /// # Panics
    ///
    /// A number is beyond the page: whoever gave it out did not make the page.
    pub fn cells(&self, folders: impl IntoIterator<Item = usize>) -> UsageCells {
        let folders: Vec<_> = folders.into_iter().collect();
        assert!(
            folders.iter().all(|folder| *folder < self.folders),
            "the supervisor numbers folders"
        );
        UsageCells {
            page: self.clone(),
            folders,
        }
    }
}

impl UsageCells {
    /// Where the `nth` grant with a quota counts.
    pub(crate) fn nth(&self, nth: usize) -> Option<Usage> {
        self.folders.get(nth).map(|&folder| Usage::Shared {
            page: self.page.clone(),
            folder,
        })
    }
}

/// A process for each worker, then the cells of each folder.
fn cells(workers: usize, folders: usize) -> usize {
    workers + folders * CELLS
}

/// The cells of one folder.
pub(crate) enum Usage {
    /// Nobody else counts there.
    Private(Box<[AtomicU64]>),
    /// All workers do.
    Shared { page: UsagePage, folder: usize },
}

impl Usage {
    /// The count of a folder that one process has to itself.
    pub(crate) fn private() -> Self {
        let cells = std::iter::repeat_with(AtomicU64::default);
        Self::Private(cells.take(CELLS).collect())
    }

    /// Bytes: never less than the folder holds, unless something that is no guest fills it.
    pub(super) fn used(&self) -> &AtomicU64 {
        self.cell(0)
    }

    /// How often guests did what may have made room.
    pub(super) fn freed(&self) -> &AtomicU64 {
        self.cell(1)
    }

    /// How often a measurement began.
    pub(super) fn begun(&self) -> &AtomicU64 {
        self.cell(2)
    }

    /// How often the folder was measured; before the first time `used` says nothing.
    pub(super) fn measured(&self) -> &AtomicU64 {
        self.cell(3)
    }

    /// Files that were deleted and may still be open; 0 where none stands.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &AtomicU64> {
        (NUMBERS..CELLS).map(|number| self.cell(number))
    }

    /// The other processes that guests may hold the folder's files open in.
    pub(super) fn siblings(&self) -> Vec<u64> {
        let Self::Shared { page, .. } = self else {
            return Vec::new();
        };
        let own = u64::from(std::process::id());
        (0..page.workers)
            .map(|worker| page.page.cell(worker).load(Ordering::Relaxed))
            .filter(|process| *process != 0 && *process != own)
            .collect()
    }

    fn cell(&self, number: usize) -> &AtomicU64 {
        match self {
            Self::Private(cells) => &cells[number],
            Self::Shared { page, folder } => page.page.cell(page.workers + folder * CELLS + number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_counts_in_its_own_cells_on_every_worker() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(UsagePage::size_bytes(2, 3)).unwrap();
        let one = UsagePage::map(&file, 2, 3).unwrap();
        let two = UsagePage::map(&file, 2, 3).unwrap();
        one.join(0);
        let usage = one.cells([2, 0]).nth(0).unwrap();
        usage.used().store(7, Ordering::Relaxed);
        let cells = two.cells([0, 1, 2]);
        let used: Vec<_> = (0..3)
            .map(|nth| cells.nth(nth).unwrap().used().load(Ordering::Relaxed))
            .collect();
        assert_eq!(used, [0, 0, 7]);
        assert!(two.cells([0]).nth(1).is_none());
    }

    #[test]
    fn a_number_that_is_given_on_begins_anew() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(UsagePage::size_bytes(1, 3)).unwrap();
        let page = UsagePage::map(&file, 1, 3).unwrap();
        let all = page.cells([0, 1, 2]);
        let numbers = |nth| {
            let usage = all.nth(nth).unwrap();
            (0..CELLS)
                .map(|number| usage.cell(number).load(Ordering::Relaxed))
                .sum::<u64>()
        };
        for nth in 0..3 {
            let usage = all.nth(nth).unwrap();
            (0..CELLS).for_each(|number| usage.cell(number).store(1, Ordering::Relaxed));
        }
        page.forget(1);
        assert_eq!((numbers(0), numbers(1), numbers(2)), (516, 0, 516));
    }

    #[test]
    fn a_worker_is_no_sibling_of_its_own() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(UsagePage::size_bytes(2, 1)).unwrap();
        let page = UsagePage::map(&file, 2, 1).unwrap();
        page.join(1);
        assert!(page.cells([0]).nth(0).unwrap().siblings().is_empty());
        page.set_worker(0, 1);
        assert_eq!(page.cells([0]).nth(0).unwrap().siblings(), [1]);
    }
}
