//! The control core over the real embedded store, with a node that says yes.
//!
//! What the core promises is tested here: what stands after each write that fails, who may do
//! what, and that nobody learns of what is not theirs. Compiling and serving are tested where
//! they are real.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod anomalies;
mod caps;
mod claims;
mod deploys;
mod flaky;
mod idempotent;
mod kit;
mod lists;
mod matrix;
mod node;
mod room;
mod secrets;
mod sizes;
mod sound;
mod sweeps;
mod tokens;
