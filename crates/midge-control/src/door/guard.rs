//! Requests that a web page makes somebody's browser send.
//!
//! Decides two things. A door that trusts whoever reaches it from this machine is asked by its own
//! name only: a page whose name was made to lead here (DNS rebinding) still sends that name as the
//! host. And no page of another site asks anything, whichever door and whatever token: a browser
//! says where a request comes from, in `origin` or `sec-fetch-site`.
//!
//! And one request names one host: of two, a proxy in front of this door might have taken the other.
//!
//! **Invariant:** who sends neither field, which is every client but a browser, is judged by the
//! host alone.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use midge_api::ErrorCode;

use super::answer::Refused;
use crate::{Auth, ControlError};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// From a page of this very door, or from no page: somebody typed the address.
const OWN_SITES: [&[u8]; 2] = [b"same-origin", b"none"];

/// Which names a door answers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    /// Beside this machine's own names; nothing where any name will do.
    listens_on: Option<IpAddr>,
}

impl Guard {
    /// The guard of a door at this address.
    pub(super) fn new(auth: Auth, listens_on: SocketAddr) -> Self {
        let ip = listens_on.ip();
        let own_names_only = auth == Auth::None || ip.to_canonical().is_loopback();
        Self {
            listens_on: own_names_only.then_some(ip),
        }
    }

    /// Lets a request in, or says why not.
    pub(super) fn check(self, head: &Parts) -> Result<(), Refused> {
        if head.headers.get_all(header::HOST).iter().count() > 1 {
            return Err(Refused::malformed("`host` is there twice"));
        }
        let hosts = hosts(head);
        if let Some(own) = self.listens_on
            && (hosts.is_empty() || !hosts.iter().all(|host| is_own(host, own)))
        {
            let detail = "this door is asked by the name of this machine only";
            let error = ControlError::new(ErrorCode::Misdirected, detail)
                .with_hint("write its address with `127.0.0.1`, `[::1]` or `localhost`");
            return Err(error.into());
        }
        if is_foreign(&head.headers, &hosts) {
            let detail = "no page of another site may ask this door";
            return Err(Refused::new(ErrorCode::ForeignOrigin, detail));
        }
        Ok(())
    }
}

/// Every host that the request names; one that is no text is the empty one, which is nobody's.
fn hosts(head: &Parts) -> Vec<&str> {
    let fields = head.headers.get_all(header::HOST).iter();
    let fields = fields.map(|host| host.to_str().unwrap_or_default());
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    target.into_iter().chain(fields).collect()
}

/// Any port: whoever forwards one here, as `ssh -L` does, has another.
fn is_own(host: &str, listens_on: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let is_ours = |ip: IpAddr| ip.to_canonical().is_loopback() || ip == listens_on;
    // Only version 6 stands in brackets, and never without.
    match bare {
        Some(bare) => bare.parse().is_ok_and(|ip| is_ours(IpAddr::V6(ip))),
        None => name.parse().is_ok_and(|ip| is_ours(IpAddr::V4(ip))),
    }
}

fn is_foreign(headers: &HeaderMap, hosts: &[&str]) -> bool {
    let is_own_origin = |origin: &str| {
        // `null`, which a sandboxed page sends, is nobody's.
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|authority| {
            hosts
                .iter()
                .any(|host| host.eq_ignore_ascii_case(authority))
        })
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    origins.any(|origin| !origin.to_str().is_ok_and(is_own_origin))
        || sites.any(|site| !OWN_SITES.contains(&site.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(auth: Auth, listens_on: &str, target: &str, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let guard = Guard::new(auth, listens_on.parse().unwrap());
        guard
            .check(&head)
            .map_or_else(|refused| refused.code().status(), |()| 200)
    }

    fn host(auth: Auth, listens_on: &str, host: &str) -> u16 {
        check(auth, listens_on, "/v1/whoami", &[("host", host)])
    }

    #[test]
    fn a_loopback_door_has_the_names_of_this_machine() {
        for own in [
            "127.0.0.1",
            "127.0.0.1:8081",
            "127.8.0.1:9",
            "localhost",
            "LocalHost:1",
            "[::1]",
            "[::1]:8081",
            "[::ffff:127.0.0.1]:8081",
        ] {
            assert_eq!(host(Auth::Tokens, "127.0.0.1:8081", own), 200, "{own}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8081",
            "127.0.0.1.evil.example",
            "localhost.",
            "a.localhost:8081",
            "me@127.0.0.1",
            "::1",
            "[127.0.0.1]",
            "0.0.0.0:8081",
            "10.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1,evil.example",
            "2130706433",
        ] {
            assert_eq!(host(Auth::Tokens, "127.0.0.1:8081", other), 421, "{other}");
        }
    }

    #[test]
    fn every_host_that_is_named_counts_and_none_is_none() {
        let check = |target: &str, fields: &[(&str, &str)]| {
            check(Auth::Tokens, "[::1]:8081", target, fields)
        };
        let (own, evil) = (("host", "localhost"), ("host", "evil.example"));
        assert_eq!(check("/", &[]), 421);
        assert_eq!(check("/", &[own, evil]), 400);
        assert_eq!(check("http://evil.example/", &[own]), 421);
        assert_eq!(check("http://localhost/", &[evil]), 421);
        assert_eq!(check("http://localhost/", &[own]), 200);
    }

    #[test]
    fn a_door_that_others_reach_with_tokens_has_any_name() {
        assert_eq!(host(Auth::Tokens, "10.0.0.5:8081", "midge.example"), 200);
        assert_eq!(host(Auth::None, "10.0.0.5:8081", "midge.example"), 421);
        assert_eq!(host(Auth::None, "10.0.0.5:8081", "10.0.0.5:8081"), 200);
    }

    #[test]
    fn pages_of_other_sites_ask_nothing() {
        let check = |field| {
            let host = ("host", "midge.example:8081");
            check(Auth::Tokens, "10.0.0.5:8081", "/", &[host, field])
        };
        assert_eq!(check(("origin", "https://midge.example:8081")), 200);
        assert_eq!(check(("sec-fetch-site", "same-origin")), 200);
        assert_eq!(check(("sec-fetch-site", "none")), 200);
        for foreign in [
            "https://evil.example",
            "http://midge.example",
            "null",
            "",
            "\u{e9}",
        ] {
            assert_eq!(check(("origin", foreign)), 403, "{foreign}");
        }
        for site in ["cross-site", "same-site", "", "anything"] {
            assert_eq!(check(("sec-fetch-site", site)), 403, "{site}");
        }
    }
}
