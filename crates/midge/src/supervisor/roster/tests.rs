//! What workers are told, in which order, and who waits for whom.

use std::collections::BTreeMap;

use midge_model::{Digest, Grants, Limits, NamespaceName, Revision, RevisionNumber, Traffic};
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::protocol::line_bytes;

fn key(name: &str) -> FunctionKey {
    FunctionKey {
        namespace: NamespaceName::default(),
        function: name.parse().unwrap(),
    }
}

fn wanted(name: &str, number: u32, version: u64) -> WantedFunction {
    let number = RevisionNumber::new(number).unwrap();
    let revision = Revision {
        namespace: NamespaceName::default(),
        function: name.parse().unwrap(),
        number,
        digest: Digest::of(format!("{name} {number}").as_bytes()),
        grants: Grants::default(),
        limits: Limits::SAFE,
        isolation: midge_model::Isolation::Fresh,
        routes: vec![format!("/{name}").parse().unwrap()],
    };
    WantedFunction {
        key: key(name),
        traffic: Traffic::all_to(number),
        revisions: vec![Arc::new(revision)],
        secrets: BTreeMap::new(),
        version,
    }
}

/// What a worker would read now, in short.
fn read(mail: &Mailbox) -> Vec<String> {
    let orders = std::iter::from_fn(|| mail.try_next());
    orders.map(|order| short(&order)).collect()
}

fn short(order: &Order) -> String {
    match order {
        Order::Apply { function, preload } => {
            let loads = if *preload { ", preloaded" } else { "" };
            let PlannedFunction {
                key,
                column,
                traffic,
                seq,
                ..
            } = &**function;
            let revision = traffic.shares()[0].revision;
            format!("{seq}: {} {revision} at {column}{loads}", key.function)
        }
        Order::Remove { key, seq } => format!("{seq}: no {}", key.function),
        Order::Start => "start".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_worker_is_told_everything_once_and_then_to_start() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.set(wanted("a", 1, 1)).unwrap();
    roster.set(wanted("b", 1, 2)).unwrap();
    assert_eq!(read(&mail), ["1: a r1 at 0", "2: b r1 at 1"]);
    roster.complete();
    assert_eq!(read(&mail), ["start"]);
    roster.set(wanted("a", 2, 3)).unwrap();
    assert_eq!(read(&mail), ["3: a r2 at 0, preloaded"]);
    assert_eq!(read(&mail), Vec::<String>::new());
}

#[test]
fn a_slow_worker_finds_the_newest_state_only() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.complete();
    for revision in 1..100 {
        roster.set(wanted("a", revision, revision.into())).unwrap();
    }
    assert_eq!(read(&mail), ["99: a r99 at 0", "start"]);
}

#[test]
fn a_worker_that_is_replaced_is_told_everything_again() {
    let roster = Roster::new(None, true);
    roster.set(wanted("a", 1, 1)).unwrap();
    roster.set(wanted("b", 1, 2)).unwrap();
    roster.complete();
    let first = roster.join(0);
    let told = [
        "1: a r1 at 0, preloaded",
        "2: b r1 at 1, preloaded",
        "start",
    ];
    assert_eq!(read(&first), told);
    roster.leave(0);
    roster.set(wanted("a", 2, 3)).unwrap();
    let second = roster.join(0);
    let told = [
        "2: b r1 at 1, preloaded",
        "3: a r2 at 0, preloaded",
        "start",
    ];
    assert_eq!(read(&second), told);
    assert_eq!(read(&first), Vec::<String>::new());
}

#[test]
fn what_changed_nothing_is_no_order() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.set(wanted("a", 1, 1)).unwrap();
    assert_eq!(read(&mail).len(), 1);
    roster.applied(0, &key("a"), 1, None);
    roster.set(wanted("a", 1, 7)).unwrap();
    assert_eq!(read(&mail), Vec::<String>::new());
    assert_eq!(roster.served(&key("a"), 7).try_recv(), Ok(Ok(())));
}

