//! The pool against connections that lead to the test itself.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::time::{advance, timeout};

use super::*;

fn target(host: &str) -> Target {
    Target {
        https: false,
        host: host.parse().unwrap(),
        port: 80,
        literal: false,
    }
}

fn pool() -> Pool {
    Pool::new(Descriptors::new(1_000))
}

/// A connection of `pool` in the hands of its first request, and its far end.
async fn opened(pool: &Pool, target: &Target) -> (Lease, DuplexStream) {
    let (near, far) = duplex(1 << 10);
    let descriptor = pool.descriptor().await;
    let connection = Connection::http1(near, descriptor).await.unwrap();
    (pool.lease(target.clone(), connection), far)
}

async fn is_reused(pool: &Pool, target: &Target) -> bool {
    matches!(pool.turn(target).await, Turn::Reuse(_))
}

/// Whether somebody still holds the near end. What was closed shows once its task has run.
async fn is_open(far: &mut DuplexStream) -> bool {
    let closed = timeout(Duration::from_millis(1), far.read_u8());
    !matches!(closed.await, Ok(Err(_)))
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_used_again_and_what_is_dropped_is_closed() {
    let pool = pool();
    let here = target("a.test");
    let (lease, mut far) = opened(&pool, &here).await;
    lease.give_back();
    let Turn::Reuse(lease) = pool.turn(&here).await else {
        panic!("it was given back");
    };
    assert!(is_open(&mut far).await);
    drop(lease);
    assert!(!is_open(&mut far).await);
    assert!(!is_reused(&pool, &here).await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_only_who_was_judged_like_its_first_request() {
    let pool = pool();
    let here = target("a.test");
    let (lease, _far) = opened(&pool, &here).await;
    lease.give_back();
    for other in [
        target("b.test"),
        Target {
            https: true,
            ..here.clone()
        },
        Target {
            port: 81,
            ..here.clone()
        },
        Target {
            literal: true,
            ..here.clone()
        },
    ] {
        assert!(!is_reused(&pool, &other).await, "{other:?}");
    }
    assert!(is_reused(&pool, &here).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_a_while() {
    let pool = pool();
    let here = target("a.test");
    let (lease, mut far) = opened(&pool, &here).await;
    advance(Duration::from_secs(60)).await;
    assert!(is_open(&mut far).await, "it was in use");
    lease.give_back();
    advance(Duration::from_secs(29)).await;
    assert!(is_open(&mut far).await);
    advance(Duration::from_secs(2)).await;
    assert!(!is_open(&mut far).await);
    assert!(!is_reused(&pool, &here).await);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_go_with_their_pool() {
    let pool = pool();
    let (lease, mut far) = opened(&pool, &target("a.test")).await;
    lease.give_back();
    drop(pool);
    assert!(!is_open(&mut far).await);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_a_request_waits_for_a_slot() {
    let pool = pool();
    let here = target("a.test");
    let mut held = Vec::new();
    for _ in 0..OUTBOUND_CONNECTIONS_MAX {
        held.push(pool.descriptor().await);
    }
    let mut waiting = Box::pin(pool.turn(&here));
    assert!((&mut waiting).now_or_never().is_none());
    held.pop();
    assert!(matches!(waiting.await, Turn::Open(_)));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_a_connection_that_comes_back_is_waited_for_too() {
    let pool = pool();
    let here = target("a.test");
    let (lease, _far) = opened(&pool, &here).await;
    let mut held = Vec::new();
    for _ in 1..OUTBOUND_CONNECTIONS_MAX {
        held.push(pool.descriptor().await);
    }
    let mut waiting = Box::pin(pool.turn(&here));
    assert!((&mut waiting).now_or_never().is_none());
    lease.give_back();
    assert!(matches!(waiting.await, Turn::Reuse(_)));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_an_idle_connection_makes_room_for_one_to_elsewhere() {
    let pool = pool();
    let (lease, mut far) = opened(&pool, &target("a.test")).await;
    let mut held = Vec::new();
    for _ in 1..OUTBOUND_CONNECTIONS_MAX {
        held.push(pool.descriptor().await);
    }
    lease.give_back();
    let turn = pool.turn(&target("b.test")).await;
    assert!(matches!(turn, Turn::Open(_)));
    assert!(!is_open(&mut far).await);
}

#[tokio::test(start_paused = true)]
async fn to_one_host_only_a_few_are_kept() {
    let pool = pool();
    let here = target("a.test");
    let mut opened_all = Vec::new();
    for _ in 0..2 * IDLE_PER_HOST_MAX {
        opened_all.push(opened(&pool, &here).await);
    }
    let mut far_ends = Vec::new();
    for (lease, far) in opened_all {
        lease.give_back();
        far_ends.push(far);
    }
    let mut open = 0;
    for far in &mut far_ends {
        open += usize::from(is_open(far).await);
    }
    assert_eq!(open, IDLE_PER_HOST_MAX);
}

#[tokio::test(start_paused = true)]
async fn while_descriptors_are_scarce_none_is_kept() {
    let descriptors = Descriptors::new(4);
    let one = Pool::new(descriptors.clone());
    let other = Pool::new(descriptors);
    let (lease, mut far) = opened(&one, &target("a.test")).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(other.descriptor().await);
    }
    lease.give_back();
    assert!(!is_open(&mut far).await);
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_http2_takes_requests_side_by_side_and_ends_with_the_last_handle() {
    let pool = pool();
    let here = target("a.test");
    let (near, mut far) = duplex(1 << 10);
    let descriptor = pool.descriptor().await;
    let connection = Connection::http2(near, descriptor).await.unwrap();
    let first = pool.lease(here.clone(), connection);
    let Turn::Reuse(second) = pool.turn(&here).await else {
        panic!("it has room");
    };
    drop(first);
    assert!(is_open(&mut far).await);
    drop(pool);
    drop(second);
    // What it had sent by then comes before the end.
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.unwrap();
    assert!(
        sent.is_empty() || sent.starts_with(b"RI * HTTP/2.0"),
        "{sent:?}"
    );
}
