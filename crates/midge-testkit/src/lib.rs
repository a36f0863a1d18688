//! What tests share: built guests, a cache of their native code, a running midge,
//! and clients that speak HTTP byte by byte or comfortably.
//!
//! **Invariant:** every helper works on real files, sockets and processes, gives each
//! test ports and folders of its own, and ends what it started.
#![forbid(unsafe_code)]

mod guests;
pub mod http;
mod server;

pub use guests::{example, fixture, native_code_cache};
pub use server::{Midge, MidgeBuilder, signal_pid, wait_until};
