//! The bare server under the harness's own client, over HTTP/1.1 and HTTP/2 and at fixed times.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may fail like the tests themselves"
)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use midge_bench::load::client::{self, Spec};
use midge_bench::server::{Server, free_port};
use midge_bench::work::{Expect, Work};
use midge_bench::{ask, load::Loaded};
use tokio::time::Instant;

/// A bare server of two processes that answers.
fn floor(logs: &Path) -> Server {
    let port = free_port().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_midge-bench-floor"));
    command.args(["--http2", "--workers", "2", "--listen"]);
    command.arg(format!("127.0.0.1:{port}"));
    let mut server = Server::start("hyper", command, port, logs).unwrap();
    server
        .wait_for(&Work::get("/", "Hello from Rust!"))
        .unwrap();
    server
}

/// What the client process would print for these orders.
fn loaded(spec: &Spec) -> Loaded {
    let figures = client::serve(&serde_json::to_string(spec).unwrap()).unwrap();
    serde_json::from_str(&figures).unwrap()
}

#[test]
fn it_answers_over_both_protocols_and_its_time_is_seen() {
    let logs = tempfile::tempdir().unwrap();
    let server = floor(logs.path());
    let before = server.cpu().unwrap();
    let spec = Spec::get(server.port, "/", "Hello", Duration::from_millis(200));
    for http2 in [false, true] {
        let seen = loaded(&Spec {
            http2,
            connections: 2,
            streams: if http2 { 4 } else { 1 },
            ..spec.clone()
        });
        assert!(seen.answered > 10 && seen.p50_ms <= seen.p99_ms, "{seen:?}");
    }
    assert!(server.cpu().unwrap() > before);
    assert!(server.memory().unwrap().pss > 0);
}

#[test]
fn at_fixed_times_as_many_are_asked_as_were_planned() {
    let logs = tempfile::tempdir().unwrap();
    let server = floor(logs.path());
    let seen = loaded(&Spec {
        connections: 4,
        rate: Some(500.0),
        ..Spec::get(server.port, "/", "Hello", Duration::from_millis(200))
    });
    assert_eq!(seen.answered, 100);
}

#[test]
fn a_body_comes_back() {
    let logs = tempfile::tempdir().unwrap();
    let server = floor(logs.path());
    let body = Bytes::from_static(b"there and back");
    let echo = Work::post(body.clone(), "text/plain", Expect::Exactly(body));
    ask::check(server.port, &echo).unwrap();
}

#[test]
fn a_wrong_answer_is_an_error_and_no_figure() {
    let logs = tempfile::tempdir().unwrap();
    let server = floor(logs.path());
    let spec = Spec::get(
        server.port,
        "/",
        "Hello from Python!",
        Duration::from_millis(50),
    );
    let err = client::serve(&serde_json::to_string(&spec).unwrap()).unwrap_err();
    assert_eq!(format!("{err:#}"), "an answer had the wrong body");
    let work = Work::get("/", "Hello from Python!");
    let err = ask::check(server.port, &work).unwrap_err();
    assert!(
        err.to_string()
            .starts_with("the body is not what was expected"),
        "{err}"
    );
}

#[test]
fn no_process_of_it_is_left_behind() {
    let logs = tempfile::tempdir().unwrap();
    let server = floor(logs.path());
    let processes = midge_bench::proc::tree(server.pid());
    assert_eq!(processes.len(), 2);
    drop(server);
    // A worker whose parent was ended first is collected by somebody else, a moment later.
    let until = Instant::now() + Duration::from_secs(30);
    while processes
        .iter()
        .any(|pid| midge_bench::proc::cpu(*pid).is_ok())
    {
        assert!(
            Instant::now() < until,
            "one of {processes:?} is still there"
        );
        std::thread::yield_now();
    }
}
