//! How far an address reaches.
//!
//! Decides by tables that follow the IANA special-purpose registries (RFC 6890) and name
//! the metadata services of clouds besides. Addresses that carry an IPv4 address inside
//! are judged by that one, because a gateway would deliver to it.
//!
//! **Invariant:** what no table knows is never public: IPv6 is public only inside 2000::/3.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// How far an address reaches; later ones are the stricter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The open internet.
    Public,
    /// This machine, or a network that is not everybody's.
    Private,
    /// The next machine on the wire, or a cloud's metadata service: where credentials are.
    LinkLocal,
    /// No address to talk to: unspecified, multicast, reserved, for documentation, deprecated.
    Never,
}

impl Reach {
    /// How far this address reaches.
    ///
    /// Addresses that carry an IPv4 address (mapped, compatible, translated, NAT64, 6to4)
    /// reach at most as far as that one.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address).0,
            IpAddr::V6(address) => of_v6(address).0,
        }
    }
}

impl fmt::Display for Reach {
    /// The words for messages, to stand after "is".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::LinkLocal => "link-local or metadata",
            Self::Never => "not an address to connect to",
        })
    }
}

/// The special block an address lies in: the widest one that can be said to name it.
///
/// A grant of `10.0.0.0/8` names `10.1.2.3`, one of `0.0.0.0/0` does not. An address that
/// carries another one is a block of its own; a public one is in no special block.
pub(super) fn block_of(address: IpAddr) -> Option<IpNet> {
    let (reach, block) = match address.to_canonical() {
        IpAddr::V4(address) => {
            let (reach, block) = of_v4(address);
            (reach, block.map(IpNet::V4))
        }
        IpAddr::V6(address) => {
            let (reach, block) = of_v6(address);
            (reach, block.map(IpNet::V6))
        }
    };
    match reach {
        Reach::Public => None,
        _ => Some(block.unwrap_or_else(|| IpNet::from(address))),
    }
}

/// The blocks of IPv4 that are not public. The first that fits decides, so exceptions come first.
const V4_BLOCKS: [(Ipv4Net, Reach); 18] = [
    // Metadata outside of 169.254.0.0/16: Alibaba's, Oracle's, Azure's.
    (v4([100, 100, 100, 200], 32), Reach::LinkLocal),
    (v4([192, 0, 0, 192], 32), Reach::LinkLocal),
    (v4([168, 63, 129, 16], 32), Reach::LinkLocal),
    (v4([169, 254, 0, 0], 16), Reach::LinkLocal),
    (v4([10, 0, 0, 0], 8), Reach::Private),
    (v4([127, 0, 0, 0], 8), Reach::Private),
    (v4([172, 16, 0, 0], 12), Reach::Private),
    (v4([192, 168, 0, 0], 16), Reach::Private),
    // Shared by the customers of one provider (RFC 6598); clusters use it for pods.
    (v4([100, 64, 0, 0], 10), Reach::Private),
    // Benchmarking (RFC 2544).
    (v4([198, 18, 0, 0], 15), Reach::Private),
    (v4([0, 0, 0, 0], 8), Reach::Never),
    (v4([192, 0, 0, 0], 24), Reach::Never),
    // Documentation (RFC 5737).
    (v4([192, 0, 2, 0], 24), Reach::Never),
    (v4([198, 51, 100, 0], 24), Reach::Never),
    (v4([203, 0, 113, 0], 24), Reach::Never),
    // Relays of 6to4, deprecated by RFC 7526.
    (v4([192, 88, 99, 0], 24), Reach::Never),
    // Multicast; then reserved, with the broadcast address as its last.
    (v4([224, 0, 0, 0], 4), Reach::Never),
    (v4([240, 0, 0, 0], 4), Reach::Never),
];

/// The blocks of IPv6 that are not public although 2000::/3 has them, and those that have an
/// owner outside of it. The first that fits decides.
const V6_BLOCKS: [(Ipv6Net, Reach); 13] = [
    // Metadata: all of Amazon's local services, Google's, Oracle's, Scaleway's.
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), Reach::LinkLocal),
    (
        v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
        Reach::LinkLocal,
    ),
    (
        v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
        Reach::LinkLocal,
    ),
    (
        v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
        Reach::LinkLocal,
    ),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Reach::LinkLocal),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Reach::Private),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Reach::Private),
    // Benchmarking (RFC 5180), inside the next one.
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), Reach::Private),
    // Protocol assignments, Teredo (2001::/32) among them, and both ORCHIDs.
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Reach::Never),
    (v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), Reach::Never),
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), Reach::Never),
    // Documentation (RFC 3849, RFC 9637).
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Reach::Never),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Reach::Never),
];

/// All of IPv6 that is handed out for the open internet.
const V6_GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// NAT64 with a prefix of the network's own (RFC 8215).
const V6_LOCAL_NAT64: Ipv6Net = v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48);
/// IPv4 address by its place in the last 32 bits: compatible, mapped, translated (RFC 2765), NAT64.
const V6_CARRIERS: [Ipv6Net; 4] = [
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
];
/// IPv4 address in the 32 bits behind the prefix (RFC 3056).
const V6_SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const fn v4(octets: [u8; 4], prefix_length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_length)
}

const fn v6(groups: [u16; 8], prefix_length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = groups;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix_length)
}

fn of_v4(address: Ipv4Addr) -> (Reach, Option<Ipv4Net>) {
    V4_BLOCKS
        .iter()
        .find(|(block, _)| block.contains(&address))
        .map_or((Reach::Public, None), |(block, reach)| {
            (*reach, Some(*block))
        })
}

fn of_v6(address: Ipv6Addr) -> (Reach, Option<Ipv6Net>) {
    if let Some((block, reach)) = V6_BLOCKS.iter().find(|(block, _)| block.contains(&address)) {
        return (*reach, Some(*block));
    }
    if V6_LOCAL_NAT64.contains(&address) {
        return (of_local_nat64(address), None);
    }
    let reach = match carried(address) {
        Some(carried) => of_v4(carried).0,
        None if V6_GLOBAL.contains(&address) => Reach::Public,
        None => Reach::Never,
    };
    (reach, None)
}

/// The IPv4 address that a gateway on the way would take out and deliver to.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if V6_CARRIERS.iter().any(|block| block.contains(&address)) {
        return Some(v4_at(address, 96));
    }
    V6_SIX_TO_FOUR
        .contains(&address)
        .then(|| v4_at(address, 16))
}

/// How long the network's own prefix is nobody here knows, so the worst of all places counts.
fn of_local_nat64(address: Ipv6Addr) -> Reach {
    // RFC 6052, 2.2: bits 64 to 71 are skipped.
    let skipping = {
        let bits = address.to_bits();
        let (front, back) = (bits >> 64 << 64, bits << 72 >> 64);
        Ipv6Addr::from_bits(front | back)
    };
    let places = [
        v4_at(skipping, 48),
        v4_at(skipping, 56),
        v4_at(skipping, 64),
        v4_at(address, 96),
    ];
    let to_metadata = |place: &Ipv4Addr| of_v4(*place).0 == Reach::LinkLocal;
    if places.iter().any(to_metadata) {
        return Reach::LinkLocal;
    }
    Reach::Private
}

/// The 32 bits from this one on.
fn v4_at(address: Ipv6Addr, bit: u32) -> Ipv4Addr {
    let [.., a, b, c, d] = (address.to_bits() >> (96 - bit)).to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests;
