//! Both ends of the socket, over values in memory.

use std::sync::Arc;

use bytes::Bytes;
use midge_sandbox::{Bucket, Expected, KeyValues as _, KvFault, Swapped};
use midge_store::MemoryKeys;
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::wire::{Answer, Ask, Told, What, frame, receive};
use super::{Asking, ValuesDoor};
use crate::supervisor::Roster;

fn carts() -> Bucket {
    Bucket {
        namespace: "shop".parse().unwrap(),
        name: "carts".parse().unwrap(),
    }
}

/// The door is open as long as somebody has it.
fn over_memory() -> (Asking, ValuesDoor) {
    let door = ValuesDoor::open(Arc::new(MemoryKeys::default()), None).unwrap();
    let asking = Asking::start(door.connect().unwrap()).unwrap();
    (asking, door)
}

#[tokio::test]
async fn what_is_asked_for_is_what_is_kept() {
    let (values, _door) = over_memory();
    let (at, one) = (carts(), Bytes::from_static(b"one"));
    assert_eq!(values.get(&at, "a").await.unwrap(), None);
    values.set(&at, "a", one.clone()).await.unwrap();
    let found = values.get(&at, "a").await.unwrap().unwrap();
    assert_eq!(found.bytes, one);
    assert!(values.exists(&at, "a").await.unwrap());
    assert!(!values.exists(&at, "b").await.unwrap());
    let seen = Expected::Version(found.version);
    let two = Bytes::from_static(b"two");
    let swapped = values.swap(&at, "a", two.clone(), seen).await.unwrap();
    assert_eq!(swapped, Swapped::Done);
    let swapped = values.swap(&at, "a", two, seen).await.unwrap();
    assert!(matches!(swapped, Swapped::Not(Expected::Version(now)) if now > found.version));
    assert_eq!(values.increment(&at, "n", 3).await.unwrap(), 3);
    assert_eq!(values.list(&at, Some("a"), 10).await.unwrap(), ["n"]);
    values.delete(&at, "a").await.unwrap();
    let gone = values.swap(&at, "a", one, seen).await.unwrap();
    assert_eq!(gone, Swapped::Not(Expected::Absent));
}

#[tokio::test]
async fn a_refusal_is_a_sentence() {
    let (values, _door) = over_memory();
    let text = Bytes::from_static(b"text");
    values.set(&carts(), "a", text).await.unwrap();
    let error = values.increment(&carts(), "a", 1).await.unwrap_err();
    assert_eq!(
        error,
        KvFault("the value is not a whole number and cannot be incremented".to_owned())
    );
}

#[tokio::test]
async fn many_ask_at_once_and_each_gets_its_own_answer() {
    let (values, _door) = over_memory();
    let values = Arc::new(values);
    let mut tasks = JoinSet::new();
    for number in 0..500 {
        let values = Arc::clone(&values);
        tasks.spawn(async move {
            let key = number.to_string();
            let value = Bytes::from(key.clone().repeat(1_000));
            values.set(&carts(), &key, value.clone()).await.unwrap();
            let found = values.get(&carts(), &key).await.unwrap().unwrap();
            assert_eq!(found.bytes, value);
            values.increment(&carts(), "n", 1).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(values.increment(&carts(), "n", 0).await.unwrap(), 500);
}

#[tokio::test]
async fn who_gives_up_takes_nothing_from_others() {
    let (values, _door) = over_memory();
    for _ in 0..100 {
        // Polled once, so that it is asked, and dropped before it is answered.
        let at = carts();
        let asked = values.increment(&at, "n", 1);
        tokio::select! {
            biased;
            _ = asked => {}
            () = std::future::ready(()) => {}
        }
    }
    assert!(values.get(&carts(), "n").await.is_ok());
}

#[tokio::test]
async fn a_bucket_that_no_function_is_granted_is_refused() {
    let roster = Roster::new(None, false);
    let door = ValuesDoor::open(Arc::new(MemoryKeys::default()), Some(roster)).unwrap();
    let values = Asking::start(door.connect().unwrap()).unwrap();
    let error = values.get(&carts(), "a").await.unwrap_err();
    assert_eq!(error.0, "no function is granted this bucket any more");
}

#[tokio::test]
async fn when_the_other_end_is_gone_every_call_fails() {
    let (theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let values = Asking::start(ours).unwrap();
    let at = carts();
    let waiting = values.get(&at, "a");
    drop(theirs);
    let sentence = "the node's store does not answer, try again later";
    assert_eq!(waiting.await.unwrap_err().0, sentence);
    assert_eq!(values.get(&at, "a").await.unwrap_err().0, sentence);
}

#[tokio::test]
async fn a_frame_beyond_its_bounds_ends_the_conversation() {
    let mut large = frame(
        &Told {
            id: 0,
            answer: Answer::Done,
        },
        b"",
    );
    large[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    for bytes in [&[0xff; 16][..], &large, b"\0\0\0\x02\0\0\0\0{}"] {
        let error = receive::<Told>(&mut &bytes[..]).await.unwrap_err();
        assert!(!error.to_string().is_empty());
    }
    assert!(receive::<Told>(&mut &b""[..]).await.unwrap().is_none());
}

proptest! {
    /// What one end says the other hears, whatever bytes are in it.
    #[test]
    fn a_frame_comes_through(id: u64, key: String, body: Vec<u8>, after: Option<String>, by: i64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let whats = [
            What::Get { key: key.clone() },
            What::Swap { key: key.clone(), expected: Some(id) },
            What::List { after, limit: 7 },
            What::Increment { key, by },
        ];
        for what in whats {
            let ask = Ask { id, namespace: "shop".parse().unwrap(), bucket: "carts".parse().unwrap(), what };
            let bytes = frame(&ask, &body);
            let heard = runtime.block_on(receive::<Ask>(&mut &bytes[..])).unwrap();
            prop_assert_eq!(heard, Some((ask, Bytes::from(body.clone()))));
        }
    }

    /// Nonsense is an error or the end, never a panic.
    #[test]
    fn nonsense_is_no_panic(bytes: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        drop(runtime.block_on(receive::<Ask>(&mut &bytes[..])));
    }
}
