//! Queues: nothing is lost, nothing is given to two, nothing is tried for ever.

use std::time::Duration;

use bytes::Bytes;
use midge_store::{
    ATTEMPTS_MAX, DEDUP_BYTES_MAX, Depth, Key, LEASE_MESSAGES_MAX, LeaseError, Leased,
    MESSAGE_BYTES_MAX, Message, Nacked, PushError, Queue, Store,
};

use super::{key, until};

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(30);
const ATTEMPTS: u32 = 5;

fn orders() -> Key {
    key("orders.new")
}

async fn push(queue: &dyn Queue, body: &str) {
    let message = Message::new(body.to_owned(), ATTEMPTS);
    queue.push(&orders(), message).await.unwrap();
}

async fn lease(queue: &dyn Queue, time: Duration) -> Option<Leased> {
    let mut leased = queue.lease(&orders(), 1, time).await.unwrap();
    assert!(leased.len() <= 1);
    leased.pop()
}

async fn bodies(queue: &dyn Queue) -> Vec<String> {
    let leased = queue.lease(&orders(), 100, LONG).await.unwrap();
    let body = |leased: &Leased| String::from_utf8(leased.body.to_vec()).unwrap();
    leased.iter().map(body).collect()
}

async fn depth(queue: &dyn Queue) -> Depth {
    queue.depth(&orders()).await.unwrap()
}

fn assert_lost<T: std::fmt::Debug>(answer: &Result<T, LeaseError>) {
    assert!(matches!(answer, Err(LeaseError::Lost { .. })), "{answer:?}");
}

pub(crate) async fn a_message_is_leased_once_and_gone_when_acked(store: &Store) {
    let queue = &*store.queue;
    push(queue, "one").await;
    let leased = lease(queue, LONG).await.unwrap();
    assert_eq!((&*leased.body, leased.attempt), (b"one".as_slice(), 1));
    assert_eq!(leased.attempts_max, ATTEMPTS);
    assert!(leased.until > leased.pushed_at);
    assert_eq!(lease(queue, LONG).await, None);
    assert_eq!(depth(queue).await.leased, 1);
    queue.ack(&leased.lease).await.unwrap();
    assert_eq!(depth(queue).await, Depth::default());
    assert_lost(&queue.ack(&leased.lease).await);
}

pub(crate) async fn messages_come_in_the_order_they_were_pushed(store: &Store) {
    let queue = &*store.queue;
    for body in ["one", "two", "three"] {
        push(queue, body).await;
    }
    let other = Message::new("elsewhere", ATTEMPTS);
    queue.push(&key("orders"), other).await.unwrap();
    assert_eq!(bodies(queue).await, ["one", "two", "three"]);
}

pub(crate) async fn a_delayed_message_waits(store: &Store) {
    let queue = &*store.queue;
    let late = Message {
        delay: LONG,
        ..Message::new("late", ATTEMPTS)
    };
    queue.push(&orders(), late).await.unwrap();
    let soon = Message {
        delay: SHORT,
        ..Message::new("soon", ATTEMPTS)
    };
    queue.push(&orders(), soon).await.unwrap();
    let leased = until(async || lease(queue, LONG).await).await;
    assert_eq!(&*leased.body, b"soon");
    let pushed_ms = leased.pushed_at.as_ms();
    let until_ms = u64::try_from((SHORT + LONG).as_millis()).unwrap();
    assert!(leased.until.as_ms() >= pushed_ms + until_ms, "it waited");
    assert_eq!(depth(queue).await.delayed, 1);
}

pub(crate) async fn a_lease_that_ran_out_is_lost(store: &Store) {
    let queue = &*store.queue;
    push(queue, "one").await;
    let first = lease(queue, SHORT).await.unwrap();
    let second = until(async || lease(queue, LONG).await).await;
    assert_eq!((second.lease.id, second.attempt), (first.lease.id, 2));
    assert_lost(&queue.ack(&first.lease).await);
    assert_lost(&queue.nack(&first.lease, Duration::ZERO).await);
    assert_lost(&queue.extend(&first.lease, LONG).await);
    queue.ack(&second.lease).await.unwrap();
}

