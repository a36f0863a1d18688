//! What only the embedded store has: its folder, its lock, its clock, its bounds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use insta::assert_snapshot;
use midge_model::{Digest, Timestamp};
use rusqlite::Connection;

use super::schema::open_reader;
use super::*;
use crate::{
    Bucket, Change, DEAD_MAX, DEDUP_WINDOW, Expect, Key, Message, Prefix, PushError, SetError,
    Version,
};

const LONG: Duration = Duration::from_secs(3_600);

fn key(text: &str) -> Key {
    text.parse().expect("it is a key")
}

fn without(text: &impl ToString, dir: &Path) -> String {
    text.to_string().replace(&dir.display().to_string(), "DIR")
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

/// A clock that a test moves.
#[derive(Clone)]
struct Hands(Arc<Mutex<Timestamp>>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::from_ms(1_000_000))))
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Arc::new(move || *hands.0.lock().expect("nobody panicked"))
    }

    fn forward(&self, time: Duration) {
        let mut now = self.0.lock().expect("nobody panicked");
        *now = now.plus(time);
    }
}

#[test]
fn one_node_at_a_time_has_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let error = Embedded::open(dir.path()).unwrap_err();
    let said = without(&error, dir.path()).replace(&std::process::id().to_string(), "PID");
    assert_snapshot!(said, @"the store `DIR` is in use by process PID, stop that first");
    let clone = store.clone();
    drop(store);
    assert!(Embedded::open(dir.path()).is_err(), "a handle is left");
    drop(clone);
    Embedded::open(dir.path()).unwrap();
}

#[tokio::test]
async fn what_is_kept_is_its_owners_and_in_few_files() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("deep/store");
    let store = Embedded::open(&home).unwrap();
    let put = store
        .registry
        .put(&key("a"), Bytes::new(), Expect::Any)
        .await;
    put.unwrap();
    assert_eq!(mode(&home), 0o700);
    assert_eq!(mode(&home.join("artifacts")), 0o700);
    for name in ["lock", DATABASE_FILE, "store.sqlite3-wal"] {
        assert_eq!(mode(&home.join(name)), 0o600, "{name}");
    }
    drop(store);
    let mut names: Vec<_> = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["artifacts", "lock", "store.sqlite3", "tmp"]);
}

#[test]
fn a_store_of_a_newer_midge_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::open(dir.path()).unwrap();
    let database = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = Embedded::open(dir.path()).unwrap_err();
    assert_snapshot!(without(&error, dir.path()), @"the store `DIR/store.sqlite3` was written by a newer midge (schema 99, this one knows up to 1): start that version again, or restore a backup from before the upgrade");
}

#[test]
fn a_migration_that_fails_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_writer(&dir.path().join(DATABASE_FILE)).unwrap();
    let schema = |store: &Connection| -> i64 {
        store
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    };
    let found = schema(&store);
    assert_eq!(found, schema::newest());
    let nothing = vec!["SELECT 1"; usize::try_from(found).unwrap()];
    let mut steps = nothing.clone();
    steps.extend(["CREATE TABLE later (a)", "CREATE TABLE later (a)"]);
    schema::migrate(&mut store, found, &steps).unwrap_err();
    assert_eq!(schema(&store), found);
    assert!(store.execute("INSERT INTO later VALUES (1)", []).is_err());
    steps.pop();
    schema::migrate(&mut store, found, &steps).unwrap();
    assert_eq!(schema(&store), found + 1);
    store.execute("INSERT INTO later VALUES (1)", []).unwrap();
}

#[test]
fn every_schema_there_was_has_a_store_that_is_tested() {
    let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
    for schema in 1..=schema::newest() {
        assert!(
            stores.join(format!("v{schema}.sql")).is_file(),
            "schema {schema}"
        );
    }
}

#[test]
fn what_is_no_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE_FILE);
    fs::write(
        &path,
        "a letter to my aunt, longer than a header of SQLite would be ".repeat(20),
    )
    .unwrap();
    let error = Embedded::open(dir.path()).unwrap_err();
    assert_snapshot!(without(&error, dir.path()), @"`DIR/store.sqlite3` is not a store of midge");
    fs::remove_file(&path).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign
        .execute_batch("CREATE TABLE recipe (name TEXT)")
        .unwrap();
    drop(foreign);
    let error = Embedded::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
}

#[test]
fn every_commit_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let connection = open_writer(&dir.path().join(DATABASE_FILE)).unwrap();
    let pragma = |name: &str| -> String {
        let value = connection.pragma_query_value(None, name, |row| row.get(0));
        let value: rusqlite::types::Value = value.unwrap();
        format!("{value:?}")
    };
    assert_eq!(pragma("journal_mode"), r#"Text("wal")"#);
    assert_eq!(pragma("synchronous"), "Integer(2)");
}

