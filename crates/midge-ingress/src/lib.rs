//! The traffic door of a worker: from a listening socket to a dispatched request, and back.
//!
//! Decides who may connect and for how long, which requests are well formed, what a function sees
//! of its caller, and how each [`Outcome`](midge_model::Outcome) looks from outside. Which function
//! answers, and running it, is midge-runtime.
//!
//! **Invariants:** one thread and no lock; every wait on a peer has a deadline and every count a
//! bound; nothing that a caller or a guest does is logged as ERROR or ends the worker.

#![forbid(unsafe_code)]

mod access;
mod ahead;
mod config;
mod connection;
mod door;
mod headers;
mod host;
mod listener;
mod preface;
mod pulse;
mod render;
mod reply;
mod request;
mod respond;
mod socket;
mod tasks;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

pub use access::ACCESS_TARGET;
pub use config::IngressConfig;
pub use listener::{Drained, Listening, Phase, serve};
pub use render::in_place;
pub use tls::{Tls, TlsError};
