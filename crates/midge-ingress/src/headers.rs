//! Which header fields pass through the door.
//!
//! Fields that concern one connection end here in both directions (RFC 9110, 7.6.1). Fields in which
//! a proxy tells about the caller are ours to write: whatever a client claims in them is removed,
//! or a function that trusts them could be told anything.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Removes what belongs to the connection the message came over.
///
/// `Trailer` stays: it announces fields that we do pass on. So does the fact that the sender takes
/// trailers, which is true of us as well.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    let takes_trailers = headers.contains_key(TE) && takes_trailers(headers);
    remove_where(headers, is_hop_by_hop);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what a client says about itself in a proxy's place.
pub(crate) fn strip_claims(headers: &mut HeaderMap) {
    remove_where(headers, is_claim);
}

/// Whether the sender of these fields takes trailers.
fn takes_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| {
        token
            .split(';')
            .next()
            .is_some_and(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
    })
}

/// The comma-separated items of all fields of that name, without those that are not text.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION)
        .filter(|token| {
            // By far the most frequent values name no field worth a look-up.
            !token.eq_ignore_ascii_case("keep-alive") && !token.eq_ignore_ascii_case("close")
        })
        .filter_map(|token| token.parse().ok())
        .collect()
}

/// One pass that finds nothing is the usual case, and cheaper than a look-up per unwanted name.
fn remove_where(headers: &mut HeaderMap, unwanted: fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name.as_str())).cloned() {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_claim(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    fn check(fields: &[(&str, &str)]) -> String {
        let mut headers = map(fields);
        strip_hop_by_hop(&mut headers);
        strip_claims(&mut headers);
        names(&headers).join(" ")
    }

    #[test]
    fn connection_fields_end_here_and_others_pass() {
        let left = check(&[
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic eA=="),
            ("trailer", "x-sum"),
            ("authorization", "Bearer x"),
        ]);
        assert_eq!(left, "authorization trailer");
    }

    #[test]
    fn a_field_named_in_a_second_connection_line_goes_too() {
        assert_eq!(
            check(&[
                ("connection", "close"),
                ("connection", "a, b"),
                ("a", "1"),
                ("b", "1")
            ]),
            ""
        );
    }

    #[test]
    fn trailers_are_all_that_is_left_of_te() {
        let mut headers = map(&[("te", "gzip;q=0.5, Trailers;q=1")]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers[TE], "trailers");
        assert_eq!(check(&[("te", "gzip")]), "");
    }

    #[test]
    fn what_a_client_claims_to_be_is_removed() {
        let left = check(&[
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "10.0.0.1"),
            ("x-forwarder", "is another name"),
        ]);
        assert_eq!(left, "x-forwarder");
    }
}
