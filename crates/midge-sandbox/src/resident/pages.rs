//! The pages of this process, as the kernel shows them under `/proc`.
//!
//! Reads which were written, makes one written, and counts this thread's page faults. Where to
//! look is the caller's; nothing here needs a privilege (the flags of a page are shown to
//! everybody, only where it lies in the machine is not).
//!
//! **Invariant:** [`Pages::touch`] writes the byte that it has just read; why nobody else writes
//! in between is said in `resident.rs`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;

use super::Off;
use super::gaps::Runs;

const PAGEMAP: &str = "/proc/self/pagemap";
const MEMORY: &str = "/proc/self/mem";
const STAT: &str = "/proc/thread-self/stat";

/// An entry of the page map for each page.
const ENTRY_BYTES: usize = size_of::<u64>();

/// What an entry says: the page is in memory; of a file, or shared; and in no other process.
/// A page that was only read is the file's, or the kernel's page of zeros, which nobody has for
/// himself.
const PRESENT: u64 = 1 << 63;
const FILE: u64 = 1 << 61;
const EXCLUSIVE: u64 = 1 << 56;

/// How much of the page map is read at once: the pages of 16 MiB.
const CHUNK_BYTES: usize = 32 << 10;

/// Memory behind this is not looked at: the page map of so much takes about a millisecond to read.
const LOOKED_AT_BYTES_MAX: u64 = 128 << 20;

/// `stat` of a thread: numbers, and a name of at most 15 bytes.
const STAT_BYTES_MAX: usize = 1024;

/// Which field of `stat`, counted behind the name, has the faults that needed no disk.
const MINOR_FAULTS_FIELD: usize = 7;

/// What the kernel shows of this process and of the thread that opened it.
#[derive(Debug)]
pub(super) struct Pages {
    pagemap: File,
    memory: File,
    stat: File,
    page_bytes: u64,
}

impl Pages {
    pub(super) fn open() -> Result<Self, Off> {
        let read = |path| File::open(path).map_err(closed(path));
        let memory = OpenOptions::new().read(true).write(true).open(MEMORY);
        Ok(Self {
            pagemap: read(PAGEMAP)?,
            memory: memory.map_err(closed(MEMORY))?,
            stat: read(STAT)?,
            page_bytes: rustix::param::page_size() as u64,
        })
    }

    pub(super) fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// The pages written in the first `bytes` from `start`, by their number from there. Ends early
    /// behind more than `pages_max`.
    pub(super) fn written(&self, start: u64, bytes: u64, pages_max: u64) -> io::Result<Runs> {
        let mut written = Runs::default();
        let mut chunk = [0; CHUNK_BYTES];
        let pages = bytes.min(LOOKED_AT_BYTES_MAX).div_ceil(self.page_bytes);
        let mut page = 0;
        while page < pages && written.pages <= pages_max {
            let entries = usize::try_from(pages - page).unwrap_or(usize::MAX);
            let part = &mut chunk[..CHUNK_BYTES.min(entries.saturating_mul(ENTRY_BYTES))];
            let at = (start / self.page_bytes + page) * ENTRY_BYTES as u64;
            self.pagemap.read_exact_at(part, at)?;
            for entry in part.as_chunks::<ENTRY_BYTES>().0 {
                if is_written(u64::from_ne_bytes(*entry)) {
                    written.push(page);
                }
                page += 1;
            }
        }
        Ok(written)
    }

    /// Makes the page at `address` a written one, with what is in it.
    pub(super) fn touch(&self, address: u64) -> io::Result<()> {
        let mut byte = [0];
        self.memory.read_exact_at(&mut byte, address)?;
        self.memory.write_all_at(&byte, address)
    }

    /// How often this thread has had a page fault that needed no disk.
    pub(super) fn faults(&self) -> u64 {
        let mut text = [0; STAT_BYTES_MAX];
        let Ok(bytes) = self.stat.read_at(&mut text, 0) else {
            return 0;
        };
        faults_in(&text[..bytes]).unwrap_or(0)
    }
}

fn closed(path: &'static str) -> impl FnOnce(io::Error) -> Off {
    move |error| Off::Closed {
        path,
        reason: error.to_string(),
    }
}

fn is_written(entry: u64) -> bool {
    entry & (PRESENT | FILE | EXCLUSIVE) == PRESENT | EXCLUSIVE
}

/// The name may have blanks and brackets in it: what follows begins behind the last one.
fn faults_in(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    fields.nth(MINOR_FAULTS_FIELD)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn faults_are_found_behind_any_name() {
        let stat = b"12 (a) (b c) S 1 12 12 0 -1 4194560 777 0 5 0 3 4 0 0 20";
        assert_eq!(faults_in(stat), Some(777));
        assert_eq!(faults_in(b"12 (cut) S 1"), None);
        assert_eq!(faults_in(b""), None);
    }

    #[test]
    fn only_what_was_written_by_this_process_alone_counts() {
        assert!(is_written(PRESENT | EXCLUSIVE | 1 << 55));
        // The page of zeros, a page of a file, and none at all.
        assert!(!is_written(PRESENT));
        assert!(!is_written(PRESENT | EXCLUSIVE | FILE));
        assert!(!is_written(EXCLUSIVE));
    }

    #[test]
    fn a_thread_that_takes_new_memory_faults() {
        let pages = Pages::open().unwrap();
        let before = pages.faults();
        let memory = memmap2::MmapMut::map_anon(64 * 4096).unwrap();
        for page in 0..64 {
            let address = memory.as_ptr() as u64 + page * 4096;
            pages.touch(address).unwrap();
        }
        assert!(pages.faults() >= before + 64);
        let runs = pages
            .written(memory.as_ptr() as u64, 64 * 4096, 1000)
            .unwrap();
        assert_eq!(runs.pages, 64);
        assert_eq!(runs.runs.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_of_the_kernel_is_too_odd(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = faults_in(&text);
        }
    }
}
