//! What a node survives, and what it finds when it starts again.

use midge_api::DeployChange;
use midge_testkit::{Run, process, wait_until, wait_until_async};

use super::kit::{Store, name, ns};
use crate::kit::BINARY;

#[tokio::test]
async fn after_a_kill_everything_acknowledged_is_live() {
    let store = Store::new();
    let mut node = store.node();
    for life in 1..=3 {
        node.deploy("shop", "http02-env.wasm", life).await;
        node.deploy(&format!("only-{life}"), "http02-tiny.wasm", 1)
            .await;
        let workers = node.midge.workers();
        node.midge.signal("KILL");
        node = store.again(node.midge);
        assert_eq!(node.version("anywhere", "/shop/").await, format!("v{life}"));
        for earlier in 1..=life {
            let answer = node.get("anywhere", &format!("/only-{earlier}/")).await;
            assert_eq!(answer.text(), "hi");
        }
        wait_until("workers of the killed node are gone", || {
            workers.iter().all(|worker| !process::is_alive(*worker))
        });
    }
    let unchanged = node.deploy("shop", "http02-env.wasm", 3).await;
    assert_eq!(unchanged.change, DeployChange::Unchanged);
}

#[tokio::test]
async fn a_worker_that_is_replaced_is_told_everything_again() {
    let store = Store::new();
    let node = store.node();
    for version in 1..=2 {
        node.deploy("shop", "http02-env.wasm", version).await;
    }
    for old in node.midge.workers() {
        process::signal(old, "KILL");
    }
    // A deploy meanwhile waits for the new ones.
    node.deploy("late", "http02-env.wasm", 5).await;
    for _ in 0..10 {
        assert_eq!(node.version("anywhere", "/shop/").await, "v2");
        assert_eq!(node.version("anywhere", "/late/").await, "v5");
    }
}

#[tokio::test]
async fn a_store_has_one_node_at_a_time() {
    let store = Store::new();
    let _node = store.node();
    let shown = store.path().to_string_lossy().into_owned();
    let args = [
        "serve",
        "--store",
        &shown,
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
    ];
    let second = Run::of(BINARY, args).to_end();
    assert!(second.starts_with("exit: 1\n"), "{second}");
    assert!(second.contains("is in use by process"), "{second}");
}

#[tokio::test]
async fn a_wiped_cache_heals_itself() {
    let store = Store::with_own_cache();
    let node = store.node();
    node.deploy("shop", "http02-tiny.wasm", 1).await;
    node.midge.signal("KILL");
    std::fs::remove_dir_all(store.path().join("cache")).unwrap();
    let node = store.again(node.midge);
    assert_eq!(node.get("anywhere", "/shop/").await.text(), "hi");
    // And while it runs: whoever has the code keeps it, a new worker asks for it.
    std::fs::remove_dir_all(store.path().join("cache")).unwrap();
    for worker in node.midge.workers() {
        process::signal(worker, "KILL");
    }
    assert_eq!(node.get("anywhere", "/shop/").await.text(), "hi");
}

#[tokio::test]
async fn a_damaged_file_in_the_cache_is_made_again() {
    let store = Store::with_own_cache();
    let node = store.node();
    node.deploy("shop", "http02-tiny.wasm", 1).await;
    node.midge.signal("KILL");
    for component in std::fs::read_dir(store.path().join("cache")).unwrap() {
        for file in std::fs::read_dir(component.unwrap().path()).unwrap() {
            std::fs::write(file.unwrap().path(), "something else").unwrap();
        }
    }
    let node = store.again(node.midge);
    assert_eq!(node.get("anywhere", "/shop/").await.text(), "hi");
    node.midge
        .wait_until_said("cached code dropped, compiling again");
}

#[tokio::test]
async fn a_node_that_ends_finishes_what_is_under_way() {
    let store = Store::new();
    let mut node = store.start(store.serve().args(["--workers", "2", "--grace", "30s"]));
    node.deploy("slow", "http02-stream.wasm", 1).await;
    let addr = node.midge.addr();
    let slow = tokio::spawn(async move {
        let path = "/slow/?n=10&size=10&delay_ms=50";
        let answer = midge_testkit::http::get(addr, path).await.unwrap();
        answer.body.unwrap().len()
    });
    wait_until_async("the request is under way", async || {
        let status = node.client.invocations(&ns(), &name("slow")).await.unwrap();
        let beginning = status.count == 0;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        beginning
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    node.midge.signal("TERM");
    assert_eq!(node.midge.wait_for_exit().code(), Some(0));
    assert_eq!(slow.await.unwrap(), 100);
    // The doors are closed and the store can be opened again.
    let node = store.node();
    assert_eq!(node.get("anywhere", "/slow/?n=1&size=3").await.status, 200);
}

#[tokio::test]
async fn what_with_names_is_there_when_the_node_is_ready() {
    let store = Store::new();
    let site = crate::kit::Site::of(&[("shop", "http02-tiny.wasm", "")]);
    let path = site.path().to_string_lossy().into_owned();
    for _ in 0..2 {
        let with = store.serve().args(["--workers", "2", "--with", &path]);
        let mut node = store.start(with);
        assert_eq!(node.get("anywhere", "/shop/").await.text(), "hi");
        let info = node.client.get_function(&ns(), &name("shop")).await;
        assert_eq!(
            info.unwrap().revisions.len(),
            1,
            "the same is deployed once"
        );
        node.midge.signal("TERM");
        assert_eq!(node.midge.wait_for_exit().code(), Some(0));
    }
    let mut node = store.node();
    node.remove("shop").await;
    node.midge.signal("TERM");
    assert_eq!(node.midge.wait_for_exit().code(), Some(0));
}
