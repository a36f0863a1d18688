//! Bodies in both directions: streamed while the guest runs, with trailers, asked for
//! by `Expect`, and left out for HEAD.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::BodyExt as _;
use midge_testkit::http::{Client, RawConnection, chunked, collect, whole};

use crate::kit::{Site, noise, serve, server};

/// The contracts that read and write bodies.
const ECHOES: [&str; 5] = [
    "http02-echo.wasm",
    "http03-echo.wasm",
    "command01-echo.wasm",
    "command02-echo.wasm",
    "command03-echo.wasm",
];

#[tokio::test]
async fn a_body_streams_through_the_guest_while_it_runs() {
    for guest in ECHOES {
        let midge = serve(guest);
        let mut client = Client::http1(midge.addr()).await.unwrap();
        let (mut sender, body) = chunked();
        sender
            .send_data(Bytes::from_static(b"first"))
            .await
            .unwrap();
        let response = client.begin(Request::post("/").body(body).unwrap()).await;
        let mut answer = response.unwrap().into_body();

        // The request has not ended, so whatever arrives was streamed.
        let mut came = Vec::new();
        while came.len() < b"first".len() {
            let frame = answer.frame().await.unwrap().unwrap();
            came.extend_from_slice(frame.data_ref().unwrap());
        }
        assert_eq!(came, b"first", "{guest}");
        sender
            .send_data(Bytes::from_static(b", second"))
            .await
            .unwrap();
        drop(sender);
        let (rest, _) = collect(&mut answer).await;
        assert_eq!(rest.unwrap(), ", second", "{guest}");
    }
}

#[tokio::test]
async fn a_commands_output_is_seen_before_it_ends() {
    let midge = server("command01-slow.wasm")
        .args(["--time", "20m"])
        .start();
    let mut client = Client::http1(midge.addr()).await.unwrap();
    // The end is ten minutes away, far beyond the client's patience.
    let request = Request::get("/?n=1&delay_ms=600000")
        .body(whole(""))
        .unwrap();
    let response = client.begin(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
}

#[tokio::test]
async fn a_large_body_comes_back_byte_for_byte_over_both_protocols() {
    let midge = serve("http02-echo.wasm");
    let sent = Bytes::from(noise(3_000_001));
    let mut clients = [
        Client::http1(midge.addr()).await.unwrap(),
        Client::http2(midge.addr()).await.unwrap(),
    ];
    for client in &mut clients {
        let request = Request::post("/").body(whole(sent.clone())).unwrap();
        let answer = client.send(request).await.unwrap();
        assert!(answer.body.unwrap() == sent, "over {:?}", client.version());
    }
}

#[test]
fn trailers_go_through_over_http1() {
    let midge = serve("http02-echo.wasm");
    let mut connection = RawConnection::open(midge.addr());
    connection
        .send(
            "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-sum\r\n\
             transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n",
        )
        .unwrap();
    let head = connection.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let body = connection.read_until("x-sum: 42\r\n\r\n");
    assert_eq!(body, "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n");
}

#[tokio::test]
async fn trailers_go_through_over_http2() {
    for guest in ["http02-echo.wasm", "http03-echo.wasm"] {
        let midge = serve(guest);
        let mut client = Client::http2(midge.addr()).await.unwrap();
        let (mut sender, body) = chunked();
        let none = HeaderValue::from_static("none");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        let write = async {
            sender
                .send_data(Bytes::from_static(b"hello"))
                .await
                .unwrap();
            sender.send_trailers(trailers).await.unwrap();
            drop(sender);
        };
        let request = Request::post("/")
            .header("te", "trailers")
            .body(body)
            .unwrap();
        let (answer, ()) = tokio::join!(client.send(request), write);
        let answer = answer.unwrap();
        assert_eq!(answer.text(), "hello", "{guest}");
        let trailers = answer.trailers.unwrap_or_default();
        assert_eq!(trailers.get("x-sum").unwrap_or(&none), "42", "{guest}");
    }
}

#[test]
fn head_has_the_headers_and_no_body_and_the_connection_goes_on() {
    let site = Site::of(&[
        ("echo", "http02-echo.wasm", ""),
        ("three", "http03-echo.wasm", ""),
        ("plain", "command01-plain.wasm", ""),
    ]);
    let midge = site.server().start();
    let mut connection = RawConnection::open(midge.addr());
    for path in ["/echo/", "/three/", "/plain/", "/nobody"] {
        connection
            .send(format!("HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .unwrap();
        let head = connection.read_until("\r\n\r\n");
        let status = if path == "/nobody" { 404 } else { 200 };
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {head}"
        );
    }
    // Had one of them had a body, this answer would not come next.
    connection
        .send("GET /plain/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    let last = connection.read_to_close();
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last}");
    assert!(last.contains("second line"), "{last}");
}

/// A request that waits to be told to go on before it sends its five bytes.
fn expecting(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
}

#[test]
fn who_expects_to_be_told_is_told_once_the_guest_reads() {
    let midge = serve("http02-slow-body.wasm");
    let mut connection = RawConnection::open(midge.addr());
    connection.send(expecting("/?read=all")).unwrap();
    let interim = connection.read_until("\r\n\r\n");
    assert!(
        interim.starts_with("HTTP/1.1 100 Continue\r\n"),
        "{interim}"
    );
    connection.send("hello").unwrap();
    let head = connection.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    connection.read_until("5 bytes, complete\n");
}

#[test]
fn a_guest_that_does_not_read_answers_without_asking_for_the_body() {
    let midge = serve("http02-slow-body.wasm");
    let mut connection = RawConnection::open(midge.addr());
    connection.send(expecting("/?read=none")).unwrap();
    let text = connection.read_until("0 bytes, not asked\n");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(!text.contains("100 Continue"), "{text}");
}

#[test]
fn a_body_too_large_is_refused_before_it_is_asked_for() {
    let site = Site::of(&[(
        "echo",
        "http02-echo.wasm",
        "limits = { request-body = \"4B\" }",
    )]);
    let midge = site.server().start();
    let mut connection = RawConnection::open(midge.addr());
    connection.send(expecting("/echo/")).unwrap();
    let head = connection.read_until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn a_client_that_sends_while_it_is_answered_early_gets_the_answer() {
    let midge = serve("http02-slow-body.wasm");
    let mut client = Client::http1(midge.addr()).await.unwrap();
    let request = Request::post("/?read=none")
        .body(whole(noise(500_000)))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.text(), "0 bytes, not asked\n");
}

#[tokio::test]
async fn a_guest_that_reads_slowly_gets_all_of_it() {
    let midge = serve("http02-slow-body.wasm");
    let mut client = Client::http2(midge.addr()).await.unwrap();
    let request = Request::post("/?read=slow&size=50000&delay_ms=1").body(whole(noise(500_000)));
    let answer = client.send(request.unwrap()).await.unwrap();
    assert_eq!(answer.text(), "500000 bytes, complete\n");
}
