//! Records: versions, compare-and-swap, lists, watches.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use midge_store::{
    Change, Expect, Key, Prefix, PutError, RECORD_BYTES_MAX, Record, Registry, Store, Version,
    Watch,
};

use super::{WAIT_MAX, key};

async fn put(registry: &dyn Registry, name: &str, value: &str, expect: Expect) -> Version {
    let value = Bytes::copy_from_slice(value.as_bytes());
    registry.put(&key(name), value, expect).await.unwrap()
}

async fn value(registry: &dyn Registry, name: &str) -> Option<String> {
    let record = registry.get(&key(name)).await.unwrap()?;
    Some(String::from_utf8(record.value.to_vec()).unwrap())
}

fn found(error: PutError) -> Option<Version> {
    match error {
        PutError::Conflict { found } => found,
        other => panic!("not a conflict: {other}"),
    }
}

async fn next(watch: &mut Watch) -> Change {
    tokio::time::timeout(WAIT_MAX, watch.next())
        .await
        .expect("a change comes")
        .unwrap()
}

fn line(change: &Change) -> String {
    match change {
        Change::Put(record) => {
            let value = String::from_utf8_lossy(&record.value);
            format!("{}={value}@{}", record.key, record.version)
        }
        Change::Deleted { key, version } => format!("{key} gone@{version}"),
        Change::Current(version) => format!("current@{version}"),
    }
}

/// Reads on until a change of this version, and keeps what there is.
async fn fold(watch: &mut Watch, until: Version) -> BTreeMap<Key, Record> {
    let mut state: BTreeMap<Key, Record> = BTreeMap::new();
    let mut seen: BTreeMap<Key, Version> = BTreeMap::new();
    loop {
        let change = next(watch).await;
        let at = match change {
            Change::Put(record) => {
                let (key, version) = (record.key.clone(), record.version);
                state.insert(key.clone(), record);
                let earlier = seen.insert(key, version);
                assert!(earlier < Some(version), "versions of one key only grow");
                version
            }
            Change::Deleted { key, version } => {
                state.remove(&key);
                let earlier = seen.insert(key, version);
                assert!(earlier < Some(version), "versions of one key only grow");
                version
            }
            Change::Current(version) => version,
        };
        if at >= until {
            return state;
        }
    }
}

pub(crate) async fn a_record_comes_back(store: &Store) {
    let registry = &*store.registry;
    assert_eq!(registry.get(&key("function.a")).await.unwrap(), None);
    let version = put(registry, "function.a", "one", Expect::Absent).await;
    let record = registry.get(&key("function.a")).await.unwrap().unwrap();
    assert_eq!(record.key, key("function.a"));
    assert_eq!(&*record.value, b"one");
    assert_eq!(record.version, version);
    put(registry, "function.b", "", Expect::Absent).await;
    assert_eq!(value(registry, "function.b").await.as_deref(), Some(""));
}

pub(crate) async fn what_is_expected_absent_is_made_once(store: &Store) {
    let registry = &*store.registry;
    let version = put(registry, "a", "one", Expect::Absent).await;
    let again = registry
        .put(&key("a"), Bytes::from("two"), Expect::Absent)
        .await;
    assert_eq!(found(again.unwrap_err()), Some(version));
    assert_eq!(value(registry, "a").await.as_deref(), Some("one"));
}

pub(crate) async fn a_write_upon_an_old_version_is_refused(store: &Store) {
    let registry = &*store.registry;
    let first = put(registry, "a", "one", Expect::Absent).await;
    let second = put(registry, "a", "two", Expect::Version(first)).await;
    let late = registry
        .put(&key("a"), Bytes::from("three"), Expect::Version(first))
        .await;
    assert_eq!(found(late.unwrap_err()), Some(second));
    let late = registry.delete(&key("a"), Expect::Version(first)).await;
    assert_eq!(found(late.unwrap_err()), Some(second));
    let nothing = registry
        .put(&key("b"), Bytes::from("one"), Expect::Version(second))
        .await;
    assert_eq!(found(nothing.unwrap_err()), None);
    assert_eq!(value(registry, "a").await.as_deref(), Some("two"));
}

