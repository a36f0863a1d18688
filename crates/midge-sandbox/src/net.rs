//! Names to addresses, and addresses to those that may be connected to.
//!
//! Decides how a name is looked up and which of its addresses the operator's policy
//! lets a namespace reach. Whether a function was granted the name or the address is
//! decided by the capability that asks (`host/`).
//!
//! **Invariant:** who connects takes its addresses from [`reach`], after the look-up and
//! not before: what was checked is what is connected to, whatever the name means next.

mod cache;
pub(crate) mod reach;
pub(crate) mod resolver;

pub use resolver::LOOK_UP_DESCRIPTORS_MAX;
