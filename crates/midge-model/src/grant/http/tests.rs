//! Grants of requests: how they are read, and what they match.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::grant::arbitrary;
use crate::grant::path::foldable;

fn check(text: &str) -> String {
    match text.parse::<HttpGrant>() {
        Ok(grant) => format!("ok: {grant}"),
        Err(error) => format!("error: {error}"),
    }
}

/// A request such as `GET https://a.test:443/path`, asked of a grant.
fn allows(grant: &str, request: &str) -> bool {
    let grant: HttpGrant = grant.parse().unwrap();
    let (method, url) = request.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let https = scheme == "https";
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap()),
        _ => (authority, if https { 443 } else { 80 }),
    };
    grant.matches(&Outbound {
        method: &method.parse().unwrap(),
        https,
        host: &host.parse().unwrap(),
        port,
        path,
    })
}

fn covers(wide: &str, narrow: &str) -> bool {
    let (wide, narrow): (HttpGrant, HttpGrant) = (wide.parse().unwrap(), narrow.parse().unwrap());
    wide.covers(&narrow)
}

#[test]
fn a_grant_has_one_spelling() {
    assert_snapshot!(check("https://api.example.com"), @"ok: https://api.example.com");
    assert_snapshot!(check("  POST,GET   https://API.Example.com.:443/v1/* "), @"ok: GET,POST https://api.example.com/v1/*");
    assert_snapshot!(check("http://localhost:80/"), @"ok: http://localhost/");
    assert_snapshot!(check("http://localhost:443"), @"ok: http://localhost:443");
    assert_snapshot!(check("*://*:*"), @"ok: *://*:*");
    assert_snapshot!(check("PURGE *://*.example.com:8000-8100/*/x/*"), @"ok: PURGE *://*.example.com:8000-8100/*/x/*");
    assert_snapshot!(check("http://[::1]:3000/"), @"ok: http://[::1]:3000/");
    assert_snapshot!(check("http://[::1]"), @"ok: http://[::1]");
    assert_snapshot!(check("http://10.0.0.1/a%20b"), @"ok: http://10.0.0.1/a%20b");
}

