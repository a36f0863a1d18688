//! A store with ten thousand functions.
//!
//! The figures are printed (`--nocapture`); the bounds are far above them, for machines that
//! are busy, and only show what grew by an order of magnitude.

use std::time::Duration;

use midge_store::records::{FunctionRecord, all_functions, functions_of, list_all};
use midge_store::{Change, Embedded, Prefix};
use tokio::time::Instant;

use crate::contract::key;
use crate::kit::namespace;

const FUNCTIONS: usize = 10_000;
const FAR_TOO_LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn ten_thousand_functions_open_list_and_watch_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    crate::kit::deploy(&store, "checkout").await;
    let function = store
        .registry
        .get(&key("function.shop.checkout"))
        .await
        .unwrap()
        .unwrap();
    let mut figures = Vec::new();

    let start = Instant::now();
    for nth in 0..200 {
        let name = key(&format!("audit.shop.a{nth}"));
        store
            .registry
            .put(&name, function.value.clone(), midge_store::Expect::Any)
            .await
            .unwrap();
    }
    figures.push(("200 writes, one after the other", start.elapsed()));

    let start = Instant::now();
    let writes = (1..FUNCTIONS).map(|nth| {
        let json = String::from_utf8(function.value.to_vec()).unwrap();
        let json = json.replace("checkout", &format!("checkout-{nth}"));
        let (name, store) = (key(&format!("function.shop.checkout-{nth}")), &store);
        async move {
            store
                .registry
                .put(&name, json.into(), midge_store::Expect::Absent)
                .await
        }
    });
    for written in futures::future::join_all(writes).await {
        written.unwrap();
    }
    figures.push(("9999 writes at once", start.elapsed()));
    drop(store);

    let start = Instant::now();
    let store = Embedded::open(dir.path()).unwrap();
    figures.push(("open", start.elapsed()));

    let start = Instant::now();
    let page = store
        .registry
        .list(&functions_of(&namespace()), None, 100)
        .await
        .unwrap();
    figures.push(("list 100", start.elapsed()));
    assert_eq!(page.len(), 100);

    let start = Instant::now();
    let all = list_all::<FunctionRecord>(&*store.registry, &all_functions())
        .await
        .unwrap();
    figures.push(("list all and read them", start.elapsed()));
    assert_eq!(all.len(), FUNCTIONS);

    let start = Instant::now();
    for nth in 0..1_000 {
        let name = key(&format!("function.shop.checkout-{}", nth + 1));
        assert!(store.registry.get(&name).await.unwrap().is_some());
    }
    figures.push(("1000 reads, one after the other", start.elapsed()));

    let start = Instant::now();
    let mut watch = store.registry.watch(&Prefix::ALL).await.unwrap();
    while !matches!(watch.next().await.unwrap(), Change::Current(_)) {}
    figures.push(("watch until current", start.elapsed()));

    for (what, took) in figures {
        println!("{what}: {took:?}");
        assert!(took < FAR_TOO_LONG, "{what}: {took:?}");
    }
}
