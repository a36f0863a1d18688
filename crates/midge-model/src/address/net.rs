//! Blocks of addresses and ranges of ports.
//!
//! Decides how they are written and what they hold. The parsing of blocks is `ipnet`'s;
//! this module adds the brackets, the refusals and the sentences.
//!
//! **Invariant:** a block is written with its first address, so that nobody reads
//! `10.1.2.3/8` as one machine.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::reach::block_of;

/// A block of addresses: `10.0.0.0/8`, `[fd00::/8]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

/// Ports from the first to the last: `5432`, `8000-8100`, `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port; not below the lowest.
    pub last: u16,
}

/// Why a text is not a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not an address, a slash and a length.
    #[error(
        "`{}` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`",
        .text.escape_debug()
    )]
    NotABlock {
        /// What was written.
        text: String,
    },
    /// The address is not the first of the block.
    #[error("block `{text}` does not start at that address, write `{meant}`")]
    NotTheFirst {
        /// What was written.
        text: String,
        /// The whole block.
        meant: String,
    },
}

/// Why a text is not a range of ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortRangeError {
    /// Not numbers of ports.
    #[error(
        "`{}` is not a port, write for example `5432`, `8000-8100` or `*`",
        .text.escape_debug()
    )]
    NotAPort {
        /// What was written.
        text: String,
    },
    /// The wrong way round.
    #[error("ports `{first}-{last}` are the wrong way round, write `{last}-{first}`")]
    Backwards {
        /// What was written first.
        first: u16,
        /// What was written last.
        last: u16,
    },
}

impl Cidr {
    /// Whether the address lies in it. An IPv4 address in IPv6's clothes is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether every address of the other lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.0.network()
    }

    /// The address, where the block has only one.
    pub(crate) fn single(&self) -> Option<IpAddr> {
        (self.0.prefix_len() == self.0.max_prefix_len()).then(|| self.first())
    }

    /// Whether it says this very address: it contains it and is no wider than the special block
    /// around it. `10.0.0.0/8` names `10.1.2.3`, `0.0.0.0/0` only contains it.
    pub(crate) fn names(&self, address: IpAddr) -> bool {
        self.contains(address) && block_of(address).is_none_or(|special| special.contains(&self.0))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let inner = text
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'));
        let shown = || text.chars().take(80).collect::<String>();
        let net: IpNet = match inner {
            Some(inner) => inner.parse().ok().filter(|net| matches!(net, IpNet::V6(_))),
            None => text.parse().ok(),
        }
        .ok_or_else(|| CidrError::NotABlock { text: shown() })?;
        if net.trunc() != net {
            return Err(CidrError::NotTheFirst {
                text: shown(),
                meant: Self(net.trunc()).to_string(),
            });
        }
        Ok(Self(canonical(net)))
    }
}

/// A block of mapped addresses is the block of IPv4 addresses that they map.
fn canonical(net: IpNet) -> IpNet {
    match (
        net.network().to_canonical(),
        net.prefix_len().checked_sub(96),
    ) {
        (IpAddr::V4(address), Some(length)) if net.max_prefix_len() == 128 => {
            Ipv4Net::new(address, length).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNet::V4(net) => write!(f, "{net}"),
            IpNet::V6(net) => write!(f, "[{net}]"),
        }
    }
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self {
        first: 0,
        last: u16::MAX,
    };

    /// This one port.
    pub const fn one(port: u16) -> Self {
        Self {
            first: port,
            last: port,
        }
    }

    /// Whether the port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether every port of the other is one of them.
    pub fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        if text == "*" {
            return Ok(Self::ALL);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |port: &str| {
            // `+80` is a number to the standard library.
            let digits = !port.is_empty() && port.bytes().all(|found| found.is_ascii_digit());
            digits
                .then(|| port.parse().ok())
                .flatten()
                .ok_or_else(|| PortRangeError::NotAPort {
                    text: text.chars().take(80).collect(),
                })
        };
        let (first, last) = (port(first)?, port(last)?);
        if last < first {
            return Err(PortRangeError::Backwards { first, last });
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("*"),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(block: Cidr) -> Self {
        block.to_string()
    }
}

impl TryFrom<String> for PortRange {
    type Error = PortRangeError;

    fn try_from(text: String) -> Result<Self, PortRangeError> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(ports: PortRange) -> Self {
        ports.to_string()
    }
}

#[cfg(test)]
mod tests;