pub(crate) async fn whatever_is_there_may_be_overwritten(store: &Store) {
    let registry = &*store.registry;
    put(registry, "a", "one", Expect::Any).await;
    put(registry, "a", "two", Expect::Any).await;
    assert_eq!(value(registry, "a").await.as_deref(), Some("two"));
}

pub(crate) async fn versions_grow_over_all_keys(store: &Store) {
    let registry = &*store.registry;
    assert_eq!(registry.version().await.unwrap(), Version::default());
    let mut last = Version::default();
    for name in ["a", "b", "a", "c", "b"] {
        let version = put(registry, name, "value", Expect::Any).await;
        assert!(version > last);
        assert_eq!(registry.version().await.unwrap(), version);
        last = version;
    }
}

pub(crate) async fn a_deletion_is_a_write(store: &Store) {
    let registry = &*store.registry;
    let made = put(registry, "a", "one", Expect::Absent).await;
    let gone = registry
        .delete(&key("a"), Expect::Version(made))
        .await
        .unwrap();
    assert!(gone > made);
    assert_eq!(registry.version().await.unwrap(), gone);
    assert_eq!(value(registry, "a").await, None);
    let list = registry.list(&Prefix::ALL, None, 10).await.unwrap();
    assert_eq!(list, []);
}

pub(crate) async fn deleting_nothing_is_nothing(store: &Store) {
    let registry = &*store.registry;
    let newest = put(registry, "b", "one", Expect::Absent).await;
    let nothing = registry.delete(&key("a"), Expect::Any).await.unwrap();
    assert_eq!(nothing, newest);
    assert_eq!(registry.version().await.unwrap(), newest);
    let expected = registry.delete(&key("a"), Expect::Version(newest)).await;
    assert_eq!(found(expected.unwrap_err()), None);
}

pub(crate) async fn a_deleted_record_can_be_made_again(store: &Store) {
    let registry = &*store.registry;
    put(registry, "a", "one", Expect::Absent).await;
    let gone = registry.delete(&key("a"), Expect::Any).await.unwrap();
    let again = put(registry, "a", "two", Expect::Absent).await;
    assert!(again > gone);
    assert_eq!(value(registry, "a").await.as_deref(), Some("two"));
}

pub(crate) async fn a_record_has_a_largest_size(store: &Store) {
    let registry = &*store.registry;
    let largest = Bytes::from(vec![b'x'; RECORD_BYTES_MAX]);
    registry
        .put(&key("a"), largest.clone(), Expect::Any)
        .await
        .unwrap();
    let record = registry.get(&key("a")).await.unwrap().unwrap();
    assert!(record.value == largest);
    let larger = Bytes::from(vec![b'x'; RECORD_BYTES_MAX + 1]);
    let refused = registry.put(&key("a"), larger, Expect::Any).await;
    assert!(
        matches!(refused, Err(PutError::TooLarge { length_bytes }) if length_bytes > RECORD_BYTES_MAX)
    );
}

pub(crate) async fn lists_are_in_order_and_in_pages(store: &Store) {
    let registry = &*store.registry;
    for name in ["f.c", "f.a", "g.a", "f.b", "e.a", "f.a.x", "f.a-x"] {
        put(registry, name, name, Expect::Absent).await;
    }
    let prefix = Prefix::of("f").unwrap();
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = registry.list(&prefix, after.as_ref(), 2).await.unwrap();
        names.extend(page.iter().map(|record| record.key.to_string()));
        after = page.last().map(|record| record.key.clone());
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(names, ["f.a", "f.a-x", "f.a.x", "f.b", "f.c"]);
    let beyond = registry.list(&prefix, Some(&key("f.zz")), 2).await.unwrap();
    assert_eq!(beyond, []);
    let before = registry.list(&prefix, Some(&key("a")), 1).await.unwrap();
    assert_eq!(before[0].key, key("f.a"));
}

