//! Stores that older versions of midge wrote.
//!
//! `tests/stores/v<n>.sql` is what a store of schema `n` held, in the SQL that `.dump` of SQLite's
//! own shell writes. A file there never changes; a new schema adds one, and a change to a record
//! that a store of today could not be read after fails here.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use midge_model::RevisionNumber;
use midge_store::records::{
    AuditOutcome, AuditRecord, FunctionRecord, NamespaceRecord, RevisionRecord, SecretRecord,
    TokenRecord, all_audits, all_functions, all_namespaces, all_revisions, all_secrets, all_tokens,
    list_all,
};
use midge_store::{Bucket, Embedded, Expect, Store, Vault, Version, check};

use crate::contract::key;
use crate::kit::{COMPONENT, upload};

/// The key that sealed the secret in there.
const VAULT_KEY: &str = "abababababababababababababababababababababababababababababababab";

fn lay_out(sql: &str, dir: &Path) {
    let database = rusqlite::Connection::open(dir.join("store.sqlite3")).unwrap();
    database.execute_batch(sql).unwrap();
}

async fn the_only<T: midge_store::records::Kept>(store: &Store, prefix: &midge_store::Prefix) -> T {
    let mut all = list_all::<T>(&*store.registry, prefix).await.unwrap();
    assert_eq!(all.len(), 1, "{prefix}");
    all.remove(0).1.value
}

#[tokio::test]
async fn a_store_of_schema_1_opens_and_reads() {
    let dir = tempfile::tempdir().unwrap();
    lay_out(include_str!("../stores/v1.sql"), dir.path());
    let store = Embedded::open(dir.path()).unwrap();
    upload(&store, COMPONENT).await;
    assert_eq!(check(dir.path()).unwrap().problems, [""; 0]);

    let function: FunctionRecord = the_only(&store, &all_functions()).await;
    assert_eq!(function.revisions, [RevisionNumber::FIRST]);
    let revision: RevisionRecord = the_only(&store, &all_revisions()).await;
    assert_eq!(
        revision.revision.routes[0].to_string(),
        "GET /checkout/{id}"
    );
    let _namespace: NamespaceRecord = the_only(&store, &all_namespaces()).await;
    let token: TokenRecord = the_only(&store, &all_tokens()).await;
    assert_eq!(token.hash, [7; 32]);
    let audit: AuditRecord = the_only(&store, &all_audits()).await;
    assert_eq!(audit.outcome, AuditOutcome::Refused("widens".to_owned()));
    let secret: SecretRecord = the_only(&store, &all_secrets()).await;
    let vault = Vault::open(&dir.path().join("secret.key"), Some(VAULT_KEY)).unwrap();
    let opened = vault
        .open_sealed("shop/STRIPE_Key", &secret.sealed)
        .unwrap();
    assert_eq!(opened.expose(), "hunter2");

    let orders = store.queue.depth(&key("orders")).await.unwrap();
    assert_eq!(orders.ready + orders.delayed, 2);
    let dead = store
        .queue
        .dead(&key("orders.dead"), None, 10)
        .await
        .unwrap();
    assert_eq!(&*dead[0].body, b"dead");
    let carts = Bucket::new("shop".parse().unwrap(), "carts").unwrap();
    let entry = store.keys.get(&carts, "Cart 7").await.unwrap().unwrap();
    assert_eq!(&*entry.value, b"three apples");
    assert_eq!(store.keys.increment(&carts, "n", 1).await.unwrap(), 42);

    assert_eq!(store.registry.version().await.unwrap(), Version::new(11));
    let put = store
        .registry
        .put(&key("namespace.new"), Bytes::new(), Expect::Absent)
        .await;
    assert_eq!(put.unwrap(), Version::new(12), "the sequence goes on");
}

#[test]
fn the_stores_of_old_schemas_are_all_opened_here() {
    let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
    let count = fs::read_dir(stores).unwrap().count();
    assert_eq!(count, 1, "a test above for each");
}
