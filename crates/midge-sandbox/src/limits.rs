//! The limits of one invocation, and what it has used of them.
//!
//! Decides when a guest may not grow any further and when its time is up. Limits
//! of functions and namespaces over many invocations are the runtime's.
//!
//! **Invariant:** memory is bounded over the whole instance: the sum of all linear
//! memories and tables, not each one (Spin #3705).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use midge_model::Outcome;
use tokio::time::Instant;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::cpu::Pace;
use crate::shared::Computing;

/// Elements of one table; a pooled table reserves room for as many.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 17;

/// What a table element costs the host.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// Handles a guest may hold at once (streams, files, bodies, sets of fields …). Each costs the
/// host: an open file is a descriptor of the worker's, which all its guests and connections
/// share; a body or a set of fields holds up to [`HANDLE_BYTES_MAX`] of memory. Honest guests
/// hold a few dozen.
pub(crate) const HANDLES_MAX: usize = 512;

/// With more handles than this left open an instance is not used again: the next invocation would
/// run out of them through no fault of its own.
pub(crate) const HANDLES_LEFT_MAX: usize = HANDLES_MAX / 2;

/// What the host may hold in memory for one handle: the names and values of a set of header
/// fields, or one chunk of an outgoing body on its way. With [`HANDLES_MAX`] it bounds what a
/// guest can make the host hold beside its own memory.
pub(crate) const HANDLE_BYTES_MAX: usize = 64 << 10;

/// Bytes a guest may pass to the host in one call; more is a trap. The largest honest
/// argument is one body chunk or one list of headers.
pub(crate) const HOST_CALL_BYTES_MAX: usize = 16 << 20;

/// Core instances, memories and tables of one instance, whatever their size. A CPython
/// component has a few dozen core instances.
pub(crate) const CORE_INSTANCES_MAX: u32 = 64;
pub(crate) const MEMORIES_MAX: u32 = 8;
pub(crate) const TABLES_MAX: u32 = 32;

/// What is known about an invocation while it runs and after it ended. Shared by
/// everything that outlives the guest's store: request body, response body, receipt.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    outcome: OnceLock<Outcome>,
    memory_peak_bytes: AtomicU64,
    memory_refused: AtomicBool,
    answered: AtomicBool,
    instantiate_nanos: AtomicU64,
    cpu_nanos: AtomicU64,
}

impl Vitals {
    /// Records how the invocation ended. The first word counts.
    pub(crate) fn end(&self, outcome: Outcome) {
        // A second outcome can only be a consequence of the first.
        drop(self.outcome.set(outcome));
    }

    /// How the invocation ended, once it has.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Notes that the guest gave a response.
    pub(crate) fn note_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether the guest gave a response.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether nothing went wrong: the guest gave a response, was refused no memory, and nobody
    /// had another word about its end. Asked once the guest has come to its end.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_answered() && !self.memory_refused() && self.outcome() == Some(&Outcome::Responded)
    }

    /// Notes that the instance holds so much.
    pub(crate) fn note_memory(&self, held_bytes: u64) {
        self.memory_peak_bytes
            .fetch_max(held_bytes, Ordering::Relaxed);
    }

    pub(crate) fn memory_peak_bytes(&self) -> u64 {
        self.memory_peak_bytes.load(Ordering::Relaxed)
    }

    /// Whether the guest was refused memory at least once.
    pub(crate) fn memory_refused(&self) -> bool {
        self.memory_refused.load(Ordering::Relaxed)
    }

    pub(crate) fn instantiate(&self) -> Duration {
        Duration::from_nanos(self.instantiate_nanos.load(Ordering::Relaxed))
    }

    /// The processor time that the guest has used so far.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed))
    }

    /// Adds to it, and tells the sum.
    pub(crate) fn add_cpu(&self, used: Duration) -> Duration {
        let nanos = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
        let before = self.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
        Duration::from_nanos(before.saturating_add(nanos))
    }

    pub(crate) fn note_instantiated(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.instantiate_nanos.store(nanos, Ordering::Relaxed);
    }
}

/// Counts what one instance holds and refuses what is beyond its limit.
pub(crate) struct Meter {
    memory_bytes_max: u64,
    held_bytes: u64,
    /// What was granted last, in case the system cannot deliver it.
    granted_last_bytes: u64,
    vitals: Arc<Vitals>,
}

impl Meter {
    pub(crate) fn new(memory_bytes_max: u64, vitals: Arc<Vitals>) -> Self {
        Self {
            memory_bytes_max,
            held_bytes: 0,
            granted_last_bytes: 0,
            vitals,
        }
    }

