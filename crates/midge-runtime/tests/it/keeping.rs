//! Instances that are asked again: who gets them, and what ends them. The guest counts how often it
//! was asked, so `1` is a new one.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use midge_model::{Isolation, Limits, Reuse};
use midge_runtime::Published;

use crate::kit::{Worker, function, get, secret, text};

const KEPT: &str = "http02-kept.wasm";
const HOST: &str = "kept.default.midge.test";

/// The function `kept` with this revision, isolated so.
fn of(number: u32, isolation: Isolation) -> Published {
    changed(number, isolation, |_| ())
}

fn serial(reuse: Reuse) -> Isolation {
    Isolation::Serial(reuse)
}

fn changed(number: u32, isolation: Isolation, change: impl Fn(&mut Limits)) -> Published {
    let mut published = function("kept", &format!("r{number}=100"), &[number]);
    for deployment in &mut published.revisions {
        let revision = &mut Arc::get_mut(deployment).unwrap().revision;
        revision.isolation = isolation;
        change(&mut revision.limits);
    }
    published
}

/// The answer, once the guest has come to its end: on a busy machine that can be a moment later.
async fn ask(worker: &Worker, query: &str) -> Result<String, &'static str> {
    let answer = ask_and_go(worker, query).await;
    worker.dispatcher.settled().await;
    answer
}

async fn ask_and_go(worker: &Worker, query: &str) -> Result<String, &'static str> {
    worker.get(HOST, &format!("/?{query}")).await
}

/// Runs with the function as it is by default when it is `serial`.
fn with_serial(reuse: Reuse, test: impl AsyncFnOnce(&Worker)) {
    Worker::of(KEPT, async |worker| {
        worker.dispatcher.apply(of(1, serial(reuse))).unwrap();
        test(&worker).await;
    });
}

#[test]
fn a_fresh_instance_is_asked_once() {
    Worker::of(KEPT, async |worker| {
        worker.dispatcher.apply(of(1, Isolation::Fresh)).unwrap();
        for _ in 0..3 {
            assert_eq!(ask(&worker, "").await.unwrap(), "1");
        }
    });
}

#[test]
fn a_serial_instance_is_asked_again_and_says_so() {
    with_serial(Reuse::DEFAULT, async |worker| {
        let mut numbers = Vec::new();
        for nth in 1..=5 {
            let answered = worker.send(get(HOST, "/")).await.result;
            let (response, receipt) = answered.ok().unwrap();
            assert_eq!(text(response.into_body()).await.unwrap(), nth.to_string());
            let used = receipt.instance.unwrap();
            assert_eq!(used.nth, nth);
            numbers.push(used.number);
        }
        numbers.dedup();
        assert_eq!(numbers.len(), 1, "one instance");
    });
}

#[test]
fn those_at_the_same_time_have_one_each() {
    with_serial(Reuse::DEFAULT, async |worker| {
        let together = join_all((0..4).map(|_| ask(worker, "late=20"))).await;
        assert_eq!(together, vec![Ok("1".to_owned()); 4]);
        let together = join_all((0..4).map(|_| ask(worker, "late=20"))).await;
        assert_eq!(together, vec![Ok("2".to_owned()); 4]);
    });
}

#[test]
fn whatever_is_no_clean_end_ends_the_instance() {
    let short = |limits: &mut Limits| {
        limits.time = Duration::from_secs(2);
        limits.cpu = Duration::from_millis(300);
        limits.memory_bytes = 8 << 20;
    };
    Worker::of(KEPT, async |worker| {
        let kept = changed(1, serial(Reuse::DEFAULT), short);
        worker.dispatcher.apply(kept).unwrap();
        let ends = [
            ("how=trap", Err("trapped")),
            ("how=never", Err("out-of-time")),
            ("how=busy", Err("out-of-cpu")),
            ("how=nothing", Err("no-response")),
            ("how=error", Err("failed")),
            ("mb=16", Err("out-of-memory")),
            // The caller has its answer, and is told nothing.
            ("how=exit", Ok("2")),
            ("late=60000", Ok("2")),
        ];
        for (query, expected) in ends {
            assert_eq!(ask(&worker, "").await.unwrap(), "1", "before {query}");
            let ended = ask(&worker, query).await;
            assert_eq!(ended.as_deref().map_err(|code| *code), expected, "{query}");
            assert_eq!(ask(&worker, "").await.unwrap(), "1", "after {query}");
            assert!(worker.dispatcher.release_idle() > 0);
        }
    });
}

