//! Where a folder's count stands: on a page that the node's workers share, or here.
//!
//! Decides the layout of the page. Which folder has which number is the binary's plan,
//! the same for every worker; what the counts mean is `quota.rs`.
//!
//! **Invariant:** functions that were granted the same host folder count in the same
//! cells, in whichever worker they run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use midge_model::{DirGrant, Grants};

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

/// Which folder has which number: all host folders that have a quota, whoever was granted them.
#[derive(Debug)]
pub struct UsagePlan(BTreeMap<PathBuf, usize>);

/// Where one function counts: a folder of the page for each of its grants that has a quota, in
/// the order of its grants.
#[derive(Debug, Clone)]
pub struct UsageCells {
    page: UsagePage,
    folders: Vec<usize>,
}

impl UsagePlan {
    /// The plan for functions with these grants; the same grants make the same plan.
    pub fn of<'a>(grants: impl IntoIterator<Item = &'a Grants>) -> Self {
        let folders: BTreeSet<_> = grants
            .into_iter()
            .flat_map(with_quota)
            .map(|grant| grant.host.clone())
            .collect();
        Self(folders.into_iter().zip(0..).collect())
    }

    /// How many folders there are.
    pub fn folders(&self) -> usize {
        self.0.len()
    }

    /// Where a function with these grants counts.
    pub fn cells(&self, page: &UsagePage, grants: &Grants) -> UsageCells {
        let number = |grant: &DirGrant| self.0.get(&grant.host).copied();
        page.cells(with_quota(grants).filter_map(number))
    }
}

fn with_quota(grants: &Grants) -> impl Iterator<Item = &DirGrant> {
    let dirs = grants.dirs.iter();
    dirs.filter(|grant| grant.quota_bytes.is_some())
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

    pub(super) fn set_worker(&self, worker: usize, process: u32) {
        assert!(worker < self.workers, "the plan numbers workers");
        self.page
            .cell(worker)
            .store(process.into(), Ordering::Relaxed);
    }

    /// The cells of these folders.
    pub fn cells(&self, folders: impl IntoIterator<Item = usize>) -> UsageCells {
        let folders: Vec<_> = folders.into_iter().collect();
        assert!(
            folders.iter().all(|folder| *folder < self.folders),
            "the plan numbers folders"
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
    fn functions_count_together_what_they_have_together() {
        let grant = |text: &str, quota: Option<&str>| {
            let grant: DirGrant = text.parse().unwrap();
            match quota {
                Some(quota) => grant.with_quota(quota).unwrap(),
                None => grant,
            }
        };
        let grants = |dirs| Grants {
            dirs,
            ..Grants::default()
        };
        let one = grants(vec![
            grant("/srv/b:/b:rw", Some("1MiB")),
            grant("/srv/free:/free:rw", None),
            grant("/srv/a:/a:rw", Some("1MiB")),
        ]);
        let two = grants(vec![grant("/srv/b:/data:rw", Some("2MiB"))]);
        let plan = UsagePlan::of([&one, &two]);
        assert_eq!(plan.folders(), 2);
        let file = tempfile::tempfile().unwrap();
        file.set_len(UsagePage::size_bytes(1, 2)).unwrap();
        let page = UsagePage::map(&file, 1, 2).unwrap();
        assert_eq!(plan.cells(&page, &one).folders, [1, 0]);
        assert_eq!(plan.cells(&page, &two).folders, [1]);
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
