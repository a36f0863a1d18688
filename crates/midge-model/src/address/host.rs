//! What a host may be called.
//!
//! Decides between addresses and names, strictly: resolvers, URL parsers and `inet_aton`
//! disagree about numbers, escapes and foreign digits, so none of these is a host here.
//! Whether a name exists, and where it leads, is left to the resolver.
//!
//! **Invariant:** a host that was read is an address in its one spelling, or a name that
//! no resolver takes for an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of a host in bytes: DNS holds no more.
pub const HOST_NAME_BYTES_MAX: usize = 253;
/// The longest part of it between two dots.
const LABEL_BYTES_MAX: usize = 63;

/// Where a request or a connection goes.
///
/// Made from text; an IPv4 address in IPv6's clothes (`[::ffff:10.0.0.1]`) is the IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostName {
    /// An address as written.
    Ip(IpAddr),
    /// A DNS name in lower case without the last dot; punycode where it is not ASCII.
    Name(String),
}

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host `{}` {problem}", .text.escape_debug())]
pub struct HostNameError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is empty, write for example `api.example.com`")]
    Empty,
    #[error("is {0} bytes long, the longest has {HOST_NAME_BYTES_MAX}")]
    TooLong(usize),
    #[error("is not an IPv6 address, write for example `[2001:db8::1]`")]
    NotIpv6,
    #[error("has a zone after `%`, leave it out: an address is the same on every interface here")]
    Zone,
    #[error(
        "is not an address, write four numbers from 0 to 255 without leading zeros or a last dot"
    )]
    NotIpv4,
    #[error(
        "ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`"
    )]
    Number,
    #[error("is a URL, write its host only{}", with_host(.0))]
    Url(String),
    #[error("has the port `:{0}`, leave it out")]
    Port(String),
    #[error("has {0:?} at position {1}, a host is letters, digits, `-`, `_` and `.`")]
    BadCharacter(char, usize),
    #[error("has {0:?} at position {1}, write the name in punycode, as in `xn--bcher-kva.example`")]
    NotAscii(char, usize),
    #[error("has nothing between two dots, or at an end")]
    EmptyLabel,
    #[error("has a part of {0} bytes between two dots, the longest has {LABEL_BYTES_MAX}")]
    LabelTooLong(usize),
}

impl HostName {
    /// The address, where it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Name(_) => None,
        }
    }

    /// Whether it is `localhost` or ends in `.localhost`, which is this machine and is never
    /// asked of a name server (RFC 6761).
    pub fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost" || name.ends_with(".localhost"))
    }
}

impl HostNameError {
    /// What is wrong, to stand after "a host that": for messages that show the host already.
    pub(crate) fn problem(&self) -> impl fmt::Display {
        &self.problem
    }
}

/// The host of an authority: `shop.example.net:8080` and `shop.example.net.` are both
/// `shop.example.net`.
pub(crate) fn without_port(authority: &str) -> &str {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|found| found.is_ascii_digit()) => name,
        _ => authority,
    };
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        parse(text).map_err(|problem| HostNameError {
            // Repeated in messages, where a long one helps nobody.
            text: text.chars().take(80).collect(),
            problem,
        })
    }
}

impl From<IpAddr> for HostName {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> Self {
        host.to_string()
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The host in what follows the scheme of a URL, for a message, if there is one.
fn with_host(rest: &str) -> String {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match parse(without_port(host)) {
        Ok(host) => format!(": `{host}`"),
        Err(_) => String::new(),
    }
}

fn parse(text: &str) -> Result<HostName, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(Problem::Url(rest.to_owned()));
    }
    if let Some(inner) = text.strip_prefix('[') {
        return parse_v6(inner.strip_suffix(']').ok_or(Problem::NotIpv6)?);
    }
    match text.split_once(':') {
        Some((_, port)) if !port.contains(':') => return Err(Problem::Port(port.to_owned())),
        Some(_) => return parse_v6(text),
        None => {}
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(HostName::Ip(IpAddr::V4(address)));
    }
    parse_name(text)
}

fn parse_v6(text: &str) -> Result<HostName, Problem> {
    if text.contains('%') {
        return Err(Problem::Zone);
    }
    let address: Ipv6Addr = text.parse().map_err(|_| Problem::NotIpv6)?;
    Ok(HostName::from(IpAddr::V6(address)))
}

fn parse_name(text: &str) -> Result<HostName, Problem> {
    let allowed = |found: char| found.is_ascii_alphanumeric() || matches!(found, '-' | '_' | '.');
    if let Some((position, found)) = text.chars().enumerate().find(|(_, found)| !allowed(*found)) {
        return Err(if found.is_ascii() {
            Problem::BadCharacter(found, position)
        } else {
            Problem::NotAscii(found, position)
        });
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > HOST_NAME_BYTES_MAX {
        return Err(Problem::TooLong(name.len()));
    }
    for label in name.split('.') {
        match label.len() {
            0 => return Err(Problem::EmptyLabel),
            1..=LABEL_BYTES_MAX => {}
            length => return Err(Problem::LabelTooLong(length)),
        }
    }
    let name = name.to_ascii_lowercase();
    if is_number(name.rsplit('.').next().unwrap_or_default()) {
        let is_like_v4 = name
            .bytes()
            .all(|found| found.is_ascii_digit() || found == b'.');
        return Err(if is_like_v4 && name.split('.').count() == 4 {
            Problem::NotIpv4
        } else {
            Problem::Number
        });
    }
    Ok(HostName::Name(name))
}

/// Whether `inet_aton` or the URL standard would read this last part as one of an address.
fn is_number(label: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|found| found.is_ascii_digit());
    let hex = |text: &str| text.bytes().all(|found| found.is_ascii_hexdigit());
    digits(label) || label.strip_prefix("0x").is_some_and(hex)
}

#[cfg(test)]
mod tests;
