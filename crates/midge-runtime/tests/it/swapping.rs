//! One state of a function after another, between requests and under them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use midge_model::{FunctionName, NamespaceName, Route};
use midge_runtime::Dispatched;
use tokio::task::JoinSet;

use crate::kit::{ENV, Worker, function, get, secret, text};

/// Sends what the test asks for, piece by piece, as long as it is read.
const STREAM: &str = "http02-stream.wasm";

fn name() -> FunctionName {
    "f".parse().unwrap()
}

#[test]
fn the_next_request_gets_what_was_published_last() {
    Worker::of(ENV, async |worker| {
        for number in 1..=5 {
            let traffic = format!("r{number}=1");
            let published = function("f", &traffic, &[number]);
            let prepared = worker.dispatcher.preload(published).await.unwrap();
            let loaded = worker.source.began.get();
            worker.dispatcher.apply(prepared).unwrap();
            let want = format!("REVISION=r{number}\n");
            assert_eq!(worker.get("any", "/f").await.unwrap(), want);
            assert_eq!(worker.source.began.get(), loaded, "nobody waited for it");
            assert_eq!(worker.source.alive(), 1, "the one before is gone");
        }
    });
}

#[test]
fn what_did_not_change_stays_loaded() {
    Worker::of(ENV, async |worker| {
        let dispatcher = &worker.dispatcher;
        let apply = async |published| {
            let prepared = dispatcher.preload(published).await.unwrap();
            dispatcher.apply(prepared).unwrap();
            worker.source.began.get()
        };
        assert_eq!(apply(function("f", "r1=1", &[1])).await, 1);
        assert_eq!(apply(function("f", "r1=90 r2=10", &[1, 2])).await, 2);
        assert_eq!(apply(function("f", "r1=10 r2=90", &[1, 2])).await, 2);
        assert_eq!(apply(function("f", "r2=1", &[1, 2])).await, 2);
        assert_eq!(
            worker.source.alive(),
            1,
            "the first has no traffic any more"
        );
        assert_eq!(apply(function("f", "r1=1", &[1, 2])).await, 3);

        let mut rotated = function("f", "r1=1", &[1, 2]);
        let with_secret = Arc::make_mut(&mut rotated.revisions[0]);
        with_secret.secrets.insert("KEY".to_owned(), secret("new"));
        assert_eq!(apply(rotated).await, 4, "another value of a secret");
        assert_eq!(worker.source.alive(), 1);
    });
}

#[test]
fn a_request_under_way_keeps_what_it_began_with() {
    Worker::of(STREAM, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        let request = get("any", "/f?n=64&size=65536");
        let (response, _) = worker.send(request).await.result.ok().unwrap();
        worker
            .dispatcher
            .apply(function("f", "r2=1", &[2]))
            .unwrap();
        assert!(code_is_mapped(), "the guest that runs holds its code");
        worker.dispatcher.remove(&NamespaceName::default(), &name());
        assert_eq!(worker.get("any", "/f").await, Err("no-route"));
        let body = text(response.into_body()).await.unwrap();
        assert!(body.len() >= 64 * 65_536, "{} bytes", body.len());
        worker.dispatcher.settled().await;
        assert_eq!(worker.source.alive(), 0);
        assert!(!code_is_mapped());
    });
}

#[test]
fn a_request_that_waits_for_its_code_gets_it_though_it_was_replaced() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        worker.source.waits.set(true);
        let mut waits = Box::pin(worker.get("any", "/f"));
        assert!(futures::poll!(&mut waits).is_pending());
        worker.source.waits.set(false);
        worker
            .dispatcher
            .apply(function("f", "r2=1", &[2]))
            .unwrap();
        assert_eq!(worker.get("any", "/f").await.unwrap(), "REVISION=r2\n");
        worker.source.go_on.notify_one();
        assert_eq!(waits.await.unwrap(), "REVISION=r1\n");
    });
}

