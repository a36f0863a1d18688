//! `midge push oci://HOST/NAME:TAG [PATH]`: one component to a registry.
//!
//! Decides which component is meant, and prints the line by which a manifest names it. How
//! registries are spoken to is midge-oci's.
//!
//! **Invariant:** the digest that is printed was computed here, from the bytes that were sent.

use anyhow::Context as _;
use midge_model::quantity::format_bytes;
use midge_model::{ComponentPlace, PinnedComponent};
use midge_oci::{Artifact, Registry, RegistryError, is_layout, read_layout};

use super::fault::{Hint, hinted, with_hint};
use super::{Ending, bundle};
use crate::cli::PushArgs;
use crate::components::{self, BOUNDS, COMPONENT_BYTES_MAX, Fetching};
use crate::config::RegistryAsked;
use crate::say;

impl Hint for RegistryError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

/// Pushes what was typed.
pub(super) fn run(args: &PushArgs) -> anyhow::Result<Ending> {
    super::block_on(push(args))?
}

async fn push(args: &PushArgs) -> anyhow::Result<Ending> {
    let (name, artifact) = chosen(args).await?;
    let place = ComponentPlace::Oci(args.place.clone());
    let credentials = components::credentials(&place, RegistryAsked::ByPerson);
    let registry = Registry::new(&args.place, credentials, args.plain_http, BOUNDS);
    let mut registry = registry.map_err(RegistryError::from).map_err(hinted)?;
    let pushed = registry.push(&artifact, args.place.tag()).await;
    let digest = pushed
        .map_err(hinted)
        .with_context(|| format!("push {name}"))?;
    let size = format_bytes(artifact.component.len() as u64);
    say::line(&format!("pushed {name}, {size}; in a manifest it is"));
    let pinned = PinnedComponent { place, digest };
    say::data(&format!("component = \"{pinned}\"\n"))?;
    Ok(Ending::Done)
}

/// The one that is meant.
async fn chosen(args: &PushArgs) -> anyhow::Result<(String, Artifact)> {
    if is_layout(&args.path) {
        let name = args.function.as_ref().map(|name| name.as_str());
        return read_layout(&args.path, name, COMPONENT_BYTES_MAX).map_err(hinted);
    }
    let named: Vec<_> = args.function.iter().cloned().collect();
    let fetching = Fetching::usual(&args.cache);
    let mut made = bundle::artifacts(&args.path, &named, &fetching, "push oci://…").await?;
    match (made.len(), made.pop()) {
        (1, Some(one)) => Ok(one),
        (count, last) => {
            let path = args.path.display();
            let error =
                anyhow::anyhow!("`{path}` has {count} functions, and one is pushed at a time");
            let name = last.map(|(name, _)| name).unwrap_or_default();
            Err(with_hint(error, format!("--function {name}")))
        }
    }
}
