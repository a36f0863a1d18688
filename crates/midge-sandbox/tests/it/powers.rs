//! Nothing is allowed that was not granted, and what is granted is bounded.

use std::net::TcpListener;

use midge_model::{DirGrant, Outcome};

use crate::kit::Guest;

/// What came of it, and whether anybody got as far as the listener.
fn check(what: &str) -> (String, bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let here = listener.local_addr().unwrap().to_string();
    let path = format!("/?{}", what.replace("HERE", &here));
    let reply = Guest::of("http02-outside.wasm").get(&path).unwrap();
    (reply.text().trim().to_owned(), listener.accept().is_ok())
}

#[test]
fn an_outbound_request_is_denied() {
    let (came_of_it, reached) = check("http=HERE");
    assert_eq!(came_of_it, "ErrorCode::HttpRequestDenied");
    assert!(!reached);
}

#[test]
fn a_socket_is_denied() {
    let (came_of_it, reached) = check("tcp=HERE");
    assert!(came_of_it.contains("access-denied"), "{came_of_it}");
    assert!(!reached);
}

#[test]
fn a_name_is_not_looked_up() {
    // Not even a name of which nobody is asked.
    let (came_of_it, _) = check("dns=localhost");
    assert!(came_of_it.contains("access-denied"), "{came_of_it}");
}

/// Opens the file `f` of its first folder until that fails or 2,000 are open, and exits with a
/// sixteenth of how many were.
const OPENS_FILES: &str = r#"
    (module
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "f")
        (func (export "_start") (local $open i32)
            (loop $more
                (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)
                        (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))
                    (then (call $exit (i32.div_u (local.get $open) (i32.const 16)))))
                (local.set $open (i32.add (local.get $open) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $open) (i32.const 2000))))
            (call $exit (i32.const 125))))
"#;

#[test]
fn a_preview_1_guest_cannot_take_all_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "").unwrap();
    let grant: DirGrant = format!("{}:/data:ro", dir.path().display())
        .parse()
        .unwrap();
    let guest = Guest::from_bytes(OPENS_FILES.as_bytes());
    match guest
        .grants(|grants| grants.dirs.push(grant))
        .get("/")
        .unwrap_err()
    {
        // The end of the table is an error or a trap, as the engine has it.
        Outcome::Exited { code } => assert!((1..=32).contains(&code), "{code} times 16"),
        outcome => assert_eq!(outcome.code(), "trapped", "{outcome:?}"),
    }
}
