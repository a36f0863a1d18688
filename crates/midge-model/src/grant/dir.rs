//! Host directories, shown to a guest under a path of its own.
//!
//! Decides how such a grant is written and which host paths overlap. Purely lexical:
//! whether a directory exists, and what its symbolic links lead to, is for whoever
//! opens it.
//!
//! **Invariant:** a guest path is absolute and never climbs.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quantity::{QuantityError, bytes_text_option, parse_bytes};

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
    /// How much may lie below it, where it can be written; `None` counts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(with = "bytes_text_option")]
    pub quota_bytes: Option<u64>,
}

/// What a guest may do in a directory.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum DirMode {
    /// Look only.
    #[default]
    #[serde(rename = "ro")]
    ReadOnly,
    /// Change things too.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// Why a text is not a directory grant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
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
    /// Nothing is written there, so nothing is to be counted.
    #[error("directory `{}` has a quota and cannot be written, write `mode = \"rw\"` or leave the quota out", .guest.escape_debug())]
    QuotaReadOnly {
        /// The guest's path.
        guest: String,
    },
    /// Writable in name only.
    #[error("directory `{}` has a quota of nothing, write `mode = \"ro\"` or a size such as `1GiB`", .guest.escape_debug())]
    QuotaZero {
        /// The guest's path.
        guest: String,
    },
    /// Not a size.
    #[error(transparent)]
    Quota(#[from] QuantityError),
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
            quota_bytes: None,
        })
    }

    /// The same grant with a bound such as `1GiB` on what may lie below it.
    ///
    /// # Errors
    ///
    /// Not a size, a size of nothing, or a directory that cannot be written.
    pub fn with_quota(mut self, text: &str) -> Result<Self, DirGrantError> {
        let guest = self.guest.clone();
        match parse_bytes(text)? {
            _ if self.mode == DirMode::ReadOnly => Err(DirGrantError::QuotaReadOnly { guest }),
            0 => Err(DirGrantError::QuotaZero { guest }),
            quota_bytes => {
                self.quota_bytes = Some(quota_bytes);
                Ok(self)
            }
        }
    }

    /// Whether it allows all that the other allows, by their paths and wherever the guest sees
    /// them.
    pub fn covers(&self, other: &Self) -> bool {
        let quota = match (self.quota_bytes, other.quota_bytes) {
            (None, _) => true,
            (Some(own), Some(other)) => other <= own,
            // Nothing is written there that would count.
            (Some(_), None) => other.mode == DirMode::ReadOnly,
        };
        quota && other.mode <= self.mode && lexical(&other.host).starts_with(lexical(&self.host))
    }

    /// Whether the two show some of the same host files, by their paths.
    pub(crate) fn shares_files(&self, other: &Self) -> bool {
        let (first, second) = (lexical(&self.host), lexical(&other.host));
        first.starts_with(&second) || second.starts_with(&first)
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

/// The path without `.`, and with `..` taken back where there is something to take back.
pub(crate) fn lexical(path: &Path) -> PathBuf {
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
