//! Many requests, large bodies and hard blows: nothing leaks, nothing else breaks.
//!
//! Each of these has the machine to itself (see `.config/nextest.toml`): what they
//! measure is memory, descriptors and answers, and all of it needs a quiet machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use midge_testkit::http::{Client, get, whole};
use midge_testkit::{Midge, process, wait_until, wait_until_async};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kit::{Site, noise, server};

const MIB: u64 = 1 << 20;

/// Descriptors that come and go with nothing that a client did.
const DESCRIPTORS_SPARE: usize = 8;

/// What a node holds: memory of the processes that take traffic, and descriptors of all.
fn held(midge: &Midge) -> (u64, usize) {
    let memory_bytes = midge.serving().into_iter().map(process::memory_bytes).sum();
    let workers = midge.workers();
    let all = workers.into_iter().chain([midge.pid()]);
    (memory_bytes, all.map(process::descriptors).sum())
}

/// Sends `requests` over 16 connections of both protocols; every third traps.
async fn every_third_traps(midge: &Midge, requests: usize) {
    const CONNECTIONS: usize = 16;
    let mut clients = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let addr = midge.addr();
        clients.spawn(async move {
            let mut client = if connection % 2 == 0 {
                Client::http1(addr).await.unwrap()
            } else {
                Client::http2(addr).await.unwrap()
            };
            for number in (connection..requests).step_by(CONNECTIONS) {
                if number % 3 == 0 {
                    let answer = client.get("/?at=before").await.unwrap();
                    assert_eq!(answer.status, 502, "request {number}");
                } else {
                    let answer = client.get("/?at=none").await.unwrap();
                    assert_eq!(answer.status, 200, "request {number}");
                    assert_eq!(answer.text(), "the first half, the second half\n");
                }
            }
        });
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_of_which_every_third_traps_leak_nothing() {
    let midge = server("http02-trap.wasm").args(["--quiet"]).start_unheard();
    every_third_traps(&midge, 1_000).await;
    wait_until("the first connections are closed", || held(&midge).1 < 200);
    let (memory_before, descriptors_before) = held(&midge);
    let workers = midge.workers();

    every_third_traps(&midge, 10_000).await;
    wait_until("the descriptors are back", || {
        held(&midge).1 <= descriptors_before
    });
    let (memory_after, _) = held(&midge);
    assert!(
        memory_after < memory_before + 16 * MIB,
        "{memory_before} bytes before, {memory_after} after"
    );
    assert_eq!(midge.workers(), workers, "nobody had to be replaced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_megabytes_are_echoed_byte_for_byte_in_little_memory() {
    let site = Site::of(&[(
        "echo",
        "http02-echo.wasm",
        "limits = { request-body = \"100MiB\", time = \"60s\" }",
    )]);
    let midge = site.server().args(["--workers", "1"]).start();
    let small = Bytes::from(noise(4_000_000));
    for _ in 0..4 {
        echo(&midge, small.clone()).await;
    }
    let peak = || {
        midge
            .serving()
            .into_iter()
            .map(process::memory_peak_bytes)
            .sum::<u64>()
    };
    let before = peak();
    echo(&midge, Bytes::from(noise(50_000_000))).await;
    let after = peak();
    assert!(
        after < before + 8 * MIB,
        "peak {before} bytes before, {after} after"
    );
}

/// Sends a body through the echo and compares it as it comes back.
async fn echo(midge: &Midge, sent: Bytes) {
    let mut client = Client::http1(midge.addr()).await.unwrap();
    let request = Request::post("/echo").body(whole(sent.clone())).unwrap();
    let mut body = client.begin(request).await.unwrap().into_body();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let chunk = frame.unwrap().into_data().unwrap();
        assert!(sent[seen..].starts_with(&chunk), "at byte {seen}");
        seen += chunk.len();
    }
    assert_eq!(seen, sent.len());
}

/// Clients that ask without a pause, each one request at a time, and count what they see.
struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<(usize, usize)>,
}