    /// Counts for the next invocation from here on. What the instance holds it goes on holding.
    pub(crate) fn renew(&mut self, vitals: Arc<Vitals>) {
        vitals
            .memory_peak_bytes
            .store(self.held_bytes, Ordering::Relaxed);
        self.granted_last_bytes = 0;
        self.vitals = vitals;
    }

    /// What the instance holds.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Takes `more_bytes` if they fit.
    fn take(&mut self, more_bytes: u64) -> bool {
        let held_bytes = self.held_bytes.saturating_add(more_bytes);
        if held_bytes > self.memory_bytes_max {
            return self.refuse();
        }
        self.held_bytes = held_bytes;
        self.granted_last_bytes = more_bytes;
        self.vitals
            .memory_peak_bytes
            .fetch_max(held_bytes, Ordering::Relaxed);
        true
    }

    fn refuse(&self) -> bool {
        self.vitals.memory_refused.store(true, Ordering::Relaxed);
        false
    }

    /// The system could not deliver what was granted last.
    fn take_back(&mut self) {
        self.held_bytes -= std::mem::take(&mut self.granted_last_bytes);
        self.refuse();
    }
}

/// Refused growth answers -1 as the specification has it, so a guest with a garbage
/// collector can make room and go on; one that cannot will trap by itself.
impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current_bytes: usize,
        desired_bytes: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.take(desired_bytes.saturating_sub(current_bytes) as u64))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            return Ok(self.refuse());
        }
        let more_elements = desired.saturating_sub(current);
        Ok(self.take(more_elements.saturating_mul(TABLE_ELEMENT_BYTES) as u64))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
}

/// What a store holds must be able to show its meter.
pub(crate) trait Metered: 'static {
    fn meter(&mut self) -> &mut Meter;
}

/// Puts every limit on a new store: memory, handles, host-call arguments and time.
pub(crate) fn bind<T: Metered>(store: &mut Store<T>, pace: Arc<Pace>) {
    store.limiter(|state| state.meter());
    store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
    store.set_max_component_handles(HANDLES_MAX);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(HANDLES_MAX);
    }
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| Ok(at_tick(&pace)));
}

/// The same for a store whose guest has several tasks, and notes which of them computes.
pub(crate) fn note_who_computes<T: Metered + Send>(
    store: &mut Store<T>,
    pace: Arc<Pace>,
    computing: Computing,
) {
    store.epoch_deadline_callback(move |mut store| {
        // The outermost of the calls that led here; the last task is the host's own call.
        let task = store.async_call_stack().ok().and_then(Iterator::last);
        *computing.lock().unwrap_or_else(PoisonError::into_inner) = task;
        Ok(at_tick(&pace))
    });
}

/// Whether a guest that computes goes on, at a tick of the engine's clock.
fn at_tick(pace: &Pace) -> UpdateDeadline {
    let now = Instant::now();
    if pace.is_over(now) {
        return UpdateDeadline::Interrupt;
    }
    if !pace.tick_is_over(now) {
        return UpdateDeadline::Continue(1);
    }
    UpdateDeadline::YieldCustom(1, Box::pin(pace.interrupt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 64 << 10;

    fn meter(pages: usize) -> Meter {
        Meter::new((pages * PAGE) as u64, Arc::default())
    }

    #[test]
    fn two_memories_share_one_limit() {
        let mut meter = meter(3);
        assert!(meter.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(!meter.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(meter.memory_growing(0, PAGE, None).unwrap());
        assert!(meter.vitals.memory_refused());
        assert_eq!(meter.vitals.memory_peak_bytes(), 3 * PAGE as u64);
    }

    #[test]
    fn what_an_instance_holds_counts_in_its_next_invocation_too() {
        let mut meter = meter(3);
        assert!(meter.memory_growing(0, 2 * PAGE, None).unwrap());
        let next = Arc::<Vitals>::default();
        meter.renew(Arc::clone(&next));
        assert_eq!(next.memory_peak_bytes(), 2 * PAGE as u64);
        assert!(!meter.memory_growing(2 * PAGE, 4 * PAGE, None).unwrap());
        assert!(next.memory_refused());
    }

    #[test]
    fn tables_count_as_memory() {
        let mut meter = meter(1);
        assert!(
            meter
                .table_growing(0, PAGE / TABLE_ELEMENT_BYTES, None)
                .unwrap()
        );
        assert!(!meter.memory_growing(0, PAGE, None).unwrap());
    }

    #[test]
    fn an_absurd_size_does_not_wrap_around() {
        let mut meter = meter(1);
        assert!(!meter.memory_growing(0, usize::MAX, None).unwrap());
        assert!(!meter.table_growing(0, usize::MAX, None).unwrap());
    }
}
