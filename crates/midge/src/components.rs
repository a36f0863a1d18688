//! Components that a manifest names by digest: out of the cache, or from where they are.
//!
//! Decides who fetches, into which folder and with whose credentials. How is midge-oci's. Only
//! commands of people's get here: a node takes bytes and asks nobody for them.
//!
//! **Invariant:** what is in the cache is not asked for again, and credentials from the environment
//! go to a registry that was typed or that the environment names.

use std::path::{Path, PathBuf};
use std::time::Duration;

use midge_model::{ComponentPlace, ComponentReference, FunctionName, PinnedComponent};
use midge_oci::{Blobs, Bounds, Credentials, FetchError, Fetched, cached, fetch};

use crate::cli::CacheArgs;
use crate::cmd::fault::Hint;
use crate::config::{self, ConfigError, RegistryAsked};
use crate::say;

/// Ends the name of a component's file.
const EXTENSION: &str = ".wasm";

/// Begins all WebAssembly that is binary.
const MAGIC: &[u8] = b"\0asm";

/// What is shown of something else.
const SHOWN_BYTES_MAX: usize = 8;

/// A larger file is no function; the largest known ones have 70 MB.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 1 << 30;

/// The most that fetched components may take of a disk: dozens of large ones, thousands of usual
/// ones. What was used longest ago goes first.
const CACHE_BYTES_MAX: u64 = 4 << 30;

/// The bounds of everything that is fetched or pushed. Registries that are there connect in less
/// than a second and answer in a few; 64 KiB/s is a bad telephone, and no drip.
pub(crate) const BOUNDS: Bounds = Bounds {
    component_bytes_max: COMPONENT_BYTES_MAX,
    connect_time_max: Duration::from_secs(10),
    answer_time_max: Duration::from_secs(30),
    bytes_per_second_min: 64 << 10,
    redirects_max: 5,
};

/// Where a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Component {
    /// A file of this machine's.
    File(PathBuf),
    /// Somewhere else, under its digest.
    Elsewhere(PinnedComponent),
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Elsewhere(pinned) => pinned.fmt(f),
        }
    }
}

impl Component {
    /// What the function is called that is this component and nothing else.
    pub(crate) fn function_name(&self) -> FunctionName {
        let file = match self {
            Self::File(path) => path.clone(),
            Self::Elsewhere(pinned) => PathBuf::from(file_name(&pinned.place)),
        };
        let stem = file.file_stem().unwrap_or_default();
        FunctionName::from_file_stem(&stem.to_string_lossy())
    }
}

/// Who fetches.
#[derive(Debug, Clone)]
pub(crate) enum Fetching {
    /// A command with this folder for what it keeps.
    Into(PathBuf),
    /// A command that looks for the folder when it is needed.
    Usual(Option<PathBuf>),
    /// A node.
    Never,
}

/// Why a component is not on this machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComponentError {
    /// It was asked for, and it did not come as it should.
    #[error("fetch `{reference}`")]
    Fetch {
        reference: String,
        source: FetchError,
    },
    /// No folder to keep it in.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Text is for one's own files: it takes fifty times its size to read.
    #[error("`{reference}` is no binary WebAssembly: it starts with `{starts_with}`")]
    NotBinary {
        reference: String,
        /// The first bytes, printable.
        starts_with: String,
    },
    /// A node was pointed at it.
    #[error("a node fetches no components, and `{reference}` is one")]
    Never { reference: String },
}

impl Hint for ComponentError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch { source, .. } => source.hint(),
            Self::Config(error) => error.hint(),
            Self::NotBinary { .. } => {
                Some("name a `.wasm` file, as a compiler wrote it".to_owned())
            }
            Self::Never { reference } => Some(format!(
                "midge pull {reference} --output function.wasm, and name the file; or deploy it to \
                 the node with midge deploy"
            )),
        }
    }
}

impl Fetching {
    /// A command that may have been told where to keep things.
    pub(crate) fn usual(cache: &CacheArgs) -> Self {
        Self::Usual(cache.cache_dir.clone())
    }

