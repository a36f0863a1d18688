//! From what a client sent to what a function sees.
//!
//! Refuses what no function should have to judge (no or two hosts, tunnels, other protocols), gives
//! the request its id, and writes down what is known of the caller. Malformed messages never get here:
//! hyper answers them. Which function is meant is the dispatcher's to find.
//!
//! **Invariant:** a request that passes has one `host` field, equal to the authority of its target.

use std::net::SocketAddr;
use std::rc::Rc;

use http::header::{ACCEPT, CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use midge_model::{Outcome, Refusal, RequestId};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::door::Door;
use crate::headers::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID, strip_claims,
    strip_hop_by_hop, tokens,
};
use crate::host::host;
use crate::pulse::Pulse;
use crate::render::Problem;

/// How many fields a request gets here at most. A map that grows makes all of itself anew.
const FIELDS_OF_OURS: usize = 5;

/// What is the same for all requests of a connection.
pub(crate) struct Line {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) https: bool,
    pub(crate) pulse: Rc<Pulse>,
    pub(crate) door: Rc<Door>,
    forwarded_for: HeaderValue,
    forwarded_proto: HeaderValue,
}

impl Line {
    pub(crate) fn new(
        peer: SocketAddr,
        local: SocketAddr,
        https: bool,
        pulse: Rc<Pulse>,
        door: Rc<Door>,
    ) -> Self {
        // A v4 client of a v6 socket is still a v4 client to the function.
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (peer, local) = (canonical(peer), canonical(local));
        let forwarded_for = HeaderValue::try_from(peer.ip().to_string())
            .expect("an address has only visible ASCII");
        let forwarded_proto = HeaderValue::from_static(if https { "https" } else { "http" });
        Self {
            peer,
            local,
            https,
            pulse,
            door,
            forwarded_for,
            forwarded_proto,
        }
    }
}

/// How the client wants to be answered, kept from its request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: RequestId,
    /// The same as a field has it.
    pub(crate) id_value: HeaderValue,
    /// No body may follow, however long the guest's is.
    pub(crate) head_only: bool,
    /// Prefers an error it can parse.
    pub(crate) json: bool,
    pub(crate) version: Version,
}

impl Asked {
    pub(crate) fn read(parts: &Parts) -> Self {
        let id = request_id(&parts.headers);
        Self {
            id_value: HeaderValue::from_str(id.as_str())
                .expect("a request id has only visible ASCII"),
            id,
            head_only: parts.method == Method::HEAD,
            json: prefers_json(&parts.headers),
            version: parts.version,
        }
    }
}

/// Makes a request fit for a function.
///
/// # Errors
///
/// What to tell the client instead.
pub(crate) fn prepare(parts: &mut Parts, line: &Line, id: &HeaderValue) -> Result<(), Problem> {
    // hyper counts HTTP/1 fields; for HTTP/2 it only bounds their bytes.
    let fields_max = usize::try_from(line.door.config.header_count_max).unwrap_or(usize::MAX);
    if parts.headers.len() > fields_max {
        return Err(Problem::HEAD_TOO_LARGE);
    }
    if parts.method == Method::CONNECT {
        return Err(refused(Refusal::MethodNotAllowed {
            allow: ordinary_methods(),
        }));
    }
    if wants_other_protocol(&parts.headers) {
        return Err(bad("an upgrade to another protocol is not possible here"));
    }
    if !parts.uri.path().starts_with('/') {
        // `OPTIONS *` asks about the server as a whole, which is no function.
        return Err(refused(Refusal::NoRoute));
    }
    let host = host(parts).map_err(bad)?;

    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    strip_claims(headers);
    headers.reserve(FIELDS_OF_OURS);
    headers.insert(X_FORWARDED_FOR, line.forwarded_for.clone());
    headers.insert(X_FORWARDED_PROTO, line.forwarded_proto.clone());
    if let Some(host) = host {
        headers.insert(HOST, host.clone());
        headers.insert(X_FORWARDED_HOST, host);
    } else {
        // HTTP/1.0 need not name a host, and WASI knows no request without one.
        let ours = HeaderValue::try_from(line.local.to_string());
        headers.insert(HOST, ours.expect("an address has only visible ASCII"));
    }
    headers.insert(X_REQUEST_ID, id.clone());
    Ok(())
}

fn refused(refusal: Refusal) -> Problem {
    Problem::of(&Outcome::Refused(refusal))
}

fn bad(reason: &str) -> Problem {
    refused(Refusal::BadRequest {
        reason: reason.to_owned(),
    })
}

fn ordinary_methods() -> Vec<Method> {
    vec![
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
    ]
}

/// The caller's id for the request if it is one we can pass on, else a new one that sorts by time.
fn request_id(headers: &HeaderMap) -> RequestId {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    let only = given.next().filter(|_| given.next().is_none());
    only.and_then(|value| value.to_str().ok())
        .and_then(RequestId::keep)
        .unwrap_or_else(|| {
            let mut text = [0; Hyphenated::LENGTH];
            let id = Uuid::now_v7().hyphenated().encode_lower(&mut text);
            RequestId::keep(id).expect("a UUID has only letters, digits and hyphens")
        })
}

