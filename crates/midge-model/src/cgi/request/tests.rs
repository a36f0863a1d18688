//! The variables, one concern at a time.

use std::net::Ipv4Addr;

use http::HeaderValue;
use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn request<'a>(headers: &'a HeaderMap, path: &'a str, script_name: &'a str) -> CgiRequest<'a> {
    CgiRequest {
        method: &Method::GET,
        path,
        query: None,
        headers,
        script_name,
        server_name: "localhost",
        server_port: 8080,
        protocol: "HTTP/1.1",
        remote_addr: IpAddr::V4(Ipv4Addr::LOCALHOST),
        remote_port: 50_000,
        https: false,
        body_bytes: None,
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let parsed = |(name, value): &(&'static str, &'static str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.iter().map(parsed) {
        headers.append(name, value);
    }
    headers
}

fn check(request: &CgiRequest<'_>, prefix: &str) -> String {
    let mut lines: Vec<_> = meta_variables(request)
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, value)| format!("{name}={value}"))
        .map(|line| line.replace(env!("CARGO_PKG_VERSION"), "VERSION"))
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_get_has_every_variable_of_the_rfc() {
    let headers = headers(&[("host", "localhost:8080"), ("accept", "*/*")]);
    let request = CgiRequest {
        query: Some("a=1&b=%20"),
        ..request(&headers, "/x/y", "/x")
    };
    assert_snapshot!(check(&request, ""), @r"
    GATEWAY_INTERFACE=CGI/1.1
    HTTP_ACCEPT=*/*
    HTTP_HOST=localhost:8080
    PATH_INFO=/y
    QUERY_STRING=a=1&b=%20
    REMOTE_ADDR=127.0.0.1
    REMOTE_HOST=127.0.0.1
    REMOTE_PORT=50000
    REQUEST_METHOD=GET
    REQUEST_URI=/x/y?a=1&b=%20
    SCRIPT_NAME=/x
    SERVER_NAME=localhost
    SERVER_PORT=8080
    SERVER_PROTOCOL=HTTP/1.1
    SERVER_SOFTWARE=midge/VERSION
    ");
}

#[test]
fn a_post_announces_its_body_where_the_length_is_known() {
    let headers = headers(&[("content-type", "text/plain"), ("content-length", "5")]);
    let known = CgiRequest {
        body_bytes: Some(5),
        ..request(&headers, "/", "")
    };
    assert_snapshot!(check(&known, "CONTENT_"), @r"
    CONTENT_LENGTH=5
    CONTENT_TYPE=text/plain
    ");
    let chunked = CgiRequest {
        body_bytes: None,
        ..known
    };
    assert_snapshot!(check(&chunked, "CONTENT_"), @"CONTENT_TYPE=text/plain");
}

#[test]
fn a_get_without_a_body_has_no_length() {
    let none = HeaderMap::new();
    let empty = CgiRequest {
        body_bytes: Some(0),
        ..request(&none, "/", "")
    };
    assert_snapshot!(check(&empty, "CONTENT_LENGTH"), @"");
    let announced = headers(&[("content-length", "0")]);
    let empty = CgiRequest {
        body_bytes: Some(0),
        ..request(&announced, "/", "")
    };
    assert_snapshot!(check(&empty, "CONTENT_LENGTH"), @"CONTENT_LENGTH=0");
}

#[test]
fn the_path_is_what_is_below_the_mount_decoded() {
    let none = HeaderMap::new();
    let path_info = |path, mount| check(&request(&none, path, mount), "PATH_INFO");
    assert_snapshot!(path_info("/x", "/x"), @"PATH_INFO=");
    assert_snapshot!(path_info("/x/", "/x"), @"PATH_INFO=/");
    assert_snapshot!(path_info("/", ""), @"PATH_INFO=/");
    assert_snapshot!(path_info("/x/caf%C3%A9%2fa%20b", "/x"), @"PATH_INFO=/café/a b");
    assert_snapshot!(path_info("/x/%00/%zz/%4", "/x"), @"PATH_INFO=/%00/%zz/%4");
    assert_snapshot!(path_info("/xy/z", "/x"), @"PATH_INFO=/xy/z");
    let caf = request(&none, "/caf%C3%A9/1", "/caf%C3%A9");
    assert_snapshot!(check(&caf, "SCRIPT_NAME"), @"SCRIPT_NAME=/café");
}

#[test]
fn no_header_becomes_the_outgoing_proxy() {
    let headers = headers(&[("proxy", "evil:80"), ("proxy-authorization", "x")]);
    assert_snapshot!(check(&request(&headers, "/", ""), "HTTP_P"), @"");
}

#[test]
fn no_two_headers_share_a_variable() {
    let headers = headers(&[("x_real_ip", "forged"), ("x-real-ip", "true")]);
    assert_snapshot!(check(&request(&headers, "/", ""), "HTTP_X"), @"HTTP_X_REAL_IP=true");
}

#[test]
fn repeated_headers_are_joined() {
    let pairs = [
        ("accept", "a"),
        ("accept", "b"),
        ("cookie", "c=1"),
        ("cookie", "d=2"),
    ];
    assert_snapshot!(check(&request(&headers(&pairs), "/", ""), "HTTP_"), @r"
    HTTP_ACCEPT=a, b
    HTTP_COOKIE=c=1; d=2
    HTTP_HOST=localhost:8080
    ");
}

#[test]
fn the_function_checks_authorization_and_sees_no_connection_headers() {
    let pairs = [
        ("authorization", "Basic eDp5"),
        ("connection", "close"),
        ("te", "trailers"),
    ];
    assert_snapshot!(check(&request(&headers(&pairs), "/", ""), "HTTP_"), @r"
    HTTP_AUTHORIZATION=Basic eDp5
    HTTP_HOST=localhost:8080
    ");
}

#[test]
fn https_is_on_or_absent() {
    let none = HeaderMap::new();
    let secure = CgiRequest {
        https: true,
        server_port: 443,
        ..request(&none, "/", "")
    };
    assert_snapshot!(check(&secure, "HTTP"), @r"
    HTTPS=on
    HTTP_HOST=localhost
    ");
}

proptest! {
    #[test]
    fn names_are_unique_and_values_have_no_zero_byte(
        path in "/[a-z%0-9/]{0,20}",
        names in proptest::collection::vec("[a-z_-]{1,8}", 0..8),
        value in proptest::collection::vec(32..=255_u8, 0..8),
    ) {
        let mut headers = HeaderMap::new();
        for name in &names {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = HeaderValue::from_bytes(&value);
            headers.append(name, value.unwrap_or(HeaderValue::from_static("x")));
        }
        let variables = meta_variables(&request(&headers, &path, ""));
        let mut names: Vec<_> = variables.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), variables.len());
        for (name, value) in &variables {
            prop_assert!(name != "HTTP_PROXY");
            prop_assert!(!value.contains('\0'));
        }
    }
}