#[test]
fn a_deploy_waits_for_every_worker() {
    let roster = Roster::new(None, false);
    let _mails = [roster.join(0), roster.join(1)];
    let mut served = roster.served(&key("a"), 5);
    roster.set(wanted("a", 1, 5)).unwrap();
    assert_eq!(served.try_recv(), Err(TryRecvError::Empty));
    assert!(roster.applied(0, &key("a"), 1, None));
    assert_eq!(served.try_recv(), Err(TryRecvError::Empty));
    assert!(roster.applied(1, &key("a"), 1, None));
    assert_eq!(served.try_recv(), Ok(Ok(())));
    let mut later = roster.served(&key("a"), 6);
    assert_eq!(later.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn nobody_waits_for_a_worker_that_is_gone() {
    let roster = Roster::new(None, false);
    let _mails = [roster.join(0), roster.join(1)];
    roster.set(wanted("a", 1, 5)).unwrap();
    let mut served = roster.served(&key("a"), 5);
    roster.applied(0, &key("a"), 1, None);
    roster.leave(1);
    assert_eq!(served.try_recv(), Ok(Ok(())));
}

#[test]
fn a_worker_that_cannot_is_told_to_whoever_waits_until_it_can() {
    let roster = Roster::new(None, false);
    let _mail = roster.join(0);
    roster.set(wanted("a", 1, 5)).unwrap();
    let mut served = roster.served(&key("a"), 5);
    roster.applied(0, &key("a"), 1, Some("no such folder".to_owned()));
    let error = served.try_recv().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "no such folder");
    roster.applied(0, &key("a"), 1, None);
    assert_eq!(roster.served(&key("a"), 5).try_recv(), Ok(Ok(())));
}

#[test]
fn an_answer_to_an_older_order_is_none() {
    let roster = Roster::new(None, false);
    let _mail = roster.join(0);
    roster.set(wanted("a", 1, 5)).unwrap();
    roster.set(wanted("a", 2, 6)).unwrap();
    let mut served = roster.served(&key("a"), 6);
    assert!(roster.applied(0, &key("a"), 1, None));
    assert_eq!(served.try_recv(), Err(TryRecvError::Empty));
    roster.applied(0, &key("a"), 2, None);
    assert_eq!(served.try_recv(), Ok(Ok(())));
    assert!(!roster.applied(0, &key("stranger"), 2, None));
}

#[test]
fn a_removal_waits_for_every_worker_and_then_frees_the_column() {
    let roster = Roster::new(None, false);
    let mails = [roster.join(0), roster.join(1)];
    roster.set(wanted("a", 1, 5)).unwrap();
    roster.remove(&key("a"), 6);
    assert!(!roster.has(&key("a")));
    let mut served = roster.served(&key("a"), 6);
    for (worker, mail) in mails.iter().enumerate() {
        assert_eq!(served.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(read(mail), ["2: no a"]);
        roster.applied(worker, &key("a"), 2, None);
    }
    assert_eq!(served.try_recv(), Ok(Ok(())));
    roster.seen(6);
    assert_eq!(roster.served(&key("a"), 6).try_recv(), Ok(Ok(())));
    assert_eq!(roster.functions(), 0);
}

#[test]
fn a_function_that_comes_back_before_its_removal_keeps_its_column() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.set(wanted("a", 1, 5)).unwrap();
    roster.set(wanted("b", 1, 6)).unwrap();
    roster.remove(&key("a"), 7);
    roster.set(wanted("a", 1, 8)).unwrap();
    assert_eq!(read(&mail), ["2: b r1 at 1", "4: a r1 at 0"]);
}

#[test]
fn a_worker_is_as_far_as_what_it_is_behind_with() {
    let roster = Roster::new(None, false);
    let _mail = roster.join(0);
    roster.set(wanted("a", 1, 5)).unwrap();
    roster.seen(5);
    assert_eq!(roster.applied_by(0), 4);
    roster.applied(0, &key("a"), 1, None);
    assert_eq!(roster.applied_by(0), 5);
}

#[test]
fn urgent_orders_go_first() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.set(wanted("a", 1, 5)).unwrap();
    roster.tell_all(&Order::Drain);
    assert_eq!(read(&mail)[0], "Drain");
}

/// As many revisions, each of about a mebibyte of JSON.
fn large(name: &str, revisions: std::ops::RangeInclusive<u32>, version: u64) -> WantedFunction {
    let last = *revisions.end();
    let mut all = wanted(name, last, version);
    let revision = Arc::clone(&all.revisions[0]);
    let of = |number| {
        let mut revision = Revision::clone(&revision);
        revision.number = RevisionNumber::new(number).unwrap();
        let value = "\u{1}".repeat(180_000);
        revision.grants.env = [("VALUE".to_owned(), value)].into();
        Arc::new(revision)
    };
    all.revisions = revisions.map(of).collect();
    all
}

#[test]
fn a_function_with_too_large_old_revisions_is_served_without_them() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.set(large("a", 1..=85, 1)).unwrap();
    roster.set(wanted("b", 1, 2)).unwrap();
    let order = mail.try_next().unwrap();
    assert!(line_bytes(&order) <= ORDER_BYTES_MAX);
    let Order::Apply { function, .. } = order else {
        panic!("{order:?}");
    };
    let numbers: Vec<_> = function
        .revisions
        .iter()
        .map(|it| it.revision.number.get())
        .collect();
    assert_eq!(numbers, (71..=85).collect::<Vec<_>>());
    assert_eq!(read(&mail), ["2: b r1 at 1"]);
}

#[test]
fn a_function_that_is_too_large_stays_as_it_was_and_that_is_told_at_once() {
    let roster = Roster::new(None, false);
    let mail = roster.join(0);
    roster.set(wanted("a", 1, 1)).unwrap();
    assert_eq!(read(&mail), ["1: a r1 at 0"]);
    roster.applied(0, &key("a"), 1, None);
    let mut before = roster.served(&key("a"), 2);
    let mut too_large = large("a", 1..=1, 2);
    let live = (1..=17).map(|number| {
        let mut revision = Revision::clone(&too_large.revisions[0]);
        revision.number = RevisionNumber::new(number).unwrap();
        Arc::new(revision)
    });
    too_large.revisions = live.collect();
    let share = |number| midge_model::Share {
        revision: RevisionNumber::new(number).unwrap(),
        weight: 1,
    };
    too_large.traffic = Traffic::new((2..=17).map(share).collect(), None).unwrap();
    roster.set(too_large).unwrap_err();
    let mut after = roster.served(&key("a"), 2);
    let error = before.try_recv().unwrap().unwrap_err();
    insta::assert_snapshot!(error, @"the revisions that have traffic take 16.5MiB with their secrets, and workers are told at most 16MiB of a function");
    assert_eq!(after.try_recv().unwrap().unwrap_err(), error);
    assert_eq!(read(&mail), Vec::<String>::new());
    assert!(roster.has(&key("a")));
    // What fits again is served again.
    roster.set(wanted("a", 3, 3)).unwrap();
    assert_eq!(read(&mail), ["2: a r3 at 0"]);
    roster.applied(0, &key("a"), 2, None);
    assert_eq!(roster.served(&key("a"), 3).try_recv(), Ok(Ok(())));
}
