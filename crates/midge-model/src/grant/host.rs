//! Which hosts a grant is about: one, all below a name, or any.
//!
//! Shared by the grants of HTTP requests, connections and look-ups.
//!
//! **Invariant:** `covers` never claims more than `matches` allows.

use std::fmt;

use crate::address::{HostName, HostNameError};

/// Hosts by name or address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum HostPattern {
    /// `*`: every name and every address.
    Any,
    /// `*.example.com`: names below this one at any depth, not itself.
    Below(String),
    /// This one.
    Is(HostName),
}

/// Why a text is no pattern of hosts. To stand after what the host is of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostPatternError {
    #[error(
        "has a wildcard that is not the whole first part of the host, write for example `*.example.com`"
    )]
    BadWildcard,
    #[error("has a host that {}", .0.problem())]
    Host(#[from] HostNameError),
}

impl HostPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some(parent) = text.strip_prefix("*.") else {
            if text.contains('*') {
                return Err(HostPatternError::BadWildcard);
            }
            return Ok(Self::Is(text.parse()?));
        };
        if parent.contains('*') {
            return Err(HostPatternError::BadWildcard);
        }
        match parent.parse()? {
            HostName::Name(parent) => Ok(Self::Below(parent)),
            // Nothing is below an address.
            HostName::Ip(_) => Err(HostPatternError::BadWildcard),
        }
    }

    pub(crate) fn matches(&self, host: &HostName) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Below(parent), HostName::Name(name)) => is_below(name, parent),
            (Self::Below(_), HostName::Ip(_)) => false,
            (Self::Is(own), host) => is_same(own, host),
        }
    }

    pub(crate) fn names_literally(&self, host: &HostName) -> bool {
        matches!(self, Self::Is(own) if is_same(own, host))
    }

    /// The one host, where it is one.
    pub(crate) fn exact(&self) -> Option<&HostName> {
        match self {
            Self::Is(host) => Some(host),
            Self::Any | Self::Below(_) => None,
        }
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Below(parent), Self::Below(name)) => name == parent || is_below(name, parent),
            (_, Self::Is(host)) => self.matches(host),
            (_, Self::Any) | (Self::Is(_), Self::Below(_)) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Is(host) => write!(f, "{host}"),
        }
    }
}

/// Somebody may hold an IPv4 address in IPv6's clothes that was not read from text.
fn is_same(one: &HostName, other: &HostName) -> bool {
    match (one, other) {
        (HostName::Ip(one), HostName::Ip(other)) => one.to_canonical() == other.to_canonical(),
        _ => one == other,
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|front| front.ends_with('.'))
}
