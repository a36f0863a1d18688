//! What is loaded and not used goes when there is too much, and comes back when it is asked for.

use std::rc::Rc;

use futures::future::join_all;
use midge_runtime::{LoadedBounds, Published};

use crate::kit::{ENV, Worker, function, get, text};

/// Sends what the test asks for, piece by piece, as long as it is read.
const STREAM: &str = "http02-stream.wasm";

/// Room for so many revisions, whatever they hold.
fn room_for(revisions_max: u32) -> LoadedBounds {
    LoadedBounds {
        bytes_max: u64::MAX,
        revisions_max,
    }
}

/// Function number so and so, with a column of its own.
fn numbered(number: usize) -> Published {
    let mut published = function(&format!("f{number}"), "r1=1", &[1]);
    published.column = number;
    published
}

fn publish(worker: &Worker, functions: usize) {
    for number in 0..functions {
        worker.dispatcher.apply(numbered(number)).unwrap();
    }
}

async fn ask(worker: &Worker, number: usize) {
    let answer = worker.get("any", &format!("/f{number}")).await;
    assert_eq!(answer.unwrap(), "REVISION=r1\n");
    // What has to go goes behind the answer.
    tokio::task::yield_now().await;
}

#[test]
fn many_functions_answer_and_few_of_them_stay_loaded() {
    const FUNCTIONS: usize = 60;
    Worker::with(ENV, room_for(8), async |worker| {
        publish(&worker, FUNCTIONS);
        for number in (0..FUNCTIONS).chain(0..FUNCTIONS) {
            ask(&worker, number).await;
            assert!(worker.source.alive() <= 8);
        }
        let counts = worker.dispatcher.loaded_counts();
        assert_eq!((counts.revisions, counts.evicted), (8, 112));
        assert_eq!(worker.source.began.get(), 120, "none was there any more");
    });
}

#[test]
fn what_is_used_again_and_again_stays_loaded() {
    Worker::with(ENV, room_for(4), async |worker| {
        publish(&worker, 20);
        for number in 1..20 {
            ask(&worker, 0).await;
            ask(&worker, number).await;
        }
        assert_eq!(worker.source.began.get(), 20, "the first was loaded once");
    });
}

#[test]
fn a_target_in_bytes_holds() {
    let held_bytes = Worker::of(ENV, async |worker| {
        publish(&worker, 1);
        ask(&worker, 0).await;
        worker.dispatcher.loaded_counts().bytes
    });
    assert!(held_bytes > 100 << 10, "{held_bytes} bytes");
    let loaded = LoadedBounds {
        bytes_max: 3 * held_bytes,
        revisions_max: u32::MAX,
    };
    Worker::with(ENV, loaded, async |worker| {
        publish(&worker, 10);
        for number in 0..10 {
            ask(&worker, number).await;
        }
        assert_eq!(worker.source.alive(), 3);
        assert_eq!(worker.dispatcher.loaded_counts().bytes, 3 * held_bytes);
    });
}

#[test]
fn what_runs_stays_until_it_has_ended() {
    Worker::with(STREAM, room_for(1), async |worker| {
        publish(&worker, 3);
        let request = get("any", "/f0?n=64&size=65536");
        let (response, _) = worker.send(request).await.result.ok().unwrap();
        for number in [1, 2, 1, 2] {
            let small = get("any", &format!("/f{number}?n=1&size=1"));
            let (response, _) = worker.send(small).await.result.ok().unwrap();
            text(response.into_body()).await.unwrap();
            tokio::task::yield_now().await;
        }
        let loaded = worker.dispatcher.loaded();
        let names: Vec<_> = loaded
            .iter()
            .map(|it| it.revision().function.to_string())
            .collect();
        assert!(names.contains(&"f0".to_owned()), "{names:?}");
        drop(loaded);
        let body = text(response.into_body()).await.unwrap();
        assert!(body.len() >= 64 * 65_536, "{} bytes", body.len());
        worker.dispatcher.settled().await;
        let small = get("any", "/f1?n=1&size=1");
        let (response, _) = worker.send(small).await.result.ok().unwrap();
        text(response.into_body()).await.unwrap();
        worker.dispatcher.settled().await;
        let small = get("any", "/f2?n=1&size=1");
        let (response, _) = worker.send(small).await.result.ok().unwrap();
        text(response.into_body()).await.unwrap();
        worker.dispatcher.settled().await;
        tokio::task::yield_now().await;
        let loaded = worker.dispatcher.loaded();
        assert!(
            loaded
                .iter()
                .all(|it| it.revision().function.as_str() != "f0")
        );
    });
}

