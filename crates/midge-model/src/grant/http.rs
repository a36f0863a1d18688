//! HTTP requests that a function may send.
//!
//! Decides how such a grant is written and which requests it matches. How far the
//! address behind the host reaches, and whether the policy lets anybody go there, is
//! asked besides.
//!
//! **Invariant:** `covers` never claims more than `matches` allows.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use http::Method;
use serde::{Deserialize, Serialize};

use super::host::{HostPattern, HostPatternError};
use super::path::{PathPattern, PathPatternError};
use crate::address::{HostName, PortRange, PortRangeError};
use crate::method::{self, MethodError};

/// The longest grant of requests in bytes: as long as a route may be.
pub const HTTP_GRANT_BYTES_MAX: usize = 1024;

/// Requests by method, scheme, host, port and path: `https://api.example.com`,
/// `GET,HEAD https://*.example.com/v1/*`, `POST http://localhost:8000-8100/`, `*://*:*`.
///
/// Without methods: any. Without a port: the scheme's own. Without a path: any, even one
/// that no pattern matches. A path's `*` is one segment, at the end everything below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpGrant {
    /// Empty for any.
    methods: BTreeSet<String>,
    scheme: Scheme,
    host: HostPattern,
    /// `None` for the scheme's own.
    ports: Option<PortRange>,
    /// `None` for any.
    path: Option<PathPattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scheme {
    Any,
    Http,
    Https,
}

/// One request as a function means to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbound<'a> {
    /// The method.
    pub method: &'a Method,
    /// Whether it goes over TLS.
    pub https: bool,
    /// The host of its authority.
    pub host: &'a HostName,
    /// The port of its authority, or the scheme's own.
    pub port: u16,
    /// The path without the query, as it will be sent.
    pub path: &'a str,
}

/// Why a text is not a grant of requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("http grant `{}` {problem}", .text.escape_debug())]
pub struct HttpGrantError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is longer than {HTTP_GRANT_BYTES_MAX} bytes")]
    TooLong,
    #[error("has too many words, write methods with commas, one space and a URL")]
    TooManyWords,
    #[error("has no scheme, write for example `https://{0}`")]
    NoScheme(String),
    #[error("has the scheme `{0}`, write `https`, `http`, or `*` for both")]
    BadScheme(String),
    #[error(
        "has no host, write for example `https://api.example.com`, or `https://*` for every host"
    )]
    NoHost,
    #[error(
        "has something before `@`, leave it out: a grant names a host, and passwords belong into secrets"
    )]
    UserInfo,
    #[error("has an IPv6 address without brackets, write for example `http://[::1]:3000`")]
    NoBrackets,
    #[error(transparent)]
    Method(#[from] MethodError),
    #[error(transparent)]
    Host(#[from] HostPatternError),
    #[error("has a bad port: {0}")]
    Ports(#[from] PortRangeError),
    #[error(transparent)]
    Path(#[from] PathPatternError),
}

impl HttpGrant {
    /// A grant of every request there is.
    pub const ANY: Self = Self {
        methods: BTreeSet::new(),
        scheme: Scheme::Any,
        host: HostPattern::Any,
        ports: Some(PortRange::ALL),
        path: None,
    };

    /// Whether the request is granted.
    pub fn matches(&self, request: &Outbound<'_>) -> bool {
        let scheme = if request.https {
            Scheme::Https
        } else {
            Scheme::Http
        };
        (self.methods.is_empty() || self.methods.contains(request.method.as_str()))
            && self.scheme.covers(scheme)
            && self.ports_of(scheme).contains(request.port)
            && self.host.matches(request.host)
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.matches(request.path))
    }

    /// Whether the grant names this very host, without a wildcard.
    pub fn names_literally(&self, host: &HostName) -> bool {
        self.host.names_literally(host)
    }

    /// Whether a look-up of this host is implied: there is no request without it.
    pub fn implies_look_up(&self, host: &HostName) -> bool {
        self.host.matches(host)
    }

    /// The one host it names; `None` where it has a wildcard.
    pub fn host(&self) -> Option<&HostName> {
        self.host.exact()
    }

    /// Whether it allows all that the other allows.
    pub fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty() && other.methods.is_subset(&self.methods));
        let path = match (&self.path, &other.path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own.covers(other),
        };
        let ports = other
            .scheme
            .each()
            .iter()
            .all(|scheme| self.ports_of(*scheme).covers(&other.ports_of(*scheme)));
        methods
            && path
            && ports
            && self.scheme.covers(other.scheme)
            && self.host.covers(&other.host)
    }

    fn ports_of(&self, scheme: Scheme) -> PortRange {
        self.ports.unwrap_or(PortRange::one(match scheme {
            Scheme::Http => 80,
            Scheme::Https | Scheme::Any => 443,
        }))
    }
}