/// `h2c` may be ignored and the request answered as it stands (RFC 9110, 7.8); whoever asks for
/// WebSocket would not know what to do with such an answer.
fn wants_other_protocol(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
        && tokens(headers, &UPGRADE).any(|token| !token.eq_ignore_ascii_case("h2c"))
}

/// Whether JSON is asked for by name and nothing textual is liked better. `*/*` alone is what
/// command-line clients send, and people read those.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let (mut json, mut text) = (0.0_f32, 0.0_f32);
    for range in tokens(headers, &ACCEPT) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        if kind.eq_ignore_ascii_case("application/json") {
            json = json.max(weight);
        } else if kind.eq_ignore_ascii_case("text/plain") || kind.eq_ignore_ascii_case("text/html")
        {
            text = text.max(weight);
        }
    }
    json > 0.0 && json >= text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::{Request, StatusCode};

    use super::*;
    use crate::config::IngressConfig;

    fn line() -> Line {
        let door = Rc::new(Door::new(Rc::new(IngressConfig::roomy())));
        let peer = "[::ffff:192.0.2.7]:5000".parse().unwrap();
        let local = "192.0.2.1:443".parse().unwrap();
        Line::new(peer, local, true, Rc::new(Pulse::new()), door)
    }

    fn parts(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The status it is refused with, or the fields the function gets.
    fn check(mut parts: Parts) -> Result<Vec<String>, StatusCode> {
        let id = HeaderValue::from_static("id");
        prepare(&mut parts, &line(), &id).map_err(|problem| problem.status)?;
        let fields = parts.headers.iter();
        let mut fields: Vec<_> = fields
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        Ok(fields)
    }

    fn host_of(parts: Parts) -> Result<Option<String>, StatusCode> {
        let fields = check(parts)?;
        Ok(fields
            .iter()
            .find_map(|field| field.strip_prefix("host: ").map(str::to_owned)))
    }

    #[test]
    fn a_function_sees_the_caller_as_we_saw_it() {
        let fields = check(parts(
            "GET",
            "/",
            &[
                ("host", "shop.example.net"),
                ("x-forwarded-for", "10.9.9.9"),
                ("x-forwarded-host", "evil.example"),
                ("forwarded", "for=10.9.9.9"),
                ("x-request-id", "not what was decided"),
            ],
        ));
        assert_eq!(
            fields.unwrap(),
            [
                "host: shop.example.net",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: shop.example.net",
                "x-forwarded-proto: https",
                "x-request-id: id",
            ]
        );
    }

    #[test]
    fn tunnels_and_other_protocols_are_refused_and_h2c_ignored() {
        let upgrade = |to: &str| {
            host_of(parts(
                "GET",
                "/",
                &[("host", "a"), ("connection", "Upgrade"), ("upgrade", to)],
            ))
        };
        assert_eq!(upgrade("websocket"), Err(StatusCode::BAD_REQUEST));
        assert_eq!(upgrade("h2c"), Ok(Some("a".to_owned())));
        let connect = parts("CONNECT", "a.example:443", &[("host", "a.example:443")]);
        assert_eq!(host_of(connect), Err(StatusCode::METHOD_NOT_ALLOWED));
        assert_eq!(
            host_of(parts("OPTIONS", "*", &[("host", "a")])),
            Err(StatusCode::NOT_FOUND)
        );
    }

    #[test]
    fn too_many_fields_are_refused() {
        let mut asked = parts("GET", "/", &[("host", "a")]);
        for number in 0..100 {
            asked.headers.append("x", HeaderValue::from(number));
        }
        assert_eq!(
            host_of(asked),
            Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        );
    }

    #[test]
    fn an_id_is_kept_if_it_can_be_and_else_made() {
        let id = |fields: &[(&str, &str)]| Asked::read(&parts("GET", "/", fields)).id.to_string();
        assert_eq!(id(&[("x-request-id", "abc-1")]), "abc-1");
        for given in [
            &[][..],
            &[("x-request-id", "a b")],
            &[("x-request-id", "a"), ("x-request-id", "b")],
        ] {
            let made = id(given);
            assert_eq!(Uuid::parse_str(&made).unwrap().get_version_num(), 7);
            assert_ne!(made, id(given));
        }
    }

    #[test]
    fn ids_that_are_made_differ_and_sort_by_time() {
        let made = || Asked::read(&parts("GET", "/", &[])).id.to_string();
        let ids: Vec<_> = (0..10_000).map(|_| made()).collect();
        assert!(ids.is_sorted_by(|before, after| before < after));
        // What follows the time and the count is nobody's to guess.
        let random: HashSet<_> = ids.iter().map(|id| &id[24..]).collect();
        assert_eq!(random.len(), ids.len());
    }

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        let json = |accept: &str| Asked::read(&parts("GET", "/", &[("accept", accept)])).json;
        assert!(json("application/json"));
        assert!(json("text/plain;q=0.5, application/json;q=0.9"));
        assert!(json("application/json, */*;q=0.1"));
        assert!(!json("*/*"));
        assert!(!json("text/html, application/json;q=0.9"));
        assert!(!json("application/json;q=0"));
        assert!(!json("application/json;q=nonsense"));
    }
}
