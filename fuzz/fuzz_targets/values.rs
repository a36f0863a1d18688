//! Any bytes on the socket for values are frames or end the conversation; a frame that was read and
//! is sent on reads the same.
//!
//! Either end reads here what the other one could say: a worker is not trusted.
#![no_main]

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

#[path = "../../crates/midge/src/values/wire.rs"]
mod wire;

/// What a future comes to that never waits: all bytes are there.
fn now<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("reading from memory waits"),
    }
}

fn check<H: Serialize + DeserializeOwned + PartialEq + Debug>(mut said: &[u8]) {
    while let Ok(Some(read)) = now(wire::receive::<H>(&mut said)) {
        let frame = wire::frame(&read.0, &read.1);
        let mut again = frame.as_slice();
        let same = now(wire::receive::<H>(&mut again)).expect("a frame of ours is sound");
        assert_eq!(same, Some(read));
        assert!(again.is_empty());
    }
}

fuzz_target!(|said: &[u8]| {
    check::<wire::Ask>(said);
    check::<wire::Told>(said);
});
