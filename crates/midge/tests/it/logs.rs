//! What comes out on stderr: ours, the guests', and how much of it.

use midge_testkit::http::get;
use midge_testkit::{MidgeBuilder, wait_until};

use crate::kit::{BINARY, Site, serve, server};

#[tokio::test]
async fn each_line_of_a_guest_names_its_function() {
    let site = Site::of(&[
        ("one", "http02-log.wasm", ""),
        ("two", "http02-log.wasm", ""),
    ]);
    let midge = site.server().start();
    get(midge.addr(), "/one/?stdout=spoken&stderr=whispered")
        .await
        .unwrap();
    get(midge.addr(), "/two/?stdout=other&open").await.unwrap();
    for line in [
        "[one] spoken\n",
        "[one] whispered\n",
        "[two] other\n",
        "[two] no end of line\n",
    ] {
        midge.wait_until_said(line);
    }
}

#[tokio::test]
async fn a_commands_stderr_is_its_log_and_its_stdout_is_not() {
    let midge = serve("command01-exit.wasm");
    get(midge.addr(), "/?code=0&out=before").await.unwrap();
    midge.wait_until_said("[command01-exit] about to end\n");
    assert!(!midge.said().contains("written before the end"));
}

#[tokio::test]
async fn a_guest_cannot_write_to_the_terminal_behind_the_log() {
    let midge = serve("http02-log.wasm");
    get(midge.addr(), "/?control&raw").await.unwrap();
    midge.wait_until_said("not UTF-8\n");
    let said = midge.said();
    assert!(said.contains("red"), "{said}");
    let controls: Vec<char> = said
        .chars()
        .filter(|letter| letter.is_control() && *letter != '\n')
        .collect();
    assert!(controls.is_empty(), "{said:?}");
}

#[tokio::test]
async fn a_long_line_is_cut_into_several() {
    let midge = serve("http02-log.wasm");
    get(midge.addr(), "/?long=20000&stdout=after")
        .await
        .unwrap();
    midge.wait_until_said("outcome=");
    let said = midge.said();
    let longest = said.lines().map(str::len).max().unwrap();
    assert!(longest < 8_000, "{longest}");
    let letters: usize = said
        .lines()
        .filter_map(|line| line.strip_prefix("[http02-log] l"))
        .map(|rest| rest.len() + 1)
        .sum();
    assert_eq!(letters, 20_000);
}

#[tokio::test]
async fn a_flood_is_bounded_and_said_to_be() {
    let midge = serve("http02-log.wasm");
    let text = "f".repeat(1000);
    get(midge.addr(), &format!("/?stderr={text}&repeat=5000"))
        .await
        .unwrap();
    midge.wait_until_said("[http02-log] further output of this invocation is dropped");
    midge.wait_until_said("outcome=");
    let said_bytes = midge.said().len();
    assert!(said_bytes < 400_000, "{said_bytes} bytes of 5 MB");
    // The next invocation has its own allowance.
    get(midge.addr(), "/?stderr=still+heard").await.unwrap();
    midge.wait_until_said("[http02-log] still+heard\n");
}

#[tokio::test]
async fn as_json_every_line_is_an_object() {
    let midge = server("http02-log.wasm").args(["--json"]).start();
    get(midge.addr(), "/?stdout=spoken&control").await.unwrap();
    midge.wait_until_said("request served");
    let mut guest_lines = Vec::new();
    for line in midge.said().lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect(line);
        if event["target"] == "guest" {
            assert_eq!(event["namespace"], "default");
            assert_eq!(event["function"], "http02-log");
            assert_eq!(event["revision"], "r1");
            assert!(event["request_id"].is_string(), "{event}");
            guest_lines.push(event["line"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(guest_lines[0], "spoken");
    assert_eq!(guest_lines.len(), 2);
}

#[tokio::test]
async fn when_quiet_nothing_is_said() {
    let midge = server("http02-log.wasm").args(["--quiet"]).start_unheard();
    let answer = get(midge.addr(), "/?stdout=spoken&stderr=whispered").await;
    assert_eq!(answer.unwrap().status, 200);
    midge.signal("TERM");
    let mut midge = midge;
    assert_eq!(midge.wait_for_exit().code(), Some(0));
    assert_eq!(midge.said(), "");
}

#[tokio::test]
async fn a_request_leaves_one_line_with_its_outcome() {
    let midge = serve("http02-trap.wasm");
    get(midge.addr(), "/?at=before").await.unwrap();
    get(midge.addr(), "/?at=none").await.unwrap();
    let lines = |midge: &midge_testkit::Midge| {
        let said = midge.said();
        let served = said.lines().filter(|line| line.contains("request served"));
        served.map(str::to_owned).collect::<Vec<_>>()
    };
    wait_until("two lines are there", || lines(&midge).len() == 2);
    let lines = lines(&midge);
    let (trapped, served) = (&lines[0], &lines[1]);
    assert!(trapped.contains("outcome=\"trapped\""), "{trapped}");
    assert!(trapped.contains("status=502"), "{trapped}");
    assert!(served.contains("outcome=\"responded\""), "{served}");
    assert!(served.contains("function=http02-trap"), "{served}");
    // What a guest can cause is nobody's alarm.
    for level in ["WARN", "ERROR"] {
        assert!(!midge.said().contains(level), "{}", midge.said());
    }
}

#[tokio::test]
async fn each_route_is_said_when_it_is_ready() {
    let site = Site::of(&[
        (
            "one",
            "http02-tiny.wasm",
            r#"routes = ["GET /a/{id}", "shop.example/*"]"#,
        ),
        ("two", "http02-tiny.wasm", ""),
    ]);
    let midge = site.server().start();
    let said = midge.said();
    let said = said.replace(&midge.addr().to_string(), "ADDR");
    insta::assert_snapshot!(said, @r"
    GET /a/{id}     -> one
    shop.example/*  -> one
    /two/*          -> two
    listening on http://ADDR
    ");
}

/// Asks for a socket's end that is none, a hundred times; the engine warns each time.
const SHUTS_DOWN_NO_SOCKET: &str = r#"
    (module
        (import "wasi_snapshot_preview1" "sock_shutdown" (func $shut (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (local $done i32)
            (loop $again
                (drop (call $shut (i32.const 1) (i32.const 3)))
                (local.set $done (i32.add (local.get $done) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $done) (i32.const 100))))))
"#;

#[tokio::test]
async fn the_engines_own_warnings_about_a_guest_are_not_logged() {
    let folder = tempfile::tempdir().unwrap();
    let guest = folder.path().join("shuts.wat");
    std::fs::write(&guest, SHUTS_DOWN_NO_SOCKET).unwrap();
    let midge = MidgeBuilder::run(BINARY, &guest).start();
    get(midge.addr(), "/").await.unwrap();
    midge.wait_until_said("outcome=");
    let said = midge.said();
    assert!(!said.contains("wasmtime"), "{said}");
}
