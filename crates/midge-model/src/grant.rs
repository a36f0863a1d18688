//! What a function may touch, and on which terms.
//!
//! Reads directory grants and environment variables and refuses combinations that
//! would undo themselves. Purely lexical: whether a directory exists, and what its
//! symbolic links lead to, is for whoever opens it.
//!
//! **Invariant:** no grants is the default, and no text makes more than it says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of an environment variable, in bytes.
pub const ENV_NAME_BYTES_MAX: usize = 256;
/// The longest value of an environment variable, in bytes: each instance gets a copy.
pub const ENV_VALUE_BYTES_MAX: usize = 32 << 10;

/// Everything one function may touch; empty is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Environment variables, by name.
    pub env: BTreeMap<String, String>,
    /// Host directories.
    pub dirs: Vec<DirGrant>,
}

/// One host directory, shown to the guest under a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirGrant {
    /// Where it is on the host, as written.
    pub host: PathBuf,
    /// Where the guest sees it: absolute, without `.`, `..` or a trailing slash.
    pub guest: String,
    /// What the guest may do there.
    pub mode: DirMode,
}

/// What a guest may do in a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DirMode {
    /// Look only.
    #[default]
    #[serde(rename = "ro")]
    ReadOnly,
    /// Change things too.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// One environment variable as typed: `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: String,
    /// Anything without a zero byte.
    pub value: String,
}

/// Why a text is not a directory grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirGrantError {
    /// One path only.
    #[error(
        "directory `{}` does not say where the guest sees it, write for example `./data:/data`", .text.escape_debug()
    )]
    NoGuest {
        /// The whole text.
        text: String,
    },
    /// Nothing before the colon.
    #[error(
        "directory `:{guest}` does not say which host directory, write for example `./data:{guest}`"
    )]
    NoHost {
        /// The guest's path.
        guest: String,
    },
    /// The guest's path is relative or not canonical.
    #[error(
        "guest path `{}` must start with `/` and be without `.`, `..` and `//`, write for example `/data`", .guest.escape_debug()
    )]
    BadGuest {
        /// The guest's path.
        guest: String,
    },
    /// Neither `ro` nor `rw`.
    #[error("mode `{}` is unknown, write `ro` (read only) or `rw` (read and write)", .mode.escape_debug())]
    BadMode {
        /// What was written.
        mode: String,
    },
    /// A path that no operating system or no guest could take.
    #[error("path `{}` contains a zero byte", .path.escape_debug())]
    ZeroByte {
        /// The path.
        path: String,
    },
}

/// Why a text is not an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvVarError {
    /// A name and nothing else.
    #[error("environment variable `{0}` has no `=`, write for example `{0}=value`", .text.escape_debug())]
    NoEquals {
        /// The whole text.
        text: String,
    },
    /// Not a name that programs can read.
    #[error(
        "environment variable name `{}` is not a letter or `_` followed by letters, digits and `_`", .name.escape_debug()
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// The name is too long.
    #[error(
        "environment variable name has {length_bytes} bytes, the longest has {ENV_NAME_BYTES_MAX}"
    )]
    NameTooLong {
        /// How long it is.
        length_bytes: usize,
    },
    /// The value is too long.
    #[error(
        "value of environment variable `{name}` has {length_bytes} bytes, the longest has {ENV_VALUE_BYTES_MAX}"
    )]
    ValueTooLong {
        /// The name.
        name: String,
        /// How long the value is.
        length_bytes: usize,
    },
    /// A zero byte would end the value early for half of the guests.
    #[error("value of environment variable `{name}` contains a zero byte")]
    ZeroByte {
        /// The name.
        name: String,
    },
}

/// Why two directory grants cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantConflict {
    /// Two host directories in one place.
    #[error("directories `{first}` and `{second}` have the same guest path, give one another path")]
    SameGuestPath {
        /// The earlier grant.
        first: DirGrant,
        /// The later grant.
        second: DirGrant,
    },
    /// One tree, two modes: a rename or a hard link in the writable one would change the other.
    #[error(
        "directories `{first}` and `{second}` share host files but not the mode, give both the same mode or keep the trees apart"
    )]
    MixedModes {
        /// The earlier grant.
        first: DirGrant,
        /// The later grant.
        second: DirGrant,
    },
}

impl Grants {
    /// Refuses directory grants that would undo each other.
    ///
    /// Lexical: relative paths are taken from one common folder, so make them
    /// absolute first where some are and some are not.
    ///
    /// # Errors
    ///
    /// The first pair that cannot stand together.
    pub fn check(&self) -> Result<(), GrantConflict> {
        for (index, second) in self.dirs.iter().enumerate() {
            for first in &self.dirs[..index] {
                if first.guest == second.guest {
                    let (first, second) = (first.clone(), second.clone());
                    return Err(GrantConflict::SameGuestPath { first, second });
                }
                if first.mode != second.mode && share_files(&first.host, &second.host) {
                    let (first, second) = (first.clone(), second.clone());
                    return Err(GrantConflict::MixedModes { first, second });
                }
            }
        }
        Ok(())
    }
}

