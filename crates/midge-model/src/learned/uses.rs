//! One use, held against grants, and in words.
//!
//! **Invariant:** what [`super::smallest`] makes of uses allows each of them here.

use std::fmt;
use std::net::SocketAddr;

use http::Method;

use super::Use;
use crate::{DirMode, Grants, HostName, NetGrant, Outbound};

impl Use {
    /// Whether these grants allow it.
    pub fn is_allowed_by(&self, grants: &Grants) -> bool {
        let connects = |grants: &[NetGrant], host: &HostName, port| {
            grants.iter().any(|grant| grant.matches_name(host, port))
        };
        match self {
            Self::Http {
                method,
                https,
                host,
                port,
                path,
            } => {
                let Ok(method) = method.parse::<Method>() else {
                    return false;
                };
                let request = Outbound {
                    method: &method,
                    https: *https,
                    host,
                    port: *port,
                    path,
                };
                grants.http.iter().any(|grant| grant.matches(&request))
            }
            Self::Tcp { host, port } => connects(&grants.tcp, host, *port),
            Self::Udp { host, port } => connects(&grants.udp, host, *port),
            Self::Name(host) => grants.may_resolve(host),
            Self::Dir { guest, wrote } => grants
                .dirs
                .iter()
                .any(|dir| dir.guest == *guest && (!wrote || dir.mode == DirMode::ReadWrite)),
            Self::Secret(name) => grants.secrets.iter().any(|secret| secret.name == *name),
            Self::Bucket(name) => grants.kv.contains(name),
            Self::Tmp => grants.tmp_bytes.is_some(),
            Self::Listen(address) => {
                let is_granted = |address: SocketAddr| {
                    grants
                        .listen
                        .iter()
                        .any(|grant| grant.matches_address(address))
                };
                is_granted(*address)
            }
        }
    }
}

/// What it did, as the end of a sentence that begins with its name.
impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http {
                method,
                https,
                host,
                port,
                path,
            } => {
                let (scheme, usual) = if *https { ("https", 443) } else { ("http", 80) };
                write!(f, "sent {method} {scheme}://{host}")?;
                if *port != usual {
                    write!(f, ":{port}")?;
                }
                f.write_str(path)
            }
            Self::Tcp { host, port } => write!(f, "connected to {host}:{port}"),
            Self::Udp { host, port } => write!(f, "exchanged datagrams with {host}:{port}"),
            Self::Name(host) => write!(f, "looked up {host}"),
            Self::Dir { guest, wrote: true } => write!(f, "wrote into {guest}"),
            Self::Dir { guest, .. } => write!(f, "read in {guest}"),
            Self::Secret(name) => write!(f, "read secret {name}"),
            Self::Bucket(name) => write!(f, "opened bucket {name}"),
            Self::Tmp => f.write_str("wrote temporary files"),
            Self::Listen(address) => write!(f, "listened on {address}"),
        }
    }
}
