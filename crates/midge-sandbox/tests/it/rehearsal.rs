//! Functions that are tried out: who answers them, what time it is, what goes wrong.

use std::sync::Arc;

use midge_model::{HttpGrant, Use};
use midge_sandbox::{Rehearsal, StandIn, StandInAnswer, StandInAnswers};

use crate::denied::told_during;
use crate::key_value::kept::Kept;
use crate::kit::{Guest, invoke, reply};

/// A guest of each version that has requests to send.
const PROBES: [&str; 2] = ["http02-probe.wasm", "http03-probe.wasm"];

/// One of every contract that has clocks and numbers.
const ALL: [&str; 4] = [
    "command01-probe.wasm",
    "command02-probe.wasm",
    "http02-probe.wasm",
    "http03-probe.wasm",
];

fn stand_in(request: &str, status: u16, body: &str) -> StandIn {
    StandIn {
        request: request.parse().unwrap(),
        answers: StandInAnswers::Always(answer(status, body)),
    }
}

fn answer(status: u16, body: &str) -> StandInAnswer {
    StandInAnswer {
        status,
        headers: vec![("x-from".to_owned(), "a stand-in".to_owned())],
        body: body.into(),
    }
}

/// A probe that is granted one host, whose requests these answer.
fn answered(probe: &str, stand_ins: Vec<StandIn>) -> Guest {
    rehearsed(probe, |rehearsal| rehearsal.stand_ins = Some(stand_ins))
}

fn rehearsed(probe: &str, change: impl FnOnce(&mut Rehearsal)) -> Guest {
    let grant: HttpGrant = "http://a.test".parse().unwrap();
    Guest::of(probe)
        .grants(|grants| grants.http = vec![grant])
        .powers(|powers| change(&mut powers.rehearsal))
}

fn ask(guest: Guest, steps: &str) -> String {
    guest.get(&format!("/?{steps}")).unwrap().text()
}

#[test]
fn a_stand_in_answers_in_place_of_the_server() {
    for probe in PROBES {
        let stand_ins = vec![
            stand_in("GET http://a.test/x?y=1", 200, "one"),
            stand_in("http://a.test/*", 404, "none"),
        ];
        let guest = answered(probe, stand_ins);
        let said = ask(
            guest,
            "fetch=GET+http://a.test/x%3fy%3d1&fetch=POST+http://a.test/x&fetch=HEAD+http://a.test/",
        );
        assert_eq!(said, "ok 200 3 one\nok 404 4 none\nok 404 0 \n", "{probe}");
    }
}

#[test]
fn answers_are_given_in_turn_and_then_refused_or_another_goes_on() {
    const ASK_THREE_TIMES: &str =
        "fetch=GET+http://a.test/x&fetch=GET+http://a.test/x&fetch=GET+http://a.test/x";
    for probe in PROBES {
        let in_turn = StandIn {
            request: "http://a.test/*".parse().unwrap(),
            answers: StandInAnswers::InTurn(vec![answer(503, "busy"), answer(200, "well")]),
        };
        let guest = answered(probe, vec![in_turn.clone()]);
        let (said, told) = told_during(|| ask(guest, ASK_THREE_TIMES));
        let first = "ok 503 4 busy\nok 200 4 well\n";
        assert_eq!(
            said,
            format!("{first}error http-request-denied\n"),
            "{probe}"
        );
        assert_eq!(
            told,
            [
                "denied: GET http://a.test/x: what stands in for a.test has given all of its 2 \
                 answers; write one more into `answers` if it may be asked again"
            ],
            "{probe}"
        );
        let last = stand_in("http://a.test/*", 404, "gone");
        let guest = answered(probe, vec![in_turn, last]);
        let said = ask(guest, ASK_THREE_TIMES);
        assert_eq!(said, format!("{first}ok 404 4 gone\n"), "{probe}");
    }
}

#[test]
fn what_nothing_answers_is_refused_with_the_case_to_write() {
    for probe in PROBES {
        let guest = answered(probe, Vec::new());
        let (said, told) = told_during(|| ask(guest, "fetch=GET+http://a.test/x"));
        assert_eq!(said, "error http-request-denied\n", "{probe}");
        assert_eq!(
            told,
            [
                "denied: GET http://a.test/x: nothing answers in place of a.test; write what it \
                 answers into the case, below [[case.given.http]] with `request = \"GET \
                 http://a.test/x\"`"
            ],
            "{probe}"
        );
    }
}

#[test]
fn grants_are_judged_before_stand_ins_are_asked() {
    for probe in PROBES {
        let guest = answered(probe, vec![stand_in("*://*:*", 200, "one")]);
        let (said, told) = told_during(|| ask(guest, "fetch=GET+http://b.test/"));
        assert_eq!(said, "error http-request-denied\n", "{probe}");
        assert!(told[0].contains("no http grant covers it"), "{told:?}");
    }
}

