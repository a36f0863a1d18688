//! A repository of a registry, and a tag in it.
//!
//! The grammar is that of the OCI distribution specification, so that what is read here can stand
//! in the path of a request as it is.

use std::fmt;

use super::{Authority, Problem};

/// The longest name of a repository in bytes, as registries have it.
const REPOSITORY_BYTES_MAX: usize = 255;

/// The longest tag in bytes, as the specification has it.
const TAG_BYTES_MAX: usize = 128;

/// The tag that is meant where none is written.
const TAG_DEFAULT: &str = "latest";

/// How much of a wrong name is repeated.
const SHOWN_CHARS_MAX: usize = 60;

/// A repository of a registry, and a tag in it: `oci://ghcr.io/someone/hello:1.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciPlace {
    registry: Authority,
    repository: String,
    tag: Option<String>,
}

impl OciPlace {
    /// Where the registry is.
    pub fn registry(&self) -> &Authority {
        &self.registry
    }

    /// The repository's name, parts between slashes.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The last part of that.
    pub fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// The tag; `latest` where none is written.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(TAG_DEFAULT)
    }

    /// What stands behind `oci://`, without a digest.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let (authority, rest) = text.split_once('/').ok_or(Problem::NoRepository)?;
        let registry = Authority::parse(authority)?;
        if rest.is_empty() {
            return Err(Problem::NoRepository);
        }
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        if repository.len() > REPOSITORY_BYTES_MAX || !repository.split('/').all(is_part) {
            return Err(Problem::Repository(shown(repository)));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(Problem::Tag(shown(tag)));
        }
        Ok(Self {
            registry,
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
        })
    }
}

/// Letters and digits, and separators between them: `.`, `_`, `__` or any number of `-`.
fn is_part(part: &str) -> bool {
    let is_word = |found: char| found.is_ascii_lowercase() || found.is_ascii_digit();
    let mut rest = part;
    loop {
        let word = rest.trim_start_matches(is_word);
        if word.len() == rest.len() {
            return false;
        }
        if word.is_empty() {
            return true;
        }
        let after = word
            .strip_prefix('.')
            .or_else(|| word.strip_prefix("__"))
            .or_else(|| word.strip_prefix('_'))
            .unwrap_or_else(|| word.trim_start_matches('-'));
        if after.len() == word.len() {
            return false;
        }
        rest = after;
    }
}

fn is_tag(tag: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=TAG_BYTES_MAX).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(is_inner)
}

fn shown(text: &str) -> String {
    text.escape_debug().take(SHOWN_CHARS_MAX).collect()
}

impl fmt::Display for OciPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}
