//! CGI/1.1 (RFC 3875) as a program sees it, from a real request on a real socket.

use http::Request;
use insta::{allow_duplicates, assert_snapshot};
use midge_testkit::Midge;
use midge_testkit::http::{get, send};

use crate::kit::Site;

/// The same program in each of the three command contracts.
const COMMANDS: [(&str, &str); 3] = [
    ("command01-echo.wasm", "WASI preview 1"),
    ("command02-echo.wasm", "WASI 0.2"),
    ("command03-echo.wasm", "WASI 0.3"),
];

fn start(guest: &str) -> Midge {
    let site = Site::of(&[("cgi", guest, r#"routes = ["/scripts/cgi/*"]"#)]);
    site.server().start()
}

/// The variables that a request leads to, without what differs between two runs.
async fn variables(midge: &Midge, request: Request<&'static str>) -> String {
    let answer = send(midge.addr(), request.map(Into::into)).await.unwrap();
    assert_eq!(answer.status, 200);
    let port = midge.addr().port().to_string();
    let lines = answer.text();
    let lines = lines.lines().map(|line| match line.split_once('=') {
        Some((name @ ("REMOTE_PORT" | "HTTP_X_REQUEST_ID"), value)) => {
            assert!(!value.is_empty(), "{name}");
            format!("{name}=…\n")
        }
        _ => format!("{}\n", line.replace(&port, "PORT")),
    });
    lines.collect()
}

#[tokio::test]
async fn a_command_gets_every_variable_in_every_contract() {
    for (guest, contract) in COMMANDS {
        let midge = start(guest);
        let request = Request::post("/scripts/cgi/a%20b/c?vars")
            .header("content-type", "text/plain")
            .header("accept", "*/*")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body("hello");
        let text = variables(&midge, request.unwrap()).await;
        allow_duplicates! { assert_snapshot!(text, contract, @r"
        CONTENT_LENGTH=5
        CONTENT_TYPE=text/plain
        GATEWAY_INTERFACE=CGI/1.1
        HTTP_ACCEPT=*/*
        HTTP_COOKIE=a=1; b=2
        HTTP_HOST=127.0.0.1:PORT
        HTTP_X_FORWARDED_FOR=127.0.0.1
        HTTP_X_FORWARDED_HOST=127.0.0.1:PORT
        HTTP_X_FORWARDED_PROTO=http
        HTTP_X_REQUEST_ID=…
        PATH_INFO=/a b/c
        QUERY_STRING=vars
        REMOTE_ADDR=127.0.0.1
        REMOTE_HOST=127.0.0.1
        REMOTE_PORT=…
        REQUEST_METHOD=POST
        REQUEST_URI=/scripts/cgi/a%20b/c?vars
        SCRIPT_NAME=/scripts/cgi
        SERVER_NAME=127.0.0.1
        SERVER_PORT=PORT
        SERVER_PROTOCOL=HTTP/1.1
        SERVER_SOFTWARE=midge/0.1.0
        ") };
    }
}

#[tokio::test]
async fn no_header_becomes_the_proxy_of_a_command() {
    for (guest, contract) in COMMANDS {
        let midge = start(guest);
        let request = Request::get("/scripts/cgi?vars")
            .header("proxy", "http://evil.example")
            .header("x_forwarded_for", "10.0.0.1")
            .header("http_proxy", "http://evil.example")
            .body("");
        let text = variables(&midge, request.unwrap()).await;
        assert!(!text.contains("evil.example"), "{contract}: {text}");
        assert!(!text.contains("10.0.0.1"), "{contract}: {text}");
    }
}

#[tokio::test]
async fn a_commands_header_block_sets_status_and_headers() {
    let midge = midge_testkit::MidgeBuilder::run(crate::kit::BINARY, &midge_testkit::examples());
    let midge = midge.start();
    let answer = get(midge.addr(), "/command-p1/?name=").await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), "text/plain");
    assert_eq!(answer.header("status"), "");
    assert_eq!(answer.text(), "`name` is empty\n");
}

#[tokio::test]
async fn an_exit_code_before_any_output_is_a_502() {
    let site = Site::of(&[(
        "exit",
        "command01-exit.wasm",
        "limits = { time = \"300ms\" }",
    )]);
    let midge = site.server().start();
    for (query, status) in [
        ("code=3", 502),
        ("how=trap", 502),
        ("code=0&out=before", 200),
        ("how=busy", 504),
        ("how=never", 504),
    ] {
        let answer = get(midge.addr(), &format!("/exit/?{query}")).await.unwrap();
        assert_eq!(answer.status, status, "{query}");
    }
}

#[tokio::test]
async fn an_exit_code_after_output_is_never_a_whole_body() {
    let site = Site::of(&[(
        "exit",
        "command01-exit.wasm",
        "limits = { time = \"300ms\" }",
    )]);
    let midge = site.server().start();
    for query in ["code=3", "how=trap", "how=busy", "how=never"] {
        let path = format!("/exit/?out=before&{query}");
        let answer = get(midge.addr(), &path).await.unwrap();
        assert!(
            answer.status.is_server_error() || answer.body.is_err(),
            "{query}: {answer:?}"
        );
    }
}

/// Prints its command line, a zero byte behind each word.
const ARGUMENTS: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "content-type: text/plain\n\n")
    (func (export "_start")
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $get (i32.const 256) (i32.const 4096)))
        (i32.store (i32.const 64) (i32.const 16))
        (i32.store (i32.const 68) (i32.const 26))
        (i32.store (i32.const 72) (i32.const 4096))
        (i32.store (i32.const 76) (i32.load (i32.const 4)))
        ;; What one call writes may be the first of its buffers only.
        (drop (call $write (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 80)))
        (drop (call $write (i32.const 1) (i32.const 72) (i32.const 1) (i32.const 80)))))"#;

#[tokio::test]
async fn the_command_line_is_the_manifests() {
    let site = Site::written(
        "[function.tool]\ncomponent = \"tool.wat\"\nargs = [\"-v\", \"a b\", \"größer\"]\n",
    );
    std::fs::write(site.path().join("tool.wat"), ARGUMENTS).unwrap();
    let cases: [(&[&str], &str); 2] = [
        (&[], "tool\0-v\0a b\0größer\0"),
        (&["--arg", "-q", "--arg", ""], "tool\0-q\0\0"),
    ];
    for (flags, told) in cases {
        let midge = site.server().args(flags.iter().copied()).start();
        // RFC 3875 (4.4) has words of such a query on the command line.
        let answer = get(midge.addr(), "/tool/?--help+x").await.unwrap();
        assert_eq!(answer.text(), told);
    }
}
