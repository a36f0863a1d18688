//! The engine: one Wasmtime configuration for compilers and workers alike, in two variants.
//!
//! Decides how instances are laid out in memory (a pool of slots, or one mapping
//! each where the address space is too small) and everything native code depends
//! on. Which variant a component is compiled for is `compile.rs`; limits of a single
//! function are `limits.rs`; the clock that interrupts busy guests is `ticker.rs`.
//!
//! **Invariant:** two engines with the same [`Allocation`] produce and accept the
//! same native code; the fingerprint of the variant says so in the artifact's name.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;

use crate::limits::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::reset::ResetMechanism;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, ResourcesRequired,
    WasmBacktraceDetails,
};

/// The most linear memory any guest can address, and so what one slot reserves:
/// with all of it reserved, compiled code needs no bounds checks.
pub(crate) const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// What one memory reserves when the address space cannot hold a pool. Accesses
/// are then checked in code, which is slower and always possible.
const MEMORY_RESERVATION_SMALL_BYTES: u64 = 16 << 20;

/// Native stack for WebAssembly frames. Interpreters compiled to WebAssembly
/// (CPython, SpiderMonkey) recurse deeper than the engine's default allows.
pub(crate) const WASM_STACK_BYTES: usize = 1 << 20;

/// The whole stack of one invocation: WebAssembly frames and the host calls above them.
const FIBER_STACK_BYTES: usize = 2 << 20;

/// The engine's own book-keeping for one instance; generated code sets the pace.
const INSTANCE_METADATA_BYTES_MAX: usize = 4 << 20;

/// What one slot of the pool has: more than almost every guest needs. Stacks beyond the first
/// are for the concurrent tasks of 0.3 guests.
const MEMORIES_PER_SLOT: u32 = 2;
const TABLES_PER_SLOT: u32 = 4;
const STACKS_PER_SLOT: u32 = 2;

/// Frames of a trap's backtrace. Deep recursion is a common trap, and nobody reads further.
const BACKTRACE_FRAMES_MAX: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not 0");

/// Bytes of a used memory slot that are reset in place instead of given back,
/// where the kernel can tell which pages a guest wrote (`PAGEMAP_SCAN`). CPython with the gaps
/// between its pages needs all of it (`scan.rs`); more did not make it faster.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 4 << 20;

/// The same for a table.
const TABLE_KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// So many idle slots of a pool keep the image and the pages of the function that had them last;
/// a function without one takes over the oldest. Bounds what they hold to 128 MiB.
const WARM_SLOTS: u32 = 32;

/// The engine divides slots and this bound among groups of threads, one for each processor up to
/// so many; our one thread has one group's share.
const THREAD_GROUPS_MAX: usize = 16;

/// How instances get their memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// From a pool of slots reserved at start: microseconds, and the default.
    Pooling,
    /// Mapped for each instance, where the pool's reservation was refused.
    OnDemand,
}

/// What an engine needs to know; the binary decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// How instances get their memory.
    pub allocation: Allocation,
    /// How many instances may be alive at once in this process.
    pub instances_max: u32,
}

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine refused the configuration or the machine.
    #[error("start the WebAssembly engine with {allocation:?} allocation")]
    Refused {
        /// What was tried.
        allocation: Allocation,
        /// The engine's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No thread could be started for the clock that interrupts busy guests.
    #[error("start the thread that interrupts busy guests")]
    Ticker {
        /// The system's reason.
        source: std::io::Error,
    },
}

/// How many tasks an instance can have at once: what code is compiled for.
///
/// WASI 0.3 needs [`Tasks::Many`] (component-model async). The engine then keeps account of tasks
/// at every call into and out of a guest, which for a small function of WASI 0.2 is a quarter of
/// all that it costs: `docs/decisions/0025-two-variants-of-the-engine.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tasks {
    /// One: WASI 0.1 and 0.2.
    One,
    /// Many: WASI 0.3.
    Many,
}

/// A configured engine. Cheap to clone; clones share everything.
///
/// Each variant has a pool of its own. How many instances are alive is bounded above, over both
/// together.
#[derive(Clone)]
pub struct Engine {
    one: Variant,
    many: Variant,
    allocation: Allocation,
}

