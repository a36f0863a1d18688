//! Whether a socket may do something with an address.
//!
//! Decides from the grants, from what names were looked up, and from the operator's
//! policy. The engine asks before every system call that takes or gives an address, the
//! implicit ones too; what is refused is told to the function's author.
//!
//! **Invariant:** a packet leaves only for an address that a grant says, or that a name
//! which a grant says was found to have, in this invocation; and the policy is asked of
//! the address itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use midge_model::{HostName, NetGrant, Use};
use wasmtime_wasi::sockets::SocketAddrUse;

use super::Protocol;
use super::count::more_sockets;
use crate::host::denied::{Denial, Remedy};
use crate::net::reach::{self, Destination, OutOfReach};
use crate::powers::{Lent, Powers};

/// The rules of one invocation.
pub(super) struct Rules {
    lent: Arc<Lent>,
    /// Listeners, and connections that they accepted. Each counts for good: the engine makes these
    /// sockets where nobody sees them go.
    serving: AtomicU32,
}

/// What becomes of a connection or a datagram to an address.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It may go there, for the grant of this host.
    Allowed(Arc<HostName>),
    /// A grant says this host, and the policy does not allow the address.
    OutOfReach(Arc<HostName>, OutOfReach),
    /// No grant says this host, by which the guest knows the address.
    NotGranted(Arc<HostName>),
}

impl Rules {
    pub(super) fn new(lent: Arc<Lent>) -> Self {
        Self {
            lent,
            serving: AtomicU32::new(0),
        }
    }

