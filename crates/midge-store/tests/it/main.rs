//! The store from outside, as those above it see it.
//!
//! `contract` is what every back end must do, as functions over a store that was just made; a back
//! end's own file makes a test of each. What only the embedded store has is beside its code.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and helpers of tests that the lint does not know as such"
)]

mod backup;
mod check;
mod contract;
mod crash;
mod embedded;
mod kit;
mod memory;
mod model;
mod size;
mod stores;