pub(crate) async fn prefixes_are_whole_tokens(store: &Store) {
    let registry = &*store.registry;
    for name in ["f.shop", "f.shop.a", "f.shop-2.a", "f.shop/2.a", "f.sho.a"] {
        put(registry, name, "", Expect::Absent).await;
    }
    let prefix = Prefix::of("f.shop").unwrap();
    let list = registry.list(&prefix, None, 10).await.unwrap();
    let names: Vec<_> = list.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(names, ["f.shop.a"]);
    let all = registry.list(&Prefix::ALL, None, 10).await.unwrap();
    assert_eq!(all.len(), 5);
}

pub(crate) async fn of_many_writers_each_sees_the_others(store: &Store) {
    const WRITERS: usize = 8;
    const EACH: usize = 10;
    let registry = &*store.registry;
    put(registry, "count", "0", Expect::Absent).await;
    let count_on = async || {
        for _ in 0..EACH {
            loop {
                let record = registry.get(&key("count")).await.unwrap().unwrap();
                let count: usize = str::from_utf8(&record.value).unwrap().parse().unwrap();
                let more = Bytes::from((count + 1).to_string());
                let expect = Expect::Version(record.version);
                match registry.put(&key("count"), more, expect).await {
                    Ok(_) => break,
                    Err(PutError::Conflict { found }) => assert!(found > Some(record.version)),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    futures::future::join_all((0..WRITERS).map(|_| count_on())).await;
    let count = value(registry, "count").await.unwrap();
    assert_eq!(count, (WRITERS * EACH).to_string());
}

pub(crate) async fn a_watch_shows_what_is_there_and_then_each_change(store: &Store) {
    let registry = &*store.registry;
    put(registry, "f.b", "one", Expect::Any).await;
    put(registry, "f.a", "one", Expect::Any).await;
    put(registry, "f.c", "one", Expect::Any).await;
    registry.delete(&key("f.c"), Expect::Any).await.unwrap();
    let mut watch = registry.watch(&Prefix::of("f").unwrap()).await.unwrap();
    let mut there = vec![line(&next(&mut watch).await), line(&next(&mut watch).await)];
    there.sort();
    assert_eq!(there, ["f.a=one@2", "f.b=one@1"]);
    assert_eq!(line(&next(&mut watch).await), "current@4");
    put(registry, "f.a", "two", Expect::Any).await;
    assert_eq!(line(&next(&mut watch).await), "f.a=two@5");
    registry.delete(&key("f.b"), Expect::Any).await.unwrap();
    assert_eq!(line(&next(&mut watch).await), "f.b gone@6");
    put(registry, "f.b", "three", Expect::Absent).await;
    assert_eq!(line(&next(&mut watch).await), "f.b=three@7");
}

pub(crate) async fn a_watch_of_nothing_is_current_at_once(store: &Store) {
    let registry = &*store.registry;
    let mut watch = registry.watch(&Prefix::of("f").unwrap()).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Current(Version::default()));
    put(registry, "f.a", "one", Expect::Any).await;
    assert_eq!(line(&next(&mut watch).await), "f.a=one@1");
}

pub(crate) async fn a_watch_shows_its_prefix_only(store: &Store) {
    let registry = &*store.registry;
    put(registry, "g.a", "one", Expect::Any).await;
    let mut watch = registry.watch(&Prefix::of("f").unwrap()).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::Current(_)));
    put(registry, "g.a", "two", Expect::Any).await;
    put(registry, "f-2.a", "two", Expect::Any).await;
    registry.delete(&key("g.a"), Expect::Any).await.unwrap();
    put(registry, "f.a", "one", Expect::Any).await;
    assert_eq!(line(&next(&mut watch).await), "f.a=one@5");
}

pub(crate) async fn a_watch_that_starts_between_deletions_is_right(store: &Store) {
    let registry = &*store.registry;
    let mut watches = Vec::new();
    for round in 0..60 {
        let name = format!("f.a{}", round % 7);
        put(registry, &name, "one", Expect::Any).await;
        watches.push(registry.watch(&Prefix::ALL).await.unwrap());
        if round % 3 > 0 {
            registry.delete(&key(&name), Expect::Any).await.unwrap();
        }
    }
    let end = put(registry, "end", "", Expect::Any).await;
    let there = registry.list(&Prefix::ALL, None, 100).await.unwrap();
    for mut watch in watches {
        let state = fold(&mut watch, end).await;
        assert_eq!(state.into_values().collect::<Vec<_>>(), {
            let mut there = there.clone();
            there.sort_by(|one, other| one.key.cmp(&other.key));
            there
        });
    }
}

pub(crate) async fn a_slow_watch_ends_at_the_newest_state(store: &Store) {
    let registry = &*store.registry;
    let mut watch = registry.watch(&Prefix::ALL).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::Current(_)));
    let writes = (0..1_000).map(|nth| {
        let name = key(&format!("f.a{}", nth % 3));
        async move { registry.put(&name, Bytes::from("one"), Expect::Any).await }
    });
    for written in futures::future::join_all(writes).await {
        written.unwrap();
    }
    let end = put(registry, "f.a0", "last", Expect::Any).await;
    let state = fold(&mut watch, end).await;
    assert_eq!(&*state[&key("f.a0")].value, b"last");
    assert_eq!(state.len(), 3);
}