#[test]
fn a_response_that_is_not_ended_ends_the_instance() {
    with_serial(Reuse::DEFAULT, async |worker| {
        assert_eq!(ask(worker, "").await.unwrap(), "1");
        drop(ask(worker, "how=unfinished").await);
        worker.dispatcher.settled().await;
        assert_eq!(ask(worker, "").await.unwrap(), "1");
    });
}

#[test]
fn a_caller_that_goes_away_takes_the_instance_along() {
    with_serial(Reuse::DEFAULT, async |worker| {
        assert_eq!(ask(worker, "").await.unwrap(), "1");
        let answered = worker.send(get(HOST, "/?late=500")).await.result;
        drop(answered);
        worker.dispatcher.settled().await;
        assert_eq!(ask(worker, "").await.unwrap(), "1");
    });
}

#[test]
fn work_behind_the_response_is_part_of_the_invocation() {
    with_serial(Reuse::DEFAULT, async |worker| {
        assert_eq!(ask_and_go(worker, "late=50").await.unwrap(), "1");
        // It is still at work.
        assert_eq!(ask(worker, "").await.unwrap(), "1");
        assert_eq!(ask(worker, "").await.unwrap(), "2");
    });
}

#[test]
fn an_instance_answers_as_many_as_it_may() {
    let reuse = Reuse {
        requests_max: 3,
        ..Reuse::DEFAULT
    };
    with_serial(reuse, async |worker| {
        for expected in ["1", "2", "3", "1", "2", "3", "1"] {
            assert_eq!(ask(worker, "").await.unwrap(), expected);
        }
    });
}

#[test]
fn an_instance_that_grew_over_its_ceiling_is_not_asked_again() {
    let reuse = Reuse {
        memory_max_bytes: Some(16 << 20),
        ..Reuse::DEFAULT
    };
    with_serial(reuse, async |worker| {
        assert_eq!(ask(worker, "mb=2").await.unwrap(), "1");
        assert_eq!(ask(worker, "mb=2").await.unwrap(), "2");
        assert_eq!(ask(worker, "mb=8").await.unwrap(), "3");
        assert_eq!(ask(worker, "").await.unwrap(), "1");
    });
}

#[test]
fn what_an_instance_holds_counts_against_its_memory_in_every_invocation() {
    Worker::of(KEPT, async |worker| {
        let kept = changed(1, serial(Reuse::DEFAULT), |limits| {
            limits.memory_bytes = 16 << 20;
        });
        worker.dispatcher.apply(kept).unwrap();
        assert_eq!(ask(&worker, "mb=4").await.unwrap(), "1");
        assert_eq!(ask(&worker, "mb=4").await, Err("out-of-memory"));
        assert_eq!(ask(&worker, "mb=4").await.unwrap(), "1");
    });
}

#[test]
fn who_leaves_many_handles_is_not_asked_again() {
    with_serial(Reuse::DEFAULT, async |worker| {
        assert_eq!(ask(worker, "handles=100").await.unwrap(), "1");
        assert_eq!(ask(worker, "handles=100").await.unwrap(), "2");
        assert_eq!(ask(worker, "handles=100").await.unwrap(), "3");
        assert_eq!(ask(worker, "handles=100").await.unwrap(), "1");
    });
}

