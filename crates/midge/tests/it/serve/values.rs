//! Values that functions keep: over requests, workers, functions and lives of a node.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use midge_api::{DeployRequest, NamespaceRequest, PageRequest, Upload, WriteOptions};
use midge_model::{BucketName, NamespaceName, QuotaPatch};
use midge_testkit::http::send;
use midge_testkit::{process, wait_until_async};

use super::kit::{Node, Store, name, ns, request};

const GUEST: &str = "http02-kv.wasm";

/// What to deploy of a guest that is granted these buckets.
fn granted(guest: &str, buckets: &[&str]) -> (DeployRequest, Bytes) {
    let (mut request, bytes) = request(guest, 1);
    request.grants.kv = buckets.iter().map(|name| name.parse().unwrap()).collect();
    (request, bytes)
}

async fn deploy(node: &Node, function: &str, guest: &str, buckets: &[&str]) {
    let (request, bytes) = granted(guest, buckets);
    node.deploy_as(function, request, bytes).await;
}

/// What a function says to these steps.
async fn ask(node: &Node, function: &str, steps: &str) -> String {
    let answer = node.get("anywhere", &format!("/{function}/?{steps}")).await;
    answer.text()
}

fn carts() -> BucketName {
    "carts".parse().unwrap()
}

#[tokio::test]
async fn a_number_grows_over_requests_and_survives_a_node_that_is_killed() {
    let store = Store::new();
    let mut node = store.node();
    deploy(&node, "shop", GUEST, &["carts"]).await;
    for count in 1..=20 {
        let said = ask(&node, "shop", "open=carts&increment=n").await;
        assert_eq!(said, format!("ok\nok {count}\n"));
    }
    node.midge.signal("KILL");
    node = store.again(node.midge);
    assert_eq!(
        ask(&node, "shop", "open=carts&increment=n").await,
        "ok\nok 21\n"
    );
}

#[tokio::test]
async fn functions_of_a_namespace_share_a_bucket_and_only_those_that_are_granted_it() {
    let store = Store::new();
    let node = store.node();
    deploy(&node, "shop", GUEST, &["carts"]).await;
    deploy(&node, "till", "http03-kv.wasm", &["carts"]).await;
    deploy(&node, "spin", "http02-kv-spin.wasm", &["carts"]).await;
    deploy(&node, "other", GUEST, &["orders"]).await;
    ask(&node, "shop", "open=carts&set=a:one").await;
    assert_eq!(ask(&node, "till", "open=carts&get=a").await, "ok\nok one\n");
    assert_eq!(ask(&node, "spin", "open=carts&get=a").await, "ok\nok one\n");
    assert_eq!(
        ask(&node, "other", "open=carts").await,
        "error access-denied\n"
    );
    // A deploy without the grant takes the bucket away, and nothing in it.
    deploy(&node, "shop", GUEST, &[]).await;
    assert_eq!(
        ask(&node, "shop", "open=carts").await,
        "error access-denied\n"
    );
    assert_eq!(ask(&node, "till", "open=carts&get=a").await, "ok\nok one\n");
}

#[tokio::test]
async fn buckets_of_two_namespaces_are_apart() {
    let store = Store::new();
    let node = store.start(store.serve().args(["--workers", "1"]));
    let other: NamespaceName = "other".parse().unwrap();
    let once = WriteOptions::default();
    let wanted = NamespaceRequest {
        name: other.clone(),
        quota: QuotaPatch::default(),
    };
    node.client.create_namespace(&wanted, &once).await.unwrap();
    let (request, bytes) = granted(GUEST, &["carts"]);
    let upload = Upload::bytes(bytes);
    let put = node.client.put_component(&other, &request.digest, upload);
    put.await.unwrap();
    let deployed = node
        .client
        .deploy(&other, &name("shop"), &request, &once)
        .await
        .unwrap();
    deploy(&node, "shop", GUEST, &["carts"]).await;
    ask(&node, "shop", "open=carts&set=a:one").await;
    let url = http::Uri::try_from(deployed.urls.first().unwrap().as_str()).unwrap();
    let host = url.authority().unwrap().as_str();
    let path = format!("{}?open=carts&get=a&set=a:two", url.path());
    let asked = Request::get(path).header("host", host).body(Bytes::new());
    let said = send(node.midge.addr(), asked.unwrap()).await.unwrap();
    assert_eq!(said.text(), "ok\nok none\nok\n");
    assert_eq!(ask(&node, "shop", "open=carts&get=a").await, "ok\nok one\n");
    // A namespace in which something is kept is not removed, so that none comes to it later.
    node.client
        .remove_function(&other, &name("shop"), &once)
        .await
        .unwrap();
    let kept = node.client.delete_namespace(&other, &once).await;
    let words = kept.unwrap_err().to_string();
    assert!(words.contains("it has values in bucket `carts`"), "{words}");
    node.client
        .clear_bucket(&other, &carts(), &once)
        .await
        .unwrap();
    node.client.delete_namespace(&other, &once).await.unwrap();
}

#[tokio::test]
async fn what_is_set_from_outside_is_what_functions_find() {
    let store = Store::new();
    let node = store.node();
    deploy(&node, "shop", GUEST, &["carts"]).await;
    let (client, once) = (&node.client, WriteOptions::default());
    let (here, carts, first) = (ns(), carts(), PageRequest::default());
    let bytes = Bytes::from_static(b"\0any\xff bytes");
    let key = "a/b c?d=%/ü";
    let put = client.put_entry(&here, (&carts, key), bytes.clone(), &once);
    put.await.unwrap();
    assert_eq!(client.get_entry(&here, &carts, key).await.unwrap(), bytes);
    let plain = Bytes::from_static(b"plain");
    let put = client.put_entry(&here, (&carts, "k"), plain, &once);
    put.await.unwrap();
    assert_eq!(
        ask(&node, "shop", "open=carts&get=k").await,
        "ok\nok plain\n"
    );
    let listed = client.list_entries(&here, &carts, &first);
    let keys: Vec<_> = listed
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|entry| entry.key)
        .collect();
    assert_eq!(keys, [key, "k"]);
    let buckets = client.all_buckets(&here).await.unwrap();
    assert_eq!((buckets[0].name.as_str(), buckets[0].entries), ("carts", 2));
    client
        .delete_entry(&here, &carts, key, &once)
        .await
        .unwrap();
    let gone = client.get_entry(&here, &carts, key).await.unwrap_err();
    assert!(gone.to_string().contains("has no key"), "{gone}");
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    let put = client.put_entry(&here, (&carts, "k"), large, &once).await;
    assert!(put.unwrap_err().to_string().contains("1048576"));
}

#[tokio::test]
async fn a_worker_that_is_replaced_asks_anew() {
    let store = Store::new();
    let node = store.start(store.serve().args(["--workers", "2"]));
    deploy(&node, "shop", GUEST, &["carts"]).await;
    ask(&node, "shop", "open=carts&set=a:one").await;
    for worker in node.midge.workers() {
        process::signal(worker, "KILL");
    }
    wait_until_async("workers are there again", async || {
        tokio::time::timeout(
            Duration::from_secs(1),
            ask(&node, "shop", "open=carts&get=a"),
        )
        .await
        .is_ok_and(|said| said == "ok\nok one\n")
    })
    .await;
}
