//! `midge pull oci://HOST/NAME:TAG`: one component from a registry or a web server into a file.
//!
//! Prints the line by which a manifest names it: whoever has no digest gets it here.
//!
//! **Invariant:** a file that was not named is not overwritten with other bytes.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_model::ComponentPlace;
use midge_model::quantity::format_bytes;
use midge_oci::Fetched;

use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::PullArgs;
use crate::components::{Fetching, file_name};
use crate::{regular, say};

/// Pulls what was typed.
pub(super) fn run(args: &PullArgs) -> anyhow::Result<Ending> {
    let fetching = Fetching::usual(&args.cache);
    let fetched = fetching.get_typed(&args.reference, args.plain_http);
    let fetched = super::block_on(fetched)?.map_err(hinted)?;
    let Fetched {
        component, pinned, ..
    } = &fetched;
    let (path, written) = match &args.output {
        Some(path) => (path.clone(), std::fs::write(path, component)),
        None => unnamed(&pinned.place, component)?,
    };
    written.with_context(|| format!("write `{}`", path.display()))?;
    let size = format_bytes(component.len() as u64);
    say::line(&format!(
        "wrote {}, {size}; in a manifest it is",
        path.display()
    ));
    say::data(&format!("component = \"{pinned}\"\n"))?;
    Ok(Ending::Done)
}

/// Writes a file into this folder that is not somebody's already.
fn unnamed(place: &ComponentPlace, component: &[u8]) -> anyhow::Result<(PathBuf, io::Result<()>)> {
    let path = PathBuf::from(file_name(place));
    // A new one only: a link that leads nowhere would be followed.
    let new = OpenOptions::new().write(true).create_new(true).open(&path);
    let written = match new {
        Ok(mut file) => file.write_all(component),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match regular::read(&path, component.len() as u64) {
                Ok(there) if there == component => Ok(()),
                _ => return Err(taken(&path)),
            }
        }
        Err(error) => Err(error),
    };
    Ok((path, written))
}

fn taken(path: &Path) -> anyhow::Error {
    let path = path.display();
    let error = anyhow::anyhow!("there is a `{path}` already, with something else in it");
    with_hint(
        error,
        format!("--output {path} to write over it, or another name"),
    )
}
