//! Waiting for a state, with a bound.
//!
//! Tests never sleep and hope: they say what they wait for, and a state that does not
//! come is a failure with its name.

use std::time::Duration;

use tokio::time::Instant;

/// How long a state may take to come about, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Waits for a state, looking again every few milliseconds.
///
/// # Panics
///
/// The state did not come about within a generous time.
pub fn wait_until(what: &str, state: impl FnMut() -> bool) {
    wait_at_most(PATIENCE, what, state);
}

/// The same for tests whose own tasks have to go on meanwhile.
///
/// # Panics
///
/// The state did not come about within a generous time.
pub async fn wait_until_async(what: &str, mut state: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !state().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    assert!(
        waited.await.is_ok(),
        "waited {PATIENCE:?} in vain until {what}"
    );
}

/// The same with a bound of the caller's.
pub(crate) fn wait_at_most(bound: Duration, what: &str, mut state: impl FnMut() -> bool) {
    let started = Instant::now();
    while !state() {
        let waited = started.elapsed();
        assert!(waited < bound, "waited {bound:?} in vain until {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}
