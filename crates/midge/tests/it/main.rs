//! The real binary from outside: real files, real sockets, real signals.
//!
//! One binary of modules, so that everything is linked once. Tests of load and of
//! memory are in `load.rs`: nextest gives each of those the machine to itself.
#![expect(clippy::unwrap_used, reason = "tests panic on what they do not expect")]

mod admission;
mod bench;
mod bodies;
mod cache;
mod cgi;
mod cli;
mod commands;
mod contracts;
mod dev;
mod endings;
mod errors;
mod guide;
mod hostile;
mod http;
mod kit;
mod learn;
mod limits;
mod load;
mod logs;
mod manifests;
mod outbound;
mod policies;
mod powers;
mod processes;
mod projects;
mod quotas;
mod real;
mod security;
mod serial;
mod serve;
mod shared;
mod spin;
mod tested;
mod tls;
mod worlds;
