//! Whether a function may connect to an address that is not public.
//!
//! **Invariant:** asked of the address that the connection goes to, never of a name alone,
//! so a name that leads elsewhere a moment later changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PrivateGrant;
use super::rules::Rules;
use crate::HostName;
use crate::address::{Cidr, Reach};
use crate::grant::Named;

/// Why a connection to an address is refused. `Display` is for the function's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    /// Nobody ever connects there.
    #[error("{} {}", leads_to(.host, *.address), Reach::of(*address))]
    Never {
        /// What was asked for.
        host: HostName,
        /// Where it leads.
        address: IpAddr,
    },
    /// A wildcard allows the host, and wildcards are for the open internet.
    #[error(
        "{} {}, and no grant names `{host}` itself",
        leads_to(.host, *.address), Reach::of(*address)
    )]
    NotNamed {
        /// What was asked for.
        host: HostName,
        /// Where it leads.
        address: IpAddr,
    },
    /// The grant names it, and the operator does not.
    #[error(
        "{} {}, and no `private` rule of the policy covers it",
        leads_to(.host, *.address), Reach::of(*address)
    )]
    NotInPolicy {
        /// What was asked for.
        host: HostName,
        /// Where it leads.
        address: IpAddr,
    },
}

fn leads_to(host: &HostName, address: IpAddr) -> String {
    let address = HostName::from(address);
    if *host == address {
        format!("`{host}` is")
    } else {
        format!("`{host}` leads to `{address}`, which is")
    }
}

impl AddressRefusal {
    /// The key of the policy that would allow it; `None` where nothing would.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::Never { .. } => None,
            Self::NotNamed { .. } | Self::NotInPolicy { .. } => Some("private"),
        }
    }

    /// The line of the policy that would allow it, such as `private = ["db.internal"]`; a grant
    /// that names the host is needed besides.
    pub fn line(&self) -> Option<String> {
        let (Self::NotNamed { host, address } | Self::NotInPolicy { host, address }) = self else {
            return None;
        };
        let named = match Reach::of(*address) {
            // A name does not open these, see `PrivateGrant::allows`.
            Reach::LinkLocal => HostName::from(*address),
            _ => host.clone(),
        };
        Some(format!("private = [\"{named}\"]"))
    }
}

/// What lets a function go to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage<'a> {
    /// The address is public, or only a name server knows.
    Open,
    /// A private address in a grant of somebody whose words need no rule.
    AsWritten,
    /// This entry of `private`.
    By(&'a PrivateGrant),
}

impl Rules {
    pub(super) fn address(
        &self,
        host: &HostName,
        literal: bool,
        address: IpAddr,
    ) -> Result<Passage<'_>, AddressRefusal> {
        let reach = Reach::of(address);
        let host = host.clone();
        match reach {
            Reach::Public => Ok(Passage::Open),
            Reach::Never => Err(AddressRefusal::Never { host, address }),
            Reach::Private | Reach::LinkLocal if !literal => {
                Err(AddressRefusal::NotNamed { host, address })
            }
            Reach::Private if self.private_as_written && is_as_written(&host) => {
                Ok(Passage::AsWritten)
            }
            Reach::Private | Reach::LinkLocal => {
                let mut entries = self.private.value.iter();
                let entry = entries.find(|entry| entry.allows(&host, address, reach));
                entry
                    .map(Passage::By)
                    .ok_or(AddressRefusal::NotInPolicy { host, address })
            }
        }
    }

    /// Whether a grant may name this, as far as can be told without asking a name server.
    pub(super) fn may_name(&self, named: Named<'_>) -> Result<Passage<'_>, AddressRefusal> {
        match named {
            Named::Host(HostName::Ip(address)) => {
                self.address(&HostName::Ip(*address), true, *address)
            }
            Named::Host(host) if host.is_localhost() => self
                .address(host, true, Ipv6Addr::LOCALHOST.into())
                .or_else(|_| self.address(host, true, Ipv4Addr::LOCALHOST.into())),
            Named::Host(_) => Ok(Passage::Open),
            Named::Block(block) => self.may_name_block(block),
        }
    }

    /// A block that is wider than a special one names only the public addresses in it.
    fn may_name_block(&self, block: &Cidr) -> Result<Passage<'_>, AddressRefusal> {
        let address = block.first();
        let host = HostName::from(address);
        match Reach::of(address) {
            _ if !block.names(address) => Ok(Passage::Open),
            Reach::Public => Ok(Passage::Open),
            Reach::Never => Err(AddressRefusal::Never { host, address }),
            Reach::Private if self.private_as_written => Ok(Passage::AsWritten),
            Reach::Private | Reach::LinkLocal => {
                let mut entries = self.private.value.iter();
                let entry = entries.find(|entry| entry.covers(block));
                entry
                    .map(Passage::By)
                    .ok_or(AddressRefusal::NotInPolicy { host, address })
            }
        }
    }
}

/// Whether the reader of a grant sees that it goes to a private address.
fn is_as_written(host: &HostName) -> bool {
    host.ip().is_some() || host.is_localhost()
}
