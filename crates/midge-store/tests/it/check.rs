//! Checks of sound stores, and of stores with one thing wrong.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use midge_model::{Digest, RevisionNumber, Route};
use midge_store::records::{
    ClaimRecord, FunctionRecord, RevisionRecord, claim_key, component_key, function_key,
    host_claim_key, read, revision_key,
};
use midge_store::{Bucket, Embedded, Expect, Key, Message, Store, Vault, check};

use crate::contract::key;
use crate::kit::{COMPONENT, administer, deploy, function, keep, namespace, upload};

fn artifact(dir: &Path) -> std::path::PathBuf {
    dir.join("artifacts").join(Digest::of(COMPONENT).hex())
}

/// What a check says of a store in which something was done to a deployed function.
async fn checked(harm: impl AsyncFnOnce(&Store, &Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    deploy(&store, "checkout").await;
    harm(&store, dir.path()).await;
    // Beside the store that has it open.
    let report = check(dir.path()).unwrap();
    assert_eq!(report.is_sound(), report.problems.is_empty());
    let problems = report
        .problems
        .iter()
        .map(|text| format!("problem: {text}"));
    let unused = report.unused.iter().map(|text| format!("unused: {text}"));
    problems.chain(unused).collect::<Vec<_>>().join("\n")
}

async fn remove(store: &Store, key: &Key) {
    store.registry.delete(key, Expect::Any).await.unwrap();
}

fn checkout() -> Key {
    function_key(&namespace(), &function("checkout"))
}

#[tokio::test]
async fn a_store_with_every_kind_of_record_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let vault = Vault::open(&dir.path().join("secret.key"), None).unwrap();
    deploy(&store, "checkout").await;
    deploy(&store, "cart").await;
    administer(&store, &vault).await;
    let report = check(dir.path()).unwrap();
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.unused, [""; 0]);
    assert_eq!((report.records, report.artifacts), (12, 1));
    assert_eq!(report.artifact_bytes, 14);
}

#[tokio::test]
async fn a_closed_store_can_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    deploy(&store, "checkout").await;
    drop(store);
    let report = check(dir.path()).unwrap();
    assert!(report.is_sound());
    assert_eq!(report.records, 4);
}

#[tokio::test]
async fn a_damaged_artifact_is_found() {
    let said = checked(async |_, dir| fs::write(artifact(dir), b"\0asm sabotaged").unwrap());
    assert_snapshot!(said.await, @"problem: artifact sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121 is damaged: its file holds sha256:bce29f1044c234955fc125a3c43fe94b74e691f374479d5cab7261c2d1867bd4");
}

#[tokio::test]
async fn a_missing_artifact_is_found() {
    let said = checked(async |_, dir| fs::remove_file(artifact(dir)).unwrap());
    assert_snapshot!(said.await, @"problem: artifact sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121 is missing, `revision.shop.checkout.0000000001` names it");
}

