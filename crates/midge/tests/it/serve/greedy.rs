//! Functions that are too large for workers to be told about, beside one that is not.

use std::sync::Arc;

use midge_api::{ClientError, WriteOptions};
use midge_model::{Revision, SecretExposure, SecretGrant, Traffic};
use midge_store::records::{self, FunctionRecord, RevisionRecord, function_key, revision_key};
use midge_store::{Embedded, Expect, Registry};

use super::kit::{Node, Store, name, ns, request, revision};

/// As many secrets of the largest kind that, whatever their spelling, fit no order.
const SECRETS: u32 = 140;

fn grants(count: u32) -> Vec<SecretGrant> {
    let grant = |number| SecretGrant::new(&format!("S{number}"), SecretExposure::Env).unwrap();
    (0..count).map(grant).collect()
}

/// Of about a mebibyte.
fn large_env() -> impl Iterator<Item = (String, String)> {
    (0..240).map(|number| (format!("V{number}"), "x".repeat(3_900)))
}

async fn set_secrets(node: &Node) {
    let value = "\u{1}".repeat(65_000);
    for number in 0..SECRETS {
        node.set_secret(&format!("S{number}"), &value).await;
    }
}

async fn refusal(node: &Node, change: impl FnOnce(&mut midge_api::DeployRequest)) -> String {
    let (mut request, _) = request("http02-env.wasm", 1);
    change(&mut request);
    let (namespace, function) = (ns(), name("greedy"));
    let options = WriteOptions::default();
    let deploy = node
        .client
        .deploy(&namespace, &function, &request, &options);
    match deploy.await.unwrap_err() {
        ClientError::Problem(problem) => format!("{} {:?}", problem.status, problem.code),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_its_neighbour_does_not_notice() {
    let store = Store::new();
    let node = store.node();
    let workers = node.midge.workers();
    node.deploy("victim", "http02-env.wasm", 1).await;
    set_secrets(&node).await;
    let many = refusal(&node, |request| request.grants.secrets = grants(SECRETS)).await;
    assert_eq!(many, r#"422 "invalid""#);
    let large = refusal(&node, |request| request.grants.env = large_env().collect()).await;
    assert_eq!(large, r#"413 "too-large""#);
    // As much as is let through, over and over.
    let (mut request, bytes) = request("http02-env.wasm", 1);
    request.grants.secrets = grants(64);
    request.keep = Some(100);
    for version in 1..=2 {
        let large = ("LARGE".to_owned(), "\u{1}".repeat(30_000));
        let version = ("VERSION".to_owned(), format!("v{version}"));
        request.grants.env = [large, version].into();
        node.deploy_as("greedy", request.clone(), bytes.clone())
            .await;
        assert_eq!(node.version("anywhere", "/victim/").await, "v1");
    }
    node.deploy("greedy", "http02-env.wasm", 5).await;
    assert_eq!(node.version("anywhere", "/greedy/").await, "v5");
    assert_eq!(node.midge.workers(), workers);
}

/// A revision like one that is there.
async fn add_revision(
    registry: &Arc<dyn Registry>,
    function: &str,
    number: u32,
    change: impl Fn(&mut Revision),
) {
    let (namespace, function) = (ns(), name(function));
    let key = revision_key(&namespace, &function, revision(1));
    let found = records::read::<RevisionRecord>(&**registry, &key).await;
    let mut record = found.unwrap().unwrap().value;
    record.revision.number = revision(number);
    change(&mut record.revision);
    let key = revision_key(&namespace, &function, revision(number));
    let written = records::write(&**registry, &key, &record, Expect::Absent).await;
    written.unwrap();
}

/// Gives all traffic to the last of so many revisions.
async fn switch(registry: &Arc<dyn Registry>, function: &str, last: u32) {
    let key = function_key(&ns(), &name(function));
    let found = records::read::<FunctionRecord>(&**registry, &key).await;
    let mut record = found.unwrap().unwrap().value;
    record.revisions = (1..=last).map(revision).collect();
    record.next = revision(last + 1);
    record.keep = 100;
    record.traffic = Traffic::all_to(revision(last));
    let written = records::write(&**registry, &key, &record, Expect::Any).await;
    written.unwrap();
}

#[tokio::test]
async fn whatever_is_in_the_store_the_node_serves_the_rest() {
    let store = Store::new();
    let mut node = store.node();
    for function in ["victim", "greedy", "hoarder"] {
        node.deploy(function, "http02-env.wasm", 1).await;
    }
    set_secrets(&node).await;
    node.midge.signal("TERM");
    assert_eq!(node.midge.wait_for_exit().code(), Some(0));
    // By the hand of somebody who is not held to the bounds of a deploy.
    let kept = Embedded::open(store.path()).unwrap();
    let registry = &kept.registry;
    let many = |revision: &mut Revision| revision.grants.secrets = grants(SECRETS);
    add_revision(registry, "greedy", 2, many).await;
    switch(registry, "greedy", 2).await;
    for number in 2..=80 {
        add_revision(registry, "hoarder", number, |revision| {
            revision.grants.env = large_env().collect();
            let version = format!("v{number}");
            revision.grants.env.insert("VERSION".to_owned(), version);
        })
        .await;
    }
    switch(registry, "hoarder", 80).await;
    drop(kept);

    let node = store.node();
    let workers = node.midge.workers();
    assert_eq!(node.version("anywhere", "/victim/").await, "v1");
    assert_eq!(node.version("anywhere", "/hoarder/").await, "v80");
    let newest_but_one = "r79.hoarder.default.localhost";
    assert_eq!(node.version(newest_but_one, "/").await, "v79");
    let oldest = node.get("r2.hoarder.default.localhost", "/").await;
    assert_eq!(oldest.status, 404);
    assert_eq!(node.get("anywhere", "/greedy/").await.status, 404);
    for said in [
        "old revisions do not answer",
        "function not served as it should be",
    ] {
        node.midge.wait_until_said(said);
    }
    // Both are as others once they are small again.
    node.deploy("greedy", "http02-env.wasm", 3).await;
    assert_eq!(node.version("anywhere", "/greedy/").await, "v3");
    node.deploy("hoarder", "http02-env.wasm", 81).await;
    assert_eq!(node.version("anywhere", "/hoarder/").await, "v81");
    assert_eq!(node.version("anywhere", "/victim/").await, "v1");
    assert_eq!(node.midge.workers(), workers);
}
