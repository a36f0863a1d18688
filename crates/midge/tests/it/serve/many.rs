//! More functions than fit: what is loaded, what goes, and that nobody notices.

use std::fs;
use std::time::Duration;

use midge_testkit::wait_until_async;

use super::kit::{Node, Store};

/// Functions of the large test, unless `MIDGE_FUNCTIONS` says how many.
const FUNCTIONS: u32 = 60;

#[expect(
    clippy::disallowed_methods,
    reason = "a test that can be asked for more"
)]
fn functions() -> u32 {
    let asked = std::env::var("MIDGE_FUNCTIONS").ok();
    asked
        .and_then(|text| text.parse().ok())
        .unwrap_or(FUNCTIONS)
}

/// What the workers have loaded together, and what they unloaded.
async fn counts(node: &Node) -> (u32, u64) {
    let status = node.client.node_status().await.unwrap();
    let workers = &status.workers;
    let loaded = workers.iter().map(|worker| worker.loaded).sum();
    (loaded, workers.iter().map(|worker| worker.evicted).sum())
}

/// Waits until the workers have said so.
async fn until(node: &Node, what: &str, is_so: impl Fn((u32, u64)) -> bool) {
    wait_until_async(what, async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        is_so(counts(node).await)
    })
    .await;
}

#[tokio::test]
async fn more_functions_than_fit_answer_and_few_stay_loaded() {
    let store = Store::new();
    let few = store
        .serve()
        .args(["--workers", "2", "--memory-target", "4MiB"]);
    let node = store.start(few);
    let functions = functions();
    for version in 0..functions {
        node.deploy(&format!("fn-{version}"), "http02-env.wasm", version)
            .await;
    }
    for _ in 0..2 {
        for version in 0..functions {
            let path = format!("/fn-{version}/");
            assert_eq!(node.version("anywhere", &path).await, format!("v{version}"));
        }
    }
    let most = functions / 2;
    until(&node, "few are loaded", |(loaded, evicted)| {
        loaded < most && evicted > u64::from(functions)
    })
    .await;
}

#[tokio::test]
async fn a_node_that_starts_loads_what_is_asked_for() {
    let store = Store::new();
    let node = store.node();
    for version in 0..5 {
        node.deploy(&format!("fn-{version}"), "http02-env.wasm", version)
            .await;
    }
    node.midge.signal("KILL");
    let node = store.again(node.midge);
    assert_eq!(counts(&node).await, (0, 0));
    assert_eq!(node.version("anywhere", "/fn-3/").await, "v3");
    until(&node, "one is loaded", |counts| counts == (1, 0)).await;
}

#[tokio::test]
async fn what_was_damaged_while_it_was_not_loaded_is_made_again() {
    let store = Store::with_own_cache();
    let none = store
        .serve()
        .args(["--workers", "2", "--memory-target", "1B"]);
    let node = store.start(none);
    node.deploy("shop", "http02-tiny.wasm", 1).await;
    assert_eq!(node.get("anywhere", "/shop/").await.text(), "hi");
    until(&node, "nothing is loaded", |(loaded, _)| loaded == 0).await;
    for component in fs::read_dir(store.path().join("cache")).unwrap() {
        for file in fs::read_dir(component.unwrap().path()).unwrap() {
            let file = file.unwrap().path();
            let mut code = fs::read(&file).unwrap();
            let middle = code.len() / 2;
            code[middle] ^= 1;
            fs::write(&file, code).unwrap();
        }
    }
    assert_eq!(node.get("anywhere", "/shop/").await.text(), "hi");
    node.midge
        .wait_until_said("cached code dropped, compiling again");
}

#[tokio::test]
async fn bursts_on_functions_that_do_not_fit_are_all_answered() {
    let store = Store::new();
    let none = store
        .serve()
        .args(["--workers", "2", "--memory-target", "1B"]);
    let node = store.start(none);
    for version in 0..4 {
        node.deploy(&format!("fn-{version}"), "http02-env.wasm", version)
            .await;
    }
    for _ in 0..5 {
        let burst = (0..40).map(|at| {
            let node = &node;
            async move {
                let version = at % 4;
                let answer = node.version("anywhere", &format!("/fn-{version}/")).await;
                assert_eq!(answer, format!("v{version}"));
            }
        });
        futures::future::join_all(burst).await;
    }
}