#[test]
fn bursts_on_functions_that_push_each_other_out_are_all_answered() {
    Worker::with(ENV, room_for(1), async |worker| {
        publish(&worker, 4);
        for _ in 0..10 {
            let burst = (0..40).map(|at| {
                let worker = Rc::clone(&worker);
                async move { worker.get("any", &format!("/f{}", at % 4)).await }
            });
            for answer in join_all(burst).await {
                assert_eq!(answer.as_deref(), Ok("REVISION=r1\n"));
            }
        }
        worker.dispatcher.settled().await;
        worker.dispatcher.make_room();
        assert_eq!(worker.source.alive(), 1, "what was in use goes later");
    });
}

#[test]
fn a_crowd_loads_once_what_was_evicted() {
    Worker::with(ENV, room_for(1), async |worker| {
        publish(&worker, 2);
        ask(&worker, 0).await;
        ask(&worker, 1).await;
        assert_eq!(worker.source.began.get(), 2);
        let crowd = join_all((0..20).map(|_| worker.get("any", "/f0"))).await;
        assert!(crowd.iter().all(Result::is_ok), "{crowd:?}");
        assert_eq!(worker.source.began.get(), 3);
    });
}

#[test]
fn what_was_loaded_in_advance_and_is_not_asked_for_is_let_go() {
    const FUNCTIONS: usize = 100;
    Worker::of(ENV, async |worker| {
        for number in 0..FUNCTIONS {
            let prepared = worker.dispatcher.preload(numbered(number)).await.unwrap();
            worker.dispatcher.apply(prepared).unwrap();
            if number < 10 {
                ask(&worker, number).await;
            }
        }
        assert_eq!(worker.source.began.get(), 100);
        let loaded = worker.dispatcher.loaded();
        let is_loaded = |number: usize| {
            let name = format!("f{number}");
            loaded
                .iter()
                .any(|it| it.revision().function.as_str() == name)
        };
        assert!((0..10).all(is_loaded), "what was asked for stays");
        assert!(!is_loaded(20), "and the oldest of the others is gone");
        assert!((FUNCTIONS - 40..FUNCTIONS).all(is_loaded));
        drop(loaded);
        assert!(worker.source.alive() <= 10 + 64);
    });
}

#[test]
fn nothing_is_loaded_in_advance_where_there_is_no_room() {
    Worker::with(ENV, room_for(0), async |worker| {
        publish(&worker, 1);
        worker.source.waits.set(true);
        let mut waits = Box::pin(worker.get("any", "/f0"));
        assert!(futures::poll!(&mut waits).is_pending());
        worker.source.waits.set(false);
        worker.source.go_on.notify_one();
        assert!(waits.await.is_ok());
        // Its answer is there, and nothing went yet.
        let began = worker.source.began.get();
        let prepared = worker.dispatcher.preload(numbered(1)).await.unwrap();
        assert_eq!(worker.source.began.get(), began);
        worker.dispatcher.apply(prepared).unwrap();
        ask(&worker, 1).await;
        worker.dispatcher.make_room();
        assert_eq!(worker.source.alive(), 0);
    });
}

/// Private memory of this process, in bytes: resident without what is of files.
fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<usize> = status
        .split(' ')
        .map(|it| it.trim().parse().unwrap())
        .collect();
    (pages[1] - pages[2]) * 4096
}

#[test]
fn memory_of_what_was_evicted_comes_back() {
    const WARM_UP: usize = 100;
    const ROUNDS: usize = 1_000;
    const GROWTH_BYTES_MAX: usize = 8 << 20;
    Worker::with(ENV, room_for(8), async |worker| {
        publish(&worker, 60);
        let mut before_bytes = 0;
        for round in 0..WARM_UP + ROUNDS {
            ask(&worker, round % 60).await;
            if round == WARM_UP {
                before_bytes = anonymous_bytes();
            }
        }
        let grown_bytes = anonymous_bytes().saturating_sub(before_bytes);
        assert!(grown_bytes < GROWTH_BYTES_MAX, "{grown_bytes} bytes more");
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mappings = maps.lines().filter(|line| line.ends_with(".cwasm")).count();
        // Slots of the pool keep the image of what they ran last.
        assert!(
            mappings <= 8 * 4 + 32 * 2,
            "{mappings} mappings of native code"
        );
    });
}
