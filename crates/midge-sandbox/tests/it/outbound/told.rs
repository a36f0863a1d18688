//! What authors and operators read of their functions' requests.

use insta::assert_snapshot;
use midge_model::{Policy, SecretExposure, SecretGrant};
use midge_testkit::Upstream;

use super::{ask, granted, here, path};
use crate::denied::told_during;
use crate::kit::{Guest, invoke, reply};

const PROBE: &str = "http02-probe.wasm";

/// The refusals that the log of this guest tells, with ports and the like left out.
fn told(guest: Guest, steps: &str) -> String {
    let (_, lines) = told_during(|| ask(guest, steps));
    lines.join("\n")
}

#[test]
fn a_request_without_a_grant_is_told_with_the_line_to_add() {
    assert_snapshot!(
        told(granted(PROBE, &[]), "fetch=POST+https://api.test/v1/charges?key=s3cret"),
        @r#"denied: POST https://api.test/v1/charges: no http grant covers it; to allow it add to [function.guest.allow]: http = ["POST https://api.test/v1/charges"]"#
    );
    assert_snapshot!(
        told(granted(PROBE, &["http://api.test/v1/*"]), "fetch=GET+http://api.test:8080/v1/../v2"),
        @r#"denied: GET http://api.test:8080/v1/../v2: no http grant covers it; to allow it add to [function.guest.allow]: http = ["GET http://api.test:8080"]"#
    );
}

#[test]
fn an_address_out_of_reach_is_told_with_the_key_that_would_open_it() {
    assert_snapshot!(
        told(granted(PROBE, &["*://*:*"]), "fetch=GET+http://127.0.0.1:8000/"),
        @r#"denied: GET http://127.0.0.1:8000/: `127.0.0.1` is private, and no grant names `127.0.0.1` itself; to allow it add to [function.guest.allow]: http = ["GET http://127.0.0.1:8000/"]"#
    );
    let served = granted(PROBE, &["http://127.0.0.1:8000"])
        .powers(|powers| powers.policy = Policy::serve_default());
    assert_snapshot!(
        told(served, "fetch=GET+http://127.0.0.1:8000/"),
        @r#"denied: GET http://127.0.0.1:8000/: `127.0.0.1` is private, and no `private` rule of the policy covers it; to allow it the operator adds to the policy: private = ["127.0.0.1"]"#
    );
    assert_snapshot!(
        told(granted(PROBE, &["http://169.254.169.254"]), "fetch=GET+http://169.254.169.254/"),
        @r#"denied: GET http://169.254.169.254/: `169.254.169.254` is link-local or metadata, and no `private` rule of the policy covers it; to allow it the operator adds to the policy: private = ["169.254.169.254"]"#
    );
    assert_snapshot!(
        told(granted(PROBE, &["http://0.0.0.0"]), "fetch=GET+http://0.0.0.0/"),
        @"denied: GET http://0.0.0.0/: `0.0.0.0` is not an address to connect to"
    );
}

#[test]
fn what_has_two_readings_is_told_without_a_remedy() {
    let steps = "fetch=GET+http://0xa9fea9fe/&fetch=GET+http://me:pass@a.test/";
    let told = told(granted(PROBE, &["*://*:*"]), steps);
    let (number, password) = told.split_once('\n').unwrap();
    assert!(
        number.starts_with("denied: request to 0xa9fea9fe: host `0xa9fea9fe` "),
        "{number}"
    );
    assert!(!number.contains("to allow it"), "{number}");
    assert_snapshot!(
        password,
        @"denied: request to a.test: a name or password stands before the host"
    );
}

#[test]
fn used_up_limits_are_told_with_more() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let guest = granted(PROBE, &[&here]).limits(|limits| {
        limits.outbound_calls = 2;
        limits.outbound_bytes = 1 << 20;
    });
    let steps = format!("fetch={here}/endless&fetch={here}/bytes?5&fetch={here}/");
    let told = told(guest, &steps).replace(&upstream.port().to_string(), "PORT");
    assert_snapshot!(
        told,
        @r#"
    denied: move more bytes over the network: this invocation has moved its 1MiB; to allow it add to [function.guest.limits]: outbound-bytes = "2MiB"
    denied: GET http://127.0.0.1:PORT/: this invocation has made its 2 outbound calls; to allow it add to [function.guest.limits]: outbound-calls = 4
    "#
    );
}

#[test]
fn what_was_sent_is_learned_and_what_was_refused_is_not() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let exposure = SecretExposure::Inject {
        header: "authorization".to_owned(),
        format: "{}".to_owned(),
        to: vec![here.parse().unwrap()],
    };
    let guest = granted(PROBE, &[&here, "http://169.254.169.254"])
        .grants(|grants| {
            grants
                .secrets
                .push(SecretGrant::new("KEY", exposure).unwrap())
        })
        .secret("KEY", "s3cret")
        .powers(|powers| powers.learn = true);
    let uses = guest.run(async |function| {
        let steps = format!(
            "fetch=PUT+{here}/a/b?c=d&fetch={here}/a/b&times=2\
             &fetch=http://b.test/&fetch=http://169.254.169.254/"
        );
        let request = http::Request::get(path(&steps)).body(midge_sandbox::RequestBody::empty());
        let answer = invoke(&function, request.unwrap()).await.unwrap();
        reply(answer).await.unwrap();
        function.take_uses()
    });
    let shown = format!("{uses:?}").replace(&upstream.port().to_string(), "PORT");
    assert_snapshot!(
        shown,
        @r#"[Secret("KEY"), Http { method: "PUT", https: false, host: Ip(127.0.0.1), port: PORT, path: "/a/b" }, Http { method: "GET", https: false, host: Ip(127.0.0.1), port: PORT, path: "/a/b" }]"#
    );
}
