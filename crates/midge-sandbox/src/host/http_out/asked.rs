//! What a guest asked for: a request's method, target and path, read strictly.
//!
//! Decides which requests have one reading only; everything after this looks at the
//! parts that were read here and not at text. Whether a grant covers them is the grant's.
//!
//! **Invariant:** host and port that are judged, connected to and named in the request
//! are the same values, and nothing inbound has a part in them.

use std::fmt;

use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use midge_model::{HostName, HttpGrant, Outbound};

use super::pool::Target;

/// The longest method; WebDAV's longest has 17 letters.
const METHOD_BYTES_MAX: usize = 32;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// A request's line, read.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) https: bool,
    pub(super) host: HostName,
    pub(super) port: u16,
    /// Path and query, never empty.
    path_and_query: PathAndQuery,
}

/// Why a request's line is not one that can be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OddRequest {
    /// `CONNECT` and the like.
    #[error("a function cannot open a tunnel")]
    Tunnel,
    /// No method that anybody uses.
    #[error("the method is longer than {METHOD_BYTES_MAX} bytes")]
    Method,
    /// A host or a port that could be read in two ways.
    #[error("{0}")]
    Target(String),
}

impl Asked {
    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// It has no reading, or more than one; it must go nowhere.
    pub(super) fn of(request: &Parts) -> Result<Self, OddRequest> {
        if request.method == Method::CONNECT {
            return Err(OddRequest::Tunnel);
        }
        if request.method.as_str().len() > METHOD_BYTES_MAX {
            return Err(OddRequest::Method);
        }
        let https = request.uri.scheme() != Some(&Scheme::HTTP);
        let authority = request.uri.authority().map_or("", Authority::as_str);
        let (host, port) = host_and_port(authority)?;
        let port = port.unwrap_or(if https { HTTPS_PORT } else { HTTP_PORT });
        Ok(Self {
            method: request.method.clone(),
            https,
            host,
            port,
            path_and_query: path_and_query_of(&request.uri)?,
        })
    }

    /// For grants to judge.
    pub(super) fn outbound(&self) -> Outbound<'_> {
        Outbound {
            method: &self.method,
            https: self.https,
            host: &self.host,
            port: self.port,
            path: self.path(),
        }
    }

    /// The path without its query, which is nobody's but the guest's and the server's.
    pub(super) fn path(&self) -> &str {
        self.path_and_query.path()
    }

    /// The query.
    pub(super) fn query(&self) -> Option<&str> {
        self.path_and_query.query()
    }

    /// Where a connection for it leads; `literal` says how its host was judged.
    pub(super) fn target(&self, literal: bool) -> Target {
        Target {
            https: self.https,
            host: self.host.clone(),
            port: self.port,
            literal,
        }
    }

    /// The request's target in full, from what was read.
    pub(super) fn uri(&self) -> Uri {
        Uri::builder()
            .scheme(if self.https {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            })
            .authority(self.authority())
            .path_and_query(self.path_and_query.clone())
            .build()
            .expect("a host that was read is an authority")
    }

    /// Host and port as the `Host` field has them: the scheme's own port is left out.
    fn authority(&self) -> String {
        match (self.https, self.port) {
            (true, HTTPS_PORT) | (false, HTTP_PORT) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The line of a manifest that would allow it.
    pub(super) fn grant(&self) -> String {
        let exact = self.to_string();
        let grant: Option<HttpGrant> = exact.parse().ok();
        // Some paths can only be allowed by a grant of all paths.
        if grant.is_some_and(|grant| grant.matches(&self.outbound())) {
            format!("http = [\"{exact}\"]")
        } else {
            format!("http = [\"{} {}\"]", self.method, self.origin())
        }
    }

    /// Scheme, host and port, as grants begin.
    fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

/// For messages: without the query, which may hold what does not belong in a log.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.origin(), self.path())
    }
}

