//! Where the component of a function is: a file, or somewhere else under a digest.
//!
//! Decides how such places are written (`oci://HOST/NAME:TAG@sha256:…`,
//! `https://HOST/PATH#sha256=…`) and which of them a manifest may name. Fetching and checking is
//! midge-oci's and the command line's.
//!
//! **Invariant:** what is not a file has a digest in a manifest, and nothing is fetched without TLS
//! but from this machine itself.

mod authority;
mod oci;
#[cfg(test)]
mod tests;
mod web;

use std::fmt;
use std::str::FromStr;

pub use authority::Authority;
pub use oci::OciPlace;
pub use web::WebPlace;

use crate::{Digest, DigestError, HostNameError};

/// The longest text that names a component: a name of a registry, a tag and a digest fit twice.
pub const COMPONENT_SOURCE_BYTES_MAX: usize = 1024;

/// How much of a text is repeated in messages.
const SHOWN_CHARS_MAX: usize = 120;

/// What stands between the scheme of a place and the rest of it.
const SCHEME_END: &str = "://";

/// What a manifest says about where a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentSource {
    /// A file's path as written: relative to the manifest.
    Path(String),
    /// Somewhere else.
    Pinned(PinnedComponent),
}

/// A component somewhere else, and the digest that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedComponent {
    /// Where it is.
    pub place: ComponentPlace,
    /// Of the artifact's manifest in a registry, of the file on a web server.
    pub digest: Digest,
}

/// Where a component is that is not a file of this machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComponentPlace {
    /// A registry.
    Oci(OciPlace),
    /// A web server.
    Web(WebPlace),
}

/// A place as people type it, who may not know the digest yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentReference {
    /// Where it is.
    pub place: ComponentPlace,
    /// What it must be, where that is said.
    pub digest: Option<Digest>,
}

/// Why a text does not say where a component is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("component `{}` {problem}", .text.escape_debug())]
pub struct ComponentSourceError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is longer than {COMPONENT_SOURCE_BYTES_MAX} bytes")]
    TooLong,
    #[error("is neither a path nor begins with `oci://` or `https://`")]
    Scheme,
    #[error("begins with `http://`, which is for this machine only (`localhost`, `127.0.0.1`)")]
    Plain,
    #[error("does not say which bytes it has to be: its digest is missing")]
    NoDigest {
        /// The place without it.
        place: String,
    },
    #[error("has a digest, and what is pushed has the digest that it turns out to have")]
    Digest,
    #[error("has a bad digest: {0}")]
    BadDigest(DigestError),
    #[error("has `#` without `sha256=` behind it")]
    Fragment,
    #[error("has a name or a password in it")]
    Credentials,
    #[error("has a bad host: {0}")]
    Host(HostNameError),
    #[error("has the port `{0}`, a port is a number from 1 to 65535")]
    Port(String),
    #[error("names no repository behind the host")]
    NoRepository,
    #[error(
        "has the repository `{0}`: parts between `/` are lower-case letters and digits, with `.`, \
         `_`, `__` or `-` between them"
    )]
    Repository(String),
    #[error(
        "has the tag `{0}`: up to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`"
    )]
    Tag(String),
    #[error("has {0:?} at position {1}, write it percent-encoded")]
    Character(char, usize),
}

impl ComponentSourceError {
    fn new(text: &str, problem: Problem) -> Self {
        Self {
            text: shown(text),
            problem,
        }
    }

    /// What to write instead, where the message alone does not say it.
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.problem {
            Problem::NoDigest { place } => {
                format!("`midge pull {place}` fetches it once and prints the line to write")
            }
            Problem::Digest => "leave out `@sha256:…`".to_owned(),
            Problem::Plain => "write `https://`".to_owned(),
            Problem::Scheme => {
                "write a path such as `function.wasm`, `oci://HOST/NAME@sha256:…` or \
                 `https://HOST/FILE#sha256=…`"
                    .to_owned()
            }
            Problem::Credentials => {
                "leave it out; for registries there is `docker login`, or MIDGE_REGISTRY_USER and \
                 MIDGE_REGISTRY_PASSWORD"
                    .to_owned()
            }
            Problem::NoRepository => {
                "write for example `oci://ghcr.io/someone/hello:1.0`".to_owned()
            }
            Problem::Fragment => "write `#sha256=` and 64 hexadecimal digits".to_owned(),
            Problem::TooLong
            | Problem::BadDigest(_)
            | Problem::Host(_)
            | Problem::Port(_)
            | Problem::Repository(_)
            | Problem::Tag(_)
            | Problem::Character(..) => return None,
        };
        Some(hint)
    }
}

