//! The node's listening socket.
//!
//! Claims the address early, so that a taken port is known before a long
//! compile, and opens the door late, so that nobody's connection waits for that
//! compile: bound but not listening, the kernel refuses callers. Accepting is
//! the workers' business.
//!
//! **Invariant:** the descriptor is close-on-exec; a worker gets it only
//! through its own mapping.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::time::Instant;

use crate::cmd::fault::Hint;

/// How many finished handshakes may wait for a worker. The kernel lowers it to `somaxconn`.
const BACKLOG: i32 = 1024;

/// How long an address in use is tried again.
const IN_USE_MAX: Duration = Duration::from_secs(2);

/// How soon.
const IN_USE_RETRY: Duration = Duration::from_millis(10);

/// An address that is ours but does not take connections yet.
#[derive(Debug)]
pub(crate) struct Claim {
    socket: OwnedFd,
    wanted: SocketAddr,
}

/// Why nobody can connect here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Somebody else listens there.
    #[error("listen on `{address}`: the port is taken")]
    Taken { address: SocketAddr },
    /// A port below 1024, usually.
    #[error("listen on `{address}`: this user may not use the port")]
    Forbidden { address: SocketAddr },
    /// The address is no address of this machine, or something rarer.
    #[error("listen on `{address}`")]
    Other {
        address: SocketAddr,
        source: io::Error,
    },
}

impl Hint for ListenError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { address } => {
                let free = SocketAddr::new(address.ip(), 0);
                Some(format!(
                    "choose another port, or let the system pick one: --listen {free}"
                ))
            }
            Self::Forbidden { address } => {
                let high = SocketAddr::new(address.ip(), 8080);
                Some(format!("choose a port above 1023: --listen {high}"))
            }
            Self::Other { .. } => Some("--listen 127.0.0.1:8080".to_owned()),
        }
    }
}

/// Makes the address ours.
///
/// # Errors
///
/// The address cannot be had; choose another.
pub(crate) fn claim(address: SocketAddr) -> Result<Claim, ListenError> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let bound = || {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        // Without it a restart would have to wait until the last connections are forgotten.
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        Ok(socket)
    };
    match bound() {
        Ok(socket) => Ok(Claim {
            socket,
            wanted: address,
        }),
        Err(errno) => Err(refusal(address, errno)),
    }
}

/// Makes the address ours and takes connections, as soon as that is possible.
///
/// Workers of a node that was killed let go of its port at once, but not in the same instant:
/// an address in use is tried again for a moment.
///
/// # Errors
///
/// The address cannot be had; choose another.
pub(crate) async fn open_soon(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let deadline = Instant::now() + IN_USE_MAX;
    loop {
        match claim(address).and_then(Claim::open) {
            Err(ListenError::Taken { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(IN_USE_RETRY).await;
            }
            done => return done,
        }
    }
}

impl Claim {
    /// Takes connections from now on.
    ///
    /// # Errors
    ///
    /// Somebody took the same port since the claim; choose another.
    pub(crate) fn open(self) -> Result<TcpListener, ListenError> {
        match rustix::net::listen(&self.socket, BACKLOG) {
            Ok(()) => Ok(TcpListener::from(self.socket)),
            Err(errno) => Err(refusal(self.wanted, errno)),
        }
    }
}

fn refusal(address: SocketAddr, errno: rustix::io::Errno) -> ListenError {
    match errno {
        rustix::io::Errno::ADDRINUSE => ListenError::Taken { address },
        rustix::io::Errno::ACCESS | rustix::io::Errno::PERM => ListenError::Forbidden { address },
        _ => ListenError::Other {
            address,
            source: errno.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn a_taken_port_is_named_and_another_one_offered() {
        let taken = TcpListener::bind(ANY).unwrap();
        let address = taken.local_addr().unwrap();
        let error = claim(address).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("listen on `{address}`: the port is taken")
        );
        assert!(error.hint().unwrap().ends_with("--listen 127.0.0.1:0"));
    }

    #[test]
    fn callers_are_refused_until_the_door_is_opened() {
        let claim = claim(ANY).unwrap();
        let address = rustix::net::getsockname(&claim.socket).unwrap();
        let address = SocketAddr::try_from(address).unwrap();
        TcpStream::connect(address).unwrap_err();
        let _listener = claim.open().unwrap();
        TcpStream::connect(address).unwrap();
    }
}
