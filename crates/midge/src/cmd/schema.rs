//! `midge schema`: prints the JSON Schema of the manifest, for editors.

use midge_model::Manifest;

use super::Ending;
use crate::say;

/// Prints it to stdout.
pub(super) fn run() -> anyhow::Result<Ending> {
    say::data(Manifest::SCHEMA)?;
    Ok(Ending::Done)
}
