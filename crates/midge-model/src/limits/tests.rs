//! Limits: the defaults, the bounds, and what is told beyond them.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn check(patch: LimitsPatch) -> String {
    match patch.apply(&Limits::SAFE) {
        Ok(limits) => serde_json::to_string(&limits).unwrap_or_default(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn nobody_who_asks_for_nothing_gets_more_than_the_safe_limits() {
    assert_snapshot!(check(LimitsPatch::default()), @r#"{"memory_bytes":"128MiB","cpu":"2s","time":"10s","concurrency":200,"queue":1000,"queue_time":"10s","request_body_bytes":"10MiB","response_body_bytes":"1GiB","log_bytes":"256KiB","log_rate_bytes":"1MiB","outbound_calls":50,"outbound_bytes":"100MiB","sockets":16,"weight":100}"#);
}

#[test]
fn a_patch_changes_only_what_it_names() {
    let patch = LimitsPatch {
        memory_bytes: Some(64 << 20),
        queue: Some(0),
        ..LimitsPatch::default()
    };
    assert_snapshot!(check(patch), @r#"{"memory_bytes":"64MiB","cpu":"2s","time":"10s","concurrency":200,"queue":0,"queue_time":"10s","request_body_bytes":"10MiB","response_body_bytes":"1GiB","log_bytes":"256KiB","log_rate_bytes":"1MiB","outbound_calls":50,"outbound_bytes":"100MiB","sockets":16,"weight":100}"#);
}

#[test]
fn a_limit_out_of_range_names_the_bound() {
    let none = LimitsPatch::default();
    assert_snapshot!(check(LimitsPatch { memory_bytes: Some(5 << 30), ..none }), @"error: memory of `5GiB` is out of range, write `64KiB` to `4GiB`");
    assert_snapshot!(check(LimitsPatch { memory_bytes: Some(1), ..none }), @"error: memory of `1B` is out of range, write `64KiB` to `4GiB`");
    assert_snapshot!(check(LimitsPatch { time: Some(Duration::ZERO), ..none }), @"error: time of `0s` is out of range, write `1ms` to `1h`");
    assert_snapshot!(check(LimitsPatch { concurrency: Some(0), ..none }), @"error: concurrency of `0` is out of range, write `1` to `10000`");
    assert_snapshot!(check(LimitsPatch { concurrency: Some(10_001), ..none }), @"error: concurrency of `10001` is out of range, write `1` to `10000`");
    assert_snapshot!(check(LimitsPatch { queue: Some(u32::MAX), ..none }), @"error: queue of `4294967295` is out of range, write `0` to `100000`");
    assert_snapshot!(check(LimitsPatch { cpu: Some(Duration::from_millis(9)), ..none }), @"error: cpu of `9ms` is out of range, write `10ms` to `1h`");
    assert_snapshot!(check(LimitsPatch { queue_time: Some(Duration::ZERO), ..none }), @"error: queue time of `0s` is out of range, write `1ms` to `1h`");
    assert_snapshot!(check(LimitsPatch { response_body_bytes: Some(u64::MAX), ..none }), @"error: response body of `16.0EiB` is out of range, write `0B` to `1TiB`");
    assert_snapshot!(check(LimitsPatch { log_bytes: Some(1 << 30), ..none }), @"error: log of `1GiB` is out of range, write `0B` to `64MiB`");
    assert_snapshot!(check(LimitsPatch { log_rate_bytes: Some(0), ..none }), @"error: log rate of `0B` is out of range, write `4KiB` to `64MiB`");
    assert_snapshot!(check(LimitsPatch { outbound_calls: Some(10_001), ..none }), @"error: outbound calls of `10001` is out of range, write `0` to `10000`");
    assert_snapshot!(check(LimitsPatch { outbound_bytes: Some(u64::MAX), ..none }), @"error: outbound bytes of `16.0EiB` is out of range, write `0B` to `1TiB`");
    assert_snapshot!(check(LimitsPatch { sockets: Some(257), ..none }), @"error: sockets of `257` is out of range, write `0` to `256`");
    assert_snapshot!(check(LimitsPatch { weight: Some(0), ..none }), @"error: weight of `0` is out of range, write `1` to `10000`");
    assert_snapshot!(check(LimitsPatch { request_body_bytes: Some(u64::MAX), ..none }), @"error: request body of `16.0EiB` is out of range, write `0B` to `1TiB`");
}

#[test]
fn flags_win_over_the_manifest() {
    let flags = LimitsPatch {
        concurrency: Some(1),
        ..LimitsPatch::default()
    };
    let manifest = LimitsPatch {
        concurrency: Some(2),
        queue: Some(3),
        ..LimitsPatch::default()
    };
    let both = flags.or(manifest);
    assert_eq!((both.concurrency, both.queue), (Some(1), Some(3)));
}

#[test]
fn every_limit_has_a_row() {
    let rows = |limits: &Limits| {
        let row = |(key, value): (&str, String)| format!("{key} {value}\n");
        limits.rows().into_iter().map(row).collect::<String>()
    };
    assert_snapshot!(rows(&Limits::SAFE), @r"
    memory 128MiB
    cpu 2s
    time 10s
    concurrency 200
    queue 1000
    queue-time 10s
    request-body 10MiB
    response-body 1GiB
    log 256KiB
    log-rate 1MiB
    outbound-calls 50
    outbound-bytes 100MiB
    sockets 16
    weight 100
    ");
    assert_snapshot!(rows(&Limits::MOST), @r"
    memory 4GiB
    cpu 1h
    time 1h
    concurrency 10000
    queue 100000
    queue-time 1h
    request-body 1TiB
    response-body 1TiB
    log 64MiB
    log-rate 64MiB
    outbound-calls 10000
    outbound-bytes 1TiB
    sockets 256
    weight 10000
    ");
}

#[test]
fn the_most_of_everything_is_within_the_bounds() {
    let asks_for_nothing = LimitsPatch::default();
    assert_eq!(asks_for_nothing.apply(&Limits::MOST), Ok(Limits::MOST));
    assert_eq!(Limits::SAFE.at_most(&Limits::MOST), Limits::SAFE);
    let little = Limits {
        weight: 1,
        time: TIME_MIN,
        ..Limits::MOST
    };
    let least = Limits::SAFE.at_most(&little);
    assert_eq!(
        least,
        Limits {
            weight: 1,
            time: TIME_MIN,
            ..Limits::SAFE
        }
    );
}

fn json(text: &str) -> String {
    match serde_json::from_str::<LimitsPatch>(text) {
        Ok(patch) => serde_json::to_string(&patch).unwrap(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_patch_is_spelt_as_in_a_manifest() {
    assert_snapshot!(json("{}"), @"{}");
    assert_snapshot!(json(r#"{"request-body":"10MiB","memory":"65536KiB","concurrency":200,"queue-time":"1500ms"}"#), @r#"{"memory":"64MiB","concurrency":200,"queue-time":"1s 500ms","request-body":"10MiB"}"#);
    assert_snapshot!(json(r#"{"memory":null}"#), @"{}");
}

#[test]
fn a_patch_that_is_no_good_is_refused_where_it_is_read() {
    assert_snapshot!(json(r#"{"memory_bytes":"64MiB"}"#), @"error: unknown field `memory_bytes`, expected one of `memory`, `cpu`, `time`, `concurrency`, `queue`, `queue-time`, `request-body`, `response-body`, `log`, `log-rate`, `outbound-calls`, `outbound-bytes`, `sockets`, `weight` at line 1 column 15");
    assert_snapshot!(json(r#"{"memory":"64"}"#), @"error: size `64` has no unit, write for example `64MiB` at line 1 column 15");
    assert_snapshot!(json(r#"{"memory":64}"#), @"error: invalid type: integer `64`, expected a string at line 1 column 12");
    assert_snapshot!(json(r#"{"memory":"5GiB"}"#), @"error: memory of `5GiB` is out of range, write `64KiB` to `4GiB`");
    assert_snapshot!(json(r#"{"weight":0}"#), @"error: weight of `0` is out of range, write `1` to `10000`");
    assert_snapshot!(json(r#"{"weight":-1}"#), @"error: invalid value: integer `-1`, expected u32 at line 1 column 12");
    assert_snapshot!(json(r#"{"weight":1,"weight":2}"#), @"error: duplicate field `weight` at line 1 column 20");
}

#[test]
fn a_patch_has_every_key_of_a_manifest() {
    let Limits {
        memory_bytes,
        cpu,
        time,
        concurrency,
        queue,
        queue_time,
        request_body_bytes,
        response_body_bytes,
        log_bytes,
        log_rate_bytes,
        outbound_calls,
        outbound_bytes,
        sockets,
        weight,
    } = Limits::MOST;
    let all = LimitsPatch {
        memory_bytes: Some(memory_bytes),
        cpu: Some(cpu),
        time: Some(time),
        concurrency: Some(concurrency),
        queue: Some(queue),
        queue_time: Some(queue_time),
        request_body_bytes: Some(request_body_bytes),
        response_body_bytes: Some(response_body_bytes),
        log_bytes: Some(log_bytes),
        log_rate_bytes: Some(log_rate_bytes),
        outbound_calls: Some(outbound_calls),
        outbound_bytes: Some(outbound_bytes),
        sockets: Some(sockets),
        weight: Some(weight),
    };
    let json = serde_json::to_value(all).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    let mut rows: Vec<_> = Limits::MOST
        .rows()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    rows.sort_unstable();
    assert_eq!(keys, rows);
    assert_eq!(serde_json::from_value::<LimitsPatch>(json).unwrap(), all);
}

proptest! {
    #[test]
    fn limits_survive_json(memory_bytes in MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX, millis in 1..3_600_000_u64) {
        let limits = Limits { memory_bytes, time: Duration::from_millis(millis), ..Limits::SAFE };
        let json = serde_json::to_string(&limits).unwrap();
        prop_assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
    }

    #[test]
    fn a_patch_survives_json(
        memory_bytes in prop::option::of(MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX),
        log_bytes in prop::option::of(0..=LOG_BYTES_MAX),
        micros in prop::option::of(10_000..3_600_000_000_u64),
        weight in prop::option::of(WEIGHT_MIN..=WEIGHT_MAX),
    ) {
        let cpu = micros.map(Duration::from_micros);
        let patch = LimitsPatch { memory_bytes, log_bytes, cpu, weight, ..LimitsPatch::default() };
        let json = serde_json::to_string(&patch).unwrap();
        prop_assert_eq!(serde_json::from_str::<LimitsPatch>(&json).unwrap(), patch);
    }
}