#[test]
fn deploys_under_requests_fail_none_of_them() {
    const CLIENTS: usize = 4;
    const DEPLOYS: u32 = 100;
    Worker::of(ENV, async |worker| {
        let live = Rc::new(Cell::new(1));
        let deploy = async |number: u32| {
            let published = function("f", &format!("r{number}=1"), &[number]);
            let prepared = worker.dispatcher.preload(published).await.unwrap();
            worker.dispatcher.apply(prepared).unwrap();
            live.set(number);
        };
        deploy(1).await;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (worker, live) = (Rc::clone(&worker), Rc::clone(&live));
            clients.spawn_local(async move {
                let mut answered = 0_u32;
                while live.get() < DEPLOYS {
                    let before = live.get();
                    let answer = worker.get("any", "/f").await.unwrap();
                    let number = answer.trim().strip_prefix("REVISION=r").unwrap();
                    let number: u32 = number.parse().unwrap();
                    assert_eq!(number, before, "what was live when it came");
                    answered += 1;
                }
                answered
            });
        }
        for number in 2..=DEPLOYS {
            deploy(number).await;
        }
        let answered = clients.join_all().await;
        assert!(
            answered.iter().all(|answered| *answered > 10),
            "{answered:?}"
        );
    });
}

#[test]
fn who_cannot_be_published_leaves_everything_as_it_was() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        let mut rival = function("rival", "r1=1", &[1]);
        let deployment = Arc::make_mut(&mut rival.revisions[0]);
        deployment.revision.routes = vec![Route::default_of(&name())];
        worker.dispatcher.apply(rival).unwrap_err();
        assert_eq!(worker.get("any", "/f").await.unwrap(), "REVISION=r1\n");
        assert_eq!(
            worker.get("rival.default.midge.test", "/").await,
            Err("no-route")
        );
    });
}

#[test]
fn whom_a_request_was_for_is_told_with_its_answer() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r2=1", &[1, 2]))
            .unwrap();
        let told = |dispatched: Dispatched| {
            let addressee = dispatched.addressee?;
            let revision = addressee.revision.map(|revision| revision.to_string());
            let (namespace, function) = (addressee.namespace, addressee.function);
            Some(format!(
                "{namespace}/{function}@{}",
                revision.unwrap_or_default()
            ))
        };
        let answered = worker.send(get("any", "/f")).await;
        assert_eq!(told(answered).as_deref(), Some("default/f@r2"));
        let no_revision = worker.send(get("r9.f.default.midge.test", "/")).await;
        assert_eq!(told(no_revision).as_deref(), Some("default/f@"));
        assert_eq!(told(worker.send(get("any", "/none")).await), None);
    });
}

/// Resident memory of this process, in bytes.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = status.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Whether this process has native code of any guest.
fn code_is_mapped() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.contains(".cwasm")
}

#[test]
fn what_is_replaced_is_freed() {
    const WARM_UP: u32 = 50;
    const ROUNDS: u32 = 500;
    const GROWTH_BYTES_MAX: usize = 8 << 20;
    Worker::of(ENV, async |worker| {
        let mut before_bytes = 0;
        for number in 1..=WARM_UP + ROUNDS {
            let published = function("f", &format!("r{number}=1"), &[number]);
            let prepared = worker.dispatcher.preload(published).await.unwrap();
            worker.dispatcher.apply(prepared).unwrap();
            assert!(worker.get("any", "/f").await.is_ok());
            if number % 2 == 0 {
                worker.dispatcher.remove(&NamespaceName::default(), &name());
            }
            if number == WARM_UP {
                before_bytes = resident_bytes();
            }
        }
        worker.dispatcher.settled().await;
        assert_eq!(
            worker.source.alive(),
            0,
            "each is gone with the last that used it"
        );
        assert_eq!(worker.dispatcher.loaded().len(), 0);
        let grown_bytes = resident_bytes().saturating_sub(before_bytes);
        assert!(
            grown_bytes < GROWTH_BYTES_MAX,
            "{grown_bytes} bytes more after {ROUNDS} deploys"
        );
        assert!(!code_is_mapped());
    });
}
