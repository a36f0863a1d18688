//! That what guests write stays resident, and nobody ever sees anything of it.

use std::rc::Rc;

use http::Request;
use midge_sandbox::{LoadedFunction, NodePowers, RequestBody, ResetMechanism, Sandbox, Scans};
use tokio::task::LocalSet;

use crate::kit::{CONFIG, Guest, invoke, powers, reply};

/// Writes every third of 180 pages, and before that looks at all of its memory. In the pages
/// between, some of which the file brings along, nothing is ever written.
const SCATTERS: &str = r#"
    (module
        (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 16)
        (data (i32.const 16) "fresh\n")
        (data (i32.const 32) "stale\n")
        (data (i32.const 20480) "brought along")
        (data (i32.const 413696) "brought along")
        (func (export "_start")
            (local $at i32)
            (call $say (select (i32.const 16) (i32.const 32) (call $is_fresh)))
            (loop $next
                (memory.fill (local.get $at) (i32.const 0xa5) (i32.const 4096))
                (local.set $at (i32.add (local.get $at) (i32.const 12288)))
                (br_if $next (i32.lt_u (local.get $at) (i32.const 737280)))))
        (func $say (param $text i32)
            (i32.store (i32.const 0) (local.get $text))
            (i32.store (i32.const 4) (i32.const 6))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func $is_fresh (result i32)
            (i32.and
                (i32.and
                    (call $is_brought_along (i32.const 20480))
                    (call $is_brought_along (i32.const 413696)))
                (i32.and
                    (call $is_zero (i32.const 4096) (i32.const 20480))
                    (i32.and
                        (call $is_zero (i32.const 20496) (i32.const 413696))
                        (call $is_zero (i32.const 413712) (i32.const 1048576))))))
        (func $is_brought_along (param $at i32) (result i32)
            (i64.eq (i64.load (local.get $at)) (i64.const 0x20746867756f7262)))
        (func $is_zero (param $at i32) (param $end i32) (result i32)
            (loop $next
                (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 0))))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
            (i32.const 1)))
"#;

/// Invocations whose faults are counted.
const COUNTED: u64 = 50;

/// Runs a guest so often, and says how many page faults each invocation had.
async fn faults(function: &Rc<LoadedFunction>, invocations: u64) -> u64 {
    let before = faults_so_far();
    for _ in 0..invocations {
        let request = Request::get("/").body(RequestBody::empty()).unwrap();
        let answer = invoke(function, request).await.unwrap();
        assert_eq!(reply(answer).await.unwrap().text(), "fresh\n");
    }
    (faults_so_far() - before) / invocations
}

fn faults_so_far() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}

#[test]
fn scattered_pages_are_faulted_in_once_and_instances_are_fresh() {
    let sandbox = Sandbox::new(&CONFIG, NodePowers::new(powers()).unwrap()).unwrap();
    let guest = Guest::from_bytes(SCATTERS.as_bytes());
    let function = guest.load_into(&sandbox).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let first = faults(&function, 1).await;
        let later = faults(&function, COUNTED).await;
        if sandbox.engine().reset_mechanism() == ResetMechanism::WrittenPages {
            assert!(first >= 60, "{first} faults, of 60 written pages");
            assert!(later <= 5, "{later} faults, and {first} before");
            assert!(Scans::so_far().merged > 0);
        } else {
            println!("everything is given back here: {first} faults, then {later}");
        }
    });
}
