//! Where the memories of a pool lie.
//!
//! The engine does not say, so it is asked once, at the start: the first two instances of a pool
//! take the first two slots, and safe code may ask where their memories begin.
//!
//! **Invariant:** every address that [`Slots::used`] gives is the beginning of a memory of this
//! pool. Not all slots need be among them.

use wasmtime::{Instance, Module, Store};

use super::Off;
use super::pages::Pages;
use crate::engine::{MEMORY_RESERVATION_BYTES, memories};

/// Two of these are made and thrown away.
const PROBE: &str = r#"(module (memory (export "memory") 1))"#;

/// A byte to recognise a probe by.
const MARK: u8 = 0xa5;

/// The engine divides a large pool among at most so many groups of threads (`default_shard_count`),
/// and a thread's slots come from its own group's part; small pools it leaves whole.
const PARTS_MAX: u32 = 16;
const WHOLE_BELOW: u32 = 128;

/// The slots of one pool, as this thread gets them: one after the other.
pub(super) struct Slots {
    engine: wasmtime::Engine,
    first: u64,
    stride: u64,
    /// How many from the first on are the pool's, whichever part it is.
    sure: u32,
}

impl Slots {
    /// Those of `engine`, in which there has not been any instance yet.
    pub(super) fn find(
        engine: &wasmtime::Engine,
        instances_max: u32,
        pages: &Pages,
    ) -> Result<Self, Off> {
        let module = Module::new(engine, PROBE).map_err(|_| Off::Layout)?;
        let mut store = Store::new(engine, ());
        let mut probe = || {
            let instance = Instance::new(&mut store, &module, &[]).map_err(|_| Off::Layout)?;
            let memory = instance
                .get_memory(&mut store, "memory")
                .ok_or(Off::Layout)?;
            memory.data_mut(&mut store)[0] = MARK;
            let start = memory.data_ptr(&store) as u64;
            let bytes = memory.data_size(&store) as u64;
            is_shown(pages, start, bytes)?;
            let is_marked = memory.data(&store)[0] == MARK;
            is_marked.then_some(start).ok_or(Off::Tried)
        };
        let (first, second) = (probe()?, probe()?);
        let stride = second.checked_sub(first).ok_or(Off::Layout)?;
        if stride < MEMORY_RESERVATION_BYTES {
            return Err(Off::Layout);
        }
        Ok(Self {
            engine: engine.clone(),
            first,
            stride,
            sure: sure(memories(instances_max)),
        })
    }

    /// What memories hold that no instance has at the moment.
    pub(super) fn idle_bytes(&self) -> u64 {
        let metrics = self.engine.pooling_allocator_metrics();
        metrics.map_or(0, |metrics| metrics.unused_memory_bytes_resident() as u64)
    }

    /// Where the memories begin that are, or have been, in use.
    pub(super) fn used(&self) -> impl Iterator<Item = u64> {
        let metrics = self.engine.pooling_allocator_metrics();
        let used = metrics.map_or(0, |metrics| {
            let in_use = u32::try_from(metrics.memories()).unwrap_or(u32::MAX);
            in_use.saturating_add(metrics.unused_warm_memories())
        });
        (0..used.min(self.sure)).map(|slot| self.first + u64::from(slot) * self.stride)
    }
}

/// Whether this kernel shows and does what is needed, tried on the memory of a probe: its first
/// page is marked, the others nobody has touched.
fn is_shown(pages: &Pages, start: u64, bytes: u64) -> Result<(), Off> {
    let written = || {
        let written = pages.written(start, bytes, bytes).map_err(|_| Off::Tried)?;
        Ok(written.pages)
    };
    let before: u64 = written()?;
    let last = start + bytes - pages.page_bytes();
    pages.touch(start).map_err(|_| Off::Tried)?;
    pages.touch(last).map_err(|_| Off::Tried)?;
    let after: u64 = written()?;
    (before == 1 && after == 2).then_some(()).ok_or(Off::Tried)
}

/// How many slots a part of a pool has at least, in however many parts it is divided.
fn sure(slots: u32) -> u32 {
    if slots < WHOLE_BELOW {
        return slots;
    }
    let smallest = (1..=PARTS_MAX).map(|parts| {
        let part = slots.div_ceil(parts);
        // The last one has what the others leave.
        slots - (slots.div_ceil(part) - 1) * part
    });
    smallest.min().unwrap_or(0)
}

#[cfg(test)]
mod tests;
