//! The rules, as tables.

use midge_model::{Grants, Policy};
use wasmtime_wasi::sockets::SocketAddrUse as To;

use super::*;

/// Rules of grants written as `tcp db.test:5432`, with names that were found to have addresses.
fn rules_under(policy: Policy, grants: &[&str], found: &[(&str, &str)]) -> Rules {
    let mut granted = Grants::default();
    for grant in grants {
        let (key, text) = grant.split_once(' ').unwrap();
        let list = match key {
            "tcp" => &mut granted.tcp,
            "udp" => &mut granted.udp,
            "listen" => &mut granted.listen,
            _ => panic!("no key `{key}`"),
        };
        list.push(text.parse().unwrap());
    }
    let lent = Lent::of_a_test(granted, policy);
    for (name, address) in found {
        let name = name.parse().unwrap();
        lent.handed.note(&name, &[address.parse().unwrap()]);
    }
    Rules::new(lent)
}

fn rules(grants: &[&str], found: &[(&str, &str)]) -> Rules {
    rules_under(Policy::serve_default(), grants, found)
}

/// What becomes of a connection: the host it goes by, or why not.
fn check(rules: &Rules, address: &str) -> String {
    match rules.verdict(Protocol::Tcp, address.parse().unwrap()) {
        Verdict::Allowed(host) => format!("as {host}"),
        Verdict::OutOfReach(_, why) => format!("refused: {why}"),
        Verdict::NotGranted(host) => format!("not granted: {host}"),
    }
}

fn allows(rules: &Rules, to: To, address: &str) -> bool {
    rules.allow(address.parse().unwrap(), to)
}

const PUBLIC: &str = "93.184.216.34";

#[test]
fn an_address_is_granted_by_itself_its_block_or_any_with_its_port() {
    for (grant, expected) in [
        ("tcp 93.184.216.34:5432", "as 93.184.216.34"),
        ("tcp 93.184.0.0/16:5432", "as 93.184.216.34"),
        ("tcp *:5432", "as 93.184.216.34"),
        ("tcp *:*", "as 93.184.216.34"),
        ("tcp *:5000-6000", "as 93.184.216.34"),
        ("tcp *:5433-6000", "not granted: 93.184.216.34"),
        ("tcp 93.184.216.35:5432", "not granted: 93.184.216.34"),
        ("udp *:*", "not granted: 93.184.216.34"),
        ("listen *:*", "not granted: 93.184.216.34"),
    ] {
        let rules = rules(&[grant], &[]);
        assert_eq!(
            check(&rules, &format!("{PUBLIC}:5432")),
            expected,
            "{grant}"
        );
    }
}

#[test]
fn a_name_grants_the_addresses_it_was_found_to_have_in_this_invocation() {
    let grants = ["tcp db.test:5432"];
    let asked = rules(
        &grants,
        &[("db.test", PUBLIC), ("db.test", "93.184.216.35")],
    );
    assert_eq!(check(&asked, "93.184.216.34:5432"), "as db.test");
    assert_eq!(check(&asked, "93.184.216.35:5432"), "as db.test");
    assert_eq!(
        check(&asked, "93.184.216.36:5432"),
        "not granted: 93.184.216.36"
    );
    // Another port of the same address is another service.
    assert_eq!(check(&asked, "93.184.216.34:5433"), "not granted: db.test");
    assert_eq!(
        check(&rules(&grants, &[]), "93.184.216.34:5432"),
        "not granted: 93.184.216.34"
    );
    // What another name was found to have is no help.
    let other = rules(&grants, &[("other.test", PUBLIC)]);
    assert_eq!(
        check(&other, "93.184.216.34:5432"),
        "not granted: other.test"
    );
}

