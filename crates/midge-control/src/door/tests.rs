//! The door over real sockets, in front of the real core and the real store.
//!
//! One file for each promise: `document.rs` the API document, `operations.rs` what the typed
//! client gets, `refusals.rs` what is refused in which words, `hostile.rs` what nobody should
//! send, `floods.rs` who takes all it can get, `windows.rs` a peer of HTTP/2 that takes nothing,
//! `pages.rs` what web pages make a browser ask, `life.rs` drain and cut connections. `kit.rs`
//! starts a door.

mod document;
mod floods;
mod hostile;
mod kit;
mod life;
mod operations;
mod pages;
mod refusals;
mod windows;