#[test]
fn an_answer_counts_against_the_bounds_of_the_invocation() {
    for probe in PROBES {
        let large = "x".repeat(2 << 20);
        let guest = answered(probe, vec![stand_in("http://a.test", 200, &large)]);
        let guest = guest.limits(|limits| limits.outbound_bytes = 1 << 20);
        let said = ask(guest, "fetch=GET+http://a.test/");
        assert!(
            said.starts_with("error http-response-body-size"),
            "{probe}: {said}"
        );
    }
}

#[test]
fn a_host_is_denied_and_calls_fail_on_purpose() {
    for probe in PROBES {
        let denying = rehearsed(probe, |to| to.deny = vec!["a.test".parse().unwrap()]);
        let (said, told) = told_during(|| ask(denying, "fetch=GET+http://a.test/"));
        assert_eq!(said, "error http-request-denied\n", "{probe}");
        assert_eq!(
            told,
            ["denied: GET http://a.test/: this host is denied to every function"]
        );
        let failing = rehearsed(probe, |to| to.fail = vec!["http:100%".parse().unwrap()]);
        let (said, told) = told_during(|| ask(failing, "fetch=GET+http://a.test/"));
        assert_eq!(said, "error connection-terminated\n", "{probe}");
        assert_eq!(
            told,
            ["denied: GET http://a.test/: made to fail, as a part of all calls is: http:100%"]
        );
    }
    let guest = Guest::of("http02-kv.wasm")
        .grants(|grants| grants.kv = vec!["default".parse().unwrap()])
        .values(Arc::new(Kept::default()))
        .powers(|powers| powers.rehearsal.fail = vec!["kv:100%".parse().unwrap()]);
    let said = ask(guest, "open=default&get=a");
    assert!(
        said.contains("made to fail, as a part of all calls is: kv:100%"),
        "{said}"
    );
}

#[test]
fn the_wall_clock_shows_what_it_should_and_the_other_one_goes_on() {
    for probe in ALL {
        let guest = rehearsed(probe, |to| {
            to.now = Some("2026-01-01T00:00:00Z".parse().unwrap());
        });
        let said = ask(guest, "clock&clock");
        assert_eq!(
            said.matches(" wall 1767225600.000000000 ").count(),
            2,
            "{probe}: {said}"
        );
        let monotonic = said.lines().map(|line| line.split(' ').nth(2).unwrap());
        assert!(
            monotonic.clone().all(|it| it.parse::<u64>().unwrap() > 0),
            "{said}"
        );
    }
}

#[test]
fn a_seed_brings_the_same_random_numbers() {
    let ask_with = |probe, seed| ask(rehearsed(probe, |to| to.seed = seed), "random=16");
    for probe in ALL {
        assert_eq!(
            ask_with(probe, Some(7)),
            ask_with(probe, Some(7)),
            "{probe}"
        );
        assert_ne!(
            ask_with(probe, Some(7)),
            ask_with(probe, Some(8)),
            "{probe}"
        );
        assert_ne!(ask_with(probe, None), ask_with(probe, None), "{probe}");
    }
}

#[test]
fn instances_of_one_seed_have_numbers_of_their_own() {
    let guest = rehearsed("http02-probe.wasm", |to| to.seed = Some(7));
    guest.run(async |function| {
        let mut said = Vec::new();
        for _ in 0..2 {
            let request = http::Request::get("/?random=16");
            let request = request.body(midge_sandbox::RequestBody::empty()).unwrap();
            said.push(
                reply(invoke(&function, request).await.unwrap())
                    .await
                    .unwrap()
                    .text(),
            );
        }
        assert_ne!(said[0], said[1]);
    });
}

/// Learning gives a function all that the policy allows; being watched gives it nothing.
#[test]
fn being_watched_makes_no_more_of_grants() {
    let guest = Guest::of("http02-kv.wasm")
        .grants(|grants| grants.kv = vec!["default".parse().unwrap()])
        .values(Arc::new(Kept::default()))
        .powers(|powers| powers.rehearsal.watch = true);
    let (said, uses) = guest.run(async |function| {
        let request = http::Request::get("/?open=default&open=other");
        let request = request.body(midge_sandbox::RequestBody::empty()).unwrap();
        let answer = invoke(&function, request).await.unwrap();
        (reply(answer).await.unwrap().text(), function.take_uses())
    });
    assert_eq!(said.lines().next(), Some("ok"));
    assert!(said.lines().nth(1).unwrap().starts_with("error"), "{said}");
    assert_eq!(uses, [Use::Bucket("default".parse().unwrap())]);
}