    /// Whether a socket may do this; if not it has been told.
    pub(super) fn allow(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        // Before anything is compared: an IPv4 address is itself also in IPv6's clothes.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        match purpose {
            SocketAddrUse::TcpConnect => self.may_reach(Protocol::Tcp, address),
            SocketAddrUse::UdpSend => self.may_reach(Protocol::Udp, address),
            SocketAddrUse::UdpReceive => self.may_hear(address),
            SocketAddrUse::TcpBind => self.may_bind(Protocol::Tcp, address),
            SocketAddrUse::UdpBind => self.may_bind(Protocol::Udp, address),
            SocketAddrUse::TcpListen => self.may_listen(address),
            SocketAddrUse::TcpAccept => self.may_accept(address),
        }
    }

    fn may_reach(&self, protocol: Protocol, address: SocketAddr) -> bool {
        let port = address.port();
        let (host, why, remedy) = match self.verdict(protocol, address) {
            Verdict::Allowed(host) => {
                // Datagrams are no calls: there is nobody who answers each.
                if protocol == Protocol::Tcp {
                    let what = format!("connect to {host}:{port}");
                    if !self.lent.budget.take_call(&self.lent.denials, &what) {
                        return false;
                    }
                }
                let powers = &self.lent.powers;
                powers.saw(|| protocol.used(HostName::clone(&host), port));
                return true;
            }
            Verdict::OutOfReach(host, refused) => {
                let remedy = refused.remedy();
                (host, refused.to_string(), remedy)
            }
            Verdict::NotGranted(host) => {
                let key = protocol.key();
                let line = Remedy::Grant(format!("{key} = [\"{host}:{port}\"]"));
                (host, format!("no {key} grant covers it"), line)
            }
        };
        let at = match &*host {
            HostName::Ip(_) => String::new(),
            HostName::Name(_) => format!(" at {}", address.ip()),
        };
        let deed = match protocol {
            Protocol::Tcp => "connect to",
            Protocol::Udp => "send to",
        };
        let what = format!("{deed} {host}:{port}{at} over {}", protocol.key());
        self.refuse(what, why, remedy)
    }

    fn verdict(&self, protocol: Protocol, address: SocketAddr) -> Verdict {
        let powers = &*self.lent.powers;
        let grants = protocol.grants(&powers.grants);
        let mut known_as = self.lent.handed.names_of(address.ip());
        known_as.push(Arc::new(HostName::from(address.ip())));
        let mut refused = None;
        for host in &known_as {
            match by_host(powers, grants, host, address) {
                Some(Ok(())) => return Verdict::Allowed(Arc::clone(host)),
                Some(Err(out_of_reach)) if refused.is_none() => {
                    refused = Some(Verdict::OutOfReach(Arc::clone(host), out_of_reach));
                }
                Some(Err(_)) | None => {}
            }
        }
        refused.unwrap_or_else(|| Verdict::NotGranted(known_as.swap_remove(0)))
    }

    /// Who sends to a guest is not told to anybody: strangers would fill its log.
    fn may_hear(&self, address: SocketAddr) -> bool {
        let is_server = !self.lent.powers.grants.listen.is_empty();
        is_server || matches!(self.verdict(Protocol::Udp, address), Verdict::Allowed(_))
    }

    fn may_bind(&self, protocol: Protocol, address: SocketAddr) -> bool {
        let grants = &self.lent.powers.grants;
        // What every client does before it connects or sends, whether it says so or not.
        let is_a_clients = address.ip().is_unspecified() && address.port() == 0;
        if is_a_clients && protocol.is_granted(grants) {
            return true;
        }
        if self.is_listen_granted(address) {
            if protocol == Protocol::Udp {
                self.lent.powers.saw(|| Use::Listen(address));
            }
            return true;
        }
        self.refuse(
            format!("bind a {} socket to {address}", protocol.key()),
            "no listen grant covers it; who only connects or sends binds to port 0 of any address"
                .to_owned(),
            listen_line(address),
        )
    }

    fn may_listen(&self, address: SocketAddr) -> bool {
        let what = || format!("listen on {address}");
        if !self.is_listen_granted(address) {
            let why = "no listen grant covers it, and functions are not servers".to_owned();
            // It got this far because it was bound like a client: the system chose the port.
            let any_port = SocketAddr::new(address.ip(), 0);
            return self.refuse(what(), why, listen_line(any_port));
        }
        self.lent.powers.saw(|| Use::Listen(address));
        self.serve_one_more(what)
    }

    fn may_accept(&self, address: SocketAddr) -> bool {
        self.serve_one_more(|| format!("accept a connection of {address}"))
    }

    fn is_listen_granted(&self, address: SocketAddr) -> bool {
        let mut grants = self.lent.powers.grants.listen.iter();
        grants.any(|grant| grant.matches_address(address))
    }

    fn serve_one_more(&self, what: impl FnOnce() -> String) -> bool {
        let limit = self.lent.powers.limits.sockets;
        if self.serving.fetch_add(1, Ordering::Relaxed) < limit {
            return true;
        }
        self.serving.fetch_sub(1, Ordering::Relaxed);
        let why = format!("this invocation has listened and accepted {limit} times, its limit");
        self.refuse(what(), why, more_sockets(limit))
    }

    fn refuse(&self, what: String, why: String, remedy: Remedy) -> bool {
        self.lent.denials.tell(&Denial { what, why, remedy });
        false
    }
}

/// Whether the address may be reached by what it is known as; `None` where no grant says so.
fn by_host(
    powers: &Powers,
    grants: &[NetGrant],
    host: &HostName,
    address: SocketAddr,
) -> Option<Result<(), OutOfReach>> {
    let port = address.port();
    let mut matching = grants
        .iter()
        .filter(|grant| grant.matches_name(host, port))
        .peekable();
    matching.peek()?;
    let literal = matching.any(|grant| grant.names_literally(host));
    let to = Destination {
        host,
        port,
        literal,
    };
    let ip: IpAddr = address.ip();
    Some(reach::connectable(powers, to, &[ip]).map(drop))
}

/// The line that allows to listen there; port 0 is whichever the system chooses.
fn listen_line(address: SocketAddr) -> Remedy {
    let host = HostName::from(address.ip());
    Remedy::Grant(match address.port() {
        0 => format!("listen = [\"{host}:*\"]"),
        port => format!("listen = [\"{host}:{port}\"]"),
    })
}

#[cfg(test)]
mod tests;
