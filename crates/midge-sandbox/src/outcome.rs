//! Waiting for a guest to end, and what its end reads as.
//!
//! Decides whose fault an end was, from what the engine reports and what the meter
//! saw. Which status a client gets for it is the ingress's table.
//!
//! **Invariant:** whatever a guest can bring about is the guest's outcome; only a
//! panic of ours and a machine that refuses memory are the host's.

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use midge_model::{Limits, Outcome, Refusal};
use tokio::time::{Instant, timeout_at};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::cpu::{Stopwatch, polled_again};
use crate::limits::Vitals;
use crate::turns::Contender;

/// What is kept of the engine's words, and of each function's name in a backtrace.
const REASON_BYTES_MAX: usize = 1 << 10;
const FRAME_NAME_BYTES_MAX: usize = 100;

/// From this size on taking an instance down takes long enough to be counted.
pub(crate) const LARGE_BYTES: u64 = 4 << 20;

/// What an invocation is held to, and where its end is noted.
pub(crate) struct Watch {
    pub(crate) deadline: Instant,
    pub(crate) bounds: Bounds,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) stopwatch: Stopwatch,
    pub(crate) contender: Contender,
}

/// What of a function's limits an end reads as; of all of them, each guest that waits would hold a
/// copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) memory_bytes: u64,
    cpu: Duration,
    time: Duration,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            cpu: limits.cpu,
            time: limits.time,
        }
    }
}

impl Watch {
    /// Waits for the guest, but not beyond its deadline, and notes how it ended.
    ///
    /// The outcome is noted while the call, and the store that it borrows, still stand: taking
    /// them down closes the channels of the response, and whoever sees them close asks for the
    /// outcome.
    ///
    /// Says whether the guest came to its end by itself: its functions returned, and nothing of
    /// it runs any more.
    pub(crate) fn over(
        &self,
        call: impl Future<Output = wasmtime::Result<()>>,
    ) -> impl Future<Output = bool> {
        // An async function would keep its argument beside what it pinned of it: twice the call,
        // which is most of what the host holds of a guest that waits.
        self.over_boxed(Box::pin(call))
    }

    async fn over_boxed(
        &self,
        mut call: Pin<Box<impl Future<Output = wasmtime::Result<()>>>>,
    ) -> bool {
        let guarded = AssertUnwindSafe(self.in_turns(call.as_mut())).catch_unwind();
        let ended = timeout_at(self.deadline, guarded).await;
        let returned = matches!(ended, Ok(Ok(Some(Ok(())))));
        let outcome = match ended {
            Ok(Ok(Some(Ok(())))) => Outcome::Responded,
            Ok(Ok(Some(Err(error)))) => of_error(&error, self.bounds, &self.vitals),
            Ok(Ok(None)) => Outcome::OutOfCpu {
                limit: self.bounds.cpu,
            },
            Ok(Err(panic)) => {
                let reason = format!("panicked: {}", panic_text(&*panic));
                Outcome::Host { reason }
            }
            Err(_) => Outcome::OutOfTime {
                limit: self.bounds.time,
            },
        };
        self.vitals.end(outcome);
        if self.vitals.memory_peak_bytes() >= LARGE_BYTES {
            self.contender.pays_until_dropped();
        }
        returned
    }

    /// Polls the guest whenever it is its turn. `None`: it has used up its processor time.
    ///
    /// Looked at here, behind every stint, and not by the engine's callback, so that it holds for
    /// a guest whose host calls do all the work as well.
    async fn in_turns(
        &self,
        mut call: Pin<&mut impl Future<Output = wasmtime::Result<()>>>,
    ) -> Option<wasmtime::Result<()>> {
        loop {
            self.contender.turn().await;
            let (polled, stint) = poll_fn(|cx| {
                let stint = self.stopwatch.measure(|| call.as_mut().poll(cx));
                Poll::Ready(stint)
            })
            .await;
            self.contender.end_turn(stint.used, stint.interrupted);
            if let Poll::Ready(ended) = polled {
                return Some(ended);
            }
            if self.vitals.cpu() > self.bounds.cpu {
                return None;
            }
            if !stint.interrupted {
                // What it waits for has the task's waker.
                polled_again().await;
            }
        }
    }
}

