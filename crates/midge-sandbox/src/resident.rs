//! Keeps what guests write resident, so that later instances do not fault it in again.
//!
//! The engine resets a used slot with `PAGEMAP_SCAN`: pages that were written stay, and get their
//! original bytes back. But it takes at most 32 separate regions of them, and gives everything
//! behind those back to the kernel; the next instance faults each of these pages in, a copy every
//! time. Interpreters write in hundreds of places. Where the pages *between* their regions are
//! written too, once, the regions melt into few, nothing is given back, and nobody faults again.
//!
//! Decides when that pays: page faults of this thread are counted over some invocations, and only
//! if there were many, slots are looked at, at the end of an invocation, while all that it wrote
//! is still there. Which gaps are filled is `gaps.rs`, where slots lie is `slots.rs`.
//!
//! **Invariant:** no byte of any memory changes. A page is "written" by reading one of its bytes
//! and writing the same byte back through `/proc/self/mem`. That is sound because
//!
//! - only linear memories of this sandbox's own pools are written to (`slots.rs`), which exist for
//!   as long as the engines that this holds;
//! - nobody writes there between the reading and the writing: guests run, and host calls copy into
//!   and out of their memory, on this one thread, which is here and not there. Other threads (the
//!   ticker, mapping, blocking file I/O) have buffers of their own: no safe code can lend a store's
//!   memory to a thread that goes on running, and the crate has no such `unsafe` code;
//! - what the compiler may believe of that memory stays true, for it stays the same.
//!
//! A page that was filled is one that a guest wrote, as far as the engine and the kernel can tell:
//! it is reset like every other.

mod gaps;
mod pages;
mod slots;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use self::gaps::Gaps;
use self::pages::Pages;
use self::slots::Slots;
use crate::engine::{Engine, KEEP_RESIDENT_BYTES, SandboxConfig, Tasks};
use crate::reset::ResetMechanism;

/// Invocations over which page faults are counted; asking for them costs about 2 µs.
const INVOCATIONS: u32 = 64;

/// From so many faults per invocation on, slots are looked at.
const FAULTS_PER_INVOCATION: u64 = 1;

/// An instance below this size has no room for more regions than the engine takes.
const SMALL_BYTES: u64 = 256 << 10;

/// Slots looked at in one go, and pages after which it ends early: other guests wait meanwhile,
/// for about a millisecond.
const SLOTS_PER_LOOK: usize = 16;
const PAGES_PER_LOOK: u64 = 256;

/// After a look so many times the time that it took passes before the next one.
const PAUSE_FACTOR: u32 = 100;

/// The longest pause added after looks that brought nothing.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What keeps the slots of one worker resident.
pub(crate) struct Resident {
    /// Invocations that need not be looked at yet.
    left: Cell<u32>,
    keeper: Result<RefCell<Keeper>, Off>,
}

/// Why slots are left as the engine makes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Off {
    /// Written pages are not found by scanning, or there are no slots.
    #[error("memory is not reset by `PAGEMAP_SCAN` here")]
    NotScanned,
    /// The kernel does not show a process its own memory.
    #[error("open `{path}`: {reason}")]
    Closed {
        /// What was to be opened.
        path: &'static str,
        /// Why not.
        reason: String,
    },
    /// It was tried on a page, which did not become a written one.
    #[error("this kernel does not tell or does not allow writing pages through `/proc/self`")]
    Tried,
    /// The pool does not lie as we believe.
    #[error("the slots of the pool are not where they are looked for")]
    Layout,
}

/// What keeping pages resident has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// How often slots were looked at.
    pub looks: u64,
    /// Pages between written ones that were written too.
    pub pages: u64,
    /// What slots hold between two instances, by what the engine counts.
    pub idle_bytes: u64,
}

impl Resident {
    /// For the pools of `engine`, which was made with `config`, on the thread that runs its guests.
    pub(crate) fn new(engine: &Engine, config: &SandboxConfig) -> Self {
        let keeper = Keeper::new(engine, config).map(RefCell::new);
        if let Err(off) = &keeper {
            tracing::debug!(reason = %off, "gaps between written pages are left");
        }
        Self {
            left: Cell::new(INVOCATIONS),
            keeper,
        }
    }

    /// To be told whenever a guest has come to its end, while its memory is still there, and how
    /// much it holds.
    pub(crate) fn ended(&self, memory_bytes: u64) {
        let left = self.left.get();
        if left > 0 {
            self.left.set(left - 1);
            return;
        }
        self.left.set(self.due(memory_bytes));
    }

