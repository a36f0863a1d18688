//! Which requests are granted.

use midge_model::Policy;
use midge_testkit::{DnsServer, Upstream};

use super::{PROBES, ask, granted, here};

/// Every kind of guest that can ask for a request at all.
const ALL: [&str; 4] = [
    "http02-probe.wasm",
    "http03-probe.wasm",
    "command02-probe.wasm",
    "command03-probe.wasm",
];

#[test]
fn without_a_grant_a_request_is_refused_and_the_guest_goes_on() {
    let upstream = Upstream::start();
    for probe in ALL {
        let said = ask(
            granted(probe, &[]),
            &format!("fetch=GET+{}/&env=X", here(&upstream)),
        );
        assert_eq!(said, "error http-request-denied\nerror none\n", "{probe}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn with_a_grant_it_is_answered() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in ALL {
        let said = ask(granted(probe, &[&here]), &format!("fetch=GET+{here}/x?y=1"));
        assert_eq!(said, "ok 200 9 from afar\n", "{probe}");
    }
    let host = format!("127.0.0.1:{}", upstream.port());
    for seen in upstream.requests() {
        assert_eq!(seen.line, "GET /x?y=1 HTTP/1.1");
        assert_eq!(seen.headers["host"], host.as_str());
        assert!(!seen.headers.contains_key("transfer-encoding"), "{seen:?}");
    }
}

#[test]
fn method_scheme_host_port_and_path_each_decide() {
    let upstream = Upstream::start();
    let other = Upstream::start();
    let port = upstream.port();
    let check = |grant: &str, asked: &str| {
        let grant = grant.replace("PORT", &port.to_string());
        let asked = asked
            .replace("PORT", &port.to_string())
            .replace("OTHER", &other.port().to_string());
        ask(
            granted("http02-probe.wasm", &[&grant]),
            &format!("fetch={asked}"),
        )
    };
    const DENIED: &str = "error http-request-denied\n";
    let post = "POST http://127.0.0.1:PORT/v1/*";
    assert_eq!(
        check(post, "POST+http://127.0.0.1:PORT/v1/x"),
        "ok 200 9 from afar\n"
    );
    assert_eq!(check(post, "GET+http://127.0.0.1:PORT/v1/x"), DENIED);
    assert_eq!(check(post, "POST+https://127.0.0.1:PORT/v1/x"), DENIED);
    assert_eq!(check(post, "POST+http://127.0.0.2:PORT/v1/x"), DENIED);
    assert_eq!(check(post, "POST+http://localhost:PORT/v1/x"), DENIED);
    assert_eq!(check(post, "POST+http://127.0.0.1:OTHER/v1/x"), DENIED);
    assert_eq!(check(post, "POST+http://127.0.0.1/v1/x"), DENIED);
    assert_eq!(check(post, "POST+http://127.0.0.1:PORT/v2/x"), DENIED);
    assert_eq!(check(post, "POST+http://127.0.0.1:PORT/v1/../v2/x"), DENIED);
    assert_eq!(
        check(post, "POST+http://127.0.0.1:PORT/v1/%2e%2e/v2"),
        DENIED
    );
    assert_eq!(upstream.requests().len(), 1);
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_tunnel_is_no_request() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let said = ask(granted(probe, &[&here]), &format!("fetch=CONNECT+{here}/"));
        assert_eq!(said, "error http-request-denied\n", "{probe}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn fields_of_one_connection_are_not_the_guests() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for field in [
        "connection",
        "host",
        "upgrade",
        "transfer-encoding",
        "keep-alive",
    ] {
        let steps = format!("fetch=GET+{here}/&header={field}:x");
        let said = ask(granted("http02-probe.wasm", &[&here]), &steps);
        assert_eq!(said, format!("error header {field} forbidden\n"));
    }
    let steps = format!("fetch=GET+{here}/headers&header=te:trailers, gzip&header=x-own:1");
    let said = ask(granted("http02-probe.wasm", &[&here]), &steps);
    let own = format!("host: 127.0.0.1:{}", upstream.port());
    assert!(said.contains("x-own: 1") && said.contains(&own), "{said}");
    assert!(!said.contains("te: "), "{said}");
}

#[test]
fn a_redirect_is_an_answer_and_not_followed() {
    let target = Upstream::start();
    let upstream = Upstream::start();
    let there = here(&target);
    let here = here(&upstream);
    for probe in PROBES {
        let steps =
            format!("fetch=GET+{here}/redirect?{there}/secret&show=location&fetch={there}/secret");
        let said = ask(granted(probe, &[&here]), &steps);
        let expected =
            format!("ok 302 9 location={there}/secret elsewhere\nerror http-request-denied\n");
        assert_eq!(said, expected, "{probe}");
    }
    assert_eq!(target.connections(), 0);
}

#[test]
fn a_wildcard_does_not_reach_a_private_address() {
    let upstream = Upstream::start();
    let dns = DnsServer::start();
    dns.answer("inside.test", &["127.0.0.1".parse().unwrap()]);
    let port = upstream.port();
    for (grant, host) in [
        ("*://*:*", "127.0.0.1"),
        ("*://*:*", "localhost"),
        ("*://*:*", "[::1]"),
        ("*://*:*", "inside.test"),
        ("http://*.test:*", "inside.test"),
    ] {
        let guest = granted("http02-probe.wasm", &[grant])
            .powers(|powers| powers.dns = midge_sandbox::DnsConfig::Servers(vec![dns.address()]));
        let said = ask(guest, &format!("fetch=GET+http://{host}:{port}/"));
        assert_eq!(said, "error destination-ip-prohibited\n", "{grant} {host}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_name_that_leads_inside_needs_the_grant_and_the_policy() {
    let upstream = Upstream::start();
    let dns = DnsServer::start();
    dns.answer("inside.test", &["127.0.0.1".parse().unwrap()]);
    let there = format!("http://inside.test:{}", upstream.port());
    let check = |grant: &str, policy: Policy| {
        let guest = granted("http02-probe.wasm", &[grant]).powers(|powers| {
            powers.dns = midge_sandbox::DnsConfig::Servers(vec![dns.address()]);
            powers.policy = policy;
        });
        ask(guest, &format!("fetch=GET+{there}/"))
    };
    let private = |entry: &str| Policy::operator().with_private(&[entry.parse().unwrap()]);
    const PROHIBITED: &str = "error destination-ip-prohibited\n";
    assert_eq!(check(&there, Policy::operator()), PROHIBITED);
    assert_eq!(check("*://*:*", private("inside.test")), PROHIBITED);
    assert_eq!(check(&there, private("other.test")), PROHIBITED);
    assert_eq!(check(&there, private("10.0.0.0/8")), PROHIBITED);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(
        check(&there, private("inside.test")),
        "ok 200 9 from afar\n"
    );
    assert_eq!(
        check(&there, private("127.0.0.0/8")),
        "ok 200 9 from afar\n"
    );
}

#[test]
fn the_policy_of_serve_lets_no_grant_reach_a_private_address() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let guest = granted("http02-probe.wasm", &[&here])
        .powers(|powers| powers.policy = Policy::serve_default());
    let said = ask(guest, &format!("fetch=GET+{here}/"));
    assert_eq!(said, "error destination-ip-prohibited\n");
    assert_eq!(upstream.connections(), 0);
}

/// Both rules cover the request; which of them stands first is no matter.
#[test]
fn a_literal_grant_counts_beside_a_wildcard() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let guest = granted("http02-probe.wasm", &["*://*:*", &here]);
    let said = ask(guest, &format!("fetch=GET+{here}/"));
    assert_eq!(said, "ok 200 9 from afar\n");
}
