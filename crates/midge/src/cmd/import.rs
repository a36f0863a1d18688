//! `midge import spin.toml`: a manifest of another platform as ours.
//!
//! What the other says, and what has no equivalent, is `midge-build`'s to tell.
//!
//! **Invariant:** no manifest is written over, and what is left out is said.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_build::{SPIN_BYTES_MAX, SpinError, from_spin};

use super::Ending;
use super::fault::{Hint, hinted, with_hint};
use crate::cli::ImportArgs;
use crate::{regular, say};

impl Hint for SpinError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

/// Writes the manifest, and tells what it lacks.
pub(super) fn run(args: &ImportArgs) -> anyhow::Result<Ending> {
    let path = &args.path;
    let text = regular::read_text(path, SPIN_BYTES_MAX as u64)
        .with_context(|| format!("read `{}`", path.display()))
        .map_err(|error| with_hint(error, "midge import spin.toml"))?;
    let imported = from_spin(&text)
        .map_err(hinted)
        .with_context(|| format!("`{}`", path.display()))?;
    if args.out.as_deref() == Some(Path::new("-")) {
        say::data(&imported.manifest)?;
    } else {
        let beside = path.with_file_name("midge.toml");
        let out = args.out.as_deref().unwrap_or(&beside);
        let file = OpenOptions::new().write(true).create_new(true).open(out);
        file.and_then(|mut file| file.write_all(imported.manifest.as_bytes()))
            .with_context(|| format!("write `{}`", out.display()))
            .map_err(|error| with_hint(error, "--out FILE, or `--out -` for stdout"))?;
        say::data(&format!("{}\n", out.display()))?;
        if folder_of(out) != folder_of(path) {
            say::warning(&format!(
                "paths in it are as they stand in {}, and not beside it",
                path.display()
            ));
        }
    }
    for lacking in &imported.without_equivalent {
        say::warning(&format!("no equivalent here: {lacking}"));
    }
    Ok(Ending::Done)
}

/// The folder that a file lies in, however it was typed.
fn folder_of(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    Path::new(".").join(folder).canonicalize().ok()
}