fn host_and_port(authority: &str) -> Result<(HostName, Option<u16>), OddRequest> {
    let odd = |reason: String| OddRequest::Target(reason);
    if authority.contains('@') {
        return Err(odd("a name or password stands before the host".to_owned()));
    }
    // Not the last colon: that of an address without brackets would be taken for a port's.
    let port_at = match authority.rfind(']') {
        Some(end) => (end + 1 < authority.len()).then_some(end + 1),
        None => authority.find(':'),
    };
    let (host, port) = authority.split_at(port_at.unwrap_or(authority.len()));
    let port = match port.strip_prefix(':') {
        Some(digits) => Some(port_of(digits)?),
        None if port.is_empty() => None,
        None => {
            return Err(odd(format!(
                "`{}` stands behind the host",
                port.escape_debug()
            )));
        }
    };
    let host = host.parse().map_err(|error| odd(format!("{error}")))?;
    Ok((host, port))
}

/// Digits as they are written by everybody: no sign, no zero in front.
fn port_of(digits: &str) -> Result<u16, OddRequest> {
    let port: Option<u16> = digits.parse().ok();
    port.filter(|port| *port != 0 && port.to_string() == digits)
        .ok_or_else(|| {
            let shown: String = digits.chars().take(20).collect();
            OddRequest::Target(format!("port `{}` is not one", shown.escape_debug()))
        })
}

/// Path and query with the `/` that every request line begins with.
fn path_and_query_of(uri: &Uri) -> Result<PathAndQuery, OddRequest> {
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.starts_with('/') {
        return Ok(uri.path_and_query().expect("just seen").clone());
    }
    format!("/{target}")
        .try_into()
        .map_err(|_| OddRequest::Target("the path is not one".to_owned()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(uri: &str) -> String {
        let Ok(uri) = uri.parse::<Uri>() else {
            return "no URI".to_owned();
        };
        let (parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        match Asked::of(&parts) {
            Ok(asked) => format!("{} {}", asked.uri(), asked.port),
            Err(odd) => format!("odd: {odd}"),
        }
    }

    #[test]
    fn a_request_is_read_into_its_parts() {
        assert_eq!(check("http://a.test"), "http://a.test/ 80");
        assert_eq!(check("https://a.test/x?y=1"), "https://a.test/x?y=1 443");
        assert_eq!(check("https://a.test?y=1"), "https://a.test/?y=1 443");
        assert_eq!(check("http://A.TEST.:8080/"), "http://a.test:8080/ 8080");
        assert_eq!(check("http://a.test:80/"), "http://a.test/ 80");
        assert_eq!(check("https://a.test:80/"), "https://a.test:80/ 80");
        assert_eq!(check("http://[::1]/"), "http://[::1]/ 80");
        assert_eq!(
            check("http://[2001:DB8::1]:81/"),
            "http://[2001:db8::1]:81/ 81"
        );
        assert_eq!(check("http://[::ffff:10.0.0.1]/"), "http://10.0.0.1/ 80");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for odd in [
            "http://me@a.test/",
            "http://a.test@b.test/",
            "http://a.test:/",
            "http://a.test:080/",
            "http://a.test:0/",
            "http://a.test:65536/",
            "http://a.test:8 0/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://169.254.169.254%2f/",
            "http://[::1%25lo]/",
            "http://[::1]x/",
            "http://::1/",
            "http://a..test/",
        ] {
            let read = check(odd);
            assert!(
                read == "no URI" || read.starts_with("odd: "),
                "{odd}: {read}"
            );
        }
    }

    #[test]
    fn tunnels_and_endless_methods_go_nowhere() {
        let method = |method: &str| {
            let request = Request::builder().method(method).uri("http://a.test/");
            Asked::of(&request.body(()).unwrap().into_parts().0).map(|asked| asked.to_string())
        };
        assert_eq!(method("CONNECT"), Err(OddRequest::Tunnel));
        assert_eq!(method(&"X".repeat(33)), Err(OddRequest::Method));
        assert_eq!(method("PROPFIND").unwrap(), "PROPFIND http://a.test/");
    }

    #[test]
    fn a_query_is_in_no_message() {
        let request = Request::get("https://a.test/x?token=secret").body(());
        let asked = Asked::of(&request.unwrap().into_parts().0).unwrap();
        assert_eq!(asked.to_string(), "GET https://a.test/x");
    }
}
