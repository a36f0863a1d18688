//! One rule of the http trigger: host, method and path, as people write it.
//!
//! `POST /checkout`, `GET /orders/{id}`, `shop.example.net/api/{*rest}`, `/x/*`.
//! Decides what is a route and what its mount is. Which of several routes answers
//! a request is `router.rs`.
//!
//! **Invariant:** a parameter is always a whole segment and a wildcard always the
//! last one, so two routes can be compared segment by segment.

use std::fmt;
use std::str::FromStr;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::method::{self, MethodError};

/// The longest route in bytes. It bounds the depth of the routing table too.
pub const ROUTE_BYTES_MAX: usize = 1024;

/// Which requests a function answers.
///
/// `/x/*` and `/x/{*rest}` mean the same: `/x`, `/x/` and everything below, never `/xy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Route {
    /// In lower case; `None` answers for every host.
    host: Option<String>,
    /// `None` answers to every method.
    method: Option<Method>,
    /// As written.
    path: String,
}

/// Part of a route's path between two slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// Exactly this text.
    Literal(&'a str),
    /// Any one segment that is not empty.
    Parameter,
    /// Everything from here on, or nothing.
    Rest,
}

/// Why a text is not a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route `{}` {problem}", .text.escape_debug())]
pub struct RouteError {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is longer than {ROUTE_BYTES_MAX} bytes")]
    TooLong,
    #[error("has no path, write for example `GET /orders/{{id}}` or `/*`")]
    NoPath,
    #[error("has too many words, write a method, one space and a path")]
    TooManyWords,
    #[error(transparent)]
    Method(#[from] MethodError),
    #[error("has the port `:{0}` after the host, leave it out: a route answers on every port")]
    Port(String),
    #[error("names a scheme, leave `{0}://` out: a route answers over http and https")]
    Scheme(String),
    #[error("has {0:?} in the host at position {1}, a host is letters, digits, `-` and `.`")]
    BadHost(char, usize),
    #[error("has the host `{0}` without a dot, write `/{0}{1}` if it is part of the path")]
    SingleLabelHost(String, String),
    #[error("has an empty or hyphen-ended label in the host, write for example `shop.example.net`")]
    BadHostLabel,
    #[error("has {0:?} at position {1}, {2}")]
    BadCharacter(char, usize, &'static str),
    #[error("has a `{0}` segment at position {1}, write the path that is meant")]
    DotSegment(&'static str, usize),
    #[error("has a bad parameter at position {0}, write a whole segment such as `{{id}}`")]
    BadParameter(usize),
    #[error("has the parameter `{{{0}}}` twice, give each a name of its own")]
    RepeatedParameter(String),
    #[error(
        "has a wildcard at position {0} that is not the whole last segment, write for example `/files/*`"
    )]
    BadWildcard(usize),
}

impl Route {
    /// The route of a function that names none: `/<name>/*`.
    pub fn default_of(function: &crate::FunctionName) -> Self {
        Self {
            host: None,
            method: None,
            path: format!("/{function}/*"),
        }
    }

    /// The host it is limited to, in lower case.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The method it is limited to.
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The path as written.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The literal part before the first parameter or wildcard, without a trailing slash.
    ///
    /// CGI's `SCRIPT_NAME`, still percent-encoded: `/x` for `/x/*`, empty for `/` and `/*`.
    pub fn mount(&self) -> &str {
        let literal_bytes: usize = self
            .segments()
            .map_while(|segment| match segment {
                Segment::Literal(text) => Some("/".len() + text.len()),
                Segment::Parameter | Segment::Rest => None,
            })
            .sum();
        self.path[..literal_bytes].trim_end_matches('/')
    }

    /// What it matches, in one spelling: the method or `*`, a space, the host and the path with
    /// `{}` for parameters and `*` for a wildcard, such as `GET /orders/{}`.
    ///
    /// Two routes match the same requests exactly when their shapes are equal, so a shape is a
    /// key to claim a route by.
    pub fn shape(&self) -> String {
        let method = self.method.as_ref().map_or("*", Method::as_str);
        let mut shape = format!("{method} {}", self.host.as_deref().unwrap_or_default());
        for segment in self.segments() {
            shape.push('/');
            // No literal has a brace or an asterisk, so these stand for themselves only.
            shape.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Parameter => "{}",
                Segment::Rest => "*",
            });
        }
        shape
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        // A path begins with a slash, so what is before the first one is empty.
        self.path.split('/').skip(1).map(|segment| match segment {
            "*" => Segment::Rest,
            _ if segment.starts_with("{*") => Segment::Rest,
            _ if segment.starts_with('{') => Segment::Parameter,
            literal => Segment::Literal(literal),
        })
    }
}

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        parse(text).map_err(|problem| RouteError {
            // The message repeats the route, and a long one helps nobody.
            text: text.chars().take(80).collect(),
            problem,
        })
    }
}

