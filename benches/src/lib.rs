//! The comparison that anybody can run: midge, its peers and the bare server, side by side.
//!
//! This crate decides how things are measured and which targets are held; it is not part of the
//! product and nothing of the product names it. It starts the binaries that users start, asks them
//! over sockets, and reads what they cost from `/proc`.
//!
//! **Invariant:** what is compared was measured in the same run, in turns, under the same load.

#![forbid(unsafe_code)]

pub mod ask;
pub mod contest;
pub mod guests;
pub mod lab;
pub mod load;
pub mod machine;
pub mod peers;
pub mod proc;
pub mod record;
pub mod report;
pub mod scenario;
pub mod server;
pub mod stats;
pub mod targets;
pub mod upstream;
pub mod work;
