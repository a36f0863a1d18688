//! Every way an invocation can end, as its client sees it: nobody takes half a body
//! for a whole one, and nobody waits beyond the deadline.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use midge_testkit::Midge;
use midge_testkit::http::{Answer, Client, RawConnection, get, whole};
use midge_testkit::{process, wait_until, wait_until_async};
use tokio::time::Instant;

use crate::kit::{Site, serve, server};

/// `GET path` over both protocols.
async fn over_both(midge: &Midge, path: &str) -> [Answer; 2] {
    let mut one = Client::http1(midge.addr()).await.unwrap();
    let mut two = Client::http2(midge.addr()).await.unwrap();
    [one.get(path).await.unwrap(), two.get(path).await.unwrap()]
}

#[tokio::test]
async fn a_trap_before_the_head_is_a_502() {
    for guest in ["http02-trap.wasm", "http03-trap.wasm"] {
        let midge = serve(guest);
        for answer in over_both(&midge, "/?at=before").await {
            assert_eq!(answer.status, 502, "{guest}");
            assert_eq!(answer.text(), "the function crashed\n");
        }
        midge.wait_until_said("outcome=\"trapped\"");
    }
}

#[tokio::test]
async fn a_trap_after_the_head_never_looks_like_a_whole_answer() {
    for guest in ["http02-trap.wasm", "http03-trap.wasm"] {
        let midge = serve(guest);
        for _ in 0..5 {
            for answer in over_both(&midge, "/?at=mid").await {
                assert!(
                    answer.status == 502 || answer.body.is_err(),
                    "{guest}: {answer:?}"
                );
            }
        }
        // The last chunk is what makes a body whole.
        let mut connection = RawConnection::open(midge.addr());
        connection
            .send("GET /?at=mid HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        let answer = connection.read_until("\r\n\r\n");
        if answer.starts_with("HTTP/1.1 200 ") {
            let body = connection.read_to_close();
            assert!(!body.ends_with("0\r\n\r\n"), "{guest}: {body}");
        }
    }
}

#[tokio::test]
async fn a_trap_on_one_stream_leaves_the_others_of_its_connection_alone() {
    let midge = serve("http02-trap.wasm");
    let mut client = Client::http2(midge.addr()).await.unwrap();
    for _ in 0..10 {
        let mut other = client.share();
        let trapped = other.get("/?at=after");
        let (trapped, whole) = tokio::join!(trapped, client.get("/?at=none"));
        let trapped = trapped.unwrap();
        assert!(trapped.status == 502 || trapped.body.is_err());
        assert_eq!(whole.unwrap().text(), "the first half, the second half\n");
    }
}

#[tokio::test]
async fn a_trap_after_the_body_changes_no_byte_of_it() {
    const BODY: &str = "the first half, the second half\n";
    for guest in ["http02-trap.wasm", "http03-trap.wasm"] {
        let midge = serve(guest);
        for answer in over_both(&midge, "/?at=after").await {
            let is_told = answer.status == 502 || answer.body.is_err();
            assert!(is_told || answer.text() == BODY, "{guest}: {answer:?}");
        }
        for answer in over_both(&midge, "/?at=none").await {
            assert_eq!(answer.text(), BODY, "{guest}");
        }
    }
}

#[tokio::test]
async fn other_failures_of_a_guest_are_a_502_too() {
    for (guest, path, words) in [
        (
            "http02-no-response.wasm",
            "/",
            "the function ended without a response\n",
        ),
        (
            "http02-panic-status.wasm",
            "/?panic",
            "the function crashed\n",
        ),
        (
            "http02-panic-status.wasm",
            "/?code=101",
            "the function failed\n",
        ),
        ("http03-trap.wasm", "/?at=error", "the function failed\n"),
        (
            "command01-exit.wasm",
            "/?code=7",
            "the function exited with an error\n",
        ),
    ] {
        let midge = serve(guest);
        for answer in over_both(&midge, path).await {
            assert_eq!(answer.status, 502, "{guest}{path}");
            assert_eq!(answer.text(), words, "{guest}{path}");
        }
    }
}

#[tokio::test]
async fn a_status_without_a_body_has_none() {
    let midge = serve("http02-panic-status.wasm");
    let mut client = Client::http1(midge.addr()).await.unwrap();
    for code in [204, 304] {
        let answer = client.get(&format!("/?code={code}&body")).await.unwrap();
        assert_eq!(answer.status, code);
        assert_eq!(answer.text(), "");
    }
    assert_eq!(
        client.get("/?code=201&body").await.unwrap().text(),
        "body\n"
    );
}

/// The deadline is a promise, so it has a bound from above as well, generous for a busy machine.
fn assert_at_deadline(started: Instant, limit: Duration) {
    let took = started.elapsed();
    assert!(took >= limit, "after {took:?} of {limit:?}");
    assert!(took < limit + Duration::from_secs(2), "after {took:?}");
}

#[tokio::test]
async fn a_guest_that_never_answers_is_a_504_at_its_deadline() {
    let limit = Duration::from_millis(400);
    for guest in ["http02-never.wasm", "http02-busy.wasm", "http03-busy.wasm"] {
        let midge = server(guest).args(["--time", "400ms"]).start();
        let started = Instant::now();
        let answer = get(midge.addr(), "/").await.unwrap();
        assert_at_deadline(started, limit);
        assert_eq!(answer.status, 504, "{guest}");
        assert_eq!(answer.text(), "the function did not respond within 400ms\n");
    }
}

#[tokio::test]
async fn a_guest_that_stops_after_the_head_is_cut_at_its_deadline() {
    let limit = Duration::from_millis(400);
    for guest in ["http02-never.wasm", "http02-busy.wasm", "http03-busy.wasm"] {
        let midge = server(guest).args(["--time", "400ms"]).start();
        let started = Instant::now();
        for answer in over_both(&midge, "/?after=head").await {
            let is_told = answer.status == 504 || answer.body.is_err();
            assert!(is_told, "{guest}: {answer:?}");
        }
        assert!(started.elapsed() >= limit);
    }
}

#[tokio::test]
async fn a_busy_guest_leaves_its_process_to_the_others() {
    let site = Site::of(&[
        ("busy", "http02-busy.wasm", "limits = { time = \"1s\" }"),
        (
            "fill",
            "http02-busy.wasm",
            "limits = { time = \"1s\", memory = \"256MiB\" }",
        ),
        ("tiny", "http02-tiny.wasm", ""),
    ]);
    let midge = site.server().args(["--workers", "1"]).start();
    let addr = midge.addr();
    let started = Instant::now();
    let mut busy = [
        tokio::spawn(get_owned(addr, "/busy/")),
        tokio::spawn(get_owned(addr, "/fill/?fill")),
    ];
    let mut client = Client::http1(addr).await.unwrap();
    let mut answered = 0;
    while !busy.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(client.get("/tiny/").await.unwrap().text(), "hi");
        answered += 1;
    }
    assert_at_deadline(started, Duration::from_secs(1));
    for busy in &mut busy {
        assert_eq!(busy.await.unwrap().status, 504);
    }
    assert!(
        answered >= 10,
        "only {answered} answers beside two busy guests"
    );
}

