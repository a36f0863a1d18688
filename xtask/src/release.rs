//! The release build that is measured, by `cargo xtask bench` and `cargo xtask density`.
//!
//! **Invariant:** it is the build that `cargo build --release --workspace` makes by hand, and uses
//! what that has made.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What cargo tells the programs that it runs about themselves. A build script that looks at these
/// (that of `ring`) would take our own for another package's, and everything above it be built anew.
const OF_XTASK: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// Builds everything, and says where it lies. The whole workspace: parts of it alone would be built
/// with other features.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if OF_XTASK.iter().any(|front| name.starts_with(front)) {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args(["build", "--release", "--workspace", "--locked"])
        .current_dir(root)
        .status()
        .context("start cargo")?;
    ensure!(built.success(), "the release build ended with {built}");
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), PathBuf::from);
    Ok(root.join(target).join("release"))
}
