//! What can be seen of a node from its control door.

use futures::StreamExt as _;
use http::{HeaderMap, Method};
use midge_api::InvokeRequest;
use midge_testkit::{process, wait_until_async};

use super::kit::{Node, Store, name, ns, revision};

#[tokio::test]
async fn lines_of_guests_are_kept_and_followed() {
    let store = Store::new();
    for workers in ["1", "2"] {
        let node = store.start(store.serve().args(["--workers", workers]));
        node.deploy("talk", "http02-log.wasm", 1).await;
        node.get("anywhere", "/talk/?stdout=hello&stderr=oops")
            .await;
        wait_until_async("the lines are kept", async || {
            lines(&node).await == ["stdout hello", "stderr oops"]
        })
        .await;
        let page = node.client.logs(&ns(), &name("talk"), None).await.unwrap();
        assert_eq!(page.items[0].revision, Some(revision(1)));
        assert!(page.items[0].request_id.is_some());
        let follow = node.client.follow_logs(&ns(), &name("talk"), Some(1)).await;
        let mut follow = follow.unwrap();
        node.get("anywhere", "/talk/?stdout=more").await;
        let line = loop {
            let line = follow.next().await.unwrap().unwrap();
            if line.line == "more" {
                break line;
            }
        };
        assert_eq!(line.stream, "stdout");
        stop(node);
    }
}

async fn lines(node: &Node) -> Vec<String> {
    let page = node.client.logs(&ns(), &name("talk"), None).await.unwrap();
    let lines = page.items.into_iter();
    lines
        .map(|line| format!("{} {}", line.stream, line.line))
        .collect()
}

fn stop(mut node: Node) {
    node.midge.signal("TERM");
    assert_eq!(node.midge.wait_for_exit().code(), Some(0));
}

#[tokio::test]
async fn invocations_are_counted_over_all_workers() {
    let store = Store::new();
    let node = store.node();
    node.deploy("shop", "http02-tiny.wasm", 1).await;
    for _ in 0..10 {
        node.get("anywhere", "/shop/").await;
    }
    wait_until_async("all are counted", async || {
        let summary = node.client.invocations(&ns(), &name("shop")).await.unwrap();
        summary.count == 10 && summary.by_outcome["responded"] == 10 && summary.p50_ms.is_some()
    })
    .await;
}

#[tokio::test]
async fn an_invocation_through_the_control_door_goes_the_way_of_all_requests() {
    let store = Store::new();
    let node = store.node();
    for version in 1..=2 {
        node.deploy("shop", "http02-env.wasm", version).await;
    }
    let invoke = async |revision| {
        let asked = InvokeRequest {
            path: "/".to_owned(),
            method: Method::GET,
            revision,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        let answer = node.client.invoke(&ns(), &name("shop"), asked).await;
        answer.unwrap()
    };
    let by_traffic = invoke(None).await;
    assert_eq!(by_traffic.status, 200);
    node.midge.wait_until_said("revision=r2");
    assert!(!node.midge.said().contains("revision=r1 request_id"));
    assert_eq!(invoke(Some(revision(1))).await.status, 200);
    node.midge.wait_until_said("revision=r1 request_id");
}

#[tokio::test]
async fn the_status_names_every_worker_and_how_far_it_is() {
    let store = Store::new();
    let node = store.node();
    node.deploy("shop", "http02-tiny.wasm", 1).await;
    let status = node.client.node_status().await.unwrap();
    let mut workers: Vec<_> = status.workers.iter().map(|worker| worker.pid).collect();
    let mut seen = node.midge.workers();
    seen.retain(|pid| process::is_alive(*pid));
    workers.sort_unstable();
    seen.sort_unstable();
    assert_eq!(workers, seen);
    assert!(status.ready && !status.draining);
    assert_eq!(status.functions, 1);
    assert!(status.registry_version > 0 && status.memory_bytes > 0);
    for worker in &status.workers {
        assert!(worker.ready);
        assert_eq!(worker.applied, status.registry_version);
    }
}
