//! How a used slot of the pool becomes a fresh one.
//!
//! Decides which of the engine's ways is safe on this machine. That it works is shown by
//! `midge doctor --isolation`, which runs it thousands of times.
//!
//! **Invariant:** what cannot be known to be safe is not used.

use std::fmt;
use std::path::{Path, PathBuf};

use wasmtime::PoolingAllocationConfig;

use crate::engine::{Allocation, KEEP_RESIDENT_BYTES};

/// How memory that a guest has written becomes as if nobody ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetMechanism {
    /// From a pool: the kernel says which pages were written (`PAGEMAP_SCAN`); of those the
    /// first are overwritten in place, the others given back.
    WrittenPages,
    /// From a pool: all pages are given back to the kernel (`madvise`).
    GivenBack,
    /// No memory is used twice: each instance has mappings of its own.
    NoReuse,
}

impl ResetMechanism {
    /// The one for instances that get their memory like this, on this machine.
    pub(crate) fn here(allocation: Allocation) -> Self {
        let can_scan = PoolingAllocationConfig::is_pagemap_scan_available();
        let stay = swap_areas() == Some(0) && !pages_migrate();
        Self::of(allocation, can_scan && stay)
    }

    /// Resetting by `PAGEMAP_SCAN` is safe only where every page that was written is in its place.
    /// One that was swapped out (wasmtime PR 14357), and one that the kernel is just moving to
    /// other memory, is neither reset nor given back, so the next instance would read old data:
    /// `docs/decisions/0033-pages-that-move.md`.
    fn of(allocation: Allocation, can_scan_all: bool) -> Self {
        match (allocation, can_scan_all) {
            (Allocation::OnDemand, _) => Self::NoReuse,
            (Allocation::Pooling, true) => Self::WrittenPages,
            (Allocation::Pooling, false) => Self::GivenBack,
        }
    }

    /// Why no instance can find what another one left behind.
    pub fn why_safe(self) -> String {
        match self {
            Self::WrittenPages => format!(
                "the kernel names every page that was written, because it moves none to other memory \
                 and cannot swap one out: {}; {}",
                swap_areas().map_or_else(|| "/proc/swaps is unreadable".to_owned(), |areas| {
                    format!("/proc/swaps lists {areas} areas")
                }),
                cgroup_swap()
            ),
            Self::GivenBack => {
                "the kernel takes every page back, and the next instance starts from the component's \
                 own image"
                    .to_owned()
            }
            Self::NoReuse => {
                "the mappings of an instance are removed with it, and the kernel hands out zeros"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for ResetMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrittenPages => write!(
                f,
                "pool, copy-on-write images, written pages found by PAGEMAP_SCAN (the first {} MiB \
                 reset in place)",
                KEEP_RESIDENT_BYTES >> 20
            ),
            Self::GivenBack => {
                f.write_str("pool, copy-on-write images, all pages given back by madvise")
            }
            Self::NoReuse => f.write_str("no pool, mappings made for each instance"),
        }
    }
}

/// How many places this machine may swap to, if it says.
fn swap_areas() -> Option<usize> {
    let swaps = std::fs::read_to_string("/proc/swaps").ok()?;
    Some(areas_in(&swaps))
}

/// Whether this kernel can move a page while somebody uses it (compaction, balancing, hotplug).
/// Nearly all can. One that does not say counts as one that can.
fn pages_migrate() -> bool {
    let counts = std::fs::read_to_string("/proc/vmstat");
    counts.map_or(true, |counts| counts_migrations(&counts))
}

/// Only kernels that move pages count how many they moved.
fn counts_migrations(counts: &str) -> bool {
    counts.lines().any(|line| line.starts_with("pgmigrate_"))
}

/// The first line is the heading; each further line is a swap area.
fn areas_in(swaps: &str) -> usize {
    swaps.lines().skip(1).count()
}

/// What the control group says about swapping; it cannot allow what the machine has not.
fn cgroup_swap() -> String {
    let told = swap_max_file().and_then(|file| {
        let text = std::fs::read_to_string(&file).ok()?;
        Some(format!("{} is {}", file.display(), text.trim()))
    });
    told.unwrap_or_else(|| "the control group sets no memory.swap.max".to_owned())
}

/// The file of our own group in a unified hierarchy.
fn swap_max_file() -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup")
        .join(group)
        .join("memory.swap.max");
    file.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_scanned_only_where_all_are_in_their_places() {
        let pooled = |all| ResetMechanism::of(Allocation::Pooling, all);
        assert_eq!(pooled(true), ResetMechanism::WrittenPages);
        assert_eq!(pooled(false), ResetMechanism::GivenBack);
        let on_demand = ResetMechanism::of(Allocation::OnDemand, true);
        assert_eq!(on_demand, ResetMechanism::NoReuse);
    }

    /// What was seen to go wrong where pages move: the scan takes none of them for written.
    #[test]
    fn where_pages_move_everything_is_given_back() {
        assert!(counts_migrations("nr_dirty 1\npgmigrate_success 7\n"));
        assert!(!counts_migrations("nr_dirty 1\npgfault 7\n"));
        if pages_migrate() {
            let here = ResetMechanism::here(Allocation::Pooling);
            assert_eq!(here, ResetMechanism::GivenBack);
        }
    }

    #[test]
    fn each_line_after_the_heading_is_a_place_to_swap_to() {
        const HEADING: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(areas_in(HEADING), 0);
        assert_eq!(
            areas_in(&format!("{HEADING}/dev/zram0 partition 1 0 -2\n")),
            1
        );
    }
}
