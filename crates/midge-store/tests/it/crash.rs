//! Killed in the middle of writing.
//!
//! A child, which is this test binary again, writes records, artifacts and messages and says of
//! each when it was acknowledged; it is killed while it does, again and again over one store.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use midge_model::{Digest, NamespaceName, Quota};
use midge_store::records::{NamespaceRecord, all_namespaces, list_all, namespace_key, write};
use midge_store::{Embedded, Expect, Message, OpenError, Store, check, now};

use crate::contract::key;

/// Says to the child where it writes; without it the child is a test that does nothing.
const DIR: &str = "MIDGE_STORE_CRASH_DIR";
const CHILD: &str = "crash::child_that_writes_until_it_is_killed";
const KILLS: usize = 12;
const WRITERS: usize = 4;

#[test]
fn every_acknowledged_write_survives_being_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        // Another moment each time, the first of them while the store is made.
        acknowledged.extend(write_and_kill(dir.path(), round * 17));
        match check(dir.path()) {
            Ok(report) => assert_eq!(report.problems, [""; 0]),
            // The first may be stopped before there is a store.
            Err(OpenError::Missing { .. }) => assert!(acknowledged.is_empty()),
            Err(error) => panic!("{error}"),
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store = Embedded::open(dir.path()).unwrap();
        let kept = runtime.block_on(kept(&store));
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "lost after kill {round}: {lost:?}");
    }
    assert!(acknowledged.len() > KILLS, "the child wrote something");
}

/// What the child said before it was killed, soon after it had said so many things.
fn write_and_kill(dir: &Path, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let mut keep = |line: String| said.extend(line.strip_prefix("ack ").map(str::to_owned));
    // The harness has its own lines, so the child says when it begins.
    let begun = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line == "begun");
    assert!(begun.is_some(), "the child begins");
    for line in lines.by_ref().take(after) {
        keep(line.unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said between the last line read and its end counts too; the last may be cut short.
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    rest.into_iter().for_each(&mut keep);
    said
}

async fn kept(store: &Store) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    let records = list_all::<NamespaceRecord>(&*store.registry, &all_namespaces()).await;
    for (_, record) in records.unwrap() {
        kept.insert(format!("record {}.", record.value.name));
    }
    let mut after = None;
    loop {
        let page = store.artifacts.list(after.as_ref(), 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.digest);
        for info in page {
            assert!(store.artifacts.get(&info.digest).await.unwrap().is_some());
            kept.insert(format!("artifact {}.", info.digest));
        }
    }
    let depth = store.queue.depth(&key("crash")).await.unwrap();
    for nth in 1..=depth.ready {
        kept.insert(format!("message {nth}."));
    }
    kept
}

#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    say("begun");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = Embedded::open(Path::new(&dir)).unwrap();
    runtime.block_on(async {
        let writers = (0..WRITERS).map(|nth| write_on(&store, nth));
        futures::future::join_all(writers).await;
    });
}

async fn write_on(store: &Store, writer: usize) {
    let process = std::process::id();
    for nth in 0_u64.. {
        let name: NamespaceName = format!("n{process}-{writer}-{nth}").parse().unwrap();
        let record = NamespaceRecord {
            name: name.clone(),
            created_at: now(),
            quota: Quota::default(),
        };
        let registry = &*store.registry;
        let made = write(registry, &namespace_key(&name), &record, Expect::Absent).await;
        made.unwrap();
        say(&format!("ack record {name}."));
        let bytes = Bytes::from(format!("{name} ").repeat(1_000));
        let digest = Digest::of(&bytes);
        let mut upload = store.artifacts.create().await.unwrap();
        upload.write(bytes).await.unwrap();
        upload.finish(&digest).await.unwrap();
        say(&format!("ack artifact {digest}."));
        let message = Message::new(name.to_string(), 1);
        let pushed = store.queue.push(&key("crash"), message).await.unwrap();
        say(&format!("ack message {}.", pushed.id));
    }
}

/// In one write, so that a line is whole or not there, and past what the harness captures.
fn say(line: &str) {
    let line = format!("{line}\n");
    // The other end is gone when this process is about to be.
    drop(std::io::stdout().write_all(line.as_bytes()));
    drop(std::io::stdout().flush());
}
