//! Supervisor and workers: how a node ends, and what it survives.

use std::time::Duration;

use http_body_util::BodyExt as _;
use midge_testkit::http::{Client, RawConnection, collect, get, whole};
use midge_testkit::{process, wait_until, wait_until_async};
use tokio::task::JoinSet;

use crate::kit::{Site, serve, server};

#[test]
fn there_are_as_many_workers_as_asked_for() {
    let midge = server("http02-tiny.wasm").args(["--workers", "3"]).start();
    assert_eq!(midge.workers().len(), 3);
}

#[tokio::test]
async fn one_worker_is_no_process_of_its_own() {
    let midge = server("http02-tiny.wasm").args(["--workers", "1"]).start();
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    assert!(midge.workers().is_empty());
    let mut midge = midge;
    midge.signal("TERM");
    assert_eq!(midge.wait_for_exit().code(), Some(0));
}

#[tokio::test]
async fn a_worker_that_is_killed_is_replaced() {
    let midge = serve("http02-tiny.wasm");
    let before = midge.workers();
    process::signal(before[0], "KILL");
    wait_until("there is a new worker", || {
        let now = midge.workers();
        now.len() == before.len() && !now.contains(&before[0])
    });
    midge.wait_until_said("worker ended, replacing it");
    // With every old worker gone, only new ones can answer.
    for &old in &before[1..] {
        process::signal(old, "KILL");
    }
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    assert!(
        midge
            .workers()
            .iter()
            .all(|worker| !before.contains(worker))
    );
}

#[tokio::test]
async fn a_worker_that_dies_again_and_again_is_backed_off_and_reported() {
    let midge = server("http02-tiny.wasm").args(["--workers", "2"]).start();
    let survivor = midge.workers()[0];
    for _ in 0..6 {
        wait_until("both workers run", || midge.workers().len() == 2);
        let young = midge
            .workers()
            .into_iter()
            .find(|&worker| worker != survivor);
        process::signal(young.unwrap(), "KILL");
        wait_until("it is gone", || !midge.workers().contains(&young.unwrap()));
        // The other one keeps answering.
        assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    }
    wait_until("all deaths are reported", || {
        midge.said().matches("SIGKILL").count() == 6
    });
    assert!(midge.workers().contains(&survivor));
}

#[tokio::test]
async fn workers_do_not_outlive_their_supervisor() {
    let midge = serve("http02-tiny.wasm");
    let workers = midge.workers();
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    midge.signal("KILL");
    wait_until("all workers are gone", || {
        workers.iter().all(|&worker| !process::is_alive(worker))
    });
}

