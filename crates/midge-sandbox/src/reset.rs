//! How a used slot of the pool becomes a fresh one.
//!
//! Decides which of the engine's ways is safe on this machine. That it works is shown by
//! `midge doctor --isolation`, which runs it thousands of times.
//!
//! **Invariant:** what cannot be known to be safe is not used.

use std::fmt;

use crate::engine::{Allocation, KEEP_RESIDENT_BYTES};
use crate::scan;

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
        Self::of(allocation, scan::is_mended())
    }

    /// Resetting by `PAGEMAP_SCAN` is safe only if it names every page that was written, wherever
    /// that page is: `docs/decisions/0034-the-scan-is-mended.md`.
    fn of(allocation: Allocation, finds_all: bool) -> Self {
        match (allocation, finds_all) {
            (Allocation::OnDemand, _) => Self::NoReuse,
            (Allocation::Pooling, true) => Self::WrittenPages,
            (Allocation::Pooling, false) => Self::GivenBack,
        }
    }

    /// Why no instance can find what another one left behind.
    pub fn why_safe(self) -> &'static str {
        match self {
            Self::WrittenPages => {
                "the kernel names every page that was written, also one that it is moving or has \
                 swapped out, and each gets its first bytes back"
            }
            Self::GivenBack => {
                "the kernel takes every page back, and the next instance starts from the \
                 component's own image"
            }
            Self::NoReuse => {
                "the mappings of an instance are removed with it, and the kernel hands out zeros"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_scanned_only_where_all_is_found() {
        let pooled = |finds_all| ResetMechanism::of(Allocation::Pooling, finds_all);
        assert_eq!(pooled(true), ResetMechanism::WrittenPages);
        assert_eq!(pooled(false), ResetMechanism::GivenBack);
        let on_demand = ResetMechanism::of(Allocation::OnDemand, true);
        assert_eq!(on_demand, ResetMechanism::NoReuse);
    }
}
