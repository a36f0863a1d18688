//! `cargo xtask bench`: builds everything as users run it, then measures.
//!
//! What is measured and how is the crate `midge-bench`; this file only builds and starts it. The
//! whole workspace is built at once, because parts of it alone would be built with other features.
//!
//! **Invariant:** the exit code is that of the program that measured.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

/// The program of `benches/` that measures.
const HARNESS: &str = "midge-bench";

/// Builds in release mode and starts the harness with these words.
pub(crate) fn run(root: &Path, words: &[String]) -> ExitCode {
    match build_and_run(root, words) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::from(2)
        }
    }
}

fn build_and_run(root: &Path, words: &[String]) -> Result<ExitCode> {
    let built = Command::new("cargo")
        .args(["build", "--release", "--workspace", "--locked"])
        .current_dir(root)
        .status()
        .context("start cargo")?;
    ensure!(built.success(), "the release build ended with {built}");
    let status = Command::new(release_folder(root).join(HARNESS))
        .args(words)
        .current_dir(root)
        .status()
        .with_context(|| format!("start {HARNESS}"))?;
    // Ended by a signal: it measured nothing to the end.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(2)))
}

fn release_folder(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), PathBuf::from);
    root.join(target).join("release")
}
