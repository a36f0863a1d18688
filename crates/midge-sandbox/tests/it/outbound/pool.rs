//! Which requests share a connection, and how long connections last.

use std::rc::Rc;

use futures::future::join_all;
use http::Request;
use midge_sandbox::{LoadedFunction, NodePowers, RequestBody, Sandbox};
use midge_testkit::{Upstream, wait_until_async};
use tokio::task::LocalSet;

use super::{PROBES, ask, granted, here, path};
use crate::kit::{self, CONFIG, invoke, reply};

async fn fetch(function: &Rc<LoadedFunction>, steps: &str) -> String {
    let request = Request::get(path(steps))
        .body(RequestBody::empty())
        .unwrap();
    let answer = invoke(function, request).await.unwrap();
    reply(answer).await.unwrap().text()
}

#[test]
fn requests_one_after_the_other_share_a_connection() {
    for probe in PROBES {
        let upstream = Upstream::start();
        let here = here(&upstream);
        let said = ask(granted(probe, &[&here]), &format!("fetch={here}/&times=10"));
        assert_eq!(said, "ok 200 9 from afar\n".repeat(10), "{probe}");
        assert_eq!(upstream.connections(), 1, "{probe}");
    }
}

#[test]
fn invocations_of_a_function_share_its_connections_and_leave_none_behind() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    granted("http02-probe.wasm", &[&here]).run(async |function| {
        for _ in 0..5 {
            let said = fetch(&function, &format!("fetch={here}/")).await;
            assert_eq!(said, "ok 200 9 from afar\n");
        }
        assert_eq!((upstream.connections(), upstream.open()), (1, 1));
        drop(function);
        wait_until_async("they are closed with it", async || upstream.open() == 0).await;
    });
}

#[test]
fn revisions_of_a_function_share_its_connections_and_other_functions_do_not() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let powers = NodePowers::new(kit::powers()).unwrap();
    let sandbox = Sandbox::new(&CONFIG, powers).unwrap();
    let load = |name| {
        let guest = granted("http02-probe.wasm", &[&here]).named(name);
        guest.load_into(&sandbox).unwrap()
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let steps = format!("fetch={here}/");
        let old = load("shop");
        fetch(&old, &steps).await;
        let new = load("shop");
        drop(old);
        fetch(&new, &steps).await;
        assert_eq!(upstream.connections(), 1, "a deploy does not dial anew");
        fetch(&load("other"), &steps).await;
        assert_eq!(upstream.connections(), 2);
    });
}

#[test]
fn no_more_than_a_few_idle_connections_to_a_host_are_kept() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    granted("http02-probe.wasm", &[&here]).run(async |function| {
        let steps = format!("fetch={here}/bytes?100000");
        join_all((0..8).map(|_| fetch(&function, &steps))).await;
        wait_until_async("the others are closed", async || upstream.open() <= 4).await;
        assert!(upstream.open() > 0, "none is kept");
    });
}

/// A server may close a kept connection just when the next request is sent on it.
#[test]
fn a_kept_connection_that_the_server_closed_costs_no_request() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
    let here = here(&upstream);
    for probe in PROBES {
        let said = ask(granted(probe, &[&here]), &format!("fetch={here}/&times=20"));
        assert_eq!(said, "ok 200 2 hi\n".repeat(20), "{probe}");
    }
}

#[test]
fn a_response_that_is_not_read_to_its_end_closes_its_connection() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    granted("http02-probe.wasm", &[&here]).run(async |function| {
        let steps = path(&format!("pipe={here}/endless"));
        let request = Request::get(steps).body(RequestBody::empty()).unwrap();
        let answer = invoke(&function, request).await.unwrap();
        let (_, mut body) = answer.response.into_parts();
        kit::next_frame(&mut body).await.unwrap().unwrap();
        assert_eq!(upstream.open(), 1);
        drop(body);
        wait_until_async("nobody listens any more", async || upstream.open() == 0).await;
    });
}

/// The listener takes nothing in, so the guest is ended in the middle of its body. What arrived of
/// it must not look like a whole request.
#[test]
fn half_of_a_request_never_looks_like_a_whole_one() {
    for probe in PROBES {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = format!("http://{}", listener.local_addr().unwrap());
        let guest = granted(probe, &[&there]).time(std::time::Duration::from_millis(500));
        let mut arrived = Vec::new();
        guest.run(async |function| {
            let steps = path(&format!("fetch=POST+{there}/&body=50000000"));
            let request = Request::get(steps).body(RequestBody::empty()).unwrap();
            let ended = invoke(&function, request).await.err().unwrap();
            assert_eq!(ended.code(), "out-of-time");
            let (mut connection, _) = listener.accept().unwrap();
            connection.set_nonblocking(true).unwrap();
            wait_until_async(
                "the connection is closed",
                async || match std::io::Read::read_to_end(&mut connection, &mut arrived) {
                    Ok(_) => true,
                    Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
                },
            )
            .await;
        });
        assert!(arrived.starts_with(b"POST / HTTP/1.1\r\n"), "{probe}");
        assert!(
            !arrived.ends_with(b"\r\n0\r\n\r\n"),
            "{probe}: it ends well"
        );
    }
}

#[test]
fn a_guest_that_ends_takes_its_unanswered_requests_with_it() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).time(std::time::Duration::from_millis(300));
        guest.run(async |function| {
            let steps = path(&format!("fetch={here}/never"));
            let request = Request::get(steps).body(RequestBody::empty()).unwrap();
            let ended = invoke(&function, request).await.err().unwrap();
            assert_eq!(ended.code(), "out-of-time");
            wait_until_async("the request is gone", async || upstream.open() == 0).await;
        });
    }
}

/// However requests end, nothing of them is left open.
#[test]
fn descriptors_come_back() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).time(std::time::Duration::from_millis(200));
        guest.run(async |function| {
            // What is opened once per process is open now.
            fetch(&function, &format!("fetch={here}/")).await;
            wait_until_async("the server has it", async || upstream.open() == 1).await;
            let before = open();
            let steps = [
                format!("fetch={here}/endless&fetch={here}/"),
                format!("fetch={here}/never&first-byte-ms=20"),
                format!("fetch={here}/never"),
                format!("fetch={here}/silent"),
                format!("fetch=POST+{here}/count&body=100000&times=3"),
            ];
            for _ in 0..4 {
                let running = steps.iter().map(async |steps| {
                    let request = Request::get(path(steps)).body(RequestBody::empty());
                    if let Ok(answer) = invoke(&function, request.unwrap()).await {
                        drop(reply(answer).await);
                    }
                });
                join_all(running).await;
            }
            wait_until_async("all but the kept ones are closed", async || {
                open() <= before + 2 * 3
            })
            .await;
        });
    }
}