pub(crate) async fn a_message_that_is_handed_back_comes_again_and_dies(store: &Store) {
    let queue = &*store.queue;
    push(queue, "one").await;
    for attempt in 1..=ATTEMPTS {
        let leased = until(async || lease(queue, LONG).await).await;
        assert_eq!(leased.attempt, attempt);
        let nacked = queue.nack(&leased.lease, Duration::ZERO).await.unwrap();
        let is_last = attempt == ATTEMPTS;
        assert_eq!(nacked == Nacked::Dead, is_last);
    }
    assert_eq!(lease(queue, LONG).await, None);
    let dead = queue.dead(&orders(), None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (&*dead[0].body, dead[0].attempts),
        (b"one".as_slice(), ATTEMPTS)
    );
    assert!(dead[0].dead_at >= dead[0].pushed_at);
    let after = queue.dead(&orders(), Some(dead[0].id), 10).await.unwrap();
    assert_eq!(after, []);
    assert_eq!(depth(queue).await.dead, 1);
}

pub(crate) async fn a_message_that_is_handed_back_waits_for_its_delay(store: &Store) {
    let queue = &*store.queue;
    push(queue, "one").await;
    push(queue, "two").await;
    let first = lease(queue, LONG).await.unwrap();
    queue.nack(&first.lease, LONG).await.unwrap();
    let second = lease(queue, LONG).await.unwrap();
    assert_eq!(&*second.body, b"two");
    let depth = depth(queue).await;
    assert_eq!((depth.delayed, depth.leased, depth.ready), (1, 1, 0));
    assert_lost(&queue.ack(&first.lease).await);
}

pub(crate) async fn a_message_whose_last_lease_ran_out_dies(store: &Store) {
    let queue = &*store.queue;
    let message = Message::new("one", 1);
    queue.push(&orders(), message).await.unwrap();
    let leased = lease(queue, SHORT).await.unwrap();
    let dead = until(async || {
        assert_eq!(lease(queue, LONG).await, None);
        queue.dead(&orders(), None, 10).await.unwrap().pop()
    })
    .await;
    assert_eq!(dead.id, leased.lease.id);
    assert_lost(&queue.ack(&leased.lease).await);
}

pub(crate) async fn a_dead_letter_can_be_delivered_again(store: &Store) {
    let queue = &*store.queue;
    let pushed = queue.push(&orders(), Message::new("one", 1)).await.unwrap();
    assert!(!queue.requeue(&orders(), pushed.id).await.unwrap());
    let leased = lease(queue, LONG).await.unwrap();
    queue.nack(&leased.lease, Duration::ZERO).await.unwrap();
    assert!(!queue.requeue(&key("orders"), pushed.id).await.unwrap());
    assert!(queue.requeue(&orders(), pushed.id).await.unwrap());
    let leased = lease(queue, LONG).await.unwrap();
    assert_eq!(leased.attempt, 1);
    queue.ack(&leased.lease).await.unwrap();
    assert_eq!(depth(queue).await, Depth::default());
}

pub(crate) async fn of_two_messages_of_one_name_one_is_kept(store: &Store) {
    let queue = &*store.queue;
    let named = || Message {
        dedup: Some("Order 7".to_owned()),
        ..Message::new("one", ATTEMPTS)
    };
    let first = queue.push(&orders(), named()).await.unwrap();
    assert!(!first.duplicate);
    let second = queue.push(&orders(), named()).await.unwrap();
    assert!(second.duplicate);
    assert_eq!(second.id, first.id);
    let elsewhere = queue.push(&key("orders"), named()).await.unwrap();
    assert!(!elsewhere.duplicate);
    let leased = lease(queue, LONG).await.unwrap();
    queue.ack(&leased.lease).await.unwrap();
    let third = queue.push(&orders(), named()).await.unwrap();
    assert!(third.duplicate, "the name counts after the message is done");
    assert_eq!(lease(queue, LONG).await, None);
}