impl ComponentReference {
    /// The same for a manifest, which takes no other.
    ///
    /// # Errors
    ///
    /// It has no digest; the hint says how to get it.
    pub fn pinned(self) -> Result<PinnedComponent, ComponentSourceError> {
        let Self { place, digest } = self;
        match digest {
            Some(digest) => Ok(PinnedComponent { place, digest }),
            None => {
                let place = place.to_string();
                Err(ComponentSourceError::new(
                    &place.clone(),
                    Problem::NoDigest { place },
                ))
            }
        }
    }
}

impl ComponentSource {
    /// Whether the text is meant to be a place and not a path.
    pub fn is_place(text: &str) -> bool {
        text.contains(SCHEME_END)
    }
}

impl FromStr for ComponentSource {
    type Err = ComponentSourceError;

    fn from_str(text: &str) -> Result<Self, ComponentSourceError> {
        if !Self::is_place(text) {
            return Ok(Self::Path(text.to_owned()));
        }
        let reference: ComponentReference = text.parse()?;
        reference.pinned().map(Self::Pinned)
    }
}

impl FromStr for ComponentReference {
    type Err = ComponentSourceError;

    fn from_str(text: &str) -> Result<Self, ComponentSourceError> {
        parse(text).map_err(|problem| ComponentSourceError::new(text, problem))
    }
}

impl FromStr for OciPlace {
    type Err = ComponentSourceError;

    fn from_str(text: &str) -> Result<Self, ComponentSourceError> {
        match parse(text) {
            Ok(ComponentReference {
                place: ComponentPlace::Oci(place),
                digest: None,
            }) => Ok(place),
            Ok(ComponentReference {
                place: ComponentPlace::Oci(_),
                ..
            }) => Err(Problem::Digest),
            Ok(_) => Err(Problem::Scheme),
            Err(problem) => Err(problem),
        }
        .map_err(|problem| ComponentSourceError::new(text, problem))
    }
}

fn parse(text: &str) -> Result<ComponentReference, Problem> {
    if text.len() > COMPONENT_SOURCE_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    let (scheme, rest) = text.split_once(SCHEME_END).ok_or(Problem::Scheme)?;
    match scheme {
        "oci" => {
            refuse_credentials(rest)?;
            let (rest, digest) = match rest.rsplit_once('@') {
                Some((place, digest)) => (place, Some(read_digest(digest)?)),
                None => (rest, None),
            };
            let place = ComponentPlace::Oci(OciPlace::parse(rest)?);
            Ok(ComponentReference { place, digest })
        }
        "https" | "http" => {
            let (rest, digest) = match rest.split_once('#') {
                Some((place, fragment)) => {
                    let hex = fragment.strip_prefix("sha256=").ok_or(Problem::Fragment)?;
                    (place, Some(read_digest(&format!("sha256:{hex}"))?))
                }
                None => (rest, None),
            };
            let place = ComponentPlace::Web(WebPlace::parse(scheme == "https", rest)?);
            Ok(ComponentReference { place, digest })
        }
        _ => Err(Problem::Scheme),
    }
}

/// What stands before the host of a registry would be taken for a place with a digest.
fn refuse_credentials(rest: &str) -> Result<(), Problem> {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.split_once('@') {
        Some((_, behind)) if !behind.starts_with("sha256:") => Err(Problem::Credentials),
        _ => Ok(()),
    }
}

/// What is repeated in messages: no more than helps, and nobody's password.
fn shown(text: &str) -> String {
    let masked = text.split_once(SCHEME_END).and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        let (_, host) = authority.rsplit_once('@')?;
        Some(format!("{scheme}{SCHEME_END}…@{host}{behind}"))
    });
    let text = masked.as_deref().unwrap_or(text);
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn read_digest(text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|error| match error {
        DigestError::NoAlgorithm { text } => Problem::BadDigest(DigestError::NoAlgorithm {
            text: text.chars().take(SHOWN_CHARS_MAX).collect(),
        }),
        DigestError::NotHex { text } => Problem::BadDigest(DigestError::NotHex {
            text: text.chars().take(SHOWN_CHARS_MAX).collect(),
        }),
    })
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Pinned(pinned) => pinned.fmt(f),
        }
    }
}

impl fmt::Display for PinnedComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            ComponentPlace::Oci(place) => write!(f, "{place}@{}", self.digest),
            ComponentPlace::Web(place) => write!(f, "{place}#sha256={}", self.digest.hex()),
        }
    }
}

impl fmt::Display for ComponentPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci(place) => place.fmt(f),
            Self::Web(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for ComponentReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clone().pinned() {
            Ok(pinned) => pinned.fmt(f),
            Err(_) => self.place.fmt(f),
        }
    }
}
