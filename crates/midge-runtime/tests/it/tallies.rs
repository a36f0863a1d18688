//! What is counted of invocations, whatever becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kit::{ENV, Worker, function, get, text};

fn counts(worker: &Worker) -> BTreeMap<String, u64> {
    let told = worker.dispatcher.take_tallies();
    told.into_iter()
        .next()
        .map(|told| told.outcomes)
        .unwrap_or_default()
}

fn of(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let counts = counts.iter();
    counts
        .map(|(code, count)| ((*code).to_owned(), *count))
        .collect()
}

#[test]
fn each_invocation_counts_once_its_guest_is_gone() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        for _ in 0..3 {
            worker.get("any", "/f").await.unwrap();
        }
        // Not the function's: there is none.
        assert_eq!(worker.get("any", "/none").await, Err("no-route"));
        worker.dispatcher.settled().await;
        let told = worker.dispatcher.take_tallies();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].function.as_str(), "f");
        assert_eq!(told[0].outcomes, of(&[("responded", 3)]));
        assert_eq!(told[0].latency.total(), 3);
        assert!(told[0].cpu > Duration::ZERO);
        assert_eq!(worker.dispatcher.take_tallies(), [], "told once");
    });
}

#[test]
fn who_is_refused_or_leaves_is_counted_too() {
    Worker::of("http02-stream.wasm", async |worker| {
        let mut published = function("f", "r1=1", &[1]);
        let deployment = std::sync::Arc::make_mut(&mut published.revisions[0]);
        deployment.revision.limits.concurrency = 1;
        deployment.revision.limits.queue = 0;
        worker.dispatcher.apply(published).unwrap();
        let stream = || get("any", "/f?n=64&size=65536");
        let (response, _) = worker.send(stream()).await.result.ok().unwrap();
        assert_eq!(worker.get("any", "/f").await, Err("function-full"));
        drop(response);
        worker.dispatcher.settled().await;
        assert_eq!(
            counts(&worker),
            of(&[("cancelled", 1), ("function-full", 1)])
        );
        let (response, _) = worker.send(stream()).await.result.ok().unwrap();
        text(response.into_body()).await.unwrap();
        worker.dispatcher.settled().await;
        assert_eq!(counts(&worker), of(&[("responded", 1)]));
    });
}

#[test]
fn counts_go_on_when_a_function_is_published_again_and_outlive_it() {
    Worker::of(ENV, async |worker| {
        for number in 1..=3 {
            let published = function("f", &format!("r{number}=1"), &[number]);
            worker.dispatcher.apply(published).unwrap();
            worker.get("any", "/f").await.unwrap();
        }
        let name = "f".parse().unwrap();
        worker
            .dispatcher
            .remove(&midge_model::NamespaceName::default(), &name);
        worker.dispatcher.settled().await;
        assert_eq!(counts(&worker), of(&[("responded", 3)]));
    });
}
