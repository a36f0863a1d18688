//! Which function has which column, and which folder which number, on the pages that workers share.
//!
//! Decides who gets a free number. When a number is free again, which is once no worker uses it
//! any more, is `roster.rs`.
//!
//! **Invariant:** one namespace has [`FOLDERS_OF_NAMESPACE_MAX`] folders at most, so that it takes
//! none that another needs. Nobody shares a column, and whoever was granted the same folder shares its
//! number. What was freed longest ago is given out first, because an invocation that outlives its
//! function still counts there.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use midge_model::{Grants, NamespaceName};

use crate::protocol::FOLDERS_MAX;

/// Folders with a quota of one namespace: an eighth of what a node counts.
pub(super) const FOLDERS_OF_NAMESPACE_MAX: usize = FOLDERS_MAX / 8;

/// What there is of numbers.
#[derive(Debug)]
pub(super) struct Placement {
    columns: Numbers,
    folders: Numbers,
    by_folder: BTreeMap<PathBuf, Folder>,
    /// How many folders each namespace was the first to use.
    by_namespace: BTreeMap<NamespaceName, usize>,
    folders_of_namespace_max: usize,
}

/// A folder with a quota.
#[derive(Debug)]
struct Folder {
    number: usize,
    /// Who used it first.
    namespace: NamespaceName,
    /// How many functions use it.
    users: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlacementError {
    /// As many functions as a node serves.
    #[error("this node serves {most} functions already, which is the most")]
    Functions {
        /// How many that is.
        most: usize,
    },
    /// As many folders as a node counts.
    #[error("this node counts {most} folders with a quota already, which is the most")]
    Folders {
        /// How many that is.
        most: usize,
    },
    /// As many folders as one namespace has.
    #[error("namespace `{namespace}` has {most} folders with a quota already, which is the most")]
    FoldersOfNamespace {
        /// Whose they are.
        namespace: NamespaceName,
        /// How many that is.
        most: usize,
    },
}

/// Numbers from 0 up to a bound.
#[derive(Debug)]
struct Numbers {
    next: usize,
    most: usize,
    freed: VecDeque<usize>,
}

impl Numbers {
    fn take(&mut self) -> Option<usize> {
        if self.next < self.most {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.freed.pop_front()
    }

    fn free(&mut self, number: usize) {
        self.freed.push_back(number);
    }
}

/// A number for a folder, and whether somebody else's count may still stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    /// The number.
    pub(super) number: usize,
    /// Whether nobody used it until now.
    pub(super) fresh: bool,
}

impl Placement {
    /// Room for so many functions and folders, and so many folders of one namespace.
    pub(super) fn new(
        functions_max: usize,
        (folders_max, folders_of_namespace_max): (usize, usize),
    ) -> Self {
        let numbers = |most| Numbers {
            next: 0,
            most,
            freed: VecDeque::new(),
        };
        Self {
            columns: numbers(functions_max),
            folders: numbers(folders_max),
            by_folder: BTreeMap::new(),
            by_namespace: BTreeMap::new(),
            folders_of_namespace_max,
        }
    }

    /// A column for one more function.
    ///
    /// # Errors
    ///
    /// There is none left; remove a function.
    pub(super) fn column(&mut self) -> Result<usize, PlacementError> {
        self.columns.take().ok_or(PlacementError::Functions {
            most: self.columns.most,
        })
    }

    /// Nobody counts in this column any more.
    pub(super) fn free_column(&mut self, column: usize) {
        self.columns.free(column);
    }

