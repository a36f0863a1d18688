//! Revisions are loaded when somebody first asks for them, and let go when nobody does any more.

use futures::future::join_all;

use crate::kit::{ENV, Worker, function};

#[test]
fn the_first_requests_load_a_revision_once() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        assert_eq!(worker.source.began.get(), 0, "publishing loads nothing");
        let crowd = join_all((0..20).map(|_| worker.get("any", "/f"))).await;
        assert!(
            crowd
                .iter()
                .all(|answer| answer.as_deref() == Ok("REVISION=r1\n")),
            "{crowd:?}"
        );
        assert_eq!(worker.source.began.get(), 1);
    });
}

#[test]
fn a_revision_that_cannot_be_loaded_fails_for_all_that_wait_at_once() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        *worker.source.fails.borrow_mut() = Some("no such file");
        let crowd = join_all((0..20).map(|_| worker.get("any", "/f"))).await;
        assert_eq!(crowd, vec![Err("not-loaded"); 20]);
        assert_eq!(worker.source.began.get(), 1);
    });
}

#[test]
fn a_client_that_leaves_while_code_is_loaded_leaves_it_to_the_next() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("f", "r1=1", &[1]))
            .unwrap();
        worker.source.waits.set(true);
        let mut first = Box::pin(worker.get("any", "/f"));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(worker.get("any", "/f"));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        worker.source.waits.set(false);
        assert_eq!(second.await.unwrap(), "REVISION=r1\n");
        assert_eq!(worker.source.began.get(), 2);
    });
}

#[test]
fn a_function_that_is_not_loaded_keeps_nobody_else_waiting() {
    Worker::of(ENV, async |worker| {
        worker
            .dispatcher
            .apply(function("ready", "r1=1", &[1]))
            .unwrap();
        assert!(worker.get("any", "/ready").await.is_ok());
        let mut slow = function("slow", "r1=1", &[1]);
        slow.column = 1;
        worker.dispatcher.apply(slow).unwrap();
        worker.source.waits.set(true);
        let mut waits = Box::pin(worker.get("any", "/slow"));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(worker.get("any", "/ready").await.is_ok());
        worker.source.go_on.notify_one();
        assert!(waits.await.is_ok());
    });
}

#[test]
fn old_revisions_answer_at_their_address_and_few_of_them_stay_loaded() {
    Worker::of(ENV, async |worker| {
        let kept: Vec<_> = (1..=100).collect();
        worker
            .dispatcher
            .apply(function("f", "r100=1", &kept))
            .unwrap();
        assert_eq!(worker.get("any", "/f").await.unwrap(), "REVISION=r100\n");
        for number in kept {
            let host = format!("r{number}.f.default.midge.test");
            let want = format!("REVISION=r{number}\n");
            assert_eq!(worker.get(&host, "/").await.unwrap(), want);
        }
        assert_eq!(worker.source.alive(), 65, "64, and the one with traffic");
        assert_eq!(
            worker.get("r1.f.default.midge.test", "/").await.unwrap(),
            "REVISION=r1\n"
        );
        assert_eq!(
            worker.source.began.get(),
            101,
            "the last has traffic, the first was let go"
        );
        worker
            .dispatcher
            .apply(function("f", "r100=1", &[99, 100]))
            .unwrap();
        assert_eq!(worker.source.alive(), 1);
    });
}

#[test]
fn a_revision_that_was_visited_and_then_got_traffic_stays_loaded() {
    Worker::of(ENV, async |worker| {
        let kept: Vec<_> = (1..=100).collect();
        let dispatcher = &worker.dispatcher;
        dispatcher.apply(function("f", "r100=1", &kept)).unwrap();
        assert!(worker.get("r1.f.default.midge.test", "/").await.is_ok());
        let began = worker.source.began.get();
        dispatcher.apply(function("f", "r1=1", &kept)).unwrap();
        assert!(worker.get("any", "/f").await.is_ok());
        assert_eq!(worker.source.began.get(), began, "as it was");
        for number in 2..=99 {
            let host = format!("r{number}.f.default.midge.test");
            assert!(worker.get(&host, "/").await.is_ok());
        }
        let began = worker.source.began.get();
        assert!(worker.get("any", "/f").await.is_ok());
        assert_eq!(worker.source.began.get(), began, "no visitor pushed it out");
    });
}
