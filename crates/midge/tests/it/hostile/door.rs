//! Guests that never run: what they ask for is more than the host has, and it says so at the door.

use crate::kit::midge;

/// A run that must be refused before it listens, in so many words and no more.
fn refused(fixture: &str) -> String {
    let text = midge(&["run", fixture, "--listen", "127.0.0.1:0"]);
    assert!(text.starts_with("exit: 1\n"), "{text}");
    assert!(!text.contains("listening"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    assert!(text.len() < 4_000, "{} bytes of words", text.len());
    text
}

#[test]
fn shapes_that_no_instance_may_have_are_refused_with_their_number() {
    for (fixture, words) in [
        ("hostile-memories-claim.wasm", "memories count of 9"),
        ("hostile-table-claim.wasm", "100000000"),
        ("hostile-instances.wasm", "101 core module instances"),
        ("hostile-memory64-claim.wasm", "memory"),
        ("hostile-shared-wait.wasm", "shared"),
    ] {
        let text = refused(fixture);
        assert!(text.contains(words), "{fixture}: {text}");
    }
}
