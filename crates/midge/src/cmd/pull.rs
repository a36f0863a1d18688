//! `midge pull oci://HOST/NAME:TAG`: one component from a registry or a web server into a file.
//!
//! Prints the line by which a manifest names it: whoever has no digest gets it here.
//!
//! **Invariant:** a file that was not named is not overwritten with other bytes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_model::ComponentPlace;
use midge_model::quantity::format_bytes;
use midge_oci::Fetched;
use midge_sandbox::to_binary;

use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::PullArgs;
use crate::components::{Fetching, file_name};
use crate::say;

/// Pulls what was typed.
pub(super) fn run(args: &PullArgs) -> anyhow::Result<Ending> {
    let fetching = Fetching::usual(&args.cache);
    let fetched = fetching.get_typed(&args.reference, args.plain_http);
    let fetched = super::block_on(fetched)?.map_err(hinted)?;
    let Fetched {
        component, pinned, ..
    } = &fetched;
    // A web page has a digest, too.
    to_binary(component)
        .map_err(hinted)
        .with_context(|| format!("`{}`", args.reference))?;
    let path = match &args.output {
        Some(path) => path.clone(),
        None => unnamed(&pinned.place, component)?,
    };
    std::fs::write(&path, component).with_context(|| format!("write `{}`", path.display()))?;
    let size = format_bytes(component.len() as u64);
    say::line(&format!(
        "wrote {}, {size}; in a manifest it is",
        path.display()
    ));
    say::data(&format!("component = \"{pinned}\"\n"))?;
    Ok(Ending::Done)
}

/// A file in this folder that is not somebody's already.
fn unnamed(place: &ComponentPlace, component: &[u8]) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(file_name(place));
    match std::fs::read(&path) {
        Ok(there) if there != component => Err(taken(&path)),
        _ => Ok(path),
    }
}

fn taken(path: &Path) -> anyhow::Error {
    let path = path.display();
    let error = anyhow::anyhow!("there is a `{path}` already, with something else in it");
    with_hint(
        error,
        format!("--output {path} to write over it, or another name"),
    )
}
