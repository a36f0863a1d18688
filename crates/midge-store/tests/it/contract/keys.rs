//! Key-value: atomic, within its bounds, apart by bucket.

use bytes::Bytes;
use midge_model::{ENTRY_BYTES_MAX, ENTRY_KEY_BYTES_MAX, NamespaceName};
use midge_store::{Bucket, Expect, Keys, SetError, Store, Version};

fn bucket(namespace: &str, name: &str) -> Bucket {
    let namespace: NamespaceName = namespace.parse().unwrap();
    Bucket::new(namespace, name).unwrap()
}

fn carts() -> Bucket {
    bucket("shop", "carts")
}

async fn set(keys: &dyn Keys, key: &str, value: &str) -> Version {
    let value = Bytes::copy_from_slice(value.as_bytes());
    keys.set(&carts(), key, value).await.unwrap()
}

async fn value(keys: &dyn Keys, bucket: &Bucket, key: &str) -> Option<String> {
    let entry = keys.get(bucket, key).await.unwrap()?;
    Some(String::from_utf8(entry.value.to_vec()).unwrap())
}

pub(crate) async fn a_value_comes_back(store: &Store) {
    let keys = &*store.keys;
    assert_eq!(value(keys, &carts(), "a").await, None);
    let first = set(keys, "a", "one").await;
    let second = set(keys, "a", "two").await;
    assert!(second > first);
    let entry = keys.get(&carts(), "a").await.unwrap().unwrap();
    assert_eq!((&*entry.value, entry.version), (b"two".as_slice(), second));
    assert!(keys.delete(&carts(), "a").await.unwrap());
    assert!(!keys.delete(&carts(), "a").await.unwrap());
    assert_eq!(value(keys, &carts(), "a").await, None);
}

pub(crate) async fn any_text_is_a_key(store: &Store) {
    let keys = &*store.keys;
    for key in ["Cart 7", "größe", "a.b/*>", "%00", "\u{1F680}", " "] {
        set(keys, key, key).await;
    }
    for key in ["Cart 7", "größe", "a.b/*>", "%00", "\u{1F680}", " "] {
        assert_eq!(value(keys, &carts(), key).await.as_deref(), Some(key));
    }
    assert_eq!(value(keys, &carts(), "cart 7").await, None);
}

pub(crate) async fn buckets_and_namespaces_are_apart(store: &Store) {
    let keys = &*store.keys;
    let others = [bucket("shop", "orders"), bucket("other", "carts")];
    set(keys, "a", "one").await;
    for other in &others {
        assert_eq!(value(keys, other, "a").await, None);
        assert_eq!(keys.list(other, None, 10).await.unwrap(), [""; 0]);
        assert!(!keys.delete(other, "a").await.unwrap());
        assert_eq!(keys.increment(other, "a", 1).await.unwrap(), 1);
    }
    assert_eq!(value(keys, &carts(), "a").await.as_deref(), Some("one"));
}

pub(crate) async fn a_swap_wants_what_is_there(store: &Store) {
    let keys = &*store.keys;
    let swap = async |value: &str, expect| {
        let value = Bytes::copy_from_slice(value.as_bytes());
        keys.swap(&carts(), "a", value, expect).await
    };
    let first = swap("one", Expect::Absent).await.unwrap();
    let error = swap("two", Expect::Absent).await.unwrap_err();
    assert!(matches!(error, SetError::Conflict { found } if found == Some(first)));
    let second = swap("two", Expect::Version(first)).await.unwrap();
    let error = swap("three", Expect::Version(first)).await.unwrap_err();
    assert!(matches!(error, SetError::Conflict { found } if found == Some(second)));
    assert_eq!(value(keys, &carts(), "a").await.as_deref(), Some("two"));
    keys.delete(&carts(), "a").await.unwrap();
    let error = swap("three", Expect::Version(second)).await.unwrap_err();
    assert!(matches!(error, SetError::Conflict { found: None }));
}

pub(crate) async fn versions_never_come_twice(store: &Store) {
    let keys = &*store.keys;
    let first = set(keys, "a", "one").await;
    keys.delete(&carts(), "a").await.unwrap();
    let second = set(keys, "a", "one").await;
    assert!(second > first);
}

pub(crate) async fn a_number_grows(store: &Store) {
    let keys = &*store.keys;
    assert_eq!(keys.increment(&carts(), "n", 5).await.unwrap(), 5);
    assert_eq!(keys.increment(&carts(), "n", -7).await.unwrap(), -2);
    assert_eq!(value(keys, &carts(), "n").await.as_deref(), Some("-2"));
    set(keys, "n", "41").await;
    assert_eq!(keys.increment(&carts(), "n", 1).await.unwrap(), 42);
}