/// What an end by the engine's word reads as.
pub(crate) fn of_error(error: &wasmtime::Error, bounds: Bounds, vitals: &Vitals) -> Outcome {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return match code {
            0 => Outcome::Responded,
            &code => Outcome::Exited { code },
        };
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Outcome::Refused(Refusal::NodeFull);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Outcome::OutOfTime { limit: bounds.time },
        // A guest that was refused memory and then gave up: the refusal is the cause, whatever
        // words its language has for the end.
        _ if vitals.memory_refused() => Outcome::OutOfMemory {
            limit_bytes: bounds.memory_bytes,
        },
        _ => Outcome::Trapped {
            reason: reason(error),
        },
    }
}

/// What a guest died of and where, in bounded text.
///
/// Not the engine's own rendering: it prints function names in full and demangled, and a guest
/// can bring a name that takes half a minute and 300 MB to demangle.
fn reason(error: &wasmtime::Error) -> String {
    let mut reason = error.root_cause().to_string();
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        for frame in backtrace.frames() {
            let name = frame.func_name().unwrap_or("?");
            let shown = &name[..name.floor_char_boundary(FRAME_NAME_BYTES_MAX)];
            reason.push_str(" < ");
            reason.push_str(shown);
        }
    }
    reason
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cpu::Pace;
    use crate::turns::Turns;

    async fn check(call: impl Future<Output = wasmtime::Result<()>>) -> Outcome {
        check_within(Limits::SAFE, call).await
    }

    async fn check_within(
        limits: Limits,
        call: impl Future<Output = wasmtime::Result<()>>,
    ) -> Outcome {
        let vitals = Arc::<Vitals>::default();
        let deadline = Instant::now() + limits.time;
        let watch = Watch {
            deadline,
            bounds: Bounds::from(&limits),
            stopwatch: Stopwatch::new(Arc::clone(&vitals), Arc::new(Pace::new(deadline))),
            vitals,
            contender: Turns::default().share(100).contender(),
        };
        watch.over(call).await;
        watch.vitals.outcome().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_a_host_call_ends_one_invocation_and_is_ours() {
        let outcome = check(async { panic!("a bug") }).await;
        let reason = "panicked: a bug".to_owned();
        assert_eq!(outcome, Outcome::Host { reason });
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_waits_for_ever_ends_at_its_deadline() {
        let before = Instant::now();
        let outcome = check(std::future::pending()).await;
        let limit = Limits::SAFE.time;
        assert_eq!(outcome, Outcome::OutOfTime { limit });
        assert!(before.elapsed() < limit + Duration::from_millis(20));
    }

    /// No tick ends the stints of such a guest, and nothing of its own code runs.
    #[tokio::test]
    async fn a_guest_whose_host_calls_compute_is_out_of_cpu() {
        let limits = Limits {
            cpu: Duration::from_millis(20),
            ..Limits::SAFE
        };
        let calls_on = poll_fn(|cx| {
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(100) {}
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let outcome = check_within(limits, calls_on).await;
        assert_eq!(outcome, Outcome::OutOfCpu { limit: limits.cpu });
    }

    #[tokio::test(start_paused = true)]
    async fn exit_code_0_is_a_success() {
        assert_eq!(
            check(async { Err(I32Exit(0).into()) }).await,
            Outcome::Responded
        );
        let exited = check(async { Err(I32Exit(3).into()) }).await;
        assert_eq!(exited, Outcome::Exited { code: 3 });
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_outcome_stands() {
        let vitals = Vitals::default();
        vitals.end(Outcome::Cancelled);
        vitals.end(Outcome::Responded);
        assert_eq!(vitals.outcome(), Some(&Outcome::Cancelled));
    }
}