#[test]
fn a_name_that_leads_to_a_private_address_needs_the_operator() {
    let found = [("db.test", "10.0.0.5"), ("any.test", "10.0.0.6")];
    let grants = ["tcp db.test:5432", "tcp *.test:5432"];
    let asked = rules(&grants, &found);
    assert_eq!(
        check(&asked, "10.0.0.5:5432"),
        "refused: `db.test` leads to `10.0.0.5`, which is private, and no `private` rule of the \
         policy covers it"
    );
    assert_eq!(
        check(&asked, "10.0.0.6:5432"),
        "refused: `any.test` leads to `10.0.0.6`, which is private, and no grant names `any.test` \
         itself"
    );
    let policy = Policy::serve_default().with_private(&["db.test".parse().unwrap()]);
    let allowed = rules_under(policy, &grants, &found);
    assert_eq!(check(&allowed, "10.0.0.5:5432"), "as db.test");
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    let rules = rules(&["tcp *:80"], &[]);
    for address in [
        "169.254.169.254:80",
        "[::ffff:169.254.169.254]:80",
        "[::169.254.169.254]:80",
        "[64:ff9b::169.254.169.254]:80",
        "[2002:a9fe:a9fe::]:80",
        "[fd00:ec2::254]:80",
        "100.100.100.200:80",
        "127.0.0.1:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
        "0.0.0.0:80",
        "[::]:80",
        "255.255.255.255:80",
        "224.0.0.1:80",
        "[ff02::1]:80",
    ] {
        assert!(check(&rules, address).starts_with("refused:"), "{address}");
        assert!(!allows(&rules, To::TcpConnect, address), "{address}");
    }
    let mapped = self::rules(&["tcp 93.184.216.34:80"], &[]);
    assert!(allows(&mapped, To::TcpConnect, "[::ffff:93.184.216.34]:80"));
}

#[test]
fn the_operator_reaches_what_a_grant_writes_as_an_address() {
    let rules = rules_under(
        Policy::operator(),
        &["tcp 127.0.0.1:80", "tcp 169.254.169.254:80"],
        &[],
    );
    assert_eq!(check(&rules, "127.0.0.1:80"), "as 127.0.0.1");
    assert!(check(&rules, "169.254.169.254:80").starts_with("refused:"));
}

#[test]
fn a_client_binds_to_nothing_in_particular() {
    let rules = rules(&["udp *:53", "tcp *:53"], &[]);
    for to in [To::TcpBind, To::UdpBind] {
        assert!(allows(&rules, to, "0.0.0.0:0"));
        assert!(allows(&rules, to, "[::]:0"));
        assert!(!allows(&rules, to, "0.0.0.0:8080"));
        assert!(!allows(&rules, to, "127.0.0.1:0"));
    }
    assert!(!allows(&rules, To::TcpListen, "0.0.0.0:40000"));
    let none = self::rules(&[], &[]);
    assert!(!allows(&none, To::TcpBind, "0.0.0.0:0"));
}

#[test]
fn who_may_listen_does_so_where_it_may_and_accepts_a_bounded_number() {
    let rules = rules(&["listen 127.0.0.1:8000-8100"], &[]);
    assert!(allows(&rules, To::TcpBind, "127.0.0.1:8080"));
    assert!(!allows(&rules, To::TcpBind, "127.0.0.1:9090"));
    assert!(!allows(&rules, To::TcpListen, "0.0.0.0:8080"));
    assert!(allows(&rules, To::TcpListen, "127.0.0.1:8080"));
    let accepted = (0..100).filter(|_| allows(&rules, To::TcpAccept, "192.0.2.1:40000"));
    let limit = rules.lent.powers.limits.sockets as usize;
    assert_eq!(accepted.count() + 1, limit);
}

#[test]
fn datagrams_come_from_where_they_may_go() {
    let client = rules(&["udp 93.184.216.34:53"], &[]);
    assert!(allows(&client, To::UdpSend, "93.184.216.34:53"));
    assert!(allows(&client, To::UdpReceive, "93.184.216.34:53"));
    assert!(!allows(&client, To::UdpReceive, "93.184.216.35:53"));
    // Strangers do not fill the log.
    assert_eq!(client.lent.denials.count(), 0);
    assert!(!allows(&client, To::UdpSend, "93.184.216.35:53"));
    assert_eq!(client.lent.denials.count(), 1);
    let server = rules(&["listen 0.0.0.0:53"], &[]);
    assert!(allows(&server, To::UdpReceive, "93.184.216.35:53"));
}
