//! What time it is.
//!
//! The one place of the store and of those above it that reads the wall clock.

use std::time::SystemTime;

use midge_model::Timestamp;

/// This moment by the wall clock. It may jump; spans are for `tokio::time::Instant`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that the others are sent to"
)]
pub fn now() -> Timestamp {
    SystemTime::now().into()
}