    #[cold]
    fn due(&self, memory_bytes: u64) -> u32 {
        match &self.keeper {
            Ok(keeper) => keeper.borrow_mut().due(memory_bytes),
            Err(_) => u32::MAX,
        }
    }

    /// What it has done so far.
    ///
    /// # Errors
    ///
    /// Why it does nothing here.
    pub(crate) fn kept(&self) -> Result<Kept, Off> {
        match &self.keeper {
            Ok(keeper) => {
                let keeper = keeper.borrow();
                let idle_bytes = keeper.pools.iter().map(Slots::idle_bytes).sum();
                Ok(Kept {
                    idle_bytes,
                    ..keeper.kept
                })
            }
            Err(off) => Err(off.clone()),
        }
    }
}

impl fmt::Debug for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resident({:?})", self.kept())
    }
}

struct Keeper {
    pages: Pages,
    pools: [Slots; 2],
    gaps: Gaps,
    /// Faults of this thread when they were last asked for.
    faults: u64,
    /// Whether there were many, and the next invocation that is not small is to be looked at.
    wanted: bool,
    not_before: Instant,
    /// Grows with looks that brought nothing.
    pause: Duration,
    /// The slot to begin with.
    next: usize,
    kept: Kept,
}

impl Keeper {
    fn new(engine: &Engine, config: &SandboxConfig) -> Result<Self, Off> {
        if engine.reset_mechanism() != ResetMechanism::WrittenPages {
            return Err(Off::NotScanned);
        }
        let pages = Pages::open()?;
        let pool = |tasks| Slots::find(engine.of(tasks), config.instances_max, &pages);
        let pools = [pool(Tasks::One)?, pool(Tasks::Many)?];
        Ok(Self {
            gaps: Gaps {
                pages_max: KEEP_RESIDENT_BYTES as u64 / pages.page_bytes(),
            },
            faults: pages.faults(),
            pages,
            pools,
            wanted: false,
            not_before: Instant::now(),
            pause: Duration::ZERO,
            next: 0,
            kept: Kept::default(),
        })
    }

    /// How many invocations may pass until the next that is worth a thought.
    fn due(&mut self, memory_bytes: u64) -> u32 {
        if !self.wanted {
            let faults = self.pages.faults();
            let more = faults.saturating_sub(std::mem::replace(&mut self.faults, faults));
            if more < u64::from(INVOCATIONS) * FAULTS_PER_INVOCATION {
                return INVOCATIONS;
            }
            self.wanted = true;
        }
        if memory_bytes < SMALL_BYTES {
            return 0;
        }
        self.wanted = false;
        let now = Instant::now();
        if now >= self.not_before {
            self.look(memory_bytes, now);
            // Its own faults are not the guests'.
            self.faults = self.pages.faults();
        }
        INVOCATIONS
    }

    /// Fills gaps in slots that are or have been in use.
    fn look(&mut self, memory_bytes: u64, started: Instant) {
        let slots: Vec<u64> = self.pools.iter().flat_map(Slots::used).collect();
        let first = self.next.checked_rem(slots.len()).unwrap_or(0);
        let mut pages = 0;
        let mut looked_at = 0;
        for &slot in slots
            .iter()
            .cycle()
            .skip(first)
            .take(slots.len().min(SLOTS_PER_LOOK))
        {
            pages += self.mend(slot, memory_bytes);
            looked_at += 1;
            if pages >= PAGES_PER_LOOK {
                break;
            }
        }
        self.next = first + looked_at;
        let took = started.elapsed();
        self.pause = match pages {
            0 => (self.pause * 2).max(took).min(PAUSE_MAX),
            _ => Duration::ZERO,
        };
        self.not_before = started + took + took * PAUSE_FACTOR + self.pause;
        self.kept.looks += 1;
        self.kept.pages += pages;
        tracing::debug!(
            slots = looked_at,
            pages,
            ?took,
            "gaps between written pages filled"
        );
    }

    /// Fills the gaps of one slot, if that helps, and says how many pages it took.
    fn mend(&mut self, slot: u64, memory_bytes: u64) -> u64 {
        let Ok(written) = self.pages.written(slot, memory_bytes, self.gaps.pages_max) else {
            return 0;
        };
        let mut filled = 0;
        for gap in self.gaps.worth_filling(&written) {
            for page in gap.start..gap.end {
                // What cannot be written stays a gap, and the slot as good as before.
                let touched = self.pages.touch(slot + page * self.pages.page_bytes());
                filled += u64::from(touched.is_ok());
            }
        }
        filled
    }
}
