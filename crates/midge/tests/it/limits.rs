//! What is refused or ended, whatever the function: heads, bodies, slow clients, and functions that
//! use up more than they may.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use midge_testkit::http::{Client, RawConnection, chunked, get, post, send};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kit::{Site, serve, server};

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
        tokio::time::sleep(Duration::from_millis(20)).await;
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

#[tokio::test]
async fn a_function_out_of_cpu_is_a_504_long_before_its_time_is_over() {
    let limits = "limits = { cpu = \"50ms\", time = \"10m\" }";
    let site = Site::of(&[
        ("two", "http02-busy.wasm", limits),
        ("three", "http03-busy.wasm", limits),
        ("waits", "http02-stream.wasm", limits),
    ]);
    let midge = site.server().start();
    for path in ["/two/", "/three/"] {
        let answer = get(midge.addr(), path).await.unwrap();
        assert_eq!(answer.status, 504, "{path}");
        assert_eq!(
            answer.text(),
            "the function needed more than its 50ms of CPU time\n"
        );
    }
    midge.wait_until_said("outcome=\"out-of-cpu\"");
    let cut = get(midge.addr(), "/two/?after=head").await.unwrap();
    assert!(cut.status == 200 && cut.body.is_err());
    let waited = get(midge.addr(), "/waits/?n=1&hold_ms=300").await;
    assert_eq!(waited.unwrap().text().len(), 16);
}

#[tokio::test]
async fn three_busy_functions_each_have_all_of_their_cpu_time() {
    let limits = "limits = { cpu = \"300ms\", time = \"10m\" }";
    let names = ["one", "two", "three"];
    let site = Site::of(&names.map(|name| (name, "http02-busy.wasm", limits)));
    let midge = site.server().args(["--workers", "1"]).start();
    let addr = midge.addr();
    let started = Instant::now();
    let mut all = JoinSet::new();
    for name in names {
        all.spawn(async move { get(addr, &format!("/{name}/")).await.unwrap().status });
    }
    while let Some(status) = all.join_next().await {
        assert_eq!(status.unwrap(), 504);
    }
    // On the wall they would have ended together after 300 ms; what is missing was estimated.
    assert!(started.elapsed() >= Duration::from_millis(3 * 290));
}

#[tokio::test]
async fn a_response_that_becomes_too_large_is_cut_and_counted() {
    let midge = Site::of(&[(
        "stream",
        "http02-stream.wasm",
        "limits = { response-body = \"1KiB\" }",
    )]);
    let midge = midge.server().start();
    let fits = get(midge.addr(), "/stream/?n=64&size=16").await.unwrap();
    assert_eq!(fits.text().len(), 1024);
    let answer = get(midge.addr(), "/stream/?n=65&size=16").await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_err(), "half an answer must not look whole");
    midge.wait_until_said("outcome=\"response-too-large\"");
    let mut client = Client::http2(midge.addr()).await.unwrap();
    let answer = client.get("/stream/?n=65&size=16").await.unwrap();
    assert!(answer.body.is_err());
}

/// A command that declares a body of 2,000 bytes.
const DECLARES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\2f\00\00\00")
    (data (i32.const 16) "Content-Type: text/plain\nContent-Length: 2000\n\n")
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

#[tokio::test]
async fn a_response_that_says_it_is_too_large_is_a_502() {
    let site = Site::written(
        "[function.declares]\ncomponent = \"declares.wat\"\nlimits = { response-body = \"1KiB\" }\n",
    );
    std::fs::write(site.path().join("declares.wat"), DECLARES).unwrap();
    let midge = site.server().start();
    let answer = get(midge.addr(), "/declares/").await.unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.text(),
        "the function's response is larger than 1KiB\n"
    );
    let head = Request::head("/declares/").body(Bytes::new()).unwrap();
    let answer = send(midge.addr(), head).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "2000")
    );
}

#[tokio::test]
async fn a_function_that_floods_its_log_is_cut_to_its_rate_and_told_so() {
    let site = Site::of(&[
        (
            "flood",
            "http02-log.wasm",
            "limits = { log-rate = \"16KiB\", log = \"1MiB\" }",
        ),
        ("quiet", "http02-log.wasm", ""),
    ]);
    let midge = site.server().args(["--workers", "1"]).start();
    let text = "f".repeat(1000);
    let path = format!("/flood/?stderr={text}&repeat=100");
    for _ in 0..20 {
        assert_eq!(get(midge.addr(), &path).await.unwrap().status, 200);
    }
    get(midge.addr(), "/quiet/?stderr=whispered").await.unwrap();
    midge.wait_until_said("[quiet] whispered");
    let said = midge.said();
    assert!(said.contains("[flood] lines dropped: "), "{said}");
    let flooded_bytes = said
        .lines()
        .filter(|line| line.starts_with("[flood] f"))
        .count()
        * 1_000;
    assert!(flooded_bytes < 1_000_000, "{flooded_bytes} of 2 MB");
}

#[tokio::test]
async fn what_a_function_does_after_its_answer_is_bounded_too() {
    let midge = server("http02-busy.wasm")
        .args(["--workers", "1", "--concurrency", "1", "--time", "10m"])
        .start();
    let head = Request::head("/?after=head").body(Bytes::new()).unwrap();
    assert_eq!(send(midge.addr(), head).await.unwrap().status, 200);
    // The next one begins when the first one's CPU time, 2 s unless told otherwise, is over.
    assert_eq!(get(midge.addr(), "/?ms=1").await.unwrap().text(), "done\n");
}
