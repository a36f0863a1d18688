//! How many invocations run at once, who waits, and who is turned away.

use std::time::Duration;

use http::Request;
use midge_testkit::http::{Answer, Client, collect, get, whole};
use midge_testkit::{Midge, process, wait_until};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kit::{Site, server};

/// How long `requests` of 100 ms each take, sent all at once to two workers.
async fn time_for(requests: u32, concurrency: &str) -> Duration {
    let midge = server("http02-stream.wasm")
        .args(["--workers", "2", "--concurrency", concurrency])
        .start();
    assert_eq!(midge.workers().len(), 2);
    let addr = midge.addr();
    let started = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..requests {
        all.spawn(async move { get(addr, "/?n=1&hold_ms=100").await.unwrap().status });
    }
    while let Some(status) = all.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    started.elapsed()
}

#[tokio::test]
async fn a_limit_of_one_is_exact_over_all_workers() {
    // Two at once would need half of it; a timer never fires early.
    assert!(time_for(12, "1").await >= Duration::from_millis(1200));
}

#[tokio::test]
async fn a_limit_of_three_lets_three_run_at_once() {
    let took = time_for(12, "3").await;
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(
        took < Duration::from_millis(1200),
        "{took:?}: no two ran at once"
    );
}

#[tokio::test]
async fn one_functions_limit_is_not_anothers() {
    let site = Site::of(&[
        (
            "full",
            "http02-never.wasm",
            "limits = { concurrency = 1, time = \"5s\" }",
        ),
        ("free", "http02-tiny.wasm", "limits = { concurrency = 1 }"),
    ]);
    let midge = site.server().start();
    let addr = midge.addr();
    let mut waiting = JoinSet::new();
    for _ in 0..10 {
        waiting.spawn(async move { get(addr, "/full/").await });
    }
    for _ in 0..50 {
        assert_eq!(get(addr, "/free/").await.unwrap().text(), "hi");
    }
    waiting.abort_all();
}

/// `SENT` requests to each path that are not answered unless they are refused.
struct Crowd {
    /// Closing one would end its requests.
    _connections: Vec<Client>,
    requests: JoinSet<Answer>,
}

impl Crowd {
    const SENT: usize = 1_100;

    async fn at(midge: &Midge, paths: &[&'static str]) -> Self {
        /// Below what the server lets one HTTP/2 connection have in flight.
        const STREAMS: usize = 100;
        let mut connections = Vec::new();
        let mut requests = JoinSet::new();
        for &path in paths {
            for _ in 0..Self::SENT / STREAMS {
                let connection = Client::http2(midge.addr()).await.unwrap();
                for _ in 0..STREAMS {
                    let mut client = connection.share();
                    requests.spawn(async move { client.get(path).await.unwrap() });
                }
                connections.push(connection);
            }
        }
        Self {
            _connections: connections,
            requests,
        }
    }

    /// So many of them are refused, with this status and these words.
    async fn sees_refused(&mut self, count: usize, status: u16, words: &str) {
        for _ in 0..count {
            let answer = self.requests.join_next().await.unwrap().unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(answer.text(), words);
        }
    }
}

#[tokio::test]
async fn a_full_queue_turns_away_with_429_and_when_to_come_back() {
    let midge = server("http02-never.wasm")
        .args(["--workers", "1", "--concurrency", "1", "--time", "10m"])
        .start();
    // One runs, a thousand wait, and the rest is told at once.
    let words = "the function is at its limit of concurrent requests, try again shortly\n";
    let mut crowd = Crowd::at(&midge, &["/"]).await;
    crowd.sees_refused(Crowd::SENT - 1_001, 429, words).await;
    assert!(crowd.requests.try_join_next().is_none(), "more than that");
}

/// Functions that never answer, as many at once as a node lets them, and one that does.
fn crowded() -> (Site, Midge) {
    let endless = "limits = { concurrency = 10000, time = \"10m\" }";
    let site = Site::of(&[
        ("one", "http02-never.wasm", endless),
        ("two", "http02-never.wasm", endless),
        ("three", "http02-never.wasm", endless),
        ("tiny", "http02-tiny.wasm", ""),
    ]);
    let midge = site.server().args(["--workers", "1"]).start();
    (site, midge)
}

#[tokio::test]
async fn a_burst_on_one_function_leaves_room_to_the_others() {
    let (_site, midge) = crowded();
    let _burst = Crowd::at(&midge, &["/one/"]).await;
    let mut client = Client::http1(midge.addr()).await.unwrap();
    for _ in 0..100 {
        assert_eq!(client.get("/tiny/").await.unwrap().text(), "hi");
    }
}

#[tokio::test]
async fn a_full_node_turns_away_with_503_and_when_to_come_back() {
    let (_site, midge) = crowded();
    // Any two of them fill the node; the third waits a while for room that does not come.
    let mut crowd = Crowd::at(&midge, &["/one/", "/two/", "/three/"]).await;
    let words = "the server is at its limit of concurrent requests, try again shortly\n";
    crowd.sees_refused(20, 503, words).await;
}

#[tokio::test]
async fn who_waits_longer_than_its_queue_time_is_told_with_429() {
    let site = Site::of(&[(
        "full",
        "http02-never.wasm",
        "limits = { concurrency = 1, queue-time = \"100ms\", time = \"10m\" }",
    )]);
    let midge = site.server().args(["--workers", "1"]).start();
    let mut first = Client::http1(midge.addr()).await.unwrap();
    let request = Request::get("/full/?after=head").body(whole("")).unwrap();
    let _running = first.begin(request).await.unwrap();
    let asked = Instant::now();
    let answer = get(midge.addr(), "/full/").await.unwrap();
    assert_eq!(answer.status, 429);
    assert!(asked.elapsed() >= Duration::from_millis(100));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        answer.text(),
        "the function was at its limit of concurrent requests for too long, try again shortly\n"
    );
    midge.wait_until_said("outcome=\"queue-timeout\"");
}

