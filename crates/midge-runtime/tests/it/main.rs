//! The dispatcher with real guests: publishing, loading and removing under requests.
//!
//! One binary of modules, so that guests and helpers are linked once.
#![expect(clippy::unwrap_used, reason = "tests panic on what they do not expect")]

mod evicting;
mod keeping;
mod kit;
mod lazily;
mod sharing;
mod swapping;
mod tallies;