pub(crate) async fn an_extended_lease_holds_longer(store: &Store) {
    let queue = &*store.queue;
    push(queue, "one").await;
    push(queue, "two").await;
    let brief = Duration::from_millis(200);
    let extended = lease(queue, brief).await.unwrap();
    let left = lease(queue, brief).await.unwrap();
    let until_new = queue.extend(&extended.lease, LONG).await.unwrap();
    assert!(until_new > extended.until);
    let again = until(async || lease(queue, LONG).await).await;
    assert_eq!(again.lease.id, left.lease.id);
    assert_eq!(lease(queue, LONG).await, None);
    queue.ack(&extended.lease).await.unwrap();
}

pub(crate) async fn a_purged_queue_is_empty(store: &Store) {
    let queue = &*store.queue;
    queue
        .push(&orders(), Message::new("dead", 1))
        .await
        .unwrap();
    let leased = lease(queue, LONG).await.unwrap();
    queue.nack(&leased.lease, Duration::ZERO).await.unwrap();
    push(queue, "one").await;
    push(queue, "two").await;
    assert_eq!(queue.purge(&orders()).await.unwrap(), 3);
    assert_eq!(depth(queue).await, Depth::default());
    assert_eq!(queue.purge(&orders()).await.unwrap(), 0);
    push(queue, "three").await;
    assert_eq!(bodies(queue).await, ["three"]);
}

pub(crate) async fn messages_have_bounds(store: &Store) {
    let queue = &*store.queue;
    let refused = async |message| queue.push(&orders(), message).await.unwrap_err();
    let large = Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX + 1]);
    let error = refused(Message::new(large, 1)).await;
    assert!(matches!(error, PushError::TooLarge { .. }), "{error}");
    let named = Message {
        dedup: Some("x".repeat(DEDUP_BYTES_MAX + 1)),
        ..Message::new("one", 1)
    };
    let error = refused(named).await;
    assert!(matches!(error, PushError::BadName { .. }), "{error}");
    for attempts_max in [0, ATTEMPTS_MAX + 1] {
        let error = refused(Message::new("one", attempts_max)).await;
        assert!(matches!(error, PushError::BadAttempts { .. }), "{error}");
    }
    assert_eq!(depth(queue).await, Depth::default());
    let largest = Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX]);
    let message = Message::new(largest.clone(), ATTEMPTS_MAX);
    queue.push(&orders(), message).await.unwrap();
    assert!(lease(queue, LONG).await.unwrap().body == largest);
}

pub(crate) async fn no_two_get_the_same_message(store: &Store) {
    const MESSAGES: usize = LEASE_MESSAGES_MAX + 50;
    let queue = &*store.queue;
    let pushes = (0..MESSAGES).map(|nth| async move { push(queue, &nth.to_string()).await });
    futures::future::join_all(pushes).await;
    let take = async || {
        let mut taken = Vec::new();
        loop {
            let leased = queue.lease(&orders(), 7, LONG).await.unwrap();
            if leased.is_empty() {
                return taken;
            }
            taken.extend(leased.into_iter().map(|leased| leased.lease.id));
        }
    };
    let mut taken = futures::future::join_all((0..4).map(|_| take()))
        .await
        .concat();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(taken.len(), MESSAGES);
    queue.purge(&orders()).await.unwrap();
    let pushes = (0..MESSAGES).map(|nth| async move { push(queue, &nth.to_string()).await });
    futures::future::join_all(pushes).await;
    let most = queue.lease(&orders(), usize::MAX, LONG).await.unwrap();
    assert_eq!(most.len(), LEASE_MESSAGES_MAX);
}
