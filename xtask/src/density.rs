//! `cargo xtask density`: how many functions fit on a node, and what the first request of one costs.
//!
//! Builds what users run and the program that measures it, and starts that; what is measured and
//! which targets are held is decided there (`benches/src/bin/density`).
//!
//! **Invariant:** both are built from this tree, in release, before anything is measured.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::release;

/// Builds and measures; `args` go to the program that measures.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<()> {
    let program = release::build(root)?.join("midge-bench-density");
    let measured = Command::new(&program)
        .current_dir(root)
        .args(args)
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    ensure!(
        measured.success(),
        "a target was missed, or nothing could be measured"
    );
    Ok(())
}
