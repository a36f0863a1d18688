//! The sandbox against real guests: every contract, every limit, every way to end.
//!
//! One binary of modules, so that guests and helpers are linked once.
#![expect(clippy::unwrap_used, reason = "tests panic on what they do not expect")]

mod again;
mod artifacts;
mod budgets;
mod calls;
mod confined;
mod contracts;
mod denied;
mod doctor;
mod endings;
mod every_path;
mod files;
mod inspection;
mod key_value;
mod kit;
mod limits;
mod load;
mod moved;
mod outbound;
mod powers;
mod rehearsal;
mod resident;
mod sockets;
