//! `serial`, as users see it: an instance answers again, and says so.

use insta::assert_snapshot;
use midge_testkit::http::{get, post};

use crate::kit::{Site, midge, server};

const KEPT: &str = "http02-kept.wasm";

#[tokio::test]
async fn an_instance_answers_again_and_the_receipt_says_which() {
    let flags = ["--isolation", "serial", "--workers", "1", "--receipt"];
    let node = server(KEPT).args(flags).start();
    for nth in 1..=3 {
        let answer = get(node.addr(), "/").await.unwrap();
        assert_eq!(answer.text(), nth.to_string());
        let receipt = answer.header("server-timing").to_owned();
        assert!(
            receipt.ends_with(&format!("nth;desc=\"{nth}\"")),
            "{receipt}"
        );
    }
}

#[tokio::test]
async fn a_manifest_says_how_long() {
    let lines = "isolation = { level = \"serial\", requests = 2 }";
    let site = Site::of(&[("kept", KEPT, lines)]);
    let node = site.server().args(["--workers", "1"]).start();
    let mut answers = String::new();
    for _ in 0..5 {
        answers += &get(node.addr(), "/kept").await.unwrap().text();
    }
    assert_eq!(answers, "12121");
}

/// The connection needs what a guest left of a request's body for the next one.
#[tokio::test]
async fn a_request_that_is_kept_is_taken_back() {
    let flags = ["--isolation", "serial", "--workers", "1"];
    let node = server(KEPT).args(flags).start();
    for nth in 1..=3 {
        let body = "x".repeat(1 << 20);
        let answer = post(node.addr(), "/?request=1", body).await.unwrap();
        assert_eq!(answer.text(), nth.to_string());
    }
}

#[test]
fn what_cannot_be_asked_again_is_refused() {
    assert_snapshot!(midge(&["run", "command02-echo.wasm", "--isolation", "serial"]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: function command02-echo: `command02-echo.wasm`: isolation `serial` is not for this file: a command runs once, from the start of its `main` to its end

    hint: isolation = "fresh"
    "#);
    assert_snapshot!(midge(&["run", "http02-echo.wasm", "--isolation", "shared"]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: function http02-echo: `http02-echo.wasm`: isolation `shared` is not for this file: an HTTP handler of WASI 0.2 answers one request at a time

    hint: isolation = "serial"
    "#);
    assert_snapshot!(midge(&["run", "http02-tiny.wasm", "--isolation", "thread"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'thread' for '--isolation <LEVEL>': isolation `thread` is unknown, write `fresh`, `serial` or `shared`

    For more information, try '--help'.
    ");
}
