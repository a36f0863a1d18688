//! Against the kernel of this machine. One that cannot scan is told of, and shows nothing.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};

use memmap2::MmapMut;

use super::*;

const PAGE_BYTES: usize = 4096;

/// What the engine asks (`pagemap.rs` of release 48): written and present, and neither the page of
/// zeros nor a file's.
const ENGINE_INVERTED: u64 = 1 << 5 | 1 << 2;
const ENGINE_MASK: u64 = ENGINE_INVERTED | WRITTEN | PRESENT;

struct Memory {
    map: MmapMut,
    pagemap: File,
}

impl Memory {
    /// So many pages, of which those are written.
    fn written(pages: usize, written: impl IntoIterator<Item = usize>) -> Option<Self> {
        if !is_mended() {
            assert!(
                !cfg!(target_os = "linux") || !PoolingAllocationConfig::is_pagemap_scan_available()
            );
            println!("skipped: this kernel has no PAGEMAP_SCAN");
            return None;
        }
        let mut map = MmapMut::map_anon(pages * PAGE_BYTES).unwrap();
        assert_eq!(rustix::param::page_size(), PAGE_BYTES);
        for page in written {
            map[page * PAGE_BYTES] = 1;
        }
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        Some(Self { map, pagemap })
    }

    /// Pages that the engine would be told of with so much room, and where it is told to end.
    fn ask(&self, room: usize, pages_max: u64) -> (Vec<(u64, u64)>, u64) {
        let mut regions = vec![
            Region {
                start: 0,
                end: 0,
                categories: 0
            };
            room
        ];
        let start = self.map.as_ptr() as u64;
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            flags: 0,
            start,
            end: start + self.map.len() as u64,
            walk_end: 0,
            regions: regions.as_mut_ptr() as u64,
            regions_max: room as u64,
            pages_max,
            category_inverted: ENGINE_INVERTED,
            category_mask: ENGINE_MASK,
            category_anyof_mask: 0,
            return_mask: 0,
        };
        let fd = self.pagemap.as_fd().as_raw_fd();
        // SAFETY: the argument is what this request wants.
        let found = unsafe { ioctl(fd, PAGEMAP_SCAN, (&raw mut scan).cast()) };
        let page = |address| (address - start) / PAGE_BYTES as u64;
        regions.truncate(usize::try_from(found).unwrap());
        let pages = regions.iter().map(|one| (page(one.start), page(one.end)));
        (pages.collect(), page(scan.walk_end))
    }
}

#[test]
fn the_argument_has_the_kernels_size() {
    assert_eq!(size_of::<Scan>(), (PAGEMAP_SCAN >> 16 & 0x3fff) as usize);
}

#[test]
fn what_fits_is_answered_as_it_is() {
    let Some(memory) = Memory::written(64, [1, 2, 9, 40]) else {
        return;
    };
    assert_eq!(memory.ask(32, 64), (vec![(1, 3), (9, 10), (40, 41)], 64));
    // The bound is the engine's.
    assert_eq!(memory.ask(32, 2), (vec![(1, 3)], 9));
}

#[test]
fn what_does_not_fit_is_made_to() {
    let Some(memory) = Memory::written(300, (0..100).map(|nth| nth * 3)) else {
        return;
    };
    let before = Scans::so_far();
    let (regions, end) = memory.ask(32, 300);
    assert_eq!((regions.len(), end), (32, 300));
    let covered = |page| {
        regions
            .iter()
            .any(|&(start, end)| start <= page && page < end)
    };
    assert!((0..100).all(|nth| covered(nth * 3)));
    assert!(Scans::so_far().merged > before.merged);
}

#[test]
fn where_more_is_written_than_may_be_kept_the_rest_is_left_to_be_given_back() {
    let Some(memory) = Memory::written(300, (0..100).map(|nth| nth * 3)) else {
        return;
    };
    let (regions, end) = memory.ask(32, 100);
    assert_eq!(regions.last().unwrap().1, end);
    assert!(end < 300);
    let pages: u64 = regions.iter().map(|(start, end)| end - start).sum();
    assert!((33..=100).contains(&pages), "{pages}");
}

/// A request that nobody knows is refused by the kernel, with its own error.
#[test]
fn other_requests_pass() {
    let pagemap = File::open("/proc/self/pagemap").unwrap();
    let fd = pagemap.as_fd().as_raw_fd();
    // SAFETY: there is no such request, and so nothing that it wants.
    let answer = unsafe { ioctl(fd, 0xdead, std::ptr::null_mut()) };
    let error = std::io::Error::last_os_error();
    assert_eq!((answer, error.raw_os_error()), (-1, Some(libc::EINVAL)));
    // SAFETY: the kernel says that there is nothing at this address.
    let answer = unsafe { ioctl(fd, PAGEMAP_SCAN, std::ptr::null_mut()) };
    assert_eq!(answer, -1);
}