#[test]
fn connections_keep_few_pages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE_FILE);
    let writer = open_writer(&path).unwrap();
    let reader = open_reader(&path).unwrap();
    let kib = |connection: &Connection| -> i64 {
        let kib = connection.pragma_query_value(None, "cache_size", |row| row.get(0));
        kib.unwrap()
    };
    assert_eq!((kib(&writer), kib(&reader)), (-512, -256));
}

#[tokio::test]
async fn a_damaged_artifact_is_not_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let digest = Digest::of(b"component");
    let mut upload = store.artifacts.create().await.unwrap();
    upload.write(Bytes::from("component")).await.unwrap();
    upload.finish(&digest).await.unwrap();
    let path = artifact_path(dir.path(), &digest);
    assert_eq!(mode(&path), 0o600);
    fs::write(&path, "sabotage").unwrap();
    let error = store.artifacts.get(&digest).await.unwrap_err();
    assert_snapshot!(error, @"artifact sha256:6985ca1f4daa5a584a28eae043a239cb96689af1337ea13afb63e00c2bf512fa is damaged: its file holds sha256:cb22a511680c23b656ed331e4528293a58782c111b7cc889042620fc63a96138, deploy the component again");
    let mut upload = store.artifacts.create().await.unwrap();
    upload.write(Bytes::from("component")).await.unwrap();
    upload.finish(&digest).await.unwrap();
    assert!(
        store.artifacts.get(&digest).await.unwrap().is_some(),
        "storing again heals"
    );
}

#[tokio::test]
async fn uploads_that_were_cut_short_are_swept_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(Embedded::open(dir.path()).unwrap());
    fs::write(dir.path().join("tmp/upload-x"), "half").unwrap();
    let _store = Embedded::open(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_name_counts_for_its_window_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::new();
    let store = Embedded::open_with(dir.path(), hands.clock()).unwrap();
    let push = async || {
        let message = Message {
            dedup: Some("seven".to_owned()),
            ..Message::new("one", 1)
        };
        let pushed = store.queue.push(&key("q"), message).await;
        pushed.map(|pushed| pushed.duplicate)
    };
    assert!(!push().await.unwrap());
    hands.forward(DEDUP_WINDOW - Duration::from_millis(1));
    assert!(push().await.unwrap());
    hands.forward(Duration::from_millis(1));
    assert!(!push().await.unwrap());
}

#[tokio::test]
async fn delays_and_leases_end_to_the_millisecond() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::new();
    let store = Embedded::open_with(dir.path(), hands.clock()).unwrap();
    let ready = async || {
        store
            .queue
            .lease(&key("q"), 1, LONG)
            .await
            .map(|leased| leased.len())
    };
    let message = Message {
        delay: LONG,
        ..Message::new("one", 2)
    };
    store.queue.push(&key("q"), message).await.unwrap();
    for _ in 0..2 {
        hands.forward(LONG - Duration::from_millis(1));
        assert_eq!(ready().await.unwrap(), 0);
        hands.forward(Duration::from_millis(1));
        assert_eq!(ready().await.unwrap(), 1);
    }
    hands.forward(LONG);
    assert_eq!(ready().await.unwrap(), 0);
    assert_eq!(store.queue.depth(&key("q")).await.unwrap().dead, 1);
}

#[tokio::test]
async fn queues_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::new();
    let store = Embedded::open_with(dir.path(), hands.clock()).unwrap();
    for body in ["one", "two"] {
        store
            .queue
            .push(&key("q"), Message::new(body, 2))
            .await
            .unwrap();
    }
    let leased = store.queue.lease(&key("q"), 1, LONG).await.unwrap();
    drop(store);
    let store = Embedded::open_with(dir.path(), hands.clock()).unwrap();
    let depth = store.queue.depth(&key("q")).await.unwrap();
    assert_eq!((depth.ready, depth.leased), (1, 1));
    store.queue.ack(&leased[0].lease).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_takes_no_more_and_dead_letters_make_room() {
    let dir = tempfile::tempdir().unwrap();
    drop(Embedded::open(dir.path()).unwrap());
    let database = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let full = format!(
        "INSERT INTO queue VALUES ('full', {}, 0)",
        crate::QUEUE_MESSAGES_MAX
    );
    database.execute_batch(&full).unwrap();
    let dead = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {DEAD_MAX}) \
         INSERT INTO message (queue, body, attempts_max, pushed_at, ready_at, dead_at) \
         SELECT 'q', x'00', 1, 0, 0, 0 FROM n"
    );
    database.execute_batch(&dead).unwrap();
    drop(database);
    let store = Embedded::open(dir.path()).unwrap();
    let error = store
        .queue
        .push(&key("full"), Message::new("one", 1))
        .await
        .unwrap_err();
    assert!(matches!(error, PushError::Full { .. }), "{error}");
    let oldest = store.queue.dead(&key("q"), None, 1).await.unwrap()[0].id;
    store
        .queue
        .push(&key("q"), Message::new("one", 1))
        .await
        .unwrap();
    let leased = store.queue.lease(&key("q"), 1, LONG).await.unwrap();
    store
        .queue
        .nack(&leased[0].lease, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(store.queue.depth(&key("q")).await.unwrap().dead, DEAD_MAX);
    let now_oldest = store.queue.dead(&key("q"), None, 1).await.unwrap()[0].id;
    assert!(now_oldest > oldest);
}