#[test]
fn an_idle_instance_is_dropped_when_its_time_is_up() {
    let reuse = Reuse {
        idle: Duration::from_millis(30),
        ..Reuse::DEFAULT
    };
    with_serial(reuse, async |worker| {
        assert_eq!(ask(worker, "").await.unwrap(), "1");
        assert_eq!(ask(worker, "").await.unwrap(), "2");
        while worker.dispatcher.idle_instances() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ask(worker, "").await.unwrap(), "1");
    });
}

#[test]
fn revisions_secrets_and_loads_have_instances_of_their_own() {
    Worker::of(KEPT, async |worker| {
        let dispatcher = &worker.dispatcher;
        dispatcher.apply(of(1, serial(Reuse::DEFAULT))).unwrap();
        assert_eq!(ask(&worker, "").await.unwrap(), "1");
        assert_eq!(ask(&worker, "").await.unwrap(), "2");
        // The same again is no change.
        dispatcher.apply(of(1, serial(Reuse::DEFAULT))).unwrap();
        assert_eq!(ask(&worker, "").await.unwrap(), "3");
        // Another value of a secret is another deployment of the same revision.
        let mut with_secret = of(1, serial(Reuse::DEFAULT));
        let deployment = Arc::get_mut(&mut with_secret.revisions[0]).unwrap();
        deployment.secrets.insert("KEY".to_owned(), secret("new"));
        dispatcher.apply(with_secret).unwrap();
        assert_eq!(dispatcher.idle_instances(), 0);
        assert_eq!(ask(&worker, "").await.unwrap(), "1");
        dispatcher.apply(of(2, serial(Reuse::DEFAULT))).unwrap();
        assert_eq!(dispatcher.idle_instances(), 0);
        assert_eq!(ask(&worker, "").await.unwrap(), "1");
        // One under way when its revision goes is not kept.
        let answered = worker.send(get(HOST, "/?late=50")).await.result;
        dispatcher.apply(of(3, serial(Reuse::DEFAULT))).unwrap();
        let (response, _) = answered.ok().unwrap();
        assert_eq!(text(response.into_body()).await.unwrap(), "2");
        dispatcher.settled().await;
        assert_eq!(dispatcher.idle_instances(), 0);
        let revision = &of(3, Isolation::Fresh).revisions[0].revision.function;
        dispatcher.remove(&midge_model::NamespaceName::default(), revision);
        assert_eq!(ask(&worker, "").await, Err("no-route"));
    });
}

#[test]
fn an_idle_instance_neither_runs_nor_keeps_anybody_out() {
    Worker::of(KEPT, async |worker| {
        let dispatcher = &worker.dispatcher;
        let kept = changed(1, serial(Reuse::DEFAULT), |limits| {
            limits.concurrency = 16;
        });
        dispatcher.apply(kept).unwrap();
        let together = join_all((0..16).map(|_| ask(&worker, "late=20"))).await;
        assert_eq!(together, vec![Ok("1".to_owned()); 16]);
        // Nothing runs, though half of the pool is taken.
        dispatcher.settled().await;
        assert_eq!(dispatcher.idle_instances(), 16);
        let mut other = function("other", "r1=100", &[1]);
        other.column = 1;
        dispatcher.apply(other).unwrap();
        let mut third = function("third", "r1=100", &[1]);
        third.column = 2;
        dispatcher.apply(third).unwrap();
        let get_of = |name| worker.get(name, "/?late=50");
        let other = join_all((0..16).map(|_| get_of("other.default.midge.test")));
        let third = join_all((0..16).map(|_| get_of("third.default.midge.test")));
        let (other, third) = futures::join!(other, third);
        assert!(other.iter().chain(&third).all(Result::is_ok));
        assert_eq!(dispatcher.idle_instances(), 0, "given up for those");
        assert_eq!(ask(&worker, "").await.unwrap(), "1");
        assert_eq!(dispatcher.release_idle(), 1);
        assert_eq!(ask(&worker, "").await.unwrap(), "1");
    });
}
