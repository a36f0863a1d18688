//! How the end of a guest's run reads as an outcome.
//!
//! Decides whose fault an end was, from what the engine reports and what the meter
//! saw. Which status a client gets for it is the ingress's table.
//!
//! **Invariant:** whatever a guest can bring about is the guest's outcome; only a
//! panic of ours and a machine that refuses memory are the host's.

use std::any::Any;

use midge_model::{Limits, Outcome, Refusal};
use tokio::time::error::Elapsed;
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;

use crate::host::dirs::DirError;
use crate::limits::Vitals;

/// What the outside of a run sees: out of time, a caught panic, or the run's own end.
pub(crate) type Ended = Result<Result<wasmtime::Result<()>, Box<dyn Any + Send>>, Elapsed>;

pub(crate) fn of(ended: Ended, limits: &Limits, vitals: &Vitals) -> Outcome {
    match ended {
        Err(_) => Outcome::OutOfTime { limit: limits.time },
        Ok(Err(panic)) => Outcome::Host {
            reason: format!("panicked: {}", panic_text(&*panic)),
        },
        Ok(Ok(Ok(()))) => Outcome::Responded,
        Ok(Ok(Err(error))) => of_error(&error, limits, vitals),
    }
}

fn of_error(error: &wasmtime::Error, limits: &Limits, vitals: &Vitals) -> Outcome {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return match code {
            0 => Outcome::Responded,
            &code => Outcome::Exited { code },
        };
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Outcome::Refused(Refusal::NodeFull);
    }
    if let Some(error) = error.downcast_ref::<DirError>() {
        return Outcome::Host {
            reason: chain(error),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Outcome::OutOfTime { limit: limits.time },
        // A guest that was refused memory and then gave up: the refusal is the cause, whatever
        // words its language has for the end.
        _ if vitals.memory_refused() => Outcome::OutOfMemory {
            limit_bytes: limits.memory_bytes,
        },
        _ => Outcome::Trapped {
            reason: format!("{error:#}"),
        },
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