#[derive(Clone)]
struct Variant {
    inner: wasmtime::Engine,
    fingerprint: [u8; 8],
}

impl Engine {
    /// An engine for `config`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Refused`], most often because the address space is limited
    /// (`ulimit -v`): try [`Allocation::OnDemand`].
    pub fn new(config: &SandboxConfig) -> Result<Self, EngineError> {
        Ok(Self {
            one: Variant::new(config, Tasks::One)?,
            many: Variant::new(config, Tasks::Many)?,
            allocation: config.allocation,
        })
    }

    /// An engine with a pool, or without one where the machine refuses it; the
    /// error of the refused pool comes along so that it can be reported.
    ///
    /// # Errors
    ///
    /// Neither could be made: nothing will run on this machine.
    pub fn probe(
        instances_max: u32,
    ) -> Result<(Self, SandboxConfig, Option<EngineError>), EngineError> {
        let pooled = SandboxConfig {
            allocation: Allocation::Pooling,
            instances_max,
        };
        match Self::new(&pooled) {
            Ok(engine) => Ok((engine, pooled, None)),
            Err(refused) => {
                let on_demand = SandboxConfig {
                    allocation: Allocation::OnDemand,
                    instances_max,
                };
                Ok((Self::new(&on_demand)?, on_demand, Some(refused)))
            }
        }
    }

    /// How used memory becomes fresh memory here.
    pub fn reset_mechanism(&self) -> ResetMechanism {
        ResetMechanism::here(self.allocation)
    }

    /// How many memory slots of the pools wait for another instance after having had one; `None`
    /// without pools.
    pub fn warm_slots(&self) -> Option<u32> {
        let warm = |variant: &Variant| {
            let metrics = variant.inner.pooling_allocator_metrics()?;
            Some(metrics.unused_warm_memories())
        };
        Some(warm(&self.one)? + warm(&self.many)?)
    }

    /// The variant for code of instances that have so many tasks.
    pub(crate) fn of(&self, tasks: Tasks) -> &wasmtime::Engine {
        &self.variant(tasks).inner
    }

    /// Names everything that native code of this variant depends on: engine version, settings,
    /// CPU features. Native code runs only where the fingerprint is the same.
    pub(crate) fn fingerprint(&self, tasks: Tasks) -> String {
        let bytes = self.variant(tasks).fingerprint;
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Lets a tick pass for every guest.
    pub(crate) fn tick(&self) {
        self.one.inner.increment_epoch();
        self.many.inner.increment_epoch();
    }

    fn variant(&self, tasks: Tasks) -> &Variant {
        match tasks {
            Tasks::One => &self.one,
            Tasks::Many => &self.many,
        }
    }
}

impl Variant {
    fn new(config: &SandboxConfig, tasks: Tasks) -> Result<Self, EngineError> {
        let inner = wasmtime::Engine::new(&engine_config(config, tasks)).map_err(|error| {
            EngineError::Refused {
                allocation: config.allocation,
                source: error.into(),
            }
        })?;
        let fingerprint = fingerprint(&inner, tasks);
        Ok(Self { inner, fingerprint })
    }
}

fn engine_config(config: &SandboxConfig, tasks: Tasks) -> Config {
    let mut engine = Config::new();
    engine
        .wasm_component_model(true)
        .concurrency_support(tasks == Tasks::Many)
        .wasm_component_model_async(tasks == Tasks::Many)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_init_cow(true)
        // Traps and backtraces go by frame pointers. Tables for the C library's unwinder are work
        // for each load, and it keeps them in a list that each unload walks from the start.
        .native_unwind_info(false)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES_MAX))
        // Line numbers would come from debug information that the guest brings along.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    match config.allocation {
        Allocation::Pooling => engine
            .memory_reservation(MEMORY_RESERVATION_BYTES)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
                config.instances_max,
            ))),
        Allocation::OnDemand => engine
            .memory_reservation(MEMORY_RESERVATION_SMALL_BYTES)
            .memory_guard_size(0)
            .memory_reservation_for_growth(MEMORY_RESERVATION_SMALL_BYTES)
            .allocation_strategy(InstanceAllocationStrategy::OnDemand),
    };
    engine
}

