//! `midge bundle [PATH]`: components as OCI artifacts in a folder.
//!
//! Decides which functions go in and what is said about each; the layout is midge-oci's.
//!
//! **Invariant:** nothing of the manifest goes in but the names of its functions: limits and grants
//! are for whoever runs a component to give.

use std::path::Path;

use anyhow::Context as _;
use midge_model::FunctionName;
use midge_oci::{Artifact, Description, LayoutError, write_layout};
use midge_sandbox::{Import, Inspection};

use super::Ending;
use super::deploy::package;
use super::fault::{Hint, hinted};
use crate::cli::BundleArgs;
use crate::components::Fetching;
use crate::functions::{self, Written};
use crate::{config, say};

impl Hint for LayoutError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Occupied { .. }
            | Self::Current { .. }
            | Self::File {
                step: "replace", ..
            } => Some("--output names another folder".to_owned()),
            Self::Aside { path, kept, .. } => {
                Some(format!("mv {} {}", kept.display(), path.display()))
            }
            Self::Choice { names, .. } if names.is_empty() => None,
            Self::Choice { names, .. } => Some(format!("--function {}", names[0])),
            Self::Missing { .. } | Self::Index { .. } => {
                Some("make it again with midge bundle".to_owned())
            }
            Self::File { .. } | Self::Artifact { .. } => None,
        }
    }
}

/// Bundles what was typed.
pub(super) fn run(args: &BundleArgs) -> anyhow::Result<Ending> {
    let fetching = Fetching::usual(&args.cache);
    let made = super::block_on(artifacts(&args.path, &[], &fetching, "bundle"))??;
    write_layout(&args.output, &made).map_err(hinted)?;
    for (name, artifact) in &made {
        say::data(&format!("{name} {}\n", artifact.digest()))?;
    }
    let count = match made.len() {
        1 => "1 component is".to_owned(),
        count => format!("{count} components are"),
    };
    say::line(&format!("{count} in {}", args.output.display()));
    Ok(Ending::Done)
}

/// The functions at `path` as artifacts, by name: those that were named, or all.
///
/// # Errors
///
/// The first function whose component is not there, or is nothing that could run.
pub(super) async fn artifacts(
    path: &Path,
    named: &[FunctionName],
    fetching: &Fetching,
    command: &str,
) -> anyhow::Result<Vec<(String, Artifact)>> {
    let created = config::source_date().map_err(hinted)?;
    let source = functions::source(path).map_err(|error| error.hinted_for(command))?;
    let mut made = Vec::new();
    let chosen = package::chosen(source.functions, named)?;
    functions::check_built(path, chosen.iter().map(Written::component)).map_err(hinted)?;
    for function in chosen {
        let name = function.name.to_string();
        let component = package::component(&function.component, fetching).await;
        let in_function = || format!("function {name}");
        let (component, inspection) = component.with_context(in_function)?;
        let Inspection {
            imports, exports, ..
        } = inspection;
        let description = Description {
            imports: imports.iter().map(Import::full_name).collect(),
            exports,
            created,
        };
        made.push((name, Artifact::new(component, &description)));
    }
    Ok(made)
}
