//! Sockets: where a guest may connect, send and listen, and how many it may have open.
//!
//! Puts the rules (`rules.rs`) before everything the engine does with an address, and
//! the count (`count.rs`) before every socket it opens. Which names lead where was noted
//! when they were looked up (`handed.rs`, `names.rs`).
//!
//! **Invariant:** a guest without a grant opens no socket, one with a grant reaches the
//! addresses it names and those that a granted name was found to have, and nothing else.

mod bytes02;
mod bytes03;
mod count;
mod handed;
mod rules;

use std::sync::Arc;

pub(crate) use count::{OpenSockets, descriptors_max, link02, link03};
pub(crate) use handed::Handed;
use midge_model::{Grants, HostName, NetGrant, Use};
use wasmtime::component::Resource;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets::network;
use wasmtime_wasi::p2::{Network, SocketError};
use wasmtime_wasi::sockets::WasiSocketsView as _;

use self::rules::Rules;
use crate::guest::Guest;
use crate::powers::Lent;

/// The two kinds of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    fn grants(self, grants: &Grants) -> &[NetGrant] {
        match self {
            Self::Tcp => &grants.tcp,
            Self::Udp => &grants.udp,
        }
    }

    /// The key of the grants, which is also its name in sentences.
    fn key(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// Whether a function may have such sockets at all.
    fn is_granted(self, grants: &Grants) -> bool {
        !self.grants(grants).is_empty() || !grants.listen.is_empty()
    }

    fn used(self, host: HostName, port: u16) -> Use {
        match self {
            Self::Tcp => Use::Tcp { host, port },
            Self::Udp => Use::Udp { host, port },
        }
    }
}

/// Lets a guest's sockets do what was granted.
pub(crate) fn govern(wasi: &mut WasiCtxBuilder, lent: &Arc<Lent>) {
    let grants = &lent.powers.grants;
    wasi.allow_tcp(Protocol::Tcp.is_granted(grants))
        .allow_udp(Protocol::Udp.is_granted(grants));
    let rules = Rules::new(Arc::clone(lent));
    wasi.socket_addr_check(move |address, purpose| {
        Box::pin(std::future::ready(rules.allow(address, purpose)))
    });
}

/// The engine's own errors and `network` handles, which its bindings of 0.2 ask for beside each
/// interface that is replaced.
impl network::Host for Guest {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<network::ErrorCode> {
        error.downcast()
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<network::ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl network::HostNetwork for Guest {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets(), network)
    }
}