fn pool(instances_max: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // Component and core instances are counters; memories, tables and stacks reserve address
    // space (4 GiB a memory). An instance that needs more of them than one slot has takes several
    // slots, so what was admitted always finds its memories and tables.
    pool.total_component_instances(instances_max)
        .total_core_instances(instances_max.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(memories(instances_max))
        .total_tables(instances_max.saturating_mul(TABLES_PER_SLOT))
        .total_stacks(instances_max.saturating_mul(STACKS_PER_SLOT))
        .total_gc_heaps(instances_max)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instance_size(INSTANCE_METADATA_BYTES_MAX)
        .max_component_instance_size(INSTANCE_METADATA_BYTES_MAX);
    if ResetMechanism::here(Allocation::Pooling) == ResetMechanism::WrittenPages {
        pool.pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(TABLE_KEEP_RESIDENT_BYTES)
            .max_unused_warm_slots(WARM_SLOTS * thread_groups());
    }
    pool
}

fn thread_groups() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    u32::try_from(processors.min(THREAD_GROUPS_MAX)).unwrap_or(1)
}

/// How many memories the pool has for so many instances.
pub(crate) fn memories(instances_max: u32) -> u32 {
    instances_max.saturating_mul(MEMORIES_PER_SLOT)
}

/// How many slots of the pool an instance takes that needs so much. One whose needs are not
/// known (it instantiates modules that it imports) is counted as one that takes all it may.
pub(crate) fn slots(needs: Option<ResourcesRequired>) -> u32 {
    let (memories, tables) = match needs {
        Some(needs) => (needs.num_memories, needs.num_tables),
        None => (MEMORIES_MAX, TABLES_MAX),
    };
    memories
        .div_ceil(MEMORIES_PER_SLOT)
        .max(tables.div_ceil(TABLES_PER_SLOT))
        .max(1)
}

fn fingerprint(engine: &wasmtime::Engine, tasks: Tasks) -> [u8; 8] {
    let mut hasher = Sha256Hasher(Sha256::new());
    // Before there were two variants the one for many tasks had all code.
    tasks.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let digest = hasher.0.finalize();
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

/// Lets `Hash` feed SHA-256: the standard library's hasher may change between
/// Rust releases, and a changed name would silently orphan the whole cache.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(
            digest[..8]
                .try_into()
                .expect("a SHA-256 digest has 32 bytes"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(allocation: Allocation) -> SandboxConfig {
        SandboxConfig {
            allocation,
            instances_max: 4,
        }
    }

    #[test]
    fn equal_configurations_share_native_code() {
        let one = Engine::new(&config(Allocation::Pooling)).unwrap();
        let two = Engine::new(&config(Allocation::Pooling)).unwrap();
        for tasks in [Tasks::One, Tasks::Many] {
            assert_eq!(one.fingerprint(tasks), two.fingerprint(tasks));
        }
    }

    #[test]
    fn code_of_one_variant_is_not_taken_for_the_others() {
        let engine = Engine::new(&config(Allocation::Pooling)).unwrap();
        let (one, many) = (Tasks::One, Tasks::Many);
        assert_ne!(engine.fingerprint(one), engine.fingerprint(many));
        assert!(!wasmtime::Engine::same(engine.of(one), engine.of(many)));
    }

    #[test]
    fn who_needs_more_than_a_slot_has_takes_several() {
        let needs = |num_memories, num_tables| {
            slots(Some(ResourcesRequired {
                num_memories,
                max_initial_memory_size: None,
                num_tables,
                max_initial_table_size: None,
            }))
        };
        assert_eq!(needs(0, 0), 1);
        assert_eq!(needs(2, 4), 1);
        assert_eq!(needs(3, 4), 2);
        assert_eq!(needs(1, 32), 8);
        assert_eq!(slots(None), 8);
    }

    #[test]
    fn the_layout_of_memory_is_part_of_the_fingerprint() {
        let pooled = Engine::new(&config(Allocation::Pooling)).unwrap();
        let on_demand = Engine::new(&config(Allocation::OnDemand)).unwrap();
        let one = Tasks::One;
        assert_ne!(pooled.fingerprint(one), on_demand.fingerprint(one));
    }
}
