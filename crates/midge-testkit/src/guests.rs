//! Where the committed guests lie, and one cache of native code for all tests.

use std::path::{Path, PathBuf};

/// The committed fixture of this name: `fixture("http02-echo.wasm")`.
///
/// # Panics
///
/// There is no such fixture: build it with `cargo xtask guests`.
pub fn fixture(name: &str) -> PathBuf {
    existing(guests().join("fixtures/prebuilt").join(name))
}

/// The committed example of this name.
///
/// # Panics
///
/// There is no such example: build it with `cargo xtask guests`.
pub fn example(name: &str) -> PathBuf {
    existing(guests().join("examples/prebuilt").join(name))
}

/// The folder of the examples, with their manifest.
///
/// # Panics
///
/// The repository has no examples.
pub fn examples() -> PathBuf {
    existing(guests().join("examples"))
}

/// A folder of native code that all tests share, so that each guest is compiled once.
///
/// Safe to share because the cache itself is: files are complete or absent, and named by
/// the digest of what they hold.
pub fn native_code_cache() -> PathBuf {
    workspace().join("target/test-native-code")
}

fn guests() -> PathBuf {
    workspace().join("guests")
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two folders below the workspace")
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "no guest at {}, build it with `cargo xtask guests`",
        path.display()
    );
    path
}
