//! The clock that interrupts busy guests.
//!
//! A thread of its own advances the engine's epoch every [`TICK`] while any guest
//! runs; a guest that computes without calling the host then yields to the other
//! tasks of its worker. What happens at a tick is `limits.rs`'s business.
//!
//! **Invariant:** an idle process does not tick, so thousands of quiet nodes cost
//! no wake-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crate::engine::Engine;

/// How long a guest may compute before others get their turn.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without any guest before the thread goes to sleep; a busy worker whose
/// requests come with gaps should not pay a wake-up for each.
const IDLE_TICKS_MAX: u32 = 100;

/// Advances an engine's epoch while guests run. Ends its thread when dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

impl Ticker {
    /// A ticker for `engine`, asleep until the first guest enters.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen_by_thread = Arc::clone(&shared);
        let engine = engine.clone();
        let thread = std::thread::Builder::new()
            .name("midge-ticker".to_owned())
            .spawn(move || tick(&seen_by_thread, &engine))?
            .thread()
            .clone();
        Ok(Self { shared, thread })
    }

    /// Keeps the epoch moving until the guard is dropped.
    pub(crate) fn enter(&self) -> Running {
        // Sequentially consistent on both sides: the thread announces its sleep and then looks
        // for guests, we announce a guest and then look for the sleep. One of us sees the other.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// One guest is running.
pub(crate) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    let mut idle_ticks = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        std::thread::sleep(TICK);
        engine.tick();
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle_ticks = 0;
            continue;
        }
        idle_ticks += 1;
        if idle_ticks < IDLE_TICKS_MAX {
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while shared.running.load(Ordering::SeqCst) == 0 && !shared.ended.load(Ordering::SeqCst) {
            std::thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle_ticks = 0;
    }
}
