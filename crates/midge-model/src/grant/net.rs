//! Addresses and names that a function may connect to or listen on: `tcp`, `udp`, `listen`.
//!
//! Decides how such a grant is written and what it matches. How far an address reaches,
//! and whether the policy lets anybody go there, is asked besides.
//!
//! **Invariant:** `covers` never claims more than the `matches` functions allow.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::host::{HostPattern, HostPatternError};
use crate::address::{Cidr, CidrError, HostName, PortRange, PortRangeError};

/// The longest grant of connections in bytes: a name, brackets and two ports fit.
pub const NET_GRANT_BYTES_MAX: usize = 320;

/// Hosts and ports: `db.internal:5432`, `*.example.com:443`, `10.0.0.0/8:5432`,
/// `[fd00::/8]:8000-8100`, `*:443`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetGrant {
    host: NetHost,
    ports: PortRange,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum NetHost {
    Pattern(HostPattern),
    /// Of more than one address.
    Block(Cidr),
}

/// What a grant names without a wildcard.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Named<'a> {
    Host(&'a HostName),
    Block(&'a Cidr),
}

/// Why a text is not a grant of connections.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("grant `{}` {problem}", .text.escape_debug())]
pub struct NetGrantError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is longer than {NET_GRANT_BYTES_MAX} bytes")]
    TooLong,
    #[error("has no port, write for example `{0}:5432`, or `{0}:*` for every port")]
    NoPort(String),
    #[error("has no host, write for example `127.0.0.1:{0}`, or `*:{0}` for every host")]
    NoHost(String),
    #[error("has the scheme `{0}`, leave it out: a connection has a host and a port only")]
    Scheme(String),
    #[error("has an IPv6 address without brackets, write for example `[fd00::1]:5432`")]
    NoBrackets,
    #[error("has a bad port: {0}")]
    Ports(#[from] PortRangeError),
    #[error("has a bad block: {0}")]
    Block(#[from] CidrError),
    #[error(transparent)]
    Host(#[from] HostPatternError),
}

impl NetGrant {
    /// A grant of every host on every port.
    pub const ANY: Self = Self {
        host: NetHost::Pattern(HostPattern::Any),
        ports: PortRange::ALL,
    };

    /// A grant of exactly this host and port.
    pub fn exactly(host: HostName, port: u16) -> Self {
        Self {
            host: NetHost::Pattern(HostPattern::Is(host)),
            ports: PortRange::one(port),
        }
    }

    /// Whether a connection to this address is granted by address: not by any name it may have.
    pub fn matches_address(&self, address: SocketAddr) -> bool {
        self.matches_name(&HostName::from(address.ip()), address.port())
    }

    /// Whether a connection to this host is granted; a host that is an address matches as one.
    pub fn matches_name(&self, host: &HostName, port: u16) -> bool {
        self.ports.contains(port) && self.host.matches(host)
    }

    /// Whether the grant names this very host: itself, or a block that is all of one kind.
    ///
    /// `10.0.0.0/8` names `10.1.2.3`; `0.0.0.0/0` and `*` allow it without naming it.
    pub fn names_literally(&self, host: &HostName) -> bool {
        match (&self.host, host) {
            (NetHost::Pattern(pattern), host) => pattern.names_literally(host),
            (NetHost::Block(block), HostName::Ip(address)) => block.names(*address),
            (NetHost::Block(_), HostName::Name(_)) => false,
        }
    }

    /// What it names, where that is one host or a block.
    pub(crate) fn named(&self) -> Option<Named<'_>> {
        match &self.host {
            NetHost::Pattern(pattern) => pattern.exact().map(Named::Host),
            NetHost::Block(block) => Some(Named::Block(block)),
        }
    }

    /// Whether a look-up of this host is implied: a grant by name is none without it.
    pub fn implies_look_up(&self, host: &HostName) -> bool {
        matches!(&self.host, NetHost::Pattern(pattern) if pattern.matches(host))
    }

    /// Whether it allows all that the other allows.
    pub fn covers(&self, other: &Self) -> bool {
        self.ports.covers(&other.ports) && self.host.covers(&other.host)
    }
}

impl NetHost {
    fn matches(&self, host: &HostName) -> bool {
        match (self, host) {
            (Self::Pattern(pattern), host) => pattern.matches(host),
            (Self::Block(block), HostName::Ip(address)) => block.contains(*address),
            (Self::Block(_), HostName::Name(_)) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pattern(own), Self::Pattern(other)) => own.covers(other),
            (Self::Pattern(own), Self::Block(_)) => *own == HostPattern::Any,
            (Self::Block(_), Self::Pattern(HostPattern::Is(host))) => self.matches(host),
            (Self::Block(_), Self::Pattern(_)) => false,
            (Self::Block(own), Self::Block(other)) => own.covers(other),
        }
    }
}

impl FromStr for NetGrant {
    type Err = NetGrantError;

    fn from_str(text: &str) -> Result<Self, NetGrantError> {
        parse(text).map_err(|problem| NetGrantError {
            text: text.chars().take(80).collect(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<NetGrant, Problem> {
    if text.len() > NET_GRANT_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Problem::Scheme(format!("{scheme}://")));
    }
    if let Some(port) = only_a_port(text) {
        return Err(Problem::NoHost(port.to_owned()));
    }
    let no_port = || match text.trim_end_matches(':') {
        "" => Problem::NoPort("db.internal".to_owned()),
        host => Problem::NoPort(host.to_owned()),
    };
    let (host, ports) = match text.rsplit_once(':') {
        Some((host, ports)) if !ports.is_empty() && !ports.contains(']') => (host, ports),
        _ => return Err(no_port()),
    };
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !is_bracketed {
        return Err(Problem::NoBrackets);
    }
    Ok(NetGrant {
        host: parse_host(host)?,
        ports: ports.parse()?,
    })
}

/// `8080` and `:8080`, as other programs take it.
fn only_a_port(text: &str) -> Option<&str> {
    let port = text.strip_prefix(':').unwrap_or(text);
    let is_number = !port.is_empty() && port.bytes().all(|found| found.is_ascii_digit());
    is_number.then_some(port)
}

fn parse_host(text: &str) -> Result<NetHost, Problem> {
    if !text.contains('/') {
        return Ok(NetHost::Pattern(HostPattern::parse(text)?));
    }
    let block: Cidr = text.parse()?;
    Ok(match block.single() {
        Some(address) => NetHost::Pattern(HostPattern::Is(address.into())),
        None => NetHost::Block(block),
    })
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "{host}"),
            Self::Block(block) => write!(f, "{block}"),
        }
    }
}

impl fmt::Display for NetGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            NetHost::Pattern(pattern) => write!(f, "{pattern}:{}", self.ports),
            NetHost::Block(block) => write!(f, "{block}:{}", self.ports),
        }
    }
}

impl TryFrom<String> for NetGrant {
    type Error = NetGrantError;

    fn try_from(text: String) -> Result<Self, NetGrantError> {
        text.parse()
    }
}

impl From<NetGrant> for String {
    fn from(grant: NetGrant) -> Self {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests;
