//! The engine's question which pages a guest wrote, put right on its way to the kernel.
//!
//! The engine resets a used slot with `PAGEMAP_SCAN` (Linux 6.7, `PAGEMAP_SCAN(2const)`): what the
//! kernel names is overwritten in place, the rest is as it was. Release 48 asks for less than it
//! must, and takes less than it could:
//!
//! - It wants written pages that are *present*. One that was swapped out, or that the kernel is
//!   just moving to other memory, is not; it keeps what was in it, for the next instance to read.
//! - It has room for 32 separate regions. Everything behind them goes back to the kernel, and is
//!   faulted in again by the next instance: hundreds of pages for an interpreter.
//!
//! Release 50 asks for all written pages, and goes on behind a full answer. It needs a newer Rust
//! than we have, and one cannot tell release 48 to ask otherwise. But its system call is a call of
//! the C library's `ioctl` (`rustix` with the feature `use-libc`), and a program may define that
//! function: the linker then takes the program's. This is the definition. It asks what release 50
//! asks, and melts regions together until they fit (`merged.rs`). Every other request passes as it
//! is. See `docs/decisions/0034-the-scan-is-mended.md`.
//!
//! **Invariant:** it is believed to be in the way only where that was seen ([`is_mended`]); in a
//! program that is linked otherwise nothing is reset by scanning.
#![expect(unsafe_code, reason = "stands in for a function of the C library")]

mod merged;

use std::ffi::{c_int, c_ulong, c_void};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::PoolingAllocationConfig;

use self::merged::merge;

/// `_IOWR('f', 16, struct pm_scan_arg)` of `linux/fs.h`, where numbers of requests are built as on
/// x86-64 and AArch64.
const PAGEMAP_SCAN: c_ulong = 0xc060_6610;

/// The kernel's type of it is narrower, and so is that of some C libraries.
const REQUEST_BITS: c_ulong = 0xffff_ffff;

/// Categories of pages.
const WRITTEN: u64 = 1 << 1;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;

/// Regions that are asked for where the engine's room is not enough.
const REGIONS_MAX: usize = 512;

/// Questions that came this way.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Questions whose answer did not fit, and was made to.
static MERGED: AtomicU64 = AtomicU64::new(0);

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_max: u64,
    pages_max: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`: addresses.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// Whether this kernel can scan, and the engine's scans come this way.
pub(crate) fn is_mended() -> bool {
    static SEEN: LazyLock<bool> = LazyLock::new(|| {
        let before = Scans::so_far().asked;
        // The engine tries whether the kernel knows the request.
        PoolingAllocationConfig::is_pagemap_scan_available() && Scans::so_far().asked > before
    });
    *SEEN
}

/// What this process has scanned so far, for memories and tables of all its instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scans {
    /// Questions which pages were written.
    pub asked: u64,
    /// Those whose answer had more separate regions than the engine takes, and was made to fit.
    pub merged: u64,
}

impl Scans {
    /// Up to now; 0 where slots are not reset by scanning.
    pub fn so_far() -> Self {
        Self {
            asked: ASKED.load(Ordering::Relaxed),
            merged: MERGED.load(Ordering::Relaxed),
        }
    }
}

/// Stands in for the C library's function of this name, in all of the program.
///
/// It has the argument that every caller passes as a variable one: on the architectures that Linux
/// has it lies where a named one does.
///
/// # Safety
///
/// As for `ioctl(2)`: `argument` is what `request` wants.
#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    let scan = argument.cast::<Scan>();
    if request & REQUEST_BITS != PAGEMAP_SCAN || scan.is_null() || !scan.is_aligned() {
        // SAFETY: what the caller promised.
        return unsafe { ask(fd, request, argument) };
    }
    // SAFETY: this request has this argument, and the caller lends it for the call.
    unsafe { answer(fd, &mut *scan) }
}

/// # Safety
///
/// The regions of `scan` are room for so many of them.
unsafe fn answer(fd: c_int, scan: &mut Scan) -> c_int {
    ASKED.fetch_add(1, Ordering::Relaxed);
    if scan.category_mask & (WRITTEN | PRESENT) == WRITTEN | PRESENT {
        // A page that is on its way is shown as one that was swapped out. Without this second
        // condition pages that nobody ever touched would count as written.
        scan.category_mask &= !PRESENT;
        scan.category_anyof_mask |= PRESENT | SWAPPED;
    }
    // SAFETY: as the caller promised; the mask has no say in where the kernel writes.
    let found = unsafe { ask(fd, PAGEMAP_SCAN, (&raw mut *scan).cast()) };
    let room = usize::try_from(scan.regions_max).unwrap_or(usize::MAX);
    let is_full = usize::try_from(found) == Ok(room) && scan.walk_end < scan.end;
    // Who wants categories with the regions, or pages changed, is not the engine.
    let is_plain = scan.return_mask == 0 && scan.flags == 0;
    if !is_full || !is_plain || room == 0 || room >= REGIONS_MAX {
        return found;
    }
    // SAFETY: the kernel has just filled all of it, and nobody else has it during the call.
    let regions = unsafe { std::slice::from_raw_parts_mut(scan.regions as *mut Region, room) };
    if let Some((kept, walk_end)) = ask_for_more(fd, scan, regions) {
        MERGED.fetch_add(1, Ordering::Relaxed);
        scan.walk_end = walk_end;
        return c_int::try_from(kept).unwrap_or(found);
    }
    found
}

/// Asks again with more room, and puts what was found into `regions`: how many they are, and how
/// far they tell of all pages.
fn ask_for_more(fd: c_int, scan: &Scan, regions: &mut [Region]) -> Option<(usize, u64)> {
    const NONE: Region = Region {
        start: 0,
        end: 0,
        categories: 0,
    };
    let mut more = [NONE; REGIONS_MAX];
    let mut again = Scan {
        regions: more.as_mut_ptr() as u64,
        regions_max: REGIONS_MAX as u64,
        ..*scan
    };
    // SAFETY: the argument is what this request wants, with room for so many regions.
    let found = unsafe { ask(fd, PAGEMAP_SCAN, (&raw mut again).cast()) };
    let found = more.get(..usize::try_from(found).ok()?)?;
    let spans: Vec<_> = found
        .iter()
        .map(|region| region.start..region.end)
        .collect();
    let page_bytes = rustix::param::page_size() as u64;
    let merged = merge(
        &spans,
        regions.len(),
        scan.pages_max.saturating_mul(page_bytes),
    )?;
    for (place, span) in regions.iter_mut().zip(&merged.spans) {
        (place.start, place.end) = (span.start, span.end);
    }
    let walk_end = match merged.is_all {
        true => again.walk_end,
        false => merged.spans.last()?.end,
    };
    Some((merged.spans.len(), walk_end))
}

/// The system call itself; what `errno` says is its own.
///
/// # Safety
///
/// As for `ioctl(2)`.
unsafe fn ask(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    // SAFETY: what the caller promised.
    let answer = unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) };
    c_int::try_from(answer).unwrap_or(-1)
}

#[cfg(test)]
mod tests;
