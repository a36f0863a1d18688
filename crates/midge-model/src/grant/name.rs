//! Names that a function may look up.
//!
//! Decides how such a grant is written and what it matches. Names that other grants
//! mention may be looked up without one.
//!
//! **Invariant:** `covers` never claims more than `matches` allows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::host::{HostPattern, HostPatternError};
use crate::address::HostName;

/// Names that may be looked up: `db.internal`, `*.example.com`, `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameGrant(HostPattern);

/// Why a text is not a grant of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dns grant `{}` {problem}", .text.escape_debug())]
pub struct NameGrantError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("has the port `:{0}`, leave it out: looking up a name takes none")]
    Port(String),
    #[error("is an address, which needs no looking up; write it into `tcp` or `udp` with its port")]
    Address,
    #[error(transparent)]
    Host(#[from] HostPatternError),
}

impl NameGrant {
    /// A grant of exactly this name; `None` for an address, which is never looked up.
    pub fn exactly(host: &HostName) -> Option<Self> {
        match host {
            HostName::Name(_) => Some(Self(HostPattern::Is(host.clone()))),
            HostName::Ip(_) => None,
        }
    }

    /// A grant of every name.
    pub const ANY: Self = Self(HostPattern::Any);

    /// Whether the host may be looked up.
    pub fn matches(&self, host: &HostName) -> bool {
        self.0.matches(host)
    }

    /// The one name it is of; `None` where it has a wildcard.
    pub fn host(&self) -> Option<&HostName> {
        self.0.exact()
    }

    /// Whether it allows all that the other allows.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.covers(&other.0)
    }
}

impl FromStr for NameGrant {
    type Err = NameGrantError;

    fn from_str(text: &str) -> Result<Self, NameGrantError> {
        parse(text).map_err(|problem| NameGrantError {
            text: text.chars().take(80).collect(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<NameGrant, Problem> {
    if let Some((host, port)) = text.rsplit_once(':')
        && !host.contains(':')
        && port.bytes().all(|found| found.is_ascii_digit())
    {
        return Err(Problem::Port(port.to_owned()));
    }
    match HostPattern::parse(text)? {
        HostPattern::Is(HostName::Ip(_)) => Err(Problem::Address),
        pattern => Ok(NameGrant(pattern)),
    }
}

impl fmt::Display for NameGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl TryFrom<String> for NameGrant {
    type Error = NameGrantError;

    fn try_from(text: String) -> Result<Self, NameGrantError> {
        text.parse()
    }
}

impl From<NameGrant> for String {
    fn from(grant: NameGrant) -> Self {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests;