#[tokio::test]
async fn at_the_end_of_the_pool_who_has_nothing_is_next() {
    let slow = "limits = { concurrency = 10000, time = \"10m\", queue-time = \"10m\" }";
    let site = Site::of(&[
        ("one", "http02-stream.wasm", slow),
        ("two", "http02-stream.wasm", slow),
        ("three", "http02-stream.wasm", slow),
        ("tiny", "http02-tiny.wasm", ""),
    ]);
    let midge = site.server().args(["--workers", "1"]).start();
    // Three times half of the pool, and it stays full: what ends makes room for the next.
    let paths = [
        "/one/?hold_ms=1000",
        "/two/?hold_ms=1000",
        "/three/?hold_ms=1000",
    ];
    let mut crowd = Crowd::at(&midge, &paths).await;
    let mut client = Client::http1(midge.addr()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(client.get("/tiny/").await.unwrap().text(), "hi");
    }
    let mut ended = 0;
    while let Some(answer) = crowd.requests.try_join_next() {
        // Before tiny came back some waited for too long; none that is answered is half.
        assert!([200, 503].contains(&answer.unwrap().status.as_u16()));
        ended += 1;
    }
    assert!(ended < 3 * Crowd::SENT, "nobody was left to wait behind");
}

#[tokio::test]
async fn a_worker_that_is_gone_gives_back_its_places() {
    let midge = server("http02-never.wasm")
        .args(["--workers", "2", "--concurrency", "1", "--time", "10m"])
        .start();
    // The deadline is far away: the second can begin only if the first one's place is free.
    for _ in 0..2 {
        let mut client = Client::http1(midge.addr()).await.unwrap();
        let request = Request::get("/?after=head").body(whole("")).unwrap();
        let response = client.begin(request).await.unwrap();
        assert_eq!(response.status(), 200);
        // Whichever worker runs it is killed with it.
        let workers = midge.workers();
        for &worker in &workers {
            process::signal(worker, "KILL");
        }
        let (body, _) = collect(&mut response.into_body()).await;
        assert!(body.is_err(), "half an answer must not look whole");
        wait_until("there are new workers", || {
            let now = midge.workers();
            now.len() == 2 && now.iter().all(|worker| !workers.contains(worker))
        });
    }
}
