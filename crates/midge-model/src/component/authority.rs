//! Host and port of a server that has components.

use std::fmt;

use super::Problem;
use crate::HostName;

/// Host and port: `ghcr.io`, `127.0.0.1:5000`, `[::1]:5000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: HostName,
    port: Option<u16>,
}

impl Authority {
    /// Whether that is this machine, whoever is asked for the name: then nothing of what is said
    /// leaves it, and TLS would protect it from nobody.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            HostName::Ip(address) => address.is_loopback(),
            name @ HostName::Name(_) => name.is_localhost(),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        if text.contains('@') {
            return Err(Problem::Credentials);
        }
        // The colons of an IPv6 address stand before its bracket.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(read_port(port)?)),
            _ => (text, None),
        };
        if host.contains(':') && !host.starts_with('[') {
            return Err(Problem::Port(port_shown(text)));
        }
        let host = host.parse().map_err(Problem::Host)?;
        Ok(Self { host, port })
    }
}

fn read_port(text: &str) -> Result<u16, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port @ 1..) if is_number => Ok(port),
        _ => Err(Problem::Port(port_shown(text))),
    }
}

fn port_shown(text: &str) -> String {
    let port = text.split_once(':').map_or(text, |(_, port)| port);
    port.chars().take(20).collect()
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}
