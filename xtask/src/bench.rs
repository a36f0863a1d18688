//! `cargo xtask bench`: builds everything as users run it, then measures.
//!
//! What is measured and how is the crate `midge-bench`; this file only has it built and starts it.
//!
//! **Invariant:** the exit code is that of the program that measured.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::release;

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
    let release = release::build(root)?;
    let status = Command::new(release.join(HARNESS))
        .args(words)
        .current_dir(root)
        .status()
        .with_context(|| format!("start {HARNESS}"))?;
    // Ended by a signal: it measured nothing to the end.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(2)))
}
