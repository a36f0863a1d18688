//! What tests share: built guests, a cache of their native code, a running midge,
//! clients that speak HTTP byte by byte or comfortably, a name server, a registry, and a server that
//! guests call.
//!
//! **Invariant:** every helper works on real files, sockets and processes, gives each
//! test ports and folders of its own, waits for states with a bound, and ends what it
//! started.
#![forbid(unsafe_code)]

mod dns;
mod guests;
pub mod http;
pub mod process;
mod registry;
mod run;
mod server;
mod upstream;
mod wait;

pub use dns::DnsServer;
pub use guests::{example, examples, fixture, native_code_cache};
pub use midge_toolchain as toolchain;
pub use registry::{Registry, docker_login};
pub use run::Run;
pub use server::{Midge, MidgeBuilder};
pub use upstream::{Seen, Upstream};
pub use wait::{wait_until, wait_until_async};
