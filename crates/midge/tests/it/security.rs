//! What a hostile client or guest must not be able to do with HTTP itself.

use http::Request;
use midge_testkit::http::{Client, RawConnection, get, send, whole};

use crate::kit::{Site, serve};

/// What the server says to these bytes, until it closes the connection.
fn ask(midge: &midge_testkit::Midge, request: &str) -> String {
    let mut connection = RawConnection::open(midge.addr());
    // The server may have closed before all of it was sent.
    drop(connection.send(request));
    connection.read_to_close()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[test]
fn a_request_with_no_host_or_two_is_refused() {
    let midge = serve("http02-echo.wasm");
    for (head, what) in [
        ("GET / HTTP/1.1\r\n\r\n", "none"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "two"),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "the same twice",
        ),
        ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", "a list"),
        ("GET / HTTP/1.1\r\nhost: me@a\r\n\r\n", "a user"),
        ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", "a path"),
        ("GET / HTTP/1.1\r\nhost:\r\n\r\n", "an empty one"),
    ] {
        let head = head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        assert_eq!(status(&ask(&midge, &head)), "400", "{what}");
    }
}

#[test]
fn routing_by_host_follows_the_target_and_not_the_field() {
    let site = Site::of(&[
        ("shop", "http02-echo.wasm", r#"routes = ["shop.example/*"]"#),
        ("rest", "http02-tiny.wasm", r#"routes = ["/*"]"#),
    ]);
    let midge = site.server().start();
    let get = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        ask(&midge, &request).contains("x-echo-path: /p\r\n")
    };
    assert!(get("/p", "shop.example"));
    assert!(
        get("/p", "SHOP.example:8080"),
        "neither case nor port count"
    );
    assert!(!get("/p", "other.example"));
    assert!(!get("/p", "shop.example.evil"));
    assert!(!get("/p", "evilshop.example"));
    assert!(get("http://shop.example/p", "other.example"));
    assert!(!get("http://other.example/p", "shop.example"));
}

#[tokio::test]
async fn over_http2_host_and_authority_must_agree() {
    let midge = serve("http02-echo.wasm");
    let mut client = Client::http2(midge.addr()).await.unwrap();
    let request = Request::get("http://a.example/").header("host", "b.example");
    let answer = client.send(request.body(whole("")).unwrap()).await.unwrap();
    assert_eq!(answer.status, 400);
}

/// Each of these could be one request to us and two to somebody else, or the other way round.
#[test]
fn a_request_with_two_ends_is_the_connections_last() {
    let midge = serve("http02-echo.wasm");
    let tail = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 0x5\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding : chunked\r\n",
    ] {
        let request = format!("POST /first HTTP/1.1\r\nhost: a\r\n{fields}\r\n0\r\n\r\n{tail}");
        let answer = ask(&midge, &request);
        assert!(!answer.contains("/smuggled"), "{fields:?}: {answer}");
        let one_end_and_no_more = answer.contains("\r\nconnection: close\r\n");
        assert!(
            status(&answer) == "400" || one_end_and_no_more,
            "{fields:?}: {answer}"
        );
    }
}

#[test]
fn a_chunk_that_lies_about_its_size_ends_the_connection() {
    let midge = serve("http02-echo.wasm");
    let tail = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for chunk in [
        "-1\r\nx",
        "5;\nhello",
        "ffffffffffffffff1\r\nx",
        "5\r\nhelloX\r\n",
        "g\r\nx",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}\r\n0\r\n\r\n{tail}"
        );
        let answer = ask(&midge, &request);
        assert!(!answer.contains("/smuggled"), "{chunk:?}: {answer}");
        assert!(!answer.contains("\r\n0\r\n\r\n"), "{chunk:?}: {answer}");
    }
}

/// The echo fixture puts parts of the request into its response's headers.
#[tokio::test]
async fn a_guest_cannot_write_headers_with_line_ends_in_them() {
    let midge = serve("http02-echo.wasm");
    for path in ["/a%0d%0ax-injected:%201", "/?q=%0d%0ax-injected:%201"] {
        let answer = get(midge.addr(), path).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-injected"), "", "{path}");
    }
    let raw = ask(
        &midge,
        "GET /a HTTP/1.1\r\nhost: a\r\ncontent-type: x\u{0}y\r\n\r\n",
    );
    assert!(matches!(status(&raw), "400" | "closed"), "{raw}");
}

