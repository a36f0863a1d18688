//! What the door refuses or ends, whatever the function: heads, bodies, slow clients.

use bytes::Bytes;
use http::Request;
use midge_testkit::http::{Client, RawConnection, chunked, get, post, send};

use crate::kit::{Site, serve};

#[tokio::test]
async fn a_hundred_header_fields_pass_and_more_are_a_431() {
    let midge = serve("http02-echo.wasm");
    let with_fields = |number: usize| {
        let mut request = Request::get("/?headers");
        for field in 0..number {
            request = request.header(format!("x-field-{field}"), "v");
        }
        request
    };
    let passes = with_fields(90).body(Bytes::new()).unwrap();
    let answer = send(midge.addr(), passes).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("x-field-89: v\n"));

    let refused = with_fields(101).body(Bytes::new()).unwrap();
    let answer = send(midge.addr(), refused).await.unwrap();
    assert_eq!(answer.status, 431);

    let mut client = Client::http2(midge.addr()).await.unwrap();
    let refused = with_fields(101)
        .body(midge_testkit::http::whole(""))
        .unwrap();
    assert_eq!(client.send(refused).await.unwrap().status, 431);
}

#[tokio::test]
async fn a_head_larger_than_the_bound_is_a_431() {
    let midge = serve("http02-echo.wasm");
    let request = Request::get("/").header("x-large", "v".repeat(70_000));
    let answer = send(midge.addr(), request.body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.unwrap().status, 431);
    let path = format!("/{}", "p".repeat(60_000));
    assert_eq!(get(midge.addr(), &path).await.unwrap().status, 200);
}

fn small_bodies() -> Site {
    Site::of(&[(
        "echo",
        "http02-echo.wasm",
        "limits = { request-body = \"1KiB\" }",
    )])
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_a_413() {
    let site = small_bodies();
    let midge = site.server().start();
    let fits = post(midge.addr(), "/echo", vec![b'x'; 1024]).await.unwrap();
    assert_eq!(fits.text().len(), 1024);
    let answer = post(midge.addr(), "/echo", vec![b'x'; 1025]).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(answer.text(), "the request body is larger than 1KiB\n");
}

#[tokio::test]
async fn a_body_that_becomes_too_large_is_never_answered_as_a_whole_one() {
    let site = Site::of(&[
        (
            "echo",
            "http02-echo.wasm",
            "limits = { request-body = \"1KiB\" }",
        ),
        (
            "count",
            "http02-slow-body.wasm",
            "limits = { request-body = \"1KiB\" }",
        ),
        (
            "three",
            "http03-echo.wasm",
            "limits = { request-body = \"1KiB\" }",
        ),
        (
            "command",
            "command01-echo.wasm",
            "limits = { request-body = \"1KiB\" }",
        ),
    ]);
    let midge = site.server().start();
    for (path, has_begun) in [
        ("/count/?read=all", false),
        ("/echo/", true),
        ("/three/", true),
        ("/command/", true),
    ] {
        let mut client = Client::http1(midge.addr()).await.unwrap();
        let (mut sender, body) = chunked();
        let write = tokio::spawn(async move {
            for _ in 0..100 {
                // The server may close its ear once it has had enough.
                if sender
                    .send_data(Bytes::from(vec![b'x'; 512]))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
        let request = Request::post(path).body(body).unwrap();
        let answer = client.send(request).await;
        write.abort();
        // A guest that answers before it has read can only be cut off, by a reset at worst.
        let is_cut_off = answer.as_ref().map_or(true, |answer| answer.body.is_err());
        let is_refused = answer.as_ref().is_ok_and(|answer| answer.status == 413);
        assert!(
            is_refused || (has_begun && is_cut_off),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn two_hundred_slow_heads_are_ended_while_requests_go_on() {
    let midge = serve("http02-tiny.wasm");
    let mut slow: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = RawConnection::open(midge.addr());
            connection
                .send("GET / HTTP/1.1\r\nhost: a\r\nx-slow: ")
                .unwrap();
            connection
        })
        .collect();
    let closed = tokio::task::spawn_blocking(move || {
        // One byte now and then must not buy more time.
        for connection in &mut slow {
            connection.send("v").unwrap();
        }
        for connection in &mut slow {
            let answer = connection.read_to_close();
            assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
        }
    });
    let mut answered = 0;
    while !closed.is_finished() {
        assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
        answered += 1;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    closed.await.unwrap();
    assert!(answered >= 10, "only {answered} requests meanwhile");
}

#[tokio::test]
async fn a_guest_with_too_many_headers_fails_alone() {
    let midge = serve("http02-big-headers.wasm");
    let fits = get(midge.addr(), "/?n=50&size=100").await.unwrap();
    assert_eq!(fits.status, 200);
    assert_eq!(fits.header("x-big-49").len(), 100);
    for query in ["n=20000&size=10", "n=1&size=10000000"] {
        let answer = get(midge.addr(), &format!("/?{query}")).await.unwrap();
        assert!(
            answer.status == 502 || answer.text().starts_with("refused after"),
            "{query}: {}",
            answer.status
        );
    }
    assert_eq!(get(midge.addr(), "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_guest_that_asks_for_too_much_randomness_fails_alone() {
    let midge = serve("http02-random.wasm");
    let fits = get(midge.addr(), "/?n=1000").await.unwrap();
    assert_eq!(fits.text().trim().len(), 2000);
    let answer = get(midge.addr(), "/?n=4000000000").await.unwrap();
    assert_eq!(answer.status, 502);
    let random = get(midge.addr(), "/?n=16").await.unwrap().text();
    assert_ne!(get(midge.addr(), "/?n=16").await.unwrap().text(), random);
}
