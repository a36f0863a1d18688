//! HTTP/1.1 and HTTP/2 on the wire: connections, ids, refusals and their words.

use http::Request;
use midge_testkit::http::{Client, RawConnection, get, send, whole};

use crate::kit::{Site, serve, server};

#[tokio::test]
async fn a_connection_is_kept_for_many_requests() {
    let midge = serve("http02-tiny.wasm");
    let mut client = Client::http1(midge.addr()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(client.get("/").await.unwrap().text(), "hi");
    }
}

#[test]
fn a_client_that_asks_to_close_is_closed() {
    let midge = serve("http02-tiny.wasm");
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut connection = RawConnection::open(midge.addr());
        connection.send(request).unwrap();
        let answer = connection.read_to_close();
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
        assert!(answer.contains("hi"), "{answer}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let midge = serve("http02-echo.wasm");
    let mut connection = RawConnection::open(midge.addr());
    let requests: String = (0..10)
        .map(|number| format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .collect();
    connection.send(requests).unwrap();
    for number in 0..10 {
        let head = connection.read_until("\r\n\r\n");
        assert!(
            head.contains(&format!("x-echo-path: /{number}\r\n")),
            "{head}"
        );
        // It depends on when the guest ends whether its body is declared or comes in chunks.
        if !head.contains("content-length: 0\r\n") {
            assert_eq!(connection.read_until("\r\n\r\n"), "0\r\n\r\n", "{head}");
        }
    }
}

#[tokio::test]
async fn http2_by_prior_knowledge_carries_requests_at_the_same_time() {
    let midge = serve("http02-stream.wasm");
    let client = Client::http2(midge.addr()).await.unwrap();
    let mut requests = tokio::task::JoinSet::new();
    for number in 1..=20 {
        let mut client = client.share();
        requests.spawn(async move {
            let path = format!("/?n={number}&size=100&delay_ms=1");
            (number, client.get(&path).await.unwrap())
        });
    }
    while let Some(answered) = requests.join_next().await {
        let (number, answer) = answered.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text().len(), number * 100);
    }
}

#[tokio::test]
async fn a_request_id_is_kept_and_one_is_made_where_there_is_none() {
    let midge = serve("http02-echo.wasm");
    let with_id = |id: &str| {
        let request = Request::get("/?headers").header("x-request-id", id);
        send(midge.addr(), request.body("".into()).unwrap())
    };
    let kept = with_id("order-4711").await.unwrap();
    assert_eq!(kept.header("x-request-id"), "order-4711");
    assert!(kept.text().contains("x-request-id: order-4711\n"));

    let odd = with_id("has spaces and; more").await.unwrap();
    assert_ne!(odd.header("x-request-id"), "has spaces and; more");

    let made = get(midge.addr(), "/?headers").await.unwrap();
    let id = made.header("x-request-id").to_owned();
    assert_eq!(id.len(), 36, "a UUID: {id}");
    assert!(made.text().contains(&format!("x-request-id: {id}\n")));
    let other = get(midge.addr(), "/").await.unwrap();
    assert_ne!(other.header("x-request-id"), id);
    midge.wait_until_said(&format!("request_id=\"{id}\""));
}

#[tokio::test]
async fn what_a_client_claims_about_itself_is_overwritten() {
    let midge = serve("http02-echo.wasm");
    let request = Request::get("/?headers")
        .header("host", "shop.example")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-port", "1")
        .header("forwarded", "for=10.0.0.1;host=evil.example")
        .header("x-real-ip", "10.0.0.1")
        .body("".into())
        .unwrap();
    let text = send(midge.addr(), request).await.unwrap().text();
    assert!(text.contains("x-forwarded-for: 127.0.0.1\n"), "{text}");
    assert!(text.contains("x-forwarded-host: shop.example\n"), "{text}");
    assert!(text.contains("x-forwarded-proto: http\n"), "{text}");
    assert!(!text.contains("10.0.0.1"), "{text}");
    assert!(!text.contains("evil.example"), "{text}");
}

#[tokio::test]
async fn a_path_nobody_answers_is_a_404_in_one_line() {
    let site = Site::of(&[("a", "http02-tiny.wasm", "")]);
    let midge = site.server().start();
    for path in ["/", "/ab", "/b", "/A/"] {
        let answer = get(midge.addr(), path).await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.text(), "no function answers at this address\n");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    for path in ["/a", "/a/", "/a/b/c"] {
        assert_eq!(get(midge.addr(), path).await.unwrap().status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_method_nobody_answers_is_a_405_that_lists_the_others() {
    let site = Site::of(&[
        ("read", "http02-tiny.wasm", r#"routes = ["GET /x"]"#),
        ("write", "http02-tiny.wasm", r#"routes = ["POST /x"]"#),
    ]);
    let midge = site.server().start();
    let request = Request::delete("/x").body("".into()).unwrap();
    let answer = send(midge.addr(), request).await.unwrap();
    assert_eq!(answer.status, 405);
    let mut allowed: Vec<_> = answer.header("allow").split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

#[tokio::test]
async fn a_program_gets_its_errors_as_json() {
    let site = Site::of(&[("trap", "http02-trap.wasm", "")]);
    let midge = site.server().start();
    for (path, status, code) in [
        ("/nobody", 404, "no-route"),
        ("/trap/?at=before", 502, "trapped"),
    ] {
        let request = Request::get(path)
            .header("accept", "application/json")
            .header("x-request-id", "id-1")
            .body("".into())
            .unwrap();
        let answer = send(midge.addr(), request).await.unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), "application/json");
        let body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(body["error"]["code"], code);
        assert_eq!(body["error"]["request_id"], "id-1");
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_receipt_says_what_an_answer_cost_if_asked_for() {
    let midge = server("http02-tiny.wasm").args(["--receipt"]).start();
    let answer = get(midge.addr(), "/").await.unwrap();
    let receipt = answer.header("server-timing");
    for part in [
        "queue;dur=",
        "instantiate;dur=",
        "run;dur=",
        "memory;desc=\"",
    ] {
        assert!(receipt.contains(part), "{receipt}");
    }
    let silent = serve("http02-tiny.wasm");
    let answer = get(silent.addr(), "/").await.unwrap();
    assert_eq!(answer.header("server-timing"), "");
}

#[tokio::test]
async fn any_method_that_is_a_word_reaches_the_guest() {
    let midge = serve("http02-echo.wasm");
    for method in ["PATCH", "PROPFIND", "BREW", "get"] {
        let request = Request::builder().method(method).uri("/").body("".into());
        let answer = send(midge.addr(), request.unwrap()).await.unwrap();
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(answer.header("x-echo-method"), method);
    }
}

#[test]
fn what_is_no_request_is_a_400_or_a_closed_door() {
    let midge = serve("http02-echo.wasm");
    for nonsense in [
        "G\u{e9}T / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nhost a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
        "GET a b HTTP/1.1\r\nhost: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}",
    ] {
        let mut connection = RawConnection::open(midge.addr());
        // The server may have closed before all of it was sent.
        drop(connection.send(nonsense));
        let answer = connection.read_to_close();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{nonsense:?}: {answer}"
        );
    }
}

#[test]
fn half_a_request_is_given_up_when_its_client_leaves() {
    let midge = serve("http02-echo.wasm");
    for half in [
        "GE",
        "GET / HTTP/1.1\r\nho",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let mut connection = RawConnection::open(midge.addr());
        connection.send(half).unwrap();
        connection.end_sending().unwrap();
        let answer = connection.read_to_close();
        let whole = answer.contains("\r\n\r\n0\r\n\r\n") || answer.ends_with("\r\n0\r\n\r\n");
        assert!(!(answer.contains(" 200 ") && whole), "{half:?}: {answer}");
    }
}

#[tokio::test]
async fn both_protocols_are_spoken_on_one_port() {
    let midge = serve("http02-echo.wasm");
    let mut one = Client::http1(midge.addr()).await.unwrap();
    let mut two = Client::http2(midge.addr()).await.unwrap();
    for client in [&mut one, &mut two] {
        let request = Request::put("/x").body(whole("body")).unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.header("x-echo-method"), "PUT");
        assert_eq!(answer.header("x-echo-scheme"), "http");
        assert_eq!(answer.header("x-echo-authority"), midge.addr().to_string());
        assert_eq!(answer.text(), "body");
    }
}