/// A hundred requests whose answers have begun and are not over.
async fn hundred_slow_answers(midge: &midge_testkit::Midge) -> JoinSet<bool> {
    let mut answers = JoinSet::new();
    for _ in 0..100 {
        let mut client = Client::http1(midge.addr()).await.unwrap();
        let request = http::Request::get("/?n=5&size=10&delay_ms=150").body(whole(""));
        let response = client.begin(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        answers.spawn(async move {
            let (body, _) = collect(&mut response.into_body()).await;
            drop(client);
            body.is_ok_and(|body| body.len() == 50)
        });
    }
    answers
}

#[tokio::test]
async fn an_order_to_end_lets_a_hundred_requests_finish() {
    for signal in ["TERM", "INT"] {
        let mut midge = server("http02-stream.wasm")
            .args(["--grace", "30s"])
            .start();
        let answers = hundred_slow_answers(&midge).await;
        midge.signal(signal);
        let whole = answers.join_all().await;
        assert_eq!(whole, [true; 100], "{signal}");
        assert_eq!(midge.wait_for_exit().code(), Some(0), "{signal}");
        midge.wait_until_said("drained finished=");
    }
}

#[tokio::test]
async fn requests_sent_while_a_node_ends_are_answered_or_refused_never_cut() {
    let mut midge = server("http02-stream.wasm")
        .args(["--grace", "30s"])
        .start();
    let addr = midge.addr();
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        clients.spawn(async move {
            let mut whole = 0;
            // Ends once nobody listens any more, or once the connection was closed between two
            // requests, which a client may try again without a second thought.
            while let Ok(answer) = get(addr, "/?n=3&size=10&delay_ms=5").await {
                if answer.status == 200 {
                    assert_eq!(answer.body.unwrap().len(), 30);
                    whole += 1;
                } else {
                    assert_eq!(answer.status, 503);
                }
            }
            whole
        });
    }
    wait_until_async("requests are answered", async || {
        midge.said().contains("status=200")
    })
    .await;
    midge.signal("TERM");
    let whole: usize = clients.join_all().await.into_iter().sum();
    assert!(whole > 0);
    assert_eq!(midge.wait_for_exit().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let mut midge = server("http02-tiny.wasm").args(["--grace", "10m"]).start();
    let mut kept = Client::http1(midge.addr()).await.unwrap();
    kept.get("/").await.unwrap();
    let _kept2 = Client::http2(midge.addr()).await.unwrap();
    let _silent = RawConnection::open(midge.addr());
    midge.signal("TERM");
    assert_eq!(midge.wait_for_exit().code(), Some(0));
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_cut_and_told() {
    let mut midge = server("http02-never.wasm")
        .args(["--grace", "300ms"])
        .start();
    let mut client = Client::http1(midge.addr()).await.unwrap();
    let request = http::Request::get("/?after=head").body(whole("")).unwrap();
    let mut body = client.begin(request).await.unwrap().into_body();
    midge.signal("TERM");
    let (rest, _) = collect(&mut body).await;
    assert!(rest.is_err(), "half an answer must not look whole");
    assert_eq!(midge.wait_for_exit().code(), Some(1));
    midge.wait_until_said("grace period over, requests cut");
}

#[tokio::test]
async fn a_second_interrupt_ends_at_once() {
    let mut midge = server("http02-never.wasm")
        .args(["--grace", "10m", "--time", "10m"])
        .start();
    let workers = midge.workers();
    let mut client = Client::http1(midge.addr()).await.unwrap();
    let request = http::Request::get("/?after=head").body(whole("")).unwrap();
    let mut body = client.begin(request).await.unwrap().into_body();
    midge.signal("INT");
    midge.wait_until_said("draining");
    midge.signal("INT");
    assert_eq!(midge.wait_for_exit().code(), Some(130));
    assert!(body.frame().await.is_none_or(|frame| frame.is_err()));
    wait_until("the workers are gone too", || {
        workers.iter().all(|&worker| !process::is_alive(worker))
    });
}

#[tokio::test]
async fn a_port_is_free_again_once_its_node_has_ended() {
    let mut midge = serve("http02-tiny.wasm");
    let addr = midge.addr();
    get(addr, "/").await.unwrap();
    midge.signal("TERM");
    midge.wait_for_exit();
    std::net::TcpListener::bind(addr).unwrap();
}

#[tokio::test]
async fn the_environment_of_the_host_reaches_no_guest() {
    let site = Site::of(&[
        ("http", "http02-env.wasm", ""),
        ("cgi", "command01-echo.wasm", ""),
    ]);
    for workers in ["1", "2"] {
        let midge = site
            .server()
            .args(["--workers", workers])
            .env("SECRET_OF_THE_HOST", "leaked")
            .start();
        for path in ["/http/", "/cgi/?vars"] {
            let text = get(midge.addr(), path).await.unwrap().text();
            assert!(!text.contains("leaked"), "{path}: {text}");
        }
        for worker in midge.workers() {
            let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
            let environment = String::from_utf8_lossy(&environment).into_owned();
            assert!(!environment.contains("leaked"), "{environment}");
        }
    }
}

/// As a promise it is 100 ms in a release build; here only that nothing stands in the way.
#[tokio::test]
async fn a_second_start_answers_soon() {
    drop(serve("http02-tiny.wasm"));
    let started = tokio::time::Instant::now();
    let midge = serve("http02-tiny.wasm");
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}
