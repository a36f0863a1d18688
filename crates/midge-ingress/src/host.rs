//! The one host that a request is for (RFC 9110, 7.2; RFC 9112, 3.2; RFC 9113, 8.3.1).
//!
//! Decides between the target and the `host` field, and refuses what two readers could take for two
//! different hosts: routing by one and trusting the other is how requests are smuggled. Which routes
//! a host has is the model's.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

/// The host; `None` for an HTTP/1.0 client that named none.
///
/// # Errors
///
/// What is wrong with the request, to tell its sender.
pub(crate) fn host(parts: &Parts) -> Result<Option<HeaderValue>, &'static str> {
    let mut given = parts.headers.get_all(HOST).iter();
    let field = given.next();
    if given.next().is_some() {
        return Err("more than one `host` field, send exactly one");
    }
    if let Some(authority) = parts.uri.authority() {
        return host_of_target(authority, field, parts.version).map(Some);
    }
    match field {
        Some(field) if is_host(field.as_bytes()) => Ok(Some(field.clone())),
        Some(_) => Err("the `host` field is not a host name with an optional port"),
        None if parts.version <= Version::HTTP_10 => Ok(None),
        None => Err("no `host` field, send exactly one"),
    }
}

fn host_of_target(
    authority: &Authority,
    field: Option<&HeaderValue>,
    version: Version,
) -> Result<HeaderValue, &'static str> {
    let target = authority.as_str();
    if !is_host(target.as_bytes()) {
        return Err("the target's authority is not a host name with an optional port");
    }
    // HTTP/1 lets an absolute target overrule the field; HTTP/2 calls the contradiction malformed.
    if version == Version::HTTP_2
        && field.is_some_and(|field| !field.as_bytes().eq_ignore_ascii_case(target.as_bytes()))
    {
        return Err("`host` and `:authority` differ, send one of them");
    }
    Ok(HeaderValue::from_str(target).expect("a host has only visible ASCII"))
}

/// A name or an address, and perhaps a port. It keeps out what two readers could take for two
/// different hosts (user names, paths, spaces, control characters) and what a function could not
/// read, so that it is not the function that fails. Percent signs are among that: RFC 3986 has them
/// in names, and the web's libraries refuse them. Matching is left to the routes.
fn is_host(text: &[u8]) -> bool {
    let (is_name, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b']');
            let (address, port) = rest.split_at(end.unwrap_or(0));
            let is_digit = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            let is_address = !address.is_empty() && address.iter().all(is_digit);
            (is_address, port.get(1..).unwrap_or_default())
        }
        None => {
            let end = text.iter().position(|byte| *byte == b':');
            let (name, port) = text.split_at(end.unwrap_or(text.len()));
            let is_plain = |byte: &u8| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
            };
            (!name.is_empty() && name.iter().all(is_plain), port)
        }
    };
    is_name && is_port(port)
}

/// Nothing, or a colon and digits, of which there may be none.
fn is_port(text: &[u8]) -> bool {
    const DIGITS_MAX: usize = 5;
    match text.split_first() {
        None => true,
        Some((b':', digits)) => digits.len() <= DIGITS_MAX && digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn parts(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn host_of(parts: &Parts) -> Result<Option<String>, ()> {
        let found = host(parts).map_err(|_| ())?;
        Ok(found.map(|host| host.to_str().unwrap().to_owned()))
    }

    #[test]
    fn the_host_is_one_and_clear() {
        let bad = Err(());
        let ok = |host: &str| Ok(Some(host.to_owned()));
        assert_eq!(
            host_of(&parts("GET", "/", &[("host", "a.example:81")])),
            ok("a.example:81")
        );
        assert_eq!(
            host_of(&parts("GET", "/", &[("host", "[::1]:81")])),
            ok("[::1]:81")
        );
        assert_eq!(host_of(&parts("GET", "/", &[])), bad);
        assert_eq!(host_of(&parts("GET", "/", &[("host", "")])), bad);
        assert_eq!(
            host_of(&parts("GET", "/", &[("host", "a"), ("host", "a")])),
            bad
        );
        assert_eq!(host_of(&parts("GET", "/", &[("host", "a:")])), ok("a:"));
        let of_no_form = [
            "[::::", "%", "a%41", "::1", "]:[", "a:999999", "a:b", "[]", ":1",
        ];
        let of_two = ["a b", "me@a", "a/b", "a,b", "a#", "[::1]a", "a[::1]"];
        for odd in of_no_form.into_iter().chain(of_two) {
            assert_eq!(host_of(&parts("GET", "/", &[("host", odd)])), bad, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_for_a_host_is_one_to_everybody(text in "[-a0.:\\[\\]%_~@]{0,12}") {
            if is_host(text.as_bytes()) {
                prop_assert!(text.parse::<Authority>().is_ok(), "{text}");
                prop_assert!(!text.contains('@'));
            }
        }
    }

    #[test]
    fn an_absolute_target_overrules_the_field() {
        let asked = parts("GET", "http://b.example/x", &[("host", "a.example")]);
        assert_eq!(host_of(&asked), Ok(Some("b.example".to_owned())));
        let asked = parts("GET", "http://me@b.example/x", &[]);
        assert_eq!(host_of(&asked), Err(()));
    }

    #[test]
    fn in_http2_authority_and_host_agree() {
        let h2 = |host: &str| {
            let mut parts = parts("GET", "https://b.example/x", &[("host", host)]);
            parts.version = Version::HTTP_2;
            host_of(&parts)
        };
        assert_eq!(h2("B.example"), Ok(Some("b.example".to_owned())));
        assert_eq!(h2("a.example"), Err(()));
    }

    #[test]
    fn http10_needs_no_host() {
        let mut asked = parts("GET", "/", &[]);
        asked.version = Version::HTTP_10;
        assert_eq!(host_of(&asked), Ok(None));
    }
}
