//! How many requests an invocation may send, how long they take and how much they move.

use std::net::TcpListener;

use midge_testkit::Upstream;

use super::{PROBES, ask, granted, here};

const MIB: u64 = 1 << 20;

#[test]
fn calls_beyond_the_limit_are_refused() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).limits(|limits| limits.outbound_calls = 2);
        let said = ask(guest, &format!("fetch={here}/&times=4"));
        let ok = "ok 200 9 from afar\n".repeat(2);
        let denied = "error http-request-denied\n".repeat(2);
        assert_eq!(said, ok + &denied, "{probe}");
    }
    assert_eq!(upstream.requests().len(), 4);
}

#[test]
fn a_response_without_end_stops_at_the_limit() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).limits(|limits| limits.outbound_bytes = MIB);
        let said = ask(guest, &format!("fetch={here}/endless&fetch={here}/"));
        let (endless, next) = said.split_once('\n').unwrap();
        let read: u64 = endless
            .strip_prefix("error http-response-body-size after 200 ")
            .unwrap_or_else(|| panic!("{probe}: {said}"))
            .parse()
            .unwrap();
        assert!((MIB - 100..=MIB).contains(&read), "{read}");
        assert_eq!(next, "error http-response-body-size\n", "nothing is left");
    }
}

#[test]
fn a_response_that_says_it_is_too_large_is_not_begun() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let guest = granted("http02-probe.wasm", &[&here]).limits(|limits| limits.outbound_bytes = MIB);
    let said = ask(
        guest,
        &format!("fetch={here}/bytes?1048577&fetch={here}/bytes?1048576"),
    );
    assert!(
        said.starts_with("error http-response-body-size\nok 200 1048576 x"),
        "{said}"
    );
}

#[test]
fn a_request_that_is_too_large_stops_at_the_limit() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).limits(|limits| limits.outbound_bytes = MIB);
        let said = ask(guest, &format!("fetch=POST+{here}/count&body={}", 2 * MIB));
        assert_eq!(said, "error http-request-body-size\n", "{probe}");
    }
    assert!(upstream.body_bytes() as u64 <= 2 * MIB);
}

#[test]
fn a_large_request_is_streamed() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).limits(|limits| limits.memory_bytes = 16 * MIB);
        let said = ask(guest, &format!("fetch=POST+{here}/count&body={}", 20 * MIB));
        assert_eq!(said, "ok 200 8 20971520\n", "{probe}");
    }
}

#[test]
fn a_large_response_is_streamed() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let guest = granted(probe, &[&here]).limits(|limits| limits.memory_bytes = 16 * MIB);
        let said = ask(guest, &format!("fetch={here}/bytes?{}", 20 * MIB));
        assert!(said.starts_with("ok 200 20971520 x"), "{probe}: {said}");
    }
}

/// The engine's own client cuts such a body off and calls it whole.
#[test]
fn a_response_is_whole_though_nobody_asks_how_the_request_went() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let guest = granted("http03-probe.wasm", &[&here]);
    let said = ask(guest, &format!("fetch={here}/bytes?{MIB}&forget"));
    assert!(said.starts_with("ok 200 1048576 x"), "{said}");
}

#[test]
fn fields_beyond_the_limit_are_refused() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let steps = format!("fetch={here}/field?30000&fetch={here}/field?70000&fetch={here}/");
        let said = ask(granted(probe, &[&here]), &steps);
        assert_eq!(
            said, "ok 200 0 \nerror http-response-header-section-size\nok 200 9 from afar\n",
            "{probe}"
        );
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let steps = format!("fetch={here}/never&first-byte-ms=50");
        let said = ask(granted(probe, &[&here]), &steps);
        assert_eq!(said, "error connection-read-timeout\n", "{probe}");
    }
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let steps = format!("fetch={here}/silent&between-ms=50");
        let said = ask(granted(probe, &[&here]), &steps);
        assert_eq!(
            said, "error connection-read-timeout after 200 5\n",
            "{probe}"
        );
    }
}

/// The kernel accepts for who listens; nobody speaks TLS there.
#[test]
fn a_server_that_does_not_begin_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = format!(
        "https://127.0.0.1:{}",
        listener.local_addr().unwrap().port()
    );
    for probe in PROBES {
        let steps = format!("fetch={there}/&connect-ms=50");
        let said = ask(granted(probe, &[&there]), &steps);
        assert_eq!(said, "error connection-timeout\n", "{probe}");
    }
}
