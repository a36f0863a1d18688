//! The feed over a real store, with one worker that reads along.

use std::collections::BTreeMap;

use midge_model::{
    Digest, FunctionName, Grants, Limits, NamespaceName, Revision, SecretExposure, SecretGrant,
    Timestamp, Traffic,
};
use midge_store::records::{function_key, revision_key, secret_key, write};
use midge_store::{Embedded, Expect, Store};
use tempfile::TempDir;

use super::*;
use crate::protocol::Order;
use crate::supervisor::Mailbox;

/// A store, and a feed of it with one worker that reads along.
struct Kit {
    _dir: TempDir,
    store: Store,
    vault: Arc<Mutex<Vault>>,
    roster: Arc<Roster>,
    mail: Mailbox,
    feed: Feed,
}

impl Kit {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(&dir.path().join("store")).unwrap();
        let vault = Vault::open(&dir.path().join("store/secret.key"), None).unwrap();
        let vault = Arc::new(Mutex::new(vault));
        let roster = Roster::new(None, false);
        let mail = roster.join(0);
        let feed = Feed::new(FeedParts {
            registry: Arc::clone(&store.registry),
            vault: Arc::clone(&vault),
            roster: Arc::clone(&roster),
            observed: Arc::new(Observed::new(Timestamp::from_ms(0))),
            policy: Policy::serve_default(),
        });
        Self {
            _dir: dir,
            store,
            vault,
            roster,
            mail,
            feed,
        }
    }

    /// Writes a revision and then the function that points to it, as a deploy does.
    async fn deploy(&self, name: &str, number: u32) -> Version {
        let (namespace, function) = names(name);
        let number = RevisionNumber::new(number).unwrap();
        let revision = RevisionRecord {
            revision: revision(name, number),
            component_bytes: 1,
            created_at: Timestamp::from_ms(0),
            created_by: "test".to_owned(),
            message: None,
        };
        let key = revision_key(&namespace, &function, number);
        let registry = &*self.store.registry;
        write(registry, &key, &revision, Expect::Absent)
            .await
            .unwrap();
        let record = FunctionRecord {
            namespace: namespace.clone(),
            function: function.clone(),
            traffic: Traffic::all_to(number),
            revisions: vec![number],
            next: number.next().unwrap(),
            keep: 10,
            previous: None,
            created_at: Timestamp::from_ms(number.get().into()),
            updated_at: Timestamp::from_ms(0),
        };
        let key = function_key(&namespace, &function);
        write(registry, &key, &record, Expect::Any).await.unwrap()
    }

    async fn remove(&self, name: &str) -> Version {
        let (namespace, function) = names(name);
        let key = function_key(&namespace, &function);
        let removed = self.store.registry.delete(&key, Expect::Any).await;
        removed.unwrap()
    }

    async fn set_secret(&self, name: &str, value: &str) {
        let namespace = NamespaceName::default();
        let key = secret_key(&namespace, name).unwrap();
        let value = SecretText::new(value.to_owned()).unwrap();
        let sealed = self.vault.lock().unwrap().seal(key.as_str(), &value);
        let record = SecretRecord {
            namespace,
            name: name.to_owned(),
            sealed: sealed.unwrap(),
            generation: 1,
            updated_at: Timestamp::from_ms(0),
            updated_by: "test".to_owned(),
        };
        let registry = &*self.store.registry;
        write(registry, &key, &record, Expect::Any).await.unwrap();
    }

    /// Follows until a worker was told something, and says what.
    async fn told(&mut self, watches: &mut Watches) -> String {
        tokio::select! {
            lost = self.feed.follow_until_lost(watches) => panic!("{lost:?}"),
            order = self.mail.next() => short(&order),
        }
    }

    fn told_already(&self) -> Vec<String> {
        let orders = std::iter::from_fn(|| self.mail.try_next());
        orders.map(|order| short(&order)).collect()
    }
}

fn names(name: &str) -> (NamespaceName, FunctionName) {
    (NamespaceName::default(), name.parse().unwrap())
}

fn revision(name: &str, number: RevisionNumber) -> Revision {
    let (namespace, function) = names(name);
    Revision {
        namespace,
        function,
        number,
        digest: Digest::of(name.as_bytes()),
        grants: Grants {
            secrets: vec![SecretGrant::new("KEY", SecretExposure::Env).unwrap()],
            ..Grants::default()
        },
        limits: Limits::SAFE,
        isolation: midge_model::Isolation::Fresh,
        routes: Vec::new(),
    }
}

