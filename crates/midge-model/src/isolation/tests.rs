//! Three levels, their bounds, and the two ways in which they are written.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn read(json: &str) -> String {
    match serde_json::from_str::<Isolation>(json) {
        Ok(isolation) => isolation.to_string(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_level_is_enough() {
    assert_eq!(Isolation::default(), Isolation::Fresh);
    assert_snapshot!(read(r#"{"level":"fresh"}"#), @"fresh");
    assert_snapshot!(read(r#"{"level":"serial"}"#), @"serial (requests 1000, idle 30s)");
    assert_snapshot!(read(r#"{"level":"shared"}"#), @"shared (requests 1000, idle 30s, concurrency 8)");
    assert_snapshot!(read(r#"{"level":"serial","requests":5,"idle":"1m","memory":"48MiB"}"#), @"serial (requests 5, idle 1m, memory 48MiB)");
}

#[test]
fn bounds_are_checked_wherever_they_come_from() {
    assert_snapshot!(read(r#"{"level":"serial","requests":0}"#), @"error: isolation requests of `0` is out of range, write `1` to `1000000`");
    assert_snapshot!(read(r#"{"level":"serial","idle":"2h"}"#), @"error: isolation idle of `2h` is out of range, write `1ms` to `1h`");
    assert_snapshot!(read(r#"{"level":"serial","memory":"5GiB"}"#), @"error: isolation memory of `5GiB` is out of range, write `64KiB` to `4GiB`");
    assert_snapshot!(read(r#"{"level":"shared","concurrency":257}"#), @"error: isolation concurrency of `257` is out of range, write `1` to `256`");
    assert_snapshot!(read(r#"{"level":"serial","concurrency":2}"#), @"error: `concurrency` is not for isolation `serial`");
    assert_snapshot!(read(r#"{"level":"fresh","requests":2}"#), @"error: `requests` is not for isolation `fresh`");
}

#[test]
fn an_instance_is_used_up_by_requests_or_by_memory() {
    let reuse = Reuse {
        requests_max: 2,
        memory_max_bytes: Some(100),
        ..Reuse::DEFAULT
    };
    assert!(reuse.allows_another(1, 100));
    assert!(!reuse.allows_another(2, 100));
    assert!(!reuse.allows_another(1, 101));
    assert!(Reuse::DEFAULT.allows_another(1, u64::MAX));
}

#[test]
fn more_is_shared_by_another_level_and_by_longer_use() {
    let of = Isolation::of_level;
    let (fresh, serial) = (of(IsolationLevel::Fresh), of(IsolationLevel::Serial));
    let shared = of(IsolationLevel::Shared);
    assert!(serial.shares_more_than(&fresh) && shared.shares_more_than(&serial));
    assert!(!fresh.shares_more_than(&serial) && !serial.shares_more_than(&serial));
    let bounded = Isolation::Serial(Reuse {
        memory_max_bytes: Some(1 << 20),
        ..Reuse::DEFAULT
    });
    assert!(serial.shares_more_than(&bounded) && !bounded.shares_more_than(&serial));
}

fn isolation() -> impl Strategy<Value = Isolation> {
    let reuse = (
        1..=REUSE_REQUESTS_MAX,
        1_u64..=3_600_000,
        proptest::option::of(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX),
    );
    let reuse = reuse.prop_map(|(requests_max, idle_ms, memory_max_bytes)| Reuse {
        requests_max,
        idle: Duration::from_millis(idle_ms),
        memory_max_bytes,
    });
    (reuse, 0..3, 1..=SHARED_CONCURRENCY_MAX).prop_map(|(reuse, level, concurrency)| match level {
        0 => Isolation::Fresh,
        1 => Isolation::Serial(reuse),
        _ => Isolation::Shared { reuse, concurrency },
    })
}

proptest! {
    #[test]
    fn an_isolation_survives_the_way_to_a_worker(isolation in isolation()) {
        let json = serde_json::to_string(&isolation).unwrap();
        prop_assert_eq!(serde_json::from_str::<Isolation>(&json).unwrap(), isolation);
    }
}
