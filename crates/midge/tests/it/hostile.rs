//! Hostile guests: each ends as its row says, and whoever runs beside them notices nothing.
//!
//! What the guests try is listed in `guests/fixtures/hostile/README.md`; how each must end, in
//! `attacks.rs`. All of them run in one node beside a harmless function (`load.rs`); those that
//! never get to run are refused at the door (`door.rs`) or in the compiler (`bombs.rs`).
//!
//! **Invariant:** an attack that the host grows a defence against is a row more, never a test more.

mod attacks;
mod bombs;
mod door;
mod ends;
mod ground;
mod load;
mod modules;
mod world;
