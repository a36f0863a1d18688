//! `shared`, as users see it: requests at the same time have one instance, and are told which.

use futures::future::join_all;
use midge_testkit::http::{get, post};

use crate::kit::{Site, server};

const KEPT: &str = "http03-kept.wasm";

/// What a receipt says of the instance.
fn instance(receipt: &str) -> &str {
    let (_, instance) = receipt.split_once("instance;desc=").unwrap();
    instance.split(',').next().unwrap()
}

#[tokio::test]
async fn requests_at_the_same_time_have_one_instance_and_the_receipt_says_which() {
    let flags = ["--isolation", "shared", "--workers", "1", "--receipt"];
    let node = server(KEPT).args(flags).start();
    let addr = node.addr();
    let frees = async {
        // Three that wait and this one.
        while !get(addr, "/").await.unwrap().text().ends_with(" 4") {}
        get(addr, "/?release").await.unwrap()
    };
    let held = join_all((0..3).map(|_| get(addr, "/?hold")));
    let (held, last) = futures::join!(held, frees);
    let number = instance(last.header("server-timing")).to_owned();
    for answer in held {
        let answer = answer.unwrap();
        assert_eq!(instance(answer.header("server-timing")), number);
    }
}

#[tokio::test]
async fn a_manifest_says_how_many_and_how_long() {
    let lines = "isolation = { level = \"shared\", requests = 2, concurrency = 3 }";
    let site = Site::of(&[("kept", KEPT, lines)]);
    let node = site.server().args(["--workers", "1"]).start();
    let mut asked = String::new();
    for _ in 0..5 {
        let answer = get(node.addr(), "/kept").await.unwrap().text();
        asked += answer.split(' ').next().unwrap();
    }
    assert_eq!(asked, "12121");
}

#[tokio::test]
async fn a_request_that_nobody_read_holds_up_no_connection() {
    let flags = ["--isolation", "shared", "--workers", "1"];
    let node = server(KEPT).args(flags).start();
    for nth in 1..=3 {
        let body = "x".repeat(1 << 20);
        let answer = post(node.addr(), "/", body).await.unwrap();
        assert!(answer.text().starts_with(&nth.to_string()));
    }
}

/// Nobody can tell which of those in an instance it is that speaks.
#[tokio::test]
async fn what_a_guest_writes_is_said_in_the_instances_name() {
    let flags = ["--isolation", "shared", "--workers", "1", "--receipt"];
    let node = server(KEPT).args(flags).args(["--json"]).start();
    let answer = get(node.addr(), "/?log=spoken").await.unwrap();
    let number = instance(answer.header("server-timing")).trim_matches('"');
    node.wait_until_said("\"line\":\"spoken\"");
    let said = node.said();
    let line = said.lines().find(|line| line.contains("spoken")).unwrap();
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["request_id"], format!("instance-{number}"));
}