impl DirGrant {
    /// A grant of these parts.
    ///
    /// # Errors
    ///
    /// An empty host path, or a guest path that is not absolute and canonical; one
    /// trailing slash of the guest path is forgiven.
    pub fn new(host: &str, guest: &str, mode: DirMode) -> Result<Self, DirGrantError> {
        if let Some(path) = [host, guest].into_iter().find(|path| path.contains('\0')) {
            return Err(DirGrantError::ZeroByte {
                path: path.to_owned(),
            });
        }
        let canonical = canonical_guest(guest).ok_or_else(|| DirGrantError::BadGuest {
            guest: guest.to_owned(),
        })?;
        if host.is_empty() {
            return Err(DirGrantError::NoHost {
                guest: guest.to_owned(),
            });
        }
        Ok(Self {
            host: PathBuf::from(host),
            guest: canonical.to_owned(),
            mode,
        })
    }
}

impl FromStr for DirGrant {
    type Err = DirGrantError;

    /// Reads `HOST:GUEST[:ro|rw]` from the right, so that a host path may contain colons.
    fn from_str(text: &str) -> Result<Self, DirGrantError> {
        let no_guest = || DirGrantError::NoGuest {
            text: text.to_owned(),
        };
        let (front, last) = text.rsplit_once(':').ok_or_else(no_guest)?;
        if let Ok(mode) = last.parse() {
            let (host, guest) = front.rsplit_once(':').ok_or_else(no_guest)?;
            return Self::new(host, guest, mode);
        }
        // `a:/b:rx` is a wrong mode, not a host called `a:/b` with a guest path `rx`.
        if !last.starts_with('/') && front.contains(":/") {
            return Err(DirGrantError::BadMode {
                mode: last.to_owned(),
            });
        }
        Self::new(front, last, DirMode::default())
    }
}

impl fmt::Display for DirGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.host.display(), self.guest, self.mode)
    }
}

impl FromStr for DirMode {
    type Err = DirGrantError;

    fn from_str(text: &str) -> Result<Self, DirGrantError> {
        match text {
            "ro" => Ok(Self::ReadOnly),
            "rw" => Ok(Self::ReadWrite),
            mode => Err(DirGrantError::BadMode {
                mode: mode.to_owned(),
            }),
        }
    }
}

impl fmt::Display for DirMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        })
    }
}

impl EnvVar {
    /// A variable of these parts.
    ///
    /// # Errors
    ///
    /// A name that programs cannot read, or a name or value over the bounds.
    pub fn new(name: &str, value: &str) -> Result<Self, EnvVarError> {
        let mut characters = name.bytes();
        let starts_well = characters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
        if name.len() > ENV_NAME_BYTES_MAX {
            return Err(EnvVarError::NameTooLong {
                length_bytes: name.len(),
            });
        }
        let name = name.to_owned();
        if !starts_well || !characters.all(|found| found.is_ascii_alphanumeric() || found == b'_') {
            return Err(EnvVarError::BadName { name });
        }
        if value.len() > ENV_VALUE_BYTES_MAX {
            return Err(EnvVarError::ValueTooLong {
                name,
                length_bytes: value.len(),
            });
        }
        if value.contains('\0') {
            return Err(EnvVarError::ZeroByte { name });
        }
        Ok(Self {
            name,
            value: value.to_owned(),
        })
    }
}

impl FromStr for EnvVar {
    type Err = EnvVarError;

    fn from_str(text: &str) -> Result<Self, EnvVarError> {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            // What follows may be a secret that lost its `=`; a name is short.
            EnvVarError::NoEquals {
                text: text.chars().take(32).collect(),
            }
        })?;
        Self::new(name, value)
    }
}

/// The path without a trailing slash, if it is absolute and has only proper parts.
fn canonical_guest(guest: &str) -> Option<&str> {
    let below_root = guest.strip_prefix('/')?;
    if below_root.is_empty() {
        return Some(guest);
    }
    let below_root = below_root.strip_suffix('/').unwrap_or(below_root);
    let proper = |part: &str| !matches!(part, "" | "." | "..");
    below_root
        .split('/')
        .all(proper)
        .then(|| guest.strip_suffix('/').unwrap_or(guest))
}

fn share_files(first: &Path, second: &Path) -> bool {
    let (first, second) = (lexical(first), lexical(second));
    first.starts_with(&second) || second.starts_with(&first)
}

/// The path without `.`, and with `..` taken back where there is something to take back.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(plain.components().next_back(), Some(Component::Normal(_))) =>
            {
                plain.pop();
            }
            // Above the root is the root.
            Component::ParentDir if plain.has_root() => {}
            Component::ParentDir
            | Component::Normal(_)
            | Component::RootDir
            | Component::Prefix(_) => {
                plain.push(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests;