async fn get_owned(addr: std::net::SocketAddr, path: &'static str) -> Answer {
    get(addr, path).await.unwrap()
}

#[tokio::test]
async fn a_guest_that_takes_without_end_is_stopped_and_its_memory_comes_back() {
    const MIB: u64 = 1 << 20;
    let midge = server("http02-alloc.wasm")
        .args(["--memory", "256MiB"])
        .start();
    let held = || {
        midge
            .serving()
            .into_iter()
            .map(process::memory_bytes)
            .sum::<u64>()
    };
    assert_eq!(
        get(midge.addr(), "/?mb=1").await.unwrap().text(),
        "1 MiB, 0 resources\n"
    );
    let before = held();
    for answer in over_both(&midge, "/?mb=all").await {
        assert_eq!(answer.status, 502);
        assert_eq!(
            answer.text(),
            "the function needed more than its 256MiB of memory\n"
        );
    }
    wait_until("the memory is back", || held() < before + 32 * MIB);
    assert_eq!(get(midge.addr(), "/?mb=1").await.unwrap().status, 200);
}

#[tokio::test]
async fn other_ways_to_take_without_end_are_stopped_too() {
    for (guest, path) in [
        ("http02-tables.wasm", "/"),
        ("http02-alloc.wasm", "/?resources=all"),
    ] {
        let midge = server(guest).args(["--memory", "32MiB"]).start();
        let answer = get(midge.addr(), path).await.unwrap();
        assert_eq!(answer.status, 502, "{guest}");
    }
    let midge = server("http02-memory-two.wasm")
        .args(["--memory", "16MiB"])
        .start();
    let got = get(midge.addr(), "/").await.unwrap().text();
    let got_mib: u64 = got.parse().unwrap();
    assert!(
        (1..=16).contains(&got_mib),
        "{got_mib} MiB of 16 in two memories"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_guest_with_it() {
    // One place and a long deadline: who comes next is served only if the first guest is gone.
    for (guest, endless, short) in [
        ("http02-stream.wasm", "/?n=1000000&delay_ms=20", "/?n=1"),
        ("http02-busy.wasm", "/?after=head", "/?ms=1"),
        ("http02-busy.wasm", "/", "/?ms=1"),
        ("http03-busy.wasm", "/?after=head", "/?ms=1"),
        ("command01-slow.wasm", "/?n=1000000&delay_ms=20", "/?n=0"),
    ] {
        let midge = server(guest)
            .args(["--concurrency", "1", "--time", "10m"])
            .start();
        let mut leaves = RawConnection::open(midge.addr());
        leaves
            .send(format!("GET {endless} HTTP/1.1\r\nhost: a\r\n\r\n"))
            .unwrap();
        if endless != "/" {
            leaves.read_until("\r\n\r\n");
        }
        drop(leaves);

        let mut resets = Client::http2(midge.addr()).await.unwrap();
        let request = Request::get(endless).body(whole("")).unwrap();
        if endless != "/" {
            let response = resets.begin(request).await.unwrap();
            assert_eq!(response.status(), 200, "{guest}");
        }
        drop(resets);
        let answer = get(midge.addr(), short).await.unwrap();
        assert_eq!(answer.status, 200, "{guest}{short}");
    }
}

#[tokio::test]
async fn an_answer_given_up_half_way_is_logged_as_cancelled() {
    let midge = serve("http02-stream.wasm");
    let mut client = Client::http1(midge.addr()).await.unwrap();
    let request = Request::get("/?n=1000000&delay_ms=5")
        .body(whole(""))
        .unwrap();
    let mut body = client.begin(request).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    drop((body, client));
    wait_until_async("the log says so", async || {
        midge.said().contains("outcome=\"cancelled\"")
    })
    .await;
}
