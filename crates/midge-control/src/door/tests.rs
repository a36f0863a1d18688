//! The door over real sockets, in front of the real core and the real store.
//!
//! One file for each promise: `document.rs` the API document, `operations.rs` what the typed
//! client gets, `refusals.rs` what is refused in which words, `hostile.rs` what nobody should
//! send, `life.rs` drain and cut connections. `kit.rs` starts a door.

mod document;
mod hostile;
mod kit;
mod life;
mod operations;
mod refusals;
