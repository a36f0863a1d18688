//! Secrets on their way from the control door to guests.

use midge_api::WriteOptions;
use midge_model::{SecretExposure, SecretGrant};
use midge_testkit::wait_until_async;

use super::kit::{Node, Store, request};

async fn key(node: &Node) -> String {
    let text = node.get("anywhere", "/shop/").await.text();
    let key = text.lines().find_map(|line| line.strip_prefix("API_KEY="));
    key.unwrap_or("none").to_owned()
}

#[tokio::test]
async fn a_secret_reaches_its_function_and_a_new_value_takes_its_place() {
    let store = Store::new();
    let mut node = store.node();
    node.set_secret("API_KEY", "kept-under-a-key-1").await;
    let (mut request, bytes) = request("http02-env.wasm", 1);
    let grant = SecretGrant::new("API_KEY", SecretExposure::Env).unwrap();
    request.grants.secrets = vec![grant];
    node.deploy_as("shop", request, bytes).await;
    assert_eq!(key(&node).await, "kept-under-a-key-1");
    node.set_secret("API_KEY", "kept-under-a-key-2").await;
    wait_until_async("the new value is there", async || {
        key(&node).await == "kept-under-a-key-2"
    })
    .await;
    node.client
        .rotate_key(&WriteOptions::default())
        .await
        .unwrap();
    node.midge.signal("KILL");
    node = store.again(node.midge);
    assert_eq!(key(&node).await, "kept-under-a-key-2");
    for file in ["store.sqlite3", "store.sqlite3-wal"] {
        let bytes = std::fs::read(store.path().join(file)).unwrap_or_default();
        for value in ["kept-under-a-key-1", "kept-under-a-key-2"] {
            let found = bytes
                .windows(value.len())
                .any(|part| part == value.as_bytes());
            assert!(!found, "`{value}` is in {file}");
        }
    }
    assert!(!node.midge.said().contains("kept-under-a-key-2"));
}
