//! What is deployed is served: revisions, traffic, rollback, removal.

use midge_api::DeployChange;
use midge_model::{Share, Traffic};

use super::kit::{Store, number, revision};

#[tokio::test]
async fn what_is_deployed_answers_as_soon_as_the_deploy_does() {
    let store = Store::new();
    let node = store.node();
    let deployed = node.deploy("shop", "http02-env.wasm", 1).await;
    assert_eq!(deployed.change, DeployChange::New);
    assert_eq!(node.version("anywhere", "/shop/").await, "v1");
    assert_eq!(node.version("shop.default.localhost", "/").await, "v1");
    assert_eq!(node.version("r1.shop.default.localhost", "/").await, "v1");
    let again = node.deploy("shop", "http02-env.wasm", 1).await;
    assert_eq!(again.change, DeployChange::Unchanged);
    let changed = node.deploy("shop", "http02-env.wasm", 2).await;
    assert_eq!(number(&changed.revision), 2);
    // Every worker, however often it is asked.
    for _ in 0..20 {
        assert_eq!(node.version("anywhere", "/shop/").await, "v2");
    }
    assert_eq!(node.version("r1.shop.default.localhost", "/").await, "v1");
}

#[tokio::test]
async fn a_rollback_and_a_split_take_effect_when_they_answer() {
    let store = Store::new();
    let node = store.node();
    for version in 1..=2 {
        node.deploy("shop", "http02-env.wasm", version).await;
    }
    node.roll_back("shop").await;
    for _ in 0..10 {
        assert_eq!(node.version("anywhere", "/shop/").await, "v1");
    }
    let share = |number, weight| Share {
        revision: revision(number),
        weight,
    };
    let traffic = Traffic::new(vec![share(1, 50), share(2, 50)], None).unwrap();
    node.split("shop", &traffic).await;
    let mut seen = [0, 0];
    for _ in 0..40 {
        let version = node.version("anywhere", "/shop/").await;
        seen[usize::from(version == "v2")] += 1;
    }
    assert_eq!(seen[0] + seen[1], 40);
    assert!(seen.iter().all(|count| *count >= 15), "{seen:?}");
}

#[tokio::test]
async fn what_is_removed_answers_no_more_and_its_name_is_free() {
    let store = Store::new();
    let node = store.node();
    node.deploy("shop", "http02-env.wasm", 1).await;
    node.remove("shop").await;
    assert_eq!(node.get("anywhere", "/shop/").await.status, 404);
    node.deploy("shop", "http02-env.wasm", 7).await;
    assert_eq!(node.version("anywhere", "/shop/").await, "v7");
}

#[tokio::test]
async fn one_worker_in_this_very_process_serves_too() {
    let store = Store::new();
    let node = store.start(store.serve().args(["--workers", "1"]));
    assert!(node.midge.workers().is_empty());
    node.deploy("shop", "http02-env.wasm", 1).await;
    assert_eq!(node.version("anywhere", "/shop/").await, "v1");
    let status = node.client.node_status().await.unwrap();
    assert_eq!(status.workers[0].pid, node.midge.pid());
}

#[tokio::test]
async fn a_function_whose_folder_is_the_nodes_to_make_finds_it_made() {
    let store = Store::new();
    let node = store.node();
    let (mut request, bytes) = super::kit::request("http02-env.wasm", 1);
    let dirs = r#"[{"host": "orders", "guest": "/data", "mode": "rw", "quota_bytes": "1MiB"}]"#;
    let grants: serde_json::Value = serde_json::from_str(dirs).unwrap();
    request.grants.dirs = serde_json::from_value(grants).unwrap();
    node.deploy_as("shop", request, bytes).await;
    let path = "/shop/?op=write&file=/data/new&text=written";
    assert_eq!(node.get("anywhere", path).await.text(), "done\n");
    let written = store.path().join("data/default/orders/new");
    assert_eq!(std::fs::read_to_string(written).unwrap(), "written");
}