impl TryFrom<String> for Route {
    type Error = RouteError;

    fn try_from(text: String) -> Result<Self, RouteError> {
        text.parse()
    }
}

impl From<Route> for String {
    fn from(route: Route) -> Self {
        route.to_string()
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        write!(
            f,
            "{}{}",
            self.host.as_deref().unwrap_or_default(),
            self.path
        )
    }
}

fn parse(text: &str) -> Result<Route, Problem> {
    if text.len() > ROUTE_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    let (method, address) = match text.trim().split_once(' ') {
        Some((method, address)) => (Some(method::parse(method)?), address.trim_start()),
        None => (None, text.trim()),
    };
    if address.contains(' ') {
        return Err(Problem::TooManyWords);
    }
    let (host, path) = address.split_at(address.find('/').ok_or(Problem::NoPath)?);
    // Positions are counted in the whole text, because that is what the person sees.
    let address_start = text.trim_end().len() - address.len();
    let position = |offset: usize| text[..address_start + offset].chars().count();
    let host = match host {
        "" => None,
        _ if path.starts_with("//") && host.ends_with(':') => {
            return Err(Problem::Scheme(host.trim_end_matches(':').to_owned()));
        }
        // Far more often a forgotten slash than a host, and then it would match nothing.
        _ if !host.contains(['.', ':']) && host != "localhost" => {
            return Err(Problem::SingleLabelHost(host.to_owned(), path.to_owned()));
        }
        host => Some(parse_host(host, position)?),
    };
    let path_start = address.len() - path.len();
    check_path(path, |offset| position(path_start + offset))?;
    Ok(Route {
        host,
        method,
        path: path.to_owned(),
    })
}

fn parse_host(host: &str, position: impl Fn(usize) -> usize) -> Result<String, Problem> {
    if let Some((_, port)) = host.split_once(':') {
        return Err(Problem::Port(port.to_owned()));
    }
    let allowed = |found: char| found.is_ascii_alphanumeric() || found == '-' || found == '.';
    if let Some((offset, found)) = host.char_indices().find(|(_, found)| !allowed(*found)) {
        return Err(Problem::BadHost(found, position(offset)));
    }
    let proper =
        |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    if !host.split('.').all(proper) {
        return Err(Problem::BadHostLabel);
    }
    Ok(host.to_ascii_lowercase())
}

fn check_path(path: &str, position: impl Fn(usize) -> usize) -> Result<(), Problem> {
    for (offset, found) in path.char_indices() {
        let why = match found {
            '?' | '#' => "a route is matched against the path only",
            '\\' | '"' | '<' | '>' | '^' | '`' | '|' => {
                "write it percent-encoded, as clients send it"
            }
            _ if !found.is_ascii_graphic() => "write it percent-encoded, as clients send it",
            _ => continue,
        };
        return Err(Problem::BadCharacter(found, position(offset), why));
    }
    let mut names = Vec::new();
    let mut offset = "/".len();
    for segment in path[offset..].split('/') {
        let is_last = offset + segment.len() == path.len();
        if let Some(name) = check_segment(segment, is_last, position(offset))? {
            if names.contains(&name) {
                return Err(Problem::RepeatedParameter(name.to_owned()));
            }
            names.push(name);
        }
        offset += segment.len() + "/".len();
    }
    Ok(())
}

/// The name of the parameter or wildcard, if the segment is one that has a name.
fn check_segment(segment: &str, is_last: bool, position: usize) -> Result<Option<&str>, Problem> {
    match segment {
        "*" if is_last => return Ok(None),
        "." => return Err(Problem::DotSegment(".", position)),
        ".." => return Err(Problem::DotSegment("..", position)),
        _ => {}
    }
    let Some(inner) = segment
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
    else {
        if segment.contains(['{', '}']) {
            return Err(Problem::BadParameter(position));
        }
        if segment.contains('*') {
            return Err(Problem::BadWildcard(position));
        }
        return Ok(None);
    };
    let name = match inner.strip_prefix('*') {
        Some(_) if !is_last => return Err(Problem::BadWildcard(position)),
        Some(name) => name,
        None => inner,
    };
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !starts_well
        || !name
            .bytes()
            .all(|found| found.is_ascii_alphanumeric() || found == b'_')
    {
        return Err(Problem::BadParameter(position));
    }
    Ok(Some(name))
}

#[cfg(test)]
mod tests;