#[test]
fn what_is_no_url_is_shown_one() {
    assert_snapshot!(check(""), @"error: http grant `` has no scheme, write for example `https://api.example.com`");
    assert_snapshot!(check("api.example.com"), @"error: http grant `api.example.com` has no scheme, write for example `https://api.example.com`");
    assert_snapshot!(check("ftp://example.com"), @"error: http grant `ftp://example.com` has the scheme `ftp`, write `https`, `http`, or `*` for both");
    assert_snapshot!(check("HTTPS://example.com"), @"error: http grant `HTTPS://example.com` has the scheme `HTTPS`, write `https`, `http`, or `*` for both");
    assert_snapshot!(check("https://"), @"error: http grant `https://` has no host, write for example `https://api.example.com`, or `https://*` for every host");
    assert_snapshot!(check("https:///path"), @"error: http grant `https:///path` has no host, write for example `https://api.example.com`, or `https://*` for every host");
    assert_snapshot!(check("https://user:secret@example.com/"), @"error: http grant `…@example.com/` has something before `@`, leave it out: a grant names a host, and passwords belong into secrets");
    assert_snapshot!(check("https://example.com:http/"), @"error: http grant `https://example.com:http/` has a bad port: `http` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(check("https://example.com:"), @"error: http grant `https://example.com:` has a bad port: `` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(check("GET POST https://example.com"), @"error: http grant `GET POST https://example.com` has too many words, write methods with commas, one space and a URL");
    assert_snapshot!(check(&format!("https://example.com/{}", "x".repeat(2000))), @"error: http grant `https://example.com/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is longer than 1024 bytes");
}

#[test]
fn methods_are_those_of_routes() {
    assert_snapshot!(check("get https://example.com"), @"error: http grant `get https://example.com` has the method `get`, write it in capital letters: `GET`");
    assert_snapshot!(check("GTE https://example.com"), @"error: http grant `GTE https://example.com` has the unknown method `GTE`, did you mean `GET`?");
    assert_snapshot!(check("GET,,POST https://example.com"), @"error: http grant `GET,,POST https://example.com` has `` where the method stands, write for example `GET`");
    assert_snapshot!(check("GET;POST https://example.com"), @"error: http grant `GET;POST https://example.com` has `GET;POST` where the method stands, write for example `GET`");
    assert_snapshot!(check("* https://example.com"), @"error: http grant `* https://example.com` has `*` where the method stands, write for example `GET`");
}

#[test]
fn a_wildcard_is_a_whole_part() {
    assert_snapshot!(check("https://*example.com"), @"error: http grant `https://*example.com` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check("https://a.*.example.com"), @"error: http grant `https://a.*.example.com` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check("https://*.*"), @"error: http grant `https://*.*` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check("https://*.10.0.0.1"), @"error: http grant `https://*.10.0.0.1` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check("https://example.com/v*"), @"error: http grant `https://example.com/v*` has `*` beside other characters in its path, a `*` stands for a whole part, as in `/v1/*/refunds`");
    assert_snapshot!(check("https://example.com/v*/x"), @"error: http grant `https://example.com/v*/x` has `*` beside other characters in its path, a `*` stands for a whole part, as in `/v1/*/refunds`");
}

#[test]
fn a_host_is_one_that_nobody_misreads() {
    assert_snapshot!(check("http://0xa9fea9fe/"), @"error: http grant `http://0xa9fea9fe/` has a host that ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("http://::1/"), @"error: http grant `http://::1/` has an IPv6 address without brackets, write for example `http://[::1]:3000`");
    assert_snapshot!(check("http://bücher.example/"), @"error: http grant `http://bücher.example/` has a host that has 'ü' at position 1, write the name in punycode, as in `xn--bcher-kva.example`");
}

#[test]
fn a_path_is_one_that_nobody_folds() {
    assert_snapshot!(check("https://example.com/v1/../admin"), @"error: http grant `https://example.com/v1/../admin` has a path with `..`, which servers may read as another path; write the path that is meant");
    assert_snapshot!(check("https://example.com/v1/./x"), @"error: http grant `https://example.com/v1/./x` has a path with `.`, which servers may read as another path; write the path that is meant");
    assert_snapshot!(check("https://example.com//x"), @"error: http grant `https://example.com//x` has a path with `//`, which servers may read as another path; write the path that is meant");
    assert_snapshot!(check("https://example.com/v1/%2E%2e/x"), @"error: http grant `https://example.com/v1/%2E%2e/x` has a path with `%2e`, which servers may read as another path; write the path that is meant");
    assert_snapshot!(check("https://example.com/a%252fb"), @"error: http grant `https://example.com/a%252fb` has a path with `%2f`, which servers may read as another path; write the path that is meant");
    assert_snapshot!(check(r"https://example.com\x"), @r"error: http grant `https://example.com\\x` has a path with `\`, which servers may read as another path; write the path that is meant");
    assert_snapshot!(check("https://example.com/?q=1"), @"error: http grant `https://example.com/?q=1` has a query or fragment, leave `?` and what follows out: only the path is compared");
    assert_snapshot!(check("https://example.com#top"), @"error: http grant `https://example.com#top` has a query or fragment, leave `#` and what follows out: only the path is compared");
    assert_snapshot!(check("https://example.com/grüße"), @"error: http grant `https://example.com/grüße` has 'ü' in its path, write it percent-encoded");
    assert_snapshot!(check("https://example.com/{id}"), @"error: http grant `https://example.com/{id}` has '{' in its path, write it percent-encoded");
}

#[test]
fn a_request_is_granted_by_all_of_its_parts() {
    let grant = "GET,HEAD https://api.example.com/v1/*";
    assert!(allows(grant, "GET https://api.example.com/v1/charges"));
    assert!(allows(grant, "HEAD https://api.example.com:443/v1"));
    assert!(!allows(grant, "POST https://api.example.com/v1/charges"));
    assert!(!allows(grant, "GET http://api.example.com/v1/charges"));
    assert!(!allows(grant, "GET http://api.example.com:443/v1/charges"));
    assert!(!allows(
        grant,
        "GET https://api.example.com:8443/v1/charges"
    ));
    assert!(!allows(grant, "GET https://evil.example.com/v1/charges"));
    assert!(!allows(
        grant,
        "GET https://api.example.com.evil.test/v1/charges"
    ));
    assert!(!allows(grant, "GET https://api.example.com/v2"));
    assert!(!allows(grant, "GET https://api.example.com/v1charges"));
}

#[test]
fn a_scheme_brings_its_own_port() {
    assert!(allows("http://a.test", "GET http://a.test/"));
    assert!(!allows("http://a.test", "GET http://a.test:8080/"));
    assert!(allows("*://a.test", "GET http://a.test/"));
    assert!(allows("*://a.test", "GET https://a.test/"));
    assert!(!allows("*://a.test", "GET http://a.test:443/"));
    assert!(allows("*://a.test:443", "GET http://a.test:443/"));
    assert!(allows("*://a.test:*", "GET https://a.test:1/"));
}

#[test]
fn a_host_wildcard_is_about_names_below() {
    assert!(allows(
        "https://*.example.com",
        "GET https://a.example.com/"
    ));
    assert!(allows(
        "https://*.example.com",
        "GET https://a.b.example.com/"
    ));
    assert!(!allows("https://*.example.com", "GET https://example.com/"));
    assert!(!allows(
        "https://*.example.com",
        "GET https://badexample.com/"
    ));
    assert!(allows("https://*", "GET https://10.0.0.1/"));
    assert!(allows("http://10.0.0.1", "GET http://[::ffff:10.0.0.1]/"));
    assert!(!allows("http://10.0.0.1", "GET http://[64:ff9b::a00:1]/"));
}

#[test]
fn a_path_wildcard_is_one_part_and_at_the_end_all_below() {
    assert!(allows("http://a.test/*/x", "GET http://a.test/v1/x"));
    assert!(!allows("http://a.test/*/x", "GET http://a.test/v1/v2/x"));
    assert!(!allows("http://a.test/*/x", "GET http://a.test/x"));
    assert!(allows("http://a.test/v1/*", "GET http://a.test/v1"));
    assert!(allows("http://a.test/v1/*", "GET http://a.test/v1/"));
    assert!(allows("http://a.test/v1/*", "GET http://a.test/v1/a/b"));
    assert!(!allows("http://a.test/v1/*", "GET http://a.test/V1/a"));
    assert!(allows("http://a.test/", "GET http://a.test/"));
    assert!(!allows("http://a.test/", "GET http://a.test/x"));
    assert!(!allows("http://a.test/v1", "GET http://a.test/v1/"));
    assert!(allows("http://a.test/*", "GET http://a.test/"));
}

#[test]
fn no_pattern_matches_a_path_that_some_server_folds() {
    const FOLDED: [&str; 17] = [
        "/v1/../admin",
        "/v1/..",
        "/v1/./x",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..;/admin",
        "/v1/..;a=b/admin",
        "/v1/.;/admin",
        "/v1//admin",
        "//admin",
        "/v1/..%2fadmin",
        "/v1/a%2Fb",
        "/v1/a%5cb",
        "/v1/a%5Cb",
        r"/v1/..\admin",
        "/v1/%252e%252e/admin",
        "/v1/%25252Fadmin",
    ];
    for path in FOLDED {
        let request = format!("GET http://a.test{path}");
        assert!(!allows("http://a.test/v1/*", &request), "{path}");
        assert!(!allows("http://a.test/*", &request), "{path}");
        assert!(
            allows("http://a.test", &request),
            "without a path anything goes: {path}"
        );
    }
    for path in [
        "/v1/...",
        "/v1/a.b",
        "/v1/a..b",
        "/v1/%20",
        "/v1/100%25",
        "/v1/%",
        "/v1/;x",
        "/v1/~a",
    ] {
        assert!(
            allows("http://a.test/v1/*", &format!("GET http://a.test{path}")),
            "{path}"
        );
    }
}

#[test]
fn the_wider_grant_covers_the_narrower() {
    assert!(covers("*://*:*", "GET http://localhost:3000/x"));
    assert!(covers("https://*", "POST https://api.example.com/v1/*"));
    assert!(covers("https://*.example.com", "https://*.api.example.com"));
    assert!(covers("https://a.test/v1/*", "GET https://a.test/v1"));
    assert!(covers("https://a.test/v1/*", "GET https://a.test/v1/*/x"));
    assert!(covers("https://a.test/*/x", "https://a.test/v1/x"));
    assert!(covers("*://a.test:*", "*://a.test"));
    assert!(!covers("https://*", "http://a.test"));
    assert!(!covers("https://*", "https://a.test:8443"));
    assert!(!covers("GET https://*", "https://a.test"));
    assert!(!covers("https://a.test/*", "https://a.test"));
    assert!(!covers("https://a.test/v1/x", "https://a.test/*/x"));
    assert!(!covers("*://a.test:443", "*://a.test"));
    assert!(!covers("https://*.example.com", "https://example.com"));
}

#[test]
fn only_a_host_without_a_wildcard_is_named() {
    let names = |grant: &str, host: &str| {
        let grant: HttpGrant = grant.parse().unwrap();
        grant.names_literally(&host.parse().unwrap())
    };
    assert!(names("http://10.0.0.1:80/x", "10.0.0.1"));
    assert!(names("http://db.internal", "DB.internal."));
    assert!(!names("http://*.internal", "db.internal"));
    assert!(!names("http://*", "10.0.0.1"));
}

proptest! {
    #[test]
    fn a_grant_survives_its_own_text(grant in arbitrary::http_grant()) {
        prop_assert_eq!(grant.to_string().parse(), Ok(grant.clone()));
        let json = serde_json::to_string(&grant).unwrap();
        prop_assert_eq!(serde_json::from_str::<HttpGrant>(&json).unwrap(), grant);
    }

    #[test]
    fn any_text_that_is_a_grant_survives(text in "([A-Z,]{1,6} )?(http|https|\\*)://[a-z0-9.*\\[\\]:-]{1,8}(:[0-9*-]{1,5})?(/[a-z*%0-9.;]{0,4}){0,3}") {
        if let Ok(grant) = text.parse::<HttpGrant>() {
            prop_assert_eq!(grant.to_string().parse(), Ok(grant));
        }
    }

    /// What a grant covers allows nothing that it does not allow itself.
    #[test]
    fn covering_is_sound(
        wide in arbitrary::http_grant(),
        narrow in arbitrary::http_grant(),
        request in (prop::sample::select(vec![Method::GET, Method::POST]), any::<bool>(), arbitrary::host(), arbitrary::port(), arbitrary::path()),
    ) {
        let (method, https, host, port, path) = request;
        let request = Outbound { method: &method, https, host: &host, port, path: &path };
        if wide.covers(&narrow) && narrow.matches(&request) {
            prop_assert!(wide.matches(&request), "{} covers {} and not {:?}", wide, narrow, request);
        }
        prop_assert!(wide.covers(&wide) && HttpGrant::ANY.covers(&wide));
    }

    /// A slow and obvious reading of what servers fold: nothing of it passes a pattern.
    #[test]
    fn what_passes_is_its_own_normal_form(path in "(/|\\.|%2e|%2F|%25|;|\\\\|a){0,10}") {
        let path = format!("/{path}");
        if foldable(&path).is_none() {
            let mut decoded = path.clone();
            for _ in 0..path.len() {
                decoded = decoded.replace("%25", "%").replace("%2e", ".").replace("%2F", "/");
            }
            prop_assert_eq!(decoded.matches('/').count(), path.matches('/').count());
            let parts = decoded.split('/').map(|part| part.split(';').next().unwrap());
            prop_assert!(parts.into_iter().all(|part| part != "." && part != ".."), "{}", path);
        }
    }

    #[test]
    fn never_panics(text in any::<String>(), near in "[A-Z, ]{0,5}(http|\\*)?:?/{0,2}[a-z.*@:\\[\\]0-9]{0,10}[/%?#*]{0,5}") {
        for text in [text, near] {
            let _grant = text.parse::<HttpGrant>();
            let _foldable = foldable(&text);
        }
    }
}