fn short(order: &Order) -> String {
    match order {
        Order::Apply { function, .. } => {
            let revisions = function.revisions.iter().map(|planned| {
                let secrets = function.secrets_of(&planned.revision);
                let secrets: BTreeMap<_, _> = secrets
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.expose()))
                    .collect();
                format!("{} {secrets:?}", planned.revision.number)
            });
            let revisions: Vec<_> = revisions.collect();
            format!("{}: {}", function.key.function, revisions.join(", "))
        }
        Order::Remove { key, .. } => format!("no {}", key.function),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_there_at_start_is_passed_on() {
    let mut kit = Kit::new();
    kit.set_secret("KEY", "s1").await;
    kit.deploy("a", 1).await;
    kit.deploy("b", 1).await;
    kit.feed.catch_up().await.unwrap();
    let told = [r#"a: r1 {"KEY": "s1"}"#, r#"b: r1 {"KEY": "s1"}"#];
    assert_eq!(kit.told_already(), told);
}

#[tokio::test]
async fn changes_are_passed_on_as_they_come() {
    let mut kit = Kit::new();
    let mut watches = kit.feed.catch_up().await.unwrap();
    kit.deploy("a", 1).await;
    assert_eq!(kit.told(&mut watches).await, "a: r1 {}");
    kit.set_secret("KEY", "s1").await;
    assert_eq!(kit.told(&mut watches).await, r#"a: r1 {"KEY": "s1"}"#);
    kit.set_secret("KEY", "s2").await;
    assert_eq!(kit.told(&mut watches).await, r#"a: r1 {"KEY": "s2"}"#);
    kit.deploy("a", 2).await;
    assert_eq!(kit.told(&mut watches).await, r#"a: r2 {"KEY": "s2"}"#);
    kit.remove("a").await;
    assert_eq!(kit.told(&mut watches).await, "no a");
}

#[tokio::test]
async fn whoever_waits_for_a_version_hears_when_all_serve_it() {
    let mut kit = Kit::new();
    let mut watches = kit.feed.catch_up().await.unwrap();
    let version = kit.deploy("a", 1).await;
    let (namespace, function) = names("a");
    let key = FunctionKey {
        namespace,
        function,
    };
    let mut served = kit.roster.served(&key, version.get());
    kit.told(&mut watches).await;
    assert!(served.try_recv().is_err());
    kit.roster.applied(0, &key, 1, None);
    assert_eq!(served.try_recv(), Ok(Ok(())));
}

#[tokio::test]
async fn who_catches_up_again_finds_what_is_gone() {
    let mut kit = Kit::new();
    kit.deploy("a", 1).await;
    kit.deploy("b", 1).await;
    drop(kit.feed.catch_up().await.unwrap());
    kit.told_already();
    // A new function of the same name begins with a revision of the same number.
    kit.remove("a").await;
    kit.remove("b").await;
    let (namespace, function) = names("b");
    let number = RevisionNumber::FIRST;
    let key = revision_key(&namespace, &function, number);
    kit.store.registry.delete(&key, Expect::Any).await.unwrap();
    kit.deploy("b", 2).await;
    drop(kit.feed.catch_up().await.unwrap());
    assert_eq!(kit.told_already(), ["b: r2 {}", "no a"]);
}

#[tokio::test]
async fn a_record_that_does_not_read_changes_nothing() {
    let mut kit = Kit::new();
    kit.deploy("a", 1).await;
    let mut watches = kit.feed.catch_up().await.unwrap();
    kit.told_already();
    let (namespace, function) = names("a");
    let key = function_key(&namespace, &function);
    let nonsense = bytes::Bytes::from_static(b"{}");
    let registry = &kit.store.registry;
    registry.put(&key, nonsense, Expect::Any).await.unwrap();
    kit.deploy("b", 1).await;
    assert_eq!(kit.told(&mut watches).await, "b: r1 {}");
}

#[tokio::test]
async fn revisions_share_the_values_of_their_secrets() {
    let mut kit = Kit::new();
    kit.set_secret("KEY", &"\u{1}".repeat(65_000)).await;
    kit.deploy("a", 1).await;
    let (namespace, function) = names("a");
    let key = function_key(&namespace, &function);
    let registry = &*kit.store.registry;
    let found = records::read::<FunctionRecord>(registry, &key).await;
    let mut record = found.unwrap().unwrap().value;
    for number in 2..=100 {
        kit.deploy("a", number).await;
        record.revisions.push(RevisionNumber::new(number).unwrap());
    }
    write(registry, &key, &record, Expect::Any).await.unwrap();
    kit.feed.catch_up().await.unwrap();
    let order = kit.mail.next().await;
    assert!(crate::protocol::line_bytes(&order) < 300_000);
    let Order::Apply { function, .. } = order else {
        panic!("{order:?}");
    };
    assert_eq!(function.revisions.len(), 100);
    for planned in &function.revisions {
        let secrets = function.secrets_of(&planned.revision);
        assert_eq!(secrets["KEY"].expose().len(), 65_000);
    }
}

#[tokio::test]
async fn who_was_there_first_is_placed_first() {
    let mut kit = Kit::new();
    // The number of the revision is when the function was made, too.
    kit.deploy("a", 2).await;
    kit.deploy("b", 1).await;
    kit.feed.catch_up().await.unwrap();
    assert_eq!(kit.told_already(), ["b: r1 {}", "a: r2 {}"]);
}

#[tokio::test]
async fn what_the_policy_does_not_allow_any_more_is_not_served() {
    let mut kit = Kit::new();
    kit.set_secret("KEY", "s1").await;
    kit.deploy("a", 1).await;
    let stricter = "[namespace.\"*\"]\nsecrets = [\"OTHER\"]\n";
    kit.feed.parts.policy = Policy::parse(stricter).unwrap();
    kit.feed.catch_up().await.unwrap();
    assert_eq!(kit.told_already(), ["a: "]);
}
