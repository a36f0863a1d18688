//! Load: who asks, how often, and what they saw.
//!
//! `wrk` makes the load of most scenarios: it is small, known, and the same for everybody. Where it
//! cannot (HTTP/2, fixed times, waiting for slow answers), `client.rs` does, in a process of its
//! own so that its time is never counted as the server's.
//!
//! **Invariant:** a load in which one answer was wrong is an error, not a figure.

pub mod client;
pub mod wrk;

use serde::{Deserialize, Serialize};

/// What a load generator saw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// Right answers.
    pub answered: u64,
    /// How long it took.
    pub seconds: f64,
    /// Half of the answers came sooner.
    pub p50_ms: f64,
    /// 99 of 100 answers came sooner.
    pub p99_ms: f64,
}