impl Load {
    fn on(midge: &Midge, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Self {
            stop: Arc::clone(&stop),
            clients: JoinSet::new(),
        };
        for _ in 0..clients {
            let (addr, stop) = (midge.addr(), Arc::clone(&stop));
            load.clients.spawn(async move {
                let (mut answered, mut failed) = (0, 0);
                let mut client = Client::http1(addr).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    match client.get("/?n=2&size=10&delay_ms=2").await {
                        Ok(answer) if answer.body.is_ok() => {
                            assert_eq!(answer.status, 200);
                            answered += 1;
                        }
                        _ => {
                            failed += 1;
                            client = Client::http1(addr).await.unwrap();
                        }
                    }
                }
                (answered, failed)
            });
        }
        load
    }

    /// How many requests each client saw answered, and how many broken.
    async fn end(self) -> Vec<(usize, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_under_load_takes_only_its_own_requests() {
    let midge = server("http02-stream.wasm")
        .args(["--workers", "2"])
        .start();
    let load = Load::on(&midge, 20);
    midge.wait_until_said("request served");
    let before = midge.workers();
    process::signal(before[0], "KILL");
    let killed = Instant::now();
    let mut replaced_after = Duration::ZERO;
    wait_until_async("a new worker runs", async || {
        replaced_after = killed.elapsed();
        midge
            .workers()
            .iter()
            .any(|worker| !before.contains(worker))
    })
    .await;
    // The promise is 200 ms; a debug build on a loaded machine gets more.
    assert!(
        replaced_after < Duration::from_secs(3),
        "{replaced_after:?}"
    );
    let said = midge.said().matches("request served").count();
    wait_until("the load goes on", || {
        midge.said().matches("request served").count() > said + 200
    });
    let clients = load.end().await;
    for (answered, failed) in &clients {
        // One request at a time, so one at most was in the dead worker's hands.
        assert!(*failed <= 1, "{clients:?}");
        assert!(*answered > 0, "{clients:?}");
    }
    assert!(
        midge.workers().contains(&before[1]),
        "the other one lives on"
    );
    assert!(!midge.workers().contains(&before[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_busy_guest_others_answer_quickly() {
    let site = Site::of(&[
        (
            "busy",
            "http02-busy.wasm",
            "limits = { time = \"3s\", cpu = \"5s\" }",
        ),
        ("tiny", "http02-tiny.wasm", ""),
    ]);
    let midge = site
        .server()
        .args(["--workers", "1", "--quiet"])
        .start_unheard();
    let addr = midge.addr();
    let started = Instant::now();
    let busy = tokio::spawn(async move { get(addr, "/busy/").await.unwrap().status });
    let mut client = Client::http1(addr).await.unwrap();
    let mut took = Vec::new();
    let mut turn = tokio::time::interval(Duration::from_millis(10));
    while !busy.is_finished() {
        turn.tick().await;
        let asked = Instant::now();
        assert_eq!(client.get("/tiny/").await.unwrap().text(), "hi");
        took.push(asked.elapsed());
    }
    assert_eq!(busy.await.unwrap(), 504);
    assert!(started.elapsed() >= Duration::from_secs(3));
    took.sort_unstable();
    let p99 = took[took.len() * 99 / 100];
    // The promise is 20 ms in a release build; this is a debug build.
    assert!(took.len() > 100, "only {} requests in 3 s", took.len());
    assert!(
        p99 < Duration::from_millis(100),
        "p99 {p99:?} of {}",
        took.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_leave_nothing() {
    // It says so when all its workers are there, with all that they hold.
    let midge = server("http02-tiny.wasm").start();
    let (_, before) = held(&midge);
    for _ in 0..20 {
        let mut clients = JoinSet::new();
        for _ in 0..50 {
            let addr = midge.addr();
            clients.spawn(async move { get(addr, "/").await.unwrap().status });
        }
        assert!(clients.join_all().await.iter().all(|status| *status == 200));
    }
    wait_until("all descriptors are back", || {
        held(&midge).1 <= before + DESCRIPTORS_SPARE
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_reaches_every_worker() {
    let midge = server("http02-stream.wasm")
        .args(["--workers", "2"])
        .start();
    let user_ticks = |worker: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks: u64 = rest.split_whitespace().nth(11).unwrap().parse().unwrap();
        ticks
    };
    let ticks = |midge: &Midge| -> BTreeMap<u32, u64> {
        let workers = midge.workers().into_iter();
        workers.map(|worker| (worker, user_ticks(worker))).collect()
    };
    let before = ticks(&midge);
    let load = Load::on(&midge, 20);
    wait_until("both workers have worked", || {
        ticks(&midge)
            .iter()
            .all(|(worker, now)| *now > before[worker] + 5)
    });
    assert!(load.end().await.iter().all(|(_, failed)| *failed == 0));
}
