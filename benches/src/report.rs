//! What a run is shown as: a table, a plot, a page, and the stored figures themselves.

pub mod page;
pub mod plot;
pub mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::record::Run;

/// Stores the run in `folder`, as JSON and as a plot, named for its date.
///
/// # Errors
///
/// The disk is full or not ours, or nothing was measured that could be drawn.
pub fn store(run: &Run, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).context("make the folder of results")?;
    let name: String = run
        .date
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let file = folder.join(format!("{name}-{}.json", run.extent));
    let mut text = serde_json::to_string_pretty(run).context("write the figures as JSON")?;
    text.push('\n');
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    plot::draw(run, &file.with_extension("svg"))?;
    Ok(file)
}

/// Reads a stored run.
///
/// # Errors
///
/// No such file, or it is none of ours.
pub fn load(file: &Path) -> Result<Run> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", file.display()))
}