#[tokio::test]
async fn a_full_bucket_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Bucket::new("shop".parse().unwrap(), "carts").unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    store
        .keys
        .set(&bucket, "a", Bytes::from("12345"))
        .await
        .unwrap();
    drop(store);
    let database = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    let counted: (i64, i64) = database
        .query_row("SELECT entries, bytes FROM bucket", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(counted, (1, 6));
    let bytes_max = i64::try_from(crate::BUCKET_BYTES_MAX).unwrap();
    database
        .execute("UPDATE bucket SET bytes = ?1", [bytes_max])
        .unwrap();
    drop(database);
    let store = Embedded::open(dir.path()).unwrap();
    let error = store
        .keys
        .set(&bucket, "b", Bytes::new())
        .await
        .unwrap_err();
    assert!(matches!(error, SetError::Full), "{error}");
    assert_eq!(store.keys.get(&bucket, "b").await.unwrap(), None);
    store
        .keys
        .set(&bucket, "a", Bytes::from("54321"))
        .await
        .unwrap();
    assert!(store.keys.delete(&bucket, "a").await.unwrap());
    store.keys.set(&bucket, "b", Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn deletions_are_forgotten_when_every_watch_has_seen_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let deletions = || {
        let database = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
        let sql = "SELECT count(*) FROM record WHERE value IS NULL";
        database
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let churn = async |rounds: usize| {
        for nth in 0..rounds {
            let name = key(&format!("a{nth}"));
            store
                .registry
                .put(&name, Bytes::new(), Expect::Any)
                .await
                .unwrap();
            store.registry.delete(&name, Expect::Any).await.unwrap();
        }
    };
    churn(300).await;
    assert!(deletions() < 200, "no watch needs them");
    let mut watch = store.registry.watch(&Prefix::ALL).await.unwrap();
    let Change::Current(current) = watch.next().await.unwrap() else {
        panic!("nothing is there");
    };
    churn(300).await;
    assert!(deletions() >= 300, "the watch has not seen them");
    let newest = store.registry.version().await.unwrap();
    let mut gone = 0;
    let mut seen = current;
    while seen < newest {
        let Change::Deleted { version, .. } = watch.next().await.unwrap() else {
            continue;
        };
        gone += 1;
        seen = version;
    }
    assert_eq!(gone, 300);
    churn(300).await;
    let next = watch.next().await.unwrap();
    assert!(matches!(next, Change::Deleted { version, .. } if version > newest));
    drop(watch);
    churn(300).await;
    assert!(deletions() < 200, "the watch is gone");
}

#[tokio::test]
async fn a_watch_that_is_too_far_behind_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let mut watch = store.registry.watch(&Prefix::ALL).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap(),
        Change::Current(Version::default())
    );
    store
        .registry
        .put(&key("a"), Bytes::new(), Expect::Any)
        .await
        .unwrap();
    // As a hundred thousand deletions would.
    let database = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    database
        .execute_batch("UPDATE number SET value = 1 WHERE name = 'forgotten'")
        .unwrap();
    drop(database);
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, StoreError::Lagged), "{error}");
}

#[tokio::test]
async fn a_watch_keeps_the_store_open_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let watch = store.registry.watch(&Prefix::ALL).await.unwrap();
    drop(store);
    assert!(matches!(
        Embedded::open(dir.path()),
        Err(OpenError::InUse { .. })
    ));
    drop(watch);
    Embedded::open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_refused_write_takes_no_other_along() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    // All at once, so that they share transactions.
    let writes = (0..500).map(|nth| {
        let (registry, name) = (Arc::clone(&store.registry), key(&format!("a{}", nth / 2)));
        async move {
            registry
                .put(&name, Bytes::new(), Expect::Absent)
                .await
                .is_ok()
        }
    });
    let written = futures::future::join_all(writes).await;
    assert_eq!(written.iter().filter(|written| **written).count(), 250);
    assert_eq!(store.registry.version().await.unwrap(), Version::new(250));
}
