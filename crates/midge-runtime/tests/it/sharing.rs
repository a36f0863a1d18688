//! Instances that several invocations have at a time: who gets in, what ends all of them, and what
//! ends one. The guest answers how often its instance was asked, and how many were in it at most.

use std::sync::Arc;
use std::time::Duration;

use midge_model::{Isolation, Limits, Outcome, Reuse};
use midge_runtime::{Published, Receipt, ResponseBody};
use tokio::time::Instant;

use crate::kit::{Worker, function, get, secret, text};

const KEPT: &str = "http03-kept.wasm";
const HOST: &str = "kept.default.midge.test";

/// Long enough for whatever must not run out on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn shared(concurrency: u32) -> Isolation {
    Isolation::Shared {
        reuse: Reuse::DEFAULT,
        concurrency,
    }
}

fn bounded(bound: impl FnOnce(&mut Reuse)) -> Isolation {
    let mut reuse = Reuse::DEFAULT;
    bound(&mut reuse);
    Isolation::Shared {
        reuse,
        concurrency: 4,
    }
}

fn of(number: u32, isolation: Isolation) -> Published {
    changed(number, isolation, |_| ())
}

fn changed(number: u32, isolation: Isolation, change: impl Fn(&mut Limits)) -> Published {
    let mut published = function("kept", &format!("r{number}=100"), &[number]);
    for deployment in &mut published.revisions {
        let revision = &mut Arc::get_mut(deployment).unwrap().revision;
        revision.isolation = isolation;
        revision.limits.time = LONG;
        revision.limits.cpu = LONG;
        revision.limits.concurrency = 16;
        change(&mut revision.limits);
    }
    published
}

/// Runs with the function as it says.
fn with(published: Published, test: impl AsyncFnOnce(&Worker)) {
    Worker::of(KEPT, async |worker| {
        worker.dispatcher.apply(published).unwrap();
        test(&worker).await;
    });
}

async fn ask(worker: &Worker, query: &str) -> Result<String, &'static str> {
    worker.get(HOST, &format!("/?{query}")).await
}

/// How it ended, in full.
async fn ends(worker: &Worker, query: &str) -> Result<(String, Receipt), Outcome> {
    let answered = worker.send(get(HOST, &format!("/?{query}"))).await.result;
    let (response, receipt) = answered?;
    Ok((text(response.into_body()).await?, receipt))
}

/// One that was asked and waits in its body for `release`: the guest was called for it.
type Held = (ResponseBody, Receipt);

async fn holds(worker: &Worker, more: &str) -> Held {
    let asked = get(HOST, &format!("/?hold=body&{more}"));
    let (response, receipt) = worker.send(asked).await.result.ok().unwrap();
    (response.into_body(), receipt)
}

/// What it answered in the end.
async fn answer((body, receipt): Held) -> (String, Receipt) {
    (text(body).await.unwrap(), receipt)
}

/// How it ended in place of an answer.
async fn outcome((body, _): Held) -> Outcome {
    text(body).await.unwrap_err()
}

#[test]
fn those_at_the_same_time_have_one_instance_and_the_receipts_say_so() {
    with(of(1, shared(4)), async |worker| {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(holds(worker, "").await);
        }
        let last = ends(worker, "release").await.unwrap();
        let mut all = vec![last];
        for one in held {
            all.push(answer(one).await);
        }
        assert_eq!(all[0].0, "4 4");
        let used = |(_, receipt): &(_, Receipt)| receipt.instance.unwrap();
        let number = used(&all[0]).number;
        assert!(all.iter().all(|one| used(one).number == number));
        let mut nth: Vec<_> = all.iter().map(|one| used(one).nth).collect();
        nth.sort_unstable();
        assert_eq!(nth, [1, 2, 3, 4]);
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1);
        assert_eq!(ask(worker, "").await.unwrap(), "5 4");
    });
}

#[test]
fn who_finds_no_room_gets_another_instance() {
    with(of(1, shared(2)), async |worker| {
        let one = holds(worker, "").await;
        let two = holds(worker, "").await;
        let three = holds(worker, "").await;
        assert_eq!(ask(worker, "release").await.unwrap(), "2 2", "of the third");
        assert_eq!(answer(three).await.0, "1 2");
        drop((one, two));
    });
}

#[test]
fn an_instance_answers_no_more_than_it_may() {
    let three = bounded(|reuse| reuse.requests_max = 3);
    with(of(1, three), async |worker| {
        let one = holds(worker, "").await;
        assert_eq!(ask(worker, "").await.unwrap(), "2 2");
        let other = holds(worker, "").await;
        assert_eq!(ask(worker, "").await.unwrap(), "1 1", "another one");
        drop((one, other));
    });
}

