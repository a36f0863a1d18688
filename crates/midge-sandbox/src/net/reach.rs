//! Addresses that may be connected to.
//!
//! Decides which of the addresses that a host turned out to have the operator's policy
//! lets a namespace reach. That the function was granted the host was decided before;
//! what the policy says of an address is the model's.
//!
//! **Invariant:** a socket address comes out of here only for the address that was
//! checked: nobody looks the host up a second time.

use std::net::{IpAddr, SocketAddr};

use midge_model::{AddressRefusal, HostName};

use crate::host::denied::Remedy;
use crate::powers::Powers;

/// Where somebody wants to connect to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The host as the guest wrote it.
    pub(crate) host: &'a HostName,
    pub(crate) port: u16,
    /// Whether a grant that allows it names the host itself, without a wildcard.
    pub(crate) literal: bool,
}

/// None of the addresses may be connected to. `Display` says why of the first one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub(crate) struct OutOfReach(AddressRefusal);

impl OutOfReach {
    /// Who could allow it.
    pub(crate) fn remedy(&self) -> Remedy {
        self.0.line().map_or(Remedy::Nothing, Remedy::Policy)
    }
}

/// Those of `addresses` that may be connected to, in their order.
///
/// # Errors
///
/// There were some, and the policy refuses all of them.
pub(crate) fn connectable(
    powers: &Powers,
    to: Destination<'_>,
    addresses: &[IpAddr],
) -> Result<Vec<SocketAddr>, OutOfReach> {
    // A watched function has wildcards for all that the policy allows; the grant that will be
    // learnt from this names the host.
    let literal = to.literal || powers.is_learning;
    let mut refused = None;
    let mut allowed = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let address = address.to_canonical();
        match powers
            .policy
            .address(&powers.namespace, to.host, literal, address)
        {
            Ok(()) => allowed.push(SocketAddr::new(address, to.port)),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match refused {
        Some(refusal) if allowed.is_empty() => Err(OutOfReach(refusal)),
        _ => Ok(allowed),
    }
}
