//! Every way an invocation can end, and whose fault it is.

use std::time::Duration;

use http::Request;
use midge_model::{Blame, Outcome};
use midge_sandbox::RequestBody;
use tokio::time::Instant;

use crate::kit::{Guest, Reply, invoke, next_frame};

/// The code of the outcome, and what the client has got by then.
fn check(ended: Result<Reply, Outcome>) -> String {
    match ended {
        Err(outcome) => {
            assert_ne!(outcome.blame(), Some(Blame::Host), "{outcome:?}");
            outcome.code().to_owned()
        }
        Ok(Reply {
            status,
            body: Ok(_),
            ..
        }) => format!("{status}, whole"),
        Ok(Reply {
            status,
            body: Err(outcome),
            ..
        }) => {
            format!("{status}, cut short: {}", outcome.code())
        }
    }
}

#[test]
fn a_trap_before_the_response_is_the_outcome() {
    assert_eq!(
        check(Guest::of("http02-trap.wasm").get("/?at=before")),
        "trapped"
    );
    assert_eq!(
        check(Guest::of("http03-trap.wasm").get("/?at=before")),
        "trapped"
    );
}

#[test]
fn a_trap_in_the_middle_never_looks_like_a_whole_body() {
    for fixture in ["http02-trap.wasm", "http03-trap.wasm"] {
        let ended = check(Guest::of(fixture).get("/?at=mid"));
        assert!(
            ended == "200 OK, cut short: trapped" || ended == "trapped",
            "{fixture}: {ended}"
        );
    }
}

#[test]
fn no_trap_no_harm() {
    assert_eq!(
        check(Guest::of("http02-trap.wasm").get("/?at=none")),
        "200 OK, whole"
    );
    assert_eq!(
        check(Guest::of("http03-trap.wasm").get("/?at=none")),
        "200 OK, whole"
    );
}

#[test]
fn a_guest_that_sets_no_response_is_told_apart_from_a_trap() {
    assert_eq!(
        check(Guest::of("http02-no-response.wasm").get("/")),
        "no-response"
    );
}

#[test]
fn a_guest_that_never_responds_ends_at_its_deadline() {
    let guest = Guest::of("http02-never.wasm").time(Duration::from_millis(100));
    assert_eq!(check(guest.get("/")), "out-of-time");
}

#[test]
fn a_busy_guest_ends_at_its_deadline_in_every_contract() {
    for fixture in ["http02-busy.wasm", "http03-busy.wasm"] {
        let guest = Guest::of(fixture).time(Duration::from_millis(100));
        assert_eq!(check(guest.get("/")), "out-of-time", "{fixture}");
    }
}

#[test]
fn a_busy_guest_leaves_time_to_others() {
    let guest = Guest::of("http02-busy.wasm").time(Duration::from_millis(500));
    guest.run(async |function| {
        let request = Request::get("/").body(RequestBody::empty()).unwrap();
        let started = Instant::now();
        let mut busy = std::pin::pin!(invoke(&function, request));
        let mut turns = 0;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_millis(5)) => turns += 1,
                ended = &mut busy => {
                    assert!(matches!(ended, Err(Outcome::OutOfTime { .. })));
                    break;
                }
            }
        }
        let possible_turns = started.elapsed().as_millis() / 5;
        assert!(
            turns * 3 > possible_turns,
            "{turns} of {possible_turns} turns"
        );
    });
}

#[test]
fn a_command_that_fails_before_output_has_no_response() {
    assert_eq!(
        check(Guest::of("command01-exit.wasm").get("/?code=3&out=none")),
        "exited"
    );
}

#[test]
fn a_command_that_ends_with_0_succeeded() {
    let ended = check(Guest::of("command01-exit.wasm").get("/?code=0&out=before"));
    assert_eq!(ended, "200 OK, whole");
}

#[test]
fn a_client_that_goes_away_ends_the_guest() {
    Guest::of("http02-stream.wasm").run(async |function| {
        let request = Request::get("/?n=1000&size=10&delay_ms=20").body(RequestBody::empty());
        let alive = std::rc::Rc::new(());
        let watched = std::rc::Rc::downgrade(&alive);
        let answer = crate::kit::invoke_with(&function, request.unwrap(), Box::new(alive)).await;
        let mut body = answer.unwrap().response.into_body();
        next_frame(&mut body).await.unwrap().unwrap();
        drop(body);
        // The permit is dropped with the guest's task and not before.
        while watched.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn an_instance_never_sees_another_ones_memory() {
    Guest::of("http02-canary.wasm").run(async |function| {
        for _ in 0..100 {
            let request = Request::get("/").body(RequestBody::empty()).unwrap();
            let answer = invoke(&function, request).await.unwrap();
            let reply = crate::kit::reply(answer).await.unwrap();
            assert_eq!(reply.text().trim(), "fresh");
        }
    });
}

/// A command that fills a memory for ever: each fill is one instruction of 64 MiB
/// (GHSA-2hw9-mc66-jc2q is about traps in the middle of such).
const FILLS_FOR_EVER: &str = r#"
    (module
        (memory (export "memory") 1024)
        (func (export "_start")
            (loop $again
                (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
                (br $again))))
"#;

#[test]
fn a_deadline_holds_inside_bulk_operations() {
    let guest = Guest::from_bytes(FILLS_FOR_EVER.as_bytes()).time(Duration::from_millis(100));
    assert_eq!(check(guest.get("/")), "out-of-time");
}

/// A guest chooses its functions' names; rendering them must cost us nothing.
#[test]
fn the_reason_of_a_trap_is_short_whatever_a_function_is_called() {
    let name = "_ZN".repeat(20_000);
    let source = format!(r#"(module (func ${name} (export "_start") (call ${name})))"#);
    let Err(Outcome::Trapped { reason }) = Guest::from_bytes(source.as_bytes()).get("/") else {
        panic!("endless recursion must trap");
    };
    assert!(
        reason.starts_with("wasm trap: call stack exhausted"),
        "{reason}"
    );
    assert!(reason.len() < 4_000, "{} bytes", reason.len());
}