#[test]
fn an_idle_instance_is_dropped_when_its_time_is_up() {
    let short = bounded(|reuse| reuse.idle = Duration::from_millis(30));
    with(of(1, short), async |worker| {
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
        worker.dispatcher.settled().await;
        while worker.dispatcher.idle_instances() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
    });
}

#[test]
fn an_instance_that_grew_over_its_ceiling_takes_nobody_else() {
    let ceiling = bounded(|reuse| reuse.memory_max_bytes = Some(8 << 20));
    with(of(1, ceiling), async |worker| {
        let held = holds(worker, "mb=16").await;
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
        drop(held);
        worker.dispatcher.settled().await;
        assert_eq!(ask(worker, "").await.unwrap(), "2 1");
    });
}

#[test]
fn a_trap_ends_all_that_are_in_the_instance() {
    with(of(1, shared(4)), async |worker| {
        let held = holds(worker, "").await;
        assert_eq!(ask(worker, "how=trap").await, Err("trapped"));
        assert_eq!(outcome(held).await.code(), "trapped");
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 0);
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
    });
}

#[test]
fn memory_that_is_refused_ends_all_that_are_in_the_instance() {
    let small = changed(1, shared(4), |limits| limits.memory_bytes = 8 << 20);
    with(small, async |worker| {
        let held = holds(worker, "").await;
        assert_eq!(ask(worker, "mb=16").await, Err("out-of-memory"));
        assert_eq!(outcome(held).await.code(), "out-of-memory");
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
    });
}

#[test]
fn who_runs_out_of_time_ends_alone_and_the_instance_is_not_asked_again() {
    let time = Duration::from_secs(3);
    let short = changed(1, shared(4), |limits| limits.time = time);
    with(short, async |worker| {
        let late = holds(worker, "").await;
        tokio::time::sleep(time / 2).await;
        let in_time = holds(worker, "wait=1").await;
        let ends_late = outcome(late).await;
        assert_eq!(ends_late, Outcome::OutOfTime { limit: time });
        assert_eq!(ask(worker, "").await.unwrap(), "1 1", "another one");
        // The other one goes on until its own time is up.
        let before = Instant::now();
        let ends_then = outcome(in_time).await;
        assert_eq!(ends_then, Outcome::OutOfTime { limit: time });
        assert!(before.elapsed() > time / 4, "{:?}", before.elapsed());
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1, "the other one");
    });
}

#[test]
fn who_is_in_time_has_its_answer_although_another_one_is_not() {
    let short = changed(1, shared(4), |limits| limits.time = Duration::from_secs(3));
    with(short, async |worker| {
        let late = async {
            let ended = ends(worker, "hold").await;
            (ended.err().unwrap().code(), Instant::now())
        };
        let in_time = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let (said, _) = ends(worker, "wait=1500").await.unwrap();
            (said, Instant::now())
        };
        let (late, in_time) = futures::join!(late, in_time);
        assert_eq!((late.0, in_time.0.as_str()), ("out-of-time", "2 2"));
        assert!(late.1 < in_time.1, "the one heard of it when it was over");
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 0);
    });
}

#[test]
fn who_leaves_ends_alone_and_the_instance_is_not_asked_again() {
    with(of(1, shared(4)), async |worker| {
        let stays = worker.send(get(HOST, "/?wait=1000"));
        let leaves = async {
            let leaves = holds(worker, "").await;
            drop(leaves);
            assert_eq!(ask(worker, "").await.unwrap(), "1 1", "another one");
        };
        let (stays, ()) = futures::join!(stays, leaves);
        let (response, _) = stays.result.ok().unwrap();
        assert_eq!(text(response.into_body()).await.unwrap(), "1 2");
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1, "the other one");
        // Whoever was alone leaves nobody behind.
        drop(holds(worker, "").await);
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 0);
    });
}

#[test]
fn who_leaves_before_its_response_began_ends_alone() {
    with(of(1, shared(4)), async |worker| {
        let stays = holds(worker, "").await;
        let waits = worker.send(get(HOST, "/?hold"));
        drop(tokio::time::timeout(Duration::from_millis(100), waits).await);
        assert_eq!(ask(worker, "").await.unwrap(), "1 1", "another one");
        drop(stays);
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1, "the other one");
    });
}

#[test]
fn an_error_in_place_of_a_response_ends_the_instance_behind_the_others() {
    with(of(1, shared(4)), async |worker| {
        let stays = holds(worker, "").await;
        assert_eq!(ask(worker, "how=error").await, Err("failed"));
        assert_eq!(ask(worker, "").await.unwrap(), "1 1", "another one");
        drop(stays);
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1, "the other one");
    });
}

/// Enough for a guest that waits, little for one that computes.
const CPU: Duration = Duration::from_millis(500);

fn short_of_cpu() -> Published {
    changed(1, shared(4), |limits| limits.cpu = CPU)
}

