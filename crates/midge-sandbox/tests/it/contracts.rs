//! Every guest contract answers, and its streams run both ways.

use bytes::Bytes;
use http::{Method, Request};
use midge_sandbox::RequestBody;

use crate::kit::{Guest, invoke, next_frame};

/// Larger than every buffer on the way, and nothing that repeats with a buffer's size.
fn large_body() -> Bytes {
    (0..3_000_000_u32)
        .map(|n| (n % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

fn echoes(fixture: &str) {
    let body = large_body();
    let reply = Guest::of(fixture)
        .post("/some/path?q=1", body.clone())
        .unwrap();
    assert_eq!(reply.status, 200);
    assert!(
        *reply.body.as_ref().unwrap() == body,
        "the body comes back byte for byte"
    );
}

#[test]
fn http_02_echoes_a_large_body() {
    echoes("http02-echo.wasm");
}

#[test]
fn http_03_echoes_a_large_body() {
    echoes("http03-echo.wasm");
}

#[test]
fn command_01_echoes_a_large_body() {
    echoes("command01-echo.wasm");
}

#[test]
fn command_02_echoes_a_large_body() {
    echoes("command02-echo.wasm");
}

#[test]
fn command_03_echoes_a_large_body() {
    echoes("command03-echo.wasm");
}

#[test]
fn a_core_module_with_a_component_type_becomes_a_component() {
    let reply = Guest::of("adapted-reactor.wasm").get("/").unwrap();
    assert_eq!(reply.status, 200);
}

#[test]
fn a_text_component_runs() {
    let reply = Guest::of("http02-tiny.wasm").get("/").unwrap();
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "hi"));
}

#[test]
fn http_02_sees_method_path_and_query() {
    let reply = Guest::of("http02-echo.wasm").post("/a/b?c=d", "x").unwrap();
    assert_eq!(reply.header("x-echo-method"), "POST");
    assert_eq!(reply.header("x-echo-path"), "/a/b");
    assert_eq!(reply.header("x-echo-query"), "c=d");
}

#[test]
fn a_command_sees_its_request_as_cgi_variables() {
    for fixture in [
        "command01-echo.wasm",
        "command02-echo.wasm",
        "command03-echo.wasm",
    ] {
        let request = Request::get("/a%20b?vars")
            .header("x-custom", "yes")
            .header("proxy", "http://evil.test")
            .body(RequestBody::empty())
            .unwrap();
        let text = Guest::of(fixture).send(request).unwrap().text();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        for expected in [
            "GATEWAY_INTERFACE=CGI/1.1",
            "HTTP_X_CUSTOM=yes",
            "PATH_INFO=/a b",
            "QUERY_STRING=vars",
            "REMOTE_ADDR=192.0.2.7",
            "REQUEST_METHOD=GET",
            "SERVER_NAME=guest.test",
            "SERVER_PORT=8080",
            "SERVER_PROTOCOL=HTTP/1.1",
        ] {
            assert!(
                lines.contains(&expected),
                "{fixture} lacks `{expected}` among {lines:#?}"
            );
        }
        assert!(!text.contains("HTTP_PROXY"), "httpoxy: {fixture}");
    }
}

#[test]
fn a_command_without_a_header_block_is_plain_text() {
    let reply = Guest::of("command01-plain.wasm").get("/").unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
}

#[test]
fn a_command_streams_its_output_while_it_runs() {
    Guest::of("command01-slow.wasm").run(async |function| {
        let request = Request::get("/").body(RequestBody::empty()).unwrap();
        let answer = invoke(&function, request).await.unwrap();
        let mut body = answer.response.into_body();
        // The head is here before the guest has ended: the first frame comes alone.
        let first = next_frame(&mut body)
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        let second = next_frame(&mut body)
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert!(!first.is_empty() && !second.is_empty());
    });
}

#[test]
fn head_runs_the_guest_and_sends_no_body() {
    for fixture in [
        "http02-echo.wasm",
        "http03-echo.wasm",
        "command01-plain.wasm",
    ] {
        let request = Request::builder()
            .method(Method::HEAD)
            .uri("/")
            .body(RequestBody::empty());
        let reply = Guest::of(fixture).send(request.unwrap()).unwrap();
        assert_eq!(reply.status, 200, "{fixture}");
        assert!(reply.body.unwrap().is_empty(), "{fixture}");
    }
}
