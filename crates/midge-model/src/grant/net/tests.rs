//! Grants of connections: how they are read, and what they match.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::grant::arbitrary;

fn check(text: &str) -> String {
    match text.parse::<NetGrant>() {
        Ok(grant) => format!("ok: {grant}"),
        Err(error) => format!("error: {error}"),
    }
}

fn grant(text: &str) -> NetGrant {
    text.parse().unwrap()
}

#[test]
fn a_grant_is_a_host_and_ports() {
    assert_snapshot!(check("db.internal:5432"), @"ok: db.internal:5432");
    assert_snapshot!(check("*.Example.com:443"), @"ok: *.example.com:443");
    assert_snapshot!(check("10.0.0.0/8:5432"), @"ok: 10.0.0.0/8:5432");
    assert_snapshot!(check("10.0.0.1/32:5432"), @"ok: 10.0.0.1:5432");
    assert_snapshot!(check("[fd00::/8]:8000-8100"), @"ok: [fd00::/8]:8000-8100");
    assert_snapshot!(check("[::1]:*"), @"ok: [::1]:*");
    assert_snapshot!(check("[::ffff:10.0.0.1]:80"), @"ok: 10.0.0.1:80");
    assert_snapshot!(check("*:*"), @"ok: *:*");
    assert_snapshot!(check("127.0.0.1:0"), @"ok: 127.0.0.1:0");
}