fn assert_ended_by_another(outcome: &Outcome) {
    let Outcome::Failed { reason } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(reason.starts_with("ended with its instance"), "{reason}");
}

#[test]
fn a_guest_that_computes_without_end_is_ended_and_takes_the_others_along() {
    with(short_of_cpu(), async |worker| {
        let held = [holds(worker, "").await, holds(worker, "").await];
        let busy = ends(worker, "how=busy").await;
        assert_eq!(busy.err(), Some(Outcome::OutOfCpu { limit: CPU }));
        for one in held {
            assert_ended_by_another(&outcome(one).await);
        }
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 0);
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
    });
}

#[test]
fn a_guest_that_computes_pays_for_it_and_those_that_wait_do_not() {
    with(of(1, shared(4)), async |worker| {
        let held = holds(worker, "").await;
        let (_, busy) = ends(worker, "spin=300").await.unwrap();
        let waited = ends(worker, "release").await.unwrap();
        assert_eq!(waited.0, "3 2");
        assert!(waited.1.cpu < busy.cpu / 2, "{:?}", waited.1.cpu);
        assert_eq!(answer(held).await.0, "1 2");
    });
}

#[test]
fn a_guest_that_computes_on_after_its_caller_left_is_ended() {
    with(short_of_cpu(), async |worker| {
        let held = holds(worker, "").await;
        let busy = worker.send(get(HOST, "/?how=busy-late")).await.result;
        drop(busy);
        assert_ended_by_another(&outcome(held).await);
        assert_eq!(ask(worker, "").await.unwrap(), "1 1");
    });
}

#[test]
fn work_behind_the_response_is_the_invocations_that_is_left() {
    with(of(1, shared(4)), async |worker| {
        // The response is whole, and the guest works on.
        assert_eq!(ask(worker, "hold=late").await.unwrap(), "1 1");
        assert_eq!(worker.dispatcher.idle_instances(), 0);
        // Another one may come in all the same, and ends that work here.
        assert_eq!(ask(worker, "release").await.unwrap(), "2 1");
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1);
    });
    let short = changed(1, shared(4), |limits| limits.time = Duration::from_secs(1));
    with(short, async |worker| {
        assert_eq!(ask(worker, "hold=late").await.unwrap(), "1 1");
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 0, "out of time");
    });
}

#[test]
fn those_in_an_instance_count_each_for_its_function() {
    let two = changed(1, shared(4), |limits| {
        limits.concurrency = 2;
        limits.queue = 0;
    });
    with(two, async |worker| {
        let one = holds(worker, "").await;
        let two = holds(worker, "").await;
        assert_eq!(ask(worker, "release").await, Err("function-full"));
        drop((one, two));
    });
}

#[test]
fn an_instance_counts_once_for_its_worker() {
    // Half of the pool's 32 slots may be one function's, and would be with one instance each.
    let many = changed(1, shared(4), |limits| limits.concurrency = 64);
    with(many, async |worker| {
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(holds(worker, "").await);
        }
        let mut numbers: Vec<_> = held
            .iter()
            .map(|one| one.1.instance.unwrap().number)
            .collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 16);
        drop(held);
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 0);
    });
}

#[test]
fn revisions_secrets_and_loads_have_instances_of_their_own() {
    with(of(1, shared(4)), async |worker| {
        let dispatcher = &worker.dispatcher;
        let first = holds(worker, "").await;
        // Another value of a secret is another deployment of the same revision.
        let mut with_secret = of(1, shared(4));
        let deployment = Arc::get_mut(&mut with_secret.revisions[0]).unwrap();
        deployment.revision.limits.time = LONG;
        deployment.secrets.insert("KEY".to_owned(), secret("new"));
        dispatcher.apply(with_secret).unwrap();
        assert_eq!(ask(worker, "release").await.unwrap(), "1 1");
        let second = holds(worker, "").await;
        dispatcher.apply(of(2, shared(4))).unwrap();
        assert_eq!(dispatcher.idle_instances(), 0);
        assert_eq!(ask(worker, "release").await.unwrap(), "1 1");
        drop((first, second));
        dispatcher.settled().await;
        assert_eq!(dispatcher.idle_instances(), 1, "of the second revision");
    });
}

#[test]
fn those_in_an_instance_whose_revision_goes_finish() {
    with(of(1, shared(4)), async |worker| {
        let under_way = ends(worker, "wait=500");
        let goes = async {
            worker.dispatcher.apply(of(2, shared(4))).unwrap();
            assert_eq!(ask(worker, "").await.unwrap(), "1 1", "of the new one");
        };
        let (under_way, ()) = futures::join!(under_way, goes);
        assert_eq!(under_way.unwrap().0, "1 1");
        worker.dispatcher.settled().await;
        assert_eq!(worker.dispatcher.idle_instances(), 1, "of the new one");
    });
}