    /// A component that a manifest names.
    ///
    /// # Errors
    ///
    /// It is not in the cache and cannot be fetched, or it is not what its digest says.
    pub(crate) async fn get(&self, pinned: &PinnedComponent) -> Result<Fetched, ComponentError> {
        let cache = self.cache(pinned)?;
        let fault = |source| ComponentError::Fetch {
            reference: pinned.to_string(),
            source,
        };
        if let Some(found) = cached(pinned, &cache, COMPONENT_BYTES_MAX).map_err(fault)? {
            return binary(found, pinned);
        }
        say::line(&format!("fetching {pinned}"));
        let reference = ComponentReference {
            place: pinned.place.clone(),
            digest: Some(pinned.digest),
        };
        let credentials = credentials(&pinned.place, RegistryAsked::ByManifest);
        let kept = (&cache, CACHE_BYTES_MAX);
        let fetched = fetch(&reference, credentials, false, kept, BOUNDS).await;
        binary(fetched.map_err(fault)?, pinned)
    }

    /// What somebody typed, who may not know its digest.
    ///
    /// # Errors
    ///
    /// It cannot be fetched, or it is not what its digest says.
    pub(crate) async fn get_typed(
        &self,
        reference: &ComponentReference,
        plain_http: bool,
    ) -> Result<Fetched, ComponentError> {
        let cache = self.cache(&reference)?;
        let credentials = credentials(&reference.place, RegistryAsked::ByPerson);
        let kept = (&cache, CACHE_BYTES_MAX);
        let fetched = fetch(reference, credentials, plain_http, kept, BOUNDS).await;
        let fetched = fetched.map_err(|source| ComponentError::Fetch {
            reference: reference.to_string(),
            source,
        })?;
        binary(fetched, reference)
    }

    fn cache(&self, reference: &impl ToString) -> Result<Blobs, ComponentError> {
        match self {
            Self::Into(dir) => Ok(blobs(dir)),
            Self::Usual(cache_dir) => {
                let cache_dir = cache_dir.clone();
                Ok(blobs(&config::cache_dir(CacheArgs { cache_dir })?))
            }
            Self::Never => Err(ComponentError::Never {
                reference: reference.to_string(),
            }),
        }
    }
}

/// What was fetched, if it is no text: a web page has a digest, too.
fn binary(fetched: Fetched, reference: &impl ToString) -> Result<Fetched, ComponentError> {
    let component = &fetched.component;
    if component.starts_with(MAGIC) {
        return Ok(fetched);
    }
    let first = &component[..component.len().min(SHOWN_BYTES_MAX)];
    let starts_with = String::from_utf8_lossy(first);
    Err(ComponentError::NotBinary {
        reference: reference.to_string(),
        starts_with: starts_with.escape_debug().to_string(),
    })
}

/// Beside native code, which is in folders named by digests alone.
fn blobs(cache_dir: &Path) -> Blobs {
    Blobs::at(&cache_dir.join("components"))
}

/// A name for the file of a component, one that no shell and no file system takes for something
/// else.
pub(crate) fn file_name(place: &ComponentPlace) -> String {
    let name = match place {
        ComponentPlace::Oci(place) => place.name(),
        ComponentPlace::Web(place) => place.name(),
    };
    let is_plain = |found: &char| found.is_ascii_alphanumeric() || "._-".contains(*found);
    let name: String = name.chars().filter(is_plain).collect();
    let name = name.trim_start_matches(['.', '-']);
    let stem = name.strip_suffix(EXTENSION).unwrap_or(name);
    match stem {
        "" => format!("component{EXTENSION}"),
        stem => format!("{stem}{EXTENSION}"),
    }
}

/// Who asks, as far as a registry is asked.
pub(crate) fn credentials(place: &ComponentPlace, asked: RegistryAsked) -> Option<Credentials> {
    match place {
        ComponentPlace::Oci(place) => {
            config::registry_credentials(&place.registry().to_string(), asked)
        }
        // Whoever needs a login for a file has a registry for it.
        ComponentPlace::Web(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_functions_are_called_after_what_is_in_them() {
        let place = |text: &str| text.parse::<ComponentReference>().unwrap().place;
        let name = |text: &str| file_name(&place(text));
        assert_eq!(name("oci://h/a/hello.world:1"), "hello.world.wasm");
        assert_eq!(name("https://h/a/hello.wasm?v=1"), "hello.wasm");
        assert_eq!(name("https://h/"), "component.wasm");
        assert_eq!(name("https://h/..%2F-x"), "2F-x.wasm");

        let digest = midge_model::Digest::of(b"");
        let function = |text: &str| {
            let place = place(text);
            let component = Component::Elsewhere(PinnedComponent { place, digest });
            component.function_name().to_string()
        };
        assert_eq!(function("oci://h/a/hello:1"), "hello");
        assert_eq!(function("https://h/a/Hello_World.wasm"), "hello-world");
        let file = Component::File(PathBuf::from("a/shop.wasm"));
        assert_eq!(file.function_name().as_str(), "shop");
    }
}