#[test]
fn what_is_no_grant_is_shown_one() {
    assert_snapshot!(check("db.internal"), @"error: grant `db.internal` has no port, write for example `db.internal:5432`, or `db.internal:*` for every port");
    assert_snapshot!(check("db.internal:"), @"error: grant `db.internal:` has no port, write for example `db.internal:5432`, or `db.internal:*` for every port");
    assert_snapshot!(check("[::1]"), @"error: grant `[::1]` has no port, write for example `[::1]:5432`, or `[::1]:*` for every port");
    assert_snapshot!(check(""), @"error: grant `` has no port, write for example `db.internal:5432`, or `db.internal:*` for every port");
    assert_snapshot!(check("tcp://db.internal:5432"), @"error: grant `tcp://db.internal:5432` has the scheme `tcp://`, leave it out: a connection has a host and a port only");
    assert_snapshot!(check(":8080"), @"error: grant `:8080` has no host, write for example `127.0.0.1:8080`, or `*:8080` for every host");
    assert_snapshot!(check("8080"), @"error: grant `8080` has no host, write for example `127.0.0.1:8080`, or `*:8080` for every host");
    assert_snapshot!(check("::1:80"), @"error: grant `::1:80` has an IPv6 address without brackets, write for example `[fd00::1]:5432`");
    assert_snapshot!(check("fd00::/8:80"), @"error: grant `fd00::/8:80` has an IPv6 address without brackets, write for example `[fd00::1]:5432`");
    assert_snapshot!(check("db.internal:pg"), @"error: grant `db.internal:pg` has a bad port: `pg` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(check("10.0.0.1/8:80"), @"error: grant `10.0.0.1/8:80` has a bad block: block `10.0.0.1/8` does not start at that address, write `10.0.0.0/8`");
    assert_snapshot!(check("*.10.0.0.1:80"), @"error: grant `*.10.0.0.1:80` has a wildcard that is not the whole first part of the host, write for example `*.example.com`");
    assert_snapshot!(check("2852039166:80"), @"error: grant `2852039166:80` has a host that ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("[fe80::1%eth0]:80"), @"error: grant `[fe80::1%eth0]:80` has a host that has a zone after `%`, leave it out: an address is the same on every interface here");
    assert_snapshot!(check(&format!("{}:80", "x".repeat(400))), @"error: grant `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is longer than 320 bytes");
}

#[test]
fn an_address_is_granted_by_address_and_a_name_by_name() {
    let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let name = |text: &str| -> HostName { text.parse().unwrap() };
    let block = grant("10.0.0.0/8:5432");
    assert!(block.matches_address(address("10.1.2.3:5432")));
    assert!(block.matches_address(address("[::ffff:10.1.2.3]:5432")));
    assert!(!block.matches_address(address("10.1.2.3:5433")));
    assert!(!block.matches_address(address("11.0.0.1:5432")));
    assert!(!block.matches_address(address("[64:ff9b::a01:203]:5432")));
    assert!(!block.matches_name(&name("db.internal"), 5432));
    let by_name = grant("db.internal:5432");
    assert!(by_name.matches_name(&name("db.internal"), 5432));
    assert!(!by_name.matches_name(&name("x.db.internal"), 5432));
    assert!(!by_name.matches_address(address("10.1.2.3:5432")));
    assert!(grant("*:443").matches_address(address("1.1.1.1:443")));
    assert!(grant("*:443").matches_name(&name("db.internal"), 443));
}

#[test]
fn a_block_names_what_is_all_of_its_kind() {
    let names = |text: &str, host: &str| grant(text).names_literally(&host.parse().unwrap());
    assert!(names("10.0.0.1:1", "10.0.0.1"));
    assert!(names("10.0.0.0/8:1", "10.0.0.1"));
    assert!(names("10.0.0.0/24:1", "10.0.0.1"));
    assert!(names("[fd00::/8]:1", "[fd00::1]"));
    assert!(names("[fc00::/7]:1", "[fd00::1]"));
    assert!(names("db.internal:1", "db.internal"));
    assert!(names("0.0.0.0/0:1", "1.1.1.1"));
    assert!(!names("0.0.0.0/0:1", "10.0.0.1"));
    assert!(!names("8.0.0.0/6:1", "10.0.0.1"));
    assert!(!names("[::/0]:1", "[fd00::1]"));
    assert!(!names("100.64.0.0/10:1", "100.100.100.200"));
    assert!(names("100.64.0.0/10:1", "100.64.0.1"));
    assert!(!names("[64:ff9b::/96]:1", "[64:ff9b::a9fe:a9fe]"));
    assert!(!names("*:1", "10.0.0.1"));
    assert!(!names("*.internal:1", "db.internal"));
}

#[test]
fn a_grant_by_name_implies_the_look_up() {
    let implies = |text: &str, host: &str| grant(text).implies_look_up(&host.parse().unwrap());
    assert!(implies("db.internal:5432", "db.internal"));
    assert!(implies("*.internal:5432", "db.internal"));
    assert!(implies("*:5432", "db.internal"));
    assert!(!implies("10.0.0.0/8:5432", "db.internal"));
}

proptest! {
    #[test]
    fn a_grant_survives_its_own_text(grant in arbitrary::net_grant()) {
        prop_assert_eq!(grant.to_string().parse(), Ok(grant.clone()));
        let json = serde_json::to_string(&grant).unwrap();
        prop_assert_eq!(serde_json::from_str::<NetGrant>(&json).unwrap(), grant);
    }

    /// What a grant covers allows nothing that it does not allow itself.
    #[test]
    fn covering_is_sound(
        wide in arbitrary::net_grant(),
        narrow in arbitrary::net_grant(),
        host in arbitrary::host(),
        port in arbitrary::port(),
    ) {
        if wide.covers(&narrow) && narrow.matches_name(&host, port) {
            prop_assert!(wide.matches_name(&host, port), "{} covers {} and not {}", wide, narrow, host);
        }
        if let Some(address) = host.ip() {
            let by_address = wide.matches_address(SocketAddr::new(address, port));
            prop_assert_eq!(by_address, wide.matches_name(&host, port));
        }
        prop_assert!(wide.covers(&wide) && NetGrant::ANY.covers(&wide));
    }

    #[test]
    fn what_is_named_is_granted(grant in arbitrary::net_grant(), host in arbitrary::host()) {
        if grant.names_literally(&host) {
            prop_assert!((0..=u16::MAX).any(|port| grant.matches_name(&host, port)));
        }
    }

    #[test]
    fn never_panics(text in any::<String>(), near in "[\\[*]?[a-z0-9.:]{0,10}(/[0-9]{0,3})?\\]?:[0-9*-]{0,6}") {
        for text in [text, near] {
            if let Ok(grant) = text.parse::<NetGrant>() {
                prop_assert_eq!(grant.to_string().parse(), Ok(grant));
            }
        }
    }
}
