//! What one invocation may use up: processor time, bytes of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use midge_model::Outcome;
use midge_sandbox::RequestBody;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use crate::kit::{Guest, invoke, next_frame, reply};

const CPU: Duration = Duration::from_millis(100);

/// A guest that has seconds of time and little of the processor.
fn short_of_cpu(fixture: &str) -> Guest {
    Guest::of(fixture).limits(|limits| {
        limits.cpu = CPU;
        limits.memory_bytes = 256 << 20;
    })
}

fn request(path: &str) -> Request<RequestBody> {
    Request::get(path).body(RequestBody::empty()).unwrap()
}

/// Threads that compute as long as this lives.
struct Load(Arc<AtomicBool>);

impl Load {
    fn of(threads: usize) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let ended = Arc::clone(&ended);
            std::thread::spawn(move || while !ended.load(Ordering::Relaxed) {});
        }
        Self(ended)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn used_by_this_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

#[test]
fn a_guest_that_computes_is_out_of_cpu_in_every_contract() {
    for (fixture, path) in [
        ("http02-busy.wasm", "/"),
        ("http02-busy.wasm", "/?fill"),
        ("http03-busy.wasm", "/"),
        ("command01-exit.wasm", "/?how=busy"),
    ] {
        let started = Instant::now();
        let ended = short_of_cpu(fixture).get(path).unwrap_err();
        assert_eq!(ended, Outcome::OutOfCpu { limit: CPU }, "{fixture} {path}");
        assert!(started.elapsed() >= CPU, "{fixture} {path}");
    }
}

#[test]
fn a_guest_that_computes_after_its_head_is_cut_off() {
    let reply = short_of_cpu("http02-busy.wasm")
        .get("/?after=head")
        .unwrap();
    assert_eq!(reply.body, Err(Outcome::OutOfCpu { limit: CPU }));
}

#[test]
fn waiting_is_not_computing() {
    let guest =
        Guest::of("http02-stream.wasm").limits(|limits| limits.cpu = Duration::from_millis(50));
    let started = Instant::now();
    let reply = guest.get("/?n=10&hold_ms=300&delay_ms=30").unwrap();
    assert!(started.elapsed() > Duration::from_millis(500));
    assert_eq!(reply.text().len(), 160);
}

/// By the clock on the wall the guest would be ended with half of its limit used, or less.
#[test]
fn time_that_others_compute_is_not_the_guests() {
    let _load = Load::of(6);
    short_of_cpu("http02-busy.wasm").run(async |function| {
        let (used_before, started) = (used_by_this_thread(), Instant::now());
        let ended = invoke(&function, request("/")).await.err().unwrap();
        assert_eq!(ended, Outcome::OutOfCpu { limit: CPU });
        let used = used_by_this_thread() - used_before;
        let took = started.elapsed();
        // The first stints are estimated.
        assert!(
            used >= CPU - Duration::from_millis(6),
            "{used:?} in {took:?}"
        );
    });
}

#[test]
fn an_answer_tells_what_it_cost() {
    Guest::of("http02-busy.wasm").run(async |function| {
        let answer = invoke(&function, request("/?ms=50")).await.unwrap();
        assert!(answer.cpu > Duration::ZERO && answer.cpu <= answer.run + answer.instantiate);
        let quick = invoke(&function, request("/?ms=0")).await.unwrap();
        assert!(quick.cpu < answer.cpu);
    });
}

#[test]
fn an_answer_that_grows_too_large_is_cut_off() {
    for fixture in [
        "http02-echo.wasm",
        "http03-echo.wasm",
        "command01-echo.wasm",
    ] {
        let guest = || Guest::of(fixture).limits(|limits| limits.response_body_bytes = 10_000);
        let fits = guest().post("/", vec![b'x'; 5_000]).unwrap();
        assert!(fits.body.is_ok(), "{fixture}");
        let cut = guest().post("/", vec![b'x'; 500_000]).unwrap();
        let limit_bytes = 10_000;
        assert_eq!(
            cut.body,
            Err(Outcome::ResponseTooLarge { limit_bytes }),
            "{fixture}"
        );
    }
}

#[test]
fn the_last_byte_of_an_answer_fits() {
    let guest = |bytes_max| {
        Guest::of("http02-stream.wasm").limits(|limits| limits.response_body_bytes = bytes_max)
    };
    assert!(guest(160).get("/?n=10&size=16").unwrap().body.is_ok());
    assert!(guest(159).get("/?n=10&size=16").unwrap().body.is_err());
    assert!(guest(0).get("/?n=0").unwrap().body.is_ok());
}

/// A command that declares `bytes` of a body and writes none of them.
fn declares(bytes: u64) -> Guest {
    let head = format!("Content-Type: text/plain\\nContent-Length: {bytes}\\n\\n");
    // Each end of line is two letters in the source.
    let length = head.len() - 3;
    let source = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\{length:02x}\00\00\00")
            (data (i32.const 16) "{head}")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    );
    Guest::from_bytes(source.as_bytes()).limits(|limits| limits.response_body_bytes = 10_000)
}

#[test]
fn an_answer_that_says_it_is_too_large_never_begins() {
    let limit_bytes = 10_000;
    let told = declares(10_001).get("/").unwrap_err();
    assert_eq!(told, Outcome::ResponseTooLarge { limit_bytes });
    assert_eq!(
        declares(10_000).get("/").unwrap().header("content-length"),
        "10000"
    );
    let head = Request::head("/").body(RequestBody::empty()).unwrap();
    let told = declares(10_001).send(head).unwrap();
    assert_eq!(
        told.header("content-length"),
        "10001",
        "it has no body to be too large"
    );
}

#[test]
fn who_answers_too_much_is_ended() {
    let guest = Guest::of("http02-stream.wasm").limits(|limits| limits.response_body_bytes = 100);
    guest.run(async |function| {
        let (gone, seen) = tokio::sync::oneshot::channel::<()>();
        let permit = Box::new(gone);
        let request = request("/?n=1000000&size=16&delay_ms=1");
        let answer = crate::kit::invoke_with(&function, request, permit)
            .await
            .unwrap();
        let mut body = answer.response.into_body();
        while next_frame(&mut body)
            .await
            .is_some_and(|frame| frame.is_ok())
        {}
        // The permit goes with the guest.
        assert!(seen.await.is_err());
    });
}

#[test]
fn a_head_request_is_not_ended_for_what_nobody_sees() {
    let guest = Guest::of("http02-echo.wasm").limits(|limits| limits.response_body_bytes = 10);
    guest.run(async |function| {
        let head = Request::head("/").body(RequestBody::empty()).unwrap();
        let answer = invoke(&function, head).await.unwrap();
        assert!(reply(answer).await.unwrap().body.is_ok());
    });
}