#[tokio::test]
async fn a_missing_revision_is_found() {
    let said = checked(async |store, _| {
        let number = RevisionNumber::FIRST;
        remove(
            store,
            &revision_key(&namespace(), &function("checkout"), number),
        )
        .await;
    });
    assert_snapshot!(said.await, @r"
    problem: function `function.shop.checkout` has r1, which is missing
    unused: claim on `GET /checkout/{id}` is of no revision
    ");
}

#[tokio::test]
async fn a_missing_component_is_found() {
    let said = checked(async |store, _| {
        remove(store, &component_key(&namespace(), &Digest::of(COMPONENT))).await;
    });
    assert_snapshot!(said.await, @"problem: revision `revision.shop.checkout.0000000001` runs sha256:d39ad56a4c032330cab88e5277b39bdad5e1adae6bb74e355543ff2d80960121, which namespace `shop` does not have");
}

#[tokio::test]
async fn a_route_that_another_function_claims_is_found() {
    let said = checked(async |store, _| {
        let route: Route = "GET /checkout/{other}".parse().unwrap();
        let claim = ClaimRecord {
            namespace: namespace(),
            function: function("cart"),
            route: route.clone(),
        };
        let scope = namespace();
        keep(store, &claim_key(Some(&scope), &route.shape()), &claim).await;
    });
    assert_snapshot!(said.await, @r"
    problem: function `function.shop.checkout` answers `GET /checkout/{id}` without a claim on it
    unused: claim on `GET /checkout/{other}` is of no revision
    ");
}

#[tokio::test]
async fn a_host_that_another_namespace_has_is_found() {
    let claim_host = async |store: &Store, owner: &str| {
        let claim = ClaimRecord {
            namespace: owner.parse().unwrap(),
            function: function("any"),
            route: "shop.example.net/*".parse().unwrap(),
        };
        keep(store, &host_claim_key("shop.example.net"), &claim).await;
    };
    let route_host = async |store: &Store| {
        let key = revision_key(&namespace(), &function("checkout"), RevisionNumber::FIRST);
        let record = read::<RevisionRecord>(&*store.registry, &key).await;
        let mut record = record.unwrap().unwrap().value;
        let route: Route = "shop.example.net/checkout".parse().unwrap();
        record.revision.routes = vec![route.clone()];
        keep(store, &key, &record).await;
        let claim = ClaimRecord {
            namespace: namespace(),
            function: function("checkout"),
            route: route.clone(),
        };
        keep(store, &claim_key(None, &route.shape()), &claim).await;
    };
    let said = checked(async |store, _| {
        route_host(store).await;
        claim_host(store, "shop").await;
    });
    assert_snapshot!(said.await, @"unused: claim on `GET /checkout/{id}` is of no revision");
    let said = checked(async |store, _| {
        route_host(store).await;
        claim_host(store, "other").await;
    });
    assert_snapshot!(said.await, @r"
    problem: function `function.shop.checkout` answers `shop.example.net/checkout` without a claim on it
    unused: claim on `GET /checkout/{id}` is of no revision
    unused: claim on `shop.example.net/*` is of no revision
    ");
}

#[tokio::test]
async fn traffic_to_what_is_not_there_is_found() {
    let said = checked(async |store, _| {
        let record = read::<FunctionRecord>(&*store.registry, &checkout()).await;
        let mut record = record.unwrap().unwrap().value;
        record.revisions.clear();
        record.next = RevisionNumber::FIRST;
        keep(store, &checkout(), &record).await;
    });
    assert_snapshot!(said.await, @r"
    problem: function `function.shop.checkout` sends traffic to r1, which it does not have
    unused: claim on `GET /checkout/{id}` is of no revision
    unused: revision `revision.shop.checkout.0000000001` belongs to no function
    ");
}

#[tokio::test]
async fn records_that_do_not_read_are_found() {
    let said = checked(async |store, _| {
        let put = async |name: &Key, json: &'static str| {
            store
                .registry
                .put(name, json.into(), Expect::Any)
                .await
                .unwrap();
        };
        put(&checkout(), "{}").await;
        put(&key("function.shop.cart"), "not JSON").await;
        put(
            &key("namespace.other"),
            r#"{"name":"shop","created_at":"2026-11-22T14:00:00Z"}"#,
        )
        .await;
        put(&key("unheard.of"), "{}").await;
    });
    assert_snapshot!(said.await, @r"
    problem: record `function.shop.cart` does not read: expected ident at line 1 column 2
    problem: record `function.shop.checkout` does not read: missing field `namespace` at line 1 column 2
    problem: record `namespace.other` holds what another key names
    problem: record `unheard.of` is of no known kind
    unused: claim on `GET /checkout/{id}` is of no revision
    unused: revision `revision.shop.checkout.0000000001` belongs to no function
    ");
}

#[tokio::test]
async fn what_a_deploy_that_was_cut_short_leaves_is_no_problem() {
    let said = checked(async |store, dir| {
        remove(store, &checkout()).await;
        upload(store, b"\0asm never deployed").await;
        fs::write(dir.join("artifacts").join("notes.txt"), "mine").unwrap();
    });
    assert_snapshot!(said.await, @r#"
    unused: artifact sha256:98d7963dac68fc6d8cf58a7a2c68115d867f86f0ccf843dc8a711b496886e186 is named by no record
    unused: claim on `GET /checkout/{id}` is of no revision
    unused: file "notes.txt" among the artifacts is none
    unused: revision `revision.shop.checkout.0000000001` belongs to no function
    "#);
}

#[tokio::test]
async fn a_queue_or_bucket_that_miscounts_is_found() {
    let said = checked(async |store, dir| {
        let carts = Bucket::new(namespace(), "carts").unwrap();
        store.keys.set(&carts, "a", "one".into()).await.unwrap();
        let message = Message::new("one", 1);
        store.queue.push(&key("orders"), message).await.unwrap();
        let database = rusqlite::Connection::open(dir.join("store.sqlite3")).unwrap();
        let harm = "UPDATE queue SET waiting = 2; UPDATE bucket SET bytes = 3";
        database.execute_batch(harm).unwrap();
    });
    assert_snapshot!(said.await, @r"
    problem: queue `orders` holds another number than it counts
    problem: bucket `shop/carts` holds another number than it counts
    ");
}

#[tokio::test]
async fn a_damaged_database_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    for nth in 0..200 {
        deploy(&store, &format!("f{nth}")).await;
    }
    drop(store);
    let path = dir.path().join("store.sqlite3");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 512].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    // Either it opens and the report says so, or it says so at once.
    match check(dir.path()) {
        Ok(report) => assert!(!report.is_sound()),
        Err(error) => assert!(error.to_string().contains("database"), "{error}"),
    }
}

#[test]
fn where_there_is_no_store_there_is_nothing_to_check() {
    let dir = tempfile::tempdir().unwrap();
    let error = check(dir.path()).unwrap_err().to_string();
    let error = error.replace(dir.path().to_str().unwrap(), "DIR");
    assert_snapshot!(error, @"there is no store in `DIR`");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    deploy(&store, "checkout").await;
    drop(store);
    let path = dir.path().join("store.sqlite3");
    let before = fs::read(&path).unwrap();
    check(dir.path()).unwrap();
    assert!(fs::read(&path).unwrap() == before);
}