pub(crate) async fn what_is_no_number_does_not_grow(store: &Store) {
    let keys = &*store.keys;
    set(keys, "text", "one").await;
    let error = keys.increment(&carts(), "text", 1).await.unwrap_err();
    assert!(matches!(error, SetError::NotANumber), "{error}");
    set(keys, "most", &i64::MAX.to_string()).await;
    let error = keys.increment(&carts(), "most", 1).await.unwrap_err();
    assert!(matches!(error, SetError::Overflow), "{error}");
    assert_eq!(value(keys, &carts(), "text").await.as_deref(), Some("one"));
}

pub(crate) async fn of_many_increments_none_is_lost(store: &Store) {
    let keys = &*store.keys;
    let carts = carts();
    let grow = (0..100).map(|_| keys.increment(&carts, "n", 1));
    for grown in futures::future::join_all(grow).await {
        grown.unwrap();
    }
    assert_eq!(keys.increment(&carts, "n", 0).await.unwrap(), 100);
}

pub(crate) async fn lists_are_in_order_and_in_pages(store: &Store) {
    let keys = &*store.keys;
    for key in ["c", "a", "ä", "b", "B"] {
        set(keys, key, "").await;
    }
    let mut listed: Vec<String> = Vec::new();
    loop {
        let after = listed.last().map(String::as_str);
        let page = keys.list(&carts(), after, 2).await.unwrap();
        let is_last = page.len() < 2;
        listed.extend(page);
        if is_last {
            break;
        }
    }
    assert_eq!(listed, ["B", "a", "b", "c", "ä"]);
}

pub(crate) async fn keys_and_values_have_bounds(store: &Store) {
    let keys = &*store.keys;
    let longest = "k".repeat(ENTRY_KEY_BYTES_MAX);
    set(keys, &longest, "one").await;
    for key in ["", &"k".repeat(ENTRY_KEY_BYTES_MAX + 1)] {
        let refused = keys.set(&carts(), key, Bytes::new()).await.unwrap_err();
        assert!(matches!(refused, SetError::BadKey { .. }), "{refused}");
        let refused = keys.increment(&carts(), key, 1).await.unwrap_err();
        assert!(matches!(refused, SetError::BadKey { .. }), "{refused}");
    }
    let largest = Bytes::from(vec![0; ENTRY_BYTES_MAX]);
    keys.set(&carts(), "large", largest).await.unwrap();
    let larger = Bytes::from(vec![0; ENTRY_BYTES_MAX + 1]);
    let refused = keys.set(&carts(), "large", larger).await.unwrap_err();
    assert!(matches!(refused, SetError::TooLarge { .. }), "{refused}");
}

pub(crate) async fn buckets_that_hold_something_are_listed(store: &Store) {
    let keys = &*store.keys;
    let one = || Bytes::from_static(b"one");
    for name in ["b", "a", "c"] {
        keys.set(&bucket("shop", name), "k", one()).await.unwrap();
    }
    // Names that begin alike, and one that comes right behind in order.
    for namespace in ["shop-2", "sho", "shoq"] {
        keys.set(&bucket(namespace, "x"), "k", one()).await.unwrap();
    }
    keys.delete(&bucket("shop", "c"), "k").await.unwrap();
    let shop: NamespaceName = "shop".parse().unwrap();
    let found = keys.buckets(&shop, None, 10).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|found| (found.name.as_str(), found.entries, found.bytes))
        .collect();
    assert_eq!(found, [("a", 1, 4), ("b", 1, 4)]);
    let next = keys.buckets(&shop, Some("a"), 1).await.unwrap();
    assert_eq!(next[0].name.as_str(), "b");
    let empty: NamespaceName = "empty".parse().unwrap();
    assert_eq!(keys.buckets(&empty, None, 10).await.unwrap(), []);
}

pub(crate) async fn a_cleared_bucket_is_empty(store: &Store) {
    let keys = &*store.keys;
    let sets = (0..1_001).map(|number| async move { set(keys, &number.to_string(), "x").await });
    futures::future::join_all(sets).await;
    let other = bucket("shop", "orders");
    keys.set(&other, "a", Bytes::new()).await.unwrap();
    assert_eq!(keys.clear(&carts()).await.unwrap(), 1_001);
    assert_eq!(keys.clear(&carts()).await.unwrap(), 0);
    assert_eq!(keys.list(&carts(), None, 10).await.unwrap(), [""; 0]);
    assert_eq!(value(keys, &other, "a").await.as_deref(), Some(""));
}