impl Scheme {
    fn covers(self, other: Self) -> bool {
        self == Self::Any || self == other
    }

    fn each(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Http, Self::Https],
            Self::Http => &[Self::Http],
            Self::Https => &[Self::Https],
        }
    }
}

impl FromStr for HttpGrant {
    type Err = HttpGrantError;

    fn from_str(text: &str) -> Result<Self, HttpGrantError> {
        parse(text).map_err(|problem| {
            // Somebody's password may stand before the `@`.
            let shown = match (&problem, text.rsplit_once('@')) {
                (Problem::UserInfo, Some((_, behind))) => format!("…@{behind}"),
                _ => text.to_owned(),
            };
            HttpGrantError {
                text: shown.chars().take(80).collect(),
                problem,
            }
        })
    }
}

fn parse(text: &str) -> Result<HttpGrant, Problem> {
    if text.len() > HTTP_GRANT_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    let (methods, url) = match text.trim().split_once(' ') {
        Some((methods, url)) => (parse_methods(methods)?, url.trim_start()),
        None => (BTreeSet::new(), text.trim()),
    };
    if url.contains(' ') {
        return Err(Problem::TooManyWords);
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(|| match url {
        "" => Problem::NoScheme("api.example.com".to_owned()),
        url => Problem::NoScheme(url.escape_debug().to_string()),
    })?;
    let scheme = match scheme {
        "*" => Scheme::Any,
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => return Err(Problem::BadScheme(other.escape_debug().to_string())),
    };
    let (authority, path) = match rest.find(['/', '?', '#', '\\']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    let (host, ports) = parse_authority(authority)?;
    let ports = ports.filter(|ports| !is_default(scheme, *ports));
    let path = path.map(PathPattern::parse).transpose()?;
    Ok(HttpGrant {
        methods,
        scheme,
        host,
        ports,
        path,
    })
}

fn parse_methods(text: &str) -> Result<BTreeSet<String>, MethodError> {
    text.split(',')
        .map(|word| Ok(method::parse(word)?.to_string()))
        .collect()
}

fn parse_authority(text: &str) -> Result<(HostPattern, Option<PortRange>), Problem> {
    if text.contains('@') {
        return Err(Problem::UserInfo);
    }
    // The colons of a bracketed address are its own.
    let (host, ports) = match text.rsplit_once(':') {
        Some((host, ports)) if !ports.contains(']') => (host, Some(ports)),
        _ => (text, None),
    };
    if host.is_empty() {
        return Err(Problem::NoHost);
    }
    if host.contains(':') && !host.starts_with('[') {
        return Err(Problem::NoBrackets);
    }
    let ports = ports.map(str::parse).transpose()?;
    Ok((HostPattern::parse(host)?, ports))
}

/// A scheme's own port is left out, so that a grant has one spelling.
fn is_default(scheme: Scheme, ports: PortRange) -> bool {
    match scheme {
        Scheme::Http => ports == PortRange::one(80),
        Scheme::Https => ports == PortRange::one(443),
        Scheme::Any => false,
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.methods.iter().enumerate() {
            let before = if index == 0 { "" } else { "," };
            write!(f, "{before}{method}")?;
        }
        if !self.methods.is_empty() {
            f.write_str(" ")?;
        }
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(ports) = self.ports {
            write!(f, ":{ports}")?;
        }
        if let Some(path) = &self.path {
            write!(f, "{path}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl TryFrom<String> for HttpGrant {
    type Error = HttpGrantError;

    fn try_from(text: String) -> Result<Self, HttpGrantError> {
        text.parse()
    }
}

impl From<HttpGrant> for String {
    fn from(grant: HttpGrant) -> Self {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests;
