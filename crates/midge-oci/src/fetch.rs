//! Components that a manifest pins, out of the cache or from where they are.
//!
//! What was fetched once is never asked for again: its digest says all there is to know. Of an
//! artifact in a registry the manifest is kept as well, because its digest is the one that is
//! written down.
//!
//! **Invariant:** what comes out of the cache is compared with its digest each time.

use std::path::PathBuf;

use midge_model::{ComponentPlace, ComponentReference, Digest, PinnedComponent};

use crate::artifact::{DOCUMENT_BYTES_MAX, Manifest};
use crate::blobs::{Blobs, BlobsError};
use crate::login::Credentials;
use crate::registry::{Registry, RegistryError, Wanted};
use crate::server::Bounds;
use crate::web::{WebError, download};

/// A component that is on this machine now.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes.
    pub component: Vec<u8>,
    /// Where they are kept.
    pub path: PathBuf,
    /// What a manifest would have to say.
    pub pinned: PinnedComponent,
}

/// Why a component is not on this machine.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The cache.
    #[error("keep what was fetched")]
    Cache {
        /// The reason.
        #[source]
        source: BlobsError,
    },
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A web server.
    #[error(transparent)]
    Web(#[from] WebError),
}

impl FetchError {
    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Web(error) => error.hint(),
            Self::Cache { .. } => {
                Some("--cache-dir names another folder for what is kept".to_owned())
            }
        }
    }
}

impl From<BlobsError> for FetchError {
    fn from(source: BlobsError) -> Self {
        Self::Cache { source }
    }
}

/// The component, if all of it is in the cache.
///
/// # Errors
///
/// A file of the cache cannot be read.
pub fn cached(
    pinned: &PinnedComponent,
    cache: &Blobs,
    component_bytes_max: u64,
) -> Result<Option<Fetched>, FetchError> {
    let digest = match &pinned.place {
        ComponentPlace::Web(_) => pinned.digest,
        ComponentPlace::Oci(_) => {
            let Some(manifest) = cache.get(&pinned.digest, DOCUMENT_BYTES_MAX)? else {
                return Ok(None);
            };
            match Manifest::parse(&manifest, component_bytes_max) {
                Ok(manifest) => manifest.component,
                // Kept as something else, a component that is no manifest: the registry will say.
                Err(_) => return Ok(None),
            }
        }
    };
    let Some(component) = cache.get(&digest, component_bytes_max)? else {
        return Ok(None);
    };
    Ok(Some(Fetched {
        component,
        path: cache.path(&digest),
        pinned: pinned.clone(),
    }))
}

/// Fetches a component and keeps it, in no more than `cache_bytes_max` with all that was kept
/// before.
///
/// # Errors
///
/// It cannot be had, or is not what its digest says.
pub async fn fetch(
    reference: &ComponentReference,
    credentials: Option<Credentials>,
    plain_http: bool,
    (cache, cache_bytes_max): (&Blobs, u64),
    bounds: Bounds,
) -> Result<Fetched, FetchError> {
    let ComponentReference { place, digest } = reference;
    let (pin, component) = match place {
        ComponentPlace::Web(place) => {
            let component = download(place, *digest, bounds).await?;
            (Digest::of(&component), component)
        }
        ComponentPlace::Oci(place) => {
            let registry = Registry::new(place, credentials, plain_http, bounds);
            let mut registry = registry.map_err(RegistryError::from)?;
            let wanted = digest.map_or_else(|| Wanted::Tag(place.tag()), Wanted::Digest);
            let (manifest, read) = registry.manifest(wanted).await?;
            let component = registry.component(&read).await?;
            (cache.put(&manifest)?, component)
        }
    };
    let kept = cache.put(&component)?;
    cache.trim(cache_bytes_max)?;
    Ok(Fetched {
        component,
        path: cache.path(&kept),
        pinned: PinnedComponent {
            place: place.clone(),
            digest: pin,
        },
    })
}
