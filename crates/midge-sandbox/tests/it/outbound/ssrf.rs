//! Twelve spellings of one address that nobody may reach, by three ways each.
//!
//! The grant is the widest there is, so what refuses is the reading of hosts and the
//! check of addresses. Something listens on the port, as far as this machine has the
//! address; were a spelling let through, the answer would be of that connection.

use midge_model::Policy;
use midge_sandbox::DnsConfig;
use midge_testkit::{DnsServer, Upstream};

use super::{PROBES, ask, granted, here};

const SPELLINGS: [&str; 12] = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
];

fn is_refused(said: &str) -> bool {
    matches!(
        said,
        "error http-request-denied\n"
            | "error http-request-uri-invalid\n"
            | "error destination-ip-prohibited\n"
            // The guest's own URL parser, or the engine's, has no such host.
            | "error set-authority\n"
    )
}

#[test]
fn no_spelling_leads_there_directly() {
    for probe in PROBES {
        for spelling in SPELLINGS {
            let guest = granted(probe, &["*://*:*"]);
            let said = ask(
                guest,
                &format!("fetch=GET+http://{spelling}/latest/meta-data/"),
            );
            assert!(is_refused(&said), "{probe} {spelling}: {said}");
        }
    }
}

#[test]
fn no_redirect_leads_there() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        for spelling in SPELLINGS {
            let there = format!("http://{spelling}/");
            let guest = granted(probe, &[&here, "*://*:*"]);
            let steps = format!("fetch=GET+{here}/redirect?{there}&show=location&fetch={there}");
            let said = ask(guest, &steps);
            let (redirect, followed) = said.split_once('\n').unwrap();
            assert_eq!(redirect, format!("ok 302 9 location={there} elsewhere"));
            assert!(is_refused(followed), "{probe} {spelling}: {followed}");
        }
    }
}

/// The name leads to an address that the policy allows when it is first looked up, and to this
/// one afterwards. A spelling that is no address is what `inet_aton` makes of it.
#[test]
fn no_name_that_changes_its_mind_leads_there() {
    // Closes every connection, so that each request needs an address.
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nfirst");
    let there = format!("http://rebound.test:{}", upstream.port());
    let allowed = ["127.0.0.1".parse().unwrap()];
    for probe in PROBES {
        for spelling in SPELLINGS {
            let dns = DnsServer::start();
            dns.answer_in_turn("rebound.test", &[&allowed, &[address(spelling)]]);
            let guest = granted(probe, &[&there]).powers(|powers| {
                powers.dns = DnsConfig::Servers(vec![dns.address()]);
                powers.policy = Policy::operator().with_private(&["127.0.0.1".parse().unwrap()]);
            });
            let said = ask(guest, &format!("fetch={there}/&times=3"));
            assert_eq!(
                said,
                "ok 200 5 first\nerror destination-ip-prohibited\n\
                 error destination-ip-prohibited\n",
                "{probe} {spelling}"
            );
        }
    }
    assert_eq!(upstream.connections(), PROBES.len() * SPELLINGS.len());
}

/// One answer with both: only the address that was checked is connected to.
#[test]
fn a_name_that_leads_here_and_there_leads_only_here() {
    let upstream = Upstream::start();
    let there = format!("http://both.test:{}", upstream.port());
    let dns = DnsServer::start();
    let both = ["169.254.169.254", "fd00:ec2::254", "127.0.0.1"].map(|ip| ip.parse().unwrap());
    dns.answer("both.test", &both);
    let guest = granted("http02-probe.wasm", &[&there]).powers(|powers| {
        powers.dns = DnsConfig::Servers(vec![dns.address()]);
        powers.policy = Policy::operator().with_private(&["127.0.0.1".parse().unwrap()]);
    });
    assert_eq!(
        ask(guest, &format!("fetch={there}/")),
        "ok 200 9 from afar\n"
    );
}

/// A connection that was opened under a grant that names the host must not serve a request that
/// only a wildcard covers, nor the other way round.
#[test]
fn a_kept_connection_serves_no_request_that_was_judged_otherwise() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let named = format!("POST {here}");
    for probe in PROBES {
        let guest = granted(probe, &[&named, "GET *://*:*"]);
        let steps = format!("fetch=POST+{here}/&fetch=GET+{here}/&fetch=POST+{here}/");
        let said = ask(guest, &steps);
        assert_eq!(
            said, "ok 200 9 from afar\nerror destination-ip-prohibited\nok 200 9 from afar\n",
            "{probe}"
        );
    }
}

/// What `inet_aton` makes of a spelling, for those that are no address to anybody else.
fn address(spelling: &str) -> std::net::IpAddr {
    let bare = spelling.trim_matches(['[', ']']);
    bare.parse()
        .unwrap_or_else(|_| "169.254.169.254".parse().unwrap())
}
