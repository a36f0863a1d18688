//! What a test does where a tool cannot be had.
//!
//! On somebody's machine the test is skipped, and says so. In CI every tool can be had, so that one
//! which cannot is a fault of ours.

use std::env;

use anyhow::Result;

/// What was wanted, or nothing where it cannot be had: then the test prints why and returns.
///
/// ```no_run
/// use midge_toolchain::{Toolchains, or_skip};
///
/// let Some(go) = or_skip(Toolchains::shared().go()) else {
///     return;
/// };
/// ```
///
/// # Panics
///
/// It cannot be had and `CI` is set.
#[expect(
    clippy::print_stderr,
    reason = "whoever runs the tests must see which were skipped and why"
)]
#[track_caller]
pub fn or_skip<T>(wanted: Result<T>) -> Option<T> {
    match wanted {
        Ok(wanted) => Some(wanted),
        Err(err) => {
            assert!(!in_ci(), "CI has all tools, but: {err:#}");
            eprintln!("skipped: {err:#}");
            None
        }
    }
}

/// Whether this is CI, as all of its kind say: `CI` is set and not to nothing or `false`.
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}