#[tokio::test]
async fn a_second_answer_inside_a_commands_output_is_body() {
    let midge = serve("command01-echo.wasm");
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\r\nx-injected: 1\r\n\r\n";
    let answer = midge_testkit::http::post(midge.addr(), "/", second)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), "");
    assert_eq!(answer.header("x-injected"), "");
    assert_eq!(answer.text(), second);
}

/// Paths are matched as they were sent: nothing on the way to a route decodes or folds them.
#[test]
fn tricks_with_paths_do_not_reach_another_functions_route() {
    let site = Site::of(&[
        ("open", "http02-echo.wasm", r#"routes = ["/open/*"]"#),
        ("secret", "http02-tiny.wasm", r#"routes = ["/secret/*"]"#),
    ]);
    let midge = site.server().start();
    let get = |path: &str| {
        ask(
            &midge,
            &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        )
    };
    const SECRET: &str = "\r\n\r\nhi";
    assert!(get("/secret/").contains(SECRET), "the test's own ground");
    for path in [
        "/open/../secret/",
        "/open/..%2fsecret/",
        "/open/%2e%2e/secret/",
        "/open/%2E%2E%2Fsecret/",
        "/open//../secret/",
        "/open/./../secret/",
        "/open/..\\secret/",
        "//secret/",
        "/%73ecret/",
        "/SECRET/",
        "/secret;x/",
        "/secret%2f",
        "/secret%00/",
        "/./secret/",
    ] {
        let answer = get(path);
        assert!(
            !answer.contains(SECRET),
            "{path} reached the secret: {answer}"
        );
        if path.starts_with("/open/") {
            // It is the open function's to judge, and it sees what was sent.
            let target = format!("x-echo-path: {path}\r\n");
            assert!(
                status(&answer) == "400" || answer.contains(&target),
                "{path}: {answer}"
            );
        } else {
            assert!(matches!(status(&answer), "400" | "404"), "{path}: {answer}");
        }
    }
}

#[test]
fn a_tunnel_and_another_protocol_are_refused() {
    let midge = serve("http02-echo.wasm");
    let connect = ask(
        &midge,
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(status(&connect), "405");
    let upgrade = ask(
        &midge,
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",
    );
    assert_eq!(status(&upgrade), "400");
}

#[tokio::test]
async fn fields_that_concern_one_connection_do_not_pass() {
    let midge = serve("http02-echo.wasm");
    let request = Request::get("/?headers")
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic eA==")
        .body("".into());
    let text = send(midge.addr(), request.unwrap()).await.unwrap().text();
    for name in [
        "connection:",
        "x-private:",
        "keep-alive:",
        "proxy-authorization:",
    ] {
        assert!(!text.contains(name), "{name} in {text}");
    }
}

#[tokio::test]
async fn no_invocation_finds_what_another_one_left() {
    let midge = serve("http02-canary.wasm");
    let mut client = Client::http1(midge.addr()).await.unwrap();
    for _ in 0..50 {
        assert_eq!(client.get("/").await.unwrap().text(), "fresh\n");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_a_granted_folder() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "the secret").unwrap();
    let data = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), data.path().join("link")).unwrap();
    let grant = format!("{}:/data:rw", data.path().display());
    let midge = crate::kit::server("http02-env.wasm")
        .args(["--dir", &grant])
        .start();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    for path in [
        "/data/link/secret".to_owned(),
        format!("/data/../{name}/secret"),
        format!("{}/secret", outside.path().display()),
    ] {
        for op in ["read", "remove", "truncate"] {
            let path = format!("/?op={op}&file={path}");
            let answer = get(midge.addr(), &path).await.unwrap().text();
            assert!(answer.starts_with("error: "), "{path}: {answer}");
        }
    }
    let secret = std::fs::read_to_string(outside.path().join("secret")).unwrap();
    assert_eq!(secret, "the secret");
}
