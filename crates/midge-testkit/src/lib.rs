//! What tests share: built guests, a cache of their native code, a running midge,
//! and clients that speak HTTP byte by byte or comfortably.
//!
//! **Invariant:** every helper works on real files, sockets and processes, gives each
//! test ports and folders of its own, waits for states with a bound, and ends what it
//! started.
#![forbid(unsafe_code)]

mod guests;
pub mod http;
pub mod process;
mod run;
mod server;
mod wait;

pub use guests::{example, examples, fixture, native_code_cache};
pub use run::Run;
pub use server::{Midge, MidgeBuilder};
pub use wait::{wait_until, wait_until_async};
