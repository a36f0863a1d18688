//! The registry against a map, which is what it is.
//!
//! Random operations, with the store closed and opened in between; a watch that began somewhere
//! must come to the same map.

use std::collections::BTreeMap;

use bytes::Bytes;
use midge_store::{Change, Embedded, Expect, Key, Prefix, PutError, Store, Version, Watch};
use proptest::prelude::*;

use crate::contract::key;

const KEYS: [&str; 6] = ["f.a", "f.b", "f.a.x", "f", "g.a", "f-1.a"];
const PREFIXES: [&str; 3] = ["f", "f.a", "g"];

#[derive(Debug, Clone, Copy)]
enum Want {
    Absent,
    Any,
    /// What is there.
    This,
    /// A version that some write had, or none.
    Some(u64),
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, u8, Want),
    Delete(usize, Want),
    List(usize, Option<usize>, usize),
    Watch,
    Reopen,
}

fn want() -> impl Strategy<Value = Want> {
    prop_oneof![
        Just(Want::Absent),
        Just(Want::Any),
        Just(Want::This),
        (0..40_u64).prop_map(Want::Some),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let nth = 0..KEYS.len();
    prop_oneof![
        8 => (nth.clone(), any::<u8>(), want()).prop_map(|(nth, value, want)| Step::Put(nth, value, want)),
        4 => (nth.clone(), want()).prop_map(|(nth, want)| Step::Delete(nth, want)),
        2 => (0..PREFIXES.len(), prop::option::of(nth), 0..4_usize)
            .prop_map(|(prefix, after, limit)| Step::List(prefix, after, limit)),
        1 => Just(Step::Watch),
        1 => Just(Step::Reopen),
    ]
}

/// The slow and obvious registry.
#[derive(Debug, Default)]
struct Model {
    records: BTreeMap<Key, (u8, Version)>,
    newest: Version,
}

impl Model {
    fn expect(&self, key: &Key, want: Want) -> Expect {
        match want {
            Want::Absent => Expect::Absent,
            Want::Any => Expect::Any,
            Want::This => self.version(key).map_or(Expect::Absent, Expect::Version),
            Want::Some(number) => Expect::Version(Version::new(number)),
        }
    }

    fn version(&self, key: &Key) -> Option<Version> {
        self.records.get(key).map(|(_, version)| *version)
    }

    fn check(&self, key: &Key, expect: Expect) -> Result<(), Option<Version>> {
        let found = self.version(key);
        let is_expected = match expect {
            Expect::Absent => found.is_none(),
            Expect::Version(version) => found == Some(version),
            Expect::Any => true,
        };
        if is_expected { Ok(()) } else { Err(found) }
    }

    fn put(&mut self, key: &Key, value: u8, expect: Expect) -> Result<Version, Option<Version>> {
        self.check(key, expect)?;
        self.newest = Version::new(self.newest.get() + 1);
        self.records.insert(key.clone(), (value, self.newest));
        Ok(self.newest)
    }

    fn delete(&mut self, key: &Key, expect: Expect) -> Result<Version, Option<Version>> {
        self.check(key, expect)?;
        if self.records.remove(key).is_some() {
            self.newest = Version::new(self.newest.get() + 1);
        }
        Ok(self.newest)
    }
}

fn answer(written: Result<Version, PutError>) -> Result<Version, Option<Version>> {
    written.map_err(|error| match error {
        PutError::Conflict { found } => found,
        other => panic!("{other}"),
    })
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Embedded::open(dir.path()).unwrap();
    let mut model = Model::default();
    let mut watches: Vec<Watch> = Vec::new();
    for step in steps {
        take(&mut store, &mut model, &mut watches, step.clone()).await;
        if matches!(step, Step::Reopen) {
            watches.clear();
            drop(store);
            store = Embedded::open(dir.path()).unwrap();
        }
        assert_eq!(store.registry.version().await.unwrap(), model.newest);
    }
    for watch in watches {
        assert_eq!(fold(watch, model.newest).await, model.records);
    }
}

async fn take(store: &mut Store, model: &mut Model, watches: &mut Vec<Watch>, step: Step) {
    let registry = &*store.registry;
    match step {
        Step::Put(nth, value, want) => {
            let key = key(KEYS[nth]);
            let expect = model.expect(&key, want);
            let written = registry.put(&key, Bytes::from(vec![value]), expect).await;
            assert_eq!(answer(written), model.put(&key, value, expect));
            let read = registry.get(&key).await.unwrap();
            let read = read.map(|record| (record.value[0], record.version));
            assert_eq!(read, model.records.get(&key).copied());
        }
        Step::Delete(nth, want) => {
            let key = key(KEYS[nth]);
            let expect = model.expect(&key, want);
            let deleted = registry.delete(&key, expect).await;
            assert_eq!(answer(deleted), model.delete(&key, expect));
        }
        Step::List(prefix, after, limit) => {
            let prefix = Prefix::of(PREFIXES[prefix]).unwrap();
            let after = after.map(|nth| key(KEYS[nth]));
            let listed = registry.list(&prefix, after.as_ref(), limit).await.unwrap();
            let listed: Vec<_> = listed.iter().map(|record| &record.key).collect();
            let all = model.records.keys();
            let wanted = all.filter(|key| prefix.covers(key) && Some(*key) > after.as_ref());
            assert_eq!(listed, wanted.take(limit).collect::<Vec<_>>());
        }
        Step::Watch => watches.push(registry.watch(&Prefix::ALL).await.unwrap()),
        Step::Reopen => {}
    }
}

async fn fold(mut watch: Watch, newest: Version) -> BTreeMap<Key, (u8, Version)> {
    let mut records = BTreeMap::new();
    let mut seen = Version::default();
    let mut is_current = false;
    while !is_current || seen < newest {
        match watch.next().await.unwrap() {
            Change::Put(record) => {
                seen = seen.max(record.version);
                records.insert(record.key, (record.value[0], record.version));
            }
            Change::Deleted { key, version } => {
                seen = seen.max(version);
                records.remove(&key);
            }
            Change::Current(version) => {
                seen = seen.max(version);
                is_current = true;
            }
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_registry_is_a_map_with_versions(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