pub(crate) async fn giving_up_on_a_watch_loses_nothing(store: &Store) {
    const WRITES: usize = 100;
    let registry = &*store.registry;
    let mut watch = registry.watch(&Prefix::ALL).await.unwrap();
    let write = async {
        for nth in 0..WRITES {
            put(registry, &format!("f.a{nth}"), "one", Expect::Any).await;
        }
    };
    let read = async {
        let mut seen_count = 0;
        let mut given_up_count = 0_u32;
        while seen_count < WRITES {
            // Too short for most of what the back end does, so that it is stopped anywhere.
            let brief = Duration::from_micros(u64::from(given_up_count % 50) * 20);
            match tokio::time::timeout(brief, watch.next()).await {
                Err(_) => given_up_count += 1,
                Ok(change) => seen_count += usize::from(matches!(change.unwrap(), Change::Put(_))),
            }
        }
    };
    let both = async { tokio::join!(write, read) };
    tokio::time::timeout(WAIT_MAX, both)
        .await
        .expect("every write is seen");
}

pub(crate) async fn a_watch_pages_through_many_records(store: &Store) {
    const RECORDS: usize = 1_500;
    let registry = &*store.registry;
    let writes = (0..RECORDS).map(|nth| {
        let name = key(&format!("f.a{nth}"));
        async move {
            registry
                .put(&name, Bytes::from("one"), Expect::Absent)
                .await
        }
    });
    for written in futures::future::join_all(writes).await {
        written.unwrap();
    }
    let mut watch = registry.watch(&Prefix::of("f").unwrap()).await.unwrap();
    // While it reads, some change, some go and some come.
    let mut names = std::collections::BTreeSet::new();
    loop {
        match next(&mut watch).await {
            Change::Put(record) => {
                if names.is_empty() {
                    put(registry, "f.a1499", "two", Expect::Any).await;
                    registry.delete(&key("f.a1498"), Expect::Any).await.unwrap();
                    put(registry, "f.b", "new", Expect::Any).await;
                }
                names.insert(record.key);
            }
            Change::Deleted { key, .. } => {
                names.remove(&key);
            }
            Change::Current(_) => break,
        }
    }
    assert_eq!(names.len(), RECORDS);
    assert!(names.contains(&key("f.b")) && !names.contains(&key("f.a1498")));
}