    /// A number for a folder, for one more user of it, of this namespace.
    ///
    /// # Errors
    ///
    /// There is none left, or none for this namespace; remove a function that has one.
    pub(super) fn folder(
        &mut self,
        namespace: &NamespaceName,
        path: &Path,
    ) -> Result<Placed, PlacementError> {
        if let Some(folder) = self.by_folder.get_mut(path) {
            folder.users += 1;
            return Ok(Placed {
                number: folder.number,
                fresh: false,
            });
        }
        let had = self.by_namespace.get(namespace).copied().unwrap_or(0);
        if had >= self.folders_of_namespace_max {
            return Err(PlacementError::FoldersOfNamespace {
                namespace: namespace.clone(),
                most: self.folders_of_namespace_max,
            });
        }
        let number = self.folders.take().ok_or(PlacementError::Folders {
            most: self.folders.most,
        })?;
        self.by_namespace.insert(namespace.clone(), had + 1);
        let namespace = namespace.clone();
        let folder = Folder {
            number,
            namespace,
            users: 1,
        };
        self.by_folder.insert(path.to_owned(), folder);
        Ok(Placed {
            number,
            fresh: true,
        })
    }

    /// A folder has one user less.
    pub(super) fn free_folder(&mut self, path: &Path) {
        let Some(folder) = self.by_folder.get_mut(path) else {
            return;
        };
        folder.users -= 1;
        if folder.users > 0 {
            return;
        }
        self.folders.free(folder.number);
        if let Some(folder) = self.by_folder.remove(path)
            && let Some(had) = self.by_namespace.get_mut(&folder.namespace)
        {
            *had -= 1;
            if *had == 0 {
                self.by_namespace.remove(&folder.namespace);
            }
        }
    }
}

/// The folders of these grants that have a quota, in their order.
pub(super) fn counted_folders(grants: &Grants) -> impl Iterator<Item = &Path> {
    let dirs = grants.dirs.iter();
    dirs.filter(|dir| dir.quota_bytes.is_some())
        .map(|dir| dir.host.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_share_no_column_and_the_one_freed_first_comes_back_first() {
        let mut placement = Placement::new(3, (0, 0));
        let columns: Vec<_> = (0..3).map(|_| placement.column().unwrap()).collect();
        assert_eq!(columns, [0, 1, 2]);
        let full = placement.column().unwrap_err();
        assert_eq!(
            full.to_string(),
            "this node serves 3 functions already, which is the most"
        );
        placement.free_column(2);
        placement.free_column(0);
        assert_eq!(placement.column(), Ok(2));
        assert_eq!(placement.column(), Ok(0));
    }

    #[test]
    fn a_folder_keeps_its_number_as_long_as_somebody_uses_it() {
        let ns = NamespaceName::default();
        let mut placement = Placement::new(0, (2, 3));
        let shared = Path::new("/data/shared");
        let first = placement.folder(&ns, shared).unwrap();
        assert_eq!((first.number, first.fresh), (0, true));
        let second = placement.folder(&ns, shared).unwrap();
        assert_eq!((second.number, second.fresh), (0, false));
        assert_eq!(
            placement
                .folder(&ns, Path::new("/data/own"))
                .unwrap()
                .number,
            1
        );
        placement.free_folder(shared);
        let full = placement.folder(&ns, Path::new("/data/third"));
        assert_eq!(full, Err(PlacementError::Folders { most: 2 }));
        placement.free_folder(shared);
        let reused = placement.folder(&ns, Path::new("/data/third")).unwrap();
        assert_eq!((reused.number, reused.fresh), (0, true));
    }

    #[test]
    fn no_namespace_takes_the_folders_of_another() {
        let (evil, shop) = ("evil".parse().unwrap(), "shop".parse().unwrap());
        let mut placement = Placement::new(0, (4, 2));
        let path = |number: usize| PathBuf::from(format!("/data/{number}"));
        for number in 0..2 {
            placement.folder(&evil, &path(number)).unwrap();
        }
        let full = placement.folder(&evil, &path(2)).unwrap_err();
        assert_eq!(
            full.to_string(),
            "namespace `evil` has 2 folders with a quota already, which is the most"
        );
        assert_eq!(placement.folder(&shop, &path(3)).unwrap().number, 2);
        // What it has already takes no more room, and what it frees is there again.
        assert!(!placement.folder(&evil, &path(1)).unwrap().fresh);
        placement.free_folder(&path(0));
        assert!(placement.folder(&evil, &path(2)).unwrap().fresh);
    }
}
